"""A contact sheet: samples of a split on one picture, so that a person sees what was prepared.

Words with their labels; photographs with the outlines of their text, legible and ignored; pairs, low
above high resolution; images beside their text mask.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from PIL import Image

from strbench.drawing import (
    IGNORED,
    LEGIBLE,
    PAPER,
    Cell,
    Colour,
    Legend,
    fit,
    outlined,
    room_of,
    sheet_of,
    text_outlines,
    told,
)
from strbench.loading import decode
from strbench.masks import EFFECT, TEXT, decode_mask
from strbench.masks import IGNORED as IGNORED_PIXEL
from strbench.store import Split

_MASKS: dict[int, tuple[str, Colour]] = {
    TEXT: ("text", LEGIBLE),
    EFFECT: ("effect", (86, 120, 220)),
    IGNORED_PIXEL: ("ignored", IGNORED),
}


class _Layout(NamedTuple):
    columns: int
    height: int  # room of a picture
    samples: int
    draw: Callable[[Split, int, tuple[int, int]], Cell]
    legend: Legend = ()
    note: str = ""


def contact_sheet(split: Split, *, samples: int | None = None) -> Image.Image:
    """The sheet of a split, 1600 pixels wide; its samples are spread evenly over the split.

    Args:
        samples: how many are shown; None lets the task decide.

    Raises:
        StrbenchError: a sample cannot be read.
    """
    manifest = split.manifest
    layout = _LAYOUTS[manifest.task]
    n = min(samples or layout.samples, split.n)
    room = room_of(layout.columns, layout.height)
    counts = "".join(f", {value:,} {key}" for key, value in manifest.counts.items() if value)
    facts = (
        f"{split.n:,} samples{counts}  ·  {manifest.task}, labels {manifest.labels}  ·  "
        f"{split.fingerprint[:12]}  ·  {n} shown{', ' + layout.note if layout.note else ''}"
    )
    return sheet_of(
        (layout.draw(split, k * split.n // n, room) for k in range(n)),
        n,
        columns=layout.columns,
        height=layout.height,
        title=split.name,
        facts=facts,
        legend=layout.legend,
    )


def _size(image: Image.Image) -> str:
    return f"{image.width} x {image.height}"


def _open(data: bytes) -> Image.Image:
    return Image.fromarray(decode(data))


def _word(split: Split, index: int, room: tuple[int, int]) -> Cell:
    image = _open(split.image(index))
    label = split.label(index)
    return Cell(fit(image, room), label or "no label", f"{split.ids[index]}  ·  {_size(image)}")


def _photograph(split: Split, index: int, room: tuple[int, int]) -> Cell:
    image = _open(split.image(index))
    regions = split.regions(index)
    title, counts = told(regions)
    picture = outlined(image, text_outlines(regions), room)
    return Cell(picture, title, f"{split.ids[index]}  ·  {_size(image)}  ·  {counts}")


def _pair(split: Split, index: int, room: tuple[int, int]) -> Cell:
    high, low = _open(split.image(index)), _open(split.low(index))
    half = (room[0], (room[1] - 6) // 2)
    upper = fit(high, half, largest=8.0)
    # The low one at the same size, each of its pixels a block: what a model is given.
    lower = low.resize(upper.size, Image.Resampling.NEAREST)
    picture = Image.new("RGB", (upper.width, 2 * upper.height + 6), PAPER)
    picture.paste(lower, (0, 0))
    picture.paste(upper, (0, upper.height + 6))
    detail = f"{split.ids[index]}  ·  {_size(low)} to {_size(high)}"
    return Cell(picture, split.label(index) or "no label", detail)


def _masked(split: Split, index: int, room: tuple[int, int]) -> Cell:
    image = _open(split.image(index))
    mask = decode_mask(split.mask(index))
    pixels = np.asarray(image).astype(np.float64) * 0.35 + 0.65 * 255  # paled, for the colours
    for value, (_, colour) in _MASKS.items():
        pixels[mask == value] = colour
    half = ((room[0] - 6) // 2, room[1])
    left = fit(image, half)
    right = Image.fromarray(pixels.astype(np.uint8)).resize(left.size, Image.Resampling.BOX)
    picture = Image.new("RGB", (2 * left.width + 6, left.height), PAPER)
    picture.paste(left, (0, 0))
    picture.paste(right, (left.width + 6, 0))
    share = float((mask == TEXT).mean())
    return Cell(picture, f"{share:.1%} text", f"{split.ids[index]}  ·  {_size(image)}")


_LAYOUTS: dict[str, _Layout] = {
    "recognition": _Layout(7, 72, 56, _word),
    "detection": _Layout(3, 290, 12, _photograph, (("legible", LEGIBLE), ("ignored", IGNORED))),
    "super-resolution": _Layout(5, 150, 35, _pair, note="low resolution above high"),
    "segmentation": _Layout(2, 260, 12, _masked, tuple(_MASKS.values())),
}


def sheet_png(split: Split, *, samples: int | None = None) -> bytes:
    """The sheet of a split as PNG, see ``contact_sheet``."""
    buffer = io.BytesIO()
    contact_sheet(split, samples=samples).save(buffer, "PNG")
    return buffer.getvalue()
