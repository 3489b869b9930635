"""The ViT restorer and the ViT segmenter: counts, pixels, masks, what they take over, learning."""

from __future__ import annotations

from typing import Any, cast

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from strbench import registry
from strbench.baselines.parts.masking import patch_pixels
from strbench.baselines.parts.pixel_decoder import PixelViT, assembled
from strbench.baselines.segmentation.vit_segmenter import VIT_SEGMENTER
from strbench.baselines.superres.vit_restorer import VIT_RESTORER
from strbench.errors import StrbenchError
from strbench.masks import BACKGROUND, EFFECT, IGNORED, TEXT
from strbench.methods import Method, PairBatch, inherit
from strbench.settings import override

BOTH = (VIT_RESTORER, VIT_SEGMENTER)
both = pytest.mark.parametrize("method", BOTH, ids=[method.card.name for method in BOTH])
FEEDING = ("dig", "gen", "dis", "mae", "seqclr-vit", "persec")


def built(method: Method, *settings: str, recipe: str = "smoke") -> tuple[Any, PixelViT]:
    config = override(method.recipes[recipe], settings)
    torch.manual_seed(0)
    return config, cast(PixelViT, method.build(config))


def smooth(n: int = 4) -> Tensor:
    coarse = torch.rand(n, 3, 4, 12, generator=torch.Generator().manual_seed(1))
    return F.interpolate(coarse, (32, 128), mode="bicubic").clamp(0, 1)


def batch_of(method: Method, n: int = 4) -> PairBatch:
    high = smooth(n)
    if method is VIT_SEGMENTER:
        masks = (high.mean(1, keepdim=True) > 0.5).to(torch.uint8) * TEXT
        return PairBatch((high * 255).byte(), masks, torch.arange(n))
    low = F.interpolate(F.interpolate(high, (8, 32), mode="area"), (32, 128), mode="bicubic")
    return PairBatch((low.clamp(0, 1) * 255).byte(), (high * 255).byte(), torch.arange(n))


def all_paint(model: PixelViT, value: float) -> None:
    """Every pixel comes out as ``value``."""
    nn.init.zeros_(model.decoder.paint.weight)
    nn.init.constant_(model.decoder.paint.bias, value)


# --- networks


def test_numbers_of_parameters() -> None:
    with torch.device("meta"):
        _, model = built(VIT_RESTORER, recipe="paper")
        _, other = built(VIT_SEGMENTER, recipe="paper")
    learning = sum(p.numel() for p in model.parameters() if p.requires_grad)
    # the re-run's keys have biases, in 12 + 3 blocks of 384 channels
    assert learning == 26_655_792 - 15 * 384
    assert [n for n, p in model.named_parameters() if not p.requires_grad] == ["encoder.mask_token"]
    # two channels of 4 x 4 pixels less, each with 384 weights and a bias
    assert learning - sum(p.numel() for p in other.parameters() if p.requires_grad) == 32 * 385


@both
def test_paper_recipes_hold_the_re_run_s_values(method: Method) -> None:
    paper = method.recipes["paper"]
    assert (paper.size, paper.decoder_depth, paper.decoder_heads) == ("small", 3, 2)
    assert (paper.optimiser, paper.betas, paper.weight_decay) == ("adamw", (0.9, 0.95), 0.05)
    assert (paper.lr, paper.lr_batch, paper.min_lr) == (1e-4, 0, 0)
    warmup = 10 if method is VIT_SEGMENTER else 5
    assert (paper.batch_size, paper.epochs, paper.warmup_epochs) == (96, 100, warmup)


@both
@pytest.mark.parametrize("size", ["micro", "tiny"])
def test_the_result_is_as_large_as_the_image(method: Method, size: str) -> None:
    _, model = built(method, f"size={size}")
    with torch.no_grad():
        made = model.eval()(torch.randn(2, 3, 32, 128))
    assert made.shape == (2, 1 if method is VIT_SEGMENTER else 3, 32, 128)


def test_an_image_of_another_scale_is_refused() -> None:
    with pytest.raises(StrbenchError, match="shrink=2: expected 1"):
        built(VIT_RESTORER, "shrink=2")


