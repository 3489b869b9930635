"""The embedded rendered sets of words: drawn on the spot, nothing to download."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from strbench.datasets import Source, Spec, SplitSpec
from strbench.types import Task

if TYPE_CHECKING:
    from strbench.store import Split


def make(name: str, directory: Path) -> Split:
    """The rendered split of that name, drawn and written into the folder."""
    from strbench.rendered import write

    return write(name, directory)


def drawn(
    id_: str, title: str, task: Task, splits: Mapping[str, tuple[int, str]], *notes: str
) -> Spec:
    """The SPEC of sets that are drawn here.

    Args:
        splits: name -> how many pictures, and what they are.
    """
    return Spec(
        id=id_,
        title=title,
        task=task,
        splits=tuple(
            SplitSpec(name=name, n=n, about=about, labels=("rendered",))
            for name, (n, about) in splits.items()
        ),
        sources=(
            Source(
                title="drawn from bundled fonts",
                access="made",
                splits=tuple(splits),
                files=(),
                labels="rendered",
            ),
        ),
        licence="Apache-2.0, as strbench; drawn with fonts under OFL-1.1 and words from SCOWL",
        paper="",
        notes=(
            "Not evidence about photographs: scores on these sets are marked as rendered.",
            "Train and test share no label, case and punctuation aside.",
            "More images, other settings and further fonts: strbench.rendered.prepare.",
            *notes,
        ),
        make=make,
    )


SPEC = drawn(
    "rendered",
    "Rendered words",
    "recognition",
    {
        "rendered/train": (20_000, "any number can be drawn; all fonts"),
        "rendered/unlabelled": (20_000, "the same without labels"),
        "rendered_regular/test": (1000, "nearly straight words"),
        "rendered_irregular/test": (1000, "rotated, in perspective, on arcs"),
        "rendered_occluded_weak/test": (500, "one sign crossed by a stroke"),
        "rendered_occluded_heavy/test": (500, "one sign mostly hidden"),
        "rendered_handwritten/test": (500, "handwriting fonts on paper"),
        "rendered_demo/train": (20_000, "3 to 5 signs, dark, two fonts"),
        "rendered_demo_regular/test": (500, "the same, words not trained on"),
        "rendered_demo_irregular/test": (200, "the same, rotated or curved"),
        "rendered_demo_occluded_weak/test": (200, "the same, one sign crossed"),
        "rendered_demo_occluded_heavy/test": (200, "the same, one sign hidden"),
        "rendered_demo_handwritten/test": (200, "the same in handwriting"),
    },
)
