"""DiG, Gen and Dis: counts, losses, gradients and momentum as the paper's code has them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, multiprocessing, nn

from strbench import registry
from strbench.baselines.parts.contrast import info_nce
from strbench.baselines.pretrain.dig import DIG, DIS, GEN, Config, DiG, window_means
from strbench.errors import StrbenchError
from strbench.methods import Method, WordBatch

B = 16
# The smallest of everything, with the head widths that decide the initial loss left as published.
TINY_HEADS = {"projector_hidden": 64, "pix_projector_hidden": 32, "pixel_hidden": 32}


def config_of(method: Method, **changes: object) -> Config:
    options = {**TINY_HEADS, "projector_out": 256, "size": "micro", **changes}
    config: Config = replace(method.recipes["paper"], **options)
    return config


def word_batch(n: int = B, *, seed: int = 0) -> WordBatch:
    """Pictures with large and small structure, each its own; not noise, so that views agree."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(n, 3, 4, 12, generator=generator)
    images = nn.functional.interpolate(coarse, (32, 128), mode="bilinear")
    return WordBatch(
        images=(images * 255).byte(),
        aspect=torch.full((n,), 4.0),
        labels=[""] * n,
        seeds=torch.arange(n) + 1000 * seed,
    )


def built(method: Method, *, n: int = B, **changes: object) -> tuple[DiG, dict[str, Tensor]]:
    config = config_of(method, **changes)
    torch.manual_seed(0)
    module = method.build(config).train()
    assert isinstance(module, DiG)
    return module, method.views(config)(word_batch(n))


def count(module: nn.Module, *, trainable: bool = False) -> int:
    return sum(p.numel() for p in module.parameters() if p.requires_grad or not trainable)


COUNTS = {  # total and trainable, counted on the official classes
    "dig": {
        "tiny": (51_058_864, 26_623_792),
        "small": (84_986_800, 43_606_192),
        "base": (119_401_904, 60_826_032),
    },
    "gen": {
        "tiny": (5_429_424, 5_429_424),
        "small": (21_429_168, 21_429_168),
        "base": (37_993_904, 37_993_904),
    },
    "dis": {
        "tiny": (50_053_888, 26_079_616),
        "small": (83_551_744, 42_828_544),
        "base": (117_680_128, 59_892_736),
    },
}


@pytest.mark.parametrize("name", COUNTS)
def test_published_numbers_of_parameters(name: str) -> None:
    method = registry.load("methods", name)
    for size, (total, trainable) in COUNTS[name].items():
        with torch.device("meta"):
            module = method.build(replace(method.recipes["paper"], size=size))
        assert (count(module), count(module, trainable=True)) == (total, trainable)
        assert method.card.parameters[size] == total
        assert method.card.parameters.get(f"{size} trainable", total) == trainable


def test_submodules_of_the_small_size() -> None:
    with torch.device("meta"):
        module = DIG.build(DIG.recipes["paper"])
    assert count(module.projector) == 19_415_040
    assert count(module.predictor) == 2_105_344
    assert count(module.pix_projector) == 657_408
    assert count(module.pixel_decoder) == 120_240


def test_paper_recipe_holds_the_released_values() -> None:
    paper = DIG.recipes["paper"]
    assert paper.lr * paper.batch_size / paper.lr_batch == pytest.approx(6e-4)
    assert (paper.mask_ratio, paper.epochs, paper.warmup_steps) == (0.7, 10.0, 5000)
    assert (paper.weight_decay, paper.min_lr, paper.temperature) == (0.1, 1e-5, 0.2)
    assert (GEN.recipes["paper"].contrast, GEN.recipes["paper"].mim) == (False, True)
    assert (DIS.recipes["paper"].contrast, DIS.recipes["paper"].mim) == (True, False)


@pytest.mark.parametrize("method", [DIG, GEN, DIS], ids=lambda method: method.card.name)
@pytest.mark.parametrize("recipe", ["small", "smoke"])
def test_recipes_build_and_cards_are_complete(method: Method, recipe: str) -> None:
    config = method.recipes[recipe]
    assert recipe in method.card.recipes
    assert method.card.paper
    assert method.card.notes
    with torch.device("meta"):
        assert count(method.build(config)) > 0


# --- views


@pytest.mark.parametrize(("ratio", "hidden"), [(0.7, 179), (0.6, 153)])
def test_views_at_the_published_size(ratio: float, hidden: int) -> None:
    batch = word_batch(2)
    view = DIG.views(Config(mask_ratio=ratio))(batch)
    assert view["mask"].shape == (2, 256)
    assert view["mask"].sum(1).tolist() == [hidden, hidden]
    assert view["target"].shape == (2, hidden, 48)
    assert view["view1"].shape == view["view2"].shape == (2, 3, 32, 128)
    torch.testing.assert_close(view["view1"], batch.images / 127.5 - 1)
    assert not torch.equal(view["view1"], view["view2"])
    assert view["view2"].min() >= -1
    assert view["view2"].max() <= 1


