"""TextOCR, words: arbitrary text in 25,000 photographs of Open Images, cut to word boxes."""

from __future__ import annotations

from collections.abc import Iterator

from strbench.annotations.coco import read_textocr
from strbench.datasets import Remote, Source, Spec, SplitSpec
from strbench.datasets.hosts import DRIVE
from strbench.datasets.passes import cut_listed
from strbench.datasets.tree import Tree, stem
from strbench.types import Sample

_HOST = "https://dl.fbaipublicfiles.com/textvqa/"
_MD5 = {"train": "0f8ba1beefd2ca4d08a4f82bcbe6cfb4", "val": "fb151383ea7b3c530cde9ef0d5c08347"}


def parse(tree: Tree, split: str) -> Iterator[Sample] | None:
    """Words of ``TextOCR_0.1_train.json`` or ``..._val.json``, cut by the rule of PARSeq.

    The photographs of both lie in ``train_images/``; the JSON calls that folder ``train``.
    """
    dataset, _, part = split.partition("/")
    names = tree.named(f"TextOCR_0.1_{part}.json")
    if dataset != "textocr" or not names:
        return None
    place = tree.place(names[0])
    pages = read_textocr(tree.read(names[0]), place, outline="box")
    regions = {stem(name): page.regions for name, page in pages.items()}
    return cut_listed(tree, regions, place, part="train", crop="box-parseq", keep="parseq-textocr")


SPEC = Spec(
    id="textocr",
    title="TextOCR, words",
    raw="textocr",
    splits=(
        SplitSpec(name="textocr/train", n=0, about="legible words of 21,778 photographs"),
        SplitSpec(name="textocr/val", n=0, about="legible words of 3,124 photographs"),
        SplitSpec(
            name="textocr_horizontal/train",
            n=0,
            about="PARSeq's copy with words turned upright",
        ),
        SplitSpec(
            name="textocr_horizontal/val",
            n=0,
            about="PARSeq's copy with words turned upright",
        ),
        SplitSpec(
            name="textocr_dig/train",
            n=0,
            about="DiG's LMDB, the larger part of its labelled real data (ARD) is openvino_dig",
        ),
    ),
    sources=(
        *(
            Source(
                title="the authors' files, words cut here",
                access="direct",
                splits=(f"textocr/{part}",),
                files=(
                    Remote(
                        file=f"TextOCR_0.1_{part}.json",
                        urls=(f"{_HOST}data/textocr/TextOCR_0.1_{part}.json",),
                        md5=(md5,),
                    ),
                    Remote(
                        file="train_val_images.zip",
                        urls=(f"{_HOST}images/train_val_images.zip",),
                        md5=("d12dd8098899044e4ae1af34db7ecfef",),
                    ),
                ),
            )
            for part, md5 in _MD5.items()
        ),
        *(
            Source(
                title="OpenOCR LMDB",
                access="gdrive",
                splits=(split,),
                files=(Remote(file=f"{split.replace('/', '_')}.zip", urls=(DRIVE.format(key),)),),
            )
            for split, key in (
                ("textocr/train", "1jVjJFno4pnsU0Cp_kn4MIXQrChmELy92"),
                ("textocr/val", "1ubIRu01MXIek6OvInu-XjaIbw6277-vw"),
                ("textocr_horizontal/train", "1sWH6J11xbjQb8SH7fdG_8mIKVI81ZQy5"),
                ("textocr_horizontal/val", "1gIE-AU2o-5hvg288-bjphO6UkI5AEQ2d"),
            )
        ),
        Source(
            title="DiG's LMDB",
            access="manual",
            splits=("textocr_dig/train",),
            files=(
                Remote(
                    file="textocr_dig/data.mdb",
                    urls=(),
                    note="https://1drv.ms/u/s!AgwG2MwdV23ckOdQdd4YekGsOUXGbw?e=qlbQRT",
                ),
            ),
        ),
    ),
    pages=(
        "https://textvqa.org/textocr/dataset/",
        "https://huggingface.co/datasets/yunusserhat/TextOCR-Dataset",
    ),
    licence="CC BY 4.0 (annotations); photographs of Open Images, CC BY 2.0",
    paper="Singh, Pang, Toh, Huang, Galuba, Hassner: TextOCR: Towards Large-Scale End-to-End Reasoning "
    "for Arbitrary-Shaped Scene Text, CVPR 2021",
    notes=(
        'A text of "." marks an illegible word; these are left out. The authors print 714,770 and '
        "107,802 words.",
        "Boxes are x, y, width, height, x and y rounded down and the sides up; words are not turned.",
        "Open Images' rotation and EXIF orientation are not applied.",
        "Crops are written as JPEG of quality 95.",
    ),
    drop_in=("TextOCR_0.1_train.json", "TextOCR_0.1_val.json", "train_val_images.zip"),
    parse=parse,
)
