"""ViT-CTC: DiG's encoder with its CTC decoder, from scratch or from a pretrained encoder.

Yang et al., "Reading and Writing: Discriminative and Generative Modeling for Self-Supervised Text
Recognition", ACM MM 2022 (arXiv 2207.00193). Official code: ayumiymk/DiG, CC-BY-NC-4.0, not used
here; this file was written from a description of it.

The released code defines the CTC decoder (98 outputs, blank last) but ships no CTC criterion, so the
training side is inferred: the negative log-likelihood of each word, summed and divided by the number
of images, in float32, zero where no alignment exists. Fine-tuning settings are the release's for its
other decoders, layer decay 0.75 included, which its command leaves at the default. The rates of
dropout apply after the positions, after the attention's projection and after the MLP; that placement
is inferred too.

*Expected:* nothing printed in the paper uses CTC at a comparable setting. Measured, words right under
strbench-36: recipe ``cpu-hour`` with 12,000 steps from ``dig-mini.cpu-hour``, on 120,000 rendered and
6,725 real training words, 40 minutes of a shared 2-core CPU: SVT 327 of 647, IC15 (2,077) 826, CUTE80 79
of 288 (one seed). Recipe ``smoke`` from ``dig-micro.smoke``, 3 minutes: 445 of 500 unseen rendered words.
Records in ``benchmarks/records/``; commands under ``argv`` there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from strbench.methods import Reader, View, WordBatch

from ..parts.ctc import CTCDecoder, ctc_targets, greedy, margins, word_losses
from ..parts.decoding import Readings, reading, spelled
from ..parts.vit import grid_of, size_named
from ..parts.vit_recognizer import (
    CPU_HOUR,
    MAX_LABEL,
    SMALL,
    SMOKE,
    FineTuning,
    ViTRecognizer,
    augmentation,
    charset_of,
    recognizer,
)


@dataclass(frozen=True, kw_only=True)
class Config(FineTuning):
    """``FineTuning`` with the decoder's width."""

    hidden: int = 512  # between the two linear layers of the decoder


RECIPES: Mapping[str, Config] = {
    "paper": Config(),
    "small": Config(**SMALL),
    "cpu-hour": Config(**CPU_HOUR, hidden=256),
    "smoke": Config(**SMOKE, hidden=128),
}


def views(config: Config) -> View:
    """The function from a WordBatch to what ``ViTCTC.loss`` takes.

    "images" (B, 3, H, W) normalised to [-1, 1]; "targets" (B, 23) class indices, 0 behind "lengths"
    (B,); "usable" (B,) False for words that cannot be trained on. Labels are first brought to the
    charset: lower case where it has no capitals, characters that it lacks removed. A word is
    unusable if nothing is left, if more than 23 characters are, or if the frames are too few for
    it; its target is then empty and it counts in the logged share ``unusable``.
    """
    charset = charset_of(config)
    augment = augmentation(config)
    frames = grid_of(size_named(config.size), height=config.height, width=config.width)[1]

    def view(batch: WordBatch) -> dict[str, Tensor]:
        targets = ctc_targets(batch.labels, charset, most=MAX_LABEL, frames=frames)
        device = batch.images.device
        return {"images": augment(batch), **{n: t.to(device) for n, t in targets.items()}}

    return view


class ViTCTC(ViTRecognizer):
    """Encoder with a final norm, and the CTC decoder over its columns.

    Classes: the characters, with charset 94 DiG's unused END, PAD and UNK, the blank.
    """

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        characters = len(charset_of(config))
        unused = 3 if config.charset == "94" else 0
        self.silent = tuple(range(characters, characters + unused))
        self.decoder = CTCDecoder(
            self.encoder.size.dim,
            grid=self.encoder.grid,
            classes=characters + unused + 1,
            hidden=config.hidden,
        )

    def forward(self, images: Tensor) -> Tensor:
        """Frame logits (B, columns, classes) of normalised images (B, 3, H, W)."""
        features = self.encoder(images)
        # in float32 under autocast: logits rounded to bfloat16 are often equal where they should not be
        with torch.autocast(images.device.type, enabled=False):
            logits: Tensor = self.decoder(features.to(self.decoder.bridge.weight.dtype))
        return logits

    def loss(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The loss on a batch of ``views``, with the share of words read right and of unusable ones."""
        logits = self(batch["images"])
        out = word_losses(logits, batch, blank=self.decoder.blank, silent=self.silent)
        # The mask token takes part with weight zero: DistributedDataParallel wants every parameter.
        return {**out, "loss": out["loss"] + 0.0 * self.encoder.mask_token.sum()}


def reader(module: nn.Module, config: Config) -> Reader:
    """A function from images (B, 3, H, W) in [0, 1] to (text, confidence), in order.

    Greedy CTC; the confidence is that of ``parts.ctc.greedy``.
    """
    model = cast(ViTCTC, module)
    charset = charset_of(config)

    def read(images: Tensor) -> Readings:
        logits, blank = model(images), model.decoder.blank
        words = greedy(logits, blank=blank, silent=model.silent)
        return spelled(charset, *words, margins(logits, blank=blank, silent=model.silent))

    return reading(model, read)


VIT_CTC = recognizer(
    "vit-ctc",
    "ViT encoder with a CTC decoder, as in DiG",
    status="trained",
    parameters={"tiny": 5_496_162, "small": 21_557_346, "base": 38_163_042},
    recipes=RECIPES,
    notes=(
        "98 outputs (94 characters, unused END, PAD and UNK for parity of the counts, blank "
        "last); the other recipes use charset 36 with 37 outputs. The CTC criterion is "
        "inferred: the release ships none. Reads at most as many characters as there are "
        "columns of patches: 32, and 16 at sizes mini and micro."
    ),
    build=ViTCTC,
    views=views,
    reader=reader,
)
