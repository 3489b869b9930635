"""The embedded rendered sets of words in two resolutions: drawn on the spot."""

from __future__ import annotations

from strbench.datasets import Source, Spec, SplitSpec
from strbench.datasets.rendered import LICENCE, NOTES, make

_SPLITS = (
    SplitSpec(
        name="rendered_pairs/train",
        n=20_000,
        about="any number can be drawn; the three levels mixed",
        labels=("rendered",),
    ),
    SplitSpec(
        name="rendered_pairs_easy/test",
        n=300,
        about="low resolution a little blurred",
        labels=("rendered",),
    ),
    SplitSpec(
        name="rendered_pairs_medium/test",
        n=300,
        about="blurred and off by up to a pixel",
        labels=("rendered",),
    ),
    SplitSpec(
        name="rendered_pairs_hard/test",
        n=300,
        about="heavily blurred, faded and noisy",
        labels=("rendered",),
    ),
)

SPEC = Spec(
    id="rendered_pairs",
    title="Rendered pairs",
    task="super-resolution",
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
        "Low resolution is made from high resolution; figures of each level: strbench/rendered/pairs.py.",
    ),
    make=make,
)
