"""Detection rules in which a found region claims the true one it fits best, or several at once.

===================  ==============================================================================
``TotalTextPascal``  the best true region, overlap of .5 or more; Total-Text's second evaluation
``CTW1500VOC``       the best true region, overlap above .5, and an average precision in file order
``PSENetCTW``        every free true region with an overlap of .5 or more
``PSENetTD500``      one found region may serve any number of true ones
``TurnedBoxes``      first come, on boxes before they are turned, with angles close to each other
===================  ==============================================================================
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import shapely
from numpy.typing import NDArray

from strbench.errors import DATA, StrbenchError
from strbench.metrics.detection import Flags, Outcome, Ranks, Scene, on_ignored
from strbench.metrics.detection import outcome as one_to_one
from strbench.metrics.deteval import Ledger, ended, mostly_ignored, number_of
from strbench.shapes import Floats, Ints, Pairs, Rule, Shapes, candidates, common_areas, promising

Geometries = NDArray[np.object_]


@dataclass(frozen=True, kw_only=True)
class TotalTextPascal:
    """A found region claims the true one it overlaps with best; a second claim on that is false.

    It makes no other claim, were there more to reach. The overlap is the common area over the union's
    plus one square pixel. Regions and images count as in ``TotalTextDetEval``.

    Raises:
        StrbenchError: where the script divides by zero, as nothing counts on one side. With
            ``refuse=False`` the figures are 0.

    Source: cs-chan/Total-Text-Dataset, Python_scripts/Pascal_VOC.py and polygon_fast.py.
    """

    iou: float = 0.5  # a pair with this or more matches
    union_padding: float = 1.0  # square pixels
    ignore: float = (
        0.5  # more than this on a region that does not count: neither does the found one
    )
    ignore_padding: float = 1.0  # square pixels added to the area that this is a share of
    crossing: Rule = "buffer"
    count_unanswered: bool = False  # the true regions of images without a result
    refuse: bool = True

    def __call__(self, scene: Scene) -> Outcome:
        ours = scene.truth.geometries(self.crossing)
        theirs = scene.found.geometries(self.crossing)
        areas = shapely.area(ours), shapely.area(theirs)
        first, second = promising(
            scene.truth,
            scene.found,
            areas,
            iou=self.iou,
            ignored=scene.ignored,
            ignore=self.ignore,
            padding=self.ignore_padding,
        )
        pairs = Pairs(first, second, common_areas(ours[first], theirs[second]))
        left_out = mostly_ignored(scene, pairs, above=self.ignore, padding=self.ignore_padding)
        truths = _answered(scene, ~scene.ignored, self.count_unanswered)
        if self.refuse:
            _refuse_nothing(truths, ~left_out)
        union = _union(pairs, areas)
        iou = _over(pairs.common, union + self.union_padding)
        # where rounding decides, the area of the union itself, as the script has it
        close = np.flatnonzero(np.abs(iou - self.iou) < 1e-9)
        a, b = ours[pairs.truth[close]], theirs[pairs.found[close]]
        union[close] = shapely.area(shapely.union(a, b))
        iou = _over(pairs.common, union + self.union_padding)
        near = (iou >= self.iou) & truths[pairs.truth] & ~left_out[pairs.found]
        book = Ledger(scene, truths, ~left_out)
        _claim(book, pairs, iou, near, np.arange(len(scene.found)))
        return book.outcome()


@dataclass(frozen=True, kw_only=True)
class CTW1500VOC:
    """CTW1500's own evaluation: VOC's claims and average precision over found regions in file order.

    The official script sorts by confidence and does not use that order. It leaves out found regions
    whose polygon crosses itself or has no area: neither right nor false. True regions that do so
    overlap with nothing. Its ground truth has no regions that do not count; should there be some, a
    found region that fits one best does not count either, as in VOC.

    Images go by their names, whatever their order in the scene. An image without a result counts. The
    average precision is the area below the envelope of precision over recall (VOC 2010).

    Raises:
        StrbenchError: where the script ends: no found region at all, or one in an image without true
            ones. With ``refuse=False`` the figures are 0, and such a region is false.

    Source: Yuliang-Liu/Curve-Text-Detector, tools/ctw1500_evaluation/voc_eval_polygon.py.
    """

    iou: float = 0.5  # a pair with more than this matches
    skip_invalid: bool = True  # found regions that cross themselves are left out
    crossing: Rule = "nothing"
    by_confidence: bool = False  # the most confident ones first, ties in file order
    refuse: bool = True

    def __call__(self, scene: Scene) -> Outcome:
        if self.refuse:
            _refuse_nothing(~scene.ignored, np.ones(len(scene.found), dtype=bool))
            _refuse_unlabelled(scene)
        ours = scene.truth.geometries(self.crossing)
        theirs = scene.found.geometries("nothing" if self.skip_invalid else self.crossing)
        areas = _shoelace(scene.truth), _shoelace(scene.found)
        first, second = promising(scene.truth, scene.found, areas, iou=self.iou)
        pairs = Pairs(first, second, common_areas(ours[first], theirs[second]))
        iou = pairs.common / np.maximum(_union(pairs, areas), 1e-5)  # square pixels, the script's
        invalid: Flags = shapely.is_empty(theirs) & self.skip_invalid
        near = (iou > self.iou) & ~invalid[pairs.found]
        book = Ledger(scene, ~scene.ignored, ~invalid)
        order = self._order(scene)
        _claim(book, pairs, iou, near, order)
        counted = order[book.founds[order]]
        # in the rule's own order, which is that of the ranks
        ranks = Ranks(-np.arange(len(counted), dtype=np.float64), (book.precise > 0)[counted], True)
        return book.outcome(ranks)

    def _order(self, scene: Scene) -> Ints:
        rank = np.empty(len(scene.images), dtype=np.int64)
        rank[np.argsort(np.array(scene.images), kind="stable")] = np.arange(len(rank))
        confidence = -scene.confidences if self.by_confidence else np.zeros(len(scene.found))
        return np.lexsort((rank[scene.found.image], confidence))


@dataclass(frozen=True, kw_only=True)
class PSENetCTW:
    """A found region takes every free true one that it reaches, and counts as one hit.

    Recall is hits, not taken regions, over true regions. Only images with a result are looked at. The
    script knows no regions that do not count: all do.

    Raises:
        StrbenchError: where the script divides by zero: a pair whose union has no area, or nothing
            that counts. With ``refuse=False`` the overlap, or the figure, is 0.

    Source: whai362/PSENet eval/ctw/eval.py.
    """

    iou: float = 0.5  # a pair with this or more matches
    crossing: Rule = "even-odd"
    recall_taken: bool = False  # recall counts every true region that is taken
    count_unanswered: bool = False  # the true regions of images without a result
    refuse: bool = True

    def __call__(self, scene: Scene) -> Outcome:
        pairs, iou = _psenet(scene.truth, scene.found, self.crossing, self.iou)
        every = np.ones(len(scene.truth), dtype=bool)
        truths = _answered(scene, every, self.count_unanswered)
        book = Ledger(scene, truths, np.ones(len(scene.found), dtype=bool))
        if self.refuse:
            _refuse_nothing(truths, book.founds)
            for _, found in _undivided(scene.truth, scene.found, pairs, iou):
                raise ended(scene, "detection", found, _NO_UNION)
        near = iou >= self.iou
        # the first found region to reach a true one takes it
        truth, first = np.unique(pairs.truth[near], return_index=True)
        taker = pairs.found[near][first]
        book.match(truth, taker)
        book.precise = np.minimum(book.precise, 1)
        if not self.recall_taken:
            book.recalled[truth] = 0
            book.recalled[truth[np.unique(taker, return_index=True)[1]]] = 1
        return book.outcome()


@dataclass(frozen=True, kw_only=True)
class PSENetTD500:
    """MSRA-TD500 as PSENet and PAN score it: a true region is found if anything overlaps with it.

    One found region may serve many true ones, each for a credit, so that precision may exceed 1. A
    difficult region counts on both sides if it is found, and not if it is missed. What lies on a
    difficult one without reaching it is false. Only images with a result are looked at.

    The true polygons are taken in single precision, as cv2.boxPoints gives them.

    Raises:
        StrbenchError: where the script divides by zero: a pair whose union has no area, if it comes to
            it, or nothing that counts. With ``refuse=False`` the overlap, or the figure, is 0.

    Source: whai362/PSENet eval/msra/eval.py.
    """

    iou: float = 0.5  # a pair with this or more matches
    crossing: Rule = "even-odd"
    serve_many: bool = True
    count_unanswered: bool = False  # the true regions of images without a result
    refuse: bool = True

    def __call__(self, scene: Scene) -> Outcome:
        ours = replace(scene.truth, points=scene.truth.points.astype(np.float32).astype(np.float64))
        pairs, iou = _psenet(ours, scene.found, self.crossing, self.iou)
        near = iou >= self.iou
        chosen = np.full(len(ours), -1)
        taken = np.zeros(len(scene.found), dtype=bool)
        for truth, found in zip(
            pairs.truth[near].tolist(), pairs.found[near].tolist(), strict=True
        ):
            if chosen[truth] < 0 and (self.serve_many or not taken[found]):
                chosen[truth] = found
                taken[found] = True
        hit = np.flatnonzero(chosen >= 0)
        truths = _answered(scene, ~scene.ignored, self.count_unanswered)
        truths[hit] = True
        book = Ledger(scene, truths, np.ones(len(scene.found), dtype=bool))
        if self.refuse:
            _refuse_nothing(truths, book.founds)
            for truth, found in _undivided(ours, scene.found, pairs, iou):
                if chosen[truth] < 0 or found < chosen[truth]:  # later ones are not compared
                    raise ended(scene, "detection", found, _NO_UNION)
        book.match(hit, chosen[hit])
        return book.outcome()


@dataclass(frozen=True, kw_only=True)
class TurnedBoxes:
    """MSRA-TD500 as TextBPN and MixNet score it: the RRC's rule on boxes before they are turned.

    The overlap is that of the upright boxes, and the angles differ by less than an eighth of pi.
    Polygons are not looked at: ``Region.annotated`` and ``Detection.given`` hold x, y, width, height
    and angle, with x, y the upper left corner before turning and the angle in radians. The box goes
    from ``int(x), int(y)`` to ``int(x + width), int(y + height)``: the script reads integers.

    Raises:
        StrbenchError: a region without those five numbers.

    Source: GXYM/TextBPN-Plus-Plus, dataset/TD500/Evaluation_Protocol/script.py.
    """

    iou: float = 0.5  # a pair with more than this matches
    ignore: float = (
        0.5  # more than this on a region that does not count: neither does the found one
    )
    angle: float = math.pi / 8  # radians; the angles differ by less than this
    half_turns: bool = False  # angles half a turn apart are equal; to the script they are not

    def __call__(self, scene: Scene) -> Outcome:
        ours, angle = _upright(scene, "region", [r.annotated for r in scene.regions])
        theirs, turned = _upright(scene, "detection", [d.given for d in scene.detections])
        first, second = candidates(ours, theirs)
        pairs = Pairs(first, second, _common_box(ours, theirs, first, second))
        upright = replace(scene, truth=ours, found=theirs)
        left_out = on_ignored(upright, pairs, above=self.ignore)
        iou = _over(pairs.common, _union(pairs, (_shoelace(ours), _shoelace(theirs))))
        apart = np.abs(angle[first] - turned[second])
        if self.half_turns:
            apart = np.minimum(apart % math.pi, math.pi - apart % math.pi)
        near = (iou > self.iou) & (apart < self.angle)
        near &= ~scene.ignored[first] & ~left_out[second]
        partner = np.full(len(theirs), -1)
        taken = np.zeros(len(ours), dtype=bool)
        for truth, found in zip(first[near].tolist(), second[near].tolist(), strict=True):
            if not taken[truth] and partner[found] < 0:
                taken[truth] = True
                partner[found] = truth
        return one_to_one(upright, taken, left_out, partner)


def _upright(
    scene: Scene, kind: str, numbers: Sequence[tuple[float, ...]]
) -> tuple[Shapes, Floats]:
    """Boxes of whole numbers, and the angles."""
    image = (scene.truth if kind == "region" else scene.found).image
    for index, five in enumerate(numbers):
        if len(five) != 5:
            raise StrbenchError(
                f"{scene.images[image[index]]}: {kind} {number_of(image, index)} must have x, y, "
                f"width, height and angle, found {len(five)} numbers.",
                hint="Score polygons by another rule.",
                exit_code=DATA,
            )
    x, y, width, height, angle = np.array(numbers, dtype=np.float64).reshape(-1, 5).T
    corners = np.stack([x, y, x + width, y, x + width, y + height, x, y + height], axis=1)
    points = np.trunc(corners).reshape(-1, 2)
    return Shapes(points, 4 * np.arange(len(numbers) + 1), image), angle


def _shoelace(shapes: Shapes) -> Floats:
    return np.abs(shapes.signed_areas())


def _union(pairs: Pairs, areas: tuple[Floats, Floats]) -> Floats:
    return areas[0][pairs.truth] + areas[1][pairs.found] - pairs.common


def _over(part: Floats, whole: Floats) -> Floats:
    """Quotients, 0 where ``whole`` is 0."""
    return np.divide(part, whole, out=np.zeros_like(part), where=whole != 0)


def _common_box(truth: Shapes, found: Shapes, first: Ints, second: Ints) -> Floats:
    """(P,) what the bounds of pairs that touch have in common."""
    a, b = truth.boxes()[first], found.boxes()[second]
    sides = np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2])
    out: Floats = sides[:, 0] * sides[:, 1]
    return out


def _claim(book: Ledger, pairs: Pairs, iou: Floats, near: Flags, order: Ints) -> None:
    """Found regions in an order claim their best true one; one that fits an ignored one is left out."""
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    truth, found = pairs.truth[near], pairs.found[near]
    best = np.lexsort((truth, -iou[near], rank[found]))
    done: set[int] = set()
    partners: dict[int, int] = {}  # of true regions
    for ours, theirs in zip(truth[best].tolist(), found[best].tolist(), strict=True):
        if theirs in done:
            continue
        done.add(theirs)
        if not book.truths[ours]:
            book.founds[theirs] = False
        elif ours not in partners:
            partners[ours] = theirs
    book.match(
        np.array([*partners], dtype=np.int64), np.array([*partners.values()], dtype=np.int64)
    )


_NO_UNION = "and a region have a union without area"


def _psenet(truth: Shapes, found: Shapes, rule: Rule, iou: float) -> tuple[Pairs, Floats]:
    """Pairs and their overlaps; NaN where the union has no area."""
    areas = _shoelace(truth), _shoelace(found)
    first, second = promising(truth, found, areas, iou=iou)
    ours, theirs = truth.geometries(rule)[first], found.geometries(rule)[second]
    pairs = Pairs(first, second, common_areas(ours, theirs))
    union = _union(pairs, areas)
    return pairs, np.divide(pairs.common, union, out=np.full_like(union, np.nan), where=union != 0)


def _undivided(truth: Shapes, found: Shapes, pairs: Pairs, iou: Floats) -> list[tuple[int, int]]:
    """The pairs of an image whose union has no area: those of ``_psenet``, and far ones."""
    bad = np.isnan(iou)
    out = set(zip(pairs.truth[bad].tolist(), pairs.found[bad].tolist(), strict=True))
    known = set(zip(pairs.truth.tolist(), pairs.found.tolist(), strict=True))
    points = np.flatnonzero(found.signed_areas() == 0)
    for flat in np.flatnonzero(truth.signed_areas() == 0).tolist():
        here = points[found.image[points] == truth.image[flat]]
        out |= {(flat, point) for point in here.tolist()} - known
    return sorted(out)


def _answered(scene: Scene, truths: Flags, count_unanswered: bool) -> Flags:
    return truths if count_unanswered else truths & scene.answered[scene.truth.image]


def _refuse_nothing(truths: Flags, founds: Flags) -> None:
    for kind, some in (("detection", founds), ("true region", truths)):
        if not some.any():
            raise StrbenchError(
                f"No {kind} counts, of {len(some)}; the official script divides by their number.",
                hint="Check the result files, or score with refuse=False: the figures are then 0.",
                exit_code=DATA,
            )


def _refuse_unlabelled(scene: Scene) -> None:
    bare = np.bincount(scene.truth.image, minlength=len(scene.images)) == 0
    for lost in np.flatnonzero(bare[scene.found.image]).tolist():
        raise ended(scene, "detection", lost, "is in an image without regions")
