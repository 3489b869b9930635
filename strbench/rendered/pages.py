"""Photographs of several words, with the outline of each, for detection and spotting.

Words come in signs: one word, a line, or lines of words in one font, on a plate or on whatever is
behind, turned, in perspective or on an arc. Signs never overlap and lie wholly inside the picture. A
word's polygon is the tight rectangle around its ink, sent through the warp that drew it: four vertices
clockwise from the upper left corner of the text, or, on an arc, as many along the upper and then the
lower edge as keep the outline within half a pixel of the arc, ten or more in all. Shadows and outlines
may reach beyond it.

A word that nobody could read is *ignored* and its text "###": its letters are lower than 6 pixels,
one more for every pass of the lens's blur, or its ink changed what was behind it by less than 16 levels
of 255 and half the strength of the noise. Height is the mean length of the polygon's left and right
side; the change is that of the channel that changed most, times the exposure, averaged over the
ink.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from strbench.geometry import bounds
from strbench.rendered import scenery
from strbench.rendered.composing import paint
from strbench.rendered.png import encode_png
from strbench.rendered.scenery import Colour, Coverage, Planes
from strbench.rendered.signs import Box, PageConfig, Sign, draw_sign, widened
from strbench.rendered.surroundings import surroundings
from strbench.rendered.warping import Frame, frame
from strbench.rendered.wordlist import Draws, Side
from strbench.types import Polygon, Region, Sample

RULE = (
    'ignored, with the text "###": letters lower than 6 pixels and one more a pass of blur, or ink that '
    "changes what is behind it by less than 16 levels and half the noise"
)
_LOWEST = 6  # pixels of a letter that can be read in a sharp picture
_FAINTEST = 16  # levels of 255 that its ink changes
_UNEVEN = 18  # mean deviation of a ground, in levels, above which a sign gets a plate
_TRIES = 6  # places for a sign, and signs beyond the wanted number of words


class Page(NamedTuple):
    """A drawn page."""

    image: npt.NDArray[np.uint8]  # (H, W, 3), RGB
    regions: tuple[Region, ...]  # one or more

    def sample(self, id_: str) -> Sample:
        """The page as it is written to a store, its image as PNG."""
        return Sample(id_, encode_png(self.image), regions=self.regions)


class _Camera(NamedTuple):
    """How the picture is taken; drawn first, because it decides what can be read."""

    exposure: int  # 1/256
    blur: int  # passes of the filter 1 2 1
    smear: int  # further passes in one direction
    is_level: bool  # the direction: across
    noise: int  # the most it adds or takes
    loss: int  # of compression; 0 for none


def page(draws: Draws, config: PageConfig, side: Side) -> Page:
    """A page with words of one side."""
    hard = config.difficulty
    camera = _camera(draws, hard)
    planes = surroundings(draws, config.height, config.width, hard)
    taken = np.zeros(planes.shape[1:], np.bool_)
    wanted = draws.integer(config.min_words, config.max_words)
    regions: list[Region] = []
    for _ in range(wanted + _TRIES):
        if len(regions) >= wanted:
            break
        sign = draw_sign(draws, config, side, wanted - len(regions))
        regions += _hang(draws, config, camera, planes, taken, sign)
    return Page(scenery.finished(_photographed(draws, camera, planes, hard)), tuple(regions))


def _camera(draws: Draws, hard: float) -> _Camera:
    exposure = draws.integer(90, 180) if draws.chance(0.2 * hard) else 256
    lens = draws.weighted((1 - 0.6 * hard, 0.35 * hard, 0.17 * hard, 0.08 * hard))
    smear = draws.integer(1, 5) if draws.chance(0.12 * hard) else 0
    noise = draws.pick((4, 8, 14, 24)) if draws.chance(0.6 * hard) else 0
    loss = draws.pick((1, 2, 3, 5)) if draws.chance(0.6 * hard) else 0
    return _Camera(exposure, lens, smear, draws.chance(0.7), noise, loss)


def _hang(
    draws: Draws,
    config: PageConfig,
    camera: _Camera,
    planes: Planes,
    taken: npt.NDArray[np.bool_],
    sign: Sign,
) -> list[Region]:
    """The sign drawn where there is room for it, and its words' regions; none where there is not."""
    hard = 0.0 if sign.is_faint else config.difficulty
    block = sign.block
    letter = block.words[0][3] - block.words[0][1]
    # The plate, and the room that a sign without one keeps to its neighbours.
    pad = max(round(draws.between(0.12, 0.6) * letter), math.ceil(3 / sign.pose.scale))
    box = widened(block.box, min(pad, block.box[0] - 1))  # the mask's border holds it
    crop = frame(box, sign.pose, max_height=config.height - 2, max_width=config.width - 2)
    sampler = crop.sampler(block.mask.shape)
    plate = sampler.take(_filled(block.mask.shape, box))
    place = _place(draws, taken, plate > 0)
    if place is None:
        return []
    top, left = place
    area = np.s_[top : top + crop.height, left : left + crop.width]
    taken[area] |= plate > 0
    part = planes[:, *area]
    text = sampler.take(block.mask)
    if crop.scale > 1.25:  # large letters have edges as sharp as small ones
        steep = (text.astype(np.int32) - 128) * round(crop.scale * 16) // 16 + 128
        text = steep.clip(0, 255).astype(np.uint16)
    ground = _mean_under(part, text)
    if draws.chance(0.4 * config.difficulty) or _unevenness(part, text, ground) > _UNEVEN:
        ground = scenery.any_colour(draws)
        inner = plate
        if draws.chance(0.35):
            scenery.lay(part, scenery.any_colour(draws), plate)
            inner = sampler.take(_filled(block.mask.shape, widened(box, -draws.integer(1, 3))))
        reach = draws.integer(0, 30)
        light = scenery.smooth(scenery.field(draws, 1, 2, 2, -reach, reach), *plate.shape)
        scenery.lay(part, scenery.bounded(scenery.flat(ground, *plate.shape) + light), inner)
    behind = part.copy()
    ink = _faint(draws, ground) if sign.is_faint else scenery.ink_on(draws, ground, 0.08 * hard)
    paint(draws, part, ink, text, height=round(letter * crop.scale), hard=hard)
    scenery.bounded(part)
    change = np.abs(part - behind).max(axis=0)
    regions = []
    for word, box_ in zip(sign.texts, block.words, strict=True):
        polygon = outline(crop, box_)
        is_low = _height(polygon) < _LOWEST + camera.blur + camera.smear
        seen = _mean_change(change, text, polygon) * camera.exposure >> 8
        moved = tuple((x + left, y + top) for x, y in polygon)
        if is_low or seen < _FAINTEST + camera.noise // 2:
            regions.append(Region(moved, "###", ignored=True))
        else:
            regions.append(Region(moved, word))
    return regions


