"""Crop policies, label filters, and the words that `data crop` cuts out of photographs."""

from __future__ import annotations

import io
import json
import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from running import Run

from strbench.crops import CROPS, crop, minimum_rectangle
from strbench.datasets import prepare
from strbench.datasets.cutting import cut_words
from strbench.errors import StrbenchError
from strbench.filters import FILTERS, keep
from strbench.loading import decode
from strbench.store import find_split, split_directory, write_split
from strbench.types import Polygon, Region, Sample

# Every pixel says where it lies: red is x, green is y.
PHOTO = np.stack(
    [
        np.tile(np.arange(60), (40, 1)),
        np.tile(np.arange(40)[:, None], (1, 60)),
        np.full((40, 60), 9),
    ],
    axis=2,
).astype(np.uint8)


def quad(left: float, top: float, right: float, bottom: float) -> Polygon:
    return ((left, top), (right, top), (right, bottom), (left, bottom))


def place(pixels: np.ndarray | None) -> tuple[int, int, int, int] | None:
    """Left, top, right and bottom of what a crop of PHOTO shows."""
    if pixels is None:
        return None
    x, y = int(pixels[0, 0, 0]), int(pixels[0, 0, 1])
    return x, y, x + pixels.shape[1], y + pixels.shape[0]


@pytest.mark.parametrize(
    ("policy", "box", "expected"),
    [
        ("box", (10, 5, 30, 15), (10, 5, 30, 15)),
        ("box", (10.2, 5.9, 29.1, 14.5), (10, 5, 30, 15)),
        ("box", (-5, -5, 70, 50), (0, 0, 60, 40)),
        ("box", (60, 5, 70, 9), None),
        ("box", (10, 5, 10, 9), None),
        ("box-inclusive", (10, 5, 30, 15), (10, 5, 31, 16)),
        ("box-inclusive", (50, 35, 59, 39), (50, 35, 60, 40)),
        ("box-parseq", (10.9, 5.9, 13.0, 8.0), (10, 5, 13, 8)),  # width 2.1 up to 3
        ("box-parseq", (0.1, 5, 3.1, 9), (0, 5, 3, 9)),  # 3.1 - 0.1 is 3 and a rounding error
        ("box-cocotext", (10, 5, 30, 15), (8, 3, 32, 17)),
        ("box-cocotext", (1, 1, 9, 9), (0, 0, 12, 12)),  # the width counts from the clipped corner
        ("box-round", (10.5, 11.5, 30.5, 15.5), (10, 12, 30, 16)),  # halves to even
        ("box-round", (-0.4, 11, 30, 40.4), (0, 11, 30, 40)),
        ("box-round", (-1, 11, 30, 15), None),
        ("box-aster", (10, 5, 50, 15), (8, 3, 52, 17)),  # margin 0.1 x sqrt(400)
    ],
)
def test_a_policy_cuts_its_window(
    policy: str, box: tuple[float, float, float, float], expected: tuple[int, ...] | None
) -> None:
    assert place(crop(PHOTO, quad(*box), policy)) == expected


def test_box_parseq_is_black_beyond_the_far_edges() -> None:
    found = crop(PHOTO, quad(50, 30, 70, 50), "box-parseq")
    assert found is not None
    assert found.shape == (20, 20, 3)
    assert (found[:10, :10] == PHOTO[30:, 50:]).all()
    assert not found[10:].any()
    assert not found[:, 10:].any()


def test_a_crop_that_no_memory_holds_is_an_error() -> None:
    with pytest.raises(StrbenchError, match="1000000 x 1000000"):
        crop(PHOTO, quad(0, 0, 1e6, 1e6), "box-parseq")


def test_perspective_of_an_upright_box_is_the_box() -> None:
    found = crop(PHOTO, quad(10, 5, 30, 15), "perspective")
    assert found is not None
    assert (found == PHOTO[5:15, 10:30]).all()


def test_perspective_turns_a_turned_word_upright() -> None:
    angle = math.radians(20)
    across, down = (math.cos(angle), math.sin(angle)), (-math.sin(angle), math.cos(angle))
    corners = tuple(
        (18 + u * across[0] + v * down[0], 8 + u * across[1] + v * down[1])
        for u, v in ((0, 0), (24.5, 0), (24.5, 8.5), (0, 8.5))
    )
    found = crop(PHOTO, corners, "perspective")
    assert found is not None
    assert found.shape == (8, 24, 3)
    v, u = np.mgrid[0:8, 0:24]
    wanted = np.stack([18 + u * across[0] + v * down[0], 8 + u * across[1] + v * down[1]], axis=2)
    assert np.abs(found[..., :2] - wanted).max() <= 1  # Pillow rounds down
    middle = [((a[0] + b[0]) / 2, (a[1] + b[1]) / 2) for a, b in pairwise(corners)]
    many = (corners[0], middle[0], corners[1], middle[1], *corners[2:])
    same = crop(PHOTO, many, "perspective")
    assert same is not None
    assert same.shape == found.shape
    assert np.abs(same.astype(int) - found).max() <= 1


