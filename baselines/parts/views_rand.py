"""The weak and the strong view of Zheng et al. (CVPR 2022): colour jitter, and two RandAugments.

Zheng et al., "Pushing the Performance Limit of Scene Text Recognizer without Human Annotation", CVPR
2022. Source of operations and ranges: Caiyuan-Zheng/Consistency_Regularization_STR (MIT),
tools/rand_aug.py and tools/dataset_train.py.

A view belongs to the image and its seed, as in ``views``. Differences: the official code works on the
crop and stretches it last, here the stretched image is worked on (warps know the crop's aspect, lengths
are fractions of a side); it reads the nearest pixel twice where here the two warps are one bilinear
reading, black outside the frame of either; translations are not rounded to whole pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum

import torch
from torch import Tensor

from strbench import augment, distort, draws, warps
from strbench.methods import WordBatch

from .views import plain


class Stream(IntEnum):
    """What the random numbers of an image are for; the values are part of what a seed means."""

    JITTER = 400
    JITTER_TURNS = 401
    SPATIAL = 410  # and 411 for the second turn
    CHANNEL = 420  # and 421


_TURNS = 2  # n of both RandAugments
_APPLIED = 0.5  # probability of each drawn operation
_SPATIAL_LEVELS = 4  # levels 1 to 4: the code draws below its m = 5
_CHANNEL_LEVELS = 9  # 1 to 9: below m = 10


@torch.no_grad()
def zheng_weak(batch: WordBatch, *, draw: int = 0) -> Tensor:
    """The target's view: brightness 0.2, contrast 0.1, saturation 0.1, hue 0.05, in random order."""
    seeds = draws.derive(batch.seeds, draw)
    with torch.autocast(batch.images.device.type, enabled=False):
        spread = draws.uniforms(seeds, 4, Stream.JITTER) * 2 - 1
        strength = spread.new_tensor([0.2, 0.1, 0.1, 0.05])
        factors = spread.new_tensor([1.0, 1.0, 1.0, 0.0]) + spread * strength
        turns = draws.random_turns(seeds, 4, 4, 4, Stream.JITTER_TURNS)
        return augment.color_jitter(plain(batch), factors, turns).clamp_(0, 1)


@torch.no_grad()
def zheng_strong(batch: WordBatch, *, draw: int = 0) -> Tensor:
    """The online model's view: two of five warps, then two of eight colour operations.

    Operations are drawn with replacement, each is applied with probability 0.5, at a level that is drawn
    uniformly: 1 to 4 for warps, 1 to 9 for colours. The level sets the strength, see ``_warp_of`` and
    ``_colours``; warps and SolarizeAdd have a random sign.
    """
    seeds, aspect = draws.derive(batch.seeds, draw), batch.aspect
    with torch.autocast(batch.images.device.type, enabled=False):
        images = plain(batch)
        gates, matrices = [], []
        for turn in range(_TURNS):
            numbers = draws.uniforms(seeds, 4, Stream.SPATIAL + turn)
            gates.append(numbers[:, 1] < _APPLIED)
            matrix = _warp_of(numbers, aspect)
            still = torch.eye(3, dtype=torch.float64, device=aspect.device)
            matrices.append(torch.where(gates[turn][:, None, None], matrix, still))
        images = augment.apply_where(images, gates[0] | gates[1], _read_twice, *matrices)
        for turn in range(_TURNS):
            numbers = draws.uniforms(seeds, 4, Stream.CHANNEL + turn)
            drawn = (numbers[:, 0] * 8).long()  # (B,), one of the eight below
            drawn = torch.where(numbers[:, 1] < _APPLIED, drawn, -1)
            for number, (change, *parameters) in enumerate(_colours(numbers)):
                images = augment.apply_where(images, drawn == number, change, *parameters)
        return images.clamp_(0, 1)


def _level(numbers: Tensor, levels: int) -> Tensor:
    """Whole levels (B,) from 1 to ``levels``, float64, from the third of an image's numbers."""
    return 1 + (numbers[:, 2] * levels).floor()


def _sign(numbers: Tensor) -> Tensor:
    return torch.where(numbers[:, 3] < 0.5, -1.0, 1.0).double()


def _warp_of(numbers: Tensor, aspect: Tensor) -> Tensor:
    """Sampling matrices (B, 3, 3) of one drawn warp an image.

    Shear along rows or columns by 0.02 a level + 0.1, translation by as much of the width or height,
    rotation by a degree a level + 10.
    """
    which = (numbers[:, 0] * 5).long()
    level, sign = _level(numbers, _SPATIAL_LEVELS), _sign(numbers)
    amount, none = sign * (level * 0.2 / 10 + 0.1), torch.zeros_like(level)
    choices = torch.stack(
        (
            distort.shear_from_corner(amount, none, aspect),
            distort.shear_from_corner(none, amount, aspect),
            distort.translation(amount, none),
            distort.translation(none, amount),
            warps.rotation(sign * (level + 10), aspect),
        ),
        1,
    )  # (B, 5, 3, 3)
    return choices[torch.arange(len(which), device=which.device), which]


def _read_twice(images: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Images warped by ``first``, then by ``second``, in one reading; what left the frame stays black."""
    grid = warps.sampling_grid(second, images.shape[2], images.shape[3])
    kept = (grid.abs() <= 1).all(3).unsqueeze(1)  # (B, 1, H, W): inside the frame in between
    return warps.warp(images, warps.move_grid(grid, first), black_outside=True).mul_(kept)


def _colours(numbers: Tensor) -> list[tuple[Callable[..., Tensor], *tuple[Tensor, ...]]]:
    """The eight colour operations with their parameters (B,) at an image's level.

    Factors of brightness, saturation and contrast 0.18 a level + 0.1; 4 to 7 bits; solarized from level
    256 - 25.6 a level on; plus or minus 11 a level (of 255) before solarizing at 128.
    """
    level = _level(numbers, _CHANNEL_LEVELS)
    factor = level * 1.8 / 10 + 0.1
    threshold = (256 - (level * 256 / 10).floor()) / 255
    return [
        (distort.autocontrast,),
        (distort.brightness, factor),
        (distort.saturation, factor),
        (distort.contrast, factor),
        (distort.equalize,),
        (distort.posterize, 4 + (level * 4 / 10).floor()),
        (augment.solarize, threshold, torch.ones_like(level, dtype=torch.bool)),
        (distort.solarize_add, _sign(numbers) * (level * 110 / 10).floor() / 255),
    ]
