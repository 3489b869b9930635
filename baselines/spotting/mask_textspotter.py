"""Mask TextSpotter v3: a segmentation proposal network, and heads that see the proposed polygons alone.

Liao et al., "Mask TextSpotter v3: Segmentation Proposal Network for Robust Scene Text Spotting", ECCV 2020
(arXiv 2007.09482); its reader is that of "Mask TextSpotter", TPAMI 2021 (arXiv 1908.08207), its character
maps those of the first version, ECCV 2018 (arXiv 1807.02242). The official code
(MhLiao/MaskTextSpotterV3, CC BY-NC) was not used, so what the papers leave open is decided here:
- Each level of the pyramid passes that network's own 3 x 3 convolution before the one to a quarter of the
  channels; between the transposed convolutions stand batch normalisation and ReLU, as in DB.
- Proposals are classified and not moved: there is no regression of boxes.
- Those to train on are taken by falling score, as ``parts.proposals.sampled`` says; nothing is drawn.
- A proposal counts at test where text is the likelier of its two classes, and every one that counts
  stays: proposals are separate parts of one map.
- What is read at test is the beam's text alone. The character maps are trained and not read: how both
  would be combined is not stated.
- Training windows have one size: a photograph is turned and scaled, and a window with a whole word is cut
  out. A word of which more than a tenth is cut off, and one lower or narrower than 8 pixels, is ignored.
- The rate rises from 0; there from a tenth of it.
- Vectors (biases, batch normalisation) do not decay; batch normalisation learns in the backbone too.

The papers start from ImageNet's weights; here they are random unless another run's are given (``--from``).
``synthtext`` is the first stage; ``paper`` the second, from the first and on five data sets at once:
SynthText, ICDAR 2013 and ICDAR 2015 a quarter each, Total-Text and SCUT an eighth each, which ``--data
synthtext_det/train=0.25`` and so on say (SCUT's photographs are no data set of strbench).
``micro`` and its narrower heads are strbench's own, for a CPU.

*Expected:* no figure of a finished run is recorded yet.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from strbench.errors import StrbenchError
from strbench.feeds import PageFeed
from strbench.loading import Sizing
from strbench.methods import Finder, Method, Schedule
from strbench.types import Detection

from ..parts.backbones import backbone
from ..parts.character_attention import NONE, CharacterAttention, spelt
from ..parts.detecting import DetectorTraining, detector_method, normalised, test_row
from ..parts.fine_head import fine_head
from ..parts.hard_negatives import batch_dice
from ..parts.precision import exact
from ..parts.proposals import (
    Proposal,
    Pyramid,
    Sampled,
    owned,
    polygon_masks,
    proposed,
    sampled,
)
from ..parts.ranks import mean_over_ranks
from ..parts.roi_align import at_centres, roi_align
from ..parts.spotting_heads import (
    BOX_SIDE,
    MASK_SIDE,
    BoxHead,
    MaskHead,
    character_loss,
    reading_loss,
    text_outline,
)
from ..parts.spotting_maps import places, targets

STRIDE = 4  # of the map that the heads see
READING_WEIGHT = 0.2
BEAM = 6
_TOGETHER = 64  # regions that are read at once


@dataclass(frozen=True, kw_only=True)
class Config(DetectorTraining):
    """``DetectorTraining`` with Mask TextSpotter v3's settings."""

    height: int = 1024  # ours: there, whole photographs
    width: int = 1024
    batch_size: int = 8
    epochs: float = 0.0
    lr: float = 0.002
    weight_decay: float = 1e-4
    schedule: Schedule = "steps"
    warmup_steps: int = 500
    test: str = "totaltext"
    shorts: tuple[int, ...] = (800, 1000, 1200, 1400)  # pixels of the shorter side; one is drawn
    turn: float = 90.0  # degrees either way
    neck: int = 256  # channels of the pyramid and of the fused map
    box_width: int = 1024
    mask_width: int = 256
    reader_width: int = 256
    regions: int = 512  # of an image that the box head is trained on

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.neck < 4 or self.neck % 4:
            raise StrbenchError(
                f"neck={self.neck!r}: expected a multiple of 4.", hint="--set neck=256"
            )
        if not self.shorts or min(self.shorts) < 1:
            raise StrbenchError(
                f"shorts={self.shorts!r}: expected one length or more, in pixels.",
                hint="--set shorts=800,1000",
            )
        for name in ("box_width", "mask_width", "reader_width", "regions"):
            if getattr(self, name) < 1:
                raise StrbenchError(
                    f"{name}={getattr(self, name)!r}: expected 1 or more.", hint=f"--set {name}=64"
                )


