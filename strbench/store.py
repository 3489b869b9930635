"""A split on disk: an LMDB in the field's own key scheme beside a manifest that says what it is.

Layout of ``<home>/data/<dataset>/<split>/``: ``data.mdb`` with ``num-samples`` (ASCII integer),
``image-%09d`` (encoded JPEG or PNG as found), ``label-%09d`` (UTF-8), counted from 1, so that PARSeq,
OpenOCR and clovaai read it as it is; beside them our ``id-%09d`` and ``group-%09d``, and
``manifest.json``. Ids live in the LMDB and not in the manifest, which stays readable at 16 million
samples. An LMDB that the user already has is adopted where it lies: the manifest then points to it,
nothing is written there, and ids are the 1-based index in nine digits.

A folder appears whole, by rename, or not at all.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import lmdb

from strbench.errors import DATA, StrbenchError
from strbench.files import disk_full, new_folder
from strbench.home import home
from strbench.loading import decode
from strbench.types import Sample

SPEC_VERSION = 1
_CHUNK = 256  # samples a worker takes at once, and a transaction holds
_MODULUS = 1 << 256


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a split is and where it came from; the content of ``manifest.json``."""

    spec_version: int = SPEC_VERSION
    dataset: str
    split: str
    task: str = "recognition"
    n: int
    fingerprint: str  # 64 hex digits, see ``fingerprint``
    labels: str  # label variant: "standard", "case-sensitive", "official", "rendered", "none", ...
    licence: str = ""
    rendered: bool = False
    ids: str = "stored"  # "stored" as id-%09d, or "index": nine digits counted from 1
    lmdb: str = "."  # relative to the manifest, or the absolute path of an adopted LMDB
    lmdb_bytes: int = 0  # size of data.mdb when the fingerprint was taken
    sources: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    created: str = ""
    version: str = ""


def sample_digest(sample: Sample) -> int:
    """A 256-bit number of one sample's id, label and decoded pixels.

    Raises:
        StrbenchError: the image cannot be decoded.
    """
    pixels = decode(sample.image)
    height, width = pixels.shape[:2]
    digest = hashlib.sha256(f"{height}x{width}:".encode())
    digest.update(pixels.data)
    label = "-" if sample.label is None else "+" + sample.label
    for text in (sample.id, label):
        encoded = text.encode()
        digest.update(b"%d:" % len(encoded) + encoded)
    return int.from_bytes(digest.digest(), "big")


def fingerprint(digests: Iterable[int]) -> str:
    """The order-free hash of a split: the sum of its sample digests modulo 2**256, in hex.

    A sum and not an exclusive or, so that a sample written twice does not vanish. Pixels are hashed
    after decoding, so that a lossless re-encoding keeps the fingerprint.
    """
    return f"{sum(digests) % _MODULUS:064x}"


def _digest_chunk(samples: list[Sample]) -> tuple[list[int], list[str]]:
    digests: list[int] = []
    faults: list[str] = []
    for sample in samples:
        try:
            digests.append(sample_digest(sample))
        except StrbenchError as error:
            faults.append(f"{sample.id}: {error.message}")
    return digests, faults


