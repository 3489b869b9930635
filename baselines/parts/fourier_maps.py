"""FCENet's maps: a contour as a few Fourier coefficients, drawn from regions and turned back into them.

A contour is walked as complex numbers x + iy; c_k is the strength of k turns a walk, for k from -K to K.
Maps belong to three levels of a pyramid and are in pixels of their level.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray

from strbench.geometry import bounds
from strbench.loading import Sizing
from strbench.placing import Scene
from strbench.raster import Window, components, window
from strbench.types import Detection

from .text_centre import centre, long_sides
from .text_polygons import Points, rectangles

Signature = NDArray[np.complex128]  # (..., 2 K + 1), c_-K to c_K

DEGREE = 5  # K; MMOCR, configs/textdet/fcenet
POINTS = 50  # of a contour that is rebuilt; the same
STRIDES = (8, 16, 32)  # of the levels P3, P4 and P5
# Which texts belong to a level: the longer side of the box by the height of the image.
Levels = Literal["default", "dcn"]
RANGES: Mapping[Levels, tuple[tuple[float, float], ...]] = {
    "default": ((0.0, 0.4), (0.3, 0.7), (0.6, 1.0)),
    "dcn": ((0.0, 0.25), (0.2, 0.65), (0.55, 1.0)),  # with deformable convolutions
}

# --- contours and their signatures


def signature(polygon: Sequence[tuple[float, float]] | Points, degree: int = DEGREE) -> Signature:
    """The coefficients (2 K + 1,) of a polygon's border, clockwise on screen.

    About 400 points of the border, evenly spaced along each edge, from the uppermost of the eight that
    are nearest to the vertical line through their mean. The order of the vertices does not matter.

    Source: Zhu et al., FCENet, CVPR 2021, section 3; MMOCR, fce_module_loss.py.
    """
    corners = np.asarray(polygon, dtype=np.float64)
    edges = np.roll(corners, -1, axis=0) - corners
    lengths = np.hypot(*edges.T)
    wanted = max(400, 4 * len(corners))  # whole points an edge: many short edges would get none
    many = (lengths / max(lengths.sum(), 1e-8) * wanted).astype(int)
    share = _counted(many) / np.repeat(np.maximum(many, 1), many)
    border = np.repeat(corners, many, axis=0) + np.repeat(edges, many, axis=0) * share[:, None]
    middle = np.argsort(np.abs(border[:, 0] - border[:, 0].mean()), kind="stable")[:8]
    start = middle[border[middle, 1].argmin()]
    walk = np.roll(border, -start, axis=0) @ (1, 1j)
    strengths = np.fft.fft(walk) / len(walk)
    kept: Signature = np.concatenate([strengths[-degree:], strengths[: degree + 1]])
    # The same walk the other way round has the coefficients in reverse.
    return kept[::-1] if abs(kept[degree + 1]) < abs(kept[degree - 1]) else kept


def contours(signatures: Signature, points: int = POINTS) -> Points:
    """The contours (N, points, 2) of signatures (N, 2 K + 1)."""
    degree = signatures.shape[-1] // 2
    turns = np.outer(np.arange(-degree, degree + 1), np.arange(points)) * (2j * np.pi / points)
    walk = signatures @ np.exp(turns)
    return np.stack([walk.real, walk.imag], axis=-1)


def _counted(many: NDArray[np.integer]) -> NDArray[np.int64]:
    """0, 1, ... up to each number, one after the other: (3, 2) gives 0 1 2 0 1."""
    counted: NDArray[np.int64] = np.arange(many.sum()) - np.repeat(np.cumsum(many) - many, many)
    return counted


def touched(polygon: Points, height: int, width: int) -> Window:
    """The pixels under a polygon and its border, whose corners are first moved to the centres of theirs.

    So the thinnest polygon has pixels. It is what OpenCV's fillPoly draws, but for the border's slopes.
    """
    corners = np.floor(polygon)
    seen = window(corners + 0.5, height, width)
    edges = np.roll(corners, -1, axis=0) - corners
    many = np.maximum(np.abs(edges).max(axis=1), 1).astype(int)
    share = _counted(many) / np.repeat(many, many)
    cells = np.repeat(corners, many, axis=0) + np.repeat(edges, many, axis=0) * share[:, None]
    x, y = (np.floor(cells + 0.5).astype(int) - (seen.left, seen.top)).T
    high, wide = seen.inside.shape
    within = (x >= 0) & (x < wide) & (y >= 0) & (y < high)
    seen.inside[y[within], x[within]] = True
    return seen


# --- maps


def targets(scene: Scene, levels: Levels) -> dict[str, NDArray[Any]]:
    """The maps (H, W) of a scene, those of each level named after its stride: "text8", "centre8", ...

    "text" and "centre", where they count, and "signature" (22, H, W) in text: the real parts of c_-5 to
    c_5, then the imaginary ones; c_0 is relative to the pixel's centre. Of texts that overlap the later
    one has the pixels. A text is on the levels into whose range it falls, also an ignored one, which
    does not count there; a text longer than the image is high is on none. One without an area is
    ignored.
    """
    count = 2 * DEGREE + 1
    texts = []
    for region in scene.regions:
        left, top, right, bottom = bounds(region.polygon)
        sides = long_sides(region.polygon)
        is_flat = not shapely.Polygon(region.polygon).area
        legible = None if region.ignored or is_flat else sides
        texts.append((region.polygon, legible, max(right - left, bottom - top) / scene.height))
    maps: dict[str, NDArray[Any]] = {}
    for stride, (low, high) in zip(STRIDES, RANGES[levels], strict=True):
        size = scene.height // stride, scene.width // stride
        text, core = np.zeros(size, np.bool_), np.zeros(size, np.bool_)
        counts = np.ones(size, np.bool_)
        strengths = np.zeros((2 * count, *size), np.float32)
        for outline, legible, ratio in texts:
            if not low < ratio < high:
                continue
            polygon = np.asarray(outline, dtype=np.float64) / stride
            seen = touched(polygon, *size)
            if legible is None:
                counts[seen.area][seen.inside] = False
                continue
            text[seen.area][seen.inside] = True
            y, x = np.nonzero(seen.inside)
            own = np.repeat(signature(polygon)[:, None], len(x), axis=1)
            own[DEGREE] -= x + seen.left + 0.5 + (y + seen.top + 0.5) * 1j
            strengths[:, y + seen.top, x + seen.left] = np.concatenate([own.real, own.imag])
            seen = touched(centre((legible[0] / stride, legible[1] / stride)), *size)
            core[seen.area][seen.inside] = True
        for name, values in (
            ("text", text), ("centre", core), ("counts", counts), ("signature", strengths),
        ):  # fmt: skip
            maps[f"{name}{stride}"] = values
    return maps


class Level(NamedTuple):
    """What the network says on one level of an image."""

    text: NDArray[np.floating]  # (H, W) probabilities
    centre: NDArray[np.floating]  # (H, W)
    signature: NDArray[np.floating]  # (22, H, W), see ``targets``


@dataclass(frozen=True, kw_only=True)
class Test:
    """How maps are read on one data set; MMOCR, configs/textdet/fcenet."""

    sizing: Sizing
    mode: Literal["quad", "polygon"]
    alpha: float  # score = text ** alpha * centre ** beta
    beta: float
    score: float = 0.3  # that a pixel exceeds
    overlap: float = 0.1  # by which a better contour suppresses another

    def __str__(self) -> str:
        return (
            f"{self.sizing}, {self.mode} mode, text^{self.alpha} centre^{self.beta} above {self.score}, "
            f"suppressed above an IoU of {self.overlap}"
        )


TESTS: Mapping[str, Test] = {
    "ic15": Test(sizing=Sizing(rule="long", height=2260), mode="quad", alpha=1.2, beta=1.0),
    "ctw1500": Test(
        sizing=Sizing(rule="short", height=736, limit=1080), mode="polygon", alpha=1.0, beta=2.0
    ),
    # MMOCR's own size; there with ic15's exponents and its quads, which curved words do not fit.
    "totaltext": Test(
        sizing=Sizing(rule="short", height=960, limit=1280), mode="polygon", alpha=1.0, beta=2.0
    ),
    # Ours, for pages drawn here: as they are.
    "pages": Test(sizing=Sizing(rule="native"), mode="quad", alpha=1.2, beta=1.0),
}


def found(levels: Sequence[Level], test: Test) -> list[Detection]:
    """The texts in an image's maps, in pixels of the image, the best first.

    Each pixel above the score has a contour. Of those that overlap the best one stays: among the pixels
    that touch, then on a level, then, in "quad" mode as the smallest rectangles around them, in the
    image. Contours without an area are left out.

    Source: MMOCR, fce_postprocessor.py.
    """
    kept: list[Points] = []
    scores: list[NDArray[np.float64]] = []
    for stride, level in zip(STRIDES, levels, strict=True):
        score = level.text.astype(np.float64) ** test.alpha * level.centre**test.beta
        parts = components(score > test.score)
        y, x = np.nonzero(parts.labels >= 0)
        real, imaginary = np.split(level.signature[:, y, x].T.astype(np.float64), 2, axis=1)
        own = real + 1j * imaginary
        own[:, DEGREE] += x + 0.5 + (y + 0.5) * 1j
        outlines, values = contours(own) * stride, score[y, x]
        best = unsuppressed(outlines, values, test.overlap, groups=parts.labels[y, x])
        best = best[unsuppressed(outlines[best], values[best], test.overlap)]
        outlines = outlines[best]
        kept.append(rectangles(outlines) if test.mode == "quad" else outlines)
        scores.append(values[best])
    outlines, values = np.concatenate(kept), np.concatenate(scores)
    best = unsuppressed(outlines, values, test.overlap)
    return [
        Detection(tuple((x, y) for x, y in outlines[i].tolist()), min(1.0, float(values[i])))
        for i in best
    ]


def unsuppressed(
    outlines: Points,
    scores: NDArray[np.floating],
    overlap: float,
    *,
    groups: NDArray[np.integer] | None = None,
) -> NDArray[np.int64]:
    """Which polygons no better one of their group overlaps by an IoU above ``overlap``, best first.

    A suppressed polygon suppresses nothing. All groups take their next best one at the same time.

    Args:
        outlines: (N, P, 2); those without an area are never among the answer.
        groups: (N,); None if all are in one.
    """
    shapes = np.atleast_1d(shapely.polygons(outlines)) if len(outlines) else np.zeros(0, object)
    crossed = ~shapely.is_valid(shapes)
    shapes[crossed] = shapely.make_valid(shapes[crossed], method="structure", keep_collapsed=False)
    area, box = shapely.area(shapes), shapely.bounds(shapes)
    group = np.zeros(len(shapes), int) if groups is None else groups
    rest = np.lexsort((-scores, group))
    rest = rest[area[rest] > 0]
    kept: list[NDArray[np.int64]] = []
    while len(rest):
        leads = np.concatenate([[True], np.diff(group[rest]) != 0])
        leaders = rest[leads]
        kept.append(leaders)
        lead, rest = leaders[np.cumsum(leads) - 1][~leads], rest[~leads]
        # What boxes have in common bounds what polygons have.
        low, high = (
            np.maximum(box[lead, :2], box[rest, :2]),
            np.minimum(box[lead, 2:], box[rest, 2:]),
        )
        common = np.maximum(high - low, 0).prod(axis=1)
        near = common > overlap * (area[lead] + area[rest] - common)
        a, b = lead[near], rest[near]
        common = shapely.area(shapely.intersection(shapes[a], shapes[b]))
        gone = np.zeros(len(rest), bool)
        gone[near] = common > overlap * (area[a] + area[b] - common)
        rest = rest[~gone]
    chosen = np.concatenate(kept) if kept else np.zeros(0, np.int64)
    return chosen[np.argsort(-scores[chosen], kind="stable")]
