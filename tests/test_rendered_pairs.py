"""Rendered pairs: the low resolution is the stated degradation of the high one."""

from __future__ import annotations

import hashlib
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from strbench import rendered
from strbench.errors import StrbenchError
from strbench.loading import decode
from strbench.rendered import Pair, PairConfig, pairs
from strbench.rendered.pairs import LEVELS, Level, degraded
from strbench.rendered.wordlist import Draws, side_of

# sha256 over pixels and label of pairs 0 to 11, seed 0. A change here changes every score on them:
# note it under "Scores" in the changelog.
PINS = {
    "rendered_pairs/train": "83153e748c732cc8",
    "rendered_pairs_easy/test": "b6fd095ac77a6d7b",
    "rendered_pairs_medium/test": "fb23940bbe427255",
    "rendered_pairs_hard/test": "c0b282f5304c2d1e",
}
# Of the first 6 samples of rendered_pairs_easy/test, as a manifest has it.
PINNED_FINGERPRINT = "b03a78c4034c09598cd640a7b18b49f85c27d708ca44ee74cbeb5197d9e8c862"


def drawn(name: str, index: int) -> Pair:
    found = rendered.draw(name, index)
    assert isinstance(found, Pair)
    return found


def noiseless(blur: int, shift: int = 0, contrast: int = 128) -> Level:
    return Level((blur, blur), shift, (contrast, contrast), (0, 0))


@pytest.mark.parametrize("name", sorted(PINS))
def test_pairs_are_those_of_every_other_machine(name: str) -> None:
    total = hashlib.sha256()
    for index in range(12):
        high, low, label = drawn(name, index)
        total.update(f"{high.shape}{label}".encode() + high.tobytes() + low.tobytes())
    assert total.hexdigest()[:16] == PINS[name]


@pytest.mark.parametrize("name", sorted(PINS))
def test_pairs_have_the_promised_form(name: str) -> None:
    for index in range(20):
        high, low, label = drawn(name, index)
        assert high.dtype == low.dtype == np.uint8
        assert high.shape == (2 * low.shape[0], 2 * low.shape[1], 3)
        assert 20 <= high.shape[0] <= 64
        assert high.shape[1] <= 512
        assert side_of(label) == rendered.rendered_split(name).side
    heights = [drawn(name, i).high.shape[0] for i in range(20)]
    assert np.median(heights) >= 40


def reference(high: np.ndarray, blur: float, right: float, down: float) -> np.ndarray:
    """The Gaussian and the mean of 2 x 2 in float64, from the definition; (H / 2, W / 2, 3)."""
    reach = 20
    wide = np.pad(high.astype(float), ((reach, reach), (reach, reach), (0, 0)), "edge")
    i = np.arange(-reach, reach + 1)
    across, along = (np.exp(-((i - s) ** 2) / (2 * blur**2)) for s in (right, down))
    wide = np.apply_along_axis(np.convolve, 0, wide, (along / along.sum())[::-1], "valid")
    wide = np.apply_along_axis(np.convolve, 1, wide, (across / across.sum())[::-1], "valid")
    half: np.ndarray = (wide[::2, ::2] + wide[1::2, ::2] + wide[::2, 1::2] + wide[1::2, 1::2]) / 4
    return half


@pytest.mark.parametrize(("blur", "shift"), [(8, 0), (16, 6), (36, 14), (54, 24)])
def test_the_low_resolution_is_blur_and_mean(blur: int, shift: int) -> None:
    high = drawn("rendered_pairs_easy/test", 3).high
    low = degraded(Draws(0, "blur", 0), high, noiseless(blur, shift))
    again = Draws(0, "blur", 0)
    again.integer(blur, blur)
    right, down = (again.integer(-shift, shift) / 16 for _ in range(2))
    # weights of 1/1024 are off by up to a half each, at up to 2 * 11 + 1 taps an axis
    assert np.abs(low - reference(high, blur / 16, right, down)).max() <= 2.5


