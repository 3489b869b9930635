"""STKM: captions of whole photographs, the network that writes them, its loss, and what it hands on."""

from __future__ import annotations

import math
import zipfile
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from strbench import rendered
from strbench.annotations.boxes import read_boxes
from strbench.baselines.detection.db import DB
from strbench.baselines.parts.stkm_networks import POSITIONS, Attention, Shape, divergence
from strbench.baselines.pretrain.stkm import (
    ALPHABETS,
    STKM,
    KnowledgeMiner,
    caption,
    words_of,
)
from strbench.errors import StrbenchError
from strbench.feeds import Item, PageFeed
from strbench.methods import PageBatch, inherit
from strbench.placing import moved
from strbench.types import Region

SMOKE = replace(STKM.recipes["smoke"], precision="fp32", dropout=0.0)
BOX = ((4.0, 4.0), (40.0, 6.0), (40.0, 20.0))
PAPER, CODE = ALPHABETS["paper"], ALPHABETS["repository"]


def built(**changes: object) -> KnowledgeMiner:
    torch.manual_seed(0)
    module = STKM.build(replace(SMOKE, **changes)).train()
    assert isinstance(module, KnowledgeMiner)
    return module


@cache
def pages() -> PageBatch:
    assert STKM.feed is not None
    drawn = [rendered.draw("rendered_pages/train", index) for index in range(8)]
    items = [Item((p.image,), 1.0, p.regions) for p in drawn if isinstance(p, rendered.Page)]
    batch = STKM.feed(SMOKE).batch(items, [None] * len(items), torch.arange(len(items)))
    assert isinstance(batch, PageBatch)
    return batch


def view_of(n: int = 8) -> dict[str, Tensor]:
    return STKM.views(SMOKE)(pages().part(slice(0, n), torch.device("cpu")))


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def read(ids: list[int], characters: str) -> list[str]:
    """The words of a whole caption."""
    assert ids[0] == 1
    inside = ids[1 : ids.index(3)]
    text = "".join("\n" if i == 2 else characters[i - 4] for i in inside)
    return text.split("\n")[:-1]


# --- captions


def test_ids_are_those_of_the_code() -> None:
    assert CODE.classes == 97
    assert len(CODE.characters) == 92
    assert set(PAPER.characters) - set(CODE.characters) == {"Z", "&"}
    assert PAPER.classes == 98  # 10 digits, 52 letters, 32 signs, 4 marks
    for alphabet in (PAPER, CODE):
        assert list(alphabet.characters) == sorted(alphabet.characters)
        assert alphabet.ids("!~") == [4, len(alphabet.characters) + 3]
    # "#" is the third sign; behind "&" the code's ids are one lower, behind "Z" two
    assert (PAPER.ids("#A[")) == [6, 36, 62]
    assert (CODE.ids("#A[")) == [6, 35, 60]
    assert CODE.ids("Z& 店") == [96] * 4
    assert PAPER.ids("a 店b") == PAPER.ids("ab")


def test_words_are_sorted_by_the_codes_of_their_characters() -> None:
    texts = ["to", "Zoo", "a", "A", "10", "2", "to", "###", "~", "Grand Hotel", " "]
    regions = [Region(BOX, text) for text in texts]
    regions += [Region(BOX), Region(BOX, "hidden", ignored=True), Region(BOX, "")]
    expected = ["10", "2", "A", "Grand", "Hotel", "Zoo", "a", "to", "to", "~"]
    assert words_of(regions) == expected


def test_a_caption_by_hand() -> None:
    # "A" is character 32 of ASCII 33 to 126 (counted from 0), so id 36; "a" is 64, so id 68
    ids = caption(["A", "aA"], PAPER, length=9)
    assert ids.tolist() == [1, 36, 2, 68, 36, 2, 3, 0, 0, 0]
    assert ids.dtype == np.int64
    assert caption([], PAPER, length=3).tolist() == [1, 3, 0, 0]
    assert caption(["店", "A"], PAPER, length=3).tolist() == [1, 36, 2, 3]
    assert caption(["店", "A"], CODE, length=5).tolist() == [1, 96, 2, 35, 2, 3]


