"""Unpack what strangers packed: no path leaves the folder, nothing grows without bound.

``extract`` reads zip, tar and tar compressed with gzip, bzip2 or xz, told apart by content and not
by name. Members are written as plain files with default permissions; links that stay inside become
copies of what they point to. A folder appears whole, by rename, or not at all.
"""

from __future__ import annotations

import errno
import posixpath
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from strbench.archive_members import Member, damage_told, fault, open_members
from strbench.errors import DATA, StrbenchError
from strbench.files import disk_full

_CHUNK = 1 << 18
_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")


@dataclass(frozen=True, kw_only=True)
class Limits:
    """When an archive counts as a bomb. The defaults leave room for every public text dataset."""

    members: int = 5_000_000
    total: int = 200 << 30  # bytes unpacked
    ratio: float = 100.0  # unpacked / packed; text compresses 5 to 20 times, images hardly
    ratio_from: int = 64 << 20  # bytes unpacked below which the ratio does not matter


def is_archive(path: Path) -> bool:
    """Whether the name says that a file is an archive that ``extract`` reads."""
    return path.name.lower().endswith(_SUFFIXES)


@dataclass(frozen=True)
class Packed:
    """A file inside an archive, read where it lies; it reads like a ``Path``."""

    archive: Path
    name: str
    size: int  # bytes, as declared
    _open: Callable[[], IO[bytes]]

    def __str__(self) -> str:
        return f"{self.archive}: {self.name}"

    def open(self, mode: str = "rb") -> IO[bytes]:
        """It as a file to read, in bytes whatever the mode; damage raises zlib's or zipfile's errors."""
        return self._open()

    def read_bytes(self) -> bytes:
        """Its bytes.

        Raises:
            StrbenchError: the archive is damaged here, or holds more than it declares.
        """
        with damage_told(self.archive, f"member {self.name!r} is damaged"), self.open() as file:
            data = file.read(self.size + 1)
        if len(data) != self.size:
            raise fault(
                self.archive,
                f"member {self.name!r} is not the {self.size} bytes that it declares",
            )
        return data


@contextmanager
def open_zip(archive: Path, *, limits: Limits | None = None) -> Iterator[dict[str, Packed]]:
    """The files of a zip by name, read where they lie for as long as the block lasts.

    Nothing is unpacked to disk: a person needs no second 40 GB for SynthText. Names, links, devices,
    doubles and declared sizes are checked as ``extract`` checks them; a link reads its target.

    Raises:
        StrbenchError: as ``extract``.
    """
    limits = limits or Limits()
    with ExitStack() as stack:
        with damage_told(archive):
            members = stack.enter_context(open_members(archive))
            files, links = _index(archive, members, limits)
        for name in links:
            target = _follow(archive, name, links, files)
            files[name] = files[target]
        yield files


def _index(
    archive: Path, members: Iterator[Member], limits: Limits
) -> tuple[dict[str, Packed], dict[str, str]]:
    packed = archive.stat().st_size
    ceiling = _ceiling(packed, limits)
    taken: dict[str, bool] = {}
    files: dict[str, Packed] = {}
    links: dict[str, str] = {}
    total = 0
    for count, member in enumerate(members, 1):
        if count > limits.members:
            raise fault(archive, f"holds more than {limits.members} members")
        _claim(archive, member.name, taken)
        total += member.size
        if total > ceiling:
            raise _bomb(archive, member.name, total, packed)
        if member.open is None:
            links[member.name] = member.target
        else:
            files[member.name] = Packed(archive, member.name, member.size, member.open)
    return files, links


def stream(archive: Path, *, limits: Limits | None = None) -> Iterator[Packed]:
    """The files of an archive in its own order, each to be read before the next; nothing is unpacked.

    For archives of millions of small files, such as MJSynth. Links are left out.

    Raises:
        StrbenchError: as ``extract``, except that a name may occur twice.
    """
    limits = limits or Limits(members=50_000_000)
    packed = archive.stat().st_size
    ceiling = _ceiling(packed, limits)
    total = 0
    with damage_told(archive), open_members(archive) as members:
        for count, member in enumerate(members, 1):
            if count > limits.members:
                raise fault(archive, f"holds more than {limits.members} members")
            total += member.size
            if total > ceiling:
                raise _bomb(archive, member.name, total, packed)
            if member.open is not None:
                yield Packed(archive, member.name, member.size, member.open)


