"""Predictions to records: every sample counts, intervals are honest, lineage is kept."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_train import SETTINGS, plan_of, words

from strbench import evaluating, models, plans, records, runs, scoring
from strbench.errors import DATA, StrbenchError
from strbench.predict import card_of
from strbench.predictions import Predictions, write_predictions
from strbench.protocols import protocol
from strbench.scores import Accuracy
from strbench.stats import bootstrap_interval, wilson_interval
from strbench.store import Split, find_split, write_split
from strbench.types import Sample

RULE = protocol("strbench-36")


def split_with(
    directory: Path, labels: Sequence[str | None], groups: Sequence[str | None] | None = None
) -> Split:
    samples = []
    for i, label in enumerate(labels):
        out = io.BytesIO()
        Image.new("RGB", (9, 8), (i, 0, 0)).save(out, "PNG")
        samples.append(Sample(f"{i}.png", out.getvalue(), label, groups[i] if groups else None))
    return write_split(directory, samples, dataset="mine", split="test", labels="standard")


def answers(split: Split, texts: Sequence[str]) -> Predictions:
    """In another order than the split's."""
    return Predictions(split.ids[::-1], list(texts)[::-1], [None] * len(texts))


class Fixed:
    def __init__(self, texts: Sequence[str]) -> None:
        self.texts = list(texts)
        self.seen = 0

    def read(self, images: Sequence[np.ndarray]) -> list[str]:
        self.seen += len(images)
        return self.texts[self.seen - len(images) : self.seen]


def loaded(texts: Sequence[str]) -> models.Loaded:
    model = Fixed(texts)
    return models.Loaded("fixed", model, card_of(model, "fixed"))


def test_every_sample_is_scored(tmp_path: Path, home: Path) -> None:
    labels = ["Door", "&", "x" * 60, "naïve", "door"]
    split = split_with(tmp_path / "s", labels)
    record = evaluating.evaluate(loaded(["door!", "", "", "naive", ""]), [split])
    (score,) = record.scores
    assert score.n == split.n == 5
    assert score.word_accuracy is not None
    assert (score.word_accuracy.correct, score.word_accuracy.n) == (2, 5)
    assert record.failures == {"empty prediction": 3}
    assert "|n:5|" in score.signature
    assert records.load(record.path).status == "success"
    assert record.limit is None


def test_unlabelled_split_is_refused_before_it_is_read(tmp_path: Path, home: Path) -> None:
    split = split_with(tmp_path / "s", ["a", None, None])
    model = loaded("abc")
    with pytest.raises(
        StrbenchError, match=r"2 samples have no label, for example 1.png"
    ) as caught:
        evaluating.evaluate(model, [split])
    assert caught.value.exit_code == DATA
    assert model.model.seen == 0  # type: ignore[attr-defined]
    assert [r.status for r in records.load_all(home / "records")] == ["error"]
    with pytest.raises(StrbenchError, match="have no label"):
        scoring.make_score(answers(split, "abc"), split, RULE)
    assert evaluating.evaluate(loaded("a"), [split], limit=1).scores[0].n == 1


def test_policy_that_drops_samples(tmp_path: Path, home: Path) -> None:
    split = split_with(tmp_path / "s", ["door", "a&b", "exit", "x" * 30])
    record = evaluating.evaluate(
        loaded(["door", "a&b", "exlt", "x"]), [split], protocols="clovaai-36"
    )
    (score,) = record.scores
    assert score.n == 2
    assert score.word_accuracy == Accuracy(
        correct=1, n=2, low=score.word_accuracy.low, high=score.word_accuracy.high  # type: ignore[union-attr]
    )  # fmt: skip
    assert record.failures == {"dropped by the protocol": 2}
    assert "|n:2|" in score.signature


def test_policy_that_drops_every_sample(tmp_path: Path) -> None:
    split = split_with(tmp_path / "s", ["x" * 30, "a&b"])
    rule = protocol("clovaai-36")
    with pytest.raises(
        StrbenchError, match="clovaai-36 drops every one of its 2 samples"
    ) as caught:
        scoring.make_score(answers(split, ["x", "y"]), split, rule)
    assert caught.value.exit_code == DATA


