"""The embedded rendered sets of words in two resolutions: drawn on the spot."""

from __future__ import annotations

from strbench.datasets.rendered import drawn

SPEC = drawn(
    "rendered_pairs",
    "Rendered pairs",
    "super-resolution",
    {
        "rendered_pairs/train": (20_000, "any number can be drawn; the three levels mixed"),
        "rendered_pairs_easy/test": (300, "low resolution a little blurred"),
        "rendered_pairs_medium/test": (300, "blurred and off by up to a pixel"),
        "rendered_pairs_hard/test": (300, "heavily blurred, faded and noisy"),
    },
    "Low resolution is made from high resolution; figures of each level: strbench/rendered/pairs.py.",
)
