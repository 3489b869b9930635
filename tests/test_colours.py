"""The blocks on colours and pixels against Pillow, colorsys, tables and sums written out."""

from __future__ import annotations

import colorsys
from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter, ImageOps
from torch import Tensor

from strbench import colours

H, W = 12, 20


def full(value: float, count: int = 1) -> Tensor:
    return torch.full((count,), value)


def picture(seed: int = 0) -> np.ndarray:
    """A uint8 picture (H, W, 3) with large and small structure."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (3, 5, 3)).astype(np.uint8)
    smooth = np.asarray(Image.fromarray(small).resize((W, H), Image.Resampling.BICUBIC))
    return np.clip(smooth + rng.integers(-30, 31, smooth.shape), 0, 255).astype(np.uint8)


def tensor(pixels: np.ndarray | Image.Image) -> Tensor:
    return torch.from_numpy(np.array(pixels)).permute(2, 0, 1)[None].float() / 255


def array(images: Tensor) -> np.ndarray:
    out: np.ndarray = images[0].permute(1, 2, 0).double().numpy()
    return out


def each_pixel(change: Callable[..., tuple[float, ...]], pixels: np.ndarray) -> np.ndarray:
    flat = [change(*(v / 255 for v in pixel)) for pixel in pixels.reshape(-1, 3).tolist()]
    return np.array(flat).reshape(pixels.shape)


def correlate(image: np.ndarray, kernel: np.ndarray, mode: str) -> np.ndarray:
    """A filter (odd sides) by the sum over its places; ``mode`` is numpy.pad's."""
    rows, columns = kernel.shape[0] // 2, kernel.shape[1] // 2
    padded = np.pad(image, ((rows, rows), (columns, columns), (0, 0)), mode=mode)  # type: ignore[call-overload]
    out = np.zeros_like(image)
    for (y, x), weight in np.ndenumerate(kernel):
        out += weight * padded[y : y + image.shape[0], x : x + image.shape[1]]
    return out


def test_invert() -> None:
    expected = tensor(ImageOps.invert(Image.fromarray(picture())))
    torch.testing.assert_close(colours.invert(tensor(picture())), expected)


def test_shuffle_channels() -> None:
    out = colours.shuffle_channels(tensor(picture()), torch.tensor([[2, 0, 1]]))
    assert np.array_equal(np.round(array(out) * 255), picture()[..., [2, 0, 1]])


@pytest.mark.parametrize(
    ("rgb", "lab"),
    [  # the corners of sRGB under D65, as in any table of them
        ((255, 255, 255), (100.0, 0.0, 0.0)),
        ((255, 0, 0), (53.24, 80.09, 67.20)),
        ((0, 255, 0), (87.73, -86.18, 83.18)),
        ((0, 0, 255), (32.30, 79.19, -107.86)),
        ((119, 119, 119), (50.03, 0.0, 0.0)),
        ((0, 0, 0), (0.0, 0.0, 0.0)),
    ],
)
def test_lab_of_known_colours(rgb: tuple[int, ...], lab: tuple[float, ...]) -> None:
    pixels = np.array(rgb, dtype=np.uint8).reshape(1, 1, 3)
    out = colours.rgb_to_lab(tensor(pixels))
    assert out.flatten().tolist() == pytest.approx(lab, abs=0.03)


def test_lab_and_back() -> None:
    images = tensor(picture())
    torch.testing.assert_close(colours.lab_to_rgb(colours.rgb_to_lab(images)), images, atol=1e-5, rtol=0)  # fmt: skip


@pytest.mark.parametrize("exponent", [0.5, 1.0, 2.0])
def test_gamma(exponent: float) -> None:
    out = colours.gamma(tensor(picture()), full(exponent))
    assert np.allclose(array(out), (picture() / 255) ** exponent, atol=1e-6)


