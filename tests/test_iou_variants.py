"""Variants of the overlap rule: where they part from first come, and where they do not."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strbench.errors import DATA, StrbenchError
from strbench.metrics.detection import FirstCome, Outcome, Scene, Verdict
from strbench.metrics.iou_variants import (
    MMOCR_THRESHOLDS,
    DetectionIoU,
    HmeanIoU,
    MultiLingual,
)
from strbench.types import Detection, Polygon, Region

RULES = (
    DetectionIoU(),
    HmeanIoU(),
    HmeanIoU(strategy="max_matching"),
    MultiLingual(),
)
BOW_TIE = ((0.0, 0.0), (10.0, 0.0), (0.0, 10.0), (10.0, 10.0))  # two triangles of 25 each


def box(left: float, top: float = 0, width: float = 10, height: float = 10) -> Polygon:
    right, bottom = left + width, top + height
    return ((left, top), (right, top), (right, bottom), (left, bottom))


def scene(
    truth: Sequence[Polygon | tuple[Polygon, bool]],
    found: Sequence[Polygon],
    scores: Sequence[float | None] = (),
) -> Scene:
    """One image; a true one is a polygon, or one and whether it is ignored."""
    regions = [
        Region(*one, ignored=False)
        if not isinstance(one[1], bool)
        else Region(one[0], None, one[1])
        for one in ((some, None) if not isinstance(some[1], bool) else some for some in truth)
    ]
    given = list(scores) or [None] * len(found)
    detections = [Detection(*pair) for pair in zip(found, given, strict=True)]
    return Scene.of({"a": regions}, {"a": detections})


def counts(outcome: Outcome) -> tuple[float, float, float]:
    """Matches, true and found regions that count."""
    assert outcome.recalled.sum() == outcome.precise.sum()
    return outcome.precise.sum(), outcome.truths.sum(), outcome.founds.sum()


@pytest.mark.parametrize("rule", RULES)
def test_all_agree_on_clean_boxes(rule: DetectionIoU) -> None:
    # 90/110 matches; a half does not (100/200); a box on an ignored one goes; one hits nothing
    truth = [box(0), box(20), (box(40), True)]
    found = [box(1), box(20, width=20), box(41), box(80)]
    plain, result = FirstCome()(scene(truth, found)), rule(scene(truth, found))
    assert counts(result) == counts(plain) == (1, 2, 3)
    assert result.partner.tolist() == plain.partner.tolist() == [0, -1, -1, -1]
    assert result.found.tolist() == plain.found.tolist()
    assert result.truth.tolist() == plain.truth.tolist()
    assert (result.precision, result.recall) == (1 / 3, 1 / 2)


@pytest.mark.parametrize("rule", RULES)
def test_more_than_a_half_on_one_ignored_region(rule: DetectionIoU) -> None:
    halves = [(box(0, width=5), True), (box(5, width=5), True)]
    assert counts(rule(scene(halves, [box(0)]))) == (0, 0, 1)  # each holds exactly a half
    assert counts(rule(scene([(box(0, width=6), True)], [box(0)]))) == (0, 0, 0)


@pytest.mark.parametrize("rule", RULES)
def test_nothing_is_zero(rule: DetectionIoU) -> None:
    for some in (scene([], []), scene([box(0)], []), scene([], [box(0)])):
        result = rule(some)
        assert (result.precision, result.recall, result.hmean) == (0, 0, 0)
    assert counts(rule(scene([box(0), ((), True)], [(), ((1, 1),), ((1, 1), (2, 2))])))[0] == 0


def test_a_crossing_detection_by_rule() -> None:
    # Over a box of 100: first come matches (IoU 50/(0 + 100 - 50) = 1), DB strikes it, MMOCR keeps one
    # lobe of 25 or the hull, MLT lets it overlap nothing.
    some = scene([box(0)], [BOW_TIE])
    assert counts(FirstCome()(some)) == (1, 1, 1)
    assert counts(DetectionIoU()(some)) == (0, 1, 0)
    assert counts(HmeanIoU()(some)) == (0, 1, 1)
    assert counts(MultiLingual()(some)) == (0, 1, 1)
    assert DetectionIoU()(some).found.tolist() == [Verdict.IGNORED]


def test_a_crossing_true_region_by_rule() -> None:
    for ignored in (False, True):
        some = scene([(BOW_TIE, ignored)], [box(0)])
        assert counts(FirstCome()(some)) == (not ignored, not ignored, 1)
        # struck: not missed, and no detection goes with it
        assert counts(DetectionIoU()(some)) == (0, 0, 1)
        assert DetectionIoU()(some).truth.tolist() == [Verdict.IGNORED]
        assert counts(MultiLingual()(some)) == (0, not ignored, 1)


def test_struck_ones_are_out_of_the_way() -> None:
    # A line without an area, an hourglass with a shared corner, and one of two points; a box is found.
    line = ((0.0, 0.0), (5.0, 0.0), (10.0, 0.0))
    touching = ((0.0, 0.0), (5.0, 5.0), (10.0, 0.0), (10.0, 10.0), (5.0, 5.0), (0.0, 10.0))
    some = scene([line, touching, box(0)], [touching, line, ((0.0, 0.0), (1.0, 1.0)), box(0)])
    result = DetectionIoU()(some)
    assert counts(result) == (1, 1, 1)
    assert result.partner.tolist() == [-1, -1, -1, 2]


def test_db_has_no_average_precision() -> None:
    some = scene([box(0)], [box(0)], [0.9])
    assert FirstCome()(some).average_precision == 1
    assert DetectionIoU()(some).average_precision is None
    assert HmeanIoU()(some).average_precision is None


def test_limits_are_settings() -> None:
    some = scene([box(0)], [box(6)])  # 40/160
    assert counts(DetectionIoU(iou=0.2)(some)) == counts(HmeanIoU(iou=0.2)(some)) == (1, 1, 1)
    assert counts(MultiLingual(iou=0.2)(some)) == (1, 1, 1)
    some = scene([(box(0), True)], [box(6)])  # .4 of it on an ignored one
    for rule in (DetectionIoU(ignore=0.3), HmeanIoU(ignore=0.3), MultiLingual(ignore=0.3)):
        assert counts(rule(some)) == (0, 0, 0)


def test_a_hair_less_than_the_share() -> None:
    # 5001/(10000 + 1e-5) is above a half, and so is 5001/10000
    for part, gone in [(0.5001, True), (0.5, False)]:
        some = scene([(box(0, width=10 * part), True)], [box(0)])
        assert counts(HmeanIoU()(some)) == (0, 0, not gone)
    # a tiny one: 6e-6 of an area of 1e-5 is a share of .6, but of .3 with 1e-5 below the line
    small, part = box(0, width=1e-3, height=1e-2), box(0, width=6e-4, height=1e-2)
    assert counts(FirstCome()(scene([(part, True)], [small]))) == (0, 0, 0)
    assert counts(HmeanIoU()(scene([(part, True)], [small]))) == (0, 0, 1)


def test_the_sweep_has_seven_thresholds() -> None:
    # as in MMOCR's own table of the oracle: numpy adds .10000000000000003 at a time
    assert list(MMOCR_THRESHOLDS) == [
        0.3,
        0.4,
        0.5,
        0.6000000000000001,
        0.7000000000000002,
        0.8000000000000003,
        0.9000000000000001,
    ]


def test_sweep_by_hand() -> None:
    # Right ones at .95 and .45, false ones at .55, .35 and .2; two words.
    found = [box(0), box(20), box(60), box(80), box(100)]
    some = scene([box(0), box(20)], found, [0.95, 0.45, 0.55, 0.35, 0.2])
    sweep = HmeanIoU().sweep(some)
    assert [counts(one) for one in sweep.outcomes] == [
        (2, 2, 4),  # .3
        (2, 2, 3),  # .4
        (1, 2, 2),  # .5
        (1, 2, 1),  # .6
        (1, 2, 1),
        (1, 2, 1),
        (1, 2, 1),  # .9
    ]
    assert sweep.best == 1  # 2*1*(2/3)/(5/3) = .8 is the most
    assert HmeanIoU()(some).hmean == pytest.approx(0.8, abs=1e-15)
    assert sweep.outcomes[3].found.tolist() == [Verdict.MATCHED] + 4 * [Verdict.IGNORED]
    # of equal ones the first
    assert HmeanIoU().sweep(scene([box(0)], [box(0)])).best == 0
    assert HmeanIoU().sweep(scene([box(0)], [])).best == 0
    with pytest.raises(StrbenchError, match="found none"):
        HmeanIoU(thresholds=())


def test_scores_are_single_precision() -> None:
    # .6 as float32 is .60000002, above the threshold of .6000000000000001; .7 is .69999999, below its
    for score, kept in [
        (0.3, 1),
        (0.4, 2),
        (0.5, 3),
        (0.6, 4),
        (0.7, 4),
        (0.8, 6),
        (0.9, 6),
        (1.0, 7),
    ]:
        sweep = HmeanIoU().sweep(scene([box(0)], [box(0)], [score]))
        assert [one.founds.sum() for one in sweep.outcomes] == kept * [1] + (7 - kept) * [0]
    none = HmeanIoU().sweep(scene([box(0)], [box(0)], [None]))
    assert [one.founds.sum() for one in none.outcomes] == 7 * [1]


def test_a_low_score_gives_way() -> None:
    # The false reading of .35 comes first and takes the word until it is below the threshold.
    some = scene([box(0)], [box(1), box(0)], [0.35, 0.95])
    sweep = HmeanIoU().sweep(some)
    assert sweep.outcomes[0].partner.tolist() == [0, -1]
    assert sweep.outcomes[1].partner.tolist() == [-1, 0]


def test_first_come_may_miss_what_most_pairs_finds() -> None:
    # With IoU above .2: the first true box reaches both found ones, the second only the first.
    some = scene([box(0), box(-6)], [box(-2), box(6)])
    vanilla, most = HmeanIoU(iou=0.2), HmeanIoU(iou=0.2, strategy="max_matching")
    assert counts(vanilla(some)) == (1, 2, 2)
    assert counts(most(some)) == (2, 2, 2)
    assert most(some).partner.tolist() == [1, 0]


def test_a_long_chain_moves_up() -> None:
    # Found boxes lie across the borders of true ones; first come gives each true box the one on its
    # left. The last in the file reaches only the first found one, so that all others have to move: more
    # of them than Python's calls may be nested.
    n = 1100
    truth = [*(box(10 * i) for i in range(1, n)), box(2, width=4)]
    some = scene(truth, [box(10 * i + 5) for i in range(n)])
    assert counts(HmeanIoU(iou=0.01)(some)) == (n - 1, n, n)
    result = HmeanIoU(iou=0.01, strategy="max_matching")(some)
    assert counts(result) == (n, n, n)
    assert result.partner.tolist() == [n - 1, *range(n - 1)]


def most(edges: list[tuple[int, int]]) -> int:
    """The size of a largest set of pairs without a common end, by trying all."""
    for size in range(len(edges), 0, -1):
        for some in combinations(edges, size):
            if len({a for a, _ in some}) == len({b for _, b in some}) == size:
                return size
    return 0


PLACE = st.tuples(st.integers(0, 12), st.integers(0, 3), st.integers(1, 10), st.integers(1, 6))


@given(st.lists(PLACE, max_size=4), st.lists(PLACE, max_size=4))
def test_most_pairs_is_the_most(truth: list[tuple], found: list[tuple]) -> None:
    some = scene([box(*place) for place in truth], [box(*place) for place in found])
    rule = HmeanIoU(iou=0.1, strategy="max_matching")
    edges = [
        (i, j)
        for i, a in enumerate(truth)
        for j, b in enumerate(found)
        if counts(HmeanIoU(iou=0.1)(scene([box(*a)], [box(*b)])))[0]
    ]
    result = rule(some)
    assert result.precise.sum() == most(edges)
    assert {(int(t), j) for j, t in enumerate(result.partner) if t >= 0} <= set(edges)
    assert result.precise.sum() >= HmeanIoU(iou=0.1)(some).precise.sum()


def scripts(*names: str) -> list[Region]:
    return [
        Region(box(20 * i), "x", tags={"script": name}) if name else Region(box(20 * i), "x")
        for i, name in enumerate(names)
    ]


def test_one_script_at_a_time() -> None:
    truth = {"a": scripts("Latin", "Arabic", "None", "Latin")}
    found = {"a": [Detection(box(20 * i), c) for i, c in [(0, 0.1), (1, 0.9), (2, 0.8), (5, 0.5)]]}
    some = Scene.of(truth, found)
    every = MultiLingual()(some)
    assert counts(every) == (3, 4, 4)
    # by confidence right, right, false, right: (1 + 1 + 3/4)/4
    assert every.average_precision == (1 + 1 + 3 / 4) / 4
    latin = MultiLingual(script="Latin")(some)
    assert counts(latin) == (1, 2, 2)  # those on Arabic and on None are absorbed
    assert latin.average_precision == (1 / 2) / 2
    assert counts(MultiLingual(script="None")(some)) == (1, 1, 2)
    assert counts(MultiLingual(script="Hindi")(some)) == (0, 0, 1)
    assert not some.ignored.any()


def test_confidence_does_not_choose_the_pair() -> None:
    # Two detections on one word: the first in the file has it, though the other is surer.
    some = scene([box(0)], [box(1), box(0)], [0.2, 0.9])
    assert MultiLingual()(some).partner.tolist() == [0, -1]
    assert MultiLingual()(some).average_precision == 1 / 2


def test_scripts_are_checked() -> None:
    with pytest.raises(StrbenchError, match="No script of MLT is named 'latin'; near names: Latin"):
        MultiLingual(script="latin")
    some = Scene.of({"a": scripts("Latin", "")}, {})
    assert counts(MultiLingual()(some)) == (0, 2, 0)
    with pytest.raises(StrbenchError, match="region of image 'a' has no script") as caught:
        MultiLingual(script="Latin")(some)
    assert caught.value.exit_code == DATA
    ignored = Scene.of({"a": [Region(box(0), "###", True)]}, {})
    assert counts(MultiLingual(script="Latin")(ignored)) == (0, 0, 0)


POINT = st.tuples(st.integers(0, 12), st.integers(0, 12))
POLYGON = st.lists(POINT, min_size=3, max_size=5).map(tuple)
IMAGE = st.tuples(
    st.lists(st.tuples(POLYGON, st.booleans()), max_size=4),
    st.lists(st.tuples(POLYGON, st.sampled_from([0.1, 0.35, 0.5, 0.7, 0.95])), max_size=4),
)


@given(st.lists(IMAGE, max_size=4), st.randoms(use_true_random=False))
def test_whatever_the_polygons(images: list[tuple], shuffle: random.Random) -> None:
    def outcomes(some: list[tuple]) -> list[Outcome]:
        both = Scene.of(
            {str(i): [Region(p, "x", bad) for p, bad in t] for i, (t, _) in enumerate(some)},
            {str(i): [Detection(p, c) for p, c in f] for i, (_, f) in enumerate(some)},
        )
        return [rule(both) for rule in RULES]

    before = outcomes(images)
    for result in before:
        matched, truths, founds = counts(result)
        assert 0 <= matched <= min(truths, founds)
        assert np.count_nonzero(result.partner >= 0) == matched
        assert np.count_nonzero(result.truth == Verdict.MATCHED) == matched
        assert np.count_nonzero(result.found != Verdict.IGNORED) == founds
        assert len(set(result.partner[result.partner >= 0].tolist())) == matched
    shuffle.shuffle(images)
    for one, other in zip(before, outcomes(images), strict=True):
        assert counts(one) == counts(other)
        assert one.hmean == other.hmean


def rows(path: Path) -> list[tuple[Polygon, str]]:
    """Polygons and texts of a file of the oracles."""
    out = []
    for line in path.read_bytes().decode("utf-8-sig", "replace").split("\n"):
        if line := line.replace("\r", ""):
            fields = line.split(",", 8)
            values = list(map(int, fields[:8]))
            out.append((tuple(zip(values[::2], values[1::2], strict=True)), "".join(fields[8:])))
    return out


@pytest.fixture(scope="module")
def pixellink(shared: Path) -> tuple[Scene, Path]:
    folder = shared / "oracles" / "detection" / "ic15_iou_pixellink"
    truth, found = {}, {}
    for i in range(1, 501):
        truth[str(i)] = [
            Region(polygon, text, text == "###")
            for polygon, text in rows(folder / "gt" / f"gt_img_{i}.txt")
        ]
        lines = rows(folder / "det" / f"res_img_{i}.txt")
        found[str(i)] = [Detection(polygon) for polygon, _ in lines]
    return Scene.of(truth, found), folder


def test_real_db(pixellink: tuple[Scene, Path]) -> None:
    some, folder = pixellink
    expected = json.loads((folder / "expected_db_iou.json").read_text())
    result = DetectionIoU()(some)
    assert result.precision == expected["precision"]
    assert result.recall == expected["recall"]
    assert result.hmean == expected["hmean"]
    assert counts(result) == (expected["detMatched"], expected["gtCare"], expected["detCare"])


@pytest.mark.parametrize("strategy", ["vanilla", "max_matching"])
def test_real_mmocr(pixellink: tuple[Scene, Path], strategy: str) -> None:
    some, folder = pixellink
    expected = json.loads((folder / "expected_mmocr_hmean_iou.json").read_text())[strategy]
    sweep = HmeanIoU(strategy=strategy).sweep(some)  # type: ignore[arg-type]
    table = [
        {"thr": threshold, "precision": o.precision, "recall": o.recall, "hmean": o.hmean}
        for threshold, o in zip(sweep.thresholds, sweep.outcomes, strict=True)
    ]
    assert table == expected["table"]
    best = sweep.outcomes[sweep.best]
    assert {"precision": best.precision, "recall": best.recall, "hmean": best.hmean} == expected[
        "best"
    ]
