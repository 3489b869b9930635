"""What a page shows: items with their pictures, outlines, readings and figures.

The page knows no task. It draws the outlines and readings that an item has, and offers the filters,
orders and ranges that the gallery names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from strbench.errors import DATA, StrbenchError
from strbench.metrics.detection import Outcome, Scene, Verdict, ratio
from strbench.metrics.recognition import WordScores, score_words, word_accuracy
from strbench.policies import DEFAULT_POLICY, Policy
from strbench.policies import policy as find_policy
from strbench.shapes import Ints
from strbench.text import normalise_all
from strbench.types import Polygon, Reading


class Picture(NamedTuple):
    """One of an item's images."""

    key: str  # what ``write_page`` asks its ``images`` for
    role: str = ""  # shown above it where an item has several: "low", "restored", "mask"


class Mark(NamedTuple):
    """An outline on an item's first picture."""

    is_true: bool  # annotated; else found by the model
    verdict: Verdict
    polygon: Polygon  # vertices in pixels; anything that a file can say
    text: str | None = None
    confidence: float | None = None
    partner: int = -1  # of a found one that is matched: the place of its true one in ``Item.marks``


class Judged(NamedTuple):
    """What one model said about a word, and whether that counts as right."""

    text: str
    confidence: float | None
    is_right: bool | None  # None where the policy leaves the word out


class Item(NamedTuple):
    """A photograph, word or pair. Counts and figures are in the order of the gallery's names."""

    id: str
    pictures: tuple[Picture, ...]
    counts: tuple[int, ...]  # how often it has what each filter looks for
    figures: tuple[float | None, ...]  # None where there is none, shown as a dash and sorted last
    label: str | None = None
    readings: tuple[Judged, ...] = ()  # one a model
    marks: tuple[Mark, ...] = ()
    note: str = ""  # one line about this item


class Filter(NamedTuple):
    """A switch that lets items with a count above 0 through."""

    name: str  # on the button, two words at most
    what: str  # what is counted, in the plural, for the tooltip: "true regions that nothing found"
    styles: tuple[str, ...] = ()  # of the outlines that it is about, as page.css names them


class Figure(NamedTuple):
    """A number that every item has."""

    name: str
    unit: Literal["share", "count", ""] = "count"  # "" is not shown, only sorted by


class Order(NamedTuple):
    """A way to sort: by figures, the first one first; ties keep file order."""

    name: str
    by: tuple[tuple[int, bool], ...] = ()  # (place of the figure, falling?)


@dataclass(frozen=True, kw_only=True)
class Gallery:
    """Items, and what can be done with them."""

    layout: Literal["photograph", "grid"]  # one item at a time, or many small ones
    noun: str  # one of them: "photograph", "word"
    items: tuple[Item, ...]  # in file order
    filters: tuple[Filter, ...]
    figures: tuple[Figure, ...]
    orders: tuple[Order, ...]  # the first one decides which items a limit leaves out
    models: tuple[str, ...] = ()  # of the readings
    ranges: tuple[int, ...] = ()  # figures with a lowest and a highest value to choose
    strip: int | None = None  # the figure, a share, that is drawn for all items as a strip
    about: tuple[tuple[str, str], ...] = ()  # names and values above the items


