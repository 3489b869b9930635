r"""Curved text: the own formats of Total-Text and CTW1500.

The copies of their ground truth that other projects pack have a row per region, see
``strbench.annotations.boxes`` (``polygon``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from xml.etree import ElementTree

from strbench.annotations.boxes import read_boxes
from strbench.annotations.rows import decode_text, fault, make_region, numbers, text_lines
from strbench.types import Region

# A transcription ends at the quote that the end of the line, the next record or the end of the file
# follows, so that it may hold quotes and brackets itself.
_RECORD = re.compile(
    r"""x:\s*\[\[(?P<x>[^\]]*)\]\]\s*,?
        \s*y:\s*\[\[(?P<y>[^\]]*)\]\]\s*,?
        \s*ornt:\s*\[\s*(?:u?(?P<mark>['"])(?P<ornt>[^'"\]]*)(?P=mark))?\s*\]\s*,?
        \s*transcriptions:\s*\[\s*(?:u?(?P<quote>['"])(?P<text>.*?)(?P=quote))?\s*\]
        \s*(?:(?=x:\s*\[\[)|(?<=\n)|\Z)""",
    re.VERBOSE,
)
_ESCAPE = re.compile(
    r"""\\(?:x(?P<x>[0-9a-f]{2})|u(?P<u>[0-9a-f]{4})|U(?P<U>00(?:0[0-9a-f]|10)[0-9a-f]{4})|(?P<sign>[\\'"]))"""
)
_OFFSETS = re.compile(r"\s*-?[\d.]+\s*(?:,\s*-?[\d.]+\s*){31},?\s*")
_N_CTW = 28  # coordinates of CTW1500's 14 vertices: 7 along one edge, 7 back along the other


def read_totaltext(data: bytes, place: str) -> list[Region]:
    r"""The regions of one photograph in the text files that Total-Text's authors publish.

    A record is ``x: [[115 503]], y: [[322 346]], ornt: [u'm'], transcriptions: [u'nauGHTY']``, and a
    long one wraps over several lines. The text is a Python literal: its escapes are resolved, and it
    has double quotes where it holds an apostrophe. A region is ignored if its text or its orientation
    is ``#``, or if it has no text (``[]`` or ``[u'']``). The tag ``orientation`` is c(urved),
    h(orizontal), m(ulti-oriented) or ``#``; ``[]`` gives no tag.

    >>> rows = b"x: [[1 9\n  9]], y: [[1 1 5]], ornt: [], transcriptions: [u',']"
    >>> read_totaltext(rows, "a.txt")[0][:3]
    (((1.0, 1.0), (9.0, 1.0), (9.0, 5.0)), ',', False)

    Raises:
        StrbenchError: not UTF-8, or something that is no such record; names the line.
    """
    source = decode_text(data, place).rstrip()
    regions: list[Region] = []
    at = len(source) - len(source.lstrip())
    line = 1 + source.count("\n", 0, at)
    while at < len(source):
        where = f"{place}, line {line}"
        match = _RECORD.match(source, at)
        if not match:
            raise fault(
                f"{where}: expected x: [[...]], y: [[...]], ornt: [...], transcriptions: [...], "
                f"found {source[at : at + 60]!r}."
            )
        xs, ys = (numbers(match[axis].split(), where) for axis in "xy")
        text = None if match["text"] is None else _ESCAPE.sub(_resolve, match["text"])
        regions.append(totaltext_region(xs, ys, text, match["ornt"] or "", where))
        line += source.count("\n", at, match.end())
        at = match.end()
    return regions


def _resolve(match: re.Match[str]) -> str:
    code = match["x"] or match["u"] or match["U"]
    return chr(int(code, 16)) if code else match["sign"]


def totaltext_region(
    xs: tuple[float, ...], ys: tuple[float, ...], text: str | None, orientation: str, where: str
) -> Region:
    """A region of Total-Text from its columns, as ``read_totaltext`` describes it.

    Raises:
        StrbenchError: another number of x than of y, or fewer than three vertices.
    """
    if len(xs) != len(ys):
        raise fault(f"{where}: expected as many y as x, found {len(xs)} x and {len(ys)} y.")
    flat = [value for point in zip(xs, ys, strict=True) for value in point]
    tags = {"orientation": orientation} if orientation else {}
    ignored = not text or "#" in (text, orientation)
    return make_region(flat, text, where, ignored=ignored, tags=tags)


def read_ctw1500(data: bytes, place: str) -> list[Region]:
    """The regions of one photograph in any text file of CTW1500's ground truths.

    ===========================  ==================================================================
    version                      row
    ===========================  ==================================================================
    2020, 3,075 test lines       28 coordinates, ``####``, the text
    as scored for detection      28 coordinates and a mark, ``CARE`` or ``###``
    first, 3,068 test lines      left, top, right, bottom, then 14 dx, dy from the upper left corner;
                                 a comma may end it
    words, 5,698 in the test     2 coordinates a vertex, ``####``, the word
    ===========================  ==================================================================

    ``CARE`` says that the region counts and no text is known; such regions have the text None.

    Raises:
        StrbenchError: not UTF-8, or a row of none of these; names file and line.
    """
    rows = list(text_lines(data, place))
    if rows and all(_OFFSETS.fullmatch(line) for _, line in rows):
        fields = ((line.strip().removesuffix(",").split(","), where) for where, line in rows)
        return [_from_offsets(numbers(row, where), where) for row, where in fields]
    if b"####" in data:
        return read_boxes(data, place, layout="polygon")
    regions = read_boxes(data, place, layout="polygon-14")
    if {region.text for region in regions} <= {"CARE", "###"}:
        return [region if region.ignored else region._replace(text=None) for region in regions]
    return regions


def _from_offsets(values: tuple[float, ...], where: str) -> Region:
    left, top = values[:2]
    flat = [(top if i % 2 else left) + offset for i, offset in enumerate(values[4:])]
    return make_region(flat, None, where, annotated=values)


def read_ctw1500_xml(data: bytes, place: str) -> list[Region]:
    """The regions of one training photograph of CTW1500: ``label`` and ``segs`` of each ``box``.

    A region whose label is ``###`` is ignored.

    Raises:
        StrbenchError: not this XML, or a box without 14 vertices; names the box.
    """
    try:
        root = ElementTree.fromstring(data)
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise fault(f"{place}: not the XML of CTW1500 ({error}).") from error
    regions: list[Region] = []
    for i, box in enumerate(root.iter("box"), 1):
        where = f"{place}, box {i}"
        fields = (box.findtext("segs") or "").strip().strip(",").split(",")
        if len(fields) != _N_CTW:
            raise fault(f"{where}: expected {_N_CTW} coordinates in segs, found {len(fields)}.")
        text = box.findtext("label") or ""
        regions.append(make_region(numbers(fields, where), text, where, ignored=text == "###"))
    return regions


def read_art_ids(data: bytes, place: str) -> dict[str, str]:
    """ArT's name of a training photograph ("gt_3") -> its name in Total-Text ("img883") or "".

    The training set of ArT holds photographs of Total-Text and CTW1500, test photographs among them;
    who trains on it and tests on these leaves them out. Total-Text's authors publish
    ``Total_Text_ID_vs_ArT_ID.list`` (``poly_gt_img883.txt gt_3.txt``), those of CTW1500
    ``CTW1500_ID_vs_ArT_ID.txt`` (``gt_0``, which does not say which photograph of CTW1500 it is).

    Raises:
        StrbenchError: not UTF-8, another row, or a name that occurs twice.
    """
    found: dict[str, str] = {}
    for where, own, art in _art_rows(data, place):
        if art in found:
            raise fault(f"{where}: {art} occurs twice.")
        found[art] = own
    return found


def _art_rows(data: bytes, place: str) -> Iterator[tuple[str, str, str]]:
    for where, line in text_lines(data, place):
        match = re.fullmatch(r"(?:poly_gt_(img\d+)\.txt\s+)?(gt_\d+)(?:\.txt)?", line.strip())
        if not match:
            raise fault(
                f"{where}: expected gt_N, or poly_gt_imgN.txt gt_N.txt, found {line[:60]!r}."
            )
        yield where, match[1] or "", match[2]
