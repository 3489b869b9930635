"""COCO-Text, photographs: polygons of words by versions 1 and 2 of the annotation."""

from __future__ import annotations

from collections.abc import Iterator

from strbench.annotations.coco import read_cocotext
from strbench.datasets import Remote, Source, Spec, SplitSpec
from strbench.datasets.joining import join_pages
from strbench.datasets.tree import Tree, stem
from strbench.types import Sample

_ANNOTATION = {"cocotext_det": "cocotext.v2.json", "cocotext_v1_det": "COCO_Text.json"}


def parse(tree: Tree, split: str) -> Iterator[Sample] | None:
    """Samples of ``cocotext.v2.json`` or, of version 1, ``COCO_Text.json``, in its order.

    Photographs without a word are samples too. Ids are the names of COCO without their suffix.
    """
    dataset, _, part = split.partition("/")
    lists = tree.named(_ANNOTATION[dataset])
    if not lists:
        return None
    place = tree.place(lists[0])
    pages = read_cocotext(tree.read(lists[0]), place)
    regions = {stem(name): page.regions for name, page in pages.items() if page.part == part}
    return join_pages(tree, regions, place, part=part)


VERSION2 = Remote(
    file="cocotext.v2.zip",
    urls=("https://github.com/bgshih/cocotext/releases/download/dl/cocotext.v2.zip",),
    md5=("5e39f7d6f2f11324c6451e63523c440c",),
)
TRAIN2014 = Remote(
    file="train2014.zip",
    urls=("http://images.cocodataset.org/zips/train2014.zip",),
    md5=("0da8c0bd3d6becc4dcb32757491aca88",),
    note="about 13 GB; read without being unpacked",
)

SPEC = Spec(
    id="cocotext_det",
    title="COCO-Text, photographs",
    task="detection",
    raw="cocotext",
    splits=(
        SplitSpec(
            name="cocotext_det/train",
            n=43_686,
            about="version 2: polygons of words",
            labels=("official",),
        ),
        SplitSpec(
            name="cocotext_det/val",
            n=10_000,
            about="version 2: polygons of words",
            labels=("official",),
        ),
        SplitSpec(
            name="cocotext_v1_det/train",
            n=43_686,
            about="version 1: quadrilaterals of words",
            labels=("official",),
        ),
        SplitSpec(
            name="cocotext_v1_det/val",
            n=0,  # 20,000 when it was published, 10,000 since a test set was made of the others
            about="version 1: quadrilaterals of words",
            labels=("official",),
        ),
    ),
    sources=(
        Source(
            title="version 2 of the annotation, and the photographs of COCO",
            access="direct",
            splits=("cocotext_det/train", "cocotext_det/val"),
            labels="official",
            files=(
                VERSION2,
                TRAIN2014,
            ),
        ),
        Source(
            title="version 1 of the annotation, and the photographs of COCO",
            access="direct",
            splits=("cocotext_v1_det/train", "cocotext_v1_det/val"),
            labels="official",
            files=(
                Remote(
                    file="COCO_Text.zip",
                    urls=("https://s3.amazonaws.com/cocotext/COCO_Text.zip",),
                    md5=("5cecfc1081b2ae7fdea75e6c9a9dec3b",),
                ),
                TRAIN2014,
            ),
        ),
    ),
    pages=("https://bgshih.github.io/cocotext/", "https://rrc.cvc.uab.es/?ch=5&com=downloads"),
    licence="CC BY 4.0 for the annotation; the photographs keep the terms of COCO and Flickr",
    paper="Veit, Matera, Neumann, Matas, Belongie: COCO-Text: Dataset and Benchmark for Text "
    "Detection and Recognition in Natural Images, arXiv 2016",
    notes=(
        "Illegible words are ignored. Words that are legible and not English are not, though many have "
        "no text; the tags class, language and legibility keep what the annotation says.",
        "train2014.zip holds the photographs of training, validation and test alike; the annotation "
        "of the 10,000 test photographs is not public.",
        "Most photographs hold no text.",
    ),
    drop_in=(
        "cocotext.v2.zip",
        "cocotext.v2.json",
        "COCO_Text.zip",
        "COCO_Text.json",
        "train2014.zip",
    ),
    parse=parse,
)
