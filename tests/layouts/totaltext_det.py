"""Total-Text: photographs in one zip, and a ground truth in each of its packagings in another."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping

import numpy as np
from scipy.io import savemat

from layouts import Builder, Layout, picture, zipped

_TRAIN = ("img11", "img12", "img61")
_TEST = ("img1", "img2", "img10")  # in the order of their names: img1, img10, img2
_IMAGES = {
    **{f"Images/Train/{key}.{'JPG' if key == 'img61' else 'jpg'}": picture(i, kind="JPEG")
       for i, key in enumerate(_TRAIN, 20)},
    **{f"Images/Test/{key}.jpg": picture(i, kind="JPEG") for i, key in enumerate(_TEST, 30)},
}  # fmt: skip
_RECORDS = (
    "x: [[10 30\n  30 10]], y: [[ 4  4 12 12]], ornt: [u'h'], transcriptions: [u'Genaxis']\n"
    "x: [[1 20 20]], y: [[1 1 9]], ornt: [u'#'], transcriptions: [u'#']\n"
)
_ROWS = ((10, 4, 30, 4, 30, 12, 10, 12, "Genaxis"), (1, 1, 20, 1, 20, 9, "###"))
_COUNTS = {"regions": 6, "ignored": 3}


def _rows(text: str = "{}") -> str:
    return "".join(",".join([*map(str, row[:-1]), text.format(row[-1])]) + "\n" for row in _ROWS)


def _mat(variable: str) -> bytes:
    table = np.empty((2, 6), object)
    table[0] = ["x:", np.int16([[10, 30, 30, 10]]), "y:", np.int16([[4, 4, 12, 12]]), "a", "c"]
    table[1] = ["x:", np.int16([[1, 20, 20]]), "y:", np.int16([[1, 1, 9]]), "#", "#"]
    buffer = io.BytesIO()
    savemat(buffer, {variable: table}, do_compression=True)
    return buffer.getvalue()


def _layout(
    file: str, truth: Mapping[str, bytes | str], *, has_lexicons: bool = False
) -> Callable[[], Layout]:
    def build() -> Layout:
        lexicons = {"weak_voc_new.txt": b"GENAXIS\nTHEATRE\n", "tt_lexicon.txt": b"Genaxis\n"}
        files = {"totaltext_images.zip": zipped(_IMAGES), file: zipped(truth)}
        return Layout(files=files | (lexicons if has_lexicons else {}), n=3, counts=_COUNTS)

    return build


def _both(shape: str, content: bytes | str) -> dict[str, bytes | str]:
    return {
        shape.format(part, key): content
        for part, keys in (("Train", _TRAIN), ("Test", _TEST))
        for key in keys
    }


_TXT = _both("{}/poly_gt_{}.txt", _RECORDS)
_MAT = _both("Groundtruth/Polygon/{}/poly_gt_{}.mat", _mat("polygt"))
_NEW: dict[str, bytes | str] = {f"poly_gt_{key}.mat": _mat("gt") for key in _TRAIN}
_PLAIN: dict[str, bytes | str] = {f"gt_{key}.txt": _rows() for key in _TEST}
_POLY: dict[str, bytes | str] = {f"poly_gt_{key}.txt": _rows() for key in _TEST}
_NUMBERED: dict[str, bytes | str] = {f"{i:07d}.txt": _rows("####{}") for i in range(3)}

LAYOUTS: dict[tuple[str, str], Builder] = {
    ("totaltext_det/train", "the authors' text files"): _layout("totaltext_txt.zip", _TXT),
    ("totaltext_det/test", "the authors' text files, test"): _layout(
        "totaltext_txt.zip", _TXT, has_lexicons=True
    ),
    ("totaltext_det/train", "the authors' MATLAB files"): _layout("totaltext_mat.zip", _MAT),
    ("totaltext_det/test", "the authors' MATLAB files"): _layout("totaltext_mat.zip", _MAT),
    ("totaltext_refined_det/train", "the authors' refined training set"): _layout(
        "TT_new_train_GT.zip", _NEW
    ),
    ("totaltext_det/test", "AdelaiDet's ground truth, as in VimTS"): _layout(
        "gt_totaltext.zip", _NUMBERED, has_lexicons=True
    ),
    ("totaltext_det/test", "CLEval's ground truth"): _layout(
        "gt_TotalText_CLEval.zip", _PLAIN, has_lexicons=True
    ),
    ("totaltext_det/test", "DAVAR's ground truth"): _layout(
        "total-text-gt_DAVAR.zip", _POLY, has_lexicons=True
    ),
    ("totaltext_det/test", "MaskTextSpotter's ground truth, legible words only"): _layout(
        "gt_MaskTextSpotter.zip", _PLAIN, has_lexicons=True
    ),
    ("totaltext_det/test", "TIoU-metric's ground truth, damaged texts"): _layout(
        "total-text-gt_TIoU.zip", _POLY, has_lexicons=True
    ),
}
