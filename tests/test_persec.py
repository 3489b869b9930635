"""PerSec-style pretraining: quantiser, contexts and contrast, both encoders, and what is handed on."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
import torch
from torch import Tensor, multiprocessing, nn

from strbench.baselines.parts import fourstage
from strbench.baselines.parts.perceiver import Perceiver, contrast
from strbench.baselines.parts.quantiser import ProductQuantiser, Quantised, diversity_loss
from strbench.baselines.parts.vit import ViT, size_named
from strbench.baselines.pretrain.persec import PERSEC, PERSEC_CNN, Config, PerSec, grids
from strbench.errors import StrbenchError
from strbench.methods import Method, WordBatch, inherit

BOTH = pytest.mark.parametrize("method", [PERSEC, PERSEC_CNN], ids=["vit", "cnn"])


def built(method: Method, *, seed: int = 0, **changes: object) -> PerSec:
    torch.manual_seed(seed)
    return cast(PerSec, method.build(replace(method.recipes["smoke"], **changes)))


def word_batch(method: Method, n: int = 12, *, seed: int = 0) -> WordBatch:
    config: Config = method.recipes["smoke"]
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(n, 3, 8, 25, generator=generator)
    images = nn.functional.interpolate(coarse, (config.height, config.width), mode="bilinear")
    return WordBatch(
        (images * 255).byte(), torch.full((n,), 4.0), [None] * n, torch.arange(n) + 100 * seed
    )


def viewed(method: Method, n: int = 12) -> dict[str, Tensor]:
    return method.views(method.recipes["smoke"])(word_batch(method, n))


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


# --- the quantiser


def quantiser() -> ProductQuantiser:
    torch.manual_seed(0)
    return ProductQuantiser(10, groups=2, codes=5, width=8)


def test_each_codebook_gives_one_entry() -> None:
    module = quantiser().eval()
    features = torch.randn(3, 4, 10)
    out = module(features, temperature=1.0)
    assert out.vectors.shape == (3, 4, 8)
    assert out.codes.shape == (3, 4, 2)
    assert out.chances.shape == (3, 4, 2, 5)
    torch.testing.assert_close(out.chances.sum(-1), torch.ones(3, 4, 2))
    assert torch.equal(out.codes, out.chances.argmax(-1))
    entries = [module.entries[group, out.codes[1, 2, group]] for group in range(2)]
    torch.testing.assert_close(out.vectors[1, 2], module.out(torch.cat(entries)))


def test_noise_draws_by_the_chances_while_training() -> None:
    module = quantiser().train()
    with torch.no_grad():
        module.choose.weight.mul_(0.2)
    feature = torch.randn(10)
    chances = module(feature, temperature=1.0).chances
    drawn = module(feature.expand(4000, 10), temperature=1.0).codes
    shares = nn.functional.one_hot(drawn, 5).float().mean(0)
    torch.testing.assert_close(shares, chances, atol=0.04, rtol=0)


def test_the_choice_passes_a_gradient_to_features_and_every_entry() -> None:
    module = quantiser().train()
    features = torch.randn(50, 10, requires_grad=True)
    module(features, temperature=2.0).vectors.square().sum().backward()
    assert features.grad is not None
    assert features.grad.any()
    assert module.choose.weight.grad is not None
    assert (module.choose.weight.grad.abs().sum(1) > 0).all()


def test_diversity_is_zero_when_all_codes_are_alike_and_large_when_one_is_used() -> None:
    codes = torch.arange(4)[:, None].expand(4, 2)
    even = Quantised(torch.zeros(4, 8), codes, torch.full((4, 2, 4), 0.25))
    idle, used = diversity_loss(even)
    assert idle.item() == pytest.approx(0, abs=1e-6)
    assert used.item() == pytest.approx(4)
    one = Quantised(
        torch.zeros(4, 8),
        torch.zeros(4, 2, dtype=torch.int64),
        nn.functional.one_hot(torch.zeros(4, 2, dtype=torch.int64), 4).float(),
    )
    idle, used = diversity_loss(one)
    assert idle.item() == pytest.approx(1 - 2 / 8)
    assert used.item() == pytest.approx(1)


def test_codebooks_must_share_the_width() -> None:
    with pytest.raises(ValueError, match="3 codebooks"):
        ProductQuantiser(10, groups=3, codes=5, width=8)


# --- the contrast


def some_elements(b: int = 3, length: int = 4) -> tuple[Tensor, Quantised]:
    generator = torch.Generator().manual_seed(1)
    contexts, vectors = torch.randn(2, b, length, 6, generator=generator)
    codes = torch.arange(b * length * 2).view(b, length, 2)  # no two alike
    return contexts, Quantised(vectors, codes, torch.zeros(b, length, 2, 30))


def test_contrast_against_its_definition() -> None:
    contexts, quantised = some_elements()
    losses, found = contrast(contexts, quantised, temperature=0.1)
    unit = [nn.functional.normalize(t, dim=-1) for t in (contexts, quantised.vectors)]
    for b in range(3):
        for i in range(4):
            candidates = [unit[1][b, i]]
            candidates += [unit[1][b, j] for j in range(4) if j != i]
            candidates += [unit[1][c, i] for c in range(3) if c != b]
            sims = torch.stack([unit[0][b, i] @ candidate for candidate in candidates])
            want = -(sims / 0.1).log_softmax(0)[0]
            torch.testing.assert_close(losses[b, i], want, atol=1e-4, rtol=1e-4)
            assert found[b, i] == (sims.argmax() == 0)


def test_elements_of_the_same_codes_are_no_distractors() -> None:
    contexts, quantised = some_elements()
    codes = quantised.codes.clone()
    codes[:] = 7
    losses, _ = contrast(contexts, quantised._replace(codes=codes), temperature=0.1)
    assert not losses.any()  # nothing is left to confuse it with
    codes = quantised.codes.clone()
    codes[0, 1] = codes[0, 0]
    fewer, _ = contrast(contexts, quantised._replace(codes=codes), temperature=0.1)
    before, _ = contrast(contexts, quantised, temperature=0.1)
    assert (fewer[0, :2] < before[0, :2]).all()
    torch.testing.assert_close(fewer[1:], before[1:])
    codes[0, 1, 1] += 1000  # half of the codes alike is not alike
    again, _ = contrast(contexts, quantised._replace(codes=codes), temperature=0.1)
    torch.testing.assert_close(again, before)


def _contrast_of_a_rank(number: int, folder: str) -> None:
    store = f"file://{folder}/store"
    torch.distributed.init_process_group("gloo", init_method=store, rank=number, world_size=2)
    rows = slice(6 * number, 6 * number + 6)
    module = _normalising()
    batch = {name: tensor[rows] for name, tensor in viewed(PERSEC).items()}
    loss = module.loss(batch)["loss"]
    loss.backward()
    torch.save((loss.detach(), *(p.grad for p in _watched(module))), Path(folder) / f"{number}.pt")
    torch.distributed.destroy_process_group()


def _normalising() -> PerSec:
    """Codes without noise, BatchNorm with the batch's own statistics."""
    module = built(PERSEC).eval()
    module.stroke.norm.train()
    module.semantic.norm.train()
    return module


