"""The encoder and the decoder of PARSeq, with every bias and learned positions.

Source: Bautista and Atienza, PARSeq, ECCV 2022, section 3; layout and constants as in the official
code, strhub/models/parseq/modules.py over timm's VisionTransformer.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from strbench.errors import StrbenchError

from .vit import attend


class Size(NamedTuple):
    """Width, depth, heads of encoder and decoder, patch (height, width in pixels)."""

    dim: int
    depth: int
    heads: int
    decoder_heads: int
    patch: tuple[int, int]


class Kept(NamedTuple):
    """Keys and values (N, heads, L, dim / heads) that queries attend to."""

    keys: Tensor
    values: Tensor


class MultiHead(nn.Module):
    """Attention with all biases; dropout acts on its weights and on what comes out of it."""

    def __init__(self, dim: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.project = nn.Linear(dim, 3 * dim)  # queries, keys, values
        self.out = nn.Linear(dim, dim)

    def keep(self, tokens: Tensor) -> Kept:
        """The keys and values of tokens (N, L, dim)."""
        dim = tokens.shape[-1]
        both = F.linear(tokens, self.project.weight[dim:], self.project.bias[dim:])
        keys, values = both.unflatten(-1, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return Kept(keys, values)

    def forward(self, tokens: Tensor, kept: Kept, seen: Tensor | None = None) -> Tensor:
        """What tokens (N, Q, dim) gather from ``kept``; ``seen`` (N, Q, L) tells from where."""
        dim = tokens.shape[-1]
        queries = F.linear(tokens, self.project.weight[:dim], self.project.bias[:dim])
        queries = queries.unflatten(-1, (self.heads, -1)).transpose(
            1, 2
        )  # (N, heads, Q, dim / heads)
        dropout = self.dropout if self.training else 0.0
        if seen is None:
            mixed = attend(queries, kept.keys, kept.values, dropout)
        else:  # at most 26 by 26
            scores = queries * queries.shape[-1] ** -0.5 @ kept.keys.transpose(-2, -1)
            scores = scores.masked_fill(~seen[:, None], float("-inf"))
            mixed = F.dropout(scores.softmax(-1), dropout) @ kept.values
        out: Tensor = F.dropout(
            self.out(mixed.transpose(1, 2).flatten(2)), self.dropout, self.training
        )
        return out


def _mlp(dim: int, dropout: float = 0.0) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(dim, 4 * dim),
        nn.GELU(),
        nn.Dropout(dropout),
        nn.Linear(4 * dim, dim),
        nn.Dropout(dropout),
    )


class Block(nn.Module):
    """A pre-norm encoder block."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attention = MultiHead(dim, heads)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = _mlp(dim)

    def forward(self, tokens: Tensor) -> Tensor:
        normed = self.norm1(tokens)
        tokens = tokens + self.attention(normed, self.attention.keep(normed))
        out: Tensor = tokens + self.mlp(self.norm2(tokens))
        return out


class Encoder(nn.Module):
    """Normalised images (B, 3, H, W) to one feature a patch (B, L, dim); positions are learned.

    ``parts.vit.ViT`` is another network: its positions are fixed and its keys have no bias.
    """

    def __init__(self, size: Size, *, height: int, width: int) -> None:
        super().__init__()
        if height % size.patch[0] or width % size.patch[1]:
            raise StrbenchError(
                f"Images of {height}x{width} pixels are not a whole number of "
                f"{size.patch[0]}x{size.patch[1]} patches.",
                hint="--set height=32 --set width=128",
            )
        patches = height // size.patch[0] * (width // size.patch[1])
        self.patch_embed = nn.Conv2d(3, size.dim, kernel_size=size.patch, stride=size.patch)
        self.positions = nn.Parameter(torch.empty(1, patches, size.dim))
        self.blocks = nn.Sequential(*(Block(size.dim, size.heads) for _ in range(size.depth)))
        self.norm = nn.LayerNorm(size.dim, eps=1e-6)

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.patch_embed(images).flatten(2).transpose(1, 2) + self.positions
        out: Tensor = self.norm(self.blocks(tokens))
        return out


class Decoder(nn.Module):
    """One pre-norm layer: queries attend to known characters, then to the image; and a final norm."""

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.norm_query = nn.LayerNorm(dim)
        self.norm_characters = nn.LayerNorm(dim)
        self.to_characters = MultiHead(dim, heads, dropout)
        self.norm_image = nn.LayerNorm(dim)
        self.to_image = MultiHead(dim, heads, dropout)
        self.norm_mlp = nn.LayerNorm(dim)
        self.mlp = _mlp(dim, dropout)
        self.norm = nn.LayerNorm(dim)

    def keep(self, characters: Tensor) -> Kept:
        """What queries attend to of embedded characters (N, T, dim)."""
        return self.to_characters.keep(self.norm_characters(characters))

    def forward(self, queries: Tensor, known: Kept, image: Kept, seen: Tensor) -> Tensor:
        """Hidden states (N, Q, dim); N may be K times the images, the K of an image side by side."""
        images = len(image.keys)
        hidden = queries + self.to_characters(self.norm_query(queries), known, seen)
        hidden = hidden.reshape(images, -1, hidden.shape[-1])  # (B, K * Q, dim)
        hidden = hidden + self.to_image(self.norm_image(hidden), image)
        hidden = hidden + self.mlp(self.norm_mlp(hidden))
        out: Tensor = self.norm(hidden).view(queries.shape)
        return out
