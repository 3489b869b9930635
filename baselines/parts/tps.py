"""Rectification of a word image by a thin-plate spline whose control points a network predicts."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .batchnorm import BatchNorm2d


class TPS(nn.Module):
    """Images (B, channels, h, w) of any size to upright ones (B, channels, height, width).

    A small network places ``fiducials`` points, half of them along the upper edge of the text and
    half along the lower one, both from left to right; the image between them is stretched over the
    output. The points come from a layer that starts with zero weights and with the points of RARE,
    figure 6 (a), as its bias, whatever the image.

    Samples outside the image repeat its border; -1 and 1 are the centres of the outermost pixels.

    Source: Shi et al., Robust Scene Text Recognition with Automatic Rectification (RARE), CVPR 2016,
    section 3.1; clovaai/deep-text-recognition-benchmark, modules/transformation.py.
    """

    to_output: Tensor

    def __init__(
        self, channels: int, *, height: int, width: int, fiducials: int = 20, widest: int = 512
    ) -> None:
        super().__init__()
        if fiducials < 4 or fiducials % 2:
            raise ValueError(f"fiducials={fiducials}: an even number from 4 on is needed")
        self.size = (height, width)
        widths = [channels, widest // 8, widest // 4, widest // 2, widest]
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [nn.MaxPool2d(2)] if layers else []
            layers += [nn.Conv2d(before, after, 3, padding=1, bias=False), BatchNorm2d(after)]
            layers += [nn.ReLU()]
        self.localisation = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.hidden = nn.Linear(widest, widest // 2)
        self.points = nn.Linear(widest // 2, 2 * fiducials)
        nn.init.zeros_(self.points.weight)
        with torch.no_grad():
            self.points.bias.copy_(_first_points(fiducials).flatten())
        self.register_buffer(
            "to_output", _spline(fiducials, height, width).float(), persistent=False
        )

    def fiducials(self, images: Tensor) -> Tensor:
        """The control points (B, fiducials, 2) in the input: x right, y down, the image is [-1, 1]."""
        points: Tensor = self.points(F.relu(self.hidden(self.localisation(images))))
        return points.view(len(images), -1, 2)

    def forward(self, images: Tensor) -> Tensor:
        # in float32 under autocast: rounded points move what is read, and their gradient, visibly
        with torch.autocast(images.device.type, enabled=False):
            points = self.fiducials(images.to(self.points.weight.dtype))
            grid = self.to_output @ points
            grid = grid.view(len(images), *self.size, 2)
            return F.grid_sample(
                images.to(grid.dtype), grid, padding_mode="border", align_corners=True
            )


def _first_points(fiducials: int) -> Tensor:
    """(fiducials, 2): two parallel lines that climb half the image from left to right."""
    half = fiducials // 2
    x = torch.linspace(-1, 1, half)
    upper = torch.stack([x, torch.linspace(0, -1, half)], dim=1)
    lower = torch.stack([x, torch.linspace(1, 0, half)], dim=1)
    return torch.cat([upper, lower])


def _spline(fiducials: int, height: int, width: int) -> Tensor:
    """(height * width, fiducials) float64: weights of the control points in each output pixel.

    The spline that takes the fixed points on the output's upper and lower edge to the control points
    is linear in them, so the whole of it is one matrix. Kernel r^2 ln r; a pixel is its centre.
    """
    x = torch.linspace(-1, 1, fiducials // 2, dtype=torch.float64)
    one = torch.ones_like(x)
    fixed = torch.cat([torch.stack([x, -one], dim=1), torch.stack([x, one], dim=1)])
    columns = (torch.arange(width, dtype=torch.float64) * 2 + 1 - width) / width
    rows = (torch.arange(height, dtype=torch.float64) * 2 + 1 - height) / height
    pixels = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), dim=-1).reshape(-1, 2)
    system = torch.zeros(fiducials + 3, fiducials + 3, dtype=torch.float64)
    system[:fiducials] = spline_basis(fixed, fixed)
    system[fiducials : fiducials + 2, 3:] = fixed.T
    system[fiducials + 2, 3:] = 1
    solved: Tensor = torch.linalg.inv(system)[:, :fiducials]
    return spline_basis(pixels, fixed) @ solved


def spline_basis(points: Tensor, centres: Tensor) -> Tensor:
    """(N, K + 3) of points (N, 2) and centres (K, 2): 1, x, y, and the kernel of each centre."""
    # differences, not cdist, whose fast path loses digits
    squared = (points[:, None] - centres).square().sum(-1)
    kernel = torch.xlogy(squared, squared) / 2  # r^2 ln r, 0 at r = 0
    return torch.cat([torch.ones_like(points[:, :1]), points, kernel], dim=1)
