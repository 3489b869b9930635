"""Photographs in windows: pixels and polygons go through the same map; cuts spare text."""

from __future__ import annotations

import numpy as np
import pytest

from strbench.feeds import Item, PageFeed
from strbench.geometry import signed_area
from strbench.loading import Sizing
from strbench.placing import (
    Placement,
    Scene,
    fitted,
    mirroring,
    moved,
    placed_image,
    placed_regions,
    scaling,
    shift,
    stretched,
    turning,
    uncut_window,
)
from strbench.raster import window
from strbench.types import Region

torch = pytest.importorskip("torch")

BOX = ((20.0, 10.0), (60.0, 10.0), (60.0, 30.0), (20.0, 30.0))


def page(height: int = 80, width: int = 100) -> np.ndarray:
    """Black with a white box where ``BOX`` is."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[10:30, 20:60] = 255
    return pixels


# --- maps


def test_maps_by_hand() -> None:
    assert moved(((1.0, 2.0),), scaling(3, 4)) == ((3.0, 8.0),)
    assert moved(((1.0, 2.0),), shift(5, -1)) == ((6.0, 1.0),)
    assert moved(((1.0, 2.0),), mirroring(10)) == ((9.0, 2.0),)
    # a quarter turn clockwise about (50, 40): what was above the centre is right of it
    ((x, y),) = moved(((50.0, 30.0),), turning(90, 80, 100))
    assert (x, y) == pytest.approx((60.0, 40.0))


@pytest.mark.parametrize(
    "matrix",
    [
        shift(7, 5),
        scaling(1.5, 0.75),
        scaling(0.4, 0.4),
        mirroring(100),
        turning(25, 80, 100),
        turning(-60, 80, 100) @ mirroring(100) @ scaling(0.8, 0.8),
    ],
    ids=["shift", "stretch", "shrink", "mirror", "turn", "all"],
)
def test_a_region_stays_on_its_pixels(matrix: np.ndarray) -> None:
    placement = Placement(matrix, (120, 160))
    shown = placed_image(page(), placement, 120, 160)[..., 0] > 127
    (region,) = placed_regions([Region(BOX, "a")], placement, 120, 160)
    seen = window(region.polygon, 120, 160)
    drawn = np.zeros_like(shown)
    drawn[seen.area] = seen.inside
    assert (shown & drawn).sum() / (shown | drawn).sum() > 0.93
    assert signed_area(region.polygon) > 0  # clockwise after a mirroring too


def test_what_lies_beyond_is_left_out() -> None:
    placement = Placement(shift(0, 0), (40, 50))
    inside = Region(BOX, "a")
    outside = Region(moved(BOX, shift(60, 0)), "b")
    a_point = Region(((5.0, 5.0),), "###", ignored=True)
    kept = placed_regions([inside, outside, a_point], placement, 40, 50)
    assert [region.text for region in kept] == ["a"]


def test_a_window_is_black_where_nothing_is_shown() -> None:
    white = np.full((10, 20, 3), 255, np.uint8)
    placement = fitted(np.eye(3), (0, 0, 20, 10), 40, 40)  # twice as large: 20 rows of 40
    assert placement.shown == (20, 40)
    shown = placed_image(white, placement, 40, 40)
    assert shown[:20].min() == 255
    assert shown[20:].max() == 0


def test_shrinking_averages() -> None:
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    shown = placed_image(stripes, stretched(16, 16)(np.random.default_rng(0), 64, 64, ()), 16, 16)
    assert abs(shown.astype(int) - 127.5).max() < 2


# --- cuts


def test_a_cut_spares_every_region_that_counts() -> None:
    regions = [
        Region(BOX, "a"),
        Region(moved(BOX, shift(30, 40)), "b"),
        Region(moved(BOX, shift(0, 45)), "###", ignored=True),
    ]
    cuts = set()
    for seed in range(200):
        left, top, right, bottom = uncut_window(np.random.default_rng(seed), regions, 80, 100)
        cuts.add((left, top, right, bottom))
        held = 0
        for region in regions[:2]:
            xs, ys = zip(*region.polygon, strict=True)
            inside = left <= min(xs) and right >= max(xs) and top <= min(ys) and bottom >= max(ys)
            apart = right <= min(xs) or left >= max(xs) or bottom <= min(ys) or top >= max(ys)
            assert inside or apart
            held += inside
        assert held
        assert right - left >= 10
        assert bottom - top >= 8
    assert len(cuts) > 100


def test_without_text_that_counts_nothing_is_cut() -> None:
    whole = (0.0, 0.0, 100.0, 80.0)
    rng = np.random.default_rng(0)
    assert uncut_window(rng, [], 80, 100) == whole
    assert uncut_window(rng, [Region(BOX, "###", ignored=True)], 80, 100) == whole
    everywhere = Region(((-1.0, -1.0), (101.0, -1.0), (101.0, 81.0), (-1.0, 81.0)), "a")
    assert uncut_window(rng, [everywhere], 80, 100) == whole


# --- the feed


def test_a_window_depends_on_its_seed_alone() -> None:
    def place(rng: np.random.Generator, height: int, width: int, regions: object) -> Placement:
        return Placement(shift(*rng.uniform(-10, 10, 2)), (80, 100))

    def targets(scene: Scene) -> dict[str, np.ndarray]:
        return {"corner": np.float32(scene.regions[0].polygon[0]), "seed": np.int64(scene.seed)}

    feed = PageFeed(height=80, width=100, place=place, targets=targets)
    item = Item((page(),), 1.25, (Region(BOX, "a"),))
    batch = feed.batch([item] * 3, [None] * 3, torch.tensor([4, 5, 4]))
    assert batch.images.shape == (3, 3, 80, 100)
    assert torch.equal(batch.images[0], batch.images[2])
    assert not torch.equal(batch.images[0], batch.images[1])
    assert torch.equal(batch.targets["corner"][0], batch.targets["corner"][2])
    assert batch.targets["seed"].tolist() == [4, 5, 4]
    part = batch.part(slice(0, None, 2), torch.device("cpu"))
    assert part.targets["seed"].tolist() == [4, 4]
    assert part.seeds.tolist() == [4, 4]


# --- test sizes


@pytest.mark.parametrize(
    ("sizing", "expected"),
    [
        (Sizing(rule="stretch", height=736, width=1280), (736, 1280)),
        (Sizing(rule="height", height=800), (800, 1440)),  # 720 x 1280 to 800 x 1422.2
        (Sizing(rule="short", height=736), (736, 1312)),  # 1308.4
        (Sizing(rule="long", height=1000), (576, 1024)),  # 562.5 x 1000
        (Sizing(rule="native", multiple=32), (736, 1280)),
        (Sizing(rule="native", limit=640, rounding="down"), (352, 640)),  # 360 x 640
        (Sizing(rule="short", height=1440, limit=1280), (736, 1280)),  # the limit is lower
        (Sizing(rule="native", rounding="nearest"), (704, 1280)),  # 22.5 rounds to the even 22
    ],
)
def test_sizes_of_a_photograph_of_1280_by_720(sizing: Sizing, expected: tuple[int, int]) -> None:
    assert sizing.size(720, 1280) == expected
    assert sizing.resize(np.zeros((720, 1280, 3), np.uint8)).shape == (*expected, 3)


@pytest.mark.parametrize(("whole", "width"), [(False, 1344), (True, 1312)])
def test_a_side_may_become_whole_before_it_becomes_a_multiple(whole: bool, width: int) -> None:
    sizing = Sizing(rule="short", height=736, whole=whole)
    assert sizing.size(1000, 1783) == (736, width)  # 1312.288
