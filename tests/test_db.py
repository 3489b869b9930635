"""DB and DB++: counts, maps by hand, the loss by hand, what is read back, what is taken over, learning."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
import torch
from drawing import filled
from torch import nn

from strbench import registry, rendered
from strbench.annotations.boxes import read_boxes
from strbench.baselines.detection.db import DB, DB_PLUS, Binarisation, Config, finder
from strbench.baselines.parts.backbones import BACKBONES, backbone
from strbench.baselines.parts.db_maps import SHRINK, TESTS, found, targets
from strbench.baselines.parts.deformable import Offsets, deformed
from strbench.baselines.parts.hard_negatives import balanced, dice, hardest
from strbench.baselines.parts.text_polygons import (
    distances,
    grown,
    offset,
    rectangles,
    shrink_distance,
)
from strbench.errors import StrbenchError
from strbench.feeds import Item
from strbench.methods import inherit
from strbench.placing import Placement, Scene, placed_regions, scaling
from strbench.region_protocols import region_protocol
from strbench.region_scoring import score_regions
from strbench.types import Detection, Polygon, Region

SMOKE: Any = DB.recipes["smoke"]


def box(height: float, aspect: float, x: float = 40.0, y: float = 40.0) -> Polygon:
    width = height * aspect
    return ((x, y), (x + width, y), (x + width, y + height), (x, y + height))


def scene(*regions: Region, height: int = 160, width: int = 240) -> Scene:
    return Scene(regions, height, width, 0)


def overlap(first: Polygon, second: Polygon) -> float:
    a, b = shapely.Polygon(first), shapely.Polygon(second)
    return float(a.intersection(b).area / a.union(b).area)


# --- the network


@pytest.mark.parametrize(("size", "whole"), [("r50", 1_901_698), ("r18", 1_164_418)])
def test_decoders_have_the_official_size(size: str, whole: int) -> None:
    with torch.device("meta"):
        module = DB.build(Config(size=size))
    count = sum(p.numel() for p in module.parameters())
    assert count - sum(p.numel() for p in module.backbone.parameters()) == whole
    # without the head of the threshold: 1,737,281 with R50
    assert sum(p.numel() for p in module.threshold.parameters()) == 1_901_698 - 1_737_281


@pytest.mark.parametrize("size", BACKBONES)
def test_stages_lie_at_strides_4_to_32(size: str) -> None:
    with torch.device("meta"):
        network = backbone(size)
        stages = network(torch.empty(1, 3, 64, 128))
    assert [tuple(s.shape[2:]) for s in stages] == [(16, 32), (8, 16), (4, 8), (2, 4)]
    assert tuple(s.shape[1] for s in stages) == network.widths
    counts = {
        "r50": 23_508_032,  # torchvision's 25,557,032 less its fc
        "r18": 11_176_512,  # 11,689,512 less its fc
        "clip50": 23_527_264,
        "clip101": 42_519_392,
    }
    if size in counts:
        assert sum(p.numel() for p in network.parameters()) == counts[size]


def test_bad_backbones_are_named() -> None:
    with pytest.raises(StrbenchError, match="No backbone is named 'r51'"):
        backbone("r51")
    with pytest.raises(StrbenchError, match="clip50 has no deformable"):
        backbone("clip50", deformable=True)


def test_an_offset_moves_a_tap_and_half_strength_is_the_start() -> None:
    torch.manual_seed(0)
    convolution = nn.Conv2d(4, 5, 3, 2, 1, bias=False)
    offsets = Offsets(4, 2)
    maps = torch.randn(2, 4, 9, 12)
    torch.testing.assert_close(deformed(convolution, maps, offsets), 0.5 * convolution(maps))
    # all taps one row down and two columns to the left, at full strength: the maps moved
    assert offsets.bias is not None
    with torch.no_grad():
        offsets.bias[0:18:2] = 1.0
        offsets.bias[1:18:2] = -2.0
        offsets.bias[18:] = 50.0
    moved = torch.zeros_like(maps)
    moved[:, :, :-1, 2:] = maps[:, :, 1:, :-2]
    found_ = deformed(convolution, maps, offsets)
    wanted = convolution(moved)
    torch.testing.assert_close(found_[:, :, 1:-1, 2:-1], wanted[:, :, 1:-1, 2:-1])


def test_scales_are_weighed_one_by_one() -> None:
    torch.manual_seed(0)
    fusion = DB_PLUS.build(replace(SMOKE, neck=32)).fusion
    fused = torch.randn(2, 32, 6, 7)
    out = fusion(fused)
    share = (out / fused).view(2, 4, 8, 6, 7)
    assert ((share > 0) & (share < 1)).all()
    torch.testing.assert_close(share, share[:, :, :1].expand_as(share), rtol=1e-4, atol=1e-6)
    assert share[:, :, 0].std(dim=1).max() > 0


# --- offsets of polygons


def test_shrinking_by_hand() -> None:
    # 40 x 80: area 3,200, perimeter 240, 13.33 * (1 - 0.16) = 11.2
    polygon = box(40, 2)
    distance = shrink_distance(polygon, 0.4)
    assert distance == pytest.approx(11.2)
    (inner,) = offset(polygon, -distance)
    assert shapely.Polygon(inner).area == pytest.approx((40 - 22.4) * (80 - 22.4))
    assert offset(polygon, -20.1) == []
    # an hourglass falls apart; the larger part comes first
    glass = ((0, 0), (40, 0), (21, 30), (60, 80), (-20, 80), (19, 30))
    areas = [shapely.Polygon(part).area for part in offset(glass, -4)]
    assert len(areas) == 2
    assert areas[0] > areas[1]


def test_growing_by_the_analytic_ratio_undoes_shrinking() -> None:
    for aspect in (1, 2, 5, 20):
        polygon = box(40, aspect)
        distance = shrink_distance(polygon, 0.4)
        (inner,) = offset(polygon, -distance)
        shape = shapely.Polygon(inner)
        (outer,) = grown(inner, distance * shape.length / shape.area)
        box_ = rectangles([outer])[0]
        assert overlap(polygon, tuple(map(tuple, box_.tolist()))) > 0.999


def test_rectangles_are_the_smallest_and_in_order() -> None:
    turned = np.array([(0, 10), (20, 0), (30, 20), (10, 30)], float)
    found_ = rectangles([turned, turned[:1], turned[:2]])
    assert shapely.Polygon(found_[0]).area == pytest.approx(500)
    assert found_[0][0].tolist() == pytest.approx([0, 10])  # of the upper two the left one
    assert shapely.Polygon(
        found_[0]
    ).exterior.is_ccw  # counter-clockwise with y up is clockwise here
    assert (found_[1] == turned[0]).all()
    assert shapely.Polygon(found_[2]).area == 0


def test_distances_to_a_border_by_hand() -> None:
    x, y = np.array([5.0, 10.0, -3.0]), np.array([5.0, 1.0, -4.0])
    square = ((0, 0), (20, 0), (20, 20), (0, 20))
    assert distances(square, x, y).tolist() == [5.0, 1.0, 5.0]


# --- maps


def test_maps_of_a_box_by_hand() -> None:
    maps = targets(scene(Region(box(40, 2), "a")))
    shrunk, threshold, band = (maps[k] for k in ("shrunk", "threshold", "band"))
    # 11.2 inward: centres from 51.5 to 108.5 and from 51.5 to 68.5
    assert shrunk.sum() == 58 * 18
    assert shrunk[51:69, 51:109].all()
    assert maps["counts"].all()
    # 11.2 around the outline the band begins, and the map is 0.3 + 0.4 (1 - distance / 11.2)
    assert band[60, 29]
    assert not band[60, 27]
    assert threshold.min() >= np.float16(0.3)
    assert threshold.max() <= np.float16(0.7)
    assert threshold[60, 40] == pytest.approx(0.3 + 0.4 * (1 - 0.5 / 11.2), abs=1e-3)
    assert threshold[60, 80] == pytest.approx(0.3, abs=1e-3)  # 19.5 from the outline
    assert threshold[0, 0] == pytest.approx(0.3, abs=1e-3)


def test_texts_that_do_not_count() -> None:
    readable = Region(box(40, 2), "a")
    ignored = Region(box(30, 2, 150, 40), "###", ignored=True)
    low = Region(box(7.5, 4, 150, 120), "b")
    maps, alone = targets(scene(readable, ignored, low)), targets(scene(readable))
    assert (maps["shrunk"] == alone["shrunk"]).all()
    assert (maps["threshold"] == alone["threshold"]).all()
    assert (maps["band"] == alone["band"]).all()
    assert (~maps["counts"]).sum() == 30 * 60 + 30 * 7  # centres from 120.5 to 126.5
    assert not maps["counts"][41, 151]


def test_where_texts_meet_the_nearer_border_counts() -> None:
    left, right = Region(box(40, 1), "a"), Region(box(40, 1, 80), "b")
    both, one = targets(scene(left, right)), targets(scene(left))
    other = targets(scene(right))
    assert (both["threshold"] == np.maximum(one["threshold"], other["threshold"])).all()
    assert (both["band"] == (one["band"] | other["band"])).all()


# --- the loss


def test_hard_negatives_by_hand() -> None:
    losses = torch.tensor([0.5, 0.1, 0.9, 0.4, 0.4, 0.0])
    positive = torch.tensor([True, False, False, False, False, False])
    # one positive, three negatives: .9 and the two of .4
    assert balanced(losses, positive, ~positive) == pytest.approx((0.5 + 0.9 + 0.4 + 0.4) / 4)
    assert balanced(losses, positive, ~positive, ratio=2) == pytest.approx((0.5 + 0.9 + 0.4) / 3)
    assert balanced(losses, positive, positive & False) == pytest.approx(0.5)
    assert balanced(losses, positive & False, ~positive) == 0
    chosen = hardest(losses, ~positive, torch.tensor(2))
    assert chosen.tolist() == [0, 0, 1, 0.5, 0.5, 0]  # the two of .4 share the second place


def test_dice_by_hand() -> None:
    truth = torch.tensor([[1.0, 1.0, 0.0, 0.0]])
    mask = torch.ones(1, 4)
    assert dice(truth, truth, mask) == pytest.approx(0, abs=1e-6)
    assert dice(1 - truth, truth, mask) == pytest.approx(1)
    # 1 - 2 * 0.5 / (1.5 + 2)
    made = torch.tensor([[0.5, 0.0, 0.5, 0.5]])
    assert dice(made, truth, mask) == pytest.approx(1 - 1 / 3.5)
    assert dice(made, truth, torch.tensor([[1.0, 1.0, 0.0, 0.0]])) == pytest.approx(1 - 1 / 2.5)
    # squares: .75 and 2
    assert dice(made, truth, mask, squared=True) == pytest.approx(1 - 1 / 2.75, abs=1e-5)


class _Fixed(nn.Module):
    """Logits in place of a head."""

    def __init__(self, logits: torch.Tensor) -> None:
        super().__init__()
        self.logits = logits

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return self.logits[:, None]


def _module_with(probability: torch.Tensor, threshold: torch.Tensor) -> Binarisation:
    module: Any = DB.build(SMOKE)
    module.probability, module.threshold = _Fixed(probability), _Fixed(threshold)
    module.features = lambda images: images
    return module


def test_the_loss_by_hand() -> None:
    zeros = torch.zeros(1, 32, 32)
    truth = torch.zeros(1, 32, 32, dtype=torch.bool)
    truth[0, 0, 0] = True
    band = torch.zeros_like(truth)
    band[0, 1, :2] = True
    batch = {
        "images": torch.zeros(1, 3, 32, 32),
        "shrunk": truth,
        "counts": ~truth | truth,
        "threshold": torch.full((1, 32, 32), 0.3, dtype=torch.float16),
        "band": band,
    }
    losses = _module_with(zeros, zeros).loss(batch)
    # everything is 0.5: each cross entropy is ln 2, each border 0.2 off, the binary map 0.5:
    # 1 - 2 * 0.5 / (512 + 1)
    assert losses["probability"] == pytest.approx(math.log(2), rel=1e-5)
    assert losses["threshold"] == pytest.approx(0.2, abs=2e-4)
    assert losses["binary"] == pytest.approx(1 - 1 / 513, rel=1e-5)
    whole = 5 * math.log(2) + 10 * 0.2 + 1 - 1 / 513
    assert losses["loss"] == pytest.approx(whole, abs=3e-3)
    # what does not count changes nothing
    counts = ~truth | truth
    counts[0, 20:] = False
    wild = zeros.clone()
    wild[0, 20:] = 9.0
    some = {**batch, "counts": counts}
    assert _module_with(wild, zeros).loss(some)["probability"] == pytest.approx(
        _module_with(zeros, zeros).loss(some)["probability"].item()
    )


def test_a_window_without_text_has_a_loss() -> None:
    images = torch.zeros(2, 3, 64, 64)
    maps = {
        k: torch.from_numpy(np.stack([v, v]))
        for k, v in targets(scene(height=64, width=64)).items()
    }
    loss = DB.build(SMOKE).loss({"images": images, **maps})["loss"]
    assert loss.isfinite()
    loss.backward()


# --- reading maps


def as_if_found(scene: Scene) -> np.ndarray:
    """The probability map that a faultless network gives of a scene, low texts included."""
    inner = [
        part.tolist()
        for region in scene.regions
        if not region.ignored
        for part in offset(region.polygon, -shrink_distance(region.polygon, SHRINK))[:1]
    ]
    return filled(inner, scene.height, scene.width).astype(np.float32)


@pytest.mark.parametrize("aspect", [1, 2, 3, 5, 8, 12, 20])
def test_boxes_of_a_faultless_map_are_as_exact_as_their_ratio(aspect: int) -> None:
    """Unclipping by 1.5 undoes a shrinking by 0.4 for short texts alone, by geometry."""
    height, width = 40.0, 40.0 * aspect
    polygon = box(height, aspect)
    one = scene(Region(polygon, "a"), height=120, width=120 + int(width))
    (detection,) = found(as_if_found(one), TESTS["ic15"])
    distance = shrink_distance(polygon, 0.4)
    h, w = height - 2 * distance, width - 2 * distance
    back = 1.5 * h * w / (2 * (h + w))
    h, w = h + 2 * back, w + 2 * back
    exact = (h * w) / (height * width)
    assert overlap(polygon, detection.polygon) == pytest.approx(min(exact, 1 / exact), abs=0.1)
    assert detection.confidence == 1.0
    assert overlap(polygon, detection.polygon) > 0.45


def arc(aspect: float, height: float = 40.0, n: int = 10) -> tuple[Polygon, int]:
    """A quarter of a ring whose middle line is ``aspect`` times its height, and the scene's side."""
    radius = height * aspect / (math.pi / 2)
    centre = radius + height + 20
    angles = np.linspace(math.pi, 1.5 * math.pi, n)
    outer = [(radius + height / 2, a) for a in angles]
    inner = [(radius - height / 2, a) for a in angles[::-1]]
    points = tuple((centre + r * math.cos(a), centre + r * math.sin(a)) for r, a in outer + inner)
    return points, int(centre + 20)


