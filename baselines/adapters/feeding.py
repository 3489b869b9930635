"""How images reach an outside engine: the number of threads, the order, and extreme shapes.

Crops enter a network one at a time, several such reads run side by side in threads. A batch of
crops of different widths would be padded to the widest, and the padding moves the probabilities; fed
one by one, a reading depends on nothing but its image.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from strbench.errors import StrbenchError
from strbench.types import Reading

Pixels = NDArray[np.uint8]

# The longest word crop of the field's test sets is about 13 times as long as high. Far beyond that
# engines round a side to zero or ask for gigabytes.
MAX_RATIO = 60
MAX_SIDE = 30_000  # pixels; Tesseract refuses sides over 32,767


def thread_count(asked: int | str | None = None) -> int:
    """How many images are read at a time: as asked, else as torch or OMP_NUM_THREADS say, else all cores.

    Raises:
        StrbenchError: ``asked`` is not a positive whole number.
    """
    if asked is not None:
        if not str(asked).isdecimal() or int(asked) < 1:
            raise StrbenchError(
                f"Expected a number of threads from 1 up, found {asked!r}.",
                hint="Leave it out to use OMP_NUM_THREADS or all cores.",
            )
        return int(asked)
    if (torch := sys.modules.get("torch")) is not None:
        return int(torch.get_num_threads())
    from_environment = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if from_environment.isdecimal() and int(from_environment) > 0:
        return int(from_environment)
    return os.cpu_count() or 1


def read_each(
    read_one: Callable[[Pixels], Reading], images: Sequence[Pixels], *, threads: int
) -> list[Reading]:
    """One reading an image, in order; an image without pixels reads as "" without a confidence."""

    def read(image: Pixels) -> Reading:
        return read_one(within_limits(image)) if image.size else Reading("", None)

    if threads == 1 or len(images) < 2:
        return [read(image) for image in images]
    with ThreadPoolExecutor(min(threads, len(images))) as pool:
        return list(pool.map(read, images))


def within_limits(image: Pixels) -> Pixels:
    """The image itself, unless a side is over ``MAX_SIDE`` or ``MAX_RATIO`` times the other: then shrunk."""
    height, width = image.shape[:2]
    new_height = min(height, MAX_RATIO * width, MAX_SIDE)
    new_width = min(width, MAX_RATIO * height, MAX_SIDE)
    if (new_height, new_width) == (height, width):
        return image
    resized = Image.fromarray(image).resize((new_width, new_height), Image.Resampling.BICUBIC)
    return np.asarray(resized)
