"""DetEval on boxes and polygons: by hand, against plain loops, and against the official figures."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely

from strbench.errors import DATA, StrbenchError
from strbench.metrics.detection import Outcome, Scene, Verdict
from strbench.metrics.deteval import BoxDetEval, TotalTextDetEval
from strbench.region_protocols import region_protocol
from strbench.types import Detection, Polygon, Region

MISSED, MATCHED, SPLIT, MERGED, IGNORED = Verdict
Rule = Callable[[Scene], Outcome]


IC13_PLAIN = region_protocol("icdar2013").rule()
PSENET_TT = region_protocol("totaltext-deteval-psenet").rule()


def box(left: float, top: float, right: float, bottom: float) -> Polygon:
    return ((left, top), (right, top), (right, bottom), (left, bottom))


def scene(
    truth: Sequence[Polygon],
    found: Sequence[Polygon] | None,
    ignored: Sequence[Polygon] = (),
) -> Scene:
    """One image; the regions that do not count come after those that do."""
    regions = [Region(p) for p in truth] + [Region(p, ignored=True) for p in ignored]
    return Scene.of({"a": regions}, {} if found is None else {"a": [Detection(p) for p in found]})


def credits(out: Outcome) -> tuple[float, float, float, float]:
    """Recalled of truths, precise of founds."""
    sums = (out.recalled.sum(), out.truths.sum(), out.precise.sum(), out.founds.sum())
    return tuple(round(float(value), 9) for value in sums)  # type: ignore[return-value]


def test_borders_belong_to_boxes() -> None:
    # 0..9 is 10 pixels wide, 0..7 is 8: the detection covers 8 / 10 = .8, just enough
    truth = [box(0, 0, 9, 9)]
    out = BoxDetEval()(scene(truth, [box(0, 0, 7, 9)]))
    assert credits(out) == (1, 1, 1, 1)
    assert (out.truth.tolist(), out.found.tolist(), out.partner.tolist()) == ([1], [1], [0])
    assert credits(BoxDetEval()(scene(truth, [box(0, 0, 6, 9)]))) == (0, 1, 0, 1)
    # 10 of 25 columns on text: .4 of the detection, just enough; 10 of 26 are not
    assert credits(BoxDetEval()(scene(truth, [box(0, 0, 24, 9)]))) == (1, 1, 1, 1)
    assert credits(BoxDetEval()(scene(truth, [box(0, 0, 25, 9)]))) == (0, 1, 0, 1)


def test_a_polygon_stands_for_its_bounds() -> None:
    kite = ((5, 0), (9, 5), (5, 9), (0, 5))
    assert credits(BoxDetEval()(scene([kite], [box(0, 0, 9, 9)]))) == (1, 1, 1, 1)


def test_boxes_split_and_merged() -> None:
    long, left, right = box(0, 0, 99, 9), box(0, 0, 49, 9), box(50, 0, 99, 9)
    out = BoxDetEval()(scene([long], [left, right]))
    assert credits(out) == (0.8, 1, 1.6, 2)
    assert (out.truth.tolist(), out.found.tolist()) == ([SPLIT], [SPLIT, SPLIT])
    assert out.partner.tolist() == [-1, -1]
    out = BoxDetEval()(scene([left, right], [long]))
    assert credits(out) == (2, 2, 1, 1)
    assert (out.truth.tolist(), out.found.tolist()) == ([MERGED, MERGED], [MERGED])


def test_one_to_one_allows_no_further_overlap_but_a_lone_piece_is_one_to_one() -> None:
    # the second detection has 1 of its 10 columns, .1, on the text: no piece, but an overlap
    truth, whole, beside = box(0, 0, 99, 9), box(0, 0, 98, 9), box(99, 0, 108, 9)
    out = BoxDetEval()(scene([truth], [whole, beside]))
    assert credits(out) == (1, 1, 1, 2)
    assert out.partner.tolist() == [0, -1]
    # plain: one to one at once
    assert credits(IC13_PLAIN(scene([truth], [whole, beside]))) == (1, 1, 1, 2)
    # a found one over two true ones, of which it covers one: 100 of 199 columns are text and 20 more
    two = [box(0, 0, 99, 9), box(180, 0, 279, 9)]
    out = BoxDetEval()(scene(two, [box(0, 0, 199, 9)]))
    assert credits(out) == (1, 2, 1, 1)
    assert (out.truth.tolist(), out.found.tolist()) == ([MATCHED, MISSED], [MATCHED])


def test_a_pair_is_alone_in_its_row_with_those_that_do_not_count() -> None:
    # Both detections cover the text; the second lies on the ignored region by 10 of 19 > .4 and goes.
    # It still spoils one to one; a lone split or merge asks for two overlaps that count.
    truth, ignored = box(0, 0, 8, 9), box(9, 0, 18, 9)
    found = [box(0, 0, 8, 9), box(0, 0, 18, 9)]
    out = BoxDetEval()(scene([truth], found, [ignored]))
    assert credits(out) == (0, 1, 0, 1)
    assert out.found.tolist() == [MISSED, IGNORED]
    # plain has no such condition: a split of one piece, with the weight of a split
    out = IC13_PLAIN(scene([truth], found, [ignored]))
    assert credits(out) == (0.8, 1, 0.8, 1)
    assert out.found.tolist() == [SPLIT, IGNORED]


def test_more_than_four_tenths_on_an_ignored_box() -> None:
    ignored = box(0, 0, 9, 9)
    out = BoxDetEval()(scene([], [box(6, 0, 15, 9), box(5, 0, 14, 9)], [ignored]))
    assert out.found.tolist() == [MISSED, IGNORED]  # 4 and 5 of 10 columns
    assert credits(out) == (0, 0, 0, 1)


def test_sums_of_pieces_are_rounded_to_four_decimals() -> None:
    # 79996 and 79994 of 100000 columns: .79996 is .8 when rounded, .79994 is .7999
    def found(columns: int) -> list[Polygon]:
        return [box(0, 0, 39_999, 0), box(40_000, 0, columns - 1, 0)]

    truth = [box(0, 0, 99_999, 0)]
    assert credits(BoxDetEval()(scene(truth, found(79_996)))) == (0.8, 1, 1.6, 2)
    assert credits(BoxDetEval()(scene(truth, found(79_994)))) == (0, 1, 0, 2)
    assert credits(IC13_PLAIN(scene(truth, found(79_996)))) == (0, 1, 0, 2)


@pytest.mark.parametrize("rule", [BoxDetEval(), IC13_PLAIN, TotalTextDetEval(), PSENET_TT])
def test_nothing_on_a_side(rule: Rule) -> None:
    some = [box(0, 0, 9, 9)]
    assert credits(rule(scene([], []))) == (0, 0, 0, 0)
    assert credits(rule(scene(some, []))) == (0, 1, 0, 0)
    assert credits(rule(scene([], some))) == (0, 0, 0, 1)
    assert credits(rule(Scene.of({}, {}))) == (0, 0, 0, 0)
    out = rule(scene([], some, some))
    assert (credits(out), out.found.tolist()) == ((0, 0, 0, 0), [IGNORED])
    assert (out.recall, out.precision, out.hmean) == (0, 0, 0)


def test_an_image_without_a_result() -> None:
    alone = scene([box(0, 0, 9, 9)], None)
    assert credits(BoxDetEval()(alone)) == (0, 1, 0, 0)
    out = TotalTextDetEval()(alone)
    assert (credits(out), out.truth.tolist()) == ((0, 0, 0, 0), [IGNORED])
    assert credits(TotalTextDetEval(count_unanswered=True)(alone)) == (0, 1, 0, 0)


def test_total_text_rounds_shares_and_asks_for_more() -> None:
    # a true region of 1000 x 10; 704 columns are .70, which is not more than .7; 706 are .71
    truth = [box(0, 0, 1000, 10)]
    for columns, recalled in ((704, 0), (706, 1)):
        out = TotalTextDetEval()(scene(truth, [box(0, 0, columns, 10)]))
        assert credits(out) == (recalled, 1, recalled, 1)
    assert credits(PSENET_TT(scene(truth, [box(0, 0, 704, 10)]))) == (1, 1, 1, 1)
    # and of the found one: 1000 of 1650 columns are .61, of 1665 are .60
    assert credits(TotalTextDetEval()(scene(truth, [box(0, 0, 1650, 10)]))) == (1, 1, 1, 1)
    assert credits(TotalTextDetEval()(scene(truth, [box(0, 0, 1665, 10)]))) == (0, 1, 0, 1)


def test_total_text_splits_and_merges() -> None:
    long, left, right = box(0, 0, 100, 10), box(0, 0, 50, 10), box(50, 0, 100, 10)
    out = TotalTextDetEval()(scene([long], [left, right]))
    assert credits(out) == (0.8, 1, 1.6, 2)
    assert (out.truth.tolist(), out.found.tolist()) == ([SPLIT], [SPLIT, SPLIT])
    out = TotalTextDetEval()(scene([left, right], [long]))
    assert credits(out) == (1.6, 2, 0.8, 1)
    assert (out.truth.tolist(), out.found.tolist()) == ([MERGED, MERGED], [MERGED])
    # each of two true ones is covered by 32 of 50 = .64: enough to be merged (.6), not alone (.7)
    out = TotalTextDetEval()(scene([left, right], [box(18, 0, 82, 10)]))
    assert credits(out) == (1.6, 2, 0.8, 1)
    out = TotalTextDetEval()(scene([left, box(62, 0, 112, 10)], [box(18, 0, 64, 10)]))
    assert credits(out) == (0, 2, 0, 1)  # .64 and .04; one that could be merged asks for .7


def test_a_lone_piece_among_overlaps_is_one_to_one() -> None:
    # 70 of 100 columns are not more than .7; a second overlap, no piece, lets the second round look
    truth, piece, beside = box(0, 0, 100, 10), box(0, 0, 70, 10), box(95, 0, 145, 10)
    assert credits(TotalTextDetEval()(scene([truth], [piece]))) == (0, 1, 0, 1)
    out = TotalTextDetEval()(scene([truth], [piece, beside]))
    assert credits(out) == (1, 1, 1, 2)
    assert out.partner.tolist() == [0, -1]
    # an overlap of .4 % is 0 when rounded, and does not count
    assert credits(TotalTextDetEval()(scene([truth], [piece, box(99.6, 0, 149, 10)])))[0] == 0


def test_the_covering_and_the_precise_one_need_not_be_the_same() -> None:
    # the first covers all and has 100 / 400 of itself on text; the second has all of itself, 20 / 100
    truth, found = [box(0, 0, 10, 10)], [box(0, 0, 20, 20), box(0, 0, 10, 2)]
    out = TotalTextDetEval()(scene(truth, found))
    assert (credits(out), out.partner.tolist()) == ((1, 1, 1, 2), [0, -1])
    assert credits(TotalTextDetEval(same_found=True)(scene(truth, found))) == (0, 1, 0, 2)


def test_one_found_region_for_two_true_ones_in_psenet_s_copy() -> None:
    # both true ones are covered by 1 and hold .9 of the found one: annotated twice
    truth, found = [box(0, 0, 90, 10), box(10, 0, 100, 10)], [box(0, 0, 100, 10)]
    out = PSENET_TT(scene(truth, found))
    assert credits(out) == (2, 2, 2, 1)
    assert (out.truth.tolist(), out.found.tolist()) == ([MERGED, MERGED], [MERGED])
    assert out.partner.tolist() == [-1]
    # Total-Text: not unique in the found one, so merged
    assert credits(TotalTextDetEval()(scene(truth, found))) == (1.6, 2, 0.8, 1)


def test_the_share_on_ignored_text_has_one_pixel_more_below_it() -> None:
    # 51 / 101 > .5 but 50.4 / 101 is not, though 50.4 / 100 is
    ignored = [box(0, 0, 50.4, 1), box(200, 0, 251, 1)]
    found = [box(0, 0, 100, 1), box(200, 0, 300, 1)]
    out = TotalTextDetEval()(scene([], found, ignored))
    assert out.found.tolist() == [MISSED, IGNORED]
    assert PSENET_TT(scene([], found, ignored)).found.tolist() == [IGNORED, IGNORED]


def test_a_bow_tie_in_total_text() -> None:
    # (0,0) (90,60) (90,0) (0,30) crosses itself where 2x/3 = 30 - x/3: at x = 30, y = 20. Its lobes are
    # 30 * 30 / 2 = 450 and 60 * 60 / 2 = 1800; the formula gives 1800 - 450 = 1350, buffer(0) leaves
    # the greater lobe, and what is even or odd is 2250.
    tie = ((0, 0), (90, 60), (90, 0), (0, 30))
    given = scene([box(0, 0, 90, 60)], [tie])  # 5400

    def matches(recall: float, precision: float, **settings: Any) -> bool:
        rule = TotalTextDetEval(recall=recall, precision=precision, **settings)
        return credits(rule(given))[0] == 1

    # 1800 / 5400 = .33 and 1800 / 1350 = 1.33
    assert matches(0.32, 1.32)
    assert not matches(0.33, 1.32)
    assert not matches(0.32, 1.33)
    # 2250 / 5400 = .4167 and 2250 / 1350 = 1.6667
    even_odd: dict[str, Any] = {"crossing": "even-odd", "digits": None}
    assert matches(0.4166, 1.6666, **even_odd)
    assert not matches(0.4167, 1.6666, **even_odd)
    assert not matches(0.4166, 1.6667, **even_odd)


FLAT = {
    "line": box(0, 5, 9, 5),
    "point": ((5, 5), (5, 5), (5, 5)),
    "bow-tie": ((0, 0), (10, 10), (10, 0), (0, 10)),
    "two vertices": ((0, 0), (9, 9)),
    "nothing": (),
}


@pytest.mark.parametrize("rule", [TotalTextDetEval, lambda **k: _psenet(**k)])
@pytest.mark.parametrize("flat", FLAT.values(), ids=FLAT)
def test_a_region_without_area_ends_the_run_or_is_false(
    rule: Callable[..., Rule], flat: Polygon
) -> None:
    good = box(0, 0, 10, 10)
    with pytest.raises(StrbenchError, match=r"a: detection 2 has no area") as caught:
        rule()(scene([good], [good, flat]))
    assert caught.value.exit_code == DATA
    out = rule(refuse=False)(scene([good], [box(0, 0, 10, 9), flat]))
    assert credits(out) == (1, 1, 1, 2)
    with pytest.raises(StrbenchError, match=r"a: region 2 has no area"):
        rule()(scene([good, flat], [good]))
    assert credits(rule(refuse=False)(scene([good, flat], [good]))) == (1, 2, 1, 1)
    # it is divided by only where there is something to compare with
    assert credits(rule()(scene([], [flat]))) == (0, 0, 0, 1)
    assert credits(rule()(scene([good, flat], []))) == (0, 2, 0, 0)


def _psenet(*, refuse: bool = True) -> TotalTextDetEval:
    return TotalTextDetEval(
        crossing="even-odd",
        digits=None,
        unique_in_found=False,
        ignore_padding=0.0,
        refuse=refuse,
    )


# Plain loops over full tables, from the published description.


def looped(
    sigma: np.ndarray, tau: np.ndarray, *, unique: bool
) -> tuple[float, float]:  # what Total-Text's rounds credit
    recalled = precise = 0.0
    n, m = sigma.shape
    free_truth, free_found = [True] * n, [True] * m
    for g in range(n):
        big = [d for d in range(m) if sigma[g, d] > 0.7]
        pure = [d for d in range(m) if tau[g, d] > 0.6]
        if len(big) != 1 or len(pure) != 1:
            continue
        if unique and (sigma[:, big[0]] > 0.7).sum() + (tau[:, pure[0]] > 0.6).sum() != 2:
            continue
        recalled, precise = recalled + 1, precise + 1
        free_truth[g] = free_found[big[0]] = False
    for g in range(n):
        pieces = [d for d in range(m) if tau[g, d] >= 0.6 and free_found[d]]
        if not free_truth[g] or (sigma[g] > 0).sum() < 2 or not pieces:
            continue
        if sum(sigma[g, pieces]) >= 0.7:
            weight = 1 if len(pieces) == 1 else 0.8
            recalled, precise = recalled + weight, precise + weight * len(pieces)
            free_truth[g] = False
            for d in pieces:
                free_found[d] = False
    for d in range(m):
        under = [g for g in range(n) if sigma[g, d] >= 0.6 and free_truth[g]]
        if not free_found[d] or (tau[:, d] > 0).sum() < 2 or not under:
            continue
        if len(under) == 1 and sigma[under[0], d] < 0.7:
            continue
        if sum(tau[under, d]) >= 0.6:
            weight = 1 if len(under) == 1 else 0.8
            recalled, precise = recalled + weight * len(under), precise + weight
            for g in under:
                free_truth[g] = False
    return recalled, precise


def looped_boxes(
    truth: np.ndarray, found: np.ndarray, count: np.ndarray, *, deteval: bool
) -> tuple[float, float, int]:
    """Credits of ICDAR 2013's rounds on (N, 4) and (M, 4) boxes, and detections that count."""

    def area(a: np.ndarray, b: np.ndarray) -> float:
        w, h = (min(a[k + 2], b[k + 2]) - max(a[k], b[k]) + 1 for k in (0, 1))
        return float(w * h) if w >= 0 and h >= 0 else 0.0

    n, m = len(truth), len(found)
    rec = np.array([[area(g, d) / area(g, g) for d in found] for g in truth]).reshape(n, m)
    pre = np.array([[area(g, d) / area(d, d) for d in found] for g in truth]).reshape(n, m)
    cares = [d for d in range(m) if not any(pre[g, d] > 0.4 for g in range(n) if not count[g])]
    counts = [g for g in range(n) if count[g]]
    near = (rec >= 0.8) & (pre >= 0.4)
    recalled = precise = 0.0
    free_truth, free_found = set(counts), set(cares)

    def touching(g: int | None, d: int | None) -> int:
        if d is None:
            return int((rec[g, cares] > 0).sum())
        return int((rec[counts, d] > 0).sum())

    for g in counts:
        for d in cares:
            if not near[g, d] or near[g].sum() != 1 or near[:, d].sum() != 1:
                continue
            if deteval and (touching(g, None) != 1 or touching(None, d) != 1):
                continue
            recalled, precise = recalled + 1, precise + 1
            free_truth.remove(g)
            free_found.remove(d)
    for g in counts:
        pieces = [d for d in cares if d in free_found and pre[g, d] >= 0.4]
        total = sum(rec[g, pieces]) if g in free_truth else 0
        if (round(total, 4) if deteval else total) < 0.8 or (deteval and touching(g, None) < 2):
            continue
        weight = 1 if deteval and len(pieces) == 1 else 0.8
        recalled, precise = recalled + weight, precise + weight * len(pieces)
        free_truth.remove(g)
        free_found -= set(pieces)
    for d in cares:
        under = [g for g in counts if g in free_truth and rec[g, d] >= 0.8]
        total = sum(pre[under, d]) if d in free_found else 0
        if (round(total, 4) if deteval else total) < 0.4 or (deteval and touching(None, d) < 2):
            continue
        recalled, precise = recalled + len(under), precise + 1
        free_truth -= set(under)
        free_found.remove(d)
    return recalled, precise, len(cares)


