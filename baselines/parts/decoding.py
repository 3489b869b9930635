"""From what a model says to words: readers, and decoding one character a step, greedily or with a beam."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from strbench.methods import Reader
from strbench.text import Charset

# Of 9,480 photographed words Conv-CTC reads 146 otherwise in bfloat16 than in float32, 107 of them with a
# margin below 0.06 and 139 below this, which 11 % of all words have. Of 5,012 that a weak ViT read 80 came
# out otherwise, 77 of them below 0.06.
DOUBT = 0.15


class Readings(NamedTuple):
    """What is read in B images."""

    words: list[tuple[str, float]]  # text and confidence
    margins: Tensor  # (B,) log-probability between the reading and another; inf where none competes


def minus_one_to_one(images: Tensor) -> Tensor:
    """Images in [0, 1] as (x - 0.5) / 0.5."""
    return images * 2 - 1


def reading(
    module: nn.Module,
    read: Callable[[Tensor], Readings],
    *,
    normalise: Callable[[Tensor], Tensor] = minus_one_to_one,
) -> Reader:
    """``read``, a function of normalised images, as one of images (B, 3, H, W), RGB in [0, 1].

    The module reads in evaluation mode and is handed back in the mode that it had. Under autocast,
    images whose margin is below ``DOUBT`` are read once more in full precision, so that a lower one
    saves time and seldom changes a word: Conv-CTC's differ in 7 of 9,480.
    """

    @torch.inference_mode()
    def reader(images: Tensor) -> list[tuple[str, float]]:
        training, device = module.training, images.device.type
        module.eval()
        words, margins = read(normalise(images))
        if torch.is_autocast_enabled(device):
            doubtful = (margins < DOUBT).nonzero()[:, 0]
            if len(doubtful):
                with torch.autocast(device, enabled=False):
                    again = read(normalise(images[doubtful])).words
                for row, word in zip(doubtful.tolist(), again, strict=True):
                    words[row] = word
        module.train(training)
        return words

    return reader


def spelled(
    charset: Charset, classes: Tensor, counts: Tensor, confidences: Tensor, margins: Tensor
) -> Readings:
    """The words of class rows (B, S), the first ``counts`` (B,) of which are read."""
    words = [
        (charset.decode(row[:count]), confidence)
        for row, count, confidence in zip(
            classes.tolist(), counts.tolist(), confidences.tolist(), strict=True
        )
    ]
    return Readings(words, margins)


def step_margins(logits: Tensor, lengths: Tensor) -> Tensor:
    """The least distance (B,) of the best from the second class over the first ``lengths`` (B,) steps.

    Args:
        logits: (B, T, C); a length beyond T counts as T.
    """
    best, second = logits.float().topk(2, -1).values.unbind(-1)
    behind = torch.arange(logits.shape[1], device=logits.device) >= lengths[:, None]
    return (best - second).masked_fill(behind, torch.inf).amin(1)


class Stepwise(Protocol):
    """A decoder that can be asked for one step at a time. B images, K hypotheses of each."""

    def begin(self, features: Tensor, *, beams: int) -> tuple[list[Tensor], list[Tensor]]:
        """For features (B, L, dim): what stays as it is, (B, ...) each, and the past, (B * K, ...)."""
        ...

    def step(
        self, tokens: Tensor, fixed: list[Tensor], past: list[Tensor]
    ) -> tuple[Tensor, list[Tensor]]:
        """Logits (B * K, C) that follow the input tokens (B * K,), and the past with them in it."""
        ...


def read_words(
    decoder: Stepwise,
    features: Tensor,
    *,
    start: int,
    end: int,
    steps: int,
    silent: Sequence[int] = (),
    beams: int = 1,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The likeliest words of features (B, L, dim), found greedily or by beam search.

    Args:
        start: the first input token.
        end: the class that ends a word.
        steps: most classes a word, its end included.
        silent: classes that are never read, such as padding; their probability goes to nobody.
        beams: hypotheses kept an image; 1 is greedy. Their scores are sums of log-probabilities,
            not divided by the length.

    Returns:
        Classes (B, steps), ``end`` from the end of the word on; the number of characters (B,); and
        a confidence (B,) in [0, 1]: the product of the probabilities of the characters and of the
        end. A word without an end within ``steps`` has only its characters' product. Last the
        margins (B,), see ``Readings``: greedy, the least of all steps; else that of whole words.

    Stops when every image's best hypothesis has ended. Nothing could change afterwards: an ended
    hypothesis keeps its score and no other one gains.
    """
    images, device = len(features), features.device
    fixed, past = decoder.begin(features, beams=beams)
    tokens = torch.full((images * beams,), start, device=device)
    score = torch.full((images, beams), -math.inf, device=device)
    score[:, 0] = 0.0  # at first there is one hypothesis, the empty word
    ended = torch.zeros(images, beams, dtype=torch.bool, device=device)
    written = torch.full((images, beams, steps), end, device=device)
    margin = torch.full((images,), math.inf, device=device)
    offset = torch.arange(images, device=device)[:, None] * beams
    for place in range(steps):
        logits, past = decoder.step(tokens, fixed, past)
        gain = logits.float().log_softmax(-1).view(images, beams, -1)  # (B, K, C)
        if silent:
            gain[..., list(silent)] = -math.inf
        gain.masked_fill_(
            ended[..., None], -math.inf
        )  # an ended word goes on with its end, for free
        gain[..., end].masked_fill_(ended, 0.0)
        scores, best = (score[..., None] + gain).flatten(1).topk(max(beams, 2))  # the best first
        apart = scores[:, 0] - scores[:, 1]
        margin = torch.minimum(margin, apart) if beams == 1 else apart
        score, best = scores[:, :beams], best[:, :beams]  # (B, K)
        parent = best // gain.shape[-1]
        chosen = best % gain.shape[-1]
        tokens = chosen.flatten()
        if beams > 1:
            rows = (offset + parent).flatten()
            past = [state[rows] for state in past]
            written = written.gather(1, parent[..., None].expand_as(written))
            ended = ended.gather(1, parent)
        written[:, :, place] = chosen
        ended = ended | (chosen == end)
        if bool(ended[:, 0].all()):
            break
    word = written[:, 0]
    return word, (word != end).sum(1), score[:, 0].exp(), margin
