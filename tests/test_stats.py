"""Intervals, tests and ties against brute force."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from strbench.errors import StrbenchError
from strbench.stats import (
    Interval,
    bootstrap_interval,
    holm,
    mcnemar,
    paired_difference,
    plain_average,
    tie_groups,
    weighted_average,
    wilson_interval,
)


def brute_force(values: NDArray[np.float64], groups: list[int] | None, n: int) -> Interval:
    """Percentiles over resamples drawn index by index."""
    rng = np.random.default_rng(123)
    clusters: list[NDArray[np.float64]] = [values[i : i + 1] for i in range(len(values))]
    if groups is not None:
        clusters = [values[np.array(groups) == g] for g in sorted(set(groups))]
    means = []
    for _ in range(n):
        drawn = [clusters[i] for i in rng.integers(0, len(clusters), len(clusters))]
        means.append(np.concatenate(drawn).mean())
    return Interval(*np.quantile(means, [0.025, 0.975]))


def close(found: Interval, expected: Interval, tolerance: float) -> bool:
    return all(abs(a - b) < tolerance for a, b in zip(found, expected, strict=True))


rng = np.random.default_rng(0)
RIGHT = (rng.random(300) < 0.8).astype(float)
NED = 1 - np.where(rng.random(300) < 0.7, 0, rng.integers(1, 8, 300)) / rng.integers(8, 12, 300)
PHOTOS = np.sort(rng.integers(0, 40, 300)).tolist()


@pytest.mark.parametrize("values", [RIGHT, NED], ids=["binary", "1-ned"])
@pytest.mark.parametrize("groups", [None, PHOTOS], ids=["independent", "clustered"])
def test_bootstrap_is_the_brute_force_one(
    values: NDArray[np.float64], groups: list[int] | None
) -> None:
    expected = brute_force(values, groups, 4000)
    # The tolerance is a tenth of the width: about four standard errors of 4000 resamples' ends.
    width = expected.high - expected.low
    assert close(bootstrap_interval(values, groups), expected, 0.1 * width)


def test_binary_bootstrap_is_exactly_binomial() -> None:
    # Every resample of 4 samples, 3 of them right, enumerated.
    shares = sorted(sum(draw) / 4 for draw in itertools.product([0, 1, 1, 1], repeat=4))
    low, high = bootstrap_interval([0, 1, 1, 1], n=200_000)
    assert (low, high) == tuple(np.quantile(shares, [0.025, 0.975]))


def test_clusters_widen_the_interval() -> None:
    words = np.repeat(RIGHT, 10)
    alone = bootstrap_interval(words)
    together = bootstrap_interval(words, groups=np.repeat(np.arange(300), 10).tolist())
    assert together.high - together.low > 2.5 * (alone.high - alone.low)  # sqrt(10) in theory


def test_samples_without_a_group_are_their_own() -> None:
    nobody = bootstrap_interval(NED, groups=[None] * 300)
    assert nobody == pytest.approx(bootstrap_interval(NED, groups=list(range(300))))


@given(st.permutations(range(40)), st.integers(0, 5))
@settings(max_examples=30, deadline=None)
def test_order_does_not_matter_and_the_seed_decides(order: list[int], seed: int) -> None:
    values, groups = NED[:40], PHOTOS[:40]
    shuffled, names = values[order], [groups[i] for i in order]
    assert bootstrap_interval(shuffled, seed=seed, n=100) == bootstrap_interval(
        values, seed=seed, n=100
    )
    assert bootstrap_interval(shuffled, names, seed, 100) == bootstrap_interval(
        values, groups, seed, 100
    )
    assert bootstrap_interval(values, seed=seed, n=100) != bootstrap_interval(
        values, seed=seed + 1, n=100
    )


def test_extremes() -> None:
    assert bootstrap_interval([1] * 50) == (1.0, 1.0)
    for bad, message in (([], "found an array of shape"), ([0.1, math.nan], "sample 1 is not")):
        with pytest.raises(StrbenchError, match=message):
            bootstrap_interval(bad)
    with pytest.raises(StrbenchError, match="one group per sample"):
        bootstrap_interval([1, 0], groups=["a"])


@settings(deadline=None)
@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_solves_its_equation(counts: tuple[int, int]) -> None:
    correct, n = counts
    low, high = wilson_interval(correct, n)
    assert 0 <= low <= correct / n <= high <= 1
    assert low < high
    z = 1.959963984540054
    for end in (low, high):
        if 0 < end < 1:  # the ends are where the score test is just significant
            assert abs(correct / n - end) == pytest.approx(
                z * math.sqrt(end * (1 - end) / n), abs=1e-12
            )
    mirrored = wilson_interval(n - correct, n)
    assert mirrored == pytest.approx((1 - high, 1 - low), abs=1e-12)


def exact_p(b: int, c: int) -> float:
    tail = sum(Fraction(math.comb(b + c, i)) for i in range(min(b, c) + 1)) / 2 ** (b + c)
    return float(min(Fraction(1), 2 * tail))


@settings(deadline=None)
@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_is_exact(b: int, c: int) -> None:
    first = [1] * b + [0] * c + [1, 0]
    second = [0] * b + [1] * c + [1, 0]
    assert mcnemar(first, second) == (b, c, exact_p(b, c))


@pytest.mark.parametrize(("b", "c"), [(520, 560), (900, 1100), (1500, 1500), (5, 1400)])
def test_mcnemar_of_many_disagreements(b: int, c: int) -> None:
    first, second = np.r_[np.ones(b), np.zeros(c)], np.r_[np.zeros(b), np.ones(c)]
    assert mcnemar(first, second).p == pytest.approx(exact_p(b, c), rel=1e-9)


def test_paired_tests_need_the_same_samples() -> None:
    with pytest.raises(StrbenchError, match="the same samples"):
        mcnemar([1, 0], [1])
    with pytest.raises(StrbenchError, match="the same samples"):
        paired_difference([1, 0], [1])
    with pytest.raises(StrbenchError, match="the same samples"):
        paired_difference({"a": [1]}, {"b": [1]})


def test_paired_difference() -> None:
    better = np.maximum(RIGHT, rng.random(300) < 0.4)
    found = paired_difference(better, RIGHT)
    assert found.value == pytest.approx((better - RIGHT).mean())
    expected = brute_force(better - RIGHT, None, 4000)
    assert close(Interval(found.low, found.high), expected, 0.006)
    assert found.p == pytest.approx(2 / 10_001)
    other = paired_difference(RIGHT, better)
    assert (other.value, other.p) == (-found.value, found.p)
    same = paired_difference(RIGHT, RIGHT)
    assert same == (0.0, 0.0, 0.0, 1.0)
    # Pairing matters: the same two scores on unrelated samples would overlap.
    assert found.high - found.low < sum(
        high - low for low, high in map(bootstrap_interval, (better, RIGHT))
    )


def test_few_samples_give_no_small_p() -> None:
    found = paired_difference([3.0, 2.0, 4.0, 1.0], [1.0, 1.0, 2.0, 1.0])
    assert found.p == 2.0 ** (1 - 3)  # three of them differ
    # of one photograph, whose words are no independent witnesses
    assert paired_difference([1] * 30, [0] * 30, ["a"] * 30).p == 1
    with pytest.raises(StrbenchError, match="two samples or more"):
        paired_difference([1], [0])


def test_averages() -> None:
    sets = {"svt": RIGHT[:200], "cute80": RIGHT[200:240], "iiit5k": RIGHT[240:]}
    weighted, plain = weighted_average(sets), plain_average(sets)
    assert (weighted.kind, plain.kind) == ("weighted", "plain")
    assert weighted.n == plain.n == 300
    assert weighted.value == RIGHT.sum() / 300
    assert plain.value == pytest.approx(np.mean([v.mean() for v in sets.values()]))
    assert weighted.low < weighted.value < weighted.high
    backwards = dict(reversed(sets.items()))
    assert plain_average(backwards) == plain
    # Independent sets: the variance of the plain average is the mean variance over their number.
    variance = sum(v.var() / len(v) for v in sets.values()) / 9
    assert (plain.high - plain.low) / 3.92 == pytest.approx(math.sqrt(variance), rel=0.1)
    grouped = weighted_average({"ic15": NED}, {"ic15": PHOTOS})
    assert (grouped.low, grouped.high) == pytest.approx(bootstrap_interval(NED, PHOTOS), abs=0.004)
    with pytest.raises(StrbenchError, match="one dataset or more"):
        plain_average({})


@settings(deadline=None)
@given(st.dictionaries(st.text(max_size=3), st.floats(0, 1), max_size=8))
def test_holm(p: dict[str, float]) -> None:
    corrected = holm(p)
    assert list(corrected) == list(p)
    for alpha in (0.01, 0.05, 0.2):  # the step-down procedure as it is defined
        rejected = set()
        for rank, name in enumerate(sorted(p, key=lambda name: p[name])):
            if p[name] * (len(p) - rank) > alpha:
                break
            rejected.add(name)
        assert {name for name in p if corrected[name] <= alpha} == rejected


def test_ties() -> None:
    best = np.ones(400)
    near, far = best.copy(), best.copy()
    near[:4] = 0
    far[:40] = 0
    table = {"far": far, "near": near, "best": best}
    found = tie_groups(table)
    assert (found.best, found.tied) == ("best", ("near", "best"))
    assert found.p == holm({"far": mcnemar(best, far).p, "near": mcnemar(best, near).p})
    assert tie_groups({"only": near}).tied == ("only",)
    assert tie_groups({"a": near, "b": near}).tied == ("a", "b")
    with pytest.raises(StrbenchError, match="one method or more"):
        tie_groups({})
    with pytest.raises(StrbenchError, match="the same samples"):
        tie_groups({"a": near, "b": near[:-1]})


def test_ties_with_clusters_datasets_and_shares() -> None:
    best, other = np.ones(400), np.ones(400)
    other[:12] = 0
    assert tie_groups({"a": best, "b": other}).tied == ("a",)
    # All twelve mistakes on one photograph say nothing about the next photograph.
    photos = [0] * 12 + list(range(1, 389))
    assert tie_groups({"a": best, "b": other}, photos).tied == ("a", "b")
    shares = tie_groups({"a": best, "b": 1 - (1 - other) / 2})
    assert shares.tied == ("a",)
    sets = {
        "a": {"big": best, "small": np.array([1.0, 0.0] * 5)},
        "b": {"big": other, "small": np.array([1.0, 1.0] * 5)},
    }
    assert tie_groups(sets, kind="plain").best == "b"
    assert tie_groups(sets, kind="weighted").best == "a"
