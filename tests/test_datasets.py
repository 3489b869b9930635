"""Dataset specs and parsers: official layouts built here, and the real files where they are."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import lmdb
import numpy as np
import pytest
from PIL import Image
from running import Run

from strbench import datasets, registry
from strbench.datasets import Remote, Source, Spec, SplitSpec, iiit5k, prepare, resolve, specs, svt
from strbench.datasets.comparing import diff
from strbench.datasets.ic13 import keeps
from strbench.datasets.icdar import photo_words
from strbench.datasets.labels import read_rows
from strbench.datasets.tree import Tree
from strbench.errors import StrbenchError
from strbench.loading import decode
from strbench.store import find_split, prepared_splits, split_directory

DOWNLOADED = [spec for spec in specs() if spec.make is None]


def png(shade: int, width: int = 6, height: int = 4) -> bytes:
    """A small image that differs from those of other shades."""
    buffer = io.BytesIO()
    colour = (shade % 256, shade // 256 % 256, 7)
    Image.new("RGB", (width, height), colour).save(buffer, "PNG")
    return buffer.getvalue()


def write(root: Path, files: dict[str, bytes | str]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return root


def write_lmdb(folder: Path, labels: Iterable[str | None], first: int = 0) -> Path:
    folder.mkdir(parents=True)
    with lmdb.open(str(folder), map_size=1 << 26) as env, env.begin(write=True) as transaction:
        n = 0
        for n, label in enumerate(labels, 1):
            transaction.put(b"image-%09d" % n, png(first + n))
            if label is not None:
                transaction.put(b"label-%09d" % n, label.encode())
        transaction.put(b"num-samples", b"%d" % n)
    return folder


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Shrink the official counts of splits, so that a test can write whole ones."""

    def shrink(**sizes: int) -> None:
        from strbench.datasets import ic13, ic15

        changed = {}
        for spec in DOWNLOADED:
            keyed = {s.name: sizes.get(s.name.replace("/", "_"), s.n) for s in spec.splits}
            splits = tuple(replace(s, n=keyed[s.name]) for s in spec.splits)
            changed[spec.id] = replace(spec, splits=splits)
        real = registry.load
        monkeypatch.setattr(
            registry, "load", lambda kind, name: changed.get(name) or real(kind, name)
        )
        for module, train, test in ((ic13, "ic13_train", "ic13_1095_test"),
                                    (ic15, "ic15_train", "ic15_2077_test")):  # fmt: skip
            if train in sizes:
                monkeypatch.setattr(module, "_TRAIN_WORDS", sizes[train])
            if test in sizes:
                monkeypatch.setattr(module, "_TEST_WORDS", sizes[test])

    return shrink


# --- specs ---------------------------------------------------------------------------------------


def test_counts_are_the_published_ones() -> None:
    counts = {s.name: s.n for spec in DOWNLOADED for s in spec.splits}
    published = {
        "iiit5k/train": 2000,
        "iiit5k/test": 3000,
        "svt/train": 257,
        "svt/test": 647,
        "svtp/test": 645,
        "cute80/test": 288,
        "ic13/train": 848,
        "ic13_857/test": 857,
        "ic13_1015/test": 1015,
        "ic13_1095/test": 1095,
        "ic15/train": 4468,
        "ic15_1811/test": 1811,
        "ic15_2077/test": 2077,
        "ic15_det/train": 1000,
        "ic15_det/test": 500,
        "host/test": 2416,
        "wost/test": 2416,
    }
    assert {name: counts[name] for name in published} == published


@pytest.mark.parametrize("spec", DOWNLOADED, ids=lambda spec: spec.id)
def test_spec_is_complete(spec: Spec) -> None:
    assert spec.title
    assert spec.licence
    assert re.search(r"\d{4}$", spec.paper)
    names = {s.name for s in spec.splits}
    assert names == {name for source in spec.sources for name in source.splits}
    for source in spec.sources:
        assert source.files
        for remote in (*source.files, *source.optional):
            assert all(url.startswith(("https://", "http://")) for url in remote.urls)
            if any(url.startswith("http://") for url in remote.urls):
                assert remote.sha256 or remote.md5, "plain http needs a checksum"
    json.dumps(spec.describe())


@pytest.mark.parametrize("spec", DOWNLOADED, ids=lambda spec: spec.id)
def test_checksums_are_well_formed_and_unique(spec: Spec) -> None:
    files = {r.file: r for s in spec.sources for r in (*s.files, *s.optional)}
    sums: dict[str, str] = {}
    for name, remote in files.items():
        assert all(re.fullmatch("[0-9a-f]{64}", value) for value in remote.sha256)
        assert all(re.fullmatch("[0-9a-f]{32}", value) for value in remote.md5)
        for value in (*remote.sha256, *remote.md5):
            assert sums.setdefault(value, name) == name, f"{value} is pasted on two files"
    urls = [url for remote in files.values() for url in remote.urls]
    assert len(urls) == len(set(urls))


@pytest.mark.parametrize(
    ("name", "splits"),
    [
        ("ic15", ("ic15/train", "ic15_1811/test", "ic15_2077/test")),
        ("ic15_2077", ("ic15_2077/test",)),
        ("ic15/train", ("ic15/train",)),
        ("host", ("host/test",)),
        ("ost", ("host/test", "wost/test")),
    ],
)
def test_names_mean_splits(name: str, splits: tuple[str, ...]) -> None:
    assert resolve(name).splits == splits


def test_split_option_narrows_a_dataset() -> None:
    assert resolve("iiit5k", split="train").splits == ("iiit5k/train",)
    assert resolve("ic13", split="test").splits == tuple(
        f"ic13_{n}/test" for n in (857, 1015, 1095)
    )


def test_unknown_names_are_refused_with_near_ones() -> None:
    with pytest.raises(StrbenchError, match="cute80"):
        resolve("cute8")
    with pytest.raises(StrbenchError, match=r"ic15_1811/test, ic15_2077/test"):
        resolve("ic15/test", own=True)  # never silently a split of the user's own
    with pytest.raises(StrbenchError) as caught:
        resolve("mydata", own=True)
    assert "mydata/test" in caught.value.hint


