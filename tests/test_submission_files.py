"""Results of many images in one file: MMOCR, PaddleOCR, COCO, and strbench's own Parquet."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_submissions import SQUARE

from strbench.errors import DATA, StrbenchError
from strbench.submissions import guess_format, natural, read_found, read_truth, write_found
from strbench.types import Detection, Region


def saved(path: Path, root: Any) -> Path:
    path.write_text(json.dumps(root))
    return path


FLAT = [10, 10, 110, 10, 110, 40, 10, 40]


@pytest.mark.parametrize(
    "root",
    [
        [{"img_path": "a.jpg", "det_polygons": [FLAT], "det_scores": [0.5], "rec_texts": ["EXIT"]}],
        {"predictions": [{"det_polygons": [FLAT], "det_scores": [0.5], "rec_texts": ["EXIT"]}]},
        {"det_polygons": [FLAT], "det_scores": [0.5], "rec_texts": ["EXIT"]},
    ],
)
def test_mmocr_spotters(tmp_path: Path, root: Any) -> None:
    (images,) = read_found(saved(tmp_path / "a.json", root), "mmocr").values()
    assert images == [Detection(SQUARE, 0.5, "EXIT")]


def test_mmocr_detectors(tmp_path: Path) -> None:
    points = [[10, 10], [110, 10], [110, 40], [10, 40]]
    root = [
        {"file_name": "b.jpg", "polygons": [points], "scores": [0.5]},
        {"filename": "a.jpg", "boundary_result": [[*FLAT, 0.5]]},
        {"img_path": "c.jpg", "pred_instances": {"polygons": [], "scores": []}},
    ]
    images = read_found(saved(tmp_path / "p.json", root), "mmocr")
    one = [Detection(SQUARE, 0.5)]
    assert list(images.items()) == [("a.jpg", one), ("b.jpg", one), ("c.jpg", [])]
    folder = tmp_path / "preds"
    folder.mkdir()
    saved(folder / "img_2.json", {"polygons": [FLAT], "scores": [0.5]})
    saved(folder / "img_10.json", {"polygons": []})
    assert read_found(folder) == {"img_2": one, "img_10": []}


@pytest.mark.parametrize(
    "entry",
    [
        {"polygons": [FLAT], "scores": [0.5, 0.5]},
        {"polygons": [FLAT[:-1]]},
        {"polygons": [[*FLAT[:-1], float("nan")]]},
        {"polygons": [[*FLAT[:-1], 10**400]]},
        {"polygons": [[*FLAT[:-1], True]]},
        {"polygons": [[[1, 2], [3]]]},
        {"polygons": [FLAT], "scores": [1.5]},
        {"polygons": [FLAT], "scores": [float("inf")]},
        {"polygons": [FLAT], "rec_texts": ["\ud800"]},
        {"polygons": 5},
        {"boundary_result": [[]]},
        {"boxes": []},
        7,
    ],
)
def test_mmocr_names_the_entry_that_is_wrong(tmp_path: Path, entry: Any) -> None:
    good = {"img_path": "0.jpg", "polygons": []}
    bad = {"img_path": "1.jpg", **entry} if isinstance(entry, dict) else entry
    with pytest.raises(StrbenchError, match=r"p\.json, entry 2") as caught:
        read_found(saved(tmp_path / "p.json", [good, bad]), "mmocr")
    assert caught.value.exit_code == DATA


def test_paddle(tmp_path: Path) -> None:
    points = [[10, 10], [110, 10], [110, 40], [10, 40]]
    path = tmp_path / "results.txt"
    entry = {"transcription": "EXIT", "points": points, "score": 0.5}
    lines = ["b/2.jpg\t" + json.dumps([entry]), "", "b/1.jpg\t" + json.dumps([points])]
    path.write_text(lines[0])
    assert read_truth(path, "paddle") == {"b/2.jpg": [Region(SQUARE, "EXIT")]}
    path.write_text("\n".join(lines))
    assert guess_format(path) == "paddle"
    assert list(read_found(path).items()) == [
        ("b/1.jpg", [Detection(SQUARE)]),
        ("b/2.jpg", [Detection(SQUARE, 0.5, "EXIT")]),
    ]
    path.write_text(lines[0] + "\nb/2.jpg\t[]")
    with pytest.raises(StrbenchError, match=r"results\.txt, line 2: the photograph"):
        read_found(path, "paddle")
    path.write_text(lines[0] + "\nb/3.jpg\t[[[1, NaN]]]")
    with pytest.raises(StrbenchError, match=r"line 2, text 1: expected a coordinate, found nan"):
        read_found(path, "paddle")


def test_coco(tmp_path: Path) -> None:
    rows = [
        {"image_id": 2, "segmentation": [FLAT], "score": 0.5},
        {"image_id": 2, "bbox": [10, 10, 100, 30], "score": 0.25, "category_id": 1},
        {"image_id": 2, "polys": [[10, 10], [110, 10], [110, 40], [10, 40]], "rec": "EXIT"},
    ]
    expected = [
        Detection(SQUARE, 0.5),
        Detection(SQUARE, 0.25, given=(10, 10, 100, 30)),
        Detection(SQUARE, None, "EXIT"),
    ]
    path = saved(tmp_path / "c.json", rows)
    assert guess_format(path) == "coco"
    assert read_found(path) == {"2": expected}
    images = [{"id": 2, "file_name": "x.jpg"}, {"id": 1, "file_name": "y.jpg"}]
    saved(path, {"images": images, "annotations": rows})
    assert read_found(path) == {"x.jpg": expected, "y.jpg": []}
    words = [{"image_id": 1, "segmentation": [FLAT], "iscrowd": 1}]
    saved(tmp_path / "t.json", {"images": images, "annotations": words})
    for format_ in ("coco", "mmocr"):
        regions = read_truth(tmp_path / "t.json", format_)
        assert regions == {"x.jpg": [], "y.jpg": [Region(SQUARE, ignored=True)]}
    for row in (
        {"image_id": 3, "bbox": [1, 2, 3, 4]},
        {"image_id": 2, "segmentation": {"counts": "x", "size": [1, 1]}},
        {"image_id": 2, "segmentation": [FLAT, FLAT]},
        {"image_id": 2, "bbox": [1, 2, 3, float("nan")]},
        {"image_id": 2},
        {"bbox": [1, 2, 3, 4]},
    ):
        saved(path, {"images": images, "annotations": [rows[0], row]})
        with pytest.raises(StrbenchError, match=r"c\.json, entry 2"):
            read_found(path, "coco")


def test_rrc_json(tmp_path: Path) -> None:
    points = [[10, 10], [110, 10], [110, 40], [10, 40]]
    root = {
        "res_10": [],
        "res_2": [
            {"points": points, "confidence": 0.5, "transcription": "EXIT"},
            {"points": points},
        ],
    }
    path = saved(tmp_path / "task3.json", root)
    assert guess_format(path) == "rrc-json"
    images = read_found(path)
    assert list(images.items()) == [
        ("2", [Detection(SQUARE, 0.5, "EXIT"), Detection(SQUARE)]),
        ("10", []),
    ]
    path.write_text(json.dumps(root, indent=2))
    assert read_found(path) == images
    truth = {
        "gt_2": [
            {"transcription": "EXIT", "points": points, "illegibility": False, "language": "Latin"},
            {"transcription": "###", "points": points, "illegibility": False},
            {"transcription": "x", "points": points, "illegibility": True},
        ]
    }
    regions = read_truth(saved(tmp_path / "gt.json", truth), "rrc-json")
    assert [(r.polygon, r.text, r.ignored) for r in regions["2"]] == [
        (SQUARE, "EXIT", False),
        (SQUARE, "###", True),
        (SQUARE, "x", True),
    ]
    assert regions["2"][0].tags["language"] == "Latin"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('{"res_1": [{"points": [[1, 2, 3]]}]}', r"res_1, entry 1: expected \[x, y\]"),
        ('{"res_1": [{"points": [[1, NaN]]}]}', "res_1, entry 1: expected a coordinate"),
        ('{"res_1": [{"points": [], "confidence": 7}]}', "entry 1: expected a confidence"),
        ('{"res_1": [{"points": [], "transcription": 7}]}', "entry 1: expected a text"),
        ('{"res_1": [{"confidence": 0.5}]}', "entry 1: expected the points of a polygon"),
        ('{"res_1": [5]}', "res_1, entry 1: expected a JSON object"),
        ('{"res_1": {}}', "res_1: expected a JSON list"),
        ('{"gt_1": []}', "expected photographs called res_N, found 'gt_1'"),
        ('{"res_one": []}', "expected photographs called res_N, found 'res_one'"),
        ('{"res_1": [], "res_1": []}', "'res_1' is named twice"),
        ("[]", "expected a JSON object"),
    ],
)
def test_rrc_json_names_the_entry_that_is_wrong(tmp_path: Path, text: str, what: str) -> None:
    (tmp_path / "r.json").write_text(text)
    with pytest.raises(StrbenchError, match=rf"r\.json.*{what}") as caught:
        read_found(tmp_path / "r.json", "rrc-json")
    assert caught.value.exit_code == DATA
    with pytest.raises(StrbenchError, match=r"expected photographs called gt_N, found 'res_1'"):
        read_truth(saved(tmp_path / "gt.json", {"res_1": []}), "rrc-json")


_POINT = st.tuples(*[st.floats(-1e6, 1e6)] * 2)
_DETECTION = st.builds(
    Detection,
    polygon=st.lists(_POINT, max_size=6).map(tuple),
    confidence=st.none() | st.floats(0, 1),
    text=st.none() | st.text(),
    given=st.just(()) | st.tuples(*[st.floats(-9, 9)] * 5),
)


@given(st.dictionaries(st.text(min_size=1), st.lists(_DETECTION, max_size=3), max_size=4))
def test_parquet_gives_back_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, images: dict[str, list[Detection]]
) -> None:
    path = tmp_path_factory.mktemp("p") / "found.parquet"
    write_found(path, images)
    again = read_found(path)
    assert again == images
    assert list(again) == sorted(images, key=natural)


def test_parquet_columns_and_what_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "f.parquet"
    write_found(path, {"a": [Detection(SQUARE, 0.5, "EXIT")], "b": []})
    frame = pl.read_parquet(path)
    assert frame.columns == ["id", "polygon", "confidence", "text"]
    assert frame.rows() == [("a", [float(v) for v in FLAT], 0.5, "EXIT"), ("b", None, None, None)]
    before = path.read_bytes()
    for wrong in (
        Detection(((float("inf"), 0),)),
        Detection(SQUARE, 1.5),
        Detection(SQUARE, text="\ud800"),
    ):
        with pytest.raises(StrbenchError):
            write_found(path, {"a": [Detection(SQUARE), wrong]})
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
    frame.select("id", "text").write_parquet(path)
    with pytest.raises(StrbenchError, match="expected a column polygon, found id, text"):
        read_found(path)
    pl.DataFrame({"id": ["a", "a"], "polygon": [[1.0, 2.0], [1.0, float("nan")]]}).write_parquet(
        path
    )
    with pytest.raises(StrbenchError, match=r"row 2: expected a coordinate, found nan"):
        read_found(path)
    path.write_bytes(b"PAR1 or not")
    with pytest.raises(StrbenchError, match="no Parquet"):
        read_found(path)
