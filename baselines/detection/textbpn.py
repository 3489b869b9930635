"""TextBPN: boundaries proposed by a distance map, then moved point by point. And TextBPN++.

Zhang et al., "Adaptive Boundary Proposal Network for Arbitrary Shape Text Detection", ICCV 2021 (arXiv
2107.12664), and "Arbitrary Shape Text Detection via Boundary Transformer", TMM 2023 (arXiv 2205.05320).
Official code: GXYM/TextBPN at 015b3d9 and GXYM/TextBPN-Plus-Plus at 87617c7 (licence MIT, not used).

TextBPN++ is another network: a transformer in place of graph convolutions and LSTM; and its code has
another loss (plain cross entropy, directions, energy), other labels (``parts.boundary_maps.PLUS``), and no
division by an image's largest distance. Both start from ImageNet's weights; here from random ones unless
``--from`` says otherwise.

Followed from that code rather than the papers: the direction loss is off in TextBPN
(``direction_weight``); the weight of the boundary loss rises from 0.027 to 0.05 with training. What differs:
- Distances are exact and to the outline, contours those of the annotated polygon, points real numbers; there
  all of it is done on masks of whole pixels. Points are sampled where they are, there half a pixel beside.
- A window is mirrored, turned (black beyond), cut where no text is, then stretched or fitted. There parts
  of it are also mirrored in place, the area beyond is filled with texture, and TextBPN++ also sharpens.
- Texts behind the 64th of a window are drawn; there they become background.
- In TextBPN++ points of one boundary attend to each other, as the paper says. The code lays its tensors out
  such that points of one number in all proposals of a batch do: ``attends=proposals``, within an image.
- Photographs are not padded to a square before the network sees them.
- At strides 2 and 4 a pixel of the maps counts if all of it does; there if any of it does.
- ``micro`` is strbench's own, for a CPU.

Beside that code with the same weights and targets, in double precision, at strides 1, 2 and 4 (there without
ignored texts): equal maps, boundaries within 2e-6 pixels, losses within 3e-7, gradients within 5e-7 of a
tensor's largest.

*Expected:* no figure of a finished run is recorded yet.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial

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
    shift,
    turning,
    uncut_window,
)
from strbench.types import Detection, Region

from ..parts.backbones import backbone
from ..parts.boundary_losses import (
    boundary_loss,
    direction_loss,
    distance_loss,
    energy_loss,
    hard_pixels,
)
from ..parts.boundary_maps import (
    PLUS,
    PLUS_TESTS,
    POINTS,
    TESTS,
    Drawing,
    Proposals,
    proposed,
    targets,
)
from ..parts.boundary_networks import (
    AdaptiveDeformation,
    BoundaryDecoder,
    BoundaryTransformer,
    Evolution,
    map_head,
    stem_width,
    with_stem,
)
from ..parts.detecting import detector_method, normalised, test_row
from ..parts.ranks import mean_over_ranks
from ..parts.textbpn_recipes import PLUS_RECIPES, RECIPES, Config, PlusConfig

DISTANCE_WEIGHT = 3.0  # GXYM/TextBPN, network/loss.py
TURN = 30.0  # degrees, the deviation of a normal distribution; util/augmentation.py: RotatePadding
LEAST_AREA = 0.2  # of a photograph, in a window; RandomResizedCrop. 0.1 in TextBPN++
FITTED = 0.6  # of the windows keep their ratio; ResizeLimitSquare


# --- photographs in


def _place(config: Config) -> Callable[..., Placement]:
    """Mirrored or not, turned or not, cut where no text is, then stretched or fitted into the corner."""
    least = 0.1 if isinstance(config, PlusConfig) else LEAST_AREA

    def place(
        rng: np.random.Generator, height: int, width: int, regions: Sequence[Region]
    ) -> Placement:
        matrix, high, wide = np.eye(3), height, width
        if rng.random() < 0.5:
            matrix = mirroring(width)
        if rng.random() < 0.5:
            degrees = rng.normal(0, TURN)
            cos, sin = (abs(f(math.radians(degrees))) for f in (math.cos, math.sin))
            high = math.ceil(height * cos + width * sin)
            wide = math.ceil(height * sin + width * cos)
            matrix = turning(degrees, height, width) @ matrix
            matrix = shift((wide - width) / 2, (high - height) / 2) @ matrix
        seen = moved_regions(regions, matrix)
        for _ in range(10):
            left, top, right, bottom = uncut_window(rng, seen, high, wide)
            if (right - left) * (bottom - top) >= least * high * wide:
                break
        else:
            left, top, right, bottom = 0.0, 0.0, float(wide), float(high)
        if rng.random() < FITTED:
            return fitted(matrix, (left, top, right, bottom), config.height, config.width)
        scales = scaling(config.width / (right - left), config.height / (bottom - top))
        return Placement(scales @ shift(-left, -top) @ matrix, (config.height, config.width))

    return place


def feed(config: Config) -> PageFeed:
    """Windows of photographs with what ``parts.boundary_maps.targets`` draws."""
    drawing = PLUS if isinstance(config, PlusConfig) else Drawing()
    made = partial(
        targets,
        drawing=drawing,
        proposals=config.proposals,
        has_direction=config.direction_weight > 0,
    )
    return PageFeed(height=config.height, width=config.width, place=_place(config), targets=made)


# --- the network


class BoundaryProposals(nn.Module):
    """``backbone``, the decoder ``neck``, the ``head`` of the four maps, and the ``evolution`` of points."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.progress = 0.0
        self.backbone = backbone(config.size, deformable=config.deformable)
        widths: Sequence[int] = self.backbone.widths  # type: ignore[assignment]
        stem = stem_width(self.backbone)
        self.neck = BoundaryDecoder(stem, widths, config.neck, config.stride)
        width = config.neck // 8
        self.head = map_head(width)
        made = width + 4, config.state, config.dropout
        if isinstance(config, PlusConfig):
            step: Callable[[], nn.Module] = partial(BoundaryTransformer, *made, config.attends)
            self.evolution = Evolution(step, spread=0.02, margin=0.5)
        else:
            self.evolution = Evolution(partial(AdaptiveDeformation, *made), spread=0.01, margin=1.5)

    def before_step(self, progress: float) -> None:
        """Sets how much of the training is done, 0 to 1; the weight of the boundary loss follows it."""
        self.progress = progress

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Of normalised images (B, 3, H, W): what points are sampled in, and the logits of the maps.

        The features with the four maps (B, neck / 8 + 4, h, w); logits of text, logits of distance and
        the direction down and right (B, 4, h, w).
        """
        features = self.neck(with_stem(self.backbone, images))
        logits = self.head(features)
        maps = torch.cat([features, logits[:, :2].sigmoid(), logits[:, 2:]], dim=1)
        return maps, logits

    def loss(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """The loss on a batch of ``parts.detecting.views``, and its parts before they are weighed."""
        size = batch["images"].shape[2], batch["images"].shape[3]
        maps, logits = self(batch["images"])
        used, starts = batch["used"], batch["proposals"]
        made = self.evolution(maps, starts, used, size)
        with torch.autocast(logits.device.type, enabled=False):
            exact = torch.float64 if logits.dtype == torch.float64 else torch.float32
            logits = logits.to(exact)
            text = self._scaled(batch["text"], exact) > 0
            counts = self._scaled(batch["counts"], exact) > 0.99  # all of a pixel's counts
            distance = self._scaled(batch["distance"], exact)
            every = F.binary_cross_entropy_with_logits(
                logits[:, 0], text.to(exact), reduction="none"
            )
            squares = (logits[:, 1].sigmoid() - distance).square() * counts
            contours = batch["contours"].to(exact)
            parts = {
                "distance": distance_loss(squares, distance),
                "boundary": boundary_loss(made, contours, used),
            }
            about = 0.1 / (1 + math.exp(1 - self.progress))
            moving = parts["boundary"]
            if isinstance(self.config, PlusConfig):
                parts["text"] = mean_over_ranks((every * counts).sum(), every.numel())
                parts["energy"] = energy_loss(distance, [starts.to(exact), *made], used, size)
                moving = moving + parts["energy"]
            else:
                parts["text"] = hard_pixels(every, text, counts)
            loss = parts["text"] + DISTANCE_WEIGHT * parts["distance"] + about * moving
            if self.config.direction_weight:
                parts["direction"] = direction_loss(
                    logits[:, 2:],
                    self._scaled(batch["direction"], exact),
                    weight=self._scaled(batch["weight"], exact),
                    text=text,
                    counts=counts,
                )
                loss = loss + self.config.direction_weight * parts["direction"]
        return {"loss": loss, **parts}

    def _scaled(self, maps: Tensor, dtype: torch.dtype) -> Tensor:
        """A target (B, H, W) or (B, C, H, W) at the stride of the network's maps."""
        maps = maps.to(dtype)
        if self.config.stride == 1:
            return maps
        planes = maps[:, None] if maps.ndim == 3 else maps
        small = F.interpolate(planes, scale_factor=1 / self.config.stride, mode="bilinear")
        return small[:, 0] if maps.ndim == 3 else small


