"""Names to recognizers: trained runs, callables of the user, and what is wrong with either."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from running import Run
from safetensors.torch import load_file, save_file
from test_train import plan_of, words

from strbench import models, registry, runs
from strbench.errors import DATA, StrbenchError
from strbench.files import file_sha256
from strbench.settings import rebuild
from strbench.types import Reading, Recognizer

MODULE = """
class Fixed:
    def read(self, images):
        return ["{text}"] * len(images)
def build():
    return Fixed()
def wrong():
    return 3
number = 5
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    name = f"mine_{abs(hash(request.node.name))}"
    (tmp_path / f"{name}.py").write_text(MODULE.replace("{text}", "a"))
    monkeypatch.syspath_prepend(tmp_path)
    return name


def test_a_callable_of_the_user(module: str, home: Path, tmp_path: Path) -> None:
    loaded = models.resolve(f"{module}:build")
    assert isinstance(loaded.model, Recognizer)
    assert loaded.model.read([np.zeros((4, 4, 3), np.uint8)]) == ["a"]
    assert (loaded.card.name, loaded.card.resize) == (f"{module}:build", "native")
    assert (loaded.weights, loaded.parents) == (None, ())
    assert models.resolve(f"{module}:build").key == loaded.key
    (tmp_path / f"{module}.py").write_text(MODULE.replace("{text}", "b"))
    assert models.resolve(f"{module}:build").key != loaded.key, "another program, another journal"


def test_objects_never_share_a_journal(home: Path) -> None:
    class Fixed:
        def read(self, images: list[np.ndarray]) -> list[str]:
            return [""] * len(images)

    from strbench.predict import card_of

    pair = [models.Loaded("Fixed", Fixed(), card_of(Fixed())) for _ in range(2)]
    assert pair[0].key != pair[1].key


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("{module}:missing", "cannot be imported"),
        ("no.such.module:build", "cannot be imported"),
        (":build", "cannot be imported"),
        ("{module}:", "cannot be imported"),
        ("{module}:number", "is a int; expected a callable"),
        ("{module}:wrong", r"returned a int without a method read\(images\)"),
        ("rapidocrr", "No recognizer is named .* near names: rapidocr"),
    ],
)
def test_names_that_mean_nothing(module: str, home: Path, name: str, message: str) -> None:
    with pytest.raises(StrbenchError, match=message) as caught:
        models.resolve(name.format(module=module))
    assert caught.value.exit_code == 2
    assert caught.value.hint


def test_trained_run_reads_as_its_module_does(home: Path) -> None:
    words()
    weights = runs.execute(plan_of())
    loaded = models.resolve("vit-ctc-micro.smoke", device="cpu")
    assert loaded.key == f"vit-ctc-micro.smoke:{file_sha256(weights)}"
    assert (loaded.card.height, loaded.card.width, loaded.card.charset) == (32, 128, "36")
    assert loaded.card.trained_on == "mine/train"
    method = registry.load("models", "vit-ctc")
    info = models.load_info(weights.parent)
    config = rebuild(type(method.recipes["smoke"]), info.config)
    module = method.build(config)
    module.load_state_dict(load_file(weights))
    images = np.random.default_rng(0).integers(0, 256, (5, 32, 128, 3), dtype=np.uint8)
    images.setflags(write=False)  # as Pillow's arrays may be
    pixels = torch.from_numpy(images.copy()).permute(0, 3, 1, 2).float() / 255
    with torch.autocast("cpu", enabled=False):
        direct = method.reader(module.eval(), config)(pixels)
    recognizer = loaded.model
    recognizer.dtype = None  # type: ignore[attr-defined]
    assert recognizer.read(list(images)) == [Reading(*reading) for reading in direct]
    assert models.resolve(str(weights.parent), device="cpu").key == loaded.key
    assert models.readers() == models.finished_runs() == ["vit-ctc-micro.smoke"]
    assert models.finished_runs(lambda info: info.kind == "methods") == []

    out = weights.parent.parent / "given"
    models.export_run("vit-ctc-micro.smoke", out, half=True)
    assert (out / models.WEIGHTS).stat().st_size < 0.6 * weights.stat().st_size
    given = models.resolve(str(out), device="cpu")
    assert given.parents == loaded.parents
    given.model.dtype = None  # type: ignore[attr-defined]
    for ours, theirs in zip(given.model.read(list(images)), direct, strict=True):
        assert ours[1] == pytest.approx(theirs[1], abs=0.01)
    with pytest.raises(StrbenchError, match="holds a run already"):
        models.export_run("vit-ctc-micro.smoke", out)

    for damage, message in (
        (lambda: weights.write_bytes(weights.read_bytes()[:-9]), "is damaged"),
        (lambda: save_file({"x": torch.zeros(1)}, weights), "does not fit vit-ctc"),
        (weights.unlink, "is damaged"),
        (lambda: (weights.parent / models.RUN).write_text("[]"), "is damaged"),
        (lambda: (weights.parent / models.RUN).write_text('{"name": 1}'), "is damaged"),
    ):
        damage()
        with pytest.raises(StrbenchError, match=message) as caught:
            models.resolve("vit-ctc-micro.smoke", device="cpu")
        assert caught.value.exit_code == DATA


