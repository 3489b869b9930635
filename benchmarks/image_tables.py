"""Tables of super-resolution and segmentation that ``strbench reproduce`` rebuilds; see reproductions.py."""

from __future__ import annotations

from collections.abc import Mapping

from strbench.reproductions import Reproduction, Row, Scale, Training

from .scales import (
    DEMO_DATA,
    DIG,
    DIG_PAPER_DATA,
    HALF_REAL,
    MIXED,
    PAPER,
    SMALL,
    encoder,
)

_TEXTZOOM = ("textzoom/test_easy", "textzoom/test_medium", "textzoom/test_hard")
_DRAWN_PAIRS = (
    "rendered_pairs_easy/test",
    "rendered_pairs_medium/test",
    "rendered_pairs_hard/test",
)


def _pixels(
    entry: str, data: str, pretrained: Mapping[str, str], printed: Mapping[str, str]
) -> tuple[Row, ...]:
    """A ViT that puts out pixels, from scratch and from pretrained encoders.

    Args:
        pretrained: method -> label.
        printed: label -> variant of DiG's row in the CSV.
    """
    return tuple(
        Row(
            label=label,
            run=Training(
                key=f"vit-{method or 'scratch'}", entry=entry, data=data, parents=encoder(method)
            ),
            reported={"method": "DiG", "variant": printed[label]} if label in printed else {},
            against="Scratch" if method else "",
        )
        for method, label in pretrained.items()
    )


_CONVOLUTIONAL = {"srcnn": "SRCNN", "srresnet": "SRResNet", "tsrn": "TSRN", "tbsrn": "TBSRN"}


def _restorers(entries: Mapping[str, str]) -> tuple[Row, ...]:
    return tuple(
        Row(
            label=label,
            run=Training(key=entry, entry=entry, data="pairs"),
            reported={"method": label, "variant": "as printed by DiG"},
        )
        for entry, label in entries.items()
    )


_SR_PRINTED = {"Scratch": "ViT-Small, from scratch", "DiG": "ViT-Small"}
_ENCODERS = {"": "Scratch", "gen": "Gen", "dis": "Dis", "dig": "DiG", "mae": "MAE"}
_FEW_ENCODERS = {"": "Scratch", "gen": "Gen", "dis": "Dis", "dig": "DiG"}
_PAIRS_DATA = {"pairs": ("rendered_pairs/train",)}
_DRAWN_MASKS = ("rendered_masks/test",)
_MASKS_DATA = {"masks": ("rendered_masks/train",)}

IMAGE_TABLES: Mapping[str, Reproduction] = {
    "dig-superres": Reproduction(
        title="DiG, text super-resolution",
        source=f"{DIG}, table of super-resolution",
        columns=_TEXTZOOM,
        rows=(
            *_restorers(_CONVOLUTIONAL),
            *_pixels("vit-restorer", "pairs", _ENCODERS, _SR_PRINTED),
        ),
        protocol="textzoom",
        metrics=("psnr", "ssim"),
        scales={
            "smoke": Scale(
                title="recipes smoke on rendered words and pairs",
                recipe="smoke",
                data={**DEMO_DATA, **_PAIRS_DATA},
                splits=_DRAWN_PAIRS,
            ),
            "cpu-night": Scale(
                title="recipes cpu-hour on rendered words, a few thousand real crops and rendered pairs",
                recipe="cpu-hour",
                data={"pretraining": HALF_REAL, **_PAIRS_DATA},
                splits=_DRAWN_PAIRS,
                rows=(
                    *_restorers(_CONVOLUTIONAL),
                    *_pixels("vit-restorer", "pairs", _FEW_ENCODERS, {}),
                ),
            ),
            "small": Scale(
                title=SMALL,
                recipe="small",
                data={"pretraining": MIXED, "pairs": ("rendered_pairs/train", "textzoom/train?")},
            ),
            "paper": Scale(
                title=PAPER,
                recipe="paper",
                data={"pretraining": DIG_PAPER_DATA["pretraining"], "pairs": ("textzoom/train",)},
            ),
        },
        note="The release has no code for this table. Its rows of other methods are cited, not run again, "
        "and its way of pooling PSNR is not told; here it is the mean over images.",
    ),
    "dig-segmentation": Reproduction(
        title="DiG, text segmentation",
        source=f"{DIG}, text segmentation",
        columns=("textseg_words/test",),
        rows=_pixels("vit-segmenter", "masks", _ENCODERS, {}),
        protocol="word-crops",
        metrics=("word_crop_iou",),
        scales={
            "smoke": Scale(
                title="recipes smoke on rendered words and masks",
                recipe="smoke",
                data={**DEMO_DATA, **_MASKS_DATA},
                splits=_DRAWN_MASKS,
            ),
            "cpu-night": Scale(
                title="recipes cpu-hour on rendered words, a few thousand real crops and rendered masks",
                recipe="cpu-hour",
                data={"pretraining": HALF_REAL, **_MASKS_DATA},
                splits=_DRAWN_MASKS,
                rows=_pixels("vit-segmenter", "masks", _FEW_ENCODERS, {}),
            ),
            "small": Scale(
                title=SMALL,
                recipe="small",
                data={
                    "pretraining": MIXED,
                    "masks": ("rendered_masks/train", "textseg_words/train?"),
                },
            ),
            "paper": Scale(
                title=PAPER,
                recipe="paper",
                data={
                    "pretraining": DIG_PAPER_DATA["pretraining"],
                    "masks": ("textseg_words/train",),
                },
            ),
        },
        note="How the paper cut its words out of TextSeg is not told, and its figures were not to be read, "
        "so that none stands here.",
    ),
}