def drawn(seed: int, *, boxes: bool) -> tuple[list[Region], list[Detection]]:
    """Words in rows, found whole, shifted, in pieces, several at once, twice, or not."""
    random = np.random.default_rng(seed)
    words = [
        np.array([x, y, x + random.integers(20, 60), y + random.integers(10, 16)])
        for y in range(0, 60, 18)
        for x in range(0, 240, 60)
    ]
    regions = [Region(shape(w, random, boxes), ignored=random.random() < 0.2) for w in words]
    found = []
    for i, (left, top, right, bottom) in enumerate(words):
        kind = random.integers(6)
        middle = (left + right) // 2
        if kind == 0:
            found.append((left, top, right, bottom))
        elif kind == 1:
            found += [(left, top, middle, bottom), (middle + 1, top, right, bottom)]
        elif kind == 2 and i + 1 < len(words):
            found.append((left, top, max(right, words[i + 1][2]), bottom))
        elif kind == 3:
            found += [(left, top, right, bottom), (left + 2, top, right + 3, bottom + 4)]
        elif kind == 4:
            found.append((left, top - 3, right + random.integers(30), bottom + random.integers(20)))
    order = random.permutation(len(found))
    moved = [np.array(found[k]) + np.tile(random.integers(-3, 4, 2), 2) for k in order]
    return regions, [Detection(shape(w, random, boxes)) for w in moved]


