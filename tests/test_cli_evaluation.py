"""predict, eval and score as a user meets them: tables, JSON, missing data, interrupts, breakdowns."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest
from PIL import Image
from running import Run

from strbench.cli.breakdown import EDGES, LONGEST
from strbench.metrics.recognition import length_bins, score_words
from strbench.store import find_split, split_directory, write_split
from strbench.types import Sample

LABELS = ["cat", "Don't", "EXIT", "a" * (LONGEST + 4), "café", "7"]
SIZES = [(20, 40), (80, 40), (40, 40), (300, 40), (120, 40), (10, 40)]  # width, height

READER = '''
"""Recognizers for a test: what they read, or how they fail, is in the name."""

class Constant:
    def read(self, images):
        return ["cat" for _ in images]

class Broken:
    def read(self, images):
        return ["one too many"] * (len(images) + 1)

class Interrupted:
    batch_size = 2
    left = 2

    def read(self, images):
        if not Interrupted.left:
            raise KeyboardInterrupt
        Interrupted.left -= 1
        return ["cat" for _ in images]

class Starved:
    def read(self, images):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried")

class Mute:
    pass
'''


def prepare(name: str) -> str:
    """A split of six words of known sizes."""
    samples = []
    for i, (label, size) in enumerate(zip(LABELS, SIZES, strict=True)):
        data = io.BytesIO()
        Image.new("RGB", size, (i, sum(name.encode()) % 256, 0)).save(data, "PNG")
        samples.append(Sample(f"{i}.png", data.getvalue(), label))
    dataset, _, split = name.partition("/")
    write_split(split_directory(name), samples, dataset=dataset, split=split, labels="custom")
    return name


@pytest.fixture
def words(home: Path) -> str:
    """``mine/test``, prepared."""
    return prepare("mine/test")


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of an importable module with recognizers."""
    (tmp_path / "readers_of_words.py").write_text(READER)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "readers_of_words", raising=False)
    return "readers_of_words"


def write_readings(path: Path, texts: list[str]) -> Path:
    lines = [json.dumps({"id": f"{i}.png", "text": text}) for i, text in enumerate(texts)]
    path.write_text("\n".join(lines) + "\n")
    return path


def test_eval_prints_markdown_with_the_ladder(run: Run, words: str, reader: str) -> None:
    outcome = run("eval", "--model", f"{reader}:Constant", "--data", words)
    assert outcome.code == 0
    assert "| exact / case / alnum |" in outcome.out
    assert f"| {reader}:Constant | mine/test | 16.7 |" in outcome.out
    assert "| 1/6 |" in outcome.out
    assert "| 1 / 1 / 1 |" in outcome.out
    assert "wacc|strbench-36|case:lower|chars:36|labels:custom|resize:native|n:6|" in outcome.out
    assert "\x1b" not in outcome.out + outcome.err
    written = Path(outcome.last.removeprefix("wrote "))
    assert json.loads(written.read_text())["status"] == "success"


def test_eval_json_is_one_document(run: Run, words: str, reader: str) -> None:
    one = json.loads(run("eval", "-m", f"{reader}:Constant", "--data", words, "--json").out)
    assert one["scores"][0]["ladder"] == {"exact": 1, "case": 1, "alnum": 1}
    two = run(
        "eval", "-m", f"{reader}:Constant", "-m", f"{reader}:Constant", "--data", words, "--json"
    )
    assert json.loads(two.out)["scores"] == one["scores"]  # the same model twice is one model


