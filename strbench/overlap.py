"""Which images of one split lie in another too: near-duplicates, found by hash and proved by pixels.

1. Every image becomes a 64-bit perceptual hash: grey, 32 x 32, linear shading taken out, and of its
   cosine transform the 64 lowest frequencies (13 across by 5 down, without the constant, since words
   are wide), each above their median or not.
2. All pairs within a Hamming distance are found: no approximation, see ``strbench.hamming``.
3. Every such pair is compared by pixels: the correlation of the two images in grey at 96 x 32, linear
   shading taken out, at the best of 25 shifts by up to two pixels; and their mean colours. A pair is a
   near-duplicate if it correlates by 0.9 and no channel's mean differs by more than 16 levels. The same
   pattern in other colours is a *look-alike*: one sign in two lights, or one logo printed twice.

An image that is blank but for shading has a hash of noise; it takes part by exact pixels only and is
counted as blank. What this finds is the same crop in another encoding or size, or one or two pixels
aside. A word that was cut with another margin, turned, or much brightened is another image to it. The
``controls`` of a report measure that on the very images of the report.

The numbers were chosen on 9,192 real word crops (IIIT5K, ICDAR 2015, SVT): of the 513 pairs that the
hash brings together and whose labels differ none correlates above 0.86.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageStat

from strbench.digests import worker_pool
from strbench.errors import StrbenchError
from strbench.files import atomic_path
from strbench.hamming import pairs_within
from strbench.loading import Pixels, decode
from strbench.store import Split
from strbench.text import alnum_lower

# Bits of 64: JPEG of quality 50 turns up to 8, a lost row and column up to 10 in 91 %.
DISTANCE = 10
CORRELATION = 0.9
COLOUR = 16.0  # levels of 255; JPEG of quality 50 moves small words of IIIT5K by up to 16
_BLANK = 1.5  # grey levels of standard deviation at 32 x 32; the faintest of the real words has 1.9
_SHIFT = 2  # pixels of 96 x 32
_MOST = 100  # candidates that are looked at for one image of the test set, the nearest first
_SHOWN = 100  # refused pairs that are kept for the report
_CHUNK = 512  # images or pairs that a worker takes at once
_DTYPE = np.dtype([("bits", "<u8"), ("pixels", "<u8"), ("blank", "?")])

Hashes = NDArray[np.void]  # (n,) of _DTYPE; "pixels" is the start of a SHA-256 of the decoded image
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Match:
    """A pair of images that the hash brought together, and what the pixels say of it."""

    test: int  # index
    train: int
    distance: int  # Hamming distance of the hashes
    correlation: float
    colour: float  # the largest difference of a channel's mean, in levels of 255
    is_identical: bool  # the decoded pixels are equal

    @property
    def is_duplicate(self) -> bool:
        """Whether the pair counts."""
        return self.is_identical or (self.correlation >= CORRELATION and self.colour <= COLOUR)


@dataclass
class Overlap:
    """What two splits share. With ``is_self`` a split was searched for its own repeats."""

    train: Split
    test: Split
    distance: int
    matches: list[Match] = field(default_factory=list)  # duplicates, by test index, the best first
    refused: list[Match] = field(default_factory=list)  # near by hash, not by pixels; the best
    n_refused: int = 0
    look_alikes: int = 0  # of the refused: the same pattern in other colours
    blank_train: int = 0
    blank_test: int = 0
    crowded: int = 0  # images of the test set with more candidates than were looked at
    controls: dict[str, float] = field(default_factory=dict)  # change -> share that was found again

    @property
    def is_self(self) -> bool:
        """Whether a split was compared with itself."""
        return self.train.directory == self.test.directory

    def found(self) -> int:
        """How many images of the test set have a duplicate."""
        pairs = ({m.test, m.train} if self.is_self else {m.test} for m in self.matches)
        return len(set().union(*pairs))

    def identical(self) -> int:
        """How many images of the test set have one with equal pixels."""
        same = [m for m in self.matches if m.is_identical]
        return len(set().union(*({m.test, m.train} if self.is_self else {m.test} for m in same)))

    def labels_agree(self) -> tuple[int, int]:
        """Of the duplicate pairs with two labels, how many agree in letters and digits; and all."""
        pairs = [(self.test.label(m.test), self.train.label(m.train)) for m in self.matches]
        both = [
            (alnum_lower(a), alnum_lower(b)) for a, b in pairs if a is not None and b is not None
        ]
        return sum(a == b for a, b in both), len(both)


# --- one image ------------------------------------------------------------------------------------


@cache
def _plane(width: int, height: int) -> NDArray[np.float64]:
    """An orthonormal basis (3, H * W) of the images whose grey rises linearly."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    basis, _ = np.linalg.qr(np.stack([np.ones(width * height), x.ravel(), y.ravel()], axis=1))
    return np.asarray(basis.T)


