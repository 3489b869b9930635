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
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from strbench.errors import DATA, StrbenchError
from strbench.feeds import Feed, Item
from strbench.methods import Batch
from strbench.store import Split, find_split
from strbench.types import Task
from strbench.word_file import WordFile


@dataclass(frozen=True)
class Portion:
    """Splits that are shuffled together and fill a fraction of every batch."""

    splits: tuple[Split | WordFile, ...]
    fraction: float

    @property
    def n(self) -> int:
        return sum(split.n for split in self.splits)


@dataclass(frozen=True)
class Subset:
    """A part of every split: its first samples, or a random draw that depends on the run's seed.

    Draws of one seed are nested: 1 % lies within 10 %.
    """

    how: Literal["first", "random"]
    fraction: float

    def count(self, n: int) -> int:
        """How many of ``n`` samples: the fraction rounded down, one at least."""
        return max(1, int(n * self.fraction + 1e-9))  # 0.29 * 100 is 28.999...

    def __str__(self) -> str:
        return f"{self.how} {100 * self.fraction:g} %"


def parse_portions(
    names: Sequence[str], *, option: str = "--data", task: Task = "recognition"
) -> list[Portion]:
    """The portions that the command line names: ``svt/train``, ``rendered/train=0.5``, ``words.txt``.

    A name that ends in ``.txt`` is a text file whose words a language model reads. Names with a number fill that fraction of every batch; those without are shuffled together and
    share the rest.

    Raises:
        StrbenchError: an unknown split, one of another task, or fractions that do not fit in one batch.
    """
    fixed: list[Portion] = []
    rest: list[Split | WordFile] = []
    for text in names:
        name, equals, number = text.partition("=")
        if not equals:
            rest.append(_source(name, task))
            continue
        try:
            fraction = float(number)
        except ValueError:
            fraction = -1.0
        if not 0 < fraction <= 1:
            raise StrbenchError(
                f"{text!r}: expected a fraction above 0 and up to 1 after '=', found {number!r}.",
                hint=f"For example: {option} rendered/train=0.5 {option} svt/train",
            )
        fixed.append(Portion((_source(name, task),), fraction))
    remaining = 1.0 - sum(portion.fraction for portion in fixed)
    if remaining < -1e-9 or (rest and remaining < 1e-9) or (not rest and remaining > 1e-9):
        raise StrbenchError(
            f"The fractions of {option} add up to {1 - remaining:g}; with splits that name none, "
            "something must be left for them, and without any they must add up to 1.",
            hint=f"For example: {option} rendered/train=0.5 {option} svt/train",
        )
    return ([Portion(tuple(rest), remaining)] if rest else []) + fixed


def _source(name: str, task: Task) -> Split | WordFile:
    return WordFile(Path(name)) if name.endswith(".txt") else find_split(name, task=task)


