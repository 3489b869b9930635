"""Charsets, normalisations, and every named policy against the field's own evaluators."""

from __future__ import annotations

import json
import string
import sys
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strbench.errors import StrbenchError
from strbench.metrics.recognition import char_counts, score_words
from strbench.policies import (
    POLICIES,
    policy,
    rrc_match,
    rrc_spotting_keeps,
    rrc_spotting_text,
    rrc_strip,
)
from strbench.text import CHARSETS, alnum_lower, charset, fold_case, normalise_all

EVERY_CHARACTER = [chr(code) for code in range(sys.maxunicode + 1)]
ASCII = set(EVERY_CHARACTER[:128])
BEYOND = list("\u4dff\u4e00\u9fa5\u9fa6\uac00\ud800\uff21\uff41\U0001d400")

# Letters whose case mappings cross the border of ASCII, combining marks, line breaks, and signs
# that act inside a regular expression's brackets.
AWKWARD = "İıKKſßẞΣσςÅéé\u0301中龦ｱﬁＡ１²^]\\-[_|~& \t\n\r\x0b\x85\u2028'’·×÷😀\ud800aAzZ09"
words = st.text(st.sampled_from(AWKWARD) | st.characters(), max_size=30)


def test_charsets_hold_what_their_names_say() -> None:
    assert {name: len(entry) for name, entry in CHARSETS.items()} == {
        "36": 36,
        "62": 62,
        "94": 94,
        "36-abinet": 36,
    }
    assert set(CHARSETS["94"].characters) == {chr(code) for code in range(33, 127)}
    assert CHARSETS["94"].characters.startswith("0123456789abcdefghijklmnopqrstuvwxyzABC")
    assert CHARSETS["94"].characters.endswith("XYZ!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")
    assert CHARSETS["36-abinet"].characters == string.ascii_lowercase + "1234567890"


@pytest.mark.parametrize("name", CHARSETS)
def test_charset_round_trip(name: str) -> None:
    entry = charset(name)
    assert entry.encode(entry.characters) == list(range(len(entry)))
    assert entry.decode(entry.encode(entry.characters[::-1])) == entry.characters[::-1]
    assert entry.encode("") == []


def test_charset_names_every_unknown_character() -> None:
    assert charset("36").unknown("a-B-é") == "-Bé"
    with pytest.raises(StrbenchError, match="'-Bé'"):
        charset("36").encode("a-B-é")
    for special in (-1, 36):
        with pytest.raises(IndexError, match=str(special)):
            charset("36").decode([0, special])
    with pytest.raises(StrbenchError, match="94"):
        charset("95")


def kept_characters(name: str) -> dict[str, str]:
    """Character -> what the policy's prediction side makes of it, where it leaves anything."""
    forms = normalise_all(policy(name).pred, EVERY_CHARACTER)
    return {c: form for c, form in zip(EVERY_CHARACTER, forms, strict=True) if form}


def test_strbench_36_by_character_class() -> None:
    expected = {c: c.lower() for c in string.digits + string.ascii_letters}
    assert kept_characters("strbench-36") == expected


def test_what_each_official_character_class_really_lets_through() -> None:
    alnum = set(string.digits + string.ascii_letters)
    han = {"\u4e00", "\u9fa5"}
    signs = set(string.punctuation)

    def label_keeps(name: str) -> set[str]:
        label = policy(name).label
        return {c for c in EVERY_CHARACTER[:0x3000] + BEYOND if label(c)}

    # Both lower-case first, and two characters outside ASCII have a lower case that holds an
    # ASCII letter.
    assert label_keeps("clovaai-36") == alnum | {"İ", "\u212a"}
    assert label_keeps("mmocr-ignore-case-symbol") == alnum | han | {"^", "İ", "\u212a"}
    assert label_keeps("clovaai-94-sensitive") == (alnum | signs) - {"\\"}
    # Predictions, over all of Unicode.
    assert set(kept_characters("parseq-94")) == alnum | signs
    assert set(kept_characters("paddleocr-filter")) == alnum
    assert set(kept_characters("paddleocr")) == set(EVERY_CHARACTER) - {" "}


