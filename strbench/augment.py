"""Building blocks of augmentation: batched torch, seeded per image, on the batch's own device.

Images are float tensors (B, 3, H, W), RGB in [0, 1], already stretched to the input size; a
parameter is a tensor with one value an image, (B,). Blocks return new tensors, take no gradient
and hold no state. The same image with the same seed gives the same result bit for bit on one
device, whatever batch it sits in. Therefore pixels are only added, multiplied, compared and
looked up (operations whose rounding does not depend on the place in the batch), and parameters
are computed in float64 and rounded once.

Random parameters come from ``strbench.draws``.

Geometry is in ``strbench.warps``. Lengths (blur) are in rows of the stretched image, which is what a pixel of the original crop would
be if the crop were H pixels high: the true height is not known here.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

from strbench.warps import centres, warp

_CPU_CHUNK = 32  # images at a time: temporaries stay in the cache and off fresh pages
_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as in Pillow's "L" and in OpenCV
_MOST_STRETCH = 4.0  # bounds the kernels: a blur is at most this much wider than high


def apply_where(
    images: Tensor, chosen: Tensor, change: Callable[..., Tensor], *parameters: Tensor
) -> Tensor:
    """The images with ``change(images, *parameters)`` applied where ``chosen`` (B,) is true.

    Writes into ``images``. Parameters are (B, ...) and are cut to the chosen images; nothing is
    computed when no image is chosen.
    """
    index = chosen.nonzero().squeeze(1)
    size = _CPU_CHUNK if images.is_cpu else max(1, len(index))
    for part in torch.split(index, size) if len(index) else ():
        cut = [parameter.index_select(0, part) for parameter in parameters]
        images.index_copy_(0, part, change(images.index_select(0, part), *cut))
    return images


# Geometry: sampling matrices


def _column(values: Tensor) -> Tensor:
    """A parameter (B,) -> float32 (B, 1, 1, 1)."""
    return values.float().view(-1, 1, 1, 1)


def _symmetric_filter(images: Tensor, half: Tensor, dim: int) -> Tensor:
    """Images filtered along ``dim``; ``half`` (B, R + 1) weighs the offsets 0 to R; mirror border."""
    reach, size = half.shape[1] - 1, images.shape[dim]
    sides = (reach, reach, 0, 0) if dim == 3 else (0, 0, reach, reach)
    padded = F.pad(images, sides, mode="reflect")
    total = images * _column(half[:, 0])
    for k in range(1, reach + 1):
        pair = padded.narrow(dim, reach - k, size) + padded.narrow(dim, reach + k, size)
        total += pair.mul_(_column(half[:, k]))
    return total


def _half_gaussian(sigma: Tensor, reach: Tensor, most: int) -> Tensor:
    """Weights (B, R + 1) of a sampled Gaussian, zero beyond each image's reach; both sides sum to 1."""
    count = min(most - 1, int(reach.max().item()))
    offsets = torch.arange(count + 1, device=sigma.device, dtype=torch.float64)
    weights = torch.exp(-0.5 * (offsets / sigma.clamp(min=1e-3)[:, None]) ** 2)
    weights = weights * (offsets <= reach[:, None])
    return weights / (2 * weights.sum(1, keepdim=True) - weights[:, :1])


def gaussian_blur(
    images: Tensor, sigma: Tensor, aspect: Tensor, *, reach: float | None = None
) -> Tensor:
    """Images blurred by a Gaussian that is round in the original crop; mirrored at the border.

    ``sigma`` is in rows. The kernel ends at ``reach`` rows or, without it, at 3 sigma. Crops
    narrower than a quarter of W / H are blurred as if they were that wide.
    """
    height, width = images.shape[2:]
    sigma = sigma.double()
    stretch = (width / height / aspect.double()).clamp(max=_MOST_STRETCH)
    ends = 3 * sigma if reach is None else torch.full_like(sigma, reach)
    images = _symmetric_filter(images, _half_gaussian(sigma, ends, height), 2)
    return _symmetric_filter(images, _half_gaussian(sigma * stretch, ends * stretch, width), 3)


