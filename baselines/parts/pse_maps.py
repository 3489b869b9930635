"""Progressive scale expansion's maps: kernels drawn from regions for training, and grown back into regions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import shapely
from numpy.typing import NDArray

from strbench.loading import Sizing
from strbench.placing import Scene
from strbench.raster import Components, Labels, components, outlines, window
from strbench.types import Detection, Point

from .text_polygons import Points, offset, rectangles, shrink_distance

MOST_WORDS = 200  # of an image; whai362/PSENet, dataset/psenet/*.py
MOST_SHRUNK = 20  # pixels; the same
# To the pixels above, below, left and right, in the order of models/post_processing/pse/pse.pyx.
_NEIGHBOURS = ((-1, 0), (1, 0), (0, -1), (0, 1))


def targets(scene: Scene, *, kernels: int, smallest: float) -> dict[str, NDArray[np.generic]]:
    """The maps (H, W) of a scene: "kernels", whose bit i is kernel i, and "counts", where they count.

    Kernel 0 is the text itself, the last one the text shrunk to ``smallest``. An ignored text is in no
    kernel and does not count. Texts behind the 200th are not drawn.

    Source: PSENet section 3.4; whai362/PSENet, dataset/psenet/psenet_ic15.py.
    """
    size = scene.height, scene.width
    bits, counts = np.zeros(size, np.uint8), np.ones(size, np.bool_)
    for region in scene.regions[:MOST_WORDS]:
        if region.ignored:
            seen = window(region.polygon, *size)
            counts[seen.area][seen.inside] = False
            continue
        for polygon, kernel in _shrunk(region.polygon, kernels, smallest):
            seen = window(polygon, *size)
            bits[seen.area][seen.inside] |= kernel
    return {"kernels": bits, "counts": counts}


def _shrunk(
    polygon: tuple[Point, ...], kernels: int, smallest: float
) -> Iterator[tuple[tuple[Point, ...] | Points, int]]:
    """A text's polygons and the bits of the kernels that are drawn as each of them.

    Kernel i has the ratio 1 - (1 - smallest) i / (kernels - 1). The border moves by whole pixels, 20 at
    most; a kernel that vanishes is the whole text.
    """
    bits: dict[int, int] = {}
    for i in range(kernels):
        ratio = 1 - (1 - smallest) * i / (kernels - 1)
        distance = min(int(shrink_distance(polygon, ratio) + 0.5), MOST_SHRUNK)
        bits[distance] = bits.get(distance, 0) | 1 << i
    for distance, kernel in bits.items():
        inner = offset(polygon, -distance) if distance else []
        yield (inner[0] if inner else polygon), kernel


@dataclass(frozen=True, kw_only=True)
class Test:
    """How kernels are read on one data set; whai362/PSENet, config/psenet/*.py."""

    sizing: Sizing
    mode: Literal["box", "polygon"]
    score: float  # mean probability that a text has at least
    least: int = 16  # pixels of its smallest kernel

    def __str__(self) -> str:
        return (
            f"{self.sizing}, {self.mode} mode, smallest kernels of {self.least} pixels or more, score "
            f"at least {self.score}"
        )


TESTS: Mapping[str, Test] = {
    "ic15": Test(sizing=Sizing(rule="short", height=736, whole=True), mode="box", score=0.85),
    "ic15-1024": Test(sizing=Sizing(rule="short", height=1024, whole=True), mode="box", score=0.85),
    "ctw1500": Test(
        sizing=Sizing(rule="short", height=736, whole=True), mode="polygon", score=0.85
    ),
    "totaltext": Test(
        sizing=Sizing(rule="short", height=736, whole=True), mode="polygon", score=0.87
    ),
    # Ours, for pages drawn here: as they are.
    "pages": Test(sizing=Sizing(rule="native"), mode="box", score=0.7),
}


def found(logits: NDArray[np.float32], test: Test) -> list[Detection]:
    """The texts in logits (K, H, W) of the kernels, the whole text first, in their pixels.

    A pixel is in a kernel where its logit is above 0, and that of the whole text as well. "box" gives the
    smallest rectangle around a text's pixel centres, "polygon" its outline through them; texts whose
    mean probability is below the score, or that are a straight row of pixels, are left out.

    Source: whai362/PSENet, models/head/psenet_head.py.
    """
    whole = logits[0] > 0
    labels = expanded(np.stack([whole, *(whole & (one > 0) for one in logits[1:])]), test.least)
    parts = _parts(labels)
    if not parts.count:
        return []
    inside = labels >= 0
    total = np.bincount(labels[inside], 1 / (1 + np.exp(-logits[0][inside])))
    scores = np.minimum(total / parts.areas, 1)
    kept = np.flatnonzero(scores >= test.score)
    polygons = _boxes(parts) if test.mode == "box" else outlines(parts)
    return [
        Detection(tuple((x, y) for x, y in (polygons[i] + 0.5).tolist()), float(scores[i]))
        for i in kept.tolist()
        if len(polygons[i]) > 2 and shapely.Polygon(polygons[i]).area > 0
    ]


def expanded(maps: NDArray[np.bool_], least: int) -> Labels:
    """The texts (H, W) of kernels (K, H, W), numbered from 0; -1 where there is none.

    Each part of the last kernel, of which pixels touch at their sides, is a text if it has ``least``
    pixels. Texts grow through the kernels before it, one after the other, by pixels that touch a text at
    a side, breadth first: a pixel belongs to the text that comes first. A pixel from which a text has
    grown in one kernel takes no part in the next ones.

    All kernels lie within the first one. The order is that of a queue which holds the last kernel row by
    row; it is emptied in layers here, in each of which the earliest in the queue has a pixel.

    Source: PSENet section 3.3, algorithm 1; whai362/PSENet, models/post_processing/pse/pse.pyx.
    """
    height, width = maps.shape[1:]
    parts = components(maps[-1], diagonal=False)
    large = parts.areas >= least
    numbers = np.where(large, np.cumsum(large) - 1, -1).astype(np.int32)
    # A frame of one pixel keeps neighbours in the flat image.
    inner = (slice(1, -1), slice(1, -1))
    framed = np.full((height + 2, width + 2), -1, np.int32)
    framed[inner][maps[-1]] = np.repeat(numbers[parts.of], parts.ends - parts.starts)
    is_free = np.zeros(framed.shape, np.bool_)  # text that is nobody's yet
    is_free[inner] = maps[0] & (framed[inner] < 0)
    is_open = np.zeros(framed.shape, np.bool_)  # what of it is in this kernel
    beside = np.zeros(framed.shape, np.bool_)
    beside[inner] = is_free[:-2, 1:-1] | is_free[2:, 1:-1] | is_free[1:-1, :-2] | is_free[1:-1, 2:]
    labels, free, opened = framed.ravel(), is_free.ravel(), is_open.ravel()
    earliest = np.zeros(labels.size, np.int64)
    steps = np.array(_NEIGHBOURS) @ (width + 2, 1)
    # A pixel with nothing free beside it never grows, and is not kept.
    queue = np.flatnonzero(beside & (framed >= 0))
    for kernel in maps[-2::-1]:
        is_open[inner] = kernel & is_free[inner]
        waiting = [queue[:0]]
        while len(queue):
            near = (queue[:, None] + steps).ravel()  # (4 N,) in the queue's order
            asked = np.flatnonzero(opened[near])
            pixel = near[asked]
            earliest[pixel[::-1]] = asked[::-1]  # the last one written stays
            first = earliest[pixel] == asked
            pixel, parent = pixel[first], asked[first] // 4
            labels[pixel] = labels[queue[parent]]
            opened[pixel] = free[pixel] = False
            is_idle = np.ones(len(queue), np.bool_)
            is_idle[parent] = False
            waiting.append(queue[is_idle])
            queue = pixel
        queue = np.concatenate(waiting)
        queue = queue[free[queue[:, None] + steps].any(axis=1)]
    return framed[inner]


def _parts(labels: Labels) -> Components:
    """Texts (H, W), numbered from 0 and -1 elsewhere, as connected parts that may touch each other."""
    height, width = labels.shape
    changes = np.ones((height, width + 1), np.bool_)
    changes[:, 1:-1] = labels[:, 1:] != labels[:, :-1]
    is_text = labels >= 0
    first = np.flatnonzero(changes[:, :-1] & is_text)
    last = np.flatnonzero(changes[:, 1:] & is_text)
    rows, starts = np.divmod(first, width)
    of = labels[rows, starts].astype(np.int64)
    return Components(labels, int(of.max(initial=-1)) + 1, rows, starts, last % width + 1, of)


def _boxes(parts: Components) -> Points:
    """(count, 4, 2) the smallest rectangles around the pixels of each."""
    points = np.stack([np.append(parts.starts, parts.ends - 1), np.tile(parts.rows, 2)], axis=1)
    owner = np.tile(parts.of, 2)
    order = np.argsort(owner, kind="stable")
    return rectangles(
        np.split(points[order], np.searchsorted(owner[order], np.arange(1, parts.count)))
    )
