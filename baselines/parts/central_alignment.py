"""TextZoom's central alignment: a thin-plate spline that brings a low-resolution word to its place.

Wang et al., "Scene Text Image Super-Resolution in the Wild", ECCV 2020 (arXiv 2005.03341). Official code:
JasonBoy1/TextZoom, src/model/recognizer/stn_head.py and tps_spatial_transformer.py, read and run for
comparison, not copied.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from strbench.errors import StrbenchError

from .batchnorm import BatchNorm, BatchNorm2d
from .tps import spline_basis

FIDUCIALS = 20  # half along the upper edge, half along the lower, each from left to right
_TARGET_MARGIN = 0.05  # of the image: where the points lie in the output
_FIRST_MARGIN = 0.01  # where the network places them in its input at first
_STEEPNESS = 0.1  # what the last layer's input is multiplied by


class CentralAlignment(nn.Module):
    """Images (B, planes, h, w) to aligned ones (B, planes, height, width).

    A network of six convolutions places 20 points in the image; the spline takes the output's fixed
    points, 5 % inside its edges, to them. The last layer starts with zero weights and, as its bias, the
    same points 1 % inside the edges, so that before any training the output shows the whole image and,
    repeated, its edge: positions run from -0.0444 to 1.0444 of the image and are clamped to it.

    ``grid_sample`` is called with ``align_corners=True``. The official call names no value; True was
    PyTorch's default up to 1.2 and False is since, and the release asks for 1.0.1 to 1.5. True is what the
    rest of that code assumes, where 0 and 1 are the centres of the outermost pixels. With False the
    clamped positions are the image's outer border, where half of a sample is black.

    Args:
        height, width: of the output.
        first: channels of the first convolution; the others are multiples of it.
        enlarged: (height, width) to which the image is brought before anything else; None: as it is.
        last_pool: window of the fifth max-pooling. The grid behind it must be 1 x 2.

    Raises:
        StrbenchError: the grid is another one.
    """

    to_output: Tensor

    def __init__(
        self,
        planes: int,
        *,
        height: int,
        width: int,
        first: int = 32,
        enlarged: tuple[int, int] | None = (32, 64),
        last_pool: tuple[int, int] = (2, 2),
    ) -> None:
        super().__init__()
        seen = enlarged or (height, width)
        grid = tuple(side // 16 // pool for side, pool in zip(seen, last_pool, strict=True))
        if grid != (1, 2):
            raise StrbenchError(
                f"The alignment of images of {seen[0]} x {seen[1]} pixels: expected a grid of 1 x 2 "
                f"behind its poolings, found {grid[0]} x {grid[1]}.",
                hint="--set height=32 --set width=128 --set shrink=2, or --set stn=false",
            )
        self.size = (height, width)
        self.enlarged = enlarged
        widths = [planes, *(times * first for times in (1, 2, 4, 8, 8, 8))]
        layers: list[nn.Module] = []
        for number, (before, after) in enumerate(pairwise(widths)):
            if number:
                layers.append(nn.MaxPool2d(last_pool if number == 5 else 2))
            layers += [nn.Conv2d(before, after, 3, padding=1), BatchNorm2d(after), nn.ReLU()]
        self.localisation = nn.Sequential(*layers, nn.Flatten())
        self.hidden = nn.Sequential(
            nn.Linear(2 * widths[-1], 16 * first), BatchNorm(16 * first), nn.ReLU()
        )
        self.points = nn.Linear(16 * first, 2 * FIDUCIALS)
        for layer in self.localisation:
            if isinstance(layer, nn.Conv2d):
                assert layer.bias is not None
                nn.init.normal_(layer.weight, std=math.sqrt(2 / (9 * layer.out_channels)))
                nn.init.zeros_(layer.bias)
        linear = self.hidden[0]
        assert isinstance(linear, nn.Linear)
        nn.init.normal_(linear.weight, std=0.001)
        nn.init.zeros_(linear.bias)
        nn.init.zeros_(self.points.weight)
        with torch.no_grad():
            self.points.bias.copy_(_edges(_FIRST_MARGIN).flatten())
        self.register_buffer("to_output", _spline(height, width).float(), persistent=False)

    def fiducials(self, images: Tensor) -> Tensor:
        """The points (B, 20, 2) in the input: x right, y down, 0 and 1 its outermost pixels."""
        hidden = self.hidden(self.localisation(images))
        points: Tensor = self.points(_STEEPNESS * hidden)
        return points.view(len(images), FIDUCIALS, 2)

    def positions(self, points: Tensor) -> Tensor:
        """Where each output pixel (B, height * width, 2) looks for points (B, 20, 2), not clamped."""
        return self.to_output @ points.to(self.to_output.dtype)

    def forward(self, images: Tensor) -> Tensor:
        with torch.autocast(images.device.type, enabled=False):
            images = images.to(self.to_output.dtype)
            if self.enlarged is not None:
                images = F.interpolate(images, self.enlarged, mode="bilinear", align_corners=True)
            positions = self.positions(self.fiducials(images)).clamp(0, 1)
            grid = (2 * positions - 1).view(len(images), *self.size, 2)
            return F.grid_sample(images, grid, align_corners=True)


def _edges(margin: float) -> Tensor:
    """(20, 2) float64: points along the upper and the lower edge, ``margin`` inside the unit square."""
    x = torch.linspace(margin, 1 - margin, FIDUCIALS // 2, dtype=torch.float64)
    upper, lower = torch.full_like(x, margin), torch.full_like(x, 1 - margin)
    return torch.cat([torch.stack([x, upper], dim=1), torch.stack([x, lower], dim=1)])


def _spline(height: int, width: int) -> Tensor:
    """(height * width, 20) float64: weights of the points in each output pixel."""
    fixed = _edges(_TARGET_MARGIN)
    columns = torch.linspace(0, 1, width, dtype=torch.float64)
    rows = torch.linspace(0, 1, height, dtype=torch.float64)
    pixels = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), dim=-1).reshape(-1, 2)
    system = torch.zeros(FIDUCIALS + 3, FIDUCIALS + 3, dtype=torch.float64)
    system[:FIDUCIALS] = spline_basis(fixed, fixed)
    system[FIDUCIALS, 3:] = 1
    system[FIDUCIALS + 1 :, 3:] = fixed.T
    solved: Tensor = torch.linalg.inv(system)[:, :FIDUCIALS]
    return spline_basis(pixels, fixed) @ solved
