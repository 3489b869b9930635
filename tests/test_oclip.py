"""oCLIP: the words of a crop, the three networks above the image's, both losses, and what is handed on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from strbench import rendered
from strbench.baselines.detection.db import DB
from strbench.baselines.parts.backbones import backbone
from strbench.baselines.parts.oclip_networks import (
    AttentionPool,
    Decoder,
    DecoderLayer,
    Deviations,
    EncoderLayer,
    WordEncoder,
)
from strbench.baselines.parts.oclip_words import (
    ASCII,
    alphabet_of,
    encoded,
    resized_crop,
    share_of,
    targets,
    words_in,
)
from strbench.baselines.pretrain.oclip import (
    OCLIP,
    PAPER,
    RECIPES,
    Config,
    WordsInImages,
    _characters,
    _contrast,
    feed,
    views,
)
from strbench.errors import StrbenchError
from strbench.feeds import Item
from strbench.methods import PageBatch, inherit
from strbench.placing import Scene, placed_image
from strbench.store import find_split
from strbench.submissions import read_truth
from strbench.types import Polygon, Region

SMOKE = replace(RECIPES["smoke"], height=96, width=96, words=8)
MASK, END = 95, 96


def box(x: float, y: float, width: float = 20, height: float = 10) -> Polygon:
    return ((x, y), (x + width, y), (x + width, y + height), (x, y + height))


def scene(*texts: str | None, seed: int = 0) -> Scene:
    return Scene(tuple(Region(box(0, 0), text) for text in texts), 96, 96, seed)


def text_of(symbols: Tensor | np.ndarray) -> str:
    """A row of symbols in characters: "_" for the mask, "." for the end, "" for padding."""
    signs = ["", *ASCII, "_", "."]
    return "".join(signs[i] for i in symbols.tolist())


def batch_of(lists: list[list[str]], config: Config = SMOKE) -> dict[str, Tensor]:
    """Images of noise with these words, the first character of each hidden."""
    images = torch.randn(len(lists), 3, config.height, config.width)
    words = torch.stack(
        [
            torch.from_numpy(encoded(some, ASCII, slots=config.words, length=config.word_length))
            for some in lists
        ]
    )
    hidden = words[..., 0].clone()
    words[..., 0] = torch.where(hidden > 0, MASK, 0)
    return {"images": images, "words": words, "hidden": hidden}


LISTS = [["one", "two", "three"], ["four", "five"], ["six", "seven", "eight", "nine"], ["ten"]]


def built(config: Config = SMOKE) -> WordsInImages:
    torch.manual_seed(0)
    module = OCLIP.build(config).train()
    assert isinstance(module, WordsInImages)
    return module


@torch.no_grad()
def lost(module: WordsInImages, batch: dict[str, Tensor]) -> dict[str, float]:
    return {name: float(value) for name, value in module.loss(batch).items()}


@cache
def pages() -> tuple[rendered.Page, ...]:
    drawn = [rendered.draw("rendered_pages/train", index) for index in range(8)]
    return tuple(one for one in drawn if isinstance(one, rendered.Page))


def page_batch(config: Config) -> PageBatch:
    items = [Item((page.image,), 1.0, page.regions) for page in pages()]
    return feed(config).batch(items, [None] * len(items), torch.arange(len(items)))


# --- sizes


def counted(part: nn.Module) -> int:
    return sum(p.numel() for p in part.parameters())


def test_published_numbers_of_parameters_part_by_part() -> None:
    with torch.device("meta"):
        module = OCLIP.build(PAPER)
        large = OCLIP.build(replace(PAPER, size="clip101"))
        lsvt = OCLIP.build(RECIPES["lsvt"])
    assert isinstance(module, WordsInImages)
    assert counted(module) == 48_545_090
    assert counted(module.backbone) == 23_527_264
    assert counted(module.pool) == 13_902_208
    text = module.text
    assert text.embedding.weight.numel() == 97 * 64 == 6_208
    assert text.positions.numel() == 25 * 64 == 1_600
    assert (counted(text.layers), counted(text.norm)) == (299_904, 128)
    assert text.proj.weight.numel() == 64 * 384 == 24_576
    decoder = module.decoder
    assert (counted(decoder.layers), counted(decoder.norm)) == (10_646_784, 768)
    assert counted(decoder.classifier) == 385 * 97 == 37_345
    assert decoder.positions.numel() == 256 * 384 == 98_304
    assert (counted(large), counted(large.backbone)) == (67_537_218, 42_519_392)
    assert (counted(lsvt), counted(lsvt.text.layers)) == (63_020_263, 10_646_784)
    assert counted(lsvt.text.embedding) == 2_017_536
    assert counted(lsvt.decoder.classifier) == 2_022_790


def test_shapes_at_512_pixels() -> None:
    with torch.device("meta"):
        module = OCLIP.build(PAPER)
        stages = module.backbone(torch.empty(2, 3, 512, 512))
        tokens = module.pool(stages[-1])
        words = module.text(torch.empty(2, 32, 25, dtype=torch.int64))
    decoder = built(replace(PAPER, size="clipmicro")).decoder
    logits = decoder(torch.randn(words.shape), torch.randn(2, 256, 384))
    assert [512 // maps.shape[2] for maps in stages] == [4, 8, 16, 32]
    assert tokens.shape == (2, 257, 384)
    assert words.shape == (2, 32, 384)
    assert logits.shape == (2, 32, 97)


# --- the words of a photograph


def test_symbols_count_from_one_and_words_end_within_25_places() -> None:
    long = encoded(["!~", "y" * 24, "y" * 25, "y" * 40], ASCII, slots=5, length=25)
    assert long[0, :4].tolist() == [1, 94, END, 0]
    for row in long[1:4]:  # 24 letters and the end; of 25 and 40 letters 24 are left
        assert row.tolist() == [ord("y") - 32] * 24 + [END]
    assert not long[4].any()


def test_one_character_of_every_word_is_hidden_and_the_draw_is_even() -> None:
    made = targets(ASCII, slots=4, length=25, spaces="split", hides=True)
    places = []
    for seed in range(300):
        found = made(scene("abc", "##", seed=seed))
        assert found["hidden"][2:].tolist() == [0, 0]
        for symbols, hidden in zip(found["words"][:2], found["hidden"], strict=False):
            (place,) = np.flatnonzero(symbols == MASK)
            whole = symbols.copy()
            whole[place] = hidden
            assert text_of(whole) in ("abc.", "##.")
            if text_of(whole) == "abc.":
                places.append(int(place))
        again = made(scene("abc", "##", seed=seed))
        assert all(np.array_equal(found[k], again[k]) for k in found)
    assert min(np.bincount(places)) > 70  # of 100 each, binomial deviation 8


def test_the_end_sign_of_a_word_that_fills_its_slot_can_be_hidden() -> None:
    made = targets(ASCII, slots=1, length=3, spaces="split", hides=True)
    rows = {
        (text_of(found["words"][0]), int(found["hidden"][0]))
        for found in (made(scene("abcd", seed=seed)) for seed in range(60))
    }
    a, b = ord("a") - 32, ord("b") - 32
    assert rows == {("_b.", a), ("a_.", b), ("ab_", END)}


def test_what_is_no_text_is_no_word() -> None:
    regions = [
        Region(box(0, 0), "two words"),
        Region(box(0, 0), "###"),
        Region(box(0, 0), None),
        Region(box(0, 0), "unread", ignored=True),
        Region(box(0, 0), "café"),  # é is no sign of ASCII
        Region(box(0, 0), "日"),
        Region(box(0, 0), "S"),
    ]
    assert words_in(regions, ASCII, "split") == ["two", "words", "caf", "S"]
    assert words_in(regions, ASCII, "drop") == ["twowords", "caf"]
    assert words_in(regions, "日本", "split") == ["日"]


def test_32_of_many_words_are_taken_at_random() -> None:
    made = targets(ASCII, slots=32, length=25, spaces="split", hides=False)
    many = [f"w{i}" for i in range(40)]
    seen = set()
    for seed in range(20):
        found = made(scene(*many, seed=seed))
        assert set(found) == {"words"}
        words = [text_of(row) for row in found["words"]]
        assert len(set(words)) == 32
        seen |= set(words)
        assert words != [f"w{i}." for i in range(32)]
    assert len(seen) == 40


def texts(regions: Sequence[Region]) -> frozenset[str | None]:
    return frozenset(region.text for region in regions)


def test_portions_are_nested_and_belong_to_the_photograph() -> None:
    regions = [Region(box(0, 0), f"w{i}") for i in range(12)]
    regions.insert(3, Region(box(0, 0), "###"))
    kept = {p: share_of(regions, p, "a.jpg") for p in (0.25, 0.5, 0.75, 1.0)}
    assert [len(kept[p]) for p in kept] == [3, 6, 9, 12]
    assert texts(kept[0.25]) < texts(kept[0.5]) < texts(kept[0.75]) < texts(kept[1.0])
    assert list(kept[0.5]) == [r for r in regions if r in kept[0.5]]
    assert kept[0.25] == share_of(regions, 0.25, "a.jpg")
    draws = [texts(share_of(regions, 0.25, f"{i}.jpg")) for i in range(10)]
    assert len(set(draws)) > 5
    assert len(share_of(regions[:1], 0.25, "a.jpg")) == 1
    assert share_of([Region(box(0, 0), "###")], 0.25, "a.jpg") == ()


def test_a_feed_of_a_portion_shows_the_same_texts_every_time(home: Path) -> None:
    rendered.prepare("rendered_pages/train", home / "data", n=6)
    split = find_split("rendered_pages/train", task="detection")
    quarter, whole = (feed(replace(SMOKE, portion=p)) for p in (0.25, 1.0))
    counts = []
    for index in range(6):
        few, many = quarter.load(split, index).regions, whole.load(split, index).regions
        assert few == quarter.load(split, index).regions
        assert texts(few) <= texts(many)
        counts.append((len(few), sum(not r.ignored for r in many)))
    assert all(few == max(1, round(many / 4)) for few, many in counts if many)
    assert any(few < many for few, many in counts)


def test_words_of_ic15s_photographs(shared: Path) -> None:
    truth = read_truth(shared / "real" / "detection" / "ic15_test" / "Gts", "icdar-quad")
    regions = [region for some in truth.values() for region in some]
    assert len(truth) == 500
    # 2,077 texts count in IC15; 18 of them have a space or more within
    assert len(words_in(regions, ASCII, "drop")) == 2077
    assert len(words_in(regions, ASCII, "split")) == 2098
    made = targets(ASCII, slots=32, length=25, spaces="split", hides=True)
    for number, some in enumerate(truth.values()):
        found = made(Scene(tuple(some), 512, 512, number))
        words = words_in(some, ASCII, "split")
        assert (found["hidden"] > 0).sum() == min(32, len(words))
        assert ((found["words"] == MASK).sum(1) == (found["hidden"] > 0)).all()


# --- the crop


def crop_of(rows: int, columns: int, seed: int) -> tuple[float, float, float, float]:
    """Left, top, width and height of a crop in pixels of the photograph."""
    placement = resized_crop(512, 256)(np.random.default_rng(seed), rows, columns, ())
    assert placement.shown == (512, 256)
    left, top, _ = np.linalg.inv(placement.matrix) @ (0, 0, 1)
    return left, top, 256 / placement.matrix[0, 0], 512 / placement.matrix[1, 1]


@pytest.mark.parametrize(("rows", "columns"), [(480, 640), (600, 450), (500, 500), (481, 555)])
def test_crops_show_95_percent_and_stay_inside(rows: int, columns: int) -> None:
    crops = [crop_of(rows, columns, seed) for seed in range(300)]
    for left, top, width, height in crops:
        assert left > -1e-6
        assert top > -1e-6
        assert left + width < columns + 1e-6
        assert top + height < rows + 1e-6
        # whole pixels: half a pixel of either side is lost or won by rounding
        assert width * height > 0.95 * rows * columns - 0.5 * (rows + columns)
        assert 3 / 4 - 0.01 < width / height < 4 / 3 + 0.01
    assert len({round(crop[2]) for crop in crops}) > 10


def test_a_wide_photograph_loses_its_sides_and_a_high_one_its_ends() -> None:
    # no crop of 95 % has a ratio up to 4/3: the middle of 720 * 4/3 = 960 columns
    assert crop_of(720, 1280, 0) == pytest.approx((160, 0, 960, 720))
    assert crop_of(1280, 720, 0) == pytest.approx((0, 160, 720, 960))
    assert crop_of(1, 1, 0) == pytest.approx((0, 0, 1, 1))


def test_words_go_with_the_crop() -> None:
    pixels = np.zeros((720, 1280, 3), np.uint8)
    pixels[:, :100] = 255
    left, middle = Region(box(20, 50), "left"), Region(box(600, 50), "middle")
    made = feed(SMOKE).batch(
        [Item((pixels,), 1.0, (left, middle))], [None], torch.zeros(1, dtype=torch.int64)
    )
    assert made.images.shape == (1, 3, 96, 96)
    assert not made.images.any()  # the white columns are outside of it
    assert int((made.targets["hidden"] > 0).sum()) == 1
    assert made.targets["words"].dtype == made.targets["hidden"].dtype == torch.int64
    placement = resized_crop(96, 96)(np.random.default_rng(0), 720, 1280, ())
    assert np.array_equal(made.images[0].permute(1, 2, 0), placed_image(pixels, placement, 96, 96))


def test_views_are_normalised_as_clip_has_it() -> None:
    white = PageBatch(torch.full((1, 3, 32, 32), 255, dtype=torch.uint8), {}, torch.zeros(1))
    images = views(SMOKE)(white)["images"]
    wanted = [(1 - 0.48145466) / 0.26862954, (1 - 0.4578275) / 0.26130258]
    assert images[0, :2, 0, 0].tolist() == pytest.approx(wanted)


# --- the networks


def by_torch(attention: Any, *tokens: Tensor, causal: bool = False) -> Tensor:
    """PyTorch's own attention with the same weights."""
    names = ("query", "key", "value")
    width = attention.query.in_features
    length = tokens[0].shape[1]
    mask = torch.full((length, length), -torch.inf).triu(1) if causal else None
    out, _ = F.multi_head_attention_forward(
        *(t.transpose(0, 1) for t in tokens),
        embed_dim_to_check=width,
        num_heads=attention.heads,
        in_proj_weight=torch.cat([getattr(attention, n).weight for n in names]),
        in_proj_bias=torch.cat([getattr(attention, n).bias for n in names]),
        bias_k=None,
        bias_v=None,
        add_zero_attn=False,
        dropout_p=0.0,
        out_proj_weight=attention.proj.weight,
        out_proj_bias=attention.proj.bias,
        attn_mask=mask,
    )
    return out.transpose(0, 1)


