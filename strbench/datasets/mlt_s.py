"""MLT_S: text masks of photographs of ICDAR 2017 MLT, made by weak supervision from their boxes."""

from __future__ import annotations

import re
from collections.abc import Iterator

from strbench.annotations.rows import fault
from strbench.datasets import Remote, Source, Spec, SplitSpec
from strbench.datasets.mlt17 import TRAIN_IMAGES, VAL_IMAGES
from strbench.datasets.tree import Tree
from strbench.types import Sample

_PARTS = {"train": "training", "val": "validation"}


def parse(tree: Tree, split: str) -> Iterator[Sample] | None:
    """Samples of ``img_N.jpg`` (or png, gif) and ``training_labels/img_N.png``.

    Training and validation set both count from img_1: the folder, or the archive, tells them apart.
    Photographs without a mask are left out.
    """
    from strbench.annotations.label_images import WEAK_VALUES
    from strbench.datasets.pairs import level_reader, masked_samples

    part = _PARTS[split.partition("/")[2]]
    masks: dict[str, str] = {}
    images: dict[str, str] = {}
    for name in tree.images:
        folder, _, last = name.lower().rpartition("/")
        match = re.fullmatch(r"(img_\d+)\.(?:jpg|jpeg|png|gif)", last)
        if match and part in folder:
            side = masks if folder.endswith(f"{part}_labels") else images
            if match[1] in side:
                raise fault(f"{tree.shown}: {side[match[1]]} and {name} have one name.")
            side[match[1]] = name
    return masked_samples(tree, images, masks, level_reader(WEAK_VALUES)) if masks else None


_MASKS = Remote(file="MLT_S_labels.zip", urls=(), note="102 MB")


SPEC = Spec(
    id="mlt_s",
    title="MLT_S, text segmentation of photographs of ICDAR 2017 MLT",
    task="segmentation",
    raw="mlt17",
    splits=(
        SplitSpec(
            name="mlt_s/train",
            n=5540,
            about="of the 7,200 training photographs",
            labels=("official",),
        ),
        SplitSpec(
            name="mlt_s/val",
            n=1356,
            about="of the 1,800 validation photographs",
            labels=("official",),
        ),
    ),
    sources=(
        Source(
            title="the authors' masks, the competition's training photographs",
            access="manual",
            splits=("mlt_s/train",),
            labels="official",
            files=(_MASKS, *TRAIN_IMAGES),
        ),
        Source(
            title="the authors' masks, the competition's validation photographs",
            access="manual",
            splits=("mlt_s/val",),
            labels="official",
            files=(_MASKS, VAL_IMAGES),
        ),
    ),
    pages=(
        "http://clem.diism.unisi.it/~coco_ts/download_mlt_s.php",
        "https://rrc.cvc.uab.es/?ch=8&com=downloads",
    ),
    licence="CC BY 4.0 (masks; photographs under the terms of the Robust Reading Competition)",
    paper="Bonechi, Bianchini, Scarselli, Andreini: Weak Supervision for Generating Pixel-Level "
    "Annotations in Scene Text Segmentation, Pattern Recognition Letters 2020",
    notes=(
        "Masks come from boxes by a trained network: 255 is where it was uncertain.",
        "Some photographs are GIF and PNG.",
        "EXIF orientation must not be applied.",
    ),
    drop_in=(_MASKS.file, *(r.file for r in TRAIN_IMAGES), VAL_IMAGES.file),
    parse=parse,
)
