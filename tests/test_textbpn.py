"""TextBPN and TextBPN++: what they draw, how points are moved, what the losses make of it."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from drawing import filled
from torch import Tensor, nn

from strbench import registry
from strbench.annotations.boxes import read_boxes
from strbench.baselines.detection.textbpn import BoundaryProposals, feed
from strbench.baselines.parts.boundary_losses import (
    matched,
)
from strbench.baselines.parts.boundary_maps import (
    PLUS,
    PLUS_TESTS,
    TESTS,
    Drawing,
    SideLimits,
    boundary,
    proposed,
    targets,
)
from strbench.baselines.parts.textbpn_recipes import PlusConfig
from strbench.errors import StrbenchError
from strbench.feeds import Item
from strbench.methods import Method
from strbench.placing import Scene, moved, scaling, stretched
from strbench.region_protocols import region_protocol
from strbench.region_scoring import score_regions
from strbench.types import Detection, Polygon, Region

NAMES = ("textbpn", "textbpnpp")
both = pytest.mark.parametrize("name", NAMES)

# 100 x 20 pixels, whose middle row of pixel centres is 9.5 from the border
BAR: Polygon = ((10.0, 10.0), (110.0, 10.0), (110.0, 30.0), (10.0, 30.0))
FREE = replace(PLUS_TESTS["pages"], distance=0.3, score=0.5, least_area=150)


def method(name: str) -> Method:
    entry: Method = registry.load("models", name)
    return entry


def smoke(name: str, **changes: Any) -> Any:
    return replace(method(name).recipes["smoke"], precision="fp32", dropout=0.0, **changes)


def drawn(*regions: Region, size: int = 128, seed: int = 0, **more: Any) -> dict[str, Any]:
    settings = {"drawing": Drawing(), "proposals": 4, **more}
    return targets(Scene(regions, size, size, seed), **settings)


def square(x: float, y: float, side: float) -> Polygon:
    return ((x, y), (x + side, y), (x + side, y + side), (x, y + side))


# --- boundaries


def test_a_boundary_begins_at_the_upper_left_and_keeps_equal_steps_and_order() -> None:
    # 40 pixels around, from whichever corner: a point every 2
    corners = np.array(square(3, 5, 10))
    expected = [(3 + 2 * k, 5) for k in range(5)] + [(13, 5 + 2 * k) for k in range(5)]
    for first in range(4):
        points = boundary(np.roll(corners, first, axis=0), 0.007)
        assert points[:10] == pytest.approx(np.array(expected))
        assert points[19] == pytest.approx((3, 7))


def test_a_boundary_leaves_out_what_is_less_than_its_approximation() -> None:
    # a bump of 1 on an outline of about 400: 0.0025 of its length
    bumped = np.array([(0, 0), (50, -1), (100, 0), (100, 100), (0, 100)], dtype=float)
    assert boundary(bumped[1:], 0.0)[0] == pytest.approx((50, -1))
    whole, rough = boundary(bumped, 0.0), boundary(np.roll(bumped, 0, axis=0), 0.007)
    assert whole[0] == pytest.approx((50, -1))
    assert np.hypot(*np.diff(rough, axis=0).T).max() == pytest.approx(400 / 20, rel=0.01)


def test_a_boundary_of_a_point_and_of_a_line() -> None:
    assert (boundary(np.array([(3, 4)]), 0.007) == (3, 4)).all()
    there_and_back = boundary(np.array([(0, 0), (30, 0)]), 0.007)
    assert there_and_back[10] == pytest.approx((30, 0))
    assert there_and_back[[5, 15]] == pytest.approx(np.array([(15, 0), (15, 0)]))


# --- labels


def test_maps_of_a_bar() -> None:
    made = drawn(Region(BAR, "a"))
    assert made["text"].sum() == 100 * 20
    assert made["counts"].all()
    assert made["distance"].max() == 1
    # the centre of pixel (row 12, column 60) is 2.5 from the upper border
    assert made["distance"][12, 60] == pytest.approx(2.5 / 9.5, abs=1e-3)
    assert made["distance"][20, 10] == pytest.approx(0.5 / 9.5, abs=1e-3)
    assert made["distance"][~made["text"]].max() == 0
    assert made["used"].tolist() == [True, False, False, False]
    # 240 around: a point every 12 from the upper left corner
    assert made["contours"][0][:3] == pytest.approx(np.array([(10, 10), (22, 10), (34, 10)]))
    assert not made["contours"][1:].any()
    assert "direction" not in made


def test_a_proposal_is_the_border_of_the_middle_and_its_points_are_thrown() -> None:
    # 0.4 x 9.5 = 3.8: pixels whose centre is 4.5 from the border or more, centres of columns 14.5 to 105.5
    # and of rows 14.5 to 25.5
    still = drawn(Region(BAR, "a"), drawing=Drawing(jitter=0.0))["proposals"][0]
    assert still.min(0) == pytest.approx((14.5, 14.5))
    assert still.max(0) == pytest.approx((105.5, 25.5))
    thrown = drawn(Region(BAR, "a"))["proposals"][0]
    apart = np.abs(thrown - still)
    assert 0.5 < apart.max() <= 0.8 * 0.4 * 9.5 / 2
    again, other = (drawn(Region(BAR, "a"), seed=s)["proposals"][0] for s in (0, 1))
    assert (again == thrown).all()
    assert (other != thrown).all()


def test_what_does_not_count_is_drawn_and_masked() -> None:
    flat = tuple((x, y / 4 + 60) for x, y in BAR)  # 5 high: 2.5 to the middle
    made = drawn(
        Region(BAR, "###", ignored=True), Region(flat, "a"), Region(square(80, 80, 30), "b")
    )
    assert made["counts"].sum() == 128 * 128 - 2000 - 500
    assert made["text"].sum() == 2000 + 500 + 900
    assert made["distance"][20, 60] == 1
    assert made["used"].sum() == 1
    assert made["contours"][0][0] == pytest.approx((80, 80))
    # 12 x 12 is 5.5 to its middle, and 144 pixels: TextBPN++ wants 150
    for drawing, count in ((Drawing(), 1), (PLUS, 0)):
        assert drawn(Region(square(5, 5, 12), "a"), drawing=drawing)["used"].sum() == count


def test_texts_beyond_the_number_of_proposals_are_drawn_and_overlaps_take_the_larger() -> None:
    bars = [Region(square(x, 20, 20), "a") for x in (10, 30, 50, 40)]
    made = drawn(*bars, proposals=2)
    assert made["used"].all()
    assert made["counts"].all()
    # the last covers half of both before it; the middle of the third lies on its border
    assert made["distance"][29, 49] == made["distance"][29, 59] == 1
    assert not made["distance"][60:].any()


def test_a_text_that_leaves_the_window_ends_at_its_border() -> None:
    made = drawn(Region(square(-40, 20, 80), "a"), Region(square(-50, -50, 20), "b"))
    assert made["text"].sum() == 40 * 80
    assert made["used"].tolist() == [True, False, False, False]
    assert made["contours"][0].min() == 0
    # the middle of what is seen, not of the whole
    assert made["distance"][60, 20] == 1


def test_a_crossed_text_beyond_the_border_and_a_sliver() -> None:
    bow: Polygon = ((-20.0, 10.0), (60.0, 90.0), (60.0, 10.0), (-20.0, 90.0))
    made = drawn(Region(bow, "a"))
    # the halves meet at (20, 50): of the right one all is seen, 40 x 80 / 2; of the left one 20 x 40 / 2,
    # which is the smaller piece and not drawn
    assert made["text"].sum() == pytest.approx(1600, rel=0.05)
    assert made["distance"].max() == 1
    sliver: Polygon = ((10.5, 10.5), (10.9, 10.5), (10.9, 10.6), (10.5, 10.6))
    made = drawn(Region(sliver, "a"), has_direction=True)
    assert made["text"].sum() == 1
    assert not made["counts"][10, 10]
    assert all(np.isfinite(values).all() for values in made.values())


def test_directions_point_to_the_nearest_border() -> None:
    made = drawn(Region(BAR, "a"), has_direction=True)
    direction = made["direction"].astype(float)
    assert direction[:, 12, 60] == pytest.approx((-1, 0))  # up
    assert direction[:, 20, 107] == pytest.approx((0, 1))  # right
    assert np.hypot(*direction)[made["text"]] == pytest.approx(1, abs=1e-3)
    assert not direction[:, ~made["text"]].any()
    assert made["weight"][20, 20] == pytest.approx(2000**-0.5)
    assert made["weight"][0, 0] == pytest.approx((128 * 128 - 2000) ** -0.5)


def test_an_empty_scene() -> None:
    made = drawn(has_direction=True)
    assert not any(made[k].any() for k in ("text", "distance", "proposals", "used", "direction"))
    assert made["counts"].all()


# --- proposals at test time


def test_proposals_of_the_maps_of_a_bar() -> None:
    made = drawn(Region(BAR, "a"))
    found = proposed(made["text"].astype(float), made["distance"].astype(float), FREE)
    # 0.3 x 9.5 = 2.85: centres from 3.5 on
    assert found.boundaries[0].min(0) == pytest.approx((13.5, 13.5))
    assert found.boundaries[0].max(0) == pytest.approx((106.5, 26.5))
    assert found.scores.tolist() == [1.0]
    # at stride 2 a pixel of the maps is four of the image, and its centre is at 1
    twice = proposed(made["text"].astype(float), made["distance"].astype(float), FREE, stride=2)
    assert twice.boundaries == pytest.approx(found.boundaries * 2)


def test_proposals_need_pixels_and_a_score() -> None:
    distance = np.zeros((64, 64))
    distance[2:12, 2:17] = 1  # 150
    distance[20:30, 20:35] = 1
    distance[20, 20] = 0  # 149
    distance[40:50, 40:60] = 1
    probability = np.full((64, 64), 0.9)
    probability[40:50, 40:60] = 0.4
    found = proposed(probability, distance, FREE)
    assert len(found.boundaries) == 1
    assert found.boundaries[0].min(0) == pytest.approx((2.5, 2.5))
    assert found.scores[0] == pytest.approx(0.9)


def test_textbpn_divides_by_the_largest_distance_and_fills_holes() -> None:
    distance = np.zeros((64, 64))
    distance[10:40, 10:40] = 0.2
    distance[20:30, 20:30] = 0  # open nowhere
    probability = np.ones((64, 64))
    probability[20:30, 20:30] = 0
    assert not len(proposed(probability, distance, FREE).scores)
    found = proposed(probability, distance, replace(FREE, is_relative=True))
    assert found.scores.tolist() == pytest.approx([1 - 100 / 900])
    # nothing at all is no text; yet as little as a network ever says is "the largest"
    assert not len(proposed(probability, distance * 0, replace(FREE, is_relative=True)).scores)
    assert len(proposed(probability, distance * 1e-6, replace(FREE, is_relative=True)).scores) == 1


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((480, 640), (640, 832)),  # x 4/3: 853.3
        ((400, 1000), (384, 1024)),  # 1.6 would give 1600; x 1.024: 409.6
        ((720, 1000), (704, 992)),  # as it is
        ((2000, 3000), (672, 1024)),  # x 0.3413: 682.7
    ],
)
def test_sizes_at_test_time(size: tuple[int, int], expected: tuple[int, int]) -> None:
    for limits in (TESTS["totaltext"].sizing, PLUS_TESTS["ctw1500"].sizing):
        assert isinstance(limits, SideLimits)
        assert limits.size(*size) == expected
    assert str(limits) == "short side 640 or more, long side up to 1024"


# --- the networks


@both
def test_parameters_are_those_of_the_official_networks(name: str) -> None:
    # GXYM/TextBPN and GXYM/TextBPN-Plus-Plus, counted; at stride 4 theirs has a layer of 65,600 that it
    # does not use
    official = {
        "textbpn": {"paper": 38_670_764},
        "textbpnpp": {"paper": 36_318_380, "r18": 17_467_948},
    }
    for recipe, count in official[name].items():
        with torch.device("meta"):
            module = method(name).build(method(name).recipes[recipe])
        assert sum(p.numel() for p in module.parameters()) == count
    assert official["textbpnpp"]["r18"] == 17_533_548 - 65_600


@pytest.mark.parametrize("size", ["micro", "clipmicro"])
def test_every_kind_of_backbone_gives_its_stem(size: str) -> None:
    module = method("textbpn").build(smoke("textbpn", size=size, stride=2)).eval()
    maps, logits = module(torch.rand(1, 3, 64, 96))
    assert maps.shape == (1, 12, 32, 48)
    assert logits.shape == (1, 4, 32, 48)
    assert torch.equal(maps[:, 8:10], logits[:, :2].sigmoid())
    assert torch.equal(maps[:, 10:], logits[:, 2:])
    assert not module.backbone.layer1[0]._forward_pre_hooks


@both
def test_a_new_network_hardly_moves_a_point(name: str) -> None:
    torch.manual_seed(0)
    module = method(name).build(smoke(name)).train()
    batch = batch_of(name)
    maps, _ = module(batch["images"])
    used = batch["used"]
    made = module.evolution(maps, batch["proposals"], used, (128, 128))
    assert (made[-1] - batch["proposals"])[used].abs().mean() < 1


# --- training


def items(count: int = 8) -> list[Item]:
    """Photographs of 128 x 128 with a turned bar and a bent one."""
    made = []
    for k in range(count):
        rng = np.random.default_rng(k)
        cos, sin = math.cos(k / 9), math.sin(k / 9)
        left, top = 30 + rng.integers(30), 6 + rng.integers(6)
        turned = [(0, 0), (50, 0), (50, 20), (0, 20)]
        bar = tuple((left + x * cos - y * sin, top + x * sin + y * cos) for x, y in turned)
        angles, middle = np.linspace(-2.4, -0.8, 7), 130 + rng.integers(-8, 8)
        outer = [(64 + 61 * math.cos(a), middle + 61 * math.sin(a)) for a in angles]
        inner = [(64 + 39 * math.cos(a), middle + 39 * math.sin(a)) for a in angles[::-1]]
        polygons = (bar, tuple(outer + inner))
        labels = filled(polygons, 128, 128, values=(1, 2))
        pixels = np.array([(220, 220, 220), (40, 40, 90), (120, 20, 20)])[labels]
        pixels = np.clip(pixels + rng.normal(0, 8, pixels.shape), 0, 255).astype(np.uint8)
        made.append(Item((pixels,), 1.0, tuple(Region(p, "a") for p in polygons)))
    return made


def batch_of(name: str, some: Sequence[Item] | None = None, **changes: Any) -> dict[str, Tensor]:
    """The loss's batch of whole photographs, not jittered in colour."""
    plain = {"height": 128, "width": 128, "brightness": 0.0, "contrast": 0.0, "saturation": 0.0}
    config = smoke(name, **plain, **changes)
    chosen = items(3) if some is None else list(some)
    whole = replace(feed(config), place=stretched(128, 128))
    batch = whole.batch(chosen, [None] * len(chosen), torch.arange(len(chosen)))
    return method(name).views(config)(batch)


