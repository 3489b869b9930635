"""TBSRN: TSRN's trunk with self-attention over the whole grid in every block.

Chen et al., "Scene Text Telescope: Text-Focused Scene Image Super-Resolution", CVPR 2021. Official code:
FudanVI/FudanOCR, scene-text-telescope/model/tbsrn.py, read and run, not copied.

What differs from the official code:
- Two of the paper's three loss terms are left out: the distance of attention maps and the weighted
  cross-entropy of a text transformer that was trained beforehand and is frozen. Its weights could not be
  had. What remains is 100 times the mean squared error, as without the release's ``--text_focus``.
- The 229,875 weights that never get a gradient there are not built: two GRU blocks a residual block, a
  layer of each attention, and a convolution with its normalisation before the first layer. The official
  count is 3,210,335, with a mask 3,220,992.
- The release's limit of 50,000 epochs is one that no run reaches; recipe ``paper`` has TextZoom's 500.
Followed: the normalisation that divides by the unbiased deviation plus 1e-6, Xavier-uniform weights in
the blocks, and an alignment whose fifth pooling keeps the rows, so that it sees 16 x 64 pixels as they are.
Against the official module, same weights and inputs, without dropout and its ``grid_sample`` with
``align_corners=True``: in evaluation outputs differ by 1.4e-6 at most, in training by 1.3e-4, since the
official spline is inverted in single precision; by 3e-8 with both sides in double precision, gradients too.

*Expected* of recipe ``cpu-hour`` (size micro) on drawn pairs, one seed, PSNR in dB on the drawn pairs easy, medium
and hard: 23.8, 22.3, 20.2, where bicubic enlargement has 22.7, 20.1, 18.3; on the real easy pairs of TextZoom 22.46
against 23.07 (``strbench reproduce dig-superres --scale cpu-night``). Nothing of the paper's size was run.
"""

from __future__ import annotations

import math
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
from ..parts.vit import attend

_HEADS = 4
_EPS = 1e-6  # of the normalisation, added to the deviation


@dataclass(frozen=True, kw_only=True)
class Config(TrunkTraining):
    """Values of the release's configuration file and of the command in its readme."""

    stn: bool = True  # the central alignment
    dropout: float = 0.1  # of attention weights and in the MLP
    batch_size: int = 16
    lr: float = 1e-4


RECIPES: Mapping[str, Config] = {
    "paper": Config(),
    "small": Config(**SMALL),
    # Without the alignment as in TSRN's; attention over 1,024 places makes its steps the dearest.
    "cpu-hour": Config(**{**CPU_HOUR, "batch_size": 8, "steps": 2_000}, stn=False, dropout=0.0),
    "smoke": Config(**{**SMOKE, "batch_size": 8, "steps": 80}, dropout=0.0),
}


def positions(channels: int, *, height: int, width: int) -> Tensor:
    """Fixed positions (channels, height, width): the first half says the column, the second the row.

    In each half sines at even and cosines at odd channels, base 10,000. ``channels`` is a multiple of 4.
    """
    half = channels // 2
    pairs = torch.exp(torch.arange(0, half, 2) * (-math.log(10000.0) / half))

    def waves(length: int) -> Tensor:  # (half, length)
        angles = torch.arange(length) * pairs[:, None]
        return torch.stack([angles.sin(), angles.cos()], dim=1).flatten(0, 1)

    columns = waves(width)[:, None].expand(half, height, width)
    rows = waves(height)[:, :, None].expand(half, height, width)
    return torch.cat([columns, rows])


