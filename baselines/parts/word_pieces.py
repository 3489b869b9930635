"""Captions as word pieces: BERT's uncased tokens over a vocabulary file, and whole words hidden.

A vocabulary file has a piece a line, and a piece's number is its line's, from 0; "##" begins a piece that
continues a word. BERT's own file does not come with strbench; ``built_in`` makes a small one.

Source: Devlin et al., BERT, NAACL 2019, section 3, and google-research/bert, tokenization.py; for what is
hidden, Hugging Face transformers 4.2.1, DataCollatorForWholeWordMask.
"""

from __future__ import annotations

import string
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from strbench.errors import StrbenchError
from strbench.home import home
from strbench.rendered.wordlist import SIGNS, words

PAD, UNKNOWN, START, END, MASK = SPECIAL = "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"
BUILT_IN = "built-in"  # the vocabulary that ``built_in`` makes
IGNORED = -100  # the label of a place that is not to be told
_CONTINUED = "##"
_LONGEST_WORD = 100  # letters; a longer word is unknown
_LONGEST_PIECE = 8  # letters of a built-in one
_MASKED, _EXCHANGED = 0.8, 0.1  # of the hidden places; the rest stays as it is

Ids = NDArray[np.int64]


@dataclass(frozen=True)
class Vocabulary:
    """Pieces and their numbers.

    >>> vocabulary = Vocabulary((*SPECIAL, "un", "##able", "##a", "!"))
    >>> vocabulary.encode("Unable! zoo")
    [5, 6, 8, 1]
    """

    pieces: tuple[str, ...]
    numbers: dict[str, int] = field(init=False, repr=False, compare=False)
    continued: frozenset[int] = field(init=False, repr=False, compare=False)
    special: frozenset[int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        numbers = {piece: i for i, piece in enumerate(self.pieces)}
        missing = [piece for piece in SPECIAL if piece not in numbers]
        if missing or len(numbers) != len(self.pieces):
            fault = f"lacks {', '.join(missing)}" if missing else "repeats a piece"
            raise StrbenchError(
                f"The vocabulary of {len(self.pieces)} pieces {fault}.",
                hint="Use the vocab.txt of an uncased BERT.",
            )
        own = object.__setattr__
        own(self, "numbers", numbers)
        own(self, "continued", frozenset(numbers[p] for p in numbers if p.startswith(_CONTINUED)))
        own(self, "special", frozenset(numbers[piece] for piece in SPECIAL))

    def __len__(self) -> int:
        return len(self.pieces)

    def encode(self, text: str) -> list[int]:
        """The numbers of a text's pieces: of each word the longest that fits, from the left.

        A word that no pieces make up, or of more than 100 letters, is [UNK].
        """
        return [number for word in _words(text) for number in self._word(word)]

    def _word(self, word: str) -> list[int]:
        found: list[int] = []
        start = 0
        while start < len(word) <= _LONGEST_WORD:
            for end in range(len(word), start, -1):
                number = self.numbers.get((_CONTINUED if start else "") + word[start:end])
                if number is not None:
                    break
            else:
                break
            found.append(number)
            start = end
        return found if start == len(word) else [self.numbers[UNKNOWN]]

    def caption(self, text: str, longest: int) -> tuple[Ids, int]:
        """[CLS], as many pieces as fit, [SEP] and padding, (longest,); and how many are no padding."""
        pieces = self.encode(text)[: longest - 2]
        ids = np.full(longest, self.numbers[PAD], np.int64)
        length = len(pieces) + 2
        ids[:length] = self.numbers[START], *pieces, self.numbers[END]
        return ids, length


def _words(text: str) -> list[str]:
    """Lower case without accents, apart at blanks and around every sign that is no letter or digit.

    Chinese characters are words of one character; control characters vanish.
    """
    parts: list[str] = []
    for character in unicodedata.normalize("NFD", text.lower()):
        category = unicodedata.category(character)
        if character in " \t\n\r" or category == "Zs":
            parts.append(" ")
        elif category in ("Cc", "Cf", "Co", "Cs", "Cn", "Mn") or character == "\ufffd":
            continue
        elif character in string.punctuation or category[0] == "P" or _is_chinese(ord(character)):
            parts += (" ", character, " ")
        else:
            parts.append(character)
    return "".join(parts).split()


def _is_chinese(point: int) -> bool:
    """Whether a character is in one of Unicode's blocks of CJK ideographs."""
    return (
        0x4E00 <= point <= 0x9FFF
        or 0x3400 <= point <= 0x4DBF
        or 0xF900 <= point <= 0xFAFF
        or 0x20000 <= point <= 0x2A6DF
        or 0x2A700 <= point <= 0x2CEAF
        or 0x2F800 <= point <= 0x2FA1F
    )


def hidden(
    ids: Ids, length: int, vocabulary: Vocabulary, rng: np.random.Generator, *, share: float
) -> tuple[Ids, Ids]:
    """A caption with whole words hidden, and what was there: ``IGNORED`` at all other places.

    Words are drawn until ``share`` of all places is used up, padding's too: each place of padding is a
    word, drawn in vain. One with more pieces than are left is passed over. [UNK] is never hidden. Of the
    hidden places 80 % become [MASK], 10 % any piece, and 10 % stay.

    Args:
        ids: (L,) of ``Vocabulary.caption``, of which the first ``length`` are no padding.
    """
    whole: list[list[int]] = []
    for place in (p for p in range(1, len(ids)) if p != length - 1):
        if whole and int(ids[place]) in vocabulary.continued:
            whole[-1].append(place)
        else:
            whole.append([place])
    left = max(1, round(share * len(ids)))  # Python rounds 4.5 to 4
    drawn: list[int] = []
    for k in rng.permutation(len(whole)):
        if len(whole[k]) <= left:
            drawn += whole[k]
            left -= len(whole[k])
    places = np.array(sorted(p for p in drawn if int(ids[p]) not in vocabulary.special), np.int64)
    labels = np.full_like(ids, IGNORED)
    labels[places] = ids[places]
    shown = ids.copy()
    fate = rng.random(len(places))
    shown[places[fate < _MASKED]] = vocabulary.numbers[MASK]
    exchanged = places[(fate >= _MASKED) & (fate < _MASKED + _EXCHANGED)]
    shown[exchanged] = rng.integers(len(vocabulary), size=len(exchanged))
    return shown, labels


# --- vocabularies


def named(vocabulary: str, size: int) -> Vocabulary:
    """The vocabulary of that name, which is ``BUILT_IN``, a file's, or "" for ``dropped_in()``.

    Raises:
        StrbenchError: the file is not there, cannot be read, or has another number of pieces.
    """
    if vocabulary == BUILT_IN:
        return built_in(size)
    hint = "--set vocabulary=vocab.txt, or --set vocabulary=built-in --set pieces=2048"
    file = Path(vocabulary).expanduser() if vocabulary else dropped_in()
    if not vocabulary and not file.is_file():
        raise StrbenchError(
            f"No vocabulary is named and {file} is not there; a table of {size:,} pieces needs one. The "
            "paper's is the vocab.txt of BERT-Base, Uncased (github.com/google-research/bert).",
            hint=f"Save it as {file}, or {hint}",
        )
    try:
        # newlines alone end a line: a piece may be a sign that str.splitlines takes for an end
        lines = file.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise StrbenchError(
            f"The vocabulary {file} cannot be read ({error}).", hint=hint
        ) from error
    found = Vocabulary(tuple(lines[:-1] if lines[-1] == "" else lines))
    if len(found) != size:
        raise StrbenchError(
            f"{file} has {len(found):,} pieces; expected {size:,}.",
            hint=f"--set pieces={len(found)}",
        )
    return found


def dropped_in() -> Path:
    """Where the vocabulary of the paper is looked for if none is named."""
    return home() / "raw" / "bert-base-uncased" / "vocab.txt"


@cache
def built_in(size: int) -> Vocabulary:
    """A vocabulary of strbench's own, the same everywhere.

    The special pieces, the printable signs of ASCII but for capitals, letters and digits that continue a
    word, and then the runs of 2 to 8 letters that are most frequent in the training words of strbench's
    list (from SCOWL, see strbench/words/LICENSE.txt), equally frequent ones by the alphabet. With 2,048
    pieces a word of the list is 2.7 of them on average.

    Raises:
        StrbenchError: so many or so few pieces cannot be had.
    """
    signs = [sign for sign in SIGNS if not sign.isupper()]
    single = [_CONTINUED + sign for sign in signs if sign.isalnum()]
    first = [*SPECIAL, *signs, *single]
    counts = Counter(run for word in words("train", 2, 14) for run in _runs(word))
    if not len(first) <= size <= len(first) + len(counts):
        raise StrbenchError(
            f"pieces={size}: the built-in vocabulary has {len(first)} to {len(first) + len(counts)}.",
            hint="--set pieces=2048",
        )
    frequent = sorted(counts, key=lambda run: (-counts[run], run))
    return Vocabulary((*first, *frequent[: size - len(first)]))


def _runs(word: str) -> Iterable[str]:
    """The pieces of two letters or more that a word holds."""
    for start in range(len(word)):
        for end in range(start + 2, min(len(word), start + _LONGEST_PIECE) + 1):
            yield (_CONTINUED if start else "") + word[start:end]
