"""Made images -> figures -> a run record: what ``score`` and ``eval`` do for super-resolution and masks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from strbench import records
from strbench.errors import DATA, StrbenchError
from strbench.image_bootstrap import resampled_sums
from strbench.image_predictions import Values, read_images
from strbench.image_protocols import ImageProtocol, image_protocol, signature
from strbench.loading import Pixels, decode, stretch
from strbench.masks import decode_mask
from strbench.metrics import restoration, segmentation
from strbench.metrics.recognition import score_words
from strbench.metrics.segmentation import PixelCounts
from strbench.models import Loaded
from strbench.policies import DEFAULT_POLICY
from strbench.scores import Figure, Score
from strbench.scoring import data_of, scorable_labels
from strbench.stats import LEVEL, RESAMPLES, bootstrap_interval, wilson_interval
from strbench.store import Split

TEXT_FROM = 0.5  # a pixel is text from this probability on
_TOGETHER = 256  # images in memory at once
SIDES = ("low", "restored", "high")


def low_pixels(split: Split, index: int) -> Pixels:
    """The low-resolution image of a pair as TextZoom's loader gives it, (16, 64, 3)."""
    return stretch(decode(split.low(index)), 16, 64)


def high_pixels(split: Split, index: int, size: tuple[int, int]) -> Pixels:
    """The high-resolution image of a pair at a protocol's size, (H, W, 3)."""
    return stretch(decode(split.image(index)), *size)


def score_restored(
    made: Mapping[str, Values], split: Split, rule: ImageProtocol, *, limit: int | None = None
) -> restoration.PairScores:
    """The errors of every pair of a split, in its order.

    Raises:
        StrbenchError: an image is missing, of another size than the protocol's, or not in colour.
    """
    assert rule.size is not None
    parts = []
    ids = split.ids[:limit]
    for some in _chunks(len(ids)):
        restored = np.stack([_of_size(made[ids[i]], (*rule.size, 3), ids[i]) for i in some])
        true = np.stack([high_pixels(split, i, rule.size) for i in some])
        parts.append(restoration.score_pairs(restored, true.astype(np.float32) / 255))
    return restoration.join(parts)


def _chunks(n: int) -> Iterator[range]:
    return (range(start, min(start + _TOGETHER, n)) for start in range(0, n, _TOGETHER))


def _of_size(values: Values, shape: tuple[int, ...], id_: str) -> Values:
    if len(shape) == 3 and values.ndim == 3 and values.shape[2] == 4:
        values = values[..., :3]  # the mask that some networks put out too
    if values.shape != shape:
        raise StrbenchError(
            f"{id_}: expected an image of {' x '.join(map(str, shape))} (height, width, channels), "
            f"found {' x '.join(map(str, values.shape))}.",
            hint="See the sizes of the protocol: strbench show protocol textzoom",
            exit_code=DATA,
        )
    return values


def mask_at_size(split: Split, index: int, rule: ImageProtocol) -> Pixels:
    """The true mask at a protocol's size, (H, W), in the values of ``strbench.masks``."""
    label = decode_mask(split.mask(index))
    if rule.size is None:
        return label
    height, width = rule.size
    small = Image.fromarray(label).resize((width, height), Image.Resampling.NEAREST)
    return np.asarray(small)


def score_masks(
    made: Mapping[str, Values], split: Split, rule: ImageProtocol, *, limit: int | None = None
) -> PixelCounts:
    """The pixel counts of every mask of a split, in its order.

    Raises:
        StrbenchError: a mask is missing, or of another size than the image or the protocol's.
    """
    parts = []
    for i, id_ in enumerate(split.ids[:limit]):
        label = mask_at_size(split, i, rule)
        values = _of_size(made[id_], label.shape, id_)
        parts.append(segmentation.count_pixels(label, values >= TEXT_FROM))
    return segmentation.join(parts)


