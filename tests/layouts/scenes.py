"""Photographs of the competitions, of SVT and of MSRA-TD500, as their archives hold them."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial

from layouts import Builder, Layout, picture, tarred, zipped

_TASK1 = '38, 43, 120, 65, "Tiredness"\n5, 6, 20, 16, "10,000"\n'
_TASK1_TRAIN = '38 43 120 65 "Footpath"\r\n5 6 20 16 "say \\"hi\\""\r\n'
_END_TO_END = "38,43,120,43,120,65,38,65,tired\n5,6,20,6,20,16,5,16,###\n"
_TURNED = "56,81,79,58,91,69,67,92,Tiredness\n"


def _ic13(truth: str, rows: str, ignored: int, images: str = "", **more: bytes) -> Layout:
    numbers = range(1, 12)
    photographs = {f"img_{i}.jpg": picture(i, kind="JPEG") for i in numbers}
    return Layout(
        files={
            images or "Challenge2_Test_Task12_Images.zip": zipped(photographs),
            truth: zipped({f"gt_img_{i}.txt": rows for i in numbers}),
            **{name.replace("__", "."): content for name, content in more.items()},
        },
        n=11,
        counts={"regions": 11 * rows.count("\n"), "ignored": 11 * ignored},
    )


def _ic13_davar() -> Layout:
    strong = {f"strong_lexicon/voc_img_{i}.txt": "TIRED\nOTHER\n" for i in range(1, 12)}
    return _ic13(
        "gt-icdar2013.zip",
        _END_TO_END,
        1,
        strong_lexicon__zip=zipped(strong),
        ch2_test_vocabulary__txt=b"TIRED\n",
        GenericVocabulary__txt=b"AAA\nTIRED\n",
    )


def _ic13_mmocr() -> Layout:
    lists = {"lexicons/ch2_test_vocabulary.txt": "TIRED\n"}
    return _ic13("ic13_textspotting_test_gt.zip", _END_TO_END, 1, lexicons__zip=zipped(lists))


def _ic13_train() -> Layout:
    numbers = range(100, 104)
    return Layout(
        files={
            "Challenge2_Training_Task12_Images.zip": zipped(
                {f"{i}.jpg": picture(i, kind="JPEG") for i in numbers}
            ),
            "Challenge2_Training_Task1_GT.zip": zipped(
                {f"gt_{i}.txt": _TASK1_TRAIN for i in numbers}
            ),
        },
        n=4,
        counts={"regions": 8},
    )


_SCRIPTS = "\ufeff10,4,30,4,30,12,10,12,Latin,a, b\r\n1,20,9,20,9,28,1,28,None,###\r\n"


def _mlt17_train() -> Layout:
    kinds = {"jpg": "JPEG", "png": "PNG", "gif": "GIF"}
    names = [f"img_{i}.{list(kinds)[i % 3]}" for i in range(1, 17)]
    images = [
        {n: picture(i, kind=kinds[n[-3:]]) for i, n in enumerate(names, 1) if i % 8 == k % 8}
        for k in range(1, 9)
    ]
    truth = {f"gt_{name[:-4]}.txt": _SCRIPTS for name in names}
    return Layout(
        files={
            **{f"ch8_training_images_{k}.zip": zipped(part) for k, part in enumerate(images, 1)},
            "ch8_training_localization_transcription_gt_v2.zip": zipped(truth),
        },
        n=16,
    )


def _mlt17_val() -> Layout:
    return Layout(
        files={
            "ch8_validation_images.zip": zipped({f"img_{i}.jpg": picture(i) for i in (1, 2)}),
            "ch8_validation_localization_transcription_gt_v2.zip": zipped(
                {f"gt_img_{i}.txt": _SCRIPTS for i in (1, 2)}
            ),
        },
        n=2,
    )


def _entry(text: str, **more: object) -> dict[str, object]:
    points = [[4, 4], [40, 6], [40, 20], [20, 22], [4, 18]]
    return {"transcription": text, "points": points, "illegibility": False, **more}


def _lsvt() -> Layout:
    labels = {f"gt_{i}": [_entry("\u4f60\u597d"), _entry("###", illegibility=True)] for i in (0, 1)}
    return Layout(
        files={
            "train_full_images_0.tar.gz": tarred({"train_full_images_0/gt_0.jpg": picture(1)}),
            "train_full_images_1.tar.gz": tarred({"train_full_images_1/gt_1.jpg": picture(2)}),
            "train_full_labels.json": json.dumps(labels).encode(),
        },
        n=2,
    )


def _art(n: int, **more: bytes) -> Layout:
    labels = {f"gt_{i}": [_entry("word", language="Latin")] for i in range(4)}
    images = {f"train_images/gt_{i}.jpg": picture(i) for i in range(4)}
    return Layout(
        files={
            "train_images.tar.gz": tarred(images),
            "train_labels.json": json.dumps(labels).encode(),
            **{name.replace("__", "."): content for name, content in more.items()},
        },
        n=n,
    )


def _art_clean() -> Layout:
    return _art(
        2,
        Total_Text_ID_vs_ArT_ID__list=b"poly_gt_img883.txt gt_3.txt\n",
        CTW1500_ID_vs_ArT_ID__txt=b"gt_0\r\n",
    )


_LINES = "0 0 10 8 20 6 0.1\r\n1 1 2 20 9 4 -0.5\r\n\r\n"


def _td500() -> Layout:
    names = [f"{part}/IMG_{i:04}" for part in ("train", "test") for i in (30, 63)]
    files: dict[str, bytes | str] = {f"MSRA-TD500/{name}.gt": _LINES for name in names}
    files |= {f"MSRA-TD500/{name}.JPG": picture(7, kind="JPEG") for name in names}
    return Layout(files={"MSRA-TD500.zip": zipped(files)}, n=2, counts={"regions": 4, "ignored": 2})


def _td_tr(n: int) -> Layout:
    """The pack at its true size, since its folders are told by it."""
    image = picture(7, width=12, height=12, kind="JPEG")
    files: dict[str, bytes | str] = {}
    for part, size in (("TD500/train", 300), ("TD500/test", 200), ("TR400/train", 400)):
        for i in range(size):
            files[f"TD_TR/{part}_images/IMG_{i:04}.JPG"] = image
            files[f"TD_TR/{part}_gts/IMG_{i:04}.JPG.txt"] = "1,1,9,1,9,5,1,5,1\n1,6,9,6,9,9,1,9,###"
    return Layout(
        files={"TD_TR.tar": tarred(files, "")}, n=n, counts={"regions": 2 * n, "ignored": n}
    )


def _tr400() -> Layout:
    # the text of the first row is GBK, which is not UTF-8
    rows = b"0 0 10 8 20 6 0.1 \xc4\xe3\xba\xc3\n1 1 2 20 9 4 -0.5 exit 7\n"
    files = {f"HUST-TR400/{i}.{end}": b"" for i in range(3) for end in ("jpg", "gt")}
    return Layout(
        files={
            "HUST-TR400.zip": zipped(
                {name: rows if name.endswith("gt") else picture(7) for name in files}
            )
        },
        n=3,
        counts={"regions": 6, "ignored": 3},
    )


def _svt() -> Layout:
    image = (
        "<image><imageName>img/{}.jpg</imageName><address>? 1 Union St</address>"
        '<lex>DOOR,THE</lex><Resolution x="48" y="32"/><taggedRectangles>'
        '<taggedRectangle height="9" width="18" x="5" y="-2"><tag>DOOR</tag></taggedRectangle>'
        "</taggedRectangles></image>"
    )
    names = {"train": ["17_03", "18_07"], "test": ["18_01", "13_11"]}
    files: dict[str, bytes | str] = {
        f"svt1/img/{name}.jpg": picture(i, kind="JPEG")
        for i, name in enumerate(n for part in names.values() for n in part)
    }
    for part, own in names.items():
        body = "".join(image.format(name) for name in own)
        files[f"svt1/{part}.xml"] = f'<?xml version="1.0" encoding="utf-8"?><tagset>{body}</tagset>'
    return Layout(files={"svt.zip": zipped(files)}, n=2, counts={"regions": 2})


def _ic03() -> Layout:
    image = (
        "<image><imageName>{}</imageName><resolution x='48' y='32'/><taggedRectangles>"
        '<taggedRectangle x="5.0" y="9.0" width="11.0" height="6.0" offset="6.0" rotation="0.0" '
        'userName="admin"><tag>Caf\u00e9</tag><segmentation /></taggedRectangle>'
        '<taggedRectangle x="1.0" y="1.0" width="9.5" height="5.0"><tag>EXIT</tag></taggedRectangle>'
        '<taggedRectangle x="9.0" y="1.0" width="9.0" height="5.0"><tag>42</tag></taggedRectangle>'
        "</taggedRectangles></image>"
    )
    names = ["ryoungt_05.08.2002/aPICT0034.JPG", "apanar_06.08.2002/aPICT0034.JPG"]
    body = "".join(image.format(name) for name in names)
    xml = f'<?xml version="1.0" encoding="ISO-8859-1"?><tagset>{body}</tagset>'
    files: dict[str, bytes | str] = {
        f"SceneTrialTest/{name}": picture(i, kind="JPEG") for i, name in enumerate(names)
    }
    files["SceneTrialTest/words.xml"] = xml.encode("latin-1")
    return Layout(files={"SceneTrialTest.zip": zipped(files)}, n=2, counts={"regions": 6})


def _ic03_words() -> Layout:
    return replace(_ic03(), counts={})  # n stays: one word of letters a photograph


_PHOTOGRAPHS = "the competition's photographs, "
_PACK = "PaddleOCR's pack of TD500 and TR400"

LAYOUTS: dict[tuple[str, str], Builder] = {
    ("ic13_det/train", "the competition's training set"): _ic13_train,
    ("ic13_det/test", "the competition's test set"): partial(
        _ic13, "Challenge2_Test_Task1_GT.zip", _TASK1, 0
    ),
    ("ic13_det/test", _PHOTOGRAPHS + "ground truth of CLEval"): partial(
        _ic13, "gt_IC13.zip", _TASK1, 0
    ),
    ("ic13_det/test", _PHOTOGRAPHS + "end-to-end ground truth of DAVAR-Lab"): _ic13_davar,
    ("ic13_det/test", _PHOTOGRAPHS + "end-to-end ground truth of MMOCR"): _ic13_mmocr,
    ("ic13_det/test", _PHOTOGRAPHS + "ground truth of Mask TextSpotter v3"): partial(
        _ic13, "gt_0.zip", _TURNED, 0
    ),
    **{
        (f"ic13_det_{angle}/test", "Mask TextSpotter v3"): partial(
            _ic13, f"gt_{angle}.zip", _TURNED, 0, f"rotated_test_images_{angle}.zip"
        )
        for angle in (45, 60)
    },
    ("mlt17/train", "the competition's training set"): _mlt17_train,
    ("mlt17/val", "the competition's validation set"): _mlt17_val,
    ("lsvt/train", "the competition's training set"): _lsvt,
    ("art_det/train", "the competition's training set"): partial(_art, 4),
    (
        "art_det_clean/train",
        "the competition's training set, with lists of what other sets hold",
    ): _art_clean,
    ("td500/train", "the authors' archive"): _td500,
    ("td500/test", "the authors' archive"): _td500,
    ("td500/train", _PACK): partial(_td_tr, 300),
    ("td500/test", _PACK): partial(_td_tr, 200),
    ("tr400/train", "the authors' archive"): _tr400,
    ("tr400/train", _PACK): partial(_td_tr, 400),
    ("svt_det/train", "the authors' archive"): _svt,
    ("svt_det/test", "the authors' archive"): _svt,
    ("ic03_det/test", "the trial test set of the competition"): _ic03,
    ("ic03_860/test", "the trial test set of the competition, words cut here"): _ic03_words,
}
