"""A context perceiver: hidden elements of a feature map are told from others by what surrounds them.

strbench's own reading of Liu et al., PerSec, AAAI 2022, whose perceivers have a learnable quantiser and
a context aggregator; the contrast is that of wav2vec 2.0 (Baevski et al., NeurIPS 2020), section 3.2.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .batchnorm import BatchNorm
from .quantiser import ProductQuantiser, Quantised, diversity_loss
from .ranks import gathered_with_gradient, mean_over_ranks
from .vit import Block, sinusoid


class Perceiver(nn.Module):
    """Quantiser and context aggregator over the elements (B, L, dim) of one level.

    Args:
        count: L.
        grid: rows and columns of the elements: the aggregator is convolutions over them. Without it,
            transformer blocks over all elements in a row.
        width: of contexts and of quantised elements.
        groups, codes: codebooks, and entries of each.
        depth: convolutions or blocks.
    """

    def __init__(
        self,
        dim: int,
        *,
        count: int,
        grid: tuple[int, int] | None,
        width: int,
        groups: int,
        codes: int,
        depth: int,
        heads: int,
    ) -> None:
        super().__init__()
        self.grid = grid
        # What all elements share is taken away, or it alone decides which codes are chosen.
        self.norm = BatchNorm(dim, affine=False)
        self.quantiser = ProductQuantiser(dim, groups=groups, codes=codes, width=width)
        self.enter = nn.Linear(dim, width)
        self.mask_token = nn.Parameter(torch.rand(1, 1, width) - 0.5)
        self.positions: Tensor
        self.register_buffer("positions", sinusoid(count, width), persistent=False)
        layers: list[nn.Module] = []
        for _ in range(depth):
            if grid is not None:
                layers += [nn.Conv2d(width, width, 3, padding=1), nn.GELU()]
            else:
                layers.append(Block(width, heads, dropout=0, attention_dropout=0, drop_path=0))
        self.aggregator = nn.Sequential(*layers)
        self.leave = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width))

    def context(self, elements: Tensor, mask: Tensor) -> Tensor:
        """What the elements that are not hidden say about each element (B, L, latent)."""
        entered = self.enter(elements)
        tokens = torch.where(mask[..., None], self.mask_token.to(entered.dtype), entered)
        if self.grid is None:
            tokens = self.aggregator(tokens + self.positions)
        else:
            maps = tokens.transpose(1, 2).unflatten(2, self.grid)
            tokens = self.aggregator(maps).flatten(2).transpose(1, 2)
        out: Tensor = self.leave(tokens)
        return out

    def forward(
        self, features: Tensor, mask: Tensor, *, gumbel: float, temperature: float
    ) -> dict[str, Tensor]:
        """The "contrast" of hidden elements, its top-1 "accuracy", "idle" and used "codes"."""
        elements = self.norm(features.flatten(0, 1)).view(features.shape)
        quantised = self.quantiser(elements, temperature=gumbel)
        each, found = contrast(self.context(elements, mask), quantised, temperature=temperature)
        idle, used = diversity_loss(quantised)
        return {
            "contrast": mean_over_ranks((each * mask).sum(), mask.sum()),
            "accuracy": (found & mask).sum() / mask.sum(),
            "idle": idle,
            "codes": used,
        }


def contrast(
    contexts: Tensor, quantised: Quantised, *, temperature: float
) -> tuple[Tensor, Tensor]:
    """InfoNCE of each context (B, L, D) with the quantised element at its place (B, L): loss and hit.

    Distractors are all other elements of the image and the elements at the same place of all other
    images of all ranks, but none with the codes of the element itself. A hit is a context whose own
    element is the nearest of all.
    """
    with torch.autocast(contexts.device.type, enabled=False):
        contexts = F.normalize(contexts.float(), dim=-1)
        vectors = F.normalize(quantised.vectors.float(), dim=-1)
        codes = quantised.codes
        everyone = gathered_with_gradient(vectors)  # (all B, L, D)
        their_codes = gathered_with_gradient(codes.float()).long()
        own = torch.einsum("bld,bld->bl", contexts, vectors)[..., None]
        here = torch.einsum("bld,bmd->blm", contexts, vectors)
        there = torch.einsum("bld,cld->blc", contexts, everyone)
        # an element's own codes are among both, so the mask takes it out of its distractors too
        same = torch.cat(
            [
                (codes[:, :, None] == codes[:, None]).all(-1),
                (codes[:, :, None] == their_codes.transpose(0, 1)).all(-1),
            ],
            -1,
        )
        others = torch.cat([here, there], -1).masked_fill(same, -torch.inf)  # (B, L, L + all B)
        logits = torch.cat([own, others], -1) / temperature
        losses = logits.logsumexp(-1) - logits[..., 0]
        return losses, (own > others).all(-1)
