"""Weights that circulate: torchvision's, CLIP's and MMOCR's names, and files that are none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from running import Run
from safetensors.torch import save_file
from torch import Tensor, nn

from strbench import registry, rendered
from strbench.baselines.parts.backbones import backbone
from strbench.errors import StrbenchError
from strbench.files import file_sha256
from strbench.methods import Method, inherit
from strbench.origins import info_of, opened

DB: Method = registry.load("models", "db")
EAST: Method = registry.load("models", "east")


def drawn(size: str) -> nn.Module:
    torch.manual_seed(3)
    return backbone(size)


def torchvision_s(network: nn.Module) -> dict[str, Tensor]:
    """As torchvision's files of 2016 have it: with a classifier, without counts of batches."""
    tensors = {k: v for k, v in network.state_dict().items() if "num_batches" not in k}
    return {**tensors, "fc.weight": torch.zeros(1000, 128), "fc.bias": torch.zeros(1000)}


def oclip_s(network: nn.Module) -> dict[str, Tensor]:
    """As bytedance/oclip saves it from a parallel training."""
    renamed = {}
    for name, value in network.state_dict().items():
        name = name.replace(".downsample.1.", ".downsample.0.")
        name = name.replace(".downsample.2.", ".downsample.1.")
        renamed[f"module.visual.{name}"] = value
    return {
        **renamed,
        "module.visual.attnpool.positional_embedding": torch.zeros(257, 8),
        "module.logit_scale": torch.zeros(()),
    }


def mmocr_s(network: nn.Module) -> dict[str, Tensor]:
    """As MMOCR's conversion of it names the stem."""
    places = {"conv1": 0, "bn1": 1, "conv2": 3, "bn2": 4, "conv3": 6, "bn3": 7}
    renamed = {}
    for name, value in network.state_dict().items():
        part, _, rest = name.partition(".")
        renamed[f"backbone.{f'stem.{places[part]}.{rest}' if part in places else name}"] = value
    return renamed


def test_torchvisions_vgg_is_taken_over_without_its_classifier() -> None:
    parent = drawn("vgg16")
    more = {"classifier.0.weight": torch.zeros(4, 4), "classifier.0.bias": torch.zeros(4)}
    named = EAST.adopts({**parent.state_dict(), **more})
    module = EAST.build(EAST.recipes["paper"])
    inherit(module, {"vgg16_bn.pth": named}, fresh=EAST.fresh)
    assert all(
        torch.equal(value, parent.state_dict()[name])
        for name, value in module.backbone.state_dict().items()
    )


@pytest.mark.parametrize(
    ("size", "named", "wrap"),
    [
        ("micro", torchvision_s, False),
        ("clipmicro", oclip_s, True),
        ("clipmicro", mmocr_s, True),
    ],
)
def test_an_image_network_is_taken_over_under_any_known_names(
    size: str, named: object, wrap: bool, tmp_path: Path
) -> None:
    parent = drawn(size)
    assert callable(named)
    tensors = named(parent)
    path = tmp_path / "weights.pth"
    torch.save({"epoch": 3, "state_dict": tensors} if wrap else tensors, path)
    origin = opened(str(path), DB)
    assert origin.lineage == (f"weights.pth sha256:{file_sha256(path)}",)
    config = DB.recipes["smoke"]
    module = DB.build(type(config)(**{**config.__dict__, "size": size}))
    fresh = inherit(module, {"weights": origin.tensors}, fresh=DB.fresh or ())
    assert not [name for name in fresh if name.startswith("backbone.")]
    images = torch.randn(1, 3, 64, 64)
    parent.eval()
    module.backbone.eval()
    for ours, theirs in zip(module.backbone(images), parent(images), strict=True):
        assert torch.equal(ours, theirs)


def test_a_run_starts_from_a_file_and_its_record_says_so(
    run: Run, home: Path, tmp_path: Path
) -> None:
    for split in ("rendered_pages/train", "rendered_pages/test"):
        rendered.prepare(split, home / "data", n=4)
    path = tmp_path / "resnet.safetensors"
    save_file(torchvision_s(drawn("micro")), path)
    few = ["--recipe", "smoke", "--set", "steps=1", "--set", "warmup_steps=0"]
    outcome = run("finetune", "db", "--from", str(path), *few, "--json")
    assert outcome.code == 0, outcome.err
    name = json.loads(outcome.out)["name"]
    assert name == "db-micro.smoke+resnet"
    (record,) = [json.loads(found.read_text()) for found in (home / "records").glob("*.json")]
    assert record["parents"] == [f"resnet.safetensors sha256:{file_sha256(path)}"]
    assert run("eval", "--model", name, "--data", "rendered_pages/test").code == 0
    # other weights under the same name are another run
    save_file(torchvision_s(backbone("micro")), path)
    again = run("finetune", "db", "--from", str(path), *few)
    assert again.code == 2
    assert "db-micro.smoke+resnet" in again.err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "holds no weights that can be read"),
        (b"not a file of tensors at all", "holds no weights that can be read"),
    ],
)
def test_files_that_are_no_weights(content: bytes, message: str, tmp_path: Path) -> None:
    for suffix in (".pth", ".safetensors"):
        path = tmp_path / f"bad{suffix}"
        path.write_bytes(content)
        with pytest.raises(StrbenchError, match=message):
            opened(str(path), DB)


def test_nothing_but_tensors_is_unpickled(tmp_path: Path) -> None:
    path = tmp_path / "code.pth"
    torch.save({"state_dict": Path("here")}, path)  # an object of a class
    with pytest.raises(StrbenchError, match="damaged, or more in it than tensors"):
        opened(str(path), DB)
    torch.save({"epoch": 3}, path)
    with pytest.raises(StrbenchError, match="holds no named tensors"):
        opened(str(path), DB)


def test_what_has_no_use_for_a_file(tmp_path: Path, run: Run, home: Path) -> None:
    with pytest.raises(StrbenchError, match="no such file of weights"):
        info_of(str(tmp_path / "none.pth"))
    path = tmp_path / "resnet.pth"
    torch.save(torchvision_s(drawn("micro")), path)
    with pytest.raises(StrbenchError, match="crnn does not start from a file of weights"):
        opened(str(path), registry.load("models", "crnn"))
    outcome = run("finetune", "--from", str(path))
    assert outcome.code == 2
    assert "Which model is to start from" in outcome.err


def test_a_network_of_another_shape_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "resnet.pth"
    torch.save(torchvision_s(drawn("deep50")), path)
    origin = opened(str(path), DB)
    with pytest.raises(StrbenchError, match="do not fit"):
        inherit(DB.build(DB.recipes["smoke"]), {"resnet": origin.tensors}, fresh=DB.fresh or ())
