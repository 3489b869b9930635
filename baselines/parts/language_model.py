"""BCN, the bidirectional cloze network: each character from all others but itself."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from .postnorm import Positions, PostNormLayer, inside
from .vit import sinusoid


class LanguageModel(nn.Module):
    """Corrects a word's distributions over characters, each from those at the other places.

    Queries are the places alone; they look at the embedded distributions through ``layers`` layers
    without self-attention. A place never sees its own character nor what lies behind the word's
    end, so that plain words train it as cloze tests: there is no mask token. The distributions take no
    gradient.

    Source: Fang et al., ABINet, CVPR 2021, section 3.2; modules/model_language.py.
    """

    hidden_self: Tensor
    places: Tensor

    def __init__(
        self,
        dim: int,
        *,
        classes: int,
        places: int,
        layers: int = 4,
        heads: int = 8,
        hidden: int = 2048,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        table = sinusoid(places, dim)
        self.embed = nn.Linear(classes, dim, bias=False)
        self.positions = Positions(table, dropout=dropout)
        self.register_buffer("places", table, persistent=False)
        self.register_buffer("hidden_self", torch.eye(places, dtype=torch.bool), persistent=False)
        self.layers = nn.ModuleList(
            PostNormLayer(dim, heads, hidden=hidden, dropout=dropout) for _ in range(layers)
        )
        self.classifier = nn.Linear(dim, classes)

    def forward(self, chances: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Features (B, T, D) and logits (B, T, C) of chances (B, T, C).

        ``lengths`` (B,) count the characters and the end; they are taken as 2 at least, which leaves
        every place something to see.
        """
        count = chances.shape[1]
        memory = self.positions(self.embed(chances.detach().to(self.embed.weight.dtype)))
        visible = inside(lengths.clamp(2, count), count)[:, None] & ~self.hidden_self
        features = self.places.expand(len(chances), -1, -1)
        for layer in self.layers:
            features = layer(features, memory, visible)
        return features, cast(Tensor, self.classifier(features))
