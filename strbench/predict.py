"""Store -> recognizer -> predictions keyed by sample id; a killed run goes on where it stopped.

Readings are appended to a journal beside the output, batch by batch. The output itself appears only
when every sample was read, by rename. The journal's first line says which model and which split it
belongs to, so a journal of anything else is never continued.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from strbench.errors import DATA, StrbenchError
from strbench.files import lock
from strbench.loading import prepare
from strbench.predictions import Predictions, write_predictions
from strbench.store import Split
from strbench.types import Card, Reading, Recognizer


@dataclass(frozen=True)
class PredictionRun:
    """What reading a split gave and cost."""

    predictions: Predictions
    seconds: float  # of this process, decoding and resizing included
    read: int  # samples read by this process; the rest came from the journal
    batch_size: int


def card_of(recognizer: Recognizer, name: str = "") -> Card:
    """The recognizer's card, or a bare one for an object that carries none."""
    card = getattr(recognizer, "card", None)
    if isinstance(card, Card):
        return card
    title = type(recognizer).__name__
    return Card(name=name or title, kind="recognizer", title=title)


def predict(
    recognizer: Recognizer,
    split: Split,
    output: Path,
    *,
    key: str,
    batch_size: int = 0,
    limit: int | None = None,
    on_batch: Callable[[int, int], None] | None = None,
) -> PredictionRun:
    """The readings of every sample of a split, written to ``output``.

    Args:
        key: identifies the model (name and weights hash); with the split's fingerprint it decides
            whether a journal is continued.
        batch_size: 0 lets the recognizer's ``batch_size`` decide, else 64; on a CUDA device it is
            halved until a batch fits.
        limit: read only the first samples; the record of such a run never enters a table.
        on_batch: called with (samples done, samples in all) after each batch.

    Raises:
        StrbenchError: the recognizer returns something other than one text an image, an image cannot
            be read, or another process writes the same output.
    """
    header = {"key": key, "fingerprint": split.fingerprint}
    journal = output.with_name(output.name + ".partial.jsonl")
    ids = split.ids if limit is None else split.ids[:limit]
    card = card_of(recognizer)
    size = batch_size or int(getattr(recognizer, "batch_size", 64))
    begun = time.monotonic()
    with lock(output.with_name(f".{output.name}.lock"), what=str(output)):
        done = _read_journal(journal, header)
        todo = [i for i, id_ in enumerate(ids) if id_ not in done]
        read = len(todo)
        with journal.open("a", encoding="utf-8") as file, ThreadPoolExecutor(2) as pool:
            if not done:
                file.truncate(0)
                file.write(json.dumps(header) + "\n")
            for chunk, images in _prepared(split, todo, card, size, pool):
                for i, reading in zip(chunk, _read(recognizer, images, card), strict=True):
                    done[ids[i]] = reading
                    line = [ids[i], reading.text, reading.confidence]
                    file.write(json.dumps(line, ensure_ascii=False) + "\n")
                file.flush()
                if on_batch is not None:
                    on_batch(len(done), len(ids))
            os.fsync(file.fileno())
        readings = [done[id_] for id_ in ids]
        predictions = Predictions(
            ids=list(ids),
            texts=[reading.text for reading in readings],
            confidences=[reading.confidence for reading in readings],
        )
        write_predictions(output, predictions)
        journal.unlink()
    return PredictionRun(predictions, time.monotonic() - begun, read, size)


def _prepared(
    split: Split, todo: Sequence[int], card: Card, size: int, pool: ThreadPoolExecutor
) -> Iterator[tuple[list[int], list[np.ndarray]]]:
    """Batches of decoded and resized images; the next batch is prepared while one is read."""

    def load(chunk: list[int]) -> list[np.ndarray]:
        images = []
        for i in chunk:
            try:
                images.append(prepare(split.image(i), card))
            except StrbenchError as error:
                raise StrbenchError(
                    f"{split.name}: {split.ids[i]}: {error.message}.",
                    hint=f"strbench data verify {split.name}",
                    exit_code=DATA,
                ) from error
        return images

    source = iter(todo)
    chunks = iter(lambda: list(islice(source, size)), [])
    waiting = [(chunk, pool.submit(load, chunk)) for chunk in islice(chunks, 2)]
    while waiting:
        chunk, future = waiting.pop(0)
        images = future.result()
        if (following := next(chunks, None)) is not None:
            waiting.append((following, pool.submit(load, following)))
        yield chunk, images


def _read(recognizer: Recognizer, images: list[np.ndarray], card: Card) -> list[Reading]:
    try:
        results: Sequence[Any] = recognizer.read(images)
    except RuntimeError as error:
        from strbench.devices import is_out_of_memory

        if not is_out_of_memory(error) or len(images) == 1:
            raise
        half = len(images) // 2
        return _read(recognizer, images[:half], card) + _read(recognizer, images[half:], card)
    readings = [Reading(r) if isinstance(r, str) else r for r in results]
    if len(readings) != len(images) or not all(_is_reading(r) for r in readings):
        found = f"{len(readings)} results, the first {results[0]!r}" if len(results) else "nothing"
        raise StrbenchError(
            f"{card.name}.read: expected a text or (text, confidence) for each of {len(images)} "
            f"images, found {found}.",
            hint="See strbench.types.Recognizer.",
        )
    return [Reading(*r) for r in readings]


def _is_reading(value: Any) -> bool:
    return (
        isinstance(value, tuple)
        and len(value) == 2
        and isinstance(value[0], str)
        and (value[1] is None or isinstance(value[1], (int, float)))
    )


def _read_journal(path: Path, header: dict[str, str]) -> dict[str, Reading]:
    """What a run cut short has read; nothing if the journal belongs to something else.

    The last line may be half-written: it counts only if it parses.
    """
    if not path.is_file():
        return {}
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    whole, tail = lines[:-1], lines[-1]
    readings: dict[str, Reading] = {}
    try:
        if not whole or json.loads(whole[0]) != header:
            return {}
        for line in whole[1:]:
            id_, text, confidence = json.loads(line)
            readings[id_] = Reading(text, confidence)
    except ValueError as error:
        raise StrbenchError(
            f"{path} is damaged ({error}).", hint=f"rm '{path}'", exit_code=DATA
        ) from error
    if tail:  # cut off while writing: forget that line
        with path.open("rb+") as file:
            file.truncate(len("\n".join(whole).encode()) + 1)
    return readings
