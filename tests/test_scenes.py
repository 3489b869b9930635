"""Photographs of the competitions, of SVT and of MSRA-TD500: formats, datasets, real files."""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from layouts import picture, tarred
from layouts.scenes import LAYOUTS

from strbench import registry
from strbench.annotations.competition import read_crops, read_lsvt
from strbench.annotations.markup import read_tagset
from strbench.annotations.turned import read_turned
from strbench.datasets import art_det, ic13_det, prepare, svt_det
from strbench.datasets.joining import join_pages
from strbench.datasets.tree import Tree, open_tree
from strbench.errors import StrbenchError
from strbench.regions import regions_to_json
from strbench.store import Split
from strbench.types import Region

BOX: tuple[tuple[float, float], ...] = ((4, 4), (40, 6), (40, 20))


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


def _word(**fields: object) -> dict[str, object]:
    return {"transcription": "EXIT", "points": [list(p) for p in BOX], **fields}


# --- LSVT and ArT -------------------------------------------------------------------------------


def test_lsvt_ignores_what_is_marked_or_hidden_and_keeps_the_mark() -> None:
    rows = [_word(), _word(illegibility=True), _word(transcription="###", language="Chinese")]
    pages = read_lsvt(_json({"gt_1": rows, "gt_0": []}), "f")
    assert list(pages.items()) == [
        (
            "gt_1",
            (
                Region(BOX, "EXIT", tags={"legibility": "legible"}),
                Region(BOX, "EXIT", True, tags={"legibility": "illegible"}),
                Region(BOX, "###", True, tags={"legibility": "legible", "language": "Chinese"}),
            ),
        ),
        ("gt_0", ()),
    ]


def test_art_crops_are_words_without_a_polygon() -> None:
    entry = {"transcription": "EXIT", "language": "Latin", "illegibility": False}
    assert read_crops(_json({"gt_2836_0": [entry]}), "f") == {
        "gt_2836_0": Region((), "EXIT", tags={"legibility": "legible", "language": "Latin"})
    }


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b'{"gt_0": [], "gt_0": []}', "'gt_0' is named twice"),
        (b'{"gt_0": ', "f: not JSON"),
        (b"[" * 100_000, "f: not JSON"),
        (b"[]", "expected an object"),
        (_json({"gt_0": {}}), "'gt_0': expected a list"),
        (_json({"gt_0": [_word(), 7]}), "f, gt_0, entry 2: expected an object"),
        (_json({"gt_0": [_word(illegibility="no")]}), "illegibility 'no'"),
        (_json({"gt_0": [_word(points=[[1, 2, 3]])]}), "expected points"),
        (_json({"gt_0": [_word(points=[[1, 2], [3, 4]])]}), "three or more vertices"),
        (b'{"gt_0": [{"transcription": "a", "points": [[NaN, 1]]}]}', "no coordinate"),
        (b'{"gt_0": [{"transcription": "\\ud800"}]}', "expected an object"),
    ],
)
def test_lsvt_faults_name_photograph_and_entry(data: bytes, told: str) -> None:
    with pytest.raises(StrbenchError, match=told.replace("[", "\\[")):
        read_lsvt(data, "f")


def test_a_crop_has_exactly_one_text() -> None:
    with pytest.raises(StrbenchError, match="gt_1_0: expected one text for a crop, found 2"):
        read_crops(_json({"gt_1_0": [_word(), _word()]}), "f")


# --- MSRA-TD500 ---------------------------------------------------------------------------------


def _rotated(x: float, y: float, w: float, h: float, theta: float) -> list[complex]:
    """The corners by complex numbers: y points down, so a positive angle turns clockwise."""
    centre = complex(x + w / 2, y + h / 2)
    turn = complex(math.cos(theta), math.sin(theta))
    return [centre + complex(a * w / 2, b * h / 2) * turn
            for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))]  # fmt: skip


def test_td500_boxes_turn_clockwise_about_their_centre() -> None:
    (region, hard) = read_turned(b"0 0 749 860 47 105 -0.048040\r\n1 1 7 9 4 2 1.57\r\n \r\n", "f")
    corners = [complex(*point) for point in region.polygon]
    expected = _rotated(749, 860, 47, 105, -0.04804)
    assert corners == pytest.approx(expected)
    assert corners[1].imag < corners[0].imag, "a negative angle lifts the right end"
    assert region == Region(region.polygon, annotated=(749, 860, 47, 105, -0.04804))
    assert (hard.ignored, hard.text) == (True, None)