def test_a_model_is_known_by_the_name_that_eval_was_given(
    run: Run, words: str, reader: str, tmp_path: Path
) -> None:
    """Weights in a folder of another name than their run's: all doors take the folder's name."""
    assert run("eval", "-m", "conv-ctc", "-m", f"{reader}:Constant", "--data", words).code == 0
    assert "conv-ctc-small.full" in run("report", "--models", "conv-ctc", "--json").out
    pair = ("conv-ctc", f"{reader}:Constant")
    compared = json.loads(run("compare", *pair, "--json").out)["comparisons"]
    assert [one["n"] for one in compared] == [6]
    page = run("view", *pair, "--data", words, "-o", tmp_path / "page")
    assert page.code == 0, page.err
    assert "conv-ctc" in (tmp_path / "page" / "data.js").read_text()
    (made,) = (tmp_path / "home" / "predictions" / "conv-ctc-small.full").iterdir()
    made.unlink()  # what is asked then is a command that works
    asked = run("compare", *pair).err.strip().splitlines()[-1].partition("strbench ")[2]
    assert run(*asked.split(), "--data", words).code == 0
    assert made.is_file()


def test_a_limited_run_says_that_it_enters_no_table(run: Run, words: str, reader: str) -> None:
    outcome = run("eval", "-m", f"{reader}:Constant", "--data", words, "--limit", "2")
    assert "first 2 samples only: enters no table" in outcome.out
    assert "| 1/2 |" in outcome.out
    report = run("report", "--markdown")
    assert "### " not in report.out


def test_breakdown_by_length(run: Run, words: str, reader: str) -> None:
    outcome = run("eval", "-m", f"{reader}:Constant", "--data", words, "--by", "length", "--json")
    rows = json.loads(outcome.out)["breakdown"]
    assert [row["length"] for row in rows] == ["1", "3", "4", "5", f"{LONGEST}+"]
    assert [row["n"] for row in rows] == [1, 1, 2, 1, 1]
    assert [row["correct"] for row in rows] == [0, 1, 0, 0, 0]
    scores = score_words(LABELS, ["cat"] * len(LABELS))
    assert sum(row["one_minus_ned_sum"] for row in rows) == pytest.approx(scores.similarity_sum)
    assert len(set(length_bins(LABELS, longest=LONGEST))) == len(rows)


def test_breakdown_by_aspect_ratio(run: Run, words: str, tmp_path: Path) -> None:
    path = write_readings(tmp_path / "out.jsonl", LABELS)
    outcome = run("score", path, words, "--by", "aspect")
    assert "by aspect (width / height of the crop)" in outcome.out
    expected = {"under 1": 2, "1 to 2": 1, "2 to 3": 1, "3 to 4": 1, f"{EDGES[-1]:g}+": 1}
    for name, n in expected.items():
        assert f"| out | mine/test | {name} | {n} | {n} | 100.0 | 100.0 |" in outcome.out


def test_breakdown_leaves_out_what_the_protocol_drops(run: Run, words: str, tmp_path: Path) -> None:
    path = write_readings(tmp_path / "out.jsonl", LABELS)
    command = ("score", path, words, "--protocol", "clovaai-36", "--by", "length", "--json")
    document = json.loads(run(*command).out)
    n = document["scores"][0]["n"]
    assert n < len(LABELS)
    assert sum(row["n"] for row in document["breakdown"]) == n


def test_score_needs_a_file_before_it_asks_for_data(run: Run, home: Path) -> None:
    outcome = run("score", "nofile.csv", "cute80/test")
    assert outcome.code == 2
    assert outcome.err.startswith("error: There is no prediction file nofile.csv.")
    assert not home.exists()


def test_score_with_a_signature(run: Run, home: Path, words: str, tmp_path: Path) -> None:
    path = write_readings(tmp_path / "out.jsonl", LABELS)
    first = run("score", path, words, "--protocol", "strbench-exact")
    signature = next(line for line in first.out.splitlines() if line.startswith("wacc|"))
    again = run("score", path, "--signature", signature)
    assert again.code == 0
    assert signature in again.out
    fingerprint = find_split(words).fingerprint[:8]
    other = run("score", path, "--signature", signature.replace(fingerprint, "0" * 8))
    assert other.code == 3
    assert "the signature names data @00000000" in other.err
    for part, wrong in (
        (f"|n:{len(LABELS)}|", "|n:1811|"),
        ("|labels:", "|labels:un"),
        ("|v0.1", "|v9.9"),
    ):
        other = run("score", path, "--signature", signature.replace(part, wrong))
        assert other.code == 3
        assert other.err.startswith(f"error: The signature says {wrong.strip('|')}")
    assert len(list((home / "records").iterdir())) == 2, "what is refused leaves no record"
    both = run("score", path, "--signature", signature, "--protocol", "parseq-36")
    assert both.code == 2
    assert "names the protocol strbench-exact, and parseq-36 was given too" in both.err
    both = run("score", path, "svt/test", "--signature", signature)
    assert both.code == 2
    assert "names mine/test, and svt/test was given too" in both.err


