"""SemiMTR: ABINet from few labels and many images, by contrast and by consistency.

Aberdam et al., "Multimodal Semi-Supervised Learning for Text Recognition", 2022 (arXiv 2205.03873).
Official code: amazon-science/semimtr-text-recognition, Apache-2.0, not used here.

``semimtr-vision`` trains ABINet's vision model on two strong views: cross-entropy of both where there
is a label, and SeqCLR's contrast of five windows of its feature map everywhere. ``semimtr`` trains the
whole model, ``--from`` that one and ``abinet-language``: a weak view teaches a strong one, vision
teaches vision, language language, fusion fusion.

What the released code does and blogs tell otherwise: the teacher has the student's own weights, not
their average (``teacher_ema=0.9999`` is the code's variant, off); targets are hard, the last
iteration's, of every image and with no threshold; windows are bands of rows, because the map is
flattened row by row before pooling (the author confirms it: issue 11; ``windows="columns"`` is SeqCLR's).
Consistency adds up the three iterations of language and fusion, supervision averages them.

Against the official code at commit 043d65b: same weights, views and labels; losses and their terms
differ by at most 2e-7 of their value, gradients by 5e-5 of their norm.

What differs: a batch has fixed numbers of labelled and unlabelled images in the proportion 0.3 to 0.7
that the official sampler draws at random; a batch without a usable label costs the unsupervised terms
alone (officially nothing is divided by nothing, which is NaN); vectors do not decay (officially
biases do, BatchNorm does not); the average teacher's own supervised loss, which has no gradient, is
left out. Steps are counted from 25 and 5 passes over 4.2 million unlabelled images (STR-Fewer-Labels'
count of Real-U), which is what an official epoch is. Views: see ``parts.views_severity``.

*Expected:* averages of 92.8 to 93.7 over six test sets by the unlabelled and synthetic data added; not
rerun.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from strbench.errors import unknown_name
from strbench.methods import LoopConfig, Method, Optimiser, Reader, Schedule, View, WordBatch
from strbench.text import charset
from strbench.types import Card

from ..parts.abinet_networks import (
    IteratedABINet,
    Spelling,
    VisionModel,
    normalised,
    reader_of,
    size_named,
    spelled_length,
    spelling_loss,
    targets,
    words_right,
)
from ..parts.nt_xent import nt_xent
from ..parts.teachers import copy_buffers, follow
from ..parts.views import abinet_cv
from ..parts.views_severity import severity_1

WINDOWS = ("rows", "columns")
STUDENT = ("vision.", "language.", "fusion.")  # what is exported


@dataclass(frozen=True, kw_only=True)
class _Shared(LoopConfig):
    """Values of the official configurations that both stages share."""

    size: str = "base"  # a row of parts.abinet_networks.SIZES
    charset: str = "36-abinet"
    dropout: float = 0.1
    optimiser: Optimiser = "adam"
    lr: float = 1e-4
    lr_batch: int = 0
    schedule: Schedule = "steps"
    weight_decay: float = 1e-4
    clip_norm: float = 20.0


@dataclass(frozen=True, kw_only=True)
class VisionConfig(_Shared):
    """Values of semimtr_pretrain_vision_model.yaml."""

    windows: Literal["rows", "columns"] = "rows"
    instances: int = 5  # windows an image
    temperature: float = 0.1
    contrast_weight: float = 1.0
    batch_size: int = 91  # 304 * 0.3
    unlabelled_batch_size: int = 213
    steps: int = 493_000  # 25 * 4.2 million / 213
    milestones: tuple[float, ...] = (17 / 25, 22 / 25)


@dataclass(frozen=True, kw_only=True)
class Config(_Shared):
    """Values of semimtr_finetune.yaml."""

    iterations: int = 3
    consistency_weight: float = 1.0
    teacher_ema: float = 0.0  # 0: the teacher is the student; the code's variant has 0.9999
    batch_size: int = 70  # 232 * 0.3
    unlabelled_batch_size: int = 162
    steps: int = 130_000  # 5 * 4.2 million / 162
    milestones: tuple[float, ...] = (3 / 5, 4 / 5)


# Ours: narrow networks, no dropout and a high learning rate, for a CPU.
_SMOKE: dict[str, Any] = {
    "size": "micro", "dropout": 0.0, "warmup_steps": 20, "batch_size": 16,
    "unlabelled_batch_size": 16, "schedule": "cosine",
}  # fmt: skip
VISION_RECIPES: Mapping[str, VisionConfig] = {
    "paper": VisionConfig(),
    # Ours: sized for less than an hour on one GPU.
    "small": VisionConfig(steps=6_000),
    "smoke": VisionConfig(**_SMOKE, lr=3e-3, steps=300),
}
RECIPES: Mapping[str, Config] = {
    "paper": Config(),
    "small": Config(steps=4_000),
    "smoke": Config(**_SMOKE, lr=1e-3, steps=180),
}


def views(config: VisionConfig | Config) -> View:
    """The function from a WordBatch to two normalised views (B, 3, H, W) and ``targets``.

    "first" and "second", both strong, for the first stage; "weak" and "strong" for the second.
    """
    characters = charset(config.charset)
    first, second = ("first", "second") if isinstance(config, VisionConfig) else ("weak", "strong")

    def view(batch: WordBatch) -> dict[str, Tensor]:
        return {
            first: normalised(abinet_cv(batch) if first == "weak" else severity_1(batch, draw=1)),
            second: normalised(severity_1(batch)),
            **targets(batch.labels, characters, device=batch.images.device),
        }

    return view


class SemiMTRVision(nn.Module):
    """ABINet's vision model, supervised and contrasted; state names begin with ``vision.``."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        if config.windows not in WINDOWS:
            raise unknown_name("kind of windows", config.windows, WINDOWS)
        self.config = config
        self.vision = VisionModel(
            size_named(config.size),
            classes=len(charset(config.charset)) + 1,
            height=config.height,
            width=config.width,
            dropout=config.dropout,
        )

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, 26, C) of normalised images (B, 3, H, W)."""
        logits: Tensor = self.vision(images)[1]
        return logits

    def instances(self, maps: Tensor) -> Tensor:
        """Means (B * instances, D) of feature maps (B, D, H, W) over bands of rows, or of columns.

        Bands of rows are runs of the map read line by line, so they may begin within a row.
        """
        count = self.config.instances
        if self.config.windows == "rows":
            means = F.adaptive_avg_pool1d(maps.flatten(2), count)  # (B, D, instances)
        else:
            means = F.adaptive_avg_pool2d(maps, (1, count)).squeeze(2)
        return means.transpose(1, 2).flatten(0, 1)

    def loss(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """ "supervised", both views' cross-entropy a character, and "contrast", NT-Xent of the windows.

        "matched" is the share of windows whose best match is their own in the other view, "accuracy"
        that of labelled words read right in the first.
        """
        maps = [self.vision.maps(batch[name]) for name in ("first", "second")]
        logits = [self.vision.read(m)[1] for m in maps]
        classes, lengths = batch["classes"], batch["lengths"]
        supervised = sum(spelling_loss(each, classes, lengths) for each in logits)
        contrast, matched = nt_xent(
            *(self.instances(m) for m in maps), temperature=self.config.temperature
        )
        return {
            "loss": supervised + self.config.contrast_weight * contrast,
            "supervised": torch.as_tensor(supervised),
            "contrast": contrast,
            "matched": matched,
            "accuracy": words_right(logits[0], batch),
        }


def _without_teacher(module: nn.Module, keys: Any) -> None:
    keys.missing_keys[:] = [name for name in keys.missing_keys if name.startswith(STUDENT)]


class SemiMTR(IteratedABINet):
    """The whole ABINet, supervised and taught by itself; with ``teacher_ema`` by its average."""

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
        if config.teacher_ema:
            self.teacher = nn.ModuleDict({n: copy.deepcopy(m) for n, m in self.named_children()})
            self.teacher.requires_grad_(False)
            self.register_buffer("updates", torch.zeros((), dtype=torch.int64))
            # ``export`` gives the student alone, and that is what is read
            self.register_load_state_dict_post_hook(_without_teacher)

    updates: Tensor

    def before_step(self, progress: float) -> None:
        """Moves the average teacher to the weights of the step before; a copy of them at first.

        Parameters only, as in the official code: BatchNorm's buffers are the teacher's own.
        """
        if self.config.teacher_ema:
            if self.updates == 0:
                follow(self.teacher, self, 0.0)
                copy_buffers(self.teacher, self)
            follow(self.teacher, self, self.config.teacher_ema)
            self.updates += 1

    def loss(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The sum of "supervised" and "consistency", each the sum of what the three networks cost.

        "accuracy" is the share of labelled words that the weak view is read right, "agreement" the
        share of all words that teacher and student read alike.
        """
        averaged = self.config.teacher_ema > 0
        with torch.set_grad_enabled(not averaged):  # dropout and batch statistics on, as released
            weak = self.spell(batch["weak"], **self.teacher) if averaged else self(batch["weak"])
        strong = self(batch["strong"])
        supervised = self._supervised(strong, batch)
        if not averaged:
            supervised = supervised + self._supervised(weak, batch)
        consistency = _consistency(weak, strong)
        taught = {"classes": weak.fusion[-1].argmax(-1), "lengths": spelled_length(weak.fusion[-1])}
        return {
            "loss": supervised + self.config.consistency_weight * consistency,
            "supervised": supervised,
            "consistency": consistency,
            "accuracy": words_right(weak.fusion[-1], batch),
            "agreement": words_right(strong.fusion[-1], taught),
        }

    def _supervised(self, spelling: Spelling, batch: Mapping[str, Tensor]) -> Tensor:
        losses = [spelling_loss(each, batch["classes"], batch["lengths"]) for each in spelling]
        return torch.stack(losses).sum()


