"""The training loop: resume, ranks and accumulation change nothing; faults are one clear error."""

from __future__ import annotations

import csv
import functools
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from running import Run
from safetensors.torch import load_file
from test_streams import split_of
from torch import Tensor, nn

from strbench import models, plans, records, registry, runs
from strbench.checkpoints import TrainingState
from strbench.errors import DATA, DEVICE, PARTIAL, StrbenchError
from strbench.feeds import WordFeed
from strbench.methods import LoopConfig, Method, WordBatch
from strbench.optim import learning_rate, optimiser, parameter_groups
from strbench.store import find_split, split_directory, write_split
from strbench.streams import Portion, Stream
from strbench.train import fit, total_steps
from strbench.types import Card, Sample
from strbench.unfinished import CHECKPOINT, LOG

CPU = torch.device("cpu")

# The smoke recipes, smaller.
SETTINGS = ["batch_size=8", "steps=6", "warmup_steps=2"]
NARROW = ["projector_hidden=16", "projector_out=8", "pix_projector_hidden=8", "pixel_hidden=8"]
RECIPES = {"dig": ("methods", [*SETTINGS, *NARROW]), "vit-ctc": ("models", SETTINGS)}


def words(n: int = 20) -> None:
    """The split mine/train: noise with labels."""
    rng = np.random.default_rng(0)
    samples = []
    for i in range(n):
        out = io.BytesIO()
        Image.fromarray(rng.integers(0, 256, (16, 48, 3), dtype=np.uint8)).save(out, "PNG")
        samples.append(Sample(f"{i}.png", out.getvalue(), f"w{i}"))
    write_split(
        split_directory("mine/train"), samples, dataset="mine", split="train", labels="standard"
    )


def plan_of(entry: str = "vit-ctc", *settings: str, **options: Any) -> plans.Plan:
    kind, small = RECIPES[entry]
    return plans.make_plan(
        kind,  # type: ignore[arg-type]
        entry,
        data=["mine/train"],
        recipe="smoke",
        settings=[*small, *settings],
        device="cpu",
        **options,
    )


def rows(directory: Path) -> list[dict[str, str]]:
    """The log without the only column that may differ."""
    with (directory / LOG).open(newline="") as file:
        return [
            {k: v for k, v in row.items() if k != "images_per_second"}
            for row in csv.DictReader(file)
        ]


def statuses(home: Path) -> list[str]:
    return [record.status for record in records.load_all(home / "records")]


# Runs a plan in a process of its own; the parent kills it, or a signal comes, after some steps.
_RUN = f"""
import os, signal, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
import torch
torch.set_num_threads(1)
from strbench import runs, train, checkpoints
from strbench.errors import StrbenchError
from test_train import plan_of
entry, after, number, log_every, *settings = sys.argv[1:]
update = checkpoints.TrainingState.update
def counted(self):
    update(self)
    if self.step == int(after):
        os.kill(os.getpid(), int(number))
checkpoints.TrainingState.update = counted
fit = runs.fit
runs.fit = lambda *a, **k: fit(*a, **k, log_every=int(log_every))
try:
    runs.execute(plan_of(entry, *settings), say=print, checkpoint_seconds=0)
except StrbenchError as error:
    print(error.message, file=sys.stderr)
    sys.exit(error.exit_code)
"""


