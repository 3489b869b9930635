"""Where a run happened: the code, the machine and the command line, without naming a person."""

from __future__ import annotations

import getpass
import os
import platform
import re
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

from strbench.home import home

_PACKAGES = ("torch", "numpy", "pillow", "simplejpeg", "onnxruntime", "rapidocr")


def expand(path: str) -> Path:
    """The file on this machine that a stored path means."""
    if path.startswith("$STRBENCH_HOME/"):
        return home() / path.removeprefix("$STRBENCH_HOME/")
    return Path(path).expanduser()


def anonymous(text: str) -> str:
    """``text`` without the home folder and without the user's name as part of a path."""
    text = shorten(text)
    user = _user()
    if not user:
        return text
    return re.sub(rf"(?<=/){re.escape(user)}(?=/|$)", "USER", text)


def shorten(text: str) -> str:
    """``text`` with ``$STRBENCH_HOME`` and ``~`` for the two home folders; ``expand`` undoes it."""
    for folder, stand_in in ((home().absolute(), "$STRBENCH_HOME"), (Path.home(), "~")):
        if folder != Path("/"):
            whole = rf"(?<![\w./-]){re.escape(str(folder))}(?=$|[/\s'\":,;)])"
            text = re.sub(whole, stand_in, text)
    return text


@cache
def _user() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container without an entry for this user
        return ""
    return "" if user == "root" else user


def anonymous_settings(value: Any) -> Any:
    """``value``, as ``plain`` makes it, with every text in it anonymous."""
    if isinstance(value, str):
        return anonymous(value)
    if isinstance(value, dict):
        return {key: anonymous_settings(item) for key, item in value.items()}
    if isinstance(value, list):
        return [anonymous_settings(item) for item in value]
    return value


def plain(value: Any) -> Any:
    """``value`` in JSON's own types; a path or any other object becomes its text."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        items = [plain(item) for item in value]
        return sorted(items, key=str) if isinstance(value, set | frozenset) else items
    return str(value)


def git_state() -> dict[str, Any] | None:
    """Commit and dirty flag of the checkout that strbench runs from; None if it is no checkout."""
    root = Path(__file__).resolve().parents[1]
    if not ((root / ".git").exists() and (root / "pyproject.toml").is_file()):
        return None
    # A hook or another tool may have left GIT_DIR and the like, which point elsewhere.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}

    def ask(*arguments: str) -> str | None:
        try:
            answer = subprocess.run(
                ["git", "-C", str(root), *arguments],
                capture_output=True,
                text=True,
                env=environment,
                timeout=20,  # seconds; a status on a slow network disk
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return answer.stdout.strip() if answer.returncode == 0 else None

    commit = ask("rev-parse", "HEAD")
    if commit is None:
        return None
    changes = ask("status", "--porcelain", "--", "strbench", "baselines")
    return {"commit": commit, "dirty": None if changes is None else bool(changes)}


def environment_now() -> dict[str, Any]:
    """Versions, platform and threads; torch is described only where the run has loaded it."""
    found: dict[str, Any] = {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cpus": os.cpu_count(),
        "threads": os.environ.get("OMP_NUM_THREADS"),
    }
    for package in _PACKAGES:
        try:
            found[package] = installed(package)
        except PackageNotFoundError:
            continue
    torch = sys.modules.get("torch")
    if torch is not None:
        found["threads"] = torch.get_num_threads()
    return found
