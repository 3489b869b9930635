"""Mean Teacher for scene text: a student whose outputs follow those of its own moving average.

Tarvainen and Valpola, "Mean teachers are better role models", NeurIPS 2017, as the baseline of Baek et
al., "What If We Only Use Real Datasets for Scene Text Recognition? Toward Scene Text Recognition With
Fewer Labels", CVPR 2021 (arXiv 2103.04400). Official code of the latter: ku21fan/STR-Fewer-Labels, MIT;
none of its text is used.

Every image has two independent views, one for each model. Beside the supervised loss there is, with
weight 1, the mean squared difference of their softmax outputs over all images, steps and classes. The
teacher's decay is 1 - 1 / (step + 1) until that reaches 0.999: 0.5 at the first step, 0.9 at the ninth.

    strbench pretrain mean-teacher --data LABELLED --unlabelled SPLIT [--from trba-...]
    strbench eval mean-teacher-...

What the code does and is followed: the teacher is in training mode, so it normalises by its own batch,
labelled and unlabelled together, while the student makes a pass over each; its BatchNorm statistics are
never taken over; on labelled images the student is told the right characters but the teacher reads
freely, as both do on unlabelled ones; steps behind the end count like any other. The student is what is
evaluated and kept (the original paper evaluates the teacher). Batches are 128 + 128, in the code 11 x 12
+ 3 x 43.
Differences: none known. Inferred: nothing.

Against the official modules at commit 0d9ef6a, two steps with the same weights and inputs, attention and
CTC: losses differ by at most 5e-7, gradients by 3e-6 of the largest entry of each tensor, the teacher's
weights by 1e-6.

*Expected:* nothing printed is at a comparable setting here; not reproduced.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from strbench import draws
from strbench.errors import unknown_name
from strbench.methods import Method, View, WordBatch
from strbench.types import Card

from ..parts import teachers, trba_recognizer
from ..parts.fourstage import to_channels
from ..parts.ranks import mean_over_ranks
from ..parts.trba_recognizer import (
    AttentionRecognizer,
    CTCRecognizer,
    FourStage,
    targets_of,
)

_SECOND = 1  # number of the independent use of a seed that is the teacher's view


@dataclass(frozen=True, kw_only=True)
class Config(teachers.FewerLabels):
    """``parts.teachers.FewerLabels`` with the average."""

    consistency_weight: float = 1.0
    teacher_decay: float = 0.999  # at most


RECIPES: Mapping[str, Config] = {
    "paper": Config(),
    # Ours: one GPU, under an hour.
    "small": Config(steps=10_000),
    # Ours: for a CPU and under a minute; best with --from a trba of recipe smoke.
    "smoke": Config(**teachers.SMOKE, steps=120),
}


def views(config: Config) -> View:
    """The function from a WordBatch to what ``loss`` takes.

    "images" (B, channels, H, W) with label, normalised, with what ``targets_of`` says of them;
    "unlabelled" (U, channels, H, W); and other views of both for the teacher, "teacher_images" and
    "teacher_unlabelled".
    """
    if config.augmentation not in teachers.VIEWS:
        raise unknown_name("augmentation", config.augmentation, teachers.VIEWS)
    trba_recognizer.layout_of(config)
    augment = teachers.VIEWS[config.augmentation]

    def view(batch: WordBatch) -> dict[str, Tensor]:
        again = batch._replace(seeds=draws.derive(batch.seeds, _SECOND))
        first, second = (to_channels(augment(b), config.channels) for b in (batch, again))
        labelled = teachers.labelled_rows(batch)
        targets = targets_of([label for label in batch.labels if label is not None], config)
        return {
            "images": first[labelled],
            "unlabelled": first[~labelled],
            "teacher_images": second[labelled],
            "teacher_unlabelled": second[~labelled],
            **{name: target.to(first.device) for name, target in targets.items()},
        }

    return view


class _Averaged(FourStage):
    """A student beside its moving average; the subclasses say how both write."""

    steps: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.config = config
        self.teacher = trba_recognizer.build(config).requires_grad_(False)
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        teachers.read_alone(self)

    def decay_at(self, step: int) -> float:
        """The teacher's decay at a step, counted from 1."""
        return min(1 - 1 / (step + 1), self.config.teacher_decay)

    def before_step(self, progress: float) -> None:
        """Moves the teacher; before the first step it takes over the student's weights."""
        step = int(self.steps.add_(1))
        teachers.follow(self.teacher, self, 0.0 if step == 1 else self.decay_at(step))

    @abstractmethod
    def outputs(self, model: FourStage, images: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """Logits (B, T, classes) of ``model``, told the words of ``batch`` if it holds any."""

    def loss(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The loss on a batch of ``views``.

        "supervised" and "consistency" are its terms, "accuracy" and "teacher_accuracy" the shares of
        labelled words that student and teacher get right (the student, in attention, told the
        characters before).
        """
        images, usable = batch["images"], batch["usable"]
        total = teachers.zero(self)
        nothing = torch.zeros_like(total.detach())
        out = dict.fromkeys(("supervised", "accuracy", "teacher_accuracy", "unusable"), nothing)
        student: list[Tensor] = []
        with_labels = teachers.anywhere(len(images), images.device)
        if with_labels:
            student.append(self.outputs(self, images, batch))
            supervised = self.supervised(student[0], batch)
            total = total + supervised
            out["supervised"] = supervised.detach()
            right = self.right(student[0], batch).sum().float()
            out["accuracy"] = mean_over_ranks(right, usable.sum())
            out["unusable"] = mean_over_ranks((~usable).sum().float(), len(usable))
        if teachers.anywhere(len(batch["unlabelled"]), images.device):
            student.append(self.outputs(self, batch["unlabelled"], {}))
        with torch.no_grad():
            both = torch.cat([batch["teacher_images"], batch["teacher_unlabelled"]])
            teacher = self.outputs(self.teacher, both, {}).float()
            if with_labels:
                right = self.right(teacher[: len(images)], batch).sum().float()
                out["teacher_accuracy"] = mean_over_ranks(right, usable.sum())
        apart = (torch.cat(student).float().softmax(-1) - teacher.softmax(-1)).square()
        consistency = mean_over_ranks(apart.sum(), apart.numel())
        out["consistency"] = consistency.detach()
        return {"loss": total + self.config.consistency_weight * consistency, **out}


class MeanTeacher(_Averaged, AttentionRecognizer):
    """Student and teacher with attention decoders."""

    def outputs(self, model: FourStage, images: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        told = (batch["tokens"][:, :-1],) if batch else ()
        logits: Tensor = model(images, *told).logits
        return logits


class MeanTeacherCTC(_Averaged, CTCRecognizer):
    """Student and teacher with CTC decoders."""

    def outputs(self, model: FourStage, images: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        logits: Tensor = model(images)
        return logits


def build(config: Config) -> nn.Module:
    """Student and teacher, freshly drawn."""
    return (MeanTeacher if config.decoder == "attention" else MeanTeacherCTC)(config)


MEAN_TEACHER = Method(
    card=Card(
        name="mean-teacher",
        kind="pretraining",
        title="Mean Teacher, as in STR-Fewer-Labels",
        paper=(
            "Baek et al., What If We Only Use Real Datasets for Scene Text Recognition? Toward Scene "
            "Text Recognition With Fewer Labels, CVPR 2021; Tarvainen and Valpola, Mean teachers are "
            "better role models, NeurIPS 2017"
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
            "The teacher is in training mode, keeps its own BatchNorm statistics and reads freely. "
            "The student is evaluated and kept, as in STR-Fewer-Labels."
        ),
    ),
    recipes=RECIPES,
    build=build,
    views=views,
    export=teachers.export,
    needs_labels=True,
    reader=trba_recognizer.reader,
    fresh=(*teachers.LATER, "teacher.", "steps"),
    shape=teachers.SHAPE,
    feeds=("trba",),
    starts=("trba",),
)
