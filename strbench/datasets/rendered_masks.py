"""The embedded rendered sets of words with a mask of their text: drawn on the spot."""

from __future__ import annotations

from strbench.datasets.rendered import drawn

SPEC = drawn(
    "rendered_masks",
    "Rendered masks",
    "segmentation",
    {
        "rendered_masks/train": (
            20_000,
            "any number can be drawn; shadows and outlines are effects",
        ),
        "rendered_masks/test": (500, "the same, words not trained on"),
    },
    "Text is what glyphs cover by half or more, neighbouring words included: "
    "strbench/rendered/masks.py.",
)
