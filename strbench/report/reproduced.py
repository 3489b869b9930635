"""A table of a paper as measured here, the printed figures beside the measured ones.

One table holds one scale. Where the test sets are rendered, nothing printed stands beside them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from strbench.errors import DATA, StrbenchError
from strbench.records import Record
from strbench.report.frame import METRICS, Entry, select
from strbench.report.render import MISSING, escape_markdown
from strbench.report.reported import Figure, load_reported
from strbench.report.table import Column
from strbench.report.welch import Spread, spread, welch
from strbench.reproductions import Reproduction, Row, Scale, Step, rows_at, run_name
from strbench.stats import holm, paired_difference


@dataclass(frozen=True, slots=True)
class Cell:
    """What a row scored on a split: proportions, one a seed, and the figure that was printed."""

    values: tuple[float, ...]
    low: float | None  # 95 % interval of one seed
    high: float | None
    reported: str  # percent, with the digits that were printed; "" without one


@dataclass(frozen=True, slots=True)
class Gap:
    """How much better a row is than another, on the average of the measured columns."""

    against: str
    value: float
    low: float  # 95 % interval
    high: float
    p: float  # two-sided, Holm-corrected for the differences of the table
    test: str


@dataclass(frozen=True, slots=True)
class Line:
    """One row; ``average`` is weighted by the words of the measured columns."""

    label: str
    runs: tuple[str, ...]  # one a seed
    cells: Mapping[str, Cell]
    average: Spread | None
    reported_average: str
    gap: Gap | None


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """Everything that is shown of a table at a scale."""

    table: str
    scale: str
    title: str
    protocol: str
    seeds: int
    rendered: bool
    columns: tuple[Column, ...]  # measured ones
    missing: tuple[str, ...]  # test sets that are not prepared
    lines: tuple[Line, ...]
    notes: tuple[str, ...]


def build(
    table: str,
    scale: str,
    found: Reproduction,
    chosen: Scale,
    steps: Sequence[Step],
    records: Iterable[Record],
    weights: Mapping[str, str],
) -> Rebuilt:
    """The table of what the runs of a plan scored.

    Args:
        steps: the plan; rows that it does not have are left out.
        weights: run -> SHA-256 of its weights as they are. Scores of other weights and other runs do
            not count.
    """
    evaluations = [step for step in steps if step.does == "eval"]
    labels = {label for step in evaluations for label in step.rows}
    rows = [row for row in rows_at(found, chosen) if row.label in labels]
    seeds = sorted({step.seed for step in evaluations})
    tests = chosen.splits or found.columns
    whole = [r for r in records if r.name in weights and _is_of(r, weights[r.name])]
    entries = {
        (entry.model, entry.score.split): entry
        for entry in select(whole, protocol=found.protocol).entries
        if entry.score.split in tests and entry.value("word_accuracy") is not None
    }
    runs = {row.label: [run_name(table, scale, row.run, seed) for seed in seeds] for row in rows}
    measured = [split for split in tests if any(known == split for _, known in entries)]
    rendered = any(entry.score.rendered for entry in entries.values()) or _are_drawn(tests)
    figures = [] if rendered else load_reported()
    lines = [_line(row, runs[row.label], entries, measured, tests, found, figures) for row in rows]
    lines = _with_gaps(lines, rows, entries, measured)
    sizes = {split: entry.score.n for (_, split), entry in entries.items()}
    missing = tuple(dict.fromkeys(split for step in evaluations for split in step.missing))
    return Rebuilt(
        table=table,
        scale=scale,
        title=f"{found.title}, scale {scale}: Acc (%), protocol {found.protocol}",
        protocol=found.protocol,
        seeds=len(seeds),
        rendered=rendered,
        columns=tuple(Column(split, sizes[split]) for split in measured),
        missing=missing,
        lines=tuple(lines),
        notes=tuple(_notes(found, chosen, steps, lines, missing, rendered=rendered)),
    )


def _is_of(record: Record, sha256: str) -> bool:
    return record.weights is not None and record.weights.sha256 == sha256


def _are_drawn(splits: Sequence[str]) -> bool:
    from strbench.reproductions import is_drawn

    return all(is_drawn(split) for split in splits)


def printed(row: Row, figures: Iterable[Figure], *, split: str, dataset: str = "") -> str:
    """The figure that a paper prints for a row on a split, or for ``dataset`` where no split is named.

    Raises:
        StrbenchError: the row's filter finds several figures that differ.
    """
    if not row.reported:
        return ""
    values = {
        figure.value
        for figure in figures
        if figure.metric == "word_accuracy"
        and figure.split == split
        and (split or figure.dataset == dataset)
        and all(getattr(figure, name) == value for name, value in row.reported.items())
    }
    if len(values) > 1:
        raise StrbenchError(
            f"{row.label}: {len(values)} reported figures for {split or dataset}, expected one.",
            hint="Name more columns in the row's filter.",
            exit_code=DATA,
        )
    return values.pop() if values else ""


def _line(
    row: Row,
    runs: Sequence[str],
    entries: Mapping[tuple[str, str], Entry],
    measured: Sequence[str],
    tests: Sequence[str],
    found: Reproduction,
    figures: Sequence[Figure],
) -> Line:
    cells: dict[str, Cell] = {}
    for split in tests:
        own = [entries[run, split] for run in runs if (run, split) in entries]
        interval = own[0].interval("word_accuracy") if len(own) == 1 else None
        cells[split] = Cell(
            values=tuple(v for entry in own if (v := entry.value("word_accuracy")) is not None),
            low=interval[0] if interval else None,
            high=interval[1] if interval else None,
            reported=printed(row, figures, split=split),
        )
    averages = _averages(runs, entries, measured)
    is_whole = tuple(measured) == found.columns and bool(found.average)
    return Line(
        label=row.label,
        runs=tuple(runs),
        cells=cells,
        average=spread(list(averages.values())) if averages else None,
        reported_average=printed(row, figures, split="", dataset=found.average) if is_whole else "",
        gap=None,
    )


def _averages(
    runs: Sequence[str], entries: Mapping[tuple[str, str], Entry], measured: Sequence[str]
) -> dict[str, float]:
    """Run -> its average weighted by words, for the runs that have every measured column."""
    averages = {}
    for run in runs:
        own = [entries[run, split] for split in measured if (run, split) in entries]
        if own and len(own) == len(measured):
            right = sum(entry.total("word_accuracy") or 0 for entry in own)
            averages[run] = right / sum(entry.score.n for entry in own)
    return averages


def _with_gaps(
    lines: Sequence[Line],
    rows: Sequence[Row],
    entries: Mapping[tuple[str, str], Entry],
    measured: Sequence[str],
) -> list[Line]:
    """The lines with the differences that rows ask for, where both rows were measured whole."""
    by_label = {line.label: line for line in lines}
    gaps: dict[str, Gap] = {}
    for row in rows:
        if row.against in by_label:
            first = _averages(by_label[row.label].runs, entries, measured)
            second = _averages(by_label[row.against].runs, entries, measured)
            gap = _gap(row.against, first, second, entries, measured)
            if gap is not None:
                gaps[row.label] = gap
    corrected = holm({label: gap.p for label, gap in gaps.items()})
    return [
        replace(line, gap=replace(gaps[line.label], p=corrected[line.label]))
        if line.label in gaps
        else line
        for line in lines
    ]


def _gap(
    against: str,
    first: Mapping[str, float],
    second: Mapping[str, float],
    entries: Mapping[tuple[str, str], Entry],
    measured: Sequence[str],
) -> Gap | None:
    if not first or not second:
        return None
    if min(len(first), len(second)) > 1:
        return Gap(against, *welch(list(first.values()), list(second.values())), test="seeds")
    from strbench.report.compare import outcomes
    from strbench.report.sources import Source

    pair = next(iter(first)), next(iter(second))
    sides: tuple[dict[str, Any], dict[str, Any]] = ({}, {})
    groups: dict[str, Any] = {}
    try:
        for split in measured:
            both = outcomes([Source.of(entries[run, split]) for run in pair])
            groups[split] = both.groups
            for side, correct in zip(sides, both.correct, strict=True):
                side[split] = correct
    except StrbenchError:  # a split or prediction file is not what the records describe: no test
        return None
    return Gap(against, *paired_difference(*sides, groups), test="words")


def _notes(
    found: Reproduction,
    chosen: Scale,
    steps: Sequence[Step],
    lines: Sequence[Line],
    missing: Sequence[str],
    *,
    rendered: bool,
) -> list[str]:
    notes = [f"Scale: {chosen.title}.", *_data_notes(chosen, steps)]
    if rendered:
        notes.append("Words drawn by strbench: no figure of a paper stands beside them.")
    elif any(cell.reported for line in lines for cell in line.cells.values()):
        notes.append(f"Reported: {found.source}; measured at the paper's scale, not at this one.")
    else:
        notes.append(f"Reported: no figure of {found.source} is kept for these rows and sets.")
    here = {row.label for row in chosen.rows or found.rows}
    without = [row.label for row in found.rows if row.label not in here]
    if without:
        notes.append(f"Rows that this scale does not have: {'; '.join(without)}.")
    if missing:
        names = " ".join(missing)
        notes.append(f"Not prepared: {', '.join(missing)}. To bring: strbench data fetch {names}")
    sampled = {line.gap.test for line in lines if line.gap is not None}
    if any(len(cell.values) > 1 for line in lines for cell in line.cells.values()):
        notes.append("Mean ± standard deviation over seeds (n - 1), each with its own pretraining.")
    if any(cell.low is not None for line in lines for cell in line.cells.values()):
        notes.append("In square brackets the 95 % interval of a single run over the test words.")
    if "seeds" in sampled:
        notes.append(
            "Difference of the averages: Welch's t-test over seeds on these very words, p-values "
            "Holm-corrected."
        )
    if "words" in sampled:
        notes.append(
            "Difference of the averages: paired bootstrap over words of a single pair of runs, which "
            "says nothing of other seeds; p-values Holm-corrected."
        )
    return notes + [note for note in (chosen.note, found.note) if note]


def _data_notes(chosen: Scale, steps: Sequence[Step]) -> list[str]:
    """What the runs were trained on, in words."""
    parts: dict[str, dict[str, None]] = {}
    for step in steps:
        parts.setdefault(step.does, {}).update(dict.fromkeys(step.data))
        parts.setdefault("without labels", {}).update(dict.fromkeys(step.unlabelled))
    notes = [f"{what}: {' + '.join(names)}" for what, names in parts.items() if names]
    used = {name for names in parts.values() for name in names}
    optional = [n[:-1] for names in chosen.data.values() for n in names if n.endswith("?")]
    left = sorted({name for name in optional if name not in used})
    told = [f"Trained on: {'; '.join(notes)}."] if notes else []
    return told + (
        [f"Left out of the training data, not prepared: {', '.join(left)}."] if left else []
    )


def as_rows(made: Rebuilt) -> list[dict[str, str]]:
    """The table as texts, one dictionary a row, measured and reported columns side by side."""
    rows = []
    has_gaps = any(line.gap for line in made.lines)
    for line in made.lines:
        row = {"row": line.label}
        for column in made.columns:
            cell = line.cells[column.split]
            row[column.head] = _measured(cell, made.seeds)
            if not made.rendered:
                row[f"{Column(column.split, None).head} reported"] = cell.reported or MISSING
        if len(made.columns) > 1:
            row["average"] = _spread(line.average, made.seeds) if line.average else MISSING
            if not made.rendered and any(one.reported_average for one in made.lines):
                row["average reported"] = line.reported_average or MISSING
        if has_gaps:
            row["difference"] = _difference(line.gap) if line.gap else MISSING
        rows.append(row)
    return rows


_ACC = METRICS["word_accuracy"]


def _measured(cell: Cell, seeds: int) -> str:
    if not cell.values:
        return MISSING
    text = _spread(spread(cell.values), seeds)
    if cell.low is not None and cell.high is not None:
        text += f" [{_ACC.text(cell.low)}, {_ACC.text(cell.high)}]"
    return text


def _spread(found: Spread, seeds: int) -> str:
    text = _ACC.text(found.mean) + (f" ± {_ACC.text(found.sd)}" if found.sd is not None else "")
    return text if found.n == seeds else f"{text} ({found.n})"


def _difference(gap: Gap) -> str:
    ends = f"[{100 * gap.low:+.1f}, {100 * gap.high:+.1f}]"
    p = "p < 0.001" if gap.p < 1e-3 else f"p {gap.p:.3f}"
    return f"{100 * gap.value:+.1f} {ends} {p} against {gap.against}"


def markdown(made: Rebuilt) -> str:
    """The table and its notes as GitHub Markdown."""
    rows = as_rows(made)
    heads = list(rows[0]) if rows else []
    body = [heads, ["---", *["---:"] * (len(heads) - 1)], *(list(row.values()) for row in rows)]
    lines = [
        "| " + " | ".join(cell if i == 1 else escape_markdown(cell) for cell in row) + " |"
        for i, row in enumerate(body)
    ]
    parts = [f"### {escape_markdown(made.title)}\n", "\n".join(lines) + "\n"]
    return "\n".join([*parts, *(f"{escape_markdown(note)}\n" for note in made.notes)])


def as_json(made: Rebuilt, outcomes: Sequence[Mapping[str, Any]]) -> str:
    """One JSON document: proportions, what became of each step, and the notes."""
    document = {**asdict(made), "steps": list(outcomes)}
    for line in document["lines"]:
        for cell in line["cells"].values():
            found = spread(cell["values"]) if cell["values"] else None
            cell |= {"mean": found.mean if found else None, "sd": found.sd if found else None}
        average = line["average"]
        line["average"] = dict(zip(Spread._fields, average, strict=True)) if average else None
    return json.dumps(document, ensure_ascii=False, indent=1) + "\n"
