"""Records -> tables: what enters, what is left out, and every format to the letter."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from strbench import records
from strbench.errors import StrbenchError
from strbench.report import committed, render
from strbench.report.frame import results
from strbench.report.table import Report, build
from strbench.scores import Accuracy, Figure, Score, Similarity

SIZES = {"iiit5k": 3000, "svt": 647, "ic13_857": 857, "ic15_1811": 1811, "svtp": 645, "cute80": 288}
SIZES |= {"host": 2416, "wost": 2416, "rendered_regular": 500, "rendered_irregular": 500}
SIZES |= {"ic13_1015": 1015, "mine": 100}
HALF_WIDTH = 0.02  # of every interval here: two values closer than 0.04 tie


def run(
    name: str,
    correct: dict[str, int],
    *,
    day: int = 1,
    status: records.RunStatus = "success",
    limit: int | None = None,
    fingerprint: str = "ab" * 32,
    protocol: str = "strbench-36",
    kind: records.Kind = "eval",
    case: str = "case:lower|chars:36",
) -> records.Record:
    scores = []
    for dataset, count in correct.items():
        n = SIZES[dataset]
        split = f"{dataset}/test"
        tail = f"n:{n}|{split}@{fingerprint[:8]}|v0.1"
        low, high = count / n - HALF_WIDTH, count / n + HALF_WIDTH
        scores.append(
            Score(
                split=split,
                fingerprint=fingerprint,
                n=n,
                protocol=protocol,
                signature=f"wacc|{case}|labels:standard|resize:native|{tail}",
                rendered=dataset.startswith("rendered"),
                word_accuracy=Accuracy(correct=count, n=n, low=low, high=high),
                one_minus_ned=Similarity(sum=count + 0.5, n=n, low=low, high=high),
            )
        )
    started = f"2026-01-{day:02}T00:00:00+00:00"
    return records.Record(
        path=Path(f"{started}-{name}-{status}.json"),
        run_id=f"{abs(hash((name, day, status))) % 16**16:016x}",
        status=status,
        kind=kind,
        name=name,
        started=started,
        protocol=protocol,
        scores=scores,
        limit=limit,
    )


def made(*runs: records.Record, **settings: Any) -> Report:
    return build(list(runs), **settings)


REGULAR = {"iiit5k": 2400, "svt": 600, "ic13_857": 800}


def occluded() -> Report:
    return made(
        run("a_1", {"host": 1208, "wost": 1812}),
        run("b&b", {"host": 1329, "wost": 1833}),
        run("tiny", {"host": 302}),
        run("cut", {"host": 2000}, limit=10),
        run("killed", {}, status="started"),
    )


def write(folder: Path, *runs: records.Record) -> Path:
    for record in runs:
        record.path = folder / record.path.name
        record.save()
    return folder


MARKDOWN = """\
### Occluded text: Acc (%), protocol strbench-36

| model | host (2416) | wost (2416) | weighted avg | plain avg |
| --- | ---: | ---: | ---: | ---: |
| b&b | **55.0** | 75.9 | 65.4 | 65.4 |
| a\\_1 | 50.0 | 75.0 | 62.5 | 62.5 |
| tiny | 12.5 | – | – | – |

Characters partly erased, heavily (HOST) and weakly (WOST); 2,416 words each.

Bold: the best of a column where no other row ties with it; ties by overlapping intervals (95 %).

Signatures:

- `wacc|case:lower|chars:36|labels:standard|resize:native|n:2416|host/test@abababab|v0.1`
- `wacc|case:lower|chars:36|labels:standard|resize:native|n:2416|wost/test@abababab|v0.1`

Left out: 2 runs: 1 limited to a part of the samples; \
1 started and never ended (killed, or still running).
"""


def test_markdown_to_the_letter() -> None:
    assert render.markdown(occluded()) == MARKDOWN


LATEX = r"""% needs \usepackage{booktabs}

