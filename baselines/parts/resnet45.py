"""ResNet45: the convolutional network below ABINet's vision model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn

from .batchnorm import BatchNorm2d


class Block(nn.Module):
    """A residual block whose first convolution is 1x1 and whose second, 3x3, has the stride."""

    def __init__(self, before: int, width: int, *, stride: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(before, width, 1, bias=False)
        self.mix_norm = BatchNorm2d(width)
        self.look = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.look_norm = BatchNorm2d(width)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or before != width:
            self.shortcut = nn.Sequential(
                nn.Conv2d(before, width, 1, stride, bias=False), BatchNorm2d(width)
            )

    def forward(self, maps: Tensor) -> Tensor:
        """Maps (B, before, H, W) to (B, width, H / stride, W / stride)."""
        out = F.relu(self.mix_norm(self.mix(maps)))
        out = self.look_norm(self.look(out))
        return F.relu(out + self.shortcut(maps))


class ResNet45(nn.Module):
    """Normalised images (B, 3, H, W) to maps (B, widths[-1], H / s, W / s), s the strides' product.

    A 3x3 convolution to ``widths[0]`` channels, then a stage of blocks for each width; a stage's first
    block has its stride. Kernels start as normal numbers of variance 2 / (fan-out).

    Source: Fang et al., ABINet, CVPR 2021; modules/resnet.py.
    """

    def __init__(
        self,
        *,
        widths: Sequence[int] = (32, 64, 128, 256, 512),
        blocks: Sequence[int] = (3, 4, 6, 6, 3),
        strides: Sequence[int] = (2, 1, 2, 1, 1),
        stem_stride: int = 1,
    ) -> None:
        super().__init__()
        width = widths[0]
        self.stem = nn.Conv2d(3, width, 3, stem_stride, 1, bias=False)
        self.stem_norm = BatchNorm2d(width)
        stages = []
        for after, count, stride in zip(widths, blocks, strides, strict=True):
            stage: list[nn.Module] = []
            for index in range(count):
                stage.append(Block(width, after, stride=stride if index == 0 else 1))
                width = after
            stages.append(nn.Sequential(*stage))
        self.stages = nn.Sequential(*stages)
        for part in self.modules():
            if isinstance(part, nn.Conv2d):
                nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Tensor) -> Tensor:
        return cast(Tensor, self.stages(F.relu(self.stem_norm(self.stem(images)))))
