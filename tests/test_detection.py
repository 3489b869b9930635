"""The rule of most papers, worked by hand, on the official cases, and on anything at all."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strbench.metrics.detection import FirstCome, Outcome, Ranks, Scene, Verdict
from strbench.region_protocols import REGION_PROTOCOLS
from strbench.submissions import read_found, read_truth
from strbench.types import Detection, Polygon, Region


def box(x: float, y: float, width: float, height: float) -> Polygon:
    return ((x, y), (x + width, y), (x + width, y + height), (x, y + height))


def scene(truth: list[list[Region]], found: list[list[Detection]]) -> Scene:
    return Scene.of(
        {str(i): regions for i, regions in enumerate(truth)},
        {str(i): detections for i, detections in enumerate(found)},
    )


def test_half_is_not_enough_and_the_first_in_the_file_takes_all() -> None:
    word = Region(box(0, 0, 10, 10), "word")
    exact = scene([[word]], [[Detection(box(0, 0, 10, 5))]])  # 50 of 100
    assert FirstCome()(exact).recall == 0
    both = scene([[word]], [[Detection(box(0, 0, 10, 6)), Detection(box(0, 0, 10, 10))]])
    outcome = FirstCome()(both)
    assert outcome.partner.tolist() == [0, -1]
    assert outcome.found.tolist() == [Verdict.MATCHED, Verdict.MISSED]
    assert (outcome.precision, outcome.recall, outcome.hmean) == (0.5, 1.0, 2 / 3)


def test_what_lies_on_an_ignored_region_is_left_out_even_if_it_could_match() -> None:
    word, blur = Region(box(0, 0, 10, 10), "word"), Region(box(0, 0, 10, 6), "###", True)
    outcome = FirstCome()(scene([[word, blur]], [[Detection(box(0, 0, 10, 10))]]))
    assert outcome.found.tolist() == [Verdict.IGNORED]
    assert outcome.truth.tolist() == [Verdict.MISSED, Verdict.IGNORED]
    assert (outcome.founds.sum(), outcome.truths.sum()) == (0, 1)


def test_a_bow_tie_without_area_matches_what_it_covers_by_half() -> None:
    word = Region(box(0, 0, 10, 10), "word")
    crossed: Polygon = ((0, 0), (10, 10), (10, 0), (0, 10))
    assert FirstCome()(scene([[word]], [[Detection(crossed)]])).hmean == 1


def test_average_precision_by_hand() -> None:
    words = [Region(box(20 * i, 0, 10, 10), "word") for i in range(3)]
    found = [
        Detection(box(0, 0, 10, 10), 0.9),
        Detection(box(100, 0, 10, 10), 0.8),
        Detection(box(20, 0, 10, 10), 0.7),
    ]
    outcome = FirstCome()(scene([words], [found]))
    assert outcome.average_precision == pytest.approx((1 / 1 + 2 / 3) / 3)
    ranks = Ranks(np.array([0.9, 0.8, 0.7]), np.array([False, True, True]), envelope=True)
    assert ranks.average_precision(4) == pytest.approx((2 / 3 + 2 / 3) / 4)  # raised from 1/2
    assert FirstCome()(scene([words], [[d._replace(confidence=None) for d in found]])).ranks is None


def test_no_image_answered() -> None:
    outcome = FirstCome()(Scene.of({"a": [Region(box(0, 0, 1, 1))]}, {}))
    assert (outcome.precision, outcome.recall, outcome.hmean) == (0, 0, 0)


CASES = [
    ("ic15_iou_pixellink", "ic15-iou"),
    ("ic15_iou_quirks", "ic15-iou"),
    ("ic13_deteval_perturb_13001", "ic13-deteval"),
    ("totaltext_deteval_baseline", "totaltext-deteval"),
    ("totaltext_pascal_baseline", "totaltext-pascal"),
    ("ctw1500_voc_ctd_tloc", "ctw1500-voc"),
    ("td500_psenet_mixnet", "td500"),
    ("ic15_e2e_perturb_strong_e2e", "ic15-e2e"),
]


@pytest.mark.parametrize(("case", "name"), CASES)
def test_official_figures(shared: Path, case: str, name: str) -> None:
    folder, protocol = shared / "oracles" / "detection" / case, REGION_PROTOCOLS[name]
    truth = read_truth(folder / "gt", protocol.files)
    found = read_found(
        folder / "det.zip",
        protocol.files,
        confidences=protocol.confidences,
        transcriptions=protocol.texts,
    )
    outcome = protocol.rule()(Scene.of(truth, found))
    expected = json.loads((folder / "expected.json").read_text())
    for figure in ("precision", "recall", "hmean"):
        assert getattr(outcome, figure) == pytest.approx(expected[figure], abs=2e-15)
    if name == "ctw1500-voc":
        assert outcome.average_precision == pytest.approx(expected["AP"], abs=1e-15)


# Files of an oracle that are not in the format of the protocol's own script.
WRITTEN_AS = {"ctw1500-psenet": "ctw1500", "ctw1500-psenet-corrected": "ctw1500"}
EXAMPLES = [
    ("totaltext_deteval_baseline", "totaltext-deteval", "totaltext-deteval-corrected"),
    ("totaltext_deteval_baseline", "totaltext-deteval", "totaltext-deteval-psenet"),
    ("totaltext_pascal_baseline", "totaltext-pascal", "totaltext-pascal-corrected"),
    ("ctw1500_voc_ctd_tloc", "ctw1500-voc", "ctw1500-voc-corrected"),
    ("ctw1500_voc_ctd_tloc", "ctw1500-psenet", "ctw1500-psenet-corrected"),
    ("td500_psenet_mixnet", "td500", "td500-corrected"),
    ("ic15_iou_pixellink", "tiou", "tiou-corrected"),
    ("ctw1500_voc_ctd_tloc", "tiou-curved", "tiou-curved-corrected"),
    ("ic15_e2e_perturb_strong_e2e", "ic15-e2e", "ic15-e2e-stripped"),
    ("ic15_e2e_perturb_strong_e2e", "ic15-e2e", "word-spotting"),
]


@pytest.mark.parametrize(("case", "faithful", "other"), EXAMPLES)
def test_the_examples_of_differences_are_true(
    shared: Path, case: str, faithful: str, other: str
) -> None:
    folder = shared / "oracles" / "detection" / case
    values = []
    for name in (faithful, other):
        protocol = REGION_PROTOCOLS[name]
        truth = read_truth(folder / "gt", protocol.files)
        format_ = WRITTEN_AS.get(name, protocol.files)
        found = read_found(folder / "det.zip", format_, transcriptions=protocol.texts)
        values.append(f"{100 * protocol.rule()(Scene.of(truth, found)).hmean:.2f}")
    before, after = values
    says = f"F {before} becomes {after}" if before != after else f"F {before} stays"
    assert says in REGION_PROTOCOLS[other].example


def test_every_example_is_checked() -> None:
    named = {name for name, entry in REGION_PROTOCOLS.items() if entry.example}
    assert named == {other for _, _, other in EXAMPLES}


# --- anything at all

corner = st.integers(0, 12)
polygon = st.lists(st.tuples(corner, corner), max_size=6).map(tuple)
region = st.builds(Region, polygon, st.just("word"), st.booleans())
detection = st.builds(Detection, polygon, st.one_of(st.none(), st.floats(0, 1)))
images = st.lists(
    st.tuples(st.lists(region, max_size=4), st.lists(detection, max_size=4)), min_size=1, max_size=4
)


def same(one: Outcome, other: Outcome) -> None:
    for part in fields(one):
        first, second = getattr(one, part.name), getattr(other, part.name)
        if part.name == "ranks":
            assert (first is None) == (second is None)
        else:
            np.testing.assert_array_equal(first, second, part.name)


@settings(max_examples=150, deadline=None)
@given(images)
def test_images_do_not_see_each_other(drawn: list[tuple[list[Region], list[Detection]]]) -> None:
    truth, found = [t for t, _ in drawn], [f for _, f in drawn]
    whole = FirstCome()(scene(truth, found))
    parts = [FirstCome()(scene([t], [f])) for t, f in drawn]
    same(whole, Outcome.join(parts))
    for share in (whole.precision, whole.recall, whole.hmean):
        assert 0 <= share <= 1
    assert (whole.recalled <= whole.truths).all()
    assert (whole.precise <= whole.founds).all()
    assert whole.recalled.sum() == whole.precise.sum()
    taken = whole.partner[whole.partner >= 0]
    assert len(set(taken.tolist())) == len(taken)
