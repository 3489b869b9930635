"""Word lists that spotting is scored with: one for all photographs, or one for each."""

from __future__ import annotations

import re

from strbench.annotations.rows import fault, text_lines
from strbench.datasets import Lexicons
from strbench.datasets.tree import Tree, natural


def word_lists(tree: Tree, **patterns: str) -> Lexicons:
    """Lexicon name -> sample id (or "*") -> words, of the files whose last name matches.

    A pattern with a group is of a file per photograph, and the group gives the id; one without is of
    a single list. Lists that are absent are left out; white space around words is removed.

    Raises:
        StrbenchError: a file is not UTF-8 or empty, or two files are meant for one place.
    """
    found: dict[str, dict[str, list[str]]] = {}
    for lexicon, pattern in patterns.items():
        shape = re.compile(pattern, re.IGNORECASE)
        lists: dict[str, list[str]] = {}
        for name in tree.files:
            match = shape.fullmatch(name.rpartition("/")[2])
            if not match:
                continue
            key = match[1] if shape.groups else "*"
            place = tree.place(name)
            words = [line.strip() for _, line in text_lines(tree.read(name), place)]
            if not words:
                raise fault(f"{place}: the word list is empty.")
            if lists.setdefault(key, words) != words:
                raise fault(f"{place}: a second {lexicon} word list of {key}, and another one.")
        if lists:
            found[lexicon] = {key: lists[key] for key in sorted(lists, key=natural)}
    return found
