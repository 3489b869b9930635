"""Entries -> tables: which suites, which columns, averages, and what is bold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import replace
from typing import get_args

from strbench import registry
from strbench.errors import StrbenchError, unknown_name
from strbench.lexicons import Kind as Lexicon
from strbench.records import Record
from strbench.region_protocol_table import ROWS
from strbench.report.choosing import SuiteLike, chosen, grouped, with_lexicon
from strbench.report.frame import METRICS, NO_LEXICON, PER_SAMPLE, Entry, Metric, Omission, select
from strbench.report.layout import Cell, Column, Line, Report, Table
from strbench.report.reported import Figure, load_reported
from strbench.report.seeds import Pooled, models_of, pool, seed_notes, unpooled
from strbench.report.ties import WELCH, leader
from strbench.report.welch import spread

AS_PRINTED = "as printed in the papers"  # of a table without a measured row
READING = frozenset(row["name"] for row in ROWS if row.get("texts"))  # protocols of spotting


def build(
    records: Iterable[Record],
    *,
    suite: str | None = None,
    protocol: str | None = None,
    models: Sequence[str] | None = None,
    metric: Metric = "word_accuracy",
    reported: bool = False,
    paired: bool = True,
    over_seeds: bool = False,
) -> Report:
    """One table per suite and protocol, real suites first; rendered and real never share one.

    The sets of a suite that names a rule for each stand in one table.

    Args:
        records: the runs to choose from.
        suite: a suite's name, shown with reported figures alone where nothing is measured;
            otherwise the largest suites that hold a measured split, and a table for the splits of
            no suite.
        protocol: only this one.
        models: only these names.
        metric: what the cells show.
        reported: whether figures printed in papers stand below the measured rows.
        paired: look for ties with paired tests where prediction files and splits are at hand; the
            tables that ship with strbench must not depend on that.
        over_seeds: whether runs that differ in nothing but the training seed stand in one row.

    Raises:
        StrbenchError: the suite, the protocol or a model is unknown.
    """
    runs = list(records)
    suites: Mapping[str, SuiteLike] = registry.table("suites")
    if suite is not None and suite not in suites:
        raise unknown_name("suite", suite, suites, hint="See: strbench list suites")
    for name in models or ():
        known = {record.name for record in runs}
        if name not in known and not reported:
            scored = {record.name for record in runs if record.scores}
            raise unknown_name("scored model among the run records", name, scored)
    selection = select(runs, protocol=protocol, models=models)
    if protocol is not None and not selection.entries and runs:
        known = {score.protocol for record in runs for score in record.scores}
        if known and protocol not in known:
            raise unknown_name("protocol among the run records", protocol, known)
    figures = [f for f in load_reported() if f.split] if reported else []
    if models is not None:
        figures = [figure for figure in figures if figure.method in models]
    tables: list[Table] = []
    omissions = list(selection.omissions)
    for group in grouped(suites, suite, selection.entries):
        pooled = pool(group.entries, runs) if over_seeds else unpooled(group.entries)
        omissions += pooled.omissions
        entries = [entry for row in pooled.rows.values() for entry in row]
        own = _metric_of(entries, metric)
        tables += [
            _table(
                key,
                columns,
                group.rule,
                pooled,
                metric=own,
                figures=figures,
                lexicon=group.lexicon,
                paired=paired,
                whole=suite is not None,
            )
            for key, columns in chosen(group.suites, suite, entries)
        ]
    if suite is not None and not tables and figures and not suites[suite].rendered:
        printed = {f.metric for f in figures if f.split in suites[suite].splits}
        for lexicon in (NO_LEXICON, *get_args(Lexicon)):
            table = _table(
                suite,
                suites[suite],
                with_lexicon(AS_PRINTED, lexicon),
                unpooled([]),
                metric=_metric_of([], metric, printed=printed),
                figures=figures,
                lexicon=lexicon,
                paired=paired,
                whole=True,
            )
            tables += [table] if table.lines else []
    tables.sort(key=lambda table: table.rendered)
    if suite is not None:
        splits = set(suites[suite].splits)
        omissions = [
            o for o in omissions if _splits_of(o, runs) & splits or not _splits_of(o, runs)
        ]
    return Report(tuple(tables), tuple(omissions))


def _metric_of(
    entries: Sequence[Entry], wanted: Metric, *, printed: Set[str] = frozenset()
) -> Metric:
    """The metric that a protocol's tables show: the wanted one, or what its task has in its place."""
    order: tuple[Metric, ...] = (wanted, "hmean", "psnr", "fg_iou", "word_crop_iou")
    found = (m for m in order if m in printed or any(e.value(m) is not None for e in entries))
    return next(found, wanted)


