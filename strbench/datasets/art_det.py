"""ICDAR 2019 ArT (Arbitrary-Shaped Text), Task 1: photographs with polygons, Latin and Chinese."""

from __future__ import annotations

from collections.abc import Iterator

from strbench.annotations.competition import read_lsvt
from strbench.annotations.curves import read_art_ids
from strbench.datasets import Remote, Source, Spec, SplitSpec
from strbench.datasets.art import HOST, SHARED, SHARED_LISTS
from strbench.datasets.joining import join_pages
from strbench.datasets.tree import Tree
from strbench.types import Sample

_LABELS = "train_labels.json"
_ARCHIVE = "train_images.tar.gz"


def parse(tree: Tree, split: str) -> Iterator[Sample] | None:
    """Samples of ``gt_N.jpg``, in an archive or a folder, with ``train_labels.json``.

    ``art_det_clean`` needs the two lists of photographs that ArT shares with Total-Text and CTW1500.
    """
    lists = tree.named(_LABELS)
    if not lists:
        return None
    place = tree.place(lists[0])
    regions = read_lsvt(tree.read(lists[0]), place)
    if split == "art_det_clean/train":
        for found in (tree.named(name) for name in SHARED):
            if not found:
                return None
            for photograph in read_art_ids(tree.read(found[0]), tree.place(found[0])):
                regions.pop(photograph, None)
    return join_pages(tree, regions, place, part="train", streamed=(_ARCHIVE,))


_FILES = tuple(Remote(file=name, urls=(HOST + name,)) for name in (_ARCHIVE, _LABELS))

SPEC = Spec(
    id="art_det",
    title="ICDAR 2019 ArT (Arbitrary-Shaped Text), photographs",
    task="detection",
    raw="art",
    splits=(
        SplitSpec(
            name="art_det/train",
            n=5603,
            about="polygons, among them all photographs of Total-Text and CTW1500 but two",
            labels=("official",),
        ),
        SplitSpec(
            name="art_det_clean/train",
            n=2550,  # 5,603 less the 1,555 and 1,498 of the two lists, which have none in common
            about="the same without the photographs that Total-Text and CTW1500 hold",
            labels=("official",),
        ),
    ),
    sources=(
        Source(
            title="the competition's training set",
            access="direct",
            splits=("art_det/train",),
            labels="official",
            files=_FILES,
        ),
        Source(
            title="the competition's training set, with lists of what other sets hold",
            access="direct",
            splits=("art_det_clean/train",),
            labels="official",
            files=(*_FILES, *SHARED_LISTS),
        ),
    ),
    pages=("https://rrc.cvc.uab.es/?ch=14&com=downloads",),
    licence="non-commercial research only (Robust Reading Competition, challenge 14)",
    paper="Chng et al.: ICDAR2019 Robust Reading Challenge on Arbitrary-Shaped Text (RRC-ArT), "
    "ICDAR 2019",
    notes=(
        "The ground truth of the 4,563 test photographs is not public: results are sent to the "
        "competition's site.",
        "The training set holds test photographs of Total-Text and CTW1500: train on art_det_clean "
        "before scoring on either.",
        "Ignored is what is marked as illegible or reads ###.",
    ),
    drop_in=(_ARCHIVE, _LABELS, *SHARED),
    streamed=(_ARCHIVE,),
    parse=parse,
)
