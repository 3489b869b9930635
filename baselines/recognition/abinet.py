"""ABINet: vision, a bidirectional language model and their fusion, three iterations; or vision alone.

Fang et al., "Read Like Humans: Autonomous, Bidirectional and Iterative Language Modeling for Scene
Text Recognition", CVPR 2021 (arXiv 2103.06495). Official code: FangShancheng/ABINet (a BSD licence "for
non-commercial purposes"), not used here; SemiMTR (Apache-2.0) carries the same networks.

The order of training: ``abinet-vision``, ``abinet-language``, then ``abinet --from`` both.

Against the official modules at commit 789743c: same weights and inputs, largest difference of logits
2e-6 with 36 and 94 characters, while training (batch statistics, no dropout) and reading; the same loss.

Where the sources differ, and what is followed:
- A spelling without an end has length 26 in SemiMTR's copy (and in ABINet's earlier commits); ABINet's
  present code makes it 0, which is then clamped to 2. Followed: 26.
- The loss is a cross-entropy with soft labels; all released configurations use one-hot ones, for
  which it is the ordinary one. Smoothed labels are not offered.
- An over-long or empty word is replaced by a random other one in the official data set; here it is
  left out of the loss and counted as unusable.
- ABINet-SV, the small one with two layers and another attention, is not offered.
Ours: no weight decay in either, so that the house rule (vectors never decay) changes nothing.

*Expected:* 91.2 on average over six test sets when trained on synthetic words, in SemiMTR's protocol
(IC13-1015, IC15-2077); not rerun.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from torch import Tensor, nn

from strbench.errors import unknown_name
from strbench.methods import LoopConfig, Method, Optimiser, Reader, Schedule, View, WordBatch
from strbench.text import charset
from strbench.types import Card

from ..parts.abinet_networks import (
    IteratedABINet,
    VisionModel,
    normalised,
    reader_of,
    size_named,
    spelling_loss,
    targets,
    words_right,
)
from ..parts.views import abinet_cv, mild, plain

AUGMENTATIONS: Mapping[str, Callable[[WordBatch], Tensor]] = {
    "abinet-cv": abinet_cv,
    "mild": mild,
    "plain": plain,
}


@dataclass(frozen=True, kw_only=True)
class VisionConfig(LoopConfig):
    """Values of the official configuration for the vision model unless a comment says otherwise."""

    size: str = "base"  # a row of parts.abinet_networks.SIZES
    charset: str = "36-abinet"  # and null: 37 classes; "94" has 95
    dropout: float = 0.1
    probe: bool = False  # the trained features frozen whole and in evaluation mode
    augmentation: Literal["abinet-cv", "mild", "plain"] = "abinet-cv"
    batch_size: int = 384
    epochs: float = 8.0
    optimiser: Optimiser = "adam"
    lr: float = 1e-4
    lr_batch: int = 0
    schedule: Schedule = "steps"
    milestones: tuple[float, ...] = (6 / 8,)
    weight_decay: float = 0.0
    clip_norm: float = 20.0


@dataclass(frozen=True, kw_only=True)
class Config(VisionConfig):
    """Values of the official configuration for the whole model."""

    iterations: int = 3
    vision_weight: float = 1.0
    language_weight: float = 1.0
    fusion_weight: float = 1.0
    epochs: float = 10.0
    milestones: tuple[float, ...] = (6 / 10,)


# Ours: 2.6 million images, sized for less than an hour on one GPU.
_SMALL: dict[str, Any] = {"batch_size": 256, "epochs": 0, "steps": 10_000, "milestones": (0.8,)}
# Ours: narrow networks, no dropout and a high learning rate, for a CPU.
_SMOKE: dict[str, Any] = {
    "size": "micro",
    "dropout": 0.0,
    "augmentation": "plain",
    "batch_size": 32,
    "epochs": 0,
    "steps": 800,
    "warmup_steps": 20,
    "lr": 3e-3,
    "schedule": "cosine",
}

VISION_RECIPES: Mapping[str, VisionConfig] = {
    "paper": VisionConfig(),
    "small": VisionConfig(**_SMALL),
    "smoke": VisionConfig(**_SMOKE),
}
RECIPES: Mapping[str, Config] = {
    "paper": Config(),
    "small": Config(**_SMALL),
    "smoke": Config(**_SMOKE | {"steps": 600}),
}


def views(config: VisionConfig) -> View:
    """The function from a WordBatch to what ``loss`` takes.

    "images" (B, 3, H, W) less ImageNet's mean and over its deviation, "classes" (B, 26) with null = 0
    behind the word, "lengths" (B,) with the end, 0 for words that are empty in the charset or
    longer than 25.
    """
    if config.augmentation not in AUGMENTATIONS:
        raise unknown_name("augmentation", config.augmentation, AUGMENTATIONS)
    augment, characters = AUGMENTATIONS[config.augmentation], charset(config.charset)

    def view(batch: WordBatch) -> dict[str, Tensor]:
        return {
            "images": normalised(augment(batch)),
            **targets(batch.labels, characters, device=batch.images.device),
        }

    return view


class ABINetVision(nn.Module):
    """The vision model with its own loss, as ABINet pretrains it; state names begin with ``vision.``."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.config = config
        self.vision = VisionModel(
            size_named(config.size),
            classes=len(charset(config.charset)) + 1,
            height=config.height,
            width=config.width,
            dropout=config.dropout,
        )
        # What spells the features' places is no encoder and stays trainable under a probe.
        self.frozen = [self.vision.resnet, self.vision.layers] if config.probe else []
        for part in self.frozen:
            part.requires_grad_(False)

    def train(self, mode: bool = True) -> ABINetVision:
        super().train(mode)
        if self.frozen:
            self.vision.positions.eval()
        for part in self.frozen:
            part.eval()
        return self

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, 26, C) of normalised images (B, 3, H, W)."""
        logits: Tensor = self.vision(images)[1]
        return logits

    def loss(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The cross-entropy a character, with the shares of words read right and of unusable ones."""
        logits = self(batch["images"])
        return {
            "loss": spelling_loss(logits, batch["classes"], batch["lengths"]),
            "accuracy": words_right(logits, batch),
            "unusable": (batch["lengths"] == 0).float().mean(),
        }


