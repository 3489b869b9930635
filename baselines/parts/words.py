"""Labels as classes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from strbench.text import Charset, fold_case


def encode_labels(
    labels: Sequence[str | None], charset: Charset, *, most: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Classes (B, most) int64 padded with 0, lengths (B,) int64, and usable (B,) bool, on the CPU.

    Labels are first brought to the charset: lower case where it has no capitals, characters that it
    lacks removed. A word is unusable if it comes without a label, if nothing of it is left, or if
    more than ``most`` characters are; its length is then 0.

    >>> from strbench.text import CHARSETS
    >>> classes, lengths, usable = encode_labels(["A-b", "abcd", None], CHARSETS["36"], most=3)
    >>> classes.tolist(), lengths.tolist(), usable.tolist()
    ([[10, 11, 0], [0, 0, 0], [0, 0, 0]], [2, 0, 0], [True, False, False])
    """
    fold = charset.characters.islower()
    classes = torch.zeros(len(labels), most, dtype=torch.int64)
    lengths = torch.zeros(len(labels), dtype=torch.int64)
    for row, label in enumerate(labels):
        text = fold_case(label or "") if fold else label or ""
        foreign = set(charset.unknown(text))
        word = charset.encode("".join(c for c in text if c not in foreign))
        if len(word) <= most:
            classes[row, : len(word)] = torch.tensor(word, dtype=torch.int64)
            lengths[row] = len(word)
    return classes, lengths, lengths > 0
