"""Contrast between views: the InfoNCE loss over all ranks, and a sign of collapse."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .ranks import gathered, rank


def info_nce(queries: Tensor, keys: Tensor, *, temperature: float) -> tuple[Tensor, Tensor]:
    """Contrastive loss of queries (N, D) against the keys of all ranks, and its top-1 accuracy.

    Row i of the queries belongs to row i of this rank's keys; every other key is a negative, the
    other windows of the same image included. The loss carries MoCo v3's factor 2 * temperature.
    Keys get no gradient.
    """
    with torch.autocast(queries.device.type, enabled=False):
        queries = F.normalize(queries.float(), dim=1)
        keys = gathered(F.normalize(keys.float(), dim=1))
        logits = queries @ keys.T / temperature  # (N, world * N)
        offset = len(queries) * rank()
        own = torch.arange(len(queries), device=queries.device) + offset
        loss = 2 * temperature * F.cross_entropy(logits, own)
    return loss, (logits.argmax(1) == own).float().mean()


def spread(features: Tensor) -> Tensor:
    """Standard deviation over images of unit mean features (B, L, dim), times sqrt(dim)."""
    pooled = F.normalize(features.float().mean(1), dim=1)
    scaled: Tensor = pooled.std(0, correction=0).mean() * pooled.shape[1] ** 0.5
    return scaled
