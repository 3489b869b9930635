"""ICDAR 2017 MLT: photographs with quadrilaterals of words in nine languages, and their scripts."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from strbench.annotations.boxes import read_boxes
from strbench.annotations.rows import fault
from strbench.datasets import Remote, Source, Spec, SplitSpec
from strbench.datasets.hosts import CVC, RRC
from strbench.datasets.pages import numbered, page_samples
from strbench.datasets.tree import Tree, stem
from strbench.types import Sample

_N = {"mlt17/train": 7200, "mlt17/val": 1800}


def parse(tree: Tree, split: str) -> Iterator[Sample] | None:
    """Samples of ``img_N`` with ``gt_img_N.txt``; the training photographs lie in eight archives.

    Quadrilaterals run clockwise from the upper left; the tag ``script`` is as annotated. ``###`` marks
    what is ignored.
    """
    labels = numbered(tree, r"gt_(img_\d+)\.txt", _N[split], split=split)
    if labels is None:
        return None
    images = _photographs(tree, split)
    read = partial(read_boxes, layout="quad-script")
    ordered = {key: images.pop(key) for key in labels if key in images}
    return page_samples(tree, {**ordered, **images}, labels, read)


def _photographs(tree: Tree, split: str) -> dict[str, str]:
    """Key -> photograph, of all folders with the split in their names, else of all folders.

    Raises:
        StrbenchError: two photographs have one name.
    """
    part = split.partition("/")[2]
    own = [name for name in tree.images if part in name.rpartition("/")[0].lower()]
    images: dict[str, str] = {}
    for name in own or tree.images:
        if images.setdefault(stem(name), name) != name:
            raise fault(
                f"{tree.shown}: {images[stem(name)]} and {name} may both be {stem(name)}.",
                f"Name the files of the split: strbench data import {split} PATH ...",
            )
    return images


TRAIN_IMAGES = tuple(
    Remote(
        file=f"ch8_training_images_{number}.zip",
        urls=(CVC + f"ch8_training_images_{number}.zip",),
        md5=(md5,),
    )
    for number, md5 in enumerate(
        (
            "7b26e10d949c00fb4411f40b4f1fce6e",
            "e992fb5a7621dd6329081a73e52a28e1",
            "044ea5fb1dcec8bbb874391c517b55ff",
            "344a657c1cc7cbb150547f1c76b5cc8e",
            "5c7ac0158e7189c0a634eaf7bdededc5",
            "3b479255a96d255680f51005b5232bac",
            "faa033fb9d2922d747bad9b0692c992e",
            "db8afa59ae520757151f6ce5acd489ef",
        ),
        1,
    )
)
_TRAIN_TRUTH = Remote(
    file="ch8_training_localization_transcription_gt_v2.zip",
    urls=(CVC + "ch8_training_localization_transcription_gt_v2.zip",),
    md5=("2c9c3de30b5615f6846738bbd336c988",),
)
VAL_IMAGES = Remote(
    file="ch8_validation_images.zip",
    urls=(RRC + "ch8_validation_images.zip",),
    md5=("3cfc7b440ab81b89a981d707786dbe83",),
)
_VAL = (
    VAL_IMAGES,
    Remote(
        file="ch8_validation_localization_transcription_gt_v2.zip",
        urls=(RRC + "ch8_validation_localization_transcription_gt_v2.zip",),
        md5=("ecae7d433e6f103bb31e00d37254009c",),
    ),
)

SPEC = Spec(
    id="mlt17",
    title="ICDAR 2017 MLT (Multi-Lingual Scene Text), photographs",
    task="detection",
    splits=(
        SplitSpec(
            name="mlt17/train",
            n=_N["mlt17/train"],
            about="quadrilaterals of words in nine languages, corrected ground truth",
            labels=("v2",),
        ),
        SplitSpec(
            name="mlt17/val",
            n=_N["mlt17/val"],
            about="quadrilaterals of words in nine languages, corrected ground truth",
            labels=("v2",),
        ),
    ),
    sources=(
        Source(
            title="the competition's training set",
            access="direct",
            splits=("mlt17/train",),
            labels="v2",
            files=(*TRAIN_IMAGES, _TRAIN_TRUTH),
        ),
        Source(
            title="the competition's validation set",
            access="direct",
            splits=("mlt17/val",),
            labels="v2",
            files=_VAL,
        ),
    ),
    pages=("https://rrc.cvc.uab.es/?ch=8&com=downloads",),
    licence="CC BY 4.0 (Robust Reading Competition, challenge 8; free registration)",
    paper="Nayef et al.: ICDAR2017 Robust Reading Challenge on Multi-Lingual Scene Text Detection "
    "and Script Identification, ICDAR 2017",
    notes=(
        "The ground truth of the 9,000 test photographs is not public: results are sent to the "
        "competition's site.",
        "The training photographs are about 5.8 GB in eight archives; some are PNG or GIF.",
        "Scripts: Latin, Arabic, Bangla, Chinese, Japanese, Korean, Symbols, Mixed, None.",
        "EXIF orientation must not be applied.",
    ),
    drop_in=tuple(remote.file for remote in (*TRAIN_IMAGES, _TRAIN_TRUTH, *_VAL)),
    parse=parse,
)