@both
def test_losses_of_a_new_network(name: str) -> None:
    torch.manual_seed(0)
    module = method(name).build(smoke(name)).train()
    batch = batch_of(name)
    losses = {k: v.item() for k, v in module.loss(batch).items()}
    assert losses["text"] == pytest.approx(math.log(2), abs=0.15)
    parts = losses["text"] + 3 * losses["distance"]
    if name == "textbpnpp":
        parts += 0.5 * losses["direction"]
    moving = losses["boundary"] + losses.get("energy", 0.0)
    # 0.1 of the logistic function of -1 at the start, and of 0 at the end
    assert losses["loss"] == pytest.approx(parts + 0.1 / (1 + math.e) * moving, rel=1e-4)
    module.before_step(1.0)
    grown = module.loss(batch)["loss"].item()
    assert grown == pytest.approx(parts + 0.05 * moving, rel=1e-4)


@both
def test_an_ignored_text_changes_no_loss(name: str) -> None:
    (item,) = items(1)
    region = Region(square(1, 96, 16), "###", ignored=True)
    torch.manual_seed(0)
    module = method(name).build(smoke(name)).eval()
    for changed in ("same", "ignored"):
        regions = (*item.regions, region) if changed == "ignored" else item.regions
        batch = batch_of(name, [item._replace(regions=regions)])
        hidden = ~batch_of(name, [item._replace(regions=(*item.regions, region))])["counts"]
        batch["counts"] = batch["counts"] & ~hidden  # the same pixels count in both
        losses = module.loss(batch)
        if changed == "same":
            before = losses
    for part in ("text", "boundary"):
        assert losses[part].item() == pytest.approx(before[part].item(), rel=1e-5), part


