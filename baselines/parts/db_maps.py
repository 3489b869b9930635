"""Differentiable binarisation's maps: drawn from regions for training, and turned back into regions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import shapely
from numpy.typing import NDArray

from strbench.geometry import bounds
from strbench.loading import Sizing
from strbench.placing import Scene
from strbench.raster import Components, components, outlines, window
from strbench.types import Detection

from .text_polygons import (
    Points,
    area_over_length,
    distances,
    grown,
    offset,
    rectangles,
    shrink_distance,
    sides,
)

SHRINK = 0.4  # of the probability map; DB section 3.4
LOW, HIGH = 0.3, 0.7  # of the threshold map; section 3.4
LEAST_SIDE = 8  # pixels of a text that counts; MhLiao/DB, data/processes/make_seg_detection_data.py


def targets(scene: Scene) -> dict[str, NDArray[np.generic]]:
    """The maps (H, W) of a scene: "shrunk" and where it counts, "threshold" and where it counts.

    A text is ignored, its whole polygon does not count and it has no border, if it is annotated so, if its
    box is lower or narrower than 8 pixels, or if nothing is left of it after shrinking.
    """
    size = scene.height, scene.width
    shrunk, counts = np.zeros(size, np.bool_), np.ones(size, np.bool_)
    threshold, band = np.zeros(size, np.float32), np.zeros(size, np.bool_)
    for region in scene.regions:
        left, top, right, bottom = bounds(region.polygon)
        distance = shrink_distance(region.polygon, SHRINK)
        inner = offset(region.polygon, -distance) if distance else []
        if region.ignored or min(right - left, bottom - top) < LEAST_SIDE or not inner:
            seen = window(region.polygon, *size)
            counts[seen.area][seen.inside] = False
            continue
        seen = window(inner[0], *size)
        shrunk[seen.area][seen.inside] = True
        for outer in offset(region.polygon, distance)[:1]:
            seen = window(outer, *size)
            band[seen.area][seen.inside] = True
            y, x = np.nonzero(seen.inside)
            far = distances(region.polygon, x + seen.left + 0.5, y + seen.top + 0.5)
            part = threshold[seen.area]
            part[y, x] = np.maximum(part[y, x], 1 - np.minimum(far / distance, 1))
    return {
        "shrunk": shrunk,
        "counts": counts,
        "threshold": (LOW + (HIGH - LOW) * threshold).astype(np.float16),
        "band": band,
    }


@dataclass(frozen=True, kw_only=True)
class Test:
    """How a probability map is read on one data set; MhLiao/DB, experiments/seg_detector/*.yaml."""

    sizing: Sizing
    mode: Literal["box", "polygon"]
    score: float  # mean probability that a text has at least: box_thresh
    unclip: float
    binarise: float = 0.3
    most: int = 1000  # contours of an image

    def __str__(self) -> str:
        return (
            f"{self.sizing}, {self.mode} mode, binarised at {self.binarise}, score at least "
            f"{self.score}, unclipped by {self.unclip}"
        )


TESTS: Mapping[str, Test] = {
    "ic15": Test(
        sizing=Sizing(rule="stretch", height=736, width=1280), mode="box", score=0.6, unclip=1.5
    ),
    "ic15-r18": Test(
        sizing=Sizing(rule="stretch", height=736, width=1280), mode="box", score=0.55, unclip=1.5
    ),
    "totaltext": Test(
        sizing=Sizing(rule="height", height=800), mode="polygon", score=0.6, unclip=2.0
    ),
    "totaltext-r18": Test(
        sizing=Sizing(rule="height", height=800), mode="polygon", score=0.7, unclip=2.0
    ),
    "td500": Test(sizing=Sizing(rule="height", height=736), mode="box", score=0.5, unclip=1.5),
    # Ours, for pages drawn here: as they are.
    "pages": Test(sizing=Sizing(rule="native"), mode="box", score=0.5, unclip=1.5),
}


def found(probability: NDArray[np.float32], test: Test) -> list[Detection]:
    """The texts in a probability map (H, W), in its pixels.

    "box": the smallest rectangle around each connected part, grown. Left out are those whose shorter side
    is below 3 pixels before growing or 5 after it, and those in which the map's mean is below the score.
    "polygon": the outline, simplified to 0.002 of its length, grown; left out as well where it has fewer
    than four corners or falls apart. What reaches beyond the map is clipped to it. Either goes around the pixels' areas, in the official code through the
    centres of the outermost ones, which makes a text of 12 pixels lose one.

    Source: DB section 3.5; MhLiao/DB, structure/representers/seg_detector_representer.py.
    """
    parts = components(probability > test.binarise)
    made = _boxes if test.mode == "box" else _polygons
    return made(probability, parts, test)


def _boxes(probability: NDArray[np.float32], parts: Components, test: Test) -> list[Detection]:
    ends = np.concatenate([parts.starts, parts.ends - 1]) + 0.5
    rows = np.tile(parts.rows + 0.5, 2)
    owner = np.tile(parts.of, 2)
    order = np.argsort(owner, kind="stable")
    points = np.stack([ends[order], rows[order]], axis=1)
    cuts = np.searchsorted(owner[order], np.arange(1, parts.count))
    detections = []
    for centres in rectangles(np.split(points, cuts)[: test.most] if parts.count else []):
        box = _widened(centres, 0.5)
        _, short = sides(box)
        if short < 3:
            continue
        score = _mean_inside(probability, box)
        # A rectangle grown round by D has the rectangle grown square by D around it.
        distance = area_over_length(box) * test.unclip
        if score < test.score or short + 2 * distance < 5:
            continue
        detections.append(_detection(_widened(box, distance), score, probability.shape))
    return detections


def _polygons(probability: NDArray[np.float32], parts: Components, test: Test) -> list[Detection]:
    detections = []
    for outline in outlines(parts)[: test.most]:
        if len(outline) < 4:
            continue
        ring = shapely.Polygon(outline + 0.5).buffer(0.5, join_style="mitre")
        simple = shapely.simplify(ring, 0.002 * ring.length, preserve_topology=False)
        if simple.geom_type != "Polygon" or simple.is_empty:
            continue
        corners = shapely.get_coordinates(simple.exterior)[:-1]
        if len(corners) < 4:
            continue
        score = _mean_inside(probability, corners)
        if score < test.score:
            continue
        whole = grown(corners, test.unclip)
        if len(whole) != 1 or sides(rectangles(whole)[0])[1] < 5:
            continue
        detections.append(_detection(whole[0], score, probability.shape))
    return detections


def _widened(box: Points, distance: float) -> Points:
    """A rectangle (4, 2) with each side moved outward."""
    across, down = box[1] - box[0], box[3] - box[0]
    across, down = (v / max(float(np.hypot(*v)), 1e-9) * distance for v in (across, down))
    grown_box: Points = box + np.stack(
        [-across - down, across - down, across + down, down - across]
    )
    return grown_box


def _mean_inside(values: NDArray[np.float32], polygon: Points) -> float:
    seen = window(polygon, *values.shape)
    inside = values[seen.area][seen.inside]
    return float(inside.mean()) if inside.size else 0.0


def _detection(polygon: Points, score: float, shape: tuple[int, ...]) -> Detection:
    inside = np.clip(polygon, 0, (shape[1], shape[0]))
    return Detection(tuple((x, y) for x, y in inside.tolist()), min(1.0, max(0.0, score)))