def test_near_names_go_by_the_part_before_the_slash(home: Path, run: Run) -> None:
    split = home / "data" / "mydata" / "test"
    split.mkdir(parents=True)
    (split / "manifest.json").write_text("{}")
    for typed, near in (
        ("mydta/test", "mydata/test, "),
        ("mydta", "mydata, "),
        ("svtt/test", "svt/test, svtp/test, "),
        ("cute8/test", "cute80/test, cute80_det/test, "),
        ("cute8/train", "cute80, "),
    ):
        with pytest.raises(StrbenchError) as caught:
            resolve(typed)
        assert caught.value.message.startswith(f"No dataset is named {typed!r}; near names: {near}")
    for command, hint in (
        ("data overlap mydata/train mydata/test", "strbench data import mydata/train PATH"),
        ("eval --data mydata/train", "strbench data import mydata/train PATH"),
    ):
        outcome = run(*command.split())
        assert outcome.code == 2
        assert "mydata/train is not prepared; of mydata there is mydata/test." in outcome.err
        assert outcome.last.endswith(hint)
    with pytest.raises(StrbenchError, match="mydata is not prepared; of mydata there is"):
        resolve("mydata")


# --- official layouts ----------------------------------------------------------------------------


def _mat(variable: str, field: str, rows: list[tuple[str, str]]) -> bytes:
    scipy_io = pytest.importorskip("scipy.io")
    records = np.zeros((1, len(rows)), dtype=[("ImgName", object), (field, object)])
    for i, row in enumerate(rows):
        records[0, i] = row
    buffer = io.BytesIO()
    scipy_io.savemat(buffer, {variable: records})
    return buffer.getvalue()


def test_iiit5k_archive(tmp_path: Path, home: Path, small: Callable[..., None]) -> None:
    small(iiit5k_train=2, iiit5k_test=3)
    train = [("train/9_2.png", "YOU"), ("train/10_1.png", "RESCUE")]
    test = [("test/1002_1.png", "PRIVATE"), ("test/1002_2.png", "PARKING"), ("test/7_1.png", "A")]
    images = {name: png(i) for i, (name, _) in enumerate(train + test)}
    files = {
        **images,
        "traindata.mat": _mat("traindata", "GroundTruth", train),
        "testdata.mat": _mat("testdata", "GroundTruth", test),
        "README": b"words",
    }
    with tarfile.open(tmp_path / "IIIT5K-Word_V3.0.tar.gz", "w:gz") as bundle:
        for name, data in files.items():
            entry = tarfile.TarInfo(f"IIIT5K/{name}")
            entry.size = len(data)
            bundle.addfile(entry, io.BytesIO(data))
    made = prepare("iiit5k", tmp_path / "IIIT5K-Word_V3.0.tar.gz")
    assert [split.name for split in made] == ["iiit5k/train", "iiit5k/test"]
    got = made[1]
    assert got.ids == [name for name, _ in test]
    assert got.labels == [label for _, label in test]
    assert got.groups == ["1002", "1002", "7"]
    assert got.image(0) == images["test/1002_1.png"]
    assert got.manifest.labels == "standard"
    assert got.manifest.sources[0]["name"] == "IIIT5K-Word_V3.0.tar.gz"
    assert not [p for p in (home / "raw").iterdir() if p.is_dir()], "unpacked files are removed"


def test_damaged_mat_is_named(tmp_path: Path, home: Path) -> None:
    write(tmp_path, {"IIIT5K/testdata.mat": b"MATLAB no", "IIIT5K/test/1_1.png": png(1)})
    with pytest.raises(StrbenchError, match=r"testdata\.mat: expected the struct testdata"):
        prepare("iiit5k/test", tmp_path)


_SVT = """<?xml version="1.0" encoding="utf-8"?>
<tagset><image><imageName>img/04_13.jpg</imageName><address/><lex>A,B</lex>
<Resolution x="1280" y="800"/><taggedRectangles>
<taggedRectangle height="10" width="8" x="2" y="-2"><tag>DOOR</tag></taggedRectangle>
<taggedRectangle height="50" width="50" x="20" y="10"><tag>THE</tag></taggedRectangle>
</taggedRectangles></image>
<image><imageName>img/18_01.jpg</imageName><taggedRectangles>
<taggedRectangle height="3" width="4" x="1" y="2"><tag>OF</tag></taggedRectangle>
</taggedRectangles></image></tagset>"""


def test_svt_archive(tmp_path: Path, home: Path, small: Callable[..., None]) -> None:
    small(svt_test=3)
    photo = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(photo).save(buffer, "PNG")
    with zipfile.ZipFile(tmp_path / "svt.zip", "w") as bundle:
        bundle.writestr("svt1/test.xml", _SVT)
        for name in ("04_13", "18_01"):
            bundle.writestr(f"svt1/img/{name}.jpg", buffer.getvalue())
    (split,) = prepare("svt/test", tmp_path / "svt.zip")
    assert split.ids == ["img/04_13.jpg#1", "img/04_13.jpg#2", "img/18_01.jpg#1"]
    assert split.groups == ["img/04_13.jpg", "img/04_13.jpg", "img/18_01.jpg"]
    assert split.labels == ["DOOR", "THE", "OF"]
    crops = [decode(split.image(i)) for i in range(3)]
    np.testing.assert_array_equal(crops[0], photo[0:8, 2:10])  # begins above the photograph
    np.testing.assert_array_equal(crops[1], photo[10:20, 20:30])  # ends beyond it
    np.testing.assert_array_equal(crops[2], photo[2:5, 1:5])


def test_svt_box_outside_is_named(tmp_path: Path, home: Path) -> None:
    xml = _SVT.replace('x="20" y="10"', 'x="300" y="10"')
    write(tmp_path, {"test.xml": xml, "img/04_13.jpg": png(1, 30, 20), "img/18_01.jpg": png(2)})
    with pytest.raises(StrbenchError, match=r"04_13\.jpg: the box of 'THE' lies outside"):
        prepare("svt/test", tmp_path)


