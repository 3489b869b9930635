"""Polygons of any number of vertices: result files and ground truths of curved and of long text.

The evaluators read a file per photograph with little ceremony: fields between commas, each of them a
coordinate. What they choke on is an error here: a field that is no number, a coordinate without its
partner, and, where no other rule is told, a blank line.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from strbench.annotations.curves import read_ctw1500, read_totaltext
from strbench.annotations.matlab import read_totaltext_mat
from strbench.annotations.rows import fault, text_lines
from strbench.annotations.turned import read_turned
from strbench.submission_lines import HINT, decoded, pairs, unquoted
from strbench.types import Detection, Region

_WHOLE = re.compile(r"[-0-9, \n]*")
_NUMBER = re.compile(r"\s*-?[0-9]+(?:\.[0-9]*)?\s*")
_N_OFFSETS = 32  # numbers of a row of CTW1500: a box and 14 vertices relative to its upper left


def totaltext_found(data: bytes, place: str) -> list[Detection]:
    """Detections of Total-Text: ``y0,x0,y1,x1,...`` in whole numbers, y first.

    Source: cs-chan/Total-Text-Dataset, Deteval.py and Pascal_VOC.py.
    """
    return _detections(_text_mode(data, place), place, int, y_first=True)


def totaltext_xy_found(data: bytes, place: str) -> list[Detection]:
    """Detections of Total-Text with x first: ``x1,y1,...,xn,yn[,confidence][,text]``, n of 3 or more.

    That is what TIoU-curved, AdelaiDet and its heirs, and most detectors write. An odd last number is a
    confidence in [0, 1]. A text is what follows ``####``, else what begins with the first field that
    is no number. Coordinates may have decimals; blank lines are skipped.
    """
    return [_xy_line(line, where, has_text=False) for where, line in text_lines(data, place)]


def totaltext_xy_spotted(data: bytes, place: str) -> list[Detection]:
    """The same of spotters: where all fields are numbers, and ``####`` is missing, the last is the text."""
    return [_xy_line(line, where, has_text=True) for where, line in text_lines(data, place)]


def _xy_line(line: str, where: str, *, has_text: bool) -> Detection:
    before, mark, after = line.partition("####")
    fields = (before.rstrip().removesuffix(",") if mark else line).split(",")
    end = len(fields) if mark or not has_text else len(fields) - 1
    many = next((k for k in range(end) if not _NUMBER.fullmatch(fields[k])), end)
    text = after if mark else ",".join(fields[many:]) if many < len(fields) else None
    if (mark and many < len(fields)) or many < 6:
        raise fault(
            f"{where}: expected x1,y1,...,xn,yn of three vertices or more, found {line[:60]!r}.",
            HINT,
        )
    numbers = _numbers(fields[:many], where, float)
    confidence = numbers[-1] if many % 2 else None
    if confidence is not None and not 0 <= confidence <= 1:
        raise fault(
            f"{where}: expected x and y of each vertex, and behind them at most a confidence in [0, 1], "
            f"found {many} numbers of which the last is {fields[many - 1].strip()}.",
            HINT,
        )
    return Detection(pairs(numbers[: many - many % 2]), confidence, text)


def ctw1500_found(data: bytes, place: str) -> list[Detection]:
    """Detections of CTW1500: ``x0,y0,x1,y1,...``, numbers of any kind.

    Source: Yuliang-Liu/Curve-Text-Detector, sortdetection.py and voc_eval_polygon.py.
    """
    return _detections(_text_mode(data, place), place, float)


def ctw1500_psenet_found(data: bytes, place: str) -> list[Detection]:
    """Detections of CTW1500 as PSENet and PAN write them: whole numbers, y first; empty lines skipped.

    Source: whai362/PSENet, eval/ctw/eval.py.
    """
    return _detections(_text_mode(data, place), place, int, y_first=True, skips_empty=True)


def td500_found(data: bytes, place: str) -> list[Detection]:
    """Detections of MSRA-TD500: ``x1,y1,...,x4,y4`` in whole numbers; empty lines skipped.

    Source: whai362/PSENet, eval/msra/eval.py, which takes any even number of coordinates.
    """
    return _detections(_text_mode(data, place), place, int, skips_empty=True)


def psenet_quad_found(data: bytes, place: str) -> list[Detection]:
    """Detections of ICDAR 2015 as PSENet and PAN read them: four or more x,y in whole numbers.

    Nothing may stand behind them, and no order of vertices is asked for. Lines end at LF; a CR before
    it does no harm, but a line that is only a CR is an error.

    Source: whai362/PSENet, eval/ic15/script.py and rrc_evaluation_funcs.py.
    """
    return _detections(decoded(data), place, int, skips_empty=True, least=8)


