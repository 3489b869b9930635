"""ViT restorer: DiG's encoder and three blocks that paint the high-resolution image.

Yang et al., "Reading and Writing: Discriminative and Generative Modeling for Self-Supervised Text
Recognition", ACM MM 2022 (arXiv 2207.00193), its super-resolution experiment: from scratch the paper's
"Scratch-ViT", from a ``dig`` run its "DiG". The release has no code for it. Architecture and recipe
``paper`` are those of a re-run of DiG's encoder, FaltingsA/SSM, pretrain/main_pixel.py, read, not copied;
that DiG's own were the same is not known.

The low-resolution image is enlarged to 32 x 128 before (bicubic, by the feed), so that the network maps an
image to one of the same size; the loss is the mean squared error of all pixels.

What differs from the re-run:
- Inputs are (x - 0.5) / 0.5, which is what the encoder was pretrained on; there they stay in [0, 1].
- No augmentation. There an augmenting object is called with one seed on both images of a pair, but its
  default flags change nothing and those that were used are not told.
- Positions of encoder and decoder are sines over the flattened tokens, there of rows and columns.
- Keys have no bias. SSM's network has 26,655,792 weights that learn, 5,760 more: biases of 15 x 384 keys.
Its width at other sizes than small is ours: the decoder is as wide as the encoder.
Not compared with SSM's modules by running them.

*Expected* of recipe ``cpu-hour`` (size mini) on drawn pairs, one seed, PSNR in dB on the drawn pairs easy, medium
and hard: from scratch 24.3, 22.4, 20.3, from DiG 24.6, 22.6, 20.4, where bicubic enlargement has 22.7, 20.1, 18.3; on the
real easy pairs of TextZoom 21.8 either way, against 23.07 (``strbench reproduce dig-superres --scale cpu-night``).
Nothing of the paper's size was run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from strbench.errors import StrbenchError
from strbench.methods import PairBatch, PairConfig, View

from ..parts.pixel_decoder import CPU_HOUR, SMALL, SMOKE, PixelTraining, PixelViT, pixel_method


@dataclass(frozen=True, kw_only=True)
class Config(PixelTraining, PairConfig):
    """``PixelTraining`` on pairs whose low-resolution image is enlarged before."""

    shrink: int = 1


RECIPES: Mapping[str, Config] = {
    "paper": Config(),
    "small": Config(**SMALL),
    "cpu-hour": Config(**CPU_HOUR),
    "smoke": Config(**SMOKE),
}


def views(config: Config) -> View:
    """The function from a PairBatch to what ``ViTRestorer.loss`` takes.

    "images" (B, 3, H, W) in [-1, 1], the enlarged low-resolution image; "targets" (B, 3, H, W) in [0, 1].
    """

    def view(batch: PairBatch) -> dict[str, Tensor]:
        return {"images": batch.inputs.float() / 127.5 - 1, "targets": batch.targets.float() / 255}

    return view


class ViTRestorer(PixelViT):
    """Encoder and decoder; the result is in [0, 1] but for what the network gets wrong.

    Raises:
        StrbenchError: ``shrink`` is not 1: input and output have the same patches.
    """

    def __init__(self, config: Config) -> None:
        if config.shrink != 1:
            raise StrbenchError(
                f"shrink={config.shrink}: expected 1, since the image is enlarged before it enters.",
                hint="--set shrink=1",
            )
        super().__init__(config, channels=3)

    def loss(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The loss on a batch of ``views``: the mean squared error."""
        made, targets = self(batch["images"]), batch["targets"]
        with torch.autocast(made.device.type, enabled=False):
            return {"loss": F.mse_loss(made.to(targets.dtype), targets)}


VIT_RESTORER = pixel_method(
    "vit-restorer",
    "ViT encoder with a decoder of pixels, as in DiG",
    kind="restorer",
    task="super-resolution",
    status="trained",
    parameters={"small": 26_650_416, "small trainable": 26_650_032},
    recipes=RECIPES,
    notes=(
        "The low-resolution image is enlarged to 32 x 128 before it enters. Results are RGB in [0, 1], "
        "not clamped. The decoder and recipe paper are FaltingsA/SSM's, which re-runs DiG's encoder."
    ),
    build=ViTRestorer,
    views=views,
)
