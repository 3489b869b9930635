"""VLPT-STD: word pieces and what is hidden of them, captions of photographs, three losses, what is handed on."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from strbench import registry, rendered
from strbench.baselines.parts.vlpt_networks import (
    HIGHEST_SCALE,
    Contrast,
    FusedPyramid,
    nearest,
)
from strbench.baselines.parts.word_pieces import (
    BUILT_IN,
    END,
    IGNORED,
    MASK,
    PAD,
    SPECIAL,
    START,
    UNKNOWN,
    Ids,
    Vocabulary,
    built_in,
    dropped_in,
    hidden,
    named,
)
from strbench.baselines.pretrain.vlpt import (
    RECIPES,
    VLPT,
    CaptionFeed,
    Config,
    VisionLanguage,
    caption_of,
    feed,
)
from strbench.errors import StrbenchError
from strbench.feeds import Item, PageFeed
from strbench.methods import inherit
from strbench.optim import learning_rate
from strbench.region_protocols import REGION_PROTOCOLS
from strbench.submissions import read_truth
from strbench.types import Region

SMOKE = RECIPES["smoke"]
STILL = replace(SMOKE, dropout=0.0)
BOX = ((1.0, 1.0), (3.0, 1.0), (3.0, 3.0), (1.0, 3.0))


# --- word pieces

SMALL = Vocabulary((*SPECIAL, "un", "##able", "##a", "go", "!", "a", "中", "cafe", "'", "s"))


def pieces(text: str, vocabulary: Vocabulary = SMALL) -> list[str]:
    return [vocabulary.pieces[i] for i in vocabulary.encode(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Unable", ["un", "##able"]),  # and not un, ##a, ...
        ("GO!! \t go", ["go", "!", "!", "go"]),
        ("Café's", ["cafe", "'", "s"]),  # signs are words of their own
        ("go中go", ["go", "中", "go"]),  # and so are Chinese characters
        ("g\x00o\u200d", ["go"]),  # control characters vanish
        ("gone unab a", [UNKNOWN, UNKNOWN, "a"]),  # a word is known as a whole or not at all
        ("a" + "a" * 99, ["a", *["##a"] * 99]),
        ("a" + "a" * 100, [UNKNOWN]),  # the longest word has 100 letters
        (" ", []),
    ],
)
def test_pieces_of_a_text(text: str, expected: list[str]) -> None:
    assert pieces(text) == expected


def test_a_caption_is_closed_cut_and_filled_up() -> None:
    ids, length = SMALL.caption("unable go", 7)
    assert [SMALL.pieces[i] for i in ids] == [START, "un", "##able", "go", END, PAD, PAD]
    assert length == 5
    ids, length = SMALL.caption("unable go", 4)
    assert [SMALL.pieces[i] for i in ids] == [START, "un", "##able", END]
    assert length == 4
    ids, length = SMALL.caption("", 3)
    assert [SMALL.pieces[i] for i in ids] == [START, END, PAD]


def often(text: str, longest: int, share: float, n: int = 3000) -> tuple[Ids, Ids, Ids]:
    """The ids of a caption, and what n draws made of it and hid (n, longest)."""
    ids, length = SMALL.caption(text, longest)
    rng = np.random.default_rng(0)
    drawn = [hidden(ids, length, SMALL, rng, share=share) for _ in range(n)]
    return ids, np.stack([shown for shown, _ in drawn]), np.stack([labels for _, labels in drawn])


def test_whole_words_are_hidden() -> None:
    ids, shown, labels = often("unable go unable", 12, 0.25)
    gone = labels != IGNORED
    # [CLS] un ##able go un ##able [SEP]: 3 of 12 places, no piece of a word without the other
    assert (gone[:, 1] == gone[:, 2]).all()
    assert (gone[:, 4] == gone[:, 5]).all()
    assert gone.sum(1).max() == 3
    assert not gone[:, [0, 6, 7, 8, 9, 10, 11]].any()
    assert (labels[gone] == np.broadcast_to(ids, labels.shape)[gone]).all()
    assert (shown[~gone] == np.broadcast_to(ids, labels.shape)[~gone]).all()


def test_padding_is_drawn_in_vain() -> None:
    # one word and 7 places of padding, of which round(0.15 * 10) = 2 are drawn
    _, _, labels = often("go", 10, 0.15)
    assert (labels[:, 1] != IGNORED).mean() == pytest.approx(2 / 8, abs=0.03)
    # at least one is drawn, however small the share: the only candidate
    _, _, labels = often("go", 3, 0.0, n=5)
    assert (labels[:, 1] != IGNORED).all()


def test_a_word_longer_than_what_is_left_is_never_hidden() -> None:
    # a, ##a, ##a: 3 pieces, and round(0.2 * 10) = 2 are to be hidden
    _, _, labels = often("aaa", 10, 0.2, n=300)
    assert (labels == IGNORED).all()
    _, _, labels = often("aaa", 10, 0.3, n=300)
    assert (labels != IGNORED).any()


def test_what_becomes_of_hidden_pieces() -> None:
    _, shown, labels = often("go go go go go go", 8, 0.75)
    gone = labels != IGNORED
    assert gone[:, 1:-1].all()
    masked = shown[gone] == SMALL.numbers[MASK]
    same = shown[gone] == SMALL.numbers["go"]
    n = len(SMALL)
    # 10 % become any piece, the mask and the piece itself among them
    assert masked.mean() == pytest.approx(0.8 + 0.1 / n, abs=0.01)
    assert same.mean() == pytest.approx(0.1 + 0.1 / n, abs=0.01)
    assert set(shown[gone].tolist()) == set(range(n))


def test_unknown_words_are_not_to_be_told() -> None:
    _, _, labels = often("zoo go", 4 + 1, 0.4)
    assert (labels[:, 1] == IGNORED).all()
    assert (labels[:, 2] != IGNORED).any()


# --- vocabularies


def test_the_built_in_vocabulary_spells_every_word_and_sign() -> None:
    vocabulary = built_in(2_048)
    assert len(vocabulary) == 2_048
    assert vocabulary.pieces[:7] == (*SPECIAL, "!", '"')
    # 5 special, 94 signs less 26 capitals, 36 letters and digits that continue
    assert vocabulary.pieces[5 + 68 + 36 :][:3] == ("##in", "##ed", "##er")
    listed = rendered.wordlist.LIST.read_text(encoding="ascii").split()[::5]
    numbers = [vocabulary.encode(word) for word in listed]
    unknown = vocabulary.numbers[UNKNOWN]
    assert not any(unknown in n for n in numbers)
    assert np.mean([len(n) for n in numbers]) == pytest.approx(2.7, abs=0.05)
    assert unknown not in vocabulary.encode(rendered.wordlist.SIGNS)


def test_the_built_in_vocabulary_has_limits() -> None:
    assert len(built_in(109)) == 109
    for size in (108, 1_000_000):
        with pytest.raises(StrbenchError, match="109 to"):
            built_in(size)


def test_a_vocabulary_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "vocab.txt"
    path.write_text("\n".join(SMALL.pieces) + "\n", encoding="utf-8")
    assert named(str(path), len(SMALL)) == SMALL
    with pytest.raises(StrbenchError, match="has 15 pieces; expected 30,522") as caught:
        named(str(path), 30_522)
    assert "pieces=15" in caught.value.hint
    path.write_text("a\nb\n")
    with pytest.raises(StrbenchError, match=r"lacks \[PAD\], \[UNK\]"):
        named(str(path), 2)
    path.write_text("\n".join((*SPECIAL, "a", "a")))
    with pytest.raises(StrbenchError, match="repeats a piece"):
        named(str(path), 7)
    path.write_bytes(b"\xff\xfe")
    for wrong in (path, tmp_path / "none.txt"):
        with pytest.raises(StrbenchError, match="cannot be read"):
            named(str(wrong), 2)


def test_the_paper_recipe_asks_for_berts_vocabulary(home: Path) -> None:
    with pytest.raises(StrbenchError, match="BERT-Base, Uncased") as caught:
        feed(RECIPES["paper"])
    assert "vocabulary=vocab.txt" in caught.value.hint


def test_the_vocabulary_in_the_home_is_found(home: Path) -> None:
    path = home / "raw" / "bert-base-uncased" / "vocab.txt"
    assert path == dropped_in()
    path.parent.mkdir(parents=True)
    path.write_text("\n".join(SMALL.pieces) + "\n", encoding="utf-8")
    assert named("", len(SMALL)) == SMALL
    with pytest.raises(StrbenchError, match="expected 30,522"):
        feed(RECIPES["paper"])


# --- photographs in


def test_what_counts_as_a_word_of_a_caption() -> None:
    regions = [
        Region(BOX, "Open"),
        Region(BOX, "###"),
        Region(BOX, "faint", ignored=True),
        Region(BOX, None),
        Region(BOX, "all day"),
    ]
    assert caption_of(regions) == "Open all day"


def test_captions_of_real_photographs(shared: Path) -> None:
    folder = shared / "oracles" / "detection" / "ic15_iou_pixellink" / "gt"
    truth = read_truth(folder, REGION_PROTOCOLS["ic15-iou"].files)
    captions = [caption_of(regions) for regions in truth.values()]
    assert len(captions) == 500
    # 2,077 regions count in IC15; blanks within their texts make 21 words more
    assert sum(len(caption.split()) for caption in captions) == 2_077 + 21
    assert not any("###" in caption for caption in captions)


def photograph(colour: int = 255) -> Item:
    """60 x 100 pixels of one colour, the word "go" in its upper left corner."""
    return Item((np.full((60, 100, 3), colour, np.uint8),), 1.0, (Region(BOX, "go"),))


def test_photographs_are_stretched_and_turned_and_keep_their_words() -> None:
    pages = feed(SMOKE)
    batch = pages.batch([photograph()] * 12, [None] * 12, torch.arange(12))
    assert batch.images.shape == (12, 3, 160, 160)
    ids = batch.targets["ids"]
    assert (ids == ids[0]).all(), "a word that was turned out of sight is still in the caption"
    by_outline = PageFeed(height=160, width=160, place=pages.place, targets=pages.targets)
    seen = by_outline.batch([photograph()] * 12, [None] * 12, torch.arange(12)).targets["length"]
    assert seen.min() < seen.max() == batch.targets["length"][0]
    assert (batch.images[:, :, 80, 80] == 255).all()
    dark = (batch.images == 0).all(1)
    assert (dark[:, 0, 0] | dark[:, 0, -1]).all()
    # The sides of a square turned by a cross its own sides: at each corner a triangle with the legs
    # h cos a and h sin a is black, and h (1 + cos a + sin a) is the whole side.
    c, s = math.cos(math.radians(20)), math.sin(math.radians(20))
    most = 4 * (c * s / 2) / (1 + c + s) ** 2  # 12 % of the image
    assert 0 < dark.float().mean((1, 2)).max() < most + 0.01
    angles = [turned(pages, seed) for seed in range(200)]
    assert -20 <= min(angles) < -17
    assert 17 < max(angles) <= 20


def turned(pages: CaptionFeed, seed: int) -> float:
    """Degrees by which a photograph of 60 x 100 is turned after it was stretched to 160 x 160."""
    placement = pages.place(np.random.default_rng(seed), 60, 100, ())
    turn = placement.matrix[:2, :2] @ np.diag((100 / 160, 60 / 160))
    np.testing.assert_allclose(turn @ turn.T, np.eye(2), atol=1e-12)
    np.testing.assert_allclose(placement.matrix @ (50, 30, 1), (80, 80, 1), atol=1e-9)
    return math.degrees(math.atan2(turn[1, 0], turn[0, 0]))


def test_what_is_hidden_is_the_seeds() -> None:
    pages = feed(SMOKE)
    seeds = torch.tensor([5, 6, 5, 7, 8, 9])
    words = photograph()._replace(regions=tuple(Region(BOX, c) for c in "abcdefghijklmnop"))
    labels = pages.batch([words] * 6, [None] * 6, seeds).targets["labels"]
    assert torch.equal(labels[0], labels[2])
    assert len({tuple(row) for row in labels.tolist()}) == 5


# --- the network


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_published_numbers_of_parameters() -> None:
    with torch.device("meta"):
        module = VisionLanguage(Config())
    assert count(module) == 66_070_396
    classifier = 2048 * 1000 + 1000  # ImageNet's, which the official backbone has and never uses
    assert count(module) + classifier == 68_119_396
    assert count(module.backbone) + classifier == 25_557_032
    assert count(module.image.pyramid) == 983_040
    assert count(module.image.projection) == 393_600
    assert count(module.image.layer) == 1_774_464
    assert module.image.positions.numel() == 393_600
    assert count(module.backbone) + classifier + count(module.image) == 29_102_888
    assert count(module.text) == 17_057_664
    assert count(module.cross) == 9_467_136
    assert count(module.head) == 11_899_578
    assert VLPT.card.parameters["r50"] == 66_070_396


def test_an_image_of_512_pixels_is_1025_tokens() -> None:
    with torch.device("meta"):
        module = VisionLanguage(Config())
        tokens = module.image(module.backbone(torch.zeros(2, 3, 512, 512)))
        text = module.text(torch.zeros(2, 30, dtype=torch.int64), torch.ones(2, 30).bool())
        logits = module.head(module.cross(text, torch.ones(2, 30).bool(), tokens))
    assert tokens.shape == (2, 1025, 384)
    assert text.shape == (2, 30, 384)
    assert logits.shape == (2, 30, 30_522)


def test_the_pyramid_by_hand() -> None:
    pyramid = FusedPyramid((1, 1, 1, 1), 1)
    for i, lateral in enumerate(pyramid.lateral):
        assert isinstance(lateral, nn.Conv2d)
        nn.init.constant_(lateral.weight, 10.0**i)
    stages = [torch.ones(1, 1, side, side) for side in (8, 4, 2, 1)]
    fused = pyramid(stages)
    # P5 = 1000, P4 = 100 + P5, P3 = 10 + P4, P2 = 1 + P3, all at the size of C3
    expected = torch.tensor([1111.0, 1110.0, 1100.0, 1000.0])
    assert torch.equal(fused, expected.view(1, 4, 1, 1).expand(1, 4, 4, 4))


def test_paper_recipe_holds_the_released_values() -> None:
    paper = RECIPES["paper"]
    assert (paper.optimiser, paper.lr, paper.betas, paper.eps) == ("adamw", 1e-4, (0.9, 0.98), 1e-8)
    assert (paper.batch_size, paper.steps, paper.weight_decay) == (800, 180_000, 0.01)

    def rate(step: int) -> float:
        return learning_rate(paper, step, paper.steps, peak=paper.lr, warmup=paper.warmup_steps)

    assert rate(0) == 0
    assert rate(1_250) == pytest.approx(0.5e-4)
    assert rate(2_500) == pytest.approx(1e-4)
    assert rate(2_500 + 177_500 // 2) == pytest.approx(0.5e-4)
    assert rate(179_999) == pytest.approx(1e-4 / 177_500)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"height": 500}, "multiples of 32"),
        ({"dim": 100, "heads": 3}, "no multiple of heads"),
        ({"itc": False, "wip": False, "mlm": False}, "all off"),
        ({"candidates": 1}, "2 to 2048"),
        ({"candidates": 4_096}, "2 to 2048"),
        ({"longest": 2}, "3 or more"),
        ({"hide": 1.5}, "0 to 1"),
        ({"size": "r51"}, "No backbone is named 'r51'"),
    ],
)
def test_settings_that_cannot_be(settings: dict[str, object], message: str) -> None:
    with pytest.raises(StrbenchError, match=message):
        VisionLanguage(replace(SMOKE, **settings))  # type: ignore[arg-type]


# --- losses


@cache
def items() -> tuple[Item, ...]:
    pages = [rendered.draw("rendered_pages/train", index) for index in range(8)]
    return tuple(Item((p.image,), 1.0, p.regions) for p in pages if isinstance(p, rendered.Page))


def batch_of(config: Config, *, n: int = 8) -> dict[str, Tensor]:
    return VLPT.views(config)(feed(config).batch(items()[:n], [None] * n, torch.arange(n)))


def built(config: Config) -> VisionLanguage:
    torch.manual_seed(0)
    return VisionLanguage(config).train()


@torch.no_grad()
def lost(module: VisionLanguage, batch: dict[str, Tensor]) -> dict[str, float]:
    return {name: value.item() for name, value in module.loss(batch).items()}


def test_initial_losses_of_the_papers_widths() -> None:
    config = replace(RECIPES["paper"], size="micro", vocabulary=BUILT_IN, height=160, width=160)
    assert config.pieces == 30_522
    losses = lost(built(config), batch_of(config))
    assert losses["itc"] == pytest.approx(math.log(8), rel=0.1)
    assert losses["wip"] == pytest.approx(math.log(64), abs=0.5)
    assert losses["mlm"] == pytest.approx(math.log(30_522), abs=0.3)
    assert losses["loss"] == pytest.approx(losses["itc"] + losses["wip"] + losses["mlm"])


def test_contrast_of_pairs_by_hand() -> None:
    contrast = plain_contrast(3, scale=math.log(2))
    rows = torch.eye(3)
    # cosines 1 and 0, times 2: -ln(e^2 / (e^2 + 1 + 1)) either way
    loss, right = contrast.pairs(rows * 5, rows)
    assert loss.item() == pytest.approx(math.log((math.exp(2) + 2) / math.exp(2)))
    assert right == 1
    loss, right = contrast.pairs(rows, rows.roll(1, 0))
    assert loss.item() == pytest.approx(math.log(math.exp(2) + 2))
    assert right == 0


def plain_contrast(dim: int, *, scale: float) -> Contrast:
    """One that projects to what it is given."""
    contrast = Contrast(dim)
    for part in (contrast.image, contrast.text):
        nn.init.eye_(part.weight)
        nn.init.zeros_(part.bias)
    nn.init.constant_(contrast.scale, scale)
    return contrast


def test_what_is_chosen_from_gets_no_gradient() -> None:
    contrast = plain_contrast(4, scale=1.0)
    torch.manual_seed(0)
    image, text = torch.randn(3, 4, requires_grad=True), torch.randn(3, 4, requires_grad=True)
    contrast.pairs(image, text)[0].backward()
    seen, said = nn.functional.normalize(image, dim=1), nn.functional.normalize(text, dim=1)
    choice = nn.functional.cross_entropy(math.e * seen @ said.detach().T, torch.arange(3))
    (expected,) = torch.autograd.grad(choice / 2, image)
    torch.testing.assert_close(image.grad, expected)


def test_nearest_rows_by_hand() -> None:
    # directions 0, 10, 90 and 40 degrees, of different lengths
    degrees = torch.tensor([0.0, 10.0, 90.0, 40.0]).deg2rad()
    lengths = torch.tensor([1.0, 9.0, 0.1, 3.0])
    table = (torch.stack([degrees.cos(), degrees.sin()], 1) * lengths[:, None]).requires_grad_()
    before = table.detach().clone()
    found = nearest(table, torch.tensor([0, 2, 3]), 3)
    assert found.tolist() == [[0, 1, 3], [2, 3, 1], [3, 1, 0]]
    assert torch.equal(table.detach(), before)
    equal = torch.ones(5, 2)
    assert nearest(equal, torch.arange(5), 2)[:, 0].tolist() == [0, 1, 2, 3, 4]


def test_the_target_column_is_the_true_piece_everywhere() -> None:
    module = built(SMOKE)
    ids = torch.arange(SMOKE.pieces)
    assert torch.equal(nearest(module.text.words.weight, ids, 64)[:, 0], ids)


def test_choosing_a_piece_by_hand() -> None:
    contrast = plain_contrast(2, scale=math.log(3))
    table = torch.tensor([[2.0, 0.0], [0.0, 1.0]])
    image = torch.tensor([[1.0, 0.0]])
    ids, counts = torch.tensor([[0, 1, 0]]), torch.tensor([[True, True, False]])
    # cosines times 3: piece 0 is seen (3 against 0), piece 1 is not (0 against 3)
    expected = (math.log(1 + math.exp(-3)) + math.log(1 + math.exp(3))) / 2
    loss = contrast.words(image, table, ids, counts, count=2)
    assert loss.item() == pytest.approx(expected)
    none = torch.zeros(1, 3, dtype=torch.bool)
    assert contrast.words(image, table, ids, none, count=2) == 0


def test_pieces_that_are_not_to_be_told_in_the_image() -> None:
    batch = batch_of(STILL)
    module = built(STILL)
    before = lost(module, batch)["wip"]
    places = torch.arange(STILL.longest)
    length = batch["length"][:, None]
    silent = (
        (places == 0) | (places == length - 1) | (places >= length) | (batch["labels"] != IGNORED)
    )
    assert (batch["labels"] != IGNORED).any()
    other = (batch["ids"] + 700) % STILL.pieces
    assert lost(module, {**batch, "ids": torch.where(silent, other, batch["ids"])})["wip"] == before
    for row, place in (~silent).nonzero()[::5].tolist():
        ids = batch["ids"].clone()
        ids[row, place] = other[row, place]
        assert lost(module, {**batch, "ids": ids})["wip"] != before


def test_padding_is_not_looked_at() -> None:
    batch, module = batch_of(STILL), built(STILL)
    padding = torch.arange(STILL.longest) >= batch["length"][:, None]
    assert padding.any()
    shown = torch.where(padding, 7, batch["shown"])
    before, after = lost(module, batch), lost(module, {**batch, "shown": shown})
    assert after == pytest.approx(before, rel=1e-5)
    assert lost(module, {**batch, "shown": batch["ids"]})["mlm"] != pytest.approx(before["mlm"])


@pytest.mark.parametrize(("term", "token"), [("itc", 0), ("wip", 1)])
def test_which_token_of_the_image_takes_part(term: str, token: int) -> None:
    module = built(STILL)
    kept: list[Tensor] = []
    module.image.register_forward_hook(lambda _, __, tokens: kept.append(tokens))
    losses = module.loss(batch_of(STILL, n=4))
    (gradient,) = torch.autograd.grad(losses[term], kept[0])
    assert gradient.abs().sum((0, 2)).nonzero().flatten().tolist() == [token]


@pytest.mark.parametrize(("start", "kept"), [(9.0, HIGHEST_SCALE), (-1.0, 0.0), (2.0, 2.0)])
def test_scales_stay_between_one_and_a_hundred(start: float, kept: float) -> None:
    module = built(STILL)
    for contrast in (module.itc, module.wip):
        nn.init.constant_(contrast.scale, start)
    lost(module, batch_of(STILL, n=4))
    assert math.exp(HIGHEST_SCALE) == pytest.approx(100)
    for contrast in (module.itc, module.wip):
        assert contrast.scale.item() == pytest.approx(kept)


@pytest.mark.parametrize("only", ["itc", "wip", "mlm"])
def test_losses_are_switched_off_with_what_they_alone_train(only: str) -> None:
    config = replace(STILL, **{name: name == only for name in ("itc", "wip", "mlm")})  # type: ignore[arg-type]
    batch = batch_of(STILL, n=4)
    whole, losses = lost(built(STILL), batch), lost(built(config), batch)
    assert losses["loss"] == losses[only] == pytest.approx(whole[only])
    assert {"itc", "wip", "mlm"} & losses.keys() == {only}
    module = built(config)
    module.loss(batch)["loss"].backward()
    for name, parameter in module.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad, name
    assert all(p.grad is not None for p in module.backbone.parameters())
    resting = {name.split(".")[0] for name, p in module.named_parameters() if not p.requires_grad}
    assert (
        resting
        == {
            "itc": {"wip", "cross", "head"},
            "wip": {"itc", "cross", "head", "text"},
            "mlm": {"itc", "wip"},
        }[only]
    )


def test_photographs_without_words() -> None:
    blank = [photograph()._replace(regions=()) for _ in range(4)]
    batch = VLPT.views(STILL)(feed(STILL).batch(blank, [None] * 4, torch.arange(4)))
    assert batch["length"].tolist() == [2] * 4
    module = built(STILL)
    losses = module.loss(batch)
    assert losses["wip"] == losses["mlm"] == losses["told"] == 0
    losses["loss"].backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in module.parameters())


@pytest.mark.slow
def test_it_learns_eight_pages_by_heart() -> None:
    batch, module = batch_of(STILL), built(STILL)
    optimiser = torch.optim.AdamW(module.parameters(), lr=1e-3)
    for _ in range(150):
        optimiser.zero_grad()
        losses = module.loss(batch)
        losses["loss"].backward()
        nn.utils.clip_grad_norm_(module.parameters(), 5.0)
        optimiser.step()
    assert losses["retrieval"] == 1
    assert losses["told"] == 1


# --- what is handed on


@pytest.mark.parametrize("fed", VLPT.feeds)
@pytest.mark.parametrize("size", ["micro", "r18"])
def test_the_backbone_is_taken_over_whole_and_says_the_same(fed: str, size: str) -> None:
    parent = built(replace(STILL, size=size))
    with torch.no_grad():
        parent.backbone(torch.randn(2, 3, 64, 64))  # moves the running statistics
    exported = VLPT.export(parent)
    assert {name.split(".")[0] for name in exported} == {"backbone"}
    assert len(exported) == len(parent.backbone.state_dict())
    child = registry.load("models", fed)
    torch.manual_seed(1)
    module = child.build(replace(child.recipes["smoke"], size=size))
    left = inherit(module, {"parent": exported}, fresh=child.fresh)
    assert not any(name.startswith("backbone.") for name in left)
    images = torch.randn(2, 3, 96, 64)
    with torch.no_grad():
        mine, theirs = parent.eval().backbone(images), module.eval().backbone(images)
    assert [tuple(maps.shape[2:]) for maps in mine] == [(24, 16), (12, 8), (6, 4), (3, 2)]
    assert all(torch.equal(a, b) for a, b in zip(mine, theirs, strict=True))


def test_it_starts_from_another_pretrainings_backbone() -> None:
    exported = VLPT.export(built(STILL))
    torch.manual_seed(1)
    module = VisionLanguage(STILL)
    assert VLPT.fresh is not None
    left = inherit(module, {"parent": exported}, fresh=VLPT.fresh)
    assert len(left) == len(module.state_dict()) - len(exported)
    assert torch.equal(
        module.backbone.state_dict()["conv1.weight"], exported["backbone.conv1.weight"]
    )