@pytest.mark.parametrize("lexicon", ["", " 2 WYNDHAM,HOTEL"])
def test_svtp_archive(tmp_path: Path, home: Path, small: Callable[..., None], lexicon: str) -> None:
    small(svtp_test=2)
    names = ["13_15_0_par.jpg", "13_15_1_par.jpg"]
    rows = "".join(f"{n} {t}{lexicon}\n" for n, t in zip(names, ("WYNDHAM", "HOTEL"), strict=True))
    list_name = "imagelist.txt" if lexicon else "gt.txt"
    write(
        tmp_path / "svtp", {list_name: rows, **{f"par1/{n}": png(i) for i, n in enumerate(names)}}
    )
    (split,) = prepare("svtp", tmp_path / "svtp")
    assert split.ids == names
    assert split.labels == ["WYNDHAM", "HOTEL"]


def _mmocr(rows: list[tuple[str, str]]) -> str:
    data = [{"img_path": path, "instances": [{"text": text}]} for path, text in rows]
    info = {"dataset_type": "TextRecogDataset", "task_name": "textrecog"}
    return json.dumps({"metainfo": info, "data_list": data})


def test_cute80_official_files(tmp_path: Path, home: Path, small: Callable[..., None]) -> None:
    small(cute80_test=2)
    images: dict[str, bytes | str] = {f"timage/00{i}.jpg": png(i) for i in (1, 2)}
    lines = "timage/001.jpg RONALDO 1 RONALDO\ntimage/002.jpg 7 1 7\n"
    (split,) = prepare("cute80", write(tmp_path / "a", {**images, "test_label.txt": lines}))
    assert split.ids == ["timage/001.jpg", "timage/002.jpg"]
    assert split.labels == ["RONALDO", "7"]
    listed = _mmocr([("textrecog_imgs/timage/001.jpg", "Ronaldo"), ("timage/002.jpg", "7")])
    folder = write(
        tmp_path / "b", {**images, "test_label.txt": lines, "textrecog_test.json": listed}
    )
    (split,) = prepare("cute80", folder, replace=True)
    assert split.labels == ["Ronaldo", "7"], "MMOCR's corrected labels come first"


def _word_zip(path: Path, n: int, gt: str = "") -> Path:
    with zipfile.ZipFile(path, "w") as bundle:
        for i in sorted(range(1, n + 1), key=str):  # lexicographic, as in the official zips
            bundle.writestr(f"word_{i}.png", png(i))
        if gt:
            bundle.writestr("gt.txt", gt)
    return path


WORDS = ["Tiredness", "kills", "10,000", "A", "UK", "a b", 'say "no"', "save", "your", "life", "x1"]


def _icdar(words: list[str]) -> str:
    quoted = [word.replace("\\", "\\\\").replace('"', '\\"') for word in words]
    return "\ufeff" + "".join(f'word_{i}.png, "{w}"\r\n' for i, w in enumerate(quoted, 1))


def test_ic13_official_files(tmp_path: Path, home: Path, small: Callable[..., None]) -> None:
    small(ic13_1095_test=11, ic13_1015_test=8, ic13_857_test=5, ic13_train=2)
    raw = tmp_path / "raw"
    raw.mkdir()
    _word_zip(raw / "Challenge2_Test_Task3_Images.zip", 11)
    (raw / "Challenge2_Test_Task3_GT.txt").write_text(_icdar(WORDS), encoding="utf-8")
    _word_zip(raw / "Challenge2_Training_Task3_Images_GT.zip", 2, _icdar(["The", "Photo"]))
    with zipfile.ZipFile(raw / "Challenge2_Test_Task1_GT.zip", "w") as bundle:
        for i, words in ((1, WORDS[:4]), (10, WORDS[9:]), (2, WORDS[4:9])):
            lines = "".join(f'38, 43, 920, 215, "{w}"\r\n' for w in words)
            bundle.writestr(f"gt_img_{i}.txt", lines)
    made = {split.name: split for split in prepare("ic13", raw)}
    assert {name: split.n for name, split in made.items()} == {
        "ic13/train": 2, "ic13_857/test": 5, "ic13_1015/test": 8, "ic13_1095/test": 11,
    }  # fmt: skip
    whole = made["ic13_1095/test"]
    assert whole.labels == WORDS
    assert whole.ids == [f"word_{i}.png" for i in range(1, 12)]
    assert whole.groups == ["img_1"] * 4 + ["img_2"] * 5 + ["img_10"] * 2
    assert whole.image(9) == png(10)
    assert made["ic13_857/test"].labels == ["Tiredness", "kills", "save", "your", "life"]
    assert made["ic13/train"].labels == ["The", "Photo"]
    assert made["ic13/train"].image(0) == png(1)


def test_ic15_official_files(tmp_path: Path, home: Path, small: Callable[..., None]) -> None:
    small(ic15_2077_test=11, ic15_1811_test=3)
    raw = tmp_path / "raw"
    raw.mkdir()
    _word_zip(raw / "ch4_test_word_images_gt.zip", 11)
    (raw / "Challenge4_Test_Task3_GT.txt").write_text(_icdar(WORDS), encoding="utf-8")
    (split,) = prepare("ic15_2077", raw)
    assert split.labels == WORDS
    assert split.groups == [None] * 11
    with pytest.raises(StrbenchError, match=r"expected 3 samples \(ic15_1811/test\), found 11"):
        prepare("ic15_1811", raw)  # never derived
    rows = [(f"textrecog_imgs/test/word_{i}.png", WORDS[i - 1].lower()) for i in (10, 2, 1)]
    (raw / "textrecog_test_1811.json").write_text(_mmocr(rows))
    (split,) = prepare("ic15_1811", raw)
    assert split.ids == ["word_1.png", "word_2.png", "word_10.png"]
    assert split.labels == ["Tiredness", "kills", "life"], "the official labels, not the list's"


def test_ic15_list_without_official_labels(
    tmp_path: Path, home: Path, small: Callable[..., None]
) -> None:
    small(ic15_1811_test=2)
    rows = [("test/word_2.png", "b"), ("test/word_1.png", "a")]
    files: dict[str, bytes | str] = {f"imgs/word_{i}.png": png(i) for i in (1, 2, 3)}
    write(tmp_path, {**files, "textrecog_test_1811.json": _mmocr(rows)})
    (split,) = prepare("ic15_1811", tmp_path)
    assert split.labels == ["b", "a"]
    assert split.image(0) == png(2)


