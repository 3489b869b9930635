"""Tables -> text for a terminal, Markdown, LaTeX, CSV and JSON. Nothing is decided here."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from strbench.report.frame import METRICS, Shown
from strbench.report.layout import Cell, Line, Report, Table
from strbench.report.welch import Spread

if TYPE_CHECKING:
    from rich.console import RenderableType

MISSING = "–"
AVERAGES = ("weighted avg", "plain avg")


def _figure(cell: Cell | None, shown: Shown, *, intervals: bool, seeds: int) -> str:
    if cell is None:
        return MISSING
    if cell.printed:
        return cell.printed
    text = _with_spread(Spread(cell.value, cell.sd, cell.seeds), shown, seeds)
    if intervals and cell.low is not None and cell.high is not None:
        text += f" [{shown.text(cell.low)}, {shown.text(cell.high)}]"
    return text


def _with_spread(found: Spread, shown: Shown, seeds: int) -> str:
    """Mean ± sd; the number of seeds in brackets where it is not the row's."""
    text = shown.text(found.mean)
    if found.sd is not None:
        text += f" ± {shown.text(found.sd)}"
    return text if found.n == seeds else f"{text} ({found.n})"


def _averages(table: Table, line: Line) -> list[str]:
    shown = METRICS[table.metric]
    if line.spreads is not None:
        texts = [_with_spread(found, shown, line.seeds) for found in line.spreads]
    else:
        values = (line.weighted, line.plain)
        texts = [MISSING if value is None else shown.text(value) for value in values]
    return texts if table.is_weighted else texts[1:]


def _heads(table: Table) -> list[str]:
    heads = ["model"] + (["seeds"] if table.has_seeds else [])
    heads += [column.head for column in table.columns]
    if table.has_averages:
        heads += AVERAGES if table.is_weighted else AVERAGES[1:]
    return heads + (["source"] if table.has_reported else [])


def _numeric(table: Table) -> int:
    """How many columns, behind the first, hold numbers."""
    return table.has_seeds + len(table.columns) + table.has_averages * (1 + table.is_weighted)


def _body(table: Table, line: Line, *, intervals: bool) -> list[tuple[str, bool]]:
    """The texts of a row, each with whether it is bold."""
    texts: list[tuple[str, bool]] = [(line.model, False)]
    if table.has_seeds:
        texts.append((str(line.seeds) if line.is_measured else MISSING, False))
    for column in table.columns:
        cell = line.cells.get(column.split)
        text = _figure(cell, METRICS[table.metric], intervals=intervals, seeds=line.seeds)
        texts.append((text, cell is not None and cell.is_bold))
    if table.has_averages:
        texts += [(text, False) for text in _averages(table, line)]
    if table.has_reported:
        texts.append((line.source, False))
    return texts


def _caption(table: Table) -> str:
    return f"{table.title}: {METRICS[table.metric].title}, protocol {table.protocol}"


def escape_markdown(text: str) -> str:
    """``text`` with every character that Markdown reads as markup made harmless."""
    for character in "\\`*_|<>":
        text = text.replace(character, "\\" + character)
    return text


def markdown(report: Report, *, intervals: bool = False) -> str:
    """Every table with its notes and signatures as GitHub Markdown, and what was left out."""
    parts: list[str] = []
    for table in report.tables:
        heads = [escape_markdown(head) for head in _heads(table)]
        numeric = _numeric(table)
        rule = ["---", *["---:"] * numeric, *(["---"] if table.has_reported else [])]
        rows = [heads, rule]
        for line in table.lines:
            texts = [
                f"**{text}**" if bold else escape_markdown(text)
                for text, bold in _body(table, line, intervals=intervals)
            ]
            rows.append(texts)
        parts.append(f"### {escape_markdown(_caption(table))}\n")
        parts.append("\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n")
        parts.extend(f"{escape_markdown(note)}\n" for note in table.notes)
        if table.signatures:
            parts.append("Signatures:\n")
            parts.append("\n".join(f"- `{text}`" for text in table.signatures) + "\n")
    if sentence := report.left_out():
        parts.append(escape_markdown(sentence) + "\n")
    return "\n".join(parts)


_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "–": "--",
    "×": r"$\times$",
    "±": r"$\pm$",
}


def escape_latex(text: str) -> str:
    """``text`` with every character that LaTeX reads as a command made harmless.

    >>> print(escape_latex("ic15_1811 & 50 %"))
    ic15\\_1811 \\& 50 \\%
    """
    return "".join(_LATEX.get(character, character) for character in text)


