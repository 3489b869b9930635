"""TIoU and SIoU: pairs worked by hand, odd polygons, and the figures of the official scripts."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strbench.metrics.detection import FirstCome, Outcome, Scene
from strbench.metrics.tiou import SIoU, TIoU
from strbench.region_protocols import region_protocol
from strbench.types import Detection, Polygon, Region

CURVED = region_protocol("tiou-curved").rule()

QUAD = re.compile(r"\s*" + r"\s*,\s*".join([r"(-?[0-9]+)"] * 8) + r"\s*(?:,(.*))?$")
Truth = dict[str, list[Region]]
Found = dict[str, list[Detection]]


def box(left: float, top: float, right: float, bottom: float) -> Polygon:
    return ((left, top), (right, top), (right, bottom), (left, bottom))


def word(text: str | None, *corners: float) -> Region:
    return Region(box(*corners), text, text == "###")


def hit(*corners: float, text: str | None = None) -> Detection:
    return Detection(box(*corners), None, text)


def one_image(regions: Sequence[Region], detections: Sequence[Detection]) -> Scene:
    return Scene.of({"1": regions}, {"1": detections})


def lines(path: Path) -> list[str]:
    text = path.read_bytes().decode("utf-8", "replace").removeprefix("\ufeff")
    return [line for line in text.replace("\r", "").split("\n") if line]


def pairs(numbers: Sequence[str | float]) -> Polygon:
    values = [float(number) for number in numbers]
    return tuple(zip(values[::2], values[1::2], strict=True))


def oracle(shared: Path, name: str) -> Path:
    path = shared / "oracles" / "detection" / name
    if not path.is_dir():
        pytest.skip(f"the case is not at {path}")
    return path


def ic15(folder: Path) -> tuple[Truth, Found]:
    """The regions and detections of a case in the layout of ICDAR 2015."""

    def quads(path: Path) -> list[tuple[Polygon, str | None]]:
        out = []
        for line in lines(path):
            fields = QUAD.match(line)
            assert fields, line
            text = fields[9]
            quoted = re.match(r'\s*"(.*)"\s*$', text or "")
            if quoted:
                text = quoted[1].replace("\\\\", "\\").replace('\\"', '"')
            out.append((pairs(fields.groups()[:8]), text))
        return out

    def files(part: str) -> list[tuple[str, Path]]:
        return [(path.stem.split("_")[-1], path) for path in sorted((folder / part).iterdir())]

    truth = {n: [Region(p, t, t == "###") for p, t in quads(path)] for n, path in files("gt")}
    found = {n: [Detection(p, None, t) for p, t in quads(path)] for n, path in files("det")}
    return truth, found


def total_text(folder: Path) -> tuple[Truth, Found]:
    """Polygons in x, y order; the detections of the case are in y, x order."""
    truth: Truth = {}
    found: Found = {}
    for path in sorted((folder / "gt_txt").iterdir()):
        rows = [line.split(",") for line in lines(path)]
        truth[path.stem.removeprefix("poly_gt_")] = [
            Region(pairs(row[:-1]), row[-1].strip(), row[-1].strip() == "###") for row in rows
        ]
    for path in sorted((folder / "det").iterdir()):
        found[path.stem] = [
            Detection(tuple((x, y) for y, x in pairs(line.split(",")))) for line in lines(path)
        ]
    return truth, found


def ctw1500(folder: Path) -> tuple[Truth, Found]:
    """Rows of the ground truth are a box and 14 offsets from its upper left corner."""
    truth: Truth = {}
    for path in sorted((folder / "gt").iterdir()):
        rows = [pairs(line.split(",")) for line in lines(path)]
        truth[path.stem] = [
            Region(tuple((row[0][0] + x, row[0][1] + y) for x, y in row[2:]), "CARE")
            for row in rows
        ]
    found = {
        path.stem: [Detection(pairs(line.split(","))) for line in lines(path)]
        for path in sorted((folder / "det").iterdir())
    }
    return truth, found


def figures(outcome: Outcome) -> tuple[float, float]:
    return outcome.recall, outcome.precision


def close(*values: float) -> object:
    return pytest.approx(values if len(values) > 1 else values[0], rel=0, abs=1e-12)


def shuffled(case: Truth) -> Truth:
    return {name: case[name] for name in reversed(case)}


def test_what_is_cut_off_costs_recall() -> None:
    scene = one_image([word("word", 0, 0, 100, 10)], [hit(0, 0, 80, 10)])
    assert figures(SIoU()(scene)) == close(800 / 1000, 800 / 1000)
    # a fifth of the true region is cut off; the found one covers no other
    assert figures(TIoU()(scene)) == close(0.8 * (1 - 200 / 1000), 0.8)


def test_what_is_taken_from_others_costs_precision() -> None:
    regions = [word("one", 0, 0, 100, 10), word("two", 0, 10, 100, 20)]
    scene = one_image(regions, [hit(0, 0, 100, 12)])
    iou = 1000 / 1200
    assert figures(SIoU()(scene)) == close(iou / 2, iou)
    assert figures(TIoU()(scene)) == close(iou / 2, iou * (1 - 200 / 1200))
    # a region that does not count is taken from as well
    ignored = one_image([regions[0], word("###", 0, 10, 100, 20)], [hit(0, 0, 100, 12)])
    assert figures(TIoU()(ignored)) == close(iou, iou * (1 - 200 / 1200))
    assert figures(TIoU(only_counted=True)(ignored)) == close(iou, iou)


def test_others_count_once_and_only_outside_the_own_region() -> None:
    regions = [
        word("one", 0, 0, 100, 10),
        word("two", 0, 8, 100, 20),  # 2 of its 12 rows lie on the first
        word("three", 50, 10, 100, 20),  # wholly on the second
    ]
    scene = one_image(regions, [hit(0, 0, 100, 12)])
    iou = 1000 / 1200
    assert TIoU()(scene).precision == close(iou * (1 - 200 / 1200))


@pytest.mark.parametrize(("right", "expected"), [(99, 0.99), (98, 0.98 * 0.98)])
def test_a_hundredth_costs_nothing(right: float, expected: float) -> None:
    scene = one_image([word("word", 0, 0, 100, 10)], [hit(0, 0, right, 10)])
    assert TIoU()(scene).recall == close(expected)


def test_iou_decides_what_matches() -> None:
    scene = one_image([word("word", 0, 0, 100, 10)], [hit(0, 0, 51, 10)])
    assert figures(TIoU()(scene)) == close(0.51 * 0.51, 0.51)
    assert figures(TIoU()(one_image([word("w", 0, 0, 100, 10)], [hit(0, 0, 50, 10)]))) == (0, 0)
    strict = TIoU(matching=FirstCome(iou=0.6))
    assert figures(strict(scene)) == (0.0, 0.0)


def test_polygons_that_cross_themselves() -> None:
    """Of a bow-tie the area is 0 and the overlap with its box half of that: the IoU is 1."""
    bow = ((0, 0), (100, 30), (100, 0), (0, 30))
    found = one_image([word("word", 0, 0, 100, 30)], [Detection(bow)])
    assert figures(SIoU()(found)) == close(1.0, 1.0)
    assert figures(TIoU()(found)) == close(1.0 * (1 - 1500 / 3000), 0.0)
    assert figures(TIoU(clipped=True)(found)) == close(0.5, 1.0)
    true = one_image([Region(bow, "word")], [hit(0, 0, 100, 30)])
    assert figures(SIoU()(true)) == close(1.0, 1.0)
    # more is covered than there is: the script gives nothing
    assert figures(TIoU()(true)) == close(0.0, 1.0)
    assert figures(TIoU(clipped=True)(true)) == close(1.0, 1.0)


@pytest.mark.parametrize(
    "size", [1.0, 4.1, 5.9]
)  # units; at the last two rounding adds to the overlap
def test_rounding_is_no_excess(size: float) -> None:
    # a square of 9 units without a triangle of a half, whose ring touches itself at (0, 1.5)
    ring = ((0, 0), (3, 0), (3, 3), (0, 3), (0, 1.5), (1, 2), (1, 1), (0, 1.5))
    true = tuple((x * size, y * size) for x, y in ring)
    scene = one_image([Region(true, "word")], [hit(0, 0, 3 * size, 3 * size)])
    assert figures(TIoU()(scene)) == close(8.5 / 9, 8.5 / 9)


@pytest.mark.parametrize(
    "polygon", [(), ((5, 5),), ((0, 0), (9, 9)), ((5, 5),) * 4, ((0, 0), (50, 0), (100, 0))]
)
def test_polygons_without_an_area_are_false(polygon: Polygon) -> None:
    scene = one_image([word("word", 0, 0, 100, 10)], [Detection(polygon), hit(0, 0, 100, 10)])
    for rule in (TIoU(), SIoU(), CURVED):
        assert figures(rule(scene)) == (1.0, 0.5)
    scene = one_image([Region(polygon, "word")], [hit(0, 0, 100, 10)])
    assert figures(TIoU()(scene)) == (0.0, 0.0)


def test_nothing_at_all() -> None:
    for scene in (Scene.of({}, {}), Scene.of({"1": []}, {}), one_image([], [])):
        for rule in (TIoU(), SIoU(), CURVED):
            assert (*figures(rule(scene)), rule(scene).hmean) == (0.0, 0.0, 0.0)


def test_curved_vertices_are_of_single_precision() -> None:
    regions, detections = [word("word", 0, 0, 100.1, 10)], [hit(0, 0, 80.3, 10)]
    scene = one_image(regions, detections)
    exact, single = SIoU()(scene).recall, SIoU(single=True)(scene).recall
    assert exact == close(80.3 / 100.1)
    assert exact != single
    assert single == pytest.approx(exact, abs=1e-7)
    whole = one_image([word("word", 0, 0, 100, 10)], [hit(0, 0, 80, 10)])
    assert figures(CURVED(whole)) == figures(TIoU()(whole))


corner = st.integers(0, 30)
boxes = st.tuples(corner, corner, corner, corner).map(
    lambda c: box(min(c[0], c[2]), min(c[1], c[3]), max(c[0], c[2]) + 9, max(c[1], c[3]) + 9)
)


@given(st.lists(st.tuples(boxes, st.booleans()), max_size=5), st.lists(boxes, max_size=5))
def test_tightness_never_gains(
    regions: list[tuple[Polygon, bool]], detections: list[Polygon]
) -> None:
    scene = one_image(
        [Region(polygon, "word", ignored) for polygon, ignored in regions],
        [Detection(polygon) for polygon in detections],
    )
    loose, tight, plain = SIoU()(scene), TIoU()(scene), FirstCome()(scene)
    assert plain.recalled[0] + 1e-12 >= loose.recalled[0] >= tight.recalled[0] - 1e-12
    assert loose.precise[0] >= tight.precise[0] - 1e-12
    assert tight.partner.tolist() == plain.partner.tolist()
    assert tight.found.tolist() == plain.found.tolist()
    assert figures(TIoU(clipped=True)(scene)) == close(*figures(tight))


# Recall and precision of TIoU, and of SIoU, that the scripts at Yuliang-Liu/TIoU-metric
# 1da136386e2d25943d90182345def587fc5a1762 give on these cases: script.py for ic15, curved-tiou/script.py
# for the others, both through lib2to3 with Polygon3 3.0.9.1, iouPrecision set before its first use.
OFFICIAL = {
    "ic15_iou_pixellink": (
        (0.5524019582015249, 0.6176091824085898),
        (0.6164130994582678, 0.6257526918743022),
    ),
    "ic15_iou_quirks": ((0.6897294117647059, 0.7225), (0.7388235294117648, 0.785)),
    "ic15_e2e_perturb_strong_e2e": (
        (0.5468230387412613, 0.5357751430314948),
        (0.605230012253914, 0.5460741683107643),
    ),
    "totaltext_deteval_baseline": (
        (0.47887636020100693, 0.6194877465987363),
        (0.5441070434439029, 0.6235263945055907),
    ),
    "ctw1500_voc_ctd_tloc": (
        (0.5200556739014653, 0.5718706942984091),
        (0.6268375348894341, 0.5754451098266857),
    ),
}
READERS: dict[str, Callable[[Path], tuple[Truth, Found]]] = {
    "totaltext_deteval_baseline": total_text,
    "ctw1500_voc_ctd_tloc": ctw1500,
}


@pytest.mark.parametrize("name", OFFICIAL)
def test_official_figures(shared: Path, name: str) -> None:
    truth, found = READERS.get(name, ic15)(oracle(shared, name))
    scene = Scene.of(truth, found)
    curved = name in READERS
    tight, loose = OFFICIAL[name]
    assert figures((CURVED if curved else TIoU())(scene)) == close(*tight)
    assert figures(SIoU(single=curved)(scene)) == close(*loose)
    assert figures((CURVED if curved else TIoU())(Scene.of(shuffled(truth), found))) == close(
        *tight
    )


def test_official_figures_of_images(shared: Path) -> None:
    truth, found = ic15(oracle(shared, "ic15_iou_pixellink"))
    expected = {  # tiouRecall and tiouPrecision of the script's results, as above
        "10": (0.680700505436443, 0.7776124211577962),
        "100": (0.6472079355243754, 0.5960208706827596),
        "27": (0.2893393230101263, 0.721196306148203),
    }
    for name, both in expected.items():
        assert figures(TIoU()(Scene.of({name: truth[name]}, found))) == close(*both)
