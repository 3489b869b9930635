"""What the verbs print: results to stdout, everything else to stderr, colour on a terminal only."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
import time
from typing import Any, Literal

_counting = False  # a progress line on the terminal is not ended yet


def say(text: str) -> None:
    """One line for the person, on stderr; a progress line that is still counting is ended first.

    Of several processes that torchrun started only the first speaks.
    """
    global _counting
    if os.environ.get("RANK", "0") != "0":
        return
    start = "\n" if _counting else ""
    _counting = False
    print(start + text, file=sys.stderr, flush=True)


def print_json(document: Any) -> None:
    """One JSON document on stdout."""
    print(json.dumps(document, indent=2, ensure_ascii=False))


def command_line(*added: str) -> str:
    """The command as the user typed it, ready to paste, with the words added that it lacks."""
    typed = sys.argv[1:]
    return shlex.join(["strbench", *typed, *(word for word in added if word not in typed)])


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
        global _counting
        text = f"{self.what} {done}/{total} {detail}".rstrip()
        now = time.monotonic()
        if self.is_terminal:
            if done < total and now - self._last < 0.1:
                return
            self._last = now
            _counting = done < total
            width = shutil.get_terminal_size().columns - 1
            end = "" if _counting else "\n"
            print(f"\r\x1b[2K{text[:width]}", end=end, file=sys.stderr, flush=True)
        elif done * 10 // total > self._tenth:
            self._tenth = done * 10 // total
            say(text)


def print_table(rows: list[dict[str, Any]], *, title: str, empty: str = "none") -> None:
    """Rows as a table on stdout: ruled on a terminal, Markdown elsewhere; ``empty`` without any."""
    if not rows:
        print(f"{title}: {empty}")
        return
    columns = list(dict.fromkeys(key for row in rows for key in row))
    cells = [[_cell(row.get(column)) for column in columns] for row in rows]
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(title=Text(title), title_justify="left", header_style="bold")
        for i, column in enumerate(columns):
            numeric = all(isinstance(row.get(column), (int, float)) for row in rows)
            justify: Literal["left", "right"] = "right" if numeric else "left"
            whole = i == 0  # a name that is to be copied stays on one line
            table.add_column(Text(column), overflow="fold", justify=justify, no_wrap=whole)
        for line in cells:
            table.add_row(*map(Text, line))  # Text: a `[` in a label is no markup
        Console().print(table)
        return
    print(f"**{title}**\n")
    print("| " + " | ".join(columns) + " |")
    print("|" + " --- |" * len(columns))
    for line in cells:
        print(
            "| " + " | ".join(text.replace("|", "\\|").replace("\n", " ") for text in line) + " |"
        )
    print()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, dict):
        return ", ".join(f"{key} {item}" for key, item in value.items())
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def only_first(limit: int | None) -> str:
    """What a title of scores says of a run that was limited; "" of a whole one."""
    return f", first {limit} samples only: enters no table" if limit is not None else ""
