"""Batch normalisation whose statistics are those of the whole batch on any number of ranks.

``nn.SyncBatchNorm`` does the same but refuses CPU tensors, so gloo runs could not use it. With one
process these are PyTorch's own classes, and their states have the same names on any number of ranks.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .ranks import sum_over_ranks, world_size


class BatchNorm(nn.BatchNorm1d):
    """``nn.BatchNorm1d`` for (N, C), with mean and variance over all ranks while training.

    Ranks may hold different numbers of rows.
    """

    def forward(self, input: Tensor) -> Tensor:
        if not self.training or world_size() == 1:
            return super().forward(input)
        return _over_ranks(self, input)


class BatchNorm2d(nn.BatchNorm2d):
    """``nn.BatchNorm2d`` for (N, C, H, W), with mean and variance over all ranks while training."""

    def forward(self, input: Tensor) -> Tensor:
        if not self.training or world_size() == 1:
            return super().forward(input)
        return _over_ranks(self, input)


def _over_ranks(norm: BatchNorm | BatchNorm2d, images: Tensor) -> Tensor:
    """(N, C, ...) normalised a channel by the statistics of all ranks; the running ones follow."""
    others = [d for d in range(images.ndim) if d != 1]
    shape = [1, -1] + [1] * (images.ndim - 2)
    with torch.autocast(images.device.type, enabled=False):
        values = images if images.dtype == torch.float64 else images.float()
        count = sum_over_ranks(values.new_tensor([float(values.numel() // values.shape[1])]))
        mean = sum_over_ranks(values.sum(others)) / count
        centred = values - mean.view(shape)
        variance = sum_over_ranks(centred.square().sum(others)) / count
        out = centred * torch.rsqrt(variance + norm.eps).view(shape)
        if norm.affine:
            out = out * norm.weight.view(shape) + norm.bias.view(shape)
        _track(norm, mean.detach(), (variance * count / (count - 1)).detach())
    return out.to(images.dtype)


@torch.no_grad()
def _track(norm: BatchNorm | BatchNorm2d, mean: Tensor, variance: Tensor) -> None:
    if norm.running_mean is None or norm.running_var is None:
        return
    assert norm.num_batches_tracked is not None
    norm.num_batches_tracked.add_(1)
    # momentum None asks PyTorch for the plain average of all batches
    step = 1 / float(norm.num_batches_tracked) if norm.momentum is None else norm.momentum
    norm.running_mean.lerp_(mean, step)
    norm.running_var.lerp_(variance, step)
