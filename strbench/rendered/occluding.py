"""Covers over part of a word, as in the occluded test sets."""

from __future__ import annotations

from typing import Literal

import numpy as np

from strbench.rendered.glyphs import Line, Mask
from strbench.rendered.wordlist import Draws


def occluder(draws: Draws, line: Line, word: str, level: Literal["weak", "heavy"]) -> Mask:
    """What hides part of a word, as a mask of the line's shape.

    One letter or digit is chosen. Weak: one stroke or block hides 20 to 45 % of its ink. Heavy: two strokes or
    a block hide 55 to 90 % of it. This follows the manner of the occluded test sets of Wang et al.,
    "From Two to One" (ICCV 2021), where one sign a word is crossed by one line or by two.
    """
    low, high = (0.2, 0.45) if level == "weak" else (0.55, 0.9)
    readable = [
        span for span, sign in zip(line.spans, word, strict=True) if sign.isalnum()
    ] or line.spans
    best: Mask | None = None
    best_miss = 2.0
    for _ in range(12):
        x0, y0, x1, y1 = span = draws.pick(readable)
        sign = line.mask[y0:y1, x0:x1].astype(np.int64)
        cover = np.zeros_like(line.mask)
        if draws.chance(0.3):
            _block(draws, cover, span, (low + high) / 2)
        else:
            for _ in range(1 if level == "weak" else 2):
                _stroke(draws, cover, span, (low + high) / 2)
        hidden = int((sign * cover[y0:y1, x0:x1]).sum()) / (255 * int(sign.sum()))
        miss = max(low - hidden, hidden - high, 0.0)
        if miss < best_miss:
            best, best_miss = cover, miss
        if miss == 0.0:
            break
    assert best is not None
    return best


def _block(draws: Draws, cover: Mask, span: tuple[int, int, int, int], share: float) -> None:
    """A rectangle over about so much of the sign's box, from one of its sides."""
    x0, y0, x1, y1 = span
    share *= draws.between(0.8, 1.2)
    wide, high = max(1, round((x1 - x0) * share)), max(1, round((y1 - y0) * share))
    side = draws.integer(0, 3)
    if side == 0:
        y1 = y0 + high
    elif side == 1:
        y0 = y1 - high
    elif side == 2:
        x1 = x0 + wide
    else:
        x0 = x1 - wide
    cover[max(y0 - 1, 0) : y1 + 1, max(x0 - 1, 0) : x1 + 1] = 255


def _stroke(draws: Draws, cover: Mask, span: tuple[int, int, int, int], share: float) -> None:
    """A straight stroke through the sign, a little longer than its box, with soft edges."""
    x0, y0, x1, y1 = span
    width, height = x1 - x0, y1 - y0
    reach = max(2, (width + height) // 6)
    left, right = max(0, x0 - reach), min(cover.shape[1], x1 + reach)
    upper, lower = max(0, y0 - reach), min(cover.shape[0], y1 + reach)
    across, up = draws.pick(((1, 0), (0, 1), (1, 1), (1, -1), (2, 1), (1, 2), (2, -1), (-1, 2)))
    length = float(np.sqrt(float(across * across + up * up)))
    centre_x = x0 + width * draws.between(0.3, 0.7)
    centre_y = y0 + height * draws.between(0.3, 0.7)
    thick = max(1.5, share * draws.between(0.3, 0.6) * min(max(width, height // 3), height))
    distance = np.abs(
        (np.arange(left, right) - centre_x) * (up / length)
        - ((np.arange(upper, lower) - centre_y) * (across / length))[:, None]
    )
    soft = np.clip((thick / 2 + 0.5 - distance) * 255.0, 0.0, 255.0).astype(np.uint8)
    part = cover[upper:lower, left:right]
    np.maximum(part, soft, out=part)
