"""The super-resolution networks of TextZoom's code: counts, shapes, alignment, mask, loss, learning."""

from __future__ import annotations

import math
from typing import Any, cast

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from strbench import registry
from strbench.baselines.parts.batchnorm import BatchNorm, BatchNorm2d
from strbench.baselines.parts.central_alignment import CentralAlignment
from strbench.baselines.parts.superres import (
    TrunkRestorer,
    gradient_map,
    image_losses,
    with_mask,
)
from strbench.baselines.superres.tbsrn import Norm, positions
from strbench.baselines.superres.tsrn import Rows
from strbench.errors import StrbenchError
from strbench.methods import Method, PairBatch, inherit
from strbench.settings import override

NAMES = ("srcnn", "srresnet", "tsrn", "tbsrn")
every_network = pytest.mark.parametrize("name", NAMES)
aligned = pytest.mark.parametrize("name", ["tsrn", "tbsrn"])


def entry(name: str) -> Method:
    return cast(Method, registry.load("models", name))


def built(name: str, *settings: str, recipe: str = "smoke", seed: int = 0) -> tuple[Any, nn.Module]:
    method = entry(name)
    config = override(method.recipes[recipe], settings)
    torch.manual_seed(seed)
    return config, method.build(config)


def pairs(n: int = 4, *, height: int = 32, width: int = 128, scale: int = 2) -> PairBatch:
    """Smooth images and the same ones smaller."""
    coarse = torch.rand(n, 3, 4, 12, generator=torch.Generator().manual_seed(1))
    high = F.interpolate(coarse, (height, width), mode="bicubic").clamp(0, 1)
    low = F.interpolate(high, (height // scale, width // scale), mode="area")
    return PairBatch((low * 255).byte(), (high * 255).byte(), torch.arange(n))


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


# --- what the papers' code has


@pytest.mark.parametrize(
    ("name", "settings", "total"),
    [
        ("srcnn", [], 20_099),
        ("srresnet", [], 586_506),
        ("srresnet", ["mask=true"], 596_875),
        ("tsrn", [], 2_681_677),
        ("tsrn", ["stn=false"], 826_629),
        ("tsrn", ["stn=false", "mask=false"], 816_260),
        # the official counts without the 229,875 weights that never get a gradient
        ("tbsrn", [], 3_210_335 - 229_875),
        ("tbsrn", ["mask=true"], 3_220_992 - 229_875),
    ],
)
def test_numbers_of_parameters(name: str, settings: list[str], total: int) -> None:
    with torch.device("meta"):
        assert count(built(name, *settings, recipe="paper")[1]) == total


@pytest.mark.parametrize(("name", "total"), [("tsrn", 1_855_048), ("tbsrn", 1_854_760)])
def test_numbers_of_parameters_of_the_alignment(name: str, total: int) -> None:
    with torch.device("meta"):
        module = cast(TrunkRestorer, built(name, recipe="paper")[1])
    assert module.alignment is not None
    assert count(module.alignment) == total


@every_network
def test_paper_recipes_hold_the_released_values(name: str) -> None:
    paper = entry(name).recipes["paper"]
    batch, rate = (16, 1e-4) if name == "tbsrn" else (512, 1e-3)
    assert (paper.batch_size, paper.lr, paper.lr_batch) == (batch, rate, 0)
    assert (paper.optimiser, paper.betas, paper.weight_decay) == ("adam", (0.5, 0.999), 0)
    assert (paper.schedule, paper.epochs, paper.clip_norm) == ("constant", 500, 0.25)
    assert (paper.height, paper.width, paper.shrink) == (32, 128, 2)
    assert getattr(paper, "mask", False) == (name == "tsrn")
    assert getattr(paper, "gradient", False) == (name == "tsrn")
    assert getattr(paper, "stn", False) == (name in ("tsrn", "tbsrn"))


# --- shapes and ranges


@every_network
@pytest.mark.parametrize("scale", [2, 4])
def test_images_become_larger_and_a_tanh_bounds_them(name: str, scale: int) -> None:
    settings = ["stn=false"] if name in ("tsrn", "tbsrn") else []
    _, module = built(name, f"shrink={scale}", *settings)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(3)
        made = module.eval()(torch.rand(2, _planes(module), 32 // scale, 128 // scale))
    assert made.shape[2:] == (32, 128)
    assert (made.abs() <= 1).all() == (name != "srcnn")


def _planes(module: nn.Module) -> int:
    return next(m for m in module.modules() if isinstance(m, nn.Conv2d)).in_channels


def test_srcnn_enlarges_by_repeating_pixels() -> None:
    _, module = built("srcnn", "shrink=3", "height=33", "width=129")
    seen: list[Tensor] = []
    layers = cast(nn.Sequential, module.layers)
    layers.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    low = torch.rand(1, 3, 11, 43)
    assert module(low).shape == (1, 3, 33, 129)
    assert torch.equal(seen[0], low.repeat_interleave(3, 2).repeat_interleave(3, 3))


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("tsrn", ["shrink=3", "height=33", "width=129"], "power of 2"),
        ("tbsrn", ["height=64"], "expected a grid of 1 x 2 behind its poolings, found 2 x 2"),
        ("tbsrn", ["size=large"], "No size of a restorer is named 'large'"),
        ("srcnn", ["size=large"], "No size of srcnn is named 'large'"),
    ],
)
def test_what_cannot_be_built(name: str, settings: list[str], message: str) -> None:
    with pytest.raises(StrbenchError, match=message):
        built(name, *settings)


# --- central alignment


def test_at_first_the_whole_image_and_a_margin_around_it_is_shown() -> None:
    alignment = CentralAlignment(3, height=16, width=64)
    points = alignment.eval().fiducials(torch.rand(2, 3, 32, 64))
    assert points[0, 0].tolist() == pytest.approx([0.01, 0.01])
    assert points[1, 19].tolist() == pytest.approx([0.99, 0.99])
    x, y = alignment.positions(points)[0].view(16, 64, 2).unbind(-1)
    # 0.05 to 0.95 of the output show 0.01 to 0.99 of the input: 0.98 / 0.9 = 1.089 times as much
    across = 0.01 + (torch.linspace(0, 1, 64) - 0.05) * 0.98 / 0.9
    down = 0.01 + (torch.linspace(0, 1, 16) - 0.05) * 0.98 / 0.9
    torch.testing.assert_close(x, across.expand(16, 64), atol=1e-5, rtol=0)
    torch.testing.assert_close(y, down[:, None].expand(16, 64), atol=1e-5, rtol=0)
    assert [x.min().item(), x.max().item()] == pytest.approx([-0.0444, 1.0444], abs=1e-4)


def test_positions_outside_repeat_the_edge() -> None:
    alignment = CentralAlignment(3, height=16, width=64).eval()
    ramp = torch.linspace(0.2, 1, 64).expand(1, 3, 16, 64)
    shown = alignment(ramp)[0, 0, 8]
    assert shown[:3].tolist() == pytest.approx([0.2] * 3, abs=1e-5)  # below 0, 0 and 0.024 - 0.044
    assert shown[-3:].tolist() == pytest.approx([1.0] * 3, abs=1e-5)
    torch.testing.assert_close(shown[31] + shown[32], torch.tensor(1.2), atol=1e-4, rtol=0)


def test_the_spline_takes_its_fixed_points_to_the_control_points() -> None:
    # 21 x 41 pixels 0.05 and 0.025 apart: the first upper point is the pixel in row 1, column 2
    alignment = CentralAlignment(3, height=21, width=41)
    torch.manual_seed(0)
    points = torch.rand(3, 20, 2)
    found = alignment.positions(points).view(3, 21, 41, 2)
    torch.testing.assert_close(found[:, 1, 2], points[:, 0], atol=1e-4, rtol=0)
    torch.testing.assert_close(found[:, 1, 38], points[:, 9], atol=1e-4, rtol=0)
    torch.testing.assert_close(found[:, 19, 38], points[:, 19], atol=1e-4, rtol=0)


@aligned
def test_the_alignment_works_in_training_alone(name: str) -> None:
    _, module = built(name, "dropout=0" if name == "tbsrn" else "mask=true")
    model = cast(TrunkRestorer, module)
    alignment = model.alignment
    assert alignment is not None
    images = torch.rand(4, _planes(model.trunk), 16, 64)
    with torch.no_grad():
        trained, evaluated = model.train()(images), model.eval()(images)
        assert torch.equal(evaluated, model.trunk(images))
        alignment.points.bias.mul_(0.5)
        assert torch.equal(evaluated, model.eval()(images))
        assert not torch.equal(trained, model.train()(images))


@pytest.mark.parametrize("name", ["srresnet", "tsrn", "tbsrn"])
def test_without_it_training_and_evaluation_differ_by_the_statistics_alone(name: str) -> None:
    settings = {"srresnet": [], "tsrn": ["stn=false"], "tbsrn": ["stn=false", "dropout=0"]}[name]
    _, module = built(name, *settings)
    images = torch.rand(2, _planes(module), 16, 64)
    with torch.no_grad():
        trained, evaluated = module.train()(images), module.eval()(images)
        assert not torch.equal(evaluated, trained)
        for part in module.train().modules():
            if isinstance(part, BatchNorm | BatchNorm2d):
                part.eval()
        torch.testing.assert_close(module(images), evaluated)


# --- parts


def test_recurrent_rows_do_not_see_each_other() -> None:
    torch.manual_seed(0)
    rows = Rows(8)
    grid = torch.randn(2, 8, 4, 6)
    other = grid.clone()
    other[:, :, 2, 5] += 1
    changed = (rows(grid) != rows(other)).any(1).any(0)  # (H, W)
    assert changed[2].all(), "both directions: the last column reaches the first"
    assert changed.any(1).tolist() == [False, False, True, False]


def test_positions_say_column_and_row() -> None:
    fixed = positions(8, height=3, width=5)
    assert fixed.shape == (8, 3, 5)
    # two pairs in each half: angles are the place itself and the place / 10,000 ** (2 / 4)
    wanted = [math.sin(4), math.cos(4), math.sin(0.04), math.cos(0.04)]
    wanted += [math.sin(2), math.cos(2), math.sin(0.02), math.cos(0.02)]
    assert fixed[:, 2, 4].tolist() == pytest.approx(wanted, abs=1e-6)


def test_the_norm_divides_by_the_unbiased_deviation() -> None:
    found = Norm(3)(torch.tensor([[1.0, 2.0, 3.0], [5.0, 5.0, 5.0]]))
    # mean 2, squares 1 + 0 + 1 over 3 - 1: deviation 1; without any deviation nothing is divided by 0
    assert found[0].tolist() == pytest.approx([-1, 0, 1], abs=2e-6)
    assert found[1].tolist() == [0, 0, 0]


# --- the mask channel


def test_a_mask_is_dark_against_the_image_s_own_mean() -> None:
    # grey levels 0, 100, 200, 100: mean 100, and 100 is not above it
    levels = torch.tensor([0, 100, 200, 100], dtype=torch.uint8).view(1, 1, 2, 2).expand(1, 3, 2, 2)
    found = with_mask(levels)
    assert found.shape == (1, 4, 2, 2)
    assert found[0, 3].tolist() == [[1, 1], [0, 1]]
    assert found[0, 0].flatten().tolist() == pytest.approx([0, 100 / 255, 200 / 255, 100 / 255])


def test_masks_are_pillow_s() -> None:
    for seed in range(20):
        pixels = np.random.RandomState(seed).randint(0, 256, (16, 64, 3), np.uint8)
        if seed % 4 == 0:
            pixels[:] = pixels[0, 0]  # of one colour
        grey = Image.fromarray(pixels).convert("L")
        mean = float(np.asarray(grey).mean())
        wanted = np.asarray(grey.point([0 if level > mean else 255 for level in range(256)])) / 255
        found = with_mask(torch.from_numpy(pixels).permute(2, 0, 1)[None])[0, 3]
        assert np.array_equal(found.numpy(), wanted), seed


def test_both_images_of_a_pair_have_their_own_mask() -> None:
    config, _ = built("tsrn")
    batch = pairs()
    view = entry("tsrn").views(config)(batch)
    assert view["inputs"].shape == (4, 4, 16, 64)
    assert view["targets"].shape == (4, 4, 32, 128)
    assert torch.equal(view["inputs"], with_mask(batch.inputs))
    assert torch.equal(view["targets"], with_mask(batch.targets))


# --- the loss


def test_gradient_map_of_one_colour() -> None:
    found = gradient_map(torch.full((1, 1, 5, 6), 0.6))[0, 0]
    # beyond the border the image is 0: 0.6 / 2 = 0.3 on one side, 0.3 * sqrt(2) = 0.4243 on two
    assert found[2, 2].item() == pytest.approx(0.001, abs=1e-6)
    assert found[0, 2].item() == found[2, 5].item() == pytest.approx(0.3000, abs=1e-4)
    assert found[4, 0].item() == pytest.approx(0.4243, abs=1e-4)


def test_gradient_map_of_a_ramp_and_its_slope_on_flat_images() -> None:
    ramp = torch.arange(5.0).expand(1, 1, 4, 5)
    # the neighbours of a column differ by 2, half of it is 1
    assert gradient_map(ramp)[0, 0, 1, 2].item() == pytest.approx(math.sqrt(1 + 1e-6))
    flat = torch.zeros(1, 3, 4, 4, requires_grad=True)
    (slope,) = torch.autograd.grad(gradient_map(flat).sum(), flat)
    assert slope.isfinite().all()


def test_loss_by_hand() -> None:
    made, targets = torch.zeros(1, 3, 4, 4), torch.full((1, 3, 4, 4), 0.6)
    # 4 corners, 8 edges, 4 inner pixels; the map of zeros is 0.001 everywhere
    prior = (4 * (math.sqrt(0.18 + 1e-6) - 0.001) + 8 * (math.sqrt(0.09 + 1e-6) - 0.001)) / 16
    found = image_losses(made, targets, gradient=True)
    assert found["mse"].item() == pytest.approx(0.36)
    assert found["gradient_prior"].item() == pytest.approx(prior)
    assert found["loss"].item() == pytest.approx(100 * (0.36 + 1e-4 * prior))
    plain = image_losses(made, targets, gradient=False)
    assert plain.keys() == {"loss", "mse"}
    assert plain["loss"].item() == pytest.approx(36)


def test_a_mask_counts_in_the_error_and_not_in_the_prior() -> None:
    torch.manual_seed(0)
    made, targets = torch.rand(2, 4, 8, 8), torch.rand(2, 4, 8, 8)
    other = made.clone()
    other[:, 3] = 0
    first, second = (image_losses(image, targets, gradient=True) for image in (made, other))
    assert first["mse"] != second["mse"]
    assert first["gradient_prior"] == second["gradient_prior"]


# --- restoring


@every_network
def test_a_restorer_answers_in_colours_and_leaves_the_network_as_it_was(name: str) -> None:
    config, module = built(name)
    restorer = entry(name).restorer
    assert restorer is not None
    restore = restorer(module.train(), config)
    levels = pairs().inputs
    with torch.autocast("cpu", dtype=torch.bfloat16):
        made = restore(levels.float() / 255)
    assert (made.shape, made.dtype) == ((4, 3, 32, 128), torch.float32)
    assert module.training
    inputs = with_mask(levels) if getattr(config, "mask", False) else levels.float() / 255
    with torch.no_grad():
        assert torch.equal(made, module.eval()(inputs)[:, :3])
    one = restore(levels[2:3].float() / 255)
    torch.testing.assert_close(one[0], made[2], atol=1e-5, rtol=0)


@every_network
def test_a_run_on_drawn_pairs_can_be_gone_on_with(name: str) -> None:
    method = entry(name)
    _, parent = built(name, seed=1)
    _, child = built(name, seed=2)
    assert method.fresh is not None
    assert inherit(child, {"parent": method.export(parent)}, fresh=method.fresh) == []
    for key, tensor in parent.state_dict().items():
        assert torch.equal(child.state_dict()[key], tensor), key


@every_network
def test_a_few_pairs_are_learnt_by_heart(name: str) -> None:
    settings = ["stn=false"] if name in ("tsrn", "tbsrn") else []
    config, module = built(name, *settings)
    batch = entry(name).views(config)(pairs(2))
    optimiser = torch.optim.Adam(module.train().parameters(), lr=5e-3)
    losses = []
    for _ in range(60):
        loss = cast(Any, module).loss(batch)["loss"]
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(module.parameters(), 5.0)
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 * losses[0], losses[::10]
