"""reproduce."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from strbench.cli.console import Progress, print_json, print_table, say
from strbench.cli.help import COMMON, OUTPUT
from strbench.cli.options import Device, DryRun, Json
from strbench.errors import PARTIAL, StrbenchError

if TYPE_CHECKING:
    from strbench.report.frame import Metric
    from strbench.reproduce import OnLog, Outcome, Rule
    from strbench.reproductions import Reproduction, Scale, Step


def _tables(incomplete: str) -> list[str]:
    from strbench.reproductions import known

    return [name for name in known() if name.startswith(incomplete)]


def _scales(incomplete: str) -> list[str]:
    from strbench.reproductions import known

    names = dict.fromkeys(scale for found in known().values() for scale in found.scales)
    return [name for name in names if name.startswith(incomplete)]


def reproduce(
    table: Annotated[
        str | None,
        typer.Argument(help="Which; without it the tables are listed.", autocompletion=_tables),
    ] = None,
    scale: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="smoke, cpu-hour, small, paper; the list says which a table has.",
            autocompletion=_scales,
            rich_help_panel=COMMON,
        ),
    ] = "smoke",
    seeds: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="How many seeds, each with its own pretraining; default: the scale's.",
            rich_help_panel=COMMON,
        ),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ROW",
            help="Only this row and what it needs, by its label or key; repeatable.",
            rich_help_panel=COMMON,
        ),
    ] = None,
    device: Device = "auto",
    replace: Annotated[
        bool,
        typer.Option("--replace", help="Train finished runs anew.", rich_help_panel=OUTPUT),
    ] = False,
    dry_run: DryRun = False,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="GitHub Markdown.", rich_help_panel=OUTPUT)
    ] = False,
    as_json: Json = False,
) -> None:
    """Rebuild a table of a paper: train what it needs, score it, and print both side by side.

    strbench reproduce dig-fractions --dry-run

    strbench reproduce dig-frozen --scale cpu-hour --seeds 3
    """
    from strbench import reproductions

    if table is None:
        _list(as_json=as_json)
        return
    if markdown and as_json:
        raise StrbenchError(
            "One format at a time: --markdown or --json.", hint=f"strbench reproduce {table} --json"
        )
    found, chosen = reproductions.find(table, scale)
    steps = reproductions.plan(table, scale, seeds=seeds or 0, only=only or ())
    costs = _costs(steps, found.rule, device)
    if dry_run:
        _show_plan(f"{table}, scale {scale}: {chosen.title}", costs, as_json=as_json)
        return
    _say_costs(costs)
    from strbench.reproduce import execute

    outcomes = execute(
        steps,
        rule=found.rule,
        device=device,
        replace=replace,
        say=say,
        on_log=_log,
        on_batch=_Batches(),
    )
    _show_table(table, scale, found, chosen, outcomes, markdown=markdown, as_json=as_json)
    _leave_with(outcomes)


def _list(*, as_json: bool) -> None:
    from strbench.reproductions import known

    rows = [
        {
            "table": name,
            "title": found.title,
            "rows": len(found.rows),
            "scales": list(found.scales),
            "source": found.source,
        }
        for name, found in known().items()
    ]
    if as_json:
        print_json(rows)
    else:
        print_table(rows, title="Tables that can be rebuilt")
        say("next: strbench reproduce TABLE --scale smoke --dry-run")


def _costs(steps: Sequence[Step], rule: Rule, device: str) -> list[dict[str, Any]]:
    """One dictionary a step, ready for JSON."""
    from strbench.devices import device_name, pick_device
    from strbench.home import home
    from strbench.records import load_all
    from strbench.reproduce import cost, is_done, known_rates

    folder = home() / "records"
    records = load_all(folder) if folder.is_dir() else []
    rates = known_rates(records, device=device_name(pick_device(device)))
    rows = []
    undone: set[str] = set()
    for step in steps:
        expected = cost(step, rates)
        done = not undone & set(step.needs) and is_done(step, records, rule=rule)
        if not done:
            undone.add(step.run)
        rows.append(
            {
                "run": step.run,
                "does": step.does,
                "entry": step.entry,
                "recipe": step.recipe,
                "rows": list(step.rows),
                "needs": list(step.needs),
                "state": "done" if done else "not prepared" if _is_stuck(step) else "to do",
                "steps": expected.steps,
                "images": expected.images,
                "seconds": None if expected.seconds is None else round(expected.seconds, 1),
                "missing": list(step.missing),
                "command": step.command,
            }
        )
    return rows


def _is_stuck(step: Step) -> bool:
    """Whether a step cannot run for want of data; an evaluation takes the test sets that there are."""
    return bool(step.missing) and not (step.does == "eval" and step.splits)


def _show_plan(title: str, costs: Sequence[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        print_json({"title": title, "steps": list(costs)})
        return
    rows = [
        {
            "run": row["run"],
            "does": f"{row['does']} {row['entry']}.{row['recipe']}",
            "steps": f"{row['steps']:,}" if row["steps"] else "",
            "images": f"{row['images']:,}" if row["images"] else "unknown",
            "about": duration(row["seconds"]),
            "state": row["state"],
        }
        for row in costs
    ]
    print_table(rows, title=title)
    missing = dict.fromkeys(split for row in costs for split in row["missing"])
    if missing:
        say(f"not prepared: {', '.join(missing)}")
        say(f"to bring: strbench data fetch {' '.join(missing)}")
    _say_costs(costs)


def _say_costs(costs: Sequence[dict[str, Any]]) -> None:
    """One line: how much is to do, and how long that takes where the speed is known."""
    left = [row for row in costs if row["state"] != "done"]
    trained = [row for row in left if row["does"] != "eval"]
    images = sum(row["images"] or 0 for row in trained)
    unknown = sum(row["seconds"] is None for row in trained)
    seconds = sum(row["seconds"] or 0.0 for row in left)
    text = f"{len(left)} of {len(costs)} steps to do, {len(trained)} of them trainings"
    if trained:
        text += f" on {images:,} images"
        known = len(trained) - unknown
        text += f"; {known} of them take about {duration(seconds)}" if known else ""
        text += f"; of {unknown} the speed here is unknown" if unknown else ""
    say(text)


def duration(seconds: float | None) -> str:
    """Seconds as a person says them.

    >>> duration(45), duration(600), duration(9000), duration(None)
    ('45 s', '10 min', '2.5 h', 'unknown')
    """
    if seconds is None:
        return "unknown"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _log(run: str) -> OnLog:
    progress = Progress(run)

    def show(done: int, total: int, terms: dict[str, float]) -> None:
        progress(done, total, "  ".join(f"{key} {value:.4g}" for key, value in terms.items()))

    return show


class _Batches:
    """Progress of reading, a line for each split that is being read."""

    def __init__(self) -> None:
        self._lines: dict[str, Progress] = {}

    def __call__(self, split: str, done: int, total: int) -> None:
        self._lines.setdefault(split, Progress(split))(done, total)
        if done >= total:
            del self._lines[split]


def _show_table(
    table: str,
    scale: str,
    found: Reproduction,
    chosen: Scale,
    outcomes: Sequence[Outcome],
    *,
    markdown: bool,
    as_json: bool,
) -> None:
    from strbench.home import home
    from strbench.records import load_all
    from strbench.report import reproduced
    from strbench.reproduce import weights

    steps = [outcome.step for outcome in outcomes]
    folder = home() / "records"
    records = load_all(folder) if folder.is_dir() else []
    # A run that failed its check is not the table's, whatever was scored with it.
    checked = {
        outcome.step.run: weights(outcome.step.run)
        for outcome in outcomes
        if outcome.step.does == "eval" and outcome.state in ("done", "finished")
    }
    tables = [
        reproduced.build(
            table, scale, found, chosen, steps, records, checked, metric=cast("Metric", metric)
        )
        for metric in found.metrics
    ]
    if as_json:
        states = [
            {"run": o.step.run, "does": o.step.does, "state": o.state, "reason": o.reason}
            for o in outcomes
        ]
        sys.stdout.write(reproduced.as_json(tables, states))
    elif markdown or not sys.stdout.isatty():
        sys.stdout.write("\n".join(map(reproduced.markdown, tables)))
    else:
        for made in tables:
            print_table(list(reproduced.as_rows(made)), title=made.title)
            for note in made.notes:
                print(note)


def _leave_with(outcomes: Sequence[Outcome]) -> None:
    """Says what was done.

    Raises:
        StrbenchError: a step failed (exit PARTIAL); every one is named.
    """
    failed = [outcome for outcome in outcomes if outcome.state == "failed"]
    left = sum(outcome.state == "left out" for outcome in outcomes)
    if failed:
        named = "; ".join(f"{o.step.does} {o.step.run}: {o.reason}" for o in failed)
        others = f" and {left} that need{'s' if left == 1 else ''} them left out" if left else ""
        raise StrbenchError(
            f"{len(failed)} of {len(outcomes)} steps failed{others}: {named}",
            hint="Mend that and give the same command again; what is finished stays.",
            exit_code=PARTIAL,
        )
    done = sum(outcome.state == "done" for outcome in outcomes)
    say(f"{len(outcomes)} steps, {done} of them done before; records are in records/ of the home")
