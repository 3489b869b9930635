"""ABINet's language model alone: the bidirectional cloze network, pretrained on words without images.

Fang et al., "Read Like Humans: Autonomous, Bidirectional and Iterative Language Modeling for Scene
Text Recognition", CVPR 2021 (arXiv 2103.06495), section 3.2. Official code: FangShancheng/ABINet (a
BSD licence "for non-commercial purposes"), not used here.

Words come from the labels of any split or from a text file; officially they are those of WikiText-103.
Every character is predicted from the others, because no place sees its own: that is the cloze
test, and no character is masked or replaced. ``mutate=True`` adds the official SpellingMutation, which
the released configuration leaves off.

Against the official module at commit 789743c: same weights and words, largest difference of logits
1e-6. What differs: a word longer than 25 characters is left out, officially its csv has none; targets are
one-hot, as in the released configuration (its smoothed inputs are off and not offered).

*Expected:* nothing printed for the language model alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from strbench import draws
from strbench.methods import LoopConfig, Method, Optimiser, Schedule, View, WordBatch
from strbench.text import Charset, charset
from strbench.types import Card

from ..parts.abinet_networks import (
    LONGEST,
    language_model,
    size_named,
    spelling_loss,
    targets,
    words_right,
)
from ..parts.postnorm import inside

MUTATION_STREAM = 290  # of strbench.draws


@dataclass(frozen=True, kw_only=True)
class Config(LoopConfig):
    """Values of the official configuration unless a comment says otherwise."""

    size: str = "base"  # a row of parts.abinet_networks.SIZES
    charset: str = "36-abinet"
    dropout: float = 0.1
    mutate: bool = False  # misspell what the model sees; off in the release
    batch_size: int = 4096
    epochs: float = 80.0
    optimiser: Optimiser = "adam"
    lr: float = 1e-4
    lr_batch: int = 0
    schedule: Schedule = "steps"
    milestones: tuple[float, ...] = (70 / 80,)
    weight_decay: float = 0.0
    clip_norm: float = 20.0


RECIPES: Mapping[str, Config] = {
    "paper": Config(),
    # Ours: 20 million words, minutes of one GPU.
    "small": Config(batch_size=1024, epochs=0, steps=20_000, milestones=(0.9,)),
    # Ours: a narrow network without dropout and a high learning rate, for a CPU.
    "smoke": Config(
        size="micro",
        dropout=0.0,
        batch_size=128,
        epochs=0,
        steps=500,
        warmup_steps=20,
        lr=4e-3,
        schedule="cosine",
    ),
}


def misspelled(words: Sequence[str], seeds: Tensor, characters: Charset) -> list[str]:
    """Words with none (70 %), one (15 %), two (10 %) or three (5 %) characters changed.

    A change replaces the character by a random letter (70 %), puts one before it (15 %) or deletes
    it (15 %). Words of one character and words half of digits stay; those of up to four get one
    change at most, longer ones changes to half of their length at most. Only letters and digits
    change. The result is cut to 25 characters.

    Source: ABINet, dataset.py, SpellingMutation.
    """
    letters = [c for c in characters.characters if c.isalpha()]
    numbers = draws.uniforms(seeds.cpu(), 1 + 3 * LONGEST, MUTATION_STREAM)
    out = []
    for word, (how_many, *rest) in zip(words, numbers.tolist(), strict=True):
        count = sum(how_many >= level for level in (0.7, 0.85, 0.95))
        count = min(count, 1 if len(word) <= 4 else len(word) // 2)
        if len(word) < 2 or sum(c.isdigit() for c in word) * 2 >= len(word) or not count:
            out.append(word)
            continue
        order, kinds, choices = rest[:LONGEST], rest[LONGEST:-LONGEST], rest[-LONGEST:]
        places = sorted(range(len(word)), key=order.__getitem__)[:count]
        parts = list(word)
        for place in places:
            letter = letters[int(choices[place] * len(letters))]
            if word[place].isalnum():
                kind = kinds[place]
                parts[place] = letter if kind < 0.7 else letter + word[place] if kind < 0.85 else ""
        out.append("".join(parts)[:LONGEST] or word)
    return out


def views(config: Config) -> View:
    """The function from a WordBatch, whose images are not looked at, to what ``loss`` takes.

    "classes" (B, 26) and "lengths" (B,) are the words (see ``targets``), "seen" and "seen_lengths"
    what the model sees of them: the same, or misspelled.
    """
    characters = charset(config.charset)

    def view(batch: WordBatch) -> dict[str, Tensor]:
        device = batch.seeds.device
        wanted = seen = targets(batch.labels, characters, device=device)
        if config.mutate:
            words = [
                characters.decode(c - 1 for c in row[: max(0, length - 1)])
                for row, length in zip(
                    wanted["classes"].tolist(), wanted["lengths"].tolist(), strict=True
                )
            ]
            seen = targets(misspelled(words, batch.seeds, characters), characters, device=device)
        return {**wanted, "seen": seen["classes"], "seen_lengths": seen["lengths"]}

    return view


class ABINetLanguage(nn.Module):
    """The language model with its own loss; state names begin with ``language.``."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.classes = len(charset(config.charset)) + 1
        self.language = language_model(
            size_named(config.size), classes=self.classes, dropout=config.dropout
        )

    def forward(self, classes: Tensor, lengths: Tensor) -> Tensor:
        """Logits (B, 26, C) of each place from the classes (B, 26) at the others."""
        logits: Tensor = self.language(F.one_hot(classes, self.classes).float(), lengths)[1]
        return logits

    def loss(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The cross-entropy a character; the shares of characters and of whole words that are right."""
        logits = self(batch["seen"], batch["seen_lengths"])
        classes, lengths = batch["classes"], batch["lengths"]
        with torch.no_grad():
            counted = inside(lengths, classes.shape[1])
            right = ((logits.argmax(-1) == classes) & counted).sum() / counted.sum().clamp(min=1)
        return {
            "loss": spelling_loss(logits, classes, lengths),
            "characters": right,
            "accuracy": words_right(logits, batch),
            "unusable": (lengths == 0).float().mean(),
        }


def export(module: nn.Module) -> dict[str, Tensor]:
    """The language model's tensors, named as in ``abinet``."""
    return dict(cast(ABINetLanguage, module).state_dict())


ABINET_LANGUAGE = Method(
    card=Card(
        name="abinet-language",
        kind="pretraining",
        title="ABINet's language model: a cloze test over words",
        paper=(
            "Fang et al., Read Like Humans: Autonomous, Bidirectional and Iterative Language "
            "Modeling for Scene Text Recognition, CVPR 2021"
        ),
        code="github.com/FangShancheng/ABINet (BSD, non-commercial; not used)",
        licence="Apache-2.0",
        status="parity-checked",
        parameters={"base": 12_647_461, "base charset=94": 12_706_911},
        charset="36-abinet",
        recipes=tuple(RECIPES),
        notes=(
            "Needs words, no images: the labels of any split, or a text file. The official corpus is "
            "WikiText-103. Words longer than 25 characters are left out. Size micro is strbench's own."
        ),
    ),
    recipes=RECIPES,
    build=ABINetLanguage,
    views=views,
    export=export,
    needs_labels=True,
    needs_images=False,
    shape=("size", "charset"),
    feeds=("abinet",),
)
