"""data: fetch, draw and import; beside it lie cropping, surveying and inspection of what there is."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast, get_args

import typer

from strbench.cli.console import Progress, print_json, print_table, say
from strbench.cli.cropping import crop
from strbench.cli.help import DATA, OUTPUT, Verb, Verbs
from strbench.cli.inspection import diff, info, split_row, verify
from strbench.cli.options import DataDir, Json, dataset_names
from strbench.cli.overlapping import overlap
from strbench.cli.surveying import labels as survey_labels
from strbench.errors import unknown_name
from strbench.types import Task

if TYPE_CHECKING:
    from strbench.store import Split

_TASKS: tuple[str, ...] = get_args(Task)

app = typer.Typer(
    cls=Verbs,
    help="Bring, check and compare the splits that everything else reads.",
    no_args_is_help=True,
)


Labels = Annotated[
    str,
    typer.Option(
        metavar="VARIANT",
        help="Label variant: standard or case-sensitive. Without it the labels decide.",
        rich_help_panel=DATA,
    ),
]


def ask_on_terminal(question: str) -> bool:
    """The answer to a yes-or-no question; no is the default."""
    return typer.confirm(question, err=True)


def show_bytes(file: str) -> Callable[[int, int], None]:
    """What tells of a download's bytes: (done, in all)."""
    line = Progress(f"{file}: kB")
    begun = time.monotonic()

    def show(done: int, total: int) -> None:
        if total:
            rate = done / 1e6 / max(time.monotonic() - begun, 1e-3)
            line(done // 1000, max(total // 1000, 1), f"({rate:.1f} MB/s)")

    return show


def _tell(made: list[Split], as_json: bool) -> None:
    rows = [split_row(split) for split in made]
    if as_json:
        print_json(rows)
    else:
        short = [{**row, "fingerprint": row["fingerprint"][:12]} for row in rows]
        print_table(short, title="Prepared splits")
    say("prepared: " + ", ".join(str(split.directory) for split in made))


@app.command("fetch", cls=Verb)
def fetch(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME...",
            help="Datasets (ic15), dataset ids (ic15_2077) or splits (ic15_2077/test).",
            autocompletion=dataset_names,
        ),
    ],
    accept_licence: Annotated[
        bool, typer.Option("--accept-licence", help="Accept the licence of each dataset named.")
    ] = False,
    offline: Annotated[
        bool, typer.Option("--offline", help="Use only files that are in raw/ already.")
    ] = False,
    source: Annotated[
        str,
        typer.Option(
            metavar="NUMBER|URL",
            help="Which source to use: its number in `strbench data info`, the address of one of its "
            "files, or that of a mirror: a folder with the files, ending in /.",
            rich_help_panel=DATA,
        ),
    ] = "",
    labels: Labels = "",
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Download splits, check them against known checksums and counts, and prepare them.

    A broken download goes on where it stopped when the same command runs again.

    strbench data fetch svtp cute80 --accept-licence

    strbench data fetch ic15_1811/test --source 1 --accept-licence
    """
    from strbench.datasets import obtain, resolve

    for name in names:
        resolve(name)  # a misspelt name stops the command before the first download
    ask = ask_on_terminal if sys.stdin.isatty() and sys.stderr.isatty() else None
    made: list[Split] = []
    for name in names:
        made += obtain(
            name,
            accept_licence=accept_licence,
            ask=ask,
            offline=offline,
            source=source,
            labels=labels,
            root=data_dir,
            say=say,
            progress=show_bytes,
        )
    _tell(made, as_json)


@app.command("draw", cls=Verb)
def draw(
    name: Annotated[str, typer.Argument(help="A rendered split, e.g. rendered/train.")],
    n: Annotated[
        int | None,
        typer.Option(
            "-n", min=1, help="How many pictures; default: as `strbench list splits` says."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Another seed draws other pictures.")] = 0,
    fonts: Annotated[
        Path | None,
        typer.Option(help="A folder of further fonts; renames the split.", rich_help_panel=DATA),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Processes that draw; default: one a core.", rich_help_panel=DATA),
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Write a prepared split anew.", rich_help_panel=OUTPUT)
    ] = False,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Draw rendered words, pages, pairs and masks: training sets of any size, and test sets.

    strbench data draw rendered/unlabelled -n 200000

    strbench data draw rendered/train -n 50000 --seed 1 --fonts ~/fonts --replace
    """
    import os

    from strbench.home import home
    from strbench.rendered import prepare

    split = prepare(
        name,
        data_dir or home() / "data",
        n=n,
        seed=seed,
        fonts=fonts,
        workers=workers or os.cpu_count() or 1,
        replace_existing=replace,
    )
    _tell([split], as_json)


@app.command("import", cls=Verb)
def import_(
    name: Annotated[
        str,
        typer.Argument(
            help="A dataset, dataset id or split; or a new name like mydata/test for your own.",
            autocompletion=dataset_names,
        ),
    ],
    path: Annotated[
        Path,
        typer.Argument(
            help="An LMDB, the official archive or its folder, a folder of images with a label "
            "file, or that label file."
        ),
    ],
    split: Annotated[
        str, typer.Option(help="train or test, where NAME does not say.", rich_help_panel=DATA)
    ] = "",
    labels: Labels = "",
    task: Annotated[
        str,
        typer.Option(
            metavar="TASK",
            help="Of a split of your own: recognition, detection, super-resolution or segmentation. "
            "Without it the files decide.",
            autocompletion=lambda incomplete: [t for t in _TASKS if t.startswith(incomplete)],
            rich_help_panel=DATA,
        ),
    ] = "",
    unlabelled: Annotated[
        bool,
        typer.Option("--unlabelled", help="Images without labels.", rich_help_panel=DATA),
    ] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Write anew what is prepared.", rich_help_panel=OUTPUT)
    ] = False,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Prepare splits from files that you have. An LMDB is used where it lies, not copied.

    strbench data import ic15_1811/test ./evaluation/IC15_1811

    strbench data import mydata/test ./photographs-with-boxes --task detection
    """
    from strbench.datasets import prepare, resolve

    if task and task not in _TASKS:
        raise unknown_name("task", task, _TASKS, hint="See: strbench data import --help")
    if resolve(name, split=split, own=True).spec is None:
        say(f"{name} is no registered dataset: importing a split of your own")
    made = prepare(
        name,
        path,
        split=split,
        labels=labels,
        task=cast(Task, task) if task else None,
        unlabelled=unlabelled,
        root=data_dir,
        replace=replace,
    )
    _tell(made, as_json)


app.command("crop", cls=Verb)(crop)
app.command("labels", cls=Verb)(survey_labels)
app.command("verify", cls=Verb)(verify)
app.command("info", cls=Verb)(info)
app.command("diff", cls=Verb)(diff)
app.command("overlap", cls=Verb)(overlap)
