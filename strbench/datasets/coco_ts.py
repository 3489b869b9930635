"""COCO_TS: text masks of COCO-Text photographs, made by weak supervision from their boxes."""

from __future__ import annotations

from collections.abc import Iterator

from strbench.annotations.coco import read_cocotext
from strbench.annotations.rows import fault
from strbench.datasets import Remote, Source, Spec, SplitSpec
from strbench.datasets.cocotext_det import TRAIN2014
from strbench.datasets.joining import check_twins
from strbench.datasets.tree import Tree, natural
from strbench.types import Sample

_STEM = "COCO_train2014_"
_LIST = "cocotext.v2.json"


def parse(tree: Tree, split: str) -> Iterator[Sample] | None:
    """Samples of ``COCO_train2014_N.jpg`` and ``COCO_train2014_N.png``.

    ``cocotext.v2.json`` says which photographs are of the training set and which of the validation
    set; all of them lie in COCO's train2014.
    """
    from strbench.annotations.label_images import WEAK_VALUES
    from strbench.datasets.pairs import level_reader, masked_samples

    masks: dict[str, str] = {}
    images: dict[str, str] = {}
    for name in tree.images:
        last = name.rpartition("/")[2]
        stem, _, suffix = last.rpartition(".")
        if last.startswith(_STEM):
            side = masks if suffix.lower() == "png" else images
            if stem in side:
                raise fault(f"{tree.shown}: {side[stem]} and {name} have one name.")
            side[stem] = name
    lists = tree.named(_LIST)
    if not masks or not lists:
        return None
    pages = read_cocotext(tree.read(lists[0]), tree.place(lists[0]))
    parts = {file.rpartition(".")[0]: page.part for file, page in pages.items()}
    check_twins(tree, masks, parts, f"masks of photographs that {_LIST} does not name")
    part = split.partition("/")[2]
    chosen = {s: masks[s] for s in sorted(masks, key=natural) if parts[s] == part}
    return masked_samples(tree, images, chosen, level_reader(WEAK_VALUES))


_SPLITS = ("coco_ts/train", "coco_ts/val")

SPEC = Spec(
    id="coco_ts",
    title="COCO_TS, text segmentation of COCO-Text photographs",
    task="segmentation",
    raw="cocotext",
    splits=tuple(
        SplitSpec(
            name=name,
            n=0,
            about=f"photographs of COCO-Text's {name.partition('/')[2]} set that have a mask",
            labels=("official",),
        )
        for name in _SPLITS
    ),
    sources=(
        Source(
            title="the authors' masks, photographs of COCO",
            access="manual",
            splits=_SPLITS,
            labels="official",
            files=(
                TRAIN2014,
                Remote(
                    file="cocotext.v2.zip",
                    urls=(
                        "https://github.com/bgshih/cocotext/releases/download/dl/cocotext.v2.zip",
                    ),
                    md5=("5e39f7d6f2f11324c6451e63523c440c",),
                ),
                Remote(file="COCO_TS_labels.zip", urls=(), note="19.1 MB"),
            ),
        ),
    ),
    pages=("http://clem.diism.unisi.it/~coco_ts/download_coco_ts.php",),
    licence="CC BY 4.0 (masks); photographs under the terms of COCO and Flickr",
    paper="Bonechi, Andreini, Bianchini, Scarselli: COCO_TS Dataset: Pixel-Level Annotations Based "
    "on Weak Supervision for Scene Text Segmentation, ICANN 2019",
    notes=(
        "14,690 masks in all; how many are of either part is not published.",
        "Masks come from boxes by a trained network: 255 is where it was uncertain.",
        "COCO's train2014 holds the photographs of both parts.",
    ),
    drop_in=("COCO_TS_labels.zip", "cocotext.v2.zip", _LIST, TRAIN2014.file),
    parse=parse,
)