class ABINet(IteratedABINet):
    """The whole model with the losses of its three networks."""

    def __init__(self, config: Config) -> None:
        super().__init__(
            size_named(config.size),
            charset=charset(config.charset),
            height=config.height,
            width=config.width,
            iterations=config.iterations,
            dropout=config.dropout,
        )
        self.config = config
        self.vision.requires_grad_(not config.probe)

    def train(self, mode: bool = True) -> ABINet:
        super().train(mode)
        if self.config.probe:
            self.vision.eval()
        return self

    def loss(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The weighted sum of "vision", "language" and "fusion", iterations averaged; all three logged."""
        spelling, config = self(batch["images"]), self.config
        terms = {
            name: spelling_loss(logits, batch["classes"], batch["lengths"])
            for name, logits in spelling._asdict().items()
        }
        total = (
            config.vision_weight * terms["vision"]
            + config.language_weight * terms["language"]
            + config.fusion_weight * terms["fusion"]
        )
        return {
            "loss": total,
            **terms,
            "accuracy": words_right(spelling.fusion[-1], batch),
            "unusable": (batch["lengths"] == 0).float().mean(),
        }


def reader(module: nn.Module, config: VisionConfig) -> Reader:
    """A function from images (B, 3, H, W) in [0, 1] to (text, confidence), in order.

    Greedy; the whole model gives the fusion's last iteration. The confidence is the product of the
    chances of all characters and the end.
    """
    return reader_of(module, charset(config.charset))


def export(module: nn.Module) -> dict[str, Tensor]:
    """Every tensor of the recognizer."""
    return dict(module.state_dict())


_CARD = Card(
    name="abinet",
    kind="recognizer",
    title="ABINet: vision, bidirectional language model, fusion; three iterations",
    paper=(
        "Fang et al., Read Like Humans: Autonomous, Bidirectional and Iterative Language Modeling "
        "for Scene Text Recognition, CVPR 2021"
    ),
    code="github.com/FangShancheng/ABINet (BSD, non-commercial; not used)",
    licence="Apache-2.0",
    status="parity-checked",
    parameters={
        "base": 36_738_703,
        "base charset=94": 36_857_661,
    },
    charset="36-abinet",
    resize="stretch-bicubic",
    height=32,
    width=128,
    recipes=tuple(RECIPES),
    notes=(
        "Words of at most 25 characters; null is class 0, letters come before digits. Inputs are "
        "ImageNet-normalised. Crops are stretched bicubically as everywhere in strbench; the "
        "official code stretches bilinearly. The augmentation draws its family an image, the "
        "official one once a data set. Start from abinet-vision (or semimtr-vision) and from "
        "abinet-language. Size micro is strbench's own."
    ),
)
_SHAPE = ("size", "charset", "height", "width")

ABINET_VISION = Method(
    card=replace(
        _CARD,
        name="abinet-vision",
        title="ABINet's vision model alone",
        parameters={"base": 23_547_461, "base charset=94": 23_577_215},
        recipes=tuple(VISION_RECIPES),
    ),
    recipes=VISION_RECIPES,
    build=ABINetVision,
    views=views,
    export=export,
    needs_labels=True,
    reader=reader,
    fresh=(),
    shape=_SHAPE,
    feeds=("abinet",),
)
ABINET = Method(
    card=_CARD,
    recipes=RECIPES,
    build=ABINet,
    views=views,
    export=export,
    needs_labels=True,
    reader=reader,
    fresh=("vision.", "language.", "fusion."),
    shape=_SHAPE,
)
