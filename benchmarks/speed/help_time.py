"""How long `strbench --help` takes as a whole process, beside bare Python and `import torch`.

    python benchmarks/speed/help_time.py [--rounds 7]

Target: 0.3 s. `python -c pass` is the floor that no Python program goes below; `import torch` is what
the help of a program costs that imports its models first.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from timing import interleaved, show

TARGET = 0.3  # seconds


def process(*command: str) -> Callable[[], object]:
    """A call that runs the command to its end; an error of the command is an error here."""
    return lambda: subprocess.run(command, check=True, capture_output=True)


def main() -> None:
    """Print best and median of each and whether the target is met."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    script = Path(sys.executable).with_name("strbench")
    command = [str(script)] if script.is_file() else [sys.executable, "-m", "strbench"]
    seconds = interleaved(
        {
            "strbench --help": process(*command, "--help"),
            "strbench eval --help": process(*command, "eval", "--help"),
            "python -c pass": process(sys.executable, "-c", "pass"),
            "python -c 'import torch'": process(sys.executable, "-c", "import torch"),
        },
        rounds=rounds,
    )
    show(seconds)
    best = min(seconds["strbench --help"])
    print(f"target {TARGET} s: {'met' if best <= TARGET else 'MISSED'} with {best:.3f} s")


if __name__ == "__main__":
    main()
