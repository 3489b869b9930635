"""The command line as a whole: help, list, show, doctor, exit codes, pipes and interrupts."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from running import Outcome, Run

from strbench import registry
from strbench.cli import _PANELS, main
from strbench.cli.console import Progress, print_table, say
from strbench.cli.show import _KINDS, known_names
from strbench.errors import DATA, DEVICE, PARTIAL, USAGE, StrbenchError

VERBS = [*(verb for verbs in _PANELS.values() for verb in verbs), "data fetch", "data import"]
LISTS = (
    "methods",
    "models",
    "engines",
    "datasets",
    "splits",
    "suites",
    "metrics",
    "protocols",
    "runs",
)
HEAVY = (
    "torch", "numpy", "polars", "pandas", "pyarrow", "PIL", "lmdb", "scipy", "shapely", "rapidfuzz",
    "safetensors", "pydantic", "jinja2", "onnxruntime", "cv2", "rapidocr",
)  # fmt: skip


def process(*words: str, code: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """The same in a process of its own."""
    command = [sys.executable, "-c", code] if code else [sys.executable, "-m", "strbench", *words]
    env = {**os.environ, "COLUMNS": "80", **environment}
    return subprocess.run(command, capture_output=True, text=True, env=env, timeout=120)


@pytest.mark.parametrize("verb", VERBS)
def test_help_has_two_unbroken_examples(
    run: Run, verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    outcome = run(*verb.split(), "--help")
    assert outcome.code == 0
    lines = [line.strip() for line in outcome.out.splitlines()]
    examples = [line for line in lines if line.startswith(f"strbench {verb}")]
    assert len(examples) == 2, outcome.out
    for example in examples:  # nothing is broken off: a blank line follows each
        assert lines[lines.index(example) + 1] == ""
    assert "╭─ Common" in outcome.out
    assert "─ Options" not in outcome.out
    assert "<bool>" not in outcome.out


@pytest.mark.parametrize("verb", ["pretrain", "finetune", "predict", "eval"])
def test_long_commands_share_their_options(run: Run, verb: str) -> None:
    text = run(verb, "--help").out
    for option in ("--device", "--batch-size", "--dry-run", "--json"):
        assert option in text
    assert ("--seed" if verb in ("pretrain", "finetune") else "--limit") in text
    for panel in ("Data", "Compute", "Output"):
        assert f"╭─ {panel} " in text


def loaded_after(words: str, **environment: str) -> str:
    """The heavy modules that a command leaves in ``sys.modules``, as the last line it prints."""
    code = (
        f"import sys; from strbench.cli import main; sys.argv = {words.split()!r}\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        f"print(sorted(set({HEAVY!r}) & set(sys.modules)))"
    )
    found = process(code=code, **environment)
    assert found.stderr == ""
    return found.stdout.splitlines()[-1]


def test_help_imports_nothing_heavy() -> None:
    assert loaded_after("strbench --help") == "[]"
    assert loaded_after("strbench --version") == "[]"
    # typer's own parser needs pydantic for the options of a verb; nothing of ours does.
    assert loaded_after("strbench eval --help") in ("[]", "['pydantic']")


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("strbench pre", ["pretrain", "predict"]),
        ("strbench eval --suite occ", ["occluded"]),
        ("strbench show cute80/", ["cute80/test"]),
        ("strbench eval -m tess", ["tesseract"]),
        ("strbench eval --data svtp", ["svtp/test"]),
        ("strbench finetune --from sc", ["scratch"]),
        ("strbench list pro", ["protocols"]),
        ("strbench data fetch ic15_1", ["ic15_1811/test"]),
    ],
)
def test_completion_offers_names_and_imports_nothing_heavy(
    home: Path, words: str, offered: list[str]
) -> None:
    environment = {
        "_STRBENCH_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(words.count(" ")),
    }
    assert process(**environment).stdout.split() == offered
    assert loaded_after("strbench", **environment) in ("[]", "['pydantic']")


def test_a_misspelt_verb_offers_the_near_one(run: Run) -> None:
    outcome = run("evl")
    assert outcome.code == 2
    assert "eval" in outcome.err
    assert outcome.out == ""


def test_help_says_the_exit_codes(run: Run) -> None:
    page = " ".join(run("--help").out.replace("│", " ").split())
    said = page.partition("Exit codes: ")[2]
    assert [f"{code} " in said for code in (USAGE, DATA, DEVICE, PARTIAL)] == [True] * 4


def test_version(run: Run) -> None:
    from strbench import __version__

    assert run("--version").out == f"strbench {__version__}\n"


def test_list_without_a_word_is_a_short_overview(run: Run) -> None:
    outcome = run("list")
    assert len(outcome.out.splitlines()) < 20
    assert (
        f"| datasets | {len(registry.names('datasets'))} | iiit5k svt svtp cute80 " in outcome.out
    )
    assert "| runs | 0 | none yet; make one with: strbench pretrain dig |" in outcome.out
    assert set(json.loads(run("list", "--json").out)) == set(LISTS)


@pytest.mark.parametrize("what", LISTS)
def test_lists_are_tables_and_json(run: Run, what: str) -> None:
    text = run("list", what).out
    rows = json.loads(run("list", what, "--json").out)
    tables = len({row.get("task") for row in rows})  # one for each task
    assert len([line for line in text.splitlines() if line.startswith("| ")]) == (
        len(rows) + 2 * tables
    )
    assert "\x1b" not in text
    for row in rows:
        assert row["name"] in text


def test_list_of_datasets_says_what_a_user_needs(run: Run) -> None:
    rows = {row["name"]: row for row in json.loads(run("list", "datasets", "--json").out)}
    assert rows["ic15"] == {
        "name": "ic15",
        "task": "recognition",
        "what": "ICDAR 2015 Incidental Scene Text, words",
        "splits": "train 4,468 · ic15_1811 1,811 · ic15_2077 2,077",
        "access": "direct hf",
        "licence": "CC BY 4.0",
        "prepared": "no",
    }
    assert rows["str_fewer_labels"]["splits"].endswith(" · 20 more")
    assert {row["licence"] for row in rows.values()} == {
        "none stated", "research", "CC BY 4.0", "non-commercial", "MIT", "academic", "Apache-2.0"
    }  # fmt: skip


def test_list_of_splits_has_every_count(run: Run) -> None:
    rows = {row["name"]: row for row in json.loads(run("list", "splits", "--json").out)}
    assert rows["cute80/test"] == {
        "name": "cute80/test",
        "n": 288,
        "regions": None,
        "ignored": None,
        "task": "recognition",
        "access": "hf direct",
        "licence": "none stated",
        "prepared": "no",
    }
    totaltext = rows["totaltext_det/test"]
    assert (totaltext["n"], totaltext["regions"]) == (300, "2215 to 2548")


def test_list_of_something_else(run: Run) -> None:
    outcome = run("list", "dataset")
    assert outcome.code == 2
    assert "No list is named 'dataset'; near names: datasets, " in outcome.err


@pytest.mark.parametrize("name", [n for n in known_names() if n not in ("rapidocr", "tesseract")])
def test_everything_listed_can_be_shown(run: Run, name: str) -> None:
    outcome = run("show", name)
    assert outcome.code == 0
    assert outcome.out.strip()
    document = json.loads(run("show", name, "--json").out)
    assert document["kind"] in _KINDS


def test_show_a_method_has_the_recipes_side_by_side(run: Run) -> None:
    text = run("show", "dig").out
    assert "| setting | paper | small |" in text
    assert "| batch_size | 1024 | 256 |" in text
    assert "| mask_ratio |" not in text  # the same in all recipes
    assert "mask_ratio 0.7" in text
    assert "base trainable: 60,826,032" in text


def test_show_a_protocol_explains_it(run: Run) -> None:
    text = run("show", "parseq-36").out
    assert "Differs from strbench-36:" in text
    assert "Source: " in text


def test_show_a_suite_has_n_per_split(run: Run) -> None:
    text = run("show", "occluded").out
    assert "| host/test | 2416 | no |" in text
    assert "2 splits, 4,832 images" in text
    assert "--stand-in" in text


def test_show_a_metric_has_its_docstring(run: Run) -> None:
    text = run("show", "one_minus_ned").out
    assert "Two empty texts give 1" in text
    assert "Source: ICDAR 2019" in text


def test_show_a_name_of_two_kinds(run: Run) -> None:
    first = run("show", "rendered")
    assert "Rendered words" in first.out
    assert "strbench show suite rendered" in first.err
    second = run("show", "suite", "rendered")
    assert "3,500 images" in second.out
    assert second.err == ""


def test_show_unknown_names(run: Run) -> None:
    outcome = run("show", "cute8")
    assert outcome.code == 2
    assert outcome.err.startswith("error: No entry is named 'cute8'; near names: cute80, ")
    assert outcome.last == "hint: See: strbench list"
    assert "near names: suite, " in run("show", "suit", "occluded").err
    assert "found 3 words" in run("show", "a", "b", "c").err


def test_doctor(run: Run) -> None:
    document = json.loads(run("doctor", "--json").out)
    assert document["prepared splits"] == []
    assert set(document["engines"]) == {"rapidocr", "tesseract", "onnx"}
    assert "disk free: " in run("doctor").out


def test_errors_have_one_hint_and_no_traceback(run: Run) -> None:
    outcome = run("data", "info", "cute8")
    assert outcome.code == 2
    assert outcome.out == ""
    error, hint = outcome.err.splitlines()
    assert error.startswith("error: No dataset is named 'cute8'; near names: cute80, ")
    assert hint == "hint: See: strbench list datasets"


def test_a_home_that_cannot_be_written(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("STRBENCH_HOME", str(tmp_path / "file"))
    outcome = run("data", "fetch", "rendered_regular/test")
    assert outcome.code == 2
    assert "Not a directory" in outcome.err
    assert "STRBENCH_HOME" in outcome.last


def test_a_home_that_cannot_be_made(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRBENCH_HOME", "/proc/nothing/here")
    outcome = run("data", "fetch", "rendered_regular/test")
    assert outcome.code == 2
    assert "STRBENCH_HOME" in outcome.last


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory")]
)
def test_exhausted_memory_is_exit_4(
    run: Run, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(name: str) -> Any:
        raise error

    monkeypatch.setattr("strbench.cli.show.known_names", fail)
    monkeypatch.setitem(_KINDS, "method", (lambda: fail(""), _KINDS["method"][1]))
    outcome = run("show", "dig")
    assert outcome.code == DEVICE
    assert "--batch-size" in outcome.last


def test_bugs_keep_their_traceback(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> Any:
        raise RuntimeError("a bug")

    monkeypatch.setitem(_KINDS, "method", (fail, _KINDS["method"][1]))
    monkeypatch.setattr(sys, "argv", ["strbench", "show", "dig"])
    with pytest.raises(RuntimeError, match="a bug"):
        main()


def test_ctrl_c_is_130_without_a_traceback(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt() -> Any:
        raise KeyboardInterrupt

    monkeypatch.setitem(_KINDS, "method", (interrupt, _KINDS["method"][1]))
    outcome = run("show", "dig")
    assert outcome.code == 130
    assert "Traceback" not in outcome.err


def shell(command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A line of bash, in which $S is strbench."""
    env = {**os.environ, "S": f"{sys.executable} -m strbench", **environment}
    return subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, env=env, timeout=120
    )


