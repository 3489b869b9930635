"""Near-duplicates: all pairs by hash, proved by pixels, and the report of `data overlap`."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from running import Run

from strbench.datasets import prepare
from strbench.errors import StrbenchError
from strbench.hamming import pairs_within
from strbench.overlap import correlation, find_overlap, hash_split
from strbench.overlap_page import to_html, to_tsv
from strbench.store import Split, find_split, split_directory, write_split
from strbench.types import Sample

WORDS = ("garden", "Street", "coffee", "EXIT", "Bakery", "1984", "Hotel", "museum", "TAXI", "river")


def word(text: str, seed: int = 0) -> Image.Image:
    """A word on a mottled ground."""
    ground = np.random.default_rng(seed).integers(90, 200, (4, 8, 3), dtype=np.uint8)
    image = Image.fromarray(ground).resize((120, 36), Image.Resampling.BICUBIC)
    ImageDraw.Draw(image).text((8, 4), text, (20, 20, 60), ImageFont.load_default(24))
    return image.filter(ImageFilter.GaussianBlur(0.6))


def encoded(image: Image.Image, quality: int = 0) -> bytes:
    buffer = io.BytesIO()
    if quality:
        image.save(buffer, "JPEG", quality=quality)
    else:
        image.save(buffer, "PNG")
    return buffer.getvalue()


def split(name: str, items: Iterable[tuple[str, bytes, str | None]]) -> Split:
    dataset, _, part = name.partition("/")
    samples = [Sample(id_, data, label) for id_, data, label in items]
    return write_split(
        split_directory(name), samples, dataset=dataset, split=part, labels="custom", replace=True
    )


@pytest.mark.parametrize("distance", [0, 1, 3, 4, 7, 8, 11, 15])
def test_every_pair_within_the_distance_is_found_once(distance: int) -> None:
    rng = np.random.default_rng(distance)
    seeds = rng.integers(0, 1 << 63, 40, dtype=np.uint64)

    def near(n: int) -> np.ndarray:
        values = seeds[rng.integers(0, len(seeds), n)]
        for k in range(n):
            for bit in rng.integers(0, 64, rng.integers(0, 12)):
                values[k] ^= np.uint64(1) << np.uint64(bit)
        return values

    a, b = near(200), near(300)
    found = [pair for i, j in pairs_within(a, b, distance) for pair in zip(i, j, strict=True)]
    apart = np.bitwise_count(a[:, None] ^ b[None])
    assert len(found) == len(set(found))
    assert set(found) == set(zip(*np.nonzero(apart <= distance), strict=True))


def test_no_numbers_have_no_pairs() -> None:
    none = np.empty(0, np.uint64)
    assert list(pairs_within(none, none, 8)) == []
    assert list(pairs_within(np.zeros(1, np.uint64), none, 8)) == []


def test_correlation_forgives_brightness_shading_and_a_shift_and_nothing_else() -> None:
    image = word("garden")
    pixels = np.asarray(image).astype(float)
    ramp = np.linspace(-40, 40, image.width)[None, :, None]
    shaded = Image.fromarray(np.clip(pixels * 0.6 + 50 + ramp, 0, 255).astype(np.uint8))
    assert correlation(image, image) == pytest.approx(1)
    assert correlation(image, shaded) > 0.98
    assert correlation(image, image.crop((1, 1, image.width, image.height))) > 0.9
    assert correlation(image, word("Street")) < 0.8
    assert correlation(image, Image.new("RGB", (50, 20), "white")) == 0


@pytest.fixture
def sets(home: Path) -> tuple[Split, Split]:
    """A training set that holds three of the ten words of the test set, changed, and blanks."""
    test = [(f"t{k}", encoded(word(text, k)), text) for k, text in enumerate(WORDS)]
    blank = encoded(Image.new("RGB", (40, 20), (200, 200, 200)))
    paler = encoded(Image.new("RGB", (40, 20), (210, 210, 210)))
    train = [
        ("jpeg", encoded(word(WORDS[2], 2), 50), "Coffee!"),
        ("small", encoded(word(WORDS[5], 5).resize((80, 24), Image.Resampling.BICUBIC)), "1984"),
        ("same", encoded(word(WORDS[7], 7)), "musuem"),
        ("other", encoded(word("nothing", 40)), "nothing"),
        ("blank", blank, "x"),
        ("paler", paler, "y"),
    ]
    return (
        split("mine/train", train),
        split("mine/test", [*test, ("blank", blank, "x"), ("b2", paler, None)]),
    )


def test_changed_copies_are_found_and_blanks_meet_by_pixels_only(sets: tuple[Split, Split]) -> None:
    result = find_overlap(*sets)
    test, train = sets[1].ids, sets[0].ids
    assert {(test[m.test], train[m.train]) for m in result.matches} == {
        ("t2", "jpeg"),
        ("t5", "small"),
        ("t7", "same"),
        ("blank", "blank"),
        ("b2", "paler"),
    }
    assert result.found() == 5
    assert result.identical() == 3
    assert result.labels_agree() == (3, 4)  # "musuem" disagrees, b2 has no label
    assert (result.blank_train, result.blank_test) == (2, 2)
    assert result.controls["JPEG, quality 50"] == 1.0
    assert result.controls["a tenth cut off on each side"] < 0.5


def test_a_split_is_searched_for_its_own_repeats(home: Path) -> None:
    again = encoded(word("Hotel", 6), 60)
    items = [(f"t{k}", encoded(word(text, k)), text) for k, text in enumerate(WORDS)]
    own = split("mine/train", [*items, ("again", again, "Hotel")])
    result = find_overlap(own, own)
    assert [(own.ids[m.test], own.ids[m.train]) for m in result.matches] == [("t6", "again")]
    assert result.found() == 2


def test_the_same_pattern_in_other_colours_is_a_look_alike(home: Path) -> None:
    swapped = Image.merge("RGB", word("EXIT").split()[::-1])
    tinted = Image.blend(swapped, Image.new("RGB", swapped.size, (255, 120, 0)), 0.4)
    train = split("mine/train", [("tinted", encoded(tinted), "EXIT")])
    test = split("mine/test", [("t", encoded(word("EXIT")), "EXIT")])
    result = find_overlap(train, test)
    assert (result.found(), result.look_alikes) == (0, 1)
    assert result.refused[0].correlation > 0.9
    assert result.refused[0].colour > 16


def test_a_crowd_of_equal_images_is_cut_short_and_told(home: Path) -> None:
    data = encoded(word("EXIT"))
    train = split("mine/train", [(str(k), data, "EXIT") for k in range(130)])
    test = split("mine/test", [("t", encoded(word("EXIT"), 50), "EXIT")])
    result = find_overlap(train, test)
    assert len(result.matches) == 100
    assert result.crowded == 1
    assert find_overlap(train, train).found() == 130


def test_hashes_are_kept_and_go_with_the_split(sets: tuple[Split, Split]) -> None:
    train = sets[0]
    first = hash_split(train)
    assert (hash_split(train) == first).all()
    assert [path.name for path in train.directory.glob("hashes*")] == ["hashes-1.npy"]
    again = split("mine/train", [("new", encoded(word("new")), "new")])
    assert len(hash_split(again)) == 1


def test_a_distance_out_of_range_is_refused(sets: tuple[Split, Split]) -> None:
    with pytest.raises(StrbenchError, match="16 bits"):
        find_overlap(*sets, distance=16)


def test_the_page_shows_pairs_and_escapes_labels(home: Path) -> None:
    train = split("mine/train", [("a", encoded(word("EXIT"), 50), "<b>&")])
    test = split("mine/test", [("t", encoded(word("EXIT")), "EXIT\t1")])
    result = find_overlap(train, test)
    page = to_html(result)
    assert page.count("data:image/png;base64,") == 2
    assert "&lt;b&gt;&amp;" in page
    assert "<b>" not in page
    lines = to_tsv(result).splitlines()
    assert len(lines) == 2
    assert lines[1].split("\t")[:2] == ["t", "a"]
    assert lines[1].split("\t")[6:] == ["EXIT 1", "<b>&"]


def test_data_overlap_prints_and_writes(
    run: Run, sets: tuple[Split, Split], tmp_path: Path
) -> None:
    page, rows = tmp_path / "o.html", tmp_path / "o.tsv"
    outcome = run("data", "overlap", "mine/train", "mine/test", "--html", page, "--tsv", rows)
    assert outcome.code == 0, outcome.err
    assert "| ... found in mine/train | 5 |" in outcome.out
    assert "| JPEG, quality 50 | 100.0% |" in outcome.out
    assert outcome.last == f"written: {page}, {rows}"
    assert len(rows.read_text().splitlines()) == 6
    document = json.loads(run("data", "overlap", "mine/train", "mine/test", "--json").out)
    assert len(document["pairs"]) == 5
    assert document["distance"] == 10


def test_real_svt_is_found_whole_in_its_lmdb(home: Path, shared: Path) -> None:
    real = shared / "real"
    (words,) = prepare("svt/test", real / "recognition" / "svt_word_test")
    (lmdb,) = prepare("theirs/test", real / "recognition_lmdb" / "svt")
    result = find_overlap(lmdb, words)
    assert [(m.test, m.train) for m in result.matches] == [(i, i) for i in range(647)]
    assert result.identical() == 0  # JPEG in the one, PNG in the other
    assert result.labels_agree() == (640, 647)  # the relabelling changed seven words
    assert find_split("svt/test").n == 647