def _watched(module: PerSec) -> list[nn.Parameter]:
    encoder = cast(ViT, module.encoder)
    return [
        module.stroke.quantiser.entries,
        module.stroke.quantiser.choose.bias,
        module.semantic.mask_token,
        cast(nn.Parameter, encoder.patch_embed.weight),
    ]


def test_two_ranks_have_the_loss_of_one_process(tmp_path: Path) -> None:
    start: Callable[..., object] = multiprocessing.spawn
    start(_contrast_of_a_rank, args=(str(tmp_path),), nprocs=2)
    shares = [torch.load(tmp_path / f"{number}.pt", weights_only=True) for number in range(2)]
    module = _normalising()
    loss = module.loss(viewed(PERSEC))["loss"]
    loss.backward()
    whole = (loss.detach(), *(p.grad for p in _watched(module)))
    for first, second, want in zip(*shares, whole, strict=True):
        torch.testing.assert_close((first + second) / 2, want, atol=1e-5, rtol=1e-4)


# --- the perceivers


def perceiver(grid: tuple[int, int] | None) -> Perceiver:
    torch.manual_seed(0)
    return Perceiver(10, count=40, grid=grid, width=16, groups=2, codes=5, depth=2, heads=2).eval()


@pytest.mark.parametrize("grid", [(4, 10), None], ids=["stroke", "semantic"])
def test_a_hidden_element_does_not_enter_contexts(grid: tuple[int, int] | None) -> None:
    module = perceiver(grid)
    elements = torch.randn(2, 40, 10)
    mask = torch.rand(2, 40) < 0.5
    before = module.context(elements, mask)
    changed = torch.where(mask[..., None], torch.randn(2, 40, 10), elements)
    assert torch.equal(before, module.context(changed, mask))
    assert not torch.equal(before, module.context(elements + 1, mask))


