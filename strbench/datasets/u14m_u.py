"""Union14M-U: 10 million words without labels from three sources."""

from __future__ import annotations

from strbench.datasets import Remote, Source, Spec, SplitSpec

_PARTS = {"book32": "Book32", "cc": "Conceptual Captions", "openvino": "Open Images"}

SPEC = Spec(
    id="u14m_u",
    title="Union14M-U, unlabelled words",
    splits=tuple(
        SplitSpec(
            name=f"u14m_u/{part}",
            n=0,
            about=f"detected words of {title}",
            labels=("none",),
            folders=(f"{part}_lmdb",),
        )
        for part, title in _PARTS.items()
    ),
    sources=tuple(
        Source(
            title="the authors' folder on OneDrive",
            access="manual",
            splits=(f"u14m_u/{part}",),
            labels="none",
            files=(Remote(file=f"{part}_lmdb/data.mdb", urls=()),),
        )
        for part in _PARTS
    ),
    pages=(
        "https://1drv.ms/f/s!AotJrudtBr-K7xGbC7wFSU62-R9m?e=ywgQAx",
        "https://github.com/Mountchicken/Union14M",
    ),
    licence="those of its three sources; for research",
    paper="Jiang, Wang, Peng, Liu, Jin: Revisiting Scene Text Recognition: A Data Perspective, ICCV 2023",
    notes=(
        "About 10 million words, 37 GB; no exact count is published.",
        "Only the images are read; labels that a copy may hold are not.",
    ),
    drop_in=tuple(f"{part}_lmdb/data.mdb" for part in _PARTS),
)