@pytest.mark.parametrize("words", ["list", "list splits --json", "--help"])
def test_a_reader_that_leaves_early_ends_a_command_as_the_signal_would(
    words: str, home: Path
) -> None:
    found = shell(f"$S {words} | true; exit ${{PIPESTATUS[0]}}")
    assert found.returncode == 141
    assert found.stderr == ""


@pytest.mark.parametrize("words", ["list", "list splits --json", "--help"])
def test_an_output_that_cannot_be_written_is_named(words: str, home: Path) -> None:
    hint = f"hint: Send it elsewhere: strbench {words} > out.txt\n"
    closed = shell(f"$S {words} >&-")
    assert closed.returncode == 2
    assert closed.stderr == f"error: The standard output is closed.\n{hint}"
    full = shell(f"$S {words} > /dev/full")
    what = "The standard output cannot be written: No space left on device."
    assert (full.returncode, full.stderr) == (3, f"error: {what}\n{hint}")


def test_closed_streams_that_are_not_needed(home: Path) -> None:
    found = shell("$S list suites --json <&- 2>&-")
    assert found.returncode == 0
    json.loads(found.stdout)
    assert shell("$S data info cute8 <&- 2>&-").stdout == "", "what goes to stderr stays off stdout"


@pytest.mark.parametrize(
    "environment",
    [
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"PYTHONIOENCODING": "ascii"},
    ],
)
def test_signs_that_the_encoding_lacks_are_escaped(environment: dict[str, str], home: Path) -> None:
    words = "report --suite common --reported"
    found = shell(f"$S {words}", **environment)
    assert found.returncode == 0, found.stderr
    assert "\\u2013" in found.stdout
    document = shell(f"$S {words} --json", **environment).stdout
    assert json.loads(document) == json.loads(shell(f"$S {words} --json").stdout)


