"""DB: differentiable binarisation; a probability map whose threshold is learned beside it. And DB++.

Liao et al., "Real-time Scene Text Detection with Differentiable Binarization", AAAI 2020 (arXiv 1911.08947),
and "Real-Time Scene Text Detection with Differentiable Binarization and Adaptive Scale Fusion", TPAMI 2022
(arXiv 2202.10304). Official code: MhLiao/DB (licence Apache-2.0, not used).

Followed from that code: box mode and polygon mode with their own unclip ratios, thresholds a data set and
backbone, the boxes of 8 pixels that do not count. What differs:
- Offsets and rectangles are computed on real numbers; there they are rounded to whole pixels.
- The rate falls every step, to 0; there every epoch, to what is left one epoch before.
- Vectors (biases, batch normalisation) do not decay.
- Images are RGB less ImageNet's mean by its deviation; there BGR less a mean in RGB's order, by 255.
- Photographs are resized by Pillow (bilinear, averaged when they shrink), there by OpenCV.
- ``micro`` and its necks are strbench's own, for a CPU.

Against the official decoders (of both) and L1BalanceCELoss, same weights and inputs: maps equal to the last
bit, the loss to 5e-7, gradients to 8e-7 of their largest. Where a probability is 1 to the last bit its loss is
exact here, and 100 there.

*Expected:* no figure of a finished run is recorded yet.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from strbench.feeds import PageFeed
from strbench.methods import Finder, Method
from strbench.placing import (
    Placement,
    fitted,
    mirroring,
    moved_regions,
    scaling,
    turning,
    uncut_window,
)
from strbench.types import Detection, Region

from ..parts.backbones import backbone
from ..parts.db_maps import TESTS, found, targets
from ..parts.detecting import DetectorTraining, detector_method, normalised, test_row
from ..parts.fine_head import fine_head
from ..parts.hard_negatives import balanced, batch_dice
from ..parts.precision import exact
from ..parts.ranks import mean_over_ranks

STEEPNESS = 50  # k of the binarisation; section 3.2
PROBABILITY_WEIGHT = 5.0  # MhLiao/DB, decoders/seg_detector_loss.py, L1BalanceCELoss
THRESHOLD_WEIGHT = 10.0
SCALES = (0.5, 3.0)  # of the photograph before it is cut; its experiments/seg_detector/*.yaml
TURN = 10.0  # degrees either way


@dataclass(frozen=True, kw_only=True)
class Config(DetectorTraining):
    """``DetectorTraining`` with DB's settings; MhLiao/DB, experiments/seg_detector/*.yaml."""

    epochs: float = 1200.0
    lr: float = 0.007
    weight_decay: float = 1e-4
    neck: int = 256  # channels of the pyramid and of the fused maps
    deformable: bool = False  # stages C3 to C5; the paper's own backbones have it


RECIPES: Mapping[str, Config] = {
    "paper": Config(deformable=True),
    # Plain detection pretraining ("ST"): SynthText for 100,000 steps; MMOCR, schedule_sgd_100k.
    "synthtext": Config(epochs=0, steps=100_000),
    # MMOCR's recipe for a backbone of oCLIP: a lower rate, a longer start, no DCN.
    "clip": Config(size="clip50", lr=0.002, warmup_epochs=100, min_lr=1e-7),
    # Ours, for less than an hour on one GPU.
    "small": Config(size="r18", epochs=0, steps=4_000, warmup_steps=200),
    # Ours, for a CPU.
    "cpu-hour": Config(
        size="micro", neck=64, height=320, width=320, test="pages", batch_size=8, epochs=0, steps=2_500,
        optimiser="adamw", lr=2e-3, warmup_steps=100,
    ),
    "smoke": Config(
        size="micro", neck=64, height=160, width=160, test="pages", batch_size=4, epochs=0, steps=60,
        optimiser="adamw", lr=2e-3, warmup_steps=5,
    ),
}  # fmt: skip