@torch.no_grad()
def test_every_token_of_the_pool_is_a_query() -> None:
    torch.manual_seed(0)
    pool = AttentionPool(128, 6, 10)
    assert pool.attention.heads == 2  # of 64 channels
    maps = torch.randn(3, 128, 2, 3)
    tokens = torch.cat([maps.mean((2, 3))[:, None], maps.flatten(2).transpose(1, 2)], dim=1)
    tokens = tokens + pool.positions
    torch.testing.assert_close(pool(maps), by_torch(pool.attention, tokens, tokens, tokens))
    changed = maps.clone()
    changed[:, :, 0, 0] += 1
    assert ((pool(changed) - pool(maps)).abs().amax(2) > 1e-6).all()  # one pixel, all 7 tokens


@torch.no_grad()
def test_layers_normalise_where_the_official_ones_do() -> None:
    torch.manual_seed(0)
    deviations = Deviations.of(16, 2)
    words, memory, keys = torch.randn(2, 3, 16), torch.randn(2, 5, 16), torch.randn(2, 5, 16)
    encoder = EncoderLayer(16, 4, deviations)
    normed = encoder.norm1(words)
    inner = words + by_torch(encoder.attention, normed, normed, normed, causal=True)
    torch.testing.assert_close(encoder(words), inner + encoder.mlp(encoder.norm2(inner)))
    decoder = DecoderLayer(16, 4, deviations)
    inner = words + decoder.norm1(by_torch(decoder.attention, words, keys, memory))
    torch.testing.assert_close(
        decoder(words, keys, memory), inner + decoder.mlp(decoder.norm2(inner))
    )
    hidden = decoder.mlp[0](words)
    torch.testing.assert_close(decoder.mlp[1](hidden), hidden * torch.sigmoid(1.702 * hidden))