points = st.tuples(st.integers(-40, 90), st.integers(-40, 90))


@given(st.lists(points, min_size=1, max_size=9))
def test_the_rectangle_of_least_area_holds_all_points(corners: list[tuple[int, int]]) -> None:
    cloud = np.array(corners, np.float64)
    box = minimum_rectangle(cloud)
    u, v = box[1] - box[0], box[3] - box[0]
    assert abs(u @ v) < 1e-6
    for axis in (u, v):
        length = float(axis @ axis)
        along = (cloud - box[0]) @ axis
        assert (along > -1e-6).all()
        assert (along < length + 1e-6).all()
    upright = np.prod(np.ptp(cloud, axis=0))
    assert np.linalg.norm(u) * np.linalg.norm(v) <= upright + 1e-6


@given(
    st.sampled_from(sorted(CROPS)),
    st.lists(st.tuples(*[st.floats(-200, 200)] * 2), min_size=1, max_size=9),
)
def test_any_polygon_gives_pixels_or_none(policy: str, corners: list[tuple[float, float]]) -> None:
    found = crop(PHOTO, tuple(corners), policy)
    assert found is None or (found.dtype == np.uint8 and min(found.shape) > 0)


COCO = {"class": "machine printed", "language": "english", "legibility": "legible"}


KEPT: list[tuple[str, Region, str | None]] = [
    ("all", Region((), "###", True), "###"),
    ("all", Region((), None), None),
    ("all", Region((), ""), None),
    ("legible", Region((), "Café"), "Café"),
    ("legible", Region((), "x", True), None),
    ("legible", Region((), "x", tags={"legibility": "illegible"}), None),
    ("alnum", Region((), "Abc12"), "Abc12"),
    ("alnum", Region((), "A-1"), None),
    ("alnum", Region((), "\u0661"), None),  # a digit, of another script
    ("latin", Region((), "Ça, 5 €!"), "Ça, 5 €!"),
    ("latin", Region((), "Ελ"), None),
    ("latin", Region((), "中"), None),
    ("parseq-cocotext", Region((), " R&amp;B ", tags=COCO), "R&B"),
    ("parseq-cocotext", Region((), "#", tags=COCO), "#"),
    ("parseq-cocotext", Region((), "a#b", tags=COCO), None),
    ("parseq-cocotext", Region((), "*ab", tags=COCO), None),
    ("parseq-cocotext", Region((), "ab", tags={**COCO, "class": "handwritten"}), None),
    ("parseq-cocotext", Region((), "ab"), None),
    ("parseq-textocr", Region((), ".", True), None),
    ("parseq-textocr", Region((), ".."), ".."),
    ("parseq-openvino", Region((), "a", tags={"language": "english"}), "a"),
    ("parseq-openvino", Region((), "a", True, tags={"language": "english"}), None),
    ("parseq-openvino", Region((), "a"), None),
    ("parseq-art", Region((), " a ", tags={"language": "Latin"}), "a"),
    ("parseq-art", Region((), "LocaL#3", tags={"language": "latin"}), "LocaL#3"),
    ("parseq-art", Region((), "a#", tags={"language": "Latin"}), None),
    ("parseq-art", Region((), "a", tags={"language": "Chinese"}), None),
    ("parseq-lsvt", Region((), "Story #"), "Story #"),
    ("parseq-lsvt", Region((), "a#"), None),
    ("parseq-lsvt", Region((), "a中"), None),
    ("parseq-lsvt", Region((), "LOFTINESS*"), None),
    ("parseq-lsvt", Region((), "カ"), "カ"),  # only U+4E00 to U+9FFF is left out
    ("clovaai-train", Region((), "A" * 25), "A" * 25),
    ("clovaai-train", Region((), "A" * 26), None),
    ("clovaai-train", Region((), "a-b"), None),
]


@pytest.mark.parametrize(("name", "region", "label"), KEPT)
def test_a_filter_keeps_what_it_says(name: str, region: Region, label: str | None) -> None:
    assert keep(region, name) == label


def test_every_filter_is_tried_above() -> None:
    assert {name for name, _, _ in KEPT} == set(FILTERS)


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


REGIONS = (
    Region(quad(10, 5, 30, 15), "Abc"),
    Region(quad(1, 1, 9, 9), "###", True),
    Region(quad(70, 5, 80, 15), "out"),
    Region(quad(40, 20, 55, 30), "a-b"),
)


