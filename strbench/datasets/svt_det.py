"""SVT (Street View Text), photographs with upright boxes of the words in their word lists."""

from __future__ import annotations

from collections.abc import Iterator

from strbench.annotations.markup import read_tagset
from strbench.datasets import Lexicons, Source, Spec, SplitSpec
from strbench.datasets.joining import join_pages
from strbench.datasets.svt import ARCHIVE
from strbench.datasets.tree import Tree, stem
from strbench.types import Sample


def parse(tree: Tree, split: str) -> Iterator[Sample] | None:
    """Samples of ``svt1/img/NN_NN.jpg`` with ``train.xml`` or ``test.xml``, ids such as ``18_01``."""
    part = split.partition("/")[2]
    names = tree.named(f"{part}.xml")
    if not names:
        return None
    place = tree.place(names[0])
    regions = {stem(m.name): m.regions for m in read_tagset(tree.read(names[0]), place)}
    return join_pages(tree, regions, place, part=part)


def lexicons(tree: Tree, split: str) -> Lexicons:
    """The word list of each photograph, about 50 words; none where the official XML is absent."""
    names = tree.named(split.partition("/")[2] + ".xml")
    if not names:
        return {}
    marked = read_tagset(tree.read(names[0]), tree.place(names[0]))
    return {"50": {stem(m.name): m.lexicon for m in marked}}


SPEC = Spec(
    id="svt_det",
    title="SVT, Street View Text, photographs",
    task="detection",
    raw="svt",
    splits=(
        SplitSpec(
            name="svt_det/train",
            n=100,
            about="boxes of 257 words",
            labels=("official",),
            counts={"official": {"regions": 257}},
        ),
        SplitSpec(
            name="svt_det/test",
            n=249,
            about="boxes of 647 words",
            labels=("official",),
            counts={"official": {"regions": 647}},
        ),
    ),
    sources=(
        Source(
            title="the authors' archive",
            access="direct",
            splits=("svt_det/train", "svt_det/test"),
            labels="official",
            files=(ARCHIVE,),
        ),
    ),
    pages=("http://www.iapr-tc11.org/mediawiki/index.php/The_Street_View_Text_Dataset",),
    licence="none stated by the authors (UCSD; Google Street View images, for research)",
    paper="Wang, Babenko, Belongie: End-to-End Scene Text Recognition, ICCV 2011",
    notes=(
        "Only words of a photograph's word list are annotated, so precision means little here: text "
        "that is found and not annotated counts as wrong.",
        "The word lists hold 37 to 64 words in the test set; the field calls them SVT-50.",
        "test.xml: one box starts at y = -2 (img/04_13.jpg), two end beyond their photograph; boxes "
        "are kept as annotated.",
    ),
    drop_in=("svt.zip", "train.xml", "test.xml"),
    parse=parse,
    lexicons=lexicons,
)
