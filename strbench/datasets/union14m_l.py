"""Union14M-L: 3.2 million labelled words of 14 datasets in five grades of difficulty."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from strbench.annotations.rows import fault
from strbench.datasets import Remote, Source, Spec, SplitSpec
from strbench.datasets.hosts import DRIVE, HUB_PAGE, hub
from strbench.datasets.labels import Row, read_rows
from strbench.datasets.passes import each_file, find_file
from strbench.datasets.tree import Tree
from strbench.types import Sample

_ARCHIVE = "Union14M-L.tar.gz"
_IMAGES = "full_images/"
_OFFICIAL = {
    "easy": 2_076_161,
    "medium": 145_525,
    "hard": 308_025,
    "normal": 218_154,
    "challenging": 482_877,
}
# Grade -> count, SHA-256 and bytes of OpenOCR's LMDB.
_FILTERED = {
    "easy": (
        2_073_822,
        "b378b2574151d05637bc9fc8ec40f840adc8c19305e595a3a4ebbabbe2f955f3",
        6_427_254_784,
    ),
    "medium": (
        144_677,
        "faea34463986fa2bc3a14d61f7f0791b0cc09cc0125c198b53b25c6bef2d2152",
        405_614_592,
    ),
    "hard": (
        306_771,
        "777fe8e609abbc3cd3a5f3c234341853b9573b004b1163459fc910abe535d2da",
        1_517_391_872,
    ),
    "normal": (
        217_070,
        "b21cd4e247d14532183dbbf9af6398deefe1ed91d5bef71e9c663d64e38dab6a",
        662_351_872,
    ),
    "challenging": (
        481_803,
        "40a7aaa3259d09d99f5e8d6b63497676bc8de7830d3780f747aa9316ef278337",
        1_562_161_152,
    ),
}


def sample_id(path: str, split: str) -> str:
    """The path below ``full_images/``, e.g. ``art_curve/1.jpg``; other names stay whole."""
    return path.rpartition(_IMAGES)[2]


def parse(tree: Tree, split: str) -> Iterator[Sample] | None:
    """Samples of ``train_GRADE.jsonl`` (MMOCR 0.x) or ``.json`` (1.x) with ``full_images/``.

    The archive is read as a stream, first until the list is found, then for the images, in its order.
    """
    dataset, _, part = split.partition("/")
    if dataset != "union14m_l":
        return None
    found = find_file(tree, [_ARCHIVE], [f"train_{part}.jsonl", f"train_{part}.json"])
    if found is None:
        return None
    return _samples(tree, read_rows(*found), found[1])


def _samples(tree: Tree, rows: Sequence[Row], place: str) -> Iterator[Sample]:
    texts = {sample_id(row.path, ""): row.text for row in rows}
    if len(texts) != len(rows):
        raise fault(f"{place}: {len(rows)} entries name {len(texts)} images.")
    for path, file in each_file(tree, [_ARCHIVE]):
        id_ = sample_id(path, "")
        text = texts.pop(id_, None)
        if text is not None:
            yield Sample(id_, file.read_bytes(), text)
    if texts:
        more = ", ..." if len(texts) > 5 else ""
        raise fault(
            f"{place}: images that are missing ({len(texts)}): {', '.join(list(texts)[:5])}{more}.",
            f"Bring {_ARCHIVE} whole, or the folder {_IMAGES} beside the lists.",
        )


SPEC = Spec(
    id="union14m_l",
    title="Union14M-L, labelled words of 14 datasets",
    splits=(
        *(
            SplitSpec(
                name=f"union14m_l/{grade}",
                n=n,
                about=f"the words graded {grade}, as published",
            )
            for grade, n in _OFFICIAL.items()
        ),
        *(
            SplitSpec(
                name=f"union14m_l_filtered/{grade}",
                n=n,
                about=f"the words graded {grade} that are in none of the field's test sets (OpenOCR)",
                folders=(f"filter_train_{grade}", f"train_{grade}"),
            )
            for grade, (n, _, _) in _FILTERED.items()
        ),
    ),
    sources=(
        *(
            Source(
                title="OpenOCR LMDB",
                access="hf",
                splits=(f"union14m_l_filtered/{grade}",),
                files=(
                    Remote(
                        file=f"filter_train_{grade}/data.mdb",
                        urls=hub(f"Union14M-L-LMDB-Filtered/filter_train_{grade}/data.mdb"),
                        sha256=(sha256,),
                        size=size,
                    ),
                ),
            )
            for grade, (_, sha256, size) in _FILTERED.items()
        ),
        Source(
            title="the authors' archive",
            access="gdrive",
            splits=tuple(f"union14m_l/{grade}" for grade in _OFFICIAL),
            files=(
                Remote(file=_ARCHIVE, urls=(DRIVE.format("18qbJ29K81Ub82bSTlSGG3O3fVVLjfVAu"),)),
            ),
        ),
    ),
    pages=(
        "https://github.com/Mountchicken/Union14M",
        HUB_PAGE,
        "https://1drv.ms/u/s!AotJrudtBr-K7xAHjmr5qlHSr5Pa?e=LJRlKQ",  # the archive
        "https://pan.baidu.com/s/1WiXfg9YjKiO1SzBfT14mmg?pwd=anxs",  # the archive
        "https://huggingface.co/datasets/Bekhouche/Union14M-STR",
    ),
    licence="those of its 14 sources; for research",
    paper="Jiang, Wang, Peng, Liu, Jin: Revisiting Scene Text Recognition: A Data Perspective, ICCV 2023",
    notes=(
        "The published set (3,230,742 words) shares words with the field's test sets; train on "
        "union14m_l_filtered (3,224,143 words) to compare with OpenOCR's figures.",
        "OpenOCR's LMDBs are called filter_train_GRADE on the hub and train_GRADE in its settings.",
        "The archive (12 GB) is read as a stream, twice a split, and never unpacked; easy takes "
        "about 1.5 GB of memory.",
    ),
    drop_in=(
        _ARCHIVE,
        *(f"train_{grade}.{suffix}" for grade in _OFFICIAL for suffix in ("jsonl", "json")),
    ),
    streamed=(_ARCHIVE,),
    parse=parse,
    sample_id=sample_id,
)
