"""The ViT-CTC recognizer: counts, labels, loss, layer decay, freezing, loading and reading."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from strbench import registry
from strbench.baselines.pretrain.dig import DIG, DIS, GEN
from strbench.baselines.recognition.vit_ctc import MAX_LABEL, VIT_CTC, Config, ViTCTC
from strbench.errors import StrbenchError
from strbench.methods import Method, WordBatch, inherit
from strbench.optim import optimiser
from strbench.text import CHARSETS

SMOKE: Config = VIT_CTC.recipes["smoke"]


def word_batch(labels: list[str | None], *, seed: int = 0) -> WordBatch:
    n = len(labels)
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (n, 3, 32, 128), generator=generator, dtype=torch.uint8)
    return WordBatch(images, torch.full((n,), 4.0), labels, torch.arange(n))


def built(config: Config = SMOKE, *, seed: int = 0) -> ViTCTC:
    torch.manual_seed(seed)
    module = VIT_CTC.build(config)
    assert isinstance(module, ViTCTC)
    return module


def views(labels: list[str | None], config: Config = SMOKE) -> dict[str, Tensor]:
    return VIT_CTC.views(config)(word_batch(labels))


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(
    ("size", "total", "encoder"),
    [
        ("tiny", 5_496_162, 5_346_048),
        ("small", 21_557_346, 21_308_928),
        ("base", 38_163_042, 37_849_088),
    ],
)
def test_published_numbers_of_parameters(size: str, total: int, encoder: int) -> None:
    method = registry.load("models", "vit-ctc")
    with torch.device("meta"):
        module = method.build(Config(size=size))
    assert (count(module), count(module.encoder)) == (total, encoder)
    assert method.card.parameters[size] == total


def test_logits_at_the_published_size() -> None:
    module = built(Config(size="tiny"))
    assert module.decoder.blank == 97
    assert module.silent == (94, 95, 96)
    assert module.eval()(torch.zeros(2, 3, 32, 128)).shape == (2, 32, 98)


def test_logits_are_float32_under_autocast() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        assert built()(torch.zeros(2, 3, 32, 128)).dtype == torch.float32


@pytest.mark.parametrize(
    ("size", "charset", "shape"),
    [("micro", "36", (2, 16, 37)), ("mini", "36", (2, 16, 37)), ("micro", "94", (2, 16, 98))],
)
def test_logits_of_our_own_sizes(size: str, charset: str, shape: tuple[int, ...]) -> None:
    module = built(replace(SMOKE, size=size, charset=charset))
    assert module(torch.zeros(2, 3, 32, 128)).shape == shape


def test_paper_recipe_holds_the_released_values() -> None:
    paper = VIT_CTC.recipes["paper"]
    assert paper.lr * paper.batch_size / paper.lr_batch == pytest.approx(8e-4)
    assert (paper.dropout, paper.attention_dropout, paper.drop_path) == (0.1, 0.1, 0.1)
    assert (paper.layer_decay, paper.weight_decay, paper.min_lr) == (0.75, 0.05, 1e-6)
    assert (paper.epochs, paper.warmup_epochs) == (10.0, 1.0)
    assert paper.augmentation == "abinet-cv"


def test_recipes_build_and_the_card_is_complete() -> None:
    assert set(VIT_CTC.card.recipes) == set(VIT_CTC.recipes) >= {"paper", "small", "smoke"}
    assert VIT_CTC.card.charset in CHARSETS
    assert VIT_CTC.needs_labels
    with torch.device("meta"):
        for config in VIT_CTC.recipes.values():
            VIT_CTC.build(config)


# --- labels


def test_labels_are_brought_to_the_charset() -> None:
    batch = views(["Ab-9", "ab9", "\u212aelvin"])
    assert batch["lengths"].tolist() == [3, 3, 5]  # the Kelvin sign is no k
    assert batch["targets"][0, :3].tolist() == CHARSETS["36"].encode("ab9")
    assert torch.equal(batch["targets"][0], batch["targets"][1])
    full = views(["Ab-9é"], replace(SMOKE, charset="94"))
    assert full["targets"][0, :4].tolist() == CHARSETS["94"].encode("Ab-9")
    assert full["lengths"].tolist() == [4]


@pytest.mark.parametrize(
    ("label", "usable"),
    [
        (None, False),
        ("", False),
        ("---", False),
        ("a" * 8, True),  # 8 letters and 7 blanks between them fit 16 frames
        ("a" * 9, False),
        ("ab" * 8, True),
        ("ab" * 8 + "a", False),
    ],
)
def test_words_that_16_frames_cannot_spell_are_unusable(label: str | None, usable: bool) -> None:
    batch = views([label])
    assert batch["usable"].tolist() == [usable]
    assert (batch["lengths"] > 0).tolist() == [usable]


def test_words_of_24_characters_are_unusable() -> None:
    wide = replace(SMOKE, size="tiny")
    batch = views(["ab" * 12, "ab" * 11 + "c"], wide)
    assert batch["usable"].tolist() == [False, True]
    assert batch["lengths"].tolist() == [0, MAX_LABEL]


def test_unusable_words_are_counted_and_cost_nothing() -> None:
    module = built()
    batch = views(["word", "x" * 20, "", "two"])
    loss = module.loss(batch)
    assert loss["unusable"] == 0.5
    alone = module.loss({name: tensor[[0, 3]] for name, tensor in batch.items()})
    torch.testing.assert_close(loss["loss"], alone["loss"] / 2)
    module.loss({name: tensor[[1, 2]] for name, tensor in batch.items()})["loss"].backward()
    assert all(p.grad is not None and not p.grad.any() for p in module.parameters())


def test_loss_is_linear_in_the_parts_of_a_batch() -> None:
    # what gradient accumulation and several ranks rely on, unusable words included
    module = built()
    batch = views(["one", "", "three", "four"])
    halves = [{name: t[i : i + 2] for name, t in batch.items()} for i in (0, 2)]
    mean = sum(module.loss(half)["loss"] for half in halves) / 2
    torch.testing.assert_close(module.loss(batch)["loss"], mean)


def test_loss_at_flat_logits_is_the_number_of_paths() -> None:
    module = built()
    nn.init.zeros_(module.decoder.classifier.weight)
    # a single letter in 16 frames: runs of any length at any place, 16 * 17 / 2 of 37^16 paths
    loss = module.loss(views(["a"]))["loss"].item()
    assert loss == pytest.approx(16 * math.log(37) - math.log(136), rel=1e-5)


# --- optimisation


def test_layer_decay_groups() -> None:
    with torch.device("meta"):
        module = VIT_CTC.build(Config(size="small"))
    scale = {
        n: 0.75 ** (module.depth + 1 - module.layer_of(n)) for n, _ in module.named_parameters()
    }
    assert scale["encoder.patch_embed.weight"] == pytest.approx(0.0238, abs=1e-4)
    assert scale["encoder.mask_token"] == 0.75**13
    for block in range(12):
        assert scale[f"encoder.blocks.{block}.norm1.weight"] == 0.75 ** (12 - block)
    for name in ("encoder.norm.weight", "decoder.bridge.weight", "decoder.classifier.bias"):
        assert scale[name] == 1.0


def trained(module: ViTCTC, config: Config, *, steps: int = 2) -> set[str]:
    """The names of the tensors that training moves."""
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    batch = views(["word", "two"])
    stepper = optimiser(config, module, peak=1e-2)
    for _ in range(steps):
        stepper.zero_grad()
        module.loss(batch)["loss"].backward()
        stepper.step()
    return {n for n, t in module.state_dict().items() if not torch.equal(t, before[n])}


@pytest.mark.parametrize("layers", [1, 3, 5])
def test_frozen_encoder_keeps_norm_and_mask_token(layers: int) -> None:
    config = replace(SMOKE, freeze=layers, dropout=0.5, weight_decay=0.0)
    module = built(config).train()
    images = views(["word", "two"])["images"]
    assert not torch.equal(module(images), module(images))  # dropout stays on
    free = [f"encoder.blocks.{i}." for i in range(layers - 1, 4)] + ["encoder.norm.", "decoder."]
    names = {n for n in module.state_dict() if n.startswith(tuple(free))}
    assert trained(module, config) == names
    assert module.encoder.mask_token.requires_grad


def test_a_probe_changes_nothing_in_the_encoder() -> None:
    config = replace(
        SMOKE, probe=True, dropout=0.5, attention_dropout=0.5, drop_path=0.5, weight_decay=0.5
    )
    module = built(config).train()
    assert module.training
    assert module.decoder.training
    assert not any(part.training for part in module.encoder.modules())
    images = views(["word", "two"])["images"]
    assert torch.equal(module(images), module(images))  # no dropout anywhere
    assert trained(module, config) == {n for n in module.state_dict() if n.startswith("decoder.")}
    assert all(p.grad is None for p in module.encoder.parameters())
    assert all(p.grad is not None for p in module.decoder.parameters())
    assert VIT_CTC.reader is not None
    VIT_CTC.reader(module, config)(images)
    assert module.training
    assert not module.encoder.training
    assert not module.eval().training


def test_every_trainable_parameter_gets_a_gradient() -> None:
    module = built()
    module.loss(views(["word"]))["loss"].backward()
    assert [n for n, p in module.named_parameters() if p.grad is None] == []


# --- loading


@pytest.mark.parametrize("method", [DIG, GEN, DIS], ids=lambda method: method.card.name)
def test_pretrained_encoders_fit(method: Method) -> None:
    source = method.build(method.recipes["smoke"])
    tensors = method.export(source)
    module = built()
    norm = module.encoder.norm
    assert isinstance(norm, nn.LayerNorm)
    nn.init.constant_(norm.bias, 3.0)
    assert VIT_CTC.fresh is not None
    fresh = inherit(module, {"parent": tensors}, fresh=VIT_CTC.fresh)
    norms = {"encoder.norm.weight", "encoder.norm.bias"}
    heads = {f"decoder.{name}" for name in module.decoder.state_dict()}
    assert set(fresh) == (heads if method is GEN else heads | norms)
    assert (norm.bias == 3).all() == (method is not GEN)
    taken = module.state_dict()
    assert tensors
    assert all(torch.equal(taken[name], tensor) for name, tensor in tensors.items())


def test_encoders_of_another_shape_are_refused() -> None:
    tensors = DIG.export(DIG.build(DIG.recipes["smoke"]))
    module = built()
    before = module.encoder.patch_embed.weight.clone()
    assert VIT_CTC.fresh is not None
    short = {name: t for name, t in tensors.items() if name != "encoder.blocks.1.norm1.bias"}
    for wrong, named in (
        (short, r"encoder\.blocks\.1\.norm1\.bias"),
        ({**tensors, "head": torch.zeros(2)}, "head"),
        ({**tensors, "encoder.patch_embed.weight": torch.zeros(64, 3, 4, 4)}, "patch_embed"),
    ):
        with pytest.raises(StrbenchError, match=named):
            inherit(module, {"parent": wrong}, fresh=VIT_CTC.fresh)
    assert torch.equal(module.encoder.patch_embed.weight, before)


def test_export_holds_every_parameter() -> None:
    module, other = built(), built(seed=1)
    other.load_state_dict(VIT_CTC.export(module))
    images = torch.randn(2, 3, 32, 128)
    assert torch.equal(module(images), other(images))


@pytest.mark.parametrize("changes", [{"charset": "95"}, {"freeze": 9}, {"size": "large"}])
def test_configs_that_cannot_be_built(changes: dict[str, object]) -> None:
    with pytest.raises(StrbenchError):
        VIT_CTC.build(replace(SMOKE, **changes))


def test_unknown_augmentation() -> None:
    with pytest.raises(StrbenchError, match="abinet-cv"):
        VIT_CTC.views(replace(SMOKE, augmentation="abinet"))  # type: ignore[arg-type]


# --- behaviour


def test_it_overfits_16_words_and_reads_them_back() -> None:
    labels = [
        "see",
        "the",
        "quick",
        "Brown",
        "fox",
        "jump",
        "over",
        "12",
        "lazy",
        "dogs",
        "book",
        "too",
        "77",
        "hello",
        "a",
        "programs",
    ]
    assert len(labels) == 16
    module = built().train()
    batch = views(labels)
    optimiser = torch.optim.AdamW(module.parameters(), lr=2e-3, weight_decay=0.0)
    for _ in range(250):
        loss = module.loss(batch)
        optimiser.zero_grad()
        loss["loss"].backward()
        optimiser.step()
        if loss["accuracy"] == 1 and loss["loss"] < 0.5:
            break
    assert VIT_CTC.reader is not None
    read = VIT_CTC.reader(module, SMOKE)
    images = word_batch(labels).images / 255
    readings = read(images)
    assert [text for text, _ in readings] == [label.lower() for label in labels]
    assert all(0 < confidence <= 1 for _, confidence in readings)
    assert sum(confidence for _, confidence in readings) / 16 > 0.5
    assert module.training  # handed back as it was
    alone = [read(image[None])[0] for image in images[:3]]
    assert [text for text, _ in alone] == [text for text, _ in readings[:3]]


def test_special_outputs_are_never_read() -> None:
    config = replace(SMOKE, charset="94")
    module = built(config)
    with torch.no_grad():
        module.decoder.classifier.bias[94:97] = 50.0
    assert VIT_CTC.reader is not None
    for text, confidence in VIT_CTC.reader(module, config)(torch.rand(4, 3, 32, 128)):
        assert set(text) <= set(CHARSETS["94"].characters)
        assert confidence < 1e-6


def test_reading_ignores_dropout() -> None:
    config = replace(SMOKE, dropout=0.5, drop_path=0.5)
    module = built(config).train()
    assert VIT_CTC.reader is not None
    read = VIT_CTC.reader(module, config)
    images = torch.rand(3, 3, 32, 128)
    assert read(images) == read(images)