def test_target_is_the_raw_pixels_of_hidden_patches() -> None:
    batch = word_batch(1)
    view = DIG.views(config_of(DIG))(batch)
    first = int(view["mask"][0].nonzero()[0])
    row, column = divmod(first, 16)
    block = batch.images[0, :, 8 * row : 8 * row + 8, 8 * column : 8 * column + 8]
    expected = block.permute(1, 2, 0).flatten() / 255
    torch.testing.assert_close(view["target"][0, 0], expected)


def test_views_depend_on_the_seeds_alone() -> None:
    view = DIG.views(config_of(DIG))
    batch = word_batch(6)
    whole, again = view(batch), view(batch)
    part = view(WordBatch(batch.images[4:], batch.aspect[4:], batch.labels[4:], batch.seeds[4:]))
    moved = view(batch._replace(seeds=batch.seeds + 50))
    for name in whole:
        assert torch.equal(whole[name], again[name]), name
        torch.testing.assert_close(whole[name][4:], part[name], atol=1e-5, rtol=0)
    assert not torch.equal(whole["mask"], moved["mask"])
    assert not torch.equal(whole["view2"], moved["view2"])
    assert torch.equal(whole["view1"], moved["view1"])


def test_views_of_one_branch_only() -> None:
    batch = word_batch(2)
    assert set(GEN.views(config_of(GEN))(batch)) == {"view1", "mask", "target"}
    view = DIS.views(config_of(DIS))(batch)
    assert set(view) == {"view1", "view2", "mask"}
    assert not view["mask"].any()


# --- losses


def test_initial_losses() -> None:
    module, batch = built(DIG)
    loss = module.loss(batch)
    expected = 2 * 0.4 * math.log(4 * B)  # both directions
    assert loss["contrast"].item() == pytest.approx(expected, rel=0.05)
    near_zero = batch["target"].square().mean().item()
    assert 0.2 < near_zero < 0.35
    assert loss["pixel"].item() == pytest.approx(near_zero, rel=0.25)
    total = loss["pixel"] + 0.1 * loss["contrast"]
    assert loss["loss"].item() == pytest.approx(total.item())
    assert loss["accuracy"] < 0.2
    assert loss["feature_std"] > 0.1


@pytest.mark.parametrize("method", [GEN, DIS], ids=["gen", "dis"])
def test_single_branches(method: Method) -> None:
    module, batch = built(method)
    loss = module.loss(batch)
    if method is GEN:
        assert set(loss) == {"loss", "pixel", "feature_std"}
        assert isinstance(module.encoder.norm, nn.LayerNorm)
        assert loss["loss"] == loss["pixel"]
        assert all(parameter.requires_grad for parameter in module.parameters())
    else:
        assert set(loss) == {"loss", "contrast", "accuracy", "feature_std"}
        assert isinstance(module.encoder.norm, nn.Identity)
        assert loss["contrast"].item() == pytest.approx(0.8 * math.log(4 * B), rel=0.05)
        assert not hasattr(module, "pixel_decoder")


def test_no_final_norm_and_a_redrawn_stem_with_contrast() -> None:
    module, _ = built(DIG)
    assert isinstance(module.encoder.norm, nn.Identity)
    assert not module.encoder.patch_embed.bias.any()
    assert built(GEN)[0].encoder.patch_embed.bias.any()
    assert not [name for name in DIG.export(module) if name.startswith("encoder.norm")]
    assert "encoder.norm.weight" in GEN.export(built(GEN)[0])


def test_windows_are_quarters_of_the_columns() -> None:
    features = torch.randn(2, 8 * 32, 5)
    means = window_means(features, (8, 32), 4)
    assert means.shape == (2, 4, 5)
    grid = features.view(2, 8, 32, 5)
    torch.testing.assert_close(means[:, 1], grid[:, :, 8:16].mean((1, 2)))


def test_contrast_is_cross_entropy_over_every_window_with_factor_2t() -> None:
    queries, keys = torch.randn(12, 7), torch.randn(12, 7)
    loss, accuracy = info_nce(queries, keys, temperature=0.2)
    unit = [torch.nn.functional.normalize(rows, dim=1) for rows in (queries, keys)]
    chance = (unit[0] @ unit[1].T / 0.2).softmax(1)
    assert loss.item() == pytest.approx(-0.4 * chance.diag().log().mean().item(), rel=1e-5)
    assert accuracy.item() == pytest.approx(
        (chance.argmax(1) == torch.arange(12)).float().mean().item()
    )