def test_score_without_a_split(run: Run, tmp_path: Path) -> None:
    path = write_readings(tmp_path / "out.jsonl", LABELS)
    outcome = run("score", path)
    assert outcome.code == 2
    assert outcome.last == f"hint: strbench score {path} cute80/test"


def test_files_of_regions_are_not_scored_as_words(run: Run, home: Path, tmp_path: Path) -> None:
    path = tmp_path / "det.zip"
    path.write_bytes(b"PK")
    for words, what in (
        ((tmp_path, "--protocol", "strbench-36"), "strbench-36 is a protocol of words"),
        (("cute80/test",), "cute80/test is a split of words"),
    ):
        outcome = run("score", path, *words)
        assert outcome.code == 2
        assert f"error: {path} looks like regions, and {what}.\n" in outcome.err
        truth = tmp_path if tmp_path in words else "gt.zip"
        assert outcome.last == f"hint: strbench score {path} {truth} --protocol ic15-iou"


def test_score_refuses_missing_ids(run: Run, words: str, tmp_path: Path) -> None:
    path = write_readings(tmp_path / "out.jsonl", LABELS[:4])
    outcome = run("score", path, words)
    assert outcome.code == 3
    assert "2 samples have no prediction" in outcome.err
    assert "4.png" in outcome.err


def test_predictions_in_place_of_a_model(run: Run, words: str, tmp_path: Path) -> None:
    path = write_readings(tmp_path / "out.jsonl", LABELS)
    outcome = run("eval", "--predictions", path, "--data", words)
    assert "| out | mine/test | 100.0 |" in outcome.out
    for extra in (("--limit", "2"), ("--model", "tesseract")):
        refused = run("eval", "--predictions", path, "--data", words, *extra)
        assert refused.code == 2
        assert "do not go with it" in refused.err
    several = run("eval", "--predictions", path, "--suite", "occluded")
    assert "one file for one split; 2 splits were named" in several.err


def test_an_interrupted_read_resumes(run: Run, words: str, reader: str) -> None:
    first = run("predict", f"{reader}:Interrupted", words)
    assert first.code == 5
    assert first.err.splitlines()[-2:] == [
        "error: Interrupted; the readings made so far are kept.",
        "hint: The same command goes on where this one stopped.",
    ]
    sys.modules[reader].Interrupted.left = 9
    second = run("predict", f"{reader}:Interrupted", words)
    assert second.code == 0
    assert "(6 images, 2 of them now)" in second.last


def test_an_interrupted_eval_is_a_partial_run(
    run: Run, words: str, reader: str, home: Path
) -> None:
    outcome = run("eval", "-m", f"{reader}:Interrupted", "--data", words)
    assert outcome.code == 5
    assert outcome.out == ""
    (record,) = (home / "records").glob("*.json")
    assert json.loads(record.read_text())["status"] == "partial"


def test_exhausted_memory_is_exit_4(run: Run, words: str, reader: str) -> None:
    outcome = run("eval", "-m", f"{reader}:Starved", "--data", words)
    assert outcome.code == 4
    assert "Traceback" not in outcome.err
    assert "memory" in outcome.err


