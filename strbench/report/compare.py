"""Two models on the same samples: paired difference, exact test, and the samples that flipped."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from strbench.errors import DATA, StrbenchError, unknown_name
from strbench.files import file_sha256
from strbench.metrics.recognition import score_words
from strbench.predictions import align, read_predictions
from strbench.protocols import DEFAULT_PROTOCOL
from strbench.protocols import protocol as find_protocol
from strbench.provenance import expand
from strbench.records import Record, load, load_all
from strbench.report.frame import Entry, select
from strbench.stats import mcnemar, paired_difference
from strbench.store import Split, find_split

_SUFFIXES = (".parquet", ".jsonl", ".csv", ".tsv", ".txt")


@dataclass(frozen=True, slots=True)
class Source:
    """The predictions of one model on one split; what a record knows of them is checked."""

    name: str
    split: str
    path: Path
    sha256: str = ""  # of the prediction file; "" for a bare file
    fingerprint: str = ""  # of the split that was read; "" for a bare file
    protocol: str = ""

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


@dataclass(frozen=True, slots=True)
class Flip:
    """A sample that exactly one of the two models reads."""

    id: str
    label: str
    first: str
    second: str


@dataclass(frozen=True, slots=True)
class Paired:
    """Both models on one split; ``difference`` is second minus first, in [-1, 1]."""

    split: str
    protocol: str
    first: str
    second: str
    n: int
    correct: tuple[int, int]
    difference: float
    low: float  # 95 % interval of the difference
    high: float
    p_value: float  # exact McNemar test, two-sided
    gained: tuple[Flip, ...]  # only the second is right
    lost: tuple[Flip, ...]  # only the first is right


def compare(
    first: str,
    second: str,
    *,
    records: Path,
    splits: Sequence[str] | None = None,
    protocol: str | None = None,
) -> list[Paired]:
    """The comparison on every split that both have.

    Args:
        first, second: a record's path, the start of a run id, a model's name (its newest run of
            each split), or a prediction file.
        records: the folder in which run ids and names are looked up.
        splits: only these; needed where both are prediction files, which do not say their split.
        protocol: the protocol to score under; that of the records where not given.

    Raises:
        StrbenchError: a name is unknown, a file is not what its record says, or nothing is shared.
    """
    sides = [_sources(text, records, protocol) for text in (first, second)]
    for i, side in enumerate(sides):
        if isinstance(side, Path):
            other = sides[1 - i]
            shared = splits or ([] if isinstance(other, Path) else list(other))
            sides[i] = {split: Source(side.name, split, side) for split in shared}
    left, right = ({} if isinstance(side, Path) else side for side in sides)
    shared = [split for split in left if split in right and (not splits or split in splits)]
    if not shared:
        raise StrbenchError(
            f"{first} and {second} share no split"
            + (f" among {', '.join(splits)}." if splits else "."),
            hint="Name the split of prediction files: --data svt/test",
        )
    return [paired(left[split], right[split], protocol=protocol) for split in shared]


def _sources(text: str, folder: Path, protocol: str | None) -> dict[str, Source] | Path:
    """Split -> source of what the user named, or the path of a bare prediction file."""
    path = Path(text).expanduser()
    if path.suffix in _SUFFIXES:
        if not path.is_file():
            raise StrbenchError(f"There is no prediction file {path}.", hint="Check the path.")
        return path
    if path.suffix == ".json":
        return _of_records([load(path)], protocol)
    runs = load_all(folder)
    named = [run for run in runs if run.name == text]
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
    raise unknown_name(
        "model or run", text, {run.name for run in runs} or {"none"}, hint="See: strbench report"
    )


def _of_records(runs: list[Record], protocol: str | None) -> dict[str, Source]:
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
    sources: dict[str, Source] = {}
    for entry in entries:
        if entry.score.predictions is not None:
            sources.setdefault(entry.score.split, Source.of(entry))
    if not sources:
        Source.of(entries[0])  # says which file is missing
    return sources


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What several models read on the samples of one split, in its order."""

    split: Split
    protocol: str
    labels: list[str]
    texts: list[list[str]]  # one list a model
    correct: list[NDArray[np.bool_]]  # one array a model, over the scored samples
    scored: NDArray[np.intp]  # their places in the split
    groups: list[str] | None  # photograph of each scored sample, where every one has it


