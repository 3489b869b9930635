"""Polygons in image coordinates: x right, y down, so that clockwise on screen has positive area."""

from __future__ import annotations

import math

from strbench.types import Polygon


def signed_area(polygon: Polygon) -> float:
    """The area by the shoelace formula, in square pixels; positive if clockwise on screen.

    >>> signed_area(((0, 0), (4, 0), (4, 2), (0, 2)))
    8.0
    """
    # relative to the first vertex, which keeps precision far from the origin
    x0, y0 = polygon[0]
    moved = [(x - x0, y - y0) for x, y in polygon]
    pairs = zip(moved, moved[1:] + moved[:1], strict=True)
    return sum(ax * by - bx * ay for (ax, ay), (bx, by) in pairs) / 2


def clockwise(polygon: Polygon) -> Polygon:
    """The polygon with its vertices clockwise on screen: as it is, or in reverse order.

    The whole order is reversed, so that a curve drawn along its lower edge and back along its upper
    one (CTW1500) begins at the left end of its upper edge. A polygon without area stays as it is.

    >>> clockwise(((0, 2), (4, 2), (4, 0), (0, 0)))
    ((0, 0), (4, 0), (4, 2), (0, 2))
    """
    return polygon[::-1] if signed_area(polygon) < 0 else polygon


def turned_box(x: float, y: float, width: float, height: float, angle: float) -> tuple[float, ...]:
    """The vertices x1, y1, ... of an upright box that is turned about its centre.

    Args:
        x, y: upper left corner before turning.
        angle: radians, clockwise on screen.

    >>> [round(v, 6) for v in turned_box(0, 0, 4, 2, math.pi / 2)]
    [3.0, -1.0, 3.0, 3.0, 1.0, 3.0, 1.0, -1.0]
    """
    cx, cy = x + width / 2, y + height / 2
    cos, sin = math.cos(angle), math.sin(angle)
    corners = ((-1, -1), (1, -1), (1, 1), (-1, 1))
    flat: list[float] = []
    for across, down in corners:
        dx, dy = across * width / 2, down * height / 2
        flat += [cx + dx * cos - dy * sin, cy + dx * sin + dy * cos]
    return tuple(flat)


def bounds(polygon: Polygon) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of a polygon."""
    xs, ys = [p[0] for p in polygon], [p[1] for p in polygon]
    return min(xs), min(ys), max(xs), max(ys)
