"""Text as models and metrics see it: charsets, and strbench's own normalisations."""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from strbench.errors import StrbenchError, unknown_name

Normalise = Callable[[str], str]

ALNUM = string.digits + string.ascii_letters
PRINTABLE_94 = ALNUM + string.punctuation  # "0-9a-zA-Z" and 32 signs, the order of PARSeq and DiG


@dataclass(frozen=True)
class Charset:
    """The characters that a recognizer can write, in the order of its classes.

    A class index counts from 0 to ``len(charset) - 1``; special classes (end, padding, the blank of
    CTC) are the model's own and come behind them.

    >>> charset = CHARSETS["36"]
    >>> charset.encode("cafe")
    [12, 10, 15, 14]
    >>> charset.decode([12, 10, 15, 14])
    'cafe'
    """

    name: str
    characters: str
    _index: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if len(set(self.characters)) != len(self.characters):
            raise ValueError(f"charset {self.name} repeats a character")
        index = {character: i for i, character in enumerate(self.characters)}
        object.__setattr__(self, "_index", index)

    def __len__(self) -> int:
        return len(self.characters)

    def unknown(self, text: str) -> str:
        """The characters of ``text`` that have no class, each once, in the order of appearance."""
        return "".join(dict.fromkeys(c for c in text if c not in self._index))

    def encode(self, text: str) -> list[int]:
        """Class indices of ``text``.

        Raises:
            StrbenchError: a character has no class; the message names each such character.
        """
        try:
            return [self._index[character] for character in text]
        except KeyError:
            raise StrbenchError(
                f"The charset {self.name} has no {self.unknown(text)!r}, needed for {text!r}.",
                hint="Choose a larger charset, or normalise the labels before encoding them.",
            ) from None

    def decode(self, indices: Iterable[int]) -> str:
        """The text of class indices.

        Raises:
            IndexError: an index is negative or past the charset (a special class, for instance).
        """
        out = []
        for i in indices:
            if not 0 <= i < len(self.characters):
                raise IndexError(f"class {i} is not one of the {len(self)} of charset {self.name}")
            out.append(self.characters[i])
        return "".join(out)


CHARSETS: dict[str, Charset] = {
    charset.name: charset
    for charset in (
        Charset("36", string.digits + string.ascii_lowercase),  # clovaai train.py, PARSeq
        Charset("62", ALNUM),  # PARSeq configs/charset/62_mixed-case.yaml
        Charset("94", PRINTABLE_94),  # PARSeq 94_full.yaml; DiG ALLCASES_SYMBOLS
        Charset("36-abinet", string.ascii_lowercase + "1234567890"),  # ABINet data/charset_36.txt
    )
}


def charset(name: str) -> Charset:
    """The charset of that name.

    Raises:
        StrbenchError: no charset has it.
    """
    if name not in CHARSETS:
        raise unknown_name("charset", name, CHARSETS)
    return CHARSETS[name]


def as_is(text: str) -> str:
    """``text`` itself."""
    return text


_TO_LOWER = bytes.maketrans(string.ascii_uppercase.encode(), string.ascii_lowercase.encode())
_NOT_ALNUM = bytes(sorted(set(range(256)) - set(ALNUM.encode())))
_NOT_ALNUM_LINES = _NOT_ALNUM.replace(b"\n", b"")


def alnum_lower(text: str) -> str:
    r"""The ASCII letters and digits of ``text``, letters in lower case; everything else is dropped.

    Letters outside ASCII are dropped before any folding, so no Unicode table takes part: the Kelvin
    sign and the dotted capital I vanish, they do not become ``k`` and ``i``.

    >>> alnum_lower("Don't_^Panic\u0130")
    'dontpanic'
    """
    return text.encode("ascii", "ignore").translate(_TO_LOWER, _NOT_ALNUM).decode("ascii")


# The two characters outside ASCII whose lower case holds an ASCII letter.
_LOWERS_TO_ASCII = re.compile("([\u0130\u212a])")


def fold_case(text: str) -> str:
    r"""``text`` in lower case, both sigmas as one; no other letter becomes an ASCII letter.

    Python's own ``lower`` makes ``k`` of the Kelvin sign and ``i`` of the dotted capital I; here both
    stay as they are, so texts that agree in this form agree in ``alnum_lower`` too.

    >>> fold_case("\u00c9TAT"), fold_case("\u212aELVIN")[0] == "\u212a"
    ('état', True)
    """
    if text.isascii():
        return text.lower()
    parts = _LOWERS_TO_ASCII.split(text)
    parts[::2] = [part.lower() for part in parts[::2]]
    return "".join(parts).replace("ς", "σ")


def _alnum_lower_lines(lines: str) -> str:
    raw = lines.encode("utf-8", "surrogatepass")  # every byte of a non-ASCII character is >= 0x80
    return raw.translate(_TO_LOWER, _NOT_ALNUM_LINES).decode("ascii")


# Normalisations that treat a line break as a word boundary and keep it when told to.
_ON_LINES: dict[Normalise, Normalise] = {
    alnum_lower: _alnum_lower_lines,
    fold_case: fold_case,
    str.lower: str.lower,
    str.upper: str.upper,
}


def normalise_all(normalise: Normalise, texts: list[str]) -> list[str]:
    """``[normalise(text) for text in texts]``, some twenty times faster where the rule allows it.

    >>> normalise_all(alnum_lower, ["Hello!", "", "W0RLD"])
    ['hello', '', 'w0rld']
    """
    if normalise is as_is or not texts:
        return texts
    if normalise in _ON_LINES:
        lines = "\n".join(texts)
        if lines.count("\n") == len(texts) - 1:  # no text holds a line break of its own
            return _ON_LINES[normalise](lines).split("\n")
    return list(map(normalise, texts))
