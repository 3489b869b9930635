"""The official archives of the six common test sets of words.

Those of ICDAR have their true number of words, by which the parsers know the lists; their pictures
are a few pixels large, so that thousands of them take a second.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from functools import cache, partial

import numpy as np
import pytest

from layouts import Builder, Layout, picture, tarred, zipped


def _matlab(variable: str, names: Sequence[str], texts: Sequence[str]) -> bytes:
    """A struct array with the fields ImgName and GroundTruth."""
    scipy_io = pytest.importorskip("scipy.io", reason="scipy reads MATLAB files")
    records = np.zeros((1, len(names)), dtype=[("ImgName", object), ("GroundTruth", object)])
    for i, row in enumerate(zip(names, texts, strict=True)):
        records[0, i] = row
    buffer = io.BytesIO()
    scipy_io.savemat(buffer, {variable: records})
    return buffer.getvalue()


@cache
def _crop(kind: str = "PNG") -> bytes:
    return picture(7, width=12, height=8, kind=kind)


def _words(n: int) -> list[str]:
    """Different words of letters and digits, three signs or more."""
    return [f"WORD{i}" for i in range(1, n + 1)]


def _iiit5k(part: str) -> Layout:
    sizes = {"train": 20, "test": 30}
    files: dict[str, bytes | str] = {}
    for name, size in sizes.items():
        # a photograph gives up to four words
        images = [f"{name}/{1 + i // 4}_{1 + i % 4}.png" for i in range(size)]
        files |= {f"IIIT5K/{image}": _crop() for image in images}
        files[f"IIIT5K/{name}data.mat"] = _matlab(f"{name}data", images, _words(size))
    return Layout(files={"IIIT5K-Word_V3.0.tar.gz": tarred(files)}, n=sizes[part])


def _svt(part: str) -> Layout:
    photos = {"train": (100, 257), "test": (249, 647)}  # photographs, words
    files: dict[str, bytes | str] = {}
    for name, (pages, words) in photos.items():
        images = []
        for page in range(pages):
            photo = f"img/{name[1]}{page:02}_01.jpg"
            files[f"svt1/{photo}"] = _crop("JPEG")
            boxes = "".join(
                '<taggedRectangle height="4" width="5" x="2" y="1">'
                f"<tag>W{i}</tag></taggedRectangle>"
                for i in range(page, words, pages)
            )
            images.append(
                f"<image><imageName>{photo}</imageName>"
                f"<taggedRectangles>{boxes}</taggedRectangles></image>"
            )
        files[f"svt1/{name}.xml"] = f"<tagset>{''.join(images)}</tagset>"
    return Layout(files={"svt.zip": zipped(files)}, n=photos[part][1])


def _svtp() -> Layout:
    names = [f"13_{i}_0_par.jpg" for i in range(645)]
    rows = "".join(f"{name} {word}\n" for name, word in zip(names, _words(645), strict=True))
    images = {f"svtp/par1/{name}": _crop("JPEG") for name in names}
    return Layout(files={"svtp.zip": zipped({**images, "svtp/gt.txt": rows})}, n=645)


def mmocr_words(rows: Mapping[str, str]) -> bytes:
    """MMOCR's list of image path -> text."""
    data = [{"img_path": path, "instances": [{"text": text}]} for path, text in rows.items()]
    info = {"dataset_type": "TextRecogDataset", "task_name": "textrecog"}
    return json.dumps({"metainfo": info, "data_list": data}).encode()


def _cute80(labels: str) -> Layout:
    images = [f"timage/{i:03}.jpg" for i in range(1, 289)]
    rows = dict(zip(images, _words(288), strict=True))
    listed = {
        "textrecog_test.json": mmocr_words(rows),
        "test_label.txt": "".join(f"{i} {w} 1 {w}\n" for i, w in rows.items()).encode(),
    }
    crops = tarred({image: _crop("JPEG") for image in images})
    return Layout(files={"timage.tar.gz": crops, labels: listed[labels]}, n=288)


def _word_zip(n: int, rows: str = "") -> bytes:
    images: dict[str, bytes | str] = {f"word_{i}.png": _crop() for i in range(1, n + 1)}
    return zipped({**images, "gt.txt": rows} if rows else images)


def _icdar(words: Sequence[str]) -> str:
    return "\ufeff" + "".join(f'word_{i}.png, "{w}"\r\n' for i, w in enumerate(words, 1))


# 1,095 words: 80 are not letters and digits only, 158 more are shorter than three signs.
_IC13 = [*_words(857), *["UK"] * 158, *["10,000"] * 80]


def _ic13(n: int) -> Layout:
    photos = zipped(
        {
            f"gt_img_{k + 1}.txt": "".join(
                f'38, 43, 920, 215, "{word}"\r\n' for word in _IC13[k * 219 : (k + 1) * 219]
            )
            for k in range(5)
        }
    )
    return Layout(
        files={
            "Challenge2_Test_Task3_Images.zip": _word_zip(1095),
            "Challenge2_Test_Task3_GT.txt": _icdar(_IC13).encode(),
            "Challenge2_Test_Task1_GT.zip": photos,
        },
        n=n,
    )


def _ic13_train() -> Layout:
    whole = _word_zip(848, _icdar(_words(848)))
    return Layout(files={"Challenge2_Training_Task3_Images_GT.zip": whole}, n=848)


def _ic15(n: int) -> Layout:
    words = _words(2077)
    rows = "".join(f"1,2,3,2,3,4,1,4,{word}\r\n" for word in words)
    files = {
        "ch4_test_word_images_gt.zip": _word_zip(2077),
        "Challenge4_Test_Task3_GT.txt": _icdar(words).encode(),
        "Challenge4_Test_Task4_GT.zip": zipped({"gt_img_1.txt": rows}),
    }
    if n == 1811:
        listed = {f"textrecog_imgs/test/word_{i}.png": words[i - 1] for i in range(1, 1812)}
        files["textrecog_test_1811.json"] = mmocr_words(listed)
    return Layout(files=files, n=n)


def _ic15_train() -> Layout:
    whole = _word_zip(4468, _icdar(_words(4468)))
    return Layout(files={"ch4_training_word_images_gt.zip": whole}, n=4468)


_MMOCR_CUTE80 = "MMOCR's copy of the original crops"

LAYOUTS: dict[tuple[str, str], Builder] = {
    **{
        (f"iiit5k/{part}", "the authors' archive"): partial(_iiit5k, part)
        for part in ("train", "test")
    },
    **{
        (f"svt/{part}", "the authors' archive, words cut here"): partial(_svt, part)
        for part in ("train", "test")
    },
    ("svtp/test", "MMOCR's copy of the original crops"): _svtp,
    ("cute80/test", f"{_MMOCR_CUTE80}, corrected labels"): partial(_cute80, "textrecog_test.json"),
    ("cute80/test", f"{_MMOCR_CUTE80}, first labels"): partial(_cute80, "test_label.txt"),
    **{
        (f"ic13_{n}/test", "the competition's test words"): partial(_ic13, n)
        for n in (857, 1015, 1095)
    },
    ("ic13/train", "the competition's training words"): _ic13_train,
    ("ic15_2077/test", "the competition's test words"): partial(_ic15, 2077),
    ("ic15_1811/test", "the competition's test words, MMOCR's list of 1,811"): partial(_ic15, 1811),
    ("ic15/train", "the competition's training words"): _ic15_train,
}
