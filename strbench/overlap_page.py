"""What two splits share as a page with thumbnails, and as rows for a program."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from html import escape
from typing import Any

from PIL import Image

from strbench.loading import decode
from strbench.overlap import COLOUR, CORRELATION, Match, Overlap
from strbench.store import Split

_HEIGHT, _WIDTH = 64, 320  # pixels that a thumbnail fits into

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem;
  color: #1b1f24; background: #fff; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
table { border-collapse: collapse; } td, th { padding: .35rem .9rem .35rem 0; text-align: left;
  border-bottom: 1px solid #e2e5e9; vertical-align: middle; }
td.n { text-align: right; font-variant-numeric: tabular-nums; }
img { display: block; max-width: 100%; } small { color: #667; } .other { color: #b3261e; }
"""


def summary(overlap: Overlap) -> list[dict[str, Any]]:
    """The figures of a report as rows of a table."""
    agreeing, labelled = overlap.labels_agree()
    test = overlap.test.name
    where = "again in it" if overlap.is_self else f"in {overlap.train.name}"
    rows = [
        (f"images of {test}", overlap.test.n),
        (f"... found {where}", overlap.found()),
        ("... with equal pixels", overlap.identical()),
        ("pairs of near-duplicates", len(overlap.matches)),
        ("... with the same label, of those with two", f"{agreeing} of {labelled}"),
        ("pairs near by hash that are none by their pixels", overlap.n_refused),
        ("... of these the same pattern in other colours", overlap.look_alikes),
        (f"blank images of {test}, compared by exact pixels only", overlap.blank_test),
    ]
    if not overlap.is_self:
        rows.append((f"blank images of {overlap.train.name}", overlap.blank_train))
    if overlap.crowded:
        rows.append(("images with over 100 candidates, the nearest looked at", overlap.crowded))
    return [{"what": what, "count": count} for what, count in rows]


def controls(overlap: Overlap) -> list[dict[str, Any]]:
    """What this search finds of its own test images after a change, as rows of a table."""
    return [
        {"test images after": name, "found again": f"{share:.1%}"}
        for name, share in overlap.controls.items()
    ]


def pair_row(overlap: Overlap, match: Match) -> dict[str, Any]:
    """A pair as a row: ids, labels and how alike they are."""
    return {
        "test": overlap.test.ids[match.test],
        "train": overlap.train.ids[match.train],
        "test_label": overlap.test.label(match.test),
        "train_label": overlap.train.label(match.train),
        "distance": match.distance,
        "correlation": round(match.correlation, 4),
        "colour": round(match.colour, 1),
        "identical": match.is_identical,
    }


def to_tsv(overlap: Overlap) -> str:
    """Every pair of near-duplicates, a line each, under a header."""
    columns = (
        *("test", "train", "distance", "correlation", "colour", "identical"),
        *("test_label", "train_label"),
    )
    lines = ["\t".join(columns)]
    for match in overlap.matches:
        row = pair_row(overlap, match)
        cells = ("" if row[c] is None else str(row[c]) for c in columns)
        lines.append("\t".join(" ".join(cell.split()) for cell in cells))
    return "\n".join(lines) + "\n"


def to_html(overlap: Overlap, *, most: int = 200) -> str:
    """The report as one page that needs no other file.

    Args:
        most: pairs shown; those that look least alike come first, since they are to be judged.
    """
    title = f"Near-duplicates in {overlap.test.name}"
    if not overlap.is_self:
        title = f"Images of {overlap.test.name} in {overlap.train.name}"
    shown = sorted(overlap.matches, key=lambda m: m.correlation)[:most]
    parts = [
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{escape(title)}</title>",
        f"<style>{_STYLE}</style><h1>{escape(title)}</h1>",
        f"<p><small>Hashes of 64 bits within {overlap.distance} bits, then a correlation of "
        f"{CORRELATION} or more and mean colours within {COLOUR:g} levels; {escape(_fingerprint(overlap.train))}, "
        f"{escape(_fingerprint(overlap.test))}.</small></p>",
        _table(summary(overlap)),
        "<h2>What this search can find</h2><p>Some 200 images of the test set were changed and "
        "looked for again.</p>",
        _table(controls(overlap)),
        _pairs(overlap, f"Near-duplicates ({len(shown)} of {len(overlap.matches)})", shown),
    ]
    near = overlap.refused[:20]
    parts.append(
        _pairs(overlap, f"Not counted, the nearest {len(near)} of {overlap.n_refused}", near)
    )
    return "\n".join(part for part in parts if part) + "\n"


def _fingerprint(split: Split) -> str:
    return f"{split.name}@{split.fingerprint[:12]}"


def _table(rows: Sequence[dict[str, Any]]) -> str:
    lines = (
        "<tr>"
        + "".join(
            f"<td>{escape(str(cell))}" if i == 0 else f"<td class=n>{escape(str(cell))}"
            for i, cell in enumerate(row.values())
        )
        for row in rows
    )
    return f"<table>{''.join(lines)}</table>" if rows else ""


def _pairs(overlap: Overlap, title: str, matches: Sequence[Match]) -> str:
    if not matches:
        return ""
    head = "".join(
        f"<th>{escape(name)}"
        for name in (overlap.test.name, overlap.train.name, "bits", "correlation", "colour")
    )
    lines = []
    for match in matches:
        row = pair_row(overlap, match)
        same = "equal pixels" if match.is_identical else f"{match.correlation:.3f}"
        is_other = row["test_label"] != row["train_label"]
        cells = (
            _cell(overlap.test, match.test, row["test_label"], is_other=is_other),
            _cell(overlap.train, match.train, row["train_label"], is_other=is_other),
        )
        figures = (match.distance, same, f"{match.colour:.0f}")
        lines.append(f"<tr>{''.join(cells)}{''.join(f'<td class=n>{f}' for f in figures)}")
    return f"<h2>{escape(title)}</h2><table><tr>{head}{''.join(lines)}</table>"


def _cell(split: Split, index: int, label: str | None, *, is_other: bool) -> str:
    image = Image.fromarray(decode(split.image(index)))
    image.thumbnail((_WIDTH, _HEIGHT), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    data = base64.b64encode(buffer.getvalue()).decode()
    text = f"<span{' class=other' if is_other else ''}>{escape(label or '')}</span>"
    return (
        f'<td><img alt="" src="data:image/png;base64,{data}">{text} '
        f"<small>{escape(split.ids[index])}</small>"
    )