def word_encoder(*, is_ordered: bool = True) -> WordEncoder:
    torch.manual_seed(0)
    return WordEncoder(
        symbols=97, length=25, width=16, layers=2, heads=4, dim=12, is_ordered=is_ordered
    )


@torch.no_grad()
def test_a_words_vector_is_the_one_at_its_end_and_knows_what_precedes_it() -> None:
    encoder = word_encoder()
    words = torch.from_numpy(encoded(["abc", "abd", "cba", "abc"], ASCII, slots=5, length=25))[None]
    one = encoder(words)[0]
    torch.testing.assert_close(one[0], one[3])
    for other in (1, 2, 4):
        assert (one[0] - one[other]).abs().max() > 1e-4
    behind = words.clone()
    behind[0, 0, 4:] = 7  # behind the end sign, which is the largest symbol
    torch.testing.assert_close(encoder(behind)[0], one)


@torch.no_grad()
def test_a_bag_is_blind_to_order_alone() -> None:
    encoder = word_encoder(is_ordered=False)
    words = torch.from_numpy(encoded(["abc", "cba", "abd"], ASCII, slots=4, length=25))[None]
    vectors = encoder(words)[0]
    torch.testing.assert_close(vectors[0], vectors[1])
    assert (vectors[0] - vectors[2]).abs().max() > 1e-4
    rows = encoder.embedding.weight[[ord(c) - 32 for c in "abc"] + [END]]
    torch.testing.assert_close(vectors[0], encoder.proj(encoder.norm(rows.mean(0))))
    assert not vectors[3].any()


