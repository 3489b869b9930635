"""What a trainable entry of the registry is made of: batches in, a configuration, a loss."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import Tensor, nn

from strbench.errors import StrbenchError
from strbench.types import Card


class WordBatch(NamedTuple):
    """A batch of word images on the training device, before a method makes its views."""

    images: Tensor  # (B, 3, H, W) uint8, RGB, resized to the config's input size
    aspect: Tensor  # (B,) float32, width / height of the original crop
    labels: list[str]  # B labels as annotated; "" where a sample has none
    seeds: Tensor  # (B,) int64, one seed an image: same seed, same view


_NOT_NEGATIVE = (
    "epochs", "steps", "lr", "lr_batch", "min_lr", "warmup_steps", "warmup_epochs",
    "weight_decay", "eps", "clip_norm",
)  # fmt: skip

View = Callable[[WordBatch], dict[str, Tensor]]


@dataclass(frozen=True, kw_only=True)
class LoopConfig:
    """What the loop itself reads; a method's Config inherits and adds its architecture."""

    height: int = 32
    width: int = 128
    batch_size: int = 128  # images an optimiser step, over all ranks and accumulation steps
    accumulate: int = 1  # the batch is split in this many forward passes
    epochs: float = 0.0  # passes over the training data; 0: `steps` counts
    steps: int = 0
    lr: float = 1.5e-4
    lr_batch: int = 256  # the learning rate is lr * batch_size / lr_batch; 0: lr as it is
    min_lr: float = 1e-5
    warmup_steps: int = 0
    warmup_epochs: float = 0.0
    weight_decay: float = 0.1
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    layer_decay: float = 1.0
    clip_norm: float = 0.0  # 0: no clipping
    ema: float = 0.0  # decay of a moving average of the weights that is saved; 0: none
    precision: str = "auto"  # "auto": bf16 where the device has it, "fp32", "bf16"

    def __post_init__(self) -> None:
        """Refuses a value with which no run is possible."""
        bounds: dict[str, tuple[float, float]] = {
            **dict.fromkeys(("height", "width", "batch_size", "accumulate"), (1, math.inf)),
            **dict.fromkeys(_NOT_NEGATIVE, (0, math.inf)),
            **dict.fromkeys(("layer_decay", "ema"), (0, 1)),
        }
        for name, (low, high) in bounds.items():
            value = getattr(self, name)
            if not low <= value <= high:
                least = f"{low:g} or more" if high == math.inf else f"{low:g} to {high:g}"
                raise StrbenchError(
                    f"{name}={value!r}: expected {least}.", hint=f"--set {name}=..."
                )


@dataclass(frozen=True, kw_only=True)
class Method:
    """A trainable entry of the registry: a pretraining method or a recognizer.

    ``build(config)`` returns a module with ``loss(batch) -> dict[str, Tensor]`` ("loss" is
    optimised, the rest is logged). The module may also have ``before_step(progress: float)``, called
    once an optimiser step with the finished fraction of training (momentum updates), and, for layer
    decay, ``depth: int`` and ``layer_of(parameter_name) -> int`` (0 the stem, ``depth + 1`` the head).
    ``views(config)`` returns the function from a WordBatch to that loss's batch, ``export(module)``
    the tensors that fine-tuning or prediction loads.
    """

    card: Card
    recipes: Mapping[str, Any]  # name -> Config, a LoopConfig
    build: Callable[[Any], nn.Module]
    views: Callable[[Any], View]
    export: Callable[[nn.Module], dict[str, Tensor]]
    load_encoder: Callable[[nn.Module, dict[str, Tensor]], list[str]] | None = None
    needs_labels: bool = False
    reader: Callable[[nn.Module, Any], Callable[[Tensor], list[tuple[str, float]]]] | None = None
