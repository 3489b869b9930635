"""A contact sheet: samples of a split on one picture, so that a person sees what was prepared.

Words with their labels; photographs with the outlines of their text, legible and ignored; pairs, low
above high resolution; images beside their text mask.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from strbench.loading import decode
from strbench.masks import EFFECT, IGNORED, TEXT, decode_mask
from strbench.store import Split
from strbench.types import Region

Colour = tuple[int, int, int]

_WIDTH = 1600  # pixels of the sheet
_EDGE, _GAP, _PAD = 32, 16, 8  # around the sheet, between cells, inside a cell
_PAPER: Colour = (246, 247, 249)
_CARD: Colour = (255, 255, 255)
_LINE: Colour = (222, 226, 232)
_INK: Colour = (27, 31, 36)
_FAINT: Colour = (108, 116, 128)
_LEGIBLE: Colour = (0, 184, 122)  # told apart without red-green vision, too
_IGNORED: Colour = (232, 92, 10)
_MASKS: dict[int, tuple[str, Colour]] = {
    TEXT: ("text", _LEGIBLE),
    EFFECT: ("effect", (86, 120, 220)),
    IGNORED: ("ignored", _IGNORED),
}
_FONT = Path(__file__).parent / "fonts" / "cabin" / "Cabin-Bold.otf"


class _Layout(NamedTuple):
    columns: int
    height: int  # room of a picture
    samples: int
    draw: Callable[[Split, int, tuple[int, int]], tuple[Image.Image, str, str]]
    legend: tuple[tuple[str, Colour], ...] = ()
    note: str = ""


def contact_sheet(split: Split, *, samples: int | None = None) -> Image.Image:
    """The sheet of a split, 1600 pixels wide; its samples are spread evenly over the split.

    Args:
        samples: how many are shown; None lets the task decide.

    Raises:
        StrbenchError: a sample cannot be read.
    """
    layout = _LAYOUTS[split.manifest.task]
    n = min(samples or layout.samples, split.n)
    cell_width = (_WIDTH - 2 * _EDGE - (layout.columns - 1) * _GAP) // layout.columns
    room = (cell_width - 2 * _PAD, layout.height)
    caption = 44
    cell_height = room[1] + caption + 2 * _PAD
    rows = -(-n // layout.columns)
    head = 104
    height = head + rows * (cell_height + _GAP) - _GAP + _EDGE
    sheet = Image.new("RGB", (_WIDTH, height), _PAPER)
    pen = ImageDraw.Draw(sheet)
    _head(pen, split, layout, n)
    for k in range(n):
        index = k * split.n // n
        picture, title, detail = layout.draw(split, index, room)
        x = _EDGE + k % layout.columns * (cell_width + _GAP)
        y = head + k // layout.columns * (cell_height + _GAP)
        frame = (x, y, x + cell_width - 1, y + cell_height - 1)
        pen.rounded_rectangle(frame, radius=6, fill=_CARD, outline=_LINE)
        at = x + (cell_width - picture.width) // 2, y + _PAD + (room[1] - picture.height) // 2
        sheet.paste(picture, at)
        below = y + _PAD + room[1] + 6
        _write(pen, (x + _PAD, below), title, 17, _INK, room[0])
        _write(pen, (x + _PAD, below + 21), detail, 13, _FAINT, room[0])
    return sheet


def _head(pen: ImageDraw.ImageDraw, split: Split, layout: _Layout, n: int) -> None:
    manifest = split.manifest
    _write(pen, (_EDGE, 24), split.name, 30, _INK, 900)
    counts = "".join(f", {value:,} {key}" for key, value in manifest.counts.items() if value)
    facts = (
        f"{split.n:,} samples{counts}  ·  {manifest.task}, labels {manifest.labels}  ·  "
        f"{split.fingerprint[:12]}  ·  {n} shown{', ' + layout.note if layout.note else ''}"
    )
    _write(pen, (_EDGE, 64), facts, 17, _FAINT, _WIDTH - 2 * _EDGE)
    x = _WIDTH - _EDGE
    for name, colour in reversed(layout.legend):
        x -= int(_font(17).getlength(name))
        pen.text((x, 30), name, _INK, _font(17))
        pen.rounded_rectangle((x - 26, 33, x - 8, 47), radius=3, fill=colour)
        x -= 46


def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(_FONT), size)


def _write(
    pen: ImageDraw.ImageDraw, at: tuple[int, int], text: str, size: int, ink: Colour, width: int
) -> None:
    """One line of text, cut to the width; signs that the font lacks stand as their code point."""
    font = _font(size)
    text = "".join(c if _has(c) else f"U+{ord(c):04X} " for c in " ".join(text.split()))
    if font.getlength(text) > width:
        while text and font.getlength(text + "…") > width:
            text = text[:-1]
        text += "…"
    pen.text(at, text, ink, font)


def _has(character: str) -> bool:
    # The mask of a sign that the font lacks is the mask of U+FFFF, which no font has.
    if character.isascii():
        return character.isprintable()
    font = _font(17)
    return bytes(font.getmask(character)) != bytes(font.getmask("\uffff"))


def _fit(image: Image.Image, room: tuple[int, int], *, largest: float = 4.0) -> Image.Image:
    """The image as large as the room allows, at most ``largest`` times its size."""
    scale = min(room[0] / image.width, room[1] / image.height, largest)
    size = max(round(image.width * scale), 1), max(round(image.height * scale), 1)
    return image.resize(size, Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.BICUBIC)


def _size(image: Image.Image) -> str:
    return f"{image.width} x {image.height}"


def _open(data: bytes) -> Image.Image:
    return Image.fromarray(decode(data))


def _word(split: Split, index: int, room: tuple[int, int]) -> tuple[Image.Image, str, str]:
    image = _open(split.image(index))
    label = split.label(index)
    return _fit(image, room), label or "no label", f"{split.ids[index]}  ·  {_size(image)}"


def _photograph(split: Split, index: int, room: tuple[int, int]) -> tuple[Image.Image, str, str]:
    image = _open(split.image(index))
    regions = split.regions(index)
    fine = _fit(image, (2 * room[0], 2 * room[1]))  # drawn at twice the size, then reduced
    _outline(fine, regions, fine.width / image.width)
    picture = fine.resize((max(fine.width // 2, 1), max(fine.height // 2, 1)), Image.Resampling.BOX)
    ignored = sum(region.ignored for region in regions)
    texts = [region.text for region in regions if region.text and not region.ignored]
    title = " · ".join(texts) or "no legible text"
    counts = f"{len(regions) - ignored} legible, {ignored} ignored"
    return picture, title, f"{split.ids[index]}  ·  {_size(image)}  ·  {counts}"


def _outline(image: Image.Image, regions: tuple[Region, ...], scale: float) -> None:
    pen = ImageDraw.Draw(image)
    # Ignored ones first: where they meet a legible one, that stays in sight.
    for region in sorted(regions, key=lambda region: not region.ignored):
        points = [(x * scale, y * scale) for x, y in region.polygon]
        colour = _IGNORED if region.ignored else _LEGIBLE
        pen.line([*points, points[0]], fill=colour, width=5, joint="curve")


def _pair(split: Split, index: int, room: tuple[int, int]) -> tuple[Image.Image, str, str]:
    high, low = _open(split.image(index)), _open(split.low(index))
    half = (room[0], (room[1] - 6) // 2)
    upper = _fit(high, half, largest=8.0)
    # The low one at the same size, each of its pixels a block: what a model is given.
    lower = low.resize(upper.size, Image.Resampling.NEAREST)
    picture = Image.new("RGB", (upper.width, 2 * upper.height + 6), _CARD)
    picture.paste(lower, (0, 0))
    picture.paste(upper, (0, upper.height + 6))
    detail = f"{split.ids[index]}  ·  {_size(low)} to {_size(high)}"
    return picture, split.label(index) or "no label", detail


def _masked(split: Split, index: int, room: tuple[int, int]) -> tuple[Image.Image, str, str]:
    image = _open(split.image(index))
    mask = decode_mask(split.mask(index))
    pixels = np.asarray(image).astype(np.float64) * 0.35 + 0.65 * 255  # paled, for the colours
    for value, (_, colour) in _MASKS.items():
        pixels[mask == value] = colour
    half = ((room[0] - 6) // 2, room[1])
    left = _fit(image, half)
    right = Image.fromarray(pixels.astype(np.uint8)).resize(left.size, Image.Resampling.BOX)
    picture = Image.new("RGB", (2 * left.width + 6, left.height), _CARD)
    picture.paste(left, (0, 0))
    picture.paste(right, (left.width + 6, 0))
    share = float((mask == TEXT).mean())
    return picture, f"{share:.1%} text", f"{split.ids[index]}  ·  {_size(image)}"


_LAYOUTS: dict[str, _Layout] = {
    "recognition": _Layout(7, 72, 56, _word),
    "detection": _Layout(3, 290, 12, _photograph, (("legible", _LEGIBLE), ("ignored", _IGNORED))),
    "super-resolution": _Layout(5, 150, 35, _pair, note="low resolution above high"),
    "segmentation": _Layout(2, 260, 12, _masked, tuple(_MASKS.values())),
}


def sheet_png(split: Split, *, samples: int | None = None) -> bytes:
    """The sheet of a split as PNG, see ``contact_sheet``."""
    buffer = io.BytesIO()
    contact_sheet(split, samples=samples).save(buffer, "PNG")
    return buffer.getvalue()
