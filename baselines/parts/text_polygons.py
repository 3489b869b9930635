"""Outlines of text made smaller and larger, as detectors draw and undo their label maps.

Offsets are round, as in the Vatti clipping of the official codes, but on real numbers: these round
vertices to whole pixels, which moves the outline of a word of 12 pixels noticeably.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import shapely
from numpy.typing import NDArray

from strbench.types import Point

Points = NDArray[np.float64]  # (N, 2) x and y


def area_over_length(polygon: Sequence[Point] | Points) -> float:
    """Area by perimeter, in pixels; 0 for a polygon without either."""
    shape = shapely.Polygon(polygon)
    return shape.area / shape.length if shape.length else 0.0


def offset(polygon: Sequence[Point] | Points, distance: float) -> list[Points]:
    """The polygon with its border moved outward, or inward where ``distance`` is below 0.

    What is left of it, the largest part first; nothing where it vanishes.
    """
    shape = shapely.Polygon(polygon)
    if not shape.is_valid:
        shape = shapely.make_valid(shape)
    moved = shapely.buffer(shape, distance, quad_segs=4, join_style="round")
    parts = [p for p in shapely.get_parts(moved) if p.geom_type == "Polygon" and p.area > 0]
    parts.sort(key=lambda part: -part.area)
    return [shapely.get_coordinates(part.exterior)[:-1] for part in parts]


def shrink_distance(polygon: Sequence[Point] | Points, ratio: float) -> float:
    """By how many pixels a shrinking to ``ratio`` moves the border: area (1 - ratio^2) / perimeter.

    Source: Wang et al., PSENet, CVPR 2019, equation 2.
    """
    return area_over_length(polygon) * (1 - ratio * ratio)


def grown(polygon: Sequence[Point] | Points, ratio: float) -> list[Points]:
    """The polygon "unclipped": grown by area ``ratio`` / perimeter. More than one if it falls apart."""
    return offset(polygon, area_over_length(polygon) * ratio)


def rectangles(hulls: Iterable[Points]) -> Points:
    """(N, 4, 2) the smallest rectangle around each set of points, clockwise on screen.

    From its corner that is the leftmost of the upper two. Sets without an area give boxes without one.
    """
    sets = [np.asarray(points, dtype=np.float64) for points in hulls]
    if not sets:
        return np.zeros((0, 4, 2))
    owner = np.repeat(np.arange(len(sets)), [len(points) for points in sets])
    around = shapely.oriented_envelope(shapely.multipoints(np.concatenate(sets), indices=owner))
    out = np.empty((len(sets), 4, 2))
    for i, shape in enumerate(around):
        corners = shapely.get_coordinates(shape)[:4]
        if len(corners) < 4:  # a point, or a line there and back
            line = shapely.get_coordinates(shape)
            corners = np.stack([line[0], line[-1], line[-1], line[0]])
        out[i] = _ordered(corners)
    return out


def _ordered(corners: Points) -> Points:
    """Four corners clockwise on screen, the leftmost of the upper two first."""
    x, y = corners[:, 0], corners[:, 1]
    area = (x * np.roll(y, -1) - np.roll(x, -1) * y).sum()
    if area < 0:
        corners = corners[::-1]
    upper = np.argsort(corners[:, 1], kind="stable")[:2]
    first = upper[np.argmin(corners[upper, 0])]
    return np.roll(corners, -int(first), axis=0)


def sides(rectangle: Points) -> tuple[float, float]:
    """The longer and the shorter side of a rectangle (4, 2)."""
    a, b = (float(np.hypot(*(rectangle[i + 1] - rectangle[i]))) for i in (0, 1))
    return max(a, b), min(a, b)


def distances(
    polygon: Sequence[Point] | Points, x: NDArray[np.floating], y: NDArray[np.floating]
) -> Points:
    """How far points are from the border of a polygon, in pixels; x and y of any one shape."""
    a = np.asarray(polygon, dtype=np.float64)
    b = np.roll(a, -1, axis=0)
    along = b - a
    length = (along**2).sum(axis=1)
    dx, dy = x[..., None] - a[:, 0], y[..., None] - a[:, 1]  # (..., E)
    share = (dx * along[:, 0] + dy * along[:, 1]) / np.where(length > 0, length, 1)
    share = np.clip(share, 0, 1)
    far: Points = np.hypot(dx - share * along[:, 0], dy - share * along[:, 1]).min(axis=-1)
    return far
