"""NT-Xent: the contrast of SimCLR, in which every instance of both views is a query."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .ranks import gathered_with_gradient, rank


def nt_xent(first: Tensor, second: Tensor, *, temperature: float) -> tuple[Tensor, Tensor]:
    """The loss of instances (N, D) seen in two views, and the share whose best match is their own.

    Row i of both views is one instance. Each of the 2 * N rows of all ranks is told from all others
    but itself by its cosine similarity over ``temperature``; the answer is its row of the other view,
    which stays in the denominator. Unrelated features give about ln(2 * N - 1). The gradient goes
    through both sides, rows of other ranks included, so that the mean over ranks is the loss of the
    whole batch, gradient too. Ranks must bring equally many rows.

    Source: Chen et al., SimCLR, ICML 2020, equation 1.
    """
    with torch.autocast(first.device.type, enabled=False):
        views = [F.normalize(rows.float(), dim=1) for rows in (first, second)]
        rows = torch.cat([gathered_with_gradient(view) for view in views])  # (2 * world * N, D)
        logits = torch.cat(views) @ rows.T / temperature  # (2 * N, 2 * world * N)
        here = torch.arange(len(first), device=first.device) + len(first) * rank()
        there = here + len(rows) // 2
        itself, partner = torch.cat([here, there]), torch.cat([there, here])
        logits = logits.scatter(1, itself[:, None], float("-inf"))
        loss = F.cross_entropy(logits, partner)
    return loss, (logits.argmax(1) == partner).float().mean()
