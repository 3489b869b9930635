"""Means over training seeds: their spread, and whether two of them differ."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple


class Spread(NamedTuple):
    """The mean of a figure over seeds and its standard deviation."""

    mean: float
    sd: float | None  # divided by n - 1; None for one seed
    n: int


def spread(values: Sequence[float]) -> Spread:
    """Mean and sample standard deviation of one value or more.

    >>> spread([0.5, 0.6, 0.7])
    Spread(mean=0.6, sd=0.1, n=3)
    >>> spread([0.5])
    Spread(mean=0.5, sd=None, n=1)
    """
    n = len(values)
    if not n:
        raise ValueError("no value has no mean")
    mean = math.fsum(values) / n
    if n == 1:
        return Spread(values[0], None, 1)
    variance = math.fsum((value - mean) ** 2 for value in values) / (n - 1)
    return Spread(mean, round(math.sqrt(variance), 12), n)  # equal values: 0, not 1e-17


class Welch(NamedTuple):
    """Mean of a minus mean of b over their seeds, its 95 % interval and the two-sided p-value."""

    value: float
    low: float
    high: float
    p: float


def welch(a: Sequence[float], b: Sequence[float]) -> Welch:
    """The difference of two means whose spreads need not be equal, by Welch's t-test.

    Seeds of a and of b are not paired: seed 3 of one training has nothing in common with seed 3 of
    another. Where neither varies, the interval has no width and p is 0 or, for equal means, 1.

    Raises:
        ValueError: fewer than two values on a side.

    >>> found = welch([0.61, 0.62, 0.63], [0.51, 0.53, 0.55])
    >>> round(found.value, 3), round(found.low, 3), round(found.high, 3), round(found.p, 4)
    (0.09, 0.048, 0.132, 0.0065)

    Source: Welch, Biometrika 34, 1947; degrees of freedom by Satterthwaite, 1946.
    """
    if min(len(a), len(b)) < 2:
        raise ValueError("a spread needs two seeds on each side")
    left, right = spread(a), spread(b)
    parts = [(side.sd or 0.0) ** 2 / side.n for side in (left, right)]
    value = left.mean - right.mean
    if sum(parts) == 0:
        return Welch(value, value, value, 1.0 if value == 0 else 0.0)
    error = math.sqrt(sum(parts))
    freedom = sum(parts) ** 2 / (parts[0] ** 2 / (left.n - 1) + parts[1] ** 2 / (right.n - 1))
    half = t_quantile(0.95, freedom) * error
    return Welch(value, value - half, value + half, t_tails(value / error, freedom))


def t_tails(t: float, freedom: float) -> float:
    """P(|T| >= |t|) of Student's t with ``freedom`` degrees of freedom.

    >>> round(t_tails(2.776445, 4), 6)
    0.05
    """
    return _incomplete_beta(freedom / (freedom + t * t), freedom / 2, 0.5)


def t_quantile(level: float, freedom: float) -> float:
    """The t for which P(|T| <= t) is ``level``, by bisection.

    >>> round(t_quantile(0.95, 4), 4), round(t_quantile(0.95, 1), 3)
    (2.7764, 12.706)
    """
    low, high = 0.0, 1.0
    while t_tails(high, freedom) > 1 - level:
        high *= 2
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if t_tails(middle, freedom) > 1 - level else (low, middle)
    return (low + high) / 2


def _incomplete_beta(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function, to about 1e-12.

    Source: its continued fraction, DLMF 8.17.22, evaluated by Lentz's method (1976).
    """
    if x <= 0 or x >= 1:
        return 0.0 if x <= 0 else 1.0
    if x > (a + 1) / (a + b + 2):  # where the fraction converges slowly; DLMF 8.17.4
        return 1.0 - _incomplete_beta(1 - x, b, a)
    scale = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    front = math.exp(scale + a * math.log(x) + b * math.log1p(-x)) / a
    c, d, total = 1.0, 0.0, 1.0
    for i in range(500):
        m = i // 2
        if i == 0:
            numerator = 1.0
        elif i % 2 == 0:
            numerator = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        else:
            numerator = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        d = 1.0 / _away_from_zero(1.0 + numerator * d)
        c = _away_from_zero(1.0 + numerator / c)
        total *= c * d
        if abs(c * d - 1.0) < 1e-14:
            break
    return front * (total - 1.0)


def _away_from_zero(value: float) -> float:
    return value if abs(value) > 1e-300 else 1e-300
