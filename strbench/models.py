"""A name on the command line -> a model that is ready to read words, or to find text.

Three kinds of names: an outside engine (``rapidocr``, ``tesseract``, ``onnx:card.json``), a trained
run (its name under ``<home>/runs``, or its folder; a detector's may end in the name of test settings,
``db-r18.small:totaltext``), and any callable ``package.module:build`` that
returns an object with ``read`` or ``detect``.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from strbench import registry
from strbench.errors import DATA, StrbenchError, unknown_name
from strbench.files import file_sha256, write_atomically
from strbench.home import home
from strbench.settings import rebuild
from strbench.types import Card, Task

if TYPE_CHECKING:
    from torch import Tensor

    from strbench.answers import Answers
    from strbench.methods import Method

WEIGHTS = "weights.safetensors"
RUN = "run.json"


@dataclass(frozen=True, kw_only=True)
class RunInfo:
    """What lies beside the weights of a trained run, in ``run.json``."""

    name: str  # e.g. "vit-ctc-micro.smoke+dig"
    entry: str  # name in the registry
    kind: registry.Kind  # "methods" or "models"
    recipe: str
    config: dict[str, Any]
    seed: int
    record: str  # run id of the record that tells how it was trained
    parents: list[str] = field(default_factory=list)  # run ids: pretraining first
    trained_on: str = ""
    # Fingerprints of the splits that it and its parents were trained on, with labels or without.
    seen: list[str] = field(default_factory=list)
    key: str = ""  # hash of everything that shaped the weights
    reads: bool = False  # the weights are a whole model's, and no pretraining's


@dataclass(frozen=True)
class Loaded:
    """A model with what a record must say about it."""

    name: str
    model: Any  # follows the Protocol of the task that it was loaded for
    card: Card
    weights: dict[str, str] | None = None  # {"path", "sha256"}; None for outside engines
    parents: tuple[str, ...] = ()
    seen: frozenset[str] = (
        frozenset()
    )  # fingerprints of the splits that the weights were trained on
    # What the answers depend on besides the name. An object of unknown making is like no other, so
    # that no other one's readings are taken for its own.
    identity: str = field(default_factory=lambda: uuid4().hex)

    @property
    def key(self) -> str:
        """Identifies the model for a predictions journal."""
        return f"{self.name}:{self.weights['sha256'] if self.weights else self.identity}"


def save_run(directory: Path, tensors: dict[str, Tensor], info: RunInfo) -> dict[str, str]:
    """Write weights and ``run.json``; the record's ``weights`` entry comes back."""
    import torch
    from safetensors.torch import save

    # Cloned, because safetensors refuses tensors that share memory, as tied weights do.
    whole = {
        name: value.detach().to("cpu").clone(memory_format=torch.contiguous_format)
        for name, value in tensors.items()
    }
    bad = [name for name, value in whole.items() if not torch.isfinite(value).all()]
    if bad:
        raise StrbenchError(
            f"{info.name}: the weights {bad[0]} are not finite; nothing was saved.",
            hint="Lower the rate (--set lr=...) and give the new run a --name.",
            exit_code=DATA,
        )
    path = directory / WEIGHTS
    # A single entry: safetensors writes several in any order, and equal weights would differ in bytes.
    write_atomically(path, save(whole, metadata={"name": info.name}))
    write_atomically(directory / RUN, json.dumps(asdict(info), indent=1) + "\n")
    return {"path": str(path), "sha256": file_sha256(path)}