@torch.no_grad()
def test_values_have_no_positions_and_words_do_not_see_each_other() -> None:
    torch.manual_seed(0)
    decoder = Decoder(
        dim=16, places=4, layers=2, heads=4, symbols=97, deviations=Deviations.of(16, 2), classifier=0.25
    )  # fmt: skip
    words, memory = torch.randn(2, 3, 16), torch.randn(2, 4, 16)
    logits = decoder(words, memory)
    changed = words.clone()
    changed[:, 1] += 1
    moved = (decoder(changed, memory) - logits).abs().amax(2)
    assert (moved[:, 1] > 1e-4).all()
    assert not moved[:, [0, 2]].any()
    # tokens that are all alike: whichever a word looks at by its position, it finds the same
    alike = memory[:, :1].expand(-1, 4, -1)
    before = decoder(words, alike)
    decoder.positions += torch.randn(4, 16)
    torch.testing.assert_close(decoder(words, alike), before)
    assert (decoder(words, memory) - logits).abs().max() > 1e-4


def test_weights_are_drawn_with_the_official_deviations() -> None:
    module = built(replace(PAPER, size="clipmicro"))
    pool, text, decoder = module.pool, module.text, module.decoder

    def near(weight: Tensor, deviation: float) -> None:
        assert float(weight.detach().std()) == pytest.approx(deviation, rel=0.1)

    near(pool.positions, 512**-0.5)
    for name in ("query", "key", "value", "proj"):
        near(getattr(pool.attention, name).weight, 512**-0.5)
        assert getattr(pool.attention, name).bias.any()
    near(text.embedding.weight, 0.02)
    near(text.positions, 0.01)
    near(text.proj.weight, 1 / 8)
    near(decoder.positions, 384**-0.5)
    near(decoder.classifier.weight, 1 / 8)  # of the text's 64, not of 384
    for layer in [*text.layers, *decoder.layers]:
        for name in ("query", "key", "value"):
            near(getattr(layer.attention, name).weight, 1 / 8)
            assert not getattr(layer.attention, name).bias.any()
        near(layer.attention.proj.weight, 1 / 8 * 12**-0.5)
        near(layer.mlp[0].weight, 128**-0.5)
        near(layer.mlp[2].weight, 1 / 8 * 12**-0.5)
        assert layer.mlp[0].bias.any()
    assert float(module.logit_scale.detach()) == pytest.approx(2.659, abs=1e-3)
    last = [
        weight
        for name, weight in module.backbone.named_parameters()
        if name.startswith("layer") and name.endswith("bn3.weight")
    ]
    assert len(last) == 4
    assert not any(weight.any() for weight in last)


