"""What all readers share: lines of text, numbers, and the making of a region."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence

from strbench.errors import DATA, StrbenchError
from strbench.geometry import clockwise
from strbench.types import Polygon, Region

_FARTHEST = 1e6  # pixels; a coordinate beyond is no place in any photograph


def fault(what: str, hint: str = "") -> StrbenchError:
    """An error about the user's data."""
    return StrbenchError(what, hint=hint or "Mend the file and import again.", exit_code=DATA)


def examples(what: str, names: Sequence[str]) -> str:
    """A sentence that counts the names and shows the first five.

    >>> examples("a/: images without a label", ["1.png", "2.png"])
    'a/: images without a label (2): 1.png, 2.png.'
    """
    more = ", ..." if len(names) > 5 else ""
    return f"{what} ({len(names)}): {', '.join(names[:5])}{more}."


def decode_text(data: bytes, place: str) -> str:
    """The text of a UTF-8 file without its byte order mark.

    Raises:
        StrbenchError: not UTF-8; names the line.
    """
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise fault(
            f"{place}, line {line}: not UTF-8 (byte 0x{data[error.start]:02x}).",
            "Convert it, for example: iconv -f latin1 -t utf-8 OLD > NEW",
        ) from error


def text_lines(data: bytes, place: str) -> Iterator[tuple[str, str]]:
    """("FILE, line N", line) for every line that is not blank, line ends of any kind removed.

    Not ``splitlines``: labels may hold U+2028 and its like.
    """
    for n, line in enumerate(decode_text(data, place).split("\n"), 1):
        line = line.rstrip("\r")
        if line.strip():
            yield f"{place}, line {n}", line


def unescape(text: str) -> str:
    r"""The text of an ICDAR word list with ``\"`` and ``\\`` resolved.

    >>> unescape('READER\\"')
    'READER"'
    """
    return re.sub(r'\\(["\\])', r"\1", text)


def numbers(fields: Sequence[object], where: str) -> tuple[float, ...]:
    """Finite numbers of a believable size; digit grouping, ``nan`` and ``inf`` are none.

    Raises:
        StrbenchError: names the first field that is no such number.
    """
    values: list[float] = []
    for field in fields:
        try:
            if isinstance(field, bool) or (isinstance(field, str) and "_" in field):
                raise ValueError
            value = float(field)  # type: ignore[arg-type]
        except (TypeError, ValueError, OverflowError):
            raise fault(f"{where}: expected a coordinate, found {str(field)[:40]!r}.") from None
        if not math.isfinite(value) or abs(value) > _FARTHEST:
            raise fault(f"{where}: {str(field)[:40]} is no coordinate.")
        values.append(value)
    return tuple(values)


def is_unicode(text: str) -> bool:
    """Whether a text can be written as UTF-8: JSON can spell half a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def make_region(
    flat: Sequence[float],
    text: str | None,
    where: str,
    *,
    ignored: bool = False,
    annotated: Sequence[float] = (),
    tags: Mapping[str, str] | None = None,
    characters: Sequence[Polygon] = (),
) -> Region:
    """A region from x1, y1, x2, y2, ... as the source has them, turned clockwise.

    Args:
        annotated: the source's own numbers if ``flat`` was worked out from them.

    An ignored region may have one vertex or two: a packaging of Total-Text has such a row.

    Raises:
        StrbenchError: an odd number of coordinates, fewer than three vertices, or a text that is no
            Unicode (JSON can spell half a surrogate pair).
    """
    for value in (text or "", *(tags or {}).values()):
        if not is_unicode(value):
            raise fault(f"{where}: {value[:40]!r} holds half a surrogate pair.")
    if len(flat) % 2 or len(flat) < (2 if ignored else 6):
        raise fault(
            f"{where}: expected x and y of three or more vertices, found {len(flat)} coordinates."
        )
    points = tuple((flat[i], flat[i + 1]) for i in range(0, len(flat), 2))
    polygon = clockwise(points)
    source = tuple(annotated) or (() if polygon == points else tuple(flat))
    return Region(polygon, text, ignored, source, tags or {}, tuple(characters))
