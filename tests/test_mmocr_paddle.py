"""MMOCR's and PaddleOCR's labels of photographs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strbench.annotations.mmocr import read_mmocr
from strbench.annotations.paddle import read_paddle
from strbench.errors import StrbenchError

QUAD = [1, 1, 9, 1, 9, 5, 1, 5]
POINTS = ((1.0, 1.0), (9.0, 1.0), (9.0, 5.0), (1.0, 5.0))


def as_bytes(document: object) -> bytes:
    return json.dumps(document).encode()


def new(*instances: dict[str, Any], path: str = "a/1.jpg") -> dict[str, Any]:
    return {"img_path": path, "height": 9, "width": 9, "instances": list(instances)}


def test_mmocr_1x_polygons_boxes_texts_and_ignored() -> None:
    document = {
        "metainfo": {"dataset_type": "TextSpotterDataset"},
        "data_list": [
            new({"polygon": QUAD, "bbox": [1, 1, 9, 5], "text": "EXIT", "ignore": False}),
            new({"bbox": [1, 1, 9, 5], "ignore": True}, path="b/2.jpg"),
            new(path="b/3.jpg"),
        ],
    }
    pages = read_mmocr(as_bytes(document), "x.json")
    assert list(pages) == ["a/1.jpg", "b/2.jpg", "b/3.jpg"]
    ((word,), (box,), none) = pages.values()
    assert (word.polygon, word.text, word.ignored, word.annotated) == (POINTS, "EXIT", False, ())
    assert (box.polygon, box.text, box.ignored) == (POINTS, None, True)
    assert box.annotated == (1, 1, 9, 5)
    assert none == ()


def test_mmocr_0x_forms_agree() -> None:
    old = {"iscrowd": 1, "category_id": 1, "bbox": [1, 1, 8, 4], "segmentation": [QUAD]}
    boxed = {"iscrowd": 0, "category_id": 1, "bbox": [1, 1, 8, 4]}
    lines = (
        as_bytes({"file_name": "1.jpg", "annotations": [old, boxed]})
        + b"\n"
        + as_bytes({"file_name": "2.jpg", "annotations": []})
        + b"\n"
    )
    coco = {
        "images": [{"id": 7, "file_name": "1.jpg"}, {"id": 8, "file_name": "2.jpg"}],
        "annotations": [{**old, "image_id": 7}, {**boxed, "image_id": 7}],
    }
    pages = read_mmocr(lines, "x.txt")
    assert read_mmocr(as_bytes(coco), "x.json") == pages
    assert [region.ignored for region in pages["1.jpg"]] == [True, False]
    assert [region.polygon for region in pages["1.jpg"]] == [POINTS, POINTS]


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"data_list": [new(path="1.jpg"), new(path="1.jpg")]}, "entry 2: the photograph '1.jpg'"),
        ({"data_list": [new({"polygon": [1, 1, 9]})]}, "entry 1, instance 1: expected x and y"),
        ({"data_list": [new({"polygon": QUAD, "ignore": "no"})]}, "'ignore' to be true or false"),
        ({"data_list": [new({"polygon": QUAD, "text": 7})]}, "an outline and a text"),
        ({"data_list": [new({})]}, "an outline or a bbox of four numbers"),
        ({"data_list": [new({"bbox": [1, 1, 9, float("nan")]})]}, "nan is no coordinate"),
        ({"data_list": [{"instances": []}]}, "photograph's 'img_path', found 'None'"),
        ({"images": [], "annotations": [{"image_id": 3}]}, "no image has its image_id 3"),
        (
            {"file_name": "1.jpg", "annotations": [{"segmentation": [QUAD, QUAD]}]},
            "line 1, annotation 1: expected a list of one outline",
        ),
        ([], "expected a JSON object"),
    ],
)
def test_mmocr_faults_name_the_entry(document: object, message: str) -> None:
    with pytest.raises(StrbenchError) as caught:
        read_mmocr(as_bytes(document), "x.json")
    assert caught.value.message.startswith("x.json")
    assert message in caught.value.message


def test_mmocr_names_the_line_that_is_no_json() -> None:
    data = as_bytes({"file_name": "1.jpg", "annotations": []}) + b"\n{oops\n"
    with pytest.raises(StrbenchError, match=r"x\.txt, line 2: not readable JSON"):
        read_mmocr(data, "x.txt")


def paddle(*items: dict[str, Any], path: str = "1.jpg") -> bytes:
    return path.encode() + b"\t" + as_bytes(list(items)) + b"\r\n"


def test_paddle_texts_and_ignored() -> None:
    points = [[1, 1], [9, 1], [9, 5], [1, 5]]
    data = b"\xef\xbb\xbf" + paddle(
        {"transcription": "a, b", "points": points},
        {"transcription": "###", "points": points},
        {"transcription": "*", "points": points},
    )
    pages = read_paddle(data + paddle(path="2.jpg"), "x.txt")
    assert list(pages) == ["1.jpg", "2.jpg"]
    assert pages["2.jpg"] == ()
    regions = pages["1.jpg"]
    assert [(r.text, r.ignored) for r in regions] == [("a, b", False), ("###", True), ("*", True)]
    assert regions[0].polygon == POINTS


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"1.jpg []\n", "x.txt, line 1: expected a path, a tab and a JSON list"),
        (paddle() + paddle(), "line 2: the photograph '1.jpg' is named twice"),
        (b'1.jpg\t{"a": 1}\n', "line 1: expected a JSON list after the tab"),
        (b"1.jpg\t[oops]\n", "line 1: not readable JSON"),
        (paddle({"transcription": "a", "points": [[1]]}), "line 1, text 1: expected [x, y]"),
        (paddle({"points": []}), "line 1, text 1: expected transcription and points"),
    ],
)
def test_paddle_faults_name_the_line(data: bytes, message: str) -> None:
    with pytest.raises(StrbenchError) as caught:
        read_paddle(data, "x.txt")
    assert message in caught.value.message


_KEYS = [
    "data_list",
    "img_path",
    "instances",
    "polygon",
    "bbox",
    "text",
    "ignore",
    "images",
    "id",
    "annotations",
    "file_name",
    "image_id",
    "segmentation",
    "iscrowd",
    "transcription",
    "points",
]
_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_KEYS), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(_JSON, st.binary(max_size=30))
def test_any_bytes_give_pages_or_an_error_that_names_the_file(document: object, raw: bytes) -> None:
    for data in (as_bytes(document), b"1.jpg\t" + as_bytes(document), raw):
        for read in (read_mmocr, read_paddle):
            fault = ""
            try:
                pages = read(data, "PLACE")
            except StrbenchError as error:
                pages, fault = {}, error.message
            assert fault.startswith("PLACE") or not fault
            assert all(len(r.polygon) > 2 or r.ignored for p in pages.values() for r in p)


def test_real_mmocr_json(shared: Path) -> None:
    path = shared / "real" / "detection" / "mmocr_det_toy" / "textdet_test.json"
    pages = read_mmocr(path.read_bytes(), str(path))
    regions = [region for page in pages.values() for region in page]
    assert (len(pages), len(regions), sum(r.ignored for r in regions)) == (10, 82, 61)
