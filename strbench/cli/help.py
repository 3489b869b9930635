"""How help pages look: flags without a type, and the options without a panel under Common.

A context is typed Any: its class is click's in some releases of typer and typer's own in others.
"""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand, TyperGroup

COMMON = "Common"
DATA = "Data"
COMPUTE = "Compute"
OUTPUT = "Output"


def _plain(params: list[Any]) -> list[Any]:
    for param in params:
        if getattr(param, "is_flag", False):
            param.metavar = ""  # `--json`, not `--json <bool>`, which looks as if it took a value
    return params


def _name_panel() -> None:
    from typer import rich_utils  # imports rich: only once a help page is wanted

    rich_utils.OPTIONS_PANEL_TITLE = COMMON


class Verb(TyperCommand):
    """A command whose help page has the panels Common, Data, Compute and Output."""

    def get_params(self, ctx: Any) -> list[Any]:
        """The parameters, flags without a type name."""
        return _plain(super().get_params(ctx))

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the page."""
        _name_panel()
        super().format_help(ctx, formatter)


class Verbs(TyperGroup):
    """A group of commands with the same help pages."""

    def get_params(self, ctx: Any) -> list[Any]:
        """The parameters, flags without a type name."""
        return _plain(super().get_params(ctx))

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the page."""
        _name_panel()
        super().format_help(ctx, formatter)
