"""`predict` on images of one's own, and the pictures of what was found."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image
from running import Run

from strbench.overlays import masked, overlay, write_overlays
from strbench.store import split_directory, write_split
from strbench.types import Detection, Region, Sample

GREEN = (0, 184, 122)
WORD = ((20.0, 20.0), (80.0, 20.0), (80.0, 40.0), (20.0, 40.0))
MODELS = f"""
WORD = {WORD}

import numpy as np
from strbench.types import Detection

class Read:
    batch_size = 2
    def read(self, images):
        assert len(images) <= 2
        return [("%dx%d" % image.shape[1::-1], 0.5) for image in images]

class Odd:
    def read(self, images):
        return ["a\\tb\\nc"]

class Find:
    def detect(self, images):
        return [[(WORD, 0.25, "word")] if image.mean() > 9 else [] for image in images]

class Mask:
    def segment(self, images):
        return [(image[..., 0] > 128).astype("float32") for image in images]

class Broken:
    def read(self, images):
        return []
"""


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "own_models.py").write_text(MODELS)
    monkeypatch.syspath_prepend(str(tmp_path))
    sys.modules.pop("own_models", None)
    return "own_models"


def picture(width: int, height: int, shade: int = 255) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), (shade, shade, shade)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def crops(tmp_path: Path) -> Path:
    folder = tmp_path / "crops"
    (folder / "more").mkdir(parents=True)
    (folder / "b.png").write_bytes(picture(30, 10))
    (folder / "a.PNG").write_bytes(picture(20, 10))
    (folder / "more" / "c.jpg").write_bytes(picture(40, 10))
    (folder / "notes.txt").write_text("no image")
    return folder


def green(image: Image.Image) -> int:
    return int((np.abs(np.asarray(image).astype(int) - GREEN).max(axis=2) <= 40).sum())


def test_a_file_or_a_folder_is_read_without_being_prepared(
    run: Run, home: Path, crops: Path, models: str, tmp_path: Path
) -> None:
    one = run("predict", f"{models}:Read", crops / "b.png")
    assert (one.code, one.out) == (0, "b.png\t30x10\t0.5000\n")
    all_of_them = run("predict", f"{models}:Read", crops)
    assert all_of_them.out.splitlines() == [
        "a.PNG\t20x10\t0.5000",
        "b.png\t30x10\t0.5000",
        "more/c.jpg\t40x10\t0.5000",
    ]
    document = json.loads(run("predict", f"{models}:Read", crops, "--limit", "1", "--json").out)
    assert document == [{"image": "a.PNG", "text": "20x10", "confidence": 0.5}]
    out = tmp_path / "out.parquet"
    written = run("predict", f"{models}:Read", crops, "-o", out)
    assert (written.code, written.out) == (0, "")
    told = json.loads(run("predict", f"{models}:Read", crops, "-o", out, "--json").out)
    assert told == {"path": str(out), "n": 3, "read": 3}
    assert pl.read_parquet(out)["id"].to_list() == ["a.PNG", "b.png", "more/c.jpg"]
    assert not (home / "predictions").exists()


def test_a_line_is_a_word_whatever_is_in_it(run: Run, home: Path, crops: Path, models: str) -> None:
    assert run("predict", f"{models}:Odd", crops / "b.png").out == "b.png\ta b c\t\n"
    document = json.loads(run("predict", f"{models}:Odd", crops / "b.png", "--json").out)
    assert document[0]["text"] == "a\tb\nc"


def test_a_split_goes_before_a_folder_of_its_name(
    run: Run, home: Path, models: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "mine" / "test"
    folder.mkdir(parents=True)
    (folder / "a.png").write_bytes(picture(20, 10))
    monkeypatch.chdir(tmp_path)
    assert run("predict", f"{models}:Read", "mine/test").out == "a.png\t20x10\t0.5000\n"
    write_split(
        split_directory("mine/test"),
        [Sample("x", picture(50, 10), "word")],
        dataset="mine",
        split="test",
        labels="custom",
    )
    assert "wrote" in run("predict", f"{models}:Read", "mine/test").err
    assert not run("predict", f"{models}:Read", "mine/test").out


def test_photographs_are_searched_and_drawn(
    run: Run, home: Path, models: str, tmp_path: Path
) -> None:
    photographs = tmp_path / "photographs"
    (photographs / "x").mkdir(parents=True)
    (photographs / "x" / "1.png").write_bytes(picture(100, 60))
    (photographs / "x_1.png").write_bytes(picture(100, 60, shade=0))
    drawn = tmp_path / "drawn"
    command = ("predict", f"{models}:Find", photographs, "--task", "detection")
    found = run(*command, "--overlays", drawn)
    outline = "20.0,20.0 80.0,20.0 80.0,40.0 20.0,40.0"
    assert found.out == f"x/1.png\tword\t0.2500\t{outline}\n"
    # both would be called x_1.jpg
    assert sorted(path.name for path in drawn.iterdir()) == ["x_1-1.jpg", "x_1.jpg"]
    assert green(Image.open(drawn / "x_1.jpg")) > 50
    assert green(Image.open(drawn / "x_1-1.jpg")) == 0
    (one, nothing) = json.loads(run(*command, "--json").out)
    assert one["found"] == [
        {"polygon": [list(point) for point in WORD], "text": "word", "confidence": 0.25}
    ]
    assert nothing == {"image": "x_1.png", "found": []}


def test_the_pictures_of_a_split_are_drawn_although_it_was_answered_before(
    run: Run, home: Path, models: str, tmp_path: Path
) -> None:
    write_split(
        split_directory("mine_det/test"),
        [Sample(id_, picture(100, 60), regions=(Region(WORD, "w"),)) for id_ in ("1", "2", "3")],
        dataset="mine_det",
        split="test",
        labels="custom",
        task="detection",
    )
    command = ("predict", f"{models}:Find", "mine_det/test", "-o", tmp_path / "out.parquet")
    assert run(*command).code == 0
    again = run(*command, "--limit", "2", "--overlays", tmp_path / "drawn")
    assert again.code == 0, again.err
    assert sorted(p.name for p in (tmp_path / "drawn").iterdir()) == ["1.jpg", "2.jpg"]
    assert "wrote 2 pictures" in again.err


def test_masks_are_drawn_or_written(
    run: Run, home: Path, crops: Path, models: str, tmp_path: Path
) -> None:
    command = ("predict", f"{models}:Mask", crops / "b.png", "--task", "segmentation")
    refused = run(*command)
    assert refused.code == 2
    assert "Masks are no lines of text" in refused.err
    assert run(*command, "--overlays", tmp_path / "drawn").code == 0
    assert Image.open(tmp_path / "drawn" / "b.jpg").size == (30, 20)
    assert run(*command, "-o", tmp_path / "out.parquet").code == 0
    assert pl.read_parquet(tmp_path / "out.parquet")["id"].to_list() == ["b.png"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("conv-ctc", "nothere.png"), "There is no file or folder nothere.png."),
        (("conv-ctc", "nothere/"), "There is no file or folder nothere/."),
        (("psenet", "{crops}"), "No detector is named 'psenet'"),
        (("{models}:Read", "{crops}/notes.txt"), "notes.txt: not a readable image"),
        (("{models}:Read", "{crops}/none"), "none holds no image (.jpg"),
        (("{models}:Broken", "{crops}"), "found 0 results"),
        (("{models}:Read", "{crops}", "--overlays", "x"), "the task is recognition"),
        (("{models}:Read", "{crops}", "--task", "photos"), "No task of images is named 'photos'"),
        (("{models}:Read", "{crops}", "-o", "out.xyz"), "expected a name that ends in .parquet"),
        (("bicubic", "{crops}"), "bicubic restores images, for which a split of pairs is wanted."),
        (("conv-ctc", "cute80/test", "--task", "detection"), "cute80/test is no file or folder"),
    ],
)
def test_bad_input_is_told(
    run: Run, home: Path, crops: Path, models: str, words: tuple[str, ...], message: str
) -> None:
    (crops / "none").mkdir()
    outcome = run("predict", *(word.format(models=models, crops=crops) for word in words))
    assert outcome.code in (2, 3)
    assert message in outcome.err
    assert "hint:" in outcome.err


def test_the_split_that_a_hint_names_is_there(run: Run, home: Path, crops: Path) -> None:
    hint = run("predict", "bicubic", crops).last
    assert hint == "hint: strbench predict bicubic rendered_pairs_easy/test"
    assert run("predict", "bicubic", "rendered_pairs_easy/test", "--dry-run").code == 0


def test_a_text_stands_above_its_outline() -> None:
    white = np.full((60, 100, 3), 255, np.uint8)
    plain = overlay(white, [Detection(WORD)])
    with_text = overlay(white, [Detection(WORD, text="ab日")])
    above = (0, 0, 100, 18)
    assert green(plain.crop(above)) == 0
    assert green(with_text.crop(above)) > 50
    assert green(overlay(white, [])) == 0


def test_a_mask_colours_its_text_alone() -> None:
    black = np.zeros((10, 30, 3), np.uint8)
    share = np.zeros((5, 15), np.float32)  # half the size of the crop
    share[:, :5] = 1
    picture = np.asarray(masked(black, share)).astype(int)
    assert picture.shape == (20, 30, 3)
    assert not picture[:10].any()
    assert (picture[10:, :10] == (0, 138, 91)).all()
    assert not picture[10:, 10:].any()


def test_names_become_file_names(tmp_path: Path) -> None:
    names = ["a/b.png", "../../etc", "...", "日本"]
    write_overlays(tmp_path, ((name, picture(8, 8), []) for name in names), "detection")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["2.jpg", "a_b.jpg", "etc.jpg", "日本.jpg"]
