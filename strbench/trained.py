"""Trained networks behind the Protocols: what asks them, on one device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from strbench.devices import autocast_type
from strbench.types import Card, Detection, Reading, Task

if TYPE_CHECKING:
    from strbench.methods import Method

# On a CPU what a large network makes of a few images stays in the cache: in batches of 16 ViT-Small read 1.24
# times as many words a second as in batches of 64, Conv-CTC 1.1 times, CRNN 0.94 times and ViT mini, which
# is below the limit, 0.83 times (bfloat16, torch 2.13, one measurement on an EPYC with AVX512-BF16).
_LARGE = 4_000_000  # parameters
_BATCH_OF_LARGE = 16


class TrainedRecognizer:
    """A fine-tuned network behind ``read``: greedy decoding on one device."""

    def __init__(
        self, method: Method, module: nn.Module, config: Any, card: Card, device: torch.device
    ) -> None:
        assert method.reader is not None
        self.card = card
        self.device = device
        parameters = sum(parameter.numel() for parameter in module.parameters())
        on_cpu = _BATCH_OF_LARGE if parameters > _LARGE else 64
        self.batch_size = 512 if device.type == "cuda" else on_cpu
        self.dtype = autocast_type(config.precision, device)
        self._module = module.to(device).eval()
        self._reader = method.reader(module, config)

    def read(self, images: Sequence[np.ndarray]) -> list[Reading]:
        """One reading an image; images are uint8 (H, W, 3) at the card's size."""
        batch = torch.from_numpy(np.stack(images)).to(self.device)  # (B, H, W, 3)
        pixels = batch.permute(0, 3, 1, 2).float().div_(255)
        with (
            torch.inference_mode(),
            torch.autocast(self.device.type, dtype=self.dtype, enabled=self.dtype is not None),
        ):
            return [Reading(text, confidence) for text, confidence in self._reader(pixels)]


class TrainedRestorer:
    """A trained network behind ``restore`` or ``segment``, on one device."""

    def __init__(
        self, method: Method, module: nn.Module, config: Any, card: Card, device: torch.device
    ) -> None:
        assert method.restorer is not None
        self.card = card
        self.device = device
        self.batch_size = 512 if device.type == "cuda" else 64
        self._restorer = method.restorer(module.to(device).eval(), config)

    def restore(self, images: Sequence[np.ndarray]) -> list[np.ndarray]:
        """One float32 array (H, W, 3) an image; images are uint8 (h, w, 3) at the card's size."""
        return [image.transpose(1, 2, 0) for image in self._made(images)]

    def segment(self, images: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The probability of text, float32 (h, w), of each image; uint8 (h, w, 3) at the card's size."""
        return [image[0].clip(0, 1) for image in self._made(images)]

    def _made(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """(B, C, H, W); in float32, since a rounding is part of the figure."""
        batch = torch.from_numpy(np.stack(images)).to(self.device)  # (B, h, w, 3)
        with torch.inference_mode():
            made = self._restorer(batch.permute(0, 3, 1, 2).float().div_(255))
        return np.asarray(made.float().cpu().numpy())


class TrainedDetector:
    """A trained network behind ``detect``, on one device; photographs are resized and found ones scaled back."""

    def __init__(
        self, method: Method, module: nn.Module, config: Any, card: Card, device: torch.device
    ) -> None:
        assert method.finder is not None
        self.device = device
        self.batch_size = 16 if device.type == "cuda" else 4
        self.dtype = autocast_type(config.precision, device)
        self._finder = method.finder(module.to(device).eval(), config)
        notes = f"{card.notes} Test settings: {self._finder.settings}."
        self.card = replace(card, notes=notes)

    def detect(self, images: Sequence[np.ndarray]) -> list[list[Detection]]:
        """The detections of each image; images are uint8 (H, W, 3) of any size."""
        found: list[list[Detection]] = []
        for _, group in groupby(images, key=lambda image: image.shape[:2]):
            alike = list(group)
            inputs = np.stack([self._finder.sizing.resize(image) for image in alike])
            (high, wide), (height, width) = alike[0].shape[:2], inputs.shape[1:3]
            for some in self._found(inputs):
                found.append([_scaled(one, wide / width, high / height) for one in some])
        return found

    def _found(self, inputs: np.ndarray) -> list[list[Detection]]:
        batch = torch.from_numpy(inputs).to(self.device)  # (B, H, W, 3)
        pixels = batch.permute(0, 3, 1, 2).float().div_(255)
        with (
            torch.inference_mode(),
            torch.autocast(self.device.type, dtype=self.dtype, enabled=self.dtype is not None),
        ):
            return self._finder.find(pixels)


def _scaled(one: Detection, x: float, y: float) -> Detection:
    return one._replace(polygon=tuple((x * a, y * b) for a, b in one.polygon))


# Task -> what asks a trained network of it.
TRAINED: dict[Task, type[TrainedRecognizer] | type[TrainedRestorer] | type[TrainedDetector]] = {
    "recognition": TrainedRecognizer,
    "detection": TrainedDetector,
    "super-resolution": TrainedRestorer,
    "segmentation": TrainedRestorer,
}
