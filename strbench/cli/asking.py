"""What the verbs that ask models share: the batch size, being cut short, progress."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from strbench.cli.console import Progress
from strbench.errors import PARTIAL, StrbenchError


def batch_size_of(text: str) -> int:
    """What --batch-size says; 0 for auto.

    Raises:
        StrbenchError: it is neither auto nor a number above 0.
    """
    if text == "auto":
        return 0
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise StrbenchError(
        f"--batch-size {text}: expected auto or a number above 0.", hint="--batch-size auto"
    )


@contextmanager
def resumable() -> Iterator[None]:
    """Ctrl-C while reading ends as a partial run: what was read is kept."""
    try:
        yield
    except KeyboardInterrupt:
        raise StrbenchError(
            "Interrupted; the readings made so far are kept.",
            hint="The same command goes on where this one stopped.",
            exit_code=PARTIAL,
        ) from None


def progress(model: str) -> Callable[[str, int, int], None]:
    """A line a split that grows as its images are answered."""
    lines: dict[str, Progress] = {}

    def show(split: str, done: int, total: int) -> None:
        lines.setdefault(split, Progress(f"{model} on {split}"))(done, total)

    return show
