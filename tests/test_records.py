"""The run record: written first, whole or not at all, valid or refused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from strbench import records
from strbench.errors import DATA, StrbenchError
from strbench.provenance import anonymous, expand, git_state
from strbench.scores import Accuracy, Data, Stored


def score(split: str = "svt/test", **changes: Any) -> dict[str, Any]:
    return {
        "split": split,
        "fingerprint": "ab" * 32,
        "n": 647,
        "protocol": "strbench-36",
        "signature": f"wacc|case:lower|chars:36|labels:standard|resize:stretch-bicubic-32x128|n:647|{split}@abababab|v0.1",
        "rendered": False,
        "word_accuracy": {"correct": 600, "n": 647, "low": 0.9046123456, "high": 0.9453123456},
        "one_minus_ned": {"sum": 630.123456, "n": 647, "low": 0.961234567, "high": 0.981234567},
        "ladder": {"exact": 550, "case": 580, "alnum": 600},
        "predictions": {
            "path": f"$STRBENCH_HOME/predictions/vit-ctc-micro.smoke/{split}.parquet",
            "sha256": "cd" * 32,
        },
        **changes,
    }


def start(folder: Path, **changes: Any) -> records.Record:
    settings: dict[str, Any] = {"kind": "eval", "name": "vit-ctc-micro.smoke", "records": folder}
    return records.start(**{**settings, **changes})


def test_a_run_is_on_disk_before_its_work_begins(tmp_path: Path) -> None:
    record = start(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [record.path.name]
    assert records.load(record.path).status == "started"
    assert records.load(record.path).finished is None


def test_what_is_saved_is_what_is_loaded(tmp_path: Path) -> None:
    record = start(
        tmp_path,
        protocol="strbench-36",
        config={"lr": 1e-3, "folder": Path("x"), "betas": (0.9, 0.99)},
        typed=["lr=1e-3"],
        data=[Data(split="svt/test", n=647, fingerprint="ab" * 32, labels="standard")],
        weights=Stored(path="~/w.safetensors", sha256="ef" * 32),
        parents=["0123456789abcdef"],
        seed=7,
        environment={"device": "cpu", "batch_size": 64},
    )
    path = record.finish(
        scores=[score()], failures={"undecodable image": 2}, cost={"images_per_second": 81.5}
    )
    found = records.load(path)
    assert found == record
    assert found.status == "success"
    assert found.scores[0].word_accuracy == Accuracy(
        correct=600, n=647, low=0.9046123456, high=0.9453123456
    )
    assert found.config["resolved"] == {"lr": 1e-3, "folder": "x", "betas": [0.9, 0.99]}
    assert found.cost["images_per_second"] == 81.5
    assert found.cost["seconds"] >= 0
    assert found.cost["peak_memory_bytes"] > 1_000_000
    assert found.environment["device"] == "cpu"
    assert found.environment["python"] == ".".join(map(str, sys.version_info[:3]))
    assert found.failures == {"undecodable image": 2}


def test_an_evaluation_of_seven_sets_stays_under_ten_kilobytes(tmp_path: Path) -> None:
    splits = ("iiit5k", "svt", "ic13_857", "ic15_1811", "svtp", "cute80", "rendered_occluded_heavy")
    record = start(
        tmp_path,
        protocol="strbench-36",
        config={f"setting_{i}": i / 3 for i in range(30)},
        typed=["--suite", "common", "--batch-size", "auto", "--device", "cuda:0"],
        data=[
            Data(split=f"{s}/test", n=3000, fingerprint="ab" * 32, labels="case-sensitive")
            for s in splits
        ],
        weights=Stored(path="~/runs/vit-ctc-micro.smoke/w.safetensors", sha256="ef" * 32),
        parents=["0" * 16, "1" * 16],
        argv=["strbench", "eval", "--model", "vit-ctc-micro.smoke", "--suite", "common"],
    )
    path = record.finish(
        scores=[score(f"{s}/test") for s in splits],
        failures={"undecodable image": 3, "empty prediction": 41},
    )
    assert path.stat().st_size < 10_000


def test_the_run_id_depends_on_the_inputs_and_on_nothing_else(tmp_path: Path) -> None:
    base = start(tmp_path, protocol="strbench-36", config={"a": 1, "b": 2}, seed=0).run_id
    same = start(tmp_path, protocol="strbench-36", config={"b": 2, "a": 1}, seed=0, argv=["x"])
    assert same.run_id == base
    part = Data(split="svt/test", n=647, fingerprint="ab" * 32)
    weights = Stored(path="w", sha256="12")
    others = [
        start(tmp_path, protocol="strbench-94", config={"a": 1, "b": 2}, seed=0),
        start(tmp_path, protocol="strbench-36", config={"a": 1, "b": 3}, seed=0),
        start(tmp_path, protocol="strbench-36", config={"a": 1, "b": 2}, seed=1),
        start(tmp_path, protocol="strbench-36", config={"a": 1, "b": 2}, seed=0, data=[part]),
        start(tmp_path, protocol="strbench-36", config={"a": 1, "b": 2}, seed=0, weights=weights),
        start(tmp_path, protocol="strbench-36", config={"a": 1, "b": 2}, seed=0, limit=10),
    ]
    assert len({base, *(record.run_id for record in others)}) == 7


def test_a_second_run_of_the_same_inputs_does_not_touch_the_first(tmp_path: Path) -> None:
    first = start(tmp_path)
    first.finish(scores=[score()])
    second = start(tmp_path)
    assert second.run_id == first.run_id
    assert {records.load(path).status for path in tmp_path.iterdir()} == {"success", "started"}


KILLED = """
import sys, time
from pathlib import Path
from strbench import records
record = records.start(kind="eval", name="killed", records=Path(sys.argv[1]))
print(record.path, flush=True)
time.sleep(60)
record.finish()
"""


def test_a_killed_run_leaves_a_record_that_says_started(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    path = Path(process.stdout.readline().strip())
    os.kill(process.pid, signal.SIGKILL)
    process.wait(timeout=10)
    process.stdout.close()
    assert [record.status for record in records.load_all(tmp_path)] == ["started"]
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


REWRITING = """
import sys
from pathlib import Path
from strbench import records
record = records.start(kind="eval", name="x" * 40, records=Path(sys.argv[1]))
print(record.path, flush=True)
while True:
    record.error = "e" * 8000 if not record.error else ""
    record.save()
