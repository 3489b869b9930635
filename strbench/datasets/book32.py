"""Book32: words on 207,572 book covers, found by a detector, without labels."""

from __future__ import annotations

from strbench.datasets import Remote, Source, Spec, SplitSpec

SPEC = Spec(
    id="book32",
    title="Book32, unlabelled words on book covers",
    raw="str_fewer_labels",
    splits=(
        SplitSpec(
            name="book32/unlabelled",
            n=0,
            about="boxes that CRAFT found, by Baek et al. (STR-Fewer-Labels)",
            labels=("none",),
            folders=("U1.Book32",),
        ),
    ),
    sources=(
        Source(
            title="the pack of STR-Fewer-Labels on Dropbox",
            access="manual",
            splits=("book32/unlabelled",),
            labels="none",
            files=(Remote(file="data_CVPR2021.zip", urls=()),),
        ),
    ),
    pages=(
        "https://www.dropbox.com/sh/1s6r4slurc5ei2n/AACg6TqoDfGdKe8t40Em1fgxa?dl=0",
        "https://github.com/uchidalab/book-dataset",
    ),
    licence="the covers are copyright Amazon.com, Inc.; for research",
    paper="Iwana, Raza Rizvi, Ahmed, Dengel, Uchida: Judging a Book By its Cover, arXiv 2016",
    notes=(
        "The covers themselves are addresses in book32-listing.csv (Latin-1) of the repository; "
        "their words are boxes of a detector, so only the cut words are one set for everybody.",
        "Union14M-U holds another selection of words of these covers: u14m_u/book32.",
    ),
    drop_in=("data_CVPR2021.zip",),
)
