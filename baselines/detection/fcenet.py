"""FCENet: each pixel of a text tells the Fourier coefficients of the text's contour.

Zhu et al., "Fourier Contour Embedding for Arbitrary-Shaped Text Detection", CVPR 2021 (arXiv 2104.10442).
Official code: MMOCR (open-mmlab/mmocr, licence Apache-2.0, not used).

Followed from that code: levels, regions, losses, augmentation, and how contours suppress each other. Where
its versions differ, version 0 is followed in that the centre's loss is a cross-entropy (version 1 takes the
probabilities for logits), and version 1 in what a level without any text loses: nothing but the centre's
part on the rest. What differs:
- Coordinates are real numbers, there whole pixels; c_0 is relative to a pixel's centre, there its corner.
- What an ignored text covers counts for no loss; there it is trained as no centre.
- A photograph is turned before it is cut, there after; beyond it is black, there a part of it enlarged.
  No patch is mirrored in its place ("crop flip"), and no scale is drawn before the cut, since what is cut
  is fitted to the window anyway.
- Pixels below the score have no contour; there those in the holes of a region do.
- DCN has one group of offsets, there two, and batch normalisation is trained with it too.
- Photographs are stretched to whole multiples of 32 pixels, there padded. Vectors do not decay.
- The paper's backbone comes from ImageNet; here weights are as drawn unless --from brings some.
- ``micro`` and its necks are strbench's own, for a CPU.

Run beside MMOCR at commit 966296f, on Total-Text's annotations: the same answers to the same maps lose the
same within 2.4e-7 (no text ignored, its centre's loss made a cross-entropy); drawn maps overlap by an IoU of
0.99 (text) and 0.96 (centre, which is thin); from maps with noise the same 118 of 118 texts are found, with
the same scores within 3e-8. Neck and backbone were not run beside it.

*Expected:* no figure of a finished run is recorded yet.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from strbench.errors import StrbenchError
from strbench.feeds import PageFeed
from strbench.methods import Finder
from strbench.placing import (
    Matrix,
    Placement,
    fitted,
    mirroring,
    moved_regions,
    scaling,
    shift,
    turning,
    uncut_window,
)
from strbench.types import Detection, Region

from ..parts.backbones import backbone
from ..parts.detecting import DetectorTraining, detector_method, normalised, test_row
from ..parts.fourier_maps import (
    DEGREE,
    POINTS,
    STRIDES,
    TESTS,
    Level,
    Levels,
    found,
    targets,
)
from ..parts.hard_negatives import balanced
from ..parts.precision import exact
from ..parts.ranks import mean_over_ranks

COARSEST = STRIDES[-1]
COUNT = 2 * DEGREE + 1  # coefficients
REST_WEIGHT = 0.5  # of the centre's loss where there is no text; MMOCR, fce_module_loss.py
TURN, TURNED = 30.0, 0.5  # degrees either way, how often; MMOCR, _base_fcenet_resnet50_fpn.py
CUT, LEAST_CUT = 0.8, 0.3  # how often, and of the photograph's sides what is left at least
FITTED = 0.6  # how often the ratio is kept; otherwise stretched


@dataclass(frozen=True, kw_only=True)
class Config(DetectorTraining):
    """``DetectorTraining`` with FCENet's settings; MMOCR, configs/textdet/fcenet."""

    epochs: float = 1500.0
    height: int = 800
    width: int = 800
    batch_size: int = 8
    lr: float = 1e-3
    min_lr: float = 1e-7
    weight_decay: float = 5e-4
    brightness: float = 32 / 255
    contrast: float = 0.5
    saturation: float = 0.5
    neck: int = 256  # channels of the pyramid
    deformable: bool = False  # stages C3 to C5
    levels: Levels = "default"  # which texts belong to which level of the pyramid

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.height % COARSEST or self.width % COARSEST:
            raise StrbenchError(
                f"height={self.height} width={self.width}: expected multiples of {COARSEST}.",
                hint="--set height=800 --set width=800",
            )


RECIPES: Mapping[str, Config] = {
    "paper": Config(),  # ICDAR 2015
    "ctw1500": Config(deformable=True, levels="dcn", test="ctw1500"),
    # MMOCR's recipes for a backbone of oCLIP: half the rate; ICDAR 2015, and CTW1500 without DCN.
    "clip": Config(size="clip50", lr=5e-4, batch_size=16),
    "clip-ctw1500": Config(size="clip50", lr=5e-4, levels="dcn", test="ctw1500"),
    # Ours, for less than an hour on one GPU.
    "small": Config(size="r18", height=640, width=640, epochs=0, steps=4_000, warmup_steps=200),
    # Ours, for a CPU.
    "cpu-hour": Config(
        size="micro", neck=64, height=320, width=320, test="pages", batch_size=8, epochs=0, steps=2_500,
        optimiser="adamw", lr=2e-3, warmup_steps=100,
    ),
    "smoke": Config(
        size="micro", neck=32, height=160, width=160, test="pages", batch_size=4, epochs=0, steps=60,
        optimiser="adamw", lr=3e-3, warmup_steps=5,
    ),
}  # fmt: skip


