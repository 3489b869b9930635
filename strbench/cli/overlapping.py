"""data overlap: images that two splits share, whatever their encoding."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from strbench.cli.console import Progress, print_json, print_table, say
from strbench.cli.help import DATA, OUTPUT
from strbench.cli.inspection import one_prepared
from strbench.cli.options import DataDir, Json, dataset_names


def overlap(
    train: Annotated[
        str,
        typer.Argument(help="The split to look in.", autocompletion=dataset_names),
    ],
    test: Annotated[
        str,
        typer.Argument(
            help="The split whose images are looked for; the same name finds its repeats.",
            autocompletion=dataset_names,
        ),
    ],
    distance: Annotated[
        int,
        typer.Option(
            min=0,
            max=15,
            metavar="BITS",
            help="Bits of 64 in which the hashes of a pair may differ.",
            rich_help_panel=DATA,
        ),
    ] = 10,
    examples: Annotated[
        int, typer.Option(min=0, help="Pairs to show.", rich_help_panel=OUTPUT)
    ] = 10,
    html: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Also write a page with thumbnails.", rich_help_panel=OUTPUT
        ),
    ] = None,
    tsv: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Also write all pairs.", rich_help_panel=OUTPUT),
    ] = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Find the images of a test split that a training split holds, re-encoded or resized too.

    Pairs are found by perceptual hash and then compared by pixels; words cut with another margin
    are not found. `strbench data diff` compares equal pixels and labels.

    strbench data overlap ic15/train ic15_2077/test --html overlap.html

    strbench data overlap iiit5k/train iiit5k/train
    """
    from strbench.files import write_atomically
    from strbench.overlap import find_overlap
    from strbench.overlap_page import controls, pair_row, summary, to_html, to_tsv

    found = find_overlap(
        one_prepared(train, data_dir),
        one_prepared(test, data_dir),
        distance=distance,
        progress=Progress,
    )
    if html is not None:
        write_atomically(html, to_html(found))
    if tsv is not None:
        write_atomically(tsv, to_tsv(found))
    if as_json:
        print_json(
            {
                "train": {"name": found.train.name, "fingerprint": found.train.fingerprint},
                "test": {"name": found.test.name, "fingerprint": found.test.fingerprint},
                "distance": found.distance,
                "summary": {row["what"]: row["count"] for row in summary(found)},
                "controls": found.controls,
                "pairs": [pair_row(found, match) for match in found.matches],
            }
        )
    else:
        what = "itself" if found.is_self else found.train.name
        print_table(summary(found), title=f"{found.test.name} in {what}")
        print_table(controls(found), title="What this search can find")
        closest = sorted(found.matches, key=lambda m: m.correlation)[:examples]
        if closest:
            rows = [pair_row(found, match) for match in closest]
            print_table(rows, title="Pairs, those that look least alike first")
    written = [str(path) for path in (html, tsv) if path is not None]
    say(f"written: {', '.join(written)}" if written else "nothing was written")
