"""IIIT5K-Words: 2,000 training and 3,000 test crops found by web image search."""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Iterator

from strbench.annotations.rows import fault
from strbench.datasets import Remote, Source, Spec, SplitSpec
from strbench.datasets.hosts import DRIVE, HUB_PAGE, hub
from strbench.datasets.labels import Row, join_images, read_rows
from strbench.datasets.tree import Tree
from strbench.errors import StrbenchError
from strbench.types import Sample


def sample_id(path: str, split: str) -> str:
    """``test/1002_1.png`` whatever folder it lies in; other names stay whole."""
    last = path.rpartition("/")[2]
    if re.fullmatch(r"\d+_\d+\.png", last):
        return f"{split.partition('/')[2]}/{last}"
    return path


def group(id_: str) -> str | None:
    """The first number of ``test/1002_1.png``: words that share it are from one picture."""
    match = re.fullmatch(r"(?:train|test)/(\d+)_\d+\.png", id_)
    return match[1] if match else None


def mat_rows(data: bytes, variable: str, field: str, place: str) -> list[Row]:
    """The rows of a MATLAB struct array with the fields ImgName and ``field``.

    ``traindata.mat`` and ``testdata.mat`` keep the labels in GroundTruth, ``trainCharBound.mat`` and
    ``testCharBound.mat`` in chars. ImgName has the folder already ("test/1002_1.png").

    Raises:
        StrbenchError: scipy is absent, or the file is damaged or another one.
    """
    try:
        from scipy.io import loadmat
        from scipy.io.matlab import MatReadError
    except ImportError as error:
        raise StrbenchError(
            f"{place} is a MATLAB file and scipy is not installed.",
            hint="pip install 'strbench[mat]'",
        ) from error
    try:
        records = loadmat(io.BytesIO(data), squeeze_me=True, struct_as_record=True)[variable]
        names, texts = records["ImgName"].tolist(), records[field].tolist()
    except (MatReadError, ValueError, TypeError, KeyError, OSError, zlib.error) as error:
        raise fault(
            f"{place}: expected the struct {variable} with ImgName and {field} ({error}).",
            "The file is damaged or another one: fetch the archive again.",
        ) from error
    pairs = zip(names, texts, strict=True)
    return [Row(str(name), str(text), i) for i, (name, text) in enumerate(pairs, 1)]


def parse(tree: Tree, split: str) -> Iterator[Sample] | None:
    """Samples of ``traindata.mat`` or ``testdata.mat``, else ``train.tags``, else CharBound."""
    part = split.partition("/")[2]
    if names := tree.named(f"{part}data.mat"):
        rows = mat_rows(tree.read(names[0]), f"{part}data", "GroundTruth", tree.place(names[0]))
    elif names := tree.named(f"{part}.tags"):
        rows = read_rows(tree.read(names[0]), tree.place(names[0]))
    elif names := tree.named(f"{part}CharBound.mat"):
        rows = mat_rows(tree.read(names[0]), f"{part}CharBound", "chars", tree.place(names[0]))
    else:
        return None
    images = join_images(tree, rows, names[0])
    return (
        Sample(id_, tree.read(image), row.text, group(id_))
        for row, image in zip(rows, images, strict=True)
        for id_ in [sample_id(image, split)]
    )


SPEC = Spec(
    id="iiit5k",
    title="IIIT5K-Words",
    splits=(
        SplitSpec(
            name="iiit5k/train",
            n=2000,
            about="the official training crops",
            labels=("standard", "case-sensitive"),
            folders=("iiit5k_train",),
        ),
        SplitSpec(
            name="iiit5k/test",
            n=3000,
            about="the official test crops",
            labels=("standard", "case-sensitive"),
            folders=("iiit5k", "iiit5k_3000", "iiit5k_test"),
        ),
    ),
    sources=(
        Source(
            title="OpenOCR LMDB",
            access="hf",
            splits=("iiit5k/test",),
            labels="case-sensitive",
            files=(
                Remote(
                    file="IIIT5k/data.mdb",
                    urls=(
                        *hub("evaluation/IIIT5k/data.mdb"),
                        DRIVE.format("1PJ9_IvIGZTS5hHdGLnpKuYKZcCO8jE0E"),
                    ),
                    sha256=("82055b5c4b8d8ed37d5ed5bf9d3f0cb53da8a6bb67b615ab0f5a3ed33830a69a",),
                    size=51_793_920,
                ),
            ),
        ),
        Source(
            title="the authors' archive",
            access="direct",
            splits=("iiit5k/train", "iiit5k/test"),
            files=(
                Remote(
                    file="IIIT5K-Word_V3.0.tar.gz",
                    urls=(
                        "https://cvit.iiit.ac.in/images/Projects/SceneTextUnderstanding/"
                        "IIIT5K-Word_V3.0.tar.gz",
                        "https://cdn.iiit.ac.in/cdn/cvit.iiit.ac.in/images/Projects/"
                        "SceneTextUnderstanding/IIIT5K-Word_V3.0.tar.gz",
                        "http://cvit.iiit.ac.in/projects/SceneTextUnderstanding/"
                        "IIIT5K-Word_V3.0.tar.gz",
                    ),
                    sha256=(  # as docTR prints it
                        "7872c9efbec457eb23f3368855e7738f72ce10927f52a382deb4966ca0ffa38e",
                    ),
                    md5=("56781bc327d22066aa1c239ee788fd46",),  # as MMOCR prints it
                ),
            ),
        ),
    ),
    pages=(
        "https://cvit.iiit.ac.in/research/projects/cvit-projects/the-iiit-5k-word-dataset",
        HUB_PAGE,
    ),
    licence="none stated by the authors (CVIT, IIIT Hyderabad; for research)",
    paper="Mishra, Alahari, Jawahar: Scene Text Recognition using Higher Order Language Priors, "
    "BMVC 2012",
    notes=(
        "The official labels are letters and digits only; the case-sensitive relabelling puts "
        "punctuation and spaces back and corrects words: 22 (baudm) or 35 (Jyouhou) of the 3,000 "
        "test labels differ after lower-casing and dropping punctuation.",
        "GroundTruth is upper-case; chars in the CharBound files is in mixed case.",
    ),
    drop_in=(
        "IIIT5K-Word_V3.0.tar.gz",
        "traindata.mat",
        "testdata.mat",
        "train.tags",
        "test.tags",
    ),
    parse=parse,
    sample_id=sample_id,
    group=group,
)
