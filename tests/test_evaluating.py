"""Evaluating models on photographs: answers are checked and kept, and every image counts."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from running import Run

import strbench
from strbench import evaluating, models
from strbench.answers import DETECTIONS
from strbench.errors import StrbenchError
from strbench.predict import card_of, predict
from strbench.provenance import expand
from strbench.store import Split, find_split, write_split
from strbench.submissions import read_found
from strbench.task_protocols import check_protocol, default_protocol
from strbench.types import Detection, Polygon, Region, Sample

HELLO: Polygon = ((10.0, 10.0), (60.0, 10.0), (60.0, 30.0), (10.0, 30.0))
FAR: Polygon = ((200.0, 200.0), (240.0, 200.0), (240.0, 220.0), (200.0, 220.0))


def photograph(value: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (300, 240), (value, 0, 0)).save(out, "PNG")
    return out.getvalue()


@pytest.fixture
def split(home: Path) -> Split:
    """``mine_det/test``: two photographs with the word HELLO, one without any text."""
    word = (Region(HELLO, "HELLO"),)
    samples = [
        Sample(f"{i}.png", photograph(i), regions=regions)
        for i, regions in enumerate((word, word, ()))
    ]
    write_split(
        home / "data" / "mine_det" / "test",
        samples,
        dataset="mine_det",
        split="test",
        labels="official",
        task="detection",
        lexicons={"weak": {"*": ["HELLO", "WORLD"]}},
    )
    return find_split("mine_det/test")


class Finds:
    """Finds what it was told for the image whose red is the key."""

    def __init__(self, answers: dict[int, Any]) -> None:
        self.answers = answers
        self.asked: list[int] = []

    def detect(self, images: Sequence[np.ndarray]) -> list[Any]:
        reds = [int(image[0, 0, 0]) for image in images]
        self.asked += reds
        return [self.answers[red] for red in reds]


def loaded(answers: dict[int, Any]) -> models.Loaded:
    model = Finds(answers)
    return models.Loaded("finds", model, card_of(model, "finds"), identity="it")


HIT = Detection(HELLO, 0.9, "hello")
FALSE = Detection(FAR, 0.4, "x")


def test_a_detector_is_scored_on_every_image(home: Path, split: Split) -> None:
    record = evaluating.evaluate(
        loaded({0: [HIT, FALSE], 1: [], 2: []}), [split], protocols="ic15-iou"
    )
    (score,) = record.scores
    assert (score.figures["precision"].part, score.figures["precision"].whole) == (1, 2)
    assert (score.figures["recall"].part, score.figures["recall"].whole) == (1, 2)
    assert score.n == 3
    assert record.failures == {"image without a detection": 2}
    assert record.protocol == score.protocol == "ic15-iou"
    assert score.predictions is not None
    kept = read_found(expand(score.predictions.path))
    assert kept == {"0.png": [HIT, FALSE], "1.png": [], "2.png": []}


def test_a_limited_run_is_scored_on_its_images_alone(home: Path, split: Split) -> None:
    record = evaluating.evaluate(loaded({0: [HIT]}), [split], protocols="ic15-iou", limit=1)
    (score,) = record.scores
    assert score.figures["hmean"].value == 1.0
    assert (score.n, record.limit) == (1, 1)


def test_texts_are_compared_where_the_protocol_says_so(home: Path, split: Split) -> None:
    record = evaluating.evaluate(
        loaded({0: [HIT], 1: [HIT._replace(text="other")], 2: []}), [split], protocols="ic15-e2e"
    )
    assert record.scores[0].figures["recall"].part == 1
    with pytest.raises(StrbenchError, match="ic15-e2e compares texts, and finds finds regions"):
        evaluating.evaluate(
            loaded({0: [HIT._replace(text=None)], 1: [], 2: []}), [split], protocols="ic15-e2e"
        )


def test_a_lexicon_corrects_what_was_read_and_not_what_is_kept(
    home: Path, split: Split, tmp_path: Path
) -> None:
    model = loaded({0: [HIT._replace(text="helo")], 1: [HIT._replace(text="zzzzzzzz")], 2: []})
    plain = evaluating.evaluate(model, [split], protocols="ic15-e2e")
    assert plain.scores[0].figures["recall"].part == 0
    record = evaluating.evaluate(model, [split], protocols="ic15-e2e", lexicon="weak")
    (score,) = record.scores
    # the second text is farther than any word, so that its region is dropped
    assert (score.figures["precision"].part, score.figures["precision"].whole) == (1, 1)
    assert record.failures["text changed by the lexicon"] == 1
    assert record.failures["region dropped by the lexicon"] == 1
    assert record.config["resolved"]["lexicon"] == "weak"
    assert "|lexicon:weak@" in score.signature
    assert score.predictions is None
    (tmp_path / "words.txt").write_text("WORLD\n")
    other = evaluating.evaluate(
        model, [split], protocols="ic15-e2e", lexicon=f"weak={tmp_path / 'words.txt'}"
    )
    assert other.scores[0].figures["recall"].part == 0
    assert "|lexicon:weak@" in other.scores[0].signature
    assert other.scores[0].signature != score.signature


@pytest.mark.parametrize(
    ("lexicon", "rule", "message"),
    [
        ("strong", "ic15-e2e", "mine_det/test has no lexicon 'strong'; it was prepared with weak"),
        ("stron", "ic15-e2e", "--lexicon stron: expected KIND, for the split's own, or KIND=PATH"),
        ("weak", "ic15-iou", "corrects what a spotter reads, and mine_det/test is scored under"),
    ],
)
def test_a_lexicon_that_does_not_fit_is_refused_before_anything_is_asked(
    home: Path, split: Split, lexicon: str, rule: str, message: str
) -> None:
    model = loaded({})
    with pytest.raises(StrbenchError, match=message):
        evaluating.evaluate(model, [split], protocols=rule, lexicon=lexicon)
    assert model.model.asked == []


def test_a_run_cut_short_goes_on(split: Split, tmp_path: Path) -> None:
    output = tmp_path / "out.parquet"
    stops = Finds({0: [HIT]})  # knows no second image
    with pytest.raises(StrbenchError, match=r"Finds\.detect on mine_det/test: KeyError: 1 "):
        predict(stops, split, output, key="m", answers=DETECTIONS, batch_size=1)
    assert not output.exists()
    goes_on = Finds({1: [(FAR, None)], 2: [(FAR,)]})
    run = predict(goes_on, split, output, key="m", answers=DETECTIONS, batch_size=1)
    assert goes_on.asked == [1, 2]
    assert (run.read, run.n) == (2, 3)
    assert run.predictions == {"0.png": [HIT], "1.png": [Detection(FAR)], "2.png": [Detection(FAR)]}
    assert read_found(output) == run.predictions


@pytest.mark.parametrize(
    "answer",
    [
        "text",
        5,
        [HELLO],
        [(HELLO, 1.5)],
        [(HELLO, "sure")],
        [(((0, 0), (1, float("nan"))), 0.5)],
        [(((0, 0), (1,)), 0.5)],
        [(HELLO, 0.5, 7)],
        [(HELLO, 0.5, "\ud800")],
    ],
    ids=repr,
)
def test_what_is_no_list_of_detections_is_named(
    split: Split, tmp_path: Path, answer: object
) -> None:
    with pytest.raises(StrbenchError, match=r"Finds.detect: expected a list with a list of \(poly"):
        predict(
            Finds({0: answer, 1: [], 2: []}), split, tmp_path / "o.parquet", key="m",
            answers=DETECTIONS,
        )  # fmt: skip


def test_arrays_are_polygons_too(split: Split, tmp_path: Path) -> None:
    answer = [(np.array(HELLO, dtype=np.float32), np.float32(0.5))]
    found = predict(
        Finds({0: answer, 1: [], 2: []}), split, tmp_path / "o.parquet", key="m",
        answers=DETECTIONS,
    ).predictions  # fmt: skip
    assert found["0.png"] == [Detection(HELLO, 0.5)]


def test_protocols_belong_to_tasks(home: Path, split: Split) -> None:
    with pytest.raises(StrbenchError, match="mine_det/test has no protocol of its own"):
        evaluating.evaluate(loaded({}), [split])
    with pytest.raises(
        StrbenchError, match="a protocol of recognition, and detection is asked for"
    ):
        evaluating.evaluate(loaded({}), [split], protocols="strbench-36")
    with pytest.raises(
        StrbenchError, match="a protocol of detection, and recognition is asked for"
    ):
        check_protocol("ic15-iou", "recognition")
    assert default_protocol("ic15_det/test", "detection") == "ic15-iou"
    assert default_protocol("ic15/test", "recognition") == "strbench-36"


PROGRAM = """
from strbench import Detection
class Finds:
    def detect(self, images):
        box = ((10, 10), (60, 10), (60, 30), (10, 30))
        return [[Detection(box, 0.9, "hello")] for _ in images]
