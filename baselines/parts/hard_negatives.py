"""Losses of maps in which text is rare: the hardest negatives alone, and the overlap of two maps."""

from __future__ import annotations

import torch
from torch import Tensor

from .ranks import gathered, sum_over_ranks, world_size


def hardest(losses: Tensor, candidates: Tensor, count: Tensor) -> Tensor:
    """Weights (N,) in [0, 1] that choose the ``count`` largest losses among the candidates.

    Equal losses at the border share what is left of the count, so that the choice does not depend on
    their order. No gradient flows through it.

    Args:
        losses: (N,).
        candidates: (N,) bool.
        count: one whole number; more than there are candidates chooses all of them.
    """
    values = losses.detach()[candidates]
    weights = torch.zeros_like(losses)
    k = min(int(count), len(values))
    if k:
        weights[candidates] = _shares(values, values, k)
    return weights


def _shares(values: Tensor, among: Tensor, k: int) -> Tensor:
    """What of each value belongs to the ``k`` largest of ``among``."""
    border = among.topk(k).values[-1]
    beyond = (among > border).sum()
    tied = (among == border).sum()
    return (values > border).to(values.dtype) + (values == border).to(values.dtype) * (
        (k - beyond) / tied
    )


def balanced(losses: Tensor, positive: Tensor, negative: Tensor, *, ratio: float = 3.0) -> Tensor:
    """The mean loss of all positives and the ``ratio`` times as many hardest negatives of a batch.

    Over all ranks together; without any positive it is 0.

    Args:
        losses: of any shape, not negative, in float32.
        positive, negative: bool, of the same shape; what is in neither does not count.
    """
    positives = sum_over_ranks(positive.sum().float())
    values = losses.detach()[negative]
    if world_size() > 1:  # every rank brings as many numbers
        among = gathered(torch.where(negative, losses.detach(), -1.0).flatten()[:, None]).flatten()
        among = among[among >= 0]
    else:
        among = values
    k = min(int(positives * ratio), len(among))
    total = losses[positive].sum()
    if k:
        total = total + (losses[negative] * _shares(values, among, k)).sum()
    return sum_over_ranks(total) / (positives + k).clamp(min=1)


def dice(
    made: Tensor, truth: Tensor, mask: Tensor, *, eps: float = 1e-6, squared: bool = False
) -> Tensor:
    """One minus the dice overlap of two maps where ``mask`` is set, a value an image (B,).

    Equal maps of 0 and 1 give 0.

    Args:
        made, truth, mask: (B, ...) with values in [0, 1].
        squared: the denominator sums squares, as V-Net's does.
    """
    made, truth = (made * mask).flatten(1), (truth * mask).flatten(1)
    common = (made * truth).sum(1)
    if squared:
        whole = made.square().sum(1) + eps + truth.square().sum(1) + eps
    else:
        whole = made.sum(1) + truth.sum(1) + eps
    return 1 - 2 * common / whole


def batch_dice(made: Tensor, truth: Tensor, mask: Tensor, *, eps: float = 1e-6) -> Tensor:
    """One minus the dice overlap of a whole batch's maps where ``mask`` is set, over all ranks as one map.

    Args:
        made: of any shape, values in [0, 1].
        truth, mask: of the same shape, numbers or bool.
    """
    wanted = truth.to(made.dtype) * mask
    made = made * mask
    common, whole = sum_over_ranks(torch.stack([(made * wanted).sum(), (made + wanted).sum()]))
    loss: Tensor = 1 - 2 * common / (whole + eps)
    return loss