def _splits_of(omission: Omission, records: Sequence[Record]) -> set[str]:
    if omission.split:
        return {omission.split}
    for record in records:
        if record.path == omission.path:
            return {s.split for s in record.scores} | {d.split for d in record.data}
    return set()


def _table(
    name: str,
    suite: SuiteLike,
    protocol: str,
    pooled: Pooled,
    *,
    metric: Metric,
    figures: Sequence[Figure],
    lexicon: str,
    paired: bool,
    whole: bool,
) -> Table:
    """The table of a suite: of all its sets, or without ``whole`` of those that were measured."""
    measured_here = {entry.score.split for row in pooled.rows.values() for entry in row}
    missing = [] if whole else [s for s in suite.splits if s not in measured_here]
    splits = tuple(s for s in suite.splits if s not in missing)
    rows = {
        row: kept
        for row, entries in pooled.rows.items()
        if (kept := [e for e in entries if e.score.split in splits and e.value(metric) is not None])
    }
    here = [entry for entries in rows.values() for entry in entries]
    for entry in here:
        if entry.score.rendered is not suite.rendered:
            raise StrbenchError(
                f"{entry.record.path} calls {entry.score.split} "
                f"{'rendered' if entry.score.rendered else 'real'}, but the suite {name or 'other'!r} "
                f"holds {'rendered' if suite.rendered else 'real'} sets.",
                hint="Rendered and real sets never share a table: move the record away.",
            )
    by_split: dict[str, dict[str, list[Entry]]] = {split: {} for split in splits}
    for row, entries in rows.items():
        for entry in entries:
            by_split[entry.score.split].setdefault(row, []).append(entry)
    leaders = {split: leader(rivals, metric, paired=paired) for split, rivals in by_split.items()}
    columns = tuple(Column(s, _size(by_split[s])) for s in splits)
    measured = [
        Line(
            model=row,
            source="measured",
            cells={
                split: _cell(rivals[row], metric, is_bold=leaders[split].winner == row)
                for split, rivals in by_split.items()
                if row in rivals
            },
            seeds=len(models_of(entries)),
        )
        for row, entries in rows.items()
    ]
    if not missing:
        measured = [_averaged(line, columns, rows[line.model], metric) for line in measured]
    # Rows with every column first, best first; the others below them by name.
    measured.sort(
        key=lambda row: (
            row.plain is None,
            -(row.weighted if row.weighted is not None else row.plain or 0.0),
            row.model,
        )
    )
    if len(columns) == 1:
        measured.sort(key=lambda row: -row.cells[splits[0]].value)
    quoted = []
    if not suite.rendered:
        rules = {entry.score.protocol for entry in here} or set(suite.protocols.values())
        printed = _printed_metric(metric, rules, lexicon)
        quoted = _reported_lines(figures, splits, printed, METRICS[metric].scale, here)
    notes = [suite.note] if suite.note else []
    if missing:
        names = ", ".join(Column(split, None).head for split in missing)
        notes.append(f"Not measured: {names}; an average would need all sets of the suite.")
    notes += seed_notes(measured, pooled.notes)
    if measured and any(len(rivals) > 1 for rivals in by_split.values()):
        notes.append(_tie_note(frozenset().union(*(leaders[s].methods for s in splits))))
    if quoted:
        notes.append(
            "Reported rows are printed figures under their own papers' protocols; they take no part "
            "in order, averages, ties or bold."
        )
    ordered = [e for s in splits for entries in by_split[s].values() for e in entries]
    return Table(
        suite=name,
        title=_title(suite),
        protocol=protocol,
        metric=metric,
        rendered=suite.rendered,
        columns=columns,
        lines=tuple(measured + quoted),
        signatures=tuple(dict.fromkeys(_signature(entry, metric) for entry in ordered)),
        notes=tuple(notes),
    )


