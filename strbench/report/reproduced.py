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
from strbench.report.frame import METRICS, Entry, Metric, Shown, select
from strbench.report.gaps import Gap, averages, differences
from strbench.report.layout import Column
from strbench.report.render import MISSING, escape_markdown
from strbench.report.reported import Figure, load_reported
from strbench.report.welch import Spread, spread
from strbench.reproductions import Reproduction, Row, Scale, Step, is_drawn, rows_at, run_name


@dataclass(frozen=True, slots=True)
class Cell:
    """What a row scored on a split, a value a seed, and the figure that was printed."""

    values: tuple[float, ...]
    low: float | None  # 95 % interval of one seed
    high: float | None
    reported: str  # with the digits that were printed; "" without one


@dataclass(frozen=True, slots=True)
class Line:
    """One row; ``average`` is weighted by the samples of the measured columns."""

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
    metric: Metric
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
    *,
    metric: Metric = "word_accuracy",
) -> Rebuilt:
    """The table of what the runs of a plan scored.

    Args:
        metric: what the cells show, one of the table's.
        steps: the plan; rows that it does not have are left out.
        weights: run -> SHA-256 of its weights as they are. Scores of other weights and other runs do
            not count.
    """
    evaluations = [step for step in steps if step.does == "eval"]
    labels = {label for step in evaluations for label in step.rows}
    rows = [row for row in rows_at(found, chosen) if row.label in labels]
    seeds = sorted({step.seed for step in evaluations})
    tests = chosen.splits or found.columns
    records = list(records)
    whole = [r for r in records if r.name in weights and _is_of(r, weights[r.name])]
    entries = {
        (entry.model, entry.score.split): entry
        for entry in select(whole).entries
        if entry.score.split in tests
        and entry.score.protocol == found.rule(entry.score.split)
        and entry.value(metric) is not None
    }
    runs = {row.label: [run_name(table, scale, row.run, seed) for seed in seeds] for row in rows}
    measured = [split for split in tests if any(known == split for _, known in entries)]
    rendered = any(entry.score.rendered for entry in entries.values()) or _are_drawn(tests)
    figures = [] if rendered else load_reported()
    figures = [figure for figure in figures if figure.metric == metric]
    lines = [
        _line(row, runs[row.label], entries, measured, tests, found, figures, metric)
        for row in rows
    ]
    gaps = differences(rows, runs, entries, measured, metric)
    lines = [replace(line, gap=gaps.get(line.label)) for line in lines]
    protocol = " and ".join(dict.fromkeys(found.rule(split) for split in measured or tests))
    sizes = {split: entry.score.n for (_, split), entry in entries.items()}
    missing = tuple(dict.fromkeys(split for step in evaluations for split in step.missing))
    return Rebuilt(
        table=table,
        scale=scale,
        title=f"{found.title}, scale {scale}: {METRICS[metric].title}, protocol {protocol}",
        protocol=protocol,
        metric=metric,
        seeds=len(seeds),
        rendered=rendered,
        columns=tuple(Column(split, sizes[split]) for split in measured),
        missing=missing,
        lines=tuple(lines),
        notes=tuple(
            _notes(found, chosen, steps, lines, missing, _drawn(steps, records), rendered=rendered)
        ),
    )


def _is_of(record: Record, sha256: str) -> bool:
    return record.weights is not None and record.weights.sha256 == sha256


def _are_drawn(splits: Sequence[str]) -> bool:
    return all(is_drawn(split) for split in splits)


def printed(row: Row, figures: Iterable[Figure], *, split: str, dataset: str = "") -> str:
    """The figure that a paper prints for a row on a split, or for ``dataset`` where no split is named.

    Args:
        figures: of one metric.

    Raises:
        StrbenchError: the row's filter finds several figures that differ.
    """
    if not row.reported:
        return ""
    values = {
        figure.value
        for figure in figures
        if figure.split == split
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
    metric: Metric,
) -> Line:
    cells: dict[str, Cell] = {}
    for split in tests:
        own = [entries[run, split] for run in runs if (run, split) in entries]
        interval = own[0].interval(metric) if len(own) == 1 else None
        cells[split] = Cell(
            values=tuple(v for entry in own if (v := entry.value(metric)) is not None),
            low=interval[0] if interval else None,
            high=interval[1] if interval else None,
            reported=printed(row, figures, split=split),
        )
    by_run = averages(runs, entries, measured, metric)
    is_whole = tuple(measured) == found.columns and bool(found.average)
    return Line(
        label=row.label,
        runs=tuple(runs),
        cells=cells,
        average=spread(list(by_run.values())) if by_run else None,
        reported_average=printed(row, figures, split="", dataset=found.average) if is_whole else "",
        gap=None,
    )


