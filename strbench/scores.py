"""What a run scored, as its record holds it: figures with their counts and intervals.

Counts are kept and not quotients where a figure is one, so that every table can divide for itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from strbench.errors import DATA, StrbenchError

Part = TypeVar("Part")


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """A count out of n with its 95 % interval; the proportion is divided when it is shown."""

    correct: int
    n: int
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, kw_only=True)
class Similarity:
    """A sum of n values in [0, 1] (1-NED) with the 95 % interval of their mean."""

    sum: float
    n: int
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A figure that is no share of samples, with its 95 % interval where one was computed."""

    value: float  # in the metric's unit: a proportion in [0, 1], decibels, ...
    low: float | None = None
    high: float | None = None
    part: float | None = None  # numerator and denominator where it is a quotient of sums
    whole: float | None = None


@dataclass(frozen=True, kw_only=True)
class Stored:
    """A file that a record points to, and its SHA-256 in hex."""

    path: str  # "~" and "$STRBENCH_HOME" stand for the two homes, see ``expand``
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Score:
    """What one run scored on one split under one protocol."""

    split: str  # "cute80/test"
    fingerprint: str
    n: int
    protocol: str
    signature: str
    rendered: bool = False
    seen: bool = False  # the model was trained on this very split
    word_accuracy: Accuracy | None = None
    one_minus_ned: Similarity | None = None
    ladder: dict[str, int] = field(default_factory=dict)  # policy -> correct, strictest first
    predictions: Stored | None = None
    figures: dict[str, Figure] = field(
        default_factory=dict
    )  # metric -> figure; not of word reading
    counts: dict[str, int] = field(default_factory=dict)  # what else was counted, e.g. regions


@dataclass(frozen=True, kw_only=True)
class Data:
    """A split that a run read."""

    split: str
    n: int
    fingerprint: str
    labels: str = ""  # label variant, as in the manifest


def invalid(path: Path | str, what: str) -> StrbenchError:
    """The error of a run record that cannot be read."""
    return StrbenchError(
        f"{path} is not a valid run record: it {what}.",
        hint="Move the file out of the folder, or run its command again.",
        exit_code=DATA,
    )


def _shape(kind: type[Any]) -> tuple[tuple[str, ...], dict[str, str]]:
    """All field names of a dataclass, and the type's name of each that has no default."""
    parts = fields(kind)
    needed = {
        p.name: str(p.type) for p in parts if p.default is MISSING and p.default_factory is MISSING
    }
    return tuple(p.name for p in parts), needed


_SHAPES: dict[type[Any], tuple[tuple[str, ...], dict[str, str]]] = {
    kind: _shape(kind) for kind in (Accuracy, Similarity, Figure, Stored, Score, Data)
}
_TYPES: dict[str, tuple[type, ...]] = {"int": (int,), "str": (str,), "float": (int, float)}


def part_of(kind: type[Part], item: Any, where: str, key: str) -> Part:
    """A part of a record from its JSON object.

    Raises:
        StrbenchError: it is no object, or lacks a field; ``where`` and ``key`` name it.
    """
    if not isinstance(item, Mapping):
        raise invalid(where, f"has no object in {key!r}")
    names, needed = _SHAPES[kind]
    for name, expected in needed.items():
        value = item.get(name)
        if not isinstance(value, _TYPES[expected]) or isinstance(value, bool):
            raise invalid(where, f"has no {expected} in '{key}.{name}'")
    return kind(**{name: item[name] for name in names if name in item})


def score_of(item: Any, where: str) -> Score:
    """A score from its JSON object.

    Raises:
        StrbenchError: it lacks a field, or its counts contradict each other.
    """
    if not isinstance(item, Mapping):
        raise invalid(where, "has no object in 'scores'")
    parts = dict(item)
    for name, kind in (
        ("word_accuracy", Accuracy),
        ("one_minus_ned", Similarity),
        ("predictions", Stored),
    ):
        if parts.get(name) is not None:
            parts[name] = part_of(kind, parts[name], where, f"scores.{name}")
    figures = parts.get("figures") or {}
    if not isinstance(figures, Mapping):
        raise invalid(where, "has no object in 'scores.figures'")
    parts["figures"] = {
        name: part_of(Figure, item, where, f"scores.figures.{name}")
        for name, item in figures.items()
    }
    score = part_of(Score, parts, where, "scores")
    accuracy, similarity = score.word_accuracy, score.one_minus_ned
    for measure in (accuracy, similarity):
        if measure is not None and measure.n != score.n:
            raise invalid(where, f"counts {measure.n} of {score.n} samples on {score.split}")
    if accuracy is not None and not 0 <= accuracy.correct <= accuracy.n:
        raise invalid(where, f"has {accuracy.correct} correct of {accuracy.n} on {score.split}")
    return score
