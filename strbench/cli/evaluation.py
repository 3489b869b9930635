"""predict and eval."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from strbench import registry
from strbench.cli.breakdown import By, breakdown, print_breakdown
from strbench.cli.console import Progress, only_first, print_json, print_table, say
from strbench.cli.help import COMMON, DATA, OUTPUT
from strbench.cli.images import show_images
from strbench.cli.options import (
    AcceptLicence,
    BatchSize,
    Breakdown,
    Device,
    DryRun,
    Json,
    Lexicon,
    Limit,
    Offline,
    Protocol,
    Recognizer,
    RecordFolder,
    model_names,
    split_names,
    suite_names,
)
from strbench.cli.regions import show_regions
from strbench.cli.splits import Consent, bring, named_splits, named_task
from strbench.errors import PARTIAL, StrbenchError

if TYPE_CHECKING:
    from strbench.records import Record
    from strbench.types import Task


def predict(
    model: Annotated[
        str,
        typer.Argument(
            help="A run, an engine, or package.module:callable.", autocompletion=model_names
        ),
    ],
    split: Annotated[
        str, typer.Argument(help="A split, e.g. cute80/test.", autocompletion=split_names)
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="A .parquet, .jsonl, .csv or .tsv; default: in the strbench home.",
            rich_help_panel=OUTPUT,
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
    mask; that is written then.

    strbench predict rapidocr cute80/test

    strbench predict vit-ctc-micro.smoke+dig svt/test -o out.jsonl
    """
    from strbench.answers import ANSWERS
    from strbench.evaluating import predict_split
    from strbench.models import resolve

    task = named_task(split)
    suffixes = ANSWERS[task].suffixes
    if output is not None and output.suffix.lower() not in suffixes:
        raise StrbenchError(
            f"--output {output}: expected a name that ends in {', '.join(suffixes)}.",
            hint=f"strbench predict {model} {split} -o {output.with_suffix(next(iter(suffixes)))}",
        )
    size = _batch_size(batch_size)
    loaded = resolve(model, task=task, device=device)
    if dry_run:
        print_json({"model": loaded.name, "split": split, "limit": limit})
        return
    (opened,) = bring([split], Consent(accept_licence, offline), task=task)
    with _resumable():
        run, path = predict_split(
            loaded,
            opened,
            batch_size=size,
            limit=limit,
            output=output,
            on_batch=_progress(loaded.name),
        )
    if as_json:
        print_json({"path": str(path), "n": run.n, "read": run.read})
    say(f"wrote {path} ({run.n} images, {run.read} of them now)")


def evaluate(
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            "-m",
            metavar="NAME",
            help="A run, an engine, or package.module:callable; repeatable. Without it: every "
            "model at hand.",
            autocompletion=model_names,
            rich_help_panel=COMMON,
        ),
    ] = None,
    suite: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="A suite of splits; see `strbench list suites`.",
            autocompletion=suite_names,
            rich_help_panel=COMMON,
        ),
    ] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(
            "--data",
            metavar="SPLIT",
            help="A split; repeatable.",
            autocompletion=split_names,
            rich_help_panel=DATA,
        ),
    ] = None,
    stand_in: Annotated[
        bool,
        typer.Option(
            "--stand-in",
            help="Use the suite's rendered stand-in in place of its real sets.",
            rich_help_panel=DATA,
        ),
    ] = False,
    predictions: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Score this file of predictions instead of a model.",
            rich_help_panel=DATA,
        ),
    ] = None,
    protocol: Protocol = None,
    recognizer: Recognizer = None,
    lexicon: Lexicon = None,
    limit: Limit = None,
    accept_licence: AcceptLicence = False,
    offline: Offline = False,
    batch_size: BatchSize = "auto",
    device: Device = "auto",
    by: Breakdown = None,
    dry_run: DryRun = False,
    records: RecordFolder = None,
    as_json: Json = False,
) -> None:
    """Read and score test sets with one or more models, and write a run record for each.

    The suites detection and spotting hold photographs, textzoom pairs, textseg images with masks: there
    models find text, restore images or segment them.

    strbench eval -m rapidocr -m mypackage.models:build --suite regular

    strbench eval -m rapidocr:words --suite detection
    """
    from strbench import evaluating, models
    from strbench.task_protocols import check_protocol, default_protocol

    size = _batch_size(batch_size)
    consent = Consent(accept_licence, offline)
    title, names = named_splits(suite, data, stand_in=stand_in)
    task = named_task(names[0])
    if protocol is not None:
        check_protocol(protocol, task)
    if predictions is not None:
        from strbench.cli.scoring import score

        _exclude_model(model, limit, names)
        score(
            predictions,
            names[0],
            protocol=protocol,
            accept_licence=accept_licence,
            offline=offline,
            recognizer=recognizer,
            lexicon=lexicon,
            by=by,
            records=records,
            as_json=as_json,
        )
        return
    if by and task != "recognition":
        raise StrbenchError(
            f"--by {by} counts words that are read, and the task is {task}.",
            hint="Leave it out.",
        )
    chosen = list(dict.fromkeys(model or _at_hand(task)))
    if not model:
        say(f"models at hand: {', '.join(chosen)}")
    of_suite = registry.table("suites")[title].protocols if title else {}
    rules = {name: protocol or of_suite.get(name) or default_protocol(name, task) for name in names}
    if lexicon is not None:
        evaluating.check_lexicon(lexicon, task, rules)
    if dry_run:
        distinct = list(dict.fromkeys(rules.values()))
        shown = distinct[0] if len(distinct) == 1 else rules
        plan = {"models": chosen, "splits": names, "protocol": shown, "limit": limit}
        extras = {"lexicon": lexicon, "recognizer": recognizer}
        print_json(plan | {name: said for name, said in extras.items() if said})
        return
    loaded = [models.resolve(name, task=task, device=device) for name in chosen]
    reader = models.resolve(recognizer, device=device) if recognizer else None
    # a bad name has stopped all by now
    splits = bring(names, consent, suite=suite, task=None)
    finished: list[Record] = []
    with _resumable():
        for one in loaded:
            record = evaluating.evaluate(
                one,
                splits,
                protocols=rules,
                suite=title,
                batch_size=size,
                limit=limit,
                recognizer=reader,
                lexicon=lexicon or "",
                records_folder=records,
                on_batch=_progress(one.name),
            )
            say(f"wrote {record.path}")
            finished.append(record)
    if task != "recognition":
        show = show_regions if task == "detection" else show_images
        show(finished, as_json=as_json)
        return
    rows = [row for record in finished for row in breakdown(record, splits, by)] if by else []
    show_records(finished, by, rows, as_json=as_json)


