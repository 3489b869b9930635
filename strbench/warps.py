"""Geometry of augmentation: matrices per image, composed into one sampling grid and one resampling.

A *sampling matrix* (B, 3, 3), float64, takes a position of the output to the position of the input
that is read there. Positions are (x, y) with the frame's edges at -1 and 1, x right, y down. Angles are
those of the crop before it was stretched, so the blocks that turn lengths into directions take
``aspect``, the width / height of the original crop. Like ``strbench.augment``: no state, no gradient, and
the same result for an image whatever batch it sits in.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F


def _matrix(entries: Sequence[Tensor | float], like: Tensor) -> Tensor:
    """Nine numbers or (B,) tensors, row by row -> (B, 3, 3) float64."""
    full = [e.double() if isinstance(e, Tensor) else like.new_full((), e).double() for e in entries]
    return torch.stack([e.expand(len(like)) for e in full], 1).view(-1, 3, 3)


def rotation(degrees: Tensor, aspect: Tensor) -> Tensor:
    """Sampling matrix that turns the content counter-clockwise about the centre."""
    angle, aspect = torch.deg2rad(degrees.double()), aspect.double()
    cos, sin = angle.cos(), angle.sin()
    return _matrix([cos, -sin / aspect, 0.0, sin * aspect, cos, 0.0, 0.0, 0.0, 1.0], aspect)


def shear(x_degrees: Tensor, y_degrees: Tensor, aspect: Tensor) -> Tensor:
    """Sampling matrix that slants upright strokes by the first angle, base lines by the second.

    Positive: the top of a stroke leans right; the left end of a base line sinks.
    """
    aspect = aspect.double()
    x, y = torch.deg2rad(x_degrees.double()).tan(), torch.deg2rad(y_degrees.double()).tan()
    return _matrix([1.0, x / aspect, 0.0, y * aspect, 1.0 + x * y, 0.0, 0.0, 0.0, 1.0], aspect)


def scaling(x: Tensor, y: Tensor) -> Tensor:
    """Sampling matrix that enlarges the content about the centre by ``x`` and ``y``."""
    return _matrix([1.0 / x.double(), 0.0, 0.0, 0.0, 1.0 / y.double(), 0.0, 0.0, 0.0, 1.0], x)


def cropping(left: Tensor, top: Tensor, right: Tensor, bottom: Tensor) -> Tensor:
    """Sampling matrix that cuts these fractions of width or height and stretches what is left."""
    x, y = 1.0 - left - right, 1.0 - top - bottom
    return _matrix([x, 0.0, left - right, 0.0, y, top - bottom, 0.0, 0.0, 1.0], left)


def frame_to_quad(corners: Tensor) -> Tensor:
    """Matrix that takes the frame's corners to ``corners`` (B, 4, 2): perspective.

    Order: top left, top right, bottom right, bottom left; the quadrilateral must be convex. As a
    sampling matrix it enlarges that part of the image to the whole frame; its inverse squeezes
    the whole image into it. Source: the square-to-quad map of Heckbert's thesis (1989), section 2.2.3.
    """
    x0, x1, x2, x3 = corners[..., 0].double().unbind(1)
    y0, y1, y2, y3 = corners[..., 1].double().unbind(1)
    sum_x, sum_y = x0 - x1 + x2 - x3, y0 - y1 + y2 - y3
    ax, ay, bx, by = x1 - x2, y1 - y2, x3 - x2, y3 - y2
    area = ax * by - bx * ay
    g, h = (sum_x * by - bx * sum_y) / area, (ax * sum_y - sum_x * ay) / area
    entries = [x1 - x0 + g * x1, x3 - x0 + h * x3, x0, y1 - y0 + g * y1, y3 - y0 + h * y3, y0]
    from_unit = _matrix([*entries, g, h, 1.0], x0)
    to_unit = _matrix([0.5, 0.0, 0.5, 0.0, 0.5, 0.5, 0.0, 0.0, 1.0], x0)
    return compose(from_unit, to_unit)


def compose(first: Tensor, *later: Tensor) -> Tensor:
    """The sampling matrix of several operations, given in the order in which they act."""
    for matrix in later:
        first = _sum3(first.unsqueeze(-1) * matrix.unsqueeze(-3), 2)
    return first


def _sum3(x: Tensor, dim: int) -> Tensor:
    a, b, c = x.unbind(dim)
    return a + b + c


def inverse(matrix: Tensor) -> Tensor:
    """The inverse of invertible (B, 3, 3) matrices, by cofactors."""
    a, b, c = matrix.unbind(1)
    cofactors = torch.stack((_cross(b, c), _cross(c, a), _cross(a, b)), 2)
    determinant = _sum3(a * cofactors[:, :, 0], 1)
    return cofactors / determinant[:, None, None]


def _cross(a: Tensor, b: Tensor) -> Tensor:
    return a.roll(-1, 1) * b.roll(1, 1) - a.roll(1, 1) * b.roll(-1, 1)


def fit_frame(matrix: Tensor) -> Tensor:
    """``matrix`` followed by the crop or enlargement that makes the moved frame just fit.

    The canvas grows (or shrinks) to the bounding box of the moved corners, then is stretched back.
    """
    corners = matrix.new_tensor([[-1, -1, 1], [1, -1, 1], [1, 1, 1], [-1, 1, 1]])  # (4, 3)
    moved = _sum3(inverse(matrix)[:, None] * corners[:, None], 3)  # (B, 4, 3)
    moved = moved[..., :2] / moved[..., 2:]
    low, high = moved.amin(1), moved.amax(1)
    size, centre = (high - low) / 2, (high + low) / 2
    (width, height), (x, y) = size.unbind(1), centre.unbind(1)
    return compose(matrix, _matrix([width, 0.0, x, 0.0, height, y, 0.0, 0.0, 1.0], size))


# Geometry: grids and sampling


def sampling_grid(matrix: Tensor, height: int, width: int) -> Tensor:
    """Float32 positions (B, H, W, 2) at which each pixel of the output reads the input."""
    x = centres(width, matrix.device)
    y = centres(height, matrix.device)[:, None]
    return _positions(matrix, x, y, (height, width))


def move_grid(grid: Tensor, matrix: Tensor) -> Tensor:
    """Positions (B, H, W, 2) taken on by a sampling matrix: ``matrix`` acts before ``grid``'s part."""
    return _positions(matrix, grid[..., 0], grid[..., 1], (grid.shape[1], grid.shape[2]))


