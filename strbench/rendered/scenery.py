"""What surrounds and spoils a drawn word: backgrounds, paper, light, blur, noise, compression.

Pictures are int16 planes (3, H, W), RGB, 0 to 255. All arithmetic is in integers, or in float64 that
holds integers exactly, so that every machine gets the same pixels.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from strbench.rendered.wordlist import Draws

Planes = npt.NDArray[np.int16]  # (3, H, W)
Colour = tuple[int, int, int]
Coverage = npt.NDArray[np.uint16]  # (H, W), 0 to 255


def luminance(colour: Colour) -> int:
    """0 to 255 after Rec. 601, in integers."""
    return (77 * colour[0] + 150 * colour[1] + 29 * colour[2]) >> 8


def any_colour(draws: Draws) -> Colour:
    """Half of the time a grey with a tint, else anything from dull to vivid."""
    level = draws.integer(12, 243)
    spread = draws.pick((8, 20, 60, 110))
    red, green, blue = (min(255, max(0, level + draws.integer(-spread, spread))) for _ in range(3))
    return red, green, blue


def contrasting(draws: Draws, ground: Colour, low: int, high: int = 255) -> Colour:
    """A colour whose luminance is low to high away from that of the ground."""
    level = luminance(ground)
    for _ in range(24):
        colour = any_colour(draws)
        if low <= abs(luminance(colour) - level) <= high:
            return colour
    grey = level - low if level >= 128 else level + low
    return grey, grey, grey


def pair(draws: Draws, poor: float) -> tuple[Colour, Colour]:
    """Ground and ink; with probability ``poor`` they are hard to tell apart."""
    ground = any_colour(draws)
    return ground, ink_on(draws, ground, poor)


def ink_on(draws: Draws, ground: Colour, poor: float) -> Colour:
    """An ink for that ground; with probability ``poor`` the two are hard to tell apart."""
    if draws.chance(poor):
        return contrasting(draws, ground, 30, 60)
    if draws.chance(0.3):  # signs in black or white are frequent
        level = luminance(ground)
        ink = draws.integer(0, 30) if level > 127 else draws.integer(225, 255)
        if abs(level - ink) >= 75:
            return ink, ink, ink
    return contrasting(draws, ground, 75)


@lru_cache(maxsize=4096)
def _weights(length: int, knots: int) -> npt.NDArray[np.float32]:
    """(length, knots) linear interpolation: every row holds integers that sum to 16."""
    place = np.arange(length) * ((knots - 1) * 16) // max(length - 1, 1)
    away = np.abs(place[:, None] - 16 * np.arange(knots))
    weights: npt.NDArray[np.float32] = np.maximum(16 - away, 0).astype(np.float32)
    return weights


def smooth(knots: npt.NDArray[np.int64], height: int, width: int) -> Planes:
    """Values at knots (..., h, w) spread linearly over (..., height, width), as int16."""
    rows = _weights(height, knots.shape[-2])
    columns = _weights(width, knots.shape[-1]).T
    spread = rows @ knots.astype(np.float32) @ columns  # integers below 2**24: exact in any order
    return (spread.astype(np.int32) >> 8).astype(np.int16)


def field(
    draws: Draws, layers: int, rows: int, columns: int, low: int, high: int
) -> npt.NDArray[np.int64]:
    """Uniform integers (layers, rows, columns) from low to high."""
    noise = draws.raw_bytes(layers * rows * columns).astype(np.int64)
    return (low + noise * (high - low + 1) // 256).reshape(layers, rows, columns)


def bounded(planes: Planes) -> Planes:
    """The picture with every value brought into 0 to 255, in place."""
    np.maximum(planes, 0, out=planes)
    return np.minimum(planes, 255, out=planes)


def flat(colour: Colour, height: int, width: int) -> Planes:
    """One colour everywhere."""
    planes = np.empty((3, height, width), np.int16)
    planes[:] = np.array(colour, np.int16)[:, None, None]
    return planes


def background(draws: Draws, ground: Colour, height: int, width: int, strength: float) -> Planes:
    """A wall, sign or sky of about the ground's colour; ``strength`` 0 is plain, 1 is busy."""
    planes = flat(ground, height, width)
    if draws.chance(0.35 * strength):  # light falls off over the sign
        reach = round(35 * strength)
        planes += smooth(field(draws, 3, 2, 2, -reach, reach), height, width)
    if draws.chance(0.4 * strength):  # plaster, foliage, metal: one texture for all channels
        rows, columns = draws.integer(3, max(3, height // 4)), draws.integer(3, max(3, width // 4))
        reach = draws.integer(4, max(4, round(36 * strength)))
        planes += smooth(field(draws, 1, rows, columns, -reach, reach), height, width)
    if draws.chance(0.2 * strength):  # an edge between two surfaces crosses the crop
        a, b = draws.integer(-8, 8), draws.integer(-8, 8)
        y, x = draws.integer(0, height), draws.integer(0, width)
        beyond = (np.arange(width) - x) * a + ((np.arange(height) - y) * b)[:, None] > 0
        step = draws.integer(-34, 34)
        planes += (beyond * step).astype(np.int16)
    if draws.chance(0.06 * strength):  # planks or bricks
        pitch = draws.integer(5, 18)
        seam = np.arange(height) % pitch == 0 if draws.chance(0.7) else None
        dark = draws.integer(-30, -12)
        if seam is not None:
            planes[:, seam] += np.int16(dark)
        else:
            planes[:, :, np.arange(width) % pitch == 0] += np.int16(dark)
    return bounded(planes)


def frame(draws: Draws, planes: Planes) -> None:
    """Edges of a plate or neighbouring things along one or two sides, drawn in place."""
    _, height, width = planes.shape
    colour = np.array(any_colour(draws), np.int16)[:, None, None]
    thick = draws.integer(1, max(1, height // 12))
    for _ in range(draws.integer(1, 2)):
        side = draws.integer(0, 3)
        inset = draws.integer(0, max(1, height // 20))
        if side < 2:
            at = inset if side == 0 else height - inset - thick
            planes[:, max(at, 0) : max(at, 0) + thick] = colour
        else:
            at = inset if side == 2 else width - inset - thick
            planes[:, :, max(at, 0) : max(at, 0) + thick] = colour


def paper(draws: Draws, height: int, width: int, text_height: int) -> Planes:
    """Plain, ruled or squared paper, white to cream or grey."""
    level = draws.integer(198, 255)
    ground = (level, level - draws.integer(0, 8), level - draws.integer(0, 30))
    planes = flat(ground, height, width)
    planes += smooth(field(draws, 1, 3, 5, -9, 9), height, width)
    kind = draws.weighted((5, 4, 1.5))
    if kind:
        ink = draws.pick(((120, 150, 200), (150, 150, 150), (190, 130, 140), (130, 180, 190)))
        colour = np.array(ink, np.int16)[:, None, None]
        pitch = max(6, round(text_height * (draws.between(1.0, 1.8) if kind == 1 else 0.45)))
        offset = draws.integer(0, pitch - 1)
        rows = np.arange(height) % pitch == offset
        planes[:, rows] = (planes[:, rows] + colour) >> 1
        if kind == 2:
            columns = np.arange(width) % pitch == draws.integer(0, pitch - 1)
            planes[:, :, columns] = (planes[:, :, columns] + colour) >> 1
    return bounded(planes)


def lay(planes: Planes, ink: Planes | Colour, mask: Coverage) -> None:
    """Ink laid over the picture where the mask (H, W), 0 to 255, says so; in place."""
    over = np.array(ink, np.int32)[:, None, None] if isinstance(ink, tuple) else ink
    weight = mask.astype(np.int32)
    weight += weight >> 7  # 255 becomes 256: full cover is full
    planes += (((over - planes) * weight) >> 8).astype(np.int16)


def shifted(mask: Coverage, right: int, down: int) -> Coverage:
    """The mask moved by whole pixels, empty where nothing moved in."""
    moved = np.zeros_like(mask)
    height, width = mask.shape
    rows = slice(max(down, 0), height + min(down, 0))
    columns = slice(max(right, 0), width + min(right, 0))
    from_rows = slice(max(-down, 0), height + min(-down, 0))
    from_columns = slice(max(-right, 0), width + min(-right, 0))
    moved[rows, columns] = mask[from_rows, from_columns]
    return moved


def grown(mask: Coverage, pixels: int) -> Coverage:
    """The mask with every stroke thicker by so many pixels on each side."""
    for _ in range(pixels):
        wide = mask.copy()
        np.maximum(wide[:, 1:], mask[:, :-1], out=wide[:, 1:])
        np.maximum(wide[:, :-1], mask[:, 1:], out=wide[:, :-1])
        tall = wide.copy()
        np.maximum(tall[1:], wide[:-1], out=tall[1:])
        np.maximum(tall[:-1], wide[1:], out=tall[:-1])
        mask = tall
    return mask


def blurred(planes: Planes, times: int, *, across: bool = True, down: bool = True) -> Planes:
    """The picture after ``times`` passes of the filter 1 2 1 in the named directions."""
    for _ in range(times):
        if across and planes.shape[2] > 2:
            middle = planes.copy()
            middle[:, :, 1:-1] += planes[:, :, 1:-1]
            middle[:, :, 1:-1] += planes[:, :, :-2]
            middle[:, :, 1:-1] += planes[:, :, 2:]
            middle[:, :, 1:-1] += 2
            middle[:, :, 1:-1] >>= 2
            planes = middle
        if down and planes.shape[1] > 2:
            middle = planes.copy()
            middle[:, 1:-1] += planes[:, 1:-1]
            middle[:, 1:-1] += planes[:, :-2]
            middle[:, 1:-1] += planes[:, 2:]
            middle[:, 1:-1] += 2
            middle[:, 1:-1] >>= 2
            planes = middle
    return planes


def coarse(planes: Planes, percent: int) -> Planes:
    """The picture as if taken at so many percent of its resolution and enlarged again."""
    _, height, width = planes.shape
    rows, columns = max(6, height * percent // 100), max(6, width * percent // 100)
    if rows >= height or columns >= width:
        return planes
    small = planes[:, np.arange(rows) * height // rows][:, :, np.arange(columns) * width // columns]
    return smooth(small.astype(np.int64), height, width)


def noisy(draws: Draws, planes: Planes, strength: int, *, coloured: bool) -> Planes:
    """The picture with triangular noise of up to about +-strength, one for all channels or each."""
    _, height, width = planes.shape
    layers = 3 if coloured else 1
    count = layers * height * width
    raw = draws.raw_bytes(2 * count).astype(np.int16)
    noise = ((raw[:count] + raw[count:] - 255) * np.int16(min(strength, 120))) >> 8
    return planes + noise.reshape(layers, height, width)


_DCT = np.array(  # 64 * the orthonormal 8-point DCT-II, rounded
    [
        [
            round(32 * (math.sqrt(0.5) if k == 0 else 1) * math.cos((2 * n + 1) * k * math.pi / 16))
            for n in range(8)
        ]
        for k in range(8)
    ],
    dtype=np.float32,
)


def compressed(planes: Planes, loss: int) -> Planes:
    """The picture, 0 to 255, with the blocks and ringing of JPEG; loss 1 hardly shows, 8 is heavy.

    Luminance: an 8 x 8 DCT whose step is loss * (2 + frequency). Colour: halved vertical resolution.
    """
    _, height, width = planes.shape
    rows, columns = -(-height // 8) * 8, -(-width // 8) * 8
    wide = planes.astype(np.int32)
    luma = (77 * wide[0] + 150 * wide[1] + 29 * wide[2]) >> 8
    padded = np.empty((rows, columns), np.float32)
    padded[:height, :width] = luma
    padded[height:, :width] = luma[-1:]
    padded[:, width:] = padded[:, width - 1 : width]
    padded -= 128.0
    step = np.float32(loss) * (2 + np.arange(8)[:, None, None] + np.arange(8)).astype(np.float32)
    # Every product and sum is an integer below 2**24 (loss up to 12), exact in any order.
    half = (_DCT @ padded.reshape(-1, 8, columns)).reshape(-1, 8)
    terms = (half @ _DCT.T).reshape(-1, 8, columns // 8, 8)
    kept = np.rint(terms / (step * 4096.0)) * step
    half = (kept.reshape(-1, 8) @ _DCT).reshape(-1, 8, columns)
    back = np.rint((_DCT.T @ half) / 4096.0) + 128.0
    restored = back.reshape(rows, columns)[:height, :width].astype(np.int16)
    chroma = planes - luma.astype(np.int16)
    even = height & ~1
    mean = (chroma[:, :even:2] + chroma[:, 1:even:2]) >> 1
    chroma[:, :even:2] = mean
    chroma[:, 1:even:2] = mean
    spoiled: Planes = restored + chroma
    return spoiled


def lit(draws: Draws, planes: Planes, strength: float) -> Planes:
    """The picture under uneven light and with another exposure."""
    reach = round(70 * strength)
    _, height, width = planes.shape
    gain = smooth(field(draws, 1, 2, 3, 256 - reach, 256 + reach // 2), height, width)
    return ((planes.astype(np.int32) * gain) >> 8).astype(np.int16)


def finished(planes: Planes) -> npt.NDArray[np.uint8]:
    """The picture as (H, W, 3) uint8."""
    return np.ascontiguousarray(bounded(planes).transpose(1, 2, 0).astype(np.uint8))
