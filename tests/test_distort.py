"""RandAugment's operations against Pillow's own, level by level."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps
from torch import Tensor

from strbench import augment, distort, warps

HEIGHT, WIDTH = 32, 100


def pictures(count: int = 5) -> list[Image.Image]:
    """Pictures of few and of many levels: soft, rough, dull, of two colours, of one."""
    rng = np.random.default_rng(0)
    small = Image.fromarray(rng.integers(60, 196, (4, 12, 3)).astype(np.uint8))
    soft = np.asarray(small.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC))
    rough = (soft.astype(int) + rng.integers(-90, 91, soft.shape)).clip(0, 255)
    dull = 100 + soft // 12
    two = np.where(rng.random((HEIGHT, WIDTH, 1)) < 0.2, [[[7, 30, 200]]], [[[250, 30, 90]]])
    one = np.full_like(soft, 93)
    return [Image.fromarray(p.astype(np.uint8)) for p in (soft, rough, dull, two, one)][:count]


def batch(images: list[Image.Image]) -> Tensor:
    arrays = np.stack([np.asarray(image) for image in images])
    return torch.from_numpy(arrays).permute(0, 3, 1, 2).float() / 255


def full(value: float, count: int = 5) -> Tensor:
    return torch.full((count,), value, dtype=torch.float64)


Operation = tuple[Callable[[Tensor], Tensor], Callable[[Image.Image], Image.Image], float]
# ours, Pillow's, and the largest difference in levels
OPERATIONS: dict[str, Operation] = {
    "autocontrast": (distort.autocontrast, ImageOps.autocontrast, 1.01),
    "equalize": (distort.equalize, ImageOps.equalize, 0.0),
    **{
        f"posterize {bits}": (
            lambda x, b=bits: distort.posterize(x, full(b)),
            lambda p, b=bits: ImageOps.posterize(p, b),
            0.0,
        )
        for bits in range(1, 9)
    },
    **{
        f"solarize {level}": (
            lambda x, t=level: augment.solarize(x, full(t / 255), full(1).bool()),
            lambda p, t=level: ImageOps.solarize(p, t),
            0.0,
        )
        for level in (26, 93, 128, 231)
    },
    **{
        f"{name} {factor}": (
            lambda x, o=ours, f=factor: o(x, full(f)),
            lambda p, t=theirs, f=factor: t(p).enhance(f),
            1.4,  # Pillow drops the fraction, and rounds the luma before
        )
        for name, ours, theirs in (
            ("brightness", distort.brightness, ImageEnhance.Brightness),
            ("saturation", distort.saturation, ImageEnhance.Color),
            ("contrast", distort.contrast, ImageEnhance.Contrast),
        )
        for factor in (0.0, 0.28, 1.0, 1.72)
    },
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_operation_against_pillow(name: str) -> None:
    ours, theirs, most = OPERATIONS[name]
    images = pictures()
    found, expected = ours(batch(images)), batch([theirs(image) for image in images])
    levels = (found - expected).abs().amax((1, 2, 3)) * 255
    assert levels.max() <= most + 1e-3, levels
    if name.split()[-1] not in ("1.0", "8"):  # the others change something
        assert (found - batch(images)).abs().max() * 255 > 0.99


@pytest.mark.parametrize("addition", [-99, -11, 11, 55])
def test_solarize_add_against_its_definition(addition: int) -> None:
    images = pictures()
    arrays = [(np.asarray(image).astype(int) + addition).clip(0, 255) for image in images]
    moved = [Image.fromarray(array.astype(np.uint8)) for array in arrays]
    expected = batch([ImageOps.solarize(image, 128) for image in moved])
    found = distort.solarize_add(batch(images), full(addition / 255))
    assert (found - expected).abs().max() < 1e-6


def test_parameters_are_an_image_s_own() -> None:
    images = batch(pictures())
    values = torch.tensor([0.2, 0.9, 1.0, 1.4, 1.7], dtype=torch.float64)
    for change in (distort.brightness, distort.saturation, distort.contrast):
        whole = change(images, values)
        alone = [change(images[i : i + 1], values[i : i + 1]) for i in range(5)]
        assert torch.equal(whole, torch.cat(alone))
        assert torch.equal(whole[2], images[2])
    bits = torch.tensor([4.0, 5.0, 6.0, 7.0, 8.0])
    assert len(distort.posterize(images, bits)[0].unique()) <= 16


@pytest.mark.parametrize(
    ("matrix", "affine"),
    [
        (distort.translation(full(0.15, 1), full(0, 1)), (1, 0, 15, 0, 1, 0)),
        (distort.translation(full(0, 1), full(-0.125, 1)), (1, 0, 0, 0, 1, -4)),
        (distort.shear_from_corner(full(0.16, 1), full(0, 1), full(3.125, 1)), (1, 0.16, 0, 0, 1, 0)),
        (distort.shear_from_corner(full(0, 1), full(-0.1, 1), full(3.125, 1)), (1, 0, 0, -0.1, 1, 0)),
    ],
    ids=["translate x", "translate y", "shear x", "shear y"],
)  # fmt: skip
def test_warp_against_pillow(matrix: Tensor, affine: tuple[float, ...]) -> None:
    picture = pictures()[0]
    moved = picture.transform(
        picture.size, Image.Transform.AFFINE, affine, resample=Image.Resampling.BILINEAR
    )
    grid = warps.sampling_grid(matrix, HEIGHT, WIDTH)
    found = warps.warp(batch([picture]), grid, black_outside=True)
    difference = (found - batch([moved])).abs().amax(1)[0] * 255
    pixel = torch.tensor([2 / WIDTH, 2 / HEIGHT])
    inside, outside = (grid.abs() < 1 - pixel).all(3)[0], (grid.abs() > 1 + pixel).any(3)[0]
    assert inside.float().mean() > 0.5  # at the very edge Pillow repeats, here it fades to black
    assert difference[inside].max() <= 1.01
    assert outside.float().mean() > 0.01
    assert difference[outside].max() == 0


def test_shear_knows_the_crop_before_the_stretch() -> None:
    """A crop of 32x200 stretched to half its width slants half as much."""
    wide = distort.shear_from_corner(full(0.1, 1), full(0, 1), full(6.25, 1))
    narrow = distort.shear_from_corner(full(0.05, 1), full(0, 1), full(3.125, 1))
    assert torch.allclose(wide, narrow)
