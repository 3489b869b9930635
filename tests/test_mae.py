"""MAE: what the encoder sees, what is predicted, counts and initial losses, and what is handed on."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import cast

import pytest
import torch
from torch import Tensor, nn

from strbench.baselines.parts.masking import masked_rows
from strbench.baselines.parts.vit import SIZES, ViT, size_named
from strbench.baselines.pretrain.mae import MAE, Config, MaskedAutoencoder, normalised
from strbench.errors import StrbenchError
from strbench.methods import WordBatch, inherit

SMOKE: Config = MAE.recipes["smoke"]


def built(config: Config = SMOKE, *, seed: int = 0) -> MaskedAutoencoder:
    torch.manual_seed(seed)
    return cast(MaskedAutoencoder, MAE.build(config))


def word_batch(n: int = 6, *, seed: int = 0) -> WordBatch:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (n, 3, 32, 128), generator=generator, dtype=torch.uint8)
    return WordBatch(images, torch.full((n,), 4.0), [None] * n, torch.arange(n) + 100 * seed)


def count(module: nn.Module, *, trainable: bool = False) -> int:
    return sum(p.numel() for p in module.parameters() if p.requires_grad or not trainable)


# --- networks


@pytest.mark.parametrize(
    ("size", "total", "official"),
    [("small", 46_747_184, 46_755_888), ("base768", 110_720_048, 110_733_360)],
)
def test_numbers_of_parameters(size: str, total: int, official: int) -> None:
    if size not in SIZES:
        pytest.skip(f"parts.vit has no {size}")
    with torch.device("meta"):
        module = built(replace(MAE.recipes["paper"], size=size))
    assert count(module) == total == MAE.card.parameters[size]
    dim = size_named(size).dim
    # the official model has a class token, and biases for the keys of 12 + 8 blocks
    assert official - count(module, trainable=True) == dim + 12 * dim + 8 * 512


def test_paper_recipe_holds_the_official_values() -> None:
    paper = MAE.recipes["paper"]
    assert paper.lr * paper.batch_size / paper.lr_batch == pytest.approx(6e-4)
    assert (paper.epochs, paper.warmup_epochs, paper.min_lr) == (20, 2, 0)
    assert (paper.weight_decay, paper.betas, paper.mask_ratio) == (0.05, (0.9, 0.95), 0.75)
    assert (paper.decoder_dim, paper.decoder_depth, paper.decoder_heads) == (512, 8, 16)
    assert paper.normalise_patches


@pytest.mark.parametrize("recipe", MAE.recipes)
def test_recipes_build(recipe: str) -> None:
    with torch.device("meta"):
        assert count(MAE.build(MAE.recipes[recipe])) > 0
    assert recipe in MAE.card.recipes


def test_shapes_at_the_published_size() -> None:
    config = replace(MAE.recipes["paper"], size="tiny", decoder_depth=1)
    view = MAE.views(config)(word_batch(2))
    assert view["mask"].sum(1).tolist() == [192, 192]
    assert view["target"].shape == (2, 192, 48)
    module = built(config)
    features = module.encode(view["images"], view["mask"])
    assert features.shape == (2, 64, 192)
    assert module.decode(features, view["mask"]).shape == (2, 256, 48)


@pytest.mark.parametrize("ratio", [0.0, 0.001, 1.0])
def test_something_is_hidden_and_something_seen(ratio: float) -> None:
    with pytest.raises(StrbenchError, match="mask_ratio"):
        MAE.build(replace(SMOKE, mask_ratio=ratio))


# --- views


def test_targets_are_hidden_patches_normalised_one_by_one() -> None:
    words = word_batch(2)
    view = MAE.views(SMOKE)(words)
    torch.testing.assert_close(view["images"], words.images / 127.5 - 1)
    first = int(view["mask"][1].nonzero()[0])
    row, column = divmod(first, 16)
    block = words.images[1, :, 8 * row : 8 * row + 8, 8 * column : 8 * column + 8]
    pixels = block.permute(1, 2, 0).flatten() / 127.5 - 1
    wanted = (pixels - pixels.mean()) / pixels.var().add(1e-6).sqrt()
    torch.testing.assert_close(view["target"][1, 0], wanted, atol=1e-5, rtol=1e-5)
    raw = MAE.views(replace(SMOKE, normalise_patches=False))(words)
    torch.testing.assert_close(raw["target"][1, 0], pixels)


def test_flat_patches_become_zeros() -> None:
    assert not normalised(torch.full((2, 48), 0.7)).abs().gt(1e-3).any()


def test_views_depend_on_the_seeds_alone() -> None:
    words = word_batch()
    view = MAE.views(SMOKE)
    whole = view(words)
    part = view(WordBatch(*(field[4:] for field in words)))
    for name, tensor in whole.items():
        assert torch.equal(tensor[4:], part[name]), name
    other = view(words._replace(seeds=words.seeds + 50))
    assert not torch.equal(other["mask"], whole["mask"])
    assert torch.equal(other["images"], whole["images"])


# --- the network and its loss


@pytest.mark.parametrize("size", ["micro", "small"])
def test_initial_loss_is_the_variance_of_target_and_prediction(size: str) -> None:
    config = replace(SMOKE if size == "micro" else MAE.recipes["paper"], size=size)
    module = built(config)
    batch = MAE.views(config)(word_batch(4 if size == "micro" else 1))
    pixels = batch["target"].shape[-1]
    # unit variance by n - 1, and unit features times Xavier's 2 / (in + out)
    expected = (pixels - 1) / pixels + 2 * config.decoder_dim / (config.decoder_dim + pixels)
    assert module.loss(batch)["loss"].item() == pytest.approx(expected, rel=0.12)


def test_hidden_pixels_do_not_enter_and_visible_ones_are_not_asked_for() -> None:
    module = built()
    words = word_batch(2)
    before = MAE.views(SMOKE)(words)
    hidden = before["mask"].view(2, 1, 4, 16).repeat_interleave(8, 2).repeat_interleave(8, 3)
    noise = torch.randint(0, 256, words.images.shape, dtype=torch.uint8)
    other = words._replace(images=torch.where(hidden, noise, words.images))
    after = MAE.views(SMOKE)(other)
    features = module.encode(before["images"], before["mask"])
    assert features.shape == (2, 16, 64)
    assert torch.equal(features, module.encode(after["images"], after["mask"]))
    assert not torch.equal(before["target"], after["target"])
    seen = words._replace(images=torch.where(hidden, words.images, noise))
    assert torch.equal(before["target"], MAE.views(SMOKE)(seen)["target"])


def test_with_nothing_hidden_the_encoder_is_the_recognizers() -> None:
    module = built()
    images = torch.randn(2, 3, 32, 128)
    nothing = torch.zeros(2, 64, dtype=torch.bool)
    torch.testing.assert_close(module.encode(images, nothing), module.encoder(images))


def test_features_return_to_their_places() -> None:
    module = built()
    mask = MAE.views(SMOKE)(word_batch(3))["mask"]
    entered: list[Tensor] = []
    module.blocks.register_forward_pre_hook(lambda _, args: entered.append(args[0]))
    features = torch.randn(3, 16, 64)
    module.decode(features, mask)
    tokens = entered[0] - module.positions
    torch.testing.assert_close(
        masked_rows(tokens, ~mask), module.narrow(features), atol=1e-5, rtol=1e-5
    )
    hidden = masked_rows(tokens, mask)
    torch.testing.assert_close(hidden, module.mask_token.expand_as(hidden), atol=1e-5, rtol=1e-5)


def test_every_trainable_parameter_gets_a_gradient() -> None:
    module = built()
    module.loss(MAE.views(SMOKE)(word_batch()))["loss"].backward()
    assert [
        name for name, p in module.named_parameters() if p.requires_grad and p.grad is None
    ] == []
    assert module.encoder.patch_embed.weight.grad is not None
    assert module.encoder.patch_embed.weight.grad.any()
    frozen = [name for name, p in module.named_parameters() if not p.requires_grad]
    assert frozen == ["encoder.mask_token"]
    assert not module.encoder.mask_token.any()


def test_the_order_of_a_batch_changes_nothing() -> None:
    module = built()
    batch = MAE.views(SMOKE)(word_batch())
    order = torch.randperm(6)
    mixed = {name: tensor[order] for name, tensor in batch.items()}
    for name, value in module.loss(batch).items():
        torch.testing.assert_close(value, module.loss(mixed)[name])


def test_it_learns_to_paint() -> None:
    module = built().train()
    coarse = torch.rand(4, 3, 4, 16, generator=torch.Generator().manual_seed(1))
    images = nn.functional.interpolate(coarse, (32, 128), mode="bicubic").clamp(0, 1)
    words = word_batch(4)._replace(images=(images * 255).byte())
    batch = MAE.views(SMOKE)(words)
    optimiser = torch.optim.AdamW(module.parameters(), lr=3e-3)
    for _ in range(150):
        loss = module.loss(batch)
        optimiser.zero_grad()
        loss["loss"].backward()
        optimiser.step()
    assert loss["loss"] < 0.6
    assert loss["feature_std"] > 0.05
    assert math.isfinite(loss["loss"].item())


# --- handing on


def test_what_is_kept_is_a_whole_encoder() -> None:
    class Reader(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = ViT(size_named("micro"), height=32, width=128)
            self.decoder = nn.Linear(64, 37)

    module = built()
    child = Reader()
    tensors = MAE.export(module)
    fresh = inherit(child, {"mae": tensors}, fresh=("decoder.",))
    assert fresh == ["decoder.weight", "decoder.bias"]
    images = torch.randn(2, 3, 32, 128)
    assert torch.equal(child.encoder(images), module.encoder(images))