"""


def test_a_reader_never_sees_half_a_record_and_a_kill_leaves_none(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", REWRITING, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    path = Path(process.stdout.readline().strip())
    seen = set()
    end = time.monotonic() + 10
    while time.monotonic() < end and (len(seen) < 2 or time.monotonic() < end - 9.5):
        seen.add(len(records.load(path).error))
    process.kill()
    process.wait(timeout=10)
    process.stdout.close()
    assert seen == {0, 8000}
    assert len(records.load_all(tmp_path)) == 1


def test_a_save_that_fails_is_a_failed_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = start(tmp_path / "records")

    def refuse(*arguments: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(records, "write_atomically", refuse)
    with pytest.raises(StrbenchError, match="cannot be written") as caught:
        record.finish(scores=[score()])
    assert caught.value.exit_code == DATA
    assert records.load(record.path).status == "started"


def test_a_folder_that_cannot_be_made_stops_the_run_before_it_starts(tmp_path: Path) -> None:
    (tmp_path / "records").write_text("a file where the folder should be")
    with pytest.raises(StrbenchError, match="cannot be written"):
        start(tmp_path / "records")


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (ValueError("no such thing"), "error", "ValueError: no such thing"),
        (KeyboardInterrupt(), "partial", "interrupted"),
    ],
)
def test_a_block_that_raises_ends_its_record(
    tmp_path: Path, error: BaseException, status: str, message: str
) -> None:
    with pytest.raises(type(error)), start(tmp_path):
        raise error
    (found,) = records.load_all(tmp_path)
    assert (found.status, found.error) == (status, message)


def test_a_block_without_a_result_is_an_error_and_an_ended_record_stays(tmp_path: Path) -> None:
    with start(tmp_path):
        pass
    with start(tmp_path) as record:
        record.partial(reason="stopped at batch 7", scores=[score()])
    assert [found.status for found in records.load_all(tmp_path)] == ["error", "partial"]
    with pytest.raises(RuntimeError, match="has ended already"):
        record.finish()


def test_a_long_error_message_is_cut(tmp_path: Path) -> None:
    path = start(tmp_path).fail("x" * 100_000)
    assert path.stat().st_size < 10_000


def test_the_record_names_no_home_folder_and_no_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("strbench.provenance._user", lambda: "ada")
    monkeypatch.setenv("HOME", "/home/ada")
    monkeypatch.setenv("STRBENCH_HOME", "/scratch/ada/strbench")
    record = start(
        tmp_path,
        argv=["strbench", "--out=/home/ada/x.json", "/mnt/ada/y", "/mnt/adam/z"],
        config={"weights": "/scratch/ada/strbench/runs/w"},
        typed={"paths": ["/home/ada"]},
    )
    path = record.fail("no file /home/ada/x.json")
    text = path.read_text()
    assert "ada/" not in text.replace("adam/", "")
    assert json.loads(text)["argv"] == ["strbench", "--out=~/x.json", "/mnt/USER/y", "/mnt/adam/z"]
    assert json.loads(text)["config"]["resolved"]["weights"] == "$STRBENCH_HOME/runs/w"
    assert anonymous("/x/home/ada") == "/x/home/USER"


def test_a_stored_path_leads_back_to_its_file(home: Path, tmp_path: Path) -> None:
    file = home / "predictions" / "a.parquet"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"abc")
    stored = records.stored(file)
    assert stored.path == "$STRBENCH_HOME/predictions/a.parquet"
    assert expand(stored.path) == file
    # SHA-256 of "abc": FIPS 180-2, appendix B.1
    assert stored.sha256.startswith("ba7816bf8f01cfea")


def test_git_state_is_that_of_the_checkout_or_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    before = git_state()
    assert before is None or set(before) == {"commit", "dirty"}
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    assert git_state() == before
    monkeypatch.setenv("PATH", "/nowhere")
    assert git_state() is None


BROKEN: list[tuple[str, Any]] = [
    ("is not JSON", "{"),
    ("holds a list", []),
    ("has no 'schema' number", {}),
    ("newer strbench", {"schema": 99}),
    ("'run_id'", {"run_id": None}),
    ("unknown status", {"status": "done"}),
    ("unknown kind", {"kind": "test"}),
    ("limit that is no number", {"limit": "10"}),
    ("no list in 'scores'", {"scores": {}}),
    ("no object in 'scores'", {"scores": [3]}),
    ("no int in 'scores.n'", {"scores": [score(n=None)]}),
    ("no str in 'scores.split'", {"scores": [{"n": 1}]}),
    ("no int in 'scores.word_accuracy.correct'", {"scores": [score(word_accuracy={"n": 647})]}),
    ("counts 646 of 647", {"scores": [score(word_accuracy={"correct": 1, "n": 646})]}),
    ("700 correct of 647", {"scores": [score(word_accuracy={"correct": 700, "n": 647})]}),
    ("no str in 'weights.sha256'", {"weights": {"path": "x"}}),
]


@pytest.mark.parametrize(("message", "content"), BROKEN, ids=[message for message, _ in BROKEN])
def test_a_broken_record_is_refused_by_name(tmp_path: Path, message: str, content: Any) -> None:
    path = start(tmp_path).finish(scores=[score()])
    whole = json.loads(path.read_text())
    if isinstance(content, str):
        path.write_text(content)
    elif isinstance(content, dict) and content:
        path.write_text(json.dumps({**whole, **content}))
    else:
        path.write_text(json.dumps(content))
    with pytest.raises(StrbenchError, match=r"valid run record|schema 99") as caught:
        records.load_all(tmp_path)
    assert message in caught.value.message
    assert str(path) in caught.value.message
    assert caught.value.hint
    assert caught.value.exit_code == DATA


def test_fields_of_later_versions_of_this_schema_are_ignored(tmp_path: Path) -> None:
    path = start(tmp_path).finish(scores=[score(colour="blue")])
    path.write_text(json.dumps({**json.loads(path.read_text()), "mood": "good"}))
    assert records.load(path).scores[0].n == 647


def test_no_records_names_the_next_command(tmp_path: Path) -> None:
    with pytest.raises(StrbenchError) as caught:
        records.load_all(tmp_path / "none")
    assert "strbench eval" in caught.value.hint
    with pytest.raises(StrbenchError, match="There is no run record"):
        records.load(tmp_path / "none.json")
