"""What the verbs print: results to stdout, everything else to stderr, colour on a terminal only."""

from __future__ import annotations

import json
import sys
import time
from typing import Any


def say(text: str) -> None:
    """One line for the person, on stderr."""
    print(text, file=sys.stderr, flush=True)


def print_json(document: Any) -> None:
    """One JSON document on stdout."""
    print(json.dumps(document, indent=2, ensure_ascii=False))


class Progress:
    """A line that counts: redrawn on a terminal, printed now and then elsewhere.

    Elsewhere means a log file or a notebook: one line at a tenth of the way, not a thousand.
    """

    def __init__(self, what: str) -> None:
        self.what = what
        self.is_terminal = sys.stderr.isatty()
        self._last = 0.0
        self._tenth = 0

    def __call__(self, done: int, total: int, detail: str = "") -> None:
        text = f"{self.what} {done}/{total} {detail}".rstrip()
        now = time.monotonic()
        if self.is_terminal:
            if done < total and now - self._last < 0.1:
                return
            self._last = now
            end = "\n" if done == total else ""
            print(f"\r\x1b[2K{text}", end=end, file=sys.stderr, flush=True)
        elif done * 10 // total > self._tenth:
            self._tenth = done * 10 // total
            say(text)


def print_table(rows: list[dict[str, Any]], *, title: str, empty: str = "none") -> None:
    """Rows as a table on stdout: ruled on a terminal, Markdown elsewhere."""
    if not rows:
        print(f"{title}: {empty}")
        return
    columns = list(dict.fromkeys(key for row in rows for key in row))
    cells = [[_cell(row.get(column)) for column in columns] for row in rows]
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.table import Table

        table = Table(title=title, title_justify="left", header_style="bold")
        for column in columns:
            table.add_column(column, overflow="fold")
        for line in cells:
            table.add_row(*line)
        Console().print(table)
        return
    print(f"**{title}**\n")
    print("| " + " | ".join(columns) + " |")
    print("|" + " --- |" * len(columns))
    for line in cells:
        print("| " + " | ".join(text.replace("|", "\\|") for text in line) + " |")
    print()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, dict):
        return ", ".join(f"{key} {item}" for key, item in value.items())
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
