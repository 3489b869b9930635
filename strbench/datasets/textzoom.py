"""TextZoom: words photographed at two focal lengths, as pairs of low and high resolution."""

from __future__ import annotations

import re
from collections.abc import Iterator

from strbench.annotations.rows import fault
from strbench.datasets import Remote, Source, Spec, SplitSpec
from strbench.datasets.hosts import DRIVE
from strbench.datasets.tree import Tree
from strbench.types import Sample

_TRAIN_PARTS = ("train1", "train2")


def parse(tree: Tree, split: str) -> Iterator[Sample] | None:
    """Samples of ``train1`` and ``train2``, one after the other; the test sets are one LMDB each."""
    if split != "textzoom/train":
        return None
    found = [path for path in tree.lmdbs if path.name.lower() in _TRAIN_PARTS]
    if not found:
        return None
    if [path.name.lower() for path in found] != list(_TRAIN_PARTS):
        names = ", ".join(str(path) for path in found)
        raise fault(
            f"{tree.shown}: expected the LMDBs train1 and train2, found {names}.",
            "Import the folder that holds the two: strbench data import textzoom/train PATH",
        )
    from strbench.datasets.plans import unprepared
    from strbench.store import count_samples

    parts = [
        unprepared(split, path, count_samples(path), "super-resolution", labels="official")
        for path in found
    ]
    return (
        sample._replace(id=f"{part.directory.name.lower()}/{sample.id}")
        for part in parts
        for sample in part.samples()
    )


def sample_id(path: str, split: str) -> str:
    """``000000001`` of ``image_hr-000000001.png``, the id it has in the LMDB; others stay whole."""
    match = re.search(r"(?:(train[12])/)?image_hr-(\d{9})\.\w+$", path)
    if match is None:
        return path
    return f"{match[1]}/{match[2]}" if match[1] else match[2]


def _test(name: str, n: int, about: str) -> SplitSpec:
    return SplitSpec(
        name=f"textzoom/test_{name}",
        n=n,
        about=about,
        labels=("official",),
        folders=(name, f"test_{name}"),
    )


def _drive(name: str, key: str) -> Source:
    return Source(
        title="the authors' LMDB",
        access="gdrive",
        splits=(f"textzoom/test_{name}",),
        labels="official",
        files=(Remote(file=f"test/{name}/data.mdb", urls=(DRIVE.format(key),)),),
    )


SPEC = Spec(
    id="textzoom",
    title="TextZoom, text super-resolution",
    task="super-resolution",
    splits=(
        SplitSpec(
            name="textzoom/train",
            n=17_367,
            about="train1 and train2 joined",
            labels=("official",),
            folders=("train",),
        ),
        _test("easy", 1619, "words of RealSR's photographs"),
        _test("medium", 1411, "words of SR-RAW's photographs at longer focal lengths"),
        _test("hard", 1343, "words of SR-RAW's photographs at shorter focal lengths"),
    ),
    sources=(
        _drive("easy", "1PHaoh-VdLBk1NgjsNag21rSpQeJKpurr"),
        _drive("medium", "1KOAisCLPcw4cuar7d2GHNJQpfYijjcFB"),
        _drive("hard", "1751l97_mFPf0G-C9PeNiVlzNttUrsCUD"),
        Source(
            title="the authors' two LMDBs of training pairs",
            access="manual",
            splits=("textzoom/train",),
            labels="official",
            files=tuple(Remote(file=f"{part}/data.mdb", urls=()) for part in _TRAIN_PARTS),
        ),
    ),
    pages=(
        "https://drive.google.com/drive/folders/1WRVy-fC_KrembPkaI68uqQ9wyaptibMh",
        "https://pan.baidu.com/s/1PYdNqo0GIeamkYHXJmRlDw",  # password kybq
    ),
    licence="none stated by the authors (made from RealSR and SR-RAW; for research)",
    paper="Wang, Xie, Liu, Wang, Liang, Shen, Bai: Scene Text Image Super-Resolution in the Wild, "
    "ECCV 2020",
    notes=(
        "Images have the size of their crops; readers resize HR to 128 x 32 and LR to 64 x 16 pixels, "
        "bicubic. In test_easy the two of a pair are of one size (counted).",
        "Two labels of test_easy are empty: pairs 892 and 893 (counted).",
        "Labels are case-sensitive and hold punctuation.",
        "The authors chose checkpoints by their accuracy on the three test sets; there is no "
        "validation set.",
        "The password of the Baidu page is kybq.",
    ),
    drop_in=(
        "train1/data.mdb",
        "train2/data.mdb",
        "test/easy/data.mdb",
        "test/medium/data.mdb",
        "test/hard/data.mdb",
    ),
    parse=parse,
    sample_id=sample_id,
)