@pytest.mark.parametrize(
    ("aspect", "unclip", "least"),
    [(3, 1.5, 0.78), (3, 2.0, 0.89), (5, 1.5, 0.66), (5, 2.0, 0.76), (8, 1.5, 0.54), (8, 2.0, 0.6)],
)
def test_arcs_are_read_better_with_a_larger_ratio(
    aspect: float, unclip: float, least: float
) -> None:
    polygon, side = arc(aspect)
    one = scene(Region(polygon, "a"), height=side, width=side)
    (detection,) = found(as_if_found(one), replace(TESTS["totaltext"], unclip=unclip))
    assert least <= overlap(polygon, detection.polygon) <= least + 0.15
    assert len(detection.polygon) > 6


def test_what_is_dropped() -> None:
    test = TESTS["pages"]
    probability = np.zeros((100, 200), np.float32)
    assert found(probability, test) == []
    probability[10:12, 10:40] = 1.0  # lower than 3 pixels
    assert found(probability, test) == []
    probability[30:50, 20:90] = 0.45  # text, but less sure of it than 0.5
    assert found(probability, test) == []
    probability[30:50, 20:90] = 0.55
    (one,) = found(probability, test)
    assert one.confidence == pytest.approx(0.55)
    two = np.where(np.arange(200) == 55, 0.0, probability).astype(np.float32)
    assert len(found(two, test)) == 2
    assert len(found(two, replace(test, most=1))) == 0  # the first is the one that is too low