RECIPES: Mapping[str, Config] = {
    # Its second stage; the end of it is ours, the steps of the rate are not.
    "paper": Config(steps=200_000, milestones=(0.5, 0.8)),
    # Its first stage: SynthText alone.
    "synthtext": Config(
        height=800, width=1088, shorts=(600, 800), turn=0.0, lr=0.02, steps=300_000,
        milestones=(1 / 3, 2 / 3),
    ),
    # Ours, for less than an hour on one GPU.
    "small": Config(
        size="r18", height=640, width=640, shorts=(480, 640, 800), turn=30.0, regions=128,
        steps=4_000, warmup_steps=200, lr=0.01, milestones=(0.6, 0.85), clip_norm=5.0,
    ),
    # Ours, for a CPU.
    "smoke": Config(
        size="micro", neck=32, box_width=64, mask_width=32, reader_width=64, regions=32, height=160,
        width=160, shorts=(240, 320), turn=15.0, test="pages", batch_size=4, steps=60,
        optimiser="adamw", lr=2e-3, schedule="cosine", warmup_steps=5, clip_norm=5.0,
    ),
}  # fmt: skip


def feed(config: Config) -> PageFeed:
    """Windows of photographs with the arrays of ``parts.spotting_maps.targets``."""
    place = places(config.shorts, config.turn, config.height, config.width)
    return PageFeed(height=config.height, width=config.width, place=place, targets=targets)


# --- the network


class MaskTextSpotter(nn.Module):
    """``backbone``, ``pyramid``, the ``segmenter`` of proposals, and the heads on the fused map."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.regions = config.regions
        self.backbone = backbone(config.size)
        self.pyramid = Pyramid(self.backbone.widths, config.neck)  # type: ignore[arg-type]
        self.segmenter = fine_head(config.neck)
        self.box = BoxHead(config.neck, config.box_width)
        self.mask = MaskHead(config.neck, config.mask_width)
        self.reader = CharacterAttention(config.mask_width, hidden=config.reader_width)

    def features(self, images: Tensor) -> Tensor:
        """(B, neck, H / 4, W / 4) of normalised images."""
        fused: Tensor = self.pyramid(self.backbone(images))
        return fused

    def probability(self, fused: Tensor) -> Tensor:
        """Of shrunk text, (B, H, W)."""
        logits: Tensor = self.segmenter(fused)[:, 0]
        return exact(logits).sigmoid()

    def classified(self, seen: Tensor, masks: Tensor) -> Tensor:
        """Logits (N, 2) of features (N, dim, 7, 7) under masks (N, 7, 7)."""
        logits: Tensor = self.box(seen * masks[:, None])
        return exact(logits)

    def looked_at(self, seen: Tensor, masks: Tensor) -> Tensor:
        """Finer features (N, width, 64, 64) of features (N, dim, 32, 32) under masks (N, 32, 32)."""
        fine: Tensor = self.mask(seen * masks[:, None])
        return fine

    def loss(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The loss on a batch of ``parts.detecting.views``, its five parts before they are weighed."""
        fused = self.features(batch["images"])
        probability = self.probability(fused)
        picked = [
            sampled(proposed(one), boxes, counts, most=self.regions)
            for one, boxes, counts in zip(
                probability.detach().cpu().numpy(), batch["boxes"], batch["counts"], strict=True
            )
        ]
        instances = batch["instances"]
        owner = torch.cat([some.owner for some in picked])
        seen = roi_align(fused, [some.boxes for some in picked], BOX_SIDE, scale=1 / STRIDE)
        logits = self.classified(seen, _masks(picked, instances, BOX_SIDE))
        texts = [some.positives for some in picked]
        seen = roi_align(fused, [some.boxes for some in texts], MASK_SIDE, scale=1 / STRIDE)
        fine = self.looked_at(seen, _masks(texts, instances, MASK_SIDE))
        text, characters = exact(self.mask.text(fine)[:, 0]), exact(self.mask.characters(fine))
        truth = [_truth(some, batch, i, fine.shape[-1]) for i, some in enumerate(texts)]
        own = torch.cat([one.text for one in truth])
        ids = torch.cat([one.ids for one in truth])
        told = ids[:, 0] != NONE
        longest = max(1, int((ids != NONE).sum(1).max())) if len(ids) else 1
        ids = ids[told, :longest]
        says = self.reader(fine[told], ids)
        with torch.autocast(logits.device.type, enabled=False):
            parts = {
                "segmentation": batch_dice(probability, batch["shrunk"], batch["counts"]),
                "box": mean_over_ranks(
                    F.cross_entropy(logits, (owner >= 0).long(), reduction="sum"), len(owner)
                ),
                "mask": mean_over_ranks(
                    F.binary_cross_entropy_with_logits(text, own.to(text.dtype), reduction="none")
                    .mean((1, 2))
                    .sum(),
                    len(own),
                ),
                "characters": character_loss(
                    characters, torch.cat([one.characters for one in truth])
                ),
                "reading": reading_loss(says, ids),
            }
            first = parts["segmentation"] + parts["box"] + parts["mask"] + parts["characters"]
            return {"loss": first + READING_WEIGHT * parts["reading"], **parts}