\begin{table}
\centering
\caption{Occluded text: Acc (\%), protocol strbench-36}
\begin{tabular}{lrrrr}
\toprule
model & host (2416) & wost (2416) & weighted avg & plain avg \\
\midrule
b\&b & \textbf{55.0} & 75.9 & 65.4 & 65.4 \\
a\_1 & 50.0 & 75.0 & 62.5 & 62.5 \\
tiny & 12.5 & -- & -- & -- \\
\bottomrule
\end{tabular}
"""


def test_latex_to_the_letter() -> None:
    text = render.latex(occluded())
    assert text.startswith(LATEX)
    assert text.endswith("(killed, or still running).\n")


def test_every_special_character_of_latex_is_escaped() -> None:
    text = render.latex(made(run("a\\b{c}d&e%f$g#h_i~j^k<l>m|n", {"host": 1}), suite="occluded"))
    body = [line for line in text.splitlines() if not line.startswith("%")]
    # What remains after commands and escapes are taken out must hold no character that acts.
    bare = re.sub(r"\\[a-zA-Z]+|\\[&%$#_{}\\]", "", "\n".join(body))
    assert not set("%$#_^~|<>") & set(bare)
    assert bare.count("{") == bare.count("}")
    rows = [line for line in body if line.endswith(r"\\")]
    assert {len(re.findall(r"(?<!\\)&", row)) for row in rows} == {2}


def test_csv_holds_integers_and_one_row_a_cell() -> None:
    rows = list(csv.DictReader(io.StringIO(render.comma_separated(occluded()))))
    assert [(row["model"], row["split"], row["total"], row["n"]) for row in rows] == [
        ("b&b", "host/test", "1329", "2416"),
        ("b&b", "wost/test", "1833", "2416"),
        ("a_1", "host/test", "1208", "2416"),
        ("a_1", "wost/test", "1812", "2416"),
        ("tiny", "host/test", "302", "2416"),
    ]
    assert float(rows[2]["value"]) == 0.5
    assert rows[0]["is_bold"] == "True"


def test_json_is_one_document_with_counts_and_omissions() -> None:
    document = json.loads(render.as_json(occluded()))
    (table,) = document["tables"]
    assert table["columns"] == [
        {"split": "host/test", "n": 2416},
        {"split": "wost/test", "n": 2416},
    ]
    assert [cell["total"] for cell in table["cells"]] == [1329, 1833, 1208, 1812, 302]
    assert [average["model"] for average in table["averages"]] == ["b&b", "a_1"]
    assert table["averages"][1] == {"model": "a_1", "weighted": 0.625, "plain": 0.625}
    assert [out["model"] for out in document["left_out"]] == ["killed", "cut"]


def test_the_terminal_shows_the_same_figures() -> None:
    console = Console(width=120, file=io.StringIO(), force_terminal=False)
    for part in render.terminal(occluded()):
        console.print(part)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    for expected in (
        "b&b",
        "55.0",
        "65.4",
        "12.5",
        "–",
        "host (2416)",
        "host/test@abababab",
        "Left",
    ):
        assert expected in text


def test_intervals_stand_beside_the_values() -> None:
    assert "50.0 [48.0, 52.0]" in render.markdown(occluded(), intervals=True)
    assert "[" not in render.markdown(occluded()).split("Signatures")[0]


def test_one_minus_ned_is_its_own_table() -> None:
    text = render.markdown(made(run("a", {"host": 1208}), metric="one_minus_ned"))
    assert "1-NED (%)" in text
    assert "- `1-ned|case:lower" in text
    # (1208 + 0.5) / 2416 = 0.5002
    assert "| a | 50.0 |" in text


def test_averages_are_weighted_by_samples_and_plain() -> None:
    (table,) = made(run("a", REGULAR), suite="regular").tables
    (line,) = table.lines
    assert line.weighted == (2400 + 600 + 800) / (3000 + 647 + 857)
    assert line.plain == pytest.approx((2400 / 3000 + 600 / 647 + 800 / 857) / 3)


def test_a_model_without_every_set_has_dashes_and_no_average() -> None:
    (table,) = made(run("a", REGULAR), suite="common").tables
    assert [column.split for column in table.columns] == [
        "iiit5k/test", "svt/test", "ic13_857/test", "ic15_1811/test", "svtp/test", "cute80/test",
    ]  # fmt: skip
    assert table.lines[0].weighted is None
    assert "| a | 80.0 | 92.7 | 93.3 | – | – | – |" in render.markdown(Report((table,)))


def test_incomplete_rows_stand_below_the_ranked_ones() -> None:
    (table,) = made(
        run("half", {"host": 2400}), run("low", {"host": 10, "wost": 10}), suite="occluded"
    ).tables
    assert [line.model for line in table.lines] == ["low", "half"]


def test_no_bold_inside_a_tie_and_none_for_a_row_alone() -> None:
    def bold(*runs: records.Record) -> list[str]:
        (table,) = made(*runs).tables
        return [line.model for line in table.lines if line.cells["host/test"].is_bold]

    assert bold(run("a", {"host": 1208})) == []
    # 0.05 apart: the intervals of ±0.02 do not overlap
    assert bold(run("a", {"host": 1208}), run("b", {"host": 1329})) == ["b"]
    # 0.03 apart: they do
    assert bold(run("a", {"host": 1208}), run("b", {"host": 1281})) == []
    assert bold(run("a", {"host": 1208}), run("b", {"host": 1208})) == []
    # the third is apart from the best, the second is not
    assert bold(run("a", {"host": 1208}), run("b", {"host": 1281}), run("c", {"host": 1})) == []


def test_a_row_without_an_interval_ties() -> None:
    best, other = run("a", {"host": 1208}), run("b", {"host": 100})
    other.scores = [
        Score(
            **{
                field: getattr(other.scores[0], field)
                for field in ("split", "fingerprint", "n", "protocol", "signature")
            },
            word_accuracy=Accuracy(correct=100, n=2416),
        )
    ]
    (table,) = made(best, other).tables
    assert not any(line.cells["host/test"].is_bold for line in table.lines)


@pytest.mark.parametrize("status", ["started", "error", "partial"])
def test_a_run_that_did_not_succeed_never_enters(status: records.RunStatus) -> None:
    report = made(run("good", {"host": 1000}), run("bad", {"host": 2416}, status=status))
    (table,) = report.tables
    assert [line.model for line in table.lines] == ["good"]
    assert report.left_out().startswith("Left out: 1 run: 1 ")


def test_a_limited_run_never_enters() -> None:
    report = made(run("a", {"host": 1000}, limit=10))
    assert report.tables == ()
    assert "1 limited to a part of the samples" in report.left_out()


def test_only_the_newest_run_of_a_model_enters() -> None:
    report = made(
        run("a", {"host": 2000}, day=1),
        run("a", {"host": 1000}, day=3),
        run("a", {"host": 1500}, day=2),
    )
    (table,) = report.tables
    assert table.lines[0].cells["host/test"].total == 1000
    assert "2 stale: a newer run" in report.left_out()


def test_a_newer_run_that_failed_does_not_hide_an_older_good_one() -> None:
    report = made(run("a", {"host": 2000}), run("a", {}, day=2, status="error"))
    assert report.tables[0].lines[0].cells["host/test"].total == 2000


def test_scores_on_another_version_of_a_split_are_stale() -> None:
    report = made(
        run("old", {"host": 2000, "wost": 2000}, day=1, fingerprint="cd" * 32),
        run("new", {"host": 1000}, day=2),
    )
    (table,) = report.tables
    cells = {line.model: set(line.cells) for line in table.lines}
    assert cells == {"new": {"host/test"}, "old": {"wost/test"}}
    assert "1 stale: another version of the split" in report.left_out()


def test_rendered_and_real_sets_never_share_a_table() -> None:
    report = made(run("a", {"svt": 600, "rendered_regular": 400}))
    assert [(table.rendered, table.title) for table in report.tables] == [
        (False, "Regular text"),
        (True, "Rendered regular text"),
    ]
    for table in report.tables:
        drawn = {column.split.startswith("rendered") for column in table.columns}
        assert drawn == {table.rendered}
    assert all("rendered" in t.title.lower() for t in report.tables if t.rendered)


def test_a_record_that_calls_a_drawn_set_real_is_refused() -> None:
    record = run("a", {"rendered_regular": 400})
    record.scores = [
        Score(
            split="rendered_regular/test",
            fingerprint="ab" * 32,
            n=500,
            protocol="strbench-36",
            signature="wacc|v0.1",
            word_accuracy=Accuracy(correct=400, n=500),
        )
    ]
    with pytest.raises(StrbenchError, match="calls rendered_regular/test real"):
        made(record)


def test_each_protocol_has_its_own_table() -> None:
    report = made(
        run("a", {"host": 1000}),
        run("a", {"host": 900}, protocol="strbench-94", case="case:kept|chars:94"),
    )
    assert [table.protocol for table in report.tables] == ["strbench-36", "strbench-94"]
    (only,) = made(
        run("a", {"host": 1000}), run("b", {"host": 900}, protocol="x"), protocol="x"
    ).tables
    assert [line.model for line in only.lines] == ["b"]


def test_without_a_suite_every_measured_split_is_shown_once() -> None:
    report = made(run("a", {"svt": 1, "ic13_1015": 1, "host": 1, "mine": 50}))
    assert [table.suite for table in report.tables] == ["common-full", "occluded", ""]
    assert [column.split for column in report.tables[0].columns] == ["svt/test", "ic13_1015/test"]
    assert not report.tables[0].has_averages
    assert "Not measured: iiit5k, ic15_2077, svtp, cute80" in " ".join(report.tables[0].notes)
    assert [column.head for column in report.tables[-1].columns] == ["mine (100)"]
    assert report.tables[-1].title == "Sets of no suite"


def test_runs_that_are_no_evaluation_are_not_counted() -> None:
    report = made(run("a", {"host": 1}), run("p", {}, kind="pretrain", status="error"))
    assert report.left_out() == ""


def test_left_out_counts_only_what_the_suite_and_models_ask_for() -> None:
    runs = (
        run("a", {"host": 1}),
        run("b", {"svt": 5}, limit=10),
        run("c", {"host": 5}, limit=10),
    )
    assert made(*runs).left_out().startswith("Left out: 2 runs")
    assert made(*runs, suite="occluded").left_out().startswith("Left out: 1 run:")
    assert made(*runs, models=["a"]).left_out() == ""


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"suite": "comon"}, "common"),
        ({"models": ["b"]}, "model"),
        ({"protocol": "strbench-63"}, "strbench-36"),
    ],
)
def test_unknown_names_are_answered_with_near_ones(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(StrbenchError, match=message):
        made(run("a", {"host": 1}), **settings)


def test_reported_rows_are_marked_and_take_no_part() -> None:
    runs = (run("a", {"svt": 300, "iiit5k": 1000}), run("b", {"svt": 400, "iiit5k": 2000}))
    (alone,) = made(*runs, suite="common").tables
    (beside,) = made(*runs, suite="common", reported=True).tables
    measured = [line for line in beside.lines if line.is_measured]
    quoted = [line for line in beside.lines if not line.is_measured]
    assert list(alone.lines) == measured
    assert beside.lines[: len(measured)] == tuple(measured)
    assert len(quoted) > 50
    assert all(line.source.startswith("reported, ") for line in quoted)
    assert all(line.weighted is None and line.plain is None for line in quoted)
    assert not any(cell.is_bold for line in quoted for cell in line.cells.values())
    # Aberdam et al., README: Real-L + Real-U, SVT 95.8
    assert any(
        line.cells["svt/test"].printed == "95.8" for line in quoted if "svt/test" in line.cells
    )


def test_reported_rows_stay_away_from_other_protocols_and_from_rendered_sets() -> None:
    cased = run("a", {"svt": 300}, case="case:kept|chars:94")
    assert not made(cased, suite="common", reported=True).tables[0].has_reported
    drawn = run("a", {"rendered_regular": 300})
    assert not made(drawn, reported=True).tables[0].has_reported


def test_reported_rows_can_stand_alone() -> None:
    (table,) = made(suite="occluded", reported=True).tables
    assert not any(line.is_measured for line in table.lines)
    assert table.protocol == "as printed in the papers"
    assert table.signatures == ()
    assert not table.has_averages


def test_sets_with_rules_of_their_own_stand_in_one_table() -> None:
    finder = run("finder", {})
    finder.scores = [
        Score(
            split=split,
            fingerprint="ab" * 32,
            n=100,
            protocol=protocol,
            signature=f"prf|{protocol}|labels:official|images:100|{split}@abababab|v0.1",
            figures={"hmean": Figure(value=value)},
        )
        for split, protocol, value in (
            ("ic15_det/test", "ic15-iou", 0.8),
            ("td500/test", "td500", 0.6),
            ("ic15_det/test", "ic15-e2e", 0.5),
            ("ic15_det/test", "ic15-iou-ap", 0.8),
        )
    ]
    tables = {table.suite: table for table in made(finder).tables}
    assert set(tables) == {"detection", "spotting", ""}
    assert tables["detection"].protocol == "of each set its own"
    assert [column.split for column in tables["detection"].columns] == [
        "ic15_det/test",
        "td500/test",
    ]
    assert len(tables["detection"].signatures) == 2
    assert tables["spotting"].protocol == "ic15-e2e"
    assert tables[""].protocol == "ic15-iou-ap"
    (asked,) = made(finder, suite="detection", protocol="ic15-iou-ap").tables
    assert (asked.suite, asked.protocol) == ("detection", "ic15-iou-ap")


def test_what_a_lexicon_corrected_has_a_table_of_its_own_beside_what_was_printed_with_one() -> None:
    reader = run("reader", {})
    reader.scores = [
        Score(
            split="ic15_det/test",
            fingerprint="ab" * 32,
            n=500,
            protocol=protocol,
            signature=f"prf|{protocol}|labels:official{said}|images:500|ic15_det/test@abababab|v0.1",
            figures={"hmean": Figure(value=value)},
        )
        for protocol, said, value in (
            ("ic15-e2e", "", 0.5),
            ("ic15-e2e", "|lexicon:strong@aaaaaaaa", 0.7),
            ("mango-e2e", "|lexicon:strong@aaaaaaaa", 0.8),
        )
    ]
    tables = {(t.suite, t.protocol): t for t in made(reader, reported=True).tables}
    own = {
        key: [line.cells["ic15_det/test"].value for line in table.lines if line.is_measured]
        for key, table in tables.items()
    }
    assert own == {
        ("spotting", "ic15-e2e"): [0.5],
        ("spotting", "ic15-e2e, lexicon strong"): [0.7],
        ("", "mango-e2e, lexicon strong"): [0.8],
    }
    printed = {
        key: {line.cells["ic15_det/test"].printed for line in table.lines if not line.is_measured}
        for key, table in tables.items()
    }
    assert "57.1" in printed["spotting", "ic15-e2e"]  # ABCNet
    assert "79.2" in printed["spotting", "ic15-e2e, lexicon strong"]
    assert not printed["spotting", "ic15-e2e"] & printed["spotting", "ic15-e2e, lexicon strong"]


def test_two_lexicons_of_one_kind_share_a_table_only_as_those_of_different_sets() -> None:
    def corrected(name: str, *by_split: tuple[str, str]) -> records.Record:
        one = run(name, {})
        one.scores = [
            Score(
                split=split,
                fingerprint="ab" * 32,
                n=300,
                protocol="totaltext-e2e",
                signature=f"prf|totaltext-e2e|labels:official|lexicon:full@{words}|images:300|"
                f"{split}@abababab|v0.1",
                figures={"hmean": Figure(value=0.7)},
            )
            for split, words in by_split
        ]
        return one

    def titles(*made_by: records.Record) -> list[tuple[str, int]]:
        return [(t.protocol, len(t.columns)) for t in made(*made_by).tables]

    curved, lines = "totaltext_det/test", "ctw1500_det/test"
    first = corrected("first", (curved, "aaaaaaaa"), (lines, "bbbbbbbb"))
    assert titles(first) == [("totaltext-e2e, lexicon full", 2)]
    second = corrected("second", (curved, "cccccccc"))
    assert sorted(titles(first, second)) == [
        ("totaltext-e2e, lexicon full@aaaaaaaa", 1),
        ("totaltext-e2e, lexicon full@bbbbbbbb", 1),
        ("totaltext-e2e, lexicon full@cccccccc", 1),
    ]


def test_printed_psnr_stands_below_a_measured_one_and_ranks_nothing() -> None:
    pairs = {
        "textzoom/test_easy": 23.0648,
        "textzoom/test_medium": 20.0,
        "textzoom/test_hard": 19.0,
    }
    restorer = run("mine", {})
    restorer.scores = [
        Score(
            split=split,
            fingerprint="ab" * 32,
            n=100,
            protocol="textzoom",
            signature=f"psnr|textzoom|labels:official|n:100|{split}@abababab|v0.1",
            figures={"psnr": Figure(value=value), "ssim": Figure(value=0.79)},
        )
        for split, value in pairs.items()
    ]
    (table,) = made(restorer, suite="textzoom", metric="psnr", reported=True).tables
    first, *quoted = table.lines
    assert first.is_measured
    # (23.0648 + 20 + 19) / 3: the printed row, higher on the hard set, moves nothing
    assert first.plain == pytest.approx(20.6883, abs=1e-4)
    assert quoted
    assert not any(line.is_measured or line.plain is not None for line in quoted)
    assert not any(cell.is_bold for line in table.lines for cell in line.cells.values())
    text = render.markdown(Report((table,)))
    assert "| mine | 23.06 | 20.00 | 19.00 |" in text
    # Zhao et al., README.md of JingyeChen/C3-STISR
    assert "| C3-STISR (released re-implementation) | 22.13 | 18.98 | 19.75 |" in text
    (alone,) = made(suite="textzoom", metric="ssim", reported=True).tables
    assert "| 0.8532 | 0.6449 | 0.7125 |" in render.markdown(Report((alone,)))


def test_reported_digits_are_those_of_the_source() -> None:
    text = render.markdown(made(run("a", {"svt": 300}), suite="common", reported=True))
    # Yang et al.: ViT-Small from scratch, 1 % of the labels, IC15 printed as 7.56
    assert "| 7.56 |" in text


def test_results_is_a_long_frame_of_everything(home: Path) -> None:
    write(
        home / "records",
        run("a", {"host": 1208, "rendered_regular": 5}),
        run("cut", {"host": 2}, limit=10),
        run("killed", {}, status="started"),
    )
    frame = results()
    assert {"model", "split", "protocol", "metric", "value", "low", "high", "n", "status"} <= set(
        frame.columns
    )
    assert {"run_id", "rendered", "kind", "source", "enters", "reason"} <= set(frame.columns)
    mine = frame[(frame.model == "a") & (frame.split == "host/test")].set_index("metric")
    assert mine.loc["word_accuracy", "value"] == 0.5
    assert mine.loc["word_accuracy", "n"] == 2416
    assert mine.loc["word_accuracy", "enters"]
    assert not frame[frame.model.isin(["cut", "killed"])].enters.any()
    assert set(frame[frame.model == "killed"].status) == {"started"}
    quoted = frame[frame.kind == "reported"]
    assert len(quoted) > 1000
    assert not quoted.enters.any()
    in_decibels = quoted.metric == "psnr"
    assert quoted[~in_decibels].value.between(0, 1).all()
    # Zhao et al., log of the re-implementation: easy 22.13 dB
    assert 22.13 in set(quoted[in_decibels & (quoted.split == "textzoom/test_easy")].value)
    assert set(frame[frame.rendered].split) == {"rendered_regular/test"}
    assert len(results(reported=False)) == len(frame) - len(quoted)


def test_results_without_records_are_the_reported_ones(home: Path) -> None:
    assert set(results().kind) == {"reported"}
    assert results(reported=False).empty


def test_the_committed_tables_are_what_the_committed_records_give(tmp_path: Path) -> None:
    paths = committed.write_tables(tmp_path)
    folder = committed.committed_folder().parent / "tables"
    assert {path.name for path in paths} == {path.name for path in folder.glob("*.md")}
    assert "recognition.md" in {path.name for path in paths}
    for path in paths:
        assert path.read_text() == committed.committed_tables()[path.name]
        assert (folder / path.name).read_text() == path.read_text(), "regenerate benchmarks/tables"


def test_a_run_of_a_papers_table_stands_elsewhere_with_its_other_sets() -> None:
    documents = committed.committed_tables()
    name = "dig-superres.cpu-night.srcnn-seed0"
    holding = [table for table in documents["superres.md"].split("### ") if f"| {name} |" in table]
    assert holding
    assert all(table.startswith("TextZoom") for table in holding)
    assert "| SRCNN |" in documents["dig-superres.cpu-night.md"]
    assert "easy (1619)" not in documents["dig-superres.cpu-night.md"]


def cli() -> Any:
    import typer

    from strbench.cli.report import compare, report

    app = typer.Typer()
    app.command()(report)
    app.command()(compare)
    return app


def ask(*words: str) -> Any:
    return CliRunner().invoke(cli(), ["report", *words])


def test_the_command_prints_plain_markdown_where_stdout_is_no_terminal(home: Path) -> None:
    write(home / "records", run("a", {"host": 1208}))
    result = ask()
    assert result.exit_code == 0
    assert result.stdout.startswith("### Occluded text")
    assert "\x1b" not in result.stdout
    assert result.stderr == ""
    assert json.loads(ask("--json").stdout)["tables"]
    assert ask("--csv").stdout.startswith("suite,")
    assert r"\toprule" in ask("--latex").stdout
    assert ask("--suite", "occluded", "--models", "a,b", "--reported").exit_code == 0


def test_the_command_without_records_names_the_next_one(home: Path) -> None:
    result = ask()
    assert isinstance(result.exception, StrbenchError)
    assert "strbench eval" in result.exception.hint
    assert "reported, Du et al." in ask("--suite", "common", "--reported").stdout


def test_the_command_says_on_stderr_where_no_run_enters(home: Path) -> None:
    write(home / "records", run("a", {}, status="started"))
    result = ask()
    assert "Left out: 1 run" in result.stdout
    assert "strbench eval" in result.stderr


@pytest.mark.parametrize(
    "words", [("--latex", "--csv"), ("--committed", "--records", "x"), ("--metric", "cer")]
)
def test_contradictions_are_refused(home: Path, words: tuple[str, ...]) -> None:
    assert isinstance(ask(*words).exception, StrbenchError)
