"""Word metrics against an independent edit distance, and their properties."""

from __future__ import annotations

import math
import random
from difflib import SequenceMatcher

import editdistance
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strbench.errors import StrbenchError
from strbench.metrics import METRICS
from strbench.metrics.recognition import (
    breakdown,
    char_counts,
    ladder,
    length_bins,
    one_minus_ned,
    ratio_bins,
    score_words,
    similarities,
    word_accuracy,
)
from strbench.policies import POLICIES

awkward = st.sampled_from("aAbB01 .-^_'éÉİKßſσςΣ中\n")
texts = st.text(awkward, max_size=12)
pairs = st.lists(st.tuples(texts, texts), min_size=1, max_size=30)


def reference(left: str, right: str) -> float:
    longer = max(len(left), len(right))
    return 1 - editdistance.eval(left, right) / longer if longer else 1.0


@settings(deadline=None)
@given(pairs)
def test_similarity_is_the_reference(found: list[tuple[str, str]]) -> None:
    left, right = map(list, zip(*found, strict=True))
    assert similarities(left, right).tolist() == list(map(reference, left, right))


@pytest.mark.parametrize("name", POLICIES)
@given(pairs)
@settings(max_examples=25, deadline=None)
def test_every_policy_is_its_own_rules_one_by_one(name: str, found: list[tuple[str, str]]) -> None:
    rule = POLICIES[name]
    scores = score_words([a for a, _ in found], [b for _, b in found], name)
    like = POLICIES[rule.ned_like] if rule.ned_like else rule
    for i, (label, text) in enumerate(found):
        a, b = rule.label(label), rule.pred(text)
        agree = a == b if rule.match is None else bool(rule.match(a, b))
        assert scores.correct[i] == agree
        assert scores.kept[i] == (rule.drop is None or not rule.drop(label))
        a, b = like.label(label), like.pred(text)
        both_empty = rule.ned == "longer-empty-0" and not a and not b
        assert scores.similarity[i] == (0.0 if both_empty else reference(a, b))


@settings(deadline=None)
@given(pairs, st.randoms(use_true_random=False))
def test_order_of_samples_does_not_matter(
    found: list[tuple[str, str]], shuffle: random.Random
) -> None:
    def figures(rows: list[tuple[str, str]]) -> tuple[object, ...]:
        labels, preds = [a for a, _ in rows], [b for _, b in rows]
        scores = score_words(labels, preds)
        parts = breakdown(scores, length_bins(labels))
        return scores.n_correct, scores.similarity_sum, ladder(labels, preds), parts

    expected = figures(found)
    shuffle.shuffle(found)
    assert figures(found) == expected


@settings(deadline=None)
@given(texts, texts)
def test_each_rung_implies_the_next(label: str, text: str) -> None:
    rungs = ladder([label], [text])
    assert list(rungs) == ["exact", "case", "alnum"]
    assert rungs["exact"] <= rungs["case"] <= rungs["alnum"]
    assert rungs["exact"] == (label == text)
    assert rungs["alnum"] == score_words([label], [text], "strbench-36").n_correct
    assert rungs["case"] == score_words([label], [text], "strbench-case").n_correct


def test_rungs_differ_where_they_should() -> None:
    assert ladder(["É", "É", "K"], ["É", "é", "\u212a"]) == {"exact": 1, "case": 2, "alnum": 2}
    assert ladder(["a.b", "straße"], ["A-B", "strae"]) == {"exact": 0, "case": 0, "alnum": 2}


def test_ours_keeps_every_sample() -> None:
    labels = ["", "!!!", "中", "a" * 60, "a\nb", "\ud800"]
    scores = score_words(labels, [""] * 6)
    assert (scores.n, scores.n_dropped) == (6, 0)
    assert scores.correct.tolist() == [True, True, True, False, False, True]
    assert scores.similarity.tolist() == [1.0, 1.0, 1.0, 0.0, 0.0, 1.0]


def test_more_pairs_than_are_compared_at_once() -> None:
    rng = random.Random(0)
    labels = ["".join(rng.choices("abcAB-", k=rng.randint(0, 6))) for _ in range(30_000)]
    preds = [text.upper() if rng.random() < 0.5 else text[:-1] + "x" for text in labels]
    for name in ("strbench-36", "clovaai-94-filtered", "mmocr-exact", "dig"):
        whole = score_words(labels, preds, name)
        parts = [score_words(labels[i::3], preds[i::3], name) for i in range(3)]
        assert whole.n_correct == sum(part.n_correct for part in parts)
        assert whole.similarity[1::3].tolist() == parts[1].similarity.tolist()
    assert ladder(labels, preds)["alnum"] == score_words(labels, preds).n_correct