def _notes(
    found: Reproduction,
    chosen: Scale,
    steps: Sequence[Step],
    lines: Sequence[Line],
    missing: Sequence[str],
    drawn: Mapping[str, Sequence[int]],
    *,
    rendered: bool,
) -> list[str]:
    notes = [f"Scale: {chosen.title}.", *_data_notes(chosen, steps)]
    if drawn:
        said = (f"strbench data draw {split} -n {n}" for split in drawn for n in drawn[split])
        notes.append(f"Drawn for the training: {'; '.join(said)}")
    if rendered:
        notes.append("Images drawn by strbench: no figure of a paper stands beside them.")
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
        seeds = max(len(line.runs) for line in lines)
        notes.append(
            f"Mean ± standard deviation over {seeds} seeds (n - 1), each with its own pretraining."
        )
        if any(0 < len(cell.values) < seeds for line in lines for cell in line.cells.values()):
            notes.append("Behind a figure of fewer seeds their number stands in round brackets.")
    if any(cell.low is not None for line in lines for cell in line.cells.values()):
        notes.append("In square brackets the 95 % interval of a single run over the test samples.")
    if "seeds" in sampled:
        notes.append(
            "Difference of the averages: Welch's t-test over seeds on these very samples, p-values "
            "Holm-corrected."
        )
    if "samples" in sampled:
        notes.append(
            "Difference of the averages: paired bootstrap over samples of a single pair of runs, which "
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


def _drawn(steps: Sequence[Step], records: Iterable[Record]) -> dict[str, list[int]]:
    """Split that strbench draws -> how many samples of it the runs of a plan were trained on."""
    names = {step.run for step in steps}
    used = {
        (data.split, data.n)
        for record in records
        if record.kind in ("pretrain", "finetune") and record.name in names
        for data in record.data
        if is_drawn(data.split)
    }
    return {split: sorted(n for s, n in used if s == split) for split, _ in sorted(used)}


def as_rows(made: Rebuilt) -> list[dict[str, str]]:
    """The table as texts, one dictionary a row, measured and reported columns side by side."""
    rows = []
    has_gaps = any(line.gap for line in made.lines)
    for line in made.lines:
        row = {"row": line.label}
        for column in made.columns:
            cell = line.cells[column.split]
            row[column.head] = _measured(cell, METRICS[made.metric], made.seeds)
            if not made.rendered:
                row[f"{Column(column.split, None).head} reported"] = cell.reported or MISSING
        if len(made.columns) > 1:
            row["average"] = (
                _spread(line.average, METRICS[made.metric], made.seeds) if line.average else MISSING
            )
            if not made.rendered and any(one.reported_average for one in made.lines):
                row["average reported"] = line.reported_average or MISSING
        if has_gaps:
            row["difference"] = _difference(line.gap, METRICS[made.metric]) if line.gap else MISSING
        rows.append(row)
    return rows


def _measured(cell: Cell, shown: Shown, seeds: int) -> str:
    if not cell.values:
        return MISSING
    text = _spread(spread(cell.values), shown, seeds)
    if cell.low is not None and cell.high is not None:
        text += f" [{shown.text(cell.low)}, {shown.text(cell.high)}]"
    return text


def _spread(found: Spread, shown: Shown, seeds: int) -> str:
    text = shown.text(found.mean) + (f" ± {shown.text(found.sd)}" if found.sd is not None else "")
    return text if found.n == seeds else f"{text} ({found.n})"


def _difference(gap: Gap, shown: Shown) -> str:
    ends = f"[{shown.signed(gap.low)}, {shown.signed(gap.high)}]"
    p = "p < 0.001" if gap.p < 1e-3 else f"p {gap.p:.3f}"
    return f"{shown.signed(gap.value)} {ends} {p} against {gap.against}"


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


def as_document(made: Rebuilt) -> dict[str, Any]:
    """The table as an object ready for JSON: values in the metric's unit, proportions where it is %."""
    document = asdict(made)
    for line in document["lines"]:
        for cell in line["cells"].values():
            found = spread(cell["values"]) if cell["values"] else None
            cell |= {"mean": found.mean if found else None, "sd": found.sd if found else None}
        average = line["average"]
        line["average"] = dict(zip(Spread._fields, average, strict=True)) if average else None
    return document


def as_json(tables: Sequence[Rebuilt], outcomes: Sequence[Mapping[str, Any]]) -> str:
    """One JSON document: the table, or a list of them, one a metric; and what became of each step."""
    documents = [as_document(made) for made in tables]
    head = documents[0] if len(documents) == 1 else {"tables": documents}
    return json.dumps({**head, "steps": list(outcomes)}, ensure_ascii=False, indent=1) + "\n"
