"""report and compare."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from strbench.cli.console import print_json, say
from strbench.cli.help import COMMON, DATA, OUTPUT
from strbench.cli.options import Json, suite_names
from strbench.errors import StrbenchError

if TYPE_CHECKING:
    from strbench.report.sources import Source
    from strbench.types import Task

    pass

Records = Annotated[
    Path | None,
    typer.Option(
        "--records",
        metavar="DIR",
        help="Folder of run records; default: records/ of the strbench home.",
        rich_help_panel=DATA,
    ),
]


def report(
    suite: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="common, occluded, rendered ...; default: all measured.",
            autocompletion=suite_names,
            rich_help_panel=COMMON,
        ),
    ] = None,
    protocol: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Only this protocol.", rich_help_panel=COMMON),
    ] = None,
    models: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Only these models; repeatable, or with commas.",
            rich_help_panel=COMMON,
        ),
    ] = None,
    metric: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="word_accuracy, one_minus_ned, hmean, psnr, ssim, ...; where a task has none of it, "
            "its own main one.",
            rich_help_panel=COMMON,
        ),
    ] = "word_accuracy",
    reported: Annotated[
        bool,
        typer.Option(
            "--reported",
            help="Also rows printed in papers, marked and unranked.",
            rich_help_panel=COMMON,
        ),
    ] = False,
    records: Records = None,
    committed: Annotated[
        bool,
        typer.Option(
            "--committed", help="The records that ship with strbench.", rich_help_panel=DATA
        ),
    ] = False,
    over_seeds: Annotated[
        bool,
        typer.Option(
            "--over-seeds",
            help="Runs that differ in the training seed alone as one row: mean ± sd.",
            rich_help_panel=COMMON,
        ),
    ] = False,
    intervals: Annotated[
        bool, typer.Option("--intervals", help="Show 95 % intervals.", rich_help_panel=OUTPUT)
    ] = False,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="GitHub Markdown.", rich_help_panel=OUTPUT)
    ] = False,
    latex: Annotated[
        bool, typer.Option("--latex", help="LaTeX with booktabs.", rich_help_panel=OUTPUT)
    ] = False,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="One row a cell.", rich_help_panel=OUTPUT)
    ] = False,
    as_json: Json = False,
) -> None:
    """Tables of what was measured, one per suite and protocol, with signatures.

    strbench report

    strbench report --suite common --reported --latex > table.tex
    """
    from strbench.errors import unknown_name
    from strbench.home import home
    from strbench.models import recorded_name
    from strbench.records import load_all
    from strbench.report import render
    from strbench.report.frame import METRICS
    from strbench.report.table import build

    if sum((markdown, latex, as_csv, as_json)) > 1:
        raise StrbenchError(
            "One format at a time: --markdown, --latex, --csv or --json.",
            hint="strbench report --latex",
        )
    if committed and records is not None:
        raise StrbenchError(
            "--committed and --records name two folders; give one.",
            hint="strbench report --committed",
        )
    known = next((name for name in METRICS if name == metric), None)
    if known is None:
        raise unknown_name("metric", metric, METRICS, hint="See: strbench list metrics")
    if committed:
        from strbench.report.committed import committed_folder

        records = committed_folder()
    folder = records if records is not None else home() / "records"
    is_quoting = reported and suite is not None  # printed figures need no record
    runs = [] if is_quoting and not folder.is_dir() else load_all(folder)
    measured = {record.name for record in runs}
    asked = [name for item in models or [] for name in item.split(",") if name]
    chosen = [name if name in measured else recorded_name(name) for name in asked] or None
    made = build(
        runs,
        suite=suite,
        protocol=protocol,
        models=chosen,
        metric=known,
        reported=reported,
        over_seeds=over_seeds,
    )
    if as_json:
        sys.stdout.write(render.as_json(made))
    elif as_csv:
        sys.stdout.write(render.comma_separated(made))
    elif latex:
        sys.stdout.write(render.latex(made, intervals=intervals))
    elif markdown or not sys.stdout.isatty():
        sys.stdout.write(render.markdown(made, intervals=intervals))
    else:
        from rich.console import Console

        for part in render.terminal(made, intervals=intervals):
            Console().print(part)
    if not made.tables:
        what = f"the suite {suite}" if suite else "a table"
        say(f"Nothing in {folder} was measured on a whole split yet that would enter {what}.")
        say(f"To measure: strbench eval --suite {suite or 'rendered'}")


def compare(
    first: Annotated[
        str, typer.Argument(help="A record, the start of a run id, a model, or a prediction file.")
    ],
    second: Annotated[str, typer.Argument(help="What to compare it with.")],
    split: Annotated[
        list[str] | None,
        typer.Option(
            "--data", metavar="SPLIT", help="Only these splits; repeatable.", rich_help_panel=DATA
        ),
    ] = None,
    protocol: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Default: that of the records.", rich_help_panel=COMMON),
    ] = None,
    records: Records = None,
    limit_samples: Annotated[
        int,
        typer.Option(
            min=0,
            metavar="N",
            help="Flipped samples to list per direction.",
            rich_help_panel=OUTPUT,
        ),
    ] = 10,
    as_json: Json = False,
) -> None:
    """Paired difference of two models on the same samples, and the samples that flipped.

    Of detectors the difference of F, of restorers and segmenters that of each figure, and the images on
    which they differ most.

    strbench compare rapidocr vit-ctc-micro.smoke

    strbench compare mine.jsonl theirs.jsonl --data svt/test
    """
    from strbench.cli.splits import named_task
    from strbench.home import home
    from strbench.models import recorded_name
    from strbench.report import compare as words
    from strbench.report import compare_images as images
    from strbench.report import compare_regions as regions
    from strbench.report.sources import shared

    folder = records if records is not None else home() / "records"
    pairs = shared(
        first, second, records=folder, splits=split, protocol=protocol, recorded=recorded_name
    )
    of: dict[str, list[tuple[Source, Source]]] = {"words": [], "regions": [], "images": []}
    for pair in pairs:
        of[_PAIRED[named_task(pair[0].split)]].append(pair)
    read = [words.paired(*pair, protocol=protocol) for pair in of["words"]]
    seen = [regions.paired(*pair, protocol=protocol) for pair in of["regions"]]
    made = [one for pair in of["images"] for one in images.paired(*pair, protocol=protocol)]
    n = limit_samples
    if as_json:
        rows = [*words.as_json(read, limit=n), *regions.as_json(seen, limit=n)]
        print_json({"comparisons": [*rows, *images.as_json(made, limit=n)]})
        return
    parts = [words.markdown(read, limit=n)] if read else []
    parts += [regions.markdown(seen, limit=n)] if seen else []
    parts += [images.markdown(made, limit=n)] if made else []
    sys.stdout.write("\n".join(parts))


_PAIRED: dict[Task, str] = {
    "recognition": "words",
    "detection": "regions",
    "super-resolution": "images",
    "segmentation": "images",
}
