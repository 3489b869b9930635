"""SSIM of 2,000 pairs of 32 x 128 pixels, beside scikit-image's over the same pairs, one by one.

    OMP_NUM_THREADS=1 python benchmarks/speed/ssim.py [--n 2000] [--rounds 2]

strbench.metrics.restoration.image_ssim takes all pairs at once, in float64. scikit-image's
structural_similarity takes a pair at a time, with the settings that give the same number: a Gaussian of
sigma 1.5, biased variances and five pixels of zeros around either image; once on the float32 images as
they are and once in float64. The largest difference is printed, and must be below 1e-5 (1e-9 in float64).
Needs scikit-image. Times are those of one core where OMP_NUM_THREADS is 1. Target: 5 times as fast.
"""

from __future__ import annotations

import argparse

import numpy as np
from numpy.typing import NDArray
from skimage.metrics import structural_similarity
from timing import interleaved, show

from strbench.metrics.restoration import image_ssim

TARGET = 5.0  # times as fast
BORDER = ((5, 5), (5, 5), (0, 0))

Images = NDArray[np.float32] | NDArray[np.float64]


def pairs(n: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Smooth images of uniform noise summed along the rows, and the same with noise on them."""
    draw = np.random.default_rng(0)
    reference = draw.random((n, 32, 128, 3), np.float32)
    reference = (reference + np.roll(reference, 1, 2) + np.roll(reference, 2, 2)) / np.float32(3)
    noise = draw.standard_normal(reference.shape, np.float32)
    return np.clip(reference + 0.1 * noise, 0, 1), reference


def one_by_one(restored: Images, reference: Images) -> NDArray[np.float64]:
    """scikit-image's SSIM of every pair with zeros around it."""
    return np.array(
        [
            structural_similarity(  # type: ignore[no-untyped-call]
                np.pad(x, BORDER),
                np.pad(y, BORDER),
                gaussian_weights=True,
                sigma=1.5,
                use_sample_covariance=False,
                data_range=1,
                channel_axis=-1,
            )
            for x, y in zip(restored, reference, strict=True)
        ],
        np.float64,
    )


def main() -> None:
    """Print the rates, their ratios and the largest differences."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--n", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    restored, reference = pairs(options.n)
    double, double_reference = restored.astype(np.float64), reference.astype(np.float64)
    ours = image_ssim(restored, reference)
    difference = np.abs(ours - one_by_one(restored, reference)).max()
    difference64 = np.abs(ours - one_by_one(double, double_reference)).max()
    if difference > 1e-5 or difference64 > 1e-9:
        raise SystemExit(f"figures differ by {difference:.1e}, in float64 by {difference64:.1e}")
    seconds = interleaved(
        {
            "strbench": lambda: image_ssim(restored, reference),
            "scikit-image float32": lambda: one_by_one(restored, reference),
            "scikit-image float64": lambda: one_by_one(double, double_reference),
        },
        rounds=options.rounds,
    )
    print(f"{options.n:,} pairs of 32 x 128, mean SSIM {ours.mean():.6f}")
    show(seconds, items=options.n, unit="pairs")
    print(f"largest difference {difference:.1e}, from scikit-image in float64 {difference64:.1e}")
    ratio = min(map(min, list(seconds.values())[1:])) / min(seconds["strbench"])
    print(f"target x {TARGET:g}: {'met' if ratio >= TARGET else 'MISSED'} with x {ratio:.2f}")


if __name__ == "__main__":
    main()