def extract(archive: Path, directory: Path, *, limits: Limits | None = None) -> Path:
    """``directory``, new, holding the files of the archive.

    Raises:
        StrbenchError: the archive is truncated, damaged, encrypted or no archive; a member leaves the
            folder, is a device, or occurs twice; it unpacks to more than the limits; the disk is
            full. The message names archive and member, and nothing is left behind.
    """
    limits = limits or Limits()
    if directory.exists():
        raise StrbenchError(f"{directory} exists already.", hint="Remove it, or unpack elsewhere.")
    directory.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
    try:
        with damage_told(archive), open_members(archive) as members:
            _write_members(archive, members, temporary, limits)
        temporary.chmod(0o755)
        temporary.rename(directory)
    except OSError as error:
        if error.errno in _FULL:
            raise disk_full(directory) from error
        raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return directory


_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def _write_members(archive: Path, members: Iterator[Member], folder: Path, limits: Limits) -> None:
    packed = archive.stat().st_size
    ceiling = _ceiling(packed, limits)
    taken: dict[str, bool] = {}  # path -> whether it is a file
    links: dict[str, str] = {}
    total = 0
    for count, member in enumerate(members, 1):
        if count > limits.members:
            raise fault(archive, f"holds more than {limits.members} members")
        _claim(archive, member.name, taken)
        if member.open is None:
            links[member.name] = member.target
            continue
        if total + member.size > ceiling:
            raise _bomb(archive, member.name, total + member.size, packed)
        if count == 1 or member.size > 64 << 20:
            _need_room(archive, folder, member.size)
        path = folder / member.name
        path.parent.mkdir(parents=True, exist_ok=True)
        written = 0
        with member.open() as source, path.open("xb") as file:
            while chunk := source.read(_CHUNK):
                written += len(chunk)
                if written > member.size or total + written > ceiling:
                    raise _bomb(archive, member.name, total + written, packed)
                file.write(chunk)
        if written != member.size:
            raise fault(
                archive,
                f"member {member.name!r} is truncated (expected {member.size} bytes, found {written})",
            )
        total += written
    for name in links:
        source_path = folder / _follow(archive, name, links, taken)
        total += source_path.stat().st_size
        if total > ceiling:
            raise _bomb(archive, name, total, packed)
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source_path, folder / name)


def _ceiling(packed: int, limits: Limits) -> int:
    """The bytes above which an archive of ``packed`` bytes counts as a bomb."""
    return min(limits.total, max(limits.ratio_from, int(limits.ratio * packed)))


def _follow(archive: Path, name: str, links: Mapping[str, str], files: Mapping[str, object]) -> str:
    """The file that a link leads to in the end."""
    target = name
    for _ in range(len(links) + 1):
        target = links.get(target, target)
    if target in links or not files.get(target):
        raise fault(archive, f"link {name!r} points to {target!r}, which is no file of it")
    return target


def _bomb(archive: Path, name: str, total: int, packed: int) -> StrbenchError:
    return fault(
        archive,
        f"unpacks {packed} bytes to more than {total} at member {name!r}; refused as a bomb",
    )


def _need_room(archive: Path, folder: Path, size: int) -> None:
    free = shutil.disk_usage(folder).free
    if size > free:
        raise StrbenchError(
            f"{archive} needs {size / 1e6:.0f} MB to unpack; {folder.parent} has {free / 1e6:.0f} MB.",
            hint="Free some space, or set STRBENCH_HOME to another disk, and run it again.",
            exit_code=DATA,
        )


def _claim(archive: Path, name: str, taken: dict[str, bool]) -> None:
    if name in taken:
        raise fault(archive, f"member {name!r} occurs twice")
    taken[name] = True
    parent = posixpath.dirname(name)
    while parent:
        if taken.setdefault(parent, False):
            raise fault(archive, f"{parent!r} is a file and a folder at once")
        parent = posixpath.dirname(parent)
