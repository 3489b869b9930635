"""ICDAR 2019 LSVT, words: the Latin words of the fully annotated photographs, cut here."""

from __future__ import annotations

from collections.abc import Iterator

from strbench.annotations.competition import read_lsvt
from strbench.datasets import Remote, Source, Spec, SplitSpec
from strbench.datasets.passes import cut_listed
from strbench.datasets.tree import Tree
from strbench.types import Sample

_HOST = "https://dataset-bj.cdn.bcebos.com/lsvt/"
_LABELS = "train_full_labels.json"
_IMAGES = ("train_full_images_0.tar.gz", "train_full_images_1.tar.gz")


def parse(tree: Tree, split: str) -> Iterator[Sample] | None:
    """Words of ``train_full_labels.json`` that PARSeq's filter keeps, cut to their upright boxes."""
    names = tree.named(_LABELS)
    if not names:
        return None
    place = tree.place(names[0])
    pages = read_lsvt(tree.read(names[0]), place)
    return cut_listed(
        tree, pages, place, part="train", streamed=_IMAGES, crop="box", keep="parseq-lsvt"
    )


SPEC = Spec(
    id="lsvt_words",
    title="ICDAR 2019 LSVT, words",
    raw="lsvt",
    splits=(
        SplitSpec(
            name="lsvt_words/train",
            n=0,
            about="words without Chinese characters of 30,000 photographs",
        ),
    ),
    sources=(
        Source(
            title="the competition's training set, words cut here",
            access="direct",
            splits=("lsvt_words/train",),
            files=tuple(Remote(file=name, urls=(_HOST + name,)) for name in (_LABELS, *_IMAGES)),
        ),
    ),
    pages=("https://rrc.cvc.uab.es/?ch=16&com=downloads",),
    licence="for non-commercial research (Baidu, ICDAR 2019 LSVT)",
    paper="Sun, Ni, Chng, Liu, Luo, Ng, Han, Ding, Liu, Karatzas, Chan, Jin: ICDAR 2019 Competition on "
    "Large-scale Street View Text with Partial Labeling - RRC-LSVT, ICDAR 2019",
    notes=(
        "The words of Baek et al. (str_fewer_labels/lsvt) were cut and filtered by another program.",
        "Crops are written as JPEG of quality 95.",
    ),
    drop_in=(_LABELS, *_IMAGES),
    streamed=_IMAGES,
    parse=parse,
)