class Stream:
    """The batches of one rank; ``batch(k)`` is a pure function, ``iterate`` reads ahead.

    Args:
        feed: what of a sample goes into the batch.
        batch_size: images a step from ``portions``, over all ranks together.
        unlabelled, unlabelled_batch_size: further images a step, whose labels are withheld. They
            come behind the others, and ``n`` does not count them.
        subset: the part of each split of ``portions`` that is used (None: all).
        cache_bytes: decoded images are kept in memory if all of them fit in this many bytes; 0 lets
            a quarter of the machine's memory, 4 GiB at most, be shared by the ranks.
    """

    def __init__(
        self,
        portions: Sequence[Portion],
        *,
        feed: Feed,
        batch_size: int,
        seed: int,
        rank: int = 0,
        world: int = 1,
        unlabelled: Sequence[Portion] = (),
        unlabelled_batch_size: int = 0,
        subset: Subset | None = None,
        with_labels: bool = True,
        cache_bytes: int = 0,
    ) -> None:
        if (batch_size + unlabelled_batch_size) % world:
            raise StrbenchError(
                f"A batch of {batch_size + unlabelled_batch_size} images cannot be shared by "
                f"{world} ranks.",
                hint=f"--set batch_size={(batch_size // world + 1) * world}",
            )
        self.portions = [*portions, *unlabelled]
        self._chosen = len(portions)  # the portions that ``subset`` cuts; the rest is unlabelled
        self.with_labels = with_labels
        self.feed = feed
        self.seed, self.rank, self.world = seed, rank, world
        self.subset = subset
        # ends[p][s]: how many samples of portion p lie in its splits up to and including s
        self._ends = [
            list(accumulate(subset.count(s.n) if subset else s.n for s in portion.splits))
            for portion in portions
        ] + [list(accumulate(split.n for split in portion.splits)) for portion in unlabelled]
        self.counts = _shares(portions, batch_size) + _shares(unlabelled, unlabelled_batch_size)
        self.n = sum(ends[-1] for ends in self._ends[: len(portions)])  # samples in one pass
        self._permutations: dict[tuple[int, int], np.ndarray] = {}
        self._permuting = threading.Lock()
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        cache_bytes = cache_bytes or min(4 << 30, memory // 4) // world
        self._subsets: dict[tuple[int, int], np.ndarray] = {}
        whole = sum(ends[-1] for ends in self._ends)
        fits = whole * feed.nbytes <= cache_bytes
        self._cache: dict[tuple[int, int], Item] | None = {} if fits else None

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

    def _place(self, portion: int, index: int) -> tuple[Split | WordFile, int]:
        ends = self._ends[portion]
        which = bisect_right(ends, index)
        split = self.portions[portion].splits[which]
        index -= ends[which - 1] if which else 0
        if portion < self._chosen and self.subset is not None and self.subset.how == "random":
            index = int(self._drawn(portion, which, split.n)[index])
        return split, index

    def _drawn(self, portion: int, which: int, n: int) -> np.ndarray:
        """The samples of a split in the order in which a random subset takes them."""
        with self._permuting:
            if (portion, which) not in self._subsets:
                drawn = np.random.default_rng([self.seed, portion, which, n]).permutation(n)
                self._subsets[portion, which] = drawn
            return self._subsets[portion, which]

    def _load(self, portion: int, index: int) -> Item:
        if self._cache is not None and (hit := self._cache.get((portion, index))) is not None:
            return hit
        split, i = self._place(portion, index)
        try:
            item = self.feed.load(split, i)
        except StrbenchError as error:
            raise StrbenchError(
                f"{split.name}: {split.ids[i]}: {error.message}.",
                hint=f"strbench data verify {split.name}",
                exit_code=DATA,
            ) from error
        if self._cache is not None:
            self._cache[portion, index] = item
        return item

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

    def batch(self, step: int) -> Batch:
        """This rank's share of batch ``step``, on the CPU.

        Raises:
            StrbenchError: an image cannot be read, or a label is wanted and missing.
        """
        places = [
            (portion, step * count + j)
            for portion, count in enumerate(self.counts)
            for j in range(count)
        ][self.rank :: self.world]
        items: list[Item] = []
        labels: list[str | None] = []
        seeds: list[int] = []
        for portion, position in places:
            index = self._index(portion, position)
            items.append(self._load(portion, index))
            is_labelled = self.with_labels and portion < self._chosen
            labels.append(self._label(portion, index) if is_labelled else None)
            seeds.append(_mix(self.seed, portion, position))
        return self.feed.batch(items, labels, torch.tensor(seeds, dtype=torch.int64))

    def iterate(
        self, start: int, stop: int, *, threads: int = 0, pin: bool = False
    ) -> Generator[Batch]:
        """Batches ``start`` to ``stop - 1``, prepared ahead by threads (0: as many as help).

        With ``pin`` they lie in page-locked memory, so that copying to a CUDA device waits for nothing.
        """
        here = int(os.environ.get("LOCAL_WORLD_SIZE", self.world))  # ranks on this machine
        threads = threads or max(1, min(8, (os.cpu_count() or 2) // (2 * here)))

        def prepared(step: int) -> Batch:
            batch = self.batch(step)
            return batch.pinned() if pin else batch

        pending: deque[Future[Batch]] = deque()
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


def _shares(portions: Sequence[Portion], batch_size: int) -> list[int]:
    """How many images of a batch come from each portion."""
    counts = [round(portion.fraction * batch_size) for portion in portions]
    if counts:
        counts[0] += batch_size - sum(counts)
        if min(counts) < 1:
            raise StrbenchError(
                f"A batch of {batch_size} images has no room for the fraction of every split.",
                hint="Use a larger batch or a larger fraction.",
            )
    return counts


def _mix(seed: int, portion: int, position: int) -> int:
    """A well-spread non-negative 63-bit seed (splitmix64 finaliser, Steele et al. 2014)."""
    mask = (1 << 64) - 1
    z = (seed * 0x9E3779B97F4A7C15 + portion * 0xD1B54A32D192ED03 + position + 1) & mask
    z = (z * 0x9E3779B97F4A7C15) & mask
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
    return (z ^ (z >> 31)) >> 1
