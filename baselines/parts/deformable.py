"""Modulated deformable convolution (DCNv2) in plain PyTorch: each tap looks where an offset sends it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Offsets(nn.Conv2d):
    """A 3x3 convolution from maps (B, C, H, W) to where and how strongly the nine taps look.

    Its 27 channels are the offsets (y, x) of each tap in pixels, then nine logits of their weights. It
    begins at zero: no offset, each tap at half its strength.

    Source: Zhu et al., Deformable ConvNets v2, CVPR 2019, section 3.2.
    """

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__(channels, 27, 3, stride, 1)
        nn.init.zeros_(self.weight)
        assert self.bias is not None
        nn.init.zeros_(self.bias)


def deformed(convolution: nn.Conv2d, maps: Tensor, offsets: Offsets | None) -> Tensor:
    """A 3x3 convolution with padding 1 whose taps are moved and weighed by ``offsets``; plain without.

    Values between pixels are bilinear, and zero outside of the maps.
    """
    if offsets is None:
        out: Tensor = convolution(maps)
        return out
    batch, channels, height, width = maps.shape
    told = offsets(maps).float()  # (B, 27, h, w)
    h, w = told.shape[2:]
    steps = torch.arange(3, device=maps.device) - 1
    stride = offsets.stride[0]
    taps_y, taps_x = (t.reshape(9, 1, 1) for t in torch.meshgrid(steps, steps, indexing="ij"))
    moved = told[:, :18].view(batch, 9, 2, h, w)
    y = torch.arange(h, device=maps.device).view(1, h, 1) * stride + taps_y + moved[:, :, 0]
    x = torch.arange(w, device=maps.device).view(1, 1, w) * stride + taps_x + moved[:, :, 1]
    # (B, 9 * h, w, 2): x and y from -1, the left or upper border, to 1
    grid = torch.stack([(2 * x + 1) / width - 1, (2 * y + 1) / height - 1], dim=-1)
    seen = F.grid_sample(
        maps.float(), grid.view(batch, 9 * h, w, 2), align_corners=False
    )  # (B, C, 9 * h, w)
    seen = seen.view(batch, channels, 9, h, w) * told[:, None, 18:].sigmoid()
    kernel = convolution.weight.flatten(2)  # (O, C, 9)
    return torch.einsum("bckhw,ock->bohw", seen.to(kernel.dtype), kernel)
