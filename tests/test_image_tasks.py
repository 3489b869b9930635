"""Restored images and masks: asked for, kept in files, scored, read, and shown."""

from __future__ import annotations

import io
import json
import math
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from running import Run

from strbench import evaluating, models
from strbench.answers import MASKS, RESTORED
from strbench.errors import StrbenchError
from strbench.image_predictions import decode_values, encode_shares, encode_values, read_images
from strbench.image_protocols import IMAGE_PROTOCOLS, image_protocol
from strbench.image_scoring import make_score
from strbench.loading import decode, stretch
from strbench.masks import EFFECT, IGNORED, TEXT, encode_mask
from strbench.metrics.segmentation import fg_iou
from strbench.predict import card_of, predict
from strbench.store import Split, find_split, write_split
from strbench.types import Card, Restorer, Sample, Segmenter

N = 5


def png(pixels: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


@pytest.fixture
def pairs(home: Path) -> Split:
    """``mine_sr/test``: five pairs of noise of 30 x 100 pixels, the small ones half as large."""
    rng = np.random.default_rng(0)
    samples = []
    for i in range(N):
        high = rng.integers(0, 256, (30, 100, 3), dtype=np.uint8)
        low = np.array(Image.fromarray(high).resize((50, 15), Image.Resampling.BOX))
        samples.append(Sample(f"{i}.png", png(high), f"word{i}", low=png(low)))
    write_split(
        home / "data" / "mine_sr" / "test",
        samples,
        dataset="mine_sr",
        split="test",
        labels="standard",
        task="super-resolution",
    )
    return find_split("mine_sr/test")


@pytest.fixture
def masks(home: Path) -> Split:
    """``mine_seg/test``: five crops of 20 x 60; text left of column 20, effect up to 30, then nothing."""
    samples = []
    for i in range(N):
        image = np.full((20, 60, 3), 200 + i, np.uint8)
        image[:, :20] = 10 + i
        mask = np.zeros((20, 60), np.uint8)
        mask[:, :20], mask[:, 20:30], mask[0] = TEXT, EFFECT, IGNORED
        samples.append(Sample(f"{i}.png", png(image), mask=encode_mask(mask)))
    write_split(
        home / "data" / "mine_seg" / "test",
        samples,
        dataset="mine_seg",
        split="test",
        labels="none",
        task="segmentation",
    )
    return find_split("mine_seg/test")


class Restores:
    """Enlarges by repeating every pixel; remembers the shapes that it was given."""

    def __init__(self) -> None:
        self.shapes: set[tuple[int, ...]] = set()

    def restore(self, images: Sequence[np.ndarray]) -> list[np.ndarray]:
        self.shapes |= {image.shape for image in images}
        return [(image.repeat(2, 0).repeat(2, 1) / 255).astype(np.float32) for image in images]


class Segments:
    def segment(self, images: Sequence[np.ndarray]) -> list[np.ndarray]:
        return [(image[..., 0] < 100).astype(np.float64) * 0.75 for image in images]


def loaded(model: Any) -> models.Loaded:
    return models.Loaded("mine", model, card_of(model, "mine"), identity="it")


def test_the_protocols_are_structural() -> None:
    assert isinstance(Restores(), Restorer)
    assert isinstance(Segments(), Segmenter)


def test_a_restorer_is_asked_at_textzoom_s_size_and_scored_against_the_true_images(
    pairs: Split,
) -> None:
    model = Restores()
    record = evaluating.evaluate(loaded(model), [pairs])
    assert model.shapes == {(16, 64, 3)}
    (score,) = record.scores
    assert score.protocol == "textzoom"
    expected = []
    for i in range(N):
        true = stretch(decode(pairs.image(i)), 32, 128) / 255
        low = stretch(decode(pairs.low(i)), 16, 64) / 255
        error = ((low.repeat(2, 0).repeat(2, 1) - true) ** 2).mean()
        expected.append(-10 * math.log10(error))
    assert score.figures["psnr"].value == pytest.approx(np.mean(expected), abs=1e-4)
    assert score.figures["psnr"].low is not None
    assert score.figures["psnr"].low <= score.figures["psnr"].value
    assert 0 < score.figures["ssim"].value < 1
    pooled = evaluating.evaluate(loaded(model), [pairs], protocols="textzoom-subset").scores[0]
    assert pooled.figures["psnr"].value == pytest.approx(
        -10 * math.log10(np.mean([10 ** (-value / 10) for value in expected])), abs=1e-4
    )


def test_equal_images_are_counted_and_left_out_of_psnr(pairs: Split) -> None:
    made = {
        id_: (stretch(decode(pairs.image(i)), 32, 128) / np.float32(255)).astype(np.float32)
        for i, id_ in enumerate(pairs.ids)
    }
    rule = image_protocol("textzoom")
    score, said = make_score(made, pairs, rule)
    assert "psnr" not in score.figures
    assert said == {"restored image equal to the true one, left out of PSNR": N}
    assert score.figures["ssim"].value == pytest.approx(1)
    made["0.png"] = made["0.png"] + np.float32(0.1)
    score, said = make_score(made, pairs, rule)
    assert score.figures["psnr"].value == pytest.approx(20, abs=1e-3)
    assert list(said.values()) == [N - 1]


class Reads:
    """Reads the small images wrong, all others right, by their order."""

    card = Card(name="reads", kind="engine", title="t")

    def __init__(self) -> None:
        self.sides: list[tuple[int, ...]] = []

    def read(self, images: Sequence[np.ndarray]) -> list[str]:
        assert all(image.dtype == np.uint8 for image in images)
        self.sides.append(images[0].shape)
        small = images[0].shape[0] == 16
        return ["x" if small else f"WORD{i}" for i in range(len(images))]


def test_a_recognizer_reads_before_and_after(pairs: Split) -> None:
    reader = Reads()
    beside = models.Loaded("reads", reader, reader.card, identity="r")
    record = evaluating.evaluate(loaded(Restores()), [pairs], recognizer=beside)
    (score,) = record.scores
    assert reader.sides == [(16, 64, 3), (32, 128, 3), (32, 128, 3)]
    assert (score.figures["low_accuracy"].part, score.figures["low_accuracy"].whole) == (0, N)
    assert score.figures["restored_accuracy"].part == score.figures["high_accuracy"].part == N
    assert "recognizer:reads|" in score.signature
    assert record.config["resolved"]["recognizer"] == "reads"


@pytest.mark.parametrize("kind", ["folder", "zip", "parquet"])
def test_images_from_elsewhere_give_the_same_score(
    run: Run, pairs: Split, tmp_path: Path, kind: str
) -> None:
    made = Restores().restore([stretch(decode(pairs.low(i)), 16, 64) for i in range(N)])
    files = {
        id_: png(np.round(values * 255).astype(np.uint8))
        for id_, values in zip(pairs.ids, made, strict=True)
    }
    path = tmp_path / ("made" if kind == "folder" else f"made.{kind}")
    if kind == "folder":
        path.mkdir()
        for name, data in files.items():
            (path / name).write_bytes(data)
    elif kind == "zip":
        with zipfile.ZipFile(path, "w") as bundle:
            for name, data in files.items():
                bundle.writestr(f"out/{name}", data)
    else:
        predict(Restores(), pairs, path, key="m", answers=RESTORED)
    outcome = run("score", str(path), "mine_sr/test", "--json")
    assert outcome.code == 0, outcome.err
    score = json.loads(outcome.out)["scores"][0]
    own = evaluating.evaluate(loaded(Restores()), [pairs]).scores[0]
    assert score["figures"]["psnr"]["value"] == pytest.approx(own.figures["psnr"].value, abs=1e-5)


def test_files_that_lack_a_sample_or_are_damaged_are_named(pairs: Split, tmp_path: Path) -> None:
    folder = tmp_path / "made"
    folder.mkdir()
    with pytest.raises(StrbenchError, match="holds no file"):
        read_images(folder, pairs.ids)
    (folder / "0.png").write_bytes(png(np.zeros((32, 128, 3), np.uint8)))
    with pytest.raises(StrbenchError, match=r"no image for 4 of 5 samples, for example 1.png"):
        read_images(folder, pairs.ids)
    for i in range(1, N):
        (folder / f"{i}.png").write_bytes(b"no image")
    made = read_images(folder, pairs.ids)
    with pytest.raises(StrbenchError, match=r"1.png is not a readable image"):
        make_score(made, pairs, image_protocol("textzoom"))
    for i in range(1, N):
        (folder / f"{i}.png").write_bytes(png(np.zeros((16, 64, 3), np.uint8)))
    with pytest.raises(
        StrbenchError, match=r"expected an image of 32 x 128 x 3 .* found 16 x 64 x 3"
    ):
        make_score(read_images(folder, pairs.ids), pairs, image_protocol("textzoom"))
    (folder / "0.jpg").write_bytes(b"")
    with pytest.raises(StrbenchError, match="several are called like one"):
        read_images(folder, pairs.ids)
    wrong = tmp_path / "made.parquet"
    wrong.write_bytes(b"PAR1")
    with pytest.raises(StrbenchError, match="no Parquet file with the columns id and image"):
        read_images(wrong, pairs.ids)


def test_values_and_shares_keep_what_they_must() -> None:
    values = np.array([[[-0.25, 0.5, 1.25]]], np.float32)
    assert np.array_equal(decode_values(encode_values(values)), values)
    shares = np.array([[0.0, 0.498, 0.5, 1.0]], np.float32)
    kept = decode_values(encode_shares(shares))
    assert kept.shape == (1, 4)
    assert (kept >= 0.5).tolist() == [[False, False, True, True]]
    with pytest.raises(StrbenchError, match="finite float"):
        decode_values(encode_values(np.array([np.nan], np.float32)))


def test_a_segmenter_is_scored_pixel_by_pixel(masks: Split) -> None:
    record = evaluating.evaluate(loaded(Segments()), [masks])
    (score,) = record.scores
    # of every image 19 x 20 pixels are text and seen; the effect is background and not seen
    assert {name: figure.value for name, figure in score.figures.items()} == {
        "fg_iou": 1.0,
        "mean_iou": 1.0,
        "texrnet_f": 1.0,
    }

    class Half:
        def segment(self, images: Sequence[np.ndarray]) -> list[np.ndarray]:
            return [np.where(np.arange(60) < 10, 1.0, 0.0)[None].repeat(20, 0) for _ in images]

    found = evaluating.evaluate(loaded(Half()), [masks]).scores[0].figures
    assert found["fg_iou"].value == pytest.approx(0.5)  # 19 x 10 of 19 x 20
    assert found["texrnet_f"].value == pytest.approx(2 / 3)  # precision 1, recall 1/2
    assert found["mean_iou"].value == pytest.approx((0.5 + 40 / 50) / 2)
    assert found["fg_iou"].low == pytest.approx(0.5)  # all images are alike
    assert fg_iou.__doc__


def test_a_class_that_no_pixel_has_is_in_no_interval(home: Path) -> None:
    mask = encode_mask(np.full((20, 60), TEXT, np.uint8))
    dark = png(np.zeros((20, 60, 3), np.uint8))
    samples = [Sample(f"{i}.png", dark, mask=mask) for i in range(N)]
    folder = home / "data" / "full_seg" / "test"
    write_split(
        folder, samples, dataset="full_seg", split="test", labels="none", task="segmentation"
    )
    record = evaluating.evaluate(loaded(Segments()), [find_split("full_seg/test")])
    figure = record.scores[0].figures["mean_iou"]
    assert (figure.value, figure.low, figure.high) == (1.0, 1.0, 1.0)


def test_word_crops_are_compared_at_their_own_size(masks: Split) -> None:
    class Small:
        card = Card(
            name="s", kind="engine", title="t", resize="stretch-bicubic", height=32, width=128
        )

        def segment(self, images: Sequence[np.ndarray]) -> list[np.ndarray]:
            assert {image.shape for image in images} == {(32, 128, 3)}
            return [np.zeros((32, 128)) for _ in images]

    figures = (
        evaluating.evaluate(loaded(Small()), [masks], protocols="word-crops").scores[0].figures
    )
    assert figures["word_crop_iou"].value == 0
    with pytest.raises(StrbenchError, match=r"expected an image of 20 x 60 .* found 32 x 128"):
        evaluating.evaluate(loaded(Small()), [masks], protocols="textseg")


@pytest.mark.parametrize(
    ("answers", "value"),
    [
        (RESTORED, np.zeros((32, 128, 3), np.uint8)),
        (RESTORED, np.zeros((32, 128), np.float32)),
        (RESTORED, np.full((2, 2, 3), np.inf)),
        (RESTORED, "image"),
        (RESTORED, [[1.0], [1.0, 2.0]]),
        (MASKS, np.full((4, 4), 1.5)),
        (MASKS, np.zeros((4, 4, 3))),
        (MASKS, np.zeros((0, 4))),
    ],
)
def test_what_is_no_answer_is_refused(answers: Any, value: Any) -> None:
    assert answers.check(value) is None


def test_every_protocol_of_images_explains_itself(run: Run) -> None:
    for name in IMAGE_PROTOCOLS:
        shown = run("show", "protocol", name)
        assert shown.code == 0
        assert "Differs:" in shown.out
    listed = run("list", "protocols").out
    assert all(name in listed for name in IMAGE_PROTOCOLS)


def test_protocols_and_options_belong_to_their_task(run: Run, pairs: Split, masks: Split) -> None:
    wrong = run("eval", "-m", "bicubic", "--data", "mine_sr/test", "--protocol", "textseg")
    assert "textseg is a protocol of segmentation, and super-resolution is asked for" in wrong.err
    wrong = run("eval", "-m", "otsu", "--data", "mine_seg/test", "--recognizer", "rapidocr")
    assert wrong.code == 2
    assert "reads restored images, and the task is segmentation" in wrong.err
    wrong = run("eval", "-m", "bicubic:corners", "--data", "mine_sr/test")
    assert "expected aligned or half-pixel" in wrong.err


def test_the_bundled_ones_run_and_can_be_looked_at(
    run: Run, pairs: Split, masks: Split, tmp_path: Path
) -> None:
    outcome = run("eval", "-m", "bicubic", "-m", "bicubic:half-pixel", "--data", "mine_sr/test")
    assert outcome.code == 0, outcome.err
    assert "| bicubic:half-pixel | mine_sr/test | 5 | " in outcome.out
    first = run("eval", "-m", "bicubic", "--data", "mine_sr/test", "--limit", "2")
    assert "first 2 samples only: enters no table" in first.out
    table = run("report", "--markdown").out
    assert "PSNR (dB), protocol textzoom" in table
    assert "SSIM, protocol textzoom" in run("report", "--metric", "ssim", "--markdown").out
    page = run("view", "bicubic", "--data", "mine_sr/test", "-o", str(tmp_path / "pairs"))
    assert page.code == 0, page.err
    data = (tmp_path / "pairs" / "data.js").read_text()
    assert "bicubic, lowest PSNR first" in data
    assert " dB, SSIM " in data

    outcome = run("eval", "-m", "otsu", "--data", "mine_seg/test", "--protocol", "word-crops")
    assert outcome.code == 0, outcome.err
    # dark columns 0 to 19 of 60 are a third of the crop; the first row is not counted
    assert "| otsu | mine_seg/test | 5 | " in outcome.out
    assert "IoU of words (%), protocol word-crops" in run("report", "--markdown").out
    page = run(
        "view", "otsu", "--data", "mine_seg/test", "--protocol", "word-crops",
        "-o", str(tmp_path / "masks"),
    )  # fmt: skip
    assert page.code == 0, page.err
    assert "otsu, lowest IoU first" in (tmp_path / "masks" / "data.js").read_text()