class Readings(NamedTuple):
    """Which words a recognizer reads in the images of each side."""

    recognizer: str
    correct: dict[str, NDArray[np.bool_]]  # side -> (N,), see ``SIDES``


def read_sides(
    made: Mapping[str, Values],
    split: Split,
    rule: ImageProtocol,
    recognizer: Loaded,
    *,
    limit: int | None = None,
) -> Readings:
    """Which words are read in the low-resolution, the restored and the high-resolution images.

    All three are 8-bit images (restored ones are clamped and rounded) of the protocol's sizes; labels
    are compared under ``strbench-36``.

    Raises:
        StrbenchError: a sample has no label.
    """
    assert rule.size is not None
    size = rule.size
    labels = scorable_labels(split, limit)
    ids = split.ids[:limit]

    def restored(i: int) -> Pixels:
        rounded = np.floor(np.clip(made[ids[i]][..., :3], 0, 1) * 255 + 0.5)
        return np.asarray(rounded, dtype=np.uint8)

    sides: dict[str, Callable[[int], Pixels]] = {
        "low": lambda i: low_pixels(split, i),
        "restored": restored,
        "high": lambda i: high_pixels(split, i, size),
    }
    correct = {}
    for side, image in sides.items():
        texts = list(_read(recognizer, image, len(ids)))
        correct[side] = score_words(labels, texts, DEFAULT_POLICY).correct
    return Readings(recognizer.name, correct)


def _read(recognizer: Loaded, image: Callable[[int], Pixels], n: int) -> Iterator[str]:
    card = recognizer.card
    for some in _chunks(n):
        images = [image(i) for i in some]
        if card.resize != "native":
            images = [stretch(pixels, card.height, card.width) for pixels in images]
        for reading in recognizer.model.read(images):
            yield reading if isinstance(reading, str) else reading[0]


def make_score(
    made: Mapping[str, Values],
    split: Split,
    rule: ImageProtocol,
    *,
    path: Path | None = None,
    limit: int | None = None,
    recognizer: Loaded | None = None,
    seed: int = 0,
) -> tuple[Score, dict[str, int]]:
    """The entry of a run record for one split, and reason -> count of what to know of it.

    Raises:
        StrbenchError: as ``score_restored``, ``score_masks`` and ``read_sides``; or a recognizer for masks.
    """
    said: dict[str, int] = {}
    if rule.task == "super-resolution":
        pairs = score_restored(made, split, rule, limit=limit)
        figures = _pair_figures(pairs, rule, seed)
        said["restored image equal to the true one, left out of PSNR"] = pairs.n_equal
        if recognizer is not None:
            read = read_sides(made, split, rule, recognizer, limit=limit)
            figures |= {
                f"{side}_accuracy": _share(correct, seed) for side, correct in read.correct.items()
            }
    else:
        if recognizer is not None:
            raise StrbenchError(
                "A recognizer reads restored images, and these are masks.",
                hint="Leave --recognizer out.",
            )
        figures = _mask_figures(score_masks(made, split, rule, limit=limit), rule, seed)
    n = len(split.ids[:limit])
    entry = Score(
        split=split.name,
        fingerprint=split.fingerprint,
        n=n,
        protocol=rule.name,
        signature=signature(
            rule,
            split.name,
            n,
            split.fingerprint,
            labels=split.manifest.labels,
            recognizer=recognizer.name if recognizer else "",
        ),
        rendered=split.manifest.rendered,
        predictions=records.stored(path) if path is not None else None,
        figures=figures,
    )
    return entry, {reason: count for reason, count in said.items() if count}


def _pair_figures(
    pairs: restoration.PairScores, rule: ImageProtocol, seed: int
) -> dict[str, Figure]:
    """PSNR of the pairs that differ, and SSIM; intervals where the figure is a mean over images."""
    unequal = pairs.mse > 0
    figures: dict[str, Figure] = {}
    if rule.pool == "image":
        if unequal.any():
            figures["psnr"] = _mean(pairs.psnr[unequal], seed)
        return figures | {"ssim": _mean(pairs.ssim, seed)}
    if unequal.any():
        value = restoration.psnr_textzoom(pairs, pool=rule.pool)
        if np.isfinite(value):
            figures["psnr"] = Figure(value=value)
    return figures | {"ssim": Figure(value=restoration.ssim_textzoom(pairs, pool=rule.pool))}


