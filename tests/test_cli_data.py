"""The verbs of `strbench data`: exit codes, what goes to stdout and what to stderr."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

from strbench.cli.data import app
from strbench.errors import StrbenchError
from strbench.store import find_split, prepared_splits, split_directory

VERBS = ("fetch", "draw", "import", "labels", "crop", "verify", "info", "diff", "overlap")


def run(*words: str | Path) -> Any:
    """The outcome of a verb; a StrbenchError is raised as the command line's main would see it."""
    result = CliRunner().invoke(app, [str(word) for word in words])
    if isinstance(result.exception, StrbenchError):
        raise result.exception
    return result


def folder(path: Path, labels: dict[int, str]) -> Path:
    """Images of the shades named, with labels.tsv."""
    path.mkdir()
    for shade in labels:
        Image.new("RGB", (6, 4), (shade, 0, 0)).save(path / f"{shade}.png")
    rows = "".join(f"{shade}.png\t{label}\n" for shade, label in labels.items())
    (path / "labels.tsv").write_text(rows)
    return path


@pytest.mark.parametrize("verb", VERBS)
def test_help_has_two_examples(verb: str) -> None:
    result = run(verb, "--help")
    assert result.exit_code == 0
    assert result.stdout.count(f"strbench data {verb} ") >= (1 if verb == "verify" else 2)


def test_nothing_heavy_is_imported_for_help() -> None:
    code = (
        "import sys, strbench.cli.data as d; d.dataset_names('ic15');"
        "print(sorted({'torch','polars','pandas','lmdb','numpy','PIL','scipy','rich'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() in ("[]", "['rich']"), found.stdout


def test_import_prints_a_table_and_names_what_was_written(tmp_path: Path, home: Path) -> None:
    source = folder(tmp_path / "words", {1: "one", 2: "two"})
    result = run("import", "mine/test", source)
    assert result.exit_code == 0
    assert "| mine/test | 2 | custom |" in result.stdout
    last = result.stderr.strip().splitlines()[-1]
    assert last == f"prepared: {split_directory('mine/test')}"
    assert "split of your own" in result.stderr
    assert find_split("mine/test").labels == ["one", "two"]


def test_import_json_is_one_document(tmp_path: Path, home: Path) -> None:
    source = folder(tmp_path / "words", {1: "one", 2: "two"})
    document = json.loads(run("import", "mine/test", source, "--json").stdout)
    assert document[0]["n"] == 2
    assert document[0]["fingerprint"] == find_split("mine/test").fingerprint


def test_import_to_another_folder(tmp_path: Path, home: Path) -> None:
    source = folder(tmp_path / "words", {1: "one"})
    run("import", "mine", source, "--split", "train", "--data-dir", tmp_path / "elsewhere")
    assert prepared_splits() == []
    assert prepared_splits(root=tmp_path / "elsewhere") == ["mine/train"]
    result = run("verify", "--data-dir", tmp_path / "elsewhere")
    assert "| mine/train | 1 | custom | ok |" in result.stdout


def test_import_of_a_misspelt_dataset_is_refused(tmp_path: Path, home: Path) -> None:
    with pytest.raises(StrbenchError, match="near names: cute80") as caught:
        run("import", "cute8", tmp_path)
    assert caught.value.exit_code == 2


def test_wrong_count_names_the_right_dataset(tmp_path: Path, home: Path) -> None:
    source = folder(tmp_path / "words", {1: "one", 2: "two"})
    with pytest.raises(StrbenchError, match=r"expected 288 samples \(cute80/test\), found 2"):
        run("import", "cute80", source)
    assert prepared_splits() == []


def test_verify_finds_a_changed_store(tmp_path: Path, home: Path) -> None:
    run("import", "mine/test", folder(tmp_path / "a", {1: "one"}))
    run("import", "mine/other", folder(tmp_path / "b", {2: "two"}))
    manifest = split_directory("mine/test") / "manifest.json"
    content = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({**content, "fingerprint": "0" * 64}))
    with pytest.raises(StrbenchError, match="expected fingerprint 000000000000") as caught:
        run("verify")
    assert caught.value.exit_code == 3
    assert run("verify", "mine/other").exit_code == 0
    with pytest.raises(StrbenchError, match="No split of svtp is prepared"):
        run("verify", "svtp")


def test_verify_knows_the_official_count(tmp_path: Path, home: Path) -> None:
    run("import", "mine/test", folder(tmp_path / "a", {1: "one"}))
    split_directory("mine/test").rename(home / "data" / "moved")
    target = split_directory("svtp/test")
    target.parent.mkdir()
    (home / "data" / "moved").rename(target)
    manifest = target / "manifest.json"
    content = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({**content, "dataset": "svtp"}))
    with pytest.raises(StrbenchError, match="expected 645 samples, found 1"):
        run("verify", "svtp")


