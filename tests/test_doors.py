"""The notebook's door: load, evaluate, score and results with an object of one's own."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import strbench
from strbench.errors import StrbenchError
from strbench.masks import TEXT, encode_mask
from strbench.predictions import Predictions, write_predictions
from strbench.rendered import write
from strbench.store import Split, split_directory, write_split
from strbench.types import Region, Sample

SPLIT = "rendered_regular/test"
N = 12


@pytest.fixture
def split(home: Path) -> Split:
    """The first words of a rendered split, prepared."""
    return write(SPLIT, split_directory(SPLIT), n=N)


class Reader:
    """Reads every word right but the first; nothing is inherited and nothing registered."""

    def __init__(self, split: Split) -> None:
        self.texts = [label or "" for label in split.labels]
        self.texts[0] = "~"
        self.seen = 0

    def read(self, images: Sequence[np.ndarray]) -> list[str]:
        assert all(image.dtype == np.uint8 and image.shape[2] == 3 for image in images)
        start, self.seen = self.seen, self.seen + len(images)
        return self.texts[start : self.seen]


def test_import_loads_nothing_heavy() -> None:
    code = (
        "import sys, strbench; strbench.Recognizer, strbench.Card;"
        "heavy = {'torch', 'numpy', 'polars', 'pandas', 'PIL', 'lmdb', 'typer', 'rich', 'scipy'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_everything_public_is_there() -> None:
    for name in strbench.__all__:
        assert getattr(strbench, name).__doc__, name


def test_a_recognizer_is_known_by_its_shape(split: Split) -> None:
    assert isinstance(Reader(split), strbench.Recognizer)
    assert not isinstance(object(), strbench.Recognizer)


def test_load_opens_what_is_prepared(split: Split) -> None:
    loaded = strbench.load(SPLIT)
    assert (loaded.name, loaded.n) == (SPLIT, N)
    assert loaded.fingerprint == split.fingerprint


def test_load_names_what_to_bring(home: Path) -> None:
    with pytest.raises(StrbenchError, match="licence, which is not accepted yet"):
        strbench.load("svt/test")
    with pytest.raises(StrbenchError, match="near names: cute80"):
        strbench.load("cute8/test")


def test_evaluate_an_object(split: Split, home: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    record = strbench.evaluate(
        Reader(split), "rendered-regular", on_batch=lambda *told: seen.append(told)
    )
    (score,) = record.scores
    assert score.word_accuracy is not None
    assert (score.word_accuracy.correct, score.word_accuracy.n) == (N - 1, N)
    assert (record.name, record.status, score.rendered) == ("Reader", "success", True)
    assert seen[-1] == (SPLIT, N, N)
    assert record.path.is_file()


def test_evaluate_and_score_agree(split: Split, tmp_path: Path) -> None:
    record = strbench.evaluate(Reader(split), SPLIT, protocol="strbench-exact")
    path = tmp_path / "mine.jsonl"
    write_predictions(path, Predictions(split.ids, Reader(split).texts, [None] * N))
    again = strbench.score(path, SPLIT, protocol="strbench-exact")
    assert again.name == "mine"
    assert again.scores[0].word_accuracy == record.scores[0].word_accuracy
    assert again.scores[0].one_minus_ned == record.scores[0].one_minus_ned


def test_score_takes_what_every_task_answers(home: Path, tmp_path: Path) -> None:
    outline = ((10.0, 10.0), (60.0, 10.0), (60.0, 30.0), (10.0, 30.0))
    picture = io.BytesIO()
    Image.new("RGB", (80, 40)).save(picture, "PNG")
    shared = {"dataset": "mine", "labels": "custom"}
    found = Sample("img_1", picture.getvalue(), regions=(Region(outline, "w"),))
    write_split(
        split_directory("mine/photographs"),
        [found],
        split="photographs",
        task="detection",
        **shared,
    )
    mask = np.zeros((40, 80), np.uint8)
    mask[:, :20] = TEXT
    crop = Sample("a", picture.getvalue(), mask=encode_mask(mask))
    write_split(split_directory("mine/masks"), [crop], split="masks", task="segmentation", **shared)

    (tmp_path / "det").mkdir()
    (tmp_path / "det" / "res_img_1.txt").write_text("10,10,60,10,60,30,10,30\n")
    record = strbench.score(tmp_path / "det", "mine/photographs", protocol="ic15-iou")
    assert record.scores[0].figures["hmean"].value == 1
    assert record.name == "det"
    (tmp_path / "masks").mkdir()
    Image.fromarray(np.where(mask == TEXT, 255, 0).astype(np.uint8)).save(
        tmp_path / "masks" / "a.png"
    )
    masks = strbench.score(tmp_path / "masks", "mine/masks", name="all")
    assert (masks.name, masks.scores[0].protocol) == ("all", "textseg")
    assert masks.scores[0].figures["fg_iou"].value == 1
    with pytest.raises(StrbenchError, match="textseg is a protocol of segmentation"):
        strbench.score(tmp_path / "det", "mine/photographs", protocol="textseg")
    with pytest.raises(StrbenchError, match="mine/photographs has no protocol of its own"):
        strbench.score(tmp_path / "det", "mine/photographs")


def test_results_is_a_table_of_every_score(split: Split) -> None:
    import pandas as pd

    strbench.evaluate(Reader(split), SPLIT)
    frame = strbench.results(reported=False)
    assert isinstance(frame, pd.DataFrame)
    row = frame[frame["metric"] == "word_accuracy"].iloc[0]
    assert (row["model"], row["split"], row["n"]) == ("Reader", SPLIT, N)
    assert row["value"] == pytest.approx((N - 1) / N)
    assert set(strbench.results()["kind"]) == {"measured", "reported"}


def test_a_limited_run_enters_no_table(split: Split) -> None:
    record = strbench.evaluate(Reader(split), SPLIT, limit=5)
    assert record.limit == 5
    assert record.scores[0].n == 5
    assert not strbench.results(reported=False)["enters"].any()


def test_unknown_names(split: Split) -> None:
    with pytest.raises(StrbenchError, match="No recognizer is named 'nosuch'"):
        strbench.evaluate("nosuch", SPLIT)
    with pytest.raises(StrbenchError, match="No protocol is named 'nosuch'"):
        strbench.evaluate(Reader(split), SPLIT, protocol="nosuch")
    with pytest.raises(StrbenchError, match="nosuch"):
        strbench.evaluate(Reader(split), "nosuch")


def test_a_misspelt_suite_offers_suites(home: Path) -> None:
    with pytest.raises(
        StrbenchError, match="No suite or split is named 'occlude'; near names: occ"
    ):
        strbench.evaluate(object.__new__(Reader), "occlude")
