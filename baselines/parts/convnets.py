"""The convolutional feature extractors of CRNN and TRBA: word images to one row of features."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from .batchnorm import BatchNorm2d


class ConvNet(nn.Sequential):
    """Stages run one after the other; ``widths`` are the channels behind each."""

    widths: tuple[int, ...]

    def stages(self, images: Tensor) -> list[Tensor]:
        """The map behind each stage, the finest first; the last is what ``forward`` returns."""
        maps: list[Tensor] = []
        for stage in self:
            images = stage(images)
            maps.append(images)
        return maps


class VGG(ConvNet):
    """(B, channels, 32, W) to (B, width, 1, W / 4 - 1): (B, 512, 1, 24) of images 100 wide.

    Stages: (width / 8, 16, 50), (width / 4, 8, 25), (width / 2, 4, 25), (width, 2, 25) and
    (width, 1, 24) of images 100 wide. Normalised are the two convolutions of the fourth stage alone.

    Source: Shi et al., CRNN, TPAMI 2017, table 1, in the form of clovaai, VGG_FeatureExtractor,
    whose third and fourth pools are as narrow as their stride.
    """

    def __init__(self, channels: int, *, width: int = 512) -> None:
        a, b, c = width // 8, width // 4, width // 2
        super().__init__(
            nn.Sequential(_convolution(channels, a), nn.ReLU(), nn.MaxPool2d(2)),
            nn.Sequential(_convolution(a, b), nn.ReLU(), nn.MaxPool2d(2)),
            nn.Sequential(
                *(_convolution(b, c), nn.ReLU(), _convolution(c, c), nn.ReLU()),
                nn.MaxPool2d((2, 1)),
            ),
            nn.Sequential(*_normalised(c, width), *_normalised(width, width), nn.MaxPool2d((2, 1))),
            nn.Sequential(nn.Conv2d(width, width, 2), nn.ReLU()),
        )
        self.widths = (a, b, c, width, width)


class ResNet29(ConvNet):
    """(B, channels, 32, W) to (B, width, 1, W / 4 + 1): (B, 512, 1, 26) of images 100 wide.

    Stages: (width / 8, 32, 100), (width / 4, 16, 50), (width / 2, 8, 25), (width, 4, 26) and
    (width, 1, 26) of images 100 wide: two convolutions, then four times a pool, residual blocks and
    one more convolution; the fourth has no pool before and two narrow convolutions behind.

    Args:
        blocks: residual blocks of each stage but the first.

    Source: Cheng et al., Focusing Attention (FAN), ICCV 2017, table 1, in the form of clovaai,
    ResNet_FeatureExtractor.
    """

    def __init__(
        self, channels: int, *, width: int = 512, blocks: Sequence[int] = (1, 2, 5, 3)
    ) -> None:
        stem, a, b = width // 8, width // 4, width // 2
        one, two, five, three = blocks
        super().__init__(
            nn.Sequential(*_normalised(channels, stem // 2), *_normalised(stem // 2, stem)),
            nn.Sequential(nn.MaxPool2d(2), *_residual(stem, a, one), *_normalised(a, a)),
            nn.Sequential(nn.MaxPool2d(2), *_residual(a, b, two), *_normalised(b, b)),
            nn.Sequential(
                nn.MaxPool2d(2, stride=(2, 1), padding=(0, 1)),
                *_residual(b, width, five),
                *_normalised(width, width),
            ),
            nn.Sequential(
                *_residual(width, width, three),
                nn.Conv2d(width, width, 2, stride=(2, 1), padding=(0, 1), bias=False),
                *(BatchNorm2d(width), nn.ReLU()),
                nn.Conv2d(width, width, 2, bias=False),
                *(BatchNorm2d(width), nn.ReLU()),
            ),
        )
        self.widths = (stem, a, b, width, width)


class _Block(nn.Module):
    """Two 3x3 convolutions and a way around them, through a 1x1 where the width changes."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            *_normalised(before, after),
            _convolution(after, after, bias=False),
            BatchNorm2d(after),
        )
        self.shortcut: nn.Module = nn.Identity()
        if before != after:
            self.shortcut = nn.Sequential(
                nn.Conv2d(before, after, 1, bias=False), BatchNorm2d(after)
            )

    def forward(self, images: Tensor) -> Tensor:
        out: Tensor = self.inner(images) + self.shortcut(images)
        return out.relu()


def _residual(before: int, after: int, blocks: int) -> list[nn.Module]:
    return [_Block(before if i == 0 else after, after) for i in range(blocks)]


def _convolution(before: int, after: int, *, bias: bool = True) -> nn.Conv2d:
    return nn.Conv2d(before, after, 3, padding=1, bias=bias)


def _normalised(before: int, after: int) -> list[nn.Module]:
    return [_convolution(before, after, bias=False), BatchNorm2d(after), nn.ReLU()]
