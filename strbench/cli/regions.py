"""What ``score`` does with found regions."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from strbench.cli.console import only_first, print_json, print_table, say
from strbench.cli.splits import Consent
from strbench.errors import DATA, StrbenchError

if TYPE_CHECKING:
    from strbench.records import Record
    from strbench.region_scoring import Truth
    from strbench.scores import Figure

_SHOWN = ("precision", "recall", "hmean", "average_precision", "one_minus_ned")


def score_regions(
    results: Path,
    truth: str | None,
    protocol: str,
    *,
    format: str | None,
    truth_format: str | None,
    lexicon: str | None,
    against: Path | None,
    table: Path | None,
    name: str | None,
    records: Path | None,
    consent: Consent,
    as_json: bool,
) -> None:
    """Score a file of found regions, print the figures and write a record.

    Raises:
        StrbenchError: no ground truth was named, or something cannot be read or scored.
    """
    from strbench.files import atomic_path
    from strbench.image_bootstrap import paired_difference
    from strbench.region_protocols import region_protocol
    from strbench.region_scoring import per_image, score_files, score_results

    chosen = region_protocol(protocol)
    if truth is None:
        raise StrbenchError(
            "The ground truth of these regions must be named: a split, or its files.",
            hint=f"strbench score {results} gt.zip --protocol {protocol}",
        )
    true = _truth(truth, truth_format or chosen.files, consent)
    other = None
    if against is not None:  # read first: what is wrong with it leaves no record behind
        other, *_ = score_results(against, true, chosen, format=format, lexicon=lexicon)
        if len(other.images) < 2:
            raise StrbenchError(
                f"{truth} is of one image, and a paired test needs two or more.",
                hint="Leave --against out.",
                exit_code=DATA,
            )
    record, scored = score_files(
        results,
        true,
        chosen,
        name=name or results.stem,
        format=format,
        lexicon=lexicon,
        records_folder=records,
    )
    show_regions([record], as_json=as_json)
    if against is not None and other is not None:
        found = paired_difference(scored.outcome, other.outcome)
        say(
            f"F of {results.stem} - F of {against.stem}: {100 * found.value:+.2f} "
            f"[{100 * found.interval.low:+.2f}, {100 * found.interval.high:+.2f}], p {found.p:.2g} "
            "(paired bootstrap over images)"
        )
    if table is not None:
        rows = per_image(scored)
        with (
            atomic_path(table) as path,
            path.open("w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.DictWriter(file, rows[0], lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        say(f"wrote {table}")
    say(f"wrote {record.path}")


def _truth(name: str, format: str, consent: Consent) -> Truth:
    """The ground truth behind a path or the name of a split."""
    from strbench.cli.splits import bring
    from strbench.region_scoring import truth_of_files, truth_of_split

    if Path(name).exists():
        return truth_of_files(Path(name), format)
    if not re.fullmatch(r"[^/]+/[^/.]+", name):
        raise StrbenchError(
            f"There is no ground truth {name}: no such file or folder, and no split is called so.",
            hint="Check the path, or see: strbench list splits",
        )
    (split,) = bring([name], consent, task="detection")
    return truth_of_split(split)


def show_regions(finished: Sequence[Record], *, as_json: bool) -> None:
    """The figures on stdout: a table a protocol, what became of the regions, and the signatures.

    With ``as_json`` one document: the record, or a list of them where there are several.
    """
    if as_json:
        documents = [record.to_json() for record in finished]
        print_json(documents[0] if len(documents) == 1 else documents)
        return
    pairs = [(record, score) for record in finished for score in record.scores]
    for protocol in dict.fromkeys(score.protocol for _, score in pairs):
        rows = [
            {
                "model": record.name,
                "split": score.split + (" (rendered)" if score.rendered else ""),
                "images": score.n,
                **{
                    metric: _percent(score.figures[metric])
                    for metric in _SHOWN
                    if metric in score.figures
                },
            }
            for record, score in pairs
            if score.protocol == protocol
        ]
        print_table(rows, title=f"scores, protocol {protocol}{only_first(finished[0].limit)}")
    for record, score in pairs:
        if len(pairs) > 1:
            print(f"{record.name} on {score.split}")
        for side in ("truth", "found"):
            parts = (
                f"{score.counts[f'{side} {key}']} {shown}"
                for key, shown in (
                    ("matched", "matched"),
                    ("missed", "missed" if side == "truth" else "false"),
                    ("split", "split"),
                    ("merged", "merged"),
                    ("ignored", "don't care"),
                )
            )
            print(f"regions {side}: {', '.join(parts)}")
    print()
    for signature in dict.fromkeys(score.signature for _, score in pairs):
        print(signature)
    for record in finished:
        for reason, count in record.failures.items():
            say(f"{record.name}: {count} x {reason}")


def _percent(figure: Figure) -> str:
    """A proportion in percent with its interval, and the counts that it divides."""
    text = f"{100 * figure.value:.2f}"
    if figure.low is not None and figure.high is not None:
        text += f" [{100 * figure.low:.1f}, {100 * figure.high:.1f}]"
    return text if figure.part is None else f"{text} {figure.part:.6g}/{figure.whole:.6g}"
