"""The Conv-CTC recognizer: counts, labels, loss, views, export and reading."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from strbench import registry
from strbench.baselines.recognition.conv_ctc import (
    CONV_CTC,
    MAX_LABEL,
    SIZES,
    Config,
    ConvCTC,
    photographed,
)
from strbench.errors import StrbenchError
from strbench.methods import WordBatch
from strbench.text import CHARSETS

SMOKE: Config = CONV_CTC.recipes["smoke"]


def word_batch(labels: list[str | None], *, seed: int = 0) -> WordBatch:
    n = len(labels)
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (n, 3, 32, 128), generator=generator, dtype=torch.uint8)
    return WordBatch(images, torch.full((n,), 4.0), labels, torch.arange(n))


def built(config: Config = SMOKE, *, seed: int = 0) -> ConvCTC:
    torch.manual_seed(seed)
    module = CONV_CTC.build(config)
    assert isinstance(module, ConvCTC)
    return module


def views(labels: list[str | None], config: Config = SMOKE) -> dict[str, Tensor]:
    return CONV_CTC.views(config)(word_batch(labels))


@pytest.mark.parametrize("size", SIZES)
def test_the_card_states_the_number_of_parameters(size: str) -> None:
    method = registry.load("models", "conv-ctc")
    with torch.device("meta"):
        module = method.build(Config(size=size))
    assert sum(p.numel() for p in module.parameters()) == method.card.parameters[size]


def test_the_default_fits_16_megabytes_in_half_precision() -> None:
    tensors = CONV_CTC.export(built(CONV_CTC.recipes["full"]))
    assert sum(2 * tensor.numel() for tensor in tensors.values()) < 16e6


@pytest.mark.parametrize("size", ["micro", "small"])
def test_logits(size: str) -> None:
    module = built(replace(SMOKE, size=size))
    assert module.blank == 36
    assert module(torch.rand(2, 3, 32, 128)).shape == (2, 32, 37)
    assert module(torch.rand(2, 1, 32, 128)).shape == (2, 32, 37)


def test_other_input_sizes_and_charsets() -> None:
    config = replace(SMOKE, height=48, width=160, charset="94")
    assert built(config)(torch.rand(2, 3, 48, 160)).shape == (2, 40, 95)


def test_recipes_build_and_the_card_is_complete() -> None:
    assert set(CONV_CTC.card.recipes) == set(CONV_CTC.recipes) == {"full", "small", "smoke"}
    assert CONV_CTC.card.charset in CHARSETS
    assert CONV_CTC.needs_labels
    with torch.device("meta"):
        for config in CONV_CTC.recipes.values():
            CONV_CTC.build(config)


# --- labels


def test_labels_are_brought_to_the_charset() -> None:
    batch = views(["Ab-9", "ab9", "\u212aelvin"])
    assert batch["lengths"].tolist() == [3, 3, 5]  # the Kelvin sign is no k
    assert batch["targets"][0, :3].tolist() == CHARSETS["36"].encode("ab9")
    assert torch.equal(batch["targets"][0], batch["targets"][1])


@pytest.mark.parametrize(
    ("label", "usable"),
    [
        ("", False),
        ("---", False),
        ("a" * 16, True),  # 16 letters and 15 blanks between them fit 32 frames
        ("a" * 17, False),
        ("ab" * 12 + "c", True),
        ("ab" * 13, False),
    ],
)
def test_words_that_cannot_be_spelled_are_unusable(label: str, usable: bool) -> None:
    batch = views([label])
    assert batch["usable"].tolist() == [usable]
    assert (batch["lengths"] > 0).tolist() == [usable]
    assert batch["targets"].shape == (1, MAX_LABEL)


def test_unusable_words_are_counted_and_cost_nothing() -> None:
    module = built().eval()  # in training batch normalisation sees them
    batch = views(["word", "x" * 40, "", "two"])
    loss = module.loss(batch)
    assert loss["unusable"] == 0.5
    alone = module.loss({name: tensor[[0, 3]] for name, tensor in batch.items()})
    torch.testing.assert_close(loss["loss"], alone["loss"] / 2)
    module.loss({name: tensor[[1, 2]] for name, tensor in batch.items()})["loss"].backward()
    assert all(p.grad is not None and not p.grad.any() for p in module.parameters())


@pytest.mark.parametrize("size", SIZES)
def test_the_first_loss_is_finite_and_reaches_every_parameter(size: str) -> None:
    module = built(replace(SMOKE, size=size))
    loss = module.loss(views(["word", "12"]))["loss"]
    assert math.isfinite(loss.item())
    loss.backward()
    assert [n for n, p in module.named_parameters() if p.grad is None] == []


def test_loss_at_flat_logits_is_the_number_of_paths() -> None:
    module = built()
    nn.init.zeros_(module.classifier.weight)
    nn.init.zeros_(module.classifier.bias)
    # a single letter in 32 frames: runs of any length at any place, 32 * 33 / 2 of 37^32 paths
    loss = module.loss(views(["a"]))["loss"].item()
    assert loss == pytest.approx(32 * math.log(37) - math.log(528), rel=1e-5)


# --- views


@pytest.mark.parametrize("augmentation", ["photographed", "mild", "plain"])
def test_views_are_in_range(augmentation: str) -> None:
    images = views(["word"] * 8, replace(SMOKE, augmentation=augmentation))["images"]
    assert images.shape[0] == 8
    assert images.shape[2:] == (32, 128)
    assert images.isfinite().all()
    assert images.abs().max() <= 1 + 1e-5


def test_a_photographed_view_depends_on_its_image_and_seed_alone() -> None:
    batch = word_batch(["a"] * 6)
    together = photographed(batch)
    alone = [
        photographed(WordBatch(batch.images[i : i + 1], batch.aspect[i : i + 1], ["a"], seeds))
        for i, seeds in enumerate(batch.seeds.split(1))
    ]
    assert torch.equal(together, torch.cat(alone))
    assert not torch.equal(together, photographed(batch._replace(seeds=batch.seeds + 100)))
    assert together.shape == (6, 1, 32, 128)


@pytest.mark.parametrize(
    "changes",
    [{"charset": "95"}, {"size": "large"}, {"height": 30}, {"width": 126}],
)
def test_configs_that_cannot_be_built(changes: dict[str, object]) -> None:
    with pytest.raises(StrbenchError):
        CONV_CTC.build(replace(SMOKE, **changes))  # type: ignore[arg-type]


def test_unknown_augmentation() -> None:
    with pytest.raises(StrbenchError, match="photographed"):
        CONV_CTC.views(replace(SMOKE, augmentation="photograph"))  # type: ignore[arg-type]


# --- behaviour


def test_it_overfits_16_words_and_reads_them_back() -> None:
    labels: list[str | None] = [
        "see", "the", "quick", "Brown", "fox", "jump", "over", "12",
        "lazy", "dogs", "book", "too", "77", "hello", "a", "programs",
    ]  # fmt: skip
    module = built().train()
    batch = views(labels)
    optimiser = torch.optim.AdamW(module.parameters(), lr=4e-3, weight_decay=0.0)
    for _ in range(300):
        loss = module.loss(batch)
        optimiser.zero_grad()
        loss["loss"].backward()
        optimiser.step()
        if loss["accuracy"] == 1 and loss["loss"] < 0.1:
            break
    assert CONV_CTC.reader is not None
    read = CONV_CTC.reader(module, SMOKE)
    images = (batch["images"] + 1) / 2
    readings = read(images)
    assert [text for text, _ in readings] == [str(label).lower() for label in labels]
    assert all(0 < confidence <= 1 for _, confidence in readings)
    assert module.training  # handed back as it was
    alone = [read(image[None])[0] for image in images]
    assert [text for text, _ in alone] == [text for text, _ in readings]
    for (_, one), (_, many) in zip(alone, readings, strict=True):
        assert one == pytest.approx(many, abs=1e-4)


def test_reading_does_not_see_brightness_contrast_or_the_range_of_the_input() -> None:
    module = built().eval()
    images = torch.rand(3, 3, 32, 128)
    logits = module(images)
    for other in (images * 2 - 1, images * 0.3 + 0.5, images.flip(0).flip(0) * 5):
        torch.testing.assert_close(module(other), logits, rtol=1e-3, atol=1e-3)


def test_a_flat_picture_gives_finite_logits() -> None:
    assert built().eval()(torch.full((1, 3, 32, 128), 0.5)).isfinite().all()


def test_export_holds_every_tensor() -> None:
    module, other = built(), built(seed=1)
    module.loss(views(["word", "12"]))  # moves the running statistics
    other.load_state_dict(CONV_CTC.export(module))
    images = torch.rand(2, 3, 32, 128)
    assert torch.equal(module.eval()(images), other.eval()(images))