@pytest.mark.parametrize("row", ["pages", "totaltext"])
def test_what_is_grown_beyond_the_map_is_clipped(row: str) -> None:
    probability = np.zeros((100, 200), np.float32)
    probability[2:30, 130:199] = 0.9
    (one,) = found(probability, TESTS[row])
    x, y = np.array(one.polygon).T
    assert (y.min(), x.max()) == (0, 200)
    assert y.max() > 30
    assert x.min() < 130


def test_db_plus_plus_starts_from_oclip_twice_as_long() -> None:
    clip: Any = [method.recipes["clip"] for method in (DB, DB_PLUS)]
    assert [recipe.warmup_epochs for recipe in clip] == [100, 200]


def test_rows_of_test_settings() -> None:
    with pytest.raises(StrbenchError, match="No row of test settings is named 'ic16'"):
        finder(DB.build(SMOKE), replace(SMOKE, test="ic16"))
    made = finder(DB.build(SMOKE), replace(SMOKE, test="totaltext"))
    assert made.settings == (
        "totaltext: height 800, polygon mode, binarised at 0.3, score at least 0.6, unclipped by 2.0"
    )


def test_real_annotations_survive_the_maps(shared: Path) -> None:
    gts = shared / "real" / "detection" / "ic15_test" / "Gts"
    if not gts.is_dir():
        pytest.skip("the real ICDAR 2015 annotations are not at hand")
    files = sorted(gts.glob("gt_img_*.txt"))[:60]
    some = [
        (file.stem, tuple(read_boxes(file.read_bytes(), file.name, layout="quad")))
        for file in files
    ]
    assert sum(not region.ignored for _, regions in some for region in regions) > 200
    answers: dict[str, list[Detection]] = {}
    x, y = 1.0, 736 / 720
    for id_, regions in some:
        seen = placed_regions(regions, Placement(scaling(x, y), (736, 1280)), 736, 1280)
        probability = as_if_found(Scene(seen, 736, 1280, 0))
        answers[id_] = [
            one._replace(polygon=tuple((a / x, b / y) for a, b in one.polygon))
            for one in found(probability, TESTS["ic15"])
        ]
    outcome = score_regions(some, answers.__getitem__, region_protocol("iou-0.5")).outcome
    assert outcome.precision == 1.0
    assert outcome.hmean > 0.98


