"""Rebuilding a table of a paper: what its steps cost, which are done, and running the others.

A step is done where its run is finished under its name, or where a record holds its scores on the test
sets as they are; so the same command resumes, and a run that was trained elsewhere counts.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

from strbench import registry
from strbench.errors import PARTIAL, StrbenchError
from strbench.reproductions import Step, is_drawn

if TYPE_CHECKING:
    from strbench.records import Record

OnLog = Callable[[int, int, dict[str, float]], None]
Rule = Callable[[str], str]  # of a test set, the name of its protocol


class Cost(NamedTuple):
    """What a step is expected to take; None where it cannot be told."""

    steps: int | None
    images: int | None
    seconds: float | None


def cost(step: Step, rates: Mapping[tuple[str, str, str], float]) -> Cost:
    """Optimiser steps and images of a step, and seconds at the rate of an earlier run like it.

    Args:
        rates: as ``known_rates`` gives them.
    """
    if step.does == "eval":
        steps, images = None, sum(_size(split) for split in step.splits)
    else:
        from strbench.settings import override
        from strbench.streams import Subset
        from strbench.train import total_steps

        config = override(registry.load(step.kind, step.entry).recipes[step.recipe], step.settings)
        part = Subset(*step.part) if step.part else None
        sizes = [_size(text.partition("=")[0]) for text in step.data]
        if not config.steps and not all(sizes):
            return Cost(None, None, None)
        steps = total_steps(config, sum(part.count(n) if part else n for n in sizes))
        images = steps * config.images_a_step
    rate = rates.get((step.does, step.entry, step.recipe))
    return Cost(steps, images, images / rate if rate else None)


def _size(split: str) -> int:
    """Samples of a split, as prepared or as its source states; 0 where neither tells."""
    from strbench.datasets import resolve
    from strbench.store import find_split, prepared_splits

    if split in prepared_splits():
        return find_split(split).n
    spec = resolve(split, own=True).spec
    return spec.split(split).n if spec is not None else 0


def known_rates(records: Iterable[Record], *, device: str) -> dict[tuple[str, str, str], float]:
    """(what, entry, recipe) -> images a second of the newest finished run on the same device.

    Args:
        records: oldest first.
        device: as a record names it, see ``devices.device_name``.
    """
    rates: dict[tuple[str, str, str], float] = {}
    trained: dict[str, tuple[str, str]] = {}
    for record in records:
        rate = record.cost.get("images_per_second")
        settings = record.config.get("resolved") or {}
        if record.kind in ("pretrain", "finetune"):
            entry, recipe = settings.get("entry", ""), settings.get("recipe", "")
            trained[record.run_id] = (entry, recipe)
        elif record.kind == "eval" and record.parents:
            entry, recipe = trained.get(record.parents[0], ("", ""))
        else:
            continue
        here = record.environment.get("device") == device
        if record.status == "success" and here and rate and entry:
            rates[record.kind, entry, recipe] = rate
    return rates


def weights(run: str) -> str:
    """The SHA-256 of a finished run's weights; "" where it is not finished."""
    from strbench.files import file_sha256
    from strbench.home import home
    from strbench.models import RUN, WEIGHTS

    directory = home() / "runs" / run
    is_finished = (directory / RUN).is_file() and (directory / WEIGHTS).is_file()
    return file_sha256(directory / WEIGHTS) if is_finished else ""


def is_done(step: Step, records: Iterable[Record], *, rule: Rule) -> bool:
    """Whether a training step has a finished run of its name, entry, recipe and seed; whether an
    evaluation's scores on all its splits, as they are now and with these weights, are recorded.
    """
    from strbench.home import home
    from strbench.models import RUN, load_info

    if step.does == "eval":
        return bool(step.splits) and not unscored(step, records, rule=rule)
    directory = home() / "runs" / step.run
    if not (directory / RUN).is_file():
        return False
    info = load_info(directory)
    return (info.entry, info.recipe, info.seed) == (step.entry, step.recipe, step.seed)


def unscored(step: Step, records: Iterable[Record], *, rule: Rule) -> list[str]:
    """The splits of an evaluation that no record holds a score of."""
    from strbench.store import find_split, prepared_splits

    sha256 = weights(step.run)
    scored = {
        (score.split, score.fingerprint)
        for record in records
        if counts(record, step.run, sha256)
        for score in record.scores
        if score.protocol == rule(score.split)
    }
    prepared = prepared_splits()
    return [
        split
        for split in step.splits
        if split not in prepared or (split, find_split(split).fingerprint) not in scored
    ]


def counts(record: Record, run: str, sha256: str) -> bool:
    """Whether a record holds whole scores of this run with these weights."""
    return (
        record.kind == "eval"
        and record.status == "success"
        and record.limit is None
        and record.name == run
        and record.weights is not None
        and record.weights.sha256 == sha256
    )


