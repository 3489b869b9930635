"""predict, eval and score."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from strbench import registry
from strbench.cli.console import Progress, print_json, print_table, say
from strbench.errors import StrbenchError, unknown_name

if TYPE_CHECKING:
    from strbench.records import Record
    from strbench.store import Split

DATA = "Data"
COMPUTE = "Compute"
OUTPUT = "Output"
DEFAULT = "strbench-36"


def _suites(incomplete: str) -> list[str]:
    return [name for name in registry.table("suites") if name.startswith(incomplete)]


def _protocols(incomplete: str) -> list[str]:
    from strbench.protocols import PROTOCOLS

    return [name for name in PROTOCOLS if name.startswith(incomplete)]


BatchSize = Annotated[str, typer.Option(help="Images at once, or auto.", rich_help_panel=COMPUTE)]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.", rich_help_panel=COMPUTE)]
Limit = Annotated[
    int | None,
    typer.Option(
        min=1, help="Read only the first N samples; never enters a table.", rich_help_panel=DATA
    ),
]
Protocol = Annotated[
    str,
    typer.Option(
        help="How texts are compared; see `strbench list protocols`.", autocompletion=_protocols
    ),
]
Records = Annotated[
    Path | None,
    typer.Option("--records", help="Folder of the run record.", rich_help_panel=OUTPUT),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON document.", rich_help_panel=OUTPUT)]


def _batch_size(text: str) -> int:
    if text == "auto":
        return 0
    if text.isdigit() and int(text) > 0:
        return int(text)
    raise StrbenchError(
        f"--batch-size {text}: expected auto or a number above 0.", hint="--batch-size auto"
    )


def predict(
    model: Annotated[str, typer.Argument(help="A run, an engine, or package.module:callable.")],
    split: Annotated[str, typer.Argument(help="A split, e.g. cute80/test.")],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="File: .parquet, .jsonl, .csv or .tsv.", rich_help_panel=OUTPUT
        ),
    ] = None,
    limit: Limit = None,
    batch_size: BatchSize = "auto",
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Read every image of a split and write the readings; resumes where it was cut short.

    strbench predict rapidocr cute80/test

    strbench predict vit-ctc-micro.smoke+dig rendered_regular/test -o out.jsonl
    """
    from strbench import scoring
    from strbench.models import resolve

    loaded = resolve(model, device=device)
    (opened,) = _open([split], fetch=True)
    run, path = scoring.read_split(
        loaded,
        opened,
        batch_size=_batch_size(batch_size),
        limit=limit,
        output=output,
        on_batch=_progress(loaded.name),
    )
    if as_json:
        print_json({"path": str(path), "n": len(run.predictions.ids), "read": run.read})
    say(f"wrote {path} ({len(run.predictions.ids)} readings, {run.read} of them now)")


def evaluate(
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            "-m",
            help="A run, an engine, or package.module:callable; repeatable. Without it: every "
            "model at hand.",
        ),
    ] = None,
    suite: Annotated[
        str | None,
        typer.Option(
            help="A suite of splits; see `strbench list suites`.",
            autocompletion=_suites,
            rich_help_panel=DATA,
        ),
    ] = None,
    data: Annotated[
        list[str] | None,
        typer.Option("--data", metavar="SPLIT", help="A split; repeatable.", rich_help_panel=DATA),
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
            help="Score this file of predictions instead of a model.", rich_help_panel=DATA
        ),
    ] = None,
    protocol: Protocol = DEFAULT,
    limit: Limit = None,
    batch_size: BatchSize = "auto",
    device: Device = "auto",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would run.", rich_help_panel=OUTPUT)
    ] = False,
    records: Records = None,
    as_json: Json = False,
) -> None:
    """Read and score test sets with one or more models, and write a run record for each.

    strbench eval --suite rendered

    strbench eval --model rapidocr --model mypackage.models:build --suite regular
    """
    from strbench import models, scoring

    names = _split_names(suite, data, stand_in)
    if predictions is not None:
        if len(names) != 1:
            raise StrbenchError(
                f"--predictions is one file for one split; {len(names)} splits were named.",
                hint="strbench eval --predictions out.jsonl --data cute80/test",
            )
        score(predictions, names[0], protocol=protocol, records=records, as_json=as_json)
        return
    chosen = model or models.at_hand()
    if not chosen:
        raise StrbenchError(
            "No model is at hand: nothing was trained and no engine is installed.",
            hint="strbench finetune   or   pip install 'strbench[ocr]'",
        )
    if not model:
        say(f"models at hand: {', '.join(chosen)}")
    if dry_run:
        print_json({"models": chosen, "splits": names, "protocol": protocol})
        return
    splits = _open(names, fetch=True, suite=suite)
    finished: list[Record] = []
    for name in chosen:
        loaded = models.resolve(name, device=device)
        finished.append(
            scoring.evaluate(
                loaded,
                splits,
                rule=protocol,
                suite=suite or "",
                batch_size=_batch_size(batch_size),
                limit=limit,
                records_folder=records,
                on_batch=_progress(loaded.name),
            )
        )
    _show(finished, as_json)