def _unshaded(grey: NDArray[np.float64]) -> NDArray[np.float64]:
    """Images (..., H, W) without their mean and linear shading."""
    height, width = grey.shape[-2:]
    basis = _plane(width, height)
    flat = grey.reshape(*grey.shape[:-2], height * width)
    return np.asarray((flat - flat @ basis.T @ basis).reshape(grey.shape))


def _grey(image: Image.Image, width: int, height: int) -> NDArray[np.uint8]:
    small = image.convert("L").resize((width, height), Image.Resampling.BILINEAR, reducing_gap=2.0)
    return np.asarray(small)


@cache
def _cosines(n: int) -> NDArray[np.float64]:
    """The first ``n`` cosines over 32 positions, (n, 32)."""
    return np.asarray(np.cos(np.pi * np.arange(n)[:, None] * (2 * np.arange(32) + 1) / 64))


def _hash(small: NDArray[np.uint8]) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    """Hashes of grey images (n, 32, 32), and which of these are blank."""
    plain = _unshaded(small.astype(np.float64))
    waves = _cosines(5) @ plain @ _cosines(13).T  # (n, 5, 13)
    waves = waves.reshape(len(small), 65)[:, 1:]
    bits = waves > np.median(waves, axis=1, keepdims=True)
    blank = plain.std(axis=(1, 2)) < _BLANK
    return np.packbits(bits, axis=1).view(">u8")[:, 0].astype(np.uint64), blank


def _pixel_digest(pixels: Pixels) -> int:
    digest = hashlib.sha256(str(pixels.shape).encode())
    digest.update(np.ascontiguousarray(pixels).data)
    return int.from_bytes(digest.digest()[:8], "big")


def correlation(a: Image.Image, b: Image.Image) -> float:
    """How much two images look alike, -1 to 1, see the head of this file; 0 if one is blank."""
    first, second = (_unshaded(_grey(image, 96, 32).astype(np.float64)) for image in (a, b))
    s = _SHIFT
    inner = first[s:-s, s:-s]
    windows = np.lib.stride_tricks.sliding_window_view(second, inner.shape).reshape(
        (2 * s + 1) ** 2, inner.size
    )
    flat = inner.ravel() - inner.mean()
    windows = windows - windows.mean(axis=1, keepdims=True)
    scale = np.linalg.norm(windows, axis=1) * np.linalg.norm(flat)
    return float(np.max(windows @ flat / np.where(scale > 1e-6, scale, np.inf)))


def colour_difference(a: Image.Image, b: Image.Image) -> float:
    """The largest difference of the mean of a channel, in levels of 255."""
    return max(
        abs(x - y) for x, y in zip(ImageStat.Stat(a).mean, ImageStat.Stat(b).mean, strict=True)
    )


# --- all images of a split ------------------------------------------------------------------------


def _image(split: Split, index: int) -> Image.Image:
    return Image.fromarray(decode(split.image(index)))


