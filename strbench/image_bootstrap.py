"""Intervals and paired tests of precision, recall and their harmonic mean, by resampling whole images.

Regions of one photograph are not independent, so images are drawn, each with all that a rule counted in
it. The figures are ratios of sums, so they are computed anew from the sums of every resample.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from strbench.errors import DATA, StrbenchError
from strbench.metrics.detection import Outcome
from strbench.shapes import Floats
from strbench.stats import LEVEL, RESAMPLES, Interval, two_sided_p, wilson_interval

_BLOCK = 1 << 22  # numbers drawn at once: 32 MB
_CACHED = 1 << 16  # rows drawn at once one by one: what a core's cache holds
_DEARER = 20  # a multinomial's draw of a kind costs about as much as so many rows drawn one by one
FIGURES = ("precision", "recall", "hmean")


class Intervals(NamedTuple):
    """The intervals of the three figures of an outcome; None where there is nothing to reckon one from."""

    precision: Interval | None
    recall: Interval | None
    hmean: Interval | None


class Difference(NamedTuple):
    """How much the harmonic mean of one outcome is above that of another on the same images."""

    value: float
    interval: Interval
    p: float  # two-sided, of no difference


def _counts(outcome: Outcome) -> Floats:
    """(I, 4): credits and numbers of found and of true regions, by image."""
    return np.stack([outcome.precise, outcome.founds, outcome.recalled, outcome.truths], 1)


def _figures(sums: Floats) -> Floats:
    """(n, 3) precision, recall and harmonic mean of sums (n, 4); 0 where nothing is divided.

    Parts below 0, which penalties of CLEval leave, count as 0, as in its own figures.
    """
    parts, wholes = np.maximum(sums[:, ::2], 0), sums[:, 1::2]
    two = np.divide(parts, wholes, out=np.zeros_like(parts), where=wholes > 0)
    both = two.sum(1)
    hmean = np.divide(2 * two.prod(1), both, out=np.zeros_like(both), where=both > 0)
    return np.column_stack([two, hmean])


def resampled_sums(counts: Floats, seed: int, n: int) -> Floats:
    """(n, K) sums of ``n`` resamples of the rows of counts (I, K).

    Where many rows are equal these are drawn together by a multinomial, which is the same as drawing
    with replacement and costs as much as there are kinds of rows; else every row is drawn for itself.
    """
    # As np.unique does it, which would first import numpy.ma.
    ordered = counts[np.lexsort(counts.T[::-1])]
    starts = np.flatnonzero(np.append(True, (ordered[1:] != ordered[:-1]).any(1)))
    kinds, many = ordered[starts], np.diff(np.append(starts, len(ordered)))
    rng = np.random.default_rng(seed)
    rows = len(counts)
    sums = np.empty((n, counts.shape[1]))
    if len(kinds) * _DEARER < rows:
        step = max(1, _BLOCK // len(kinds))
        for start in range(0, n, step):
            size = min(step, n - start)
            sums[start : start + size] = rng.multinomial(rows, many / rows, size=size) @ kinds
        return sums
    step = max(1, _CACHED // rows)
    for start in range(0, n, step):
        size = min(step, n - start)
        drawn = rng.integers(0, rows, (size, rows), dtype=np.int32)  # of the ordered rows
        drawn += np.arange(size, dtype=np.int32)[:, None] * rows
        times = np.bincount(drawn.ravel(), minlength=size * rows).reshape(size, rows)
        sums[start : start + size] = times @ ordered
    return sums


def intervals(
    outcome: Outcome, *, seed: int = 0, n: int = RESAMPLES, level: float = LEVEL
) -> Intervals:
    """The percentile bootstrap intervals over images.

    One image gives none, nor does a figure that divides nothing (precision without a found region). Where
    a figure is 0, or 1, in every image resampling would give no width: then Wilson's interval with the
    images that count for it as its samples, which is on the wide side.

    Raises:
        StrbenchError: there is no image.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.
    """
    counts = _counts(outcome)
    if not len(counts):
        raise StrbenchError("An interval over images needs an image.", exit_code=DATA)
    figures = _figures(resampled_sums(counts, seed, n))
    ends = np.quantile(figures, [(1 - level) / 2, (1 + level) / 2], axis=0).T
    is_found, is_true = outcome.founds > 0, outcome.truths > 0
    counting = (
        is_found,
        is_true,
        is_true,
    )  # images; the harmonic mean without a true region is none
    found: list[Interval | None] = []
    for (low, high), images in zip(ends.tolist(), map(np.count_nonzero, counting), strict=True):
        if len(counts) < 2 or not images:
            found.append(None)
        elif low == high and low in (0.0, 1.0):
            found.append(wilson_interval(int(low) * int(images), int(images)))
        else:
            found.append(Interval(low, high))
    return Intervals(*found)


def paired_difference(
    first: Outcome, second: Outcome, *, seed: int = 0, n: int = RESAMPLES, level: float = LEVEL
) -> Difference:
    """The difference of harmonic means on the same images, in the same order.

    Both outcomes are counted on the same resamples. The p-value is that of ``stats.paired_difference``.

    Raises:
        StrbenchError: the outcomes are of different numbers of images, or of fewer than two.
    """
    return averaged_difference([(first, second)], seed=seed, n=n, level=level)


def averaged_difference(
    pairs: Sequence[tuple[Outcome, Outcome]],
    *,
    seed: int = 0,
    n: int = RESAMPLES,
    level: float = LEVEL,
) -> Difference:
    """``paired_difference`` on several sets, averaged by their numbers of images; sets are resampled apart.

    Raises:
        StrbenchError: as ``paired_difference`` does.
    """
    images = sum(len(first.truths) for first, _ in pairs)
    value, drawn, differing = 0.0, np.zeros(n), 0
    for first, second in pairs:
        if len(first.truths) != len(second.truths) or images < 2:
            raise StrbenchError(
                "A paired test needs the same images, two or more, found "
                f"{len(first.truths)} and {len(second.truths)}.",
                exit_code=DATA,
            )
        differing += int((_counts(first) != _counts(second)).any(1).sum())
        share = len(first.truths) / images
        sums = resampled_sums(np.hstack([_counts(first), _counts(second)]), seed, n)
        drawn += share * (_figures(sums[:, :4])[:, 2] - _figures(sums[:, 4:])[:, 2])
        value += share * (first.hmean - second.hmean)
        seed += 1
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return Difference(value, Interval(float(low), float(high)), two_sided_p(drawn, differing))
