"""The centre of a text: the long sides of its polygon, and the strip between them, as TextSnake draws it.

Source: Long et al., TextSnake, ECCV 2018; numbers: MMOCR, textsnake_module_loss.py and fce_module_loss.py.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .text_polygons import Points

HALF_WIDTH = 0.3  # of the strip, by half the text's height
STEP = 4.0  # pixels between points of the long sides


def long_sides(polygon: Sequence[tuple[float, float]] | Points) -> tuple[Points, Points] | None:
    """The two sides between the ends of a text, both from the same end; None without three corners.

    Of four corners the ends are the two upright edges, unless these are twice as long as the others.
    Of more they are the pair of edges that is most like ends: it turns sharply at both corners, lies far
    out, and is half the border apart.
    """
    corners = np.asarray(polygon, dtype=np.float64)
    corners = corners[(corners != np.roll(corners, -1, axis=0)).any(axis=1)]
    if len(corners) < 3:
        return None
    if len(corners) == 3:  # one more in the middle of the longest edge
        after = np.roll(corners, -1, axis=0)
        longest = int(np.hypot(*(after - corners).T).argmax())
        corners = np.insert(corners, longest + 1, (corners + after)[longest] / 2, axis=0)
    n = len(corners)
    head, tail = _ends_of_four(corners) if n == 4 else _ends(corners)
    # An end is the edge from that corner to the next one.
    there = (head + 1 + np.arange((tail - head - 1) % n + 1)) % n
    back = (tail + 1 + np.arange((head - tail - 1) % n + 1)) % n
    return corners[there], corners[back[::-1]]


def _ends_of_four(corners: Points) -> tuple[int, int]:
    edges = np.roll(corners, -1, axis=0) - corners
    steep = np.abs(edges[:, 1] / (edges[:, 0] + 1e-8))
    length = np.hypot(*edges.T)
    upright = 1 if steep[[0, 2]].sum() < steep[[1, 3]].sum() else 0
    is_tall = length[upright::2].sum() > 2 * length[1 - upright :: 2].sum()
    first = 1 - upright if is_tall else upright
    return first, first + 2


def _ends(corners: Points) -> tuple[int, int]:
    n = len(corners)
    edges = np.roll(corners, -1, axis=0) - corners
    ways = edges / (np.hypot(*edges.T)[:, None] + 1e-8)
    turn = _angles(ways, np.roll(ways, -1, axis=0))  # at the corner behind each edge
    around = _angles(np.roll(ways, 1, axis=0), np.roll(ways, -1, axis=0))
    out = np.hypot(*(corners - corners.mean(axis=0)).T)
    far = np.maximum(out, np.roll(out, -1))
    score = (0.5 * (turn + np.roll(turn, 1)) + 0.15 * around) / np.pi
    score += 0.35 * far / (far.max() + 1e-8)
    if n % 2 == 0:  # annotators begin at an end and have as many points on either side
        score[[n // 2 - 1, -1]] += 0.1
    gaps = np.arange(n - 3)
    bell = np.exp(-(((gaps / (n - 4) - 0.5) / 0.5) ** 2) / 2)
    pairs = score[:, None] + 0.3 * score[(np.arange(n)[:, None] + 2 + gaps) % n] * (
        bell / bell.max()
    )
    head, gap = np.unravel_index(pairs.argmax(), pairs.shape)
    return int(head), int((head + gap + 2) % n)


def _angles(a: Points, b: Points) -> NDArray[np.float64]:
    """(N,) between unit vectors (N, 2), in radians."""
    between: NDArray[np.float64] = np.arccos(np.clip((a * b).sum(axis=1), -1.0, 1.0))
    return between


def centre(sides: tuple[Points, Points]) -> Points:
    """The outline of a text's centre: 0.3 of its height, without a quarter of that at either end.

    The quarter is rounded down to steps of 4 pixels, and left where little would remain.

    Args:
        sides: of ``long_sides``, in pixels of the level.
    """
    lengths = [np.hypot(*np.diff(side, axis=0).T).sum() for side in sides]
    n = max(int(sum(lengths) / 2 / STEP) + 1, 3)
    a, b = (_resampled(side, n) for side in sides)
    head, tail = (int(np.hypot(*(a[end] - b[end])) / 4 // STEP) for end in (0, -1))
    if n > head + tail + 2:
        a, b = a[head : n - tail], b[head : n - tail]
    line, half = (a + b) / 2, (a - b) / 2 * HALF_WIDTH
    return np.concatenate([line + half, (line - half)[::-1]])


def _resampled(line: Points, n: int) -> Points:
    """n points of a line, equally far apart along it."""
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
    at = np.linspace(0, along[-1], n)
    return np.stack([np.interp(at, along, line[:, i]) for i in (0, 1)], axis=1)
