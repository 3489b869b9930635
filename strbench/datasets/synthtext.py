"""SynthText, words: 7.3 million rendered words cut out of 858,750 photographs."""

from __future__ import annotations

from collections.abc import Iterator

from strbench.datasets import Remote, Source, Spec, SplitSpec
from strbench.datasets.cutting import cut_pages
from strbench.datasets.hosts import DRIVE
from strbench.datasets.synthtext_det import ARCHIVE
from strbench.datasets.synthtext_det import parse as photographs
from strbench.datasets.tree import Tree
from strbench.types import Sample


def parse(tree: Tree, split: str) -> Iterator[Sample] | None:
    """Words cut out of the photographs of ``SynthText.zip``, in the order of ``gt.mat``.

    Upright boxes with each side to the nearest whole pixel, none of a word that reaches out; labels with
    their punctuation. Words of a photograph whose words and boxes differ in number are left out.
    """
    if split != "synthtext/train":
        return None
    pictures = photographs(tree, "synthtext_det/train")
    if pictures is None:
        return None
    return cut_pages(pictures, crop="box-round", keep="all", encode="jpeg")


SPEC = Spec(
    id="synthtext",
    title="SynthText (ST), rendered words",
    raw="synthtext",
    splits=(
        SplitSpec(
            name="synthtext/train",
            n=0,
            about="every word with its punctuation, cut by the rule of ABINet and PARSeq",
        ),
        SplitSpec(
            name="synthtext_clovaai/train",
            n=5_522_808,
            about="clovaai's ST: letters and digits only",
            folders=("st",),
        ),
    ),
    sources=(
        Source(
            title="the authors' archive, words cut here",
            access="direct",
            splits=("synthtext/train",),
            files=(ARCHIVE,),
        ),
        Source(
            title="OpenOCR LMDB",
            access="gdrive",
            splits=("synthtext/train",),
            files=(
                Remote(file="ST.zip", urls=(DRIVE.format("1T-enqkq6_l2HqrsV3da_h0oJ7CUKu_oc"),)),
            ),
        ),
        Source(
            title="clovaai's pack",
            access="manual",
            splits=("synthtext_clovaai/train",),
            files=(
                Remote(
                    file="data_lmdb_release.zip",
                    urls=(),
                    note="https://pan.baidu.com/s/1KSNLv4EY3zFWHpBYlpFCBQ, password rryk",
                ),
            ),
        ),
    ),
    pages=(
        "https://www.robots.ox.ac.uk/~vgg/data/scenetext/",
        "https://github.com/clovaai/deep-text-recognition-benchmark",
        "https://academictorrents.com/details/2dba9518166cbd141534cbf381aa3e99a087e83c",
    ),
    licence="VGG, University of Oxford: for non-commercial research",
    paper="Gupta, Vedaldi, Zisserman: Synthetic Data for Text Localisation in Natural Images, CVPR 2016",
    notes=(
        "About 7.27 million words are annotated; how many of them lie in their photographs is "
        "counted here, not asserted. The count of clovaai's ST is the one that MindOCR's "
        "documentation prints; no rule is published that gives just these words.",
        "The archive (41 GB) is read where it lies and never unpacked; the list of its files takes "
        "1.2 GB of memory, gt.mat is read a photograph at a time.",
        "Crops are written as JPEG of quality 95; lossless they would need four times the disk.",
    ),
    drop_in=("SynthText.zip", "gt.mat", "data_lmdb_release.zip"),
    parse=parse,
)
