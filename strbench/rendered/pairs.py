"""Word crops in high and low resolution, for super-resolution.

The low-resolution image is made from the high-resolution one, in this order: blur by a Gaussian of
standard deviation *blur* whose centre lies up to *shift* off, both in pixels of the high resolution;
the mean of 2 x 2 pixels; contrast around mid-grey times *contrast*; noise of up to *noise* levels;
rounding to 8 bits. Each figure is drawn anew for every pair from the range of its level. The three
levels are named after those of TextZoom, whose focal lengths they do not claim to model: a score
compares networks on these pairs and is no evidence about cameras.

Gaussians are integers of 1/1024 from tables of sixteenths of a pixel, all sums are integers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from strbench.errors import unknown_name
from strbench.rendered import scenery
from strbench.rendered.composing import compose
from strbench.rendered.configs import RenderConfig, choose_text
from strbench.rendered.png import encode_png
from strbench.rendered.wordlist import Draws, Side
from strbench.types import Sample


class Level(NamedTuple):
    """The ranges that a degradation is drawn from."""

    blur: tuple[int, int]  # sixteenths of a pixel of the high resolution
    shift: int  # the same, to either side
    contrast: tuple[int, int]  # 1/128
    noise: tuple[int, int]  # the most that noise adds or takes, of 255


LEVELS = {
    "easy": Level((8, 22), 6, (112, 132), (2, 6)),
    "medium": Level((20, 36), 14, (100, 132), (3, 10)),
    "hard": Level((32, 54), 24, (90, 132), (4, 16)),
}
RULE = (
    "low resolution: of the high one a Gaussian blur of s pixels centred up to d pixels off, the mean "
    "of 2 x 2, contrast around 128 times c, noise up to +-n levels, 8 bits; "
    + "; ".join(
        f"{name}: s {level.blur[0] / 16:g} to {level.blur[1] / 16:g}, d {level.shift / 16:g}, "
        f"c {level.contrast[0] / 128:.2f} to {level.contrast[1] / 128:.2f}, "
        f"n {level.noise[0]} to {level.noise[1]}"
        for name, level in LEVELS.items()
    )
)


@dataclass(frozen=True, kw_only=True)
class PairConfig(RenderConfig):
    """A word crop of good quality, and how far its low resolution is degraded."""

    level: Literal["easy", "medium", "hard", "mixed"] = "mixed"  # mixed: each as often
    difficulty: float = 0.3
    geometry: Literal["regular", "irregular", "mixed"] = "regular"
    min_height: int = 40  # crops of letters without ascenders are lower, down to about 24
    max_height: int = 64
    max_width: int = 512

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.level not in (*LEVELS, "mixed"):
            raise unknown_name("level of degradation", self.level, (*LEVELS, "mixed"))


class Pair(NamedTuple):
    """A drawn word in two resolutions."""

    high: npt.NDArray[np.uint8]  # (H, W, 3), RGB; H and W are even
    low: npt.NDArray[np.uint8]  # (H / 2, W / 2, 3)
    label: str

    def sample(self, id_: str) -> Sample:
        """The pair as it is written to a store, both pictures as PNG."""
        return Sample(id_, encode_png(self.high), self.label, low=encode_png(self.low))


def pair(draws: Draws, config: PairConfig, side: Side) -> Pair:
    """A word of one side in high and low resolution."""
    label = choose_text(draws, config, side)
    image = compose(draws, config, label).image
    high = np.ascontiguousarray(image[: image.shape[0] & ~1, : image.shape[1] & ~1])
    name = draws.pick(tuple(LEVELS)) if config.level == "mixed" else config.level
    return Pair(high, degraded(draws, high, LEVELS[name]), label)


def degraded(draws: Draws, high: npt.NDArray[np.uint8], level: Level) -> npt.NDArray[np.uint8]:
    """An image (H, W, 3) of even size at half its resolution, (H / 2, W / 2, 3)."""
    blur = draws.integer(*level.blur)
    right, down = (draws.integer(-level.shift, level.shift) for _ in range(2))
    contrast = draws.integer(*level.contrast)
    noise = draws.integer(*level.noise)
    wide = high.transpose(2, 0, 1).astype(np.int32)
    half = _halved(_halved(wide, blur, right, axis=2), blur, down, axis=1)
    planes = ((half + (1 << 21)) >> 22).astype(np.int16)  # two filters of sum 2048
    planes = (((planes - 128) * np.int16(contrast) + 64) >> 7) + np.int16(128)
    return scenery.finished(scenery.noisy(draws, planes, noise, coloured=True))


@lru_cache(maxsize=4096)
def _filter(blur: int, shift: int) -> tuple[int, ...]:
    """Integer weights of sum 2048: a Gaussian, then the sum of two neighbours.

    ``blur`` and ``shift`` are in sixteenths of a pixel. The first weight belongs to the pixel
    ``len // 2 - 1`` before the first of the two.
    """
    reach = -(-(3 * blur + abs(shift)) // 16)
    heights = [
        math.exp(-((16 * i - shift) ** 2) / (2 * blur * blur)) for i in range(-reach, reach + 1)
    ]
    # Rounding takes away the last bit of exp, which machines differ in: no weight of a table that
    # the levels use lies within 1e-6 of a half (tested).
    weights = [round(1024 * height / sum(heights)) for height in heights]
    weights[reach + round(shift / 16)] += 1024 - sum(weights)
    return tuple(a + b for a, b in zip([*weights, 0], [0, *weights], strict=True))


def _halved(wide: npt.NDArray[np.int32], blur: int, shift: int, axis: int) -> npt.NDArray[np.int32]:
    """The sums over the filter at every second pixel of an axis; the border pixel goes on outside.

    Values stay at or below 255 * 2048**2, which int32 holds.
    """
    weights = _filter(blur, shift)
    before = len(weights) // 2 - 1
    n = wide.shape[axis]
    total = np.zeros_like(np.take(wide, range(0, n, 2), axis))
    for i, weight in enumerate(weights):
        if weight:
            places = np.minimum(np.maximum(np.arange(0, n, 2) + i - before, 0), n - 1)
            total += np.take(wide, places, axis) * np.int32(weight)
    return total
