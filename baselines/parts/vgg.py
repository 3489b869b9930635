"""VGG's network that looks at photographs, without its classifier.

Tensors are named as in torchvision's ``vgg16_bn``, so that weights which circulate for it fit as they are.
"""

from __future__ import annotations

from torch import Tensor, nn

from .batchnorm import BatchNorm2d

# Convolutions and channels of the five stages; configuration D of the paper's table 1.
_STAGES = ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))


class Vgg16(nn.Module):
    """Images (B, 3, H, W), normalised, to the maps C2 to C5 at strides 4, 8, 16 and 32.

    Those behind the last four of VGG-16's poolings, with batch normalisation behind every convolution.
    ``widths`` are their channels; H and W are multiples of 32.

    Source: Simonyan and Zisserman, Very Deep Convolutional Networks for Large-Scale Image Recognition,
    ICLR 2015.
    """

    widths = (128, 256, 512, 512)

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 3
        for depth, width in _STAGES:
            for _ in range(depth):
                convolution = nn.Conv2d(before, width, 3, padding=1)
                nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
                nn.init.zeros_(convolution.bias)  # type: ignore[arg-type]
                layers += [convolution, BatchNorm2d(width), nn.ReLU(inplace=True)]
                before = width
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> list[Tensor]:
        maps = images
        stages: list[Tensor] = []
        for layer in self.features:
            maps = layer(maps)
            if isinstance(layer, nn.MaxPool2d):
                stages.append(maps)
        return stages[1:]
