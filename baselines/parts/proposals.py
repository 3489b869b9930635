"""The segmentation proposal network: maps of shrunk text, proposals from them, and those to train on.

Liao et al., "Mask TextSpotter v3: Segmentation Proposal Network for Robust Scene Text Spotting", ECCV 2020
(arXiv 2007.09482), section 3. A proposal is a polygon with an upright box around it; what the
network behind sees of the box is the polygon alone (hard RoI masking).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import shapely
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from strbench.raster import components, outlines, window

from .roi_align import at_centres
from .text_polygons import Points, area_over_length, grown, rectangles, sides

BINARISE = 0.1
SIMPLIFY = 0.01  # of an outline's length
LEAST_SIDE = 5  # pixels of the smallest rectangle around an outline
UNCLIP_POLYGON = 3.0
UNCLIP_BOX = 1.5
MOST = 1000  # of an image
MATCHED = 0.5  # overlap of boxes from which on a proposal is of a text; Fast R-CNN, section 2.3
POSITIVES = 0.25  # the largest share of the sampled ones that are of a text; the same


class Pyramid(nn.Module):
    """Maps C2 to C5 to one of ``neck`` channels at stride 4.

    A feature pyramid of ``neck`` channels a level, then a quarter as many of each, side by side.

    Source: Lin et al., Feature Pyramid Networks, CVPR 2017, section 3; Mask TextSpotter v3, section 3.
    """

    def __init__(self, widths: Sequence[int], neck: int) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(width, neck, 1) for width in widths)
        self.smooth = nn.ModuleList(nn.Conv2d(neck, neck, 3, padding=1) for _ in widths)
        self.fused = nn.ModuleList(nn.Conv2d(neck, neck // 4, 3, padding=1) for _ in widths)
        draw_weights(self)

    def forward(self, stages: Sequence[Tensor]) -> Tensor:
        """(B, neck, H / 4, W / 4), the coarsest level's channels first."""
        size = stages[0].shape[2:]
        merged: Tensor | None = None
        levels: list[Tensor] = []
        for i in reversed(range(len(stages))):
            own = self.lateral[i](stages[i])
            merged = own if merged is None else own + F.interpolate(merged, size=own.shape[2:])
            level = self.fused[i](self.smooth[i](merged))
            levels.append(F.interpolate(level, size=size))
        return torch.cat(levels, dim=1)


def draw_weights(module: nn.Module) -> None:
    """Draws the kernels of a module's convolutions as He et al. do; their biases are 0."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.kaiming_normal_(part.weight, nonlinearity="relu")
            if part.bias is not None:
                nn.init.zeros_(part.bias)


# --- from a map to proposals


class Proposal(NamedTuple):
    """Where a text may be, in pixels of the map."""

    polygon: Points  # (N, 2) around all of the text; it may reach beyond the box and the map
    box: NDArray[np.float64]  # (4,) left, top, right and bottom, within the map
    score: float  # the map's mean where the text was seen


def proposed(probability: NDArray[np.floating], *, score: float = 0.0) -> list[Proposal]:
    """The proposals of a map (H, W) of shrunk text, those of the highest scores first, 1,000 at most.

    One for each connected part. Its outline is simplified and grown by 3.0 of area by length; the box
    is around the smallest rectangle, grown by 1.5. Parts whose rectangle's shorter side is below 5
    pixels are left out.

    Args:
        score: the least that a proposal may have; 0.1 at test.

    Source: Mask TextSpotter v3, section 3.
    """
    high, wide = probability.shape
    found: list[Proposal] = []
    for outline in outlines(components(probability > BINARISE)):
        if np.ptp(outline, axis=0).max() < LEAST_SIDE:
            continue
        centres = outline.astype(np.float64) + 0.5
        (rectangle,) = rectangles([centres])
        if sides(rectangle)[1] < LEAST_SIDE:
            continue
        corners = _simplified(shapely.Polygon(centres))
        seen = window(corners, high, wide)
        inside = probability[seen.area][seen.inside]
        mean = float(inside.mean()) if inside.size else 0.0
        polygons = grown(corners, UNCLIP_POLYGON)
        if mean < score or not polygons:
            continue
        margin = UNCLIP_BOX * area_over_length(rectangle)
        box = np.concatenate([rectangle.min(axis=0) - margin, rectangle.max(axis=0) + margin])
        found.append(Proposal(polygons[0], np.clip(box, 0, (wide, high, wide, high)), mean))
    return sorted(found, key=lambda one: -one.score)[:MOST]


def _simplified(ring: shapely.Polygon) -> NDArray[np.float64]:
    """The corners (N, 2) of a ring through pixels' centres, fewer of them.

    Where a part is one pixel thick its ring touches itself and would fall apart: there the one around the
    pixels' areas is taken, and its largest part if that falls apart too.
    """
    for tried in (ring, ring.buffer(0.5, join_style="mitre")):
        simple = shapely.simplify(tried, SIMPLIFY * ring.length, preserve_topology=False)
        if simple.geom_type == "Polygon" and not simple.is_empty:
            break
    largest = max(shapely.get_parts(simple), key=shapely.area)
    corners: NDArray[np.float64] = shapely.get_coordinates(largest.exterior)[:-1]
    return corners


def polygon_masks(proposals: Sequence[Proposal], size: int) -> NDArray[np.bool_]:
    """(N, size, size) which of the bins of a proposal's box have their centre in its polygon."""
    masks = np.zeros((len(proposals), size, size), np.bool_)
    for mask, (polygon, box, _) in zip(masks, proposals, strict=True):
        seen = window((polygon - box[:2]) / (box[2:] - box[:2]) * size, size, size)
        mask[seen.area][seen.inside] = True
    return masks


