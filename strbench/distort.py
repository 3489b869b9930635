"""Pixel operations and warps of RandAugment, as Pillow has them: batched torch, a value an image.

The conventions are those of ``strbench.augment``: float images (B, 3, H, W), RGB in [0, 1]; parameters
(B,); new tensors come back, and an image's result does not depend on its batch. Operations that count
or cut bits see 8-bit levels, that is values rounded to multiples of 1/255; the others stay in float, so
they differ from Pillow's by less than one level.

Warps are sampling matrices as in ``strbench.warps``. Pillow's affine transform has its origin in the top
left corner, so a shear also moves the word; so it does here.
"""

from __future__ import annotations

import torch
from torch import Tensor

from strbench import warps
from strbench.augment import gray

_LEVELS = 256


def _column(values: Tensor) -> Tensor:
    """A parameter (B,) -> float32 (B, 1, 1, 1)."""
    return values.float().view(-1, 1, 1, 1)


def _blend(images: Tensor, other: Tensor, factor: Tensor) -> Tensor:
    """``other`` at factor 0, ``images`` at 1, beyond them outside [0, 1]; clipped."""
    rest = _column(1 - factor.double())
    return (images * _column(factor)).add_(other * rest).clamp_(0, 1)


def brightness(images: Tensor, factor: Tensor) -> Tensor:
    """Images blended with black: 0 is black, 1 changes nothing. Source: Pillow's Brightness."""
    return (images * _column(factor)).clamp_(0, 1)


def saturation(images: Tensor, factor: Tensor) -> Tensor:
    """Images blended with their luma: 0 is gray, 1 changes nothing. Source: Pillow's Color."""
    return _blend(images, gray(images), factor)


def contrast(images: Tensor, factor: Tensor) -> Tensor:
    """Images blended with their mean luma: 0 is flat, 1 changes nothing. Source: Pillow's Contrast.

    The mean is taken over 8-bit lumas and rounded to a whole level, as in Pillow.
    """
    luma = (gray(images) * 255).round_()
    # a sum of integers below 2**24 is exact, whatever its order
    mean = (luma.sum((2, 3), keepdim=True) / luma[0].numel() + 0.5).floor_() / 255
    return _blend(images, mean, factor)


def autocontrast(images: Tensor) -> Tensor:
    """Images whose darkest level of each channel becomes 0 and whose brightest becomes 1.

    A channel of one level stays. Source: Pillow's ImageOps.autocontrast without a cutoff, which also
    drops the fraction of a level.
    """
    low, high = images.amin((2, 3), keepdim=True), images.amax((2, 3), keepdim=True)
    flat = high <= low
    scale = 1 / torch.where(flat, 1.0, high - low)
    return ((images - torch.where(flat, 0.0, low)) * scale).clamp_(0, 1)


def equalize(images: Tensor) -> Tensor:
    """Images whose levels of each channel are spread to be about equally frequent.

    Level v goes to (step / 2 + pixels darker than v) / step in whole numbers, where step is a 255th of
    the pixels that are not of the brightest level; a channel whose step is 0 stays. Source: Pillow's
    ImageOps.equalize.
    """
    count, channels = images.shape[:2]
    levels = (images * 255).round_().long().flatten(2)  # (B, C, H * W)
    histogram = levels.new_zeros(count, channels, _LEVELS)
    histogram.scatter_add_(2, levels, torch.ones_like(levels))
    brightest = histogram.gather(2, levels.amax(2, keepdim=True))  # (B, C, 1)
    step = (levels.shape[2] - brightest) // 255
    darker = histogram.cumsum(2) - histogram
    table = ((step // 2 + darker) // step.clamp(min=1)).clamp_(max=255)
    identity = torch.arange(_LEVELS, device=images.device)
    table = torch.where(step == 0, identity, table)
    return table.gather(2, levels).view(images.shape).float() / 255


def posterize(images: Tensor, bits: Tensor) -> Tensor:
    """Images of which each 8-bit value keeps its ``bits`` highest bits (1 to 8).

    Source: Pillow's ImageOps.posterize.
    """
    width = 2.0 ** (8 - bits.double())  # levels that become one
    width = _column(width)
    return (images * 255).round_().div_(width).floor_().mul_(width).div_(255)


def solarize_add(images: Tensor, addition: Tensor, *, threshold: int = 128) -> Tensor:
    """Images plus ``addition`` (in [0, 1] units), clipped; then levels from ``threshold`` on turn to 1 - v.

    Source: SolarizeAdd of FixMatch's and Zheng et al.'s RandAugment: unlike TPU AutoAugment's, which
    adds to the dark values only, the result of the addition is what is solarized.
    """
    levels = ((images + _column(addition)) * 255).round_().clamp_(0, 255)
    return torch.where(levels >= threshold, 255 - levels, levels).div_(255)


def translation(x: Tensor, y: Tensor) -> Tensor:
    """Sampling matrix that reads ``x`` widths further right and ``y`` heights further down."""
    return warps.cropping(x, y, -x, -y)


def shear_from_corner(x: Tensor, y: Tensor, aspect: Tensor) -> Tensor:
    """Sampling matrix that reads ``x`` pixels further right a row and ``y`` further down a column.

    Rows and columns count from the top left corner of the original crop. Exact where one of the two
    is 0. Source: Pillow's AFFINE transform with (1, x, 0, 0, 1, 0) or (1, 0, 0, y, 1, 0).
    """
    x, y, aspect = x.double(), y.double(), aspect.double()
    about_centre = warps.shear(torch.rad2deg(x.atan()), torch.rad2deg(y.atan()), aspect)
    return warps.compose(translation(x / aspect / 2, y * aspect / 2), about_centre)