# --- the losses


def test_the_characters_begin_at_seven_and_the_contrast_at_ln_n() -> None:
    config = replace(PAPER, size="clipmicro", height=160, width=160)
    batch = views(config)(page_batch(config))
    assert int(batch["words"].shape[1]) == 32
    found = lost(built(config), batch)
    assert (
        6 < found["characters"] < 8.5
    )  # the official model: 7.0 to 7.7 on six draws; ln 97 = 4.57
    assert found["contrast"] == pytest.approx(math.log(8), rel=0.1)
    assert found["loss"] == pytest.approx(found["characters"] + found["contrast"], rel=1e-6)
    assert found["scale"] == pytest.approx(1 / 0.07, rel=1e-5)


def test_features_that_are_all_alike_give_ln_n_exactly() -> None:
    row = torch.randn(1, 6).expand(5, 6)
    found = _contrast(row, row, torch.ones(5, dtype=torch.bool), torch.tensor(2.659))
    assert float(found["contrast"]) == pytest.approx(math.log(5), abs=1e-6)


def test_the_contrast_by_hand() -> None:
    # cosines: image 0 with both texts 1 and 0.6, image 1 with them 0 and 0.8; scale 1
    images, texts = torch.tensor([[2.0, 0], [0, 3]]), torch.tensor([[5.0, 0], [3, 4]])
    e = math.exp
    to_text = -math.log(e(1) / (e(1) + e(0.6))) - math.log(e(0.8) / (e(0) + e(0.8)))
    to_image = -math.log(e(1) / (e(1) + e(0))) - math.log(e(0.8) / (e(0.6) + e(0.8)))
    found = _contrast(images, texts, torch.tensor([True, True]), torch.tensor(0.0))
    assert float(found["contrast"]) == pytest.approx((to_text + to_image) / 4)
    assert float(found["matched"]) == 1
    # images 0 and 1 have each other's texts
    crossed = _contrast(images, texts.flip(0), torch.tensor([True, True]), torch.tensor(0.0))
    assert float(crossed["matched"]) == 0


