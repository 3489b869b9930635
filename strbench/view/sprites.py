"""Many small images packed into few files: sheets that a page cuts its crops from."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_HEIGHT, _WIDTH = 96, 480  # pixels that a crop fits into; smaller ones keep their size
_SHEET = 1024  # pixels along an edge: some hundred crops, decoded in about 20 ms
_GAP = 2  # pixels between crops, so that scaling mixes none with its neighbour


class Place(NamedTuple):
    """Where a crop lies: pixels of its sheet."""

    sheet: int
    width: int
    height: int
    x: int
    y: int


class Sheets:
    """Sheets written one after the other, crops in rows from the left."""

    def __init__(self, folder: Path) -> None:
        """An empty first sheet; files go to ``folder`` as 000.png and so on."""
        self.sizes: list[tuple[str, int, int]] = []  # (file name, width, height) of finished sheets
        self._folder = folder
        self._crops: list[tuple[Image.Image, int, int]] = []
        self._x = self._y = self._row = 0

    def add(self, pixels: NDArray[np.uint8]) -> Place:
        """The place of a crop (H, W, 3), which is made smaller if it is larger than 480 x 96."""
        crop = Image.fromarray(pixels)
        if crop.width > _WIDTH or crop.height > _HEIGHT:
            crop.thumbnail((_WIDTH, _HEIGHT), Image.Resampling.LANCZOS)
        if self._x and self._x + crop.width > _SHEET:
            self._x, self._y, self._row = 0, self._y + self._row + _GAP, 0
        if self._y and self._y + crop.height > _SHEET:
            self.finish()
        place = Place(len(self.sizes), crop.width, crop.height, self._x, self._y)
        self._crops.append((crop, self._x, self._y))
        self._x += crop.width + _GAP
        self._row = max(self._row, crop.height)
        return place

    def finish(self) -> None:
        """Write the sheet that is being filled, if anything is on it."""
        if not self._crops:
            return
        width = max(x + crop.width for crop, x, _ in self._crops)
        height = max(y + crop.height for crop, _, y in self._crops)
        sheet = Image.new("RGB", (width, height))
        for crop, x, y in self._crops:
            sheet.paste(crop, (x, y))
        name = f"{len(self.sizes):03}.png"
        # level 1: a third of the default's time for a tenth more bytes
        sheet.save(self._folder / name, "PNG", compress_level=1)
        self.sizes.append((name, width, height))
        self._crops.clear()
        self._x = self._y = self._row = 0
