"""A learnable product quantiser: features become one code out of several codebooks each.

Source: Baevski et al., wav2vec 2.0, NeurIPS 2020, sections 2 and 3.2 (Gumbel-softmax choice, straight
through, and the diversity term).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .ranks import sum_over_ranks


class Quantised(NamedTuple):
    """What features (..., dim) become."""

    vectors: Tensor  # (..., width)
    codes: Tensor  # (..., G) int64, the chosen entry of each codebook
    chances: Tensor  # (..., G, V), the distribution that they were chosen from, without noise


class ProductQuantiser(nn.Module):
    """G codebooks of V entries; the chosen entries, side by side, pass one linear layer.

    While training an entry is drawn by Gumbel noise at a temperature, and the gradient is that of the
    soft choice; the noise comes from torch's generator, as dropout does. In evaluation mode the
    likeliest entry is taken, and in training mode too where ``noisy`` is set False.
    """

    def __init__(self, dim: int, *, groups: int, codes: int, width: int) -> None:
        super().__init__()
        if width % groups:
            raise ValueError(f"a width of {width} does not fall into {groups} codebooks")
        self.groups, self.codes = groups, codes
        self.noisy = True
        self.choose = nn.Linear(dim, groups * codes)
        self.entries = nn.Parameter(torch.randn(groups, codes, width // groups))
        self.out = nn.Linear(width, width)
        # Logits of normalised features start with deviation 2: decided, but not for good. wav2vec 2.0
        # draws with deviation 1, which at its width is a certain choice.
        nn.init.normal_(self.choose.weight, std=2 * dim**-0.5)
        nn.init.zeros_(self.choose.bias)

    def forward(self, features: Tensor, *, temperature: float) -> Quantised:
        with torch.autocast(features.device.type, enabled=False):
            features = features.to(self.choose.weight.dtype)
            logits = F.linear(features, self.choose.weight, self.choose.bias)
            logits = logits.unflatten(-1, (self.groups, self.codes))  # (..., G, V)
            chances = logits.softmax(-1)
            if self.training and self.noisy:
                choice = F.gumbel_softmax(logits, tau=temperature, hard=True)
            else:
                choice = F.one_hot(logits.argmax(-1), self.codes).to(logits.dtype)
            chosen = torch.einsum("...gv,gvw->...gw", choice, self.entries).flatten(-2)
            vectors: Tensor = F.linear(chosen, self.out.weight, self.out.bias)
        return Quantised(vectors, choice.argmax(-1), chances)


def codes_in_use(shares: Tensor) -> Tensor:
    """Perplexity of each distribution over codes (..., V): 1 if one is used, V if all are alike.

    >>> import torch
    >>> codes_in_use(torch.tensor([[1.0, 0, 0, 0], [0.25, 0.25, 0.25, 0.25]])).tolist()
    [1.0, 4.0]
    """
    used: Tensor = torch.special.entr(shares).sum(-1).exp()
    return used


def diversity_loss(quantised: Quantised) -> tuple[Tensor, Tensor]:
    """The share of the codebooks that lies idle, and the perplexity of the codes really chosen.

    The first is 0 if the mean distribution over all features of all ranks is uniform in every
    codebook and 1 - 1 / V if it is a single code. The second is a mean over codebooks, without
    gradient.

    Source: wav2vec 2.0, equation 4, in the form of its official code.
    """
    chances = quantised.chances.flatten(0, -3)  # (N, G, V)
    choices = F.one_hot(quantised.codes.flatten(0, -2), chances.shape[-1]).float()
    count = sum_over_ranks(chances.new_tensor(float(len(chances))))
    mean = sum_over_ranks(chances.sum(0)) / count
    chosen = sum_over_ranks(choices.sum(0)) / count
    return 1 - codes_in_use(mean).sum() / mean.numel(), codes_in_use(chosen).mean()
