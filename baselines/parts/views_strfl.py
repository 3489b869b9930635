"""The views of STR-Fewer-Labels: blur and crop, crop and turn, MoCo's crops, and four rotations.

Baek et al., "What If We Only Use Real Datasets for Scene Text Recognition? Toward Scene Text
Recognition With Fewer Labels", CVPR 2021. Source of operations, ranges and order:
ku21fan/STR-Fewer-Labels (MIT), dataset.py, with the defaults of torchvision and Pillow that it
leaves alone.

A view belongs to the image and its seed, as in ``views``. The official code works on the crop and
stretches it last, here the stretched image is worked on: angles and blurs know the crop's aspect,
a pixel is one of a crop 32 pixels high, sides are not cut to whole pixels. Warps are read
bilinearly (officially bicubic), blurs are Gaussians with a mirrored border (officially three box
filters).
"""

from __future__ import annotations

import math
from enum import IntEnum

import torch
from torch import Tensor
from torch.nn import functional as F

from strbench import augment, draws, warps
from strbench.methods import WordBatch

from .views import plain


class Stream(IntEnum):
    """What the random numbers of an image are for; the values are part of what a seed means."""

    BLUR_GATE = 300
    BLUR = 301
    CROP = 302
    ROTATE = 303
    RESIZED_CROP = 304
    GRAY_GATE = 305
    JITTER = 306
    JITTER_TURNS = 307
    FLIP = 308


_ATTEMPTS = 10  # torchvision's RandomResizedCrop tries so often, then cuts the centre
_NARROWEST, _WIDEST = 3 / 4, 4 / 3  # width / height of its crops


@torch.no_grad()
def blur5_crop99(batch: WordBatch, *, draw: int = 0) -> Tensor:
    """The paper's view for TRBA: with p 0.5 a blur of radius 0.1 to 5 pixels, then at most 1 % cut off.

    The crop keeps the aspect and lies anywhere. Whole pixels make the official cut one of 1 pixel a
    side for nearly every crop less than 100 pixels wide; here it is 0 to 1 %.
    """
    seeds = draws.derive(batch.seeds, draw)
    with torch.autocast(batch.images.device.type, enabled=False):
        images = plain(batch)
        gate = draws.chance(seeds, 0.5, Stream.BLUR_GATE)
        sigma = draws.uniform(seeds, 0.1, 5.0, Stream.BLUR)
        images = augment.apply_where(images, gate, augment.gaussian_blur, sigma, batch.aspect)
        grid = warps.sampling_grid(_crop(seeds, 0.99), images.shape[2], images.shape[3])
        return warps.warp(images, grid).clamp_(0, 1)


@torch.no_grad()
def crop90_rot15(batch: WordBatch, *, draw: int = 0) -> Tensor:
    """The paper's view for CRNN: up to 10 % cut off, then turned by up to 15 degrees either way.

    The crop keeps the aspect and lies anywhere. The canvas grows to hold the whole turned crop and is
    black around it.
    """
    seeds = draws.derive(batch.seeds, draw)
    with torch.autocast(batch.images.device.type, enabled=False):
        images = plain(batch)
        turn = warps.rotation(draws.uniform(seeds, -15, 15, Stream.ROTATE), batch.aspect)
        # Two rows are read a row of output, because a turned line of text is squeezed.
        grid = warps.sampling_grid(warps.fit_frame(turn), 2 * images.shape[2], images.shape[3])
        inside = (grid.abs() <= 1).all(3).unsqueeze(1)  # (B, 1, 2 * H, W): on the cut crop
        out = warps.warp(images, warps.move_grid(grid, _crop(seeds, 0.9))).mul_(inside)
        return out[:, :, ::2].add(out[:, :, 1::2]).div_(2).clamp_(0, 1)


def _crop(seeds: Tensor, smallest: float) -> Tensor:
    """Sampling matrices of crops with 1 to ``smallest`` of both sides, anywhere in the image."""
    size, x, y = draws.uniforms(seeds, 3, Stream.CROP).unbind(1)
    cut = (1 - smallest) * size
    return warps.cropping(cut * x, cut * y, cut * (1 - x), cut * (1 - y))


