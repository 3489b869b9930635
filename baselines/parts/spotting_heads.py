"""The heads of Mask TextSpotter behind its proposals, their losses, and the outline of a text in a map."""

from __future__ import annotations

import numpy as np
import shapely
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from strbench.raster import components, outlines

from .character_attention import NONE
from .proposals import draw_weights
from .ranks import mean_over_ranks
from .spotting_maps import CHARACTERS
from .text_polygons import Points, offset, rectangles

BOX_SIDE, MASK_SIDE = 7, 32  # bins that the heads see of a proposal; Mask TextSpotter v3, section 3


class BoxHead(nn.Module):
    """A proposal's features (N, dim, 7, 7) to logits (N, 2): none, and text."""

    def __init__(self, dim: int, width: int) -> None:
        super().__init__()
        self.first = nn.Linear(dim * BOX_SIDE * BOX_SIDE, width)
        self.second = nn.Linear(width, width)
        self.classes = nn.Linear(width, 2)
        nn.init.normal_(self.classes.weight, std=0.01)  # Fast R-CNN, section 2.3
        nn.init.zeros_(self.classes.bias)

    def forward(self, features: Tensor) -> Tensor:
        hidden = F.relu(self.second(F.relu(self.first(features.flatten(1)))))
        out: Tensor = self.classes(hidden)
        return out


class MaskHead(nn.Module):
    """A proposal's features (N, dim, 32, 32) to finer ones (N, width, 64, 64), and these to maps."""

    def __init__(self, dim: int, width: int) -> None:
        super().__init__()
        before = (dim, width, width, width)
        self.convs = nn.ModuleList(nn.Conv2d(d, width, 3, padding=1) for d in before)
        self.finer = nn.ConvTranspose2d(width, width, 2, 2)
        self.text = nn.Conv2d(width, 1, 1)  # logits of the text's own pixels
        self.characters = nn.Conv2d(width, CHARACTERS, 1)  # none, ten digits, 26 letters
        draw_weights(self)
        for last in (self.text, self.characters):
            nn.init.normal_(last.weight, std=0.01)

    def forward(self, features: Tensor) -> Tensor:
        for conv in self.convs:
            features = F.relu(conv(features))
        return F.relu(self.finer(features))


def character_loss(logits: Tensor, truth: Tensor) -> Tensor:
    """The mean cross entropy of character maps, in which characters and the rest weigh the same.

    Of each map with N pixels, N_0 of them of no character, a pixel of a character weighs N_0 / (N - N_0)
    and the others 1; the sum is divided by N, and the mean taken over all maps that count.

    Args:
        logits: (n, 37, H, W).
        truth: (n, H, W) int64; -1 does not count.

    Source: Lyu et al., Mask TextSpotter, ECCV 2018, the loss of the character segmentation.
    """
    counted, characters = truth >= 0, truth > 0
    every = F.cross_entropy(logits, truth.clamp(min=0), reduction="none")
    n, of_characters = (flags.sum((1, 2)) for flags in (counted, characters))
    share = (n - of_characters).to(every.dtype) / of_characters.clamp(min=1)
    weights = torch.where(characters, share[:, None, None], 1.0) * counted
    each = (every * weights).sum((1, 2)) / n.clamp(min=1)
    return mean_over_ranks(each.sum(), (n > 0).sum())


def reading_loss(log_probabilities: Tensor, ids: Tensor) -> Tensor:
    """The mean over texts (n, T, 38), (n, T) of the sum over a text's symbols, its end included."""
    each = log_probabilities.gather(2, ids.clamp(min=0)[:, :, None])[:, :, 0]
    return mean_over_ranks(-(each * (ids != NONE)).sum(), len(ids))


def text_outline(text: Tensor, box: NDArray[np.float64], *, is_box: bool) -> Points | None:
    """The border of the largest part of a text's map (1, 64, 64) in its box; None where there is none."""
    left, top, right, bottom = box.tolist()
    size = max(1, round(bottom - top)), max(1, round(right - left))
    resized = F.interpolate(text[None], size, mode="bilinear")[0, 0].cpu().numpy()
    parts = components(resized > 0.5)
    if not parts.count:
        return None
    outline = outlines(parts)[int(parts.areas.argmax())]
    if len(outline) < 3:
        return None
    centres: Points = outline.astype(np.float64) + 0.5
    whole = offset(centres, 0.5)  # to the sides of the pixels
    if not whole:
        return None
    ring = shapely.Polygon(whole[0])
    simple = shapely.simplify(ring, 0.002 * ring.length)  # as DB's polygons
    corners: Points = shapely.get_coordinates(simple.exterior)[:-1]
    scale = (right - left) / size[1], (bottom - top) / size[0]
    placed: Points = corners * scale + (left, top)
    return rectangles([placed])[0] if is_box else placed
