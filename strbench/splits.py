"""A split that is ready to read: its manifest, its LMDB, its fingerprint.

Import these names from ``strbench.store``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any, get_origin, get_type_hints

from strbench.digests import check_faults, checked_chunks, sum_in_hex
from strbench.errors import DATA, StrbenchError
from strbench.home import home
from strbench.lmdb_files import read_key, transaction_number
from strbench.regions import regions_from_json
from strbench.types import Region, Sample, Task

SPEC_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a split is and where it came from; the content of ``manifest.json``."""

    spec_version: int = SPEC_VERSION
    dataset: str
    split: str
    task: str = "recognition"  # one of ``strbench.types.Task``
    n: int
    counts: dict[str, int] = field(default_factory=dict)  # regions, ignored, characters
    fingerprint: str  # 64 hex digits, see ``fingerprint``
    labels: str  # label variant: "standard", "case-sensitive", "official", "rendered", "none", ...
    licence: str = ""
    rendered: bool = False
    ids: str = "stored"  # "stored" as id-%09d, or "index": nine digits counted from 1
    lmdb: str = "."  # relative to the manifest, or the absolute path of an adopted LMDB
    lmdb_bytes: int = 0  # size of data.mdb when the fingerprint was taken
    lmdb_transaction: int = 0  # number of its last transaction then; 0: not noted
    sources: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    created: str = ""
    version: str = ""


class Split:
    """A split that is ready to read; it can be pickled and shared by processes and threads."""

    def __init__(self, directory: Path, manifest: Manifest) -> None:
        self.directory = directory
        self.manifest = manifest

    def __reduce__(self) -> tuple[type[Split], tuple[Path, Manifest]]:
        return Split, (self.directory, self.manifest)

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

    def _text(self, kind: str, index: int) -> str | None:
        key = b"%s-%09d" % (kind.encode(), index + 1)
        value = read_key(self.lmdb_path, key)
        try:
            return None if value is None else value.decode()
        except UnicodeDecodeError as error:
            raise StrbenchError(
                f"{self.name}: {key.decode()} in {self.lmdb_path} is not UTF-8 ({error}).",
                hint="Write the LMDB again with UTF-8 labels.",
                exit_code=DATA,
            ) from error

    def _texts(self, kind: str) -> list[str | None]:
        return [self._text(kind, i) for i in range(self.n)]

    @cached_property
    def ids(self) -> list[str]:
        """The n sample ids in stored order."""
        return [self._id(i) for i in range(self.n)]

    def _id(self, index: int) -> str:
        if self.manifest.ids == "index":
            return f"{index + 1:09d}"
        id_ = self._text("id", index)
        if id_ is None:
            raise self._damaged(f"id-{index + 1:09d} is missing")
        return id_

    @cached_property
    def labels(self) -> list[str | None]:
        """The n labels exactly as annotated; None where a sample has none."""
        if self.manifest.labels == "none":  # an unlabelled LMDB may hold a filler such as ###
            return [None] * self.n
        return self._texts("label")

    @cached_property
    def groups(self) -> list[str | None]:
        """The n source photographs; None where the source does not tell."""
        return self._texts("group")

    def _bytes(self, kind: str, index: int) -> bytes:
        key = f"{kind}-{index + 1:09d}"
        value = read_key(self.lmdb_path, key.encode())
        if value is None:
            raise self._damaged(f"{key} is missing")
        return value

    def image(self, index: int) -> bytes:
        """The encoded image of the sample at ``index``, counted from 0; of a pair the HR image."""
        is_pair = self.manifest.task == "super-resolution"
        return self._bytes("image_hr" if is_pair else "image", index)

    def low(self, index: int) -> bytes:
        """The encoded low-resolution image of a super-resolution pair."""
        return self._bytes("image_lr", index)

    def mask(self, index: int) -> bytes:
        """The encoded text mask of a segmentation sample."""
        return self._bytes("mask", index)

    def regions(self, index: int) -> tuple[Region, ...]:
        """The annotated text of a photograph."""
        data = self._bytes("regions", index)
        try:
            return regions_from_json(data)
        except (ValueError, TypeError, KeyError) as error:
            raise self._damaged(f"regions-{index + 1:09d} is not a list of regions") from error

    @cached_property
    def lexicons(self) -> dict[str, dict[str, list[str]]]:
        """Lexicon name -> sample id, or "*" for all -> words; {} where the split came without."""
        try:
            text = (self.directory / "lexicons.json").read_text(encoding="utf-8")
        except FileNotFoundError:
            return {}
        found: dict[str, dict[str, list[str]]] = json.loads(text)
        return found

    def label(self, index: int) -> str | None:
        """The label of the sample at ``index``; reads that one, where ``labels`` reads them all."""
        return None if self.manifest.labels == "none" else self._text("label", index)

    def samples(self) -> Iterator[Sample]:
        """Every sample in stored order, read one at a time."""
        task = self.manifest.task
        # Masks and pairs may come with regions too; what the first sample has, all have.
        has_regions = task == "detection" or self._text("regions", 0) is not None
        for i in range(self.n):
            yield Sample(
                self._id(i),
                self.image(i),
                self.label(i),
                self._text("group", i),
                self.regions(i) if has_regions else None,
                self.low(i) if task == "super-resolution" else None,
                self.mask(i) if task == "segmentation" else None,
            )

    def _damaged(self, what: str) -> StrbenchError:
        return StrbenchError(
            f"{self.name}: {what} in {self.lmdb_path}.",
            hint=f"Check it with: strbench data verify {self.name}",
            exit_code=DATA,
        )

    def digest(self) -> tuple[str, list[str]]:
        """The fingerprint of what is stored now, and what is wrong with samples that have none."""
        total = 0
        faults: list[str] = []
        for _, digests, chunk_faults in checked_chunks(self.samples()):
            total += sum(digests)
            faults += chunk_faults
        return sum_in_hex(total), faults

    def verify(self) -> None:
        """Read and hash every sample again.

        Raises:
            StrbenchError: an image is corrupt or missing, or the fingerprint differs.
        """
        found, faults = self.digest()
        check_faults(self.name, faults)
        if found != self.fingerprint:
            raise StrbenchError(
                f"{self.name}: expected fingerprint {self.fingerprint[:12]}, found {found[:12]}.",
                hint=f"The files changed: strbench data import {self.name} PATH --replace",
                exit_code=DATA,
            )


