"""Bidirectional LSTM layers over a sequence of features."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class BiLSTM(nn.Module):
    """(B, L, dim) to (B, L, out): an LSTM of ``hidden`` units each way, then a linear layer.

    It runs in the type of its weights, whatever that of autocast.

    Source: clovaai/deep-text-recognition-benchmark, modules/sequence_modeling.py.
    """

    def __init__(self, dim: int, hidden: int, out: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(dim, hidden, bidirectional=True, batch_first=True)
        self.linear = nn.Linear(2 * hidden, out)

    def forward(self, features: Tensor) -> Tensor:
        with torch.autocast(features.device.type, enabled=False):
            both, _ = self.lstm(features.to(self.linear.weight.dtype))  # (B, L, 2 * hidden)
            out: Tensor = self.linear(both)
        return out
