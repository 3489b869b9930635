"""CRNN: counts, recipes, labels, loss and reading; what it shares with TRBA is tested there."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from strbench.baselines.parts.trba_recognizer import CTCRecognizer, layout_of
from strbench.baselines.recognition.crnn import CRNN, Config
from strbench.errors import StrbenchError
from strbench.methods import WordBatch, inherit

SMOKE: Config = CRNN.recipes["smoke"]
WORDS: list[str | None] = [
    "see", "the", "quick", "Brown", "fox", "jump", "over", "12", "lazy", "dogs", "book", "a",
]  # fmt: skip


def word_batch(labels: list[str | None]) -> WordBatch:
    n = len(labels)
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (n, 3, 32, 100), generator=generator, dtype=torch.uint8)
    return WordBatch(images, torch.full((n,), 3.0), labels, torch.arange(n))


def built(config: Config = SMOKE, *, seed: int = 0) -> CTCRecognizer:
    torch.manual_seed(seed)
    module = CRNN.build(config)
    assert isinstance(module, CTCRecognizer)
    return module


def views(labels: list[str | None], config: Config = SMOKE) -> dict[str, Tensor]:
    return CRNN.views(config)(word_batch(labels))


@pytest.mark.parametrize(
    ("recipe", "total", "classes"),
    [("paper", 8_451_621, 37), ("str-fewer-labels", 8_468_450, 98)],
)
def test_published_numbers_of_parameters(recipe: str, total: int, classes: int) -> None:
    config = CRNN.recipes[recipe]
    with torch.device("meta"):
        module = CRNN.build(config)
    assert sum(p.numel() for p in module.parameters()) == total
    images = torch.empty(2, config.channels, 32, 100, device="meta")
    assert module.encoder.visual(images).shape == (2, 512, 1, 24)
    assert module.decoder.out_features == layout_of(config).classes == classes


def test_recipes_hold_the_published_values() -> None:
    paper, real = CRNN.recipes["paper"], CRNN.recipes["str-fewer-labels"]
    stages = {(c.transform, c.features, c.sequence, c.decoder) for c in CRNN.recipes.values()}
    assert stages == {("none", "vgg", "bilstm", "ctc")}
    assert (paper.optimiser, paper.lr, paper.rho, paper.eps) == ("adadelta", 1.0, 0.95, 1e-8)
    assert (paper.batch_size, paper.steps, paper.clip_norm) == (192, 300_000, 5.0)
    assert (real.optimiser, real.lr, real.schedule, real.steps) == (
        "adam",
        5e-4,
        "onecycle",
        200_000,
    )
    assert real.augmentation == "crop90-rot15"


@pytest.mark.parametrize(
    ("label", "usable"),
    [
        ("ab" * 12, True),
        ("ab" * 12 + "c", False),  # 25 characters, 24 frames
        ("a" * 12, True),  # 12 letters and 11 blanks between them
        ("a" * 13, False),
        ("--", False),
        (None, False),
    ],
)
def test_words_that_24_frames_cannot_spell_are_unusable(label: str | None, usable: bool) -> None:
    batch = views([label])
    assert batch["usable"].tolist() == [usable]
    assert (batch["lengths"] > 0).tolist() == [usable]
    assert batch["targets"].any().item() == usable


@pytest.mark.parametrize(("charset", "classes"), [("36", 37), ("94", 95)])
def test_loss_at_flat_logits_is_the_number_of_paths(charset: str, classes: int) -> None:
    config = replace(SMOKE, charset=charset)
    module = built(config)
    nn.init.zeros_(module.decoder.weight)
    # one letter in 24 frames: runs of any length at any place, 24 * 25 / 2 paths
    one = module.loss(views(["a"], config))["loss"].item()
    assert one == pytest.approx(24 * math.log(classes) - math.log(300), rel=1e-5)
    # a word's loss is divided by its length before the mean over words
    three = module.loss(views(["abc"], config))["loss"].item()
    both = module.loss(views(["a", "abc", "", "x" * 30], config))["loss"].item()
    assert both == pytest.approx((one + three) / 2, rel=1e-5)


def test_loss_is_that_of_torch_with_its_mean() -> None:
    module = built().eval()
    batch = views(WORDS)
    scores = module(batch["images"]).log_softmax(-1).transpose(0, 1)
    frames = torch.full((len(WORDS),), 24)
    want = nn.CTCLoss(zero_infinity=True)(scores, batch["targets"], frames, batch["lengths"])
    torch.testing.assert_close(module.loss(batch)["loss"], want)


def test_loss_of_fresh_weights_is_near_that_of_guessing() -> None:
    module = built()
    flat = built()
    nn.init.zeros_(flat.decoder.weight)
    batch = views(WORDS)
    assert module.loss(batch)["loss"].item() == pytest.approx(
        flat.loss(batch)["loss"].item(), rel=0.2
    )


def test_special_outputs_are_never_read() -> None:
    config: Any = replace(SMOKE, charset="94", tokens="str-fewer-labels")
    module = built(config)
    assert (module.blank, module.silent) == (0, (1, 2, 3))
    with torch.no_grad():
        module.decoder.bias[1:4] = 50.0
    assert CRNN.reader is not None
    characters = set(layout_of(config).charset.characters)
    for text, confidence in CRNN.reader(module, config)(torch.rand(4, 3, 32, 100)):
        assert set(text) <= characters
        assert confidence < 1e-6


def test_it_starts_from_convolutions_alone() -> None:
    assert CRNN.fresh is not None
    module = built()
    tensors = {
        name: tensor
        for name, tensor in CRNN.export(built(seed=1)).items()
        if name.startswith("encoder.features.")
    }
    left = inherit(module, {"rotnet": tensors}, fresh=CRNN.fresh)
    assert {name.split(".")[1] for name in left} == {"sequence", "weight", "bias"}
    some = dict(list(tensors.items())[1:])
    with pytest.raises(StrbenchError, match=r"encoder\.features"):
        inherit(module, {"rotnet": some}, fresh=CRNN.fresh)


def test_it_overfits_twelve_words_and_reads_them_back() -> None:
    words = word_batch(WORDS)
    batch = CRNN.views(SMOKE)(words)
    module = built().train()
    optimiser = torch.optim.AdamW(module.parameters(), lr=0.0, weight_decay=0.0)
    for step in range(200):
        optimiser.param_groups[0]["lr"] = 6e-3 * (1 - step / 200)
        loss = module.loss(batch)
        optimiser.zero_grad()
        loss["loss"].backward()
        nn.utils.clip_grad_norm_(module.parameters(), 5.0)
        optimiser.step()
    assert CRNN.reader is not None
    read = CRNN.reader(module, SMOKE)
    readings = read(words.images.float() / 255)
    assert [text for text, _ in readings] == [str(word).lower() for word in WORDS]
    assert all(0.1 < confidence <= 1 for _, confidence in readings)
    assert module.training
    seven = read(words.images[:7].float() / 255)
    alone = [read(image[None].float() / 255)[0] for image in words.images[:7]]
    assert [text for text, _ in seven] == [text for text, _ in alone]
