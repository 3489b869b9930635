"""Two recognizers on the same words: paired difference, exact test, and the samples that flipped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strbench.errors import DATA, StrbenchError
from strbench.metrics.recognition import score_words
from strbench.predictions import align, read_predictions
from strbench.protocols import DEFAULT_PROTOCOL
from strbench.protocols import protocol as find_protocol
from strbench.report.sources import Source, file_of, one_protocol, opened
from strbench.splits import check_task
from strbench.stats import mcnemar, paired_difference
from strbench.store import Split


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
    split = opened(sources)
    check_task(split.name, split.manifest.task, "recognition")
    rule = find_protocol(one_protocol(sources, protocol) or DEFAULT_PROTOCOL)
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
    return align(read_predictions(file_of(source)), split.ids)


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


def as_json(found: Sequence[Paired], *, limit: int) -> list[dict[str, Any]]:
    """An object a split: integer counts, proportions, and up to ``limit`` flips per direction."""
    return [
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


def _sample(flip: Flip) -> dict[str, str]:
    return {"id": flip.id, "label": flip.label, "first": flip.first, "second": flip.second}
