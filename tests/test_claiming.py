"""Rules that claim true regions: by hand, against plain loops, and against the official figures."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from test_deteval import (
    IGNORED,
    MATCHED,
    MERGED,
    MISSED,
    Rule,
    assert_figures,
    box,
    by_number,
    credits,
    drawn,
    expected,
    integers,
    lines,
    polygon,
    scene,
    total_text,
)

from strbench.errors import DATA, StrbenchError
from strbench.geometry import turned_box
from strbench.metrics.claiming import (
    CTW1500VOC,
    PSENetCTW,
    PSENetTD500,
    TotalTextPascal,
    TurnedBoxes,
)
from strbench.metrics.detection import FirstCome, Scene
from strbench.types import Detection, Polygon, Region

ALL: tuple[Callable[..., Rule], ...] = (TotalTextPascal, CTW1500VOC, PSENetCTW, PSENetTD500)
BOW_TIE = ((0, 0), (10, 10), (10, 0), (0, 10))
LOBE = ((0, 0), (5, 5), (0, 10))  # of the bow-tie


def test_where_an_overlap_of_a_half_lies() -> None:
    # 10 x 10 over 10 x 20: 100 / 200, just a half; with one more pixel below 100 / 201
    given = scene([box(0, 0, 10, 20)], [box(0, 0, 10, 10)])
    assert credits(PSENetCTW()(given)) == (1, 1, 1, 1)
    assert credits(PSENetTD500()(given)) == (1, 1, 1, 1)
    assert credits(CTW1500VOC()(given)) == (0, 1, 0, 1)
    assert credits(TotalTextPascal()(given)) == (0, 1, 0, 1)
    assert credits(TotalTextPascal(union_padding=0.0)(given)) == (1, 1, 1, 1)
    # 101 / (201 + 1) is just a half
    given = scene([box(0, 0, 1, 201)], [box(0, 0, 1, 101)])
    assert credits(TotalTextPascal()(given)) == (1, 1, 1, 1)
    assert credits(TotalTextPascal()(scene([box(0, 0, 1, 202)], [box(0, 0, 1, 101)])))[0] == 0


@pytest.mark.parametrize("rule", [TotalTextPascal, CTW1500VOC])
def test_the_best_is_claimed_be_it_taken(rule: Callable[..., Rule]) -> None:
    # The second found one fits the first region by 9 / 11 and the second by 9 / 12: both are claimed
    # from the first, which is taken.
    truth = [box(0, 0, 10, 10), box(2, 0, 13, 10)]
    given = scene(truth, [box(0, 0, 10, 10), box(1, 0, 11, 10)])
    out = rule()(given)
    assert credits(out) == (1, 2, 1, 2)
    assert (out.found.tolist(), out.partner.tolist()) == ([MATCHED, MISSED], [0, -1])


@pytest.mark.parametrize("rule", [TotalTextPascal, CTW1500VOC])
def test_of_equal_ones_the_first_is_claimed(rule: Callable[..., Rule]) -> None:
    twice = [box(0, 0, 10, 10)] * 2
    out = rule()(scene(twice, twice))
    assert (credits(out), out.partner.tolist()) == ((1, 2, 1, 2), [0, -1])


def test_pascal_leaves_out_what_lies_on_ignored_text() -> None:
    # 51 / (100 + 1) of the found one is more than a half, 50 / 101 is not
    given = scene(
        [], [box(0, 0, 100, 1), box(0, 10, 100, 11)], [box(0, 0, 51, 1), box(0, 10, 50, 11)]
    )
    with pytest.raises(StrbenchError, match=r"No true region counts, of 2"):
        TotalTextPascal()(given)
    out = TotalTextPascal(refuse=False)(given)
    assert (credits(out), out.found.tolist()) == ((0, 0, 0, 1), [IGNORED, MISSED])


def test_ctw_in_file_order_of_images_by_name() -> None:
    # image a: false, right; image b: right. Precisions 0, 1/2, 2/3 at recalls 0, 1/3, 2/3: the
    # envelope is 2/3 up to a recall of 2/3, and 0 beyond.
    good, other = box(0, 0, 10, 10), box(50, 50, 60, 60)
    truth = {"b": [Region(good), Region(other)], "a": [Region(good)]}
    found = {
        "b": [Detection(good, 0.1)],
        "a": [Detection(box(90, 90, 99, 99), 0.9), Detection(good)],
    }
    out = CTW1500VOC()(Scene.of(truth, found))
    assert credits(out) == (2, 3, 2, 3)
    assert out.average_precision == pytest.approx(2 / 3 * 2 / 3)
    # b first would be 1, 1/2, 2/3: 1 up to a third, then 2/3
    renamed = {"c": truth["a"], "b": truth["b"]}, {"c": found["a"], "b": found["b"]}
    swapped = CTW1500VOC()(Scene.of(*renamed)).average_precision
    assert swapped == pytest.approx(1 / 3 * 1 + 1 / 3 * 2 / 3)
    # by confidence .9 (false), .1 (b's), none: 0, 1/2, 2/3
    by = CTW1500VOC(by_confidence=True)(Scene.of(*renamed)).average_precision
    assert by == pytest.approx(2 / 3 * 2 / 3)


def test_confidence_decides_who_claims_only_if_asked() -> None:
    regions = {"a": [Region(box(0, 0, 10, 10))]}
    found = {"a": [Detection(box(0, 0, 9, 10), 0.2), Detection(box(0, 0, 10, 10), 0.8)]}
    given = Scene.of(regions, found)
    assert CTW1500VOC()(given).partner.tolist() == [0, -1]
    assert CTW1500VOC(by_confidence=True)(given).partner.tolist() == [-1, 0]


CROSSING = ((0, 0), (10, 0), (10, 10), (5, -1), (0, 10))  # its dent goes through the upper edge


@pytest.mark.parametrize(
    "flat", [CROSSING, BOW_TIE, box(0, 5, 9, 5), ((1, 1), (5, 5)), ((2, 2), (2, 2), (2, 2))]
)
def test_ctw_skips_a_polygon_that_is_invalid(flat: Polygon) -> None:
    good, far = box(20, 20, 30, 30), box(70, 70, 80, 80)
    given = scene([good], [flat, good, far])
    out = CTW1500VOC()(given)
    assert credits(out) == (1, 1, 1, 2)
    assert out.found.tolist() == [IGNORED, MATCHED, MISSED]
    assert out.average_precision == 1
    out = CTW1500VOC(skip_invalid=False)(given)
    assert (credits(out), out.found.tolist()) == ((1, 1, 1, 3), [MISSED, MATCHED, MISSED])
    assert out.average_precision == 0.5
    # a true one that is invalid overlaps with nothing
    assert credits(CTW1500VOC()(scene([flat], [box(0, 0, 10, 10)]))) == (0, 1, 0, 1)


def test_ctw_may_count_what_a_crossing_polygon_covers() -> None:
    # two lobes of 25 in a region of 60: 50 / (60 + 0 - 50) is above a half, for the area that the
    # shoelace formula gives is 0
    given = scene([box(0, 0, 6, 10)], [((0, 0), (6, 10), (6, 0), (0, 10))])
    rule = CTW1500VOC(skip_invalid=False, crossing="even-odd")
    assert credits(rule(given)) == (1, 1, 1, 1)


def test_what_fits_an_ignored_region_best_does_not_count_in_voc() -> None:
    given = scene([box(0, 0, 10, 10)], [box(20, 0, 30, 10), box(0, 0, 9, 10)], [box(20, 0, 30, 9)])
    out = CTW1500VOC()(given)
    assert credits(out) == (1, 1, 1, 1)
    assert (out.truth.tolist(), out.found.tolist()) == ([MATCHED, IGNORED], [IGNORED, MATCHED])
    assert out.average_precision == 1


def test_ctw_ends_at_a_detection_in_an_image_without_text() -> None:
    good = box(0, 0, 10, 10)
    given = Scene.of(
        {"a": [Region(good)], "b": []}, {"a": [Detection(good)], "b": [Detection(good)]}
    )
    with pytest.raises(StrbenchError, match=r"b: detection 1 is in an image without") as caught:
        CTW1500VOC()(given)
    assert caught.value.exit_code == DATA
    assert credits(CTW1500VOC(refuse=False)(given)) == (1, 1, 1, 2)


def test_one_hit_for_all_that_a_found_region_takes() -> None:
    # the found one overlaps with both by 10 / 12 and 10 / 12; a second one comes too late
    truth, found = [box(0, 0, 11, 10), box(-1, 0, 10, 10)], [box(0, 0, 10, 10)] * 2
    out = PSENetCTW()(scene(truth, found))
    assert credits(out) == (1, 2, 1, 2)  # one hit, in the recall too
    assert (out.truth.tolist(), out.found.tolist()) == ([MERGED, MERGED], [MERGED, MISSED])
    assert credits(PSENetCTW(recall_taken=True)(scene(truth, found))) == (2, 2, 1, 2)
    # one that is late for the first but reaches another is a hit
    late = [box(0, 0, 11, 10), box(4, 0, 14, 10)]
    out = PSENetCTW()(scene(late, [box(0, 0, 10, 10), box(1, 0, 13, 10)]))
    assert (credits(out), out.partner.tolist()) == ((2, 2, 2, 2), [0, 1])


def test_psenet_s_ctw_knows_no_ignored_text() -> None:
    good = box(0, 0, 10, 10)
    out = PSENetCTW()(scene([], [good], [good, box(20, 0, 30, 10)]))
    assert credits(out) == (1, 2, 1, 1)


def test_td500_in_psenet_s_copy() -> None:
    truth, found = [box(0, 0, 10, 10), box(0, 0, 10, 9)], [box(0, 0, 10, 10)]
    out = PSENetTD500()(scene(truth, found))
    assert credits(out) == (2, 2, 2, 1)  # a precision of 2
    assert (out.truth.tolist(), out.found.tolist()) == ([MERGED, MERGED], [MERGED])
    assert credits(PSENetTD500(serve_many=False)(scene(truth, found))) == (1, 2, 1, 1)
    # a second one on the same text is false
    out = PSENetTD500()(scene(truth[:1], found * 2))
    assert (credits(out), out.partner.tolist()) == ((1, 1, 1, 2), [0, -1])


def test_a_difficult_line_counts_if_it_is_found() -> None:
    plain, hard, missed = box(0, 0, 10, 10), box(20, 0, 30, 10), box(40, 0, 50, 10)
    # the last detection lies on the missed difficult line, and is false
    given = scene([plain], [plain, hard, box(40, 0, 44, 10)], [hard, missed])
    out = PSENetTD500()(given)
    assert credits(out) == (2, 2, 2, 3)
    assert out.truth.tolist() == [MATCHED, MATCHED, IGNORED]
    assert out.found.tolist() == [MATCHED, MATCHED, MISSED]


@pytest.mark.parametrize("rule", [TotalTextPascal, PSENetCTW, PSENetTD500])
def test_images_without_a_result_are_left_out(rule: Callable[..., Rule]) -> None:
    good = box(0, 0, 10, 10)
    truth = {"a": [Region(good)], "b": [Region(good)], "c": [Region(good)]}
    given = Scene.of(truth, {"a": [Detection(good)], "c": []})  # c has an empty result
    out = rule()(given)
    assert (credits(out), out.truth.tolist()) == ((1, 2, 1, 1), [MATCHED, IGNORED, MISSED])
    assert credits(rule(count_unanswered=True)(given)) == (1, 3, 1, 1)
    assert credits(CTW1500VOC()(given)) == (1, 3, 1, 1)


@pytest.mark.parametrize("rule", ALL)
def test_nothing_to_divide_by(rule: Callable[..., Rule]) -> None:
    good = box(0, 0, 10, 10)
    with pytest.raises(StrbenchError, match=r"No detection counts, of 0") as caught:
        rule()(scene([good], []))
    assert caught.value.exit_code == DATA
    assert "refuse=False" in caught.value.hint
    with pytest.raises(StrbenchError, match=r"No true region counts, of 0"):
        rule()(scene([], [good]))
    for given, sums in (
        (scene([good], []), (0, 1, 0, 0)),
        (scene([], [good]), (0, 0, 0, 1)),
        (scene([], []), (0, 0, 0, 0)),
        (Scene.of({}, {}), (0, 0, 0, 0)),
    ):
        out = rule(refuse=False)(given)
        assert credits(out) == sums
        assert (out.recall, out.precision, out.hmean) == (0, 0, 0)
        assert out.average_precision == (0 if rule is CTW1500VOC else None)


@pytest.mark.parametrize("rule", [PSENetCTW, PSENetTD500])
def test_a_union_without_area_ends_psenet_s_scripts(rule: Callable[..., Rule]) -> None:
    good, line = box(20, 20, 30, 30), box(0, 5, 9, 5)
    given = scene([good, line], [good, box(50, 5, 59, 5)])  # two lines far apart: 0 / 0
    with pytest.raises(StrbenchError, match=r"a: detection 2 and a region have a union without"):
        rule()(given)
    assert credits(rule(refuse=False)(given)) == (1, 2, 1, 2)
    # a line alone divides by the area of the other
    assert credits(rule()(scene([good], [good, line]))) == (1, 1, 1, 2)
    # a bow-tie of area 0 that covers all of a region of 25: 25 / (25 + 0 - 25)
    with pytest.raises(StrbenchError, match=r"detection 1 and a region"):
        rule()(scene([LOBE], [BOW_TIE]))


def test_td500_does_not_come_to_what_follows_a_hit() -> None:
    assert credits(PSENetTD500()(scene([LOBE], [LOBE, BOW_TIE]))) == (1, 1, 1, 2)
    with pytest.raises(StrbenchError, match=r"detection 1 and a region"):
        PSENetTD500()(scene([LOBE], [BOW_TIE, LOBE]))


def test_a_bow_tie_matches_what_it_half_covers() -> None:
    # area 0, overlap 50 with 100: 50 / (100 + 0 - 50) = 1
    given = scene([box(0, 0, 10, 10)], [BOW_TIE])
    assert credits(PSENetCTW()(given)) == (1, 1, 1, 1)
    assert credits(PSENetTD500()(given)) == (1, 1, 1, 1)
    # buffer(0) leaves a lobe of 25: 25 / (100 + 1)
    assert credits(TotalTextPascal()(given)) == (0, 1, 0, 1)


def test_true_lines_of_td500_are_single_precision() -> None:
    # 16777217 is no float32: the line ends at 16777216, and the found one covers it by a half
    given = scene([box(16_777_212, 0, 16_777_217, 1)], [box(16_777_212, 0, 16_777_214, 1)])
    assert credits(PSENetTD500()(given)) == (1, 1, 1, 1)
    assert credits(PSENetCTW()(given)) == (0, 1, 0, 1)  # 2 / 5


def turned(
    truth: Sequence[tuple[float, ...]],
    found: Sequence[tuple[float, ...]],
    ignored: Sequence[tuple[float, ...]] = (),
) -> Scene:
    def outline(five: tuple[float, ...]) -> Polygon:
        return polygon(turned_box(*five)) if len(five) == 5 else ()

    regions = [Region(outline(t), annotated=t) for t in truth]
    regions += [Region(outline(t), annotated=t, ignored=True) for t in ignored]
    return Scene.of({"a": regions}, {"a": [Detection(outline(f), given=f) for f in found]})


def test_turned_boxes_overlap_before_they_are_turned() -> None:
    # upright 10 x 10 and 10 x 20 with the angle of the first: 100 / 200 is not above a half
    assert credits(TurnedBoxes()(turned([(0, 0, 10, 20, 1.2)], [(0, 0, 10, 10, 1.2)])))[0] == 0
    assert credits(TurnedBoxes()(turned([(0, 0, 10, 20, 1.2)], [(0, 0, 10, 11, 1.2)])))[0] == 1
    # pi / 8 = .3927
    for angle, hits in ((0.39, 1), (0.40, 0), (-0.39, 1), (math.pi, 0)):
        given = turned([(0, 0, 40, 10, 0)], [(0, 0, 40, 10, angle)])
        assert credits(TurnedBoxes()(given)) == (hits, 1, hits, 1)
    # half a turn away is the same box
    given = turned([(0, 0, 40, 10, 1.5)], [(0, 0, 40, 10, -1.5)])
    assert credits(TurnedBoxes()(given))[0] == 0
    assert credits(TurnedBoxes(half_turns=True)(given))[0] == 1


def test_turned_boxes_are_whole_pixels_and_first_come() -> None:
    # int(0.9) = 0 and int(10.9) = 10: 10 of 19 columns; int(-0.9) = 0
    assert credits(TurnedBoxes()(turned([(0, 0, 19, 1, 0)], [(0.9, -0.9, 10, 2, 0)])))[0] == 1
    out = TurnedBoxes()(turned([(0, 0, 19, 1, 0)], [(0, 0, 12, 1, 0), (0, 0, 19, 1, 0)]))
    assert (credits(out), out.partner.tolist()) == ((1, 1, 1, 2), [0, -1])


def test_turned_boxes_on_difficult_lines_do_not_count_whatever_their_angle() -> None:
    out = TurnedBoxes()(turned([], [(0, 0, 10, 10, 0.1), (5, 0, 10, 10, 0)], [(0, 0, 10, 10, 2)]))
    assert (credits(out), out.found.tolist()) == ((0, 0, 0, 1), [IGNORED, MISSED])


def test_turned_boxes_need_five_numbers() -> None:
    with pytest.raises(StrbenchError, match=r"a: detection 2 must have x, y.*found 4 numbers"):
        TurnedBoxes()(turned([], [(0, 0, 9, 9, 0), (0, 0, 9, 9)]))
    with pytest.raises(StrbenchError, match=r"a: region 1 must have x, y.*found 0 numbers"):
        TurnedBoxes()(turned([()], []))


def test_upright_boxes_are_scored_as_by_the_rrc() -> None:
    random = np.random.default_rng(5)
    for _ in range(40):
        fives = random.integers(1, 30, (24, 5)).astype(float)
        fives[:, 4] = 0
        truth, ignored, found = fives[:8].tolist(), fives[8:10].tolist(), fives[10:].tolist()
        given = turned(*(list(map(tuple, some)) for some in (truth, found, ignored)))
        mine, theirs = TurnedBoxes()(given), FirstCome()(given)
        assert mine.partner.tolist() == theirs.partner.tolist()
        assert mine.found.tolist() == theirs.found.tolist()


# Plain loops over full tables, from the published descriptions.


def tables(
    regions: Sequence[Region], found: Sequence[Detection], whole: Callable[[Any], Any]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Common areas, their unions' (by GEOS), and the areas by the shoelace formula."""
    plain = [[shapely.Polygon(r.polygon) for r in some] for some in (regions, found)]
    ours, theirs = ([whole(p) for p in some] for some in plain)
    common = np.array([[g.intersection(d).area for d in theirs] for g in ours])
    union = np.array([[g.union(d).area for d in theirs] for g in ours])
    return (
        common.reshape(len(ours), len(theirs)),
        union.reshape(len(ours), len(theirs)),
        np.array([abs(p.area) for p in plain[0]]),
        np.array([abs(p.area) for p in plain[1]]),
    )


