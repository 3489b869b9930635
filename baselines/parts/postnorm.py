"""Transformer layers that normalise after each residual sum, as in Vaswani et al. (2017)."""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Attention(nn.Module):
    """Multi-head attention with biases; its weights start as those of ``nn.MultiheadAttention``."""

    def __init__(self, dim: int, heads: int, *, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.inward = nn.Linear(dim, 3 * dim)  # queries, keys, values
        self.outward = nn.Linear(dim, dim)
        nn.init.xavier_uniform_(self.inward.weight)
        nn.init.zeros_(self.inward.bias)
        nn.init.zeros_(self.outward.bias)

    def forward(self, queries: Tensor, memory: Tensor, visible: Tensor | None = None) -> Tensor:
        """What queries (B, T, D) gather from memory (B, L, D) where ``visible`` (B or 1, T, L) is true."""
        dim = queries.shape[-1]
        weight, bias = self.inward.weight, self.inward.bias
        q = F.linear(queries, weight[:dim], bias[:dim])
        k, v = F.linear(memory, weight[dim:], bias[dim:]).chunk(2, -1)
        q, k, v = (x.unflatten(-1, (self.heads, -1)).transpose(1, 2) for x in (q, k, v))
        out = F.scaled_dot_product_attention(
            q,
            k,
            v,
            attn_mask=None if visible is None else visible[:, None],
            dropout_p=self.dropout if self.training else 0.0,
        )  # (B, heads, T, D / heads)
        return cast(Tensor, self.outward(out.transpose(1, 2).flatten(2)))


class PostNormLayer(nn.Module):
    """One attention and one ReLU network of two layers, each added and then normalised.

    Attending to itself it is an encoder layer; attending to a memory, a decoder layer without
    self-attention.
    """

    def __init__(self, dim: int, heads: int, *, hidden: int, dropout: float) -> None:
        super().__init__()
        self.attention = Attention(dim, heads, dropout=dropout)
        self.attention_norm = nn.LayerNorm(dim)
        self.inner = nn.Linear(dim, hidden)
        self.outer = nn.Linear(hidden, dim)
        self.outer_norm = nn.LayerNorm(dim)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, tokens: Tensor, memory: Tensor | None = None, visible: Tensor | None = None
    ) -> Tensor:
        """Tokens (B, T, D) after one layer; without a memory (B, L, D) they look at themselves."""
        gathered = self.attention(tokens, tokens if memory is None else memory, visible)
        tokens = self.attention_norm(tokens + self.dropout(gathered))
        inner = self.dropout(F.relu(self.inner(tokens)))
        out: Tensor = self.outer_norm(tokens + self.dropout(self.outer(inner)))
        return out


class Positions(nn.Module):
    """Fixed sinusoids that are added to tokens (B, L, D), then dropout; not part of the state."""

    table: Tensor

    def __init__(self, table: Tensor, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.register_buffer("table", table, persistent=False)  # (1, L, D)
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        return cast(Tensor, self.dropout(tokens + self.table))


def inside(lengths: Tensor, most: int) -> Tensor:
    """Booleans (B, most), true at the positions before each length."""
    return torch.arange(most, device=lengths.device) < lengths[:, None]
