"""Where strbench keeps things: one folder, shown by ``strbench doctor``."""

from __future__ import annotations

import os
from pathlib import Path


def home() -> Path:
    """The folder of downloads, stores, runs and records: ``$STRBENCH_HOME``, else ``~/.strbench``.

    Its parts: ``raw/`` downloads and files the user dropped in, ``data/<dataset>/<split>/`` stores,
    ``runs/`` trained models, ``records/`` run records, ``predictions/`` prediction files.
    """
    configured = os.environ.get("STRBENCH_HOME")
    return Path(configured).expanduser() if configured else Path.home() / ".strbench"
