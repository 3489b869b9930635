"""Images that come in twos: super-resolution pairs and text masks, a user's own and the public ones."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import lmdb
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from layouts import picture
from layouts.segmentation import ANNO, ROWS, colours, labels
from layouts.superres import pairs_lmdb
from PIL import Image

from strbench.annotations.character_masks import read_characters, read_colour_mask, words
from strbench.annotations.label_images import MASK_VALUES, TEXTSEG_VALUES, read_levels, to_mask
from strbench.annotations.textseg import read_textseg
from strbench.datasets import prepare
from strbench.datasets.mlt_s import parse as parse_mlt_s
from strbench.datasets.textseg import parse as parse_textseg
from strbench.datasets.textseg_words import parse as parse_textseg_words
from strbench.datasets.textzoom import parse as parse_textzoom
from strbench.datasets.tree import Tree
from strbench.errors import DATA, StrbenchError
from strbench.loading import decode
from strbench.masks import decode_mask
from strbench.store import Split, prepared_splits


def write(root: Path, files: Mapping[str, bytes | str]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return root


def high(number: int) -> bytes:
    return picture(number, 32, 16)


def low(number: int) -> bytes:
    return picture(number, 16, 8)


def superres(path: Path) -> Split:
    return prepare("mine/test", path, task="super-resolution")[0]


def segmentation(path: Path) -> Split:
    return prepare("mine/test", path, task="segmentation")[0]


# --- pairs ---------------------------------------------------------------------------------------


def test_list_of_pairs(tmp_path: Path, home: Path) -> None:
    rows = "a/1.png\tb/1.png\tOne, 2\na/2.png\tb/2.png\t\na/3.png\tb/3.png\n"
    files = {f"a/{i}.png": low(i) for i in (1, 2, 3)} | {f"b/{i}.png": high(i) for i in (1, 2, 3)}
    (split,) = prepare("mine/test", write(tmp_path / "x", {**files, "pairs.tsv": rows}))
    assert split.manifest.task == "super-resolution"
    assert [s.id for s in split.samples()] == ["b/1.png", "b/2.png", "b/3.png"]
    assert [s.label for s in split.samples()] == ["One, 2", "", None]
    assert [(s.image, s.low) for s in split.samples()] == [(high(i), low(i)) for i in (1, 2, 3)]
    split.verify()


@pytest.mark.parametrize(
    ("highs", "lows"),
    [
        ("HR/{}.png", "LR/{}.png"),
        ("train/hr/{}.png", "train/lr/{}.png"),
        ("image_hr-{:09d}.png", "image_lr-{:09d}.png"),
        ("{}_HR.png", "{}_LR.png"),
        ("hr_and_lr/HR/{}_hr.png", "hr_and_lr/LR/{}_lr.png"),
    ],
)
def test_names_tell_the_halves(tmp_path: Path, home: Path, highs: str, lows: str) -> None:
    files = {highs.format(i): high(i) for i in (2, 10)} | {lows.format(i): low(i) for i in (2, 10)}
    split = superres(write(tmp_path / "x", files))
    assert [(s.id, s.image, s.low, s.label) for s in split.samples()] == [
        (highs.format(i), high(i), low(i), None) for i in (2, 10)
    ]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("labels.tsv", "hr/1.png\tA b\nhr/2.png\tC\n"),
        ("hr/labels.txt", "1.png\tA b\n2.png\tC\n"),
        ("labels.tsv", "1.png\tA b\n2.png\tC\n"),
        ("label_hr.txt", "./data/x/hr/1.png;A b\n./data/x/hr/2.png;C\n"),
    ],
)
def test_labels_beside_the_pairs(tmp_path: Path, home: Path, name: str, text: str) -> None:
    files = {f"hr/{i}.png": high(i) for i in (1, 2)} | {f"lr/{i}.png": low(i) for i in (1, 2)}
    other = {"label_lr.txt": text.replace("hr", "lr")} if name == "label_hr.txt" else {}
    split = superres(write(tmp_path / "x", {**files, **other, name: text}))
    assert split.labels == ["A b", "C"]


_TWO = {"hr/1.png": high(1), "lr/1.png": low(1), "hr/2.png": high(2), "lr/2.png": low(2)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lr/2.png": None}, r"without a low-resolution one \(1\): hr/2.png"),
        ({"hr/2.png": None}, r"without a high-resolution one \(1\): lr/2.png"),
        ({"x.png": high(3)}, "neither hr nor lr is in the path of x.png"),
        ({"hr/1.jpg": high(3)}, "hr/1.jpg and hr/1.png are the same half"),
        ({"labels.tsv": "hr/1.png\tA\n"}, r"1 pairs have no label, for example hr/2\.png"),
        ({"labels.tsv": "hr/1.png\tA\nhr/9.png\tB\n"}, r"images that are missing \(1\): hr/9\.png"),
        (dict.fromkeys(_TWO), "holds no images"),
({"hr/1.png": low(1), "lr/1.png": high(1), "hr/2.png": low(2), "lr/2.png": high(2)},
         "is the larger one in 2 of 2 pairs"),
        ({"pairs.tsv": "lr/1.png\thr/1.png\nlr/2.png\n"}, r"pairs\.tsv, line 2: expected low TAB"),
        ({"pairs.tsv": "lr/1.png\thr/3.png\n"}, r"images that are missing \(1\): hr/3\.png"),
        ({"pairs.tsv": "lr/1.png\thr/1.png\nlr/2.png\thr/1.png\n"}, "named twice"),
        ({"pairs.tsv": "\n"}, "the list is empty"),
        ({"pairs.tsv": "", "x/pairs.tsv": ""}, "holds 2 lists of pairs"),
        ({"lr/2.png": b"no image"}, "1 images cannot be read, for example hr/2.png"),
    ],
)  # fmt: skip
def test_faults_of_pairs(
    tmp_path: Path, home: Path, change: dict[str, bytes | str | None], message: str
) -> None:
    files = {name: data for name, data in {**_TWO, **change}.items() if data is not None}
    with pytest.raises(StrbenchError, match=message) as caught:
        superres(write(tmp_path / "x", {"readme.md": "", **files}))
    assert caught.value.exit_code == DATA
    assert not prepared_splits()


# --- TextZoom ------------------------------------------------------------------------------------


def test_training_pairs_keep_their_part_in_the_id(tmp_path: Path) -> None:
    one, two = pairs_lmdb(2), pairs_lmdb(1, first=2)
    root = write(tmp_path, {"train1/data.mdb": one, "train2/data.mdb": two})
    samples = list(parse_textzoom(Tree.of(root), "textzoom/train") or ())
    assert [s.id for s in samples] == ["train1/000000001", "train1/000000002", "train2/000000001"]
    assert [s.label for s in samples] == ["Word1", "", ""]
    assert samples[2].low == picture(3, 32, 8)
    (root / "train2/data.mdb").unlink()
    with pytest.raises(StrbenchError, match="expected the LMDBs train1 and train2"):
        parse_textzoom(Tree.of(root), "textzoom/train")


def test_own_lmdb_of_pairs_is_known_by_its_keys(tmp_path: Path, home: Path) -> None:
    (split,) = prepare("mine/test", write(tmp_path / "x", {"data.mdb": pairs_lmdb(3)}))
    assert (split.manifest.task, split.labels) == ("super-resolution", ["Word1", "Word2", ""])
    assert split.lmdb_path == (tmp_path / "x").resolve()
    split.verify()


def test_lmdb_without_its_low_images_is_refused(tmp_path: Path, home: Path) -> None:
    folder = write(tmp_path / "x", {"data.mdb": pairs_lmdb(3)})
    with lmdb.open(str(folder)) as env, env.begin(write=True) as transaction:
        transaction.delete(b"image_lr-000000002")
    with pytest.raises(StrbenchError, match="image_lr-000000002 is missing"):
        prepare("mine/test", folder)


def test_real_pairs_are_one_split_in_every_form(shared: Path, home: Path, tmp_path: Path) -> None:
    source = shared / "real/superres/textzoom_test_easy"
    (split,) = prepare("textzoom/test_easy", source)
    assert (split.n, split.manifest.task) == (1619, "super-resolution")
    assert [i for i, label in enumerate(split.labels, 1) if label == ""] == [892, 893]
    split.verify()
    rows = [row.split("\t") for row in (source / "pairs.tsv").read_text().split("\n") if row]
    with (
        lmdb.open(str(tmp_path / "easy"), map_size=1 << 26) as env,
        env.begin(write=True) as transaction,
    ):
        for i, (low_name, high_name, label) in enumerate(rows, 1):
            transaction.put(b"image_hr-%09d" % i, (source / high_name).read_bytes())
            transaction.put(b"image_lr-%09d" % i, (source / low_name).read_bytes())
            transaction.put(b"label-%09d" % i, label.encode())
        transaction.put(b"num-samples", b"%d" % len(rows))
    (adopted,) = prepare("textzoom", tmp_path / "easy", split="test_easy", root=tmp_path / "other")
    assert adopted.lmdb_path == (tmp_path / "easy").resolve()
    assert adopted.fingerprint == split.fingerprint
    assert list(adopted.samples()) == list(split.samples())


# --- masks ---------------------------------------------------------------------------------------


def stored(split: Split) -> list[list[int]]:
    """The values of the columns that ``labels`` draws, of each mask."""
    return [decode_mask(split.mask(i))[12, [0, 6, 12, 47]].tolist() for i in range(split.n)]


@pytest.mark.parametrize(
    ("masks", "expected", "rule"),
    [
        ([labels(255), labels(0)], [[1, 0, 0, 0], [0, 0, 0, 0]], "255 is text"),
        ([labels(255), labels(1, 2)], [[255, 0, 0, 0], [1, 2, 0, 0]], "1 is text"),
        ([labels(255), labels(100, 200)], [[255, 0, 0, 0], [1, 2, 0, 0]], "100 is text"),
        (
            [labels(160, 90, kind="JPEG"), labels(250, kind="JPEG")],
            [[1, 0, 0, 0], [1, 0, 0, 0]],
            "values above 127 are text",
        ),
    ],
)
def test_all_masks_together_tell_their_values(
    tmp_path: Path, home: Path, masks: list[bytes], expected: list[list[int]], rule: str
) -> None:
    files = {f"images/{i}.jpg": picture(i, kind="JPEG") for i in range(len(masks))}
    files |= {f"masks/{i}.png": mask for i, mask in enumerate(masks)}
    split = segmentation(write(tmp_path / "x", files))
    assert [s.id for s in split.samples()] == ["images/0.jpg", "images/1.jpg"]
    assert stored(split) == expected
    assert rule in split.manifest.notes[0]
    split.verify()


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("Images/Test/img1.jpg", "groundtruth_pixel/Test/img1.jpg"),
        ("1.jpg", "1_mask.png"),
        ("1.jpg", "gt/1.png"),
        ("photos/1.png", "photos/labels/1.png"),
    ],
)
def test_where_masks_lie(tmp_path: Path, home: Path, image: str, mask: str) -> None:
    split = segmentation(write(tmp_path / "x", {image: picture(1), mask: labels(255)}))
    assert (split.ids, stored(split)) == ([image], [[1, 0, 0, 0]])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images/2.jpg": picture(2)}, r"images without a mask \(1\): images/2\.jpg"),
        ({"masks/2.png": labels(255)}, r"masks without an image \(1\): masks/2\.png"),
        ({"masks/1.png": None}, "no masks were found beside 1 images"),
        ({"masks/1.png": labels(255, 7)}, r"found 0, 7, 255 \(see .*masks/1\.png\)"),
        ({"masks/1.png": labels(1, 100)}, r"found 0, 1, 100 \(see .*masks/1\.png\)"),
        ({"masks/1.png": b"x"}, r"masks/1\.png: not a readable image"),
        ({"masks/1.png": colours((9, 9, 8))}, r"masks/1\.png: expected one value a pixel"),
        ({"images/1.jpg": picture(1, 47)}, "the mask is 32x48, its image 32x47"),
        ({"1.jpg": picture(1)}, r"1\.jpg and images/1\.jpg have one name"),
    ],
)
def test_faults_of_masks(
    tmp_path: Path, home: Path, change: dict[str, bytes | None], message: str
) -> None:
    whole = {"images/1.jpg": picture(1), "masks/1.png": labels(255), **change}
    files = {name: data for name, data in whole.items() if data is not None}
    with pytest.raises(StrbenchError, match=message) as caught:
        segmentation(write(tmp_path / "x", files))
    assert caught.value.exit_code == DATA
    assert not prepared_splits()


def _saved(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def test_label_images_of_every_mode() -> None:
    grey = Image.fromarray(np.array([[0, 1], [1, 255]], np.uint8))
    palette = grey.convert("P")
    palette.putpalette([255, 255, 255] * 256)  # what a palette shows does not count
    for image in (grey, palette, grey.convert("LA"), grey.convert("RGB"), grey.convert("RGBA")):
        assert read_levels(_saved(image), "x").tolist() == [[0, 1], [1, 255]]
    assert read_levels(_saved(Image.new("1", (1, 1), 1)), "x").tolist() == [[1]]
    with pytest.raises(StrbenchError, match="expected 8 bits a pixel"):
        read_levels(_saved(Image.new("I;16", (1, 1))), "x")
    with pytest.raises(StrbenchError, match="expected the values 0, 100, 200, 255, found 1"):
        to_mask(read_levels(_saved(grey), "x"), TEXTSEG_VALUES, "x")


# --- ICDAR 2013 FST ------------------------------------------------------------------------------


def test_characters_and_words_of_fst() -> None:
    characters = read_characters(ROWS.encode("utf-8-sig"), "x")
    assert [(c.text, c.word, c.ignored) for c in characters] == [
        ("A", 0, False),
        ('"', 0, False),
        ("c", 1, True),
    ]
    first, second = words(characters, "x")
    assert (first.text, first.ignored, first.annotated) == ('A"', False, (0, 8, 11, 23))
    assert first.polygon == ((0, 8), (11, 8), (11, 23), (0, 23))
    assert first.characters[1] == ((6, 8), (11, 8), (11, 23), (6, 23))
    assert (second.text, second.ignored) == ("c", True)
    assert read_characters(b"\r\n \n", "x") == []


@pytest.mark.parametrize("row", ["1 2 3 4 5 6 7 8 9", '1 2 3 4 5 6 7 8 "a"', '1 2 3,4 5 6 7 8 9 "a"',
                                 '256 0 0 1 1 1 1 1 1 "a"', '1.5 0 0 1 1 1 1 1 1 "a"',
                                 '1 2 3 4 5 nan 7 8 9 "a"'])  # fmt: skip
def test_bad_rows_of_fst_are_named(row: str) -> None:
    with pytest.raises(StrbenchError, match=r"gt_1\.txt, line 2"):
        read_characters(f"\n{row}\n".encode(), "gt_1.txt")


def test_colours_of_fst() -> None:
    painted = colours((250, 0, 0), (0, 0, 250), (9, 9, 9), (255, 255, 255))
    mask = read_colour_mask(painted, read_characters(ROWS.encode(), "x"), "x")
    assert mask[12, [0, 6, 12, 18, 47]].tolist() == [1, 255, 255, 0, 0]
    assert read_colour_mask(painted, None, "x")[12, [0, 6, 12, 18]].tolist() == [1, 1, 1, 0]
    with pytest.raises(StrbenchError, match="do not keep colours"):
        read_colour_mask(labels(0, kind="JPEG"), None, "x")


Fst = Callable[[Mapping[str, bytes | str | None]], Split]


@pytest.fixture
def fst(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Fst:
    """Import a small FST training set with changed files."""
    from dataclasses import replace

    from strbench.datasets import ic13_fst

    spec = ic13_fst.SPEC
    small = replace(spec, splits=tuple(replace(s, n=2) for s in spec.splits))
    monkeypatch.setattr(ic13_fst, "SPEC", small)

    def go(change: Mapping[str, bytes | str | None]) -> Split:
        painted = colours((250, 0, 0))
        whole: dict[str, bytes | str | None] = {
            **{f"images/{i}.jpg": picture(i, kind="JPEG") for i in (100, 101)},
            **{f"GT/{i}_GT.bmp": painted for i in (100, 101)},
            **{f"GT/{i}_GT.txt": ROWS for i in (100, 101)},
            **change,
        }
        files = {name: data for name, data in whole.items() if data is not None}
        return prepare("ic13_fst/train", write(tmp_path / "x", files))[0]

    return go


def test_fst_lists_in_a_folder_of_their_own(fst: Fst) -> None:
    apart: dict[str, bytes | str | None] = {f"GT/{i}_GT.txt": None for i in (100, 101)}
    apart |= {f"chars/{i}_GT.txt": ROWS for i in (100, 101)}
    split = fst(apart)
    assert split.ids == ["100", "101"]
    assert split.manifest.counts == {"regions": 4, "ignored": 2, "characters": 6}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"GT/101_GT.txt": None}, r"masks without a list of characters \(1\): GT/101_GT\.bmp"),
        ({"GT/101_GT.bmp": None}, r"photographs without a mask \(1\): images/101\.jpg"),
        ({"images/101.jpg": None}, r"masks without a photograph \(1\): GT/101_GT\.bmp"),
        ({"GT/101_GT.txt": "?"}, r"101_GT\.txt, line 1: expected R G B"),
    ],
)
def test_faults_of_fst(fst: Fst, change: dict[str, bytes | str | None], message: str) -> None:
    with pytest.raises(StrbenchError, match=message):
        fst(change)


# --- TextSeg, COCO_TS, MLT_S ---------------------------------------------------------------------


def test_words_of_textseg() -> None:
    first, second = read_textseg(ANNO.encode(), "x")
    assert (first.text, len(first.polygon), len(first.characters)) == ("Ab", 5, 2)
    assert (second.text, second.characters) == ("c", ())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", "expected an object of words"),
        ('{"0": {"text": "a"}}', "word 0: expected text and bbox"),
        ('{"0": {"text": 1, "bbox": [1, 2, 3, 4, 5, 6]}}', "word 0: expected a text"),
        ('{"0": {"bbox": [1, 2, 3, 4, 5]}}', "word 0: expected x and y"),
        ('{"0": {"bbox": [1, 2, 3, 4, 5, 6], "char": []}}', "word 0: expected an object"),
        ('{"0": {"bbox": [1, 2, 3, 4, 5, 6], "char": {"1": {"bbox": [1]}}}}', "character 1"),
        ("{", "not readable JSON"),
    ],
)
def test_faults_of_textseg_words(content: str, message: str) -> None:
    with pytest.raises(StrbenchError, match=message):
        read_textseg(content.encode(), "a_anno.json")


def test_versions_of_textseg_lie_beside_each_other(tmp_path: Path) -> None:
    files: dict[str, bytes | str] = {
        "split.json": json.dumps({"train": ["a1"], "val": [], "test": ["a2"]}),
        "image/a1.jpg": picture(1),
        "image/a2.jpg": picture(2),
        "semantic_label/a1_maskfg.png": labels(100),
        "semantic_label_v1/a1_maskfg.png": labels(200),
    }
    tree = Tree.of(write(tmp_path, files))
    for split, value in (("textseg/train", 1), ("textseg_v1/train", 2)):
        (sample,) = parse_textseg(tree, split) or ()
        assert sample.mask is not None
        assert (sample.id, decode_mask(sample.mask)[12, 0], sample.regions) == ("a1", value, None)
    with pytest.raises(StrbenchError, match=r"ids of test without a mask \(1\): .*a2"):
        parse_textseg(tree, "textseg/test")
    with pytest.raises(StrbenchError, match="expected a list of ids under 'new'"):
        parse_textseg(tree, "textseg/new")


def test_words_of_textseg_with_their_masks(tmp_path: Path) -> None:
    box = '{"0": {"text": "Ab", "bbox": [-3, 6.2, 20, 2, 20.5, 30, 1, 40]}, '
    files: dict[str, bytes | str] = {
        "split.json": json.dumps({"train": ["a1"], "val": [], "test": ["a2"]}),
        "image/a1.jpg": picture(1),
        "semantic_label/a1_maskfg.png": labels(100, 200),
        "annotation/a1_anno.json": box
        + '"1": {"text": "x", "bbox": [30, 2, 40, 2, 40, 9]}, '  # no text in its mask
        + '"2": {"text": "c", "bbox": [90, 2, 95, 2, 95, 9]}}',  # beyond the photograph
    }
    (word,) = parse_textseg_words(Tree.of(write(tmp_path, files)), "textseg_words/train") or ()
    assert (word.id, word.group, word.label) == ("a1_0", "a1", None)
    whole = decode(files["image/a1.jpg"])  # type: ignore[arg-type]
    assert word.mask is not None
    mask = decode_mask(word.mask)
    assert np.array_equal(decode(word.image), whole[2:32, 0:21])
    assert mask.shape == (30, 21)
    # columns 0 to 5 are text and 6 to 11 effect, in rows 8 to 23 of the photograph
    assert set(np.unique(mask[6:22, 0:6])) == {1}
    assert set(np.unique(mask[6:22, 6:12])) == {2}
    assert mask.sum() == 16 * 6 * (1 + 2)
    del files["annotation/a1_anno.json"]
    with pytest.raises(StrbenchError, match=r"no ID_anno\.json lies there"):
        parse_textseg_words(Tree.of(write(tmp_path / "bare", files)), "textseg_words/train")


def test_masks_that_coco_text_does_not_know(tmp_path: Path, home: Path) -> None:
    listed = {"imgs": {}, "anns": {}}
    files = {
        "COCO_train2014_000000000001.png": labels(1),
        "COCO_train2014_000000000001.jpg": picture(1, kind="JPEG"),
        "cocotext.v2.json": json.dumps(listed).encode(),
    }
    with pytest.raises(StrbenchError, match=r"that cocotext\.v2\.json does not name \(1\)"):
        prepare("coco_ts/train", write(tmp_path / "x", files))


def test_masks_of_mlt_s_find_their_part(tmp_path: Path) -> None:
    files = {
        "ch8_training_images_3/img_1.png": picture(1),
        "ch8_validation_images/img_1.jpg": picture(2, kind="JPEG"),
        "MLT_S_labels/training_labels/img_1.png": labels(1, 255),
        "MLT_S_labels/validation_labels/img_1.png": labels(1, 255),
    }
    tree = Tree.of(write(tmp_path, files))
    for split, image in (
        ("mlt_s/train", "ch8_training_images_3/img_1.png"),
        ("mlt_s/val", "ch8_validation_images/img_1.jpg"),
    ):
        (sample,) = parse_mlt_s(tree, split) or ()
        assert (sample.id, sample.image) == ("img_1", files[image])
        assert sample.mask is not None
        assert decode_mask(sample.mask)[12, [0, 6, 12]].tolist() == [1, 255, 0]
    files = {"MLT_S_labels/training_labels/img_2.png": labels(1)}
    tree = Tree.of(write(tmp_path, files))
    with pytest.raises(StrbenchError, match=r"masks without an image \(1\): .*labels/img_2\.png"):
        list(parse_mlt_s(tree, "mlt_s/train") or ())


# --- any bytes -----------------------------------------------------------------------------------


@given(
    st.one_of(
        st.binary(max_size=200), st.text(alphabet='0123456789 #"\n\u2028ab.-').map(str.encode)
    )
)
def test_any_characters_are_read_or_refused(data: bytes) -> None:
    try:
        regions = words(read_characters(data, "x"), "x")
    except StrbenchError:
        return
    assert all(len(region.polygon) == 4 for region in regions)


_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=8)
        | st.dictionaries(st.sampled_from(["text", "bbox", "char", "0"]), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(st.one_of(st.binary(max_size=80), _JSON.map(lambda value: json.dumps(value).encode())))
def test_any_words_of_textseg_are_read_or_refused(data: bytes) -> None:
    try:
        regions = read_textseg(data, "x")
    except StrbenchError:
        return
    assert all(len(region.polygon) >= 3 for region in regions)


@given(
    st.sampled_from([labels(1, 2), colours((1, 2, 3)), labels(255, kind="JPEG"), b""]),
    st.integers(0, 400),
    st.binary(max_size=4),
    st.booleans(),
)
def test_any_label_image_is_read_or_refused(
    data: bytes, at: int, patch: bytes, is_cut: bool
) -> None:
    broken = data[:at] + patch + (b"" if is_cut else data[at + len(patch) :])
    for read in (
        lambda: to_mask(read_levels(broken, "x"), MASK_VALUES, "x"),
        lambda: read_colour_mask(broken, None, "x"),
    ):
        try:
            mask = read()
        except StrbenchError:
            continue
        assert set(np.unique(mask)) <= MASK_VALUES.keys()
