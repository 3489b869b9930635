"""Word crops with an ICDAR word list, and the photographs they were cut from."""

from __future__ import annotations

import re
from collections.abc import Sequence

from strbench.annotations.rows import decode_text
from strbench.datasets.labels import Row, join_images, read_rows
from strbench.datasets.tree import Tree, natural

_TASK1 = re.compile(r'^\s*-?\d+[ ,]+-?\d+[ ,]+-?\d+[ ,]+-?\d+[ ,]+"(.*)"\s*$')
_PHOTO_LABELS = re.compile(r"gt_((?:img_)?\d+)\.txt$")


def word_list(tree: Tree, names: Sequence[str], n: int) -> tuple[list[Row], list[str]] | None:
    """The rows of the word list with one of these names and ``n`` rows, and their images.

    In natural order of the image names. None if there is no such list.
    """
    for name in tree.named(*names):
        rows = read_rows(tree.read(name), tree.place(name))
        if len(rows) == n:
            pairs = zip(rows, join_images(tree, rows, name), strict=True)
            ordered = sorted(pairs, key=lambda pair: natural(pair[0].path))
            return [row for row, _ in ordered], [image for _, image in ordered]
    return None


def photo_words(text: str) -> list[str]:
    """The legible words of one photograph's ground truth, in the order of the file.

    Reads ICDAR 2013 Task 1 (four numbers, quoted text) and ICDAR 2015 (eight numbers, plain text,
    ``###`` where nobody can read it).

    >>> photo_words('38, 43, 920, 215, "Tiredness"')
    ['Tiredness']
    >>> photo_words("1,2,3,2,3,4,1,4,###\\n1,2,3,2,3,4,1,4,a,b")
    ['a,b']
    """
    words: list[str] = []
    for line in text.split("\n"):
        line = line.strip("\r")
        match = _TASK1.match(line)
        if match:
            words.append(match[1])
        elif line.count(",") >= 8:
            word = line.split(",", 8)[8]
            if word != "###":
                words.append(word)
    return words


def photographs(tree: Tree, labels: Sequence[str]) -> list[str | None]:
    """The photograph of each word, where the full-image ground truth lies beside the word list.

    The word lists follow the photographs in order, so the two are joined only if every word agrees
    (checked on the public files: all 2,077 test words of ICDAR 2015). Otherwise all None.
    """
    folders: dict[str, list[tuple[str, list[str]]]] = {}
    for name in tree.files:
        if match := _PHOTO_LABELS.search(name):
            words = photo_words(decode_text(tree.read(name), tree.place(name)))
            folders.setdefault(name.rpartition("/")[0], []).append((match[1], words))
    for pages in folders.values():
        pages.sort(key=lambda page: natural(page[0]))
        if [word for _, words in pages for word in words] == list(labels):
            return [photo for photo, words in pages for _ in words]
    return [None] * len(labels)