def test_contrast_and_noise_are_within_their_bounds() -> None:
    """A plain 200 stays: blur keeps it; at 96/128 of the contrast it is 128 + 72 * 0.75 = 182."""
    flat = np.full((40, 60, 3), 200, np.uint8)
    draws = Draws(0, "flat", 0)
    assert (degraded(draws, flat, noiseless(40, 16)) == 200).all()
    assert (degraded(draws, flat, noiseless(40, 16, 96)) == 182).all()
    noisy = degraded(draws, flat, Level((40, 40), 0, (128, 128), (12, 12))).astype(int)
    assert 8 <= np.abs(noisy - 200).max() <= 12
    assert abs(noisy.mean() - 200) < 1


def test_a_shift_moves_the_picture_by_what_it_says() -> None:
    """An edge between columns 31 and 32 that is sampled 1.5 pixels to the right comes 1.5 earlier."""
    high = np.zeros((8, 64, 3), np.uint8)
    high[:, 32:] = 255
    for right in (-24, 0, 24):
        weights = pairs._filter(16, right)
        wide = high.transpose(2, 0, 1).astype(np.int32)
        low = pairs._halved(wide, 16, right, axis=2)[0, 0] / (255 * sum(weights))
        assert 64 - 2 * low.sum() == pytest.approx(32 - right / 16, abs=0.05)


def test_the_filters_of_all_levels_are_the_same_on_every_machine() -> None:
    """Their weights sum to 2048, and none is so near to a half that a last bit could round it away."""
    closest = 1.0
    for level in LEVELS.values():
        for blur in range(level.blur[0], level.blur[1] + 1):
            for shift in range(level.shift + 1):
                assert sum(pairs._filter(blur, shift)) == 2048
                reach = -(-(3 * blur + shift) // 16)
                heights = [
                    math.exp(-((16 * i - shift) ** 2) / (2 * blur * blur))
                    for i in range(-reach, reach + 1)
                ]
                for height in heights:
                    part = 1024 * height / sum(heights)
                    closest = min(closest, abs(part - math.floor(part) - 0.5))
    assert closest > 1e-6


def psnr(pair: Pair) -> float:
    """Of the low resolution enlarged to the high one's size by Pillow's bicubic, in dB."""
    size = pair.high.shape[1], pair.high.shape[0]
    enlarged = np.asarray(Image.fromarray(pair.low).resize(size, Image.Resampling.BICUBIC))
    return 10 * math.log10(255**2 / ((enlarged - pair.high.astype(float)) ** 2).mean())


def test_harder_levels_lose_more() -> None:
    means = [
        float(np.mean([psnr(drawn(f"rendered_pairs_{level}/test", i)) for i in range(60)]))
        for level in LEVELS
    ]
    easy, medium, hard = means
    assert 22 < easy < 28
    assert 18 < medium < easy - 2
    assert 16 < hard < medium - 0.7


def test_training_pairs_are_of_all_levels() -> None:
    """The level drawn last before the degradation decides alone how a mixed pair is degraded."""
    mixed = [psnr(drawn("rendered_pairs/train", i)) for i in range(90)]
    assert np.std(mixed) > 3
    config = PairConfig()
    same = [
        rendered.draw("rendered_pairs/train", i, config=replace(config, level="easy"))
        for i in range(4)
    ]
    for i, found in enumerate(same):
        assert isinstance(found, Pair)
        assert np.array_equal(found.high, drawn("rendered_pairs/train", i).high)


def test_a_prepared_split_is_complete_and_pinned(tmp_path: Path) -> None:
    split = rendered.prepare("rendered_pairs_easy/test", tmp_path, n=6)
    assert split.fingerprint == PINNED_FINGERPRINT
    manifest = split.manifest
    assert (manifest.task, manifest.labels) == ("super-resolution", "rendered")
    assert manifest.sources[0]["config"] == {"level": "easy"}
    assert any("easy: s 0.5 to 1.375, d 0.375, c 0.88 to 1.03" in note for note in manifest.notes)
    for i, sample in enumerate(split.samples()):
        found = drawn("rendered_pairs_easy/test", i)
        assert sample.label == found.label
        assert sample.low is not None
        assert np.array_equal(decode(sample.image), found.high)
        assert np.array_equal(decode(sample.low), found.low)


def test_levels_have_names() -> None:
    with pytest.raises(StrbenchError, match="near names: easy"):
        PairConfig(level="eazy")  # type: ignore[arg-type]
