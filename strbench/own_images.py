"""Images that are files of one's own, asked about as they are: no split, no labels, no journal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from strbench.answers import ANSWERS
from strbench.datasets.tree import IMAGE_SUFFIXES, is_image
from strbench.errors import DATA, StrbenchError
from strbench.loading import prepare
from strbench.models import Loaded
from strbench.predict import Asker
from strbench.types import Task


def image_files(where: Path) -> list[Path]:
    """The image itself, or those in a folder and the folders in it, by name.

    Raises:
        StrbenchError: there is none in the folder.
    """
    if not where.is_dir():
        return [where]
    found = sorted(path for path in where.rglob("*") if is_image(path.name))
    if not found:
        raise StrbenchError(
            f"{where} holds no image ({', '.join(IMAGE_SUFFIXES)}).",
            hint="Name an image, or a folder of images.",
            exit_code=DATA,
        )
    return found


def ask_files(
    loaded: Loaded,
    files: Sequence[Path],
    task: Task,
    *,
    batch_size: int = 0,
    on_batch: Callable[[int, int], None] | None = None,
) -> list[Any]:
    """What the model answers about each file: a ``Reading``, detections, or a mask.

    Args:
        batch_size: 0 lets the model decide.

    Raises:
        StrbenchError: a file cannot be read as an image, or the model answers something else.
    """
    asker = Asker(loaded.model, ANSWERS[task], loaded.card, batch_size, what=str(files[0].parent))
    answers: list[Any] = []
    while len(answers) < len(files):
        images = []
        for path in files[len(answers) : len(answers) + asker.size]:
            try:
                images.append(prepare(path.read_bytes(), loaded.card))
            except StrbenchError as error:
                raise StrbenchError(
                    f"{path}: {error.message}.", hint="Leave it out.", exit_code=DATA
                ) from error
        answers += asker.ask(images)
        if on_batch is not None:
            on_batch(len(answers), len(files))
    return answers
