"""TextSeg, ICDAR 2013 FST, COCO_TS and MLT_S: photographs and images of labels."""

from __future__ import annotations

import io
import json
from functools import partial

from PIL import Image

from layouts import Layout, picture, tarred, zipped

_SIZE = (48, 32)  # as ``picture`` draws


def labels(*values: int, kind: str = "PNG") -> bytes:
    """A label image with a column of 6 pixels of each value from the left, 0 elsewhere."""
    image = Image.new("L", _SIZE, 0)
    for i, value in enumerate(values):
        image.paste(value, (6 * i, 8, 6 * i + 6, 24))
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def colours(*values: tuple[int, int, int], kind: str = "BMP") -> bytes:
    """The same in colours on white, as ICDAR 2013 has its characters."""
    image = Image.new("RGB", _SIZE, (255, 255, 255))
    for i, value in enumerate(values):
        image.paste(value, (6 * i, 8, 6 * i + 6, 24))
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


ANNO = json.dumps(
    {
        "0000": {
            "text": "Ab",
            "bbox": [1, 2, 20, 2, 20, 12, 10, 14, 1, 12],
            "char": {
                "00": {"text": "A", "bbox": [1, 2, 10, 2, 10, 12, 1, 12], "mask_value": 1},
                "01": {"text": "b", "bbox": [10, 2, 20, 2, 20, 12, 10, 12], "mask_value": 2},
            },
        },
        "0001": {"text": "c", "bbox": [21, 2, 30, 2, 30, 12]},
    }
)
_TEXTSEG_PARTS = {"train": ["a0001", "a0002"], "val": ["a0003"], "test": ["a0004", "a0005"]}


def _textseg(part: str, version: str) -> Layout:
    ids = [id_ for held in _TEXTSEG_PARTS.values() for id_ in held]
    n = len(_TEXTSEG_PARTS[part])
    return Layout(
        files={
            "image.tar.gz": tarred(
                {f"image/{id_}.jpg": picture(i, kind="JPEG") for i, id_ in enumerate(ids)}
            ),
            f"semantic_label{version}.tar.gz": tarred(
                {f"semantic_label/{id_}_maskfg.png": labels(100, 200, 255) for id_ in ids}
            ),
            "annotation.tar.gz": tarred(
                {
                    **{f"annotation/{id_}_anno.json": ANNO for id_ in ids},
                    **{f"annotation/{id_}_mask.png": labels(1, 2) for id_ in ids},
                }
            ),
            "split.json": json.dumps(_TEXTSEG_PARTS).encode(),
        },
        n=n,
        counts={"regions": 2 * n, "characters": 2 * n},
    )


def _textseg_words(part: str) -> Layout:
    whole = _textseg(part, "")
    return Layout(files=whole.files, n=len(_TEXTSEG_PARTS[part]))  # the second word has no text


ROWS = '250 0 0 3 16 0 8 5 23 "A"\r\n0 250 0 9 16 6 8 11 23 """\r\n\r\n#0 0 250 15 16 12 8 17 23 "c"\r\n'


def _fst_train() -> Layout:
    numbers = range(100, 103)
    painted = colours((250, 0, 0), (0, 250, 0), (0, 0, 250), (9, 9, 9))
    return Layout(
        files={
            "Challenge2_Training_Task12_Images.zip": zipped(
                {f"{i}.jpg": picture(i, kind="JPEG") for i in numbers}
            ),
            "Challenge2_Training_Task2_GT.zip": zipped(
                {f"{i}_GT.bmp": painted for i in numbers} | {f"{i}_GT.txt": ROWS for i in numbers}
            ),
        },
        n=3,
        counts={"regions": 6, "ignored": 3, "characters": 9},
    )


def _fst_test() -> Layout:
    numbers = range(1, 12)
    painted = colours((250, 0, 0), (0, 250, 0), kind="PNG")
    return Layout(
        files={
            "Challenge2_Test_Task12_Images.zip": zipped(
                {f"img_{i}.jpg": picture(i, kind="JPEG") for i in numbers}
            ),
            "Challenge2_Test_Task2_GT.zip": zipped({f"gt_img_{i}.png": painted for i in numbers}),
        },
        n=11,
    )


def _coco_ts(part: str) -> Layout:
    stems = {i: f"COCO_train2014_{i:012d}" for i in range(1, 8)}
    sets = {i: "train" if i < 4 else "val" for i in stems}
    images = {
        str(i): {"id": i, "file_name": f"{stem}.jpg", "height": 32, "width": 48, "set": sets[i]}
        for i, stem in stems.items()
    }
    listed = {"cats": {}, "anns": {}, "imgs": images, "imgToAnns": {}, "info": {}}
    masked = [i for i in stems if i != 7]
    return Layout(
        files={
            "train2014.zip": zipped(
                {f"train2014/{stem}.jpg": picture(i, kind="JPEG") for i, stem in stems.items()}
            ),
            "cocotext.v2.zip": zipped({"cocotext.v2.json": json.dumps(listed)}),
            "COCO_TS_labels.zip": zipped(
                {f"COCO_TS_labels/{stems[i]}.png": labels(1, 255) for i in masked}
            ),
        },
        n=sum(sets[i] == part for i in masked),
    )


def _mlt_s(part: str) -> Layout:
    masks = zipped(
        {
            **{f"MLT_S_labels/training_labels/img_{i}.png": labels(1) for i in range(1, 8)},
            **{f"MLT_S_labels/validation_labels/img_{i}.png": labels(1) for i in range(1, 3)},
        }
    )
    if part == "val":
        photos = {f"img_{i}.jpg": picture(i, kind="JPEG") for i in range(1, 5)}
        files = {"ch8_validation_images.zip": zipped(photos)}
    else:
        files = {
            f"ch8_training_images_{i}.zip": zipped({f"img_{i}.gif": picture(i, kind="GIF")})
            for i in range(1, 9)
        }
    return Layout(files={"MLT_S_labels.zip": masks, **files}, n=7 if part == "train" else 2)


LAYOUTS = {
    **{
        (f"{dataset}/{part}", title): partial(_textseg, part, version)
        for dataset, title, version in (
            ("textseg", "the authors' archives", ""),
            ("textseg_v1", "the authors' archives, labels v1", "_v1"),
        )
        for part in _TEXTSEG_PARTS
    },
    **{
        (f"textseg_words/{part}", "the authors' archives, words cut here"): partial(
            _textseg_words, part
        )
        for part in _TEXTSEG_PARTS
    },
    ("ic13_fst/train", "the competition's train set"): _fst_train,
    ("ic13_fst/test", "the competition's test set"): _fst_test,
    ("coco_ts/train", "the authors' masks, photographs of COCO"): partial(_coco_ts, "train"),
    ("coco_ts/val", "the authors' masks, photographs of COCO"): partial(_coco_ts, "val"),
    ("mlt_s/train", "the authors' masks, the competition's training photographs"): partial(
        _mlt_s, "train"
    ),
    ("mlt_s/val", "the authors' masks, the competition's validation photographs"): partial(
        _mlt_s, "val"
    ),
}
