"""Where every pixel of a word crop comes from: slant, arc, rotation and perspective of a text line.

Coordinates are computed elementwise in float32 with + - * / and square roots only, which IEEE 754
rounds alike everywhere, then rounded to 1/16 pixel; sampling is in integers. Nothing depends on
Pillow, BLAS or the order of a sum.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from strbench.rendered.glyphs import Line, Mask

Floats = npt.NDArray[np.floating[Any]]  # float32 in fact


@dataclass(frozen=True, kw_only=True)
class Pose:
    """How a line of text lies in the picture."""

    scale: float = 1.0  # picture pixels per line pixel
    turn: float = 0.0  # tan of half the rotation angle, clockwise
    slant: float = 0.0  # shift to the right per pixel upwards
    bend: float = 0.0  # radians of arc the word spans; positive: ends lower than the middle
    tilt_x: float = 0.0  # perspective: relative change of distance from centre to right end
    tilt_y: float = 0.0  # the same from centre to lower edge
    margins: tuple[float, float, float, float] = (0.1, 0.1, 0.1, 0.1)  # left top right bottom,
    # in heights of the text


class Sampler(NamedTuple):
    """The picture's pixels as places in a line's mask."""

    corner: npt.NDArray[np.int32]  # (H, W) place of the upper left of four neighbours
    across: npt.NDArray[np.uint16]  # (H, W) 0 to 15, sixteenths of a pixel to its right
    down: npt.NDArray[np.uint16]  # (H, W)
    halvings: int  # the mask is reduced 2 x 2 so often before sampling

    def take(self, mask: Mask) -> npt.NDArray[np.uint16]:
        """The mask seen in the picture: (H, W), 0 to 255, bilinear."""
        for _ in range(self.halvings):
            mask = _halved(mask)
        flat = mask.astype(np.uint16).ravel()
        width = mask.shape[1]
        left = 16 - self.across
        upper = flat.take(self.corner) * left + flat.take(self.corner + 1) * self.across
        below = self.corner + width
        lower = flat.take(below) * left + flat.take(below + 1) * self.across
        seen: npt.NDArray[np.uint16] = (upper * (16 - self.down) + lower * self.down) >> 8
        return seen  # the sum is at most 255 * 256: uint16 holds it


def _halved(mask: Mask) -> Mask:
    height, width = mask.shape[0] & ~1, mask.shape[1] & ~1
    wide = mask[:height, :width].astype(np.uint16)
    total = wide[::2, ::2] + wide[1::2, ::2] + wide[::2, 1::2] + wide[1::2, 1::2]
    return np.pad(((total + 2) >> 2).astype(np.uint8), 2)


def _arctangent(t: Floats) -> Floats:
    """atan for |t| up to about 4 with an error below 1e-5, from exactly rounded operations."""
    for _ in range(2):
        t = t / (1.0 + np.sqrt(1.0 + t * t))
    s = t * t
    return 4.0 * t * (1.0 - s * (1 / 3 - s * (1 / 5 - s * (1 / 7 - s / 9))))


class Frame(NamedTuple):
    """A posed line in its crop: where each place of the line is seen, and the way back."""

    pose: Pose
    box: tuple[int, int, int, int]  # of the text in its mask: left, top, right, bottom
    rotation: tuple[float, float]  # cosine and sine
    tilt: tuple[float, float]  # change of distance per pixel to the right and down
    scale: float
    left: float  # of the crop, before scaling
    top: float
    height: int  # of the crop in pixels
    width: int

    def seen(self, u: float, v: float) -> tuple[float, float]:
        """Where the crop shows the place (u, v) of the mask, both from the upper left corner."""
        x0, y0, x1, y1 = self.box
        p, q = _bent(u - (x0 + x1) / 2, v - (y0 + y1) / 2, self.pose, max(x1 - x0, 4) / 2)
        x, y = _projected(p, q, self.rotation, self.tilt)
        return (x - self.left) * self.scale, (y - self.top) * self.scale

    def sampler(self, shape: tuple[int, ...]) -> Sampler:
        """The sampler of a mask of that shape."""
        x0, y0, x1, y1 = self.box
        (cos, sin), (gx, gy) = self.rotation, self.tilt
        x = (np.arange(self.width, dtype=np.float32) + 0.5) / self.scale + self.left
        y = ((np.arange(self.height, dtype=np.float32) + 0.5) / self.scale + self.top)[:, None]
        # The inverse of [[cos, -sin, 0], [sin, cos, 0], [gx, gy, 1]].
        across, down = cos * x + sin * y, cos * y - sin * x  # (H, W)
        if gx or gy:
            fold = np.maximum(1.0 - (gx * across + gy * down), 0.2)  # never reached inside the word
            across, down = across / fold, down / fold
        if self.pose.bend:
            across, down = _unbent(across, down, max(x1 - x0, 4) / self.pose.bend)
        if self.pose.slant:
            across = across + self.pose.slant * down
        return _sampler(across + (x0 + x1) / 2, down + (y0 + y1) / 2, self.scale, shape)


def _bent(u: float, v: float, pose: Pose, half_width: float) -> tuple[float, float]:
    """A place of the line, from its centre, after slant and arc."""
    u = u - pose.slant * v
    if pose.bend:
        radius = 2 * half_width / pose.bend
        angle = u / radius
        reach = radius - v
        u, v = reach * math.sin(angle), radius - reach * math.cos(angle)
    # Rounded, so that the last bit of sin or cos, which machines differ in, is gone.
    return round(u * 4096) / 4096, round(v * 4096) / 4096


def _projected(
    p: float, q: float, rotation: tuple[float, float], tilt: tuple[float, float]
) -> tuple[float, float]:
    """A place after rotation and perspective."""
    w = 1 + tilt[0] * p + tilt[1] * q
    return (rotation[0] * p - rotation[1] * q) / w, (rotation[1] * p + rotation[0] * q) / w


def frame(box: tuple[int, int, int, int], pose: Pose, *, max_height: int, max_width: int) -> Frame:
    """The crop that holds the posed box with its margins; scaled down where it exceeds the limits.

    The picture is at least 8 x 8 pixels.
    """
    x0, y0, x1, y1 = box
    half_width, half_height = max(x1 - x0, 4) / 2, max(y1 - y0, 4) / 2
    points = [
        _bent(half_width * (i - 4) / 4, v, pose, half_width)
        for i in range(9)
        for v in (-half_height, half_height)
    ]
    reach_x = max(abs(p) for p, _ in points)
    reach_y = max(abs(q) for _, q in points)
    tilt = pose.tilt_x / reach_x, pose.tilt_y / reach_y
    t = pose.turn
    rotation = (1 - t * t) / (1 + t * t), 2 * t / (1 + t * t)
    seen = [_projected(p, q, rotation, tilt) for p, q in points]
    left, right = min(x for x, _ in seen), max(x for x, _ in seen)
    top, bottom = min(y for _, y in seen), max(y for _, y in seen)
    text_height = 2 * half_height
    left -= pose.margins[0] * text_height
    top -= pose.margins[1] * text_height
    right += pose.margins[2] * text_height
    bottom += pose.margins[3] * text_height
    scale = min(pose.scale, max_height / (bottom - top), max_width / (right - left))
    width = max(8, min(max_width, round((right - left) * scale)))
    height = max(8, min(max_height, round((bottom - top) * scale)))
    return Frame(pose, box, rotation, tilt, scale, left, top, height, width)


def place(line: Line, pose: Pose, *, max_height: int, max_width: int) -> Sampler:
    """The sampler of the crop that ``frame`` gives for the line's box."""
    crop = frame(line.box, pose, max_height=max_height, max_width=max_width)
    return crop.sampler(line.mask.shape)


