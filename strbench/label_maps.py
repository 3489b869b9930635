"""What a detector is trained on, as a picture: a window of one photograph and the maps drawn of its text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from strbench.drawing import (
    IGNORED,
    LEGIBLE,
    Cell,
    Colour,
    fit,
    outlined,
    room_of,
    sheet_of,
    text_outlines,
    told,
)
from strbench.feeds import Item, PageFeed
from strbench.loading import Pixels
from strbench.types import Polygon, Region

_COLUMNS, _HEIGHT = 4, 300
_MOST = 4  # channels of one target that are drawn
# Matplotlib's viridis at 0, 1/4, 1/2, 3/4 and 1: dark to light, for eyes of every kind.
_SCALE = np.array([(68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37)])
_INK: Colour = (94, 60, 200)  # of a target that is points


def label_maps(
    feed: PageFeed, item: Item, seed: int, *, title: str, facts: str
) -> tuple[Image.Image, list[dict[str, Any]]]:
    """The picture of what one photograph becomes, and a row for each target: shape, type, values.

    The photograph and the window that ``seed`` cuts come first, with the outlines of their text. A target
    on the window's grid, or on one that is a whole number of times coarser, is a map, its least value
    dark and its greatest light over the window in grey; of several channels the first four are drawn.
    Outlines and boxes are drawn into the window. Other targets, such as the words of a caption, are in the
    rows alone.
    """
    window, scene = feed.window(item, seed)
    targets = feed.targets(scene)
    room = room_of(_COLUMNS, _HEIGHT)
    cells = [
        _photograph(item.arrays[0], item.regions, "photograph", room),
        _photograph(window, scene.regions, "window", room),
    ]
    rows = []
    for name, values in targets.items():
        drawn = list(_cells(name, values, window, room))
        cells += drawn
        rows.append(_row(name, values, is_drawn=bool(drawn)))
    legend = (("legible", LEGIBLE), ("ignored", IGNORED))
    picture = sheet_of(
        cells,
        len(cells),
        columns=_COLUMNS,
        height=_HEIGHT,
        title=title,
        facts=facts,
        legend=legend,
    )
    return picture, rows


def _photograph(
    pixels: Pixels, regions: Sequence[Region], name: str, room: tuple[int, int]
) -> Cell:
    picture = outlined(Image.fromarray(pixels), text_outlines(regions), room)
    texts, counts = told(regions)
    size = f"{pixels.shape[1]} x {pixels.shape[0]}"
    return Cell(picture, f"{name}: {texts}", f"{size}  ·  {counts}")


def _cells(
    name: str, values: NDArray[Any], window: Pixels, room: tuple[int, int]
) -> Iterator[Cell]:
    """The pictures of a target: one, one a channel, or none."""
    if _is_grid(values.shape, window):
        yield Cell(_map(values, window, room), name, _said(values))
    elif values.ndim == 3 and _is_grid(values.shape[1:], window):
        for k, channel in enumerate(values[:_MOST]):
            place = f"{name}, {k + 1} of {len(values)}"
            yield Cell(_map(channel, window, room), place, _said(channel))
    elif outlines := _outlines(values):
        picture = outlined(Image.fromarray(window), [(one, _INK) for one in outlines], room)
        yield Cell(picture, name, f"{len(outlines)} of at most {len(values)}")


def _is_grid(shape: tuple[int, ...], window: Pixels) -> bool:
    high, wide = window.shape[:2]
    if len(shape) != 2 or high % shape[0] or wide % shape[1]:
        return False
    return bool(high // shape[0] == wide // shape[1])


def _outlines(values: NDArray[Any]) -> list[Polygon]:
    """Points (n, k, 2), or boxes (n, 4) as left, upper, right, lower; those that are one point are none."""
    if values.dtype.kind != "f":
        return []
    if values.ndim == 2 and values.shape[1] == 4:
        values = values[:, [[0, 1], [2, 1], [2, 3], [0, 3]]]
    if values.ndim != 3 or values.shape[2] != 2:
        return []
    return [tuple((x, y) for x, y in one.tolist()) for one in values if np.ptp(one, axis=0).any()]


def _map(values: NDArray[Any], window: Pixels, room: tuple[int, int]) -> Image.Image:
    """The map in colours over the window in grey, each of its cells a block."""
    if values.dtype.kind in "iu":  # names of things: told apart by rank
        values = np.unique(values, return_inverse=True)[1].reshape(values.shape)
    level = values.astype(np.float64)
    low, high = (0.0, 1.0) if values.dtype.kind == "b" else (level.min(), level.max())
    level = (level - low) / (high - low) if high > low else np.zeros_like(level)
    stops = np.linspace(0, 1, len(_SCALE))
    colours = np.stack([np.interp(level, stops, channel) for channel in _SCALE.T], axis=-1)
    block = window.shape[0] // values.shape[0]
    colours = colours.repeat(block, axis=0).repeat(block, axis=1)
    mixed = 0.75 * colours + 0.25 * window.mean(axis=2, keepdims=True)
    return fit(Image.fromarray(mixed.astype(np.uint8)), room)


def _said(values: NDArray[Any]) -> str:
    size = f"{values.shape[1]} x {values.shape[0]} {values.dtype}"
    if values.dtype.kind == "b":
        return f"{size}  ·  {values.mean():.1%} true"
    return f"{size}  ·  {values.min():g} to {values.max():g}"


def _row(name: str, values: NDArray[Any], *, is_drawn: bool) -> dict[str, Any]:
    return {
        "target": name,
        "shape": " x ".join(map(str, values.shape)) or "one number",
        "type": str(values.dtype),
        "least": f"{values.min():g}",
        "greatest": f"{values.max():g}",
        "drawn": "yes" if is_drawn else "no",
    }
