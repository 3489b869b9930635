"""Bring one file from the network, whole and checked, or not at all.

Mirrors are tried in order. Bytes go to ``NAME.part`` beside the destination and are resumed with
``Range`` after a cut connection or a killed process; only a file that passed its checks gets its
name. A checksum that does not match leaves the file as ``NAME.mismatch``, which nothing reads. TLS
certificates are always verified.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import random
import shutil
import time
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from strbench.errors import DATA, StrbenchError
from strbench.files import file_sha256, lock, write_atomically
from strbench.home import home
from strbench.transfer import Again, Refused, Remote, Report, forget, transfer

__all__ = ["Remote", "Report", "checksum_fault", "download", "file_sha256", "require_licence"]

_LONGEST_WAIT = 60.0  # seconds, also where a server asks for more
_UNFINISHED = (".part", ".part.json", ".mismatch", ".lock")


def is_unfinished(path: Path) -> bool:
    """Whether a name marks a partial or refused download, which is never read as data."""
    return path.name.endswith(_UNFINISHED)


def checksum_fault(remote: Remote, path: Path) -> str:
    """ "" if the file is one of the known ones or none is known, else what was expected and found."""
    if not remote.sha256 and not remote.md5:
        size = path.stat().st_size
        if remote.size and size != remote.size:
            return f"expected {remote.size} bytes, found {size}"
        return ""
    found: list[str] = []
    for algorithm, known in (("sha256", remote.sha256), ("md5", remote.md5)):
        if known:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, algorithm).hexdigest()
            if digest in known:
                return ""
            found.append(f"expected {algorithm} {' or '.join(known)}, found {digest}")
    return "; ".join(found)


def download(
    source: Remote,
    destination: Path,
    *,
    offline: bool = False,
    by_hand: str = "",
    timeout: float = 30.0,
    retries: int = 4,
    pause: float = 1.0,
    report: Report | None = None,
) -> Path:
    """``destination``, holding the file: as it was if it is there and right, else downloaded.

    Args:
        by_hand: the advice to give where no mirror helps: which file, from where, to which folder.
        timeout: seconds without a byte before a try counts as broken.
        retries: tries in a row without a new byte before the next mirror.
        pause: seconds before the first retry; doubles each time.

    Raises:
        StrbenchError: ``offline`` and the file is absent, no mirror gave it, a checksum differs, or
            the disk is full. What came so far stays as ``.part`` and is resumed next time.
    """
    if not destination.exists():
        if offline:
            raise StrbenchError(
                f"{destination} is not there and --offline forbids to fetch it.",
                hint=by_hand or "Run the command again without --offline.",
                exit_code=DATA,
            )
        destination.parent.mkdir(parents=True, exist_ok=True)
        with _alone(destination):
            if not destination.exists():  # another process may have brought it meanwhile
                _from_mirrors(source, destination, by_hand, timeout, retries, pause, report)
                return destination
    fault = checksum_fault(source, destination)
    if fault:
        raise StrbenchError(
            f"{destination} is not the known file ({fault}): another version, or upstream changed.",
            hint="Remove it and fetch again; or, to use it as it is: strbench data import NAME "
            f"{destination}",
            exit_code=DATA,
        )
    return destination


def _from_mirrors(
    source: Remote,
    destination: Path,
    by_hand: str,
    timeout: float,
    retries: int,
    pause: float,
    report: Report | None,
) -> None:
    failures: list[str] = []
    for url in source.urls:
        try:
            _from_mirror(url, source, destination, timeout, retries, pause, report)
            return
        except Refused as refusal:
            failures.append(f"{urllib.parse.urlsplit(url).netloc or url}: {refusal}")
    raise StrbenchError(
        f"{source.file} could not be fetched from {len(failures)} "
        f"source{'s'[: len(failures) != 1]}: {'; '.join(failures) or 'no address is known'}.",
        hint=by_hand or "Run the command again later; it goes on where this one stopped.",
        exit_code=DATA,
    )


def _from_mirror(
    url: str,
    source: Remote,
    destination: Path,
    timeout: float,
    retries: int,
    pause: float,
    report: Report | None,
) -> None:
    part = _part(destination)
    left = retries
    restarted = False
    while True:
        before = part.stat().st_size if part.exists() else 0
        try:
            resumed = transfer(url, source, part, timeout, report)
        except Again as cut:
            grown = part.exists() and part.stat().st_size > before
            left = retries if grown else left - 1
            if left < 0:
                raise Refused(f"{cut} (after {retries + 1} tries)") from cut
            wait = max(cut.wait, pause * 2.0 ** (retries - left) * random.uniform(0.5, 1.0))
            time.sleep(min(wait, _LONGEST_WAIT))
            continue
        except OSError as error:
            raise _write_error(error, destination) from error
        fault = checksum_fault(source, part)
        if not fault:
            break
        if resumed and not restarted:  # the first bytes may be of an older version
            forget(part)
            restarted = True
            continue
        aside = destination.with_name(destination.name + ".mismatch")
        part.replace(aside)
        forget(part)
        raise Refused(
            f"{fault}; upstream changed, the file is kept as {aside} (who trusts it renames it and "
            "brings it in with `strbench data import`)"
        )
    with part.open("rb+") as file:
        os.fsync(file.fileno())
    part.replace(destination)
    forget(part)


def _part(destination: Path) -> Path:
    return destination.with_name(destination.name + ".part")


def _write_error(error: OSError, destination: Path) -> StrbenchError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        free = shutil.disk_usage(destination.parent).free
        return StrbenchError(
            f"The disk is full while downloading {destination} ({free / 1e6:.0f} MB free).",
            hint="Free some space and run the command again: it resumes from the .part file.",
            exit_code=DATA,
        )
    return StrbenchError(
        f"{_part(destination)} cannot be written ({error}).",
        hint="Check the permissions of the folder, or set STRBENCH_HOME to another one.",
        exit_code=DATA,
    )


@contextmanager
def _alone(destination: Path) -> Iterator[None]:
    """Hold the download of ``destination``; wait while another process holds it."""
    path = destination.with_name(f".{destination.name}.lock")
    while True:
        held = lock(path, what=str(destination))
        try:
            held.__enter__()
            break
        except StrbenchError as error:
            if not isinstance(error.__cause__, BlockingIOError):
                raise
            time.sleep(0.2)
    try:
        yield
    finally:
        held.__exit__(None, None, None)


def require_licence(
    dataset: str, licence: str, *, accepted: bool, ask: Callable[[str], bool] | None = None
) -> None:
    """Return once the licence is accepted; an acceptance is kept in ``<home>/licences``.

    Args:
        accepted: the user said ``--accept-licence``.
        ask: puts the question on a terminal; None where there is none.

    Raises:
        StrbenchError: it is not accepted.
    """
    path = home() / "licences" / f"{dataset}.json"
    try:
        if json.loads(path.read_text(encoding="utf-8")).get("licence") == licence:
            return
    except (FileNotFoundError, ValueError, AttributeError):
        pass
    how = "--accept-licence" if accepted else "prompt"
    if not accepted and not (ask and ask(f"Licence of {dataset}: {licence}. Accept it?")):
        raise StrbenchError(
            f"{dataset} comes under this licence, which is not accepted yet: {licence}.",
            hint=f"Read it, then: strbench data fetch {dataset} --accept-licence",
        )
    now = datetime.now(UTC).isoformat(timespec="seconds")
    record = {"dataset": dataset, "licence": licence, "accepted": now, "how": how}
    write_atomically(path, json.dumps(record, indent=1, ensure_ascii=False) + "\n")