def test_only_whole_words_of_letters_are_spotted() -> None:
    letters = {c for c in EVERY_CHARACTER[:0x3000] + BEYOND if rrc_spotting_keeps(f"a{c}b")}
    assert {"-", "a", "Z", "À", "ƿ", "Ǆ", "ɿ", "Ά", "Ͽ"} <= letters
    assert not letters & set("0^_'.·×÷ \t中" + "ǀ" + "ʀ" + "\u0385" + "Ѐ")


@settings(deadline=None)
@given(words)
def test_normalising_many_is_normalising_each(word: str) -> None:
    texts = [word, "", "x" + word, word.replace("\n", "")]
    for normalise in (alnum_lower, fold_case, str.lower, str.upper):
        assert normalise_all(normalise, texts) == [normalise(text) for text in texts]
    clean = [text.replace("\n", "") for text in texts]  # takes the fast way
    for normalise in (alnum_lower, fold_case, str.lower, str.upper):
        assert normalise_all(normalise, clean) == [normalise(text) for text in clean]


def test_polars_agrees_on_the_default_normalisation() -> None:
    polars = pytest.importorskip("polars")
    words = EVERY_CHARACTER[:0xD800] + EVERY_CHARACTER[0x1D400:0x1D800]
    column = polars.Series(words).str.replace_all("[^0-9A-Za-z]", "").str.to_lowercase()
    assert normalise_all(alnum_lower, words) == column.to_list()


def test_folding_case_never_makes_an_ascii_letter() -> None:
    for character, folded in zip(
        EVERY_CHARACTER, normalise_all(fold_case, EVERY_CHARACTER), strict=True
    ):
        assert character.isascii() or not set(folded) & ASCII, character
    assert fold_case("ΣΊΣΥΦΟΣ") == fold_case("σίσυφος") == fold_case("σίσυφοσ")


def test_rrc_text_rules() -> None:
    assert rrc_match("(Joe)", "JOE") is True
    assert rrc_match("((Joe", "joe") is False  # one sign at an end, not two
    assert rrc_strip("((Joe") == "JOE"
    assert rrc_match("Joe", "(joe)") is False  # the prediction is never stripped
    assert rrc_match("!", "") is True
    assert rrc_match("", "a") is None  # the official script raises IndexError
    assert rrc_match("Straße", "STRASSE") is True
    assert rrc_spotting_text("-Joe's") == "Joe"
    assert rrc_spotting_text("'s") == ""


def test_parseq_normalises_the_label_alone() -> None:
    rule = policy("parseq-36")
    assert rule.label("C afé") == "cafe"
    assert rule.pred("Café") == "caf"
    assert rule.drop is not None
    # 26 characters are too many even where fewer would be left, 25 are not.
    assert rule.drop("a" * 25 + "!")
    assert not rule.drop("a" * 24 + "!")
    assert rule.drop("ﬃ" * 9)  # 9 ligatures make 27 letters


@pytest.mark.parametrize("name", ["clovaai-36", "clovaai-94-sensitive"])
def test_clovaai_drops_by_length_and_charset(name: str) -> None:
    drop = policy(name).drop
    assert drop is not None
    assert [bool(drop("a" * n)) for n in (0, 24, 25, 26)] == [False, False, False, True]
    assert bool(drop("don't")) is (name == "clovaai-36")
    assert bool(drop("a\\b"))
    assert not drop("ABC")


def test_unknown_policy_lists_near_names() -> None:
    with pytest.raises(StrbenchError, match="parseq-36"):
        policy("parsec-36")


def test_only_other_repositories_drop_samples() -> None:
    assert all(entry.drop is None for name, entry in POLICIES.items() if "strbench" in name)


# ---- the figures that the official code gave

