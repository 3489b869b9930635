"""predict: what a model answers about a split, or about images of one's own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, cast

import typer

from strbench.cli.asking import batch_size_of, progress, resumable
from strbench.cli.console import Progress, print_json, say
from strbench.cli.help import DATA, OUTPUT
from strbench.cli.options import (
    AcceptLicence,
    BatchSize,
    Device,
    DryRun,
    Json,
    Limit,
    Offline,
    model_names,
    split_names,
)
from strbench.cli.splits import Consent, bring, named_task
from strbench.errors import StrbenchError, unknown_name

if TYPE_CHECKING:
    from strbench.models import Loaded
    from strbench.types import Detection, Task


def predict(
    model: Annotated[
        str,
        typer.Argument(
            help="A run, an engine, or package.module:callable.", autocompletion=model_names
        ),
    ],
    split: Annotated[
        str,
        typer.Argument(
            metavar="SPLIT|PATH",
            help="A split, e.g. cute80/test, or an image, or a folder of images.",
            autocompletion=split_names,
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="A .parquet, .jsonl, .csv or .tsv; default: of a split in the strbench home, of "
            "images of one's own on stdout.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    overlays: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Also draw what was found, or the mask, on each image: a JPEG each.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(
            metavar="TASK",
            help="What images of one's own are: recognition for crops of words, detection for "
            "photographs, segmentation. Default: what the model is for, words where it is for both.",
            rich_help_panel=DATA,
        ),
    ] = None,
    limit: Limit = None,
    accept_licence: AcceptLicence = False,
    offline: Offline = False,
    batch_size: BatchSize = "auto",
    device: Device = "auto",
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Read every image of a split and write the readings; resumes where it was cut short.

    On photographs the model finds text, of a pair it restores the small image, of a crop it gives the
    mask; that is written then. Of images of one's own the answers are printed.

    strbench predict conv-ctc svt/test -o out.jsonl

    strbench predict rapidocr photographs/ --task detection --overlays drawn/
    """
    from strbench.models import resolve

    is_path = _is_path(split)
    kind = _task(model, task) if is_path else named_task(split)
    if task is not None and not is_path:
        raise StrbenchError(
            f"--task says what images of one's own are, and {split} is no file or folder.",
            hint=f"strbench predict {model} {split}",
        )
    _check_output(f"strbench predict {model} {split}", kind, output, overlays)
    size = batch_size_of(batch_size)
    loaded = resolve(model, task=kind, device=device)
    asked = _Asked(loaded, split, kind, output, overlays, limit, size, as_json)
    if dry_run:
        print_json({"model": loaded.name, "split": split, "task": kind, "limit": limit})
    elif is_path:
        _own(asked)
    else:
        _split(asked, Consent(accept_licence, offline))


class _Asked(NamedTuple):
    loaded: Loaded
    name: str  # of a split, or the path of images
    task: Task
    output: Path | None
    overlays: Path | None
    limit: int | None
    batch_size: int  # 0: auto
    as_json: bool


def _is_path(name: str) -> bool:
    """Whether it means files of one's own: a split that has the name of a folder goes before it.

    Raises:
        StrbenchError: it is called like an image or a folder, and there is none.
    """
    from strbench.datasets import specs
    from strbench.datasets.tree import is_image
    from strbench.store import prepared_splits

    if name in prepared_splits() or any(name == s.name for spec in specs() for s in spec.splits):
        return False
    is_there = Path(name).exists()
    if not is_there and (is_image(name) or name.endswith("/") or name.startswith((".", "/"))):
        raise StrbenchError(f"There is no file or folder {name}.", hint="Check the path.")
    return is_there


def _task(model: str, named: str | None) -> Task:
    """The task of images of one's own.

    Raises:
        StrbenchError: there is none of that name, or one image does not make it.
    """
    from strbench.answers import ANSWERS
    from strbench.models import tasks_of

    single = [task for task in ANSWERS if task != "super-resolution"]
    if named is not None and named not in single:
        raise unknown_name("task of images", named, single, hint=f"Tasks: {', '.join(single)}.")
    task = cast("Task", named) if named is not None else tasks_of(model)[0]
    if task not in single:
        raise StrbenchError(
            f"{model} restores images, for which a split of pairs is wanted.",
            hint=f"strbench predict {model} rendered_pairs_easy/test",
        )
    return task


