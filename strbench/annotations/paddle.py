"""PaddleOCR's detection labels: a photograph a line, its path and a JSON list after a tab.

``img_1.jpg TAB [{"transcription": "EXIT", "points": [[10, 4], [30, 4], [30, 12], [10, 12]]}, ...]``
"""

from __future__ import annotations

import json
from typing import Any

from strbench.annotations.rows import fault, make_region, numbers, text_lines
from strbench.types import Region

_IGNORED = ("###", "*")  # texts that PaddleOCR's own training and evaluation leave out


def read_paddle(data: bytes, place: str) -> dict[str, tuple[Region, ...]]:
    """Path of the photograph, as written -> its regions, in the order of the file.

    Raises:
        StrbenchError: not UTF-8, a line that does not fit, or a photograph named twice; names file
            and line.
    """
    pages: dict[str, tuple[Region, ...]] = {}
    for where, line in text_lines(data, place):
        path, tab, listed = line.partition("\t")
        path = path.strip()
        if not tab or not path:
            raise fault(f"{where}: expected a path, a tab and a JSON list, found {line[:60]!r}.")
        if path in pages:
            raise fault(f"{where}: the photograph {path!r} is named twice.")
        try:
            items = json.loads(listed)
        except (ValueError, RecursionError) as error:
            raise fault(f"{where}: not readable JSON ({error}).") from error
        if not isinstance(items, list):
            raise fault(f"{where}: expected a JSON list after the tab, found {listed[:40]!r}.")
        pages[path] = tuple(_region(item, f"{where}, text {k}") for k, item in enumerate(items, 1))
    return pages


def _region(item: Any, where: str) -> Region:
    text = item.get("transcription") if isinstance(item, dict) else None
    points = item.get("points") if isinstance(item, dict) else None
    if not isinstance(text, str) or not isinstance(points, list):
        raise fault(f"{where}: expected transcription and points, found {str(item)[:60]!r}.")
    flat: list[object] = []
    for point in points:
        if not isinstance(point, list) or len(point) != 2:
            raise fault(f"{where}: expected [x, y], found {str(point)[:40]!r}.")
        flat += point
    return make_region(numbers(flat, where), text, where, ignored=text in _IGNORED)
