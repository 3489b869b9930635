"""Recognizers that write one character a step: ViT-Transformer, and what ViT-Attention shares with it."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from functools import cache

import pytest
import torch
from torch import Tensor, nn

from strbench.baselines.parts.decoding import read_words
from strbench.baselines.parts.transformer_decoder import Layer, Shape, TransformerDecoder
from strbench.baselines.parts.vit_recognizer import (
    MAX_LABEL,
    SLOTS,
    Autoregressive,
    AutoregressiveViT,
)
from strbench.baselines.pretrain.dig import DIG, GEN
from strbench.baselines.recognition.vit_attention import VIT_ATTENTION
from strbench.baselines.recognition.vit_transformer import DECODERS, VIT_TRANSFORMER, Config
from strbench.errors import StrbenchError
from strbench.methods import Method, WordBatch, inherit
from strbench.optim import optimiser
from strbench.text import CHARSETS

BOTH = pytest.mark.parametrize(
    "method", [VIT_TRANSFORMER, VIT_ATTENTION], ids=lambda method: method.card.name
)
WORDS: list[str | None] = [
    "see", "the", "quick", "Brown", "fox", "jump", "over", "12",
    "lazy", "dogs", "book", "too", "77", "hello", "a", "programs",
]  # fmt: skip


def smoke(method: Method, **changes: object) -> Autoregressive:
    config: Autoregressive = replace(method.recipes["smoke"], **changes)
    return config


def built(method: Method, config: Autoregressive | None = None) -> AutoregressiveViT:
    torch.manual_seed(0)
    module = method.build(config or smoke(method))
    assert isinstance(module, AutoregressiveViT)
    return module


def word_batch(labels: list[str | None]) -> WordBatch:
    generator = torch.Generator().manual_seed(0)
    shape = (len(labels), 3, 32, 128)
    images = torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
    return WordBatch(images, torch.full((len(labels),), 4.0), labels, torch.arange(len(labels)))


def views(
    method: Method, labels: list[str | None], config: Autoregressive | None = None
) -> dict[str, Tensor]:
    return method.views(config or smoke(method))(word_batch(labels))


def read(module: nn.Module, method: Method, config: Autoregressive, images: Tensor) -> list[str]:
    assert method.reader is not None
    return [text for text, _ in method.reader(module, config)(images)]


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@cache
def taught(name: str) -> AutoregressiveViT:
    """The recognizer of that name after it has learnt the images of ``WORDS`` by heart."""
    method = {m.card.name: m for m in (VIT_TRANSFORMER, VIT_ATTENTION)}[name]
    module = built(method).train()
    batch = views(method, WORDS)
    stepper = torch.optim.AdamW(module.parameters(), lr=3e-3, weight_decay=0.0)
    for _ in range(250):
        loss = module.loss(batch)
        stepper.zero_grad()
        loss["loss"].backward()
        stepper.step()
        if loss["loss"] < 0.3:
            break
    return module


def learnt_and_mixed() -> Tensor:
    """The images of ``WORDS`` in [0, 1], and mixtures of two of them, which nobody is sure about."""
    images = word_batch(WORDS).images / 255
    return torch.cat([images, (images + images.roll(1, 0)) / 2])


# --- the published decoder


@pytest.mark.parametrize(
    ("size", "total"), [("tiny", 19_725_665), ("small", 35_786_849), ("base", 52_392_545)]
)
def test_published_numbers_of_parameters(size: str, total: int) -> None:
    with torch.device("meta"):
        assert count(VIT_TRANSFORMER.build(Config(size=size))) == total
    assert VIT_TRANSFORMER.card.parameters[size] == total


@pytest.mark.parametrize(
    ("decoder", "extra"), [("tf", 14_477_921), ("small-tf", 2_884_321), ("corres", 14_405_473)]
)
def test_published_numbers_of_parameters_of_the_decoders(decoder: str, extra: int) -> None:
    with torch.device("meta"):
        module = VIT_TRANSFORMER.build(Config(decoder=decoder))
    assert count(module.decoder) == extra  # type: ignore[arg-type]
    named = "small" if decoder == "tf" else f"small decoder={decoder}"
    assert VIT_TRANSFORMER.card.parameters[named] == count(module)


def test_the_third_decoder_is_as_wide_as_the_encoder() -> None:
    for size, width in (("tiny", 192), ("base", 512)):
        with torch.device("meta"):
            module = VIT_TRANSFORMER.build(Config(size=size, decoder="corres"))
        assert module.decoder.classifier.in_features == width  # type: ignore[union-attr]


@BOTH
def test_classes_of_the_release(method: Method) -> None:
    module = built(method, replace(method.recipes["paper"], size="micro"))
    logits = module(torch.zeros(2, 3, 32, 128), torch.zeros(2, 25, dtype=torch.int64))
    assert logits.shape == (2, 25, 97)
    assert (module.end, module.silent, module.start) == (94, (95, 96), 97)
    assert module.decoder.embedding.num_embeddings == 98
    assert (SLOTS, MAX_LABEL) == (25, 23)
    own = built(method)
    assert (own.end, own.silent, own.start) == (36, (), 37)
    assert own.decoder.classifier.out_features == 37


@BOTH
def test_paper_recipe_holds_the_released_values(method: Method) -> None:
    paper = method.recipes["paper"]
    assert paper.lr * paper.batch_size / paper.lr_batch == pytest.approx(8e-4)
    assert (paper.dropout, paper.attention_dropout, paper.drop_path) == (0.1, 0.1, 0.1)
    assert (paper.layer_decay, paper.weight_decay, paper.min_lr) == (0.75, 0.05, 1e-6)
    assert (paper.epochs, paper.warmup_epochs, paper.beams) == (10.0, 1.0, 1)
    assert (paper.size, paper.charset, paper.augmentation) == ("small", "94", "abinet-cv")
    assert VIT_TRANSFORMER.recipes["paper"].decoder == "tf"
    assert VIT_TRANSFORMER.recipes["paper"].decoder_dropout == 0.1


@BOTH
def test_recipes_build_and_the_card_is_complete(method: Method) -> None:
    assert set(method.card.recipes) == set(method.recipes) >= {"paper", "small", "smoke"}
    assert method.needs_labels
    with torch.device("meta"):
        for config in method.recipes.values():
            method.build(config)


def test_projections_of_attention_have_no_bias() -> None:
    with torch.device("meta"):
        module = VIT_TRANSFORMER.build(Config())
    biased = {
        name.split(".")[-2]
        for name, _ in module.decoder.named_parameters()  # type: ignore[union-attr]
        if name.endswith("bias") and "attention" in name
    }
    assert biased == set()


def test_a_layer_is_pytorchs_pre_norm_layer() -> None:
    ours = Layer(Shape(width=16, depth=1, heads=2, inner=24), bias=True, dropout=0.0).double()
    theirs = nn.TransformerDecoderLayer(
        16, 2, 24, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
    ).double()
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.normal_()
        for mine, other in (
            (ours.self_attention, theirs.self_attn),
            (ours.cross_attention, theirs.multihead_attn),
        ):
            other.in_proj_weight.copy_(torch.cat([mine.query.weight, mine.key_value.weight]))
            other.in_proj_bias.copy_(torch.cat([mine.query.bias, mine.key_value.bias]))
            other.out_proj.load_state_dict(mine.proj.state_dict())
        for index in (1, 2, 3):
            norm = getattr(theirs, f"norm{index}")
            norm.load_state_dict(getattr(ours, f"norm{index}").state_dict())
        theirs.linear1.load_state_dict(ours.mlp[0].state_dict())
        theirs.linear2.load_state_dict(ours.mlp[2].state_dict())
    words, image = torch.randn(3, 5, 16).double(), torch.randn(3, 7, 16).double()
    mask = nn.Transformer.generate_square_subsequent_mask(5).double()
    expected = theirs(words, image, tgt_mask=mask)
    out, _ = ours(words, list(ours.cross_attention.keys_values(image)))
    torch.testing.assert_close(out, expected)


def test_a_causal_mask_in_bfloat16() -> None:
    torch.manual_seed(0)
    decoder = TransformerDecoder(8, DECODERS["micro"], tokens=9, classes=8, slots=6).eval()
    features, tokens = torch.randn(2, 5, 8), torch.randint(0, 9, (2, 6))
    with torch.autocast("cpu", torch.bfloat16):
        narrow = decoder(features, tokens)
    torch.testing.assert_close(narrow.float(), decoder(features, tokens), atol=0.05, rtol=0.05)


# --- labels


@BOTH
def test_targets_end_with_the_end(method: Method) -> None:
    batch = views(method, ["Ab-9", "q", None, ""])
    end = 36
    assert batch["lengths"].tolist() == [3, 1, 0, 0]
    assert batch["usable"].tolist() == [True, True, False, False]
    assert batch["targets"].tolist()[:2] == [[10, 11, 9, end], [26, end, end, end]]
    full = views(method, ["Ab-9é"], replace(method.recipes["paper"], size="micro"))
    assert full["targets"].tolist() == [[*CHARSETS["94"].encode("Ab-9"), 94]]


@BOTH
def test_words_of_24_characters_are_unusable(method: Method) -> None:
    batch = views(method, ["x" * 24, "x" * 23])
    assert batch["usable"].tolist() == [False, True]
    assert batch["targets"].shape == (2, 24)


@BOTH
def test_views_depend_on_the_seeds_alone(method: Method) -> None:
    view = method.views(smoke(method, augmentation="abinet-cv"))
    batch = word_batch(["one", "three", "four", "two"])
    order = [2, 0, 3, 1]
    whole = view(batch)
    moved = view(
        WordBatch(
            batch.images[order],
            batch.aspect[order],
            [batch.labels[i] for i in order],
            batch.seeds[order],
        )
    )
    for name, tensor in whole.items():
        torch.testing.assert_close(tensor[order], moved[name], atol=1e-5, rtol=0)


# --- loss


@BOTH
def test_loss_at_flat_logits_is_log_97_times_length_and_end(method: Method) -> None:
    config = replace(method.recipes["paper"], size="micro")
    module = built(method, config).eval()
    nn.init.zeros_(module.decoder.classifier.weight)
    nn.init.zeros_(module.decoder.classifier.bias)
    batch = views(method, ["word", "seven77", None, "a"], config)
    loss = module.loss(batch)["loss"].item()
    assert loss == pytest.approx(math.log(97) * (5 + 8 + 2) / 4, rel=1e-6)


@BOTH
def test_initial_loss(method: Method) -> None:
    config = replace(method.recipes["paper"], size="micro")
    module = built(method, config)
    batch = views(method, [f"{word}{word}" for word in WORDS], config)
    expected = math.log(97) * (batch["lengths"] + 1).float().mean().item()
    assert module.loss(batch)["loss"].item() == pytest.approx(expected, rel=0.05)


@BOTH
def test_loss_is_linear_in_the_parts_of_a_batch(method: Method) -> None:
    # what gradient accumulation and several ranks rely on, unusable words included
    module = built(method)
    labels: list[str | None] = ["one", "", "three", "four"]
    whole = module.loss(views(method, labels))["loss"]
    images = word_batch(labels)
    view = method.views(smoke(method))
    halves = [
        module.loss(
            view(WordBatch(images.images[s], images.aspect[s], labels[s], images.seeds[s]))
        )["loss"]
        for s in (slice(0, 2), slice(2, 4))
    ]
    torch.testing.assert_close(whole, (halves[0] + halves[1]) / 2)


@BOTH
def test_unusable_words_are_counted_and_cost_nothing(method: Method) -> None:
    module = built(method)
    loss = module.loss(views(method, ["x" * 24, None]))
    assert loss["unusable"] == 1
    assert loss["accuracy"] == 0
    loss["loss"].backward()
    assert all(p.grad is not None and not p.grad.any() for p in module.parameters())


@BOTH
def test_a_place_depends_on_the_tokens_up_to_it(method: Method) -> None:
    module = built(method).eval()
    images = torch.randn(2, 3, 32, 128)
    tokens = torch.randint(0, 36, (2, 6))
    changed = tokens.clone()
    changed[:, 3] = (changed[:, 3] + 1) % 36
    differs = (module(images, tokens) - module(images, changed)).abs().amax((0, 2)) > 1e-6
    assert differs.tolist() == [False, False, False, True, True, True]


@BOTH
def test_every_trainable_parameter_gets_a_gradient(method: Method) -> None:
    module = built(method, smoke(method, charset="94"))
    module.loss(views(method, ["word"], smoke(method, charset="94")))["loss"].backward()
    assert [n for n, p in module.named_parameters() if p.grad is None] == []


@BOTH
def test_a_step_in_bfloat16_is_near_float32(method: Method) -> None:
    module = built(method)
    batch = views(method, ["word", "two"])
    wide = module.loss(batch)["loss"]
    with torch.autocast("cpu", torch.bfloat16):
        narrow = module.loss(batch)["loss"]
        logits = module(batch["images"], batch["targets"])
    narrow.backward()
    assert logits.dtype == torch.float32  # in bfloat16 many would be equal
    torch.testing.assert_close(narrow, wide, atol=0, rtol=0.01)
    assert all(p.grad is None or p.grad.isfinite().all() for p in module.parameters())


@BOTH
def test_layer_decay_groups(method: Method) -> None:
    with torch.device("meta"):
        module = method.build(method.recipes["paper"])
    assert isinstance(module, AutoregressiveViT)
    layers = {n: module.layer_of(n) for n, _ in module.named_parameters()}
    assert module.depth == 12
    assert layers["encoder.mask_token"] == 0
    assert [layers[f"encoder.blocks.{i}.norm1.weight"] for i in range(12)] == list(range(1, 13))
    rest = {n: i for n, i in layers.items() if not n.startswith("encoder.") or ".norm." in n}
    assert set(rest.values()) == {13}
    assert {"decoder.embedding.weight", "decoder.classifier.bias"} <= set(rest)


@BOTH
def test_a_probe_trains_the_decoder_alone(method: Method) -> None:
    config = smoke(method, probe=True, dropout=0.5, drop_path=0.5, weight_decay=0.5)
    module = built(method, config).train()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    batch = views(method, ["word", "two"])
    features = [module.encoder(batch["images"]) for _ in range(2)]
    assert torch.equal(*features)
    stepper = optimiser(config, module, peak=1e-2)
    module.loss(batch)["loss"].backward()
    stepper.step()
    moved = {n for n, t in module.state_dict().items() if not torch.equal(t, before[n])}
    assert moved == {n for n in before if n.startswith("decoder.")}


@BOTH
@pytest.mark.parametrize("parent", [DIG, GEN], ids=lambda method: method.card.name)
def test_pretrained_encoders_fit(method: Method, parent: Method) -> None:
    tensors = parent.export(parent.build(parent.recipes["smoke"]))
    module = built(method)
    assert method.fresh is not None
    fresh = inherit(module, {"parent": tensors}, fresh=method.fresh)
    stays = ("decoder.",) if parent is GEN else ("decoder.", "encoder.norm.")
    assert set(fresh) == {n for n in module.state_dict() if n.startswith(stays)}
    weight = "encoder.blocks.3.mlp.0.weight"
    assert torch.equal(module.state_dict()[weight], tensors[weight])


def test_unknown_decoder() -> None:
    with pytest.raises(StrbenchError, match="small-tf"):
        VIT_TRANSFORMER.build(replace(Config(), decoder="tf-small"))


# --- reading


@BOTH
def test_it_overfits_16_words_and_reads_them_back(method: Method) -> None:
    module = taught(method.card.name)
    images = word_batch(WORDS).images / 255
    assert method.reader is not None
    readings = method.reader(module, smoke(method))(images)
    assert [text for text, _ in readings] == [str(word).lower() for word in WORDS]
    assert all(0 < confidence <= 1 for _, confidence in readings)
    assert sum(confidence for _, confidence in readings) / 16 > 0.7
    assert module.training  # handed back as it was
    assert read(module, method, smoke(method), images[:1]) == ["see"]
    assert read(module, method, smoke(method), images[:7]) == [text for text, _ in readings[:7]]
    assert module.loss(views(method, WORDS))["accuracy"] == 1


@BOTH
def test_reading_is_25_steps_of_the_whole_network_cut_at_the_end(method: Method) -> None:
    module = taught(method.card.name)
    images = learnt_and_mixed()
    tokens = torch.full((len(images), 1), module.start)
    chances = []
    with torch.inference_mode():  # everything again for every character, nothing kept, no early end
        for _ in range(SLOTS):
            chance, best = module(images * 2 - 1, tokens)[:, -1].softmax(-1).max(-1)
            tokens = torch.cat([tokens, best[:, None]], 1)
            chances.append(chance)
    expected = []
    for row, chance in zip(tokens[:, 1:].tolist(), torch.stack(chances, 1).tolist(), strict=True):
        length = [*row, module.end].index(module.end)
        expected.append((CHARSETS["36"].decode(row[:length]), math.prod(chance[: length + 1])))
    assert len({len(text) for text, _ in expected}) > 4
    assert method.reader is not None
    found = method.reader(module, smoke(method))(images)
    assert [text for text, _ in found] == [text for text, _ in expected]
    assert [c for _, c in found] == pytest.approx([c for _, c in expected], rel=1e-3)


@BOTH
def test_reading_in_bfloat16(method: Method) -> None:
    module = taught(method.card.name)
    images = word_batch(WORDS).images / 255
    with torch.autocast("cpu", torch.bfloat16):
        texts = read(module, method, smoke(method), images)
    assert texts == [str(word).lower() for word in WORDS]


@BOTH
def test_reading_stops_when_every_word_has_ended(
    method: Method, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = taught(method.card.name)
    images = word_batch(WORDS).images / 255
    steps: list[int] = []
    step = module.decoder.step

    def counted(*args: object) -> object:
        steps.append(1)
        return step(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(module.decoder, "step", counted)
    assert read(module, method, smoke(method), images[:4]) == ["see", "the", "quick", "brown"]
    assert len(steps) == 5 + 1
    read(module, method, smoke(method), images)
    assert len(steps) == 6 + 8 + 1


@BOTH
def test_special_outputs_are_never_read(method: Method) -> None:
    config = smoke(method, charset="94")
    module = built(method, config)
    with torch.no_grad():
        module.decoder.classifier.bias[95:97] = 50.0
    assert method.reader is not None
    for text, confidence in method.reader(module, config)(torch.rand(4, 3, 32, 128)):
        assert set(text) <= set(CHARSETS["94"].characters)
        assert confidence < 1e-6


@BOTH
def test_reading_ignores_dropout(method: Method) -> None:
    changes = {"decoder_dropout": 0.5} if method is VIT_TRANSFORMER else {}
    config = smoke(method, dropout=0.5, drop_path=0.5, **changes)
    module = built(method, config).train()
    images = torch.rand(3, 3, 32, 128)
    assert read(module, method, config, images) == read(module, method, config, images)
    assert module.training


@BOTH
def test_a_beam_finds_likelier_words(method: Method, monkeypatch: pytest.MonkeyPatch) -> None:
    module = taught(method.card.name)
    images = learnt_and_mixed()
    assert method.reader is not None
    greedy = method.reader(module, smoke(method))(images)
    monkeypatch.setattr(module, "beams", 4)
    beam = method.reader(module, smoke(method))(images)
    gains = [b / g for (_, g), (_, b) in zip(greedy, beam, strict=True)]
    assert min(gains) > 0.999
    assert max(gains) > 1.01
    alone = [method.reader(module, smoke(method))(image[None])[0] for image in images[14:18]]
    assert [text for text, _ in alone] == [text for text, _ in beam[14:18]]
    built_wide = method.build(smoke(method, beams=4))
    assert isinstance(built_wide, AutoregressiveViT)
    assert built_wide.beams == 4


class Chain:
    """A decoder whose next class depends on the last one and the image: every word can be tried."""

    def __init__(self, chances: Tensor) -> None:
        self.logits = chances.log()  # (B, before, after)

    def begin(self, features: Tensor, *, beams: int) -> tuple[list[Tensor], list[Tensor]]:
        return [features], [torch.zeros(len(features) * beams)]

    def step(
        self, tokens: Tensor, fixed: list[Tensor], past: list[Tensor]
    ) -> tuple[Tensor, list[Tensor]]:
        image = torch.arange(len(tokens)) // (len(tokens) // len(fixed[0]))
        return self.logits[image, tokens], [past[0] + 1]


def likeliest(chances: Tensor, *, start: int, end: int, steps: int) -> tuple[list[int], float]:
    """The best word of one image by trying all of them."""
    best: tuple[list[int], float] = ([], 0.0)
    characters = [c for c in range(chances.shape[1]) if c != end]
    for length in range(steps + 1):
        for word in itertools.product(characters, repeat=length):
            path = [start, *word] + ([end] if length < steps else [])
            chance = math.prod(float(chances[a, b]) for a, b in itertools.pairwise(path))
            if chance > best[1]:
                best = (list(word), chance)
    return best


def test_a_wide_beam_finds_the_likeliest_word() -> None:
    generator = torch.Generator().manual_seed(1)
    chances = torch.rand(20, 5, 4, generator=generator).pow(3)  # classes 0 to 2, end 3, start 4
    chances /= chances.sum(-1, keepdim=True)
    found = {
        beams: read_words(Chain(chances), torch.zeros(20, 1), start=4, end=3, steps=4, beams=beams)
        for beams in (1, 64)
    }
    better = 0
    for row in range(20):
        word, chance = likeliest(chances[row], start=4, end=3, steps=4)
        classes, counts, confidence, _ = (t[row] for t in found[64])
        assert classes[: int(counts)].tolist() == word
        assert confidence.item() == pytest.approx(chance, rel=1e-4)
        better += found[1][2][row].item() < 0.99 * chance
    assert better > 2  # greedy reading misses it, or the test shows nothing


def test_silent_classes_take_no_part() -> None:
    chances = torch.tensor([[[0.5, 0.3, 0.2], [0.5, 0.1, 0.4], [0.5, 0.3, 0.2]]])
    for beams in (1, 2):
        classes, counts, confidence, _ = read_words(
            Chain(chances), torch.zeros(1, 1), start=0, end=2, steps=4, silent=(0,), beams=beams
        )
        assert classes[0, : int(counts)].tolist() == ([1] if beams == 1 else [])
        assert confidence.item() == pytest.approx(0.3 * 0.4 if beams == 1 else 0.2)


def test_a_word_without_an_end_has_all_its_characters() -> None:
    chances = torch.full((1, 3, 2), 0.5)
    chances[:, :, 0], chances[:, :, 1] = 0.9, 0.1
    classes, counts, confidence, _ = read_words(
        Chain(chances), torch.zeros(1, 1), start=2, end=1, steps=5
    )
    assert classes.tolist() == [[0] * 5]
    assert counts.tolist() == [5]
    assert confidence.item() == pytest.approx(0.9**5)
