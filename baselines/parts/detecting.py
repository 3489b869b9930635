"""What detectors share: settings of their training, normalised windows, the registry entry."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from strbench.augment import color_jitter
from strbench.draws import random_turns, uniform
from strbench.errors import unknown_name
from strbench.feeds import Feed
from strbench.methods import Finder, LoopConfig, Method, Optimiser, PageBatch, Schedule, View
from strbench.types import Card, Status

from .backbones import adopted

# What starts from a pretraining on photographs, the usual one first.
DETECTORS = (
    "psenet", "db", "dbpp", "east", "fcenet", "textbpn", "textbpnpp", "mask-textspotter",
)  # fmt: skip
# Of ImageNet's images in [0, 1], RGB; torchvision's documentation.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
Row = TypeVar("Row")
_ORDER, _FACTORS = 0, 1  # streams of draws


@dataclass(frozen=True, kw_only=True)
class DetectorTraining(LoopConfig):
    """``LoopConfig`` of a detector; ``height`` and ``width`` are those of the windows it is trained on."""

    size: str = "r50"  # of parts.backbones
    test: str = "ic15"  # the row of the paper's test settings
    height: int = 640
    width: int = 640
    batch_size: int = 16
    lr_batch: int = 0
    optimiser: Optimiser = "sgd"
    momentum: float = 0.9
    schedule: Schedule = "poly"
    min_lr: float = 0.0
    brightness: float = 0.0  # factors of the colours are drawn from 1 - this to 1 + this
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0  # turns of the colour circle, either way


def test_row(rows: Mapping[str, Row], name: str) -> Row:
    """One of a paper's rows of test settings.

    Raises:
        StrbenchError: there is none of that name.
    """
    if name not in rows:
        raise unknown_name("row of test settings", name, rows)
    return rows[name]


def normalised(
    images: Tensor,
    *,
    mean: tuple[float, ...] = IMAGENET_MEAN,
    std: tuple[float, ...] = IMAGENET_STD,
) -> Tensor:
    """Images (B, 3, H, W) in [0, 1] less ImageNet's mean, by its deviation."""
    shape = (1, 3, 1, 1)
    return (images - images.new_tensor(mean).view(shape)) / images.new_tensor(std).view(shape)


def views(config: DetectorTraining) -> View:
    """The function from a PageBatch to what a detector's loss takes.

    "images" (B, 3, H, W), jittered in colour and normalised as ``normalised`` does, and the targets.
    """
    reach = (config.brightness, config.contrast, config.saturation, config.hue)

    def view(batch: PageBatch) -> dict[str, Tensor]:
        images = batch.images.float() / 255
        if any(reach):
            columns = [
                uniform(batch.seeds, middle - r, middle + r, _FACTORS + i)
                for i, (middle, r) in enumerate(zip((1, 1, 1, 0), reach, strict=True))
            ]
            factors = torch.stack(columns, dim=1)
            order = random_turns(batch.seeds, 4, 4, 4, _ORDER)
            images = color_jitter(images, factors, order)
        return {"images": normalised(images), **batch.targets}

    return view


def detector_method(
    name: str,
    title: str,
    *,
    paper: str,
    code: str,
    parameters: dict[str, int],
    recipes: Mapping[str, DetectorTraining],
    notes: str,
    build: Callable[[Any], nn.Module],
    feed: Callable[[Any], Feed],
    finder: Callable[[nn.Module, Any], Finder],
    fresh: tuple[str, ...],
    views: Callable[[Any], View] = views,
    status: Status = "parity-checked",
) -> Method:
    """The registry entry of a detector.

    Args:
        fresh: prefixes of the tensors that a pretraining does not bring; ``backbone.`` it brings whole.
    """
    card = Card(
        name=name,
        kind="detector",
        title=title,
        paper=paper,
        code=code,
        licence="Apache-2.0",
        status=status,
        parameters=parameters,
        recipes=tuple(recipes),
        notes=notes,
    )
    return Method(
        card=card,
        recipes=recipes,
        build=build,
        views=views,
        export=lambda module: dict(module.state_dict()),
        task="detection",
        feed=feed,
        finder=finder,
        fresh=fresh,
        adopts=adopted,
        shape=("size",),
    )