class _Truth(NamedTuple):
    """What the mask head is to find in the N regions of an image."""

    text: Tensor  # (N, 64, 64) bool
    characters: Tensor  # (N, 64, 64) int64; -1 of texts without boxes of characters
    ids: Tensor  # (N, 32)


def _truth(some: Sampled, batch: Mapping[str, Tensor], image: int, size: int) -> _Truth:
    text = owned(batch["instances"][image], some.boxes, some.owner, size)
    characters = at_centres(batch["characters"][image], some.boxes, size).long()
    known = batch["has_characters"][image][some.owner]
    characters = torch.where(text, characters, 0)
    characters = torch.where(known[:, None, None], characters, -1)
    return _Truth(text, characters, batch["ids"][image][some.owner])


def _masks(picked: list[Sampled], instances: Tensor, size: int) -> Tensor:
    """(N, size, size) bool of the regions of all images in order."""
    return torch.cat([p.masks(i, size) for p, i in zip(picked, instances, strict=True)])


# --- asked


@dataclass(frozen=True, kw_only=True)
class Test:
    """How photographs of one data set are read."""

    sizing: Sizing
    is_box: bool  # the smallest rectangle around a text, and not its outline
    proposal: float = 0.1  # mean probability that a proposal has at least
    score: float = 0.5  # ours: probability of text that a region has at least

    def __str__(self) -> str:
        shape = "rectangles" if self.is_box else "outlines"
        return (
            f"{self.sizing}, {shape}, proposals of {self.proposal} and regions of {self.score} or "
            f"more, read by a beam of {BEAM}"
        )


TESTS: Mapping[str, Test] = {
    "ic15": Test(sizing=Sizing(rule="short", height=1440, limit=4000), is_box=True),
    "totaltext": Test(sizing=Sizing(rule="short", height=1000, limit=4000), is_box=False),
    # Ours, for pages drawn here: as they are.
    "pages": Test(sizing=Sizing(rule="native"), is_box=True),
}


def finder(module: nn.Module, config: Config) -> Finder:
    """What spots text in photographs under the run's row of test settings.

    Raises:
        StrbenchError: there is no row of that name.
    """
    assert isinstance(module, MaskTextSpotter)
    test = test_row(TESTS, config.test)

    def find(images: Tensor) -> list[list[Detection]]:
        fused = module.features(normalised(images))
        maps = module.probability(fused).cpu().numpy()
        return [
            _spotted(module, fused[i : i + 1], proposed(one, score=test.proposal), test)
            for i, one in enumerate(maps)
        ]

    return Finder(test.sizing, find, f"{config.test}: {test}")


def _spotted(
    module: MaskTextSpotter, fused: Tensor, proposals: list[Proposal], test: Test
) -> list[Detection]:
    """The texts of an image; ``fused`` is (1, neck, H / 4, W / 4)."""

    def seen(some: list[Proposal], size: int) -> tuple[Tensor, Tensor]:
        boxes = fused.new_tensor(np.array([one.box for one in some]), dtype=torch.float32)
        masks = torch.from_numpy(polygon_masks(some, size)).to(fused.device)
        return roi_align(fused, [boxes], size, scale=1 / STRIDE), masks

    detections: list[Detection] = []
    for start in range(0, len(proposals), _TOGETHER):
        some = proposals[start : start + _TOGETHER]
        scores = module.classified(*seen(some, BOX_SIDE)).softmax(1)[:, 1].tolist()
        kept = [i for i, score in enumerate(scores) if score >= test.score]
        if not kept:
            continue
        fine = module.looked_at(*seen([some[i] for i in kept], MASK_SIDE))
        maps = exact(module.mask.text(fine)).sigmoid()  # (n, 1, 64, 64)
        for i, one, read in zip(kept, maps, module.reader.beam(fine, width=BEAM), strict=True):
            polygon = text_outline(one, some[i].box, is_box=test.is_box)
            if polygon is not None:
                corners = tuple((x, y) for x, y in polygon.tolist())
                detections.append(Detection(corners, scores[i], spelt(read.ids)))
    return detections


def _build(config: Any) -> nn.Module:
    return MaskTextSpotter(config)


MASK_TEXTSPOTTER: Method = detector_method(
    "mask-textspotter",
    "Mask TextSpotter v3",
    paper="Liao et al., Mask TextSpotter v3: Segmentation Proposal Network for Robust Scene Text "
    "Spotting, ECCV 2020",
    code="github.com/MhLiao/MaskTextSpotterV3 (CC BY-NC, not used)",
    parameters={"r50": 45_510_863, "clip50": 45_530_095, "r18": 32_442_063},
    recipes=RECIPES,
    notes=(
        "A spotter: its detections carry a text of digits and letters, in lower case, read by attention "
        "alone. Written from the papers; never compared with the official weights. Size micro is "
        "strbench's own."
    ),
    build=_build,
    feed=feed,
    finder=finder,
    fresh=("pyramid.", "segmenter.", "box.", "mask.", "reader."),
)