def test_without_home_in_the_environment(tmp_path: Path) -> None:
    environment = {k: v for k, v in os.environ.items() if k not in ("HOME", "STRBENCH_HOME")}
    found = subprocess.run(
        [sys.executable, "-m", "strbench", "list", "suites"],
        capture_output=True, text=True, env=environment, timeout=60, cwd=tmp_path,
    )  # fmt: skip
    assert found.returncode == 0
    assert found.stderr == ""


def test_on_a_terminal_tables_are_ruled(home: Path) -> None:
    parent, child = pty.openpty()
    worker = subprocess.Popen(
        [sys.executable, "-m", "strbench", "list", "suites"], stdout=child, stderr=child,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "120"},
    )  # fmt: skip
    os.close(child)
    shown = b""
    while True:
        try:
            piece = os.read(parent, 1 << 16)
        except OSError:  # the other end is closed
            break
        if not piece:
            break
        shown += piece
    os.close(parent)
    assert worker.wait(60) == 0
    text = re.sub(r"\x1b\[[0-9;]*m", "", shown.decode())
    assert "┃ name" in text
    assert "rendered-irregular" in text


def test_report_without_measurements_says_how_to_measure(run: Run, home: Path) -> None:
    fresh = run("report", "--markdown")
    assert fresh.code == 2
    assert fresh.last == "hint: strbench eval --suite rendered"
    (home / "records").mkdir(parents=True)
    empty = run("report", "--markdown")
    assert empty.code == 0
    assert empty.last == "To measure: strbench eval --suite rendered"
    assert json.loads(run("report", "--json").out)["tables"] == []
    named = run("report", "--suite", "nosuch")
    assert named.code == 2
    assert "near names: " in named.err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("pretrain digg", "No method is named 'digg'; near names: dig, "),
        ("pretrain dig --recipe smokey", "No recipe is named 'smokey'; near names: smoke, "),
        ("pretrain dig --set lrr=1", "No setting is named 'lrr'; near names: lr, "),
        ("pretrain dig --first 2", "--first 2: expected a fraction"),
        ("pretrain dig --batch-size many", "--batch-size many: expected auto or a number"),
        ("pretrain dig --device gpu", "'gpu' is not a device"),
        ("finetune --from nosuch", "No finished run is named 'nosuch'"),
        ("finetune vit-ctx", "No model is named 'vit-ctx'; near names: vit-ctc"),
    ],
)
def test_training_refuses_a_typo_before_it_draws_data(
    run: Run, home: Path, words: str, expected: str
) -> None:
    outcome = run(*words.split())
    assert outcome.code == 2
    assert expected in outcome.err
    assert "Traceback" not in outcome.err
    assert not home.exists()


def test_progress_without_a_terminal_is_ten_lines(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress("reading")
    for done in range(1, 1001):
        progress(done, 1000)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 10
    assert lines[-1] == "reading 1000/1000"


def test_tables_keep_signs_of_labels(capsys: pytest.CaptureFixture[str]) -> None:
    print_table([{"label": "a|b", "n": 1}, {"label": "[bold]x"}], title="odd")
    assert capsys.readouterr().out.splitlines()[2:] == [
        "| label | n |",
        "| --- | --- |",
        "| a\\|b | 1 |",
        "| [bold]x |  |",
        "",
    ]
    say("done")
    assert capsys.readouterr().err == "done\n"


def test_hints_of_several_lines_are_aligned(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> Any:
        raise StrbenchError("It broke.", hint="one\ntwo", exit_code=3)

    monkeypatch.setitem(_KINDS, "method", (fail, _KINDS["method"][1]))
    assert run("show", "dig") == Outcome(3, "", "error: It broke.\nhint: one\n      two\n")
