"""Convolutional features averaged over the image: what STR-Fewer-Labels pretrains, and what it hands
on.

Baek et al., "What If We Only Use Real Datasets for Scene Text Recognition? Toward Scene Text
Recognition With Fewer Labels", CVPR 2021; ku21fan/STR-Fewer-Labels (MIT), model.py, pretrain.py
and train.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from strbench.errors import unknown_name
from strbench.methods import LoopConfig, Optimiser, Schedule

from . import fourstage

TRANSFERS = ("parameters", "all")
# What a fresh BatchNorm holds.
_FRESH = {"running_mean": 0, "running_var": 1, "num_batches_tracked": 0}


@dataclass(frozen=True, kw_only=True)
class Config(LoopConfig):
    """Values that RotNet and MoCo share in pretrain.py."""

    size: str = "full"  # a row of parts.fourstage.SIZES
    features: fourstage.Features = "vgg"  # "vgg" is CRNN's (their NV), "resnet" TRBA's (NR)
    tps: bool = False  # rectify first and train that too (their TR)
    channels: Literal[1, 3] = 3
    # "parameters": as the official code, which leaves BatchNorm's running statistics behind; "all"
    transfer: Literal["parameters", "all"] = "parameters"
    height: int = 32
    width: int = 100
    steps: int = 200_000
    optimiser: Optimiser = "sgd"
    momentum: float = 0.9
    schedule: Schedule = "steps"
    lr_batch: int = 0
    clip_norm: float = 5.0


class PooledEncoder(nn.Module):
    """``encoder`` without a sequence model, the mean of its features, and a linear ``head``."""

    def __init__(self, config: Config, *, outputs: int) -> None:
        super().__init__()
        if config.transfer not in TRANSFERS:
            raise unknown_name("transfer", config.transfer, TRANSFERS)
        self.encoder = fourstage.Encoder(
            config.size,
            transform="tps" if config.tps else "none",
            features=config.features,
            sequence="none",
            channels=config.channels,
            height=config.height,
            width=config.width,
        )
        self.head = nn.Linear(self.encoder.dim, outputs)
        fourstage.draw_weights(self.head)

    def forward(self, images: Tensor) -> Tensor:
        """Outputs (B, outputs) of normalised images (B, channels, H, W)."""
        out: Tensor = self.head(self.encoder.visual(images)[:, :, 0].mean(2))
        return out


def transferred(encoder: nn.Module, transfer: str) -> dict[str, Tensor]:
    """The tensors of ``encoder`` under ``encoder.``; with "parameters" BatchNorm's statistics are fresh.

    A recognizer that trains all of itself soon has its own statistics; one whose encoder is frozen in
    evaluation mode (``probe``) needs "all".
    """
    tensors = {f"encoder.{name}": tensor for name, tensor in encoder.state_dict().items()}
    for name, tensor in tensors.items():
        kind = name.rpartition(".")[2]
        if transfer == "parameters" and kind in _FRESH:
            tensors[name] = tensor.new_full(tensor.shape, _FRESH[kind])
    return tensors
