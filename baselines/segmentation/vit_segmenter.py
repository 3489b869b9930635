"""ViT segmenter: DiG's encoder and three blocks that say which pixels are text.

Yang et al., "Reading and Writing: Discriminative and Generative Modeling for Self-Supervised Text
Recognition", ACM MM 2022 (arXiv 2207.00193), its segmentation experiment on word crops of TextSeg. The
release has no code for it. Architecture and recipe ``paper`` are those of a re-run of DiG's encoder,
FaltingsA/SSM, pretrain/main_pixel.py, read, not copied; that DiG's own were the same is not known.

The network is that of ``vit-restorer`` with one output a pixel. It is trained, as there, by the mean
squared error between that number and 0 or 1, not by cross-entropy, and a pixel is text above 0.5; as a
probability the number is clamped to [0, 1]. Of a mask's values, text alone is 1, effect (shadows and the
like) is background, and ignored pixels take no part in the mean.

What differs from the re-run: what ``vit-restorer`` says, and that masks are stretched by nearest
neighbours, there by bicubic interpolation of JPEG files.

*Expected* of recipe ``cpu-hour`` (size mini) on 500 drawn words, one seed, IoU of the words: from scratch 74.4, from
Gen 74.1, from Dis 75.1, from DiG 75.0, where Otsu's threshold has 75.1 (``strbench reproduce dig-segmentation
--scale cpu-night``). Nothing of the paper's size was run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from strbench.masks import IGNORED, TEXT
from strbench.methods import PairBatch, Restorer, View

from ..parts.pixel_decoder import CPU_HOUR, SMALL, SMOKE, PixelTraining, PixelViT, pixel_method
from ..parts.ranks import mean_over_ranks
from ..parts.restoring import restoring


@dataclass(frozen=True, kw_only=True)
class Config(PixelTraining):
    """``PixelTraining`` with SSM's longer warm-up for segmentation."""

    warmup_epochs: float = 10.0


RECIPES: Mapping[str, Config] = {
    "paper": Config(),
    "small": Config(**SMALL),
    "cpu-hour": Config(**CPU_HOUR),
    "smoke": Config(**SMOKE),
}


def views(config: Config) -> View:
    """The function from a PairBatch to what ``ViTSegmenter.loss`` takes.

    "images" (B, 3, H, W) in [-1, 1]; "targets" (B, 1, H, W), 1.0 where a pixel is text; "counted" (B, 1,
    H, W), False where the mask says that it is to be ignored.
    """

    def view(batch: PairBatch) -> dict[str, Tensor]:
        return {
            "images": batch.inputs.float() / 127.5 - 1,
            "targets": (batch.targets == TEXT).float(),
            "counted": batch.targets != IGNORED,
        }

    return view


class ViTSegmenter(PixelViT):
    """Encoder and decoder with one channel."""

    def __init__(self, config: Config) -> None:
        super().__init__(config, channels=1)

    def loss(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The loss on a batch of ``views``: the mean squared error of the counted pixels.

        0 where none is counted.
        """
        made, targets, counted = self(batch["images"]), batch["targets"], batch["counted"]
        with torch.autocast(made.device.type, enabled=False):
            squares = (made.to(targets.dtype) - targets).square()
            total = torch.where(counted, squares, 0.0).sum()
            return {"loss": mean_over_ranks(total, counted.sum())}


def segmenter(module: nn.Module, config: Config) -> Restorer:
    """A function from images (B, 3, H, W), RGB in [0, 1], to the probability of text (B, 1, H, W)."""
    return restoring(module, lambda images: module(images * 2 - 1).clamp(0, 1))


VIT_SEGMENTER = pixel_method(
    "vit-segmenter",
    "ViT encoder with a decoder of a mask, as in DiG",
    kind="segmenter",
    task="segmentation",
    status="trained",
    parameters={"small": 26_638_096, "small trainable": 26_637_712},
    recipes=RECIPES,
    notes=(
        "Trained by the mean squared error on word crops stretched to 32 x 128; a pixel is text above "
        "0.5. Effect counts as background, ignored pixels not at all. The decoder and recipe paper "
        "are FaltingsA/SSM's, which re-runs DiG's encoder."
    ),
    build=ViTSegmenter,
    views=views,
    restorer=segmenter,
)
