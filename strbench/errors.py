"""One error type: what went wrong in one sentence, and the next command to type."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

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


def unknown_name(kind: str, name: str, known: Iterable[str], *, hint: str = "") -> StrbenchError:
    """An error for an unknown name that lists the three nearest known ones, the nearest first.

    >>> print(unknown_name("dataset", "cute", ["svt", "cute80"]).message)
    No dataset is named 'cute'; near names: cute80, svt.
    """
    names = sorted(set(known))
    folded = {candidate.casefold(): candidate for candidate in names}
    # A cutoff of 0 ranks all of them: with three names shown, a poor third does no harm.
    near = [folded[n] for n in get_close_matches(name.casefold(), list(folded), n=3, cutoff=0.0)]
    listed = f"near names: {', '.join(near)}" if near else "there are none yet"
    return StrbenchError(f"No {kind} is named {name!r}; {listed}.", hint=hint)


def in_own_code(what: str, error: Exception) -> StrbenchError:
    """An error for an exception that code of the user's own raised: what, and in which line.

    The line is the innermost one that is in no installed package; else the first one below the caller.
    """
    import sys
    from traceback import extract_tb

    frames = extract_tb(error.__traceback__)[1:] or extract_tb(error.__traceback__)
    installed = (sys.prefix, sys.base_prefix, "<")
    own = [frame for frame in frames if not frame.filename.startswith(installed)] or frames[:1]
    where = f" ({own[-1].filename}:{own[-1].lineno})" if own else ""
    told = f"{type(error).__name__}: {error}".strip().rstrip(":.")
    return StrbenchError(
        f"{what}: {told}{where}.",
        hint="Put STRBENCH_DEBUG=1 before the same command: it shows the whole traceback.",
    )