@both
def test_a_window_without_text_teaches_maps_alone(name: str) -> None:
    (item,) = items(1)
    module = method(name).build(smoke(name)).train()
    losses = module.loss(batch_of(name, [item._replace(regions=())]))
    assert losses["boundary"] == 0
    losses["loss"].backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in module.parameters())
    assert module.backbone.conv1.weight.grad.abs().max() > 0


def test_textbpn_learns_directions_only_if_asked() -> None:
    assert "direction" not in batch_of("textbpn")
    module = method("textbpn").build(smoke("textbpn", direction_weight=1.0)).train()
    losses = module.loss(batch_of("textbpn", direction_weight=1.0))
    assert losses["direction"] > 0


@pytest.mark.parametrize("stride", [1, 2, 4])
def test_targets_follow_the_stride(stride: int) -> None:
    module = BoundaryProposals(smoke("textbpnpp", stride=stride)).train()
    losses = module.loss(batch_of("textbpnpp", stride=stride))
    assert all(value.isfinite() for value in losses.values())


@pytest.mark.parametrize(
    "change",
    [
        {"stride": 3},
        {"neck": 40},
        {"state": 12},
        {"proposals": 0},
        {"dropout": 1.0},
        {"direction_weight": -1.0},
        {"height": 100},
        {"attends": "nobody"},
    ],
)
def test_bad_settings_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(StrbenchError, match=next(iter(change))):
        PlusConfig(**change)