def load_info(directory: Path) -> RunInfo:
    """What ``run.json`` of a finished run says.

    Raises:
        StrbenchError: no finished run there, or a damaged file.
    """
    try:
        return RunInfo(**json.loads((directory / RUN).read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise StrbenchError(
            f"{directory} holds no finished run ({WEIGHTS} and {RUN}).",
            hint="See: strbench list runs",
        ) from None
    except (OSError, ValueError, TypeError) as error:
        raise _damaged(directory, error) from error


def load_run(directory: Path) -> tuple[RunInfo, Method, dict[str, Tensor], dict[str, str]]:
    """A finished run: its info, its registry entry, its tensors and the record's weights entry.

    Raises:
        StrbenchError: no finished run there, or files that cannot be read.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    info = load_info(directory)
    path = directory / WEIGHTS
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise _damaged(directory, error) from error
    method: Method = registry.load(info.kind, info.entry)
    return info, method, tensors, {"path": str(path), "sha256": file_sha256(path)}


def _damaged(directory: Path, error: Exception) -> StrbenchError:
    return StrbenchError(
        f"{directory} is damaged ({error}).",
        hint="Train it again with --replace.",
        exit_code=DATA,
    )


def run_directory(name: str) -> Path:
    """The folder of a run: a name under ``<home>/runs``, a path, or what comes with strbench.

    What comes with strbench is known by its folder's name and by the one that records have for it.

    Raises:
        StrbenchError: none of these is there; near names are listed. Or the run is unfinished.
    """
    from strbench.unfinished import refuse_unfinished

    given = [registry.folder("weights") / one for one in shipped()]
    places = [home() / "runs" / name, Path(name).expanduser()]
    places += [folder for folder in given if name in (folder.name, load_info(folder).name)]
    for directory in places:
        if (directory / RUN).is_file():
            return directory
    refuse_unfinished(name)
    known = [*finished_runs(), *shipped()]
    raise unknown_name("finished run", name, known, hint="See: strbench list runs")


def shipped() -> list[str]:
    """Names of the trained recognizers that come with strbench, the one to use by default first."""
    folder = registry.folder("weights")
    return sorted(path.parent.name for path in folder.glob(f"*/{RUN}"))


def export_run(name: str, folder: Path, *, half: bool = False) -> dict[str, str]:
    """Copy a finished run's weights and ``run.json`` into a new folder; the record's entry comes back.

    Args:
        half: floating tensors become float16, half the size; every door reads them as float32.

    Raises:
        StrbenchError: no such run, the folder holds one already, or a weight that float16 cannot hold.
    """
    import torch

    if (folder / RUN).exists():
        raise StrbenchError(f"{folder} holds a run already.", hint="Name another folder.")
    info, _, tensors, _ = load_run(run_directory(name))
    if half:
        tensors = {
            key: value.half() if value.dtype == torch.float32 else value
            for key, value in tensors.items()
        }
    folder.mkdir(parents=True, exist_ok=True)
    return save_run(folder, tensors, info)


def finished_runs(wanted: Callable[[RunInfo], bool] | None = None) -> list[str]:
    """Names of finished runs under the home folder, the newest last; those that are ``wanted``.

    A run whose ``run.json`` is damaged, or whose entry is not known here, is never ``wanted``.
    """
    found = sorted((home() / "runs").glob(f"*/{RUN}"), key=lambda p: p.stat().st_mtime)

    def is_wanted(directory: Path) -> bool:
        try:
            return wanted is None or wanted(load_info(directory))
        except StrbenchError:  # `strbench list runs` tells what is wrong with it
            return False

    return [p.parent.name for p in found if is_wanted(p.parent)]


def readers() -> list[str]:
    """Names of the finished runs that are whole models, the newest last."""
    return finished_runs(lambda info: info.reads)


# Task -> table of the registry with the outside engines for it.
ENGINES: dict[Task, registry.Kind] = {
    "recognition": "engines",
    "detection": "spotters",
    "super-resolution": "restorers",
    "segmentation": "segmenters",
}


def tasks_of(name: str) -> list[Task]:
    """What a model of that name can be asked; recognition where the name does not tell."""
    engine = name.partition(":")[0]
    if tasks := [task for task, kind in ENGINES.items() if engine in registry.names(kind)]:
        return tasks
    for run in (name, engine):
        if _is_run(run):
            info = load_info(run_directory(run))
            return [registry.load(info.kind, info.entry).task]
    if name in registry.names("models"):  # that was not trained yet, as the error will say
        return [registry.load("models", name).task]
    return ["recognition"]


def resolve(name: str, *, task: Task = "recognition", device: str = "auto") -> Loaded:
    """The model of that name for a task, loaded.

    Raises:
        StrbenchError: an unknown name, a run that is no such model, an engine that is not installed,
            or an object without the task's method.
    """
    from strbench.answers import ANSWERS

    engine, _, argument = name.partition(":")
    if engine in registry.names(ENGINES[task]):
        build = registry.load(ENGINES[task], engine)
        model = build(argument) if argument or needs_argument(engine, task) else build()
        return Loaded(name, model, model.card, identity=model.card.notes)
    run = _run_of(name)
    return _load_trained(*run, device, task) if run else _load_callable(name, ANSWERS[task])


def check(name: str, *, task: Task = "recognition") -> None:
    """Refuse the names that ``resolve`` refuses, before weights are read or an engine is looked for.

    A ``package.module:callable`` is taken as it is: nothing of it is imported.

    Raises:
        StrbenchError: an unknown name, or a run that is no such model.
    """
    if name.partition(":")[0] in registry.names(ENGINES[task]):
        return
    if run := _run_of(name):
        named, test = run
        info = load_info(_directory(named, task))
        _settings(info, registry.load(info.kind, info.entry), task, test)


def _run_of(name: str) -> tuple[str, str] | None:
    """A run and its test settings, as ``NAME:TEST`` has them; None where it is a callable."""
    run, _, test = name.partition(":")
    if ":" not in name or Path(name).exists():
        return name, ""
    return (run, test) if test and _is_run(run) else None


def recorded_name(name: str) -> str:
    """The name that records and predictions have for what ``resolve`` loads under this one.

    That of a run is what its ``run.json`` says, ``conv-ctc-small.full`` for ``conv-ctc``. A name that
    is no run's, or that of a damaged one, stays as it is.
    """
    try:
        run, test = _run_of(name) or ("", "")
        named = load_info(run_directory(run)).name if run else name
    except StrbenchError:
        return name
    return f"{named}:{test}" if test else named


def _load_callable(name: str, answers: Answers) -> Loaded:
    from strbench.predict import card_of

    module, _, attribute = name.partition(":")
    if "" not in sys.path:
        sys.path.insert(0, "")  # as `python -m` does: the user's own file beside the shell prompt
    try:
        source = import_module(module)
        build = getattr(source, attribute)
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise StrbenchError(
            f"{name!r} cannot be imported ({error}).",
            hint="Expected package.module:callable, importable from the current folder.",
        ) from error
    role = answers.protocol.lower()
    if not callable(build):
        raise StrbenchError(
            f"{name} is a {type(build).__name__}; expected a callable that returns a {role}.",
            hint=f"def {attribute}(): return My{answers.protocol}()",
        )
    model = build()
    if isinstance(model, type) or not callable(getattr(model, answers.method, None)):
        raise StrbenchError(
            f"{name} returned a {type(model).__name__} without a method {answers.method}(images).",
            hint=f"See strbench.types.{answers.protocol}.",
        )
    file = getattr(source, "__file__", None)
    identity = file_sha256(Path(file)) if file else uuid4().hex
    return Loaded(name, model, card_of(model, name), identity=identity)


def _is_run(name: str) -> bool:
    try:
        run_directory(name)
    except StrbenchError:
        return False
    return True


def _directory(name: str, task: Task) -> Path:
    """The folder of a run that is asked for a task; what else could be asked is listed where it is none."""
    from strbench.answers import ANSWERS
    from strbench.unfinished import refuse_unfinished

    try:
        return run_directory(name)
    except StrbenchError as error:
        refuse_unfinished(name)
        known = registry.names(ENGINES[task])
        if task == "recognition":
            known = [*known, *readers(), *shipped()]
        hint = "Train one (strbench finetune), or see: strbench list models"
        raise unknown_name(ANSWERS[task].protocol.lower(), name, known, hint=hint) from error


def _settings(info: RunInfo, method: Method, task: Task, test: str) -> Any:
    """The configuration under which a run answers.

    Raises:
        StrbenchError: it was trained for another task, answers nothing, or has no test settings.
    """
    if method.task != task:
        raise StrbenchError(
            f"{info.name} was trained for {method.task}, and {task} is asked for.",
            hint=f"At hand for it: {', '.join(at_hand(task)) or 'nothing'}; or package.module:callable",
        )
    if not method.answers:
        raise StrbenchError(
            f"{info.name} is a pretraining run and reads no text.",
            hint=f"strbench finetune --from {info.name}",
        )
    config = rebuild(type(next(iter(method.recipes.values()))), info.config)
    if test:
        if not hasattr(config, "test"):
            raise StrbenchError(
                f"{info.name} has no test settings to choose from.", hint=f"--model {info.name}"
            )
        config = replace(config, test=test)
    return config


def _load_trained(name: str, test: str, device: str, task: Task) -> Loaded:
    """A trained run behind its task's Protocol.

    Args:
        test: of a detector, the row of its table of test settings, for another one than its run's.
    """
    from strbench.devices import pick_device
    from strbench.trained import TRAINED

    info, method, tensors, weights = load_run(_directory(name, task))
    config = _settings(info, method, task, test)
    module = method.build(config)
    try:
        module.load_state_dict(tensors)
    except RuntimeError as error:
        raise StrbenchError(
            f"{weights['path']} does not fit {info.entry} ({str(error).splitlines()[-1].strip()}).",
            hint="Train it again with --replace.",
            exit_code=DATA,
        ) from error
    card = replace(
        method.card,
        name=f"{info.name}:{test}" if test else info.name,
        trained_on=info.trained_on,
        charset=getattr(config, "charset", method.card.charset),
    )
    if card.resize != "native":
        shrink = getattr(config, "shrink", 1)
        card = replace(card, height=config.height // shrink, width=config.width // shrink)
    model = TRAINED[task](method, module, config, card, pick_device(device))
    parents = (info.record, *info.parents)
    return Loaded(card.name, model, model.card, weights, parents, frozenset(info.seen))


def at_hand(task: Task = "recognition") -> list[str]:
    """Names that ``resolve`` can load here and now.

    Models trained here, recognizers that come with strbench, then installed engines.
    """
    engines = (
        name
        for name in registry.names(ENGINES[task])
        if engine_missing(name, task) is None and not needs_argument(name, task)
    )
    trained = finished_runs(
        lambda info: info.reads and registry.load(info.kind, info.entry).task == task
    )
    return [*trained, *(shipped() if task == "recognition" else ()), *engines]


def needs_argument(engine: str, task: Task = "recognition") -> bool:
    """True for an engine that answers nothing before something follows its colon (``onnx:CARD``)."""
    parameters = signature(registry.load(ENGINES[task], engine)).parameters.values()
    return any(p.default is p.empty and p.kind is not p.KEYWORD_ONLY for p in parameters)


def engine_missing(name: str, task: Task = "recognition") -> str | None:
    """Why an engine cannot be used as it is; None where it can."""
    build = registry.load(ENGINES[task], name)
    reason: str | None = import_module(build.__module__).is_available()
    return reason
