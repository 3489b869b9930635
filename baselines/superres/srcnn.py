"""SRCNN: three convolutions over an enlarged image.

Dong et al., "Image Super-Resolution Using Deep Convolutional Networks", TPAMI 2016 (arXiv 1501.00092), as
the baseline of Wang et al., "Scene Text Image Super-Resolution in the Wild", ECCV 2020. Official code of
the latter: JasonBoy1/TextZoom (now WenjiaWang0312/TextZoom), src/model/srcnn.py, read and run, not copied.

Followed from that code: the image is enlarged by nearest neighbours (SRCNN's paper does it by bicubic
interpolation), borders are padded with zeros, the output has no activation, and the loss is 100 times the
mean squared error. Its alignment is left out: with it the official class stops with an error on images
of 16 rows, in its fifth max-pooling.
Against the official module, same weights and inputs, output, loss and gradients: equal to the last bit.

*Expected* of recipe ``cpu-hour`` on drawn pairs, one seed, PSNR in dB on the drawn pairs easy, medium and hard:
24.3, 22.5, 20.2, where bicubic enlargement has 22.7, 20.1, 18.3; on the real easy pairs of TextZoom 23.55 against
23.07 (``strbench reproduce dig-superres --scale cpu-night``). Nothing of the paper's size was run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from strbench.errors import unknown_name

from ..parts.superres import CPU_HOUR, SMALL, SMOKE, TextZoomTraining, image_losses, image_restorer

# Channels of the first and the second convolution.
SIZES: Mapping[str, tuple[int, int]] = {
    "full": (64, 32),
    "micro": (16, 8),  # strbench's own, for a CPU
}


@dataclass(frozen=True, kw_only=True)
class Config(TextZoomTraining):
    """``TextZoomTraining``: nothing is added."""


RECIPES: Mapping[str, Config] = {
    "paper": Config(),
    "small": Config(**SMALL),
    # Small enough to be trained whole on a CPU.
    "cpu-hour": Config(**{**CPU_HOUR, "size": "full", "lr": 1e-3}),
    "smoke": Config(**{**SMOKE, "batch_size": 32, "steps": 300}),
}


class ThreeConvolutions(nn.Module):
    """Nearest neighbours, then convolutions of 9 x 9, 1 x 1 and 5 x 5 with ReLU between them."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        if config.size not in SIZES:
            raise unknown_name("size of srcnn", config.size, SIZES)
        first, second = SIZES[config.size]
        self.scale = config.shrink
        self.layers = nn.Sequential(
            nn.Conv2d(3, first, 9, padding=4),
            nn.ReLU(),
            nn.Conv2d(first, second, 1),
            nn.ReLU(),
            nn.Conv2d(second, 3, 5, padding=2),
        )

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W), without bounds, of images (B, 3, h, w) in [0, 1]."""
        made: Tensor = self.layers(F.interpolate(images, scale_factor=self.scale))
        return made

    def loss(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The loss on a batch of ``parts.superres.views``: 100 times the mean squared error."""
        return image_losses(self(batch["inputs"]), batch["targets"], gradient=False)


SRCNN = image_restorer(
    "srcnn",
    "SRCNN: three convolutions over an enlarged image",
    paper=(
        "Dong et al., Image Super-Resolution Using Deep Convolutional Networks, TPAMI 2016; Wang et "
        "al., Scene Text Image Super-Resolution in the Wild, ECCV 2020"
    ),
    code="github.com/JasonBoy1/TextZoom (no licence stated, not used)",
    parameters={"full": 20_099},
    recipes=RECIPES,
    shape=("size",),
    notes=(
        "As TextZoom's code has it: enlarged by nearest neighbours, no activation at the end, 100 "
        "times the mean squared error, no alignment."
    ),
    build=ThreeConvolutions,
)
