"""Any ONNX recognition model as a recognizer, on ONNX Runtime's CPU: ``onnx:path/to/card.json``.

A card file says what the weights file does not: input size, channels, normalisation, charset, decoding
(see ``onnx_card``). Crops are resized here, one by one, and enter the model one at a time, several in
parallel threads, so that a reading depends on nothing but its image. Before the first one a blank
crop is sent through, so that a card that does not fit its model is an error at once and not a bad score.

*Expected* for the PP-OCRv6 small recogniser of rapidocr 3.10.0 (48 px high, aspect kept, padded to
320 px, opencv-bilinear), right under strbench-36: SVT test 601 of 647, CUTE80 265 of 288, ICDAR 2015
test (2077) 1638. The engine itself has 603, 265 and 1641: it enlarges small crops before that.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from strbench.errors import DATA, StrbenchError
from strbench.types import Card, Reading

from .feeding import MAX_RATIO, Pixels, read_each, thread_count
from .onnx_card import ModelCard, characters, class_texts, read_card

INSTALL = "pip install 'strbench[ocr]'"
Floats = NDArray[np.float32]

_PILLOW = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}


def is_available() -> str | None:
    """Why ONNX models cannot be run here; None where they can. Imports nothing heavy."""
    if find_spec("onnxruntime") is None:
        return "the Python package onnxruntime is not installed"
    return None


class OnnxRecognizer:
    """An ONNX session with its card behind ``read``; build it with ``build``."""

    def __init__(
        self, session: Any, model: ModelCard, texts: Sequence[str], card: Card, threads: int
    ) -> None:
        self.card = card
        self.threads = threads
        self._session = session
        self._model = model
        self._texts = texts  # text of each class, "" for special ones

    def read(self, images: Sequence[Pixels]) -> list[Reading]:
        """One reading an image (uint8, H x W x 3, RGB), the same in any batch and with any threads.

        The confidence is the mean probability of the characters, 0.0 where none is read.
        """
        return read_each(self._read_one, images, threads=self.threads)

    def _read_one(self, image: Pixels) -> Reading:
        scores = _forward(self._session, self._model, model_input(image, self._model))  # (L, K)
        return decode(scores, self._model, self._texts)


def model_input(image: Pixels, model: ModelCard) -> Floats:
    """The input for one RGB crop, (1, C, H, W) or (1, H, W, C): resized, ordered, normalised, padded."""
    if model.channels == "gray":
        image = np.asarray(Image.fromarray(image).convert("L"))[:, :, None]  # ITU-R 601 luma
    elif model.channels == "BGR":
        image = image[:, :, ::-1]
    kept = max(1, math.ceil(model.height * image.shape[1] / image.shape[0]))
    if model.width:
        width = min(kept, model.width) if model.resize == "pad" else model.width
        room = model.width
    else:
        width = min(kept, model.max_width or kept)
        room = max(width, model.min_width)
    pixels = _resized(image, model.height, width, model.interpolation).astype(np.float32) / 255
    mean, std = np.array(model.mean, np.float32), np.array(model.std, np.float32)
    normal = (pixels - mean) / std  # (H, W, C)
    padded = np.full((model.height, room, normal.shape[2]), model.pad_value, np.float32)
    padded[:, :width] = normal
    return (padded if model.layout == "NHWC" else padded.transpose(2, 0, 1).copy())[None]


def _resized(image: Pixels, height: int, width: int, interpolation: str) -> Pixels:
    if image.shape[:2] == (height, width):
        return image
    if interpolation == "opencv-bilinear":
        return _opencv_bilinear(image, height, width)
    gray = image.shape[2] == 1
    source = Image.fromarray(np.ascontiguousarray(image[:, :, 0] if gray else image))
    pixels = np.asarray(source.resize((width, height), _PILLOW[interpolation]))
    return pixels[:, :, None] if gray else pixels


def _opencv_bilinear(image: Pixels, height: int, width: int) -> Pixels:
    """What OpenCV's INTER_LINEAR gives on uint8, bit for bit: two taps an axis at any scale.

    OpenCV works in whole numbers and truncates, on average a tenth of a grey level too dark. That is
    kept: on ICDAR 2015 test, exact rounding alone changes 39 of 2077 readings of PP-OCRv6 small.
    """

    def taps(size: int, new: int) -> tuple[NDArray[np.intp], Floats]:
        at = ((np.arange(new) + 0.5) * (size / new) - 0.5).astype(np.float32)
        low = np.floor(at)
        return low.astype(np.intp), at - low

    def fixed(weight: Floats) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        one = np.float32(2048)  # weights have 11 bits
        first, second = np.rint((1 - weight) * one), np.rint(weight * one)
        return first.astype(np.int32), second.astype(np.int32)

    (top, down), (left, across) = taps(image.shape[0], height), taps(image.shape[1], width)
    last_row, last_column = image.shape[0] - 1, image.shape[1] - 1
    across[(left < 0) | (left >= last_column)] = 0  # columns end there; rows are repeated instead
    a, b = fixed(across)
    c, d = (weight[:, None, None] for weight in fixed(down))
    source = image.astype(np.int32)
    right = source[:, np.clip(left + 1, 0, last_column)] * b[:, None]
    rows = (source[:, np.clip(left, 0, last_column)] * a[:, None] + right) >> 4
    above = rows[np.clip(top, 0, last_row)] * c >> 16
    below = rows[np.clip(top + 1, 0, last_row)] * d >> 16
    return ((above + below + 2) >> 2).astype(np.uint8)


def decode(scores: Floats, model: ModelCard, texts: Sequence[str]) -> Reading:
    """The greedy reading of the (L, K) output of one crop."""
    best = scores.argmax(axis=1)  # (L,)
    if model.decoding == "ctc":
        kept = best != model.blank
        kept[1:] &= best[1:] != best[:-1]
    else:
        ends = np.flatnonzero(best == model.eos)
        kept = np.arange(len(best)) < (ends[0] if len(ends) else len(best))
    if model.skip:
        kept &= ~np.isin(best, model.skip)
    steps = np.flatnonzero(kept)
    if not len(steps):
        return Reading("", 0.0)
    chosen = scores[steps]
    if model.softmax:
        chosen = np.exp(chosen - chosen.max(axis=1, keepdims=True))
        chosen /= chosen.sum(axis=1, keepdims=True)
    confidence = float(chosen.max(axis=1).mean(dtype=np.float64))
    if not -0.01 <= confidence <= 1.01:  # also NaN; the margin is for half-precision softmaxes
        raise StrbenchError(
            f"Expected probabilities from the output {model.output!r}, found a mean of {confidence:g}.",
            hint='Are they logits? Set "softmax": true in the card.',
            exit_code=DATA,
        )
    return Reading("".join(texts[i] for i in best[steps]), min(max(confidence, 0.0), 1.0))


def _forward(session: Any, model: ModelCard, data: Floats) -> Floats:
    """The (L, K) output for one input of batch size 1."""
    (output,) = session.run([model.output], {model.input: data})
    return np.asarray(output[0] if model.output_layout == "BLK" else output[:, 0], np.float32)


def build(spec: str, *, threads: int | str | None = None) -> OnnxRecognizer:
    """The recognizer that the card file ``spec`` describes, loaded and tried on a blank crop.

    Args:
        spec: path of the card file.
        threads: crops read at a time, each on one core; None: as torch or OMP_NUM_THREADS say.

    Raises:
        StrbenchError: onnxruntime, the card, the model or the charset is missing, the card is faulty,
            or it does not fit the model.
    """
    workers = thread_count(threads)
    if not spec:
        raise StrbenchError(
            "The engine onnx expects the path of a card file, found none.",
            hint="strbench eval --model onnx:path/to/card.json",
        )
    path = Path(spec).expanduser()
    model = read_card(path)
    if (reason := is_available()) is not None:
        raise StrbenchError(f"ONNX models cannot be run: {reason}.", hint=INSTALL)
    weights = path.parent / model.model
    if not weights.is_file():
        raise StrbenchError(
            f"{path}: the model {weights} does not exist.",
            hint=f"Put it there, or edit the field model of {path}",
        )
    session, model = _open(path, weights, model)
    chars = characters(model, path, session.get_modelmeta().custom_metadata_map)
    classes = _try_blank(path, session, model)
    texts = class_texts(model, path, chars, classes)
    return OnnxRecognizer(session, model, texts, _card(path, weights, model), workers)


def _open(path: Path, weights: Path, model: ModelCard) -> tuple[Any, ModelCard]:
    """The session, and the card with the names of its input and output filled in."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # crops run side by side instead
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors only
    try:
        session = onnxruntime.InferenceSession(
            str(weights), sess_options=options, providers=["CPUExecutionProvider"]
        )
    except _faults() as error:
        raise StrbenchError(
            f"{weights} is not a model that onnxruntime {onnxruntime.__version__} can load "
            f"({_first_line(error)}).",
            hint="Export it again, or: pip install --upgrade onnxruntime",
            exit_code=DATA,
        ) from error
    inputs = [node.name for node in session.get_inputs()]
    outputs = [node.name for node in session.get_outputs()]
    if not model.input and len(inputs) != 1:
        raise _misfit(path, f"the model has the inputs {', '.join(inputs)}; name one under input")
    for kind, name, known in (("input", model.input, inputs), ("output", model.output, outputs)):
        if name and name not in known:
            raise _misfit(path, f"the model has no {kind} {name!r}; it has {', '.join(known)}")
    names = {"input": model.input or inputs[0], "output": model.output or outputs[0]}
    return session, ModelCard(**{**vars(model), **names})