def _positions(matrix: Tensor, x: Tensor, y: Tensor, size: tuple[int, int]) -> Tensor:
    m = matrix.float()[..., None, None]  # (B, 3, 3, 1, 1)
    scale = m[:, 2, 0] * x + (m[:, 2, 1] * y + m[:, 2, 2])
    scale = scale.clamp_(min=1e-3)  # beyond the horizon of a perspective: far outside the frame
    grid = scale.new_empty(len(matrix), *size, 2)
    for row in (0, 1):
        torch.div(m[:, row, 0] * x + (m[:, row, 1] * y + m[:, row, 2]), scale, out=grid[..., row])
    return grid


def centres(count: int, device: torch.device) -> Tensor:
    """Positions (count,) of the pixel centres along one side, between -1 and 1."""
    return (torch.arange(count, device=device, dtype=torch.float32) * 2 + 1) / count - 1


def bend(grid: Tensor, jitter: Tensor) -> Tensor:
    """``grid`` displaced by a small lattice (B, rows, columns, 2), interpolated bilinearly.

    ``jitter`` is in frame units (2 = the whole width or height). Lattice points cover the frame from
    edge to edge, and none is moved out of the frame.
    """
    rows, columns = jitter.shape[1:3]
    x = torch.linspace(-1, 1, columns, device=grid.device, dtype=torch.float64)
    y = torch.linspace(-1, 1, rows, device=grid.device, dtype=torch.float64)
    lattice = torch.stack((x.expand(rows, columns), y[:, None].expand(rows, columns)), 2)
    moves = (lattice + jitter).clamp(-1, 1) - lattice
    field = F.grid_sample(
        moves.float().permute(0, 3, 1, 2), grid, padding_mode="border", align_corners=True
    )
    return grid + field.permute(0, 2, 3, 1)


def warp(
    images: Tensor, grid: Tensor, *, black_outside: bool = False, rows_averaged: int = 1
) -> Tensor:
    """Images read bilinearly at ``grid`` (B, H, W, 2) -> (B, C, H / rows_averaged, W).

    Outside the frame the nearest edge pixel is repeated, or with ``black_outside`` it is black.
    Averaging the rows of a finer grid keeps lines of text readable when the warp shrinks them; there
    is no other anti-aliasing.
    """
    padding = "zeros" if black_outside else "border"
    out = F.grid_sample(images, grid, padding_mode=padding, align_corners=False)
    total = out[:, :, ::rows_averaged]
    for row in range(1, rows_averaged):
        total = total + out[:, :, row::rows_averaged]
    return total if rows_averaged == 1 else total.div_(rows_averaged)


# Filters
