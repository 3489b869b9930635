"""What ``eval`` and ``score`` print of restored images and masks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from strbench.cli.console import only_first, print_json, print_table, say

if TYPE_CHECKING:
    from strbench.records import Record


def show_images(finished: Sequence[Record], *, as_json: bool) -> None:
    """The figures on stdout: a table a protocol with its signatures, or one JSON document.

    The document is the record, or a list of them where there are several.
    """
    from strbench.report.frame import METRICS

    if as_json:
        documents = [record.to_json() for record in finished]
        print_json(documents[0] if len(documents) == 1 else documents)
        return
    pairs = [(record, score) for record in finished for score in record.scores]
    for protocol in dict.fromkeys(score.protocol for _, score in pairs):
        rows: list[dict[str, Any]] = []
        for record, score in pairs:
            if score.protocol != protocol:
                continue
            row: dict[str, Any] = {
                "model": record.name,
                "split": score.split + (" (rendered)" if score.rendered else ""),
                "images": score.n,
            }
            for metric, shown in METRICS.items():
                if (figure := score.figures.get(metric)) is None:
                    continue
                text = shown.text(figure.value)
                if figure.low is not None and figure.high is not None:
                    text += f" [{shown.text(figure.low)}, {shown.text(figure.high)}]"
                if figure.part is not None:
                    text += f" {figure.part:g}/{figure.whole:g}"
                row[shown.title] = text
            rows.append(row)
        print_table(rows, title=f"scores, protocol {protocol}{only_first(finished[0].limit)}")
    for signature in dict.fromkeys(score.signature for _, score in pairs):
        print(signature)
    for record in finished:
        for reason, count in record.failures.items():
            say(f"{record.name}: {count} x {reason}")