def test_word_list_in_another_order_gives_the_same_split(
    tmp_path: Path, home: Path, small: Callable[..., None]
) -> None:
    small(ic15_2077_test=11)
    lines = _icdar(WORDS).removeprefix("\ufeff").splitlines(keepends=True)
    _word_zip(tmp_path / "ch4_test_word_images_gt.zip", 11, "".join(sorted(lines)))
    (split,) = prepare("ic15_2077", tmp_path / "ch4_test_word_images_gt.zip")
    assert split.ids == [f"word_{i}.png" for i in range(1, 12)]
    assert split.labels == WORDS


def test_a_label_file_named_by_the_user_wins(
    tmp_path: Path, home: Path, small: Callable[..., None]
) -> None:
    small(svtp_test=1)
    write(tmp_path, {"gt.txt": "1_1_0_par.jpg HOTEL\n", "par1/1_1_0_par.jpg": png(1)})
    write(tmp_path, {"mended.tsv": "par1/1_1_0_par.jpg\tHotel.\n"})
    (split,) = prepare("svtp", tmp_path / "mended.tsv")
    assert split.labels == ["Hotel."]
    assert split.manifest.labels == "case-sensitive"
    assert split.ids == ["1_1_0_par.jpg"], "the id does not depend on the copy"
    (split,) = prepare("svtp", tmp_path, replace=True)
    assert split.labels == ["HOTEL"]


def test_ic13_rule() -> None:
    assert [keeps("ic13_1015/test", w) for w in ("A", "10,000", "CAFÉ")] == [True, False, False]
    assert [keeps("ic13_857/test", w) for w in ("UK", "the", "a b")] == [False, True, False]
    assert all(keeps("ic13_1095/test", w) for w in ("A", "10,000", "CAFÉ"))


# --- LMDBs ---------------------------------------------------------------------------------------


def test_a_row_without_quotes_in_a_list_with_them_is_told() -> None:
    with pytest.raises(StrbenchError, match=r"gt\.txt, line 3: .*double quotes.*word_9"):
        read_rows(b'word_1.png, "a"\nword_2.png, "b, c"\nword_9.png, d\n', "gt.txt")
    # the other way round quotes are part of a label
    rows = read_rows(b'word_1.png, "a"\nword_2.png, b\nword_9.png, d\n', "gt.txt")
    assert [row.text for row in rows] == ['"a"', "b", "d"]


def test_a_csv_label_with_a_bare_comma_is_not_cut() -> None:
    header = b"file_name,text\n"
    assert [row.text for row in read_rows(header + b'a.png,"10,000"\n', "a.csv")] == ["10,000"]
    with pytest.raises(StrbenchError, match="line 3: more fields than the header names"):
        read_rows(header + b"b.png,yes\na.png,10,000\n", "a.csv")


def test_lmdb_is_adopted_in_place(tmp_path: Path, home: Path, small: Callable[..., None]) -> None:
    small(svtp_test=2)
    folder = write_lmdb(tmp_path / "SVTP", ["WYNDHAM", "HOTEL"])
    before = (folder / "data.mdb").read_bytes()
    (split,) = prepare("svtp", folder / "data.mdb")
    assert split.lmdb_path == folder
    assert split.manifest.labels == "standard"
    assert (folder / "data.mdb").read_bytes() == before
    assert not (split_directory("svtp/test") / "data.mdb").exists()


def test_case_sensitive_lmdb_is_recognised(
    tmp_path: Path, home: Path, small: Callable[..., None]
) -> None:
    small(svtp_test=2)
    folder = write_lmdb(tmp_path / "x", ["Wyndham", "Hotel."])
    (split,) = prepare("svtp/test", folder)
    assert split.manifest.labels == "case-sensitive"
    (split,) = prepare("svtp/test", folder, labels="standard", replace=True)
    assert split.manifest.labels == "standard"
    assert any("'case-sensitive'" in note for note in split.manifest.notes)
    with pytest.raises(StrbenchError, match="no label variant 'mine'"):
        prepare("svtp/test", folder, labels="mine", replace=True)


def test_lmdb_of_another_size_names_its_dataset(
    tmp_path: Path, home: Path, small: Callable[..., None]
) -> None:
    small(ic15_1811_test=2, ic15_2077_test=4)
    folder = write_lmdb(tmp_path / "some", "abcd")
    with pytest.raises(StrbenchError, match=r"expected 2 samples .* found 4") as caught:
        prepare("ic15_1811", folder)
    assert "ic15_2077/test" in caught.value.hint
    assert caught.value.exit_code == 3
    assert prepared_splits() == []
    (split,) = prepare("ic15", folder)
    assert split.name == "ic15_2077/test"


def test_pack_of_lmdbs_is_read_by_folder_names(
    tmp_path: Path, home: Path, small: Callable[..., None]
) -> None:
    small(host_test=2, wost_test=2, svtp_test=2)
    write_lmdb(tmp_path / "OST" / "heavy", "ab")
    write_lmdb(tmp_path / "OST" / "weak", "cd", first=50)
    write_lmdb(tmp_path / "SVTP", "ef")
    assert [(s.name, s.labels) for s in prepare("ost", tmp_path)] == [
        ("host/test", ["a", "b"]),
        ("wost/test", ["c", "d"]),
    ]
    with pytest.raises(StrbenchError, match="name is that of wost/test"):
        prepare("host/test", tmp_path / "OST" / "weak", replace=True)
    with pytest.raises(StrbenchError, match="fit host/test and wost/test"):
        prepare("ost", (tmp_path / "OST" / "heavy").rename(tmp_path / "other"), replace=True)


def test_lmdb_inside_an_archive_is_copied(
    tmp_path: Path, home: Path, small: Callable[..., None]
) -> None:
    small(svtp_test=2)
    folder = write_lmdb(tmp_path / "SVTP", "ab")
    with zipfile.ZipFile(tmp_path / "svtp_lmdb.zip", "w", zipfile.ZIP_DEFLATED) as bundle:
        bundle.write(folder / "data.mdb", "SVTP/data.mdb")
    (split,) = prepare("svtp", tmp_path / "svtp_lmdb.zip")
    assert split.lmdb_path == split_directory("svtp/test")
    assert split.ids == ["000000001", "000000002"]
    split.verify()


