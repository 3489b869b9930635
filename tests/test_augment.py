"""The blocks of augmentation against Pillow, OpenCV, colorsys and direct sums; the draws' laws."""

from __future__ import annotations

import colorsys
import math

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance
from torch import Tensor

from strbench import augment, draws, warps

N = 20_000


def full(value: float, count: int = 1) -> Tensor:
    return torch.full((count,), value)


def smooth(height: int, width: int, seed: int = 0) -> np.ndarray:
    """A uint8 picture (H, W, 3) of soft blobs, so that resampling twice loses little."""
    rng = np.random.default_rng(seed)
    small = rng.integers(60, 196, (5, 12, 3)).astype(np.uint8)
    return np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))


def tensor(picture: np.ndarray | Image.Image) -> Tensor:
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float() / 255


def words(count: int, seed: int = 0) -> Tensor:
    return torch.cat([tensor(smooth(32, 128, seed + i)) for i in range(count)])


@pytest.fixture(scope="module")
def seeds() -> Tensor:
    return torch.arange(N)


def test_uniforms_are_uniform_and_independent(seeds: Tensor) -> None:
    u = draws.uniforms(seeds, 3, 5)
    assert u.shape == (N, 3)
    assert u.dtype == torch.float64
    assert u.min() > 0
    assert u.max() < 1
    levels = torch.linspace(0.05, 0.95, 19, dtype=torch.float64)
    for column in u.unbind(1):
        assert torch.allclose(column.quantile(levels), levels, atol=0.015)
    other = draws.uniforms(seeds, 1, 6)
    table = torch.cat((u, other, u[:, :1].roll(1, 0)), 1)  # counters, streams, neighbouring seeds
    correlation = torch.corrcoef(table.T) - torch.eye(5)
    assert correlation.abs().max() < 0.035  # 5 standard errors of 20,000


def test_draws_belong_to_the_seed_alone() -> None:
    seeds = torch.tensor([7, -3, 2**62, 7])
    u = draws.uniforms(seeds, 4, 0)
    assert torch.equal(u[0], u[3])
    assert torch.equal(u[1:2], draws.uniforms(seeds[1:2], 4, 0))
    assert torch.equal(u[:, :2], draws.uniforms(seeds, 2, 0))
    assert not torch.equal(u, draws.uniforms(seeds, 4, 1))
    assert len({int(s) for k in range(5) for s in draws.derive(seeds[:3], k)}) == 15


def test_a_known_value_of_the_hash() -> None:
    # splitmix64 started at 0 gives 0xE220A8397B1DCDAF first: that is the key of seed 0, stream 0.
    def mix(x: int) -> int:
        x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        x = (x ^ (x >> 27)) * 0x94D049BB133111EB % 2**64
        return x ^ (x >> 31)

    step = 0x9E3779B97F4A7C15
    assert mix(step) == 0xE220A8397B1DCDAF
    expected = (mix((mix(step) + step) % 2**64) >> 12) + 0.5
    assert draws.uniforms(torch.tensor([0]), 1, 0).item() == expected / 2**52


def test_distributions(seeds: Tensor) -> None:
    symmetric, small = draws.beta_4_4(seeds, 2, 1), draws.beta_1_4(seeds, 2, 2)
    assert symmetric.shape == small.shape == (N, 2)
    assert symmetric.mean().item() == pytest.approx(0.5, abs=0.004)
    assert symmetric.var().item() == pytest.approx(1 / 36, rel=0.03)
    # Beta(4, 4) below 0.25: sum of C(7, k) .25^k .75^(7-k) for k from 4
    below = sum(math.comb(7, k) * 0.25**k * 0.75 ** (7 - k) for k in range(4, 8))
    assert (symmetric < 0.25).double().mean().item() == pytest.approx(below, abs=0.006)
    assert small.mean().item() == pytest.approx(0.2, abs=0.004)
    assert (small > 0.5).double().mean().item() == pytest.approx(0.5**4, abs=0.006)
    normal = draws.normals(seeds, 2, 3)
    assert normal.mean().item() == pytest.approx(0, abs=0.02)
    assert normal.std().item() == pytest.approx(1, abs=0.02)
    between = draws.uniform(seeds, -10, 10, 4)
    assert -10 < between.min() < -9.9
    assert 9.9 < between.max() < 10
    assert draws.chance(seeds, 0.2, 9).double().mean().item() == pytest.approx(0.2, abs=0.012)