def _checked_chunks(
    samples: Iterable[Sample], workers: int
) -> Iterator[tuple[list[Sample], list[int], list[str]]]:
    """Chunks in order with their digests and faults; decoding runs in threads, memory is bounded."""
    source = iter(samples)
    pending: deque[tuple[list[Sample], Future[tuple[list[int], list[str]]]]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        while True:
            while len(pending) <= 2 * workers and (chunk := list(islice(source, _CHUNK))):
                pending.append((chunk, pool.submit(_digest_chunk, chunk)))
            if not pending:
                return
            chunk, future = pending.popleft()
            yield chunk, *future.result()


def _put(env: lmdb.Environment, items: Sequence[tuple[bytes, bytes]]) -> None:
    while True:
        try:
            with env.begin(write=True) as transaction:
                transaction.cursor().putmulti(items)
            return
        except lmdb.MapFullError:
            env.set_mapsize(env.info()["map_size"] * 2)


def write_split(
    directory: Path,
    samples: Iterable[Sample],
    *,
    dataset: str,
    split: str,
    labels: str,
    licence: str = "",
    expected: int | None = None,
    rendered: bool = False,
    sources: Sequence[dict[str, Any]] = (),
    notes: Sequence[str] = (),
    replace: bool = False,
    workers: int | None = None,
) -> Split:
    """The split written at ``directory`` from samples in the given order, checked as they pass.

    Every image is decoded once; every id must be new. Memory does not grow with the split, apart
    from a set of ids.

    Raises:
        StrbenchError: an image is corrupt, an id is repeated, the count is not ``expected``, the disk
            is full, or another process writes the same split. Nothing is left at ``directory`` then.
    """
    from strbench import __version__

    workers = workers or min(os.cpu_count() or 1, 8)
    seen: set[str] = set()
    digest_sum = 0
    faults: list[str] = []
    n = 0
    with new_folder(directory, replace=replace) as folder:
        try:
            with lmdb.open(str(folder), map_size=1 << 28, sync=False, writemap=False) as env:
                for chunk, digests, chunk_faults in _checked_chunks(samples, workers):
                    faults += chunk_faults
                    digest_sum += sum(digests)
                    items: list[tuple[bytes, bytes]] = []
                    for sample in chunk:
                        if sample.id in seen:
                            raise StrbenchError(
                                f"{dataset}/{split}: the id {sample.id!r} occurs twice.",
                                hint="Give every sample its own file name.",
                                exit_code=DATA,
                            )
                        seen.add(sample.id)
                        n += 1
                        items.append((b"image-%09d" % n, sample.image))
                        items.append((b"id-%09d" % n, sample.id.encode()))
                        if sample.label is not None:
                            items.append((b"label-%09d" % n, sample.label.encode()))
                        if sample.group is not None:
                            items.append((b"group-%09d" % n, sample.group.encode()))
                    if not faults:
                        _put(env, items)
                _check_faults(f"{dataset}/{split}", faults)
                _check_count(f"{dataset}/{split}", n, expected)
                _put(env, [(b"num-samples", b"%d" % n)])
                env.sync(True)
        except lmdb.Error as error:
            if os.strerror(errno.ENOSPC) in str(error):
                raise disk_full(directory) from error
            raise
        (folder / "lock.mdb").unlink(missing_ok=True)
        manifest = Manifest(
            dataset=dataset,
            split=split,
            n=n,
            fingerprint=f"{digest_sum % _MODULUS:064x}",
            labels=labels,
            licence=licence,
            rendered=rendered,
            lmdb_bytes=(folder / "data.mdb").stat().st_size,
            sources=list(sources),
            notes=list(notes),
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            version=__version__,
        )
        _write_manifest(folder, manifest)
    return open_split(directory)


def adopt_lmdb(
    lmdb_path: Path,
    directory: Path,
    *,
    dataset: str,
    split: str,
    labels: str | None = None,
    licence: str = "",
    expected: int | None = None,
    sources: Sequence[dict[str, Any]] = (),
    notes: Sequence[str] = (),
    replace: bool = False,
) -> Split:
    """The split at ``directory`` whose images stay in the user's LMDB, where they lie.

    Args:
        lmdb_path: the folder that holds ``data.mdb``, or that file.
        labels: name of the label variant; None leaves it "unlabelled" or "as found".

    Raises:
        StrbenchError: no LMDB there, no ``num-samples``, a missing image, a corrupt image, or a count
            that is not ``expected``.
    """
    from strbench import __version__

    source = lmdb_path.parent if lmdb_path.name == "data.mdb" else lmdb_path
    source = source.resolve()
    name = f"{dataset}/{split}"
    draft = Manifest(
        dataset=dataset,
        split=split,
        n=count_samples(source),
        fingerprint="",
        labels=labels or "as found",
        licence=licence,
        ids="index",
        lmdb=str(source),
        lmdb_bytes=(source / "data.mdb").stat().st_size,
        sources=list(sources),
        notes=list(notes),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        version=__version__,
    )
    _check_count(name, draft.n, expected)
    digest, faults = Split(directory, draft)._digest()
    _check_faults(name, faults)
    with new_folder(directory, replace=replace) as folder:
        _write_manifest(folder, Manifest(**{**asdict(draft), "fingerprint": digest}))
    return open_split(directory)


def _write_manifest(folder: Path, manifest: Manifest) -> None:
    text = json.dumps(asdict(manifest), indent=1, ensure_ascii=False)
    with (folder / "manifest.json").open("w", encoding="utf-8") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())


def _check_faults(name: str, faults: list[str]) -> None:
    if faults:
        raise StrbenchError(
            f"{name}: {len(faults)} images cannot be read, for example {'; '.join(faults[:5])}.",
            hint="Replace these files, or remove them with their labels, and import again.",
            exit_code=DATA,
        )


def _check_count(name: str, n: int, expected: int | None) -> None:
    if n == 0:
        raise StrbenchError(
            f"{name}: no sample was found.",
            hint="Check the path, and what layout `strbench data info` expects.",
            exit_code=DATA,
        )
    if expected is not None and n != expected:
        raise StrbenchError(
            f"{name}: expected {expected} samples, found {n}.",
            hint="Bring the complete split, or import it under a name of your own.",
            exit_code=DATA,
        )


