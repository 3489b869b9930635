"""pretrain and finetune."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

from strbench import registry
from strbench.cli.console import Progress, print_json, say
from strbench.cli.help import COMMON, COMPUTE, DATA, OUTPUT
from strbench.cli.options import Device, DryRun, Json
from strbench.errors import StrbenchError


def _methods(incomplete: str) -> list[str]:
    return [name for name in registry.names("methods") if name.startswith(incomplete)]


def _models(incomplete: str) -> list[str]:
    return [name for name in registry.names("models") if name.startswith(incomplete)]


def _parents(incomplete: str) -> list[str]:
    from strbench.models import finished_runs

    known = [*finished_runs("methods"), "scratch"]
    return [name for name in known if name.startswith(incomplete)]


Recipe = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="paper, small or smoke. Without it: small on a GPU, smoke on a CPU.",
        rich_help_panel=COMMON,
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="Change a setting of the recipe; repeatable.",
        rich_help_panel=COMMON,
    ),
]
Splits = Annotated[
    list[str] | None,
    typer.Option(
        "--data",
        metavar="SPLIT[=FRACTION]",
        help="A split to train on, or with a number the part of each batch it fills; repeatable.",
        rich_help_panel=DATA,
    ),
]
First = Annotated[
    float | None,
    typer.Option(
        "--first",
        metavar="FRACTION",
        help="Use only this first fraction of every split.",
        rich_help_panel=DATA,
    ),
]
BatchSize = Annotated[
    str,
    typer.Option(
        metavar="N|auto", help="Images a step, or auto: the recipe's.", rich_help_panel=COMPUTE
    ),
]
Seed = Annotated[
    int,
    typer.Option(min=0, metavar="N", help="Seed of everything random.", rich_help_panel=COMMON),
]
Name = Annotated[
    str | None,
    typer.Option(
        "--name",
        metavar="NAME",
        help="Name of the run; default: model-size.recipe.",
        rich_help_panel=OUTPUT,
    ),
]
Replace = Annotated[
    bool, typer.Option("--replace", help="Discard a run of this name.", rich_help_panel=OUTPUT)
]


@dataclass(frozen=True, kw_only=True)
class Request:
    """The options that pretrain and finetune share, as typed."""

    recipe: str | None
    settings: list[str] | None
    data: list[str] | None
    first: float | None
    batch_size: str
    device: str
    seed: int
    name: str | None
    replace: bool
    dry_run: bool
    as_json: bool


def pretrain(
    method: Annotated[
        str,
        typer.Argument(help="dig, or with a size: dig-tiny.", autocompletion=_methods),
    ] = "dig",
    recipe: Recipe = None,
    settings: Settings = None,
    data: Splits = None,
    first: First = None,
    batch_size: BatchSize = "auto",
    device: Device = "auto",
    seed: Seed = 0,
    name: Name = None,
    replace: Replace = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Pretrain an encoder without labels; the same command resumes a run that was cut short.

    strbench pretrain dig

    strbench pretrain dig-tiny --recipe small --data iiit5k/train --first 0.5
    """
    request = Request(
        recipe=recipe,
        settings=settings,
        data=data,
        first=first,
        batch_size=batch_size,
        device=device,
        seed=seed,
        name=name,
        replace=replace,
        dry_run=dry_run,
        as_json=as_json,
    )
    _train("methods", method, request)


def finetune(
    model: Annotated[
        str,
        typer.Argument(help="vit-ctc, or with a size: vit-ctc-tiny.", autocompletion=_models),
    ] = "vit-ctc",
    parent: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="RUN",
            help="Pretraining run (name or folder) to start from; `scratch` for none. Without it: "
            "the newest one.",
            autocompletion=_parents,
            rich_help_panel=COMMON,
        ),
    ] = None,
    recipe: Recipe = None,
    settings: Settings = None,
    data: Splits = None,
    first: First = None,
    batch_size: BatchSize = "auto",
    device: Device = "auto",
    seed: Seed = 0,
    name: Name = None,
    replace: Replace = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Train a recognizer on labelled words, from a pretraining run or from scratch.

    strbench finetune --from dig-micro.smoke

    strbench finetune vit-ctc-tiny --from scratch --data iiit5k/train
    """
    request = Request(
        recipe=recipe,
        settings=settings,
        data=data,
        first=first,
        batch_size=batch_size,
        device=device,
        seed=seed,
        name=name,
        replace=replace,
        dry_run=dry_run,
        as_json=as_json,
    )
    if parent is None:
        from strbench.models import finished_runs

        runs = finished_runs("methods")
        parent = runs[-1] if runs else "scratch"
        say(f"starting from {parent} (choose with --from)")
    _train("models", model, request, parent=None if parent == "scratch" else parent)


def _train(
    kind: Literal["methods", "models"], entry: str, request: Request, *, parent: str | None = None
) -> None:
    from strbench import runs

    typed = _check(kind, entry, request, parent)
    plan = runs.make_plan(
        kind,
        entry,
        data=request.data
        or runs.default_data(kind, request.recipe, device=request.device, say=say),
        recipe=request.recipe,
        settings=typed,
        run_name=request.name,
        parent=parent,
        first=request.first,
        seed=request.seed,
        device=request.device,
    )
    described = runs.describe(plan)
    if request.dry_run:
        print_json(described)
        return
    say(
        f"{plan.name}: {described['parameters']:,} parameters, {described['steps']:,} steps of "
        f"{plan.config.batch_size} images on {plan.device}; data {plan.trained_on}"
    )
    progress = Progress(plan.name)

    def show(done: int, total: int, terms: dict[str, float]) -> None:
        detail = "  ".join(f"{key} {value:.4g}" for key, value in terms.items())
        progress(done, total, detail)

    weights = runs.execute(plan, replace=request.replace, say=say, on_log=show)
    if request.as_json:
        print_json({**described, "weights": str(weights)})
    _tell_next(kind, plan.name, weights)


def _check(
    kind: Literal["methods", "models"], entry: str, request: Request, parent: str | None
) -> Sequence[str]:
    """The settings as typed, once every name is known: nothing is drawn or fetched for a typo.

    Says which recipe runs and why where none was named.
    """
    from strbench import models, runs
    from strbench.devices import device_name, pick_device
    from strbench.settings import override

    if request.first is not None and not 0 < request.first <= 1:
        raise StrbenchError(
            f"--first {request.first:g}: expected a fraction above 0 and up to 1.",
            hint="--first 0.1",
        )
    typed = list(request.settings or [])
    if request.batch_size != "auto":
        if not (request.batch_size.isdecimal() and int(request.batch_size) > 0):
            raise StrbenchError(
                f"--batch-size {request.batch_size}: expected auto or a number above 0.",
                hint="--batch-size auto",
            )
        typed.append(f"batch_size={request.batch_size}")
    _, method, implied = runs.find_entry(kind, entry)
    device = pick_device(request.device)
    recipe = runs.pick_recipe(method, request.recipe, device)
    override(method.recipes[recipe], [*implied, *typed])
    if parent is not None:
        models.run_directory(parent)
    if request.recipe is None:
        others = ", ".join(name for name in method.recipes if name != recipe)
        say(f"recipe {recipe}, picked for {device_name(device)} (--recipe has {others} too)")
    return typed


def _tell_next(kind: Literal["methods", "models"], name: str, weights: Path) -> None:
    following = f"finetune --from {name}" if kind == "methods" else f"eval --model {name}"
    say(f"next: strbench {following}")
    say(f"wrote {weights}")