# MMOCR starts DB++ from oCLIP twice as long.
_RECIPES_PLUS = {**RECIPES, "clip": replace(RECIPES["clip"], warmup_epochs=200)}


# --- photographs in


def _place(config: Config) -> Callable[..., Placement]:
    """Mirrored or not, turned, scaled, cut where no text is, and fitted into the window's corner."""

    def place(
        rng: np.random.Generator, height: int, width: int, regions: Sequence[Region]
    ) -> Placement:
        scale = rng.uniform(*SCALES)
        matrix = turning(rng.uniform(-TURN, TURN), height, width)
        if rng.random() < 0.5:
            matrix = matrix @ mirroring(width)
        matrix = scaling(scale, scale) @ matrix
        high, wide = max(1, round(height * scale)), max(1, round(width * scale))
        seen = moved_regions(regions, matrix)
        cut = uncut_window(rng, seen, high, wide)
        return fitted(matrix, cut, config.height, config.width)

    return place


def feed(config: Config) -> PageFeed:
    """Windows of photographs with the maps of ``parts.db_maps.targets``."""
    return PageFeed(height=config.height, width=config.width, place=_place(config), targets=targets)


# --- the network


class Pyramid(nn.Module):
    """Maps C2 to C5 to one of ``neck`` channels at stride 4: added from the top, then side by side."""

    def __init__(self, widths: Sequence[int], neck: int) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(w, neck, 1, bias=False) for w in widths)
        self.smooth = nn.ModuleList(
            nn.Conv2d(neck, neck // 4, 3, padding=1, bias=False) for _ in widths
        )
        for part in self.modules():
            if isinstance(part, nn.Conv2d):
                nn.init.kaiming_normal_(part.weight)

    def forward(self, stages: Sequence[Tensor]) -> Tensor:
        """(B, neck, H / 4, W / 4), the coarsest level's channels first."""
        merged: Tensor | None = None
        levels: list[Tensor] = []
        for maps, lateral, smooth in zip(
            reversed(stages), reversed(self.lateral), reversed(self.smooth), strict=True
        ):
            own = lateral(maps)
            merged = own if merged is None else own + F.interpolate(merged, size=own.shape[2:])
            levels.append(smooth(merged))
        size = levels[-1].shape[2:]
        return torch.cat([F.interpolate(level, size=size) for level in levels], dim=1)


class ScaleFusion(nn.Module):
    """DB++'s attention over the four levels of ``Pyramid``.

    Source: TPAMI 2022, section 3.3; MhLiao/DB, decoders/feature_attention.py: both branches are added.
    """

    def __init__(self, neck: int) -> None:
        super().__init__()
        inner = neck // 4
        self.mix = nn.Conv2d(neck, inner, 3, padding=1)
        self.channels = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(inner, inner // 4, 1, bias=False),
            nn.ReLU(),
            nn.Conv2d(inner // 4, inner, 1, bias=False),
            nn.Sigmoid(),
        )
        self.space = nn.Sequential(
            nn.Conv2d(1, 1, 3, padding=1, bias=False),
            nn.ReLU(),
            nn.Conv2d(1, 1, 1, bias=False),
            nn.Sigmoid(),
        )
        self.scales = nn.Sequential(nn.Conv2d(inner, 4, 1, bias=False), nn.Sigmoid())
        for part in (*self.channels, *self.space, *self.scales):
            if isinstance(part, nn.Conv2d):
                nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, fused: Tensor) -> Tensor:
        mixed = self.mix(fused)
        mixed = mixed + self.channels(mixed)
        mixed = mixed + self.space(mixed.mean(1, keepdim=True))
        weights = self.scales(mixed)  # (B, 4, H / 4, W / 4)
        weighed: Tensor = fused * weights.repeat_interleave(fused.shape[1] // 4, dim=1)
        return weighed


class Binarisation(nn.Module):
    """``backbone``, ``neck`` and the heads of the probability and of its threshold."""

    def __init__(self, config: Config, *, is_fused: bool) -> None:
        super().__init__()
        self.backbone = backbone(config.size, deformable=config.deformable)
        self.neck = Pyramid(self.backbone.widths, config.neck)  # type: ignore[arg-type]
        self.fusion = ScaleFusion(config.neck) if is_fused else nn.Identity()
        self.probability = fine_head(config.neck)
        self.threshold = fine_head(config.neck)

    def features(self, images: Tensor) -> Tensor:
        """(B, neck, H / 4, W / 4) of normalised images."""
        out: Tensor = self.fusion(self.neck(self.backbone(images)))
        return out

    def forward(self, images: Tensor) -> Tensor:
        """The probability of shrunk text (B, H, W) of normalised images (B, 3, H, W)."""
        logits: Tensor = self.probability(self.features(images))[:, 0]
        return logits.float().sigmoid()

    def loss(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The loss on a batch of ``parts.detecting.views``, its three parts before they are weighed."""
        features = self.features(batch["images"])
        logits, threshold = self.probability(features)[:, 0], self.threshold(features)[:, 0]
        with torch.autocast(logits.device.type, enabled=False):
            logits, threshold = exact(logits), exact(threshold).sigmoid()
            truth, counts, band = batch["shrunk"], batch["counts"], batch["band"]
            every = F.binary_cross_entropy_with_logits(
                logits, truth.to(logits.dtype), reduction="none"
            )
            probability = balanced(every, truth & counts, ~truth & counts)
            far = (threshold - batch["threshold"].to(threshold.dtype)).abs()
            border = mean_over_ranks(far[band].sum(), band.sum())
            binary = torch.sigmoid(STEEPNESS * (logits.sigmoid() - threshold))
            overlap = batch_dice(binary, truth, counts)
            loss = PROBABILITY_WEIGHT * probability + THRESHOLD_WEIGHT * border + overlap
        return {"loss": loss, "probability": probability, "threshold": border, "binary": overlap}


def finder(module: nn.Module, config: Config) -> Finder:
    """What reads photographs under the run's row of test settings."""
    test = test_row(TESTS, config.test)

    def find(images: Tensor) -> list[list[Detection]]:
        maps = module(normalised(images)).cpu().numpy()  # (B, H, W)
        return [found(one, test) for one in maps]

    return Finder(test.sizing, find, f"{config.test}: {test}")


def _entry(name: str, title: str, *, is_fused: bool, parameters: dict[str, int]) -> Method:
    def build(config: Any) -> nn.Module:
        return Binarisation(config, is_fused=is_fused)

    more = "Adaptive Scale Fusion, TPAMI 2022" if is_fused else "AAAI 2020"
    return detector_method(
        name,
        title,
        paper=f"Liao et al., Real-Time Scene Text Detection with Differentiable Binarization, {more}",
        code="github.com/MhLiao/DB (Apache-2.0, not used)",
        parameters=parameters,
        recipes=_RECIPES_PLUS if is_fused else RECIPES,
        notes=(
            "Test settings a data set and backbone are those of the official code; boxes on real "
            "numbers, images RGB. Size micro is strbench's own."
        ),
        build=build,
        feed=feed,
        finder=finder,
        fresh=("backbone.offsets.", "neck.", "fusion.", "probability.", "threshold."),
    )


DB = _entry(
    "db",
    "DB: differentiable binarisation",
    is_fused=False,
    parameters={
        "r50": 26_280_993,
        "r50 deformable=false": 25_409_730,
        "r18 deformable=false": 12_340_930,
        "clip50 deformable=false": 25_428_962,
    },
)
DB_PLUS = _entry(
    "dbpp",
    "DB++: differentiable binarisation with adaptive scale fusion",
    is_fused=True,
    parameters={"r50": 26_430_827, "r50 deformable=false": 25_559_564},
)
