"""How a word is cut out of a photograph: named crop policies.

The sets of the field were cut by different programs, whose rules differ by a pixel or two, by a
margin, or by what happens at the edge of the photograph. Each rule has a name here. Polygons are in
pixels, the outer corner of the upper left pixel is (0, 0); a window ``left, top, right, bottom`` holds
the columns ``left <= x < right``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from strbench.errors import DATA, StrbenchError, unknown_name
from strbench.geometry import bounds
from strbench.loading import Pixels
from strbench.types import Polygon

_Window = tuple[int, int, int, int]  # left, top, right, bottom
_LARGEST = 89_478_485  # pixels of one crop; Pillow's own limit for an image, ``MAX_IMAGE_PIXELS``


@dataclass(frozen=True, kw_only=True)
class Crop:
    """A crop policy: a rule, in words and as a function, and where it comes from."""

    about: str
    source: str
    cut: Callable[[Pixels, Polygon], Pixels | None]


def crop(pixels: Pixels, polygon: Polygon, policy: str) -> Pixels | None:
    """The word (H, W, 3) under a policy of ``CROPS``; None where nothing of it lies in the image.

    >>> photo = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    >>> crop(photo, ((0.5, 1), (2.2, 1), (2.2, 9), (0.5, 9)), "box").shape
    (3, 3, 3)
    >>> crop(photo, ((7, 1), (9, 1), (9, 3), (7, 3)), "box") is None
    True

    Raises:
        StrbenchError: no policy has that name, or the crop would be too large to hold.
    """
    if policy not in CROPS:
        raise unknown_name("crop policy", policy, CROPS, hint="See: strbench data crop --list")
    return CROPS[policy].cut(pixels, polygon)


def _window(
    rule: Callable[[Polygon, int, int], _Window],
) -> Callable[[Pixels, Polygon], Pixels | None]:
    """A policy that cuts an upright window; what of it lies beyond the image is black."""

    def cut(pixels: Pixels, polygon: Polygon) -> Pixels | None:
        height, width = pixels.shape[:2]
        left, top, right, bottom = rule(polygon, width, height)
        x0, y0, x1, y1 = max(left, 0), max(top, 0), min(right, width), min(bottom, height)
        if x0 >= x1 or y0 >= y1:
            return None
        inner = pixels[y0:y1, x0:x1]
        if (x0, y0, x1, y1) == (left, top, right, bottom):
            return inner.copy()
        if (right - left) * (bottom - top) > _LARGEST:
            raise StrbenchError(
                f"A crop of {right - left} x {bottom - top} pixels was asked for in an image of "
                f"{width} x {height}.",
                hint="Check the annotation, or choose a policy that clips: --crop box",
                exit_code=DATA,
            )
        canvas = np.zeros((bottom - top, right - left, 3), np.uint8)
        canvas[y0 - top : y1 - top, x0 - left : x1 - left] = inner
        return canvas

    return cut


def _clip(window: _Window, width: int, height: int) -> _Window:
    left, top, right, bottom = window
    return max(left, 0), max(top, 0), min(right, width), min(bottom, height)


def _box(polygon: Polygon, width: int, height: int) -> _Window:
    left, top, right, bottom = bounds(polygon)
    window = math.floor(left), math.floor(top), math.ceil(right), math.ceil(bottom)
    return _clip(window, width, height)


def _box_inclusive(polygon: Polygon, width: int, height: int) -> _Window:
    left, top, right, bottom = bounds(polygon)
    window = math.floor(left), math.floor(top), math.floor(right) + 1, math.floor(bottom) + 1
    return _clip(window, width, height)


def _size(low: float, high: float) -> int:
    # A side that the source states comes back from high - low with rounding noise; no source
    # states more than four decimals.
    return math.ceil(round(high - low, 6))


def _box_parseq(polygon: Polygon, width: int, height: int) -> _Window:
    left, top, right, bottom = bounds(polygon)
    x, y = max(math.floor(left), 0), max(math.floor(top), 0)
    return x, y, x + _size(left, right), y + _size(top, bottom)


def _box_cocotext(polygon: Polygon, width: int, height: int) -> _Window:
    margin = 2  # pixels
    left, top, right, bottom = bounds(polygon)
    x, y = max(math.floor(left) - margin, 0), max(math.floor(top) - margin, 0)
    far_x, far_y = x + _size(left, right) + 2 * margin, y + _size(top, bottom) + 2 * margin
    return _clip((x, y, far_x, far_y), width, height)


def _box_round(polygon: Polygon, width: int, height: int) -> _Window:
    left, top, right, bottom = map(round, bounds(polygon))
    if left < 0 or top < 0 or right > width or bottom > height:
        return 0, 0, 0, 0  # nothing
    return left, top, right, bottom


def _box_aster(polygon: Polygon, width: int, height: int) -> _Window:
    left, top, right, bottom = bounds(polygon)
    margin = 0.1 * math.sqrt((right - left) * (bottom - top))
    left, top = max(left - margin, 0), max(top - margin, 0)
    right, bottom = min(right + margin, width), min(bottom + margin, height)
    return round(left), round(top), round(right), round(bottom)


def _perspective(pixels: Pixels, polygon: Polygon) -> Pixels | None:
    height, width = pixels.shape[:2]
    points = np.array(polygon, np.float64)
    if len(points) != 4:
        points = minimum_rectangle(points)
    quad = _from_upper_left(np.clip(points, 0, (width, height)))
    top, right, bottom, left = np.linalg.norm(np.roll(quad, -1, axis=0) - quad, axis=1)
    out_width, out_height = int(max(top, bottom)), int(max(left, right))
    if not out_width or not out_height:
        return None
    frame = np.array(
        [(0, 0), (max(top, bottom), 0), (max(top, bottom), max(left, right)), (0, max(left, right))]
    )
    matrix = _homography(frame, quad)
    if matrix is None:
        return None
    # The rule counts positions from the centre of the first pixel, Pillow from its outer corner.
    shift = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
    matrix = shift @ matrix @ np.linalg.inv(shift)
    image = Image.fromarray(pixels).transform(
        (out_width, out_height),
        Image.Transform.PERSPECTIVE,
        (matrix / matrix[2, 2]).ravel()[:8].tolist(),
        Image.Resampling.BILINEAR,
    )
    return np.array(image)


def _from_upper_left(quad: NDArray[np.float64]) -> NDArray[np.float64]:
    """Four vertices by their angle about their mean, first the one next to the box's upper left."""
    offset = quad - quad.mean(axis=0)
    ordered = quad[np.argsort(np.arctan2(offset[:, 1], offset[:, 0]), kind="stable")]
    first = np.linalg.norm(ordered - quad.min(axis=0), axis=1).argmin()
    return np.roll(ordered, -first, axis=0)


