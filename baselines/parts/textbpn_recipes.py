"""The settings of TextBPN and TextBPN++, and their named recipes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

from strbench.errors import StrbenchError
from strbench.methods import Optimiser, Schedule

from .boundary_networks import Attends
from .detecting import DetectorTraining


@dataclass(frozen=True, kw_only=True)
class Config(DetectorTraining):
    """``DetectorTraining`` with TextBPN's settings; GXYM/TextBPN, scripts/*.sh and train_textBPN.py."""

    test: str = "totaltext"
    batch_size: int = 12
    epochs: float = 660.0
    optimiser: Optimiser = "adam"
    lr: float = 1e-3
    weight_decay: float = 0.0
    schedule: Schedule = "steps"
    milestones: tuple[float, ...] = tuple(100 * k / 660 for k in range(1, 7))
    decay: float = 0.9
    dropout: float = 0.1
    neck: int = 256  # channels of the decoder's first maps; its last have an eighth
    stride: int = 1  # pixels of the window that a pixel of the maps stands for: 1, 2 or 4
    state: int = 128  # width of the networks that move points
    proposals: int = 64  # boundaries of a window that are learned from
    direction_weight: float = 0.0
    deformable: bool = False  # stages C3 to C5

    def __post_init__(self) -> None:
        super().__post_init__()
        checks = {
            "stride": (self.stride in (1, 2, 4), "1, 2 or 4"),
            "neck": (self.neck >= 16 and self.neck % 16 == 0, "a multiple of 16"),
            "state": (self.state >= 8 and self.state % 8 == 0, "a multiple of 8"),
            "proposals": (self.proposals >= 1, "1 or more"),
            "dropout": (0 <= self.dropout < 1, "0 or more and less than 1"),
            "direction_weight": (self.direction_weight >= 0, "0 or more"),
            "height": (self.height % 32 == 0, "a multiple of 32"),
            "width": (self.width % 32 == 0, "a multiple of 32"),
        }
        for name, (is_right, wanted) in checks.items():
            if not is_right:
                raise StrbenchError(
                    f"{name}={getattr(self, name)!r}: expected {wanted}.", hint=f"--set {name}=..."
                )


@dataclass(frozen=True, kw_only=True)
class PlusConfig(Config):
    """TextBPN++'s; GXYM/TextBPN-Plus-Plus, scripts-train/*.sh, train_textBPN.py, util/augmentation.py."""

    milestones: tuple[float, ...] = tuple(50 * k / 660 for k in range(1, 14))
    clip_norm: float = 25.0
    brightness: float = 0.5
    contrast: float = 0.5
    saturation: float = 0.5
    direction_weight: float = 0.5
    attends: Attends = "points"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.attends not in get_args(Attends):
            raise StrbenchError(
                f"attends={self.attends!r}: expected points or proposals.", hint="--set attends=..."
            )


def _recipes(kind: type[Config], **more: Any) -> dict[str, Any]:
    """The recipes that both have."""
    return {
        "paper": kind(),
        # Behind SynthText or ICDAR 2017 MLT, with --from: the published figures of most data sets.
        "finetune": kind(lr=1e-4),
        **more,
        # Ours, for less than an hour on one GPU.
        "small": kind(size="r18", stride=4, batch_size=16, epochs=0, steps=4_000, warmup_steps=200),
        # Ours, for a CPU.
        "cpu-hour": kind(
            size="micro", neck=64, stride=2, state=32, proposals=32, height=320, width=320,
            test="pages", batch_size=8, epochs=0, steps=2_000, optimiser="adamw", lr=2e-3,
            schedule="poly", warmup_steps=100,
        ),
        "smoke": kind(
            size="micro", neck=64, stride=4, state=32, proposals=16, height=160, width=160,
            test="pages", batch_size=4, epochs=0, steps=60, optimiser="adamw", lr=3e-3,
            schedule="poly", warmup_steps=5,
        ),
    }  # fmt: skip


RECIPES: Mapping[str, Config] = _recipes(
    Config,
    synthtext=Config(height=512, width=512, batch_size=16, epochs=3, schedule="constant"),
)
PLUS_RECIPES: Mapping[str, PlusConfig] = _recipes(
    PlusConfig,
    synthtext=PlusConfig(epochs=1, schedule="constant"),
    r18=PlusConfig(size="r18", stride=4, batch_size=48, test="totaltext-r18"),
    dcn=PlusConfig(deformable=True, lr=1e-4, test="totaltext-dcn"),
)
