"""Word metrics: accuracy, 1-NED, the ladder of strictness, character recall and precision.

Everything is per sample first and summed once, so no figure depends on a batch size. Counts are
integers and are divided when they are shown.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import compress
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein

from strbench.errors import DATA, StrbenchError
from strbench.policies import DEFAULT_POLICY, POLICIES, Policy
from strbench.policies import policy as find_policy
from strbench.text import normalise_all

LADDER = {  # rung -> policy; each rung is implied by the one before it
    "exact": "strbench-exact",
    "case": "strbench-case",
    "alnum": "strbench-36",
}

_CHUNK = 1 << 13  # pairs at once: what a core's cache holds; no figure depends on it


@dataclass(frozen=True, eq=False)
class WordScores:
    """The outcome of every sample of a split under one policy, in the order of the labels.

    Samples that the policy drops (``kept`` False; strbench's own policies drop none) are scored too
    but enter no sum.
    """

    policy: str
    correct: NDArray[np.bool_]  # the texts agree
    similarity: NDArray[np.float64]  # the sample's 1-NED, in [0, 1]
    kept: NDArray[np.bool_]

    @property
    def n(self) -> int:
        """How many samples are scored."""
        return int(np.count_nonzero(self.kept))

    @property
    def n_dropped(self) -> int:
        """How many samples the policy leaves out."""
        return len(self.kept) - self.n

    @property
    def n_correct(self) -> int:
        """How many scored samples are right."""
        return int(np.count_nonzero(self.correct & self.kept))

    @property
    def similarity_sum(self) -> float:
        """Sum of 1-NED over the scored samples, correctly rounded: the order does not matter."""
        values = self.similarity[self.kept]
        whole = values == 1.0
        return math.fsum([float(np.count_nonzero(whole)), *values[~whole].tolist()])


def _strings(values: Iterable[Any], what: str) -> list[str]:
    """A list of str from a list, a NumPy array or a polars or pandas column."""
    for method in ("to_list", "tolist"):
        if hasattr(values, method):
            values = getattr(values, method)()
            break
    out = values if isinstance(values, list) else list(values)
    if set(map(type, out)) <= {str}:
        return out
    for i, value in enumerate(out):
        if not isinstance(value, str):
            raise StrbenchError(
                f"The {what} of sample {i} must be text, found {value!r}.", exit_code=DATA
            )
    return list(map(str, out))


def _pairs(labels: Iterable[Any], texts: Iterable[Any]) -> tuple[list[str], list[str]]:
    left, right = _strings(labels, "label"), _strings(texts, "prediction")
    if len(left) != len(right):
        raise StrbenchError(
            f"Expected one prediction per label, found {len(left)} labels and {len(right)} texts.",
            exit_code=DATA,
        )
    return left, right


def _equal(left: list[str], right: list[str]) -> NDArray[np.bool_]:
    return np.fromiter(map(operator.eq, left, right), np.bool_, len(left))


def _where(mask: NDArray[np.bool_], values: list[str]) -> list[str]:
    return list(compress(values, mask.tobytes()))


def similarities(left: list[str], right: list[str]) -> NDArray[np.float64]:
    """1 - edit distance / length of the longer text, per pair; 1 for two empty texts.

    The edit distance counts insertions, deletions and substitutions of code points, one each.

    >>> similarities(["kitten", "", "a"], ["sitting", "", ""]).round(3).tolist()
    [0.571, 1.0, 0.0]
    """
    n = len(left)
    distance = np.fromiter(map(Levenshtein.distance, left, right), np.int64, n)
    longer = np.maximum(
        np.fromiter(map(len, left), np.int64, n), np.fromiter(map(len, right), np.int64, n)
    )
    return 1.0 - distance / np.maximum(longer, 1)


def _compare(
    rule: Policy, labels: list[str], texts: list[str]
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Whether each pair agrees under ``rule``, and its 1-NED."""
    correct = np.ones(len(labels), np.bool_)
    similarity = np.ones(len(labels), np.float64)
    pending = np.ones(len(labels), np.bool_)
    if rule.label is rule.pred and rule.ned == "longer":
        pending = ~_equal(labels, texts)  # equal texts stay equal, and need no normalising
        labels, texts = _where(pending, labels), _where(pending, texts)
    left, right = normalise_all(rule.label, labels), normalise_all(rule.pred, texts)
    same = _equal(left, right)
    if rule.ned == "longer-empty-0":
        similarity[same & ~np.fromiter(map(bool, left), np.bool_, len(left))] = 0.0
    pending[pending] = ~same
    left, right = _where(~same, left), _where(~same, right)
    similarity[pending] = similarities(left, right)
    if rule.match is None:
        correct[pending] = False
    else:
        correct[pending] = [bool(agree) for agree in map(rule.match, left, right)]
    return correct, similarity


def score_words(
    labels: Iterable[Any], texts: Iterable[Any], policy: str | Policy = DEFAULT_POLICY
) -> WordScores:
    """Every sample's outcome under a policy of ``strbench.policies.POLICIES``.

    Args:
        labels: the ground truth as annotated; a list, a NumPy array, a polars or pandas column.
        texts: the predictions, in the order of the labels.

    Raises:
        StrbenchError: the numbers differ, a value is no text, or no policy has the name.

    >>> scores = score_words(["Don't", "EXIT"], ["dont", "exlt"])
    >>> scores.correct.tolist(), scores.similarity.tolist(), scores.n
    ([True, False], [1.0, 0.75], 2)
    """
    rule = find_policy(policy) if isinstance(policy, str) else policy
    labels, texts = _pairs(labels, texts)
    correct = np.empty(len(labels), np.bool_)
    similarity = np.empty(len(labels), np.float64)
    kept = np.ones(len(labels), np.bool_)
    for start in range(0, len(labels), _CHUNK):
        part = slice(start, start + _CHUNK)
        correct[part], similarity[part] = _compare(rule, labels[part], texts[part])
        if rule.ned_like:
            _, similarity[part] = _compare(POLICIES[rule.ned_like], labels[part], texts[part])
        if rule.drop is not None:
            kept[part] = [not reason for reason in map(rule.drop, labels[part])]
    return WordScores(policy=rule.name, correct=correct, similarity=similarity, kept=kept)


def _ratio(numerator: float, n: int) -> float:
    if n == 0:
        raise StrbenchError("No sample is scored, so there is no average.", exit_code=DATA)
    return numerator / n


def word_accuracy(scores: WordScores) -> float:
    """The share of scored samples whose texts agree, in [0, 1].

    A label that normalises to nothing is right when the prediction does too.

    Raises:
        StrbenchError: no sample is scored.

    >>> word_accuracy(score_words(["Door", "EXIT", "&"], ["door!", "exlt", ""]))
    0.6666666666666666
    """
    return _ratio(scores.n_correct, scores.n)


def one_minus_ned(scores: WordScores) -> float:
    """Mean over the scored samples of 1 - edit distance / length of the longer text, in [0, 1].

    Over the texts as the policy normalises them. Two empty texts give 1, one empty text gives 0;
    policies of clovaai give 0 to two empty texts as well, as that repository does.

    Raises:
        StrbenchError: no sample is scored.

    >>> one_minus_ned(score_words(["EXIT", "", "door"], ["exlt", "", ""]))
    0.5833333333333334

    Source: ICDAR 2019 robust reading challenges (ArT, section 3.2: N.E.D.).
    """
    return _ratio(scores.similarity_sum, scores.n)


def ladder(labels: Iterable[Any], texts: Iterable[Any]) -> dict[str, int]:
    """How many pairs agree on each rung, strictest first: exact, case, alnum.

    "exact": equal code points. "case": equal but for case. "alnum": equal ASCII letters and digits
    but for case, which is word accuracy under strbench-36. Each rung holds all pairs of the one
    before it.

    >>> ladder(["Don't", "EXIT", "a"], ["dont", "exit", "a"])
    {'exact': 1, 'case': 2, 'alnum': 3}
    """
    labels, texts = _pairs(labels, texts)
    counts = dict.fromkeys(LADDER, 0)
    for start in range(0, len(labels), _CHUNK):
        left, right = labels[start : start + _CHUNK], texts[start : start + _CHUNK]
        agreed = 0
        for rung, name in LADDER.items():
            rule = POLICIES[name]
            same = _equal(normalise_all(rule.label, left), normalise_all(rule.pred, right))
            left, right = _where(~same, left), _where(~same, right)
            agreed += int(np.count_nonzero(same))
            counts[rung] += agreed
    return counts


@dataclass(frozen=True)
class CharCounts:
    """Characters matched in order, and how many there were."""

    matched: int
    label: int
    pred: int

    @property
    def recall(self) -> float:
        """Matched characters over label characters; 0 without any."""
        return self.matched / self.label if self.label else 0.0

    @property
    def precision(self) -> float:
        """Matched characters over predicted characters; 0 without any."""
        return self.matched / self.pred if self.pred else 0.0


def char_counts(
    labels: Iterable[Any],
    texts: Iterable[Any],
    policy: str | Policy = "mmocr-ignore-case-symbol",
) -> CharCounts:
    """Character recall and precision over all samples that the policy keeps, as MMOCR counts them.

    A character is matched where Python's ``difflib.SequenceMatcher(None, pred, label)`` finds equal
    blocks. That is no longest common subsequence, and for labels of 200 characters or more it
    ignores frequent ones (its ``autojunk``). MMOCR prints the two ratios with four decimals.

    >>> counts = char_counts(["hello"], ["Helo!"])
    >>> counts.recall, counts.precision
    (0.8, 1.0)

    Source: open-mmlab/mmocr mmocr/evaluation/metrics/recog_metric.py, CharMetric.
    """
    rule = find_policy(policy) if isinstance(policy, str) else policy
    labels, texts = _pairs(labels, texts)
    left, right = normalise_all(rule.label, labels), normalise_all(rule.pred, texts)
    matched = n_label = n_pred = 0
    for raw, label, text in zip(labels, left, right, strict=True):
        if rule.drop is not None and rule.drop(raw):
            continue
        n_label += len(label)
        n_pred += len(text)
        if label == text:
            matched += len(label)
        else:
            blocks = SequenceMatcher(None, text, label).get_matching_blocks()
            matched += sum(block.size for block in blocks)
    return CharCounts(matched, n_label, n_pred)


@dataclass(frozen=True)
class Part:
    """The sums of the samples in one bin."""

    n: int
    n_correct: int
    similarity_sum: float


def breakdown(scores: WordScores, bins: Sequence[Hashable] | NDArray[Any]) -> dict[Any, Part]:
    """Counts per bin, in the order of the bins; a dropped sample is in none.

    Args:
        bins: the bin of every sample, dropped ones included: integers or strings, one kind.

    >>> labels, texts = ["cat", "horse", "sheep"], ["cat", "house", "sheep"]
    >>> parts = breakdown(score_words(labels, texts), length_bins(labels))
    >>> parts[5]
    Part(n=2, n_correct=1, similarity_sum=1.8)

    Raises:
        StrbenchError: there is not one bin per sample.
    """
    keys = np.asarray(bins)
    if keys.shape != scores.kept.shape:
        raise StrbenchError(f"Expected {len(scores.kept)} bins, found {len(keys)}.", exit_code=DATA)
    names, index = np.unique(keys[scores.kept], return_inverse=True)
    order = np.argsort(index, kind="stable")
    edges = np.searchsorted(index[order], np.arange(len(names) + 1))
    correct = scores.correct[scores.kept][order]
    similarity = scores.similarity[scores.kept][order]
    return {
        name: Part(
            n=int(end - start),
            n_correct=int(np.count_nonzero(correct[start:end])),
            similarity_sum=math.fsum(similarity[start:end].tolist()),
        )
        for name, start, end in zip(names.tolist(), edges[:-1], edges[1:], strict=True)
    }


def length_bins(labels: Iterable[Any], *, longest: int = 25) -> NDArray[np.int64]:
    """The number of characters of each label as annotated; ``longest`` holds all longer ones."""
    words = _strings(labels, "label")
    return np.minimum(np.fromiter(map(len, words), np.int64, len(words)), longest)


def ratio_bins(
    ratios: Sequence[float] | NDArray[Any], edges: Sequence[float] = (1.0, 2.0, 3.0, 4.0)
) -> NDArray[np.int64]:
    """The bin of each aspect ratio (width / height): 0 below the first edge, then one per edge.

    An edge belongs to the bin above it.

    >>> ratio_bins([0.5, 1.0, 2.5, 9.0]).tolist()
    [0, 1, 2, 4]
    """
    return np.searchsorted(np.asarray(edges), np.asarray(ratios), side="right").astype(np.int64)
