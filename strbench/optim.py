"""Parameter groups, layer decay and the learning-rate schedule."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Any

from torch import nn


def learning_rate(
    step: int, total: int, *, peak: float, floor: float, warmup: int, start: float = 0.0
) -> float:
    """The rate of one optimiser step: linear from ``start`` over ``warmup``, then cosine to ``floor``.

    Args:
        step: counted from 0; the last one is ``total - 1``.

    >>> [round(learning_rate(s, 5, peak=1.0, floor=0.0, warmup=2), 3) for s in range(5)]
    [0.0, 0.5, 1.0, 0.75, 0.25]
    """
    if step < warmup:
        return start + (peak - start) * step / warmup
    progress = (step - warmup) / max(1, total - warmup)
    return floor + (peak - floor) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


def parameter_groups(
    module: nn.Module, *, weight_decay: float, layer_decay: float = 1.0
) -> list[dict[str, Any]]:
    """Groups for an optimiser, each with its ``weight_decay`` and ``lr_scale``.

    Vectors and biases (one dimension) do not decay. With ``layer_decay`` below 1 the module's
    ``layer_of(name)`` numbers the layers from 0 (stem) to ``depth + 1`` (head), and a parameter of
    layer i learns at ``layer_decay ** (depth + 1 - i)`` of the rate.

    Source: Clark et al., ELECTRA, ICLR 2020, section 3.2 (layer-wise decay); BEiT's numbering.
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = defaultdict(list)
    for name, parameter in module.named_parameters():
        if not parameter.requires_grad:
            continue
        scale = 1.0
        if layer_decay != 1.0:
            scale = layer_decay ** (module.depth + 1 - module.layer_of(name))  # type: ignore[operator]
        groups[0.0 if parameter.ndim <= 1 else weight_decay, scale].append(parameter)
    return [
        {"params": parameters, "weight_decay": decay, "lr_scale": scale}
        for (decay, scale), parameters in groups.items()
    ]
