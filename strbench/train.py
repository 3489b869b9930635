"""The one training loop, for pretraining and fine-tuning, on one process or under torchrun.

Everything random is a function of (seed, step, rank): the order of the samples, their augmentation,
dropout. A checkpoint therefore needs weights, optimiser and step alone, and a run that was killed and
resumed ends with the weights of an uninterrupted one, bit for bit on the same machine.
"""

from __future__ import annotations

import contextlib
import csv
import io
import math
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from strbench.devices import autocast_type, is_out_of_memory, peak_memory, training_memory_error
from strbench.errors import DATA, PARTIAL, StrbenchError
from strbench.files import atomic_path, write_atomically
from strbench.methods import LoopConfig, Method, View, WordBatch
from strbench.optim import learning_rate, parameter_groups
from strbench.streams import WordStream

__all__ = [
    "LoopConfig",
    "Method",
    "Ranks",
    "TrainResult",
    "View",
    "WordBatch",
    "fit",
    "total_steps",
]

CHECKPOINT = "checkpoint.pt"
LOG = "log.csv"


@dataclass(frozen=True)
class Ranks:
    """This process among those that torchrun started; one alone without it."""

    rank: int = 0
    world: int = 1

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    def wait(self) -> None:
        """Return when every rank has come here."""
        if self.world > 1:
            distributed.barrier()


@contextlib.contextmanager
def ranks(device: torch.device) -> Iterator[Ranks]:
    """Join the process group that torchrun describes in the environment, and leave it at the end."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield Ranks()
        return
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Ranks(distributed.get_rank(), world)
    finally:
        distributed.destroy_process_group()


@dataclass(frozen=True)
class TrainResult:
    """What a finished run has to say for its record."""

    steps: int
    images: int  # images drawn over all ranks
    seconds: float  # of training, earlier parts of a resumed run included
    resumed_at: int  # the step this process started from
    last: dict[str, float]  # the last logged means
    peak_memory_bytes: int


def total_steps(config: LoopConfig, n: int) -> int:
    """Optimiser steps of a run over n samples."""
    if config.steps:
        return config.steps
    steps = round(config.epochs * n / config.batch_size)
    if steps < 1:
        raise StrbenchError(
            f"{config.epochs:g} epochs of {n} samples in batches of {config.batch_size} are no step.",
            hint="Give --set steps=N, or more data.",
        )
    return steps


class _Loss(nn.Module):
    """``loss`` as ``forward``, which is what DistributedDataParallel hooks into."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        result: dict[str, Tensor] = self.module.loss(batch)  # type: ignore[operator]
        return result


