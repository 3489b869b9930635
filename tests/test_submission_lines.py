"""Lines of results and of ground truths, format by format, with the quirks of official readers."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from test_submissions import QUAD, SQUARE, found, refused, truth, zipped

from strbench.errors import StrbenchError
from strbench.submission_lines import Row, RrcLines
from strbench.submission_polygons import box_points
from strbench.submissions import read_found
from strbench.types import Detection, Region

# --- lines of the RRC ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "read", "ignored"),
    [
        ("EXIT", "EXIT", False),
        ("###", "###", True),
        ('"###"', "###", True),
        (' "###" ', "###", True),
        ("### ", "### ", False),
        (" ###", " ###", False),
        ("a,###", "a,###", False),
        ("", "", False),
        ('"', '"', False),
        (r'"say \"a\", \\ b"', r'say "a", \ b', False),
        (r'"\\""', '"', False),
        (r"no \" quotes", r"no \" quotes", False),
    ],
)
def test_transcriptions(tmp_path: Path, text: str, read: str, ignored: bool) -> None:
    (region,) = truth(tmp_path, "icdar-quad", "gt_img_1.txt", f"{QUAD},{text}")
    assert region == Region(SQUARE, read, ignored)


def test_bytes_of_a_file(tmp_path: Path) -> None:
    data = b"\xef\xbb\xbf" + f"{QUAD},bad".encode() + b"\xff\r\n\r\n\n" + f" {QUAD} ,a\rb".encode()
    regions = truth(tmp_path, "icdar-quad", "gt_img_1.txt", data)
    assert [region.text for region in regions] == ["bad\ufffd", "ab"]
    assert regions[1].polygon == SQUARE
    assert "line 2" in refused(tmp_path, "icdar-quad", "res_img_1.txt", f"{QUAD}\n  \n{QUAD}")
    assert "line 1" in refused(
        tmp_path, "icdar-quad", "res_img_1.txt", f"\ufeff\ufeff{QUAD}"
    )  # one mark goes, not two


@pytest.mark.parametrize(
    "line",
    [
        QUAD + ",0.5",
        QUAD + ",",
        QUAD[:-3],
        QUAD.replace("110", "110.0"),
        QUAD.replace("110", "1_10"),
        QUAD.replace("110", "+110"),
        QUAD.replace("110", "nan"),
        QUAD.replace("110", "1e2"),
        QUAD.replace("110", "9" * 400),
        QUAD.replace(",", " "),
    ],
)
def test_lines_that_are_no_quad(tmp_path: Path, line: str) -> None:
    message = refused(tmp_path, "icdar-quad", "res_img_1.txt", f"{QUAD}\n{line}")
    assert "det.zip: res_img_1.txt, line 2: expected" in message
    assert line[:20] in message


def test_anticlockwise_quads_reject_the_submission_others_without_area_do_not(
    tmp_path: Path,
) -> None:
    # (x2 - x1)(y2 + y1) over the edges of 0,0 0,4 9,4 9,0: 0 + 9 * 8 + 0 - 9 * 0 = 72 > 0
    assert "clockwise" in refused(tmp_path, "icdar-quad", "res_img_1.txt", "0,0,0,4,9,4,9,0")
    # bow-tie 0,0 9,4 9,0 0,4: 9 * 4 + 0 - 9 * 4 + 0 = 0
    for line in ("0,0,9,4,9,0,0,4", "5,5,5,5,5,5,5,5"):
        assert len(found(tmp_path, "icdar-quad", "res_img_1.txt", line)) == 1
    # n = 2**30: (n + 1) * n - (2n - 1) - n * (n - 1) = 1 > 0, which floats would round to 0
    n = 2**30
    far = f"0,0,0,0,{n + 1},{n},{n},{n - 1}"
    assert "clockwise" in refused(tmp_path, "icdar-quad", "res_img_1.txt", far)
    other_way = f"{n},{n - 1},{n + 1},{n},0,0,0,0"
    assert len(found(tmp_path, "icdar-quad", "res_img_1.txt", other_way)) == 1
    assert found(tmp_path, "mlt17", "res_img_1.txt", "0,0,0,4,9,4,9,0,1")[0].confidence == 1
    assert len(found(tmp_path, "icdar-quad-psenet", "res_img_1.txt", "0,0,0,4,9,4,9,0")) == 1


@pytest.mark.parametrize(
    ("confidence", "read"),
    [("0.25", 0.25), ("1", 1.0), (" 1. ", 1.0), ("1.5", 1.5), ("1e5", 1e5), ("00", 0.0),
     ("1e-3", None), (".5", None), ("2", None), ("-0.5", None), ("0,5", None), ("0x5", None),
     ("1e999", None), ("0_5", None), ("", None)],
)  # fmt: skip
@pytest.mark.parametrize("text", ["", ",EXIT"])
def test_confidences(tmp_path: Path, confidence: str, read: float | None, text: str) -> None:
    options = {"confidences": True, "transcriptions": bool(text)}
    line = f"{QUAD},{confidence}{text}"
    if read is None:
        refused(tmp_path, "icdar-quad", "res_img_1.txt", line, **options)
    else:
        (one,) = found(tmp_path, "icdar-quad", "res_img_1.txt", line, **options)
        assert one == Detection(SQUARE, read, text[1:] if text else None)


def test_with_confidences_files_are_sorted_as_their_reader_does(tmp_path: Path) -> None:
    lines = "\n".join(f"{x},0,{x + 9},5,{c}" for x, c in ((1, 0.5), (2, 0.9), (3, 0.5), (4, 1)))
    detections = found(tmp_path, "icdar-box", "res_img_1.txt", lines, confidences=True)
    assert [one.given[0] for one in detections] == [4, 2, 1, 3]  # equals keep file order
    quads = "\n".join(f"{x},0,9,0,9,5,{x},5,{c}" for x, c in ((1, 0.5), (2, 0.9)))
    detections = found(tmp_path, "mlt17", "res_img_1.txt", quads)
    assert [one.polygon[0][0] for one in detections] == [1, 2]  # not in the script for MLT


def test_boxes(tmp_path: Path) -> None:
    (region,) = truth(tmp_path, "icdar-box", "gt_img_7.txt", '38, 43, 920, 215, "Tired"')
    assert region.polygon == ((38, 43), (920, 43), (920, 215), (38, 215))
    assert (region.text, region.ignored, region.annotated) == ("Tired", False, (38, 43, 920, 215))
    # a comma may end the line, minima may be negative, a box may be a point
    one, other = found(tmp_path, "icdar-box", "res_img_7.txt", "-3,-4,5,6,\n 7,7,7,7 ")
    assert (one.given, other.given) == ((-3, -4, 5, 6), (7, 7, 7, 7))
    assert (one.confidence, one.text) == (None, None)
    for line in ("5,1,4,2", "1,5,2,4", "-4,-3,-1,9", "1,2,3", "1,2,3,4,5"):
        assert "line 1" in refused(tmp_path, "icdar-box", "res_img_7.txt", line)


def test_mlt(tmp_path: Path) -> None:
    lines = f'{QUAD},Latin,a,b\n{QUAD},None,###\n{QUAD}, Korean ,"###"'
    regions = truth(tmp_path, "mlt17", "gt_img_1.txt", lines)
    assert [(r.text, r.ignored, r.tags["script"]) for r in regions] == [
        ("a,b", False, "Latin"),
        ("###", True, "None"),
        ('"###"', False, "Korean"),  # its script resolves no quotes
    ]
    with pytest.raises(StrbenchError, match="expected x1,y1,x2,y2,x3,y3,x4,y4,script,"):
        truth(tmp_path, "mlt17", "gt_img_1.txt", f"{QUAD},Klingon,a")
    refused(tmp_path, "mlt17", "res_img_1.txt", QUAD)  # the confidence is not optional
    assert found(tmp_path, "mlt17", "res_img_1.txt", QUAD + ",0.5", confidences=True)


# What the scripts say: the pattern of every column, spelled out once more.
WHOLE = r"\s*(-?[0-9]+)\s*"
_FIELD = st.one_of(
    st.integers(-20, 200).map(str),
    st.sampled_from(["", " 7", "7 ", "\t7", "+7", "-0", "007", "1_0", "1.5", "٣", "7\x1c", "\xa07",
                     "5 6", "--3", "- 3", "0x1", "9" * 30, "1e3"]),
)  # fmt: skip
_LINE = st.lists(_FIELD, min_size=7, max_size=10).map(",".join)
_GOOD = st.tuples(*[st.integers(-9, 90)] * 2, *[st.integers(0, 60)] * 2).map(
    lambda b: (
        f"{b[0]},{b[1]}, {b[0] + b[2]},{b[1]},{b[0] + b[2]} ,{b[1] + b[3]},{b[0]},{b[1] + b[3]}"
    )
)


@given(st.one_of(_LINE, _GOOD, st.tuples(_GOOD, st.text(max_size=6)).map(",".join)), st.booleans())
@example("10,10,110,10,110,40,10,40,+", True)
@example("1\x1c,1,9,1,9,5,1,5", False)
def test_a_line_is_read_as_the_official_pattern_reads_it(line: str, has_text: bool) -> None:
    line = line.replace("\r", "").replace("\n", "")
    match = re.match("^" + ",".join([WHOLE] * 8) + (r",(.*)$" if has_text else "$"), line)
    reader = RrcLines(columns="quad", text=has_text, clockwise=False, unquotes=False)
    data = line.removeprefix("\ufeff").encode("utf-8", "replace")
    try:
        rows = list(reader.rows(data, "f"))
    except StrbenchError:
        assert match is None
        return
    if not line:
        assert rows == []
        return
    assert match is not None
    text = match[9].encode("utf-8", "replace").decode() if has_text else None
    assert rows == [Row(tuple(float(match[i]) for i in range(1, 9)), None, "", text)]


# --- polygons -----------------------------------------------------------------------------------


def test_psenet_takes_the_text_behind_the_last_comma_and_any_polygon(tmp_path: Path) -> None:
    gt = f'{QUAD},a,###\n{QUAD},"###"\n1.5,0,9,0,9,5,0,5\n0,0,0,5,9,5,9,0,b'
    regions = truth(tmp_path, "icdar-quad-psenet", "gt_img_1.txt", gt)
    assert [(r.text, r.ignored) for r in regions] == [
        ("###", True), ("###", True), ("5", False), ("b", False),
    ]  # fmt: skip
    assert regions[2].polygon[0] == (1.5, 0)
    pentagon = "0,0,5,0,9,3,5,5,0,5"
    one, other = found(tmp_path, "icdar-quad-psenet", "res_img_1.txt", f"{pentagon}\r\n\n{QUAD}")
    assert len(one.polygon) == 5
    assert other.polygon == SQUARE
    for line in (QUAD + ",EXIT", QUAD + ",1", "1,2,3,4,5,6", QUAD.replace("40", "40.0"), "\r"):
        assert "line 1" in refused(tmp_path, "icdar-quad-psenet", "res_img_1.txt", line)


def test_totaltext_has_y_first_and_keeps_the_order_of_vertices(tmp_path: Path) -> None:
    (one,) = found(tmp_path, "totaltext", "img7.txt", "1,2,5,2,5,9\r\n")
    assert one.polygon == ((2, 1), (2, 5), (9, 5))
    rows = "2,1,2,5,9,5,EXIT\n2,1,2,5,9,5, ### \n2,1,2,5,9,5,10"
    regions = truth(tmp_path, "totaltext", "poly_gt_img7.txt", rows)
    assert [(r.text, r.ignored) for r in regions] == [
        ("EXIT", False), ("###", True), ("10", False),
    ]  # fmt: skip
    assert regions[0].polygon == one.polygon  # anticlockwise, as in the file
    own = "x: [[2 2 9]], y: [[1 5 5]], ornt: [u'#'], transcriptions: [u'SIGN']\n"
    (region,) = truth(tmp_path, "totaltext", "poly_gt_img7.txt", own)
    assert (region.polygon, region.text, region.ignored) == (one.polygon, "SIGN", True)
    own = own.replace("[u'#']", "[u'm']").replace("SIGN", "#")
    assert not truth(tmp_path, "totaltext", "poly_gt_img7.txt", own)[0].ignored
    for line in ("", "1,2,3", "1,2,3,4.5", "1,2,3,nan"):
        assert "line 2" in refused(tmp_path, "totaltext", "img7.txt", f"1,2,5,2,5,9\n{line}\n")


@pytest.mark.parametrize("format_", ["totaltext", "ctw1500", "ctw1500-psenet", "td500"])
def test_files_that_are_read_at_once_and_line_by_line_are_the_same(
    tmp_path: Path, format_: str
) -> None:
    name = {"totaltext": "img7.txt", "td500": "IMG_7.txt"}.get(format_, "7.txt")
    plain = "1,2,5,2,5,9\n-3, 4,500000000000000000000,6,7,8\n"
    read = found(tmp_path, format_, name, plain)
    assert [len(one.polygon) for one in read] == [3, 3]
    assert all(type(v) is float for one in read for point in one.polygon for v in point)
    # a tab, a sign and leading zeros are beyond the quick way
    for other in (
        plain.replace("1,2", "1\t,2"),
        plain.replace("1,2", "+1,2"),
        plain.replace(",9", ",009"),
    ):
        assert found(tmp_path, format_, name, other) == read
    for line in (
        "1,2,3,",
        "1,2,true,4",
        "1,2,[3],4",
        "1,2],[3,4",
        '1,2,"3",4',
        "1,2,3",
        "1,2,3,4 5",
    ):
        assert "line 2" in refused(tmp_path, format_, name, f"1,2,5,2,5,9\n{line}\n")


EXIT = ((1, 2), (5, 2), (5, 9))


@pytest.mark.parametrize(
    ("line", "confidence", "text", "spotted"),
    [
        ("1,2,5,2,5,9", None, None, None),
        ("1.0, 2.0, 5.0, 2.0, 5.0, 9.0", None, None, None),
        ("1,2,5,2,5,9,0.75", 0.75, None, (None, "0.75")),
        ("1,2,5,2,5,9,EXIT", None, "EXIT", None),
        ("1,2,5,2,5,9,a,b, 7", None, "a,b, 7", None),
        ("1,2,5,2,5,9,0.75,EXIT", 0.75, "EXIT", None),
        ("1,2,5,2,5,9,####EXIT", None, "EXIT", None),
        ("1,2,5,2,5,9,####20,5", None, "20,5", None),
        ("1,2,5,2,5,9,0.75,####", 0.75, "", None),
        ("1,2,5,2,5,9,nan", None, "nan", None),
    ],
)
def test_totaltext_with_x_first(
    tmp_path: Path,
    line: str,
    confidence: float | None,
    text: str | None,
    spotted: tuple[float | None, str] | None,
) -> None:
    path = tmp_path / "res_img7.txt"
    path.write_text(f"\ufeff{line}\r\n\r\n", "utf-8", newline="")
    assert read_found(path, "totaltext-xy") == {"img7": [Detection(EXIT, confidence, text)]}
    if text is not None or spotted is not None:
        (one,) = read_found(path, "totaltext-xy", transcriptions=True)["img7"]
        assert one == Detection(EXIT, *(spotted or (confidence, text)))


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("1,2,5,2", "three vertices or more"),
        ("1,2,5,2,0.5", "three vertices or more"),
        ("1,2,5,2,EXIT", "three vertices or more"),
        ("1,2,5,2,5,x,####EXIT", "three vertices or more"),
        ("1,2,5,2,5,9,2019", r"confidence in \[0, 1\], found 7 numbers of which the last is 2019"),
        (f"1,2,5,2,5,{'9' * 400}", "a finite number"),
    ],
)
def test_totaltext_with_x_first_names_the_line(tmp_path: Path, line: str, what: str) -> None:
    message = refused(tmp_path, "totaltext-xy", "img7.txt", f"1,2,5,2,5,9\n{line}\n")
    assert re.search(rf"img7\.txt, line 2: .*{what}", message), message


def test_a_number_as_a_text_needs_a_protocol_that_reads(tmp_path: Path) -> None:
    path = tmp_path / "img7.txt"
    path.write_text("1,2,5,2,5,9,2019\n")
    (one,) = read_found(path, "totaltext-xy", transcriptions=True)["img7"]
    assert one == Detection(EXIT, None, "2019")


def test_totaltext_passes_over_what_its_scripts_write(tmp_path: Path) -> None:
    files = {"img1.txt": "1,2,5,2,5,9", "Pascal_result_non_curved.txt": "Precision"}
    assert list(read_found(zipped(tmp_path / "det.zip", files), "totaltext")) == ["img1"]


def test_ctw1500_offsets_and_both_orders(tmp_path: Path) -> None:
    offsets = [v for i in range(7) for v in (10 * i, 0)] + [
        v for i in reversed(range(7)) for v in (10 * i, 8)
    ]
    row = ",".join(map(str, [100, 200, 160, 208, *offsets]))
    (region,) = truth(tmp_path, "ctw1500", "1001.txt", row)
    assert region.polygon[:2] == ((100, 200), (110, 200))
    assert region.polygon[-1] == (100, 208)
    assert (len(region.polygon), len(region.annotated), region.text) == (14, 32, None)
    backwards = [
        100,
        200,
        160,
        208,
        *[v for p in zip(offsets[-2::-2], offsets[::-2], strict=True) for v in p],
    ]
    for line in (",".join(map(str, backwards)), ", ".join(map(str, backwards))):
        (turned,) = truth(tmp_path, "ctw1500", "1001.txt", line)
        assert turned.polygon == region.polygon[::-1]  # as it stands there, not clockwise
    (one,) = found(tmp_path, "ctw1500", "1001.txt", "1,2.5,3,4,5,6")
    assert one.polygon == ((1, 2.5), (3, 4), (5, 6))
    (one,) = found(tmp_path, "ctw1500-psenet", "1001.txt", "\n2,1,4,3,6,5\n")
    assert one.polygon == ((1, 2), (3, 4), (5, 6))
    for line in ("1,2,3", "1,2,inf,4", "\n1,2,3,4,5,6", "1,x"):
        assert "line 1" in refused(tmp_path, "ctw1500", "1001.txt", line)
    refused(tmp_path, "ctw1500-psenet", "1001.txt", "1,2.5,3,4,5,6")


def test_td500_turns_boxes_in_float32(tmp_path: Path) -> None:
    gt = "0 0 0 0 4 2 0\n1 1 0 0 4 2 1.5707963267948966\n"
    level, upright = truth(tmp_path, "td500", "IMG_0059.gt", gt)
    # from the lower left corner on, clockwise
    assert level.polygon == ((0, 2), (0, 0), (4, 0), (4, 2))
    # about (2, 1) by a quarter: the lower left one (-2, 1) goes to (-1, -2)
    np.testing.assert_allclose(upright.polygon, ((1, -1), (3, -1), (3, 3), (1, 3)), atol=1e-6)
    assert [r.ignored for r in (level, upright)] == [False, True]
    assert level.annotated == (0, 0, 4, 2, 0)
    assert all(np.float32(v) == v for point in upright.polygon for v in point)
    (one,) = found(tmp_path, "td500", "res_IMG_0059.txt", f"\n{QUAD}\n")
    assert one.polygon == SQUARE
    assert list(read_found(zipped(tmp_path / "d.zip", {"IMG_0059.txt": QUAD}), "td500")) == [
        "IMG_0059"
    ]
    refused(tmp_path, "td500", "IMG_0059.txt", QUAD + ",1")


def test_boxes_are_turned_as_opencv_turns_them() -> None:
    cv2 = pytest.importorskip("cv2")
    draw = np.random.default_rng(0)
    boxes = np.column_stack(
        [
            draw.uniform(-50, 2000, (300, 2)),
            draw.uniform(0, 900, (300, 2)),
            draw.uniform(-7, 7, 300),
        ]
    )
    ours = box_points(boxes)
    for (x, y, w, h, angle), corners in zip(boxes, ours, strict=True):
        theirs = cv2.boxPoints(((x + w / 2, y + h / 2), (w, h), angle / np.pi * 180))
        # the last two corners may differ by a unit in the last place before OpenCV 5
        np.testing.assert_array_equal(corners[:2], theirs[:2])
        np.testing.assert_allclose(corners, theirs, rtol=0, atol=5e-4)


def test_td500_boxes_with_an_angle_are_not_turned(tmp_path: Path) -> None:
    gt = "950,231,1006,475,0.716654,None\n1,2,3,4,-0.5,###"
    region, other = truth(tmp_path, "td500-angle", "gt_img_1.txt", gt)
    assert region.polygon == ((950, 231), (1006, 231), (1006, 475), (950, 475))
    assert region.annotated == (950, 231, 1006, 475, 0.716654)
    assert [r.ignored for r in (region, other)] == [False, True]
    (one,) = found(tmp_path, "td500-angle", "res_img_1.txt", "653,243,747,386,-0.0")
    assert one.given == (653, 243, 747, 386, 0)
    for line in ("1,2,3,4", "1,2,3,4,2.5", "1,2,3,4,1e-5", "1,2,3,4,0,5", "3,2,1,4,0"):
        refused(tmp_path, "td500-angle", "res_img_1.txt", line)