def psenet_quad_truth(data: bytes, place: str) -> list[Region]:
    """Quads of ICDAR 2015 as PSENet and PAN read them: eight numbers, what follows the last comma.

    So the text of ``...,a,###`` is ``###``, and the region is ignored. Vertices keep file order.

    Source: as of ``psenet_quad_found``.
    """
    regions: list[Region] = []
    for number, line in enumerate(decoded(data).replace("\r", "").split("\n"), 1):
        if not line:
            continue
        where = f"{place}, line {number}"
        fields = line.split(",")
        if len(fields) < 8:
            raise fault(f"{where}: expected eight coordinates, found {line[:60]!r}.", HINT)
        text = unquoted(fields[-1])
        values = _numbers(fields[:8], where, float)
        regions.append(Region(pairs(values), text, text == "###"))
    return regions


def totaltext_truth(data: bytes, place: str) -> list[Region]:
    """Regions of Total-Text's ground truth, vertices in file order.

    ========================  =====================================================================
    file                      ignored
    ========================  =====================================================================
    ``poly_gt_imgN.mat``      orientation ``#``, whatever the text; coordinates lose their fraction
    its text form, ``x: [[``  the same
    ``x1,y1,...,xn,yn,text``  text ``###``, blanks at its ends and quotes around it removed
    ========================  =====================================================================

    The last form is that of the ground truth scored by IoU (TIoU-curved); the text is what follows
    the last comma.

    Source: cs-chan/Total-Text-Dataset Deteval.py; Yuliang-Liu/TIoU-metric curved-tiou.

    Raises:
        StrbenchError: another file, or a row that is no region.
    """
    if data[:6] == b"MATLAB":
        return [_as_scored(region) for region in read_totaltext_mat(data, place)]
    if data.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"x:"):
        return [_as_scored(region) for region in read_totaltext(data, place)]
    regions: list[Region] = []
    for number, line in enumerate(decoded(data).replace("\r", "").split("\n"), 1):
        if not line:
            continue
        where = f"{place}, line {number}"
        *fields, text = line.split(",")
        if not fields or len(fields) % 2:
            raise fault(f"{where}: expected x1,y1,...,xn,yn,text, found {line[:60]!r}.", HINT)
        text = unquoted(text.strip())
        regions.append(Region(pairs(_numbers(fields, where, float)), text, text == "###"))
    return regions


def _as_scored(region: Region) -> Region:
    region = in_file_order(region)
    polygon = tuple((float(int(x)), float(int(y))) for x, y in region.polygon)
    return region._replace(polygon=polygon, ignored=region.tags.get("orientation") == "#")


def in_file_order(region: Region) -> Region:
    """The region with its vertices as the file has them, not turned clockwise.

    >>> turned = Region(((0, 0), (2, 0), (2, 1)), annotated=(2, 1, 2, 0, 0, 0))
    >>> in_file_order(turned).polygon
    ((2, 1), (2, 0), (0, 0))
    """
    if len(region.annotated) != 2 * len(region.polygon):
        return region
    return region._replace(polygon=pairs(region.annotated), annotated=())


def ctw1500_truth(data: bytes, place: str) -> list[Region]:
    """Regions of any ground truth of CTW1500, see ``read_ctw1500``; vertices in file order.

    Rows of ``xmin,ymin,xmax,ymax`` and 14 offsets ``dx,dy`` from the upper left keep their 32 numbers
    in ``annotated``. The versions differ in what is ignored and in the number of lines (3,068 and
    3,075): a figure says which one it is for.
    """
    rows = _whole_rows("\n".join(data.decode("latin1").split()))
    if rows and all(len(row) == _N_OFFSETS for row in rows):  # the usual file, read fast
        return [_from_offsets(tuple(row)) for row in rows]
    regions = map(in_file_order, read_ctw1500(data, place))
    return [
        _from_offsets(region.annotated)
        if len(region.annotated) == _N_OFFSETS and len(region.polygon) == 14
        else region
        for region in regions
    ]


def _from_offsets(values: tuple[float, ...]) -> Region:
    left, top = values[:2]
    xs, ys = [left + dx for dx in values[4::2]], [top + dy for dy in values[5::2]]
    return Region(tuple(zip(xs, ys, strict=True)), annotated=values)


def td500_truth(data: bytes, place: str) -> list[Region]:
    """Lines of MSRA-TD500's ``.gt`` files, as polygons of float32 like cv2.boxPoints gives them.

    A difficult line is ignored; ``annotated`` is x, y, width, height and the angle in radians.

    Source: whai362/PSENet, eval/msra/eval.py.
    """
    regions = read_turned(data, place)
    if not regions:
        return regions
    corners = box_points(np.array([region.annotated for region in regions], dtype=np.float64))
    return [
        region._replace(polygon=tuple((x, y) for x, y in points))
        for region, points in zip(regions, corners.tolist(), strict=True)
    ]