def _check_output(command: str, task: Task, output: Path | None, overlays: Path | None) -> None:
    from strbench.answers import ANSWERS
    from strbench.overlays import DRAWN

    suffixes = ANSWERS[task].suffixes
    if output is not None and output.suffix.lower() not in suffixes:
        raise StrbenchError(
            f"--output {output}: expected a name that ends in {', '.join(suffixes)}.",
            hint=f"{command} -o {output.with_suffix(next(iter(suffixes)))}",
        )
    if overlays is not None and task not in DRAWN:
        raise StrbenchError(
            f"--overlays draws what lies on an image, and the task is {task}.",
            hint=f"Leave it out: {command}",
        )


def _split(asked: _Asked, consent: Consent) -> None:
    from strbench.evaluating import predict_split
    from strbench.overlays import write_overlays

    (split,) = bring([asked.name], consent, task=asked.task)
    with resumable():
        run, path = predict_split(
            asked.loaded,
            split,
            batch_size=asked.batch_size,
            limit=asked.limit,
            output=asked.output,
            on_batch=progress(asked.loaded.name),
        )
    if asked.as_json:
        print_json({"path": str(path), "n": run.n, "read": run.read})
    say(f"wrote {path} ({run.n} images, {run.read} of them now)")
    if asked.overlays is not None:
        ids = split.ids[: run.n]
        images = ((id_, split.image(i), run.predictions[id_]) for i, id_ in enumerate(ids))
        write_overlays(asked.overlays, images, asked.task)
        say(f"wrote {run.n} pictures to {asked.overlays}")


def _own(asked: _Asked) -> None:
    from strbench.answers import ANSWERS
    from strbench.overlays import write_overlays
    from strbench.own_images import ask_files, image_files

    where, model = Path(asked.name), asked.loaded.name
    if asked.task == "segmentation" and asked.output is None and asked.overlays is None:
        raise StrbenchError(
            "Masks are no lines of text: they are written to a file or drawn.",
            hint=f"strbench predict {model} {where} --overlays drawn/",
        )
    files = image_files(where)[: asked.limit]
    answers = ask_files(
        asked.loaded,
        files,
        asked.task,
        batch_size=asked.batch_size,
        on_batch=Progress(f"{model} on {where}"),
    )
    names = [path.relative_to(where).as_posix() if where.is_dir() else path.name for path in files]
    if asked.output is not None:
        ANSWERS[asked.task].file(asked.output, names, answers)
        if asked.as_json:
            print_json({"path": str(asked.output), "n": len(files), "read": len(files)})
        say(f"wrote {asked.output} ({len(files)} images)")
    if asked.overlays is not None:
        images = (
            (name, path.read_bytes(), answer)
            for name, path, answer in zip(names, files, answers, strict=True)
        )
        write_overlays(asked.overlays, images, asked.task)
        say(f"wrote {len(files)} pictures to {asked.overlays}")
    if asked.output is None and asked.task != "segmentation":
        _print(names, answers, asked.task, as_json=asked.as_json)


def _print(names: Sequence[str], answers: Sequence[Any], task: Task, *, as_json: bool) -> None:
    """A line a word, or a found region, with tabs between the fields; or one document.

    In a line white space within a text is one blank; a document has the text as it is.
    """
    found = [(name, one) for name, one in zip(names, answers, strict=True)]
    if as_json and task == "recognition":
        print_json([{"image": name, **one._asdict()} for name, one in found])
    elif as_json:
        print_json(
            [{"image": name, "found": [_region(one) for one in some]} for name, some in found]
        )
    elif task == "recognition":
        for name, one in found:
            print(name, _line(one.text), _share(one.confidence), sep="\t")
    else:
        for name, some in found:
            for one in some:
                outline = " ".join(f"{x:.1f},{y:.1f}" for x, y in one.polygon)
                print(name, _line(one.text), _share(one.confidence), outline, sep="\t")


def _region(one: Detection) -> dict[str, Any]:
    return {"polygon": one.polygon, "text": one.text, "confidence": one.confidence}


def _line(text: str | None) -> str:
    return " ".join((text or "").split())


def _share(confidence: float | None) -> str:
    return "" if confidence is None else f"{confidence:.4f}"
