"""TIoU and SIoU: a match is worth how tight it is.

Pairs match as in ``FirstCome``: the plain IoU decides. What a pair is worth is then its IoU (SIoU), or
its IoU times what the found polygon leaves of the true one and, for precision, times what it leaves to
other true ones (TIoU).

Source: Liu et al., Tightness-aware evaluation protocol for scene text detection, CVPR 2019;
Yuliang-Liu/TIoU-metric script.py and curved-tiou/script.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import shapely

from strbench.metrics.detection import FirstCome, Outcome, Scene, intersections_over_unions
from strbench.shapes import Floats, Ints, Pairs, Shapes, candidates, common_areas

# Share of an area. A polygon that is covered whole may have an overlap larger than itself by as much; the
# script gives 0 to a match whose overlap is larger, which is meant for polygons that cross themselves.
_ROUNDING = 1e-9


@dataclass(frozen=True, kw_only=True)
class SIoU:
    """A match counts as much as its IoU, for recall and for precision.

    ``average_precision`` is that of the matches, as the scripts compute it.
    """

    matching: FirstCome = field(default_factory=FirstCome)
    # Vertices are rounded to float32 first, as the curved script does; integers stay what they are.
    single: bool = False

    def __call__(self, scene: Scene) -> Outcome:
        scene = _rounded(scene) if self.single else scene
        base = self.matching(scene)
        worth = intersections_over_unions(scene, _matches(scene, base, self.matching))
        return _credited(scene, base, worth, worth)


@dataclass(frozen=True, kw_only=True)
class TIoU:
    """A match counts its IoU, less what is cut off (recall) and what is taken from others (precision).

    Recall: IoU x (1 - share of the true polygon that is not covered). Precision: IoU x (1 - share of
    the found polygon that lies on other true ones and not on its own). Other true polygons include
    those that do not count.

    The shares are of areas by the shoelace formula, the overlaps are of even-odd regions. Of polygons
    that cross themselves a share may leave [0, 1]; the script then gives such a match 0.
    """

    matching: FirstCome = field(default_factory=FirstCome)
    free: float = 0.01  # a share up to this costs nothing; funcCt and funcOt
    # Of a share of the found polygon, so much more than its whole area is still one, in square pixels.
    slack: float = 0.001
    single: bool = False  # as in SIoU
    # Corrections of what moves figures in the scripts. A share out of [0, 1] is brought back into it
    # instead of costing the match everything:
    clipped: bool = False
    # Regions that do not count take nothing away, as a comment of the script has it:
    only_counted: bool = False

    def __call__(self, scene: Scene) -> Outcome:
        scene = _rounded(scene) if self.single else scene
        base = self.matching(scene)
        matches = _matches(scene, base, self.matching)
        tight = intersections_over_unions(scene, matches)
        ours = np.abs(scene.truth.signed_areas())[matches.truth]
        theirs = np.abs(scene.found.signed_areas())[matches.found]
        cut = ours - matches.common
        cut[np.abs(cut) <= _ROUNDING * ours] = 0.0
        taken = self._taken(scene, matches)
        recalled = tight * self._left(cut, ours, cut <= ours)
        precise = tight * self._left(taken, theirs, taken <= theirs + self.slack)
        return _credited(scene, base, recalled, precise)

    def _left(self, lost: Floats, whole: Floats, within: np.ndarray) -> Floats:
        """(K,) the factor of a match that loses an area of a whole one."""
        share = np.divide(lost, whole, out=np.zeros_like(whole), where=whole > 0)
        if self.clipped:
            share = np.clip(share, 0.0, 1.0)
            return np.where(share <= self.free, 1.0, 1.0 - share)
        left = np.where(share <= self.free, 1.0, 1.0 - share)
        return np.where((whole > 0) & (lost >= 0) & within, left, 0.0)

    def _taken(self, scene: Scene, matches: Pairs) -> Floats:
        """(K,) area of a found polygon on true ones that are not its own, outside its own."""
        rule = self.matching.crossing
        truth, found = scene.truth.geometries(rule), scene.found.geometries(rule)
        own = np.full(len(scene.found), -1)
        own[matches.found] = matches.truth
        first, second = candidates(scene.truth, scene.found)
        other = (own[second] >= 0) & (own[second] != first)
        if self.only_counted:
            other &= ~scene.ignored[first]
        first, second = first[other], second[other]
        pieces = shapely.intersection(truth[first], found[second])
        some = shapely.area(pieces) > 0
        pieces, second = pieces[some], second[some]
        taken = np.zeros(len(scene.found))
        for index in np.unique(second).tolist():
            covered = shapely.union_all(pieces[second == index])
            both = shapely.area(shapely.intersection(covered, truth[own[index]]))
            taken[index] = shapely.area(covered) - both
        taken[taken <= 1e-10] = 0.0  # the script's own bound on rounding, in square pixels
        return taken[matches.found]


def _rounded(scene: Scene) -> Scene:
    truth, found = (
        Shapes(one.points.astype(np.float32).astype(np.float64), one.offsets, one.image)
        for one in (scene.truth, scene.found)
    )
    return replace(scene, truth=truth, found=found)


def _matches(scene: Scene, base: Outcome, matching: FirstCome) -> Pairs:
    """The K matched pairs, by found polygon, and the areas that they have in common."""
    found: Ints = np.flatnonzero(base.partner >= 0).astype(np.int64)
    truth = base.partner[found]
    ours = scene.truth.geometries(matching.crossing)[truth]
    theirs = scene.found.geometries(matching.crossing)[found]
    return Pairs(truth, found, common_areas(ours, theirs))


def _credited(scene: Scene, base: Outcome, recalled: Floats, precise: Floats) -> Outcome:
    """The outcome of the matches with other credits, (K,) each."""
    image = scene.found.image[base.partner >= 0]
    return replace(
        base,
        recalled=scene.per_image(image, recalled),
        precise=scene.per_image(image, precise),
    )