def shape(bounds: np.ndarray, random: np.random.Generator, boxes: bool) -> Polygon:
    """The box itself, or a hexagon in it that may cross itself."""
    left, top, right, bottom = bounds.tolist()
    if boxes:
        return box(left, top, right, bottom)
    middle, bend = (left + right) // 2, int(random.integers(-2, 6))
    corners = [(left, top), (middle, top + bend), (right, top)]
    corners += [(right, bottom), (middle, bottom + bend), (left, bottom)]
    if random.random() < 0.15:
        corners[3], corners[4] = corners[4], corners[3]
    return tuple(corners)


@pytest.mark.parametrize("deteval", [True, False])
def test_boxes_against_plain_loops(deteval: bool) -> None:
    rule = BoxDetEval() if deteval else IC13_PLAIN
    kinds = set()
    for seed in range(80):
        regions, found = drawn(seed, boxes=True)
        out = rule(Scene.of({"a": regions}, {"a": found}))
        boxes = [
            np.array([(*r.polygon[0], *r.polygon[2]) for r in some]) for some in (regions, found)
        ]
        count = np.array([not r.ignored for r in regions])
        recalled, precise, cares = looped_boxes(boxes[0], boxes[1], count, deteval=deteval)
        assert credits(out) == pytest.approx((recalled, count.sum(), precise, cares)), seed
        kinds |= set(out.truth.tolist()) | {10 + kind for kind in out.found.tolist()}
    assert kinds == {0, 1, 2, 3, 4, 10, 11, 12, 13, 14}


