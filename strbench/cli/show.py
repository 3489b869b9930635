"""show: everything about one entry of the catalogue, for a person or as JSON."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from strbench import registry
from strbench.cli.console import print_json, print_table, say
from strbench.cli.help import DATA, OUTPUT
from strbench.cli.inspection import print_dataset
from strbench.cli.label_maps import draw_maps
from strbench.cli.options import Json, Settings, split_names
from strbench.errors import StrbenchError, unknown_name

if TYPE_CHECKING:
    from strbench.scores import Score
    from strbench.types import Card, Task


@dataclass(frozen=True)
class Page:
    """One entry: its JSON document and what prints it."""

    document: dict[str, Any]
    display: Callable[[], None]


def _names(incomplete: str) -> list[str]:
    return [name for name in known_names() if name.startswith(incomplete)]


def known_names() -> list[str]:
    """Every name that ``strbench show`` knows."""
    return list(dict.fromkeys(name for names, _ in _KINDS.values() for name in names()))


def show(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME",
            help="A name from `strbench list`; with its kind before it (suite rendered) where two "
            "entries have the name.",
            autocompletion=_names,
        ),
    ],
    maps: Annotated[
        Path | None,
        typer.Option(
            metavar="PNG",
            help="Draw what a detector, or a pretraining for detectors, is trained on for one photograph.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="SPLIT",
            help="Where --maps takes it from; default: a page drawn for the purpose.",
            autocompletion=split_names,
            rich_help_panel=DATA,
        ),
    ] = None,
    sample: Annotated[
        str,
        typer.Option(metavar="ID|N", help="Its id, or its number from 0.", rich_help_panel=DATA),
    ] = "0",
    recipe: Annotated[
        str | None,
        typer.Option(
            help="Whose settings --maps uses; default: the paper's.", rich_help_panel=DATA
        ),
    ] = None,
    settings: Settings = None,
    seed: Annotated[
        int, typer.Option(min=0, help="Another seed, another window.", rich_help_panel=DATA)
    ] = 0,
    as_json: Json = False,
) -> None:
    """Show one method, model, engine, dataset, suite, protocol, metric or run.

    strbench show parseq-36 --json

    strbench show psenet --maps maps.png
    """
    if len(names) > 2:
        raise StrbenchError(
            f"Expected a name, or a kind and a name; found {len(names)} words.",
            hint=f"strbench show {names[-1]}",
        )
    *kind, name = names
    if kind and kind[0] not in _KINDS:
        raise unknown_name("kind of entry", kind[0], _KINDS, hint=f"strbench show {name}")
    wanted = kind or list(_KINDS)
    holding = [one for one in wanted if name in _KINDS[one][0]()]
    if not holding:
        known = _KINDS[kind[0]][0]() if kind else known_names()
        raise unknown_name(kind[0] if kind else "entry", name, known, hint="See: strbench list")
    if maps is None and (data or recipe or settings or seed or sample != "0"):
        raise StrbenchError(
            "--data, --sample, --recipe, --set and --seed say what --maps draws.",
            hint=f"strbench show {name} --maps maps.png",
        )
    if maps is not None:
        trainable: dict[str, registry.Kind] = {"method": "methods", "model": "models"}
        if holding[0] not in trainable:
            raise StrbenchError(
                f"--maps draws what an entry is trained on, and {name} is a {holding[0]}.",
                hint=f"strbench show psenet --maps {maps}",
            )
        draw_maps(
            trainable[holding[0]],
            name,
            maps,
            data=data,
            sample=sample,
            recipe=recipe,
            settings=settings or [],
            seed=seed,
            as_json=as_json,
        )
        return
    page = _KINDS[holding[0]][1](name)
    if as_json:
        print_json({**page.document, "kind": holding[0]})
    else:
        page.display()
    for other in holding[1:]:
        say(f"{name} is a {other} too: strbench show {other} {name}")


def print_fields(document: Mapping[str, Any], indent: str = "") -> None:
    """``key: value`` lines; empty values are left out, nested ones are indented."""
    for key, value in document.items():
        if value in ("", None, [], {}, ()):
            continue
        label = key.replace("_", " ")
        if isinstance(value, Mapping):
            print(f"{indent}{label}:")
            print_fields(value, indent + "  ")
        elif isinstance(value, (list, tuple)):
            print(f"{indent}{label}: {', '.join(map(str, value))}")
        elif isinstance(value, int) and not isinstance(value, bool):
            print(f"{indent}{label}: {value:,}" if value > 9999 else f"{indent}{label}: {value}")
        else:
            print(f"{indent}{label}: {value}")


def _print_card(card: Card) -> None:
    values = asdict(card)
    for key in ("name", "title", "kind", "recipes", "parameters"):
        del values[key]
    if values["height"]:
        values["input"] = f"{values['height']} x {values['width']} (height x width), {card.resize}"
    else:
        values["input"] = card.resize
    for key in ("height", "width", "resize"):
        del values[key]
    print(f"{card.name} ({card.kind}): {card.title}\n")
    print_fields(values)


def _trainable(kind: registry.Kind) -> Callable[[str], Page]:
    def page(name: str) -> Page:
        method = registry.load(kind, name)
        recipes = {recipe: asdict(config) for recipe, config in method.recipes.items()}
        document = {**asdict(method.card), "recipes": recipes}

        def display() -> None:
            _print_card(method.card)
            if method.card.parameters:
                print("\nparameters:")
                for part, count in method.card.parameters.items():
                    print(f"  {part}: {count:,}")
            print()
            _print_recipes(recipes)
            verb = "pretrain" if kind == "methods" else "finetune"
            print(f"Run it: strbench {verb} {name}")

        return Page(document, display)

    return page


def _print_recipes(recipes: Mapping[str, Mapping[str, Any]]) -> None:
    """A table of the settings in which recipes differ, and a line of those they share."""
    first = next(iter(recipes.values()))
    differing = [k for k in first if len({str(config[k]) for config in recipes.values()}) > 1]
    rows = [
        {"setting": key, **{name: _short(config[key]) for name, config in recipes.items()}}
        for key in differing
    ]
    if rows:
        print_table(rows, title="recipes, where they differ")
    shared = ", ".join(f"{key} {_short(first[key])}" for key in first if key not in differing)
    print(f"In all of them: {shared}\nChange any with: --set NAME=VALUE\n")


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _engine_names() -> list[str]:
    kinds: tuple[registry.Kind, ...] = ("engines", "spotters", "restorers", "segmenters")
    return list(dict.fromkeys(name for kind in kinds for name in registry.names(kind)))


def _engine(name: str) -> Page:
    from strbench.models import ENGINES, engine_missing, needs_argument, resolve

    task: Task = next(t for t, kind in ENGINES.items() if name in registry.names(kind))
    reason = engine_missing(name, task)
    if reason is None and not needs_argument(name, task):
        card = resolve(name, task=task).card
        return Page(asdict(card), lambda: _print_card(card))
    module = import_module(registry.load(ENGINES[task], name).__module__)
    about = inspect.cleandoc(module.__doc__ or "")
    document = {"name": name, "usable": reason or "yes", "about": about}
    return Page(document, lambda: print(f"{name}: {reason or 'usable'}\n\n{about}"))


def _dataset_names() -> list[str]:
    from strbench.datasets import specs

    names: list[str] = []
    for spec in specs():
        names.append(spec.id)
        for split in spec.splits:
            names += [split.name.partition("/")[0], split.name]
    return list(dict.fromkeys(names))


def _dataset(name: str) -> Page:
    from strbench.datasets import resolve

    spec = resolve(name).spec
    assert spec is not None
    return Page(spec.describe(), lambda: print_dataset(spec))


def _suite(name: str) -> Page:
    from strbench.datasets import catalogue

    suite = registry.table("suites")[name]
    known = {row["name"]: row for row in catalogue()}
    rows = [
        {
            "split": split,
            "n": known[split]["n"],
            "prepared": known[split]["prepared"] or "no",
            "about": known[split]["about"],
        }
        for split in suite.splits
    ]

    def display() -> None:
        print(f"{name}: {suite.title}")
        if suite.note:
            print(suite.note)
        print()
        print_table(rows, title=f"{len(rows)} splits, {sum(row['n'] for row in rows):,} images")
        print(f"Evaluate: strbench eval --suite {name}")
        if suite.stand_in:
            print(f"Without the data: strbench eval --suite {name} --stand-in  ({suite.stand_in})")

    return Page({"name": name, **asdict(suite), "n": {r["split"]: r["n"] for r in rows}}, display)


def _protocol(name: str) -> Page:
    from strbench.image_protocols import IMAGE_PROTOCOLS
    from strbench.protocols import PROTOCOLS
    from strbench.region_protocols import REGION_PROTOCOLS

    if name in REGION_PROTOCOLS:
        region = REGION_PROTOCOLS[name]
        return Page(asdict(region), lambda: print(region.explain()))
    if name in IMAGE_PROTOCOLS:
        of_images = IMAGE_PROTOCOLS[name]
        return Page(asdict(of_images), lambda: print(of_images.explain()))
    entry = PROTOCOLS[name]
    rules = {"case": entry.rules.case, "chars": entry.rules.chars, "scores_all": entry.scores_all}
    return Page({**asdict(entry), **rules}, lambda: print(entry.explain()))


def _metric(name: str) -> Page:
    from strbench.metrics import METRICS

    metric = METRICS[name]
    module, _, function = metric.function.partition(":")
    text = inspect.getdoc(getattr(import_module(module), function)) or ""

    def display() -> None:
        unit = f", in {metric.unit}" if metric.unit else ""
        print(f"{name}, shown as {metric.shown}{unit}: {metric.meaning}\n\n{text}")

    return Page({**asdict(metric), "docstring": text}, display)


def _run(name: str) -> Page:
    from strbench import records
    from strbench.home import home
    from strbench.models import load_info, run_directory
    from strbench.unfinished import unfinished_runs

    if name in unfinished_runs():
        return _unfinished(name, home() / "runs" / name)
    info = load_info(run_directory(name))
    folder = home() / "records"
    by_id = {r.run_id: r for r in records.load_all(folder)} if folder.is_dir() else {}
    lineage = []
    for run_id in [*reversed(info.parents), info.record]:
        record = by_id.get(run_id)
        line: dict[str, Any] = {"run_id": run_id, "name": record.name if record else "unknown"}
        if record is not None:
            line |= {
                "kind": record.kind,
                "status": record.status,
                "data": ", ".join(f"{part.split} ({part.n})" for part in record.data),
                "images": record.cost.get("images"),
                "seconds": record.cost.get("seconds"),
                "finished": record.finished,
            }
        lineage.append(line)
    scored = [
        {
            "split": score.split,
            **_figures(score),
            "protocol": score.protocol,
            "when": record.finished,
        }
        for record in by_id.values()
        if record.kind == "eval" and info.record in record.parents and record.limit is None
        for score in record.scores
    ]

    def display() -> None:
        kind = registry.load(info.kind, info.entry).card.kind
        print(f"{info.name} ({kind}): {info.entry}, recipe {info.recipe}, seed {info.seed}\n")
        print(f"trained on: {info.trained_on}\nfolder: {run_directory(name)}\n")
        print_table(lineage, title="lineage, first to last")
        if info.kind != "methods":
            empty = f"not yet; strbench eval --model {info.name}"
            print_table(scored, title="scores", empty=empty)
        else:
            print(f"Go on: strbench finetune --from {info.name}")
        _print_settings(info.config)

    return Page({**asdict(info), "lineage": lineage, "scores": scored}, display)


def _unfinished(name: str, directory: Path) -> Page:
    from strbench.unfinished import load_unfinished

    run = load_unfinished(directory)
    assert run is not None
    info, state = run.info, run.state(directory)

    def display() -> None:
        print(f"{name}: {info.entry}, recipe {info.recipe}, seed {info.seed}; {state}\n")
        print(f"trained on: {info.trained_on}\nfolder: {directory}\n")
        print(f"Go on: {run.command or 'run the program again that began it'}")
        _print_settings(info.config)

    document = {**asdict(info), "state": state, "steps": run.steps, "resume": run.command}
    return Page(document, display)


def _print_settings(config: Mapping[str, Any]) -> None:
    print("settings: " + ", ".join(f"{key} {_short(value)}" for key, value in config.items()))


def _figures(score: Score) -> dict[str, str]:
    """What a run scored on a split, by the heads of the tables."""
    from strbench.report.frame import METRICS

    accuracy = score.word_accuracy
    if accuracy is not None:
        share = METRICS["word_accuracy"].text(accuracy.correct / accuracy.n)
        return {"correct": f"{accuracy.correct}/{accuracy.n}", "Acc": share}
    return {
        shown.title: shown.text(score.figures[metric].value)
        for metric, shown in METRICS.items()
        if metric in score.figures
    }


def _table_names(name: str) -> Callable[[], list[str]]:
    def names() -> list[str]:
        if name == "suites":
            return list(registry.table("suites"))
        module = import_module(f"strbench.{name}")
        return list(getattr(module, name.upper()))

    return names


def _protocol_names() -> list[str]:
    from strbench.image_protocols import IMAGE_PROTOCOLS
    from strbench.protocols import PROTOCOLS
    from strbench.region_protocol_table import ROWS

    return [*PROTOCOLS, *(row["name"] for row in ROWS), *IMAGE_PROTOCOLS]


def _run_names() -> list[str]:
    from strbench.models import finished_runs
    from strbench.unfinished import unfinished_runs

    return [*finished_runs(), *unfinished_runs()]


_KINDS: dict[str, tuple[Callable[[], list[str]], Callable[[str], Page]]] = {
    "method": (lambda: registry.names("methods"), _trainable("methods")),
    "model": (lambda: registry.names("models"), _trainable("models")),
    "engine": (_engine_names, _engine),
    "dataset": (_dataset_names, _dataset),
    "suite": (_table_names("suites"), _suite),
    "protocol": (_protocol_names, _protocol),
    "metric": (_table_names("metrics"), _metric),
    "run": (_run_names, _run),
}
