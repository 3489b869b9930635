"""TextBPN's maps and polygons: drawn from regions for training, and proposals found in the maps.

A text's *distance* is how far a pixel lies from its border, divided by the largest such distance in it. A
*boundary* is ``POINTS`` points along a closed line, clockwise on screen, at equal steps from its
uppermost vertex.

Distances are exact and to the outline. The official codes transform a mask of whole pixels, in which a
pixel's distance is to the nearest one outside: about half a pixel more. On windows of Total-Text's test set
the two maps are 0.023 apart on average, contours overlap by 0.97, proposals from the same maps by 0.95.

Of the 2,215 texts that count in that set, drawn at test size, the 20 points on the contour give all back at
IoU 0.5 (0.98 on average). Proposals from true maps do so with F 0.89, TextBPN++'s with 0.79: they are
smaller than the text, which the evolution has to make good.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray

from strbench.geometry import bounds, clockwise
from strbench.loading import Sizing
from strbench.placing import Scene
from strbench.raster import components, outlines, window
from strbench.types import Polygon

from .text_polygons import Points, distances

POINTS = 20  # of a boundary; GXYM/TextBPN, cfglib/config.py: num_points
LEAST_DISTANCE = 4.0  # pixels to the middle of a text that counts; dataset/dataload.py


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """How TextBPN draws what it learns; GXYM/TextBPN, dataset/dataload.py and cfglib/config.py."""

    level: float = 0.4  # a proposal is the border of where the distance is this or more
    jitter: float = 0.8  # of ``level`` times the largest distance: how far points are thrown about
    approximation: float = 0.007  # of a contour's length, by which it may be simplified
    least_area: int = 0  # pixels of a text that counts


# GXYM/TextBPN-Plus-Plus, the same files.
PLUS = Drawing(level=0.35, jitter=0.65, approximation=0.004, least_area=150)


# --- for training


def targets(
    scene: Scene, *, drawing: Drawing, proposals: int, has_direction: bool = False
) -> dict[str, NDArray[np.generic]]:
    """What TextBPN learns of a scene.

    "text" (H, W) bool: inside of any region. "counts" (H, W) bool: not inside of an ignored one, of one
    whose middle is less than 4 pixels from its border, or of one of too few pixels. "distance" (H, W), the
    largest where regions overlap. Of each text that counts, up to ``proposals`` of them: "contours" and
    "proposals" (P, 20, 2), x and y in pixels, and "used" (P,) bool; rows behind the last one are 0.

    With ``has_direction`` further "direction" (2, H, W), down and right, the unit vector to the nearest
    border, and its "weight" (H, W): 1 / sqrt(pixels of the text), or of everything outside of all.

    A region that reaches beyond the window ends at its border.
    """
    size = scene.height, scene.width
    text, counts = np.zeros(size, np.bool_), np.ones(size, np.bool_)
    distance = np.zeros(size, np.float32)
    direction, weight = np.zeros((2, *size), np.float16), np.zeros(size, np.float32)
    contours, starts = np.zeros((2, proposals, POINTS, 2), np.float32)
    used = np.zeros(proposals, np.bool_)
    rng = np.random.default_rng([scene.seed, 1])
    for region in scene.regions:
        outline = _within(region.polygon, *size)
        if outline is None:
            continue
        seen = window(outline, *size)
        y, x = np.nonzero(seen.inside)
        if not len(y):
            continue
        across, down = x + seen.left + 0.5, y + seen.top + 0.5
        far = distances(outline, across, down)
        deepest = max(float(far.max()), 1e-6)  # 0 where the only centre lies on the border
        text[seen.area][seen.inside] = True
        part = distance[seen.area]
        part[y, x] = np.maximum(part[y, x], far / deepest)
        if has_direction:
            towards = _nearest(outline, across, down) - np.stack([across, down], axis=1)
            unit = towards / np.maximum(far, 1e-3)[:, None]
            direction[(slice(None), *seen.area)][:, y, x] = unit[:, ::-1].T
            weight[seen.area][seen.inside] = 1 / np.sqrt(len(y))
        if region.ignored or deepest < LEAST_DISTANCE or len(y) < drawing.least_area:
            counts[seen.area][seen.inside] = False
            continue
        thrown = drawing.jitter * drawing.level * deepest * (rng.random((POINTS, 2)) - 0.5)
        index = int(used.sum())
        if index == proposals:
            continue
        inner = np.zeros(seen.inside.shape, np.bool_)
        inner[y, x] = far >= drawing.level * deepest
        found = components(inner)
        largest = outlines(found)[int(found.areas.argmax())]
        corner = np.array((seen.left, seen.top)) + 0.5
        middle = boundary(largest + corner, drawing.approximation)
        contours[index] = boundary(outline, drawing.approximation)
        starts[index] = np.clip(middle + thrown, 1.5, np.array((scene.width, scene.height)) - 1.5)
        used[index] = True
    made: dict[str, NDArray[np.generic]] = {
        "text": text,
        "counts": counts,
        "distance": distance.astype(np.float16),
        "contours": contours,
        "proposals": starts,
        "used": used,
    }
    if has_direction:
        weight[~text] = 1 / np.sqrt(np.maximum(1, (~text).sum()))
        made |= {"direction": direction, "weight": weight}
    return made


def _within(polygon: Polygon, height: int, width: int) -> Points | None:
    """What a window shows of a polygon, clockwise; of several pieces the largest, None of nothing."""
    left, top, right, bottom = bounds(polygon)
    if left >= 0 and top >= 0 and right <= width and bottom <= height:
        return np.array(clockwise(polygon), dtype=np.float64)
    shape = shapely.make_valid(shapely.Polygon(polygon))
    seen = shapely.intersection(shape, shapely.box(0, 0, width, height))
    pieces = shapely.get_parts(shapely.get_parts(seen))  # of a collection with a multipolygon
    flat = [piece for piece in pieces if piece.geom_type == "Polygon" and piece.area > 0]
    if not flat:
        return None
    largest = max(flat, key=lambda piece: float(piece.area))
    corners = shapely.get_coordinates(largest.exterior)[:-1]
    return np.array(clockwise(tuple((x, y) for x, y in corners.tolist())))


def _nearest(outline: Points, x: NDArray[np.floating], y: NDArray[np.floating]) -> Points:
    """(N, 2) the points of an outline that are nearest to points (N,)."""
    along = np.roll(outline, -1, axis=0) - outline
    length = (along**2).sum(axis=1)
    dx, dy = x[:, None] - outline[:, 0], y[:, None] - outline[:, 1]  # (N, E)
    share = (dx * along[:, 0] + dy * along[:, 1]) / np.where(length > 0, length, 1)
    share = np.clip(share, 0, 1)
    squares = (dx - share * along[:, 0]) ** 2 + (dy - share * along[:, 1]) ** 2
    edge = squares.argmin(axis=1)
    nearest: Points = outline[edge] + share[np.arange(len(edge)), edge][:, None] * along[edge]
    return nearest


def _closed(outline: NDArray[np.number]) -> shapely.LineString:
    """The line along vertices (N, 2) and back to the first, which is made the uppermost, then leftmost."""
    first = int(np.lexsort((outline[:, 0], outline[:, 1]))[0])
    turned = np.roll(outline, -first, axis=0)
    return shapely.LineString(np.concatenate([turned, turned[:1]]))


def boundary(outline: NDArray[np.number], approximation: float) -> Points:
    """(20, 2) points at equal steps along an outline (N, 2), after simplifying it.

    They begin at its uppermost, then leftmost vertex and keep its order. A single point gives itself.

    Args:
        approximation: of the outline's length, how far the simplified line may be from it.

    Source: GXYM/TextBPN, util/misc.py: get_sample_point; there rounded down to whole pixels.
    """
    line = _closed(outline)
    line = shapely.simplify(line, approximation * line.length, preserve_topology=False)
    steps = np.arange(POINTS) / POINTS * line.length
    points: Points = shapely.get_coordinates(shapely.line_interpolate_point(line, steps))
    return points


# --- at test time


class SideLimits(Sizing):
    """The short side enlarged to ``height`` if it is less, the long one reduced to ``limit`` if more.

    Where both are not possible the long side is ``limit``. Source: GXYM/TextBPN, util/augmentation.py:
    ResizeSquare.
    """

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of the input that a photograph of that size becomes.

        >>> SideLimits(height=640, limit=1024, rounding="down").size(700, 1000)
        (672, 992)
        """
        short, long = min(height, width), max(height, width)
        scale = min(max(1.0, self.height / short), self.limit / long)
        return self._rounded(height * scale), self._rounded(width * scale)

    def __str__(self) -> str:
        return f"short side {self.height} or more, long side up to {self.limit}"