@pytest.mark.parametrize("psenet", [False, True])
def test_polygons_against_plain_loops(psenet: bool) -> None:
    rule = PSENET_TT if psenet else TotalTextDetEval()
    whole = shapely.make_valid if psenet else (lambda p: p.buffer(0))
    kinds = set()
    for seed in range(80):
        regions, found = drawn(seed, boxes=False)
        out = rule(Scene.of({"a": regions}, {"a": found}))
        plain = [[shapely.Polygon(r.polygon) for r in some] for some in (regions, found)]
        common = np.array(
            [[whole(g).intersection(whole(d)).area for d in plain[1]] for g in plain[0]]
        ).reshape(len(regions), len(found))
        areas = [np.array([abs(p.area) for p in some]) for some in plain]
        ignored = np.array([r.ignored for r in regions])
        share = common[ignored] / (areas[1] + (0 if psenet else 1))
        kept = ~(share > 0.5).any(axis=0)
        sigma = (common / areas[0][:, None])[~ignored][:, kept]
        tau = (common / areas[1])[~ignored][:, kept]
        if not psenet:
            sigma, tau = sigma.round(2), tau.round(2)
        recalled, precise = looped(sigma, tau, unique=not psenet)
        expected = (recalled, (~ignored).sum(), precise, kept.sum())
        assert credits(out) == pytest.approx(expected), seed
        kinds |= set(out.truth.tolist()) | {10 + kind for kind in out.found.tolist()}
    assert kinds == {0, 1, 2, 3, 4, 10, 11, 12, 13, 14}


