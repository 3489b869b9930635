"""What is trained on where a command names no data: splits that are drawn here."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Literal

from strbench.datasets import obtain
from strbench.devices import pick_device
from strbench.errors import StrbenchError
from strbench.store import prepared_splits
from strbench.types import Task

_OURS = ("smoke", "cpu-hour", "small", "full")  # recipes of strbench's own
_EXAMPLES: dict[Task, str] = {
    "recognition": "--data iiit5k/train --data svt/train",
    "detection": "--data ic15_det/train",
    "super-resolution": "--data textzoom/train",
    "segmentation": "--data textseg/train",
}
_RENDERED: dict[Task, str] = {
    "detection": "rendered_pages/train",
    "super-resolution": "rendered_pairs/train",
    "segmentation": "rendered_masks/train",
}


def default_data(
    option: Literal["--data", "--unlabelled"],
    *,
    recipe: str | None,
    labelled: bool,
    device: str,
    say: Callable[[str], None],
    task: Task = "recognition",
) -> list[str]:
    """The rendered split that a recipe trains on where ``option`` named none, drawn if need be.

    Raises:
        StrbenchError: a recipe of a paper or a repository, whose data no stand-in can replace.
    """
    name = recipe or ("smoke" if pick_device(device).type == "cpu" else "small")
    if name not in _OURS:
        raise StrbenchError(
            f"The recipe {name} needs the paper's kind of data, and not all of it was given.",
            hint=f"For example: {_EXAMPLES[task]}   (see: strbench list datasets)",
        )
    if task in _RENDERED:
        split = _RENDERED[task]
    elif name == "smoke":
        split = "rendered_demo/train"
    else:
        split = "rendered/train" if labelled else "rendered/unlabelled"
    say(f"no {option}: drawn here, {split}")
    if split not in prepared_splits():
        if "RANK" in os.environ:
            raise StrbenchError(
                f"{split} is not prepared, and the ranks of torchrun must find it ready.",
                hint=f"First, without torchrun: strbench data fetch {split}",
            )
        obtain(split, say=say)
    return [split]
