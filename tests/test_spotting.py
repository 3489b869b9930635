"""End to end and word spotting: place takes the pair, text decides, and both official settings."""

from __future__ import annotations

import json
import math
import random
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strbench.errors import DATA, StrbenchError
from strbench.metrics.detection import FirstCome, Scene, Verdict
from strbench.metrics.spotting import (
    SPECIAL,
    EndToEnd,
    OneMinusNed,
    Spotted,
    WordSpotting,
    agrees,
    dictionary_word,
)
from strbench.types import Detection, Polygon, Region


def box(left: float, top: float = 0, width: float = 10, height: float = 10) -> Polygon:
    right, bottom = left + width, top + height
    return ((left, top), (right, top), (right, bottom), (left, bottom))


def words(*texts: str | None) -> list[Region]:
    """Regions side by side, 20 pixels apart; "###" is ignored."""
    return [Region(box(20 * i), text, text == "###") for i, text in enumerate(texts)]


def reads(*texts: str | None, score: Sequence[float] = ()) -> list[Detection]:
    scores = list(score) or [None] * len(texts)
    return [Detection(box(20 * i), scores[i], text) for i, text in enumerate(texts)]


def one(label: str | None, pred: str | None) -> Scene:
    return Scene.of({"a": words(label)}, {"a": reads(pred)})


def test_place_spends_both_and_then_text_decides() -> None:
    # Three found regions on one word: the first in file order takes it and reads wrongly, so the second,
    # which is right, has nothing left.
    truth = {"a": [Region(box(0), "OPEN"), Region(box(50), "EXIT")]}
    found = {
        "a": [
            Detection(box(1), text="OPEM"),  # IoU 90/110
            Detection(box(0), text="OPEN"),  # IoU 1
            Detection(box(50), text="exit"),
        ]
    }
    result = EndToEnd()(Scene.of(truth, found))
    assert result.spent.tolist() == [0, -1, 1]
    assert result.partner.tolist() == [-1, -1, 1]
    assert (result.precision, result.recall) == (1 / 3, 1 / 2)
    assert result.hmean == 2 * (1 / 2) * (1 / 3) / (1 / 2 + 1 / 3)
    assert result.truth.tolist() == [Verdict.MISSED, Verdict.MATCHED]
    assert result.found.tolist() == [Verdict.MISSED, Verdict.MISSED, Verdict.MATCHED]


@pytest.mark.parametrize(
    ("label", "pred", "once", "both"),
    [
        ("OPEN", "OPEN", True, True),
        ("(OPEN)", "OPEN", True, True),  # one at the start and one at the end
        ("(OPEN", "OPEN", True, True),
        ("OPEN!", "OPEN", True, True),
        ("(OPEN)", "OPEN)", True, True),  # only the first goes
        ("OPEN!!", "OPEN!", True, True),
        ("OPEN!!", "OPEN", False, True),  # one is the most
        ("OPEN", "OPEN!", False, True),  # nothing is taken from the prediction
        ("(OPEN)", "[OPEN]", False, True),
        ("O.K", "OK", False, False),  # inner ones count
        ("O.K", "O.K.", False, True),
        ("·A", "A", True, True),
        ("-A", "A", False, False),  # a hyphen is not special
        ("A B", "A", False, False),
        ("!", "", True, True),
        ("!!", "", True, True),  # both ends of two
        ("!!!", "", False, True),
        ("", "", True, True),
        ("", "!", False, True),
        ("", "A", False, False),
        ("A", "", False, False),
    ],
)
def test_text_rule_in_both_settings(label: str, pred: str, once: bool, both: bool) -> None:
    assert agrees(label, pred) is once
    assert agrees(label, pred, only_first_last=False) is both
    assert EndToEnd()(one(label, pred)).recall == once
    assert EndToEnd(only_first_last=False)(one(label, pred)).recall == both


