"""export: the weights of a finished run as a folder to give away."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from strbench.cli.console import print_json, say
from strbench.cli.help import COMMON
from strbench.cli.options import Json


def _runs(incomplete: str) -> list[str]:
    from strbench.models import finished_runs

    return [name for name in finished_runs() if name.startswith(incomplete)]


def export(
    run: Annotated[
        str, typer.Argument(help="Name or folder of a finished run.", autocompletion=_runs)
    ],
    folder: Annotated[Path, typer.Argument(help="A new folder for the weights and run.json.")],
    half: Annotated[
        bool,
        typer.Option("--half", help="Store float16: half the size.", rich_help_panel=COMMON),
    ] = False,
    as_json: Json = False,
) -> None:
    """Copy a run's weights and description into a folder that `eval --model` and `--from` read.

    strbench export vit-ctc-micro.smoke+dig my-model

    strbench export vit-ctc-micro.smoke+dig my-model --half
    """
    from strbench.models import export_run

    written = export_run(run, folder, half=half)
    if as_json:
        print_json(written)
    say(f"next: strbench eval --model {folder}")
    say(f"wrote {written['path']} ({Path(written['path']).stat().st_size:,} bytes)")
