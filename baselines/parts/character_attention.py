"""The spatial attention reader of Mask TextSpotter: a square of features to characters, in order.

Liao et al., "Mask TextSpotter: An End-to-End Trainable Neural Network for Spotting Text with Arbitrary
Shapes", TPAMI 2021 (arXiv 1908.08207), section 3: spatial attentional module.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from strbench.text import CHARSETS

_CHARSET = CHARSETS["36"]
START = 0  # stands before the first symbol, and for every character that is no digit and no letter
END = len(_CHARSET) + 1
SYMBOLS = END + 1  # 38: digits are 1 to 10, letters 11 to 36
STEPS = 32  # symbols of a text, its end included
NONE = -1  # behind the end, and of a text that is not told
_HIGH, _WIDE = 8, 32  # places that attention looks at


def symbol(character: str) -> int:
    """The class of a character, whatever its case; that of ``START`` for any other sign.

    >>> [symbol(c) for c in "09aZ-"]
    [1, 10, 11, 36, 0]
    """
    folded = character.lower()
    return 1 + _CHARSET.encode(folded)[0] if not _CHARSET.unknown(folded) else START


def symbols(text: str | None) -> list[int]:
    """``STEPS`` classes of a text: its characters, the end, and ``NONE``.

    Texts of ``STEPS`` characters or more are cut and have no end; no text at all, or an empty one, is
    ``NONE`` throughout.

    >>> symbols("B-2")[:6]
    [12, 0, 3, 37, -1, -1]
    """
    told = [*map(symbol, text), END][:STEPS] if text else []
    return told + [NONE] * (STEPS - len(told))


def spelt(ids: Iterable[int]) -> str:
    """The text of classes up to their end; signs that are no digit and no letter are left out.

    >>> spelt(symbols("B-2"))
    'b2'
    """
    written: list[int] = []
    for one in ids:
        if one in (END, NONE):
            break
        if one != START:
            written.append(one - 1)
    return _CHARSET.decode(written)


class Read(NamedTuple):
    """The likeliest text that a beam found."""

    ids: tuple[int, ...]  # without the end
    log_probability: float  # of all symbols, the end included


class _Memory(NamedTuple):
    """What attention looks at."""

    places: Tensor  # (N, 256, D)
    keys: Tensor  # (N, 256, hidden)


class CharacterAttention(nn.Module):
    """Features of a region (N, dim, H, W) to one symbol a step.

    They are resized to 16 x 64 and come down to 8 x 32 places by a convolution and a maximum; each
    place is told its column and row (one-hot). At every step additive attention over the places, asked
    by the last hidden state (first 0), gives a glimpse, and a GRU reads it beside the last symbol.

    It runs in the type of its weights, whatever that of autocast.
    """

    where: Tensor

    def __init__(self, dim: int, *, hidden: int = 256) -> None:
        super().__init__()
        told = hidden + _WIDE + _HIGH  # 296
        self.conv = nn.Conv2d(dim, hidden, 3, padding=1)
        nn.init.kaiming_normal_(self.conv.weight, nonlinearity="relu")
        self.key = nn.Linear(told, hidden, bias=False)
        self.query = nn.Linear(hidden, hidden)
        self.score = nn.Linear(hidden, 1, bias=False)
        self.word = nn.Linear(SYMBOLS, hidden)
        self.cell = nn.GRUCell(hidden + told, hidden)
        self.generator = nn.Linear(hidden, SYMBOLS)
        columns = torch.eye(_WIDE)[:, None].expand(-1, _HIGH, -1)
        rows = torch.eye(_HIGH)[:, :, None].expand(-1, -1, _WIDE)
        self.register_buffer("where", torch.cat([columns, rows])[None], persistent=False)

    def forward(self, features: Tensor, truth: Tensor) -> Tensor:
        """Log-probabilities (N, T, 38) of steps that are told the true symbols ``truth`` (N, T) before them."""
        with torch.autocast(features.device.type, enabled=False):
            memory, state = self._start(features)
            before = F.pad(truth[:, :-1].clamp(min=START), (1, 0), value=START)
            steps: list[Tensor] = []
            for previous in before.unbind(1):
                state = self._step(memory, previous, state)
                steps.append(self.generator(state))
            return torch.stack(steps, dim=1).log_softmax(-1)

    @torch.no_grad()
    def greedy(self, features: Tensor, *, steps: int = STEPS) -> Tensor:
        """(N, steps) the likeliest symbol after each likeliest one before it; none ends early."""
        with torch.autocast(features.device.type, enabled=False):
            memory, state = self._start(features)
            chosen = [torch.full((len(features),), START, device=features.device)]
            for _ in range(steps):
                state = self._step(memory, chosen[-1], state)
                chosen.append(self.generator(state).argmax(-1))
            return torch.stack(chosen[1:], dim=1)

    @torch.no_grad()
    def beam(self, features: Tensor, *, width: int = 6, steps: int = STEPS) -> list[Read]:
        """The likeliest of the texts that are left when ``width`` are kept at every step, one a region.

        A text that has ended stays as it is; those of ``steps`` symbols need no end. What is compared
        is the sum of log-probabilities, whatever the length.
        """
        with torch.autocast(features.device.type, enabled=False):
            n, device, hidden = len(features), features.device, self.cell.hidden_size
            memory, state = self._start(features)
            memory = _Memory(*(part.repeat_interleave(width, dim=0) for part in memory))
            state = state.repeat_interleave(width, dim=0)  # (N * width, hidden)
            total = state.new_full((n, width), -torch.inf)
            total[:, 0] = 0  # at first there is one text, the empty one
            texts = torch.full((n, width, 1), START, device=device)
            at = torch.arange(n, device=device)[:, None]
            stays = total.new_full((SYMBOLS,), -torch.inf)
            stays[END] = 0
            for _ in range(steps):
                state = self._step(memory, texts[:, :, -1].flatten(), state)
                says = self.generator(state).log_softmax(-1).view(n, width, SYMBOLS)
                says = torch.where((texts[:, :, -1] == END)[:, :, None], stays, says)
                total, best = (total[:, :, None] + says).flatten(1).topk(width, dim=1)
                parent, symbol_of = best // SYMBOLS, best % SYMBOLS
                texts = torch.cat([texts[at, parent], symbol_of[:, :, None]], dim=2)
                state = state.view(n, width, hidden)[at, parent].flatten(0, 1)
                if (texts[:, :, -1] == END).all():
                    break
            return [
                Read(tuple(one for one in ids[1:] if one != END), log_probability)
                for ids, log_probability in zip(
                    texts[:, 0].tolist(), total[:, 0].tolist(), strict=True
                )
            ]

    def _start(self, features: Tensor) -> tuple[_Memory, Tensor]:
        features = features.to(self.key.weight.dtype)
        resized = F.interpolate(features, (2 * _HIGH, 2 * _WIDE), mode="bilinear")
        maps = F.max_pool2d(F.relu(self.conv(resized)), 2)  # (N, hidden, 8, 32)
        places = torch.cat([maps, self.where.to(maps.dtype).expand(len(maps), -1, -1, -1)], dim=1)
        places = places.flatten(2).transpose(1, 2)
        return _Memory(places, self.key(places)), maps.new_zeros(len(maps), self.cell.hidden_size)

    def _step(self, memory: _Memory, previous: Tensor, state: Tensor) -> Tensor:
        energy = self.score(torch.tanh(memory.keys + self.query(state)[:, None]))  # (N, 256, 1)
        glimpse = (energy.softmax(1).transpose(1, 2) @ memory.places)[:, 0]
        word = self.word(F.one_hot(previous, SYMBOLS).to(state.dtype))
        after: Tensor = self.cell(torch.cat([word, glimpse], dim=1), state)
        return after