def test_special_characters_are_a_setting() -> None:
    assert len(SPECIAL) == len(set(SPECIAL)) == 14
    assert not agrees(" OPEN", "OPEN")
    assert agrees(" OPEN", "OPEN", special=SPECIAL + " ")
    assert not agrees("OPEN!", "OPEN", special="")
    assert not agrees("OPEN!", "OPEN", special="", only_first_last=False)
    assert EndToEnd(special=SPECIAL + " ")(one("OPEN ", "OPEN")).recall == 1
    assert WordSpotting()(one("Joe~", "JOE")).truths.sum() == 0
    assert WordSpotting(special=SPECIAL + "~")(one("Joe~", "JOE")).recall == 1


@pytest.mark.parametrize(
    ("label", "pred", "expected"),
    [
        ("open", "OPEN", True),
        ("Straße", "STRASSE", True),  # upper case of one letter may be two
        ("straße", "ſtrasse", True),  # long s is an S in upper case
        ("ﬁne", "FINE", True),
        ("i", "İ", False),
        ("ı", "i", True),  # both I in upper case, in any language
        ("café", "cafe\u0301", False),  # composed and decomposed
        ("שלום", "שלום", True),
        ("!שלום", "שלום", True),  # first in storage, whatever side it is shown on
        ("שלום", "םולש", False),
        ("\ud800x", "\ud800X", True),
        ("日本語。", "日本語", False),
        ("A", "A ", False),
    ],
)
def test_upper_case_is_pythons(label: str, pred: str, expected: bool) -> None:
    assert EndToEnd()(one(label, pred)).recall == expected


def test_case_may_count() -> None:
    assert EndToEnd(upper=False)(one("Open", "open")).recall == 0
    assert EndToEnd(upper=False)(one("Open!", "Open")).recall == 1


def test_overlap_is_a_setting() -> None:
    # 10 by 10 boxes shifted by 6: 40 in common, IoU 40/160 = .25
    scene = Scene.of({"a": [Region(box(0), "A")]}, {"a": [Detection(box(6), text="A")]})
    assert EndToEnd()(scene).recall == 0
    assert EndToEnd(iou=0.1)(scene).recall == 1
    # exactly a half, 5 by 10 inside 10 by 10, is no match
    half = Scene.of({"a": [Region(box(0), "A")]}, {"a": [Detection(box(0, width=5), text="A")]})
    assert EndToEnd()(half).recall == 0


def test_ignored_regions_absorb_and_need_no_text() -> None:
    truth = {"a": [Region(box(0), None, True), Region(box(20), "A")]}
    result = EndToEnd()(Scene.of(truth, {"a": reads("anything", "A")}))
    assert (result.truths.sum(), result.founds.sum(), result.hmean) == (1, 1, 1)


def test_average_precision_is_of_right_readings() -> None:
    # By confidence: right, wrong, right; precisions 1 and 2/3 at the right ones, three words.
    scene = Scene.of(
        {"a": words("A", "B", "C")}, {"a": reads("A", "C", "X", score=[0.9, 0.1, 0.5])}
    )
    assert EndToEnd()(scene).average_precision == 1 / 3
    scene = Scene.of(
        {"a": words("A", "B", "C")}, {"a": reads("A", "B", "X", score=[0.9, 0.1, 0.5])}
    )
    assert EndToEnd()(scene).average_precision == (1 + 2 / 3) / 3


def test_what_has_no_text_is_named() -> None:
    for rule in (EndToEnd(), WordSpotting(), OneMinusNed()):
        with pytest.raises(StrbenchError, match=r"A detection of image 'a' has no text") as caught:
            rule(one("A", None))
        assert caught.value.exit_code == DATA
        with pytest.raises(StrbenchError, match=r"A true region of image 'a' has no text"):
            rule(one(None, "A"))


def test_nothing_is_zero() -> None:
    for scene in (Scene.of({}, {}), Scene.of({"a": []}, {"a": []}), Scene.of({"a": []}, {})):
        for rule in (EndToEnd(), WordSpotting()):
            result = rule(scene)
            assert (result.precision, result.recall, result.hmean) == (0, 0, 0)
        assert OneMinusNed()(scene).one_minus_ned == 0


