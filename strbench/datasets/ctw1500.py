"""CTW1500, words: DiG's 1,572, and crops by the word-level ground truth."""

from __future__ import annotations

from collections.abc import Iterator

from strbench.annotations.rows import fault
from strbench.datasets import Remote, Source, Spec, SplitSpec, ctw1500_det
from strbench.datasets.cutting import cut_words
from strbench.datasets.tree import Tree
from strbench.types import Sample

_PAGES = "ctw1500_words_det/test"  # the photographs that the words are cut from


def parse(tree: Tree, split: str) -> Iterator[Sample] | None:
    """Samples cut from the photographs of ``ctw1500_words_det/test``.

    Each legible word with the upright box around its polygon. The ground truth must be that of words:
    the official one has lines.
    """
    pages = ctw1500_det.parse(tree, _PAGES) if split == "ctw1500_words/test" else None
    if pages is None:
        return None
    return (word for page in pages for word in _cut(tree, page))


def _cut(tree: Tree, page: Sample) -> Iterator[Sample]:
    regions = page.regions or ()
    # None of the 4,915 legible words has a blank, but 1,095 of the 2,688 legible lines (counted).
    line = next((region.text for region in regions if " " in (region.text or "")), None)
    if line is not None:
        raise fault(
            f"{tree.shown}: expected the words of {page.id}, found the line {line!r}.",
            "Bring the word-level ground truth, gt_ctw1500_word.zip.",
        )
    return cut_words(page.id, page.image, regions, crop="box", keep="legible")


_TRUTH = next(source for source in ctw1500_det.SPEC.sources if _PAGES in source.splits)

SPEC = Spec(
    id="ctw1500",
    title="CTW1500, words",
    splits=(
        SplitSpec(
            name="ctw1500_1572/test",
            n=1572,
            about="words cut by the authors of DiG; DiG and CCD",
            folders=("ctw_1572", "ctw1500_1572"),
        ),
        SplitSpec(
            name="ctw1500_words/test",
            n=0,
            about="the legible words of the word-level ground truth (4,915), cut here",
        ),
    ),
    sources=(
        Source(
            title="DiG's LMDB ctw_1572 (OneDrive)",
            access="manual",
            splits=("ctw1500_1572/test",),
            files=(Remote(file="ctw_1572/data.mdb", urls=()),),
        ),
        Source(
            title="the photographs, and the ground truth of words from VimTS",
            access="direct",
            splits=("ctw1500_words/test",),
            files=_TRUTH.files,
        ),
    ),
    pages=(
        "https://github.com/Yuliang-Liu/Curve-Text-Detector",
        "https://1drv.ms/u/s!AgwG2MwdV23ckOhp6ddoyLetHu2yaA?e=qTdZEc",  # DiG
    ),
    licence="non-commercial research only",
    paper="Liu, Jin, Zhang, Luo, Zhang: Curved Scene Text Detection via Transverse and Longitudinal "
    "Sequence Connection, Pattern Recognition 90, 2019",
    notes=(
        "The 1,572 are known from DiG's LMDB alone: CTW1500 annotates lines, and which words were cut "
        "from them, and how, is not published. ctw1500_words is another set.",
        "The word-level ground truth has 5,698 words, 783 of them ignored; it was made later, by the "
        "authors of VimTS.",
        "1,498 of the 1,500 photographs are in the training set of ArT: see art_clean.",
    ),
    drop_in=tuple(remote.file for remote in _TRUTH.files),
    parse=parse,
)