def test_strokes_have_a_neighbourhood_and_semantics_the_whole_word() -> None:
    elements = torch.randn(1, 40, 10)
    mask = torch.zeros(1, 40, dtype=torch.bool)
    changed = elements.clone()
    changed[0, 0] += 1  # row 0, column 0
    local, whole = perceiver((4, 10)), perceiver(None)
    moved = (local.context(changed, mask) - local.context(elements, mask)).abs().amax(-1) > 1e-7
    assert moved.view(4, 10)[:3, :3].all()  # two 3x3 convolutions reach two elements far
    assert moved.sum() == 9
    assert (whole.context(changed, mask) - whole.context(elements, mask)).abs().amax(-1).all()


# --- the methods


@BOTH
def test_recipes_build_and_cards_say_what_it_is(method: Method) -> None:
    for name, config in method.recipes.items():
        assert name in method.card.recipes
        with torch.device("meta"):
            module = cast(PerSec, method.build(config))
        if name == "paper":
            assert count(module) == method.card.parameters[config.size]
    assert "not a reproduction" in method.card.notes


def test_encoders_have_the_published_numbers_of_parameters() -> None:
    with torch.device("meta"):
        vit = cast(PerSec, PERSEC.build(PERSEC.recipes["paper"]))
        cnn = cast(PerSec, PERSEC_CNN.build(PERSEC_CNN.recipes["paper"]))
        gray = cast(PerSec, PERSEC_CNN.build(replace(PERSEC_CNN.recipes["paper"], channels=1)))
    assert count(vit.encoder) == 21_308_928  # as in DiG
    assert count(gray.encoder) == 44_263_904  # clovaai's ResNet
    assert count(cnn.encoder) == 44_263_904 + 2 * 9 * 32