def _unbent(across: Floats, down: Floats, radius: float) -> tuple[Floats, Floats]:
    """Places along and across the arc through (0, 0) of that radius, positive for an arch."""
    sign = 1.0 if radius > 0 else -1.0
    rise = np.maximum(sign * (radius - down), abs(radius) * 0.1)  # from the arc's centre
    slope = np.minimum(np.maximum(across / rise, -4.0), 4.0)
    reach = np.sqrt(across * across + rise * rise)
    return abs(radius) * _arctangent(slope), radius - sign * reach


def _sampler(u: Floats, v: Floats, scale: float, shape: tuple[int, ...]) -> Sampler:
    """The sampler at places (u, v) in pixels of a mask of that shape, from its upper left corner."""
    rows, columns = shape[0], shape[1]
    halvings = 0
    while scale * 2**halvings < 0.6:
        halvings += 1
        u, v = u / 2 + 2, v / 2 + 2  # _halved adds a border of two pixels
        rows, columns = rows // 2 + 4, columns // 2 + 4
    # Sixteenths, from the centre of pixel 0; clipped onto the empty border of the mask.
    u = np.minimum(np.maximum(u * 16.0 - 8.0, 0.0), columns * 16.0 - 17.0)
    v = np.minimum(np.maximum(v * 16.0 - 8.0, 0.0), rows * 16.0 - 17.0)
    fixed_u, fixed_v = u.astype(np.int32), v.astype(np.int32)
    corner = (fixed_v >> 4) * columns + (fixed_u >> 4)
    return Sampler(
        corner, (fixed_u & 15).astype(np.uint16), (fixed_v & 15).astype(np.uint16), halvings
    )
