"""Runs that were cut short: what their folder says of them, without torch.

``started.json`` lies in a run's folder from its first step to its last: what ``run.json`` will say, how many
steps there are, and the command.
"""

from __future__ import annotations

import csv
import json
import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from strbench.errors import DATA, StrbenchError
from strbench.files import write_atomically
from strbench.home import home
from strbench.models import RUN, RunInfo, load_info

STARTED = "started.json"
CHECKPOINT = "checkpoint.pt"
LOG = "log.csv"


@dataclass(frozen=True, kw_only=True)
class Unfinished:
    """A run that has begun and not ended; it may be in training now."""

    info: RunInfo  # ``key`` is that of its checkpoint
    steps: int  # in all
    argv: list[str]  # the command line that began it

    def save(self, directory: Path) -> None:
        """Write ``started.json``."""
        write_atomically(directory / STARTED, json.dumps(asdict(self), indent=1) + "\n")

    def state(self, directory: Path) -> str:
        """The state in a line; the step is the last one in the log, which a checkpoint may be ahead of."""
        return f"unfinished, after step {_logged(directory / LOG)} of {self.steps}"

    @property
    def command(self) -> str:
        """What to type to go on; "" where it was no command of strbench that began it."""
        words: Sequence[str] = [word for word in self.argv if word != "--replace"]
        return shlex.join(words) if words[:1] == ["strbench"] else ""


def unfinished_runs() -> list[str]:
    """Names of the unfinished runs under the home folder, the newest last."""
    found = sorted((home() / "runs").glob(f"*/{STARTED}"), key=lambda p: p.stat().st_mtime)
    return [path.parent.name for path in found if not (path.parent / RUN).is_file()]


def load_unfinished(directory: Path) -> Unfinished | None:
    """What ``started.json`` says; None where there is none.

    Raises:
        StrbenchError: a damaged file.
    """
    try:
        known = json.loads((directory / STARTED).read_text(encoding="utf-8"))
        return Unfinished(**{**known, "info": RunInfo(**known["info"])})
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise StrbenchError(
            f"{directory / STARTED} is damaged ({error}).",
            hint="Train it again with --replace.",
            exit_code=DATA,
        ) from error


def state_of(directory: Path) -> tuple[RunInfo, str]:
    """What a run's folder says of it, and its state: "finished", or how far it came.

    Raises:
        StrbenchError: a damaged file, or no run.
    """
    run = None if (directory / RUN).is_file() else load_unfinished(directory)
    return (run.info, run.state(directory)) if run else (load_info(directory), "finished")


def refuse_unfinished(name: str) -> None:
    """Raise a StrbenchError where a run of that name, or in that folder, is there but unfinished."""
    for directory in (home() / "runs" / name, Path(name).expanduser()):
        if run := load_unfinished(directory):
            raise StrbenchError(
                f"{name} is {run.state(directory)}.",
                hint=f"To go on: {run.command or 'run the program again that began it'}",
            )


def _logged(log: Path) -> int:
    """The step of the last row; 0 of an empty log."""
    try:
        with log.open(newline="") as file:
            return max((int(row["step"]) for row in csv.DictReader(file)), default=0)
    except (OSError, ValueError, KeyError, TypeError):
        return 0
