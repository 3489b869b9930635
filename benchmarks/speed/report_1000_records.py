"""`strbench report` over 1,000 run records, as a whole process, beside a bare JSON and pandas pivot.

Claim: under 2 s, imports included. The alternative reads the same files with ``json.load`` and pivots
them with pandas: no validation, no selection, no ties, no averages, no signatures. Both run in this
session in turn, so that the ratio holds on a busy machine too.

    python benchmarks/speed/report_1000_records.py
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from strbench import records
from strbench.scores import Accuracy, Score, Similarity, Stored

N = 1000
REPEATS = 5
LIMIT = 2.0  # seconds
SIZES = {
    "iiit5k": 3000, "svt": 647, "ic13_857": 857, "ic15_1811": 1811, "svtp": 645, "cute80": 288,
}  # fmt: skip

PIVOT = """
import json, sys
from pathlib import Path
import pandas as pd
rows = []
for path in Path(sys.argv[1]).glob("*.json"):
    with path.open() as file:
        record = json.load(file)
    for score in record["scores"]:
        count = score["word_accuracy"]
        rows.append((record["name"], score["split"], 100 * count["correct"] / count["n"]))
frame = pd.DataFrame(rows, columns=["model", "split", "value"])
table = frame.pivot_table(index="model", columns="split", values="value", aggfunc="last").round(1)
print(table.to_csv(sep="|"))
"""

REPORT = "from strbench.cli import main; main()"


def write(folder: Path) -> int:
    """1,000 successful runs of as many models on the six common sets; their bytes."""
    size = 0
    for number in range(N):
        record = records.Record(
            path=folder / f"{number:04}.json",
            run_id=f"{number:016x}",
            status="success",
            kind="eval",
            name=f"model-{number:04}.paper",
            started=f"2026-01-01T00:{number // 60:02}:{number % 60:02}+00:00",
            argv=["strbench", "eval", "--model", f"model-{number:04}.paper", "--suite", "common"],
            config={"resolved": {f"setting_{i}": i for i in range(20)}, "typed": []},
            environment={"python": "3.11.7", "torch": "2.13.0", "device": "cpu"},
        )
        for dataset, n in SIZES.items():
            correct = n // 2 + (number * 7 + n) % (n // 2)
            record.scores.append(
                Score(
                    split=f"{dataset}/test",
                    fingerprint="3f" * 32,
                    n=n,
                    protocol="strbench-36",
                    signature="wacc|case:lower|chars:36|labels:standard|resize:native"
                    f"|n:{n}|{dataset}/test@3f3f3f3f|v0.1",
                    word_accuracy=Accuracy(
                        correct=correct, n=n, low=correct / n - 0.01, high=correct / n + 0.01
                    ),
                    one_minus_ned=Similarity(sum=float(correct), n=n),
                    ladder={"exact": correct - 10, "case": correct - 5, "alnum": correct},
                    predictions=Stored(
                        path=f"$STRBENCH_HOME/predictions/{number}/{dataset}.parquet",
                        sha256="cd" * 32,
                    ),
                )
            )
        size += record.save().stat().st_size
    return size


def seconds(command: list[str]) -> float:
    """Wall time of a whole process, start of the interpreter included."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    begin = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    took = time.perf_counter() - begin
    lines = sum("model-" in line for line in done.stdout.splitlines())
    if lines != N:
        raise SystemExit(f"{command[:3]} printed {lines} of {N} models")
    return took


def main() -> None:
    """Print both times, their ratio and whether the claim holds; exit 1 where it does not."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        size = write(folder)
        words = ["report", "--markdown", "--records", str(folder)]
        report = [sys.executable, "-c", REPORT, *words]
        pivot = [sys.executable, "-c", PIVOT, str(folder)]
        ours, theirs = [], []
        for _ in range(REPEATS):
            ours.append(seconds(report))
            theirs.append(seconds(pivot))
    print(f"{N} records, {size / 1e6:.1f} MB, best and median of {REPEATS} whole processes")
    for label, times in (
        ("strbench report --markdown", ours),
        ("json.load + pandas pivot", theirs),
    ):
        ordered = sorted(times)
        print(f"{label:28} {ordered[0]:.2f} s {ordered[len(ordered) // 2]:.2f} s")
    ratio = sorted(theirs)[REPEATS // 2] / sorted(ours)[REPEATS // 2]
    median = sorted(ours)[REPEATS // 2]
    print(
        f"ratio of medians {ratio:.2f}; target under {LIMIT:.0f} s: {'met' if median < LIMIT else 'MISSED'}"
    )
    sys.exit(0 if median < LIMIT else 1)


if __name__ == "__main__":
    main()
