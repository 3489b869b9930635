"""Teachers of recognizers: copies of the student that follow it or stand still, and what their
methods share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from strbench.methods import Optimiser, Schedule, WordBatch

from .ranks import sum_over_ranks, world_size
from .trba_recognizer import AUGMENTATIONS, Config
from .views_rand import zheng_strong, zheng_weak

STUDENT = ("encoder.", "decoder.")  # what a run keeps: the names of a recognizer of the TRBA family
# settings that decide the shapes of a recognizer's tensors, taken from the run that a student starts from
SHAPE = (
    "size", "charset", "tokens", "channels", "transform", "features", "sequence", "decoder", "height",
    "width",
)  # fmt: skip
# stages that a parent may lack: RotNet and MoCo bring convolutions alone
LATER = ("encoder.transform.", "encoder.sequence.", "decoder.")
# Ours: for a CPU and under a minute.
SMOKE: Mapping[str, Any] = {
    "size": "micro",
    "charset": "36",
    "augmentation": "mild",
    "batch_size": 32,
    "unlabelled_batch_size": 32,
    "lr": 1e-3,
}
VIEWS: Mapping[str, Callable[[WordBatch], Tensor]] = {
    **AUGMENTATIONS,
    "zheng-weak": zheng_weak,
    "zheng-strong": zheng_strong,
}


@dataclass(frozen=True, kw_only=True)
class FewerLabels(Config):
    """TRBA with the values of STR-Fewer-Labels' train.py and README unless a comment says otherwise."""

    charset: str = "94"
    tokens: Literal["clovaai", "str-fewer-labels"] = "str-fewer-labels"
    channels: Literal[1, 3] = 3
    augmentation: str = "blur5-crop99"  # README, for TRBA; "crop90-rot15" for CRNN
    batch_size: int = 128
    unlabelled_batch_size: int = 128
    steps: int = 200_000
    optimiser: Optimiser = "adam"
    lr: float = 5e-4
    schedule: Schedule = "onecycle"
    div: float = 20.0
    final_div: float = 1000.0
    clip_norm: float = 5.0


@torch.no_grad()
def follow(teacher: nn.Module, student: nn.Module, decay: float) -> None:
    """Moves the teacher's parameters: decay * teacher + (1 - decay) * student; 0 copies them.

    The student may have more parameters; they are found by name. Buffers stay.
    """
    new = dict(student.named_parameters())
    for name, kept in teacher.named_parameters():
        kept.lerp_(new[name], 1 - decay)


@torch.no_grad()
def copy_buffers(teacher: nn.Module, student: nn.Module) -> None:
    """Gives the teacher the student's BatchNorm statistics and other buffers."""
    new = dict(student.named_buffers())
    for name, kept in teacher.named_buffers():
        kept.copy_(new[name])


def labelled_rows(batch: WordBatch) -> Tensor:
    """Which images have a label: (B,) bool, on the batch's device."""
    rows = [label is not None for label in batch.labels]
    return torch.tensor(rows, dtype=torch.bool, device=batch.images.device)


def anywhere(count: Tensor | int, device: torch.device) -> bool:
    """True on every rank if ``count`` is above 0 on one: a pass that one rank makes, all make."""
    if world_size() == 1:
        return bool(count > 0)
    return bool(sum_over_ranks(torch.as_tensor(count, dtype=torch.float32, device=device)) > 0)


def zero(module: nn.Module) -> Tensor:
    """A zero that hangs on every trainable parameter: DistributedDataParallel wants each in the loss."""
    parameters = [p.sum() for p in module.parameters() if p.requires_grad]
    return 0.0 * torch.stack([p.float() for p in parameters]).sum()


def export(module: nn.Module) -> dict[str, Tensor]:
    """The student's tensors: a whole recognizer."""
    return {n: t for n, t in module.state_dict().items() if n.startswith(STUDENT)}


def read_alone(module: nn.Module) -> None:
    """Lets ``module.load_state_dict`` take a student without its teacher, as ``export`` gives it."""

    def forgive(module: nn.Module, keys: Any) -> None:
        keys.missing_keys[:] = [name for name in keys.missing_keys if name.startswith(STUDENT)]

    module.register_load_state_dict_post_hook(forgive)  # type: ignore[no-untyped-call]
