"""What a command of the command line leaves behind when a test runs it in its own process."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class Outcome(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def last(self) -> str:
        """The last line of stderr."""
        return self.err.strip().splitlines()[-1]


Run = Callable[..., Outcome]  # the fixture ``run`` of conftest.py
