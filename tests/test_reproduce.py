"""Tables of papers rebuilt: the plan, what it costs, running and resuming it, and what is shown."""

from __future__ import annotations

import io
import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from running import Outcome, Run

from strbench import records, registry, rendered, reproduce, reproductions
from strbench.datasets import resolve
from strbench.errors import PARTIAL, StrbenchError
from strbench.methods import inherit
from strbench.models import RunInfo
from strbench.plans import check_parents
from strbench.report.reported import load_reported
from strbench.report.reproduced import printed
from strbench.reproductions import Reproduction, Row, Scale, Training
from strbench.scores import Accuracy, Data, Score, Stored
from strbench.settings import override
from strbench.store import split_directory, write_split
from strbench.types import Sample

# The smoke recipes of two entries, cut to two steps.
SMALL = {
    "dig": (
        "batch_size=8", "steps=2", "warmup_steps=1", "projector_hidden=16", "projector_out=8",
        "pix_projector_hidden=8", "pixel_hidden=8",
    ),
    "vit-ctc": ("batch_size=8", "steps=2", "warmup_steps=1"),
}  # fmt: skip
DIG = Training(key="dig", entry="dig", data="images", family="kin")
SVT = {"method": "DiG", "frozen_encoder": "yes"}


def row(label: str, key: str, **options: Any) -> Row:
    own = {name: options.pop(name) for name in ("against", "reported") if name in options}
    run = Training(key=key, entry="vit-ctc", data=options.pop("data", "labelled"), **options)
    return Row(label=label, run=run, **own)


ROWS = (
    row("Scratch", "scratch", reported={**SVT, "variant": "ViT-Small, generative only"}),
    row("DiG", "dig-all", parents=(DIG,), against="Scratch"),
    row("DiG, half", "dig-half", parents=(DIG,), part=("first", 0.5)),
)
TINY = Scale(
    title="two steps",
    recipe="smoke",
    data={"images": ("mine/train",), "labelled": ("mine/train", "other/train?")},
    settings=SMALL,
)
TABLE = Reproduction(
    title="A table",
    source="Nobody, table 1",
    columns=("svt/test", "cute80/test"),
    rows=ROWS,
    scales={
        "tiny": TINY,
        "drawn": Scale(
            title="on drawn words",
            recipe="smoke",
            data=TINY.data,
            settings=SMALL,
            splits=("mine/test",),
            rows=ROWS[:1],
        ),
    },
)
TABLES = {
    "table": TABLE,
    "broken": Reproduction(
        title="A table",
        source="Nobody, table 2",
        columns=("svt/test",),
        rows=(ROWS[0], row("Bad", "bad", data="absent"), row("Child", "child", parents=(DIG,))),
        scales={
            "tiny": Scale(
                title="two steps",
                recipe="smoke",
                data={
                    "labelled": ("mine/train",),
                    "images": ("none/train",),
                    "absent": ("no/train",),
                },
                settings=SMALL,
            )
        },
    ),
}


PIXELS = Reproduction(
    title="Pairs",
    source="Nobody, table 3",
    columns=("rendered_pairs_easy/test",),
    rows=(
        Row(label="Scratch", run=Training(key="vit", entry="vit-restorer", data="pairs")),
        Row(
            label="DiG",
            run=Training(key="vit-dig", entry="vit-restorer", data="pairs", parents=(DIG,)),
            against="Scratch",
        ),
    ),
    protocol="textzoom",
    metrics=("psnr", "ssim"),
    scales={
        "tiny": Scale(
            title="two steps",
            recipe="smoke",
            data={"images": ("mine/train",), "pairs": ("rendered_pairs/train",)},
            settings={**SMALL, "vit-restorer": ("batch_size=8", "steps=2", "warmup_steps=1")},
        )
    },
)
TABLES["pixels"] = PIXELS


def words(name: str, n: int, *, rendered: bool = False) -> None:
    rng = np.random.default_rng(n)
    samples = []
    for i in range(n):
        out = io.BytesIO()
        Image.fromarray(rng.integers(0, 256, (16, 48, 3), dtype=np.uint8)).save(out, "PNG")
        samples.append(Sample(f"{i}.png", out.getvalue(), f"w{i}"))
    dataset, split = name.split("/")
    write_split(
        split_directory(name),
        samples,
        dataset=dataset,
        split=split,
        labels="standard",
        rendered=rendered,
    )