# --- photographs in


def _place(config: Config) -> Callable[..., Placement]:
    """Mirrored or not, turned on a canvas that holds it whole, cut where no text is, fitted or stretched."""

    def place(
        rng: np.random.Generator, height: int, width: int, regions: Sequence[Region]
    ) -> Placement:
        degrees = rng.uniform(-TURN, TURN) if rng.random() < TURNED else 0.0
        matrix, high, wide = _canvas(degrees, height, width)
        if rng.random() < 0.5:
            matrix = matrix @ mirroring(width)
        window = 0.0, 0.0, float(wide), float(high)
        if rng.random() < CUT:
            seen = moved_regions(regions, matrix)
            window = uncut_window(rng, seen, high, wide, least=LEAST_CUT)
        if rng.random() < FITTED:
            return fitted(matrix, window, config.height, config.width)
        left, top, right, bottom = window
        stretch = scaling(config.width / (right - left), config.height / (bottom - top))
        return Placement(stretch @ shift(-left, -top) @ matrix, (config.height, config.width))

    return place


def _canvas(degrees: float, height: int, width: int) -> tuple[Matrix, int, int]:
    """The turning of an image, and the height and width of what then holds it whole."""
    cos, sin = abs(math.cos(math.radians(degrees))), abs(math.sin(math.radians(degrees)))
    high, wide = round(height * cos + width * sin), round(width * cos + height * sin)
    matrix = shift((wide - width) / 2, (high - height) / 2) @ turning(degrees, height, width)
    return matrix, high, wide


def feed(config: Config) -> PageFeed:
    """Windows of photographs with the maps of ``parts.fourier_maps.targets``."""
    return PageFeed(
        height=config.height,
        width=config.width,
        place=_place(config),
        targets=partial(targets, levels=config.levels),
    )


# --- the network


class Pyramid(nn.Module):
    """Maps C3 to C5 to P3 to P5 of ``neck`` channels each: added from the top, then smoothed.

    Convolutions with a bias and neither normalisation nor activation. Source: Lin et al., Feature Pyramid
    Networks, CVPR 2017; open-mmlab/mmdetection, necks/fpn.py, as MMOCR's configs/textdet/fcenet set it:
    its further levels, and with them the ReLU before these, are none here.
    """

    def __init__(self, widths: Sequence[int], neck: int) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(w, neck, 1) for w in widths)
        self.smooth = nn.ModuleList(nn.Conv2d(neck, neck, 3, padding=1) for _ in widths)
        for part in (*self.lateral, *self.smooth):
            nn.init.xavier_uniform_(part.weight)
            nn.init.zeros_(part.bias)

    def forward(self, stages: Sequence[Tensor]) -> list[Tensor]:
        """The levels, the finest first."""
        merged = [lateral(maps) for maps, lateral in zip(stages, self.lateral, strict=True)]
        for i in range(len(merged) - 1, 0, -1):
            size = merged[i - 1].shape[2:]
            merged[i - 1] = merged[i - 1] + F.interpolate(merged[i], size=size)
        return [smooth(maps) for maps, smooth in zip(merged, self.smooth, strict=True)]


def _head(neck: int, channels: int) -> nn.Conv2d:
    head = nn.Conv2d(neck, channels, 3, padding=1)
    nn.init.normal_(head.weight, std=0.01)  # MMOCR, fce_head.py
    nn.init.zeros_(head.bias)  # type: ignore[arg-type]
    return head


