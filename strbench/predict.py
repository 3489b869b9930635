"""Store -> model -> predictions keyed by sample id; a killed run goes on where it stopped.

Answers are appended to a journal beside the output, batch by batch. The output itself appears only
when every sample was answered, by rename. The journal's first line says which model and which split it
belongs to, so a journal of anything else is never continued.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np

from strbench.answers import READINGS, Answers
from strbench.errors import DATA, DEVICE, OwnCode, StrbenchError
from strbench.files import lock
from strbench.store import Split
from strbench.types import Card

_SHOWN = 200  # characters of a wrong answer that an error quotes


@dataclass(frozen=True)
class PredictionRun:
    """What asking a model about a split gave and cost."""

    predictions: Any  # as the task's scoring takes them, e.g. ``Predictions`` of words
    seconds: float  # of this process, decoding and resizing included
    n: int  # samples in the predictions
    read: int  # samples answered by this process; the rest came from the journal
    batch_size: int


_KINDS: dict[str, Literal["recognizer", "detector", "restorer", "segmenter"]] = {
    "read": "recognizer",
    "detect": "detector",
    "restore": "restorer",
    "segment": "segmenter",
}


def card_of(model: object, name: str = "") -> Card:
    """The model's card, or a bare one for an object that carries none."""
    card = getattr(model, "card", None)
    if isinstance(card, Card):
        return card
    title = type(model).__name__
    methods = (method for method in _KINDS if hasattr(model, method))
    return Card(name=name or title, kind=_KINDS[next(methods, "read")], title=title)


def predict(
    model: Any,
    split: Split,
    output: Path,
    *,
    key: str,
    name: str = "",
    answers: Answers = READINGS,
    batch_size: int = 0,
    limit: int | None = None,
    on_batch: Callable[[int, int], None] | None = None,
) -> PredictionRun:
    """The answers about every sample of a split, written to ``output``.

    Args:
        model: has the method that ``answers`` names.
        key: identifies the model (name and weights hash); with the split's fingerprint it decides
            whether a journal is continued.
        name: of a model without a card, in errors; default: its class.
        batch_size: 0 lets the model's ``batch_size`` decide, else 64; where the device's memory
            is too small it is halved until a batch fits.
        limit: ask about the first samples only; the record of such a run never enters a table.
        on_batch: called with (samples done, samples in all) after each batch.

    Raises:
        StrbenchError: the model returns something other than one answer an image, or is the user's own
            and raises, an image cannot be read, one image is too large for the device, another process
            writes the same output, or the output's suffix names no format.
    """
    if output.suffix.lower() not in answers.suffixes:
        raise StrbenchError(
            f"{output}: predictions are written as {', '.join(answers.suffixes)}.",
            hint=f"-o {output.with_suffix(next(iter(answers.suffixes)))}",
        )
    header = {"key": key, "fingerprint": split.fingerprint}
    journal = output.with_name(output.name + ".partial.jsonl")
    ids = split.ids if limit is None else split.ids[:limit]
    wanted = set(ids)
    card = card_of(model, name)
    asker = Asker(model, answers, card, batch_size, what=split.name)
    begun = time.monotonic()
    with lock(output.with_name(f".{output.name}.lock"), what=str(output)):
        kept = _read_journal(journal, header, answers)
        done = {id_: answer for id_, answer in kept.items() if id_ in wanted}
        todo = [i for i, id_ in enumerate(ids) if id_ not in done]
        read = len(todo)
        with journal.open("a", encoding="utf-8") as file, ThreadPoolExecutor(2) as pool:
            if not done:
                file.truncate(0)
                file.write(json.dumps(header) + "\n")
            for chunk, images in _prepared(split, todo, answers, card, asker.size, pool):
                for i, answer in zip(chunk, asker.ask(images), strict=True):
                    done[ids[i]] = answer
                    file.write(json.dumps([ids[i], answers.to_json(answer)]) + "\n")
                file.flush()
                if on_batch is not None:
                    on_batch(len(done), len(ids))
            os.fsync(file.fileno())
        predictions = answers.file(output, list(ids), [done[id_] for id_ in ids])
        journal.unlink()
    return PredictionRun(predictions, time.monotonic() - begun, len(ids), read, asker.size)