def _try_blank(path: Path, session: Any, model: ModelCard) -> int:
    """The number of classes that the model puts out for a blank crop."""
    width = model.width or model.min_width or 4 * model.height
    data = model_input(np.zeros((model.height, width, 3), np.uint8), model)
    try:
        shape = np.shape(session.run([model.output], {model.input: data})[0])
    except _faults() as error:
        raise _misfit(
            path, f"the model takes no float32 input of shape {data.shape} ({_first_line(error)})"
        ) from error
    batch = 0 if model.output_layout == "BLK" else 1
    if len(shape) != 3 or shape[batch] != 1:
        raise _misfit(
            path,
            f"expected output {model.output!r} as {model.output_layout} with B = 1, found {shape}",
        )
    return int(shape[2])


def _faults() -> tuple[type[Exception], ...]:
    """The errors with which ONNX Runtime turns down a model or an input; they share no class."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    names = (
        "Fail",
        "InvalidArgument",
        "InvalidGraph",
        "InvalidProtobuf",
        "NoSuchFile",
        "NotImplemented",
        "RuntimeException",
    )
    return tuple(getattr(state, name) for name in names)


def _first_line(error: Exception) -> str:
    """ONNX Runtime's message without its code prefix, in one line."""
    return " ".join(str(error).rpartition(" : ")[2].split())[:200]


def _misfit(path: Path, what: str) -> StrbenchError:
    return StrbenchError(f"{path}: {what}.", hint=f"Edit {path}", exit_code=DATA)


def _card(path: Path, weights: Path, model: ModelCard) -> Card:
    import onnxruntime

    width = str(model.width) if model.width else "free"
    return Card(
        name=model.name or path.stem,
        kind="engine",
        title=model.title or f"{weights.name} on ONNX Runtime",
        paper=model.paper,
        code=model.code,
        licence=model.licence,
        resize="native",
        trained_on=model.trained_on,
        notes=(
            f"onnxruntime {onnxruntime.__version__}; model {weights.name}, sha256 "
            f"{sha256(weights.read_bytes()).hexdigest()}; card {path.name}, sha256 "
            f"{sha256(path.read_bytes()).hexdigest()}. {model.channels} {model.height} x {width} px, "
            f"{model.resize if model.width else 'aspect kept'}, {model.interpolation}; "
            f"{model.decoding}, one crop at a time. Crops longer than {MAX_RATIO} times their short "
            "side are shrunk to that ratio first."
        ),
    )
