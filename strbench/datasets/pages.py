"""Photographs joined with the annotation file that each of them has."""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from strbench.annotations.rows import fault
from strbench.datasets.joining import check_twins
from strbench.datasets.labels import Row, check_all_labelled, join_images
from strbench.datasets.tree import Tree, natural, stem
from strbench.types import Region, Sample

Reader = Callable[[bytes, str], Sequence[Region]]  # the bytes of a file and its place


@dataclass(frozen=True)
class Found:
    """What a folder in one of the common layouts of a task holds."""

    layout: str  # for the manifest
    n: int
    samples: Iterator[Sample]


# What annotation files end with; other files of a folder are not opened.
_SUFFIXES = (".txt", ".json", ".jsonl", ".xml", ".gt", ".mat", ".tsv", ".csv", ".tags")


def looks_like_pages(tree: Tree) -> bool:
    """Whether a folder of the user's holds photographs with regions and not words.

    A label file that the user named decides alone; else a folder that has labels of words too is one
    of words.
    """
    from strbench.annotations.guess import PAGE, PAGES

    if not tree.images:
        return False
    kinds = {kind for kind, _ in _annotations(tree)}
    if tree.label_file:
        kinds = {kind for kind, names in _annotations(tree) if tree.label_file in names}
    are_words = kinds & {"words", "words-lexicons", "word"}
    return bool(kinds & {*PAGE, *PAGES}) and not are_words


def _annotations(tree: Tree) -> Iterator[tuple[str, list[str]]]:
    """Format and files, folder by folder, as ``strbench.annotations.guess`` tells them."""
    # imports numpy, and the registry, which imports this module, is read by every completion
    from strbench.annotations.guess import guess

    folders: dict[str, dict[str, str]] = defaultdict(dict)
    for name in tree.files:
        folder, _, last = name.rpartition("/")
        if last.lower().endswith(_SUFFIXES):
            folders[folder][last] = name
    for names in folders.values():
        for kind, found in guess({last: tree.read(names[last]) for last in names}).items():
            yield kind, [names[last] for last in found]


def find_pages(tree: Tree) -> Found:
    """The photographs of a folder in one of the common detection layouts.

    One file for all (MMOCR, PaddleOCR and the JSON and XML of the field), or a file per photograph
    with its name, with or without ``gt_`` before it. Ids are the photographs' names without folder and
    suffix where that tells them apart.

    Raises:
        StrbenchError: no such layout, several of them, a file that does not fit its own, photographs
            without annotation or annotations without a photograph.
    """
    from strbench.annotations.guess import PAGE, PAGES

    named = tree.label_file
    held = [(k, names) for k, names in _annotations(tree) if k in PAGE or k in PAGES]
    found = [(k, names) for k, names in held if not named or named in names]
    whole = [
        (kind, name)
        for kind, names in found
        if kind in PAGES
        for name in names
        if name == named or not named
    ]
    if len(whole) > 1:
        raise fault(
            f"{tree.shown}: several files may hold the regions: "
            f"{', '.join(name for _, name in whole[:5])}.",
            f"Name the one to use: strbench data import NAME {tree.files[whole[0][1]]}",
        )
    if whole:
        kind, name = whole[0]
        return _one_for_all(tree, kind, name, PAGES[kind](tree.read(name), tree.place(name)))
    if not found:
        raise fault(
            f"{tree.shown}: no file with regions was found beside {len(tree.images)} images.",
            f"See what is there: strbench data labels {tree.shown}",
        )
    kinds = {kind for kind, _ in found}
    if len(kinds) > 1:
        shown = [f"{names[0]} ({kind})" for kind, names in found]
        raise fault(
            f"{tree.shown}: annotation files of several layouts: {', '.join(shown[:5])}.",
            "Import the folders of one layout alone.",
        )
    (kind,) = kinds
    labels = _images_of(tree, [name for _, names in found for name in names])
    folders = {image.rpartition("/")[0] for image in labels}
    chosen = [name for name in tree.images if name.rpartition("/")[0] in folders]
    ids = page_ids(chosen)
    samples = page_samples(
        tree,
        {ids[image]: image for image in chosen},
        {ids[image]: label for image, label in labels.items()},
        PAGE[kind],
    )
    return Found(f"a file per photograph ({kind})", len(chosen), samples)


def page_ids(images: Sequence[str]) -> dict[str, str]:
    """Image -> id: its name without folder and suffix, or without the suffix alone if that is shared.

    >>> page_ids(["a/img_1.jpg", "b/img_1.jpg"])
    {'a/img_1.jpg': 'a/img_1', 'b/img_1.jpg': 'b/img_1'}
    """
    for short in (stem, lambda name: posixpath.splitext(name)[0], str):
        ids = {image: short(image) for image in images}
        if len(set(ids.values())) == len(images):
            break
    return ids


def _one_for_all(
    tree: Tree, kind: str, label_file: str, held: Iterable[tuple[str, Sequence[Region]]]
) -> Found:
    place = tree.place(label_file)
    pages = dict(held)
    of_stem = {stem(image): image for image in tree.images}
    if all(name in of_stem for name in pages) and len(of_stem) == len(tree.images):
        images = [of_stem[name] for name in pages]  # LSVT and ArT write no suffix
    else:
        images = join_images(tree, [Row(name, "", 0) for name in pages], label_file)
    check_all_labelled(tree, images, place)
    ids = page_ids(images)
    samples = (
        Sample(ids[image], tree.read(image), regions=tuple(regions))
        for image, regions in zip(images, pages.values(), strict=True)
    )
    return Found(f"{kind} {label_file}", len(images), samples)


def _images_of(tree: Tree, labels: Sequence[str]) -> dict[str, str]:
    """Image -> the annotation file that bears its name."""
    by_stem: dict[str, list[str]] = defaultdict(list)
    for image in tree.images:
        by_stem[stem(image)].append(image)
        by_stem[image.rpartition("/")[2]].append(image)  # img_1.jpg.txt
    found: dict[str, str] = {}
    for label in labels:
        name = stem(label)
        bare = re.sub(r"^(?:poly_)?gt_|_gt$", "", name, flags=re.IGNORECASE)
        near = by_stem.get(name) or by_stem.get(bare) or []
        parts = set(label.split("/")[:-1])
        shared = [len(parts & set(image.split("/")[:-1])) for image in near]
        best = [image for image, n in zip(near, shared, strict=True) if n == max(shared)]
        if len(best) != 1 or best[0] in found:
            what = f"{len(best)} photographs" if len(best) > 1 else "no photograph of its own"
            raise fault(
                f"{tree.place(label)}: {what} with the name {bare!r} lies in {tree.shown}.",
                "Import one folder of photographs with its annotation files alone.",
            )
        found[best[0]] = label
    return found


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
    check_twins(tree, images, labels, "photographs without an annotation file")
    check_twins(tree, labels, images, "annotation files without a photograph")
    for key, image in images.items():
        regions = tuple(read(tree.read(labels[key]), tree.place(labels[key])))
        yield Sample(sample_id(key), tree.read(image), regions=regions)
