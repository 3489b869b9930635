"""Intervals, paired tests, ties and averages: how far a figure can be trusted.

Everything is deterministic by seed and does not depend on the order of the samples. Resampling is
exact, not approximate: equal samples (or equal clusters) are counted once and drawn by a multinomial,
which is the same distribution as drawing indices with replacement. For right or wrong answers that
is a binomial draw, whatever the number of words.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from strbench.errors import DATA, StrbenchError

RESAMPLES = 10_000  # Monte Carlo error of a 2.5 % quantile: about 0.03 standard errors
LEVEL = 0.95
_BLOCK = 1 << 22  # numbers drawn at once: 32 MB


class Interval(NamedTuple):
    """Both ends of an interval, in the unit of the figure."""

    low: float
    high: float


def _values(per_sample: ArrayLike) -> NDArray[np.float64]:
    values = np.asarray(per_sample, np.float64)
    if values.ndim != 1 or not len(values):
        raise StrbenchError(
            f"Expected one value per sample, found an array of shape {values.shape}.",
            exit_code=DATA,
        )
    if not np.isfinite(values).all():
        where = int(np.flatnonzero(~np.isfinite(values))[0])
        raise StrbenchError(f"The value of sample {where} is not finite.", exit_code=DATA)
    return values


def _clusters(
    values: NDArray[np.float64], groups: Sequence[Any] | NDArray[Any]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sum and size of each cluster; a sample of group None is a cluster of its own."""
    if len(groups) != len(values):
        raise StrbenchError(
            f"Expected one group per sample ({len(values)}), found {len(groups)}.", exit_code=DATA
        )
    number: dict[Any, int] = {}
    index = np.array(
        [
            number.setdefault((i,) if group is None else group, len(number))
            for i, group in enumerate(groups)
        ]
    )
    size = np.bincount(index)
    order = np.lexsort((values, index))  # sums do not depend on the order of the samples
    ends = np.cumsum(size)
    sums = [math.fsum(part) for part in np.split(values[order], ends[:-1])]
    return np.array(sums), size.astype(np.float64)


def _resampled_means(
    values: NDArray[np.float64],
    groups: Sequence[Any] | NDArray[Any] | None,
    rng: np.random.Generator,
    n: int,
) -> NDArray[np.float64]:
    """Means of ``n`` resamples of the clusters (sum of values over number of samples)."""
    if groups is None:
        sums, counts = np.unique(values, return_counts=True)
        kinds = np.stack([sums, np.ones(len(sums))], 1)
    else:
        clusters = np.stack(_clusters(values, groups), 1)
        kinds, counts = np.unique(clusters, axis=0, return_counts=True)
    share = counts / counts.sum()
    out = np.empty(n)
    rows = max(1, _BLOCK // len(kinds))
    for start in range(0, n, rows):
        drawn = rng.multinomial(counts.sum(), share, size=min(rows, n - start))
        totals = drawn @ kinds  # (rows, 2): sum of values, number of samples
        out[start : start + len(drawn)] = totals[:, 0] / totals[:, 1]
    return out


def _percentiles(means: NDArray[np.float64], level: float) -> Interval:
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))


def bootstrap_interval(
    per_sample: ArrayLike,
    groups: Sequence[Any] | NDArray[Any] | None = None,
    seed: int = 0,
    n: int = RESAMPLES,
    *,
    level: float = LEVEL,
) -> Interval:
    """The percentile bootstrap interval of the mean of ``per_sample``.

    Args:
        per_sample: one value per sample, in any unit: right or wrong, or its 1-NED.
        groups: where samples are not independent, the cluster of each (the photograph a word was
            cut from); whole clusters are then drawn. A sample of group None is its own cluster.
        n: how many resamples.

    All values equal give an interval of width zero; for right and wrong answers
    ``wilson_interval`` does not have that defect.

    Raises:
        StrbenchError: no sample, a value that is not finite, or not one group per sample.

    >>> low, high = bootstrap_interval([True] * 90 + [False] * 10)
    >>> round(low, 2), round(high, 2)
    (0.84, 0.95)

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13; clusters:
    Davison and Hinkley, Bootstrap Methods and their Application, 1997, section 3.8.
    """
    means = _resampled_means(_values(per_sample), groups, np.random.default_rng(seed), n)
    return _percentiles(means, level)


