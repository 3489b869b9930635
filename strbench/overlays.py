"""Predictions drawn on their images: outlines and texts on photographs, masks on crops."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from strbench.datasets.tree import is_image
from strbench.drawing import LEGIBLE, font, shown
from strbench.files import atomic_path
from strbench.loading import Pixels, decode
from strbench.types import Detection, Task

_QUALITY = 92  # of JPEG
DRAWN: tuple[Task, ...] = ("detection", "segmentation")  # the tasks whose answers lie on the image
_FINE = 2  # lines are drawn at so many times the size, then reduced: Pillow's are jagged


def overlay(pixels: Pixels, found: Sequence[Detection]) -> Image.Image:
    """A photograph (H, W, 3) with what was found in it: each outline, its text above it."""
    image = Image.fromarray(pixels)
    height, width = pixels.shape[:2]
    scale = max(height, width) / 1000
    layer = Image.new("L", (_FINE * width, _FINE * height))
    pen = ImageDraw.Draw(layer)
    for one in found:
        points = [(_FINE * x, _FINE * y) for x, y in one.polygon]
        pen.line([*points, points[0]], fill=255, width=max(round(5 * scale), 3), joint="curve")
    image.paste(LEGIBLE, mask=layer.resize(image.size, Image.Resampling.BOX))
    face = font(max(round(17 * scale), 11))
    over = ImageDraw.Draw(image)
    for one in found:
        if one.text:
            at = min(x for x, _ in one.polygon), min(y for _, y in one.polygon) - face.size - 4
            place = max(at[0], 0), max(at[1], 0)
            text = shown(one.text)
            over.rectangle(over.textbbox(place, text, face), fill=LEGIBLE)
            over.text(place, text, (255, 255, 255), face)
    return image


def masked(pixels: Pixels, share: np.ndarray[Any, Any]) -> Image.Image:
    """A crop (H, W, 3), and below it the same with its text coloured; the mask is (h, w) in [0, 1]."""
    height, width = pixels.shape[:2]
    level = np.asarray(
        Image.fromarray(share.astype(np.float32)).resize((width, height), Image.Resampling.NEAREST)
    )
    part = 0.75 * level[..., None]
    tinted = (1 - part) * pixels + part * np.array(LEGIBLE)
    return Image.fromarray(np.concatenate([pixels, tinted.astype(np.uint8)]))


def write_overlays(folder: Path, answers: Iterable[tuple[str, bytes, Any]], task: Task) -> None:
    """A JPEG in the folder for each image: its name, its encoded bytes, what was answered.

    What no file may be called becomes a low line; where two names would meet, a number follows.

    Raises:
        StrbenchError: an image cannot be read, or the disk is full.
    """
    folder.mkdir(parents=True, exist_ok=True)
    used: set[str] = set()
    for index, (name, data, answer) in enumerate(answers):
        pixels = decode(data)
        picture = overlay(pixels, answer) if task == "detection" else masked(pixels, answer)
        stem = name.rpartition(".")[0] if is_image(name) else name
        clean = re.sub(r"[^\w.-]+", "_", stem).strip("._") or str(index)
        if clean in used:
            clean = f"{clean}-{index}"
        used.add(clean)
        with atomic_path(folder / f"{clean}.jpg") as path:
            # without subsampling, for the colour of thin lines
            picture.save(path, "JPEG", quality=_QUALITY, subsampling=0)
