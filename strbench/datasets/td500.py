"""MSRA-TD500: photographs with turned boxes of lines, English and Chinese."""

from __future__ import annotations

from collections.abc import Iterator

from strbench.annotations.boxes import read_boxes
from strbench.annotations.turned import read_turned
from strbench.datasets import Remote, Source, Spec, SplitSpec
from strbench.datasets.pages import numbered, page_samples
from strbench.datasets.tree import Tree, stem
from strbench.types import Region, Sample

_N = {"td500/train": 300, "td500/test": 200}


def read_converted(data: bytes, place: str) -> list[Region]:
    """The regions of a file of ``TD_TR.tar``: quadrilaterals with ``1`` or ``###`` for a text.

    Raises:
        StrbenchError: as ``read_boxes``.
    """
    regions = read_boxes(data, place, layout="quad")
    return [r if r.ignored else r._replace(text=None) for r in regions]


def lines_of_text(tree: Tree, split: str, n: int) -> Iterator[Sample] | None:
    """Samples of ``NAME.jpg`` with ``NAME.gt`` beside it, or as ``TD_TR.tar`` holds them.

    There the photographs lie in ``train_images`` and ``NAME.jpg.txt`` in ``train_gts``.
    """
    labels = numbered(tree, r"(.+)\.gt", n, split=split)
    read = read_turned
    if labels is None:
        labels = numbered(tree, r"(.+)\.(?:jpg|jpeg|png)\.txt", n, split=split)
        read = read_converted
    if labels is None:
        return None
    folder = next(iter(labels.values())).rpartition("/")[0]
    if read is read_converted and folder.endswith("_gts"):
        folder = folder.removesuffix("_gts") + "_images"
    images = {stem(name): name for name in tree.images if name.rpartition("/")[0] == folder}
    return page_samples(tree, images, labels, read)


def parse(tree: Tree, split: str) -> Iterator[Sample] | None:
    """Samples of ``train/`` or ``test/``, ids such as ``IMG_0059``; difficult lines are ignored."""
    return lines_of_text(tree, split, _N[split])


TD_TR = Remote(
    file="TD_TR.tar",
    urls=("https://paddleocr.bj.bcebos.com/dataset/TD_TR.tar",),
)

SPEC = Spec(
    id="td500",
    title="MSRA-TD500 (Text Detection 500), photographs",
    task="detection",
    splits=(
        SplitSpec(
            name="td500/train",
            n=_N["td500/train"],
            about="turned boxes of 1,068 lines, 101 of them difficult and ignored",
            labels=("official", "td_tr"),
            counts={"official": {"regions": 1068, "ignored": 101}},
        ),
        SplitSpec(
            name="td500/test",
            n=_N["td500/test"],
            about="turned boxes of 651 lines, 69 of them difficult and ignored",
            labels=("official", "td_tr"),
            counts={"official": {"regions": 651, "ignored": 69}},
        ),
    ),
    sources=(
        Source(
            title="the authors' archive",
            access="manual",
            splits=("td500/train", "td500/test"),
            labels="official",
            files=(Remote(file="MSRA-TD500.zip", urls=()),),
        ),
        Source(
            title="PaddleOCR's pack of TD500 and TR400",
            access="direct",
            splits=("td500/train", "td500/test"),
            labels="td_tr",
            files=(TD_TR,),
        ),
    ),
    pages=(
        "http://www.iapr-tc11.org/dataset/MSRA-TD500/MSRA-TD500.zip",
        "http://www.iapr-tc11.org/mediawiki/index.php/MSRA_Text_Detection_500_Database_(MSRA-TD500)",
        "https://huggingface.co/datasets/yunusserhat/MSRA-TD500-Dataset",
    ),
    licence="none stated by the authors (for research)",
    paper="Yao, Bai, Liu, Ma, Tu: Detecting Texts of Arbitrary Orientations in Natural Images, "
    "CVPR 2012",
    notes=(
        "Lines, not words; no texts are annotated.",
        "The authors' archive is on a plain http address and nobody published a checksum of it, so "
        "it is fetched by hand.",
        "PaddleOCR's pack holds the lines as quadrilaterals, made for DB's training; where it has "
        "as many lines it counts as official.",
        "Six training and three test photographs hold no text.",
    ),
    drop_in=("MSRA-TD500.zip", TD_TR.file),
    parse=parse,
)
