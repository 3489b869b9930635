"""A transformer decoder that writes characters: pre-norm, sinusoid positions, all patches in view.

The decoder that DiG (Yang et al., ACM MM 2022) and MAERec (Jiang et al., ICCV 2023) fine-tune with,
after NRTR (Sheng et al., ICDAR 2019). Attention's projections have no biases unless asked for,
embeddings are not scaled, and the image's features are not normalised again by the layers.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .vit import attend, sinusoid


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Width, number of layers, heads, and width inside the MLPs of a decoder."""

    width: int
    depth: int
    heads: int
    inner: int


class Attention(nn.Module):
    """Multi-head attention from some tokens to keys and values that may be kept between calls."""

    def __init__(self, width: int, heads: int, *, bias: bool, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.query = nn.Linear(width, width, bias=bias)
        self.key_value = nn.Linear(width, 2 * width, bias=bias)
        self.proj = nn.Linear(width, width, bias=bias)
        self.drop = nn.Dropout(dropout)

    def keys_values(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values (B, heads, L, D) of tokens (B, L, width)."""
        batch, length, width = tokens.shape
        joint = self.key_value(tokens).view(batch, length, 2, self.heads, width // self.heads)
        key, value = joint.permute(2, 0, 3, 1, 4)
        return key, value

    def forward(
        self, tokens: Tensor, key: Tensor, value: Tensor, *, causal: bool = False
    ) -> Tensor:
        """What tokens (B, T, width) gather from keys and values; (B, T, width)."""
        batch, length, width = tokens.shape
        query = self.query(tokens).view(batch, length, self.heads, -1).transpose(1, 2)
        dropout = self.dropout if self.training else 0.0
        mixed = attend(query, key, value, dropout, causal=causal)  # (B, heads, T, D)
        out: Tensor = self.drop(self.proj(mixed.transpose(1, 2).reshape(batch, length, width)))
        return out


class Layer(nn.Module):
    """Self-attention over the word so far, attention to the image, and an MLP; each pre-norm."""

    def __init__(self, shape: Shape, *, bias: bool, dropout: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(shape.width)
        self.self_attention = Attention(shape.width, shape.heads, bias=bias, dropout=dropout)
        self.norm2 = nn.LayerNorm(shape.width)
        self.cross_attention = Attention(shape.width, shape.heads, bias=bias, dropout=dropout)
        self.norm3 = nn.LayerNorm(shape.width)
        self.mlp = nn.Sequential(
            nn.Linear(shape.width, shape.inner),
            nn.GELU(),
            nn.Linear(shape.inner, shape.width),
            nn.Dropout(dropout),
        )

    def forward(
        self, tokens: Tensor, image: list[Tensor], past: list[Tensor] | None = None
    ) -> tuple[Tensor, list[Tensor]]:
        """The layer's tokens (N, T, width), and the keys and values of the word so far.

        Args:
            image: keys and values of B images. N may be a multiple of B: hypotheses of one image
                are neighbours, and look at it together.
            past: keys and values of earlier tokens, then T is 1; None: a whole word, each token of
                which sees the ones before it.
        """
        normed = self.norm1(tokens)
        key, value = self.self_attention.keys_values(normed)
        if past is not None:
            key, value = torch.cat([past[0], key], 2), torch.cat([past[1], value], 2)
        tokens = tokens + self.self_attention(normed, key, value, causal=past is None)
        looking = self.norm2(tokens).view(len(image[0]), -1, tokens.shape[-1])
        tokens = tokens + self.cross_attention(looking, *image).view_as(tokens)
        return tokens + self.mlp(self.norm3(tokens)), [key, value]


class TransformerDecoder(nn.Module):
    """Features (B, L, dim) and input tokens (B, T) to logits (B, T, classes); ``parts.decoding`` reads.

    Args:
        dim: width of the features.
        tokens: rows of the embedding, special tokens included.
        slots: most tokens a word.
        bridge: a Linear and a LayerNorm bring the features to the decoder's width; without it
            ``dim`` must be that width.
        bias: biases in the projections of attention.

    Dropout acts after the positions, on attention weights, after attention's projections and at the
    end of the MLPs. Linear layers keep PyTorch's initialisation.
    """

    def __init__(
        self,
        dim: int,
        shape: Shape,
        *,
        tokens: int,
        classes: int,
        slots: int,
        dropout: float = 0.1,
        bridge: bool = True,
        bias: bool = False,
    ) -> None:
        super().__init__()
        width = shape.width
        self.bridge = (
            nn.Sequential(nn.Linear(dim, width), nn.LayerNorm(width)) if bridge else nn.Identity()
        )
        self.embedding = nn.Embedding(tokens, width)
        self.positions: Tensor
        self.register_buffer("positions", sinusoid(slots, width), persistent=False)
        self.drop = nn.Dropout(dropout)
        self.layers = nn.ModuleList(
            Layer(shape, bias=bias, dropout=dropout) for _ in range(shape.depth)
        )
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.classifier = nn.Linear(width, classes)
        self.heads = shape.heads

    def forward(self, features: Tensor, tokens: Tensor) -> Tensor:
        """Teacher-forced logits (B, T, classes): those at place t depend on tokens up to t."""
        memory = self.bridge(features)
        x = self.drop(self.embedding(tokens) + self.positions[:, : tokens.shape[1]])
        for layer in self.layers:
            x, _ = layer(x, layer.cross_attention.keys_values(memory))
        return self._classes(x)

    def begin(self, features: Tensor, *, beams: int) -> tuple[list[Tensor], list[Tensor]]:
        """Keys and values of the image for every layer, and those of a word without tokens."""
        memory = self.bridge(features)
        fixed = [t for layer in self.layers for t in layer.cross_attention.keys_values(memory)]
        width = self.embedding.embedding_dim
        empty = fixed[0].new_zeros(len(features) * beams, self.heads, 0, width // self.heads)
        return fixed, [empty] * len(fixed)

    def step(
        self, tokens: Tensor, fixed: list[Tensor], past: list[Tensor]
    ) -> tuple[Tensor, list[Tensor]]:
        """Logits (N, classes) behind tokens (N,), computed from them and the kept keys and values."""
        place = past[0].shape[2]
        x = self.drop(self.embedding(tokens)[:, None] + self.positions[:, place])
        kept: list[Tensor] = []
        for index, layer in enumerate(self.layers):
            both = slice(2 * index, 2 * index + 2)
            x, grown = layer(x, fixed[both], past[both])
            kept += grown
        return self._classes(x[:, 0]), kept

    def _classes(self, tokens: Tensor) -> Tensor:
        # in float32 under autocast: logits rounded to bfloat16 are often equal where they should not be
        with torch.autocast(tokens.device.type, enabled=False):
            logits: Tensor = self.classifier(self.norm(tokens.to(self.norm.weight.dtype)))
        return logits
