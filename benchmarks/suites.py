"""Suites: which splits stand side by side in a table, in which order.

A suite is data. A rendered suite holds splits that strbench draws itself and never shares a table
with real sets; each real suite names the rendered one that stands in for it where no data is.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Suite:
    """An ordered set of splits that are reported together."""

    title: str
    splits: tuple[str, ...]
    note: str = ""
    rendered: bool = False  # drawn from fonts, not photographed
    stand_in: str = ""  # the rendered suite to use where the real sets are not at hand


_REGULAR = ("iiit5k/test", "svt/test", "ic13_857/test")
_IRREGULAR = ("ic15_1811/test", "svtp/test", "cute80/test")

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
