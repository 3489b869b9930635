"""What tables of papers share: data and titles of their scales, and the encoders that they start from."""

from __future__ import annotations

from strbench.reproductions import Training

DEMO = (
    "rendered_demo_regular/test",
    "rendered_demo_irregular/test",
    "rendered_demo_occluded_weak/test",
    "rendered_demo_occluded_heavy/test",
    "rendered_demo_handwritten/test",
)
DEMO_DATA = dict.fromkeys(
    ("pretraining", "labelled", "synthetic", "unlabelled"), ("rendered_demo/train",)
)
# Real training crops that a person can bring without a download of gigabytes.
REAL = ("iiit5k/train?", "svt/train?", "ic13/train?", "ic15/train?")
MIXED = ("rendered/train", *REAL)
HALF_REAL = ("rendered/train=0.5", *REAL)
MIXED_DATA = {"pretraining": MIXED, "labelled": MIXED, "synthetic": ("rendered/train",)}
SYNTHETIC = ("mjsynth/train", "synthtext/train")

SMOKE = "recipes smoke on rendered words"
CPU_HOUR = "about an hour of two CPU cores a run, rendered words and a few thousand real crops"
CPU_NIGHT = (
    "recipes cpu-hour with 6,000 steps of fine-tuning, rendered words and as many real crops: about "
    "eight hours of one CPU core a seed"
)
SMALL = "recipes small, about an hour of one GPU a run, the data of cpu-hour"
PAPER = "the published recipes and kind of data"

DIG = "Yang et al., DiG, ACM MM 2022"
DIG_PAPER_DATA = {
    "pretraining": ("cc_ocr/unlabelled", *SYNTHETIC),
    "labelled": ("textocr_dig/train", "openvino_dig/train"),
    "synthetic": SYNTHETIC,
}


def encoder(method: str, size: str = "") -> tuple[Training, ...]:
    """The pretraining run of a method, nothing for "", from scratch; equal ones of all tables are one run."""
    if not method:
        return ()
    key = f"{method}-{size}" if size else method
    settings = (f"size={size}",) if size else ()
    return (Training(key=key, entry=method, data="pretraining", settings=settings, family="dig"),)
