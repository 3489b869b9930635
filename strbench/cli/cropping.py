"""data crop: the words of a detection split as a recognition split of the user's own."""

from __future__ import annotations

from typing import Annotated

import typer

from strbench.cli.console import Progress, print_json, print_table, say
from strbench.cli.help import DATA, OUTPUT
from strbench.cli.inspection import one_prepared, split_row
from strbench.cli.options import DataDir, Json, dataset_names
from strbench.errors import StrbenchError, unknown_name


def _crop_names(incomplete: str) -> list[str]:
    from strbench.crops import CROPS

    return [name for name in CROPS if name.startswith(incomplete)]


def _filter_names(incomplete: str) -> list[str]:
    from strbench.filters import FILTERS

    return [name for name in FILTERS if name.startswith(incomplete)]


def _print_list(*, as_json: bool) -> None:
    """The policies and filters."""
    from strbench.crops import CROPS
    from strbench.filters import FILTERS

    crops = [{"policy": n, "what is cut": c.about, "source": c.source} for n, c in CROPS.items()]
    filters = [{"filter": n, "keeps": f.about, "source": f.source} for n, f in FILTERS.items()]
    if as_json:
        print_json({"crop": crops, "keep": filters})
        return
    print_table(crops, title="Crop policies (--crop)")
    print_table(filters, title="Label filters (--keep)")


def crop(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="SPLIT",
            help="A prepared detection split, e.g. ic15_det/test.",
            autocompletion=dataset_names,
        ),
    ] = None,
    new: Annotated[
        str | None, typer.Argument(metavar="NEW", help="The split to make, a name of your own.")
    ] = None,
    policy: Annotated[
        str,
        typer.Option(
            "--crop",
            metavar="POLICY",
            help="How a word is cut out; see --list.",
            autocompletion=_crop_names,
            rich_help_panel=DATA,
        ),
    ] = "box",
    keep: Annotated[
        str,
        typer.Option(
            metavar="FILTER",
            help="Which words, under what label; see --list.",
            autocompletion=_filter_names,
            rich_help_panel=DATA,
        ),
    ] = "legible",
    jpeg: Annotated[
        bool,
        typer.Option(
            "--jpeg",
            help="Write JPEG (quality 95, 4:4:4) and not PNG.",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Write a prepared split anew.", rich_help_panel=OUTPUT)
    ] = False,
    list_: Annotated[
        bool,
        typer.Option("--list", help="Show the policies and filters, and leave."),
    ] = False,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Cut the words out of the photographs of a detection split.

    strbench data crop ic15_det/test my-ic15/test --crop box-inclusive

    strbench data crop --list
    """
    if list_:
        _print_list(as_json=as_json)
        return
    if name is None or new is None:
        raise StrbenchError(
            "Expected the split to cut and a name for the words"
            + (f"; found {name} alone." if name else "."),
            hint=f"strbench data crop {name or 'ic15_det/test'} my-words/test",
        )
    from dataclasses import asdict

    from strbench.crops import CROPS
    from strbench.datasets import resolve
    from strbench.datasets.cutting import cut_split
    from strbench.filters import FILTERS
    from strbench.store import split_directory

    if policy not in CROPS:
        raise unknown_name("crop policy", policy, CROPS, hint="See: strbench data crop --list")
    if keep not in FILTERS:
        raise unknown_name("label filter", keep, FILTERS, hint="See: strbench data crop --list")
    split_directory(new)
    if resolve(new, own=True).spec is not None:
        raise StrbenchError(
            f"{new} is a registered split; what you cut needs a name of its own.",
            hint=f"strbench data crop {name} my-{new} --crop {policy} --keep {keep}",
        )
    pages = one_prepared(name, data_dir, task="detection")
    if new == pages.name:
        raise StrbenchError(
            f"{new} is the split that is to be cut; its words need another name.",
            hint=f"strbench data crop {name} {new.replace('/', '-words/')}",
        )
    made, cut = cut_split(
        pages,
        new,
        crop=policy,
        keep=keep,
        encode="jpeg" if jpeg else "png",
        root=data_dir,
        replace=replace,
        progress=Progress(f"cutting {pages.name}"),
    )
    if as_json:
        print_json({**split_row(made), **asdict(cut)})
    else:
        rows = [
            {"what": "regions in the photographs", "count": cut.regions},
            {"what": f"left out by the filter {keep}", "count": cut.regions - cut.kept},
            {"what": "kept, but outside their photograph", "count": cut.outside},
            {"what": f"words of {made.name}", "count": cut.words},
        ]
        print_table(rows, title=f"Words of {pages.name}, crop {policy}")
    say(f"prepared: {made.directory}")
