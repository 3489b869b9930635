"""TSRN: residual blocks with recurrent layers along columns and rows, central alignment, gradient prior.

Wang et al., "Scene Text Image Super-Resolution in the Wild", ECCV 2020 (arXiv 2005.03341). Official code:
JasonBoy1/TextZoom (now WenjiaWang0312/TextZoom), src/model/tsrn.py, read and run, not copied.

Followed from that code, in the setting of its readme (alignment, mask, gradient prior):
- A block's two convolutions and its recurrent layer along the columns make the residual; the recurrent
  layer along the rows works on the sum, so that the skip passes through it.
- In training the input is first enlarged to 32 x 64, aligned and thereby brought back to 16 x 64
  (``parts.central_alignment``); in evaluation it enters as it is.
- The loss is 100 times the mean squared error, the mask included, and 1e-4 times the gradient prior.
The official checkpoint is the one whose accuracy on the three test sets is best, chosen among many; here
the last step's weights are kept.
Against the official module, same weights and inputs, its ``grid_sample`` with ``align_corners=True``: in
evaluation outputs differ by 1.3e-7 at most, in training by 9e-5, since the official spline is inverted in
single precision; by 4e-13 with both sides in double precision, gradients by 2e-12. With PyTorch's present
default of ``align_corners`` the official output is another, by up to 0.49.

*Expected* of recipe ``cpu-hour`` (size micro) on drawn pairs, one seed, PSNR in dB on the drawn pairs easy, medium
and hard: 24.5, 22.7, 20.4, where bicubic enlargement has 22.7, 20.1, 18.3; on the real easy pairs of TextZoom 22.57
against 23.07 (``strbench reproduce dig-superres --scale cpu-night``). Nothing of the paper's size was run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..parts.central_alignment import CentralAlignment
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
    """``TrunkTraining`` with what the readme's command turns on."""

    mask: bool = True
    stn: bool = True  # the central alignment
    gradient: bool = True  # the gradient prior


RECIPES: Mapping[str, Config] = {
    "paper": Config(),
    "small": Config(**SMALL),
    # Drawn pairs are aligned already, and the alignment's start, which evaluation leaves out, enlarges.
    "cpu-hour": Config(**{**CPU_HOUR, "batch_size": 16}, stn=False),
    "smoke": Config(**SMOKE),
}


class Rows(nn.Module):
    """A 1 x 1 convolution and a GRU in both directions along each row: (B, C, H, W) to the same shape.

    The GRU runs in the type of its weights, whatever that of autocast.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(channels, channels, 1)
        self.gru = nn.GRU(channels, channels // 2, bidirectional=True, batch_first=True)

    def forward(self, grid: Tensor) -> Tensor:
        rows = self.mix(grid).permute(0, 2, 3, 1)  # (B, H, W, C)
        with torch.autocast(grid.device.type, enabled=False):
            flat = rows.flatten(0, 1).to(self.gru.weight_ih_l0.dtype)  # (B * H, W, C)
            both: Tensor = self.gru(flat)[0]
        return both.view(rows.shape).permute(0, 3, 1, 2)


class Block(nn.Module):
    """The sequential residual block: (B, C, H, W) to the same shape."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convolutions = convolutions(channels, nn.Mish)
        self.down = Rows(channels)
        self.across = Rows(channels)

    def forward(self, grid: Tensor) -> Tensor:
        columns = self.convolutions(grid).transpose(2, 3)
        out: Tensor = self.across(grid + self.down(columns).transpose(2, 3))
        return out


class SequentialRestorer(TrunkRestorer):
    """``TrunkRestorer`` with recurrent blocks, Mish and, where the config has it, the alignment."""

    def __init__(self, config: Config) -> None:
        channels, blocks, first = size_named(config.size)
        alignment = None
        if config.stn:
            alignment = CentralAlignment(
                config.planes,
                height=config.height // config.shrink,
                width=config.width // config.shrink,
                first=first,
            )
        super().__init__(
            Trunk(
                config.planes,
                channels,
                (Block(channels) for _ in range(blocks)),
                scale=config.shrink,
                activation=nn.Mish,
            ),
            alignment=alignment,
            gradient=config.gradient,
        )


TSRN = image_restorer(
    "tsrn",
    "TSRN: recurrent residual blocks with central alignment",
    paper="Wang et al., Scene Text Image Super-Resolution in the Wild, ECCV 2020",
    code="github.com/JasonBoy1/TextZoom (no licence stated, not used)",
    parameters={
        "full": 2_681_677,
        "full stn=false": 826_629,
        "full stn=false mask=false": 816_260,
    },
    recipes=RECIPES,
    shape=("size", "mask", "stn", "shrink"),
    notes=(
        "The setting of the readme: mask as a fourth channel, alignment in training alone, gradient "
        "prior. The official checkpoint is chosen on the test sets; here the last step's is kept."
    ),
    build=SequentialRestorer,
)
