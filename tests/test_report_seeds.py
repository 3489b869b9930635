"""Runs that differ in the training seed alone, as one row; everything else stays apart."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import statistics
from pathlib import Path
from typing import Any

import pytest
from running import Run

from strbench import records
from strbench.report import render
from strbench.report.layout import Report, Table
from strbench.report.seeds import identity, training_runs
from strbench.report.table import build
from strbench.report.welch import t_quantile, t_tails, welch
from strbench.scores import Accuracy, Data, Score

N = {"host": 2416, "wost": 2416, "svt": 647, "iiit5k": 3000, "ic13_857": 857}
DATA = Data(split="svt/train", n=257, fingerprint="cd" * 32, labels="case-sensitive")
MARK = "ab" * 32


def trained(
    run_id: str,
    *,
    seed: int,
    name: str = "",
    kind: records.Kind = "finetune",
    parents: tuple[str, ...] = (),
    data: Data = DATA,
    day: int = 1,
    dtype: str = "bfloat16",
    **settings: Any,
) -> records.Record:
    config = {"entry": "vit-ctc", "recipe": "smoke", "subset": None, "lr": 0.003, **settings}
    return records.Record(
        path=Path(f"train-{run_id}-{day}.json"),
        run_id=run_id,
        status="success",
        kind=kind,
        name=name or run_id,
        started=f"2026-01-{day:02}T00:00:00+00:00",
        parents=list(parents),
        config={"resolved": config, "typed": []},
        seed=seed,
        data=[data],
        environment={"dtype": dtype},
    )


def evaluated(
    name: str,
    parents: tuple[str, ...],
    correct: dict[str, int],
    *,
    day: int = 2,
    resize: str = "stretch-bicubic-32x128",
) -> records.Record:
    scores = []
    for dataset, count in correct.items():
        n, split = N[dataset], f"{dataset}/test"
        scores.append(
            Score(
                split=split,
                fingerprint=MARK,
                n=n,
                protocol="strbench-36",
                signature=f"wacc|case:lower|chars:36|resize:{resize}|n:{n}|{split}@abababab|v0.1",
                word_accuracy=Accuracy(
                    correct=count, n=n, low=count / n - 0.02, high=count / n + 0.02
                ),
            )
        )
    return records.Record(
        path=Path(f"eval-{name}-{day}.json"),
        run_id=hashlib.sha256(f"{name} {day}".encode()).hexdigest()[:16],
        status="success",
        kind="eval",
        name=name,
        started=f"2026-01-{day:02}T00:00:00+00:00",
        parents=list(parents),
        protocol="strbench-36",
        scores=scores,
    )


def three_seeds(stem: str = "net", low: int = 1200, **settings: Any) -> list[records.Record]:
    """Three seeds of one training, each with its own pretraining; HOST low, +24 and +48."""
    made = []
    for seed in range(3):
        name = f"{stem}{f'-seed{seed}' if seed else ''}"
        pre, fine = f"{stem}-pre{seed}", f"{stem}-fine{seed}"
        made += [
            trained(pre, seed=seed, kind="pretrain", entry="dig", **settings),
            trained(fine, seed=seed, name=name, parents=(pre,), **settings),
            evaluated(name, (fine, pre), {"host": low + 24 * seed, "wost": low}),
        ]
    return made


def over_seeds(*runs: records.Record, **settings: Any) -> Report:
    return build(list(runs), over_seeds=True, **settings)


def only(report: Report) -> Table:
    (table,) = report.tables
    return table


def names(report: Report) -> list[str]:
    return [line.model for line in only(report).lines]


def test_three_seeds_are_one_row_with_mean_and_sample_deviation() -> None:
    report = over_seeds(*three_seeds())
    (line,) = only(report).lines
    values = [count / 2416 for count in (1200, 1224, 1248)]
    cell = line.cells["host/test"]
    assert (line.model, line.seeds, cell.seeds) == ("net", 3, 3)
    assert cell.value == pytest.approx(statistics.mean(values))
    assert cell.sd == pytest.approx(statistics.stdev(values))  # n - 1
    assert cell.sd != pytest.approx(statistics.pstdev(values))
    assert line.cells["wost/test"].sd == 0
    assert (cell.total, cell.low, cell.high) == (None, None, None)
    assert report.omissions == ()


def test_the_averages_spread_over_the_seeds_too() -> None:
    (line,) = only(over_seeds(*three_seeds())).lines
    averages = [(2400 + 24 * seed) / 4832 for seed in range(3)]
    assert line.spreads is not None
    weighted, plain = line.spreads
    assert line.weighted == pytest.approx(statistics.mean(averages))
    assert weighted.sd == pytest.approx(statistics.stdev(averages))
    assert weighted.n == plain.n == 3


def test_without_the_option_every_run_has_its_row() -> None:
    report = build(three_seeds())
    assert sorted(names(report)) == ["net", "net-seed1", "net-seed2"]
    assert "±" not in render.markdown(report)


def test_one_seed_is_shown_as_it_is() -> None:
    runs = three_seeds()[:3]
    assert render.markdown(over_seeds(*runs)) == render.markdown(build(runs))


@pytest.mark.parametrize(
    "change",
    [
        {"lr": 0.001},
        {"recipe": "cpu-hour"},
        {"entry": "trba"},
        {"subset": {"how": "first", "fraction": 0.1}},
        {"data": Data(split="svt/train", n=257, fingerprint="ef" * 32, labels="standard")},
        {"dtype": "float32"},
        {"kind": "pretrain"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_differs_in_more_than_the_seed_stays_apart(change: dict[str, Any]) -> None:
    first, second = trained("one", seed=0), trained("two", seed=1, **change)
    runs = [first, second]
    runs += [
        evaluated("a", ("one",), {"host": 1200}),
        evaluated("a-seed1", ("two",), {"host": 1300}),
    ]
    assert sorted(names(over_seeds(*runs))) == ["a", "a-seed1"]
    same = [first, trained("two", seed=1), *runs[2:]]  # the test can fail: without the change, one
    assert names(over_seeds(*same)) == ["a"]


def test_other_parents_stay_apart_and_the_same_parents_but_for_the_seed_do_not() -> None:
    def family(**second_parent: Any) -> list[records.Record]:
        return [
            trained("p0", seed=0, kind="pretrain", entry="dig"),
            trained("p1", seed=1, kind="pretrain", **{"entry": "dig", **second_parent}),
            trained("f0", seed=0, parents=("p0",)),
            trained("f1", seed=1, parents=("p1",)),
            evaluated("a", ("f0", "p0"), {"host": 1200}),
            evaluated("a-seed1", ("f1", "p1"), {"host": 1300}),
        ]

    assert names(over_seeds(*family())) == ["a"]
    assert sorted(names(over_seeds(*family(entry="gen")))) == ["a", "a-seed1"]
    assert sorted(names(over_seeds(*family(steps=99)))) == ["a", "a-seed1"]
    scratch = [*family()[:3], trained("f1", seed=1), family()[4]]
    scratch.append(evaluated("a-seed1", ("f1",), {"host": 1300}))
    assert sorted(names(over_seeds(*scratch))) == ["a", "a-seed1"]


def test_seeds_that_share_their_pretraining_say_so() -> None:
    runs = [trained("pre", seed=0, kind="pretrain", entry="dig")]
    for seed in (0, 1):
        runs.append(trained(f"f{seed}", seed=seed, parents=("pre",)))
        runs.append(evaluated(f"a-seed{seed}", (f"f{seed}", "pre"), {"host": 1200 + seed}))
    table = only(over_seeds(*runs))
    assert any("share a run that they start from" in note for note in table.notes)
    assert not any("share a run" in note for note in only(over_seeds(*three_seeds())).notes)


def test_a_run_without_its_training_record_stands_alone_and_says_why() -> None:
    runs = [run for run in three_seeds() if run.run_id != "net-fine1"]
    report = over_seeds(*runs)
    assert sorted(names(report)) == ["net", "net-seed1"]
    assert any("net-seed1: stands alone" in note for note in only(report).notes)
    assert identity(runs[-1], training_runs(runs)) is not None


def test_engines_are_never_seeds_of_each_other() -> None:
    runs = [evaluated("ocr", (), {"host": 1200}), evaluated("ocr-seed1", (), {"host": 1200})]
    assert sorted(names(over_seeds(*runs))) == ["ocr", "ocr-seed1"]


def test_a_record_without_its_entry_is_known_by_its_name() -> None:
    def runs(second: str) -> list[records.Record]:
        return [
            trained("one", seed=0, name="a", entry=None),
            trained("two", seed=1, name=second, entry=None),
            evaluated("a", ("one",), {"host": 1200}),
            evaluated(second, ("two",), {"host": 1300}),
        ]

    assert names(over_seeds(*runs("a-seed1"))) == ["a"]
    assert sorted(names(over_seeds(*runs("b")))) == ["a", "b"]


def test_of_two_runs_of_one_seed_the_newest_counts() -> None:
    runs = [
        trained("f0", seed=0),
        trained("f1", seed=1),
        evaluated("a", ("f0",), {"host": 1200}, day=2),
        evaluated("a-again", ("f0",), {"host": 1400}, day=5),
        evaluated("a-seed1", ("f1",), {"host": 1300}, day=3),
    ]
    report = over_seeds(*runs)
    (line,) = only(report).lines
    assert line.seeds == 2
    assert line.cells["host/test"].value == pytest.approx(1350 / 2416)
    (omission,) = report.omissions
    assert (omission.model, omission.split) == ("a", "host/test")
    assert "seed" in omission.reason


def test_a_score_taken_in_another_way_stays_out() -> None:
    runs = three_seeds()
    runs[-1] = evaluated(
        "net-seed2", ("net-fine2", "net-pre2"), {"host": 1}, day=1, resize="native"
    )
    report = over_seeds(*runs)
    (line,) = only(report).lines
    assert line.cells["host/test"].value == pytest.approx(1212 / 2416)
    assert ["signatures differ" in omission.reason for omission in report.omissions] == [True]


def test_seeds_with_fewer_columns_are_counted_in_the_cell_and_not_averaged() -> None:
    runs = three_seeds()
    runs[-1] = evaluated("net-seed2", ("net-fine2", "net-pre2"), {"host": 1248})
    report = over_seeds(*runs)
    (line,) = only(report).lines
    assert (line.cells["host/test"].seeds, line.cells["wost/test"].seeds) == (3, 2)
    assert line.spreads is not None
    assert line.spreads[0].n == 2
    text = render.markdown(report)
    assert "| net | 3 | 50.7 ± 1.0 | 49.7 ± 0.0 (2) | 49.9 ± 0.4 (2) |" in text


def test_two_rows_of_one_name_are_told_apart() -> None:
    first = [trained("f0", seed=0), trained("f1", seed=1)]
    second = [trained("g0", seed=2, lr=9.0), trained("g1", seed=3, lr=9.0)]
    runs = [*first, *second]
    runs += [
        evaluated(f"a-seed{i}", (run.run_id,), {"host": 1200 + i})
        for i, run in enumerate([*first, *second])
    ]
    found = names(over_seeds(*runs))
    assert len(set(found)) == 2
    assert all(name.startswith("a (") for name in found)


MARKDOWN = """\
### Occluded text: Acc (%), protocol strbench-36