OFFICIAL = {
    "dtrb_36(default, labels pre-filtered by dataset.py)": "clovaai-36",
    "dtrb_sensitive+data_filtering_off(paper setting for 94-char models)": "clovaai-94-filtered",
    "dtrb_sensitive_only(94, case-sensitive)": "clovaai-94-sensitive",
    "parseq_36": "parseq-36",
    "parseq_62": "parseq-62",
    "parseq_94": "parseq-94",
    "parseq_36_no_unicode_norm": "parseq-36-no-unicode-norm",
    "paddleocr_default": "paddleocr",
    "paddleocr{'is_filter': True}": "paddleocr-filter",
    "paddleocr{'ignore_space': False}": "paddleocr-with-space",
    "openocr_default": "openocr",
    "openocr{'is_filter': True}": "openocr-filter",
    "openocr{'is_lower': False}": "openocr-case",
    "openocr{'is_filter': True, 'is_lower': True, 'ignore_space': False}": (
        "openocr-filter-with-space"
    ),
}


def outcome(label: str, text: str, name: str) -> tuple[bool, float, bool]:
    scores = score_words([label], [text], name)
    return bool(scores.correct[0]), float(scores.similarity[0]), bool(scores.kept[0])


def check_case(label: str, text: str, values: dict[str, Any]) -> None:
    for official, name in OFFICIAL.items():
        value = values[official]
        rule = policy(name)
        correct, similarity, kept = outcome(label, text, name)
        if "gt" in value:
            assert rule.label(label) == value["gt"], name
        if "skipped" in value:
            assert not kept, name
            continue
        if "pred" in value:
            assert rule.pred(text) == value["pred"], name
        assert correct == bool(value.get("correct", value.get("acc"))), name
        assert similarity == value.get("one_minus_ned", value.get("norm_edit_dis")), name
        assert kept or name.startswith("clovaai"), name
    for mode, expected in values["mmocr_word"].items():
        name = f"mmocr-{mode.replace('_', '-')}"
        correct, similarity, _ = outcome(label, text, name)
        assert (correct, similarity) == (bool(expected), values["mmocr_1-N.E.D"]), name
    counts = char_counts([label], [text])
    rounded = [round(counts.recall, 4), round(counts.precision, 4)]
    assert rounded == values["mmocr_char_recall/precision"]
    pair = values["rrc_mlt19_task4_pair"]
    assert outcome(label, text, "rrc-mlt19")[1] == pair["one_minus_ned"]
    assert outcome(label, text, "rrc-mlt19-upper")[1] == pair["one_minus_ned_upper"]
    e2e = values["rrc_e2e"]
    match = rrc_match(label, text)
    assert ("ERROR IndexError" if match is None else match) == e2e["e2e_match"]
    assert outcome(label, text, "rrc-e2e")[0] is (e2e["e2e_match"] is True)
    stripped = "e2e_match_both_sides_stripped(ONLY_REMOVE_FIRST_LAST_CHARACTER=False)"
    assert outcome(label, text, "rrc-e2e-stripped")[0] == e2e[stripped]
    correct, _, kept = outcome(label, text, "rrc-spotting")
    assert kept == e2e["wordspotting_gt_kept"]
    if kept:
        assert rrc_spotting_text(label) == e2e["wordspotting_gt_text"]
        assert correct == e2e["wordspotting_match"]


def test_every_official_figure_is_reproduced(shared: Path) -> None:
    lines = (shared / "oracles/recognition/metric_cases.jsonl").read_text("utf-8").splitlines()
    assert len(lines) >= 40
    for line in lines:
        case = json.loads(line)
        check_case(case["gt"], case["pred"], case["values"])


def test_no_policy_depends_on_the_normal_form_but_parseq_labels() -> None:
    composed, decomposed = "é", unicodedata.normalize("NFD", "é")
    for name in POLICIES:
        if name.startswith("parseq") and "no-unicode" not in name:
            assert policy(name).label(composed) == policy(name).label(decomposed) == "e"
        else:
            assert policy(name).label(composed) != policy(name).label(decomposed)
