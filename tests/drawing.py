"""Maps that tests draw of polygons."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import repeat

import numpy as np

from strbench.raster import Labels, window
from strbench.types import Point


def filled(
    polygons: Iterable[Sequence[Point]],
    height: int,
    width: int,
    *,
    values: Iterable[int] | None = None,
) -> Labels:
    """An image (height, width) in which each polygon is filled with its value, or with 1.

    Later polygons lie on top; beyond all of them it is 0.
    """
    image = np.zeros((height, width), np.int32)
    for polygon, value in zip(polygons, repeat(1) if values is None else values, strict=False):
        seen = window(polygon, height, width)
        image[seen.area][seen.inside] = value
    return image
