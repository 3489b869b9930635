"""The embedded rendered sets of words: drawn on the spot, nothing to download."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from strbench.datasets import Source, Spec, SplitSpec

if TYPE_CHECKING:
    from strbench.store import Split

LICENCE = "Apache-2.0, as strbench; drawn with fonts under OFL-1.1 and words from SCOWL"
NOTES = (
    "Not evidence about photographs: scores on these sets are marked as rendered.",
    "Train and test share no label, case and punctuation aside.",
    "More images, other settings and further fonts: strbench.rendered.prepare.",
)


def make(name: str, directory: Path) -> Split:
    """The rendered split of that name, drawn and written into the folder."""
    from strbench.rendered import write

    return write(name, directory)


_SPLITS = (
    SplitSpec(name="rendered/train", n=20_000, about="any number can be drawn; all fonts"),
    SplitSpec(name="rendered/unlabelled", n=20_000, about="the same without labels"),
    SplitSpec(name="rendered_regular/test", n=1000, about="nearly straight words"),
    SplitSpec(name="rendered_irregular/test", n=1000, about="rotated, in perspective, on arcs"),
    SplitSpec(name="rendered_occluded_weak/test", n=500, about="one sign crossed by a stroke"),
    SplitSpec(name="rendered_occluded_heavy/test", n=500, about="one sign mostly hidden"),
    SplitSpec(name="rendered_handwritten/test", n=500, about="handwriting fonts on paper"),
    SplitSpec(name="rendered_demo/train", n=20_000, about="3 to 5 signs, dark, two fonts"),
    SplitSpec(name="rendered_demo_regular/test", n=500, about="the same, words not trained on"),
    SplitSpec(name="rendered_demo_irregular/test", n=200, about="the same, rotated or curved"),
    SplitSpec(name="rendered_demo_occluded_weak/test", n=200, about="the same, one sign crossed"),
    SplitSpec(name="rendered_demo_occluded_heavy/test", n=200, about="the same, one sign hidden"),
    SplitSpec(name="rendered_demo_handwritten/test", n=200, about="the same in handwriting"),
)

SPEC = Spec(
    id="rendered",
    title="Rendered words",
    splits=tuple(
        SplitSpec(name=s.name, n=s.n, about=s.about, labels=("rendered",)) for s in _SPLITS
    ),
    sources=(
        Source(
            title="drawn from bundled fonts",
            access="made",
            splits=tuple(s.name for s in _SPLITS),
            files=(),
            labels="rendered",
        ),
    ),
    licence=LICENCE,
    paper="",
    notes=NOTES,
    make=make,
)
