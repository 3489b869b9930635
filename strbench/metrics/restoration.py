"""Metrics of restored images: PSNR and SSIM per image, and pooled as TextZoom pools them.

Images are NumPy arrays (H, W, 3) or (N, H, W, 3), RGB, float, on the scale where white is 1. Nothing
is clamped, rounded to 8 bits, cropped or turned to grey. A fourth channel, TextZoom's text mask, is
dropped unseen, so that a network which puts one out is scored as it is. Whatever a set's figure, it
comes from one squared error and one SSIM per pair: ``score_pairs`` makes them, batch by batch if need
be, and ``join`` puts the batches together. Only the pooled figures depend on a batch size.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from strbench.errors import DATA, StrbenchError

RADIUS = 5  # the window is 11 x 11
SIGMA = 1.5  # of the Gaussian, in pixels
C1 = 0.01**2  # constants of SSIM for images whose range is 1
C2 = 0.03**2

Pool = int | Literal["subset"]

_PIXELS = 1 << 13  # at once: what a core's cache holds
_BAND = 16  # columns of a blurring matrix at once; with its margins, 26 rows that are not zero
_SLACK = 1e-6  # a reference may pass 0 or 1 by a rounding in float32

Images = NDArray[np.floating[Any]]


def _batch(images: Images, what: str) -> Images:
    """The images as (N, H, W, 3)."""
    array = np.asarray(images)
    if array.dtype.kind != "f":
        raise StrbenchError(
            f"The {what} must be float with white at 1, found {array.dtype}.",
            hint="Divide 8-bit pixels by 255.",
            exit_code=DATA,
        )
    if array.ndim not in (3, 4) or array.shape[-1] not in (3, 4) or 0 in array.shape[-3:]:
        raise StrbenchError(
            f"The {what} must be of shape (H, W, 3) or (N, H, W, 3), found {array.shape}.",
            exit_code=DATA,
        )
    return array.reshape(-1, *array.shape[-3:])[..., :3]


def _pairs(restored: Images, reference: Images) -> tuple[Images, Images]:
    x, y = _batch(restored, "restored images"), _batch(reference, "references")
    if x.shape != y.shape:
        raise StrbenchError(
            f"Expected images of one shape, found restored {np.shape(restored)} and references "
            f"{np.shape(reference)}.",
            exit_code=DATA,
        )
    if not len(x):
        return x, y
    if not math.isfinite(x.min()) or not math.isfinite(x.max()):
        finite = np.isfinite(x).all(axis=(1, 2, 3))
        raise StrbenchError(
            f"Restored image {int(finite.argmin())} has values that are no numbers.", exit_code=DATA
        )
    low, high = float(y.min()), float(y.max())
    if not (low >= -_SLACK and high <= 1 + _SLACK):
        raise StrbenchError(
            f"The references must lie in [0, 1], found {low:g} to {high:g}.",
            hint="Divide 8-bit pixels by 255.",
            exit_code=DATA,
        )
    return x, y


def _mse(x: Images, y: Images) -> NDArray[np.float64]:
    out = np.empty(len(x))
    step = max(1, _PIXELS // (x.shape[1] * x.shape[2]))
    for start in range(0, len(x), step):
        part = slice(start, start + step)
        difference = np.subtract(x[part], y[part], dtype=np.float64)
        difference *= difference
        out[part] = difference.reshape(len(difference), -1).mean(axis=1)
    return out


def _bands(length: int) -> Iterator[tuple[slice, slice, NDArray[np.float64]]]:
    """The blur of an axis of ``length`` samples with zeros beyond its ends, as blocks of a matrix.

    Each block gives the samples of the first slice from those of the second; outside the blocks the
    matrix is zero.
    """
    offsets = np.arange(-RADIUS, RADIUS + 1)
    window = np.exp(-(offsets**2) / (2 * SIGMA**2))
    window /= window.sum()
    for start in range(0, length, _BAND):
        made = slice(start, min(start + _BAND, length))
        used = slice(max(0, start - RADIUS), min(made.stop + RADIUS, length))
        distance = np.arange(*made.indices(length)) - np.arange(*used.indices(length))[:, None]
        near = np.abs(distance) <= RADIUS
        yield made, used, np.where(near, window[np.clip(distance + RADIUS, 0, 2 * RADIUS)], 0.0)


def _ssim(x: Images, y: Images) -> NDArray[np.float64]:
    n, height, width, channels = x.shape
    step = max(1, _PIXELS // (height * width))
    across, down = list(_bands(width)), list(_bands(height))
    one = height * channels * width
    planes, scratch = np.empty(4 * step * one), np.empty(4 * step * one)
    out: NDArray[np.float64] = np.empty(n)
    for start in range(0, n, step):
        m = min(step, n - start)
        # (4, H, m, C, W): the height first and the width last, so that either blur is one product
        maps = planes[: 4 * m * one].reshape(4, height, m, channels, width)
        work = scratch[: 4 * m * one].reshape(4, height, m, channels, width)
        maps[0] = x[start : start + m].transpose(1, 0, 3, 2)
        maps[1] = y[start : start + m].transpose(1, 0, 3, 2)
        np.multiply(maps[0], maps[1], out=maps[2])
        np.multiply(maps[0], maps[0], out=maps[3])
        np.multiply(maps[1], maps[1], out=work[0])
        maps[3] += work[0]  # only the sum of the two variances is needed
        rows, blurred_rows = maps.reshape(-1, width), work.reshape(-1, width)
        for made, used, matrix in across:
            np.matmul(rows[:, used], matrix, out=blurred_rows[:, made])
        columns, blurred = work.reshape(4, height, -1), maps.reshape(4, height, -1)
        for made, used, matrix in down:
            np.matmul(matrix.T, columns[:, used], out=blurred[:, made])
        mean_x, mean_y, covariance, variances = maps
        product, squares, spare, _ = work
        np.multiply(mean_x, mean_y, out=product)
        np.multiply(mean_x, mean_x, out=squares)
        np.multiply(mean_y, mean_y, out=spare)
        squares += spare
        covariance -= product
        variances -= squares
        # (2 product + C1) (2 covariance + C2) / ((squares + C1) (variances + C2)), in place
        for values, factor, constant in (
            (product, 2.0, C1),
            (covariance, 2.0, C2),
            (squares, 1.0, C1),
            (variances, 1.0, C2),
        ):
            values *= factor
            values += constant
        product *= covariance
        squares *= variances
        product /= squares
        out[start : start + m] = product.sum(axis=(0, 2, 3))
    out /= one
    return out


def psnr_of(mse: NDArray[np.float64]) -> NDArray[np.float64]:
    """The PSNR in dB of mean squared errors of images whose range is 1; inf where the error is 0.

    >>> psnr_of(np.array([0.01, 0.0001, 0.0])).tolist()
    [20.0, 40.0, inf]
    """
    with np.errstate(divide="ignore"):
        return np.asarray(-10 * np.log10(mse), dtype=np.float64)


def image_psnr(restored: Images, reference: Images) -> NDArray[np.float64]:
    """The PSNR of every image in dB, of shape (N,); N is 1 for one image (H, W, 3).

    One mean squared error over the pixels and RGB of an image. Equal images give inf. It is the same
    whichever image is the reference.

    Raises:
        StrbenchError: shapes differ or are no images, a value is no number, or a reference leaves
            [0, 1] or is not float.

    >>> image_psnr(np.full((2, 8, 8, 3), 0.4), np.full((2, 8, 8, 3), 0.5)).round(6).tolist()
    [20.0, 20.0]
    """
    return psnr_of(_mse(*_pairs(restored, reference)))


def image_ssim(restored: Images, reference: Images) -> NDArray[np.float64]:
    """The SSIM of every image as TextZoom computes it, of shape (N,); at most 1, of equal images.

    Means, variances and covariance are weighed by an 11 x 11 Gaussian of sigma 1.5 around each pixel,
    with zeros beyond the border (not mirrored, not cropped); variances are biased; C1 and C2 are those
    of the range 1. The mean is over all pixels and RGB. Computed in float64. scikit-image's
    ``structural_similarity`` gives the same number for images with five pixels of zeros around them
    (gaussian_weights, sigma 1.5, use_sample_covariance=False, data_range 1); no setting of torchmetrics
    does.

    Raises:
        StrbenchError: as ``image_psnr``.

    >>> grey = np.full((32, 128, 3), 0.5)
    >>> image_ssim(grey, grey).tolist()
    [1.0]
    >>> image_ssim(grey + 0.1, grey).round(4).tolist()  # inside (0.6 + C1) / (0.61 + C1) = 0.9836
    [0.9786]

    Source: TextZoom, utils/ssim_psnr.py; Wang, Bovik, Sheikh, Simoncelli, "Image quality assessment",
    TIP 2004, equation 13.
    """
    return _ssim(*_pairs(restored, reference))


@dataclass(frozen=True, eq=False)
class PairScores:
    """The squared error and the SSIM of every pair, in the order of the images."""

    size: tuple[int, int]  # height and width, in pixels, of every image
    mse: NDArray[np.float64]  # (N,), over pixels and RGB, of the range 1
    ssim: NDArray[np.float64]  # (N,)

    @property
    def n(self) -> int:
        """How many pairs there are."""
        return len(self.mse)

    @property
    def n_equal(self) -> int:
        """How many pairs are equal to the last bit, so that their PSNR is inf."""
        return self.n - int(np.count_nonzero(self.mse))

    @property
    def psnr(self) -> NDArray[np.float64]:
        """The PSNR of every pair in dB."""
        return psnr_of(self.mse)


def score_pairs(restored: Images, reference: Images) -> PairScores:
    """The squared error and the SSIM of every pair of images of one shape.

    Raises:
        StrbenchError: as ``image_psnr``.

    >>> scores = score_pairs(np.full((2, 32, 128, 3), 0.4), np.full((2, 32, 128, 3), 0.5))
    >>> scores.n, scores.size, scores.mse.round(6).tolist(), scores.ssim.round(4).tolist()
    (2, (32, 128), [0.01, 0.01], [0.9685, 0.9685])
    """
    x, y = _pairs(restored, reference)
    return PairScores(size=(x.shape[1], x.shape[2]), mse=_mse(x, y), ssim=_ssim(x, y))


def join(parts: Sequence[PairScores]) -> PairScores:
    """The pairs of all parts, in their order.

    Raises:
        StrbenchError: there is no part, or the parts hold images of several sizes.
    """
    sizes = list(dict.fromkeys(part.size for part in parts))
    if len(sizes) != 1:
        raise StrbenchError(
            f"Expected pairs of one size (height, width), found {', '.join(map(str, sizes)) or 'none'}.",
            exit_code=DATA,
        )
    return PairScores(
        size=sizes[0],
        mse=np.concatenate([part.mse for part in parts]),
        ssim=np.concatenate([part.ssim for part in parts]),
    )


def _mean(values: NDArray[np.float64]) -> float:
    if not len(values):
        raise StrbenchError("No pair is scored, so there is no average.", exit_code=DATA)
    return math.fsum(values.tolist()) / len(values)


def psnr(scores: PairScores) -> float:
    """The mean over the pairs of their PSNR, in dB.

    It depends on no batch size. A pair of equal images makes it inf; ``scores.n_equal`` counts such
    pairs, which belong beside any mean that leaves them out.

    Raises:
        StrbenchError: no pair is scored.

    >>> white = np.ones((2, 32, 128, 3))
    >>> round(psnr(score_pairs(white * [[[[0.9]]], [[[0.99]]]], white)), 6)  # (20 + 40) / 2
    30.0
    """
    return _mean(scores.psnr)


def ssim(scores: PairScores) -> float:
    """The mean over the pairs of their SSIM.

    Equal to TextZoom's figure wherever its batches are of one size.

    Raises:
        StrbenchError: no pair is scored.

    >>> grey = np.full((2, 32, 128, 3), 0.5)
    >>> round(ssim(score_pairs(grey + [[[[0.1]]], [[[0.0]]]], grey)), 4)  # (0.9786 + 1) / 2
    0.9893
    """
    return _mean(scores.ssim)


def _pooled(values: NDArray[np.float64], pool: Pool) -> NDArray[np.float64]:
    """The mean of every batch, in order."""
    if pool != "subset" and (not isinstance(pool, int) or isinstance(pool, bool) or pool < 1):
        raise StrbenchError(
            f"The pool must be 'subset' or a batch size of 1 or more, found {pool!r}."
        )
    batch = max(1, len(values)) if pool == "subset" else pool
    parts = [values[start : start + batch] for start in range(0, len(values), batch)]
    return np.array([_mean(part) for part in parts])


def psnr_textzoom(scores: PairScores, *, pool: Pool) -> float:
    """PSNR in dB as TextZoom prints it: one squared error per batch, then the mean over batches.

    Args:
        pool: how many images share a squared error, taken in the given order; the last batch, which
            may be smaller, weighs as much as the others. ``1`` is the mean per image (``psnr``);
            ``"subset"`` takes one squared error over all. Papers rarely tell theirs, and TextZoom's
            own loader shuffles the test set.

    An equal pair alone in its batch makes the figure inf.

    Raises:
        StrbenchError: no pair is scored, or ``pool`` is neither.

    >>> white = np.ones((2, 32, 128, 3))
    >>> scores = score_pairs(white * [[[[0.9]]], [[[0.99]]]], white)
    >>> round(psnr_textzoom(scores, pool="subset"), 4)  # -10 log10((0.01 + 0.0001) / 2)
    22.9671

    Source: TextZoom, utils/ssim_psnr.py and the evaluation of interfaces/super_resolution.py.
    """
    return _mean(psnr_of(_pooled(scores.mse, pool)))


def ssim_textzoom(scores: PairScores, *, pool: Pool) -> float:
    """SSIM as TextZoom prints it: the mean of every batch, then the mean over batches.

    ``pool`` and errors are those of ``psnr_textzoom``. It differs from ``ssim`` only where the last
    batch is smaller.

    >>> scores = PairScores(size=(32, 128), mse=np.zeros(3), ssim=np.array([0.8, 0.6, 0.4]))
    >>> round(ssim_textzoom(scores, pool=2), 6), round(ssim_textzoom(scores, pool="subset"), 6)
    (0.55, 0.6)

    Source: as ``psnr_textzoom``.
    """
    return _mean(_pooled(scores.ssim, pool))
