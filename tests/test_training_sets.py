"""Training sets of words: streamed archives, photographs cut into words, packs of LMDBs."""

from __future__ import annotations

import io
import json
import tarfile
import tracemalloc
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from layouts import picture, tarred, zipped
from layouts.training import LAYOUTS, lmdb_bytes, matlab_cells, mjsynth_files, quad

from strbench import registry
from strbench.archives import stream
from strbench.datasets import Spec, mjsynth, prepare
from strbench.errors import StrbenchError
from strbench.loading import decode
from strbench.store import Split


@pytest.fixture
def uncounted(monkeypatch: pytest.MonkeyPatch) -> None:
    """No count is asserted: these sets are too large to be made here."""
    load = registry.load

    def uncount(spec: Spec) -> Spec:
        return replace(spec, splits=tuple(replace(split, n=0) for split in spec.splits))

    monkeypatch.setattr(
        registry,
        "load",
        lambda kind, name: uncount(load(kind, name)) if kind == "datasets" else load(kind, name),
    )


Lay = Callable[..., Path]


@pytest.fixture
def lay(tmp_path: Path, home: Path, uncounted: None) -> Lay:
    """Write files into a folder of their own."""

    def write(files: Mapping[str, bytes], folder: str = "files") -> Path:
        for name, content in files.items():
            path = tmp_path / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return tmp_path / folder

    return write


def one(name: str, *paths: Path) -> Split:
    (split,) = prepare(name, list(paths))
    return split


# --- MJSynth -------------------------------------------------------------------------------------


def test_mjsynth_is_streamed_in_the_order_of_its_archive(lay: Lay, home: Path) -> None:
    split = one(
        "mjsynth/train", lay({"mjsynth.tar.gz": tarred(mjsynth_files())}) / "mjsynth.tar.gz"
    )
    assert split.ids == [
        "2425/1/115_Lube_45484.jpg",
        "2425/1/116_TETHERED_45485.jpg",
        "2426/1/117_friar_45486.jpg",
    ]
    assert split.labels == ["Lube", "TETHERED", "friar"], "the corrupt image is left out"
    assert split.image(1) == picture(1, kind="JPEG")
    assert not (home / "raw").exists(), "nothing is unpacked"


def test_mjsynth_unpacked_is_the_same_split(lay: Lay) -> None:
    packed = one("mjsynth/val", lay({"mjsynth.tar.gz": tarred(mjsynth_files())}))
    folder = lay(mjsynth_files(), "unpacked")
    (unpacked,) = prepare("mjsynth/val", folder, replace=True)
    assert packed.fingerprint == unpacked.fingerprint
    label_file = folder / "mnt/ramdisk/max/90kDICT32px/annotation_val.txt"
    (named,) = prepare("mjsynth/val", label_file, replace=True)
    assert named.fingerprint == packed.fingerprint


def test_mjsynth_lacks_an_image_or_has_it_twice(lay: Lay) -> None:
    files = mjsynth_files()
    del files[next(name for name in files if name.endswith("116_TETHERED_45485.jpg"))]
    with pytest.raises(StrbenchError, match=r"annotation_train\.txt: 1 of .* folders 2425/1 \(1\)"):
        prepare("mjsynth/train", lay({"mjsynth.tar.gz": tarred(files)}))


@pytest.mark.parametrize(
    "line",
    [
        "./1/2/3_A_4.jpg",
        "3_A_4.jpg 4",
        "./1/2/3_A_B_4.jpg 4",
        "./1/2/A_4.jpg 4",
        "./1/2/3_\u00e9_4.jpg 4",
    ],
)
def test_mjsynth_list_names_the_line_that_does_not_fit(line: str) -> None:
    data = f"./1/2/1_A_4.jpg 4\n{line}\n".encode()
    with pytest.raises(StrbenchError, match=r"^annotation_val\.txt, line 2: expected"):
        mjsynth.read_list(data, "annotation_val.txt")


_ANY = st.binary() | st.from_regex(
    rb"(\./[0-9]/1/[0-9]_[A-z\xff]_4\.jpg 4\n{0,2}){0,3}", fullmatch=True
)


@given(_ANY)
def test_mjsynth_list_of_any_bytes(data: bytes) -> None:
    lines = [line for line in data.split(b"\n") if line.strip()]
    with suppress(StrbenchError):
        listed = mjsynth.read_list(data, "list")
        assert sum(names.count(b"\n") for names in listed.values()) == len(lines)


def test_a_stream_keeps_no_members(tmp_path: Path) -> None:
    path = tmp_path / "many.tar"
    with tarfile.open(path, "w") as bundle:
        for i in range(5000):
            bundle.addfile(tarfile.TarInfo(f"2425/1/{i}_Word_1.jpg"))
    tracemalloc.start()
    files = stream(path)
    for _ in range(500):
        next(files)
    early, _ = tracemalloc.get_traced_memory()
    for _ in range(4499):
        next(files)
    late, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert late - early < 100_000  # bytes; 4,499 members that are kept take 2 million


