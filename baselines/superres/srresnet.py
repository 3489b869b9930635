"""SRResNet: residual blocks at low resolution, then a pixel shuffle.

Ledig et al., "Photo-Realistic Single Image Super-Resolution Using a Generative Adversarial Network", CVPR
2017 (arXiv 1609.04802), its generator trained by the mean squared error, as the baseline of Wang et al.,
"Scene Text Image Super-Resolution in the Wild", ECCV 2020. Official code of the latter:
JasonBoy1/TextZoom (now WenjiaWang0312/TextZoom), src/model/srresnet.py, read and run, not copied.

Followed from that code: five residual blocks, a factor of 2, tanh at the end, and 100 times the mean
squared error, over the mask too where there is one (``mask``). Its alignment is left out: with it the
official class stops with an error on images of 16 rows, in its fifth max-pooling.
Against the official module, same weights and inputs, evaluating and training, loss and gradients: equal to
the last bit.

*Expected* of recipe ``cpu-hour`` (size micro) on drawn pairs, one seed, PSNR in dB on the drawn pairs easy, medium
and hard: 24.9, 22.9, 20.5, where bicubic enlargement has 22.7, 20.1, 18.3; on the real easy pairs of TextZoom 22.60
against 23.07 (``strbench reproduce dig-superres --scale cpu-night``). Nothing of the paper's size was run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from ..parts.superres import (
    CPU_HOUR,
    SMALL,
    SMOKE,
    Trunk,
    TrunkRestorer,
    TrunkTraining,
    convolutions,
    image_restorer,
    size_named,
)


@dataclass(frozen=True, kw_only=True)
class Config(TrunkTraining):
    """``TrunkTraining``: nothing is added."""


RECIPES: Mapping[str, Config] = {
    "paper": Config(),
    "small": Config(**SMALL),
    "cpu-hour": Config(**CPU_HOUR),
    "smoke": Config(**{**SMOKE, "steps": 250}),
}


class Block(nn.Module):
    """(B, C, H, W) and what two convolutions with PReLU between them make of it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convolutions = convolutions(channels, nn.PReLU)

    def forward(self, grid: Tensor) -> Tensor:
        change: Tensor = self.convolutions(grid)
        return grid + change


class SRResNet(TrunkRestorer):
    """``TrunkRestorer`` with plain residual blocks, PReLU and no alignment."""

    def __init__(self, config: Config) -> None:
        channels, blocks, _ = size_named(config.size)
        super().__init__(
            Trunk(
                config.planes,
                channels,
                (Block(channels) for _ in range(blocks)),
                scale=config.shrink,
                activation=nn.PReLU,
            )
        )


SRRESNET = image_restorer(
    "srresnet",
    "SRResNet: residual blocks and a pixel shuffle",
    paper=(
        "Ledig et al., Photo-Realistic Single Image Super-Resolution Using a Generative Adversarial "
        "Network, CVPR 2017; Wang et al., Scene Text Image Super-Resolution in the Wild, ECCV 2020"
    ),
    code="github.com/JasonBoy1/TextZoom (no licence stated, not used)",
    parameters={"full": 586_506, "full mask=true": 596_875},
    recipes=RECIPES,
    shape=("size", "mask", "shrink"),
    notes=(
        "As TextZoom's code has it: five blocks, tanh, 100 times the mean squared error, no "
        "alignment; mask=true adds its mask as a fourth channel."
    ),
    build=SRResNet,
)
