"""Seconds of several things timed in turn, so that a busy machine slows them alike.

Shared by the scripts beside it, which are run as files: ``python benchmarks/speed/NAME.py``. A figure
holds for the machine and the run that printed it; only ratios within one run are worth comparing.
"""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping


def interleaved(
    things: Mapping[str, Callable[[], object]], *, rounds: int
) -> dict[str, list[float]]:
    """Seconds of each of ``rounds`` calls: A B C A B C ..., the first round not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in things}
    for turn in range(rounds + 1):
        for name, call in things.items():
            begun = time.perf_counter()
            call()
            took = time.perf_counter() - begun
            if turn:
                seconds[name].append(took)
    return seconds


def show(seconds: Mapping[str, list[float]], *, items: int = 0, unit: str = "items") -> None:
    """Print best, median and, with ``items`` a call, the best rate; then ratios of the best times.

    The first entry is strbench's; the ratio is how many times as long another one took.
    """
    first = next(iter(seconds))
    width = max(map(len, seconds))
    load = os.getloadavg()[0]
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, load {load:.1f}, Python {platform.python_version()}"
    )
    for name, times in seconds.items():
        best = min(times)
        rate = f"  {items / best:12,.0f} {unit}/s" if items else ""
        ratio = "" if name == first else f"  x {best / min(seconds[first]):.2f}"
        print(
            f"{name:{width}}  best {best:7.3f} s  median {statistics.median(times):7.3f} s"
            f"{rate}{ratio}"
        )
