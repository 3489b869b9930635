"""Lexicons as they circulate, and the correction by the nearest word."""

from __future__ import annotations

import zipfile
from pathlib import Path

import editdistance
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strbench.errors import DATA, StrbenchError
from strbench.lexicons import (
    DROPPED_FROM,
    Lexicon,
    correct,
    parse_pairs,
    parse_words,
    read_lexicon,
    read_strong,
)
from strbench.types import Detection

SQUARE = ((0.0, 0.0), (9.0, 0.0), (9.0, 9.0), (0.0, 9.0))


def reads(*texts: str | None) -> list[Detection]:
    return [Detection(SQUARE, 0.5, text) for text in texts]


def texts(detections: tuple[Detection, ...]) -> list[str | None]:
    return [detection.text for detection in detections]


def test_words_are_kept_as_they_stand() -> None:
    assert parse_words("B\nA\nB\n") == ("B", "A", "B")
    assert parse_words("B\nA") == ("B", "A")
    assert parse_words("") == ()
    assert parse_words("\n") == ("",)
    assert parse_words("\ufeffABUR\r\nACE\r\n") == ("ABUR", "ACE")
    assert parse_words("a\rb\r\n\r\nc\n") == ("a", "b", "", "c")
    assert parse_words(" \ta b\u3000\n") == ("a b",)
    assert parse_words("a\u2028b\x0bc\n") == ("a\u2028b\x0bc",)  # no ends of lines in a file
    assert parse_words("x\n\ufeffy\n") == ("x", "\ufeffy")  # a mark elsewhere is text


def test_pairs() -> None:
    assert parse_pairs("\ufeff70 -70%\nTMLEWIN TM LEWIN\n") == {"70": "-70%", "TMLEWIN": "TM LEWIN"}
    assert parse_pairs("FASHIG FASHI  G\n") == {"FASHIG": "FASHI  G"}
    assert parse_pairs("ladys LADY'S\nLADYS ladies\n") == {"LADYS": "ladies"}  # the last one
    assert parse_pairs("ALE \ufeffALE\n") == {"ALE": "\ufeffALE"}
    assert parse_pairs("alone\n") == {"ALONE": ""}
    assert parse_pairs("Maß Maß\n") == {"MASS": "Maß"}
    lines = "Service Station Service Station\nTHE the\n\n"
    assert parse_pairs(lines, cut="half") == {
        "SERVICE STATION": "Service Station",
        "THE": "the",
        "": "",
    }
    assert parse_pairs(lines)["SERVICE"] == "Station Service Station"


def test_the_first_of_the_nearest() -> None:
    assert Lexicon(("CAR", "CAT", "CAB")).nearest("cax") == ("CAR", 1)
    assert Lexicon(("CAB", "CAT", "CAR")).nearest("cax") == ("CAB", 1)
    assert Lexicon(("CARS", "CAX", "Cax")).nearest("cax") == ("CAX", 0)
    assert Lexicon(("Cax", "CAX")).nearest("CAX") == ("Cax", 0)
    # nearer wins over earlier
    assert Lexicon(("ABCD", "ABCXYZ", "ABXD")).nearest("abxd") == ("ABXD", 0)


def test_both_are_in_upper_case() -> None:
    assert Lexicon(("strasse",)).nearest("Straße") == ("strasse", 0)
    assert Lexicon(("ﬁsh",)).nearest("FISH") == ("ﬁsh", 0)
    assert Lexicon(("שלום", "שלומ")).nearest("שלו") == ("שלום", 1)
    assert Lexicon(("\ud800",)).nearest("\ud800a") == ("\ud800", 1)


def test_pairs_tell_what_is_written() -> None:
    lexicon = Lexicon(("Ladys", "ALE"), {"LADYS": "LADY'S", "ALE": "\ufeffALE"})
    assert lexicon.nearest("ladys") == ("LADY'S", 0)
    assert lexicon.nearest("lady's") == ("LADY'S", 1)
    assert lexicon.nearest("al") == ("\ufeffALE", 1)
    with pytest.raises(StrbenchError, match="'GIN' of a lexicon is not in its pair list") as caught:
        Lexicon(("ALE", "GIN"), {"ALE": "Ale"})
    assert caught.value.exit_code == DATA


def test_no_word_is_a_hundred_edits_away() -> None:
    assert Lexicon(()).nearest("open") == ("", 100)
    assert Lexicon(("A" * 100,)).nearest("") == ("", 100)
    assert Lexicon(("A" * 99,)).nearest("") == ("A" * 99, 99)
    assert Lexicon(("AB", "")).nearest("x") == ("", 1)
    assert Lexicon(("A" * 200, "A" * 130)).nearest("A" * 200) == ("A" * 200, 0)