def _prepared(
    split: Split,
    todo: Sequence[int],
    answers: Answers,
    card: Card,
    size: int,
    pool: ThreadPoolExecutor,
) -> Iterator[tuple[list[int], list[np.ndarray]]]:
    """Batches of decoded and resized images; the next batch is prepared while one is read."""

    def load(chunk: list[int]) -> list[np.ndarray]:
        images = []
        for i in chunk:
            try:
                images.append(answers.image(split, i, card))
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


class Asker:
    """A model whose answers are checked.

    Args:
        size: images at once; 0 lets the model's ``batch_size`` decide, else 64.
        what: is asked about: a split's name or a path.
    """

    def __init__(
        self, model: Any, answers: Answers, card: Card, size: int, *, what: str = ""
    ) -> None:
        is_own = type(model).__module__.partition(".")[0] != "strbench"
        asked = OwnCode(f"{card.name}.{answers.method} on {what}")
        self.guard: AbstractContextManager[None] = asked if is_own else nullcontext()
        self.method: Callable[[Sequence[np.ndarray]], Any] = getattr(model, answers.method)
        self.answers = answers
        self.card = card
        self.size = size or int(getattr(model, "batch_size", 64))

    def ask(self, images: list[np.ndarray]) -> list[Any]:
        """One answer an image; ``size`` is halved where the device cannot hold a batch.

        Raises:
            StrbenchError: the model returns something else, a model of the user's own raises, or one
                image is too large.
        """
        answers: list[Any] = []
        while len(answers) < len(images):
            part = images[len(answers) : len(answers) + self.size]
            results = self._try(part)
            if results is not None:
                answers += self._checked(results, len(part))
            elif len(part) > 1:
                self.size = len(part) // 2
            else:
                raise StrbenchError(
                    f"{self.card.name}: one image of {part[0].shape[1]} x {part[0].shape[0]} "
                    "pixels does not fit in the device's memory.",
                    hint="Use a smaller model, or --device cpu.",
                    exit_code=DEVICE,
                )
        return answers

    def _try(self, images: list[np.ndarray]) -> Any:
        """What the model returns; None where the device is out of memory."""
        with self.guard:
            try:
                results: Any = self.method(images)
            except RuntimeError as error:
                from strbench.devices import is_out_of_memory

                if not is_out_of_memory(error):
                    raise
                return None  # outside of this block the failed batch's tensors are free again
        if results is None:
            raise self._wrong("nothing", len(images))
        return results

    def _checked(self, results: Any, n: int) -> list[Any]:
        if isinstance(results, str | bytes) or not isinstance(results, Sequence | np.ndarray):
            raise self._wrong(f"a {type(results).__name__}", n)
        answers = [self.answers.check(result) for result in results]
        if len(answers) != n:
            raise self._wrong(f"{len(answers)} results", n)
        for result, answer in zip(results, answers, strict=True):
            if answer is None:
                raise self._wrong(repr(result)[:_SHOWN], n)
        return answers

    def _wrong(self, found: str, n: int) -> StrbenchError:
        return StrbenchError(
            f"{self.card.name}.{self.answers.method}: expected a list with {self.answers.wanted} "
            f"for each of {n} images, found {found}.",
            hint=f"See strbench.types.{self.answers.protocol}.",
        )


def _read_journal(path: Path, header: dict[str, str], answers: Answers) -> dict[str, Any]:
    """What a run cut short has answered; nothing if the journal belongs to something else.

    A last line without its end is forgotten.
    """
    if not path.is_file():
        return {}
    whole, newline, tail = path.read_bytes().rpartition(b"\n")
    if not newline:
        return {}
    kept: dict[str, Any] = {}
    try:
        first, *lines = whole.split(b"\n")
        if json.loads(first) != header:
            return {}
        for line in lines:
            id_, answer = json.loads(line)
            kept[id_] = answers.from_json(answer)
    except (ValueError, TypeError) as error:
        raise StrbenchError(
            f"{path} is damaged ({error}).", hint=f"rm '{path}'", exit_code=DATA
        ) from error
    if tail:
        os.truncate(path, len(whole) + 1)
    return kept
