"""Files that are whole or absent: atomic writes, published folders and locks."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from strbench.errors import DATA, StrbenchError

# No room: the disk, the user's quota, or a limit on the size of a file.
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def disk_full(path: Path, reason: str = "") -> StrbenchError:
    """The error for a disk without room for ``path``; what was there before is untouched."""
    folder = next((p for p in (path, *path.parents) if p.exists()), Path("/"))
    free = shutil.disk_usage(folder).free
    return StrbenchError(
        f"The disk is full or cannot be written: {path} ({free / 1e6:.1f} MB free"
        f"{', ' + reason if reason else ''}); nothing was kept of it.",
        hint="Free some space, or set STRBENCH_HOME to another disk, and run the command again.",
        exit_code=DATA,
    )


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary sibling of ``path`` that replaces it when the block ends without an error.

    The temporary file is synced to disk before the rename and removed if the block fails.

    Raises:
        StrbenchError: the disk is full; ``path`` is as it was before.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    os.close(descriptor)
    temporary = Path(name)
    temporary.chmod(0o644)
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise disk_full(path, os.strerror(error.errno)) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


def write_atomically(path: Path, data: bytes | str) -> None:
    """Replace ``path`` by a file that holds ``data``; a reader sees the old or the new one."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data.encode() if isinstance(data, str) else data)


@contextmanager
def new_folder(folder: Path, *, replace: bool = False) -> Iterator[Path]:
    """An empty temporary folder that becomes ``folder`` when the block ends without an error.

    One process at a time: a second one gets an error at once. What a killed process left behind is
    removed by the next one.

    Raises:
        StrbenchError: ``folder`` exists and ``replace`` is False; another process writes it; the
            disk is full.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with lock(folder.parent / f".{folder.name}.lock", what=str(folder)):
        temporary = folder.parent / f".{folder.name}.new"
        old = folder.parent / f".{folder.name}.old"
        if old.exists() and not folder.exists():  # killed between the two renames below
            old.rename(folder)
        for leftover in (temporary, old):
            shutil.rmtree(leftover, ignore_errors=True)
        if folder.exists() and not replace:
            raise StrbenchError(f"{folder} exists already.", hint="Add --replace to write it anew.")
        temporary.mkdir()
        try:
            yield temporary
            _sync_folder(temporary)
            if folder.exists():
                folder.rename(old)
            temporary.rename(folder)
            _sync_folder(folder.parent)
        except OSError as error:
            if error.errno in _NO_ROOM:
                raise disk_full(folder, os.strerror(error.errno)) from error
            raise
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
            if folder.exists():
                shutil.rmtree(old, ignore_errors=True)
            elif old.exists():
                old.rename(folder)


@contextmanager
def lock(path: Path, *, what: str) -> Iterator[None]:
    """Hold ``path`` as this process's alone; the system lets go of it when the process ends.

    Raises:
        StrbenchError: another process holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _locked(path, what) as file:
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def _locked(path: Path, what: str) -> TextIO:
    """The open lock file, held; one that its last owner removed meanwhile does not count."""
    while True:
        file = path.open("a+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.exists() and path.stat().st_ino == os.fstat(file.fileno()).st_ino:
                return file
        except BlockingIOError as error:
            file.seek(0)
            owner = file.read().strip() or "unknown"
            file.close()
            raise StrbenchError(
                f"{what} is being written by another process (number {owner}).",
                hint="Wait for it to end and run the command again; it goes on where that one stopped.",
            ) from error
        except FileNotFoundError:
            pass  # removed between the two looks at it
        file.close()


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
