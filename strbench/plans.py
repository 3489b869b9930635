"""What a command line of training means, checked before anything is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from strbench import models, registry
from strbench.devices import pick_device
from strbench.errors import StrbenchError, unknown_name
from strbench.feeds import feed_of
from strbench.home import home
from strbench.methods import LoopConfig, Method
from strbench.origins import info_of
from strbench.settings import override
from strbench.streams import Portion, Stream, Subset, parse_portions
from strbench.train import total_steps


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

    def stream(self, rank: int = 0, world: int = 1) -> Stream:
        """The batches that one of ``world`` processes trains on."""
        config: LoopConfig = self.config
        return Stream(
            self.portions,
            feed=feed_of(self.method, config),
            batch_size=config.batch_size,
            seed=self.seed,
            rank=rank,
            world=world,
            unlabelled=self.unlabelled,
            unlabelled_batch_size=config.unlabelled_batch_size,
            subset=self.subset,
            with_labels=self.method.needs_labels,
        )


def _named(portions: Sequence[Portion]) -> str:
    return " + ".join(split.name for portion in portions for split in portion.splits)


_TRAINED: tuple[tuple[registry.Kind, str, str], ...] = (
    ("methods", "a method of pretraining", "pretrain"),
    ("models", "a model", "finetune"),
)


def find_entry(kind: registry.Kind, name: str) -> tuple[str, Method, list[str]]:
    """The registry entry for ``dig`` or ``dig-small``, with the setting that the suffix stands for.

    Raises:
        StrbenchError: no such entry, or one of the other kind; then with the verb that trains it.
    """
    known = registry.names(kind)
    if name in known:
        return name, registry.load(kind, name), []
    stem, _, size = name.rpartition("-")
    if stem in known:
        return stem, registry.load(kind, stem), [f"size={size}"]
    for other, what, verb in _TRAINED:
        if other != kind and {name, stem} & set(registry.names(other)):
            raise StrbenchError(f"{name} is {what}.", hint=f"strbench {verb} {name}")
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
        if not _fits(origin.entry, entry, method):
            entries = [*registry.names("methods"), *registry.names("models")]
            able = [name for name in entries if _fits(name, entry, method)]
            raise StrbenchError(
                f"{entry} does not start from the weights of {origin.name}, a run of {origin.entry}.",
                hint=f"It starts from runs of {', '.join(able)}.",
            )


def _fits(origin: str, entry: str, method: Method) -> bool:
    """Whether an entry starts from the weights of another one's run."""
    parent: Method = registry.load(registry.kind_of(origin), origin)
    known = {origin, *parent.feeds}
    # what relabels images with a model and trains another is such a model then
    known.update(parent.parents)
    return bool(known & {entry, *method.starts}) or origin in method.parents


def describe(plan: Plan) -> dict[str, Any]:
    """The plan as one document: what would run, on what, for how many steps."""
    stream = plan.stream()
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