def _read_manifest(path: Path) -> Manifest:
    def damaged(what: object) -> StrbenchError:
        return StrbenchError(
            f"{path} is not a manifest ({what}).", hint="Import the split again.", exit_code=DATA
        )

    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise StrbenchError(
            f"{path.parent} holds no manifest.json.", hint="See: strbench list datasets"
        ) from None
    except ValueError as error:
        raise damaged(error) from error
    if not isinstance(raw, dict) or not isinstance(raw.get("spec_version"), int):
        raise damaged("no object with a spec_version")
    if raw["spec_version"] > SPEC_VERSION:
        raise StrbenchError(
            f"{path} was written by strbench {raw.get('version')} and is newer than this program.",
            hint="pip install --upgrade strbench",
            exit_code=DATA,
        )
    try:
        manifest = Manifest(**raw)
    except TypeError as error:
        raise damaged(error) from error
    hints = get_type_hints(Manifest)
    for part in fields(Manifest):
        kind = get_origin(hints[part.name]) or hints[part.name]
        value = getattr(manifest, part.name)
        if type(value) is not kind:
            raise damaged(f"{part.name}: expected {kind.__name__}, found {value!r}")
    return manifest


def open_split(directory: Path) -> Split:
    """The split whose manifest lies in ``directory``.

    Raises:
        StrbenchError: no manifest, one that is damaged or of a newer strbench, or an LMDB that
            changed under it.
    """
    manifest = _read_manifest(directory / "manifest.json")
    split = Split(directory, manifest)
    data = split.lmdb_path / "data.mdb"
    size = data.stat().st_size if data.is_file() else -1
    hint = f"Import it again: strbench data import {split.name} PATH --replace"
    if size != manifest.lmdb_bytes:
        found = "no file" if size < 0 else f"{size} bytes"
        raise StrbenchError(
            f"{split.name}: expected {data} of {manifest.lmdb_bytes} bytes, found {found}.",
            hint=hint,
            exit_code=DATA,
        )
    number = transaction_number(split.lmdb_path)
    if manifest.lmdb_transaction not in (0, number):
        raise StrbenchError(
            f"{split.name}: {data} was written to since its fingerprint was taken (transaction "
            f"{number}, expected {manifest.lmdb_transaction}).",
            hint=hint,
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


def find_split(name: str, *, root: Path | None = None, task: Task | None = None) -> Split:
    """The prepared split ``dataset/split`` under the home folder.

    Raises:
        StrbenchError: it is not there, and the hint says how to bring it; or it is of another task
            than the wanted one.
    """
    directory = split_directory(name, root=root)
    if not (directory / "manifest.json").is_file():
        raise StrbenchError(
            f"The split {name} is not prepared (nothing at {directory}).",
            hint=f"strbench data fetch {name}   or   strbench data import {name} PATH",
        )
    split = open_split(directory)
    if task is not None:
        check_task(name, split.manifest.task, task)
    return split


def check_task(name: str, found: str, wanted: Task) -> None:
    """Raise a StrbenchError where a split is of another task than the wanted one."""
    if found != wanted:
        raise StrbenchError(
            f"{name} is a split of {found}, and {wanted} is wanted here.",
            hint="See: strbench list datasets",
        )


def prepared_splits(*, root: Path | None = None) -> list[str]:
    """The names of all prepared splits, sorted."""
    root = root or home() / "data"
    return sorted(
        f"{p.parent.parent.name}/{p.parent.name}" for p in root.glob("[!.]*/[!.]*/manifest.json")
    )
