"""What of a sample goes into a training batch, task by task.

A feed turns a sample into arrays of one size, which a stream keeps in memory where all fit, and arrays
into a batch. Which samples, in which order, is the stream's affair.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from strbench.loading import Pixels, decode, stretch
from strbench.masks import decode_mask
from strbench.methods import Batch, Method, PageBatch, PairBatch, WordBatch
from strbench.placing import Place, Scene, placed_image, placed_regions
from strbench.store import Split
from strbench.types import Region
from strbench.word_file import WordFile


class Item(NamedTuple):
    """The arrays of a sample, and numbers that belong to it."""

    arrays: tuple[Pixels, ...]
    aspect: float = 1.0  # width / height of the image as stored
    regions: tuple[Region, ...] = ()  # of a photograph


class Feed(Protocol):
    """From samples to a batch."""

    @property
    def nbytes(self) -> int:
        """Of the arrays of a sample."""

    def load(self, split: Any, index: int) -> Item:
        """The arrays of a sample.

        Raises:
            StrbenchError: an image cannot be read.
        """

    def batch(
        self, items: Sequence[Item], labels: list[str | None], seeds: Tensor
    ) -> Batch:  # B of each
        """The batch of some samples, on the CPU."""


def _stacked(arrays: Sequence[Pixels]) -> Tensor:
    """(B, C, H, W) uint8 of B arrays (H, W, C), or (H, W) of one channel."""
    stacked = np.stack(arrays)
    if stacked.ndim == 3:
        stacked = stacked[..., None]
    return torch.from_numpy(np.ascontiguousarray(stacked.transpose(0, 3, 1, 2)))


def _paired(items: Sequence[Item], seeds: Tensor) -> PairBatch:
    inputs, targets = (_stacked([item.arrays[k] for item in items]) for k in (0, 1))
    return PairBatch(inputs, targets, seeds)


@dataclass(frozen=True, kw_only=True)
class WordFeed:
    """Word crops stretched to one size; without images only their labels, and no file is decoded."""

    height: int
    width: int
    with_images: bool = True

    @property
    def nbytes(self) -> int:
        return self.height * self.width * 3

    def load(self, split: Split | WordFile, index: int) -> Item:
        if not self.with_images:
            return Item((np.empty((0, 0, 3), np.uint8),))
        pixels = decode(split.image(index))
        shown = stretch(pixels, self.height, self.width)
        return Item((shown,), pixels.shape[1] / pixels.shape[0])

    def batch(self, items: Sequence[Item], labels: list[str | None], seeds: Tensor) -> WordBatch:
        aspect = torch.tensor([item.aspect for item in items], dtype=torch.float32)
        return WordBatch(_stacked([item.arrays[0] for item in items]), aspect, labels, seeds)


@dataclass(frozen=True, kw_only=True)
class PairFeed:
    """Super-resolution: both images of a pair stretched, the low one ``shrink`` times smaller.

    Pillow's bicubic from the stored sizes, without keeping the aspect, as TextZoom's loader has it.
    """

    height: int  # of the high-resolution image
    width: int
    shrink: int = 2  # 1: the low image is enlarged to the size of the high one

    @property
    def nbytes(self) -> int:
        return 3 * self.height * self.width * (1 + self.shrink**2) // self.shrink**2

    def load(self, split: Split, index: int) -> Item:
        small = self.height // self.shrink, self.width // self.shrink
        low = stretch(decode(split.low(index)), *small)
        return Item((low, stretch(decode(split.image(index)), self.height, self.width)))

    def batch(self, items: Sequence[Item], labels: list[str | None], seeds: Tensor) -> PairBatch:
        return _paired(items, seeds)


@dataclass(frozen=True, kw_only=True)
class MaskFeed:
    """Segmentation: a crop and its mask stretched to one size, the mask by nearest neighbours."""

    height: int
    width: int

    @property
    def nbytes(self) -> int:
        return self.height * self.width * 4

    def load(self, split: Split, index: int) -> Item:
        mask = Image.fromarray(decode_mask(split.mask(index)))
        small = mask.resize((self.width, self.height), Image.Resampling.NEAREST)
        return Item(
            (stretch(decode(split.image(index)), self.height, self.width), np.asarray(small))
        )

    def batch(self, items: Sequence[Item], labels: list[str | None], seeds: Tensor) -> PairBatch:
        return _paired(items, seeds)


@dataclass(frozen=True, kw_only=True)
class PageFeed:
    """Detection: a window of a photograph, and what ``targets`` makes of the text in it.

    Both are drawn where batches are prepared, so that a training step waits for neither.
    """

    height: int
    width: int
    place: Place
    # The arrays that the loss wants of a scene, of one shape each; dtypes are kept.
    targets: Callable[[Scene], dict[str, np.ndarray]]

    @property
    def nbytes(self) -> int:
        """Of a photograph of 1280 x 720 pixels: what theirs need is known only when they are read."""
        return 3 * 1280 * 720

    def load(self, split: Split, index: int) -> Item:
        pixels = decode(split.image(index))
        return Item((pixels,), pixels.shape[1] / pixels.shape[0], split.regions(index))

    def batch(self, items: Sequence[Item], labels: list[str | None], seeds: Tensor) -> PageBatch:
        cut = [self.window(item, seed) for item, seed in zip(items, seeds.tolist(), strict=True)]
        drawn = [self.targets(scene) for _, scene in cut]
        targets = {
            name: torch.from_numpy(np.stack([maps[name] for maps in drawn])) for name in drawn[0]
        }
        return PageBatch(_stacked([window for window, _ in cut]), targets, seeds)

    def window(self, item: Item, seed: int) -> tuple[Pixels, Scene]:
        """The window that this seed cuts, (height, width, 3) uint8, and the text in it."""
        (pixels,), size = item.arrays, (self.height, self.width)
        rng = np.random.default_rng(seed)
        high, wide = pixels.shape[:2]
        placement = self.place(rng, high, wide, item.regions)
        regions = placed_regions(item.regions, placement, *size)
        return placed_image(pixels, placement, *size), Scene(regions, *size, seed)


def feed_of(method: Method, config: Any) -> Feed:
    """A method's own feed, or that of its task, at the size that its configuration says."""
    if method.feed is not None:
        return method.feed(config)
    if method.task == "super-resolution":
        return PairFeed(height=config.height, width=config.width, shrink=config.shrink)
    if method.task == "segmentation":
        return MaskFeed(height=config.height, width=config.width)
    return WordFeed(height=config.height, width=config.width, with_images=method.needs_images)