| model | seeds | host (2416) | wost (2416) | weighted avg | plain avg |
| --- | ---: | ---: | ---: | ---: | ---: |
| net | 3 | 50.7 ± 1.0 | 49.7 ± 0.0 | 50.2 ± 0.5 | 50.2 ± 0.5 |
| ocr | 1 | 41.4 | 41.4 | 41.4 | 41.4 |
"""


def mixed() -> Report:
    return over_seeds(*three_seeds(), evaluated("ocr", (), {"host": 1000, "wost": 1000}))


def test_markdown_to_the_letter() -> None:
    assert render.markdown(mixed()).startswith(MARKDOWN)


def test_latex_has_the_sign_and_the_column() -> None:
    text = render.latex(mixed())
    assert r"\begin{tabular}{lrrrrr}" in text
    assert r"net & 3 & 50.7 $\pm$ 1.0 & 49.7 $\pm$ 0.0 &" in text


def test_csv_and_json_hold_the_spread() -> None:
    rows = list(csv.DictReader(io.StringIO(render.comma_separated(mixed()))))
    (host,) = [row for row in rows if row["model"] == "net" and row["split"] == "host/test"]
    assert host["seeds"] == "3"
    assert float(host["sd"]) == pytest.approx(24 / 2416)
    assert host["total"] == ""
    assert len(host["run_id"].split()) == 3
    (table,) = json.loads(render.as_json(mixed()))["tables"]
    net, ocr = table["averages"]
    assert (net["seeds"], net["weighted_sd"]) == (3, pytest.approx(12 / 2416))
    assert "seeds" not in ocr
    assert [cell["seeds"] for cell in table["cells"]] == [3, 3, 1, 1]


def test_a_row_leads_over_seeds_only_where_the_seeds_tell_it_apart() -> None:
    def bold(*runs: records.Record) -> list[str]:
        table = only(over_seeds(*runs))
        return [line.model for line in table.lines if line.cells["host/test"].is_bold]

    assert bold(*three_seeds(), *three_seeds("worse", low=600, lr=1.0)) == ["net"]
    assert bold(*three_seeds(), *three_seeds("near", low=1190, lr=1.0)) == []
    # One run has no spread to compare, however far it lies behind.
    assert bold(*three_seeds(), evaluated("ocr", (), {"host": 10, "wost": 10})) == []


def test_the_command(run: Run, home: Path) -> None:
    for record in three_seeds():
        record.path = home / "records" / record.path.name
        record.save()
    outcome = run("report", "--over-seeds", "--markdown")
    assert outcome.code == 0
    assert "| net | 3 | 50.7 ± 1.0 |" in outcome.out
    assert "| net-seed1 | 50.7 |" in run("report", "--markdown").out


def test_student_t_agrees_with_printed_tables() -> None:
    # Two-sided 5 % and 1 %: any textbook's table of the t distribution.
    for freedom, five, one in ((1, 12.706, 63.657), (4, 2.776, 4.604), (30, 2.042, 2.750)):
        assert t_quantile(0.95, freedom) == pytest.approx(five, abs=6e-4)
        assert t_quantile(0.99, freedom) == pytest.approx(one, abs=6e-4)
        assert t_tails(five, freedom) == pytest.approx(0.05, abs=1e-4)
    assert t_tails(1.959964, 1e7) == pytest.approx(0.05, abs=1e-6)
    assert t_tails(0, 3) == 1


def test_welch_is_symmetric_and_needs_two_seeds() -> None:
    a, b = [0.61, 0.62, 0.63], [0.51, 0.53, 0.55]
    there, back = welch(a, b), welch(b, a)
    assert there.p == back.p
    assert (there.low, there.high) == pytest.approx((-back.high, -back.low))
    assert there.low > 0
    assert (there.p < 0.05) is True
    assert welch(a, a).p == 1
    with pytest.raises(ValueError, match="two seeds"):
        welch([0.5], b)
