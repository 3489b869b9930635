"""The views: same image and seed, same view; ranges, gates and orders as the papers have them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from strbench import augment, draws, warps
from strbench.baselines.parts import views
from strbench.baselines.parts.views import Stream
from strbench.methods import WordBatch

VIEWS = {"dig_strong": views.dig_strong, "abinet_cv": views.abinet_cv, "mild": views.mild}


def word_batch(count: int, *, seed: int = 0, noise: bool = True) -> WordBatch:
    """Colourful soft pictures; with noise they are as rough as a JPEG."""
    rng = np.random.default_rng(seed)
    pictures = []
    for _ in range(count):
        small = Image.fromarray(rng.integers(0, 256, (4, 12, 3)).astype(np.uint8))
        picture = np.asarray(small.resize((128, 32), Image.Resampling.BICUBIC)).astype(int)
        if noise:
            picture = picture + rng.integers(-9, 10, picture.shape)
        pictures.append(picture.clip(0, 255).astype(np.uint8))
    images = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).contiguous()
    aspect = torch.from_numpy(rng.uniform(0.8, 8, count)).float()
    seeds = torch.from_numpy(rng.integers(-(2**62), 2**62, count))
    return WordBatch(images, aspect, [""] * count, seeds)


def cut(batch: WordBatch, index: Tensor) -> WordBatch:
    labels = [batch.labels[i] for i in index.tolist()]
    return WordBatch(batch.images[index], batch.aspect[index], labels, batch.seeds[index])


@pytest.mark.parametrize("name", VIEWS)
def test_a_view_belongs_to_the_image_and_its_seed(name: str) -> None:
    view, batch = VIEWS[name], word_batch(77)
    whole = view(batch)
    for size in (1, 7):
        parts = torch.arange(77).split(size)
        alone = torch.cat([view(cut(batch, part)) for part in parts])
        assert torch.equal(alone, whole), f"batches of {size}"
    order = torch.randperm(77, generator=torch.Generator().manual_seed(1))
    assert torch.equal(view(cut(batch, order)), whole[order])
    assert torch.equal(view(batch), whole)


@pytest.mark.parametrize("name", VIEWS)
def test_threads_do_not_change_a_view(name: str) -> None:
    view, batch = VIEWS[name], word_batch(24, seed=5)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = view(batch)
        torch.set_num_threads(3)
        assert torch.equal(view(batch), one)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("name", VIEWS)
def test_other_seeds_and_draws_give_other_views(name: str) -> None:
    view, batch = VIEWS[name], word_batch(60)
    first = view(batch)
    for other in (view(batch._replace(seeds=batch.seeds + 1)), view(batch, draw=1)):
        same = (other == first).flatten(1).all(1).double().mean()
        assert same < 0.25  # abinet_cv leaves 28 % of the images alone, so 8 % twice


@pytest.mark.parametrize("name", VIEWS)
def test_range_type_and_input_untouched(name: str) -> None:
    batch = word_batch(150, seed=2)
    before = batch.images.clone()
    out = VIEWS[name](batch)
    assert out.shape == (150, 3, 32, 128)
    assert out.dtype == torch.float32
    assert not out.requires_grad
    assert out.isfinite().all()
    assert out.min() >= 0
    assert out.max() <= 1
    assert torch.equal(batch.images, before)


@pytest.mark.parametrize("name", VIEWS)
@pytest.mark.parametrize("aspect", [0.1, 30.0])
@pytest.mark.parametrize("shade", [None, 0, 255])
def test_extreme_crops(name: str, aspect: float, shade: int | None) -> None:
    batch = word_batch(64, seed=3)
    images = batch.images if shade is None else torch.full_like(batch.images, shade)
    batch = WordBatch(images, torch.full((64,), aspect), batch.labels, batch.seeds)
    out = VIEWS[name](batch)
    assert out.isfinite().all()
    assert out.min() >= 0
    assert out.max() <= 1
    assert VIEWS[name](cut(batch, torch.tensor([0]))).shape == (1, 3, 32, 128)


@pytest.mark.parametrize("name", VIEWS)
def test_another_input_size_and_an_empty_batch(name: str) -> None:
    batch = word_batch(12)
    small = batch._replace(images=batch.images[:, :, ::2, ::3].contiguous())
    assert VIEWS[name](small).shape == (12, 3, 16, 43)
    assert VIEWS[name](cut(batch, torch.arange(0))).shape == (0, 3, 32, 128)


@pytest.mark.parametrize("name", VIEWS)
def test_autocast_changes_nothing(name: str) -> None:
    batch = word_batch(40, seed=4)
    expected = VIEWS[name](batch)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = VIEWS[name](batch)
    assert torch.equal(out, expected)


def test_plain() -> None:
    batch = word_batch(3)
    out = views.plain(batch)
    assert torch.equal(out, batch.images.float() / 255)


def test_abinet_gates() -> None:
    batch = word_batch(1500, seed=6)
    unchanged = (views.abinet_cv(batch) == views.plain(batch)).flatten(1).all(1)
    # 0.5 without geometry, 0.75 without deterioration (its noise always shows), 0.75 without jitter
    assert unchanged.double().mean().item() == pytest.approx(0.5 * 0.75 * 0.75, abs=0.045)


def test_dig_gray_gate() -> None:
    batch = word_batch(1200, seed=7)
    red, green, blue = views.dig_strong(batch).unbind(1)
    is_gray = ((red == green) & (green == blue)).flatten(1).all(1)
    assert is_gray.double().mean().item() == pytest.approx(0.2, abs=0.045)


def only(monkeypatch: pytest.MonkeyPatch, turns: dict[int, int], count: int) -> None:
    """DiG's operations at these turns and no others; no colour jitter, no gray."""
    fixed = torch.full((count, 10), -1)
    for operation, turn in turns.items():
        fixed[:, operation] = turn
    monkeypatch.setattr(views.draws, "random_turns", lambda seeds, n, *_: fixed[:, :n])
    monkeypatch.setattr(
        views.draws, "chance", lambda seeds, *_: torch.zeros(len(seeds), dtype=torch.bool)
    )