def test_random_turns(seeds: Tensor) -> None:
    turns = draws.random_turns(seeds, 10, 2, 5, 0)
    acting = (turns >= 0).sum(1)
    shares = torch.bincount(acting, minlength=11).double() / N
    assert torch.allclose(shares[2:6], torch.full((4,), 0.25, dtype=torch.float64), atol=0.015)
    assert shares[2:6].sum() == 1
    assert torch.equal(turns.amax(1) + 1, acting)  # turns 0, 1, ... without a gap
    each = (turns >= 0).double().mean(0)
    assert torch.allclose(each, torch.full((10,), 0.35, dtype=torch.float64), atol=0.018)
    orders = draws.random_turns(seeds, 3, 3, 3, 1) @ torch.tensor([9, 3, 1])
    counts = orders.unique(return_counts=True)[1]
    assert len(counts) == 6
    assert (counts / N - 1 / 6).abs().max() < 0.015


def test_pixel_noise_is_normal_and_belongs_to_the_seed() -> None:
    seeds = torch.arange(40)
    noise = draws.pixel_normals(seeds, (3, 32, 128), 0)
    assert noise.shape == (40, 3, 32, 128)
    assert noise.mean().abs() < 0.006
    assert noise.std().item() == pytest.approx(1, abs=0.006)
    assert (noise**4).mean().item() == pytest.approx(3, abs=0.06)
    for dim in (0, 1, 2, 3):
        assert (noise * noise.roll(1, dim)).mean().abs() < 0.008
    flat = noise.flatten(1)
    half = flat.shape[1] // 2  # the two pixels that share a hash
    assert (flat[:, :half] * flat[:, half:]).mean().abs() < 0.01
    assert torch.equal(noise[5:6], draws.pixel_normals(seeds[5:6], (3, 32, 128), 0))


def test_identity_parameters_change_nothing() -> None:
    images, one, none = words(3), full(1.0, 3), full(0.0, 3)
    aspect = torch.tensor([0.5, 4.0, 9.0])
    for matrix in (
        warps.rotation(none, aspect),
        warps.shear(none, none, aspect),
        warps.scaling(one, one),
        warps.cropping(none, none, none, none),
        warps.frame_to_quad(torch.tensor([[-1.0, -1], [1, -1], [1, 1], [-1, 1]]).expand(3, 4, 2)),
        warps.fit_frame(warps.scaling(2 * one, 3 * one)),
    ):
        assert torch.allclose(matrix, torch.eye(3, dtype=torch.float64).expand(3, 3, 3))
        for black in (False, True):
            out = warps.warp(images, warps.sampling_grid(matrix, 32, 128), black_outside=black)
            assert torch.allclose(out, images, atol=2e-5)
    grid = warps.sampling_grid(matrix, 32, 128)
    assert torch.equal(warps.bend(grid, torch.zeros(3, 4, 4, 2)), grid)
    luminous = torch.stack((one, one, one, none), 1)
    turns = torch.tensor([[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]])
    for out in (
        augment.gaussian_blur(images, none, aspect),
        augment.motion_blur(images, one, 30 * one, aspect),
        augment.sharpen(images, none, one),
        augment.sharpen(images, none, none),
        augment.linear_contrast(images, one),
        augment.grayscale(images, none),
        augment.solarize(images, 2 * one, none == 0),
        augment.hue_shift(images, none),
        augment.hue_shift(images, one),
        augment.color_jitter(images, luminous, turns),
        augment.gaussian_noise(images, none, torch.randn(3, 3, 32, 128)),
        augment.pyramid_rescale(images, 0, base=(128, 512)),
    ):
        assert torch.allclose(out, images, atol=2e-5)


