"""SynthText: pictures in numbered folders and one MATLAB file for all."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from scipy.io import savemat

from layouts import Builder, Layout, picture, zipped

_NAMES = ("8/ballet_106_0.jpg", "8/ballet_106_1.jpg", "67/fruits_129_0.jpg")


def cells(values: Sequence[object]) -> np.ndarray:
    """A cell array of one row."""
    array = np.empty((1, len(values)), object)
    array[0, :] = [None] * len(values)
    for i, value in enumerate(values):
        array[0, i] = value
    return array


def boxes(n: int) -> np.ndarray:
    """(2, 4, n), or (2, 4) for a single box, as MATLAB drops the last axis."""
    corners = np.array([[2.5, 10, 10, 2.5], [3, 3, 8, 8]])
    return corners if n == 1 else np.stack([corners + 3 * i for i in range(n)], axis=2)


def gt_mat() -> bytes:
    """Three pictures: two words of two lines, one word, and texts that are not as many as boxes."""
    buffer = io.BytesIO()
    tables = {
        "imnames": cells(_NAMES),
        "wordBB": cells([boxes(2), boxes(1), boxes(3)]),
        "charBB": cells([boxes(5), boxes(2), boxes(4)]),
        "txt": cells([np.array(["the", "to "]), np.array(["a;"]), np.array(["two\nof"])]),
    }
    savemat(buffer, tables, do_compression=True)
    return buffer.getvalue()


def _layout() -> Layout:
    images = {f"SynthText/{name}": picture(i, kind="JPEG") for i, name in enumerate(_NAMES)}
    return Layout(
        files={"SynthText.zip": zipped({"SynthText/gt.mat": gt_mat(), **images})},
        n=3,
        counts={"regions": 6, "ignored": 0, "characters": 7},
    )


LAYOUTS: dict[tuple[str, str], Builder] = {("synthtext_det/train", "the authors' archive"): _layout}