@both
def test_an_unknown_row_of_test_settings_is_refused(name: str) -> None:
    config = smoke(name, test="ic15")
    entry = method(name)
    assert entry.finder is not None
    with pytest.raises(StrbenchError, match="ic15"):
        entry.finder(entry.build(config), config)


# --- there and back


def detections(boundaries: Sequence[Any]) -> list[Detection]:
    return [Detection(tuple((x, y) for x, y in points.tolist()), 1.0) for points in boundaries]


def figures(
    truth: dict[str, tuple[Region, ...]], found: dict[str, list[Detection]]
) -> tuple[float, float]:
    """Precision and recall at IoU 0.5."""
    outcome = score_regions(truth.items(), found.get, region_protocol("iou-0.5")).outcome
    precision = outcome.precise.sum() / max(1, outcome.founds.sum())
    return float(precision), float(outcome.recalled.sum() / outcome.truths.sum())


@both
def test_true_maps_give_the_texts_back(name: str) -> None:
    config = smoke(name, height=128, width=128)
    drawing, test = (
        (PLUS, PLUS_TESTS["totaltext"]) if name == "textbpnpp" else (Drawing(), TESTS["totaltext"])
    )
    truth = {str(k): item.regions for k, item in enumerate(items())}
    found = {}
    for key, regions in truth.items():
        made: Any = targets(
            Scene(regions, 128, 128, 0), drawing=drawing, proposals=config.proposals
        )
        found[key] = detections(
            proposed(made["text"].astype(float), made["distance"].astype(float), test).boundaries
        )
    assert figures(truth, found) == (1.0, 1.0)


