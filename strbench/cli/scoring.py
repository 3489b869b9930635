"""score."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from strbench.cli.breakdown import breakdown
from strbench.cli.console import say
from strbench.cli.evaluation import show_records
from strbench.cli.help import COMMON, DATA, OUTPUT
from strbench.cli.images import show_images
from strbench.cli.options import (
    AcceptLicence,
    Breakdown,
    Json,
    Lexicon,
    Offline,
    Protocol,
    Recognizer,
    RecordFolder,
    split_names,
)
from strbench.cli.splits import Consent, bring, chosen_protocol
from strbench.errors import DATA as DATA_ERROR
from strbench.errors import StrbenchError


def score(
    predictions: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="Words: Parquet, JSONL, CSV, or `path TAB text`. Regions: a zip, a folder or a file. "
            "Images: Parquet, a folder or a zip.",
        ),
    ],
    data: Annotated[
        str | None,
        typer.Argument(
            metavar="SPLIT",
            help="The split that was read; a --signature names it too. Regions: or ground-truth files.",
            autocompletion=split_names,
        ),
    ] = None,
    protocol: Protocol = None,
    signature: Annotated[
        str | None,
        typer.Option(
            metavar="LINE",
            help="Score as this printed signature says, and refuse other data.",
            rich_help_panel=COMMON,
        ),
    ] = None,
    resize: Annotated[
        str,
        typer.Option(
            metavar="RULE", help="How images were resized, for the signature.", rich_help_panel=DATA
        ),
    ] = "unknown",
    format: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Format of found regions: icdar-quad, ctw1500, coco, ...; default: the protocol's, "
            "of a single file what it looks like.",
            rich_help_panel=DATA,
        ),
    ] = None,
    truth_format: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Format of a ground truth given as files; default: the protocol's.",
            rich_help_panel=DATA,
        ),
    ] = None,
    lexicon: Lexicon = None,
    recognizer: Recognizer = None,
    against: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Other found regions: the difference, paired by image.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    per_image: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Found regions: a CSV with a row an image.", rich_help_panel=OUTPUT
        ),
    ] = None,
    accept_licence: AcceptLicence = False,
    offline: Offline = False,
    name: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The model's name in tables; default: the file's.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    by: Breakdown = None,
    records: RecordFolder = None,
    as_json: Json = False,
) -> None:
    """Score a file of predictions, from here or from anywhere else.

    strbench score out.jsonl cute80/test --by length

    strbench score submit.zip gt.zip --protocol ic15-iou
    """
    from strbench.cli.regions import score_regions
    from strbench.image_protocols import IMAGE_PROTOCOLS
    from strbench.region_protocols import REGION_PROTOCOLS

    named = protocol
    if signature is None:
        protocol = chosen_protocol(protocol, data)
    kind = "regions" if protocol in REGION_PROTOCOLS else "words"
    kind = "images" if protocol in IMAGE_PROTOCOLS else kind
    of_regions: dict[str, object] = {
        "--format": format,
        "--truth-format": truth_format,
        "--lexicon": lexicon,
        "--against": against,
        "--per-image": per_image,
    }
    given: dict[str, dict[str, object]] = {
        "regions": of_regions,
        "images": {"--recognizer": recognizer},
        "words": {"--by": by},
    }
    for other, options in given.items():
        wrong = [option for option, value in options.items() if value and other != kind]
        if wrong:
            raise StrbenchError(
                f"{wrong[0]} is for {other}, and these are scored as {kind}, protocol {protocol}.",
                hint="Leave it out, or name another --protocol.",
            )
    if protocol in REGION_PROTOCOLS:
        score_regions(
            predictions,
            data,
            protocol or "",
            format=format,
            truth_format=truth_format,
            lexicon=lexicon,
            against=against,
            table=per_image,
            name=name,
            records=records,
            consent=Consent(accept_licence, offline),
            as_json=as_json,
        )
        return
    if protocol in IMAGE_PROTOCOLS:
        _score_images(
            predictions,
            data,
            protocol or "",
            name=name,
            recognizer=recognizer,
            records=records,
            consent=Consent(accept_licence, offline),
            as_json=as_json,
        )
        return
    # Imported here: the branches above need none of it.
    from strbench import scoring
    from strbench.predictions import read_predictions
    from strbench.protocols import DEFAULT_PROTOCOL, differing, parse_signature
    from strbench.protocols import protocol as find_protocol

    parsed = parse_signature(signature) if signature is not None else None
    if parsed is not None:
        if data not in (None, parsed.split_name):
            raise StrbenchError(
                f"The signature names {parsed.split_name}, and {data} was given too.",
                hint=f"strbench score {predictions} --signature ...",
            )
        if protocol not in (None, parsed.protocol):
            raise StrbenchError(
                f"The signature names the protocol {parsed.protocol}, and {protocol} was given too.",
                hint="Leave --protocol out, or name the split in place of the signature.",
            )
        data, protocol, resize = parsed.split_name, parsed.protocol, parsed.resize
    if data is None:
        raise StrbenchError(
            "The split that these predictions were made on must be named.",
            hint=f"strbench score {predictions} cute80/test",
        )
    if predictions.is_dir() or predictions.suffix.lower() == ".zip":
        is_file = Path(data).exists()
        what = f"{named} is a protocol" if named else f"{data} is a split"
        raise StrbenchError(
            f"{predictions} looks like regions, and {what} of words.",
            hint=f"strbench score {predictions} {data if is_file else 'gt.zip'} --protocol ic15-iou",
        )
    rule = find_protocol(protocol or DEFAULT_PROTOCOL)
    texts = read_predictions(predictions)
    (split,) = bring([data], Consent(accept_licence, offline))
    if parsed is not None and not split.fingerprint.startswith(parsed.fingerprint):
        raise StrbenchError(
            f"{split.name}: the signature names data @{parsed.fingerprint}, found "
            f"@{split.fingerprint[:8]}.",
            hint=f"Bring the same files, or see how they differ: strbench data info {split.name}",
            exit_code=DATA_ERROR,
        )
    if parsed is not None:
        made = scoring.make_score(texts, split, rule, resize=resize)[0].signature
        if parts := differing(str(parsed), made):
            raise StrbenchError(
                f"The signature says {parts[0]}, and here it is {parts[1]}.",
                hint=f"See what these files are: strbench data info {split.name}",
                exit_code=DATA_ERROR,
            )
    record = scoring.score_file(
        predictions,
        texts,
        split,
        name=name or predictions.stem,
        rule=rule.name,
        resize=resize,
        records_folder=records,
    )
    rows = breakdown(record, [split], by) if by else []
    show_records([record], by, rows, as_json=as_json)
    say(f"wrote {record.path}")


def _score_images(
    predictions: Path,
    data: str | None,
    protocol: str,
    *,
    name: str | None,
    recognizer: str | None,
    records: Path | None,
    consent: Consent,
    as_json: bool,
) -> None:
    """Score restored images or masks, print the figures and write a record."""
    from strbench import image_scoring, models
    from strbench.image_protocols import image_protocol

    if data is None:
        raise StrbenchError(
            "The split that these images were made for must be named.",
            hint=f"strbench score {predictions} textzoom/test_easy",
        )
    task = image_protocol(protocol).task
    (split,) = bring([data], consent, task=task)
    record = image_scoring.score_file(
        predictions,
        split,
        name=name or predictions.stem,
        rule=protocol,
        recognizer=models.resolve(recognizer) if recognizer else None,
        records_folder=records,
    )
    show_images([record], as_json=as_json)
    say(f"wrote {record.path}")
