"""pretrain and finetune."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from strbench import registry
from strbench.cli.console import Progress, print_json, say
from strbench.errors import StrbenchError

DATA = "Data"
COMPUTE = "Compute"
OUTPUT = "Output"


def _methods(incomplete: str) -> list[str]:
    return [name for name in registry.names("methods") if name.startswith(incomplete)]


def _models(incomplete: str) -> list[str]:
    return [name for name in registry.names("models") if name.startswith(incomplete)]


Recipe = Annotated[
    str | None,
    typer.Option(help="paper, small or smoke. Without it: small on a GPU, smoke on a CPU."),
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Change a setting of the recipe; repeatable."),
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
        "--first", help="Use only this first fraction of every split.", rich_help_panel=DATA
    ),
]
BatchSize = Annotated[
    str,
    typer.Option(help="Images a step, or auto: the recipe's.", rich_help_panel=COMPUTE),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.", rich_help_panel=COMPUTE)]
Seed = Annotated[int, typer.Option(min=0, help="Seed of everything random.")]
Name = Annotated[
    str | None,
    typer.Option(
        "--name", help="Name of the run; default model-size.recipe.", rich_help_panel=OUTPUT
    ),
]
Replace = Annotated[
    bool, typer.Option("--replace", help="Discard a run of this name.", rich_help_panel=OUTPUT)
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Print what would run, and leave.", rich_help_panel=OUTPUT)
]
Json = Annotated[bool, typer.Option("--json", help="One JSON document.", rich_help_panel=OUTPUT)]


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

    strbench pretrain dig-tiny --recipe small --data iiit5k/train --data rendered/unlabelled=0.8
    """
    _train(
        "methods",
        method,
        recipe,
        settings,
        data,
        first,
        batch_size,
        device,
        seed,
        name,
        None,
        replace,
        dry_run,
        as_json,
    )


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

    strbench finetune vit-ctc-tiny --from scratch --data iiit5k/train --data svt/train
    """
    from strbench import models

    if parent is None:
        runs = models.finished_runs("methods")
        parent = runs[-1] if runs else None
        say(f"starting from {parent or 'scratch'} (choose with --from)")
    _train(
        "models",
        model,
        recipe,
        settings,
        data,
        first,
        batch_size,
        device,
        seed,
        name,
        None if parent == "scratch" else parent,
        replace,
        dry_run,
        as_json,
    )


def _train(
    kind: Literal["methods", "models"],
    entry: str,
    recipe: str | None,
    settings: list[str] | None,
    data: list[str] | None,
    first: float | None,
    batch_size: str,
    device: str,
    seed: int,
    name: str | None,
    parent: str | None,
    replace: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    from strbench import runs

    if first is not None and not 0 < first <= 1:
        raise StrbenchError(
            f"--first {first:g}: expected a fraction above 0 and up to 1.", hint="--first 0.1"
        )
    typed = list(settings or [])
    if batch_size != "auto":
        typed.append(f"batch_size={batch_size}")
    plan = runs.make_plan(
        kind,
        entry,
        data=data or runs.default_data(kind, recipe, device=device, say=say),
        recipe=recipe,
        settings=typed,
        run_name=name,
        parent=parent,
        first=first,
        seed=seed,
        device=device,
    )
    described = runs.describe(plan)
    if dry_run:
        print_json(described)
        return
    say(
        f"{plan.name}: recipe {plan.recipe}, {described['parameters']:,} parameters, "
        f"{described['steps']:,} steps of {plan.config.batch_size} images on {plan.device}; "
        f"data {plan.trained_on}"
    )
    progress = Progress(plan.name)

    def show(done: int, total: int, terms: dict[str, float]) -> None:
        detail = "  ".join(f"{key} {value:.4g}" for key, value in terms.items())
        progress(done, total, detail)

    weights = runs.execute(plan, replace=replace, say=say, on_log=show)
    if as_json:
        print_json({**described, "weights": str(weights)})
    say(f"wrote {weights}")
