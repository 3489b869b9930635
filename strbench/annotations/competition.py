"""One JSON file for all photographs: the ICDAR 2019 competitions LSVT and ArT.

Photographs: ``{"gt_0": [{"transcription": "...", "points": [[x, y], ...], "illegibility": false}]}``
with four vertices or more; ArT adds ``"language"``. Word crops (ArT, Task 2): the same without points,
one entry a crop.
"""

from __future__ import annotations

import json
from typing import Any

from strbench.annotations.rows import decode_text, fault, is_unicode, make_region, numbers
from strbench.types import Region


def read_lsvt(data: bytes, place: str) -> dict[str, tuple[Region, ...]]:
    """Photograph ("gt_0") -> its regions, both in the order of the file.

    A region is ignored if it is marked as illegible or its text is ``###``; the tag ``legibility``
    ("legible" or "illegible") keeps the mark itself, the tag ``language`` is as annotated.

    Raises:
        StrbenchError: not this JSON, a photograph named twice, or a region without text or points.
    """
    return {
        name: tuple(_region(item, f"{place}, {name}, entry {i}") for i, item in enumerate(items, 1))
        for name, items in _entries(data, place)
    }


def read_crops(data: bytes, place: str) -> dict[str, Region]:
    """Word crop ("gt_2836_0") -> what is written on it, in the order of the file.

    The polygon is empty: the crop as a whole is the word. Otherwise as ``read_lsvt``.

    Raises:
        StrbenchError: not this JSON, a crop named twice, or one that has not exactly one text.
    """
    words: dict[str, Region] = {}
    for name, items in _entries(data, place):
        if len(items) != 1:
            raise fault(f"{place}, {name}: expected one text for a crop, found {len(items)}.")
        text, ignored, tags = _word(items[0], f"{place}, {name}")
        words[name] = Region((), text, ignored, tags=tags)
    return words


class _Repeated(ValueError):
    """A name that occurs twice in one JSON object."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise _Repeated(name)
        found[name] = value
    return found


def _entries(data: bytes, place: str) -> list[tuple[str, list[Any]]]:
    try:
        whole = json.loads(decode_text(data, place), object_pairs_hook=_once)
    except _Repeated as error:
        raise fault(f"{place}: {str(error)[:60]!r} is named twice.") from error
    except (ValueError, RecursionError) as error:
        raise fault(f"{place}: not JSON ({error}).", "Fetch the file again.") from error
    if not isinstance(whole, dict):
        raise fault(f"{place}: expected an object of image names, found {str(whole)[:40]!r}.")
    for name, items in whole.items():
        if not is_unicode(name) or not isinstance(items, list):
            raise fault(f"{place}, {name[:60]!r}: expected a list, found {str(items)[:40]!r}.")
    return list(whole.items())


def _word(item: Any, where: str) -> tuple[str, bool, dict[str, str]]:
    """Text, whether it is ignored, and the tags of an entry."""
    text = item.get("transcription") if isinstance(item, dict) else None
    if not isinstance(text, str) or not is_unicode(text):
        raise fault(f"{where}: expected an object with a transcription, found {str(item)[:60]!r}.")
    illegible, language = item.get("illegibility", False), item.get("language") or ""
    is_text = isinstance(language, str) and is_unicode(language)
    if illegible not in (True, False) or not is_text:  # 1 and 0 pass as well
        raise fault(f"{where}: illegibility {illegible!r} or language {language!r} is not valid.")
    tags = {"legibility": "illegible" if illegible else "legible"}
    if language:
        tags["language"] = language
    return text, bool(illegible) or text == "###", tags


def _region(item: Any, where: str) -> Region:
    text, ignored, tags = _word(item, where)
    points = item.get("points")
    if not isinstance(points, list) or not all(isinstance(p, list) and len(p) == 2 for p in points):
        raise fault(f"{where}: expected points [[x, y], ...], found {str(points)[:60]!r}.")
    flat = numbers([value for point in points for value in point], where)
    return make_region(flat, text, where, ignored=ignored, tags=tags)
