"""The one-dimensional attention decoder of TRBA: a sequence of features to characters, in order."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_State = tuple[Tensor, Tensor]


class Decoded(NamedTuple):
    """What the decoder says at each of T steps."""

    logits: Tensor  # (B, T, C)
    hidden: Tensor  # (B, T, H) of the LSTM, before ``head``
    glimpses: Tensor  # (B, T, D) features averaged by attention, as they enter the LSTM


class AttentionDecoder(nn.Module):
    """Additive attention over features (B, L, dim) and an LSTM cell that writes one class a step.

    At each step the features are averaged by softmax of w . tanh(W f + V h + b), h the last hidden
    state, which starts at zero; the LSTM reads that average beside the previous class.

    Args:
        embedding: width in which the previous class enters; None: as a one-hot vector (clovaai).
        go: the class that stands before the first.

    It runs in the type of its weights, whatever that of autocast.

    Source: Bahdanau et al., ICLR 2015; clovaai/deep-text-recognition-benchmark and (with an
    embedding) ku21fan/STR-Fewer-Labels, modules/prediction.py.
    """

    def __init__(
        self, dim: int, *, hidden: int, classes: int, embedding: int | None = None, go: int = 0
    ) -> None:
        super().__init__()
        self.classes = classes
        self.go = go
        self.key = nn.Linear(dim, hidden, bias=False)
        self.query = nn.Linear(hidden, hidden)
        self.score = nn.Linear(hidden, 1, bias=False)
        self.embedding = None if embedding is None else nn.Embedding(classes, embedding)
        self.cell = nn.LSTMCell(dim + (classes if embedding is None else embedding), hidden)
        self.generator = nn.Linear(hidden, classes)

    def forward(
        self, features: Tensor, tokens: Tensor, *, head: nn.Module | None = None
    ) -> Decoded:
        """T steps that are told the previous class: ``tokens`` (B, T), the first of them ``go``.

        Args:
            head: stands between the hidden states and the generator, (B, T, H) to (B, T, H).
        """
        with torch.autocast(features.device.type, enabled=False):
            features = features.to(self.key.weight.dtype)
            keys, state = self._start(features)
            hidden: list[Tensor] = []
            glimpses: list[Tensor] = []
            for previous in self._embedded(tokens).unbind(1):
                state, glimpse = self._step(features, keys, previous, state)
                hidden.append(state[0])
                glimpses.append(glimpse)
            states = torch.stack(hidden, dim=1)
            return Decoded(self._written(states, head), states, torch.stack(glimpses, dim=1))

    def greedy(self, features: Tensor, steps: int, *, head: nn.Module | None = None) -> Decoded:
        """``steps`` steps, each told the likeliest class of the one before; none ends early."""
        with torch.autocast(features.device.type, enabled=False):
            features = features.to(self.key.weight.dtype)
            keys, state = self._start(features)
            token = torch.full((len(features),), self.go, device=features.device)
            out: list[tuple[Tensor, Tensor, Tensor]] = []
            for _ in range(steps):
                state, glimpse = self._step(features, keys, self._embedded(token), state)
                logits = self._written(state[0][:, None], head)[:, 0]
                out.append((logits, state[0], glimpse))
                token = logits.argmax(-1)
            return Decoded(*(torch.stack(column, dim=1) for column in zip(*out, strict=True)))

    def _start(self, features: Tensor) -> tuple[Tensor, _State]:
        zero = features.new_zeros(len(features), self.cell.hidden_size)
        return self.key(features), (zero, zero)

    def _embedded(self, tokens: Tensor) -> Tensor:
        if self.embedding is None:
            return F.one_hot(tokens, self.classes).to(self.key.weight.dtype)
        out: Tensor = self.embedding(tokens)
        return out

    def _step(
        self, features: Tensor, keys: Tensor, previous: Tensor, state: _State
    ) -> tuple[_State, Tensor]:
        energy = self.score(torch.tanh(keys + self.query(state[0])[:, None]))  # (B, L, 1)
        glimpse = (energy.softmax(1).transpose(1, 2) @ features)[:, 0]  # (B, D)
        return self.cell(torch.cat([glimpse, previous], dim=1), state), glimpse

    def _written(self, hidden: Tensor, head: nn.Module | None) -> Tensor:
        out: Tensor = self.generator(hidden if head is None else head(hidden))
        return out
