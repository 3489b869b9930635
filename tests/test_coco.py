"""COCO-Text, TextOCR and OpenVINO: one JSON for thousands of photographs."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strbench.annotations.coco import CocoPage, read_cocotext, read_openvino, read_textocr
from strbench.errors import StrbenchError
from strbench.types import Region

Read = Callable[..., dict[str, CocoPage]]
SQUARE = [4.5, 5, 24.5, 5, 24.5, 15, 4.5, 15]
POLYGON = ((4.5, 5.0), (24.5, 5.0), (24.5, 15.0), (4.5, 15.0))
BOX = [4, 5, 21, 10]
BOX_POLYGON = ((4.0, 5.0), (25.0, 5.0), (25.0, 15.0), (4.0, 15.0))
LEGIBLE = {"class": "machine printed", "language": "english", "legibility": "legible"}


def keyed(*words: dict[str, Any], file: str = "train/7.jpg", **image: object) -> bytes:
    """COCO-Text and TextOCR: words and images by id."""
    anns = {str(i): {"id": i, "image_id": 7, "bbox": BOX, **w} for i, w in enumerate(words)}
    images = {"7": {"id": 7, "file_name": file, **image}}
    return json.dumps({"imgs": images, "anns": anns, "imgToAnns": {}, "info": {}}).encode()


def listed(*words: dict[str, Any]) -> bytes:
    """OpenVINO: words and images in lists."""
    anns = [{"id": i, "image_id": 3, "bbox": BOX, **w} for i, w in enumerate(words)]
    images = [{"id": 3, "file_name": "train_1/00ab.jpg"}, {"id": 4, "file_name": "train_1/0c.jpg"}]
    return json.dumps({"annotations": anns, "images": images, "categories": []}).encode()


@pytest.mark.parametrize("outline", ["mask", "polygon"])
def test_cocotext(outline: str) -> None:
    data = keyed(
        {outline: SQUARE, "utf8_string": "PRAHA", **LEGIBLE},
        {outline: SQUARE, "class": "others", "legibility": "illegible", "language": None},
        {outline: SQUARE, "utf8_string": "", **LEGIBLE, "language": "not english"},
        file="COCO_train2014_000000000007.jpg",
        set="val",
    )
    pages = read_cocotext(data, "cocotext.v2.json")
    page = pages.pop("COCO_train2014_000000000007.jpg")
    assert not pages
    assert page.part == "val"
    assert page.regions == (
        Region(POLYGON, "PRAHA", tags=LEGIBLE),
        Region(POLYGON, None, ignored=True, tags={"class": "others", "legibility": "illegible"}),
        Region(POLYGON, "", tags={**LEGIBLE, "language": "not english"}),
    )


def test_the_box_where_it_is_asked_for_or_the_polygon_has_no_area() -> None:
    data = keyed(
        {"mask": SQUARE, "utf8_string": "a", **LEGIBLE},
        {"mask": [], "utf8_string": "b", **LEGIBLE},
    )
    for outline, polygons in (("polygon", (POLYGON, BOX_POLYGON)), ("box", (BOX_POLYGON,) * 2)):
        (page,) = read_cocotext(data, "c.json", outline=outline).values()
        assert tuple(region.polygon for region in page.regions) == polygons
        assert page.regions[1].annotated == tuple(map(float, BOX))
        assert page.regions[1].tags.get("outline") == ("box" if outline == "polygon" else None)


def test_textocr_keys_by_the_last_part_of_the_name() -> None:
    data = keyed(
        {"points": SQUARE[::-1][:8], "utf8_string": "ends."},
        {"points": [*SQUARE, 3, 10], "utf8_string": "."},
        set="train",
    )
    pages = read_textocr(data, "t.json")
    page = pages["7.jpg"]
    assert (page.file, page.part) == ("train/7.jpg", "train")
    assert [(r.text, r.ignored, len(r.polygon)) for r in page.regions] == [
        ("ends.", False, 4),
        (".", True, 5),
    ]


@pytest.mark.parametrize("points", [SQUARE, [SQUARE]])
def test_openvino(points: list[Any]) -> None:
    said = {"transcription": "Café", "legible": 1, "language": "french"}
    data = listed(
        {"segmentation": points, "attributes": said},
        {
            "segmentation": points,
            "attributes": {"transcription": "", "legible": 0, "language": None},
        },
    )
    pages = read_openvino(data, "o.json")
    assert pages["0c.jpg"] == CocoPage("train_1/0c.jpg", "", ())
    assert pages["00ab.jpg"].regions == (
        Region(POLYGON, "Café", tags={"language": "french"}),
        Region(POLYGON, "", ignored=True),
    )


GOOD = {"points": SQUARE, "utf8_string": "a"}


@pytest.mark.parametrize(
    ("read", "data", "what"),
    [
        (read_textocr, keyed({**GOOD, "points": [1, 2, 3, 4, 5, None]}), "annotation 0: .*None"),
        (read_textocr, keyed({**GOOD, "points": [*SQUARE, 1]}), "annotation 0: .*9 coordinates"),
        (read_textocr, keyed({**GOOD, "points": {"x": 1}}), "annotation 0: .*list of coordinates"),
        (read_textocr, keyed(GOOD, {"points": SQUARE}), "annotation 1: expected 'utf8_string'"),
        (read_textocr, keyed({**GOOD, "utf8_string": 7}), "annotation 0: expected a text"),
        (read_textocr, keyed({**GOOD, "utf8_string": "\ud83d"}), "annotation 0: .*surrogate"),
        (read_textocr, keyed({**GOOD, "points": [], "bbox": [1, 2, 3]}), "annotation 0: .*bbox"),
        (read_textocr, keyed({**GOOD, "image_id": 8}), "expected a word of one of its images"),
        (read_textocr, keyed(GOOD).replace(b'"image_id": 7, ', b""), "expected a word of one"),
        (read_textocr, keyed(GOOD).replace(b"24.5", b"NaN"), "annotation 0: nan is no coordinate"),
        (read_textocr, keyed(GOOD).replace(b"24.5", b"1e999"), "annotation 0: inf is no coord"),
        (read_textocr, keyed(GOOD).replace(b"imgs", b"images_"), "expected imgs or images"),
        (read_textocr, keyed(GOOD)[:-1], "not readable JSON"),
        (read_textocr, b"[" * 100_000, "not readable JSON"),
        (read_textocr, b"[]", "expected imgs or images"),
        (read_textocr, keyed(GOOD, file="\xff").replace(b"\\u00ff", b"\xff"), "not UTF-8"),
        (read_cocotext, keyed(GOOD), "annotation 0: expected 'legibility'"),
        (read_openvino, keyed(GOOD), "annotation 0: expected 'attributes'"),
        (read_openvino, listed({"attributes": {"transcription": "a"}}), "expected 'legible'"),
        (read_openvino, listed({"attributes": []}), "annotation 0: expected attributes"),
    ],
)  # fmt: skip
def test_bad_entries_are_named(read: Read, data: bytes, what: str) -> None:
    with pytest.raises(StrbenchError, match=rf"words\.json.*{what}"):
        read(data, "words.json")


def test_images_are_told_apart() -> None:
    two = json.loads(keyed(GOOD))
    two["imgs"]["8"] = {"id": 8, "file_name": "val/7.jpg"}
    with pytest.raises(StrbenchError, match=r"two images are called 7\.jpg"):
        read_textocr(json.dumps(two).encode(), "t.json")
    two["imgs"]["8"] = {"id": "7", "file_name": "8.jpg"}
    with pytest.raises(StrbenchError, match="two images have the id 7"):
        read_textocr(json.dumps(two).encode(), "t.json")
    two["imgs"]["8"] = {"id": 8}
    with pytest.raises(StrbenchError, match="expected an image with id and file_name"):
        read_textocr(json.dumps(two).encode(), "t.json")


def refusal(read: Read, data: bytes) -> str:
    """What the reader says against a file called "words.json"; its name if nothing."""
    try:
        read(data, "words.json")
    except StrbenchError as error:
        return error.message
    return "words.json"


@pytest.mark.parametrize("read", [read_cocotext, read_textocr, read_openvino])
@given(data=st.data())
def test_any_bytes_are_read_or_refused(read: Read, data: st.DataObject) -> None:
    good = data.draw(
        st.sampled_from(
            [
                keyed({**GOOD, **LEGIBLE, "mask": SQUARE}),
                listed({"segmentation": SQUARE, "attributes": {"legible": 1}}),
            ]
        )
    )
    start = data.draw(st.integers(0, len(good)))
    end = data.draw(st.integers(start, min(start + 12, len(good))))
    junk = st.one_of(st.binary(max_size=6), st.sampled_from([b"{}", b"[]", b"null", b"1e9", b'""']))
    assert "words.json" in refusal(read, good[:start] + data.draw(junk) + good[end:])