def run(
    entry: str, *settings: str, after: int = 0, number: int = 0, log_every: int = 4
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", _RUN, entry, str(after), str(number), str(log_every), *settings],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def assert_same_weights(one: Path, two: Path) -> None:
    first, second = load_file(one), load_file(two)
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert torch.equal(value, second[name]), name


@pytest.mark.parametrize(
    ("entry", "settings"),
    [
        ("dig", []),
        pytest.param("dig", ["ema=0.9", "accumulate=2"], marks=pytest.mark.slow),
        pytest.param("vit-ctc", [], marks=pytest.mark.slow),
        ("vit-ctc", ["ema=0.9", "accumulate=2", "dropout=0.1", "augmentation=mild"]),
    ],
)
def test_killed_and_resumed_is_uninterrupted(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entry: str, settings: list[str]
) -> None:
    """Killed at step 3, between two log lines; weights and log end the same to the last bit."""
    words()
    killed = run(entry, *settings, after=3, number=signal.SIGKILL)
    assert killed.returncode == -signal.SIGKILL
    directory = plan_of(entry, *settings).directory
    assert (directory / CHECKPOINT).exists()
    assert models.finished_runs() == []
    assert statuses(home) == ["started"]
    (directory / f".{CHECKPOINT}.xyz.tmp").write_bytes(b"half")
    monkeypatch.setattr(runs, "fit", functools.partial(fit, log_every=4))
    said: list[str] = []
    runs.execute(plan_of(entry, *settings), say=said.append)
    assert "resumed at step 2 of 6" in said
    assert statuses(home) == ["started", "success"]
    names = {p.name for p in directory.iterdir()} - {"tensorboard"}
    assert names == {"weights.safetensors", "run.json", "log.csv"}

    other = tmp_path / "other"
    (other / "data").parent.mkdir()
    (other / "data").symlink_to(home / "data")
    monkeypatch.setenv("STRBENCH_HOME", str(other))
    runs.execute(plan_of(entry, *settings))
    whole = plan_of(entry, *settings).directory
    assert_same_weights(directory / models.WEIGHTS, whole / models.WEIGHTS)
    assert rows(directory) == rows(whole)
    assert [row["step"] for row in rows(whole)] == ["4", "6"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupt_writes_a_checkpoint(home: Path, number: signal.Signals) -> None:
    words()
    stopped = run("vit-ctc", after=3, number=number)
    assert stopped.returncode == PARTIAL
    assert "Interrupted after step 3 of 6" in stopped.stderr
    assert statuses(home) == ["partial"]
    said: list[str] = []
    weights = runs.execute(plan_of(), say=said.append)
    assert "resumed at step 3 of 6" in said
    assert statuses(home) == ["partial", "success"]
    info, *_ = models.load_run(weights.parent)
    assert info.record == records.load_all(home / "records")[-1].run_id
    assert all(torch.isfinite(value).all() for value in load_file(weights).values())


def test_an_unfinished_run_is_listed_and_says_how_to_go_on(
    home: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    words()
    settings = [word for setting in SETTINGS for word in ("--set", setting)]
    command = ["finetune", "vit-ctc", "--from", "scratch", "--data", "mine/train", "--recipe"]
    command += ["smoke", "--device", "cpu", "--name", "cut", *settings]
    typed = " ".join(["strbench", *command])
    update = TrainingState.update

    def interrupted(self: TrainingState) -> None:
        update(self)
        if self.step == 3:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(runs, "fit", functools.partial(fit, log_every=2))
    with monkeypatch.context() as patched:
        patched.setattr(TrainingState, "update", interrupted)
        assert run(*command, "--replace").code == PARTIAL
    state = "unfinished, after step 2 of 6"
    (row,) = json.loads(run("list", "runs", "--json").out)
    assert (row["name"], row["trained on"], row["state"]) == ("cut", "mine/train", state)
    assert f"; {state}" in run("show", "cut").out
    assert f"Go on: {typed}\n" in run("show", "cut").out
    assert json.loads(run("show", "run", "cut", "--json").out)["resume"] == typed
    for asked in ("finetune --from cut", "eval -m cut --data mine/train --dry-run"):
        refused = run(*asked.split())
        assert refused.code == 2
        assert f"cut is {state}." in refused.err
        assert refused.last.endswith(f"To go on: {typed}")
    for more in ((), ("--dry-run",)):
        refused = run(*command, "--set", "lr=0.5", *more)
        assert refused.code == DATA
        assert "another configuration, data or seed: lr 0.003, not 0.5." in refused.err
    assert f"cut is {state}; it would go on" in run(*command, "--dry-run").err
    told = run(*command)
    assert told.code == 0
    assert told.err.index("resumed at step 3 of 6") < told.err.index("cut 6/6")
    (row,) = json.loads(run("list", "runs", "--json").out)
    assert row["state"] == "finished"
    assert not list((home / "runs" / "cut").glob("started*"))
    refused = run(*command, "--seed", "4", "--set", "lr=0.5", "--set", "steps=9")
    assert "another configuration, data or parent: seed 0, not 4; " in refused.err


def test_finished_run_stays_until_it_is_replaced(home: Path) -> None:
    words()
    said: list[str] = []
    weights = runs.execute(plan_of(), say=said.append)
    before = weights.stat().st_mtime_ns
    assert runs.execute(plan_of(), say=said.append) == weights
    assert said[-1] == "vit-ctc-micro.smoke is finished already; --replace trains it anew"
    assert weights.stat().st_mtime_ns == before
    with pytest.raises(StrbenchError, match="another configuration"):
        runs.execute(plan_of("vit-ctc", "lr=0.5"))
    content = load_file(weights)
    runs.execute(plan_of(), replace=True)
    assert weights.stat().st_mtime_ns > before
    assert all(torch.equal(value, content[name]) for name, value in load_file(weights).items())
    assert statuses(home) == ["success", "success"]
    runs.execute(plan_of("vit-ctc", "lr=0.5"), replace=True)
    assert len(rows(weights.parent)) == 1


def test_a_dry_run_tells_of_a_finished_run(home: Path, run: Run) -> None:
    words()
    runs.execute(plan_of())
    settings = [word for setting in SETTINGS for word in ("--set", setting)]
    command = ("finetune", "vit-ctc", "--from", "scratch", "--data", "mine/train", "--recipe")
    command = (*command, "smoke", "--device", "cpu", *settings, "--dry-run")
    outcome = run(*command)
    assert outcome.code == 0, outcome.err
    assert "vit-ctc-micro.smoke is finished already; --replace trains it anew" in outcome.err
    assert json.loads(outcome.out)["name"] == "vit-ctc-micro.smoke"
    other = run(*command, "--set", "lr=0.5")
    assert other.code == 2
    assert "holds a finished run vit-ctc-micro.smoke with another configuration" in other.err
    assert other.out == ""
    assert run(*command, "--set", "lr=0.5", "--replace").code == 0
    assert (plan_of().directory / models.RUN).is_file()


def test_lineage_goes_through_both_stages(home: Path) -> None:
    words()
    runs.execute(plan_of("dig"))
    said: list[str] = []
    weights = runs.execute(
        plans.make_plan(
            "models", "vit-ctc", data=["mine/train"], recipe="smoke", settings=SETTINGS,
            parents=["dig-micro.smoke"], device="cpu",
        ),
        say=said.append,
    )  # fmt: skip
    assert weights.parent.name == "vit-ctc-micro.smoke+dig"
    assert any(line.startswith("weights from dig-micro.smoke; fresh here: ") for line in said)
    pretrained, finetuned = records.load_all(home / "records")
    assert (pretrained.kind, finetuned.kind) == ("pretrain", "finetune")
    assert finetuned.parents == [pretrained.run_id]
    loaded = models.resolve("vit-ctc-micro.smoke+dig", device="cpu")
    assert loaded.parents == (finetuned.run_id, pretrained.run_id)
    assert loaded.seen == {find_split("mine/train").fingerprint}
    with pytest.raises(
        StrbenchError, match="crnn does not start from the weights of dig-micro"
    ) as e:
        plans.make_plan(
            "models", "crnn", data=["mine/train"], recipe="smoke", parents=["dig-micro.smoke"]
        )
    assert e.value.hint == "It starts from runs of moco, rotnet, pseudo-label, crnn."


def test_a_setting_that_came_later_is_no_other_configuration_at_its_default(home: Path) -> None:
    words()
    plan = plan_of("dig")
    runs.execute(plan)
    kept = plan.directory / models.RUN
    info = json.loads(kept.read_text())
    older = {name: value for name, value in info["config"].items() if name != "rho"}
    key = runs._key(plan, [], older)
    assert key != info["key"]  # else what follows would show nothing
    kept.write_text(json.dumps({**info, "config": older, "key": key}))
    said: list[str] = []
    runs.execute(plan_of("dig"), say=said.append)
    assert said == ["dig-micro.smoke is finished already; --replace trains it anew"]
    with pytest.raises(StrbenchError, match="another configuration"):
        runs.execute(plan_of("dig", "rho=0.5"))


def test_two_processes_on_one_run(home: Path) -> None:
    from strbench.files import lock

    words()
    plan = plan_of()
    with lock(plan.directory / ".lock", what="it"):
        second = run("vit-ctc")
    assert second.returncode == 2
    assert "The run vit-ctc-micro.smoke is being written by another process" in second.stderr
    assert not (home / "records").exists()


def test_plans_are_checked(home: Path) -> None:
    words()
    with pytest.raises(StrbenchError, match="--name"):
        plan_of(run_name="../elsewhere")
    with pytest.raises(StrbenchError, match="near names: vit-ctc"):
        plans.find_entry("models", "vit-ctx")
    for kind, name, hint in (
        ("methods", "vit-ctc-tiny", "strbench finetune vit-ctc-tiny"),
        ("models", "dig", "strbench pretrain dig"),
    ):
        with pytest.raises(StrbenchError, match=f"{name} is a m") as caught:
            plans.find_entry(kind, name)
        assert caught.value.hint == hint
    with pytest.raises(StrbenchError, match="No recipe"):
        plans.pick_recipe(registry.load("models", "vit-ctc"), "smok", CPU)
    document = plans.describe(plan_of())
    assert document["steps"] == 6
    assert json.dumps(document)
    assert not plan_of().directory.exists()


# --- ``fit`` with a module of our own


@dataclass(frozen=True, kw_only=True)
class Small(LoopConfig):
    height: int = 4
    width: int = 8
    batch_size: int = 8
    steps: int = 4
    lr: float = 0.1
    lr_batch: int = 0
    weight_decay: float = 0.01
    precision: str = "fp32"


class Mean(nn.Module):
    """A loss that is a mean over images."""

    depth = 1

    def __init__(self, config: Small) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(96, 5), nn.Linear(5, 1)])
        self.poison = False

    def layer_of(self, name: str) -> int:
        return 2 * int(name.startswith("layers.1"))

    def loss(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        out = self.layers[1](self.layers[0](batch["x"]).tanh())
        loss = (out[:, 0] - batch["y"]).square().mean()
        if self.poison:
            loss = loss * torch.nan
        return {"loss": loss, "half": loss.detach() / 2}


def views(config: Small) -> Callable[[WordBatch], dict[str, Tensor]]:
    return lambda batch: {"x": batch.images.flatten(1).float() / 255, "y": batch.aspect}


METHOD = Method(
    card=Card(name="mean", kind="pretraining", title="t"),
    recipes={"smoke": Small()},
    build=Mean,
    views=views,
    export=lambda module: dict(module.state_dict()),
)


@pytest.fixture
def stream(tmp_path: Path) -> Stream:
    split = split_of(tmp_path / "split", 20)
    return Stream([Portion((split,), 1.0)], feed=WordFeed(height=4, width=8), batch_size=8, seed=0)


def fitted(stream: Stream, directory: Path, config: Small, **options: Any) -> Mean:
    torch.manual_seed(0)
    module = Mean(config)
    fit(METHOD, module, config, stream, directory, device=CPU, threads=1, **options)
    return module


def test_accumulation_is_the_full_batch(stream: Stream, tmp_path: Path) -> None:
    one = fitted(stream, tmp_path / "one", Small())
    four = fitted(stream, tmp_path / "four", Small(accumulate=4))
    for (name, a), b in zip(one.named_parameters(), four.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6, msg=name)
    for a, b in zip(rows(tmp_path / "one"), rows(tmp_path / "four"), strict=True):
        assert float(a["loss"]) == pytest.approx(float(b["loss"]), rel=1e-5)
        assert float(a["half"]) == pytest.approx(float(a["loss"]) / 2)
    with pytest.raises(StrbenchError, match="cannot be split in 3"):
        fitted(stream, tmp_path / "three", Small(accumulate=3))


def test_checkpoints_that_do_not_fit(stream: Stream, tmp_path: Path) -> None:
    fitted(stream, tmp_path, Small(), key="a")
    whole = (tmp_path / CHECKPOINT).read_bytes()
    with pytest.raises(StrbenchError, match="another configuration") as caught:
        fitted(stream, tmp_path, Small(), key="b")
    assert caught.value.exit_code == DATA
    for damaged in (b"", b"nonsense", whole[: len(whole) // 2], whole[:-20]):
        (tmp_path / CHECKPOINT).write_bytes(damaged)
        with pytest.raises(StrbenchError, match="not a readable checkpoint") as caught:
            fitted(stream, tmp_path, Small(), key="a")
        assert caught.value.exit_code == DATA
    torch.save({"key": "a", "step": 4}, tmp_path / CHECKPOINT)
    with pytest.raises(StrbenchError, match=r"not a readable checkpoint .KeyError"):
        fitted(stream, tmp_path, Small(), key="a")
    torch.save([1], tmp_path / CHECKPOINT)
    with pytest.raises(StrbenchError, match="not a readable checkpoint"):
        fitted(stream, tmp_path, Small(), key="a")


def test_checkpoint_of_the_last_step(stream: Stream, tmp_path: Path) -> None:
    """Killed after training and before the weights were saved: nothing is left to train."""
    torch.manual_seed(0)
    fitted(stream, tmp_path, Small(ema=0.5))
    first = rows(tmp_path)
    module = Mean(Small())
    result = fit(METHOD, module, Small(ema=0.5), stream, tmp_path, device=CPU)
    assert (result.resumed_at, result.steps, result.images) == (4, 4, 32)
    assert result.last["loss"] == float(first[-1]["loss"])
    assert result.seconds > 0
    assert rows(tmp_path) == first


def test_loss_that_is_not_finite(stream: Stream, tmp_path: Path) -> None:
    module = Mean(Small())
    module.poison = True
    with pytest.raises(StrbenchError, match="loss, half is not finite at step 1") as caught:
        fit(METHOD, module, Small(), stream, tmp_path, device=CPU, checkpoint_seconds=0)
    assert caught.value.exit_code == DATA
    assert not (tmp_path / CHECKPOINT).exists(), "such weights must not be resumed from"


def test_out_of_memory_names_the_setting(
    stream: Stream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Mean, batch: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate")

    monkeypatch.setattr(Mean, "loss", full)
    with pytest.raises(StrbenchError, match="batches of 8 images") as caught:
        fitted(stream, tmp_path, Small())
    assert caught.value.exit_code == DEVICE
    assert "accumulate=2" in caught.value.hint


def test_moving_average_is_what_is_kept(stream: Stream, tmp_path: Path) -> None:
    plain = fitted(stream, tmp_path / "plain", Small())
    averaged = fitted(stream, tmp_path / "ema", Small(ema=0.999))
    assert not torch.equal(plain.layers[0].weight, averaged.layers[0].weight)
    start = Mean.__new__(Mean)
    torch.manual_seed(0)
    Mean.__init__(start, Small())
    moved = (plain.layers[0].weight - start.layers[0].weight).norm()
    kept = (averaged.layers[0].weight - start.layers[0].weight).norm()
    assert 0 < kept < moved


def test_numbers_of_steps() -> None:
    assert total_steps(LoopConfig(steps=7, epochs=3), 100) == 7
    assert total_steps(LoopConfig(epochs=2, batch_size=10), 100) == 20
    assert total_steps(LoopConfig(epochs=0.5, batch_size=10), 100) == 5
    assert total_steps(LoopConfig(epochs=1, batch_size=64), 100) == 2
    for config in (LoopConfig(), LoopConfig(epochs=0.1, batch_size=64)):
        with pytest.raises(StrbenchError, match="are no step"):
            total_steps(config, 100)


@pytest.mark.parametrize("total", [1, 2, 7, 100])
def test_onecycle_is_that_of_torch(total: int) -> None:
    config = LoopConfig(schedule="onecycle", rise=0.3, div=20, final_div=1000)
    theirs = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    if total > 4:  # torch's own divides by zero below
        cycle = torch.optim.lr_scheduler.OneCycleLR(
            theirs, 1.0, total_steps=total, pct_start=0.3, div_factor=20, final_div_factor=1000
        )
        for step in range(total):
            ours = learning_rate(config, step, total, peak=1.0, warmup=0)
            assert ours == pytest.approx(theirs.param_groups[0]["lr"], rel=1e-9)
            theirs.step()
            if step + 1 < total:
                cycle.step()
    else:
        rates = [learning_rate(config, s, total, peak=1.0, warmup=0) for s in range(total)]
        assert all(0 < rate <= 1 for rate in rates)


def test_steps_and_constant_schedules() -> None:
    config = LoopConfig(schedule="steps", milestones=(0.6, 0.8), decay=0.1)
    rates = [learning_rate(config, s, 10, peak=1.0, warmup=2) for s in range(10)]
    assert rates == pytest.approx([0, 0.5, 1, 1, 1, 1, 0.1, 0.1, 0.01, 0.01])
    config = LoopConfig(schedule="constant")
    assert {learning_rate(config, s, 10, peak=0.5, warmup=0) for s in range(10)} == {0.5}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("adamw", torch.optim.AdamW),
        ("adam", torch.optim.Adam),
        ("adadelta", torch.optim.Adadelta),
        ("sgd", torch.optim.SGD),
    ],
)
def test_optimisers_by_name(name: Any, kind: type[torch.optim.Optimizer]) -> None:
    config = LoopConfig(
        optimiser=name, betas=(0.8, 0.9), eps=1e-3, momentum=0.7, rho=0.6, weight_decay=0.2
    )
    made = optimiser(config, nn.Linear(2, 3), peak=0.5)
    assert type(made) is kind
    wanted = {"betas": (0.8, 0.9), "eps": 1e-3, "momentum": 0.7, "rho": 0.6, "lr": 0.5}
    for group, decay in zip(made.param_groups, (0.2, 0.0), strict=True):
        assert group["weight_decay"] == decay
        assert {key: group[key] for key in wanted if key in group}.items() <= wanted.items()


def test_learning_rate_and_layer_decay(
    stream: Stream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = LoopConfig(min_lr=0.1)
    rates = [learning_rate(config, s, 100, peak=1.0, warmup=10) for s in range(100)]
    assert rates[:3] == pytest.approx([0, 0.1, 0.2])
    assert max(rates) == rates[10] == 1.0
    assert rates[55] == pytest.approx(0.55)
    assert 0.1 < rates[-1] < 0.102
    assert all(a >= b for a, b in pairwise(rates[10:]))
    groups = parameter_groups(Mean(Small()), weight_decay=0.3, layer_decay=0.5)
    seen = {(g["weight_decay"], g["lr_scale"]): len(g["params"]) for g in groups}
    assert seen == {(0.3, 0.25): 1, (0.0, 0.25): 1, (0.3, 1.0): 1, (0.0, 1.0): 1}
    used: list[float] = []
    step = torch.optim.AdamW.step

    def noted(self: torch.optim.AdamW, *args: Any) -> Any:
        used.append(self.param_groups[0]["lr"])
        return step(self, *args)

    monkeypatch.setattr(torch.optim.AdamW, "step", noted)
    fitted(stream, tmp_path, Small(layer_decay=0.5, warmup_steps=2, min_lr=0.0))
    assert used == pytest.approx([0, 0.0125, 0.025, 0.0125])


# --- several ranks

_RANK = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
import torch
torch.set_num_threads(1)
from strbench import runs
from test_train import plan_of
entry, replace, *settings = sys.argv[1:]
runs.execute(plan_of(entry, *settings), say=lambda text: print("said:", text), replace=replace == "1")
"""


def torchrun(tmp_path: Path, entry: str, *settings: str, replace: bool = False) -> str:
    script = tmp_path / "rank.py"
    script.write_text(_RANK)
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2",
         str(script), entry, str(int(replace)), *settings],
        capture_output=True, text=True, check=False, timeout=200,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("entry", ["dig", "vit-ctc"])
def test_two_ranks_are_one_process(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entry: str
) -> None:
    words()
    single = runs.execute(plan_of(entry, "precision=fp32"))
    content, log = load_file(single), rows(single.parent)
    monkeypatch.setenv("STRBENCH_HOME", str(tmp_path / "other"))
    (tmp_path / "other").mkdir()
    (tmp_path / "other/data").symlink_to(home / "data")
    torchrun(tmp_path, entry, "precision=fp32")
    double = plan_of(entry, "precision=fp32").directory
    for a, b in zip(log, rows(double), strict=True):
        assert float(a["loss"]) == pytest.approx(float(b["loss"]), rel=1e-4)
    other = load_file(double / models.WEIGHTS)
    assert other.keys() == content.keys()
    for name, value in content.items():
        # AdamW's first steps follow the sign of a gradient, so a rounding can move a weight by lr.
        assert (value - other[name]).abs().mean() < 1e-4, name
        torch.testing.assert_close(value, other[name], rtol=0, atol=5e-3, msg=name)
    (record,) = records.load_all(tmp_path / "other/records")
    assert (record.status, record.environment["ranks"]) == ("success", 2)
    before = (double / models.WEIGHTS).stat().st_mtime_ns
    assert torchrun(tmp_path, entry, "precision=fp32").count("finished already") == 1
    torchrun(tmp_path, entry, "precision=fp32", replace=True)
    assert (double / models.WEIGHTS).stat().st_mtime_ns > before
    for name, value in load_file(double / models.WEIGHTS).items():
        torch.testing.assert_close(value, other[name], msg=name)


@pytest.mark.slow
def test_interrupted_ranks_stop_together(home: Path, tmp_path: Path) -> None:
    words()
    script = tmp_path / "rank.py"
    script.write_text(_RANK)
    process = subprocess.Popen(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2",
         str(script), "vit-ctc", "0", "steps=4000"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    directory = plan_of("vit-ctc", "steps=4000").directory
    end = time.monotonic() + 60
    while not (home / "records").exists() and time.monotonic() < end:
        time.sleep(0.1)
    time.sleep(4)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: every process gets it
    _, errors = process.communicate(timeout=90)
    assert process.returncode != 0
    assert (directory / CHECKPOINT).exists(), errors[-3000:]
    assert statuses(home) == ["partial"]
    step = torch.load(directory / CHECKPOINT, weights_only=True)["step"]
    assert 0 < step < 4000
    assert step % 10 == 0