def test_what_does_not_fit_is_cut_at_a_word() -> None:
    words = ["ab", "cde", "f"]
    # with END: 3 + 1, then 4 more, then 2 more
    for length, kept in ((3, 0), (4, 1), (7, 1), (8, 2), (9, 2), (10, 3)):
        ids = caption(words, PAPER, length=length)
        assert len(ids) == length + 1
        assert read(ids.tolist(), PAPER.characters) == words[:kept], length


@given(st.lists(st.text(PAPER.characters, min_size=1, max_size=6)), st.integers(1, 40))
def test_captions_hold_the_first_words_and_end(words: list[str], length: int) -> None:
    ids = caption(words, PAPER, length=length).tolist()
    kept = read(ids, PAPER.characters)
    assert kept == words[: len(kept)]
    used = 2 + sum(len(word) + 1 for word in kept)  # START and END
    assert ids[used:] == [0] * (length + 1 - used)
    if len(kept) < len(words):
        assert used + len(words[len(kept)]) + 1 > length + 1


def test_real_photographs_fit_into_400(shared: Path) -> None:
    folder = shared / "real" / "annotations" / "totaltext"
    lengths = []
    with zipfile.ZipFile(folder / "clovaai+CLEval/resources/gt/gt_TotalText.zip") as bundle:
        for name in bundle.namelist():
            regions = read_boxes(bundle.read(name), name, layout="polygon")
            words = words_of(regions)
            ids = caption(words, CODE, length=400).tolist()
            lengths.append(ids.index(3))
            seen = "".join(c if c in CODE.characters else "?" for c in "\n".join(words))
            told = "".join("\n?"[i > 95] if i in (2, 96) else CODE.characters[i - 4]
                           for i in ids[1 : ids.index(3)])  # fmt: skip
            assert told.replace("\n", "?") == (seen + "?" if words else "")
    assert len(lengths) == 300
    assert max(lengths) < 400


# --- photographs


def turned(turns: str, n: int = 400) -> list[float]:
    """Degrees of n placements of a photograph of 480 x 640."""
    config = replace(SMOKE, turns=turns)
    assert STKM.feed is not None
    feed = STKM.feed(config)
    assert isinstance(feed, PageFeed)
    found = []
    for seed in range(n):
        placement = feed.place(np.random.default_rng(seed), 480, 640, ())
        a, b = placement.matrix[0, 0], placement.matrix[1, 0]
        assert math.hypot(a, b) == pytest.approx(160 / 640)  # the longer side fits
        # the middle of the padded square stays in the middle of the window
        assert moved(((320.0, 320.0),), placement.matrix)[0] == pytest.approx((80, 80))
        assert placement.shown == (160, 160)
        found.append(math.degrees(math.atan2(b, a)))
    return found


def test_photographs_turn_by_up_to_20_degrees() -> None:
    degrees = turned("paper")
    assert -20 <= min(degrees) < -19 < 19 < max(degrees) <= 20
    assert np.mean(np.abs(degrees)) == pytest.approx(10, abs=1)  # uniform


def test_the_code_turns_half_of_them_and_less() -> None:
    degrees = np.array(turned("repository"))
    still = np.abs(degrees) < 1e-9
    # 10 of 21 whole numbers on each side, one 0
    assert still.mean() == pytest.approx(0.5 + 0.5 / 21, abs=0.08)
    assert np.abs(degrees).max() <= 10
    # |n| is 110 / 21 on average, the factor's 1/2
    assert np.abs(degrees).mean() == pytest.approx(0.5 * 110 / 21 * 0.5, abs=0.4)


def test_a_window_is_the_padded_photograph_with_its_words() -> None:
    config = replace(SMOKE, turns="repository")
    assert STKM.feed is not None
    feed = STKM.feed(config)
    assert isinstance(feed, PageFeed)
    seed = next(s for s in range(20) if np.random.default_rng(s).random() >= 0.5)  # not turned
    white = Item(
        (np.full((480, 640, 3), 255, np.uint8),), 1.0, (Region(BOX, "to"), Region(BOX, "A"))
    )
    batch = feed.batch([white], [None], torch.tensor([seed]))
    assert (batch.images[0, :, :119] == 255).all()
    assert not batch.images[0, :, 121:].any()  # 480 / 640 of 160 rows are the photograph
    assert batch.targets["caption"].shape == (1, 121)
    assert read(batch.targets["caption"][0].tolist(), PAPER.characters) == ["A", "to"]
    view = STKM.views(config)(batch)
    assert view["images"].unique().tolist() == [-1, 1]
    assert torch.equal(view["caption"], batch.targets["caption"])


