"""ViT-Attention: DiG's encoder with its attention decoder, from scratch or pretrained.

Yang et al., "Reading and Writing: Discriminative and Generative Modeling for Self-Supervised Text
Recognition", ACM MM 2022 (arXiv 2207.00193). Official code: ayumiymk/DiG, CC-BY-NC-4.0, not used
here; this file was written from a description of it and from the counts of its classes.

Additive attention over all patches and one GRU, everything 512 wide, no dropout of its own. Settings,
loss and reading are those of ``vit-transformer``. Inferred, because the description is silent: that
the state before a step scores the patches, as in ASTER, and PyTorch's initialisation.

*Expected:* the paper's comparison of decoders has this one between CTC and the transformer; not
reproduced here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..parts.vit_attention_decoder import AttentionGRU
from ..parts.vit_recognizer import (
    CPU_HOUR,
    SMALL,
    SMOKE,
    Autoregressive,
    AutoregressiveViT,
    recognizer,
)


@dataclass(frozen=True, kw_only=True)
class Config(Autoregressive):
    """``parts.vit_recognizer.FineTuning`` with the decoder's width."""

    hidden: int = 512  # of the GRU, its embedding and the attention


RECIPES: Mapping[str, Config] = {
    "paper": Config(),
    "small": Config(**SMALL),
    "cpu-hour": Config(**CPU_HOUR, hidden=128),
    "smoke": Config(**{**SMOKE, "steps": 800}, hidden=64),
}


class ViTAttention(AutoregressiveViT):
    """Encoder with a final norm, and a GRU that attends to all its tokens."""

    def __init__(self, config: Config) -> None:
        super().__init__(
            config,
            lambda dim, tokens, classes: AttentionGRU(
                dim, hidden=config.hidden, tokens=tokens, classes=classes
            ),
        )


VIT_ATTENTION = recognizer(
    "vit-attention",
    "ViT encoder with an attention decoder, as in DiG",
    status="parity-checked",
    parameters={"tiny": 7_678_818, "small": 24_034_914, "base": 40_837_218},
    recipes=RECIPES,
    notes=(
        "97 outputs (94 characters, END, unused PAD and UNK); the recipes small, cpu-hour and smoke "
        "use charset 36 with 37 outputs. Reads at most 25 characters; words of more than 23 are not "
        "trained on."
    ),
    build=ViTAttention,
)
