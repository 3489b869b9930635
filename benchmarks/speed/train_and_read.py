"""Images a second, memory and model FLOPs of every entry of recognition: training steps, and reading.

    python benchmarks/speed/train_and_read.py [--entries dig vit-ctc ...] [--recipe small] [--rounds 3]
        [--batch 0] [--device auto] [--set size=small]
    python benchmarks/speed/train_and_read.py --run vit-ctc-mini.cpu-hour+dig --data svt/test

strbench trains and reads as `strbench pretrain`, `finetune` and `eval` do: mixed precision where the
hardware has it. The plain side is the same module in eager float32. Each side runs in a process of its
own, in turn, so that peak memory (resident on a CPU, allocated on CUDA) belongs to it alone; data is
ready in memory, views are part of a training step. Reading starts from uint8 crops of the model's size
and is done in the batches of ``eval``, by both sides, on drawn words; the share of equal texts is that of
the two sides under one set of weights, trained for --learn steps, because weights that were never trained
decide by rounding. With --run a finished run reads the words of prepared splits. FLOPs are counted by
torch over one step (2 for a multiplication with addition) and MFU is against the dense bfloat16 peak of
the device, where that is known.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from strbench import registry, rendered
from strbench.devices import autocast_type, peak_memory, pick_device
from strbench.loading import decode, stretch
from strbench.methods import Method, WordBatch
from strbench.models import load_run, run_directory
from strbench.settings import override, rebuild
from strbench.store import find_split
from strbench.trained import TrainedRecognizer

PEAKS = {"H100": 989e12, "H200": 989e12, "A100": 312e12}  # dense bf16 FLOP/s, NVIDIA's data sheets


def find(entry: str) -> Method:
    """The entry of that name among methods and models."""
    method: Method = registry.load(registry.kind_of(entry), entry)
    return method


def words(config: Any, n: int) -> tuple[np.ndarray, Tensor, list[str | None]]:
    """``n`` drawn words at the config's size: uint8 (n, H, W, 3), aspects and labels."""
    drawn = [rendered.draw_word(rendered.DEMO, 0, i, split="rendered_demo/train") for i in range(n)]
    crops = np.stack([stretch(word.image, config.height, config.width) for word in drawn])
    aspect = torch.tensor([word.image.shape[1] / word.image.shape[0] for word in drawn])
    return crops, aspect, [word.label for word in drawn]


def stepper(
    method: Method, config: Any, device: torch.device, *, plain: bool
) -> tuple[Any, Callable[[int], None]]:
    """The module, and a function that does training step k as the loop does it, or plainly."""
    torch.manual_seed(0)
    module = method.build(config).to(device).train()
    optimiser = torch.optim.AdamW([p for p in module.parameters() if p.requires_grad], lr=1e-3)
    view = method.views(config)
    dtype = None if plain else autocast_type(config.precision, device)
    crops, aspect, labels = words(config, config.images_a_step)
    images = torch.from_numpy(crops).permute(0, 3, 1, 2).contiguous().to(device)
    if not method.needs_images:
        images = images[:, :, :0, :0]
    if config.unlabelled_batch_size:
        labels[config.batch_size :] = [None] * config.unlabelled_batch_size

    def step(k: int) -> None:
        if hasattr(module, "before_step"):
            module.before_step(k / 1000)
        seeds = torch.arange(k * len(labels), (k + 1) * len(labels), device=device)
        batch = view(WordBatch(images, aspect.to(device), labels, seeds))
        with torch.autocast(device.type, dtype=dtype, enabled=dtype is not None):
            loss = module.loss(batch)["loss"]
        loss.backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), 5.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)

    return module, step


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def train(method: Method, config: Any, device: torch.device, *, plain: bool) -> dict[str, float]:
    """Seconds of a step (the best of five), FLOPs of one, and the peak of memory."""
    _, step = stepper(method, config, device, plain=plain)
    step(0)
    counter = FlopCounterMode(display=False)
    with counter:
        step(1)
    seconds = []
    for k in range(2, 7):
        wait(device)
        begun = time.perf_counter()
        step(k)
        wait(device)
        seconds.append(time.perf_counter() - begun)
    return {
        "seconds": min(seconds),
        "flops": counter.get_total_flops(),
        "memory": peak_memory(device),
        "images": config.images_a_step,
    }


def trained(run: str) -> tuple[Method, Any, dict[str, Tensor]]:
    """Entry, config and weights of a finished run."""
    info, method, tensors, _ = load_run(run_directory(run))
    return method, rebuild(type(next(iter(method.recipes.values()))), info.config), tensors


def photographs(config: Any, splits: list[str]) -> list[np.ndarray]:
    """All words of prepared splits at the config's size: uint8 (H, W, 3) each."""
    found = [find_split(name) for name in splits]
    return [
        stretch(decode(split.image(index)), config.height, config.width)
        for split in found
        for index in range(split.n)
    ]


