"""What oCLIP sets on an image network: an attention pool, an encoder of words, and a decoder between them.

Xue et al., "Language Matters: A Weakly Supervised Vision-Language Pre-training Approach for Scene Text
Detection and Spotting", ECCV 2022 (arXiv 2203.03911); bytedance/oclip, src/clip/model.py. Layers are
initialised as there: normal numbers of the deviations in ``Deviations``, biases of attention in encoder and
decoder zero, all other biases as PyTorch draws them.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from .vit import attend

HEAD = 64  # channels of a head of the pool; bytedance/oclip, model.py


class Deviations(NamedTuple):
    """Standard deviations of a transformer's weights as they are drawn."""

    attention: float  # queries, keys and values
    out: float  # the last matrix of attention and of the MLP
    inner: float  # the MLP's first matrix

    @classmethod
    def of(cls, width: int, layers: int) -> Deviations:
        """Those of a transformer with so many layers of that width."""
        return cls(width**-0.5, width**-0.5 * (2 * layers) ** -0.5, (2 * width) ** -0.5)


class QuickGELU(nn.Module):
    """x times the logistic function of 1.702 x."""

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(1.702 * x)


class Attention(nn.Module):
    """Multi-head attention from queries (B, Q, width) over keys and values (B, N, width)."""

    def __init__(self, width: int, heads: int, *, outputs: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.proj = nn.Linear(width, outputs)

    def init(self, std: float, out: float) -> None:
        """Draws the weights again."""
        for part in (self.query, self.key, self.value):
            nn.init.normal_(part.weight, std=std)
        nn.init.normal_(self.proj.weight, std=out)

    def _split(self, tokens: Tensor) -> Tensor:
        batch, length, width = tokens.shape
        return tokens.view(batch, length, self.heads, width // self.heads).transpose(1, 2)

    def forward(self, query: Tensor, key: Tensor, value: Tensor, *, causal: bool = False) -> Tensor:
        """(B, Q, outputs)."""
        mixed = attend(
            self._split(self.query(query)),
            self._split(self.key(key)),
            self._split(self.value(value)),
            causal=causal,
        )
        out: Tensor = self.proj(mixed.transpose(1, 2).flatten(2))
        return out


class AttentionPool(nn.Module):
    """Maps (B, channels, H, W) to tokens (B, 1 + H * W, dim) of which every one has asked all others.

    Token 0 begins as the mean of the maps and stands for the image; CLIP's own pool has it alone.

    Args:
        places: H * W.
    """

    def __init__(self, channels: int, places: int, dim: int) -> None:
        super().__init__()
        self.positions = nn.Parameter(torch.randn(1 + places, channels) * channels**-0.5)
        self.attention = Attention(channels, channels // HEAD, outputs=dim)
        self.attention.init(channels**-0.5, channels**-0.5)

    def forward(self, maps: Tensor) -> Tensor:
        tokens = maps.flatten(2).transpose(1, 2)  # (B, H * W, channels)
        tokens = torch.cat([tokens.mean(1, keepdim=True), tokens], dim=1) + self.positions
        out: Tensor = self.attention(tokens, tokens, tokens)
        return out


class _Layer(nn.Module):
    """Attention and an MLP, each added to what came in; the subclasses say where they normalise."""

    def __init__(self, width: int, heads: int, deviations: Deviations) -> None:
        super().__init__()
        self.attention = Attention(width, heads, outputs=width)
        self.attention.init(deviations.attention, deviations.out)
        for part in self.attention.children():
            assert isinstance(part, nn.Linear)
            nn.init.zeros_(part.bias)
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)
        first, last = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        nn.init.normal_(first.weight, std=deviations.inner)
        nn.init.normal_(last.weight, std=deviations.out)
        self.mlp = nn.Sequential(first, QuickGELU(), last)


class EncoderLayer(_Layer):
    """A character sees itself and those before it; normalised before attention."""

    def forward(self, tokens: Tensor) -> Tensor:
        normed = self.norm1(tokens)
        tokens = tokens + self.attention(normed, normed, normed, causal=True)
        out: Tensor = tokens + self.mlp(self.norm2(tokens))
        return out


class DecoderLayer(_Layer):
    """Words look at the image and not at each other; normalised after attention."""

    def forward(self, words: Tensor, key: Tensor, value: Tensor) -> Tensor:
        words = words + self.norm1(self.attention(words, key, value))
        out: Tensor = words + self.mlp(self.norm2(words))
        return out


class WordEncoder(nn.Module):
    """Symbols (B, K, L) of K word slots, int64, to a vector of each (B, K, dim).

    A word's vector is its feature at the largest symbol, which is the end sign's. An empty slot, all
    zeros, is encoded like any other and gives one and the same vector everywhere.

    Args:
        symbols: rows of the embedding.
        length: L.
        is_ordered: False: no layers and no positions, a word is the mean of its embeddings.
    """

    def __init__(
        self,
        *,
        symbols: int,
        length: int,
        width: int,
        layers: int,
        heads: int,
        dim: int,
        is_ordered: bool,
    ) -> None:
        super().__init__()
        self.is_ordered = is_ordered
        self.embedding = nn.Embedding(symbols, width)
        nn.init.normal_(self.embedding.weight, std=0.02)
        if is_ordered:
            deviations = Deviations.of(width, layers)
            self.positions = nn.Parameter(0.01 * torch.randn(length, width))
            self.layers = nn.Sequential(
                *(EncoderLayer(width, heads, deviations) for _ in range(layers))
            )
        self.norm = nn.LayerNorm(width)
        self.proj = nn.Linear(width, dim, bias=False)
        nn.init.normal_(self.proj.weight, std=width**-0.5)

    def forward(self, words: Tensor) -> Tensor:
        symbols = words.flatten(0, 1)  # (B * K, L)
        tokens = self.embedding(symbols)
        if self.is_ordered:
            tokens = self.layers(tokens + self.positions)
            rows = torch.arange(len(symbols), device=symbols.device)
            whole = tokens[rows, symbols.argmax(1)]
        else:
            counts = (symbols > 0)[..., None]
            whole = (tokens * counts).sum(1) / counts.sum(1).clamp(min=1)
        out: Tensor = self.proj(self.norm(whole))
        return out.view(*words.shape[:2], -1)


class Decoder(nn.Module):
    """Word vectors (B, K, dim) and an image's tokens (B, N, dim) to one character a word (B, K, symbols).

    Keys know their places in the image, values do not.

    Args:
        deviations: officially those of the text encoder, whatever the decoder's own width.
        classifier: the deviation of the last matrix.
    """

    def __init__(
        self,
        *,
        dim: int,
        places: int,
        layers: int,
        heads: int,
        symbols: int,
        deviations: Deviations,
        classifier: float,
    ) -> None:
        super().__init__()
        self.positions = nn.Parameter(torch.randn(places, dim) * dim**-0.5)
        self.layers = nn.ModuleList(DecoderLayer(dim, heads, deviations) for _ in range(layers))
        self.norm = nn.LayerNorm(dim)
        self.classifier = nn.Linear(dim, symbols)
        nn.init.normal_(self.classifier.weight, std=classifier)

    def forward(self, words: Tensor, memory: Tensor) -> Tensor:
        keys = memory + self.positions
        for layer in self.layers:
            words = layer(words, keys, memory)
        # in float32 under autocast, as the loss is
        with torch.autocast(words.device.type, enabled=False):
            logits: Tensor = self.classifier(self.norm(words.to(self.norm.weight.dtype)))
        return logits
