"""ViT-Transformer: DiG's encoder with its transformer decoders, from scratch or pretrained.

Yang et al., "Reading and Writing: Discriminative and Generative Modeling for Self-Supervised Text
Recognition", ACM MM 2022 (arXiv 2207.00193). Official code: ayumiymk/DiG, CC-BY-NC-4.0, not used
here; this file was written from a description of it and from the counts of its classes.

The decoder of the paper's main tables. Three are in the release: ``tf`` (6 layers of 512, the
default), ``small-tf`` (2 layers of 384) and ``corres`` (6 layers as wide as the encoder, MLP ratio 4).
Fine-tuning settings are the release's, layer decay 0.75 included, which its command leaves at the
default. Token cross-entropy is summed over a word and its END and divided by the batch, not by the
tokens. The release always reads 25 steps; reading here ends once every word has, with the same result.
Inferred, because the description is silent: the initialisation (PyTorch's own), the epsilon of the
layers' norms (1e-5), where the decoder's dropout acts, and beams scored by their log-probability.

*Expected:* the paper's Small with this decoder averages 78.9 over eleven sets weighted by their words;
not reproduced here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from strbench.errors import unknown_name

from ..parts.transformer_decoder import Shape, TransformerDecoder
from ..parts.vit_recognizer import (
    CPU_HOUR,
    SLOTS,
    SMALL,
    SMOKE,
    Autoregressive,
    AutoregressiveViT,
    recognizer,
)


@dataclass(frozen=True, kw_only=True)
class Config(Autoregressive):
    """``parts.vit_recognizer.FineTuning`` with the decoder."""

    decoder: str = "tf"  # a row of DECODERS
    decoder_dropout: float = 0.1


RECIPES: Mapping[str, Config] = {
    "paper": Config(),
    "small": Config(**SMALL, decoder="small-tf"),
    "cpu-hour": Config(**CPU_HOUR, decoder="mini", decoder_dropout=0.0),
    "smoke": Config(**{**SMOKE, "steps": 800}, decoder="micro", decoder_dropout=0.0),
}

DECODERS: dict[str, Shape] = {
    "tf": Shape(width=512, depth=6, heads=8, inner=256),
    "small-tf": Shape(width=384, depth=2, heads=6, inner=192),
    "corres": Shape(width=0, depth=6, heads=8, inner=0),  # width and MLP follow the encoder
    # Ours, for a CPU.
    "mini": Shape(width=128, depth=2, heads=4, inner=256),
    "micro": Shape(width=64, depth=1, heads=2, inner=128),
}


class ViTTransformer(AutoregressiveViT):
    """Encoder with a final norm, and a transformer decoder that sees all its tokens."""

    def __init__(self, config: Config) -> None:
        if config.decoder not in DECODERS:
            raise unknown_name("decoder of vit-transformer", config.decoder, DECODERS)

        def decoder(dim: int, tokens: int, classes: int) -> TransformerDecoder:
            shape = DECODERS[config.decoder]
            if not shape.width:
                shape = Shape(width=dim, depth=shape.depth, heads=shape.heads, inner=4 * dim)
            return TransformerDecoder(
                dim,
                shape,
                tokens=tokens,
                classes=classes,
                slots=SLOTS,
                dropout=config.decoder_dropout,
            )

        super().__init__(config, decoder)


VIT_TRANSFORMER = recognizer(
    "vit-transformer",
    "ViT encoder with a transformer decoder, as in DiG",
    status="parity-checked",
    parameters={
        "tiny": 19_725_665,
        "small": 35_786_849,
        "base": 52_392_545,
        "small decoder=small-tf": 24_193_249,
        "small decoder=corres": 35_714_401,
    },
    recipes=RECIPES,
    notes=(
        "97 outputs (94 characters, END, unused PAD and UNK); the recipes small, cpu-hour and smoke "
        "use charset 36 with 37 outputs. Reads at most 25 characters; words of more than 23 are not "
        "trained on. Decoders mini and micro are strbench's own."
    ),
    build=ViTTransformer,
)
