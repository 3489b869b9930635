"""The command line: wiring only. Each verb imports what it needs when it runs."""

from __future__ import annotations

import os
import sys

# Threads that wait for work spin by default, and on a machine that others use too two of them train
# 15 times slower than one (18 against 264 images/s of the smoke recipe at a load of 4 on 2 cores).
# Read when torch starts its OpenMP runtime, so it is set before anything imports torch.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "0")

import typer

from strbench.cli import catalog, data, evaluation, report, training
from strbench.errors import StrbenchError

app = typer.Typer(
    name="strbench",
    help="The benchmark of scene text: one number for a model, and what that number means.\n\n"
    "data -> pretrain -> finetune -> eval -> report. Every verb works on the embedded rendered "
    "words without a download; real sets come by `strbench data fetch` or `strbench data import`.",
    epilog="First steps:  strbench list datasets   |   strbench eval --suite rendered   |   "
    "strbench report --markdown",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.command("list", rich_help_panel="Look")(catalog.list_entries)
app.command("show", rich_help_panel="Look")(catalog.show)
app.command("doctor", rich_help_panel="Look")(catalog.doctor)
app.add_typer(data.app, name="data", rich_help_panel="Data")
app.command("pretrain", rich_help_panel="Train")(training.pretrain)
app.command("finetune", rich_help_panel="Train")(training.finetune)
app.command("predict", rich_help_panel="Measure")(evaluation.predict)
app.command("eval", rich_help_panel="Measure")(evaluation.evaluate)
app.command("score", rich_help_panel="Measure")(evaluation.score)
app.command("compare", rich_help_panel="Compare")(report.compare)
app.command("report", rich_help_panel="Compare")(report.report)


def _version(wanted: bool) -> None:
    if wanted:
        from strbench import __version__

        typer.echo(f"strbench {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version and leave."
    ),
) -> None:
    pass


def main() -> None:
    """Run the command line; a ``StrbenchError`` becomes two lines on stderr and its exit code."""
    try:
        app()
    except StrbenchError as error:
        print(f"error: {error.message}", file=sys.stderr)
        if error.hint:
            print(f"  try: {error.hint}", file=sys.stderr)
        sys.exit(error.exit_code)
