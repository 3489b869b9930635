"""eval: models asked about splits, and scored."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from strbench import registry
from strbench.cli.asking import batch_size_of, progress, resumable
from strbench.cli.breakdown import By, breakdown, print_breakdown
from strbench.cli.console import only_first, print_json, print_table, say
from strbench.cli.help import COMMON, DATA
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
from strbench.errors import StrbenchError

if TYPE_CHECKING:
    from strbench.records import Record
    from strbench.types import Task


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

    size = batch_size_of(batch_size)
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
        for name in chosen:
            models.check(name, task=task)
        if recognizer:
            models.check(recognizer)
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
    with resumable():
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
                on_batch=progress(one.name),
            )
            for trained in (entry.split for entry in record.scores if entry.seen):
                say(f"{one.name} was trained on {trained}: the score enters no table")
            say(f"wrote {record.path}")
            finished.append(record)
    if task != "recognition":
        show = show_regions if task == "detection" else show_images
        show(finished, as_json=as_json)
        return
    rows = [row for record in finished for row in breakdown(record, splits, by)] if by else []
    show_records(finished, by, rows, as_json=as_json)


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
