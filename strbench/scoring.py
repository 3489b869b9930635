"""Read words -> figures -> a run record: what ``score`` does, and ``eval`` for recognition."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from strbench import records
from strbench.errors import DATA, StrbenchError
from strbench.metrics.recognition import WordScores, ladder, score_words
from strbench.predictions import Predictions, align
from strbench.protocols import Protocol, protocol, signature
from strbench.scores import Accuracy, Data, Score, Similarity
from strbench.stats import Interval, bootstrap_interval, wilson_interval
from strbench.store import Split

UNKNOWN_RESIZE = "unknown"  # predictions from outside: nobody told how images were resized


def score_split(
    predictions: Predictions, split: Split, rule: Protocol, *, limit: int | None = None
) -> WordScores:
    """The outcome of every sample of a split.

    Raises:
        StrbenchError: a sample has no prediction or no label, an id is unknown or repeated, or the
            protocol drops every sample.
    """
    ids = split.ids[:limit]
    scores = score_words(scorable_labels(split, limit), align(predictions, ids), rule.policy)
    if rule.scores_all and scores.n != len(ids):
        raise RuntimeError(f"{rule.name} scored {scores.n} of {len(ids)} samples of {split.name}")
    if scores.n == 0:
        raise StrbenchError(
            f"{split.name}: the protocol {rule.name} drops every one of its {len(ids)} samples.",
            hint=f"See what it drops: strbench show protocol {rule.name}",
            exit_code=DATA,
        )
    return scores


def scorable_labels(split: Split, limit: int | None) -> list[str]:
    """The labels of a split that can be scored."""
    labels = split.labels[:limit]
    unlabelled = [id_ for id_, label in zip(split.ids, labels, strict=False) if label is None]
    if unlabelled:
        raise StrbenchError(
            f"{split.name}: {len(unlabelled)} samples have no label, for example {unlabelled[0]}.",
            hint="Only labelled splits can be scored; to read it, use: strbench predict",
            exit_code=DATA,
        )
    return [label for label in labels if label is not None]


def _interval(values: NDArray[Any], groups: list[str] | None, seed: int) -> Interval:
    """The 95 % interval of a mean of values in [0, 1].

    The bootstrap's, over whole photographs where every sample names its own. Where all values are 0
    or all are 1 it would have no width: then Wilson's, which takes every sample as independent. A
    single value in between may be anything.
    """
    total = float(values.sum())
    if total in (0.0, float(len(values))):
        return wilson_interval(int(total), len(values))
    if len(values) < 2:
        return Interval(0.0, 1.0)
    return bootstrap_interval(values, groups=groups, seed=seed)


def make_score(
    predictions: Predictions,
    split: Split,
    rule: Protocol,
    *,
    resize: str = UNKNOWN_RESIZE,
    path: Path | None = None,
    limit: int | None = None,
    seed: int = 0,
) -> tuple[Score, WordScores]:
    """The entry of a run record for one split, and the outcome of every sample behind it."""
    scores = score_split(predictions, split, rule, limit=limit)
    kept = scores.kept
    groups = [group for group, keep in zip(split.groups, kept, strict=False) if keep]
    known = [group for group in groups if group is not None]
    clusters = known if len(known) == len(groups) else None
    correct = scores.correct[kept]
    similarity = scores.similarity[kept]
    accuracy = _interval(correct, clusters, seed)
    closeness = _interval(similarity, clusters, seed)
    texts = align(predictions, split.ids[:limit])
    entry = Score(
        split=split.name,
        fingerprint=split.fingerprint,
        n=scores.n,
        protocol=rule.name,
        signature=signature(
            rule, split.name, scores.n, split.fingerprint, split.manifest.labels, resize
        ),
        rendered=split.manifest.rendered,
        word_accuracy=Accuracy(
            correct=scores.n_correct, n=scores.n, low=accuracy.low, high=accuracy.high
        ),
        one_minus_ned=Similarity(
            sum=round(scores.similarity_sum, 6), n=scores.n, low=closeness.low, high=closeness.high
        ),
        ladder=ladder(scorable_labels(split, limit), texts),
        predictions=records.stored(path) if path is not None else None,
    )
    return entry, scores


def score_file(
    path: Path,
    predictions: Predictions,
    split: Split,
    *,
    name: str,
    rule: str = "strbench-36",
    resize: str = UNKNOWN_RESIZE,
    records_folder: Path | None = None,
) -> records.Record:
    """The finished record of predictions that came from outside."""
    chosen = protocol(rule)
    begun = time.monotonic()
    with records.start(
        kind="score",
        name=name,
        records=records_folder,
        protocol=chosen.name,
        config={"predictions": path.name},
        data=[data_of(split)],
    ) as record:
        entry, scores = make_score(predictions, split, chosen, resize=resize, path=path)
        failures: dict[str, int] = {}
        _count(failures, "empty prediction", sum(not text for text in predictions.texts))
        _count(failures, "dropped by the protocol", scores.n_dropped)
        seconds = round(time.monotonic() - begun, 3)
        record.finish(scores=[entry], failures=failures, cost={"seconds": seconds})
    return record


def data_of(split: Split) -> Data:
    """A split as a run record names it."""
    return Data(
        split=split.name,
        n=split.n,
        fingerprint=split.fingerprint,
        labels=split.manifest.labels,
    )


def _count(failures: dict[str, int], reason: str, count: int) -> None:
    if count:
        failures[reason] = failures.get(reason, 0) + count
