"""What is drawn: English words, numbers, prices and codes, and which side of train/test each is on.

A *blend* is the beginning of one word and the end of another: readable, and in no dictionary, as
names on signs are. None of the standard splits draws it.

Every text belongs to one side for good. Its *key* (ASCII letters and digits, lower case) is hashed,
and one key in ten is a test key; a generator that makes a text of the wrong side makes another. No
label of a train split is therefore a label of a test split, not even after case folding and removal
of punctuation, whatever the splits' sizes, seeds and settings.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
import numpy.typing as npt

from strbench.errors import StrbenchError

Side = Literal["train", "test"]
T = TypeVar("T")
Kind = Literal["word", "number", "price", "code", "punctuated", "blend"]

SIGNS = "".join(map(chr, range(33, 127)))  # the 94 printable ASCII signs
LIST = Path(__file__).parents[1] / "words" / "english.txt"  # from SCOWL; see LICENSE.txt beside it
_TEST_SHARE = 26  # of 256: keys whose hash begins with a byte below this are test keys
_ALNUM = frozenset("abcdefghijklmnopqrstuvwxyz0123456789")
_ROUNDS = 50  # kinds tried
_TRIES = 100  # texts tried per kind; with one key in ten a test key, all fail once in 40,000 rounds


class Draws:
    """Random choices that are a pure function of (seed, domain, index) on every machine.

    Only raw 64-bit words of NumPy's Philox are used, whose stream is guaranteed never to change;
    the methods of ``numpy.random.Generator`` carry no such promise.
    """

    __slots__ = ("_bits", "_pool")

    def __init__(self, seed: int, domain: str, index: int) -> None:
        digest = hashlib.blake2b(f"{domain}\0{seed}\0{index}".encode(), digest_size=16).digest()
        self._bits = np.random.Philox(key=np.frombuffer(digest, "<u8"))
        self._pool: list[int] = []

    def word(self) -> int:
        """64 random bits."""
        if not self._pool:
            self._pool = self._bits.random_raw(64).tolist()
        return self._pool.pop()

    def unit(self) -> float:
        """A number in [0, 1)."""
        return (self.word() >> 11) * 2.0**-53

    def between(self, low: float, high: float) -> float:
        """A number in [low, high)."""
        return low + (high - low) * self.unit()

    def chance(self, probability: float) -> bool:
        """True with the given probability."""
        return self.unit() < probability

    def integer(self, low: int, high: int) -> int:
        """An integer from low to high, both included."""
        return low + (self.word() >> 11) * (high - low + 1) // (1 << 53)

    def pick(self, options: Sequence[T]) -> T:
        """One of the options."""
        return options[self.integer(0, len(options) - 1)]

    def weighted(self, weights: Sequence[float]) -> int:
        """An index, each as often as its weight says."""
        rest = self.unit() * sum(weights)
        for i, weight in enumerate(weights):
            rest -= weight
            if rest < 0:
                return i
        return max(i for i, weight in enumerate(weights) if weight > 0)

    def raw_bytes(self, n: int) -> npt.NDArray[np.uint8]:
        """n random bytes, uint8."""
        return self._bits.random_raw((n + 7) // 8).astype("<u8").view(np.uint8)[:n]


def key(text: str) -> str:
    """The ASCII letters and digits of a text in lower case: what decides its side.

    >>> key("Don't")
    'dont'
    """
    return "".join(c for c in text.lower() if c in _ALNUM)


@cache
def words(side: Side, min_length: int, max_length: int) -> tuple[str, ...]:
    """The listed lower-case words of one side with min_length to max_length letters, sorted."""
    listed = LIST.read_text(encoding="ascii").split()
    return tuple(w for w in listed if min_length <= len(w) <= max_length and side_of(w) == side)


def side_of(text: str) -> Side:
    """The side a text belongs to, from its key alone."""
    digest = hashlib.blake2b(key(text).encode(), digest_size=1, person=b"strbench-side").digest()
    return "test" if digest[0] < _TEST_SHARE else "train"


def draw_text(
    draws: Draws,
    side: Side,
    *,
    min_length: int,
    max_length: int,
    signs: str = SIGNS,
    kinds: Sequence[tuple[Kind, float]] = (("word", 1.0),),
    cases: tuple[float, float, float] = (0.0, 0.0, 1.0),
) -> str:
    """A text of one side with min_length to max_length signs, all of them in ``signs``.

    ``cases`` weighs UPPER, Capitalised and lower case. Only cases and kinds that the signs allow
    are drawn.

    Raises:
        StrbenchError: the signs and lengths leave no text to draw.
    """
    weights = [weight for _, weight in kinds]
    for _ in range(_ROUNDS):
        kind = kinds[draws.weighted(weights)][0]
        for _ in range(_TRIES):
            text = _make(draws, kind, side, min_length, max_length, cases)
            if (
                min_length <= len(text) <= max_length
                and all(c in signs for c in text)
                and (kind == "word" or (key(text) and side_of(text) == side))
            ):
                return text
    raise StrbenchError(
        f"No text of {min_length} to {max_length} signs out of {signs!r} could be made from "
        f"{', '.join(kind for kind, _ in kinds)}.",
        hint="Allow more lengths, signs or kinds.",
    )


def _word(draws: Draws, side: Side, low: int, high: int) -> str:
    known = words(side, low, high)
    return draws.pick(known) if known else ""


def _digits(draws: Draws, low: int, high: int) -> str:
    return "".join(str(draws.integer(0, 9)) for _ in range(draws.integer(low, high)))


def _cased(draws: Draws, word: str, cases: tuple[float, float, float]) -> str:
    return (word.upper(), word.capitalize(), word)[draws.weighted(cases)]


def _make(
    draws: Draws, kind: Kind, side: Side, low: int, high: int, cases: tuple[float, float, float]
) -> str:
    """One attempt at a text of a kind; its length and side may be wrong."""
    if kind == "word":
        return _cased(draws, _word(draws, side, low, high), cases)
    if kind == "number":
        shape = draws.integer(0, 9)
        if shape < 6:
            return _digits(draws, max(1, low), min(high, 8))
        if shape == 6:
            return f"{draws.integer(1950, 2030)}"
        if shape == 7:
            return f"{draws.integer(0, 23)}:{draws.integer(0, 59):02d}"
        if shape == 8:
            return f"{_digits(draws, 2, 4)}-{_digits(draws, 2, 4)}"
        return f"{draws.integer(1, 99)}%"
    if kind == "price":
        amount = f"{draws.integer(0, 199)}.{draws.pick(('00', '50', '95', '99', '25', '49'))}"
        return draws.pick(("$", "$", "", "")) + amount
    if kind == "code":
        letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
        head = "".join(draws.pick(letters) for _ in range(draws.integer(1, 3)))
        joint = draws.pick(("", "", "-", "/"))
        code = head + joint + _digits(draws, 1, 4)
        return code.lower() if draws.weighted(cases) == 2 else code
    if kind == "blend":
        front, back = (_word(draws, side, max(2, low // 2), high) for _ in range(2))
        start = front[: draws.integer(1, max(1, len(front) - 1))]
        return _cased(draws, start + back[draws.integer(0, max(0, len(back) - 2)) :], cases)
    word = _cased(draws, _word(draws, side, max(2, low - 2), high - 1), cases)
    shape = draws.integer(0, 7)
    if shape == 0:
        return f"({word})"
    if shape == 1:
        return f'"{word}"'
    if shape == 2:
        other = _word(draws, side, 2, 6)
        return f"{word}{draws.pick('-&/')}{_cased(draws, other, cases)}"
    if shape == 3:
        return word + ("'S" if word.isupper() else "'s")
    if shape == 4:
        return draws.pick("#@*&+") + word
    return word + draws.pick(".,!?:;")
