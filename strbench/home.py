"""Where strbench keeps things: one folder, shown by ``strbench doctor``."""

from __future__ import annotations

import os
from pathlib import Path

from strbench.errors import StrbenchError


def home() -> Path:
    """The folder of downloads, stores, runs and records: ``$STRBENCH_HOME``, else ``~/.strbench``.

    Its parts: ``raw/`` downloads and files the user dropped in, ``data/<dataset>/<split>/`` stores,
    ``runs/`` trained models, ``records/`` run records, ``predictions/`` prediction files.

    Raises:
        StrbenchError: neither the variable nor a home folder of the user is there.
    """
    configured = os.environ.get("STRBENCH_HOME")
    try:
        return Path(configured).expanduser() if configured else Path.home() / ".strbench"
    except RuntimeError as error:  # a user without an entry and without $HOME, as in containers
        raise StrbenchError(
            "This user has no home folder for strbench to keep its files in.",
            hint="Name a folder: export STRBENCH_HOME=/path/to/folder",
        ) from error
