"""How sure a reading is, and that a lower precision decides nothing."""

from __future__ import annotations

from itertools import groupby

import torch
from torch import Tensor, nn

from strbench.baselines.parts.ctc import greedy, margins
from strbench.baselines.parts.decoding import DOUBT, Readings, reading

BLANK = 3


def collapsed(path: list[int]) -> list[int]:
    return [c for c, _ in groupby(path) if c != BLANK]


def test_margins_are_those_of_frames_that_change_the_word() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(200, 7, 4, generator=generator)
    found = margins(logits, blank=BLANK)
    for image in range(len(logits)):
        (best, second), (path, other) = (t.unbind(-1) for t in logits[image].topk(2, -1))
        word = collapsed(path.tolist())
        apart = [torch.inf]
        for frame in range(7):
            changed = path.clone()
            changed[frame] = other[frame]
            if collapsed(changed.tolist()) != word:
                apart.append(float(best[frame] - second[frame]))
        assert found[image] == min(apart)


def test_silent_classes_do_not_compete() -> None:
    logits = torch.tensor([[[5.0, 0.0, 4.9, 1.0]]])
    torch.testing.assert_close(margins(logits, blank=BLANK), torch.tensor([0.1]))
    assert margins(logits, blank=BLANK, silent=(2,)).item() == 4.0


class Rounding(nn.Module):
    """Logits as they come in; bfloat16 under autocast."""

    def __init__(self) -> None:
        super().__init__()
        self.read: list[int] = []

    def forward(self, images: Tensor) -> Tensor:
        self.read.append(len(images))
        if torch.is_autocast_enabled("cpu"):
            images = images.bfloat16().float()
        return images


def test_what_rounding_could_change_is_read_again_in_full() -> None:
    near, far = 4.0 - 0.001, 4.0 - 10 * DOUBT  # bfloat16 has steps of 0.015 below 4
    logits = torch.zeros(3, 1, 4)
    logits[:, 0, 1] = 4.0
    logits[:, 0, 0] = torch.tensor([far, near, far])
    logits[1, 0, 0], logits[1, 0, 1] = 4.0, near  # a tie once rounded, and then class 0 or 1
    module = Rounding()

    def read(images: Tensor) -> Readings:
        logits = module(images)
        classes, counts, _ = greedy(logits, blank=BLANK)
        words = [(str(row[:n]), 1.0) for row, n in zip(classes.tolist(), counts, strict=True)]
        return Readings(words, margins(logits, blank=BLANK))

    reader = reading(module, read)
    images = (logits + 1) / 2
    exact = reader(images)
    assert module.read == [3]
    with torch.autocast("cpu", torch.bfloat16):
        assert reader(images) == exact
    assert module.read == [3, 3, 1]
    assert [text for text, _ in exact] == ["[1]", "[0]", "[1]"]