# --- what it takes over, and learning


@pytest.mark.parametrize("size", ["micro", "clipmicro"])
def test_a_backbone_is_taken_over_bit_for_bit(size: str) -> None:
    torch.manual_seed(0)
    parent = backbone(size)
    module = DB.build(replace(SMOKE, size=size))
    tensors = {f"backbone.{k}": v for k, v in parent.state_dict().items()}
    fresh = inherit(module, {"parent": tensors}, fresh=DB.fresh or ())
    assert not [name for name in fresh if name.startswith("backbone.")]
    images = torch.randn(1, 3, 64, 96)
    parent.eval()
    module.backbone.eval()
    for ours, theirs in zip(module.backbone(images), parent(images), strict=True):
        assert torch.equal(ours, theirs)


def test_half_matching_weights_are_refused() -> None:
    """Many tensors of CLIP's network have the names and shapes of ImageNet's."""
    tensors = {f"backbone.{k}": v for k, v in backbone("clipmicro").state_dict().items()}
    with pytest.raises(StrbenchError, match="do not fit"):
        inherit(DB.build(SMOKE), {"oclip": tensors}, fresh=DB.fresh or ())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["db", "dbpp"])
def test_a_few_windows_are_learned_by_heart(name: str) -> None:
    method = registry.load("models", name)
    config = SMOKE
    drawn = [rendered.draw("rendered_pages/train", i) for i in range(4)]
    items = [Item((p.image,), 1.0, p.regions) for p in drawn if isinstance(p, rendered.Page)]
    batch = method.feed(config).batch(items, [None] * 4, torch.arange(4))
    torch.manual_seed(0)
    module = method.build(config).train()
    view = method.views(config)(batch)
    optimiser = torch.optim.AdamW(module.parameters(), lr=2e-3, weight_decay=0.0)
    for _ in range(400):
        optimiser.zero_grad()
        losses = module.loss(view)
        losses["loss"].backward()
        optimiser.step()
    assert losses["binary"] < 0.1
    module.eval()
    with torch.no_grad():
        probability = module(view["images"]).numpy()
    shown = view["shrunk"].numpy()
    counts = view["counts"].numpy()
    wrong = ((probability > 0.3) != shown) & counts
    assert wrong.sum() < 0.15 * shown.sum()
