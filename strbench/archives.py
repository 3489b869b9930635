"""Unpack what strangers packed: no path leaves the folder, nothing grows without bound.

``extract`` reads zip, tar and tar compressed with gzip, bzip2 or xz, told apart by content and not
by name. Members are written as plain files with default permissions; links that stay inside become
copies of what they point to. A folder appears whole, by rename, or not at all.
"""

from __future__ import annotations

import bz2
import errno
import gzip
import lzma
import posixpath
import re
import shutil
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

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


@dataclass(frozen=True)
class _Member:
    name: str  # clean relative path with forward slashes
    size: int  # as declared
    open: Callable[[], IO[bytes]] | None  # None for a link
    target: str = ""  # of a link: the clean name of the member it points to


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
        with _damage_told(self.archive, f"member {self.name!r} is damaged"), self.open() as file:
            data = file.read(self.size + 1)
        if len(data) != self.size:
            raise _fault(
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
        with _damage_told(archive):
            members = stack.enter_context(_members(archive))
            files, links = _index(archive, members, limits)
        for name in links:
            target = _follow(archive, name, links, files)
            files[name] = files[target]
        yield files


def _index(
    archive: Path, members: Iterator[_Member], limits: Limits
) -> tuple[dict[str, Packed], dict[str, str]]:
    packed = archive.stat().st_size
    ceiling = _ceiling(packed, limits)
    taken: dict[str, bool] = {}
    files: dict[str, Packed] = {}
    links: dict[str, str] = {}
    total = 0
    for count, member in enumerate(members, 1):
        if count > limits.members:
            raise _fault(archive, f"holds more than {limits.members} members")
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
    with _damage_told(archive), _members(archive) as members:
        for count, member in enumerate(members, 1):
            if count > limits.members:
                raise _fault(archive, f"holds more than {limits.members} members")
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
        with _damage_told(archive), _members(archive) as members:
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
_DAMAGED = (
    zipfile.BadZipFile,
    tarfile.TarError,
    gzip.BadGzipFile,
    lzma.LZMAError,
    zlib.error,
    EOFError,
    NotImplementedError,  # zipfile: an unknown compression method
)


@contextmanager
def _damage_told(archive: Path, what: str = "truncated or damaged") -> Iterator[None]:
    """Turns what the readers of archives raise on bad bytes into an error that names the archive."""
    try:
        yield
    except _DAMAGED as error:
        raise _fault(archive, f"{what} ({error or type(error).__name__})") from error
    except OSError as error:
        # bz2 raises one without a number; an offset before the start of the file is EINVAL.
        if error.errno not in (None, errno.EINVAL):
            raise
        raise _fault(archive, f"{what} ({error})") from error


def _fault(archive: Path, what: str, hint: str = "") -> StrbenchError:
    hint = hint or "Do not use this file; fetch the archive again from its official source."
    return StrbenchError(f"{archive}: {what}.", hint=hint, exit_code=DATA)


def _write_members(archive: Path, members: Iterator[_Member], folder: Path, limits: Limits) -> None:
    packed = archive.stat().st_size
    ceiling = _ceiling(packed, limits)
    taken: dict[str, bool] = {}  # path -> whether it is a file
    links: dict[str, str] = {}
    total = 0
    for count, member in enumerate(members, 1):
        if count > limits.members:
            raise _fault(archive, f"holds more than {limits.members} members")
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
            raise _fault(
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
        raise _fault(archive, f"link {name!r} points to {target!r}, which is no file of it")
    return target


def _bomb(archive: Path, name: str, total: int, packed: int) -> StrbenchError:
    return _fault(
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
        raise _fault(archive, f"member {name!r} occurs twice")
    taken[name] = True
    parent = posixpath.dirname(name)
    while parent:
        if taken.setdefault(parent, False):
            raise _fault(archive, f"{parent!r} is a file and a folder at once")
        parent = posixpath.dirname(parent)


def _clean(archive: Path, name: str) -> str:
    """The member name as a relative path with forward slashes."""
    plain = name.replace("\\", "/")
    parts = [part for part in plain.split("/") if part not in ("", ".")]
    if (
        plain.startswith("/")
        or re.match(r"[A-Za-z]:", plain)
        or ".." in parts
        or "\0" in name
        or not parts
    ):
        raise _fault(archive, f"member {name!r} would leave the folder it is unpacked to")
    return "/".join(parts)


def _link_target(archive: Path, name: str, target: str, *, hard: bool) -> str:
    joined = target if hard else posixpath.join(posixpath.dirname(name), target)
    normal = posixpath.normpath(joined.replace("\\", "/"))
    if posixpath.isabs(normal) or normal.startswith("..") or re.match(r"[A-Za-z]:", normal):
        raise _fault(archive, f"link {name!r} points out of the folder, to {target!r}")
    return normal


@contextmanager
def _members(archive: Path) -> Iterator[Iterator[_Member]]:
    with archive.open("rb") as file:
        magic = file.read(262)
    if magic[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        with zipfile.ZipFile(archive) as bundle:
            yield _zip_members(archive, bundle)
        return
    openers: dict[bytes, Callable[[Path], Any]] = {
        b"\x1f\x8b": gzip.GzipFile,
        b"BZh": bz2.BZ2File,
        b"\xfd7zXZ": lzma.LZMAFile,
    }
    opener = next((v for k, v in openers.items() if magic.startswith(k)), None)
    if opener is None and magic[257:262] != b"ustar":
        found = "it is empty" if not magic else f"it begins with {magic[:8]!r}"
        if magic.lstrip().lower().startswith((b"<!doctype html", b"<html")):
            found = "it is a web page, probably a login or quota page saved under this name"
        raise _fault(archive, f"is not a zip or tar archive ({found})")
    with ExitStack() as stack:
        plain = _Watched(stack.enter_context(opener(archive) if opener else archive.open("rb")))
        tar = stack.enter_context(tarfile.open(fileobj=cast(IO[bytes], plain), mode="r:"))
        yield _tar_members(archive, tar, plain)


class _Watched:
    """A file that remembers its last read, so that the end of an archive can be told from a cut."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self.last = b""

    def read(self, size: int = -1) -> bytes:
        self.last = self._file.read(size)
        return self.last

    def seek(self, offset: int, whence: int = 0) -> int:
        return int(self._file.seek(offset, whence))

    def tell(self) -> int:
        return int(self._file.tell())


def _zip_members(archive: Path, bundle: zipfile.ZipFile) -> Iterator[_Member]:
    for info in bundle.infolist():
        name = _clean(archive, info.filename)
        kind = stat.S_IFMT(info.external_attr >> 16)
        if info.is_dir():
            continue
        if info.flag_bits & 1:
            raise _fault(
                archive,
                f"member {name!r} is encrypted",
                f"Unpack it with its password, then import the folder instead of {archive.name}.",
            )
        if kind == stat.S_IFLNK:
            if info.file_size > 4096:  # PATH_MAX on Linux
                raise _fault(archive, f"link {name!r} is longer than any path")
            target = bundle.read(info).decode("utf-8", "replace")
            yield _Member(name, 0, None, _link_target(archive, name, target, hard=False))
        elif kind not in (0, stat.S_IFREG):
            raise _fault(archive, f"member {name!r} is a device or pipe")
        else:
            yield _Member(name, info.file_size, lambda info=info: bundle.open(info))  # type: ignore[misc]


def _tar_members(archive: Path, bundle: tarfile.TarFile, plain: _Watched) -> Iterator[_Member]:
    while (info := bundle.next()) is not None:
        # tarfile keeps every member, which is 4 GB for MJSynth's 9 million
        bundle.members.clear()  # type: ignore[attr-defined]
        if info.isdir() and info.name.strip("./") == "":
            continue
        name = _clean(archive, info.name)
        if info.isdir():
            continue
        if info.issym() or info.islnk():
            target = _link_target(archive, name, info.linkname, hard=info.islnk())
            yield _Member(name, 0, None, target)
        elif not info.isreg():
            raise _fault(archive, f"member {name!r} is a device or pipe")
        else:
            yield _Member(
                name,
                info.size,
                lambda info=info: cast(IO[bytes], bundle.extractfile(info)),  # type: ignore[misc]
            )
    # tarfile takes the end of the file for the end of the archive; only a block of zeros is one.
    if plain.last != bytes(tarfile.BLOCKSIZE):
        raise _fault(archive, "truncated (it ends without the closing block of zeros)")
    while plain.read(_CHUNK):  # up to the checksum at the end of a compressed stream
        pass
