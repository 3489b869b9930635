"""TedEval: matches by area, credit by the characters that they hold.

Nobody annotates characters, so a word's are put at even distances on the line between the middles of
its two ends: pseudo-character centres. A match is one to one, one true region in several pieces, or
several in one; none excludes another.

Source: Lee et al., TedEval: a fair evaluation metric for scene text detectors, ICDAR workshops 2019;
clovaai/TedEval script.py.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray

from strbench.errors import DATA, StrbenchError
from strbench.metrics.detection import Flags, Outcome, Scene, Verdict
from strbench.shapes import Floats, Ints, Rule, Shapes, candidates, common_areas, surfaces

# Square pixels. Polygons that share an edge overlap by as much when one was clipped, or not at all, as
# rounding has it. The scripts then take one out of the other, which matters if that one crosses itself.
_ROUNDING = 1e-9
_UPWARDS = [3, 0, 1, 2]  # the vertices of a quadrilateral in the order of one that is read upwards


@dataclass(frozen=True, kw_only=True)
class TedEval:
    """Recall and precision are means of the shares of characters that matches hold.

    A true region that is matched gets the share of its characters that lie in exactly one of the found
    ones it is matched with; a found one the share of the characters of its true ones that it holds.

    Regions that count are first taken out of those that do not, and these out of the found ones. Where
    that leaves something of a found quadrilateral that crosses itself and has no area, the script
    dies when it asks for its centre; here the centre is the mean of its vertices.

    Quadrilaterals start at the corner where reading does and run clockwise. Decimals are cut off, as by
    the script, which reads none. It prints an average precision of 0 whatever was found; here is none.

    Raises:
        StrbenchError: a true region that counts has no text, or a region is no quadrilateral. The
            script divides by the length of the text, or does not read the file.
    """

    recall: float = 0.4  # at least so much of a true region's area
    precision: float = 0.4  # at least so much of a found one's
    distance: float = 1.0  # of centres in mean diagonals; from this on two are no match
    angle: float = 45.0  # degrees; regions that stand so to each other are not of one line
    upright: float = 1.5  # height / width of the bounding box; above it a word is read upwards

    def __call__(self, scene: Scene) -> Outcome:
        require_quadrilaterals(scene, "TedEval")
        texts = texts_that_count(scene, "TedEval", empty=False)
        truth = without_counted(scene, Cover.of(cut_decimals(scene.truth)))
        whole = Cover.of(cut_decimals(scene.found))
        first, second = candidates(truth.shapes, whole.shapes)
        pairs = shares(truth, whole, first, second)
        left_out = self._left_out(scene, pairs)
        on = scene.ignored[pairs.truth] & pairs.overlap
        found = whole.minus(pairs.found[on], truth.geometries[pairs.truth[on]])
        pairs = shares(truth, found, first, second)
        eligible = ~scene.ignored[pairs.truth] & ~left_out[pairs.found]
        matches = Matches(
            self._one_to_one(scene, pairs, truth, found) & eligible,
            self._split(pairs, eligible, whole),
            self._merged(pairs, eligible, truth),
        )
        x, y, owner = self._characters(scene, truth.shapes, [len(text) for text in texts])
        return _score(scene, pairs, matches, left_out, found, (x, y, owner))

    def _left_out(self, scene: Scene, pairs: SharedAreas) -> Flags:
        """(M,) found regions on one region that does not count, or on several together."""
        on = scene.ignored[pairs.truth]
        held = on & (pairs.recall > self.recall)
        together = np.bincount(pairs.found[held], pairs.precision[held], len(scene.found))
        out: Flags = together >= self.precision
        out[pairs.found[on & (pairs.precision > self.precision)]] = True
        return out

    def _one_to_one(self, scene: Scene, pairs: SharedAreas, truth: Cover, found: Cover) -> Flags:
        """(P,) pairs that pass where neither passes with any other, even one that does not count."""
        passes = (pairs.recall >= self.recall) & (pairs.precision >= self.precision)
        alone = np.bincount(pairs.truth[passes], minlength=len(scene.truth))[pairs.truth] == 1
        alone &= np.bincount(pairs.found[passes], minlength=len(scene.found))[pairs.found] == 1
        apart = truth.centres()[pairs.truth] - found.centres()[pairs.found]
        size = _diagonals(scene.truth)[pairs.truth] + _diagonals(scene.found)[pairs.found]
        distance = np.sqrt((apart * apart).sum(axis=1))
        near: Flags = distance * 2 < self.distance * size
        near &= passes & alone
        return near

    def _split(self, pairs: SharedAreas, eligible: Flags, whole: Cover) -> Flags:
        """(P,) the pieces of true regions that are found in several."""
        piece = eligible & (pairs.precision >= self.precision)
        return self._groups(piece, pairs.truth, pairs.found, pairs.recall, self.recall, whole)

    def _merged(self, pairs: SharedAreas, eligible: Flags, truth: Cover) -> Flags:
        """(P,) the true regions of found ones that hold several."""
        part = eligible & (pairs.recall >= self.recall)
        return self._groups(part, pairs.found, pairs.truth, pairs.precision, self.precision, truth)

    def _groups(
        self, part: Flags, owner: Ints, member: Ints, share: Floats, least: float, cover: Cover
    ) -> Flags:
        """(P,) parts whose owner has two or more, enough together, and in one line."""
        many = np.bincount(owner[part], minlength=owner.max(initial=-1) + 1)
        together = np.bincount(owner[part], share[part], minlength=len(many))
        out = part & (many >= 2)[owner] & (together >= least)[owner]
        centres = cover.centres()
        for one in np.unique(owner[out]).tolist():
            here = np.flatnonzero(out & (owner == one))
            corners = [cover.shapes.points[4 * i : 4 * i + 4] for i in member[here].tolist()]
            ends = [(c[0] + c[3]) / 2 for c in corners]
            if self._several_lines(ends, [centres[i] for i in member[here].tolist()]):
                out[here] = False
        return out

    def _several_lines(self, ends: list[Floats], centres: list[Floats]) -> bool:
        """Whether, seen from a centre, the left end and the centre of another stand apart."""
        for i, (end, middle) in enumerate(zip(ends, centres, strict=True)):
            for k, (x, y) in enumerate(centres):
                if k != i:
                    turn = math.degrees(
                        math.atan2(middle[1] - y, middle[0] - x)
                        - math.atan2(end[1] - y, end[0] - x)
                    )
                    turn = abs(turn) if abs(turn) <= 180 else 360 - abs(turn)
                    if min(turn, 180 - turn) >= self.angle:
                        return True
        return False

    def _characters(
        self, scene: Scene, truth: Shapes, lengths: list[int]
    ) -> tuple[Floats, Floats, Ints]:
        boxes = truth.boxes()
        width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
        ratio = np.divide(height, width, out=np.zeros_like(width), where=width != 0)
        return pseudo_characters(
            scene.truth, np.array(lengths, dtype=np.int64), ratio > self.upright
        )


class Matches(NamedTuple):
    """(P,) which pairs match, and how; one pair may do so in several ways."""

    one: Flags
    split: Flags
    merged: Flags

    @property
    def any(self) -> Flags:
        return self.one | self.split | self.merged

    def verdicts(
        self, scene: Scene, pairs: SharedAreas, left_out: Flags
    ) -> tuple[NDArray[np.int8], NDArray[np.int8], Ints]:
        """(N,) and (M,) verdicts, and (M,) partners; one to one goes first, then pieces."""
        ours = np.where(scene.ignored, Verdict.IGNORED, Verdict.MISSED)
        theirs = np.where(left_out, Verdict.IGNORED, Verdict.MISSED)
        kinds = (Verdict.MERGED, Verdict.SPLIT, Verdict.MATCHED)
        for kind, flags in zip(kinds, (self.merged, self.split, self.one), strict=True):
            ours[pairs.truth[flags]] = kind
            theirs[pairs.found[flags]] = kind
        partner = np.full(len(scene.found), -1)
        partner[pairs.found[self.one]] = pairs.truth[self.one]
        return ours.astype(np.int8), theirs.astype(np.int8), partner


def _score(
    scene: Scene,
    pairs: SharedAreas,
    matches: Matches,
    left_out: Flags,
    found: Cover,
    characters: tuple[Floats, Floats, Ints],
) -> Outcome:
    _, _, owner = characters
    lengths = np.bincount(owner, minlength=len(scene.truth))
    truths, founds = pairs.truth[matches.any], pairs.found[matches.any]
    character, pair, held = characters_held(found, truths, founds, characters)
    once = np.bincount(character[held], minlength=len(owner)) == 1
    recall = ratios(np.bincount(owner[once], minlength=len(lengths)), lengths)
    inside = np.bincount(founds[pair[held]], minlength=len(scene.found))
    precision = ratios(inside, np.bincount(founds[pair], minlength=len(scene.found)))
    truth, verdicts, partner = matches.verdicts(scene, pairs, left_out)
    return Outcome(
        recalled=scene.per_image(scene.truth.image, recall),
        precise=scene.per_image(scene.found.image, precision),
        truths=scene.per_image(scene.truth.image, ~scene.ignored),
        founds=scene.per_image(scene.found.image, ~left_out),
        truth=truth,
        found=verdicts,
        partner=partner,
    )


def ratios(parts: NDArray[np.generic], wholes: NDArray[np.generic]) -> Floats:
    """Quotients, 0 where a whole is 0."""
    out = np.zeros(len(wholes))
    np.divide(parts, wholes, out=out, where=np.asarray(wholes) != 0)
    return out


@dataclass(frozen=True)
class Cover:
    """What N polygons cover, some of them after others were taken out.

    "even-odd" is Polygon3: the area of an untouched polygon is that of the shoelace formula, and of two
    opposite edges one belongs to it. "buffer" is shapely with buffer(0): no edge belongs to it.
    """

    shapes: Shapes
    rule: Rule
    geometries: NDArray[np.object_]  # (N,)
    areas: Floats  # (N,)
    cut: Flags  # (N,) something was taken out

    @classmethod
    def of(cls, shapes: Shapes, rule: Rule = "even-odd") -> Cover:
        geometries = shapes.geometries(rule)
        areas = np.abs(shapes.signed_areas()) if rule == "even-odd" else shapely.area(geometries)
        return cls(shapes, rule, geometries, areas, np.zeros(len(shapes), dtype=bool))

    def minus(self, index: Ints, others: Iterable[shapely.Geometry]) -> Cover:
        """With the k-th of the others taken out of the polygon ``index[k]``."""
        geometries, cut, areas = self.geometries.copy(), self.cut.copy(), self.areas.copy()
        for one, other in zip(index.tolist(), others, strict=True):
            # where only an edge is left over, GEOS keeps it as a line
            geometries[one] = surfaces(shapely.difference(geometries[one], other))
        cut[index] = True
        areas[index] = shapely.area(geometries[index])
        return replace(self, geometries=geometries, areas=areas, cut=cut)

    def centres(self) -> Floats:
        """(N, 2) centres of gravity of quadrilaterals; the mean of the vertices without an area."""
        here = self.shapes.points.reshape(-1, 4, 2)
        there = np.roll(here, -1, axis=1)
        crosses = here[:, :, 0] * there[:, :, 1] - there[:, :, 0] * here[:, :, 1]
        sums = ((here + there) * crosses[:, :, None]).sum(axis=1)
        weight = 3 * crosses.sum(axis=1)[:, None]  # six times the area
        out: Floats = here.mean(axis=1)
        np.divide(sums, weight, out=out, where=weight != 0)
        # weighted by the area and divided by it again, as in Polygon3: the last bit can decide
        np.divide(out * np.abs(weight) / 6, np.abs(weight) / 6, out=out, where=weight != 0)
        left = self.cut & ~shapely.is_empty(self.geometries)
        out[left] = shapely.get_coordinates(shapely.centroid(self.geometries[left]))
        return out

    def holds(self, x: Floats, y: Floats, index: Ints) -> Flags:
        """(Q,) whether point q lies in the polygon ``index[q]``."""
        if self.rule != "even-odd":
            inside: Flags = shapely.contains_xy(self.geometries[index], x, y)
            return inside
        here, there, begin, many = self._edges()
        count = many[index]
        point = np.repeat(np.arange(len(index)), count)
        within = np.arange(len(point)) - np.repeat(np.cumsum(count) - count, count)
        edge = np.repeat(begin[index], count) + within
        spans = (here[edge, 1] <= y[point]) != (there[edge, 1] <= y[point])
        point, edge = point[spans], edge[spans]
        (ax, ay), (bx, by) = here[edge].T, there[edge].T
        left = x[point] < (bx - ax) * (y[point] - ay) / (by - ay) + ax
        odd: Flags = np.bincount(point[left], minlength=len(index)) % 2 == 1
        return odd

    def _edges(self) -> tuple[Floats, Floats, Ints, Ints]:
        """Ends of all edges, (E, 2) each, and the first and the number of those of each polygon."""
        begin, many = self.shapes.offsets[:-1].copy(), self.shapes.sizes.copy()
        before = np.arange(len(self.shapes.points)) - 1
        before[begin[many > 0]] = self.shapes.offsets[1:][many > 0] - 1
        here, there = [self.shapes.points], [self.shapes.points[before]]
        total = len(self.shapes.points)
        for one in np.flatnonzero(self.cut).tolist():
            rings = shapely.get_rings(shapely.get_parts(self.geometries[one]))
            lines = [shapely.get_coordinates(ring) for ring in rings]
            here += [line[1:] for line in lines]
            there += [line[:-1] for line in lines]
            begin[one], many[one] = total, sum(len(line) - 1 for line in lines)
            total += many[one]
        return np.concatenate(here), np.concatenate(there), begin, many


class SharedAreas(NamedTuple):
    """Pairs of a true and a found region, and the share of either's area that they have in common."""

    truth: Ints  # (P,)
    found: Ints  # (P,)
    recall: Floats  # (P,) of the true one's; 0 if it has no area
    precision: Floats  # (P,) of the found one's; likewise
    overlap: Flags  # (P,) it is more than rounding


