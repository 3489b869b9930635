"""Bicubic enlargement: the row that every super-resolution table begins with.

TextZoom's code enlarges the 16 x 64 tensor with PyTorch's ``interpolate(scale_factor=2, mode="bicubic",
align_corners=True)``; others (TPGSR, TATT) leave the corners out of line, which moves the figure by a third
of a decibel. ``bicubic`` is the first, ``bicubic:half-pixel`` the second. The result passes 0 and 1 by a
little and is not clamped.

*Expected* on TextZoom's easy pairs: 23.07 dB and 0.791 (``bicubic``), 23.42 dB and 0.799
(``bicubic:half-pixel``), means over images.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from strbench.errors import StrbenchError
from strbench.types import Card

_CORNERS = {"aligned": True, "half-pixel": False}


def is_available() -> str | None:
    """Why it cannot be used here: it always can."""
    return None


class Bicubic:
    """Bicubic enlargement behind ``restore``."""

    batch_size = 512

    def __init__(self, card: Card, *, align_corners: bool) -> None:
        self.card = card
        self._align_corners = align_corners

    def restore(self, images: Sequence[NDArray[np.uint8]]) -> list[NDArray[np.float32]]:
        """Every image (h, w, 3) at twice its size, float32, on the scale where 255 is 1."""
        import torch
        from torch.nn.functional import interpolate

        batch = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float().div_(255)
        large = interpolate(
            batch, scale_factor=2, mode="bicubic", align_corners=self._align_corners
        )  # (B, 3, 2h, 2w)
        return list(large.permute(0, 2, 3, 1).numpy())


def build(corners: str = "aligned") -> Bicubic:
    """Bicubic enlargement by two.

    Args:
        corners: "aligned" as TextZoom's code, "half-pixel" as image libraries have it.

    Raises:
        StrbenchError: neither.
    """
    if corners not in _CORNERS:
        raise StrbenchError(
            f"bicubic:{corners}: expected aligned or half-pixel.", hint="--model bicubic:half-pixel"
        )
    card = Card(
        name="bicubic" if corners == "aligned" else f"bicubic:{corners}",
        kind="engine",
        title=f"bicubic enlargement, corners {corners}",
        code="PyTorch's interpolate, as https://github.com/JasonBoy1/TextZoom calls it",
        licence="Apache-2.0",
        resize="stretch-bicubic",
        height=16,
        width=64,
        notes=f"interpolate(scale_factor=2, mode='bicubic', align_corners={_CORNERS[corners]})",
    )
    return Bicubic(card, align_corners=_CORNERS[corners])