def test_an_image_without_words_takes_no_part_in_the_contrast() -> None:
    images, texts = (torch.randn(4, 6).requires_grad_() for _ in range(2))
    has = torch.tensor([True, False, True, True])
    scale = torch.tensor(2.0, requires_grad=True)
    found = _contrast(images, texts, has, scale)
    without = _contrast(images[has], texts[has], has[has], scale)
    torch.testing.assert_close(found, without)
    found["contrast"].backward()
    assert images.grad is not None
    assert not images.grad[1].any()
    assert images.grad[0].any()
    nothing = _contrast(images, texts, torch.zeros(4, dtype=torch.bool), scale)
    assert float(nothing["contrast"].detach()) == 0
    images.grad = None
    nothing["contrast"].backward()
    assert not images.grad.any()  # type: ignore[attr-defined]


def test_the_loss_of_characters_by_hand_ignores_padding() -> None:
    logits = torch.zeros(1, 3, 4)
    logits[0, 0, 2], logits[0, 2, 1] = math.log(5), 9.0  # 5 of 5 + 3; the third is padding
    found = _characters(logits, torch.tensor([[2, 3, 0]]))
    assert float(found["characters"]) == pytest.approx((math.log(8 / 5) + math.log(4)) / 2)
    assert float(found["accuracy"]) == 0.5
    logits[0, 2] = torch.tensor([7.0, -7, 7, 1])
    torch.testing.assert_close(_characters(logits, torch.tensor([[2, 3, 0]])), found)
    assert float(_characters(logits, torch.zeros(1, 3, dtype=torch.int64))["characters"]) == 0


def test_the_order_of_words_does_not_matter() -> None:
    module, batch = built(), batch_of(LISTS)
    found = lost(module, batch)
    order = torch.tensor([3, 1, 7, 0, 2, 6, 5, 4])
    mixed = {**batch, "words": batch["words"][:, order], "hidden": batch["hidden"][:, order]}
    assert lost(module, mixed) == pytest.approx(found, rel=1e-5)


@torch.no_grad()
def test_empty_slots_are_part_of_the_text_vector_unless_they_are_masked() -> None:
    batch = batch_of(LISTS)
    module, masked = built(), built(replace(SMOKE, masked_mean=True))
    words = module.text(batch["words"])
    assert (words[3, 1:] - words[3, 1]).abs().max() < 1e-6  # one and the same vector, and not zero
    assert words[3, 1].abs().max() > 1e-3
    is_word = batch["words"][..., 0] > 0
    torch.testing.assert_close(module._text_vectors(words, is_word), words.mean(1))
    torch.testing.assert_close(masked._text_vectors(words, is_word)[1], words[1, :2].mean(0))
    changed = batch["words"].clone()
    changed[:, -1, 5] = 11  # what stands in a slot that is no word
    padded = {**batch, "words": changed}
    assert lost(module, padded)["contrast"] != pytest.approx(
        lost(module, batch)["contrast"], rel=1e-7
    )
    assert lost(masked, padded)["contrast"] == pytest.approx(
        lost(masked, batch)["contrast"], rel=1e-6
    )
    assert lost(module, padded)["characters"] == pytest.approx(lost(module, batch)["characters"])