def _consistency(weak: Spelling, strong: Spelling) -> Tensor:
    """What strong spellings cost if the last iteration of the weak ones is right, networks apart."""
    costs = []
    for lessons, learned in zip(weak, strong, strict=True):
        seen = isinstance(lessons, Tensor)  # by vision; language and fusion have iterations
        lesson = (lessons if seen else lessons[-1]).detach()
        # officially vision's lengths are clamped in place when the language model takes them
        lengths = spelled_length(lesson).clamp(min=2 if seen else 1)
        cost = spelling_loss(learned, lesson.argmax(-1), lengths)
        costs.append(cost if seen else len(learned) * cost)
    return torch.stack(costs).sum()


def reader(module: nn.Module, config: _Shared) -> Reader:
    """A function from images (B, 3, H, W) in [0, 1] to (text, confidence), as in ``abinet``."""
    return reader_of(module, charset(config.charset))


def export(module: nn.Module) -> dict[str, Tensor]:
    """The student's tensors, named as in ``abinet`` (``abinet-vision`` for the first stage)."""
    return {name: t for name, t in module.state_dict().items() if name.startswith(STUDENT)}


_CARD = Card(
    name="semimtr",
    kind="pretraining",
    title="SemiMTR: ABINet taught by its own reading of a weaker view",
    paper=(
        "Aberdam et al., Multimodal Semi-Supervised Learning for Text Recognition, 2022 "
        "(arXiv 2205.03873)"
    ),
    code="github.com/amazon-science/semimtr-text-recognition (Apache-2.0; not used)",
    licence="Apache-2.0",
    status="parity-checked",
    parameters={"base": 36_738_703},
    charset="36-abinet",
    resize="stretch-bicubic",
    height=32,
    width=128,
    recipes=tuple(RECIPES),
    notes=(
        "No average teacher, no threshold, hard targets, each network taught by itself, as "
        "released. Start from semimtr-vision and abinet-language. Size micro is strbench's own."
    ),
)
_SHAPE = ("size", "charset", "height", "width")

SEMIMTR_VISION = Method(
    card=replace(
        _CARD,
        name="semimtr-vision",
        title="SemiMTR's first stage: ABINet's vision model, supervised and contrasted",
        parameters={"base": 23_547_461},
        recipes=tuple(VISION_RECIPES),
        notes=(
            "Windows of the contrast are bands of rows, as released; --set windows=columns has "
            "SeqCLR's. Both views are strong. Size micro is strbench's own."
        ),
    ),
    recipes=VISION_RECIPES,
    build=SemiMTRVision,
    views=views,
    export=export,
    needs_labels=True,
    reader=reader,
    fresh=(),
    shape=_SHAPE,
    feeds=("abinet", "abinet-vision"),
    starts=("abinet-vision",),
)
SEMIMTR = Method(
    card=_CARD,
    recipes=RECIPES,
    build=SemiMTR,
    views=views,
    export=export,
    needs_labels=True,
    reader=reader,
    fresh=(*STUDENT, "teacher.", "updates"),
    shape=_SHAPE,
    feeds=("abinet",),
    starts=("abinet",),
)
