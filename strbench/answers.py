"""What models answer, task by task: how one answer is checked, kept in a journal, and filed.

``predict`` asks the models of every task in the same way, and leaves to these the only things in which
readings and found regions differ.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np

from strbench.prediction_files import READERS
from strbench.predictions import Predictions, write_predictions
from strbench.submission_files import write_found
from strbench.types import Detection, Reading, Task


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
    file: Callable[
        [Path, list[str], list[Any]], Any
    ]  # writes a file; what scoring takes comes back


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


READINGS = Answers(
    method="read",
    wanted="a text or (text, confidence in [0, 1])",
    protocol="Recognizer",
    suffixes=READERS,
    check=_reading,
    to_json=list,
    from_json=lambda row: Reading(*row),
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
    file=_file_found,
)

ANSWERS: dict[Task, Answers] = {"recognition": READINGS, "detection": DETECTIONS}