def _hash_range(split: Split, indices: range) -> Hashes:
    found = np.empty(len(indices), _DTYPE)
    small = np.empty((len(indices), 32, 32), np.uint8)
    for k, i in enumerate(indices):
        pixels = decode(split.image(i))
        small[k] = _grey(Image.fromarray(pixels), 32, 32)
        found["pixels"][k] = _pixel_digest(pixels)
    found["bits"], found["blank"] = _hash(small)
    return found


def _ranges(n: int) -> list[range]:
    return [range(start, min(start + _CHUNK, n)) for start in range(0, n, _CHUNK)]


def hash_split(split: Split, progress: Progress = lambda done, total: None) -> Hashes:
    """The hashes of all images, in order; kept beside the manifest, which they vanish with.

    Raises:
        StrbenchError: an image cannot be decoded.
    """
    kept = split.directory / "hashes-1.npy"  # 1: the version of the hash
    if kept.is_file():
        held: Hashes = np.load(kept)
        if held.dtype == _DTYPE and len(held) == split.n:
            return held
    parts: list[Hashes] = []
    with worker_pool(os.cpu_count() or 1) as pool:
        for part in pool.map(partial(_hash_range, split), _ranges(split.n)):
            parts.append(part)
            progress(min(len(parts) * _CHUNK, split.n), split.n)
    hashes = np.concatenate(parts)
    if os.access(split.directory, os.W_OK):
        with atomic_path(kept) as temporary, temporary.open("wb") as file:
            np.save(file, hashes)
    return hashes


# --- all pairs ------------------------------------------------------------------------------------


def _candidates(
    train: Hashes, test: Hashes, distance: int, *, is_self: bool
) -> tuple[NDArray[np.int64], int]:
    """Rows (test, train, distance) to be compared by pixels, and how many test images had too many.

    Of the train images with the same hash the first are taken, one more than will be looked at.
    """
    rows: list[NDArray[np.int64]] = []
    for key, wanted in (("bits", distance), ("pixels", 0)):
        # Blank images meet by their pixels only; the others meet there too, at a distance of 0.
        mine = np.arange(len(test)) if key == "pixels" else np.flatnonzero(~test["blank"])
        theirs = np.arange(len(train)) if key == "pixels" else np.flatnonzero(~train["blank"])
        values, first, members, counts = _grouped(train[key][theirs])
        for i, j in pairs_within(test[key][mine], values, wanted):
            sizes = np.minimum(counts[j], _MOST + 1)
            at = np.repeat(first[j] - (np.cumsum(sizes) - sizes), sizes) + np.arange(sizes.sum())
            i, there = mine[np.repeat(i, sizes)], theirs[members[at]]
            apart = np.bitwise_count(test["bits"][i] ^ train["bits"][there]).astype(np.int64)
            if is_self:
                two = i != there
                i, there, apart = (
                    np.minimum(i, there)[two],
                    np.maximum(i, there)[two],
                    apart[two],
                )
            rows.append(np.stack([i, there, apart], axis=1))
    if not rows:
        return np.empty((0, 3), np.int64), 0
    pairs = np.unique(np.concatenate(rows), axis=0)
    pairs = pairs[np.lexsort((pairs[:, 1], pairs[:, 2], pairs[:, 0]))]
    start = np.flatnonzero(np.diff(pairs[:, 0], prepend=-1))
    sizes = np.diff(start, append=len(pairs))
    rank = np.arange(len(pairs)) - np.repeat(start, sizes)
    return pairs[rank < _MOST], int((sizes > _MOST).sum())


def _grouped(values: NDArray[np.uint64]) -> tuple[NDArray[Any], ...]:
    """The unlike values; where each one's members begin; the members; how many each has."""
    members = np.argsort(values, kind="stable")
    unlike, first, counts = np.unique(values[members], return_index=True, return_counts=True)
    return unlike, first, members, counts


# --- the report -----------------------------------------------------------------------------------