class Outcome(NamedTuple):
    """What became of a step; ``reason`` says why it failed or was left out."""

    step: Step
    state: Literal["done", "finished", "failed", "left out"]
    reason: str = ""


def execute(
    steps: Sequence[Step],
    *,
    rule: Rule,
    device: str = "auto",
    replace: bool = False,
    say: Callable[[str], None] = lambda text: None,
    on_log: Callable[[str], OnLog] | None = None,
    on_batch: Callable[[str, int, int], None] | None = None,
) -> list[Outcome]:
    """Every step run, in order; one that fails stops those that need it, and the others go on.

    Args:
        replace: train anew what is finished.
        on_log: gives, for a run's name, what is told of its progress.

    Raises:
        StrbenchError: interrupted (exit PARTIAL), or started by torchrun.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise StrbenchError(
            "A table is rebuilt by one process, and torchrun started several.",
            hint="Train single runs under torchrun, by the commands of --dry-run --json; "
            "the table then takes them as done.",
        )
    outcomes: list[Outcome] = []
    broken: set[str] = set()
    for number, step in enumerate(steps, 1):
        title = f"[{number}/{len(steps)}] {step.does} {step.run}"
        needed = next((run for run in step.needs if run in broken), None)
        if needed is not None:
            outcome = Outcome(step, "left out", f"{needed} failed")
        else:
            try:
                outcome = Outcome(
                    step, _run(step, title, rule, device, replace, say, on_log, on_batch)
                )
            except (StrbenchError, RuntimeError, MemoryError) as error:
                outcome = Outcome(step, "failed", _reason(error))
            except KeyboardInterrupt:
                raise _interrupted() from None
        if outcome.state in ("failed", "left out"):
            broken.add(step.run)
            say(f"{title}: {outcome.state}: {outcome.reason}")
        outcomes.append(outcome)
    return outcomes


def _interrupted() -> StrbenchError:
    return StrbenchError(
        "Interrupted; finished runs and the readings made so far are kept.",
        hint="The same command goes on where this one stopped.",
        exit_code=PARTIAL,
    )


def _reason(error: StrbenchError | RuntimeError | MemoryError) -> str:
    """Why a step failed.

    Raises:
        StrbenchError: a person interrupted the step.
        RuntimeError: a bug.
    """
    if isinstance(error, StrbenchError):
        if error.exit_code == PARTIAL:
            raise _interrupted() from error
        return str(error)
    from strbench.devices import is_out_of_memory

    if isinstance(error, RuntimeError) and not is_out_of_memory(error):
        raise error
    return "out of memory; a smaller batch would be another recipe, so use a larger device"


def _run(
    step: Step,
    title: str,
    rule: Rule,
    device: str,
    replace: bool,
    say: Callable[[str], None],
    on_log: Callable[[str], OnLog] | None,
    on_batch: Callable[[str, int, int], None] | None,
) -> Literal["done", "finished"]:
    from strbench.datasets import obtain
    from strbench.home import home
    from strbench.records import load_all
    from strbench.store import find_split, prepared_splits

    folder = home() / "records"
    records = load_all(folder) if folder.is_dir() else []
    was_done = is_done(step, records, rule=rule)
    if step.does == "eval" and was_done:
        return "done"
    for text in (*step.data, *step.unlabelled, *step.splits):
        split = text.partition("=")[0]
        if split not in prepared_splits() and not split.endswith(".txt") and is_drawn(split):
            obtain(split, say=say)
    if step.does != "eval":
        from strbench import plans, runs
        from strbench.streams import Subset

        planned = plans.make_plan(
            step.kind,
            step.entry,
            data=step.data,
            unlabelled=step.unlabelled,
            recipe=step.recipe,
            settings=step.settings,
            run_name=step.run,
            parents=step.needs,
            subset=Subset(*step.part) if step.part else None,
            seed=step.seed,
            device=device,
        )
        is_new = replace or not was_done
        if is_new:
            say(title)
        # A finished run is only checked: under another configuration or other data it is an error.
        runs.execute(
            planned,
            replace=replace,
            say=say if is_new else None,
            on_log=on_log(step.run) if on_log else None,
        )
        return "finished" if is_new else "done"
    if not step.splits:
        raise StrbenchError(
            f"None of the test sets is prepared: {', '.join(step.missing)}.",
            hint=f"strbench data fetch {' '.join(step.missing)}",
        )
    from strbench import evaluating, models

    say(title)
    task = registry.load(step.kind, step.entry).task
    evaluating.evaluate(
        models.resolve(step.run, task=task, device=device),
        [find_split(split) for split in unscored(step, records, rule=rule)],
        protocols={split: rule(split) for split in step.splits},
        on_batch=on_batch,
    )
    return "finished"
