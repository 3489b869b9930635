"""Photographs and their regions in a window of a network's input: scaled, turned, mirrored, cut.

A placement is an affine map, so an image is sampled once however many steps made it up, and polygons go
through the same numbers. Coordinates are continuous: pixel i covers i to i + 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from strbench.geometry import bounds
from strbench.loading import Pixels
from strbench.types import Polygon, Region

Matrix = NDArray[np.float64]  # (3, 3); a column (x, y, 1) on its right


class Placement(NamedTuple):
    """How a photograph lies in a window."""

    matrix: Matrix  # from the photograph's pixels to the window's
    # The part of the window that shows it, (height, width) from the upper left corner; black beyond.
    shown: tuple[int, int]


class Scene(NamedTuple):
    """What a window shows of a photograph's text."""

    # In pixels of the window, three or more vertices; any part of them may lie outside of it.
    regions: tuple[Region, ...]
    height: int
    width: int
    seed: int


# From a generator, the height and width of a photograph and its regions to its placement.
Place = Callable[[np.random.Generator, int, int, Sequence[Region]], Placement]


def scaling(x: float, y: float) -> Matrix:
    """Both coordinates multiplied."""
    return np.diag((x, y, 1.0))


def shift(x: float, y: float) -> Matrix:
    """Moved to the right and down."""
    return np.array(((1.0, 0.0, x), (0.0, 1.0, y), (0.0, 0.0, 1.0)))


def mirroring(width: float) -> Matrix:
    """Left and right exchanged in an image of that width."""
    return np.array(((-1.0, 0.0, width), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)))


