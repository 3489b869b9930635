"""Batch normalisation whose statistics are those of the whole batch on any number of ranks."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn


def world_size() -> int:
    """Number of training processes; 1 where torch.distributed is not running."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


class _SumOverRanks(torch.autograd.Function):
    """The sum of a tensor over ranks; its gradient is the sum of the gradients over ranks."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        total = tensor.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone()
        dist.all_reduce(total)
        return total


def sum_over_ranks(tensor: Tensor) -> Tensor:
    """The sum of ``tensor`` over ranks, differentiable; works with gloo and nccl."""
    total: Tensor = _SumOverRanks.apply(tensor)  # type: ignore[no-untyped-call]
    return total


class BatchNorm(nn.BatchNorm1d):
    """``nn.BatchNorm1d`` for (N, C), with mean and variance over all ranks while training.

    ``nn.SyncBatchNorm`` does the same but refuses CPU tensors, so gloo runs could not use it. With
    one process this is ``nn.BatchNorm1d`` itself. Ranks may hold different numbers of rows.
    """

    def forward(self, input: Tensor) -> Tensor:
        if not self.training or world_size() == 1:
            return super().forward(input)
        with torch.autocast(input.device.type, enabled=False):
            rows = input.float()
            count = sum_over_ranks(rows.new_tensor([float(len(rows))]))
            mean = sum_over_ranks(rows.sum(0)) / count
            centred = rows - mean
            variance = sum_over_ranks(centred.square().sum(0)) / count
            out = centred * torch.rsqrt(variance + self.eps)
            if self.affine:
                out = out * self.weight + self.bias
            self._track(mean.detach(), (variance * count / (count - 1)).detach())
        return out.to(input.dtype)

    @torch.no_grad()
    def _track(self, mean: Tensor, variance: Tensor) -> None:
        if self.running_mean is None or self.running_var is None:
            return
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        # momentum None asks PyTorch for the plain average of all batches
        step = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, step)
        self.running_var.lerp_(variance, step)