def _batch_size(text: str) -> int:
    if text == "auto":
        return 0
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise StrbenchError(
        f"--batch-size {text}: expected auto or a number above 0.", hint="--batch-size auto"
    )


def _exclude_model(model: list[str] | None, limit: int | None, names: list[str]) -> None:
    """Refuse what makes no sense beside --predictions."""
    hint = "strbench eval --predictions out.jsonl --data cute80/test"
    if model or limit is not None:
        raise StrbenchError(
            "--predictions is scored whole and without a model, so --model and --limit do not go "
            "with it.",
            hint=hint,
        )
    if len(names) != 1:
        raise StrbenchError(
            f"--predictions is one file for one split; {len(names)} splits were named.", hint=hint
        )


def _at_hand(task: Task) -> list[str]:
    """Trained models for a task, and the engines that need no file of the user's.

    Raises:
        StrbenchError: there is none.
    """
    from strbench import models

    names = models.at_hand(task)
    if not names:
        raise StrbenchError(
            "No model is at hand: nothing was trained and no engine is installed.",
            hint="strbench finetune   or   pip install 'strbench[ocr]'",
        )
    return names


@contextmanager
def _resumable() -> Iterator[None]:
    """Ctrl-C while reading ends as a partial run: what was read is kept."""
    try:
        yield
    except KeyboardInterrupt:
        raise StrbenchError(
            "Interrupted; the readings made so far are kept.",
            hint="The same command goes on where this one stopped.",
            exit_code=PARTIAL,
        ) from None


def _progress(model: str) -> Callable[[str, int, int], None]:
    lines: dict[str, Progress] = {}

    def show(split: str, done: int, total: int) -> None:
        lines.setdefault(split, Progress(f"{model} on {split}"))(done, total)

    return show


def show_records(
    finished: list[Record], by: By | None, rows: list[dict[str, Any]], *, as_json: bool
) -> None:
    """The scores on stdout: a table with its signatures, or one JSON document.

    The document is the record, or a list of records where several models were named; with --by each
    has the counts under "breakdown".
    """
    if as_json:
        documents = []
        for record in finished:
            extra = {"breakdown": [r for r in rows if r["model"] == record.name]} if by else {}
            documents.append({**record.to_json(), **extra})
        print_json(documents[0] if len(documents) == 1 else documents)
        return
    table: list[dict[str, Any]] = []
    for record in finished:
        for entry in record.scores:
            accuracy, closeness = entry.word_accuracy, entry.one_minus_ned
            assert accuracy is not None
            assert closeness is not None
            table.append(
                {
                    "model": record.name,
                    "split": entry.split + (" (rendered)" if entry.rendered else ""),
                    "Acc": f"{100 * accuracy.correct / accuracy.n:.1f}",
                    "95 %": f"{100 * (accuracy.low or 0):.1f} to {100 * (accuracy.high or 0):.1f}",
                    "correct": f"{accuracy.correct}/{accuracy.n}",
                    "1-NED": f"{100 * closeness.sum / closeness.n:.1f}",
                    " / ".join(entry.ladder): " / ".join(map(str, entry.ladder.values())),
                }
            )
    first = only_first(finished[0].limit)
    print_table(table, title=f"scores, protocol {finished[0].protocol}{first}")
    if by:
        print_breakdown(rows, by)
    for signature in dict.fromkeys(e.signature for r in finished for e in r.scores):
        print(signature)
