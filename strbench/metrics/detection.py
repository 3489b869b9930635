"""Detection: found polygons against true ones. What a rule counts, image by image.

A rule of the field is a function from a ``Scene`` (the polygons of many images) to an ``Outcome``. All
figures over a data set are sums: recall is what the rule credits to true regions divided by those that
count, precision what it credits to found ones divided by those that count. Where a published script
does otherwise, the rule says so.

This module has what all rules share, and the rule of most papers: overlap above a half, first come.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from strbench.shapes import Floats, Ints, Pairs, Rule, Shapes, common_areas, promising
from strbench.types import Detection, Region

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Scene:
    """True and found regions of a list of images, in file order."""

    images: tuple[str, ...]
    regions: tuple[Region, ...]  # those of all images; truth.image says whose
    detections: tuple[Detection, ...]
    truth: Shapes
    found: Shapes
    answered: Flags  # (I,) images with a result, were it an empty one

    @classmethod
    def of(
        cls,
        truth: Mapping[str, Sequence[Region]],
        found: Mapping[str, Sequence[Detection]],
    ) -> Scene:
        """The scene of all images of ``truth``; an image that ``found`` lacks has no detection."""
        regions = [list(truth[image]) for image in truth]
        detections = [list(found.get(image, ())) for image in truth]
        return cls(
            tuple(truth),
            tuple(region for some in regions for region in some),
            tuple(detection for some in detections for detection in some),
            Shapes.of([region.polygon for region in some] for some in regions),
            Shapes.of([detection.polygon for detection in some] for some in detections),
            np.array([image in found for image in truth], dtype=bool),
        )

    @property
    def ignored(self) -> Flags:
        """(N,) the true regions that do not count."""
        return np.array([region.ignored for region in self.regions], dtype=bool)

    @property
    def confidences(self) -> Floats:
        """(M,) NaN where a detection has none."""
        values = [np.nan if d.confidence is None else d.confidence for d in self.detections]
        return np.array(values, dtype=np.float64)

    def per_image(self, owner: Ints, values: NDArray[np.generic]) -> Floats:
        """Sums of values by image; ``owner`` is ``truth.image`` or ``found.image``."""
        sums: Floats = np.bincount(owner, values.astype(np.float64), len(self.images)).astype(
            np.float64
        )
        return sums


class Verdict(IntEnum):
    """What became of a region."""

    MISSED = 0  # a true one that nothing found; a found one that hits nothing: false
    MATCHED = 1  # one to one
    SPLIT = 2  # a true one found in pieces; a piece
    MERGED = 3  # a found one over several true ones; one of those
    IGNORED = 4  # it does not count


class Ranks(NamedTuple):
    """Found regions that count, in file order, as average precision takes them."""

    confidences: Floats  # (R,) equal ones keep file order
    hits: Flags  # (R,)
    envelope: bool = False  # VOC's area below the envelope; else the RRC's sum at the hits

    def average_precision(self, truths: float) -> float:
        """Of ``truths`` true regions; 0 where there are none.

        The RRC adds up the precisions at the ranks of hits and divides by the true regions. VOC raises
        every precision to the best one at a higher recall first.
        """
        hits = self.hits[np.argsort(-self.confidences, kind="stable")]
        precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
        if not self.envelope or not truths:
            return ratio(precision[hits].sum(), truths)
        best = np.maximum.accumulate(precision[::-1])[::-1]
        return float(np.sum(np.diff(np.arange(hits.sum() + 1) / truths) * best[hits]))


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a rule makes of a scene of I images, N true and M found regions."""

    recalled: Floats  # (I,) credit of true regions
    precise: Floats  # (I,) credit of found regions
    truths: Floats  # (I,) true regions that count
    founds: Floats  # (I,) found regions that count
    truth: NDArray[np.int8]  # (N,) Verdict
    found: NDArray[np.int8]  # (M,) Verdict
    partner: Ints  # (M,) the true region of a found one that is matched, else -1
    ranks: Ranks | None = None  # where the rule has an average precision and detections confidences

    @classmethod
    def join(cls, parts: Sequence[Outcome]) -> Outcome:
        """The outcome of all images of several scenes, one after the other; there is one at least."""
        first = parts[0]
        joined: dict[str, Any] = {}
        for part in fields(first):
            values = [getattr(outcome, part.name) for outcome in parts]
            if part.name != "ranks":
                joined[part.name] = np.concatenate(values)
        offsets = np.cumsum([0, *(len(outcome.truth) for outcome in parts)])
        for name in first.partners:
            moved = [
                np.where(getattr(outcome, name) < 0, -1, getattr(outcome, name) + begin)
                for outcome, begin in zip(parts, offsets.tolist(), strict=False)
            ]
            joined[name] = np.concatenate(moved)
        ranks = [outcome.ranks for outcome in parts if outcome.ranks is not None]
        if len(ranks) == len(parts):
            joined["ranks"] = Ranks(
                np.concatenate([one.confidences for one in ranks]),
                np.concatenate([one.hits for one in ranks]),
                ranks[0].envelope,
            )
        return type(first)(**joined)

    @property
    def partners(self) -> tuple[str, ...]:
        """The fields that hold indices of true regions."""
        return ("partner",)

    @property
    def average_precision(self) -> float | None:
        return None if self.ranks is None else self.ranks.average_precision(added(self.truths))

    @property
    def recall(self) -> float:
        return ratio(added(self.recalled), added(self.truths))

    @property
    def precision(self) -> float:
        return ratio(added(self.precise), added(self.founds))

    @property
    def hmean(self) -> float:
        return ratio(2 * self.recall * self.precision, self.recall + self.precision)


