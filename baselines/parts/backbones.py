"""The image networks of detectors, by the name that ``size`` has on the command line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

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

# Of the stem that MMOCR writes as one sequence.
_STEM = {0: "conv1", 1: "bn1", 3: "conv2", 4: "bn2", 6: "conv3", 7: "bn3"}


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


def adopted(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """An image network's tensors as others name them, under the names of a detector here.

    Known are torchvision's ResNets, the image network of CLIP and oCLIP (``visual.``), and what MMOCR has
    made of the latter (``backbone.``, ``stem.``). A classifier or an attention pool is left out, and counts
    of batches, which old files do not have, begin at 0.
    """
    is_clip = any(name.startswith("visual.") for name in tensors)
    prefix = "visual." if is_clip else "backbone."
    if any(name.startswith(prefix) for name in tensors):
        tensors = {
            name.removeprefix(prefix): value
            for name, value in tensors.items()
            if name.startswith(prefix)
        }
    named: dict[str, Tensor] = {}
    for name, value in tensors.items():
        part, _, rest = name.partition(".")
        if part in ("fc", "classifier", "attnpool"):
            continue
        if part == "stem":
            number, _, rest = rest.partition(".")
            name = f"{_STEM[int(number)]}.{rest}"
        elif is_clip:  # there the average before it has the number -1
            name = name.replace(".downsample.1.", ".downsample.2.")
            name = name.replace(".downsample.0.", ".downsample.1.")
        named[name] = value
    for name in [n for n in named if n.endswith("running_var")]:
        named.setdefault(name.replace("running_var", "num_batches_tracked"), torch.tensor(0))
    return {f"backbone.{name}": value for name, value in named.items()}
