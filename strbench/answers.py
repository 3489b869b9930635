"""What models answer, task by task: how one answer is checked, kept in a journal, and filed.

``predict`` asks the models of every task in the same way, and leaves to these the only things in which
readings, found regions, restored images and masks differ.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np

from strbench.image_predictions import (
    ImagePredictions,
    Values,
    decode_values,
    encode_shares,
    encode_values,
    write_images,
)
from strbench.loading import Pixels, decode, prepare, stretch
from strbench.prediction_files import READERS
from strbench.predictions import Predictions, write_predictions
from strbench.store import Split
from strbench.submission_files import write_found
from strbench.types import Card, Detection, Reading, Task


@dataclass(frozen=True, kw_only=True)
class Answers:
    """The answers of one task's models."""

    method: str  # of the model: a sequence of images in, one answer an image out
    wanted: str  # what an answer is, as an error says it
    protocol: str  # name in strbench.types of the Protocol that such a model follows
    suffixes: Collection[str]  # of prediction files, the usual one first
    check: Callable[
        [Any], Any
    ]  # what a model returned for an image -> the answer; None: it is none
    to_json: Callable[[Any], list[Any]]  # an answer as the journal keeps it
    from_json: Callable[[list[Any]], Any]
    # The image of a sample that the model is asked about, under the resize policy of its card.
    image: Callable[[Split, int, Card], Pixels]
    file: Callable[
        [Path, list[str], list[Any]], Any
    ]  # writes a file; what scoring takes comes back


def _sample(split: Split, index: int, card: Card) -> Pixels:
    return prepare(split.image(index), card)


def _low(split: Split, index: int, card: Card) -> Pixels:
    """The low-resolution image of a pair: of TextZoom's 16 x 64 pixels where the card says no size."""
    height, width = (16, 64) if card.resize == "native" else (card.height, card.width)
    return stretch(decode(split.low(index)), height, width)


def _is_text(text: object) -> bool:
    """Whether it is a text that a file can hold: no half of a surrogate pair."""
    return isinstance(text, str) and not any("\ud800" <= sign <= "\udfff" for sign in text)


def _is_share(value: object) -> bool:
    return isinstance(value, Real) and 0 <= float(value) <= 1


def _reading(value: Any) -> Reading | None:
    if isinstance(value, str):
        value = (value, None)
    if not isinstance(value, tuple) or len(value) != 2 or not _is_text(value[0]):
        return None
    text, confidence = str(value[0]), value[1]
    if confidence is None:
        return Reading(text)
    return Reading(text, float(confidence)) if _is_share(confidence) else None


def _file_readings(path: Path, ids: list[str], readings: list[Reading]) -> Predictions:
    predictions = Predictions(
        ids=ids,
        texts=[reading.text for reading in readings],
        confidences=[reading.confidence for reading in readings],
    )
    write_predictions(path, predictions)
    return predictions


def _detections(value: Any) -> list[Detection] | None:
    if isinstance(value, str | bytes) or not isinstance(value, Sequence):
        return None
    found = [_detection(one) for one in value]
    return None if None in found else [one for one in found if one is not None]


def _detection(value: Any) -> Detection | None:
    """A ``Detection``, or a tuple of its first one, two or three fields."""
    if not isinstance(value, tuple) or not 1 <= len(value) <= len(Detection._fields):
        return None
    one = Detection(*value)
    try:
        points = np.asarray(one.polygon, dtype=np.float64)
    except (TypeError, ValueError):
        return None
    if points.ndim != 2 or points.shape[1] != 2 or not np.isfinite(points).all():
        return None
    if one.confidence is not None and not _is_share(one.confidence):
        return None
    if one.text is not None and not _is_text(one.text):
        return None
    if not all(isinstance(x, Real) and math.isfinite(x) for x in one.given):
        return None
    return Detection(
        tuple((x, y) for x, y in points.tolist()),
        None if one.confidence is None else float(one.confidence),
        one.text,
        tuple(float(x) for x in one.given),
    )


def _found_from_json(rows: list[Any]) -> list[Detection]:
    return [
        Detection(tuple((x, y) for x, y in polygon), confidence, text, tuple(given))
        for polygon, confidence, text, given in rows
    ]


def _file_found(
    path: Path, ids: list[str], found: list[list[Detection]]
) -> dict[str, list[Detection]]:
    by_id = dict(zip(ids, found, strict=True))
    write_found(path, by_id)
    return by_id


def _values(value: Any, channels: tuple[int, ...]) -> Values | None:
    """An array of finite float numbers: (H, W), or (H, W, C) where C is one of ``channels``."""
    try:
        values = np.asarray(value)
    except (TypeError, ValueError):
        return None
    if values.dtype.kind != "f" or not values.size or not np.isfinite(values).all():
        return None
    if values.ndim != (3 if channels else 2) or (channels and values.shape[2] not in channels):
        return None
    return values.astype(np.float32)


def _mask(value: Any) -> Values | None:
    values = _values(value, ())
    return None if values is None or values.min() < 0 or values.max() > 1 else values


def _to_base64(encode: Callable[[Values], bytes]) -> Callable[[Values], list[str]]:
    return lambda values: [base64.b64encode(encode(values)).decode()]


def _from_base64(row: list[str]) -> Values:
    return decode_values(base64.b64decode(row[0], validate=True))


def _file_images(encode: Callable[[Values], bytes]) -> Callable[..., ImagePredictions]:
    def file(path: Path, ids: list[str], images: list[Values]) -> ImagePredictions:
        return write_images(path, ids, [encode(values) for values in images])

    return file


READINGS = Answers(
    method="read",
    wanted="a text or (text, confidence in [0, 1])",
    protocol="Recognizer",
    suffixes=READERS,
    check=_reading,
    to_json=list,
    from_json=lambda row: Reading(*row),
    image=_sample,
    file=_file_readings,
)

DETECTIONS = Answers(
    method="detect",
    wanted="a list of (polygon of finite x and y, confidence in [0, 1] or None, text or None)",
    protocol="Detector",
    suffixes=(".parquet",),
    check=_detections,
    to_json=lambda found: [list(one) for one in found],
    from_json=_found_from_json,
    image=_sample,
    file=_file_found,
)

RESTORED = Answers(
    method="restore",
    wanted="an array (H, W, 3) of finite float numbers",
    protocol="Restorer",
    suffixes=(".parquet",),
    check=lambda value: _values(value, (3, 4)),
    to_json=_to_base64(encode_values),
    from_json=_from_base64,
    image=_low,
    file=_file_images(encode_values),
)

MASKS = Answers(
    method="segment",
    wanted="an array (H, W) of float numbers in [0, 1]",
    protocol="Segmenter",
    suffixes=(".parquet",),
    check=_mask,
    to_json=_to_base64(encode_shares),
    from_json=_from_base64,
    image=_sample,
    file=_file_images(encode_shares),
)

ANSWERS: dict[Task, Answers] = {
    "recognition": READINGS,
    "detection": DETECTIONS,
    "super-resolution": RESTORED,
    "segmentation": MASKS,
}
