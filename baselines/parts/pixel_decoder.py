"""The ViT encoder with a decoder of a few blocks that writes the pixels of every patch.

How encoders of DiG (Yang et al., "Reading and Writing", ACM MM 2022) are put to super-resolution and
segmentation. DiG's release has no code for either; the design is that of re-runs of its encoder,
TongkunGuan/CCD, Dino/decoder/seg_decoder.py, and FaltingsA/SSM, pretrain/models_pixel.py and
main_pixel.py, both read, not copied.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn

from strbench.methods import LoopConfig, Method, Restorer, View
from strbench.types import Card, Status, Task

from .restoring import restoring
from .vit import NORM_EPS, Block, ViT, grid_of, init_linear, sinusoid, size_named


@dataclass(frozen=True, kw_only=True)
class PixelTraining(LoopConfig):
    """Values of SSM's command line for super-resolution unless a comment says otherwise."""

    size: str = "small"  # a row of parts.vit.SIZES
    decoder_depth: int = 3
    decoder_heads: int = 2
    batch_size: int = 96
    epochs: float = 100.0
    lr: float = 1e-4
    lr_batch: int = 0
    min_lr: float = 0.0
    warmup_epochs: float = 5.0
    weight_decay: float = 0.05
    betas: tuple[float, float] = (0.9, 0.95)


# Ours: 2.6 million images, sized for less than an hour on one GPU.
SMALL: dict[str, Any] = {
    "size": "tiny",
    "batch_size": 256,
    "epochs": 0,
    "steps": 10_000,
    "warmup_epochs": 0,
    "warmup_steps": 500,
    "lr": 5e-4,
}
# Ours: as large as the pretraining recipes of this name, and a quarter of an hour on a CPU core.
CPU_HOUR: dict[str, Any] = {
    "size": "mini",
    "batch_size": 64,
    "epochs": 0,
    "steps": 2_000,
    "warmup_epochs": 0,
    "warmup_steps": 200,
    "lr": 1e-3,
}
# Ours: for a CPU and under a minute.
SMOKE: dict[str, Any] = {
    "size": "micro",
    "batch_size": 64,
    "epochs": 0,
    "steps": 200,
    "warmup_epochs": 0,
    "warmup_steps": 20,
    "lr": 3e-3,
}


def assembled(patches: Tensor, grid: tuple[int, int], patch: tuple[int, int]) -> Tensor:
    """Images (B, C, H, W) of rows of pixels (B, L, p1 * p2 * C): ``masking.patch_pixels`` undone."""
    (rows, columns), (high, wide) = grid, patch
    blocks = patches.view(len(patches), rows, columns, high, wide, -1)
    return blocks.permute(0, 5, 1, 3, 2, 4).reshape(len(patches), -1, rows * high, columns * wide)


class PixelDecoder(nn.Module):
    """Features (B, L, dim) of all patches to an image (B, channels, H, W).

    Fixed positions, pre-norm blocks as wide as the encoder, a norm, and a linear layer to the pixels of
    a patch. The re-runs give their sines two dimensions, here they run over the flattened tokens as the
    encoder's do; keys have no bias, as in the encoder.
    """

    positions: Tensor

    def __init__(
        self,
        dim: int,
        *,
        grid: tuple[int, int],
        patch: tuple[int, int],
        channels: int,
        depth: int,
        heads: int,
    ) -> None:
        super().__init__()
        self.grid, self.patch = grid, patch
        self.register_buffer("positions", sinusoid(grid[0] * grid[1], dim), persistent=False)
        self.blocks = nn.Sequential(
            *(Block(dim, heads, dropout=0, attention_dropout=0, drop_path=0) for _ in range(depth))
        )
        self.norm = nn.LayerNorm(dim, eps=NORM_EPS)
        self.paint = nn.Linear(dim, patch[0] * patch[1] * channels)
        init_linear(self)

    def forward(self, features: Tensor) -> Tensor:
        patches = self.paint(self.norm(self.blocks(features + self.positions)))
        return assembled(patches, self.grid, self.patch)


class PixelViT(nn.Module):
    """``encoder``, which a pretraining run may bring, and ``decoder``.

    After a pretraining without a final norm, the encoder's norm starts as PyTorch draws it.
    """

    def __init__(self, config: PixelTraining, *, channels: int) -> None:
        super().__init__()
        size = size_named(config.size)
        self.depth = size.depth  # for layer decay
        self.encoder = ViT(size, height=config.height, width=config.width)
        self.encoder.mask_token.requires_grad_(False)  # nothing is masked
        self.decoder = PixelDecoder(
            size.dim,
            grid=grid_of(size, height=config.height, width=config.width),
            patch=size.patch,
            channels=channels,
            depth=config.decoder_depth,
            heads=config.decoder_heads,
        )

    def layer_of(self, name: str) -> int:
        """Layer-decay group: 0 stem, i + 1 block i of the encoder, depth + 1 everything else."""
        part, _, rest = name.partition(".")
        return self.encoder.layer_of(rest) if part == "encoder" else self.depth + 1

    def forward(self, images: Tensor) -> Tensor:
        """(B, channels, H, W), without bounds, of images (B, 3, H, W) normalised to [-1, 1]."""
        made: Tensor = self.decoder(self.encoder(images))
        return made


def restorer(module: nn.Module, config: PixelTraining) -> Restorer:
    """A function from images (B, 3, H, W), RGB in [0, 1], to what the network makes of them."""
    return restoring(module, lambda images: module(images * 2 - 1))


def pixel_method(
    name: str,
    title: str,
    *,
    kind: Literal["restorer", "segmenter"],
    task: Task,
    status: Status = "parity-checked",
    parameters: dict[str, int],
    recipes: Mapping[str, PixelTraining],
    notes: str,
    build: Callable[[Any], nn.Module],
    views: Callable[[Any], View],
    restorer: Callable[[nn.Module, Any], Restorer] = restorer,
) -> Method:
    """The registry entry of a network of this family."""
    card = Card(
        name=name,
        kind=kind,
        title=title,
        paper=(
            "after Yang et al., Reading and Writing: Discriminative and Generative Modeling for "
            "Self-Supervised Text Recognition, ACM MM 2022"
        ),
        code="none published for this task; github.com/FaltingsA/SSM re-runs it (not used)",
        licence="Apache-2.0",
        status=status,
        parameters=parameters,
        resize="stretch-bicubic",
        height=32,
        width=128,
        recipes=tuple(recipes),
        notes=f"{notes} The decoder is as wide as the encoder. Inputs are (x - 0.5) / 0.5; no "
        "augmentation. Sizes mini and micro are strbench's own.",
    )
    return Method(
        card=card,
        recipes=recipes,
        build=build,
        views=views,
        export=lambda module: dict(module.state_dict()),
        task=task,
        restorer=restorer,
        fresh=("encoder.norm.", "decoder."),
        shape=("size",),
    )
