"""ICDAR 2019 LSVT: street views with polygons of lines, mostly Chinese."""

from __future__ import annotations

from collections.abc import Iterator

from strbench.annotations.competition import read_lsvt
from strbench.datasets import Remote, Source, Spec, SplitSpec
from strbench.datasets.joining import join_pages
from strbench.datasets.tree import Tree
from strbench.types import Sample

_LABELS = "train_full_labels.json"
_ARCHIVES = ("train_full_images_0.tar.gz", "train_full_images_1.tar.gz")
_HOST = "https://dataset-bj.cdn.bcebos.com/lsvt/"


def parse(tree: Tree, split: str) -> Iterator[Sample] | None:
    """Samples of ``gt_N.jpg``, in two archives or in folders, with ``train_full_labels.json``."""
    lists = tree.named(_LABELS)
    if not lists:
        return None
    place = tree.place(lists[0])
    regions = read_lsvt(tree.read(lists[0]), place)
    return join_pages(tree, regions, place, part="train", streamed=_ARCHIVES)


SPEC = Spec(
    id="lsvt",
    title="ICDAR 2019 LSVT (Large-scale Street View Text), photographs",
    task="detection",
    splits=(
        SplitSpec(
            name="lsvt/train",
            n=30_000,
            about="the fully annotated photographs: polygons of lines, mostly Chinese",
            labels=("official",),
        ),
    ),
    sources=(
        Source(
            title="the competition's training set",
            access="direct",
            splits=("lsvt/train",),
            labels="official",
            files=tuple(Remote(file=name, urls=(_HOST + name,)) for name in (*_ARCHIVES, _LABELS)),
        ),
    ),
    pages=("https://rrc.cvc.uab.es/?ch=16&com=downloads",),
    licence="non-commercial research only (Robust Reading Competition, challenge 16)",
    paper="Sun et al.: ICDAR 2019 Competition on Large-scale Street View Text with Partial "
    "Labeling, ICDAR 2019",
    notes=(
        "The ground truth of the 20,000 test photographs is not public: results are sent to the "
        "competition's site.",
        "The 400,000 weakly annotated training photographs are not read.",
        "Ignored is what is marked as illegible or reads ###.",
    ),
    drop_in=(*_ARCHIVES, _LABELS),
    streamed=_ARCHIVES,
    parse=parse,
)
