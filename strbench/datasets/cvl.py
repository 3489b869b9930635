"""CVL: words of handwriting by 310 writers, the text of each in its file name."""

from __future__ import annotations

import re
from collections.abc import Iterator

from strbench.annotations.rows import fault
from strbench.datasets import Remote, Source, Spec, SplitSpec
from strbench.datasets.tree import Tree
from strbench.types import Sample

_FOLDER = {"cvl/train": "trainset", "cvl/test": "testset"}
# Writer, text, line, word and what it says, e.g. 0053-1-0-0-Imagine
_NAME = re.compile(r"(\d+-\d+)-\d+-\d+-(.*)", re.ASCII | re.DOTALL)


def sample_id(path: str, split: str) -> str:
    """``0053-1-0-0-Imagine`` whatever folder it lies in."""
    return path.rpartition("/")[2].rpartition(".")[0]


def group(id_: str) -> str | None:
    """The page: writer and text, ``0053-1`` of ``0053-1-0-0-Imagine``."""
    match = _NAME.fullmatch(id_)
    return match[1] if match else None


def parse(tree: Tree, split: str) -> Iterator[Sample] | None:
    """Samples of ``trainset/words/`` or ``testset/words/``, in natural order of their names.

    Words without a text are left out, and so are words with letters beyond ASCII: the umlauts of the
    German page, whose encoding differs from archive to archive. DiG leaves out the same words.
    """
    within = re.compile(rf"(?:.*/)?{_FOLDER[split]}/words/.*\.tiff?", re.IGNORECASE | re.DOTALL)
    names = [name for name in tree.images if within.fullmatch(name)]
    return _samples(tree, split, names) if names else None


def _samples(tree: Tree, split: str, names: list[str]) -> Iterator[Sample]:
    for name in names:
        id_ = sample_id(name, split)
        match = _NAME.fullmatch(id_)
        if match is None:
            raise fault(
                f"{tree.place(name)}: expected a name like 0053-1-0-0-Imagine.tif, which says what "
                "is written.",
                "Bring the words as the archive has them.",
            )
        if match[2] and match[2].isascii():
            yield Sample(id_, tree.read(name), match[2], match[1])


SPEC = Spec(
    id="cvl",
    title="CVL Database, words",
    splits=(
        SplitSpec(
            name="cvl/train",
            n=0,
            about="words of 27 writers, seven pages each",
            folders=("CVL_train",),
        ),
        SplitSpec(
            name="cvl/test",
            n=0,
            about="words of 283 writers, five pages each",
            folders=("CVL_test",),
        ),
    ),
    sources=(
        Source(
            title="the authors' archive on Zenodo",
            access="direct",
            splits=("cvl/train", "cvl/test"),
            files=(
                Remote(
                    file="cvl-database-1-1.zip",
                    urls=(
                        "https://zenodo.org/records/1492267/files/cvl-database-1-1.zip?download=1",
                    ),
                ),
            ),
        ),
        *(
            Source(
                title=f"DiG's LMDB {folder} (OneDrive)",
                access="manual",
                splits=(split,),
                files=(Remote(file=f"{folder}/data.mdb", urls=()),),
            )
            for split, folder in (("cvl/train", "CVL_train"), ("cvl/test", "CVL_test"))
        ),
    ),
    pages=(
        "https://zenodo.org/records/1492267",
        "https://1drv.ms/u/s!AgwG2MwdV23ckOk19H2ZZLnzyGAf2g?e=w2WhRW",  # DiG, train
        "https://1drv.ms/u/s!AgwG2MwdV23ckOh4TIU1rmbcMSI2kg?e=jayq60",  # DiG, test
    ),
    licence="research only (TU Wien; the terms are on the Zenodo page)",
    paper="Kleber, Fiel, Diem, Sablatnig: CVL-DataBase: An Off-Line Database for Writer Retrieval, "
    "Writer Identification and Word Spotting, ICDAR 2013",
    notes=(
        "No count of the words of a split is known to us; the database has 99,904 words in all, by "
        "some accounts 101,069.",
        "Words with umlauts are left out, as DiG does; they come from the one German text.",
        "The archive takes 4.2 GB and is read without being unpacked.",
    ),
    drop_in=("cvl-database-1-1.zip",),
    parse=parse,
    sample_id=sample_id,
    group=group,
)
