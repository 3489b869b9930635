"""Lexicons of word spotting: files as they circulate, and the correction that spotters do with them.

Evaluators do not read lexicons. A method that is scored "strong", "weak" or "generic" replaces what it
read by the nearest word of a list beforehand, and drops what is near no word. That is a step of its own
here, over detections (``correct``); it is no part of any metric.

The files: "strong" has a list for each image, "weak" one with all words of the test set, "generic" one of
about 88 000; "full" is what Total-Text and CTW1500 have for "weak". Beside a list of bare words
there may be a list of pairs, a word and the text as annotated, punctuation included (``70 -70%``).

A prepared split may have brought lexicons of its own, of bare words (``prepared_lexicons``). What
``--lexicon`` says: ``KIND`` takes the split's, ``KIND=PATH`` a file, ``KIND=PATH,PAIRS`` a file and its
pair list; of ``strong`` the path is a folder or an archive.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rapidfuzz import process
from rapidfuzz.distance import Levenshtein

from strbench.archive_members import damage_told, open_members
from strbench.errors import DATA, StrbenchError, unknown_name
from strbench.protocols import FINGERPRINT_DIGITS
from strbench.types import Detection

if TYPE_CHECKING:
    from strbench.store import Split

Kind = Literal["strong", "weak", "generic", "full"]

# The edit distance from which on a detection is dropped; None for never. MaskTextSpotterV3 has 1.5, of
# a distance weighted by character scores.
DROPPED_FROM: dict[Kind, float | None] = {
    "strong": 2.5,
    "weak": 2.5,
    "generic": None,
    "full": None,
}

# No word at this distance or farther is taken: match_dist before the first word, in the same files.
_FARTHEST = 100

# How a line of a pair list is cut. "word": at its first blank. "half": into blank-separated parts, of
# which the first half is the word; for lists of lines of text (CTW1500).
Cut = Literal["word", "half"]


@dataclass(frozen=True)
class Lexicon:
    """Words in the order of their file, duplicates included, and what is written for each.

    Args:
        words: the first of equally near ones is taken, so their order matters.
        texts: by word in upper case, the text that is put for it; None: the word as it stands.

    Raises:
        StrbenchError: a word has no text.
    """

    words: tuple[str, ...]
    texts: Mapping[str, str] | None = None

    def __post_init__(self) -> None:
        if self.texts is None:
            return
        for word in self.words:
            if word.upper() not in self.texts:
                raise StrbenchError(
                    f"The word {word!r} of a lexicon is not in its pair list.",
                    hint="Give the pair list of this lexicon; where words have blanks, cut it 'half'.",
                    exit_code=DATA,
                )

    @cached_property
    def _uppers(self) -> list[str]:
        return [word.upper() for word in self.words]

    @cached_property
    def _first(self) -> dict[str, int]:
        return {word: i for i, word in reversed(list(enumerate(self._uppers)))}

    @cached_property
    def digest(self) -> str:
        """SHA-256, in hex, of the words in their order and of what is written for them."""
        told = [list(self.words), sorted(self.texts.items()) if self.texts is not None else None]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()

    def nearest(self, text: str) -> tuple[str, int]:
        """What is written for the nearest word, and its edit distance, both in upper case.

        The first in the file of equally near ones. Where no word is nearer than 100 edits, as in an
        empty lexicon, it is the empty text at 100.

        >>> Lexicon(("CAT", "CAR", "COT")).nearest("caz")
        ('CAT', 1)
        >>> Lexicon(("LADYS",), {"LADYS": "LADY'S"}).nearest("lady's")
        ("LADY'S", 1)
        """
        upper = text.upper()
        index, distance = self._first.get(upper, -1), 0
        if index < 0:
            # score_cutoff is inclusive; of equal scores extractOne keeps the first choice
            best = process.extractOne(
                upper, self._uppers, scorer=Levenshtein.distance, score_cutoff=_FARTHEST - 1
            )
            if best is None:
                return "", _FARTHEST
            _, distance, index = best
        word = self.words[index]
        return (word if self.texts is None else self.texts[word.upper()]), int(distance)


@dataclass(frozen=True)
class Corrected:
    """Detections after correction, and what it did to them."""

    detections: dict[str, tuple[Detection, ...]]  # by image, in order
    changed: int  # kept ones whose text is another now, be it in case alone
    dropped: int


def correct(
    found: Mapping[str, Sequence[Detection]],
    lexicon: Lexicon | Mapping[str, Lexicon],
    *,
    kind: Kind,
    dropped_from: float | None = None,
) -> Corrected:
    """The detections with each text replaced by the nearest word of the lexicon.

    Both are compared in upper case by Levenshtein distance; the first of equally near words is taken,
    and its text as the pair list has it is put. From a distance of 2.5 on the detection is dropped if
    the kind is "strong" or "weak"; with "generic" and "full" never. An image whose detections are all
    dropped is still there.

    Args:
        lexicon: one for all images, or one for each image of ``found``.
        dropped_from: another distance, for any kind.

    Raises:
        StrbenchError: there is no such kind, an image has no lexicon, or a detection has no text.

    >>> square = ((0, 0), (9, 0), (9, 9), (0, 9))
    >>> read = {"1": [Detection(square, text=t) for t in ("Opem", "xyz")]}
    >>> done = correct(read, Lexicon(("OPEN", "EXIT")), kind="weak")
    >>> [d.text for d in done.detections["1"]], done.changed, done.dropped
    (['OPEN'], 1, 1)

    Source: find_match_word in MaskTextSpotter, AdelaiDet, TESTR and VimTS (evaluation/
    lexicon_procesor.py), without weights.
    """
    if kind not in DROPPED_FROM:
        raise unknown_name("kind of lexicon", kind, DROPPED_FROM)
    limit = DROPPED_FROM[kind] if dropped_from is None else dropped_from
    detections: dict[str, tuple[Detection, ...]] = {}
    changed = dropped = 0
    known: dict[tuple[int, str], tuple[str, int]] = {}  # a common lexicon is searched once a text
    for image, some in found.items():
        its = lexicon if isinstance(lexicon, Lexicon) else lexicon.get(image)
        if its is None:
            raise StrbenchError(
                f"Image {image!r} has no lexicon.",
                hint="Give a folder with a lexicon for every image, under the names of the images.",
                exit_code=DATA,
            )
        kept = []
        for detection in some:
            if detection.text is None:
                raise StrbenchError(
                    f"A detection of image {image!r} has no text to correct.",
                    hint="Correct the results of a spotter, which have texts.",
                    exit_code=DATA,
                )
            key = (id(its), detection.text)
            if key not in known:
                known[key] = its.nearest(detection.text)
            text, distance = known[key]
            if limit is not None and distance >= limit:
                dropped += 1
                continue
            changed += text != detection.text
            kept.append(detection._replace(text=text))
        detections[image] = tuple(kept)
    return Corrected(detections, changed, dropped)


def tag(kind: Kind, lists: Iterable[Lexicon]) -> str:
    """What a signature says of a lexicon: its kind, and a digest of its lists, in whatever order.

    The same lists have the same tag whether they came with a split or from files of one's own.

    >>> tag("weak", [Lexicon(("CAT", "CAR", "COT"))])
    'weak@05ad51da'
    """
    every = "".join(sorted(one.digest for one in lists))
    return f"{kind}@{hashlib.sha256(every.encode()).hexdigest()[:FINGERPRINT_DIGITS]}"


def read_lexicon(words: Path, pairs: Path | None = None, *, cut: Cut = "word") -> Lexicon:
    """The lexicon of a file with a word a line, and of its pair list if there is one.

    See ``parse_words`` and ``parse_pairs``.

    Raises:
        StrbenchError: a file is missing or no UTF-8 text, or a word has no pair.
    """
    texts = None if pairs is None else parse_pairs(_decoded(pairs.name, _bytes(pairs)), cut=cut)
    return Lexicon(parse_words(_decoded(words.name, _bytes(words))), texts)


def read_strong(
    source: Path,
    *,
    words: str = r"(?:new_)?voc_img_([0-9]+)\.txt",
    pairs: str = r"pair_voc_img_([0-9]+)\.txt",
) -> dict[str, Lexicon]:
    """The lexicons of a folder or an archive with a file for each image, by number of the image.

    Args:
        words: what the whole name of a list of words is like; its first group is the image. As
            published by the RRC (``voc_img_1.txt``), or as changed in MaskTextSpotter and
            its heirs (``new_voc_img_1.txt``).
        pairs: the same of pair lists. An image without one has words alone.

    Raises:
        StrbenchError: it is neither, has no list of words, has two for one image, or a file in it
            is no UTF-8 text.
    """
    lists: dict[str, tuple[str, ...]] = {}
    texts: dict[str, dict[str, str]] = {}
    for name, content in _members(source):
        if match := re.fullmatch(pairs, name):
            texts[match[1]] = parse_pairs(_decoded(name, content), cut="word")
        elif match := re.fullmatch(words, name):
            if match[1] in lists:
                raise StrbenchError(
                    f"{source} has two lexicons for image {match[1]!r}, one of them {name}.",
                    hint="Give a folder with one lexicon for each image.",
                    exit_code=DATA,
                )
            lists[match[1]] = parse_words(_decoded(name, content))
    if not lists:
        raise StrbenchError(
            f"{source} has no lexicon in it (names like voc_img_1.txt were expected).",
            hint="Give the folder or archive of lexicons, one file for each image.",
            exit_code=DATA,
        )
    return {image: Lexicon(lists[image], texts.get(image)) for image in lists}


def prepared_lexicons(
    split: Split, kind: str, images: Mapping[str, str]
) -> Lexicon | dict[str, Lexicon]:
    """The lexicon that a prepared split was brought with: one for all images, or one for each.

    A list of an image goes before the one for all. Lists that came with a split have no pairs, so that
    words are put as they stand in the list.

    Args:
        images: by what an image is called in the answer, its id in the split.

    Raises:
        StrbenchError: the split has no lexicon of this kind, or an image of ``images`` has none.
    """
    having = split.lexicons
    if kind not in having:
        listed = ", ".join(having) or "none at all"
        raise StrbenchError(
            f"The split {split.name} has no lexicon {kind!r}; it was prepared with {listed}.",
            hint=f"Name a file of your own: --lexicon {kind}=PATH",
        )
    lists = having[kind]
    if set(lists) == {"*"}:
        return Lexicon(tuple(lists["*"]))
    out: dict[str, Lexicon] = {}
    for image, id_ in images.items():
        words = lists.get(id_, lists.get("*"))
        if words is None:
            raise StrbenchError(
                f"{split.name}: image {id_!r} has no list in the lexicon {kind!r}, which is of "
                f"{len(lists)} images.",
                hint="Import the split again with the whole lexicon, or name a folder of your own: "
                f"--lexicon {kind}=PATH",
                exit_code=DATA,
            )
        out[image] = Lexicon(tuple(words))
    return out


def parse_words(text: str) -> tuple[str, ...]:
    """The words of a list, one a line, white space at both ends removed.

    Order and duplicates are kept, and so is an empty line, the empty word, which is one edit from any
    single character: CTW1500's list has one.

    >>> parse_words("\\ufeffABUR\\r\\nCafe \\r\\n\\r\\nABUR\\r\\n")
    ('ABUR', 'Cafe', '', 'ABUR')
    """
    return tuple(line.strip() for line in _lines(text))


def parse_pairs(text: str, *, cut: Cut = "word") -> dict[str, str]:
    """What is written for each word, the word in upper case; of a word with several lines the last.

    Texts are verbatim. In the strong lists that MaskTextSpotter and its heirs use (the ones read are
    VimTS's) 497 of 500 images have a pair with a byte order mark before its text, left from the list that
    it was made of; a detection that is corrected to that text is wrong in an end-to-end score.

    >>> parse_pairs("TMLEWIN TM LEWIN\\nladys LADY'S\\nLADYS Lady's\\n")
    {'TMLEWIN': 'TM LEWIN', 'LADYS': "Lady's"}
    >>> parse_pairs("SERVICE STATION Service Station\\n", cut="half")
    {'SERVICE STATION': 'Service Station'}
    """
    out: dict[str, str] = {}
    for line in _lines(text):
        parts = line.strip().split(" ")
        middle = 1 if cut == "word" else len(parts) // 2
        out[" ".join(parts[:middle]).upper()] = " ".join(parts[middle:])
    return out


def _lines(text: str) -> list[str]:
    """Lines as Python reads them from a file; a byte order mark at the start is none of the text."""
    plain = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    return plain.removesuffix("\n").split("\n") if plain else []


def _members(source: Path) -> Iterator[tuple[str, bytes]]:
    """Names without folders, and contents."""
    if source.is_dir():
        for path in sorted(source.iterdir()):
            if path.is_file():
                yield path.name, path.read_bytes()
        return
    if not source.is_file():
        raise _missing(source)
    with damage_told(source), open_members(source) as members:
        for member in members:
            if member.open is not None:
                with member.open() as file:
                    yield member.name.rpartition("/")[2], file.read()


def _bytes(path: Path) -> bytes:
    if not path.is_file():
        raise _missing(path)
    return path.read_bytes()


def _missing(path: Path) -> StrbenchError:
    return StrbenchError(
        f"There is no lexicon at {path}.", hint="Check the path: ls " + str(path.parent)
    )


def _decoded(name: str, content: bytes) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise StrbenchError(
            f"{name} is no UTF-8 text ({error}).",
            hint="Convert it first, for example: iconv -f latin1 -t utf-8",
            exit_code=DATA,
        ) from error
