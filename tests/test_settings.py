"""``--set``: names and types checked, near names offered."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any, Literal

import pytest

from strbench.errors import StrbenchError
from strbench.methods import LoopConfig
from strbench.settings import override, rebuild


@dataclass(frozen=True, kw_only=True)
class Config(LoopConfig):
    heads: Literal["bn", "ln"] = "bn"
    windows: Literal[2, 4] = 4
    is_frozen: bool = False
    sizes: tuple[int, ...] = (1, 2)
    pair: tuple[int, str] = (1, "a")
    cap: int | None = None
    text: str = ""
    table: dict[str, int] = dataclasses.field(default_factory=dict)


@pytest.mark.parametrize(
    ("typed", "name", "value"),
    [
        ("lr=1e-3", "lr", 1e-3),
        (" steps = 12 ", "steps", 12),
        ("is_frozen=True", "is_frozen", True),
        ("is_frozen=0", "is_frozen", False),
        ("heads=ln", "heads", "ln"),
        ("windows=2", "windows", 2),
        ("betas=0.9,0.95", "betas", (0.9, 0.95)),
        ("betas=(0.9, 0.95)", "betas", (0.9, 0.95)),
        ("sizes=3", "sizes", (3,)),
        ("sizes=(3,)", "sizes", (3,)),
        ("sizes=3,4,5", "sizes", (3, 4, 5)),
        ("pair=7,b", "pair", (7, "b")),
        ("cap=none", "cap", None),
        ("cap=5", "cap", 5),
        ("text=a=b", "text", "a=b"),
        ("text=", "text", ""),
    ],
)
def test_values(typed: str, name: str, value: Any) -> None:
    found = getattr(override(Config(), [typed]), name)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("lr", "expected name=value"),
        ("leanring_rate=1", "No setting is named"),
        ("batchsize=8", "near names: .*batch_size"),
        ("steps=1.5", "expected int, found '1.5'"),
        ("lr=fast", "expected float"),
        ("lr=nan", "expected float"),
        ("is_frozen=maybe", "expected bool"),
        ("heads=gelu", "No value of heads is named 'gelu'; near names: ln, bn"),
        ("windows=3", "No value of windows"),
        ("betas=0.9", "expected tuple"),
        ("betas=0.9,0.9,0.9", "expected tuple"),
        ("sizes=", "expected tuple"),
        ("cap=x", "expected int | None"),
        ("batch_size=0", "batch_size=0: expected 1 or more"),
        ("accumulate=0", "accumulate=0: expected 1 or more"),
        ("lr=-1", "lr=-1.0: expected 0 or more"),
        ("ema=2", "ema=2.0: expected 0 to 1"),
    ],
)
def test_mistakes(typed: str, message: str) -> None:
    with pytest.raises(StrbenchError, match=message.replace("|", r"\|")) as caught:
        override(Config(), [typed])
    assert caught.value.exit_code == 2
    assert caught.value.hint


def test_a_type_that_no_text_has_is_the_programmers_mistake() -> None:
    with pytest.raises(TypeError, match="table"):
        override(Config(), ["table=1"])


def test_the_original_is_untouched_and_the_last_one_counts() -> None:
    config = Config()
    assert override(config, ["steps=1", "steps=2"]).steps == 2
    assert config == Config()


def test_rebuild_after_json() -> None:
    config = Config(betas=(0.5, 0.6), cap=3, sizes=(9,))
    stored = json.loads(json.dumps(dataclasses.asdict(config)))
    assert rebuild(Config, stored) == config
    with pytest.raises(StrbenchError, match="no setting 'temperature'"):
        rebuild(Config, {**stored, "temperature": 1})
