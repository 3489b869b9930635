"""What a report consists of: tables of lines of cells. No renderer decides anything, so all is in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from strbench.report.frame import PER_SAMPLE, Metric, Omission
from strbench.report.welch import Spread


@dataclass(frozen=True, slots=True)
class Column:
    """One split of a table."""

    split: str
    n: int | None  # None where only reported figures stand in the column

    @property
    def head(self) -> str:
        """The dataset's id and its number of samples; the split too where it is not the test one."""
        name = self.split.removesuffix("/test")
        return f"{name} ({self.n})" if self.n is not None else name


@dataclass(frozen=True, slots=True)
class Cell:
    """One figure; ``printed`` holds a reported one with the digits of its source."""

    value: float  # proportion in [0, 1]; of several seeds their mean
    sd: float | None = None  # over the seeds, n - 1 in the denominator; None for one
    seeds: int = 1
    low: float | None = None
    high: float | None = None
    total: float | int | None = None  # count of correct words, or sum of similarities, of one run
    n: int | None = None
    printed: str = ""
    is_bold: bool = False
    run_id: str = ""  # of several seeds all of them, spaces between
    signature: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """One row: a model that was measured, its seeds together or not, or a reported one."""

    model: str
    source: str  # "measured", or "reported, " and the citation
    cells: Mapping[str, Cell]
    weighted: float | None = None  # over all samples of all columns
    plain: float | None = None  # mean of the columns
    seeds: int = 1
    # Of several seeds: the spread of both averages over those that have every column.
    spreads: tuple[Spread, Spread] | None = None

    @property
    def is_measured(self) -> bool:
        return self.source == "measured"


@dataclass(frozen=True, slots=True)
class Table:
    """Everything a renderer needs; no renderer decides anything."""

    suite: str
    title: str
    protocol: str
    metric: Metric
    rendered: bool
    columns: tuple[Column, ...]
    lines: tuple[Line, ...]
    signatures: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def has_averages(self) -> bool:
        return any(line.plain is not None for line in self.lines)

    @property
    def is_weighted(self) -> bool:
        return self.metric in PER_SAMPLE

    @property
    def has_reported(self) -> bool:
        return any(not line.is_measured for line in self.lines)

    @property
    def has_seeds(self) -> bool:
        return any(line.seeds > 1 for line in self.lines)


@dataclass(frozen=True, slots=True)
class Report:
    """The tables, and every run that stays out of them."""

    tables: tuple[Table, ...]
    omissions: tuple[Omission, ...] = field(default=())

    def left_out(self) -> str:
        """One sentence that counts the runs left out by reason; empty where there are none."""
        runs: dict[str, set[Any]] = {}
        for omission in self.omissions:
            runs.setdefault(omission.reason, set()).add(omission.path)
        if not runs:
            return ""
        total = len({omission.path for omission in self.omissions})
        reasons = "; ".join(f"{len(paths)} {reason}" for reason, paths in sorted(runs.items()))
        return f"Left out: {total} {'run' if total == 1 else 'runs'}: {reasons}."
