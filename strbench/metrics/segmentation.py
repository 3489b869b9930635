"""Metrics of text masks: pixel counts per image, and the figures that differ in how they average.

A label is a mask of ``strbench.masks``; a prediction is True or 1 where it sees text. Pixels are
counted once, per image; every figure divides those integers. The same masks give several numbers under
the names IoU and F, so each has a name of its own here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from strbench.errors import DATA, StrbenchError
from strbench.masks import BACKGROUND, EFFECT, IGNORED, TEXT

Effect = Literal["background", "text", "ignored"]

_BACKGROUND, _TEXT, _UNSEEN, _UNKNOWN = range(4)  # what a label's value means for a count
_EFFECT = {"background": _BACKGROUND, "text": _TEXT, "ignored": _UNSEEN}
WORD_CROP = (32, 128)  # height and width, in pixels


@dataclass(frozen=True, eq=False)
class PixelCounts:
    """Pixels of every image, in the order of the images; ignored pixels are in none of the four."""

    tp: NDArray[np.int64]  # (N,): text, and seen as text
    fp: NDArray[np.int64]  # background, seen as text
    fn: NDArray[np.int64]  # text, not seen
    tn: NDArray[np.int64]  # background, and not seen as text

    @property
    def n(self) -> int:
        """How many images there are."""
        return len(self.tp)


def _batch(masks: NDArray[Any], what: str) -> NDArray[Any]:
    array = np.asarray(masks)
    if array.ndim not in (2, 3):
        raise StrbenchError(
            f"The {what} must be of shape (H, W) or (N, H, W), found {array.shape}.",
            exit_code=DATA,
        )
    return array if array.ndim == 3 else array[None]


def _meanings(labels: NDArray[Any], effect: Effect) -> NDArray[np.uint8]:
    """What every pixel of the labels means for a count."""
    if effect not in _EFFECT:
        raise StrbenchError(f"Effect counts as one of {', '.join(_EFFECT)}, found {effect!r}.")
    if labels.dtype not in (np.uint8, np.bool_):
        raise StrbenchError(f"The labels must be uint8, found {labels.dtype}.", exit_code=DATA)
    table = np.full(256, _UNKNOWN, np.uint8)
    table[[BACKGROUND, TEXT, EFFECT, IGNORED]] = _BACKGROUND, _TEXT, _EFFECT[effect], _UNSEEN
    meanings = table[labels.astype(np.uint8, copy=False)]
    unknown = labels[meanings == _UNKNOWN]
    if unknown.size:
        raise StrbenchError(
            f"Labels are masks of 0, 1, 2 and 255, found {int(unknown[0])}.", exit_code=DATA
        )
    return meanings


def _seen(preds: NDArray[Any]) -> NDArray[np.bool_]:
    binary = preds.dtype == np.bool_
    if preds.dtype.kind in "iu":
        binary = not preds.size or (int(preds.min()) >= 0 and int(preds.max()) <= 1)
    if not binary:
        raise StrbenchError(
            "Predictions must be True or 1 where text is seen and False or 0 elsewhere, found "
            f"{preds.dtype} with other values.",
            hint="Compare probabilities with a threshold first.",
            exit_code=DATA,
        )
    return preds.astype(np.bool_, copy=False)


def count_pixels(
    labels: NDArray[Any], preds: NDArray[Any], *, effect: Effect = "background"
) -> PixelCounts:
    """The pixel counts of every image; what is predicted on ignored pixels does not matter.

    Args:
        labels: masks of ``strbench.masks``, (H, W) or (N, H, W), uint8 (bool: text or background).
        preds: of the same shape; bool, or integers that are 0 or 1.
        effect: what an effect pixel of a label counts as. TexRNet's evaluation takes background.

    Images of several sizes are counted one by one; ``join`` puts the counts together.

    Raises:
        StrbenchError: shapes differ or are no masks, a value is none of those named, or no such
            meaning of effect exists.

    >>> label = np.array([[0, 0, 1, 1, 2, 255]], np.uint8)
    >>> pred = np.array([[0, 1, 1, 0, 1, 1]], bool)
    >>> [int(c.sum()) for c in vars(count_pixels(label, pred)).values()]  # tp, fp, fn, tn
    [1, 2, 1, 1]
    >>> [int(c.sum()) for c in vars(count_pixels(label, pred, effect="text")).values()]
    [2, 1, 1, 1]
    """
    truth, found = _batch(labels, "labels"), _batch(preds, "predictions")
    if np.shape(labels) != np.shape(preds):
        raise StrbenchError(
            f"Expected masks of one shape, found labels {np.shape(labels)} and predictions "
            f"{np.shape(preds)}.",
            exit_code=DATA,
        )
    meanings = _meanings(truth, effect)
    text, counted = meanings == _TEXT, meanings != _UNSEEN
    seen = _seen(found) & counted
    tp = np.count_nonzero(text & seen, axis=(1, 2))
    fp = np.count_nonzero(seen, axis=(1, 2)) - tp
    fn = np.count_nonzero(text, axis=(1, 2)) - tp
    tn = np.count_nonzero(counted, axis=(1, 2)) - tp - fp - fn
    return PixelCounts(tp=tp, fp=fp, fn=fn, tn=tn)


def join(parts: Sequence[PixelCounts]) -> PixelCounts:
    """The images of all parts, in their order.

    Raises:
        StrbenchError: there is no part.
    """
    if not parts:
        raise StrbenchError("No pixel counts to join.", exit_code=DATA)
    return PixelCounts(
        tp=np.concatenate([part.tp for part in parts]),
        fp=np.concatenate([part.fp for part in parts]),
        fn=np.concatenate([part.fn for part in parts]),
        tn=np.concatenate([part.tn for part in parts]),
    )


def _share(
    part: NDArray[np.int64], whole: NDArray[np.int64], *, empty: float
) -> NDArray[np.float64]:
    """part / whole per image, ``empty`` where there is nothing to divide by."""
    shares: NDArray[np.float64] = np.full(len(whole), empty)
    np.divide(part, whole, out=shares, where=whole > 0)
    return shares


def _mean(values: NDArray[np.float64]) -> float:
    if not len(values):
        raise StrbenchError("No image is scored, so there is no average.", exit_code=DATA)
    return math.fsum(values.tolist()) / len(values)


def _ratio(part: NDArray[np.int64], whole: NDArray[np.int64], what: str) -> float:
    total = int(whole.sum())
    if not total:
        raise StrbenchError(
            f"No counted pixel is {what} in a label or a prediction, so its IoU has no value.",
            exit_code=DATA,
        )
    return int(part.sum()) / total


def fg_iou(counts: PixelCounts) -> float:
    """IoU of text over the pixels of all images at once, in [0, 1]; large images weigh more.

    Raises:
        StrbenchError: no pixel of any image is text, in labels or predictions.

    >>> label = np.array([[[1, 1, 0]], [[1, 0, 0]]], np.uint8)
    >>> pred = np.array([[[1, 1, 1]], [[0, 0, 0]]])
    >>> fg_iou(count_pixels(label, pred))  # (2 + 0) / (3 + 1)
    0.5

    Source: SHI-Labs/Rethinking-Text-Segmentation lib/evaluate_service.py, miou.
    """
    return _ratio(counts.tp, counts.tp + counts.fp + counts.fn, "text")


def bg_iou(counts: PixelCounts) -> float:
    """IoU of background over the pixels of all images at once, in [0, 1].

    Raises:
        StrbenchError: no counted pixel is background, in labels or predictions.

    Source: as ``fg_iou``.
    """
    return _ratio(counts.tn, counts.tn + counts.fp + counts.fn, "background")


def mean_iou(counts: PixelCounts) -> float:
    """Mean of the pooled IoU of background and of text, in [0, 1].

    A class of which no label and no prediction has a pixel is left out of the mean.

    Raises:
        StrbenchError: no pixel is counted.

    >>> label = np.array([[[1, 1, 0]], [[1, 0, 0]]], np.uint8)
    >>> pred = np.array([[[1, 1, 1]], [[0, 0, 0]]])
    >>> mean_iou(count_pixels(label, pred))  # text 2 / 4, background 2 / 4
    0.5

    Source: as ``fg_iou``.
    """
    wrong = int((counts.fp + counts.fn).sum())
    hits = [int(counts.tn.sum()), int(counts.tp.sum())]
    return _mean(np.array([hit / (hit + wrong) for hit in hits if hit + wrong]))


@dataclass(frozen=True, kw_only=True)
class PrecisionRecall:
    """Precision and recall of text pixels, in [0, 1]."""

    precision: float
    recall: float

    @property
    def hmean(self) -> float:
        """Their harmonic mean, F; 0 where both are 0."""
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / total if total else 0.0


def texrnet_scores(counts: PixelCounts) -> PrecisionRecall:
    """Mean over images of precision, and mean over images of recall, as TexRNet's evaluation has them.

    An image without prediction has precision 0, and one without text has recall 0; so an image
    without either, which is perfectly read, lowers both means. Where both means are 0, F is 0
    (TexRNet's code gives NaN).

    Raises:
        StrbenchError: no image is scored.

    Source: SHI-Labs/Rethinking-Text-Segmentation lib/evaluate_service.py, fscore.
    """
    return PrecisionRecall(
        precision=_mean(_share(counts.tp, counts.tp + counts.fp, empty=0.0)),
        recall=_mean(_share(counts.tp, counts.tp + counts.fn, empty=0.0)),
    )


def texrnet_f(counts: PixelCounts) -> float:
    """Harmonic mean of the means over images of precision and of recall, in [0, 1].

    Neither the pooled F nor the mean of the images' F; edge cases are those of ``texrnet_scores``.

    Raises:
        StrbenchError: no image is scored.

    >>> label = np.array([[[1, 1, 0]], [[1, 0, 0]]], np.uint8)
    >>> pred = np.array([[[1, 0, 0]], [[1, 1, 0]]])
    >>> texrnet_f(count_pixels(label, pred))  # P (1 + 1/2) / 2, R (1/2 + 1) / 2
    0.75

    Source: as ``texrnet_scores``.
    """
    return texrnet_scores(counts).hmean


def pooled_scores(counts: PixelCounts) -> PrecisionRecall:
    """Precision and recall over the pixels of all images at once; 0 without any to divide by.

    >>> label = np.array([[[1, 1, 0]], [[1, 0, 0]]], np.uint8)
    >>> pooled_scores(count_pixels(label, np.array([[[1, 1, 1]], [[0, 0, 0]]])))
    PrecisionRecall(precision=0.6666666666666666, recall=0.6666666666666666)
    """
    tp, fp, fn = (int(c.sum()) for c in (counts.tp, counts.fp, counts.fn))
    return PrecisionRecall(
        precision=tp / (tp + fp) if tp + fp else 0.0, recall=tp / (tp + fn) if tp + fn else 0.0
    )


def image_fg_iou(counts: PixelCounts) -> NDArray[np.float64]:
    """IoU of text of every image, (N,); 1 for an image without text in label and prediction."""
    return _share(counts.tp, counts.tp + counts.fp + counts.fn, empty=1.0)


def image_f(counts: PixelCounts) -> NDArray[np.float64]:
    """F of text of every image, (N,); 1 for an image without text in label and prediction.

    2 tp / (2 tp + fp + fn), which is 0 where only one of them has text.
    """
    return _share(2 * counts.tp, 2 * counts.tp + counts.fp + counts.fn, empty=1.0)


def mean_image_fg_iou(counts: PixelCounts) -> float:
    """Mean over images of their IoU of text, in [0, 1]; every image weighs the same.

    Raises:
        StrbenchError: no image is scored.
    """
    return _mean(image_fg_iou(counts))


def mean_image_f(counts: PixelCounts) -> float:
    """Mean over images of their F of text, in [0, 1].

    Raises:
        StrbenchError: no image is scored.
    """
    return _mean(image_f(counts))


def word_crop_iou(
    labels: NDArray[Any], preds: NDArray[Any], *, effect: Effect = "background"
) -> float:
    """Mean over word crops of 32 x 128 pixels of their IoU of text, in [0, 1].

    The figure of self-supervised encoders with a pixel decoder (DiG, CCD): words cut from TextSeg and
    resized, one binary mask a word. Text fills such a crop, and every word weighs the same, so it is
    not to be compared with ``fg_iou`` of whole photographs. A crop without text in label and
    prediction counts 1; CCD's code stops there with an IndexError, and adds 1e-6 to every union. SSM's
    published IoU averages over the columns of all crops instead, empty ones as 1, and compares with
    nothing here.

    Args:
        labels, preds, effect: as of ``count_pixels``, of shape (N, 32, 128) or (32, 128).

    Raises:
        StrbenchError: masks are of another size, as ``count_pixels``, or there is none.

    >>> label = np.zeros((2, 32, 128), np.uint8)
    >>> label[0, :, :40] = 1
    >>> pred = np.zeros((2, 32, 128), bool)
    >>> pred[0, :, 20:60] = True
    >>> word_crop_iou(label, pred)  # (20 / 60 + 1) / 2
    0.6666666666666666

    Source: TongkunGuan/CCD Dino/metric/eval_IOU.py, fore_IU.
    """
    if np.shape(labels)[-2:] != WORD_CROP:
        raise StrbenchError(
            f"Word crops are of height 32 and width 128, found masks of shape {np.shape(labels)}.",
            exit_code=DATA,
        )
    return mean_image_fg_iou(count_pixels(labels, preds, effect=effect))