@pytest.mark.parametrize("rule", [BoxDetEval(), IC13_PLAIN, TotalTextDetEval(), PSENET_TT])
def test_images_are_apart_and_their_order_is_nothing(rule: Rule) -> None:
    drawings = {f"{seed:02}": drawn(seed, boxes=False) for seed in range(12)}
    names = sorted(drawings)
    alone = {}
    for name in names:
        regions, found = drawings[name]
        alone[name] = credits(rule(Scene.of({name: regions}, {name: found})))
    for order in (names, names[::-1]):
        truth = {name: drawings[name][0] for name in order}
        out = rule(Scene.of(truth, {name: drawings[name][1] for name in names}))
        columns = zip(out.recalled, out.truths, out.precise, out.founds, strict=True)
        for name, row in zip(order, columns, strict=True):
            assert row == pytest.approx(alone[name])


# Oracles: the official scripts' figures on real and perturbed results.


def lines(path: Path) -> Iterator[str]:
    for line in path.read_text(encoding="utf-8-sig").splitlines():
        if line.strip():
            yield line


def polygon(numbers: Sequence[float], *, rows_first: bool = False) -> Polygon:
    x, y = numbers[0::2], numbers[1::2]
    return tuple(zip(*((y, x) if rows_first else (x, y)), strict=True))


