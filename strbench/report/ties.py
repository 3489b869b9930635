"""Who leads a column, and whether the lead is more than chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from strbench.errors import StrbenchError
from strbench.provenance import expand
from strbench.report.frame import Entry, Metric


@dataclass(frozen=True, slots=True)
class Leader:
    """The row to print bold, if any, and how ties were looked for."""

    winner: Entry | None  # None where the best is tied, or alone
    methods: frozenset[str] = frozenset()  # "paired test", "overlapping intervals"


def leader(rivals: Sequence[Entry], metric: Metric, *, paired: bool = True) -> Leader:
    """The single best of a column; without ``paired`` no file is read and only intervals decide.

    A rival ties with the best if their values are equal, or if their intervals overlap (or one has
    none) and no paired test tells them apart. The test, Holm-corrected for its number of rivals,
    needs the prediction files of both and the split itself.
    """
    valued = [(value, entry) for entry in rivals if (value := entry.value(metric)) is not None]
    if len(valued) < 2:
        return Leader(None)
    valued.sort(key=lambda pair: pair[0], reverse=True)
    (top, best), *others = valued
    near = [other for _, other in others if _overlap(best, other, metric)]
    if any(value == top for value, _ in others) or not near:
        winner = best if others[0][0] < top else None
        return Leader(winner, frozenset({"overlapping intervals"}))
    tested, tied = _tested(best, near, metric) if paired else (0, False)
    methods = {"paired test"} if tested else set()
    if tested < len(near):
        methods.add("overlapping intervals")
        tied = True
    return Leader(None if tied else best, frozenset(methods))


def _overlap(best: Entry, other: Entry, metric: Metric) -> bool:
    upper, lower = best.interval(metric), other.interval(metric)
    return upper is None or lower is None or upper[0] <= lower[1]


def _tested(best: Entry, near: Sequence[Entry], metric: Metric) -> tuple[int, bool]:
    """How many rivals could be tested against the best, and whether one of them ties with it."""
    runs = [entry for entry in (best, *near) if _has_file(entry)]
    if metric != "word_accuracy" or len(runs) < 2 or runs[0] is not best:
        return 0, False
    # Imported here: reading predictions and splits is heavy, and most reports need neither.
    from strbench.report.compare import Source, outcomes
    from strbench.stats import tie_groups

    try:
        found = outcomes([Source.of(entry) for entry in runs])
    except StrbenchError:  # the split or a file is not what the records describe: no test
        return 0, False
    correct = {str(i): values for i, values in enumerate(found.correct)}
    ties = tie_groups(correct, found.groups)
    return len(runs) - 1, len(ties.tied) > 1


def _has_file(entry: Entry) -> bool:
    file = entry.score.predictions
    return file is not None and expand(file.path).is_file()
