"""The contact sheet of `data info --sheet`: what it shows of each task."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from running import Run

from strbench.masks import EFFECT, IGNORED, TEXT, encode_mask
from strbench.sheet import contact_sheet
from strbench.store import Split, split_directory, write_split
from strbench.types import Region, Sample, Task

GREEN, ORANGE, BLUE = (0, 184, 122), (232, 92, 10), (86, 120, 220)


def plain(width: int, height: int, shade: tuple[int, int, int]) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), shade).save(buffer, "PNG")
    return buffer.getvalue()


def split(samples: list[Sample], task: Task) -> Split:
    return write_split(
        split_directory("mine/test"), samples, dataset="mine", split="test", labels="c", task=task
    )


def area(sheet: Image.Image, shade: tuple[int, int, int], *, below: int = 104) -> int:
    """How many pixels under the head are near a colour."""
    pixels = np.asarray(sheet)[below:].astype(int)
    return int((np.abs(pixels - shade).max(axis=2) <= 12).sum())


def test_words_are_spread_over_the_split(home: Path) -> None:
    shades = [(250, 20 * k, 0) for k in range(10)]
    samples = [Sample(f"{k}", plain(30, 10, shade), f"w{k}") for k, shade in enumerate(shades)]
    sheet = contact_sheet(split(samples, "recognition"), samples=5)
    assert sheet.width == 1600
    shown = [k for k, shade in enumerate(shades) if area(sheet, shade) > 1000]
    assert shown == [0, 2, 4, 6, 8]
    assert sheet.height < contact_sheet(split_again(samples), samples=10).height


def split_again(samples: list[Sample]) -> Split:
    return write_split(
        split_directory("again/test"), samples, dataset="again", split="test", labels="c"
    )


def test_labels_of_any_kind_are_written(home: Path) -> None:
    labels = ["中文", "a" * 400, "\u202e\u0007x", "é…", None, " "]
    samples = [Sample(str(k), plain(9, 9, (9, 9, 9)), text) for k, text in enumerate(labels)]
    assert contact_sheet(split(samples, "recognition")).width == 1600


def test_outlines_are_coloured_by_what_counts(home: Path) -> None:
    def box(x: float, y: float) -> tuple[tuple[float, float], ...]:
        return ((x, y), (x + 100, y), (x + 100, y + 40), (x, y + 40))

    photo = plain(400, 240, (128, 128, 128))
    legible, ignored = Region(box(20, 20), "a"), Region(box(200, 150), "###", True)
    nowhere = Region((), "###", True)  # what is ignored may have no vertex
    one = contact_sheet(split([Sample("p", photo, regions=(legible, nowhere))], "detection"))
    assert area(one, GREEN) > 300
    assert area(one, ORANGE) == 0
    both = write_split(
        split_directory("both/test"),
        [Sample("p", photo, regions=(legible, ignored)), Sample("q", photo, regions=())],
        dataset="both",
        split="test",
        labels="c",
        task="detection",
    )
    assert area(contact_sheet(both), ORANGE) > 300


def test_a_pair_shows_both_resolutions(home: Path) -> None:
    pair = Sample("a", plain(64, 16, (250, 0, 0)), "x", low=plain(32, 8, (0, 0, 250)))
    sheet = contact_sheet(split([pair], "super-resolution"))
    assert area(sheet, (250, 0, 0)) == area(sheet, (0, 0, 250)) > 1000


def test_a_mask_shows_text_effect_and_ignored(home: Path) -> None:
    mask = np.zeros((40, 60), np.uint8)
    mask[:10], mask[10:15], mask[15:35, :30] = TEXT, EFFECT, IGNORED
    sample = Sample("a", plain(60, 40, (0, 0, 0)), mask=encode_mask(mask))
    sheet = contact_sheet(split([sample], "segmentation"))
    text, effect, ignored = (area(sheet, shade) for shade in (GREEN, BLUE, ORANGE))
    assert text == pytest.approx(2 * effect, rel=0.1)
    assert text == pytest.approx(ignored, rel=0.1)


def test_data_info_writes_the_sheet(run: Run, home: Path, tmp_path: Path) -> None:
    split([Sample("a", plain(30, 10, (250, 0, 0)), "x")], "recognition")
    target = tmp_path / "sheet.png"
    outcome = run("data", "info", "mine/test", "--sheet", target)
    assert outcome.code == 0, outcome.err
    assert outcome.last == f"written: {target}"
    with Image.open(target) as image:
        assert image.format == "PNG"
    refused = run("data", "info", "mine/test", "--sheet", tmp_path / "sheet.jpg")
    assert refused.code == 2
    assert "does not end in .png" in refused.err
    missing = run("data", "info", "svt/test", "--sheet", target)
    assert "No split of svt/test is prepared" in missing.err
