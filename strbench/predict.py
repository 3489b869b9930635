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
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np

from strbench.errors import DATA, DEVICE, StrbenchError
from strbench.files import lock
from strbench.loading import prepare
from strbench.prediction_files import READERS
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
        batch_size: 0 lets the recognizer's ``batch_size`` decide, else 64; where the device's memory
            is too small it is halved until a batch fits.
        limit: read only the first samples; the record of such a run never enters a table.
        on_batch: called with (samples done, samples in all) after each batch.

    Raises:
        StrbenchError: the recognizer returns something other than one text an image, an image cannot
            be read, one image is too large for the device, another process writes the same output,
            or the output's suffix names no format.
    """
    if output.suffix.lower() not in READERS:
        raise StrbenchError(
            f"{output}: predictions are written as {', '.join(READERS)}.",
            hint=f"-o {output.with_suffix('.jsonl')}",
        )
    header = {"key": key, "fingerprint": split.fingerprint}
    journal = output.with_name(output.name + ".partial.jsonl")
    ids = split.ids if limit is None else split.ids[:limit]
    wanted = set(ids)
    card = card_of(recognizer)
    reader = _Reader(recognizer, card, batch_size or int(getattr(recognizer, "batch_size", 64)))
    begun = time.monotonic()
    with lock(output.with_name(f".{output.name}.lock"), what=str(output)):
        done = {id_: r for id_, r in _read_journal(journal, header).items() if id_ in wanted}
        todo = [i for i, id_ in enumerate(ids) if id_ not in done]
        read = len(todo)
        with journal.open("a", encoding="utf-8") as file, ThreadPoolExecutor(2) as pool:
            if not done:
                file.truncate(0)
                file.write(json.dumps(header) + "\n")
            for chunk, images in _prepared(split, todo, card, reader.size, pool):
                for i, reading in zip(chunk, reader.read(images), strict=True):
                    done[ids[i]] = reading
                    line = [ids[i], reading.text, reading.confidence]
                    file.write(json.dumps(line) + "\n")
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
    return PredictionRun(predictions, time.monotonic() - begun, read, reader.size)


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


class _Reader:
    """A recognizer whose answers are checked; ``size`` is the batch that the device could hold."""

    def __init__(self, recognizer: Recognizer, card: Card, size: int) -> None:
        self.recognizer = recognizer
        self.card = card
        self.size = size

    def read(self, images: list[np.ndarray]) -> list[Reading]:
        readings: list[Reading] = []
        while len(readings) < len(images):
            part = images[len(readings) : len(readings) + self.size]
            results = self._try(part)
            if results is not None:
                readings += self._checked(results, len(part))
            elif len(part) > 1:
                self.size = len(part) // 2
            else:
                raise StrbenchError(
                    f"{self.card.name}: one image of {part[0].shape[1]} x {part[0].shape[0]} "
                    "pixels does not fit in the device's memory.",
                    hint="Use a smaller model, or --device cpu.",
                    exit_code=DEVICE,
                )
        return readings

    def _try(self, images: list[np.ndarray]) -> Any:
        """What the recognizer returns; None where the device is out of memory."""
        try:
            results: Any = self.recognizer.read(images)
        except RuntimeError as error:
            from strbench.devices import is_out_of_memory

            if not is_out_of_memory(error):
                raise
            return None  # outside of this block the failed batch's tensors are free again
        if results is None:
            raise self._wrong("nothing", len(images))
        return results

    def _checked(self, results: Any, n: int) -> list[Reading]:
        if isinstance(results, str | bytes) or not isinstance(results, Sequence | np.ndarray):
            raise self._wrong(f"a {type(results).__name__}", n)
        readings = [_reading(result) for result in results]
        if len(readings) != n:
            raise self._wrong(f"{len(readings)} results", n)
        if None in readings:
            raise self._wrong(repr(results[readings.index(None)]), n)
        return [reading for reading in readings if reading is not None]

    def _wrong(self, found: str, n: int) -> StrbenchError:
        return StrbenchError(
            f"{self.card.name}.read: expected a list with a text or (text, confidence in [0, 1]) "
            f"for each of {n} images, found {found}.",
            hint="See strbench.types.Recognizer.",
        )


def _reading(value: Any) -> Reading | None:
    """The reading that a result stands for; None where it is none."""
    if isinstance(value, str):
        value = (value, None)
    if not isinstance(value, tuple) or len(value) != 2 or not isinstance(value[0], str):
        return None
    text, confidence = str(value[0]), value[1]
    if any("\ud800" <= character <= "\udfff" for character in text):
        return None  # half a surrogate pair: no text, and no file could hold it
    if confidence is None:
        return Reading(text)
    is_share = isinstance(confidence, Real) and 0 <= float(confidence) <= 1
    return Reading(text, float(confidence)) if is_share else None


def _read_journal(path: Path, header: dict[str, str]) -> dict[str, Reading]:
    """What a run cut short has read; nothing if the journal belongs to something else.

    A last line without its end is forgotten.
    """
    if not path.is_file():
        return {}
    whole, newline, tail = path.read_bytes().rpartition(b"\n")
    if not newline:
        return {}
    readings: dict[str, Reading] = {}
    try:
        first, *lines = whole.split(b"\n")
        if json.loads(first) != header:
            return {}
        for line in lines:
            id_, text, confidence = json.loads(line)
            readings[id_] = Reading(text, confidence)
    except (ValueError, TypeError) as error:
        raise StrbenchError(
            f"{path} is damaged ({error}).", hint=f"rm '{path}'", exit_code=DATA
        ) from error
    if tail:
        os.truncate(path, len(whole) + 1)
    return readings
