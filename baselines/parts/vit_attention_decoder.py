"""DiG's attention decoder: additive attention over all patches, and a GRU that writes characters.

The decoder of ASTER (Shi et al., TPAMI 2019) as DiG's official code (Yang et al., ACM MM 2022) has
it, with a GRU and biases in every linear layer.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class AttentionGRU(nn.Module):
    """Features (B, L, dim) and input tokens (B, T) to logits (B, T, classes); ``parts.decoding`` reads.

    A step scores the patches from the state before it (Bahdanau et al., ICLR 2015), then the GRU
    moves on from the embedded token beside the weighted sum of features. The state starts at zero.

    Args:
        hidden: width of the GRU, of its embedding and of the attention.
        tokens: rows of the embedding, special tokens included.
    """

    def __init__(self, dim: int, *, hidden: int, tokens: int, classes: int) -> None:
        super().__init__()
        self.feature = nn.Linear(dim, hidden)
        self.state = nn.Linear(hidden, hidden)
        self.score = nn.Linear(hidden, 1)
        self.embedding = nn.Embedding(tokens, hidden)
        self.gru = nn.GRUCell(hidden + dim, hidden)
        self.classifier = nn.Linear(hidden, classes)

    def forward(self, features: Tensor, tokens: Tensor) -> Tensor:
        """Teacher-forced logits (B, T, classes)."""
        fixed, past = self.begin(features, beams=1)
        states = []
        for place in range(tokens.shape[1]):
            past = [self._advance(tokens[:, place], fixed, past[0])]
            states += past
        return self._classes(torch.stack(states, 1))

    def begin(self, features: Tensor, *, beams: int) -> tuple[list[Tensor], list[Tensor]]:
        """The features with their part of the scores, and the state before the first token."""
        state = features.new_zeros(len(features) * beams, self.state.in_features)
        return [features, self.feature(features)], [state]

    def step(
        self, tokens: Tensor, fixed: list[Tensor], past: list[Tensor]
    ) -> tuple[Tensor, list[Tensor]]:
        """Logits (N, classes) behind tokens (N,), and the state there; N a multiple of the images."""
        state = self._advance(tokens, fixed, past[0])
        return self._classes(state), [state]

    def _classes(self, states: Tensor) -> Tensor:
        # in float32 under autocast: logits rounded to bfloat16 are often equal where they should not be
        with torch.autocast(states.device.type, enabled=False):
            logits: Tensor = self.classifier(states.to(self.classifier.weight.dtype))
        return logits

    def _advance(self, tokens: Tensor, fixed: list[Tensor], state: Tensor) -> Tensor:
        features, projected = fixed  # (B, L, dim), (B, L, hidden)
        asked = self.state(state).view(len(features), -1, 1, state.shape[-1])  # (B, K, 1, hidden)
        weights = self.score(torch.tanh(projected[:, None] + asked)).squeeze(-1).softmax(-1)
        glimpse = (weights @ features).flatten(0, 1)  # (B, K, L) @ (B, L, dim), then (N, dim)
        out: Tensor = self.gru(torch.cat([self.embedding(tokens), glimpse], 1), state)
        return out
