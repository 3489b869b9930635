"""DetEval: true regions found in pieces, and found ones over several true ones, have a credit too.

After C. Wolf and J.-M. Jolion, "Object count/area graphs for the evaluation of object detection and
segmentation algorithms", IJDAR 2006. Two areas decide: how much of a true region is covered (recall of
the pair) and how much of a found one lies on text (precision of the pair). Matching goes in three
rounds, and who was matched in one is out of the next: one to one; a true region *split* into found
ones; true regions *merged* in a found one.

``BoxDetEval`` is ICDAR 2013's on upright boxes, ``TotalTextDetEval`` that of Total-Text on polygons.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from strbench.errors import DATA, StrbenchError
from strbench.metrics.detection import Flags, Outcome, Ranks, Scene, Verdict
from strbench.shapes import Floats, Ints, Pairs, Rule, Shapes, candidates, overlaps


class Ledger:
    """What a rule has decided so far: who counts, who was matched, and for which credit.

    Args:
        truths: (N,) true regions that count; founds: (M,) found ones that count.
    """

    def __init__(self, scene: Scene, truths: Flags, founds: Flags) -> None:
        self.scene, self.truths, self.founds = scene, truths, founds
        self.recalled = np.zeros(len(truths))
        self.precise = np.zeros(len(founds))
        self.truth = np.full(len(truths), Verdict.MISSED, dtype=np.int8)
        self.found = np.full(len(founds), Verdict.MISSED, dtype=np.int8)
        self.partner = np.full(len(founds), -1)

    def match(self, truth: Ints, found: Ints) -> None:
        """Pairs, each for a credit of 1 on both sides; a found region that is in several is merged."""
        times = np.bincount(found, minlength=len(self.found))
        verdict = np.where(times[found] > 1, Verdict.MERGED, Verdict.MATCHED)
        self.recalled[truth] = 1
        self.precise += times
        self.truth[truth] = verdict
        self.found[found] = verdict
        self.partner[found] = np.where(times[found] > 1, -1, truth)

    def outcome(self, ranks: Ranks | None = None) -> Outcome:
        """Sums by image; who does not count is ignored, whatever was decided of it."""
        by_truth, by_found = self.scene.truth.image, self.scene.found.image
        return Outcome(
            recalled=self.scene.per_image(by_truth, self.recalled),
            precise=self.scene.per_image(by_found, self.precise),
            truths=self.scene.per_image(by_truth, self.truths),
            founds=self.scene.per_image(by_found, self.founds),
            truth=np.where(self.truths, self.truth, np.int8(Verdict.IGNORED)),
            found=np.where(self.founds, self.found, np.int8(Verdict.IGNORED)),
            partner=self.partner,
            ranks=ranks,
        )


class Cells(NamedTuple):
    """Pairs of regions that count and may overlap, by truth and then by found."""

    truth: Ints  # (P,)
    found: Ints  # (P,)
    recall: Floats  # (P,) share of the true region that both cover
    precision: Floats  # (P,) share of the found one

    def where(self, keep: Flags | Ints) -> Cells:
        return Cells(self.truth[keep], self.found[keep], self.recall[keep], self.precision[keep])


@dataclass(frozen=True, kw_only=True)
class Rounds:
    """The second and the third round, which all DetEvals have in common."""

    recall: float  # of a true region by all its pieces
    precision: float  # of each piece, and of a found region by all that it merges
    merged: float  # recall of each true region that is merged
    split_weight: float  # credit of a true region in pieces, and of each piece
    merge_weight: float  # credit of a found region over several, and of each of those
    least: int  # a split or merged region overlaps so many that count, matched or not
    lone: bool  # a "split" or "merge" of one is one to one, with a credit of 1
    total: Callable[[Floats], float]  # the sum of shares as the script takes it

    def split(self, book: Ledger, cells: Cells) -> None:
        """True regions in file order: the free pieces that lie on one cover enough of it."""
        overlapped = np.bincount(cells.truth[cells.recall > 0], minlength=len(book.truth))
        near = (cells.precision >= self.precision) & (overlapped[cells.truth] >= self.least)
        near &= book.truth[cells.truth] == Verdict.MISSED
        for at in _runs(cells.truth, np.flatnonzero(near)):
            at = at[book.found[cells.found[at]] == Verdict.MISSED]
            if not len(at) or self.total(cells.recall[at]) < self.recall:
                continue
            truth, found = cells.truth[at], cells.found[at]
            if len(at) == 1 and self.lone:
                book.match(truth, found)
                continue
            book.recalled[truth] = book.precise[found] = self.split_weight
            book.truth[truth] = book.found[found] = Verdict.SPLIT

    def merge(self, book: Ledger, cells: Cells) -> None:
        """Found regions in file order: one lies on free true ones that it covers well enough."""
        cells = cells.where(np.lexsort((cells.truth, cells.found)))
        overlapped = np.bincount(cells.found[cells.precision > 0], minlength=len(book.found))
        near = (cells.recall >= self.merged) & (overlapped[cells.found] >= self.least)
        near &= book.found[cells.found] == Verdict.MISSED
        for at in _runs(cells.found, np.flatnonzero(near)):
            at = at[book.truth[cells.truth[at]] == Verdict.MISSED]
            if not len(at) or self.total(cells.precision[at]) < self.precision:
                continue
            truth, found = cells.truth[at], cells.found[at]
            if len(at) == 1 and self.lone:
                if cells.recall[at[0]] >= self.recall:
                    book.match(truth, found)
                continue
            book.recalled[truth] = book.precise[found] = self.merge_weight
            book.truth[truth] = book.found[found] = Verdict.MERGED


def _runs(keys: Ints, at: Ints) -> Iterator[Ints]:
    """The indices ``at`` in runs of one key."""
    if len(at):
        yield from np.split(at, np.flatnonzero(np.diff(keys[at])) + 1)


@dataclass(frozen=True, kw_only=True)
class BoxDetEval:
    """ICDAR 2013's DetEval, on upright boxes whose borders belong to them.

    A polygon stands for its bounds, and a box from 3 to 5 is 3 pixels wide. An image without a result
    has its true regions in the denominator.

    The plain "ICDAR2013" evaluation, which the RRC lists beside it, is protocol ``icdar2013``: no condition on
    how many regions overlap, the weight of a split for one of one piece, sums that are not rounded.

    Source: the RRC's script.py of DetEval in the form of boostcampaitech3's deteval.py; the plain
    one: Lucydln/DetEval_For_OCR, DetEval.py.
    """

    recall: float = 0.8  # at least so much of a true region is covered
    precision: float = 0.4  # at least so much of a found one lies on text
    ignore: float = (
        0.4  # more than this on a region that does not count: neither does the found one
    )
    centre: float = 1.0  # distance of centres over the mean diagonal, in one to one; below this
    split_weight: float = 0.8
    merge_weight: float = 1.0
    count_overlaps: bool = True  # one to one: no further overlap; split or merged: at least two
    lone: bool = True  # a split of one piece is one to one
    digits: int | None = 4  # sums of shares are rounded to so many decimals

    def __call__(self, scene: Scene) -> Outcome:
        truth, found = _inclusive(scene.truth), _inclusive(scene.found)
        first, second = candidates(truth, found)
        ours, theirs = truth.boxes(), found.boxes()
        a, b = ours[first], theirs[second]
        common = np.prod(np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2]), axis=1)
        cells = Cells(first, second, common / _area(a), common / _area(b))

        ignored = scene.ignored
        left_out = np.zeros(len(found), dtype=bool)
        left_out[second[ignored[first] & (cells.precision > self.ignore)]] = True
        book = Ledger(scene, ~ignored, ~left_out)
        near = (cells.recall >= self.recall) & (cells.precision >= self.precision)
        # a pair is the only one of its row and column, those that do not count included
        rows = np.bincount(first[near], minlength=len(truth))
        columns = np.bincount(second[near], minlength=len(found))
        near &= (rows[first] == 1) & (columns[second] == 1)
        counted = ~ignored[first] & ~left_out[second]
        self._one_to_one(book, cells.where(counted), near[counted], ours, theirs)
        rounds = Rounds(
            recall=self.recall,
            precision=self.precision,
            merged=self.recall,
            split_weight=self.split_weight,
            merge_weight=self.merge_weight,
            least=2 if self.count_overlaps else 0,
            lone=self.lone,
            total=self._sum_in_turn,
        )
        rounds.split(book, cells.where(counted))
        rounds.merge(book, cells.where(counted))
        return book.outcome()

    def _sum_in_turn(self, shares: Floats) -> float:
        total = float(np.cumsum(shares)[-1])
        return total if self.digits is None else float(np.round(total, self.digits))

    def _one_to_one(
        self, book: Ledger, cells: Cells, near: Flags, ours: Floats, theirs: Floats
    ) -> None:
        if self.count_overlaps:
            touch = cells.recall > 0
            rows = np.bincount(cells.truth[touch], minlength=len(ours))
            columns = np.bincount(cells.found[touch], minlength=len(theirs))
            near = near & (rows[cells.truth] == 1) & (columns[cells.found] == 1)
        truth, found = cells.truth[near], cells.found[near]
        a, b = ours[truth], theirs[found]
        apart = np.linalg.norm((a[:, :2] + a[:, 2:] - b[:, :2] - b[:, 2:]) / 2, axis=1)
        diagonals = np.linalg.norm(a[:, 2:] - a[:, :2], axis=1)
        diagonals += np.linalg.norm(b[:, 2:] - b[:, :2], axis=1)
        close = apart / diagonals * 2 < self.centre
        book.match(truth[close], found[close])


def _inclusive(shapes: Shapes) -> Shapes:
    """The bounds of polygons, a pixel longer to the right and down, as two corners each."""
    some = shapes.sizes > 0
    corners = (shapes.boxes()[some] + (0, 0, 1, 1)).reshape(-1, 2)
    return Shapes(corners, np.concatenate(([0], np.cumsum(2 * some))), shapes.image)


def _area(boxes: Floats) -> Floats:
    sides = boxes[:, 2:] - boxes[:, :2]
    return sides[:, 0] * sides[:, 1]


@dataclass(frozen=True, kw_only=True)
class TotalTextDetEval:
    """DetEval on polygons, as Total-Text publishes it.

    The official script goes through the folder of results. An image without a result has its true
    regions in no sum, which a method gains by; an empty result does count them. Area is the shoelace
    formula's; a polygon that crosses itself overlaps with what buffer(0) leaves of it.

    PSENet's copy has other areas, rounds nothing and tests one to one on the true region alone, so
    that one found region may be one to one with several, with a credit for each; see protocol
    ``totaltext-deteval-psenet``.

    Raises:
        StrbenchError: where the script ends with a ZeroDivisionError: a region without an area, in an
            image where it is compared. With ``refuse=False`` that region is missed, or false.

    Source: cs-chan/Total-Text-Dataset, Python_scripts/Deteval.py and polygon_fast.py.
    """

    recall: float = 0.7  # tr: of a true region
    precision: float = 0.6  # tp: of a found one; in a merge also of each true region
    weight: float = 0.8  # fsc_k: of splits and merges
    ignore: float = (
        0.5  # more than this on a region that does not count: neither does the found one
    )
    ignore_padding: float = 1.0  # square pixels added to the area that this is a share of
    digits: int | None = 2  # shares are rounded to so many decimals
    crossing: Rule = "buffer"
    unique_in_found: bool = True  # one to one: no other true region has as much of the found one
    # One to one asks for one found region that covers enough and one that is precise enough. The
    # script does not ask that they be the same; the first is the one matched.
    same_found: bool = False
    count_unanswered: bool = False  # the true regions of images without a result
    refuse: bool = True

    def __call__(self, scene: Scene) -> Outcome:
        pairs = overlaps(scene.truth, scene.found, self.crossing)
        left_out = mostly_ignored(scene, pairs, above=self.ignore, padding=self.ignore_padding)
        truths = ~scene.ignored
        if not self.count_unanswered:
            truths &= scene.answered[scene.truth.image]
        if self.refuse:
            _refuse_flat(scene, truths, ~left_out)
        cells = Cells(
            pairs.truth,
            pairs.found,
            self._share(pairs.common, scene.truth, pairs.truth),
            self._share(pairs.common, scene.found, pairs.found),
        ).where(truths[pairs.truth] & ~left_out[pairs.found])
        book = Ledger(scene, truths, ~left_out)
        self._one_to_one(book, cells)
        rounds = Rounds(
            recall=self.recall,
            precision=self.precision,
            merged=self.precision,
            split_weight=self.weight,
            merge_weight=self.weight,
            least=2,
            lone=True,
            total=_sum_at_once,
        )
        rounds.split(book, cells)
        rounds.merge(book, cells)
        return book.outcome()

    def _share(self, common: Floats, shapes: Shapes, at: Ints) -> Floats:
        areas = np.abs(shapes.signed_areas())[at]
        share: Floats = np.divide(common, areas, out=np.zeros_like(areas), where=areas != 0)
        if self.digits is not None:
            share = share.round(self.digits)
        return share

    def _one_to_one(self, book: Ledger, cells: Cells) -> None:
        covering = cells.where(cells.recall > self.recall)
        precise = cells.where(cells.precision > self.precision)
        n = len(book.truth)
        one = np.bincount(covering.truth, minlength=n) == 1
        one &= np.bincount(precise.truth, minlength=n) == 1
        truth = np.flatnonzero(one)
        found, other = (
            some.found[np.searchsorted(some.truth, truth)] for some in (covering, precise)
        )
        keep = np.ones(len(truth), dtype=bool)
        if self.unique_in_found:
            m = len(book.found)
            keep &= np.bincount(covering.found, minlength=m)[found] == 1
            keep &= np.bincount(precise.found, minlength=m)[other] == 1
        if self.same_found:
            keep &= found == other
        book.match(truth[keep], found[keep])


def _sum_at_once(shares: Floats) -> float:
    return float(np.sum(shares))  # NumPy's own order of adding


def mostly_ignored(scene: Scene, pairs: Pairs, *, above: float, padding: float) -> Flags:
    """(M,) found regions of which more than a share lies on one true region that does not count.

    Args:
        padding: square pixels added to the area of the found region.
    """
    areas = np.abs(scene.found.signed_areas())[pairs.found] + padding
    share = np.divide(pairs.common, areas, out=np.zeros_like(areas), where=areas != 0)
    out = np.zeros(len(scene.found), dtype=bool)
    out[pairs.found[scene.ignored[pairs.truth] & (share > above)]] = True
    return out


def _refuse_flat(scene: Scene, truths: Flags, founds: Flags) -> None:
    """Regions that the script would divide by: those of images that have some on both sides."""
    some_truth = scene.per_image(scene.truth.image, truths) > 0
    some_found = scene.per_image(scene.found.image, founds) > 0
    flat = founds & some_truth[scene.found.image] & (scene.found.signed_areas() == 0)
    if flat.any():
        raise ended(scene, "detection", int(np.argmax(flat)), "has no area")
    flat = truths & some_found[scene.truth.image] & (scene.truth.signed_areas() == 0)
    if flat.any():
        raise ended(scene, "region", int(np.argmax(flat)), "has no area")


def ended(scene: Scene, kind: str, index: int, what: str) -> StrbenchError:
    """The error for a region at which an official script ends.

    Args:
        kind: "detection" or "region" (a true one); index: its place in the scene.
        what: what is wrong with it.
    """
    image = (scene.found if kind == "detection" else scene.truth).image
    return StrbenchError(
        f"{scene.images[image[index]]}: {kind} {number_of(image, index)} {what}; the official "
        "script ends there.",
        hint="Leave it out, or score with refuse=False: it then counts as missed or false.",
        exit_code=DATA,
    )


def number_of(image: Ints, index: int) -> int:
    """The place of a region in its image, from 1."""
    return index - int(np.searchsorted(image, image[index])) + 1
