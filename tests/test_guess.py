"""What format annotation files have, and what `strbench data labels` counts in them."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import lmdb
import pytest
from hypothesis import given
from hypothesis import strategies as st
from running import Run

from strbench.annotations.guess import PAGE, PAGES, guess
from strbench.datasets.survey import Group, survey
from strbench.errors import StrbenchError

QUAD = "1,1,9,1,9,5,1,5"
CTW = ",".join(str(i) for i in (*range(14), *range(13, -1, -1)))  # 28 numbers


def kinds(**files: str) -> dict[str, list[str]]:
    """The formats of text files; ``__`` in a name stands for its dot."""
    return guess({name.replace("__", "."): text.encode() for name, text in files.items()})


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ('38, 43, 920, 215, "Tired, ness"\n', "ltrb"),
        ('158 128 411 181 "Footpath"\n', "ltrb"),
        (f"\ufeff{QUAD},Genaxis Theatre\r\n{QUAD},###\r\n", "quad"),
        (f"{QUAD},15\n{QUAD},1,000\n", "quad"),
        (f"{QUAD},NaN\n{QUAD},###\n", "quad"),
        (f"{QUAD},Latin,EXIT\n{QUAD},None,###\n", "quad-script"),
        (f"{QUAD}\n", "polygon"),
        (f"{QUAD},EXIT\n{QUAD},2,9,4,4,arc\n", "polygon"),
        (f"{QUAD},EXIT\n1,1,9,1,9,5,tri\n1,1,5,5,3,9,tri\n1,1,5,5,3,8,x\n", "polygon"),
        ("1,1,###\n" + f"{QUAD},EXIT\n", "polygon"),
        (f"{CTW},####a, b\n{CTW},#######\n", "polygon-14"),
        (f"{CTW},1958\n", "polygon-14"),
        ("10,10,50,30," + ",".join(["0", "0", "40", "20"] * 7) + "\n", "offsets-14"),
        ("0 0 300 675 1232 112 0.05\r\n1 1 208 801 1489 178 -0.1\r\n", "turned"),
        ("301,302,344,975,0.05,None\n", "turned"),
        ("x: [[1 9\n 9]], y: [[1 1 5]], ornt: [u'h'], transcriptions: [u'a']\n", "totaltext"),
        ('1.jpg\t[{"transcription": "a", "points": []}]\n', "paddle"),
        ('{"data_list": [{"img_path": "1", "instances": [{"polygon": []}]}]}', "mmocr"),
        ('{"data_list": [{"img_path": "1", "instances": [{"text": "a"}]}]}', "words"),
        ('{"file_name": "1", "annotations": []}\n{"file_name": "2", "annotations": []}', "mmocr"),
        ('{"filename": "1", "text": "a"}\n{"filename": "2", "text": "b"}', "words"),
        ('{"imgs": {}, "anns": {"1": {"points": []}}}', "textocr"),
        ('{"imgs": {}, "anns": {"1": {"mask": []}}}', "cocotext"),
        ('{"images": [], "annotations": [{"attributes": {}}]}', "openvino"),
        ('{"images": [], "annotations": [{"bbox": []}]}', "mmocr"),
        ('{"gt_0": [{"transcription": "a", "points": []}]}', "lsvt"),
        ('{"gt_0_0": [{"transcription": "a"}]}', "word-crops"),
        ("<?xml version='1.0'?><tagset><image/></tagset>", "tagset"),
        ("<Annotations><image/></Annotations>", "ctw1500-xml"),
        ("<html>login</html>", ""),
        ('word_1.png, "Genaxis"\r\nword_2.png, "a, b"\r\n', "words"),
        ("a/1.png\tone\na/2.png\ttwo words\n", "words"),
        ("word_1.png one\nword_2.png two\n", "words"),
        ("timage/001.jpg RONALDO 1 RONALDO\ntimage/002.jpg 7 2 7,8\n", "words-lexicons"),
        ("#--- words.txt\na01-000u-00-00 ok 154 408 768 27 51 AT A\n", "iam-words"),
        ("m03-013-01-00,189 on\n", "rwth-words"),
        ("1000,|a, b|\n", "cocotext-words"),
        ("a01-000u-00\na01-000u-01\n", "lines"),
        (f"word_1.png,{QUAD}\nword_2.png,{QUAD}\n", "lines"),
        ("DOOR\nNEW YORK\n", "lines"),
    ],
)
def test_one_file(text: str, kind: str) -> None:
    assert kinds(a__txt=text) == {kind: ["a.txt"]}


def test_a_folder_is_judged_as_a_whole() -> None:
    curved = f"{QUAD},2,9,4,4,arc\n"
    assert kinds(a__txt=f"{QUAD},box\n", b__txt=curved) == {"polygon": ["a.txt", "b.txt"]}
    assert kinds(a__txt=f"{QUAD},box\n", b__txt="") == {"quad": ["a.txt", "b.txt"]}
    mixed = kinds(a__txt=f"{QUAD},box\n", b__txt=f"{QUAD},x\n", gt__txt='w.png, "a"\nv.png, "b"\n')
    assert mixed == {"quad": ["a.txt", "b.txt"], "words": ["gt.txt"]}


def test_a_text_file_per_image_is_no_lexicon() -> None:
    words = {f"{i}.txt": f"word {i}\n".encode() for i in range(40)}
    words["7.txt"] = b"one\ntwo\n"  # a second line does not count
    words["8.txt"] = b""
    assert {kind: set(names) for kind, names in guess(words).items()} == {"word": set(words)}
    assert guess({**words, "lexicon.txt": b"A\nB\nC\n"})["lines"] == ["lexicon.txt"]
    assert guess({f"voc_{i}.txt": b"A\nB\nC\n" for i in range(40)}).keys() == {"lines"}


def test_a_wrong_row_is_an_error_and_no_other_layout(tmp_path: Path) -> None:
    rows = [f"{QUAD},word"] * 3
    rows[1] = "1,1,9,1,9,5,1,word"  # a number is missing: no triangle with the text "1,word"
    (tmp_path / "gt_1.txt").write_text("\n".join(rows))
    with pytest.raises(StrbenchError, match=r"gt_1\.txt, line 2: expected 8 coordinates"):
        survey(tmp_path)


def facts(path: Path) -> dict[str, Any]:
    """The facts of the one group that lies there."""
    (group,) = survey(path).groups
    return dict(group.facts)


def test_words_and_their_traps(tmp_path: Path) -> None:
    path = tmp_path / "gt.txt"
    rows = '\ufeffw_1.png, "CAFÉ"\r\nw_2.png, "a, b"\r\nw_3.png, "READER\\""\r\nw_4.png, "NO"\r\n'
    path.write_bytes(rows.encode())
    found = facts(path)
    expected = {
        "rows": 4, "bom": True, "crlf": True, "escaped_quotes": 1, "ascii_alnum_only": 1,
        "alnum_and_len_ge_3": 0, "with_comma": 1, "with_space": 1, "non_ascii": 1,
        "non_ascii_texts": ["CAFÉ"], "max_len": 7, "labels_not_all_upper": 1, "all_alnum": False,
    }  # fmt: skip
    assert {key: found[key] for key in expected} == expected


def test_regions_and_which_way_round_they_run(tmp_path: Path) -> None:
    (tmp_path / "gt_1.txt").write_text(f"\ufeff{QUAD},a\n{QUAD},###\n1,5,9,5,9,1,-1,1,b c\n")
    (tmp_path / "gt_2.txt").write_text("")
    found = facts(tmp_path)
    expected = {
        "files": 2, "images": 2, "images_without_text": 1, "bom_files": 1, "crlf_files": 0,
        "instances": 3, "ignored": 1, "legible": 2, "coords_per_row": 8, "vertices": {"4": 3},
        "orientation": "2 clockwise on screen, 1 counter-clockwise on screen",
        "clockwise": 2, "counter_clockwise": 1, "boxes_with_negative_origin": 1,
        "with_text": 2, "with_space": 1,
    }  # fmt: skip
    assert {key: found[key] for key in expected} == expected


def test_boxes_beyond_the_stated_size(tmp_path: Path) -> None:
    box = '<taggedRectangle x="{}" y="0" width="9" height="5"><tag>A</tag></taggedRectangle>'
    path = tmp_path / "test.xml"
    path.write_text(
        '<tagset><image><imageName>1.jpg</imageName><Resolution x="12" y="9"/>'
        f"<taggedRectangles>{box.format(-1)}{box.format(3)}{box.format(4)}</taggedRectangles>"
        "</image></tagset>"
    )
    found = facts(path)
    assert (found["boxes_with_negative_origin"], found["boxes_beyond_resolution"]) == (1, 1)
    assert found["all_upper_alnum"] is True


def test_archives_lmdbs_and_what_is_not_read(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "gt.zip", "w") as bundle:
        bundle.writestr("in/gt_1.txt", f"{QUAD},a\n")
    with tarfile.open(tmp_path / "labels.tar.gz", "w:gz") as tar:
        for i in range(3):
            info = tarfile.TarInfo(f"svt/label/{i}.txt")
            info.size = 3
            tar.addfile(info, io.BytesIO(b"A b"))
    with lmdb.open(str(tmp_path / "words"), map_size=1 << 20) as env, env.begin(write=True) as txn:
        for key, value in {
            "num-samples": "2",
            "label-000000001": "A",
            "image-000000001": "?",
        }.items():
            txn.put(key.encode(), value.encode())
    (tmp_path / "README.md").write_text("about")
    (tmp_path / "weights.bin").write_bytes(bytes(9))
    (tmp_path / "1.png").write_bytes(b"an image")
    result = survey(tmp_path)
    shown = {Path(group.where).relative_to(tmp_path).as_posix(): group for group in result.groups}
    assert {where: group.format for where, group in shown.items()} == {
        "gt.zip/in/gt_1.txt": "quad", "labels.tar.gz/svt/label": "word", "words": "lmdb",
    }  # fmt: skip
    assert shown["labels.tar.gz/svt/label"].facts["rows"] == 3
    lmdb_facts = shown["words"].facts
    assert [lmdb_facts[k] for k in ("num-samples", "keys", "with_label", "format")] == [2, 3, 1, ""]
    assert {Path(name).name for name in result.unread} == {"README.md", "weights.bin"}
    assert survey(tmp_path / "words").groups == survey(tmp_path / "words" / "data.mdb").groups


def test_a_file_of_no_known_format_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    path.write_text("<html/>")
    with pytest.raises(StrbenchError, match="no known format"):
        survey(path)
    with pytest.raises(StrbenchError, match="does not exist"):
        survey(tmp_path / "b.xml")
    with pytest.raises(StrbenchError, match=r"annotations of no known format \(1\): .*a\.xml"):
        survey(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(StrbenchError, match=r"empty: it holds no annotation file\."):
        survey(tmp_path / "empty")


def test_labels_verb(run: Run, tmp_path: Path) -> None:
    (tmp_path / "gt_1.txt").write_text(f"{QUAD},a\n")
    (tmp_path / "words.tsv").write_text("1.png\tone\n")
    text = run("data", "labels", tmp_path).out
    assert "| gt_1.txt | quad | 1 | 1 |  | 1 | 0 | 1 |" in text
    assert "| words.tsv | words | 1 |  | 1 |  |  |  |" in text
    assert (
        "orientation: all clockwise on screen" in run("data", "labels", tmp_path / "gt_1.txt").out
    )
    document = json.loads(run("data", "labels", tmp_path, "--json").out)
    assert [group["format"] for group in document["groups"]] == ["quad", "words"]
    outcome = run("data", "labels", tmp_path / "nothing")
    assert (outcome.code, "Traceback" in outcome.err) == (2, False)


@given(
    st.dictionaries(
        st.sampled_from(["1.txt", "2.txt", "a.json", "a.xml", "a.mat", "a.csv", "a.tags"]),
        st.binary(max_size=40)
        | st.text(' ,.#019[{<"\\nxA\t', max_size=60).map(str.encode)
        | st.binary(max_size=40).map(lambda data: b"MATLAB 5.0" + data),
        max_size=4,
    )
)
def test_any_files_have_one_format_each(files: dict[str, bytes]) -> None:
    found = guess(files)
    assert sorted(name for names in found.values() for name in names) == sorted(files)
    for kind, names in found.items():
        for name in names:
            read = PAGE.get(kind) or PAGES.get(kind)
            if read is not None:
                try:
                    list(read(files[name], name))
                except StrbenchError as error:
                    fault = error.message
                else:
                    fault = name
                assert name in fault


# ---- the public files, where they are -------------------------------------------------------------

_NAMES = {  # of the published counts -> ours
    "lines": "instances", "words": "instances", "boxes": "instances", "polygons": "instances",
    "difficult": "ignored", "text_with_comma": "with_comma", "rows_with_comma_in_text": "with_comma",
    "alnum_only": "ascii_alnum_only", "image_nodes": "images", "unique_image_names": "images",
    "all_tags_upper_alnum": "all_upper_alnum", "non_ascii": "non_ascii_texts",
}  # fmt: skip


def one(result: list[Group], path: Path) -> Group:
    assert len(result) == 1, f"{path}: {[group.where for group in result]}"
    return result[0]


def test_real_files_hold_what_was_counted(shared: Path) -> None:
    root = shared / "real" / "annotations"
    checked = 0
    for name, entry in json.loads((root / "EXPECTED_COUNTS.json").read_bytes()).items():
        place = next((entry.pop(key) for key in ("file", "dir", "zip") if key in entry), None)
        path = root / str(place)
        if place is None or not path.exists():
            continue
        if name.startswith("iam/"):
            rows = {Path(g.where).name: g.facts["rows"] for g in survey(path).groups}
            parts = {key: n for key, n in entry.items() if not key.startswith("in_")}
            assert set(parts.values()) == set(rows.values()), name
        else:
            found = dict(one(survey(path).groups, path).facts)
            for key, value in entry.items():
                assert found[_NAMES.get(key, key)] == value, f"{name}: {key}"
        checked += 1
    assert checked >= 18


def test_real_word_lists(shared: Path) -> None:
    root = shared / "real" / "recognition"
    test = facts(root / "ic15_word_test" / "original_labels" / "Challenge4_Test_Task3_GT.txt")
    train = facts(root / "ic15_word_train" / "original_labels" / "gt.txt")
    keys = ("rows", "bom", "crlf", "ascii_alnum_only", "with_comma", "with_space", "escaped_quotes")
    assert [test[key] for key in keys] == [2077, True, True, 1922, 6, 21, 0]
    assert [train[key] for key in keys] == [4468, True, True, 4055, 18, 33, 6]
    assert facts(root / "svt_word_test" / "label")["rows"] == 647
    gts = facts(shared / "real" / "detection" / "ic15_test" / "Gts")
    assert [gts[k] for k in ("files", "instances", "ignored", "legible", "with_comma")] == [
        500, 5230, 3153, 2077, 6,
    ]  # fmt: skip