# the hyphen is one of three characters; hyphens go before special characters
WORDS = {"OPEN": "OPEN", "Joe's": "Joe", "JOE'S": "JOE", "the": "the", "-the-": "the", "a-b": "a-b"}
WORDS |= {"(the)": "the", "the-!": "the-", "(-the": "-the", " the\u3000": "the", "co-op": "co-op"}
WORDS |= {text: text for text in ("ÀÖØöøƿ", "Ǆabɿ", "Άλφα", "abϿ")}
SHORT = ["Jo's", "it's", "'s", "", "-", "to", "--a"]
BROKEN = ["Joe's!", "e.g.", "www.abc", "two words"]  # a blank is inside; 's! is no final 's
# digits; clicks (U+01C0 to U+01C3); U+0280; signs among the letters; U+0385; Cyrillic and others; a
# combining accent
FOREIGN = ["A1A", "100", "50%", "a&b", "abǀ", "ǃab", "abʀ", "ab×", "÷ab", "ab\u0385", "abc\u0400"]
FOREIGN += ["日本語", "שלום", "cafe\u0301", "\ud800bc"]


@pytest.mark.parametrize(("text", "word"), WORDS.items())
def test_dictionary_words(text: str, word: str) -> None:
    assert dictionary_word(text) == word


@pytest.mark.parametrize("text", SHORT + BROKEN + FOREIGN)
def test_no_dictionary_words(text: str) -> None:
    assert dictionary_word(text) is None


def test_word_spotting_compares_the_whole_prediction() -> None:
    for pred, expected in [("JOE", True), ("joe", True), ("Joe's", False), ("(Joe)", False)]:
        assert WordSpotting()(one("Joe's", pred)).recall == expected
    assert WordSpotting()(one("Weiß!", "WEISS")).recall == 1


def test_word_spotting_ignores_what_is_no_word() -> None:
    # "to" and "24" are ignored and take their detections with them.
    scene = Scene.of({"a": words("open", "to", "24", "###")}, {"a": reads("open", "x", "24", "y")})
    result = WordSpotting()(scene)
    assert (result.truths.sum(), result.founds.sum(), result.precise.sum()) == (1, 1, 1)
    assert result.truth.tolist() == [Verdict.MATCHED] + 3 * [Verdict.IGNORED]
    assert WordSpotting(shortest=2)(scene).truths.sum() == 2
    cleaned = WordSpotting().words(Scene.of({"a": words("(open)", "###")}, {}))
    assert [(r.text, r.ignored) for r in cleaned.regions] == [("open", False), ("###", True)]
    assert scene.ignored.tolist() == [False, False, False, True]  # the scene itself is as it was


def test_one_minus_ned_by_hand() -> None:
    # Image a: kitten/sitting 3/7, a missed word 1, an unmatched detection 1; image b has no detection:
    # two missed words; image c has no region: one detection.
    truth = {"a": words("kitten", "missed"), "b": words("x", "y", "###"), "c": []}
    found = {
        "a": [Detection(box(0), text="sitting"), Detection(box(500), text="far")],
        "c": reads("nothing"),
    }
    scene = Scene.of(truth, found)
    every = OneMinusNed()(scene)
    assert every.distance.tolist() == [3 / 7 + 1 + 1, 2, 1]
    assert every.terms.tolist() == [3, 2, 1]
    assert every.one_minus_ned == pytest.approx(1 - (3 / 7 + 5) / 6, abs=1e-15)
    both = OneMinusNed(unmatched="both")(scene)
    assert both.distance.tolist() == [3 / 7 + 1 + 1, 0, 0]
    assert both.terms.tolist() == [3, 0, 0]
    assert both.one_minus_ned == pytest.approx(1 - (3 / 7 + 2) / 3, abs=1e-15)


