"""Polygons as arrays: areas, boxes, and overlaps of what crosses itself or has no area."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from strbench.geometry import signed_area
from strbench.shapes import Rule, Shapes, candidates, overlaps, promising
from strbench.types import Polygon

SQUARE: Polygon = ((0, 0), (4, 0), (4, 4), (0, 4))
BOW_TIE: Polygon = ((0, 0), (4, 4), (4, 0), (0, 4))  # two lobes, left and right, 4 each
WHIRL: Polygon = ((0, 0), (4, 0), (4, 4), (0, 4)) * 2  # twice around: covers nothing even-odd
LINE: Polygon = ((0, 0), (4, 0), (2, 0))
PAIR: Polygon = ((1, 1), (3, 3))


def common(truth: Polygon, found: Polygon, rule: Rule) -> float:
    return float(overlaps(Shapes.of([[truth]]), Shapes.of([[found]]), rule).common.sum())


def test_areas_have_the_sign_of_the_direction() -> None:
    shapes = Shapes.of([[SQUARE, SQUARE[::-1]], [], [BOW_TIE, LINE, PAIR, (), SQUARE]])
    assert shapes.signed_areas().tolist() == [16, -16, 0, 0, 0, 0, 16]
    assert shapes.image.tolist() == [0, 0, 2, 2, 2, 2, 2]
    assert shapes.sizes.tolist() == [4, 4, 4, 3, 2, 0, 4]
    assert shapes.boxes()[4].tolist() == [1, 1, 3, 3]
    assert shapes.boxes()[5].tolist() == [np.inf, np.inf, -np.inf, -np.inf]


def test_nothing_at_all() -> None:
    for empty in (Shapes.of([]), Shapes.of([[], []])):
        assert len(empty) == 0
        assert empty.signed_areas().shape == (0,)
        assert empty.boxes().shape == (0, 4)
        pairs = overlaps(empty, Shapes.of([[SQUARE]]), "even-odd")
        assert len(pairs.truth) == len(pairs.common) == 0


@pytest.mark.parametrize(
    ("rule", "bow_tie", "whirl"),
    [("even-odd", 8.0, 0.0), ("buffer", 4.0, None), ("nothing", 0.0, 0.0)],
)
def test_what_a_crossing_polygon_covers(rule: Rule, bow_tie: float, whirl: float | None) -> None:
    assert common(SQUARE, BOW_TIE, rule) == bow_tie
    assert common(BOW_TIE, SQUARE, rule) == bow_tie
    if whirl is not None:
        assert common(SQUARE, WHIRL, rule) == whirl


@pytest.mark.parametrize("flat", [LINE, PAIR, (), ((1, 1),) * 4, ((0, 0), (4, 4), (0, 0), (4, 4))])
@pytest.mark.parametrize("rule", ["even-odd", "buffer", "nothing"])
def test_what_has_no_area_overlaps_nothing(flat: Polygon, rule: Rule) -> None:
    assert common(SQUARE, flat, rule) == 0
    assert common(flat, SQUARE, rule) == 0
    assert common(flat, flat, rule) == 0


def test_pairs_are_of_one_image_and_in_file_order() -> None:
    far: Polygon = ((100, 100), (104, 100), (104, 104), (100, 104))
    truth = Shapes.of([[SQUARE, far], [SQUARE], []])
    found = Shapes.of([[far, SQUARE, SQUARE], [], [SQUARE]])
    first, second = candidates(truth, found)
    assert list(zip(first.tolist(), second.tolist(), strict=True)) == [(0, 1), (0, 2), (1, 0)]


corner = st.integers(-20, 20)
polygon = st.lists(st.tuples(corner, corner), max_size=7).map(tuple)


@settings(max_examples=150, deadline=None)
@given(st.lists(polygon, max_size=4), st.lists(polygon, max_size=4))
def test_any_polygons(truth: list[Polygon], found: list[Polygon]) -> None:
    ours, theirs = Shapes.of([truth]), Shapes.of([found])
    for one, area in zip(truth, ours.signed_areas(), strict=True):
        assert area == pytest.approx(signed_area(one) if one else 0.0)
    rules: tuple[Rule, ...] = (
        "even-odd",
        "nothing",
    )  # "buffer" is GEOS's as it is, defects included
    for rule in rules:
        pairs = overlaps(ours, theirs, rule)
        turned = overlaps(theirs, ours, rule)
        there = {(t, f): c for t, f, c in zip(*map(np.ndarray.tolist, pairs), strict=True)}
        back = {(t, f): c for f, t, c in zip(*map(np.ndarray.tolist, turned), strict=True)}
        assert there == pytest.approx(back, abs=1e-6)
        for (t, f), value in there.items():
            assert value >= 0
            whole = [shapely.area(s.geometries(rule)[i]) for s, i in ((ours, t), (theirs, f))]
            assert value <= min(whole) + 1e-6


def test_an_edge_that_is_traced_twice() -> None:
    again: Polygon = (
        *SQUARE,
        *SQUARE[:3],
    )  # the square and, once more, its half above the diagonal
    assert common(SQUARE, again, "even-odd") == 8
    shapes = Shapes.of([[again]])
    assert shapely.area(shapes.geometries("even-odd")[0]) == 8


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=3, max_size=7))
def test_even_odd_is_what_a_ray_counts(corners: list[tuple[int, int]]) -> None:
    region = Shapes.of([[tuple(corners)]]).geometries("even-odd")[0]
    xs, ys = np.array(corners, dtype=float).T
    for x, y in ((0.53, 0.71), (2.37, 3.19), (3.61, 1.43), (4.29, 4.83), (5.77, 2.11)):
        there, back = np.roll(xs, -1), np.roll(ys, -1)
        spans = (ys > y) != (back > y)
        rise = np.where(spans, back - ys, 1)
        crossings = spans & (x < xs + (y - ys) / rise * (there - xs))
        assert bool(shapely.contains_xy(region, x, y)) == bool(crossings.sum() % 2)


def test_nearly_equal_crossing_polygons() -> None:
    """GEOS's plain overlay has 2.16 here, and 0.33 the other way round."""
    one: Polygon = ((0, 0), (-1, 0), (-14, 15), (1, -2))
    other: Polygon = ((0, -1), (0, 0), (-14, 15), (1, -2))
    triangle = 13 / 17 * 13 / 15 / 2  # between the axes and the edge that both have
    assert common(one, other, "even-odd") == pytest.approx(triangle, abs=1e-8)
    assert common(other, one, "even-odd") == pytest.approx(triangle, abs=1e-8)