def finder(module: nn.Module, config: Config) -> Finder:
    """What reads photographs under the run's row of test settings."""
    test = test_row(PLUS_TESTS if isinstance(config, PlusConfig) else TESTS, config.test)

    def find(images: Tensor) -> list[list[Detection]]:
        maps, logits = module(normalised(images))
        read = logits[:, :2].float().sigmoid().cpu().numpy()  # (B, 2, h, w)
        each = [proposed(text, distance, test, stride=config.stride) for text, distance in read]
        moved_on = _evolved(module, maps, each, (images.shape[2], images.shape[3]))
        return [
            [
                Detection(tuple((x, y) for x, y in points), min(1.0, score))
                for points, score in zip(boundaries, one.scores.tolist(), strict=True)
            ]
            for boundaries, one in zip(moved_on, each, strict=True)
        ]

    return Finder(test.sizing, find, f"{config.test}: {test}")


def _evolved(
    module: nn.Module, maps: Tensor, each: Sequence[Proposals], size: tuple[int, int]
) -> list[list[list[list[float]]]]:
    """The proposals of each image where the last step leaves them."""
    numbers = [len(one.scores) for one in each]
    if not any(numbers):
        return [[] for _ in each]
    starts = np.zeros((len(each), max(numbers), POINTS, 2), np.float32)
    for row, one in zip(starts, each, strict=True):
        row[: len(one.scores)] = one.boundaries
    used = torch.arange(max(numbers)) < torch.tensor(numbers)[:, None]
    points = torch.from_numpy(starts).to(maps.device)
    evolution: Evolution = module.evolution  # type: ignore[assignment]
    last = evolution(maps, points, used.to(maps.device), size)[-1].tolist()
    return [row[:number] for row, number in zip(last, numbers, strict=True)]


