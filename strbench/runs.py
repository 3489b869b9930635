"""One training run from names to weights: configuration, data, loop, record.

A run has a folder ``<home>/runs/<name>/``. Its key is the hash of everything that shapes the weights;
running the same command again resumes it, or says that it is finished.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from strbench import models, records, registry
from strbench.checkpoints import CHECKPOINT, LOG, TENSORBOARD
from strbench.datasets import obtain
from strbench.devices import autocast_type, device_name, pick_device
from strbench.errors import PARTIAL, StrbenchError, unknown_name
from strbench.files import lock
from strbench.home import home
from strbench.methods import LoopConfig, Method
from strbench.settings import override
from strbench.store import prepared_splits
from strbench.streams import Portion, WordStream, parse_portions
from strbench.train import Ranks, TrainResult, fit, ranks, total_steps


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A training run that is decided but not begun; ``describe`` is what --dry-run prints."""

    name: str
    entry: str
    kind: str  # "methods" or "models"
    method: Method
    recipe: str
    config: Any
    typed: list[str]
    portions: list[Portion]
    first: float | None
    parent: str | None  # name or folder of the pretraining run
    seed: int
    device: torch.device

    @property
    def directory(self) -> Path:
        return home() / "runs" / self.name

    @property
    def trained_on(self) -> str:
        """The data in one line, for cards and tables."""
        names = [split.name for portion in self.portions for split in portion.splits]
        part = "" if self.first is None else f" (first {self.first:.0%})"
        return " + ".join(names) + part


def find_entry(kind: registry.Kind, name: str) -> tuple[str, Method, list[str]]:
    """The registry entry for ``dig`` or ``dig-small``, with the setting that the suffix stands for.

    Raises:
        StrbenchError: no such entry.
    """
    known = registry.names(kind)
    if name in known:
        return name, registry.load(kind, name), []
    stem, _, size = name.rpartition("-")
    if stem in known:
        return stem, registry.load(kind, stem), [f"size={size}"]
    raise unknown_name(kind[:-1], name, known, hint=f"See: strbench list {kind}")


def pick_recipe(method: Method, recipe: str | None, device: torch.device) -> str:
    """The recipe asked for, or the one for this hardware: ``small`` on a GPU, ``smoke`` without.

    Raises:
        StrbenchError: no such recipe.
    """
    if recipe is None:
        return "small" if device.type == "cuda" else "smoke"
    if recipe not in method.recipes:
        raise unknown_name("recipe", recipe, method.recipes)
    return recipe


def make_plan(
    kind: registry.Kind,
    name: str,
    *,
    data: Sequence[str],
    recipe: str | None = None,
    settings: Sequence[str] = (),
    run_name: str | None = None,
    parent: str | None = None,
    first: float | None = None,
    seed: int = 0,
    device: str = "auto",
) -> Plan:
    """What a command line means, checked before anything is written.

    Raises:
        StrbenchError: an unknown entry, recipe, setting, split or parent, or data without labels for
            an entry that needs them.
    """
    entry, method, implied = find_entry(kind, name)
    where = pick_device(device)
    recipe = pick_recipe(method, recipe, where)
    origin = models.load_info(models.run_directory(parent)) if parent is not None else None
    if origin is not None and not implied and "size" in origin.config:
        implied = [f"size={origin.config['size']}"]  # unless a setting says otherwise
    config = override(method.recipes[recipe], [*implied, *settings])
    portions = parse_portions(data)
    if method.needs_labels:
        for split in (split for portion in portions for split in portion.splits):
            if split.manifest.labels == "none":
                raise StrbenchError(
                    f"{split.name} has no labels, and {entry} is trained on labels.",
                    hint="See: strbench list datasets",
                )
    if run_name is not None and (Path(run_name).name != run_name or run_name.startswith(".")):
        raise StrbenchError(
            f"--name {run_name!r}: expected the name of a folder under {home() / 'runs'}.",
            hint="--name my-run",
        )
    size = getattr(config, "size", "")
    default = f"{entry}{'-' if size else ''}{size}.{recipe}"
    if origin is not None:
        default += f"+{origin.entry}"
    if seed:
        default += f"-seed{seed}"
    return Plan(
        name=run_name or default,
        entry=entry,
        kind=kind,
        method=method,
        recipe=recipe,
        config=config,
        typed=list(settings),
        portions=portions,
        first=first,
        parent=parent,
        seed=seed,
        device=where,
    )


def default_data(
    kind: registry.Kind,
    recipe: str | None,
    *,
    device: str,
    say: Callable[[str], None],
) -> list[str]:
    """The rendered words that a recipe trains on where no data was named, drawn if need be.

    Raises:
        StrbenchError: the ``paper`` recipe, whose data no stand-in can replace.
    """
    name = recipe or ("smoke" if pick_device(device).type == "cpu" else "small")
    if name == "paper":
        raise StrbenchError(
            "The paper recipe needs the paper's kind of data, and no --data was given.",
            hint="For example: --data iiit5k/train --data svt/train   (see: strbench list datasets)",
        )
    if name == "smoke":
        split = "rendered_demo/train"
    else:
        split = "rendered/unlabelled" if kind == "methods" else "rendered/train"
    say(f"no --data: rendered words, {split}")
    if split not in prepared_splits():
        if "RANK" in os.environ:
            raise StrbenchError(
                f"{split} is not prepared, and the ranks of torchrun must find it ready.",
                hint=f"First, without torchrun: strbench data fetch {split}",
            )
        obtain(split, say=say)
    return [split]


