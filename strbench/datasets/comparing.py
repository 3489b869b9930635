"""Which samples two splits share, and how the rest differ."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass, field

from strbench.loading import decode
from strbench.store import Split


@dataclass(frozen=True)
class Pair:
    """One image that two splits hold under different labels."""

    a: str  # sample id
    b: str
    label_a: str | None
    label_b: str | None


@dataclass
class Difference:
    """The outcome of comparing splits A and B, image by image."""

    a: str
    b: str
    n_a: int
    n_b: int
    same: int = 0  # images in both, with equal labels
    relabelled: list[Pair] = field(default_factory=list)  # in both, labels differ
    only_a: list[tuple[str, str | None]] = field(default_factory=list)  # id, label
    only_b: list[tuple[str, str | None]] = field(default_factory=list)

    def folded(self) -> int:
        """How many relabelled pairs still differ in lower case, letters and digits only."""
        return sum(_fold(p.label_a) != _fold(p.label_b) for p in self.relabelled)


def _fold(label: str | None) -> str:
    return "".join(c for c in (label or "").lower() if c.isascii() and c.isalnum())


def _pixels(split: Split) -> list[bytes]:
    hashes = []
    for i in range(split.n):
        pixels = decode(split.image(i))
        shape = "x".join(map(str, pixels.shape)).encode()
        hashes.append(hashlib.sha256(shape + b":" + pixels.tobytes()).digest())
    return hashes


def diff(a: Split, b: Split) -> Difference:
    """How two splits differ; images are the same where their decoded pixels are.

    An image that a split holds several times is paired as often as the other holds it, equal labels
    first. The same crop in another encoding (a JPEG of a PNG) counts as another image.
    """
    result = Difference(a.name, b.name, a.n, b.n)
    places: dict[bytes, list[int]] = defaultdict(list)
    for j, key in enumerate(_pixels(b)):
        places[key].append(j)
    keys = _pixels(a)
    left: list[int] = []
    for i, key in enumerate(keys):
        match = next((j for j in places[key] if b.labels[j] == a.labels[i]), None)
        if match is None:
            left.append(i)
        else:
            places[key].remove(match)
            result.same += 1
    for i in left:
        if places[keys[i]]:
            j = places[keys[i]].pop(0)
            result.relabelled.append(Pair(a.ids[i], b.ids[j], a.labels[i], b.labels[j]))
        else:
            result.only_a.append((a.ids[i], a.labels[i]))
    rest = sorted(j for indices in places.values() for j in indices)
    result.only_b = [(b.ids[j], b.labels[j]) for j in rest]
    return result