def latex(report: Report, *, intervals: bool = False) -> str:
    """Every table as a LaTeX ``table`` with booktabs rules; the notes and signatures below it."""
    parts = ["% needs \\usepackage{booktabs}"]
    for table in report.tables:
        numeric = _numeric(table)
        layout = "l" + "r" * numeric + ("l" if table.has_reported else "")
        lines = [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{escape_latex(_caption(table))}}}",
            rf"\begin{{tabular}}{{{layout}}}",
            r"\toprule",
            " & ".join(escape_latex(head) for head in _heads(table)) + r" \\",
            r"\midrule",
        ]
        was_measured = True
        for line in table.lines:
            if was_measured and not line.is_measured:
                lines.append(r"\midrule")
            was_measured = line.is_measured
            texts = [
                rf"\textbf{{{escape_latex(text)}}}" if bold else escape_latex(text)
                for text, bold in _body(table, line, intervals=intervals)
            ]
            lines.append(" & ".join(texts) + r" \\")
        lines += [r"\bottomrule", r"\end{tabular}"]
        below = [*table.notes, *table.signatures]
        lines += [rf"\par\footnotesize {escape_latex(text)}" for text in below]
        lines.append(r"\end{table}")
        parts.append("\n".join(lines))
    if sentence := report.left_out():
        parts.append(f"% {sentence}")
    return "\n\n".join(parts) + "\n"


def _cells(report: Report) -> list[dict[str, Any]]:
    rows = []
    for table in report.tables:
        for line in table.lines:
            for column in table.columns:
                cell = line.cells.get(column.split)
                if cell is None:
                    continue
                rows.append(
                    {
                        "suite": table.suite,
                        "protocol": table.protocol,
                        "metric": table.metric,
                        "rendered": table.rendered,
                        "model": line.model,
                        "kind": "measured" if line.is_measured else "reported",
                        "source": line.source,
                        "split": column.split,
                        "total": cell.total,
                        "n": cell.n,
                        "value": cell.value,
                        "sd": cell.sd,
                        "seeds": cell.seeds,
                        "low": cell.low,
                        "high": cell.high,
                        "is_bold": cell.is_bold,
                        "run_id": cell.run_id,
                        "signature": cell.signature,
                    }
                )
    return rows


_COLUMNS = (
    "suite", "protocol", "metric", "rendered", "model", "kind", "source", "split",
    "total", "n", "value", "sd", "seeds", "low", "high", "is_bold", "run_id", "signature",
)  # fmt: skip


def comma_separated(report: Report) -> str:
    """Every filled cell as one row of CSV: counts as integers, values as proportions."""
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(_cells(report))
    return text.getvalue()


def _spreads(line: Line) -> dict[str, Any]:
    """What the averages of several seeds have besides."""
    if line.spreads is None:
        return {}
    weighted, plain = line.spreads
    return {"weighted_sd": weighted.sd, "plain_sd": plain.sd, "seeds": weighted.n}


def as_json(report: Report) -> str:
    """One JSON document: the tables with their cells, and the runs left out with their reasons."""
    cells = _cells(report)
    tables = []
    start = 0
    for table in report.tables:
        size = sum(column.split in line.cells for line in table.lines for column in table.columns)
        tables.append(
            {
                "suite": table.suite,
                "title": table.title,
                "protocol": table.protocol,
                "metric": table.metric,
                "rendered": table.rendered,
                "columns": [{"split": c.split, "n": c.n} for c in table.columns],
                "averages": [
                    {
                        "model": line.model,
                        "weighted": line.weighted,
                        "plain": line.plain,
                        **_spreads(line),
                    }
                    for line in table.lines
                    if line.weighted is not None
                ],
                "cells": cells[start : start + size],
                "signatures": table.signatures,
                "notes": table.notes,
            }
        )
        start += size
    left_out = [
        {
            "model": omission.model,
            "run_id": omission.run_id,
            "record": omission.path.name,
            "split": omission.split or None,
            "reason": omission.reason,
        }
        for omission in report.omissions
    ]
    return json.dumps({"tables": tables, "left_out": left_out}, ensure_ascii=False, indent=1) + "\n"


def terminal(report: Report, *, intervals: bool = False) -> Sequence[RenderableType]:
    """The tables and their notes as rich renderables."""
    from rich.table import Table as RichTable
    from rich.text import Text

    parts: list[RenderableType] = []
    for table in report.tables:
        drawn = RichTable(title=Text(_caption(table)), title_justify="left")
        for i, head in enumerate(_heads(table)):
            is_text = i == 0 or head == "source"
            drawn.add_column(Text(head), justify="left" if is_text else "right", overflow="fold")
        was_measured = True
        for line in table.lines:
            if was_measured and not line.is_measured:
                drawn.add_section()
            was_measured = line.is_measured
            drawn.add_row(
                *(
                    Text(text, style="bold" if bold else "")
                    for text, bold in _body(table, line, intervals=intervals)
                ),
                style="" if line.is_measured else "dim",
            )
        parts.append(drawn)
        parts.extend(Text(note) for note in table.notes)
        parts.extend(Text(signature, style="dim") for signature in table.signatures)
        parts.append(Text(""))
    if sentence := report.left_out():
        parts.append(Text(sentence))
    return parts
