"""What is in an archive: its members one after the other, told apart by content, names made safe.

Zip, tar, and tar compressed with gzip, bzip2 or xz. A member that would leave the folder, a device, a
pipe and what is encrypted are refused here; what is done with the others is ``strbench.archives``.
"""

from __future__ import annotations

import bz2
import errno
import gzip
import lzma
import posixpath
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from strbench.errors import DATA, StrbenchError

_CHUNK = 1 << 18


@dataclass(frozen=True)
class Member:
    """A file or a link of an archive."""

    name: str  # clean relative path with forward slashes
    size: int  # as declared
    open: Callable[[], IO[bytes]] | None  # None for a link
    target: str = ""  # of a link: the clean name of the member it points to


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
def damage_told(archive: Path, what: str = "truncated or damaged") -> Iterator[None]:
    """Turns what the readers of archives raise on bad bytes into an error that names the archive."""
    try:
        yield
    except _DAMAGED as error:
        raise fault(archive, f"{what} ({error or type(error).__name__})") from error
    except OSError as error:
        # bz2 raises one without a number; an offset before the start of the file is EINVAL.
        if error.errno not in (None, errno.EINVAL):
            raise
        raise fault(archive, f"{what} ({error})") from error


def fault(archive: Path, what: str, hint: str = "") -> StrbenchError:
    """An error about an archive."""
    hint = (
        hint or "Do not use this file: fetch it again from its official source, or make it again."
    )
    return StrbenchError(f"{archive}: {what}.", hint=hint, exit_code=DATA)


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
        raise fault(archive, f"member {name!r} would leave the folder it is unpacked to")
    return "/".join(parts)


def _link_target(archive: Path, name: str, target: str, *, hard: bool) -> str:
    joined = target if hard else posixpath.join(posixpath.dirname(name), target)
    normal = posixpath.normpath(joined.replace("\\", "/"))
    if posixpath.isabs(normal) or normal.startswith("..") or re.match(r"[A-Za-z]:", normal):
        raise fault(archive, f"link {name!r} points out of the folder, to {target!r}")
    return normal


@contextmanager
def open_members(archive: Path) -> Iterator[Iterator[Member]]:
    """The members of an archive, in its order, for as long as the block lasts.

    Raises:
        StrbenchError: it is no archive, or a member is refused. Damage raises what zipfile, tarfile
            and the decompressors raise; see ``damage_told``.
    """
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
        raise fault(archive, f"is not a zip or tar archive ({found})")
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


def _zip_members(archive: Path, bundle: zipfile.ZipFile) -> Iterator[Member]:
    for info in bundle.infolist():
        name = _clean(archive, info.filename)
        kind = stat.S_IFMT(info.external_attr >> 16)
        if info.is_dir():
            continue
        if info.flag_bits & 1:
            raise fault(
                archive,
                f"member {name!r} is encrypted",
                f"Unpack it with its password, then import the folder instead of {archive.name}.",
            )
        if kind == stat.S_IFLNK:
            if info.file_size > 4096:  # PATH_MAX on Linux
                raise fault(archive, f"link {name!r} is longer than any path")
            target = bundle.read(info).decode("utf-8", "replace")
            yield Member(name, 0, None, _link_target(archive, name, target, hard=False))
        elif kind not in (0, stat.S_IFREG):
            raise fault(archive, f"member {name!r} is a device or pipe")
        else:
            yield Member(name, info.file_size, lambda info=info: bundle.open(info))  # type: ignore[misc]


def _tar_members(archive: Path, bundle: tarfile.TarFile, plain: _Watched) -> Iterator[Member]:
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
            yield Member(name, 0, None, target)
        elif not info.isreg():
            raise fault(archive, f"member {name!r} is a device or pipe")
        else:
            yield Member(
                name,
                info.size,
                lambda info=info: cast(IO[bytes], bundle.extractfile(info)),  # type: ignore[misc]
            )
    # tarfile takes the end of the file for the end of the archive; only a block of zeros is one.
    if plain.last != bytes(tarfile.BLOCKSIZE):
        raise fault(archive, "truncated (it ends without the closing block of zeros)")
    while plain.read(_CHUNK):  # up to the checksum at the end of a compressed stream
        pass
