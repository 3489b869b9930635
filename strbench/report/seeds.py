"""Runs that differ in nothing but the training seed, brought together as one row.

Two runs are the same but for the seed if the records of their training agree in entry, recipe and
every setting, data (fingerprints and label variants), subset, numeric type and version of strbench,
and so do the runs that they started from, all the way up. What cannot be seen is not assumed: a run
whose training record is not at hand, and an engine that was not trained here, stays a row of its own.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from strbench.records import Record
from strbench.report.frame import Entry, Omission

_SEED = re.compile(r"-seed\d+$")
_REPEATED = "stale: a newer run of the same training and seed exists"
_RESCORED = "stale: the other seeds of the row were scored in another way (their signatures differ)"


class RowLike(Protocol):
    """What ``seed_notes`` reads of a line of a table."""

    @property
    def model(self) -> str: ...
    @property
    def seeds(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Pooled:
    """The rows of a table over seeds; every run is in one of them or has a reason not to be."""

    rows: dict[str, list[Entry]]  # name -> the scores of all its runs, on all splits
    omissions: list[Omission]
    notes: dict[str, str]  # row -> what its ± does not hold


def training_runs(records: Iterable[Record]) -> dict[str, Record]:
    """Run id -> record of every finished training run."""
    return {
        record.run_id: record
        for record in records
        if record.kind in ("pretrain", "finetune") and record.status == "success"
    }


def identity(record: Record, trained: Mapping[str, Record]) -> str | None:
    """What the weights behind an evaluation come from, seeds left out, as a hash.

    None where nothing was trained, or where the record of a training run is missing.
    """
    if not record.parents or any(run not in trained for run in record.parents):
        return None
    chain = [_description(trained[run]) for run in record.parents]
    return hashlib.sha256(json.dumps(chain, sort_keys=True).encode()).hexdigest()


def _description(run: Record) -> list[object]:
    """Everything that shaped the weights of one training run but its seed and its parents."""
    settings = dict(run.config.get("resolved") or {})
    # A record that does not say its entry is known by its name alone.
    entry = settings.pop("entry", None) or seedless(run.name)
    data = sorted([part.split, part.fingerprint, part.labels] for part in run.data)
    dtype = run.environment.get("dtype")
    return [run.kind, entry, settings, data, dtype, run.version]


def seedless(name: str) -> str:
    """The name without the seed at its end.

    >>> seedless("vit-ctc-micro.smoke+dig-seed2")
    'vit-ctc-micro.smoke+dig'
    """
    return _SEED.sub("", name)


def seeds_of(record: Record, trained: Mapping[str, Record]) -> tuple[int | None, ...]:
    """The seeds of the run that was evaluated and of all that it descends from."""
    return tuple(trained[run].seed for run in record.parents)


def pool(entries: Sequence[Entry], records: Iterable[Record]) -> Pooled:
    """The entries as rows, those that differ in the seed alone in one.

    Of several runs with the same seeds the newest counts. All scores of a row on a split have the
    signature of its newest run.

    Args:
        entries: one a model, split and protocol, as ``frame.select`` gives them.
        records: where the training runs are looked up.
    """
    trained = training_runs(records)
    groups: dict[str, list[Entry]] = {}
    for entry in sorted(entries, key=_age, reverse=True):  # newest first
        key = identity(entry.record, trained) or f"model {entry.model}"
        groups.setdefault(key, []).append(entry)
    omissions: list[Omission] = []
    kept: list[list[Entry]] = []
    for group in groups.values():
        row: list[Entry] = []
        place: dict[tuple[object, ...], str] = {}  # seeds -> the newest model that has them
        signature: dict[tuple[str, str], str] = {}
        for entry in group:
            score = entry.score
            seeds = seeds_of(entry.record, trained) if _is_trained(entry, trained) else ()
            known = signature.setdefault((score.split, score.protocol), score.signature)
            if place.setdefault(seeds, entry.model) != entry.model:
                omissions.append(_omission(entry, _REPEATED))
            elif known != score.signature:
                omissions.append(_omission(entry, _RESCORED))
            else:
                row.append(entry)
        kept.append(row)
    rows = dict(zip(_names(kept), kept, strict=True))
    notes = {name: note for name, row in rows.items() if (note := _note(name, row, trained))}
    return Pooled(rows, omissions, notes)


def unpooled(entries: Sequence[Entry]) -> Pooled:
    """The entries as rows, one a model."""
    rows: dict[str, list[Entry]] = {}
    for entry in entries:
        rows.setdefault(entry.model, []).append(entry)
    return Pooled(rows, [], {})


def seed_notes(lines: Sequence[RowLike], notes: Mapping[str, str]) -> list[str]:
    """What stands below a table over seeds, ``notes`` being those of ``pool``."""
    own = [notes[line.model] for line in lines if line.model in notes]
    if all(line.seeds == 1 for line in lines):
        return own
    meaning = (
        "Mean ± standard deviation over training seeds (n - 1 in the denominator); a figure in "
        "brackets counts the seeds where not all of the row were measured. Rows of one seed are "
        "single runs."
    )
    return [meaning, *own]


def _age(entry: Entry) -> tuple[str, str]:
    return entry.record.started, entry.record.path.name


def _is_trained(entry: Entry, trained: Mapping[str, Record]) -> bool:
    return identity(entry.record, trained) is not None


def _omission(entry: Entry, reason: str) -> Omission:
    record = entry.record
    return Omission(record.name, record.run_id, record.path, entry.score.split, reason)


def models_of(row: Sequence[Entry]) -> list[str]:
    """The runs of a row, each once, in the order of their names."""
    return sorted({entry.model for entry in row}, key=lambda name: (len(name), name))


def _names(rows: Sequence[Sequence[Entry]]) -> list[str]:
    """A name for each row: its run's own, or of several runs that of the first without the seed.

    Where two rows would have one name, the run id of each follows it.
    """
    names = []
    for row in rows:
        models = models_of(row)
        names.append(models[0] if len(models) == 1 else seedless(models[0]))
    return [
        f"{name} ({row[0].record.run_id[:6]})" if names.count(name) > 1 else name
        for name, row in zip(names, rows, strict=True)
    ]


def _note(name: str, row: Sequence[Entry], trained: Mapping[str, Record]) -> str:
    """What a reader of the row must know: seeds that cannot be told, or a run that they share."""
    parents = [set(entry.record.parents) for entry in row]
    if any(part - trained.keys() for part in parents):
        return f"{name}: stands alone, because the record of its training is not among those read here."
    shared = set.intersection(*parents) if len(models_of(row)) > 1 else set()
    if not shared:
        return ""
    return f"{name}: the seeds share a run that they start from, whose own spread is not in the ±."