def crowd(seed: int) -> tuple[list[Region], list[Detection]]:
    """As ``drawn``, with regions annotated twice and found ones that overlap with two."""
    regions, found = drawn(seed, boxes=False)
    random = np.random.default_rng(1000 + seed)
    for region in list(regions[:6]):
        moved = tuple((x + int(random.integers(-4, 5)), y) for x, y in region.polygon)
        regions.append(region._replace(polygon=moved))
        found.append(Detection(tuple((x + 2, y + 1) for x, y in moved)))
    return regions, found


@pytest.mark.parametrize("seed", range(40))
def test_against_plain_loops(seed: int) -> None:
    regions, found = crowd(seed)
    given = Scene.of({"a": regions}, {"a": found})
    n, m = len(regions), len(found)
    ignored = np.array([r.ignored for r in regions])

    common, union, ours, theirs = tables(regions, found, lambda p: p.buffer(0))
    left_out = (common[ignored] / (theirs + 1) > 0.5).any(axis=0)
    iou = np.where(ignored[:, None], -1, common / (union + 1))
    taken, hits = set(), 0
    for d in range(m):
        g = int(np.argmax(iou[:, d]))
        if not left_out[d] and iou[g, d] >= 0.5 and g not in taken:
            taken.add(g)
            hits += 1
    assert credits(TotalTextPascal()(given)) == (hits, sum(~ignored), hits, sum(~left_out))

    valid = [[shapely.Polygon(r.polygon).is_valid for r in some] for some in (regions, found)]
    iou = common / (ours[:, None] + theirs - common)
    iou[~np.array(valid[0])] = 0
    right, false = [], []
    taken = set()
    for d in range(m):
        g = int(np.argmax(iou[:, d]))
        matches = valid[1][d] and iou[g, d] > 0.5
        right.append(matches and not ignored[g] and g not in taken)
        false.append(valid[1][d] and not (matches and ignored[g]) and not right[-1])
        taken |= {g} if right[-1] else set()
    out = CTW1500VOC()(given)
    assert credits(out) == (sum(right), sum(~ignored), sum(right), sum(right) + sum(false))
    precision = [
        sum(right[: k + 1]) / max(sum(right[: k + 1]) + sum(false[: k + 1]), 1) for k in range(m)
    ]
    below = sum(max(precision[k:]) for k in range(m) if right[k]) / sum(~ignored)
    assert out.average_precision == pytest.approx(below)

    common, _, ours, theirs = tables(regions, found, shapely.make_valid)
    iou = common / (ours[:, None] + theirs - common)
    taken, hits = set(), 0
    for d in range(m):
        reached = {g for g in range(n) if iou[g, d] >= 0.5} - taken
        taken |= reached
        hits += bool(reached)
    out = PSENetCTW()(given)
    assert credits(out) == (hits, n, hits, m)
    assert {g for g in range(n) if out.truth[g]} == taken

    hit = (iou >= 0.5).any(axis=1)
    counted = sum(hit) + sum(~hit & ~ignored)
    assert credits(PSENetTD500()(given)) == (sum(hit), counted, sum(hit), m)


