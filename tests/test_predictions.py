"""Prediction files: every format round-trips, every malformed row is named, ids find their samples."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from strbench.errors import DATA, StrbenchError
from strbench.predictions import (
    Predictions,
    align,
    positions,
    read_predictions,
    write_predictions,
)

SUFFIXES = (".parquet", ".jsonl", ".csv", ".tsv", ".txt")
anything = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
in_a_line = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\t\n\r"), max_size=8
)
tricky = st.sampled_from(
    ["", "null", "NaN", "007", '"', "a,b", ' "x" ', "\u2028", "\x85", "id", "text"]
)
confidence = st.none() | st.floats(0, 1)
quick = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def rows(text: st.SearchStrategy[str]) -> st.SearchStrategy[list[tuple[str, str, float | None]]]:
    ids = (text | tricky).filter(bool)
    return st.lists(st.tuples(ids, text | tricky, confidence), max_size=5)


def of(found: list[tuple[str, str, float | None]]) -> Predictions:
    return (
        Predictions(*(list(column) for column in zip(*found, strict=True)))
        if found
        else (Predictions([], [], []))
    )


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl", ".csv"])
@given(rows(anything))
@quick
def test_round_trip(tmp_path: Path, suffix: str, found: list[tuple[str, str, float]]) -> None:
    path = tmp_path / f"p{suffix}"
    write_predictions(path, of(found))
    assert read_predictions(path) == of(found)


@pytest.mark.parametrize("suffix", [".tsv", ".txt"])
@given(rows(in_a_line))
@quick
def test_round_trip_of_lines(
    tmp_path: Path, suffix: str, found: list[tuple[str, str, float]]
) -> None:
    path = tmp_path / f"p{suffix}"
    write_predictions(path, of(found))
    assert read_predictions(path) == of(found)


def read(tmp_path: Path, name: str, content: str | bytes) -> Predictions:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_predictions(path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", '{"id": "x/1.png", "text": "a,\\"b"}\n{"id": "2", "text": ""}\n'),
        (
            "a.jsonl",
            '\ufeff{"path": "x/1.png", "pred": "a,\\"b"}\r\n\r\n{"image": "2", "prediction": ""}',
        ),
        ("a.csv", 'id,text\nx/1.png,"a,""b"\n2,\n'),
        ("a.csv", '\ufeffpred,score,filename\r\n"a,""b",1,x/1.png\r\n,2,2\r\n'),
        ("a.tsv", 'x/1.png\ta,"b\n2\t\n'),
        ("a.txt", '\ufeffx/1.png\ta,"b\r\n2\t\r\n'),
        ("a.tsv", 'text\tid\na,"b\tx/1.png\n\t2\n'),
    ],
)
def test_accepted_spellings(tmp_path: Path, name: str, content: str) -> None:
    found = read(tmp_path, name, content)
    assert found == Predictions(["x/1.png", "2"], ['a,"b', ""], [None, None])


def test_confidences_are_read(tmp_path: Path) -> None:
    for name, content in (
        (
            "a.jsonl",
            '{"id": "1", "text": "a", "confidence": 1}\n{"id": "2", "text": "b", "confidence": null}',
        ),
        ("a.csv", "confidence,id,text\n1.0,1,a\n,2,b\n"),
        ("a.tsv", "1\ta\t1.0\n2\tb\t\n"),
        ("a.tsv", "1\ta\t1.0\n2\tb\n"),
    ):
        assert read(tmp_path, name, content).confidences == [1.0, None], name


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", '{"id": "1", "text": "a"}\n\n{"id": "2", "text": null}', "line 3: .* of 2 .* null"),
        ("a.jsonl", '{"id": "1", "text": NaN}', "line 1: .* found nan"),
        ("a.jsonl", '{"id": "1", "text": 2024}', "line 1: .* found 2024"),
        ("a.jsonl", '{"id": 1, "text": "a"}', "line 1: the id must be text, found 1"),
        ("a.jsonl", '{"id": "", "text": "a"}', "line 1: the id must be text"),
        ("a.jsonl", '{"id": "1", "text": "a"}\n{"id": "2", "text": "b"', "line 2: not JSON"),
        ("a.jsonl", '{"id": "1", "text": "a"}, {"id": "2", "text": "b"}', "line 1: not JSON"),
        ("a.jsonl", '["1", "a"]', "line 1: expected an object"),
        ("a.jsonl", '{"id": "1", "text": "a"}\n{"id": "2"}', "line 2: expected a column text or"),
        ("a.jsonl", '{"id": "1", "text": "label", "pred": "a"}', "line 1: text and pred could"),
        ("a.jsonl", '{"path": "1", "image": "2", "text": "a"}', "line 1: path and image could"),
        ("a.jsonl", '{"id": "1", "text": "a", "confidence": NaN}', r"line 1: .* in \[0, 1\], found nan"),
        ("a.jsonl", '{"id": "1", "text": "a", "confidence": true}', "line 1: .* found True"),
        ("a.csv", "id,text\n1,a\n2,b,c\n", "line 3: expected 2 fields, found 3"),
        ("a.csv", 'id,text\n1,"a\nb"\n2\n', "line 4: expected 2 fields, found 1"),
        ("a.csv", 'id,text\n1,"a"b\n', "line 2: not CSV"),
        ("a.csv", "1,a\n2,b\n", "line 1: expected a column id or path or filename or image"),
        ("a.csv", "", "line 1: expected a column id"),
        ("a.csv", "id,text,confidence\n1,a,high\n", "line 2: .* found 'high'"),
        ("a.csv", "id,text,confidence\n1,a,1.5\n", "line 2: .* found 1.5"),
        ("a.tsv", "1\ta\n2 b\n", "line 2: expected 2 or 3 fields, found 1"),
        ("a.tsv", "1\ta\n\ta\n", "line 2: the id must be text"),
        ("a.tsv", b"1\ta\n2\t\xff\n", "line 2: not UTF-8"),
        ("a.parquet", "no parquet", "a.parquet is no Parquet file"),
        ("a.xlsx", "", r"ends in .parquet, .jsonl, .csv, .tsv, .txt; a.xlsx does not"),
    ],
)  # fmt: skip
def test_malformed_rows_are_named(
    tmp_path: Path, name: str, content: str | bytes, message: str
) -> None:
    with pytest.raises(StrbenchError, match=message) as caught:
        read(tmp_path, name, content)
    assert name in caught.value.message


def test_parquet_columns(tmp_path: Path) -> None:
    polars = pytest.importorskip("polars")
    path = tmp_path / "a.parquet"
    frame = polars.DataFrame({"filename": ["1", "2"], "other": [1, 2], "prediction": ["a", ""]})
    frame.write_parquet(path)
    assert read_predictions(path).texts == ["a", ""]
    frame.with_columns(polars.col("prediction").cast(polars.Categorical)).write_parquet(path)
    assert read_predictions(path).texts == ["a", ""]
    polars.DataFrame({"id": ["1", "2"], "text": ["a", None]}).write_parquet(path)
    with pytest.raises(StrbenchError, match="row 2: the text of 2 must be text, found null"):
        read_predictions(path)
    polars.DataFrame({"id": ["1"], "text": [2024]}).write_parquet(path)
    with pytest.raises(StrbenchError, match=r"row 1: .* found 2024"):
        read_predictions(path)
    polars.DataFrame({"id": ["1"], "label": ["a"]}).write_parquet(path)
    with pytest.raises(StrbenchError, match="for the text, found 'id', 'label'"):
        read_predictions(path)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(StrbenchError, match="There is no prediction file"):
        read_predictions(tmp_path / "a.jsonl")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"p{suffix}"
    old = Predictions(["1"], ["old"], [None])
    write_predictions(path, old)

    def fails(_: int) -> None:
        raise OSError("no")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fails)
        with pytest.raises(OSError, match="no"):
            write_predictions(path, Predictions(["1"], ["new"], [None]))
    with pytest.raises(StrbenchError, match="which is no character"):
        write_predictions(path, Predictions(["1"], ["\ud800"], [None]))
    with pytest.raises(StrbenchError, match="row 1: the text of 1 must be text, found null"):
        write_predictions(path, Predictions(["1"], [None], [None]))  # type: ignore[list-item]
    assert read_predictions(path) == old
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_lines_cannot_hold_line_breaks(tmp_path: Path) -> None:
    for text in ("a\tb", "a\nb", "a\r"):
        with pytest.raises(StrbenchError, match="cannot hold the tab or line break"):
            write_predictions(tmp_path / "p.tsv", Predictions(["1"], [text], [None]))


def test_unequal_columns() -> None:
    with pytest.raises(ValueError, match="2 ids, 1 texts, 2 confidences"):
        Predictions(["1", "2"], ["a"], [None, None])


def readings(*ids: str) -> Predictions:
    return Predictions(list(ids), [f"text of {i}" for i in ids], [None] * len(ids))


@settings(deadline=None)
@given(st.permutations(["a.png", "b.png", "sub/c.png", "d"]))
def test_order_of_rows_does_not_matter(ids: list[str]) -> None:
    assert align(readings(*ids), sorted(ids)) == [f"text of {i}" for i in sorted(ids)]


def test_problems_are_listed_together() -> None:
    split = [f"{i}.png" for i in range(10)]
    with pytest.raises(StrbenchError) as caught:
        align(readings("0.png", "1.png", "1.png", "10.png"), split)
    assert caught.value.exit_code == DATA
    assert caught.value.message == (
        "Expected one prediction for each of 10 samples; "
        "8 samples have no prediction (2.png, 3.png, 4.png, 5.png, 6.png, ...); "
        "1 predictions are for no sample of the split (10.png); "
        "1 predictions repeat a sample (1.png)."
    )
    assert "'0.png'" in caught.value.hint


def test_other_spellings_of_an_id() -> None:
    split = ["test/a.png", "test/b.png"]
    assert positions(readings("./test/b.png", "test/a.png"), split) == [1, 0]
    keys = readings("image-000000002", "image-000000001")
    assert positions(keys, split) == [1, 0]
    for ids in (
        ("1", "2"),
        ("000000001", "000000002"),
        ("image-1", "image-2"),
        ("image-000000000", "image-000000001"),
        ("a.png", "b.png"),
        ("TEST/a.png", "test/b.png"),
    ):
        with pytest.raises(StrbenchError, match="for no sample of the split"):
            positions(readings(*ids), split)
    with pytest.raises(StrbenchError, match=r"repeat a sample \(test/a.png\)"):
        positions(readings("test/a.png", "./test/a.png", "test/b.png"), split)


def test_lmdb_keys_mean_themselves_where_samples_are_called_so() -> None:
    split = ["image-000000002", "image-000000001"]
    assert positions(readings("image-000000001", "image-000000002"), split) == [1, 0]
    with pytest.raises(StrbenchError, match="for no sample"):
        positions(readings("image-000000009", "image-000000002"), ["image-000000009", "x"])
    # An adopted LMDB has nine digits for ids; its keys are understood.
    assert positions(readings("image-000000001"), ["000000001"]) == [0]


def test_json_lines_are_readable_text(tmp_path: Path) -> None:
    write_predictions(tmp_path / "p.jsonl", Predictions(["1"], ["é中"], [0.5]))
    line = (tmp_path / "p.jsonl").read_text("utf-8")
    assert line == '{"id": "1", "text": "é中", "confidence": 0.5}\n'
    assert json.loads(line)["text"] == "é中"
