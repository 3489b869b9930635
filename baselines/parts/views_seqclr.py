"""The augmented view of SeqCLR: one to five of seven operations in random order.

Aberdam et al., "Sequence-to-Sequence Contrastive Learning for Text Recognition", CVPR 2021.
Operations and ranges are those of ThunderVVV/RCLSTR, pretrain/datasets.py ("light augment"), which
are the ones that amazon-science/semimtr-text-recognition (Apache-2.0, by authors of SeqCLR) names
SeqCLR's, in dataset/augmentation_pipelines.py: there a comment gives the piecewise affine warp as
the original of an elastic one that is faster. It allows all seven operations at once where RCLSTR
stops at five; five is followed. No flip, no colour, no rotation.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from functools import partial

import torch
from torch import Tensor

from strbench import augment, draws, warps
from strbench.methods import WordBatch

from .views import plain


class Stream(IntEnum):
    """What the random numbers of an image are for; the values are part of what a seed means."""

    TURNS = 320
    CONTRAST = 321
    BLUR = 322
    SHARPEN = 323
    CROP_ROWS = 324
    CROP_COLUMNS = 325
    BEND_SCALE = 326
    BEND = 327
    PERSPECTIVE_SCALE = 328
    PERSPECTIVE = 329


_NEVER = 99  # later than any turn
_Step = tuple[Tensor, Callable[..., Tensor], tuple[Tensor, ...]]  # turns (B,), change, parameters


@torch.no_grad()
def seqclr_view(batch: WordBatch, *, draw: int = 0) -> Tensor:
    """The view of a WordBatch: (B, 3, H, W) in [0, 1]; the same image and seed, the same view.

    Operations: contrast 0.5 to 1 about middle gray; blur sigma 0.5 to 1.5 with 5 taps; sharpening with
    alpha and lightness 0 to 0.5; 0 to 40 % cut off above and below each; 0 to 2 % cut off left and
    right each; piecewise affine of a 4x4 lattice, 0.02 to 0.03 of the sides; perspective, corners moved
    inwards by 0.01 to 0.02 of the sides. The last three numbers are standard deviations.

    Differences to imgaug, as in ``views.dig_strong``: the warps of an image are composed, in their own
    order, into one bilinear reading at the turn of the first of them; the lattice is interpolated
    bilinearly; the blur is round in the original crop (as in SemiMTR, which resizes last; RCLSTR resizes
    first), its pixel one of a crop 32 pixels high.
    """
    seeds, aspect = draws.derive(batch.seeds, draw), batch.aspect
    with torch.autocast(batch.images.device.type, enabled=False):
        images = plain(batch)
        turns = draws.random_turns(seeds, 7, 1, 5, Stream.TURNS)  # (B, 7), -1: not chosen
        alpha, lightness = (draws.uniforms(seeds, 2, Stream.SHARPEN) / 2).unbind(1)
        contrast = draws.uniform(seeds, 0.5, 1.0, Stream.CONTRAST)
        sigma = draws.uniform(seeds, 0.5, 1.5, Stream.BLUR)
        blur = partial(augment.gaussian_blur, reach=2.0)
        steps: list[_Step] = [
            (turns[:, 0], augment.linear_contrast, (contrast,)),
            (turns[:, 1], blur, (sigma, aspect)),
            (turns[:, 2], augment.sharpen, (alpha, lightness)),
            *_warps(seeds, turns[:, 3:]),
        ]
        for turn in range(5):
            for when, change, parameters in steps:
                images = augment.apply_where(images, when == turn, change, *parameters)
        return images.clamp_(0, 1)


def _warps(seeds: Tensor, turns: Tensor) -> list[_Step]:
    """One warp an image out of crop rows, crop columns, bend, perspective at ``turns`` (B, 4).

    Two steps, of which at most one acts on an image: without a bend and with one.
    """
    rows = draws.uniforms(seeds, 2, Stream.CROP_ROWS) * 0.4
    columns = draws.uniforms(seeds, 2, Stream.CROP_COLUMNS) * 0.02
    none = torch.zeros_like(rows[:, 0])
    inward = draws.normals(seeds, 8, Stream.PERSPECTIVE).abs().view(-1, 4, 2)
    inward = inward * draws.uniform(seeds, 0.01, 0.02, Stream.PERSPECTIVE_SCALE)[:, None, None]
    corners = inward.new_tensor([[-1, -1], [1, -1], [1, 1], [-1, 1]])
    matrices = {
        0: warps.cropping(none, rows[:, 0], none, rows[:, 1]),
        1: warps.cropping(columns[:, 0], none, columns[:, 1], none),
        3: warps.frame_to_quad(corners * (1 - 2 * inward)),
    }
    still = torch.eye(3, dtype=torch.float64, device=seeds.device).expand(len(seeds), 3, 3)
    bent = turns[:, 2] >= 0
    bend_turn = torch.where(bent, turns[:, 2], _NEVER)
    before = after = still  # what acts before the bend, and after it
    for turn in range(5):
        now = still
        for column, matrix in matrices.items():
            now = torch.where((turns[:, column] == turn)[:, None, None], matrix, now)
        early = (turn < bend_turn)[:, None, None]
        before = warps.compose(before, torch.where(early, now, still))
        after = warps.compose(after, torch.where(early, still, now))
    scale = draws.uniform(seeds, 0.02, 0.03, Stream.BEND_SCALE)
    jitter = draws.normals(seeds, 32, Stream.BEND).view(-1, 4, 4, 2)
    jitter = jitter * (2 * scale)[:, None, None, None]  # the frame is 2 wide and high
    first = torch.where(turns < 0, _NEVER, turns).amin(1)
    return [
        (torch.where(bent, _NEVER, first), _straight, (before,)),
        (torch.where(bent, first, _NEVER), _bent, (before, jitter, after)),
    ]


def _straight(images: Tensor, matrix: Tensor) -> Tensor:
    return warps.warp(images, warps.sampling_grid(matrix, images.shape[2], images.shape[3]))


def _bent(images: Tensor, before: Tensor, jitter: Tensor, after: Tensor) -> Tensor:
    grid = warps.sampling_grid(after, images.shape[2], images.shape[3])
    return warps.warp(images, warps.move_grid(warps.bend(grid, jitter), before))
