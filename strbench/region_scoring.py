"""Found regions -> figures -> a run record: what ``score`` does for detection and spotting."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from strbench import records
from strbench.errors import DATA, StrbenchError
from strbench.image_bootstrap import FIGURES, intervals
from strbench.lexicons import (
    DROPPED_FROM,
    Corrected,
    Kind,
    Lexicon,
    correct,
    prepared_lexicons,
    read_lexicon,
    read_strong,
    tag,
)
from strbench.metrics.detection import Outcome, Scene, Verdict, ratio
from strbench.metrics.spotting import Measured
from strbench.region_protocols import RegionProtocol, signature
from strbench.scores import Data, Figure, Score
from strbench.store import Split, find_split
from strbench.submissions import open_found, read_truth
from strbench.types import Detection, Region

_TOGETHER = 2000  # images scored at once: what a scene of them holds is some ten megabytes


class Truth(NamedTuple):
    """A ground truth: of a prepared split, or of files that were given."""

    name: str  # "ic15_det/test", or "file/gt" of files
    fingerprint: str
    labels: str  # which version of the annotation, as far as it is known
    ids: tuple[str, ...]
    regions: Callable[[], Iterable[tuple[str, Sequence[Region]]]]  # anew each time
    rendered: bool = False


class Scored(NamedTuple):
    """A data set under a rule."""

    images: tuple[str, ...]
    outcome: Outcome


def truth_of_split(split: Split, *, limit: int | None = None) -> Truth:
    """The ground truth of a prepared split of photographs, or of its first ones, read image by image."""
    ids = tuple(split.ids[:limit])

    def regions() -> Iterator[tuple[str, Sequence[Region]]]:
        return ((id_, split.regions(index)) for index, id_ in enumerate(ids))

    manifest = split.manifest
    return Truth(split.name, split.fingerprint, manifest.labels, ids, regions, manifest.rendered)


def truth_of_files(path: Path, format: str) -> Truth:
    """The ground truth in a zip, a folder or a file; the fingerprint is that of what was read."""
    regions = read_truth(path, format)
    text = json.dumps([[id_, some] for id_, some in regions.items()], ensure_ascii=False)
    fingerprint = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    name = re.sub(r"[^a-z0-9_.-]+", "-", path.stem.lower()).strip("-.") or "truth"
    return Truth(
        f"file/{name}-{fingerprint[:8]}", fingerprint, format, tuple(regions), regions.items
    )


def score_results(
    results: Path,
    truth: Truth,
    protocol: RegionProtocol,
    *,
    format: str | None = None,
    lexicon: str | None = None,
) -> tuple[Scored, dict[str, int], str]:
    """What becomes of every region of a result file, what is to be said of it, and the lexicon's tag.

    Args:
        format: of the results. Where it is None: of a zip or folder the protocol's own, of a single
            file what it looks like.
        lexicon: "KIND", that of the split, or "KIND=PATH" or "KIND=PATH,PAIRS": texts are first
            replaced by the nearest word, see ``strbench.lexicons.correct``.

    Raises:
        StrbenchError: what cannot be read, belongs to no image, or has no figure under the rule.
    """
    used = ""
    is_single = results.is_file() and results.suffix.lower() != ".zip"
    with open_found(
        results,
        format or (None if is_single else protocol.files),
        confidences=protocol.confidences,
        transcriptions=protocol.texts,
    ) as given:
        found: Mapping[str, Sequence[Detection]] = given
        images = matched_ids(given, truth.ids)
        keys = {image: key for key, image in images.items()}
        said = {"image without a result": len(truth.ids) - len(given)}
        if lexicon is not None:
            step, used = correct_texts(found, lexicon, images, truth.name)
            found = step.detections
            said |= told(step)
        scored = score_regions(
            truth.regions(), lambda image: found[keys[image]] if image in keys else None, protocol
        )
    return scored, {reason: count for reason, count in said.items() if count}, used


def told(step: Corrected) -> dict[str, int]:
    """What a record says of a lexicon step."""
    return {
        "text changed by the lexicon": step.changed,
        "region dropped by the lexicon": step.dropped,
    }


def score_files(
    results: Path,
    truth: Truth,
    protocol: RegionProtocol,
    *,
    name: str,
    format: str | None = None,
    lexicon: str | None = None,
    records_folder: Path | None = None,
) -> tuple[records.Record, Scored]:
    """The finished record of a result file, and what became of every region; see ``score_results``."""
    begun = time.monotonic()
    with records.start(
        kind="score",
        name=name,
        records=records_folder,
        protocol=protocol.name,
        config={
            "predictions": results.name,
            "format": format or "",
            "lexicon": lexicon or "none",
        },
        data=[
            Data(
                split=truth.name,
                n=len(truth.ids),
                fingerprint=truth.fingerprint,
                labels=truth.labels,
            )
        ],
    ) as record:
        scored, failures, used = score_results(
            results, truth, protocol, format=format, lexicon=lexicon
        )
        record.finish(
            scores=[make_score(scored, protocol, truth, lexicon=used)],
            failures=failures,
            cost={"seconds": round(time.monotonic() - begun, 3)},
        )
    return record, scored


def score_regions(
    truth: Iterable[tuple[str, Sequence[Region]]],
    found: Callable[[str], Sequence[Detection] | None],
    protocol: RegionProtocol,
) -> Scored:
    """The outcome of a data set, some thousand images at a time where the rule allows it.

    Args:
        truth: image id and regions, in file order.
        found: the detections of an image; None where it has no result.
    """
    rule = protocol.rule()
    stream: Iterator[tuple[str, Sequence[Region]]] = iter(truth)
    images: list[str] = []
    parts: list[Outcome] = []
    together = None if protocol.whole else _TOGETHER
    while part := dict(islice(stream, together)):
        images += part
        seen = {image: some for image in part if (some := found(image)) is not None}
        parts.append(rule(Scene.of(part, seen)))
    if not parts:
        raise StrbenchError("There is no image to score.", exit_code=DATA)
    return Scored(tuple(images), Outcome.join(parts))


def matched_ids(found: Iterable[str], ids: Sequence[str]) -> dict[str, str]:
    """Key of a result -> image id: equal, or equal without folder and suffix, or by its last number.

    ``res_img_7`` and ``gt_img_7`` both mean ``test/img_7.jpg``.

    Raises:
        StrbenchError: a key that means no image or several.
    """
    keys = list(found)
    for rule in (str, _stem, _number):
        places: dict[str, list[str]] = {}
        for id_ in ids:
            places.setdefault(rule(id_), []).append(id_)
        if all(len(places.get(rule(key), ())) == 1 for key in keys):
            matched = {key: places[rule(key)][0] for key in keys}
            if len(set(matched.values())) == len(keys):
                return matched
    strange = [key for key in keys if _number(key) not in {_number(id_) for id_ in ids}] or keys
    raise StrbenchError(
        f"{len(strange)} of {len(keys)} results belong to no image of the ground truth, or to several: "
        f"{', '.join(strange[:5])}.",
        hint=f"Images are named like {', '.join(list(ids)[:2])}.",
        exit_code=DATA,
    )


def _stem(name: str) -> str:
    return Path(name).stem


def _number(name: str) -> str:
    digits = re.findall(r"\d+", Path(name).stem)
    return digits[-1].lstrip("0") or "0" if digits else name


def parse_lexicon(lexicon: str) -> tuple[Kind, str, str]:
    """The kind, the path of the words and that of the pair list; "" where the split's own are meant.

    Raises:
        StrbenchError: neither KIND nor KIND=PATH nor KIND=PATH,PAIRS, or there is no such kind.
    """
    name, named, places = lexicon.partition("=")
    words, _, pairs = places.partition(",")
    for kind in DROPPED_FROM:
        if kind == name and bool(named) == bool(words):
            return kind, words, pairs
    raise StrbenchError(
        f"--lexicon {lexicon}: expected KIND, for the split's own, or KIND=PATH, where the kind is "
        f"one of {', '.join(DROPPED_FROM)}.",
        hint="--lexicon strong=ch4_test_vocabularies/   or   --lexicon weak=vocabulary.txt,pairs.txt",
    )


def correct_texts(
    found: Mapping[str, Sequence[Detection]], lexicon: str, images: Mapping[str, str], split: str
) -> tuple[Corrected, str]:
    """The detections after the lexicon step, and the tag of the lexicon for signatures.

    Args:
        lexicon: "KIND" for the one that the split was prepared with, "KIND=PATH" or "KIND=PATH,PAIRS".
        images: by key of ``found``, the id of the image in the split.
        split: the name of the ground truth, "file/..." where that was given as files.

    Raises:
        StrbenchError: there is no such kind, the split has none of it, or its files cannot be read.
    """
    kind, words, pairs = parse_lexicon(lexicon)
    if not words:
        if split.startswith("file/"):
            raise StrbenchError(
                f"--lexicon {kind}: ground truth given as files brings no lexicon.",
                hint=f"Name its file: --lexicon {kind}=PATH, or score against a prepared split.",
            )
        whole = find_split(split)
        step = correct(found, prepared_lexicons(whole, kind, images), kind=kind)
        return step, tag(kind, [Lexicon(tuple(one)) for one in whole.lexicons[kind].values()])
    if kind == "strong":
        lists = read_strong(Path(words))
        return correct(found, lists, kind=kind), tag(kind, lists.values())
    common = read_lexicon(Path(words), Path(pairs) if pairs else None)
    return correct(found, common, kind=kind), tag(kind, [common])


def per_image(scored: Scored) -> list[dict[str, str | float]]:
    """A row an image: credits and numbers of both sides, and the figures where something counts."""
    outcome = scored.outcome
    rows: list[dict[str, str | float]] = []
    for image, precise, founds, recalled, truths in zip(
        scored.images,
        *(v.tolist() for v in (outcome.precise, outcome.founds, outcome.recalled, outcome.truths)),
        strict=True,
    ):
        # penalties of CLEval may leave less than nothing
        precision, recall = ratio(max(0.0, precise), founds), ratio(max(0.0, recalled), truths)
        rows.append(
            {
                "image": image,
                "precision": precision if founds else "",
                "recall": recall if truths else "",
                "hmean": ratio(2 * precision * recall, precision + recall),
                "credit of found": precise,
                "found": founds,
                "credit of true": recalled,
                "true": truths,
            }
        )
    return rows


def make_score(
    scored: Scored,
    protocol: RegionProtocol,
    truth: Truth,
    *,
    path: Path | None = None,
    lexicon: str = "",
) -> Score:
    """The entry of a run record.

    Args:
        path: the file that was scored, where it can be kept.
        lexicon: the tag of the one that corrected what was read, if any; see ``lexicons.tag``.
    """
    outcome = scored.outcome
    spread = intervals(outcome)
    sums = {
        "precision": (outcome.precise.sum(), outcome.founds.sum()),
        "recall": (outcome.recalled.sum(), outcome.truths.sum()),
    }
    figures = {}
    for name, interval in zip(FIGURES, spread, strict=True):
        figures[name] = Figure(
            value=getattr(outcome, name),
            low=interval.low if interval else None,
            high=interval.high if interval else None,
            part=float(sums[name][0]) if name in sums else None,
            whole=float(sums[name][1]) if name in sums else None,
        )
    ranks = outcome.ranks
    if (
        outcome.average_precision is not None
        and ranks is not None
        and (protocol.confidences or ranks.envelope)
    ):
        figures["average_precision"] = Figure(value=outcome.average_precision)
    if isinstance(outcome, Measured):
        figures["one_minus_ned"] = Figure(value=outcome.one_minus_ned)
    return Score(
        split=truth.name,
        fingerprint=truth.fingerprint,
        n=len(scored.images),
        protocol=protocol.name,
        signature=signature(
            protocol,
            truth.name,
            len(scored.images),
            truth.fingerprint,
            truth.labels,
            lexicon=lexicon,
        ),
        rendered=truth.rendered,
        predictions=records.stored(path) if path is not None else None,
        figures=figures,
        counts={
            f"{side} {verdict.name.lower()}": int((values == verdict).sum())
            for side, values in (("truth", outcome.truth), ("found", outcome.found))
            for verdict in Verdict
        },
    )
