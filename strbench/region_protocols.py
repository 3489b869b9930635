"""Protocols of detection and spotting by name: a rule with its settings, and the files that it reads.

A faithful form gives what the official script gives, defects included. Where a defect moves figures a
corrected form stands beside it under a name of its own, ``-corrected``, and says what differs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import numpy as np
from shapely.errors import GEOSException

from strbench.errors import DATA, StrbenchError, unknown_name
from strbench.metrics.detection import Outcome, Scene
from strbench.protocols import FINGERPRINT_DIGITS, SIGNATURE_VERSION
from strbench.region_protocol_table import ROWS

_METRICS = "strbench.metrics"


@dataclass(frozen=True, kw_only=True)
class RegionProtocol:
    """How found regions become figures, as one community does it."""

    name: str
    title: str
    function: str  # "module:class" below strbench.metrics
    settings: Mapping[str, Any] = field(default_factory=dict)
    files: str  # name in strbench.submission_formats.FORMATS: what the official script reads
    confidences: bool = False  # detections come with one, and average precision is taken
    whole: bool = (
        False  # the rule must see all images at once: it orders them, or picks a threshold
    )
    texts: bool = False  # detections come with what was read
    description: str
    differs: str  # from its faithful form, or from ic15-iou
    example: str = ""  # how much that moves on public results
    source: str

    def rule(self) -> Callable[[Scene], Outcome]:
        """The rule, ready to be asked.

        It raises a StrbenchError where polygons reach so far that GEOS cannot cut them, from 2^30 pixels
        or so, with the image.
        """
        module, _, name = self.function.partition(":")
        made: Callable[[Scene], Outcome] = getattr(import_module(f"{_METRICS}.{module}"), name)(
            **self.settings
        )

        def outcome(scene: Scene) -> Outcome:
            try:
                return made(scene)
            except GEOSException as error:
                raise _too_far(scene, error) from error

        return outcome

    def explain(self) -> str:
        """Plain text for ``strbench show protocol NAME``."""
        settings = ", ".join(f"{name}={value!r}" for name, value in self.settings.items())
        colon = "" if self.differs.startswith("from ") else ":"
        return "\n".join(
            [
                f"{self.name}: {self.title}",
                "",
                self.description,
                *([f"Settings: {settings}."] if settings else []),
                f"Files: {self.files}{', with confidences' if self.confidences else ''}"
                f"{', with transcriptions' if self.texts else ''}.",
                f"Differs{colon} {self.differs}.",
                *([f"For example {self.example}."] if self.example else []),
                f"Source: {self.source}",
            ]
        )


def _too_far(scene: Scene, error: GEOSException) -> StrbenchError:
    """An error about the polygons that cannot be cut; names the vertex that is farthest off."""
    sides = {"A true region": scene.truth, "A detection": scene.found}
    side = max(sides, key=lambda name: np.abs(sides[name].points).max(initial=0))
    points = np.abs(sides[side].points).max(axis=1)
    at = int(points.argmax())
    owner = int(np.searchsorted(sides[side].offsets, at, side="right")) - 1
    return StrbenchError(
        f"{side} of image {scene.images[sides[side].image[owner]]!r} reaches {points[at]:.0f} pixels far, "
        f"where overlaps cannot be computed ({str(error)[:60]}).",
        hint="Mend or drop what has such coordinates; no photograph is that large.",
        exit_code=DATA,
    )


REGION_PROTOCOLS = {row["name"]: RegionProtocol(**row) for row in ROWS}


def region_protocol(name: str) -> RegionProtocol:
    """The protocol of that name.

    Raises:
        StrbenchError: none has it; near names are listed.
    """
    if name not in REGION_PROTOCOLS:
        raise unknown_name(
            "detection protocol", name, REGION_PROTOCOLS, hint="See: strbench list protocols"
        )
    return REGION_PROTOCOLS[name]


def signature(
    protocol: RegionProtocol,
    split: str,
    images: int,
    fingerprint: str,
    labels: str,
    *,
    lexicon: str = "",
) -> str:
    """The line that says all that moves a figure; ``lexicon`` is the tag of the one in use, if any.

    >>> signature(region_protocol("ic15-iou"), "ic15_det/test", 500, "3f9a1c2b77", "standard")
    'prf|ic15-iou|labels:standard|images:500|ic15_det/test@3f9a1c2b|v0.1'
    """
    clean = re.sub(r"[^A-Za-z0-9_.-]+", "-", labels) or "unknown"
    return "|".join(
        (
            "prf",
            protocol.name,
            f"labels:{clean}",
            *([f"lexicon:{lexicon}"] if lexicon else []),
            f"images:{images}",
            f"{split}@{fingerprint[:FINGERPRINT_DIGITS]}",
            SIGNATURE_VERSION,
        )
    )