def shares(truth: Cover, found: Cover, first: Ints, second: Ints) -> SharedAreas:
    """The areas that the pairs ``(first[p], second[p])`` share."""
    common = common_areas(truth.geometries[first], found.geometries[second])
    recall, precision = ratios(common, truth.areas[first]), ratios(common, found.areas[second])
    return SharedAreas(first, second, recall, precision, common > _ROUNDING)


def without_counted(scene: Scene, truth: Cover) -> Cover:
    """True regions with those that count taken out of those that do not."""
    first, second = candidates(truth.shapes, truth.shapes)
    mixed = scene.ignored[first] & ~scene.ignored[second]
    some = shares(truth, truth, first[mixed], second[mixed])
    return truth.minus(some.truth[some.overlap], truth.geometries[some.found[some.overlap]])


def pseudo_characters(truth: Shapes, lengths: Ints, upwards: Flags) -> tuple[Floats, Floats, Ints]:
    """(C,) x and y of the characters of quadrilaterals, and whose each is, in order."""
    corners = truth.points.reshape(-1, 4, 2)
    corners = np.where(upwards[:, None, None], corners[:, _UPWARDS], corners)
    start, end = (corners[:, 0] + corners[:, 3]) / 2, (corners[:, 1] + corners[:, 2]) / 2
    unit = (end - start) / np.maximum(lengths, 1)[:, None]
    owner = np.repeat(np.arange(len(lengths)), lengths)
    number = np.arange(len(owner)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    points = start[owner] + unit[owner] / 2 + unit[owner] * number[:, None]
    return points[:, 0], points[:, 1], owner


def characters_held(
    found: Cover, truths: Ints, founds: Ints, characters: tuple[Floats, Floats, Ints]
) -> tuple[Ints, Ints, Flags]:
    """Every character of every pair: which character, which pair, and whether the found one has it."""
    x, y, owner = characters
    size = truths.max(initial=owner.max(initial=-1)) + 1
    lengths = np.bincount(owner, minlength=size)
    many = lengths[truths]
    pair = np.repeat(np.arange(len(truths)), many)
    within = np.arange(len(pair)) - np.repeat(np.cumsum(many) - many, many)
    character = np.repeat((np.cumsum(lengths) - lengths)[truths], many) + within
    return character, pair, found.holds(x[character], y[character], founds[pair])


def cut_decimals(shapes: Shapes) -> Shapes:
    """Vertices as the scripts' int() leaves them: cut off towards 0."""
    return replace(shapes, points=np.trunc(shapes.points))


def require_quadrilaterals(scene: Scene, rule: str) -> None:
    """Raises StrbenchError at the first region that has not four vertices."""
    kinds: tuple[Literal["true region", "detection"], ...] = ("true region", "detection")
    for kind, shapes in zip(kinds, (scene.truth, scene.found), strict=True):
        other = np.flatnonzero(shapes.sizes != 4)
        if len(other):
            raise StrbenchError(
                f"{rule} scores quadrilaterals; {place(scene, kind, int(other[0]))} has "
                f"{shapes.sizes[other[0]]} vertices.",
                hint="Score polygons with CLEval's polygon boxes, TIoU or an IoU rule.",
                exit_code=DATA,
            )


def texts_that_count(scene: Scene, rule: str, *, empty: bool = True) -> list[str]:
    """The texts of all true regions, "" of those that do not count.

    Raises:
        StrbenchError: one that counts has none, or an empty one though ``empty`` is False.
    """
    for index, region in enumerate(scene.regions):
        if not region.ignored and (region.text is None or not (region.text or empty)):
            raise StrbenchError(
                f"{rule} counts characters; {place(scene, 'true region', index)} has no text.",
                hint="Give its text, or mark it as one that does not count (###).",
                exit_code=DATA,
            )
    return ["" if region.ignored else region.text or "" for region in scene.regions]


def place(scene: Scene, kind: Literal["true region", "detection"], index: int) -> str:
    """Words for where a region is: its number in its image, from 1, and the image."""
    shapes = scene.truth if kind == "true region" else scene.found
    image = shapes.image[index]
    number = index - int(np.searchsorted(shapes.image, image)) + 1
    return f"{kind} {number} of image {scene.images[image]!r}"


def _diagonals(shapes: Shapes) -> Floats:
    """(N,) the mean length of the two diagonals of quadrilaterals."""
    corners = shapes.points.reshape(-1, 4, 2)
    across = corners[:, :2] - corners[:, 2:]
    out: Floats = np.sqrt((across * across).sum(axis=2)).mean(axis=1)
    return out
