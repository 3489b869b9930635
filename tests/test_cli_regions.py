"""score and view of found regions from the command line, and the tables they lead to."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import pytest
from PIL import Image
from running import Run

from strbench.region_protocols import REGION_PROTOCOLS
from strbench.region_scoring import score_regions
from strbench.store import split_directory, write_split
from strbench.submission_formats import FORMATS
from strbench.submissions import read_found, read_truth, write_found
from strbench.types import Region, Sample

TRUTH = {
    1: "10,10,60,10,60,30,10,30,HELLO\n100,10,160,10,160,30,100,30,###\n",
    2: "10,10,60,10,60,30,10,30,WORLD\n100,10,160,10,160,30,100,30,again\n",
    3: "10,10,60,10,60,30,10,30,alone\n",
}
FOUND = {
    1: "10,10,60,10,60,30,10,30\n100,10,160,10,160,30,100,30\n",  # a hit, and one on ###
    2: "12,10,60,10,60,30,12,30\n200,200,240,200,240,220,200,220\n",  # a hit, and a false one
}


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    folder = tmp_path / "gt"
    folder.mkdir()
    for number, text in TRUTH.items():
        (folder / f"gt_img_{number}.txt").write_text(text)
    with zipfile.ZipFile(tmp_path / "mine.zip", "w") as archive:
        for number, text in FOUND.items():
            archive.writestr(f"res_img_{number}.txt", text)
    return str(tmp_path / "mine.zip"), str(folder)


def test_a_zip_and_a_folder_become_figures_a_record_and_a_table(
    run: Run, home: Path, files: tuple[str, str]
) -> None:
    outcome = run("score", *files, "--protocol", "ic15-iou")
    assert outcome.code == 0, outcome.err
    assert "2/3" in outcome.out  # precision: the one on ### does not count
    assert "2/4" in outcome.out  # recall: of the image without a result too
    assert "1 x image without a result" in outcome.err
    document = json.loads(run("score", *files, "--protocol", "ic15-iou", "--json").out)
    (score,) = document["scores"]
    assert score["figures"]["hmean"]["value"] == pytest.approx(2 * 2 / 3 * 0.5 / (2 / 3 + 0.5))
    assert score["figures"]["recall"]["low"] <= 0.5 <= score["figures"]["recall"]["high"]
    assert score["counts"]["truth ignored"] == score["counts"]["found ignored"] == 1
    assert score["signature"].startswith("prf|ic15-iou|labels:icdar-quad|images:3|file/gt-")
    table = run("report", "--markdown").out
    assert "F (%), protocol ic15-iou" in table
    assert "| mine | 57.1 |" in table
    assert "| mine | 66.7 |" in run("report", "--metric", "precision", "--markdown").out


def test_two_results_are_compared_image_by_image(
    run: Run, home: Path, tmp_path: Path, files: tuple[str, str]
) -> None:
    with zipfile.ZipFile(tmp_path / "less.zip", "w") as archive:
        archive.writestr("res_img_1.txt", FOUND[1])
    table = tmp_path / "images.csv"
    outcome = run(
        "score", *files, "--protocol", "ic15-iou",
        "--against", str(tmp_path / "less.zip"), "--per-image", str(table),
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    # precision 2/3 and recall 2/4 against 1/1 and 1/4: F 0.5714 - 0.4
    assert "F of mine - F of less: +17.14 [" in outcome.err
    lines = table.read_text().splitlines()
    assert lines[0].startswith("image,precision,recall,hmean")
    assert lines[1:] == [
        "1,1.0,1.0,1.0,1.0,1.0,1.0,1.0",
        "2,0.5,0.5,0.5,1.0,2.0,1.0,2.0",
        "3,,0.0,0.0,0.0,0.0,0.0,1.0",
    ]


def test_other_images_are_refused(
    run: Run, home: Path, tmp_path: Path, files: tuple[str, str]
) -> None:
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("res_img_9.txt", FOUND[1])
    outcome = run("score", str(tmp_path / "other.zip"), files[1], "--protocol", "ic15-iou")
    assert outcome.code != 0
    assert "no image of the ground truth" in outcome.err
    assert run("score", files[0], "--protocol", "ic15-iou").code == 2
    assert "no such file" in run("score", files[0], "gone.zip", "--protocol", "ic15-iou").err
    words = run("eval", "--data", "cute80/test", "--protocol", "ic15-iou")
    assert "a protocol of detection, and recognition is asked for" in words.err
    assert "near names" in run("score", *files, "--protocol", "ic15-iuo").err


def test_a_single_file_needs_no_format(
    run: Run, home: Path, tmp_path: Path, files: tuple[str, str]
) -> None:
    found = read_found(files[0], "icdar-quad")
    write_found(tmp_path / "mine.parquet", found)
    outcome = run("score", str(tmp_path / "mine.parquet"), files[1], "--protocol", "ic15-iou")
    assert outcome.code == 0, outcome.err
    assert "2/3" in outcome.out


def test_a_threshold_is_picked_over_all_images(
    home: Path, files: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    protocol = REGION_PROTOCOLS["mmocr-hmean-iou"]
    truth = read_truth(files[1], "icdar-quad")
    found = {
        image: [one._replace(confidence=0.35 if image == "1" else 0.75) for one in some]
        for image, some in read_found(files[0], "icdar-quad").items()
    }
    whole = score_regions(truth.items(), found.get, protocol).outcome.hmean
    monkeypatch.setattr("strbench.region_scoring._TOGETHER", 1)
    assert score_regions(truth.items(), found.get, protocol).outcome.hmean == whole


def test_every_protocol_explains_itself_and_names_a_format(run: Run, home: Path) -> None:
    listed = json.loads(run("list", "protocols", "--json").out)
    assert {row["name"] for row in listed} >= set(REGION_PROTOCOLS)
    for name, entry in REGION_PROTOCOLS.items():
        assert entry.files in FORMATS, name
        assert callable(entry.rule())
        shown = run("show", "protocol", name)
        assert shown.code == 0, name
        assert entry.source in shown.out


def test_the_lexicon_is_a_step_of_its_own(run: Run, home: Path, tmp_path: Path) -> None:
    gt, det = tmp_path / "gt", tmp_path / "det"
    for folder in (gt, det):
        folder.mkdir()
    (gt / "gt_img_1.txt").write_text(
        "10,10,60,10,60,30,10,30,HELLO\n100,10,160,10,160,30,100,30,WORLD\n"
    )
    (det / "res_img_1.txt").write_text(
        "10,10,60,10,60,30,10,30,hallo\n100,10,160,10,160,30,100,30,zzzzzz\n"
    )
    (tmp_path / "words.txt").write_text("HELLO\nWORLD\n")
    command = ("score", str(det), str(gt), "--protocol", "ic15-e2e")
    assert "0/2" in run(*command).out
    outcome = run(*command, "--lexicon", f"weak={tmp_path / 'words.txt'}")
    assert outcome.code == 0, outcome.err
    assert "1/1" in outcome.out  # the other one is farther than any word, and is dropped
    assert "1 x text changed by the lexicon" in outcome.err
    assert "1 x region dropped by the lexicon" in outcome.err
    wrong = run(*command, "--lexicon", "medium=words.txt")
    assert wrong.code == 2
    assert "strong, weak, generic, full" in wrong.err


def test_the_lexicons_of_a_split(run: Run, home: Path, tmp_path: Path) -> None:
    word, other = "10,10,60,10,60,30,10,30", "100,10,160,10,160,30,100,30"
    outline = ((10.0, 10.0), (60.0, 10.0), (60.0, 30.0), (10.0, 30.0))
    picture = io.BytesIO()
    Image.new("RGB", (200, 40)).save(picture, "PNG")
    write_split(
        split_directory("mine/test"),
        [
            Sample(f"img_{n}", picture.getvalue(), regions=(Region(outline, text),))
            for n, text in ((1, "HELLO"), (2, "HELPS"))
        ],
        dataset="mine",
        split="test",
        labels="custom",
        task="detection",
        lexicons={
            "strong": {"img_1": ["HELLO"], "img_2": ["HELPS"]},
            "weak": {"*": ["HELLO", "HELPS"]},
            "generic": {"img_1": ["HELLO"]},
        },
    )
    det = tmp_path / "det"
    det.mkdir()
    (det / "res_img_1.txt").write_text(f"{word},helo\n{other},zzzzzz\n")
    (det / "res_img_2.txt").write_text(f"{word},helo\n")
    command = ("score", str(det), "mine/test", "--protocol", "ic15-e2e", "--json")

    used: list[list[str]] = []  # what each signature says of a lexicon

    def figures(*more: str) -> tuple[float, float, dict[str, int]]:
        outcome = run(*command, *more)
        assert outcome.code == 0, outcome.err
        document = json.loads(outcome.out)
        tokens = document["scores"][0]["signature"].split("|")
        used.append([token for token in tokens if token.startswith("lexicon:")])
        both = document["scores"][0]["figures"]
        return both["precision"]["part"], both["precision"]["whole"], document["failures"]

    assert figures()[:2] == (0, 3)
    said = {"text changed by the lexicon": 2, "region dropped by the lexicon": 1}
    # HELO is one edit from HELLO and two from HELPS, which is the only word of the second image
    assert figures("--lexicon", "strong") == (2, 2, said)
    assert figures("--lexicon", "weak") == (1, 2, said)
    words = tmp_path / "words.txt"
    words.write_text("HELPS\n")
    assert figures("--lexicon", f"weak={words}") == (1, 2, said)
    words.write_text("HELLO\nHELPS\n")
    assert figures("--lexicon", f"weak={words}") == (1, 2, said)
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "voc_img_2.txt").write_text("HELPS\n")
    (tmp_path / "lists" / "voc_img_1.txt").write_text("HELLO\n")
    assert figures("--lexicon", f"strong={tmp_path / 'lists'}") == (2, 2, said)
    plain, strong, weak, other, again, files = used
    assert plain == []
    assert [token.partition("@")[0] for (token,) in (strong, weak)] == [
        "lexicon:strong",
        "lexicon:weak",
    ]
    assert again == weak != other  # the same words, wherever they are from
    assert files == strong

    lacking = run(*command, "--lexicon", "full")
    assert lacking.code == 2
    assert "mine/test has no lexicon 'full'" in lacking.err
    assert "strong, weak, generic" in lacking.err
    part = run(*command, "--lexicon", "generic")
    assert part.code == 3
    assert "image 'img_2' has no list in the lexicon 'generic', which is of 1 images" in part.err
    assert run(*command, "--lexicon", "weak=").code == 2
    (tmp_path / "gt").mkdir()
    (tmp_path / "gt" / "gt_img_1.txt").write_text(f"{word},HELLO\n")
    (tmp_path / "gt" / "gt_img_2.txt").write_text(f"{word},HELPS\n")
    files = ("score", str(det), str(tmp_path / "gt"), "--protocol", "ic15-e2e")
    refused = run(*files, "--lexicon", "strong")
    assert refused.code == 2
    assert "files brings no lexicon" in refused.err


def test_formats_by_name_serve_any_protocol(run: Run, home: Path, tmp_path: Path) -> None:
    row = "10,10,60,10,60,30,10,30"
    (tmp_path / "gt").mkdir()
    (tmp_path / "gt" / "poly_gt_img7.txt").write_text(f"{row},HELLO\n100,10,160,10,160,30,###\n")
    (tmp_path / "det").mkdir()
    (tmp_path / "det" / "img7.txt").write_text(f"{row},0.9,####HELLO\n200,200,240,200,240,220\n")
    files = (str(tmp_path / "det"), str(tmp_path / "gt"), "--format", "totaltext-xy")
    for protocol in ("totaltext-deteval", "totaltext-pascal", "iou-0.5"):
        outcome = run("score", *files, "--protocol", protocol, "--truth-format", "totaltext-xy")
        assert outcome.code == 0, outcome.err
        assert "1/2" in outcome.out, protocol  # precision
        assert "1/1" in outcome.out, protocol
    points = [[10, 10], [60, 10], [60, 30], [10, 30]]
    entry = {"points": points, "transcription": "HELP", "confidence": 0.9}
    (tmp_path / "found.json").write_text(json.dumps({"res_7": [entry]}))
    entry = {"points": points, "transcription": "HELLO", "illegibility": False}
    (tmp_path / "gt.json").write_text(json.dumps({"gt_7": [entry], "gt_8": [entry]}))
    outcome = run(
        "score", str(tmp_path / "found.json"), str(tmp_path / "gt.json"),
        "--truth-format", "rrc-json", "--protocol", "mlt19-e2e", "--json",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    (score,) = json.loads(outcome.out)["scores"]
    # HELLO to HELP: 2 of 5; the one of image 8 is not found: 1
    assert score["figures"]["one_minus_ned"]["value"] == pytest.approx(1 - (2 / 5 + 1) / 2)


def test_mlt19_task_4_from_files_as_its_script_takes_them(
    run: Run, home: Path, tmp_path: Path
) -> None:
    gt, det = tmp_path / "gt", tmp_path / "det"
    for folder in (gt, det):
        folder.mkdir()
    (gt / "gt_img_1.txt").write_text("10,10,60,10,60,30,10,30,Latin,HELLO\n")
    (gt / "gt_img_2.txt").write_text('10,10,60,10,60,30,10,30,Latin,"WORLD"\n')
    (det / "res_img_1.txt").write_text("10,10,60,10,60,30,10,30,0.9,help\n")
    command = ("score", str(det), str(gt), "--protocol", "mlt19-e2e", "--json")
    (score,) = json.loads(run(*command).out)["scores"]
    # HELLO to HELP: 2 of 5; WORLD is not found: 1. The script is no part of the text.
    assert score["figures"]["one_minus_ned"]["value"] == pytest.approx(1 - (2 / 5 + 1) / 2)
    # quotes are, unlike in ic15-e2e
    (det / "res_img_2.txt").write_text("10,10,60,10,60,30,10,30,0.9,WORLD\n")
    (score,) = json.loads(run(*command).out)["scores"]
    assert score["figures"]["one_minus_ned"]["value"] == pytest.approx(1 - (2 / 5 + 2 / 7) / 2)
    (gt / "gt_img_2.txt").write_text("10,10,60,10,60,30,10,30,WORLD\n")
    outcome = run(*command)
    assert outcome.code == 3
    assert "gt_img_2.txt, line 1: expected x1,y1,x2,y2,x3,y3,x4,y4,script," in outcome.err


def test_mlt19_task_4_takes_detections_in_the_order_of_the_file(
    run: Run, home: Path, tmp_path: Path
) -> None:
    gt, det = tmp_path / "gt", tmp_path / "det"
    for folder in (gt, det):
        folder.mkdir()
    word = "0,0,30,0,30,10,0,10"
    (gt / "gt_img_1.txt").write_text(f"{word},Latin,EXIT\n")
    (det / "res_img_1.txt").write_text(f"{word},0.3,EXIT\n{word},0.9,EXLT\n")
    command = ("score", str(det), str(gt), "--protocol", "mlt19-e2e", "--json")
    (score,) = json.loads(run(*command).out)["scores"]
    shown = {name: figure["value"] for name, figure in score["figures"].items()}
    # what the official script prints: the first line is matched, the surer second one is too much
    wanted = {"precision": 0.5, "recall": 1.0, "one_minus_ned": 0.5, "average_precision": 0.5}
    assert {name: shown[name] for name in wanted} == wanted


def test_a_page_of_regions(run: Run, home: Path, tmp_path: Path, files: tuple[str, str]) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number in TRUTH:
        Image.new("RGB", (260, 240), "gray").save(pictures / f"img_{number}.jpg")
    command = ("view", files[0], "--data", files[1], "--protocol", "ic15-iou")
    page = tmp_path / "page"
    missing = run(*command, "-o", str(page))
    assert missing.code == 2
    assert "--images" in missing.err
    outcome = run(*command, "--images", str(pictures), "-o", str(page))
    assert outcome.code == 0, outcome.err
    assert (page / "index.html").is_file()
    assert len(list((page / "images").iterdir())) == 3
    assert "HELLO" in (page / "data.js").read_text()


def test_a_page_of_words(run: Run, home: Path, tmp_path: Path) -> None:
    assert run("data", "draw", "rendered_demo_regular/test", "-n", "8").code == 0
    from strbench.store import find_split

    split = find_split("rendered_demo_regular/test")
    lines = [f"{id_}\t{label}" for id_, label in zip(split.ids, split.labels, strict=True)]
    (tmp_path / "one.tsv").write_text("\n".join(lines))
    (tmp_path / "two.tsv").write_text("\n".join([lines[0] + "x", *lines[1:]]))
    outcome = run(
        "view", str(tmp_path / "one.tsv"), str(tmp_path / "two.tsv"),
        "--data", "rendered_demo_regular/test", "-o", str(tmp_path / "page"),
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    assert f"{split.labels[0]}x" in (tmp_path / "page" / "data.js").read_text()


def test_one_image_has_no_interval_and_no_test(run: Run, home: Path, tmp_path: Path) -> None:
    word, other = "10,10,60,10,60,30,10,30", "100,10,160,10,160,30,100,30"
    for folder in ("gt", "half", "all"):
        (tmp_path / folder).mkdir()
    gt, half, whole = (str(tmp_path / folder) for folder in ("gt", "half", "all"))
    (tmp_path / "gt" / "gt_img_1.txt").write_text(f"{word},HELLO\n{other},WORLD\n")
    (tmp_path / "half" / "res_img_1.txt").write_text(f"{word}\n")
    (tmp_path / "all" / "res_img_1.txt").write_text(f"{word}\n{other}\n")
    command = ("score", whole, gt, "--protocol", "ic15-iou")
    records = home / "records"
    for against, message in ((half, "is of one image"), (tmp_path / "nosuch", "nosuch")):
        outcome = run(*command, "--against", against)
        assert outcome.code in (2, 3)
        assert message in outcome.err
        assert not outcome.out
        assert not records.exists()
    assert run("score", half, gt, "--protocol", "ic15-iou").code == 0
    outcome = run(*command)
    assert "| 100.00 1/1 |" not in outcome.out
    assert "100.00 2/2" in outcome.out
    table = run("report", "--markdown").out
    assert "| 100.0 |" in table
    assert "**100.0**" not in table  # nobody leads on one photograph


def test_a_protocol_that_no_task_has(run: Run, files: tuple[str, str], tmp_path: Path) -> None:
    for command in (("score", *files), ("view", files[0], "--data", files[1], "-o", str(tmp_path))):
        outcome = run(*command, "--protocol", "totaltext-detteval")
        assert outcome.code == 2
        assert (
            "No protocol is named 'totaltext-detteval'; near names: totaltext-deteval"
            in outcome.err
        )


def test_options_of_another_kind_are_refused(run: Run, files: tuple[str, str]) -> None:
    outcome = run("score", *files, "--protocol", "ic15-iou", "--recognizer", "rapidocr")
    assert outcome.code == 2
    assert "--recognizer is for images, and these are scored as regions" in outcome.err
    outcome = run("score", files[0], "cute80/test", "--lexicon", "strong")
    assert "--lexicon is for regions, and these are scored as words" in outcome.err
