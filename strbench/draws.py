"""Random numbers that belong to an image: pure functions of (seed, stream, k), batched torch.

Seeds are int64 (B,), one an image. A *stream* is a small integer that names what the numbers are
for, so that adding an operation does not change what the others draw. Numbers come from a counter
hash, not from a generator's state: they do not depend on the batch, on the order of calls, or on
how many numbers somebody else drew. Parameters are float64.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

# splitmix64: increment and the two multipliers of its finaliser, as signed 64-bit integers
_STEP = 0x9E3779B97F4A7C15 - 2**64
_MIX_1 = 0xBF58476D1CE4E5B9 - 2**64
_MIX_2 = 0x94D049BB133111EB - 2**64


def _mix(x: Tensor) -> Tensor:
    """Int64 hashes of int64 numbers: the finaliser of splitmix64; products wrap around."""
    x = (x ^ ((x >> 30) & (2**34 - 1))) * _MIX_1
    x = (x ^ ((x >> 27) & (2**37 - 1))) * _MIX_2
    return x ^ ((x >> 31) & (2**33 - 1))


def _keys(seeds: Tensor, stream: int) -> Tensor:
    offset = ((stream + 1) * _STEP + 2**63) % 2**64 - 2**63
    return _mix(seeds + offset)


def derive(seeds: Tensor, number: int) -> Tensor:
    """New seeds (B,) for the ``number``-th independent use of the same images."""
    return _keys(seeds, -2 - number)


def uniforms(seeds: Tensor, count: int, stream: int) -> Tensor:
    """Float64 numbers (B, count), uniform in the open interval (0, 1), from int64 seeds (B,)."""
    steps = torch.arange(1, count + 1, device=seeds.device) * _STEP
    bits = (_mix(_keys(seeds, stream)[:, None] + steps) >> 12) & (2**52 - 1)
    return (bits.double() + 0.5) * 2.0**-52


def uniform(seeds: Tensor, low: float, high: float, stream: int) -> Tensor:
    """One number an image (B,), uniform between ``low`` and ``high``."""
    return low + (high - low) * uniforms(seeds, 1, stream)[:, 0]


def chance(seeds: Tensor, probability: float, stream: int) -> Tensor:
    """Booleans (B,), true with the given probability."""
    return uniforms(seeds, 1, stream)[:, 0] < probability


def normals(seeds: Tensor, count: int, stream: int) -> Tensor:
    """Standard normal numbers (B, count) by the inverse distribution function."""
    values: Tensor = torch.special.ndtri(uniforms(seeds, count, stream))
    return values


def beta_1_4(seeds: Tensor, count: int, stream: int) -> Tensor:
    """Beta(1, 4) numbers (B, count), mean 0.2: most are small. Inverse: 1 - (1 - u)^(1/4)."""
    return 1.0 - (1.0 - uniforms(seeds, count, stream)).sqrt().sqrt()


def beta_4_4(seeds: Tensor, count: int, stream: int) -> Tensor:
    """Beta(4, 4) numbers (B, count), mean 0.5: the fourth smallest of seven uniform ones."""
    return uniforms(seeds, 7 * count, stream).view(-1, count, 7).sort(2).values[:, :, 3]


def random_turns(seeds: Tensor, count: int, low: int, high: int, stream: int) -> Tensor:
    """The turn at which each of ``count`` operations acts on each image: int64 (B, count).

    ``low`` to ``high`` (inclusive, uniform) of them act, in random order, at turns 0, 1, ...; -1
    where an operation does not act on that image.
    """
    numbers = uniforms(seeds, count + 1, stream)
    place = numbers[:, 1:].argsort(1).argsort(1)
    acting = low + (numbers[:, :1] * (high - low + 1)).long()
    return torch.where(place < acting, place, -1)


@lru_cache(maxsize=8)
def _normal_quantiles(device: str) -> Tensor:
    levels = (torch.arange(4096, dtype=torch.float64) + 0.5) / 4096
    values: Tensor = torch.special.ndtri(levels)
    return values.float().to(device)


def pixel_normals(seeds: Tensor, shape: tuple[int, int, int], stream: int) -> Tensor:
    """Float32 noise (B, C, H, W), standard normal to 12 bits (4,096 quantiles, at most 3.67).

    A pixel's value depends on the seed and the pixel's index in ``shape`` alone. A 32-bit hash (two
    multiply-and-shift rounds) serves two pixels.
    """
    size = math.prod(shape)
    half = (size + 1) // 2
    keys = _keys(seeds, stream)
    # (B, half) int32; multiplying by an odd number keeps the pixel indices apart
    index = torch.arange(half, device=seeds.device, dtype=torch.int32) * -1640531527
    x = index ^ keys.int()[:, None]
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B - 2**32)):
        x = (x ^ ((x >> shift) & (2 ** (32 - shift) - 1))) * factor
    x = x ^ ((x >> 16) & 65535) ^ (keys >> 32).int()[:, None]
    places = torch.cat((x & 4095, (x >> 16) & 4095), 1)[:, :size]
    noise = _normal_quantiles(str(seeds.device)).index_select(0, places.flatten())
    return noise.view(len(seeds), *shape)
