"""Residual networks that look at photographs: ImageNet's, and the one with PSENet's deep stem.

Tensors are named as in torchvision, so that weights which circulate for these networks fit as they are.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from .batchnorm import BatchNorm2d
from .deformable import Offsets, deformed


class BasicBlock(nn.Module):
    """Two 3x3 convolutions; the first has the stride and may be deformable."""

    expansion = 1

    def __init__(self, before: int, planes: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, planes, 3, stride, 1, bias=False)
        self.bn1 = BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, 1, 1, bias=False)
        self.bn2 = BatchNorm2d(planes)
        self.downsample = _shortcut(before, planes, stride)

    def forward(self, maps: Tensor, offsets: Offsets | None = None) -> Tensor:
        out = F.relu(self.bn1(self.conv1(maps)))
        out = self.bn2(deformed(self.conv2, out, offsets))
        return F.relu(out + (maps if self.downsample is None else self.downsample(maps)))


class Bottleneck(nn.Module):
    """1x1, 3x3 with the stride, 1x1 to four times the planes; the 3x3 may be deformable."""

    expansion = 4

    def __init__(self, before: int, planes: int, stride: int) -> None:
        super().__init__()
        after = planes * self.expansion
        self.conv1 = nn.Conv2d(before, planes, 1, bias=False)
        self.bn1 = BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, stride, 1, bias=False)
        self.bn2 = BatchNorm2d(planes)
        self.conv3 = nn.Conv2d(planes, after, 1, bias=False)
        self.bn3 = BatchNorm2d(after)
        self.downsample = _shortcut(before, after, stride)

    def forward(self, maps: Tensor, offsets: Offsets | None = None) -> Tensor:
        out = F.relu(self.bn1(self.conv1(maps)))
        out = F.relu(self.bn2(deformed(self.conv2, out, offsets)))
        out = self.bn3(self.conv3(out))
        return F.relu(out + (maps if self.downsample is None else self.downsample(maps)))


def _shortcut(before: int, after: int, stride: int) -> nn.Sequential | None:
    if stride == 1 and before == after:
        return None
    return nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), BatchNorm2d(after))


class ResNet(nn.Module):
    """Images (B, 3, H, W), normalised, to the maps C2 to C5 at strides 4, 8, 16 and 32.

    ``widths`` are their channels. H and W may be any; those of detectors are multiples of 32.

    Args:
        block: ``BasicBlock`` or ``Bottleneck``.
        depths: blocks of the four stages.
        width: channels of the stem and planes of the first stage.
        is_deep: the stem is three 3x3 convolutions, the last twice as wide, in place of one of 7x7.
        deformable: the 3x3 convolutions of stages C3 to C5 are modulated deformable ones; what they add
            lies under ``offsets``.

    Source: He et al., Deep Residual Learning, CVPR 2016, with the stride in the 3x3 convolution as
    torchvision has it; the deep stem: whai362/PSENet, models/backbone/resnet.py; the deformable stages:
    MhLiao/DB, backbones/resnet.py.
    """

    widths: tuple[int, int, int, int]

    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        depths: Sequence[int],
        *,
        width: int = 64,
        is_deep: bool = False,
        deformable: bool = False,
    ) -> None:
        super().__init__()
        before = 2 * width if is_deep else width
        if is_deep:
            self.conv1 = nn.Conv2d(3, width, 3, 2, 1, bias=False)
            self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
            self.bn2 = BatchNorm2d(width)
            self.conv3 = nn.Conv2d(width, before, 3, 1, 1, bias=False)
            self.bn3 = BatchNorm2d(before)
        else:
            self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1 = BatchNorm2d(width)
        self.is_deep = is_deep
        widths = []
        self.offsets = nn.ModuleDict()
        for number, depth in enumerate(depths):
            planes = width << number
            blocks = []
            for i in range(depth):
                stride = 2 if number and not i else 1
                blocks.append(block(before, planes, stride))
                before = planes * block.expansion
                if deformable and number:
                    at_stride = stride if block is Bottleneck else 1
                    self.offsets[f"layer{number + 1}_{i}"] = Offsets(planes, at_stride)
            setattr(self, f"layer{number + 1}", nn.ModuleList(blocks))
            widths.append(before)
        self.widths = (widths[0], widths[1], widths[2], widths[3])
        for part in self.modules():
            if isinstance(part, nn.Conv2d) and not isinstance(part, Offsets):
                nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Tensor) -> list[Tensor]:
        maps = F.relu(self.bn1(self.conv1(images)))
        if self.is_deep:
            maps = F.relu(self.bn2(self.conv2(maps)))
            maps = F.relu(self.bn3(self.conv3(maps)))
        maps = F.max_pool2d(maps, 3, 2, 1)
        offsets = dict(self.offsets.items())
        stages: list[Tensor] = []
        for number in range(1, 5):
            name = f"layer{number}"
            for i, block in enumerate(getattr(self, name)):
                maps = block(maps, offsets.get(f"{name}_{i}"))
            stages.append(maps)
        return stages