def test_contrast_of_a_large_window_is_the_same_in_any_batch() -> None:
    torch.manual_seed(0)
    images = torch.rand(3, 3, 736, 736) * 0.1 + 0.9  # sums of luma beyond 2 ** 24
    turns = torch.arange(4).expand(3, 4)
    factors = torch.tensor([[1.0, 0.5, 1.0, 0.0]]).expand(3, 4)
    out = augment.color_jitter(images.clone(), factors, turns)
    luma = (augment.gray(images) * 255).round().double().mean((1, 2, 3))
    mean = (luma + 0.5).floor() / 255
    expected = (images * 0.5 + 0.5 * mean.float().view(3, 1, 1, 1)).clamp(0, 1)
    assert torch.allclose(out, expected, atol=1e-6)


def test_blocks_do_not_write_into_their_input() -> None:
    images, one = words(2), full(0.6, 2)
    before, aspect = images.clone(), full(4.0, 2)
    factors, turns = torch.full((2, 4), 0.3), torch.arange(4).expand(2, 4)
    augment.gaussian_blur(images, one, aspect)
    augment.motion_blur(images, 5 * one, one, aspect)
    augment.sharpen(images, one, one)
    augment.linear_contrast(images, one)
    augment.grayscale(images, one)
    augment.solarize(images, one, one > 0)
    augment.hue_shift(images, one)
    augment.color_jitter(images, factors, turns)
    augment.gaussian_noise(images, one, torch.ones_like(images))
    augment.pyramid_rescale(images, 3, base=(128, 512))
    assert torch.equal(images, before)


def test_apply_where_changes_the_chosen_images_only() -> None:
    images = torch.arange(100.0).view(100, 1, 1, 1)
    chosen = torch.arange(100) % 2 == 0
    out = augment.apply_where(
        images.clone(), chosen, lambda x, k: x + k.view(-1, 1, 1, 1), torch.arange(100) * 1000
    )
    assert torch.equal(out[~chosen], images[~chosen])
    assert torch.equal(out[chosen], images[chosen] * 1001)

    def never(_: Tensor) -> Tensor:
        raise AssertionError("called for nobody")

    assert torch.equal(augment.apply_where(images.clone(), chosen & False, never), images)


@pytest.mark.parametrize(
    ("width", "height", "degrees"), [(192, 48, 10), (60, 60, -35), (480, 48, 4)]
)
def test_rotation_is_that_of_the_crop_before_the_stretch(
    width: int, height: int, degrees: float
) -> None:
    picture = Image.fromarray(smooth(height, width))
    turned = picture.rotate(degrees, Image.Resampling.BICUBIC).resize(
        (128, 32), Image.Resampling.BICUBIC
    )
    stretched = tensor(picture.resize((128, 32), Image.Resampling.BICUBIC))
    matrix = warps.rotation(full(degrees), full(width / height))
    grid = warps.sampling_grid(matrix, 32, 128)
    out = warps.warp(stretched, grid, black_outside=True)
    inside = (grid.abs() < 0.9).all(3)[:, None].expand_as(out)
    assert inside.float().mean() > 0.5
    error = (out - tensor(turned))[inside].abs()
    assert error.mean() < 0.01
    assert error.max() < 0.06
    wrong = warps.warp(
        stretched,
        warps.sampling_grid(warps.rotation(full(degrees), full(2 * width / height)), 32, 128),
    )
    assert (wrong - tensor(turned))[inside].abs().mean() > 0.03
    outside = (grid.abs() > 1.1).any(3)[:, None].expand_as(out)
    assert outside.any()
    assert out[outside].max() == 0
    assert warps.warp(stretched, grid)[outside].min() > 0  # edges repeated


