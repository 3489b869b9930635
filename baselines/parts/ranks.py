"""Sums, means and rows over all training processes, so that many ranks compute what one would.

DistributedDataParallel averages gradients over ranks. A loss is the same on any number of ranks if
each rank returns its share such that the mean of the shares is the loss of the whole batch.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


def world_size() -> int:
    """Number of training processes; 1 where torch.distributed is not running."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """This process's number among them; 0 where torch.distributed is not running."""
    return dist.get_rank() if world_size() > 1 else 0


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
    if world_size() == 1:
        return tensor
    total: Tensor = _SumOverRanks.apply(tensor)  # type: ignore[no-untyped-call]
    return total


def mean_over_ranks(total: Tensor, count: Tensor | int) -> Tensor:
    """This rank's share of ``total`` divided by ``count``, both summed over ranks.

    The mean of the shares over ranks is the mean of the whole batch, however unevenly the counted
    things (characters, kept images) fall on the ranks. Nothing counted anywhere gives 0.
    """
    counted = torch.as_tensor(count, dtype=torch.float32, device=total.device)
    return total * (world_size() / sum_over_ranks(counted.detach()).clamp(min=1.0))


class _Gather(torch.autograd.Function):
    """Rows of all ranks; each rank's rows get the gradients that all ranks have for them."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        ctx.rows = len(rows)
        return gathered(rows)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone()
        dist.all_reduce(total)
        start = rank() * ctx.rows
        return total[start : start + ctx.rows]


def gathered(rows: Tensor) -> Tensor:
    """``rows`` (N, D) of every rank in rank order (world * N, D), without gradient.

    Every rank must bring the same number of rows.
    """
    rows = rows.detach()
    if world_size() == 1:
        return rows
    parts = [torch.empty_like(rows) for _ in range(world_size())]
    dist.all_gather(parts, rows.contiguous())
    return torch.cat(parts)


def gathered_with_gradient(rows: Tensor) -> Tensor:
    """``rows`` (N, D) of every rank in rank order (world * N, D).

    The gradient of a rank's rows is summed over the losses of all ranks: if every rank computes the
    same loss from the gathered rows, the mean over ranks is that loss's own gradient.
    """
    if world_size() == 1:
        return rows
    whole: Tensor = _Gather.apply(rows)  # type: ignore[no-untyped-call]
    return whole
