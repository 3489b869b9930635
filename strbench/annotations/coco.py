"""One JSON for thousands of photographs: COCO-Text, TextOCR, and OpenVINO's text in Open Images.

=============  =====================  ===========================  ================================
               photographs and words  outline, text                ignored where
=============  =====================  ===========================  ================================
``cocotext``   ``imgs``, ``anns``     ``mask`` (v1: ``polygon``),  ``legibility`` is not "legible"
                                      ``utf8_string``
``textocr``    ``imgs``, ``anns``     ``points``,                  the text is "."
                                      ``utf8_string``
``openvino``   ``images``,            ``segmentation``,            ``attributes.legible`` is false
               ``annotations``        ``attributes.transcription``
=============  =====================  ===========================  ================================

All of them have ``bbox``: x, y, width, height. The words become regions while the JSON is parsed, so
that TextOCR's 280 MB do not stand in memory as dictionaries of lists of numbers.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, NamedTuple

from strbench.annotations.boxes import box
from strbench.annotations.rows import decode_text, fault, make_region, numbers
from strbench.types import Region

Outline = Literal["polygon", "box"]


class CocoPage(NamedTuple):
    """A photograph as its JSON describes it."""

    file: str  # as named there; folders may differ from those of the archives, see TextOCR
    part: str  # "train", "val" or "test" where the JSON says so, else ""
    regions: tuple[Region, ...]  # in the order of the file


class _Word(NamedTuple):
    photograph: str
    region: Region


def read_cocotext(data: bytes, place: str, *, outline: Outline = "polygon") -> dict[str, CocoPage]:
    """Last part of the image's name -> photograph, of COCO-Text version 1 or 2.

    Tags: ``class`` ("machine printed", "handwritten"), ``language`` and ``legibility`` as annotated.
    Illegible words often have no text and no language. The photographs of ``part`` "test" have no
    words, since their annotation is not public.

    Args:
        outline: "box" takes the upright box for the polygon; ``annotated`` then holds x, y, width
            and height. A word whose polygon has fewer than three vertices gets its box in either
            case, and the tag ``outline`` says so.

    Raises:
        StrbenchError: not this JSON, or a word that does not fit it; names the entry.
    """

    def word(entry: Mapping[str, Any], where: str) -> Region:
        points = entry.get("mask", entry.get("polygon", ()))
        text = entry.get("utf8_string")
        tags = {key: entry[key] for key in ("class", "language", "legibility") if key in entry}
        is_legible = _needed(entry, "legibility", where) == "legible"
        return _region(entry, points, text, where, outline, ignored=not is_legible, tags=tags)

    return _pages(data, place, word)


def read_textocr(data: bytes, place: str, *, outline: Outline = "polygon") -> dict[str, CocoPage]:
    """Last part of the image's name -> photograph, of TextOCR.

    The names say ``train/ID.jpg`` where the archives have ``train_images/ID.jpg``.

    Args:
        outline: as of ``read_cocotext``.

    Raises:
        StrbenchError: not this JSON, or a word that does not fit it; names the entry.
    """

    def word(entry: Mapping[str, Any], where: str) -> Region:
        text = _needed(entry, "utf8_string", where)
        points = entry.get("points", ())
        return _region(entry, points, text, where, outline, ignored=text == ".")

    return _pages(data, place, word)


def read_openvino(data: bytes, place: str, *, outline: Outline = "polygon") -> dict[str, CocoPage]:
    """Last part of the image's name -> photograph, of OpenVINO's annotation of Open Images V5.

    Tags: ``language``, as annotated.

    Args:
        outline: as of ``read_cocotext``.

    Raises:
        StrbenchError: not this JSON, or a word that does not fit it; names the entry.
    """

    def word(entry: Mapping[str, Any], where: str) -> Region:
        said = _needed(entry, "attributes", where)
        if not isinstance(said, dict):
            raise fault(f"{where}: expected attributes, found {str(said)[:40]!r}.")
        points = entry.get("segmentation", ())
        if isinstance(points, list) and len(points) == 1:  # COCO's list of outlines
            points = points[0]
        tags = {"language": said["language"]} if "language" in said else {}
        text = said.get("transcription")
        is_legible = bool(_needed(said, "legible", where))
        return _region(entry, points, text, where, outline, ignored=not is_legible, tags=tags)

    return _pages(data, place, word)


def _needed(entry: Mapping[str, Any], key: str, where: str) -> Any:
    if key not in entry:
        raise fault(f"{where}: expected {key!r}, found only {', '.join(entry)[:60]}.")
    return entry[key]


def _region(
    entry: Mapping[str, Any],
    points: object,
    text: object,
    where: str,
    outline: Outline,
    *,
    ignored: bool,
    tags: Mapping[str, object] | None = None,
) -> Region:
    if not isinstance(points, list | tuple):
        raise fault(f"{where}: expected a list of coordinates, found {str(points)[:40]!r}.")
    if text is not None and not isinstance(text, str):
        raise fault(f"{where}: expected a text, found {str(text)[:40]!r}.")
    said = {key: str(value) for key, value in (tags or {}).items() if value is not None}
    if outline == "polygon" and len(points) >= 6:
        return make_region(numbers(points, where), text, where, ignored=ignored, tags=said)
    bounds = entry.get("bbox")
    if not isinstance(bounds, list) or len(bounds) != 4:
        raise fault(f"{where}: expected bbox with four numbers, found {str(bounds)[:40]!r}.")
    x, y, width, height = annotated = numbers(bounds, where)
    if outline == "polygon":
        said["outline"] = "box"
    corners = box(x, y, x + width, y + height)
    return make_region(corners, text, where, ignored=ignored, annotated=annotated, tags=said)


def _pages(
    data: bytes, place: str, read: Callable[[Mapping[str, Any], str], Region]
) -> dict[str, CocoPage]:
    def word(entry: dict[str, Any]) -> dict[str, Any] | _Word:
        if "image_id" not in entry:
            return entry
        where = f"{place}, annotation {entry.get('id', 'without an id')}"
        return _Word(str(entry["image_id"]), read(entry, where))

    text = decode_text(data, place)
    try:
        root = json.loads(text, object_hook=word)
    except (ValueError, RecursionError) as error:
        raise fault(f"{place}: not readable JSON ({error}).") from error
    words: dict[str, list[Region]] = {}
    photographs: dict[str, tuple[str, str]] = {}
    for entry in _entries(root, ("imgs", "images"), place):
        name = entry.get("file_name") if isinstance(entry, dict) else None
        if not isinstance(name, str) or "id" not in entry:
            raise fault(f"{place}: expected an image with id and file_name, found {entry!s:.60}.")
        key = str(entry["id"])
        if key in photographs:
            raise fault(f"{place}: two images have the id {key}.")
        photographs[key] = (name, str(entry.get("set", "")))
        words[key] = []
    for entry in _entries(root, ("anns", "annotations"), place):
        if not isinstance(entry, _Word) or entry.photograph not in words:
            shown = entry.photograph if isinstance(entry, _Word) else entry
            raise fault(f"{place}: expected a word of one of its images, found {shown!s:.60}.")
        words[entry.photograph].append(entry.region)
    pages: dict[str, CocoPage] = {}
    for key, (name, part) in photographs.items():
        last = name.rpartition("/")[2]
        if last in pages:
            raise fault(f"{place}: two images are called {last}.")
        pages[last] = CocoPage(name, part, tuple(words.pop(key)))
    return pages


def _entries(root: object, names: tuple[str, ...], place: str) -> Iterable[Any]:
    members = root if isinstance(root, dict) else {}
    held = next((members[name] for name in names if name in members), None)
    if isinstance(held, dict):
        return held.values()
    if not isinstance(held, list):
        raise fault(f"{place}: expected {' or '.join(names)} in this JSON, found none.")
    return held
