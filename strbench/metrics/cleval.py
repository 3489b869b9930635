"""CLEval: characters found, of how many, less a penalty for every cut through a region and every merge.

Characters are put at even distances along a true region (pseudo-character centres). A match is one to
one, one true region in several pieces, or several in one, and the sums are of characters, not regions.
End to end, what counts is the longest common subsequence of the texts.

Source: Baek et al., CLEval: character-level evaluation for text detection and recognition tasks, CVPR
workshops 2020; clovaai/CLEval 0.1.1, cleval/eval_functions.py and cleval/box_types.py.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np
import shapely

from strbench.errors import DATA, StrbenchError
from strbench.metrics import tedeval
from strbench.metrics.detection import Flags, Outcome, Scene, ratio
from strbench.shapes import Floats, Ints, Shapes, candidates

_LONGEST = 10  # characters of a region of which only the outline is known; the script's


@dataclass(frozen=True, kw_only=True)
class CharacterOutcome(Outcome):
    """What CLEval makes of a scene: ``recalled``, ``precise``, ``truths`` and ``founds`` are characters.

    ``recalled`` and ``precise`` are less the penalties, and may be below 0 in an image; over all images
    they count as 0 then.
    """

    correct: Floats  # (I,) characters found; end to end, read
    false: Floats  # (I,) characters of found regions that are none, or that were read wrongly
    cuts: Floats  # (I,) penalty of recall: found pieces of a true region beyond the first
    merges: Floats  # (I,) penalty of precision: true regions in a found one beyond the first
    splits: Floats  # (I,) true regions in pieces
    merged: Floats  # (I,) found regions over several
    repeated: Floats  # (I,) characters in a second matched region, or a further one

    @property
    def recall(self) -> float:
        return ratio(max(0.0, self.recalled.sum()), self.truths.sum())

    @property
    def precision(self) -> float:
        return ratio(max(0.0, self.precise.sum()), self.founds.sum())


class _Matched(NamedTuple):
    """What was matched, and the characters that this is credited with."""

    scene: Scene
    pairs: tedeval.SharedAreas
    matches: tedeval.Matches
    left_out: Flags  # (M,)
    lengths: Ints  # (N,)
    character: Ints  # (H,) characters in a region that theirs is matched with
    pair: Ints  # (H,) that pair


@dataclass(frozen=True, kw_only=True)
class CLEval:
    """Characters found (or read), by region or by image.

    An empty text has no characters; for polygons the script divides by its length.

    Raises:
        StrbenchError: a true region that counts has no text; end to end, a detection has none; a
            region has not four vertices where ``boxes`` is "quad".
    """

    end_to_end: bool = False  # compare texts
    # "quad": four vertices, decimals cut off, areas and overlaps as Polygon3 has them, words in a
    # straight line. "polygon": the first half of the vertices is the upper side, the rest the lower
    # one backwards; areas and overlaps as shapely's buffer(0) leaves them. BOX_TYPE=POLY fails in the
    # script; this is what it does with its two calls mended.
    boxes: Literal["quad", "polygon"] = "quad"
    precision: float = 0.3  # at least so much of a found region's area
    cut: float = 1.0  # penalty of recall
    merge: float = 1.0  # penalty of precision
    case_sensitive: bool = True
    level: float = 0.5  # width / height; from it on a quadrilateral is read along its width
    # How many characters a false region has, and one that does not count. "script": of a false
    # quadrilateral height by width (the code of 2020 has width by height); to a polygon's ratio 1e+5
    # is added, where 1e-5 would make sense, so that a false one has 1 and one that does not count 10.
    # "longer" corrects this: the longer side by the shorter.
    lengths: Literal["script", "longer"] = "script"

    def __call__(self, scene: Scene) -> CharacterOutcome:
        quad = self.boxes == "quad"
        if quad:
            tedeval.require_quadrilaterals(scene, "CLEval")
        fold = str if self.case_sensitive else str.upper
        texts = [fold(text) for text in tedeval.texts_that_count(scene, "CLEval")]
        truth, found = (
            tedeval.Cover.of(tedeval.cut_decimals(shapes))
            if quad
            else tedeval.Cover.of(_four_vertices(shapes, least=3), "buffer")
            for shapes in (scene.truth, scene.found)
        )
        truth = tedeval.without_counted(scene, truth)
        lines = scene.truth if quad else _four_vertices(scene.truth, least=0)
        lengths = np.array([len(text) for text in texts], dtype=np.int64)
        lengths = np.where(scene.ignored, self._assumed(lines), lengths)
        characters = (
            tedeval.pseudo_characters(lines, lengths, _width_by_height(lines) < self.level)
            if quad
            else _along_curves(lines, lengths)
        )
        # a word's line lies in the box of its vertices before decimals are cut off
        first, second = candidates(_boxes(lines, truth.shapes), found.shapes)
        pairs = tedeval.shares(truth, found, first, second)
        pairs = pairs._replace(precision=pairs.precision.astype(np.float32))
        character, pair, held = tedeval.characters_held(found, first, second, characters)
        held_by = np.bincount(pair[held], minlength=len(first))
        left_out = self._left_out(scene, pairs, held_by)
        matches = self._match(scene, pairs, held_by, left_out)
        held &= matches.any[pair]
        state = _Matched(scene, pairs, matches, left_out, lengths, character[held], pair[held])
        detected = self._detected(state)
        return self._read(state, texts, detected) if self.end_to_end else detected

    def _left_out(self, scene: Scene, pairs: tedeval.SharedAreas, held_by: Ints) -> Flags:
        """(M,) found regions on one that does not count, or on several of whose characters it has."""
        on = scene.ignored[pairs.truth]
        some = on & (held_by > 0)
        together = np.bincount(pairs.found[some], pairs.precision[some], len(scene.found))
        out: Flags = together.astype(np.float32) >= np.float32(self.precision)
        out[pairs.found[on & (pairs.precision >= np.float32(self.precision))]] = True
        return out

    def _match(
        self, scene: Scene, pairs: tedeval.SharedAreas, held_by: Ints, left_out: Flags
    ) -> tedeval.Matches:
        n, m = len(scene.truth), len(scene.found)
        holds = held_by > 0
        passes = holds & (pairs.precision >= np.float32(self.precision))
        counts = ~scene.ignored[pairs.truth] & ~left_out[pairs.found]
        alone = np.bincount(pairs.truth[passes], minlength=n)[pairs.truth] == 1
        alone &= np.bincount(pairs.found[passes], minlength=m)[pairs.found] == 1
        piece = passes & counts
        pieces = np.bincount(pairs.truth[piece], minlength=n)
        part = holds & counts
        parts = np.bincount(pairs.found[part], minlength=m)
        # float32 shares summed as float64, as numba does
        together = np.bincount(pairs.found[part], pairs.precision[part], m) >= self.precision
        return tedeval.Matches(
            one=piece & alone,
            split=piece & (pieces >= 2)[pairs.truth],
            merged=part & ((parts >= 2) & together)[pairs.found],
        )

    def _detected(self, state: _Matched) -> CharacterOutcome:
        """The outcome of detection."""
        scene, pairs, any_match = state.scene, state.pairs, state.matches.any
        truth, found, partner = state.matches.verdicts(scene, pairs, state.left_out)
        pieces = np.bincount(pairs.truth[any_match], minlength=len(truth))
        parts = np.bincount(pairs.found[any_match], minlength=len(found))
        cuts = scene.per_image(scene.truth.image, np.maximum(pieces - 1, 0))
        merges = scene.per_image(scene.found.image, np.maximum(parts - 1, 0))
        false = np.where((parts > 0) | state.left_out, 0, self._false(scene.found))
        held = np.bincount(pairs.found[state.pair], minlength=len(found))
        tally = np.bincount(state.character, minlength=int(state.lengths.sum()))
        owner = np.repeat(scene.truth.image, state.lengths)
        correct = scene.per_image(owner, tally > 0)
        counted = np.where(scene.ignored, 0, state.lengths)
        return CharacterOutcome(
            recalled=correct - self.cut * cuts,
            precise=correct - self.merge * merges,
            truths=scene.per_image(scene.truth.image, counted),
            founds=scene.per_image(scene.found.image, held + false),
            truth=truth,
            found=found,
            partner=partner,
            correct=correct,
            false=scene.per_image(scene.found.image, false),
            cuts=cuts,
            merges=merges,
            splits=scene.per_image(scene.truth.image, pieces > 1),
            merged=scene.per_image(scene.found.image, parts > 1),
            repeated=scene.per_image(owner, np.maximum(tally - 1, 0)),
        )

    def _read(
        self, state: _Matched, texts: list[str], detected: CharacterOutcome
    ) -> CharacterOutcome:
        """The outcome end to end. Texts of found regions lose the characters that were credited."""
        scene, pairs, any_match = state.scene, state.pairs, state.matches.any
        fold = str if self.case_sensitive else str.upper
        # a text of ### is as long as an outline that does not count, on either side
        assumed = self._assumed(scene.found).tolist()
        given = [
            "#" * n if text == "###" else fold(text)
            for text, n in zip(texts_found(scene), assumed, strict=True)
        ]
        left = list(given)
        pieces: dict[int, list[int]] = {}
        for t, f in np.column_stack((pairs.truth, pairs.found))[any_match].tolist():
            pieces.setdefault(t, []).append(f)
        holding: dict[tuple[int, int], list[int]] = {}
        owner = pairs.truth[state.pair]
        number = state.character - (np.cumsum(state.lengths) - state.lengths)[owner]
        for t, n, f in np.column_stack((owner, number, pairs.found[state.pair])).tolist():
            holding.setdefault((t, n), []).append(f)
        correct = np.zeros(len(texts))
        for t in _script_order(scene):
            if t in pieces:
                holders = [holding.get((t, n), []) for n in range(len(texts[t]))]
                order = _reading_order(pieces[t], holders)
                common = common_subsequence(texts[t], "".join(left[f] for f in order))
                correct[t] = len(common)
                for letter in common:
                    f = next(f for f in order if letter in left[f])
                    left[f] = left[f].replace(letter, "", 1)
        size = np.where(state.left_out, 0, np.array([len(text) for text in given], dtype=np.int64))
        read = scene.per_image(scene.truth.image, correct)
        founds = scene.per_image(scene.found.image, size)
        return replace(
            detected,
            recalled=read - self.cut * detected.cuts,
            precise=read - self.merge * detected.merges,
            founds=founds,
            correct=read,
            false=founds - read,
        )

    def _assumed(self, shapes: Shapes) -> Ints:
        """(N,) characters of regions by their outlines, as of those that do not count."""
        if self.boxes == "polygon" and self.lengths == "script":
            return np.full(len(shapes), _LONGEST)
        return _rounded(_longer_by_shorter(shapes, self.boxes == "quad"))

    def _false(self, shapes: Shapes) -> Ints:
        """(M,) characters of regions by their outlines, as of false ones."""
        if self.lengths == "longer":
            return self._assumed(shapes)
        if self.boxes == "polygon":
            return np.ones(len(shapes), dtype=np.int64)
        return _rounded(1 / (1e-5 + _width_by_height(shapes)))


def common_subsequence(first: str, second: str) -> str:
    """The longest common subsequence; of several, the one that the script finds.

    >>> common_subsequence("abcd", "bacd")
    'bcd'
    """
    table = [[0] * (len(second) + 1) for _ in range(len(first) + 1)]
    for i, a in enumerate(first):
        for j, b in enumerate(second):
            table[i + 1][j + 1] = (
                table[i][j] + 1 if a == b else max(table[i][j + 1], table[i + 1][j])
            )
    out: list[str] = []
    i, j = len(first), len(second)
    while i and j:
        if first[i - 1] == second[j - 1]:
            out.append(first[i - 1])
            i, j = i - 1, j - 1
        elif table[i - 1][j] > table[i][j - 1]:
            i -= 1
        else:
            j -= 1
    return "".join(reversed(out))


def texts_found(scene: Scene) -> list[str]:
    """The texts of all detections; raises StrbenchError where one has none."""
    for index, detection in enumerate(scene.detections):
        if detection.text is None:
            where = tedeval.place(scene, "detection", index)
            raise StrbenchError(
                f"CLEval end to end compares texts; {where} has none.",
                hint="Score detections without texts by detection alone.",
                exit_code=DATA,
            )
    return [detection.text or "" for detection in scene.detections]


def _script_order(scene: Scene) -> list[int]:
    """True regions that count, in the order of the script: of a CPython set, image by image.

    Where two true regions share a found one, the first takes the characters that both could. A set of
    small numbers runs upwards but for those beyond its table, and so do the script's.
    """
    out: list[int] = []
    begin = np.searchsorted(scene.truth.image, np.arange(len(scene.images) + 1)).tolist()
    ignored = scene.ignored
    for low, high in pairwise(begin):
        dropped = set(np.flatnonzero(ignored[low:high]).tolist())
        out += [low + number for number in set(range(high - low)) - dropped]
    return out


def _reading_order(pieces: list[int], holders: list[list[int]]) -> list[int]:
    """Found regions by the first character that each has and no earlier one took.

    ``holders`` are those of every character, which places one region only. Of regions without a place
    the first comes last, and the others not at all, as in the script.
    """
    waiting, order = list(pieces), list[int]()
    for regions in holders:
        if len(waiting) == 1:
            break
        placed = next((f for f in waiting if f in regions), None)
        if placed is not None:
            order.append(placed)
            waiting.remove(placed)
    return [*order, waiting[0]]


def _four_vertices(shapes: Shapes, *, least: int) -> Shapes:
    """With four vertices for polygons of fewer, down to ``least``, as the script has it.

    Three get a corner below the first; two the other corners of a rectangle, crosswise; one gets three
    times its x as x and y. Without any, all are NaN, which lies nowhere.
    """
    few = np.flatnonzero((shapes.sizes < 4) & (shapes.sizes >= least))
    if not len(few):
        return shapes
    parts = np.split(shapes.points, shapes.offsets[1:-1])
    for index in few.tolist():
        points = parts[index].tolist()
        if not points:
            points = [[np.nan, np.nan]] * 4
        elif len(points) == 1:
            points += [[points[0][0], points[0][0]]] * 3
        elif len(points) == 2:
            points += [[points[1][0], points[0][1]], [points[0][0], points[1][1]]]
        else:
            points += [[points[0][0], points[2][1]]]
        parts[index] = np.array(points)
    offsets = np.concatenate(([0], np.cumsum([len(part) for part in parts]))).astype(np.int64)
    return Shapes(np.concatenate(parts), offsets, shapes.image)


def _along_curves(shapes: Shapes, lengths: Ints) -> tuple[Floats, Floats, Ints]:
    """Characters between the two sides of polygons, each side cut into pieces of whole pixels."""
    owner = np.repeat(np.arange(len(lengths)), lengths)
    begin = np.cumsum(lengths) - lengths
    points = np.empty((len(owner), 2))
    kinds, which = np.unique(np.column_stack((shapes.sizes, lengths)), axis=0, return_inverse=True)
    for kind, (size, length) in enumerate(kinds.tolist()):
        of = np.flatnonzero(which.ravel() == kind)
        if not length:
            continue
        corners = shapes.points[shapes.offsets[of][:, None] + np.arange(size)]  # (G, size, 2)
        upper = _cut_side(corners[:, : size // 2], size // 2 - 1, length)
        lower = _cut_side(corners[:, size // 2 :][:, ::-1], size // 2 - 1, length)
        middles = (upper[:, :-1] + upper[:, 1:] + lower[:, :-1] + lower[:, 1:]) / 4
        points[begin[of][:, None] + np.arange(length)] = middles
    return points[:, 0], points[:, 1], owner


def _cut_side(side: Floats, sections: int, length: int) -> Floats:
    """(G, length + 1, 2) ends of equal pieces of a side (G, vertices, 2), each section in ``length``."""
    section, step = np.divmod(np.arange(length) * sections, length)
    start, end = side[:, section], side[:, section + 1]
    cuts = start + (end - start) / length * step[:, None]
    cuts = np.where((step == 0)[:, None], start, np.trunc(cuts))
    out: Floats = np.concatenate((cuts, side[:, -1:]), axis=1)
    return out


def _boxes(one: Shapes, other: Shapes) -> Shapes:
    """Two corners of the box that holds both of two polygons, for each pair of them."""
    a, b = one.boxes(), other.boxes()
    low, high = np.minimum(a[:, :2], b[:, :2]), np.maximum(a[:, 2:], b[:, 2:])
    offsets = 2 * np.arange(len(one) + 1, dtype=np.int64)
    return Shapes(np.stack((low, high), axis=1).reshape(-1, 2), offsets, one.image)


def _width_by_height(shapes: Shapes) -> Floats:
    """(N,) mean length of the upper and lower side of quadrilaterals by that of the other two."""
    corners = shapes.points.reshape(-1, 4, 2)
    sides = np.roll(corners, -1, axis=1) - corners
    top, right, bottom, left = np.sqrt((sides * sides).sum(axis=2)).T
    out: Floats = ((top + bottom) / 2 + 1e-5) / ((right + left) / 2 + 1e-5)
    return out


def _longer_by_shorter(shapes: Shapes, quad: bool) -> Floats:
    """(N,) the longer side by the shorter; of a polygon those of the smallest turned rectangle."""
    if quad:
        ratio = _width_by_height(shapes)
        return np.maximum(ratio, 1 / ratio)
    out = np.ones(len(shapes))
    for index, part in enumerate(np.split(shapes.points, shapes.offsets[1:-1])):
        if len(part) and np.isfinite(part).all():
            turned = shapely.get_coordinates(shapely.oriented_envelope(shapely.MultiPoint(part)))
            steps = np.diff(turned, axis=0, append=[turned[-1]] * 2)[:2]  # of a point or line none
            sides = np.sqrt((steps * steps).sum(axis=1)) + 1e-6
            out[index] = sides.max() / sides.min()
    return out


def _rounded(ratio: Floats) -> Ints:
    """Characters of a region of such a ratio: half a one is added, halves go to the even number."""
    return np.minimum(np.rint(0.5 + ratio), _LONGEST).astype(np.int64)
