"""RapidOCR as a recognizer: the PP-OCR recognition model of its wheel on ONNX Runtime, on the CPU.

Engine: https://github.com/RapidAI/RapidOCR (Apache-2.0); weights by PaddleOCR (Apache-2.0). Only the
recognition stage runs: no detector, no direction classifier. The call is the engine's own
``RapidOCR()(image, use_det=False, use_cls=False)`` with its defaults, so its resizing is its own too:
a crop whose short side is under 30 px is enlarged (both sides rounded to multiples of 32), a crop
longer than 2000 px is reduced, then the crop is scaled to 48 px high with its aspect kept (OpenCV
bilinear, no antialias) and padded on the right to at least 320 px.

Channel order: the engine takes arrays for BGR, as OpenCV loads them; the adapter turns RGB round.

Batches: the engine sorts crops by width and pads a batch to its widest. On SVT test that moves the
confidence of 13 (batches of 6) or 27 (of 32) of 647 words, by up to 0.008, and here no text. Crops
are therefore read one at a time, several in parallel threads, which on a CPU is also faster.

*Expected* with 3.10.0 (PP-OCRv6 small), words right after lower-casing and keeping 0-9a-z:
SVT test 603 of 647, CUTE80 265 of 288, ICDAR 2015 test (2077) 1641.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, files, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from strbench.errors import StrbenchError
from strbench.types import Card, Reading

from .feeding import MAX_RATIO, Pixels, read_each, thread_count

INSTALL = "pip install 'strbench[ocr]'"
OLDEST = (3, 10)  # the version that was tried; 3.4 downloads a font before it reads its first crop


def is_available() -> str | None:
    """Why the engine cannot be used here; None where it can. Imports nothing of it."""
    missing = [name for name in ("rapidocr", "onnxruntime", "cv2") if find_spec(name) is None]
    if missing:
        return f"the Python package {missing[0]} is not installed"
    if _model_path() is None:
        return "the installed rapidocr has no recognition model in its wheel"
    found = version("rapidocr")
    if tuple(int(part) for part in re.findall(r"\d+", found)[:2]) < OLDEST:
        return f"rapidocr {found} is too old, {'.'.join(map(str, OLDEST))} or newer is needed"
    return None


def _model_path() -> Path | None:
    # The wheel's own list of files, not the folder: the engine stores downloads beside its models.
    try:
        listed = files("rapidocr") or []
    except PackageNotFoundError:
        return None
    found = [f for f in listed if f.parent.name == "models" and f.match("*rec*.onnx")]
    paths = [path for f in found if (path := Path(str(f.locate()))).is_file()]
    return paths[0] if len(paths) == 1 else None


class RapidOCRRecognizer:
    """RapidOCR's recognition stage behind ``read``; build it with ``build``."""

    def __init__(self, engine: Any, card: Card, threads: int) -> None:
        self.card = card
        self.threads = threads
        self._engine = engine

    def read(self, images: Sequence[Pixels]) -> list[Reading]:
        """One reading an image (uint8, H x W x 3, RGB), the same in any batch and with any threads.

        The confidence is the engine's: the mean probability of the characters, rounded to five
        digits, 0.0 where it reads nothing.
        """
        return read_each(self._read_one, images, threads=self.threads)

    def _read_one(self, image: Pixels) -> Reading:
        result = self._engine(np.ascontiguousarray(image[:, :, ::-1]))  # RGB to BGR
        return Reading(result.txts[0], float(result.scores[0]))


def build(threads: int | str | None = None) -> RapidOCRRecognizer:
    """RapidOCR on the model of its wheel, loaded; nothing is downloaded or written.

    Args:
        threads: images read at a time, each on one core; None: as torch or OMP_NUM_THREADS say.

    Raises:
        StrbenchError: a package or the model file is missing, or ``threads`` is no number.
    """
    workers = thread_count(threads)
    if (reason := is_available()) is not None:
        raise StrbenchError(f"The engine rapidocr cannot be used: {reason}.", hint=INSTALL)
    model = _model_path()
    assert model is not None
    from rapidocr import RapidOCR

    engine = RapidOCR(
        params={
            "Global.log_level": "warning",
            "Global.use_det": False,
            "Global.use_cls": False,
            "Rec.model_path": str(model),  # named, so that no version of the engine fetches one
            "EngineConfig.onnxruntime.intra_op_num_threads": 1,
            "EngineConfig.onnxruntime.inter_op_num_threads": 1,
        }
    )
    recognizer = RapidOCRRecognizer(engine, _card(model), workers)
    recognizer.read([np.full((48, 96, 3), 255, np.uint8)])  # the engine loads at its first image
    return recognizer


def _card(model: Path) -> Card:
    import cv2

    return Card(
        name="rapidocr",
        kind="engine",
        title=f"RapidOCR {version('rapidocr')}, recognition only ({model.stem})",
        code="https://github.com/RapidAI/RapidOCR",
        licence="Apache-2.0",
        resize="native",
        trained_on="not published by its makers",
        expected="rapidocr 3.10.0: SVT 603/647, CUTE80 265/288, IC15 1641/2077 (strbench-36)",
        notes=(
            f"rapidocr {version('rapidocr')}, onnxruntime {version('onnxruntime')}, "
            f"OpenCV {cv2.__version__}; model {model.name}, "
            f"sha256 {sha256(model.read_bytes()).hexdigest()}. The engine's own resizing: short side "
            "up to 30 px, long side down to 2000 px (multiples of 32), then 48 px high with the aspect "
            "kept, padded to 320 px. One crop at a time, BGR. Crops longer than "
            f"{MAX_RATIO} times their short side are shrunk to that ratio first."
        ),
    )
