"""Upright boxes with the angle that they are turned by, a text file per photograph.

==============  ===================================================================================
form            row
==============  ===================================================================================
MSRA-TD500      ``index difficulty x y width height angle``, ``.gt`` files; HUST-TR400 adds a text
TextBPN's copy  ``left,top,right,bottom,angle,None`` or ``...,###``
==============  ===================================================================================

The box is turned about its own centre; the angle is in radians, clockwise on screen. In the first form
difficulty 1 means ignored, in the second ``###`` does. Neither form says where a box begins: x, y are
the upper left corner *before* turning.
"""

from __future__ import annotations

from collections.abc import Iterator

from strbench.annotations.rows import fault, make_region, numbers
from strbench.geometry import turned_box
from strbench.types import Region


def read_turned(data: bytes, place: str) -> list[Region]:
    """The lines of text of one photograph, in the order of the file.

    ``annotated`` holds the five numbers of the box as the source has them. A text is kept where there
    is one; the encoding of HUST-TR400's is unknown, and what is not UTF-8 in it reads as U+FFFD.

    Raises:
        StrbenchError: a row of neither form, or a difficulty other than 0 and 1.
    """
    return [_region(line, where) for where, line in _lines(data, place)]


def _lines(data: bytes, place: str) -> Iterator[tuple[str, str]]:
    text = data.decode("utf-8-sig", errors="replace")
    for n, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield f"{place}, line {n}", line.strip()


def _region(line: str, where: str) -> Region:
    fields = line.split(",", 5)
    if len(fields) == 6:
        left, top, right, bottom, angle = annotated = numbers(fields[:5], where)
        x, y, width, height = left, top, right - left, bottom - top
        text = None if fields[5].strip() == "None" else fields[5]
        is_ignored = text == "###"
    else:
        fields = line.split(None, 7)
        if len(fields) < 7 or fields[1] not in ("0", "1"):
            raise fault(
                f"{where}: expected index, difficulty (0 or 1), x, y, width, height and angle, "
                f"found {line[:60]!r}."
            )
        x, y, width, height, angle = annotated = numbers(fields[2:7], where)
        text = fields[7] if len(fields) > 7 else None
        is_ignored = fields[1] == "1"
    return make_region(
        turned_box(x, y, width, height, angle),
        text,
        where,
        ignored=is_ignored,
        annotated=annotated,
    )
