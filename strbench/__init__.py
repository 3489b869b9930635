"""strbench: one number for scene text, and what it means.

The same few functions as behind the command line, for notebooks:

    split = strbench.load("cute80/test")
    record = strbench.evaluate(my_model, "irregular")
    record = strbench.score("out.jsonl", "cute80/test")
    frame = strbench.results()

Nothing heavy is imported before one of them is called.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from strbench.types import (
    Card,
    Detection,
    Detector,
    Reading,
    Recognizer,
    Restorer,
    Sample,
    Segmenter,
)

if TYPE_CHECKING:
    import pandas as pd

    from strbench.records import Record
    from strbench.store import Split

__version__ = "0.1.0"
__all__ = [
    "Card",
    "Detection",
    "Detector",
    "Reading",
    "Recognizer",
    "Restorer",
    "Sample",
    "Segmenter",
    "evaluate",
    "load",
    "results",
    "score",
]


def load(name: str) -> Split:
    """The prepared split ``dataset/split``; fetched or drawn first where that needs no consent.

    Raises:
        StrbenchError: it cannot be had; the message names the files to bring.
    """
    from strbench.datasets import obtain
    from strbench.store import find_split, prepared_splits

    if name not in prepared_splits():
        obtain(name)
    return find_split(name)


def evaluate(
    model: Recognizer | Detector | Restorer | Segmenter | str,
    suite: str,
    *,
    protocol: str = "",
    limit: int | None = None,
    on_batch: Callable[[str, int, int], None] | None = None,
) -> Record:
    """The finished run record of a model on a suite of splits, or on one split.

    Args:
        model: an object with the method of the suite's task, ``read(images)`` for words, ``detect``
            for photographs, ``restore`` for pairs, ``segment`` for masks; or a name as on the
            command line.
        suite: a suite (``irregular``) or a split (``cute80/test``).
        protocol: "" takes the suite's, or the split's own.

    Raises:
        StrbenchError: an unknown name, a split that cannot be had, or a model that fails.
    """
    from strbench import evaluating, models, registry
    from strbench.errors import unknown_name
    from strbench.predict import card_of

    suites = registry.table("suites")
    if suite not in suites and "/" not in suite:
        raise unknown_name("suite or split", suite, suites, hint="See: strbench list suites")
    known = suites.get(suite)
    splits = [load(name) for name in (known.splits if known else (suite,))]
    if isinstance(model, str):
        loaded = models.resolve(model, task=evaluating.task_of(splits))
    else:
        card = card_of(model)
        loaded = models.Loaded(card.name, model, card)
    return evaluating.evaluate(
        loaded,
        splits,
        protocols=protocol or (known.protocols if known else ""),
        suite=suite if known else "",
        limit=limit,
        on_batch=on_batch,
    )


def score(predictions: str | Path, dataset: str, *, protocol: str = "", name: str = "") -> Record:
    """The finished run record of predictions on one split: read words, found regions, images or masks.

    Args:
        predictions: what ``strbench score`` takes for the split's task, a file, folder or zip.
        protocol: "" takes the split's own.
        name: the model's name in tables; "" takes the file's.

    Raises:
        StrbenchError: ids that are missing, unknown or repeated, a file that cannot be read, or a
            protocol of another task.
    """
    from strbench import image_scoring, region_scoring, scoring
    from strbench.evaluating import task_of
    from strbench.predictions import read_predictions
    from strbench.region_protocols import region_protocol
    from strbench.task_protocols import check_protocol, default_protocol

    path, split = Path(predictions), load(dataset)
    task, name = task_of([split]), name or path.stem
    rule = protocol or default_protocol(split.name, task)
    check_protocol(rule, task)
    if task == "recognition":
        return scoring.score_file(path, read_predictions(path), split, name=name, rule=rule)
    if task == "detection":
        truth = region_scoring.truth_of_split(split)
        return region_scoring.score_files(path, truth, region_protocol(rule), name=name)[0]
    return image_scoring.score_file(path, split, name=name, rule=rule)


def results(records: str | Path | None = None, *, reported: bool = True) -> pd.DataFrame:
    """Every measured score, and the reported ones beside them, as a long pandas DataFrame."""
    from strbench.report.frame import results as frame

    return frame(Path(records) if records is not None else None, reported=reported)
