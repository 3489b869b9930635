"""Union14M-Benchmark: six small sets, each of one difficulty, and a general one."""

from __future__ import annotations

from strbench.datasets import Remote, Source, Spec, SplitSpec
from strbench.datasets.hosts import HUB_PAGE, hub


def _split(subset: str, n: int, about: str) -> SplitSpec:
    return SplitSpec(
        name=f"union14m_{subset}/test", n=n, about=about, folders=(subset, f"u14m_{subset}")
    )


def _lmdb(subset: str, sha256: str, size: int) -> Source:
    file = f"{subset}/data.mdb"
    return Source(
        title=f"OpenOCR LMDB {subset}",
        access="hf",
        splits=(f"union14m_{subset}/test",),
        files=(Remote(file=file, urls=hub(f"u14m/{file}"), sha256=(sha256,), size=size),),
    )


SPEC = Spec(
    id="union14m_b",
    title="Union14M-Benchmark",
    splits=(
        _split("curve", 2426, "curved words"),
        _split("multi_oriented", 1369, "words turned by any angle, upright and upside down too"),
        _split("artistic", 900, "artistic fonts"),
        _split("contextless", 779, "strings that are no words"),
        _split("salient", 1585, "words with parts of other words beside them"),
        _split("multi_words", 829, "several words; the labels hold blanks"),
        _split("general", 0, "a sample of Union14M-L, given as 400,000 words"),
    ),
    sources=(
        _lmdb(
            "curve", "4fc00bcc5228fd84f24a929e4af5b1633bd7ee246389226e677f6ff6de1769e8", 108_425_216
        ),
        _lmdb(
            "multi_oriented",
            "f035e8aa746152291c809c0df3d3edb31755d6e5fa14b8eb6e7d5cfd6b5ba83a",
            18_300_928,
        ),
        _lmdb(
            "artistic",
            "d3f4c1b60e5c63e5751cb00d1cf366353399b604459a08319ae17b992db7c7b8",
            27_856_896,
        ),
        _lmdb(
            "contextless",
            "28c87f38822745d4a420c77b0121ddf7178200c8ebf535ce0074992503c2bebf",
            12_111_872,
        ),
        _lmdb(
            "salient",
            "bdb24dc8dfb8717c082fcb23e5932ff3ae1b4b5e5e6746f0d6ad27fd50914263",
            39_919_616,
        ),
        _lmdb(
            "multi_words",
            "1b80a5abc7ffbe624aea39e391336ff3854322be6e8a36d6435fd260f9f1e30d",
            20_480_000,
        ),
        _lmdb(
            "general",
            "6bafb677f5399fc9a130df2f496ed04c19f3c6da520ecc628bb76ba03b8eac8d",
            1_190_486_016,
        ),
    ),
    pages=(
        HUB_PAGE,
        "https://1drv.ms/u/s!AotJrudtBr-K7w8FSOI48iBI-du5?e=t8jSqN",  # the authors, six small sets
        "https://github.com/Mountchicken/Union14M",
    ),
    licence="MIT for the annotations (Union14M); the images keep the terms of their 14 sources",
    paper="Jiang, Wang, Peng, Liu, Jin: Revisiting Scene Text Recognition: A Data Perspective, "
    "ICCV 2023",
    notes=(
        "Training sets that were drawn from the same sources share words with it; Union14M-L-Filter "
        "is Union14M-L without them.",
        "Papers average the seven subsets without weights.",
    ),
    drop_in=tuple(
        f"{name}/data.mdb"
        for name in (
            "curve",
            "multi_oriented",
            "artistic",
            "contextless",
            "salient",
            "multi_words",
            "general",
        )
    ),
)
