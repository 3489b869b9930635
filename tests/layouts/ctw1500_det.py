"""SCUT-CTW1500: photographs, the XML of the training set, the text files of the test set."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from layouts import Builder, Layout, picture, zipped

_TRAIN = ("0001", "0002")
_TEST = ("1001", "1002", "1010")
# along the lower edge and back along the upper one, counter-clockwise on screen
_LINE = [v for x in range(2, 44, 6) for v in (x, 20)] + [
    v for x in range(38, 0, -6) for v in (x, 8)
]
_FIRST = [2, 8, 38, 20] + [v - (2, 8)[i % 2] for i, v in enumerate(_LINE)]
_XML = (
    '<Annotations><image file="{}.jpg"><box height="12" left="2" top="8" width="36">'
    f"<label>Tea &amp; Co.</label><segs>{','.join(map(str, _LINE))}</segs></box></image></Annotations>"
)


def _row(numbers: list[int], tail: str) -> str:
    return ",".join(map(str, numbers)) + tail + "\n"


def _layout(
    images: str, keys: tuple[str, ...], truth: Mapping[str, str], file: str, counts: dict[str, int]
) -> Callable[[], Layout]:
    def build() -> Layout:
        folder = images.partition(".")[0]
        photographs = {f"{folder}/{key}.jpg": picture(int(key), kind="JPEG") for key in keys}
        files = {images: zipped(photographs), file: zipped(truth)}
        if file == "gt_ctw1500.zip":
            files["ctw1500_lexicon.txt"] = "Tea, please\n茶\n".encode()
        return Layout(files=files, n=len(keys), counts=counts)

    return build


def _test(file: str, name: str, rows: str, *, regions: int, ignored: int) -> Callable[[], Layout]:
    truth = {name.format(key): rows for key in _TEST}
    return _layout("test_images.zip", _TEST, truth, file, {"regions": regions, "ignored": ignored})


_WORD = [2, 8, 20, 8, 20, 20, 2, 20]

LAYOUTS: dict[tuple[str, str], Builder] = {
    ("ctw1500_det/train", "the authors' training set"): _layout(
        "train_images.zip",
        _TRAIN,
        {f"ctw1500_train_labels/{key}.xml": _XML.format(key) for key in _TRAIN},
        "ctw1500_train_labels.zip",
        {"regions": 2},
    ),
    ("ctw1500_det/test", "the ground truth with texts"): _test(
        "gt_ctw1500.zip",
        "000{}.txt",
        _row(_LINE, ",####Tea, please") + _row(_LINE, ",#######"),
        regions=6,
        ignored=3,
    ),
    ("ctw1500_det/test", "DAVAR's ground truth, no texts and nothing ignored"): _test(
        "gt_ctw1500_det.zip", "{}.txt", _row(_LINE, ",CARE"), regions=3, ignored=0
    ),
    ("ctw1500_det/test", "the first ground truth, as in TIoU-metric"): _test(
        "ctw1500-gt.zip", "{}.txt", _row(_FIRST, ""), regions=3, ignored=0
    ),
    ("ctw1500_words_det/test", "VimTS's words"): _test(
        "gt_ctw1500_word.zip",
        "000{}.txt",
        _row(_WORD, ",####Tea,") + _row(_WORD, ",####14") + _row(_WORD, ",#######"),
        regions=9,
        ignored=3,
    ),
}