# --- Union14M-L ----------------------------------------------------------------------------------

_ROWS = {"art_curve/1.jpg": "Two words", "COCOTextV2/1.jpg": "caf\u00e9"}


def _union14m_l(kind: str, prefix: str, rows: Mapping[str, str] = _ROWS) -> dict[str, bytes]:
    if kind == "jsonl":
        lines = (json.dumps({"filename": prefix + k, "text": v}) for k, v in rows.items())
        labels = {"mmocr-0.x/train_hard.jsonl": "\n".join(lines)}
    else:
        items = [{"img_path": prefix + k, "instances": [{"text": v}]} for k, v in rows.items()]
        whole = {"metainfo": {"dataset_type": "TextRecogDataset"}, "data_list": items}
        labels = {"mmocr1.0/train_hard.json": json.dumps(whole)}
    return {f"Union14M-L/train_annos/{k}": v.encode() for k, v in labels.items()} | {
        f"Union14M-L/full_images/{k}": picture(i) for i, k in enumerate([*_ROWS, "art_curve/2.jpg"])
    }


@pytest.mark.parametrize("kind", ["jsonl", "json"])
@pytest.mark.parametrize("prefix", ["", "full_images/"])
@pytest.mark.parametrize("is_packed", [True, False])
def test_union14m_l_lists(lay: Lay, kind: str, prefix: str, is_packed: bool) -> None:
    files = _union14m_l(kind, prefix)
    split = one(
        "union14m_l/hard", lay({"Union14M-L.tar.gz": tarred(files)} if is_packed else files)
    )
    assert dict(zip(split.ids, split.labels, strict=True)) == _ROWS
    assert split.image(split.ids.index("COCOTextV2/1.jpg")) == picture(1)


def test_union14m_l_lacks_an_image(lay: Lay) -> None:
    files = _union14m_l("jsonl", "", {**_ROWS, "art_curve/9.jpg": "nine"})
    with pytest.raises(StrbenchError, match=r"images that are missing \(1\): art_curve/9.jpg"):
        prepare("union14m_l/hard", lay({"Union14M-L.tar.gz": tarred(files)}))


def test_union14m_l_names_an_image_twice(lay: Lay) -> None:
    rows = {"full_images/art_curve/1.jpg": "a", "art_curve/1.jpg": "b"}
    with pytest.raises(StrbenchError, match="2 entries name 1 images"):
        prepare("union14m_l/hard", lay(_union14m_l("json", "", rows)))


# --- words cut out of photographs ----------------------------------------------------------------


def photograph(seed: int, width: int = 40, height: int = 30) -> tuple[bytes, np.ndarray]:
    """A lossless photograph of noise, and its pixels."""
    from PIL import Image

    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue(), pixels


def close(crop: bytes, pixels: np.ndarray) -> bool:
    """Whether a crop is these pixels but for the loss of JPEG."""
    found = decode(crop).astype(int)
    return found.shape == pixels.shape and float(np.abs(found - pixels).mean()) < 8


def _gt(**changes: object) -> bytes:
    columns: dict[str, object] = {
        "imnames": ["8/b_0.png", "9/b_1.png"],
        "wordBB": [np.stack([quad(1.4, 2.6, 20.5, 12), quad(30, 20, 60, 40)], axis=2), quad(3, 4, 9, 9)],
        "charBB": [np.stack([quad(1, 2, 9, 12)] * 5, axis=2), quad(3, 4, 9, 9)],
        "txt": [["Hi,  ", "it's"], ["1"]],
        **changes,
    }  # fmt: skip
    return matlab_cells(**columns)


def test_synthtext_words(lay: Lay) -> None:
    photographs = {f"SynthText/{k + 8}/b_{k}.png": photograph(k)[0] for k in range(2)}
    archive = zipped({"SynthText/gt.mat": _gt(), **photographs})
    split = one("synthtext/train", lay({"SynthText.zip": archive}) / "SynthText.zip")
    assert split.ids == ["8/b_0_0", "9/b_1_0"]  # "it's" reaches out of its photograph
    assert split.labels == ["Hi,", "1"]
    assert split.groups == ["8/b_0", "9/b_1"]
    pixels = photograph(0)[1]
    assert close(split.image(0), pixels[3:12, 1:20])  # 2.6 up, 1.4 down, 20.5 to even
    assert close(split.image(1), photograph(1)[1][4:9, 3:9])


def test_synthtext_words_and_boxes_that_differ_in_number_are_left_out(lay: Lay) -> None:
    gt = _gt(txt=[["three words here"], ["1"]])
    photographs = {f"{k + 8}/b_{k}.png": photograph(k)[0] for k in range(2)}
    split = one("synthtext/train", lay({"gt.mat": gt, **photographs}))
    assert split.ids == ["9/b_1_0"]