@pytest.fixture
def prepared(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with the tables of this file, 20 words to train on and 6 to test on."""
    monkeypatch.setitem(registry.TABLES, "reproductions", "test_reproduce:TABLES")
    words("mine/train", 20)
    words("svt/test", 6)
    return home


def document(outcome: Outcome) -> Any:
    assert outcome.out, outcome.err
    return json.loads(outcome.out)


def states(outcome: Outcome) -> list[str]:
    return [step["state"] for step in document(outcome)["steps"]]


# The tables that ship with strbench.

SHIPPED = [
    (table, scale) for table, found in reproductions.known().items() for scale in found.scales
]


@pytest.mark.parametrize(("table", "scale"), SHIPPED)
def test_every_name_of_a_shipped_table_is_known(home: Path, table: str, scale: str) -> None:
    found, chosen = reproductions.find(table, scale)
    known = {*registry.names("methods"), *registry.names("models")}
    entries: dict[str, str] = {}
    for step in reproductions.plan(table, scale):
        assert step.entry in known, f"{step.run} needs {step.entry}"
        method = registry.load(
            step.kind if step.does != "eval" else registry.kind_of(step.entry), step.entry
        )
        assert step.recipe in method.recipes, f"{step.entry} has no recipe {step.recipe}"
        if step.does == "eval":
            assert method.answers, f"{step.entry} is no whole model"
            continue
        config = override(method.recipes[step.recipe], step.settings)
        assert bool(config.unlabelled_batch_size) == bool(step.unlabelled)
        parents = [entries[name] for name in step.needs]
        assert not method.parents or set(parents) & set(method.parents)
        assert not parents or method.fresh is not None
        entries[step.run] = step.entry
    splits = {
        name.rstrip("?").partition("=")[0] for names in chosen.data.values() for name in names
    }
    for split in splits | set(chosen.splits) | set(found.columns):
        assert resolve(split).splits == (split,)


@pytest.mark.parametrize("table", reproductions.known())
def test_every_run_of_scale_smoke_takes_its_parents_weights(home: Path, table: str) -> None:
    trained: dict[str, tuple[Any, dict[str, Any]]] = {}
    infos: dict[str, RunInfo] = {}
    for step in reproductions.plan(table, "smoke"):
        if step.does == "eval":
            continue
        method = registry.load(step.kind, step.entry)
        inherited = [
            f"{name}={getattr(trained[parent][0], name)}"
            for parent in step.needs
            for name in method.shape
            if hasattr(trained[parent][0], name)
        ]
        config = override(method.recipes[step.recipe], [*inherited, *step.settings])
        module = method.build(config)
        if step.needs:
            check_parents(step.entry, method, [infos[parent] for parent in step.needs])
            parents = {parent: trained[parent][1] for parent in step.needs}
            kept = inherit(module, parents, fresh=method.fresh)
            assert len(kept) < len(module.state_dict())
        trained[step.run] = config, method.export(module)
        infos[step.run] = RunInfo(
            name=step.run,
            entry=step.entry,
            kind=step.kind,
            recipe=step.recipe,
            config={},
            seed=step.seed,
            record="",
        )


@pytest.mark.parametrize(("table", "scale"), SHIPPED)
def test_the_rows_of_a_scale_are_rows_of_the_table(home: Path, table: str, scale: str) -> None:
    found, chosen = reproductions.find(table, scale)
    labels = [row.label for row in found.rows]
    assert len(set(labels)) == len(labels)
    rows = reproductions.rows_at(found, chosen)
    here = {row.label for row in rows}
    assert {row.label for row in rows if row.reported} <= set(labels)
    assert {row.against for row in chosen.rows} <= here | {""}
    runs = [step.run for step in reproductions.plan(table, scale, seeds=1) if step.does == "eval"]
    assert len(runs) == len(here), "two rows are one run"


def test_detectors_take_the_recipes_that_their_code_has_for_a_data_set(home: Path) -> None:
    def recipes(table: str, scale: str) -> dict[str, tuple[str, tuple[str, ...]]]:
        steps = reproductions.plan(table, scale)
        return {s.run.rpartition(".")[2]: (s.recipe, s.settings) for s in steps if s.does != "eval"}

    totaltext = recipes("vlpt-psenet-totaltext", "paper")
    assert totaltext["psenet-st-seed0"][0] == "totaltext"
    assert totaltext["psenet-synthetic-seed0"][0] == "synthtext"
    assert recipes("vlpt-psenet", "paper")["psenet-st-seed0"][0] == "paper"
    assert recipes("oclip-portion", "paper")["psenet-oclip-seed0"][0] == "totaltext"
    # one run on synthetic photographs for all tables of a detector
    psenet = registry.load("models", "psenet")
    shared = [
        totaltext["psenet-synthetic-seed0"],
        recipes("vlpt-psenet", "paper")["psenet-synthetic-seed0"],
    ]
    first, second = (override(psenet.recipes[recipe], settings) for recipe, settings in shared)
    assert first == second
    assert recipes("vlpt-db", "small")["db-synthetic-seed0"][0] == "small"
    td500 = reproductions.find("vlpt-db-td500", "paper")[1]
    assert td500.data["boxes"] == ("td500/train", "tr400/train")


def test_smoke_needs_nothing_that_is_not_drawn(home: Path) -> None:
    for table in reproductions.known():
        for step in reproductions.plan(table, "smoke"):
            assert step.missing == ()
            drawn = ("rendered_demo", "rendered_pairs", "rendered_masks", "rendered_pages")
            assert all(split.startswith(drawn) for split in (*step.data, *step.splits))


def test_printed_figures_are_found_row_by_row() -> None:
    every = load_reported()
    counts = {}
    for name, found in reproductions.known().items():
        counts[name] = sum(
            bool(printed(row, [f for f in every if f.metric == metric], split=split))
            for metric in found.metrics
            for row in found.rows
            for split in found.columns
        )
    figures = [figure for figure in every if figure.metric == "word_accuracy"]
    # 12 rows of 11 but for two empty cells; 3 rows of 11; 4 rows of 8 but for two cells: README.md.
    assert counts["dig-fractions"] == 12 * 11 - 2
    assert counts["dig-frozen"] == 3 * 11
    assert counts["cr-str"] == 4 * 8 - 2
    assert counts["dig-superres"] == 6 * 3 * 2  # rows, sets, PSNR and SSIM
    assert counts["dig-main"] == counts["seqclr-mapping"] == counts["dig-segmentation"] == 0
    three = ("hmean", "precision", "recall")
    for name, found in reproductions.known().items():
        if name.startswith(("vlpt-psenet", "vlpt-east", "vlpt-db")):
            assert counts[name] == 3 * len(three), name  # ST, STKM, VLPT-STD
            assert found.metrics == three
    # F alone is printed: 8 sets of tasks, 3 of oCLIP's, 4 portions.
    assert [counts[n] for n in ("vlpt-ablation", "oclip-ablation", "oclip-portion")] == [8, 3, 4]
    fractions = reproductions.known()["dig-fractions"]
    by_label = {row.label: row for row in fractions.rows}
    assert printed(by_label["DiG, 10 %"], figures, split="svt/test") == "94.4"
    assert printed(by_label["Gen, 1 %"], figures, split="", dataset=fractions.average) == "60.6"


def test_a_filter_that_finds_two_figures_is_refused() -> None:
    vague = Row(label="DiG", run=DIG, reported={"method": "DiG"})
    with pytest.raises(StrbenchError, match="expected one"):
        printed(vague, load_reported(), split="svt/test")


# The plan.


def test_parents_come_first_and_equal_runs_once(prepared: Path) -> None:
    steps = reproductions.plan("table", "tiny", seeds=2)
    names = [(step.does, step.run) for step in steps]
    assert names[:6] == [
        ("finetune", "table.tiny.scratch-seed0"),
        ("eval", "table.tiny.scratch-seed0"),
        ("pretrain", "kin.tiny.dig-seed0"),
        ("finetune", "table.tiny.dig-all-seed0"),
        ("eval", "table.tiny.dig-all-seed0"),
        ("finetune", "table.tiny.dig-half-seed0"),
    ]
    assert len(names) == len(set(names)) == 14
    finished: set[str] = set()
    for step in steps:
        assert set(step.needs) <= finished
        finished.add(step.run)
    (shared,) = [s for s in steps if s.does == "pretrain" and s.seed == 1]
    assert shared.rows == ("DiG", "DiG, half")
    assert steps == reproductions.plan("table", "tiny", seeds=2)


def test_one_key_for_two_runs_is_a_mistake(prepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clash = Reproduction(
        title="", source="", columns=("svt/test",), scales={"tiny": TINY},
        rows=(ROWS[0], row("Other", "scratch", settings=("lr=1",))),
    )  # fmt: skip
    monkeypatch.setitem(TABLES, "clash", clash)
    with pytest.raises(ValueError, match="scratch"):
        reproductions.plan("clash", "tiny")


def test_only_names_rows_by_label_or_key(prepared: Path) -> None:
    by_label = reproductions.plan("table", "tiny", only=["DiG, half"])
    assert by_label == reproductions.plan("table", "tiny", only=["dig-half"])
    assert [step.does for step in by_label] == ["pretrain", "finetune", "eval"]
    with pytest.raises(StrbenchError, match="No row is named 'dig-hal'"):
        reproductions.plan("table", "tiny", only=["dig-hal"])


def test_optional_data_is_used_where_it_is_prepared(prepared: Path) -> None:
    (first, *_) = reproductions.plan("table", "tiny")
    assert (first.data, first.missing) == (("mine/train",), ())
    words("other/train", 5)
    (first, *_) = reproductions.plan("table", "tiny")
    assert first.data == ("mine/train", "other/train")


def test_unknown_names_are_answered_with_near_ones(run: Run, prepared: Path) -> None:
    assert "near names: table" in run("reproduce", "tabel").err
    outcome = run("reproduce", "table", "--scale", "tyni")
    assert outcome.code == 2
    assert "near names: tiny" in outcome.err
    assert run("reproduce", "table", "--markdown", "--json").code == 2


def test_without_a_table_they_are_listed(run: Run) -> None:
    assert [row["table"] for row in document(run("reproduce", "--json"))] == [
        "dig-main", "dig-frozen", "dig-fractions", "seqclr-mapping", "cr-str", "dig-superres",
        "dig-segmentation", "vlpt-psenet", "vlpt-psenet-totaltext", "vlpt-psenet-ctw1500", "vlpt-east",
        "vlpt-east-td500", "vlpt-db", "vlpt-db-totaltext", "vlpt-db-td500", "vlpt-ablation",
        "oclip-ablation", "oclip-portion",
    ]  # fmt: skip
    assert "| dig-frozen |" in run("reproduce").out


def test_a_dry_run_says_what_would_run_and_writes_nothing(run: Run, prepared: Path) -> None:
    before = sorted(prepared.rglob("*"))
    outcome = run("reproduce", "table", "--scale", "tiny", "--dry-run", "--json")
    steps = document(outcome)["steps"]
    assert [step["state"] for step in steps] == ["to do"] * 7
    assert [(s["steps"], s["images"], s["seconds"]) for s in steps[:3]] == [
        (2, 16, None), (None, 6, None), (2, 16, None),
    ]  # fmt: skip
    text = run("reproduce", "table", "--scale", "tiny", "--dry-run")
    assert "unknown" in text.out
    assert "not prepared: cute80/test" in text.err
    assert "strbench data fetch cute80/test" in text.err
    assert sorted(prepared.rglob("*")) == before


def test_the_cost_is_that_of_an_earlier_run_like_it(prepared: Path) -> None:
    steps = reproductions.plan("table", "tiny")

    def done(kind: records.Kind, device: str, **config: Any) -> records.Record:
        record = records.start(
            kind=kind,
            name="x",
            config=config,
            environment={"device": device},
            parents=config.get("parents", ()),
        )
        record.finish(cost={"images_per_second": 4.0})
        return record

    training = done("finetune", "here", entry="vit-ctc", recipe="smoke")
    reading = done("eval", "here", parents=[training.run_id])
    others = [
        done("pretrain", "elsewhere", entry="dig", recipe="smoke"),
        done("pretrain", "here", entry="dig", recipe="cpu-hour"),
    ]
    rates = reproduce.known_rates([training, reading, *others], device="here")
    found = [reproduce.cost(step, rates).seconds for step in steps[:3]]
    assert found == [16 / 4, 6 / 4, None]


def test_every_step_is_a_command_of_its_own(run: Run, prepared: Path) -> None:
    """Runs trained by the printed commands are those that the table asks for."""
    for step in reproductions.plan("table", "tiny", only=["dig-half"]):
        command = shlex.split(step.command)
        if step.does == "eval":
            command = command[: command.index("cute80/test") - 1]
        assert run(*command[1:]).code == 0
    outcome = run("reproduce", "table", "--scale", "tiny", "--only", "dig-half", "--json")
    assert states(outcome) == ["done"] * 3


# Running.


def test_a_table_is_rebuilt_and_resumed(run: Run, prepared: Path) -> None:
    command = ("reproduce", "table", "--scale", "tiny")
    first = run(*command, "--json")
    assert first.code == 0, first.err
    assert states(first) == ["finished"] * 7
    made = document(first)
    assert (made["table"], made["scale"], made["rendered"]) == ("table", "tiny", False)
    assert made["columns"] == [{"split": "svt/test", "n": 6}]
    assert made["missing"] == ["cute80/test"]
    labels = [line["label"] for line in made["lines"]]
    assert labels == ["Scratch", "DiG", "DiG, half"]
    cell = made["lines"][0]["cells"]["svt/test"]
    assert cell["reported"] == "82.1"
    assert cell["low"] <= cell["mean"] <= cell["high"]
    assert made["lines"][0]["cells"]["cute80/test"]["values"] == []
    assert made["lines"][1]["gap"]["test"] == "samples"
    runs = sorted(p.name for p in (prepared / "runs").iterdir())
    assert runs == [
        "kin.tiny.dig-seed0", "table.tiny.dig-all-seed0", "table.tiny.dig-half-seed0",
        "table.tiny.scratch-seed0",
    ]  # fmt: skip

    again = run(*command, "--json")
    assert states(again) == ["done"] * 7
    assert document(again)["lines"] == made["lines"]


def test_a_table_of_images_is_rebuilt_metric_by_metric(run: Run, prepared: Path) -> None:
    for split, n in (("rendered_pairs/train", 12), ("rendered_pairs_easy/test", 6)):
        rendered.prepare(split, prepared / "data", n=n)
    made = document(run("reproduce", "pixels", "--scale", "tiny", "--json"))
    assert [table["metric"] for table in made["tables"]] == ["psnr", "ssim"]
    for table in made["tables"]:
        assert table["rendered"]
        scratch, dig = table["lines"]
        (value,) = scratch["cells"]["rendered_pairs_easy/test"]["values"]
        assert (0 < value < 1) if table["metric"] == "ssim" else (1 < value < 40)
        assert dig["gap"]["test"] == "samples"
        assert dig["gap"]["low"] <= dig["gap"]["value"] <= dig["gap"]["high"]
    text = run("reproduce", "pixels", "--scale", "tiny").out
    assert "### Pairs, scale tiny: PSNR (dB), protocol textzoom" in text
    assert "### Pairs, scale tiny: SSIM, protocol textzoom" in text


def test_only_what_is_missing_is_made_again(run: Run, prepared: Path) -> None:
    command = ("reproduce", "table", "--scale", "tiny", "--only", "dig-half", "--json")
    assert states(run(*command)) == ["finished"] * 3
    (scores,) = (path for path in (prepared / "records").iterdir() if "eval" in path.read_text())
    scores.unlink()
    assert states(run(*command)) == ["done", "done", "finished"]
    words("cute80/test", 4)  # a test set that comes later is read, the other one not again
    outcome = run(*command)
    assert states(outcome) == ["done", "done", "finished"]
    found = [path for path in (prepared / "records").glob("*.json") if '"eval"' in path.read_text()]
    newest = records.load(max(found))
    assert [score.split for score in newest.scores] == ["cute80/test"]
    assert [column["split"] for column in document(outcome)["columns"]] == list(TABLE.columns)


def test_scores_of_other_weights_do_not_count(run: Run, prepared: Path) -> None:
    command = ("reproduce", "table", "--scale", "tiny", "--only", "scratch", "--json")
    assert states(run(*command)) == ["finished"] * 2
    run_folder = prepared / "runs" / "table.tiny.scratch-seed0"
    assert (
        run(
            *(
                "finetune",
                "vit-ctc",
                "--from",
                "scratch",
                "--recipe",
                "smoke",
                "--data",
                "mine/train",
            ),
            *("--set", "batch_size=8", "--set", "steps=3", "--name", run_folder.name, "--replace"),
        ).code
        == 0
    )
    assert run("eval", "--model", run_folder.name, "--data", "svt/test").code == 0
    outcome = run(*command)
    assert outcome.code == PARTIAL  # the run of this name is not the table's
    assert states(outcome) == ["failed", "left out"]
    (line,) = document(outcome)["lines"]
    assert line["cells"]["svt/test"]["values"] == []
    outcome = run(*command, "--replace")
    # trained again to the same weights, of which the first record still holds the scores
    assert states(outcome) == ["finished", "done"]
    (line,) = document(outcome)["lines"]
    assert len(line["cells"]["svt/test"]["values"]) == 1


def test_a_failed_step_stops_its_branch_alone(run: Run, prepared: Path) -> None:
    outcome = run("reproduce", "broken", "--scale", "tiny", "--json")
    assert outcome.code == PARTIAL
    assert states(outcome) == ["finished", "finished", "failed", "left out", "failed", "left out",
        "left out"]  # fmt: skip
    assert "broken.tiny.bad-seed0" in outcome.err
    assert "kin.tiny.dig-seed0" in outcome.err
    assert "no/train" in outcome.err
    lines = document(outcome)["lines"]
    assert [bool(line["cells"]["svt/test"]["values"]) for line in lines] == [True, False, False]
    dry = run("reproduce", "broken", "--scale", "tiny", "--dry-run", "--json")
    stuck = [step["run"] for step in document(dry)["steps"] if step["state"] == "not prepared"]
    assert stuck == ["broken.tiny.bad-seed0", "kin.tiny.dig-seed0"]


def test_a_bug_keeps_its_traceback(prepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: Any, **options: Any) -> None:
        raise RuntimeError("no such tensor")

    monkeypatch.setattr("strbench.runs.execute", broken)
    steps = reproductions.plan("table", "tiny")
    with pytest.raises(RuntimeError, match="no such tensor"):
        reproduce.execute(steps, rule=TABLE.rule)


def test_exhausted_memory_fails_the_step(prepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: Any, **options: Any) -> None:
        raise MemoryError

    monkeypatch.setattr("strbench.runs.execute", broken)
    steps = reproductions.plan("table", "tiny", only=["scratch"])
    found = reproduce.execute(steps, rule=TABLE.rule)
    assert [outcome.state for outcome in found] == ["failed", "left out"]
    assert "memory" in found[0].reason


@pytest.mark.parametrize("how", ["by a signal in training", "while reading"])
def test_an_interrupt_stops_everything(
    prepared: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    def stopped(*args: Any, **options: Any) -> None:
        if "signal" in how:
            raise StrbenchError("Interrupted after step 1 of 2.", exit_code=PARTIAL)
        raise KeyboardInterrupt

    monkeypatch.setattr("strbench.runs.execute", stopped)
    with pytest.raises(StrbenchError, match="Interrupted") as caught:
        reproduce.execute(reproductions.plan("table", "tiny"), rule=TABLE.rule)
    assert caught.value.exit_code == PARTIAL
    assert "same command" in caught.value.hint


def test_torchrun_is_told_to_train_single_runs(
    prepared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(StrbenchError, match="torchrun"):
        reproduce.execute([], rule=TABLE.rule)


# What is shown.


def scored(run_name: str, correct: int, *, split: str = "svt/test", rendered: bool = False) -> None:
    """A finished run with the name of a step, and the record of its scores."""
    from strbench.files import file_sha256
    from strbench.home import home
    from strbench.store import find_split

    folder = home() / "runs" / run_name
    if not folder.is_dir():
        folder.mkdir(parents=True)
        (folder / "weights.safetensors").write_text(run_name)
        (folder / "run.json").write_text("{}")
    weights = folder / "weights.safetensors"
    opened = find_split(split)
    record = records.start(
        kind="eval",
        name=run_name,
        protocol="strbench-36",
        weights=Stored(path=str(weights), sha256=file_sha256(weights)),
    )
    n = opened.n
    record.finish(
        scores=[
            Score(
                split=split,
                fingerprint=opened.fingerprint,
                n=n,
                protocol="strbench-36",
                signature=f"wacc|case:lower|chars:36|n:{n}|{split}@{opened.fingerprint[:8]}|v0.1",
                rendered=rendered,
                word_accuracy=Accuracy(correct=correct, n=n, low=0.1, high=0.9),
            )
        ]
    )


def shown(scale: str = "tiny", **options: Any) -> Any:
    from strbench.home import home
    from strbench.report import reproduced

    found, chosen = reproductions.find("table", scale)
    steps = reproductions.plan("table", scale, **options)
    weights = {step.run: reproduce.weights(step.run) for step in steps}
    runs = records.load_all(home() / "records")
    return reproduced.build("table", scale, found, chosen, steps, runs, weights)


MARKDOWN = """\
### A table, scale tiny: Acc (%), protocol strbench-36

| row | svt (6) | svt reported |
| --- | ---: | ---: |
| Scratch | 33.3 [10.0, 90.0] | 82.1 |
| DiG | 50.0 [10.0, 90.0] | – |
| DiG, half | – | – |

Scale: two steps.

Trained on: finetune: mine/train; pretrain: mine/train.

Left out of the training data, not prepared: other/train.

Reported: Nobody, table 1; measured at the paper's scale, not at this one.

Not prepared: cute80/test. To bring: strbench data fetch cute80/test

In square brackets the 95 % interval of a single run over the test samples.
"""


def test_markdown_to_the_letter(prepared: Path) -> None:
    from strbench.report.reproduced import markdown

    scored("table.tiny.scratch-seed0", 2)
    scored("table.tiny.dig-all-seed0", 3)
    assert markdown(shown()) == MARKDOWN


def test_seeds_become_mean_deviation_and_a_tested_difference(prepared: Path) -> None:
    from strbench.report.reproduced import as_rows

    for seed, (scratch, dig) in enumerate([(1, 5), (2, 6), (1, 5)]):
        scored(f"table.tiny.scratch-seed{seed}", scratch)
        scored(f"table.tiny.dig-all-seed{seed}", dig)
    scored("table.tiny.dig-half-seed0", 3)
    made = shown(seeds=3)
    rows = as_rows(made)
    assert [row["svt (6)"] for row in rows] == ["22.2 ± 9.6", "88.9 ± 9.6", "50.0 (1) [10.0, 90.0]"]
    gap = made.lines[1].gap
    assert gap is not None
    assert (gap.test, gap.against) == ("seeds", "Scratch")
    assert gap.value == pytest.approx(4 / 6)
    assert gap.low < 4 / 6 < gap.high
    assert gap.p < 0.01
    assert "against Scratch" in rows[1]["difference"]
    assert made.lines[0].gap is None
    assert any("over 3 seeds (n - 1)" in note for note in made.notes)
    brackets = "Behind a figure of fewer seeds their number stands in round brackets."
    assert brackets in made.notes
    for seed in (1, 2):
        scored(f"table.tiny.dig-half-seed{seed}", 3)
    assert brackets not in shown(seeds=3).notes


def test_how_much_was_drawn_for_the_training_is_told(prepared: Path) -> None:
    for name, n in (("dig-half", 700), ("scratch", 500), ("another", 300)):
        used = [
            Data(split="rendered/train", n=n, fingerprint="ab" * 32),
            Data(split="mine/train", n=9, fingerprint="cd" * 32),
        ]
        records.start(kind="finetune", name=f"table.tiny.{name}-seed0", data=used).finish()
    assert [note for note in shown().notes if note.startswith("Drawn")] == [
        "Drawn for the training: strbench data draw rendered/train -n 500; "
        "strbench data draw rendered/train -n 700"
    ]


def test_a_rendered_figure_never_stands_beside_a_printed_one(prepared: Path) -> None:
    from strbench.report.reproduced import as_rows

    words("mine/test", 5, rendered=True)
    scored("table.drawn.scratch-seed0", 4, split="mine/test", rendered=True)
    made = shown("drawn")
    assert made.rendered
    assert [list(row) for row in as_rows(made)] == [["row", "mine/test (5)".replace("/test", "")]]
    assert all(cell.reported == "" for line in made.lines for cell in line.cells.values())
    assert any("no figure of a paper stands beside them" in note for note in made.notes)
    assert any("does not have: DiG; DiG, half" in note for note in made.notes)


def test_a_table_holds_one_scale(prepared: Path) -> None:
    words("mine/test", 5, rendered=True)
    scored("table.drawn.scratch-seed0", 4, split="mine/test", rendered=True)
    scored("table.drawn.scratch-seed0", 6)
    assert all(not cell.values for line in shown().lines for cell in line.cells.values())


def test_several_columns_have_an_average_over_all_words(prepared: Path) -> None:
    from strbench.report.reproduced import as_rows

    words("cute80/test", 4)
    scored("table.tiny.scratch-seed0", 3)
    scored("table.tiny.scratch-seed0", 4, split="cute80/test")
    scored("table.tiny.dig-all-seed0", 3)
    first, second, _ = as_rows(shown())
    assert first["average"] == "70.0"
    assert second["average"] == "–"
