"""Connectionist temporal classification (Graves et al., ICML 2006) over the columns of a grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from strbench.text import Charset

from .vit import init_linear
from .words import encode_labels


class CTCDecoder(nn.Module):
    """Patch features (B, rows * columns, dim) to frame logits (B, columns, classes).

    Rows are averaged, so a column of patches is a frame; then Linear, LayerNorm, GELU, Linear.
    The blank is the last class (DiG's official code; most libraries put it first).
    """

    def __init__(self, dim: int, *, grid: tuple[int, int], classes: int, hidden: int = 512) -> None:
        super().__init__()
        self.grid = grid
        self.blank = classes - 1
        self.bridge = nn.Linear(dim, hidden)
        self.norm = nn.LayerNorm(hidden, eps=1e-6)
        self.classifier = nn.Linear(hidden, classes)
        init_linear(self)

    def forward(self, features: Tensor) -> Tensor:
        frames = features.view(len(features), *self.grid, -1).mean(1)  # (B, columns, dim)
        out: Tensor = self.classifier(F.gelu(self.norm(self.bridge(frames))))
        return out


def frames_needed(classes: Sequence[int]) -> int:
    """Fewest frames that can spell these classes: one each, and a blank between equal neighbours.

    >>> frames_needed([1, 2, 2, 3])
    5
    """
    return len(classes) + sum(a == b for a, b in pairwise(classes))


def margins(logits: Tensor, *, blank: int, silent: Sequence[int] = ()) -> Tensor:
    """How far the reading of each image (B,) is from another: 0 at a tie, inf where nothing competes.

    The least distance, in log-probability, of the best class of a frame from the second, over the
    frames at which taking the second would change the word. At the edges of a character's run it
    often would not.

    >>> import torch
    >>> sure, torn = [0.0, 9.0, 0.0], [3.0, 4.0, 0.0]  # class 2 is the blank
    >>> margins(torch.tensor([[sure, torn], [torn, sure], [torn, torn]]), blank=2).tolist()
    [1.0, 1.0, 1.0]
    >>> margins(torch.tensor([[sure, [0.0, 4.0, 3.0]]]), blank=2).tolist()
    [9.0]
    """
    if silent:
        hidden = torch.tensor(list(silent), device=logits.device)
        logits = logits.index_fill(-1, hidden, -torch.inf)
    (best, second), (path, other) = (t.unbind(-1) for t in logits.float().topk(2, -1))  # (B, L)
    before = F.pad(path[:, :-1], (1, 0), value=blank)
    after = F.pad(path[:, 1:], (0, 1), value=blank)

    def emitted(here: Tensor) -> tuple[Tensor, Tensor]:
        """What a frame and the next one emit, in order, the blank for nothing."""
        first = here.masked_fill(here == before, blank)
        last = after.masked_fill(after == here, blank)
        nothing = first == blank
        return torch.where(nothing, last, first), last.masked_fill(nothing, blank)

    was, would_be = emitted(path), emitted(other)
    same = (was[0] == would_be[0]) & (was[1] == would_be[1])
    return (best - second).masked_fill(same, torch.inf).amin(1)


def ctc_targets(
    labels: Sequence[str | None], charset: Charset, *, most: int, frames: int, first: int = 0
) -> dict[str, Tensor]:
    """Labels as a CTC criterion takes them, on the CPU.

    "targets" (B, most) classes, the charset's counted from ``first``, 0 behind "lengths" (B,);
    "usable" (B,) False for words that cannot be trained on: see ``encode_labels``, and words that
    ``frames`` cannot spell. Their length is 0.
    """
    classes, lengths, _ = encode_labels(labels, charset, most=most)
    words = [row[:n] for row, n in zip(classes.tolist(), lengths.tolist(), strict=True)]
    too_long = torch.tensor([frames_needed(word) > frames for word in words], dtype=torch.bool)
    lengths[too_long] = 0
    behind = torch.arange(most) >= lengths[:, None]
    targets = (classes + first).masked_fill(behind, 0)
    return {"targets": targets, "lengths": lengths, "usable": lengths > 0}


def ctc_hits(
    logits: Tensor, targets: Tensor, lengths: Tensor, *, blank: int, silent: Sequence[int] = ()
) -> Tensor:
    """Which words (B,) the best path of frame logits (B, L, C) reads right; see ``greedy``."""
    classes, counts, _ = greedy(logits, blank=blank, silent=silent)
    most = min(classes.shape[1], targets.shape[1])
    behind = torch.arange(most, device=logits.device) >= lengths[:, None]
    same: Tensor = ((classes[:, :most] == targets[:, :most]) | behind).all(1)
    return same & (counts == lengths)


def word_losses(
    logits: Tensor, batch: Mapping[str, Tensor], *, blank: int, silent: Sequence[int] = ()
) -> dict[str, Tensor]:
    """ "loss" of frame logits under ``ctc_targets``, and the shares of words read right and of unusable ones.

    The words' negative log-likelihoods, summed and divided by the number of images, which keeps the
    gradient independent of ranks and accumulation.
    """
    usable = batch["usable"]
    each = ctc_loss(logits, batch["targets"], batch["lengths"], blank=blank)  # (B,)
    with torch.no_grad():
        hits = ctc_hits(logits, batch["targets"], batch["lengths"], blank=blank, silent=silent)
        accuracy = (hits & usable).float().sum() / usable.float().sum().clamp(min=1)
    return {
        "loss": torch.where(usable, each, 0.0).sum() / len(usable),
        "accuracy": accuracy,
        "unusable": (~usable).float().mean(),
    }


def ctc_loss(logits: Tensor, targets: Tensor, lengths: Tensor, *, blank: int) -> Tensor:
    """Negative log-likelihood (B,) of each label under frame logits (B, L, C), in float32.

    Args:
        targets: (B, S) int64 class indices, padded with anything after ``lengths`` (B,).

    A label that the frames cannot spell gives 0, with zero gradient.
    """
    with torch.autocast(logits.device.type, enabled=False):
        scores = logits.float().log_softmax(-1).transpose(0, 1)  # (L, B, C)
        frames = torch.full_like(lengths, logits.shape[1])
        return F.ctc_loss(
            scores, targets, frames, lengths, blank=blank, reduction="none", zero_infinity=True
        )


def greedy(
    logits: Tensor, *, blank: int, silent: Sequence[int] = ()
) -> tuple[Tensor, Tensor, Tensor]:
    """Best-path decoding of frame logits (B, L, C).

    Args:
        silent: classes that are never read, such as padding; their probability goes to nobody.

    Returns:
        Classes (B, L), the emitted ones first and -1 behind them; their number (B,); and a
        confidence (B,) in [0, 1]: the product of the probabilities of the emitted classes, each at
        the frame that emits it (the first of its run). An empty reading has as confidence the
        product of the blank's probabilities over all frames.
    """
    probabilities = logits.float().softmax(-1)
    if silent:
        probabilities = probabilities.index_fill(
            -1, torch.tensor(list(silent), device=logits.device), 0.0
        )
    best, path = probabilities.max(-1)  # (B, L)
    previous = F.pad(path[:, :-1], (1, 0), value=blank)
    emits = (path != blank) & (path != previous)
    counts = emits.sum(1)
    first = (~emits).to(torch.uint8).argsort(dim=1, stable=True)  # emitting frames in front
    frame = torch.arange(path.shape[1], device=path.device)
    classes = path.gather(1, first).masked_fill(frame >= counts[:, None], -1)
    chosen = torch.where((counts > 0)[:, None] & ~emits, torch.ones_like(best), best)
    return classes, counts, chosen.prod(1)