# --- the network


@pytest.mark.parametrize(
    ("recipe", "layers", "decoder", "generator"),
    [("paper", 4, 10_564_608, 50_274), ("paper", 1, 4_251_648, 50_274)],
)
def test_published_numbers_of_parameters(
    recipe: str, layers: int, decoder: int, generator: int
) -> None:
    with torch.device("meta"):
        module = STKM.build(replace(STKM.recipes[recipe], layers=layers))
    fc = 1000 * 2048 + 1000  # ImageNet's classifier, which the official encoder keeps
    assert count(module.backbone) + count(module.neck) + fc == 33_037_608
    assert count(module.decoder) == decoder
    assert count(module.classifier) == generator


def test_the_code_has_one_layer_and_97_classes() -> None:
    with torch.device("meta"):
        module = STKM.build(STKM.recipes["repository"])
    assert count(module.decoder) == 4_251_648 - 512  # a row of the embedding less
    assert count(module.classifier) == 97 * 513


def test_paper_recipe_holds_the_published_values() -> None:
    paper = STKM.recipes["paper"]
    assert (paper.optimiser, paper.lr, paper.betas) == ("adam", 1e-4, (0.5, 0.999))
    assert (paper.lr_batch, paper.schedule, paper.weight_decay) == (0, "constant", 0)
    assert (paper.batch_size, paper.epochs, paper.height, paper.width) == (32, 10, 512, 512)
    assert (paper.length, paper.layers, paper.alphabet, paper.smoothing) == (400, 4, "paper", 0.1)


def test_shapes_of_a_whole_photograph() -> None:
    with torch.device("meta"):
        module = STKM.build(STKM.recipes["paper"])
        memory = module.encode(torch.empty(2, 3, 512, 512))
        assert memory.shape == (2, 4096, 512)
        assert module.logits(memory, torch.zeros(2, 400, dtype=torch.long)).shape == (2, 400, 98)


def test_positions_start_as_sinusoids_and_learn() -> None:
    module = built()
    table = module.decoder.positions
    assert table.shape == (POSITIONS, SMOKE.dim) == (4096, 64)
    assert table.requires_grad
    assert table[0].tolist() == [0.0, 1.0] * 32
    assert table[7, :2].tolist() == pytest.approx([math.sin(7), math.cos(7)])
    module.loss(view_of(2))["loss"].backward()
    assert table.grad is not None
    longest = int((view_of(2)["caption"] > 0).sum(1).max()) - 1
    assert table.grad[:longest].any(1).all()
    assert not table.grad[longest:].any()


def test_heads_have_a_width_of_their_own() -> None:
    shape = Shape(layers=1, dim=512, heads=8, head=32, hidden=1024)
    attention = Attention(shape, dropout=0.0).double()
    assert attention.query.weight.shape == attention.value.weight.shape == (256, 512)
    tokens, memory = torch.randn(1, 3, 512).double(), torch.randn(1, 5, 512).double()
    gathered = []
    for head in range(8):
        rows = slice(32 * head, 32 * head + 32)
        q, k, v = (
            F.linear(x, part.weight[rows], part.bias[rows])
            for x, part in (
                (tokens, attention.query), (memory, attention.key), (memory, attention.value),
            )
        )  # fmt: skip
        gathered.append((q @ k.transpose(1, 2) / math.sqrt(32)).softmax(-1) @ v)
    expected = F.layer_norm(tokens + attention.out(torch.cat(gathered, -1)), (512,))
    torch.testing.assert_close(attention(tokens, memory), expected)


def test_a_place_in_the_caption_sees_what_is_before_it_and_the_image() -> None:
    module = built(layers=2).eval()
    view = view_of(2)
    memory, ids = module.encode(view["images"]), view["caption"][:, :20]
    whole = module.logits(memory, ids)
    other = ids.clone()
    other[:, 12:] = 5
    changed = module.logits(memory, other)
    torch.testing.assert_close(changed[:, :12], whole[:, :12])
    assert not torch.allclose(changed[:, 12], whole[:, 12])
    assert not torch.allclose(module.logits(memory.flip(0), ids), whole)