def test_predict_writes_where_it_is_told(run: Run, words: str, reader: str, tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    outcome = run("predict", f"{reader}:Constant", words, "-o", path, "--json")
    assert json.loads(outcome.out) == {"path": str(path), "n": 6, "read": 6}
    assert path.read_text().count("cat") == 6
    assert outcome.last.startswith(f"wrote {path} ")
    bad = run("predict", f"{reader}:Constant", words, "-o", tmp_path / "out.xyz")
    assert bad.code == 2
    assert "expected a name that ends in .parquet, .jsonl" in bad.err


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("eval --suite ocluded", "No suite is named 'ocluded'; near names: occluded, "),
        (
            "eval --suite rendered -m tesseractt",
            "No recognizer is named 'tesseractt'; near names: t",
        ),
        ("eval --suite rendered --protocol strb", "No protocol is named 'strb'; near names: strb"),
        ("eval --data cute80", "'cute80' is not a split; expected dataset/split"),
        ("eval --data cute8/test", "No dataset is named 'cute8/test'; near names: cute80"),
        ("eval --suite rendered --batch-size 0", "--batch-size 0: expected auto or a number"),
        ("eval --stand-in", "--stand-in replaces the real sets of a suite"),
        ("eval --suite rendered --stand-in", "rendered has no rendered stand-in"),
        ("eval", "No test set is prepared here"),
        ("predict tesseract", "Missing argument"),
        ("eval -m no.module:x --data mine/test", "'no.module:x' cannot be imported"),
        ("eval -m readers_of_words:Mute --data mine/test", "without a method read(images)"),
        ("eval -m readers_of_words:Broken --data mine/test", "found 7 results"),
    ],
)
def test_bad_input_is_exit_2(
    run: Run, request: pytest.FixtureRequest, reader: str, command: str, expected: str
) -> None:
    if "mine/test" in command:
        request.getfixturevalue("words")
    outcome = run(*command.split())
    assert outcome.code == 2
    assert expected in outcome.err
    assert outcome.out == ""
    assert "Traceback" not in outcome.err
    assert "drawing" not in outcome.err  # a typo is found before any data is made


def test_eval_without_a_suite_takes_what_is_prepared(
    run: Run, words: str, reader: str, home: Path
) -> None:
    (home / "data" / "mine").rename(home / "data" / "svtp")
    manifest = home / "data" / "svtp" / "test" / "manifest.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "dataset": "svtp"}))
    outcome = run("eval", "-m", f"{reader}:Constant")
    assert outcome.code == 0
    assert "no --suite: every prepared test split, svtp/test" in outcome.err


def test_the_occluded_suite_without_its_data(run: Run, home: Path) -> None:
    """No licence accepted: which files to bring, from where, to which place, or the stand-in."""
    outcome = run("eval", "--suite", "occluded", "-m", "conv-ctc")
    assert outcome.code == 2
    assert "Not at hand: host/test, wost/test." in outcome.err
    assert "not accepted yet: none stated by the authors" in outcome.err
    for split, folder in (("host", "heavy"), ("wost", "weak")):
        assert f"/OST/{folder}/data.mdb" in outcome.err, split
        assert f"as {home}/raw/ost/{folder}/data.mdb" in outcome.err
    typed = "strbench eval --suite occluded -m conv-ctc"
    assert f"To accept and fetch: {typed} --accept-licence\n" in outcome.err
    assert f"then: {typed} --offline --accept-licence\n" in outcome.err
    assert outcome.last.strip() == f"On rendered data instead: {typed} --stand-in"
    assert not (home / "data").exists()  # nothing was put in their place


def test_the_occluded_suite_offline_is_a_data_error(run: Run, home: Path) -> None:
    outcome = run("eval", "--suite", "occluded", "-m", "conv-ctc", "--offline", "--accept-licence")
    assert outcome.code == 3
    assert "Not at hand: host/test, wost/test." in outcome.err
    assert "--stand-in" in outcome.last