def box_points(boxes: NDArray[np.float64]) -> NDArray[np.float32]:
    """(N, 4, 2) corners of boxes turned about their centres, as cv2.boxPoints reckons them.

    Args:
        boxes: (N, 5) x and y of the upper left corner before turning, width, height and the angle in
            radians, clockwise on screen. The first corner is the lower left one before turning, the
            others follow clockwise. Every step is in float32, but sine and cosine in float64.

    Source: measured on OpenCV 5.0.0, to the last bit; centre and degrees as PSENet's eval/msra/eval.py
    reckons them. OpenCV 4 mirrors the last two corners instead, which may move them by one unit in the
    last place.
    """
    x, y, wide, high, radians = boxes.T
    degrees = (radians / math.pi * 180).astype(np.float32)
    angle = degrees.astype(np.float64) * (math.pi / 180)
    b = np.cos(angle).astype(np.float32) * np.float32(0.5)
    a = np.sin(angle).astype(np.float32) * np.float32(0.5)
    cx, cy = (x + wide / 2).astype(np.float32), (y + high / 2).astype(np.float32)
    w, h = wide.astype(np.float32), high.astype(np.float32)
    corners: NDArray[np.float32] = np.stack(
        [
            np.stack([cx - a * h - b * w, cy + b * h - a * w], axis=-1),
            np.stack([cx + a * h - b * w, cy - b * h - a * w], axis=-1),
            np.stack([cx + a * h + b * w, cy - b * h + a * w], axis=-1),
            np.stack([cx - a * h + b * w, cy + b * h + a * w], axis=-1),
        ],
        axis=1,
    )
    return corners


def _text_mode(data: bytes, place: str) -> str:
    """A file as Python's text mode gives it: UTF-8, every line end an LF."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = 1 + data.count(b"\n", 0, error.start)
        raise fault(
            f"{place}, line {line}: expected coordinates, found the byte "
            f"0x{data[error.start]:02x}, which is no UTF-8.",
            HINT,
        ) from None
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def _detections(
    text: str,
    place: str,
    kind: Callable[[str], float],
    *,
    y_first: bool = False,
    skips_empty: bool = False,
    least: int = 2,
) -> list[Detection]:
    """A detection a line.

    Args:
        kind: ``int`` or ``float``: what every field must be.
        least: coordinates of a line; fewer, or an odd number, is an error.
    """
    first, second = (1, 0) if y_first else (0, 1)
    rows = _whole_rows(text.removesuffix("\n"))
    if rows and all(len(row) >= least and not len(row) % 2 for row in rows):  # the usual file
        return [Detection(tuple(zip(row[first::2], row[second::2], strict=True))) for row in rows]
    lines = text.split("\n")
    if not lines[-1]:
        lines.pop()  # what follows the last line end is no line
    found: list[Detection] = []
    for number, line in enumerate(lines, 1):
        if skips_empty and not line:
            continue
        fields = line.split(",")
        if len(fields) % 2 or len(fields) < least:
            order = "y,x" if y_first else "x,y"
            what = f"found {line[:60]!r}" if line.strip() else "found a blank line"
            n = f"{least // 2} or more pairs" if least > 2 else "pairs"
            raise fault(f"{place}, line {number}: expected {n} of {order}, {what}.", HINT)
        flat = _numbers(fields, f"{place}, line {number}", kind)
        found.append(Detection(tuple(zip(flat[first::2], flat[second::2], strict=True))))
    return found


def _whole_rows(text: str) -> list[list[float]]:
    """The rows of a file of nothing but whole numbers, read at once as JSON; [] of any other.

    JSON allows fewer forms of a number than ``int`` and ``float``, and means the same by them.
    """
    if not _WHOLE.fullmatch(text) or "-0" in text:  # that is 0.0 or -0.0, by the format
        return []
    try:
        rows = json.loads("[[" + text.replace("\n", "],[") + "]]")
        return [list(map(float, row)) for row in rows]
    except (ValueError, OverflowError):
        return []


def _numbers(fields: Sequence[str], where: str, kind: Callable[[str], float]) -> tuple[float, ...]:
    """The fields as finite floats; blanks around a number are no fault, digit grouping is."""
    try:
        values = tuple(map(float, fields if kind is float else map(kind, fields)))
    except (ValueError, OverflowError):
        values = (math.nan,)
    if math.isfinite(sum(values)) and "_" not in "".join(fields):
        return values
    # a sum may overflow where no number does
    wrong = next((field for field in fields if not _is_number(field, kind)), None)
    if wrong is None:
        return values
    name = "a whole number" if kind is int else "a finite number"
    raise fault(f"{where}: expected {name} for each coordinate, found {wrong[:40]!r}.", HINT)


def _is_number(field: str, kind: Callable[[str], float]) -> bool:
    try:
        return "_" not in field and math.isfinite(float(kind(field)))
    except (ValueError, OverflowError):
        return False
