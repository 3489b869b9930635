"""Training sets of words: archives to be read as streams, photographs to cut, LMDBs in zips."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory

import lmdb
import numpy as np
import pytest

from layouts import Builder, Layout, picture, tarred, zipped
from strbench.datasets import str_fewer_labels
from strbench.datasets.mjsynth import CORRUPT

_MJ = "mnt/ramdisk/max/90kDICT32px/"
_WORDS = {"train": ["Lube", "TETHERED", "friar"], "val": ["hackle", "HEREON"], "test": ["stony"]}


@cache
def lmdb_bytes(n: int) -> bytes:
    """The data.mdb of n labelled words."""
    with TemporaryDirectory() as folder:
        with lmdb.open(folder, map_size=1 << 20) as env, env.begin(write=True) as transaction:
            for i in range(1, n + 1):
                transaction.put(b"image-%09d" % i, picture(i))
                transaction.put(b"label-%09d" % i, b"Word%d" % i)
            transaction.put(b"num-samples", b"%d" % n)
        return Path(folder, "data.mdb").read_bytes()


def mjsynth_files() -> dict[str, bytes]:
    """What ``mjsynth.tar.gz`` holds: three lists, some words of each, and one that is corrupt."""
    files = {"lexicon.txt": b"lube\n"}
    corrupt = "1881/4/225_Marbling_46673.jpg"
    assert corrupt in CORRUPT
    lists: dict[str, list[str]] = {"train": [corrupt]}
    files[corrupt] = b"\xff\xd8 no image"
    for k, (part, words) in enumerate(_WORDS.items()):
        for i, word in enumerate(words):
            name = f"{2425 + i // 2}/{1 + k}/{115 + i}_{word}_{45484 + i}.jpg"
            lists.setdefault(part, []).append(name)
            files[name] = picture(10 * k + i, kind="JPEG")
    for part, names in lists.items():
        rows = "".join(f"./{n} {n.rpartition('_')[2][:-4]}\n" for n in reversed(names))
        files[f"annotation_{part}.txt"] = rows.encode()
    return {_MJ + name: content for name, content in files.items()}


def _mjsynth(part: str) -> Layout:
    return Layout(files={"mjsynth.tar.gz": tarred(mjsynth_files())}, n=len(_WORDS[part]))


def _zipped_lmdb(file: str, *folders: str) -> Layout:
    """LMDBs of different sizes in one zip; the first is meant."""
    content = {f"{name}/data.mdb": lmdb_bytes(3 + i) for i, name in enumerate(folders)}
    return Layout(files={file: zipped(content)}, n=3)


def _union14m_l(grade: str) -> Layout:
    names = [f"art_curve/{grade}_{i}.jpg" for i in range(4)]
    rows = "".join(json.dumps({"filename": n, "text": f"Word {n[-5]}"}) + "\n" for n in names)
    files = {f"Union14M-L/full_images/{n}": picture(i) for i, n in enumerate([*names, "b/1.jpg"])}
    lists = {f"Union14M-L/train_annos/mmocr-0.x/train_{grade}.jsonl": rows}
    return Layout(files={"Union14M-L.tar.gz": tarred({**files, **lists})}, n=4)


def matlab_cells(**columns: Sequence[object]) -> bytes:
    """A MATLAB file of cell arrays (1, N)."""
    scipy_io = pytest.importorskip("scipy.io", reason="scipy writes MATLAB files")
    cells: dict[str, np.ndarray] = {}
    for name, values in columns.items():
        cells[name] = np.empty((1, len(values)), dtype=object)
        cells[name][0, :] = [np.array(v, dtype=object if v is None else None) for v in values]
    buffer = io.BytesIO()
    scipy_io.savemat(buffer, cells)
    return buffer.getvalue()


def quad(left: float, top: float, right: float, bottom: float) -> np.ndarray:
    """An upright box as SynthText has it: x and y of four corners, (2, 4)."""
    return np.array([[left, right, right, left], [top, top, bottom, bottom]], float)


def _synthtext() -> Layout:
    two = np.stack([quad(1.4, 2, 20, 12), quad(4, 14, 30.6, 30)], axis=2)
    gt = matlab_cells(
        imnames=["8/ballet_106_0.jpg", "8/ballet_106_1.jpg"],
        wordBB=[two, quad(3, 3, 20, 20)],
        charBB=[np.stack([quad(1, 2, 9, 12)] * 7, axis=2), quad(3, 3, 20, 20)],
        txt=[["Here\nis,"], ["1"]],
    )
    photographs = {f"SynthText/8/ballet_106_{i}.jpg": picture(i, kind="JPEG") for i in range(2)}
    return Layout(files={"SynthText.zip": zipped({"SynthText/gt.mat": gt, **photographs})}, n=3)


def _textocr(part: str) -> Layout:
    words = [("0a", "Exit", [4, 4, 20.5, 10]), ("0a", ".", [1, 1, 9, 9]), ("1b", "7", [2, 3, 9, 9])]
    labels = {
        "imgs": {key: {"id": key, "file_name": f"train/{key}.jpg", "set": part} for key in ("0a", "1b")},
        "anns": {
            f"{key}_{i}": {
                "id": f"{key}_{i}",
                "image_id": key,
                "bbox": box,
                "utf8_string": text,
                "points": [],
            }
            for i, (key, text, box) in enumerate(words, 1)
        },
    }  # fmt: skip
    images = {f"train_images/{key}.jpg": picture(i) for i, key in enumerate(("0a", "1b", "2c"))}
    return Layout(
        files={
            f"TextOCR_0.1_{part}.json": json.dumps(labels).encode(),
            "train_val_images.zip": zipped(images),
        },
        n=2,
    )


def _openvino(part: str) -> Layout:
    said = [("Sale", True, "english"), ("Salz", True, "german"), ("", False, "english")]
    labels = {
        "images": [{"id": 1, "file_name": f"{part}/aa.jpg"}, {"id": 2, "file_name": f"{part}/bb.jpg"}],
        "annotations": [
            {
                "id": i,
                "image_id": 1 + i // 3,
                "bbox": [4, 4, 30, 20],
                "segmentation": [[4, 4, 34, 4, 34, 24, 4, 24]],
                "attributes": {"transcription": text, "legible": legible, "language": language},
            }
            for i, (text, legible, language) in enumerate(said * 2)
        ],
    }  # fmt: skip
    images = {f"{part}/{name}.jpg": picture(i) for i, name in enumerate(("aa", "00", "bb"))}
    return Layout(
        files={
            f"text_spotting_openimages_v5_{part}.json": json.dumps(labels).encode(),
            f"{part}.tar.gz": tarred(images),
        },
        n=2,
    )


def _lsvt_words() -> Layout:
    box = [[2, 2], [30, 2], [30, 20], [2, 20]]
    labels = {
        f"gt_{i}": [{"transcription": text, "points": box, "illegibility": text == "###"}]
        for i, text in enumerate(["Coffee", "\u5496\u5561", "###", "24h"])
    }
    pages = [picture(i, kind="JPEG") for i in range(4)]
    archives = {
        f"train_full_images_{k}.tar.gz": tarred(
            {f"train_full_images_{k}/gt_{i}.jpg": pages[i] for i in (2 * k, 2 * k + 1)}
        )
        for k in range(2)
    }
    return Layout(
        files={"train_full_labels.json": json.dumps(labels).encode(), **archives},
        n=2,
    )


def _str_fewer_labels() -> dict[tuple[str, str], Builder]:
    """Of each set its pack, in which training and validation folders share their names."""
    title, top = "the authors' pack on Dropbox", "data_CVPR2021"
    found: dict[tuple[str, str], Builder] = {}
    for split in str_fewer_labels.SPEC.splits:
        (folder,) = split.folders
        last = folder.rpartition("/")[2]
        if split.labels == ("none",):
            folders = [f"{top}/training/unlabel/{last}"]
        else:
            folders = [f"{top}/training/label/real/{last}", f"{top}/validation/{last}"]
            folders.sort(key=lambda name: not name.endswith(folder))
        found[split.name, title] = partial(_zipped_lmdb, "data_CVPR2021.zip", *folders)
    del found["synthadd/train", title]
    return found


_LMDB = "OpenOCR LMDB"

LAYOUTS: dict[tuple[str, str], Builder] = {
    **{(f"mjsynth/{p}", "the authors' archive"): partial(_mjsynth, p) for p in _WORDS},
    **{
        (f"mjsynth/{p}", _LMDB): partial(_zipped_lmdb, f"MJ_{p}.zip", f"MJ_{p}") for p in _WORDS
    },
    **{
        (f"union14m_l/{grade}", "the authors' archive"): partial(_union14m_l, grade)
        for grade in ("easy", "medium", "hard", "normal", "challenging")
    },
    ("synthtext/train", "the authors' archive, words cut here"): _synthtext,
    ("synthtext/train", _LMDB): partial(_zipped_lmdb, "ST.zip", "ST"),
    ("synthtext_clovaai/train", "clovaai's pack"): partial(
        _zipped_lmdb,
        "data_lmdb_release.zip",
        "data_lmdb_release/training/ST",
        "data_lmdb_release/training/MJ/MJ_train",
    ),
    **{
        (f"textocr/{p}", "the authors' files, words cut here"): partial(_textocr, p)
        for p in ("train", "val")
    },
    **{
        (split, _LMDB): partial(_zipped_lmdb, split.replace("/", "_") + ".zip", "lmdb")
        for split in (
            "textocr/train", "textocr/val", "textocr_horizontal/train", "textocr_horizontal/val",
        )
    },
    **{
        (f"openvino/{p}", "annotation and photographs, words cut here"): partial(_openvino, p)
        for p in ("train_1", "train_2", "train_5", "train_f", "validation")
    },
    **{
        (f"openvino/{p}", _LMDB): partial(_zipped_lmdb, f"{p}.zip", p)
        for p in ("train_1", "train_2", "train_5", "train_f", "validation")
    },
    ("lsvt_words/train", "the competition's training set, words cut here"): _lsvt_words,
    **_str_fewer_labels(),
    ("synthadd/train", "the authors' copy of SynthAdd"): partial(_zipped_lmdb, "SA.zip", "SA"),
    ("book32/unlabelled", "the pack of STR-Fewer-Labels on Dropbox"): partial(
        _zipped_lmdb, "data_CVPR2021.zip", "data_CVPR2021/training/unlabel/U1.Book32"
    ),
}  # fmt: skip