def test_damaged_lmdbs_are_named(tmp_path: Path, home: Path, small: Callable[..., None]) -> None:
    small(svtp_test=2)
    with pytest.raises(StrbenchError, match="1 of 2 labels are missing"):
        prepare("svtp", write_lmdb(tmp_path / "a", ["x", None]))
    write(tmp_path / "b", {"data.mdb": b"no database"})
    with pytest.raises(StrbenchError, match="not a readable LMDB"):
        prepare("svtp", tmp_path / "b")


# --- folders as people have them -----------------------------------------------------------------

ROWS = [("b/2.png", "two words"), ("b/10.png", "ten"), ("b/1.png", "O'NE")]
IMAGES: dict[str, bytes | str] = {path: png(i) for i, (path, _) in enumerate(ROWS)}
LISTS = {
    "labels.tsv": "".join(f"{p}\t{t}\n" for p, t in ROWS),
    "gt.txt": "\ufeff" + "".join(f"{p}\t{t}\r\n" for p, t in ROWS),
    "rec_gt_test.txt": "".join(f"b/../b/{p[2:]}\t{t}\n" for p, t in ROWS),
    "parseq.txt": "".join(f"{p} {t}\n" for p, t in ROWS),
    "icdar.txt": "".join(f'{p}, "{t}"\n' for p, t in ROWS),
    "mmocr1.json": _mmocr(ROWS),
    "mmocr0.jsonl": "".join(json.dumps({"filename": p, "text": t}) + "\n" for p, t in ROWS),
    "metadata.csv": "file_name,text\n" + "".join(f'{p},"{t}"\n' for p, t in ROWS),
    "elsewhere.txt": "".join(f"/data/train/{p}\t{t}\n" for p, t in ROWS),
    "windows.txt": "".join(p.replace("/", "\\") + f"\t{t}\n" for p, t in ROWS),
}


@pytest.mark.parametrize("name", LISTS)
def test_label_files_of_every_kind(tmp_path: Path, home: Path, name: str) -> None:
    (split,) = prepare("mine/test", write(tmp_path / "d", {**IMAGES, name: LISTS[name]}))
    assert split.ids == [path for path, _ in ROWS]
    assert split.labels == [text for _, text in ROWS]
    assert [split.image(i) for i in range(3)] == list(IMAGES.values())
    assert split.manifest.labels == "custom"


def test_label_file_may_be_named_and_lie_apart(tmp_path: Path, home: Path) -> None:
    write(tmp_path / "d", {**{f"imgs/{k}": v for k, v in IMAGES.items()}, "notes.txt": "hello all"})
    write(tmp_path / "d", {"annotations/a.txt": LISTS["parseq.txt"], "annotations/b.txt": "x y"})
    with pytest.raises(StrbenchError, match="missing"):
        prepare("mine/test", tmp_path / "d")  # takes notes.txt for the labels
    (split,) = prepare("mine/test", tmp_path / "d" / "annotations" / "a.txt")
    assert split.labels == [text for _, text in ROWS]


def test_two_label_files_must_be_told_apart(tmp_path: Path, home: Path) -> None:
    write(tmp_path, {**IMAGES, "x.txt": LISTS["gt.txt"], "y.txt": LISTS["gt.txt"]})
    with pytest.raises(StrbenchError, match=r"2 files that may be the labels: x\.txt, y\.txt"):
        prepare("mine/test", tmp_path)


@pytest.mark.parametrize(("images", "texts"), [("IMG", "label"), ("images", "gt"), ("a", "a")])
def test_text_file_per_image(tmp_path: Path, home: Path, images: str, texts: str) -> None:
    labels = {1: "one\n", 2: "two\r\nsecond line", 10: "ten"}
    write(tmp_path, {f"{images}/{i}.jpg": png(i) for i in labels})
    write(tmp_path, {f"{texts}/{i}.txt": text for i, text in labels.items()})
    (split,) = prepare("mine/test", tmp_path)
    assert split.ids == [f"{images}/{i}.jpg" for i in (1, 2, 10)]
    assert split.labels == ["one", "two", "ten"]


def test_archive_of_a_folder(tmp_path: Path, home: Path) -> None:
    with zipfile.ZipFile(tmp_path / "mine.zip", "w") as bundle:
        for name, data in {**IMAGES, "labels.tsv": LISTS["labels.tsv"]}.items():
            bundle.writestr(f"top/{name}", data)
        bundle.writestr("__MACOSX/top/._1.png", b"junk")
    (split,) = prepare("mine/test", tmp_path / "mine.zip")
    assert split.n == 3
    assert split.ids[0] == "top/b/2.png"


def test_unlabelled_images(tmp_path: Path, home: Path) -> None:
    (split,) = prepare("mine/unlabelled", write(tmp_path / "d", IMAGES), unlabelled=True)
    assert split.ids == ["b/1.png", "b/2.png", "b/10.png"]
    assert split.labels == [None] * 3
    assert split.manifest.labels == "none"
    with pytest.raises(StrbenchError, match="labelled dataset"):
        prepare("cute80/test", tmp_path / "d", unlabelled=True)


def test_same_files_give_the_same_split(tmp_path: Path, home: Path) -> None:
    folder = write(tmp_path / "d", {**IMAGES, "labels.tsv": LISTS["labels.tsv"]})
    (a,) = prepare("mine/a", folder)
    (b,) = prepare("mine/b", folder)
    assert a.fingerprint == b.fingerprint
    assert a.ids == b.ids


