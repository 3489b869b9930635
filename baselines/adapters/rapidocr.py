"""RapidOCR as a recognizer and as a spotter: the PP-OCR models of its wheel on ONNX Runtime, on the CPU.

Engine: https://github.com/RapidAI/RapidOCR (Apache-2.0); weights by PaddleOCR (Apache-2.0).

The spotter (``build_spotter``) is the engine as it is, with its defaults: detection (short side
enlarged to 736 px, long side reduced to 2000 px), direction classifier, recognition, and what was read
with a score under 0.5 left out. It finds lines where words stand close together, and a word-level
ground truth counts those as errors: ``rapidocr:words`` asks the engine to divide its lines into words,
which it does by the columns of its recogniser. ``rapidocr:detection`` is the first stage alone.

As a recognizer (``build``) only the recognition stage runs: no detector, no direction classifier. The call is the engine's own
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
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, files, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from strbench.errors import StrbenchError
from strbench.types import Card, Detection, Reading

from .feeding import MAX_RATIO, Pixels, read_each, thread_count

INSTALL = "pip install 'strbench[ocr]'"
OLDEST = (3, 10)  # the version that was tried; 3.4 downloads a font before it reads its first crop

_STAGES = {"det": "detection", "cls": "direction", "rec": "recognition"}  # as its files are called


def is_available() -> str | None:
    """Why the engine cannot be used here; None where it can. Imports nothing of it."""
    missing = [name for name in ("rapidocr", "onnxruntime", "cv2") if find_spec(name) is None]
    if missing:
        return f"the Python package {missing[0]} is not installed"
    for stage, what in _STAGES.items():
        if _model_path(stage) is None:
            return f"the installed rapidocr has no {what} model in its wheel"
    found = version("rapidocr")
    if tuple(int(part) for part in re.findall(r"\d+", found)[:2]) < OLDEST:
        return f"rapidocr {found} is too old, {'.'.join(map(str, OLDEST))} or newer is needed"
    return None


def _model_path(stage: str = "rec") -> Path | None:
    # The wheel's own list of files, not the folder: the engine stores downloads beside its models.
    try:
        listed = files("rapidocr") or []
    except PackageNotFoundError:
        return None
    found = [f for f in listed if f.parent.name == "models" and f.match(f"*_{stage}_*.onnx")]
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


class RapidOCRSpotter:
    """RapidOCR on whole photographs behind ``detect``; build it with ``build_spotter``."""

    batch_size = 8  # photographs that are in memory at a time

    def __init__(self, engine: Any, card: Card, threads: int) -> None:
        self.card = card
        self.threads = threads
        self._engine = engine

    def detect(self, images: Sequence[Pixels]) -> list[list[Detection]]:
        """The quadrangles of each photograph (uint8, H x W x 3, RGB) in the engine's order.

        The confidence is that of the text where it is read, else that of the box.
        """
        if self.threads == 1 or len(images) < 2:
            return [self._detect_one(image) for image in images]
        with ThreadPoolExecutor(min(self.threads, len(images))) as pool:
            return list(pool.map(self._detect_one, images))

    def _detect_one(self, image: Pixels) -> list[Detection]:
        result = self._engine(np.ascontiguousarray(image[:, :, ::-1]))  # RGB to BGR
        if result.boxes is None:
            return []
        if self._engine.return_word_box:
            return [
                Detection(tuple((float(x), float(y)) for x, y in box), float(score), text)
                for line in result.word_results
                for text, score, box in line
            ]
        texts = getattr(result, "txts", None) or [None] * len(result.boxes)
        return [
            Detection(tuple((x, y) for x, y in box.tolist()), float(score), text)
            for box, score, text in zip(result.boxes, result.scores, texts, strict=True)
        ]


def build_spotter(stage: str = "all", threads: int | str | None = None) -> RapidOCRSpotter:
    """RapidOCR for photographs, on the models of its wheel; nothing is downloaded or written.

    Args:
        stage: "all" gives lines with their texts, "words" words with theirs, "detection" lines alone.
        threads: photographs at a time, each on one core; None: as torch or OMP_NUM_THREADS say.

    Raises:
        StrbenchError: a package or a model file is missing, no such stage, or ``threads`` is no number.
    """
    workers = thread_count(threads)
    if stage not in ("all", "words", "detection"):
        raise StrbenchError(
            f"rapidocr:{stage}: expected all, words or detection.", hint="--model rapidocr:words"
        )
    if (reason := is_available()) is not None:
        raise StrbenchError(f"The engine rapidocr cannot be used: {reason}.", hint=INSTALL)
    from rapidocr import RapidOCR

    models = {part: path for part in _STAGES if (path := _model_path(part)) is not None}
    reads = stage != "detection"
    engine = RapidOCR(
        params={
            "Global.log_level": "error",  # a photograph without text is no warning
            "Global.use_cls": reads,
            "Global.use_rec": reads,
            "Global.return_word_box": stage == "words",
            **{f"{part.capitalize()}.model_path": str(path) for part, path in models.items()},
            "EngineConfig.onnxruntime.intra_op_num_threads": 1,
            "EngineConfig.onnxruntime.inter_op_num_threads": 1,
        }
    )
    used = models if reads else {"det": models["det"]}
    spotter = RapidOCRSpotter(engine, _spotter_card(stage, used), workers)
    spotter.detect([np.full((64, 64, 3), 255, np.uint8)])  # the engine loads at its first image
    return spotter


def _spotter_card(stage: str, models: Mapping[str, Path]) -> Card:
    import cv2

    sums = ", ".join(
        f"{path.name} sha256 {sha256(path.read_bytes()).hexdigest()}" for path in models.values()
    )
    what = {
        "all": "the whole engine",
        "words": "the whole engine, its lines divided into words",
        "detection": "detection alone",
    }[stage]
    return Card(
        name="rapidocr" if stage == "all" else f"rapidocr:{stage}",
        kind="engine",
        title=f"RapidOCR {version('rapidocr')}, {what}",
        code="https://github.com/RapidAI/RapidOCR",
        licence="Apache-2.0",
        resize="native",
        trained_on="not published by its makers",
        notes=(
            f"rapidocr {version('rapidocr')}, onnxruntime {version('onnxruntime')}, "
            f"OpenCV {cv2.__version__}; {sums}. The engine's defaults: short side up to 736 px, box "
            "threshold 0.5, unclip ratio 1.6"
            + (", texts under a score of 0.5 left out." if "rec" in models else ".")
        ),
    )


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