def _limits(short: int, long: int) -> SideLimits:
    return SideLimits(rule="short", height=short, limit=long, rounding="down")


@dataclass(frozen=True, kw_only=True)
class Test:
    """How the maps are read on one data set."""

    sizing: Sizing
    distance: float  # of a pixel in a proposal is above this
    score: float  # mean probability of text that a proposal has at least
    least_area: int = 150  # pixels of a proposal
    # TextBPN: distances are divided by the image's largest, and holes are filled.
    is_relative: bool = True
    approximation: float = 0.007

    def __str__(self) -> str:
        of = " of the image's largest" if self.is_relative else ""
        return (
            f"{self.sizing}, distance above {self.distance}{of}, score at least {self.score}, "
            f"{self.least_area} pixels or more"
        )


def _plus(sizing: Sizing, distance: float, score: float) -> Test:
    return Test(
        sizing=sizing, distance=distance, score=score, least_area=50, is_relative=False,
        approximation=PLUS.approximation,
    )  # fmt: skip


# GXYM/TextBPN, eval.sh. There is none for IC15.
TESTS: Mapping[str, Test] = {
    "totaltext": Test(sizing=_limits(640, 1024), distance=0.3, score=0.825),
    "ctw1500": Test(sizing=_limits(640, 1024), distance=0.3, score=0.8),
    "td500": Test(sizing=_limits(640, 1024), distance=0.3, score=0.925),
    # Ours, for pages drawn here: as they are.
    "pages": Test(sizing=Sizing(), distance=0.3, score=0.5),
}
# GXYM/TextBPN-Plus-Plus, scripts-eval/*.sh: ResNet-50; with its deformable stages; ResNet-18 at stride 4.
PLUS_TESTS: Mapping[str, Test] = {
    "totaltext": _plus(_limits(640, 1024), 0.325, 0.85),
    "totaltext-dcn": _plus(_limits(640, 1024), 0.325, 0.9),
    "totaltext-r18": _plus(_limits(640, 1024), 0.25, 0.85),
    "ctw1500": _plus(_limits(640, 1024), 0.375, 0.8),
    "ctw1500-dcn": _plus(_limits(640, 1024), 0.3, 0.925),
    "ctw1500-r18": _plus(_limits(640, 1024), 0.35, 0.85),
    "td500": _plus(_limits(640, 960), 0.35, 0.875),
    "td500-dcn": _plus(_limits(640, 960), 0.3, 0.95),
    "td500-r18": _plus(_limits(640, 960), 0.35, 0.9),
    "art": _plus(_limits(960, 2880), 0.4, 0.4),
    "art-dcn": _plus(_limits(960, 2880), 0.4, 0.8),
    "ic17": _plus(_limits(960, 2048), 0.5, 0.75),
    "pages": _plus(Sizing(), 0.325, 0.5),
}


