"""SemiMTR's strong view ("severity 1"): colours, blur and noise, no geometry; composed per image.

The rules are those of ``parts.views``. Source of operations and ranges: amazon-science/
semimtr-text-recognition, semimtr/dataset/augmentation_pipelines.py, and imgaug's defaults.
"""

from __future__ import annotations

from enum import IntEnum
from functools import partial

import torch
from torch import Tensor

from strbench import augment, colours, draws
from strbench.methods import WordBatch

from .views import plain


class Stream(IntEnum):
    """What the random numbers of an image are for; the values are part of what a seed means."""

    INVERT = 200
    COLOUR = 201
    SHUFFLE_GATE = 202
    SHUFFLE = 203
    GRAY = 204
    COLOURS = 205
    DROP_SHARE = 206
    DROP_APART = 207
    DROP = 208
    GAMMA = 209
    BRIGHTNESS = 210
    HUE = 211
    KELVIN = 212
    BLUR = 213
    SHARPEN = 214
    SIGMA = 215
    AVERAGE = 216
    MEDIAN = 217
    ANGLE = 218
    NOISE = 219
    EMBOSS = 220
    DEVIATION = 221
    GAUSSIAN = 222
    IMPULSE = 223
    IMPULSE_VALUE = 224
    MULTIPLY = 225


@torch.no_grad()
def severity_1(batch: WordBatch, *, draw: int = 0) -> Tensor:
    """The strong view: perhaps inverted, one change of colour, one blur or sharpening, one noise.

    1. Inverted with p 0.5.
    2. One of nine, each with p 1/9: channels shuffled (with p 0.35, else nothing), partly gray,
       reduced to 2 to 16 colours, histogram equalised, up to 20 % of the pixels black (half of the
       time channel by channel), gamma 0.5 to 2, brightness 0.5 to 1.5, hue and saturation by up to
       50 of 255, colour temperature 1,100 to 10,000 kelvin.
    3. Sharpened (p 1/2), or one of four blurs (p 1/8 each): Gaussian of sigma 0.5 to 1.5, mean over 2
       to 6 pixels, median over 3, 5 or 7, motion over 5.
    4. One of four, each with p 1/4: relief, gray Gaussian noise of up to 0.2, a tenth of the values
       replaced by extreme ones, pixels multiplied by 0.5 to 1.5.

    Differences: colours are quantised in RGB (imgaug: in RGB or Lab) from sorted pixels (imgaug: from
    random ones); brightness is HSV's value (imgaug: a channel of one of six colour spaces);
    the colour of light is a fit (imgaug: a table); motion blur is symmetric (imgaug: more weight to a
    random end). Blur and noise act on the stretched image, whose rows are the unit of sigma and
    motion; squares and pixels are its own.
    """
    seeds, aspect = draws.derive(batch.seeds, draw), batch.aspect
    with torch.autocast(batch.images.device.type, enabled=False):
        images = plain(batch)
        inverted = draws.chance(seeds, 0.5, Stream.INVERT)
        images = augment.apply_where(images, inverted, colours.invert)
        images = _colour(images, seeds)
        images = _blur(images, seeds, aspect)
        return _noise(images, seeds).clamp_(0, 1)


def _which(seeds: Tensor, count: int, stream: Stream) -> Tensor:
    """One of ``count`` numbers an image (B,), all equally likely."""
    return (draws.uniforms(seeds, 1, stream)[:, 0] * count).long()


def _pixel_uniforms(seeds: Tensor, shape: tuple[int, int, int], stream: Stream) -> Tensor:
    """Numbers (B, C, H, W), uniform in (0, 1) to 12 bits."""
    numbers: Tensor = torch.special.ndtr(draws.pixel_normals(seeds, shape, stream))
    return numbers


def _colour(images: Tensor, seeds: Tensor) -> Tensor:
    """Step 2."""
    which = _which(seeds, 9, Stream.COLOUR)
    shuffled = draws.chance(seeds, 0.35, Stream.SHUFFLE_GATE)
    order = draws.random_turns(seeds, 3, 3, 3, Stream.SHUFFLE)
    hue, saturation = ((draws.uniforms(seeds, 2, Stream.HUE) * 2 - 1) * (50 / 255)).unbind(1)
    steps = [
        (colours.shuffle_channels, order),
        (augment.grayscale, draws.uniform(seeds, 0.0, 1.0, Stream.GRAY)),
        (colours.quantize_colours, 2 + _which(seeds, 15, Stream.COLOURS)),
        (colours.equalize,),
        (_drop, seeds),
        (colours.gamma, draws.uniform(seeds, 0.5, 2.0, Stream.GAMMA)),
        (colours.brightness, draws.uniform(seeds, 0.5, 1.5, Stream.BRIGHTNESS)),
        (_hue_and_saturation, hue, saturation),
        (colours.colour_temperature, draws.uniform(seeds, 1100, 10_000, Stream.KELVIN)),
    ]
    for number, (change, *parameters) in enumerate(steps):
        chosen = which == number
        if number == 0:
            chosen = chosen & shuffled
        images = augment.apply_where(images, chosen, change, *parameters)
    return images


