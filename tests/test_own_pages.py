"""A user's own photographs: `strbench data import` of the common detection layouts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from layouts import picture
from running import Run

from strbench.datasets import prepare
from strbench.datasets.comparing import diff
from strbench.errors import StrbenchError
from strbench.store import find_split

QUAD = "1,1,9,1,9,5,1,5"


def photographs(folder: Path, *names: str) -> Path:
    for shade, name in enumerate(names, 1):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(shade))
    return folder


def texts(name: str) -> dict[str, list[str | None]]:
    """Id -> texts of a prepared split."""
    split = find_split(name)
    return {id_: [r.text for r in split.regions(i)] for i, id_ in enumerate(split.ids)}


def test_a_text_file_per_photograph_beside_or_in_a_folder(run: Run, tmp_path: Path) -> None:
    near = photographs(tmp_path / "near", "b.png", "img_1.png", "img_10.png", "img_2.png")
    (near / "img_1.txt").write_text(f"{QUAD},one\n{QUAD},###\n")
    (near / "gt_img_2.txt").write_text(f"{QUAD},two\n")
    (near / "img_10.png.txt").write_text(f"{QUAD},1,000\n")
    (near / "poly_gt_b.txt").write_text("")
    outcome = run("data", "import", "mine/near", near)
    assert outcome.code == 0, outcome.err
    assert texts("mine/near") == {
        "b": [], "img_1": ["one", "###"], "img_2": ["two"], "img_10": ["1,000"],
    }  # fmt: skip
    assert find_split("mine/near").manifest.task == "detection"
    assert find_split("mine/near").manifest.counts["ignored"] == 1

    apart = photographs(tmp_path / "apart", "images/train/1.png", "images/test/1.png")
    for part in ("train", "test"):
        (apart / "labels" / part).mkdir(parents=True)
        (apart / "labels" / part / "1.txt").write_text(f"{QUAD},{part}\n{QUAD},2,9,3,3,x\n")
    (split,) = prepare("mine/apart", apart)
    assert texts("mine/apart") == {
        "images/test/1": ["test", "x"],
        "images/train/1": ["train", "x"],
    }
    assert split.manifest.notes[0] == "read from a file per photograph (polygon)"


def test_one_file_for_all_photographs(tmp_path: Path, home: Path) -> None:
    points = [[1, 1], [9, 1], [9, 5], [1, 5]]
    flat = [value for point in points for value in point]
    files = {
        "mmocr.json": json.dumps(
            {
                "data_list": [
                    {"img_path": f"imgs/{i}.png", "instances": [{"polygon": flat, "text": str(i)}]}
                    for i in (1, 2)
                ]
            }
        ),
        "paddle.txt": "".join(
            f"imgs/{i}.png\t{json.dumps([{'transcription': str(i), 'points': points}])}\n"
            for i in (1, 2)
        ),
        "lsvt.json": json.dumps(
            {str(i): [{"transcription": str(i), "points": points}] for i in (1, 2)}
        ),
        "test.xml": "<tagset>"
        + "".join(
            f"<image><imageName>imgs/{i}.png</imageName><taggedRectangles><taggedRectangle x='1' "
            f"y='1' width='8' height='4'><tag>{i}</tag></taggedRectangle></taggedRectangles></image>"
            for i in (1, 2)
        )
        + "</tagset>",
    }
    for name, content in files.items():
        folder = photographs(tmp_path / name.partition(".")[0], "imgs/1.png", "imgs/2.png")
        (folder / name).write_text(content)
        (split,) = prepare(f"mine/{name.partition('.')[0]}", folder)
        assert split.manifest.task == "detection", name
        assert texts(split.name) == {"1": ["1"], "2": ["2"]}
        assert split.regions(0)[0].polygon == ((1, 1), (9, 1), (9, 5), (1, 5))
    with pytest.raises(StrbenchError, match="these are detection labels"):
        prepare("mine/words", tmp_path / "paddle", task="recognition")
    (folder / "train.xml").write_text(files["test.xml"])
    with pytest.raises(StrbenchError, match="several files may hold the regions") as caught:
        prepare("mine/two", folder)
    assert caught.value.hint.endswith("test.xml")
    (split,) = prepare("mine/two", folder / "train.xml")
    assert split.n == 2


def test_words_are_no_photographs(tmp_path: Path, home: Path) -> None:
    folder = photographs(tmp_path / "words", "w_1.png", "w_2.png")
    (folder / "gt.txt").write_text('w_1.png, "one"\nw_2.png, "1,2"\n')
    (folder / "coords.txt").write_text(f"w_1.png,{QUAD}\nw_2.png,{QUAD}\n")
    (split,) = prepare("mine/words", folder)
    assert (split.manifest.task, split.labels) == ("recognition", ["one", "1,2"])
    with pytest.raises(StrbenchError, match="no file with regions was found beside 2 images"):
        prepare("mine/none", folder, task="detection")


@pytest.mark.parametrize(
    ("names", "labels", "message"),
    [
        (("1.png", "2.png"), {"1.txt": f"{QUAD},a\n"}, "photographs without an annotation file"),
        (("1.png",), {"1.txt": f"{QUAD},a\n", "2.txt": f"{QUAD},a\n"}, "no photograph of its own"),
        (("a/1.png", "b/1.png"), {"1.txt": f"{QUAD},a\n"}, "2 photographs with the name '1'"),
        (
            ("1.png", "2.png"),
            {"1.txt": f"{QUAD},a\n", "2.gt": "0 0 1 1 9 9 0.1\n"},
            "annotation files of several layouts",
        ),
        (("1.png",), {"1.txt": f"{QUAD},a\n1,2,3\n"}, "1.txt, line 2: expected 8 coordinates"),
        (("1.png",), {"1.txt": "1,nan,9,1,9,5,1,5,a\n"}, "1.txt, line 1: nan is no coordinate"),
        (
            ("1.png", "2.png"),
            {"1.txt": "1,1,9,1,9,5,1,-INF,a\n", "2.txt": f"{QUAD},a\n"},
            "1.txt, line 1: -INF is no coordinate",
        ),
        (("1.png",), {"1.txt": '1 1 nan 5 "a"\n'}, "1.txt, line 1: nan is no coordinate"),
        (("1.png",), {"1.gt": "0 0 1 1 9 nan 0.1\n"}, "1.gt, line 1: nan is no coordinate"),
    ],
)
def test_what_does_not_fit_is_named(
    tmp_path: Path, home: Path, names: tuple[str, ...], labels: dict[str, str], message: str
) -> None:
    folder = photographs(tmp_path / "own", *names)
    for name, content in labels.items():
        (folder / name).write_text(content)
    with pytest.raises(StrbenchError) as caught:
        prepare("mine/test", folder)
    assert message in caught.value.message


def test_an_image_is_no_label_file(run: Run, tmp_path: Path) -> None:
    folder = photographs(tmp_path / "own", "1.png")
    outcome = run("data", "import", "mine/test", folder / "1.png")
    assert outcome.code == 2
    assert f"error: {folder / '1.png'} is an image; expected a folder of images" in outcome.err
    assert outcome.last == f"hint: Name the folder that it lies in: {folder}"


def test_an_unknown_task(run: Run, tmp_path: Path) -> None:
    outcome = run("data", "import", "mine/test", tmp_path, "--task", "detecting")
    assert outcome.code == 2
    assert "near names: detection" in outcome.err


def test_diff_says_why(tmp_path: Path, run: Run) -> None:
    def words(name: str, rows: dict[str, str]) -> None:
        folder = photographs(tmp_path / name, *rows)
        for shade, path in enumerate(rows, 1):
            (folder / path).write_bytes(picture(shade if "other" not in rows[path] else 77))
        lines = "".join(f"{path}\t{label}\n" for path, label in rows.items())
        (folder / "labels.tsv").write_text(lines)
        prepare(f"mine/{name}", folder)

    full = {"1.png": "Word", "2.png": "two!", "3.png": "ab", "4.png": "there", "5.png": "Case"}
    words("full", full)
    words("some", {"1.png": "word", "4.png": "other"})
    found = diff(find_split("mine/full"), find_split("mine/some"))
    assert [(p.label_a, p.label_b, p.why) for p in found.relabelled] == [("Word", "word", "case")]
    assert found.why_only_a == {
        "the label has other signs than 0-9 A-Z a-z": ["2.png"],
        "the label is shorter than 3": ["3.png"],
        "mine/some has another image under its id": ["4.png"],
        "mine/some does not list it, and the label shows no reason": ["5.png"],
    }
    assert found.why_only_b == {"mine/full has another image under its id": ["4.png"]}
    text = run("data", "diff", "mine/full", "mine/some").out
    assert "| the label is shorter than 3 | 1 |" in text
    assert "| 1.png | Word | word | case |" in text


def test_diff_of_photographs(tmp_path: Path, run: Run) -> None:
    rows = {
        "a": [f"{QUAD},one", f"{QUAD},two", f"{QUAD},x", f"{QUAD},same", f"{QUAD},1\n{QUAD},2"],
        "b": [f"{QUAD},one\n{QUAD},1", f"{QUAD},###", f"{QUAD},y", f"{QUAD},same", f"{QUAD},2\n{QUAD},1"],
    }  # fmt: skip
    for name, files in rows.items():
        folder = photographs(tmp_path / name, *(f"{i}.png" for i in range(5)))
        for i, content in enumerate(files):
            (folder / f"{i}.txt").write_text(content + "\n")
        prepare(f"mine/{name}", folder)
    found = diff(find_split("mine/a"), find_split("mine/b"))
    assert found.same == 1
    assert {pair.a: pair.why for pair in found.relabelled} == {
        "0": "how many regions", "1": "what is ignored", "2": "texts",
        "4": "order or tags of the regions",
    }  # fmt: skip
    assert "| 0 | 1 regions, 0 ignored | 2 regions, 0 ignored | how many regions |" in (
        run("data", "diff", "mine/a", "mine/b").out
    )


def test_real_photographs_in_mmocr_json(shared: Path, run: Run) -> None:
    outcome = run("data", "import", "toy/test", shared / "real" / "detection" / "mmocr_det_toy")
    assert outcome.code == 0, outcome.err
    split = find_split("toy/test")
    assert (split.n, split.manifest.task) == (10, "detection")
    assert split.manifest.counts == {"regions": 82, "ignored": 61, "characters": 0}
    assert set(split.ids) == {f"img_{i}" for i in range(1, 11)}
    split.verify()
