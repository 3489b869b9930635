"""Weights of one run in another's module, and the entries' contract with the loop."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from strbench.errors import StrbenchError
from strbench.methods import LoopConfig, inherit


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
        self.decoder = nn.Linear(3, 4)


def encoder(module: nn.Module) -> dict[str, Tensor]:
    return {n: t + 1 for n, t in module.state_dict().items() if n.startswith("encoder.")}


def test_weights_and_buffers_are_taken_over_and_the_rest_is_named() -> None:
    module = Model()
    decoder = module.decoder.weight.clone()
    tensors = encoder(module)
    assert inherit(module, {"run": tensors}, fresh=("decoder.",)) == [
        "decoder.weight",
        "decoder.bias",
    ]
    assert all(torch.equal(module.state_dict()[name], value) for name, value in tensors.items())
    assert torch.equal(module.decoder.weight, decoder)


def test_two_runs_bring_a_part_each() -> None:
    module, other = Model(), Model()
    brought = {f"decoder.{n}": t for n, t in other.decoder.state_dict().items()}
    fresh = inherit(module, {"eye": encoder(module), "tongue": brought}, fresh=())
    assert fresh == []
    assert torch.equal(module.decoder.weight, other.decoder.weight)


def test_what_does_not_fit_is_named_and_nothing_is_loaded() -> None:
    module = Model()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    tensors = encoder(module)
    lacking = {name: t for name, t in tensors.items() if name != "encoder.0.bias"}
    shape = r"encoder\.0\.weight of run is \(5, 2\) where \(3, 2\) was expected"
    wrong: list[tuple[dict[str, dict[str, Tensor]], str]] = [
        ({"run": lacking}, r"encoder\.0\.bias is missing"),
        ({"run": {**tensors, "head": torch.zeros(2)}}, "head of run has no place here"),
        ({"run": {**tensors, "encoder.0.weight": torch.zeros(5, 2)}}, shape),
        ({"a": tensors, "b": tensors}, r"encoder\.0\.weight of b comes from another run too"),
    ]
    for parents, message in wrong:
        with pytest.raises(StrbenchError, match=message):
            inherit(module, parents, fresh=("decoder.",))
    assert all(torch.equal(value, before[n]) for n, value in module.state_dict().items())


@pytest.mark.parametrize("name", ["unlabelled_batch_size", "rise", "div", "momentum"])
def test_values_with_which_no_run_is_possible(name: str) -> None:
    with pytest.raises(StrbenchError, match=f"{name}=-1"):
        LoopConfig(**{name: -1})
