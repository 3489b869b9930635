"""What pictures for people are drawn with: colours, outlines of text, and sheets of captioned pictures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont

from strbench.types import Polygon, Region

Colour = tuple[int, int, int]
Legend = Sequence[tuple[str, Colour]]

LEGIBLE: Colour = (0, 184, 122)  # told apart without red-green vision, too
IGNORED: Colour = (232, 92, 10)
PAPER: Colour = (255, 255, 255)  # behind a picture

_WIDTH = 1600  # pixels of a sheet
_EDGE, _GAP, _PAD = 32, 16, 8  # around the sheet, between cells, inside a cell
_HEAD, _CAPTION = 104, 44
_TABLE: Colour = (246, 247, 249)
_LINE: Colour = (222, 226, 232)
_INK: Colour = (27, 31, 36)
_FAINT: Colour = (108, 116, 128)
_FONT = Path(__file__).parent / "fonts" / "cabin" / "Cabin-Bold.otf"


class Cell(NamedTuple):
    """A picture of a sheet, with the two lines below it."""

    picture: Image.Image
    title: str
    detail: str


def room_of(columns: int, height: int) -> tuple[int, int]:
    """Pixels that a cell has for its picture, in a sheet of so many columns."""
    width = (_WIDTH - 2 * _EDGE - (columns - 1) * _GAP) // columns
    return width - 2 * _PAD, height


def sheet_of(
    cells: Iterable[Cell],
    n: int,
    *,
    columns: int,
    height: int,
    title: str,
    facts: str,
    legend: Legend = (),
) -> Image.Image:
    """``n`` cells in rows below a head, 1600 pixels wide.

    Args:
        cells: pictures no larger than ``room_of(columns, height)``.
    """
    room = room_of(columns, height)
    wide, high = room[0] + 2 * _PAD, room[1] + _CAPTION + 2 * _PAD
    rows = -(-n // columns)
    sheet = Image.new("RGB", (_WIDTH, _HEAD + rows * (high + _GAP) - _GAP + _EDGE), _TABLE)
    pen = ImageDraw.Draw(sheet)
    _write(pen, (_EDGE, 24), title, 30, _INK, 900)
    _write(pen, (_EDGE, 64), facts, 17, _FAINT, _WIDTH - 2 * _EDGE)
    _legend(pen, legend)
    for k, cell in enumerate(cells):
        x = _EDGE + k % columns * (wide + _GAP)
        y = _HEAD + k // columns * (high + _GAP)
        frame = (x, y, x + wide - 1, y + high - 1)
        pen.rounded_rectangle(frame, radius=6, fill=PAPER, outline=_LINE)
        picture = cell.picture
        at = x + (wide - picture.width) // 2, y + _PAD + (room[1] - picture.height) // 2
        sheet.paste(picture, at)
        below = y + _PAD + room[1] + 6
        _write(pen, (x + _PAD, below), cell.title, 17, _INK, room[0])
        _write(pen, (x + _PAD, below + 21), cell.detail, 13, _FAINT, room[0])
    return sheet


def _legend(pen: ImageDraw.ImageDraw, legend: Legend) -> None:
    x = _WIDTH - _EDGE
    for name, colour in reversed(legend):
        x -= int(font(17).getlength(name))
        pen.text((x, 30), name, _INK, font(17))
        pen.rounded_rectangle((x - 26, 33, x - 8, 47), radius=3, fill=colour)
        x -= 46


def font(size: int) -> ImageFont.FreeTypeFont:
    """The font of captions; what it lacks is to be written through ``shown``."""
    return ImageFont.truetype(str(_FONT), size)


def shown(text: str) -> str:
    """A text on one line; signs that the font lacks stand as their code point."""
    return "".join(c if _has(c) else f"U+{ord(c):04X} " for c in " ".join(text.split()))


def _write(
    pen: ImageDraw.ImageDraw, at: tuple[int, int], text: str, size: int, ink: Colour, width: int
) -> None:
    """One line of text, cut to the width."""
    face = font(size)
    text = shown(text)
    if face.getlength(text) > width:
        while text and face.getlength(text + "…") > width:
            text = text[:-1]
        text += "…"
    pen.text(at, text, ink, face)


def _has(character: str) -> bool:
    # The mask of a sign that the font lacks is the mask of U+FFFF, which no font has.
    if character.isascii():
        return character.isprintable()
    face = font(17)
    return bytes(face.getmask(character)) != bytes(face.getmask("\uffff"))


def fit(image: Image.Image, room: tuple[int, int], *, largest: float = 4.0) -> Image.Image:
    """The image as large as the room allows, at most ``largest`` times its size."""
    scale = min(room[0] / image.width, room[1] / image.height, largest)
    size = max(round(image.width * scale), 1), max(round(image.height * scale), 1)
    return image.resize(size, Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.BICUBIC)


def outlined(
    image: Image.Image, outlines: Iterable[tuple[Polygon, Colour]], room: tuple[int, int]
) -> Image.Image:
    """The image as large as the room allows, with closed lines in pixels of the image.

    Drawn at twice the size, then reduced: Pillow's lines are jagged.
    """
    fine = fit(image, (2 * room[0], 2 * room[1]))
    scale = fine.width / image.width
    pen = ImageDraw.Draw(fine)
    for polygon, colour in outlines:
        points = [(x * scale, y * scale) for x, y in polygon]
        pen.line([*points, points[0]], fill=colour, width=5, joint="curve")
    return fine.resize((max(fine.width // 2, 1), max(fine.height // 2, 1)), Image.Resampling.BOX)


def text_outlines(regions: Iterable[Region]) -> list[tuple[Polygon, Colour]]:
    """The outlines of text; the legible ones last, to stay in sight where they meet ignored ones.

    An ignored region may have no vertex; it has no outline either.
    """
    ordered = sorted(regions, key=lambda region: not region.ignored)
    return [(one.polygon, IGNORED if one.ignored else LEGIBLE) for one in ordered if one.polygon]


def told(regions: Sequence[Region]) -> tuple[str, str]:
    """What the text of a photograph says, and how much of it is legible."""
    ignored = sum(region.ignored for region in regions)
    texts = [region.text for region in regions if region.text and not region.ignored]
    counts = f"{len(regions) - ignored} legible, {ignored} ignored"
    return " · ".join(texts) or "no legible text", counts
