"""Result files that hold many photographs: MMOCR, PaddleOCR, COCO, LSVT and ArT, and strbench's own Parquet.

===========  =======================================================================================
format       a photograph and its detections
===========  =======================================================================================
``mmocr``    an object with ``img_path``, ``file_name`` or ``filename``, in a list or under
             ``predictions``; or one object a file, called like the photograph. Its polygons:
             ``det_polygons`` and ``det_scores`` (with ``rec_texts`` of a spotter), ``polygons`` and
             ``scores`` (also inside ``pred_instances``), or ``boundary_result`` of 0.x, whose rows
             end with the score
``paddle``   a line: path, tab, JSON list of objects with ``points`` and, if any, ``transcription``
             and ``score``; or of lists of points
``coco``     a list of objects with ``image_id`` and ``segmentation`` (one outline), ``polys`` or
             ``bbox`` (x, y, width, height), with ``score`` and ``rec`` if any; alone, or under
             ``annotations`` beside ``images``, which give each ``image_id`` its ``file_name``
``rrc-json`` an object that gives every ``res_N`` a list of objects with ``points`` ([[x, y], ...]) and,
             if any, ``confidence`` and ``transcription``; in a ground truth it is ``gt_N``, and
             ``illegibility`` and ``language`` stand beside the transcription (ICDAR 2019 LSVT, ArT)
``parquet``  rows of ``id``, ``polygon`` (x1, y1, ...), ``confidence``, ``text``; a row without a
             polygon is a photograph on which nothing was found
===========  =======================================================================================

Photographs are called as the file calls them. Coordinates are finite numbers; confidences lie in
[0, 1].
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from io import BytesIO
from itertools import chain
from numbers import Real
from pathlib import Path
from typing import Any

from strbench.annotations.boxes import box
from strbench.annotations.competition import read_lsvt
from strbench.annotations.rows import decode_text, fault, is_unicode, text_lines
from strbench.files import atomic_path
from strbench.submission_lines import HINT, pairs
from strbench.types import Detection, Polygon, Region

Found = dict[str, list[Detection]]
_MMOCR_NAMES = ("img_path", "file_name", "filename")
_COLUMNS = ("id", "polygon", "confidence", "text", "given")


def mmocr_found(data: bytes, place: str, name: str) -> Found:
    """Detections of MMOCR's JSON; ``name`` is the photograph of an object that names none.

    Raises:
        StrbenchError: not this JSON, a photograph named twice, or a polygon, score or text that is
            none; names the entry.
    """
    root = _json(data, place)
    if isinstance(root, dict) and isinstance(root.get("predictions"), list):
        root = root["predictions"]
    listed = isinstance(root, list)
    found: Found = {}
    for number, item in enumerate(root if listed else [root], 1):
        where = f"{place}, entry {number}" if listed else place
        entry = _mapping(item, where)
        called = next((entry[key] for key in _MMOCR_NAMES if key in entry), None)
        if called is None and listed and len(root) > 1:
            raise fault(f"{where}: expected {' or '.join(_MMOCR_NAMES)}, found none.", HINT)
        _add(found, name if called is None else called, _mmocr_photograph(entry, where), where)
    return found


def _mmocr_photograph(entry: Mapping[str, Any], where: str) -> list[Detection]:
    rows = entry.get("boundary_result")
    if rows is not None:
        listed = _list(rows, where)
        if not all(isinstance(row, list) and row for row in listed):
            raise fault(f"{where}: expected rows of coordinates and a score.", HINT)
        polygons: list[Any] = [row[:-1] for row in listed]
        scores: list[Any] = [row[-1] for row in listed]
        return _zipped(polygons, scores, None, where)
    inner = entry.get("pred_instances")
    if inner is not None:
        entry = _mapping(inner, where)
    of_spotter = "det_polygons" in entry
    outlines = entry.get("det_polygons" if of_spotter else "polygons")
    if outlines is None:
        raise fault(f"{where}: expected det_polygons or polygons, found {', '.join(entry)}.", HINT)
    certain = entry.get("det_scores" if of_spotter else "scores")
    return _zipped(_list(outlines, where), certain, entry.get("rec_texts"), where)


def _zipped(polygons: Sequence[Any], scores: Any, texts: Any, where: str) -> list[Detection]:
    columns: list[Sequence[Any]] = [polygons]
    for what, values in (("scores", scores), ("texts", texts)):
        held = [None] * len(polygons) if values is None else _list(values, where)
        if len(held) != len(polygons):
            raise fault(f"{where}: {len(polygons)} polygons, but {len(held)} {what}.", HINT)
        columns.append(held)
    return [
        _detection(polygon, score, text, f"{where}, polygon {k}")
        for k, (polygon, score, text) in enumerate(zip(*columns, strict=True), 1)
    ]


def paddle_found(data: bytes, place: str, name: str) -> Found:
    """Detections of PaddleOCR's text files; ``name`` is not used.

    Raises:
        StrbenchError: not UTF-8, a line that does not fit, or a photograph named twice; names the line.
    """
    found: Found = {}
    for where, line in text_lines(data, place):
        path, tab, listed = line.partition("\t")
        if not tab or not path.strip():
            raise fault(f"{where}: expected path, tab and a JSON list, found {line[:60]!r}.", HINT)
        some: list[Detection] = []
        for k, item in enumerate(_list(_json(listed.encode(), where), where), 1):
            entry = {"points": item} if isinstance(item, list) else _mapping(item, where)
            text, score = entry.get("transcription"), entry.get("score")
            some.append(_detection(entry.get("points"), score, text, f"{where}, text {k}"))
        _add(found, path.strip(), some, where)
    return found


def coco_found(data: bytes, place: str, name: str) -> Found:
    """Detections of COCO's JSON, by file name, else by ``image_id``; ``name`` is not used.

    Raises:
        StrbenchError: not this JSON, an outline that is a mask or has several parts, a score or number
            that is none, or an ``image_id`` that no image has; names the entry.
    """
    root = _json(data, place)
    names: dict[str, str] | None = None
    if isinstance(root, dict):
        names = {}
        for k, item in enumerate(_list(root.get("images"), f"{place}, images"), 1):
            where = f"{place}, image {k}"
            image = _mapping(item, where)
            if not isinstance(image.get("file_name"), str) or str(image.get("id")) in names:
                raise fault(f"{where}: expected a file_name and an id of its own.", HINT)
            names[str(image.get("id"))] = image["file_name"]
        root = root.get("annotations")
    found: Found = {}
    for called in (names or {}).values():
        _add(found, called, [], place)
    for k, item in enumerate(_list(root, place), 1):
        where = f"{place}, entry {k}"
        entry = _mapping(item, where)
        key = str(entry.get("image_id", ""))
        if not key or (names is not None and key not in names):
            raise fault(f"{where}: expected the image_id of an image, found {key!r}.", HINT)
        found.setdefault(names[key] if names else key, []).append(_coco_detection(entry, where))
    return found


def _coco_detection(entry: Mapping[str, Any], where: str) -> Detection:
    score, text = entry.get("score"), entry.get("rec")
    outline = entry.get("segmentation") or entry.get("polys")
    if outline:
        if not isinstance(outline, list):
            raise fault(
                f"{where}: expected an outline as a list of numbers, found a mask.",
                "Convert the masks to polygons first.",
            )
        if isinstance(outline[0], list) and len(outline[0]) != 2:  # COCO's list of outlines
            if len(outline) != 1:
                raise fault(f"{where}: expected one outline, found {len(outline)}.", HINT)
            outline = outline[0]
        return _detection(outline, score, text, where)
    bounds = entry.get("bbox")
    if not isinstance(bounds, list) or len(bounds) != 4:
        raise fault(f"{where}: expected segmentation, polys or a bbox of four numbers.", HINT)
    x, y, width, height = given = _numbers(bounds, where)
    corners = box(x, y, x + width, y + height)
    return _detection(corners, score, text, where)._replace(given=given)


def rrc_json_found(data: bytes, place: str, name: str) -> Found:
    """Detections of LSVT's and ArT's JSON, by the number of the photograph; ``name`` is not used.

    Raises:
        StrbenchError: not this JSON, a name that is not ``res_N`` or occurs twice, or an entry without
            points or with a confidence or text that is none; names the photograph and the entry.
    """
    root = _json(data, place, _once)
    found: Found = {}
    for called, items in _mapping(root, place).items():
        where = f"{place}, {called}"
        some = found[_numbered("res_", called, place)] = []
        for k, item in enumerate(_list(items, where), 1):
            entry = _mapping(item, f"{where}, entry {k}")
            confidence, text = entry.get("confidence"), entry.get("transcription")
            some.append(_detection(entry.get("points"), confidence, text, f"{where}, entry {k}"))
    return found


def rrc_json_truth(data: bytes, place: str) -> dict[str, list[Region]]:
    """Regions of LSVT's and ArT's JSON, by the number of the photograph; see ``read_lsvt``.

    Raises:
        StrbenchError: as of ``read_lsvt``, or a name that is not ``gt_N``.
    """
    read = read_lsvt(data, place)
    return {_numbered("gt_", called, place): list(some) for called, some in read.items()}


def _numbered(prefix: str, name: str, place: str) -> str:
    number = name.removeprefix(prefix)
    if number == name or not re.fullmatch("[0-9]+", number):
        raise fault(f"{place}: expected photographs called {prefix}N, found {name[:40]!r}.", HINT)
    return number


def _once(fields: list[tuple[str, Any]]) -> dict[str, Any]:
    held = dict(fields)
    if len(held) < len(fields):
        names = [name for name, _ in fields]
        raise ValueError(f"{next(n for n in names if names.count(n) > 1)[:40]!r} is named twice")
    return held


def parquet_found(data: bytes, place: str, name: str) -> Found:
    """Detections that ``write_found`` wrote; ``name`` is not used.

    Raises:
        StrbenchError: no Parquet, a column that is missing, or a value that is none; names the row.
    """
    import polars as pl  # here, because few formats need it

    try:
        frame = pl.read_parquet(BytesIO(data))
    except pl.exceptions.PolarsError as error:
        raise fault(f"{place}: no Parquet ({str(error).splitlines()[0]}).", HINT) from None
    missing = [column for column in ("id", "polygon") if column not in frame.columns]
    if missing:
        raise fault(
            f"{place}: expected a column {missing[0]}, found {', '.join(frame.columns) or 'none'}.",
            "Name the columns: id, polygon and, where there are any, confidence and text.",
        )
    columns = [
        frame[column].to_list() if column in frame.columns else [None] * len(frame)
        for column in _COLUMNS
    ]
    found: Found = {}
    for number, (id_, flat, score, text, given) in enumerate(zip(*columns, strict=True), 1):
        where = f"{place}, row {number}"
        if not isinstance(id_, str) or not id_:
            raise fault(f"{where}: expected the id of a photograph, found {id_!r}.", HINT)
        some = found.setdefault(id_, [])
        if flat is not None:
            numbers = _numbers(given, where) if given else ()
            some.append(_detection(flat, score, text, where)._replace(given=numbers))
    return found


def write_found(path: str | Path, found: Mapping[str, Iterable[Detection]]) -> None:
    """Write detections as Parquet, whole or not at all; ``parquet_found`` reads the same again.

    A column ``given`` is there where a detection has such numbers.

    Raises:
        StrbenchError: a coordinate or confidence that is not finite, a confidence outside [0, 1], or a
            text or id that is no Unicode; the disk is full.
    """
    import polars as pl

    path = Path(path)
    rows: list[tuple[Any, ...]] = []
    for id_, detections in found.items():
        where = f"{path}, {id_}"
        if not id_ or not is_unicode(id_):
            raise fault(f"{path}: {id_!r} cannot be the id of a photograph.", HINT)
        before = len(rows)
        for one in detections:
            _detection(one.polygon, one.confidence, one.text, where)
            given = list(_numbers(one.given, where)) or None
            rows.append((id_, list(chain(*one.polygon)), one.confidence, one.text, given))
        if len(rows) == before:
            rows.append((id_, None, None, None, None))
    numbers = pl.List(pl.Float64)
    kinds = (pl.String, numbers, pl.Float64, pl.String, numbers)
    frame = pl.DataFrame(rows, schema=dict(zip(_COLUMNS, kinds, strict=True)), orient="row")
    if not frame["given"].is_not_null().any():
        frame = frame.drop("given")
    with atomic_path(path) as temporary:
        frame.write_parquet(temporary)


def _json(
    data: bytes, place: str, made: Callable[[list[tuple[str, Any]]], Any] | None = None
) -> Any:
    try:
        return json.loads(decode_text(data, place), object_pairs_hook=made)
    except (ValueError, RecursionError) as error:
        raise fault(f"{place}: not readable JSON ({error}).", HINT) from error


def _mapping(item: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(item, dict):
        raise fault(f"{where}: expected a JSON object, found {str(item)[:40]!r}.", HINT)
    return item


def _list(item: Any, where: str) -> list[Any]:
    if not isinstance(item, list):
        raise fault(f"{where}: expected a JSON list, found {str(item)[:40]!r}.", HINT)
    return item


def _add(found: Found, name: Any, detections: list[Detection], where: str) -> None:
    if not isinstance(name, str) or not name or not is_unicode(name):
        raise fault(f"{where}: expected the name of a photograph, found {str(name)[:40]!r}.", HINT)
    if name in found:
        raise fault(f"{where}: the photograph {name!r} is named twice.", HINT)
    found[name] = detections


def _detection(points: Any, score: Any, text: Any, where: str) -> Detection:
    if text is not None and (not isinstance(text, str) or not is_unicode(text)):
        raise fault(f"{where}: expected a text, found {str(text)[:40]!a}.", HINT)
    if score is not None:
        (score,) = _numbers((score,), where, "a confidence")
        if not 0 <= score <= 1:
            raise fault(f"{where}: expected a confidence in [0, 1], found {score}.", HINT)
    return Detection(_polygon(points, where), score, text)


def _polygon(points: Any, where: str) -> Polygon:
    if not isinstance(points, list | tuple):
        raise fault(f"{where}: expected the points of a polygon, found {str(points)[:40]!r}.", HINT)
    if points and isinstance(points[0], list | tuple):
        if not all(isinstance(point, list | tuple) and len(point) == 2 for point in points):
            raise fault(
                f"{where}: expected [x, y] for each point, found {str(points)[:40]!r}.", HINT
            )
        points = list(chain(*points))
    if len(points) % 2:
        raise fault(f"{where}: expected x and y of each point, found {len(points)} numbers.", HINT)
    return pairs(_numbers(points, where))


def _numbers(values: Iterable[Any], where: str, what: str = "a coordinate") -> tuple[float, ...]:
    numbers: list[float] = []
    for value in values:
        if isinstance(value, bool) or not isinstance(value, Real):
            raise fault(f"{where}: expected {what}, found {str(value)[:40]!r}.", HINT)
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise fault(f"{where}: expected {what}, found {str(value)[:40]}.", HINT)
        numbers.append(number)
    return tuple(numbers)
