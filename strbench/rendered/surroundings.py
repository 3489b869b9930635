"""What a page shows around its text: streets, rooms and walls, and things that are not text.

Nothing here is a letter, but much has the strokes, rows and contrasts of letters (bricks, railings,
windows, goods on a shelf), so that a detector has something to tell text from. All arithmetic is in
integers.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from strbench.rendered.scenery import (
    Colour,
    Planes,
    any_colour,
    blurred,
    bounded,
    field,
    flat,
    smooth,
)
from strbench.rendered.wordlist import Draws

Ints = npt.NDArray[np.int32]
Level = npt.NDArray[np.int16]  # (H, W), to be added to all channels


def surroundings(draws: Draws, height: int, width: int, strength: float) -> Planes:
    """The picture behind a page's text, (3, height, width); strength 0 is one plain colour."""
    if strength == 0:
        return flat(any_colour(draws), height, width)
    surface, count = _surfaces(draws, height, width)
    colours = np.array([_dull(draws) for _ in range(count)], np.int16).T  # (3, count)
    planes = colours.take(surface, axis=1)
    relief = np.zeros((height, width), np.int16)
    for i in range(count):
        if draws.chance(0.6 * strength):
            relief += np.where(surface == i, _pattern(draws, height, width), np.int16(0))
    for knots in (draws.integer(3, 8), draws.pick((16, 24)), draws.pick((48, 80, 120))):
        if draws.chance(0.7 * strength):  # stains and shadows; plaster and leaves; grain
            most = max(2, round(draws.pick((5, 10, 20, 45)) * strength))
            reach = np.array([draws.integer(0, most) for _ in range(count)], np.int16)
            noise = smooth(field(draws, 1, knots, knots * 4 // 3, -64, 64), height, width)[0]
            relief += (noise * reach.take(surface)) >> 6
    relief += smooth(field(draws, 1, 2, 3, -30, 30), height, width)[0]
    planes += relief + smooth(field(draws, 3, 2, 2, -9, 9), height, width)
    bounded(planes)
    for _ in range(round(draws.integer(0, 26) * strength)):
        _thing(draws, planes)
    return blurred(planes, draws.weighted((0.25, 0.5, 0.2, 0.05)))


def _dull(draws: Draws) -> Colour:
    """The colour of a wall, a floor or a sky: now and then vivid, mostly a tinted grey."""
    if draws.chance(0.12):
        return any_colour(draws)
    level = draws.integer(10, 240)
    spread = draws.pick((3, 8, 16, 30))
    red, green, blue = (min(255, max(0, level + draws.integer(-spread, spread))) for _ in range(3))
    return red, green, blue


def _surfaces(draws: Draws, height: int, width: int) -> tuple[npt.NDArray[np.uint8], int]:
    """The number of the surface that every pixel belongs to, and how many there are.

    Edges cross the picture anywhere, or all meet in one vanishing point as in a room or a street.
    """
    surface = np.zeros((height, width), np.uint8)
    y, x = np.arange(height)[:, None], np.arange(width)
    count = 1
    meet = draws.chance(0.5)
    x0, y0 = draws.integer(width // 6, width * 5 // 6), draws.integer(height // 5, height * 4 // 5)
    for _ in range(draws.weighted((0.18, 0.2, 0.24, 0.2, 0.18))):
        if not meet:
            x0, y0 = draws.integer(0, width), draws.integer(0, height)
        a, b = draws.pick(((0, 1), (1, 0), (1, 6), (-1, 6), (6, 1), (6, -1), (2, 3), (-2, 3)))
        beyond = (x - x0) * a + (y - y0) * b > 0
        split = draws.integer(0, count - 1)
        surface[beyond & (surface == split)] = count
        count += 1
    return surface, count


def _pattern(draws: Draws, height: int, width: int) -> Level:
    """A pattern that goes on without end, a little turned or seen at a slant."""
    y, x = np.arange(height, dtype=np.int32)[:, None], np.arange(width, dtype=np.int32)
    lean, rise = (draws.integer(-40, 40) if draws.chance(0.6) else 0 for _ in range(2))
    across, down = x + ((y * lean) >> 8), y + ((x * rise) >> 8)
    across, down = across + np.int32(4096), down + np.int32(4096)  # above 0 everywhere
    if draws.chance(0.25):  # a floor that runs away
        depth = np.int32(1 << 20) // (y + draws.integer(20, height // 2))
        across = (((x - draws.integer(0, width)) * depth) >> 12) + np.int32(1 << 20)
        down = depth >> draws.integer(4, 6)
    dark = draws.integer(12, 60) * draws.pick((-1, 1))
    kind = draws.weighted((0.3, 0.2, 0.2, 0.3))
    if kind == 0:
        return _bricks(draws, across, down, dark)
    if kind == 1:  # railings, planks, blinds
        pitch = draws.integer(4, 40)
        along = across if draws.chance(0.6) else down
        stripe = along % pitch < draws.integer(1, max(1, pitch // 2))
        level: Level = np.broadcast_to(stripe * np.int16(dark), (height, width))
        return level
    if kind == 2:
        return _windows(draws, across, down)
    knots = draws.pick((20, 40, 80))  # leaves, rubble: noise in few steps
    noise = smooth(field(draws, 1, knots, knots * 4 // 3, 0, 255), height, width)[0]
    level = ((noise >> draws.pick((5, 6))) * np.int16(dark)) >> draws.pick((1, 2))
    return level


def _bricks(draws: Draws, across: Ints, down: Ints, dark: int) -> Level:
    """Bricks or tiles, each of its own shade, with seams."""
    tall = draws.integer(6, 48)
    wide = tall * draws.integer(2, 6) // 2
    seam = draws.integer(1, max(1, tall // 8))
    row = down // tall
    across = across + (row & 1) * (wide // 2 if draws.chance(0.7) else 0)
    column = across // wide
    shades = field(draws, 1, 1, 64, -draws.integer(0, 25), 25).astype(np.int16).ravel()
    level: Level = shades[(row * 7 + column * 13) & 63]
    level[(across - column * wide < seam) | (down - row * tall < seam)] = dark
    return level


def _windows(draws: Draws, across: Ints, down: Ints) -> Level:
    """A front of windows, each lit or dark."""
    tall, wide = draws.integer(14, 90), draws.integer(10, 70)
    row, column = down // tall, across // wide
    y, x = down - row * tall, across - column * wide
    edge_y, edge_x = draws.integer(1, max(1, tall // 3)), draws.integer(1, max(1, wide // 3))
    shades = field(draws, 1, 1, 64, -80, draws.integer(-20, 80)).astype(np.int16).ravel()
    level: Level = shades[(row * 5 + column * 11) & 63]
    level[(y < edge_y) | (x < edge_x)] = 0
    if draws.chance(0.4):  # a bar in the middle
        level[x == (wide + edge_x) // 2] = 0
    return level


def _thing(draws: Draws, planes: Planes) -> None:
    """One thing somewhere, drawn in place: a plate, a ball, a cable, a lamp or a shelf of goods."""
    _, height, width = planes.shape
    kind = draws.weighted((0.3, 0.2, 0.15, 0.1, 0.25))
    # Many small ones and few large ones; lamps are small.
    size = 4 + draws.integer(0, 60) * draws.integer(0, 60) // (80 if kind == 3 else 20)
    tall = max(2, min(height, size * draws.integer(2, 8) // 4))
    wide = max(2, min(width, size * draws.integer(2, 8) // 4))
    y, x = draws.integer(-tall // 3, height - 1), draws.integer(-wide // 3, width - 1)
    rows, columns = slice(max(y, 0), y + tall), slice(max(x, 0), x + wide)
    colour = any_colour(draws)
    if kind == 0:
        planes[:, rows, columns] = _ink(colour)
        if draws.chance(0.5) and min(tall, wide) > 8:  # with a rim
            rim = draws.integer(1, min(tall, wide) // 6)
            inside = slice(max(y, 0) + rim, y + tall - rim), slice(max(x, 0) + rim, x + wide - rim)
            planes[:, inside[0], inside[1]] = _ink(any_colour(draws))
    elif kind in (1, 3):  # a ball or a ring; a lamp
        level = (255, 255, draws.integer(180, 255)) if kind == 3 else colour
        v = (2 * (np.arange(rows.start, min(rows.stop, height)) - y) + 1 - tall)[:, None]
        u = 2 * (np.arange(columns.start, min(columns.stop, width)) - x) + 1 - wide
        reach = v * v * wide * wide + u * u * tall * tall
        inside_ = reach <= tall * tall * wide * wide
        if kind == 1 and draws.chance(0.35):
            inside_ &= 2 * reach > tall * tall * wide * wide
        _fill(planes, rows, columns, inside_, level)
    elif kind == 2:
        _cable(draws, planes, colour)
    else:
        _shelf(draws, planes, y, x)


def _ink(colour: Colour) -> Planes:
    return np.array(colour, np.int16)[:, None, None]


def _fill(
    planes: Planes, rows: slice, columns: slice, where: npt.NDArray[np.bool_], colour: Colour
) -> None:
    part = planes[:, rows, columns]
    np.copyto(part, _ink(colour), where=where)


def _cable(draws: Draws, planes: Planes, colour: Colour) -> None:
    """A straight pole, cable or edge through the whole picture."""
    _, height, width = planes.shape
    thick = draws.pick((1, 1, 2, 3, 5, 9, 16))
    upright = draws.chance(0.5)
    length, across = (height, width) if upright else (width, height)
    start = draws.integer(0, across)
    lean = draws.integer(-64, 64) * draws.integer(0, 3)
    place = start + ((np.arange(length) * lean) >> 8)  # of the centre line
    for t in range(thick):
        at = place + t
        good = np.flatnonzero((at >= 0) & (at < across))
        if upright:
            planes[:, good, at[good]] = _ink(colour)[:, 0]
        else:
            planes[:, at[good], good] = _ink(colour)[:, 0]


def _shelf(draws: Draws, planes: Planes, y: int, x: int) -> None:
    """Goods in a row: boxes, books, bottles, people far away; of one kind or each of its own."""
    _, height, width = planes.shape
    tall, wide = draws.integer(6, 60), draws.integer(2, 24)
    alike = any_colour(draws) if draws.chance(0.5) else None
    gap = draws.integer(0, 1 + wide // 2)
    for _ in range(draws.integer(3, 16)):
        high, broad = draws.integer(tall // 2, tall), draws.integer(max(1, wide // 2), wide)
        top, left = max(y + tall - high, 0), max(x, 0)
        if y + tall > 0 and x + broad > 0 and left < width and top < height:
            planes[:, top : y + tall, left : x + broad] = _ink(alike or any_colour(draws))
        x += broad + gap
