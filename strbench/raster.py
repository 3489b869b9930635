"""Polygons to pixels and back: what they cover, connected components, and their outlines.

Everything runs over arrays: rows of equal pixels (runs) are linked to those of the next row, and the
edges between pixels are put in order by pointer jumping. Nothing visits pixels one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from strbench.types import Point

Ints = NDArray[np.int64]
Labels = NDArray[np.int32]


class Window(NamedTuple):
    """The pixels around a polygon, within an image: rows from ``top``, columns from ``left``."""

    top: int
    left: int
    inside: NDArray[np.bool_]  # (h, w); of a polygon beyond the image (0, 0)

    @property
    def area(self) -> tuple[slice, slice]:
        """Where it lies in the image."""
        height, width = self.inside.shape
        return slice(self.top, self.top + height), slice(self.left, self.left + width)


def window(polygon: Sequence[Point] | NDArray[np.floating], height: int, width: int) -> Window:
    """The pixels of an image of that size whose centres a polygon covers, by the even-odd rule."""
    points = np.asarray(polygon, dtype=np.float64)
    left, top = np.floor(points.min(axis=0)).astype(int)
    right, bottom = np.ceil(points.max(axis=0)).astype(int)
    left, top, right, bottom = max(left, 0), max(top, 0), min(right, width), min(bottom, height)
    if right <= left or bottom <= top:
        return Window(0, 0, np.zeros((0, 0), np.bool_))
    h, w = bottom - top, right - left
    (x0, y0), (x1, y1) = (points - (left, top)).T, (np.roll(points, -1, axis=0) - (left, top)).T
    rows = np.arange(h) + 0.5
    row, edge = np.nonzero((y0 <= rows[:, None]) != (y1 <= rows[:, None]))  # crossed by the row
    at = x0[edge] + (rows[row] - y0[edge]) * (x1[edge] - x0[edge]) / (y1[edge] - y0[edge])
    # Everything from the first centre at or behind a crossing changes sides.
    column = np.clip(np.ceil(at - 0.5), 0, w).astype(int)
    turns = np.bincount(row * (w + 1) + column, minlength=h * (w + 1)).reshape(h, w + 1)
    return Window(int(top), int(left), np.cumsum(turns, axis=1)[:, :w] % 2 == 1)


@dataclass(frozen=True)
class Components:
    """The connected parts of a mask, numbered from 0 by their first pixel, row by row."""

    labels: Labels  # (H, W); -1 outside of all
    count: int
    rows: Ints  # (R,) of the runs, in reading order
    starts: Ints  # (R,) their first column
    ends: Ints  # (R,) the column after their last
    of: Ints  # (R,) the component of each

    @property
    def areas(self) -> Ints:
        """(count,) pixels."""
        sizes = np.bincount(self.of, self.ends - self.starts, minlength=self.count)
        return sizes.astype(np.int64)

    def sums(self, values: NDArray[np.floating]) -> NDArray[np.float64]:
        """(count,) the sum of a map (H, W) over the pixels of each."""
        inside = self.labels >= 0
        total = np.bincount(self.labels[inside], values[inside], minlength=self.count)
        return total.astype(np.float64)


def components(mask: NDArray[np.bool_], *, diagonal: bool = True) -> Components:
    """The connected parts of a mask (H, W).

    Args:
        diagonal: pixels that touch at a corner alone belong together.
    """
    height, width = mask.shape
    padded = np.zeros((height, width + 2), np.bool_)
    padded[:, 1:-1] = mask
    # In each row the mask begins and ends in turn.
    turns = np.flatnonzero(padded[:, 1:] != padded[:, :-1])  # of (H, W + 1)
    rows, starts = np.divmod(turns[::2], width + 1)
    ends = turns[1::2] % (width + 1)
    # A run meets those of the next row that end behind its start and start before its end.
    stride, reach = width + 3, int(diagonal)
    first = np.searchsorted(rows * stride + ends, (rows + 1) * stride + starts - reach, "right")
    last = np.searchsorted(rows * stride + starts, (rows + 1) * stride + ends + reach, "left")
    many = np.maximum(last - first, 0)
    above = np.repeat(np.arange(len(rows)), many)
    below = np.arange(len(above)) - np.repeat(np.cumsum(many) - many, many) + first[above]
    root = _joined(len(rows), above, below)
    _, of = np.unique(root, return_inverse=True)
    labels = np.full(mask.shape, -1, np.int32)
    labels.ravel()[np.flatnonzero(mask)] = np.repeat(of, ends - starts)
    count = int(of.max(initial=-1)) + 1
    return Components(labels, count, rows, starts, ends, of.astype(np.int64))


def _joined(n: int, first: Ints, second: Ints) -> Ints:
    """(n,) the smallest member of the set that each of n things is in, where pairs are joined."""
    root = np.arange(n)
    while True:
        a, b = root[first], root[second]
        low, high = np.minimum(a, b), np.maximum(a, b)
        if (low == high).all():
            return root
        np.minimum.at(root, high, low)
        while not np.array_equal(shorter := root[root], root):
            root = shorter


# Sides of a pixel in the order of a walk clockwise on screen around it: up, right, down, left.
_NORMAL = np.array(
    ((-1, 0), (0, 1), (1, 0), (0, -1))
)  # rows and columns to the pixel across a side
_ALONG = np.roll(_NORMAL, -1, axis=0)  # the direction in which a side is walked


def outlines(found: Components) -> list[NDArray[np.int64]]:
    """The outer border of each component, as the pixels (N, 2) x and y that a walk around it visits.

    Clockwise on screen from its first pixel, holes left out; of a straight row of pixels the ends alone.
    Where a component is one pixel thick it is walked there and back. These are the contours of OpenCV's
    findContours with RETR_EXTERNAL and CHAIN_APPROX_SIMPLE, but for where they begin.
    """
    if not found.count:
        return []
    labels = np.pad(found.labels, 1, constant_values=-1)
    width = labels.shape[1]
    flat = labels.ravel()
    pixels = np.flatnonzero(flat >= 0)
    across = _NORMAL @ (width, 1)  # steps in the flat image
    along = _ALONG @ (width, 1)
    borders = flat[pixels[:, None] + across] != flat[pixels][:, None]  # (P, 4)
    owner, side = np.nonzero(borders)
    pixel = pixels[owner]
    key = pixel * 4 + side  # rising
    # Around a corner the walk keeps to its component: over the corner, ahead, or around the pixel.
    label = flat[pixel]
    over = flat[pixel + across[side] + along[side]] == label
    ahead = flat[pixel + along[side]] == label
    following = np.where(
        over,
        (pixel + across[side] + along[side]) * 4 + (side + 3) % 4,
        np.where(ahead, (pixel + along[side]) * 4 + side, pixel * 4 + (side + 1) % 4),
    )
    after = np.searchsorted(key, following)
    # Each walk begins on top of its component's first pixel, and is cut before it.
    first = np.full(found.count, -1)
    tops = np.flatnonzero(side == 0)
    first[label[tops[::-1]]] = tops[::-1]
    n = len(key)
    is_first = np.zeros(n, bool)
    is_first[first] = True
    last = is_first[after]
    rest = np.where(last, 0, 1)  # steps to the end of the walk
    jump = np.where(last, np.arange(n), after)
    for _ in range(max(1, n.bit_length())):
        rest = rest + rest[jump]
        jump = jump[jump]
    outer = last[jump]  # the walks around holes have no end
    order = np.flatnonzero(outer)
    order = order[np.lexsort((-rest[order], label[order]))]
    x, y = pixel[order] % width - 1, pixel[order] // width - 1
    return [_corners(points) for points in _split(np.stack([x, y], axis=1), label[order])]


def _split(points: Ints, owner: NDArray[np.integer]) -> list[Ints]:
    return np.split(points, np.flatnonzero(np.diff(owner)) + 1)


def _corners(points: Ints) -> Ints:
    """A closed walk without repeated pixels and without those between two others of a straight line."""
    walk: Ints = points[np.append(True, (np.diff(points, axis=0) != 0).any(axis=1))]
    if len(walk) > 1 and (walk[-1] == walk[0]).all():
        walk = walk[:-1]
    if len(walk) < 3:
        return walk
    arriving, leaving = walk - np.roll(walk, 1, axis=0), np.roll(walk, -1, axis=0) - walk
    turns: Ints = walk[(arriving != leaving).any(axis=1)]
    return turns