def test_the_stand_in_is_named_and_marked(run: Run, words: str, reader: str, home: Path) -> None:
    for name in ("rendered_occluded_heavy", "rendered_occluded_weak"):
        source = split_directory(words)
        target = split_directory(f"{name}/test")
        target.mkdir(parents=True)
        (target / "data.mdb").write_bytes((source / "data.mdb").read_bytes())
        manifest = json.loads((source / "manifest.json").read_text())
        manifest |= {"dataset": name, "labels": "rendered", "rendered": True}
        (target / "manifest.json").write_text(json.dumps(manifest))
    outcome = run("eval", "--suite", "occluded", "--stand-in", "-m", f"{reader}:Constant")
    assert outcome.code == 0
    assert outcome.err.startswith(
        "--stand-in: the rendered suite rendered-occluded in place of occluded"
    )
    assert outcome.out.count("(rendered)") == 2
    assert "host/test" not in outcome.out


def test_dry_runs_fetch_nothing(run: Run, home: Path) -> None:
    outcome = run("eval", "--suite", "occluded", "-m", "conv-ctc", "--dry-run")
    assert json.loads(outcome.out) == {
        "models": ["conv-ctc"],
        "splits": ["host/test", "wost/test"],
        "protocol": "strbench-36",
        "limit": None,
    }
    words = ("eval", "--data", "ic15_det/test", "--protocol", "ic15-e2e", "--lexicon", "weak")
    assert json.loads(run(*words, "--dry-run").out)["lexicon"] == "weak"
    assert not home.exists()


def test_what_a_model_was_trained_on_is_no_test(run: Run, home: Path, words: str) -> None:
    prepare("cute80/test")
    prepare("svt/train")
    quick = ("--recipe", "smoke", "--set", "steps=1", "--batch-size", "4", "--device", "cpu")
    first = run("pretrain", "dig", "--data", "cute80/test", *quick, "--name", "before")
    assert first.code == 0, first.err
    warning = "cute80/test is a test set: what before scores on it will stay out of every table"
    assert warning in first.err
    then = run(
        "finetune", "vit-ctc", "--from", "before", "--data", "svt/train", *quick, "--name", "net"
    )
    assert then.code == 0, then.err
    assert "is a test set" not in then.err
    scored = run("eval", "-m", "net", "--data", "cute80/test", "--data", words, "--json")
    assert {s["split"]: s["seen"] for s in json.loads(scored.out)["scores"]} == {
        "cute80/test": True,
        words: False,
    }
    assert "net was trained on cute80/test: the score enters no table" in scored.err
    assert "net was trained on mine/test" not in scored.err
    document = json.loads(run("report", "--json").out)
    assert "no test: the model was trained on this split" in json.dumps(document)
    table = run("report", "--markdown").out
    assert "mine" in table
    assert "cute80" not in table.partition("wacc|")[0]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("-m totallybogus --suite rendered-demo", "No recognizer is named 'totallybogus'; near"),
        ("-m vit-ctc-micro.smoke --suite rendered-demo", "No recognizer is named 'vit-ctc-micro"),
        ("-m conv-ctc:mine --suite rendered-demo", "has no test settings to choose from"),
        ("-m conv-ctc --suite detection", "was trained for recognition, and detection is asked"),
        ("-m bicubic --recognizer bogus --suite textzoom", "No recognizer is named 'bogus'"),
    ],
)
def test_a_dry_run_refuses_the_names_that_the_run_refuses(
    run: Run, words: str, expected: str
) -> None:
    dry = run("eval", *words.split(), "--dry-run")
    assert dry.code == 2
    assert expected in dry.err
    assert dry.out == ""
    assert run("eval", *words.split()).err == dry.err


def test_a_dry_run_imports_no_program_and_needs_no_engine(
    run: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from strbench import models

    monkeypatch.setattr(models, "import_module", None)
    names = ("no.module:x", "rapidocr", "conv-ctc")
    asked = (word for name in names for word in ("-m", name))
    outcome = run("eval", *asked, "--suite", "rendered-demo", "--dry-run")
    assert json.loads(outcome.out)["models"] == list(names), outcome.err
