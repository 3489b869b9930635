"""Intervals and paired tests over images."""

from __future__ import annotations

import numpy as np
import pytest

from strbench.errors import StrbenchError
from strbench.image_bootstrap import intervals, paired_difference, resampled_sums
from strbench.metrics.detection import Outcome
from strbench.stats import wilson_interval


def outcome(
    precise: list[float], founds: list[float], recalled: list[float], truths: list[float]
) -> Outcome:
    none = np.zeros(0)
    return Outcome(
        recalled=np.array(recalled, float),
        precise=np.array(precise, float),
        truths=np.array(truths, float),
        founds=np.array(founds, float),
        truth=none.astype(np.int8),
        found=none.astype(np.int8),
        partner=none.astype(np.int64),
    )


def drawn(seed: int, images: int, skill: float) -> Outcome:
    rng = np.random.default_rng(seed)
    truths = rng.integers(0, 9, images)
    hits = rng.binomial(truths, skill)
    founds = hits + rng.poisson(1, images)
    return outcome(hits.tolist(), founds.tolist(), hits.tolist(), truths.tolist())


def test_an_interval_holds_the_figure_and_narrows_with_images() -> None:
    widths = []
    for images in (50, 800):
        one = drawn(0, images, 0.7)
        found = intervals(one)
        for (low, high), value in zip(found, (one.precision, one.recall, one.hmean), strict=True):
            assert low < value < high
        widths.append(found.hmean.high - found.hmean.low)
    assert widths[1] == pytest.approx(widths[0] / 4, rel=0.3)  # the square root of sixteen


def test_a_plain_loop_over_resamples_agrees() -> None:
    one = drawn(3, 60, 0.6)
    rng = np.random.default_rng(5)
    values = []
    for _ in range(4000):
        pick = rng.integers(0, 60, 60)
        p = one.precise[pick].sum() / one.founds[pick].sum()
        r = one.recalled[pick].sum() / one.truths[pick].sum()
        values.append(2 * p * r / (p + r))
    low, high = np.quantile(values, [0.025, 0.975])
    found = intervals(one).hmean
    assert found.low == pytest.approx(low, abs=0.006)
    assert found.high == pytest.approx(high, abs=0.006)


def test_the_same_seed_gives_the_same_and_images_may_change_places() -> None:
    one = drawn(1, 40, 0.5)
    order = np.random.default_rng(0).permutation(40)
    moved = outcome(
        *(getattr(one, n)[order].tolist() for n in ("precise", "founds", "recalled", "truths"))
    )
    assert intervals(one) == intervals(moved) == intervals(one, seed=0)
    assert intervals(one) != intervals(one, seed=1)


def test_a_difference_on_the_same_images() -> None:
    weak, strong = drawn(2, 200, 0.6), drawn(2, 200, 0.9)
    found = paired_difference(strong, weak)
    assert found.value == strong.hmean - weak.hmean > 0
    assert found.interval.low > 0
    assert found.p < 0.001
    back = paired_difference(weak, strong)
    assert back.value == -found.value
    assert back.interval == pytest.approx((-found.interval.high, -found.interval.low), abs=0.002)
    none = paired_difference(weak, weak)
    assert (none.value, *none.interval, none.p) == (0, 0, 0, 1)


def test_nothing_found_and_nothing_there() -> None:
    empty = outcome([0, 0], [0, 0], [0, 0], [0, 3])
    found = intervals(empty)
    assert found.precision is None  # nothing was found: 0 of 0
    assert found.recall == found.hmean == wilson_interval(0, 1)  # one image has regions
    assert paired_difference(empty, empty).p == 1
    nothing = intervals(outcome([0, 0], [2, 1], [0, 0], [0, 0]))
    assert (nothing.recall, nothing.hmean) == (None, None)
    assert nothing.precision == wilson_interval(0, 2)


def test_figures_that_all_images_agree_on_have_a_width() -> None:
    perfect = intervals(outcome([3] * 10, [3] * 10, [3] * 10, [3] * 10))
    assert perfect == (wilson_interval(10, 10),) * 3
    blind = intervals(outcome([0] * 10, [3] * 10, [0] * 10, [3] * 10))
    assert blind == (wilson_interval(0, 10),) * 3


def test_one_image_says_nothing_of_others() -> None:
    half = outcome([1], [1], [1], [2])
    assert intervals(half) == (None, None, None)
    with pytest.raises(StrbenchError, match="two or more"):
        paired_difference(half, outcome([2], [2], [2], [2]))


def test_few_images_give_no_small_p() -> None:
    for n in (2, 5, 9):
        found = paired_difference(
            outcome([2] * n, [2] * n, [2] * n, [2] * n), outcome([1] * n, [1] * n, [1] * n, [2] * n)
        )
        assert found.value == pytest.approx(1 / 3)
        assert found.p == 2.0 ** (1 - n)


def test_without_images_or_with_others() -> None:
    with pytest.raises(StrbenchError, match="needs an image"):
        intervals(outcome([], [], [], []))
    with pytest.raises(StrbenchError, match="40 and 41"):
        paired_difference(drawn(0, 40, 0.5), drawn(0, 41, 0.5))


@pytest.mark.parametrize("values", [2, 1000], ids=["rows alike", "rows all different"])
def test_sums_of_resamples_have_the_mean_and_spread_of_drawing_with_replacement(
    values: int,
) -> None:
    rows = np.random.default_rng(1).integers(0, values, (200, 3)).astype(np.float64) + 0.25
    sums = resampled_sums(rows, 0, 8000)
    assert sums.shape == (8000, 3)
    # each is a sum of 200 independent draws
    spread = np.sqrt(200) * rows.std(0)
    assert np.abs(sums.mean(0) - rows.sum(0)).max() < 5 * spread.max() / np.sqrt(8000)
    assert sums.std(0) == pytest.approx(spread, rel=0.05)
    # whole rows are drawn: the columns of a resample go together
    assert np.corrcoef(sums.T) == pytest.approx(np.corrcoef(rows.T), abs=0.06)
    assert np.array_equal(sums, resampled_sums(rows, 0, 8000))
