"""Recipes and entry that the recognizers over ``fourstage.Encoder`` share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from strbench.methods import Method
from strbench.types import Card

from . import trba_recognizer

# Values of STR-Fewer-Labels' train.py, for its "Baseline-real".
REAL_DATA: Mapping[str, Any] = {
    "charset": "94",
    "tokens": "str-fewer-labels",
    "channels": 3,
    "batch_size": 128,
    "steps": 200_000,
    "optimiser": "adam",
    "lr": 5e-4,
    "schedule": "onecycle",
}
# Ours: one GPU and less than an hour.
SMALL: Mapping[str, Any] = {
    "batch_size": 256,
    "steps": 12_000,  # 3.1 million images
    "optimiser": "adamw",
    "lr": 1e-3,
    "schedule": "onecycle",
    "augmentation": "mild",
}
# Ours: one core of a CPU and a minute or two.
SMOKE: Mapping[str, Any] = {
    "size": "micro",
    "batch_size": 32,
    "optimiser": "adamw",
    "lr": 6e-3,
    "schedule": "onecycle",
}


def recognizer(
    name: str,
    title: str,
    *,
    paper: str,
    parameters: int,
    recipes: Mapping[str, trba_recognizer.Config],
    notes: str,
) -> Method:
    """The registry entry of one combination of stages; ``parameters`` are those of recipe "paper"."""
    return Method(
        card=Card(
            name=name,
            kind="recognizer",
            title=title,
            paper=paper,
            code=(
                "github.com/clovaai/deep-text-recognition-benchmark (Apache-2.0), "
                "github.com/ku21fan/STR-Fewer-Labels (MIT); compared with, not used"
            ),
            licence="Apache-2.0",
            status="parity-checked",
            parameters={"full": parameters},
            charset="36",
            resize="stretch-bicubic",
            height=32,
            width=100,
            recipes=tuple(recipes),
            notes=(
                f"{notes} Gray input, RGB in recipe str-fewer-labels and where the parent run has "
                "it. Sizes mini and micro are strbench's own. Inputs are (x - 0.5) / 0.5."
            ),
        ),
        recipes=recipes,
        build=trba_recognizer.build,
        views=trba_recognizer.views,
        export=trba_recognizer.export,
        needs_labels=True,
        reader=trba_recognizer.reader,
        # RotNet and MoCo bring convolutions alone, SeqCLR all but the decoder.
        fresh=("encoder.transform.", "encoder.sequence.", "decoder."),
        shape=(
            *("size", "charset", "tokens", "channels", "height", "width"),
            *("transform", "sequence"),
        ),
    )
