"""EAST: every point of a text tells of the whole box, and the boxes that agree are merged.

Zhou et al., "EAST: An Efficient and Accurate Scene Text Detector", CVPR 2017 (arXiv 1704.03155), with
turned boxes (RBOX). There is no official code. The field compares with two others, which differ in what
the angle means, in labels and in loss: SakuraRiven/EAST, recipe ``paper``, and argman/EAST, ``argman``
(neither is used). ``stkm`` and its siblings are how STKM fine-tuned (Wan et al., CVPR 2021, section 4.2).
All of them start from ImageNet's weights, these here from random ones without ``--from``.

What differs from both:
- A cell's distances count from its centre, there from its upper left corner, and images are scaled by
  ImageNet's mean and deviation: their trained weights do not fit.
- Where texts lie on each other the later one has the cells (argman's way); SakuraRiven adds up distances.
  A text without a cell does not count. What is ignored counts nowhere; in SakuraRiven's loss cells of a
  text under it do.
- Boxes are merged on real numbers without exchanging their corners, as in the paper.
- A box's confidence is the mean score in it (argman's way).
From SakuraRiven: a batch without text has a dice loss of 1, without a gradient, not 0.
From argman: the pyramid takes C2 to C5, there C5, the first two blocks and the stem, upsampled with corners
aligned; boxes are the smallest rectangles, there fitted through a parallelogram, the same for rectangles;
sides are rounded down to a multiple of 32, there to the one below.
With equal weights SakuraRiven's network gives the same maps; its loss differs by 5e-7, gradients by 2e-6,
and shrunk texts, angles and boxes by 1e-13. ``micro`` is strbench's own, for a CPU.

*Expected:* no figure of a finished run is recorded yet.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import numpy as np
import shapely
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from strbench.errors import StrbenchError
from strbench.feeds import PageFeed
from strbench.geometry import bounds
from strbench.methods import Finder, Optimiser, Schedule
from strbench.placing import (
    Place,
    Placement,
    moved_regions,
    scaling,
    shift,
    turning,
    uncut_window,
)
from strbench.types import Detection, Polygon, Region

from ..parts.backbones import backbone
from ..parts.batchnorm import BatchNorm2d
from ..parts.detecting import DetectorTraining, detector_method, normalised, test_row
from ..parts.east_maps import STRIDE, TESTS, Angles, Labels, found, targets
from ..parts.hard_negatives import batch_dice
from ..parts.precision import exact
from ..parts.ranks import mean_over_ranks

TURN, STRETCH = 10.0, 0.2  # degrees, share of the height; SakuraRiven/EAST, dataset.py
WINDOWS = 1000  # that are tried; the same
SCALES = (0.5, 1.0, 2.0, 3.0)  # argman/EAST, icdar.py
_TOGETHER = 50  # windows tried at once


@dataclass(frozen=True, kw_only=True)
class Config(DetectorTraining):
    """``DetectorTraining`` with EAST's settings; SakuraRiven/EAST's train.py, dataset.py and loss.py."""

    size: str = "vgg16"
    height: int = 512
    width: int = 512
    epochs: float = 600.0
    batch_size: int = 24
    optimiser: Optimiser = "adam"
    lr: float = 1e-3
    schedule: Schedule = "steps"
    milestones: tuple[float, ...] = (0.5,)
    weight_decay: float = 0.0
    # "window": turned, stretched, and cut to a window of the network's size; "scaled": scaled, cut where no
    # text is, and made smaller where it does not fit
    cutting: Literal["window", "scaled"] = "window"
    background: float = 0.0  # "scaled": the share of windows without text
    # What angles mean, and how labels are drawn: see parts.east_maps.Labels.
    angles: Angles = 90
    least_side: float = 0.0
    margin: float = STRIDE / 2
    reach: float = 512.0  # pixels: the largest distance that the network can tell
    angle_weight: float = 10.0
    score_weight: float = 1.0
    average: Literal["text", "all"] = "text"  # the cells that the loss of boxes is a mean over

    def __post_init__(self) -> None:
        """Refuses a value with which no run is possible."""
        super().__post_init__()
        for name, is_right, expected in (
            ("height", self.height % 32 == 0, "a multiple of 32"),
            ("width", self.width % 32 == 0, "a multiple of 32"),
            ("background", 0 <= self.background <= 1, "0 to 1"),
            ("margin", self.margin >= 0, "0 or more"),
            ("reach", self.reach > 0, "more than 0"),
        ):
            if not is_right:
                message = f"{name}={getattr(self, name)!r}: expected {expected}."
                raise StrbenchError(message, hint=f"--set {name}=...")


_STKM = Config(size="r50", batch_size=32, lr=1e-4, milestones=(1 / 3, 2 / 3))

_PAPER = Config(brightness=0.5, contrast=0.5, saturation=0.5, hue=0.25)
RECIPES: Mapping[str, Config] = {
    "paper": _PAPER,
    # Plain detection pretraining ("ST"): SynthText once, as PSENet's code; none of EAST's tells.
    "synthtext": replace(_PAPER, epochs=1),
    "argman": Config(
        size="r50", test="ic15-argman", batch_size=14, epochs=0, steps=100_000, lr=1e-4, decay=0.94,
        milestones=tuple(k / 10 for k in range(1, 10)), weight_decay=1e-5, ema=0.997,
        cutting="scaled", background=3 / 8, angles=45, least_side=10, margin=0.5,
        angle_weight=20, score_weight=0.01, average="all",
    ),
    # STKM's, by data set; the paper tells neither weights nor labels: those of ``paper``.
    "stkm": _STKM,
    "stkm-td500": replace(_STKM, test="td500", height=640, width=640, batch_size=22),
    "stkm-ic17": replace(_STKM, test="ic17", height=640, width=640, batch_size=22, epochs=150),
    # Ours, for less than an hour on one GPU.
    "small": Config(size="r18", epochs=0, steps=4_000, warmup_steps=200),
    # Ours, for a CPU.
    "cpu-hour": Config(
        size="micro", height=320, width=320, test="pages", batch_size=8, epochs=0, steps=2_500,
        warmup_steps=100, lr=2e-3, cutting="scaled", reach=320,
    ),
    "smoke": Config(
        size="micro", height=160, width=160, test="pages", batch_size=4, epochs=0, steps=60,
        warmup_steps=5, lr=3e-3, cutting="scaled", reach=160,
    ),
}  # fmt: skip


# --- photographs in


def _place(config: Config) -> Place:
    def window(
        rng: np.random.Generator, height: int, width: int, regions: Sequence[Region]
    ) -> Placement:
        high = height * (1 + rng.uniform(-STRETCH, STRETCH))
        matrix = turning(rng.uniform(-TURN, TURN), high, width) @ scaling(1, high / height)
        scale = max(1.0, config.height / high, config.width / width)
        matrix = scaling(scale, scale) @ matrix
        room = max(0.0, width * scale - config.width), max(0.0, high * scale - config.height)
        texts = [r.polygon for r in moved_regions(regions, matrix) if not r.ignored]
        left, top = _uncut_corner(rng, texts, room, config)
        return Placement(shift(-left, -top) @ matrix, (config.height, config.width))

    def scaled(
        rng: np.random.Generator, height: int, width: int, regions: Sequence[Region]
    ) -> Placement:
        scale = float(rng.choice(SCALES))
        matrix = scaling(scale, scale)
        high, wide = max(1, round(height * scale)), max(1, round(width * scale))
        seen, cut = moved_regions(regions, matrix), None
        if rng.random() < config.background:
            cut = _window_without_text(rng, seen, high, wide)
        left, top, right, bottom = cut or uncut_window(rng, seen, high, wide)
        fit = min(1.0, config.height / (bottom - top), config.width / (right - left))
        shown = round((bottom - top) * fit), round((right - left) * fit)
        return Placement(scaling(fit, fit) @ shift(-left, -top) @ matrix, shown)

    return window if config.cutting == "window" else scaled


def _uncut_corner(
    rng: np.random.Generator, texts: Sequence[Polygon], room: tuple[float, float], config: Config
) -> tuple[float, float]:
    """The upper left corner of a window that cuts no text, or of any where none is found.

    A text is cut if between 0.01 and 0.99 of its convex hull are in the window.

    Args:
        room: how far the corner may lie to the right and down, in pixels.

    Source: SakuraRiven/EAST, dataset.py.
    """
    corners = np.floor(rng.random((WINDOWS, 2)) * room)
    hulls = shapely.convex_hull(np.array([shapely.Polygon(text) for text in texts], dtype=object))
    areas = shapely.area(hulls)
    hulls, areas = hulls[areas > 0], areas[areas > 0]
    for start in range(0, WINDOWS, _TOGETHER):
        some = corners[start : start + _TOGETHER]
        windows = shapely.box(*some.T, *np.add(some, (config.width, config.height)).T)
        share = shapely.area(shapely.intersection(windows[:, None], hulls)) / areas
        free = np.flatnonzero(((share < 0.01) | (share > 0.99)).all(axis=1))
        if len(free):
            break
    left, top = some[free[0] if len(free) else -1].tolist()
    return left, top


def _window_without_text(
    rng: np.random.Generator, regions: Sequence[Region], height: int, width: int, *, tries: int = 50
) -> tuple[float, float, float, float] | None:
    """Left, top, right and bottom of a window that touches no region's box, if one is found.

    Its sides are a tenth of the image's at least. Source: argman/EAST, icdar.py.
    """
    ends = np.sort(rng.integers(0, (width, height), (tries, 2, 2), endpoint=True), axis=1)
    low, high = ends[:, 0], ends[:, 1]  # (tries, 2), x and y
    boxes = np.array([bounds(r.polygon) for r in regions]).reshape(-1, 4)
    touches = (low[:, None] < boxes[:, 2:]) & (high[:, None] > boxes[:, :2])
    is_large = (high - low >= np.maximum((width / 10, height / 10), 1)).all(axis=1)
    free = np.flatnonzero(is_large & ~np.any(np.all(touches, axis=2), axis=1))
    return (*low[free[0]].tolist(), *high[free[0]].tolist()) if len(free) else None


def feed(config: Config) -> PageFeed:
    """Windows of photographs with the maps of ``parts.east_maps.targets``."""
    labels = Labels(angles=config.angles, least_side=config.least_side, margin=config.margin)
    return PageFeed(
        height=config.height,
        width=config.width,
        place=_place(config),
        targets=partial(targets, labels=labels),
    )


# --- the network


def _unit(before: int, after: int, size: int) -> list[nn.Module]:
    return [_convolution(before, after, size), BatchNorm2d(after), nn.ReLU(inplace=True)]


def _convolution(before: int, after: int, size: int) -> nn.Conv2d:
    made = nn.Conv2d(before, after, size, padding=size // 2)
    nn.init.kaiming_normal_(made.weight, mode="fan_out", nonlinearity="relu")
    nn.init.zeros_(made.bias)  # type: ignore[arg-type]
    return made


class Merge(nn.Module):
    """Maps C2 to C5 to one of 32 channels at stride 4, added from the top; EAST section 3.2."""

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        *lower, before = widths
        self.blocks = nn.ModuleList()
        for width, after in zip(reversed(lower), (128, 64, 32), strict=True):
            self.blocks.append(
                nn.Sequential(*_unit(before + width, after, 1), *_unit(after, after, 3))
            )
            before = after
        self.last = nn.Sequential(*_unit(before, before, 3))

    def forward(self, stages: Sequence[Tensor]) -> Tensor:
        """(B, 32, H / 4, W / 4)."""
        *lower, maps = stages
        for own, block in zip(reversed(lower), self.blocks, strict=True):
            size = own.shape[2:]
            maps = F.interpolate(maps, size=size, mode="bilinear", align_corners=True)
            maps = block(torch.cat([maps, own], dim=1))
        out: Tensor = self.last(maps)
        return out


class East(nn.Module):
    """``backbone``, ``merge`` and the heads of the score, of the four sides and of the angle."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.backbone = backbone(config.size)
        self.merge = Merge(self.backbone.widths)  # type: ignore[arg-type]
        self.score = _convolution(32, 1, 1)
        self.sides = _convolution(32, 4, 1)
        self.angle = _convolution(32, 1, 1)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Of normalised images (B, 3, H, W), at a quarter of the size (h, w).

        The score (B, h, w), the distances to the upper, lower, left and right side in pixels
        (B, 4, h, w), and the angle in radians (B, h, w).
        """
        maps = self.merge(self.backbone(images))
        score, sides, angle = self.score(maps)[:, 0], self.sides(maps), self.angle(maps)[:, 0]
        with torch.autocast(images.device.type, enabled=False):
            score, sides, angle = (exact(x).sigmoid() for x in (score, sides, angle))
            most = math.radians(self.config.angles)
            return score, sides * self.config.reach, (2 * angle - 1) * most

    def loss(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The loss on a batch of ``parts.detecting.views``, its three parts before they are weighed."""
        score, sides, angle = self(batch["images"])
        with torch.autocast(score.device.type, enabled=False):
            counts = batch["counts"]
            text = batch["score"] & counts
            overlap = batch_dice(score, text, counts, eps=1e-5)
            pairs = (x.permute(0, 2, 3, 1)[text] for x in (sides, batch["sides"].to(sides)))
            apart = 1 - (angle[text] - batch["angle"].to(angle)[text]).cos()
            over = text.sum() if self.config.average == "text" else text.numel()
            box = mean_over_ranks(_iou_loss(*pairs).sum(), over)
            turn = mean_over_ranks(apart.sum(), over)
            loss = self.config.score_weight * overlap + box + self.config.angle_weight * turn
        return {"loss": loss, "score": overlap, "box": box, "angle": turn}