def test_far_ones_are_dropped_by_kind() -> None:
    # ABCD to the word ABXY is two edits, WXYZ to it four, to the word itself none
    found = {"a": reads("abcd", "wxyz", "ABXY"), "b": reads("0123"), "c": []}
    lexicon = Lexicon(("ABXY",))
    for kind in ("strong", "weak"):
        done = correct(found, lexicon, kind=kind)
        assert {image: texts(some) for image, some in done.detections.items()} == {
            "a": ["ABXY", "ABXY"],
            "b": [],  # still an image with an answer
            "c": [],
        }
        assert (done.changed, done.dropped) == (1, 2)
    for kind in ("generic", "full"):
        done = correct(found, lexicon, kind=kind)
        assert texts(done.detections["a"]) == ["ABXY"] * 3
        assert (done.changed, done.dropped) == (3, 0)
    assert set(DROPPED_FROM) == {"strong", "weak", "generic", "full"}
    assert correct(found, lexicon, kind="generic", dropped_from=2).dropped == 3
    assert correct(found, Lexicon(()), kind="strong").dropped == 4
    assert texts(correct(found, Lexicon(()), kind="full").detections["b"]) == [""]


def test_three_edits_are_too_many() -> None:
    done = correct({"a": reads("ABCD", "ABCx", "ABxy", "Axyz")}, Lexicon(("ABCD",)), kind="weak")
    assert (texts(done.detections["a"]), done.dropped) == (["ABCD"] * 3, 1)


def test_only_the_text_is_another() -> None:
    before = Detection(SQUARE, 0.25, "opem", (1.0, 2.0))
    found = {"a": [before]}
    done = correct(found, Lexicon(("OPEN",)), kind="weak")
    assert done.detections["a"] == (before._replace(text="OPEN"),)
    assert found == {"a": [before]}
    # a change of case alone is one
    assert correct({"a": reads("open")}, Lexicon(("OPEN",)), kind="weak").changed == 1
    assert correct({"a": reads("OPEN")}, Lexicon(("OPEN",)), kind="weak").changed == 0


def test_each_image_has_its_own() -> None:
    strong = {"a": Lexicon(("CAT",)), "b": Lexicon(("CAR",))}
    done = correct({"a": reads("CAX"), "b": reads("CAX")}, strong, kind="strong")
    assert (texts(done.detections["a"]), texts(done.detections["b"])) == (["CAT"], ["CAR"])
    with pytest.raises(StrbenchError, match="Image 'c' has no lexicon") as caught:
        correct({"c": reads("CAX")}, strong, kind="strong")
    assert caught.value.exit_code == DATA


def test_mistakes_are_named() -> None:
    with pytest.raises(StrbenchError, match="detection of image 'a' has no text") as caught:
        correct({"a": reads(None)}, Lexicon(("A",)), kind="weak")
    assert caught.value.exit_code == DATA
    with pytest.raises(StrbenchError, match="No kind of lexicon is named 'strict'"):
        correct({}, Lexicon(("A",)), kind="strict")  # type: ignore[arg-type]


def reference(words: list[str], pairs: dict[str, str], text: str) -> tuple[str, int]:
    """One word after the other, with another implementation of the distance."""
    best, least = "", 100
    for word in words:
        distance = editdistance.eval(text.upper(), word.upper())
        if distance < least:
            best, least = pairs[word.upper()], distance
    return best, least


WORD = st.text(st.sampled_from("abAB'ß \ufeffש"), max_size=6)


@given(st.lists(WORD, max_size=12), WORD)
def test_nearest_is_the_reference(words: list[str], text: str) -> None:
    pairs = {word.upper(): word for word in words}
    assert Lexicon(tuple(words), pairs).nearest(text) == reference(words, pairs, text)


@given(st.lists(WORD, min_size=1, max_size=8), st.lists(WORD, max_size=8))
def test_nothing_is_lost_and_words_stay(words: list[str], some: list[str]) -> None:
    lexicon = Lexicon(tuple(words))
    done = correct({"a": reads(*some)}, lexicon, kind="weak")
    assert len(done.detections["a"]) + done.dropped == len(some)
    assert set(texts(done.detections["a"])) <= set(words)
    again = correct(done.detections, lexicon, kind="weak")
    assert (again.detections, again.changed, again.dropped) == (done.detections, 0, 0)


