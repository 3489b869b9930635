"""verify, info and diff: what a prepared split holds, and whether it is still that."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from strbench.cli.console import print_json, print_table, say
from strbench.cli.help import OUTPUT
from strbench.cli.options import DataDir, Json, dataset_names
from strbench.errors import StrbenchError

if TYPE_CHECKING:
    from strbench.datasets import Spec
    from strbench.store import Split
    from strbench.types import Task


def split_row(split: Split) -> dict[str, Any]:
    """A prepared split as a row of a table."""
    return {
        "name": split.name,
        "n": split.n,
        "labels": split.manifest.labels,
        "fingerprint": split.fingerprint,
        "images": str(split.lmdb_path),
    }


def _prepared(name: str | None, root: Path | None) -> list[Split]:
    """The prepared splits that a name means; all of them without a name."""
    from strbench.datasets import resolve
    from strbench.store import find_split, prepared_splits

    ready = prepared_splits(root=root)
    if name is None:
        return [find_split(split, root=root) for split in ready]
    mine = [n for n in ready if n == name or n.startswith(name + "/")]
    wanted = mine or [n for n in resolve(name).splits if n in ready]
    if not wanted:
        raise StrbenchError(
            f"No split of {name} is prepared.",
            hint=f"strbench data fetch {name}   or   strbench data import {name} PATH",
        )
    return [find_split(split, root=root) for split in wanted]


def one_prepared(name: str, root: Path | None, *, task: Task | None = None) -> Split:
    """The one prepared split that a name means.

    Raises:
        StrbenchError: none or several are prepared, or it is of another task than the wanted one.
    """
    from strbench.splits import check_task

    found = _prepared(name, root)
    if len(found) > 1:
        raise StrbenchError(
            f"{name} means several prepared splits: {', '.join(split.name for split in found)}.",
            hint=f"Name one of them, for example {found[0].name}.",
        )
    if task is not None:
        check_task(found[0].name, found[0].manifest.task, task)
    return found[0]


def verify(
    name: Annotated[
        str | None,
        typer.Argument(
            help="What to check; everything prepared without it.", autocompletion=dataset_names
        ),
    ] = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Read every sample again and compare counts and fingerprints with the manifests.

    strbench data verify

    strbench data verify cute80/test --json
    """
    from strbench.datasets import specs

    sizes = {s.name: s.n for spec in specs() if not spec.make for s in spec.splits if s.n}
    rows: list[dict[str, Any]] = []
    first: StrbenchError | None = None
    for split in _prepared(name, data_dir):
        say(f"reading {split.name}: {split.n} samples")
        outcome = "ok"
        try:
            split.verify()
            if sizes.get(split.name, split.n) != split.n:
                raise StrbenchError(
                    f"{split.name}: expected {sizes[split.name]} samples, found {split.n}.",
                    hint=f"strbench data import {split.name} PATH --replace",
                    exit_code=3,
                )
        except StrbenchError as error:
            first = first or error
            outcome = error.message
        rows.append({**split_row(split), "outcome": outcome})
    if as_json:
        print_json(rows)
    else:
        shown = [{k: row[k] for k in ("name", "n", "labels", "outcome")} for row in rows]
        print_table(shown, title="Verified splits", empty="nothing is prepared")
    if first:
        raise first
    say(f"{len(rows)} split{'s'[: len(rows) != 1]} verified, nothing was written")


def print_dataset(spec: Spec) -> None:
    """What a dataset holds and where it comes from, on stdout."""
    from strbench.datasets.obtaining import raw_folder

    print(f"{spec.title} ({spec.id})\n")
    for label, text in (("paper", spec.paper), ("licence", spec.licence)):
        if text:
            print(f"{label}: {text}")
    if not spec.make:
        print(f"downloads and files brought by hand: {raw_folder(spec)}")
    if spec.drop_in:
        print(f"read by import: LMDBs, folders with labels, {', '.join(spec.drop_in)}")
    print()
    for note in spec.notes:
        print(f"- {note}")
    print()
    rows: list[dict[str, Any]] = [
        {"split": s.name, "n": s.n or "", "labels": " or ".join(s.labels), "about": s.about}
        for s in spec.splits
    ]
    print_table(rows, title="Splits")
    rows = [
        {
            "number": i,
            "source": s.title,
            "access": s.access,
            "labels": s.labels,
            "splits": " ".join(s.splits),
            "files": " ".join(r.file for r in (*s.files, *s.optional)),
        }
        for i, s in enumerate(spec.sources, 1)
    ]
    if rows and not spec.make:
        print_table(rows, title="Sources")


