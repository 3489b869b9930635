"""COCO-Text, words: the crops of version 1.4, and crops by version 2 of the annotation."""

from __future__ import annotations

import re
from collections.abc import Iterator

from strbench.annotations.coco import read_cocotext
from strbench.annotations.word_lists import read_cocotext_words
from strbench.datasets import Remote, Source, Spec, SplitSpec
from strbench.datasets.cocotext_det import TRAIN2014, VERSION2
from strbench.datasets.cutting import cut_words
from strbench.datasets.hosts import DRIVE, HUB_PAGE, hub
from strbench.datasets.labels import named_images
from strbench.datasets.tree import Tree
from strbench.types import Sample

_PART = {"cocotext/train": "train", "cocotext_9896/test": "val"}
_ANNOTATION = "cocotext.v2.json"


def sample_id(path: str, split: str) -> str:
    """``1000032`` of ``val_words/1000032.jpg``, in whatever folder it lies; others stay whole."""
    match = re.search(r"(?:^|/)([0-9]+)\.jpg$", path)
    return match[1] if match else path


def parse(tree: Tree, split: str) -> Iterator[Sample] | None:
    """Samples of ``train_words/`` or ``val_words/`` with their list; of version 2 see ``_cut``.

    What the field tests on are the words that version 1.4 has for validation.
    """
    if split == "cocotext_v2/train":
        return _cut(tree)
    if split not in _PART:
        return None
    folder = f"{_PART[split]}_words"
    lists = tree.named(f"{folder}_gt.txt")
    if not lists:
        return None
    words = read_cocotext_words(tree.read(lists[0]), tree.place(lists[0]))
    images = named_images(
        tree,
        [word.id for word in words],
        tree.place(lists[0]),
        "Bring COCO-Text-words-trainval.zip as it is.",
        folder=folder,
    )
    return (
        Sample(word.id, tree.read(image), word.text)
        for word, image in zip(words, images, strict=True)
    )


def _cut(tree: Tree) -> Iterator[Sample] | None:
    """Words cut as PARSeq cuts them: machine printed, English and legible, with a margin."""
    lists = tree.named(_ANNOTATION)
    if not lists:
        return None
    pages = read_cocotext(tree.read(lists[0]), tree.place(lists[0]), outline="box")
    wanted = [page for page in pages.values() if page.part == "train"]
    names = [page.file.rpartition("/")[2].rpartition(".")[0] for page in wanted]
    images = named_images(tree, names, tree.place(lists[0]), "Bring train2014.zip too.")
    return (
        word
        for name, image, page in zip(names, images, wanted, strict=True)
        for word in cut_words(
            name,
            tree.read(image),
            page.regions,
            crop="box-cocotext",
            keep="parseq-cocotext",
        )
    )


SPEC = Spec(
    id="cocotext",
    title="COCO-Text, words",
    splits=(
        SplitSpec(
            name="cocotext/train", n=42_618, about="the training words of version 1.4, as they come"
        ),
        SplitSpec(
            name="cocotext_9896/test",
            n=9896,
            about="the validation words of version 1.4; DiG",
            folders=("cocotextval_9896", "cocotext_9896"),
        ),
        SplitSpec(
            name="cocotext_9825/test",
            n=9825,
            about="the same after cleaning; PARSeq, CLIP4STR and OpenOCR",
            folders=("COCOv1.4", "cocotext_9825"),
        ),
        SplitSpec(
            name="cocotext_v2/train",
            n=0,
            about="crops of the training photographs by version 2, as PARSeq makes them",
        ),
    ),
    sources=(
        Source(
            title="OpenOCR LMDB",
            access="hf",
            splits=("cocotext_9825/test",),
            files=(
                Remote(
                    file="COCOv1.4/data.mdb",
                    urls=(
                        *hub("test/COCOv1.4/data.mdb"),
                        DRIVE.format("1Se2QSGS19xx7Gfy-SUdX9mlAOr2eYsfA"),
                    ),
                    sha256=("4c72c1b78f282ba9319bee3411c0b2f5dd89a487d1fb18bba25d63a764b41f55",),
                    size=33_333_248,
                ),
            ),
        ),
        Source(
            title="the competition's words (free registration)",
            access="manual",
            splits=("cocotext/train", "cocotext_9896/test"),
            files=(Remote(file="COCO-Text-words-trainval.zip", urls=()),),
        ),
        Source(
            title="DiG's LMDB cocotextval_9896 (OneDrive)",
            access="manual",
            splits=("cocotext_9896/test",),
            files=(Remote(file="cocotextval_9896/data.mdb", urls=()),),
        ),
        Source(
            title="version 2 of the annotation, and the photographs of COCO",
            access="direct",
            splits=("cocotext_v2/train",),
            files=(
                VERSION2,
                TRAIN2014,
            ),
        ),
    ),
    pages=(
        "https://rrc.cvc.uab.es/?ch=5&com=downloads",
        "https://1drv.ms/u/s!AgwG2MwdV23ckOhoiwC5wf4eC9kYoQ?e=oXzZNF",  # DiG
        HUB_PAGE,
    ),
    licence="CC BY 4.0 for the annotation; the photographs keep the terms of COCO and Flickr",
    paper="Veit, Matera, Neumann, Matas, Belongie: COCO-Text: Dataset and Benchmark for Text "
    "Detection and Recognition in Natural Images, arXiv 2016",
    notes=(
        "The 9,825 are a list, not a filter: no rule is known that gives them from the 9,896.",
        "Version 2 is another annotation of the same photographs as version 1.4.",
        "The labels of the competition's 9,837 test words are not public.",
        "train2014.zip holds the photographs of training, validation and test alike.",
    ),
    drop_in=(
        "COCO-Text-words-trainval.zip",
        "train_words_gt.txt",
        "val_words_gt.txt",
        "cocotext.v2.zip",
        _ANNOTATION,
        "train2014.zip",
    ),
    parse=parse,
    sample_id=sample_id,
)