def detection_items(
    scene: Scene, outcome: Outcome, *, about: Sequence[tuple[str, str]] = ()
) -> Gallery:
    """Photographs with their true and found outlines and what a rule makes of each.

    Precision, recall and hmean of a photograph are the rule's credits over what counts there; a
    figure whose denominator is 0 is left out, and hmean is 0 where one of the two has no
    denominator. The counts of filters are outlines, true and found.

    Args:
        about: more lines for the head of the page, such as ("protocol", "ic15-iou").
    """
    texts = _texts_differ(scene, outcome)
    filters = (
        Filter("Missed", "true regions that nothing found", ("true missed",)),
        Filter("False", "found regions that hit nothing", ("found missed",)),
        Filter("Split", "true regions found in pieces, and the pieces", ("split",)),
        Filter("Merged", "found regions over several true ones, and those", ("merged",)),
        Filter("Don't-care", "regions that do not count", ("ignored",)),
        *([Filter("Text differs", "matched regions that were read differently")] if texts else ()),
        *([Filter("No result", "without a result file")] if not scene.answered.all() else ()),
    )
    figures = (
        *(Figure(name, "share") for name in ("Precision", "Recall", "F")),
        *(Figure(name) for name in ("Regions", "Errors")),
    )
    truths = _by_image(scene.truth.image, len(scene.images))
    founds = _by_image(scene.found.image, len(scene.images))
    items = []
    for number, image in enumerate(scene.images):
        marks = _marks(scene, outcome, truths[number], founds[number])
        kinds = [(mark.is_true, mark.verdict) for mark in marks]
        missed = kinds.count((True, Verdict.MISSED))
        false = kinds.count((False, Verdict.MISSED))
        split, merged, ignored = (
            sum(kind[1] is verdict for kind in kinds)
            for verdict in (Verdict.SPLIT, Verdict.MERGED, Verdict.IGNORED)
        )
        differ = sum(found in texts for found in founds[number].tolist())
        answered = bool(scene.answered[number])
        items.append(
            Item(
                id=image,
                pictures=(Picture(image),),
                counts=(
                    *(missed, false, split, merged, ignored),
                    *([differ] if texts else ()),
                    *([int(not answered)] if not scene.answered.all() else ()),
                ),
                figures=(
                    *_figures(outcome, number),
                    *(float(len(marks)), float(missed + false + split + merged)),
                ),
                marks=marks,
                note="" if answered else "no result for this photograph",
            )
        )
    return Gallery(
        layout="photograph",
        noun="photograph",
        items=tuple(items),
        filters=filters,
        figures=figures,
        orders=(
            Order("Worst first", ((2, False), (4, True))),
            Order("Most errors", ((4, True),)),
            Order("Most regions", ((3, True),)),
            Order("File order"),
        ),
        strip=2,
        about=(
            ("Precision", f"{outcome.precision:.2%}"),
            ("Recall", f"{outcome.recall:.2%}"),
            ("F", f"{outcome.hmean:.2%}"),
            *about,
        ),
    )


def _by_image(owner: Ints, images: int) -> list[Ints]:
    edges = np.searchsorted(owner, np.arange(images + 1))
    return [np.arange(a, b) for a, b in pairwise(edges.tolist())]


def _texts_differ(scene: Scene, outcome: Outcome) -> set[int]:
    """The found regions whose text is not that of their true one, but for case."""
    differ = set()
    for found in np.flatnonzero(outcome.partner >= 0).tolist():
        read, true = scene.detections[found].text, scene.regions[outcome.partner[found]].text
        if read is not None and true is not None and read.casefold() != true.casefold():
            differ.add(found)
    return differ


def _figures(outcome: Outcome, image: int) -> tuple[float | None, float | None, float | None]:
    founds, truths = outcome.founds[image], outcome.truths[image]
    precision = ratio(outcome.precise[image], founds) if founds else None
    recall = ratio(outcome.recalled[image], truths) if truths else None
    if precision is None and recall is None:
        return None, None, None
    p, r = precision or 0.0, recall or 0.0
    return precision, recall, ratio(2 * p * r, p + r)


def _marks(scene: Scene, outcome: Outcome, truths: Ints, founds: Ints) -> tuple[Mark, ...]:
    place = {int(number): k for k, number in enumerate(truths)}
    true = [
        Mark(
            is_true=True,
            verdict=Verdict(int(outcome.truth[number])),
            polygon=scene.regions[number].polygon,
            text=scene.regions[number].text,
        )
        for number in truths.tolist()
    ]
    found = [
        Mark(
            is_true=False,
            verdict=Verdict(int(outcome.found[number])),
            polygon=scene.detections[number].polygon,
            text=scene.detections[number].text,
            confidence=scene.detections[number].confidence,
            partner=place.get(int(outcome.partner[number]), -1),
        )
        for number in founds.tolist()
    ]
    return (*true, *found)