def _homography(
    here: NDArray[np.float64], there: NDArray[np.float64]
) -> NDArray[np.float64] | None:
    """The matrix (3, 3) that takes four points to four others; None where there is none."""
    rows: list[list[float]] = []
    for (x, y), (u, v) in zip(here, there, strict=True):
        rows.append([x, y, 1, 0, 0, 0, -u * x, -u * y])
        rows.append([0, 0, 0, x, y, 1, -v * x, -v * y])
    try:
        solved = np.linalg.solve(np.array(rows), there.ravel())
    except np.linalg.LinAlgError:
        return None
    return np.append(solved, 1.0).reshape(3, 3)


def minimum_rectangle(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """The rectangle (4, 2) of least area around points (N, 2); one of its sides lies on their hull.

    >>> minimum_rectangle(np.array([[0, 0], [4, 0], [2, 1], [4, 2], [0, 2]], float)).tolist()
    [[0.0, 0.0], [4.0, 0.0], [4.0, 2.0], [0.0, 2.0]]
    """
    hull = _hull(points)
    best, least = np.repeat(hull[:1], 4, axis=0), math.inf
    for dx, dy in np.roll(hull, -1, axis=0) - hull:
        length = math.hypot(dx, dy)
        if not length:
            continue
        axes = np.array([(dx, dy), (-dy, dx)]) / length
        turned = hull @ axes.T
        (left, top), (right, bottom) = turned.min(axis=0), turned.max(axis=0)
        area = (right - left) * (bottom - top)
        if area < least:
            least = area
            best = np.array([(left, top), (right, top), (right, bottom), (left, bottom)]) @ axes
    return best


def _hull(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """The convex hull of points (N, 2), by Andrew's monotone chain."""
    ordered = sorted(set(map(tuple, points.tolist())))
    chain: list[tuple[float, ...]] = []
    for line in (ordered, ordered[::-1]):
        start = len(chain)
        for x, y in line:
            while len(chain) - start >= 2:
                (ax, ay), (bx, by) = chain[-2:]
                if (bx - ax) * (y - ay) - (by - ay) * (x - ax) > 0:
                    break
                chain.pop()
            chain.append((x, y))
        chain.pop()  # the first of the next line
    return np.array(chain or ordered)


CROPS: dict[str, Crop] = {
    "box": Crop(
        about="the upright box around the polygon, outwards to whole pixels, clipped to the image",
        source="SVT; TextRecogCropPacker of MMOCR 1.x, which gives the same on whole pixels",
        cut=_window(_box),
    ),
    "box-inclusive": Crop(
        about="the upright box with the column and row that its far sides name, clipped",
        source="the word images of ICDAR 2015: its 2,077 test crops are these, pixel by pixel",
        cut=_window(_box_inclusive),
    ),
    "box-parseq": Crop(
        about="x and y down to whole pixels and not below 0, width and height up; black where "
        "that runs over the far edges",
        source="PARSeq, tools/textocr_converter.py and openvino_converter.py",
        cut=_window(_box_parseq),
    ),
    "box-cocotext": Crop(
        about="like box-parseq with a margin of 2 pixels, clipped to the image",
        source="PARSeq, tools/coco_2_converter.py",
        cut=_window(_box_cocotext),
    ),
    "box-round": Crop(
        about="the upright box, each side to the nearest whole pixel (halves to even); "
        "none where it reaches out of the image",
        source="ABINet, tools/crop_by_word_bb_syn90k.py (SynthText)",
        cut=_window(_box_round),
    ),
    "box-aster": Crop(
        about="the upright box with a margin of 10 % of sqrt(width x height), clipped, then rounded",
        source="ASTER, tools/create_synthtext_tfrecord.py",
        cut=_window(_box_aster),
    ),
    "perspective": Crop(
        about="four vertices warped to a rectangle as wide and high as their longest sides, bilinear; "
        "of another number of vertices the rectangle of least area",
        source="MMOCR, mmocr/utils/img_utils.py, warp_img (which takes four vertices only)",
        cut=_perspective,
    ),
}
