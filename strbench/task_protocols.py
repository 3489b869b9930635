"""Which protocols a task has, and which one a split is scored under where none is named."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from strbench import registry
from strbench.errors import StrbenchError
from strbench.image_protocols import image_protocol, of_task
from strbench.protocols import DEFAULT_PROTOCOL, PROTOCOLS, protocol
from strbench.region_protocols import REGION_PROTOCOLS, region_protocol
from strbench.types import Task

_DEFAULTS: dict[Task, str] = {
    "recognition": DEFAULT_PROTOCOL,
    "super-resolution": "textzoom",
    "segmentation": "textseg",
}


def default_protocol(split: str, task: Task) -> str:
    """The protocol under which the split of that name is scored where none is named.

    The one that a suite has for it: every detection competition has a rule of its own. Else of words
    ``strbench-36``, of pairs ``textzoom``, of masks ``textseg``.

    Raises:
        StrbenchError: photographs that stand in no suite.
    """
    for suite in registry.table("suites").values():
        if split in suite.protocols:
            return str(suite.protocols[split])
    if task in _DEFAULTS:
        return _DEFAULTS[task]
    raise StrbenchError(
        f"{split} has no protocol of its own.",
        hint="Name one: --protocol iou-0.5   (see: strbench list protocols)",
    )


# Task -> protocols by name, and the function that finds one or names near ones.
_PROTOCOLS: dict[Task, tuple[Mapping[str, Any], Callable[[str], Any]]] = {
    "recognition": (PROTOCOLS, protocol),
    "detection": (REGION_PROTOCOLS, region_protocol),
    "super-resolution": (of_task("super-resolution"), image_protocol),
    "segmentation": (of_task("segmentation"), image_protocol),
}


def check_protocol(name: str, task: Task) -> None:
    """Raises a StrbenchError where a protocol is unknown, or of another task."""
    known, find = _PROTOCOLS[task]
    if name in known:
        return
    for other, (protocols, _) in _PROTOCOLS.items():
        if name in protocols:
            raise StrbenchError(
                f"{name} is a protocol of {other}, and {task} is asked for.",
                hint="See: strbench list protocols",
            )
    find(name)
