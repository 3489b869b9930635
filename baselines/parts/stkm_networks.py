"""STKM behind the backbone: maps brought together with their place, a character decoder, and its loss.

Source: Wan et al., Self-attention based Text Knowledge Mining for Text Detection, CVPR 2021, section 3;
CVI-SZU/STKM, model/transformers.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from strbench.errors import StrbenchError

from .batchnorm import BatchNorm2d
from .vit import attend, sinusoid

PAD = 0  # the id that fills captions up; dataloader_syn.py
POSITIONS = 4096  # rows of the decoder's table of positions, whatever the length of its sequences


class Fusion(nn.Module):
    """Maps C2 to C5 to one of ``dim`` channels at stride 8, to which learned coordinates are added.

    The coarsest level enters as its 1x1 convolution leaves it; the others are smoothed by a 3x3
    convolution after the coarser one was added. Convolutions have biases.

    Args:
        neck: channels of a level.
        kernel: side of the convolution over the four levels: 3 in the code, 1 in the paper.

    Raises:
        StrbenchError: an even kernel.
    """

    def __init__(self, widths: Sequence[int], *, neck: int, dim: int, kernel: int) -> None:
        super().__init__()
        if kernel < 1 or kernel % 2 == 0:
            raise StrbenchError(
                f"fusion={kernel}: expected an odd kernel, 3 as in STKM's code or 1 as in its paper.",
                hint="--set fusion=3",
            )
        self.lateral = nn.ModuleList(_normalised(w, neck, 1) for w in widths)
        self.smooth = nn.ModuleList(_normalised(neck, neck, 3) for _ in widths[:-1])
        self.join = _normalised(len(widths) * neck, dim, kernel)
        self.place = _normalised(2, dim, 1)
        for part in self.modules():
            if isinstance(part, nn.Conv2d):
                nn.init.xavier_uniform_(part.weight)
                assert part.bias is not None
                nn.init.zeros_(part.bias)

    def forward(self, stages: Sequence[Tensor]) -> Tensor:
        """(B, dim, H / 8, W / 8)."""
        own = [
            F.relu(lateral(maps)) for lateral, maps in zip(self.lateral, stages, strict=True)
        ]  # finest first
        levels = [own[-1]]
        for maps, smooth in zip(reversed(own[:-1]), reversed(self.smooth), strict=True):
            levels.append(F.relu(smooth(_enlarged(levels[-1], maps) + maps)))
        finest = levels[-1]
        joined = torch.cat([*(_enlarged(level, finest) for level in levels[:-1]), finest], dim=1)
        joined = F.max_pool2d(F.relu(self.join(joined)), 2)
        return joined + torch.sigmoid(self.place(_coordinates(joined)))


def _normalised(before: int, after: int, kernel: int) -> nn.Sequential:
    conv = nn.Conv2d(before, after, kernel, padding=kernel // 2)
    return nn.Sequential(conv, BatchNorm2d(after))


def _enlarged(maps: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(maps, size=like.shape[2:], mode="bilinear")


def _coordinates(maps: Tensor) -> Tensor:
    """(1, 2, H, W) for maps (B, C, H, W): each row's number by H, each column's by W; 0 comes first.

    One for the whole batch: the statistics that normalise it are those of any number of copies.
    """
    height, width = maps.shape[2:]
    rows = torch.arange(height, device=maps.device, dtype=maps.dtype) / height
    columns = torch.arange(width, device=maps.device, dtype=maps.dtype) / width
    return torch.stack(
        [rows[:, None].expand(height, width), columns.expand(height, width)]
    ).unsqueeze(0)


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Layers, width, heads, the width of a head's keys and values, and of the MLPs of a decoder."""

    layers: int
    dim: int
    heads: int
    head: int
    hidden: int


class Attention(nn.Module):
    """Attention whose heads have a width of their own, added to the tokens and then normalised."""

    def __init__(self, shape: Shape, *, dropout: float) -> None:
        super().__init__()
        inner = shape.heads * shape.head
        self.heads = shape.heads
        self.query = nn.Linear(shape.dim, inner)
        self.key = nn.Linear(shape.dim, inner)
        self.value = nn.Linear(shape.dim, inner)
        self.out = nn.Linear(inner, shape.dim)
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(shape.dim)

    def forward(self, tokens: Tensor, memory: Tensor | None = None) -> Tensor:
        """Tokens (B, T, D) that looked at a memory (B, L, D), or at themselves up to each of them."""
        seen = tokens if memory is None else memory
        query, key, value = (
            projected.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (B, heads, T or L, head)
            for projected in (self.query(tokens), self.key(seen), self.value(seen))
        )
        gathered = attend(query, key, value, causal=memory is None).transpose(1, 2).flatten(2)
        out: Tensor = self.norm(tokens + self.dropout(self.out(gathered)))
        return out


class Layer(nn.Module):
    """Attention to the sequence so far, attention to the image, a ReLU network; each normalised behind."""

    def __init__(self, shape: Shape, *, dropout: float) -> None:
        super().__init__()
        self.own = Attention(shape, dropout=dropout)
        self.image = Attention(shape, dropout=dropout)
        self.inner = nn.Linear(shape.dim, shape.hidden)
        self.outer = nn.Linear(shape.hidden, shape.dim)
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(shape.dim)

    def forward(self, tokens: Tensor, memory: Tensor) -> Tensor:
        tokens = self.image(self.own(tokens), memory)
        inner = self.outer(F.relu(self.inner(tokens)))
        out: Tensor = self.norm(tokens + self.dropout(inner))
        return out


class Decoder(nn.Module):
    """Ids (B, T) and an image's tokens (B, L, dim) to features (B, T, dim), each from the ids up to it.

    Positions start as sinusoids and are trained, all ``POSITIONS`` of them. The embedding of the padding
    stays zero.
    """

    def __init__(self, shape: Shape, *, classes: int, dropout: float) -> None:
        super().__init__()
        self.embedding = nn.Embedding(classes, shape.dim, padding_idx=PAD)
        self.positions = nn.Parameter(sinusoid(POSITIONS, shape.dim)[0])
        self.layers = nn.ModuleList(Layer(shape, dropout=dropout) for _ in range(shape.layers))

    def forward(self, memory: Tensor, ids: Tensor) -> Tensor:
        tokens: Tensor = self.embedding(ids) + self.positions[: ids.shape[1]]
        for layer in self.layers:
            tokens = layer(tokens, memory)
        return tokens


def divergence(logits: Tensor, target: Tensor, *, smoothing: float, spread: str) -> Tensor:
    """How far predictions are from the smoothed truth: Kullback-Leibler, (B, T), 0 where it is padding.

    The truth gives the right class 1 - ``smoothing``, the rest to the others evenly: with ``spread``
    "others" to all but the padding, with "all" to every class, padding and the right one included.

    Args:
        logits: (B, T, N).
        target: (B, T) ids.

    Source: section 3.3, equations 4 and 5; loss.py.
    """
    n = logits.shape[-1]
    logs = logits.log_softmax(-1)
    own = logs.gather(-1, target[..., None])[..., 0]
    rest = logs.sum(-1) - own
    if spread == "all":
        each, right, others = smoothing / n, 1 - smoothing + smoothing / n, n - 1
    else:
        each, right, others = smoothing / (n - 2), 1 - smoothing, n - 2
        rest = rest - logs[..., PAD]
    shares = logs.new_tensor([right, each])
    certain = torch.xlogy(shares, shares) @ shares.new_tensor([1.0, others])
    apart: Tensor = certain - right * own - each * rest
    return apart * (target != PAD)
