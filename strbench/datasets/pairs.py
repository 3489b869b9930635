"""Images that come in twos: low and high resolution of a word, or a photograph and its mask.

Read of a user's own, for super-resolution:

- ``pairs.tsv``: ``low TAB high TAB label`` a line, paths from the folder of the file; the label may
  be empty, or be left out with its tab;
- two folders, ``lr/`` and ``hr/``, or the two words in the file names (``image_lr-000000001.png`` and
  ``image_hr-000000001.png``, as TextZoom's keys are called; ``1_LR.png``): what remains of two paths
  without ``lr`` and ``hr`` is the same. Labels come in one of the usual label files, which names the
  high-resolution images, or in a ``label_hr.txt`` of ``path;label``; or not at all.

For segmentation: images, and masks of the same name, in a folder such as ``masks/`` beside
``images/`` or called ``NAME_mask``. All masks together tell what their values mean: 0 and 255 alone
are background and text; 0, 1, 2 and 255 are those of ``strbench.masks``; 0, 100, 200 and 255 those of
TextSeg. JPEG has no exact values, so a set with JPEG masks (Total-Text's are) is cut at 127, as
TexRNet's reader does: brighter is text.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from strbench.annotations.label_images import (
    BINARY_VALUES,
    MASK_VALUES,
    TEXTSEG_VALUES,
    read_levels,
    to_mask,
    values_in,
)
from strbench.annotations.rows import fault, text_lines
from strbench.datasets.joining import check_twins
from strbench.datasets.labels import Row, find_label_file, join_images, read_rows
from strbench.datasets.pages import Found
from strbench.datasets.tree import Tree, is_image
from strbench.loading import DAMAGED
from strbench.masks import encode_mask
from strbench.types import Region, Sample

MaskReader = Callable[[bytes, str], NDArray[np.uint8]]  # the bytes of a file and its place

_RESOLUTION = re.compile(r"(?<![a-z])(hr|lr)(?![a-z])", re.IGNORECASE)
_IMAGE_FOLDERS = frozenset({"img", "imgs", "image", "images"})
_MASK_FOLDERS = frozenset(
    {"mask", "masks", "label", "labels", "gt", "groundtruth", "groundtruth_pixel", "annotations"}
)
_MASK_NAME = re.compile(r"(.+)_(?:mask|maskfg|gt|label)", re.IGNORECASE)
_MIDDLE = 127  # of a JPEG mask; TexRNet, lib/data_factory/ds_totaltext.py


def looks_like_pairs(tree: Tree) -> bool:
    """Whether a folder of the user's holds super-resolution pairs: a list of pairs says so."""
    return bool(tree.named("pairs.tsv"))


def find_pairs(tree: Tree) -> Found:
    """The pairs of a folder in one of the common super-resolution layouts; ids are the HR paths.

    Raises:
        StrbenchError: no such layout, an image without its other half, or labels that do not fit.
    """
    lists = tree.named("pairs.tsv")
    if len(lists) > 1:
        raise fault(
            f"{tree.shown} holds {len(lists)} lists of pairs: {', '.join(lists[:5])}.",
            "Import the folder of one of them.",
        )
    if lists:
        layout = f"pairs of {lists[0]}"
        lows, highs, labels = _listed(tree, lists[0])
    else:
        layout = "images called hr and lr"
        lows, highs = _halves(tree)
        labels = _labels(tree, highs)
    return Found(layout, len(highs), _pair_samples(tree, lows, highs, labels))


def _listed(tree: Tree, name: str) -> tuple[list[str], list[str], list[str | None]]:
    lows: list[Row] = []
    highs: list[Row] = []
    labels: list[str | None] = []
    for n, (where, line) in enumerate(text_lines(tree.read(name), tree.place(name)), 1):
        low, tab, rest = line.partition("\t")
        high, labelled, label = rest.partition("\t")
        if not low.strip() or not tab or not high.strip():
            raise fault(f"{where}: expected low TAB high TAB label, found {line[:60]!r}.")
        lows.append(Row(low.strip(), "", n))
        highs.append(Row(high.strip(), "", n))
        labels.append(label if labelled else None)
    if not lows:
        raise fault(f"{tree.place(name)}: the list is empty.")
    return join_images(tree, lows, name), join_images(tree, highs, name), labels


def _halves(tree: Tree) -> tuple[list[str], list[str]]:
    """Low and high images by what their paths have in common, in the order of the high ones."""
    halves: dict[str, dict[str, str]] = {"lr": {}, "hr": {}}
    for name in tree.images:
        stem = name.rpartition(".")[0]
        marks = _RESOLUTION.findall(stem)
        if not marks:
            raise fault(
                f"{tree.shown}: neither hr nor lr is in the path of {name}.",
                "Put the images in folders hr and lr, or write pairs.tsv: low TAB high TAB label.",
            )
        side = halves[marks[-1].lower()]
        key = _RESOLUTION.sub("", stem)
        if key in side:
            raise fault(f"{tree.shown}: {side[key]} and {name} are the same half of one pair.")
        side[key] = name
    lows, highs = halves["lr"], halves["hr"]
    check_twins(tree, highs, lows, "high-resolution images without a low-resolution one")
    check_twins(tree, lows, highs, "low-resolution images without a high-resolution one")
    if not highs:
        raise fault(
            f"{tree.shown} holds no images.",
            "Put the images in folders hr and lr, or write pairs.tsv: low TAB high TAB label.",
        )
    return [lows[key] for key in highs], list(highs.values())


