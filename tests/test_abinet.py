"""ABINet, its vision model and its language model: counts, shapes, masks, losses, gradients, reading."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from strbench.baselines.parts.abinet_networks import (
    PLACES,
    normalised,
    read_logits,
    size_named,
    spelled_length,
    spelling_loss,
    targets,
    words_right,
)
from strbench.baselines.parts.language_model import LanguageModel
from strbench.baselines.pretrain.abinet_language import ABINET_LANGUAGE, misspelled
from strbench.baselines.pretrain.abinet_language import Config as LanguageConfig
from strbench.baselines.recognition.abinet import (
    ABINET,
    ABINET_VISION,
    ABINet,
    ABINetVision,
    Config,
    VisionConfig,
)
from strbench.errors import StrbenchError
from strbench.methods import Method, WordBatch, inherit
from strbench.text import CHARSETS

SMOKE: Config = ABINET.recipes["smoke"]
CHARACTERS = CHARSETS["36-abinet"]
WORDS = ["see", "the", "quick", "Brown", "fox", "12", "a", "programs"]


def word_batch(labels: list[str | None], *, seed: int = 0) -> WordBatch:
    n = len(labels)
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (n, 3, 32, 128), generator=generator, dtype=torch.uint8)
    return WordBatch(images, torch.full((n,), 4.0), labels, torch.arange(n))


def built(config: Config = SMOKE, *, seed: int = 0) -> ABINet:
    torch.manual_seed(seed)
    module = ABINET.build(config)
    assert isinstance(module, ABINet)
    return module


def views(labels: list[str | None], config: VisionConfig = SMOKE) -> dict[str, Tensor]:
    return ABINET.views(config)(word_batch(labels))


def wanted(labels: list[str | None]) -> dict[str, Tensor]:
    return targets(labels, CHARACTERS, device=torch.device("cpu"))


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


# --- counts and shapes


@pytest.mark.parametrize(
    ("charset", "total", "vision", "language", "fusion"),
    [
        ("36-abinet", 36_738_703, 23_547_461, 12_647_461, 543_781),
        ("94", 36_857_661, 23_577_215, 12_706_911, 573_535),
    ],
)
def test_published_numbers_of_parameters(
    charset: str, total: int, vision: int, language: int, fusion: int
) -> None:
    with torch.device("meta"):
        whole = ABINET.build(Config(charset=charset))
        seeing = ABINET_VISION.build(VisionConfig(charset=charset))
        saying = ABINET_LANGUAGE.build(LanguageConfig(charset=charset))
    parts = (whole.vision, whole.language, whole.fusion)
    assert (count(whole), *map(count, parts)) == (total, vision, language, fusion)
    assert (count(seeing), count(saying)) == (vision, language)
    assert count(whole.vision.resnet) == 12_994_784
    assert count(whole.vision.layers) == 9_457_152
    assert count(whole.vision.attention) == 1_076_544
    key = "base" if charset == "36-abinet" else "base charset=94"
    assert ABINET.card.parameters[key] == total
    assert ABINET_VISION.card.parameters[key] == vision
    assert ABINET_LANGUAGE.card.parameters[key] == language


def test_shapes_and_first_losses_at_the_published_size() -> None:
    torch.manual_seed(0)
    module = ABINET.build(Config(dropout=0.0))
    batch = views(["word", "two"], Config(augmentation="plain"))
    maps = module.vision.maps(batch["images"])
    assert maps.shape == (2, 512, 8, 32)
    glimpses, weights = module.vision.attention(maps)
    assert glimpses.shape == (2, 26, 512)
    assert weights.shape == (2, 26, 8, 32)
    torch.testing.assert_close(weights.sum((2, 3)), torch.ones(2, 26))
    with torch.no_grad():
        spelling = module(batch["images"])
    every = [spelling.vision, *spelling.language, *spelling.fusion]
    assert [tuple(logits.shape) for logits in every] == [(2, 26, 37)] * 7
    for logits in spelling:
        loss = spelling_loss(logits, batch["classes"], batch["lengths"])
        assert loss.item() == pytest.approx(math.log(37), rel=0.15)


@pytest.mark.parametrize("method", [ABINET, ABINET_VISION, ABINET_LANGUAGE])
def test_recipes_build_and_cards_are_complete(method: Method) -> None:
    assert set(method.card.recipes) == set(method.recipes) >= {"paper", "small", "smoke"}
    assert method.card.charset in CHARSETS
    with torch.device("meta"):
        for config in method.recipes.values():
            method.build(config)


def test_paper_recipes_hold_the_released_values() -> None:
    recipes = [method.recipes["paper"] for method in (ABINET, ABINET_VISION, ABINET_LANGUAGE)]
    for paper in recipes:
        assert (paper.optimiser, paper.schedule, paper.lr_batch) == ("adam", "steps", 0)
        assert (paper.lr, paper.weight_decay, paper.clip_norm) == (1e-4, 0.0, 20.0)
    assert [paper.batch_size for paper in recipes] == [384, 384, 4096]
    assert [paper.epochs for paper in recipes] == [10, 8, 80]
    assert [paper.milestones for paper in recipes] == [(0.6,), (0.75,), (0.875,)]
    assert recipes[0].iterations == 3


@pytest.mark.parametrize("changes", [{"size": "large"}, {"charset": "37"}])
def test_configs_that_cannot_be_built(changes: dict[str, object]) -> None:
    for config in (replace(SMOKE, **changes), replace(VisionConfig(), **changes)):
        with pytest.raises(StrbenchError):
            (ABINET if isinstance(config, Config) else ABINET_VISION).build(config)


def test_unknown_augmentation() -> None:
    with pytest.raises(StrbenchError, match="abinet-cv"):
        ABINET.views(replace(SMOKE, augmentation="abinet"))  # type: ignore[arg-type]


# --- words and views


def test_null_is_class_0_and_the_end_counts() -> None:
    batch = wanted(["a0", "B-9", "x" * 25])
    assert batch["classes"].shape == (3, PLACES)
    assert batch["classes"][0, :3].tolist() == [1, 36, 0]  # a to z, 1 to 9, 0
    assert batch["classes"][1, :3].tolist() == [2, 35, 0]
    assert batch["lengths"].tolist() == [3, 3, 26]
    nothing = wanted(["x" * 26, "", "--", None])
    assert not nothing["classes"].any()
    assert nothing["lengths"].tolist() == [0, 0, 0, 0]


def test_images_are_normalised_as_imagenets() -> None:
    words = word_batch(["a"])
    images = ABINET.views(replace(SMOKE, augmentation="plain"))(words)["images"]
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    expected = (words.images[0, :, 3, 5] / 255 - mean) / deviation
    torch.testing.assert_close(images[0, :, 3, 5], expected)


def test_views_depend_on_the_seeds_alone() -> None:
    view, words = ABINET.views(Config()), word_batch(["a"] * 8)
    whole = view(words)["images"]
    part = view(WordBatch(words.images[5:], words.aspect[5:], ["a"] * 3, words.seeds[5:]))["images"]
    torch.testing.assert_close(whole[5:], part)
    assert not torch.equal(whole, view(words._replace(seeds=words.seeds + 50))["images"])


def logits_of(rows: list[list[int]], *, high: float = 9.0) -> Tensor:
    logits = torch.zeros(len(rows), PLACES, 37)
    for row, classes in enumerate(rows):
        for place, c in enumerate(classes):
            logits[row, place, c] = high
    return logits


def test_a_word_ends_at_its_first_null() -> None:
    logits = logits_of([[1, 2, 0, 3, 0], [0], [5] * 26])
    assert spelled_length(logits).tolist() == [3, 1, 26]
    words = read_logits(logits, CHARACTERS).words
    assert [text for text, _ in words] == ["ab", "", "e" * 26]
    sure = math.exp(9) / (math.exp(9) + 36)
    assert [c for _, c in words] == pytest.approx([sure**3, sure, sure**26], rel=1e-5)


def test_words_right_ignores_what_lies_behind_the_end() -> None:
    batch = wanted(["ab", "ab", "abc", None])
    logits = logits_of([[1, 2, 0, 7], [1, 2, 3, 0], [1, 2, 3, 0], [1]])
    assert words_right(logits, batch).item() == pytest.approx(2 / 3)


# --- losses


def test_loss_is_the_mean_over_characters_and_iterations() -> None:
    generator = torch.Generator().manual_seed(0)
    first, second = torch.randn(2, 3, PLACES, 37, generator=generator)
    batch = wanted(["ab", None, "abcd"])

    def by_hand(logits: Tensor) -> float:
        chances = logits.double().log_softmax(-1)
        places = [(0, t) for t in range(3)] + [(2, t) for t in range(5)]
        return -float(sum(chances[b, t, batch["classes"][b, t]] for b, t in places)) / 8

    one = spelling_loss(first, **batch).item()
    both = spelling_loss([first, second], **batch).item()
    assert one == pytest.approx(by_hand(first), rel=1e-5)
    assert both == pytest.approx((by_hand(first) + by_hand(second)) / 2, rel=1e-5)


def test_a_batch_without_usable_words_costs_nothing() -> None:
    module = built()
    loss = module.loss(views(["", "--"]))
    assert loss["loss"].item() == 0
    assert loss["unusable"].item() == 1
    loss["loss"].backward()
    assert all(p.grad is not None and not p.grad.any() for p in module.parameters())


def test_weights_of_the_three_losses() -> None:
    batch = views(WORDS)
    terms = built().loss(batch)
    weighted = replace(SMOKE, vision_weight=0.5, language_weight=2.0, fusion_weight=3.0)
    total = built(weighted).loss(batch)["loss"]
    expected = 0.5 * terms["vision"] + 2 * terms["language"] + 3 * terms["fusion"]
    torch.testing.assert_close(total, expected)


# --- the language model


def language() -> LanguageModel:
    torch.manual_seed(0)
    return LanguageModel(32, classes=37, places=PLACES, layers=2, heads=2, hidden=64).eval()


def test_a_place_never_sees_itself_but_all_others_of_the_word() -> None:
    model = language()
    chances = torch.randn(1, PLACES, 37).softmax(-1)
    lengths = torch.tensor([6])
    _, before = model(chances, lengths)
    for changed in (0, 2, 5, 6, 20):
        other = chances.clone()
        other[0, changed] = torch.randn(37).softmax(-1)
        moved = (model(other, lengths)[1] - before)[0].abs().amax(-1) > 1e-6
        expected = torch.full((PLACES,), changed < 6)  # behind the end nothing is seen
        expected[changed] = False
        assert torch.equal(moved, expected), changed


def test_lengths_are_two_at_least() -> None:
    model = language()
    chances = torch.randn(3, PLACES, 37).softmax(-1)
    short = model(chances, torch.tensor([0, 1, 2]))[1]
    assert short.isfinite().all()
    assert torch.equal(short, model(chances, torch.tensor([2, 2, 2]))[1])


def test_language_takes_no_gradient_to_vision_but_fusion_does() -> None:
    module, batch = built(), views(WORDS)
    terms = module.loss(batch)
    terms["language"].backward(retain_graph=True)
    assert all(p.grad is None for p in module.vision.parameters())
    assert all(p.grad is None for p in module.fusion.parameters())
    assert all(p.grad is not None and p.grad.any() for p in module.language.layers.parameters())
    terms["fusion"].backward()
    assert all(p.grad is not None for p in module.vision.attention.parameters())
    assert module.vision.resnet.stem.weight.grad.any()
    assert module.fusion.gate.weight.grad.any()


def test_every_parameter_takes_part() -> None:
    module = built()
    module.loss(views(["word", "two"]))["loss"].backward()
    assert [n for n, p in module.named_parameters() if p.grad is None] == []


# --- iterations


def test_iterations_share_their_weights_and_feed_on_the_fusion() -> None:
    once, thrice = built(replace(SMOKE, iterations=1)).eval(), built().eval()
    assert count(once) == count(thrice)
    images = views(WORDS)["images"]
    with torch.no_grad():
        first, all_three = once(images), thrice(images)
        assert (len(first.fusion), len(all_three.fusion)) == (1, 3)
        torch.testing.assert_close(first.fusion[0], all_three.fusion[0])
        features, _ = thrice.vision(images)
        written = all_three.fusion[0]
        corrected, said = thrice.language(written.softmax(-1), spelled_length(written))
    torch.testing.assert_close(said, all_three.language[1])
    torch.testing.assert_close(thrice.fusion(corrected, features), all_three.fusion[1])


def test_an_open_gate_lets_vision_through() -> None:
    fusion = built().fusion
    said, seen = torch.randn(2, 1, PLACES, size_named("micro").dim)
    for bias, wanted in ((50.0, seen), (-50.0, said)):
        nn.init.zeros_(fusion.gate.weight)
        nn.init.constant_(fusion.gate.bias, bias)
        torch.testing.assert_close(fusion(said, seen), fusion.classifier(wanted))


# --- starting from other weights


def smoke_of(method: Method, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    module: nn.Module = method.build(method.recipes["smoke"])
    return module


def test_it_starts_from_vision_and_language() -> None:
    seeing, saying = smoke_of(ABINET_VISION, 1), smoke_of(ABINET_LANGUAGE, 2)
    tensors = {"v": ABINET_VISION.export(seeing), "l": ABINET_LANGUAGE.export(saying)}
    assert ABINET.fresh is not None
    module = built()
    fresh = inherit(module, tensors, fresh=ABINET.fresh)
    assert {name.split(".")[0] for name in fresh} == {"fusion"}
    images, saw = views(WORDS)["images"], module.vision
    assert torch.equal(saw.eval()(images)[1], seeing.eval()(images))
    assert torch.equal(module.language.embed.weight, saying.language.embed.weight)
    module = built()
    alone = inherit(module, {"v": tensors["v"]}, fresh=ABINET.fresh)
    assert {name.split(".")[0] for name in alone} == {"language", "fusion"}


def test_parents_of_other_shapes_are_refused() -> None:
    wide = ABINET_LANGUAGE.build(replace(ABINET_LANGUAGE.recipes["smoke"], charset="94"))
    with pytest.raises(StrbenchError, match=r"language\.embed\.weight of l is \(64, 95\)"):
        inherit(built(), {"l": ABINET_LANGUAGE.export(wide)}, fresh=ABINET.fresh or ())
    with pytest.raises(StrbenchError, match=r"language.* has no place"):
        inherit(
            smoke_of(ABINET_VISION, 0), {"all": ABINET.export(built())}, fresh=ABINET_VISION.fresh or ()
        )  # fmt: skip
    assert {"size", "charset"} <= set(ABINET.shape) & set(ABINET_LANGUAGE.shape)


def test_a_probe_leaves_vision_as_it_is() -> None:
    module = built(replace(SMOKE, probe=True, dropout=0.5)).train()
    batch = views(WORDS)
    before = {name: t.clone() for name, t in module.vision.state_dict().items()}
    features = [module.vision(batch["images"])[0] for _ in range(2)]
    assert torch.equal(*features)  # neither dropout nor batch statistics
    module.loss(batch)["loss"].backward()
    assert all(p.grad is None for p in module.vision.parameters())
    assert all(torch.equal(t, before[n]) for n, t in module.vision.state_dict().items())
    assert all(p.grad is not None for p in module.fusion.parameters())


def test_a_probe_of_vision_alone_trains_what_spells() -> None:
    torch.manual_seed(0)
    module = ABINET_VISION.build(replace(ABINET_VISION.recipes["smoke"], probe=True, dropout=0.5))
    assert isinstance(module, ABINetVision)
    module.train().loss(views(WORDS))["loss"].backward()
    trained = {n.split(".")[1] for n, p in module.named_parameters() if p.grad is not None}
    assert trained == {"attention", "classifier"}
    assert not module.vision.resnet.training
    assert module.vision.attention.training
    assert not ABINET_VISION.build(VisionConfig(size="micro")).frozen


# --- behaviour


def test_it_overfits_8_words_and_reads_them_back() -> None:
    module, batch = built().train(), views(list(WORDS))
    optimiser = torch.optim.Adam(module.parameters(), lr=2e-3)
    for _ in range(150):
        loss = module.loss(batch)
        optimiser.zero_grad()
        loss["loss"].backward()
        optimiser.step()
        if loss["accuracy"] == 1 and loss["loss"] < 0.3:
            break
    for norm in module.modules():  # the running statistics of the last weights
        if isinstance(norm, nn.BatchNorm2d):
            norm.reset_running_stats()
            norm.momentum = None
    with torch.no_grad():
        module.loss(batch)
    assert ABINET.reader is not None
    read = ABINET.reader(module, SMOKE)
    images = word_batch(list(WORDS)).images / 255
    readings = read(images)
    assert [text for text, _ in readings] == [word.lower() for word in WORDS]
    assert all(0 < confidence <= 1 for _, confidence in readings)
    assert module.training  # handed back as it was
    alone = [read(image[None])[0] for image in images[:7]]
    assert [text for text, _ in alone] == [text for text, _ in readings[:7]]
    assert [c for _, c in alone] == pytest.approx([c for _, c in readings[:7]], abs=1e-4)


def test_the_reader_normalises_and_reads_the_last_fusion() -> None:
    module, images = built(), torch.rand(3, 3, 32, 128)
    module.fusion.classifier.bias.data[5] = 50.0
    assert ABINET.reader is not None
    assert [text for text, _ in ABINET.reader(module, SMOKE)(images)] == ["e" * 26] * 3
    assert ABINET_VISION.reader is not None
    seeing = smoke_of(ABINET_VISION, 0)
    words = ABINET_VISION.reader(seeing, SMOKE)(images)
    assert words == read_logits(seeing.eval()(normalised(images)), CHARACTERS).words


# --- pretraining the language model


def no_images(labels: list[str | None]) -> WordBatch:
    n = len(labels)
    images = torch.zeros(n, 3, 0, 0, dtype=torch.uint8)
    return WordBatch(images, torch.ones(n), labels, torch.arange(n))


def test_language_pretraining_reads_labels_alone() -> None:
    assert (ABINET_LANGUAGE.needs_images, ABINET_LANGUAGE.needs_labels) == (False, True)
    assert ABINET_LANGUAGE.reader is None
    batch = ABINET_LANGUAGE.views(LanguageConfig())(no_images(["Word", "x" * 26]))
    assert batch["lengths"].tolist() == [5, 0]
    assert torch.equal(batch["seen"], batch["classes"])
    module = smoke_of(ABINET_LANGUAGE, 0)
    loss = module.loss(batch)  # type: ignore[operator]
    assert loss["unusable"].item() == 0.5
    assert loss["loss"].item() == pytest.approx(math.log(37), rel=0.15)


def test_it_learns_which_letter_is_missing() -> None:
    module = smoke_of(ABINET_LANGUAGE, 0).train()
    batch = ABINET_LANGUAGE.views(LanguageConfig())(no_images(["house", "mouse", "12", "programs"]))
    optimiser = torch.optim.Adam(module.parameters(), lr=3e-3)
    for _ in range(150):
        loss = module.loss(batch)  # type: ignore[operator]
        optimiser.zero_grad()
        loss["loss"].backward()
        optimiser.step()
    # h and m have the same others around them: no cloze test can tell them apart
    assert loss["accuracy"].item() >= 0.75
    assert loss["characters"].item() >= 22 / 24
    assert loss["loss"].item() == pytest.approx(2 * math.log(2) / 24, rel=0.3)


def test_misspelling_has_the_published_chances() -> None:
    n = 6_000
    words = ["abcdefgh"] * n
    changed = misspelled(words, torch.arange(n), CHARACTERS)
    share = sum(word == "abcdefgh" for word in changed) / n
    # a replacement hits its own letter once in 26
    assert share == pytest.approx(0.7 + 0.15 * 0.7 / 26, abs=0.02)
    longer = [word for word in changed if len(word) == 9]
    assert len(longer) / n == pytest.approx(0.15 * 0.15 + 0.1 * 0.21 + 0.05 * 0.227, abs=0.01)
    assert max(map(len, changed)) in (10, 11)
    assert min(map(len, changed)) in (5, 6)
    assert changed == misspelled(words, torch.arange(n), CHARACTERS)


@pytest.mark.parametrize("word", ["a", "1234", "a1", "12ab"])
def test_single_characters_and_numbers_are_not_misspelled(word: str) -> None:
    assert set(misspelled([word] * 400, torch.arange(400), CHARACTERS)) == {word}


def test_short_words_change_once_and_nothing_grows_past_25() -> None:
    changed = misspelled(["abcd"] * 1000, torch.arange(1000), CHARACTERS)
    assert {len(word) for word in changed} == {3, 4, 5}
    assert max(sum(a != b for a, b in zip(w, "abcd", strict=True)) for w in changed if len(w) == 4) == 1  # fmt: skip
    long = misspelled(["ab" * 12 + "a"] * 500, torch.arange(500), CHARACTERS)
    assert max(map(len, long)) == 25


def test_mutation_changes_what_is_seen_and_not_what_is_wanted() -> None:
    config = LanguageConfig(mutate=True)
    batch = ABINET_LANGUAGE.views(config)(no_images(["wordsword"] * 50))
    plain = ABINET_LANGUAGE.views(LanguageConfig())(no_images(["wordsword"] * 50))
    assert torch.equal(batch["classes"], plain["classes"])
    differ = (batch["seen"] != batch["classes"]).any(1).float().mean().item()
    assert 0.1 < differ < 0.5
