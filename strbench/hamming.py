"""All pairs of 64-bit numbers within a Hamming distance, none missed, at a million numbers a side."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

_BLOCK = 1 << 22  # pairs compared at once: 32 MB of numbers


def _masks(radius: int) -> list[int]:
    """The 16-bit numbers with at most ``radius`` bits."""
    masks = [0]
    for _ in range(radius):
        masks += [mask | 1 << bit for mask in masks for bit in range(16) if not mask >> bit]
    return sorted(set(masks))


def pairs_within(
    a: NDArray[np.uint64], b: NDArray[np.uint64], distance: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Blocks of indices (i, j) of all pairs with at most ``distance`` unlike bits, each pair once.

    Multi-index hashing: of four parts of 16 bits one must lie within a quarter of the distance, so
    that in a table of each part few of ``b`` need to be compared with an element of ``a``.

    Source: Norouzi, Punjani, Fleet: Fast Search in Hamming Space with Multi-Index Hashing, CVPR 2012.
    """
    radius = distance // 4
    for part in range(4):
        shift = np.uint64(16 * part)
        keys = ((b >> shift) & np.uint64(0xFFFF)).astype(np.int64)
        order = np.argsort(keys, kind="stable")
        ends = np.concatenate([[0], np.cumsum(np.bincount(keys, minlength=1 << 16))])
        sorted_b = b[order]
        wanted = ((a >> shift) & np.uint64(0xFFFF)).astype(np.int64)
        for mask in _masks(radius):
            low = ends[wanted ^ mask]
            sizes = ends[(wanted ^ mask) + 1] - low
            for rows in _blocks(sizes):
                # Which of b stands at each place of the buckets that these rows look into.
                i = np.repeat(rows, sizes[rows])
                starts = np.repeat(low[rows] - (np.cumsum(sizes[rows]) - sizes[rows]), sizes[rows])
                place = starts + np.arange(len(i))
                unlike = a[i] ^ sorted_b[place]
                near = np.bitwise_count(unlike) <= distance
                i, place, unlike = i[near], place[near], unlike[near]
                new = np.ones(len(i), np.bool_)
                for earlier in range(part):  # a pair that an earlier table gave is not given again
                    bits = (unlike >> np.uint64(16 * earlier)) & np.uint64(0xFFFF)
                    new &= np.bitwise_count(bits) > radius
                if new.any():
                    yield i[new], order[place[new]]


def _blocks(sizes: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Rows in runs whose sizes sum to some ``_BLOCK``; rows of size 0 are left out."""
    rows = np.flatnonzero(sizes)
    if not len(rows):
        return
    block = np.cumsum(sizes[rows]) // _BLOCK
    yield from np.split(rows, np.flatnonzero(np.diff(block)) + 1)