def test_shear_leans_strokes_right_and_sinks_the_left_end() -> None:
    aspect, degrees = full(4.0), full(20.0)
    top = torch.tensor([0.0, -1.0, 1.0], dtype=torch.float64)  # middle of the top edge
    # forward: where the content at the top edge goes
    moved = warps.inverse(warps.shear(degrees, 0 * degrees, aspect))[0] @ top
    assert moved[0] * 4 == pytest.approx(math.tan(math.radians(20)))  # in half heights
    assert moved[1] == -1
    left = torch.tensor([-1.0, 0.0, 1.0], dtype=torch.float64)
    moved = warps.inverse(warps.shear(0 * degrees, degrees, aspect))[0] @ left
    assert moved[1] == pytest.approx(4 * math.tan(math.radians(20)))
    assert moved[0] == -1


def pillow_coefficients(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Pillow's eight perspective numbers that take points of the output to points of the input."""
    rows, values = [], []
    for (x, y), (u, v) in zip(target, source, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    return np.linalg.solve(np.array(rows, float), np.array(values, float))


@pytest.mark.parametrize("inward", [False, True])
def test_perspective_is_pillows(inward: bool) -> None:
    picture = smooth(32, 128)
    quad = np.array([[9.0, 3.0], [121.0, 1.0], [110.0, 29.0], [4.0, 26.0]])
    frame = np.array([[0.0, 0.0], [128.0, 0.0], [128.0, 32.0], [0.0, 32.0]])
    corners = torch.from_numpy(quad / [64, 16] - 1)[None]
    matrix = warps.frame_to_quad(corners)
    source, target = (quad, frame) if inward else (frame, quad)
    if not inward:
        matrix = warps.inverse(matrix)
    expected = Image.fromarray(picture).transform(
        (128, 32),
        Image.Transform.PERSPECTIVE,
        pillow_coefficients(source, target).tolist(),
        Image.Resampling.BILINEAR,
    )
    grid = warps.sampling_grid(matrix, 32, 128)
    out = warps.warp(tensor(picture), grid)
    inside = (
        (grid.abs() < torch.tensor([1 - 1.5 / 64, 1 - 1.5 / 16])).all(3)[:, None].expand_as(out)
    )
    assert inside.float().mean() > 0.5
    assert (out - tensor(expected))[inside].abs().max() < 1.6 / 255


def test_compose_acts_in_order_and_crop_is_exact() -> None:
    picture = smooth(32, 128)
    half = warps.cropping(full(0.25), full(0.5), full(0.25), full(0.0))
    out = warps.warp(tensor(picture), warps.sampling_grid(half, 16, 64))
    assert torch.allclose(out, tensor(picture[16:, 32:96]), atol=2e-5)
    one, two = warps.scaling(full(2.0), full(1.0)), warps.cropping(*map(full, (0.5, 0, 0, 0)))
    both = warps.compose(one, two)
    # enlarged by 2 about the centre, then the right half of that: x from 0 to 0.5
    edges = both[0] @ torch.tensor([[-1.0, 1.0], [0, 0], [1, 1]], dtype=torch.float64)
    assert edges[0].tolist() == pytest.approx([0.0, 0.5])
    grid = warps.sampling_grid(two, 32, 128)
    assert torch.allclose(warps.move_grid(grid, one), warps.sampling_grid(both, 32, 128), atol=1e-6)


def test_fit_frame_holds_the_whole_moved_word() -> None:
    aspect = torch.tensor([4.0, 0.3, 12.0])
    matrix = warps.fit_frame(warps.rotation(torch.tensor([30.0, -45.0, 12.0]), aspect))
    corners = torch.tensor([[-1.0, 1, 1, -1], [-1, -1, 1, 1], [1, 1, 1, 1]], dtype=torch.float64)
    moved = warps.inverse(matrix) @ corners
    assert torch.allclose(moved[:, :2].amin(2), torch.full((3, 2), -1.0, dtype=torch.float64))
    assert torch.allclose(moved[:, :2].amax(2), torch.full((3, 2), 1.0, dtype=torch.float64))


def test_bend_interpolates_the_lattice_and_stays_inside() -> None:
    matrix = torch.eye(3, dtype=torch.float64)[None]
    grid = warps.sampling_grid(matrix, 32, 128)
    jitter = torch.zeros(1, 4, 4, 2)
    jitter[0, 1, 2] = torch.tensor([0.2, -0.1])  # lattice point (1/3, -1/3)
    moved = warps.bend(grid, jitter) - grid
    x, y = grid[0, :, :, 0], grid[0, :, :, 1]
    weight = (1 - (x - 1 / 3).abs() * 1.5).clamp(min=0) * (1 - (y + 1 / 3).abs() * 1.5).clamp(min=0)
    assert torch.allclose(moved[0], weight[..., None] * jitter[0, 1, 2], atol=1e-5)
    wild = warps.bend(grid, torch.randn(1, 4, 4, 2, generator=torch.Generator().manual_seed(0)))
    assert wild.abs().max() <= 1 + 1e-5


def test_a_finer_grid_is_averaged() -> None:
    images = words(2)
    matrix = torch.eye(3, dtype=torch.float64).expand(2, 3, 3)
    squeezed = warps.warp(images, warps.sampling_grid(matrix, 96, 128), rows_averaged=3)
    third = warps.sampling_grid(matrix, 96, 128).unflatten(1, (32, 3))
    parts = [warps.warp(images, third[:, :, k]) for k in range(3)]
    assert torch.allclose(squeezed, torch.stack(parts).mean(0), atol=1e-6)


@pytest.mark.parametrize(("sigma", "reach"), [(0.5, None), (1.5, None), (1.5, 2.0)])
@pytest.mark.parametrize("aspect", [1.0, 4.0, 8.0])
def test_blur_is_a_gaussian_round_in_the_crop(
    sigma: float, reach: float | None, aspect: float
) -> None:
    images = words(2)
    out = augment.gaussian_blur(images, full(sigma, 2), full(aspect, 2), reach=reach)
    stretch = 4 / aspect
    ends = 3 * sigma if reach is None else reach

    def kernel(scale: float) -> np.ndarray:
        n = int(ends * scale)
        weights = np.exp(-0.5 * (np.arange(-n, n + 1) / (sigma * scale)) ** 2)
        return weights / weights.sum()

    rows, columns = kernel(1.0), kernel(stretch)
    both = np.outer(rows, columns)
    r, c = len(rows) // 2, len(columns) // 2
    padded = np.pad(images.numpy(), ((0, 0), (0, 0), (r, r), (c, c)), mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, both.shape, (2, 3))
    expected = np.einsum("bchwij,ij->bchw", windows, both)
    assert np.abs(out.numpy() - expected).max() < 1e-5
    assert np.abs(out.numpy() - images.numpy()).max() > 0.005


def test_motion_blur_is_a_line_in_the_crop() -> None:
    ramp = torch.zeros(1, 3, 32, 128)
    ramp[..., 64:] = 1.0
    across = augment.motion_blur(ramp, full(5.0), full(0.0), full(2.0))
    # five pixels of a crop of aspect 2: centres 4 apart, 8 columns after the stretch
    changed = (across - ramp).abs().amax((0, 1, 2)) > 1e-3
    assert changed.nonzero().flatten().tolist() == list(range(60, 68))
    along = augment.motion_blur(ramp, full(5.0), full(90.0), full(2.0))
    assert torch.allclose(along, ramp, atol=1e-5)
    # a bright dot smeared at +45 degrees rises to the right
    dot = torch.zeros(1, 3, 32, 128)
    dot[..., 16, 64] = 1.0
    out = augment.motion_blur(dot, full(9.0), full(45.0), full(4.0))[0, 0]
    assert out[13, 67] > 0.02
    assert out[19, 61] > 0.02
    assert out[19, 67] == out[13, 61] == 0
    assert out.sum().item() == pytest.approx(1, abs=1e-3)


def test_sharpen_is_the_3x3_kernel() -> None:
    images = words(1)
    alpha, lightness = 0.4, 0.3
    kernel = np.full((3, 3), -alpha)
    kernel[1, 1] = (1 - alpha) + alpha * (8 + lightness)
    padded = np.pad(images.numpy(), ((0, 0), (0, 0), (1, 1), (1, 1)), mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (2, 3))
    expected = np.einsum("bchwij,ij->bchw", windows, kernel).clip(0, 1)
    out = augment.sharpen(images, full(alpha), full(lightness))
    assert np.abs(out.numpy() - expected).max() < 2e-6


@pytest.mark.parametrize("level", [1, 2, 3, 4])
def test_pyramid_is_opencvs(level: int) -> None:
    cv2 = pytest.importorskip("cv2")
    images = words(2)
    out = augment.pyramid_rescale(images, level, base=(128, 512))
    for image, expected in zip(out, images, strict=True):
        picture = np.ascontiguousarray(expected.permute(1, 2, 0).numpy())
        picture = cv2.resize(picture, (512, 128), interpolation=cv2.INTER_LINEAR)
        for _ in range(level):
            picture = cv2.pyrDown(picture)
        picture = cv2.resize(picture, (128, 32), interpolation=cv2.INTER_LINEAR)
        assert np.abs(image.permute(1, 2, 0).numpy() - picture).max() < 1e-5


def test_hue_is_colorsys() -> None:
    generator = torch.Generator().manual_seed(0)
    colours = torch.rand(3, 4, 50, generator=generator)
    colours[:, 1, :25] = colours[:1, 1, :25]  # grays
    colours[:, 2, :20] = (colours[:, 2, :20] > 0.5).float()  # corners of the cube: ties
    for turn in (-0.5, -0.1, 0.0, 0.07, 0.5):
        out = augment.hue_shift(colours[None], full(turn))[0]
        for pixel, shifted in zip(colours.flatten(1).T.tolist(), out.flatten(1).T, strict=True):
            hue, saturation, value = colorsys.rgb_to_hsv(*pixel)
            expected = colorsys.hsv_to_rgb((hue + turn) % 1.0, saturation, value)
            assert shifted.tolist() == pytest.approx(expected, abs=2e-6)


def test_color_jitter_is_pillows_in_the_order_given() -> None:
    picture = Image.fromarray(smooth(32, 128, 3))
    steps = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)
    for factors, order in (((1.4, 0.6, 1.2), (0, 1, 2)), ((0.7, 1.5, 0.8), (2, 0, 1))):
        expected = picture
        for step in order:
            expected = steps[step](expected).enhance(factors[step])
        turns = torch.tensor([[order.index(0), order.index(1), order.index(2), 3]])
        out = augment.color_jitter(tensor(picture), torch.tensor([[*factors, 0.0]]), turns)
        assert (out - tensor(expected)).abs().max() < 3.5 / 255
    # hue first or last: saturation 0 makes it irrelevant only if it comes before
    gray_first = torch.tensor([[1.0, 1.0, 0.0, 0.3]])
    a = augment.color_jitter(tensor(picture), gray_first, torch.tensor([[0, 1, 2, 3]]))
    assert torch.allclose(a, augment.gray(tensor(picture)).expand_as(a), atol=1e-6)


def test_pointwise_blocks() -> None:
    images = torch.tensor([0.0, 60 / 255, 127 / 255, 1.0]).expand(1, 3, 1, 4)
    out = augment.linear_contrast(images, full(0.5))
    expected = torch.tensor([63.5, 93.5, 127, 191]) / 255
    assert torch.allclose(out, expected.expand_as(out), atol=1e-6)
    over = augment.solarize(images, full(100 / 255), torch.tensor([True]))[0, 0, 0]
    assert torch.allclose(over, torch.tensor([0.0, 60, 128, 0]) / 255, atol=1e-6)
    under = augment.solarize(images, full(100 / 255), torch.tensor([False]))[0, 0, 0]
    assert torch.allclose(under, torch.tensor([255.0, 195, 127, 255]) / 255, atol=1e-6)
    red = torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1)
    mixed = augment.grayscale(red, full(0.5)).flatten()
    assert mixed.tolist() == pytest.approx([0.6495, 0.1495, 0.1495], abs=1e-6)
    noisy = augment.gaussian_noise(red, full(0.1), torch.full((1, 3, 1, 1), -2.0)).flatten()
    assert noisy.tolist() == pytest.approx([0.8, 0.0, 0.0])
