"""Two detectors or spotters on the same photographs: paired difference, and where they differ most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from strbench.image_bootstrap import paired_difference
from strbench.metrics.detection import Outcome
from strbench.region_protocols import RegionProtocol, region_protocol
from strbench.region_scoring import Scored, score_results, truth_of_split
from strbench.report.sources import Source, file_of, one_protocol, opened
from strbench.splits import Split, check_task


@dataclass(frozen=True, slots=True)
class Photograph:
    """An image on which two models differ: true regions, and the credit of each model for them."""

    id: str
    true: float
    first: float
    second: float


@dataclass(frozen=True, slots=True)
class PairedRegions:
    """Both models on one split; ``difference`` is the second's F minus the first's, in [-1, 1]."""

    split: str
    protocol: str
    first: str
    second: str
    n: int  # images
    hmean: tuple[float, float]
    difference: float
    low: float  # 95 % interval of the difference, paired bootstrap over images
    high: float
    p_value: float
    gained: tuple[Photograph, ...]  # the second finds more, the largest gain first
    lost: tuple[Photograph, ...]


def paired(first: Source, second: Source, *, protocol: str | None = None) -> PairedRegions:
    """The comparison on one split of photographs.

    Raises:
        StrbenchError: as ``sources.opened`` and ``file_of`` do, no protocol is known, or a file cannot be
            scored under it.
    """
    split, rule, scored = _scored((first, second), protocol)
    left, right = (one.outcome for one in scored)
    found = paired_difference(right, left)
    gain = right.recalled - left.recalled
    ends = np.argsort(-gain, kind="stable"), np.argsort(gain, kind="stable")

    def shown(order: Sequence[int]) -> tuple[Photograph, ...]:
        return tuple(_photograph(scored[0].images[i], i, left, right) for i in order)

    return PairedRegions(
        split=split.name,
        protocol=rule.name,
        first=first.name,
        second=second.name,
        n=len(scored[0].images),
        hmean=(left.hmean, right.hmean),
        difference=found.value,
        low=found.interval.low,
        high=found.interval.high,
        p_value=found.p,
        gained=shown([i for i in ends[0].tolist() if gain[i] > 0]),
        lost=shown([i for i in ends[1].tolist() if gain[i] < 0]),
    )


def outcomes(sources: Sequence[Source], *, protocol: str | None = None) -> list[Outcome]:
    """What the rule makes of each source's file on their split.

    Raises:
        StrbenchError: as ``paired`` does.
    """
    return [one.outcome for one in _scored(sources, protocol)[2]]


def _scored(
    sources: Sequence[Source], protocol: str | None
) -> tuple[Split, RegionProtocol, list[Scored]]:
    split = opened(sources)
    check_task(split.name, split.manifest.task, "detection")
    rule = region_protocol(one_protocol(sources, protocol) or _default(split.name))
    truth = truth_of_split(split)
    return split, rule, [score_results(file_of(source), truth, rule)[0] for source in sources]


def _default(split: str) -> str:
    from strbench.task_protocols import default_protocol

    return default_protocol(split, "detection")


def _photograph(id_: str, i: int, left: Outcome, right: Outcome) -> Photograph:
    return Photograph(
        id_, float(right.truths[i]), float(left.recalled[i]), float(right.recalled[i])
    )


def markdown(found: Sequence[PairedRegions], *, limit: int) -> str:
    """The comparison as Markdown: one row a split, then up to ``limit`` photographs per direction."""
    from strbench.report.render import escape_markdown as escape

    first, second = found[0].first, found[0].second
    parts = [
        f"### {escape(second)} against {escape(first)}: F\n",
        f"| split | protocol | images | {escape(first)} (%) | {escape(second)} (%) "
        "| difference [95 % interval] | more | less | p (bootstrap) |\n"
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n"
        + "".join(
            f"| {escape(p.split)} | {p.protocol} | {p.n} | {100 * p.hmean[0]:.1f} "
            f"| {100 * p.hmean[1]:.1f} "
            f"| {100 * p.difference:+.1f} [{100 * p.low:+.1f}, {100 * p.high:+.1f}] "
            f"| {len(p.gained)} | {len(p.lost)} | {p.p_value:.2g} |\n"
            for p in found
        ),
    ]
    for p in found:
        for photographs, better in ((p.gained, second), (p.lost, first)):
            if not photographs or not limit:
                continue
            shown = min(limit, len(photographs))
            parts.append(
                f"{escape(p.split)}, {escape(better)} finds more ({shown} of {len(photographs)} "
                "photographs):\n\n"
                f"| photograph | true regions | {escape(first)} | {escape(second)} |\n"
                "| --- | ---: | ---: | ---: |\n"
                + "".join(
                    f"| {escape(one.id)} | {one.true:g} | {one.first:g} | {one.second:g} |\n"
                    for one in photographs[:limit]
                )
            )
    return "\n".join(parts)


def as_json(found: Sequence[PairedRegions], *, limit: int) -> list[dict[str, Any]]:
    """An object a split: figures as proportions, and up to ``limit`` photographs per direction."""
    return [
        {
            "split": p.split,
            "protocol": p.protocol,
            "first": {"name": p.first, "hmean": p.hmean[0]},
            "second": {"name": p.second, "hmean": p.hmean[1]},
            "n": p.n,
            "difference": {"value": p.difference, "low": p.low, "high": p.high},
            "p_value": p.p_value,
            **{
                name: {
                    "n": len(photographs),
                    "samples": [
                        {"id": o.id, "true": o.true, "first": o.first, "second": o.second}
                        for o in photographs[:limit]
                    ],
                }
                for name, photographs in (("gained", p.gained), ("lost", p.lost))
            },
        }
        for p in found
    ]
