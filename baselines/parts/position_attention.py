"""Position attention: one glimpse of a feature map for each place in the word, all at once."""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .batchnorm import BatchNorm2d
from .vit import sinusoid


class _ConvNormReLU(nn.Sequential):
    def __init__(self, before: int, after: int, *, stride: tuple[int, int] = (1, 1)) -> None:
        super().__init__(
            nn.Conv2d(before, after, 3, stride, 1), BatchNorm2d(after), nn.ReLU(inplace=True)
        )


class PositionAttention(nn.Module):
    """Queries are the sinusoids of the places, keys a small U-Net of the features, values these.

    The U-Net goes down by strides (1, 2), (2, 2), (2, 2), (2, 2) at ``channels`` channels and up again
    by nearest neighbours and a convolution each, the downward maps added on the way; the last
    convolution leads to ``dim`` channels at the features' own size.

    Source: Fang et al., ABINet, CVPR 2021, section 3.1; modules/attention.py.
    """

    places: Tensor

    def __init__(self, dim: int, *, places: int, channels: int = 64) -> None:
        super().__init__()
        strides = [(1, 2), (2, 2), (2, 2), (2, 2)]
        befores = [dim, channels, channels, channels]
        self.down = nn.ModuleList(
            _ConvNormReLU(before, channels, stride=stride)
            for before, stride in zip(befores, strides, strict=True)
        )
        afters = [channels, channels, channels, dim]
        self.up = nn.ModuleList(_ConvNormReLU(channels, after) for after in afters)
        self.register_buffer("places", sinusoid(places, dim), persistent=False)  # (1, T, D)
        self.query = nn.Linear(dim, dim)

    def forward(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """Glimpses (B, T, D) and where they look (B, T, H, W), of feature maps (B, D, H, W)."""
        keys, passed = maps, [maps]
        for layer in self.down:
            keys = layer(keys)
            passed.append(keys)
        for index, layer in enumerate(self.up):
            skip = passed[-2 - index]
            keys = layer(F.interpolate(keys, size=skip.shape[2:], mode="nearest"))
            if index + 1 < len(self.up):
                keys = keys + skip
        queries = self.query(self.places)  # (1, T, D)
        scores = queries @ keys.flatten(2) * maps.shape[1] ** -0.5  # (B, T, H * W)
        weights = scores.float().softmax(-1)
        glimpses = torch.matmul(weights.to(maps.dtype), maps.flatten(2).transpose(1, 2))
        return glimpses, cast(Tensor, weights.unflatten(2, maps.shape[2:]))
