"""MATLAB files of regions: Total-Text, a file per photograph, and SynthText, one for all."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import IO, Literal

import numpy as np
from numpy.typing import NDArray

from strbench.annotations.curves import totaltext_region
from strbench.annotations.mat5 import Openable, Value, Variable, variables
from strbench.annotations.rows import fault, make_region, numbers
from strbench.types import Polygon, Region

_N_COLUMNS = 6  # of Total-Text: "x:", the x, "y:", the y, text, orientation


@dataclass(frozen=True)
class Held:
    """The bytes of a file under its name, to be read like one."""

    data: bytes
    place: str

    def __str__(self) -> str:
        return self.place

    def open(self, mode: Literal["rb"], /) -> IO[bytes]:
        return io.BytesIO(self.data)


def read_totaltext_mat(data: bytes, place: str) -> list[Region]:
    """The regions of one photograph of Total-Text, from the variable ``polygt`` or ``gt``.

    Ignored regions and tags are those of ``strbench.annotations.curves.read_totaltext``. The refined
    training set (``TT_new_train_GT``) calls its variable ``gt``.

    Raises:
        StrbenchError: damaged, another file, or a row that is no region; names the row.
    """
    found = variables(Held(data, place))
    table = found.get("polygt") or found.get("gt")
    if table is None or len(table.shape) != 2 or table.shape[1] != _N_COLUMNS:
        shown = ", ".join(f"{v.name} of shape {v.shape}" for v in found.values()) or "nothing"
        raise fault(f"{place}: expected polygt or gt with {_N_COLUMNS} columns, found {shown}.")
    n = table.shape[0]
    cells = list(table.cells())
    return [_row(cells[i::n], f"{place}, row {i + 1}") for i in range(n)]


def _row(cells: Sequence[Value], where: str) -> Region:
    _, xs, _, ys, text, orientation = cells
    said = _text(text, where)
    x, y = (numbers(np.ravel(axis).tolist(), where) for axis in (xs, ys))
    return totaltext_region(x, y, said or None, _text(orientation, where), where)


def _text(value: Value, where: str) -> str:
    if isinstance(value, list):
        return value[0] if value else ""
    if value.size:
        raise fault(f"{where}: expected a text, found numbers of shape {value.shape}.")
    return ""  # MATLAB's [] is no text


def read_synthtext(source: Openable) -> Iterator[tuple[str, tuple[Region, ...]]]:
    """(name such as "8/ballet_106_0.jpg", its words) for each photograph of ``gt.mat``, in its order.

    The words have their characters, clockwise from the upper left of the upright glyph. Texts are given
    as lines, and words are what white space separates in them. Where their number is not that of the
    boxes the boxes have no text (None), and where the signs are not as many as the boxes of characters,
    no characters.

    Raises:
        StrbenchError: damaged or another file; names the cell or the photograph.
    """
    found = variables(source)
    names = ("imnames", "wordBB", "charBB", "txt")
    columns = [found[name] for name in names if name in found]
    if len(columns) < len(names) or len({column.n for column in columns}) > 1:
        shown = ", ".join(f"{v.name} of {v.n}" for v in found.values()) or "nothing"
        raise fault(f"{source}: expected {', '.join(names)} of one length, found {shown}.")
    return _photographs(columns, str(source))


def _photographs(
    columns: Sequence[Variable], place: str
) -> Iterator[tuple[str, tuple[Region, ...]]]:
    cells = zip(*(column.cells() for column in columns), strict=True)
    for i, (name, words, signs, lines) in enumerate(cells, 1):
        where = f"{place}, photograph {i}"
        file = _text(name, where)
        where = f"{where} ({file})"
        if not file or not isinstance(lines, list):
            raise fault(f"{where}: expected a file name and lines of text.")
        yield file, tuple(_words(_boxes(words, where), _boxes(signs, where), lines, where))


def _boxes(value: Value, where: str) -> list[list[float]]:
    """x1, y1, ... of every box of an array (2, 4, n), or (2, 4) for a single one."""
    if isinstance(value, list) or value.shape[:2] != (2, 4) or value.ndim > 3:
        shape = "text" if isinstance(value, list) else f"shape {value.shape}"
        raise fault(f"{where}: expected boxes of shape (2, 4, n), found {shape}.")
    flat: NDArray[np.float64] = value.reshape(2, 4, -1).transpose(2, 1, 0).reshape(-1, 8)
    boxes: list[list[float]] = flat.tolist()
    numbers((flat.min(initial=0), flat.max(initial=0)), where)  # finite, and of a believable size
    return boxes


def _words(
    boxes: Sequence[Sequence[float]],
    signs: Sequence[Sequence[float]],
    lines: Sequence[str],
    where: str,
) -> Iterator[Region]:
    texts: list[str | None] = [*" ".join(lines).split()]
    if len(texts) != len(boxes):
        texts = [None] * len(boxes)
    ends = list(accumulate(len(text or "") for text in texts))
    if not ends or ends[-1] != len(signs):
        ends = [0] * len(boxes)
    for box, text, start, end in zip(boxes, texts, [0, *ends], ends, strict=False):
        yield make_region(
            box, text, where, characters=[_polygon(flat) for flat in signs[start:end]]
        )


def _polygon(flat: Sequence[float]) -> Polygon:
    return tuple(zip(flat[::2], flat[1::2], strict=True))
