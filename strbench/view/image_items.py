"""Pages of restored images and of masks: what went in, what was made and what was meant, side by side."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from strbench.image_predictions import Values
from strbench.image_protocols import ImageProtocol
from strbench.image_scoring import (
    TEXT_FROM,
    high_pixels,
    low_pixels,
    mask_at_size,
    score_masks,
    score_restored,
)
from strbench.loading import Pixels, decode, stretch
from strbench.masks import IGNORED, TEXT
from strbench.metrics.segmentation import image_fg_iou
from strbench.store import Split
from strbench.view.items import Figure, Filter, Gallery, Item, Order, Picture

Images = Callable[[str], bytes]
Made = Mapping[str, Mapping[str, Values]]  # model -> sample id -> what it made
_BREAK = "\n"  # between the parts of a picture's key; no sample id holds it
# Of the picture of errors: text that was seen, seen in vain, and not seen; not counted. They differ in
# lightness too, for readers who see no colour.
_SEEN, _FALSE, _MISSED, _UNCOUNTED = (255, 255, 255), (230, 140, 0), (60, 60, 255), (128, 128, 128)


def restored_items(
    made: Made, split: Split, rule: ImageProtocol, *, about: Sequence[tuple[str, str]] = ()
) -> tuple[Gallery, Images]:
    """Pairs with what every model made of the small image, and the function from a key to a picture.

    Figures are PSNR and SSIM of every image under the protocol's sizes; equal images have no PSNR. The
    first order is by the first model's PSNR.

    Raises:
        StrbenchError: as ``image_scoring.score_restored``.
    """
    assert rule.size is not None
    size = rule.size
    scores = {model: score_restored(images, split, rule) for model, images in made.items()}
    psnr = {model: np.where(s.mse > 0, s.psnr, np.nan) for model, s in scores.items()}
    items = []
    for i, id_ in enumerate(split.ids):
        values = [
            value
            for model in made
            for value in (_known(psnr[model][i]), float(scores[model].ssim[i]))
        ]
        items.append(
            Item(
                id=id_,
                pictures=(
                    Picture(f"low{_BREAK}{i}", "low"),
                    *(Picture(f"{model}{_BREAK}{i}", model) for model in made),
                    Picture(f"high{_BREAK}{i}", "high"),
                ),
                counts=(),
                figures=tuple(values),
                label=split.label(i),
                note="; ".join(
                    f"{model} {_decibels(psnr[model][i])}, SSIM {scores[model].ssim[i]:.4f}"
                    for model in made
                ),
            )
        )
    names = [(model, name) for model in made for name in ("PSNR", "SSIM")]
    gallery = Gallery(
        layout="grid",
        noun="pair",
        items=tuple(items),
        filters=(),
        figures=tuple(Figure(f"{model} {name}", "") for model, name in names),
        orders=(
            *(
                Order(f"{model}, lowest {name} first", ((k, False),))
                for k, (model, name) in enumerate(names)
            ),
            *(
                Order(f"{model}, highest PSNR first", ((2 * k, True),))
                for k, model in enumerate(made)
            ),
            Order("File order"),
        ),
        about=(
            *((m, f"{np.nanmean(psnr[m]):.2f} dB, SSIM {scores[m].ssim.mean():.4f}") for m in made),
            *about,
        ),
    )

    def picture(key: str) -> bytes:
        kind, _, number = key.rpartition(_BREAK)
        i = int(number)
        if kind == "low":
            return _png(low_pixels(split, i))
        if kind == "high":
            return _png(high_pixels(split, i, size))
        values = made[kind][split.ids[i]][..., :3]
        return _png(np.floor(np.clip(values, 0, 1) * 255 + 0.5).astype(np.uint8))

    return gallery, picture


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _decibels(value: float) -> str:
    return "equal" if np.isnan(value) else f"{value:.2f} dB"


def mask_items(
    made: Made, split: Split, rule: ImageProtocol, *, about: Sequence[tuple[str, str]] = ()
) -> tuple[Gallery, Images]:
    """Images with their masks, those of every model and where these are wrong; and the pictures.

    The figure of an image is its IoU of text. In the pictures of a model text that was seen is white,
    seen in vain orange, not seen blue, and what does not count grey.

    Raises:
        StrbenchError: as ``image_scoring.score_masks``.
    """
    iou = {model: image_fg_iou(score_masks(masks, split, rule)) for model, masks in made.items()}
    items = tuple(
        Item(
            id=id_,
            pictures=(
                Picture(f"image{_BREAK}{i}", "image"),
                Picture(f"true{_BREAK}{i}", "true"),
                *(Picture(f"{model}{_BREAK}{i}", model) for model in made),
            ),
            counts=(int(any(iou[model][i] == 0 for model in made)),),
            figures=tuple(float(iou[model][i]) for model in made),
            label=split.label(i),
            note="; ".join(f"{model} IoU {100 * iou[model][i]:.1f} %" for model in made),
        )
        for i, id_ in enumerate(split.ids)
    )
    gallery = Gallery(
        layout="grid",
        noun="image",
        items=items,
        filters=(Filter("Missed", "images of which a model has nothing right"),),
        figures=tuple(Figure(f"{model} IoU", "") for model in made),
        orders=(
            *(Order(f"{model}, lowest IoU first", ((k, False),)) for k, model in enumerate(made)),
            Order("File order"),
        ),
        about=(*((m, f"mean IoU {100 * iou[m].mean():.2f} %") for m in made), *about),
    )

    def picture(key: str) -> bytes:
        kind, _, number = key.rpartition(_BREAK)
        i = int(number)
        label = mask_at_size(split, i, rule)
        if kind == "image":
            return _png(stretch(decode(split.image(i)), *label.shape))
        true = label == TEXT
        seen = true if kind == "true" else made[kind][split.ids[i]] >= TEXT_FROM
        return _png(_errors(true, seen, label == IGNORED))

    return gallery, picture


def _errors(
    true: NDArray[np.bool_], seen: NDArray[np.bool_], uncounted: NDArray[np.bool_]
) -> Pixels:
    pixels = np.zeros((*true.shape, 3), np.uint8)
    pixels[true & seen] = _SEEN
    pixels[~true & seen] = _FALSE
    pixels[true & ~seen] = _MISSED
    pixels[uncounted] = _UNCOUNTED
    return pixels


def _png(pixels: Pixels) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()