def _mean(values: NDArray[np.float64], seed: int) -> Figure:
    """The mean with its interval; that of one image has none."""
    if len(values) < 2:
        return Figure(value=float(values.mean()))
    interval = bootstrap_interval(values, seed=seed)
    return Figure(value=float(values.mean()), low=interval.low, high=interval.high)


def _share(correct: NDArray[np.bool_], seed: int) -> Figure:
    right, n = int(correct.sum()), len(correct)
    interval = (
        wilson_interval(right, n) if right in (0, n) else bootstrap_interval(correct, seed=seed)
    )
    return Figure(value=right / n, low=interval.low, high=interval.high, part=right, whole=n)


def _mask_figures(counts: PixelCounts, rule: ImageProtocol, seed: int) -> dict[str, Figure]:
    if rule.size is not None:
        return {"word_crop_iou": _mean(segmentation.image_fg_iou(counts), seed)}
    values = {
        "fg_iou": segmentation.fg_iou(counts),
        "mean_iou": segmentation.mean_iou(counts),
        "texrnet_f": segmentation.texrnet_f(counts),
    }
    if counts.n < 2:  # one image says nothing of others
        return {name: Figure(value=value) for name, value in values.items()}
    found = _resampled_masks(counts, seed)
    low, high = np.quantile(found, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return {
        name: Figure(value=value, low=float(low[k]), high=float(high[k]))
        for k, (name, value) in enumerate(values.items())
    }


def _resampled_masks(counts: PixelCounts, seed: int) -> NDArray[np.float64]:
    """(R, 3) fgIoU, mIoU and F of resampled images; where nothing is divided the figure is 0.

    As in ``segmentation.mean_iou`` a class that no pixel has is left out of a mean.
    """
    tp, fp, fn, tn = (c.astype(np.float64) for c in (counts.tp, counts.fp, counts.fn, counts.tn))

    def divided(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)

    rows = np.stack([tp, tn, fp + fn, divided(tp, tp + fp), divided(tp, tp + fn)], 1)
    text, background, wrong, precision, recall = resampled_sums(rows, seed, RESAMPLES).T
    of_text = divided(text, text + wrong)
    of_background = divided(background, background + wrong)
    classes = (text + wrong > 0).astype(np.float64) + (background + wrong > 0)
    f = divided(2 * precision * recall, precision + recall) / counts.n
    return np.stack([of_text, divided(of_text + of_background, classes), f], 1)


def score_file(
    path: Path,
    split: Split,
    *,
    name: str,
    rule: str,
    recognizer: Loaded | None = None,
    records_folder: Path | None = None,
) -> records.Record:
    """The finished record of images that came from outside: Parquet, a folder or a zip."""
    chosen = image_protocol(rule)
    begun = time.monotonic()
    with records.start(
        kind="score",
        name=name,
        records=records_folder,
        protocol=chosen.name,
        config={"predictions": path.name, **recognizer_told(recognizer)},
        data=[data_of(split)],
    ) as record:
        made = read_images(path, split.ids)
        kept = path if path.is_file() else None
        entry, said = make_score(made, split, chosen, path=kept, recognizer=recognizer)
        seconds = round(time.monotonic() - begun, 3)
        record.finish(scores=[entry], failures=said, cost={"seconds": seconds})
    return record


def recognizer_told(recognizer: Loaded | None) -> dict[str, Any]:
    """What a record says of the recognizer that read restored images."""
    if recognizer is None:
        return {}
    return {"recognizer": recognizer.name, "recognizer_notes": recognizer.card.notes}