def pairs_of(first: np.ndarray, second: np.ndarray) -> list[tuple[int, int]]:
    return list(zip(first.tolist(), second.tolist(), strict=True))


def test_promising_pairs_by_their_boxes() -> None:
    truth = Shapes.of([[SQUARE, ((0, 0), (40, 0), (40, 4), (0, 4))]])
    found = Shapes.of([[((2, 0), (6, 0), (6, 4), (2, 4)), ((1, 0), (5, 0), (5, 4), (1, 4))]])
    areas = truth.signed_areas(), found.signed_areas()
    # 8 / 24 and 12 / 20 of the first; 16 / 160 of the second
    assert pairs_of(*promising(truth, found, areas, iou=0.5)) == [(0, 1)]
    assert pairs_of(*promising(truth, found, areas, iou=1 / 3)) == [(0, 0), (0, 1)]
    ignored = np.array([False, True])
    some = promising(truth, found, areas, iou=0.5, ignored=ignored, ignore=0.5)
    assert pairs_of(*some) == [(0, 1), (1, 0), (1, 1)]
    some = promising(truth, found, areas, iou=0.5, ignored=ignored, ignore=0.5, padding=20)
    assert pairs_of(*some) == [(0, 1)]  # 16 of 36


@settings(max_examples=150, deadline=None)
@given(
    st.lists(polygon, max_size=4),
    st.lists(polygon, max_size=4),
    st.sampled_from(["even-odd", "buffer", "nothing"]),
)
def test_no_pair_that_matters_is_dropped(
    ours: list[Polygon], theirs: list[Polygon], rule: Rule
) -> None:
    truth, found = Shapes.of([ours]), Shapes.of([theirs])
    areas = np.abs(truth.signed_areas()), np.abs(found.signed_areas())
    ignored = np.arange(len(truth)) % 2 == 0
    kept = pairs_of(*promising(truth, found, areas, iou=0.5, ignored=ignored, ignore=0.5))
    pairs = overlaps(truth, found, rule)
    assert set(kept) <= set(pairs_of(*pairs[:2]))
    for g, d, both in zip(*(column.tolist() for column in pairs), strict=True):
        union = areas[0][g] + areas[1][d] - both
        matters = union != 0 and both / union >= 0.5
        matters |= bool(ignored[g]) and both > 0.5 * areas[1][d] > 0
        assert not matters or (g, d) in kept
