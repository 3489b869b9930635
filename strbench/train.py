"""The one training loop, for pretraining and fine-tuning, on one process or under torchrun.

Everything random is a function of (seed, step, rank): the order of the samples, their augmentation,
dropout. A checkpoint therefore needs weights, optimiser and step alone, and a run that was killed and
resumed ends with the weights of an uninterrupted one, bit for bit on the same machine.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from strbench.checkpoints import Average, Log, TrainingState
from strbench.devices import autocast_type, is_out_of_memory, peak_memory, training_memory_error
from strbench.errors import DATA, PARTIAL, StrbenchError
from strbench.methods import Batch, LoopConfig, Method, View, WordBatch
from strbench.optim import learning_rate, optimiser
from strbench.streams import Stream
from strbench.unfinished import CHECKPOINT, LOG

__all__ = [
    "LoopConfig",
    "Method",
    "Objective",
    "Ranks",
    "TrainResult",
    "View",
    "WordBatch",
    "fit",
    "total_steps",
]


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


class Objective(nn.Module):
    """``loss`` as ``forward``, which is what DistributedDataParallel hooks into."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        result: dict[str, Tensor] = self.module.loss(batch)  # type: ignore[operator]
        return result


def fit(
    method: Method,
    module: nn.Module,
    config: Any,
    stream: Stream,
    directory: Path,
    *,
    device: torch.device,
    place: Ranks | None = None,
    key: str = "",
    checkpoint_seconds: float = 60.0,
    log_every: int = 10,
    threads: int = 0,
    on_log: Callable[[int, int, dict[str, float]], None] | None = None,
    on_resume: Callable[[int, int], None] | None = None,
) -> TrainResult:
    """Train ``module`` in place to its last step, resuming from ``directory`` if it was cut short.

    Args:
        key: hash of everything that shapes the run; a checkpoint with another key is refused.
        on_log: called on the first rank with (step, total, means since the last call).
        on_resume: called before the first step with (step, total) where a checkpoint is gone on from.

    Raises:
        StrbenchError: the loss is not finite (exit DATA), the device is out of memory (exit DEVICE),
            the checkpoint belongs to another run (exit DATA), or the run was interrupted (exit
            PARTIAL; the checkpoint is written and the same command goes on).
    """
    place = place or Ranks()
    total = total_steps(config, stream.n)
    local = config.images_a_step // place.world
    if local % config.accumulate:
        raise StrbenchError(
            f"A batch of {local} images a rank cannot be split in {config.accumulate} equal parts.",
            hint="Choose accumulate so that it divides the images a step / ranks.",
        )
    warmup = config.warmup_steps or round(config.warmup_epochs * stream.n / config.batch_size)
    peak = config.lr * (config.batch_size / config.lr_batch if config.lr_batch else 1.0)
    module.to(device).train()
    view = method.views(config)
    state = TrainingState(
        directory / CHECKPOINT,
        key,
        module,
        optimiser(config, module, peak=peak),
        Average(module, config.ema) if config.ema else None,
    )
    state.load()
    start, earlier = state.step, state.seconds
    if start and on_resume is not None:
        on_resume(start, total)
    loss_of: nn.Module = Objective(module)
    if place.world > 1:
        loss_of = DistributedDataParallel(
            loss_of, device_ids=[device.index] if device.type == "cuda" else None
        )
    dtype = autocast_type(config.precision, device)
    log = Log(directory / LOG, keep=start) if place.is_first else None
    before_step = getattr(module, "before_step", None)
    begun = saved = time.monotonic()
    last = log.last() if log is not None else {}
    with (
        _interruptible() as interrupted,
        contextlib.closing(log) if log is not None else contextlib.nullcontext(),
        contextlib.closing(
            stream.iterate(start, total, threads=threads, pin=device.type == "cuda")
        ) as batches,
    ):
        for step, drawn in enumerate(batches, start=start):
            rate = learning_rate(config, step, total, peak=peak, warmup=warmup)
            for group in state.optimiser.param_groups:
                group["lr"] = rate * group["lr_scale"]
            torch.manual_seed(((stream.seed * 1_000_003 + step) * 4099 + place.rank) % 2**63)
            if before_step is not None:
                before_step(step / total)
            try:
                state.add(_step(loss_of, view, drawn, config, device, dtype))
                if config.clip_norm:
                    nn.utils.clip_grad_norm_(module.parameters(), config.clip_norm)
                state.update()
            except RuntimeError as error:
                if is_out_of_memory(error):
                    raise training_memory_error(config) from error
                raise
            done = state.step
            state.seconds = earlier + time.monotonic() - begun
            ends = done == total
            logs = ends or done % log_every == 0
            if logs:
                last = state.means(place.world)
                _refuse_non_finite(last, done)
                speed = (done - start) * config.images_a_step / (time.monotonic() - begun)
                if log is not None:
                    log.add(
                        {"step": done, "lr": rate, "images_per_second": round(speed, 1), **last}
                    )
                    if on_log is not None:
                        on_log(done, total, {**last, "images_per_second": speed})
            # Several ranks are asked at log steps only, because asking waits for the device.
            asks = place.world == 1 or logs
            stop = asks and not ends and _any_rank(interrupted(), place, device)
            if ends or stop or (asks and time.monotonic() - saved > checkpoint_seconds):
                if log is not None:
                    _refuse_non_finite(state.sums, done)
                    state.save()
                    log.write()
                saved = time.monotonic()
            if stop:
                raise StrbenchError(
                    f"Interrupted after step {done} of {total}; a checkpoint was written.",
                    hint="Run the same command again to go on from there.",
                    exit_code=PARTIAL,
                )
    if state.average is not None:
        module.load_state_dict(state.average.tensors)
    return TrainResult(
        steps=total,
        images=total * config.images_a_step,
        seconds=state.seconds,
        resumed_at=start,
        last=last,
        peak_memory_bytes=peak_memory(device),
    )


def _step(
    loss_of: nn.Module,
    view: View,
    drawn: Batch,
    config: LoopConfig,
    device: torch.device,
    dtype: torch.dtype | None,
) -> dict[str, Tensor]:
    """Forward and backward over one batch; the mean of each logged term, left on the device."""
    parts = config.accumulate
    terms: dict[str, Tensor] = {}
    for part in range(parts):
        rows = slice(
            part, None, parts
        )  # labelled rows come first: every part gets its share of both
        batch = view(drawn.part(rows, device))
        waits = part + 1 < parts and isinstance(loss_of, DistributedDataParallel)
        with loss_of.no_sync() if waits else contextlib.nullcontext():  # type: ignore[operator]
            with torch.autocast(device.type, dtype=dtype, enabled=dtype is not None):
                losses = loss_of(batch)
            (losses["loss"] / parts).backward()
        for name, value in losses.items():
            share = value.detach() / parts
            terms[name] = terms[name] + share if name in terms else share
    return terms


def _any_rank(stop: bool, place: Ranks, device: torch.device) -> bool:
    """True on every rank if one rank was told to stop."""
    if place.world == 1:
        return stop
    flag = torch.tensor(float(stop), device=device)
    distributed.all_reduce(flag)
    return bool(flag > 0)


def _refuse_non_finite(terms: Mapping[str, float | Tensor], step: int) -> None:
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
        # Ctrl-C under torchrun is a SIGINT from the terminal and a SIGTERM from torchrun: one wish.
        if number == signal.SIGINT and signal.SIGINT in told:
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