def recognition_items(
    ids: Sequence[str],
    labels: Sequence[str],
    predictions: Mapping[str, Sequence[Reading | str]],
    *,
    policy: str | Policy = DEFAULT_POLICY,
    about: Sequence[tuple[str, str]] = (),
) -> Gallery:
    """Words with their labels and what one or more models read.

    Two models disagree where their texts differ as the policy compares them. Lengths are code points
    of the label as annotated.

    Args:
        predictions: a model's name to what it read, in the order of ``ids``.

    Raises:
        StrbenchError: a number of labels or of readings is not that of the ids; no such policy.
    """
    rule = find_policy(policy) if isinstance(policy, str) else policy
    readings = {
        model: [read if isinstance(read, Reading) else Reading(read) for read in some]
        for model, some in predictions.items()
    }
    for what, some in (("labels", labels), *readings.items()):
        if len(some) != len(ids):
            raise StrbenchError(
                f"Expected one entry for each of {len(ids)} words, found {len(some)} in {what}.",
                exit_code=DATA,
            )
    scores = {
        model: score_words(labels, [read.text for read in some], rule)
        for model, some in readings.items()
    }
    models = tuple(readings)
    several = len(models) > 1
    disagree = _disagree(readings, rule, len(ids)).tolist()
    correct = {model: score.correct.tolist() for model, score in scores.items()}
    similarity = {model: score.similarity.tolist() for model, score in scores.items()}
    first = next(iter(scores.values()), None)
    kept: list[bool] = [True] * len(ids) if first is None else first.kept.tolist()
    left_out = not all(kept)
    items = []
    for at, (id_, label) in enumerate(zip(ids, labels, strict=True)):
        scored = kept[at]
        said = tuple(
            Judged(
                readings[model][at].text,
                readings[model][at].confidence,
                correct[model][at] if scored else None,
            )
            for model in models
        )
        wrong = [one for one in said if one.is_right is False]
        sure = [one.confidence for one in said if one.confidence is not None]
        boldest = [one.confidence for one in wrong if one.confidence is not None]
        alike = [similarity[model][at] for model in models] if scored else []
        items.append(
            Item(
                id=id_,
                pictures=(Picture(id_),),
                counts=(
                    int(bool(wrong)),
                    *([int(one.is_right is False) for one in said] if several else ()),
                    *([int(disagree[at])] if several else ()),
                    int(any(not one.text for one in said)),
                    *([int(not scored)] if left_out else ()),
                ),
                figures=(
                    float(len(label)),
                    float(len(wrong)),
                    min(alike, default=None),
                    min(sure, default=None),
                    max(boldest, default=None),
                ),
                label=label,
                readings=said,
                note="" if scored else f"left out by {rule.name}",
            )
        )
    return Gallery(
        layout="grid",
        noun="word",
        items=tuple(items),
        models=models,
        filters=(
            Filter("Wrong", "words that a model read wrong"),
            *((Filter(f"{model} wrong", "words") for model in models) if several else ()),
            *([Filter("Disagree", "words read differently")] if several else ()),
            Filter("Empty reading", "words where a model read nothing"),
            *([Filter("Not scored", "words that the policy drops")] if left_out else ()),
        ),
        figures=(
            Figure("Length"),
            *(Figure(name, "") for name in ("wrong", "likeness", "confidence", "boldness")),
        ),
        orders=(
            Order("Wrong first", ((1, True), (2, False))),
            Order("Confident errors first", ((4, True), (1, True))),
            Order("Least confident first", ((3, False),)),
            Order("Longest first", ((0, True),)),
            Order("File order"),
        ),
        ranges=(0,),
        about=(
            *((model, _accuracy(score)) for model, score in scores.items()),
            ("compared by", rule.name),
            *about,
        ),
    )


def _accuracy(scores: WordScores) -> str:
    right = f"{scores.n_correct:,} of {scores.n:,} right"
    return f"{right} ({word_accuracy(scores):.1%})" if scores.n else right


def _disagree(
    readings: Mapping[str, Sequence[Reading]], rule: Policy, words: int
) -> NDArray[np.bool_]:
    out = np.zeros(words, np.bool_)
    texts = [normalise_all(rule.pred, [read.text for read in some]) for some in readings.values()]
    for other in texts[1:]:
        out |= np.fromiter((a != b for a, b in zip(texts[0], other, strict=True)), np.bool_, words)
    return out