@pytest.mark.parametrize("patch", [(4, 4), (8, 8), (2, 16)])
@pytest.mark.parametrize("channels", [1, 3])
def test_patches_are_put_together_as_they_were_cut(patch: tuple[int, int], channels: int) -> None:
    images = torch.randn(2, channels, 32, 128)
    rows = patch_pixels(images, patch)
    assert torch.equal(assembled(rows, (32 // patch[0], 128 // patch[1]), patch), images)


def test_a_patch_is_painted_where_it_is_seen() -> None:
    _, model = built(VIT_RESTORER)
    seen: list[Tensor] = []
    model.decoder.paint.register_forward_hook(lambda _, __, out: seen.append(out))
    made = model(torch.randn(1, 3, 32, 128))
    # 4 rows of 16 patches of 8 x 8: token 17 is the second patch of the second row
    pixels = seen[0][0, 17].view(8, 8, 3).permute(2, 0, 1)
    assert torch.equal(made[0, :, 8:16, 8:16], pixels)


@both
def test_layers_are_numbered_from_the_stem(method: Method) -> None:
    _, model = built(method)
    layers = {name: model.layer_of(name) for name, _ in model.named_parameters()}
    assert layers["encoder.patch_embed.weight"] == 0
    assert layers["encoder.blocks.0.norm1.weight"] == 1
    assert layers["encoder.blocks.3.norm1.weight"] == model.depth == 4
    assert {layers[name] for name in layers if name.startswith("decoder")} == {5}


# --- batches and losses


def test_pairs_enter_as_the_encoder_knows_images_and_leave_as_colours() -> None:
    config, _ = built(VIT_RESTORER)
    batch = batch_of(VIT_RESTORER)
    view = VIT_RESTORER.views(config)(batch)
    torch.testing.assert_close(view["images"], batch.inputs / 127.5 - 1)
    torch.testing.assert_close(view["targets"], batch.targets / 255)


def test_restorer_s_loss_by_hand() -> None:
    config, model = built(VIT_RESTORER)
    all_paint(model, 0.5)
    images = torch.zeros(2, 3, 32, 128, dtype=torch.uint8)
    targets = images.clone()
    targets[1] = 255
    view = VIT_RESTORER.views(config)(PairBatch(images, targets, torch.arange(2)))
    assert cast(Any, model).loss(view)["loss"].item() == pytest.approx(0.25)


def test_what_the_values_of_a_mask_mean() -> None:
    config, model = built(VIT_SEGMENTER)
    values = torch.tensor([BACKGROUND, TEXT, EFFECT, IGNORED], dtype=torch.uint8)
    masks = values.repeat(32, 32)[None, None]  # (1, 1, 32, 128), a quarter of each
    images = torch.zeros(1, 3, 32, 128, dtype=torch.uint8)
    view = VIT_SEGMENTER.views(config)(PairBatch(images, masks, torch.arange(1)))
    assert view["targets"][0, 0, 0, :4].tolist() == [0, 1, 0, 0]
    assert view["counted"][0, 0, 0, :4].tolist() == [True, True, True, False]
    all_paint(model, 0.25)
    # two thirds of the counted pixels are 0 and one third is 1
    wanted = (2 * 0.25**2 + 0.75**2) / 3
    assert cast(Any, model).loss(view)["loss"].item() == pytest.approx(wanted)


def test_a_mask_of_nothing_but_ignored_pixels_costs_nothing() -> None:
    config, model = built(VIT_SEGMENTER)
    masks = torch.full((2, 1, 32, 128), IGNORED, dtype=torch.uint8)
    batch = batch_of(VIT_SEGMENTER, 2)._replace(targets=masks)
    loss = cast(Any, model).loss(VIT_SEGMENTER.views(config)(batch))["loss"]
    loss.backward()
    assert loss.item() == 0


# --- answers


@pytest.mark.parametrize(("value", "wanted"), [(-1.0, 0.0), (0.3, 0.3), (2.0, 1.0)])
def test_a_segmenter_says_a_probability(value: float, wanted: float) -> None:
    config, model = built(VIT_SEGMENTER)
    all_paint(model, value)
    assert VIT_SEGMENTER.restorer is not None
    made = VIT_SEGMENTER.restorer(model.train(), config)(smooth(2))
    assert made.shape == (2, 1, 32, 128)
    assert model.training
    torch.testing.assert_close(made, torch.full_like(made, wanted))


def test_a_restorer_s_answer_is_not_clamped() -> None:
    config, model = built(VIT_RESTORER)
    assert VIT_RESTORER.restorer is not None
    restore = VIT_RESTORER.restorer(model.train(), config)
    images = smooth(2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        made = restore(images)
    assert made.dtype == torch.float32
    with torch.no_grad():
        assert torch.equal(made, model.eval()(images * 2 - 1))
    assert made.min() < 0


# --- taking over an encoder


@both
@pytest.mark.parametrize("name", FEEDING)
def test_an_encoder_is_taken_over_bit_by_bit(method: Method, name: str) -> None:
    parent = cast(Method, registry.load("methods", name))
    assert parent.feeds[-2:] == ("vit-restorer", "vit-segmenter")
    assert set(method.shape) <= set(parent.shape)
    recipe = parent.recipes["smoke"]
    torch.manual_seed(1)
    exported = parent.export(parent.build(recipe))
    _, model = built(method, f"size={recipe.size}", f"width={recipe.width}")
    assert method.fresh is not None
    fresh = inherit(model, {name: exported}, fresh=method.fresh)
    taken = model.state_dict()
    assert exported
    for key, tensor in exported.items():
        assert torch.equal(taken[key], tensor), key
    assert all(key.startswith(("decoder.", "encoder.norm.")) for key in fresh)
    assert {key for key in taken if key.startswith("decoder.")} <= set(fresh)


# --- learning


@both
def test_a_few_images_are_learnt_by_heart(method: Method) -> None:
    config, model = built(method)
    batch = method.views(config)(batch_of(method))
    optimiser = torch.optim.AdamW(
        [p for p in model.train().parameters() if p.requires_grad], lr=3e-3, weight_decay=0.0
    )
    losses = []
    for _ in range(120):
        loss = cast(Any, model).loss(batch)["loss"]
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 * losses[0], losses[::20]