def _changed(change: dict[str, bytes | str | None]) -> dict[str, bytes | str]:
    files: dict[str, Any] = {**IMAGES, "labels.tsv": LISTS["labels.tsv"], **change}
    return {name: data for name, data in files.items() if data is not None}


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"b/10.png": None}, r"labels\.tsv: images that are missing \(1\): b/10\.png \(line 2\)"),
        ({"b/11.png": png(9)}, r"images without a label \(1\): b/11\.png"),
        ({"b/10.png": b""}, r"b/10\.png: empty file"),
        ({"b/10.png": png(3)[:40]}, r"b/10\.png: not a readable image"),
        ({"b/10.png": b"GIF no"}, r"b/10\.png: not a readable image"),
        ({"labels.tsv": "b/2.png\tok\nb/1.png\t\xe9".encode("latin-1")}, r"labels\.tsv, line 2: not UTF-8"),
        ({"labels.tsv": LISTS["labels.tsv"] + "b/1.png\tagain\n"}, r"named twice \(1\): b/1\.png"),
        ({"labels.tsv": "b/2.png\ta\nb/10.png\n"}, r"line 2: expected a tab"),
        ({"labels.tsv": "b/2.png\ta\nb/10.png\t\n"}, r"line 2: expected a label behind the tab"),
        ({"labels.tsv": None}, "no label file was found beside 3 images"),
        ({"labels.tsv": ""}, "no sample was found"),
        ({"labels.tsv": None, "l.jsonl": '{"filename": "b/1.png", "text": "a"}\n{"x'}, "line 2: not JSON"),
        ({"labels.tsv": None, "l.json": '{"metainfo": {"dataset_type": "TextDetDataset"}, "data_list": []}'}, "TextDetDataset"),
        ({"labels.tsv": None, "l.json": '{"metainfo": ["a"], "data_list": []}'}, "no sample was found"),
    ],
)  # fmt: skip
def test_faults_are_named_and_nothing_is_left(
    tmp_path: Path, home: Path, change: dict[str, bytes | str | None], match: str
) -> None:
    folder = write(tmp_path / "d", _changed(change))
    with pytest.raises(StrbenchError, match=match) as caught:
        prepare("mine/test", folder)
    assert caught.value.exit_code == 3
    assert not split_directory("mine/test").exists()
    assert prepared_splits() == []


@pytest.mark.parametrize(
    ("files", "match"),
    [
        ({"label/2.txt": "two"}, r"images without a text file \(1\): IMG/1\.jpg"),
        (
            {"label/1.txt": "a", "label/2.txt": "b", "label/3.txt": "c"},
            "text files without an image",
        ),
        ({"label/1.txt": " \n", "label/2.txt": "b"}, r"1\.txt: the label is empty"),
        ({"label/1.txt": b"\xff", "label/2.txt": "b"}, r"1\.txt, line 1: not UTF-8"),
    ],
)
def test_faults_of_text_files_per_image(
    tmp_path: Path, home: Path, files: dict[str, bytes | str], match: str
) -> None:
    write(tmp_path, {"IMG/1.jpg": png(1), "IMG/2.jpg": png(2), **files})
    with pytest.raises(StrbenchError, match=match):
        prepare("mine/test", tmp_path)


def test_images_are_never_taken_from_a_folder_that_fits_by_chance(
    tmp_path: Path, home: Path
) -> None:
    train = {f"train/word_{i}.png": png(i) for i in range(1, 5)}
    test = {f"test/word_{i}.png": png(100 + i) for i in range(1, 3)}
    write(tmp_path, {**train, **test, "gt.txt": "word_1.png\ta\nword_2.png\tb\n"})
    (split,) = prepare("mine/test", tmp_path)
    assert split.image(0) == png(101), "the folder of as many images as there are rows"
    write(tmp_path, {f"again/word_{i}.png": png(200 + i) for i in range(1, 3)})
    with pytest.raises(StrbenchError, match="lie in several folders"):
        prepare("mine/test", tmp_path, replace=True)


def test_prepared_split_is_not_overwritten(tmp_path: Path, home: Path) -> None:
    folder = write(tmp_path / "d", _changed({}))
    prepare("mine/test", folder)
    with pytest.raises(StrbenchError, match="prepared already") as caught:
        prepare("mine/test", folder)
    assert "--replace" in caught.value.hint
    prepare("mine/test", folder, replace=True)


def test_unfinished_download_is_not_read(tmp_path: Path, home: Path) -> None:
    (tmp_path / "svtp.zip.part").write_bytes(b"PK")
    with pytest.raises(StrbenchError, match="unfinished download"):
        prepare("svtp", tmp_path / "svtp.zip.part")
    with pytest.raises(StrbenchError, match="does not exist"):
        prepare("svtp", tmp_path / "svtp.zip")


_IMPORT = """
import sys
from pathlib import Path
import strbench.store as store
from strbench.datasets import prepare
from strbench.errors import StrbenchError
from strbench.types import Sample
if len(sys.argv) > 2:  # slow: the parent kills us half-way
    import time
    from strbench.datasets.tree import Tree
    read = Tree.read
    def slow(tree, name):
        if name.endswith(".png"):
            Path(sys.argv[2]).touch()
            time.sleep(0.05)
        return read(tree, name)
    Tree.read = slow
try:
    prepare("mine/test", Path(sys.argv[1]))
except StrbenchError as error:
    print(error, file=sys.stderr)
    sys.exit(error.exit_code)
"""


def _many(folder: Path, n: int = 60) -> Path:
    rows = "".join(f"{i}.png\tw{i}\n" for i in range(n))
    return write(folder, {**{f"{i}.png": png(i) for i in range(n)}, "labels.tsv": rows})


def test_killed_import_leaves_nothing_and_can_be_repeated(tmp_path: Path, home: Path) -> None:
    folder, mark = _many(tmp_path / "d"), tmp_path / "begun"
    process = subprocess.Popen([sys.executable, "-c", _IMPORT, str(folder), str(mark)])
    deadline = time.monotonic() + 30
    while not mark.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.3)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert prepared_splits() == []
    with pytest.raises(StrbenchError, match="not prepared"):
        find_split("mine/test")
    (split,) = prepare("mine/test", folder)
    assert split.n == 60
    split.verify()
    left = {p.name for p in (home / "data" / "mine").iterdir()}
    assert left <= {"test", ".test.lock"}


def test_two_imports_at_once_give_one_whole_split(tmp_path: Path, home: Path) -> None:
    folder = _many(tmp_path / "d", 16)
    command = [sys.executable, "-c", _IMPORT, str(folder), str(tmp_path / "begun")]
    pair = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    errors = [process.communicate(timeout=60)[1] for process in pair]
    codes = [process.returncode for process in pair]
    assert 0 in codes
    for code, error in zip(codes, errors, strict=True):
        assert code == 0 or "exists already" in error or "another process" in error, error
    find_split("mine/test").verify()


