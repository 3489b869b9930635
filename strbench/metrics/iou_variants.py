"""The rule of overlap above a half as repositories and challenges have varied it.

Each is a function from a ``Scene`` to an ``Outcome``, like ``FirstCome``. On clean quadrangles they agree
with it to the last digit; they part over polygons that cross themselves, over regions that do not count,
and over the score from which on a detection is kept.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import shapely
from numpy.typing import NDArray

from strbench.errors import DATA, StrbenchError, unknown_name
from strbench.metrics.detection import FirstCome, Flags, Outcome, Scene, outcome
from strbench.shapes import Floats, Ints, Shapes, candidates


@dataclass(frozen=True, kw_only=True)
class DetectionIoU:
    """First come, over valid polygons alone: others are struck from both sides before anything counts.

    A struck polygon is neither true nor false nor missed, and absorbs nothing. Valid and simple are as
    in shapely; polygons with fewer than three vertices, which shapely cannot build, are struck as well.
    There is no average precision.

    Source: DetectionIoUEvaluator in MhLiao/DB concern/icdar2015_eval/detection/iou.py, which PaddleOCR
    has as ppocr/metrics/eval_det_iou.py.
    """

    iou: float = 0.5  # a pair with more than this matches
    ignore: float = 0.5  # a found one with more than this on an ignored one does not count

    def __call__(self, scene: Scene) -> Outcome:
        ours, theirs = scene.truth.geometries("nothing"), scene.found.geometries("nothing")
        struck = _unfit(ours)
        left_out = _unfit(theirs)
        regions = tuple(
            region._replace(ignored=True) if bad else region
            for region, bad in zip(scene.regions, struck.tolist(), strict=True)
        )
        first, second = candidates(scene.truth, scene.found)
        fit = ~struck[first] & ~left_out[second]
        first, second = first[fit], second[fit]
        absorbing = scene.ignored[first]
        on, under = first[absorbing], second[absorbing]
        common = shapely.area(shapely.intersection(ours[on], theirs[under]))
        left_out[under[_quotients(common, shapely.area(theirs[under])) > self.ignore]] = True
        first, second = first[~absorbing], second[~absorbing]
        # Found before true, as there: GEOS may give another last digit the other way round.
        common = shapely.area(shapely.intersection(theirs[second], ours[first]))
        union = shapely.area(shapely.union(theirs[second], ours[first]))
        near = (_quotients(common, union) > self.iou) & ~left_out[second]
        taken, partner = _first_come(scene, first[near], second[near])
        result = outcome(replace(scene, regions=regions), taken, left_out, partner)
        return replace(result, ranks=None)


def _unfit(geometries: NDArray[np.object_]) -> Flags:
    """(N,) those that are empty, which is what rule "nothing" makes of an invalid one, or not simple."""
    return np.asarray(shapely.is_empty(geometries) | ~shapely.is_simple(geometries), dtype=bool)


def _quotients(part: Floats, whole: Floats) -> Floats:
    return np.divide(part, whole, out=np.zeros_like(part), where=whole != 0)


# np.arange(0.3, 0.9, 0.1), MMOCR's default: rounding makes it seven values, 0.9 among them.
MMOCR_THRESHOLDS = tuple(np.arange(0.3, 0.9, 0.1).tolist())


@dataclass(frozen=True)
class Sweep:
    """What a rule makes of a scene at each score from which on detections are kept."""

    thresholds: tuple[float, ...]
    outcomes: tuple[Outcome, ...]

    @property
    def best(self) -> int:
        """The index of the highest hmean, the first of equal ones."""
        return max(range(len(self.outcomes)), key=lambda i: self.outcomes[i].hmean)


@dataclass(frozen=True, kw_only=True)
class HmeanIoU:
    """The best hmean over a sweep of score thresholds, which are so tuned on what is scored.

    A found region counts from a score on; one without a score has 1. Vertices and scores are float32,
    as MMOCR makes them, the thresholds are not: under NumPy 2 a score of 0.7 or 0.9 is below the
    threshold of that name. Of an invalid polygon remains what buffer(0) leaves, or its convex hull if
    that is in pieces. A region that is left out, for its score or for lying on an ignored one, is
    IGNORED. There is no average precision.

    Where no true region counts at all MMOCR prints a recall of 1; it is 0 here, as in all rules.

    Args:
        strategy: "vanilla", first come; or "max_matching", as many pairs as can be had at once.

    Raises:
        StrbenchError: there is no threshold.

    Source: open-mmlab/mmocr mmocr/evaluation/metrics/hmean_iou_metric.py, HmeanIOUMetric.
    """

    iou: float = 0.5  # match_iou_thr: a pair with more than this may match
    ignore: float = 0.5  # ignore_precision_thr
    thresholds: tuple[float, ...] = MMOCR_THRESHOLDS  # pred_score_thrs
    strategy: Literal["vanilla", "max_matching"] = "vanilla"

    def __post_init__(self) -> None:
        if not self.thresholds:
            raise StrbenchError("A sweep of scores needs one threshold or more, found none.")

    def __call__(self, scene: Scene) -> Outcome:
        """The outcome at the best threshold."""
        sweep = self.sweep(scene)
        return sweep.outcomes[sweep.best]

    def sweep(self, scene: Scene) -> Sweep:
        """The outcomes at all thresholds."""
        scores = np.nan_to_num(scene.confidences, nan=1.0).astype(np.float32).astype(np.float64)
        truth, found = _single(scene.truth), _single(scene.found)
        ours, theirs = _in_one_piece(truth), _in_one_piece(found)
        first, second = candidates(truth, found)
        common = shapely.area(shapely.intersection(ours[first], theirs[second]))
        areas = np.abs(found.signed_areas())
        absorbing = scene.ignored[first]
        share = common / (areas[second] + 1e-5)  # _filter_preds
        absorbed = np.zeros(len(found), dtype=bool)
        absorbed[second[absorbing & (share > self.ignore)]] = True
        some = ~absorbing & (common > 0)
        first, second = first[some], second[some]
        union = shapely.area(shapely.union(ours[first], theirs[second]))
        near = _quotients(common[some], union) > self.iou
        first, second = first[near], second[near]
        match = _first_come if self.strategy == "vanilla" else _most_pairs
        outcomes = []
        for threshold in self.thresholds:
            left_out = absorbed | (scores < threshold)
            kept = ~left_out[second]
            taken, partner = match(scene, first[kept], second[kept])
            result = outcome(scene, taken, left_out, partner)
            outcomes.append(replace(result, ranks=None))
        return Sweep(self.thresholds, tuple(outcomes))


def _single(shapes: Shapes) -> Shapes:
    """The shapes with vertices in single precision (poly2shapely)."""
    return replace(shapes, points=shapes.points.astype(np.float32).astype(np.float64))


def _in_one_piece(shapes: Shapes) -> NDArray[np.object_]:
    """(N,) geometries; of one in pieces the convex hull (poly_make_valid)."""
    out = shapes.geometries("buffer")
    pieces = shapely.get_type_id(out) != shapely.GeometryType.POLYGON
    out[pieces] = shapely.convex_hull(out[pieces])
    return out


def _first_come(scene: Scene, first: Ints, second: Ints) -> tuple[Flags, Ints]:
    """Taken true regions (N,) and partners (M,): pairs in file order, each if both are still free."""
    taken = np.zeros(len(scene.truth), dtype=bool)
    partner = np.full(len(scene.found), -1)
    for truth, found in zip(first.tolist(), second.tolist(), strict=True):
        if not taken[truth] and partner[found] < 0:
            taken[truth] = True
            partner[found] = truth
    return taken, partner


def _most_pairs(scene: Scene, first: Ints, second: Ints) -> tuple[Flags, Ints]:
    """The same with as many pairs as can be; which of several such sets is not said.

    From every true region along a path that alternates free and matched pairs to a free found one,
    breadth first (Berge 1957). Hopcroft and Karp's order, which MMOCR has from scipy, gives the same
    number of pairs.
    """
    reach: dict[int, list[int]] = {}
    for truth, found in zip(first.tolist(), second.tolist(), strict=True):
        reach.setdefault(truth, []).append(found)
    partner = np.full(len(scene.found), -1)
    holds: dict[int, int] = {}  # true -> found
    for root in reach:
        came: dict[int, int] = {}  # found -> the true one it was reached from
        queue = deque([root])
        end = -1
        while queue and end < 0:
            truth = queue.popleft()
            for found in reach[truth]:
                if found in came:
                    continue
                came[found] = truth
                if partner[found] < 0:
                    end = found
                    break
                queue.append(int(partner[found]))
        while end >= 0:
            truth = came[end]
            partner[end] = truth
            holds[truth], end = end, holds.get(truth, -1)
    taken = np.zeros(len(scene.truth), dtype=bool)
    taken[list(holds)] = True
    return taken, partner


# Those that the RRC's scripts for MLT accept; Hindi came with MLT19.
SCRIPTS = (
    "Arabic",
    "Latin",
    "Chinese",
    "Japanese",
    "Korean",
    "Bangla",
    "Hindi",
    "Symbols",
    "Mixed",
    "None",
)


@dataclass(frozen=True, kw_only=True)
class MultiLingual:
    """First come in any script, or in one: regions in all others are then ignored, and absorb.

    The script of a region is its tag "script". A polygon that crosses itself overlaps nothing. Pairs
    are formed in file order; confidences sort for average precision alone.

    Raises:
        StrbenchError: no script has the name, or a region that counts has no script.

    Source: TL_iou_MLT_1_0 script.py as in facebookresearch/MultiplexedOCR (multiplexer/evaluation/mlt19/
    task1), whose shapely raises at invalid polygons; what the RRC's own copy does with them is unknown.
    """

    iou: float = 0.5  # IOU_CONSTRAINT
    ignore: float = 0.5  # AREA_PRECISION_CONSTRAINT
    script: str | None = None  # SCRIPT; None for all

    def __post_init__(self) -> None:
        if self.script is not None and self.script not in SCRIPTS:
            raise unknown_name("script of MLT", self.script, SCRIPTS)

    def __call__(self, scene: Scene) -> Outcome:
        rule = FirstCome(iou=self.iou, ignore=self.ignore, crossing="nothing")
        return rule(scene if self.script is None else self.one_script(scene))

    def one_script(self, scene: Scene) -> Scene:
        """The scene with the regions in other scripts ignored."""
        regions = []
        for region, image in zip(scene.regions, scene.truth.image, strict=True):
            if not region.ignored and "script" not in region.tags:
                raise StrbenchError(
                    f"A region of image {scene.images[image]!r} has no script, and only those in "
                    f"{self.script} are to count.",
                    hint="Score all scripts, or annotations that name the script of every region.",
                    exit_code=DATA,
                )
            other = region.ignored or region.tags["script"] != self.script
            regions.append(region._replace(ignored=other))
        return replace(scene, regions=tuple(regions))