def test_permutations() -> None:
    queries, keys = torch.randn(2, 12, 7)
    loss, _ = info_nce(queries, keys, temperature=0.2)
    images = torch.randperm(3)
    rows = (images[:, None] * 4 + torch.arange(4)).flatten()
    same, _ = info_nce(queries[rows], keys[rows], temperature=0.2)
    torch.testing.assert_close(loss, same)
    windows = torch.tensor([1, 0, 2, 3, *range(4, 12)])  # two windows of one image change places
    other, _ = info_nce(queries[windows], keys, temperature=0.2)
    assert abs(loss - other) > 1e-3


def test_reordering_the_images_of_a_batch_changes_nothing() -> None:
    module, batch = built(DIG)
    order = torch.randperm(B)
    one = module.loss(batch)
    other = module.loss({name: tensor[order] for name, tensor in batch.items()})
    for name in one:
        torch.testing.assert_close(one[name], other[name], atol=1e-4, rtol=1e-4)


def test_visible_pixels_cost_nothing() -> None:
    module, _ = built(GEN)
    words = word_batch(2)
    view = GEN.views(config_of(GEN))
    before = view(words)
    visible = ~before["mask"].view(2, 1, 4, 16)
    visible = visible.repeat_interleave(8, 2).repeat_interleave(8, 3)
    noise = torch.randint(0, 256, words.images.shape, dtype=torch.uint8)
    changed = view(words._replace(images=torch.where(visible, noise, words.images)))
    assert torch.equal(before["target"], changed["target"])
    assert not torch.equal(before["view1"], changed["view1"])
    # and what the network predicts there is not even computed
    seen: list[Tensor] = []
    module.pixel_decoder.register_forward_hook(lambda _, args, out: seen.append(out))
    module.loss(before)
    assert seen[0].shape == (2, int(before["mask"][0].sum()), 3 * 8 * 8)


# --- gradients


def grads(module: nn.Module) -> bool:
    return all(p.grad is not None and bool(p.grad.any()) for p in module.parameters())


def test_gradients_reach_what_they_should() -> None:
    module, batch = built(DIG)
    module.loss(batch)["loss"].backward()
    assert all(p.grad is None and not p.requires_grad for p in module.momentum.parameters())
    for name, parameter in module.named_parameters():
        if not name.startswith("momentum"):
            assert parameter.grad is not None, name
            assert parameter.grad.any(), name


def test_contrast_alone_reaches_encoder_and_heads() -> None:
    module, batch = built(DIG)
    module.loss(batch)["contrast"].backward()
    assert grads(module.projector)
    assert grads(module.predictor)
    assert grads(module.pix_projector)
    assert module.encoder.patch_embed.weight.grad.any()
    assert module.encoder.mask_token.grad.any()
    assert all(p.grad is None for p in module.pixel_decoder.parameters())


def test_pixels_alone_reach_the_mask_token_and_the_stem() -> None:
    module, batch = built(DIG)
    module.loss(batch)["pixel"].backward()
    assert module.encoder.mask_token.grad.any()
    assert module.encoder.patch_embed.weight.grad.any()
    assert grads(module.pixel_decoder)
    for head in (module.projector, module.predictor, module.pix_projector):
        assert all(p.grad is None for p in head.parameters())


def test_pixel_gradient_comes_from_hidden_tokens_of_view_1() -> None:
    module, batch = built(DIG)
    kept: list[Tensor] = []

    def keep(_: nn.Module, __: object, features: Tensor) -> None:
        features.retain_grad()
        kept.append(features)

    module.encoder.register_forward_hook(keep)
    module.loss(batch)["pixel"].backward()
    gradient = kept[0].grad
    assert gradient is not None
    assert torch.equal(gradient[:B].any(-1), batch["mask"])
    assert not gradient[B:].any()


def test_momentum_encoder_sees_the_same_mask() -> None:
    module, batch = built(DIG)
    calls: list[tuple[Tensor, Tensor]] = []
    for encoder in (module.encoder, module.momentum["encoder"]):
        encoder.register_forward_hook(lambda _, args, __: calls.append(args))
    module.loss(batch)
    (images, mask), (kept_images, kept_mask) = calls
    assert torch.equal(mask, kept_mask)
    assert torch.equal(images, kept_images)
    assert torch.equal(mask[:B], batch["mask"])
    assert not mask[B:].any()


def test_every_parameter_of_every_method_gets_a_gradient() -> None:
    # DistributedDataParallel refuses parameters that take no part; Dis must count its mask token.
    for method in (DIG, GEN, DIS):
        module, batch = built(method)
        module.loss(batch)["loss"].backward()
        missing = [n for n, p in module.named_parameters() if p.requires_grad and p.grad is None]
        assert missing == []


