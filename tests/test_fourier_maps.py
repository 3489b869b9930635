"""FCENet's maps: signatures of contours, centres, levels, suppression, real annotations there and back."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from strbench.annotations.boxes import read_boxes
from strbench.baselines.parts.detecting import test_row as row
from strbench.baselines.parts.fourier_maps import (
    DEGREE,
    STRIDES,
    TESTS,
    Level,
    Levels,
    contours,
    found,
    signature,
    targets,
    touched,
    unsuppressed,
)
from strbench.baselines.parts.fourier_maps import Test as Settings
from strbench.baselines.parts.text_centre import centre, long_sides
from strbench.baselines.parts.text_polygons import Points
from strbench.errors import StrbenchError
from strbench.geometry import bounds
from strbench.loading import Sizing
from strbench.metrics.detection import Outcome, Verdict
from strbench.placing import Scene, moved, scaling
from strbench.region_protocols import region_protocol
from strbench.region_scoring import score_regions
from strbench.types import Detection, Polygon, Region

QUAD, POLYGON = TESTS["pages"], TESTS["ctw1500"]


def as_if_found(scene: Scene, levels: Levels) -> list[Level]:
    """The maps that a faultless network gives of a scene."""
    maps = targets(scene, levels)
    return [
        Level(
            maps[f"text{stride}"].astype(np.float32),
            maps[f"centre{stride}"].astype(np.float32),
            maps[f"signature{stride}"].astype(np.float32),
        )
        for stride in STRIDES
    ]


def box(x: float, y: float, width: float, height: float) -> Polygon:
    return ((x, y), (x + width, y), (x + width, y + height), (x, y + height))


def arc(aspect: float, *, height: float = 40.0, corners: int = 7) -> Points:
    """A quarter of a ring, as long in its middle as ``aspect`` times its height, above (500, 500)."""
    radius = aspect * height / (math.pi / 2)
    turn = np.linspace(-0.75 * math.pi, -0.25 * math.pi, corners)
    way = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    ring = [(radius + height / 2) * way, (radius - height / 2) * way[::-1]]
    return np.concatenate(ring) + 500


def vertices(points: Points) -> Polygon:
    return tuple((x, y) for x, y in points.tolist())


def iou(a: Polygon | Points, b: Polygon | Points) -> float:
    one, other = (shapely.make_valid(shapely.Polygon(p)) for p in (a, b))
    return float(one.intersection(other).area / one.union(other).area)


def scene_of(*regions: Polygon | Region, height: int = 320, width: int = 320) -> Scene:
    made = (r if isinstance(r, Region) else Region(r, "word") for r in regions)
    return Scene(tuple(made), height, width, 0)


def rebuilt(
    scene: Scene, *, levels: Levels = "default", test: Settings = POLYGON
) -> list[Detection]:
    return found(as_if_found(scene, levels), test)


# --- signatures


def test_a_circle_has_two_coefficients() -> None:
    turn = np.linspace(0, 2 * math.pi, 400, endpoint=False)
    circle = np.stack([30 + 5 * np.cos(turn), 20 + 5 * np.sin(turn)], axis=1)
    # From its uppermost point (30, 15) once around clockwise: c_0 is the centre, c_1 points up.
    expected = np.zeros(2 * DEGREE + 1, complex)
    expected[DEGREE : DEGREE + 2] = 30 + 20j, -5j
    np.testing.assert_allclose(signature(circle), expected, atol=0.05)
    back = contours(expected[None], 4)[0]
    np.testing.assert_allclose(back, [(30, 15), (35, 20), (30, 25), (25, 20)], atol=1e-9)


@pytest.mark.parametrize(("aspect", "overlap"), [(1, 0.96), (3, 0.96), (5, 0.93), (8, 0.91), (20, 0.87)])  # fmt: skip
def test_rectangles_come_back_as_far_as_eleven_coefficients_go(
    aspect: float, overlap: float
) -> None:
    shape = box(0, 0, aspect * 40, 40)
    assert iou(shape, contours(signature(shape)[None])[0]) == pytest.approx(overlap, abs=0.006)


@pytest.mark.parametrize(("aspect", "overlap"), [(2, 0.97), (5, 0.92), (12, 0.89)])
def test_quarters_of_a_ring_come_back_too(aspect: float, overlap: float) -> None:
    shape = arc(aspect)
    assert iou(shape, contours(signature(shape)[None])[0]) == pytest.approx(overlap, abs=0.006)


def test_a_signature_follows_the_text_and_not_the_order_of_its_vertices() -> None:
    shape = arc(5)
    one = signature(shape)
    assert abs(one[DEGREE + 1]) > abs(one[DEGREE - 1])  # clockwise on screen
    np.testing.assert_allclose(signature(np.roll(shape, 3, axis=0)), one, atol=0.05)
    np.testing.assert_allclose(signature(shape[::-1]), one, atol=1.5)
    far = one.copy()
    far[DEGREE] += 7 - 9j
    np.testing.assert_allclose(signature(shape + np.array((7, -9))), far, atol=1e-9)
    np.testing.assert_allclose(signature(shape / 8), one / 8, atol=1e-9)


def test_many_short_edges_are_a_contour_as_well() -> None:
    turn = np.linspace(0, 2 * math.pi, 1500, endpoint=False)
    circle = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    assert iou(circle, contours(signature(circle)[None])[0]) > 0.99


# --- the centre


def test_the_ends_of_a_text() -> None:
    low, tall = long_sides(box(0, 0, 40, 16)), long_sides(box(0, 0, 10, 40))
    assert low is not None
    assert tall is not None
    assert {tuple(map(tuple, side)) for side in low} == {((40, 16), (0, 16)), ((40, 0), (0, 0))}
    assert {tuple(sorted(p[1] for p in side)) for side in tall} == {(0, 40)}
    for shape in (arc(5), np.roll(arc(5), 3, axis=0), arc(12)[::-1]):
        sides = long_sides(shape)
        assert sides is not None
        assert [len(side) for side in sides] == [7, 7]
        radii = [set(np.hypot(*(side - 500).T).round(6)) for side in sides]
        assert [len(r) for r in radii] == [1, 1], "each side is one of the two arcs"
    three = long_sides(((0, 0), (40, 0), (0, 10)))
    assert three is not None
    assert [len(side) for side in three] == [2, 2]
    assert long_sides(((0, 0), (0, 0), (5, 5), (5, 5))) is None


def test_the_centre_of_a_box_by_hand() -> None:
    sides = long_sides(box(0, 0, 40, 16))
    assert sides is not None
    # 11 points, 4 pixels apart; a quarter of 16 is one step at either end; 0.3 of 8 on either side of 8.
    assert bounds(vertices(centre(sides))) == pytest.approx((4, 5.6, 36, 10.4))
    short = long_sides(box(0, 0, 8, 6))
    assert short is not None
    assert bounds(vertices(centre(short))) == pytest.approx((0, 2.1, 8, 3.9)), (
        "nothing to leave out"
    )


def test_the_thinnest_polygon_touches_pixels() -> None:
    assert touched(np.array([(2.2, 1.1), (5.9, 1.1), (5.9, 1.2), (2.2, 1.2)]), 4, 8).inside.tolist() == [[True] * 4]  # fmt: skip
    seen = touched(np.array(((-3.0, -3.0), (1.5, -3.0), (1.5, 1.5), (-3.0, 1.5))), 4, 4)
    assert (seen.top, seen.left, seen.inside.tolist()) == (0, 0, [[True] * 2] * 2)
    assert touched(np.array(((9.0, 9.0), (9.5, 9.0), (9.5, 9.5))), 4, 4).inside.size == 0


def test_what_is_touched_is_what_opencv_fills() -> None:
    cv2 = pytest.importorskip("cv2")
    rng = np.random.default_rng(0)
    both = either = 0
    for _ in range(200):
        shape = rng.integers(0, 40, (int(rng.integers(3, 9)), 2))
        theirs = cv2.fillPoly(np.zeros((40, 40), np.uint8), [shape.astype(np.int32)], 1) > 0
        ours = np.zeros((40, 40), bool)
        seen = touched(shape + rng.random(shape.shape), 40, 40)
        ours[seen.area] = seen.inside
        both, either = both + (ours & theirs).sum(), either + (ours | theirs).sum()
    assert both / either > 0.97


# --- maps


@pytest.mark.parametrize(
    ("length", "default", "dcn"),
    [
        (64, [8], [8]),  # 0.2 of the height
        (112, [8, 16], [16]),  # 0.35
        (208, [16, 32], [32]),  # 0.65, where the second range of "dcn" ends
        (250, [32], [32]),  # 0.78
        (320, [], []),  # as long as the image is high
    ],
)
def test_levels_by_the_longer_side(length: int, default: list[int], dcn: list[int]) -> None:
    across, down = box(4, 40, length, 16), box(40, 0, 16, length)
    for shape in (across, down):
        for levels, expected in (("default", default), ("dcn", dcn)):
            scene = scene_of(shape, width=640)
            maps = targets(scene, levels)  # type: ignore[arg-type]
            assert [s for s in STRIDES if maps[f"text{s}"].any()] == expected
            assert [s for s in STRIDES if maps[f"centre{s}"].any()] == expected
            maps = targets(unread(scene), levels)  # type: ignore[arg-type]
            assert [s for s in STRIDES if not maps[f"counts{s}"].all()] == expected
            assert not any(maps[f"text{s}"].any() for s in STRIDES)


def unread(scene: Scene) -> Scene:
    return scene._replace(regions=tuple(r._replace(ignored=True) for r in scene.regions))


def test_every_pixel_of_a_text_tells_the_same_contour() -> None:
    shape = box(16, 32, 64, 24)
    maps = targets(scene_of(shape), "default")
    assert {k: (v.dtype.name, v.shape) for k, v in maps.items() if k.endswith("16")} == {
        "text16": ("bool", (20, 20)),
        "centre16": ("bool", (20, 20)),
        "counts16": ("bool", (20, 20)),
        "signature16": ("float32", (22, 20, 20)),
    }
    text, strengths = maps["text8"], maps["signature8"]
    y, x = np.nonzero(text)
    # 2 to 10 and 4 to 7 in level pixels, both borders' pixels included
    assert (x.min(), x.max(), y.min(), y.max()) == (2, 10, 4, 7)
    # c_0 is the contour's mean (6, 5.5), told from each pixel's centre
    np.testing.assert_allclose(strengths[DEGREE, y, x], 6 - (x + 0.5), atol=0.1)
    np.testing.assert_allclose(strengths[11 + DEGREE, y, x], 5.5 - (y + 0.5), atol=0.1)
    others = np.delete(strengths[:, y, x], [DEGREE, 11 + DEGREE], axis=0)
    assert (others == others[:, :1]).all()
    assert not strengths[:, ~text].any()
    assert (maps["centre8"] <= text).all()


def test_texts_without_an_area_are_ignored() -> None:
    maps = targets(scene_of(((8, 8), (60, 8), (8, 8)), ((8, 80), (60, 80), (30, 80))), "default")
    assert not maps["text8"].any()
    assert (~maps["counts8"]).sum() == 2 * 7  # columns 1 to 7 of rows 1 and 10


# --- back


def test_drawn_texts_come_back_once_each() -> None:
    shapes = [box(16, 16, 64, 24), box(30, 60, 112, 30), box(40, 150, 200, 60)]
    shapes.append(vertices(arc(5, height=20) - (350, 200)))
    detections = rebuilt(scene_of(*shapes, height=352, width=416))
    assert len(detections) == len(shapes), "the second and the third are on two levels"
    for shape in shapes:
        assert max(iou(shape, d.polygon) for d in detections) > 0.9
    assert {d.confidence for d in detections} == {1.0}
    assert {len(d.polygon) for d in detections} == {50}
    boxes = rebuilt(scene_of(shapes[0]), test=QUAD)
    assert [len(d.polygon) for d in boxes] == [4]
    assert iou(boxes[0].polygon, shapes[0]) > 0.85
    assert rebuilt(unread(scene_of(*shapes))) == []


def test_a_score_weighs_text_and_centre() -> None:
    maps = as_if_found(scene_of(box(16, 16, 64, 24)), "default")
    levels = [Level(0.8 * m.text, 0.7 * m.centre, m.signature) for m in maps]
    for test in (QUAD, POLYGON):
        (one,) = found(levels, test)
        assert one.confidence == pytest.approx(0.8**test.alpha * 0.7**test.beta)
    assert found(levels, replace(POLYGON, score=0.8 * 0.49 + 1e-6)) == []


def test_nothing_and_nonsense() -> None:
    empty = [Level(np.zeros(s), np.zeros(s), np.zeros((22, *s))) for s in ((4, 4), (2, 2), (1, 1))]
    assert found(empty, POLYGON) == []
    points = [Level(m.text + 1, m.centre + 1, m.signature) for m in empty]
    assert found(points, POLYGON) == [], "contours of one point have no area"
    rng = np.random.default_rng(0)
    wild = [Level(m.text + 1, m.centre + 1, rng.normal(0, 3, m.signature.shape)) for m in empty]
    assert 0 < len(found(wild, QUAD)) <= 21, "contours that cross themselves"


# --- suppression


def test_what_is_suppressed_suppresses_nothing() -> None:
    shapes = np.array([box(0, 0, 10, 10), box(6, 0, 10, 10), box(12, 0, 10, 10)])
    # IoU of neighbours is 40 / 160
    assert unsuppressed(shapes, np.array([0.9, 0.8, 0.7]), 0.1).tolist() == [0, 2]
    assert unsuppressed(shapes, np.array([0.8, 0.9, 0.7]), 0.1).tolist() == [1]
    assert unsuppressed(shapes, np.array([0.7, 0.8, 0.9]), 0.25).tolist() == [2, 1, 0]
    apart = unsuppressed(shapes, np.array([0.9, 0.8, 0.7]), 0.1, groups=np.array([5, 5, 2]))
    assert apart.tolist() == [0, 2]
    assert unsuppressed(shapes, np.ones(3), 0.1, groups=np.arange(3)).tolist() == [0, 1, 2]


def one_by_one(shapes: Points, scores: Points, overlap: float) -> list[int]:
    kept: list[int] = []
    for i in np.argsort(-scores, kind="stable").tolist():
        if all(iou(shapes[i], shapes[k]) <= overlap for k in kept):
            kept.append(i)
    return kept


corner = st.integers(0, 12)
boxes = st.lists(
    st.builds(box, corner, corner, st.integers(1, 8), st.integers(1, 8)), min_size=1, max_size=9
)


@given(boxes, st.randoms(use_true_random=False), st.sampled_from([0.1, 0.3]))
def test_groups_at_once_are_groups_one_by_one(some: list[Polygon], draw: object, by: float) -> None:
    shapes, n = np.array(some), len(some)
    rng = np.random.default_rng(draw.getrandbits(32))  # type: ignore[attr-defined]
    scores, groups = rng.permutation(n) / n, rng.integers(0, 3, n)
    whole = [
        int(rows[i])
        for g in range(3)
        if len(rows := np.flatnonzero(groups == g))
        for i in one_by_one(shapes[rows], scores[rows], by)
    ]
    answer = unsuppressed(shapes, scores, by, groups=groups)
    assert sorted(answer.tolist()) == sorted(whole)
    assert (np.diff(scores[answer]) < 0).all()


# --- real annotations

Page = tuple[list[Region], tuple[int, int]]


def round_trip(pages: Iterable[Page], test: Settings) -> tuple[Outcome, list[tuple[float, float]]]:
    """The outcome; of each missed region the longer side by the height, and the IoU with its neighbour."""
    truth: dict[str, list[Region]] = {}
    back: dict[str, list[Detection]] = {}
    heights: dict[str, float] = {}
    for number, (regions, (high, wide)) in enumerate(pages):
        height, width = test.sizing.size(high, wide)
        to = scaling(width / wide, height / high)
        seen = [r._replace(polygon=moved(r.polygon, to)) for r in regions if len(r.polygon) > 2]
        scene = Scene(tuple(seen), height, width, 0)
        truth[str(number)] = seen
        back[str(number)] = rebuilt(scene, test=test)
        heights[str(number)] = height
    outcome = score_regions(truth.items(), back.get, region_protocol("iou-0.5")).outcome
    rows = [(key, i) for key, regions in truth.items() for i in range(len(regions))]
    missed = []
    for (key, i), verdict in zip(rows, outcome.truth, strict=True):
        if verdict == Verdict.MISSED:
            own = truth[key][i].polygon
            others = [r.polygon for j, r in enumerate(truth[key]) if j != i and not r.ignored]
            left, top, right, bottom = bounds(own)
            near = max((iou(own, other) for other in others), default=0.0)
            missed.append((max(right - left, bottom - top) / heights[key], near))
    return outcome, missed


def incidental(shared: Path) -> list[Page]:
    folder = shared / "real" / "detection" / "ic15_test" / "Gts"
    files = sorted(folder.glob("gt_img_*.txt"))[:150]
    return [(read_boxes(f.read_bytes(), f.name, layout="quad"), (720, 1280)) for f in files]


def curved(shared: Path) -> list[Page]:
    """Total-Text, whose photographs are not at hand: they are taken to end behind their last text."""
    file = "totaltext/clovaai+CLEval/resources/gt/gt_TotalText.zip"
    pages = []
    with zipfile.ZipFile(shared / "real" / "annotations" / file) as bundle:
        for name in sorted(bundle.namelist())[:100]:
            regions = read_boxes(bundle.read(name), name, layout="polygon")
            wide, high = np.ceil(np.concatenate([r.polygon for r in regions]).max(axis=0)) + 8
            pages.append((regions, (int(high), int(wide))))
    return pages


@pytest.mark.parametrize("pages", [incidental, curved])
def test_real_annotations_come_back(shared: Path, pages: Callable[[Path], list[Page]]) -> None:
    """All but what no level holds, and what a neighbour suppresses: contours bulge, so from some 7 % on."""
    outcome, missed = round_trip(pages(shared), TESTS["totaltext"])
    assert outcome.precision == 1.0
    assert all(ratio >= 1 or near > 0.07 for ratio, near in missed), missed
    assert outcome.recall > 0.97


def test_rectangles_around_quads_overlap_more_often(shared: Path) -> None:
    """ICDAR 2015's own settings lose 1 % of its words: rectangles are larger than leaning quads."""
    outcome, _ = round_trip(incidental(shared), TESTS["ic15"])
    assert outcome.precision == 1.0
    assert 0.985 < outcome.recall < 1


# --- settings


def test_unknown_test_settings_are_refused() -> None:
    assert row(TESTS, "ic15") is TESTS["ic15"]
    with pytest.raises(StrbenchError, match="No row of test settings is named 'ic51'"):
        row(TESTS, "ic51")


def test_settings_are_told_in_words() -> None:
    assert str(TESTS["ic15"]) == (
        "long side 2260, quad mode, text^1.2 centre^1.0 above 0.3, suppressed above an IoU of 0.1"
    )
    assert TESTS["pages"].sizing == Sizing()
