"""The run record: one small JSON file per run that says what was run, on what, and what came out.

A record is written with status ``started`` before any work and replaced atomically at the end, so
that a killed run leaves a readable file that says so. Tables are made from records alone.
"""

from __future__ import annotations

import hashlib
import json
import re
import resource
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, get_args

from strbench import __version__
from strbench.errors import DATA, StrbenchError
from strbench.files import file_sha256, write_atomically
from strbench.home import home
from strbench.provenance import (
    anonymous,
    anonymous_settings,
    environment_now,
    git_state,
    plain,
    shorten,
)
from strbench.scores import Data, Score, Stored, invalid, part_of, score_of

SCHEMA = 1
Kind = Literal["pretrain", "finetune", "eval", "score"]
RunStatus = Literal["started", "success", "error", "partial"]
_ERROR_LENGTH = 500  # characters kept of an error message: a record stays under 10 kB


@dataclass(kw_only=True)
class Record:
    """One run. ``start`` makes it; ``finish``, ``fail`` and ``partial`` end it.

    As a context manager it ends itself where the block raises: an interrupt is ``partial``, anything
    else ``error``, and so is a block that leaves without having called one of the three.
    """

    path: Path
    schema: int = SCHEMA
    run_id: str
    status: RunStatus
    kind: Kind
    name: str
    started: str  # ISO 8601, UTC
    parents: list[str] = field(default_factory=list)
    version: str = __version__
    git: dict[str, Any] | None = None
    argv: list[str] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=dict)  # "resolved" and "typed"
    protocol: str = ""
    seed: int | None = None
    environment: dict[str, Any] = field(default_factory=dict)
    weights: Stored | None = None
    data: list[Data] = field(default_factory=list)
    limit: int | None = None
    scores: list[Score] = field(default_factory=list)
    failures: dict[str, int] = field(default_factory=dict)
    cost: dict[str, Any] = field(default_factory=dict)
    error: str = ""
    finished: str | None = None

    def __post_init__(self) -> None:
        self._clock = time.monotonic()

    def to_json(self) -> dict[str, Any]:
        """The record as it is stored: every field but the path."""
        document = asdict(self)
        del document["path"]
        return document

    def save(self) -> Path:
        """Replace the file by the record as it stands; the path that was written.

        Raises:
            StrbenchError: the file cannot be written; the run then counts as failed.
        """
        text = json.dumps(self.to_json(), ensure_ascii=False, indent=1) + "\n"
        try:
            write_atomically(self.path, text)
        except OSError as error:
            raise StrbenchError(
                f"The run record {self.path} cannot be written ({error.strerror}), so the run failed.",
                hint="Make the folder writable or set STRBENCH_HOME, and run the command again.",
                exit_code=DATA,
            ) from error
        return self.path

    def finish(
        self,
        *,
        scores: Sequence[Score | Mapping[str, Any]] = (),
        failures: Mapping[str, int] | None = None,
        cost: Mapping[str, Any] | None = None,
        weights: Stored | None = None,
    ) -> Path:
        """Save the run as ``success``; the path that was written."""
        return self._end(
            "success", scores=scores, failures=failures, cost=cost, weights=weights, error=""
        )

    def fail(self, error: BaseException | str) -> Path:
        """Save the run as ``error`` with the first characters of what went wrong."""
        message = error if isinstance(error, str) else f"{type(error).__name__}: {error}"
        return self._end("error", error=message)

    def partial(
        self,
        *,
        scores: Sequence[Score | Mapping[str, Any]] = (),
        failures: Mapping[str, int] | None = None,
        cost: Mapping[str, Any] | None = None,
        reason: str = "",
    ) -> Path:
        """Save the run as ``partial``: it stopped before its end and can be resumed."""
        return self._end("partial", scores=scores, failures=failures, cost=cost, error=reason)

    def _end(
        self,
        status: RunStatus,
        *,
        scores: Sequence[Score | Mapping[str, Any]] = (),
        failures: Mapping[str, int] | None = None,
        cost: Mapping[str, Any] | None = None,
        weights: Stored | None = None,
        error: str,
    ) -> Path:
        if self.status != "started":
            raise RuntimeError(f"{self.path.name} has ended already, as {self.status}")
        self.scores = [
            score if isinstance(score, Score) else score_of(score, str(self.path))
            for score in scores
        ]
        self.failures = dict(failures or {})
        self.cost = {
            "seconds": round(time.monotonic() - self._clock, 3),
            # ru_maxrss counts kilobytes on Linux, bytes on macOS
            "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            * (1 if sys.platform == "darwin" else 1024),
            **(cost or {}),
        }
        self.weights = weights or self.weights
        self.error = anonymous(error)[:_ERROR_LENGTH]
        self.finished = datetime.now(UTC).isoformat(timespec="seconds")
        self.status = status
        return self.save()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.status != "started":
            return
        if isinstance(error, KeyboardInterrupt):
            self.partial(reason="interrupted")
        else:
            self.fail(error if error is not None else "the run ended without a result")