def test_the_place_of_a_feature_is_added_to_it() -> None:
    module = built().eval()
    flat = module.encode(torch.zeros(1, 3, 160, 160)).unflatten(1, (20, 20))
    inside = flat[0, 8:12, 8:12]  # far from the border all features are alike, but for their place
    place = module.neck.place
    weight = (place[0].weight[:, :, 0, 0] * place[1].weight[:, None] / math.sqrt(1 + 1e-5)).detach()
    for row, column in ((8, 8), (8, 11), (11, 9)):
        given = torch.sigmoid(weight @ torch.tensor([row / 20, column / 20]))
        base = inside[0, 0] - torch.sigmoid(weight @ torch.tensor([0.4, 0.4]))
        torch.testing.assert_close(flat[0, row, column], base + given, atol=1e-5, rtol=1e-4)


# --- the loss


def test_divergence_by_hand() -> None:
    logits = torch.tensor([[[0.1, 0.2, 0.3, 0.4]]]).log()
    target = torch.tensor([[2]])
    # code: 0.9 on the right one, 0.1 / (4 - 2) on each of ids 1 and 3, none on padding
    expected = 0.9 * math.log(0.9 / 0.3) + 0.05 * (math.log(0.05 / 0.2) + math.log(0.05 / 0.4))
    got = divergence(logits, target, smoothing=0.1, spread="others")
    assert got.item() == pytest.approx(expected, abs=1e-6)
    # paper: 0.1 / 4 on each, and 0.9 more on the right one
    expected = 0.925 * math.log(0.925 / 0.3) + 0.025 * sum(
        math.log(0.025 / p) for p in (0.1, 0.2, 0.4)
    )
    got = divergence(logits, target, smoothing=0.1, spread="all")
    assert got.item() == pytest.approx(expected, abs=1e-6)
    got = divergence(logits, target, smoothing=0.0, spread="others")
    assert got.item() == pytest.approx(-math.log(0.3), abs=1e-6)


@pytest.mark.parametrize("spread", ["others", "all"])
def test_divergence_is_that_of_the_smoothed_truth(spread: str) -> None:
    torch.manual_seed(1)
    logits, target = torch.randn(3, 7, 11).double(), torch.randint(1, 11, (3, 7))
    truth = F.one_hot(target, 11).double()
    truth = truth * 0.9 + 0.1 / 11 if spread == "all" else truth * 0.9
    if spread == "others":
        truth[truth == 0] = 0.1 / 9
        truth[..., 0] = 0.0
    assert torch.allclose(truth.sum(-1), torch.ones(3, 7).double())
    expected = F.kl_div(logits.log_softmax(-1), truth, reduction="none").sum(-1)
    got = divergence(logits, target, smoothing=0.1, spread=spread)
    torch.testing.assert_close(got, expected)
    assert (got > 0).all()
    perfect = divergence(truth.clamp(min=1e-30).log(), target, smoothing=0.1, spread=spread)
    torch.testing.assert_close(perfect, torch.zeros(3, 7).double(), atol=1e-12, rtol=0)


def test_padding_asks_for_nothing() -> None:
    module = built().eval()
    view = view_of(3)
    loss = module.loss(view)
    longer = F.pad(view["caption"], (0, 30))
    assert module.loss({**view, "caption": longer})["loss"] == loss["loss"]
    logits = torch.randn(1, 2, 9)
    target = torch.tensor([[4, 0]])
    assert divergence(logits, target, smoothing=0.1, spread="others")[0, 1] == 0


def test_the_loss_is_a_mean_over_what_is_asked_for() -> None:
    module = built().eval()  # rows do not mix in batch normalisation
    view = view_of(2)
    counts = (view["caption"] > 0).sum(1) - 1
    rows = [module.loss({k: v[i : i + 1] for k, v in view.items()}) for i in range(2)]
    assert counts[0] != counts[1]
    for name in ("loss", "accuracy"):
        mean = sum(row[name] * n for row, n in zip(rows, counts, strict=True)) / counts.sum()
        torch.testing.assert_close(module.loss(view)[name], mean)


