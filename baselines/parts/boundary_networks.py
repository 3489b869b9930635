"""TextBPN's networks: the U-shaped decoder, and what moves the points of a boundary.

Letters beside those of ``strbench.types``: P proposals of an image, N points of a boundary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .boundary_maps import POINTS
from .precision import exact
from .ranks import sum_over_ranks

REACH = 16.0  # pixels that a step moves a point at most; GXYM/TextBPN, network/textnet.py: clip_dis
STEPS = 3  # of the evolution; section 3.3

Attends = Literal["points", "proposals"]


def with_stem(backbone: nn.Module, images: Tensor) -> list[Tensor]:
    """The maps C1 to C5 of a network of ``parts.backbones``; C1 enters the first stage, at stride 4."""
    entered: list[Tensor] = []
    handle = backbone.layer1[0].register_forward_pre_hook(  # type: ignore[union-attr,operator,index]
        lambda _, inputs: entered.append(inputs[0])
    )
    try:
        stages: list[Tensor] = backbone(images)
    finally:
        handle.remove()
    return entered + stages


def stem_width(backbone: nn.Module) -> int:
    """Channels of C1."""
    channels: int = backbone.layer1[0].conv1.in_channels  # type: ignore[union-attr,index,assignment]
    return channels


class _Merge(nn.Module):
    """Two maps of one size, side by side: 1x1, ReLU, 3x3, and twice as large or not; ReLU."""

    def __init__(self, before: int, after: int, *, grows: bool) -> None:
        super().__init__()
        self.narrow = nn.Conv2d(before, after, 1)
        self.smooth = nn.Conv2d(after, after, 3, padding=1)
        self.grow = nn.ConvTranspose2d(after, after, 4, 2, 1) if grows else None

    def forward(self, below: Tensor, above: Tensor) -> Tensor:
        out = self.smooth(F.relu(self.narrow(torch.cat([below, above], dim=1))))
        if self.grow is not None:
            out = self.grow(F.relu(out))
        return F.relu(out)


class BoundaryDecoder(nn.Module):
    """Maps C1 to C5 to features (B, neck / 8, H / stride, W / stride).

    Args:
        stem: channels of C1.
        widths: channels of C2 to C5.
        neck: channels of C5 after its first step; the others have a half, a quarter and an eighth.
        stride: 1, 2 or 4, of the features.

    Source: GXYM/TextBPN-Plus-Plus, network/layers/model_block.py; TextBPN has the first stride alone.
    """

    def __init__(self, stem: int, widths: Sequence[int], neck: int, stride: int) -> None:
        super().__init__()
        c2, c3, c4, c5 = widths
        last = neck // 8
        self.top = nn.ConvTranspose2d(c5, neck, 4, 2, 1)
        self.stem = nn.ConvTranspose2d(stem, stem, 4, 2, 1) if stride < 4 else nn.Identity()
        self.merges = nn.ModuleList(
            (
                _Merge(c4 + neck, neck // 2, grows=True),
                _Merge(c3 + neck // 2, neck // 4, grows=True),
                _Merge(c2 + neck // 4, last, grows=stride < 4),
                _Merge(stem + last, last, grows=stride < 2),
            )
        )

    def forward(self, stages: Sequence[Tensor]) -> Tensor:
        c1, c2, c3, c4, c5 = stages
        maps = F.relu(self.top(c5))
        for beside, merge in zip((c4, c3, c2, self.stem(c1)), self.merges, strict=True):
            maps = merge(beside, maps)
        return maps


def map_head(width: int) -> nn.Sequential:
    """Features to the logits of text and distance, and the direction: (B, 4, h, w)."""
    inner = width // 2
    return nn.Sequential(
        nn.Conv2d(width, inner, 3, padding=2, dilation=2),
        nn.PReLU(),
        nn.Conv2d(inner, inner, 3, padding=4, dilation=4),
        nn.PReLU(),
        nn.Conv2d(inner, 4, 1),
    )


# --- the boundary


def sampled(maps: Tensor, points: Tensor, size: tuple[int, int]) -> Tensor:
    """Maps (B, C, h, w) at points (B, P, N, 2), bilinear: (B, P, N, C).

    Args:
        size: height and width of the image that the maps are of; points are in its pixels, x and y, and
            a pixel's value stands at its centre. Beyond the maps everything is 0.
    """
    height, width = size
    grid = points / points.new_tensor((width / 2, height / 2)) - 1
    values = F.grid_sample(maps, grid, align_corners=False)  # (B, C, P, N)
    return values.permute(0, 2, 3, 1)


class NodeNorm(nn.Module):
    """Features (B, P, N, C) less their mean, by their deviation, over the used boundaries of all ranks.

    Running statistics take over in ``eval``. It is ``nn.BatchNorm1d(C, affine=False)``, over rows that a
    mask (B, P) chooses: boundaries are as many an image on every rank, used or not.
    """

    mean: Tensor
    variance: Tensor

    def __init__(self, width: int, *, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("variance", torch.ones(width))

    def forward(self, nodes: Tensor, used: Tensor) -> Tensor:
        if not self.training:
            return (nodes - self.mean) * torch.rsqrt(self.variance + self.eps)
        counts = used[..., None, None].to(nodes.dtype)  # (B, P, 1, 1)
        n = sum_over_ranks(counts.sum()) * nodes.shape[2]
        mean = sum_over_ranks((nodes * counts).sum((0, 1, 2))) / n.clamp(min=1)
        centred = nodes - mean
        squares = sum_over_ranks((centred.square() * counts).sum((0, 1, 2)))
        variance = squares / n.clamp(min=1)
        with torch.no_grad():  # a batch without a boundary teaches nothing
            step = self.momentum * (n > 0).to(nodes.dtype)
            self.mean.lerp_(mean.to(self.mean.dtype), step.to(self.mean.dtype))
            unbiased = (squares / (n - 1).clamp(min=1)).to(self.variance.dtype)
            self.variance.lerp_(unbiased, step.to(self.variance.dtype))
        return centred * torch.rsqrt(variance + self.eps)


def _answer(width: int, state: int, *dropouts: float) -> nn.Sequential:
    """Features of points to offsets (..., 2); a dropout behind each hidden layer."""
    layers: list[nn.Module] = []
    for after, rate in zip((state, state // 2), dropouts, strict=True):
        layers += [nn.Linear(width, after), nn.ReLU(), nn.Dropout(rate)]
        width = after
    return nn.Sequential(*layers, nn.Linear(width, 2))


class GraphConv(nn.Module):
    """Points (..., N, C) beside the weighted mean of their neighbours, through a layer and a ReLU."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.layer = nn.Linear(2 * before, after)
        nn.init.xavier_uniform_(self.layer.weight)
        nn.init.zeros_(self.layer.bias)

    def forward(self, nodes: Tensor, adjacency: Tensor) -> Tensor:
        return F.relu(self.layer(torch.cat([nodes, adjacency @ nodes], dim=-1)))


