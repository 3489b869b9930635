"""What a trainable entry of the registry is made of: batches in, a configuration, a loss."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from strbench.errors import StrbenchError
from strbench.loading import Sizing
from strbench.types import Card, Detection, Task

if TYPE_CHECKING:
    from strbench.feeds import Feed


class WordBatch(NamedTuple):
    """A batch of word images on the training device, before a method makes its views."""

    # (B, 3, H, W) uint8, RGB, resized to the config's input size; H and W are 0 for a method that
    # reads labels alone
    images: Tensor
    aspect: Tensor  # (B,) float32, width / height of the original crop
    labels: list[str | None]  # B labels as annotated; None: this image comes without one
    seeds: Tensor  # (B,) int64, one seed an image: same seed, same view

    def part(self, rows: slice, device: torch.device) -> WordBatch:
        """Some rows of it, on a device."""
        return WordBatch(
            self.images[rows].to(device, non_blocking=True),
            self.aspect[rows].to(device, non_blocking=True),
            self.labels[rows],
            self.seeds[rows].to(device, non_blocking=True),
        )

    def pinned(self) -> WordBatch:
        """The same in page-locked memory."""
        return self._replace(
            images=self.images.pin_memory(),
            aspect=self.aspect.pin_memory(),
            seeds=self.seeds.pin_memory(),
        )


class PairBatch(NamedTuple):
    """A batch of images, each with the image that it is to become, on the training device."""

    inputs: (
        Tensor  # (B, 3, h, w) uint8, RGB: the low-resolution image, or the crop that a mask is of
    )
    # (B, 3, H, W) uint8, RGB: the high-resolution image; or (B, 1, H, W): a mask, see strbench.masks
    targets: Tensor
    seeds: Tensor  # (B,) int64, one seed an image: same seed, same view

    def part(self, rows: slice, device: torch.device) -> PairBatch:
        """Some rows of it, on a device."""
        return PairBatch(*(tensor[rows].to(device, non_blocking=True) for tensor in self))

    def pinned(self) -> PairBatch:
        """The same in page-locked memory."""
        return PairBatch(*(tensor.pin_memory() for tensor in self))


class PageBatch(NamedTuple):
    """A batch of photographs, a window of each, on the training device."""

    images: Tensor  # (B, 3, H, W) uint8, RGB; black where a window reaches beyond its photograph
    targets: dict[str, Tensor]  # (B, ...) each: what the method's feed made of the regions
    seeds: Tensor  # (B,) int64, one seed an image: same seed, same view

    def part(self, rows: slice, device: torch.device) -> PageBatch:
        """Some rows of it, on a device."""
        return PageBatch(
            self.images[rows].to(device, non_blocking=True),
            {k: v[rows].to(device, non_blocking=True) for k, v in self.targets.items()},
            self.seeds[rows].to(device, non_blocking=True),
        )

    def pinned(self) -> PageBatch:
        """The same in page-locked memory."""
        targets = {name: tensor.pin_memory() for name, tensor in self.targets.items()}
        return PageBatch(self.images.pin_memory(), targets, self.seeds.pin_memory())


Batch = WordBatch | PairBatch | PageBatch

_AT_LEAST_ONE = ("height", "width", "batch_size", "accumulate", "div", "final_div")
_NOT_NEGATIVE = (
    "unlabelled_batch_size", "epochs", "steps", "lr", "lr_batch", "min_lr", "warmup_steps",
    "warmup_epochs", "weight_decay", "eps", "clip_norm", "power",
)  # fmt: skip
_SHARES = ("layer_decay", "ema", "momentum", "rho", "rise", "decay")

Optimiser = Literal["adamw", "adam", "adadelta", "sgd"]
Schedule = Literal["cosine", "poly", "onecycle", "steps", "constant"]
View = Callable[[Any], dict[str, Tensor]]  # of the batch that belongs to the method's task
Reader = Callable[[Tensor], list[tuple[str, float]]]
Restorer = Callable[[Tensor], Tensor]


class Finder(NamedTuple):
    """A trained detector or spotter, as it is asked."""

    sizing: Sizing  # how a photograph becomes its input
    # From float images (B, 3, H, W), RGB in [0, 1], to the detections of each in pixels of these.
    find: Callable[[Tensor], list[list[Detection]]]
    settings: str  # its size and thresholds in words, for the record


@dataclass(frozen=True, kw_only=True)
class LoopConfig:
    """What the loop itself reads; a method's Config inherits and adds its architecture."""

    height: int = 32
    width: int = 128
    batch_size: int = 128  # images an optimiser step, over all ranks and accumulation steps
    unlabelled_batch_size: int = 0  # further images a step, from --unlabelled and without labels
    # The batch is split in this many forward passes. What a loss compares or averages over a batch, the
    # negatives of a contrast, a mean over characters, the statistics of BatchNorm, is then of a part.
    accumulate: int = 1
    epochs: float = 0.0  # passes over the training data; 0: `steps` counts
    steps: int = 0
    optimiser: Optimiser = "adamw"
    lr: float = 1.5e-4
    lr_batch: int = 256  # the learning rate is lr * batch_size / lr_batch; 0: lr as it is
    schedule: Schedule = "cosine"
    min_lr: float = 1e-5  # where cosine and poly end
    power: float = 0.9  # of poly; 1 is a straight line
    warmup_steps: int = 0
    warmup_epochs: float = 0.0
    rise: float = 0.3  # onecycle: the share of the run on the way up
    div: float = 20.0  # onecycle starts at lr / div
    final_div: float = 1000.0  # and ends at lr / div / final_div
    milestones: tuple[float, ...] = ()  # steps: after these shares of the run
    decay: float = 0.1  # the rate is multiplied by this
    weight_decay: float = 0.1  # of matrices and kernels; vectors and biases never decay
    betas: tuple[float, float] = (0.9, 0.999)  # adamw, adam
    eps: float = 1e-8  # adamw, adam, adadelta
    momentum: float = 0.0  # sgd
    rho: float = 0.95  # adadelta
    layer_decay: float = 1.0
    clip_norm: float = 0.0  # 0: no clipping
    ema: float = 0.0  # decay of a moving average of the weights that is saved; 0: none
    precision: str = "auto"  # "auto": bf16 where the device has it, "fp32", "bf16"

    def __post_init__(self) -> None:
        """Refuses a value with which no run is possible."""
        bounds: dict[str, tuple[float, float]] = {
            **dict.fromkeys(_AT_LEAST_ONE, (1, math.inf)),
            **dict.fromkeys(_NOT_NEGATIVE, (0, math.inf)),
            **dict.fromkeys(_SHARES, (0, 1)),
        }
        for name, (low, high) in bounds.items():
            value = getattr(self, name)
            if not low <= value <= high:
                least = f"{low:g} or more" if high == math.inf else f"{low:g} to {high:g}"
                raise StrbenchError(
                    f"{name}={value!r}: expected {least}.", hint=f"--set {name}=..."
                )

    @property
    def images_a_step(self) -> int:
        return self.batch_size + self.unlabelled_batch_size


