"""The training view of PARSeq: RandAugment with three of sixteen operations at half strength.

Conventions are those of ``parts.views``: the stretched image, the crop's aspect where directions
count, pixel lengths of a crop 32 pixels high, one seed an image.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from functools import partial

import torch
from torch import Tensor

from strbench import augment, distort, draws, warps
from strbench.methods import WordBatch

from .views import plain


class Stream(IntEnum):
    """What the random numbers of an image are for; the values are part of what a seed means."""

    TURNS = 501  # 500 is parts.permutations.ORDER_STREAM
    GATES = 502
    SIGNS = 503
    NOISE_PIXELS = 504


OPERATIONS = 16
CHOSEN = 3  # timm's num_layers
CHANCE = 0.5  # that a chosen operation acts: timm's prob
_FILL = 128 / 255  # timm fills with this gray what a warp brings in from outside
_NEVER = 99
_MOST_EVENTS = 64  # a Poisson number with mean 21 exceeds it with probability 1e-14


@torch.no_grad()
def randaugment(batch: WordBatch, *, draw: int = 0) -> Tensor:
    """Each image after three different operations in random order, of which each acts with p 0.5.

    The sixteen: autocontrast, equalize, invert; rotation by 15 degrees on a canvas that grows;
    posterize to 2 bits, solarize from level 128, add 55 to levels below 128; saturation, contrast,
    brightness times 1 +- 0.45; shear by 0.45 along rows or 0.1 along columns, translation by 5 % of
    the width or 15 % of the height, both with gray coming in; Gaussian blur with radius 2, signed
    Poisson noise with mean 20. Directions are random, strengths are not: magnitude 5 of 10.
    Blur and noise are weaker on narrow crops, at most 2 and 20 % of the longer side.

    Source: PARSeq, strhub/data/augment.py over timm's RandAugment ("increasing" set without
    sharpness), baudm/parseq at commit 1902db0.

    Differences: operations act on the stretched image and values stay in float; warps are bilinear,
    timm draws bilinear or bicubic; the noise has 2,048 quantiles; the size that limits blur and noise
    is that of a crop 32 pixels high.
    """
    seeds, aspect = draws.derive(batch.seeds, draw), batch.aspect.double()
    with torch.autocast(batch.images.device.type, enabled=False):
        images = plain(batch)
        turns = draws.random_turns(seeds, OPERATIONS, CHOSEN, CHOSEN, Stream.TURNS)
        acts = draws.uniforms(seeds, OPERATIONS, Stream.GATES) < CHANCE
        turns = torch.where((turns >= 0) & acts, turns, _NEVER)
        # one sign for each operation that has a direction
        sign = draws.uniforms(seeds, OPERATIONS, Stream.SIGNS).sub(0.5).sign()
        degrees = 15 * sign[:, 3]
        turned = _aspect_after(degrees, aspect)
        for turn in range(CHOSEN):
            # a rotation's canvas has another shape, which later warps and blurs see
            shape = torch.where(turns[:, 3] < turn, turned, aspect)
            for index, (change, *parameters) in enumerate(operations(seeds, sign, degrees, shape)):
                now = turns[:, index] == turn
                images = augment.apply_where(images, now, change, *parameters)
        return images.clamp_(0, 1)


def operations(
    seeds: Tensor, sign: Tensor, degrees: Tensor, aspect: Tensor
) -> list[tuple[Callable[..., Tensor], *tuple[Tensor, ...]]]:
    """Each operation with its parameters (B, ...)."""
    none = torch.zeros_like(aspect)
    longest = 32 * aspect.clamp(min=1)  # of a crop 32 pixels high; wider than high counts
    radius = (0.02 * longest).clamp(1, 2).round()
    mean = ((0.2 * longest).clamp(1, 20).round() / 2).floor() * 2 + 1  # made odd upwards
    rotation = warps.fit_frame(warps.rotation(degrees, aspect))
    factor = 1 + 0.45 * sign
    return [
        (distort.autocontrast,),
        (distort.equalize,),
        (_invert,),
        (partial(_warp_on_gray, finer=2), rotation),  # its canvas is up to twice as high
        (distort.posterize, none + 2),
        (augment.solarize, none + 128 / 255, none == 0),
        (_add_to_dark, none + 55 / 255),
        (distort.saturation, factor[:, 7]),
        (distort.contrast, factor[:, 8]),
        (distort.brightness, factor[:, 9]),
        (_warp_on_gray, distort.shear_from_corner(0.45 * sign[:, 10], none, aspect)),
        (_warp_on_gray, distort.shear_from_corner(none, 0.1 * sign[:, 11], aspect)),
        (_warp_on_gray, distort.translation(0.05 * sign[:, 12], none)),
        (_warp_on_gray, distort.translation(none, 0.15 * sign[:, 13])),
        (augment.gaussian_blur, radius, aspect),
        (_poisson_noise, mean, seeds),
    ]


def _aspect_after(degrees: Tensor, aspect: Tensor) -> Tensor:
    """Width / height of the canvas that holds a rotated crop."""
    angle = torch.deg2rad(degrees.abs())
    cos, sin = angle.cos(), angle.sin()
    return (aspect * cos + sin) / (aspect * sin + cos)


def _invert(images: Tensor) -> Tensor:
    return 1 - images


def _add_to_dark(images: Tensor, addition: Tensor) -> Tensor:
    """Images with ``addition`` on values below level 128; timm's SolarizeAdd solarizes nothing."""
    brighter = (images + addition.float().view(-1, 1, 1, 1)).clamp_(max=1)
    return torch.where(images < 128 / 255, brighter, images)


def _warp_on_gray(images: Tensor, matrix: Tensor, *, finer: int = 1) -> Tensor:
    height, width = images.shape[2] * finer, images.shape[3]
    grid = warps.sampling_grid(matrix, height, width)
    moved = warps.warp(images - _FILL, grid, black_outside=True, rows_averaged=finer)
    return moved.add_(_FILL).clamp_(0, 1)


def _poisson_noise(images: Tensor, mean: Tensor, seeds: Tensor) -> Tensor:
    """Images plus or minus a Poisson number of levels a pixel, one for all channels."""
    height, width = images.shape[2:]
    normals = draws.pixel_normals(seeds, (1, height, width), Stream.NOISE_PIXELS)
    levels = torch.erf(normals.double().abs() * 0.5**0.5).flatten(1)  # uniform in (0, 1)
    events = torch.arange(_MOST_EVENTS, device=images.device, dtype=torch.float64)
    # P(at most k events) is the upper incomplete gamma function of (k + 1, mean)
    below = torch.special.gammaincc((events + 1).expand(len(mean), -1), mean.double()[:, None])
    count = torch.searchsorted(below, levels).float().view(normals.shape)
    return (images + count * normals.sign() / 255).clamp_(0, 1)