def _iou_loss(made: Tensor, truth: Tensor) -> Tensor:
    """(N,) of the boxes that sides (N, 4) tell of, as if they were turned alike; a pixel is added to both areas.

    Source: EAST section 3.4.2; the pixel: both codes.
    """
    common = _area(torch.minimum(made, truth))
    whole = _area(made) + _area(truth) - common
    loss: Tensor = torch.log((whole + 1) / (common + 1))
    return loss


def _area(sides: Tensor) -> Tensor:
    area: Tensor = sides[:, :2].sum(1) * sides[:, 2:].sum(1)
    return area


def finder(module: nn.Module, config: Config) -> Finder:
    """What reads photographs under the run's row of test settings."""
    test = test_row(TESTS, config.test)

    def find(images: Tensor) -> list[list[Detection]]:
        score, sides, angle = (x.cpu().numpy() for x in module(normalised(images)))
        return [found(*one, test) for one in zip(score, sides, angle, strict=True)]

    return Finder(test.sizing, find, f"{config.test}: {test}")


EAST = detector_method(
    "east",
    "EAST: an efficient and accurate scene text detector",
    paper="Zhou et al., EAST: An Efficient and Accurate Scene Text Detector, CVPR 2017",
    code="github.com/SakuraRiven/EAST (MIT) and github.com/argman/EAST, neither used",
    parameters={"vgg16": 15_089_318, "r50": 24_156_838, "clip50": 24_176_070, "r18": 11_499_686},
    recipes=RECIPES,
    notes="Recipes paper and argman are the two codes of the field. Size micro is strbench's own.",
    build=East,
    feed=feed,
    finder=finder,
    fresh=("merge.", "score.", "sides.", "angle."),
)
