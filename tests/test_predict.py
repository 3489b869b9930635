"""Reading a split: any batch size, any interruption, one file; wrong recognizers are named."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_streams import split_of

from strbench.errors import DATA, DEVICE, StrbenchError
from strbench.files import lock
from strbench.predict import card_of, predict
from strbench.predictions import read_predictions
from strbench.store import Split
from strbench.types import Card, Reading

N = 30


class Sums:
    """Reads every image as the sum of its pixels; remembers the sizes of its batches."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def read(self, images: Sequence[np.ndarray]) -> list[Reading]:
        self.sizes.append(len(images))
        return [Reading(f"s{int(i.sum())}\u00e9", float(i.mean()) / 255) for i in images]


class Answers:
    def __init__(self, answer: Callable[[int], Any]) -> None:
        self.answer = answer

    def read(self, images: Sequence[np.ndarray]) -> Any:
        return self.answer(len(images))


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Split:
    return split_of(tmp_path_factory.mktemp("data") / "s", N)


def journal(output: Path) -> Path:
    return output.with_name(output.name + ".partial.jsonl")


def left(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_batch_size_changes_nothing(split: Split, tmp_path: Path) -> None:
    contents = set()
    for size in (1, 7, 64):
        reader = Sums()
        output = tmp_path / f"{size}.jsonl"
        progress: list[tuple[int, int]] = []
        run = predict(
            reader, split, output, key="m", batch_size=size,
            on_batch=lambda *done: progress.append(done),  # noqa: B023
        )  # fmt: skip
        contents.add(output.read_bytes())
        assert (run.read, run.batch_size) == (N, size)
        assert max(reader.sizes) == min(size, N)
        assert progress[-1] == (N, N)
    assert len(contents) == 1
    stored = read_predictions(tmp_path / "7.jsonl")
    assert stored == run.predictions
    assert stored.ids == split.ids
    assert all(c is not None and 0 < c < 1 for c in stored.confidences)
    assert left(tmp_path) == ["1.jsonl", "64.jsonl", "7.jsonl"]


def test_own_batch_size_card_and_limit(split: Split, tmp_path: Path) -> None:
    reader = Sums()
    reader.batch_size = 4  # type: ignore[attr-defined]
    reader.card = Card(  # type: ignore[attr-defined]
        name="sums", kind="engine", title="t", resize="stretch-bicubic", height=5, width=9
    )
    shapes = set()
    read = reader.read
    reader.read = lambda images: (  # type: ignore[method-assign]
        shapes.update(i.shape for i in images) or read(images)
    )
    run = predict(reader, split, tmp_path / "a.parquet", key="m", limit=10)
    assert shapes == {(5, 9, 3)}
    assert reader.sizes == [4, 4, 2]
    assert run.predictions.ids == split.ids[:10]
    assert read_predictions(tmp_path / "a.parquet").ids == split.ids[:10]
    assert card_of(Sums()).name == "Sums"


_KILLED = f"""
import os, signal, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
from strbench.predict import predict
from strbench.store import open_split
from test_predict import Sums
class Dies(Sums):
    def read(self, images):
        if len(self.sizes) == 3:
            os.kill(os.getpid(), int(sys.argv[3]))
        return super().read(images)
predict(Dies(), open_split(Path(sys.argv[1])), Path(sys.argv[2]), key="m", batch_size=4)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_killed_run_goes_on(split: Split, tmp_path: Path, number: signal.Signals) -> None:
    output = tmp_path / "out.jsonl"
    arguments = [str(split.directory), str(output), str(int(number))]
    assert subprocess.run(
        [sys.executable, "-c", _KILLED, *arguments], capture_output=True
    ).returncode
    assert not output.exists()
    with journal(output).open("ab") as file:  # the last line is half-written, inside a character
        file.write('["29.png", "s\u00e9'.encode()[:-1])
    reader = Sums()
    run = predict(reader, split, output, key="m", batch_size=64)
    assert run.read == N - 12
    assert reader.sizes == [N - 12]
    assert left(tmp_path) == ["out.jsonl"]
    predict(Sums(), split, tmp_path / "whole.jsonl", key="m")
    assert output.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()


def interrupted(split: Split, output: Path, *, key: str = "m") -> None:
    """A journal with the first 8 samples."""
    batches = iter([True, True])

    def answer(n: int) -> list[str]:
        if not next(batches, False):
            raise KeyboardInterrupt
        return ["old"] * n

    with pytest.raises(KeyboardInterrupt):
        predict(Answers(answer), split, output, key=key, batch_size=4)


def test_journals_of_others_are_not_continued(split: Split, tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    interrupted(split, output)
    assert predict(Sums(), split, output, key="m").read == N - 8
    interrupted(split, output, key="other model")
    assert predict(Sums(), split, output, key="m").read == N
    interrupted(split, output)
    changed = split_of(tmp_path / "changed", N, name="b")
    run = predict(Sums(), changed, output, key="m")
    assert run.read == N
    assert "old" not in run.predictions.texts


def test_limit_and_journal(split: Split, tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    interrupted(split, output)
    progress: list[tuple[int, int]] = []
    run = predict(
        Sums(), split, output, key="m", limit=5, on_batch=lambda *done: progress.append(done)
    )
    assert (run.read, run.predictions.texts) == (0, ["old"] * 5)
    interrupted(split, output)
    run = predict(
        Sums(), split, output, key="m", limit=10, on_batch=lambda *done: progress.append(done)
    )
    assert run.read == 2
    assert progress == [(10, 10)]


@pytest.mark.parametrize("line", ["7", "[1]", "{nonsense", '"text"'])
def test_damaged_journal_is_an_error(split: Split, tmp_path: Path, line: str) -> None:
    output = tmp_path / "out.jsonl"
    interrupted(split, output)
    with journal(output).open("a") as file:
        file.write(line + "\n")
    with pytest.raises(StrbenchError, match="is damaged") as caught:
        predict(Sums(), split, output, key="m")
    assert caught.value.exit_code == DATA
    assert caught.value.hint == f"rm '{journal(output)}'"
    journal(output).write_text("")
    assert predict(Sums(), split, output, key="m").read == N


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (lambda n: ["a"] * (n - 1), "29 results"),
        (lambda n: ["a"] * (n + 1), "31 results"),
        (lambda n: [], "0 results"),
        (lambda n: None, "nothing"),
        (lambda n: "a" * n, "a str"),
        (lambda n: {str(i): 0.5 for i in range(n)}, "a dict"),
        (lambda n: ("a" for _ in range(n)), "a generator"),
        (lambda n: [None] * n, "None"),
        (lambda n: [3] * n, "3"),
        (lambda n: [("a", 0.5, 1)] * n, r"\('a', 0.5, 1\)"),
        (lambda n: [("a", "0.5")] * n, r"\('a', '0.5'\)"),
        (lambda n: [("a", 1.5)] * n, r"\('a', 1.5\)"),
        (lambda n: [("a", float("nan"))] * n, r"\('a', nan\)"),
        (lambda n: ["\ud800"] * n, "ud800"),
    ],
)
def test_wrong_answers(
    split: Split, tmp_path: Path, answer: Callable[[int], Any], found: str
) -> None:
    with pytest.raises(StrbenchError, match=f"for each of 30 images, found .*{found}") as caught:
        predict(Answers(answer), split, tmp_path / "out.jsonl", key="m")
    assert caught.value.exit_code == 2
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (lambda n: ["a"] * n, ("a", None)),
        (lambda n: tuple(["a"] * n), ("a", None)),
        (lambda n: np.array(["a"] * n), ("a", None)),
        (lambda n: [("a", np.float32(0.5))] * n, ("a", 0.5)),
        (lambda n: [Reading("a", 1)] * n, ("a", 1.0)),
        (lambda n: [Reading("")] * n, ("", None)),
    ],
)
def test_answers_that_are_understood(
    split: Split, tmp_path: Path, answer: Callable[[int], Any], expected: tuple[str, float | None]
) -> None:
    found = predict(Answers(answer), split, tmp_path / "out.jsonl", key="m").predictions
    assert list(zip(found.texts, found.confidences, strict=True)) == [expected] * N
    assert all(type(text) is str for text in found.texts)
    assert read_predictions(tmp_path / "out.jsonl") == found


def test_memory_halves_the_batch_once(split: Split, tmp_path: Path) -> None:
    sizes: list[int] = []

    def answer(n: int) -> list[str]:
        sizes.append(n)
        if n > 4:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return ["a"] * n

    run = predict(Answers(answer), split, tmp_path / "out.jsonl", key="m", batch_size=16)
    assert len(run.predictions) == N
    assert sizes == [16, 8, 4, 4, 4, 4, 4, 4, 4, 2], "what did not fit is not tried again"
    assert run.batch_size == 4

    def never(n: int) -> list[str]:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    with pytest.raises(StrbenchError, match=r"one image of \d+ x 8 pixels") as caught:
        predict(Answers(never), split, tmp_path / "never.jsonl", key="m")
    assert caught.value.exit_code == DEVICE

    def other(n: int) -> list[str]:
        raise RuntimeError("a bug")

    place = re.escape(f"({__file__}:{other.__code__.co_firstlineno + 1})")
    told = rf"^mine:build\.read on a/train: RuntimeError: a bug {place}\. Put STRBENCH_DEBUG=1 "
    with pytest.raises(StrbenchError, match=told) as caught:
        predict(Answers(other), split, tmp_path / "bug.jsonl", key="m", name="mine:build")
    assert isinstance(caught.value.__cause__, RuntimeError)

    class OfStrbench(Answers):
        __module__ = "strbench.baselines.recognition.one"

    with pytest.raises(RuntimeError, match="a bug"):  # keeps its traceback
        predict(OfStrbench(other), split, tmp_path / "bug.jsonl", key="m")


def test_two_processes_on_one_output(split: Split, tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    with (
        lock(tmp_path / ".out.jsonl.lock", what="it"),
        pytest.raises(StrbenchError, match="another process"),
    ):
        predict(Sums(), split, output, key="m")
    assert left(tmp_path) == []


def test_suffix_is_checked_before_anything_is_read(split: Split, tmp_path: Path) -> None:
    reader = Sums()
    with pytest.raises(StrbenchError, match=r"out\.xlsx: predictions are written as .parquet"):
        predict(reader, split, tmp_path / "out.xlsx", key="m")
    assert reader.sizes == []


def test_damaged_image_is_named(
    split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = Split.image
    monkeypatch.setattr(Split, "image", lambda self, i: b"\xff\xd8" if i == 21 else image(self, i))
    output = tmp_path / "out.jsonl"
    with pytest.raises(StrbenchError, match=r"a/train: 21.png: not a readable image"):
        predict(Sums(), split, output, key="m", batch_size=4)
    monkeypatch.undo()
    lines = journal(output).read_text().splitlines()
    assert json.loads(lines[0])["fingerprint"] == split.fingerprint
    assert predict(Sums(), split, output, key="m").read == N - (len(lines) - 1) < N