@BOTH
def test_views(method: Method) -> None:
    config = method.recipes["smoke"]
    (rows, columns), frames = grids(config)
    words = word_batch(method)
    view = method.views(config)
    whole = view(words)
    torch.testing.assert_close(whole["images"], words.images / 255)
    assert whole["stroke_mask"].shape == (12, rows * columns)
    assert whole["semantic_mask"].shape == (12, frames)
    assert (whole["stroke_mask"].sum(1) == rows * columns // 2).all()
    hidden = whole["semantic_mask"].float().mean()
    assert hidden.item() == pytest.approx(0.5, abs=0.12)
    part = view(WordBatch(*(field[5:] for field in words)))
    for name, tensor in whole.items():
        assert torch.equal(tensor[5:], part[name]), name
    other = view(words._replace(seeds=words.seeds + 50))
    assert not torch.equal(other["stroke_mask"], whole["stroke_mask"])
    assert not torch.equal(other["semantic_mask"], whole["semantic_mask"])


def test_neighbouring_columns_are_hidden_together() -> None:
    mask = viewed(PERSEC)["semantic_mask"]  # 16 columns in runs of two
    assert torch.equal(mask[:, ::2], mask[:, 1::2])
    assert (mask.sum(1) == 8).all()


@BOTH
@pytest.mark.parametrize("low", [1, 2, 3, 4])
def test_elements_are_where_they_are_said_to_be(method: Method, low: int) -> None:
    module = built(method, low=low).eval()
    (rows, columns), frames = grids(module.config)
    strokes, semantics = module.features(
        torch.rand(2, 3, module.config.height, module.config.width)
    )
    assert strokes.shape[:2] == (2, rows * columns)
    assert semantics.shape[:2] == (2, frames)


def test_high_level_features_are_the_recognizers() -> None:
    module = built(PERSEC).eval()
    images = torch.rand(2, 3, 32, 128)
    encoder = cast(ViT, module.encoder)
    columns = encoder(images * 2 - 1).view(2, 4, 16, -1).mean(1)
    torch.testing.assert_close(module.features(images)[1], columns)
    cnn = built(PERSEC_CNN).eval()
    images = torch.rand(2, 3, 32, 100)
    features = cast(fourstage.Encoder, cnn.encoder)(images * 2 - 1)
    torch.testing.assert_close(cnn.features(images)[1], features)


@BOTH
@pytest.mark.parametrize("low", [0, 6])
def test_levels_that_do_not_exist(method: Method, low: int) -> None:
    with pytest.raises(StrbenchError, match=f"low={low}"):
        method.build(replace(method.recipes["smoke"], low=low))


def test_unknown_encoder() -> None:
    with pytest.raises(StrbenchError, match="cnn"):
        PERSEC.build(Config(encoder="resnet"))  # type: ignore[arg-type]


@BOTH
def test_initial_loss_is_that_of_guessing_among_the_distractors(method: Method) -> None:
    module = built(method, codes=320, latent=256).train()
    loss = module.loss(viewed(method, 24))
    (rows, columns), frames = grids(module.config)
    for name, elements in (("stroke", rows * columns), ("semantic", frames)):
        # logits of random directions vary by 10 / sqrt(256); elements of equal codes are left out
        guess = math.log(elements + 23)
        assert guess - 0.7 < loss[name].item() < guess + 1.2
        assert loss[f"{name}_accuracy"] < 0.2
        assert 1 < loss[f"{name}_codes"] <= 320
    total = sum(loss[name].item() for name in ("stroke", "semantic"))
    assert 0 < loss["loss"].item() - total < 2 * module.config.diversity_weight


@BOTH
def test_every_trainable_parameter_gets_a_gradient(method: Method) -> None:
    module = built(method).train()
    module.loss(viewed(method))["loss"].backward()
    missing = [n for n, p in module.named_parameters() if p.requires_grad and p.grad is None]
    assert missing == []
    frozen = [n for n, p in module.named_parameters() if not p.requires_grad]
    assert frozen == (["encoder.mask_token"] if method is PERSEC else [])
    for level in (module.stroke, module.semantic):
        for parameter in (level.mask_token, level.quantiser.entries, level.enter.weight):
            assert parameter.grad is not None
            assert parameter.grad.any()


def test_strokes_train_the_early_blocks_alone() -> None:
    module = built(PERSEC, semantic_weight=0.0).train()
    module.loss(viewed(PERSEC))["loss"].backward()
    moved = {n for n, p in module.encoder.named_parameters() if p.grad is not None and p.grad.any()}
    assert any(name.startswith("blocks.0.") for name in moved)
    assert not any(name.startswith(("blocks.1.", "norm.")) for name in moved)


@BOTH
def test_the_order_of_a_batch_changes_nothing(method: Method) -> None:
    module = built(method).eval()
    batch = viewed(method)
    order = torch.randperm(12)
    mixed = {name: tensor[order] for name, tensor in batch.items()}
    one, other = module.loss(batch), module.loss(mixed)
    for name in one:
        torch.testing.assert_close(one[name], other[name], atol=1e-4, rtol=1e-4)


def test_the_choice_gets_harder_in_the_course_of_training() -> None:
    module = built(PERSEC)
    seen = []
    for progress in (0.0, 0.5, 1.0):
        module.before_step(progress)
        seen.append(module.gumbel)
    assert seen == pytest.approx([2.0, 1.0, 0.5])


@BOTH
def test_it_learns_to_tell_elements_from_others(method: Method) -> None:
    module = built(method).train()
    batch = viewed(method, 8)
    optimiser = torch.optim.AdamW(module.parameters(), lr=2e-3)
    torch.manual_seed(0)
    first = module.loss(batch)
    for step in range(40):
        module.before_step(step / 40)
        loss = module.loss(batch)
        optimiser.zero_grad()
        loss["loss"].backward()
        optimiser.step()
    for name in ("stroke", "semantic"):
        assert loss[name] < 0.8 * first[name], name
        assert loss[f"{name}_codes"] > 4, name
    assert loss["feature_std"] > 0.05


# --- handing on


def test_a_vit_is_handed_on() -> None:
    module = built(PERSEC)
    child = nn.Module()
    child.encoder = ViT(size_named("micro"), height=32, width=128)
    assert inherit(child, {"persec": PERSEC.export(module)}, fresh=()) == []
    images = torch.randn(2, 3, 32, 128)
    assert torch.equal(child.encoder(images), cast(ViT, module.encoder)(images))


def test_a_resnet_is_handed_on_and_the_other_stages_are_fresh() -> None:
    module = built(PERSEC_CNN).train()
    module.loss(viewed(PERSEC_CNN))  # moves BatchNorm's statistics
    child = nn.Module()
    child.encoder = fourstage.Encoder(
        "micro", transform="tps", features="resnet", sequence="bilstm", channels=3
    )
    fresh = inherit(
        child,
        {"persec": PERSEC_CNN.export(module)},
        fresh=("encoder.transform.", "encoder.sequence."),
    )
    assert {name.split(".")[1] for name in fresh} == {"transform", "sequence"}
    images = torch.randn(2, 3, 32, 100)
    features = cast(fourstage.Encoder, module.encoder).features.eval()
    assert torch.equal(child.encoder.features.eval()(images), features(images))
