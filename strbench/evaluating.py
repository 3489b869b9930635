"""Models x splits -> predictions -> a run record: what ``eval`` does, and notebooks too."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from strbench import image_scoring, records, region_scoring, scoring
from strbench.answers import ANSWERS
from strbench.errors import StrbenchError
from strbench.home import home
from strbench.image_protocols import image_protocol
from strbench.lexicons import prepared_lexicons
from strbench.loading import resize_name
from strbench.models import Loaded
from strbench.predict import PredictionRun, predict
from strbench.protocols import protocol
from strbench.region_protocols import region_protocol
from strbench.scores import Score
from strbench.scoring import data_of
from strbench.store import Split
from strbench.task_protocols import check_protocol, default_protocol
from strbench.types import Detection, Task

# What a data set's score adds to the record: the entry, and reason -> count of what to know of it.
Scored = tuple[Score, Mapping[str, int]]


def task_of(splits: Sequence[Split]) -> Task:
    """The task of some splits.

    Raises:
        StrbenchError: they are of several.
    """
    tasks = list(dict.fromkeys(split.manifest.task for split in splits))
    for task in ANSWERS:
        if tasks == [task]:
            return task
    raise StrbenchError(
        f"Expected splits of one task, {' or '.join(ANSWERS)}; found "
        + ", ".join(f"{split.name} ({split.manifest.task})" for split in splits)
        + ".",
        hint="See: strbench list splits",
    )


def check_lexicon(lexicon: str, task: Task, rules: Mapping[str, str]) -> None:
    """Refuses what names no lexicon, and one where a split, by its name in ``rules``, reads nothing.

    Raises:
        StrbenchError: so it is.
    """
    region_scoring.parse_lexicon(lexicon)
    for split, rule in rules.items():
        if task != "detection" or not region_protocol(rule).texts:
            raise StrbenchError(
                f"--lexicon {lexicon} corrects what a spotter reads, and {split} is scored under "
                f"{rule}.",
                hint="Leave it out, or: --protocol ic15-e2e   (all: strbench list protocols)",
            )


def evaluate(
    loaded: Loaded,
    splits: Sequence[Split],
    *,
    protocols: Mapping[str, str] | str = "",
    suite: str = "",
    batch_size: int = 0,
    limit: int | None = None,
    recognizer: Loaded | None = None,
    lexicon: str = "",
    records_folder: Path | None = None,
    on_batch: Callable[[str, int, int], None] | None = None,
) -> records.Record:
    """The finished record of one model asked about some splits and scored.

    Predictions go to ``<home>/predictions/<model>/``; a run that was cut short continues there.

    Args:
        protocols: of all splits, or of each by name; those that are not named have their default.
        recognizer: of super-resolution, reads the images before and after, and the true ones.
        lexicon: of spotting, as ``region_scoring.correct_texts`` takes it: the nearest word takes the
            place of what was read. The predictions that are kept are those before it, and a record of it
            names no file of predictions, so that nothing scores them as if they were corrected.

    Raises:
        StrbenchError: whatever asking, aligning or scoring raises; the record then says ``error``.
    """
    task = task_of(splits)
    named = {split.name: protocols for split in splits} if isinstance(protocols, str) else protocols
    rules = {
        split.name: named.get(split.name) or default_protocol(split.name, task) for split in splits
    }
    for rule in rules.values():
        check_protocol(rule, task)
    if recognizer is not None and task != "super-resolution":
        raise StrbenchError(
            f"A recognizer beside the model reads restored images, and the task is {task}.",
            hint="Leave --recognizer out.",
        )
    if lexicon:
        check_lexicon(lexicon, task, rules)
        for split in splits if "=" not in lexicon else ():
            prepared_lexicons(split, lexicon, {})  # before hours of reading
    environment: dict[str, Any] = {"batch_size": batch_size or "auto"}
    device = getattr(loaded.model, "device", None)
    if device is not None:
        devices = importlib.import_module("strbench.devices")
        environment |= {
            "device": devices.device_name(device),
            "dtype": str(getattr(loaded.model, "dtype", None) or "float32").split(".")[-1],
        }
    with records.start(
        kind="eval",
        name=loaded.name,
        records=records_folder,
        protocol="+".join(dict.fromkeys(rules.values())),
        config={
            "suite": suite,
            "resize": resize_name(loaded.card),
            "notes": loaded.card.notes,
            **({"lexicon": lexicon} if lexicon else {}),
            **image_scoring.recognizer_told(recognizer),
        },
        data=[data_of(split) for split in splits],
        weights=records.stored(Path(loaded.weights["path"]), sha256=loaded.weights["sha256"])
        if loaded.weights
        else None,
        parents=loaded.parents,
        limit=limit,
        environment=environment,
    ) as record:
        score = _Scorer(task, loaded, limit, recognizer, lexicon)
        entries: list[Score] = []
        failures: dict[str, int] = {}
        seconds = 0.0
        read = 0
        if task == "recognition" or recognizer is not None:
            for split in splits:
                scoring.scorable_labels(split, limit)  # before hours of reading
        for split in splits:
            run, path = predict_split(
                loaded, split, batch_size=batch_size, limit=limit, on_batch=on_batch
            )
            entry, said = score(run, path, split, rules[split.name])
            entries.append(replace(entry, seen=split.fingerprint in loaded.seen))
            for reason, count in said.items():
                if count:
                    failures[reason] = failures.get(reason, 0) + count
            seconds += run.seconds
            read += run.read
        record.finish(
            scores=entries,
            failures=failures,
            cost={
                "seconds": round(seconds, 2),
                "read": read,
                "images_per_second": round(read / seconds, 1) if seconds else None,
            },
        )
    return record


class _Scorer(NamedTuple):
    """From what one model said of a split to its score."""

    task: Task
    loaded: Loaded
    limit: int | None
    recognizer: Loaded | None
    lexicon: str

    def __call__(self, run: PredictionRun, path: Path, split: Split, rule: str) -> Scored:
        if self.task == "recognition":
            return self._words(run, path, split, rule)
        if self.task == "detection":
            return self._regions(run, path, split, rule)
        return image_scoring.make_score(
            run.predictions,
            split,
            image_protocol(rule),
            path=path,
            limit=self.limit,
            recognizer=self.recognizer,
        )

    def _words(self, run: PredictionRun, path: Path, split: Split, rule: str) -> Scored:
        entry, scores = scoring.make_score(
            run.predictions,
            split,
            protocol(rule),
            resize=resize_name(self.loaded.card),
            path=path,
            limit=self.limit,
        )
        return entry, {
            "empty prediction": sum(not text for text in run.predictions.texts),
            "dropped by the protocol": scores.n_dropped,
        }

    def _regions(self, run: PredictionRun, path: Path, split: Split, rule: str) -> Scored:
        chosen = region_protocol(rule)
        found: Mapping[str, Sequence[Detection]] = run.predictions
        if chosen.texts and any(one.text is None for some in found.values() for one in some):
            raise StrbenchError(
                f"{chosen.name} compares texts, and {self.loaded.name} finds regions without reading "
                "them.",
                hint="Use a spotter, or a protocol of detection: strbench list protocols",
            )
        said = {"image without a detection": sum(not some for some in found.values())}
        used = ""
        if self.lexicon:
            images = {id_: id_ for id_ in found}
            step, used = region_scoring.correct_texts(found, self.lexicon, images, split.name)
            found = step.detections
            said |= region_scoring.told(step)
        truth = region_scoring.truth_of_split(split, limit=self.limit)
        scored = region_scoring.score_regions(truth.regions(), found.__getitem__, chosen)
        kept = None if self.lexicon else path
        return region_scoring.make_score(scored, chosen, truth, path=kept, lexicon=used), said


def predict_split(
    loaded: Loaded,
    split: Split,
    *,
    batch_size: int = 0,
    limit: int | None = None,
    output: Path | None = None,
    on_batch: Callable[[str, int, int], None] | None = None,
) -> tuple[PredictionRun, Path]:
    """The model's predictions on a split, and the file they are in."""
    if output is None:
        stem = f"{split.name.replace('/', '.')}@{split.fingerprint[:8]}"
        if limit is not None:
            stem += f".first{limit}"
        folder = loaded.name.replace("/", "_").replace(":", "_")
        output = home() / "predictions" / folder / f"{stem}.parquet"
    output.parent.mkdir(parents=True, exist_ok=True)
    run = predict(
        loaded.model,
        split,
        output,
        key=loaded.key,
        name=loaded.name,
        answers=ANSWERS[task_of([split])],
        batch_size=batch_size,
        limit=limit,
        on_batch=(lambda done, total: on_batch(split.name, done, total)) if on_batch else None,
    )
    return run, output
