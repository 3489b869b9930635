"""CUTE80: 288 word crops, most of them curved, from 80 photographs."""

from __future__ import annotations

import re
from collections.abc import Iterator

from strbench.datasets import Remote, Source, Spec, SplitSpec
from strbench.datasets.hosts import DRIVE, HUB_PAGE, MMOCR, hub
from strbench.datasets.labels import join_images, leading_rows, read_rows
from strbench.datasets.tree import Tree
from strbench.types import Sample


def sample_id(path: str, split: str) -> str:
    """``timage/001.jpg`` whatever folder it lies in; other names stay whole."""
    folder, _, last = path.rpartition("/")
    crop = re.fullmatch(r"\d{3}\.jpg", last) and folder.rpartition("/")[2] != "IMG"
    return f"timage/{last}" if crop else path


def parse(tree: Tree, split: str) -> Iterator[Sample] | None:
    """Samples of ``timage/`` with ``textrecog_test.json`` (its labels are corrected) or
    ``test_label.txt`` (``timage/001.jpg RONALDO 1 RONALDO``).
    """
    if names := tree.named("textrecog_test.json"):
        rows = read_rows(tree.read(names[0]), tree.place(names[0]))
    elif names := tree.named("test_label.txt"):
        rows = leading_rows(tree.read(names[0]), tree.place(names[0]))
    else:
        return None
    images = join_images(tree, rows, names[0])
    return (
        Sample(sample_id(image, split), tree.read(image), row.text)
        for row, image in zip(rows, images, strict=True)
    )


_CROPS = Remote(
    file="timage.tar.gz",
    urls=(MMOCR + "mixture/ct80/timage.tar.gz",),
    md5=("9f3b1fe0e76f1fdfc70de3a365603d5e",),
)

SPEC = Spec(
    id="cute80",
    title="CUTE80",
    splits=(
        SplitSpec(
            name="cute80/test",
            n=288,
            about="word crops, most of them curved",
            labels=("standard", "case-sensitive"),
            folders=("cute80", "cute80_288", "ct80"),
        ),
    ),
    sources=(
        Source(
            title="OpenOCR LMDB",
            access="hf",
            splits=("cute80/test",),
            labels="case-sensitive",
            files=(
                Remote(
                    file="CUTE80/data.mdb",
                    urls=(
                        *hub("evaluation/CUTE80/data.mdb"),
                        DRIVE.format("1Zv_91c81tinLy5Je89HPr-5wUSnqXKIB"),
                    ),
                    sha256=("4bd38d4ecdb25fd1b8584ee0cad07bf57bfb087ede68178a24a9e9b56ce65e0c",),
                    size=4_083_712,
                ),
            ),
        ),
        Source(
            title="MMOCR's copy of the original crops, corrected labels",
            access="direct",
            splits=("cute80/test",),
            files=(
                _CROPS,
                Remote(
                    file="textrecog_test.json",
                    urls=(MMOCR + "1.x/recog/ct80/textrecog_test.json",),
                    md5=("9c5c79d843b900325e7fd453b318cad9",),
                ),
            ),
        ),
        Source(
            title="MMOCR's copy of the original crops, first labels",
            access="direct",
            splits=("cute80/test",),
            files=(
                _CROPS,
                Remote(
                    file="test_label.txt",
                    urls=(MMOCR + "mixture/ct80/test_label.txt",),
                    md5=("f679dec62916d3268aff9cd81990d260",),
                ),
            ),
        ),
    ),
    pages=(HUB_PAGE,),
    licence="none stated by the authors (University of Malaya; for research)",
    paper="Risnumawan, Shivakumara, Chan, Tan: A Robust Arbitrary Text Detection System for Natural "
    "Scene Images, Expert Systems with Applications 41(18), 2014",
    notes=(
        'GroundTruth.xml of the detection set (192 images, 466 polygons) has the text "test" in '
        "every polygon and cannot label words.",
    ),
    drop_in=("timage.tar.gz", "textrecog_test.json", "test_label.txt"),
    parse=parse,
    sample_id=sample_id,
)