def test_sums_are_exact() -> None:
    scores = score_words(["abc"] * 3000, ["abd", "abc", "x"] * 1000)
    assert scores.similarity_sum == math.fsum(scores.similarity.tolist())
    assert isinstance(scores.n_correct, int)
    assert scores.n_correct == 1000
    assert word_accuracy(scores) == 1000 / 3000
    assert one_minus_ned(scores) == scores.similarity_sum / 3000


def test_dropped_samples_enter_no_figure() -> None:
    scores = score_words(["abc", "don't", "x"], ["abc", "dont", "y"], "clovaai-36")
    assert scores.kept.tolist() == [True, False, True]
    assert (scores.n, scores.n_dropped, scores.n_correct) == (2, 1, 1)
    assert one_minus_ned(scores) == 0.5
    parts = breakdown(scores, ["even", "odd", "even"])
    assert {name: part.n for name, part in parts.items()} == {"even": 2}
    with pytest.raises(StrbenchError, match="No sample"):
        word_accuracy(score_words(["don't"], ["dont"], "clovaai-36"))


def test_columns_of_every_kind_are_read() -> None:
    polars = pytest.importorskip("polars")
    pandas = pytest.importorskip("pandas")
    labels, preds = ["Door", "EXIT", ""], ["door", "exlt", "a"]
    expected = score_words(labels, preds).similarity.tolist()
    for column in (np.array, polars.Series, pandas.Series, tuple, lambda v: np.array(v, object)):
        scores = score_words(column(labels), column(preds))
        assert scores.similarity.tolist() == expected
        assert ladder(column(labels), column(preds)) == ladder(labels, preds)


def test_what_is_no_text_is_named() -> None:
    with pytest.raises(StrbenchError, match=r"prediction of sample 1 must be text, found None"):
        score_words(["a", "b"], ["a", None])
    with pytest.raises(StrbenchError, match=r"label of sample 0 must be text, found nan"):
        score_words([float("nan")], ["a"])
    with pytest.raises(StrbenchError, match="2 labels and 1 texts"):
        score_words(["a", "b"], ["a"])


@settings(deadline=None)
@given(st.lists(st.tuples(texts, texts), max_size=10))
def test_characters_are_matched_as_difflib_does(found: list[tuple[str, str]]) -> None:
    rule = POLICIES["mmocr-ignore-case-symbol"]
    matched = 0
    for label, text in found:
        codes = SequenceMatcher(None, rule.pred(text), rule.label(label)).get_opcodes()
        matched += sum(end - start for kind, _, _, start, end in codes if kind == "equal")
    counts = char_counts([a for a, _ in found], [b for _, b in found])
    assert counts.matched == matched
    assert counts.label == sum(len(rule.label(a)) for a, _ in found)


def test_matching_characters_is_not_symmetric() -> None:
    # The prediction is difflib's first text, as in MMOCR.
    assert char_counts(["bca"], ["aba"]).matched == 1
    assert char_counts(["aba"], ["bca"]).matched == 2


def test_equal_long_labels_match_whole() -> None:
    # difflib drops frequent characters of a label of 200 and more; equal texts match all the same.
    word = "abab" * 60
    assert SequenceMatcher(None, word, word).get_opcodes() == [("equal", 0, 240, 0, 240)]
    assert char_counts([word], [word]).recall == 1.0
    assert char_counts([], []).recall == 0.0


def test_breakdown_adds_up() -> None:
    labels = ["a", "bb", "ccc", "dddd" * 10, ""]
    scores = score_words(labels, ["a", "bx", "ccc", "d", "x"])
    parts = breakdown(scores, length_bins(labels))
    assert list(parts) == [0, 1, 2, 3, 25]
    assert sum(part.n for part in parts.values()) == 5
    assert sum(part.n_correct for part in parts.values()) == scores.n_correct
    assert parts[2].similarity_sum == 0.5
    assert breakdown(scores, ratio_bins([0.5, 1, 2, 3.9, 8]))[4].n == 1
    with pytest.raises(StrbenchError, match="Expected 5 bins, found 2"):
        breakdown(scores, [1, 2])


def test_metric_table_names_functions_that_exist() -> None:
    from importlib import import_module

    for metric in METRICS.values():
        module, _, function = metric.function.partition(":")
        assert callable(getattr(import_module(module), function))