def motion_blur(
    images: Tensor, length: Tensor, degrees: Tensor, aspect: Tensor, *, taps: int = 9
) -> Tensor:
    """Images averaged over ``taps`` shifts along a line that is ``length`` pixels long.

    ``length`` counts pixels (rows) including both ends: 1 is no blur. 0 degrees is horizontal,
    counter-clockwise in the original crop; edges are repeated.
    """
    height, width = images.shape[2:]
    angle = torch.deg2rad(degrees.double())
    step_x = angle.cos() * (length - 1) * 2 / (height * aspect.double())
    step_y = -angle.sin() * (length - 1) * 2 / height
    steps = torch.stack((step_x, step_y), 1)
    rows, columns = centres(height, images.device), centres(width, images.device)
    still = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), 2)  # (H, W, 2)
    total = torch.zeros_like(images)
    for tap in range(taps):
        shift = (steps * (tap / (taps - 1) - 0.5)).float()
        total += warp(images, still + shift[:, None, None])
    return total / taps


def sharpen(images: Tensor, alpha: Tensor, lightness: Tensor) -> Tensor:
    """Images blended by ``alpha`` with their 3x3 Laplacian sharpening.

    The kernel's neighbours weigh -1 and its centre 8 + ``lightness``: below lightness 1 flat areas
    get darker. Neighbours are those of the stretched image. Source: imgaug's Sharpen.
    """
    ones = torch.ones(len(images), 2, device=images.device)
    around = _symmetric_filter(_symmetric_filter(images, ones, 2), ones, 3)  # 3x3 sums
    alpha = alpha.double()
    centre = (1 - alpha) + alpha * (9 + lightness)
    return (images * _column(centre)).sub_(around.mul_(_column(alpha))).clamp_(0, 1)


