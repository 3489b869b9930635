"""list, show and doctor: what there is, what it means, and whether it works here."""

from __future__ import annotations

from dataclasses import asdict, is_dataclass
from enum import StrEnum
from typing import Annotated, Any

import typer

from strbench import registry
from strbench.cli.console import print_json, print_table
from strbench.errors import StrbenchError, unknown_name


class Shelf(StrEnum):
    """What can be listed."""

    methods = "methods"
    models = "models"
    engines = "engines"
    datasets = "datasets"
    suites = "suites"
    metrics = "metrics"
    protocols = "protocols"
    runs = "runs"


Json = Annotated[bool, typer.Option("--json", help="One JSON document.")]


def list_entries(
    what: Annotated[Shelf | None, typer.Argument(help="What to list; all of it without.")] = None,
    as_json: Json = False,
) -> None:
    """List methods, models, engines, datasets, suites, metrics, protocols or trained runs.

    strbench list datasets

    strbench list protocols --json
    """
    shelves = [what] if what else list(Shelf)
    found = {shelf.value: _ROWS[shelf]() for shelf in shelves}
    if as_json:
        print_json(found[what.value] if what else found)
        return
    for shelf, rows in found.items():
        print_table(rows, title=shelf, empty=_EMPTY.get(shelf, "none"))


_EMPTY = {"runs": "none yet; make one with: strbench pretrain dig"}


def _cards(kind: registry.Kind) -> list[dict[str, Any]]:
    rows = []
    for name in registry.names(kind):
        card = registry.load(kind, name).card
        sizes = [f"{size} {count / 1e6:.1f} M" for size, count in card.parameters.items()]
        rows.append(
            {
                "name": name,
                "title": card.title,
                "status": card.status,
                "recipes": ", ".join(card.recipes),
                "parameters": ", ".join(s for s in sizes if "trainable" not in s),
            }
        )
    return rows


def _engines() -> list[dict[str, Any]]:
    from strbench.models import engine_missing

    return [
        {"name": name, "usable": engine_missing(name) or "yes"}
        for name in registry.names("engines")
    ]


def _datasets() -> list[dict[str, Any]]:
    from strbench.datasets import catalogue

    return catalogue()


def _suites() -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "title": suite.title,
            "splits": " ".join(suite.splits),
            "stand-in": suite.stand_in,
        }
        for name, suite in registry.table("suites").items()
    ]


def _metrics() -> list[dict[str, Any]]:
    from strbench.metrics import METRICS

    return [
        {"name": name, "shown": metric.shown, "unit": metric.unit, "meaning": metric.meaning}
        for name, metric in METRICS.items()
    ]


def _protocols() -> list[dict[str, Any]]:
    from strbench.protocols import PROTOCOLS

    return [{"name": name, "title": entry.title} for name, entry in PROTOCOLS.items()]


def _runs() -> list[dict[str, Any]]:
    from strbench.models import finished_runs, load_info, run_directory

    rows = []
    for name in finished_runs():
        info = load_info(run_directory(name))
        rows.append(
            {"name": name, "kind": info.kind, "recipe": info.recipe, "trained on": info.trained_on}
        )
    return rows


_ROWS = {
    Shelf.methods: lambda: _cards("methods"),
    Shelf.models: lambda: _cards("models"),
    Shelf.engines: _engines,
    Shelf.datasets: _datasets,
    Shelf.suites: _suites,
    Shelf.metrics: _metrics,
    Shelf.protocols: _protocols,
    Shelf.runs: _runs,
}


def show(
    name: Annotated[str, typer.Argument(help="A name from `strbench list`.")],
    as_json: Json = False,
) -> None:
    """Show everything about one method, model, engine, dataset, suite, protocol, metric or run.

    strbench show dig

    strbench show parseq-36 --json
    """
    for kind, find in _FINDERS.items():
        found = find(name)
        if found is not None:
            document = {"kind": kind, **found}
            break
    else:
        known = [row["name"] for rows in _ROWS.values() for row in rows()]
        raise unknown_name("entry", name, known, hint="See: strbench list")
    if as_json:
        print_json(document)
        return
    _print_document(document)


