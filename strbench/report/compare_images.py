"""Two restorers or segmenters on the same images: paired differences, and where they differ most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strbench.image_predictions import read_images
from strbench.image_protocols import image_protocol
from strbench.image_scoring import score_masks, score_restored
from strbench.metrics.segmentation import image_fg_iou
from strbench.report.frame import METRICS, Metric
from strbench.report.sources import Source, file_of, one_protocol, opened
from strbench.stats import paired_difference
from strbench.store import Split


@dataclass(frozen=True, slots=True)
class Image:
    """An image on which two models differ, and the figure of each."""

    id: str
    first: float
    second: float


@dataclass(frozen=True, slots=True)
class PairedImages:
    """Both models on one split; ``difference`` is the second's mean over images minus the first's."""

    split: str
    protocol: str
    metric: Metric
    first: str
    second: str
    n: int  # images that count for both
    means: tuple[float, float]
    difference: float
    low: float  # 95 % interval of the difference, paired bootstrap over images
    high: float
    p_value: float
    gained: tuple[Image, ...]  # the second is better, the largest gain first
    lost: tuple[Image, ...]


def image_values(
    sources: Sequence[Source], *, protocol: str | None = None
) -> tuple[Split, str, dict[Metric, list[NDArray[np.float64]]]]:
    """The split, the protocol, and metric -> the figure of every image, one array a model.

    PSNR of an image that equals the true one is NaN. A pooled protocol's images are scored one by one.

    Raises:
        StrbenchError: as ``sources.opened`` and ``file_of`` do, or a file cannot be scored.
    """
    from strbench.evaluating import task_of
    from strbench.task_protocols import default_protocol

    split = opened(sources)
    named = one_protocol(sources, protocol) or default_protocol(split.name, task_of([split]))
    rule = image_protocol(named)
    made = [read_images(file_of(source), split.ids) for source in sources]
    if rule.task == "segmentation":
        ious = [image_fg_iou(score_masks(masks, split, rule)) for masks in made]
        metric: Metric = "word_crop_iou" if rule.size is not None else "fg_iou"
        return split, rule.name, {metric: ious}
    scores = [score_restored(images, split, rule) for images in made]
    return (
        split,
        rule.name,
        {
            "psnr": [np.where(one.mse > 0, one.psnr, np.nan) for one in scores],
            "ssim": [one.ssim for one in scores],
        },
    )


def paired(first: Source, second: Source, *, protocol: str | None = None) -> list[PairedImages]:
    """The comparison on one split, one for each metric of its task; raises what ``image_values`` does."""
    split, rule, figures = image_values((first, second), protocol=protocol)
    return [
        _paired(first.name, second.name, split, rule, metric, left, right)
        for metric, (left, right) in figures.items()
    ]


def _paired(
    first: str,
    second: str,
    split: Split,
    rule: str,
    metric: Metric,
    left: NDArray[np.float64],
    right: NDArray[np.float64],
) -> PairedImages:
    places = np.flatnonzero(np.isfinite(left) & np.isfinite(right))
    left, right = left[places], right[places]
    found = paired_difference(right, left)
    gain = right - left

    def shown(order: NDArray[np.intp]) -> tuple[Image, ...]:
        return tuple(
            Image(split.ids[places[i]], float(left[i]), float(right[i])) for i in order.tolist()
        )

    order = np.argsort(-gain, kind="stable")
    return PairedImages(
        split=split.name,
        protocol=rule,
        metric=metric,
        first=first,
        second=second,
        n=len(places),
        means=(float(left.mean()), float(right.mean())),
        difference=found.value,
        low=found.low,
        high=found.high,
        p_value=found.p,
        gained=shown(order[gain[order] > 0]),
        lost=shown(order[::-1][gain[order[::-1]] < 0]),
    )


def markdown(found: Sequence[PairedImages], *, limit: int) -> str:
    """The comparison as Markdown: one row a split and metric, then up to ``limit`` images a direction."""
    from strbench.report.render import escape_markdown as escape

    first, second = found[0].first, found[0].second
    parts = [
        f"### {escape(second)} against {escape(first)}: means over images\n",
        f"| split | protocol | images | metric | {escape(first)} | {escape(second)} "
        "| difference [95 % interval] | more | less | p (bootstrap) |\n"
        "| --- | --- | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: |\n"
        + "".join(f"| {' | '.join(_row(p))} |\n" for p in found),
    ]
    for p in found:
        shown = METRICS[p.metric]
        for images, better in ((p.gained, second), (p.lost, first)):
            if not images or not limit:
                continue
            parts.append(
                f"{escape(p.split)}, {shown.head}: {escape(better)} is better "
                f"({min(limit, len(images))} of {len(images)} images):\n\n"
                f"| image | {escape(first)} | {escape(second)} |\n| --- | ---: | ---: |\n"
                + "".join(
                    f"| {escape(one.id)} | {shown.text(one.first)} | {shown.text(one.second)} |\n"
                    for one in images[:limit]
                )
            )
    return "\n".join(parts)


def _row(p: PairedImages) -> list[str]:
    from strbench.report.render import escape_markdown as escape

    shown = METRICS[p.metric]
    ends = ", ".join(shown.signed(end) for end in (p.low, p.high))
    return [
        escape(p.split),
        p.protocol,
        str(p.n),
        shown.title,
        shown.text(p.means[0]),
        shown.text(p.means[1]),
        f"{shown.signed(p.difference)} [{ends}]",
        str(len(p.gained)),
        str(len(p.lost)),
        f"{p.p_value:.2g}",
    ]


def as_json(found: Sequence[PairedImages], *, limit: int) -> list[dict[str, Any]]:
    """An object a split and metric, and up to ``limit`` images per direction."""
    return [
        {
            "split": p.split,
            "protocol": p.protocol,
            "metric": p.metric,
            "first": {"name": p.first, "mean": p.means[0]},
            "second": {"name": p.second, "mean": p.means[1]},
            "n": p.n,
            "difference": {"value": p.difference, "low": p.low, "high": p.high},
            "p_value": p.p_value,
            **{
                name: {
                    "n": len(images),
                    "samples": [
                        {"id": o.id, "first": o.first, "second": o.second} for o in images[:limit]
                    ],
                }
                for name, images in (("gained", p.gained), ("lost", p.lost))
            },
        }
        for p in found
    ]