def added(values: Floats) -> float:
    """The sum, image after image as the official scripts add up: rounding and all."""
    return float(sum(values.tolist()))


def ratio(part: float, whole: float) -> float:
    """The quotient, 0 where ``whole`` is 0."""
    return float(part / whole) if whole else 0.0


def intersections_over_unions(scene: Scene, pairs: Pairs) -> Floats:
    """(P,) IoU of pairs: areas by the shoelace formula, 0 where the union has no area.

    Of a polygon that crosses itself area and overlap are not of one piece, and the IoU may be anything:
    a bow-tie over a rectangle has area 0, overlaps it by half, and gets 1, as in the RRC's scripts.
    """
    ours, theirs = np.abs(scene.truth.signed_areas()), np.abs(scene.found.signed_areas())
    union = ours[pairs.truth] + theirs[pairs.found] - pairs.common
    return np.divide(pairs.common, union, out=np.zeros_like(union), where=union != 0)


def on_ignored(scene: Scene, pairs: Pairs, *, above: float) -> Flags:
    """(M,) found regions of which more than a share lies on one true region that does not count."""
    areas = np.abs(scene.found.signed_areas())[pairs.found]
    share = np.divide(pairs.common, areas, out=np.zeros_like(areas), where=areas != 0)
    out = np.zeros(len(scene.found), dtype=bool)
    out[pairs.found[scene.ignored[pairs.truth] & (share > above)]] = True
    return out


@dataclass(frozen=True, kw_only=True)
class FirstCome:
    """A pair matches from an overlap on, and the first one in file order takes both.

    Source: the RRC's script.py of TL_iou_1_0 and 1_1.
    """

    iou: float = 0.5  # a pair with more than this matches
    ignore: float = (
        0.5  # more than this on a region that does not count: neither does the found one
    )
    crossing: Rule = "even-odd"

    def __call__(self, scene: Scene) -> Outcome:
        ignored = scene.ignored
        truth, found = scene.truth, scene.found
        areas = np.abs(truth.signed_areas()), np.abs(found.signed_areas())
        first, second = promising(
            truth, found, areas, iou=self.iou, ignored=ignored, ignore=self.ignore
        )
        ours, theirs = truth.geometries(self.crossing), found.geometries(self.crossing)
        pairs = Pairs(first, second, common_areas(ours[first], theirs[second]))
        left_out = on_ignored(scene, pairs, above=self.ignore)
        near = intersections_over_unions(scene, pairs) > self.iou
        near &= ~ignored[pairs.truth] & ~left_out[pairs.found]
        partner = np.full(len(found), -1)
        taken = np.zeros(len(truth), dtype=bool)
        for g, d in zip(pairs.truth[near].tolist(), pairs.found[near].tolist(), strict=True):
            if not taken[g] and partner[d] < 0:
                taken[g] = True
                partner[d] = g
        return outcome(scene, taken, left_out, partner)


def outcome(scene: Scene, taken: Flags, left_out: Flags, partner: Ints) -> Outcome:
    """The outcome of a rule that matches one to one.

    Args:
        taken: (N,) true regions that were found; left_out: (M,) found ones that do not count.
    """
    ignored, hit = scene.ignored, partner >= 0
    truth = np.where(ignored, Verdict.IGNORED, np.where(taken, Verdict.MATCHED, Verdict.MISSED))
    found = np.where(left_out, Verdict.IGNORED, np.where(hit, Verdict.MATCHED, Verdict.MISSED))
    return Outcome(
        recalled=scene.per_image(scene.truth.image, taken),
        precise=scene.per_image(scene.found.image, hit),
        truths=scene.per_image(scene.truth.image, ~ignored),
        founds=scene.per_image(scene.found.image, ~left_out),
        truth=truth.astype(np.int8),
        found=found.astype(np.int8),
        partner=partner,
        ranks=_ranks(scene, hit, left_out),
    )


def _ranks(scene: Scene, hit: Flags, left_out: Flags) -> Ranks | None:
    """What counts by confidence; None where a detection has none. The official sort is unstable."""
    confidences = scene.confidences[~left_out]
    return None if np.isnan(confidences).any() else Ranks(confidences, hit[~left_out])
