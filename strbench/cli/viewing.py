"""view: results image by image, as a page that opens from disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from strbench.cli.console import say
from strbench.cli.help import COMMON, DATA, OUTPUT
from strbench.cli.options import AcceptLicence, Offline, Protocol, split_names
from strbench.cli.splits import Consent, bring, chosen_protocol
from strbench.errors import StrbenchError

if TYPE_CHECKING:
    from strbench.store import Split
    from strbench.view import Gallery

Images = Callable[[str], "bytes | Path"]


def view(
    results: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...",
            help="Predictions of words, restored images or masks, one or several, or found regions; or "
            "names of models that were evaluated on the split.",
        ),
    ],
    truth: Annotated[
        str,
        typer.Option(
            "--data",
            metavar="SPLIT",
            help="The split that was read; of regions also its ground-truth files.",
            autocompletion=split_names,
            rich_help_panel=DATA,
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="FOLDER", help="A new folder.", rich_help_panel=OUTPUT
        ),
    ],
    images: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="The photographs, where --data names files.",
            rich_help_panel=DATA,
        ),
    ] = None,
    protocol: Protocol = None,
    format: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Format of found regions; default: the protocol's, of a single file what it looks like.",
            rich_help_panel=DATA,
        ),
    ] = None,
    limit: Annotated[
        int,
        typer.Option(min=1, metavar="N", help="Most images on the page.", rich_help_panel=COMMON),
    ] = 2000,
    accept_licence: AcceptLicence = False,
    offline: Offline = False,
) -> None:
    """Write a page that shows results image by image, worst first; it opens from disk, without a server.

    strbench view rapidocr tesseract --data cute80/test -o page

    strbench view submit.zip --data ic15_det/test -o page
    """
    from strbench.image_protocols import IMAGE_PROTOCOLS
    from strbench.region_protocols import REGION_PROTOCOLS
    from strbench.view import write_page

    consent = Consent(accept_licence, offline)
    protocol = chosen_protocol(protocol, truth)
    if protocol in REGION_PROTOCOLS:
        if len(results) != 1:
            raise StrbenchError(
                f"One result file of regions at a time; {len(results)} were given.",
                hint=f"strbench view {results[0]} --data {truth} --protocol {protocol} -o {output}",
            )
        gallery, pictures = _regions(results[0], truth, protocol, format, images, consent)
    elif protocol in IMAGE_PROTOCOLS:
        gallery, pictures = _images(results, truth, protocol, consent)
    else:
        gallery, pictures = _words(results, truth, protocol, consent)
    title = f"{' and '.join(map(_model, results))} on {truth}"
    page = write_page(gallery, output, title=title, images=pictures, limit=limit, link=True)
    say(f"wrote {page}: open it in a browser, ? shows the keys")


def _regions(
    results: Path,
    truth: str,
    protocol: str,
    format: str | None,
    folder: Path | None,
    consent: Consent,
) -> tuple[Gallery, Images]:
    from strbench.metrics.detection import Scene
    from strbench.region_protocols import region_protocol
    from strbench.region_scoring import matched_ids
    from strbench.submissions import read_found, read_truth
    from strbench.view import detection_items

    rule = region_protocol(protocol)
    pictures: Images
    if Path(truth).exists():
        if folder is None:
            raise StrbenchError(
                f"{truth} holds no photographs.", hint="Say where they are: --images FOLDER"
            )
        regions = read_truth(truth, rule.files)
        files = [path for path in sorted(folder.iterdir()) if path.is_file()]
        places = matched_ids(regions, [path.name for path in files])
        pictures = lambda id_: folder / places[id_]  # noqa: E731
    else:
        (split,) = bring([truth], consent, task="detection")
        regions = {id_: list(split.regions(i)) for i, id_ in enumerate(split.ids)}
        pictures = _of_split(split)
        results = _file(results, split)
    is_single = results.is_file() and results.suffix.lower() != ".zip"
    found = read_found(
        results,
        format or (None if is_single else rule.files),
        confidences=rule.confidences,
        transcriptions=rule.texts,
    )
    ids = matched_ids(found, list(regions))
    scene = Scene.of(regions, {ids[key]: some for key, some in found.items()})
    outcome = rule.rule()(scene)
    return detection_items(
        scene, outcome, about=[("protocol", protocol), ("data", truth)]
    ), pictures


def _words(
    results: list[Path], truth: str, protocol: str, consent: Consent
) -> tuple[Gallery, Images]:
    from strbench.predictions import align, read_predictions
    from strbench.protocols import protocol as find_protocol
    from strbench.view import recognition_items

    rule = find_protocol(protocol)
    (split,) = bring([truth], consent)
    readings = {
        _model(file): align(read_predictions(_file(file, split)), split.ids) for file in results
    }
    labels = [label or "" for label in split.labels]
    gallery = recognition_items(
        split.ids,
        labels,
        readings,
        policy=rule.policy,
        about=[("protocol", rule.name), ("data", truth)],
    )
    return gallery, _of_split(split)


def _images(
    results: list[Path], truth: str, protocol: str, consent: Consent
) -> tuple[Gallery, Images]:
    from strbench.image_predictions import read_images
    from strbench.image_protocols import image_protocol
    from strbench.view.image_items import mask_items, restored_items

    rule = image_protocol(protocol)
    (split,) = bring([truth], consent, task=rule.task)
    made = {_model(file): read_images(_file(file, split), split.ids) for file in results}
    items = restored_items if rule.task == "super-resolution" else mask_items
    return items(made, split, rule, about=[("protocol", rule.name), ("data", truth)])


def _model(results: Path) -> str:
    """The name under which results are shown: the file's, without the suffix of a prediction file."""
    from strbench.prediction_files import READERS

    known = {*READERS, ".zip", ".json"}
    return results.stem if results.suffix.lower() in known else str(results)


def _file(name: Path, split: Split) -> Path:
    """A prediction file, or what a model of that name read in the split as it is now."""
    from strbench.home import home
    from strbench.models import RUN, recorded_name

    is_run = (name / RUN).is_file()
    if (name.exists() and not is_run) or _model(name) != str(name):
        return name
    for model in (str(name), recorded_name(str(name))):
        folder = home() / "predictions" / model.replace("/", "_").replace(":", "_")
        made = folder / f"{split.name.replace('/', '.')}@{split.fingerprint[:8]}.parquet"
        if made.is_file():
            return made
    raise StrbenchError(
        f"{name} is no file, and no model of that name has read {split.name} here.",
        hint=f"strbench eval --model {name} --data {split.name}",
    )


def _of_split(split: Split) -> Images:
    """Sample id -> its encoded image."""
    index = {id_: number for number, id_ in enumerate(split.ids)}
    return lambda id_: split.image(index[id_])
