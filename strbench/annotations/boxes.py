"""A text file per photograph, a row per region: the ICDAR competitions and what grew from them.

==================  ==============================================================================
layout              row
==================  ==============================================================================
``ltrb``            ``left top right bottom "text"``, separated by spaces or ``, `` (ICDAR 2013)
``quad``            ``x1,y1,x2,y2,x3,y3,x4,y4,text`` (ICDAR 2015)
``quad-script``     ``x1,...,y4,script,text`` (ICDAR 2017 MLT and 2019 MLT)
``polygon``         ``x1,y1,...,xn,yn,text``: the text is what follows the last number that pairs up
``polygon-14``      28 coordinates, then the text (CTW1500)
==================  ==============================================================================

Texts hold commas, so a row is split at its first commas only. Some copies put ``####`` before every
text; it is taken away. A text of ``###`` marks a region that is ignored.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Literal

from strbench.annotations.rows import fault, make_region, numbers, text_lines, unescape
from strbench.types import Region

Layout = Literal["ltrb", "quad", "quad-script", "polygon", "polygon-14"]

# nan and inf count as numbers, so that the reader names the line instead of no layout being found.
NUMBER = r"[-+]?(?:(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|(?i:nan|inf(?:inity)?))"
_NUMBER = rf"\s*{NUMBER}\s*"
LTRB = re.compile(  # a row of that layout
    rf'^({_NUMBER})[ ,]({_NUMBER})[ ,]({_NUMBER})[ ,]({_NUMBER})[ ,]\s*"(.*)"\s*$'
)
_IS_NUMBER = re.compile(rf"{_NUMBER}$")


def read_boxes(data: bytes, place: str, *, layout: Layout) -> list[Region]:
    """The regions of one photograph, in the order of the file.

    Raises:
        StrbenchError: not UTF-8, or a row that does not fit the layout; names file and line.
    """
    read = _READERS[layout]
    rows = [(where, *read(line, where)) for where, line in text_lines(data, place)]
    texts = [text for _, _, text, _ in rows if text is not None]
    has_prefix = bool(texts) and all(text.startswith("####") for text in texts)
    regions: list[Region] = []
    for where, values, text, script in rows:
        if has_prefix and text is not None:
            text = text[4:]
        flat = box(*values) if layout == "ltrb" else values
        regions.append(
            make_region(
                flat,
                text,
                where,
                ignored=text == "###",
                annotated=values if layout == "ltrb" else (),
                tags={"script": script} if script else None,
            )
        )
    return regions


def box(left: float, top: float, right: float, bottom: float) -> tuple[float, ...]:
    """The four vertices of an upright box, clockwise from the upper left.

    >>> box(1, 2, 5, 4)
    (1, 2, 5, 2, 5, 4, 1, 4)
    """
    return (left, top, right, top, right, bottom, left, bottom)


def count_numbers(fields: Sequence[str]) -> int:
    """How many of the fields come before the first that is no number.

    >>> count_numbers(["12", " 7.5", "EXIT", "3"]), count_numbers(["nan", "-Inf", "nano"])
    (2, 2)
    """
    return next((i for i, field in enumerate(fields) if not _IS_NUMBER.match(field)), len(fields))


_Row = tuple[tuple[float, ...], str | None, str]  # coordinates, text, script


def _ltrb(line: str, where: str) -> _Row:
    match = LTRB.match(line)
    if not match:
        raise fault(f'{where}: expected left, top, right, bottom, "text", found {line[:60]!r}.')
    return numbers(match.groups()[:4], where), unescape(match[5]), ""


def _fixed(n: int, *, has_script: bool = False) -> Callable[[str, str], _Row]:
    def read(line: str, where: str) -> _Row:
        fields = line.split(",", n + has_script)
        if len(fields) <= n + has_script:
            what = f"{n} coordinates{', a script' if has_script else ''} and a text"
            raise fault(f"{where}: expected {what}, separated by commas, found {line[:60]!r}.")
        return numbers(fields[:n], where), fields[-1], fields[n].strip() if has_script else ""

    return read


def _polygon(line: str, where: str) -> _Row:
    fields = line.split(",")
    n = count_numbers(fields)
    n -= n % 2
    text = ",".join(fields[n:]) if n < len(fields) else None
    return numbers(fields[:n], where), text, ""


_READERS: dict[Layout, Callable[[str, str], _Row]] = {
    "ltrb": _ltrb,
    "quad": _fixed(8),
    "quad-script": _fixed(8, has_script=True),
    "polygon": _polygon,
    "polygon-14": _fixed(28),
}
