"""Which suites get a table: those that show most of what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from strbench.report.frame import NO_LEXICON, Entry

OWN_RULES = "of each set its own"  # in place of a protocol


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
    @property
    def protocols(self) -> Mapping[str, str]: ...


@dataclass(frozen=True)
class Other:
    """The splits that no suite holds, in one table."""

    title: str
    splits: tuple[str, ...]
    rendered: bool
    note: str = ""
    protocols: Mapping[str, str] = field(default_factory=dict)


class Group(NamedTuple):
    """Scores that may stand in one table, and the suites that may hold them."""

    rule: str  # the protocol, or ``OWN_RULES``, and the lexicon where there was one
    lexicon: str  # its kind
    entries: list[Entry]
    suites: Mapping[str, SuiteLike]


def with_lexicon(rule: str, lexicon: str) -> str:
    """The rule as a table's title has it."""
    return rule if lexicon == NO_LEXICON else f"{rule}, lexicon {lexicon}"


def grouped(
    suites: Mapping[str, SuiteLike], suite: str | None, entries: Sequence[Entry]
) -> list[Group]:
    """The scores by protocol and lexicon; those of a suite whose sets have rules of their own together.

    Lexicons of one kind share a table, since each set has its own, unless one set has several.

    Args:
        suite: the one that is asked for, if any; it may hold scores under other rules too.
    """
    groups: list[Group] = []

    def add(rule: str, some: Sequence[Entry], held: Mapping[str, SuiteLike]) -> None:
        kinds: dict[str, list[Entry]] = {}
        for entry in some:
            kinds.setdefault(entry.lexicon.partition("@")[0], []).append(entry)
        for kind, same in sorted(kinds.items()):
            lists = {(entry.score.split, entry.lexicon) for entry in same}
            if len(lists) == len({split for split, _ in lists}):
                groups.append(Group(with_lexicon(rule, kind), kind, same, held))
                continue
            for tag in sorted({entry.lexicon for entry in same}):
                alike = [entry for entry in same if entry.lexicon == tag]
                groups.append(Group(with_lexicon(rule, tag), kind, alike, held))

    left = list(entries)
    for name, one in suites.items():
        if not one.protocols or suite not in (None, name):
            continue
        own = [e for e in left if one.protocols.get(e.score.split) == e.score.protocol]
        if own:
            rules = {entry.score.protocol for entry in own}
            add(OWN_RULES if len(rules) > 1 else rules.pop(), own, {name: one})
            left = [entry for entry in left if entry not in own]
    others = {name: one for name, one in suites.items() if not one.protocols or suite is not None}
    for protocol in sorted({entry.score.protocol for entry in left}):
        add(protocol, [entry for entry in left if entry.score.protocol == protocol], others)
    return groups


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
        if not suites:
            break
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
