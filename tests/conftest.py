"""Fixtures that several test files share."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from hypothesis import settings
from running import Outcome, Run

os.environ.setdefault("OMP_NUM_THREADS", "1")
# Waiting threads sleep: tests share their cores with whatever else runs.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "0")

settings.register_profile("strbench", deadline=None)  # a busy machine is no failure
settings.load_profile("strbench")

SHARED = Path(os.environ.get("STRBENCH_SHARED", Path(__file__).parents[2] / "shared"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real images, annotations and oracles; tests that need it skip without it."""
    if not (SHARED / "real").is_dir():
        pytest.skip(f"real data and oracles are not at {SHARED} (set STRBENCH_SHARED)")
    return SHARED


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty strbench home of this test alone."""
    path = tmp_path / "home"
    monkeypatch.setenv("STRBENCH_HOME", str(path))
    return path


@pytest.fixture
def run(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command in this process, as ``strbench`` does, in an empty home."""
    from strbench.cli import main

    def go(*words: str | Path) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["strbench", *map(str, words)])
        with pytest.raises(SystemExit) as left:
            main()
        captured = capsys.readouterr()
        code = left.value.code
        return Outcome(code if isinstance(code, int) else 0, captured.out, captured.err)

    return go