def _print_document(document: dict[str, Any], indent: str = "") -> None:
    for key, value in document.items():
        if value in ("", None, [], {}, ()):
            continue
        if isinstance(value, dict):
            typer.echo(f"{indent}{key}:")
            _print_document(value, indent + "  ")
        elif isinstance(value, (list, tuple)) and value and isinstance(value[0], dict):
            typer.echo(f"{indent}{key}:")
            for item in value:
                typer.echo(f"{indent}  -")
                _print_document(item, indent + "    ")
        else:
            text = ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else value
            typer.echo(f"{indent}{key}: {text}")


def _find_method(kind: registry.Kind) -> Any:
    def find(name: str) -> dict[str, Any] | None:
        if name not in registry.names(kind):
            return None
        method = registry.load(kind, name)
        recipes = {recipe: asdict(config) for recipe, config in method.recipes.items()}
        return {**asdict(method.card), "recipes": recipes}

    return find


def _find_engine(name: str) -> dict[str, Any] | None:
    if name not in registry.names("engines"):
        return None
    from strbench.models import engine_missing, resolve

    reason = engine_missing(name)
    if reason is None and name != "onnx":
        return asdict(resolve(name).card)
    build = registry.load("engines", name)
    return {"name": name, "usable": reason or "yes", "about": (build.__doc__ or "").strip()}


def _find_dataset(name: str) -> dict[str, Any] | None:
    if name not in registry.names("datasets"):
        return None
    described: dict[str, Any] = registry.load("datasets", name).describe()
    return described


def _find_in_table(rows: Any) -> Any:
    def find(name: str) -> dict[str, Any] | None:
        entry = rows().get(name)
        if entry is None:
            return None
        values = asdict(entry) if is_dataclass(entry) and not isinstance(entry, type) else {}
        return {"name": name, **{k: v for k, v in values.items() if not callable(v)}}

    return find


def _protocol_table() -> Any:
    from strbench.protocols import PROTOCOLS

    return PROTOCOLS


def _metric_table() -> Any:
    from strbench.metrics import METRICS

    return METRICS


def _find_run(name: str) -> dict[str, Any] | None:
    from strbench.models import finished_runs, load_info, run_directory

    return asdict(load_info(run_directory(name))) if name in finished_runs() else None


_FINDERS = {
    "method": _find_method("methods"),
    "model": _find_method("models"),
    "engine": _find_engine,
    "dataset": _find_dataset,
    "suite": _find_in_table(lambda: registry.table("suites")),
    "protocol": _find_in_table(_protocol_table),
    "metric": _find_in_table(_metric_table),
    "run": _find_run,
}


def doctor(as_json: Json = False) -> None:
    """Check this machine: versions, devices, engines, disk, and what is prepared.

    strbench doctor

    strbench doctor --json
    """
    import platform
    import shutil
    from importlib.metadata import PackageNotFoundError, version

    import torch

    from strbench import __version__
    from strbench.devices import device_name, has_fast_bf16, pick_device
    from strbench.home import home
    from strbench.models import engine_missing, finished_runs
    from strbench.store import open_split, prepared_splits, split_directory

    def installed(package: str) -> str:
        try:
            return version(package)
        except PackageNotFoundError:
            return "not installed"

    device = pick_device()
    place = next(path for path in (home(), *home().parents) if path.exists())
    broken = {}
    for name in prepared_splits():
        try:
            open_split(split_directory(name))
        except StrbenchError as error:
            broken[name] = str(error)
    packages = ("numpy", "pillow", "polars", "pandas", "lmdb", "rapidfuzz", "safetensors")
    extras = ("simplejpeg", "scipy", "rapidocr", "onnxruntime", "tensorboard")
    document = {
        "strbench": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "device": device_name(device),
        "bfloat16 in hardware": has_fast_bf16(device.type),
        "threads": torch.get_num_threads(),
        "packages": {name: installed(name) for name in packages},
        "extras": {name: installed(name) for name in extras},
        "engines": {n: engine_missing(n) or "usable" for n in registry.names("engines")},
        "home": str(home()),
        "disk free": f"{shutil.disk_usage(place).free / 1e9:.1f} GB",
        "prepared splits": prepared_splits(),
        "trained runs": finished_runs(),
        "broken splits": broken,
    }
    if as_json:
        print_json(document)
    else:
        _print_document(document)
    if broken:
        raise StrbenchError(
            f"{len(broken)} prepared splits cannot be read: {', '.join(broken)}.",
            hint="Import them again with --replace.",
        )