@torch.no_grad()
def moco_crop(batch: WordBatch, *, draw: int = 0) -> Tensor:
    """The view of MoCo: a resized crop, gray with p 0.2, colour jitter 0.4 (hue too), a flip with p 0.5.

    The crop is torchvision's RandomResizedCrop: 20 to 100 % of the area at a width / height of 3/4 to
    4/3, ten attempts, else a central one of the full height. On words that rule is peculiar, and it is
    kept: a crop longer than 6.7 heights never fits an attempt, so both its views show the same centre,
    1.33 heights wide. The horizontal flip, which mirrors the writing, is the official one too.
    """
    seeds = draws.derive(batch.seeds, draw)
    with torch.autocast(batch.images.device.type, enabled=False):
        images = plain(batch)
        mirrored = draws.chance(seeds, 0.5, Stream.FLIP)
        matrix = _resized_crop(seeds, batch.aspect)
        sign = 1 - 2 * mirrored.double()
        matrix = (
            matrix * torch.stack((sign, torch.ones_like(sign), torch.ones_like(sign)), 1)[:, None]
        )
        images = warps.warp(images, warps.sampling_grid(matrix, images.shape[2], images.shape[3]))
        gate = draws.chance(seeds, 0.2, Stream.GRAY_GATE)
        images = augment.apply_where(images, gate, _to_gray)
        spread = draws.uniforms(seeds, 4, Stream.JITTER) * 0.8 - 0.4
        factors = spread + spread.new_tensor([1.0, 1.0, 1.0, 0.0])
        turns = draws.random_turns(seeds, 4, 4, 4, Stream.JITTER_TURNS)
        return augment.color_jitter(images, factors, turns).clamp_(0, 1)


def _resized_crop(seeds: Tensor, aspect: Tensor) -> Tensor:
    """Sampling matrices of torchvision's RandomResizedCrop with scale 0.2 to 1."""
    numbers = draws.uniforms(seeds, 4 * _ATTEMPTS, Stream.RESIZED_CROP).view(-1, _ATTEMPTS, 4)
    share, shape, x, y = numbers.unbind(2)  # (B, attempts) each
    whole = aspect.double()[:, None]  # the image's width in heights, so its area too
    area = whole * (0.2 + 0.8 * share)
    ratio = torch.exp(math.log(_NARROWEST) + math.log(_WIDEST / _NARROWEST) * shape)
    width, height = (area * ratio).sqrt(), (area / ratio).sqrt()
    fits = (width <= whole) & (height <= 1)
    first = fits.int().argmax(1, keepdim=True)  # the first that fits
    width, height, x, y = (t.gather(1, first)[:, 0] for t in (width, height, x, y))
    whole, fitted = whole[:, 0], fits.any(1)
    width = torch.where(fitted, width, whole.clamp(max=_WIDEST))
    height = torch.where(fitted, height, (whole / _NARROWEST).clamp(max=1))
    x, y = (torch.where(fitted, place, 0.5) for place in (x, y))
    columns, rows = 1 - width / whole, 1 - height
    return warps.cropping(columns * x, rows * y, columns * (1 - x), rows * (1 - y))


def _to_gray(images: Tensor) -> Tensor:
    return augment.gray(images).expand_as(images)


def four_rotations(images: Tensor) -> Tensor:
    """Images (B, 3, H, W) turned by 0, 90, 180 and 270 degrees counter-clockwise: (4 * B, 3, H, W).

    The four of an image follow each other. A quarter turn is stretched back to H x W, as in the
    official code, which turns the crop and then resizes all four alike. It does so from the full
    resolution; here the H rows of the stretched image become the W columns.
    """
    height, width = images.shape[2:]
    quarters = [
        F.interpolate(
            torch.rot90(images, turns, (2, 3)), (height, width), mode="bicubic", antialias=True
        ).clamp_(0, 1)
        for turns in (1, 3)
    ]
    half = torch.rot90(images, 2, (2, 3))
    return torch.stack((images, quarters[0], half, quarters[1]), 1).flatten(0, 1)
