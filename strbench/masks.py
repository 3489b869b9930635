"""Text masks: one byte a pixel, 0 background, 1 text, 2 effect, 255 ignored.

*Effect* is what TextSeg annotates beside the glyphs: shadows, outlines and the like. A protocol says
whether it counts as text, as background or not at all. Masks are stored as one-channel PNG with these
values, whatever colours the source used.
"""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from strbench.errors import DATA, StrbenchError

BACKGROUND, TEXT, EFFECT, IGNORED = 0, 1, 2, 255
_VALUES = (BACKGROUND, TEXT, EFFECT, IGNORED)


def encode_mask(mask: NDArray[np.uint8]) -> bytes:
    """A mask (H, W) as PNG.

    Raises:
        ValueError: not of two dimensions, or another value than the four.
    """
    if mask.ndim != 2 or not np.isin(mask, _VALUES).all():
        raise ValueError("expected a mask (H, W) of 0, 1, 2 and 255")
    buffer = io.BytesIO()
    Image.fromarray(mask.astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def decode_mask(data: bytes) -> NDArray[np.uint8]:
    """The mask (H, W) of a stored PNG.

    Raises:
        StrbenchError: not a one-channel PNG of the four values.
    """
    try:
        with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
            mask = np.array(image) if image.mode == "L" else None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise StrbenchError(f"not a readable mask ({error})", exit_code=DATA) from error
    if mask is None or not np.isin(mask, _VALUES).all():
        raise StrbenchError("not a mask of 0, 1, 2 and 255 in one channel", exit_code=DATA)
    return mask
