"""Mask TextSpotter v3: counts, boxes and proposals by hand, masking, the reader, the losses, learning."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
import torch
from running import Run
from torch import Tensor, nn

from strbench import rendered
from strbench.baselines.parts.backbones import backbone
from strbench.baselines.parts.character_attention import (
    END,
    NONE,
    STEPS,
    SYMBOLS,
    CharacterAttention,
    spelt,
    symbols,
)
from strbench.baselines.parts.hard_negatives import batch_dice
from strbench.baselines.parts.proposals import (
    Proposal,
    Sampled,
    owned,
    polygon_masks,
    proposed,
    sampled,
)
from strbench.baselines.parts.roi_align import at_centres, roi_align
from strbench.baselines.parts.spotting_heads import (
    character_loss,
    reading_loss,
    text_outline,
)
from strbench.baselines.parts.spotting_maps import places, targets
from strbench.baselines.parts.text_polygons import offset, rectangles, shrink_distance, sides
from strbench.baselines.spotting.mask_textspotter import MASK_TEXTSPOTTER, Config, finder
from strbench.errors import StrbenchError
from strbench.feeds import Item
from strbench.geometry import bounds
from strbench.methods import PageBatch, inherit
from strbench.placing import Scene, moved, placed_regions
from strbench.region_protocols import region_protocol
from strbench.region_scoring import score_regions
from strbench.submissions import read_truth
from strbench.types import Detection, Polygon, Region

SMOKE: Any = MASK_TEXTSPOTTER.recipes["smoke"]


def box(left: float, top: float, width: float, height: float) -> Polygon:
    right, bottom = left + width, top + height
    return ((left, top), (right, top), (right, bottom), (left, bottom))


def built(config: Any = SMOKE) -> Any:
    torch.manual_seed(0)
    return MASK_TEXTSPOTTER.build(config)


def pages(*numbers: int, characters: bool = False) -> PageBatch:
    """Windows of drawn pages; with ``characters`` each word is cut in as many equal parts."""
    assert MASK_TEXTSPOTTER.feed is not None
    items = []
    for number in range(8):
        page = rendered.draw("rendered_pages/train", number)
        assert isinstance(page, rendered.Page)
        regions = tuple(cut(r) for r in page.regions) if characters else page.regions
        items.append(Item((page.image,), 1.0, regions))
    batch = MASK_TEXTSPOTTER.feed(SMOKE).batch(items, [None] * 8, torch.arange(8))
    assert isinstance(batch, PageBatch)
    rows = list(numbers)
    chosen = {name: values[rows] for name, values in batch.targets.items()}
    return PageBatch(batch.images[rows], chosen, batch.seeds[rows])


def cut(region: Region) -> Region:
    if len(region.polygon) != 4 or not region.text:
        return region
    a, b, c, d = (np.array(point) for point in region.polygon)
    steps = np.linspace(0, 1, len("".join(region.text.split())) + 1)
    upper, lower = [a + s * (b - a) for s in steps], [d + s * (c - d) for s in steps]
    parts = zip(upper[:-1], upper[1:], lower[1:], lower[:-1], strict=True)
    quads = tuple(tuple((float(x), float(y)) for x, y in part) for part in parts)
    return region._replace(characters=quads)


# --- the network


def test_parameters_are_those_of_the_parts() -> None:
    backbone_ = 23_508_032  # torchvision's ResNet-50 without its last layer
    pyramid = (256 + 512 + 1024 + 2048) * 256 + 4 * 256  # 1 x 1, with biases
    pyramid += 4 * (256 * 256 * 9 + 256) + 4 * (256 * 64 * 9 + 64)
    segmenter = 256 * 64 * 9 + 2 * 64 + (64 * 64 * 4 + 64) + 2 * 64 + (64 * 4 + 1)
    box_head = 256 * 49 * 1024 + 1024 + 1024 * 1024 + 1024 + 1024 * 2 + 2
    mask = 4 * (256 * 256 * 9 + 256) + 256 * 256 * 4 + 256 + (256 + 1) + (256 * 37 + 37)
    attention = 296 * 256 + (256 * 256 + 256) + 256
    cell = 3 * 256 * (256 + 296 + 256) + 6 * 256
    reader = 256 * 256 * 9 + 256 + attention + (38 * 256 + 256) + cell + 256 * 38 + 38
    whole = backbone_ + pyramid + segmenter + box_head + mask + reader
    assert MASK_TEXTSPOTTER.card.parameters["r50"] == whole == 45_510_863
    for size, count in MASK_TEXTSPOTTER.card.parameters.items():
        with torch.device("meta"):
            module = MASK_TEXTSPOTTER.build(Config(size=size))
        assert sum(p.numel() for p in module.parameters()) == count, size


def test_shapes() -> None:
    with torch.device("meta"):
        module: Any = MASK_TEXTSPOTTER.build(Config())
        fused = module.features(torch.empty(2, 3, 96, 160))
        assert fused.shape == (2, 256, 24, 40)
        assert module.probability(fused).shape == (2, 96, 160)
        seen, masks = torch.empty(5, 256, 7, 7), torch.ones(5, 7, 7, dtype=torch.bool)
        assert module.classified(seen, masks).shape == (5, 2)
        seen, masks = torch.empty(5, 256, 32, 32), torch.ones(5, 32, 32, dtype=torch.bool)
        fine = module.looked_at(seen, masks)
        assert fine.shape == (5, 256, 64, 64)
        assert module.mask.text(fine).shape == (5, 1, 64, 64)
        assert module.mask.characters(fine).shape == (5, 37, 64, 64)
    fine, ids = torch.zeros(2, 32, 64, 64), torch.zeros(2, 9, dtype=torch.long)
    assert built().reader(fine, ids).shape == (2, 9, 38)


def test_bad_settings_are_named() -> None:
    for wrong in ({"neck": 30}, {"shorts": ()}, {"regions": 0}, {"mask_width": 0}):
        with pytest.raises(StrbenchError, match=f"{next(iter(wrong))}="):
            replace(SMOKE, **wrong)
    with pytest.raises(StrbenchError, match="No row of test settings is named 'ic16'"):
        finder(built(), replace(SMOKE, test="ic16"))
    made = finder(built(), replace(SMOKE, test="totaltext"))
    assert made.sizing.size(600, 800) == (1024, 1344)  # 1000 and 1333.3, in steps of 32
    assert made.settings.startswith("totaltext: short side 1000, up to 4000, outlines")


def test_a_backbone_is_taken_over_bit_for_bit() -> None:
    parent, module = backbone("micro"), built()
    tensors = {f"backbone.{k}": v for k, v in parent.state_dict().items()}
    fresh = inherit(module, {"parent": tensors}, fresh=MASK_TEXTSPOTTER.fresh or ())
    assert fresh
    assert not [name for name in fresh if name.startswith("backbone.")]
    images = torch.randn(1, 3, 64, 96)
    for network in (parent, module.backbone):
        network.eval()
    for ours, theirs in zip(module.backbone(images), parent(images), strict=True):
        assert torch.equal(ours, theirs)


# --- boxes of a map


def test_averages_in_boxes_by_hand() -> None:
    maps = torch.tensor([[[[0.0, 10.0], [20.0, 30.0]]]])
    # one bin from (0.5, 0.5) to (1.5, 1.5): points at 0.75 and 1.25, a quarter of the way from one
    # centre to the next and three quarters; the mean is that of the four centres
    (one,) = roi_align(maps, [torch.tensor([[0.5, 0.5, 1.5, 1.5]])], 1, scale=1.0)
    assert one.item() == pytest.approx(15.0)
    # moved to the left by half a pixel: x is 0.25, which the border stretches to 0.5, and 0.75
    (one,) = roi_align(maps, [torch.tensor([[0.0, 0.5, 1.0, 1.5]])], 1, scale=1.0)
    assert one.item() == pytest.approx(10 + (0 + 2.5) / 2)
    # pixels of the image are four times smaller, and each map has boxes of its own
    two = torch.cat([maps, maps + 100])
    some = [torch.zeros(0, 4), torch.tensor([[2.0, 2.0, 6.0, 6.0], [0.0, 0.0, 4.0, 4.0]])]
    assert roi_align(two, some, 1, scale=0.25).flatten().tolist() == pytest.approx([115, 103.75])
    assert roi_align(two, [some[0], some[0]], 7, scale=0.25).shape == (0, 1, 7, 7)


def test_averages_of_a_plane_are_its_values_at_bin_centres() -> None:
    y, x = torch.meshgrid(torch.arange(12.0) + 0.5, torch.arange(16.0) + 0.5, indexing="ij")
    plane = (3 * x - 2 * y + 1)[None, None].double()
    boxes = torch.tensor([[1.3, 2.2, 13.9, 10.1], [4.0, 4.0, 4.5, 9.0]], dtype=torch.float64)
    found = roi_align(plane, [boxes], 5, scale=1.0)[:, 0]
    for square, (left, top, right, bottom) in zip(found, boxes, strict=True):
        steps = (torch.arange(5).double() + 0.5) / 5
        at_x, at_y = left + (right - left) * steps, top + (bottom - top) * steps
        torch.testing.assert_close(square, 3 * at_x[None] - 2 * at_y[:, None] + 1)


def test_no_boxes_keep_the_gradient_whole() -> None:
    maps = torch.randn(2, 3, 4, 4, requires_grad=True)
    total: Any = roi_align(maps, [torch.zeros(0, 4)] * 2, 7, scale=0.25).sum()
    total.backward()
    assert maps.grad is not None
    assert not maps.grad.any()


# --- proposals


def test_a_proposal_by_hand() -> None:
    probability = np.zeros((100, 200), np.float32)
    probability[41:59, 60:118] = 0.5  # 18 x 58 pixels; between outer centres 17 x 57
    (one,) = proposed(probability)
    area_over_length = 17 * 57 / (2 * (17 + 57))  # 6.547
    margin = 1.5 * area_over_length
    assert one.box.tolist() == pytest.approx(
        [60.5 - margin, 41.5 - margin, 117.5 + margin, 58.5 + margin]
    )
    assert one.score == pytest.approx(0.5)
    margin = 3.0 * area_over_length
    left, top = one.polygon.min(axis=0)
    right, bottom = one.polygon.max(axis=0)
    assert [left, top, right, bottom] == pytest.approx(
        [60.5 - margin, 41.5 - margin, 117.5 + margin, 58.5 + margin]
    )
    # the box ends where the image does, and the polygon need not
    (one,) = proposed(probability[41:])
    assert one.box[1] == 0
    assert one.polygon[:, 1].min() < 0


def test_a_part_that_is_thin_somewhere_is_one_proposal() -> None:
    probability = np.zeros((60, 200), np.float32)
    probability[10:40, 20:60] = probability[10:40, 80:150] = 1.0
    probability[25, 60:80] = 0.2  # a bridge of one pixel
    (one,) = proposed(probability)
    assert one.box[0] < 20
    assert one.box[2] > 150
    shape = shapely.Polygon(one.polygon)
    assert shape.is_valid
    assert shape.covers(shapely.box(80, 10, 150, 40))


def test_what_is_proposed_and_in_which_order() -> None:
    probability = np.full((100, 200), 0.1, np.float32)
    assert proposed(probability) == []  # above 0.1 is text
    probability[10:15, 10:60] = 0.9  # its centres lie 4 pixels apart
    assert proposed(probability) == []
    probability[10:16, 10:60] = 0.3
    probability[40:60, 10:60] = 0.9
    probability[40:60, 100:160] = 0.2
    assert [one.score for one in proposed(probability)] == pytest.approx([0.9, 0.3, 0.2])
    assert [one.score for one in proposed(probability, score=0.25)] == pytest.approx([0.9, 0.3])


def test_bins_in_a_polygon_by_hand() -> None:
    triangle = np.array([(10.0, 20.0), (50.0, 20.0), (10.0, 60.0)])
    one = Proposal(triangle, np.array([10.0, 20.0, 50.0, 60.0]), 1.0)
    (mask,) = polygon_masks([one], 4)
    # centres at (i + 0.5) / 4 of the sides: inside where i + j + 1 < 4
    assert mask.astype(int).tolist() == [[1, 1, 1, 0], [1, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]


def test_those_to_train_on_by_hand() -> None:
    def at(left: float, top: float, score: float) -> Proposal:
        polygon = np.array(box(left, top, 20, 10))
        return Proposal(polygon, np.array([left, top, left + 20, top + 10]), score)

    boxes = torch.zeros(4, 4)
    boxes[0] = torch.tensor([10.0, 10.0, 30.0, 20.0])
    boxes[2] = torch.tensor([10.0, 50.0, 30.0, 60.0])
    counts = torch.ones(100, 100, dtype=torch.bool)
    counts[40:60, 70:90] = False
    proposals = [
        at(70, 45, 0.9),  # where nothing counts
        at(17, 10, 0.8),  # 13 of 27 columns: of no text
        at(16, 50, 0.7),  # 14 of 26 columns: of the text in row 2
        at(60, 10, 0.6),
        at(81, 45, 0.5),  # 9 of 20 columns where nothing counts
    ]
    some = sampled(proposals, boxes, counts, most=16)
    assert some.owner.tolist() == [0, 2, 2, -1, -1, -1]
    assert [None if one is None else one.score for one in some.proposals] == [
        None, None, 0.7, 0.8, 0.6, 0.5,
    ]  # fmt: skip
    assert some.boxes[0].tolist() == [10, 10, 30, 20]
    assert some.boxes[2].tolist() == [16, 50, 36, 60]
    assert some.positives.owner.tolist() == [0, 2, 2]
    few = sampled(proposals, boxes, counts, most=4)  # a quarter of them are of a text
    assert few.owner.tolist() == [0, -1, -1, -1]
    none = sampled([], torch.zeros(4, 4), counts, most=16)
    assert none.boxes.shape == (0, 4)
    assert none.masks(counts.short(), 7).shape == (0, 7, 7)


def test_a_text_sees_its_own_pixels_and_a_proposal_its_polygon() -> None:
    instances = torch.zeros(40, 40, dtype=torch.int16)
    instances[10:20, 10:30], instances[15:20, 10:30] = 1, 2
    around = torch.tensor([[10.0, 10.0, 30.0, 20.0]])
    own = Sampled(around, torch.tensor([0]), [None])
    assert own.masks(instances, 4)[0].tolist() == [[True] * 4] * 2 + [[False] * 4] * 2
    left = Proposal(np.array(box(0, 0, 20, 40)), around[0].double().numpy(), 1.0)
    made = Sampled(around, torch.tensor([0]), [left])
    assert made.masks(instances, 4)[0].tolist() == [[True, True, False, False]] * 4
    assert at_centres(instances, around, 2)[0].tolist() == [[1, 1], [2, 2]]


def test_heads_see_nothing_outside_of_the_polygon() -> None:
    module = built().eval()
    fused = torch.randn(1, 32, 40, 40)
    # the left half of a box of 80 pixels; a bin of 11.4 reaches 5.7 beyond its centre, and two pixels
    # of the map further by its samples' neighbours: from column 24 (pixel 96) on nothing is seen
    half = Proposal(np.array(box(40, 40, 40, 80)), np.array([40.0, 40.0, 120.0, 120.0]), 1.0)
    boxes = [torch.tensor(half.box[None], dtype=torch.float32)]

    def heads(maps: Tensor, *, masked: bool = True) -> tuple[Tensor, Tensor, Tensor]:
        masks = {s: torch.from_numpy(polygon_masks([half], s)) | (not masked) for s in (7, 32)}
        logits = module.classified(roi_align(maps, boxes, 7, scale=0.25), masks[7])
        fine = module.looked_at(roi_align(maps, boxes, 32, scale=0.25), masks[32])
        return logits, fine, module.reader(fine, torch.zeros(1, 4, dtype=torch.long))

    outside, inside = fused.clone(), fused.clone()
    outside[..., 24:] += 5
    inside[..., 12:16] += 5
    with torch.no_grad():
        for before, after in zip(heads(fused), heads(outside), strict=True):
            assert torch.equal(before, after)
        for before, after in zip(heads(fused), heads(inside), strict=True):
            assert not torch.equal(before, after)
        for before, after in zip(
            heads(fused, masked=False), heads(outside, masked=False), strict=True
        ):
            assert not torch.equal(before, after)


# --- windows and what is in them


def test_arrays_of_a_scene_by_hand() -> None:
    word = Region(box(40, 40, 80, 40), "A-1", characters=tuple(
        box(40 + 80 / 3 * i, 40, 80 / 3, 40) for i in range(3)
    ))  # fmt: skip
    plain = Region(box(150, 40, 60, 30), "x" * 40)
    scene = Scene((word, plain), 160, 240, 0)
    maps = targets(scene)
    assert maps["boxes"][:3].tolist() == [[40, 40, 120, 80], [150, 40, 210, 70], [0, 0, 0, 0]]
    assert maps["ids"][0, :5].tolist() == [11, 0, 2, END, NONE]
    assert maps["ids"][1].tolist() == [34] * STEPS  # cut, without an end
    assert (maps["ids"][2:] == NONE).all()
    assert maps["has_characters"].tolist()[:3] == [True, False, False]
    assert (maps["instances"] == 1).sum() == 80 * 40
    assert (maps["instances"] == 2).sum() == 60 * 30
    # 11.2 inward, as DB's maps; and 8.4 for the second (1800 / 180 * 0.84)
    assert maps["shrunk"].sum() == 58 * 18 + 44 * 14
    characters = maps["characters"]
    assert (characters[maps["instances"] != 1] == -1).all()
    # a quarter of 26.7 x 40: x from 50 to 56.67, 7 columns, y from 55 to 65
    assert (characters == 11).sum() == (characters == 2).sum() == 7 * 10
    assert characters[60, 53] == 11
    assert characters[60, 80] == 0  # a hyphen is no class of its own
    assert maps["counts"].all()


def test_texts_that_do_not_count() -> None:
    regions = (
        Region(box(20, 20, 40, 20), "###", ignored=True),
        Region(box(100, 20, 40, 7.5), "low"),
        Region(box(-5, 60, 40, 20), "cut"),  # an eighth of it
        Region(box(-4, 100, 40, 20), "whole"),  # a tenth of it
    )
    maps: dict[str, Any] = targets(Scene(regions, 160, 160, 0))
    assert maps["boxes"][:2].tolist() == [[0, 100, 36, 120], [0, 0, 0, 0]]
    assert spelt(maps["ids"][0].tolist()) == "whole"
    assert (~maps["counts"]).sum() == 40 * 20 + 40 * 7 + 35 * 20
    many = tuple(Region(box(40 * (i % 12), 12 * (i // 12), 30, 10), "a") for i in range(130))
    crowded: dict[str, Any] = targets(Scene(many, 160, 480, 0))
    assert (crowded["boxes"][:, 2] > 0).sum() == 128
    assert (~crowded["counts"]).sum() == 2 * 30 * 10


@pytest.mark.parametrize("turn", [0.0, 90.0])
def test_windows_hold_a_whole_word(turn: float) -> None:
    regions = (Region(box(300, 200, 60, 20), "here"), Region(box(5, 5, 30, 10), "###", True))
    place = places((240, 320), turn, 160, 160)
    starts = set()
    for seed in range(30):
        placement = place(np.random.default_rng(seed), 480, 640, regions)
        again = place(np.random.default_rng(seed), 480, 640, regions)
        assert np.array_equal(placement.matrix, again.matrix)
        scale = math.sqrt(np.linalg.det(placement.matrix[:2, :2]))
        assert min(abs(scale - 240 / 480), abs(scale - 320 / 480)) < 1e-9
        seen = placed_regions(regions, placement, 160, 160)
        left, top, right, bottom = bounds(seen[0].polygon)
        assert seen[0].text == "here"
        assert min(left, top) >= -1e-6
        assert max(right, bottom) <= 160 + 1e-6
        starts.add((round(left), round(top)))
    assert len(starts) > 20


def test_a_small_photograph_lies_whole_in_the_corner() -> None:
    placement = places((60,), 90.0, 160, 160)(np.random.default_rng(3), 60, 80, ())
    left, top, right, bottom = bounds(moved(box(0, 0, 80, 60), placement.matrix))
    assert (left, top) == pytest.approx((0, 0), abs=1e-9)
    assert placement.shown == (round(bottom), round(right))


# --- the reader


def reader() -> CharacterAttention:
    """One that is sure of what it says, and says various things."""
    torch.manual_seed(1)
    made = CharacterAttention(8, hidden=24).eval()
    with torch.no_grad():
        for weight in (made.generator.weight, made.word.weight, made.cell.weight_hh):
            weight.mul_(8)
    return made


def test_told_what_it_chose_it_chooses_the_same() -> None:
    made, features = reader(), torch.randn(5, 8, 64, 64)
    chosen = made.greedy(features)
    assert chosen.shape == (5, STEPS)
    assert len(set(chosen.flatten().tolist())) > 5
    with torch.no_grad():
        says = made(features, chosen)
    torch.testing.assert_close(says.exp().sum(-1), torch.ones(5, STEPS))
    assert torch.equal(says.argmax(-1), chosen)
    other = chosen.clone()
    other[:, 3] = (other[:, 3] + 1) % SYMBOLS
    with torch.no_grad():
        changed = made(features, other)
    assert torch.equal(changed[:, :4], says[:, :4])  # a symbol is told to the steps behind it
    assert not torch.equal(changed[:, 4], says[:, 4])


def test_places_are_told_apart() -> None:
    made = reader()
    one = torch.zeros(1, 8, 64, 64)
    left, right = one.clone(), one.clone()
    left[..., :16], right[..., -16:] = 1.0, 1.0
    with torch.no_grad():
        says = [made(maps, torch.zeros(1, 3, dtype=torch.long)) for maps in (left, right)]
    assert not torch.allclose(says[0], says[1])


def test_a_beam_of_one_is_greedy_and_a_wide_one_exact() -> None:
    made, features = reader(), torch.randn(6, 8, 64, 64)
    for row, read in zip(made.greedy(features).tolist(), made.beam(features, width=1), strict=True):
        assert list(read.ids) == (row[: row.index(END)] if END in row else row)
    # two symbols: every first one with every second one, and the end at once
    with torch.no_grad():
        firsts = torch.arange(SYMBOLS)
        for maps, read in zip(features, made.beam(features, width=SYMBOLS, steps=2), strict=True):
            pairs = torch.stack([firsts, torch.zeros_like(firsts)], dim=1)
            says = made(maps[None].expand(SYMBOLS, -1, -1, -1), pairs)
            total = says[0, 0][:, None] + says[:, 1]  # (first, second)
            total[END] = says[0, 0, END]
            best = divmod(int(total.argmax()), SYMBOLS)
            wanted = () if best[0] == END else tuple(one for one in best if one != END)
            assert read.ids == wanted
            assert read.log_probability == pytest.approx(total.max().item(), abs=1e-4)


def test_what_a_beam_says_of_its_text_is_what_the_reader_says() -> None:
    made, features = reader(), torch.randn(6, 8, 64, 64)
    with torch.no_grad():
        made.generator.bias[END] += 8
    reads = made.beam(features)
    assert any(len(read.ids) < STEPS for read in reads)
    for maps, read in zip(features, reads, strict=True):
        ids = torch.tensor([[*read.ids, END][:STEPS]])
        with torch.no_grad():
            says = made(maps[None], ids)
        each = says.gather(2, ids[:, :, None]).sum().item()
        assert read.log_probability == pytest.approx(each, abs=1e-3)
    assert made.beam(features[:0]) == []


def test_symbols() -> None:
    assert symbols(None) == symbols("") == [NONE] * STEPS
    assert symbols("0z!")[:5] == [1, 36, 0, END, NONE]
    assert symbols("a" * 31)[-1] == END
    assert END not in symbols("a" * 32)
    assert symbols("\u0130")[:2] == [0, END]  # its lower case has two characters
    assert spelt([12, 0, END, 13]) == "b"


# --- the losses


def test_dice_of_a_batch_by_hand() -> None:
    truth = torch.tensor([[[1, 1, 0, 0]]], dtype=torch.bool)
    counts = torch.ones_like(truth)
    assert batch_dice(truth.float(), truth, counts) == pytest.approx(0, abs=1e-6)
    made = torch.tensor([[[0.5, 0.0, 0.5, 0.5]]])
    assert batch_dice(made, truth, counts) == pytest.approx(1 - 2 * 0.5 / 3.5)
    counts = torch.tensor([[[1, 1, 0, 0]]], dtype=torch.bool)
    assert batch_dice(made, truth, counts) == pytest.approx(1 - 2 * 0.5 / 2.5)
    # two images are one map
    two = torch.cat([made, torch.zeros_like(made)]), torch.cat([truth, truth])
    assert batch_dice(*two, torch.ones(2, 1, 4)) == pytest.approx(1 - 2 * 0.5 / 5.5)


def test_character_maps_by_hand() -> None:
    truth = torch.tensor([[[0, 0, 0, 5]], [[-1, -1, -1, -1]], [[0, 0, -1, -1]]])
    logits = torch.zeros(3, 37, 1, 4)
    logits[0, 5, 0, 3] = math.log(36)  # half of the probability
    # three of ln 37, and one of ln 2 that weighs three; two of ln 37; the second map does not count
    first = (3 * math.log(37) + 3 * math.log(2)) / 4
    assert character_loss(logits, truth) == pytest.approx((first + math.log(37)) / 2)
    logits.requires_grad_()
    none: Any = character_loss(logits, torch.full_like(truth, -1))
    assert none == 0
    none.backward()
    assert logits.grad is not None
    assert not logits.grad.any()


def test_readings_by_hand() -> None:
    says = torch.full((2, 3, SYMBOLS), math.log(0.1))
    says[0, 0, 4] = math.log(0.5)
    ids = torch.tensor([[4, END, NONE], [7, 8, END]])
    wanted = (math.log(2) + math.log(10) + 3 * math.log(10)) / 2
    assert reading_loss(says, ids) == pytest.approx(wanted)
    assert reading_loss(says[:0], ids[:0]) == 0


def test_losses_at_the_start() -> None:
    module, batch = built().train(), pages(*range(8))
    with torch.no_grad():
        losses = module.loss(MASK_TEXTSPOTTER.views(SMOKE)(batch))
    assert losses["box"] == pytest.approx(math.log(2), rel=0.15)
    assert losses["mask"] == pytest.approx(math.log(2), rel=0.15)
    ids = batch.targets["ids"]
    lengths = (ids != NONE).sum(-1)[ids[:, :, 0] != NONE].float()
    assert losses["reading"] == pytest.approx(lengths.mean().item() * math.log(SYMBOLS), rel=0.1)
    assert losses["characters"] == 0  # drawn pages have no boxes of characters
    parts = [losses[name] for name in ("segmentation", "box", "mask", "characters")]
    assert losses["loss"] == pytest.approx((sum(parts) + 0.2 * losses["reading"]).item())


def test_boxes_of_characters_are_learned_from() -> None:
    module, batch = built().train(), pages(*range(8), characters=True)
    assert batch.targets["has_characters"].sum() > 8
    loss = module.loss(MASK_TEXTSPOTTER.views(SMOKE)(batch))["characters"]
    # all classes alike: ln 37 twice, once for each side, less the share of the characters' pixels
    assert math.log(37) < loss < 2 * math.log(37)
    loss.backward()
    assert module.mask.characters.weight.grad.any()


def test_a_window_without_text_has_a_loss() -> None:
    arrays = targets(Scene((), 64, 64, 0))
    batch = {k: torch.from_numpy(np.stack([v, v])) for k, v in arrays.items()}
    module = built().train()
    losses = module.loss({"images": torch.zeros(2, 3, 64, 64), **batch})
    losses["loss"].backward()
    assert losses["reading"] == losses["mask"] == 0
    assert all(p.grad is not None and p.grad.isfinite().all() for p in module.parameters())


# --- asked


def test_outlines_of_a_map_in_its_box() -> None:
    text = torch.zeros(1, 64, 64)
    text[:, 16:48, :32] = 1.0
    around = np.array([100.0, 50.0, 228.0, 82.0])  # two pixels a column, half a one a row
    corners = text_outline(text, around, is_box=True)
    assert corners is not None
    assert corners.min(axis=0).tolist() == pytest.approx([100, 58], abs=1)
    assert corners.max(axis=0).tolist() == pytest.approx([164, 74], abs=1)
    assert text_outline(torch.zeros(1, 64, 64), around, is_box=True) is None
    rows, columns = torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij")
    ring = (((columns - 32) ** 2 + (rows - 60) ** 2) ** 0.5 - 40).abs() < 12
    curved = text_outline(ring.float()[None], np.array([0.0, 0.0, 128.0, 128.0]), is_box=False)
    assert curved is not None
    assert len(curved) > 8
    assert shapely.Polygon(curved).area == pytest.approx(4 * int(ring.sum()), rel=0.05)


def test_it_spots_polygons_with_texts_and_scores() -> None:
    module = built().eval()
    with torch.no_grad():  # everything is text, and all of it is seen
        module.box.classes.bias.copy_(torch.tensor([-3.0, 3.0]))
        module.mask.text.bias.fill_(3.0)
    batch = pages(1, 2)
    with torch.inference_mode():
        found = finder(module, SMOKE).find(batch.images.float() / 255)
    assert len(found) == 2
    assert all(found)
    for one in [detection for some in found for detection in some]:
        assert len(one.polygon) == 4
        assert one.text is not None
        assert one.confidence == pytest.approx(torch.tensor(6.0).sigmoid().item(), abs=0.05)
        assert shapely.Polygon(one.polygon).area > 25
    with torch.no_grad():
        module.box.classes.bias.copy_(torch.tensor([3.0, -3.0]))
    with torch.inference_mode():
        assert finder(module, SMOKE).find(batch.images.float() / 255) == [[], []]


def left_of(polygon: Polygon) -> float:
    """The shorter side of the smallest rectangle around the shrunk polygon."""
    inner = offset(polygon, -shrink_distance(polygon, 0.4))
    return sides(rectangles(inner[:1])[0])[1] if inner else 0.0


@pytest.mark.parametrize(
    ("case", "protocol", "scale", "is_box", "least"),
    [
        ("ic15_iou_pixellink", "ic15-iou", 2.0, True, 0.97),
        ("totaltext_deteval_baseline", "totaltext-deteval", 1.0, False, 0.97),
    ],
)
def test_real_annotations_survive_proposals_and_outlines(
    shared: Path, case: str, protocol: str, scale: float, is_box: bool, least: float
) -> None:
    """Faultless maps: of shrunk text, and of each text in the box and polygon proposed for it."""
    folder = shared / "oracles" / "detection" / case / "gt"
    truth = read_truth(folder, region_protocol(protocol).files)
    some: list[tuple[str, list[Region]]] = []
    answers: dict[str, list[Detection]] = {}
    for id_ in sorted(truth)[:25]:
        enlarged = [
            r._replace(polygon=tuple((scale * x, scale * y) for x, y in r.polygon))
            for r in truth[id_]
            if len(r.polygon) > 2
        ]
        points = np.array([p for r in enlarged for p in r.polygon]).reshape(-1, 2)
        wide, high = np.ceil(points.max(axis=0, initial=32)).astype(int)
        maps = {
            k: torch.from_numpy(v)
            for k, v in targets(Scene(tuple(enlarged), high, wide, 0)).items()
        }
        made = proposed(maps["shrunk"].float().numpy(), score=0.1)
        picked = sampled(made, maps["boxes"], maps["counts"], most=4096)
        rows = [
            i for i, one in enumerate(picked.proposals) if one is not None and picked.owner[i] >= 0
        ]
        boxes, owner = picked.boxes[rows], picked.owner[rows]
        seen = picked.masks(maps["instances"], 64)[rows] & owned(
            maps["instances"], boxes, owner, 64
        )
        corners = [
            text_outline(mask[None].float(), around.double().numpy(), is_box=is_box)
            for mask, around in zip(seen, boxes, strict=True)
        ]
        answers[id_] = [Detection(tuple(map(tuple, c.tolist()))) for c in corners if c is not None]
        # a text of which less than 6 pixels are left after shrinking is too low for a proposal
        kept = [r._replace(ignored=r.ignored or left_of(r.polygon) < 6) for r in enlarged]
        some.append((id_, kept))
    assert sum(not r.ignored for _, regions in some for r in regions) > 40
    outcome = score_regions(some, answers.__getitem__, region_protocol("iou-0.5")).outcome
    assert outcome.precision > least
    assert outcome.recall > least


def test_end_to_end_figures_of_drawn_pages(run: Run, home: Path) -> None:
    for split, n in (("rendered_pages/train", 8), ("rendered_pages/test", 2)):
        rendered.prepare(split, home / "data", n=n)
    changes = [w for s in ("steps=2", "warmup_steps=0") for w in ("--set", s)]
    made = run(
        "finetune", "mask-textspotter", "--from", "scratch", "--recipe", "smoke", *changes, "--json"
    )
    assert made.code == 0, made.err
    name = json.loads(made.out)["name"]
    data = ("--data", "rendered_pages/test", "--protocol", "ic15-e2e")
    outcome = run("eval", "--model", name, *data, "--json")
    assert outcome.code == 0, outcome.err
    (score,) = json.loads(outcome.out)["scores"]
    assert score["protocol"] == "ic15-e2e"
    assert set(score["figures"]) >= {"precision", "recall", "hmean"}
    assert score["n"] == 2


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_few_windows_are_read_by_heart() -> None:
    batch, steps, peak = pages(2, 3, 4, 6), 300, 3e-3
    view = MASK_TEXTSPOTTER.views(SMOKE)(batch)
    module = built().train()
    optimiser = torch.optim.AdamW(module.parameters(), weight_decay=0.0)
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = peak * min(1.0, (step + 1) / 10, 2 * (1 - step / steps))
        optimiser.zero_grad()
        module.loss(view)["loss"].backward()
        nn.utils.clip_grad_norm_(module.parameters(), 5.0)
        optimiser.step()
    module.eval()
    with torch.inference_mode():
        found = finder(module, SMOKE).find(batch.images.float() / 255)
    words, read = [], []
    for i, detections in enumerate(found):
        sides = batch.targets["boxes"][i][:, 2:] - batch.targets["boxes"][i][:, :2]
        large = sides.min(dim=1).values > 16  # smaller ones are too low for a proposal
        words.append({spelt(ids.tolist()) for ids in batch.targets["ids"][i][large]})
        read.append({detection.text for detection in detections})
    assert sum(map(len, words)) >= 7
    for wanted, texts in zip(words, read, strict=True):
        assert wanted <= texts
