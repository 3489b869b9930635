"""VLPT-STD's encoders and contrasts: the image over a fused pyramid, the caption, the caption in the image.

The encoders are transformers that normalise before each sum. D is their width, V the number of word pieces.

Source: Song et al., CVPR 2022; AlibabaResearch/AdvancedLiterateMachinery, OCR/VLPT-STD, models/encoders.py,
VLPT.py and losses.py.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .postnorm import Attention
from .precision import exact
from .ranks import gathered, mean_over_ranks, rank

NORM_EPS = 1e-6
BERT_EPS = 1e-12  # of the two norms that are BERT's own: of the embeddings and in the head
INIT = 0.02  # standard deviation of linear layers, tables and positions
MLP_RATIO = 4
FIRST_SCALE = math.log(1 / 0.07)  # CLIP's
HIGHEST_SCALE = math.log(100)


class Layer(nn.Module):
    """Tokens (B, T, D) look at each other and pass an MLP."""

    def __init__(self, dim: int, heads: int, *, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim, eps=NORM_EPS)
        self.attention = Attention(dim, heads, dropout=0.0)
        self.drop = nn.Dropout(dropout)
        self.mlp = nn.Sequential(
            nn.LayerNorm(dim, eps=NORM_EPS),
            nn.Linear(dim, MLP_RATIO * dim),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(MLP_RATIO * dim, dim),
            nn.Dropout(dropout),
        )

    def looked(self, tokens: Tensor, visible: Tensor | None) -> Tensor:
        """The tokens after they looked at those that are ``visible`` (B, T); None: at all."""
        asking = self.norm(tokens)
        seen = None if visible is None else visible[:, None]  # (B, 1, T)
        out: Tensor = tokens + self.drop(self.attention(asking, asking, seen))
        return out

    def forward(self, tokens: Tensor, visible: Tensor | None = None) -> Tensor:
        tokens = self.looked(tokens, visible)
        out: Tensor = tokens + self.mlp(tokens)
        return out


class CrossLayer(Layer):
    """``Layer`` that between the two looks at a memory (B, L, D), under the norm of the tokens that ask it."""

    def __init__(self, dim: int, heads: int, *, dropout: float) -> None:
        super().__init__(dim, heads, dropout=dropout)
        self.memory_norm = nn.LayerNorm(dim, eps=NORM_EPS)
        self.memory_attention = Attention(dim, heads, dropout=0.0)

    def forward(  # type: ignore[override]
        self, tokens: Tensor, visible: Tensor, memory: Tensor
    ) -> Tensor:
        tokens = self.looked(tokens, visible)
        gathered = self.memory_attention(self.memory_norm(tokens), self.memory_norm(memory))
        tokens = tokens + self.drop(gathered)
        out: Tensor = tokens + self.mlp(tokens)
        return out


class FusedPyramid(nn.Module):
    """Maps C2 to C5 to one of 4 * ``neck`` channels at stride 8: added from the top, then side by side.

    Nothing smooths the levels; P2, P4 and P5 come to the size of C3 bilinearly.
    """

    def __init__(self, widths: Sequence[int], neck: int) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(w, neck, 1, bias=False) for w in widths)

    def forward(self, stages: Sequence[Tensor]) -> Tensor:
        """(B, 4 * neck, H / 8, W / 8), the channels of P2 first."""
        levels: list[Tensor] = []  # the finest first
        for maps, lateral in zip(reversed(stages), reversed(self.lateral), strict=True):
            level = lateral(maps)
            if levels:
                level = level + F.interpolate(levels[0], size=level.shape[2:])
            levels.insert(0, level)
        size = levels[1].shape[2:]
        fused = [F.interpolate(level, size=size, mode="bilinear") for level in levels]
        return torch.cat(fused, dim=1)


class ImageEncoder(nn.Module):
    """Maps C2 to C5 of images of one size to a CLS token and a token for each 16 x 16 pixels.

    Args:
        height, width: of the images, multiples of 32.
    """

    def __init__(
        self,
        widths: Sequence[int],
        *,
        neck: int,
        dim: int,
        heads: int,
        height: int,
        width: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.pyramid = FusedPyramid(widths, neck)
        self.projection = nn.Conv2d(4 * neck, dim, 1, stride=2)
        self.cls = nn.Parameter(torch.empty(1, 1, dim))
        self.positions = nn.Parameter(torch.empty(1, 1 + (height // 16) * (width // 16), dim))
        self.drop = nn.Dropout(dropout)
        self.layer = Layer(dim, heads, dropout=dropout)
        self.norm = nn.LayerNorm(dim, eps=NORM_EPS)
        for part in (self.cls, self.positions):
            nn.init.trunc_normal_(part, std=INIT)

    def forward(self, stages: Sequence[Tensor]) -> Tensor:
        """(B, 1 + H / 16 * W / 16, D), the CLS token first, then row by row."""
        patches = self.projection(self.pyramid(stages)).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.cls.expand(len(patches), -1, -1), patches], 1)
        out: Tensor = self.norm(self.layer(self.drop(tokens + self.positions)))
        return out


class TextEncoder(nn.Module):
    """BERT's embeddings of V pieces, and transformer layers over them."""

    def __init__(
        self, *, pieces: int, longest: int, dim: int, heads: int, depth: int, dropout: float
    ) -> None:
        super().__init__()
        self.words = nn.Embedding(pieces, dim)
        self.positions = nn.Embedding(longest, dim)
        self.segments = nn.Embedding(2, dim)  # BERT's; a caption is all in the first
        self.embedding_norm = nn.LayerNorm(dim, eps=BERT_EPS)
        self.drop = nn.Dropout(dropout)
        self.layers = nn.ModuleList(Layer(dim, heads, dropout=dropout) for _ in range(depth))
        self.norm = nn.LayerNorm(dim, eps=NORM_EPS)

    def forward(self, ids: Tensor, visible: Tensor) -> Tensor:
        """(B, T, D) of numbers (B, T), of which those that are not ``visible`` are padding."""
        places = self.positions.weight[: ids.shape[1]] + self.segments.weight[0]
        tokens = self.drop(self.embedding_norm(self.words(ids) + places))
        for layer in self.layers:
            tokens = layer(tokens, visible)
        out: Tensor = self.norm(tokens)
        return out


