"""Words by list: IAM, CVL, COCO-Text, ArT, and crops of CTW1500 and Total-Text."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from layouts import layouts, zipped

from strbench.annotations.curves import read_art_ids, read_ctw1500
from strbench.annotations.word_lists import (
    read_cocotext_words,
    read_iam_lines,
    read_iam_words,
    read_rwth_words,
)
from strbench.datasets import specs
from strbench.datasets.iam import CORRUPT
from strbench.datasets.tree import open_tree
from strbench.errors import StrbenchError
from strbench.loading import decode
from strbench.types import Sample

Files = dict[str, bytes]

IAM_ROW = "a01-000u-00-00 ok 154 408 768 27 51 AT A"


def files_of(split: str) -> Files:
    """The small official files that ``split`` is made of."""
    (build,) = [builder for (name, _), builder in layouts().items() if name == split]
    return dict(build().files)


def samples(split: str, folder: Path, files: Files) -> list[Sample] | None:
    """What the dataset reads from these files; None where they hold nothing of the split."""
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    (spec,) = [spec for spec in specs() if split in {s.name for s in spec.splits}]
    with open_tree([folder / name for name in files]) as tree:
        found = spec.parse(tree, split)
        return None if found is None else list(found)


def table(split: str, folder: Path, files: Files | None = None) -> list[tuple[object, ...]]:
    """Id, label and group of each sample."""
    found = samples(split, folder, files_of(split) if files is None else files)
    assert found is not None
    return [(s.id, s.label, s.group) for s in found]


# --- readers -------------------------------------------------------------------------------------


def test_a_row_of_iam_ends_with_a_text_that_may_hold_blanks() -> None:
    data = f"#--- words.txt ---\n{IAM_ROW}\nb01-009-03-11 err 1 2 3 4 5 NN M Ps \r\n".encode()
    first, second = read_iam_words(data, "words.txt")
    assert first == ("a01-000u-00-00", "A", True)
    assert second == ("b01-009-03-11", "M Ps", False)
    assert (first.line, second.line) == ("a01-000u-00", "b01-009-03")


def test_cocotext_loses_one_bar_on_either_side() -> None:
    rows = "1,|STOP|\r\n22,|a,|b|\n3,|||\nthe rest of a text\n4,bare\n5,||\n"
    words = [(word.id, word.text) for word in read_cocotext_words(rows.encode(), "gt.txt")]
    assert words == [("1", "STOP"), ("22", "a,|b"), ("3", "|"), ("4", "bare"), ("5", "")]


@pytest.mark.parametrize(
    ("read", "rows", "match"),
    [
        (
            read_iam_words,
            "a01-000u-00-00 ok 154 408 768 27 51 AT",
            "gt, line 1: expected a word id",
        ),
        (read_iam_words, IAM_ROW.replace("ok", "maybe"), "line 1: expected a word id, ok or err"),
        (read_iam_words, f"# x\n\n{IAM_ROW[4:]}", "gt, line 3: expected a word id"),
        (read_iam_words, f"{IAM_ROW}\n{IAM_ROW}", "gt: the word a01-000u-00-00 is listed twice"),
        (read_iam_lines, "a01-000u-00\na01-000u", "gt, line 2: expected a line id .* 'a01-000u'"),
        (read_rwth_words, "m03-013-01-00,189 on\nm03-013-01-01 the", "gt, line 2: expected"),
        (read_rwth_words, "m03-013-01-00,189 ", "gt, line 1: expected"),
        (read_rwth_words, "m03-013-01-00,١ on", "gt, line 1: expected"),
        (read_cocotext_words, "1,|a|\nx,|b|", r"gt, line 2: expected `NUMBER,|TEXT|`"),
        (read_cocotext_words, "1,|a|\n1,|b|", "gt: the word 1 is listed twice"),
        (read_cocotext_words, b"1,|a|\n2,|\xff|", "gt, line 2: not UTF-8"),
    ],
)
def test_a_bad_row_is_named(
    read: Callable[[bytes, str], object], rows: str | bytes, match: str
) -> None:
    with pytest.raises(StrbenchError, match=match) as caught:
        read(rows.encode() if isinstance(rows, str) else rows, "gt")
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    "read", [read_iam_words, read_iam_lines, read_rwth_words, read_cocotext_words]
)
@given(data=st.binary(max_size=60) | st.text("a01-,| \n#ok\u2028é", max_size=60).map(str.encode))
@example(data=b"\xef\xbb\xbf")
@example(data=b"1,|\x00|")
def test_any_bytes_are_read_or_refused(
    read: Callable[[bytes, str], list[object]], data: bytes
) -> None:
    try:
        count, fault = len(read(data, "gt")), "gt"
    except StrbenchError as error:
        count, fault = 0, error.message
    assert fault.startswith("gt")
    assert count <= data.count(b"\n") + 1


# --- the real lists ------------------------------------------------------------------------------


def test_the_rwth_partition_of_iam_has_its_published_size(shared: Path) -> None:
    root = shared / "real" / "annotations" / "iam"
    partition = root / "omni-us+research-seq2seq-HTR" / "RWTH_partition"
    words = {
        part: read_rwth_words(
            (partition / f"RWTH.iam_word_gt_final.{part}.thresh").read_bytes(), part
        )
        for part in ("train", "valid", "test")
    }
    assert {part: len(rows) for part, rows in words.items()} == {
        "train": 47_981,
        "valid": 7554,
        "test": 20_305,
    }
    every = [word for rows in words.values() for word in rows]
    assert len({word.id for word in every}) == len(every)
    assert sum(" " in word.text for word in every) == 25
    assert not {word.id for word in every} & CORRUPT

    lists = root / "jpuigcerver+Laia" / "egs" / "iam" / "data" / "part" / "lines"
    lines = {
        f"{folder}/{part}": set(read_iam_lines((lists / folder / f"{part}.lst").read_bytes(), part))
        for folder, parts in (("original", "tr va1 va2 te"), ("aachen", "tr va te"))
        for part in parts.split()
    }
    assert {key: len(ids) for key, ids in lines.items()} == {
        "original/tr": 6161,
        "original/va1": 900,
        "original/va2": 940,
        "original/te": 1861,
        "aachen/tr": 6161,
        "aachen/va": 966,
        "aachen/te": 2915,
    }
    counted = {key: sum(word.line in ids for word in every) for key, ids in lines.items()}
    assert [counted[f"original/{part}"] for part in ("tr", "te", "va1", "va2")] == [
        46_945,
        13_752,
        6445,
        7061,
    ]
    # the test words of the partition are those of the Aachen test lines, to the word
    assert {word.id for word in words["test"]} == {
        word.id for word in every if word.line in lines["aachen/te"]
    }


def test_art_shares_3053_photographs_with_two_other_sets(shared: Path) -> None:
    root = shared / "real" / "annotations"
    total = root / "totaltext/cs-chan+Total-Text-Dataset/Total_Text_ID_vs_ArT_ID.list"
    curved = root / "ctw1500/Yuliang-Liu+Curve-Text-Detector/CTW1500_ID_vs_ArT_ID.txt"
    lists = [set(read_art_ids(path.read_bytes(), path.name)) for path in (total, curved)]
    assert [len(names) for names in lists] == [1555, 1498]
    assert len(lists[0] | lists[1]) == 3053


def test_words_of_ctw1500_hold_no_blanks_and_lines_do(shared: Path) -> None:
    root = shared / "real/annotations/ctw1500/Yuliang-Liu+VimTS/evaluation"
    blanks: dict[str, tuple[int, int]] = {}
    for name in ("gt_ctw1500_word.zip", "gt_ctw1500.zip"):
        with ZipFile(root / name) as bundle:
            pages = [read_ctw1500(bundle.read(page), page) for page in bundle.namelist()]
        legible = [region.text or "" for page in pages for region in page if not region.ignored]
        blanks[name] = len(legible), sum(" " in text for text in legible)
    assert blanks == {"gt_ctw1500_word.zip": (4915, 0), "gt_ctw1500.zip": (2688, 1095)}


# --- splits --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("split", "form"),
    [
        ("iam/train", "a01-000u"),
        ("iam/val1", "d04-021"),
        ("iam/val2", "h07-025a"),
        ("iam/test", "m01-049"),
        ("iam_rwth/train", "a01-000u"),
        ("iam_rwth/val", "d04-021"),
        ("iam_rwth/test", "m01-049"),
    ],
)
def test_iam_leaves_out_wrong_segmentations_and_corrupt_images(
    split: str, form: str, tmp_path: Path
) -> None:
    assert table(split, tmp_path / "raw") == [
        (f"{form}-00-00", "A", form),
        (f"{form}-00-02", "M Ps", form),
        (f"{form}-00-03", ",", form),
    ]


def test_iam_names_a_word_without_an_image(tmp_path: Path) -> None:
    files = files_of("iam/test")
    del files["words.tgz"]
    with pytest.raises(StrbenchError, match=r"words\.txt: images that are missing \(3\)") as caught:
        samples("iam/test", tmp_path / "raw", files)
    assert caught.value.hint == "Bring words.tgz too."


def test_iam_needs_the_lists(tmp_path: Path) -> None:
    files = files_of("iam/test")
    del files["ascii.tgz"]
    assert samples("iam/test", tmp_path / "raw", files) is None
    assert samples("iam_rwth/test", tmp_path / "more", files) is None


@pytest.mark.parametrize(("split", "writer"), [("cvl/train", "0001"), ("cvl/test", "0053")])
def test_cvl_leaves_out_umlauts_and_words_without_a_text(
    split: str, writer: str, tmp_path: Path
) -> None:
    assert table(split, tmp_path / "raw") == [
        (f"{writer}-1-0-0-Imagine", "Imagine", f"{writer}-1"),
        (f"{writer}-1-0-1-well-known", "well-known", f"{writer}-1"),
    ]


def test_cvl_leaves_out_umlauts_of_an_archive_without_unicode_names(tmp_path: Path) -> None:
    words = {
        f"testset/words/0001/0001-6-0-{i}-{w}.tif": b"II*" for i, w in enumerate(("die", "f~r"))
    }
    packed = zipped(words).replace(b"f~r", b"f\xfcr")  # latin1, as older programs wrote it
    assert table("cvl/test", tmp_path / "raw", {"cvl-database-1-1.zip": packed}) == [
        ("0001-6-0-0-die", "die", "0001-6")
    ]


def test_cvl_refuses_a_name_that_says_nothing(tmp_path: Path) -> None:
    packed = zipped({"testset/words/0001/scan.tif": b"II*"})
    with pytest.raises(StrbenchError, match=r"scan\.tif: expected a name like 0053-1-0-0-Imagine"):
        samples("cvl/test", tmp_path / "raw", {"cvl.zip": packed})


def test_cocotext_takes_the_images_of_the_part(tmp_path: Path) -> None:
    train = samples("cocotext/train", tmp_path / "train", files_of("cocotext/train"))
    val = samples("cocotext_9896/test", tmp_path / "val", files_of("cocotext_9896/test"))
    assert train is not None
    assert val is not None
    assert [(s.id, s.label) for s in train] == [
        ("1000000", "STOP"),
        ("1000001", "a,b"),
        ("1000002", ""),
        ("1000003", "CAFÉ"),
    ]
    assert [(s.id, s.label) for s in val] == [
        ("1000000", "Slow"),
        ("1000001", "|"),
        ("1000002", "50%"),
    ]


def test_crops_of_cocotext_follow_parseq(tmp_path: Path) -> None:
    cut = samples("cocotext_v2/train", tmp_path / "raw", files_of("cocotext_v2/train"))
    assert cut is not None
    page = "COCO_train2014_000000000009"
    assert [(s.id, s.label, s.group) for s in cut] == [
        (f"{page}_0", "R&B", page),
        (f"{page}_5", "STOP", page),
    ]
    # x from 4.5 - 2 down to 2, 20 wide and a margin of 2 on either side; 9 high likewise
    assert [decode(s.image).shape for s in cut] == [(13, 24, 3)] * 2


ART = {
    "art/train": [("gt_0_0", "Stop"), ("gt_0_1", "止"), ("gt_3_0", "Go"), ("gt_4_0", "LocaL#3"),
                  ("gt_4_1", "a#c"), ("gt_7_0", "Far")],
    "art_latin/train": [("gt_0_0", "Stop"), ("gt_3_0", "Go"), ("gt_4_0", "LocaL#3"),
                        ("gt_7_0", "Far")],
    "art_clean/train": [("gt_4_0", "LocaL#3"), ("gt_7_0", "Far")],
}  # fmt: skip


@pytest.mark.parametrize("split", ART)
def test_art_has_three_training_sets(split: str, tmp_path: Path) -> None:
    expected = [(id_, label, id_[:4]) for id_, label in ART[split]]
    assert table(split, tmp_path / "raw") == expected


@pytest.mark.parametrize("name", ["Total_Text_ID_vs_ArT_ID.list", "CTW1500_ID_vs_ArT_ID.txt"])
def test_the_clean_set_of_art_needs_both_lists(name: str, tmp_path: Path) -> None:
    files = files_of("art_clean/train")
    del files[name]
    assert samples("art_clean/train", tmp_path / "raw", files) is None


@pytest.mark.parametrize(
    ("split", "first", "labels"),
    [
        ("ctw1500_words/test", "1001_0", ["BAR", "a,b"] * 3),
        ("totaltext_words/test", "img1_0", ["BAR", "O'NE"] * 3),
    ],
)
def test_words_are_cut_with_their_box(
    split: str, first: str, labels: list[str], tmp_path: Path
) -> None:
    cut = samples(split, tmp_path / "raw", files_of(split))
    assert cut is not None
    assert cut[0].id == first
    assert [sample.label for sample in cut] == labels
    assert {sample.group for sample in cut} == {sample.id[:-2] for sample in cut}
    assert decode(cut[0].image).shape == (10, 20, 3)


def test_lines_of_ctw1500_are_not_cut_as_words(tmp_path: Path) -> None:
    files = files_of("ctw1500_words/test")
    files["gt_ctw1500_word.zip"] = zipped(
        {f"000{i}.txt": "2,3,22,3,22,12,2,12,####since 1958\n" for i in (1001, 1002, 1003)}
    )
    with pytest.raises(
        StrbenchError, match="expected the words of 1001, found the line 'since 1958'"
    ):
        samples("ctw1500_words/test", tmp_path / "raw", files)