# --- those to train on


class Sampled(NamedTuple):
    """The regions of an image that the heads are trained on; those of a text come first."""

    boxes: Tensor  # (N, 4)
    owner: Tensor  # (N,) the number of the text that each is of, or -1
    proposals: list[Proposal | None]  # N; None of a text as annotated, whose polygon is its own

    @property
    def positives(self) -> Sampled:
        """Those of a text."""
        n = int((self.owner >= 0).sum())
        return Sampled(self.boxes[:n], self.owner[:n], self.proposals[:n])

    def masks(self, instances: Tensor, size: int) -> Tensor:
        """(N, size, size) bool: the bins whose centre lies in the polygon.

        Args:
            instances: (H, W) at each pixel the number of its text plus 1, or 0.
        """
        masks = owned(instances, self.boxes, self.owner, size)
        rows = [i for i, one in enumerate(self.proposals) if one is not None]
        if rows:
            made = polygon_masks([one for one in self.proposals if one is not None], size)
            masks[rows] = torch.from_numpy(made).to(masks.device)
        return masks


def owned(instances: Tensor, boxes: Tensor, owner: Tensor, size: int) -> Tensor:
    """(N, size, size) bool: the bins of each box whose centre lies on the text ``owner`` (N,)."""
    return at_centres(instances, boxes, size) == owner[:, None, None] + 1


def sampled(proposals: Sequence[Proposal], boxes: Tensor, counts: Tensor, *, most: int) -> Sampled:
    """The annotated texts themselves and the proposals to train on, ``most`` at most.

    Of a text are those whose box overlaps its box by half or more (intersection by union), the text of
    the largest overlap; they are a quarter at most, the texts themselves first. The others fill what
    is left. Either kind is taken by falling score, so nothing is drawn at random. Left out are
    proposals that are of no text and lie by half or more where nothing counts.

    Args:
        proposals: by falling score.
        boxes: (R, 4) of the annotated texts; rows without an area are none.
        counts: (H, W) bool, False where it is unknown what is text.
    """
    known = boxes.double().cpu().numpy()
    numbers = np.flatnonzero((known[:, 2] > known[:, 0]) & (known[:, 3] > known[:, 1]))
    made = np.array([one.box for one in proposals]).reshape(-1, 4)
    overlap = overlaps(made, known[numbers])  # (P, R)
    best = overlap.max(axis=1, initial=0)
    of = numbers[overlap.argmax(axis=1)] if len(numbers) else np.full(len(made), -1)
    of = np.where(best >= MATCHED, of, -1)
    valid = counts.cpu().numpy()
    positive: list[tuple[int, Proposal | None]] = [(int(number), None) for number in numbers]
    positive += [
        (int(number), one) for number, one in zip(of, proposals, strict=True) if number >= 0
    ]
    positive = positive[: max(1, int(most * POSITIVES))]
    free = [one for number, one in zip(of, proposals, strict=True) if number < 0]
    negative: list[tuple[int, Proposal | None]] = []
    for one in free:
        if len(positive) + len(negative) == most:
            break
        seen = window(one.polygon, *valid.shape)
        if valid[seen.area][seen.inside].mean() > 0.5:
            negative.append((-1, one))
    chosen = [*positive, *negative]
    rows = [known[number] if one is None else one.box for number, one in chosen]
    return Sampled(
        torch.tensor(np.array(rows).reshape(-1, 4), dtype=boxes.dtype, device=boxes.device),
        torch.tensor([n for n, _ in chosen], dtype=torch.long, device=boxes.device),
        [one for _, one in chosen],
    )


def overlaps(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, M) intersection by union of boxes (N, 4) and (M, 4), each of them with an area.

    >>> overlaps(np.array([[0.0, 0, 2, 2]]), np.array([[1.0, 0, 3, 2], [4, 0, 6, 2]]))
    array([[0.33333333, 0.        ]])
    """
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    common = np.clip(high - low, 0, None).prod(axis=2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (first, second)]
    shared: NDArray[np.float64] = common / (areas[0][:, None] + areas[1][None] - common)
    return shared