@lru_cache(maxsize=64)
def _pyramid_taps(size: int, base: int, level: int, device: str) -> list[tuple[Tensor, Tensor]]:
    """Filters along one side: (indices (T, N), weights (T, N)) lists, applied one after the other."""

    def linear(count: int, source: int) -> Tensor:
        place = ((torch.arange(count, dtype=torch.float64) + 0.5) * source / count - 0.5).clamp(
            0, source - 1
        )
        columns = torch.arange(source, dtype=torch.float64)
        return (1 - (place[:, None] - columns).abs()).clamp(min=0)

    down, count = linear(base, size), base
    for _ in range(level):
        rows = torch.zeros((count + 1) // 2, count, dtype=torch.float64)
        for offset, weight in zip(range(-2, 3), (1, 4, 6, 4, 1), strict=True):
            column = (torch.arange(len(rows)) * 2 + offset).abs()  # mirrored at both ends
            column = torch.where(column >= count, 2 * count - 2 - column, column).clamp(min=0)
            rows[torch.arange(len(rows)), column] += weight / 16
        down, count = rows @ down, len(rows)
    up = linear(size, count)
    stages = [up @ down] if count >= size else [down, up]
    result = []
    for stage in stages:
        used = stage.abs() > 1e-9
        first = used.int().argmax(1)
        last = stage.shape[1] - used.flip(1).int().argmax(1)
        span = int((last - first).max())
        start = first.clamp(max=stage.shape[1] - span)
        index = start + torch.arange(span)[:, None]
        weights = stage[torch.arange(len(stage)), index].float()
        result.append((index.to(device), weights.to(device)))
    return result


def pyramid_rescale(images: Tensor, level: int, *, base: tuple[int, int]) -> Tensor:
    """Images enlarged to ``base`` (height, width), halved ``level`` times, and brought back.

    Halving is the binomial 5-tap pyramid; resizing is bilinear. Level 0 changes nothing.
    """
    if level == 0:
        return images
    device = str(images.device)
    for side in base:  # rows, then columns as the rows of the transposed image
        for index, weights in _pyramid_taps(images.shape[2], side, level, device):
            total = images.index_select(2, index[0]) * weights[0, :, None]
            for row, weight in zip(index[1:], weights[1:], strict=True):
                total += images.index_select(2, row).mul_(weight[:, None])
            images = total
        images = images.transpose(2, 3).contiguous()
    return images


# Colour


def gray(images: Tensor) -> Tensor:
    """Luma (B, 1, H, W) of RGB images, weights of ITU-R BT.601."""
    red, green, blue = images.unbind(1)
    return (red * _LUMA[0]).add_(green * _LUMA[1]).add_(blue * _LUMA[2]).unsqueeze(1)


def grayscale(images: Tensor, alpha: Tensor) -> Tensor:
    """Images blended with their luma: 0 leaves them, 1 makes them gray."""
    return (gray(images) * _column(alpha)).add(images * _column(1 - alpha.double())).clamp_(0, 1)


def linear_contrast(images: Tensor, alpha: Tensor) -> Tensor:
    """Images whose distance from middle gray (127 of 255) is multiplied by ``alpha``."""
    alpha = alpha.double()
    return (images * _column(alpha)).add_(_column((1 - alpha) * (127 / 255))).clamp_(0, 1)


def solarize(images: Tensor, threshold: Tensor, above: Tensor) -> Tensor:
    """Images whose values at or above the threshold (or, where ``above`` is false, below) turn to 1 - v."""
    chosen = (images >= _column(threshold)) == above.view(-1, 1, 1, 1)
    return torch.where(chosen, 1 - images, images)


def gaussian_noise(images: Tensor, deviation: Tensor, normals: Tensor) -> Tensor:
    """Images plus ``deviation`` (in [0, 1] units) times ``normals`` (B, 3, H, W)."""
    return (images + normals * _column(deviation)).clamp_(0, 1)


def hue_shift(images: Tensor, turn: Tensor) -> Tensor:
    """Images whose HSV hue is moved by a fraction of the colour circle; saturation and value stay."""
    red, green, blue = images.unbind(1)
    value = torch.maximum(torch.maximum(red, green), blue)
    chroma = value - torch.minimum(torch.minimum(red, green), blue)
    divisor = torch.where(chroma > 0, chroma, 1.0)
    # hue in sixths of the circle, by which channel is the largest
    hue = torch.where(
        value == red,
        (green - blue).div_(divisor),
        torch.where(
            value == green,
            (blue - red).div_(divisor).add_(2),
            (red - green).div_(divisor).add_(4),
        ),
    )
    hue += (6 * turn.double()).float().view(-1, 1, 1)
    out = torch.empty_like(images)
    for channel, offset in enumerate((5, 3, 1)):
        sector = hue + offset
        sector -= (sector * (1 / 6)).floor_().mul_(6)  # in [0, 6]
        # chroma is taken away by a trapezoid: 0 at 0, 1 from 1 to 3, 0 from 4 on
        missing = sector.sub_(2).abs_().neg_().add_(2).clamp_(0, 1).mul_(chroma)
        torch.sub(value, missing, out=out[:, channel])
    return out


def color_jitter(images: Tensor, factors: Tensor, turns: Tensor) -> Tensor:
    """Images with brightness, contrast, saturation and hue changed, each image in its own order.

    ``factors`` (B, 4): three factors (1 changes nothing) and a hue shift in turns of the circle.
    ``turns`` (B, 4), int64: at which of the turns 0 to 3 each acts. Contrast blends with the
    image's mean luma rounded to 1/255, values are clipped after each step. Source: torchvision's
    ColorJitter on Pillow images, without its rounding to 8 bits in between.
    """
    factors = factors.double()
    for turn in range(4):
        now = turns == turn  # (B, 4)
        factor = torch.where(now[:, :3], factors[:, :3], 1.0)  # the other factors rest
        brightness, contrast, saturation = factor.unbind(1)
        luma = gray(images)
        # in double precision a sum of integers is exact, whatever its order
        total = (luma * 255).round_().sum((2, 3), keepdim=True, dtype=torch.float64)
        mean = (total / luma[0].numel()).float()
        mean = (mean + 0.5).floor_() / 255
        other = luma.mul_(_column(1 - saturation)).add_(mean * _column(1 - contrast))
        kept = _column(brightness * contrast * saturation)
        images = images * kept if turn == 0 else images.mul_(kept)
        images.add_(other).clamp_(0, 1)
        images = apply_where(images, now[:, 3], hue_shift, factors[:, 3])
    return images
