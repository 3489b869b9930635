"""CORAL: how differently two sets of features scatter."""

from __future__ import annotations

import torch
from torch import Tensor

from .ranks import sum_over_ranks


def coral(source: Tensor, target: Tensor) -> Tensor:
    """Mean squared difference of the scatter matrices of (N, D) and (M, D), over 4 D^2; a scalar.

    The scatter matrix is the sum of outer products of the centred rows and is *not* divided by N, so
    the loss grows with the fourth power of the features and the square of their number. Rows count
    over all ranks, and every rank must call this. 0 where either set has no row anywhere.

    Source: Sun and Saenko, Deep CORAL, 2016, equation 1, in the unnormalised form of
    Caiyuan-Zheng/Consistency_Regularization_STR, modules/loss_coral.py.
    """
    dim = source.shape[1]
    with torch.autocast(source.device.type, enabled=False):
        (one, count), (other, others) = _scatter(source.float()), _scatter(target.float())
        distance = (one - other).square().mean() / (4 * dim * dim)
        return torch.where((count > 0) & (others > 0), distance, 0.0)


def _scatter(rows: Tensor) -> tuple[Tensor, Tensor]:
    """The scatter matrix (D, D) and the number of rows, both over all ranks."""
    count = sum_over_ranks(rows.new_tensor(float(len(rows))))
    centred = rows - sum_over_ranks(rows.sum(0)) / count.clamp(min=1)
    return sum_over_ranks(centred.T @ centred), count