@dataclass(frozen=True, kw_only=True)
class PairConfig(LoopConfig):
    """``LoopConfig`` of a network that makes an image of an image; ``height`` and ``width`` are its result's."""

    shrink: int = 2  # its input is this many times smaller; 1: it is enlarged before

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.shrink < 1 or self.height % self.shrink or self.width % self.shrink:
            raise StrbenchError(
                f"shrink={self.shrink!r}: expected a number that divides {self.height} and {self.width}.",
                hint="--set shrink=2",
            )


@dataclass(frozen=True, kw_only=True)
class Method:
    """A trainable entry of the registry: a pretraining method or a recognizer.

    ``build(config)`` returns a module with ``loss(batch) -> dict[str, Tensor]`` ("loss" is
    optimised, the rest is logged). The module may also have ``before_step(progress: float)``, called
    once an optimiser step with the finished fraction of training (momentum updates), and, for layer
    decay, ``depth: int`` and ``layer_of(parameter_name) -> int`` (0 the stem, ``depth + 1`` the head).
    ``views(config)`` returns the function from a WordBatch (a PairBatch where ``task`` is one of images, a
    PageBatch where it is detection) to that loss's batch.

    ``export(module)`` gives the tensors that are kept, under the names which the recognizers that
    start from them use in their own ``state_dict``; ``inherit`` needs no other rule.
    """

    card: Card
    recipes: Mapping[str, Any]  # name -> Config, a LoopConfig
    build: Callable[[Any], nn.Module]
    views: Callable[[Any], View]
    export: Callable[[nn.Module], dict[str, Tensor]]
    needs_labels: bool = False
    needs_images: bool = True  # False: a language model, trained on labels alone
    # A function from float images (B, 3, H, W), RGB in [0, 1], to (text, confidence) in order; None
    # for a method whose result reads nothing.
    reader: Callable[[nn.Module, Any], Reader] | None = None
    task: Task = "recognition"  # of the splits that it is trained on
    # Of super-resolution, a function from float images (B, 3, h, w), RGB in [0, 1], to (B, 3, H, W) in
    # the same unit, not clamped; of segmentation to the probability of text (B, 1, h, w).
    restorer: Callable[[nn.Module, Any], Restorer] | None = None
    # Of detection: what it trains on, from photographs with their regions, and how it is asked.
    feed: Callable[[Any], Feed] | None = None
    finder: Callable[[nn.Module, Any], Finder] | None = None
    # Prefixes of the tensors that may stay as drawn when another run's weights are taken over; None:
    # it does not start from other weights.
    fresh: tuple[str, ...] | None = None
    # From tensors as another project names them to those of this module; None: it takes no files.
    adopts: Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]] | None = None
    # Settings that decide the tensors' shapes: a run that starts from another takes them from there.
    shape: tuple[str, ...] = ("size",)
    feeds: tuple[str, ...] = ()  # entries that start from this one's weights, the usual one first
    parents: tuple[str, ...] = ()  # entries of which one must be given with --from
    # Models whose weights it may start from, given with --from, and so those of what feeds these.
    starts: tuple[str, ...] = ()

    @property
    def answers(self) -> bool:
        """Whether its result is a whole model of its task, and no pretraining alone."""
        return any(f is not None for f in (self.reader, self.restorer, self.finder))