def _entry(
    name: str, title: str, paper: str, recipes: Mapping[str, Config], parameters: dict[str, int]
) -> Method:
    repository = "TextBPN" if recipes is RECIPES else "TextBPN-Plus-Plus"
    return detector_method(
        name,
        title,
        paper=paper,
        code=f"github.com/GXYM/{repository} (MIT, not used)",
        parameters=parameters,
        recipes=recipes,
        notes=(
            "Test settings a data set are those of the official code; points on real numbers. Size "
            "micro is strbench's own."
        ),
        build=BoundaryProposals,
        feed=feed,
        finder=finder,
        fresh=("backbone.offsets.", "neck.", "head.", "evolution."),
    )


TEXTBPN = _entry(
    "textbpn",
    "TextBPN: boundary proposals moved by graph convolutions and an LSTM",
    "Zhang et al., Adaptive Boundary Proposal Network for Arbitrary Shape Text Detection, ICCV 2021",
    RECIPES,
    {"r50": 38_670_764, "r18": 19_918_764, "clip50": 38_689_996},
)
TEXTBPN_PLUS = _entry(
    "textbpnpp",
    "TextBPN++: boundary proposals moved by a transformer",
    "Zhang et al., Arbitrary Shape Text Detection via Boundary Transformer, TMM 2023",
    PLUS_RECIPES,
    {
        "r50": 36_318_380,
        "r50 deformable=true": 37_189_643,
        "r18 stride=4": 17_467_948,
        "clip50": 36_337_612,
    },
)
