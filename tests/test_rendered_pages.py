"""Rendered pages: outlines that hold the drawn pixels, nothing unreadable left as text."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from shapely import LineString, Polygon, contains_xy, distance, points, prepare

from strbench import rendered
from strbench.errors import StrbenchError
from strbench.geometry import bounds, signed_area
from strbench.loading import decode
from strbench.regions import regions_to_json
from strbench.rendered import Page, PageConfig
from strbench.rendered.glyphs import bundled_faces, set_block, set_line
from strbench.rendered.pages import outline, page
from strbench.rendered.surroundings import surroundings
from strbench.rendered.warping import Pose, frame
from strbench.rendered.wordlist import Draws, side_of
from strbench.types import Region

# sha256 over pixels and regions of pages 0 to 3, seed 0. A change here changes what detectors are
# trained and scored on: note it under "Scores" in the changelog.
PINS = {
    "rendered_pages/train": "9fe3a8cbadbbd4c3",
    "rendered_pages/test": "1e1707d63c65c71a",
    "rendered_pages_curved/test": "e518b27f6992f8bc",
}
# Of the first 3 samples of rendered_pages/test, as a manifest has it.
PINNED_FINGERPRINT = "37dcad76428a25b88732d85c1c531bc7ff1997276835cb6b608bd9ee5ce3c41c"

PLAIN = PageConfig(difficulty=0.0, illegible=0.0, curved=0.3)
POSES = [
    Pose(),
    Pose(turn=0.2, scale=0.7),
    Pose(turn=-1.0),
    Pose(slant=0.4, turn=0.05),
    Pose(tilt_x=0.3, tilt_y=-0.1, scale=1.9),
    Pose(bend=1.6),
    Pose(bend=-2.1, tilt_x=0.15, turn=-0.1, scale=1.4),
]


def drawn(name: str, index: int) -> Page:
    found = rendered.draw(name, index)
    assert isinstance(found, Page)
    return found


def plain(index: int) -> Page:
    return page(Draws(7, "plain pages", index), PLAIN, "train")


@pytest.mark.parametrize("name", sorted(PINS))
def test_pages_are_those_of_every_other_machine(name: str) -> None:
    total = hashlib.sha256()
    for index in range(4):
        found = drawn(name, index)
        total.update(found.image.tobytes() + regions_to_json(found.regions))
    assert total.hexdigest()[:16] == PINS[name]


def test_a_page_depends_on_its_index_alone() -> None:
    later = drawn("rendered_pages/train", 3)
    for index in (5, 3):
        again = drawn("rendered_pages/train", index)
    assert np.array_equal(again.image, later.image)
    assert again.regions == later.regions
    assert not np.array_equal(again.image, drawn("rendered_pages/test", 3).image)


@pytest.mark.parametrize("name", sorted(PINS))
def test_pages_have_the_promised_form(name: str) -> None:
    split = rendered.rendered_split(name)
    texts = []
    for index in range(8):
        image, regions = drawn(name, index)
        assert image.shape == (480, 640, 3)
        assert image.dtype == np.uint8
        assert 1 <= len(regions) <= 12
        for region in regions:
            left, top, right, bottom = bounds(region.polygon)
            assert min(left, top) >= 0
            assert right <= 640
            assert bottom <= 480
            assert signed_area(region.polygon) > 0, "clockwise on screen"
            assert len(region.polygon) == 4 or len(region.polygon) >= 10
            assert (region.text == "###") is region.ignored
            assert all(c * 8 == int(c * 8) for point in region.polygon for c in point)
        texts += [r.text for r in regions if r.text and not r.ignored]
    assert {side_of(text) for text in texts} == {split.side}
    assert len(set(texts)) > 0.9 * len(texts) > 12


def test_three_signs_in_four_are_curved_where_the_name_says_so() -> None:
    def share(name: str) -> float:
        regions = [r for i in range(10) for r in drawn(name, i).regions]
        return sum(len(r.polygon) > 4 for r in regions) / len(regions)

    assert share("rendered_pages/test") < 0.35 < share("rendered_pages_curved/test")


def ink(found: Page, share: float) -> np.ndarray:
    """The pixels of a plain page that are ink by at least that share, as (n, 2) centres x, y.

    A page of one colour has its ground at most pixels; the ink of a sign is its strongest difference.
    """
    colours, counts = np.unique(found.image.reshape(-1, 3), axis=0, return_counts=True)
    ground = colours[counts.argmax()].astype(int)
    change = np.abs(found.image.astype(int) - ground).max(axis=2)
    inked = np.zeros(change.shape, bool)
    for region in found.regions:
        left, top, right, bottom = (int(v) for v in bounds(region.polygon))
        area = np.s_[max(top - 1, 0) : bottom + 2, max(left - 1, 0) : right + 2]
        inked[area] |= change[area] >= share * change[area].max()
    outside = change.copy()
    for region in found.regions:
        left, top, right, bottom = (int(v) for v in bounds(region.polygon))
        outside[max(top - 2, 0) : bottom + 3, max(left - 2, 0) : right + 3] = 0
    assert not outside.any(), "something is drawn where no region is"
    rows, columns = inked.nonzero()
    return np.stack([columns + 0.5, rows + 0.5], axis=1)


def sides(region: Region) -> list[LineString]:
    """Upper, right, lower and left side of a polygon as ``outline`` orders it."""
    half = len(region.polygon) // 2
    ring = [*region.polygon, region.polygon[0]]
    return [LineString(ring[a : b + 1]) for a, b in
            ((0, half - 1), (half - 1, half), (half, 2 * half - 1), (2 * half - 1, 2 * half))]  # fmt: skip


def test_polygons_hold_all_ink_and_no_more() -> None:
    kinds = set()
    for index in range(6):
        found = plain(index)
        dots, edges = ink(found, 1 / 2), ink(found, 1 / 6)
        held = np.zeros(len(dots), bool)
        for region in found.regions:
            kinds.add(len(region.polygon) > 4)
            wide = Polygon(region.polygon).buffer(1.0)
            prepare(wide)
            held |= contains_xy(wide, dots[:, 0], dots[:, 1])
            own = edges[contains_xy(wide, edges[:, 0], edges[:, 1])]
            for side in sides(region):
                near = contains_xy(side.buffer(2.0), own[:, 0], own[:, 1])
                assert near.any(), (index, region.text)
        assert held.all(), index
    assert kinds == {True, False}


def test_a_polygon_begins_at_the_upper_left_corner_of_the_text() -> None:
    """The letter "L" has its ink at the left and at the bottom, whatever the pose."""
    block = set_block(bundled_faces()[2], 40, [["L"]], border=20)
    for pose in (Pose(), Pose(turn=0.5), Pose(turn=1.0), Pose(turn=-1.0), Pose(tilt_x=0.2)):
        crop = frame(block.box, pose, max_height=400, max_width=400)
        seen = crop.sampler(block.mask.shape).take(block.mask) > 127
        a, b, c, d = outline(crop, block.box)
        rows, columns = seen.nonzero()
        dots = points(np.stack([columns + 0.5, rows + 0.5], axis=1))
        away = [
            float(distance(dots, LineString(s)).mean()) for s in ((a, b), (b, c), (c, d), (d, a))
        ]
        top, right, bottom, left = away
        assert left < right
        assert bottom < top


@pytest.mark.parametrize("pose", POSES)
def test_a_frame_says_where_a_place_of_the_mask_is_seen(pose: Pose) -> None:
    line = set_line(bundled_faces()[0], 40, "HANDSOME")
    crop = frame(line.box, pose, max_height=600, max_width=900)
    sampler = crop.sampler(line.mask.shape)
    x0, y0, x1, y1 = line.box
    for u, v in ((x0 + 5, y0 + 4), ((x0 + x1) // 2, (y0 + y1) // 2), (x1 - 6, y1 - 5)):
        dot = np.zeros_like(line.mask)
        dot[v - 1 : v + 1, u - 1 : u + 1] = 255  # its centre of mass is the corner (u, v)
        seen = sampler.take(dot).astype(float)
        rows, columns = np.arange(crop.height) + 0.5, np.arange(crop.width) + 0.5
        x = (seen.sum(axis=0) * columns).sum() / seen.sum()
        y = (seen.sum(axis=1) * rows).sum() / seen.sum()
        assert crop.seen(u, v) == pytest.approx((x, y), abs=0.35)


def test_an_outline_worked_by_hand() -> None:
    """A box 100 x 20 in a crop of its own: itself, or with an arc of 1 radian ten vertices.

    The radius of the centre line is 100; the upper edge lies at 110 from the arc's centre, so that the
    box of the whole is 2 * 110 sin(0.5) = 105.47 wide.
    """
    box = (10, 30, 110, 50)
    straight = frame(box, Pose(margins=(0, 0, 0, 0)), max_height=500, max_width=500)
    assert outline(straight, box) == ((0, 0), (100, 0), (100, 20), (0, 20))
    half = frame(box, Pose(scale=0.5, margins=(0, 0, 0, 0)), max_height=500, max_width=500)
    assert outline(half, (10, 30, 60, 50)) == ((0, 0), (25, 0), (25, 10), (0, 10))
    bent = frame(box, Pose(bend=1.0, margins=(0, 0, 0, 0)), max_height=500, max_width=500)
    found = outline(bent, box)
    # 6 chords an edge: the first number whose error 120 * (1 / 6) ** 2 / 8 = 0.417 is below 0.5.
    assert len(found) == 2 * 7
    assert found[6][0] - found[0][0] == pytest.approx(105.47, abs=0.13)
    assert found[3] == pytest.approx((105.47 / 2, 0), abs=0.13)
    for i in range(6):
        (ax, ay), (bx, by) = found[i], found[i + 1]
        middle = ((ax + bx) / 2 - 105.47 / 2, 110 - (ay + by) / 2)
        assert 109.5 - 0.13 <= np.hypot(*middle) <= 110.13


def test_signs_do_not_overlap() -> None:
    for index in range(8):
        shapes = [Polygon(r.polygon) for r in drawn("rendered_pages/train", index).regions]
        for i, a in enumerate(shapes):
            for b in shapes[:i]:
                # Words of one sign may touch: a "g" reaches into the line below.
                assert a.intersection(b).area <= 0.15 * min(a.area, b.area)


def test_without_degradation_only_low_letters_are_ignored() -> None:
    lows = 0
    tiny = PageConfig(
        difficulty=0.0,
        illegible=0.0,
        min_letter=4,
        max_letter=16,
        min_words=6,
        width=400,
        height=300,
    )
    for index in range(8):
        for region in page(Draws(0, "low", index), tiny, "train").regions:
            half = len(region.polygon) // 2
            ends = ((0, -1), (half - 1, half))
            p = np.array(region.polygon)
            height = np.mean([np.hypot(*(p[a] - p[b])) for a, b in ends])
            assert region.ignored is bool(height < 6)
            lows += region.ignored
    assert lows > 10


def test_faint_and_tiny_words_are_ignored() -> None:
    every = PageConfig(illegible=1.0)
    regions = [r for i in range(6) for r in page(Draws(0, "bad", i), every, "test").regions]
    assert sum(r.ignored for r in regions) > 0.7 * len(regions)
    none = PageConfig(illegible=0.0, difficulty=0.5, min_letter=24)
    regions = [r for i in range(6) for r in page(Draws(0, "good", i), none, "test").regions]
    assert sum(r.ignored for r in regions) < 0.15 * len(regions)


def test_backgrounds_are_of_many_kinds() -> None:
    seen = [surroundings(Draws(0, "ground", i), 96, 128, 1.0) for i in range(40)]
    assert all(p.shape == (3, 96, 128) and p.min() >= 0 and p.max() <= 255 for p in seen)
    light = [float(p.mean()) for p in seen]
    busy = [float(np.abs(np.diff(p, axis=2)).mean()) for p in seen]
    assert min(light) < 70 < 170 < max(light)
    assert min(busy) < 2 < 8 < max(busy)
    flat = surroundings(Draws(0, "ground", 0), 96, 128, 0.0)
    assert all(len(np.unique(plane)) == 1 for plane in flat)


def test_a_block_sets_words_line_by_line() -> None:
    face = bundled_faces()[2]
    block = set_block(face, 28, [["One", "two"], ["three"]], leading=1.25, gap=0.5)
    one, two, three = block.words
    assert one[2] < two[0]
    assert three[1] - one[1] in range(30, 41)  # 1.25 * 28 = 35 from line to line, ink apart
    x0, y0, x1, y1 = block.box
    assert (x0, y0) == (min(b[0] for b in block.words), min(b[1] for b in block.words))
    assert all(0 <= n - end - 2 <= 1 for n, end in zip(block.mask.shape, (y1, x1), strict=True))
    for left, top, right, bottom in block.words:
        part = block.mask[top:bottom, left:right]
        assert all(edge.any() for edge in (part[0], part[-1], part[:, 0], part[:, -1]))
    single = set_line(face, 28, "three")
    assert np.array_equal(
        block.mask[three[1] : three[3], three[0] : three[2]],
        single.mask[single.box[1] : single.box[3], single.box[0] : single.box[2]],
    )
    flush = set_block(face, 28, [["One", "two"], ["three"]], align=1.0)
    assert abs(flush.words[1][2] - flush.words[2][2]) <= 3  # flush right up to side bearings


def test_a_prepared_split_is_complete_and_pinned(tmp_path: Path) -> None:
    split = rendered.prepare("rendered_pages/test", tmp_path, n=3)
    assert split.fingerprint == PINNED_FINGERPRINT
    manifest = split.manifest
    assert (manifest.task, manifest.labels, manifest.rendered) == ("detection", "rendered", True)
    assert any(note.startswith('ignored, with the text "###"') for note in manifest.notes)
    pages = [drawn("rendered_pages/test", i) for i in range(3)]
    assert manifest.counts["regions"] == sum(len(p.regions) for p in pages)
    for found, sample in zip(pages, split.samples(), strict=True):
        assert sample.label is None
        assert sample.regions == found.regions
        assert np.array_equal(decode(sample.image), found.image)


def test_settings_are_checked() -> None:
    for bad in (
        {"width": 10},
        {"min_words": 0},
        {"min_words": 4, "max_words": 3},
        {"min_letter": 2},
        {"curved": 1.5},
        {"illegible": -0.1},
        {"difficulty": 2.0},
    ):
        with pytest.raises(StrbenchError):
            PageConfig(**bad)  # type: ignore[arg-type]
    small = page(Draws(0, "small", 0), PageConfig(width=64, height=64), "train")
    assert small.image.shape == (64, 64, 3)
