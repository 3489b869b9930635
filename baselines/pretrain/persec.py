"""PerSec-style pretraining: strokes and characters are told from their surroundings, without labels.

After Liu et al., "Perceiving Stroke-Semantic Context: Hierarchical Contrastive Learning for Robust
Scene Text Recognition", AAAI 2022. No code was published and the paper itself was not at hand. This is
a method in its style, not a reproduction.

Known of the paper (abstract and pages that describe it): two context perceivers sit on an encoder, one on
low-level features (strokes), one on high-level ones (semantics); each has a learnable quantiser and a
context aggregator, and makes every feature element distinguishable from its context by contrast; both
are trained at once, dropped afterwards, and tried on convolutional and ViT encoders.
Everything else is strbench's own reading of that, most of it after wav2vec 2.0 (Baevski et al., NeurIPS
2020), and a setting of ``Config``:
- Elements of a feature map are hidden, and the aggregator infers what was there from the others:
  convolutions over the neighbourhood for strokes, two transformer blocks over the whole word for
  semantics, where elements are columns and neighbouring columns are hidden together.
- What was there is the quantised element: product codebooks, Gumbel-softmax, a diversity term. Elements
  pass a BatchNorm first, and the diversity term weighs 1 (wav2vec 2.0: LayerNorm and 0.1): with those of
  wav2vec 2.0 a run of recipe ``smoke`` ended with 4 of 64 codes in use on the high level, with these 60.
- The contrast of a hidden element is with all other elements of its image, and with the element at the
  same place of every other image of the batch, so that neither the image's look nor the place alone
  tells them apart. Elements with the same codes are no distractors.
- Low level: behind a quarter of a ViT's blocks, behind the third of ResNet-29's five stages. High level:
  its output, of a ViT the mean over each column of patches.
- No augmentation; temperatures and codebooks are wav2vec 2.0's; optimiser and schedule DiG's.

``persec`` pretrains the ViT that DiG's recognizers share, ``persec-cnn`` the ResNet-29 of TRBA without
rectification and BiLSTM.

*Expected:* no accuracy of its own; fine-tune with ``vit-ctc`` or ``trbc`` and score that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, NamedTuple, cast

import torch
from torch import Tensor, nn

from strbench.draws import derive
from strbench.errors import StrbenchError, unknown_name
from strbench.methods import LoopConfig, Method, View, WordBatch
from strbench.types import Card

from ..parts import fourstage
from ..parts.contrast import spread
from ..parts.masking import random_masks
from ..parts.perceiver import Perceiver
from ..parts.views import plain
from ..parts.vit import ViT, grid_of, size_named

ENCODERS = ("vit", "cnn")
STREAM_SEEDS = (590, 591)  # numbers of strbench.draws.derive: one for each level's mask


@dataclass(frozen=True, kw_only=True)
class Config(LoopConfig):
    """Ours throughout; the docstring above says after what."""

    encoder: Literal["vit", "cnn"] = "vit"
    size: str = "small"  # a row of parts.vit.SIZES or of parts.fourstage.SIZES
    channels: Literal[1, 3] = 3  # gray or RGB; cnn only
    low: int = 3  # low-level features: behind so many blocks (vit) or stages (cnn)
    mask_ratio: float = 0.5  # wav2vec 2.0 hides about 49 %
    span: int = 4  # columns that are hidden together, on the high level
    width: int = 128
    latent: int = 256  # width of contexts and of quantised elements; wav2vec 2.0 Base
    depth: int = 2  # convolutions, or transformer blocks, of an aggregator
    heads: int = 4
    groups: int = 2  # codebooks; wav2vec 2.0
    codes: int = 320  # entries of each; wav2vec 2.0
    gumbel: float = 2.0  # temperature of the choice at the start; wav2vec 2.0
    gumbel_end: float = 0.5  # and at the end, falling geometrically
    temperature: float = 0.1  # of the contrast; wav2vec 2.0
    stroke_weight: float = 1.0
    semantic_weight: float = 1.0
    diversity_weight: float = 1.0  # wav2vec 2.0 has 0.1, with which few codes stay in use
    batch_size: int = 1024
    epochs: float = 10.0
    lr: float = 1.5e-4  # times 1024 / 256
    lr_batch: int = 256
    min_lr: float = 1e-5
    warmup_steps: int = 5000
    weight_decay: float = 0.1


PAPER = Config()
# As dig's recipe of that name: the same images and steps.
_SMALL: dict[str, Any] = {"batch_size": 256, "epochs": 0.0, "steps": 10_000, "warmup_steps": 500}
_ON_A_CPU: dict[str, Any] = {"epochs": 0.0, "lr_batch": 0, "latent": 64, "codes": 64}
RECIPES: Mapping[str, Config] = {
    "paper": PAPER,
    "small": replace(PAPER, **_SMALL, size="tiny"),
    # As many images as dig's recipe of this name sees, at its learning rate.
    "cpu-hour": replace(
        PAPER,
        **_ON_A_CPU,
        size="mini",
        low=1,
        span=2,
        batch_size=128,
        steps=900,
        warmup_steps=50,
        lr=1.5e-3,
    ),
    # For a CPU and under a minute.
    "smoke": replace(
        PAPER,
        **_ON_A_CPU,
        size="micro",
        low=1,
        span=2,
        batch_size=128,
        steps=160,
        warmup_steps=20,
        lr=2e-3,
    ),
}
_CNN = replace(PAPER, encoder="cnn", size="full", width=100)
CNN_RECIPES: Mapping[str, Config] = {
    "paper": _CNN,
    "small": replace(_CNN, **_SMALL, lr=5e-4, lr_batch=0),
    "smoke": replace(
        _CNN, **_ON_A_CPU, size="micro", batch_size=64, steps=100, warmup_steps=10, lr=2e-3
    ),
}


class Grids(NamedTuple):
    """Rows and columns of the low-level elements, and columns of the high-level ones."""

    low: tuple[int, int]
    columns: int


def grids(config: Config) -> Grids:
    """The elements of a config's encoder.

    Raises:
        StrbenchError: no such encoder, or no such level in it.
    """
    if config.encoder not in ENCODERS:
        raise unknown_name("encoder", config.encoder, ENCODERS)
    if config.encoder == "vit":
        size = size_named(config.size)
        levels = size.depth
        grid = grid_of(size, height=config.height, width=config.width)
        found = Grids(grid, grid[1])
    else:
        levels = 5
        rows, columns = config.height, config.width
        # ResNet-29 halves both sides before its second and third stage, then rows alone
        low = [(rows, columns), (rows // 2, columns // 2), (rows // 4, columns // 4)]
        low += [(rows // 8, columns // 4 + 1), (rows // 16 - 1, columns // 4 + 1)]
        found = Grids(low[min(max(config.low, 1), 5) - 1], columns // 4 + 1)
    if not 1 <= config.low <= levels:
        raise StrbenchError(
            f"low={config.low}: this encoder has levels 1 to {levels}.", hint="--set low=1"
        )
    return found


def views(config: Config) -> View:
    """The function from a WordBatch to what ``PerSec.loss`` takes.

    "images" (B, 3, H, W) in [0, 1], not augmented; "stroke_mask" (B, rows * columns) and
    "semantic_mask" (B, columns), True where an element is hidden: single elements, and runs of
    ``span`` columns. Masks depend on an image's seed alone.
    """
    (rows, columns), frames = grids(config)
    runs = -(-frames // config.span)

    def view(batch: WordBatch) -> dict[str, Tensor]:
        first, second = (derive(batch.seeds, number) for number in STREAM_SEEDS)
        hidden = random_masks(second, runs, config.mask_ratio)
        return {
            "images": plain(batch),
            "stroke_mask": random_masks(first, rows * columns, config.mask_ratio),
            "semantic_mask": hidden.repeat_interleave(config.span, 1)[:, :frames],
        }

    return view


class PerSec(nn.Module):
    """``encoder``, and the two perceivers, which are dropped after pretraining."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        grid, columns = grids(config)
        self.config = config
        self.gumbel = config.gumbel
        self.encoder: ViT | fourstage.Encoder
        if config.encoder == "vit":
            self.encoder = ViT(size_named(config.size), height=config.height, width=config.width)
            # elements are hidden from the aggregators alone: the mask token waits for other methods
            self.encoder.mask_token.requires_grad_(False)
            low = high = self.encoder.size.dim
        else:
            self.encoder = fourstage.Encoder(
                config.size,
                transform="none",
                features="resnet",
                sequence="none",
                channels=config.channels,
                height=config.height,
                width=config.width,
            )
            widths = self.encoder.features.widths
            low, high = widths[config.low - 1], widths[-1]
        perceiver = partial(
            Perceiver,
            width=config.latent,
            groups=config.groups,
            codes=config.codes,
            depth=config.depth,
            heads=config.heads,
        )
        self.stroke = perceiver(low, count=grid[0] * grid[1], grid=grid)
        self.semantic = perceiver(high, count=columns, grid=None)

    def before_step(self, progress: float) -> None:
        """Sets the temperature of the quantisers for this point of training."""
        start, end = self.config.gumbel, self.config.gumbel_end
        self.gumbel = start * (end / start) ** progress

    def features(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Low-level (B, rows * columns, D) and high-level elements (B, columns, D) of [0, 1] images."""
        if isinstance(self.encoder, fourstage.Encoder):
            maps = self.encoder.features.stages(self.encoder.to_channels(images))
            low = maps[self.config.low - 1].flatten(2).transpose(1, 2)
            return low, maps[-1].mean(2).transpose(1, 2)
        vit = self.encoder
        tokens = vit.patch_embed(images * 2 - 1).flatten(2).transpose(1, 2) + vit.positions
        low = tokens
        for index, block in enumerate(vit.blocks, start=1):
            tokens = block(tokens)
            if index == self.config.low:
                low = tokens
        return low, vit.norm(tokens).unflatten(1, vit.grid).mean(1)

    def loss(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The loss on a batch of ``views``.

        For each level: the contrast "stroke" and "semantic", "..._accuracy" (hidden elements whose own
        quantised element is the nearest), "..._codes" (codes in use, of ``codes`` in a codebook).
        "feature_std" is the spread of high-level features: about 1 when healthy, 0 when collapsed.
        """
        config = self.config
        low, high = self.features(batch["images"])
        levels = {
            "stroke": (self.stroke, low, config.stroke_weight),
            "semantic": (self.semantic, high, config.semantic_weight),
        }
        total = low.new_zeros((), dtype=torch.float32)
        out = {"feature_std": spread(high.detach())}
        for name, (perceiver, features, weight) in levels.items():
            terms = perceiver(
                features,
                batch[f"{name}_mask"],
                gumbel=self.gumbel,
                temperature=config.temperature,
            )
            total = total + weight * (terms["contrast"] + config.diversity_weight * terms["idle"])
            out |= {
                name: terms["contrast"],
                f"{name}_accuracy": terms["accuracy"],
                f"{name}_codes": terms["codes"],
            }
        return {"loss": total, **out}


def export(module: nn.Module) -> dict[str, Tensor]:
    """The encoder's tensors, BatchNorm's statistics among them."""
    encoder = cast(PerSec, module).encoder
    return {f"encoder.{name}": tensor for name, tensor in encoder.state_dict().items()}


def _method(
    name: str,
    title: str,
    recipes: Mapping[str, Config],
    parameters: dict[str, int],
    *,
    shape: tuple[str, ...],
    feeds: tuple[str, ...],
) -> Method:
    return Method(
        card=Card(
            name=name,
            kind="pretraining",
            title=title,
            paper=(
                "after Liu et al., Perceiving Stroke-Semantic Context: Hierarchical Contrastive "
                "Learning for Robust Scene Text Recognition, AAAI 2022"
            ),
            code="none published",
            licence="Apache-2.0",
            status="parity-checked",
            parameters=parameters,
            resize="stretch-bicubic",
            height=32,
            width=recipes["paper"].width,
            recipes=tuple(recipes),
            notes=(
                "PerSec-style, not a reproduction: the paper has no code and was not at hand. Two "
                "context perceivers with a quantiser and an aggregator each are the paper's; masks, "
                "distractors, codebooks, temperatures, weights and training are strbench's own, most "
                "of them after wav2vec 2.0. Recipe paper is a size, not the paper's settings. Inputs "
                "are (x - 0.5) / 0.5."
            ),
        ),
        recipes=recipes,
        build=PerSec,
        views=views,
        export=export,
        shape=shape,
        feeds=feeds,
    )


PERSEC = _method(
    "persec",
    "PerSec-style: strokes and semantics in context, ViT",
    RECIPES,
    {"small": 25_186_560},
    shape=("size", "height", "width"),
    feeds=("vit-ctc", "vit-attention", "vit-transformer", "vit-restorer", "vit-segmenter"),
)
PERSEC_CNN = _method(
    "persec-cnn",
    "PerSec-style: strokes and semantics in context, ResNet-29",
    CNN_RECIPES,
    {"full": 48_142_112},
    shape=("size", "channels", "height", "width"),
    feeds=("trbc", "trba"),
)