# --- momentum


def test_momentum_schedule() -> None:
    module, _ = built(DIG)
    assert [module.momentum_at(t) for t in (0.0, 0.5, 1.0)] == pytest.approx([0.99, 0.995, 1.0])


def test_momentum_arithmetic_and_what_it_covers() -> None:
    module, _ = built(DIG)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.fill_(1.0)
        for parameter in module.momentum.parameters():
            parameter.zero_()
    module.before_step(0.0)
    values = torch.cat([p.flatten() for p in module.momentum.parameters()])
    torch.testing.assert_close(values, torch.full_like(values, 0.01))
    assert set(module.momentum) == {"encoder", "pix_projector", "projector"}
    module.before_step(0.0)  # a second forward pass of the same optimiser step
    assert torch.equal(values, torch.cat([p.flatten() for p in module.momentum.parameters()]))
    module.before_step(1.0)
    assert torch.equal(values, torch.cat([p.flatten() for p in module.momentum.parameters()]))
    module.before_step(0.5)
    values = torch.cat([p.flatten() for p in module.momentum.parameters()])
    torch.testing.assert_close(values, torch.full_like(values, 0.01 + 0.005 * 0.99))


def test_copies_start_equal_and_batchnorm_buffers_are_their_own() -> None:
    module, batch = built(DIG)
    for name in ("encoder", "projector", "pix_projector"):
        pairs = zip(
            getattr(module, name).parameters(), module.momentum[name].parameters(), strict=True
        )
        assert all(torch.equal(a, b) for a, b in pairs)
    module.loss(batch)
    means = [m for n, m in module.momentum.named_buffers() if n.endswith("running_mean")]
    assert means
    assert all(mean.any() for mean in means)  # from its own batches, in training mode
    for mean in means:
        mean.fill_(7.0)
    module.before_step(0.0)
    assert all((mean == 7).all() for mean in means)


def test_heads_of_the_papers_wording() -> None:
    module, batch = built(DIG, heads="gelu-ln")
    assert not [m for m in module.modules() if isinstance(m, nn.BatchNorm1d)]
    assert module.loss(batch)["loss"].isfinite()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"contrast": False, "mim": False}, "nothing to learn"),
        ({"heads": "relu"}, "bn-relu"),
        ({"mask_ratio": 1.5}, "mask_ratio"),
        ({"size": "huge"}, "encoder size"),
        ({"width": 100}, "patches"),
    ],
)
def test_configs_that_cannot_be(changes: dict[str, object], message: str) -> None:
    with pytest.raises(StrbenchError, match=message):
        DIG.build(config_of(DIG, **changes))


# --- behaviour


def test_it_learns_a_fixed_batch() -> None:
    module, batch = built(DIG, n=8, projector_out=64)
    optimiser = torch.optim.AdamW([p for p in module.parameters() if p.requires_grad], lr=2e-3)
    first = module.loss(batch)
    for step in range(50):
        module.before_step(step / 50)
        loss = module.loss(batch)
        optimiser.zero_grad()
        loss["loss"].backward()
        optimiser.step()
    assert loss["accuracy"] > 0.9
    assert loss["accuracy"] > 4 * first["accuracy"]
    assert loss["pixel"] < 0.3 * first["pixel"]
    assert loss["feature_std"] > 0.05


def _keys_of_two_ranks(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2
    )
    queries, keys = _queries_and_keys()
    mine = slice(6 * rank, 6 * rank + 6)
    part = queries[mine].requires_grad_()
    loss, accuracy = info_nce(part, keys[mine], temperature=0.2)
    loss.backward()
    torch.save((loss.detach(), accuracy, part.grad), f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


def _queries_and_keys() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(5)
    queries, keys = torch.randn(2, 12, 7, generator=generator)
    return queries, queries + keys


def test_two_ranks_contrast_against_all_keys(tmp_path: Path) -> None:
    start: Callable[..., object] = multiprocessing.spawn
    start(_keys_of_two_ranks, args=(str(tmp_path),), nprocs=2)
    ranks = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2)]
    queries, keys = _queries_and_keys()
    queries.requires_grad_()
    loss, accuracy = info_nce(queries, keys, temperature=0.2)
    loss.backward()
    torch.testing.assert_close((ranks[0][0] + ranks[1][0]) / 2, loss.detach())
    torch.testing.assert_close((ranks[0][1] + ranks[1][1]) / 2, accuracy)
    # each rank's loss is a mean over half the queries, so its gradient is twice as large
    torch.testing.assert_close(torch.cat([r[2] for r in ranks]) / 2, queries.grad)