@pytest.mark.parametrize("rule", ALL)
def test_images_are_apart_and_their_order_is_nothing(rule: Callable[..., Rule]) -> None:
    drawings = {f"{seed:02}": crowd(seed) for seed in range(10)}
    alone = {
        name: credits(rule()(Scene.of({name: regions}, {name: found})))
        for name, (regions, found) in drawings.items()
    }
    precisions = set()
    for order in (sorted(drawings), sorted(drawings, reverse=True)):
        truth = {name: drawings[name][0] for name in order}
        out = rule()(Scene.of(truth, {name: drawings[name][1] for name in sorted(drawings)}))
        columns = zip(out.recalled, out.truths, out.precise, out.founds, strict=True)
        for name, row in zip(order, columns, strict=True):
            assert row == pytest.approx(alone[name])
        precisions.add(out.average_precision)
    assert len(precisions) == 1


# Oracles: the official scripts' figures on real results.


def test_pascal_oracle(shared: Path) -> None:
    case = shared / "oracles" / "detection" / "totaltext_pascal_baseline"
    given, official = total_text(case), expected(case)
    out = TotalTextPascal()(given)
    assert_figures(out, official, within=0)
    assert (out.precise.sum(), out.truths.sum(), out.founds.sum()) == (1551, 2214, 1932)
    for i, name in enumerate(given.images):
        row = official["per_image"][f"img{name}.txt"]
        # the script's own denominators: right and false ones; no text, no recall
        assert out.recalled[i] / max(out.truths[i], 1) == row["recall"]
        if out.truths[i]:
            assert out.precise[i] / max(out.founds[i], 1) == row["precision"]