def test_info_of_a_dataset(home: Path) -> None:
    text = run("info", "ic15").stdout
    for expected in ("CC BY 4.0", "1811", "2077", "textrecog_test_1811.json", "Karatzas"):
        assert expected in text
    document = json.loads(run("info", "ic15", "--json").stdout)
    assert document["dataset"]["sources"][0]["number"] == 1
    assert document["prepared"] == []
    assert document["raw_folder"] == str(home / "raw" / "ic15")


def test_info_of_a_split_of_ones_own(tmp_path: Path, home: Path) -> None:
    run("import", "mine/test", folder(tmp_path / "a", {1: "one"}))
    document = json.loads(run("info", "mine/test", "--json").stdout)
    assert document["prepared"][0]["labels"] == "custom"
    assert document["prepared"][0]["sources"] == [{"name": "a", "kind": "folder"}]
    assert "read from label file labels.tsv" in run("info", "mine").stdout
    with pytest.raises(StrbenchError, match="No dataset is named 'other'"):
        run("info", "other")


def test_diff_counts_and_examples(tmp_path: Path, home: Path) -> None:
    run("import", "mine/a", folder(tmp_path / "a", {1: "one", 2: "two", 3: "three"}))
    run("import", "mine/b", folder(tmp_path / "b", {1: "one", 2: "Two.", 4: "four"}))
    text = run("diff", "mine/a", "mine/b").stdout
    assert "| the same image, annotated alike | 1 |" in text
    assert "| 2.png | two | Two. | punctuation or spaces |" in text
    assert "| 4.png | four |" in text
    document = json.loads(run("diff", "mine/a", "mine/b", "--json").stdout)
    assert document["same"] == 1
    assert document["relabelled"] == [
        {
            "a": "2.png",
            "b": "2.png",
            "label_a": "two",
            "label_b": "Two.",
            "why": "punctuation or spaces",
        }
    ]
    assert document["relabelled_after_folding"] == 0
    assert document["only_a"] == [["3.png", "three"]]
    with pytest.raises(StrbenchError, match="several prepared splits"):
        run("diff", "mine", "mine/b")


def test_fetch_without_consent_says_how_to_give_it(home: Path) -> None:
    with pytest.raises(StrbenchError, match="licence, which is not accepted") as caught:
        run("fetch", "svtp")
    assert caught.value.hint.endswith("strbench data fetch svtp --accept-licence")
    assert not (home / "raw").exists()


def test_fetch_offline_says_which_file_to_bring(home: Path) -> None:
    with pytest.raises(StrbenchError) as caught:
        run("fetch", "ic15_1811", "--offline", "--accept-licence")
    hint = caught.value.hint
    assert caught.value.exit_code == 3
    assert "textrecog_test_1811.json from https://" in hint
    assert f"into {home}/raw/ic15/ and run: strbench data fetch ic15_1811/test --offline" in hint


def test_fetch_checks_all_names_first(home: Path) -> None:
    with pytest.raises(StrbenchError, match="No dataset is named 'nosuch'"):
        run("fetch", "svtp", "nosuch", "--accept-licence")
    assert not (home / "licences").exists()


def test_fetch_from_an_address_checks_the_known_checksum(tmp_path: Path, home: Path) -> None:
    (tmp_path / "svtp.zip").write_bytes(b"another zip")
    with pytest.raises(StrbenchError, match="4232b46c81ba99eea6d057dcb06b8f75"):
        run("fetch", "svtp", "--source", (tmp_path / "svtp.zip").as_uri(), "--accept-licence")
    assert (home / "raw" / "svtp" / "svtp.zip.mismatch").is_file()


def test_real_split_end_to_end(shared: Path, home: Path) -> None:
    run("import", "svt", shared / "real" / "recognition_lmdb" / "svt")
    document = json.loads(run("verify", "svt/test", "--json").stdout)
    assert [(row["name"], row["n"], row["labels"], row["outcome"]) for row in document] == [
        ("svt/test", 647, "standard", "ok")
    ]


def test_draw_writes_any_number_and_refuses_real_sets(home: Path) -> None:
    words = ("draw", "rendered_demo/train", "--workers", "1", "-n")
    (row,) = json.loads(run(*words, "5", "--json").stdout)
    assert (row["name"], row["n"], row["labels"]) == ("rendered_demo/train", 5, "rendered")
    with pytest.raises(StrbenchError) as error:
        run(*words, "6")
    assert "--replace" in error.value.hint
    assert error.value.exit_code == 2
    (row,) = json.loads(run(*words, "6", "--replace", "--json").stdout)
    assert row["n"] == 6
    with pytest.raises(StrbenchError, match="No rendered split is named 'cute80/test'"):
        run("draw", "cute80/test")
