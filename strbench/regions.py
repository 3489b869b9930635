"""Regions as they lie in a store: compact JSON, one list a photograph.

A region is ``{"points": [[x, y], ...]}`` with, where they say something, ``"text"``, ``"ignored"``,
``"annotated"``, ``"tags"`` and ``"characters"``. Whole numbers are written without a point, so that
what was read as integers is written as integers.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from strbench.types import Polygon, Region


def _number(value: float) -> float:
    return int(value) if value == int(value) else value


def _points(polygon: Polygon) -> list[list[float]]:
    return [[_number(x), _number(y)] for x, y in polygon]


def regions_to_json(regions: Iterable[Region]) -> bytes:
    """The regions as one line of JSON; equal regions give equal bytes.

    >>> regions_to_json([Region(((0.0, 0.0), (9.5, 0.0), (9.5, 4.0)), "a")])
    b'[{"points":[[0,0],[9.5,0],[9.5,4]],"text":"a"}]'
    """
    rows: list[dict[str, Any]] = []
    for region in regions:
        row: dict[str, Any] = {"points": _points(region.polygon)}
        if region.text is not None:
            row["text"] = region.text
        if region.ignored:
            row["ignored"] = True
        if region.annotated:
            row["annotated"] = [_number(value) for value in region.annotated]
        if region.tags:
            row["tags"] = dict(sorted(region.tags.items()))
        if region.characters:
            row["characters"] = [_points(polygon) for polygon in region.characters]
        rows.append(row)
    return json.dumps(rows, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def _polygon(points: Sequence[Sequence[float]]) -> Polygon:
    return tuple((float(x), float(y)) for x, y in points)


def regions_from_json(data: bytes) -> tuple[Region, ...]:
    """The regions that ``regions_to_json`` wrote.

    Raises:
        ValueError, TypeError, KeyError: it did not write these bytes.
    """
    return tuple(
        Region(
            _polygon(row["points"]),
            row.get("text"),
            bool(row.get("ignored", False)),
            tuple(float(value) for value in row.get("annotated", ())),
            row.get("tags", {}),
            tuple(_polygon(points) for points in row.get("characters", ())),
        )
        for row in json.loads(data)
    )


def tally(regions: Iterable[Region]) -> dict[str, int]:
    """How many regions, how many of them ignored, how many characters.

    >>> tally([Region(((0, 0), (1, 0), (1, 1)), "###", ignored=True)])
    {'regions': 1, 'ignored': 1, 'characters': 0}
    """
    counts = {"regions": 0, "ignored": 0, "characters": 0}
    for region in regions:
        counts["regions"] += 1
        counts["ignored"] += region.ignored
        counts["characters"] += len(region.characters)
    return counts
