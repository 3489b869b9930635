"""Photographs as oCLIP is trained on them: lightly cropped, and their words as symbols with one hidden.

Source: bytedance/oclip, src/training/data.py and tools/convert_*_csv.py.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from strbench.errors import DATA, StrbenchError
from strbench.feeds import Item, PageFeed
from strbench.placing import Matrix, Place, Placement, Scene, scaling, shift
from strbench.splits import Split
from strbench.types import Region

ASCII = "".join(map(chr, range(33, 127)))  # the 94 signs of tools/convert_synthtext_csv.py
SPECIAL = (
    3  # symbols beside the alphabet's: 0 of empty places, and behind the alphabet mask and end
)
AREA = 0.95, 1.0  # of the photograph that a crop shows; src/clip/clip.py
RATIO = 3 / 4, 4 / 3  # width by height of a crop; torchvision's default
TRIES = 10  # torchvision

Spaces = Literal["split", "drop"]


def alphabet_of(path: str) -> str:
    """The characters of a text file in their order, line ends left out; the 94 ASCII signs for "".

    Raises:
        StrbenchError: the file cannot be read, is empty, or has a space or a character twice.
    """
    if not path:
        return ASCII
    try:
        characters = "".join(Path(path).read_text(encoding="utf-8").splitlines())
    except (OSError, UnicodeDecodeError) as error:
        raise StrbenchError(
            f"The alphabet {path} cannot be read ({error}).",
            hint="--set alphabet=FILE with each character once, in UTF-8",
            exit_code=DATA,
        ) from error
    twice = sorted({c for c in characters if characters.count(c) > 1 or c.isspace()})
    if twice or not characters:
        fault = f"has {twice[0]!r} twice or as a space" if twice else "is empty"
        raise StrbenchError(
            f"The alphabet {path} {fault}; expected each character once and no space.",
            hint="--set alphabet=FILE with each character once, in UTF-8",
            exit_code=DATA,
        )
    return characters


# --- the window


def resized_crop(height: int, width: int) -> Place:
    """A crop of nearly the whole photograph, its sides stretched to the window's.

    Area and ratio are drawn, the ratio evenly in its logarithm, until the crop lies within the
    photograph; after ten tries it is the middle of the photograph, cut to the nearest ratio.

    Source: torchvision's RandomResizedCrop with the official scale and ratio.
    """

    def place(
        rng: np.random.Generator, rows: int, columns: int, regions: Sequence[Region]
    ) -> Placement:
        for _ in range(TRIES):
            area = rows * columns * rng.uniform(*AREA)
            ratio = math.exp(rng.uniform(math.log(RATIO[0]), math.log(RATIO[1])))
            wide, high = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if 0 < wide <= columns and 0 < high <= rows:
                top = int(rng.integers(rows - high + 1))
                left = int(rng.integers(columns - wide + 1))
                break
        else:
            ratio = min(max(columns / rows, RATIO[0]), RATIO[1])
            wide = min(columns, max(1, round(rows * ratio)))
            high = min(rows, max(1, round(columns / ratio)))
            top, left = (rows - high) // 2, (columns - wide) // 2
        matrix: Matrix = scaling(width / wide, height / high) @ shift(-left, -top)
        return Placement(matrix, (height, width))

    return place


# --- the words


def is_text(region: Region) -> bool:
    """Whether a region says what stands there: neither ignored, nor "###", nor without a text."""
    return not region.ignored and bool(region.text) and region.text != "###"


def words_in(regions: Sequence[Region], alphabet: str, spaces: Spaces) -> list[str]:
    """The words of regions in their order; characters that the alphabet lacks are removed.

    Args:
        spaces: "split": they part words, as in SynthText. "drop": they are removed, a region is one
            word, and words of one character are left out, as in LSVT.

    >>> box = ((0.0, 0.0), (4.0, 0.0), (4.0, 2.0))
    >>> words_in([Region(box, "To be"), Region(box, "###"), Region(box, "X")], ASCII, "split")
    ['To', 'be', 'X']
    >>> words_in([Region(box, "To be"), Region(box, "###"), Region(box, "X")], ASCII, "drop")
    ['Tobe']
    """
    known = set(alphabet)
    found: list[str] = []
    for region in filter(is_text, regions):
        parts = (region.text or "").split()
        for part in parts if spaces == "split" else ["".join(parts)]:
            word = "".join(c for c in part if c in known)
            if len(word) >= (1 if spaces == "split" else 2):
                found.append(word)
    return found


def encoded(words: Sequence[str], alphabet: str, *, slots: int, length: int) -> NDArray[np.int64]:
    """Symbols (slots, length): a word's characters, counted from 1, and the end sign; the rest 0.

    The last place of a word of ``length`` or more characters is the end sign's.

    >>> encoded(["ba", "abcd"], "abcd", slots=3, length=3).tolist()  # mask 5, end 6
    [[2, 1, 6], [1, 2, 6], [0, 0, 0]]
    """
    number = {character: i for i, character in enumerate(alphabet, start=1)}
    symbols = np.zeros((slots, length), np.int64)
    for row, word in zip(symbols, words, strict=False):
        end = min(len(word), length - 1)
        row[:end] = [number[c] for c in word[:end]]
        row[end] = len(alphabet) + 2
    return symbols


def targets(
    alphabet: str, *, slots: int, length: int, spaces: Spaces, hides: bool
) -> Callable[[Scene], dict[str, NDArray[np.generic]]]:
    """The function from a scene to its words, shuffled by the scene's seed.

    "words" int64 (slots, length): as ``encoded`` makes them of the first ``slots``; with ``hides``, one
    place of each holds the mask, and "hidden" int64 (slots,) what stood there, 0 for an empty slot. The
    place is drawn evenly among a word's characters, of which at most ``length`` count: of a word that
    fills its slot, it may be the end sign's.
    """

    def made(scene: Scene) -> dict[str, NDArray[np.generic]]:
        words = words_in(scene.regions, alphabet, spaces)
        order = np.random.default_rng([scene.seed, 0]).permutation(len(words))
        words = [words[i] for i in order[:slots]]
        symbols = encoded(words, alphabet, slots=slots, length=length)
        if not hides:
            return {"words": symbols}
        rng = np.random.default_rng([scene.seed, 1])
        hidden = np.zeros(slots, np.int64)
        for slot, word in enumerate(words):
            place = rng.integers(min(len(word), length))
            hidden[slot] = symbols[slot, place]
            symbols[slot, place] = len(alphabet) + 1
        return {"words": symbols, "hidden": hidden}

    return made


def share_of(regions: Sequence[Region], share: float, id_: str) -> tuple[Region, ...]:
    """A share of the regions with a text, one at least, drawn by the id of their photograph.

    The number is rounded; a smaller share of the same photograph lies within a larger one.
    """
    texts = [i for i, region in enumerate(regions) if is_text(region)]
    seed = int.from_bytes(hashlib.sha256(id_.encode()).digest()[:8])
    order = np.random.default_rng(seed).permutation(len(texts))
    kept = {texts[i] for i in order[: max(1, round(share * len(texts)))]}
    return tuple(region for i, region in enumerate(regions) if i in kept)


@dataclass(frozen=True, kw_only=True)
class WeakFeed(PageFeed):
    """``PageFeed`` of photographs of which only a share of the texts is known, the same in every pass."""

    share: float = 1.0

    def load(self, split: Split, index: int) -> Item:
        item = super().load(split, index)
        if self.share == 1:
            return item
        return item._replace(regions=share_of(item.regions, self.share, split.ids[index]))