@pytest.mark.parametrize("factor", [0.5, 1.0, 1.5])
def test_brightness_multiplies_the_value(factor: float) -> None:
    def change(r: float, g: float, b: float) -> tuple[float, ...]:
        h, s, v = colorsys.rgb_to_hsv(r, g, b)
        return colorsys.hsv_to_rgb(h, s, min(1, v * factor))

    out = colours.brightness(tensor(picture()), full(factor))
    assert np.allclose(array(out), each_pixel(change, picture()), atol=1e-5)


@pytest.mark.parametrize("amount", [-0.3, 0.0, 0.2, 1.0])
def test_saturation_is_added(amount: float) -> None:
    def change(r: float, g: float, b: float) -> tuple[float, ...]:
        h, s, v = colorsys.rgb_to_hsv(r, g, b)
        return colorsys.hsv_to_rgb(h, min(1, max(0, s + amount)), v)

    pixels = picture()
    pixels[:3] = pixels[:3, :, :1]  # gray: hue 0
    pixels[0, 0] = 0
    out = colours.add_saturation(tensor(pixels), full(amount))
    assert np.allclose(array(out), each_pixel(change, pixels), atol=1e-5)


@pytest.mark.parametrize(
    ("kelvin", "rgb"),
    [  # Charity's table of black-body colours (10 degrees)
        (1000, (255, 56, 0)),
        (2000, (255, 137, 14)),
        (3000, (255, 177, 110)),
        (4000, (255, 206, 166)),
        (5000, (255, 228, 206)),
        (6600, (255, 249, 253)),
        (8000, (227, 233, 255)),
        (10000, (204, 219, 255)),
    ],
)
def test_colours_of_black_bodies(kelvin: float, rgb: tuple[int, ...]) -> None:
    found = (colours.kelvin_rgb(full(kelvin)) * 255)[0].tolist()
    assert found == pytest.approx(rgb, abs=13)


def test_light_multiplies_channels() -> None:
    images = tensor(picture())
    out = colours.colour_temperature(images, full(2000.0))
    torch.testing.assert_close(out / images.clamp(min=1e-6), (images > 0) * colours.kelvin_rgb(full(2000.0)).float()[:, :, None, None], atol=1e-3, rtol=0)  # fmt: skip


