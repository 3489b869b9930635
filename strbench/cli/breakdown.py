"""Counts by word length or by aspect ratio, from the predictions that a record points to."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any

from strbench.cli.console import print_table

if TYPE_CHECKING:
    from strbench.records import Record
    from strbench.store import Split

LONGEST = 15  # characters; the few longer words share the last bin
EDGES = (1.0, 2.0, 3.0, 4.0, 6.0)  # width / height


class By(StrEnum):
    """What words are grouped by."""

    length = "length"
    aspect = "aspect"


def breakdown(record: Record, splits: list[Split], by: By) -> list[dict[str, Any]]:
    """A row per split and bin: bin, n, correct, and the sum of 1-NED, as integers where they are.

    The rows of a split add up to its score in the record.
    """
    from strbench.metrics import recognition
    from strbench.predictions import read_predictions
    from strbench.protocols import protocol
    from strbench.provenance import expand
    from strbench.scoring import score_split

    rows: list[dict[str, Any]] = []
    for entry, split in zip(record.scores, splits, strict=True):
        assert entry.predictions is not None
        read = read_predictions(expand(entry.predictions.path))
        scores = score_split(read, split, protocol(entry.protocol), limit=record.limit)
        n = len(scores.kept)
        bins = (
            recognition.length_bins(split.labels[:n], longest=LONGEST)
            if by is By.length
            else recognition.ratio_bins(_ratios(split, n), EDGES)
        )
        for key, part in recognition.breakdown(scores, bins).items():
            rows.append(
                {
                    "model": record.name,
                    "split": split.name,
                    by.value: _bin_name(by, key),
                    "n": part.n,
                    "correct": part.n_correct,
                    "one_minus_ned_sum": part.similarity_sum,
                }
            )
    return rows


def print_breakdown(rows: list[dict[str, Any]], by: By) -> None:
    """The rows as a table, with shares in percent."""
    shown = [
        {
            **{key: row[key] for key in ("model", "split", by.value, "n", "correct")},
            "Acc": f"{100 * row['correct'] / row['n']:.1f}",
            "1-NED": f"{100 * row['one_minus_ned_sum'] / row['n']:.1f}",
        }
        for row in rows
    ]
    unit = "characters of the label" if by is By.length else "width / height of the crop"
    print_table(shown, title=f"by {by.value} ({unit})")


def _ratios(split: Split, n: int) -> list[float]:
    """Width / height of the first n images, from their headers: no pixel is decoded."""
    import io

    from PIL import Image

    ratios = []
    for i in range(n):
        with Image.open(io.BytesIO(split.image(i))) as image:
            ratios.append(image.width / image.height)
    return ratios


def _bin_name(by: By, key: int) -> str:
    if by is By.length:
        return f"{LONGEST}+" if key == LONGEST else str(key)
    if key == 0:
        return f"under {EDGES[0]:g}"
    return f"{EDGES[-1]:g}+" if key == len(EDGES) else f"{EDGES[key - 1]:g} to {EDGES[key]:g}"
