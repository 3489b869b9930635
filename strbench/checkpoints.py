"""What a training run must remember between two steps, its checkpoint, and its log."""

from __future__ import annotations

import contextlib
import csv
import io
import pickle
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, distributed, nn

from strbench.errors import DATA, StrbenchError
from strbench.files import atomic_path, write_atomically

TENSORBOARD = "tensorboard"


class Average:
    """A moving average of every floating tensor of a module; others are copied."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.tensors = {k: v.detach().clone() for k, v in module.state_dict().items()}

    @torch.no_grad()
    def update(self, module: nn.Module, step: int) -> None:
        # The ramp keeps the average from remembering the random start (TensorFlow's formula).
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, value in module.state_dict().items():
            if value.dtype.is_floating_point:
                self.tensors[name].lerp_(value, 1 - decay)
            else:
                self.tensors[name].copy_(value)


@dataclass
class TrainingState:
    """All that a run must remember between two steps, and its file."""

    path: Path
    key: str
    module: nn.Module
    optimiser: torch.optim.Optimizer
    average: Average | None
    step: int = 0  # optimiser steps done
    seconds: float = 0.0  # of training, over all processes that worked on the run
    sums: dict[str, Tensor] = field(default_factory=dict)  # logged terms since the last log line
    summed: int = 0  # steps in ``sums``

    def add(self, terms: dict[str, Tensor]) -> None:
        """Take in what one step logs, without waiting for the device."""
        for name, value in terms.items():
            self.sums[name] = self.sums[name] + value if name in self.sums else value
        self.summed += 1

    def update(self) -> None:
        """One optimiser step."""
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        if self.average is not None:
            self.average.update(self.module, self.step)
        self.step += 1

    def means(self, world: int) -> dict[str, float]:
        """Means of the logged terms over the steps since the last call, and over ``world`` ranks."""
        values = torch.stack([value.float() for value in self.sums.values()]) / self.summed
        if world > 1:
            distributed.all_reduce(values)
            values /= world
        means = dict(zip(self.sums, values.tolist(), strict=True))
        self.sums, self.summed = {}, 0
        return means

    def save(self) -> None:
        """Write the checkpoint; the old one stays until the new one is whole."""
        with atomic_path(self.path) as temporary:
            torch.save(
                {
                    "key": self.key,
                    "step": self.step,
                    "seconds": self.seconds,
                    "module": self.module.state_dict(),
                    "optimiser": self.optimiser.state_dict(),
                    "average": self.average.tensors if self.average is not None else None,
                    "sums": self.sums,
                    "summed": self.summed,
                },
                temporary,
            )

    def load(self) -> None:
        """Go on from the checkpoint, if there is one.

        Raises:
            StrbenchError: it cannot be read, or is that of another run.
        """
        if not self.path.is_file():
            return
        try:
            state = torch.load(self.path, map_location="cpu", weights_only=True)
            if state["key"] != self.key:
                raise StrbenchError(
                    f"{self.path.parent} holds a run with another configuration, data or seed.",
                    hint="Give this run a --name of its own, or --replace to discard that one.",
                    exit_code=DATA,
                )
            self.module.load_state_dict(state["module"])
            self.optimiser.load_state_dict(state["optimiser"])
            if self.average is not None:
                for name, value in state["average"].items():
                    self.average.tensors[name].copy_(value)
            device = next(self.module.parameters()).device
            self.sums = {name: value.to(device) for name, value in state["sums"].items()}
            self.step, self.summed = int(state["step"]), int(state["summed"])
            self.seconds = float(state["seconds"])
        except (
            RuntimeError,
            EOFError,
            OSError,
            ValueError,
            KeyError,
            TypeError,
            AttributeError,
            pickle.UnpicklingError,
        ) as error:
            reason = str(error).partition("\n")[0]
            raise StrbenchError(
                f"{self.path} is not a readable checkpoint ({type(error).__name__}: {reason}).",
                hint="Start this run anew with --replace.",
                exit_code=DATA,
            ) from error


class Log:
    """The CSV log, always; TensorBoard beside it where it is installed.

    Rows are kept up to the step a resumed run starts from, so the file reads like one run.
    """

    def __init__(self, path: Path, *, keep: int) -> None:
        self.path = path
        self.rows: list[dict[str, Any]] = []
        if keep and path.is_file():
            with path.open(newline="") as file:
                self.rows = [row for row in csv.DictReader(file) if int(row["step"]) <= keep]
        self.writer: Any = None
        with contextlib.suppress(ImportError):
            from torch.utils.tensorboard import SummaryWriter

            self.writer = SummaryWriter(  # type: ignore[no-untyped-call]
                str(path.parent / TENSORBOARD), purge_step=keep + 1
            )

    def add(self, row: dict[str, Any]) -> None:
        self.rows.append(row)
        if self.writer is not None:
            for name, value in row.items():
                if name != "step":
                    self.writer.add_scalar(name, value, row["step"])

    def last(self) -> dict[str, float]:
        """The means in the last row; nothing in an empty log."""
        row = self.rows[-1] if self.rows else {}
        own = ("step", "lr", "images_per_second")
        return {name: float(value) for name, value in row.items() if name not in own}

    def close(self) -> None:
        if self.writer is not None:
            self.writer.close()

    def write(self) -> None:
        text = io.StringIO()
        names = dict.fromkeys(name for row in self.rows for name in row)
        writer = csv.DictWriter(text, list(names), lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        write_atomically(self.path, text.getvalue())
        if self.writer is not None:
            self.writer.flush()