def _open_lmdb(folder: Path) -> lmdb.Environment:
    if not (folder / "data.mdb").is_file():
        raise StrbenchError(
            f"{folder} holds no data.mdb.",
            hint="Name the folder of an LMDB, or import the split again.",
            exit_code=DATA,
        )
    try:
        return lmdb.open(
            str(folder), readonly=True, lock=False, readahead=False, meminit=False, max_readers=512
        )
    except lmdb.Error as error:
        raise StrbenchError(
            f"{folder / 'data.mdb'} is not a readable LMDB ({error}).",
            hint="The file may be truncated: fetch or copy it again.",
            exit_code=DATA,
        ) from error


_environments: dict[Path, tuple[int, int, lmdb.Environment]] = {}
_environments_lock = threading.Lock()


def _environment(folder: Path, *, refresh: bool = False) -> lmdb.Environment:
    """The one open environment of a folder in this process, as LMDB allows no second.

    Not shared across a fork. With ``refresh`` it is opened anew if the file was replaced.
    """
    pid, held, env = _environments.get(folder, (0, 0, None))
    if env is not None and pid == os.getpid() and not refresh:
        return env
    with _environments_lock:
        pid, held, env = _environments.get(folder, (0, 0, None))
        data = folder / "data.mdb"
        inode = data.stat().st_ino if data.is_file() else 0
        if env is not None and pid == os.getpid():
            if inode == held:
                return env
            env.close()
            del _environments[folder]
        opened = _open_lmdb(folder)
        _environments[folder] = (os.getpid(), inode, opened)
        return opened


def count_samples(folder: Path) -> int:
    """What ``num-samples`` of the LMDB in ``folder`` says.

    Raises:
        StrbenchError: no LMDB there, or one without that key.
    """
    folder = folder.resolve()
    with _environment(folder, refresh=True).begin() as transaction:
        value = transaction.get(b"num-samples")
        if value is None or not bytes(value).strip().isdigit():
            raise StrbenchError(
                f"{folder} has no key num-samples with a number (found {value!r}).",
                hint="Is it a recognition LMDB in the clovaai key scheme? If not, import a folder.",
                exit_code=DATA,
            )
        return int(bytes(value))


class Split:
    """A split that is ready to read; it can be pickled and shared by processes and threads."""

    def __init__(self, directory: Path, manifest: Manifest) -> None:
        self.directory = directory
        self.manifest = manifest

    def __getstate__(self) -> tuple[Path, Manifest]:
        return self.directory, self.manifest

    def __setstate__(self, state: tuple[Path, Manifest]) -> None:
        self.__init__(*state)  # type: ignore[misc]

    def __repr__(self) -> str:
        return f"Split({self.name}, n={self.n}, @{self.fingerprint[:8]})"

    def __len__(self) -> int:
        return self.n

    @property
    def name(self) -> str:
        """``dataset/split``."""
        return f"{self.manifest.dataset}/{self.manifest.split}"

    @property
    def n(self) -> int:
        return self.manifest.n

    @property
    def fingerprint(self) -> str:
        return self.manifest.fingerprint

    @cached_property
    def lmdb_path(self) -> Path:
        """The folder of ``data.mdb``: the split's own, or that of an adopted LMDB."""
        return (self.directory / self.manifest.lmdb).resolve()

    def _environment(self) -> lmdb.Environment:
        return _environment(self.lmdb_path)

    def _texts(self, kind: str) -> list[str | None]:
        with self._environment().begin() as transaction:
            values = (transaction.get(b"%s-%09d" % (kind.encode(), i + 1)) for i in range(self.n))
            try:
                return [None if v is None else bytes(v).decode() for v in values]
            except UnicodeDecodeError as error:
                raise StrbenchError(
                    f"{self.name}: a {kind} in {self.lmdb_path} is not UTF-8 ({error}).",
                    hint="Write the LMDB again with UTF-8 labels.",
                    exit_code=DATA,
                ) from error

    @cached_property
    def ids(self) -> list[str]:
        """The n sample ids in stored order."""
        if self.manifest.ids == "index":
            return [f"{i:09d}" for i in range(1, self.n + 1)]
        ids = self._texts("id")
        missing = [i + 1 for i, value in enumerate(ids) if value is None]
        if missing:
            raise self._damaged(f"id-{missing[0]:09d} is missing")
        return [value for value in ids if value is not None]

    @cached_property
    def labels(self) -> list[str | None]:
        """The n labels exactly as annotated; None where a sample has none."""
        return self._texts("label")

    @cached_property
    def groups(self) -> list[str | None]:
        """The n source photographs; None where the source does not tell."""
        return self._texts("group")

    def image(self, index: int) -> bytes:
        """The encoded image of the sample at ``index``, counted from 0."""
        with self._environment().begin() as transaction:
            value = transaction.get(b"image-%09d" % (index + 1))
        if value is None:
            raise self._damaged(f"image-{index + 1:09d} is missing")
        return bytes(value)

    def samples(self) -> Iterator[Sample]:
        """Every sample in stored order."""
        for i, (id_, label, group) in enumerate(
            zip(self.ids, self.labels, self.groups, strict=True)
        ):
            yield Sample(id_, self.image(i), label, group)

    def _damaged(self, what: str) -> StrbenchError:
        return StrbenchError(
            f"{self.name}: {what} in {self.lmdb_path}.",
            hint=f"Check it with: strbench data verify {self.name}",
            exit_code=DATA,
        )

    def _digest(self) -> tuple[str, list[str]]:
        total = 0
        faults: list[str] = []
        for _, digests, chunk_faults in _checked_chunks(
            self.samples(), min(os.cpu_count() or 1, 8)
        ):
            total += sum(digests)
            faults += chunk_faults
        return f"{total % _MODULUS:064x}", faults

    def verify(self) -> None:
        """Read and hash every sample again.

        Raises:
            StrbenchError: an image is corrupt or missing, or the fingerprint differs.
        """
        found, faults = self._digest()
        _check_faults(self.name, faults)
        if found != self.fingerprint:
            raise StrbenchError(
                f"{self.name}: expected fingerprint {self.fingerprint[:12]}, found {found[:12]}.",
                hint=f"The files changed: strbench data import {self.name} PATH --replace",
                exit_code=DATA,
            )