# --- obtaining -----------------------------------------------------------------------------------


@pytest.fixture
def offered(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., list[str]]:
    """SVTP of two words, offered at file addresses; returns what was said."""
    folder = write_lmdb(tmp_path / "web" / "SVTP", ["A", "B"])
    data = (folder / "data.mdb").read_bytes()
    (tmp_path / "web" / "list.zip").write_bytes(b"<!DOCTYPE html><title>Log in</title>")

    def offer(*urls: str) -> list[str]:
        import hashlib

        spec = registry.load("datasets", "svtp")
        remote = Remote(file="SVTP/data.mdb", urls=urls, sha256=(hashlib.sha256(data).hexdigest(),))
        source = Source(title="web", access="direct", splits=("svtp/test",), files=(remote,))
        split = replace(spec.splits[0], n=2)
        changed = replace(spec, splits=(split,), sources=(source,))
        real = registry.load
        monkeypatch.setattr(
            registry, "load", lambda kind, name: changed if name == "svtp" else real(kind, name)
        )
        return [(tmp_path / "web" / n).as_uri() for n in ("SVTP/data.mdb", "list.zip")]

    return offer


def test_obtain_downloads_prepares_and_is_content_the_second_time(
    offered: Callable[..., list[str]], tmp_path: Path, home: Path
) -> None:
    good = (tmp_path / "web" / "SVTP" / "data.mdb").as_uri()
    bad = (tmp_path / "web" / "list.zip").as_uri()
    offered(bad, good)
    with pytest.raises(StrbenchError, match="not accepted yet"):
        datasets.obtain("svtp")
    (split,) = datasets.obtain("svtp", accept_licence=True)
    assert split.n == 2
    assert split.lmdb_path == home / "raw" / "svtp" / "SVTP"
    assert split.manifest.sources[0]["checked"] is True
    said: list[str] = []
    (again,) = datasets.obtain("svtp", say=said.append)
    assert again.fingerprint == split.fingerprint
    assert "prepared already" in said[0]


def test_obtain_says_which_file_to_bring(
    offered: Callable[..., list[str]], tmp_path: Path, home: Path
) -> None:
    offered((tmp_path / "web" / "list.zip").as_uri())
    with pytest.raises(StrbenchError, match="titled 'Log in'") as caught:
        datasets.obtain("svtp", accept_licence=True)
    hint = caught.value.hint
    assert "SVTP/data.mdb from file:" in hint
    assert f"into {home}/raw/svtp/" in hint
    assert "strbench data fetch svtp/test --offline" in hint
    # The user follows the advice.
    write(home / "raw" / "svtp", {"SVTP/data.mdb": (tmp_path / "web/SVTP/data.mdb").read_bytes()})
    (split,) = datasets.obtain("svtp", offline=True)
    assert split.n == 2


def test_obtain_takes_what_was_dropped_in_under_another_name(
    offered: Callable[..., list[str]], tmp_path: Path, home: Path
) -> None:
    offered("http://127.0.0.1:1/never")
    write(home / "raw" / "svtp", {"gt.txt": "1_1_0_par.jpg A\n1_1_1_par.jpg B\n"})
    write(home / "raw" / "svtp", {f"par1/1_1_{i}_par.jpg": png(i) for i in range(2)})
    (split,) = datasets.obtain("svtp", accept_licence=True)
    assert split.labels == ["A", "B"]


def test_obtain_from_an_address_of_the_users_own(
    offered: Callable[..., list[str]], tmp_path: Path, home: Path
) -> None:
    offered("http://127.0.0.1:1/never")
    url = (tmp_path / "web" / "SVTP" / "data.mdb").as_uri()
    (split,) = datasets.obtain("svtp", accept_licence=True, source=url)
    assert split.manifest.sources[0]["url"] == url
    assert split.manifest.sources[0]["checked"] is True  # a known name keeps its checksum
    with pytest.raises(StrbenchError, match="sources 1 to 1, not 7"):
        datasets.obtain("svtp", accept_licence=True, source="7", root=tmp_path / "other")


# --- real files ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "path", "split", "n", "labels", "first"),
    [
        pytest.param("iiit5k/train", "recognition/iiit5k_train", "iiit5k/train", 2000, "standard", "train/1009_2.png", marks=pytest.mark.slow),
        pytest.param("ic15", "recognition/ic15_word_train", "ic15/train", 4468, "standard", "word_1.png", marks=pytest.mark.slow),
        ("svt/train", "recognition/svt_word_train", "svt/train", 257, "case-sensitive", "IMG/1.jpg"),
        ("ic15_2077", "recognition/ic15_word_test", "ic15_2077/test", 2077, "standard", "word_1.png"),
        ("svt", "recognition/svt_word_test", "svt/test", 647, "case-sensitive", "IMG/1.jpg"),
        ("cute80", "recognition/cute80_word", "cute80/test", 288, "case-sensitive", "IMG/1.jpg"),
        ("svt", "recognition_lmdb/svt", "svt/test", 647, "standard", "000000001"),
    ],
)  # fmt: skip
def test_real_folders(
    shared: Path, home: Path, name: str, path: str, split: str, n: int, labels: str, first: str
) -> None:
    (made,) = prepare(name, shared / "real" / path)
    assert (made.name, made.n, made.manifest.labels) == (split, n, labels)
    assert made.ids[0] == first
    tsv = shared / "real" / path / "labels.tsv"
    if tsv.exists():
        rows = [line.split("\t") for line in tsv.read_text(encoding="utf-8").split("\n") if line]
        place = {path_.rpartition("/")[2]: label for path_, label in rows}
        assert {
            i.rpartition("/")[2]: label for i, label in zip(made.ids, made.labels, strict=True)
        } == place
        assert len(place) == n
        image = next(p for p, _ in rows if p.endswith(made.ids[0].rpartition("/")[2]))
        assert made.image(0) == (shared / "real" / path / image).read_bytes()