@pytest.mark.parametrize(("size", "changes"), [
    ("micro", {}), ("r18", {"dim": 512, "neck": 256, "heads": 8, "head_dim": 32, "hidden": 1024}),
])  # fmt: skip
def test_initial_loss(size: str, changes: dict[str, int]) -> None:
    """Features of unit variance meet weights of variance 1 / (3 dim): logits have one of 1/3.

    The mean of log sum exp is then ln 98 + 1/6, that of the right logit 0. The smoothed truth's own
    entropy is less: 0.9 ln (1 / 0.9) + 0.1 ln (96 / 0.1).
    """
    module = built(size=size, **changes)
    entropy = -0.9 * math.log(0.9) + 0.1 * math.log(96 / 0.1)
    assert entropy == pytest.approx(0.7815, abs=1e-4)
    expected = math.log(98) + 1 / 6 - entropy
    assert expected == pytest.approx(3.970, abs=1e-3)
    # few classes make up most of a caption: their mean logit has a deviation of about 0.13
    assert module.loss(view_of(4))["loss"].item() == pytest.approx(expected, abs=0.4)


def test_every_parameter_gets_a_gradient() -> None:
    module = built(layers=2)
    module.loss(view_of(2))["loss"].backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, name
        # keys' biases move all scores of a row alike, which a softmax does not see
        assert parameter.grad.abs().max() > 1e-9 or name.endswith(("key.bias", "0.bias")), name


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"alphabet": "latin"}, "No alphabet is named 'latin'; near names: "),
        ({"size": "r51"}, "No backbone is named 'r51'"),
        ({"length": 0}, "length=0: expected 1 to 4096"),
        ({"length": 5000}, "length=5000: expected 1 to 4096"),
        ({"smoothing": 1.0}, "smoothing=1.0: expected 0 or more, below 1"),
        ({"fusion": 2}, "fusion=2: expected an odd kernel"),
        ({"spread": "some"}, "No spread of the smoothing is named 'some'"),
    ],
)
def test_settings_that_cannot_be(change: dict[str, object], told: str) -> None:
    with pytest.raises(StrbenchError, match=told):
        STKM.build(replace(SMOKE, **change))


def test_turns_that_nobody_described() -> None:
    assert STKM.feed is not None
    with pytest.raises(StrbenchError, match="No kind of turns is named 'wild'"):
        STKM.feed(replace(SMOKE, turns="wild"))


# --- learning and handing on


@pytest.mark.parametrize("size", ["micro", "r18"])
def test_a_detector_takes_over_the_backbone_to_the_bit(size: str) -> None:
    module = built(size=size)
    optimiser = torch.optim.Adam(module.parameters(), lr=1e-3)
    module.loss(view_of(2))["loss"].backward()
    optimiser.step()  # weights and running statistics are no longer those of any start
    torch.manual_seed(1)
    detector = DB.build(replace(DB.recipes["smoke"], size=size))
    assert DB.fresh is not None
    fresh = inherit(detector, {"stkm": STKM.export(module)}, fresh=DB.fresh)
    assert not any(name.startswith("backbone.") for name in fresh)
    images = torch.randn(2, 3, 96, 128)
    ours, theirs = module.eval().backbone(images), detector.eval().backbone(images)
    assert [tuple(m.shape[2:]) for m in ours] == [(24, 32), (12, 16), (6, 8), (3, 4)]
    for mine, other in zip(ours, theirs, strict=True):
        assert torch.equal(mine, other)


def written(module: KnowledgeMiner, images: Tensor, length: int) -> list[list[int]]:
    """The likeliest id after each, from START on."""
    memory = module.encode(images)
    ids = torch.ones(len(images), 1, dtype=torch.long)
    for _ in range(length):
        ids = torch.cat([ids, module.logits(memory, ids)[:, -1:].argmax(-1)], 1)
    rows: list[list[int]] = ids.tolist()
    return rows


@pytest.mark.slow
@torch.no_grad()
def test_it_writes_the_sorted_words_of_eight_pages_by_heart() -> None:
    module, view = built(), view_of()
    optimiser = torch.optim.Adam(module.parameters(), lr=2e-3)
    for _ in range(160):
        with torch.enable_grad():
            loss = module.loss(view)["loss"]
            optimiser.zero_grad()
            loss.backward()
        optimiser.step()
    got = written(module.eval(), view["images"], SMOKE.length)
    wanted = [sorted(words_of(page.regions)) for page in (
        rendered.draw("rendered_pages/train", index) for index in range(8)
    )]  # fmt: skip
    assert [read(row, PAPER.characters) for row in got] == wanted
