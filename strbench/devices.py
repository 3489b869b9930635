"""Which device runs, in which precision, and what to say when its memory is out."""

from __future__ import annotations

import os
import resource
import sys
from functools import cache
from pathlib import Path

import torch

from strbench.errors import DEVICE, StrbenchError
from strbench.methods import LoopConfig


def pick_device(name: str = "auto") -> torch.device:
    """The device of that name; ``auto`` is the rank's CUDA device where there is one, else the CPU.

    Raises:
        StrbenchError: no such device here.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda"):
        raise StrbenchError(
            f"{name!r} is not a device; expected auto, cpu, cuda or cuda:N.",
            hint="See: strbench doctor",
        )
    if device.type == "cuda":
        if not torch.cuda.is_available():
            raise StrbenchError(
                f"{name!r} was asked for, and this torch sees no CUDA device.",
                hint="Use --device cpu, or see: strbench doctor",
            )
        if device.index is None:
            device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        if device.index >= torch.cuda.device_count():
            raise StrbenchError(
                f"{device} was asked for, and there are {torch.cuda.device_count()} CUDA devices.",
                hint="Devices count from cuda:0; see: strbench doctor",
            )
        torch.cuda.set_device(device)
    return device


def device_name(device: torch.device) -> str:
    """The device for a record: the graphics card's name, or the processor's."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    info = Path("/proc/cpuinfo")
    for line in info.read_text().splitlines() if info.is_file() else ():
        if line.startswith("model name"):
            return "cpu: " + line.partition(":")[2].strip()
    return "cpu"


@cache
def has_fast_bf16(kind: str) -> bool:
    """True where bfloat16 matrix products run in hardware."""
    if kind == "cuda":
        return torch.cuda.get_device_capability()[0] >= 8  # Ampere and later
    info = Path("/proc/cpuinfo")
    flags = info.read_text() if info.is_file() else ""
    return "avx512_bf16" in flags or "amx_bf16" in flags


def autocast_type(precision: str, device: torch.device) -> torch.dtype | None:
    """The autocast type for a precision name; None is full float32.

    Raises:
        StrbenchError: an unknown precision.
    """
    if precision not in ("auto", "fp32", "bf16"):
        raise StrbenchError(
            f"precision {precision!r}: expected auto, fp32 or bf16.", hint="--set precision=auto"
        )
    if precision == "bf16" or (precision == "auto" and has_fast_bf16(device.type)):
        return torch.bfloat16
    return None


def is_out_of_memory(error: RuntimeError) -> bool:
    """True where the device, or the CPU's allocator, had no memory left."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def training_memory_error(config: LoopConfig) -> StrbenchError:
    """The error for a training step that does not fit."""
    accumulate = 2 * config.accumulate
    return StrbenchError(
        f"The device is out of memory with batches of {config.batch_size} images.",
        hint=f"Split each batch and start anew: --set accumulate={accumulate} --replace (a contrast then "
        "has the negatives of a part alone)",
        exit_code=DEVICE,
    )


def peak_memory(device: torch.device) -> int:
    """Bytes at the peak: of the CUDA allocator, or of the whole process on a CPU."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak if sys.platform == "darwin" else peak * 1024)
