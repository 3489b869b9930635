"""A head from maps at stride 4 to a logit a pixel, as DB's and Mask TextSpotter v3's proposals have it."""

from __future__ import annotations

from torch import nn

from .batchnorm import BatchNorm2d


def fine_head(neck: int) -> nn.Sequential:
    """Maps (B, neck, H / 4, W / 4) to logits (B, 1, H, W): a 3x3 and two transposed convolutions.

    Source: Liao et al., DB, AAAI 2020; MhLiao/DB, decoders/seg_detector.py, with its first weights.
    """
    inner = neck // 4
    head = nn.Sequential(
        nn.Conv2d(neck, inner, 3, padding=1, bias=False),
        BatchNorm2d(inner),
        nn.ReLU(),
        nn.ConvTranspose2d(inner, inner, 2, 2),
        BatchNorm2d(inner),
        nn.ReLU(),
        nn.ConvTranspose2d(inner, 1, 2, 2),
    )
    for part in head:
        if isinstance(part, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.kaiming_normal_(part.weight)
        elif isinstance(part, BatchNorm2d):
            nn.init.constant_(part.bias, 1e-4)
    return head
