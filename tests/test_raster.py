"""Polygons to pixels and back: fills by hand, components and outlines against OpenCV."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest
import shapely
from drawing import filled
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from strbench.raster import components, outlines, window

Mask = NDArray[np.bool_]
masks = st.builds(
    lambda seed, height, width, share: np.random.default_rng(seed).random((height, width)) < share,
    st.integers(0, 2**32),
    st.integers(1, 24),
    st.integers(1, 24),
    st.floats(0, 1),
)


def drawn(*rows: str) -> Mask:
    return np.array([[sign == "#" for sign in row] for row in rows])


# --- filling


def test_a_pixel_belongs_to_a_polygon_that_covers_its_centre() -> None:
    box = [(1.0, 1.0), (4.0, 1.0), (4.0, 3.0), (1.0, 3.0)]
    assert filled([box], 4, 6).tolist() == [
        [0, 0, 0, 0, 0, 0],
        [0, 1, 1, 1, 0, 0],
        [0, 1, 1, 1, 0, 0],
        [0, 0, 0, 0, 0, 0],
    ]
    # half a pixel to the right the centres of columns 1 and 4 lie on the border: the left one is in
    moved = [(x + 0.5, y) for x, y in box]
    assert filled([moved], 4, 6)[1].tolist() == [0, 1, 1, 1, 0, 0]


def test_later_polygons_lie_on_top_and_may_reach_beyond_the_image() -> None:
    first = [(-5.0, -5.0), (3.0, -5.0), (3.0, 9.0), (-5.0, 9.0)]
    second = [(2.0, 1.0), (9.0, 1.0), (9.0, 2.0), (2.0, 2.0)]
    assert filled([first, second], 3, 4, values=[7, 5]).tolist() == [
        [7, 7, 7, 0],
        [7, 7, 5, 5],
        [7, 7, 7, 0],
    ]


def test_of_a_polygon_beyond_the_image_nothing_is_seen() -> None:
    seen = window([(9.0, 0.0), (12.0, 0.0), (12.0, 3.0)], 5, 5)
    assert seen.inside.size == 0
    assert np.zeros((5, 5))[seen.area].size == 0


@given(
    st.lists(st.tuples(st.floats(-4, 20), st.floats(-4, 14)), min_size=3, max_size=8),
)
@settings(max_examples=150, deadline=None)
def test_filling_is_even_odd_at_pixel_centres(
    points: list[tuple[float, float]],
) -> None:
    height, width = 10, 16
    y, x = np.mgrid[:height, :width] + 0.5
    expected = np.zeros((height, width), bool)
    for (ax, ay), (bx, by) in zip(points, points[1:] + points[:1], strict=True):
        crossed = (ay <= y) != (by <= y)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            at = ax + (y - ay) * (bx - ax) / (by - ay)
        expected ^= crossed & (at <= x)
    seen = window(points, height, width)
    found = np.zeros((height, width), bool)
    found[seen.area] = seen.inside
    assert (found == expected).all()


def test_the_area_of_a_filled_polygon_is_nearly_its_own() -> None:
    turned = [(40.3, 10.2), (90.1, 38.7), (70.4, 73.2), (20.6, 44.7)]
    assert filled([turned], 90, 110).sum() == pytest.approx(shapely.Polygon(turned).area, rel=0.01)


# --- components


def test_components_are_numbered_by_their_first_pixel() -> None:
    found = components(drawn("..#..", "#.#..", "#..##"), diagonal=False)
    assert found.labels.tolist() == [[-1, -1, 0, -1, -1], [1, -1, 0, -1, -1], [1, -1, -1, 2, 2]]
    assert found.areas.tolist() == [2, 2, 2]
    assert components(drawn("..#..", "#.#..", "#..##")).count == 2  # by a corner


def test_sums_are_those_of_the_pixels() -> None:
    found = components(drawn("#.#", "#.#"))
    assert found.sums(np.array([[1.0, 9.0, 2.0], [3.0, 9.0, 4.0]])).tolist() == [4.0, 6.0]


def test_an_empty_mask_has_no_components() -> None:
    found = components(np.zeros((4, 7), bool))
    assert found.count == 0
    assert found.areas.tolist() == []
    assert outlines(found) == []


@given(masks, st.booleans())
@settings(max_examples=150, deadline=None)
def test_components_are_opencv_s(mask: Mask, diagonal: bool) -> None:
    cv2 = pytest.importorskip("cv2")
    found = components(mask, diagonal=diagonal)
    count, theirs = cv2.connectedComponents(
        mask.astype(np.uint8), connectivity=8 if diagonal else 4
    )
    assert found.count == count - 1
    assert ((theirs > 0) == (found.labels >= 0)).all()
    pairs = set(zip(theirs[mask].tolist(), found.labels[mask].tolist(), strict=True))
    assert len(pairs) == found.count
    assert found.areas.tolist() == np.bincount(found.labels[mask], minlength=found.count).tolist()


# --- outlines


@pytest.mark.parametrize(
    ("mask", "corners"),
    [
        (drawn("###", "###"), [(0, 0), (2, 0), (2, 1), (0, 1)]),
        (drawn("#"), [(0, 0)]),
        (drawn("####"), [(0, 0), (3, 0)]),
        # clockwise on screen, over the corner and back
        (drawn("#..", ".#.", "..#"), [(0, 0), (2, 2)]),
        # the hole is no part of it
        (drawn("###", "#.#", "###"), [(0, 0), (2, 0), (2, 2), (0, 2)]),
    ],
)
def test_outlines_by_hand(mask: Mask, corners: list[tuple[int, int]]) -> None:
    (found,) = outlines(components(mask))
    assert [tuple(point) for point in found.tolist()] == corners


def _starting_anywhere(points: list[list[int]]) -> list[list[int]]:
    turns = [points[i:] + points[:i] for i in range(len(points))]
    return min(turns + [turn[::-1] for turn in turns])


def _walks(outlines: Iterable[list[list[int]]]) -> list[list[list[int]]]:
    return sorted(_starting_anywhere(points) for points in outlines)


@given(masks)
@settings(max_examples=150, deadline=None)
def test_outlines_are_opencv_s(mask: Mask) -> None:
    cv2 = pytest.importorskip("cv2")
    found = components(mask)
    # two levels, of which the upper holds every component: RETR_EXTERNAL forgets those in holes
    contours, levels = cv2.findContours(
        mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE
    )
    outer = [c[:, 0].tolist() for i, c in enumerate(contours) if levels[0][i][3] < 0]
    ours = outlines(found)
    assert len(ours) == found.count
    assert _walks(walk.tolist() for walk in ours) == _walks(outer)
