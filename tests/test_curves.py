"""Total-Text, CTW1500 and SynthText: their own formats, their copies, and the real files."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from layouts import picture
from layouts.synthtext_det import boxes, cells, gt_mat
from scipy.io import savemat

from strbench import registry
from strbench.annotations.boxes import read_boxes
from strbench.annotations.curves import read_art_ids, read_ctw1500, read_ctw1500_xml, read_totaltext
from strbench.annotations.matlab import read_synthtext, read_totaltext_mat
from strbench.datasets import ctw1500_det, prepare, specs, totaltext_det
from strbench.datasets.tree import Tree, open_tree
from strbench.errors import StrbenchError
from strbench.regions import tally
from strbench.types import Region

BOX = "x: [[1 9 9 1]], y: [[2 2 5 5]], "
BOX_POINTS = ((1.0, 2.0), (9.0, 2.0), (9.0, 5.0), (1.0, 5.0))
GOOD = BOX + "ornt: [u'c'], transcriptions: [u'word']"


def record(text: str, orientation: str = "u'h'") -> bytes:
    return f"{BOX}ornt: [{orientation}], transcriptions: [{text}]\n".encode()


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("u'nauGHTY'", "nauGHTY"),
        ("'plain'", "plain"),
        ("u','", ","),
        ("u'Breakfast,Lunch'", "Breakfast,Lunch"),
        ('u"don\'t"', "don't"),
        ("u'don't'", "don't"),
        ("u'5\" pipe'", '5" pipe'),
        (r"u'it\'s \"x\"'", 'it\'s "x"'),
        (r"u'caf\xe9 \u2019 \U0001f600 \\n'", "café ’ 😀 \\n"),
        ("u'[[A]]'", "[[A]]"),
        ("u'x: [[1 2'", "x: [[1 2"),
        ("u'##'", "##"),
        ("u' spaced '", " spaced "),
        ("u'茶'", "茶"),
    ],
)
def test_transcriptions_are_kept(written: str, text: str) -> None:
    first, last = read_totaltext(record(written) + record("u'next'"), "poly_gt_img2.txt")
    assert first == Region(BOX_POINTS, text, tags={"orientation": "h"})
    assert last.text == "next"


@pytest.mark.parametrize(("written", "text"), [("u'#'", "#"), ("", None), ("u''", "")])
def test_what_has_no_text_is_ignored(written: str, text: str | None) -> None:
    assert read_totaltext(record(written, ""), "a.txt") == [Region(BOX_POINTS, text, ignored=True)]


def test_an_orientation_of_a_hash_is_ignored_whatever_the_text() -> None:
    expected = Region(BOX_POINTS, "word", ignored=True, tags={"orientation": "#"})
    assert read_totaltext(record("u'word'", "u'#'"), "a.txt") == [expected]


@pytest.mark.parametrize(
    "written",
    [
        "x: [[ 1  9\n   9 1]], y: [[2\n 2 5\n\t5]], ornt: [u'c'], transcriptions: [u'word']",
        "x: [[1 9 9 1]],\r\ny: [[2 2 5 5]],\r\n ornt: [u'c'],\r\n transcriptions:\r\n[u'word']\r\n\r\n",
        "x:[[1 9 9 1]],y:[[2 2 5 5]],ornt:[u'c'],transcriptions:[u'word']",
        "\n\n  x: [[1. 9. 9. 1.]] y: [[2.0 2 5 5 ]] ornt: [ 'c' ] transcriptions: [ 'word' ]  ",
        "\ufeffx: [[1 9 9 1]], y: [[2 2 5 5]], ornt: [u'c'], transcriptions: [u'word']",
    ],
)
def test_a_record_may_wrap_anywhere(written: str) -> None:
    expected = Region(BOX_POINTS, "word", tags={"orientation": "c"})
    assert read_totaltext(written.encode(), "a.txt") == [expected]
    assert read_totaltext(f"{written}\n{GOOD}".encode(), "a.txt") == [expected, expected]


def test_coordinates_may_be_negative_and_vertices_counter_clockwise() -> None:
    (region,) = read_totaltext(
        b"x: [[ -1 -1 9]], y: [[-2  5 5]], ornt: [u'm'], transcriptions: [u'a']", "a.txt"
    )
    assert region.polygon == ((9, 5), (-1, 5), (-1, -2))
    assert region.annotated == (-1, -2, -1, 5, 9, 5)


def test_an_ignored_region_may_have_one_vertex() -> None:
    row = "x: [[39]], y: [[292]], ornt: [u'm'], transcriptions: [u'{}']"
    assert read_totaltext(row.format("#").encode(), "a.txt")[0].polygon == ((39, 292),)
    with pytest.raises(StrbenchError, match=r"a\.txt, line 1: .*three or more vertices"):
        read_totaltext(row.format("word").encode(), "a.txt")


@pytest.mark.parametrize(
    ("bad", "what"),
    [
        (b"x: [[1 2 3]], y: [[1 2]], ornt: [], transcriptions: []", "3 x and 2 y"),
        (b"x: [[1 2 a]], y: [[1 2 3]], ornt: [], transcriptions: []", "coordinate, found 'a'"),
        (b"x: [[1 2 nan]], y: [[1 2 3]], ornt: [], transcriptions: []", "nan is no coordinate"),
        (b"x: [[1 2 3]], y: [[1 2 3]], ornt: []", "found 'x: "),
        (b"x: [[1 2 3]], y: [[1 2 3]], ornt: [], transcriptions: [u'a]", "found "),
        (b"x: [[1 2 3]], y: [[1 2 3]], ornt: [], transcriptions: [u'a'] b", "found "),
        (b"1,2,3,4,5,6,word", "found '1,2,3"),
        (f"{GOOD[:-2]}]\n{GOOD}".encode(), "found "),
        (rb"x: [[1 2 3]], y: [[1 3 3]], ornt: [], transcriptions: [u'\ud83d']", "surrogate"),
        (b"x: [[1 2 3]], y: [[1 2 3]], ornt: [], transcriptions: [u'\xe9']", "not UTF-8"),
    ],
)
def test_a_bad_record_is_named_by_its_line(bad: bytes, what: str) -> None:
    good = b"\nx: [[1 9\n 9]], y: [[2 2 5]], ornt: [u'c'], transcriptions: [u'word']\n"
    with pytest.raises(StrbenchError, match=r"a\.txt, line 4: ") as caught:
        read_totaltext(good + bad, "a.txt")
    assert what in caught.value.message


# 14 vertices, the lower edge first, as CTW1500 has them
LINE = [v for x in range(2, 44, 6) for v in (x, 20)] + [v for x in range(38, 0, -6) for v in (x, 8)]
CLOCKWISE = tuple(zip(LINE[::2], LINE[1::2], strict=True))[::-1]


def joined(numbers: list[int]) -> str:
    return ",".join(map(str, numbers))


@pytest.mark.parametrize(
    ("tail", "text", "ignored"),
    [
        (",####Tea, please, 3,4", "Tea, please, 3,4", False),
        (",####", "", False),
        (",####12", "12", False),
        (",#######", "###", True),
        (",CARE", None, False),
        (",###", "###", True),
        (",DO NOT CARE", "DO NOT CARE", False),
        (",1,5", "1,5", False),
    ],
)
def test_test_lines_of_ctw1500(tail: str, text: str | None, ignored: bool) -> None:
    (region,) = read_ctw1500((joined(LINE) + tail + "\r\n").encode(), "1001.txt")
    assert region == Region(CLOCKWISE, text, ignored, tuple(map(float, LINE)))


@pytest.mark.parametrize("end", ["", ",", " , "])
def test_the_first_version_of_ctw1500_is_offsets(end: str) -> None:
    row = [2, 8, 38, 20] + [v - (2, 8)[i % 2] for i, v in enumerate(LINE)]
    regions = read_ctw1500(f"{joined(row)}\n{joined(row)}{end}\n".encode(), "1001.txt")
    assert regions == [Region(CLOCKWISE, None, False, tuple(map(float, row)))] * 2


def test_words_of_ctw1500_have_any_number_of_vertices() -> None:
    sixteen = [v for x in range(8) for v in (x, 1)] + [v for x in range(7, -1, -1) for v in (x, 5)]
    data = f"1,2,9,2,9,5,1,5,####1958\n{joined(sixteen)},####TN,\n1,2,9,2,9,5,#######\n"
    regions = read_ctw1500(data.encode(), "0001001.txt")
    assert [len(region.polygon) for region in regions] == [4, 16, 3]
    assert [region.text for region in regions] == ["1958", "TN,", "###"]
    assert [region.ignored for region in regions] == [False, False, True]


@pytest.mark.parametrize("row", ["1,2,3", f"{joined(LINE)}", f"{joined(LINE[:-1])},x,CARE"])
def test_bad_rows_of_ctw1500_are_named(row: str) -> None:
    with pytest.raises(StrbenchError, match=r"1001\.txt, line 2: "):
        read_ctw1500(f"{joined(LINE)},CARE\n{row}\n".encode(), "1001.txt")


def test_training_xml_of_ctw1500() -> None:
    box = "<box><label>{}</label><segs>{}</segs></box>"
    data = "<Annotations><image file='0001.jpg'>{}{}{}</image></Annotations>".format(
        box.format("Tea &amp; Co.", joined(LINE)),
        box.format("###", joined(LINE) + ",\n"),
        f"<box><segs>{joined(LINE)}</segs></box>",
    )
    regions = read_ctw1500_xml(data.encode(), "0001.xml")
    assert [(r.text, r.ignored) for r in regions] == [
        ("Tea & Co.", False),
        ("###", True),
        ("", False),
    ]
    assert {r.polygon for r in regions} == {CLOCKWISE}
    long = data.replace("</segs></box></image>", ",9</segs></box></image>")
    with pytest.raises(StrbenchError, match=r"0001\.xml, box 3: expected 28 .* found 29"):
        read_ctw1500_xml(long.encode(), "0001.xml")
    with pytest.raises(StrbenchError, match=r"0001\.xml: not the XML of CTW1500"):
        read_ctw1500_xml(data[:-9].encode(), "0001.xml")


def test_art_ids_of_both_lists() -> None:
    assert read_art_ids(b"gt_0\ngt_8\r\n\n", "a.txt") == {"gt_0": "", "gt_8": ""}
    paired = b"poly_gt_img883.txt gt_3.txt\npoly_gt_img12.txt gt_6.txt"
    assert read_art_ids(paired, "a.list") == {"gt_3": "img883", "gt_6": "img12"}
    with pytest.raises(StrbenchError, match=r"a\.txt, line 2: gt_0 occurs twice"):
        read_art_ids(b"gt_0\ngt_0", "a.txt")
    with pytest.raises(StrbenchError, match=r"a\.txt, line 1: expected gt_N, .* found '1001'"):
        read_art_ids(b"1001", "a.txt")


Row = tuple[list[float], list[float], object, object]


def mat(*rows: Row, name: str = "polygt", columns: int = 6) -> bytes:
    table = np.empty((len(rows), columns), object)
    for i, (xs, ys, text, orientation) in enumerate(rows):
        table[i, :6] = ["x:", np.int16([xs]), "y:", np.int16([ys]), text, orientation]
        table[i, 6:] = 0
    buffer = io.BytesIO()
    savemat(buffer, {name: table})
    return buffer.getvalue()


@pytest.mark.parametrize("name", ["polygt", "gt"])
def test_totaltext_in_matlab(name: str) -> None:
    nothing = np.zeros((0, 0))
    triangle = ([1.0, 9.0, 9.0], [2.0, 2.0, 5.0])
    data = mat(
        ([1, 9, 9, 1], [2, 2, 5, 5], "naïve,", "c"),
        (*triangle, "#", "#"),
        (*triangle, nothing, nothing),
        ([4.0], [5.0], "#", "#"),
        name=name,
    )
    regions = read_totaltext_mat(data, "poly_gt_img1.mat")
    assert regions[0] == Region(BOX_POINTS, "naïve,", tags={"orientation": "c"})
    assert [(r.text, r.ignored, len(r.polygon)) for r in regions[1:]] == [
        ("#", True, 3),
        (None, True, 3),
        ("#", True, 1),
    ]
    (alone,) = read_totaltext_mat(mat((*triangle, "one", "h"), name=name), "a.mat")
    assert alone.text == "one"


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (mat(([1, 2], [1], "a", "c")), "row 1: expected as many y as x"),
        (mat(([1, 2], [1, 2], "a", "c")), "row 1: .*three or more vertices"),
        (mat(([1, 2, 3], [1, 2, 4], 7, "c")), "row 1: expected a text, found numbers"),
        (mat(([1, 2, 3], [1, 2, 4], "a", "c"), columns=8), r"6 columns, found polygt .*\(1, 8\)"),
        (mat(([1, 2, 3], [1, 2, 4], "a", "c"), name="boxes"), "expected polygt or gt"),
        (b"MATLAB", "not a readable MATLAB 5 file"),
    ],
)
def test_bad_matlab_files_are_named(data: bytes, what: str) -> None:
    with pytest.raises(StrbenchError, match=rf"a\.mat.*{what}"):
        read_totaltext_mat(data, "a.mat")


def synthtext(path: Path, **changed: object) -> Path:
    arrays = {
        "imnames": cells(["8/a_0.jpg"]),
        "wordBB": cells([boxes(2)]),
        "charBB": cells([boxes(3)]),
        "txt": cells([np.array(["I am"])]),
    }
    savemat(path, arrays | changed)
    return path


def test_synthtext_words_have_their_characters(tmp_path: Path) -> None:
    path = tmp_path / "gt.mat"
    path.write_bytes(gt_mat())
    pictures = dict(read_synthtext(path))
    assert list(pictures) == ["8/ballet_106_0.jpg", "8/ballet_106_1.jpg", "67/fruits_129_0.jpg"]
    two, one, unclear = pictures.values()
    assert [(r.text, len(r.characters)) for r in two] == [("the", 3), ("to", 2)]
    assert two[1].polygon == ((5.5, 6), (13, 6), (13, 11), (5.5, 11))
    assert two[1].characters[0] == ((11.5, 12), (19, 12), (19, 17), (11.5, 17))
    assert [(r.text, len(r.characters)) for r in one] == [("a;", 2)]
    assert one[0].polygon == ((2.5, 3), (10, 3), (10, 8), (2.5, 8))
    assert [(r.text, r.ignored, r.characters) for r in unclear] == [(None, False, ())] * 3


def test_synthtext_signs_that_do_not_match_are_left_out(tmp_path: Path) -> None:
    path = synthtext(tmp_path / "gt.mat", charBB=cells([boxes(4)]))
    ((_, regions),) = read_synthtext(path)
    assert [(r.text, r.characters) for r in regions] == [("I", ()), ("am", ())]


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"txt": cells(["a", "b"])}, "of one length, found .*txt of 2"),
        ({"wordBB": cells([np.zeros((2, 3))])}, r"8/a_0\.jpg.*shape \(2, 4, n\), found .*\(2, 3\)"),
        ({"charBB": cells(["a"])}, "found text"),
        ({"wordBB": cells([np.full((2, 4), np.nan)])}, "nan is no coordinate"),
        ({"txt": cells([np.zeros((1, 1))])}, "a file name and lines of text"),
        ({"imnames": cells([np.zeros((1, 1))])}, "expected a text"),
    ],
)
def test_bad_synthtext_is_named(tmp_path: Path, changed: dict[str, object], what: str) -> None:
    with pytest.raises(StrbenchError, match=rf"gt\.mat.*{what}"):
        list(read_synthtext(synthtext(tmp_path / "gt.mat", **changed)))


READERS: dict[str, tuple[Callable[[bytes, str], object], bytes]] = {
    "totaltext": (read_totaltext, f"{GOOD}\n{GOOD}".encode()),
    "ctw1500": (read_ctw1500, f"{joined(LINE)},####a\n{joined(LINE)},#######\n".encode()),
    "art": (read_art_ids, b"poly_gt_img883.txt gt_3.txt\n"),
    "mat": (read_totaltext_mat, mat(([1, 2, 3], [1, 2, 4], "a", "c"))),
}


def refusal(read: Callable[[bytes, str], object], data: bytes) -> str:
    """What the reader says against a file called "file"; its name if nothing."""
    try:
        read(data, "file")
    except StrbenchError as error:
        return error.message
    return "file"


@pytest.mark.parametrize("name", READERS)
@given(data=st.data())
def test_any_bytes_are_read_or_refused(name: str, data: st.DataObject) -> None:
    read, good = READERS[name]
    start = data.draw(st.integers(0, len(good)))
    end = data.draw(st.integers(start, min(start + 8, len(good))))
    mutated = good[:start] + data.draw(st.binary(max_size=8)) + good[end:]
    assert "file" in refusal(read, mutated)


# The real files: what SPEC says of each copy is what a reader counts in it.

COPIES = {
    "totaltext/clovaai+CLEval/resources/gt/gt_TotalText.zip": ("totaltext_det/test", "cleval"),
    "totaltext/Yuliang-Liu+VimTS/evaluation/gt_totaltext.zip": ("totaltext_det/test", "adelaidet"),
    "totaltext/hikopensource+DAVAR-Lab-OCR/demo/text_spotting/evaluation/gts/total-text-gt.zip": (
        "totaltext_det/test",
        "davar",
    ),
    "totaltext/Yuliang-Liu+TIoU-metric/curved-tiou/total-text-gt.zip": (
        "totaltext_det/test",
        "tiou",
    ),
    "totaltext/MhLiao+MaskTextSpotterV3/evaluation/totaltext/gt.zip": (
        "totaltext_det/test",
        "masktextspotter",
    ),
    "ctw1500/Yuliang-Liu+VimTS/evaluation/gt_ctw1500.zip": ("ctw1500_det/test", "texts"),
    "ctw1500/Yuliang-Liu+VimTS/evaluation/gt_ctw1500_word.zip": ("ctw1500_words_det/test", "vimts"),
    "ctw1500/Yuliang-Liu+TIoU-metric/curved-tiou/ctw1500-gt.zip": ("ctw1500_det/test", "first"),
    "ctw1500/hikopensource+DAVAR-Lab-OCR/demo/text_detection/evaluation/gt/gt_ctw1500_det.zip": (
        "ctw1500_det/test",
        "detection",
    ),
    "ctw1500/hikopensource+DAVAR-Lab-OCR/demo/text_detection/evaluation/gt/"
    "gt_ctw1500_det_with_ignore.zip": ("ctw1500_det/test", "texts"),
}


def real(shared: Path, pattern: str) -> list[tuple[str, bytes]]:
    with zipfile.ZipFile(shared / "real" / "annotations" / pattern) as bundle:
        return [(name, bundle.read(name)) for name in bundle.namelist()]


@pytest.mark.parametrize("copy", COPIES)
def test_real_copies_have_the_counts_of_their_variant(shared: Path, copy: str) -> None:
    name, variant = COPIES[copy]
    split = next(s for spec in specs() for s in spec.splits if s.name == name)
    read = partial(read_boxes, layout="polygon") if "totaltext" in name else read_ctw1500
    files = real(shared, copy)
    counts = tally(region for name, data in files for region in read(data, name))
    assert len(files) == split.n
    assert {k: counts[k] for k in ("regions", "ignored")} == split.counts[variant]


def test_real_ctw1500_runs_along_the_lower_edge_first(shared: Path) -> None:
    files = real(shared, "ctw1500/Yuliang-Liu+VimTS/evaluation/gt_ctw1500.zip")
    regions = [region for name, data in files for region in read_ctw1500(data, name)]
    assert all(region.annotated for region in regions)
    assert sum("," in (region.text or "") for region in regions) == 23
    assert "These premises,entered from" in {region.text for region in regions}


def imported(
    spec_parse: Callable[..., object], split: str, folder: Path
) -> dict[str, list[Region]]:
    with open_tree([folder]) as tree:
        samples = spec_parse(tree, split)
        return {sample.id: list(sample.regions) for sample in samples}  # type: ignore[attr-defined]


def unpack(files: list[tuple[str, bytes]], folder: Path, images: list[str]) -> Path:
    for name, data in files:
        (folder / "gt" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "gt" / name).write_bytes(data)
    (folder / "Images" / "Test").mkdir(parents=True)
    for image in images:
        (folder / "Images" / "Test" / image).write_bytes(b"x")
    return folder


def test_real_renumbered_files_go_to_the_right_photographs(shared: Path, tmp_path: Path) -> None:
    """AdelaiDet's and CLEval's copies agree on every photograph but for a few regions."""
    plain = real(shared, "totaltext/clovaai+CLEval/resources/gt/gt_TotalText.zip")
    numbered = real(shared, "totaltext/Yuliang-Liu+VimTS/evaluation/gt_totaltext.zip")
    images = [name[3:-4] + ".jpg" for name, _ in plain]
    read = partial(imported, totaltext_det.parse, "totaltext_det/test")
    ours = read(unpack(numbered, tmp_path / "a", images))
    theirs = read(unpack(plain, tmp_path / "b", images))
    assert ours.keys() == theirs.keys()
    for key, regions in ours.items():
        shapes = {frozenset(region.polygon) for region in theirs[key]}
        assert sum(frozenset(region.polygon) in shapes for region in regions) >= len(regions) - 3


def test_real_matlab_and_text_agree(shared: Path) -> None:
    folder = shared / "real" / "annotations" / "totaltext"
    files = sorted(folder.rglob("poly_gt_img*.mat"))
    assert len(files) == 5
    with zipfile.ZipFile(folder / "clovaai+CLEval/resources/gt/gt_TotalText.zip") as bundle:
        for file in files:
            regions = read_totaltext_mat(file.read_bytes(), file.name)
            copy = bundle.read(file.name.removeprefix("poly_").replace(".mat", ".txt"))
            rows = read_boxes(copy, file.name, layout="polygon")
            assert [r.polygon for r in regions] == [r.polygon for r in rows]
            assert [r.ignored for r in regions] == [r.ignored for r in rows]
            assert [r.text for r in regions if not r.ignored] == [
                r.text for r in rows if not r.ignored
            ]


def test_real_art_ids(shared: Path) -> None:
    folder = shared / "real" / "annotations"
    (ours,) = folder.rglob("Total_Text_ID_vs_ArT_ID.list")
    (theirs,) = folder.rglob("CTW1500_ID_vs_ArT_ID.txt")
    total = read_art_ids(ours.read_bytes(), ours.name)
    ctw = read_art_ids(theirs.read_bytes(), theirs.name)
    assert (len(total), len(set(total.values())), len(ctw)) == (1555, 1555, 1498)
    assert not total.keys() & ctw.keys()


def test_real_lexicons(shared: Path) -> None:
    tree = Tree.of(shared / "real" / "annotations" / "totaltext")
    words = totaltext_det.lexicons(tree, "totaltext_det/test")
    assert {name: len(lists["*"]) for name, lists in words.items()} == {"full": 1500, "words": 2214}
    tree = Tree.of(shared / "real" / "annotations" / "ctw1500")
    lines = ctw1500_det.lexicons(tree, "ctw1500_det/test")
    assert len(lines["full"]["*"]) == 2687  # of 2,688 lines one is empty, as one text is


def test_another_variant_than_the_one_asked_for_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [("gt_img1.txt", b"1,2,9,2,9,5,word\n")]
    folder = unpack(files, tmp_path / "tt", ["img1.jpg"])
    (folder / "Images" / "Test" / "img1.jpg").write_bytes(picture(1, kind="JPEG"))
    split = replace(
        totaltext_det.SPEC.split("totaltext_det/test"), n=1, counts={"davar": {"regions": 1}}
    )
    spec = replace(totaltext_det.SPEC, splits=(split,))
    monkeypatch.setattr(registry, "load", lambda kind, name: spec)
    with pytest.raises(StrbenchError, match=r"the labels 'tiou' .* found 'davar'"):
        prepare(split.name, folder, labels="tiou", root=tmp_path / "data")
    (made,) = prepare(split.name, folder, labels="davar", root=tmp_path / "data")
    assert made.manifest.labels == "davar"