def test_synthtext_lacks_a_photograph(lay: Lay) -> None:
    files = {"gt.mat": _gt(), "8/b_0.png": photograph(0)[0]}
    with pytest.raises(StrbenchError, match=r"9/b_1\.png of gt\.mat is missing"):
        prepare("synthtext/train", lay(files))


def _textocr(words: list[tuple[str, str, list[float]]]) -> bytes:
    images = {k: {"id": k, "file_name": f"train/{k}.jpg", "set": "val"} for k in ("0a", "1b", "2c")}
    words_by_id = {
        f"{k}_{i}": {"id": f"{k}_{i}", "image_id": k, "bbox": b, "utf8_string": t, "points": b * 2}
        for i, (k, t, b) in enumerate(words)
    }
    return json.dumps({"imgs": images, "anns": words_by_id}).encode()


def test_textocr_words_are_boxes_and_legible(lay: Lay) -> None:
    words = [
        ("0a", ".", [0, 0, 4, 4]),
        ("0a", "No 1", [2.5, 3.2, 10.1, 9]),
        ("1b", "x", [35, 4, 9, 9]),
    ]
    photographs = {f"train_images/{k}.jpg": photograph(i)[0] for i, k in enumerate(("0a", "1b"))}
    split = one("textocr/val", lay({"TextOCR_0.1_val.json": _textocr(words), **photographs}))
    assert split.ids == ["0a_1", "1b_0"], "2c, which has no words, need not be there"
    assert split.labels == ["No 1", "x"]
    assert close(split.image(0), photograph(0)[1][3:12, 2:13])
    beyond = np.zeros((9, 9, 3), np.uint8)
    beyond[:, :5] = photograph(1)[1][4:13, 35:]
    assert close(split.image(1), beyond), "black beyond the far edge"


def test_textocr_lacks_a_photograph(lay: Lay) -> None:
    files = {
        "TextOCR_0.1_val.json": _textocr([("0a", "a", [1, 1, 5, 5]), ("1b", "b", [1, 1, 5, 5])]),
        "train_images/0a.jpg": photograph(0)[0],
    }
    with pytest.raises(StrbenchError, match=r"missing \(1\): 1b"):
        prepare("textocr/val", lay(files))


@pytest.mark.parametrize("is_packed", [True, False])
def test_openvino_words_are_legible_and_english(lay: Lay, is_packed: bool) -> None:
    layout = LAYOUTS["openvino/train_f", "annotation and photographs, words cut here"]()
    files = dict(layout.files)
    folder = lay(files)
    if not is_packed:
        archive = folder / "train_f.tar.gz"
        with tarfile.open(archive) as bundle:
            bundle.extractall(folder, filter="data")
        archive.unlink()
    split = one("openvino/train_f", folder)
    assert split.labels == ["Sale", "Sale"]
    assert split.ids == ["aa_0", "bb_0"]


def test_lsvt_words_without_chinese(lay: Lay, home: Path) -> None:
    layout = LAYOUTS["lsvt_words/train", "the competition's training set, words cut here"]()
    split = one("lsvt_words/train", lay(layout.files))
    assert dict(zip(split.ids, split.labels, strict=True)) == {"gt_0_0": "Coffee", "gt_3_0": "24h"}
    assert decode(split.image(0)).shape == (18, 28, 3)
    assert not (home / "raw").exists(), "nothing is unpacked"


# --- packs of LMDBs ------------------------------------------------------------------------------


def test_training_and_validation_folders_of_one_name(lay: Lay) -> None:
    top = "data_CVPR2021"
    folder = lay(
        {
            f"{top}/training/label/real/1.SVT/data.mdb": lmdb_bytes(4),
            f"{top}/validation/1.SVT/data.mdb": lmdb_bytes(3),
            f"{top}/validation/11.ReCTS/data.mdb": lmdb_bytes(2),
            f"{top}/training/unlabel/U2.TextVQA/data.mdb": lmdb_bytes(5),
        }
    )
    made = {s.name.partition("/")[2]: s for s in prepare("str_fewer_labels", folder)}
    assert {k: s.n for k, s in made.items()} == {
        "svt": 4,
        "svt_val": 3,
        "rects_val": 2,
        "textvqa": 5,
    }
    assert made["textvqa"].labels == [None] * 5
    assert made["textvqa"].manifest.labels == "none"
    assert made["svt_val"].lmdb_path == folder / top / "validation/1.SVT", "used where it lies"


def test_clovaai_words_are_not_taken_for_another_st(
    lay: Lay, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = registry.load

    def small(kind: str, name: str) -> object:
        found = load(kind, name)
        if name != "synthtext":
            return found
        first, second = found.splits
        return replace(found, splits=(first, replace(second, n=4)))

    monkeypatch.setattr(registry, "load", small)
    folder = lay({"training/ST/data.mdb": lmdb_bytes(4)})
    with pytest.raises(StrbenchError, match="that of synthtext_clovaai/train"):
        prepare("synthtext/train", folder)
    assert one("synthtext_clovaai/train", folder).n == 4