def integers(line: str) -> list[int]:
    return [int(field) for field in line.split(",")]


def by_number(folder: Path) -> dict[str, Path]:
    """Files by the last number in their name, in that order."""
    found = {re.findall(r"\d+", path.stem)[-1]: path for path in folder.iterdir()}
    return dict(sorted(found.items(), key=lambda item: int(item[0])))


def total_text(case: Path) -> Scene:
    truth: dict[str, list[Region]] = {}
    for name, path in by_number(case / "gt_txt").items():
        truth[name] = []
        for line in lines(path):
            coordinates, text = re.match(r"((?:-?\d+,)+)(.*)", line).groups()  # type: ignore[union-attr]
            numbers = integers(coordinates[:-1])
            numbers = numbers[: len(numbers) // 2 * 2]  # a text such as "5,50" begins like a number
            truth[name].append(Region(polygon(numbers), text, text == "###"))
    found = {
        name: [Detection(polygon(integers(line), rows_first=True)) for line in lines(path)]
        for name, path in by_number(case / "det").items()
    }
    return Scene.of(truth, found)


def expected(case: Path, name: str = "expected.json") -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads((case / name).read_text())
    return found


def assert_figures(out: Outcome, official: Mapping[str, Any], within: float = 1e-12) -> None:
    assert out.precision == pytest.approx(official["precision"], abs=within, rel=0)
    assert out.recall == pytest.approx(official["recall"], abs=within, rel=0)
    assert out.hmean == pytest.approx(official["hmean"], abs=within, rel=0)


def ic13(shared: Path) -> tuple[Scene, Mapping[str, Any]]:
    case = shared / "oracles" / "detection" / "ic13_deteval_perturb_13001"
    truth, found = (
        {
            name: [integers(",".join(line.split(",")[:4])) for line in lines(path)]
            for name, path in by_number(case / folder).items()
        }
        for folder in ("gt", "det")
    )
    return Scene.of(
        {name: [Region(box(*four)) for four in rows] for name, rows in truth.items()},
        {name: [Detection(box(*four)) for four in rows] for name, rows in found.items()},
    ), expected(case)


def test_ic13_oracle(shared: Path) -> None:
    given, official = ic13(shared)
    out = BoxDetEval()(given)
    assert_figures(out, official)
    assert (out.truths.sum(), out.founds.sum()) == (1095, 1370)
    verdicts = {"OO": MATCHED, "OM": SPLIT, "MO": MERGED}
    for i, name in enumerate(given.images):
        row = official["per_image"][name]
        recalled, precise = out.recalled[i], out.precise[i]
        assert recalled / max(out.truths[i], 1) == pytest.approx(row["recall"], abs=1e-12)
        assert precise / max(out.founds[i], 1) == pytest.approx(row["precision"], abs=1e-12)
        first, second = (int(np.searchsorted(s.image, i)) for s in (given.truth, given.found))
        truth = np.zeros(int(out.truths[i]), dtype=int)
        found = np.zeros(int(out.founds[i]), dtype=int)
        for pair in row["pairs"]:
            truth[pair["gt"]] = found[pair["det"]] = verdicts[pair["type"]]
            if pair["type"] == "OO":
                (one,), (other,) = np.atleast_1d(pair["gt"]), np.atleast_1d(pair["det"])
                assert out.partner[second + other] == first + one
        assert out.truth[first : first + len(truth)].tolist() == truth.tolist()
        assert out.found[second : second + len(found)].tolist() == found.tolist()


def test_plain_ic13_oracle(shared: Path) -> None:
    given, official = ic13(shared)
    (variant,) = (v for k, v in official["variants"].items() if k.startswith("icdar2013"))
    assert_figures(IC13_PLAIN(given), variant)


def test_total_text_oracle(shared: Path) -> None:
    case = shared / "oracles" / "detection" / "totaltext_deteval_baseline"
    given, official = total_text(case), expected(case)
    out = TotalTextDetEval()(given)
    assert_figures(out, official)
    assert (out.truths.sum(), out.founds.sum()) == (2214, 1932)
    assert out.recalled.sum() == pytest.approx(official["counts"]["acc_recall"])
    for i, name in enumerate(given.images):
        row = official["per_image"][f"img{name}.txt"]
        recalled, precise = out.recalled[i], out.precise[i]
        assert recalled / max(out.truths[i], 1) == pytest.approx(row["recall"], abs=1e-12)
        assert precise / max(out.founds[i], 1) == pytest.approx(row["precision"], abs=1e-12)
    assert_figures(PSENET_TT(given), expected(case, "expected_psenet_variant.json"))
