"""pretrain and finetune."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from strbench import registry
from strbench.cli.console import Progress, print_json, say
from strbench.cli.help import COMMON, COMPUTE, DATA, OUTPUT
from strbench.cli.options import Device, DryRun, Json, Settings
from strbench.errors import StrbenchError

if TYPE_CHECKING:
    from strbench.methods import Method
    from strbench.models import RunInfo
    from strbench.streams import Subset


def _methods(incomplete: str) -> list[str]:
    return [name for name in registry.names("methods") if name.startswith(incomplete)]


def _models(incomplete: str) -> list[str]:
    return [name for name in registry.names("models") if name.startswith(incomplete)]


def _parents(incomplete: str) -> list[str]:
    from strbench.models import finished_runs

    known = [*finished_runs(), "scratch"]
    return [name for name in known if name.startswith(incomplete)]


Recipe = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="paper, small or smoke. Without it: small on a GPU, smoke on a CPU.",
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
        help="Use only this first fraction of every split of --data.",
        rich_help_panel=DATA,
    ),
]
Random = Annotated[
    float | None,
    typer.Option(
        "--random",
        metavar="FRACTION",
        help="Use only this fraction of every split of --data, drawn at random by --seed.",
        rich_help_panel=DATA,
    ),
]
Unlabelled = Annotated[
    list[str] | None,
    typer.Option(
        "--unlabelled",
        metavar="SPLIT[=FRACTION]",
        help="A split that a semi-supervised method sees without its labels; repeatable.",
        rich_help_panel=DATA,
    ),
]
Parents = Annotated[
    list[str] | None,
    typer.Option(
        "--from",
        metavar="RUN",
        help="Run (name or folder) whose weights to start from, or a file with those of an image network; "
        "repeatable where a model has parts; `scratch` for none.",
        autocompletion=_parents,
        rich_help_panel=COMMON,
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
    unlabelled: list[str] | None
    first: float | None
    random: float | None
    batch_size: str
    device: str
    seed: int
    name: str | None
    replace: bool
    dry_run: bool
    as_json: bool

    def subset(self) -> Subset | None:
        """The part of the labelled data that is asked for."""
        from strbench.streams import Subset

        given = {"first": self.first, "random": self.random}
        chosen = {how: share for how, share in given.items() if share is not None}
        if len(chosen) > 1:
            raise StrbenchError(
                "--first and --random were both given; expected one.", hint="--random 0.1"
            )
        for how, share in chosen.items():
            if not 0 < share <= 1:
                raise StrbenchError(
                    f"--{how} {share:g}: expected a fraction above 0 and up to 1.",
                    hint=f"--{how} 0.1",
                )
            return Subset("first" if how == "first" else "random", share)
        return None


def pretrain(
    method: Annotated[
        str,
        typer.Argument(help="dig, or with a size: dig-tiny.", autocompletion=_methods),
    ] = "dig",
    parents: Parents = None,
    recipe: Recipe = None,
    settings: Settings = None,
    data: Splits = None,
    unlabelled: Unlabelled = None,
    first: First = None,
    random: Random = None,
    batch_size: BatchSize = "auto",
    device: Device = "auto",
    seed: Seed = 0,
    name: Name = None,
    replace: Replace = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Pretrain without labels, or with few and many images without; resumes a run that was cut short.

    strbench pretrain dig

    strbench pretrain mean-teacher --data svt/train --unlabelled book32/train
    """
    request = Request(
        recipe=recipe,
        settings=settings,
        data=data,
        unlabelled=unlabelled,
        first=first,
        random=random,
        batch_size=batch_size,
        device=device,
        seed=seed,
        name=name,
        replace=replace,
        dry_run=dry_run,
        as_json=as_json,
    )
    _train("methods", method, request, [parent for parent in parents or () if parent != "scratch"])


