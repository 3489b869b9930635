"""Two models on the same samples: difference, exact test, flips, and what is refused."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

from strbench import records, store
from strbench.errors import DATA, StrbenchError
from strbench.predictions import Predictions, write_predictions
from strbench.report.compare import Paired, as_json, markdown, paired
from strbench.report.sources import shared
from strbench.report.table import build
from strbench.types import Sample


def compare(
    first: str,
    second: str,
    *,
    records: Path,
    splits: list[str] | None = None,
    protocol: str | None = None,
) -> list[Paired]:
    """As the command does it."""
    pairs = shared(first, second, records=records, splits=splits, protocol=protocol)
    return [paired(*pair, protocol=protocol) for pair in pairs]


N = 40
WORDS = [f"word{i}" for i in range(N)]


@pytest.fixture
def split(home: Path) -> store.Split:
    """``mine/test``: 40 words, each a grey image of its own."""
    samples = []
    for i, word in enumerate(WORDS):
        file = io.BytesIO()
        Image.new("RGB", (8, 4), (i, i, i)).save(file, "PNG")
        samples.append(Sample(f"s{i:02}", file.getvalue(), word))
    folder = home / "data" / "mine" / "test"
    store.write_split(folder, samples, dataset="mine", split="test", labels="standard")
    return store.find_split("mine/test")


def texts(right: set[int]) -> list[str]:
    return [WORDS[i].upper() if i in right else "?" for i in range(N)]


def predict(path: Path, right: set[int]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    ids = [f"s{i:02}" for i in range(N)]
    # Reversed on purpose: samples are matched by id, not by place.
    write_predictions(
        path,
        Predictions(ids=ids[::-1], texts=texts(right)[::-1], confidences=[None] * N),
    )
    return path


def record(
    home: Path, split: store.Split, name: str, right: set[int], **changes: Any
) -> records.Record:
    path = predict(home / "predictions" / f"{name}.parquet", right)
    run = records.start(
        kind="eval", name=name, protocol="strbench-36", limit=changes.pop("limit", None)
    )
    low, high = max(0.0, len(right) / N - 0.15), min(1.0, len(right) / N + 0.15)
    score: dict[str, Any] = {
        "split": split.name,
        "fingerprint": split.fingerprint,
        "n": N,
        "protocol": "strbench-36",
        "signature": f"wacc|case:lower|chars:36|n:{N}|mine/test@{split.fingerprint[:8]}|v0.1",
        "word_accuracy": {"correct": len(right), "n": N, "low": low, "high": high},
        "predictions": {"path": str(path), "sha256": records.stored(path).sha256},
    }
    run.finish(scores=[{**score, **changes}])
    return run


FIRST = set(range(30))  # right on 0 to 29
SECOND = set(range(4, 38))  # right on 4 to 37: gains 8, loses 4


@pytest.fixture
def both(home: Path, split: store.Split) -> tuple[records.Record, records.Record]:
    return record(home, split, "first", FIRST), record(home, split, "second", SECOND)


def test_difference_test_and_flips(home: Path, both: Any) -> None:
    (found,) = compare("first", "second", records=home / "records")
    assert (found.split, found.n, found.protocol) == ("mine/test", N, "strbench-36")
    assert found.correct == (30, 34)
    assert found.difference == pytest.approx(4 / 40)
    assert found.low < found.difference < found.high
    assert found.low >= -1
    assert found.high <= 1
    # exact sign test of 4 against 8: 2 * (1 + 12 + 66 + 220 + 495) / 2**12
    assert found.p_value == pytest.approx(2 * 794 / 4096)
    assert [flip.id for flip in found.gained] == [f"s{i}" for i in range(30, 38)]
    assert [flip.id for flip in found.lost] == ["s00", "s01", "s02", "s03"]
    assert (found.lost[0].label, found.lost[0].first, found.lost[0].second) == (
        "word0",
        "WORD0",
        "?",
    )


def test_the_other_way_round_is_the_mirror_image(home: Path, both: Any) -> None:
    (there,) = compare("first", "second", records=home / "records")
    (back,) = compare("second", "first", records=home / "records")
    assert back.difference == pytest.approx(-there.difference)
    assert back.p_value == there.p_value
    assert [flip.id for flip in back.gained] == [flip.id for flip in there.lost]


def test_a_model_against_itself_differs_in_nothing(home: Path, both: Any) -> None:
    (found,) = compare("first", "first", records=home / "records")
    assert (found.difference, found.low, found.high, found.p_value) == (0, 0, 0, 1)
    assert found.gained == found.lost == ()


def test_every_way_to_name_a_run_gives_the_same(home: Path, both: Any) -> None:
    first, second = both
    folder = home / "records"
    expected = compare("first", "second", records=folder)
    assert compare(str(first.path), second.run_id[:8], records=folder) == expected
    files = [str(home / "predictions" / f"{name}.parquet") for name in ("first", "second")]
    (bare,) = compare(*files, records=folder, splits=["mine/test"])
    assert (bare.difference, bare.p_value) == (expected[0].difference, expected[0].p_value)
    (mixed,) = compare("first", files[1], records=folder)
    assert mixed.gained == expected[0].gained


def test_protocols_can_be_chosen(home: Path, both: Any) -> None:
    from strbench.protocols import PROTOCOLS

    other = next(name for name in PROTOCOLS if name != "strbench-36")
    (found,) = compare("first", "second", records=home / "records", protocol=other)
    assert found.protocol == other


def test_the_only_protocol_that_both_have_is_taken(home: Path, split: store.Split) -> None:
    record(home, split, "first", FIRST)
    record(home, split, "second", SECOND)
    record(home, split, "second", SECOND, protocol="parseq-36")  # the newer one
    record(home, split, "third", FIRST, protocol="parseq-94")
    (found,) = compare("first", "second", records=home / "records")
    assert found.protocol == "strbench-36"
    with pytest.raises(StrbenchError) as caught:
        compare("second", "third", records=home / "records")
    assert caught.value.message == (
        "On mine/test were scored second under parseq-36 and strbench-36, third under parseq-94."
    )
    assert caught.value.hint == (
        "Choose one: strbench compare second third --data mine/test --protocol parseq-36"
    )


def test_markdown_and_json_show_counts_and_as_many_samples_as_asked(home: Path, both: Any) -> None:
    found = compare("first", "second", records=home / "records")
    text = markdown(found, limit=2)
    assert "| mine/test | 40 | 75.0 | 85.0 | +10.0 [" in text
    assert "only second is right (2 of 8)" in text
    assert "| s30 | word30 | ? | WORD30 |" in text
    assert "s32" not in text
    document = as_json(found, limit=3)[0]
    assert document["first"] == {"name": "first", "correct": 30}
    assert document["gained"]["n"] == 8
    assert [sample["id"] for sample in document["lost"]["samples"]] == ["s00", "s01", "s02"]
    assert "only" not in markdown(found, limit=0)


def test_a_changed_prediction_file_is_refused(home: Path, both: Any) -> None:
    predict(home / "predictions" / "second.parquet", FIRST)
    with pytest.raises(StrbenchError, match="has changed since its record") as caught:
        compare("first", "second", records=home / "records")
    assert caught.value.exit_code == DATA


def test_a_missing_prediction_file_names_the_command_that_makes_it(home: Path, both: Any) -> None:
    (home / "predictions" / "second.parquet").unlink()
    with pytest.raises(StrbenchError, match="is gone") as caught:
        compare("first", "second", records=home / "records")
    assert "strbench eval --model second" in caught.value.hint


def test_another_version_of_the_split_is_refused(home: Path, split: store.Split) -> None:
    record(home, split, "first", FIRST, fingerprint="ab" * 32)
    with pytest.raises(StrbenchError, match="was measured on mine/test@abababab"):
        compare("first", "first", records=home / "records")


def test_runs_that_enter_no_table_cannot_be_compared(home: Path, split: store.Split) -> None:
    record(home, split, "first", FIRST, limit=5)
    with pytest.raises(StrbenchError, match="limited"):
        compare("first", "first", records=home / "records")


@pytest.mark.parametrize(
    ("names", "splits", "message"),
    [
        (("frist", "second"), None, "near names: first"),
        (("first", "gone.jsonl"), None, "There is no prediction file"),
        (("first", "gone.json"), None, "There is no run record"),
        (("first", "second"), ["svt/test"], "share no split among svt/test"),
    ],
)
def test_what_cannot_be_found_is_named(
    home: Path, both: Any, names: tuple[str, str], splits: list[str] | None, message: str
) -> None:
    with pytest.raises(StrbenchError, match=message):
        compare(*names, records=home / "records", splits=splits)


def test_a_name_without_a_score_is_not_offered(home: Path, both: Any) -> None:
    records.start(kind="score", name="frst").fail("the file has 3 lines too few")
    with pytest.raises(StrbenchError, match="near names: first, second") as caught:
        compare("frist", "second", records=home / "records")
    assert "frst" not in caught.value.message
    with pytest.raises(StrbenchError, match=r"is named 'frist'; near names: first, second\.$"):
        build(records.load_all(home / "records"), models=["frist"])


def test_two_files_need_a_split(home: Path, both: Any) -> None:
    file = str(home / "predictions" / "first.parquet")
    with pytest.raises(StrbenchError, match="share no split") as caught:
        compare(file, file, records=home / "records")
    assert "--data" in caught.value.hint


def test_the_command_prints_markdown_and_json(home: Path, both: Any) -> None:
    import typer

    from strbench.cli.report import compare as verb
    from strbench.cli.report import report

    app = typer.Typer()
    app.command()(verb)
    app.command()(report)
    result = CliRunner().invoke(app, ["compare", "first", "second", "--limit-samples", "1"])
    assert result.exit_code == 0, result.exception
    assert "only first is right (1 of 4)" in result.stdout
    result = CliRunner().invoke(app, ["compare", "first", "second", "--json"])
    assert json.loads(result.stdout)["comparisons"][0]["n"] == N


def test_a_table_decides_ties_by_the_paired_test_where_files_are_at_hand(
    home: Path, split: store.Split
) -> None:
    def bold_and_note() -> tuple[list[str], str]:
        (table,) = build(records.load_all(home / "records")).tables
        lines = [line.model for line in table.lines if line.cells["mine/test"].is_bold]
        return lines, " ".join(table.notes)

    # The intervals overlap, but every one of eight flips goes one way: p = 2 / 2**8 < 0.05
    record(home, split, "worse", set(range(24)))
    record(home, split, "better", set(range(32)))
    assert bold_and_note()[0] == ["better"]
    assert "ties by paired test (95 %)" in bold_and_note()[1]
    # One file changes: its record no longer describes it, so the intervals decide.
    predict(home / "predictions" / "worse.parquet", set(range(3)))
    assert bold_and_note()[0] == []
    assert "by overlapping intervals (95 %)" in bold_and_note()[1]
