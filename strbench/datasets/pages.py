"""Photographs joined with the annotation file that each of them has."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from strbench.annotations.boxes import read_boxes
from strbench.annotations.rows import fault
from strbench.datasets.tree import Tree, natural
from strbench.types import Region, Sample

Reader = Callable[[bytes, str], Sequence[Region]]  # the bytes of a file and its place


@dataclass(frozen=True)
class Found:
    """What a folder in one of the common layouts of a task holds."""

    layout: str  # for the manifest
    n: int
    samples: Iterator[Sample]


def looks_like_pages(tree: Tree) -> bool:
    """Whether a folder of the user's holds photographs with regions and not words."""
    return False


def find_pages(tree: Tree) -> Found:
    """The photographs of a folder in one of the common detection layouts.

    Raises:
        StrbenchError: no such layout, or a file that does not fit it.
    """
    labels = numbered(tree, r"(?:poly_)?gt_(.+)\.txt", 0, split="")
    images = {name.rpartition("/")[2].rpartition(".")[0]: name for name in tree.images}
    if labels is None:
        raise fault(f"{tree.shown}: no annotation file was found.")
    samples = page_samples(tree, images, labels, partial(read_boxes, layout="quad"))
    return Found("a text file per photograph", len(images), samples)


def numbered(tree: Tree, pattern: str, n: int, *, split: str) -> dict[str, str] | None:
    """Key -> file for the files whose last name matches, all of one folder; None if there are none.

    The key is what the pattern's group catches; case does not matter. Of several folders the one
    with ``n`` such files is taken, of several of these the one whose path names the split ("train",
    "test").

    Raises:
        StrbenchError: several folders fit.
    """
    shape = re.compile(pattern, re.IGNORECASE)
    folders: dict[str, dict[str, str]] = defaultdict(dict)
    for name in tree.files:
        folder, _, last = name.rpartition("/")
        if match := shape.fullmatch(last):
            folders[folder][match[1]] = name
    if not folders:
        return None
    fitting = [f for f in folders if len(folders[f]) == n] or list(folders)
    if len(fitting) > 1:
        part = split.partition("/")[2].lower()
        fitting = [f for f in fitting if part in f.lower()] or fitting
    if len(fitting) > 1:
        raise fault(
            f"{tree.shown}: several folders may hold {split}: {', '.join(sorted(fitting)[:5])}.",
            f"Name the right one: strbench data import {split} PATH",
        )
    found = folders[fitting[0]]
    return {key: found[key] for key in sorted(found, key=natural)}


def page_samples(
    tree: Tree,
    images: Mapping[str, str],
    labels: Mapping[str, str],
    read: Reader,
    *,
    sample_id: Callable[[str], str] = lambda key: key,
) -> Iterator[Sample]:
    """A sample per photograph, in the order of ``images``; both mappings are key -> file.

    Args:
        read: the reader of an annotation file, see ``strbench.annotations``.
        sample_id: the id of a sample from its key.

    Raises:
        StrbenchError: a photograph without its annotation file or the reverse, or a bad file.
    """
    alone = [images[key] for key in images if key not in labels]
    if alone:
        raise fault(_examples(f"{tree.shown}: photographs without an annotation file", alone))
    orphans = [labels[key] for key in labels if key not in images]
    if orphans:
        raise fault(_examples(f"{tree.shown}: annotation files without a photograph", orphans))
    for key, image in images.items():
        regions = tuple(read(tree.read(labels[key]), tree.place(labels[key])))
        yield Sample(sample_id(key), tree.read(image), regions=regions)


def _examples(what: str, names: Sequence[str]) -> str:
    more = ", ..." if len(names) > 5 else ""
    return f"{what} ({len(names)}): {', '.join(names[:5])}{more}."