class FourierContours(nn.Module):
    """``backbone``, ``neck`` and the two heads that all levels share."""

    angles: Tensor  # (COUNT, POINTS) by which each coefficient is turned at each point

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.backbone = backbone(config.size, deformable=config.deformable)
        self.neck = Pyramid(self.backbone.widths[1:], config.neck)  # type: ignore[index, arg-type]
        self.classes = _head(config.neck, 4)  # no text, text, no centre, centre
        self.signature = _head(config.neck, 2 * COUNT)
        turns = torch.outer(torch.arange(-DEGREE, DEGREE + 1), torch.arange(POINTS))
        angles = turns.double() * (2 * math.pi / POINTS)
        self.register_buffer("angles", angles, persistent=False)

    def levels(self, images: Tensor) -> list[tuple[Tensor, Tensor, Tensor]]:
        """Logits of text and of centre (B, H, W), signatures (B, 22, H, W) of each level, the finest first."""
        out = []
        for maps in self.neck(self.backbone(images)[1:]):
            classes, signature = exact(self.classes(maps)), exact(self.signature(maps))
            no_text, text, no_centre, centre = classes.unbind(1)
            # The softmax of two is the sigmoid of their difference.
            out.append((text - no_text, centre - no_centre, signature))
        return out

    def forward(self, images: Tensor) -> list[tuple[Tensor, Tensor, Tensor]]:
        """``levels`` with probabilities, of normalised images (B, 3, H, W)."""
        return [(text.sigmoid(), centre.sigmoid(), s) for text, centre, s in self.levels(images)]

    def loss(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The loss on a batch of ``parts.detecting.views``, and its three parts, summed over the levels."""
        levels = self.levels(batch["images"])
        with torch.autocast(levels[0][0].device.type, enabled=False):
            lost = []
            for stride, level in zip(STRIDES, levels, strict=True):
                names = ("text", "centre", "counts", "signature")
                lost.append(self._lost(*level, *(batch[f"{name}{stride}"] for name in names)))
            text, centre, contour = (torch.stack(part).sum() for part in zip(*lost, strict=True))
        return {
            "loss": text + centre + contour,
            "text": text,
            "centre": centre,
            "contour": contour,
        }

    def _lost(
        self,
        text: Tensor,
        centre: Tensor,
        signature: Tensor,
        is_text: Tensor,
        is_centre: Tensor,
        counts: Tensor,
        truth: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """What text, centre and contour lose on one level: what the network says, then its maps."""
        inside, rest = is_text & counts, ~is_text & counts
        target, core = is_text.to(text.dtype), is_centre.to(text.dtype)
        every = F.binary_cross_entropy_with_logits(text, target, reduction="none")
        of_text = balanced(every, inside, rest)
        every = F.binary_cross_entropy_with_logits(centre, core, reduction="none")
        of_centre = mean_over_ranks(every[inside].sum(), inside.sum())
        of_rest = mean_over_ranks(every[rest].sum(), rest.sum())
        off = (signature - truth.to(signature.dtype)).permute(0, 2, 3, 1)[inside]  # (N, 22)
        weight = (1 + core[inside]) / 2  # the mean of text, which it is, and centre
        far = self._distances(off) * weight[:, None, None]
        of_contour = mean_over_ranks(far.sum(), inside.sum() * POINTS)
        return of_text, of_centre + REST_WEIGHT * of_rest, of_contour

    def _distances(self, off: Tensor) -> Tensor:
        """The smooth L1 distances (N, POINTS, 2) of contours whose signatures (N, 22) are ``off``.

        A contour is linear in its signature, so that of a difference is the difference of two.
        """
        real, imaginary = off[:, :COUNT], off[:, COUNT:]
        cos, sin = self.angles.cos().to(off.dtype), self.angles.sin().to(off.dtype)
        x, y = real @ cos - imaginary @ sin, real @ sin + imaginary @ cos
        apart = torch.stack([x, y], dim=-1)
        return F.smooth_l1_loss(apart, torch.zeros_like(apart), reduction="none")


def finder(module: nn.Module, config: Config) -> Finder:
    """What reads photographs under the run's row of test settings."""
    test = test_row(TESTS, config.test)

    def find(images: Tensor) -> list[list[Detection]]:
        maps = [[m.cpu().numpy() for m in level] for level in module(normalised(images))]
        return [
            found([Level(*(m[i] for m in level)) for level in maps], test)
            for i in range(len(images))
        ]

    return Finder(test.sizing, find, f"{config.test}: {test}")


FCENET = detector_method(
    "fcenet",
    "FCENet: Fourier contour embedding",
    paper=("Zhu et al., Fourier Contour Embedding for Arbitrary-Shaped Text Detection, CVPR 2021"),
    code="github.com/open-mmlab/mmocr, configs/textdet/fcenet (Apache-2.0, not used)",
    parameters={
        "r50": 26_256_474,
        "r50 deformable=true": 27_127_737,
        "r18": 13_236_826,
        "clip50": 26_275_706,
    },
    recipes=RECIPES,
    notes=(
        "Test settings a data set are MMOCR's; Total-Text as polygons. Contours on real numbers, one "
        "group of deformable offsets. Size micro is strbench's own."
    ),
    build=FourierContours,
    feed=feed,
    finder=finder,
    fresh=("backbone.offsets.", "neck.", "classes.", "signature."),
)
