"""The command line: wiring only. Each verb imports what it needs when it runs."""

from __future__ import annotations

import codecs
import errno
import io
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, cast

# Threads that wait for work spin by default, and on a machine that others use too two of them train
# 15 times slower than one (18 against 264 images/s of the smoke recipe at a load of 4 on 2 cores).
# Read when torch starts its OpenMP runtime, so it is set before anything imports torch.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "0")

import typer

from strbench.cli import (
    catalog,
    data,
    evaluation,
    exporting,
    predicting,
    report,
    reproducing,
    scoring,
    show,
    training,
    viewing,
)
from strbench.cli.console import command_line, say
from strbench.cli.help import Verb, Verbs
from strbench.errors import DATA, DEVICE, PARTIAL, USAGE, StrbenchError

app = typer.Typer(
    name="strbench",
    cls=Verbs,
    help="The benchmark of scene text: one number for a model, and what that number means.\n\n"
    "data -> pretrain -> finetune -> eval -> report. Every verb works on the embedded rendered "
    "words without a download; real sets come by `strbench data fetch` or `strbench data import`.",
    epilog="First steps: strbench list  |  strbench eval --suite rendered  |  strbench report\n\n"
    f"Exit codes: 0 done; {USAGE} the request cannot be met as typed; {DATA} a file is damaged, "
    f"incomplete or another one than expected; {DEVICE} out of memory; {PARTIAL} stopped before its "
    "end, the same command resumes; 1 a bug, with its traceback.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_PANELS: dict[str, dict[str, Callable[..., None]]] = {
    "Look": {"list": catalog.list_entries, "show": show.show, "doctor": catalog.doctor},
    "Train": {
        "pretrain": training.pretrain,
        "finetune": training.finetune,
        "export": exporting.export,
    },
    "Measure": {
        "predict": predicting.predict,
        "eval": evaluation.evaluate,
        "score": scoring.score,
    },
    "Compare": {
        "compare": report.compare,
        "report": report.report,
        "reproduce": reproducing.reproduce,
        "view": viewing.view,
    },
}
for panel, verbs in _PANELS.items():
    for verb, function in verbs.items():
        app.command(verb, cls=Verb, rich_help_panel=panel)(function)
app.add_typer(data.app, name="data", rich_help_panel="Data")


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


INTERRUPTED = 130  # 128 + SIGINT, as shells report it
# 128 + SIGPIPE, as shells report `cat`, `git` and all whom the signal ends. Not 0: a reader that left
# stops a command wherever it prints, which need not be its end.
PIPE_CLOSED = 141
# What the machine or the user's settings are at fault for, not the program.
_MENDABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.ENOSPC, errno.EDQUOT)


def main() -> None:
    """Run the command line and leave with its exit code.

    A ``StrbenchError`` becomes a line on stderr with its hint below and its exit code; so do a folder
    that cannot be written, a full disk, an output that takes nothing and exhausted memory. With
    STRBENCH_DEBUG set it keeps its traceback. Ctrl-C leaves with 130 where the verb itself has nothing
    to say about resuming. All other exceptions are bugs and keep their traceback.
    """
    try:
        _mend_streams()
        try:
            app(prog_name="strbench")
        finally:
            sys.stdout.flush()
    except BrokenPipeError:  # whoever read stdout left first, as in `strbench list | head -1`
        _drop_output()
        sys.exit(PIPE_CLOSED)
    except SystemExit as left:
        if isinstance(left.__context__, BrokenPipeError):  # typer and rich make it 1
            sys.exit(PIPE_CLOSED)
        raise
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except StrbenchError as error:
        if os.environ.get("STRBENCH_DEBUG"):
            raise
        _leave(error)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        if error.filename == _Output.NAME:
            _drop_output()
            _leave(_no_output(f"cannot be written: {error.strerror}", DATA if full else USAGE))
        missing = error.errno == errno.ENOENT and _in_home(error.filename)  # a home not creatable
        if error.errno not in _MENDABLE and not missing:
            raise
        where = f"{error.filename}: " if error.filename else ""
        _leave(
            StrbenchError(
                f"{where}{error.strerror}.",
                hint="Name a folder that can be written: export STRBENCH_HOME=/path/to/folder",
                exit_code=DATA if full else USAGE,
            )
        )
    except (RuntimeError, MemoryError) as error:
        if not _is_out_of_memory(error):
            raise
        _leave(
            StrbenchError(
                f"Out of memory: {str(error).splitlines()[0] if str(error) else 'no details'}.",
                hint="Use a smaller --batch-size, or --device cpu.",
                exit_code=DEVICE,
            )
        )


def _mend_streams() -> None:
    """Make the three streams such that what follows can use them.

    Signs that the encoding of stdout lacks are written as JSON escapes them, which keeps a document
    whole. Without stdin or stderr a program runs, without stdout it would work for nobody.

    Raises:
        StrbenchError: stdout is closed.
    """
    if sys.stdin is None:
        sys.stdin = Path(os.devnull).open()  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115
    if sys.stdout is None:
        raise _no_output("is closed", USAGE)
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout is sys.__stdout__:
        codecs.register_error("json", _escaped)
        raw = _Output(sys.stdout.fileno(), "w", closefd=False)
        sys.stdout = io.TextIOWrapper(
            cast(BinaryIO, raw) if sys.stdout.write_through else io.BufferedWriter(raw),
            encoding=sys.stdout.encoding,
            errors="json",
            line_buffering=sys.stdout.line_buffering,
            write_through=sys.stdout.write_through,
        )


class _Output(io.FileIO):
    """The standard output, named in the errors of writing to it: theirs else name no file."""

    NAME = "the standard output"

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            error.filename = self.NAME
            raise


def _escaped(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    return json.dumps(error.object[error.start : error.end])[1:-1], error.end


def _no_output(what: str, exit_code: int) -> StrbenchError:
    hint = f"Send it elsewhere: {command_line()} > out.txt"
    return StrbenchError(f"{_Output.NAME.capitalize()} {what}.", hint=hint, exit_code=exit_code)


def _drop_output() -> None:
    """Forget what was printed and not written, which Python would try once more when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _leave(error: StrbenchError) -> None:
    say(f"error: {error.message}")
    if error.hint:
        say("hint: " + error.hint.replace("\n", "\n      "))
    sys.exit(error.exit_code)


def _in_home(path: object) -> bool:
    """Whether the path lies in the home folder, or leads to it."""
    from strbench.home import home

    place = Path(str(path))
    return place == home() or home() in place.parents or place in home().parents


def _is_out_of_memory(error: RuntimeError | MemoryError) -> bool:
    if isinstance(error, MemoryError):
        return True
    from strbench.devices import is_out_of_memory

    return is_out_of_memory(error)