@torch.no_grad()
def test_hiding_a_character_changes_that_words_query_alone() -> None:
    module, batch = built(), batch_of(LISTS)
    before = module.text(batch["words"])
    changed = batch["words"].clone()
    changed[0, 1, 0], changed[0, 1, 1] = ord("t") - 32, MASK  # "_wo" becomes "t_o"
    moved = (module.text(changed) - before).abs().amax(2)
    assert moved[0, 1] > 1e-4
    moved[0, 1] = 0
    assert not moved.any()


def test_the_first_stage_hides_nothing_and_has_no_decoder() -> None:
    config = replace(SMOKE, first_stage=True)
    batch = views(config)(page_batch(config))
    assert set(batch) == {"images", "words"}
    assert not (batch["words"] == MASK).any()
    module = built(config)
    assert not hasattr(module, "decoder")
    assert set(lost(module, batch)) == {"loss", "contrast", "matched", "scale"}


def test_characters_alone_have_no_temperature() -> None:
    module = built(replace(SMOKE, contrast=False))
    found = lost(module, batch_of(LISTS))
    assert set(found) == {"loss", "characters", "accuracy"}
    assert found["loss"] == found["characters"]
    assert not hasattr(module, "logit_scale")


@pytest.mark.parametrize("name", ["contrast-only", "characters-only", "bag"])
def test_every_weight_of_an_ablation_learns(name: str) -> None:
    paper = RECIPES[name]
    config = replace(
        SMOKE, first_stage=paper.first_stage, contrast=paper.contrast, encoder=paper.encoder
    )
    module = built(config)
    module.loss(batch_of(LISTS))["loss"].backward()
    for parameter, value in module.named_parameters():
        assert value.grad is not None, parameter


def test_the_temperature_is_not_bounded() -> None:
    module = built()
    with torch.no_grad():
        module.logit_scale.fill_(math.log(1000))
    assert lost(module, batch_of(LISTS))["scale"] == pytest.approx(1000, rel=1e-5)


# --- settings


def test_recipes_hold_the_published_values() -> None:
    assert (PAPER.lr, PAPER.weight_decay, PAPER.betas, PAPER.eps) == (1e-4, 0.1, (0.9, 0.999), 1e-8)
    assert (PAPER.epochs, PAPER.warmup_steps, PAPER.schedule, PAPER.min_lr) == (
        100,
        10_000,
        "cosine",
        0,
    )
    assert (PAPER.batch_size, PAPER.height, PAPER.words, PAPER.word_length) == (640, 512, 32, 25)
    assert [RECIPES[f"portion{p}"].portion for p in (25, 50, 75)] == [0.25, 0.5, 0.75]


@pytest.mark.parametrize(
    "bad",
    [
        {"height": 500},
        {"portion": 0.0},
        {"portion": 1.5},
        {"symbols": 3},
        {"words": 0},
        {"word_length": 1},
        {"text_width": 60},
        {"first_stage": True, "contrast": False},
    ],
    ids=str,
)
def test_impossible_settings_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(StrbenchError, match=r"\."):
        replace(PAPER, **bad)


def test_an_alphabet_is_read_in_its_order_and_must_fit_the_symbols(tmp_path: Path) -> None:
    file = tmp_path / "signs.txt"
    file.write_text("本日\n曜", encoding="utf-8")
    assert alphabet_of(str(file)) == "本日曜"
    lsvt = replace(SMOKE, alphabet=str(file), symbols=6, spaces="drop")
    item = Item((np.zeros((96, 96, 3), np.uint8),), 1.0, (Region(box(5, 5), "日曜 日"),))
    made = feed(replace(lsvt, first_stage=True)).batch([item], [None], torch.zeros(1).long())
    assert made.targets["words"][0, 0, :4].tolist() == [2, 3, 2, 5]  # mask 4, end 5
    for wrong in (replace(lsvt, symbols=97), replace(SMOKE, symbols=5254)):
        with pytest.raises(StrbenchError, match="symbols"):
            feed(wrong)


