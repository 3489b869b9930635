"""CRNN: VGG features, two bidirectional LSTM and CTC, from scratch or from a pretrained encoder.

Shi et al., "An End-to-End Trainable Neural Network for Image-Based Sequence Recognition and Its
Application to Scene Text Recognition", TPAMI 2017 (arXiv 1507.05717), in the form that Baek et al.,
"What Is Wrong With Scene Text Recognition Model Comparisons?", ICCV 2019, call None-VGG-BiLSTM-CTC.
Official code of the latter: clovaai/deep-text-recognition-benchmark, Apache-2.0, followed in recipe
``paper``. Recipe ``str-fewer-labels`` is CRNN with augmentation of Baek et al., "What If We Only Use
Real Datasets for Scene Text Recognition?", CVPR 2021; code: ku21fan/STR-Fewer-Labels, MIT. Both were run
for comparison; no text of either is used.

Against the official modules at commits e2117f2 (clovaai) and 0d9ef6a (STR-Fewer-Labels): same weights
and inputs, VGG and BiLSTM equal to the last bit, training and evaluating.

What differs from the official code:
- Words are brought to the charset (lower case, foreign characters removed) where clovaai leaves them
  out and STR-Fewer-Labels learns an unknown sign. Words that the 24 frames cannot spell take no part in
  the mean, where official code counts a loss of 0 for each.
- clovaai turns a photograph to gray before it resizes it, this file after.
- clovaai's batches are half MJSynth, half SynthText, and those of STR-Fewer-Labels equal shares of 11
  sets; here batches hold what ``--data`` names, in its shares.
- The paper of CRNN has rho 0.9 in Adadelta. Followed: clovaai's 0.95.
The special classes of ``str-fewer-labels`` (padding, unknown, space) are never trained and never read.

*Expected:* printed for clovaai's retraining on MJSynth and SynthText, mean of 5 seeds: IIIT5K 82.9, SVT
81.6, IC15 (2,077) 64.2, CUTE80 65.5; not reproduced here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from ..parts import fourstage, trba_recognizer
from ..parts.trba_recipes import REAL_DATA, SMALL, SMOKE, recognizer


@dataclass(frozen=True, kw_only=True)
class Config(trba_recognizer.Config):
    """CRNN with the values of clovaai's train.py unless a comment says otherwise."""

    transform: fourstage.Transform = "none"
    features: fourstage.Features = "vgg"
    decoder: Literal["attention", "ctc"] = "ctc"


RECIPES: Mapping[str, Config] = {
    "paper": Config(),
    "str-fewer-labels": Config(**REAL_DATA, augmentation="crop90-rot15"),
    "small": Config(**SMALL),
    "smoke": Config(**SMOKE, steps=1_600),
}

CRNN = recognizer(
    "crnn",
    "CRNN: VGG, BiLSTM and CTC",
    paper=(
        "Shi et al., An End-to-End Trainable Neural Network for Image-Based Sequence Recognition "
        "and Its Application to Scene Text Recognition, TPAMI 2017"
    ),
    parameters=8_451_621,
    recipes=RECIPES,
    notes=(
        "37 outputs, the blank first; recipe str-fewer-labels: 98 outputs, 8,468,450 parameters. "
        "Reads at most 24 characters."
    ),
)
