"""Label images: pictures whose pixel values are classes, turned into masks of ``strbench.masks``.

What the values of a source mean is a table, value -> one of the four of ``strbench.masks``. A value
that its table lacks is an error: a label image that was resized, or saved as JPEG, holds such values.
"""

from __future__ import annotations

import io
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from strbench.annotations.rows import fault
from strbench.loading import DAMAGED
from strbench.masks import BACKGROUND, EFFECT, IGNORED, TEXT

Levels = NDArray[np.uint8]  # (H, W), as the source has them

MASK_VALUES = {value: value for value in (BACKGROUND, TEXT, EFFECT, IGNORED)}
# COCO_TS and MLT_S: 255 is "uncertain".
WEAK_VALUES = {0: BACKGROUND, 1: TEXT, 255: IGNORED}
# TextSeg's semantic labels.
TEXTSEG_VALUES = {0: BACKGROUND, 100: TEXT, 200: EFFECT, 255: IGNORED}
# What most programs draw: white on black.
BINARY_VALUES = {0: BACKGROUND, 255: TEXT}

_FORMATS = ("PNG", "BMP", "GIF", "TIFF", "JPEG")


def read_levels(data: bytes, place: str) -> Levels:
    """The pixel values (H, W) of a label image: grey levels, or the indices of a palette.

    A colour image is one if its channels are equal; transparency does not count.

    Raises:
        StrbenchError: not a readable image, colours, or 16 bits a pixel.
    """
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            pixels = np.array(image)
            mode = image.mode
    except DAMAGED as error:
        raise fault(f"{place}: not a readable image ({str(error).split(' <_io')[0]}).") from error
    if mode in ("1", "L", "P"):
        return pixels.astype(np.uint8)
    if mode in ("LA", "RGB", "RGBA"):
        colours = pixels[..., : 1 if mode == "LA" else 3]
        if (colours == colours[..., :1]).all():
            return np.ascontiguousarray(colours[..., 0])
        raise fault(f"{place}: expected one value a pixel, found colours.")
    raise fault(f"{place}: expected 8 bits a pixel, found an image of mode {mode}.")


def values_in(levels: Levels) -> set[int]:
    """The values that occur."""
    return set(np.flatnonzero(np.bincount(levels.ravel(), minlength=256)).tolist())


def to_mask(levels: Levels, meaning: Mapping[int, int], place: str) -> NDArray[np.uint8]:
    """The mask (H, W) in the values of ``strbench.masks``.

    Raises:
        StrbenchError: a value that ``meaning`` lacks.
    """
    unknown = sorted(values_in(levels) - meaning.keys())
    if unknown:
        known = ", ".join(str(value) for value in sorted(meaning))
        raise fault(
            f"{place}: expected the values {known}, found {', '.join(map(str, unknown[:5]))}.",
            "Bring the label images as published: neither resized nor saved as JPEG.",
        )
    table = np.zeros(256, dtype=np.uint8)
    for value, stored in meaning.items():
        table[value] = stored
    return table[levels]
