"""ICDAR 2015 Incidental Scene Text, Tasks 4.1 and 4.4: photographs with quadrilaterals and texts."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from strbench.annotations.boxes import read_boxes
from strbench.datasets import Lexicons, Remote, Source, Spec, SplitSpec
from strbench.datasets.hosts import MMOCR, RRC
from strbench.datasets.lexicons import word_lists
from strbench.datasets.pages import numbered, page_samples
from strbench.datasets.tree import Tree
from strbench.types import Sample

_N = {"ic15_det/train": 1000, "ic15_det/test": 500}


def parse(tree: Tree, split: str) -> Iterator[Sample] | None:
    """Samples of ``img_N.jpg`` with ``gt_img_N.txt``.

    Quadrilaterals run clockwise from the upper left; ``###`` marks what is ignored. Texts hold commas.
    """
    labels = numbered(tree, r"gt_(img_\d+)\.txt", _N[split], split=split)
    images = numbered(tree, r"(img_\d+)\.(?:jpg|jpeg|png)", _N[split], split=split)
    if labels is None or images is None:
        return None
    return page_samples(tree, images, labels, partial(read_boxes, layout="quad"))


def lexicons(tree: Tree, split: str) -> Lexicons:
    """The strong (100 words a photograph), weak (all test words) and generic (90k) vocabularies."""
    if split != "ic15_det/test":
        return {}
    return word_lists(
        tree,
        strong=r"voc_(img_\d+)\.txt",
        weak=r"ch4_test_vocabulary(?:_new)?\.txt",
        generic=r"GenericVocabulary(?:_new)?\.txt",
    )


SPEC = Spec(
    id="ic15_det",
    title="ICDAR 2015 Incidental Scene Text, photographs",
    task="detection",
    raw="ic15",
    splits=(
        SplitSpec(
            name="ic15_det/train",
            n=1000,
            about="quadrilaterals of words; 4,468 of 11,886 legible",
            labels=("official",),
            counts={"official": {"regions": 11_886, "ignored": 7418}},
        ),
        SplitSpec(
            name="ic15_det/test",
            n=500,
            about="quadrilaterals of words; 2,077 of 5,230 legible",
            labels=("official",),
            counts={"official": {"regions": 5230, "ignored": 3153}},
        ),
    ),
    sources=(
        Source(
            title="the competition's test set",
            access="direct",
            splits=("ic15_det/test",),
            labels="official",
            files=(
                Remote(
                    file="ch4_test_images.zip",
                    urls=(RRC + "ch4_test_images.zip",),
                    md5=("97e4c1ddcf074ffcc75feff2b63c35dd",),
                ),
                Remote(
                    file="Challenge4_Test_Task4_GT.zip",
                    urls=(RRC + "Challenge4_Test_Task4_GT.zip",),
                    md5=("8bce173b06d164b98c357b0eb96ef430",),
                ),
            ),
            optional=(
                Remote(
                    file="lexicons.zip",
                    urls=(MMOCR + "1.x/textspotting/icdar2015/lexicons.zip",),
                    md5=("daec48ee72de25a4293a6b12cdc181f5",),
                    note="holds the strong, weak and generic vocabularies",
                ),
            ),
        ),
        Source(
            title="the competition's training set",
            access="direct",
            splits=("ic15_det/train",),
            labels="official",
            files=(
                Remote(
                    file="ch4_training_images.zip",
                    urls=(RRC + "ch4_training_images.zip",),
                    md5=("c51cbace155dcc4d98c8dd19d378f30d",),
                ),
                Remote(
                    file="ch4_training_localization_transcription_gt.zip",
                    urls=(RRC + "ch4_training_localization_transcription_gt.zip",),
                    md5=("3bfaf1988960909014f7987d2343060b",),
                ),
            ),
        ),
    ),
    pages=("https://rrc.cvc.uab.es/?ch=4&com=downloads",),
    licence="CC BY 4.0 (Robust Reading Competition, challenge 4; free registration)",
    paper="Karatzas et al.: ICDAR 2015 Competition on Robust Reading, ICDAR 2015",
    notes=(
        "All 17,116 quadrilaterals run clockwise on screen (counted).",
        "Six test texts and 18 training texts hold commas.",
        "The competition's site may ask for a login and then answers with a web page.",
        "EXIF orientation must not be applied.",
    ),
    drop_in=(
        "ch4_test_images.zip",
        "Challenge4_Test_Task4_GT.zip",
        "Challenge4_Test_Task1_GT.zip",
        "ch4_training_images.zip",
        "ch4_training_localization_transcription_gt.zip",
        "lexicons.zip",
        "ch4_test_vocabularies_per_image.zip",
    ),
    parse=parse,
    lexicons=lexicons,
)