@pytest.mark.parametrize(("name", "least"), [("textbpn", 0.86), ("textbpnpp", 0.75)])
def test_real_curved_text_there_and_back(shared: Path, name: str, least: float) -> None:
    """Contours lose nothing; proposals are smaller than the text by design, and lose the thin ones."""
    drawing, test = (
        (PLUS, PLUS_TESTS["totaltext"]) if name == "textbpnpp" else (Drawing(), TESTS["totaltext"])
    )
    path = shared / "real/annotations/totaltext/clovaai+CLEval/resources/gt/gt_TotalText.zip"
    truth: dict[str, tuple[Region, ...]] = {}
    contours, proposals = {}, {}
    with zipfile.ZipFile(path) as bundle:
        for image in bundle.namelist()[::12]:  # 25 of 300
            read = read_boxes(bundle.read(image), image, layout="polygon")
            seen = np.concatenate([np.array(region.polygon) for region in read]).max(0) + 20
            height, width = test.sizing.size(int(seen[1]), int(seen[0]))
            matrix = scaling(width / seen[0], height / seen[1])
            regions = tuple(r._replace(polygon=moved(r.polygon, matrix)) for r in read)
            made: Any = targets(Scene(regions, height, width, 0), drawing=drawing, proposals=64)
            truth[image] = regions
            contours[image] = detections(made["contours"][made["used"]])
            maps = made["text"].astype(float), made["distance"].astype(float)
            proposals[image] = detections(proposed(*maps, test).boundaries)
    assert figures(truth, contours) == (1.0, 1.0)
    precision, recall = figures(truth, proposals)
    assert min(precision, recall) >= least


