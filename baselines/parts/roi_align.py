"""What lies in boxes of a map, as squares of one size: averaged features, or the values at bin centres.

Coordinates are continuous, pixel i covers i to i + 1, so nothing is rounded and half a pixel is never lost.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from .precision import exact

SAMPLES = 2  # a side of a bin: four points, section 3 of Mask R-CNN


def roi_align(features: Tensor, boxes: Sequence[Tensor], size: int, *, scale: float) -> Tensor:
    """(N, C, size, size) the mean of four bilinear samples in every bin of every box.

    In float32, or in float64 where the features are. Points less than half a pixel from the map's border
    take the border's value, and so do those beyond it. No boxes at all give (0, C, size, size).

    Args:
        features: (B, C, H, W).
        boxes: of each of the B maps (N_b, 4): left, top, right and bottom in pixels of the image.
        scale: pixels of the map for one of the image.

    Source: He et al., Mask R-CNN, ICCV 2017, section 3.

    >>> maps = torch.arange(16.0).view(1, 1, 4, 4)  # 4 y + x
    >>> roi_align(maps, [torch.tensor([[0.0, 0.0, 8.0, 8.0]])], 2, scale=0.5)[0, 0].tolist()
    [[2.5, 4.5], [10.5, 12.5]]
    """
    with torch.autocast(features.device.type, enabled=False):
        features = exact(features)
        channels, high, wide = features.shape[1:]
        side = size * SAMPLES
        size_of = features.new_tensor([wide, high])
        parts = [features[:0, :, :1, :1].expand(0, channels, size, size)]
        for maps, some in zip(features, boxes, strict=True):
            if not len(some):
                continue
            x, y = _points(some.to(features.dtype) * scale, side)  # (N, side) each
            grid = torch.stack(
                [x[:, None].expand(-1, side, -1), y[:, :, None].expand(-1, -1, side)], dim=3
            )
            seen = F.grid_sample(
                maps[None],
                (2 * grid / size_of - 1).view(1, -1, side, 2),
                padding_mode="border",
                align_corners=False,
            )  # (1, C, N * side, side)
            samples = seen.view(channels, len(some), side, side).transpose(0, 1)
            parts.append(F.avg_pool2d(samples, SAMPLES))
        return torch.cat(parts)


def at_centres(maps: Tensor, boxes: Tensor, size: int) -> Tensor:
    """(N, size, size) the values of a map (H, W) in which the centres of the boxes' bins lie.

    Centres beyond the map take the value of its border.

    Args:
        boxes: (N, 4) left, top, right and bottom in the map's pixels.

    >>> at_centres(torch.arange(16).view(4, 4), torch.tensor([[1.0, 0.0, 4.0, 2.0]]), 2).tolist()
    [[[1, 3], [5, 7]]]
    """
    x, y = _points(boxes, size)
    column = x.floor().long().clamp(0, maps.shape[1] - 1)
    row = y.floor().long().clamp(0, maps.shape[0] - 1)
    return maps[row[:, :, None], column[:, None, :]]


def _points(boxes: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """x and y (N, count) of points that lie evenly in boxes (N, 4), half a step from their sides."""
    steps = (torch.arange(count, dtype=boxes.dtype, device=boxes.device) + 0.5) / count
    left_top, extent = boxes[:, :2], boxes[:, 2:] - boxes[:, :2]
    points = left_top[:, :, None] + extent[:, :, None] * steps  # (N, 2, count)
    return points[:, 0], points[:, 1]