def _draw_sheet(name: str, path: Path, samples: int | None, root: Path | None) -> None:
    from strbench.files import write_atomically
    from strbench.sheet import sheet_png

    if path.suffix.lower() != ".png":
        raise StrbenchError(
            f"{path} does not end in .png, the only format of a sheet.",
            hint=f"strbench data info {name} --sheet {path.with_suffix('.png')}",
        )
    write_atomically(path, sheet_png(one_prepared(name, root), samples=samples))
    say(f"written: {path}")


def info(
    name: Annotated[str, typer.Argument(help="A dataset or split.", autocompletion=dataset_names)],
    sheet: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.png",
            help="Also draw samples of a prepared split, with what is annotated.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    samples: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="How many samples the sheet shows; default: 12 to 56 by task.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Show what a dataset holds, where it comes from, and what of it is prepared here.

    strbench data info ic15

    strbench data info ic15_det/test --sheet ic15.png
    """
    from dataclasses import asdict

    from strbench.datasets import resolve
    from strbench.datasets.obtaining import raw_folder
    from strbench.store import prepared_splits

    if sheet is not None:
        _draw_sheet(name, sheet, samples, data_dir)

    ready = prepared_splits(root=data_dir)
    mine = [n for n in ready if n == name or n.startswith(name + "/")]
    try:
        target = resolve(name)
        wanted: tuple[str, ...] = target.splits
        spec = target.spec
    except StrbenchError:
        if not mine:
            raise
        wanted, spec = tuple(mine), None
    here = [n for n in wanted if n in ready]
    manifests = [asdict(split.manifest) for n in here for split in _prepared(n, data_dir)]
    document: dict[str, Any] = {"name": name, "prepared": manifests}
    if spec is not None:
        document["dataset"] = spec.describe()
        document["raw_folder"] = str(raw_folder(spec))
    if as_json:
        print_json(document)
        return
    if spec is not None:
        print_dataset(spec)
    rows = [
        {
            "split": f"{m['dataset']}/{m['split']}",
            "n": m["n"],
            "labels": m["labels"],
            "fingerprint": m["fingerprint"][:12],
            "from": ", ".join(str(s.get("name", s)) for s in m["sources"]),
            "notes": "; ".join(m["notes"]),
        }
        for m in manifests
    ]
    print_table(rows, title="Prepared here")


def diff(
    a: Annotated[str, typer.Argument(help="A prepared split.", autocompletion=dataset_names)],
    b: Annotated[str, typer.Argument(help="Another one.", autocompletion=dataset_names)],
    examples: Annotated[
        int, typer.Option(min=0, help="Examples to show of each kind.", rich_help_panel=OUTPUT)
    ] = 10,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Show which images two splits share, where their annotations differ, and why.

    Images are the same where their decoded pixels are.

    strbench data diff ic15_1811 ic15_2077

    strbench data diff cute80/test mine/test --json
    """
    from collections import Counter
    from dataclasses import asdict

    from strbench.datasets.comparing import diff as compare

    pair: list[Split] = []
    for name in (a, b):
        found = _prepared(name, data_dir)
        if len(found) > 1:
            raise StrbenchError(
                f"{name} means several prepared splits: {', '.join(s.name for s in found)}.",
                hint=f"Name one: strbench data diff {found[0].name} {found[1].name}",
            )
        pair += found
    result = compare(*pair)
    if as_json:
        print_json({**asdict(result), "relabelled_after_folding": result.folded()})
        return
    rows = [
        {"what": "the same image, annotated alike", "samples": result.same},
        {"what": "the same image, annotated otherwise", "samples": len(result.relabelled)},
        {"what": f"only in {result.a}", "samples": len(result.only_a)},
        {"what": f"only in {result.b}", "samples": len(result.only_b)},
    ]
    if pair[0].manifest.task == "recognition":
        folded = {"what": "... also in lower case, letters and digits", "samples": result.folded()}
        rows.insert(2, folded)
    print_table(rows, title=f"{result.a} ({result.n_a}) and {result.b} ({result.n_b})")
    shown: list[dict[str, Any]] = [
        {"id": p.a, result.a: p.label_a, result.b: p.label_b, "differs in": p.why}
        for p in result.relabelled[:examples]
    ]
    if result.relabelled:
        counted = Counter(pair.why for pair in result.relabelled).most_common()
        print_table([{"differs in": w, "samples": n} for w, n in counted], title="What differs")
    if shown:
        print_table(shown, title="Annotated otherwise")
    for side, why in ((result.a, result.why_only_a), (result.b, result.why_only_b)):
        if why:
            rows = [{"reason": reason, "samples": len(ids)} for reason, ids in why.items()]
            print_table(rows, title=f"Why only in {side}")
    for side, only in ((result.a, result.only_a), (result.b, result.only_b)):
        if only and examples:
            table = [{"id": id_, "label": label} for id_, label in only[:examples]]
            print_table(table, title=f"Only in {side}")