def test_textbpn_rows_hold_the_same_boxes_by_their_corners() -> None:
    own = read_turned(b"0 0 301 302 43 673 0.05384\n1 1 793 225 56 699 -0.005731", "f")
    copy = read_turned(b"301,302,344,975,0.05384,None\n793,225,849,924,-0.005731,###", "f")
    assert [r.polygon for r in copy] == [r.polygon for r in own]
    assert [(r.text, r.ignored) for r in copy] == [(None, False), ("###", True)]


def test_tr400_rows_carry_a_text_of_any_encoding() -> None:
    regions = read_turned(b"0 0 1 2 30 4 0 \xc4\xe3 shop 7\n1 0 1 2 30 4 0 exit a\n", "f")
    assert [r.text for r in regions] == ["\ufffd\ufffd shop 7", "exit a"]


@pytest.mark.parametrize(
    "row", ["0 0 1 2 3 4", "0 2 1 2 3 4 0.1", "0 0 1 2 x 4 0.1", "0 0 1 2 3 4 nan", "1,2,3,4,5"]
)
def test_td500_faults_name_the_line(row: str) -> None:
    with pytest.raises(StrbenchError, match=r"IMG_1\.gt, line 2"):
        read_turned(f"0 0 1 2 3 4 0.1\n{row}\n".encode(), "IMG_1.gt")


# --- XML tagsets --------------------------------------------------------------------------------


def test_tagsets_hold_rectangles_or_polygons() -> None:
    xml = (
        "<tagset><image><imageName> a/1.jpg </imageName><lex>A, B,</lex><taggedRectangles>"
        '<taggedRectangle x="1.5" y="-2" width="10" height="4" offset="6.0"><tag>A</tag>'
        '</taggedRectangle><taggedRectangle x="0" y="0" width="1" height="1"/>'
        "</taggedRectangles></image><Image><ImageName>2.jpg</ImageName>"
        '<PolygonPoints x="4 40 40" y="4 6 20">test</PolygonPoints></Image></tagset>'
    )
    first, second = read_tagset(xml.encode(), "f")
    assert (first.name, first.lexicon) == ("a/1.jpg", ("A", "B"))
    assert first.regions[0] == Region(
        ((1.5, -2), (11.5, -2), (11.5, 2), (1.5, 2)),
        "A",
        annotated=(1.5, -2, 10, 4),
        tags={"offset": "6.0"},
    )
    assert first.regions[1].text is None
    assert second.regions == (Region(BOX, "test"),)


@pytest.mark.parametrize(
    ("xml", "told"),
    [
        ("<tagset>", "not readable XML"),
        ('<?xml version="1.0" encoding="none-such"?><tagset/>', "not readable XML"),
        ("<html/>", "expected a tagset"),
        ("<tagset><image/></tagset>", "image 1"),
        ("<tagset>" + "<image><imageName>a</imageName></image>" * 2 + "</tagset>", "image 2"),
        (
            "<tagset><image><imageName>a</imageName><taggedRectangle x='1'/></image></tagset>",
            r"image 1 \(a\), region 1: expected the attributes .* found no y",
        ),
        (
            "<tagset><Image><ImageName>a</ImageName><PolygonPoints x='1 2' y='1'/></Image></tagset>",
            "as many x as y",
        ),
    ],
)
def test_tagset_faults_name_image_and_region(xml: str, told: str) -> None:
    with pytest.raises(StrbenchError, match=told):
        read_tagset(xml.encode(), "f")


# --- any bytes ----------------------------------------------------------------------------------

_PIECES = st.sampled_from(
    [b'{"gt_0":', b"[", b"]", b"}", b'{"transcription":"\\ud800",', b'"points":[[1,2],[3,4],[5,6]]}',
     b"<tagset>", b"</tagset>", b"<image><imageName>a</imageName>", b"</image>", b"\xff", b"\n",
     b"<taggedRectangle x='1' y='1e999' width='2' height='-2'/>", b"0 0 1 2 3 4 0.1", b"1e7 ",
     b"1,2,3,4,5,", b"None", b"###", b"<PolygonPoints x='1 2 3' y='1 2 3'>&#233;</PolygonPoints>"]
)  # fmt: skip


@given(st.one_of(st.binary(max_size=60), st.lists(_PIECES, max_size=8).map(b"".join)))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    readers: list[Callable[[bytes, str], object]] = [read_turned, ic13_det.read_truth]
    for read in readers:
        try:
            regions = read(data, "f")
        except StrbenchError:
            continue
        regions_to_json(regions)  # type: ignore[arg-type]
    for whole in (read_lsvt, read_crops, read_tagset):
        try:
            found = whole(data, "f")
        except StrbenchError:
            continue
        pages = found.values() if isinstance(found, Mapping) else [m.regions for m in found]
        for page in pages:
            regions_to_json([page] if isinstance(page, Region) else page)


