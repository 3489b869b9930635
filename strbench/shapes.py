"""Polygons of many images as arrays: areas, and what the pairs of two sets have in common.

Detection is scored by the overlap of found and true polygons. Here those of all images lie in one
array, pairs whose boxes do not touch are never formed, and the rest is computed at once by GEOS.

A polygon may be anything that a file can say: cross itself, have no area, have two vertices. Published
evaluators differ in what they take for its area and its overlap; each way has a name in ``Rule``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import Literal, NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray

from strbench.types import Polygon

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# How a polygon that crosses itself covers the plane:
# "even-odd"  where a ray from a point crosses its boundary an odd number of times (GPC, which Polygon2
#             and Polygon3 wrap);
# "buffer"    what shapely's buffer(0) leaves of it: of a bow-tie one lobe;
# "nothing"   not at all: shapely raises, and the evaluator counts 0.
Rule = Literal["even-odd", "buffer", "nothing"]

_MULTI = 6  # GEOS's number of a MultiPolygon
_GRID = 1e-9  # pixels
_MARGIN = 1e-6  # of an area, for rounding: on the grid too polygons may reach over their boxes


@dataclass(frozen=True)
class Shapes:
    """The polygons of a list of images, image by image."""

    points: Floats  # (V, 2) vertices, x right and y down, of all polygons one after the other
    offsets: Ints  # (N + 1,) polygon i has the points offsets[i] to offsets[i + 1]
    image: Ints  # (N,) the image of each, not falling

    @classmethod
    def of(cls, images: Iterable[Sequence[Polygon]]) -> Shapes:
        """The polygons of images in order; vertices may be any numbers."""
        flat: list[Sequence[float]] = []
        counts: list[int] = []
        image: list[int] = []
        for number, polygons in enumerate(images):
            for polygon in polygons:
                flat += polygon
                counts.append(len(polygon))
                image.append(number)
        points = np.fromiter(chain.from_iterable(flat), dtype=np.float64).reshape(-1, 2)
        offsets = np.concatenate(([0], np.cumsum(counts, dtype=np.int64)))
        return cls(points, offsets.astype(np.int64), np.array(image, dtype=np.int64))

    def __len__(self) -> int:
        return len(self.image)

    @property
    def sizes(self) -> Ints:
        """(N,) numbers of vertices."""
        return np.diff(self.offsets)

    def signed_areas(self) -> Floats:
        """(N,) by the shoelace formula; positive if clockwise on screen, 0 for a symmetric bow-tie."""
        if not len(self.points):
            return np.zeros(len(self))
        some, sizes = self.sizes > 0, self.sizes
        owner = np.repeat(np.arange(len(self)), sizes)
        first = self.offsets[:-1][some]
        # relative to the first vertex, which keeps precision far from the origin
        here = self.points - np.repeat(self.points[first], sizes[some], axis=0)
        after = np.arange(1, len(here) + 1)
        after[self.offsets[1:][some] - 1] = first
        crosses = here[:, 0] * here[after, 1] - here[after, 0] * here[:, 1]
        return np.bincount(owner, crosses, minlength=len(self)) / 2

    def boxes(self) -> Floats:
        """(N, 4) left, top, right, bottom; of a polygon without vertices nothing that touches."""
        out = np.full((len(self), 4), (np.inf, np.inf, -np.inf, -np.inf))
        some = self.sizes > 0
        if some.any():
            starts = self.offsets[:-1][some]
            out[some, :2] = np.minimum.reduceat(self.points, starts, axis=0)
            out[some, 2:] = np.maximum.reduceat(self.points, starts, axis=0)
        return out

    def geometries(self, rule: Rule) -> NDArray[np.object_]:
        """(N,) what each covers, as GEOS geometries whose overlap can be computed."""
        out = np.full(len(self), shapely.Polygon(), dtype=object)
        whole = self.sizes >= 3
        kept = np.repeat(whole, self.sizes)
        if not whole.any():
            return out
        rings = shapely.linearrings(
            self.points[kept], indices=np.repeat(np.arange(whole.sum()), self.sizes[whole])
        )
        made = shapely.polygons(rings)
        broken = ~shapely.is_valid(made)
        if broken.any():
            made[broken] = _REPAIRS[rule](made[broken])
        out[whole] = made
        return out


def _even_odd(polygons: NDArray[np.object_]) -> NDArray[np.object_]:
    return np.array([_fan(one) for one in polygons], dtype=object)


def _fan(polygon: shapely.Polygon) -> shapely.Geometry:
    """What lies in an odd number of the triangles of the first vertex and two neighbours.

    That is the even-odd region, always a MultiPolygon. GEOS's own make_valid is not, where an edge is
    traced twice.
    """
    first, *others = shapely.get_coordinates(shapely.get_exterior_ring(polygon))[:-1]
    corners = [(first, a, b) for a, b in pairwise(others)]
    triangles = shapely.polygons(np.array(corners))
    odd: shapely.Geometry = shapely.MultiPolygon()
    for triangle in triangles[shapely.area(triangles) > 0]:
        odd = surfaces(shapely.symmetric_difference(odd, triangle, grid_size=_GRID))
    return shapely.MultiPolygon(shapely.get_parts(odd).tolist())


def surfaces(geometry: shapely.Geometry) -> shapely.Geometry:
    """The parts that have an area: GEOS overlays no mixture of surfaces and lines."""
    if geometry.geom_type in ("Polygon", "MultiPolygon"):
        return geometry
    parts = shapely.get_parts(geometry)
    return shapely.MultiPolygon(
        shapely.get_parts(parts[shapely.get_dimensions(parts) == 2]).tolist()
    )


def _buffered(polygons: NDArray[np.object_]) -> NDArray[np.object_]:
    out: NDArray[np.object_] = shapely.buffer(polygons, 0)
    return out


def _nothing(polygons: NDArray[np.object_]) -> NDArray[np.object_]:
    return np.full(len(polygons), shapely.Polygon(), dtype=object)


_REPAIRS = {"even-odd": _even_odd, "buffer": _buffered, "nothing": _nothing}


class Pairs(NamedTuple):
    """Pairs of a true and a found polygon of the same image whose boxes touch, both in file order."""

    truth: Ints  # (P,) not falling
    found: Ints  # (P,) rising within a truth
    common: Floats  # (P,) the area that both cover


def candidates(truth: Shapes, found: Shapes) -> tuple[Ints, Ints]:
    """The pairs of one image whose boxes touch: indices into both, by truth and then by found."""
    images = 1 + max(truth.image.max(initial=-1), found.image.max(initial=-1))
    many = np.bincount(found.image, minlength=images)  # found polygons of each image
    begin = np.concatenate(([0], np.cumsum(many)))
    each = many[truth.image]
    first = np.repeat(np.arange(len(truth)), each)
    within = np.arange(len(first)) - np.repeat(np.cumsum(each) - each, each)
    second = begin[truth.image[first]] + within
    a, b = truth.boxes()[first], found.boxes()[second]
    touch = (
        (a[:, 0] <= b[:, 2]) & (b[:, 0] <= a[:, 2]) & (a[:, 1] <= b[:, 3]) & (b[:, 1] <= a[:, 3])
    )
    return first[touch].astype(np.int64), second[touch].astype(np.int64)


def promising(
    truth: Shapes,
    found: Shapes,
    areas: tuple[Floats, Floats],
    *,
    iou: float,
    ignored: NDArray[np.bool_] | None = None,
    ignore: float = 0.0,
    padding: float = 0.0,
) -> tuple[Ints, Ints]:
    """Those of ``candidates`` whose common area may decide something, so that GEOS sees no others.

    What two boxes have in common limits what the polygons have, and with it their overlap and the share
    of the found one.

    Args:
        areas: (N,) and (M,), those that the overlap is reckoned with.
        iou: a pair may match from this overlap on.
        ignored: (N,) true regions that do not count, if there are any. Pairs of theirs are kept as well
            if the common area may be the share ``ignore`` of the found one's area, by the shoelace
            formula, plus ``padding``.
    """
    first, second = candidates(truth, found)
    a, b = truth.boxes()[first], found.boxes()[second]
    sides = np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2])
    most = sides[:, 0] * sides[:, 1] * (1 + _MARGIN)
    union = areas[0][first] + areas[1][second] - most
    keep = (union <= 0) | (most >= iou * union)
    if ignored is not None:
        whole = np.abs(found.signed_areas())[second] + padding
        keep |= ignored[first] & (most >= ignore * whole)
    return first[keep], second[keep]


def common_areas(ours: NDArray[np.object_], theirs: NDArray[np.object_]) -> Floats:
    """(P,) the area that pairs of geometries have in common.

    Where one of them is a repaired polygon its vertices are rounded crossings, and edges nearly lie on
    each other: GEOS's overlay then goes wrong by whole pieces, once in a thousand such pairs, and
    differently by order. On a fine grid it does not.
    """
    common: Floats = np.zeros(len(ours))
    repaired = (shapely.get_type_id(ours) == _MULTI) | (shapely.get_type_id(theirs) == _MULTI)
    for rows, grid in ((~repaired, None), (repaired, _GRID)):
        pieces = shapely.intersection(ours[rows], theirs[rows], grid_size=grid)
        common[rows] = shapely.area(pieces)
    return common


def overlaps(truth: Shapes, found: Shapes, rule: Rule) -> Pairs:
    """Every pair of one image that may overlap, and the area that it has in common."""
    first, second = candidates(truth, found)
    ours, theirs = truth.geometries(rule), found.geometries(rule)
    return Pairs(first, second, common_areas(ours[first], theirs[second]))
