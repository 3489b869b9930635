"""Endless training batches from splits: a pure function of (seed, step, rank).

Nothing here has a state worth saving. Batch k is computed from k alone, so a resumed run sees exactly
what an uninterrupted one would have seen, and r ranks together see exactly what one rank would.
"""

from __future__ import annotations

import os
import threading
from bisect import bisect_right
from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import torch

from strbench.errors import DATA, StrbenchError
from strbench.loading import decode, stretch
from strbench.methods import WordBatch
from strbench.store import Split, find_split


@dataclass(frozen=True)
class Portion:
    """Splits that are shuffled together and fill a fraction of every batch."""

    splits: tuple[Split, ...]
    fraction: float

    @property
    def n(self) -> int:
        return sum(split.n for split in self.splits)


def parse_portions(names: Sequence[str]) -> list[Portion]:
    """The portions that the command line names: ``svt/train`` or ``rendered/train=0.5``.

    Names with a number fill that fraction of every batch; those without are shuffled together and
    share the rest.

    Raises:
        StrbenchError: an unknown split, or fractions that do not fit in one batch.
    """
    fixed: list[Portion] = []
    rest: list[Split] = []
    for text in names:
        name, equals, number = text.partition("=")
        if not equals:
            rest.append(find_split(name, task="recognition"))
            continue
        try:
            fraction = float(number)
        except ValueError:
            fraction = -1.0
        if not 0 < fraction <= 1:
            raise StrbenchError(
                f"{text!r}: expected a fraction above 0 and up to 1 after '=', found {number!r}.",
                hint="For example: --data rendered/train=0.5 --data svt/train",
            )
        fixed.append(Portion((find_split(name, task="recognition"),), fraction))
    remaining = 1.0 - sum(portion.fraction for portion in fixed)
    if remaining < -1e-9 or (rest and remaining < 1e-9) or (not rest and remaining > 1e-9):
        raise StrbenchError(
            f"The fractions of --data add up to {1 - remaining:g}; with splits that name none, "
            "something must be left for them, and without any they must add up to 1.",
            hint="For example: --data rendered/train=0.5 --data svt/train",
        )
    return ([Portion(tuple(rest), remaining)] if rest else []) + fixed


