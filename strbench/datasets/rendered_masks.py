"""The embedded rendered sets of words with a mask of their text: drawn on the spot."""

from __future__ import annotations

from strbench.datasets import Source, Spec, SplitSpec
from strbench.datasets.rendered import LICENCE, NOTES, make

_SPLITS = (
    SplitSpec(
        name="rendered_masks/train",
        n=20_000,
        about="any number can be drawn; shadows and outlines are effects",
        labels=("rendered",),
    ),
    SplitSpec(
        name="rendered_masks/test",
        n=500,
        about="the same, words not trained on",
        labels=("rendered",),
    ),
)

SPEC = Spec(
    id="rendered_masks",
    title="Rendered masks",
    task="segmentation",
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
        "Text is what glyphs cover by half or more, neighbouring words included: strbench/rendered/masks.py.",
    ),
    make=make,
)