# --- photographs with one file about all of them ------------------------------------------------


def _tree(folder: Path, *names: str) -> Tree:
    for i, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(picture(i))
    return Tree.of(folder)


TWO = {"gt_0": (Region(BOX),), "gt_1": ()}


def test_photographs_of_the_other_part_are_left_alone(tmp_path: Path) -> None:
    tree = _tree(tmp_path, "test/gt_0.jpg", "train_0/gt_0.jpg", "train_1/gt_1.jpg", "test/gt_7.jpg")
    samples = list(join_pages(tree, TWO, "f", part="train"))
    assert [(s.id, s.regions) for s in samples] == [("gt_0", (Region(BOX),)), ("gt_1", ())]
    assert samples[0].image == picture(1)


def test_one_photograph_in_two_folders_is_an_error(tmp_path: Path) -> None:
    tree = _tree(tmp_path, "a/gt_0.jpg", "b/gt_0.jpg", "b/gt_1.jpg")
    with pytest.raises(StrbenchError, match=r"a/gt_0\.jpg and b/gt_0\.jpg"):
        list(join_pages(tree, TWO, "f", part="train"))


def test_a_missing_photograph_is_an_error_in_folders_and_archives(tmp_path: Path) -> None:
    with pytest.raises(StrbenchError, match=r"missing \(1\): gt_1"):
        next(join_pages(_tree(tmp_path, "gt_0.jpg"), TWO, "f", part="train"))
    archive = tmp_path / "images.tar.gz"
    archive.write_bytes(tarred({"gt_0.jpg": picture(1), "gt_0.txt": b"", "gt_5.jpg": picture(2)}))
    with open_tree([archive], streamed=[archive.name]) as tree:
        samples = join_pages(tree, TWO, "f", part="train", streamed=[archive.name])
        assert next(samples).id == "gt_0"
        with pytest.raises(StrbenchError, match=r"missing \(1\): gt_1"):
            next(samples)


# --- datasets, from small official layouts ------------------------------------------------------


def _imported(split: str, folder: Path, spec_n: int, monkeypatch: pytest.MonkeyPatch) -> Split:
    """A split made from the layout of its first source, with the counts of the layout."""
    layout = next(build for (name, _), build in LAYOUTS.items() if name == split)()
    for name, content in layout.files.items():
        (folder / name).write_bytes(content)
    real = registry.load
    id_ = split.partition("/")[0]
    spec = real("datasets", id_)
    own = replace(spec.split(split), n=spec_n, counts={spec.split(split).labels[0]: layout.counts})
    small = replace(spec, splits=tuple(own if s.name == split else s for s in spec.splits))
    monkeypatch.setattr(
        registry, "load", lambda kind, name: small if name == id_ else real(kind, name)
    )
    (made,) = prepare(split, [folder / name for name in layout.files])
    return made


def test_ic13_keeps_commas_and_quotes(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    split = _imported("ic13_det/train", tmp_path, 4, monkeypatch)
    assert split.ids == ["100", "101", "102", "103"]
    sample = next(split.samples())
    assert sample.regions is not None
    assert [r.text for r in sample.regions] == ["Footpath", 'say "hi"']
    assert sample.regions[0].annotated == (38, 43, 120, 65)


def test_mlt17_photographs_come_from_all_archives_in_order(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    split = _imported("mlt17/train", tmp_path, 16, monkeypatch)
    assert split.ids == [f"img_{i}" for i in range(1, 17)]
    sample = next(split.samples())
    assert sample.image == picture(1, kind="PNG")
    assert sample.regions is not None
    assert [(r.text, r.tags["script"], r.ignored) for r in sample.regions] == [
        ("a, b", "Latin", False),
        ("###", "None", True),
    ]


def test_art_clean_leaves_out_what_other_sets_hold(tmp_path: Path) -> None:
    for name, content in LAYOUTS[
        "art_det_clean/train", "the competition's training set, with lists of what other sets hold"
    ]().files.items():
        (tmp_path / name).write_bytes(content)
    with open_tree([tmp_path], official=art_det.SPEC.drop_in, streamed=art_det.SPEC.streamed) as t:
        clean, whole = (art_det.parse(t, s.name) for s in reversed(art_det.SPEC.splits))
        assert clean is not None
        assert whole is not None
        assert [s.id for s in clean] == ["gt_1", "gt_2"]
        assert [s.id for s in whole] == ["gt_0", "gt_1", "gt_2", "gt_3"]
    (tmp_path / "CTW1500_ID_vs_ArT_ID.txt").unlink()
    assert art_det.parse(Tree.of(tmp_path), "art_det_clean/train") is None


def test_svt_brings_its_word_lists(tmp_path: Path) -> None:
    (tmp_path / "svt.zip").write_bytes(
        LAYOUTS["svt_det/test", "the authors' archive"]().files["svt.zip"]
    )
    with open_tree([tmp_path / "svt.zip"]) as tree:
        samples = svt_det.parse(tree, "svt_det/test")
        assert samples is not None
        assert [(s.id, s.regions and s.regions[0].annotated) for s in samples] == [
            ("18_01", (5, -2, 18, 9)),
            ("13_11", (5, -2, 18, 9)),
        ]
        lists = svt_det.lexicons(tree, "svt_det/test")
    assert lists == {"50": {"18_01": ("DOOR", "THE"), "13_11": ("DOOR", "THE")}}


# --- real files ---------------------------------------------------------------------------------


def _zip_regions(path: Path, read: Callable[[bytes, str], list[Region]]) -> list[list[Region]]:
    with zipfile.ZipFile(path) as bundle:
        names = [name for name in bundle.namelist() if name.endswith(".txt")]
        return [read(bundle.read(name), name) for name in names]


def _tally(pages: list[list[Region]]) -> tuple[int, int, int]:
    regions = [region for page in pages for region in page]
    return len(pages), len(regions), sum(region.ignored for region in regions)


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("gt_IC13.zip", (233, 1095, 0)),
        ("gt-icdar2013.zip", (233, 1637, 720)),
        ("gt_0.zip", (233, 1080, 0)),
        ("gt_45.zip", (233, 1080, 0)),
        ("gt_60.zip", (233, 1080, 0)),
    ],
)
def test_real_ic13_ground_truths(shared: Path, file: str, expected: tuple[int, int, int]) -> None:
    path = next((shared / "real" / "annotations" / "icdar2013").rglob(file))
    assert _tally(_zip_regions(path, ic13_det.read_truth)) == expected


