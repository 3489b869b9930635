"""Figures of text masks against a plain loop, their worked numbers, and their edge cases."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from strbench.errors import DATA, USAGE, StrbenchError
from strbench.masks import BACKGROUND, EFFECT, IGNORED, TEXT
from strbench.metrics.segmentation import (
    PixelCounts,
    bg_iou,
    count_pixels,
    fg_iou,
    image_f,
    image_fg_iou,
    join,
    mean_image_f,
    mean_image_fg_iou,
    mean_iou,
    pooled_scores,
    texrnet_f,
    texrnet_scores,
    word_crop_iou,
)

Mask = NDArray[np.uint8]

# four word crops of 32 x 128 pixels: text in the label, text in the prediction, both
WORKED = ((191, 272, 188), (448, 622, 422), (685, 929, 628), (965, 1203, 841))


def crops(sizes: tuple[tuple[int, int, int], ...]) -> tuple[Mask, NDArray[np.bool_]]:
    """Masks with so many pixels of text; where they lie in the crop changes no count."""
    labels = np.zeros((len(sizes), 32 * 128), np.uint8)
    preds = np.zeros((len(sizes), 32 * 128), np.bool_)
    for i, (n_label, n_pred, n_both) in enumerate(sizes):
        labels[i, :n_label] = TEXT
        preds[i, n_label - n_both : n_label - n_both + n_pred] = True
    return labels.reshape(-1, 32, 128), preds.reshape(-1, 32, 128)


def counts_of(*rows: tuple[int, int, int, int]) -> PixelCounts:
    """Counts of images given as (tp, fp, fn, tn)."""
    table = np.array(rows, np.int64).reshape(-1, 4)
    return PixelCounts(tp=table[:, 0], fp=table[:, 1], fn=table[:, 2], tn=table[:, 3])


def rows_of(counts: PixelCounts) -> list[tuple[int, int, int, int]]:
    tp, fp, fn, tn = (c.tolist() for c in (counts.tp, counts.fp, counts.fn, counts.tn))
    return list(zip(tp, fp, fn, tn, strict=True))


def test_worked_numbers() -> None:
    labels, preds = crops(WORKED)
    counts = count_pixels(labels, preds)
    assert rows_of(counts) == [
        (188, 84, 3, 3821),  # 272 - 188, 191 - 188, 4096 - 275
        (422, 200, 26, 3448),
        (628, 301, 57, 3110),
        (841, 362, 124, 2769),
    ]
    # tp 2079, union 188 + 84 + 3 + ... = 3236; background 13148 of 14305
    assert fg_iou(counts) == 2079 / 3236 == pytest.approx(0.642460, abs=1e-6)
    assert bg_iou(counts) == 13148 / 14305 == pytest.approx(0.919119, abs=1e-6)
    assert mean_iou(counts) == pytest.approx(0.780790, abs=1e-6)
    assert mean_image_fg_iou(counts) == pytest.approx(0.651387, abs=1e-6)
    texrnet = texrnet_scores(counts)
    assert texrnet.precision == pytest.approx(0.686179, abs=1e-6)
    assert texrnet.recall == pytest.approx(0.928637, abs=1e-6)
    assert texrnet_f(counts) == texrnet.hmean == pytest.approx(0.789206, abs=1e-6)
    pooled = pooled_scores(counts)
    assert pooled.precision == 2079 / 3026 == pytest.approx(0.687046, abs=1e-6)
    assert pooled.recall == 2079 / 2289 == pytest.approx(0.908257, abs=1e-6)
    assert pooled.hmean == pytest.approx(0.782314, abs=1e-6)
    assert mean_image_f(counts) == pytest.approx(0.788725, abs=1e-6)
    assert word_crop_iou(labels, preds) == pytest.approx(0.651387, abs=1e-6)


masks = st.integers(1, 4).flatmap(
    lambda n: st.tuples(
        arrays(np.uint8, (n, 3, 4), elements=st.sampled_from((BACKGROUND, TEXT, EFFECT, IGNORED))),
        arrays(np.bool_, (n, 3, 4)),
    )
)


@given(masks, st.sampled_from(("background", "text", "ignored")))
def test_counts_are_those_of_a_loop(
    pair: tuple[Mask, NDArray[np.bool_]], effect: Literal["background", "text", "ignored"]
) -> None:
    expected = []
    for label, pred in zip(*pair, strict=True):
        tp = fp = fn = tn = 0
        for value, seen in zip(label.ravel().tolist(), pred.ravel().tolist(), strict=True):
            if value == IGNORED or (value == EFFECT and effect == "ignored"):
                continue
            text = value == TEXT or (value == EFFECT and effect == "text")
            tp += text and seen
            fp += seen and not text
            fn += text and not seen
            tn += not text and not seen
        expected.append((tp, fp, fn, tn))
    labels, preds = pair
    assert rows_of(count_pixels(labels, preds, effect=effect)) == expected
    assert rows_of(count_pixels(labels, preds.astype(np.int64), effect=effect)) == expected
    alone = [count_pixels(a, b, effect=effect) for a, b in zip(labels, preds, strict=True)]
    assert rows_of(join(alone)) == expected


@given(masks)
def test_ignored_pixels_are_never_seen(pair: tuple[Mask, NDArray[np.bool_]]) -> None:
    labels, preds = pair
    other = np.where(labels == IGNORED, ~preds, preds)
    assert rows_of(count_pixels(labels, preds)) == rows_of(count_pixels(labels, other))


@given(masks, st.randoms(use_true_random=False))
def test_order_of_images_does_not_matter(pair: tuple[Mask, NDArray[np.bool_]], draw: Any) -> None:
    rows = rows_of(count_pixels(*pair))
    again = draw.sample(rows, len(rows))
    for figure in (texrnet_f, mean_image_f, mean_image_fg_iou):
        assert figure(counts_of(*again)) == figure(counts_of(*rows))
    assert pooled_scores(counts_of(*again)) == pooled_scores(counts_of(*rows))


@given(masks)
def test_f_and_iou_of_an_image_say_the_same(pair: tuple[Mask, NDArray[np.bool_]]) -> None:
    counts = count_pixels(*pair)
    iou = image_fg_iou(counts)
    assert image_f(counts) == pytest.approx(2 * iou / (1 + iou))


def test_images_of_several_sizes() -> None:
    small = count_pixels(np.ones((2, 2), np.uint8), np.ones((2, 2), np.bool_))
    large = count_pixels(np.ones((10, 10), np.uint8), np.zeros((10, 10), np.bool_))
    both = join([small, large])
    assert rows_of(both) == [(4, 0, 0, 0), (0, 0, 100, 0)]
    assert fg_iou(both) == 4 / 104
    assert mean_image_fg_iou(both) == 0.5


def test_an_image_that_is_all_background() -> None:
    nothing, hit, blind = (0, 0, 0, 10), (4, 0, 0, 6), (0, 0, 4, 6)
    assert image_fg_iou(counts_of(nothing, hit, blind)).tolist() == [1.0, 1.0, 0.0]
    assert image_f(counts_of(nothing, hit, blind)).tolist() == [1.0, 1.0, 0.0]
    # TexRNet: precision (0 + 1) / 2, recall (0 + 1) / 2
    assert texrnet_f(counts_of(nothing, hit)) == 0.5
    assert pooled_scores(counts_of(nothing, hit)).hmean == 1.0
    # no prediction at all: precision 0 and recall 0 give F 0, not NaN
    assert texrnet_scores(counts_of(blind, blind)).precision == 0.0
    assert texrnet_f(counts_of(blind, blind)) == 0.0
    assert pooled_scores(counts_of(blind)).hmean == 0.0
    assert fg_iou(counts_of(blind)) == 0.0


def test_a_class_that_is_nowhere() -> None:
    no_text, all_text = counts_of((0, 0, 0, 10)), counts_of((10, 0, 0, 0))
    assert (bg_iou(no_text), fg_iou(all_text)) == (1.0, 1.0)
    assert (mean_iou(no_text), mean_iou(all_text)) == (1.0, 1.0)
    assert mean_iou(counts_of((5, 5, 0, 0))) == 0.25  # text 5 / 10, background 0 / 5
    with pytest.raises(StrbenchError, match="No counted pixel is text"):
        fg_iou(no_text)
    with pytest.raises(StrbenchError, match="No counted pixel is background"):
        bg_iou(all_text)


def test_nothing_to_score() -> None:
    none = count_pixels(np.zeros((0, 4, 4), np.uint8), np.zeros((0, 4, 4), np.bool_))
    assert none.n == 0
    for figure in (fg_iou, bg_iou, mean_iou, texrnet_f, mean_image_f, mean_image_fg_iou):
        with pytest.raises(StrbenchError):
            figure(none)
    with pytest.raises(StrbenchError, match="No pixel counts to join"):
        join([])
    all_ignored = count_pixels(np.full((4, 4), IGNORED, np.uint8), np.ones((4, 4), np.bool_))
    assert rows_of(all_ignored) == [(0, 0, 0, 0)]
    with pytest.raises(StrbenchError):
        mean_iou(all_ignored)


mask = np.zeros((2, 4, 4), np.uint8)


@pytest.mark.parametrize(
    ("labels", "preds", "message"),
    [
        (mask, mask[:, :3], r"labels \(2, 4, 4\) and predictions \(2, 3, 4\)"),
        (mask[:1], mask[0], r"labels \(1, 4, 4\) and predictions \(4, 4\)"),
        (mask[None], mask[None], r"labels must be of shape .*found \(1, 2, 4, 4\)"),
        (mask, mask[0, 0], r"predictions must be of shape .*found \(4,\)"),
        (mask + 100, mask, "masks of 0, 1, 2 and 255, found 100"),
        (mask.astype(np.int64), mask, "labels must be uint8, found int64"),
        (mask, mask + 2, "True or 1 where text is seen"),
        (mask, mask.astype(np.int8) - 1, "True or 1 where text is seen"),
        (mask, mask.astype(np.float32), "found float32"),
    ],
)
def test_what_is_no_pair_of_masks(labels: NDArray[Any], preds: NDArray[Any], message: str) -> None:
    with pytest.raises(StrbenchError, match=message) as caught:
        count_pixels(labels, preds)
    assert caught.value.exit_code == DATA


def test_effect_has_three_meanings() -> None:
    with pytest.raises(StrbenchError, match="background, text, ignored, found 'shadow'") as caught:
        count_pixels(mask, mask, effect="shadow")  # type: ignore[arg-type]
    assert caught.value.exit_code == USAGE


def test_word_crops_have_one_size() -> None:
    labels, preds = crops(((100, 100, 50), (0, 0, 0)))
    assert word_crop_iou(labels, preds) == math.fsum((50 / 150, 1.0)) / 2
    assert word_crop_iou(labels[0], preds[0]) == 50 / 150
    with pytest.raises(StrbenchError, match=r"height 32 and width 128, found .* \(2, 128, 32\)"):
        word_crop_iou(labels.transpose(0, 2, 1), preds.transpose(0, 2, 1))
    labels[0, 0, :50] = EFFECT  # these are not seen
    assert word_crop_iou(labels[0], preds[0]) == 50 / 100
    assert word_crop_iou(labels[0], preds[0], effect="text") == 50 / 150
