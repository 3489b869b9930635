"""The embedded rendered sets of photographs with words outlined: drawn on the spot."""

from __future__ import annotations

from strbench.datasets import Source, Spec, SplitSpec
from strbench.datasets.rendered import LICENCE, NOTES, make

_SPLITS = (
    SplitSpec(
        name="rendered_pages/train",
        n=2_000,
        about="any number can be drawn; 1 to 12 words on signs, one in eight signs curved",
        labels=("rendered",),
    ),
    SplitSpec(
        name="rendered_pages/test",
        n=200,
        about="the same, words not trained on",
        labels=("rendered",),
    ),
    SplitSpec(
        name="rendered_pages_curved/test",
        n=100,
        about="three signs in four on arcs",
        labels=("rendered",),
    ),
)

SPEC = Spec(
    id="rendered_pages",
    title="Rendered pages",
    task="detection",
    splits=_SPLITS,
    sources=(
        Source(
            title="drawn from bundled fonts",
            access="made",
            splits=tuple(split.name for split in _SPLITS),
            files=(),
            labels="rendered",
        ),
    ),
    licence=LICENCE,
    paper="",
    notes=(
        *NOTES,
        "Words lower than 6 pixels, or too blurred or faint to be read, are ignored: strbench/rendered/pages.py.",
        "A page takes about 0.3 MB.",
    ),
    make=make,
)
