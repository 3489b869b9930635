"""The words of TextSeg: one JSON a photograph, ``ID_anno.json``.

``{"WORD": {"text": ..., "bbox": [x1, y1, ...], "char": {"CHARACTER": {"text": ..., "bbox": ...,
"mask_value": ...}}}}``; some words have no ``char``.
"""

from __future__ import annotations

import json

from strbench.annotations.rows import decode_text, fault, make_region, numbers
from strbench.types import Region


def read_textseg(data: bytes, place: str) -> tuple[Region, ...]:
    """A region per word, in the order of the file; outlines of characters where all of a word have one.

    Raises:
        StrbenchError: not this JSON; names the word.
    """
    try:
        root = json.loads(decode_text(data, place))
    except (ValueError, RecursionError) as error:
        raise fault(f"{place}: not readable JSON ({error}).") from error
    if not isinstance(root, dict):
        raise fault(f"{place}: expected an object of words, found {str(root)[:40]!r}.")
    return tuple(_word(entry, f"{place}, word {key}") for key, entry in root.items())


def _word(entry: object, where: str) -> Region:
    region = _outlined(entry, where)
    held = entry.get("char", {}) if isinstance(entry, dict) else {}
    if not isinstance(held, dict):
        raise fault(f"{where}: expected an object of characters, found {str(held)[:40]!r}.")
    if not all(isinstance(one, dict) and "bbox" in one for one in held.values()):
        return region
    signs = [_outlined(one, f"{where}, character {key}") for key, one in held.items()]
    return region._replace(characters=tuple(s.polygon for s in signs if (s.text or "").strip()))


def _outlined(entry: object, where: str) -> Region:
    if not isinstance(entry, dict) or not isinstance(entry.get("bbox"), list):
        raise fault(f"{where}: expected text and bbox, found {str(entry)[:40]!r}.")
    text = entry.get("text")
    if text is not None and not isinstance(text, str):
        raise fault(f"{where}: expected a text, found {str(text)[:40]!r}.")
    return make_region(numbers(entry["bbox"], where), text, where)
