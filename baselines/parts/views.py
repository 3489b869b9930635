"""The augmented views of several papers, composed from ``strbench.augment``.

A view takes a ``WordBatch`` and returns float tensors (B, 3, H, W), RGB in [0, 1], on the batch's
device; normalisation is the method's own. The same image with the same seed gives the same view
whatever the batch; ``draw`` numbers independent draws of one image in one step.

Everything works on the already stretched image; operations that know directions (rotation, shear,
blur) use the crop's aspect, so that they look as if applied before the stretch. Pixel lengths are
those of a crop 32 pixels high. Between operations values stay in float and are not rounded to 8 bits.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from functools import partial

import torch
from torch import Tensor

from strbench import augment, draws, warps
from strbench.methods import WordBatch


class Stream(IntEnum):
    """What the random numbers of an image are for; the values are part of what a seed means."""

    TURNS = 0
    CONTRAST = 1
    BLUR = 2
    CROP_ROWS = 3
    CROP_COLUMNS = 4
    SHARPEN = 5
    ROTATE = 6
    BEND_SCALE = 7
    BEND = 8
    PERSPECTIVE_SCALE = 9
    PERSPECTIVE = 10
    SOLARIZE = 11
    GRAY = 12
    JITTER_GATE = 13
    JITTER = 14
    JITTER_TURNS = 15
    GRAY_GATE = 16
    GEOMETRY_GATE = 17
    GEOMETRY_FAMILY = 18
    SHEAR = 19
    WORSEN_GATE = 20
    WORSEN_TURNS = 21
    NOISE = 22
    NOISE_PIXELS = 23
    MOTION_LENGTH = 24
    MOTION_ANGLE = 25
    PYRAMID = 26
    BLUR_GATE = 27


_NEVER = 99  # later than any turn
_Step = tuple[Tensor, Callable[..., Tensor], tuple[Tensor, ...]]  # turns (B,), block, parameters


def plain(batch: WordBatch) -> Tensor:
    """The images as they are, in [0, 1]."""
    return batch.images.float().div_(255)


@torch.no_grad()
def dig_strong(batch: WordBatch, *, draw: int = 0) -> Tensor:
    """The augmented view of DiG: two to five of ten operations in random order, then colour jitter.

    Source of operations, ranges and order: ayumiymk/DiG, dataset/dataset_image.py (imgaug and
    torchvision); imgaug's defaults count too: blur has a 5-tap window, rotation keeps the size and
    leaves black corners, perspective and piecewise affine (a 4x4 lattice) never look outside.

    Differences: (1) the geometric operations of an image are composed, in their own order, into one
    bilinear warp at the turn of the first of them; what lay between them comes after: no change
    for a pointwise operation except in black corners, a small one for blur and sharpening. (2) A rotation after a crop may show
    what the crop had cut instead of black. (3) The lattice is interpolated bilinearly, not by
    triangles. (4) Sharpening uses the 3x3 neighbours of the stretched image.
    """
    seeds, aspect = draws.derive(batch.seeds, draw), batch.aspect
    with torch.autocast(batch.images.device.type, enabled=False):
        images = plain(batch)
        turns = draws.random_turns(seeds, 10, 2, 5, Stream.TURNS)  # (B, 10), -1: not chosen
        alpha, lightness = (draws.uniforms(seeds, 2, Stream.SHARPEN) / 2).unbind(1)  # 0 to 0.5
        threshold, side = draws.uniforms(seeds, 2, Stream.SOLARIZE).unbind(1)
        blur = partial(augment.gaussian_blur, reach=2.0)
        contrast = draws.uniform(seeds, 0.5, 1.0, Stream.CONTRAST)
        sigma = draws.uniform(seeds, 0.5, 1.5, Stream.BLUR)
        steps: list[_Step] = [
            (turns[:, 0], augment.linear_contrast, (contrast,)),
            (turns[:, 1], blur, (sigma, aspect)),
            (turns[:, 2], augment.sharpen, (alpha, lightness)),
            (turns[:, 3], augment.solarize, ((32 + 96 * threshold) / 255, side < 0.5)),
            (turns[:, 4], augment.grayscale, (draws.uniform(seeds, 0.0, 1.0, Stream.GRAY),)),
            *_dig_warps(seeds, aspect, turns[:, 5:]),
        ]
        for turn in range(5):
            for when, change, parameters in steps:
                images = augment.apply_where(images, when == turn, change, *parameters)
        images = _jitter(images, seeds, 0.8, (0.4, 0.4, 0.2, 0.1))
        gate = draws.chance(seeds, 0.2, Stream.GRAY_GATE)
        return augment.apply_where(images, gate, _to_gray).clamp_(0, 1)


def _dig_warps(seeds: Tensor, aspect: Tensor, turns: Tensor) -> list[_Step]:
    """One warp an image out of crop rows, crop columns, rotate, bend, perspective at ``turns`` (B, 5).

    Four steps, of which at most one acts on an image: without or with a bend, edge repeated or black.
    """
    rows = draws.uniforms(seeds, 2, Stream.CROP_ROWS) * 0.3
    columns = draws.uniforms(seeds, 2, Stream.CROP_COLUMNS) * 0.1
    none = torch.zeros_like(rows[:, 0])
    inward = draws.normals(seeds, 8, Stream.PERSPECTIVE).abs().view(-1, 4, 2)
    inward = inward * draws.uniform(seeds, 0.05, 0.1, Stream.PERSPECTIVE_SCALE)[:, None, None]
    matrices = {
        0: warps.cropping(none, rows[:, 0], none, rows[:, 1]),
        1: warps.cropping(columns[:, 0], none, columns[:, 1], none),
        2: warps.rotation(draws.uniform(seeds, -10, 10, Stream.ROTATE), aspect),
        4: warps.frame_to_quad(_quad_inside(inward.clamp(max=0.45))),  # imgaug: modulo 0.5
    }
    still = torch.eye(3, dtype=torch.float64, device=aspect.device).expand(len(aspect), 3, 3)
    bend_turn = torch.where(turns[:, 3] < 0, _NEVER, turns[:, 3])
    before = after = still  # what acts before the bend, and after it
    for turn in range(5):
        now = still
        for column, matrix in matrices.items():
            now = torch.where((turns[:, column] == turn)[:, None, None], matrix, now)
        early = (turn < bend_turn)[:, None, None]
        before = warps.compose(before, torch.where(early, now, still))
        after = warps.compose(after, torch.where(early, still, now))
    scale = draws.uniform(seeds, 0.03, 0.04, Stream.BEND_SCALE)
    jitter = draws.normals(seeds, 32, Stream.BEND).view(-1, 4, 4, 2)
    jitter = jitter * (2 * scale)[:, None, None, None]  # the frame is 2 wide and high
    first = torch.where(turns < 0, _NEVER, turns).amin(1)
    bent, turned = turns[:, 3] >= 0, turns[:, 2] >= 0
    steps: list[_Step] = []
    for black in (False, True):
        here = turned == black
        straight = partial(_warp, black_outside=black)
        steps.append((torch.where(here & ~bent, first, _NEVER), straight, (before,)))
        steps.append((torch.where(here & bent, first, _NEVER), straight, (before, jitter, after)))
    return steps


def _warp(
    images: Tensor,
    before: Tensor,
    jitter: Tensor | None = None,
    after: Tensor | None = None,
    *,
    black_outside: bool = False,
    finer: int = 1,
) -> Tensor:
    height, width = images.shape[2] * finer, images.shape[3]
    if jitter is None or after is None:
        grid = warps.sampling_grid(before, height, width)
    else:
        grid = warps.bend(warps.sampling_grid(after, height, width), jitter)
        grid = warps.move_grid(grid, before)
    return warps.warp(images, grid, black_outside=black_outside, rows_averaged=finer)


def _quad_inside(inward: Tensor) -> Tensor:
    """Corners of the frame moved inwards by fractions (B, 4, 2) of its width and height."""
    corners = inward.new_tensor([[-1, -1], [1, -1], [1, 1], [-1, 1]])
    return corners * (1 - 2 * inward)


def _to_gray(images: Tensor) -> Tensor:
    return augment.gray(images).expand_as(images)


def _jitter(
    images: Tensor, seeds: Tensor, probability: float, strengths: tuple[float, float, float, float]
) -> Tensor:
    """Colour jitter with a probability: factors 1 +- strength, hue shift +- the last, random order."""
    spread = draws.uniforms(seeds, 4, Stream.JITTER) * 2 - 1
    centre = spread.new_tensor([1.0, 1.0, 1.0, 0.0])
    factors = centre + spread * spread.new_tensor(strengths)
    turns = draws.random_turns(seeds, 4, 4, 4, Stream.JITTER_TURNS)
    gate = draws.chance(seeds, probability, Stream.JITTER_GATE)
    return augment.apply_where(images, gate, augment.color_jitter, factors, turns)


@torch.no_grad()
def abinet_cv(batch: WordBatch, *, draw: int = 0) -> Tensor:
    """The training view of ABINet (also SemiMTR's weak view and DiG's fine-tuning), drawn per image.

    Geometry with p 0.5: rotation (0.33), affine (0.33) or perspective (0.34), on a canvas that
    grows to hold the whole moved word, edges repeated. Deterioration with p 0.25: noise, motion
    blur and pyramid rescaling in random order. Colour jitter (0.5, 0.5, 0.5, 0.1) with p 0.25.
    Source of operations and ranges: ABINet's transforms as copied in ayumiymk/DiG, transforms.py,
    called in dataset/dataset_lmdb.py with degrees 45, translate 0, scale (0.5, 2), shear (45, 15),
    distortion 0.5, variance 20, blur 6, pyramid 4.

    The official objects draw the geometric family and the strengths of the deterioration once, when
    they are constructed, so that each data set has one fixed family for the whole run (frozen per
    data set). That is not done here: every image draws its own, which is what the code intends.

    Other differences: the affine scale only sets the size of a canvas that is stretched to the
    input size, so it has no effect and is not drawn; the canvas is the bounding box of the moved
    corners, the official one is that of their smallest turned rectangle; interpolation is
    bilinear, not drawn among four; the warp reads two rows a row of output, against aliasing; motion
    kernels sum to 1 (officially less when slanted).
    """
    seeds, aspect = draws.derive(batch.seeds, draw), batch.aspect
    with torch.autocast(batch.images.device.type, enabled=False):
        images = plain(batch)
        gate = draws.chance(seeds, 0.5, Stream.GEOMETRY_GATE)
        matrix = _abinet_geometry(seeds, aspect)
        images = augment.apply_where(images, gate, partial(_warp, finer=2), matrix)
        images = _deteriorate(images, seeds, aspect)
        return _jitter(images, seeds, 0.25, (0.5, 0.5, 0.5, 0.1)).clamp_(0, 1)


def _abinet_geometry(seeds: Tensor, aspect: Tensor) -> Tensor:
    family = draws.uniforms(seeds, 1, Stream.GEOMETRY_FAMILY)[:, :, None]  # (B, 1, 1)
    angle = 45 * (2 * draws.beta_4_4(seeds, 1, Stream.ROTATE)[:, 0] - 1)
    slant = 2 * draws.beta_4_4(seeds, 2, Stream.SHEAR) - 1
    rotation = warps.rotation(angle, aspect)
    shear = warps.shear(45 * slant[:, 0], 15 * slant[:, 1], aspect)
    # each corner moves inwards by up to half of the distortion 0.5
    inward = 0.25 * draws.beta_1_4(seeds, 8, Stream.PERSPECTIVE).view(-1, 4, 2)
    squeeze = warps.inverse(warps.frame_to_quad(_quad_inside(inward)))
    affine = warps.compose(rotation, shear)
    matrix = torch.where(family < 0.33, rotation, torch.where(family < 0.66, affine, squeeze))
    return warps.fit_frame(matrix)


def _deteriorate(images: Tensor, seeds: Tensor, aspect: Tensor) -> Tensor:
    gate = draws.chance(seeds, 0.25, Stream.WORSEN_GATE)
    turns = draws.random_turns(seeds, 3, 3, 3, Stream.WORSEN_TURNS)
    turns = torch.where(gate[:, None], turns, _NEVER)
    variance = (20 * draws.beta_1_4(seeds, 1, Stream.NOISE)[:, 0]).floor().clamp(min=1)
    length = (6 * draws.beta_1_4(seeds, 1, Stream.MOTION_LENGTH)[:, 0]).floor().clamp(min=1)
    degrees = draws.uniform(seeds, -90, 90, Stream.MOTION_ANGLE)
    level = (draws.uniform(seeds, 0, 4, Stream.PYRAMID) + 0.5).floor()
    moving = torch.where(length > 1, turns[:, 1], _NEVER)
    steps: list[_Step] = [
        (turns[:, 0], _noise, (seeds, variance.sqrt() / 255)),
        (moving, augment.motion_blur, (length, degrees, aspect)),
    ]
    for k in range(1, 5):
        rescale = partial(augment.pyramid_rescale, level=k, base=(128, 512))
        steps.append((torch.where(level == k, turns[:, 2], _NEVER), rescale, ()))
    for turn in range(3):
        for when, change, parameters in steps:
            images = augment.apply_where(images, when == turn, change, *parameters)
    return images


def _noise(images: Tensor, seeds: Tensor, deviation: Tensor) -> Tensor:
    shape = (images.shape[1], images.shape[2], images.shape[3])
    return augment.gaussian_noise(
        images, deviation, draws.pixel_normals(seeds, shape, Stream.NOISE_PIXELS)
    )


@torch.no_grad()
def mild(batch: WordBatch, *, draw: int = 0) -> Tensor:
    """A weak training view for small models: a small turn, slant and crop, soft blur, colour jitter.

    Every image is turned by up to 5 degrees, slanted by up to 10 and cropped by up to 4 % a side
    (edges repeated); with p 0.2 blurred (sigma 0.3 to 1.0 rows); with p 0.5 jittered (0.3, 0.3, 0.3,
    0.05). No paper's recipe.
    """
    seeds, aspect = draws.derive(batch.seeds, draw), batch.aspect
    with torch.autocast(batch.images.device.type, enabled=False):
        left, top, right, bottom = (0.04 * draws.uniforms(seeds, 4, Stream.CROP_ROWS)).unbind(1)
        matrix = warps.compose(
            warps.rotation(draws.uniform(seeds, -5, 5, Stream.ROTATE), aspect),
            warps.shear(draws.uniform(seeds, -10, 10, Stream.SHEAR), 0 * aspect, aspect),
            warps.cropping(left, top, right, bottom),
        )
        images = _warp(plain(batch), matrix)
        blurred = draws.chance(seeds, 0.2, Stream.BLUR_GATE)
        sigma = draws.uniform(seeds, 0.3, 1.0, Stream.BLUR)
        images = augment.apply_where(images, blurred, augment.gaussian_blur, sigma, aspect)
        return _jitter(images, seeds, 0.5, (0.3, 0.3, 0.3, 0.05)).clamp_(0, 1)
