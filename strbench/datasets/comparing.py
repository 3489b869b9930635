"""Which samples two splits share, how the rest differ, and why."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from strbench.loading import decode
from strbench.regions import tally
from strbench.store import Split
from strbench.types import Region

# What the field keeps out of its lists by looking at the label alone: reason -> whether it stays in.
_RULES: dict[str, Callable[[str], bool]] = {
    "the label is empty": bool,
    "the label has other signs than 0-9 A-Z a-z": lambda text: text.isascii() and text.isalnum(),
    "the label is shorter than 3": lambda text: len(text) >= 3,
    "the label is longer than 25": lambda text: len(text) <= 25,
}


@dataclass(frozen=True)
class Pair:
    """One image that two splits hold under different annotations."""

    a: str  # sample id
    b: str
    label_a: str | None  # of a photograph, how many regions it has
    label_b: str | None
    why: str  # what differs


@dataclass
class Difference:
    """The outcome of comparing splits A and B, image by image."""

    a: str
    b: str
    n_a: int
    n_b: int
    same: int = 0  # images in both, annotated alike
    relabelled: list[Pair] = field(default_factory=list)  # in both, annotations differ
    only_a: list[tuple[str, str | None]] = field(default_factory=list)  # id, label
    only_b: list[tuple[str, str | None]] = field(default_factory=list)
    why_only_a: dict[str, list[str]] = field(default_factory=dict)  # reason -> ids
    why_only_b: dict[str, list[str]] = field(default_factory=dict)

    def folded(self) -> int:
        """How many relabelled pairs still differ in lower case, letters and digits only."""
        return sum(_fold(p.label_a) != _fold(p.label_b) for p in self.relabelled)


class _Annotation(NamedTuple):
    """What a sample has beside its image."""

    label: str | None
    regions: tuple[Region, ...] | None = None
    low: bytes | None = None  # hashes of pixels
    mask: bytes | None = None

    def shown(self) -> str | None:
        """The label, or for a photograph how many regions it has."""
        if self.regions is None:
            return self.label
        counts = tally(self.regions)
        return f"{counts['regions']} regions, {counts['ignored']} ignored"


def _fold(label: str | None) -> str:
    return "".join(c for c in (label or "").lower() if c.isascii() and c.isalnum())


def _pixels(image: bytes) -> bytes:
    pixels = decode(image)
    shape = "x".join(map(str, pixels.shape)).encode()
    return hashlib.sha256(shape + b":" + pixels.tobytes()).digest()


def _annotations(split: Split) -> list[_Annotation]:
    task = split.manifest.task
    return [
        _Annotation(
            label,
            split.regions(i) if task == "detection" else None,
            _pixels(split.low(i)) if task == "super-resolution" else None,
            _pixels(split.mask(i)) if task == "segmentation" else None,
        )
        for i, label in enumerate(split.labels)
    ]


def diff(a: Split, b: Split) -> Difference:
    """How two splits differ; images are the same where their decoded pixels are.

    An image that a split holds several times is paired as often as the other holds it, equal
    annotations first. The same crop in another encoding (a JPEG of a PNG) counts as another image.

    Why a sample is in one split only: the other has another image under its id; or the label breaks a
    rule that every label of the other keeps (letters and digits only, a length); or neither, and
    then the other's list leaves it out for a reason that the labels do not show.
    """
    result = Difference(a.name, b.name, a.n, b.n)
    of_a, of_b = _annotations(a), _annotations(b)
    places: dict[bytes, list[int]] = defaultdict(list)
    for j in range(b.n):
        places[_pixels(b.image(j))].append(j)
    keys = [_pixels(a.image(i)) for i in range(a.n)]
    left: list[int] = []
    for i, key in enumerate(keys):
        match = next((j for j in places[key] if of_b[j] == of_a[i]), None)
        if match is None:
            left.append(i)
        else:
            places[key].remove(match)
            result.same += 1
    alone: list[int] = []
    for i in left:
        if places[keys[i]]:
            j = places[keys[i]].pop(0)
            x, y = of_a[i], of_b[j]
            result.relabelled.append(Pair(a.ids[i], b.ids[j], x.shown(), y.shown(), _change(x, y)))
        else:
            alone.append(i)
    rest = sorted(j for indices in places.values() for j in indices)
    result.only_a = [(a.ids[i], a.labels[i]) for i in alone]
    result.only_b = [(b.ids[j], b.labels[j]) for j in rest]
    result.why_only_a = _reasons(result.only_a, b)
    result.why_only_b = _reasons(result.only_b, a)
    return result


def _change(a: _Annotation, b: _Annotation) -> str:
    """What differs between two annotations of one image."""
    if a.label != b.label:
        if a.label is None or b.label is None:
            return "only one has a label"
        if a.label.lower() == b.label.lower():
            return "case"
        return "punctuation or spaces" if _fold(a.label) == _fold(b.label) else "letters or digits"
    if a.regions != b.regions:
        return _region_change(a.regions, b.regions)
    return "the low-resolution image" if a.low != b.low else "the mask"


def _region_change(a: Sequence[Region] | None, b: Sequence[Region] | None) -> str:
    if a is None or b is None:
        return "only one has regions"
    if len(a) != len(b):
        return "how many regions"
    for part in ("polygon", "ignored", "text"):
        if sorted(map(str, (getattr(r, part) for r in a))) != sorted(
            map(str, (getattr(r, part) for r in b))
        ):
            return {"polygon": "outlines", "ignored": "what is ignored", "text": "texts"}[part]
    return "order or tags of the regions"


def _reasons(only: Sequence[tuple[str, str | None]], other: Split) -> dict[str, list[str]]:
    """Reason -> ids of the samples that the other split lacks for it."""
    taken = set(other.ids) if other.manifest.ids == "stored" else set()
    held = [label for label in other.labels if label is not None]
    rules = {why: keeps for why, keeps in _RULES.items() if held and all(map(keeps, held))}
    found: dict[str, list[str]] = defaultdict(list)
    for id_, label in only:
        if id_ in taken:
            why = f"{other.name} has another image under its id"
        else:
            broken = (why for why, keeps in rules.items() if label is not None and not keeps(label))
            why = next(broken, f"{other.name} does not list it, and the label shows no reason")
        found[why].append(id_)
    return dict(found)