class Norm(nn.Module):
    """Layer normalisation by the unbiased standard deviation, to which 1e-6 is added."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))
        self.bias = nn.Parameter(torch.zeros(dim))

    def forward(self, tokens: Tensor) -> Tensor:
        deviation, mean = torch.std_mean(tokens, dim=-1, keepdim=True)
        return self.weight * (tokens - mean) / (deviation + _EPS) + self.bias


class Enhancer(nn.Module):
    """Self-attention and an MLP over all places of a grid, in twice its channels: (B, C, H, W) kept.

    The positions are the other half of a token's channels. Both normalisations come after their sum.
    """

    positions: Tensor

    def __init__(self, channels: int, *, height: int, width: int, dropout: float) -> None:
        super().__init__()
        dim = 2 * channels
        self.dropout = dropout
        self.query, self.key = nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.value, self.project = nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.norm1, self.norm2 = Norm(dim), Norm(dim)
        self.mlp = nn.Sequential(
            nn.Linear(dim, dim), nn.ReLU(), nn.Dropout(dropout), nn.Linear(dim, dim)
        )
        self.narrow = nn.Linear(dim, channels)
        fixed = positions(channels, height=height, width=width)
        self.register_buffer("positions", fixed, persistent=False)

    def _attended(self, tokens: Tensor) -> Tensor:
        batch, length, dim = tokens.shape
        query, key, value = (
            layer(tokens).view(batch, length, _HEADS, dim // _HEADS).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        mixed = attend(query, key, value, self.dropout if self.training else 0.0)
        out: Tensor = self.project(mixed.transpose(1, 2).reshape(batch, length, dim))
        return out

    def forward(self, grid: Tensor) -> Tensor:
        fixed = self.positions.to(grid.dtype).expand(len(grid), *self.positions.shape)
        tokens = torch.cat([grid, fixed], dim=1).flatten(2).transpose(1, 2)  # (B, H * W, 2 * C)
        tokens = self.norm1(tokens + self._attended(tokens))
        tokens = self.norm2(tokens + self.mlp(tokens))
        out: Tensor = self.narrow(tokens).transpose(1, 2).reshape(grid.shape)
        return out


class Block(nn.Module):
    """(B, C, H, W) and what two convolutions and an enhancer make of it."""

    def __init__(self, channels: int, *, height: int, width: int, dropout: float) -> None:
        super().__init__()
        self.convolutions = convolutions(channels, nn.Mish)
        self.enhancer = Enhancer(channels, height=height, width=width, dropout=dropout)
        for parameter in self.parameters():
            if parameter.ndim > 1:
                nn.init.xavier_uniform_(parameter)

    def forward(self, grid: Tensor) -> Tensor:
        change: Tensor = self.enhancer(self.convolutions(grid))
        return grid + change


class TransformerRestorer(TrunkRestorer):
    """``TrunkRestorer`` with attending blocks, Mish and, where the config has it, the alignment."""

    def __init__(self, config: Config) -> None:
        channels, blocks, first = size_named(config.size)
        height, width = config.height // config.shrink, config.width // config.shrink
        alignment = None
        if config.stn:
            alignment = CentralAlignment(
                config.planes,
                height=height,
                width=width,
                first=first,
                enlarged=None,
                last_pool=(1, 2),
            )
        super().__init__(
            Trunk(
                config.planes,
                channels,
                (
                    Block(channels, height=height, width=width, dropout=config.dropout)
                    for _ in range(blocks)
                ),
                scale=config.shrink,
                activation=nn.Mish,
            ),
            alignment=alignment,
        )


TBSRN = image_restorer(
    "tbsrn",
    "TBSRN: self-attention in every residual block",
    paper=(
        "Chen et al., Scene Text Telescope: Text-Focused Scene Image Super-Resolution, CVPR 2021"
    ),
    code="github.com/FudanVI/FudanOCR (scene-text-telescope; not used)",
    parameters={"full": 2_980_460, "full stn=false": 1_125_700, "full mask=true": 2_991_117},
    recipes=RECIPES,
    shape=("size", "mask", "stn", "shrink"),
    notes=(
        "Trained by the mean squared error alone: the paper's two text-focused terms need a frozen "
        "text transformer whose weights could not be had. The official network counts 3,210,335 "
        "with 229,875 weights that never get a gradient and are not built here."
    ),
    build=TransformerRestorer,
)
