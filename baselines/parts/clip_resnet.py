"""CLIP's residual network: three convolutions for a stem, and averages in place of strides.

Radford et al., "Learning Transferable Visual Models From Natural Language Supervision", ICML 2021, section
2.4. It is no ImageNet ResNet: stem, shortcuts and places of the strides differ, so neither takes the
other's weights, though many of the tensors have the same names and shapes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from .batchnorm import BatchNorm2d


class ClipBlock(nn.Module):
    """A bottleneck whose stride is an average over 2x2 pixels, behind the 3x3 and in the shortcut."""

    def __init__(self, before: int, planes: int, stride: int) -> None:
        super().__init__()
        after = 4 * planes
        self.stride = stride
        self.conv1 = nn.Conv2d(before, planes, 1, bias=False)
        self.bn1 = BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, 1, 1, bias=False)
        self.bn2 = BatchNorm2d(planes)
        self.conv3 = nn.Conv2d(planes, after, 1, bias=False)
        self.bn3 = BatchNorm2d(after)
        nn.init.zeros_(self.bn3.weight)
        self.downsample = None
        if stride > 1 or before != after:
            self.downsample = nn.Sequential(
                nn.AvgPool2d(stride),
                nn.Conv2d(before, after, 1, bias=False),
                BatchNorm2d(after),
            )

    def forward(self, maps: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(maps)))
        out = F.relu(self.bn2(self.conv2(out)))
        if self.stride > 1:
            out = F.avg_pool2d(out, self.stride)
        out = self.bn3(self.conv3(out))
        return F.relu(out + (maps if self.downsample is None else self.downsample(maps)))


class ClipResNet(nn.Module):
    """Images (B, 3, H, W), normalised, to the maps C2 to C5 at strides 4, 8, 16 and 32.

    ``widths`` are their channels; H and W are multiples of 32.

    Args:
        depths: blocks of the four stages.
        width: channels of the stem and planes of the first stage.
    """

    widths: tuple[int, int, int, int]

    def __init__(self, depths: Sequence[int], *, width: int = 64) -> None:
        super().__init__()
        half = width // 2
        self.conv1 = nn.Conv2d(3, half, 3, 2, 1, bias=False)
        self.bn1 = BatchNorm2d(half)
        self.conv2 = nn.Conv2d(half, half, 3, 1, 1, bias=False)
        self.bn2 = BatchNorm2d(half)
        self.conv3 = nn.Conv2d(half, width, 3, 1, 1, bias=False)
        self.bn3 = BatchNorm2d(width)
        before = width
        widths = []
        for number, depth in enumerate(depths):
            blocks = []
            for i in range(depth):
                blocks.append(ClipBlock(before, width << number, 2 if number and not i else 1))
                before = 4 * (width << number)
            setattr(self, f"layer{number + 1}", nn.Sequential(*blocks))
            widths.append(before)
        self.widths = (widths[0], widths[1], widths[2], widths[3])

    def forward(self, images: Tensor) -> list[Tensor]:
        maps = F.relu(self.bn1(self.conv1(images)))
        maps = F.relu(self.bn2(self.conv2(maps)))
        maps = F.relu(self.bn3(self.conv3(maps)))
        maps = F.avg_pool2d(maps, 2)
        stages: list[Tensor] = []
        for number in range(1, 5):
            maps = getattr(self, f"layer{number}")(maps)
            stages.append(maps)
        return stages
