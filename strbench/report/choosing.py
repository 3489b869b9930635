"""Which suites get a table: those that show most of what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from strbench.report.frame import Entry


class SuiteLike(Protocol):
    """What a table reads of a suite of ``strbench.benchmarks.suites``."""

    @property
    def title(self) -> str: ...
    @property
    def splits(self) -> tuple[str, ...]: ...
    @property
    def note(self) -> str: ...
    @property
    def rendered(self) -> bool: ...


@dataclass(frozen=True)
class Other:
    """The splits that no suite holds, in one table."""

    title: str
    splits: tuple[str, ...]
    rendered: bool
    note: str = ""


def chosen(
    suites: Mapping[str, SuiteLike], suite: str | None, entries: Sequence[Entry]
) -> list[tuple[str, SuiteLike]]:
    """The suites that get a table, each with its key; the splits of no suite have the key "".

    Args:
        suites: key -> suite, all that there are.
        suite: only this one; it is left out where nothing of it was measured.
        entries: what was measured.
    """
    measured = {entry.score.split: entry.score.rendered for entry in entries}
    if suite is not None:
        return [(suite, suites[suite])] if measured.keys() & set(suites[suite].splits) else []
    found: list[tuple[str, SuiteLike]] = []
    left = set(measured)
    while left:  # the suite that shows most of what is left, the smaller of two that show as much
        name, best = max(
            suites.items(), key=lambda item: (len(left & set(item[1].splits)), -len(item[1].splits))
        )
        if not left & set(best.splits):
            break
        found.append((name, best))
        left -= set(best.splits)
    for rendered in (False, True):
        rest = sorted(s for s, is_drawn in measured.items() if s in left and is_drawn is rendered)
        if rest:
            title = "Rendered sets of no suite" if rendered else "Sets of no suite"
            found.append(("", Other(title, tuple(rest), rendered)))
    return found
