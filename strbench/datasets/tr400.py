"""HUST-TR400: 400 more training photographs in the manner of MSRA-TD500."""

from __future__ import annotations

from collections.abc import Iterator

from strbench.datasets import Remote, Source, Spec, SplitSpec
from strbench.datasets.td500 import TD_TR, lines_of_text
from strbench.datasets.tree import Tree
from strbench.types import Sample

_N = 400


def parse(tree: Tree, split: str) -> Iterator[Sample] | None:
    """Samples of ``NAME.jpg`` with ``NAME.gt``; difficult lines are ignored."""
    return lines_of_text(tree, split, _N)


SPEC = Spec(
    id="tr400",
    title="HUST-TR400 (Text Recognition 400), photographs",
    task="detection",
    raw="td500",
    splits=(
        SplitSpec(
            name="tr400/train",
            n=_N,
            about="turned boxes of lines, added to MSRA-TD500 for training",
            labels=("official",),
        ),
    ),
    sources=(
        Source(
            title="the authors' archive",
            access="direct",
            splits=("tr400/train",),
            labels="official",
            files=(
                Remote(
                    file="HUST-TR400.zip",
                    urls=(
                        "http://mclab.eic.hust.edu.cn/UpLoadFiles/dataset/HUST-TR400.zip",
                        "http://mc.eistar.net/UpLoadFiles/dataset/HUST-TR400.zip",
                    ),
                    md5=("f11d974da7f39c7d09addb750baa4e1a",),
                ),
            ),
        ),
        Source(
            title="PaddleOCR's pack of TD500 and TR400",
            access="direct",
            splits=("tr400/train",),
            labels="official",
            files=(TD_TR,),
        ),
    ),
    pages=("http://mclab.eic.hust.edu.cn/UpLoadFiles/dataset/HUST-TR400.zip",),
    licence="none stated by the authors (for research)",
    paper="Yao, Bai, Liu: A Unified Framework for Multi-Oriented Text Detection and Recognition, "
    "IEEE Transactions on Image Processing 2014",
    notes=(
        "The encoding of the texts is not stated; what is not UTF-8 in them reads as U+FFFD.",
        "The hosts of the authors' archive are old and may not answer.",
    ),
    drop_in=("HUST-TR400.zip", TD_TR.file),
    parse=parse,
)
