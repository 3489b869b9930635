"""Projection and prediction heads of self-supervised models."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

from torch import nn

from .batchnorm import BatchNorm

Style = Literal["bn-relu", "gelu-ln"]


def projection_head(widths: Sequence[int], *, style: Style = "bn-relu") -> nn.Sequential:
    """A multi-layer perceptron through ``widths``, rows (N, widths[0]) to (N, widths[-1]).

    "bn-relu": linear layers without bias, BatchNorm and ReLU between them, a last BatchNorm
    without scale and offset (MoCo v3, Chen et al., ICCV 2021; what DiG's official code uses).
    "gelu-ln": linear layers with bias, GELU and LayerNorm between them, nothing after the last, the
    reading of "FC + GELU + LayerNorm" in DiG's description; its exact layout is inferred.
    """
    if style not in ("bn-relu", "gelu-ln"):
        raise ValueError(f"unknown head style {style!r}")
    batchnorm = style == "bn-relu"
    layers: list[nn.Module] = []
    for index, (before, after) in enumerate(pairwise(widths)):
        last = index == len(widths) - 2
        layers.append(nn.Linear(before, after, bias=not batchnorm))
        if batchnorm:
            layers.append(BatchNorm(after, affine=not last))
        if not last:
            layers += [nn.ReLU()] if batchnorm else [nn.GELU(), nn.LayerNorm(after)]
    return nn.Sequential(*layers)
