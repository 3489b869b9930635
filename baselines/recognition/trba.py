"""TRBA and TRBC: rectification, ResNet, two bidirectional LSTM, and attention or CTC.

Baek et al., "What Is Wrong With Scene Text Recognition Model Comparisons? Dataset and Model Analysis",
ICCV 2019 (arXiv 1904.01906): TPS-ResNet-BiLSTM-Attn, the best of its 24 combinations, and the one with
CTC in its place. Official code: clovaai/deep-text-recognition-benchmark, Apache-2.0, followed in recipe
``paper``. Recipe ``str-fewer-labels`` is TRBA with augmentation of Baek et al., "What If We Only Use
Real Datasets for Scene Text Recognition?", CVPR 2021: RGB, 94 characters, a learned vector for the
previous character; code: ku21fan/STR-Fewer-Labels, MIT. Both were run for comparison; no text of either
is used.

Against the official modules at commits e2117f2 (clovaai) and 0d9ef6a (STR-Fewer-Labels): same weights
and inputs, training and evaluating, ResNet, BiLSTM and both attention decoders, told the right
characters and reading, equal to the last bit. The sampling grid of TPS differs by 1.5e-5 of half the
image: theirs multiplies two matrices in float32, this one was multiplied out in float64 (in float64 they
differ by 8e-7, for an epsilon in their logarithm); white noise sampled there differs by 2e-3.

What differs from the official code:
- Without an end sign in 26 steps every step is read; official code drops the last character, because it
  cuts where ``str.find`` finds the end, at -1. Its confidence leaves the end out, here it counts.
- Special classes write nothing; official code writes their names ("[GO]") into the text.
- Words are brought to the charset (lower case, foreign characters removed) where clovaai leaves them out
  and STR-Fewer-Labels learns an unknown sign.
- Training decodes as many steps as the longest word of the batch has, and one; the rest has no loss.
- clovaai turns a photograph to gray before it resizes it, this file after.
- clovaai's batches are half MJSynth, half SynthText, and those of STR-Fewer-Labels equal shares of 11
  sets; here batches hold what ``--data`` names, in its shares.
- TRBC's loss leaves out words that the 26 frames cannot spell; official code counts each as 0.
The published validation by IC13, IC15, IIIT5K and SVT training images, which picks the best checkpoint,
has no counterpart: the last weights are kept.

``probe`` freezes the whole encoder. A parent without rectification or BiLSTM (RotNet, MoCo) leaves those
stages as drawn; probe it with ``--set transform=none --set sequence=none``.

*Expected:* printed for TRBA on MJSynth and SynthText, mean of 5 seeds: IIIT5K 87.9, SVT 87.5, IC15
(2,077) 71.8, CUTE80 74.0; not reproduced here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from ..parts.trba_recipes import REAL_DATA, SMALL, SMOKE, recognizer
from ..parts.trba_recognizer import Config


@dataclass(frozen=True, kw_only=True)
class CTCConfig(Config):
    """``parts.trba_recognizer.Config`` with CTC in the place of attention."""

    decoder: Literal["attention", "ctc"] = "ctc"


RECIPES: Mapping[str, Config] = {
    "paper": Config(),
    "str-fewer-labels": Config(**REAL_DATA, augmentation="blur5-crop99"),
    "small": Config(**SMALL),
    "smoke": Config(**SMOKE, steps=1_200),
}
CTC_RECIPES: Mapping[str, CTCConfig] = {
    "paper": CTCConfig(),
    "small": CTCConfig(**SMALL),
    "smoke": CTCConfig(**SMOKE, steps=900),
}

_PAPER = (
    "Baek et al., What Is Wrong With Scene Text Recognition Model Comparisons? Dataset and Model "
    "Analysis, ICCV 2019"
)

TRBA = recognizer(
    "trba",
    "TRBA: TPS, ResNet, BiLSTM and attention",
    paper=_PAPER,
    parameters=49_555_182,
    recipes=RECIPES,
    notes=(
        "38 outputs, start and end first; 94 RGB characters make 49,631,208 parameters, recipe "
        "str-fewer-labels, with 99 outputs and learned characters, 49,821,163. Reads at most 26 "
        "characters."
    ),
)
TRBC = recognizer(
    "trbc",
    "TRBC: TPS, ResNet, BiLSTM and CTC",
    paper=_PAPER,
    parameters=48_858_093,
    recipes=CTC_RECIPES,
    notes="37 outputs, the blank first. Reads at most 26 characters.",
)
