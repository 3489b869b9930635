"""SeqCLR: an encoder whose frames of a word agree between two views of it, without labels.

Aberdam et al., "Sequence-to-Sequence Contrastive Learning for Text Recognition", CVPR 2021 (arXiv
2012.10873). No code of the paper was published; by its authors, who say that the major parts are
there:
amazon-science/semimtr-text-recognition, Apache-2.0, none of its text is used. Views, projection
head, instance mapping and loss are those of that repository (projection and mapping in
modules/seqclr_proj.py, loss in losses/seqclr_loss.py), the views as ThunderVVV/RCLSTR has them.
Against its projections, mappings and loss at commit 043d65b: same weights and frames, instances
equal to the last bit, losses and gradients within 3e-6.

What differs between the paper and that code, and what is followed:
- The code's encoder is ABINet's, whose 8x32 map it flattens, so that its windows are bands of
  rows. The paper's is one sequence of frames, and windows are neighbouring columns. Followed: the
  paper.
- The code adds a supervised loss; there is none here.
Inferred, because no source seen says it: the paper's encoder is taken to be TPS, ResNet-29 and two
BiLSTM of 256, colour images of 32x100, windows without a projection head (the one setting that
both repositories show). The training of recipe ``paper`` (Adadelta 10, 1,024 images, 50 epochs,
decay 1e-4, clipping at 5) and temperature 0.1 are those of ThunderVVV/mmselfsup, where an author
of RCLSTR repeated SeqCLR; the paper's own were not seen. Weight decay spares biases and BatchNorm.
Views go through the encoder one after the other, so BatchNorm sees each by itself.

``seqclr-vit`` puts strbench's shared ViT in the encoder's place, so that SeqCLR and DiG can be
compared on one architecture: a frame is the mean over a column of patches, a linear head of 256
stands before the windows (ours), the final norm stays. Its recipe ``cpu-hour`` matches that of
``dig`` in images and steps.

The first loss is about ln(2 M - 1), M instances a view, somewhat less where a fresh encoder's
features are alike: with the full encoder and 24 real words in 5 windows 5.2 (5.4 without TPS),
with ViT-Small 5.0, for 5.48. Sizes of few channels lie above it, because cosines of few random
numbers are far from 0.

*Expected:* no accuracy of its own; fine-tune with ``trbc`` or ``trba`` (``seqclr-vit``:
``vit-ctc`` and its siblings) and score that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

import torch.nn.functional as F
from torch import Tensor, nn

from strbench.errors import StrbenchError, unknown_name
from strbench.methods import LoopConfig, Method, Optimiser, Schedule, View, WordBatch
from strbench.types import Card, Status

from ..parts import fourstage, vit
from ..parts.contrast import spread
from ..parts.nt_xent import nt_xent
from ..parts.recurrent import BiLSTM
from ..parts.views_seqclr import seqclr_view

PROJECTIONS = ("none", "linear", "bilstm")
MAPPINGS = ("all", "window", "frame")


@dataclass(frozen=True, kw_only=True)
class Config(LoopConfig):
    """The settings of ``seqclr``; the docstring above says where the values come from."""

    size: str = "full"  # a row of parts.fourstage.SIZES, or of parts.vit.SIZES
    encoder: Literal["fourstage", "vit"] = "fourstage"
    transform: fourstage.Transform = "tps"  # this and the next three: fourstage only
    features: fourstage.Features = "resnet"
    sequence: fourstage.Sequence = "bilstm"
    channels: Literal[1, 3] = 3
    projection: Literal["none", "linear", "bilstm"] = "none"
    projection_hidden: int = 256  # of the BiLSTM, each way
    projection_out: int = 256
    mapping: Literal["all", "window", "frame"] = "window"
    windows: int = 5  # instances an image
    window_frames: int = 0  # frames a window instead, whatever number of windows that gives; 0: off
    temperature: float = 0.1
    height: int = 32
    width: int = 100
    batch_size: int = 1024
    epochs: float = 50.0
    optimiser: Optimiser = "adadelta"
    lr: float = 10.0
    lr_batch: int = 0
    schedule: Schedule = "steps"
    milestones: tuple[float, ...] = (0.6, 0.8)
    decay: float = 0.1
    weight_decay: float = 1e-4
    clip_norm: float = 5.0
    eps: float = 1e-6  # torch's own of Adadelta


PAPER = Config()
# Ours: AdamW with a half cosine.
_ADAMW: Mapping[str, Any] = {
    "optimiser": "adamw",
    "schedule": "cosine",
    "milestones": (),
    "eps": 1e-8,
    "epochs": 0.0,
    "min_lr": 1e-5,
}
RECIPES: Mapping[str, Config] = {
    "paper": PAPER,
    # Ours: 2.6 million images, sized for less than an hour on one GPU.
    "small": replace(
        PAPER, **_ADAMW, batch_size=256, steps=10_000, warmup_steps=500, lr=5e-4, weight_decay=0.05
    ),
    # Ours: a narrow encoder, for a CPU and under a minute.
    "smoke": replace(
        PAPER,
        **_ADAMW,
        size="micro",
        transform="none",
        batch_size=64,
        steps=120,
        warmup_steps=10,
        lr=2e-3,
    ),
}
_VIT = replace(PAPER, encoder="vit", size="small", width=128, projection="linear")
VIT_RECIPES: Mapping[str, Config] = {
    # The paper's loss and views; DiG's optimiser, because Adadelta at 10 is no choice for a ViT.
    "paper": replace(
        _VIT,
        **(_ADAMW | {"epochs": 10.0}),
        lr=1.5e-4,
        lr_batch=256,
        warmup_steps=5000,
        weight_decay=0.1,
        clip_norm=0.0,
    ),
    # This and cpu-hour as dig's: the same images, steps and learning rates.
    "small": replace(
        _VIT,
        **_ADAMW,
        size="tiny",
        batch_size=256,
        steps=10_000,
        warmup_steps=500,
        lr=1.5e-4,
        lr_batch=256,
        weight_decay=0.1,
        clip_norm=0.0,
    ),
    "cpu-hour": replace(
        _VIT,
        **_ADAMW,
        size="mini",
        batch_size=128,
        steps=900,
        warmup_steps=50,
        lr=1.5e-3,
        weight_decay=0.1,
        clip_norm=0.0,
    ),
    # Ours: dig's smoke, a quarter shorter.
    "smoke": replace(
        _VIT,
        **_ADAMW,
        size="micro",
        batch_size=128,
        steps=120,
        warmup_steps=20,
        lr=2e-3,
        weight_decay=0.1,
        clip_norm=0.0,
    ),
}


def views(config: Config) -> View:
    """The function from a WordBatch to what ``SeqCLR.loss`` takes.

    "first" and "second", (B, channels, H, W) each, normalised: two draws of ``seqclr_view``.
    """
    channels = 3 if config.encoder == "vit" else config.channels

    def view(batch: WordBatch) -> dict[str, Tensor]:
        return {
            name: fourstage.to_channels(seqclr_view(batch, draw=draw), channels)
            for draw, name in enumerate(("first", "second"))
        }

    return view


class SeqCLR(nn.Module):
    """``encoder``, and the projection of its frames that is dropped afterwards."""

    encoder: fourstage.Encoder | vit.ViT

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        if config.encoder == "vit":
            size = vit.size_named(config.size)
            self.encoder = vit.ViT(size, height=config.height, width=config.width)
            dim, frames = size.dim, self.encoder.grid[1]
        elif config.encoder == "fourstage":
            self.encoder = fourstage.Encoder(
                config.size,
                transform=config.transform,
                features=config.features,
                sequence=config.sequence,
                channels=config.channels,
                height=config.height,
                width=config.width,
            )
            dim, frames = self.encoder.dim, self.encoder.frames
        else:
            raise unknown_name("encoder", config.encoder, ("fourstage", "vit"))
        _check(config, frames)
        self.projection: nn.Module = nn.Identity()
        if config.projection == "linear":
            self.projection = nn.Linear(dim, config.projection_out)
        elif config.projection == "bilstm":
            self.projection = BiLSTM(dim, config.projection_hidden, config.projection_out)

    def frames(self, images: Tensor) -> Tensor:
        """The encoder's features (B, L, dim) of normalised images, from left to right."""
        features: Tensor = self.encoder(images)
        if isinstance(self.encoder, vit.ViT):
            features = features.unflatten(1, self.encoder.grid).mean(1)  # over a column of patches
        return features

    def instances(self, frames: Tensor) -> Tensor:
        """What is told apart, (B, N, out): the whole word, its windows, or its frames, projected."""
        projected: Tensor = self.projection(frames)
        if self.config.mapping == "frame":
            return projected
        columns = projected.transpose(1, 2)  # (B, out, L)
        if self.config.mapping == "all":
            columns = columns.mean(2, keepdim=True)
        elif self.config.window_frames:
            columns = F.avg_pool1d(columns, self.config.window_frames)
        else:
            columns = F.adaptive_avg_pool1d(columns, self.config.windows)
        return columns.transpose(1, 2)

    def loss(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The loss on a batch of ``views``.

        "accuracy" is the share of instances whose best match among those of both views is their own,
        "feature_std" the spread of image features: about 1 when healthy, 0 when collapsed.
        """
        frames = [self.frames(batch[name]) for name in ("first", "second")]
        first, second = (self.instances(f).flatten(0, 1) for f in frames)
        loss, accuracy = nt_xent(first, second, temperature=self.config.temperature)
        if isinstance(self.encoder, vit.ViT):
            # The mask token takes part with weight zero: every parameter must have a gradient.
            loss = loss + 0.0 * self.encoder.mask_token.sum()
        return {"loss": loss, "accuracy": accuracy, "feature_std": spread(frames[0].detach())}


def _check(config: Config, frames: int) -> None:
    if config.projection not in PROJECTIONS:
        raise unknown_name("projection", config.projection, PROJECTIONS)
    if config.mapping not in MAPPINGS:
        raise unknown_name("mapping", config.mapping, MAPPINGS)
    for name, most in (("windows", frames), ("window_frames", frames)):
        least = 1 if name == "windows" else 0
        if config.mapping == "window" and not least <= getattr(config, name) <= most:
            raise StrbenchError(
                f"{name}={getattr(config, name)} does not fit the {frames} frames of an image; "
                f"expected {least} to {most}.",
                hint=f"--set {name}=5",
            )


def export(module: nn.Module) -> dict[str, Tensor]:
    """The encoder's tensors; the projection head is dropped."""
    encoder = cast(SeqCLR, module).encoder
    return {f"encoder.{name}": tensor for name, tensor in encoder.state_dict().items()}


_NOTES = (
    "The paper published no code; views, instance mapping and loss follow "
    "amazon-science/semimtr-text-recognition and ThunderVVV/RCLSTR, windows run over columns as in the "
    "paper. Optimiser, batch and temperature of recipe paper are those of ThunderVVV/mmselfsup's "
    "SeqCLR, the paper's own were not seen. Sizes mini and micro are strbench's own."
)


def _method(
    name: str,
    title: str,
    parameters: dict[str, int],
    recipes: Mapping[str, Config],
    *,
    shape: tuple[str, ...],
    feeds: tuple[str, ...],
    notes: str = _NOTES,
    status: Status = "parity-checked",
) -> Method:
    card = Card(
        name=name,
        kind="pretraining",
        title=title,
        paper=(
            "Aberdam et al., Sequence-to-Sequence Contrastive Learning for Text Recognition, CVPR 2021"
        ),
        code="github.com/amazon-science/semimtr-text-recognition (Apache-2.0, parts, not used)",
        licence="Apache-2.0",
        status=status,
        parameters=parameters,
        resize="stretch-bicubic",
        height=recipes["paper"].height,
        width=recipes["paper"].width,
        recipes=tuple(recipes),
        notes=notes,
    )
    return Method(
        card=card,
        recipes=recipes,
        build=SeqCLR,
        views=views,
        export=export,
        shape=shape,
        feeds=feeds,
    )


SEQCLR = _method(
    "seqclr",
    "SeqCLR: contrast of windows of a word's frames",
    {"full": 48_850_312},
    RECIPES,
    shape=("size", "transform", "features", "sequence", "channels", "height", "width"),
    feeds=("trbc", "trba"),
)
SEQCLR_VIT = _method(
    "seqclr-vit",
    "SeqCLR on a ViT encoder",
    {"tiny": 5_395_456, "small": 21_407_488, "base": 37_980_416},
    VIT_RECIPES,
    shape=("size", "height", "width"),
    feeds=("vit-ctc", "vit-attention", "vit-transformer", "vit-restorer", "vit-segmenter"),
    status="trained",
    notes=_NOTES + " The ViT is strbench's own choice, for comparisons on one architecture.",
)
