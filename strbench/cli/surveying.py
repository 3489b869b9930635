"""labels: what annotation files hold, before any of it is imported."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from strbench.cli.console import print_json, print_table, say
from strbench.cli.options import Json
from strbench.cli.show import print_fields

if TYPE_CHECKING:
    from strbench.datasets.survey import Group

_COLUMNS = ("files", "images", "rows", "instances", "ignored", "legible")  # of the overview


def _row(group: Group, start: str) -> dict[str, Any]:
    where = group.where.removeprefix(start).strip("/") or Path(group.where).name
    return {
        "where": where,
        "format": group.format,
        **{key: group.facts.get(key) for key in _COLUMNS},
    }


def labels(
    path: Annotated[
        Path, typer.Argument(help="An annotation file, an LMDB, or a folder or archive of them.")
    ],
    as_json: Json = False,
) -> None:
    """Count what annotation files hold, without their images: rows, regions, texts and their traps.

    Read: word lists, a text file per image, ICDAR boxes and quadrilaterals, polygons, Total-Text,
    CTW1500, MSRA-TD500, SVT's and CUTE80's XML, MMOCR, PaddleOCR, COCO-Text, TextOCR, OpenVINO, LSVT
    and ArT, SynthText, IIIT5K, IAM, LMDBs. The format is told by the content.

    strbench data labels ./gt_ctw1500.zip

    strbench data labels ./annotations --json
    """
    from dataclasses import asdict

    from strbench.datasets.survey import survey

    result = survey(path)
    if as_json:
        print_json({"path": str(path), **asdict(result)})
        return
    if len(result.groups) == 1:
        (group,) = result.groups
        print_fields({"where": group.where, "format": group.format, **group.facts})
    else:
        rows = [_row(group, str(path)) for group in result.groups]
        print_table(rows, title=f"Annotations in {path}")
    for name, why in result.unread.items():
        say(f"not read: {name} ({why})")
    if len(result.groups) > 1:
        say("every figure: name one of these, or add --json")