def test_files(tmp_path: Path) -> None:
    words, pairs = tmp_path / "weak.txt", tmp_path / "pairs.txt"
    words.write_bytes("\ufeffLADYS\r\n70\r\n".encode())
    pairs.write_bytes(b"LADYS LADY'S\n70 -70%\n")
    assert read_lexicon(words) == Lexicon(("LADYS", "70"))
    assert read_lexicon(words, pairs) == Lexicon(("LADYS", "70"), {"LADYS": "LADY'S", "70": "-70%"})
    with pytest.raises(StrbenchError, match="no lexicon at"):
        read_lexicon(tmp_path / "none.txt")
    words.write_bytes("CAFÉ\n".encode("latin-1"))
    with pytest.raises(StrbenchError, match=r"weak\.txt is no UTF-8 text") as caught:
        read_lexicon(words)
    assert caught.value.exit_code == DATA


FILES = {
    "new_voc_img_1.txt": "LADYS\nALE\n",
    "pair_voc_img_1.txt": "LADYS LADY'S\nALE \ufeffALE\n",
    "voc_img_12.txt": "\ufeffGIN\r\n",
    "readme.txt": "nothing",
}


def test_a_lexicon_for_each_image(tmp_path: Path) -> None:
    expected = {
        "1": Lexicon(("LADYS", "ALE"), {"LADYS": "LADY'S", "ALE": "\ufeffALE"}),
        "12": Lexicon(("GIN",)),
    }
    folder = tmp_path / "strong"
    folder.mkdir()
    for name, content in FILES.items():
        (folder / name).write_text(content, "utf-8", newline="")
    assert read_strong(folder) == expected
    with zipfile.ZipFile(tmp_path / "strong.zip", "w") as bundle:
        for name, content in FILES.items():
            bundle.writestr("strong_lexicon/" + name, content)
    assert read_strong(tmp_path / "strong.zip") == expected
    assert read_strong(folder, words=r"(readme)\.txt") == {"readme": Lexicon(("nothing",))}
    (folder / "new_voc_img_12.txt").write_text("RUM\n")
    with pytest.raises(StrbenchError, match="two lexicons for image '12'"):
        read_strong(folder)
    with pytest.raises(StrbenchError, match="has no lexicon in it"):
        read_strong(folder, words="x(.)")
    with pytest.raises(StrbenchError, match="no lexicon at"):
        read_strong(tmp_path / "none")


def test_real_lists_of_ic15(shared: Path) -> None:
    folder = shared / "real" / "detection" / "ic15_test" / "Vocabularies"
    weak = read_lexicon(folder / "ch4_test_vocabulary.txt")
    assert (len(weak.words), weak.words[0]) == (1071, "ABUR")  # the file begins with a mark
    strong = read_strong(folder / "ch4_test_vocabularies_per_image.zip")
    assert set(strong) == {str(i) for i in range(1, 501)}
    assert {len(lexicon.words) for lexicon in strong.values()} == {100}
    assert strong["1"].words[:2] == ("ALD", "ALE")


def test_real_full_lists(shared: Path) -> None:
    annotations = shared / "real" / "annotations"
    lexicons = "Yuliang-Liu+VimTS/evaluation/lexicons"
    folder = annotations / "ctw1500" / lexicons / "ctw1500"
    words, pairs = folder / "ctw1500_lexicon.txt", folder / "ctw1500_pair_list.txt"
    lines = read_lexicon(words, pairs, cut="half")
    assert len(lines.words) == 2688
    assert lines.words.count("") == 1
    assert lines.nearest("hazard manufacturing c") == ("HAZARD MANUFACTURING CO", 1)
    with pytest.raises(StrbenchError, match="not in its pair list"):
        read_lexicon(words, pairs)
    folder = annotations / "totaltext" / lexicons / "totaltext"
    full = read_lexicon(folder / "tt_lexicon.txt", folder / "tt_pair_list.txt")
    assert (len(full.words), len({word.upper() for word in full.words})) == (2214, 1499)
    assert full.texts is not None
    # of a word in several spellings the last pair counts
    assert full.texts == parse_pairs((folder / "tt_pair_list.txt").read_text("utf-8"), cut="half")
    for text in ("KUNGFO", "franciscos", "4gers"):
        assert full.nearest(text) == reference(list(full.words), dict(full.texts), text)


def test_real_generic_list(shared: Path) -> None:
    folder = shared / "real" / "annotations" / "icdar2013" / "hikopensource+DAVAR-Lab-OCR"
    folder = folder / "demo" / "text_spotting" / "evaluation" / "lexicons" / "icdar2013"
    generic = read_lexicon(folder / "GenericVocabulary.txt")
    assert len(generic.words) == 87623  # the last line has no end
    pairs = {word.upper(): word for word in generic.words}
    for text in ("aachem", "recognitiom", "x7q", "ABACK"):
        assert generic.nearest(text) == reference(list(generic.words), pairs, text)
