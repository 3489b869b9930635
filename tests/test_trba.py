"""TRBA and TRBC, and what the recognizers of their family share: classes, loss, reading."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from strbench import rendered
from strbench.baselines.parts import trba_recognizer
from strbench.baselines.parts.trba_recognizer import (
    AttentionRecognizer,
    Config,
    FourStage,
    layout_of,
    tokens_of,
    written,
)
from strbench.baselines.recognition.trba import TRBA, TRBC
from strbench.errors import StrbenchError
from strbench.methods import Method, WordBatch, inherit
from strbench.settings import override
from strbench.text import CHARSETS

SMOKE: Config = TRBA.recipes["smoke"]
REAL: Config = replace(TRBA.recipes["str-fewer-labels"], size="micro", augmentation="plain")
WORDS: list[str | None] = [
    "see",
    "the",
    "Quick",
    "fox-",
    "12",
    "programs",
    "a",
    "too",
    "77",
    "hello",
]


def word_batch(labels: list[str | None], *, width: int = 100) -> WordBatch:
    n = len(labels)
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (n, 3, 32, width), generator=generator, dtype=torch.uint8)
    return WordBatch(images, torch.full((n,), 3.0), labels, torch.arange(n))


def built(config: Config = SMOKE, *, seed: int = 0) -> FourStage:
    torch.manual_seed(seed)
    return trba_recognizer.build(config)


def views(labels: list[str | None], config: Config = SMOKE) -> dict[str, Tensor]:
    return trba_recognizer.views(config)(word_batch(labels))


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


# --- counts, recipes, classes


@pytest.mark.parametrize(
    ("method", "changes", "total", "classes"),
    [
        (TRBA, {}, 49_555_182, 38),
        (TRBA, {"charset": "94", "channels": 3}, 49_631_208, 96),
        (TRBA, {"charset": "94", "channels": 3, "tokens": "str-fewer-labels"}, 49_821_163, 99),
        (TRBC, {}, 48_858_093, 37),
    ],
)
def test_published_numbers_of_parameters(
    method: Method, changes: dict[str, Any], total: int, classes: int
) -> None:
    config = replace(method.recipes["paper"], **changes)
    with torch.device("meta"):
        module = method.build(config)
    assert count(module) == total
    assert layout_of(config).classes == classes
    assert changes or method.card.parameters == {"full": total}


def test_recipes_hold_the_published_values() -> None:
    for method in (TRBA, TRBC):
        paper = method.recipes["paper"]
        assert (paper.optimiser, paper.lr, paper.lr_batch) == ("adadelta", 1.0, 0)
        assert (paper.rho, paper.eps, paper.clip_norm) == (0.95, 1e-8, 5.0)
        assert (paper.schedule, paper.batch_size, paper.steps) == ("constant", 192, 300_000)
        assert (paper.height, paper.width, paper.channels) == (32, 100, 1)
        assert paper.weight_decay == 0
    real = TRBA.recipes["str-fewer-labels"]
    assert (real.optimiser, real.lr, real.lr_batch, real.weight_decay) == ("adam", 5e-4, 0, 0)
    assert (real.schedule, real.rise, real.div, real.final_div) == ("onecycle", 0.3, 20, 1000)
    assert (real.batch_size, real.steps, real.clip_norm) == (128, 200_000, 5.0)
    assert (real.augmentation, real.channels) == ("blur5-crop99", 3)


def test_settings_can_be_typed() -> None:
    config = override(SMOKE, ["channels=3", "tokens=str-fewer-labels", "transform=none"])
    assert (config.channels, config.tokens, config.transform) == (3, "str-fewer-labels", "none")
    assert count(built(config)) != count(built())


def test_classes_of_clovaai() -> None:
    layout = layout_of(Config())
    assert (layout.special("go"), layout.special("end"), layout.special("padding")) == (0, 1, 0)
    batch = views(["Ab-9", None])
    assert batch["tokens"][0].tolist() == [0, 12, 13, 11, 1] + [0] * 22
    assert batch["tokens"][1].tolist() == [0] * 27


def test_classes_of_str_fewer_labels() -> None:
    layout = layout_of(REAL)
    names = ("padding", "unknown", "go", "end", "space")
    assert [layout.special(name) for name in names] == [0, 1, 2, 3, 4]
    batch = views(["A~0", ""], REAL)
    first, tilde = CHARSETS["94"].encode("A~")
    assert batch["tokens"][0].tolist() == [2, 5 + first, 5 + tilde, 5, 3] + [0] * 22
    assert batch["tokens"][1].tolist() == [2] + [0] * 26


def test_classes_of_ctc() -> None:
    config: Config = TRBC.recipes["smoke"]
    batch = views(["Ab-9", "a" * 14], config)
    assert batch["targets"][0].tolist() == [11, 12, 10] + [0] * 22
    assert batch["lengths"].tolist() == [3, 0]  # 14 letters and 13 blanks are more than 26 frames
    real = replace(config, tokens="str-fewer-labels", charset="94")
    assert layout_of(real).special("blank") == 0
    assert views(["0"], real)["targets"][0, 0] == 4
    assert layout_of(real).classes == 98


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tokens": "clovai"}, "clovaai"),
        ({"charset": "95"}, "94"),
        ({"augmentation": "plane"}, "plain"),
        ({"size": "large"}, "micro"),
    ],
)
def test_unknown_names(changes: dict[str, Any], message: str) -> None:
    config = replace(SMOKE, **changes)
    first = trba_recognizer.build if "size" in changes else trba_recognizer.views
    with pytest.raises(StrbenchError, match=message):
        first(config)


def test_long_words_are_unusable_and_25_characters_are_not() -> None:
    batch = views(["a" * 25, "a" * 26, "", "--", None])
    assert batch["usable"].tolist() == [True, False, False, False, False]
    assert batch["tokens"][0, -1] == 1


# --- images


def test_images_are_normalised_and_gray() -> None:
    words = word_batch(["a"])
    white = words._replace(images=torch.full_like(words.images, 255))
    view = trba_recognizer.views(SMOKE)(white)["images"]
    assert view.shape == (1, 1, 32, 100)
    torch.testing.assert_close(view, torch.ones_like(view))
    assert views(["a"], REAL)["images"].shape == (1, 3, 32, 100)


@pytest.mark.parametrize("name", sorted(trba_recognizer.AUGMENTATIONS))
def test_a_view_belongs_to_its_image(name: str) -> None:
    view = trba_recognizer.views(replace(SMOKE, augmentation=name))
    words = word_batch(WORDS[:4])
    turned = WordBatch(words.images.flip(0), words.aspect, words.labels[::-1], words.seeds.flip(0))
    whole, back = view(words), view(turned)
    for key, value in whole.items():
        torch.testing.assert_close(back[key].flip(0), value, msg=key)


# --- loss


@pytest.mark.parametrize("config", [SMOKE, REAL], ids=["clovaai", "str-fewer-labels"])
def test_loss_at_flat_logits_is_that_of_guessing(config: Config) -> None:
    module = built(config)
    assert isinstance(module, AttentionRecognizer)
    nn.init.zeros_(module.decoder.generator.weight)
    loss = module.loss(views(WORDS, config))["loss"].item()
    assert loss == pytest.approx(math.log(layout_of(config).classes), rel=1e-5)


def test_loss_of_fresh_weights_is_near_that_of_guessing() -> None:
    assert built().loss(views(WORDS))["loss"].item() == pytest.approx(math.log(38), rel=0.1)
    assert built(REAL).loss(views(WORDS, REAL))["loss"].item() == pytest.approx(
        math.log(99), rel=0.1
    )


def test_loss_is_the_mean_over_characters_and_ends_of_all_26_steps() -> None:
    module = built().eval()
    batch = views(WORDS)
    tokens = batch["tokens"]
    logits = module(batch["images"], tokens[:, :-1]).logits
    assert logits.shape == (10, 26, 38)
    each = F.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten(), reduction="none")
    lengths = [3, 3, 5, 3, 2, 8, 1, 3, 2, 5]
    counted = torch.arange(26) <= torch.tensor(lengths)[:, None]
    want = each.view(10, 26)[counted].mean()
    torch.testing.assert_close(module.loss(batch)["loss"], want)
    assert counted.sum() == sum(lengths) + 10


@pytest.mark.parametrize("method", [TRBA, TRBC], ids=["trba", "trbc"])
def test_unusable_words_are_counted_and_cost_nothing(method: Method) -> None:
    config = method.recipes["smoke"]
    module = built(config).eval()
    batch = views(["word", "x" * 26, None, "two"], config)
    loss = module.loss(batch)
    assert loss["unusable"] == 0.5
    alone = module.loss({name: tensor[[0, 3]] for name, tensor in batch.items()})
    torch.testing.assert_close(loss["loss"], alone["loss"])
    module.loss({name: tensor[[1, 2]] for name, tensor in batch.items()})["loss"].backward()
    assert all(p.grad is not None and not p.grad.any() for p in module.parameters())


@pytest.mark.parametrize("config", [SMOKE, REAL, TRBC.recipes["smoke"]])
def test_every_parameter_learns_but_what_lies_behind_zero_weights(config: Config) -> None:
    module = built(config)
    module.loss(views(WORDS, config))["loss"].backward()
    still = {n for n, p in module.named_parameters() if p.grad is None or not p.grad.any()}
    zero_weights = "encoder.transform.points."
    assert {n for n in still if not n.startswith("encoder.transform.")} == set()
    assert not any(name.startswith(zero_weights) for name in still)
    assert "encoder.transform.hidden.weight" in still


# --- the probe, and weights of others


def test_a_probe_leaves_the_encoder_as_it_was() -> None:
    module = built(replace(SMOKE, probe=True)).train()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    free = [p for p in module.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(free, lr=1e-2)
    module.loss(views(WORDS))["loss"].backward()
    optimiser.step()
    moved = {n for n, t in module.state_dict().items() if not torch.equal(t, before[n])}
    assert moved == {f"decoder.{name}" for name, _ in module.decoder.named_parameters()}
    assert module.training
    assert not any(part.training for part in module.encoder.modules())


@pytest.mark.parametrize("method", [TRBA, TRBC], ids=["trba", "trbc"])
def test_it_starts_from_convolutions_alone_or_from_a_whole_encoder(method: Method) -> None:
    assert method.fresh is not None
    config = method.recipes["smoke"]
    source = method.export(built(config, seed=1))
    for prefix in ("encoder.features.", "encoder."):
        module = built(config)
        tensors = {n: t for n, t in source.items() if n.startswith(prefix)}
        left = inherit(module, {"parent": tensors}, fresh=method.fresh)
        assert set(left) == {n for n in module.state_dict() if not n.startswith(prefix)}
        assert all(torch.equal(module.state_dict()[n], t) for n, t in tensors.items())
    assert any(n.endswith("running_mean") for n in source)
    with pytest.raises(StrbenchError, match=r"encoder\.features"):
        inherit(built(config), {"parent": {}}, fresh=method.fresh)


def test_export_is_the_whole_recognizer() -> None:
    module, other = built().eval(), built(seed=1).eval()
    other.load_state_dict(TRBA.export(module))
    images = torch.randn(2, 1, 32, 100)
    assert torch.equal(module(images).logits, other(images).logits)


# --- reading


def logits_of(config: Config, *texts: list[int], steps: int = 26) -> Tensor:
    """Logits whose likeliest class has probability 0.9 at each step; -1 stands for the end."""
    layout = layout_of(config)
    out = torch.full((len(texts), steps, layout.classes), math.log(0.1 / (layout.classes - 1)))
    for row, classes in enumerate(texts):
        for step in range(steps):
            chosen = classes[step] if step < len(classes) else layout.special("end")
            out[row, step, layout.special("end") if chosen < 0 else chosen] = math.log(0.9)
    return out


@pytest.mark.parametrize("config", [SMOKE, REAL], ids=["clovaai", "str-fewer-labels"])
def test_reading_stops_at_the_first_end(config: Config) -> None:
    layout = layout_of(config)
    a = layout.first
    out = written(logits_of(config, [a, a + 1, -1, a + 2, a], [-1], [a + 3] * 26), layout)
    texts = [
        layout.text(row[:length])
        for row, length in zip(out.classes.tolist(), out.lengths.tolist(), strict=True)
    ]
    assert texts == ["01", "", "3" * 26]  # without an end nothing is dropped
    want = torch.tensor([0.9**3, 0.9, 0.9**26])
    torch.testing.assert_close(out.confidences, want)
    assert out.usable.tolist() == [True, False, False]


def test_special_classes_write_nothing_and_make_a_word_unusable() -> None:
    layout = layout_of(REAL)
    a = layout.first
    out = written(logits_of(REAL, [a, 0, a + 1, 1, 2, 4], [a, -1, 0, 1]), layout)
    assert out.lengths.tolist() == [6, 1]
    assert layout.text(out.classes[0, :6].tolist()) == "01"
    assert out.usable.tolist() == [False, True]  # behind the end nothing counts


@pytest.mark.parametrize("config", [SMOKE, REAL], ids=["clovaai", "str-fewer-labels"])
def test_what_was_written_becomes_tokens_like_a_label(config: Config) -> None:
    layout = layout_of(config)
    tokens = views(["cafe", "a" * 25, "b"], config)["tokens"]
    logits = 9 * F.one_hot(tokens[:, 1:], layout.classes).float()
    out = written(logits, layout)
    assert out.usable.all()
    assert torch.equal(tokens_of(out.classes, out.lengths, out.usable, layout), tokens)
    none = torch.zeros(3, dtype=torch.bool)
    empty = tokens_of(out.classes, out.lengths, none, layout)
    assert (empty[:, 1:] == layout.special("padding")).all()


def drawn_words(n: int, config: Config) -> WordBatch:
    words = [rendered.draw_word(rendered.DEMO, 0, i, split="rendered_demo/train") for i in range(n)]
    size = (config.width, config.height)
    images = [np.array(Image.fromarray(word.image).resize(size)) for word in words]
    pixels = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)
    return WordBatch(pixels, torch.full((n,), 3.0), [w.label for w in words], torch.arange(n))


def learned(config: Config, batch: dict[str, Tensor], *, steps: int) -> FourStage:
    module = built(config).train()
    optimiser = torch.optim.AdamW(module.parameters(), lr=0.0, weight_decay=0.0)
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = 6e-3 * (1 - step / steps)
        loss = module.loss(batch)
        optimiser.zero_grad()
        loss["loss"].backward()
        nn.utils.clip_grad_norm_(module.parameters(), 5.0)
        optimiser.step()
    return module


@pytest.mark.parametrize(
    ("method", "changes"),
    [
        (TRBA, {}),
        (TRBA, {"charset": "94", "tokens": "str-fewer-labels", "transform": "none"}),
        (TRBC, {}),
    ],
    ids=["trba", "trba-str-fewer-labels", "trbc"],
)
def test_it_overfits_eight_words_and_reads_them_back(
    method: Method, changes: dict[str, Any]
) -> None:
    config = replace(method.recipes["smoke"], width=64, **changes)
    words = drawn_words(8, config)
    module = learned(config, trba_recognizer.views(config)(words), steps=150)
    assert method.reader is not None
    read: Callable[[Tensor], list[tuple[str, float]]] = method.reader(module, config)
    readings = read(words.images.float() / 255)
    assert [text for text, _ in readings] == words.labels
    assert all(0 < confidence <= 1 for _, confidence in readings)
    assert sum(confidence for _, confidence in readings) / 8 > 0.5
    assert module.training  # handed back as it was
    alone = [read(image[None].float() / 255)[0] for image in words.images[:7]]
    for (text, confidence), (same, sure) in zip(readings[:7], alone, strict=True):
        assert text == same
        assert confidence == pytest.approx(sure, rel=1e-4)