def _labels(tree: Tree, highs: Sequence[str]) -> list[str | None]:
    alone = replace(tree, files={n: f for n, f in tree.files.items() if not is_image(n)})
    named = [] if tree.label_file else alone.named("label_hr.txt")
    name = named[0] if named else find_label_file(alone)
    if not name:
        return [None] * len(highs)
    place = tree.place(name)
    if named:
        rows = [
            Row(path, label, n)
            for n, (_, line) in enumerate(text_lines(tree.read(name), place), 1)
            for path, _, label in [line.partition(";")]
        ]
    else:
        rows = read_rows(tree.read(name), place)
    among = replace(alone, files=alone.files | {high: tree.files[high] for high in highs})
    images = join_images(among, rows, name)
    texts = {image: row.text for image, row in zip(images, rows, strict=True)}
    bare = [high for high in highs if high not in texts]
    if bare:
        raise fault(f"{place}: {len(bare)} pairs have no label, for example {bare[0]}.")
    return [texts[high] for high in highs]


def _pair_samples(
    tree: Tree, lows: Sequence[str], highs: Sequence[str], labels: Sequence[str | None]
) -> Iterator[Sample]:
    swapped = 0
    for low_name, high_name, label in zip(lows, highs, labels, strict=True):
        low, high = tree.read(low_name), tree.read(high_name)
        swapped += _area(low) > _area(high)
        yield Sample(high_name, high, label, low=low)
    if 2 * swapped > len(highs):
        raise fault(
            f"{tree.shown}: the low-resolution image is the larger one in {swapped} of "
            f"{len(highs)} pairs.",
            "Exchange the two: pairs.tsv has the low-resolution image first.",
        )


def _area(data: bytes) -> int:
    """Pixels of an image; 0 if it is damaged, which the store reports with all others."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            return image.width * image.height
    except DAMAGED:
        return 0


def find_masks(tree: Tree) -> Found:
    """The images and masks of a folder in one of the common segmentation layouts; ids are the image paths.

    The masks are read twice, the first time for the values that occur.

    Raises:
        StrbenchError: no such layout, an image without a mask or the reverse, or unknown values.
    """
    images: dict[str, str] = {}
    masks: dict[str, str] = {}
    for name in tree.images:
        *folders, last = name.split("/")
        stem = last.rpartition(".")[0]
        is_mask = any(folder.lower() in _MASK_FOLDERS for folder in folders)
        if match := _MASK_NAME.fullmatch(stem):
            is_mask, stem = True, match[1]
        kept = [f for f in folders if f.lower() not in _IMAGE_FOLDERS | _MASK_FOLDERS]
        side, key = masks if is_mask else images, "/".join([*kept, stem])
        if key in side:
            raise fault(f"{tree.shown}: {side[key]} and {name} have one name.")
        side[key] = name
    if not masks or not images:
        raise fault(
            f"{tree.shown}: no masks were found beside {len(images)} images.",
            "Put them in folders images and masks, under the same names.",
        )
    check_twins(tree, images, masks, "images without a mask")
    rule, read = _reader(tree, list(masks.values()))
    samples = masked_samples(tree, images, masks, read, sample_id=lambda key: images[key])
    return Found(f"images and masks; {rule}", len(images), samples)


def _reader(tree: Tree, masks: Sequence[str]) -> tuple[str, MaskReader]:
    """What the values of these masks mean, in words, and what reads them so."""
    if any(tree.read(name).startswith(b"\xff\xd8") for name in masks):

        def cut(data: bytes, place: str) -> NDArray[np.uint8]:
            return (read_levels(data, place) > _MIDDLE).astype(np.uint8)

        return f"values above {_MIDDLE} are text", cut
    first: dict[int, str] = {}
    for name in masks:
        for value in values_in(read_levels(tree.read(name), tree.place(name))):
            first.setdefault(value, name)
    for rule, meaning in (
        ("255 is text", BINARY_VALUES),
        ("1 is text, 2 effect, 255 ignored", MASK_VALUES),
        ("100 is text, 200 effect, 255 ignored", TEXTSEG_VALUES),
    ):
        if first.keys() <= meaning.keys():
            return rule, level_reader(meaning)
    shown = ", ".join(str(value) for value in sorted(first)[:8])
    odd = first[min(first.keys() - MASK_VALUES.keys())]
    raise fault(
        f"{tree.shown}: expected masks of 0 and 255, of 0, 1, 2 and 255 or of 0, 100, 200 and 255, "
        f"found {shown}{', ...' if len(first) > 8 else ''} (see {tree.place(odd)}).",
        "Save the masks without smoothing, as PNG.",
    )


def level_reader(meaning: Mapping[int, int]) -> MaskReader:
    """A reader of label images whose values mean this, see ``strbench.annotations.label_images``."""

    def read(data: bytes, place: str) -> NDArray[np.uint8]:
        return to_mask(read_levels(data, place), meaning, place)

    return read


def masked_samples(
    tree: Tree,
    images: Mapping[str, str],
    masks: Mapping[str, str],
    read: MaskReader,
    *,
    regions: Callable[[str], tuple[Region, ...]] | None = None,
    sample_id: Callable[[str], str] = lambda key: key,
) -> Iterator[Sample]:
    """A sample per mask, in the order of ``masks``; both mappings are key -> file.

    Images without a mask are left out: most of the published masks are of a part of their photographs.

    Args:
        regions: the text of a photograph from its key, where the source has it.

    Raises:
        StrbenchError: a mask without its image, or a mask that cannot be read.
    """
    check_twins(tree, masks, images, "masks without an image")
    for key, mask in masks.items():
        yield Sample(
            sample_id(key),
            tree.read(images[key]),
            regions=regions(key) if regions else None,
            mask=encode_mask(read(tree.read(mask), tree.place(mask))),
        )