def wilson_interval(correct: int, n: int) -> Interval:
    """The closed-form 95 % interval of a share of independent samples; of width above zero always.

    >>> wilson_interval(0, 10)
    Interval(low=0.0, high=0.2775327998628892)

    Source: Wilson, Journal of the American Statistical Association 22, 1927.
    """
    if not 0 <= correct <= n or n == 0:
        raise ValueError(f"{correct} of {n} is no share")
    z = 1.959963984540054  # 97.5 % quantile of the normal distribution
    share = correct / n
    middle = share + z * z / (2 * n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    low = 0.0 if correct == 0 else (middle - half) / scale
    high = 1.0 if correct == n else (middle + half) / scale
    return Interval(low, high)


class McNemar(NamedTuple):
    """Two methods on the same samples: who alone was right how often, and the p-value."""

    only_a: int
    only_b: int
    p: float


def _binomial_tail(k: int, n: int) -> float:
    """P(X <= k) for X ~ Binomial(n, 1/2): exact up to n of 1,000, to 9 digits up to 100,000."""
    if n <= 1000:
        return float(sum(math.comb(n, i) for i in range(k + 1)) / 2**n)
    term = math.exp(
        math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) - n * math.log(2)
    )
    total = 0.0
    for i in range(k, -1, -1):
        total += term
        term *= i / (n - i + 1)
        if term < total * 1e-17:
            break
    return total


def mcnemar(a: ArrayLike, b: ArrayLike) -> McNemar:
    """The exact two-sided McNemar test of two methods' right answers on the same samples.

    Only samples on which one of the two is right count; under the null hypothesis each is a fair
    coin. Without any, p is 1.

    >>> mcnemar([1, 1, 1, 1, 1, 1, 0, 1], [0, 0, 0, 0, 0, 0, 0, 1])
    McNemar(only_a=6, only_b=0, p=0.03125)

    Source: McNemar, Psychometrika 12, 1947; the exact form is the sign test.
    """
    left, right = np.asarray(a, bool), np.asarray(b, bool)
    if left.shape != right.shape:
        raise StrbenchError(
            f"A paired test needs the same samples, found {len(left)} and {len(right)}.",
            exit_code=DATA,
        )
    only_a = int(np.count_nonzero(left & ~right))
    only_b = int(np.count_nonzero(right & ~left))
    tail = _binomial_tail(min(only_a, only_b), only_a + only_b)
    return McNemar(only_a, only_b, min(1.0, 2 * tail))


class Average(NamedTuple):
    """A mean over datasets. ``kind``: "weighted" by their samples, or "plain", each counting once."""

    kind: Literal["weighted", "plain"]
    value: float
    low: float
    high: float
    n: int  # samples


Groups = Mapping[str, Sequence[Any] | NDArray[Any] | None]


def _average(
    datasets: Mapping[str, ArrayLike],
    kind: Literal["weighted", "plain"],
    groups: Groups | None,
    seed: int,
    n: int,
) -> tuple[Average, NDArray[np.float64]]:
    if not datasets:
        raise StrbenchError("An average needs one dataset or more.", exit_code=DATA)
    sums: list[float] = []
    means = np.zeros(n)
    values = {name: _values(datasets[name]) for name in sorted(datasets)}
    total = sum(map(len, values.values()))
    for name, per_sample in values.items():
        sums.append(math.fsum(per_sample) / (1 if kind == "weighted" else len(per_sample)))
        weight = len(per_sample) / total if kind == "weighted" else 1 / len(values)
        rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
        means += weight * _resampled_means(per_sample, (groups or {}).get(name), rng, n)
    value = math.fsum(sums) / (total if kind == "weighted" else len(values))
    return Average(kind, value, *_percentiles(means, LEVEL), total), means


def weighted_average(
    datasets: Mapping[str, ArrayLike],
    groups: Groups | None = None,
    seed: int = 0,
    n: int = RESAMPLES,
) -> Average:
    """The mean over all samples of all datasets, with an interval in which the datasets stay fixed.

    Args:
        datasets: name -> one value per sample.
        groups: name -> cluster of each sample, for the datasets that have clusters.

    >>> weighted_average({"svt": [1, 1, 1, 0], "cute80": [0]}).value
    0.6
    """
    return _average(datasets, "weighted", groups, seed, n)[0]


def plain_average(
    datasets: Mapping[str, ArrayLike],
    groups: Groups | None = None,
    seed: int = 0,
    n: int = RESAMPLES,
) -> Average:
    """The mean of the datasets' means, each dataset counting once, with its interval.

    >>> plain_average({"svt": [1, 1, 1, 0], "cute80": [0]}).value
    0.375
    """
    return _average(datasets, "plain", groups, seed, n)[0]


class Difference(NamedTuple):
    """Mean of a minus mean of b, its 95 % interval, and the two-sided bootstrap p-value."""

    value: float
    low: float
    high: float
    p: float


