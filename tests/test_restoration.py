"""PSNR and SSIM against scikit-image, the worked numbers of TextZoom's code, and real pairs."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from PIL import Image

from strbench.errors import DATA, StrbenchError
from strbench.metrics.restoration import (
    C1,
    C2,
    PairScores,
    Pool,
    image_psnr,
    image_ssim,
    join,
    psnr,
    psnr_textzoom,
    score_pairs,
    ssim,
    ssim_textzoom,
)

Floats = NDArray[np.float32]


def channels_last(images: torch.Tensor) -> Floats:
    return images.permute(0, 2, 3, 1).contiguous().numpy()


def drawn(seed: int, n: int, *, brightened: int = 0) -> tuple[Floats, Floats]:
    """Uniform noise (the reference), and the same with Gaussian noise on it."""
    draw = np.random.RandomState(seed)
    reference = draw.rand(n, 3, 32, 128)
    restored = np.clip(reference + 0.1 * draw.randn(n, 3, 32, 128), 0, 1)
    if brightened:
        restored[-brightened:] = np.clip(restored[-brightened:] + 0.3, 0, 1)
    x, y = (channels_last(torch.tensor(v, dtype=torch.float32)) for v in (restored, reference))
    return x, y


def smooth() -> tuple[Floats, Floats]:
    """A blurred noise, and what bicubic interpolation makes of its half."""
    noise = torch.tensor(np.random.RandomState(1).rand(4, 3, 8, 32), dtype=torch.float32)
    reference = F.interpolate(noise, size=(32, 128), mode="bicubic").clamp(0, 1)
    low = F.interpolate(reference, size=(16, 64), mode="area")
    restored = F.interpolate(low, size=(32, 128), mode="bicubic", align_corners=True)
    return channels_last(restored), channels_last(reference)


def skimage_ssim(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """scikit-image's SSIM of two images with five pixels of zeros around them."""
    metrics = pytest.importorskip("skimage.metrics", reason="scikit-image is not installed")
    border = ((5, 5), (5, 5), (0, 0))
    return float(
        metrics.structural_similarity(
            np.pad(x, border),
            np.pad(y, border),
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            data_range=1,
            channel_axis=-1,
        )
    )


def test_worked_numbers_of_noise() -> None:
    restored, reference = drawn(0, 4)
    scores = score_pairs(restored, reference)
    assert psnr_textzoom(scores, pool=4) == pytest.approx(20.522404, abs=1e-6)
    assert psnr(scores) == pytest.approx(20.522556, abs=1e-6)
    assert ssim(scores) == pytest.approx(0.950039, abs=1e-5)
    rounded = score_pairs((restored * 255).round() / 255, (reference * 255).round() / 255)
    assert psnr_textzoom(rounded, pool="subset") == pytest.approx(20.521175, abs=1e-6)
    assert ssim(rounded) == pytest.approx(0.950025, abs=1e-5)


def test_worked_numbers_of_smooth_images() -> None:
    restored, reference = smooth()
    assert restored.min() < 0 or restored.max() > 1, "bicubic overshoots; nothing clamps it"
    scores = score_pairs(restored, reference)
    assert psnr_textzoom(scores, pool=4) == pytest.approx(27.623924, abs=1e-6)
    assert psnr(scores) == pytest.approx(27.623993, abs=1e-6)
    assert ssim(scores) == pytest.approx(0.977811, abs=1e-5)


@pytest.mark.parametrize(
    ("pool", "decibel", "similarity"),
    [
        (1, 17.704, 0.91462),
        (2, 17.276, 0.91462),
        (4, 15.841, 0.90065),  # the last batch holds two pairs, both brightened
        (8, 14.359, 0.88319),
        (10, 15.321, 0.91462),
        ("subset", 15.321, 0.91462),
    ],
)
def test_pooled_figures_depend_on_the_batch_size(
    pool: Pool, decibel: float, similarity: float
) -> None:
    scores = score_pairs(*drawn(3, 10, brightened=3))
    assert psnr_textzoom(scores, pool=pool) == pytest.approx(decibel, abs=6e-4)
    assert ssim_textzoom(scores, pool=pool) == pytest.approx(similarity, abs=1e-5)


