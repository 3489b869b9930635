"""Samples in, a split out: written whole with every image checked, or adopted where it lies.

Import these names from ``strbench.store``.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict
from dataclasses import replace as replace_field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import lmdb
import numpy as np
from numpy.typing import NDArray

from strbench import __version__
from strbench.digests import check_faults, checked_chunks, sum_in_hex
from strbench.errors import DATA, StrbenchError
from strbench.files import disk_full, new_folder
from strbench.lmdb_files import count_samples, transaction_number
from strbench.regions import regions_to_json, tally
from strbench.splits import Manifest, Split, open_split
from strbench.types import Sample, Task


def _put(env: lmdb.Environment, items: Sequence[tuple[bytes, bytes]]) -> None:
    while True:
        try:
            with env.begin(write=True) as transaction:
                transaction.cursor().putmulti(items)
            return
        except lmdb.MapFullError:
            env.set_mapsize(env.info()["map_size"] * 2)
        except lmdb.Error as error:
            # A write that a full disk cuts short is an input/output error to LMDB.
            raise disk_full(Path(env.path()), str(error)) from error


def write_split(
    directory: Path,
    samples: Iterable[Sample],
    *,
    dataset: str,
    split: str,
    labels: str | Callable[[Mapping[str, int]], str],
    task: Task = "recognition",
    lexicons: Mapping[str, Mapping[str, Sequence[str]]] | None = None,
    licence: str = "",
    expected: int | None = None,
    rendered: bool = False,
    sources: Sequence[dict[str, Any]] = (),
    notes: Sequence[str] = (),
    replace: bool = False,
    workers: int | None = None,
) -> Split:
    """The split written at ``directory`` from samples in the given order, checked as they pass.

    Args:
        labels: the name of the label variant, or what names it from the counts of
            ``strbench.regions.tally`` over all samples.
        lexicons: name -> sample id, or "*" for all -> words; written to ``lexicons.json``.

    Every image is decoded once; every id must be new. Memory does not grow with the split, apart
    from 16 bytes an id.

    Raises:
        StrbenchError: an image is corrupt, an id is repeated, the count is not ``expected``, a sample
            lacks what the task needs, the disk is full, or another process writes the same split.
            Nothing is left at ``directory`` then.
    """
    name = f"{dataset}/{split}"
    with new_folder(directory, replace=replace) as folder:
        counts: dict[str, int] = {}
        samples = _counted(_complete(samples, task, name), counts)
        n, digest = _pack(folder, samples, name, expected, workers)
        (folder / "lock.mdb").unlink(missing_ok=True)
        if lexicons:
            _write_json(folder / "lexicons.json", lexicons)
        manifest = Manifest(
            dataset=dataset,
            split=split,
            task=task,
            n=n,
            counts=counts,
            fingerprint=digest,
            labels=labels if isinstance(labels, str) else labels(counts),
            licence=licence,
            rendered=rendered,
            lmdb_bytes=(folder / "data.mdb").stat().st_size,
            sources=list(sources),
            notes=list(notes),
            created=_now(),
            version=__version__,
        )
        _write_json(folder / "manifest.json", asdict(manifest))
    return open_split(directory)


_NEEDS: dict[Task, str] = {
    "detection": "regions",
    "super-resolution": "low",
    "segmentation": "mask",
}


def _complete(samples: Iterable[Sample], task: Task, name: str) -> Iterator[Sample]:
    """The samples; an error at the first that has not what the task needs."""
    part = _NEEDS.get(task)
    for sample in samples:
        if part and getattr(sample, part) is None:
            raise StrbenchError(
                f"{name}: {sample.id} has no {part}, which {task} needs.", exit_code=DATA
            )
        yield sample


def _counted(samples: Iterable[Sample], counts: dict[str, int]) -> Iterator[Sample]:
    """The samples, their regions counted into ``counts`` as they pass."""
    for sample in samples:
        if sample.regions is not None:
            for key, value in tally(sample.regions).items():
                counts[key] = counts.get(key, 0) + value
        yield sample


class _Seen:
    """The ids that occurred, as digests of 16 bytes in sorted runs of doubling length.

    9 million ids take 210 MB and 470 MB while runs are merged, where a set of strings takes 1,070 MB;
    they cost 5 microseconds each (measured).
    """

    def __init__(self) -> None:
        self._runs: list[NDArray[np.bytes_]] = []  # each longer than the next

    def repeated(self, ids: Sequence[str]) -> str | None:
        """The first of these ids that occurred before, among them or earlier; all are noted."""
        texts = (id_.encode(errors="surrogatepass") for id_ in ids)
        new = np.array([hashlib.blake2b(text, digest_size=16).digest() for text in texts], "S16")
        order = np.argsort(new, kind="stable")
        run = new[order]
        again = np.zeros(len(new), bool)
        again[order[1:]] = run[1:] == run[:-1]
        for old in self._runs:
            again |= old[np.minimum(np.searchsorted(old, new), len(old) - 1)] == new
        while self._runs and len(self._runs[-1]) <= len(run):
            run = np.sort(np.concatenate([self._runs.pop(), run]), kind="stable")
        self._runs.append(run)
        return ids[int(again.argmax())] if again.any() else None


def _pack(
    folder: Path,
    samples: Iterable[Sample],
    name: str,
    expected: int | None,
    workers: int | None,
) -> tuple[int, str]:
    """The number of samples written to the LMDB in ``folder``, and their fingerprint."""
    seen = _Seen()
    faults: list[str] = []
    n = total = 0
    with (
        lmdb.open(str(folder), map_size=1 << 28, sync=False, writemap=False) as env,
        closing(checked_chunks(samples, workers=workers)) as chunks,
    ):
        for chunk, digests, chunk_faults in chunks:
            faults += chunk_faults
            total += sum(digests)
            if (id_ := seen.repeated([sample.id for sample in chunk])) is not None:
                raise StrbenchError(
                    f"{name}: the id {id_!r} occurs twice.",
                    hint="Give every sample its own file name.",
                    exit_code=DATA,
                )
            if not faults:
                _put(
                    env,
                    [item for i, sample in enumerate(chunk, n + 1) for item in _items(i, sample)],
                )
            n += len(chunk)
        check_faults(name, faults)
        _check_count(name, n, expected)
        _put(env, [(b"num-samples", b"%d" % n)])
        try:
            env.sync(True)
        except lmdb.Error as error:
            raise disk_full(folder, str(error)) from error
    return n, sum_in_hex(total)


def _items(number: int, sample: Sample) -> list[tuple[bytes, bytes]]:
    """Keys and values of one sample, counted from 1."""
    items = [(b"id-%09d" % number, sample.id.encode())]
    if sample.low is None:
        items.append((b"image-%09d" % number, sample.image))
    else:  # the keys of TextZoom
        items.append((b"image_hr-%09d" % number, sample.image))
        items.append((b"image_lr-%09d" % number, sample.low))
    if sample.regions is not None:
        items.append((b"regions-%09d" % number, regions_to_json(sample.regions)))
    if sample.mask is not None:
        items.append((b"mask-%09d" % number, sample.mask))
    if sample.label is not None:
        items.append((b"label-%09d" % number, sample.label.encode()))
    if sample.group is not None:
        items.append((b"group-%09d" % number, sample.group.encode()))
    return items


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def adopt_lmdb(
    lmdb_path: Path,
    directory: Path,
    *,
    dataset: str,
    split: str,
    labels: str | None = None,
    task: Task = "recognition",
    licence: str = "",
    expected: int | None = None,
    sources: Sequence[dict[str, Any]] = (),
    notes: Sequence[str] = (),
    replace: bool = False,
) -> Split:
    """The split at ``directory`` whose images stay in the user's LMDB, where they lie.

    Args:
        lmdb_path: the folder that holds ``data.mdb``, or that file.
        labels: name of the label variant; "as found" where it has none.

    Raises:
        StrbenchError: no LMDB there, no ``num-samples``, a missing image, a corrupt image, or a count
            that is not ``expected``.
    """
    source = lmdb_path.parent if lmdb_path.name == "data.mdb" else lmdb_path
    source = source.resolve()
    name = f"{dataset}/{split}"
    with new_folder(directory, replace=replace) as folder:
        n = count_samples(source)
        _check_count(name, n, expected)
        draft = Manifest(
            dataset=dataset,
            split=split,
            task=task,
            n=n,
            fingerprint="",
            labels=labels or "as found",
            licence=licence,
            ids="index",
            lmdb=str(source),
            lmdb_bytes=(source / "data.mdb").stat().st_size,
            lmdb_transaction=transaction_number(source),
            sources=list(sources),
            notes=list(notes),
            created=_now(),
            version=__version__,
        )
        digest, faults = Split(directory, draft).digest()
        check_faults(name, faults)
        _write_json(folder / "manifest.json", asdict(replace_field(draft, fingerprint=digest)))
    return open_split(directory)


def _write_json(path: Path, content: object) -> None:
    text = json.dumps(content, indent=1, ensure_ascii=False)
    with path.open("w", encoding="utf-8") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())


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
