"""What moves TextBPN's points, and its losses by hand."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from strbench.baselines.parts.boundary_losses import (
    boundary_loss,
    direction_loss,
    distance_loss,
    energy_loss,
    hard_pixels,
    matched,
)
from strbench.baselines.parts.boundary_maps import boundary
from strbench.baselines.parts.boundary_networks import (
    AdaptiveDeformation,
    BoundaryDecoder,
    BoundaryTransformer,
    Evolution,
    NodeNorm,
    ring,
    sampled,
)

BAR = np.array([(10.0, 10.0), (110.0, 10.0), (110.0, 30.0), (10.0, 30.0)])
both = pytest.mark.parametrize("name", ["textbpn", "textbpnpp"])


# --- the networks


@pytest.mark.parametrize("stride", [1, 2, 4])
def test_the_decoder_gives_maps_at_its_stride(stride: int) -> None:
    decoder = BoundaryDecoder(6, (8, 12, 16, 24), 64, stride)
    stages = [torch.rand(2, 6, 16, 24)] + [
        torch.rand(2, w, 16 >> k, 24 >> k) for k, w in enumerate((8, 12, 16, 24))
    ]
    assert decoder(stages).shape == (2, 8, 64 // stride, 96 // stride)


def test_maps_are_sampled_where_points_are() -> None:
    maps = torch.arange(12.0).view(1, 1, 3, 4)
    points = torch.tensor([[0.5, 0.5], [3.5, 2.5], [1.0, 0.5], [2.0, 2.0]])
    values = sampled(maps, points.view(1, 1, 4, 2), (3, 4))
    # pixel centres; half way between the first two; in the middle of 5, 6, 9 and 10
    assert values.flatten().tolist() == pytest.approx([0, 11, 0.5, 7.5], abs=1e-5)
    # maps at half the stride of the image
    halved = sampled(maps, 2 * points.view(1, 1, 4, 2), (6, 8))
    assert torch.allclose(halved, values)


def test_the_ring_is_the_normalised_adjacency() -> None:
    adjacency = np.eye(20)
    for i in range(20):
        for j in (1, 2):
            adjacency[i, (i + j) % 20] = adjacency[(i + j) % 20, i] = 1
    inverse = np.diag(adjacency.sum(0) ** -0.5)
    assert ring().numpy() == pytest.approx(inverse @ adjacency @ inverse)


def test_the_norm_is_that_of_the_used_boundaries() -> None:
    torch.manual_seed(0)
    nodes = torch.randn(2, 3, 20, 5) * 3 + 1
    used = torch.tensor([[True, False, True], [False, True, False]])
    own, reference = NodeNorm(5), nn.BatchNorm1d(5, affine=False)
    expected = reference(nodes[used].transpose(1, 2)).transpose(1, 2)
    torch.testing.assert_close(own(nodes, used)[used], expected)
    assert reference.running_mean is not None
    assert reference.running_var is not None
    torch.testing.assert_close(own.mean, reference.running_mean)
    torch.testing.assert_close(own.variance, reference.running_var)
    before = own.mean.clone()
    assert own(nodes, used & False).isfinite().all()
    assert torch.equal(own.mean, before)
    torch.testing.assert_close(
        own.eval()(nodes, used)[used],
        reference.eval()(nodes[used].transpose(1, 2)).transpose(1, 2),
    )


def steps_of(name: str, **more: Any) -> Evolution:
    torch.manual_seed(0)
    kind: Any = AdaptiveDeformation
    if name == "textbpnpp":
        kind = partial(BoundaryTransformer, attends=more.pop("attends", "points"))
    step = partial(kind, width=12, state=16, dropout=0.0)
    return Evolution(step, spread=0.3, margin=1.5).eval()


@both
def test_a_step_moves_a_point_by_16_pixels_at_most_and_not_beyond_the_border(name: str) -> None:
    evolution = steps_of(name)
    for step in evolution.steps:
        step.answer[-1].bias.data.copy_(torch.tensor([100.0, -100.0]))
    start = torch.full((1, 1, 20, 2), 30.0)
    made = evolution(
        torch.rand(1, 12, 40, 50), start, torch.ones(1, 1, dtype=torch.bool), (80, 100)
    )
    assert [points[0, 0, 0].tolist() for points in made] == [[46, 14], [62, 1.5], [78, 1.5]]


@both
def test_boundaries_are_moved_each_for_itself(name: str) -> None:
    evolution = steps_of(name)
    maps, start = torch.rand(2, 12, 40, 50), torch.rand(2, 3, 20, 2) * 40
    used = torch.tensor([[True, True, True], [True, False, False]])
    whole = evolution(maps, start, used, (40, 50))[-1]
    alone = evolution(maps[1:], start[1:, :1], used[1:, :1], (40, 50))[-1]
    torch.testing.assert_close(whole[1:, :1], alone)
    assert (whole - start).abs().mean() > 0.05


def test_points_may_attend_to_those_of_the_image_s_other_proposals() -> None:
    evolution = steps_of("textbpnpp", attends="proposals")
    maps, start = torch.rand(2, 12, 40, 50), torch.rand(2, 3, 20, 2) * 40
    used = torch.tensor([[True, True, True], [True, True, False]])
    whole = evolution(maps, start, used, (40, 50))[-1]
    other = start.clone()
    other[0], other[1, 2] = 7.0, 9.0  # another image, and a row that is not used
    again = evolution(maps, other, used, (40, 50))[-1]
    torch.testing.assert_close(whole[1, :2], again[1, :2])
    other[1, 1] = 5.0
    assert (evolution(maps, other, used, (40, 50))[-1][1, 0] - whole[1, 0]).abs().max() > 1e-3


# --- losses


def test_a_boundary_is_compared_at_its_best_shift() -> None:
    contour = torch.tensor(boundary(BAR, 0.007))
    assert matched(contour.roll(7, dims=0), contour) == 0
    # smooth L1: 3 - 1/2 in x and 1/2 of 0.5 squared in y
    off = contour + torch.tensor([3.0, 0.5], dtype=torch.float64)
    assert matched(off, contour).item() == pytest.approx(2.5 + 0.125)
    assert matched(contour.flip(0), contour) > 5  # the other way round is another boundary


def test_the_boundary_loss_is_the_mean_over_used_boundaries_and_steps() -> None:
    contour = torch.tensor(boundary(BAR, 0.007)).expand(1, 2, 20, 2)
    used = torch.tensor([[True, False]])
    far = contour + 50
    made = [torch.stack([c, far[0, 1]])[None] for c in (contour[0, 0] + 1, contour[0, 0])]
    # 0.5 + 0.5 in the first step, 0 in the second; the second boundary is not used
    assert boundary_loss(made, contour, used).item() == pytest.approx(0.5)
    assert boundary_loss(made, contour, used & False) == 0


def test_hard_pixels_by_hand() -> None:
    losses = torch.tensor([[[4.0, 3.0, 2.0, 1.0, 0.5, 9.0]]])
    text = torch.tensor([[[True, False, False, False, False, False]]])
    counts = torch.tensor([[[True, True, True, True, True, False]]])
    # one positive and the three hardest of four negatives; 9 does not count
    assert hard_pixels(losses, text, counts).item() == pytest.approx((4 + 3 + 2 + 1) / 4)


def test_without_text_the_hundred_hardest_pixels_count() -> None:
    losses = torch.arange(400.0).view(1, 20, 20).requires_grad_()
    nothing, everything = torch.zeros(1, 20, 20, dtype=torch.bool), torch.ones(1, 20, 20).bool()
    loss = hard_pixels(losses, nothing, everything)
    assert loss.item() == pytest.approx((300 + 399) / 2)
    loss.backward()
    assert losses.grad is not None
    assert losses.grad.count_nonzero() == 100
    few = hard_pixels(losses.detach()[:, :2, :5], nothing[:, :2, :5], everything[:, :2, :5])
    assert few.item() == pytest.approx((0 + 1 + 2 + 3 + 4 + 20 + 21 + 22 + 23 + 24) / 10)
    assert hard_pixels(losses.detach(), nothing, nothing) == 0


def test_the_distance_loss_by_hand() -> None:
    truth = torch.zeros(2, 1, 8)
    truth[0, 0, :2] = torch.tensor([0.5, 1.0])
    squares = torch.tensor([[[1.0, 3.0, 9.0, 8.0, 7.0, 6.0, 5.0, 4.0]], [[2.0] * 8]])
    # (1 + 3) / 2 and all six others, 39 / 6; of the image without text the mean
    assert distance_loss(squares, truth).item() == pytest.approx((2 + 6.5 + 2) / 2)
    truth[0, 0, 1] = 0
    # 1 and the three hardest, 9 + 8 + 7
    assert distance_loss(squares, truth).item() == pytest.approx((1 + 8 + 2) / 2)


def test_the_direction_loss_by_hand() -> None:
    truth = torch.zeros(1, 2, 1, 2)
    truth[0, 0] = 1.0  # down, in both
    made = torch.tensor([[[[1.0, 0.0]], [[0.0, 2.0]]]])
    text = torch.tensor([[[True, True]]])
    weight = torch.tensor([[[0.5, 0.25]]])
    # ((0 - 1)^2 + (2 - 0)^2) / 2 x 0.25 in the one row; cosines 1 and 0
    loss = direction_loss(made, truth, weight=weight, text=text, counts=text)
    assert loss.item() == pytest.approx(2.5 * 0.25 + 0.5)
    masked = direction_loss(
        made, truth, weight=weight, text=text, counts=torch.tensor([[[True, False]]])
    )
    assert masked.item() == pytest.approx(0)


def test_the_energy_loss_by_hand() -> None:
    distance = torch.zeros(1, 10, 10)
    distance[0, :, 5:] = 0.1
    used = torch.ones(1, 1).bool()
    inside, outside = torch.full((1, 1, 20, 2), 7.5), torch.full((1, 1, 20, 2), 2.5)
    # energies 2, 0, 2: the first step has none; the second ends at 2, having risen by 2
    loss = energy_loss(distance, [inside, outside, inside], used, (10, 10))
    assert loss.item() == pytest.approx((0 + 4) / 2)
    assert energy_loss(distance, [inside, outside, outside], used, (10, 10)) == 0