def test_one_minus_ned_where_only_ignored_ones_meet() -> None:
    # An ignored region is one all the same: the image has "both", so its false detection costs 1.
    truth = {"a": [Region(box(0), "###", True)]}
    scene = Scene.of(truth, {"a": [Detection(box(500), text="far")]})
    assert OneMinusNed(unmatched="both")(scene).terms.tolist() == [1]
    # A detection on it costs nothing under either.
    scene = Scene.of(truth, {"a": [Detection(box(0), text="on it")]})
    for unmatched in ("both", "every"):
        assert OneMinusNed(unmatched=unmatched)(scene).terms.tolist() == [0]


def test_one_minus_ned_lengths_are_those_annotated() -> None:
    assert OneMinusNed()(one("", "")).distance.tolist() == [0]
    assert OneMinusNed()(one("", "ab")).distance.tolist() == [1]
    assert OneMinusNed()(one("Ab", "aB")).one_minus_ned == 0
    assert OneMinusNed(upper=True)(one("Ab", "aB")).one_minus_ned == 1
    # SS against X is two edits, over one character
    assert OneMinusNed(upper=True)(one("ß", "x")).distance.tolist() == [2]
    assert OneMinusNed(upper=True)(one("ß", "x")).one_minus_ned == -1


TEXTS = st.sampled_from(
    ["OPEN", "open!", "(Joe's", "to", "24", "###", "ß", "SS", "", "שלום", "caf\u00e9"]
)
PLACES = st.tuples(
    st.integers(0, 30), st.integers(0, 8), st.integers(0, 14), st.integers(0, 9), TEXTS
)
IMAGES = st.lists(st.tuples(st.lists(PLACES, max_size=4), st.lists(PLACES, max_size=5)), max_size=5)


def drawn(images: Sequence[tuple[Sequence[tuple[int, int, int, int, str]], ...]]) -> Scene:
    """Boxes, some without an area, of images that are named by their place."""
    return Scene.of(
        {
            str(i): [Region(box(*place), text, text == "###") for *place, text in truth]
            for i, (truth, _) in enumerate(images)
        },
        {
            str(i): [Detection(box(*place), None, text) for *place, text in found]
            for i, (_, found) in enumerate(images)
        },
    )


@given(IMAGES)
def test_text_never_adds_and_places_are_those_of_detection(images: list[tuple]) -> None:
    scene = drawn(images)
    plain, read, loose = (
        FirstCome()(scene),
        EndToEnd()(scene),
        EndToEnd(only_first_last=False)(scene),
    )
    assert read.spent.tolist() == plain.partner.tolist()
    assert read.truths.tolist() == plain.truths.tolist()
    assert read.founds.tolist() == plain.founds.tolist()
    matched = read.partner >= 0
    assert (read.partner[matched] == read.spent[matched]).all()
    assert read.precise.sum() == read.recalled.sum() == matched.sum() <= (read.spent >= 0).sum()
    for label, pred in [(r.text, d.text) for r in scene.regions for d in scene.detections]:
        if label and label.upper() == (pred or "").upper():
            assert agrees(label.upper(), label.upper())
    assert loose.spent.tolist() == read.spent.tolist()
    spotted = WordSpotting()(scene)
    assert spotted.truths.sum() <= read.truths.sum()
    assert spotted.founds.sum() <= read.founds.sum()


@given(IMAGES, st.randoms(use_true_random=False))
def test_order_of_images_does_not_matter(images: list[tuple], shuffle: random.Random) -> None:
    def figures(some: list[tuple]) -> tuple[float, ...]:
        scene = drawn(some)
        outcomes: list[Spotted] = [EndToEnd()(scene), WordSpotting()(scene)]
        neds = [OneMinusNed()(scene), OneMinusNed(unmatched="both", upper=True)(scene)]
        return (*(o.hmean for o in outcomes), *(ned.one_minus_ned for ned in neds))

    before = figures(images)
    assert all(math.isfinite(value) for value in before)
    shuffle.shuffle(images)
    assert figures(images) == before