def outcomes(sources: Sequence[Source], *, protocol: str | None = None) -> Outcomes:
    """The predictions of several models on the same split, scored again.

    Raises:
        StrbenchError: they read different versions of the split, a prediction file is gone or has
            changed since its record was written, or the protocols differ and none is named.
    """
    split = find_split(sources[0].split, task="recognition")
    for source in sources:
        if source.fingerprint not in ("", split.fingerprint):
            raise StrbenchError(
                f"{source.name} was measured on {split.name}@{source.fingerprint[:8]}, "
                f"here it is @{split.fingerprint[:8]}.",
                hint=f"Measure it again: strbench eval --model {source.name}",
                exit_code=DATA,
            )
    named = sorted({source.protocol for source in sources if source.protocol})
    if protocol is None and len(named) > 1:
        raise StrbenchError(
            f"{' and '.join(s.name for s in sources)} were scored under {' and '.join(named)}.",
            hint=f"Choose one: --protocol {named[0]}",
        )
    rule = find_protocol(protocol or (named[0] if named else DEFAULT_PROTOCOL))
    labels = _labels(split)
    texts = [_texts(source, split) for source in sources]
    scores = [score_words(labels, side, rule.policy) for side in texts]
    scored = np.flatnonzero(np.logical_and.reduce([score.kept for score in scores]))
    groups = [split.groups[i] for i in scored]
    known = [group for group in groups if group is not None]
    return Outcomes(
        split=split,
        protocol=rule.name,
        labels=labels,
        texts=texts,
        correct=[score.correct[scored] for score in scores],
        scored=scored,
        groups=known if known and len(known) == len(groups) else None,
    )


def paired(first: Source, second: Source, *, protocol: str | None = None) -> Paired:
    """The comparison on one split; raises what ``outcomes`` raises."""
    found = outcomes([first, second], protocol=protocol)
    left, right = found.correct
    difference = paired_difference(right, left, found.groups)

    def flips(where: NDArray[np.bool_]) -> tuple[Flip, ...]:
        return tuple(
            Flip(found.split.ids[i], found.labels[i], found.texts[0][i], found.texts[1][i])
            for i in found.scored[where]
        )

    return Paired(
        split=found.split.name,
        protocol=found.protocol,
        first=first.name,
        second=second.name,
        n=len(found.scored),
        correct=(int(left.sum()), int(right.sum())),
        difference=difference.value,
        low=difference.low,
        high=difference.high,
        p_value=mcnemar(left, right).p,
        gained=flips(~left & right),
        lost=flips(left & ~right),
    )


def _labels(split: Split) -> list[str]:
    labels = split.labels
    missing = sum(label is None for label in labels)
    if missing:
        raise StrbenchError(
            f"{split.name} has no label for {missing} of {split.n} samples.",
            hint="Compare on a labelled split: --data svt/test",
            exit_code=DATA,
        )
    return [label or "" for label in labels]


def _texts(source: Source, split: Split) -> list[str]:
    """The texts in the order of the split, from a file that is what its record says."""
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
    return align(read_predictions(source.path), split.ids)


def markdown(found: Sequence[Paired], *, limit: int) -> str:
    """The comparison as Markdown: one row a split, then up to ``limit`` flips per direction."""
    from strbench.report.render import escape_markdown as escape

    first, second = found[0].first, found[0].second
    parts = [
        f"### {escape(second)} against {escape(first)}: word accuracy, protocol {found[0].protocol}\n",
        f"| split | n | {escape(first)} (%) | {escape(second)} (%) | difference [95 % interval] "
        "| gained | lost | p (McNemar) |\n"
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n"
        + "".join(
            f"| {escape(p.split)} | {p.n} | {_share(p.correct[0], p.n)} | {_share(p.correct[1], p.n)} "
            f"| {100 * p.difference:+.1f} [{100 * p.low:+.1f}, {100 * p.high:+.1f}] "
            f"| {len(p.gained)} | {len(p.lost)} | {_p(p.p_value)} |\n"
            for p in found
        ),
    ]
    for p in found:
        for flips, right in ((p.gained, second), (p.lost, first)):
            if not flips or not limit:
                continue
            shown = min(limit, len(flips))
            parts.append(
                f"{escape(p.split)}, only {escape(right)} is right ({shown} of {len(flips)}):\n\n"
                f"| id | label | {escape(first)} | {escape(second)} |\n| --- | --- | --- | --- |\n"
                + "".join(
                    f"| {' | '.join(escape(t) for t in (f.id, f.label, f.first, f.second))} |\n"
                    for f in flips[:limit]
                )
            )
    return "\n".join(parts)


def _share(correct: int, n: int) -> str:
    return f"{100 * correct / n:.1f}" if n else "–"


def _p(value: float) -> str:
    return "< 0.0001" if value < 1e-4 else f"{value:.4f}"


def as_json(found: Sequence[Paired], *, limit: int) -> str:
    """One JSON document: integer counts, proportions, and up to ``limit`` flips per direction."""
    document = [
        {
            "split": p.split,
            "protocol": p.protocol,
            "first": {"name": p.first, "correct": p.correct[0]},
            "second": {"name": p.second, "correct": p.correct[1]},
            "n": p.n,
            "difference": {"value": p.difference, "low": p.low, "high": p.high},
            "p_value": p.p_value,
            "gained": {"n": len(p.gained), "samples": [_sample(f) for f in p.gained[:limit]]},
            "lost": {"n": len(p.lost), "samples": [_sample(f) for f in p.lost[:limit]]},
        }
        for p in found
    ]
    return json.dumps({"comparisons": document}, ensure_ascii=False, indent=1) + "\n"


def _sample(flip: Flip) -> dict[str, str]:
    return {"id": flip.id, "label": flip.label, "first": flip.first, "second": flip.second}
