"""Total-Text, words: DiG's 2,201, and crops by the official ground truth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from strbench.annotations.curves import read_totaltext
from strbench.datasets import Remote, Source, Spec, SplitSpec, totaltext_det
from strbench.datasets.cutting import cut_words
from strbench.datasets.pages import numbered, page_samples
from strbench.datasets.tree import Tree
from strbench.types import Sample

_N = 300  # test photographs


def parse(tree: Tree, split: str) -> Iterator[Sample] | None:
    """Samples cut from ``Images/Test/imgN.jpg`` by the authors' ``Test/poly_gt_imgN.txt``.

    Each legible word with the upright box around its polygon. Copies of the ground truth are refused:
    some have damaged texts.
    """
    if split != "totaltext_words/test":
        return None
    # pixel masks are called like the photographs
    shown = {name: file for name, file in tree.files.items() if "groundtruth" not in name.lower()}
    images = numbered(replace(tree, files=shown), r"(img\d+)\.jpg", _N, split=split)
    labels = numbered(tree, r"poly_gt_(img\d+)\.txt", _N, split=split)
    if images is None or labels is None:
        return None
    return (
        word
        for page in page_samples(tree, images, labels, read_totaltext)
        for word in cut_words(page.id, page.image, page.regions or (), crop="box", keep="legible")
    )


_TRUTH = next(
    source
    for source in totaltext_det.SPEC.sources
    if source.labels == "official" and "totaltext_det/test" in source.splits
)

SPEC = Spec(
    id="totaltext",
    title="Total-Text, words",
    splits=(
        SplitSpec(
            name="totaltext_2201/test",
            n=2201,
            about="words cut by the authors of DiG; DiG and CCD",
            folders=("totaltext_2201",),
        ),
        SplitSpec(
            name="totaltext_words/test",
            n=0,
            about="the legible words of the official ground truth (about 2,215), cut here",
        ),
    ),
    sources=(
        Source(
            title="DiG's LMDB totaltext_2201 (OneDrive)",
            access="manual",
            splits=("totaltext_2201/test",),
            files=(Remote(file="totaltext_2201/data.mdb", urls=()),),
        ),
        Source(
            title="the authors' photographs and text files",
            access="direct",
            splits=("totaltext_words/test",),
            files=_TRUTH.files,
        ),
    ),
    pages=(
        "https://github.com/cs-chan/Total-Text-Dataset",
        "https://1drv.ms/u/s!AgwG2MwdV23ckOh02A7vn9kfCmuYjg?e=kkxmf6",  # DiG
    ),
    licence="BSD 3-Clause for the code; the photographs for non-commercial research only",
    paper="Ch'ng, Chan: Total-Text: A Comprehensive Dataset for Scene Text Detection and "
    "Recognition, ICDAR 2017",
    notes=(
        "The 2,201 are known from DiG's LMDB alone: no filter is known that gives them (letters and "
        "digits only leaves 2,160). totaltext_words is another set.",
        "EXIF orientation must not be applied: img651 of the test carries a rotation.",
        "All photographs are in the training set of ArT: see art_clean.",
    ),
    drop_in=tuple(remote.file for remote in _TRUTH.files),
    parse=parse,
)
