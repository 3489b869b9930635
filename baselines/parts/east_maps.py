"""EAST's maps: drawn from regions for training, read back as turned boxes, and these merged.

The map has a cell for every 4 x 4 pixels. A cell of text tells how far its centre is from the four sides
of a box, and by how much the box is turned. Distances are in pixels of the image.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import shapely
from numpy.typing import NDArray

from strbench.loading import Sizing
from strbench.placing import Scene
from strbench.raster import Window, window
from strbench.types import Detection, Point

from .text_polygons import Points, rectangles

STRIDE = 4
SHRINK = 0.3  # of the shorter side at a corner; EAST section 3.3.1
Angles = Literal[45, 90]  # degrees to either side
_NOTHING = Window(0, 0, np.zeros((0, 0), np.bool_))


@dataclass(frozen=True, kw_only=True)
class Labels:
    """In which of the published ways the maps are drawn.

    45: a text's box is the smallest rectangle around it, and its sides are named by where they lie, so
    that a line that runs down the image is a high box (argman/EAST, icdar.py). 90: the box stands as the
    text does, its upper side above the letters, and is turned by whole degrees (SakuraRiven/EAST,
    dataset.py). Maps of one kind mean something else to a network of the other.
    """

    angles: Angles = 90
    least_side: float = 0.0  # pixels of a text's shortest side, below which it does not count
    # Pixels by which shrunk text is grown before the cells with their centres in it are taken: OpenCV
    # fills a polygon with the cells on its border, on the map (half a cell) or in the image (half a pixel).
    margin: float = STRIDE / 2


def targets(scene: Scene, labels: Labels) -> dict[str, NDArray[np.generic]]:
    """The maps (H / 4, W / 4) of a scene: "score" is text, "counts", "sides" (4, ...) and "angle".

    "sides" are the distances to the upper, lower, left and right side, "angle" is in radians; both are 0
    where no text is. Of texts that lie on each other the later one has the cells. What does not count,
    with its whole polygon, is a text annotated so, one with a side that is too short, and one that is so
    thin that no cell's centre is in it.
    """
    size = scene.height // STRIDE, scene.width // STRIDE
    score, counts = np.zeros(size, np.bool_), np.ones(size, np.bool_)
    sides, angle = np.zeros((4, *size), np.float32), np.zeros(size, np.float32)
    for region in scene.regions:
        quad = quadrilateral(region.polygon)
        seen = _NOTHING
        if not region.ignored and _lengths(quad).min() >= labels.least_side:
            seen = _cells(shrunk(quad), labels.margin, size)
        if not seen.inside.any():
            ignored = _cells(np.asarray(region.polygon, np.float64), labels.margin, size)
            counts[ignored.area][ignored.inside] = False
            continue
        turn = standing(quad) if labels.angles == 90 else nearest(quad)
        y, x = np.nonzero(seen.inside)
        y, x = y + seen.top, x + seen.left
        corners = _turned(quad, turn)
        at = _turned(np.stack([x, y], axis=1) * STRIDE + STRIDE / 2, turn)
        low, high = corners.min(axis=0), corners.max(axis=0)
        far = np.stack(
            [at[:, 1] - low[1], high[1] - at[:, 1], at[:, 0] - low[0], high[0] - at[:, 0]]
        )
        score[y, x], angle[y, x], sides[:, y, x] = True, turn, np.maximum(far, 0)
    return {"score": score, "counts": counts, "sides": sides, "angle": angle}


def quadrilateral(polygon: Sequence[Point]) -> Points:
    """(4, 2) a polygon of four corners as it is; of any other the smallest rectangle around it."""
    points = np.asarray(polygon, dtype=np.float64)
    return points if len(points) == 4 else rectangles([points])[0]


def _lengths(quad: Points) -> Points:
    """(4,) from each corner to the next."""
    along = np.roll(quad, -1, axis=0) - quad
    lengths: Points = np.hypot(along[:, 0], along[:, 1])
    return lengths


def shrunk(quad: Points, ratio: float = SHRINK) -> Points:
    """The quadrilateral (4, 2) with its corners moved along its sides, those of the longer pair first.

    Each moves by ``ratio`` of the shorter of its two sides; ends of a side of 1 pixel or less stay.

    Source: EAST section 3.3.1; the limit of a pixel: SakuraRiven/EAST, dataset.py.
    """
    lengths = _lengths(quad)
    reach = np.minimum(lengths, np.roll(lengths, 1)) * ratio
    longer = 0 if lengths[0] + lengths[2] > lengths[1] + lengths[3] else 1
    out = quad.copy()
    for side in (longer, longer + 2, longer + 1, longer + 3):
        a, b = side % 4, (side + 1) % 4
        along = out[b] - out[a]
        length = float(np.hypot(*along))
        if length > 1:
            out[a] += along / length * reach[a]
            out[b] -= along / length * reach[b]
    return out


def _cells(polygon: Points, margin: float, size: tuple[int, int]) -> Window:
    """The cells whose centres are in a polygon that is grown by ``margin`` pixels."""
    if margin:
        ring = shapely.buffer(
            shapely.make_valid(shapely.Polygon(polygon)), margin, join_style="mitre"
        )
        parts = [p for p in shapely.get_parts(ring) if p.geom_type == "Polygon"]
        if not parts:
            return _NOTHING
        polygon = shapely.get_coordinates(max(parts, key=lambda p: p.area).exterior)[:-1]
    return window(polygon / STRIDE, *size)


def _turned(points: NDArray[np.floating], angle: Points | float) -> Points:
    """Points (..., 2) turned clockwise on screen about the origin by radians that fit (...)."""
    cos, sin = np.cos(angle), np.sin(angle)
    x, y = points[..., 0], points[..., 1]
    return np.stack([x * cos - y * sin, x * sin + y * cos], axis=-1)


_DEGREES = np.radians(np.arange(-90, 90))


def standing(quad: Points) -> float:
    """The turn in radians, of whole degrees from -90 to 89, after which a text stands upright.

    Of the ten turns with the smallest box around it, that whose box's corners, from the upper left one,
    are nearest to the text's own in their order.

    Source: SakuraRiven/EAST, dataset.py.
    """
    turned = _turned(quad, _DEGREES[:, None])  # (180, 4, 2)
    low, high = turned.min(axis=1), turned.max(axis=1)
    areas = (high - low).prod(axis=1)
    few = np.argsort(areas, kind="stable")[:10]
    boxes = np.stack([low, np.stack([high[:, 0], low[:, 1]], 1), high,
                      np.stack([low[:, 0], high[:, 1]], 1)], axis=1)  # fmt: skip
    apart = turned[few] - boxes[few]
    best = few[np.hypot(apart[..., 0], apart[..., 1]).sum(axis=1).argmin()]
    return float(_DEGREES[best])


def nearest(quad: Points) -> float:
    """The smallest turn in radians, from -45 degrees, that sets the smallest rectangle upright."""
    box = rectangles([quad])[0]
    along = box[1] - box[0]
    quarter = math.pi / 2
    return (-math.atan2(along[1], along[0]) + quarter / 2) % quarter - quarter / 2


# --- read back


@dataclass(frozen=True, kw_only=True)
class Test:
    """How the maps are read on one data set."""

    sizing: Sizing
    score: float  # that a cell has more than
    overlap: float = 0.2  # from which boxes are merged and suppressed
    outside: int = 4  # corners of a cell's box that may lie beyond the image
    box: float = 0.0  # mean score that a box has more than
    least_side: float = 0.0  # pixels of a box that is kept

    def __str__(self) -> str:
        return (
            f"{self.sizing}, score over {self.score}, merged and suppressed over an IoU of "
            f"{self.overlap}, boxes of a mean score over {self.box} and {self.least_side:g} pixels"
        )


_AS_IT_IS = Sizing(rule="native", rounding="down")
_UP_TO_2400 = Sizing(rule="native", limit=2400, rounding="down")  # argman/EAST, eval.py

TESTS: Mapping[str, Test] = {
    # SakuraRiven/EAST, detect.py
    "ic15": Test(sizing=_AS_IT_IS, score=0.9, outside=1),
    # argman/EAST, eval.py
    "ic15-argman": Test(sizing=_UP_TO_2400, score=0.8, box=0.1, least_side=5),
    # Ours, as no code has any: the first row's thresholds, and the second one's limit for photographs
    # that are larger.
    "td500": Test(sizing=_UP_TO_2400, score=0.9, outside=1),
    "ic17": Test(sizing=_UP_TO_2400, score=0.9, outside=1),
    # Ours, for pages drawn here: as they are.
    "pages": Test(sizing=Sizing(rule="native"), score=0.8),
}


def found(
    score: NDArray[np.float32], sides: NDArray[np.float32], angle: NDArray[np.float32], test: Test
) -> list[Detection]:
    """The texts in maps (h, w), (4, h, w) and (h, w), in pixels of the image, the most certain first.

    Certain is what many cells agree on. The confidence is the mean score of the cells in the box, which
    is less than theirs, since text is drawn shrunk.

    Source: EAST section 3.6; SakuraRiven/EAST, detect.py; argman/EAST, eval.py.
    """
    rows, columns = np.nonzero(score > test.score)
    quads = boxes(rows, columns, sides[:, rows, columns], angle[rows, columns])
    height, width = score.shape
    beyond = ((quads < 0) | (quads >= (width * STRIDE, height * STRIDE))).any(axis=2).sum(axis=1)
    some = beyond <= test.outside
    quads, weights = merged(quads[some], score[rows, columns][some], test.overlap)
    detections = []
    for quad in quads[suppressed(quads, weights, test.overlap)]:
        seen = _cells(quad, STRIDE / 2, (height, width))
        inside = score[seen.area][seen.inside]
        mean = float(inside.mean()) if inside.size else 0.0
        if mean > test.box and _lengths(quad).min() >= test.least_side:
            polygon = tuple((x, y) for x, y in quad.tolist())
            detections.append(Detection(polygon, min(1.0, mean)))
    return detections


def boxes(
    rows: NDArray[np.integer],
    columns: NDArray[np.integer],
    sides: NDArray[np.floating],
    angle: NDArray[np.floating],
) -> Points:
    """(N, 4, 2) the boxes that cells tell of: upper left corner first, clockwise on screen.

    Args:
        sides: (4, N) distances to the upper, lower, left and right side.
        angle: (N,) the turn in radians, clockwise, that would set the box upright.
    """
    up, down, left, right = sides.astype(np.float64)
    corners = np.stack(
        [np.stack([-left, right, right, -left], 1), np.stack([-up, -up, down, down], 1)], axis=2
    )
    centres = np.stack([columns, rows], axis=1) * STRIDE + STRIDE / 2
    turned: Points = _turned(corners, -angle.astype(np.float64)[:, None]) + centres[:, None]
    return turned


def merged(quads: Points, scores: NDArray[np.floating], threshold: float) -> tuple[Points, Points]:
    """Boxes in reading order (N, 4, 2), each merged into the one before where their IoU is over a threshold.

    What is merged is the mean of the corners, weighed by the scores (N,), and the next box meets that.
    The algorithm is sequential, but the mean depends on nothing but where its run of boxes begins, so all
    boxes are asked at once for a guess of the beginnings, and again where the answers moved one. An answer
    is right when all before it are, so every round settles one more at least, and when nothing moves the
    answers are those of the algorithm.

    Returns:
        The merged boxes (M, 4, 2), and the sum of the scores in each (M,).

    Source: EAST section 3.6, algorithm 1; argman/EAST, locality_aware_nms.py.
    """
    n = len(quads)
    weight = np.concatenate([[0.0], np.cumsum(scores, dtype=np.float64)])
    total = np.concatenate([np.zeros((1, 4, 2)), np.cumsum(scores[:, None, None] * quads, axis=0)])
    is_first = np.ones(n, np.bool_)
    begin = np.full(n, -1)  # of the run that a box meets
    while n:
        runs = np.maximum.accumulate(np.where(is_first, np.arange(n), 0))
        meets = np.concatenate([[-1], runs[:-1]])
        stale = np.flatnonzero(meets != begin)
        if not len(stale):
            break
        begin = meets
        since = begin[stale]
        mean = (total[stale] - total[since]) / (weight[stale] - weight[since])[:, None, None]
        is_first[stale] = ~(overlaps(quads[stale], mean) > threshold)
    first = np.flatnonzero(is_first)
    last = np.append(first[1:], n)[: len(first)]
    weights = weight[last] - weight[first]
    return (total[last] - total[first]) / weights[:, None, None], weights


def suppressed(quads: Points, weights: Points, threshold: float) -> NDArray[np.int64]:
    """Indices of the boxes (N, 4, 2) that no heavier kept one overlaps by an IoU over a threshold.

    The heaviest first; of equal ones the earlier.
    """
    order = np.argsort(-weights, kind="stable")
    tree = shapely.STRtree(shapely.box(*quads.min(axis=1).T, *quads.max(axis=1).T))
    is_open = np.ones(len(quads), np.bool_)
    kept = []
    for i in order:
        if not is_open[i]:
            continue
        kept.append(i)
        is_open[i] = False
        near = tree.query(tree.geometries[i])
        near = near[is_open[near]]
        both = overlaps(quads[near], np.broadcast_to(quads[i], (len(near), 4, 2)))
        is_open[near[both > threshold]] = False
    return np.array(kept, dtype=np.int64)


def overlaps(first: Points, second: Points) -> Points:
    """(N,) the IoU of pairs of parallelograms (N, 4, 2); 0 where one has no area.

    Rectangles are some, and so is every weighed mean of them. The second one is laid on the unit square,
    and the border of the first is followed with its coordinates limited to the square, which encloses
    what both have in common. Unlike GEOS's overlay this is safe where both are nearly the same, as the
    boxes of two cells of a text are: there that finds nothing in common in about 2 of 100,000 pairs.
    """
    across, down = second[:, 1] - second[:, 0], second[:, 3] - second[:, 0]
    area = _cross(across, down)
    other = np.abs(_cross(first[:, 1] - first[:, 0], first[:, 3] - first[:, 0]))
    with np.errstate(divide="ignore", invalid="ignore"):
        at = first - second[:, :1]
        points = np.stack([_cross(at, down[:, None]), _cross(across[:, None], at)], axis=2)
        points = points / area[:, None, None]  # (N, 4, 2)
        along = np.roll(points, -1, axis=1) - points
        # Where each side of the first passes the lines of the square's sides, as shares of its length.
        passes = np.concatenate([-points / along, (1 - points) / along], axis=2)
        ends = np.broadcast_to((0.0, 1.0), (*passes.shape[:2], 2))
        shares = np.sort(np.concatenate([np.nan_to_num(passes).clip(0, 1), ends], axis=2), axis=2)
        path = (points[:, :, None] + shares[..., None] * along[:, :, None]).clip(0, 1)
        common = np.abs(_cross(path[:, :, :-1], path[:, :, 1:]).sum(axis=(1, 2)) / 2 * area)
        ratio = common / (other + np.abs(area) - common)
    return np.where((area != 0) & (other > 0), ratio, 0.0)


def _cross(a: Points, b: Points) -> Points:
    crossed: Points = a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
    return crossed