def rows(path: Path) -> list[tuple[Polygon, str]]:
    """Polygons and texts of a file of the oracles."""
    out = []
    for line in path.read_bytes().decode("utf-8-sig", "replace").split("\n"):
        if line := line.replace("\r", ""):
            *numbers, text = line.split(",", 8)
            values = list(map(int, numbers))
            out.append((tuple(zip(values[::2], values[1::2], strict=True)), text))
    return out


@pytest.fixture(scope="module")
def case(shared: Path) -> tuple[Scene, dict]:
    folder = shared / "oracles" / "detection" / "ic15_e2e_perturb_strong_e2e"
    expected = json.loads((folder / "expected.json").read_text("utf-8"))
    truth, found = {}, {}
    for image in expected["per_image"]:
        lines = rows(folder / "gt" / f"gt_img_{image}.txt")
        truth[image] = [Region(polygon, text, text == "###") for polygon, text in lines]
        path = folder / "det" / f"res_img_{image}.txt"
        if path.exists():
            found[image] = [Detection(polygon, None, text) for polygon, text in rows(path)]
    return Scene.of(truth, found), expected


def test_real_end_to_end_is_the_official_figure(case: tuple[Scene, dict]) -> None:
    scene, expected = case
    result = EndToEnd()(scene)
    assert result.precision == expected["precision"]
    assert result.recall == expected["recall"]
    assert result.hmean == expected["hmean"]
    ignored = scene.per_image(scene.truth.image, scene.ignored)
    absorbed = scene.per_image(scene.found.image, result.found == Verdict.IGNORED)
    pairs = scene.per_image(scene.found.image, result.spent >= 0)
    counts = expected["counts"]
    assert len(scene.regions) == counts["n_gt"]
    assert len(scene.detections) == counts["n_det"]
    assert ignored.sum() == counts["n_gt_dontcare"]
    assert absorbed.sum() == counts["n_det_dontcare"]
    assert pairs.sum() == counts["n_pairs"]  # those that read wrongly too
    for i, image in enumerate(scene.images):
        theirs = expected["per_image"][image]
        assert ignored[i] == theirs["gt_dc"]
        assert absorbed[i] == theirs["det_dc"]
        assert pairs[i] == theirs["pairs"]
        if result.truths[i]:  # else the script says 1
            assert result.recalled[i] / result.truths[i] == theirs["recall"]
            assert result.precise[i] / max(result.founds[i], 1) == theirs["precision"]


def test_real_other_settings(case: tuple[Scene, dict]) -> None:
    # The same script (MhLiao/MaskTextSpotterV3 @a7ca940) on the same files, with other settings.
    scene, _ = case
    both = EndToEnd(only_first_last=False)(scene)
    assert (both.precision, both.recall) == (0.6272806255430061, 0.6952335098700048)
    spotted = WordSpotting()(scene)
    assert (spotted.precision, spotted.recall) == (0.6129470348574015, 0.6915219611848825)
    assert np.count_nonzero(spotted.truth == Verdict.IGNORED) == 3272
    assert np.count_nonzero(spotted.found == Verdict.IGNORED) == 803
    assert np.count_nonzero(spotted.spent >= 0) == 1414


def test_real_total_text_words(shared: Path) -> None:
    # AdelaiDet's copy of the ground truth: 2542 words, 328 ignored, 720 in word spotting.
    folder = shared / "real" / "annotations" / "totaltext" / "Yuliang-Liu+VimTS" / "evaluation"
    texts = []
    with zipfile.ZipFile(folder / "gt_totaltext.zip") as bundle:
        for name in bundle.namelist():
            lines = bundle.read(name).decode("utf-8-sig").splitlines()
            texts += [line.partition("####")[2] for line in lines if line]
    scene = Scene.of({"all": [Region((), text, text == "###") for text in texts]}, {})
    assert len(texts) == 2542
    assert np.count_nonzero(scene.ignored) == 328
    assert np.count_nonzero(WordSpotting().words(scene).ignored) == 720