def test_equalize_is_the_cumulative_histogram_of_lightness() -> None:
    gray = np.repeat(picture()[..., :1] // 2 + 40, 3, 2)  # gray: equalising leaves sRGB nowhere
    levels = np.round(array(colours.rgb_to_lab(tensor(gray)))[..., 0] * 2.55).astype(int)
    ranks = np.array([(levels <= level).sum() for level in levels.flat]).reshape(levels.shape)
    darkest = (levels == levels.min()).sum()
    expected = (ranks - darkest) / (levels.size - darkest)
    out = colours.rgb_to_lab(colours.equalize(tensor(gray)))[0, 0].numpy() / 100
    assert np.allclose(out, expected, atol=1e-4)
    assert out.min() == pytest.approx(0, abs=1e-4)
    assert out.max() == pytest.approx(1, abs=1e-4)


def test_equalize_leaves_flat_images() -> None:
    flat = torch.tensor([0.2, 0.7, 0.4]).view(1, 3, 1, 1).expand(1, 3, H, W).contiguous()
    torch.testing.assert_close(colours.equalize(flat), flat, atol=1e-5, rtol=0)


@pytest.mark.parametrize("count", [2, 5, 16])
def test_quantised_images_have_the_colours_they_may(count: int) -> None:
    image = tensor(picture())
    out = array(colours.quantize_colours(image, torch.tensor([count])))
    palette = np.unique(out.reshape(-1, 3), axis=0)
    assert 2 <= len(palette) <= count
    distance = ((array(image)[:, :, None] - palette) ** 2).sum(-1)  # (H, W, colours)
    own = ((array(image) - out) ** 2).sum(-1)
    # one step of k-means further, hardly a pixel would change its centre
    assert (own <= distance.min(-1) + 1e-3).mean() > 0.97
    theirs = Image.fromarray(picture()).quantize(count, kmeans=10).convert("RGB")
    assert own.mean() < 1.25 * ((array(image) - np.asarray(theirs) / 255) ** 2).sum(-1).mean()


def test_an_image_of_few_colours_keeps_them() -> None:
    palette = torch.rand(4, 3, generator=torch.Generator().manual_seed(2)).mul(255).round() / 255
    image = palette[torch.arange(W) * 4 // W].T[None, :, None].expand(1, 3, H, W).contiguous()
    out = colours.quantize_colours(image, torch.tensor([4]))
    torch.testing.assert_close(out, image, atol=1e-3, rtol=0)


def test_pixels_are_dropped_replaced_and_multiplied() -> None:
    images = tensor(picture()).clamp(min=0.01).repeat(2, 1, 1, 1)
    generator = torch.Generator().manual_seed(1)
    numbers, values = torch.rand(2, 2, 3, H, W, generator=generator)
    share = torch.tensor([0.0, 0.3])
    dropped = colours.drop_pixels(images, share, numbers)
    assert torch.equal(dropped[0], images[0])
    assert torch.equal(dropped[1] == 0, numbers[1] < 0.3)
    replaced = colours.replace_pixels(images, share, numbers, values)
    assert torch.equal(replaced[0], images[0])
    assert torch.equal(replaced[1], torch.where(numbers[1] < 0.3, values[1], images[1]))
    together = colours.drop_pixels(images, share, numbers[:, :1])[1] == 0
    assert torch.equal(together.all(0), numbers[1, 0] < 0.3)
    multiplied = colours.multiply_pixels(images, numbers * 2)
    torch.testing.assert_close(multiplied, (images * numbers * 2).clamp(max=1))


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 6])
def test_average_blur(size: int) -> None:
    kernel = np.zeros((7, 7))
    start = 3 - size // 2  # even squares reach further up and left
    kernel[start : start + size, start : start + size] = 1 / size**2
    expected = correlate(picture() / 255, kernel, "reflect")
    out = colours.average_blur(tensor(picture()), torch.tensor([size]))
    assert np.allclose(array(out), expected, atol=1e-6)


@pytest.mark.parametrize("size", [3, 5, 7])
def test_median_blur_is_pillows(size: int) -> None:
    expected = tensor(Image.fromarray(picture()).filter(ImageFilter.MedianFilter(size)))
    torch.testing.assert_close(colours.median_blur(tensor(picture()), size), expected)


@pytest.mark.parametrize(("alpha", "strength"), [(0.0, 1.0), (0.4, 0.5), (1.0, 1.5)])
def test_emboss(alpha: float, strength: float) -> None:
    s = strength
    relief = np.array([[-1 - s, -s, 0], [-s, 1, s], [0, s, 1 + s]])
    same = np.zeros((3, 3))
    same[1, 1] = 1
    expected = correlate(picture() / 255, alpha * relief + (1 - alpha) * same, "reflect")
    out = colours.emboss(tensor(picture()), full(alpha), full(strength))
    assert np.allclose(array(out), expected.clip(0, 1), atol=1e-5)


def test_an_image_does_not_see_the_batch() -> None:
    images = torch.cat([tensor(picture(seed)) for seed in range(5)])
    ramp = torch.linspace(0.2, 0.9, 5)
    blocks: list[tuple[Callable[..., Tensor], Tensor]] = [
        (colours.gamma, ramp),
        (colours.brightness, ramp),
        (colours.add_saturation, ramp),
        (colours.colour_temperature, 5000 * ramp),
        (colours.quantize_colours, torch.arange(5) * 3 + 2),
        (colours.average_blur, torch.arange(5) + 2),
    ]
    for block, parameter in blocks:
        whole = block(images, parameter)
        assert torch.equal(whole[3:4], block(images[3:4], parameter[3:4])), block
    assert torch.equal(colours.equalize(images)[3:4], colours.equalize(images[3:4]))
    assert torch.equal(colours.emboss(images, ramp, ramp)[3:4], colours.emboss(images[3:4], ramp[3:4], ramp[3:4]))  # fmt: skip