def ring(points: int = POINTS, neighbours: int = 4) -> Tensor:
    """(N, N) of a closed line: D^-1/2 (A + I) D^-1/2, where A joins a point to its next ones.

    >>> ring(20)[0].nonzero().flatten().tolist(), round(float(ring(20)[0, 0]), 6)
    ([0, 1, 2, 18, 19], 0.2)
    """
    steps = torch.arange(points)
    apart = (steps[:, None] - steps).abs()
    joined = (torch.minimum(apart, points - apart) <= neighbours // 2).float()  # A + I
    degree = joined.sum(1).rsqrt()
    weights: Tensor = degree[:, None] * joined * degree
    return weights


class AdaptiveDeformation(nn.Module):
    """Features of points (B, P, N, C) to their offsets: graph convolutions beside an LSTM.

    Args:
        state: width of the network, 128 in the paper.

    Source: TextBPN, section 3.3; GXYM/TextBPN, network/layers/gcn_rnn.py.
    """

    adjacency: Tensor

    def __init__(self, width: int, state: int, dropout: float) -> None:
        super().__init__()
        self.norm = NodeNorm(width)
        self.residual = nn.Linear(width, state)
        self.lstm = nn.LSTM(width, state, bidirectional=True, batch_first=True)
        widths = (width, 2 * state, 8 * state, 4 * state, state)
        self.graph = nn.ModuleList(GraphConv(a, b) for a, b in pairwise(widths))
        self.answer = _answer(4 * state, state, dropout, dropout)
        self.register_buffer("adjacency", ring(), persistent=False)

    def forward(self, nodes: Tensor, used: Tensor) -> Tensor:
        nodes = self.norm(nodes, used)
        along, _ = self.lstm(nodes.flatten(0, 1))  # (B * P, N, 2 * state)
        around = nodes
        for layer in self.graph:
            around = layer(around, self.adjacency)
        both = [along.unflatten(0, nodes.shape[:2]), around, self.residual(nodes)]
        out: Tensor = self.answer(torch.cat(both, dim=-1))
        return out


class _Block(nn.Module):
    """Self-attention and a feed-forward layer, both behind a norm, and once more what came in.

    Query, key and value have a further layer with a ReLU each before those of the attention.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.parts = nn.ModuleList(nn.Linear(width, width) for _ in range(3))
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.feed_norm = nn.LayerNorm(width)
        self.feed = nn.Sequential(
            nn.Linear(width, 8 * width), nn.ReLU(), nn.Linear(8 * width, width)
        )

    def forward(self, rows: Tensor, hidden: Tensor | None) -> Tensor:
        seen = self.attention_norm(rows)
        query, key, value = (F.relu(part(seen)) for part in self.parts)
        looked, _ = self.attention(query, key, value, attn_mask=hidden, need_weights=False)
        inner = rows + looked
        out: Tensor = rows + inner + self.feed(self.feed_norm(inner))
        return out


class BoundaryTransformer(nn.Module):
    """Features of points (B, P, N, C) to their offsets: three blocks of a transformer, no positions.

    Args:
        attends: "points" of one boundary look at each other, as the paper says; or, as the official code
            lays out its tensors, points of the same number in all "proposals" of an image.

    Source: TextBPN++, section III-C; GXYM/TextBPN-Plus-Plus, network/layers/Transformer.py.
    """

    def __init__(self, width: int, state: int, dropout: float, attends: Attends) -> None:
        super().__init__()
        self.attends, self.heads = attends, 8
        self.norm = NodeNorm(width)
        self.residual = nn.Linear(width, state)
        self.enter = nn.Linear(width, state)
        self.blocks = nn.ModuleList(_Block(state, self.heads) for _ in range(3))
        self.answer = _answer(2 * state, state, dropout, 0.0)

    def forward(self, nodes: Tensor, used: Tensor) -> Tensor:
        nodes = self.norm(nodes, used)
        images, proposals, points = nodes.shape[:3]
        rows, hidden = self.enter(nodes), None
        if self.attends == "points":
            rows = rows.flatten(0, 1)
        else:
            rows = rows.transpose(1, 2).flatten(0, 1)  # (B * N, P, state)
            itself = torch.eye(proposals, dtype=torch.bool, device=used.device)
            hidden = ~(used[:, None] | itself)  # (B, P, P); a row of nothing has no softmax
            hidden = hidden.repeat_interleave(points * self.heads, dim=0)
        for block in self.blocks:
            rows = block(rows, hidden)
        if self.attends == "points":
            rows = rows.unflatten(0, (images, proposals))
        else:
            rows = rows.unflatten(0, (images, points)).transpose(1, 2)
        out: Tensor = self.answer(torch.cat([rows, self.residual(nodes)], dim=-1))
        return out


class Evolution(nn.Module):
    """Three networks that move the points of proposals, one after the other.

    Args:
        step: makes one of the networks.
        spread: deviation of the weights of the layers that see a point alone, as drawn.
        margin: pixels from the image's border that points are kept within.
    """

    def __init__(self, step: Callable[[], nn.Module], *, spread: float, margin: float) -> None:
        super().__init__()
        self.margin = margin
        self.steps = nn.ModuleList(step() for _ in range(STEPS))
        for network in self.steps:
            for part in (network.residual, *network.answer):  # type: ignore[misc,union-attr]
                if isinstance(part, nn.Linear):
                    nn.init.normal_(part.weight, std=spread)
                    nn.init.zeros_(part.bias)

    def forward(
        self, maps: Tensor, points: Tensor, used: Tensor, size: tuple[int, int]
    ) -> list[Tensor]:
        """The boundaries (B, P, N, 2) after each step, in pixels of the image.

        Args:
            maps: (B, C, h, w) that points are sampled in.
            points: (B, P, N, 2) the proposals.
            used: (B, P) bool; the other boundaries are moved too, and mean nothing.
            size: height and width of the image.
        """
        # Everything here is in pixels, of which bfloat16 has too few.
        with torch.autocast(maps.device.type, enabled=False):
            maps = exact(maps)
            points = points.to(maps.dtype)
            last = points.new_tensor((size[1], size[0])) - self.margin
            made = []
            for step in self.steps:
                offsets = step(sampled(maps, points, size), used)
                points = points + offsets.clamp(-REACH, REACH)
                points = torch.minimum(points.clamp(min=self.margin), last)
                made.append(points)
        return made