def turning(degrees: float, height: float, width: float) -> Matrix:
    """Turned clockwise on screen about the centre of an image of that size, which keeps its size."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    turn = np.array(((cos, -sin, 0.0), (sin, cos, 0.0), (0.0, 0.0, 1.0)))
    matrix: Matrix = shift(width / 2, height / 2) @ turn @ shift(-width / 2, -height / 2)
    return matrix


def moved(polygon: Polygon, matrix: Matrix) -> Polygon:
    """The polygon after an affine map."""
    points = np.asarray(polygon, dtype=np.float64) @ matrix[:2, :2].T + matrix[:2, 2]
    return tuple((x, y) for x, y in points.tolist())


def moved_regions(regions: Sequence[Region], matrix: Matrix) -> list[Region]:
    """The regions with an area after an affine map, wherever they come to lie."""
    return [r._replace(polygon=moved(r.polygon, matrix)) for r in regions if len(r.polygon) > 2]


def placed_image(pixels: Pixels, placement: Placement, height: int, width: int) -> Pixels:
    """The window (height, width, 3): bilinear, and averaged before where it shrinks by 2 or more."""
    matrix = placement.matrix
    image = Image.fromarray(pixels)
    scale = math.sqrt(abs(np.linalg.det(matrix[:2, :2])))
    shrink = int(1 / max(scale, 1e-6))
    if shrink > 1:
        shrink = min(shrink, *image.size)
        image = image.reduce(shrink)
        matrix = matrix @ scaling(shrink, shrink)
    back = np.linalg.inv(matrix)
    rows, columns = (min(a, b) for a, b in zip(placement.shown, (height, width), strict=True))
    window = np.zeros((height, width, 3), np.uint8)
    if rows > 0 and columns > 0:
        seen = image.transform(
            (columns, rows),
            Image.Transform.AFFINE,
            tuple(back[:2].ravel()),
            resample=Image.Resampling.BILINEAR,
        )
        window[:rows, :columns] = np.asarray(seen)
    return window


def placed_regions(
    regions: Sequence[Region], placement: Placement, height: int, width: int
) -> tuple[Region, ...]:
    """The regions in pixels of the window; left out are those beyond it and those without an area.

    A mirroring reverses the order of the vertices, so that they stay clockwise.
    """
    rows, columns = (min(a, b) for a, b in zip(placement.shown, (height, width), strict=True))
    mirrored = np.linalg.det(placement.matrix[:2, :2]) < 0
    kept = []
    for region in regions:
        if len(region.polygon) < 3:
            continue
        polygon = moved(region.polygon, placement.matrix)
        left, top, right, bottom = bounds(polygon)
        if right <= 0 or bottom <= 0 or left >= columns or top >= rows:
            continue
        characters = tuple(moved(one, placement.matrix) for one in region.characters)
        kept.append(
            region._replace(
                polygon=polygon[::-1] if mirrored else polygon,
                characters=tuple(c[::-1] for c in characters) if mirrored else characters,
                annotated=(),
            )
        )
    return tuple(kept)


def stretched(height: int, width: int) -> Place:
    """The whole photograph, both sides scaled to fit."""

    def place(
        rng: np.random.Generator, rows: int, columns: int, regions: Sequence[Region]
    ) -> Placement:
        return Placement(scaling(width / columns, height / rows), (height, width))

    return place


def fitted(
    matrix: Matrix, window: tuple[float, float, float, float], height: int, width: int
) -> Placement:
    """The placement that shows a window of the map's image as large as ratio and size allow.

    Args:
        matrix: what was done to the photograph before.
        window: left, top, right and bottom in its pixels; the rest of the result is black.
    """
    left, top, right, bottom = window
    scale = min(width / (right - left), height / (bottom - top))
    shown = min(height, round((bottom - top) * scale)), min(width, round((right - left) * scale))
    return Placement(scaling(scale, scale) @ shift(-left, -top) @ matrix, shown)


def uncut_window(
    rng: np.random.Generator,
    regions: Sequence[Region],
    height: int,
    width: int,
    *,
    least: float = 0.1,
    tries: int = 10,
) -> tuple[float, float, float, float]:
    """A random window of an image whose borders cut no region that counts, and that holds one.

    Borders are drawn among the rows and columns that no box of a region covers: where these lie apart,
    from two different gaps. Without a region, or where no try succeeds, it is the whole image.

    Args:
        least: of the image's sides, what the window's must have at least.

    Returns:
        Left, top, right, bottom in whole pixels.

    Source: the cropping of EAST's and DB's official code (argman/EAST, MhLiao/DB).
    """
    whole = 0.0, 0.0, float(width), float(height)
    boxes = np.array([bounds(r.polygon) for r in regions if not r.ignored]).reshape(-1, 4)
    if not len(boxes):
        return whole
    across, down = np.ones(width, bool), np.ones(height, bool)
    for left, top, right, bottom in boxes:
        across[max(0, math.floor(left)) : max(0, math.ceil(right))] = False
        down[max(0, math.floor(top)) : max(0, math.ceil(bottom))] = False
    if not across.any() or not down.any():
        return whole
    for _ in range(tries):
        left, right = _two_of(rng, across)
        top, bottom = _two_of(rng, down)
        if right - left < least * width or bottom - top < least * height:
            continue
        inside = (
            (boxes[:, 0] >= left)
            & (boxes[:, 2] <= right)
            & (boxes[:, 1] >= top)
            & (boxes[:, 3] <= bottom)
        )
        if inside.any():
            return float(left), float(top), float(right), float(bottom)
    return whole


def _two_of(rng: np.random.Generator, free: NDArray[np.bool_]) -> tuple[int, int]:
    """Two free positions in order, from different gaps where there are several."""
    positions = np.flatnonzero(free)
    gaps = np.split(positions, np.flatnonzero(np.diff(positions) > 1) + 1)
    if len(gaps) > 1:
        first, second = rng.choice(len(gaps), 2, replace=False)
        a, b = int(rng.choice(gaps[first])), int(rng.choice(gaps[second]))
    else:
        a, b = (int(x) for x in rng.choice(positions, 2))
    return min(a, b), max(a, b)
