"""Suites: which splits stand side by side in a table, in which order.

A suite is data. A rendered suite holds splits that strbench draws itself and never shares a table
with real sets; each real suite names the rendered one that stands in for it where no data is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from strbench.types import Task


@dataclass(frozen=True, kw_only=True)
class Suite:
    """An ordered set of splits that are reported together."""

    title: str
    splits: tuple[str, ...]
    note: str = ""
    rendered: bool = False  # drawn from fonts, not photographed
    stand_in: str = ""  # the rendered suite to use where the real sets are not at hand
    # split -> protocol, where every set has a rule of its own; {}: that of the command
    protocols: Mapping[str, str] = field(default_factory=dict)
    task: Task = "recognition"  # of all its splits


_REGULAR = ("iiit5k/test", "svt/test", "ic13_857/test")
_IRREGULAR = ("ic15_1811/test", "svtp/test", "cute80/test")
# Each under the rule of its own competition or authors.
_DETECTION = {
    "ic13_det/test": "ic13-deteval",
    "ic15_det/test": "ic15-iou",
    "mlt17/val": "mlt17",
    "td500/test": "td500",
    "totaltext_det/test": "totaltext-deteval",
    "ctw1500_det/test": "ctw1500-voc",
}
_SPOTTING = {
    "ic13_det/test": "ic15-e2e",
    "ic15_det/test": "ic15-e2e",
    "totaltext_det/test": "word-spotting",
}

SUITES: dict[str, Suite] = {
    "common": Suite(
        title="Six common sets",
        splits=_REGULAR + _IRREGULAR,
        # 3000 + 647 + 857 + 1811 + 645 + 288
        note="7,248 words; IC13 without non-alphanumeric and one- or two-letter words (857), "
        "the IC15 list of 1,811.",
        stand_in="rendered",
    ),
    "regular": Suite(
        title="Regular text",
        splits=_REGULAR,
        note="Mostly horizontal words.",
        stand_in="rendered-regular",
    ),
    "irregular": Suite(
        title="Irregular text",
        splits=_IRREGULAR,
        note="Perspective, curved and incidental words.",
        stand_in="rendered-irregular",
    ),
    "common-full": Suite(
        title="Six common sets, fuller IC13 and IC15",
        splits=(
            "iiit5k/test",
            "svt/test",
            "ic13_1015/test",
            "ic15_2077/test",
            "svtp/test",
            "cute80/test",
        ),
        # 3000 + 647 + 1015 + 2077 + 645 + 288
        note="7,672 words; IC13 1,015 and IC15 2,077, as PARSeq and SemiMTR report.",
        stand_in="rendered",
    ),
    "occluded": Suite(
        title="Occluded text",
        splits=("host/test", "wost/test"),
        note="Characters partly erased, heavily (HOST) and weakly (WOST); 2,416 words each.",
        stand_in="rendered-occluded",
    ),
    "handwritten": Suite(
        title="Handwritten words",
        splits=("iam/test", "cvl/test"),
        note="English, and a little German without its umlauts; IAM by the official line split.",
        stand_in="rendered-handwritten",
    ),
    "union14m": Suite(
        title="Union14M-Benchmark",
        splits=(
            "union14m_curve/test",
            "union14m_multi_oriented/test",
            "union14m_artistic/test",
            "union14m_contextless/test",
            "union14m_salient/test",
            "union14m_multi_words/test",
            "union14m_general/test",
        ),
        # 2426 + 1369 + 900 + 779 + 1585 + 829
        note="7,888 words of one difficulty each and a large general set; papers print the mean of "
        "the seven without weights.",
        stand_in="rendered",
    ),
    "dig": Suite(
        title="Eleven sets of DiG",
        splits=(
            *_REGULAR,
            *_IRREGULAR,
            "cocotext_9896/test",
            "ctw1500_1572/test",
            "totaltext_2201/test",
            "host/test",
            "wost/test",
        ),
        # 3000 + 647 + 857 + 1811 + 645 + 288 + 9896 + 1572 + 2201 + 2416 + 2416
        note="25,749 words. DiG's printed average weighs each set by its size; it is met with the 857 "
        "of IC13 and not with the 1,015.",
        stand_in="rendered",
    ),
    "parseq": Suite(
        title="Nine sets of PARSeq",
        splits=(
            "iiit5k/test",
            "svt/test",
            "ic13_1015/test",
            "ic15_2077/test",
            "svtp/test",
            "cute80/test",
            "art/test",
            "cocotext_9825/test",
            "uber/test",
        ),
        # 3000 + 647 + 1015 + 2077 + 645 + 288 + 35149 + 9825 + 80551
        note="133,197 words: common-full, and three larger sets that are reported beside it.",
        stand_in="rendered",
    ),
    "detection": Suite(
        title="Text detection",
        splits=tuple(_DETECTION),
        # 233 + 500 + 1800 + 200 + 300 + 500
        note="3,533 photographs. MLT17 by its validation photographs: the test ground truth is not "
        "public.",
        stand_in="rendered-pages",
        task="detection",
        protocols=_DETECTION,
    ),
    "spotting": Suite(
        title="End-to-end spotting",
        splits=tuple(_SPOTTING),
        # 233 + 500 + 300
        note="1,033 photographs; no lexicon helps unless the title names one (--lexicon). "
        "Total-Text by the rule that papers on it call end to end.",
        stand_in="rendered-pages",
        task="detection",
        protocols=_SPOTTING,
    ),
    "textzoom": Suite(
        title="TextZoom, text super-resolution",
        splits=("textzoom/test_easy", "textzoom/test_medium", "textzoom/test_hard"),
        # 1619 + 1411 + 1343
        note="4,373 pairs of words; papers weigh the three sets by their sizes.",
        stand_in="rendered-pairs",
        task="super-resolution",
    ),
    "textseg": Suite(
        title="Text segmentation",
        splits=("textseg_v1/test", "ic13_fst/test"),
        note="TextSeg by version 1 of its masks, which the published figures need (version 2 is "
        "textseg/test), and the characters of ICDAR 2013.",
        stand_in="rendered-masks",
        task="segmentation",
    ),
    "textseg-words": Suite(
        title="Text segmentation, words cut out",
        splits=("textseg_words/test",),
        note="Words of TextSeg by version 2 of its masks, the task of DiG and CCD; their slices were cut "
        "otherwise.",
        stand_in="rendered-masks",
        task="segmentation",
        protocols={"textseg_words/test": "word-crops"},
    ),
    "rendered": Suite(
        title="Rendered text",
        splits=(
            "rendered_regular/test",
            "rendered_irregular/test",
            "rendered_occluded_weak/test",
            "rendered_occluded_heavy/test",
            "rendered_handwritten/test",
        ),
        note="Words drawn from fonts by strbench: a stand-in that needs no download.",
        rendered=True,
    ),
    "rendered-regular": Suite(
        title="Rendered regular text", splits=("rendered_regular/test",), rendered=True
    ),
    "rendered-irregular": Suite(
        title="Rendered irregular text", splits=("rendered_irregular/test",), rendered=True
    ),
    "rendered-occluded": Suite(
        title="Rendered occluded text",
        splits=("rendered_occluded_heavy/test", "rendered_occluded_weak/test"),
        rendered=True,
    ),
    "rendered-handwritten": Suite(
        title="Rendered handwriting", splits=("rendered_handwritten/test",), rendered=True
    ),
    "rendered-pages": Suite(
        title="Rendered pages",
        splits=("rendered_pages/test", "rendered_pages_curved/test"),
        note="Words drawn on textured grounds: a stand-in that needs no download.",
        rendered=True,
        task="detection",
        protocols={"rendered_pages/test": "ic15-iou", "rendered_pages_curved/test": "iou-0.5"},
    ),
    "rendered-pairs": Suite(
        title="Rendered pairs",
        splits=(
            "rendered_pairs_easy/test",
            "rendered_pairs_medium/test",
            "rendered_pairs_hard/test",
        ),
        note="Words drawn large, and made small by a stated degradation.",
        rendered=True,
        task="super-resolution",
    ),
    "rendered-masks": Suite(
        title="Rendered masks",
        splits=("rendered_masks/test",),
        note="Words drawn with their masks.",
        rendered=True,
        task="segmentation",
        protocols={"rendered_masks/test": "word-crops"},
    ),
    "rendered-demo": Suite(
        title="Rendered words, the demo's",
        splits=(
            "rendered_demo_regular/test",
            "rendered_demo_irregular/test",
            "rendered_demo_occluded_weak/test",
            "rendered_demo_occluded_heavy/test",
            "rendered_demo_handwritten/test",
        ),
        note="3 to 5 dark signs in two fonts. The demo trains on the regular kind alone; the other "
        "columns show what that does not teach.",
        rendered=True,
    ),
}
