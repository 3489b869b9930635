"""Lines of result files as the Robust Reading Competition's own scripts read them, to the letter.

=========  =========================================================================================
columns    line
=========  =========================================================================================
``quad``   ``x1,y1,x2,y2,x3,y3,x4,y4[,confidence][,script][,transcription]``
``box``    ``xmin,ymin,xmax,ymax[,confidence][,transcription]``
``angle``  ``xmin,ymin,xmax,ymax,angle[,confidence][,transcription]``, the angle in radians
=========  =========================================================================================

Coordinates are whole numbers in ASCII digits, with a minus where negative (xmax and ymax have none)
and blanks around; a confidence begins with 0 or 1, then any one sign, then digits, and must then be a
number. Bytes that are no UTF-8 become U+FFFD, one byte order mark goes, lines end at LF, every CR
goes, empty lines are skipped. A line of blanks is an error, as any other line that does not fit.

Source: the RRC's rrc_evaluation_funcs.py of 2015 to 2019 (as in MhLiao/DB assets/ic15_eval), its
TL_iou_MLT script (facebookresearch/MultiplexedOCR), and TextBPN's copy for MSRA-TD500 with the angle.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

from strbench.annotations.boxes import box
from strbench.annotations.rows import fault
from strbench.types import Detection, Polygon, Region

Columns = Literal["quad", "box", "angle"]
HINT = "Mend the line, or name the format that the files have."  # of errors about a line

_SIGNED, _UNSIGNED = r"\s*(-?[0-9]+)\s*", r"\s*([0-9]+)\s*"
_BOX = [_SIGNED, _SIGNED, _UNSIGNED, _UNSIGNED]
_COLUMNS: dict[Columns, list[str]] = {
    "quad": [_SIGNED] * 8,
    "box": _BOX,
    "angle": [*_BOX, r"\s*(-?[0-1].?[0-9]*)\s*"],
}
_NAMES: dict[Columns, str] = {
    "quad": "x1,y1,x2,y2,x3,y3,x4,y4",
    "box": "xmin,ymin,xmax,ymax",
    "angle": "xmin,ymin,xmax,ymax,angle",
}
_CONFIDENCE = r"\s*([0-1].?[0-9]*)\s*"
# those of MLT 2017, Hindi of MLT 2019, and "None", which the script adds
_SCRIPT = r"\s*(Arabic|Latin|Chinese|Japanese|Korean|Bangla|Hindi|Symbols|Mixed|None)\s*"
_USUAL_CONFIDENCE = re.compile(r"\s*[01](?:\.[0-9]*)?\s*", re.ASCII)
_QUOTED = re.compile(r'\s*"(.*)"\s*')
_EXACT = 2.0**53  # whole numbers below it are exact in a float
_NO_TAGS: dict[str, str] = {}


class Row(NamedTuple):
    """What a line says."""

    values: tuple[float, ...]  # its coordinates and, if it has one, the angle
    confidence: float | None
    script: str
    text: str | None


def pairs(flat: Sequence[float]) -> Polygon:
    """The vertices of x1, y1, x2, y2, ...

    >>> pairs((1.0, 2.0, 3.0, 4.0))
    ((1.0, 2.0), (3.0, 4.0))
    """
    return tuple(zip(flat[::2], flat[1::2], strict=True))


def decoded(data: bytes) -> str:
    """The text of a file as the scripts take it, CR kept: bad bytes replaced, one BOM gone.

    >>> decoded(b"\\xef\\xbb\\xbfbad\\xff")
    'bad\\ufffd'
    """
    return data.decode("utf-8", "replace").removeprefix("\ufeff")


def unquoted(text: str) -> str:
    r"""A transcription without the double quotes around it and the backslashes of its escapes.

    Without quotes nothing changes. Inside them doubled backslashes become one and then a backslash
    before a quote goes, in this order, so that ``\\"`` ends as a plain quote too.

    >>> unquoted(' "say \\"a, b\\"" '), unquoted('"a'), unquoted("### ")
    ('say "a, b"', '"a', '### ')
    """
    match = _QUOTED.fullmatch(text)
    return match[1].replace("\\\\", "\\").replace('\\"', '"') if match else text


@dataclass(frozen=True, kw_only=True)
class RrcLines:
    """A reader of one kind of line."""

    columns: Columns
    confidence: bool = False
    script: bool = False
    text: bool = False
    unquotes: bool = True  # the script for MLT takes a transcription as it is
    clockwise: bool = True  # a quad that runs anticlockwise on screen is an error
    sorts: bool = True  # detections of a file by falling confidence; the script for MLT does not

    def truth(self, data: bytes, place: str) -> list[Region]:
        """The regions of a ground-truth file, in its order; ignored where the text is ``###``.

        A quad keeps its vertices in file order. Of a box the polygon is its four corners, clockwise
        from the upper left, and ``annotated`` the numbers of the line, the angle included; a box with
        an angle is not turned, as the evaluator compares upright boxes.

        Raises:
            StrbenchError: a line that the official reader refuses, or a number that is not finite.
        """
        is_quad = self.columns == "quad"
        return [
            Region(
                self._polygon(row.values),
                row.text,
                row.text == "###",
                () if is_quad else row.values,
                {"script": row.script} if row.script else _NO_TAGS,
            )
            for row in self.rows(data, place)
        ]

    def found(self, data: bytes, place: str) -> list[Detection]:
        """The detections of a result file; ``given`` is what ``annotated`` is for ``truth``.

        In file order; with confidences in falling order of these, as the official reader sorts them
        before anything is matched. Its sort is not stable, this one keeps the order of equals.

        Raises:
            StrbenchError: as of ``truth``.
        """
        is_quad = self.columns == "quad"
        detections = [
            Detection(
                self._polygon(row.values), row.confidence, row.text, () if is_quad else row.values
            )
            for row in self.rows(data, place)
        ]
        if self.confidence and self.sorts:
            detections.sort(key=lambda detection: -(detection.confidence or 0.0))
        return detections

    def rows(self, data: bytes, place: str) -> Iterator[Row]:
        """The lines of a file, each checked."""
        text = decoded(data).replace("\r", "")
        # Then int() takes no more than the pattern does, and a split is twice as fast as a match.
        plain = self._may_split and text.isascii() and "+" not in text and "_" not in text
        if self.columns != "quad" and "-" in text:
            plain = False
        is_quad = self.columns == "quad"
        for number, line in enumerate(text.split("\n"), 1):
            if not line:
                continue
            row = self._split(line) if plain else None
            if row is None:
                row = self._matched(line, f"{place}, line {number}")
            v = row.values
            if is_quad:
                if self.clockwise and _runs_anticlockwise(v):
                    raise fault(
                        f"{place}, line {number}: expected vertices clockwise on screen, found "
                        f"{line[:60]!r}; the official script rejects all results with such a line.",
                        "Write the vertices of every quad in the other order.",
                    )
            elif v[2] < v[0] or v[3] < v[1]:
                raise fault(
                    f"{place}, line {number}: expected xmin <= xmax and ymin <= ymax, found "
                    f"{line[:60]!r}.",
                    HINT,
                )
            yield row

    @property
    def _may_split(self) -> bool:
        # with a text behind it a confidence may reach over a comma ("0,5,EXIT"), and an angle too
        return self.columns != "angle" and not (self.confidence and self.text) and not self.script

    def _split(self, line: str) -> Row | None:
        """The usual line, read fast; None for one that the pattern must judge."""
        n = 8 if self.columns == "quad" else 4
        fields = line.split(",", n) if self.text else line.split(",")
        if len(fields) != n + (self.text or self.confidence):
            return None
        try:
            values = tuple(map(float, map(int, fields[:n])))
        except (ValueError, OverflowError):
            return None
        if self.text:
            return Row(values, None, "", self._transcription(fields[n]))
        if not self.confidence:
            return Row(values, None, "", None)
        # "0.25" and the like; 1e5 fits the pattern too, and is left to it
        if not _USUAL_CONFIDENCE.fullmatch(fields[n]):
            return None
        return Row(values, float(fields[n]), "", None)

    def _matched(self, line: str, where: str) -> Row:
        match = self._pattern.fullmatch(line)
        if not match:
            raise fault(f"{where}: expected {self._shown}, found {line[:60]!r}.", HINT)
        groups = list(match.groups())
        n = len(_COLUMNS[self.columns])
        try:
            numbers = [_number(group) for group in groups[: n + self.confidence]]
        except ValueError:
            raise fault(
                f"{where}: expected {self._shown}, found a number that is none in {line[:60]!r}.",
                HINT,
            ) from None
        if not all(map(math.isfinite, numbers)):
            raise fault(f"{where}: expected finite numbers, found {line[:60]!r}.", HINT)
        return Row(
            tuple(numbers[:n]),
            numbers[n] if self.confidence else None,
            groups[n + self.confidence] if self.script else "",
            self._transcription(groups[-1]) if self.text else None,
        )

    def _transcription(self, text: str) -> str:
        return unquoted(text) if self.unquotes and '"' in text else text

    def _polygon(self, values: Sequence[float]) -> Polygon:
        if self.columns != "quad":
            values = box(*values[:4])
        return ((values[0], values[1]), (values[2], values[3]), (values[4], values[5]),
                (values[6], values[7]))  # fmt: skip

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        parts = list(_COLUMNS[self.columns])
        if self.confidence:
            parts.append(_CONFIDENCE)
        if self.script:
            parts.append(_SCRIPT)
        if self.text:
            parts.append("(.*)")
        # a box without anything behind it may end in a comma
        bare = self.columns != "quad" and not self.confidence and not self.text
        return re.compile(",".join(parts) + (r",?\s*" if bare else ""))

    @property
    def _shown(self) -> str:
        behind = {"confidence": self.confidence, "script": self.script, "transcription": self.text}
        names = [_NAMES[self.columns], *(name for name, held in behind.items() if held)]
        return f"{','.join(names)} with whole numbers for coordinates"


def _number(field: str) -> float:
    if "_" in field:  # "1_0" is a number to Python 3, not to the scripts' Python 2
        raise ValueError(field)
    return float(field)


def _runs_anticlockwise(v: Sequence[float]) -> bool:
    """Whether the sum over edges of (x2 - x1)(y2 + y1) is positive, reckoned without rounding."""
    x1, y1, x2, y2, x3, y3, x4, y4 = v
    # that sum is the difference of these, which the diagonals span
    one, other = (x4 - x2) * (y3 - y1), (x3 - x1) * (y4 - y2)
    if not (-_EXACT < one < _EXACT and -_EXACT < other < _EXACT):
        x1, y1, x2, y2, x3, y3, x4, y4 = map(int, v)
        one, other = (x4 - x2) * (y3 - y1), (x3 - x1) * (y4 - y2)
    return one > other
