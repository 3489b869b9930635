"""One text file for a whole split: the words of IAM, of its partitions and of COCO-Text.

==================  =============================================================================
reader              row
==================  =============================================================================
``iam_words``       ``ID ok|err GREY X Y W H TAG TEXT``; rows that begin with ``#`` are comments
``iam_lines``       ``ID`` of a line of handwriting that belongs to a split
``rwth_words``      ``ID,GREY TEXT``: a word of the RWTH partition of IAM
``cocotext_words``  ``ID,|TEXT|``: a word crop of COCO-Text 1.4
==================  =============================================================================

An id of IAM is ``a01-000u-00-03``: form, line on the form, word on the line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from strbench.annotations.rows import fault, text_lines

_LINE = r"[a-z]\d\d-\d{3}[a-z]?-\d\d"
_LINE_ID = re.compile(_LINE, re.ASCII)
_WORD_ID = re.compile(rf"{_LINE}-\d\d", re.ASCII)
_RWTH = re.compile(rf"({_LINE}-\d\d),\d+ (.+)", re.ASCII)
_FIELDS = 9  # of a row of words.txt; the last one, the text, may hold blanks


class Word(NamedTuple):
    """A word of a list."""

    id: str
    text: str
    is_sound: bool = True  # IAM: its segmentation is marked "ok", not "err"

    @property
    def line(self) -> str:
        """The line of an IAM word.

        >>> Word("a01-000u-00-03", "stop").line
        'a01-000u-00'
        """
        return self.id.rpartition("-")[0]


def read_iam_words(data: bytes, place: str) -> list[Word]:
    """The words of IAM's ``words.txt``, those with a wrong segmentation too, in their order.

    Raises:
        StrbenchError: not UTF-8, a row that lacks a field, or an id that occurs twice.
    """
    return _unique(_iam_words(data, place), place)


def _iam_words(data: bytes, place: str) -> Iterator[Word]:
    for where, line in text_lines(data, place):
        if line.startswith("#"):
            continue
        fields = line.strip().split(" ", _FIELDS - 1)
        if (
            len(fields) < _FIELDS
            or not _WORD_ID.fullmatch(fields[0])
            or fields[1] not in ("ok", "err")
        ):
            raise fault(
                f"{where}: expected a word id, ok or err, six more fields and a text, "
                f"found {line[:60]!r}."
            )
        yield Word(fields[0], fields[-1], fields[1] == "ok")


def read_iam_lines(data: bytes, place: str) -> list[str]:
    """The line ids of a split of IAM, one a row, in their order.

    Raises:
        StrbenchError: not UTF-8, or a row that is no line id.
    """
    ids: list[str] = []
    for where, line in text_lines(data, place):
        if not _LINE_ID.fullmatch(line.strip()):
            raise fault(f"{where}: expected a line id like a01-000u-00, found {line[:60]!r}.")
        ids.append(line.strip())
    return ids


def read_rwth_words(data: bytes, place: str) -> list[Word]:
    """The words of a list of the RWTH partition of IAM; the grey level is passed over.

    Raises:
        StrbenchError: not UTF-8, a row of another form, or an id that occurs twice.
    """
    return _unique(_rwth_words(data, place), place)


def _rwth_words(data: bytes, place: str) -> Iterator[Word]:
    for where, line in text_lines(data, place):
        match = _RWTH.fullmatch(line)
        if not match:
            raise fault(f"{where}: expected `WORD-ID,GREY TEXT`, found {line[:60]!r}.")
        yield Word(match[1], match[2])


def read_cocotext_words(data: bytes, place: str) -> list[Word]:
    """The words of COCO-Text's ``train_words_gt.txt`` or ``val_words_gt.txt``, in their order.

    The bars around a text are taken away, one on either side. A row without a comma is no word: it is
    the rest of a text with a line break, which the field's readers pass over too.

    Raises:
        StrbenchError: not UTF-8, a row whose first field is no number, or an id that occurs twice.
    """
    return _unique(_cocotext_words(data, place), place)


def _cocotext_words(data: bytes, place: str) -> Iterator[Word]:
    for where, line in text_lines(data, place):
        id_, comma, text = line.partition(",")
        if not comma:
            continue
        id_ = id_.strip()
        if not (id_.isascii() and id_.isdecimal()):
            raise fault(f"{where}: expected `NUMBER,|TEXT|`, found {line[:60]!r}.")
        yield Word(id_, text.strip().removeprefix("|").removesuffix("|"))


def _unique(words: Iterator[Word], place: str) -> list[Word]:
    found: dict[str, Word] = {}
    for word in words:
        if word.id in found:
            raise fault(f"{place}: the word {word.id} is listed twice.")
        found[word.id] = word
    return list(found.values())
