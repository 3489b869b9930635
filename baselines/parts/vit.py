"""A vision transformer for word images: patches in reading order, no class token, fixed positions.

The encoder of DiG (Yang et al., ACM MM 2022) and of everything fine-tuned from it: pre-norm blocks
with LayerNorm eps 1e-6, one query-key-value product without bias plus a learned bias for queries
and for values (keys have none), GELU, MLP ratio 4, a fixed 1-D sinusoid over the flattened tokens
that is added after masking. Masked tokens are replaced, not removed (SimMIM), so the encoder
always sees the whole grid.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from strbench.errors import StrbenchError, unknown_name

NORM_EPS = 1e-6  # LayerNorm of the encoder, DiG's official code
MLP_RATIO = 4


@dataclass(frozen=True, kw_only=True)
class Size:
    """Depth, width, heads and patch (height, width in pixels) of an encoder."""

    depth: int
    dim: int
    heads: int
    patch: tuple[int, int]
    source: str


_DIG = "DiG, official code: 12 layers, heads of 64, patches of 4x4"
_MAE = "MAERec, official code of its pretraining: mae_vit_base_patch4"
_OWN = "strbench's own, sized for a CPU; in no paper"

SIZES: dict[str, Size] = {
    "tiny": Size(depth=12, dim=192, heads=3, patch=(4, 4), source=_DIG),
    "small": Size(depth=12, dim=384, heads=6, patch=(4, 4), source=_DIG),
    # DiG-Base is 512 wide with 8 heads, not the 768 of the usual ViT-Base.
    "base": Size(depth=12, dim=512, heads=8, patch=(4, 4), source=_DIG),
    "base768": Size(depth=12, dim=768, heads=12, patch=(4, 4), source=_MAE),
    "mini": Size(depth=4, dim=128, heads=2, patch=(8, 8), source=_OWN),
    "micro": Size(depth=4, dim=64, heads=1, patch=(8, 8), source=_OWN),
}


def sinusoid(length: int, dim: int) -> Tensor:
    """Fixed positions (1, length, dim): sines at even, cosines at odd channels, base 10,000."""
    position = torch.arange(length, dtype=torch.float64)[:, None]
    pair = torch.arange(dim, dtype=torch.float64) // 2
    angle = position / torch.pow(torch.tensor(10000.0, dtype=torch.float64), 2 * pair / dim)
    even = torch.arange(dim) % 2 == 0
    return torch.where(even, angle.sin(), angle.cos()).float()[None]


def init_linear(module: nn.Module) -> None:
    """Linear layers of ``module``: Xavier-uniform weights, zero biases (DiG's official code)."""
    for part in module.modules():
        if isinstance(part, nn.Linear):
            nn.init.xavier_uniform_(part.weight)
            if part.bias is not None:
                nn.init.zeros_(part.bias)


def attend(
    query: Tensor, key: Tensor, value: Tensor, dropout: float = 0.0, *, causal: bool = False
) -> Tensor:
    """Softmax attention of (B, heads, L, D) tensors with scale D ** -0.5.

    With ``causal``, a token sees itself and those before it. PyTorch's fused kernel, except for
    bfloat16 on a CPU, where spelling the softmax out was measured 2 to 7 times as fast (torch 2.13).
    """
    if query.device.type != "cpu" or query.dtype == torch.float32:
        return F.scaled_dot_product_attention(
            query, key, value, dropout_p=dropout, is_causal=causal
        )
    scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-2, -1)  # (B, heads, L, L)
    if causal:
        hidden = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu(1)
        scores = scores.masked_fill(hidden, -math.inf)
    weights = scores.softmax(-1)
    if dropout:
        weights = F.dropout(weights, dropout)
    out: Tensor = weights @ value
    return out