def _drop(images: Tensor, seeds: Tensor) -> Tensor:
    numbers = _pixel_uniforms(seeds, (3, images.shape[2], images.shape[3]), Stream.DROP)
    apart = draws.chance(seeds, 0.5, Stream.DROP_APART)[:, None, None, None]
    numbers = torch.where(apart, numbers, numbers[:, :1])
    return colours.drop_pixels(images, draws.uniform(seeds, 0.0, 0.2, Stream.DROP_SHARE), numbers)


def _hue_and_saturation(images: Tensor, hue: Tensor, saturation: Tensor) -> Tensor:
    return colours.add_saturation(augment.hue_shift(images, hue), saturation)


def _blur(images: Tensor, seeds: Tensor, aspect: Tensor) -> Tensor:
    """Step 3."""
    which = _which(seeds, 8, Stream.BLUR)  # 0 to 3: sharpened
    alpha, lightness = (draws.uniforms(seeds, 2, Stream.SHARPEN) / 2).unbind(1)
    images = augment.apply_where(images, which < 4, augment.sharpen, alpha, lightness)
    gaussian = partial(augment.gaussian_blur, reach=2.0)  # imgaug: 5 taps below sigma 3
    sigma = draws.uniform(seeds, 0.5, 1.5, Stream.SIGMA)
    images = augment.apply_where(images, which == 4, gaussian, sigma, aspect)
    size = 2 + _which(seeds, 5, Stream.AVERAGE)
    images = augment.apply_where(images, which == 5, colours.average_blur, size)
    odd = (3 + _which(seeds, 5, Stream.MEDIAN)) // 2 * 2 + 1  # imgaug: 3 to 7, even ones + 1
    for side in (3, 5, 7):
        chosen = (which == 6) & (odd == side)
        images = augment.apply_where(images, chosen, partial(colours.median_blur, size=side))
    length = torch.full_like(sigma, 5.0)
    degrees = draws.uniform(seeds, 0, 360, Stream.ANGLE)
    return augment.apply_where(images, which == 7, augment.motion_blur, length, degrees, aspect)


def _noise(images: Tensor, seeds: Tensor) -> Tensor:
    """Step 4."""
    which = _which(seeds, 4, Stream.NOISE)
    alpha, strength = draws.uniforms(seeds, 2, Stream.EMBOSS).unbind(1)
    images = augment.apply_where(images, which == 0, colours.emboss, alpha, 0.5 + strength)
    for number, change in enumerate((_gaussian, _impulses, _multiply), start=1):
        images = augment.apply_where(images, which == number, change, seeds)
    return images


def _gaussian(images: Tensor, seeds: Tensor) -> Tensor:
    normals = draws.pixel_normals(seeds, (1, images.shape[2], images.shape[3]), Stream.GAUSSIAN)
    return augment.gaussian_noise(images, draws.uniform(seeds, 0, 0.2, Stream.DEVIATION), normals)


def _impulses(images: Tensor, seeds: Tensor) -> Tensor:
    shape = (3, images.shape[2], images.shape[3])
    values = _pixel_uniforms(seeds, shape, Stream.IMPULSE_VALUE)
    extreme = (
        (values * (torch.pi / 2)).sin().square()
    )  # Beta(1/2, 1/2), as imgaug's salt and pepper
    share = torch.full(seeds.shape, 0.1, device=seeds.device)
    numbers = _pixel_uniforms(seeds, shape, Stream.IMPULSE)
    return colours.replace_pixels(images, share, numbers, extreme)


def _multiply(images: Tensor, seeds: Tensor) -> Tensor:
    shape = (1, images.shape[2], images.shape[3])
    return colours.multiply_pixels(images, 0.5 + _pixel_uniforms(seeds, shape, Stream.MULTIPLY))
