"""The image networks of detectors, by the name that ``size`` has on the command line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from strbench.errors import StrbenchError, unknown_name

from .clip_resnet import ClipResNet
from .resnet import BasicBlock, Bottleneck, ResNet
from .vgg import Vgg16

# Each turns images (B, 3, H, W) to a list of maps C2 to C5 and tells their channels as ``widths``.
BACKBONES: Mapping[str, Callable[..., nn.Module]] = {
    "r18": lambda **more: ResNet(BasicBlock, (2, 2, 2, 2), **more),
    "r50": lambda **more: ResNet(Bottleneck, (3, 4, 6, 3), **more),
    "deep50": lambda **more: ResNet(Bottleneck, (3, 4, 6, 3), is_deep=True, **more),  # PSENet's own
    "clip50": lambda: ClipResNet((3, 4, 6, 3)),
    "clip101": lambda: ClipResNet((3, 4, 23, 3)),
    "vgg16": lambda: Vgg16(),
    # strbench's own, for a CPU
    "micro": lambda **more: ResNet(BasicBlock, (1, 1, 1, 1), width=16, **more),
    "clipmicro": lambda: ClipResNet((1, 1, 1, 1), width=16),
}


def backbone(name: str, **settings: Any) -> nn.Module:
    """The network of that name, weights as drawn.

    Args:
        settings: of ``ResNet``; the others have none.

    Raises:
        StrbenchError: no such network, or a setting that it does not have.
    """
    if name not in BACKBONES:
        raise unknown_name("backbone", name, BACKBONES)
    wanted = {key: value for key, value in settings.items() if value}
    if wanted and name.startswith(("clip", "vgg")):
        raise StrbenchError(
            f"{name} has no {' and no '.join(wanted)}.", hint="Choose another size: --set size=r50"
        )
    return BACKBONES[name](**wanted)