def score(
    predictions: Annotated[Path, typer.Argument(help="Parquet, JSONL, CSV, or `path TAB text`.")],
    data: Annotated[
        str | None,
        typer.Argument(help="The split that was read; a --signature names it too."),
    ] = None,
    protocol: Protocol = DEFAULT,
    signature: Annotated[
        str | None,
        typer.Option(help="Score as this printed signature says, and refuse other data."),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="The model's name in tables; default the file's.")
    ] = None,
    resize: Annotated[
        str, typer.Option(help="How images were resized, for the signature.")
    ] = "unknown",
    records: Records = None,
    as_json: Json = False,
) -> None:
    """Score a file of predictions, from here or from anywhere else.

    strbench score out.jsonl cute80/test

    strbench score out.tsv --signature 'wacc|case:lower|chars:36|...|v0.1'
    """
    from strbench import scoring
    from strbench.predictions import read_predictions

    if signature is not None:
        from strbench.protocols import parse_signature

        parsed = parse_signature(signature)
        data, protocol, resize = parsed.split_name, parsed.protocol, parsed.resize
    if data is None:
        raise StrbenchError(
            "Which split were these predictions made on?",
            hint=f"strbench score {predictions} cute80/test",
        )
    (split,) = _open([data], fetch=True)
    if signature is not None and not split.fingerprint.startswith(parsed.fingerprint):
        raise StrbenchError(
            f"{split.name}: the signature names data @{parsed.fingerprint}, found "
            f"@{split.fingerprint[:8]}.",
            hint=f"Bring the same files, or see how they differ: strbench data info {split.name}",
            exit_code=3,
        )
    record = scoring.score_file(
        predictions,
        read_predictions(predictions),
        split,
        name=name or predictions.stem,
        rule=protocol,
        resize=resize,
        records_folder=records,
    )
    _show([record], as_json)


def _split_names(suite: str | None, data: list[str] | None, stand_in: bool) -> list[str]:
    """The splits that --suite and --data mean, and a plain default without either."""
    if suite is None and not data:
        from strbench.store import prepared_splits

        suites = registry.table("suites")
        tests = {split for entry in suites.values() for split in entry.splits}
        prepared = [name for name in prepared_splits() if name in tests]
        if prepared:
            say(f"no --suite: every prepared test split, {', '.join(prepared)}")
            return prepared
        raise StrbenchError(
            "No test set is prepared here, and neither --suite nor --data was given.",
            hint="strbench eval --suite rendered",
        )
    names: list[str] = []
    if suite is not None:
        suites = registry.table("suites")
        if suite not in suites:
            raise unknown_name("suite", suite, suites, hint="See: strbench list suites")
        entry = suites[suite]
        if stand_in and entry.stand_in:
            say(f"--stand-in: rendered suite {entry.stand_in} in place of {suite}")
            entry = suites[entry.stand_in]
        names += entry.splits
    return [*names, *(data or [])]


def _open(names: list[str], *, fetch: bool, suite: str | None = None) -> list[Split]:
    """The splits, prepared first where that needs no one's consent.

    Raises:
        StrbenchError: one cannot be had; the message names the file to bring, and the stand-in.
    """
    from strbench.datasets import obtain
    from strbench.store import find_split, prepared_splits

    for name in names:
        if name in prepared_splits():
            continue
        try:
            obtain(name, say=say)
        except StrbenchError as error:
            if suite is None or not registry.table("suites")[suite].stand_in:
                raise
            raise StrbenchError(
                f"{name} is not at hand and cannot be fetched: {error.message}",
                hint=f"{error.hint}\n  or, on rendered words: strbench eval --suite {suite} "
                "--stand-in",
                exit_code=error.exit_code,
            ) from error
    return [find_split(name) for name in names]


def _progress(model: str) -> Any:
    lines: dict[str, Progress] = {}

    def show(split: str, done: int, total: int) -> None:
        lines.setdefault(split, Progress(f"{model} on {split}"))(done, total)

    return show


def _show(finished: list[Record], as_json: bool) -> None:
    if as_json:
        documents = [record.to_json() for record in finished]
        print_json(documents[0] if len(documents) == 1 else documents)
    else:
        rows = []
        for record in finished:
            for entry in record.scores:
                accuracy, closeness = entry.word_accuracy, entry.one_minus_ned
                assert accuracy is not None
                assert closeness is not None
                rows.append(
                    {
                        "model": record.name,
                        "split": entry.split + (" (rendered)" if entry.rendered else ""),
                        "Acc": f"{100 * accuracy.correct / accuracy.n:.1f}",
                        "95 %": f"{100 * (accuracy.low or 0):.1f} to {100 * (accuracy.high or 0):.1f}",
                        "correct": f"{accuracy.correct}/{accuracy.n}",
                        "1-NED": f"{100 * closeness.sum / closeness.n:.1f}",
                    }
                )
        print_table(rows, title=f"scores, {finished[0].protocol}")
        for signature in dict.fromkeys(e.signature for r in finished for e in r.scores):
            print(signature)
    for record in finished:
        say(f"wrote {record.path}")