def _size(rivals: Mapping[str, Sequence[Entry]]) -> int | None:
    return next((entries[0].score.n for entries in rivals.values()), None)


def _cell(entries: Sequence[Entry], metric: Metric, *, is_bold: bool) -> Cell:
    """The figure of a row on a split: of one run with its interval, of several with their spread."""
    found = spread([value for e in entries if (value := e.value(metric)) is not None])
    first = entries[0]
    interval = first.interval(metric) if len(entries) == 1 else None
    return Cell(
        value=found.mean,
        sd=found.sd,
        seeds=found.n,
        low=interval[0] if interval else None,
        high=interval[1] if interval else None,
        total=first.total(metric) if len(entries) == 1 else None,
        n=first.score.n,
        is_bold=is_bold,
        run_id=" ".join(entry.record.run_id for entry in entries),
        signature=_signature(first, metric),
    )


def _signature(entry: Entry, metric: Metric) -> str:
    """The signature of the figure shown: a record holds that of its word accuracy."""
    text = entry.score.signature
    return text if metric != "one_minus_ned" else f"1-ned|{text.removeprefix('wacc|')}"


def _title(suite: SuiteLike) -> str:
    is_said = not suite.rendered or "rendered" in suite.title.lower()
    return suite.title if is_said else f"{suite.title} (rendered)"


def _averaged(
    line: Line, columns: Sequence[Column], entries: Sequence[Entry], metric: Metric
) -> Line:
    """The line with its averages over those of its runs that have every column of several."""
    if len(columns) < 2:
        return line
    weighted: list[float] = []
    plain: list[float] = []
    for model in models_of(entries):
        own = {entry.score.split: entry for entry in entries if entry.model == model}
        if any(column.split not in own for column in columns):
            continue
        if metric not in PER_SAMPLE:
            plain.append(sum(own[c.split].value(metric) or 0.0 for c in columns) / len(columns))
            continue
        sizes = [own[column.split].score.n for column in columns]
        totals = [own[column.split].total(metric) or 0 for column in columns]
        weighted.append(sum(totals) / sum(sizes))
        plain.append(sum(t / n for t, n in zip(totals, sizes, strict=True)) / len(columns))
    if not plain:
        return line
    both = spread(weighted or plain), spread(plain)
    return replace(
        line,
        weighted=both[0].mean if weighted else None,
        plain=both[1].mean,
        spreads=both if line.seeds > 1 else None,
    )


def _printed_metric(metric: Metric, rules: Set[str], lexicon: str) -> str:
    """What printed figures call the metric of a table, "" where they have nothing of the kind.

    A printed P, R or F is of finding text, and may not stand where what was read counts too.
    """
    if metric in ("precision", "recall", "hmean") and rules & READING:
        return f"e2e_{lexicon}" if metric == "hmean" else ""
    return metric if lexicon == NO_LEXICON else ""


def _reported_lines(
    figures: Sequence[Figure],
    splits: Sequence[str],
    metric: str,
    scale: int,
    here: Sequence[Entry],
) -> list[Line]:
    # Printed words are letters and digits without case: nothing else may stand above them.
    if metric in ("word_accuracy", "one_minus_ned") and not all(
        {"case:lower", "chars:36"} <= set(entry.score.signature.split("|")) for entry in here
    ):
        return []
    lines: dict[tuple[str, str], dict[str, Cell]] = {}
    for figure in figures:
        if figure.split in splits and figure.metric == metric:
            key = (figure.label, f"reported, {figure.citation}")
            cell = Cell(value=float(figure.value) / scale, printed=figure.value)
            lines.setdefault(key, {})[figure.split] = cell
    return [Line(model, source, cells) for (model, source), cells in sorted(lines.items())]


def _tie_note(methods: frozenset[str]) -> str:
    named = [m for m in ("paired test", "overlapping intervals") if m in methods]
    ways = [" and, where prediction files are not at hand, by ".join(named)] if named else []
    if WELCH in methods:
        ways.append(f"{WELCH} between rows of several seeds (no other row can lead there)")
    return (
        "Bold: the best of a column where no other row ties with it; ties by "
        f"{' and by '.join(ways)} (95 %)."
    )
