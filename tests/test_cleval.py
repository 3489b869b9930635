"""CLEval: characters counted by hand, odd polygons, and the figures of the official code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rapidfuzz.distance import LCSseq
from test_tiou import (
    box,
    ctw1500,
    figures,
    hit,
    ic15,
    one_image,
    oracle,
    shuffled,
    total_text,
    word,
)

from strbench.errors import StrbenchError
from strbench.image_bootstrap import intervals
from strbench.metrics.cleval import CharacterOutcome, CLEval, common_subsequence
from strbench.metrics.detection import Scene, Verdict
from strbench.region_scoring import Scored, per_image
from strbench.stats import wilson_interval
from strbench.types import Detection, Polygon, Region

READ = CLEval(end_to_end=True)
CURVES = CLEval(boxes="polygon")
SPLIT = (hit(0, 0, 50, 20, text="WO"), hit(50, 0, 100, 20, text="RD"))
PAIR = (word("ab", 0, 0, 100, 20), word("cd", 110, 0, 210, 20))


def test_a_word_found() -> None:
    # characters of "WORD" at x = 12.5, 37.5, 62.5 and 87.5
    outcome = CLEval()(one_image([word("WORD", 0, 0, 100, 20)], [hit(0, 0, 60, 20)]))
    assert figures(outcome) == (2 / 4, 2 / 2)
    assert (outcome.partner.tolist(), outcome.truth.tolist()) == ([0], [Verdict.MATCHED])


def test_a_cut_costs_a_character_of_recall() -> None:
    outcome = CLEval()(one_image([word("WORD", 0, 0, 100, 20)], SPLIT))
    assert figures(outcome) == ((4 - 1) / 4, 4 / 4)
    assert (outcome.splits.tolist(), outcome.cuts.tolist()) == ([1.0], [1.0])
    assert outcome.found.tolist() == [Verdict.SPLIT] * 2
    assert CLEval(cut=0.5)(one_image([word("WORD", 0, 0, 100, 20)], SPLIT)).recall == 3.5 / 4


def test_a_merge_costs_a_character_of_precision() -> None:
    outcome = CLEval()(one_image(PAIR, [hit(0, 0, 210, 20)]))
    assert figures(outcome) == (4 / 4, (4 - 1) / 4)
    assert (outcome.merged.tolist(), outcome.merges.tolist()) == ([1.0], [1.0])
    assert outcome.truth.tolist() == [Verdict.MERGED] * 2


def test_a_character_twice_counts_once_but_is_found_twice() -> None:
    # "abcde" at 10, 30, 50, 70, 90; both hold the one at 50
    scene = one_image([word("abcde", 0, 0, 100, 20)], [hit(0, 0, 60, 20), hit(40, 0, 100, 20)])
    outcome = CLEval()(scene)
    assert figures(outcome) == ((5 - 1) / 5, 5 / 6)
    assert outcome.repeated.tolist() == [1.0]


def test_area_precision() -> None:
    # 2000 of 8000 is 0.25; 2000 of 6000 is a third
    regions = [word("ab", 0, 0, 100, 20)]
    assert CLEval()(one_image(regions, [hit(0, 0, 100, 80)])).recall == 0.0
    assert CLEval()(one_image(regions, [hit(0, 0, 100, 60)])).recall == 1.0


@pytest.mark.parametrize(
    ("corners", "script", "longer"),
    [
        ((0, 0, 40, 10), 1, 4),  # 0.5 + 1/4 and 0.5 + 4, just under
        ((0, 0, 10, 40), 4, 4),
        ((0, 0, 100, 1), 1, 10),  # never above 10
        ((5, 5, 5, 5), 1, 2),  # 0.5 + 1, just under; and exactly, which rounds to the even number
    ],
)
def test_false_detections_have_characters(
    corners: tuple[float, ...], script: float, longer: float
) -> None:
    scene = one_image([word("ab", 500, 0, 600, 20)], [hit(*corners)])
    assert CLEval()(scene).founds.tolist() == [script]
    assert CLEval(lengths="longer")(scene).founds.tolist() == [longer]
    assert CURVES(scene).founds.tolist() == [1.0]
    assert CLEval(boxes="polygon", lengths="longer")(scene).founds.tolist() == [longer]


def test_what_does_not_count() -> None:
    regions = [word("###", 0, 0, 100, 20), word("ab", 0, 0, 50, 20)]
    for rule in (CLEval(), CURVES):
        outcome = rule(one_image(regions, [hit(0, 0, 50, 20)]))
        assert figures(outcome) == (1.0, 1.0)  # the word is taken out of what does not count
        outcome = rule(one_image(regions, [hit(60, 0, 100, 20)]))
        assert outcome.found.tolist() == [Verdict.IGNORED]
        assert (outcome.truths.tolist(), outcome.founds.tolist()) == ([2.0], [0.0])
        # 20 columns each, 0.2 of the detection: only together they are enough
        regions_apart = [word("###", 0, 0, 20, 20), word("###", 60, 0, 80, 20)]
        outcome = rule(one_image(regions_apart, [hit(0, 0, 100, 20)]))
        assert outcome.found.tolist() == [Verdict.IGNORED]


def test_sums_below_nothing_are_nothing() -> None:
    pieces = [hit(x, 0, x + 30, 20) for x in (0, 10, 20)]  # all hold the only character, at 25
    outcome = CLEval()(one_image([word("a", 0, 0, 50, 20)], pieces))
    assert outcome.recalled.tolist() == [1 - 2]
    assert figures(outcome) == (0.0, 1 / 3)
    scored = Scored(("one",), outcome)
    (row,) = per_image(scored)
    assert (row["recall"], row["precision"], row["hmean"]) == (0.0, 1 / 3, 0.0)
    regions = [word("a", 0, 0, 50, 20)]
    two = Scene.of({"one": regions, "two": regions}, {"one": pieces, "two": pieces})
    spread = intervals(CLEval()(two))
    assert spread.recall == spread.hmean == wilson_interval(0, 2)


def test_tall_words() -> None:
    # width / height 0.2: "ab" at y = 75 and 25; from 0.5 on both at y = 50
    scene = one_image([word("ab", 0, 0, 20, 100)], [hit(0, 60, 20, 100)])
    assert CLEval()(scene).recall == 1 / 2
    assert CLEval(level=0.1)(scene).recall == 0.0


def test_reading() -> None:
    regions = [word("HELLO", 0, 0, 100, 20)]
    outcome = READ(one_image(regions, [hit(0, 0, 100, 20, text="HALLO!")]))
    assert figures(outcome) == (4 / 5, 4 / 6)  # H, L, L and O
    assert outcome.false.tolist() == [2.0]
    scene = one_image(regions, [hit(0, 0, 100, 20, text="hello")])
    assert figures(READ(scene)) == (0.0, 0.0)
    folded = CLEval(end_to_end=True, case_sensitive=False)
    assert figures(folded(scene)) == (1.0, 1.0)
    # an upper-case form may be longer, and the word then has as many characters
    scene = one_image([word("ß", 0, 0, 100, 20)], [hit(0, 0, 100, 20, text="SS")])
    assert folded(scene).truths.tolist() == [2.0]
    assert figures(folded(scene)) == (1.0, 1.0)


def test_reading_pieces_and_merges() -> None:
    regions = [word("WORD", 0, 0, 100, 20)]
    for pieces in (SPLIT, SPLIT[::-1]):  # they are put into the order of the characters they hold
        outcome = READ(one_image(regions, pieces))
        assert figures(outcome) == ((4 - 1) / 4, 4 / 4)
    outcome = READ(one_image(PAIR, [hit(0, 0, 210, 20, text="ab cd")]))
    assert figures(outcome) == (4 / 4, (4 - 1) / 5)


def test_characters_are_credited_once() -> None:
    regions = [word("ab", 0, 0, 100, 20), word("ba", 110, 0, 210, 20)]
    outcome = READ(one_image(regions, [hit(0, 0, 210, 20, text="ab")]))
    assert outcome.correct.tolist() == [2.0]  # the first word takes both


def test_a_third_piece_without_a_place_is_not_read() -> None:
    # all hold the first of "ab" (x = 25, 75): it places one piece, the next one is put last
    texts = ("x", "y", "a")
    pieces = [hit(0, 0, 50, 20, text=text) for text in texts]
    assert READ(one_image([word("ab", 0, 0, 100, 20)], pieces)).correct.tolist() == [0.0]
    pieces = [pieces[2], pieces[0], pieces[1]]
    assert READ(one_image([word("ab", 0, 0, 100, 20)], pieces)).correct.tolist() == [1.0]


def test_false_detections_are_read_wrongly() -> None:
    found = [hit(0, 0, 100, 20, text="ab"), hit(500, 0, 600, 20, text="word")]
    outcome = READ(one_image([word("ab", 0, 0, 100, 20)], found))
    assert figures(outcome) == (1.0, 2 / 6)


def test_a_reading_of_three_hashes_is_as_long_as_its_outline() -> None:
    # width / height 2.5 assumes three characters, 20 ten
    for x, n in ((550, 3), (900, 10)):
        found = [hit(0, 0, 100, 20, text="ab"), hit(500, 0, x, 20, text="###")]
        assert figures(READ(one_image([word("ab", 0, 0, 100, 20)], found))) == (1.0, 2 / (2 + n))


@given(st.text("abc", max_size=12), st.text("abc", max_size=12))
def test_longest_common_subsequence(first: str, second: str) -> None:
    common = common_subsequence(first, second)
    assert len(common) == LCSseq.similarity(first, second)
    for text in (first, second):
        letters = iter(text)
        assert all(letter in letters for letter in common)


def test_characters_along_a_polygon() -> None:
    # Two sections of 50, each cut into three at whole pixels: 0 16 33 50 66 83 100. Every second cut
    # bounds a character: 0 33 66 100, with middles 16.5, 49.5 and 83.
    strip = ((0, 0), (50, 0), (100, 0), (100, 20), (50, 20), (0, 20))
    regions = [Region(strip, "abc")]
    for right, held in ((17, 1), (50, 2), (83, 2), (84, 3)):
        outcome = CURVES(one_image(regions, [hit(0, 0, right, 20)]))
        assert outcome.correct.tolist() == [held], right
    # 83 is on the edge, which does not belong to a polygon; the same edge of a quadrilateral does not
    # either, but its left one does
    quad = [word("ab", 0, 0, 100, 20)]  # 25 and 75
    assert CLEval()(one_image(quad, [hit(25, 0, 75, 20)])).correct.tolist() == [1.0]
    assert CURVES(one_image(quad, [hit(25, 0, 75, 20)])).correct.tolist() == [0.0]


def test_an_odd_number_of_vertices() -> None:
    # upper side (0, 0), (100, 0); lower side of three, backwards (0, 20), (50, 30), (100, 20). Its first
    # section ends at (50, 30) and its last cut is its end: "a" is between 0, 100, 0 and 100 at x = 50
    shape = ((0, 0), (100, 0), (100, 20), (50, 30), (0, 20))
    scene = one_image([Region(shape, "a")], [hit(45, 0, 55, 30)])
    assert CURVES(scene).correct.tolist() == [1.0]


@pytest.mark.parametrize(
    "polygon",
    [(), ((5, 5),), ((0, 0), (90, 20)), ((5, 5),) * 4, ((0, 0), (50, 0), (100, 0), (50, 0))],
)
def test_polygons_without_an_area(polygon: Polygon) -> None:
    scene = one_image([word("ab", 0, 0, 100, 20)], [Detection(polygon), hit(0, 0, 100, 20)])
    assert figures(CURVES(scene)) == (1.0, 2 / 3)  # one false character
    scene = one_image([Region(polygon, "ab", True), Region(polygon, "ab")], [hit(200, 0, 300, 20)])
    for lengths in ("script", "longer"):
        rule = CLEval(boxes="polygon", lengths=lengths)
        assert rule(scene).truths.tolist() == [2.0]
        assert figures(rule(scene)) == (0.0, 0.0)


def test_polygons_that_cross_themselves() -> None:
    bow = ((0, 0), (100, 20), (100, 0), (0, 20))
    scene = one_image([word("abcd", 0, 0, 100, 20)], [Detection(bow)])
    # the quadrilateral has no area, so no precision, whatever characters it holds
    assert figures(CLEval()(scene)) == (0.0, 0.0)
    # of the polygon shapely's buffer(0) keeps one lobe, with two of the four
    assert figures(CURVES(scene)) == (2 / 4, 2 / 2)


def test_nothing_at_all() -> None:
    for scene in (Scene.of({}, {}), Scene.of({"1": []}, {}), one_image([], [])):
        for rule in (CLEval(), READ, CURVES, CLEval(boxes="polygon", end_to_end=True)):
            assert (*figures(rule(scene)), rule(scene).hmean) == (0.0, 0.0, 0.0)
    empty = one_image([word("", 0, 0, 100, 20)], [hit(0, 0, 100, 20)])
    for rule in (CLEval(), CURVES):
        assert figures(rule(empty)) == (0.0, 0.0)
        assert rule(empty).truths.tolist() == [0.0]


def test_what_is_needed() -> None:
    with pytest.raises(StrbenchError, match=r"true region 1 of image 'b' has no text\."):
        CLEval()(Scene.of({"a": [], "b": [word(None, 0, 0, 9, 9)]}, {}))
    scene = Scene.of({"a": [], "b": []}, {"a": [hit(0, 0, 9, 9, text="")], "b": [hit(0, 0, 9, 9)]})
    assert CLEval()(scene).founds.tolist() == [1.0, 1.0]
    with pytest.raises(StrbenchError, match=r"detection 1 of image 'b' has none\."):
        READ(scene)
    with pytest.raises(StrbenchError, match=r"detection 1 of image '1' has 3 vertices\."):
        CLEval()(one_image([], [Detection(((0, 0), (9, 0), (9, 9)))]))
    ignored = one_image([Region(box(0, 0, 9, 9), None, ignored=True)], [])
    assert CLEval()(ignored).truths.tolist() == [0.0]


corner = st.integers(-5, 40)
points = st.tuples(corner, corner)
texts = st.sampled_from(["", "a", "abc", "###"])


@given(st.data(), st.booleans())
def test_any_polygon_has_a_figure(data: st.DataObject, quad: bool) -> None:
    shapes = st.lists(points, min_size=4 if quad else 0, max_size=4 if quad else 9).map(tuple)
    regions = data.draw(st.lists(st.tuples(shapes, texts), max_size=5))
    detections = data.draw(st.lists(st.tuples(shapes, texts), max_size=5))
    scene = one_image(
        [Region(polygon, text, text == "###") for polygon, text in regions],
        [Detection(polygon, None, text) for polygon, text in detections],
    )
    for read in (False, True):
        outcome = CLEval(end_to_end=read, boxes="quad" if quad else "polygon")(scene)
        assert 0.0 <= outcome.recall <= 1.0
        assert 0.0 <= outcome.precision <= 1.0


def counts(outcome: CharacterOutcome) -> tuple[float, ...]:
    """num_char_tp, num_char_gt, num_char_det, num_char_fp, gran_score of recall and of precision."""
    o = outcome
    return tuple(part.sum() for part in (o.correct, o.truths, o.founds, o.false, o.cuts, o.merges))


# What cleval.eval_functions.evaluation at clovaai/CLEval 513623c4a5833bebf61ae90da205f40ec6cf22d7
# gives, in the order of ``counts``, with Polygon3 3.0.9.1, numpy 2.4.6 and numba 0.68.1; polygons with
# POLY.scale set to None and POLY.pseudo_character_center taking the argument that it is given. Three
# texts of Total-Text are empty, by which it divides: these images are left out on both sides.
OFFICIAL: dict[tuple[str, str], tuple[dict[str, Any], tuple[float, ...], float, float]] = {
    ("ic15_iou_pixellink", "detection"): (
        {},
        (9835, 11108, 10131, 269, 70, 62),
        0.8790961469211379,
        0.9646629158029809,
    ),
    ("ic15_iou_quirks", "detection"): (
        {},
        (73, 131, 80, 4, 3, 2),
        0.5343511450381679,
        0.8875,
    ),
    ("ic15_e2e_perturb_strong_e2e", "detection"): (
        {},
        (8900, 11108, 10319, 446, 382, 150),
        0.7668347137198416,
        0.8479503827890299,
    ),
    ("ic15_e2e_perturb_strong_e2e", "end to end"): (
        {"end_to_end": True},
        (5754, 11108, 11800, 6046, 382, 150),
        0.4836154123154483,
        0.47491525423728814,
    ),
    ("ic15_e2e_perturb_strong_e2e", "end to end, folded"): (
        {"end_to_end": True, "case_sensitive": False},
        (8765, 11108, 11800, 3035, 382, 150),
        0.7546813107670147,
        0.7300847457627119,
    ),
    ("totaltext_deteval_baseline", "polygons"): (
        {"boxes": "polygon"},
        (9143, 11423, 9409, 94, 125, 112),
        0.7894598616825702,
        0.9598256987990222,
    ),
    ("ctw1500_voc_ctd_tloc", "polygons"): (
        {"boxes": "polygon"},
        (10851, 12272, 11423, 376, 278, 136),
        0.8615547588005215,
        0.9380197846450145,
    ),
}
READERS = {"totaltext_deteval_baseline": total_text, "ctw1500_voc_ctd_tloc": ctw1500}


@pytest.mark.parametrize(("name", "kind"), OFFICIAL)
def test_official_figures(shared: Path, name: str, kind: str) -> None:
    given_settings, expected, recall, precision = OFFICIAL[name, kind]
    truth, found = READERS.get(name, ic15)(oracle(shared, name))
    for image, regions in list(truth.items()):
        if name in READERS and any(region.text == "" for region in regions):
            assert image in ("img540", "img601", "img791")
            del truth[image]
    for images in (truth, shuffled(truth)):
        outcome = CLEval(**given_settings)(Scene.of(images, found))
        assert counts(outcome) == expected
        assert figures(outcome) == (recall, precision)
