"""How a network that makes images of images answers outside of training."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from strbench.methods import Restorer


def restoring(module: nn.Module, make: Callable[[Tensor], Tensor]) -> Restorer:
    """``make``, a function of images (B, 3, h, w), RGB in [0, 1], in evaluation mode.

    The module is handed back in the mode that it had. Autocast is switched off: bfloat16 has 8 bits, and
    the error of its rounding would be part of the figure.
    """

    @torch.inference_mode()
    def restore(images: Tensor) -> Tensor:
        training = module.training
        module.eval()
        with torch.autocast(images.device.type, enabled=False):
            made = make(images)
        module.train(training)
        return made

    return restore
