"""Differences between the rows of a rebuilt table, with intervals and tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from strbench.errors import StrbenchError
from strbench.report.frame import Entry, Metric
from strbench.report.welch import welch
from strbench.reproductions import Row
from strbench.stats import holm, paired_difference

Entries = Mapping[tuple[str, str], Entry]  # (run, split) -> what it scored


@dataclass(frozen=True, slots=True)
class Gap:
    """How much better a row is than another, on the average of the measured columns."""

    against: str
    value: float
    low: float  # 95 % interval
    high: float
    p: float  # two-sided, Holm-corrected for the differences of the table
    test: str


def averages(
    runs: Sequence[str],
    entries: Entries,
    measured: Sequence[str],
    metric: Metric,
) -> dict[str, float]:
    """Run -> its average weighted by samples, for the runs that have every measured column."""
    averages = {}
    for run in runs:
        own = [entries[run, split] for split in measured if (run, split) in entries]
        if own and len(own) == len(measured):
            sizes = [entry.score.n for entry in own]
            values = [entry.value(metric) or 0.0 for entry in own]
            averages[run] = sum(v * n for v, n in zip(values, sizes, strict=True)) / sum(sizes)
    return averages


def differences(
    rows: Sequence[Row],
    runs: Mapping[str, Sequence[str]],
    entries: Entries,
    measured: Sequence[str],
    metric: Metric,
) -> dict[str, Gap]:
    """Label -> the difference that its row asks for, where both rows were measured whole.

    Args:
        runs: label -> one run a seed.
        measured: the splits of the columns.
    """
    gaps: dict[str, Gap] = {}
    for row in rows:
        if row.against in runs:
            first = averages(runs[row.label], entries, measured, metric)
            second = averages(runs[row.against], entries, measured, metric)
            gap = _gap(row.against, first, second, entries, measured, metric)
            if gap is not None:
                gaps[row.label] = gap
    corrected = holm({label: gap.p for label, gap in gaps.items()})
    return {label: replace(gap, p=corrected[label]) for label, gap in gaps.items()}


def _gap(
    against: str,
    first: Mapping[str, float],
    second: Mapping[str, float],
    entries: Entries,
    measured: Sequence[str],
    metric: Metric,
) -> Gap | None:
    if not first or not second:
        return None
    if min(len(first), len(second)) > 1:
        return Gap(against, *welch(list(first.values()), list(second.values())), test="seeds")
    pair = next(iter(first)), next(iter(second))
    if metric == "hmean":
        return _gap_of_regions(against, pair, entries, measured)
    sides: tuple[dict[str, Any], dict[str, Any]] = ({}, {})
    groups: dict[str, Any] = {}
    try:
        for split in measured:
            values, groups[split] = _per_sample([entries[run, split] for run in pair], metric)
            for side, own in zip(sides, values, strict=True):
                side[split] = own
        difference = paired_difference(*sides, groups)
    # a split or prediction file is not what the records describe, or holds one sample: no test
    except StrbenchError:
        return None
    return Gap(against, *difference, test="samples")


def _gap_of_regions(
    against: str,
    pair: tuple[str, str],
    entries: Entries,
    measured: Sequence[str],
) -> Gap | None:
    from strbench.image_bootstrap import averaged_difference
    from strbench.report.compare_regions import outcomes
    from strbench.report.sources import Source

    both = []
    try:
        for split in measured:
            first, second = outcomes([Source.of(entries[run, split]) for run in pair])
            both.append((first, second))
        value, interval, p = averaged_difference(both)
    except StrbenchError:  # as above
        return None
    return Gap(against, value, *interval, p, test="samples")


def _per_sample(pair: Sequence[Entry], metric: Metric) -> tuple[list[Any], Any]:
    """What each run scored on every sample of a split, and the samples' photographs.

    Raises:
        StrbenchError: as ``compare.outcomes`` and ``compare_images.image_values`` do.
    """
    from strbench.report.sources import Source

    sources = [Source.of(entry) for entry in pair]
    if metric == "word_accuracy":
        from strbench.report.compare import outcomes

        both = outcomes(sources)
        return list(both.correct), both.groups
    from strbench.report.compare_images import image_values

    return image_values(sources)[2][metric], None
