"""Pseudo-labels for scene text: a frozen recognizer labels, another learns from what it wrote.

Lee, "Pseudo-Label: The Simple and Efficient Semi-Supervised Learning Method for Deep Neural Networks",
ICML workshops 2013, as the baseline PL of Baek et al., "What If We Only Use Real Datasets for Scene Text
Recognition? Toward Scene Text Recognition With Fewer Labels", CVPR 2021 (arXiv 2103.04400). Official
code of the latter: ku21fan/STR-Fewer-Labels, MIT; none of its text is used.

The teacher is the run given with ``--from``, frozen and in evaluation mode. It writes pseudo-labels while
training goes on, for the very augmented view from which the student then learns them. The loss is the
supervised one plus, with weight 1, the same loss over pseudo-labels; nothing is filtered by confidence.

    strbench finetune trba --data LABELLED
    strbench pretrain pseudo-label --data LABELLED --unlabelled SPLIT --from trba-...
    strbench eval pseudo-label-...

What the code does and is followed: a reading is dropped if padding, unknown or start stands anywhere in
its 26 steps, those behind the end included; an empty reading is kept, and trains the end alone; a
reading without an end is cut to 25 characters (the text is cut at ``find``'s -1) and gets one. With CTC a
dropped reading is one with padding or unknown in it. The student starts freshly drawn (``start="drawn"``);
``start="parent"``, ours, starts it where its teacher stands.
Differences: a dropped image stays in the batch, so that BatchNorm still sees it, and only its loss is
left out; where every reading is dropped the loss is 0, official code stops with an error. PR (the
teacher from RotNet) is published with a student that starts from RotNet too; here it starts drawn or from
that teacher. Batches are 128 + 128, in the code 11 x 12 + 3 x 43.
Inferred: nothing.

Against the official modules at commit 0d9ef6a, same weights and inputs, attention and CTC: the readings
that are dropped are the same, both losses are equal to the last bit, gradients to 3e-5 of the largest
entry of each tensor.

*Expected:* nothing printed is at a comparable setting here; not reproduced.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from strbench.errors import unknown_name
from strbench.methods import Method, View, WordBatch
from strbench.types import Card

from ..parts import teachers, trba_recognizer
from ..parts.ctc import greedy
from ..parts.fourstage import to_channels
from ..parts.ranks import mean_over_ranks
from ..parts.trba_recognizer import (
    MAX_LABEL,
    AttentionRecognizer,
    CTCRecognizer,
    FourStage,
    Layout,
    targets_of,
    tokens_of,
    written,
)


@dataclass(frozen=True, kw_only=True)
class Config(teachers.FewerLabels):
    """``parts.teachers.FewerLabels`` with where the student starts."""

    start: Literal["drawn", "parent"] = "drawn"
    unlabelled_weight: float = 1.0


RECIPES: Mapping[str, Config] = {
    "paper": Config(),
    # Ours: one GPU, under an hour.
    "small": Config(steps=10_000),
    # Ours: goes on from the teacher, for a CPU and under a minute.
    "smoke": Config(**teachers.SMOKE, start="parent", steps=150),
}


def views(config: Config) -> View:
    """The function from a WordBatch to what ``loss`` takes.

    "images" (B, channels, H, W) with label, normalised, with what ``targets_of`` says of them, and
    "unlabelled" (U, channels, H, W), the one view that the teacher reads and the student learns from.
    """
    if config.augmentation not in teachers.VIEWS:
        raise unknown_name("augmentation", config.augmentation, teachers.VIEWS)
    trba_recognizer.layout_of(config)
    augment = teachers.VIEWS[config.augmentation]

    def view(batch: WordBatch) -> dict[str, Tensor]:
        images = to_channels(augment(batch), config.channels)
        labelled = teachers.labelled_rows(batch)
        targets = targets_of([label for label in batch.labels if label is not None], config)
        return {
            "images": images[labelled],
            "unlabelled": images[~labelled],
            **{name: target.to(images.device) for name, target in targets.items()},
        }

    return view


class _Taught(FourStage):
    """A student beside its frozen teacher; the subclasses say how both write."""

    started: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.config = config
        self.teacher = trba_recognizer.build(config).requires_grad_(False).eval()
        # the teacher takes over the parent's weights at the first step, once they have been loaded
        self.register_buffer("started", torch.zeros((), dtype=torch.int64))
        self._seed = int(torch.randint(2**62, (), device="cpu"))  # of a student drawn by then
        teachers.read_alone(self)

    def train(self, mode: bool = True) -> Self:
        """As usual; the teacher stays in evaluation mode."""
        super().train(mode)
        self.teacher.eval()
        return self

    @torch.no_grad()
    def before_step(self, progress: float) -> None:
        """Before the first step: the weights that were loaded become the teacher's."""
        if self.started:
            return
        self.started.fill_(1)
        self.teacher.load_state_dict(teachers.export(self))
        if self.config.start == "drawn":
            with torch.random.fork_rng():
                torch.manual_seed(self._seed)  # every rank draws the same student
                student = trba_recognizer.build(self.config)
            self.load_state_dict(student.state_dict(), strict=False)

    @abstractmethod
    def pseudo_labels(self, images: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """What the teacher writes for normalised images, as a batch for ``FourStage.loss`` in which
        dropped readings are not usable, and its confidences (B,).
        """

    def loss(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The loss on a batch of ``views``.

        "supervised" and "pseudo" are its two terms, "accuracy" the share of labelled words read right,
        "agreement" that of kept pseudo-labels, "kept" the share of pseudo-labels that were not dropped
        and "confidence" the teacher's mean confidence.
        """
        images, unlabelled = batch["images"], batch["unlabelled"]
        total = teachers.zero(self)
        out: dict[str, Tensor] = {}
        nothing = torch.zeros_like(total.detach())
        if teachers.anywhere(len(images), images.device):
            out |= super().loss(batch)
            total = total + out["loss"]
        else:
            out |= dict.fromkeys(("loss", "accuracy", "unusable"), nothing)
        out["supervised"] = out["loss"].detach()
        if teachers.anywhere(len(unlabelled), unlabelled.device):
            with torch.no_grad():
                taught, confidences = self.pseudo_labels(unlabelled)
            learnt = super().loss({"images": unlabelled, **taught})
            total = total + self.config.unlabelled_weight * learnt["loss"]
            out["pseudo"], out["agreement"] = learnt["loss"].detach(), learnt["accuracy"]
            out["kept"], out["confidence"] = (
                1 - learnt["unusable"],
                mean_over_ranks(confidences.sum(), len(unlabelled)),
            )
        else:
            out |= dict.fromkeys(("pseudo", "agreement", "kept", "confidence"), nothing)
        return {**out, "loss": total}


class PseudoLabel(_Taught, AttentionRecognizer):
    """Student and teacher with attention decoders."""

    def pseudo_labels(self, images: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        return spelled(self.teacher(images).logits, self.layout)


class PseudoLabelCTC(_Taught, CTCRecognizer):
    """Student and teacher with CTC decoders."""

    def pseudo_labels(self, images: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        classes, lengths, confidences = greedy(self.teacher(images), blank=self.blank)
        usable = ~_writes(classes, ("padding", "unknown"), self.layout) & (lengths <= MAX_LABEL)
        held = F.pad(classes, (0, MAX_LABEL))[:, :MAX_LABEL].clamp(min=0)
        return {"targets": held, "lengths": lengths * usable, "usable": usable}, confidences


def spelled(logits: Tensor, layout: Layout) -> tuple[dict[str, Tensor], Tensor]:
    """Pseudo-labels of a reading's logits (B, T, classes): "tokens" and "usable", and confidences (B,).

    Dropped, that is not usable, where a step says padding, unknown or start.
    """
    out = written(logits, layout)
    usable = ~_writes(out.classes, ("padding", "unknown", "go"), layout)
    tokens = tokens_of(out.classes, out.lengths.clamp(max=MAX_LABEL), usable, layout)
    return {"tokens": tokens, "usable": usable}, out.confidences


def _writes(classes: Tensor, names: Sequence[str], layout: Layout) -> Tensor:
    """Which rows of classes (B, T) hold one of these special classes, as far as the layout has it."""
    special = [layout.specials.index(name) for name in names if name in layout.specials]
    return torch.isin(classes, torch.tensor(special, device=classes.device)).any(1)


def build(config: Config) -> nn.Module:
    """Student and teacher, freshly drawn."""
    return (PseudoLabel if config.decoder == "attention" else PseudoLabelCTC)(config)


PSEUDO_LABEL = Method(
    card=Card(
        name="pseudo-label",
        kind="pretraining",
        title="Pseudo-Label, as in STR-Fewer-Labels",
        paper=(
            "Baek et al., What If We Only Use Real Datasets for Scene Text Recognition? Toward Scene "
            "Text Recognition With Fewer Labels, CVPR 2021; Lee, Pseudo-Label, ICML workshops 2013"
        ),
        code="github.com/ku21fan/STR-Fewer-Labels (MIT, not used)",
        licence="Apache-2.0",
        status="parity-checked",
        parameters={"full": 99_642_326, "full trainable": 49_821_163},
        charset="94",
        resize="stretch-bicubic",
        height=32,
        width=100,
        recipes=tuple(RECIPES),
        notes=(
            "Starts with --from a trained trba or crnn, which is the frozen teacher; no confidence "
            "threshold. The student is kept."
        ),
    ),
    recipes=RECIPES,
    build=build,
    views=views,
    export=teachers.export,
    needs_labels=True,
    reader=trba_recognizer.reader,
    fresh=("teacher.", "started"),
    shape=teachers.SHAPE,
    feeds=("trba",),
    parents=("trba", "trbc", "crnn", "mean-teacher", "character-consistency", "fixmatch"),
)