class Better:
    def detect(self, images):
        box = ((10, 10), (60, 10), (60, 30), (10, 30))
        return [[Detection(box, 0.9, "hello")] if image[0, 0, 0] < 2 else [] for image in images]
def reads():
    class Reads:
        def read(self, images):
            return [""] * len(images)
    return Reads()
"""


def test_the_command_evaluates_compares_and_shows(
    run: Run, home: Path, split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "theirs_det.py").write_text(PROGRAM)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    sys.modules.pop("theirs_det", None)
    data = ("--data", "mine_det/test", "--protocol", "ic15-iou")
    outcome = run("eval", "-m", "theirs_det:Finds", "-m", "theirs_det:Better", *data)
    assert outcome.code == 0, outcome.err
    assert "| theirs_det:Finds | mine_det/test | 3 | 66.67" in outcome.out
    assert "| theirs_det:Better | mine_det/test | 3 | 100.00" in outcome.out
    compared = json.loads(run("compare", "theirs_det:Finds", "theirs_det:Better", "--json").out)
    (pair,) = compared["comparisons"]
    assert pair["second"]["hmean"] == 1.0
    assert pair["difference"]["value"] == pytest.approx(1 - 0.8)  # 2 of 3 right, 2 of 2 found
    assert pair["gained"]["n"] == pair["lost"]["n"] == 0  # no true region more: a false one less
    table = run("compare", "theirs_det:Finds", "theirs_det:Better").out
    assert "| mine\\_det/test | ic15-iou | 3 | 80.0 | 100.0 | +20.0 [" in table
    page = run("view", "theirs_det:Finds", *data, "-o", str(tmp_path / "page"))
    assert page.code == 0, page.err
    assert (tmp_path / "page" / "index.html").is_file()
    wrong = run("eval", "-m", "theirs_det:reads", *data)
    assert wrong.code == 2
    assert "without a method detect(images)" in wrong.err


def test_predict_writes_what_was_found(
    run: Run, home: Path, split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "theirs_det.py").write_text(PROGRAM)
    monkeypatch.chdir(tmp_path)
    sys.modules.pop("theirs_det", None)
    refused = run("predict", "theirs_det:Finds", "mine_det/test", "-o", "out.csv")
    assert refused.code == 2
    assert "ends in .parquet" in refused.err
    made = run("predict", "theirs_det:Finds", "mine_det/test", "-o", "out.parquet")
    assert made.code == 0, made.err
    scored = run("score", "out.parquet", "mine_det/test", "--protocol", "ic15-iou", "--json")
    assert json.loads(scored.out)["scores"][0]["figures"]["hmean"]["value"] == pytest.approx(0.8)


def test_the_notebook_door_takes_an_object(home: Path, split: Split) -> None:
    record = strbench.evaluate(
        Finds({0: [HIT], 1: [HIT], 2: []}), "mine_det/test", protocol="iou-0.5"
    )
    assert record.scores[0].figures["hmean"].value == 1.0


def test_words_and_photographs_do_not_mix(home: Path, split: Split) -> None:
    write_split(
        home / "data" / "mine" / "test",
        [Sample("a.png", photograph(9), "word")],
        dataset="mine",
        split="test",
        labels="standard",
    )
    with pytest.raises(StrbenchError, match="Expected splits of one task"):
        evaluating.task_of([split, find_split("mine/test")])