def inherit(
    module: nn.Module, parents: Mapping[str, Mapping[str, Tensor]], *, fresh: tuple[str, ...]
) -> list[str]:
    """Copies the tensors of other runs into ``module``; the names that stay as drawn come back.

    Args:
        parents: run name -> its tensors, named as in ``module.state_dict()``.
        fresh: prefixes under which tensors may be missing.

    Raises:
        StrbenchError: a tensor that ``module`` does not have, has in another shape, or needs and
            nobody brings; or two parents that bring the same one.
    """
    own = module.state_dict()
    taken: dict[str, Tensor] = {}
    wrong: list[str] = []
    for run, tensors in parents.items():
        for name, tensor in tensors.items():
            if name not in own:
                wrong.append(f"{name} of {run} has no place here")
            elif name in taken:
                wrong.append(f"{name} of {run} comes from another run too")
            elif tensor.shape != own[name].shape:
                shapes = f"{tuple(tensor.shape)} where {tuple(own[name].shape)} was expected"
                wrong.append(f"{name} of {run} is {shapes}")
            else:
                taken[name] = tensor
    missing = [name for name in own if name not in taken]
    wrong += [f"{name} is missing" for name in missing if not name.startswith(fresh)]
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise StrbenchError(
            f"The weights of {' and '.join(parents)} do not fit: {'; '.join(wrong[:3])}{more}.",
            hint="Leave size, charset and input size to the parent run, or --from another one.",
        )
    module.load_state_dict(taken, strict=False)
    return missing
