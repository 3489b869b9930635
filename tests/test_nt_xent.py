"""NT-Xent: against the formula written out, by its properties, and over two ranks."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, multiprocessing

from strbench.baselines.parts.nt_xent import nt_xent

N = 12


def views(n: int = N, dim: int = 7) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(5)
    first, noise = torch.randn(2, n, dim, generator=generator)
    return first, first + noise


def by_hand(first: Tensor, second: Tensor, temperature: float) -> tuple[float, float]:
    """Loss and share of right matches, one query at a time in float64."""
    rows = np.concatenate([first.numpy(), second.numpy()]).astype(np.float64)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    n, losses, right = len(first), [], 0
    for i, row in enumerate(rows):
        partner = (i + n) % (2 * n)
        near = {j: float(row @ rows[j]) / temperature for j in range(2 * n) if j != i}
        losses.append(math.log(sum(math.exp(s) for s in near.values())) - near[partner])
        right += max(near, key=near.__getitem__) == partner
    return float(np.mean(losses)), right / (2 * n)


@pytest.mark.parametrize("temperature", [0.1, 0.5])
def test_the_formula(temperature: float) -> None:
    loss, accuracy = nt_xent(*views(), temperature=temperature)
    expected, right = by_hand(*views(), temperature)
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    assert accuracy.item() == pytest.approx(right)
    assert 0 < right < 1


def test_unrelated_features_cost_the_logarithm_of_the_choices() -> None:
    first, second = torch.randn(2, 200, 512, generator=torch.Generator().manual_seed(0))
    loss, accuracy = nt_xent(first, second, temperature=1.0)
    assert loss.item() == pytest.approx(math.log(399), rel=0.01)
    assert accuracy < 0.05


def test_scale_and_order_do_not_matter_but_pairing_does() -> None:
    first, second = views()
    loss, _ = nt_xent(first, second, temperature=0.2)
    order = torch.randperm(N, generator=torch.Generator().manual_seed(1))
    for changed in (
        (first * 7, second / 3),
        (second, first),
        (first[order], second[order]),
    ):
        torch.testing.assert_close(nt_xent(*changed, temperature=0.2)[0], loss)
    assert nt_xent(first, second[order], temperature=0.2)[0] > loss + 0.1


def test_equal_views_match_and_both_views_learn() -> None:
    first, _ = views()
    assert nt_xent(first, first.clone(), temperature=0.1)[1] == 1
    rows = [view.requires_grad_() for view in views()]
    nt_xent(*rows, temperature=0.1)[0].backward()
    for view in rows:
        assert view.grad is not None
        assert view.grad.any(1).all()


def test_it_counts_in_float32_under_autocast() -> None:
    first, second = (view.bfloat16() for view in views())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss, _ = nt_xent(first, second, temperature=0.1)
    expected, _ = nt_xent(first.float(), second.float(), temperature=0.1)
    assert loss.dtype == torch.float32
    assert torch.equal(loss, expected)


def _on_a_rank(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2
    )
    half = slice(N // 2 * rank, N // 2 * (rank + 1))
    first, second = (view[half].requires_grad_() for view in views())
    loss, accuracy = nt_xent(first, second, temperature=0.2)
    loss.backward()
    torch.save((loss.detach(), accuracy, first.grad, second.grad), f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


def test_the_mean_over_two_ranks_is_one_process(tmp_path: Path) -> None:
    start: Callable[..., object] = multiprocessing.spawn
    start(_on_a_rank, args=(str(tmp_path),), nprocs=2)
    ranks = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2)]
    rows = [view.requires_grad_() for view in views()]
    loss, accuracy = nt_xent(*rows, temperature=0.2)
    loss.backward()
    torch.testing.assert_close((ranks[0][0] + ranks[1][0]) / 2, loss.detach())
    torch.testing.assert_close((ranks[0][1] + ranks[1][1]) / 2, accuracy)
    for view, place in zip(rows, (2, 3), strict=True):
        # DistributedDataParallel averages what each rank's rows send into the weights
        torch.testing.assert_close(torch.cat([r[place] for r in ranks]) / 2, view.grad)