def finetune(
    model: Annotated[
        str | None,
        typer.Argument(
            help="vit-ctc, or with a size: vit-ctc-tiny. Without it: what the run of --from feeds.",
            show_default=False,
            autocompletion=_models,
        ),
    ] = None,
    parents: Parents = None,
    recipe: Recipe = None,
    settings: Settings = None,
    data: Splits = None,
    first: First = None,
    random: Random = None,
    batch_size: BatchSize = "auto",
    device: Device = "auto",
    seed: Seed = 0,
    name: Name = None,
    replace: Replace = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Train a recognizer, detector, restorer or segmenter, from other runs' weights or from scratch.

    strbench finetune --from dig-micro.smoke

    strbench finetune vit-ctc-tiny --from scratch --data iiit5k/train
    """
    request = Request(
        recipe=recipe,
        settings=settings,
        data=data,
        unlabelled=None,
        first=first,
        random=random,
        batch_size=batch_size,
        device=device,
        seed=seed,
        name=name,
        replace=replace,
        dry_run=dry_run,
        as_json=as_json,
    )
    if parents is None:
        parents = _newest_parent(model)
        say(f"starting from {', '.join(parents) or 'scratch'} (choose with --from)")
    parents = [parent for parent in parents if parent != "scratch"]
    _train("models", model or _fed_by(parents), request, parents)


def _newest_parent(model: str | None) -> list[str]:
    """The last run that can be fine-tuned, to this model if one is named."""
    from strbench.models import finished_runs
    from strbench.plans import find_entry

    wanted = find_entry("models", model)[0] if model else None

    def is_parent(info: RunInfo) -> bool:
        feeds = registry.load(info.kind, info.entry).feeds
        return wanted in feeds if wanted else bool(feeds)

    return finished_runs(is_parent)[-1:]


def _fed_by(parents: Sequence[str]) -> str:
    """The model that is usually trained from this run, its own kind from a model; from none the ViT with CTC."""
    from strbench.models import load_info, run_directory
    from strbench.origins import is_file

    if not parents:
        return "vit-ctc"
    if is_file(parents[0]):
        raise StrbenchError(
            f"Which model is to start from {parents[0]}?",
            hint=f"strbench finetune db-r50 --from {parents[0]}",
        )
    info = load_info(run_directory(parents[0]))
    feeds: tuple[str, ...] = registry.load(info.kind, info.entry).feeds
    if not feeds and info.kind == "models":
        return info.entry
    if not feeds:
        raise StrbenchError(
            f"{info.name} is a {info.entry}, from which no model starts.",
            hint="See: strbench list runs",
        )
    return feeds[0]


def _train(
    kind: Literal["methods", "models"], entry: str, request: Request, parents: Sequence[str]
) -> None:
    from strbench import plans, runs
    from strbench.default_data import default_data

    subset = request.subset()
    typed = _check(kind, entry, request, parents)
    method = plans.find_entry(kind, entry)[1]
    data, unlabelled = request.data, request.unlabelled
    draw = partial(default_data, recipe=request.recipe, device=request.device, say=say)
    if not data:
        data = draw("--data", labelled=method.needs_labels, task=method.task)
    if not unlabelled and method.recipes[_recipe(method, request)].unlabelled_batch_size:
        unlabelled = draw("--unlabelled", labelled=False)
    plan = plans.make_plan(
        kind,
        entry,
        data=data,
        unlabelled=unlabelled or (),
        recipe=request.recipe,
        settings=typed,
        run_name=request.name,
        parents=parents,
        subset=subset,
        seed=request.seed,
        device=request.device,
    )
    described = plans.describe(plan)
    if request.dry_run:
        if not request.replace and (told := runs.standing(plan)):
            say(told)
        print_json(described)
        return
    say(
        f"{plan.name}: {described['parameters']:,} parameters, {described['steps']:,} steps of "
        f"{plan.config.batch_size} images on {plan.device}; data {plan.trained_on}"
    )
    tests = {name for suite in registry.table("suites").values() for name in suite.splits}
    used = (s.name for portion in (*plan.portions, *plan.unlabelled) for s in portion.splits)
    for name in sorted(tests.intersection(used)):
        say(f"{name} is a test set: what {plan.name} scores on it will stay out of every table")
    progress = Progress(plan.name)

    def show(done: int, total: int, terms: dict[str, float]) -> None:
        detail = "  ".join(f"{key} {value:.4g}" for key, value in terms.items())
        progress(done, total, detail)

    weights = runs.execute(plan, replace=request.replace, say=say, on_log=show)
    if request.as_json:
        print_json({**described, "weights": str(weights)})
    _tell_next(plan.name, weights)


def _recipe(method: Method, request: Request) -> str:
    from strbench.devices import pick_device
    from strbench.plans import pick_recipe

    return pick_recipe(method, request.recipe, pick_device(request.device))


def _check(
    kind: Literal["methods", "models"], entry: str, request: Request, parents: Sequence[str]
) -> list[str]:
    """The settings as typed, once every name is known: nothing is drawn or fetched for a typo.

    Says which recipe runs and why where none was named.
    """
    from strbench import plans
    from strbench.devices import device_name, pick_device
    from strbench.origins import info_of
    from strbench.settings import override

    typed = list(request.settings or [])
    if request.batch_size != "auto":
        if not (request.batch_size.isdecimal() and int(request.batch_size) > 0):
            raise StrbenchError(
                f"--batch-size {request.batch_size}: expected auto or a number above 0.",
                hint="--batch-size auto",
            )
        typed.append(f"batch_size={request.batch_size}")
    _, method, implied = plans.find_entry(kind, entry)
    recipe = _recipe(method, request)
    override(method.recipes[recipe], [*implied, *typed])
    plans.check_parents(entry, method, [info_of(parent) for parent in parents])
    if request.recipe is None:
        others = ", ".join(name for name in method.recipes if name != recipe)
        device = device_name(pick_device(request.device))
        say(f"recipe {recipe}, picked for {device} (--recipe has {others} too)")
    return typed


def _tell_next(name: str, weights: Path) -> None:
    from strbench.models import load_info

    reads = load_info(weights.parent).reads
    following = f"eval --model {name}" if reads else f"finetune --from {name}"
    say(f"next: strbench {following}")
    say(f"wrote {weights}")
