"""Options that several verbs share, and what completes their values."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from strbench import registry
from strbench.cli.breakdown import By
from strbench.cli.help import COMMON, COMPUTE, DATA, OUTPUT


def suite_names(incomplete: str) -> list[str]:
    """Completions of a suite."""
    return [name for name in registry.table("suites") if name.startswith(incomplete)]


def protocol_names(incomplete: str) -> list[str]:
    """Completions of a protocol."""
    from strbench.image_protocols import IMAGE_PROTOCOLS
    from strbench.protocols import PROTOCOLS
    from strbench.region_protocol_table import ROWS

    names = [*PROTOCOLS, *(row["name"] for row in ROWS), *IMAGE_PROTOCOLS]
    return [name for name in names if name.startswith(incomplete)]


def model_names(incomplete: str) -> list[str]:
    """Completions of a trained model or an engine."""
    from strbench.models import readers, shipped

    kinds: tuple[registry.Kind, ...] = ("engines", "spotters", "restorers", "segmenters")
    known = [*readers(), *shipped(), *(name for kind in kinds for name in registry.names(kind))]
    return [name for name in dict.fromkeys(known) if name.startswith(incomplete)]


def split_names(incomplete: str) -> list[str]:
    """Completions of a registered split."""
    from strbench.datasets import specs

    known = [split.name for spec in specs() for split in spec.splits]
    return [name for name in known if name.startswith(incomplete)]


BatchSize = Annotated[
    str,
    typer.Option(metavar="N|auto", help="Images at once, or auto.", rich_help_panel=COMPUTE),
]
Device = Annotated[
    str,
    typer.Option(metavar="NAME", help="auto, cpu, cuda or cuda:N.", rich_help_panel=COMPUTE),
]
Limit = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="N",
        help="Read only the first N samples of a split; never enters a table.",
        rich_help_panel=DATA,
    ),
]
AcceptLicence = Annotated[
    bool,
    typer.Option(
        "--accept-licence",
        help="Accept the licences of the sets to fetch.",
        rich_help_panel=DATA,
    ),
]
Offline = Annotated[
    bool,
    typer.Option(
        "--offline", help="Fetch nothing; use files that are at hand.", rich_help_panel=DATA
    ),
]
Protocol = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="How texts, regions or images are compared; see `strbench list protocols`. Default: "
        "strbench-36 for words, each set's own rule elsewhere.",
        autocompletion=protocol_names,
        rich_help_panel=COMMON,
    ),
]
Recognizer = Annotated[
    str | None,
    typer.Option(
        "--recognizer",
        metavar="NAME",
        help="Super-resolution: also count the words that this model reads before, after and in the "
        "true images.",
        autocompletion=model_names,
        rich_help_panel=DATA,
    ),
]
Lexicon = Annotated[
    str | None,
    typer.Option(
        "--lexicon",
        metavar="KIND[=PATH]",
        help="Spotting: put the nearest word of a lexicon first. strong, weak, generic or full: the "
        "split's own. strong=FOLDER, weak=FILE, ...: files; a pair list behind a comma.",
        rich_help_panel=DATA,
    ),
]
Breakdown = Annotated[
    By | None,
    typer.Option("--by", help="Also count by word length or aspect ratio.", rich_help_panel=OUTPUT),
]
RecordFolder = Annotated[
    Path | None,
    typer.Option(
        "--records",
        metavar="DIR",
        help="Folder of the run record; default: records/ in the strbench home.",
        rich_help_panel=OUTPUT,
    ),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Print what would run, and leave.", rich_help_panel=OUTPUT)
]
Json = Annotated[bool, typer.Option("--json", help="One JSON document.", rich_help_panel=OUTPUT)]


def dataset_names(incomplete: str) -> list[str]:
    """Completions: every dataset and split."""
    from strbench.datasets import specs

    known = [n for spec in specs() for n in (spec.id, *(s.name for s in spec.splits))]
    return [name for name in known if name.startswith(incomplete)]


DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        help="The folder of the stores; default: data/ in the strbench home.",
        rich_help_panel=OUTPUT,
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="Change a setting of the recipe; repeatable.",
        rich_help_panel=COMMON,
    ),
]
