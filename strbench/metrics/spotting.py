"""Spotting: found regions and what was read in them against true ones. End to end, and word spotting.

Where a region lies decides which found one answers which true one, as in ``strbench.metrics.detection``;
only then are the texts compared. A found region that reads the wrong text has spent the true one all the
same: both are lost.

Texts are compared as Python has them, code point by code point: nothing is composed or decomposed, and
right-to-left text is in the order in which it is stored. Upper case is Python's, in which one letter may
become several (sharp s becomes SS). The lexicon that a method may use is no part of any rule here; see
``strbench.lexicons``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from rapidfuzz.distance import Levenshtein

from strbench.errors import DATA, StrbenchError
from strbench.metrics.detection import FirstCome, Flags, Outcome, Scene, Verdict, outcome
from strbench.shapes import Floats, Ints, Rule

# SPECIAL_CHARACTERS of the RRC's E2E_iou_1_0 and 1_1; DAVAR-Lab-OCR's copy adds the blank.
SPECIAL = "!?.:,*\"()·[]/'"


@dataclass(frozen=True, kw_only=True)
class Spotted(Outcome):
    """The outcome of a rule that compares texts.

    What counts as matched, ``partner`` included, is what was found and read rightly.
    """

    spent: Ints  # (M,) the true region that a found one took by its place, or -1, whatever it reads

    @property
    def partners(self) -> tuple[str, ...]:
        return (*super().partners, "spent")


@dataclass(frozen=True, kw_only=True)
class EndToEnd:
    """Place first, then text; the text agrees as ``agrees`` says.

    Average precision, where there are confidences, is that of regions found and read rightly.

    Raises:
        StrbenchError: a true region that counts, or a found one, has no text at all (None).

    Source: the RRC's script.py of E2E_iou_1_0 and 1_1 (WORD_SPOTTING false). MLT19's task 4 is
    ``EndToEnd(special="", crossing="nothing")``, and with ``upper=False`` its case-sensitive figures;
    the official script has only the average precision of the former.
    """

    iou: float = 0.5  # IOU_CONSTRAINT; 0.1 in MANGO's figures
    ignore: float = 0.5  # AREA_PRECISION_CONSTRAINT
    special: str = SPECIAL
    only_first_last: bool = True  # ONLY_REMOVE_FIRST_LAST_CHARACTER
    upper: bool = True  # compare both in upper case
    crossing: Rule = "even-odd"

    def __call__(self, scene: Scene) -> Spotted:
        labels, preds = _texts(scene, upper=self.upper)
        spent = FirstCome(iou=self.iou, ignore=self.ignore, crossing=self.crossing)(scene)
        special, once = self.special, self.only_first_last
        return _read(
            scene,
            spent,
            [
                agrees(labels[truth], preds[found], special=special, only_first_last=once)
                for found, truth in _taken(spent.partner)
            ],
        )


def agrees(label: str, pred: str, *, special: str = SPECIAL, only_first_last: bool = True) -> bool:
    """Whether two texts, in upper case if that is not to matter, agree in the end-to-end rule.

    They are equal, or equal once the label has lost one special character at its start, or at its end,
    or both. Nothing is taken from the prediction. With ``only_first_last`` false both lose all special
    characters at both ends. An empty label agrees with an empty prediction alone: the RRC's script
    dies on it (IndexError), and the copies that were mended (DAVAR-Lab-OCR, AdelaiDet) do as here.

    >>> agrees("(OPEN)", "OPEN"), agrees("OPEN", "(OPEN)"), agrees("OPEN!!", "OPEN"), agrees("", "")
    (True, False, False, True)
    >>> agrees("OPEN!!", "(OPEN", only_first_last=False)
    True
    """
    if not only_first_last:
        return label.strip(special) == pred.strip(special)
    if label == pred:
        return True
    if not label:
        return False
    first, last = label[0] in special, label[-1] in special
    return (
        (first and label[1:] == pred)
        or (last and label[:-1] == pred)
        or (first and last and label[1:-1] == pred)
    )


@dataclass(frozen=True, kw_only=True)
class WordSpotting:
    """Words that could stand in a dictionary; every other true region does not count.

    Such a region takes found ones with it, like any that is ignored. Of the others the cleaned word
    (``dictionary_word``) is compared with the whole prediction in upper case. Papers on Total-Text
    that use AdelaiDet's evaluator call this "end-to-end".

    Raises:
        StrbenchError: a true region that is not ignored, or a found one, has no text at all (None).

    Source: the RRC's script.py of E2E_iou_1_0 and 1_1 (WORD_SPOTTING true).
    """

    iou: float = 0.5  # IOU_CONSTRAINT
    ignore: float = 0.5  # AREA_PRECISION_CONSTRAINT
    special: str = SPECIAL
    shortest: int = 3  # MIN_LENGTH_CARE_WORD
    crossing: Rule = "even-odd"

    def __call__(self, scene: Scene) -> Spotted:
        left = self.words(scene)
        labels, preds = _texts(left, upper=True)
        spent = FirstCome(iou=self.iou, ignore=self.ignore, crossing=self.crossing)(left)
        return _read(
            left, spent, [labels[truth] == preds[found] for found, truth in _taken(spent.partner)]
        )

    def words(self, scene: Scene) -> Scene:
        """The scene with cleaned words; regions without one are ignored."""
        _texts(scene, upper=False)
        regions = []
        for region in scene.regions:
            if not region.ignored:
                word = dictionary_word(
                    region.text or "", special=self.special, shortest=self.shortest
                )
                kept = region.text if word is None else word
                region = region._replace(text=kept, ignored=word is None)
            regions.append(region)
        return replace(scene, regions=tuple(regions))


# Code points of letters in the RRC's include_in_dictionary, both ends included: basic Latin, À to ƿ,
# Ǆ to ɿ, Ά to Ͽ.
_LETTERS = ((0x61, 0x7A), (0x41, 0x5A), (0xC0, 0x1BF), (0x1C4, 0x27F), (0x386, 0x3FF))
_NO_LETTERS = "×÷·"


def dictionary_word(text: str, *, special: str = SPECIAL, shortest: int = 3) -> str | None:
    """The word that word spotting looks for in a true region's text, or None if there is none.

    A final 's goes, then hyphens at both ends; special characters become blanks, and those at the ends
    go. What is left must have no blank inside, ``shortest`` characters or more, and nothing but Latin
    and Greek letters and hyphens.

    >>> dictionary_word("(Joe's"), dictionary_word("-CO-OP-"), dictionary_word("Café!")
    ('Joe', 'CO-OP', 'Café')
    >>> dictionary_word("to"), dictionary_word("A1A"), dictionary_word("e.g.")
    (None, None, None)

    Source: include_in_dictionary and include_in_dictionary_transcription of E2E_iou_1_0 and 1_1.
    """
    if text.endswith(("'s", "'S")):
        text = text[:-2]
    text = text.strip("-")
    word = text.translate(dict.fromkeys(map(ord, special), " ")).strip()
    if len(word) < shortest or not all(map(_is_letter, word)):
        return None
    return word


def _is_letter(character: str) -> bool:
    if character in _NO_LETTERS:
        return False
    return character == "-" or any(low <= ord(character) <= high for low, high in _LETTERS)


@dataclass(frozen=True)
class EditDistances:
    """Distances of an end-to-end 1-NED, by image."""

    distance: Floats  # (I,) summed over terms
    terms: Ints  # (I,) regions and pairs that were compared or penalised

    @property
    def one_minus_ned(self) -> float:
        """1 - mean distance; 0 where there is no term at all. It may fall below 0, see the rule."""
        terms = int(self.terms.sum())
        return 1 - math.fsum(self.distance.tolist()) / terms if terms else 0.0


@dataclass(frozen=True, kw_only=True)
class OneMinusNed:
    """The end-to-end 1-NED of MLT19's task 4; ArT, LSVT and ReCTS describe theirs in the same words.

    A pair that lies rightly adds the edit distance of its texts divided by the length of the longer
    one (0 if both are empty); every true region that counts and is not paired adds 1, and so does every
    found one. ``upper`` compares in upper case, but divides by lengths as annotated, as the official
    script does: a sharp s that becomes SS may add more than 1.

    Args:
        unmatched: "every" adds the penalties everywhere. "both" adds them only in images that have at
            least one true and one found region, whether they count or not, so that an image without a
            detection costs nothing.

    Raises:
        StrbenchError: a true region that counts, or a found one, has no text at all (None).

    Source: MLT_task_4 script.py 1.1 in facebookresearch/MultiplexedOCR. Its penalties come from a block
    that only images with both enter; for images without a region that counts on one side a later
    statement of the file sets the sums again, so that it gives what "every" gives.
    """

    iou: float = 0.5
    ignore: float = 0.5
    upper: bool = False
    unmatched: Literal["every", "both"] = "every"
    crossing: Rule = "nothing"

    def __call__(self, scene: Scene) -> EditDistances:
        plain = _texts(scene, upper=False)
        labels, preds = _texts(scene, upper=True) if self.upper else plain
        spent = FirstCome(iou=self.iou, ignore=self.ignore, crossing=self.crossing)(scene)
        pairs = sorted((truth, found) for found, truth in _taken(spent.partner))
        costs = [
            Levenshtein.distance(labels[truth], preds[found])
            / max(len(plain[0][truth]), len(plain[1][found]), 1)
            for truth, found in pairs
        ]
        missed = scene.truth.image[spent.truth == Verdict.MISSED]
        false = scene.found.image[spent.found == Verdict.MISSED]
        if self.unmatched == "both":
            images = len(scene.images)
            both = np.bincount(scene.truth.image, minlength=images) > 0
            both &= np.bincount(scene.found.image, minlength=images) > 0
            missed, false = missed[both[missed]], false[both[false]]
        paired = scene.truth.image[np.array([truth for truth, _ in pairs], dtype=np.int64)]
        owner = np.concatenate((paired, missed, false))
        values = np.concatenate((costs, np.ones(len(missed) + len(false))))
        return EditDistances(
            distance=scene.per_image(owner, values),
            terms=np.bincount(owner, minlength=len(scene.images)).astype(np.int64),
        )


@dataclass(frozen=True, kw_only=True)
class Measured(Spotted):
    """What was read rightly, and how far from right the rest is, by image."""

    distance: Floats  # (I,) see ``EditDistances``
    terms: Ints  # (I,)

    @property
    def one_minus_ned(self) -> float:
        """1 - mean edit distance over all images."""
        return EditDistances(self.distance, self.terms).one_minus_ned


@dataclass(frozen=True, kw_only=True)
class EndToEndDistances:
    """``EndToEnd`` without special signs, and ``OneMinusNed`` beside it, as MLT19's task 4 prints both."""

    upper: bool = True

    def __call__(self, scene: Scene) -> Measured:
        read = EndToEnd(special="", upper=self.upper, crossing="nothing")(scene)
        edits = OneMinusNed(upper=self.upper)(scene)
        return Measured(**vars(read), distance=edits.distance, terms=edits.terms)