class CrossEncoder(nn.Module):
    """Layers in which the caption's tokens look at each other and at the image's."""

    def __init__(self, *, dim: int, heads: int, depth: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(CrossLayer(dim, heads, dropout=dropout) for _ in range(depth))
        self.norm = nn.LayerNorm(dim, eps=NORM_EPS)

    def forward(self, text: Tensor, visible: Tensor, image: Tensor) -> Tensor:
        """(B, T, D) of a caption (B, T, D) and an image (B, L, D)."""
        for layer in self.layers:
            text = layer(text, visible, image)
        out: Tensor = self.norm(text)
        return out


def piece_head(dim: int, pieces: int) -> nn.Sequential:
    """BERT's head, tokens (N, D) to logits (N, V); its last matrix is not the table of embeddings."""
    return nn.Sequential(
        nn.Linear(dim, dim), nn.GELU(), nn.LayerNorm(dim, eps=BERT_EPS), nn.Linear(dim, pieces)
    )


def init_transformer(module: nn.Module) -> None:
    """Linear layers and tables from a normal distribution, biases zero."""
    for part in module.modules():
        if isinstance(part, nn.Linear | nn.Embedding):
            nn.init.normal_(part.weight, std=INIT)
        if isinstance(part, nn.Linear):
            nn.init.zeros_(part.bias)


def nearest(table: Tensor, ids: Tensor, count: int) -> Tensor:
    """The ``count`` rows of a table (V, D) most like each of some rows, by cosine; (N, count).

    The row itself comes first, whatever rounding says of its equals. No gradient; the table stays as it
    is.
    """
    rows = F.normalize(table.detach(), dim=1)
    likeness = rows[ids] @ rows.T  # (N, V)
    likeness.scatter_(1, ids[:, None], torch.inf)
    return likeness.topk(count).indices


class Contrast(nn.Module):
    """Projections of image and text to where they are compared by cosine, times a learned scale."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.image = nn.Linear(dim, dim)
        self.text = nn.Linear(dim, dim)
        self.scale = nn.Parameter(torch.tensor(FIRST_SCALE))  # its logarithm

    def _projected(self, image: Tensor, text: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Both projected and of length 1, and the scale."""
        with torch.no_grad():
            self.scale.clamp_(0, HIGHEST_SCALE)
        seen, said = self.image(exact(image)), self.text(exact(text))
        return F.normalize(seen, dim=1), F.normalize(said, dim=1), self.scale.exp()

    def pairs(self, image: Tensor, text: Tensor) -> tuple[Tensor, Tensor]:
        """The loss of images (B, D) and their captions (B, D), and the share of images that find theirs.

        Half of it is the images' choice among the captions of all ranks, half the captions' among the
        images. What is chosen from is a constant: no gradient flows there. Ranks must bring equally many.
        """
        with torch.autocast(image.device.type, enabled=False):
            seen, said, scale = self._projected(image, text)
            own = torch.arange(len(seen), device=seen.device) + len(seen) * rank()
            choice = scale * seen @ gathered(said).T  # (B, world * B)
            chosen = scale * said @ gathered(seen).T
            loss = (F.cross_entropy(choice, own) + F.cross_entropy(chosen, own)) / 2
        return loss, (choice.argmax(1) == own).float().mean()

    def words(
        self, image: Tensor, table: Tensor, ids: Tensor, counts: Tensor, *, count: int
    ) -> Tensor:
        """The loss of images (B, D) that choose a piece among the ``count`` most like it.

        Args:
            table: (V, D), the embeddings of all pieces.
            ids: (B, T), the pieces of the captions.
            counts: (B, T) bool, where they are to be told.
        """
        with torch.autocast(image.device.type, enabled=False):
            which, back = torch.unique(ids[counts], return_inverse=True)
            choice = nearest(table, which, count)[back]  # (N, count), the right one first
            seen, said, scale = self._projected(image, table)
            rows = counts.nonzero()[:, :1]  # (N, 1), the image of each
            logits = (scale * seen @ said.T)[rows, choice]
            first = torch.zeros(len(logits), dtype=torch.int64, device=logits.device)
            total = F.cross_entropy(logits, first, reduction="sum")
        return mean_over_ranks(total, len(logits))
