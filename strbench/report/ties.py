"""Who leads a column, and whether the lead is more than chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from strbench.errors import StrbenchError
from strbench.provenance import expand
from strbench.report.frame import Entry, Metric
from strbench.report.welch import spread, welch

WELCH = "Welch's t-test"


@dataclass(frozen=True, slots=True)
class Leader:
    """The row to print bold, if any, and how ties were looked for."""

    winner: str | None  # None where the best is tied, or alone
    methods: frozenset[str] = frozenset()  # "paired test", "overlapping intervals", WELCH


def leader(rivals: Mapping[str, Sequence[Entry]], metric: Metric, *, paired: bool = True) -> Leader:
    """The single best row of a column; without ``paired`` no file is read.

    A rival ties with the best if their values are equal, or if their intervals overlap (or one has
    none) and no paired test tells them apart. The test, Holm-corrected for its number of rivals,
    needs the prediction files of both and the split itself.

    Where a row has several seeds, rivals tie if Welch's test over the seeds, Holm-corrected, does
    not tell them apart; a row of one seed cannot be told from any.

    Args:
        rivals: row -> its runs on the split, several where they differ in the seed alone.
    """
    if any(len(runs) > 1 for runs in rivals.values()):
        return _over_seeds(rivals, metric)
    row_of = {id(runs[0]): row for row, runs in rivals.items()}
    valued = [
        (value, runs[0]) for runs in rivals.values() if (value := runs[0].value(metric)) is not None
    ]
    if len(valued) < 2:
        return Leader(None)
    valued.sort(key=lambda pair: pair[0], reverse=True)
    (top, best), *others = valued
    near = [other for _, other in others if _overlap(best, other, metric)]
    if any(value == top for value, _ in others) or not near:
        winner = row_of[id(best)] if others[0][0] < top else None
        return Leader(winner, frozenset({"overlapping intervals"}))
    tested, tied = _tested(best, near, metric) if paired else (0, False)
    methods = {"paired test"} if tested else set()
    if tested < len(near):
        methods.add("overlapping intervals")
        tied = True
    return Leader(None if tied else row_of[id(best)], frozenset(methods))


def _over_seeds(rivals: Mapping[str, Sequence[Entry]], metric: Metric) -> Leader:
    from strbench.stats import holm  # imported here, as below: most reports need no statistics

    values = {
        row: [value for run in runs if (value := run.value(metric)) is not None]
        for row, runs in rivals.items()
    }
    best = max(values, key=lambda row: spread(values[row]).mean)
    others = [row for row in values if row != best]
    if not others:
        return Leader(None)
    if any(len(values[row]) < 2 for row in values):
        return Leader(None, frozenset({WELCH}))
    p = holm({row: welch(values[best], values[row]).p for row in others})
    return Leader(best if max(p.values()) <= 0.05 else None, frozenset({WELCH}))


def _overlap(best: Entry, other: Entry, metric: Metric) -> bool:
    upper, lower = best.interval(metric), other.interval(metric)
    return upper is None or lower is None or upper[0] <= lower[1]


def _tested(best: Entry, near: Sequence[Entry], metric: Metric) -> tuple[int, bool]:
    """How many rivals could be tested against the best, and whether one of them ties with it."""
    runs = [entry for entry in (best, *near) if _has_file(entry)]
    if metric != "word_accuracy" or len(runs) < 2 or runs[0] is not best:
        return 0, False
    # Imported here: reading predictions and splits is heavy, and most reports need neither.
    from strbench.report.compare import outcomes
    from strbench.report.sources import Source
    from strbench.stats import tie_groups

    try:
        found = outcomes([Source.of(entry) for entry in runs])
        correct = {str(i): values for i, values in enumerate(found.correct)}
        ties = tie_groups(correct, found.groups)
    # the split or a file is not what the records describe, or there is one sample: no test
    except StrbenchError:
        return 0, False
    return len(runs) - 1, len(ties.tied) > 1


def _has_file(entry: Entry) -> bool:
    file = entry.score.predictions
    return file is not None and expand(file.path).is_file()
