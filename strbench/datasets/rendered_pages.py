"""The embedded rendered sets of photographs with words outlined: drawn on the spot."""

from __future__ import annotations

from strbench.datasets.rendered import drawn

SPEC = drawn(
    "rendered_pages",
    "Rendered pages",
    "detection",
    {
        "rendered_pages/train": (
            2_000,
            "any number can be drawn; 1 to 12 words on signs, one in eight signs curved",
        ),
        "rendered_pages/test": (200, "the same, words not trained on"),
        "rendered_pages_curved/test": (100, "three signs in four on arcs"),
    },
    "Words lower than 6 pixels, or too blurred or faint to be read, are ignored: "
    "strbench/rendered/pages.py.",
    "A page takes about 0.3 MB.",
)
