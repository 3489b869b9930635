"""One training run, from a plan to weights: loop, checkpoint, record.

A run has a folder ``<home>/runs/<name>/``. Its key is the hash of everything that shapes the weights;
running the same command again resumes it, or says that it is finished.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, fields
from pathlib import Path

import torch
from torch import nn

from strbench import models, records
from strbench.checkpoints import TENSORBOARD
from strbench.devices import autocast_type, device_name
from strbench.errors import DATA, PARTIAL, StrbenchError
from strbench.files import lock
from strbench.methods import inherit
from strbench.origins import Origin, opened
from strbench.plans import Plan
from strbench.scores import Data
from strbench.train import Ranks, TrainResult, fit, ranks, total_steps
from strbench.unfinished import CHECKPOINT, LOG, STARTED, Unfinished, load_unfinished


def execute(
    plan: Plan,
    *,
    replace: bool = False,
    say: Callable[[str], None] | None = None,
    on_log: Callable[[int, int, dict[str, float]], None] | None = None,
    checkpoint_seconds: float = 60.0,
) -> Path:
    """Train, save and record; the path of the weights comes back.

    Raises:
        StrbenchError: everything that ``train.fit`` raises, or another process trains this run.
    """
    say = say or _silent
    directory = plan.directory
    directory.mkdir(parents=True, exist_ok=True)
    with ranks(plan.device) as place, contextlib.ExitStack() as held:
        if place.is_first:
            held.enter_context(lock(directory / ".lock", what=f"The run {plan.name}"))
            for half_written in directory.glob(".*.tmp"):  # by a process that was killed
                half_written.unlink()
            if replace:
                for old in (models.RUN, models.WEIGHTS, STARTED, CHECKPOINT, LOG):
                    (directory / old).unlink(missing_ok=True)
                shutil.rmtree(directory / TENSORBOARD, ignore_errors=True)
        else:
            say = _silent
        place.wait()
        module, origins = _build(plan, say)
        lineage = [told for origin in origins for told in origin.lineage]
        checksums = [origin.sha256 for origin in origins]
        key = _key(plan, checksums)
        if _is_finished(plan, checksums):
            say(f"{plan.name} is finished already; --replace trains it anew")
            return directory / models.WEIGHTS
        _refuse_another(plan, key)
        stream = plan.stream(place.rank, place.world)

        def train() -> TrainResult:
            return fit(
                plan.method,
                module,
                plan.config,
                stream,
                directory,
                device=plan.device,
                place=place,
                key=key,
                checkpoint_seconds=checkpoint_seconds,
                on_log=on_log,
                on_resume=lambda step, total: say(f"resumed at step {step} of {total}"),
            )

        if not place.is_first:
            train()
            return directory / models.WEIGHTS
        with _record(plan, lineage, place) as record:
            info = models.RunInfo(
                name=plan.name,
                entry=plan.entry,
                kind=plan.kind,
                recipe=plan.recipe,
                config=asdict(plan.config),
                seed=plan.seed,
                record=record.run_id,
                parents=lineage,
                trained_on=plan.trained_on,
                seen=_seen(plan, origins),
                key=key,
                reads=plan.method.answers,
            )
            steps = total_steps(plan.config, stream.n)
            Unfinished(info=info, steps=steps, argv=records.command_line()).save(directory)
            try:
                result = train()
            except StrbenchError as error:
                if error.exit_code == PARTIAL:
                    record.partial(reason=error.message)
                raise
            saved = models.save_run(directory, plan.method.export(module), info)
            record.finish(
                weights=records.stored(directory / models.WEIGHTS, sha256=saved["sha256"]),
                cost={
                    "seconds": round(result.seconds, 1),
                    "steps": result.steps,
                    "images": result.images,
                    "images_per_second": round(result.images / result.seconds, 1),
                    "peak_memory_bytes": result.peak_memory_bytes,
                    "resumed_at": result.resumed_at,
                    "last": {name: round(value, 5) for name, value in result.last.items()},
                },
            )
        for done in (STARTED, CHECKPOINT):
            (directory / done).unlink(missing_ok=True)
    return directory / models.WEIGHTS


def _silent(text: str) -> None:
    """What ranks other than the first say."""


def _build(plan: Plan, say: Callable[[str], None]) -> tuple[nn.Module, list[Origin]]:
    """The module at its first step, and the runs and files that it starts from."""
    torch.manual_seed(plan.seed)
    module = plan.method.build(plan.config)
    origins = [opened(parent, plan.method) for parent in plan.parents]
    if origins:
        weights = {origin.info.name: origin.tensors for origin in origins}
        fresh = inherit(module, weights, fresh=plan.method.fresh or ())
        say(f"weights from {', '.join(weights)}; fresh here: {_shortened(fresh)}")
    return module, origins


def _seen(plan: Plan, origins: Sequence[Origin]) -> list[str]:
    own = (
        split.fingerprint
        for portion in (*plan.portions, *plan.unlabelled)
        for split in portion.splits
    )
    before = (fingerprint for origin in origins for fingerprint in origin.info.seen)
    return list(dict.fromkeys((*before, *own)))


def _shortened(names: Sequence[str]) -> str:
    """Names of tensors by their first two parts, each once."""
    return ", ".join(dict.fromkeys(".".join(name.split(".")[:2]) for name in names)) or "nothing"


def _key(plan: Plan, checksums: Sequence[str], known: Collection[str] = ()) -> str:
    """The hash of everything that shapes the weights.

    Args:
        known: the settings that an older version had, where a run of it is looked for: one that came
            later counts only where it is not at its default. Empty: all count.
    """
    every = asdict(plan.config)
    settings = {
        field.name: every[field.name]
        for field in fields(plan.config)
        if not known or field.name in known or getattr(plan.config, field.name) != field.default
    }
    data = [
        [[split.name, split.fingerprint] for split in portion.splits] + [portion.fraction]
        for portion in (*plan.portions, *plan.unlabelled)
    ]
    shape = [
        plan.entry, settings, data, len(plan.unlabelled), str(plan.subset), plan.seed,
        checksums,
    ]  # fmt: skip
    return hashlib.sha256(json.dumps(shape, sort_keys=True).encode()).hexdigest()


def _record(plan: Plan, lineage: list[str], place: Ranks) -> records.Record:
    dtype = autocast_type(plan.config.precision, plan.device)
    return records.start(
        kind="pretrain" if plan.kind == "methods" else "finetune",
        name=plan.name,
        config={
            "entry": plan.entry,
            "recipe": plan.recipe,
            "subset": asdict(plan.subset) if plan.subset else None,
            "unlabelled": [split.name for portion in plan.unlabelled for split in portion.splits],
            **asdict(plan.config),
        },
        typed=plan.typed,
        data=[
            Data(
                split=split.name,
                n=split.n,
                fingerprint=split.fingerprint,
                labels=split.manifest.labels,
            )
            for portion in (*plan.portions, *plan.unlabelled)
            for split in portion.splits
        ],
        parents=lineage,
        seed=plan.seed,
        environment={
            "device": device_name(plan.device),
            "ranks": place.world,
            "dtype": "float32" if dtype is None else str(dtype).removeprefix("torch."),
            "tf32": torch.backends.cuda.matmul.allow_tf32,
            "batch_size": plan.config.batch_size,
        },
    )


def standing(plan: Plan) -> str:
    """What ``execute`` would find of this run, in a line; "" where it would begin it.

    Raises:
        StrbenchError: a run of another configuration, data or seed has this name.
    """
    checksums = [opened(parent, plan.method).sha256 for parent in plan.parents]
    if _is_finished(plan, checksums):
        return f"{plan.name} is finished already; --replace trains it anew"
    _refuse_another(plan, _key(plan, checksums))
    there = load_unfinished(plan.directory)
    return f"{plan.name} is {there.state(plan.directory)}; it would go on" if there else ""


def _refuse_another(plan: Plan, key: str) -> None:
    """Raise a StrbenchError where the checkpoint of this name is that of another run."""
    there = load_unfinished(plan.directory) if (plan.directory / CHECKPOINT).is_file() else None
    if there is not None and there.info.key != key:
        raise StrbenchError(
            f"{plan.directory} holds a run with another configuration, data or seed"
            f"{_difference(there.info, plan)}.",
            hint="Give this run a --name of its own, or --replace to discard that one.",
            exit_code=DATA,
        )


def _difference(there: models.RunInfo, plan: Plan) -> str:
    """The first two settings in which a run differs, as ``: lr 0.001, not 0.002``; "" where none does."""
    ours = {"entry": plan.entry, "data": plan.trained_on, "seed": plan.seed, **asdict(plan.config)}
    theirs = {"entry": there.entry, "data": there.trained_on, "seed": there.seed, **there.config}
    pairs = [
        (name, theirs[name], value)
        for name, value in json.loads(json.dumps(ours)).items()
        if name in theirs and theirs[name] != value
    ]
    told = "; ".join(f"{name} {old}, not {new}" for name, old, new in pairs[:2])
    return f": {told}" if told else ""


def _is_finished(plan: Plan, checksums: Sequence[str]) -> bool:
    """True if these very weights are there.

    Raises:
        StrbenchError: a finished run of another configuration, data or seed has this name.
    """
    if not (plan.directory / models.RUN).is_file():
        return False
    there = models.load_run(plan.directory)[0]
    if there.key in (_key(plan, checksums), _key(plan, checksums, there.config)):
        return True
    raise StrbenchError(
        f"{plan.directory} holds a finished run {plan.name} with another configuration, data or parent"
        f"{_difference(there, plan)}.",
        hint="Give this run a --name of its own, or --replace that one.",
    )