def ctw1500(shared: Path) -> tuple[Scene, Mapping[str, Any], Mapping[str, Any]]:
    case = shared / "oracles" / "detection" / "ctw1500_voc_ctd_tloc"
    truth: dict[str, list[Region]] = {}
    for name, path in by_number(case / "gt").items():
        truth[name] = []
        for line in lines(path):
            left, top, _, _, *offsets = integers(line)
            corners = polygon(offsets[:28])
            truth[name].append(Region(tuple((left + x, top + y) for x, y in corners)))
    found = {
        name: [Detection(polygon(integers(line))) for line in lines(path)]
        for name, path in by_number(case / "det").items()
    }
    variant = expected(case, "expected_psenet_variant.json")
    return Scene.of(truth, found), expected(case), variant


def test_ctw1500_oracles(shared: Path) -> None:
    given, official, variant = ctw1500(shared)
    out = CTW1500VOC()(given)
    assert_figures(out, official, within=0)
    assert out.average_precision == official["AP"]
    assert int((out.found == IGNORED).sum()) == official["counts"]["n_skipped_invalid_det"]
    for i, name in enumerate(given.images):
        row = official["per_image"].get(name, {"tp": 0, "fp": 0, "npos": out.truths[i]})
        assert (out.precise[i], out.truths[i]) == (row["tp"], row["npos"])
        assert out.founds[i] - out.precise[i] == row["fp"]
    out = PSENetCTW()(given)
    assert_figures(out, variant, within=0)
    assert (out.precise.sum(), out.truths.sum()) == (variant["tp"], variant["npos"])


def test_td500_oracle(shared: Path) -> None:
    case = shared / "oracles" / "detection" / "td500_psenet_mixnet"
    truth: dict[str, list[Region]] = {}
    for name, path in by_number(case / "gt").items():
        truth[name] = []
        for line in lines(path):
            _, difficult, *five = line.split(" ")[:7]
            corners = polygon(turned_box(*map(float, five)))
            truth[name].append(Region(corners, ignored=difficult == "1"))
    found = {
        name: [Detection(polygon(integers(line))) for line in lines(path)]
        for name, path in by_number(case / "det").items()
    }
    official = expected(case)
    out = PSENetTD500()(Scene.of(truth, found))
    assert_figures(out, official, within=0)
    assert out.precise.sum() == official["counts"]["tp"]
    assert out.truths.sum() - out.recalled.sum() == official["counts"]["fn"]
    assert out.founds.sum() == official["counts"]["n_det"]