class Proposals(NamedTuple):
    """What the maps of one image propose."""

    boundaries: Points  # (K, 20, 2) x and y, in pixels of the image
    scores: NDArray[np.float64]  # (K,) mean probability of text


def proposed(
    probability: NDArray[np.floating],
    distance: NDArray[np.floating],
    test: Test,
    *,
    stride: int = 1,
) -> Proposals:
    """The proposals in the maps (H, W) of one image: connected parts in which the distance is large.

    Args:
        stride: pixels of the image that a pixel of the maps stands for; areas are in the image's.
    """
    mask = distance > test.distance * (distance.max() if test.is_relative else 1)
    parts = components(_without_holes(mask) if test.is_relative else mask)
    areas = parts.areas
    scores = parts.sums(probability) / areas
    kept = (areas * stride**2 >= test.least_area) & (scores >= test.score)
    found = [
        boundary((outline + 0.5) * stride, test.approximation)
        for outline, is_kept in zip(outlines(parts), kept, strict=True)
        if is_kept
    ]
    return Proposals(np.array(found).reshape(-1, POINTS, 2), scores[kept])


def _without_holes(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The mask, and whatever it encloses on all four sides."""
    background = components(np.pad(~mask, 1, constant_values=True), diagonal=False).labels
    closed: NDArray[np.bool_] = background[1:-1, 1:-1] != background[0, 0]
    return closed