class Attention(nn.Module):
    """Multi-head self-attention with biases for queries and values only."""

    def __init__(self, dim: int, heads: int, *, dropout: float, attention_dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.attention_dropout = attention_dropout
        self.qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.q_bias = nn.Parameter(torch.zeros(dim))
        self.v_bias = nn.Parameter(torch.zeros(dim))
        self.proj = nn.Linear(dim, dim)
        self.drop = nn.Dropout(dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        batch, length, dim = tokens.shape
        bias = torch.cat([self.q_bias, torch.zeros_like(self.q_bias), self.v_bias])
        joint = F.linear(tokens, self.qkv.weight, bias)  # (B, L, 3 * dim)
        split = joint.view(batch, length, 3, self.heads, dim // self.heads)
        query, key, value = split.permute(2, 0, 3, 1, 4)  # each (B, heads, L, dim / heads)
        mixed = attend(query, key, value, self.attention_dropout if self.training else 0.0)
        out: Tensor = self.drop(self.proj(mixed.transpose(1, 2).reshape(batch, length, dim)))
        return out


class DropPath(nn.Module):
    """Drops a residual branch for whole images with probability ``rate``, rescaling the rest."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, branch: Tensor) -> Tensor:
        if not self.training or self.rate == 0.0:
            return branch
        keep = 1.0 - self.rate
        shape = (len(branch),) + (1,) * (branch.ndim - 1)
        return branch * (torch.rand(shape, device=branch.device) < keep).to(branch.dtype) / keep


class Block(nn.Module):
    """One pre-norm transformer block."""

    def __init__(
        self, dim: int, heads: int, *, dropout: float, attention_dropout: float, drop_path: float
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=NORM_EPS)
        self.attention = Attention(dim, heads, dropout=dropout, attention_dropout=attention_dropout)
        self.norm2 = nn.LayerNorm(dim, eps=NORM_EPS)
        self.mlp = nn.Sequential(
            nn.Linear(dim, MLP_RATIO * dim),
            nn.GELU(),
            nn.Linear(MLP_RATIO * dim, dim),
            nn.Dropout(dropout),
        )
        self.drop_path = DropPath(drop_path)

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = tokens + self.drop_path(self.attention(self.norm1(tokens)))
        out: Tensor = tokens + self.drop_path(self.mlp(self.norm2(tokens)))
        return out


class ViT(nn.Module):
    """Word images (B, 3, H, W), normalised, to one feature per patch (B, L, dim), row by row.

    Args:
        size: depth, width, heads, patch.
        height, width: input size in pixels; must be multiples of the patch.
        final_norm: False leaves the last LayerNorm out (models with a contrast branch).
        stem_uniform: draw the patch projection from U(-v, v), v = sqrt(6 / (fan_in + dim)), bias
            zero, in place of PyTorch's default (models with a contrast branch).
        drop_path: rate at the last block; it grows linearly from 0 at the first.
    """

    def __init__(
        self,
        size: Size,
        *,
        height: int,
        width: int,
        final_norm: bool = True,
        stem_uniform: bool = False,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        self.size = size
        self.grid = grid_of(size, height=height, width=width)
        self.patch_embed = nn.Conv2d(3, size.dim, kernel_size=size.patch, stride=size.patch)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, size.dim))
        positions = sinusoid(self.grid[0] * self.grid[1], size.dim)
        self.positions: Tensor
        self.register_buffer("positions", positions, persistent=False)
        self.drop = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(
            Block(
                size.dim,
                size.heads,
                dropout=dropout,
                attention_dropout=attention_dropout,
                drop_path=drop_path * index / max(size.depth - 1, 1),
            )
            for index in range(size.depth)
        )
        self.norm = nn.LayerNorm(size.dim, eps=NORM_EPS) if final_norm else nn.Identity()
        init_linear(self)
        if stem_uniform:
            bound = math.sqrt(6 / (3 * size.patch[0] * size.patch[1] + size.dim))
            nn.init.uniform_(self.patch_embed.weight, -bound, bound)
            assert self.patch_embed.bias is not None
            nn.init.zeros_(self.patch_embed.bias)

    def forward(self, images: Tensor, mask: Tensor | None = None) -> Tensor:
        """Features (B, L, dim); where ``mask`` (B, L) is True the mask token replaces the patch."""
        tokens = self.patch_embed(images).flatten(2).transpose(1, 2)  # (B, L, dim)
        if mask is not None:
            tokens = torch.where(mask[..., None], self.mask_token.to(tokens.dtype), tokens)
        tokens = self.drop(tokens + self.positions)
        for block in self.blocks:
            tokens = block(tokens)
        out: Tensor = self.norm(tokens)
        return out

    def layer_of(self, name: str) -> int:
        """Layer-decay group of a parameter: 0 stem, i + 1 block i, depth + 1 the rest (DiG)."""
        part = name.split(".")
        if part[0] in ("patch_embed", "mask_token"):
            return 0
        return int(part[1]) + 1 if part[0] == "blocks" else self.size.depth + 1

    def freeze(self, layers: int) -> None:
        """Freezes as DiG's ``--fixed_encoder_layers``: 1 the patch projection, k > 1 also k - 1 blocks.

        The final norm and the mask token stay trainable at any value and dropout stays active, as
        in the official code. 0 freezes nothing.
        """
        if not 0 <= layers <= self.size.depth + 1:
            raise StrbenchError(
                f"freeze={layers} is outside 0 to {self.size.depth + 1}, "
                f"the patch projection and {self.size.depth} blocks of this encoder.",
                hint=f"Use freeze={self.size.depth + 1} to freeze every block.",
            )
        if layers >= 1:
            self.patch_embed.requires_grad_(False)
        for block in self.blocks[: max(layers - 1, 0)]:
            block.requires_grad_(False)


def size_named(name: str) -> Size:
    """The row of ``SIZES`` with this name.

    Raises:
        StrbenchError: there is none; near names are listed.
    """
    if name not in SIZES:
        raise unknown_name("encoder size", name, SIZES, hint=f"Sizes: {', '.join(SIZES)}.")
    return SIZES[name]


def grid_of(size: Size, *, height: int, width: int) -> tuple[int, int]:
    """Rows and columns of patches in an image of height x width pixels.

    Raises:
        StrbenchError: the image is not a whole number of patches.
    """
    rows, columns = size.patch
    if height % rows or width % columns:
        raise StrbenchError(
            f"Images of {height}x{width} pixels are not a whole number of {rows}x{columns} patches.",
            hint=f"Set height to a multiple of {rows} and width to a multiple of {columns}.",
        )
    return height // rows, width // columns