def open_split(directory: Path) -> Split:
    """The split whose manifest lies in ``directory``.

    Raises:
        StrbenchError: no manifest, one of a newer strbench, or an LMDB that changed under it.
    """
    path = directory / "manifest.json"
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StrbenchError(
            f"{directory} holds no manifest.json.", hint="See: strbench list datasets"
        ) from None
    except ValueError as error:
        raise StrbenchError(
            f"{path} is not a manifest ({error}).",
            hint="Import the split again.",
            exit_code=DATA,
        ) from error
    if raw.get("spec_version", 0) > SPEC_VERSION:
        raise StrbenchError(
            f"{path} was written by strbench {raw.get('version')} and is newer than this program.",
            hint="pip install --upgrade strbench",
            exit_code=DATA,
        )
    try:
        manifest = Manifest(**raw)
    except TypeError as error:
        raise StrbenchError(
            f"{path} is not a manifest ({error}).", hint="Import the split again.", exit_code=DATA
        ) from error
    split = Split(directory, manifest)
    data = split.lmdb_path / "data.mdb"
    size = data.stat().st_size if data.is_file() else -1
    if size == manifest.lmdb_bytes:
        _environment(split.lmdb_path, refresh=True)
    else:
        found = "no file" if size < 0 else f"{size} bytes"
        raise StrbenchError(
            f"{split.name}: expected {data} of {manifest.lmdb_bytes} bytes, found {found}.",
            hint=f"Import it again: strbench data import {split.name} PATH --replace",
            exit_code=DATA,
        )
    return split


def split_directory(name: str, *, root: Path | None = None) -> Path:
    """Where the split ``dataset/split`` lives, prepared or not.

    Raises:
        StrbenchError: the name is not of the form dataset/split.
    """
    dataset, slash, split = name.partition("/")
    parts = (dataset, split)
    if not slash or any(not p or p.startswith(".") or "/" in p or "\\" in p for p in parts):
        raise StrbenchError(
            f"{name!r} is not a split; expected dataset/split, for example cute80/test.",
            hint="See: strbench list datasets",
        )
    return (root or home() / "data") / dataset / split


def find_split(name: str, *, root: Path | None = None) -> Split:
    """The prepared split ``dataset/split`` under the home folder.

    Raises:
        StrbenchError: it is not there; the hint says how to bring it.
    """
    directory = split_directory(name, root=root)
    if not (directory / "manifest.json").is_file():
        raise StrbenchError(
            f"The split {name} is not prepared (nothing at {directory}).",
            hint=f"strbench data fetch {name}   or   strbench data import {name} PATH",
        )
    return open_split(directory)


def prepared_splits(*, root: Path | None = None) -> list[str]:
    """The names of all prepared splits, sorted."""
    root = root or home() / "data"
    return sorted(
        f"{p.parent.parent.name}/{p.parent.name}" for p in root.glob("[!.]*/[!.]*/manifest.json")
    )
