"""One training run from names to weights: configuration, data, loop, record.

A run has a folder ``<home>/runs/<name>/``. Its key is the hash of everything that shapes the weights;
running the same command again resumes it, or says that it is finished.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import nn

from strbench import models, records, registry
from strbench.checkpoints import CHECKPOINT, LOG, TENSORBOARD
from strbench.devices import autocast_type, device_name, pick_device
from strbench.errors import PARTIAL, StrbenchError, unknown_name
from strbench.feeds import feed_of
from strbench.files import lock
from strbench.home import home
from strbench.methods import LoopConfig, Method, inherit
from strbench.origins import info_of, opened
from strbench.scores import Data
from strbench.settings import override
from strbench.streams import Portion, Stream, Subset, parse_portions
from strbench.train import Ranks, TrainResult, fit, ranks, total_steps


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A training run that is decided but not begun; ``describe`` is what --dry-run prints."""

    name: str
    entry: str
    kind: registry.Kind  # "methods" or "models"
    method: Method
    recipe: str
    config: Any
    typed: list[str]
    portions: list[Portion]
    unlabelled: list[Portion]
    subset: Subset | None
    parents: tuple[str, ...]  # names or folders of the runs, or files, whose weights it starts from
    seed: int
    device: torch.device

    @property
    def directory(self) -> Path:
        return home() / "runs" / self.name

    @property
    def trained_on(self) -> str:
        """The data in one line, for cards and tables."""
        part = f" ({self.subset})" if self.subset else ""
        more = f", unlabelled {_named(self.unlabelled)}" if self.unlabelled else ""
        return _named(self.portions) + part + more


def _named(portions: Sequence[Portion]) -> str:
    return " + ".join(split.name for portion in portions for split in portion.splits)


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
    unlabelled: Sequence[str] = (),
    recipe: str | None = None,
    settings: Sequence[str] = (),
    run_name: str | None = None,
    parents: Sequence[str] = (),
    subset: Subset | None = None,
    seed: int = 0,
    device: str = "auto",
) -> Plan:
    """What a command line means, checked before anything is written.

    Raises:
        StrbenchError: an unknown entry, recipe, setting, split or parent; data without labels for
            an entry that needs them; unlabelled data missing, or given to an entry that has no use
            for it; a parent missing, or given to an entry that starts from none.
    """
    entry, method, implied = find_entry(kind, name)
    where = pick_device(device)
    recipe = pick_recipe(method, recipe, where)
    origins = [info_of(parent) for parent in parents]
    check_parents(entry, method, origins)
    inherited = [
        f"{setting}={origin.config[setting]}"
        for origin in origins
        for setting in method.shape
        if setting in origin.config
    ]
    config = override(method.recipes[recipe], [*inherited, *implied, *settings])
    portions = parse_portions(data, task=method.task)
    if method.needs_labels:
        for split in (split for portion in portions for split in portion.splits):
            if split.manifest.labels == "none":
                raise StrbenchError(
                    f"{split.name} has no labels, and {entry} is trained on labels.",
                    hint="See: strbench list datasets",
                )
    if bool(unlabelled) != bool(config.unlabelled_batch_size):
        raise StrbenchError(
            f"{entry} also learns from images without labels, and none were given."
            if config.unlabelled_batch_size
            else f"{entry} has no use for --unlabelled data.",
            hint="--unlabelled rendered/unlabelled"
            if config.unlabelled_batch_size
            else "Give its data with --data.",
        )
    if run_name is not None and (Path(run_name).name != run_name or run_name.startswith(".")):
        raise StrbenchError(
            f"--name {run_name!r}: expected the name of a folder under {home() / 'runs'}.",
            hint="--name my-run",
        )
    size = getattr(config, "size", "")
    default = f"{entry}{'-' if size else ''}{size}.{recipe}"
    default += "".join(f"+{origin.entry}" for origin in origins)
    if subset is not None:
        default += f"-{subset.how}{subset.fraction:g}"
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
        unlabelled=parse_portions(unlabelled, option="--unlabelled") if unlabelled else [],
        subset=subset,
        parents=tuple(parents),
        seed=seed,
        device=where,
    )


def check_parents(entry: str, method: Method, origins: Sequence[models.RunInfo]) -> None:
    """Refuses weights that the entry does not start from, and the lack of those it needs."""
    names = [origin.entry for origin in origins]
    if origins and method.fresh is None:
        raise StrbenchError(
            f"{entry} does not start from another run's weights.", hint="Leave --from out."
        )
    if method.parents and not set(names) & set(method.parents):
        raise StrbenchError(
            f"{entry} starts from a trained {' or '.join(method.parents)}, "
            f"and {'found ' + ', '.join(names) if names else 'none was given'}.",
            hint=f"strbench finetune {method.parents[0]} --from scratch, then --from that run",
        )
    for origin in (origin for origin in origins if origin.recipe):  # a file of weights has none
        parent: Method = registry.load(origin.kind, origin.entry)
        if entry not in (origin.entry, *parent.feeds) and origin.entry not in method.parents:
            able = [name for name in registry.names("methods") if _feeds(name, entry)]
            able = list(dict.fromkeys([*able, *method.parents, entry]))
            raise StrbenchError(
                f"{entry} does not start from the weights of {origin.name}, a run of {origin.entry}.",
                hint=f"It starts from runs of {', '.join(able)}.",
            )


def _feeds(name: str, entry: str) -> bool:
    method: Method = registry.load("methods", name)
    return entry in method.feeds


def _stream(plan: Plan, rank: int, world: int) -> Stream:
    config: LoopConfig = plan.config
    return Stream(
        plan.portions,
        feed=feed_of(plan.method, config),
        batch_size=config.batch_size,
        seed=plan.seed,
        rank=rank,
        world=world,
        unlabelled=plan.unlabelled,
        unlabelled_batch_size=config.unlabelled_batch_size,
        subset=plan.subset,
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
        "subset": str(plan.subset) if plan.subset else None,
        "unlabelled": {s.name: s.n for portion in plan.unlabelled for s in portion.splits},
        "parents": list(plan.parents),
        "parameters": sum(p.numel() for p in module.parameters()),
        "steps": steps,
        "images": steps * plan.config.images_a_step,
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
        module, lineage, checksums = _build(plan, say)
        key = _key(plan, checksums)
        if _is_finished(plan, checksums):
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
                reads=plan.method.answers,
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


def _build(plan: Plan, say: Callable[[str], None]) -> tuple[nn.Module, list[str], list[str]]:
    """The module at its first step, the runs and files it descends from, and the parents' checksums."""
    torch.manual_seed(plan.seed)
    module = plan.method.build(plan.config)
    origins = [opened(parent, plan.method) for parent in plan.parents]
    if origins:
        weights = {origin.info.name: origin.tensors for origin in origins}
        fresh = inherit(module, weights, fresh=plan.method.fresh or ())
        say(f"weights from {', '.join(weights)}; fresh here: {_shortened(fresh)}")
    lineage = [told for origin in origins for told in origin.lineage]
    return module, lineage, [origin.sha256 for origin in origins]


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
        f"{plan.directory} holds a finished run {plan.name} with another configuration, data or parent.",
        hint="Give this run a --name of its own, or --replace that one.",
    )
