"""Optimisers, parameter groups with layer decay, and the learning-rate schedules."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Any

import torch
from torch import nn

from strbench.errors import unknown_name
from strbench.methods import LoopConfig

OPTIMISERS = ("adamw", "adam", "adadelta", "sgd")
SCHEDULES = ("cosine", "poly", "onecycle", "steps", "constant")


def learning_rate(config: LoopConfig, step: int, total: int, *, peak: float, warmup: int) -> float:
    """The rate of one optimiser step.

    Every schedule but "onecycle" rises linearly from 0 over ``warmup`` steps. Then "cosine" falls to
    ``min_lr``, and so does "poly", as the rest of the run to the power ``power``; "steps" is multiplied by ``decay`` at each milestone; "constant" stays. "onecycle"
    rises by a half cosine from peak / ``div`` over the share ``rise`` of the run, and falls by another
    one to peak / ``div`` / ``final_div``.

    Args:
        step: counted from 0; the last one is ``total - 1``.

    Source: Smith and Topin, Super-Convergence, 2018, in the form of torch's OneCycleLR.

    >>> config = LoopConfig(min_lr=0.0)
    >>> [round(learning_rate(config, s, 5, peak=1.0, warmup=2), 3) for s in range(5)]
    [0.0, 0.5, 1.0, 0.75, 0.25]
    """
    if config.schedule == "onecycle":
        start = peak / config.div
        top = config.rise * total - 1
        if step < top:
            return _half_cosine(start, peak, step / top)
        last = total - 1
        return _half_cosine(peak, start / config.final_div, (step - top) / max(last - top, 1.0))
    if step < warmup:
        return peak * step / warmup
    if config.schedule == "steps":
        return peak * config.decay ** sum(step >= share * total for share in config.milestones)
    if config.schedule == "constant":
        return peak
    progress = min(1.0, (step - warmup) / max(1, total - warmup))
    if config.schedule == "poly":
        left: float = (1 - progress) ** config.power
        return config.min_lr + (peak - config.min_lr) * left
    if config.schedule != "cosine":
        raise unknown_name("schedule", config.schedule, SCHEDULES)
    return _half_cosine(peak, config.min_lr, progress)


def _half_cosine(start: float, end: float, progress: float) -> float:
    return end + (start - end) * 0.5 * (1 + math.cos(math.pi * progress))


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


def optimiser(config: LoopConfig, module: nn.Module, *, peak: float) -> torch.optim.Optimizer:
    """The optimiser of a config over the module's trainable parameters.

    "adamw" decays weights apart from the gradient, the others as an L2 term in it.

    Raises:
        StrbenchError: an unknown name.
    """
    groups = parameter_groups(
        module, weight_decay=config.weight_decay, layer_decay=config.layer_decay
    )
    if config.optimiser == "adamw":
        return torch.optim.AdamW(groups, lr=peak, betas=config.betas, eps=config.eps)
    if config.optimiser == "adam":
        return torch.optim.Adam(groups, lr=peak, betas=config.betas, eps=config.eps)
    if config.optimiser == "adadelta":
        return torch.optim.Adadelta(groups, lr=peak, rho=config.rho, eps=config.eps)
    if config.optimiser == "sgd":
        return torch.optim.SGD(groups, lr=peak, momentum=config.momentum)
    raise unknown_name("optimiser", config.optimiser, OPTIMISERS)
