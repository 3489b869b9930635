"""Result files and evaluators' ground truth: every format, its quirks, the eight oracles."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from strbench.errors import DATA, USAGE, StrbenchError
from strbench.metrics.detection import FirstCome, Scene
from strbench.submission_formats import FORMATS
from strbench.submissions import guess_format, natural, read_found, read_truth
from strbench.types import Detection, Region

QUAD = "10,10,110,10,110,40,10,40"
SQUARE = ((10.0, 10.0), (110.0, 10.0), (110.0, 40.0), (10.0, 40.0))


def zipped(path: Path, files: Mapping[str, str | bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as bundle:
        for name, data in files.items():
            bundle.writestr(name, data)
    return path


def truth(tmp_path: Path, format_: str, name: str, data: str | bytes) -> list[Region]:
    (regions,) = read_truth(zipped(tmp_path / "gt.zip", {name: data}), format_).values()
    return regions


def found(
    tmp_path: Path, format_: str, name: str, data: str | bytes, **options: bool
) -> list[Detection]:
    path = zipped(tmp_path / "det.zip", {name: data})
    (detections,) = read_found(path, format_, **options).values()
    return detections


def refused(tmp_path: Path, format_: str, name: str, data: str | bytes, **options: bool) -> str:
    with pytest.raises(StrbenchError) as caught:
        found(tmp_path, format_, name, data, **options)
    assert caught.value.exit_code == DATA
    assert caught.value.hint
    return caught.value.message


# --- opening ------------------------------------------------------------------------------------


def test_zip_folder_and_single_file_say_the_same(tmp_path: Path) -> None:
    folder = tmp_path / "det"
    folder.mkdir()
    (folder / "res_img_2.txt").write_text(QUAD)
    (folder / ".DS_Store").write_bytes(b"\0\1")
    whole = zipped(tmp_path / "det.zip", {"res_img_2.txt": QUAD})
    expected = {"2": [Detection(SQUARE)]}
    for path in (folder, whole, folder / "res_img_2.txt", str(whole)):
        assert read_found(path, "icdar-quad") == expected


def test_images_come_in_natural_order_and_empty_files_stay(tmp_path: Path) -> None:
    names = {f"res_img_{n}.txt": "" for n in (10, 9, 100, 1)}
    path = zipped(tmp_path / "det.zip", names)
    assert list(read_found(path, "icdar-quad")) == ["1", "9", "10", "100"]
    assert read_found(path, "icdar-quad")["9"] == []
    assert sorted(["IMG_0100", "IMG_0059", "b", "2", "01", "1"], key=natural) == [
        "01", "1", "2", "IMG_0059", "IMG_0100", "b",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["img_1.txt", "a/res_img_1.txt", "res_img_x.txt", "res/"])
def test_one_other_name_rejects_results_but_not_ground_truth(tmp_path: Path, name: str) -> None:
    path = zipped(tmp_path / "det.zip", {"res_img_1.txt": QUAD, name: ""})
    with pytest.raises(StrbenchError, match=re.escape(f"res_img_N.txt, found {name!r}")) as caught:
        read_found(path, "icdar-quad")
    assert caught.value.exit_code == DATA
    gt = zipped(tmp_path / "gt.zip", {"gt_img_1.txt": f"{QUAD},a", name: b"\xff"})
    assert list(read_truth(gt, "icdar-quad")) == ["1"]


def test_a_result_for_an_unknown_image_rejects_all(tmp_path: Path) -> None:
    path = zipped(tmp_path / "det.zip", {"res_img_1.txt": QUAD, "res_img_7.txt": "no line at all"})
    with pytest.raises(StrbenchError, match=r"res_img_7.txt: images .* not have \(1\): 7\."):
        read_found(path, "icdar-quad", known={"1": []})


def test_no_file_at_all_is_no_result(tmp_path: Path) -> None:
    (tmp_path / "det").mkdir()
    with zipfile.ZipFile(tmp_path / "det.zip", "w"):
        pass
    for name in ("det", "det.zip"):
        with pytest.raises(StrbenchError, match=f"{name} holds no file of results") as caught:
            read_found(tmp_path / name, "icdar-quad")
        assert "res_img_N.txt" in caught.value.hint
    (tmp_path / "det" / "res_img_1.txt").write_text("")
    assert read_found(tmp_path / "det", "icdar-quad") == {"1": []}


def test_two_files_of_one_image_are_an_error(tmp_path: Path) -> None:
    # the official pattern has no end, so that both names are image 1
    files = {"gt_img_1.txt": f"{QUAD},a", "gt_img_1.txt.bak": f"{QUAD},b"}
    with pytest.raises(StrbenchError, match="the image 1 has another file already"):
        read_truth(zipped(tmp_path / "gt.zip", files), "icdar-quad")


def test_what_is_no_archive_of_the_format(tmp_path: Path) -> None:
    with pytest.raises(StrbenchError, match="There is no file or folder"):
        read_found(tmp_path / "none.zip", "icdar-quad")
    with pytest.raises(StrbenchError, match="near names: icdar-quad") as caught:
        read_found(tmp_path, "icdar-quads")
    assert caught.value.exit_code == USAGE
    with pytest.raises(StrbenchError, match=r"expected ground truth in files gt_img_N\.txt"):
        read_truth(zipped(tmp_path / "gt.zip", {"1.txt": ""}), "icdar-quad")
    with pytest.raises(StrbenchError, match="parquet has no ground truth") as caught:
        read_truth(tmp_path, "parquet")
    assert caught.value.exit_code == USAGE
    with pytest.raises(StrbenchError, match="totaltext cannot have transcriptions"):
        read_found(tmp_path, "totaltext", transcriptions=True)
    (tmp_path / "empty.zip").write_bytes(b"")
    with pytest.raises(StrbenchError, match=r"empty\.zip is an empty or damaged zip"):
        read_found(tmp_path / "empty.zip", "icdar-quad")
    whole = zipped(tmp_path / "det.zip", {"res_img_1.txt": QUAD * 50}).read_bytes()
    (tmp_path / "cut.zip").write_bytes(whole[:-9])
    with pytest.raises(StrbenchError, match=r"cut\.zip: truncated or damaged"):
        read_found(tmp_path / "cut.zip", "icdar-quad")
    (tmp_path / "bad.zip").write_bytes(whole.replace(QUAD.encode(), QUAD[::-1].encode(), 1))
    with pytest.raises(StrbenchError, match=r"bad\.zip: member 'res_img_1\.txt' is damaged"):
        read_found(tmp_path / "bad.zip", "icdar-quad")


@pytest.mark.parametrize(
    ("offset", "bytes_", "what"),
    [(8, b"\x01", "is encrypted"), (24, b"\0\0\0\x7f", "unpacks to 2130706432 bytes")],
)
def test_zips_that_are_not_unpacked(tmp_path: Path, offset: int, bytes_: bytes, what: str) -> None:
    path = zipped(tmp_path / "det.zip", {"res_img_1.txt": QUAD})
    data = bytearray(path.read_bytes())
    at = data.index(b"PK\x01\x02") + offset  # flags and size of the only entry of the directory
    data[at : at + len(bytes_)] = bytes_
    path.write_bytes(data)
    with pytest.raises(StrbenchError, match=rf"det\.zip: res_img_1\.txt {what}") as caught:
        read_found(path, "icdar-quad")
    assert caught.value.exit_code == DATA


# --- guessing -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "data", "format_"),
    [
        ("res_img_1.txt", QUAD, "icdar-quad"),
        ("res_img_1.txt", "1,2,3,4,5,6,7,8,9,10", "icdar-quad-psenet"),
        ("res_img_1.txt", "1,2,3,4", "icdar-box"),
        ("res_img_1.txt", "1,2,3,4,-0.5", "td500-angle"),
        ("img3.txt", "1,2,5,2", "totaltext"),
        ("img3.txt", "1,2.5,5,2,5,9", "totaltext-xy"),
        ("res_img3.txt", "1,2,5,2,5,9,0.5,####EXIT", "totaltext-xy"),
        ("1001.txt", "1,2.5,5,2,5,9", "ctw1500"),
        ("res_IMG_0059.txt", QUAD, "td500"),
    ],
)
def test_guesses(tmp_path: Path, name: str, data: str, format_: str) -> None:
    path = zipped(tmp_path / "det.zip", {name: data})
    assert guess_format(path) == format_
    assert read_found(path) == read_found(path, format_)


@pytest.mark.parametrize(
    ("name", "data", "named"),
    [
        ("1001.txt", "1,2,5,2,5,9", "more than one format: ctw1500, ctw1500-psenet"),
        ("res_img_1.txt", QUAD + ",0.5", "icdar-quad with confidences, mlt17"),
        ("res_img_1.txt", "1,2,3,4,0.5", "icdar-box with confidences, td500-angle"),
        ("img3.txt", "1,2,5,2,5,9", "more than one format: totaltext, totaltext-xy"),
        ("results.csv", "1,2", "fit no format of results"),
    ],
)
def test_what_cannot_be_guessed_is_not(tmp_path: Path, name: str, data: str, named: str) -> None:
    with pytest.raises(StrbenchError, match=named) as caught:
        read_found(zipped(tmp_path / "det.zip", {name: data}))
    assert caught.value.exit_code == DATA


def test_every_format_is_named_once_and_reads_results() -> None:
    assert all(name == one.name for name, one in FORMATS.items())
    for one in FORMATS.values():
        reads = one.reader(confidences=False, transcriptions=False)
        assert (reads is None) != (one.founds is None), one.name
        assert one.like in ("", *FORMATS)


# --- the oracles --------------------------------------------------------------------------------

CASES: list[tuple[str, str, str, dict[str, bool], dict[str, str]]] = [
    # case, format, ground truth, options, our count -> key of expected.json's counts
    ("ic15_iou_quirks", "icdar-quad", "gt.zip", {}, {}),
    ("ic15_iou_pixellink", "icdar-quad", "gt.zip", {}, {}),
    ("ic15_e2e_perturb_strong_e2e", "icdar-quad", "gt.zip", {"transcriptions": True}, {}),
    ("ic13_deteval_perturb_13001", "icdar-box", "gt.zip", {}, {"care": "n_gt_care"}),
    ("totaltext_deteval_baseline", "totaltext", "gt", {}, {"care": "num_gt"}),
    ("totaltext_deteval_baseline", "totaltext", "gt_txt.zip", {}, {"care": "num_gt"}),
    ("totaltext_pascal_baseline", "totaltext", "gt", {}, {"care": "num_gt"}),
    ("ctw1500_voc_ctd_tloc", "ctw1500", "gt.zip", {}, {"all": "npos", "found": "nd"}),
    ("td500_psenet_mixnet", "td500", "gt.zip", {}, {"found": "n_det"}),
]
USUAL = {"all": "n_gt", "ignored": "n_gt_dontcare", "found": "n_det", "images": "n_images"}


@pytest.mark.parametrize(("case", "format_", "gt", "options", "keys"), CASES)
def test_oracles_count_the_same(
    shared: Path,
    case: str,
    format_: str,
    gt: str,
    options: dict[str, bool],
    keys: dict[str, str],
) -> None:
    folder = shared / "oracles" / "detection" / case
    expected = json.loads((folder / "expected.json").read_text())["counts"]
    regions = read_truth(folder / gt, format_)
    for results in ("det.zip", "det"):
        detections = read_found(folder / results, format_, known=regions, **options)
        ignored = sum(region.ignored for some in regions.values() for region in some)
        ours = {
            "images": len(regions),
            "all": sum(map(len, regions.values())),
            "ignored": ignored,
            "care": sum(map(len, regions.values())) - ignored,
            "found": sum(map(len, detections.values())),
        }
        pairs = {**USUAL, **keys}.items()
        compared = {key: ours[name] for name, key in pairs if key in expected}
        assert len(compared) >= (1 if case.startswith("td500") else 2)
        assert compared == {key: expected[key] for key in compared}


def test_oracle_of_td500_and_the_two_ground_truths_of_totaltext(shared: Path) -> None:
    folder = shared / "oracles" / "detection"
    regions = read_truth(folder / "td500_psenet_mixnet" / "gt", "td500")
    # "200 images, 651 lines (69 marked difficult=1)"
    every = [region for some in regions.values() for region in some]
    assert (len(regions), len(every), sum(r.ignored for r in every)) == (200, 651, 69)
    case = folder / "totaltext_pascal_baseline"
    mat, txt = read_truth(case / "gt", "totaltext"), read_truth(case / "gt_txt", "totaltext")
    assert list(mat) == list(txt)
    for image in mat:
        assert [(r.polygon, r.ignored) for r in mat[image]] == [
            (r.polygon, r.ignored) for r in txt[image]
        ]


@pytest.mark.parametrize(
    ("format_", "precision", "recall", "counts"),
    [
        ("icdar-quad", 0.8125, 0.7647058823529411, (13, 16, 17)),
        ("icdar-quad-psenet", 0.8, 0.75, (12, 15, 16)),
    ],
)
def test_oracle_of_quirks_is_scored_to_the_last_digit(
    shared: Path, format_: str, precision: float, recall: float, counts: tuple[int, int, int]
) -> None:
    folder = shared / "oracles" / "detection" / "ic15_iou_quirks"
    regions = read_truth(folder / "gt.zip", format_)
    outcome = FirstCome()(Scene.of(regions, read_found(folder / "det.zip", format_)))
    assert (outcome.recalled.sum(), outcome.founds.sum(), outcome.truths.sum()) == counts
    assert (outcome.precision, outcome.recall) == (precision, recall)


def test_oracle_of_pixellink_is_scored_to_the_last_digit(shared: Path) -> None:
    folder = shared / "oracles" / "detection" / "ic15_iou_pixellink"
    expected = json.loads((folder / "expected.json").read_text())
    for format_ in ("icdar-quad", "icdar-quad-psenet"):  # alike on real data
        regions = read_truth(folder / "gt.zip", format_)
        outcome = FirstCome()(Scene.of(regions, read_found(folder / "det.zip", format_)))
        assert outcome.precision == expected["precision"]
        assert outcome.recall == expected["recall"]
