"""Open LMDBs of this process, checked, and what lies in them.

LMDB allows one opening of a file in a process, and none to a child beside the one it inherited.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path

import lmdb

from strbench.errors import DATA, StrbenchError


def _open_lmdb(folder: Path) -> lmdb.Environment:
    path = folder / "data.mdb"
    if not path.is_file():
        raise StrbenchError(
            f"{folder} holds no data.mdb.",
            hint="Name the folder of an LMDB, or import the split again.",
            exit_code=DATA,
        )
    try:
        env = lmdb.open(
            str(folder), readonly=True, lock=False, readahead=False, meminit=False, max_readers=512
        )
    except lmdb.Error as error:
        raise StrbenchError(
            f"{path} is not a readable LMDB ({error}).",
            hint="The file may be truncated: fetch or copy it again.",
            exit_code=DATA,
        ) from error
    # LMDB maps the file and does not look at its size: a page behind the end would kill the process.
    expected = (env.info()["last_pgno"] + 1) * env.stat()["psize"]
    found = path.stat().st_size
    if found < expected:
        env.close()
        raise StrbenchError(
            f"{path} is truncated: expected at least {expected} bytes, found {found}.",
            hint="Fetch or copy the file again.",
            exit_code=DATA,
        )
    return env


# folder -> device and inode of its data.mdb, and the open LMDB
_environments: dict[Path, tuple[tuple[int, int], lmdb.Environment]] = {}
_environments_lock = threading.Lock()


def _forget_environments() -> None:
    """In a forked child: its copies are closed, because LMDB refuses to open a file twice."""
    global _environments_lock
    _environments_lock = threading.Lock()  # a thread that is not in the child may have held it
    for _, env in _environments.values():
        env.close()
    _environments.clear()


os.register_at_fork(after_in_child=_forget_environments)


def _environment(folder: Path, *, refresh: bool = False) -> lmdb.Environment:
    """The open environment of a folder; with ``refresh``, another one if the file was replaced."""
    held = _environments.get(folder)
    if held is not None and not refresh:
        return held[1]
    with _environments_lock:
        path = folder / "data.mdb"
        file = (path.stat().st_dev, path.stat().st_ino) if path.is_file() else (0, 0)
        held = _environments.pop(folder, None)
        if held is not None and held[0] != file and held not in _environments.values():
            held[1].close()
        # The same file may be open under another name: a link, or the one it had before a move.
        same = (
            env for key, env in [*_environments.values(), *([held] if held else [])] if key == file
        )
        env = next(same, None) or _open_lmdb(folder)
        _environments[folder] = (file, env)
        return env


def read_key(folder: Path, key: bytes) -> bytes | None:
    """The value of a key of the LMDB in ``folder``."""
    try:
        with _environment(folder).begin() as transaction:
            value: bytes | None = transaction.get(key)
            return value
    except lmdb.Error as error:
        raise StrbenchError(
            f"{folder / 'data.mdb'} is damaged: {key.decode()} cannot be read ({error}).",
            hint="Fetch or copy the file again.",
            exit_code=DATA,
        ) from error


def transaction_number(folder: Path) -> int:
    """The number of the last transaction of the LMDB in ``folder``: it grows with every change."""
    return int(_environment(folder, refresh=True).info()["last_txnid"])


def count_keys(folder: Path) -> int:
    """How many keys the LMDB in ``folder`` has."""
    return int(_environment(folder).stat()["entries"])


def count_samples(folder: Path) -> int:
    """What ``num-samples`` of the LMDB in ``folder`` says.

    Raises:
        StrbenchError: no LMDB there, or one without that key.
    """
    folder = folder.resolve()
    _environment(folder, refresh=True)
    value = read_key(folder, b"num-samples")
    if value is None or not value.strip().isdigit():
        raise StrbenchError(
            f"{folder} has no key num-samples with a number (found {value!r}).",
            hint="Is it a recognition LMDB in the clovaai key scheme? If not, import a folder.",
            exit_code=DATA,
        )
    return int(value)