# --- asking and learning


@both
def test_a_blank_page_and_batches_of_any_size(name: str) -> None:
    torch.manual_seed(0)
    entry, config = method(name), smoke(name)
    assert entry.finder is not None
    module = entry.build(config).eval()
    module.head[-1].bias.data[:2] = torch.tensor([9.0, 9.0])  # everything is text
    find = entry.finder(module, config).find
    images = torch.rand(2, 3, 64, 96)
    with torch.no_grad():
        found = find(images)
        assert [len(some) for some in found] == [1, 1]
        assert np.array(found[0][0].polygon).shape == (20, 2)
        for image, some in zip(images, found, strict=True):
            alone = find(image[None])[0]
            assert np.array(alone[0].polygon) == pytest.approx(np.array(some[0].polygon), abs=1e-3)
        module.head[-1].bias.data[:2] = -9.0
        assert find(images) == [[], []]


@pytest.mark.slow
@both
def test_it_learns_eight_photographs_by_heart(name: str) -> None:
    entry = method(name)
    config = smoke(name, height=128, width=128, proposals=2)
    shown = items()
    batch = batch_of(name, shown, proposals=2)
    torch.manual_seed(0)
    module = entry.build(config).train()
    optimiser = torch.optim.AdamW(module.parameters(), lr=3e-3, weight_decay=0.0)
    steps = 120
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = 3e-3 * (1 - step / steps) ** 0.9
        module.before_step(step / steps)
        optimiser.zero_grad()
        module.loss(batch)["loss"].backward()
        nn.utils.clip_grad_norm_(module.parameters(), 5.0)
        optimiser.step()
    assert entry.finder is not None
    module.eval()
    images = torch.stack([torch.from_numpy(i.arrays[0]).permute(2, 0, 1) for i in shown]) / 255
    with torch.no_grad():
        found = entry.finder(module, config).find(images)
        proposals, made = (
            batch["proposals"],
            module.evolution(
                module(batch["images"])[0], batch["proposals"], batch["used"], (128, 128)
            ),
        )
    truth = {str(k): item.regions for k, item in enumerate(shown)}
    assert figures(truth, {str(k): some for k, some in enumerate(found)}) == (1.0, 1.0)
    before = matched(proposals, batch["contours"]).mean()
    assert matched(made[-1], batch["contours"]).mean() < before / 2
    assert F.l1_loss(made[0], proposals) > 0.5