def _stream(plan: Plan, rank: int, world: int) -> WordStream:
    config: LoopConfig = plan.config
    return WordStream(
        plan.portions,
        height=config.height,
        width=config.width,
        batch_size=config.batch_size,
        seed=plan.seed,
        rank=rank,
        world=world,
        first=plan.first,
        with_labels=plan.method.needs_labels,
    )


def describe(plan: Plan) -> dict[str, Any]:
    """The plan as one document: what would run, on what, for how many steps."""
    stream = _stream(plan, 0, 1)
    module = plan.method.build(plan.config)
    steps = total_steps(plan.config, stream.n)
    return {
        "name": plan.name,
        "recipe": plan.recipe,
        "device": str(plan.device),
        "data": {split.name: split.n for portion in plan.portions for split in portion.splits},
        "parent": plan.parent,
        "parameters": sum(p.numel() for p in module.parameters()),
        "steps": steps,
        "images": steps * plan.config.batch_size,
        "folder": str(plan.directory),
        "config": asdict(plan.config),
    }


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
                for old in (models.RUN, models.WEIGHTS, CHECKPOINT, LOG):
                    (directory / old).unlink(missing_ok=True)
                shutil.rmtree(directory / TENSORBOARD, ignore_errors=True)
        else:
            say = _silent
        place.wait()
        module, lineage, parent_sha = _build(plan, say)
        key = _key(plan, parent_sha)
        if _is_finished(directory, key, plan.name):
            say(f"{plan.name} is finished already; --replace trains it anew")
            return directory / models.WEIGHTS
        stream = _stream(plan, place.rank, place.world)

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
            )

        if not place.is_first:
            train()
            return directory / models.WEIGHTS
        with _record(plan, lineage, place) as record:
            try:
                result = train()
            except StrbenchError as error:
                if error.exit_code == PARTIAL:
                    record.partial(reason=error.message)
                raise
            if result.resumed_at:
                say(f"resumed at step {result.resumed_at} of {result.steps}")
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
                key=key,
            )
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
        (directory / CHECKPOINT).unlink(missing_ok=True)
    return directory / models.WEIGHTS


def _silent(text: str) -> None:
    """What ranks other than the first say."""


def _build(plan: Plan, say: Callable[[str], None]) -> tuple[nn.Module, list[str], str]:
    """The module at its first step, the run ids it descends from, and the parent's checksum."""
    torch.manual_seed(plan.seed)
    module = plan.method.build(plan.config)
    if plan.parent is None:
        return module, [], ""
    if plan.method.load_encoder is None:
        raise StrbenchError(
            f"{plan.entry} does not start from another run's weights.", hint="Leave --from out."
        )
    info, _, tensors, weights = models.load_run(models.run_directory(plan.parent))
    fresh = plan.method.load_encoder(module, tensors)
    say(f"encoder from {info.name}; fresh there: {', '.join(fresh) or 'nothing'}")
    return module, [info.record, *info.parents], weights["sha256"]


def _key(plan: Plan, parent_sha: str) -> str:
    """The hash of everything that shapes the weights."""
    data = [
        [[split.name, split.fingerprint] for split in portion.splits] + [portion.fraction]
        for portion in plan.portions
    ]
    shape = [plan.entry, asdict(plan.config), data, plan.first, plan.seed, parent_sha]
    return hashlib.sha256(json.dumps(shape, sort_keys=True).encode()).hexdigest()


def _record(plan: Plan, lineage: list[str], place: Ranks) -> records.Record:
    dtype = autocast_type(plan.config.precision, plan.device)
    return records.start(
        kind="pretrain" if plan.kind == "methods" else "finetune",
        name=plan.name,
        config={"recipe": plan.recipe, "first": plan.first, **asdict(plan.config)},
        typed=plan.typed,
        data=[
            records.Data(
                split=split.name,
                n=split.n,
                fingerprint=split.fingerprint,
                labels=split.manifest.labels,
            )
            for portion in plan.portions
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


def _is_finished(directory: Path, key: str, name: str) -> bool:
    """True if these very weights are there.

    Raises:
        StrbenchError: a finished run of another configuration, data or seed has this name.
    """
    if not (directory / models.RUN).is_file():
        return False
    if models.load_run(directory)[0].key == key:
        return True
    raise StrbenchError(
        f"{directory} holds a finished run {name} with another configuration, data or parent.",
        hint="Give this run a --name of its own, or --replace that one.",
    )
