"""ICDAR 2019 ArT (Arbitrary-Shaped Text), word crops of Task 2."""

from __future__ import annotations

import re
from collections.abc import Iterator

from strbench.annotations.competition import read_crops
from strbench.annotations.curves import read_art_ids
from strbench.datasets import Remote, Source, Spec, SplitSpec
from strbench.datasets.hosts import DRIVE, HUB_PAGE, hub
from strbench.datasets.labels import named_images
from strbench.datasets.tree import Tree
from strbench.filters import keep
from strbench.types import Sample

_LABELS = "train_task2_labels.json"
# Photographs of ArT's training set that other sets hold as well, their test sets included.
SHARED = ("Total_Text_ID_vs_ArT_ID.list", "CTW1500_ID_vs_ArT_ID.txt")
_FILTER = {
    "art/train": "legible",
    "art_latin/train": "parseq-art",
    "art_clean/train": "parseq-art",
}


def sample_id(path: str, split: str) -> str:
    """``gt_2836_0`` whatever folder it lies in."""
    return path.rpartition("/")[2].rpartition(".")[0]


def group(id_: str) -> str | None:
    """The photograph that a word was cut from; None of another name.

    >>> group("gt_2836_0")
    'gt_2836'
    """
    match = re.fullmatch(r"(gt_\d+)_\d+", id_)
    return match[1] if match else None


def parse(tree: Tree, split: str) -> Iterator[Sample] | None:
    """Samples of ``train_task2_images/`` with ``train_task2_labels.json``, in its order.

    Labels are as the filter of the split gives them; see ``strbench.filters``. ``art_clean`` needs
    the two lists of photographs that ArT shares with Total-Text and CTW1500.
    """
    lists = tree.named(_LABELS)
    if not lists or split not in _FILTER:
        return None
    shared: set[str] = set()
    if split == "art_clean/train":
        names = [tree.named(name) for name in SHARED]
        if not all(names):
            return None
        shared = set().union(
            *(read_art_ids(tree.read(name), tree.place(name)) for name, *_ in names)
        )
    words = read_crops(tree.read(lists[0]), tree.place(lists[0]))
    labels = {
        id_: label
        for id_, region in words.items()
        if group(id_) not in shared and (label := keep(region, _FILTER[split])) is not None
    }
    images = named_images(
        tree, list(labels), tree.place(lists[0]), "Bring train_task2_images.tar.gz too."
    )
    return (
        Sample(id_, tree.read(image), label, group(id_))
        for (id_, label), image in zip(labels.items(), images, strict=True)
    )


HOST = "https://dataset-bj.cdn.bcebos.com/art/"
_WORDS = tuple(
    Remote(file=name, urls=(HOST + name,)) for name in ("train_task2_images.tar.gz", _LABELS)
)
SHARED_LISTS = (
    Remote(
        file=SHARED[0],
        urls=(
            "https://raw.githubusercontent.com/cs-chan/Total-Text-Dataset/"
            "9e8ff0aa453e420922a6c2bd5097ad61a4b9d87a/" + SHARED[0],
        ),
        sha256=("4c325ff579a052225cdb1da6a89366c85170af24aea62d98147c6d6bbfd9d6a7",),
        size=48_346,
    ),
    Remote(
        file=SHARED[1],
        urls=(
            "https://raw.githubusercontent.com/Yuliang-Liu/Curve-Text-Detector/"
            "2126a660d3baf3e84a76e77352597576519c35a2/" + SHARED[1],
        ),
        sha256=("c665ad06c8fdab4c1a4c3e039783c6cb8acb85c1b465801856ad69f352c75a61",),
        size=11_682,
    ),
)

SPEC = Spec(
    id="art",
    title="ICDAR 2019 ArT (Arbitrary-Shaped Text), words",
    splits=(
        SplitSpec(name="art/train", n=0, about="the legible training words, Latin and Chinese"),
        SplitSpec(
            name="art_latin/train",
            n=0,
            about="the legible Latin training words, as PARSeq trains on them",
        ),
        SplitSpec(
            name="art_clean/train",
            n=0,
            about="the same without the 3,053 photographs that Total-Text and CTW1500 hold",
        ),
        SplitSpec(
            name="art/test",
            n=35_149,
            about="as PARSeq and CLIP4STR report",
            folders=("ArT", "art_35149"),
        ),
    ),
    sources=(
        Source(
            title="the competition's training words",
            access="direct",
            splits=("art/train", "art_latin/train"),
            files=_WORDS,
        ),
        Source(
            title="the competition's training words, with lists of what other sets hold",
            access="direct",
            splits=("art_clean/train",),
            files=(*_WORDS, *SHARED_LISTS),
        ),
        Source(
            title="OpenOCR LMDB",
            access="hf",
            splits=("art/test",),
            files=(
                Remote(
                    file="ArT/data.mdb",
                    urls=(
                        *hub("test/ArT/data.mdb"),
                        DRIVE.format("1-53knSy-uTSngCG7wyBngVyTuTCmdnWl"),
                    ),
                    sha256=("23407e5aff8dcde5f724bbf9cfb8608682d5d23d55640972862ed04f7b5c0e8e",),
                    size=558_432_256,
                ),
            ),
        ),
    ),
    pages=("https://rrc.cvc.uab.es/?ch=14&com=downloads", HUB_PAGE),
    licence="non-commercial research only (Robust Reading Competition, challenge 14)",
    paper="Chng et al.: ICDAR2019 Robust Reading Challenge on Arbitrary-Shaped Text (RRC-ArT), "
    "ICDAR 2019",
    notes=(
        "The training photographs include all 1,555 of Total-Text and 1,498 of the 1,500 of CTW1500 "
        "(counted on the lists): whoever trains on art/train or art_latin/train has seen those "
        "tests.",
        "The labels of the competition's test words are not public.",
    ),
    drop_in=("train_task2_images.tar.gz", _LABELS, *SHARED),
    parse=parse,
    sample_id=sample_id,
    group=group,
)
