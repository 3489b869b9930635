"""TextOCR, photographs of Open Images: polygons and texts of words."""

from __future__ import annotations

from collections.abc import Iterator

from strbench.annotations.coco import read_textocr
from strbench.datasets import Remote, Source, Spec, SplitSpec
from strbench.datasets.joining import join_pages
from strbench.datasets.tree import Tree, stem
from strbench.types import Sample


def parse(tree: Tree, split: str) -> Iterator[Sample] | None:
    """Samples of ``TextOCR_0.1_train.json`` or ``..._val.json``, in its order.

    The photographs of both lie in ``train_images/``; the JSON calls them ``train/ID.jpg``. Ids are
    those of Open Images.
    """
    part = split.partition("/")[2]
    lists = tree.named(f"TextOCR_0.1_{part}.json")
    if not lists:
        return None
    place = tree.place(lists[0])
    pages = read_textocr(tree.read(lists[0]), place)
    regions = {stem(name): page.regions for name, page in pages.items()}
    return join_pages(tree, regions, place, part=part)


_DATA = "https://dl.fbaipublicfiles.com/textvqa/data/textocr/"
_IMAGES = Remote(
    file="train_val_images.zip",
    urls=("https://dl.fbaipublicfiles.com/textvqa/images/train_val_images.zip",),
    md5=("d12dd8098899044e4ae1af34db7ecfef",),
    note="about 7 GB; read without being unpacked",
)


def _source(part: str, md5: str) -> Source:
    file = f"TextOCR_0.1_{part}.json"
    return Source(
        title=f"the authors' files, {part}",
        access="direct",
        splits=(f"textocr_det/{part}",),
        labels="official",
        files=(_IMAGES, Remote(file=file, urls=(_DATA + file,), md5=(md5,))),
    )


SPEC = Spec(
    id="textocr_det",
    title="TextOCR, photographs",
    task="detection",
    raw="textocr",
    splits=(
        SplitSpec(
            name="textocr_det/train",
            n=21_778,
            about="polygons of words; illegible ones have the text '.'",
            labels=("official",),
            counts={"official": {"regions": 714_770}},
        ),
        SplitSpec(
            name="textocr_det/val",
            n=3124,
            about="polygons of words; illegible ones have the text '.'",
            labels=("official",),
            counts={"official": {"regions": 107_802}},
        ),
    ),
    sources=(
        _source("train", "0f8ba1beefd2ca4d08a4f82bcbe6cfb4"),
        _source("val", "fb151383ea7b3c530cde9ef0d5c08347"),
    ),
    pages=("https://textvqa.org/textocr/dataset/",),
    licence="CC BY 4.0 for the annotation; the photographs keep the terms of Open Images",
    paper="Singh, Pang, Toh, Huang, Galuba, Hassner: TextOCR: Towards large-scale end-to-end reasoning "
    "for arbitrary-shaped scene text, CVPR 2021",
    notes=(
        "The boxes of the JSON are x, y, width, height; a sample in MMOCR's documentation says "
        "otherwise.",
        "The rotation that Open Images states for a photograph is not applied.",
        "The annotation of the 3,232 test photographs is not public.",
    ),
    drop_in=("train_val_images.zip", "TextOCR_0.1_train.json", "TextOCR_0.1_val.json"),
    parse=parse,
)