@pytest.mark.parametrize("content", [b"", b"aba", b"a b", b"\xff"])
def test_no_alphabet(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "signs.txt"
    file.write_bytes(content)
    with pytest.raises(StrbenchError, match=str(file)):
        alphabet_of(str(file))
    with pytest.raises(StrbenchError, match="missing"):
        alphabet_of(str(tmp_path / "missing.txt"))


# --- what is handed on


@pytest.mark.parametrize("size", ["clipmicro", "clip50"])
@torch.no_grad()
def test_a_detector_of_the_same_size_gets_the_same_maps(size: str) -> None:
    module = built(replace(SMOKE, size=size))
    for part in module.backbone.modules():
        if isinstance(part, nn.BatchNorm2d):  # as after training
            part.running_mean.uniform_(-0.1, 0.1)  # type: ignore[union-attr]
            part.running_var.uniform_(0.5, 1.5)  # type: ignore[union-attr]
            part.weight.uniform_(0.5, 1.5)
    detector = DB.build(replace(DB.recipes["smoke"], size=size))
    assert DB.fresh is not None
    left = inherit(detector, {"oclip": OCLIP.export(module)}, fresh=DB.fresh)
    assert not any(name.startswith("backbone.") for name in left)
    images = torch.randn(1, 3, 64, 96)
    ours, theirs = module.backbone.eval()(images), detector.backbone.eval()(images)
    assert len(ours) == 4
    for one, other in zip(ours, theirs, strict=True):
        assert torch.equal(one, other)
        assert one.std() > 0


def test_a_stock_resnet_refuses_it() -> None:
    with torch.device("meta"):
        module = OCLIP.build(PAPER)
        detector = DB.build(replace(DB.recipes["smoke"], size="r50"))
    own = {f"backbone.{name}" for name in detector.backbone.state_dict()}
    exported = OCLIP.export(module)
    assert len(own & set(exported)) > 200  # many names are the same, and it is another network
    assert DB.fresh is not None
    with pytest.raises(StrbenchError, match="do not fit"):
        inherit(detector, {"oclip": exported}, fresh=DB.fresh)


def test_it_starts_from_an_image_network_alone() -> None:
    module = built()
    before = {name: tensor.clone() for name, tensor in module.pool.state_dict().items()}
    torch.manual_seed(1)
    trunk = {f"backbone.{n}": t for n, t in backbone("clipmicro").state_dict().items()}
    assert OCLIP.fresh is not None
    left = inherit(module, {"earlier": trunk}, fresh=OCLIP.fresh)
    assert {name.partition(".")[0] for name in left} == {"pool", "text", "decoder", "logit_scale"}
    assert torch.equal(module.backbone.conv1.weight, trunk["backbone.conv1.weight"])
    assert all(torch.equal(tensor, before[n]) for n, tensor in module.pool.state_dict().items())


# --- learning


def learned(module: WordsInImages, batch: dict[str, Tensor], *, steps: int) -> dict[str, float]:
    """What the last of some steps of AdamW lost."""
    optimiser = torch.optim.AdamW(module.parameters(), lr=1e-3, weight_decay=0.0)
    found: dict[str, Tensor] = {}
    for _ in range(steps):
        optimiser.zero_grad()
        found = module.loss(batch)
        found["loss"].backward()
        nn.utils.clip_grad_norm_(module.parameters(), 5.0)
        optimiser.step()
    return {name: float(value.detach()) for name, value in found.items()}


@pytest.mark.slow
def test_eight_pages_are_learned_by_heart() -> None:
    config = RECIPES["smoke"]
    batch = views(config)(page_batch(config))
    assert (batch["hidden"] > 0).sum() > 50
    found = learned(built(config), batch, steps=60)
    assert (found["accuracy"], found["matched"]) == (1, 1)
    assert found["loss"] < 0.05


@pytest.mark.slow
def test_a_character_that_the_image_alone_tells_is_learned_too() -> None:
    config = replace(RECIPES["smoke"], contrast=False, words=1)
    batch = views(config)(page_batch(config))
    same = encoded(["xat"], ASCII, slots=1, length=25)
    same[0, 0] = MASK
    batch["words"] = torch.from_numpy(same).expand(8, 1, 25)
    batch["hidden"] = torch.tensor([[ord(c) - 32] for c in "bcfhmprs"])
    found = learned(built(config), batch, steps=100)
    assert found["accuracy"] == 1  # without the image 1 / 8 at most
    assert found["loss"] < 0.2
