"""TextBPN's losses: of the maps, of their directions, and of boundaries against contours.

Each is one number, a rank's share such that their mean over ranks is the loss of the whole batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

from .boundary_networks import sampled
from .hard_negatives import balanced, hardest
from .ranks import gathered, mean_over_ranks, rank, sum_over_ranks

WITHOUT_TEXT = 100  # pixels that count where there is no text; GXYM/TextBPN, network/loss.py
INSIDE = 0.001  # distance of a pixel in a text; the same
NEGATIVES = 3  # pixels outside of text for each one inside; the same
OFF_LINE = (
    0.01  # energy of a boundary that lies on the border; GXYM/TextBPN-Plus-Plus, network/loss.py
)


def hard_pixels(losses: Tensor, text: Tensor, counts: Tensor) -> Tensor:
    """The mean loss of text and of three times as many of the hardest pixels without, in the whole batch.

    Of a batch without text it is the mean of the 100 hardest pixels.

    Args:
        losses: (B, h, w).
        text, counts: (B, h, w) bool.
    """
    positive, negative = text & counts, ~text & counts
    if sum_over_ranks(positive.sum()):
        return balanced(losses, positive, negative, ratio=NEGATIVES)
    own = losses[negative]
    top = own.topk(min(WITHOUT_TEXT, len(own))).values
    # every rank brings as many numbers
    padded = F.pad(top.detach(), (0, WITHOUT_TEXT - len(top)), value=-1.0)
    among = gathered(padded[:, None]).flatten()
    weights = hardest(among, among >= 0, torch.tensor(WITHOUT_TEXT))
    mine = weights.view(-1, WITHOUT_TEXT)[rank(), : len(top)]
    return sum_over_ranks((top * mine).sum()) / weights.sum().clamp(min=1)


def distance_loss(squares: Tensor, truth: Tensor) -> Tensor:
    """The mean over images of the mean error in texts plus that of the hardest pixels beside them.

    These are three times as many as those in texts, or all; of an image without text the mean of its 100
    hardest pixels is all there is.

    Args:
        squares: (B, h, w) squared errors, 0 where a pixel does not count. Such pixels are among the
            positive ones all the same, as in the official code.
        truth: (B, h, w) the distance.
    """
    total = squares.new_zeros(())
    for errors, inside in zip(squares.flatten(1), truth.flatten(1) >= INSIDE, strict=True):
        positives = int(inside.sum())
        if positives:
            outside = errors[~inside]
            k = min(NEGATIVES * positives, len(outside))
            total = total + errors[inside].mean()
            total = total + outside.topk(k).values.sum() / max(k, 1)
        else:
            total = total + errors.topk(min(WITHOUT_TEXT, len(errors))).values.mean()
    return mean_over_ranks(total, len(squares))


def direction_loss(
    made: Tensor, truth: Tensor, *, weight: Tensor, text: Tensor, counts: Tensor
) -> Tensor:
    """Squared errors of directions, by the size of their text, plus one less the cosine within text.

    The former is summed over a row of the map, and its mean is over rows.

    Args:
        made, truth: (B, 2, h, w).
        weight: (B, h, w).
        text, counts: (B, h, w) bool.

    Source: GXYM/TextBPN-Plus-Plus, network/loss.py: loss_calc_flux; TextBPN's code sums the two
    channels where this one takes their mean.
    """
    truth = F.normalize(truth, dim=1)  # averages of a coarser map are shorter
    squares = (made - truth).square().mean(1) * weight * counts
    norm = mean_over_ranks(squares.sum(), squares.shape[0] * squares.shape[1])
    inside = text & counts
    apart = 1 - F.cosine_similarity(made, truth, dim=1)
    return norm + mean_over_ranks(apart[inside].sum(), inside.sum())


def matched(made: Tensor, truth: Tensor) -> Tensor:
    """(...) how far boundaries (..., N, 2) are from contours, at the best of the N cyclic shifts.

    Smooth L1 of each coordinate, summed over the two, its mean over points.

    Source: TextBPN, equation 8; GXYM/TextBPN, network/Reg_loss.py.
    """
    n = made.shape[-2]
    steps = torch.arange(n, device=made.device)
    shifted = truth[..., (steps[:, None] + steps) % n, :]  # (..., N shifts, N, 2)
    apart = F.smooth_l1_loss(made[..., None, :, :].expand_as(shifted), shifted, reduction="none")
    return apart.sum(-1).mean(-1).amin(-1)


def boundary_loss(made: Sequence[Tensor], truth: Tensor, used: Tensor) -> Tensor:
    """``matched`` of the used boundaries (B, P, N, 2), the mean over them and over steps."""
    apart = torch.stack([matched(points, truth) for points in made]).mean(0)  # (B, P)
    return mean_over_ranks((apart * used).sum(), used.sum())


def energy_loss(
    distance: Tensor, boundaries: Sequence[Tensor], used: Tensor, size: tuple[int, int]
) -> Tensor:
    """What the true distance (B, h, w) along boundaries is after each step, and by how much it rises.

    Args:
        boundaries: (B, P, N, 2) each, the proposals first.
        size: height and width of the image.

    Source: TextBPN++, section III-D; GXYM/TextBPN-Plus-Plus, network/loss.py.
    """
    energies = [
        sampled(distance[:, None], points, size)[..., 0].sum(-1) for points in boundaries
    ]  # (B, P) each
    total = distance.new_zeros(())
    for before, after in pairwise(energies):
        rise = (after - before).clamp(min=0)
        total = total + ((rise + after * (after > OFF_LINE)) * used).sum()
    return mean_over_ranks(total, used.sum()) / (len(boundaries) - 1)
