"""Characters in colours: the segmentation ground truth of ICDAR 2013, Focused Scene Text, Task 2.

Two files a photograph. A text file with a row per character and a blank line between words,

    R G B cx cy left top right bottom "c"

where a row after ``#`` is a character that does not count; and an image in which each character has
its colour on white.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from strbench.annotations.boxes import box
from strbench.annotations.rows import decode_text, fault, make_region, numbers
from strbench.errors import StrbenchError
from strbench.geometry import clockwise
from strbench.loading import decode
from strbench.masks import BACKGROUND, IGNORED, TEXT
from strbench.types import Polygon, Region

_ROW = re.compile(r'^\s*(#?)\s*(\S+(?:\s+\S+){8})\s+"(.*)"\s*$')
_WHITE = 0xFFFFFF


class Character(NamedTuple):
    """A character of a photograph."""

    colour: int  # 0xRRGGBB
    box: tuple[float, float, float, float]  # left, top, right, bottom, in pixels
    text: str
    ignored: bool
    word: int  # counted from 0


def read_characters(data: bytes, place: str) -> list[Character]:
    """The characters of one photograph, in the order of the file.

    Raises:
        StrbenchError: not UTF-8, or a row that is no character; names file and line.
    """
    characters: list[Character] = []
    word, is_inside = 0, False
    for n, line in enumerate(decode_text(data, place).split("\n"), 1):
        where = f"{place}, line {n}"
        if not line.strip():
            word, is_inside = word + is_inside, False
            continue
        match = _ROW.match(line)
        if not match:
            raise fault(
                f'{where}: expected R G B cx cy left top right bottom "c", found {line[:60]!r}.'
            )
        values = numbers(match[2].split(), where)
        left, top, right, bottom = values[5:]
        colour = _colour(values[:3], where)
        bounds = (left, top, right, bottom)
        characters.append(Character(colour, bounds, match[3], bool(match[1]), word))
        is_inside = True
    return characters


def _colour(channels: Sequence[float], where: str) -> int:
    if any(value != int(value) or not 0 <= value <= 255 for value in channels):
        shown = " ".join(f"{value:g}" for value in channels)
        raise fault(f"{where}: expected a colour of three numbers from 0 to 255, found {shown}.")
    red, green, blue = map(int, channels)
    return red << 16 | green << 8 | blue


def words(characters: Iterable[Character], place: str) -> tuple[Region, ...]:
    """A region per word: the box around its characters, ignored if one of them is.

    ``annotated`` holds left, top, right and bottom; the boxes of the characters, spaces left out,
    are ``characters``.
    """
    regions: list[Region] = []
    for _, group in groupby(characters, key=lambda character: character.word):
        spelt = list(group)
        lefts, tops, rights, bottoms = zip(*(c.box for c in spelt), strict=True)
        bounds = (min(lefts), min(tops), max(rights), max(bottoms))
        regions.append(
            make_region(
                box(*bounds),
                "".join(c.text for c in spelt),
                place,
                ignored=any(c.ignored for c in spelt),
                annotated=bounds,
                characters=[_outline(c) for c in spelt if c.text.strip()],
            )
        )
    return tuple(regions)


def _outline(character: Character) -> Polygon:
    flat = box(*character.box)
    return clockwise(tuple(zip(flat[::2], flat[1::2], strict=True)))


def read_colour_mask(
    data: bytes, characters: Iterable[Character] | None, place: str
) -> NDArray[np.uint8]:
    """The mask (H, W) of a coloured image: white is background, the colour of a character is text.

    The colours of ignored characters, and colours that no character has, are ignored. Where the
    source gives no characters (None), all that is not white is text.

    Raises:
        StrbenchError: not a PNG or BMP image.
    """
    if not data.startswith((b"BM", b"\x89PNG")):
        raise fault(f"{place}: expected a BMP or PNG image; other formats do not keep colours.")
    try:
        pixels = decode(data).astype(np.uint32)
    except StrbenchError as error:
        raise fault(f"{place}: {error.message}.") from error
    colours = pixels[..., 0] << 16 | pixels[..., 1] << 8 | pixels[..., 2]
    if characters is None:
        mask = np.full(colours.shape, TEXT, dtype=np.uint8)
    else:
        held = list(characters)
        mask = np.full(colours.shape, IGNORED, dtype=np.uint8)
        mask[np.isin(colours, [c.colour for c in held if not c.ignored])] = TEXT
        mask[np.isin(colours, [c.colour for c in held if c.ignored])] = IGNORED
    mask[colours == _WHITE] = BACKGROUND
    return mask