def test_dig_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = word_batch(400, seed=8, noise=False)
    plain = views.plain(batch)

    def fit(out: Tensor) -> Tensor:
        """Least-squares factor of out - c on plain - c about middle gray, one an image."""
        x, y = (plain - 127 / 255).flatten(1), (out - 127 / 255).flatten(1)
        return (x * y).sum(1) / (x * x).sum(1)

    only(monkeypatch, {0: 0}, 400)
    alpha = fit(views.dig_strong(batch))
    assert 0.5 <= alpha.min() < 0.52
    assert 0.98 < alpha.max() <= 1.0
    assert alpha.mean().item() == pytest.approx(0.75, abs=0.03)
    only(monkeypatch, {3: 1}, 400)
    flipped = (views.dig_strong(batch) - (1 - plain)).abs() < 1e-6
    low, high = plain < 32 / 255, plain >= 128 / 255
    above = (flipped & high).flatten(1).any(1)  # inverted above the threshold
    assert above.double().mean().item() == pytest.approx(0.5, abs=0.1)
    assert flipped[above][high[above]].all()
    assert flipped[~above][low[~above]].all()
    only(monkeypatch, {5: 0}, 400)  # crop of rows: columns stay where they are
    ramp = torch.linspace(0, 255, 32).round().to(torch.uint8)[:, None].expand(400, 3, 32, 128)
    rows = views.dig_strong(batch._replace(images=ramp))[:, 0, :, 0] * 32
    assert 0 < rows[:, 0].mean() < rows[:, 0].max() < 0.3 * 32 + 0.5
    assert rows[:, 0].mean().item() == pytest.approx(0.15 * 32 + 0.2, abs=0.6)
    assert 0.7 * 32 - 0.5 < rows[:, -1].min() < 0.75 * 32
    only(monkeypatch, {6: 0}, 400)
    ramp = torch.linspace(0, 255, 128).round().to(torch.uint8).expand(400, 3, 32, 128)
    columns = views.dig_strong(batch._replace(images=ramp))[:, 0, 0] * 128
    assert 0.085 * 128 < columns[:, 0].max() < 0.1 * 128 + 0.6
    assert 0.9 * 128 - 0.6 < columns[:, -1].min() < 0.915 * 128