class _Average:
    """A moving average of the trainable weights (and a copy of the buffers) in float32."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.state = {k: v.detach().clone() for k, v in module.state_dict().items()}

    @torch.no_grad()
    def update(self, module: nn.Module, step: int) -> None:
        # The ramp keeps the average from remembering the random start (TensorFlow's formula).
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, value in module.state_dict().items():
            if value.dtype.is_floating_point:
                self.state[name].lerp_(value, 1 - decay)
            else:
                self.state[name].copy_(value)


def fit(
    method: Method,
    module: nn.Module,
    config: Any,
    stream: WordStream,
    directory: Path,
    *,
    device: torch.device,
    place: Ranks | None = None,
    key: str = "",
    checkpoint_seconds: float = 60.0,
    log_every: int = 10,
    threads: int = 0,
    on_log: Callable[[int, int, dict[str, float]], None] | None = None,
) -> TrainResult:
    """Train ``module`` in place to its last step, resuming from ``directory`` if it was cut short.

    Args:
        key: hash of everything that shapes the run; a checkpoint with another key is refused.
        on_log: called on the first rank with (step, total, means since the last call).

    Raises:
        StrbenchError: the loss is not finite (exit DATA), the device is out of memory (exit DEVICE),
            the checkpoint belongs to another run (exit DATA), or the run was interrupted (exit
            PARTIAL; the checkpoint is written and the same command goes on).
    """
    place = place or Ranks()
    total = total_steps(config, stream.n)
    warmup = config.warmup_steps or round(config.warmup_epochs * stream.n / config.batch_size)
    peak = config.lr * (config.batch_size / config.lr_batch if config.lr_batch else 1.0)
    module.to(device).train()
    view = method.views(config)
    groups = parameter_groups(
        module, weight_decay=config.weight_decay, layer_decay=config.layer_decay
    )
    optimiser = torch.optim.AdamW(groups, lr=peak, betas=tuple(config.betas), eps=config.eps)
    average = _Average(module, config.ema) if config.ema else None
    start, earlier = _load_checkpoint(directory / CHECKPOINT, module, optimiser, average, key)
    loss_of: nn.Module = _Loss(module)
    if place.world > 1:
        loss_of = DistributedDataParallel(
            loss_of, device_ids=[device.index] if device.type == "cuda" else None
        )
    local = config.batch_size // place.world
    if local % config.accumulate:
        raise StrbenchError(
            f"A batch of {local} images a rank cannot be split in {config.accumulate} equal parts.",
            hint="Choose accumulate so that it divides batch_size / ranks.",
        )
    dtype = autocast_type(config.precision, device)
    log = _Log(directory / LOG, keep=start) if place.is_first else None
    before_step = getattr(module, "before_step", None)
    begun = saved = time.monotonic()
    sums: dict[str, Tensor] = {}
    last: dict[str, float] = {}
    step = start
    with (
        _interruptible() as interrupted,
        contextlib.closing(stream.iterate(start, total, threads=threads)) as batches,
    ):
        for step, words in enumerate(batches, start=start):
            rate = learning_rate(step, total, peak=peak, floor=config.min_lr, warmup=warmup)
            for group in optimiser.param_groups:
                group["lr"] = rate * group["lr_scale"]
            torch.manual_seed((stream.seed * 1_000_003 + step) * 4099 + place.rank)
            if before_step is not None:
                before_step(step / total)
            try:
                terms = _step(loss_of, view, words, config, device, dtype)
            except RuntimeError as error:
                if is_out_of_memory(error):
                    raise training_memory_error(config) from error
                raise
            if config.clip_norm:
                nn.utils.clip_grad_norm_(module.parameters(), config.clip_norm)
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
            if average is not None:
                average.update(module, step)
            for name, value in terms.items():
                sums[name] = sums[name] + value if name in sums else value
            done = step + 1
            if done % log_every == 0 or done == total:
                count = log_every if done % log_every == 0 else done % log_every
                count = min(count, done - start)
                last = {name: float(value) / count for name, value in sums.items()}
                sums.clear()
                _refuse_non_finite(last, done)
                speed = (done - start) * config.batch_size / (time.monotonic() - begun)
                if log is not None:
                    log.add(
                        {"step": done, "lr": rate, "images_per_second": round(speed, 1), **last}
                    )
                if on_log is not None and place.is_first:
                    on_log(done, total, {**last, "images_per_second": speed})
            stop = interrupted() and done < total
            if place.world > 1:  # asked of all ranks seldom, because asking waits for the device
                stop = done % log_every == 0 and _agree(stop, device)
            if done == total or stop or time.monotonic() - saved > checkpoint_seconds:
                if place.is_first:
                    spent = earlier + time.monotonic() - begun
                    _save_checkpoint(
                        directory / CHECKPOINT, module, optimiser, average, key, done, spent
                    )
                    if log is not None:
                        log.write()
                saved = time.monotonic()
            if stop:
                raise StrbenchError(
                    f"Interrupted after step {done} of {total}; a checkpoint was written.",
                    hint="Run the same command again to go on from there.",
                    exit_code=PARTIAL,
                )
    if average is not None:
        module.load_state_dict(average.state)
    return TrainResult(
        steps=total,
        images=total * config.batch_size,
        seconds=earlier + time.monotonic() - begun,
        resumed_at=start,
        last=last,
        peak_memory_bytes=peak_memory(device),
    )


def _step(
    loss_of: nn.Module,
    view: View,
    words: WordBatch,
    config: LoopConfig,
    device: torch.device,
    dtype: torch.dtype | None,
) -> dict[str, Tensor]:
    """Forward and backward over one batch; the mean of each logged term, left on the device."""
    parts = config.accumulate
    size = len(words.labels) // parts
    terms: dict[str, Tensor] = {}
    for part in range(parts):
        rows = slice(part * size, (part + 1) * size)
        batch = view(
            WordBatch(
                words.images[rows].to(device, non_blocking=True),
                words.aspect[rows].to(device, non_blocking=True),
                words.labels[rows],
                words.seeds[rows].to(device, non_blocking=True),
            )
        )
        waits = part + 1 < parts and isinstance(loss_of, DistributedDataParallel)
        with loss_of.no_sync() if waits else contextlib.nullcontext():  # type: ignore[operator]
            with torch.autocast(device.type, dtype=dtype, enabled=dtype is not None):
                losses = loss_of(batch)
            (losses["loss"] / parts).backward()
        for name, value in losses.items():
            share = value.detach() / parts
            terms[name] = terms[name] + share if name in terms else share
    return terms


def _agree(stop: bool, device: torch.device) -> bool:
    """True on every rank if one rank was told to stop."""
    flag = torch.tensor(float(stop), device=device)
    distributed.all_reduce(flag)
    return bool(flag > 0)


def _refuse_non_finite(terms: dict[str, float], step: int) -> None:
    bad = [name for name, value in terms.items() if not math.isfinite(value)]
    if bad:
        raise StrbenchError(
            f"{', '.join(bad)} is not finite at step {step}.",
            hint="Lower the rate (--set lr=...) or clip (--set clip_norm=1), with a new --name.",
            exit_code=DATA,
        )


@contextlib.contextmanager
def _interruptible() -> Iterator[Callable[[], bool]]:
    """A function that tells whether Ctrl-C or SIGTERM came; the second Ctrl-C acts at once."""
    told: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        if told:
            raise KeyboardInterrupt
        told.append(number)

    try:
        old = {s: signal.signal(s, note) for s in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not the main thread: a notebook's server, for example
        yield lambda: False
        return
    try:
        yield lambda: bool(told)
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


def _save_checkpoint(
    path: Path,
    module: nn.Module,
    optimiser: torch.optim.Optimizer,
    average: _Average | None,
    key: str,
    step: int,
    seconds: float,
) -> None:
    state = {
        "key": key,
        "step": step,
        "seconds": seconds,
        "module": module.state_dict(),
        "optimiser": optimiser.state_dict(),
        "average": average.state if average is not None else None,
    }
    with atomic_path(path) as temporary:
        torch.save(state, temporary)


def _load_checkpoint(
    path: Path,
    module: nn.Module,
    optimiser: torch.optim.Optimizer,
    average: _Average | None,
    key: str,
) -> tuple[int, float]:
    """The step to go on from and the seconds spent so far; zeros where there is no checkpoint."""
    if not path.is_file():
        return 0, 0.0
    device = next(module.parameters()).device
    try:
        state = torch.load(path, map_location=device, weights_only=True)
    except (RuntimeError, EOFError, OSError) as error:
        raise StrbenchError(
            f"{path} is not a readable checkpoint ({error}).",
            hint=f"Delete {path.parent} to start this run anew.",
            exit_code=DATA,
        ) from error
    if state["key"] != key:
        raise StrbenchError(
            f"{path.parent} holds a run with another configuration, data or seed.",
            hint="Give this run a --name of its own, or --replace to discard that one.",
            exit_code=DATA,
        )
    module.load_state_dict(state["module"])
    optimiser.load_state_dict(state["optimiser"])
    if average is not None:
        average.state = state["average"]
    return int(state["step"]), float(state["seconds"])


class _Log:
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
                str(path.parent / "tensorboard"), purge_step=keep + 1
            )

    def add(self, row: dict[str, Any]) -> None:
        self.rows.append(row)
        if self.writer is not None:
            for name, value in row.items():
                if name != "step":
                    self.writer.add_scalar(name, value, row["step"])

    def write(self) -> None:
        text = io.StringIO()
        names = dict.fromkeys(name for row in self.rows for name in row)
        writer = csv.DictWriter(text, list(names), lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        write_atomically(self.path, text.getvalue())
        if self.writer is not None:
            self.writer.flush()
