"""list and doctor: what there is, and whether it works here."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from strbench import registry
from strbench.cli.console import print_json, print_table
from strbench.cli.options import Json
from strbench.cli.show import print_fields
from strbench.errors import StrbenchError, unknown_name

if TYPE_CHECKING:
    from strbench.datasets import Spec, SplitSpec
    from strbench.types import Task

_MANY = 5  # splits of a dataset that its row names
_WIDE = 60  # characters of names that a line of the overview shows


def _shelf_names(incomplete: str) -> list[str]:
    return [name for name in _ROWS if name.startswith(incomplete)]


def list_entries(
    what: Annotated[
        str | None,
        typer.Argument(
            metavar="WHAT",
            help="methods, models, engines, datasets, splits, suites, metrics, protocols or runs; "
            "an overview without it.",
            autocompletion=_shelf_names,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """List methods, models, engines, datasets, splits, suites, metrics, protocols or trained runs.

    strbench list datasets

    strbench list protocols --json
    """
    if what is not None and what not in _ROWS:
        raise unknown_name("list", what, _ROWS, hint="See: strbench list")
    if as_json:
        found = {shelf: rows() for shelf, rows in _ROWS.items() if what in (None, shelf)}
        print_json(found[what] if what else found)
    elif what:
        _print_shelf(what, _ROWS[what]())
    else:
        names = {shelf: [row["name"] for row in rows()] for shelf, rows in _ROWS.items()}
        overview = [_overview(shelf, known) for shelf, known in names.items()]
        print_table(overview, title="What strbench knows")
        print("Look closer: strbench list datasets   |   strbench show dig")


def _print_shelf(what: str, rows: list[dict[str, Any]]) -> None:
    """The rows as a table, or as one a task where they have a task."""
    tasks = dict.fromkeys(row["task"] for row in rows if "task" in row)
    for task in tasks:
        of_task = [row for row in rows if row["task"] == task]
        # a column that says nothing of any of them is left out
        shown = [
            k for k in of_task[0] if k != "task" and any(row[k] is not None for row in of_task)
        ]
        table = [{key: row[key] for key in shown} for row in of_task]
        print_table(table, title=f"{what}: {task} ({len(table)})")
    if not tasks:
        print_table(rows, title=what, empty=_EMPTY.get(what, "none"))
    if what == "datasets":
        print("Look closer: strbench data info NAME   |   all counts: strbench list splits")
        print("Bring one: strbench data fetch NAME")


def _overview(shelf: str, names: list[str]) -> dict[str, Any]:
    shown: list[str] = []
    for name in names:
        if len(" ".join([*shown, name])) > _WIDE:
            shown.append("...")
            break
        shown.append(name)
    return {"what": shelf, "count": len(names), "names": " ".join(shown) or _EMPTY.get(shelf, "")}


_EMPTY = {"runs": "none yet; make one with: strbench pretrain dig"}


def _cards(kind: registry.Kind) -> list[dict[str, Any]]:
    rows = []
    for name in registry.names(kind):
        card = registry.load(kind, name).card
        sizes = [
            f"{size} {count / 1e6:.{1 if count >= 1e5 else 2}f} M"
            for size, count in card.parameters.items()
        ]
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
    from strbench.models import ENGINES, engine_missing

    known = dict.fromkeys(name for kind in ENGINES.values() for name in registry.names(kind))
    return [
        {
            "name": name,
            **{
                what: (engine_missing(name, task) or "yes")
                if name in registry.names(ENGINES[task])
                else "no"
                for what, task in _ENGINE_TASKS.items()
            },
        }
        for name in known
    ]


_ENGINE_TASKS: dict[str, Task] = {
    "reads words": "recognition",
    "finds text": "detection",
    "restores": "super-resolution",
    "segments": "segmentation",
}


def _datasets() -> list[dict[str, Any]]:
    from strbench.datasets import catalogue, specs

    state = {row["name"]: row for row in catalogue()}
    rows = []
    for spec in specs():
        mine = [state[split.name] for split in spec.splits]
        ready = sum(row["prepared"] == "yes" for row in mine)
        rows.append(
            {
                "name": spec.id,
                "task": spec.task,
                "what": spec.title,
                "splits": _named_counts(spec),
                "access": " ".join(
                    dict.fromkeys(word for r in mine for word in r["access"].split())
                ),
                "licence": _terms(spec.licence),
                "prepared": {0: "no", len(mine): "yes"}.get(ready, f"{ready} of {len(mine)}"),
            }
        )
    return rows


def _named_counts(spec: Spec) -> str:
    """The splits with their sizes, e.g. "train 4,468 · ic15_1811 1,811"; the first of many."""
    told = []
    for split in spec.splits:
        dataset, _, part = split.name.partition("/")
        name = part if dataset == spec.id else dataset if part == "test" else split.name
        told.append(f"{name} {split.n:,}" if split.n else name)
    more = [f"{len(told) - _MANY} more"] if len(told) > _MANY + 1 else []
    return " · ".join([*told[: _MANY if more else None], *more])


def _splits() -> list[dict[str, Any]]:
    from strbench.datasets import catalogue, specs

    of_split = {split.name: (spec, split) for spec in specs() for split in spec.splits}
    rows = []
    for row in catalogue():
        spec, split = of_split[row["name"]]
        rows.append(
            {
                "name": row["name"],
                "n": row["n"] or None,  # no exact count is known
                "regions": _counted(split, "regions"),
                "ignored": _counted(split, "ignored"),
                "task": spec.task,
                "access": row["access"],
                "licence": _terms(spec.licence),
                "prepared": row["prepared"] or "no",
            }
        )
    return rows


def _counted(split: SplitSpec, what: str) -> int | str | None:
    """A figure of a split; "a to b" where its label variants differ, None where none is known."""
    found = sorted({counts[what] for counts in split.counts.values() if what in counts})
    if len(found) > 1:
        return f"{found[0]} to {found[-1]}"
    return found[0] if found else None


def _terms(licence: str) -> str:
    """A licence in two words; `strbench data info` has the whole sentence."""
    words = ("CC BY 4.0", "Apache-2.0", "MIT", "non-commercial", "academic", "research")
    if licence.startswith(("none", "not known")):
        return "none stated"
    return next((word for word in words if word in licence), "see its page")


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
    from strbench.image_protocols import of_task
    from strbench.protocols import PROTOCOLS
    from strbench.region_protocols import REGION_PROTOCOLS

    return [
        {"name": name, "of": task, "title": entry.title}
        for task, entries in (
            ("words", PROTOCOLS),
            ("regions", REGION_PROTOCOLS),
            ("pairs", of_task("super-resolution")),
            ("masks", of_task("segmentation")),
        )
        for name, entry in entries.items()
    ]


def _runs() -> list[dict[str, Any]]:
    from strbench.home import home
    from strbench.models import finished_runs
    from strbench.unfinished import state_of, unfinished_runs

    rows: list[dict[str, Any]] = []
    for name in (*finished_runs(), *unfinished_runs()):
        row = {"name": name, "kind": "", "recipe": "", "trained on": ""}
        try:
            info, state = state_of(home() / "runs" / name)
        except StrbenchError as error:
            state = error.message
        else:
            row |= {"kind": info.kind, "recipe": info.recipe, "trained on": info.trained_on}
        rows.append({**row, "state": state})
    return rows


_ROWS: dict[str, Callable[[], list[dict[str, Any]]]] = {
    "methods": lambda: _cards("methods"),
    "models": lambda: _cards("models"),
    "engines": _engines,
    "datasets": _datasets,
    "splits": _splits,
    "suites": _suites,
    "metrics": _metrics,
    "protocols": _protocols,
    "runs": _runs,
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
        print_fields(document)
    if broken:
        raise StrbenchError(
            f"{len(broken)} prepared splits cannot be read: {', '.join(broken)}.",
            hint="Import them again with --replace.",
        )
