"""Otsu's threshold: what segmentation without learning gives on a word crop.

Otsu, A Threshold Selection Method from Gray-Level Histograms, IEEE Trans. SMC 1979. The crop is turned to
grey (0.299, 0.587, 0.114) and cut at the level that separates the two classes best; text is the class that
holds the smaller share of the crop's border.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from strbench.types import Card

_GREY = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601


def is_available() -> str | None:
    """Why it cannot be used here: it always can."""
    return None


def threshold(grey: NDArray[np.uint8]) -> int:
    """The level t for which the classes <= t and > t differ most; 255 where there is one level alone.

    Source: equation 18 of the paper, the between-class variance.

    >>> threshold(np.array([[10, 10, 12, 200, 201]], np.uint8))
    12
    """
    counts = np.bincount(grey.ravel(), minlength=256).astype(np.float64)
    below = np.cumsum(counts)
    above = below[-1] - below
    mass = np.cumsum(counts * np.arange(256))
    both = below * above
    spread = np.divide(
        (mass[-1] * below - mass * below[-1]) ** 2, both, out=np.zeros(256), where=both > 0
    )
    return int(spread.argmax()) if spread.any() else 255


class Otsu:
    """Otsu's threshold behind ``segment``; images of any size."""

    def __init__(self, card: Card) -> None:
        self.card = card

    def segment(self, images: Sequence[NDArray[np.uint8]]) -> list[NDArray[np.float32]]:
        """1 where a pixel is text, else 0, of shape (H, W), for every image (H, W, 3)."""
        return [self._one(image) for image in images]

    def _one(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        grey = np.floor(image @ _GREY + 0.5).astype(np.uint8)
        light = grey > threshold(grey)
        border = np.concatenate([light[0], light[-1], light[:, 0], light[:, -1]])
        return (light if border.mean() < 0.5 else ~light).astype(np.float32)


def build() -> Otsu:
    """Otsu's threshold."""
    return Otsu(
        Card(
            name="otsu",
            kind="engine",
            title="Otsu's threshold on a grey crop",
            paper="Otsu, A Threshold Selection Method from Gray-Level Histograms, IEEE Trans. SMC 1979",
            licence="Apache-2.0",
            resize="stretch-bicubic",
            height=32,
            width=128,
            notes="text is the class with the smaller share of the border; crops of 32 x 128 pixels",
        )
    )
