"""The page of results: what is counted, what is written, and what a browser makes of it."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from strbench.errors import StrbenchError
from strbench.metrics.detection import FirstCome, Scene, Verdict
from strbench.types import Detection, Polygon, Reading, Region
from strbench.view import Gallery, detection_items, is_page, recognition_items, write_page

# What breaks a script, a page or an encoding: tags, quotes, line separators, right-to-left, half a pair.
NASTY = "</script><b>&\"'`${x}\u2028\u2029\\ \u202eשלום\u0000\ud800 end"


def box(x: float, y: float, width: float = 20, height: float = 10) -> Polygon:
    return ((x, y), (x + width, y), (x + width, y + height), (x, y + height))


def picture(colour: int = 0, size: tuple[int, int] = (100, 60), kind: str = "PNG") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, (colour, 10, 200)).save(out, kind)
    return out.getvalue()


TRUTH = {
    "a.png": [Region(box(0, 0), "ONE"), Region(box(50, 0), "TWO"), Region(box(0, 40), "###", True)],
    "b.png": [Region(box(0, 0), "###", True)],
    "c.png": [Region(box(0, 0), "FOUR")],
    "d.png": [Region(box(0, 0), "five"), Region(box(50, 0), NASTY)],
}
FOUND = {
    "a.png": [Detection(box(0, 0), 0.9, "ONE"), Detection(box(70, 45), 0.4, "x")],
    "b.png": [Detection(box(0, 0), None, None)],
    "d.png": [Detection(box(0, 0), 1.0, "FIVE"), Detection(box(50, 0), 0.5, "six")],
}


def gallery(
    truth: Mapping[str, list[Region]] = TRUTH, found: Mapping[str, list[Detection]] = FOUND
) -> Gallery:
    scene = Scene.of(truth, found)
    return detection_items(scene, FirstCome()(scene))


def pictures(key: str) -> bytes:
    return picture(ord(key[0]))


def data_of(folder: Path) -> dict[str, Any]:
    text = (folder / "data.js").read_bytes().decode("ascii")
    found = re.fullmatch(r"const PAGE = (\{.*\});\nPAGE\.items = (\[.*\]);\n", text, re.DOTALL)
    assert found
    items = re.sub(r",\n\]$", "]", found[2])
    page: dict[str, Any] = json.loads(found[1])
    return page | {"items": json.loads(items)}


def test_a_photograph_has_its_own_figures_and_counts() -> None:
    made = gallery()
    a, b, c, d = made.items
    names = [one.name for one in made.filters]
    assert names == [
        *("Missed", "False", "Split", "Merged", "Don't-care", "Text differs", "No result")
    ]
    assert a.counts == (1, 1, 0, 0, 1, 0, 0)
    assert a.figures == (1 / 2, 1 / 2, 1 / 2, 5, 2)  # precision, recall, F, regions, errors
    assert b.figures == (None, None, None, 2, 0)  # nothing counts
    assert c.figures == (None, 0, 0, 1, 1)
    assert c.note == "no result for this photograph"
    assert d.counts == (0, 0, 0, 0, 0, 1, 0)  # FIVE is five but for case; six is another word
    # over all: 3 matches of 4 found ones that count and of 5 true ones; F = 6 / 9
    assert made.about == (("Precision", "75.00%"), ("Recall", "60.00%"), ("F", "66.67%"))
    found = [mark for mark in a.marks if not mark.is_true]
    assert [(m.verdict, m.partner, m.confidence) for m in found] == [
        (Verdict.MATCHED, 0, 0.9),
        (Verdict.MISSED, -1, 0.4),
    ]


def test_a_photograph_is_the_same_in_any_order() -> None:
    turned = gallery(dict(reversed(TRUTH.items())))
    assert set(turned.items) == set(gallery().items)
    assert turned.items[0].id == "d.png"


def test_words_of_two_models() -> None:
    ids, labels = ["1", "2", "3", "4"], ["Door", "EXIT", "stop", "no"]
    made = recognition_items(
        ids,
        labels,
        {
            "first": [Reading("door", 0.9), Reading("EX1T", 0.8), Reading("", 0.1), Reading("no")],
            "second": ["Door!", "EX1T", "stop", "on"],
        },
    )
    assert [one.name for one in made.filters] == [
        *("Wrong", "first wrong", "second wrong", "Disagree", "Empty reading")
    ]
    assert [item.counts for item in made.items] == [
        (0, 0, 0, 0, 0),  # Door! and door are one word to strbench-36
        (1, 1, 1, 0, 0),
        (1, 1, 0, 1, 1),
        (1, 0, 1, 1, 0),
    ]
    # length, models wrong, lowest 1-NED, lowest confidence, highest confidence of an error
    assert made.items[1].figures == (4, 2, 0.75, 0.8, 0.8)
    assert made.items[3].figures == (2, 1, 0.0, None, None)
    assert ("first", "2 of 4 right (50.0%)") in made.about


def test_words_that_the_policy_drops_are_neither_right_nor_wrong() -> None:
    made = recognition_items(["1", "2"], ["ok", "naïve"], {"m": ["ok", "x"]}, policy="clovaai-36")
    assert made.filters[-1].name == "Not scored"
    assert [item.counts for item in made.items] == [(0, 0, 0), (0, 0, 1)]
    assert made.items[1].readings[0].is_right is None
    assert made.items[1].note == "left out by clovaai-36"


def test_a_number_of_readings_that_is_wrong_names_the_model() -> None:
    with pytest.raises(StrbenchError, match="each of 2 words, found 1 in m"):
        recognition_items(["1", "2"], ["a", "b"], {"m": ["a"]})


def test_the_folder_holds_a_page_its_data_and_the_pictures(tmp_path: Path) -> None:
    index = write_page(gallery(), tmp_path / "page", title=f"A {NASTY}", images=pictures)
    assert index == tmp_path / "page" / "index.html"
    assert is_page(index.parent)
    names = sorted(p.relative_to(index.parent).as_posix() for p in index.parent.rglob("*.*"))
    assert names == ["data.js", *(f"images/0000{k}.png" for k in range(1, 5)), "index.html"]
    page = index.read_text(encoding="utf-8")
    assert "A &lt;/script&gt;&lt;b&gt;&amp;" in page
    assert not re.search(r"(?:src|href)=[\"']?(?:https?:|//)", page)
    data = data_of(index.parent)
    order = [item[0] for item in data["items"]]
    assert order == [2, 0, 3, 1]  # worst first: F 0, 1/2, 1 and the one without
    item = data["items"][2]
    assert item[7][1][2:4] == [[50, 0, 70, 0, 70, 10, 50, 10], NASTY]
    assert b"<" not in (index.parent / "data.js").read_bytes()
    for at, key in zip(order, ("c", "a", "d", "b"), strict=True):
        ((_, name, width, height),) = data["items"][order.index(at)][2]
        assert (index.parent / "images" / name).read_bytes() == picture(ord(key))
        assert (width, height) == (100, 60)


def test_a_limit_says_what_it_leaves_out(tmp_path: Path) -> None:
    asked: list[str] = []

    def images(key: str) -> bytes:
        asked.append(key)
        return picture()

    write_page(gallery(), tmp_path / "page", title="T", images=images, limit=1)
    data = data_of(tmp_path / "page")
    assert (data["total"], [item[1] for item in data["items"]]) == (4, ["c.png"])
    assert data["leftOut"] == [1, 1, 0, 0, 2, 1, 0]  # items of a, b and d that each filter has
    assert asked == ["c.png"]


def test_nothing_but_such_a_page_is_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "page"
    write_page(gallery(), folder, title="one", images=pictures)
    write_page(gallery(), folder, title="two", images=pictures, limit=1)
    assert "<title>two</title>" in (folder / "index.html").read_text()
    assert len(list((folder / "images").iterdir())) == 1
    (folder / "images" / "notes.txt").write_text("mine")
    for theirs in (folder, tmp_path):
        before = sorted(theirs.rglob("*"))
        with pytest.raises(StrbenchError, match="is not a page of strbench view"):
            write_page(gallery(), theirs, title="three", images=pictures)
        assert sorted(theirs.rglob("*")) == before
    file = tmp_path / "file"
    file.write_text("mine")
    with pytest.raises(StrbenchError, match="is not a page"):
        write_page(gallery(), file, title="three", images=pictures)
    assert file.read_text() == "mine"


def test_a_page_that_cannot_be_finished_leaves_the_old_one(tmp_path: Path) -> None:
    folder = tmp_path / "page"
    write_page(gallery(), folder, title="one", images=pictures)
    some: dict[str, bytes | Path] = {key: picture() for key in TRUTH if key != "b.png"}
    cases: tuple[tuple[dict[str, bytes | Path], str], ...] = (
        (some, "no image for 'b.png'"),
        (some | {"b.png": tmp_path / "none"}, "no image for 'b.png'; .*none is no file"),
        (some | {"b.png": b"GIF89a"}, "image of 'b.png' cannot be read"),
    )
    for images, problem in cases:
        with pytest.raises(StrbenchError, match=problem):
            write_page(gallery(), folder, title="two", images=images)
        assert "<title>one</title>" in (folder / "index.html").read_text()
        assert list(tmp_path.iterdir()) == [folder]


def test_pictures_are_stored_as_polygons_see_them(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees
    image = Image.fromarray(np.arange(24 * 16 * 3, dtype=np.uint8).reshape(16, 24, 3))
    turned, plain = io.BytesIO(), io.BytesIO()
    image.save(turned, "JPEG", exif=exif)
    image.save(plain, "JPEG")
    tiff = tmp_path / "photo.tif"
    image.save(tiff)
    jpeg = tmp_path / "photo.jpg"
    jpeg.write_bytes(plain.getvalue())
    images: dict[str, bytes | Path] = {
        "a.png": turned.getvalue(),
        "b.png": tiff,
        "c.png": jpeg,
        "d.png": picture(),
    }
    write_page(gallery(), tmp_path / "page", title="T", images=images, link=True)
    by_id = {item[1]: item[2][0] for item in data_of(tmp_path / "page")["items"]}
    stored = {id_: tmp_path / "page" / "images" / entry[1] for id_, entry in by_id.items()}
    assert by_id["a.png"][2:] == [24, 16]
    assert stored["a.png"].read_bytes() == plain.getvalue()  # the same pixels, without the turn
    assert stored["b.png"].suffix == ".png"
    assert (np.asarray(Image.open(stored["b.png"])) == np.asarray(image)).all()
    assert stored["c.png"].samefile(jpeg)
    assert not stored["b.png"].samefile(tiff)


def test_outlines_and_confidences_that_are_no_numbers_are_left_out(tmp_path: Path) -> None:
    made = gallery({"a.png": TRUTH["a.png"]}, {"a.png": FOUND["a.png"]})
    (item,) = made.items
    *true, first, second = item.marks
    nan = float("nan")
    broken = (
        first._replace(polygon=((0, nan), (1, 2), (float("inf"), 3)), confidence=nan),
        second._replace(polygon=()),
    )
    made = replace(made, items=(item._replace(marks=(*true, *broken)),))
    write_page(made, tmp_path / "page", title="T", images=pictures)
    (stored,) = data_of(tmp_path / "page")["items"]
    assert [(mark[2], mark[4]) for mark in stored[7][3:]] == [([], None), ([], 0.4)]


def test_crops_lie_on_sheets_pixel_for_pixel(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    crops = {
        str(k): rng.integers(0, 256, (int(h), int(w), 3), dtype=np.uint8)
        for k, (h, w) in enumerate(rng.integers(1, 97, (120, 2)) * [1, 4])
    }
    crops["large"] = rng.integers(0, 256, (500, 1000, 3), dtype=np.uint8)
    encoded = {}
    for key, pixels in crops.items():
        out = io.BytesIO()
        Image.fromarray(pixels).save(out, "PNG")
        encoded[key] = out.getvalue()
    made = recognition_items(list(crops), ["x"] * 121, {"m": ["x"] * 121})
    write_page(made, tmp_path / "page", title="T", images=encoded)
    data = data_of(tmp_path / "page")
    sheets = [np.asarray(Image.open(tmp_path / "page/images" / s[0])) for s in data["sheets"]]
    assert 1 < len(sheets) < 10
    assert [[s.shape[1], s.shape[0]] for s in sheets] == [s[1:] for s in data["sheets"]]
    used = [np.zeros(s.shape[:2], int) for s in sheets]
    for item in data["items"]:
        ((_, sheet, width, height, x, y, *stored),) = item[2]
        used[sheet][y : y + height, x : x + width] += 1
        if item[1] == "large":
            assert (width, height, *stored) == (192, 96, 1000, 500)
        else:
            assert (sheets[sheet][y : y + height, x : x + width] == crops[item[1]]).all()
    assert max(u.max() for u in used) == 1  # no two overlap


def test_real_photographs_and_the_official_figures(shared: Path, tmp_path: Path) -> None:
    oracle = shared / "oracles" / "detection" / "ic15_iou_pixellink"
    photographs = shared / "real" / "detection" / "ic15_test" / "Imgs"
    scene = Scene.of(icdar(oracle / "gt"), {k: [Detection(r.polygon) for r in v] for k, v in icdar(oracle / "det").items()})  # fmt: skip
    outcome = FirstCome()(scene)
    made = detection_items(scene, outcome)
    expected = json.loads((oracle / "expected.json").read_text())
    text = json.dumps(expected)
    assert str(outcome.precision) in text
    assert str(outcome.recall) in text
    missed, false, *_, ignored = np.sum([item.counts for item in made.items], axis=0)
    assert missed == 2077 - outcome.recalled.sum()
    assert false == outcome.founds.sum() - outcome.precise.sum()
    assert ignored == 3153 + len(scene.found) - outcome.founds.sum()
    write_page(made, tmp_path / "p", title="T", images=lambda k: photographs / f"{k}.jpg")
    stored = list((tmp_path / "p" / "images").iterdir())
    assert len(stored) == 500
    assert sum(p.stat().st_size for p in stored) == sum(
        p.stat().st_size for p in photographs.iterdir()
    )


def icdar(folder: Path) -> dict[str, list[Region]]:
    """Files of four corners and a text: the number of the file becomes the id."""
    out: dict[str, list[Region]] = {}
    for path in folder.glob("*.txt"):
        lines = path.read_text("utf-8-sig").split("\n")
        rows = [line.strip("\r").split(",", 8) for line in lines if line.strip()]
        flat = [([float(v) for v in row[:8]], row[8:]) for row in rows]
        out["img_" + re.findall(r"\d+", path.name)[0]] = [
            Region(tuple(zip(v[::2], v[1::2], strict=True)), None, text == ["###"])
            for v, text in flat
        ]
    return out