def _filled(shape: tuple[int, ...], box: Box) -> npt.NDArray[np.uint8]:
    """A mask of that shape that is full inside the box."""
    mask = np.zeros(shape, np.uint8)
    mask[box[1] : box[3], box[0] : box[2]] = 255
    return mask


def _place(
    draws: Draws, taken: npt.NDArray[np.bool_], foot: npt.NDArray[np.bool_]
) -> tuple[int, int] | None:
    """Row and column of the upper left corner where nothing is yet; None after some tries."""
    height, width = foot.shape
    for _ in range(_TRIES):
        top = draws.integer(0, taken.shape[0] - height)
        left = draws.integer(0, taken.shape[1] - width)
        if not (taken[top : top + height, left : left + width] & foot).any():
            return top, left
    return None


def _mean_under(part: Planes, text: Coverage) -> Colour:
    """The mean colour where the text is to be."""
    weight = text.astype(np.int64)
    total = max(int(weight.sum()), 1)
    red, green, blue = (int((plane * weight).sum()) // total for plane in part)
    return red, green, blue


def _unevenness(part: Planes, text: Coverage, mean: Colour) -> int:
    """The mean deviation from that colour where the text is to be, in the channel's mean."""
    away = np.abs(part - np.array(mean, np.int16)[:, None, None]).sum(axis=0, dtype=np.int64)
    return int((away * text).sum()) // max(3 * int(text.sum(dtype=np.int64)), 1)


def _faint(draws: Draws, ground: Colour) -> Colour:
    """An ink hardly lighter or darker than the ground."""
    step = draws.integer(4, 12) * draws.pick((-1, 1))
    red, green, blue = (min(255, max(0, c + step)) for c in ground)
    return red, green, blue


def _mean_change(change: npt.NDArray[np.int16], text: Coverage, polygon: Polygon) -> int:
    """What painting changed around a word, averaged over its ink; 0 where it left none."""
    left, top, right, bottom = bounds(polygon)
    area = np.s_[max(int(top), 0) : int(bottom) + 1, max(int(left), 0) : int(right) + 1]
    weight = text[area].astype(np.int64)
    return int((change[area] * weight).sum()) // max(int(weight.sum()), 1)


def outline(crop: Frame, box: Box) -> Polygon:
    """The polygon of a box of the mask in its crop.

    Vertices are rounded to eighths of a pixel, which text formats and JSON hold exactly.
    """
    x0, y0, x1, y1 = box
    sides = 1
    if crop.pose.bend:
        # A chord of length a leaves an arc of radius r by a * a / (8 r).
        whole = max(crop.box[2] - crop.box[0], 4)
        angle = abs(crop.pose.bend) * (x1 - x0) / whole
        radius = (whole / abs(crop.pose.bend) + (y1 - y0)) * crop.scale
        sides = max(4, math.ceil(angle * math.sqrt(radius / 4)))
    along = [x0 + (x1 - x0) * i / sides for i in range(sides + 1)]
    seen = [crop.seen(u, y0) for u in along] + [crop.seen(u, y1) for u in reversed(along)]
    return tuple((round(x * 8) / 8, round(y * 8) / 8) for x, y in seen)


def _height(polygon: Polygon) -> float:
    """The mean length of the left and right side of an ``outline``."""
    half = len(polygon) // 2
    ends = (polygon[0], polygon[-1]), (polygon[half - 1], polygon[half])
    return sum(math.sqrt((ax - bx) ** 2 + (ay - by) ** 2) for (ax, ay), (bx, by) in ends) / 2


def _photographed(draws: Draws, camera: _Camera, planes: Planes, hard: float) -> Planes:
    """The page after light, lens, sensor and compression."""
    if draws.chance(0.4 * hard):
        planes = scenery.lit(draws, planes, hard)
    if camera.exposure != 256:
        planes = ((planes.astype(np.int32) * camera.exposure) >> 8).astype(np.int16)
    planes = scenery.blurred(planes, camera.blur)
    planes = scenery.blurred(planes, camera.smear, across=camera.is_level, down=not camera.is_level)
    if camera.noise:
        planes = scenery.noisy(draws, planes, camera.noise, coloured=draws.chance(0.3))
    if camera.loss:
        planes = scenery.compressed(scenery.bounded(planes), camera.loss)
    return planes