@pytest.mark.parametrize("grouped", [False, True])
def test_intervals_have_a_width(tmp_path: Path, grouped: bool) -> None:
    labels = ["ab", "cd", "ef", "gh"]
    split = split_with(tmp_path / "s", labels, ["p", "p", "q", "q"] if grouped else None)
    for texts, correct in ((labels, 4), (["zz"] * 4, 0)):
        entry, scores = scoring.make_score(answers(split, texts), split, RULE)
        for found in (entry.word_accuracy, entry.one_minus_ned):
            assert found is not None
            assert (found.low, found.high) == wilson_interval(correct, 4)
            assert found.high - found.low > 0.3
        assert scores.n_correct == correct


def test_clusters_count_where_every_sample_has_one(tmp_path: Path) -> None:
    labels = [f"w{i}" for i in range(40)]
    texts = [label if i % 8 < 4 else "no" for i, label in enumerate(labels)]
    groups: list[str | None] = [f"photo{i // 4}" for i in range(40)]
    right = [i % 8 < 4 for i in range(40)]
    clustered, _ = scoring.make_score(
        answers(split := split_with(tmp_path / "a", labels, groups), texts), split, RULE
    )
    groups[7] = None
    loose, _ = scoring.make_score(
        answers(split := split_with(tmp_path / "b", labels, groups), texts), split, RULE
    )
    assert clustered.word_accuracy is not None
    assert loose.word_accuracy is not None
    assert (loose.word_accuracy.low, loose.word_accuracy.high) == bootstrap_interval(right)
    assert (clustered.word_accuracy.low, clustered.word_accuracy.high) == bootstrap_interval(
        right, [f"photo{i // 4}" for i in range(40)]
    )
    assert clustered.word_accuracy.low < loose.word_accuracy.low - 0.1


def test_limited_run_says_so(tmp_path: Path, home: Path) -> None:
    split = split_with(tmp_path / "s", ["a", "b", "c"])
    record = evaluating.evaluate(loaded("ab"), [split], limit=2)
    assert records.load(record.path).limit == 2
    assert record.scores[0].n == 2
    whole = evaluating.evaluate(loaded("abc"), [split])
    assert whole.scores[0].predictions != record.scores[0].predictions


def test_predictions_from_outside(tmp_path: Path, home: Path) -> None:
    split = split_with(tmp_path / "s", ["a", "b", "c"])
    path = tmp_path / "out.csv"
    write_predictions(path, answers(split, ["a", "x", ""]))
    record = scoring.score_file(path, answers(split, ["a", "x", ""]), split, name="theirs")
    assert (record.kind, record.name, record.failures) == (
        "score",
        "theirs",
        {"empty prediction": 1},
    )
    assert record.scores[0].predictions == records.stored(path)
    assert "resize:unknown" in record.scores[0].signature
    short = Predictions(split.ids[:2], ["a", "b"], [None, None])
    with pytest.raises(StrbenchError, match="1 samples have no prediction"):
        scoring.score_file(path, short, split, name="theirs")


def test_evaluation_knows_its_whole_descent(home: Path) -> None:
    words()
    runs.execute(plan_of("dig"))
    runs.execute(
        plans.make_plan(
            "models", "vit-ctc", data=["mine/train"], recipe="smoke", settings=SETTINGS,
            parents=["dig-micro.smoke"], device="cpu",
        )
    )  # fmt: skip
    pretrained, finetuned = records.load_all(home / "records")
    model = models.resolve("vit-ctc-micro.smoke+dig", device="cpu")
    record = evaluating.evaluate(model, [find_split("mine/train")])
    assert record.parents == [finetuned.run_id, pretrained.run_id]
    assert record.weights == finetuned.weights
    assert record.scores[0].n == 20
    assert "resize:stretch-bicubic-32x128" in record.scores[0].signature