def _compare(train: Split, test: Split, pairs: NDArray[np.int64]) -> list[Match]:
    matches: list[Match] = []
    for i, j, distance in pairs.tolist():
        a, b = _image(test, i), _image(train, j)
        same = a.size == b.size and a.tobytes() == b.tobytes()
        alike = 1.0 if same else correlation(a, b)
        matches.append(Match(i, j, distance, alike, colour_difference(a, b), same))
    return matches


def _jpeg(image: Image.Image) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=50)
    return Image.open(buffer).convert("RGB")


def _half(image: Image.Image) -> Image.Image:
    width, height = max(image.width // 2, 1), max(image.height // 2, 1)
    return image.resize((width, height), Image.Resampling.BICUBIC)


def _trimmed(image: Image.Image) -> Image.Image:
    return image.crop((0, 0, max(image.width - 1, 1), max(image.height - 1, 1)))


def _margin(image: Image.Image) -> Image.Image:
    by_x, by_y = image.width // 10, image.height // 10
    return image.crop((by_x, by_y, image.width - by_x, image.height - by_y))


_CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "JPEG, quality 50": _jpeg,
    "half the size": _half,
    "last row and column cut off": _trimmed,
    "a tenth cut off on each side": _margin,
}


def _controls(split: Split, hashes: Hashes, distance: int) -> dict[str, float]:
    """Change -> the share of some 200 images of a split that is still found after it."""
    seen = np.flatnonzero(~hashes["blank"])
    chosen = seen[:: max(len(seen) // 200, 1)].tolist()
    found = dict.fromkeys(_CHANGES, 0)
    for i in chosen:
        image = _image(split, i)
        for name, change in _CHANGES.items():
            changed = change(image)
            bits, _ = _hash(_grey(changed, 32, 32)[None])
            apart = int(np.bitwise_count(bits[0] ^ hashes["bits"][i]))
            alike = correlation(image, changed), colour_difference(image, changed)
            found[name] += apart <= distance and Match(i, i, apart, *alike, False).is_duplicate
    return {name: count / len(chosen) for name, count in found.items()}


def find_overlap(
    train: Split,
    test: Split,
    *,
    distance: int = DISTANCE,
    progress: Callable[[str], Progress] = lambda what: lambda done, total: None,
) -> Overlap:
    """What two splits share, or what a split repeats where both are the same one.

    Args:
        distance: bits of 64 in which the hashes of a pair may differ, 0 to 15.
        progress: gives, for a step's name, what is told of its progress.

    Raises:
        StrbenchError: an image cannot be decoded, or the distance is out of range.
    """
    if not 0 <= distance < 16:  # beyond, a quarter of the hash may differ in half of its bits
        raise StrbenchError(f"A distance of {distance} bits was asked for; expected 0 to 15.")
    result = Overlap(train, test, distance)
    ours = hash_split(test, progress(f"hashing {test.name}"))
    theirs = ours if result.is_self else hash_split(train, progress(f"hashing {train.name}"))
    result.blank_test, result.blank_train = int(ours["blank"].sum()), int(theirs["blank"].sum())
    pairs, result.crowded = _candidates(theirs, ours, distance, is_self=result.is_self)
    tell, done = progress("comparing pairs"), 0
    with worker_pool(os.cpu_count() or 1) as pool:
        chunks = [pairs[r.start : r.stop] for r in _ranges(len(pairs))]
        for matches in pool.map(partial(_compare, train, test), chunks):
            done += len(matches)
            tell(done, len(pairs))
            result.matches += [match for match in matches if match.is_duplicate]
            refused = [match for match in matches if not match.is_duplicate]
            result.n_refused += len(refused)
            result.look_alikes += sum(match.correlation >= CORRELATION for match in refused)
            best = sorted([*result.refused, *refused], key=lambda m: -m.correlation)
            result.refused = best[:_SHOWN]
    result.matches.sort(key=lambda m: (m.test, -m.correlation, m.distance, m.train))
    if not ours["blank"].all():
        result.controls = _controls(test, ours, distance)
    return result
