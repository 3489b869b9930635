"""SVT (Street View Text): words cut from 349 Google Street View photographs."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import NamedTuple

from strbench.annotations.markup import read_tagset
from strbench.annotations.rows import fault
from strbench.datasets import Remote, Source, Spec, SplitSpec
from strbench.datasets.hosts import DRIVE, HUB_PAGE, hub
from strbench.datasets.labels import Row, join_images
from strbench.datasets.tree import Tree
from strbench.types import Sample


class Word(NamedTuple):
    """A word in a photograph; the box is in pixels, x right, y down."""

    photo: str  # as the XML names it, e.g. "img/18_01.jpg"
    text: str
    x: int
    y: int
    width: int
    height: int


def read_words(data: bytes, place: str) -> list[Word]:
    """The words of ``train.xml`` or ``test.xml`` in their order, which is that of the standard LMDB.

    Raises:
        StrbenchError: as ``read_tagset``.
    """
    return [
        Word(marked.name, region.text or "", *map(int, region.annotated))
        for marked in read_tagset(data, place)
        for region in marked.regions
    ]


def crop(photo: bytes, word: Word, place: str) -> bytes:
    """The word as a PNG: its box without a margin, clipped to the photograph.

    One box of ``test.xml`` begins above its photograph and two end beyond it; MMOCR clips as done
    here, ASTER adds a margin of 5 % of the height instead.

    Raises:
        StrbenchError: the photograph cannot be read, or nothing of the box lies in it.
    """
    from PIL import Image

    try:
        with Image.open(io.BytesIO(photo)) as image:
            right, lower = word.x + word.width, word.y + word.height
            box = (
                max(word.x, 0),
                max(word.y, 0),
                min(right, image.width),
                min(lower, image.height),
            )
            if box[0] >= box[2] or box[1] >= box[3]:
                raise fault(
                    f"{place}: the box of {word.text!r} lies outside ({image.width} x "
                    f"{image.height} pixels).",
                    "Fetch svt.zip again.",
                )
            buffer = io.BytesIO()
            image.convert("RGB").crop(box).save(buffer, "PNG")
    except (OSError, SyntaxError, ValueError) as error:
        raise fault(f"{place}: not a readable image ({error}).", "Fetch svt.zip again.") from error
    return buffer.getvalue()


def parse(tree: Tree, split: str) -> Iterator[Sample] | None:
    """Samples cut from the photographs of ``svt1/``; ids are ``img/18_01.jpg#1``, counted per photo."""
    names = tree.named(split.partition("/")[2] + ".xml")
    if not names:
        return None
    words = read_words(tree.read(names[0]), tree.place(names[0]))
    photos = list(dict.fromkeys(word.photo for word in words))
    found = join_images(tree, [Row(photo, "", 0) for photo in photos], names[0])
    return _cut(tree, words, dict(zip(photos, found, strict=True)))


def _cut(tree: Tree, words: list[Word], where: dict[str, str]) -> Iterator[Sample]:
    photo, data, number = "", b"", 0
    for word in words:
        if word.photo != photo:
            photo, data, number = word.photo, tree.read(where[word.photo]), 0
        number += 1
        image = crop(data, word, tree.place(where[word.photo]))
        yield Sample(f"{word.photo}#{number}", image, word.text, word.photo)


ARCHIVE = Remote(
    file="svt.zip",
    urls=("http://www.iapr-tc11.org/dataset/SVT/svt.zip",),
    sha256=("63b3d55e6b6d1e036e2a844a20c034fe3af3c32e4d914d6e0c4a3cd43df3bebf",),
    md5=("42d19160010d990ae6223b14f45eff88",),
)

SPEC = Spec(
    id="svt",
    title="SVT, Street View Text",
    splits=(
        SplitSpec(
            name="svt/train",
            n=257,
            about="words of 100 photographs",
            labels=("standard", "case-sensitive"),
            folders=("svt_train",),
        ),
        SplitSpec(
            name="svt/test",
            n=647,
            about="words of 249 photographs",
            labels=("standard", "case-sensitive"),
            folders=("svt", "svt_647", "svt_test"),
        ),
    ),
    sources=(
        Source(
            title="OpenOCR LMDB",
            access="hf",
            splits=("svt/test",),
            labels="case-sensitive",
            files=(
                Remote(
                    file="SVT/data.mdb",
                    urls=(
                        *hub("evaluation/SVT/data.mdb"),
                        DRIVE.format("1ecEZ4cJ7dIbTCZRltE0s5KzUotQWagH-"),
                    ),
                    sha256=("0d05b88a4b84db7b5cfcfea7827ad9e0d7c9de6bc1bc9662fd94992c58236042",),
                    size=6_791_168,
                ),
            ),
        ),
        Source(
            title="the authors' archive, words cut here",
            access="direct",
            splits=("svt/train", "svt/test"),
            files=(ARCHIVE,),
        ),
    ),
    pages=("http://www.iapr-tc11.org/mediawiki/index.php/The_Street_View_Text_Dataset", HUB_PAGE),
    licence="none stated by the authors (UCSD; Google Street View images, for research)",
    paper="Wang, Babenko, Belongie: End-to-End Scene Text Recognition, ICCV 2011",
    notes=(
        "The official labels are upper-case letters and digits and carry no case.",
        "The case-sensitive relabelling also corrects words: 7 (baudm) or 13 (Jyouhou) of 647 differ "
        "after lower-casing and dropping punctuation.",
        "test.xml: one box starts at y = -2 (img/04_13.jpg), two end beyond their photograph; boxes "
        "are clipped, without a margin.",
    ),
    drop_in=("svt.zip", "train.xml", "test.xml"),
    parse=parse,
)