def read(
    method: Method,
    config: Any,
    device: torch.device,
    weights: dict[str, Tensor],
    crops: list[np.ndarray],
    *,
    plain: bool,
) -> dict[str, Any]:
    """Seconds to read the crops (the best of three), the texts, and the peak of memory."""
    module = method.build(config)
    module.load_state_dict(weights)
    recognizer = TrainedRecognizer(method, module, config, method.card, device)
    if plain:
        recognizer.dtype = None
    n = len(crops)
    seconds, texts = [], []
    for _ in range(4):
        begun = time.perf_counter()
        size = recognizer.batch_size
        readings = [r for i in range(0, n, size) for r in recognizer.read(crops[i : i + size])]
        seconds.append(time.perf_counter() - begun)
        texts = [reading.text for reading in readings]
    return {"seconds": min(seconds[1:]), "texts": texts, "memory": peak_memory(device), "images": n}


def child(options: argparse.Namespace) -> None:
    """One side of one measurement, as JSON on stdout."""
    device = pick_device(options.device)
    plain = options.side == "plain"
    if options.run:
        method, config, tensors = trained(options.run)
        found = read(
            method, config, device, tensors, photographs(config, options.data), plain=plain
        )
        print(json.dumps(found))
        return
    method = find(options.entries[0])
    config = override(method.recipes[options.recipe], options.settings or [])
    if options.batch:
        config = replace(config, batch_size=options.batch)
    weights = Path(options.weights)
    if options.job == "learn":
        module, step = stepper(method, config, device, plain=False)
        for k in range(options.learn):
            step(k)
        torch.save(module.state_dict(), weights)
        print("{}")
    elif options.job == "train":
        print(json.dumps(train(method, config, device, plain=plain)))
    else:
        tensors = torch.load(weights, weights_only=True)
        crops = list(words(config, options.n)[0])
        print(json.dumps(read(method, config, device, tensors, crops, plain=plain)))


def measured(entry: str, job: str, side: str, weights: Path, rest: list[str]) -> dict[str, Any]:
    """What one child process says."""
    command = [
        sys.executable, __file__, *rest, "--entries", entry, "--job", job, "--side", side,
        "--weights", str(weights),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{entry}, {job}, {side}:\n{done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """A row an entry and job: strbench beside the plain loop, in alternating processes."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    known = [*registry.names("methods"), *registry.names("models")]
    every = [name for name in known if find(name).task == "recognition"]
    parser.add_argument("--entries", nargs="+", default=every)
    parser.add_argument("--recipe", default="smoke")
    parser.add_argument("--set", dest="settings", action="append")
    parser.add_argument("--batch", type=int, default=0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--n", type=int, default=2000)
    parser.add_argument("--learn", type=int, default=100)
    parser.add_argument("--run", default="", help="a finished run, in place of --entries")
    parser.add_argument("--data", action="append", help="prepared splits that --run reads")
    parser.add_argument("--job", default="", help=argparse.SUPPRESS)
    parser.add_argument("--side", default="", help=argparse.SUPPRESS)
    parser.add_argument("--weights", default="", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.job:
        child(options)
        return
    rest = [f"--recipe={options.recipe}", f"--batch={options.batch}", f"--device={options.device}"]
    rest += [f"--n={options.n}", f"--learn={options.learn}"]
    rest += [f"--set={setting}" for setting in options.settings or []]
    if options.run:
        rest += [f"--run={options.run}", *(f"--data={split}" for split in options.data)]
    device = pick_device(options.device)
    name = torch.cuda.get_device_name() if device.type == "cuda" else f"{os.cpu_count()} cores"
    peak = next((peak for key, peak in PEAKS.items() if key in name), 0.0)
    print(f"{name}, {torch.get_num_threads()} threads, torch {torch.__version__}, {options.recipe}")
    print("| entry | job | images/s | plain fp32 | ratio | memory MB | plain | MFU | same texts |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory() as folder:
        for entry in [options.run] if options.run else options.entries:
            weights = Path(folder, "weights.pt")
            jobs = ["read"] if options.run else ["train"]
            if not options.run and find(entry).reader is not None:
                measured(entry, "learn", "strbench", weights, rest)
                jobs.append("read")
            for job in jobs:
                sides: dict[str, list[dict[str, Any]]] = {"strbench": [], "plain": []}
                for _ in range(options.rounds):
                    for side, found in sides.items():
                        found.append(measured(entry, job, side, weights, rest))
                print(row(entry, job, sides, peak), flush=True)


def row(entry: str, job: str, sides: dict[str, list[dict[str, Any]]], peak: float) -> str:
    """A line of the table."""
    best = {side: min(found, key=lambda f: f["seconds"]) for side, found in sides.items()}
    ours, plain = best["strbench"], best["plain"]
    images = ours["images"]
    memory = [statistics.median(f["memory"] for f in found) / 1e6 for found in sides.values()]
    flops = ours.get("flops", 0)
    mfu = f"{100 * flops / ours['seconds'] / peak:.1f} %" if peak and flops else ""
    same = ""
    if job == "read":
        equal = sum(a == b for a, b in zip(ours["texts"], plain["texts"], strict=True))
        same = f"{equal} of {images}"
    return (
        f"| {entry} | {job} | {images / ours['seconds']:,.0f} | {images / plain['seconds']:,.0f} "
        f"| {plain['seconds'] / ours['seconds']:.2f} | {memory[0]:,.0f} | {memory[1]:,.0f} "
        f"| {mfu} | {same} |"
    )


if __name__ == "__main__":
    main()
