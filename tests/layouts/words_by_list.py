"""Words whose texts a list or their file names give, and words cut from photographs.

IAM, CVL, COCO-Text, ArT, CTW1500 and Total-Text.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial

from layouts import Builder, Layout, picture, tarred, zipped

# --- IAM -----------------------------------------------------------------------------------------

_FORMS = {"train": "a01-000u", "val1": "d04-021", "val2": "h07-025a", "test": "m01-049"}


def _iam_words() -> bytes:
    files: dict[str, bytes | str] = {}
    for form in _FORMS.values():
        for word in range(4):
            name = f"{form}-00-{word:02}"
            files[f"words/{form[:3]}/{form}/{name}.png"] = picture(word)
    # as published: not an image
    files["words/a01/a01-117/a01-117-05-02.png"] = b""
    return tarred(files)


def _iam() -> Layout:
    texts = ("A", "MOVE", "M Ps", ",")
    rows = "".join(
        f"{form}-00-{word:02} {'err' if word == 1 else 'ok'} 154 408 768 27 51 AT {text}\n"
        for form in _FORMS.values()
        for word, text in enumerate(texts)
    )
    corrupt = "a01-117-05-02 ok 184 1 1 9 9 NN word\n"
    lists = {
        "trainset.txt": "a01-000u-00\na01-117-05\n",
        "validationset1.txt": "d04-021-00\n",
        "validationset2.txt": "h07-025a-00\n",
        "testset.txt": "m01-049-00\r\n",
    }
    return Layout(
        files={
            "words.tgz": _iam_words(),
            "ascii.tgz": tarred({"ascii/words.txt": "#--- words.txt ---#\n#\n" + rows + corrupt}),
            "largeWriterIndependentTextLineRecognitionTask.zip": zipped(lists),
        },
        n=3,
    )


def _iam_rwth(name: str, form: str) -> Layout:
    rows = f"{form}-00-00,189 A\n{form}-00-02,189 M Ps\n{form}-00-03,189 ,\n"
    return Layout(files={"words.tgz": _iam_words(), name: rows.encode()}, n=3)


_RWTH = {"train": ("train", "a01-000u"), "val": ("valid", "d04-021"), "test": ("test", "m01-049")}

# --- CVL -----------------------------------------------------------------------------------------


def _cvl() -> Layout:
    def words(folder: str, writer: str, names: Sequence[str]) -> dict[str, bytes | str]:
        return {
            f"cvl-database-1-1/{folder}/words/{writer}/{writer}-{name}": picture(i, kind="TIFF")
            for i, name in enumerate(names)
        }

    names = ("1-0-0-Imagine.tif", "1-0-1-well-known.tif", "6-0-0-für.tif", "6-0-1-.tif")
    files = words("trainset", "0001", names) | words("testset", "0053", names)
    files["cvl-database-1-1/testset/lines/0053/0053-1-0.tif"] = picture(9, kind="TIFF")
    return Layout(files={"cvl-database-1-1.zip": zipped(files)}, n=2)


# --- COCO-Text -----------------------------------------------------------------------------------


def _cocotext_words(part: str) -> Layout:
    texts = {"train": ("STOP", "a,b", "", "CAFÉ"), "val": ("Slow", "|", "50%")}
    files: dict[str, bytes | str] = {}
    for name, words in texts.items():
        rows = "".join(f"{1_000_000 + i},|{text}|\r\n" for i, text in enumerate(words))
        files[f"{name}_words_gt.txt"] = rows + "a rest without its number\r\n"
        for i in range(len(words)):
            files[f"{name}_words/{1_000_000 + i}.jpg"] = picture(i, kind="JPEG")
    return Layout(files={"COCO-Text-words-trainval.zip": zipped(files)}, n=len(texts[part]))


def _cocotext_v2() -> Layout:
    said = {"class": "machine printed", "language": "english", "legibility": "legible"}
    words: tuple[tuple[str, dict[str, str]], ...] = (
        ("R&amp;B", {}),
        ("*ING", {}),
        ("a#c", {}),
        ("note", {"class": "handwritten"}),
        ("Straße", {"language": "not english"}),
        ("STOP", {}),
    )
    entries = [
        {
            "id": i,
            "image_id": 9,
            "bbox": [4.5, 3.5, 20, 9],
            "mask": [4.5, 3.5, 24.5, 3.5, 24.5, 12.5],
            "utf8_string": text,
            **said,
            **other,
        }
        for i, (text, other) in enumerate(words, 1)
    ]
    entries.append(
        {"id": 7, "image_id": 9, "bbox": [0, 0, 3, 3], "mask": [], "class": "machine printed",
         "legibility": "illegible"}
    )  # fmt: skip
    entries.append({**entries[-2], "id": 8, "image_id": 11})
    photos = [(9, "train"), (10, "train"), (11, "val")]
    names = {number: f"COCO_train2014_{number:012}.jpg" for number, _ in photos}
    annotation = {
        "info": {},
        "cats": {},
        "imgs": {
            str(n): {"id": n, "set": part, "file_name": names[n], "width": 48, "height": 32}
            for n, part in photos
        },
        "anns": {str(entry["id"]): entry for entry in entries},
        "imgToAnns": {"9": [1, 2, 3, 4, 5, 6, 7], "10": [], "11": [8]},
    }
    images = {f"train2014/{name}": picture(n, kind="JPEG") for n, name in names.items()}
    return Layout(
        files={
            "cocotext.v2.zip": zipped({"cocotext.v2.json": json.dumps(annotation)}),
            "train2014.zip": zipped(images),
        },
        n=2,
    )


# --- ArT -----------------------------------------------------------------------------------------


def _art(n: int, *lists: str) -> Layout:
    words = (
        ("gt_0_0", "Stop", "Latin", False),
        ("gt_0_1", "止", "Chinese", False),
        ("gt_3_0", "Go", "Latin", False),
        ("gt_3_1", "###", "Latin", True),
        ("gt_4_0", "LocaL#3", "Latin", False),
        ("gt_4_1", "a#c", "Latin", False),
        ("gt_7_0", "Far", "Latin", False),
    )
    labels = {
        name: [{"transcription": text, "language": language, "illegibility": illegible}]
        for name, text, language, illegible in words
    }
    images = {
        f"train_task2_images/{name}.jpg": picture(i, kind="JPEG") for i, name in enumerate(labels)
    }
    shared = {
        "Total_Text_ID_vs_ArT_ID.list": b"poly_gt_img883.txt gt_3.txt\n",
        "CTW1500_ID_vs_ArT_ID.txt": b"gt_0\ngt_5\n",
    }
    return Layout(
        files={
            "train_task2_images.tar.gz": tarred(images),
            "train_task2_labels.json": json.dumps(labels).encode(),
            **{name: shared[name] for name in lists},
        },
        n=n,
    )


_ART = "the competition's training words"

# --- CTW1500 and Total-Text ----------------------------------------------------------------------


def _ctw1500() -> Layout:
    curve = "2,3,12,2,22,3,22,12,12,11,2,12"
    rows = f"{curve},####BAR\n{curve},####a,b\n{curve},#######\n"
    photos = range(1001, 1004)
    return Layout(
        files={
            "test_images.zip": zipped(
                {f"test_images/{i}.jpg": picture(i, kind="JPEG") for i in photos}
            ),
            "gt_ctw1500_word.zip": zipped({f"000{i}.txt": rows for i in photos}),
        },
        n=6,
    )


def _totaltext() -> Layout:
    rows = (
        "x: [[ 2 12 22\n 22 2]], y: [[ 3 2 3 12 12]], ornt: [u'c'], transcriptions: [u'BAR']\n"
        'x: [[2 9 9 2]], y: [[20 20 28 28]], ornt: [], transcriptions: [u"O\'NE"]\n'
        "x: [[2 9 9 2]], y: [[20 20 28 28]], ornt: [u'#'], transcriptions: [u'#']\n"
    )
    images = {f"Images/Test/img{i}.jpg": picture(i, kind="JPEG") for i in (1, 2, 11)}
    images["Images/Train/img61.JPG"] = picture(61, kind="JPEG")
    texts = {f"Test/poly_gt_img{i}.txt": rows for i in (1, 2, 11)}
    texts["Train/poly_gt_img61.txt"] = rows
    return Layout(
        files={"totaltext_images.zip": zipped(images), "totaltext_txt.zip": zipped(texts)}, n=6
    )


LAYOUTS: dict[tuple[str, str], Builder] = {
    **{(f"iam/{part}", "the authors' archives (free registration)"): _iam for part in _FORMS},
    **{
        (
            f"iam_rwth/{part}",
            f"the authors' words (free registration) with the list RWTH.iam_word_gt_final.{name}"
            ".thresh",
        ): partial(_iam_rwth, f"RWTH.iam_word_gt_final.{name}.thresh", form)
        for part, (name, form) in _RWTH.items()
    },
    **{(f"cvl/{part}", "the authors' archive on Zenodo"): _cvl for part in ("train", "test")},
    **{
        (split, "the competition's words (free registration)"): partial(_cocotext_words, part)
        for split, part in (("cocotext/train", "train"), ("cocotext_9896/test", "val"))
    },
    ("cocotext_v2/train", "version 2 of the annotation, and the photographs of COCO"): _cocotext_v2,
    ("art/train", _ART): partial(_art, 6),
    ("art_latin/train", _ART): partial(_art, 4),
    ("art_clean/train", f"{_ART}, with lists of what other sets hold"): partial(
        _art, 2, "Total_Text_ID_vs_ArT_ID.list", "CTW1500_ID_vs_ArT_ID.txt"
    ),
    (
        "ctw1500_words/test",
        "the photographs, and the ground truth of words from VimTS",
    ): _ctw1500,
    ("totaltext_words/test", "the authors' photographs and text files"): _totaltext,
}
