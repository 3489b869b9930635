"""MMOCR's JSON for photographs: 1.x, and the two forms of 0.x.

===========  =======================================================================================
1.x          ``data_list`` of ``img_path`` and ``instances``: ``polygon`` (x1, y1, ...) or ``bbox``
             (left, top, right, bottom), ``ignore``, ``text`` in spotting
0.x, COCO    ``images`` and ``annotations``: ``segmentation`` (a list of one outline) or ``bbox``
             (left, top, width, height), ``iscrowd`` where it is ignored
0.x, lines   a photograph a line: ``file_name`` and its ``annotations`` as above
===========  =======================================================================================
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from strbench.annotations.boxes import box
from strbench.annotations.rows import decode_text, fault, make_region, numbers, text_lines
from strbench.types import Region


def read_mmocr(data: bytes, place: str) -> dict[str, tuple[Region, ...]]:
    """Path of the photograph, as written -> its regions, in the order of the file.

    ``ignored`` is what the file says; a text of ``###`` is no sign here.

    Raises:
        StrbenchError: not this JSON, an instance that does not fit it, or a photograph named twice;
            names the entry or line.
    """
    pages: dict[str, tuple[Region, ...]] = {}
    for path, regions, where in _photographs(data, place):
        if path in pages:
            raise fault(f"{where}: the photograph {path!r} is named twice.")
        pages[path] = regions
    return pages


_Photograph = tuple[str, tuple[Region, ...], str]  # path, regions, where


def _photographs(data: bytes, place: str) -> Iterator[_Photograph]:
    try:
        root = json.loads(decode_text(data, place))
    except (ValueError, RecursionError) as error:
        yield from _lines(data, place, error)
        return
    if isinstance(root, dict) and isinstance(root.get("data_list"), list):
        for n, item in enumerate(root["data_list"], 1):
            where = f"{place}, entry {n}"
            instances = _list(item, "instances", where)
            regions = (_new(each, f"{where}, instance {k}") for k, each in enumerate(instances, 1))
            yield _path(item, "img_path", where), tuple(regions), where
    elif isinstance(root, dict) and "file_name" in root:  # a file of one line
        yield _line(root, f"{place}, line 1")
    else:
        yield from _coco(root, place)


def _lines(data: bytes, place: str, error: Exception) -> Iterator[_Photograph]:
    lines = list(text_lines(data, place))
    for where, line in lines:
        try:
            item = json.loads(line)
        except (ValueError, RecursionError) as of_line:
            if len(lines) == 1 or where == lines[0][0]:  # then it is no file of lines
                raise fault(f"{place}: not readable JSON ({error}).") from of_line
            raise fault(f"{where}: not readable JSON ({of_line}).") from of_line
        yield _line(item, where)


def _line(item: Any, where: str) -> _Photograph:
    instances = _list(item, "annotations", where)
    regions = (_old(each, f"{where}, annotation {k}") for k, each in enumerate(instances, 1))
    return _path(item, "file_name", where), tuple(regions), where


def _coco(root: Any, place: str) -> Iterator[_Photograph]:
    of: dict[str, list[Region]] = {}
    names: dict[str, str] = {}
    for n, image in enumerate(_list(root, "images", place), 1):
        where = f"{place}, image {n}"
        key = str(_mapping(image, where).get("id"))
        if key in names:
            raise fault(f"{where}: the id {key} is given twice.")
        names[key] = _path(image, "file_name", where)
        of[key] = []
    for n, item in enumerate(_list(root, "annotations", place), 1):
        where = f"{place}, annotation {n}"
        key = str(_mapping(item, where).get("image_id"))
        if key not in of:
            raise fault(f"{where}: no image has its image_id {key}.")
        of[key].append(_old(item, where))
    for key, name in names.items():
        yield name, tuple(of[key]), place


def _new(item: Any, where: str) -> Region:
    polygon = _mapping(item, where).get("polygon") or ()
    return _region(item, polygon, where, is_size=False, ignored=_flag(item, "ignore", where))


def _old(item: Any, where: str) -> Region:
    outlines = _mapping(item, where).get("segmentation") or ((),)
    if not isinstance(outlines, list | tuple) or len(outlines) != 1:
        raise fault(f"{where}: expected a list of one outline, found {str(outlines)[:40]!r}.")
    return _region(item, outlines[0], where, is_size=True, ignored=_flag(item, "iscrowd", where))


def _region(
    item: Mapping[str, Any], polygon: Any, where: str, *, is_size: bool, ignored: bool
) -> Region:
    text = item.get("text")
    if not isinstance(polygon, list | tuple) or not isinstance(text, str | None):
        raise fault(f"{where}: expected an outline and a text, found {str(item)[:60]!r}.")
    if polygon:
        return make_region(numbers(polygon, where), text, where, ignored=ignored)
    bounds = item.get("bbox")
    if not isinstance(bounds, list) or len(bounds) != 4:
        raise fault(f"{where}: expected an outline or a bbox of four numbers.")
    left, top, right, bottom = annotated = numbers(bounds, where)
    if is_size:
        right, bottom = left + right, top + bottom
    corners = box(left, top, right, bottom)
    return make_region(corners, text, where, ignored=ignored, annotated=annotated)


def _mapping(item: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(item, dict):
        raise fault(f"{where}: expected a JSON object, found {str(item)[:40]!r}.")
    return item


def _list(item: Any, key: str, where: str) -> list[Any]:
    held = _mapping(item, where).get(key)
    if not isinstance(held, list):
        raise fault(f"{where}: expected a list called {key!r}, found {str(held)[:40]!r}.")
    return held


def _path(item: Mapping[str, Any], key: str, where: str) -> str:
    path = item.get(key)
    if not isinstance(path, str) or not path:
        raise fault(f"{where}: expected the photograph's {key!r}, found {str(path)[:40]!r}.")
    return path


def _flag(item: Mapping[str, Any], key: str, where: str) -> bool:
    value = item.get(key, False)
    if value not in (False, True):  # 0 and 1 are written too
        raise fault(f"{where}: expected {key!r} to be true or false, found {str(value)[:40]!r}.")
    return bool(value)