def test_words_carry_the_place_of_their_region_and_their_photograph() -> None:
    words = list(cut_words("img_1", png(PHOTO), REGIONS, crop="box", keep="legible"))
    assert [(w.id, w.label, w.group) for w in words] == [
        ("img_1_0", "Abc", "img_1"),
        ("img_1_3", "a-b", "img_1"),
    ]
    assert (decode(words[1].image) == PHOTO[20:30, 40:55]).all()


def test_jpeg_is_close_and_smaller_colour_and_all() -> None:
    (word,) = cut_words("p", png(PHOTO), REGIONS[:1], crop="box", keep="all", encode="jpeg")
    with Image.open(io.BytesIO(word.image)) as image:
        assert image.format == "JPEG"
        assert {part[1:3] for part in image.layer} == {(1, 1)}  # type: ignore[attr-defined]
    assert np.abs(decode(word.image).astype(int) - PHOTO[5:15, 10:30]).max() <= 6


def test_a_damaged_photograph_is_named_and_an_unneeded_one_not_opened() -> None:
    with pytest.raises(StrbenchError, match="img_7: not a readable image"):
        list(cut_words("img_7", b"no image", REGIONS, crop="box", keep="all"))
    assert list(cut_words("img_7", b"no image", REGIONS[1:2], crop="box", keep="legible")) == []


@pytest.fixture
def pages(home: Path) -> str:
    """A prepared detection split of one photograph."""
    write_split(
        split_directory("mine/test"),
        [Sample("img_1", png(PHOTO), regions=REGIONS)],
        dataset="mine",
        split="test",
        labels="custom",
        task="detection",
        licence="theirs",
    )
    return "mine/test"


def test_data_crop_makes_a_split_and_tells_what_was_left_out(run: Run, pages: str) -> None:
    outcome = run("data", "crop", pages, "words/test")
    assert outcome.code == 0, outcome.err
    assert "| regions in the photographs | 4 |" in outcome.out
    assert "| left out by the filter legible | 1 |" in outcome.out
    assert "| kept, but outside their photograph | 1 |" in outcome.out
    assert outcome.last == f"prepared: {split_directory('words/test')}"
    made = find_split("words/test", task="recognition")
    assert made.labels == ["Abc", "a-b"]
    assert made.manifest.licence == "theirs"
    assert made.manifest.sources[0]["fingerprint"] == find_split(pages).fingerprint
    assert "crop box, filter legible" in made.manifest.notes[0]


def test_data_crop_json_counts(run: Run, pages: str) -> None:
    outcome = run("data", "crop", pages, "w/test", "--keep", "alnum", "--jpeg", "--json")
    document = json.loads(outcome.out)
    assert (document["regions"], document["kept"], document["words"]) == (4, 2, 1)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("mine/test", "w/test", "--crop", "bx"), "No crop policy is named 'bx'; near names: box"),
        (("mine/test", "w/test", "--keep", "legibel"), "near names: legible"),
        (("mine/test", "ic15_2077/test"), "ic15_2077/test is a registered split"),
        (("mine/test", "mine/test", "--replace"), "the split that is to be cut"),
        (("none/test", "w/test"), "none"),
        (
            ("mine/test",),
            "Expected the split to cut and a name for the words; found mine/test alone.",
        ),
        ((), "Expected the split to cut and a name for the words."),
    ],
)
def test_data_crop_refuses(run: Run, pages: str, words: tuple[str, ...], message: str) -> None:
    outcome = run("data", "crop", *words)
    assert outcome.code == 2
    assert message in outcome.err
    assert find_split(pages).n == 1


def test_data_crop_lists_every_policy_and_filter(run: Run) -> None:
    outcome = run("data", "crop", "--list")
    assert outcome.code == 0
    for name in (*CROPS, *FILTERS):
        assert f"| {name} |" in outcome.out
    document = json.loads(run("data", "crop", "--list", "--json").out)
    assert [row["policy"] for row in document["crop"]] == list(CROPS)
    assert [row["filter"] for row in document["keep"]] == list(FILTERS)
    assert "[required]" not in run("data", "crop", "--help").out


@pytest.mark.slow
def test_real_word_images_of_icdar_2015_are_box_inclusive(
    home: Path, shared: Path, run: Run
) -> None:
    real = shared / "real"
    prepare("ic15_det/test", real / "detection" / "ic15_test")
    prepare("ic15_2077/test", real / "recognition" / "ic15_word_test")
    outcome = run("data", "crop", "ic15_det/test", "cut/test", "--crop", "box-inclusive")
    assert outcome.code == 0, outcome.err
    cut, official = find_split("cut/test"), find_split("ic15_2077/test")
    assert cut.labels == official.labels
    unlike = [
        i
        for i in range(cut.n)
        if not np.array_equal(decode(cut.image(i)), decode(official.image(i)))
    ]
    assert unlike == []