@pytest.mark.parametrize(("folder", "n"), [("cute80_word", 288), ("svt_word_train", 257)])
def test_real_text_files_per_image(
    shared: Path, home: Path, tmp_path: Path, folder: str, n: int
) -> None:
    source = shared / "real" / "recognition" / folder
    (tmp_path / "d").mkdir()
    for part in ("IMG", "label"):
        write(
            tmp_path / "d", {f"{part}/{p.name}": p.read_bytes() for p in (source / part).iterdir()}
        )
    (split,) = prepare("mine/test", tmp_path / "d")
    expected = (source / "labels.tsv").read_text(encoding="utf-8").split("\n")[:-1]
    assert [f"{i}\t{t}" for i, t in zip(split.ids, split.labels, strict=True)] == expected
    assert split.n == n


def test_real_ic15_words_know_their_photographs(shared: Path, home: Path, tmp_path: Path) -> None:
    words = shared / "real" / "recognition" / "ic15_word_test"
    photos = shared / "real" / "detection" / "ic15_test" / "Gts"
    (split,) = prepare("ic15_2077", [words, photos])
    legible = {
        path.stem.removeprefix("gt_")
        for path in photos.glob("gt_img_*.txt")
        if any(not line.endswith("###") for line in path.read_text("utf-8-sig").split("\n") if line)
    }
    assert set(split.groups) == legible
    lines = (photos / f"gt_{split.groups[-1]}.txt").read_text("utf-8-sig").split("\n")
    assert split.labels[-1] in {line.split(",", 8)[-1].strip() for line in lines}


def test_real_ic15_1811_is_not_made_from_2077(shared: Path, home: Path) -> None:
    with pytest.raises(StrbenchError, match=r"expected 1811 .* found 2077") as caught:
        prepare("ic15_1811", shared / "real" / "recognition" / "ic15_word_test")
    assert "ic15_2077/test" in caught.value.hint


def test_real_iiit5k_mat_has_the_labels_of_the_tags(shared: Path) -> None:
    pytest.importorskip("scipy.io")
    folder = shared / "real" / "annotations" / "iiit5k"
    mat = next(folder.rglob("trainCharBound.mat"))
    tags = next(folder.rglob("train.tags"))
    rows = iiit5k.mat_rows(mat.read_bytes(), "trainCharBound", "chars", str(mat))
    assert len(rows) == 2000
    assert [row[:2] for row in rows] == [row[:2] for row in read_rows(tags.read_bytes(), str(tags))]
    assert sum(row.text != row.text.upper() for row in rows) == 839


def test_real_svt_xml_has_the_labels_of_the_lmdb(shared: Path, home: Path) -> None:
    xml = next((shared / "real" / "annotations" / "svt").rglob("test.xml"))
    words = svt.read_words(xml.read_bytes(), str(xml))
    assert len(words) == 647
    assert len({word.photo for word in words}) == 249
    assert next(word for word in words if word.x < 0 or word.y < 0).photo == "img/04_13.jpg"
    (split,) = prepare("svt/test", shared / "real" / "recognition_lmdb" / "svt")
    assert [word.text for word in words] == split.labels


def test_real_ic13_words_and_rule(shared: Path) -> None:
    folder = shared / "real" / "annotations" / "icdar2013"
    words: list[str] = []
    with zipfile.ZipFile(next(folder.rglob("gt_IC13.zip"))) as bundle:
        names = [n for n in bundle.namelist() if n.endswith(".txt")]
        assert len(names) == 233
        for name in names:
            words += photo_words(bundle.read(name).decode("utf-8-sig"))
    counts = {s: sum(keeps(s, w) for w in words) for s in
              ("ic13_1095/test", "ic13_1015/test", "ic13_857/test")}  # fmt: skip
    assert counts == {"ic13_1095/test": 1095, "ic13_1015/test": 1015, "ic13_857/test": 857}


def test_real_label_variants_differ_as_published(shared: Path, home: Path) -> None:
    (standard,) = prepare("svt/test", shared / "real" / "recognition_lmdb" / "svt")
    (cased,) = prepare("mine/test", shared / "real" / "recognition" / "svt_word_test")
    result = diff(standard, cased)
    assert result.same + len(result.relabelled) + len(result.only_a) == 647
    folded = ["".join(c for c in label.lower() if c.isalnum()) for label in cased.labels if label]
    pairs = zip(standard.labels, folded, strict=True)
    assert sum(a.lower() != b for a, b in pairs if a) == 7  # as counted for baudm's fork


def test_diff_pairs_images_by_pixels(tmp_path: Path, home: Path) -> None:
    a = {"1.png": png(1), "2.png": png(2), "3.png": png(3), "same.png": png(2)}
    b = {"x.png": png(2), "y.png": png(1), "z.png": png(4)}
    write(
        tmp_path / "a", {**a, "labels.tsv": "1.png\tone\n2.png\ttwo\n3.png\tthree\nsame.png\ttwo\n"}
    )
    write(tmp_path / "b", {**b, "labels.tsv": "x.png\ttwo\ny.png\tOne!\nz.png\tfour\n"})
    (first,) = prepare("mine/a", tmp_path / "a")
    (second,) = prepare("mine/b", tmp_path / "b")
    result = diff(first, second)
    assert result.same == 1
    assert [(p.a, p.b, p.label_a, p.label_b) for p in result.relabelled] == [
        ("1.png", "y.png", "one", "One!")
    ]
    assert result.folded() == 0
    assert result.only_a == [("3.png", "three"), ("same.png", "two")]
    assert result.only_b == [("z.png", "four")]
    itself = diff(first, first)
    assert (itself.same, itself.relabelled, itself.only_a, itself.only_b) == (first.n, [], [], [])


def test_tree_hides_what_is_no_data(tmp_path: Path) -> None:
    write(tmp_path, {"a.png": b"", ".hidden.png": b"", "b.zip.part": b"", "__MACOSX/c.png": b""})
    assert list(Tree.of(tmp_path).files) == ["a.png"]


def test_split_spec_names_are_splits() -> None:
    for spec in specs():
        for split in spec.splits:
            assert isinstance(split, SplitSpec)
            split_directory(split.name)