def test_pooling_is_one_squared_error_per_batch() -> None:
    restored, reference = drawn(5, 7, brightened=2)
    errors = (restored.astype(np.float64) - reference) ** 2
    batches = [-10 * math.log10(errors[i : i + 3].mean()) for i in (0, 3, 6)]
    scores = score_pairs(restored, reference)
    assert psnr_textzoom(scores, pool=3) == pytest.approx(sum(batches) / 3, abs=1e-9)
    assert psnr_textzoom(scores, pool=1) == psnr(scores)
    assert psnr_textzoom(scores, pool=7) == psnr_textzoom(scores, pool="subset")
    assert ssim_textzoom(scores, pool="subset") == ssim(scores)


def test_psnr_of_a_known_error() -> None:
    reference = np.zeros((1, 4, 4, 3))
    restored = reference.copy()
    restored[0, 0, 0, 0] = -2.4  # 5.76 / 48 values = 0.12; below 0 and yet not clamped
    assert image_psnr(restored, reference)[0] == pytest.approx(-10 * math.log10(0.12), abs=1e-12)


def plain_ssim(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """SSIM pixel by pixel, from the definition."""
    weights = np.exp(-((np.arange(11) - 5.0) ** 2) / (2 * 1.5**2))
    window = np.outer(weights, weights) / weights.sum() ** 2
    padded_x, padded_y = (np.pad(v, ((5, 5), (5, 5), (0, 0))) for v in (x, y))
    values = []
    for row, column, channel in np.ndindex(x.shape):
        a = padded_x[row : row + 11, column : column + 11, channel]
        b = padded_y[row : row + 11, column : column + 11, channel]
        mean_a, mean_b = (window * a).sum(), (window * b).sum()
        var_a, var_b = (window * (a - mean_a) ** 2).sum(), (window * (b - mean_b) ** 2).sum()
        both = (window * (a - mean_a) * (b - mean_b)).sum()
        values.append(
            (2 * mean_a * mean_b + C1)
            * (2 * both + C2)
            / ((mean_a**2 + mean_b**2 + C1) * (var_a + var_b + C2))
        )
    return math.fsum(values) / len(values)


@pytest.mark.parametrize("shape", [(1, 1, 3), (3, 40, 3), (17, 5, 3), (33, 18, 3)])
def test_ssim_is_its_definition_at_every_size(shape: tuple[int, int, int]) -> None:
    draw = np.random.default_rng(0)
    x, y = draw.random(shape), draw.random(shape)
    assert image_ssim(x, y)[0] == pytest.approx(plain_ssim(x, y), abs=1e-12)


@settings(max_examples=20, deadline=None)
@given(
    arrays(np.float64, (12, 40, 3), elements=st.floats(0, 1, width=32)),
    arrays(np.float64, (12, 40, 3), elements=st.floats(-0.5, 1.5, width=32)),
)
def test_ssim_is_that_of_scikit_image(
    reference: NDArray[np.float64], restored: NDArray[np.float64]
) -> None:
    found = image_ssim(restored, reference)
    assert found[0] == pytest.approx(skimage_ssim(restored, reference), abs=1e-9)


def test_figures_of_32_by_128_are_those_of_scikit_image() -> None:
    metrics = pytest.importorskip("skimage.metrics", reason="scikit-image is not installed")
    restored, reference = drawn(9, 5, brightened=2)
    single, many = restored[3].astype(np.float64), score_pairs(restored, reference)
    assert many.ssim[3] == pytest.approx(skimage_ssim(single, reference[3].astype(float)), abs=1e-9)
    decibel = metrics.peak_signal_noise_ratio(reference[3].astype(float), single, data_range=1)
    assert many.psnr[3] == pytest.approx(decibel, abs=1e-9)


def test_equal_images() -> None:
    restored, reference = drawn(2, 3)
    restored[1] = reference[1]
    scores = score_pairs(restored, reference)
    assert scores.ssim[1] == 1.0
    assert (scores.ssim[[0, 2]] < 1).all()
    assert np.isinf(scores.psnr).tolist() == [False, True, False]
    assert scores.n_equal == 1
    assert psnr(scores) == math.inf
    assert psnr_textzoom(scores, pool=1) == math.inf
    assert math.isfinite(psnr_textzoom(scores, pool=2))
    black = np.zeros((32, 128, 3))
    assert (image_ssim(black, black)[0], image_psnr(black, black)[0]) == (1.0, math.inf)


def test_either_image_may_be_the_reference() -> None:
    restored, reference = drawn(4, 2)
    assert np.array_equal(image_psnr(restored, reference), image_psnr(reference, restored))
    assert image_ssim(restored, reference) == pytest.approx(image_ssim(reference, restored))


def test_neither_order_nor_parts_change_a_mean_per_image() -> None:
    restored, reference = drawn(6, 11, brightened=4)
    scores = score_pairs(restored, reference)
    order = np.random.default_rng(0).permutation(11)
    again = score_pairs(restored[order], reference[order])
    assert psnr(again) == psnr(scores)
    assert ssim(again) == pytest.approx(ssim(scores), abs=1e-14)
    assert psnr_textzoom(again, pool=4) != pytest.approx(psnr_textzoom(scores, pool=4), abs=1e-3)
    parts = join([score_pairs(restored[i : i + 4], reference[i : i + 4]) for i in (0, 4, 8)])
    assert parts.n == 11
    assert parts.mse.tolist() == scores.mse.tolist()
    assert parts.ssim == pytest.approx(scores.ssim, abs=1e-14)
    alone = [image_ssim(x, y)[0] for x, y in zip(restored, reference, strict=True)]
    assert alone == pytest.approx(scores.ssim.tolist(), abs=1e-14)


def test_a_fourth_channel_is_not_seen() -> None:
    restored, reference = drawn(7, 2)
    mask = np.full((2, 32, 128, 1), np.nan, np.float32)
    with_mask = np.concatenate([restored, mask], -1)
    scores, plain = score_pairs(with_mask, reference), score_pairs(restored, reference)
    assert scores.mse.tolist() == plain.mse.tolist()
    assert scores.ssim.tolist() == plain.ssim.tolist()
    both = np.concatenate([reference, mask], -1)
    assert image_psnr(with_mask, both).tolist() == plain.psnr.tolist()


def test_inputs_stay_as_they_are() -> None:
    restored, reference = drawn(8, 2)
    before = restored.copy(), reference.copy()
    score_pairs(restored, reference)
    assert np.array_equal(restored, before[0])
    assert np.array_equal(reference, before[1])


grey = np.full((2, 8, 8, 3), 0.5)
spoilt = grey.copy()
spoilt[1, 0, 0, 0] = np.nan


@pytest.mark.parametrize(
    ("restored", "reference", "message"),
    [
        (grey, grey[:, :4], r"restored \(2, 8, 8, 3\) and references \(2, 4, 8, 3\)"),
        (grey, grey[:1], r"restored \(2, 8, 8, 3\) and references \(1, 8, 8, 3\)"),
        (grey[..., 0], grey[..., 0], r"found \(2, 8, 8\)"),
        (grey[:, :0], grey[:, :0], r"found \(2, 0, 8, 3\)"),
        (grey.transpose(0, 3, 1, 2), grey, r"found \(2, 3, 8, 8\)"),
        ((grey * 255).astype(np.uint8), grey, "must be float with white at 1, found uint8"),
        (grey * 255, grey * 255, "references must lie in .0, 1., found 127.5 to 127.5"),
        (grey, grey - 0.6, "found -0.1 to -0.1"),
        (spoilt, grey, "Restored image 1 has values that are no numbers"),
        (spoilt * np.inf, grey, "Restored image 0 has values"),
        (grey, spoilt, "found nan to nan"),
    ],
)
def test_what_is_no_pair_of_images(
    restored: NDArray[np.float64], reference: NDArray[np.float64], message: str
) -> None:
    for function in (image_psnr, image_ssim, score_pairs):
        with pytest.raises(StrbenchError, match=message) as caught:
            function(restored, reference)
        assert caught.value.exit_code == DATA


def test_no_pair_has_no_mean() -> None:
    none = score_pairs(grey[:0], grey[:0])
    assert (none.n, none.n_equal, none.size) == (0, 0, (8, 8))
    with pytest.raises(StrbenchError, match="No pair is scored"):
        psnr(none)
    with pytest.raises(StrbenchError, match="No pair is scored"):
        ssim(none)
    with pytest.raises(StrbenchError, match="No pair is scored"):
        psnr_textzoom(none, pool="subset")
    with pytest.raises(StrbenchError, match="No pair is scored"):
        ssim_textzoom(none, pool=4)


def test_join_needs_one_size() -> None:
    with pytest.raises(StrbenchError, match="found none"):
        join([])
    with pytest.raises(StrbenchError, match=r"found \(8, 8\), \(8, 4\)"):
        join([score_pairs(grey, grey), score_pairs(grey[:, :, :4], grey[:, :, :4])])


@pytest.mark.parametrize("pool", [0, -1, "batch", 2.0, True])
def test_a_pool_is_a_batch_size_or_the_subset(pool: object) -> None:
    scores = PairScores(size=(32, 128), mse=np.ones(2), ssim=np.ones(2))
    with pytest.raises(StrbenchError, match="The pool must be 'subset' or a batch size"):
        psnr_textzoom(scores, pool=pool)  # type: ignore[arg-type]


def pixels(path: Path, size: tuple[int, int]) -> Floats:
    with Image.open(path) as image:
        resized = image.convert("RGB").resize(size, Image.Resampling.BICUBIC)
    return np.asarray(resized, np.float32) / np.float32(255)


def test_bicubic_on_the_easy_pairs_of_textzoom(shared: Path) -> None:
    folder = shared / "real/superres/textzoom_test_easy"
    names = sorted(path.name.replace("_hr-", "_{}-") for path in folder.glob("image_hr-*.png"))
    pools: tuple[Pool, ...] = (1, 512, 1024, "subset")
    expected = {  # align_corners: PSNR by pool, SSIM
        True: ((23.0648, 22.6254, 22.5375, 22.3282), 0.7906),
        False: ((23.4171, 22.9525, 22.9310, 22.6774), 0.7990),
    }
    parts: dict[bool, list[PairScores]] = {True: [], False: []}
    for start in range(0, len(names), 256):
        some = names[start : start + 256]
        high = np.stack([pixels(folder / name.format("hr"), (128, 32)) for name in some])
        low = np.stack([pixels(folder / name.format("lr"), (64, 16)) for name in some])
        tensor = torch.from_numpy(low).permute(0, 3, 1, 2).contiguous()
        for corners, found in parts.items():
            larger = F.interpolate(tensor, scale_factor=2, mode="bicubic", align_corners=corners)
            found.append(score_pairs(channels_last(larger), high))
    for corners, (decibels, similarity) in expected.items():
        scores = join(parts[corners])
        assert (scores.n, scores.n_equal) == (1619, 0)
        found_decibels = [psnr_textzoom(scores, pool=pool) for pool in pools]
        # Whether Pillow's resizing rounds rows or columns first already moves them by 0.0005 dB.
        assert found_decibels == pytest.approx(decibels, abs=1e-3)
        assert ssim(scores) == pytest.approx(similarity, abs=1e-4)
        assert psnr(scores) == found_decibels[0]