def test_dig_rotation_and_its_black_corners(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = word_batch(40, seed=9, noise=False)
    only(monkeypatch, {7: 0}, 40)
    out = views.dig_strong(batch)
    angle = draws.uniform(draws.derive(batch.seeds, 0), -10, 10, Stream.ROTATE)
    grid = warps.sampling_grid(warps.rotation(angle, batch.aspect), 32, 128)
    assert torch.equal(out, warps.warp(views.plain(batch), grid, black_outside=True))
    assert (out == 0).any()


def test_dig_keeps_the_order_of_operations(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = word_batch(8, seed=10)
    seeds = draws.derive(batch.seeds, 0)
    angle = draws.uniform(seeds, -10, 10, Stream.ROTATE)
    rows = draws.uniforms(seeds, 2, Stream.CROP_ROWS) * 0.3
    none = torch.zeros(8)
    rotate = warps.rotation(angle, batch.aspect)
    crop = warps.cropping(none, rows[:, 0], none, rows[:, 1])
    alpha = draws.uniform(seeds, 0.5, 1.0, Stream.CONTRAST)
    plain = views.plain(batch)

    def warped(images: Tensor, *matrices: Tensor) -> Tensor:
        grid = warps.sampling_grid(warps.compose(*matrices), 32, 128)
        return warps.warp(images, grid, black_outside=True)

    only(monkeypatch, {0: 0, 7: 1, 5: 2}, 8)
    expected = warped(augment.linear_contrast(plain, alpha), rotate, crop)
    assert torch.equal(views.dig_strong(batch), expected)
    only(monkeypatch, {5: 0, 7: 1, 0: 2}, 8)
    expected = augment.linear_contrast(warped(plain, crop, rotate), alpha)
    assert torch.equal(views.dig_strong(batch), expected)


def test_dig_bend_sits_between_its_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Crop then bend gives a bent crop: nothing the crop had cut comes back."""
    batch = word_batch(30, seed=11)
    ramp = torch.linspace(0, 255, 32).round().to(torch.uint8)[:, None].expand(30, 3, 32, 128)
    batch = batch._replace(images=ramp)
    rows = draws.uniforms(draws.derive(batch.seeds, 0), 2, Stream.CROP_ROWS) * 0.3
    only(monkeypatch, {5: 0, 8: 1}, 30)
    out = views.dig_strong(batch)
    assert (out[:, 0].amin((1, 2)) * 31 > rows[:, 0] * 32 - 0.51).all()
    assert (out[:, 0].amax((1, 2)) * 31 < (1 - rows[:, 1]) * 32 - 0.49).all()
    only(monkeypatch, {8: 0}, 30)
    bent = views.dig_strong(batch) * 31 - torch.arange(32.0)[:, None]
    # standard deviation 0.03 to 0.04 of the height at inner lattice points, less between them
    assert 0.3 < bent[:, 0, 8:24].std() < 1.3


@pytest.mark.slow
def test_real_words_stay_words(shared: Path) -> None:
    """On real crops the weak view keeps most of an image's own structure, the strong one less."""
    folder = shared / "real" / "recognition" / "ic15_word_train" / "TrainingSet"
    pictures, aspects = [], []
    for path in sorted(folder.glob("*.png"))[:200]:
        with Image.open(path) as image:
            aspects.append(image.width / image.height)
            pictures.append(np.asarray(image.convert("RGB").resize((128, 32), 3)))
    images = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).contiguous()
    batch = WordBatch(images, torch.tensor(aspects), [""] * 200, torch.arange(200))

    def likeness(out: Tensor) -> float:
        a, b = (augment.gray(x).flatten(1) for x in (views.plain(batch), out))
        a, b = a - a.mean(1, keepdim=True), b - b.mean(1, keepdim=True)
        return ((a * b).sum(1) / (a.norm(dim=1) * b.norm(dim=1) + 1e-9)).abs().median().item()

    weak, strong = likeness(views.mild(batch)), likeness(views.dig_strong(batch))
    assert weak > 0.7
    assert 0.15 < strong < weak


@pytest.mark.gpu
@pytest.mark.parametrize("name", VIEWS)
def test_on_a_gpu(name: str) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    view, batch = VIEWS[name], word_batch(77)
    moved = WordBatch(batch.images.cuda(), batch.aspect.cuda(), batch.labels, batch.seeds.cuda())
    whole = view(moved)
    assert whole.is_cuda
    parts = [view(cut(moved, part)) for part in torch.arange(77, device="cuda").split(7)]
    assert torch.equal(torch.cat(parts), whole)
    # the same view on either device, apart from rounding at the edges of solarize and black corners
    assert ((whole.cpu() - view(batch)).abs() > 1e-3).double().mean() < 1e-3