def test_pretraining_runs_read_nothing(home: Path) -> None:
    words()
    runs.execute(plan_of("dig"))
    with pytest.raises(StrbenchError, match="reads no text") as caught:
        models.resolve("dig-micro.smoke", device="cpu")
    assert caught.value.hint == "strbench finetune --from dig-micro.smoke"


def test_weights_that_are_saved(tmp_path: Path) -> None:
    info = models.RunInfo(
        name="n", entry="vit-ctc", kind="models", recipe="smoke", config={}, seed=0, record="r"
    )
    tied = torch.arange(6.0).reshape(2, 3)
    saved = models.save_run(tmp_path, {"a": tied, "b": tied, "c": tied.T}, info)
    assert saved["sha256"] == file_sha256(tmp_path / models.WEIGHTS)
    stored = load_file(tmp_path / models.WEIGHTS)
    assert torch.equal(stored["b"], tied)
    assert torch.equal(stored["c"], tied.T)
    assert json.loads((tmp_path / models.RUN).read_text())["record"] == "r"
    assert models.load_info(tmp_path) == info
    with pytest.raises(StrbenchError, match="the weights b are not finite"):
        models.save_run(tmp_path / "x", {"a": tied, "b": tied / 0}, info)
    assert not (tmp_path / "x").exists()


def test_engines_that_need_an_argument_are_not_at_hand(home: Path) -> None:
    assert models.needs_argument("onnx")
    assert not models.needs_argument("rapidocr")
    assert not models.needs_argument("tesseract")
    assert "onnx" not in models.at_hand()
    with pytest.raises(StrbenchError, match="card file"):
        models.resolve("onnx")


def test_a_damaged_run_stops_nothing_but_itself(home: Path, run: Run) -> None:
    info = models.RunInfo(
        name="good", entry="vit-ctc", kind="models", recipe="smoke", config={}, seed=0, record="r",
        trained_on="mine/train", reads=True,
    )  # fmt: skip
    tensors = {"x": torch.zeros(1)}
    models.save_run(home / "runs" / "good", tensors, info)
    models.save_run(home / "runs" / "gone", tensors, replace(info, name="gone", entry="gone"))
    for name, content in {"cut": "{", "odd": '{"name": 1}'}.items():
        (home / "runs" / name).mkdir()
        (home / "runs" / name / models.RUN).write_text(content)
    rows = {row["name"]: row for row in json.loads(run("list", "runs", "--json").out)}
    assert rows["good"]["state"] == "finished"
    assert rows["good"]["trained on"] == "mine/train"
    assert "cut is damaged (Expecting property name" in rows["cut"]["state"]
    assert "odd is damaged (" in rows["odd"]["state"]
    for command in (
        "eval --suite textseg --accept-licence --dry-run",
        "eval --data svt/test --dry-run",
    ):
        outcome = run(*command.split())
        assert outcome.code == 0, outcome.err
        assert "cut" not in outcome.out
    assert models.readers() == ["good", "gone"]
    assert models.at_hand()[0] == "good"
    named = run("show", "run", "cut")
    assert named.code == DATA
    assert "cut is damaged" in named.err