def test_real_ic13_xml_holds_the_boxes_of_task_1(shared: Path) -> None:
    folder = shared / "real" / "annotations" / "icdar2013"
    found = {}
    for part in ("train", "test"):
        path = next(folder.rglob(f"{part}_locations.xml"))
        found[part] = read_tagset(path.read_bytes(), str(path))
    sizes = {part: (len(m), sum(len(i.regions) for i in m)) for part, m in found.items()}
    assert sizes == {"train": (229, 849), "test": (233, 1095)}
    task1 = _zip_regions(next(folder.rglob("gt_IC13.zip")), ic13_det.read_truth)
    assert sorted(r.polygon for page in task1 for r in page) == sorted(
        r.polygon for image in found["test"] for r in image.regions
    )


def test_real_ic13_vocabularies(shared: Path) -> None:
    folder = next(
        (shared / "real" / "annotations" / "icdar2013").rglob("GenericVocabulary.txt")
    ).parent
    files = [*folder.glob("*.txt"), folder / "strong_lexicon.zip"]
    with open_tree(files) as tree:
        lists = ic13_det.lexicons(tree, "ic13_det/test")
    assert len(lists["strong"]) == 233
    assert all(len(words) == 100 for words in lists["strong"].values())
    assert len(lists["weak"]["*"]) == 624


def test_real_svt_xml(shared: Path) -> None:
    path = next((shared / "real" / "annotations" / "svt").rglob("test.xml"))
    marked = read_tagset(path.read_bytes(), str(path))
    regions = [region for image in marked for region in image.regions]
    assert (len(marked), len(regions)) == (249, 647)
    assert sum(min(r.annotated[:2]) < 0 for r in regions) == 1
    assert all(r.text and r.text.isascii() and r.text.isalnum() for r in regions)
    assert all(r.text == r.text.upper() for r in regions if r.text)
    assert all(37 <= len(image.lexicon) <= 64 for image in marked)


def test_real_td500_and_its_copy_hold_the_same_boxes(shared: Path) -> None:
    folder = shared / "real" / "annotations" / "msra_td500"
    found = {}
    for part in ("train", "test"):
        files = [path for path in folder.rglob("*.gt") if path.parent.name == part]
        found[part] = [read_turned(path.read_bytes(), str(path)) for path in files]
    assert _tally(found["train"]) == (300, 1068, 101)
    assert _tally(found["test"]) == (200, 651, 69)
    copy = _zip_regions(next(folder.rglob("gt.zip")), read_turned)
    assert _tally(copy) == (200, 651, 69)

    def shapes(pages: list[list[Region]]) -> list[list[tuple[object, ...]]]:
        """Without names: the copy numbers its photographs anew."""
        return sorted(sorted((*r.polygon, r.ignored) for r in page) for page in pages)

    assert shapes(copy) == shapes(found["test"])
