"""What a comparison is made of: the predictions behind a name, checked against what its record says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from strbench.errors import DATA, StrbenchError, unknown_name
from strbench.files import file_sha256
from strbench.provenance import expand
from strbench.records import Record, load, load_all
from strbench.report.frame import Entry, select
from strbench.store import Split, find_split

_SUFFIXES = (".parquet", ".jsonl", ".csv", ".tsv", ".txt", ".zip")


@dataclass(frozen=True, slots=True)
class Source:
    """The predictions of one model on one split; what a record knows of them is checked."""

    name: str
    split: str
    path: Path
    sha256: str = ""  # of the prediction file; "" for a bare file
    fingerprint: str = ""  # of the split that was read; "" for a bare file
    protocol: str = ""
    scored: tuple[str, ...] = ()  # all protocols under which the model was scored on the split

    @classmethod
    def of(cls, entry: Entry) -> Source:
        """The predictions behind a score of a record.

        Raises:
            StrbenchError: the record names no prediction file.
        """
        file = entry.score.predictions
        if file is None:
            raise StrbenchError(
                f"{entry.record.path} names no prediction file for {entry.score.split}.",
                hint=f"Run it again: strbench eval --model {entry.model}",
                exit_code=DATA,
            )
        return cls(
            name=entry.model,
            split=entry.score.split,
            path=expand(file.path),
            sha256=file.sha256,
            fingerprint=entry.score.fingerprint,
            protocol=entry.score.protocol,
        )


def shared(
    first: str,
    second: str,
    *,
    records: Path,
    splits: Sequence[str] | None = None,
    protocol: str | None = None,
    recorded: Callable[[str], str] = str,
) -> list[tuple[Source, Source]]:
    """The predictions of both on every split that both have.

    Args:
        first, second: a record's path, the start of a run id, a model's name (its newest run of
            each split), or a prediction file.
        records: the folder in which run ids and names are looked up.
        splits: only these; needed where both are prediction files, which do not say their split.
        protocol: the one whose scores are wanted, where a run has several.
        recorded: gives the name that records may have for a model, where none has the one named.

    Raises:
        StrbenchError: a name is unknown, or nothing is shared.
    """
    sides = [_sources(text, records, protocol, recorded) for text in (first, second)]
    for i, side in enumerate(sides):
        if isinstance(side, Path):
            other = sides[1 - i]
            named = splits or ([] if isinstance(other, Path) else list(other))
            sides[i] = {split: [Source(side.name, split, side)] for split in named}
    left, right = ({} if isinstance(side, Path) else side for side in sides)
    both = [split for split in left if split in right and (not splits or split in splits)]
    if not both:
        raise StrbenchError(
            f"{first} and {second} share no split"
            + (f" among {', '.join(splits)}." if splits else "."),
            hint="Name the split of prediction files: --data svt/test",
        )
    return [_alike(left[split], right[split], protocol) for split in both]


def _alike(
    lefts: Sequence[Source], rights: Sequence[Source], protocol: str | None
) -> tuple[Source, Source]:
    """The first of each; if they differ in protocol and none was asked for, what the only shared has."""
    left, right = lefts[0], rights[0]
    names = [tuple(dict.fromkeys(source.protocol for source in side)) for side in (lefts, rights)]
    both = [name for name in names[0] if name in names[1]]
    if protocol is None and left.protocol != right.protocol and len(both) == 1:
        left, right = (
            next(source for source in side if source.protocol == both[0])
            for side in (lefts, rights)
        )
    return replace(left, scored=names[0]), replace(right, scored=names[1])


def _sources(
    text: str, folder: Path, protocol: str | None, recorded: Callable[[str], str]
) -> dict[str, list[Source]] | Path:
    """Split -> sources of what the user named, or the path of a bare prediction file."""
    path = Path(text).expanduser()
    if path.suffix in _SUFFIXES:
        if not path.is_file():
            raise StrbenchError(f"There is no prediction file {path}.", hint="Check the path.")
        return path
    if path.suffix == ".json":
        return _of_records([load(path)], protocol)
    runs = load_all(folder)
    for name in (text, recorded(text)):
        named = [run for run in runs if run.name == name]
        if named:
            return _of_records(named, protocol)
    if len(text) >= 4:  # a shorter start of a run id is too likely to be a mistyped name
        named = [run for run in runs if run.run_id.startswith(text)]
        if len({run.run_id for run in named}) > 1:
            raise StrbenchError(
                f"{len({run.run_id for run in named})} run ids start with {text!r}.",
                hint="Type more of the run id; see: strbench report --json",
            )
        if named:
            return _of_records(named, protocol)
    scored = {run.name for run in runs if run.scores}
    raise unknown_name("scored model or run", text, scored, hint="See: strbench report")


def _of_records(runs: list[Record], protocol: str | None) -> dict[str, list[Source]]:
    found = select(runs)
    entries = found.entries
    if not entries:
        reason = found.omissions[0].reason if found.omissions else "without scores"
        raise StrbenchError(
            f"No run of {runs[0].name} can be compared: {reason}.",
            hint=f"strbench eval --model {runs[0].name}",
        )
    # Any protocol will do, the texts are scored again; the wanted one comes first.
    entries = sorted(entries, key=lambda entry: entry.score.protocol != (protocol or ""))
    sources: dict[str, list[Source]] = {}
    for entry in entries:
        if entry.score.predictions is not None:
            sources.setdefault(entry.score.split, []).append(Source.of(entry))
    if not sources:
        Source.of(entries[0])  # says which file is missing
    return sources


def opened(sources: Sequence[Source]) -> Split:
    """The split that all of them are about, as it is now.

    Raises:
        StrbenchError: one was measured on another version of it.
    """
    split = find_split(sources[0].split)
    for source in sources:
        if source.fingerprint not in ("", split.fingerprint):
            raise StrbenchError(
                f"{source.name} was measured on {split.name}@{source.fingerprint[:8]}, "
                f"here it is @{split.fingerprint[:8]}.",
                hint=f"Measure it again: strbench eval --model {source.name}",
                exit_code=DATA,
            )
    return split


def one_protocol(sources: Sequence[Source], named: str | None) -> str | None:
    """The named protocol, else the one that all were scored under; None where nothing says one.

    Raises:
        StrbenchError: they were scored under several.
    """
    known = sorted({source.protocol for source in sources if source.protocol})
    if named is None and len(known) > 1:
        said = [f"{s.name} under {' and '.join(s.scored or (s.protocol,))}" for s in sources]
        raise StrbenchError(
            f"On {sources[0].split} were scored {', '.join(said)}.",
            hint=f"Choose one: strbench compare {' '.join(s.name for s in sources)} "
            f"--data {sources[0].split} --protocol {known[0]}",
        )
    return named or (known[0] if known else None)


def file_of(source: Source) -> Path:
    """The prediction file, which is what its record says.

    Raises:
        StrbenchError: it is gone, or has changed since.
    """
    if not source.path.is_file():
        raise StrbenchError(
            f"The prediction file {source.path} of {source.name} on {source.split} is gone.",
            hint=f"Make it again: strbench eval --model {source.name}",
            exit_code=DATA,
        )
    if source.sha256:
        found = file_sha256(source.path)
        if found != source.sha256:
            raise StrbenchError(
                f"{source.path} has changed since its record was written: expected SHA-256 "
                f"{source.sha256[:12]}, found {found[:12]}.",
                hint=f"Make it again: strbench eval --model {source.name}",
                exit_code=DATA,
            )
    return source.path
