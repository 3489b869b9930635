"""One error type: what went wrong in one sentence, and the next command to type."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from difflib import get_close_matches
from types import TracebackType

USAGE = 2  # the user's request cannot be met as typed
DATA = 3  # a file is corrupt, incomplete or not what its manifest says
DEVICE = 4  # the device ran out of memory
PARTIAL = 5  # the run stopped before its end; the same command resumes it


class StrbenchError(Exception):
    """A mistake that a person can mend; printed without a traceback by the command line.

    Args:
        message: one sentence: the thing, what was expected, what was found.
        hint: one line: the next command to type, or what to change.
        exit_code: one of ``USAGE``, ``DATA``, ``DEVICE``, ``PARTIAL``.
    """

    def __init__(self, message: str, *, hint: str = "", exit_code: int = USAGE) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.exit_code = exit_code

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


def near_names(name: str, known: Iterable[str]) -> list[str]:
    """The three known names that are most like this one, the nearest first; fewer where fewer are known.

    >>> near_names("cute", ["svt", "cute80"])
    ['cute80', 'svt']
    """
    folded = {candidate.casefold(): candidate for candidate in sorted(set(known))}
    # A cutoff of 0 ranks all of them: with three names shown, a poor third does no harm.
    return [folded[n] for n in get_close_matches(name.casefold(), list(folded), n=3, cutoff=0.0)]


def unknown_name(kind: str, name: str, known: Iterable[str], *, hint: str = "") -> StrbenchError:
    """An error for an unknown name that lists the three nearest known ones, the nearest first.

    >>> print(unknown_name("dataset", "cute", ["svt", "cute80"]).message)
    No dataset is named 'cute'; near names: cute80, svt.
    """
    near = near_names(name, known)
    listed = f"near names: {', '.join(near)}" if near else "there are none yet"
    return StrbenchError(f"No {kind} is named {name!r}; {listed}.", hint=hint)


class OwnCode:
    """``with OwnCode(what):`` around code of the user's own, which may raise anything.

    What it raises becomes a StrbenchError that tells what was asked and in which line it happened: the
    innermost one that is in no installed package, else the first one below the caller. A StrbenchError
    and exhausted memory pass as they are.
    """

    def __init__(self, what: str) -> None:
        self.what = what

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: object, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not isinstance(error, Exception) or isinstance(error, StrbenchError | MemoryError):
            return
        from traceback import extract_tb

        frames = extract_tb(trace)[1:] or extract_tb(trace)
        installed = (sys.prefix, sys.base_prefix, "<")
        own = [frame for frame in frames if not frame.filename.startswith(installed)] or frames[:1]
        told = f"{type(error).__name__}: {error}".strip().rstrip(":.")
        raise StrbenchError(
            f"{self.what}: {told} ({own[-1].filename}:{own[-1].lineno}).",
            hint="Put STRBENCH_DEBUG=1 before the same command: it shows the whole traceback.",
        ) from error
