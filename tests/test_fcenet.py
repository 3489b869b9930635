"""FCENet: its network, its losses by hand, its settings and placements, and that it learns."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from strbench import registry, rendered
from strbench.baselines.detection.fcenet import FCENET, RECIPES, Config, FourierContours, feed
from strbench.baselines.parts.fourier_maps import DEGREE, STRIDES, TESTS, targets
from strbench.errors import StrbenchError
from strbench.feeds import Item, PageFeed
from strbench.geometry import bounds
from strbench.methods import PageBatch, inherit
from strbench.placing import Placement, Scene, placed_regions, scaling, stretched
from strbench.region_protocols import region_protocol
from strbench.region_scoring import score_regions
from strbench.types import Polygon, Region

LN2 = math.log(2)


def box(x: float, y: float, width: float, height: float) -> Polygon:
    return ((x, y), (x + width, y), (x + width, y + height), (x, y + height))


def scene_of(*regions: Polygon | Region, height: int = 320, width: int = 320) -> Scene:
    made = (r if isinstance(r, Region) else Region(r, "word") for r in regions)
    return Scene(tuple(made), height, width, 0)


# --- the network and its loss


def built(**changes: Any) -> FourierContours:
    torch.manual_seed(0)
    return FourierContours(replace(RECIPES["smoke"], **changes)).train()


def batch_of(*scenes: Scene) -> dict[str, Tensor]:
    maps = [targets(scene, "default") for scene in scenes]
    batch = {name: torch.from_numpy(np.stack([m[name] for m in maps])) for name in maps[0]}
    generator = torch.Generator().manual_seed(0)
    return {
        "images": torch.randn(
            len(scenes), 3, scenes[0].height, scenes[0].width, generator=generator
        ),
        **batch,
    }


def telling(batch: dict[str, Tensor], *, sure: float = 0.0, off: complex = 0) -> FourierContours:
    """A network that says the truth with that logit, and contours moved by ``off`` level pixels."""

    class Telling(FourierContours):
        def levels(self, images: Tensor) -> list[tuple[Tensor, Tensor, Tensor]]:
            out = []
            for s in STRIDES:
                moved = batch[f"signature{s}"].clone()
                moved[:, DEGREE] += off.real
                moved[:, 11 + DEGREE] += off.imag
                text, core = (sure * (2 * batch[f"{k}{s}"].float() - 1) for k in ("text", "centre"))
                out.append((text, core, moved))
            return out

    return Telling(RECIPES["smoke"])


def test_parts_of_the_paper_network() -> None:
    with torch.device("meta"):
        module = FCENET.build(RECIPES["paper"])
    counts = {name: sum(p.numel() for p in part.parameters()) for name, part in module.named_children()}  # fmt: skip
    assert counts == {
        "backbone": 23_508_032,
        "neck": 256 * (512 + 1024 + 2048) + 3 * 9 * 256 * 256 + 6 * 256,
        "classes": 9 * 256 * 4 + 4,
        "signature": 9 * 256 * 22 + 22,
    }


def test_levels_are_of_strides_8_16_and_32() -> None:
    module = built().eval()
    with torch.no_grad():
        levels = module(torch.randn(2, 3, 96, 160))
    assert [[tuple(m.shape) for m in level] for level in levels] == [
        [(2, 96 // s, 160 // s)] * 2 + [(2, 22, 96 // s, 160 // s)] for s in STRIDES
    ]
    assert all(m.min() >= 0 and m.max() <= 1 for level in levels for m in level[:2])


def test_losses_of_a_network_that_knows_nothing() -> None:
    batch = batch_of(scene_of(box(16, 40, 64, 24)), scene_of(box(16, 40, 112, 24)))
    losses = telling(batch, sure=0.0).loss(batch)
    # Text: ln 2 on the two levels with text. Centre: ln 2 there and 0.5 ln 2 on the rest of all three.
    assert losses["text"].item() == pytest.approx(2 * LN2, abs=1e-5)
    assert losses["centre"].item() == pytest.approx((2 + 3 * 0.5) * LN2, abs=1e-5)
    assert losses["contour"].item() == 0
    assert losses["loss"].item() == pytest.approx(5.5 * LN2, abs=1e-5)
    heads = built(height=320, width=320)
    for head in (heads.classes, heads.signature):
        nn.init.zeros_(head.weight)
    assert heads.loss(batch)["text"].item() == pytest.approx(2 * LN2, abs=1e-5)


def test_losses_of_a_network_that_knows_all() -> None:
    batch = batch_of(scene_of(box(16, 40, 64, 24), box(100, 200, 200, 60)))
    assert telling(batch, sure=30.0).loss(batch)["loss"].item() < 1e-6


def test_the_contour_loss_by_hand() -> None:
    batch = batch_of(scene_of(box(16, 40, 64, 24)))
    text, core = (int(batch[f"{k}8"].sum()) for k in ("text", "centre"))
    # Every point is off by (3, 0.5): smooth L1 is 2.5 and 0.125; half of it where there is no centre.
    weight = (core + 0.5 * (text - core)) / text
    losses = telling(batch, off=3 + 0.5j).loss(batch)
    assert losses["contour"].item() == pytest.approx(2.625 * weight, rel=1e-4)


def test_hard_negatives_are_three_for_each_pixel_of_text() -> None:
    batch = batch_of(scene_of(box(16, 40, 64, 24)))
    losses = telling(batch, sure=-2.0).loss(batch)  # wrong everywhere: each pixel costs the same
    assert losses["text"].item() == pytest.approx(math.log1p(math.exp(2)), rel=1e-4)
    # The text is known, and ten pixels below it are taken for text with a logit of 4.
    many, wrong = int(batch["text8"].sum()), torch.zeros_like(batch["text8"])
    wrong[0, -1, :10] = True
    known = telling(batch, sure=40.0)
    plain = known.levels
    known.levels = lambda images: [  # type: ignore[method-assign]
        (torch.where(wrong, 4.0, t), c, s) if t.shape == wrong.shape else (t, c, s)
        for t, c, s in plain(images)
    ]
    expected = 10 * math.log1p(math.exp(4)) / (many + 3 * many)
    assert known.loss(batch)["text"].item() == pytest.approx(expected, rel=1e-4)


def test_what_is_said_of_an_ignored_text_costs_nothing() -> None:
    word = Region(box(16, 40, 64, 24), "word")
    scene = scene_of(word, Region(box(100, 120, 64, 24), "###", True))
    batch = batch_of(scene)
    hidden = ~batch["counts8"]
    assert hidden.any()
    module = telling(batch, sure=3.0)
    plain = module.levels
    before = module.loss(batch)
    module.levels = lambda images: [  # type: ignore[method-assign]
        (torch.where(hidden, 9.0, t), torch.where(hidden, 9.0, c), s)
        if t.shape == hidden.shape
        else (t, c, s)
        for t, c, s in plain(images)
    ]
    assert all(torch.equal(value, before[name]) for name, value in module.loss(batch).items())


def test_a_pretraining_brings_the_whole_backbone() -> None:
    torch.manual_seed(1)
    other = registry.load("models", "db").build(
        replace(registry.load("models", "db").recipes["smoke"], size="micro")
    )
    brought = {k: v for k, v in other.state_dict().items() if k.startswith("backbone.")}
    module = built()
    assert FCENET.fresh is not None
    missing = inherit(module, {"db": brought}, fresh=FCENET.fresh)
    assert {name.split(".")[0] for name in missing} == {"neck", "classes", "signature"}
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        pairs = zip(module.eval().backbone(images), other.eval().backbone(images), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs)
    cut = {k: v for k, v in brought.items() if "layer4" not in k}
    with pytest.raises(StrbenchError, match=r"layer4.* is missing"):
        inherit(module, {"db": cut}, fresh=FCENET.fresh)


# --- settings, placements


def test_paper_recipes_hold_the_released_values() -> None:
    paper = RECIPES["paper"]
    assert (paper.lr, paper.weight_decay, paper.momentum, paper.batch_size) == (1e-3, 5e-4, 0.9, 8)
    assert (paper.epochs, paper.schedule, paper.power, paper.min_lr) == (1500, "poly", 0.9, 1e-7)
    assert (RECIPES["ctw1500"].deformable, RECIPES["ctw1500"].levels) == (True, "dcn")
    assert (RECIPES["clip"].lr, RECIPES["clip"].batch_size) == (5e-4, 16)
    assert {name: test.sizing.size(720, 1280) for name, test in TESTS.items()} == {
        "ic15": (1280, 2272),  # a long side of 2260
        "ctw1500": (608, 1088),  # the long side to 1080 before the short one to 736
        "totaltext": (736, 1280),
        "pages": (736, 1280),
    }
    assert TESTS["ctw1500"].sizing.size(600, 600) == (736, 736)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"height": 200}, "height=200 width=160: expected multiples of 32"),
        ({"size": "r51"}, "No backbone is named 'r51'"),
        ({"size": "clipmicro", "deformable": True}, "clipmicro has no deformable"),
    ],
)
def test_bad_settings_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(StrbenchError, match=message):
        built(**changes)


def test_windows_cut_no_text_and_hold_the_canvas() -> None:
    config: Config = replace(RECIPES["smoke"], height=160, width=192)
    place = feed(config).place
    regions = [Region(box(300, 200, 80, 30), "word"), Region(box(60, 400, 50, 20), "word")]
    stretch = 0
    for seed in range(60):
        placement = place(np.random.default_rng(seed), 480, 640, regions)
        rows, columns = placement.shown
        assert 0 < rows <= 160
        assert 0 < columns <= 192
        seen = placed_regions(regions, placement, 160, 192)
        assert seen
        for region in seen:
            left, top, right, bottom = bounds(region.polygon)
            assert min(left, top) >= -1e-6
            assert right <= columns + 1
            assert bottom <= rows + 1
        x, y = (np.linalg.norm(placement.matrix[:2, :2], axis=0)).tolist()
        stretch += abs(x - y) > 1e-6
        again = place(np.random.default_rng(seed), 480, 640, regions)
        assert np.array_equal(again.matrix, placement.matrix)
    assert 10 < stretch < 40, "four in ten are stretched"


# --- learning


@pytest.mark.slow
def test_eight_pages_are_learnt_by_heart() -> None:
    drawn = [rendered.draw("rendered_pages/train", i) for i in range(8)]
    pages = [page for page in drawn if isinstance(page, rendered.Page)]
    config = replace(RECIPES["smoke"], height=256, width=256, brightness=0, contrast=0, saturation=0)  # fmt: skip
    whole = PageFeed(height=256, width=256, place=stretched(256, 256), targets=feed(config).targets)
    items = [Item((page.image,), 1.0, page.regions) for page in pages]
    batch = whole.batch(items, [None] * 8, torch.arange(8))
    assert isinstance(batch, PageBatch)
    shown = FCENET.views(config)(batch)
    module = FourierContours(config).train()
    optimiser = torch.optim.AdamW(module.parameters(), lr=3e-3, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=150)
    for _ in range(150):
        optimiser.zero_grad()
        torch.autograd.backward(module.loss(shown)["loss"])
        nn.utils.clip_grad_norm_(module.parameters(), 5.0)
        optimiser.step()
        schedule.step()
    assert FCENET.finder is not None
    with torch.inference_mode():
        answers = FCENET.finder(module.eval(), config).find(batch.images.float() / 255)
    truth = {}
    for i, item in enumerate(items):
        high, wide = item.arrays[0].shape[:2]
        placement = Placement(scaling(256 / wide, 256 / high), (256, 256))
        truth[str(i)] = placed_regions(item.regions, placement, 256, 256)
    scored = score_regions(truth.items(), lambda k: answers[int(k)], region_protocol("iou-0.5"))
    assert scored.outcome.hmean > 0.9