def paired_difference(
    a: Mapping[str, ArrayLike] | ArrayLike,
    b: Mapping[str, ArrayLike] | ArrayLike,
    groups: Any = None,
    seed: int = 0,
    n: int = RESAMPLES,
    *,
    kind: Literal["weighted", "plain"] = "weighted",
) -> Difference:
    """How much better ``a`` is than ``b`` on the same samples, by the paired bootstrap.

    Args:
        a, b: one value per sample, or name -> values for several datasets averaged as ``kind`` says.
        groups: cluster of each sample; with several datasets, name -> clusters.

    The p-value is that of ``two_sided_p``; what differs is a sample, or a cluster of them.

    Raises:
        StrbenchError: not the same samples on both sides, or fewer than two.

    >>> paired_difference([1, 1, 1, 0, 1], [1, 1, 0, 0, 0]).value
    0.4
    """
    if not isinstance(a, Mapping) or not isinstance(b, Mapping):
        a, b, groups = {"": a}, {"": b}, {"": groups}  # type: ignore[dict-item]
    if a.keys() != b.keys() or any(np.shape(a[name]) != np.shape(b[name]) for name in a):
        raise StrbenchError("A paired test needs the same samples on both sides.", exit_code=DATA)
    differences = {name: _values(a[name]) - _values(b[name]) for name in a}
    if sum(map(len, differences.values())) < 2:
        raise StrbenchError("A paired test needs two samples or more.", exit_code=DATA)
    average, means = _average(differences, kind, groups, seed, n)
    differing = 0
    for name, values in differences.items():
        own = (groups or {}).get(name)
        sums = values if own is None else _clusters(values, own)[0]
        differing += int(np.count_nonzero(sums))
    return Difference(average.value, average.low, average.high, two_sided_p(means, differing))


def two_sided_p(resampled: NDArray[np.float64], differing: int) -> float:
    """The p-value of no difference, from resampled differences.

    Twice the smaller share of resamples on one side of zero, zero counted on both sides. It is never
    below 2 / (n + 1) for n resamples, nor below what a sign test can give where ``differing`` samples
    differ at all: two photographs that both speak for one side are no evidence of 0.0002.
    """
    below, above = np.count_nonzero(resampled <= 0), np.count_nonzero(resampled >= 0)
    p = 2 * (min(below, above) + 1) / (len(resampled) + 1)
    return float(min(1.0, max(p, 2.0 ** (1 - differing))))


@dataclass(frozen=True)
class Ties:
    """The best method of a table, and those that the data cannot tell apart from it."""

    best: str
    tied: tuple[str, ...]  # in the order of the table, the best among them
    p: dict[str, float]  # of each other method against the best, Holm-corrected


def holm(p: Mapping[str, float]) -> dict[str, float]:
    """Holm's correction of p-values for the number of comparisons.

    >>> holm({"a": 0.01, "b": 0.04, "c": 0.03})
    {'a': 0.03, 'b': 0.06, 'c': 0.06}

    Source: Holm, Scandinavian Journal of Statistics 6, 1979.
    """
    corrected: dict[str, float] = {}
    floor = 0.0
    for rank, name in enumerate(sorted(p, key=lambda name: p[name])):
        floor = max(floor, min(1.0, p[name] * (len(p) - rank)))
        corrected[name] = floor
    return {name: corrected[name] for name in p}


def tie_groups(
    methods: Mapping[str, Mapping[str, ArrayLike] | ArrayLike],
    groups: Any = None,
    seed: int = 0,
    n: int = RESAMPLES,
    *,
    kind: Literal["weighted", "plain"] = "weighted",
    alpha: float = 0.05,
) -> Ties:
    """Which methods of a table cannot be told apart from its best one; none of those is bold alone.

    Args:
        methods: name -> one value per sample, the same samples in the same order for all; or name
            -> dataset -> values, averaged as ``kind`` says.
        groups: clusters, as in ``paired_difference``.

    Right and wrong answers on independent samples of one set are compared by the exact McNemar
    test, everything else by the paired bootstrap; the p-values are Holm-corrected. The best method
    is the one of the highest mean, the first of equal ones.

    >>> tie_groups({"a": [1, 1, 1, 1] * 9, "b": [1, 1, 1, 0] * 9, "c": [1] * 35 + [0]}).tied
    ('a', 'c')

    Raises:
        StrbenchError: no method, or methods on different samples.
    """
    if not methods:
        raise StrbenchError("A table needs one method or more.", exit_code=DATA)
    first = next(iter(methods.values()))
    several = isinstance(first, Mapping)

    def mean(values: Any) -> float:
        return _average(values if several else {"": values}, kind, None, seed, 1)[0].value

    means = {name: mean(values) for name, values in methods.items()}
    best = max(means, key=lambda name: means[name])
    binary = not several and all(
        np.isin(np.asarray(values, np.float64), (0.0, 1.0)).all() for values in methods.values()
    )
    p = {}
    for name, values in methods.items():
        if name == best:
            continue
        if binary and groups is None:
            p[name] = mcnemar(methods[best], values).p  # type: ignore[arg-type]
        else:
            p[name] = paired_difference(methods[best], values, groups, seed, n, kind=kind).p
    p = holm(p)
    tied = tuple(name for name in methods if name == best or p[name] > alpha)
    return Ties(best=best, tied=tied, p=p)