def start(
    *,
    kind: Kind,
    name: str,
    records: Path | None = None,
    protocol: str = "",
    config: Mapping[str, Any] | None = None,
    typed: Mapping[str, Any] | Sequence[str] | None = None,
    data: Iterable[Data] = (),
    weights: Stored | None = None,
    parents: Sequence[str] = (),
    seed: int | None = None,
    limit: int | None = None,
    environment: Mapping[str, Any] | None = None,
    argv: Sequence[str] | None = None,
) -> Record:
    """A record with status ``started``, already on disk.

    Args:
        kind: what sort of run.
        name: the model as it is to stand in a table, e.g. ``vit-ctc-micro.smoke`` or ``rapidocr``.
        records: the folder; ``<home>/records`` where not given.
        protocol: name of the scoring protocol.
        config: every setting of the run after defaults were filled in.
        typed: the settings that the user gave.
        data: the splits it reads.
        weights: the weights it starts from or evaluates.
        parents: run ids of the runs it builds on.
        limit: the number of samples it stops after; such a run never enters a table.
        environment: what only the caller knows (device, dtype, tf32, batch_size), added to what is
            found here.
        argv: the command line; that of this process where not given.

    Raises:
        StrbenchError: the file cannot be written.
    """
    read = list(data)
    git = git_state()
    settings = {"resolved": dict(config or {}), "typed": plain(typed)}
    inputs = {
        "kind": kind,
        "name": name,
        "commit": git["commit"] if git else __version__,
        "weights": weights.sha256 if weights else None,
        "data": sorted((part.split, part.fingerprint) for part in read),
        "protocol": protocol,
        "config": settings["resolved"],
        "parents": list(parents),
        "seed": seed,
        "limit": limit,
    }
    canonical = json.dumps(plain(inputs), sort_keys=True, ensure_ascii=False)
    run_id = hashlib.sha256(canonical.encode()).hexdigest()[:16]
    moment = datetime.now(UTC)
    safe = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")[:60] or kind
    folder = records if records is not None else home() / "records"
    stem = f"{moment:%Y%m%dT%H%M%S}{moment.microsecond:06d}Z-{safe}-{run_id[:8]}"
    record = Record(
        path=folder / f"{stem}.json",
        run_id=run_id,
        status="started",
        kind=kind,
        name=name,
        started=moment.isoformat(timespec="seconds"),
        parents=list(parents),
        git=git,
        argv=[anonymous(word) for word in (command_line() if argv is None else argv)],
        config=anonymous_settings(plain(settings)),
        protocol=protocol,
        seed=seed,
        environment={**environment_now(), **plain(environment or {})},
        weights=weights,
        data=read,
        limit=limit,
    )
    record.save()
    return record


def command_line() -> list[str]:
    """The command line of this process as a person would type it: no folder before the program."""
    program = Path(sys.argv[0]).name if sys.argv else ""
    return ["strbench" if program == "__main__.py" else program, *sys.argv[1:]]


def stored(path: Path, *, sha256: str | None = None) -> Stored:
    """The file as a record names it: an absolute path without the home folder, and its SHA-256."""
    return Stored(path=shorten(str(path.resolve())), sha256=sha256 or file_sha256(path))


def load(path: Path) -> Record:
    """The record in a file.

    Raises:
        StrbenchError: the file is missing, not JSON, of a newer schema, or lacks a field; the file
            and the field are named.
    """
    try:
        document = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise StrbenchError(
            f"There is no run record {path}.", hint="See: strbench report", exit_code=DATA
        ) from error
    except ValueError as error:
        raise invalid(path, f"is not JSON ({error})") from error
    if not isinstance(document, dict):
        raise invalid(path, f"holds a {type(document).__name__}, not an object")
    schema = document.get("schema")
    if not isinstance(schema, int):
        raise invalid(path, "has no 'schema' number")
    if schema > SCHEMA:
        raise StrbenchError(
            f"{path} has schema {schema}, written by a newer strbench; this one reads up to {SCHEMA}.",
            hint="Upgrade: pip install --upgrade strbench",
            exit_code=DATA,
        )
    where = str(path)
    for key in ("run_id", "status", "kind", "name", "started"):
        if not isinstance(document.get(key), str) or not document[key]:
            raise invalid(path, f"has no text in {key!r}")
    if document["status"] not in get_args(RunStatus):
        raise invalid(path, f"has the unknown status {document['status']!r}")
    if document["kind"] not in get_args(Kind):
        raise invalid(path, f"has the unknown kind {document['kind']!r}")
    limit = document.get("limit")
    if limit is not None and not isinstance(limit, int):
        raise invalid(path, f"has a limit that is no number: {limit!r}")
    for key in ("scores", "data", "parents", "argv"):
        if not isinstance(document.setdefault(key, []), list):
            raise invalid(path, f"has no list in {key!r}")
    known = {name: document[name] for name in _FIELDS if name in document}
    known["scores"] = [score_of(item, where) for item in document["scores"]]
    known["data"] = [part_of(Data, item, where, "data") for item in document["data"]]
    if known.get("weights") is not None:
        known["weights"] = part_of(Stored, known["weights"], where, "weights")
    return Record(path=path, **known)


_FIELDS = tuple(part.name for part in fields(Record) if part.name != "path")


def load_all(folder: Path) -> list[Record]:
    """Every record of a folder, oldest first; subfolders are not read.

    Raises:
        StrbenchError: the folder is missing, or a file in it is no valid record (it is named).
    """
    if not folder.is_dir():
        raise StrbenchError(
            f"There are no run records: the folder {folder} does not exist.",
            hint="strbench eval --suite rendered",
        )
    records = [load(path) for path in sorted(folder.glob("*.json"))]
    return sorted(records, key=lambda record: (record.started, record.path.name))
