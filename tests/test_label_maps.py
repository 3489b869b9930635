"""`show --maps`: what a detector is trained on for one photograph, as a picture."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from running import Run

from strbench import registry
from strbench.feeds import Item, PageFeed
from strbench.label_maps import label_maps
from strbench.placing import Placement, Scene
from strbench.store import split_directory, write_split
from strbench.types import Region, Sample

WORD = Region(((8.0, 4.0), (24.0, 4.0), (24.0, 12.0), (8.0, 12.0)), "word")
GREY = np.full((16, 32, 3), 128, np.uint8)
# Viridis at 0, 1/2 and 1, three parts on one of grey.
DARK, MIDDLE, LIGHT = (83, 32, 95), (56, 140, 137), (221, 205, 59)
INK = (94, 60, 200)


def sheet(**targets: Any) -> tuple[np.ndarray, dict[str, dict[str, Any]]]:
    """The picture of these targets on a grey window, and their rows by name."""
    feed = PageFeed(
        height=16,
        width=32,
        place=lambda rng, high, wide, regions: Placement(np.eye(3), (16, 32)),
        targets=lambda scene: {name: np.asarray(value) for name, value in targets.items()},
    )
    picture, rows = label_maps(feed, Item((GREY,), regions=(WORD,)), 0, title="t", facts="f")
    return np.asarray(picture)[104:].astype(int), {row["target"]: row for row in rows}


def area(picture: np.ndarray, shade: tuple[int, int, int], within: int = 6) -> int:
    return int((np.abs(picture - shade).max(axis=2) <= within).sum())


def test_a_map_is_dark_where_it_is_least_and_light_where_it_is_greatest() -> None:
    half = np.zeros((16, 32), bool)
    half[:, :8] = True
    picture, rows = sheet(text=half)
    cell = 4 * 16 * 4 * 32  # a window is enlarged four times
    assert area(picture, LIGHT) == pytest.approx(cell / 4, rel=0.3)
    assert area(picture, DARK) == pytest.approx(cell * 3 / 4, rel=0.2)
    assert rows["text"] == {
        "target": "text", "shape": "16 x 32", "type": "bool", "least": "0", "greatest": "1",
        "drawn": "yes",
    }  # fmt: skip
    coarse = np.array([[1.0, 2.0], [3.0, 1.0]]).repeat(2, axis=1)  # 2 x 4: a cell is 8 x 8 pixels
    picture, rows = sheet(distance=coarse)
    assert area(picture, LIGHT) == pytest.approx(cell / 4, rel=0.3)
    assert area(picture, MIDDLE) == pytest.approx(cell / 4, rel=0.3)
    assert (rows["distance"]["least"], rows["distance"]["greatest"]) == ("1", "3")
    # names of things are told apart by rank, whatever their numbers are
    names = np.array([[0, 200], [7, 0]], np.uint8).repeat(2, axis=1)
    assert area(sheet(instances=names)[0], MIDDLE) == pytest.approx(cell / 4, rel=0.3)


def test_a_map_without_differences_is_drawn_as_none() -> None:
    assert area(sheet(none=np.zeros((16, 32), np.float32))[0], LIGHT) == 0
    assert area(sheet(everywhere=np.ones((16, 32), bool))[0], LIGHT) > 5000


def test_points_and_boxes_are_drawn_into_the_window_and_words_are_in_the_rows() -> None:
    contours = np.zeros((3, 4, 2), np.float32)
    contours[1] = WORD.polygon
    picture, rows = sheet(contours=contours, ids=np.arange(25))
    length = area(picture, INK, within=40)
    assert length > 200
    assert (rows["contours"]["drawn"], rows["ids"]["drawn"]) == ("yes", "no")
    boxes = np.array([[8, 4, 24, 12], [0, 0, 0, 0], [0, 0, 0, 0]], np.float32)
    assert area(sheet(boxes=boxes)[0], INK, within=40) == pytest.approx(length, rel=0.2)
    # (4, 8, 2) is no grid of the window, nor are numbers of classes points of it
    assert sheet(words=np.ones((4, 8, 2), np.int64))[1]["words"]["drawn"] == "no"


def test_of_many_channels_the_first_are_drawn() -> None:
    one = np.zeros((1, 8, 16), np.float32)
    heights = [sheet(signature=one.repeat(k, axis=0))[0].shape[0] for k in (2, 3, 6, 22)]
    assert heights[0] < heights[1] == heights[2] == heights[3]  # two cells stand before them


def test_every_entry_of_photographs_is_shown(run: Run, home: Path, tmp_path: Path) -> None:
    drawn: dict[str, set[str]] = {}
    for kind in ("methods", "models"):
        for name in registry.names(kind):  # type: ignore[arg-type]
            if registry.load(kind, name).task != "detection":  # type: ignore[arg-type]
                continue
            picture = tmp_path / f"{name}.png"
            outcome = run("show", name, "--recipe", "smoke", "--maps", picture, "--json")
            assert outcome.code == 0, outcome.err
            assert Image.open(picture).width == 1600
            document = json.loads(outcome.out)
            assert document["image"] == "rendered_pages/test 000000000, drawn"
            drawn[name] = {r["target"] for r in document["targets"] if r["drawn"] == "yes"}
    assert {name for name, some in drawn.items() if not some} == {"oclip", "stkm", "vlpt"}
    assert drawn["db"] == {"shrunk", "counts", "threshold", "band"}
    assert drawn["textbpn"] >= {"text", "distance"}
    assert not home.exists()


def test_what_is_shown_is_what_a_step_is_given(run: Run, home: Path, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.fromarray(GREY.repeat(10, 0).repeat(10, 1)).save(buffer, "PNG")
    word = Region(tuple((10 * x, 10 * y) for x, y in WORD.polygon), "word")
    write_split(
        split_directory("mine_det/test"),
        [Sample(id_, buffer.getvalue(), regions=(word,)) for id_ in ("a", "b")],
        dataset="mine_det",
        split="test",
        labels="custom",
        task="detection",
    )
    command = ("show", "psenet", "--recipe", "smoke", "--data", "mine_det/test", "--maps")
    rows = {}
    for seed in ("0", "1"):
        place = tmp_path / f"{seed}.png"
        outcome = run(*command, place, "--sample", "b", "--seed", seed)
        assert outcome.code == 0, outcome.err
        assert "what the loss is given of mine_det/test b" in outcome.out
        rows[seed] = place.read_bytes()
    assert rows["0"] != rows["1"]
    outcome = run(*command, tmp_path / "2.png", "--sample", "b", "--set", "height=96", "--json")
    document = json.loads(outcome.out)
    assert document["recipe"] == "smoke height=96"
    assert {row["shape"] for row in document["targets"]} == {"96 x 160"}
    wrong = {
        ("--sample", "c"): "mine_det/test has no sample 'c': its 2 are called like a.",
        ("--sample", "2"): "mine_det/test has no sample '2'",
        ("--recipe", "smok"): "No recipe is named 'smok'",
        ("--set", "size"): "expected name=value",
        ("--set", "sizes=1"): "No setting is named 'sizes'",
        ("--data", "nothing/test"): "nothing/test",
    }
    for more, message in wrong.items():
        outcome = run(*command, tmp_path / "x.png", *more)
        assert outcome.code == 2
        assert message in outcome.err
    assert run(*command, tmp_path / "x.jpg").err.startswith(
        f"error: {tmp_path / 'x.jpg'} does not end"
    )
    for name, message in (
        ("crnn", "crnn is trained on recognition of crops"),
        ("occluded", "--maps draws what an entry is trained on, and occluded is a suite."),
    ):
        assert message in run("show", name, "--maps", tmp_path / "x.png").err
    assert not (tmp_path / "x.png").exists()
    assert "say what --maps draws" in run("show", "psenet", "--recipe", "smoke").err


def test_windows_are_those_of_training() -> None:
    seen: list[Scene] = []
    feed = PageFeed(
        height=16,
        width=32,
        place=lambda rng, high, wide, regions: Placement(
            np.array(((1.0, 0.0, rng.integers(8)), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))), (16, 32)
        ),
        targets=lambda scene: seen.append(scene) or {"one": np.zeros(3)},  # type: ignore[func-returns-value]
    )
    item = Item((GREY,), regions=(WORD,))
    feed.batch([item, item], [None, None], torch.tensor([3, 4]))
    label_maps(feed, item, 4, title="t", facts="f")
    assert seen[2] == seen[1] != seen[0]
