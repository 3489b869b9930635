"""SVTP (Street View Text Perspective): 645 word crops in perspective, from the photographs of SVT."""

from __future__ import annotations

from collections.abc import Iterator

from strbench.datasets import Remote, Source, Spec, SplitSpec
from strbench.datasets.hosts import DRIVE, HUB_PAGE, MMOCR, hub
from strbench.datasets.labels import join_images, leading_rows
from strbench.datasets.tree import Tree
from strbench.types import Sample


def sample_id(path: str, split: str) -> str:
    """``13_15_0_par.jpg`` whatever folder it lies in; other names stay whole."""
    last = path.rpartition("/")[2]
    return last if last.endswith("_par.jpg") else path


def parse(tree: Tree, split: str) -> Iterator[Sample] | None:
    """Samples of ``gt.txt`` (``13_15_0_par.jpg WYNDHAM``) or the authors' ``imagelist.txt``."""
    names = [n for n in tree.named("gt.txt", "imagelist.txt") if b"_par.jpg" in tree.read(n)]
    if not names:
        return None
    rows = leading_rows(tree.read(names[0]), tree.place(names[0]))
    images = join_images(tree, rows, names[0])
    return (
        Sample(sample_id(image, split), tree.read(image), row.text)
        for row, image in zip(rows, images, strict=True)
    )


SPEC = Spec(
    id="svtp",
    title="SVTP, Street View Text Perspective",
    splits=(
        SplitSpec(
            name="svtp/test",
            n=645,
            about="word crops in perspective",
            labels=("standard", "case-sensitive"),
            folders=("svtp", "svt_p_645", "svtp_645"),
        ),
    ),
    sources=(
        Source(
            title="OpenOCR LMDB",
            access="hf",
            splits=("svtp/test",),
            labels="case-sensitive",
            files=(
                Remote(
                    file="SVTP/data.mdb",
                    urls=(
                        *hub("evaluation/SVTP/data.mdb"),
                        DRIVE.format("1kckwfZkdaHG8k_FW5IIJKUaYZkF21Hza"),
                    ),
                    sha256=("50108e665d1e22a670faf06e34735d1e1a5efee7a5adb5f34088604ebd3910f8",),
                    size=2_416_640,
                ),
            ),
        ),
        Source(
            title="MMOCR's copy of the original crops",
            access="direct",
            splits=("svtp/test",),
            files=(
                Remote(
                    file="svtp.zip",
                    urls=(MMOCR + "svtp.zip",),
                    md5=("4232b46c81ba99eea6d057dcb06b8f75",),
                ),
            ),
        ),
    ),
    pages=(HUB_PAGE,),
    licence="none stated by the authors (NUS; crops of Google Street View, for research)",
    paper="Phan, Shivakumara, Tian, Tan: Recognizing Text with Perspective Distortion in Natural "
    "Scenes, ICCV 2013",
    notes=(
        "The paper counts 639 words; the files in circulation hold 645.",
        "The standard labels are upper-case. The case-sensitive relabelling also corrects words: 11 "
        "(baudm) or 27 (Jyouhou) of 645 differ after lower-casing and dropping punctuation.",
    ),
    drop_in=("svtp.zip", "gt.txt", "imagelist.txt"),
    parse=parse,
    sample_id=sample_id,
)