class WordStream:
    """The batches of one rank; ``batch(k)`` is a pure function, ``iterate`` reads ahead.

    Args:
        batch_size: images over all ranks together.
        first: use only this fraction of each split, its first samples, as released label-fraction
            runs do (None: all).
        cache_bytes: decoded crops are kept in memory if all of them fit in this many bytes; 0 lets
            a quarter of the machine's memory, 4 GiB at most, be shared by the ranks.
    """

    def __init__(
        self,
        portions: Sequence[Portion],
        *,
        height: int,
        width: int,
        batch_size: int,
        seed: int,
        rank: int = 0,
        world: int = 1,
        first: float | None = None,
        with_labels: bool = True,
        cache_bytes: int = 0,
    ) -> None:
        if batch_size % world:
            raise StrbenchError(
                f"A batch of {batch_size} images cannot be shared by {world} ranks.",
                hint=f"--set batch_size={(batch_size // world + 1) * world}",
            )
        self.portions = list(portions)
        self.height, self.width = height, width
        self.seed, self.rank, self.world = seed, rank, world
        self.with_labels = with_labels
        self.batch_size = batch_size
        # ends[p][s]: how many samples of portion p lie in its splits up to and including s
        self._ends = [
            list(accumulate(_first(split.n, first) for split in portion.splits))
            for portion in self.portions
        ]
        self.counts = [round(portion.fraction * batch_size) for portion in self.portions]
        self.counts[0] += batch_size - sum(self.counts)
        if min(self.counts) < 1:
            raise StrbenchError(
                f"A batch of {batch_size} images has no room for every --data fraction.",
                hint="Use a larger batch or a larger fraction.",
            )
        self._permutations: dict[tuple[int, int], np.ndarray] = {}
        self._permuting = threading.Lock()
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        cache_bytes = cache_bytes or min(4 << 30, memory // 4) // world
        fits = self.n * height * width * 3 <= cache_bytes
        self._cache: dict[tuple[int, int], tuple[np.ndarray, float]] | None = {} if fits else None

    @property
    def n(self) -> int:
        """Samples in one pass."""
        return sum(ends[-1] for ends in self._ends)

    def _index(self, portion: int, position: int) -> int:
        epoch, offset = divmod(position, self._ends[portion][-1])
        permutation = self._permutations.get((portion, epoch))
        if permutation is None:
            permutation = self._permute(portion, epoch)
        return int(permutation[offset])

    def _permute(self, portion: int, epoch: int) -> np.ndarray:
        """The order of a portion in one pass; the last two passes are remembered."""
        with self._permuting:
            known = self._permutations
            if (portion, epoch) not in known:
                n = self._ends[portion][-1]
                fresh = np.random.default_rng([self.seed, portion, epoch]).permutation(n)
                for old in [k for k in known if k[0] == portion and k[1] < epoch - 1]:
                    del known[old]
                known[portion, epoch] = fresh
            return known[portion, epoch]

    def _place(self, portion: int, index: int) -> tuple[Split, int]:
        ends = self._ends[portion]
        which = bisect_right(ends, index)
        return self.portions[portion].splits[which], index - (ends[which - 1] if which else 0)

    def _load(self, portion: int, index: int) -> tuple[np.ndarray, float]:
        if self._cache is not None and (hit := self._cache.get((portion, index))) is not None:
            return hit
        split, i = self._place(portion, index)
        try:
            pixels = decode(split.image(i))
        except StrbenchError as error:
            raise StrbenchError(
                f"{split.name}: {split.ids[i]}: {error.message}.",
                hint=f"strbench data verify {split.name}",
                exit_code=DATA,
            ) from error
        loaded = (
            stretch(pixels, self.height, self.width),
            pixels.shape[1] / pixels.shape[0],
        )
        if self._cache is not None:
            self._cache[portion, index] = loaded
        return loaded

    def _label(self, portion: int, index: int) -> str:
        split, i = self._place(portion, index)
        label = split.label(i)
        if label is None:
            raise StrbenchError(
                f"{split.name}: {split.ids[i]} has no label, and this run is trained on labels.",
                hint="Import the split again with a label for every image.",
                exit_code=DATA,
            )
        return label

    def batch(self, step: int) -> WordBatch:
        """This rank's share of batch ``step``, on the CPU.

        Raises:
            StrbenchError: an image cannot be read, or a label is wanted and missing.
        """
        places = [
            (portion, step * count + j)
            for portion, count in enumerate(self.counts)
            for j in range(count)
        ][self.rank :: self.world]
        images = torch.empty((len(places), 3, self.height, self.width), dtype=torch.uint8)
        array = images.numpy()  # shares memory with the tensor
        aspect = torch.empty(len(places))
        labels: list[str] = []
        seeds: list[int] = []
        for row, (portion, position) in enumerate(places):
            index = self._index(portion, position)
            pixels, ratio = self._load(portion, index)
            array[row] = pixels.transpose(2, 0, 1)
            aspect[row] = ratio
            labels.append(self._label(portion, index) if self.with_labels else "")
            seeds.append(_mix(self.seed, portion, position))
        return WordBatch(images, aspect, labels, torch.tensor(seeds, dtype=torch.int64))

    def iterate(
        self, start: int, stop: int, *, threads: int = 0, pin: bool = False
    ) -> Generator[WordBatch]:
        """Batches ``start`` to ``stop - 1``, prepared ahead by threads (0: as many as help).

        With ``pin`` they lie in page-locked memory, so that copying to a CUDA device waits for nothing.
        """
        here = int(os.environ.get("LOCAL_WORLD_SIZE", self.world))  # ranks on this machine
        threads = threads or max(1, min(8, (os.cpu_count() or 2) // (2 * here)))

        def prepared(step: int) -> WordBatch:
            batch = self.batch(step)
            if not pin:
                return batch
            return batch._replace(
                images=batch.images.pin_memory(),
                aspect=batch.aspect.pin_memory(),
                seeds=batch.seeds.pin_memory(),
            )

        pending: deque[Future[WordBatch]] = deque()
        with ThreadPoolExecutor(threads) as pool:
            ahead = iter(range(start, stop))
            try:
                while True:
                    while len(pending) < threads + 1 and (step := next(ahead, None)) is not None:
                        pending.append(pool.submit(prepared, step))
                    if not pending:
                        return
                    yield pending.popleft().result()
            finally:
                for future in pending:
                    future.cancel()


def _first(n: int, first: float | None) -> int:
    return n if first is None else max(1, int(n * first + 1e-9))  # 0.29 * 100 is 28.999...


def _mix(seed: int, portion: int, position: int) -> int:
    """A well-spread non-negative 63-bit seed (splitmix64 finaliser, Steele et al. 2014)."""
    mask = (1 << 64) - 1
    z = (seed * 0x9E3779B97F4A7C15 + portion * 0xD1B54A32D192ED03 + position + 1) & mask
    z = (z * 0x9E3779B97F4A7C15) & mask
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
    return (z ^ (z >> 31)) >> 1