def _texts(scene: Scene, *, upper: bool) -> tuple[list[str], list[str]]:
    """Texts of true and found regions; those of ignored ones are as good as any."""
    for region, image in zip(scene.regions, scene.truth.image, strict=True):
        if region.text is None and not region.ignored:
            raise _textless("A true region", scene.images[image])
    for detection, image in zip(scene.detections, scene.found.image, strict=True):
        if detection.text is None:
            raise _textless("A detection", scene.images[image])
    labels = [region.text or "" for region in scene.regions]
    preds = [detection.text or "" for detection in scene.detections]
    if upper:
        return [text.upper() for text in labels], [text.upper() for text in preds]
    return labels, preds


def _textless(what: str, image: str) -> StrbenchError:
    return StrbenchError(
        f"{what} of image {image!r} has no text, and this rule compares texts.",
        hint="Score a detector, or data without transcriptions, by a rule for detection.",
        exit_code=DATA,
    )


def _taken(partner: Ints) -> list[tuple[int, int]]:
    """(found, truth) of every pair, by found."""
    found = np.flatnonzero(partner >= 0)
    return list(zip(found.tolist(), partner[found].tolist(), strict=True))


def _read(scene: Scene, spent: Outcome, agree: Sequence[bool]) -> Spotted:
    """The outcome when only pairs that agree count; ``agree`` is in the order of ``_taken``."""
    right = spent.partner.copy()
    right[np.flatnonzero(spent.partner >= 0)[~np.array(agree, dtype=bool)]] = -1
    taken: Flags = np.zeros(len(scene.truth), dtype=bool)
    taken[right[right >= 0]] = True
    result = outcome(scene, taken, spent.found == Verdict.IGNORED, right)
    return Spotted(**vars(result), spent=spent.partner)
