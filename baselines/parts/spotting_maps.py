"""What a spotter is trained on: windows of photographs with whole words, and arrays of what is in them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from strbench.geometry import bounds
from strbench.placing import Place, Placement, Scene, moved, scaling, shift, turning
from strbench.raster import window
from strbench.types import Polygon, Region

from .character_attention import NONE, START, STEPS, symbol, symbols
from .db_maps import LEAST_SIDE, SHRINK
from .text_polygons import offset, shrink_distance

MOST_TEXTS = 128  # of a window; further ones are ignored
CHARACTERS = 37  # classes of a character map: none, ten digits, 26 letters
LEAST_SEEN = 0.9  # share of a text's box that lies in the window
CHARACTER_SHRINK = 0.25  # of a character's sides; Lyu et al., Mask TextSpotter, ECCV 2018


def places(shorts: Sequence[int], turn: float, height: int, width: int) -> Place:
    """Turned, scaled to one of some lengths of the shorter side, and a window with a whole text cut out.

    The window is drawn among those that hold a text that counts, itself drawn; of one that is larger than
    the window its upper left part is seen. A smaller photograph lies in the window's corner.

    Args:
        shorts: lengths of the photograph's shorter side, in pixels.
        turn: degrees at most, either way; nothing of the photograph is cut off by turning.
        height, width: of the window.
    """

    def place(
        rng: np.random.Generator, rows: int, columns: int, regions: Sequence[Region]
    ) -> Placement:
        scale = float(rng.choice(np.asarray(shorts))) / min(rows, columns)
        matrix = scaling(scale, scale) @ turning(rng.uniform(-turn, turn), rows, columns)
        whole: Polygon = ((0, 0), (columns, 0), (columns, rows), (0, rows))
        left, top, right, bottom = bounds(moved(whole, matrix))
        matrix = shift(-left, -top) @ matrix
        legible = [r for r in regions if not r.ignored and len(r.polygon) > 2]
        one = legible[rng.integers(len(legible))].polygon if legible else whole
        x0, y0, x1, y1 = bounds(moved(one, matrix))
        x = _start(rng, x0, x1, right - left, width)
        y = _start(rng, y0, y1, bottom - top, height)
        shown = min(height, round(bottom - top - y)), min(width, round(right - left - x))
        return Placement(shift(-x, -y) @ matrix, shown)

    return place


def _start(
    rng: np.random.Generator, first: float, last: float, extent: float, length: int
) -> float:
    """Where a window of some length begins, in a photograph of some extent, so that it holds a span."""
    most = max(0.0, extent - length)
    low, high = min(max(0.0, last - length), most), min(max(0.0, first), most)
    return rng.uniform(low, high) if low < high else high


def targets(scene: Scene) -> dict[str, NDArray[np.generic]]:
    """Arrays of a scene of H x W pixels, of one shape whatever it holds.

    - "shrunk" (H, W) bool, the texts shrunk to 0.4, and "counts", where it is known what is text
    - "boxes" (128, 4) float32 of the texts within the window; a row without an area is none
    - "ids" (128, 32) int64, as ``character_attention.symbols`` gives them
    - "instances" (H, W) int16, at each pixel the row of its text plus 1, or 0
    - "characters" (H, W) int8, in texts with boxes of characters the class in the inner quarter of each
      box (sides), else 0; -1 everywhere else
    - "has_characters" (128,) bool, of each text

    A text is ignored, and its whole polygon does not count, if it is annotated so, if its box is lower
    or narrower than 8 pixels or has more than a tenth of its area outside of the window, if nothing is
    left of it after shrinking, or if 128 came before it.
    """
    size = scene.height, scene.width
    shrunk, counts = np.zeros(size, np.bool_), np.ones(size, np.bool_)
    instances, characters = np.zeros(size, np.int16), np.full(size, -1, np.int8)
    boxes, has = np.zeros((MOST_TEXTS, 4), np.float32), np.zeros(MOST_TEXTS, np.bool_)
    ids = np.full((MOST_TEXTS, STEPS), NONE, np.int64)
    number = 0
    for region in scene.regions:
        box = np.array(bounds(region.polygon))
        inside = np.clip(box, 0, (scene.width, scene.height) * 2)
        inner = offset(region.polygon, -shrink_distance(region.polygon, SHRINK))
        seen = window(region.polygon, *size)
        if (
            region.ignored
            or number == MOST_TEXTS
            or (box[2:] - box[:2]).min() < LEAST_SIDE
            or (inside[2:] - inside[:2]).prod() < LEAST_SEEN * (box[2:] - box[:2]).prod()
            or not inner
        ):
            counts[seen.area][seen.inside] = False
            continue
        core = window(inner[0], *size)
        shrunk[core.area][core.inside] = True
        instances[seen.area][seen.inside] = number + 1
        boxes[number], ids[number] = inside, symbols(region.text)
        signs = "".join((region.text or "").split())
        characters[seen.area][seen.inside] = -1
        if signs and len(signs) == len(region.characters):
            has[number] = True
            characters[seen.area][seen.inside] = START
            for sign, polygon in zip(signs, region.characters, strict=True):
                quarter = window(_shrunk(polygon), *size)
                characters[quarter.area][quarter.inside] = symbol(sign)
        number += 1
    return {
        "shrunk": shrunk,
        "counts": counts,
        "boxes": boxes,
        "ids": ids,
        "instances": instances,
        "characters": characters,
        "has_characters": has,
    }


def _shrunk(polygon: Polygon) -> NDArray[np.float64]:
    points = np.asarray(polygon, dtype=np.float64)
    centre = points.mean(axis=0)
    smaller: NDArray[np.float64] = centre + CHARACTER_SHRINK * (points - centre)
    return smaller
