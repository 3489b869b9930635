"""ICDAR 2003 words: the 867 and 860 test words that papers before 2021 report."""

from __future__ import annotations

from collections.abc import Iterator

from strbench.datasets import Remote, Source, Spec, SplitSpec, ic03_det
from strbench.datasets.cutting import cut_words
from strbench.datasets.tree import Tree
from strbench.types import Sample

_SIZES = (860, 867)
_SHORTEST = 3  # letters and digits of a label


def parse(tree: Tree, split: str) -> Iterator[Sample] | None:
    """The 860 words, cut from the photographs of ``ic03_det``; the 867 come as an LMDB alone.

    They are the words of letters and digits only, three or more: 860 of 1,107 (counted). Whether the
    LMDB of this size holds the same words was not compared.
    """
    pages = ic03_det.parse(tree, "ic03_det/test") if split == "ic03_860/test" else None
    return None if pages is None else _cut(pages)


def _cut(pages: Iterator[Sample]) -> Iterator[Sample]:
    for page in pages:
        for word in cut_words(page.id, page.image, page.regions or (), crop="box", keep="alnum"):
            if len(word.label or "") >= _SHORTEST:
                yield word


SPEC = Spec(
    id="ic03",
    title="ICDAR 2003 Robust Reading, words",
    splits=tuple(
        SplitSpec(
            name=f"ic03_{n}/test",
            n=n,
            about="letters and digits only, three or more, as clovaai packs them",
            folders=(f"IC03_{n}",),
        )
        for n in _SIZES
    ),
    sources=(
        *(
            Source(
                title="clovaai LMDB",
                access="manual",
                splits=(f"ic03_{n}/test",),
                files=(Remote(file=f"IC03_{n}/data.mdb", urls=()),),
            )
            for n in _SIZES
        ),
        Source(
            title="the trial test set of the competition, words cut here",
            access="manual",
            splits=("ic03_860/test",),
            files=(ic03_det.ARCHIVE,),
        ),
    ),
    pages=(
        "https://www.dropbox.com/sh/i39abvnefllx2si/AAAbAYRvxzRp3cIE5HzqUw3ra?dl=0",
        "https://github.com/clovaai/deep-text-recognition-benchmark",
        *ic03_det.SPEC.pages,
    ),
    licence="not known",
    paper=ic03_det.SPEC.paper,
    notes=(
        "The LMDBs lie in data_lmdb_release/evaluation; its Dropbox folder was reported gone in 2021.",
    ),
    drop_in=(*(f"IC03_{n}/data.mdb" for n in _SIZES), *ic03_det.SPEC.drop_in),
    parse=parse,
)
