"""Every entry of the catalogue: it loads, builds, and its card is complete and exact."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import EntryPoint
from typing import Any

import pytest
import torch

from strbench import registry
from strbench.errors import StrbenchError, unknown_name
from strbench.records import Record, load_all
from strbench.registry import BUILT_IN, Kind
from strbench.report.committed import committed_folder
from strbench.settings import override

MAKES = {
    "recognition": "recognizer",
    "detection": "detector",
    "super-resolution": "restorer",
    "segmentation": "segmenter",
}
TRAINABLE: list[tuple[Kind, str]] = [
    *(("methods", name) for name in BUILT_IN["methods"]),
    *(("models", name) for name in BUILT_IN["models"]),
]


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    registry._targets.cache_clear()
    yield
    registry._targets.cache_clear()


@pytest.mark.parametrize(("kind", "name"), TRAINABLE)
def test_cards_are_complete(kind: Kind, name: str) -> None:
    method = registry.load(kind, name)
    card = method.card
    assert card.name == name
    assert card.kind == ("pretraining" if kind == "methods" else MAKES[method.task])
    for field in ("title", "licence", "status"):
        assert getattr(card, field), field
    assert card.paper or card.code
    assert card.parameters
    if method.task != "detection":  # photographs of any size
        assert bool(card.height and card.width) == method.needs_images
    assert tuple(method.recipes) == card.recipes
    if kind == "models":
        assert (method.reader is not None) == (method.task == "recognition")
        assert (method.finder is not None) == (method.task == "detection")
        is_of_images = method.task in ("super-resolution", "segmentation")
        assert (method.restorer is not None) == is_of_images
    assert method.needs_labels or method.reader is None


def _entry_of(record: Record) -> str:
    """The entry that a training record is of."""
    return str((record.config.get("resolved") or {}).get("entry", ""))


@pytest.mark.parametrize(("kind", "name"), TRAINABLE)
def test_a_status_is_earned_by_a_committed_record(kind: Kind, name: str) -> None:
    card = registry.load(kind, name).card
    runs = [
        record
        for record in load_all(committed_folder())
        if record.status == "success" and record.weights and _entry_of(record) == name
    ]
    trained = {"methods": "pretrain", "models": "finetune"}[kind]
    is_trained = trained in {record.kind for record in runs}
    assert (card.status in ("trained", "reproduced")) == is_trained


@pytest.mark.parametrize(("kind", "name"), TRAINABLE)
def test_parameters_on_the_card_are_exact(kind: Kind, name: str) -> None:
    method = registry.load(kind, name)
    for part, count in method.card.parameters.items():
        size, *rest = part.split()
        settings = [word for word in rest if word != "trainable"]
        recipe = next(iter(method.recipes.values()))
        with torch.device("meta"):
            module = method.build(override(recipe, [f"size={size}", *settings]))
        counted = [p for p in module.parameters() if "trainable" not in rest or p.requires_grad]
        assert sum(p.numel() for p in counted) == count, part


@pytest.mark.parametrize(("kind", "name"), TRAINABLE)
def test_every_recipe_builds(kind: Kind, name: str) -> None:
    method = registry.load(kind, name)
    for recipe, config in method.recipes.items():
        with torch.device("meta"):
            module = method.build(config)
        assert sum(p.numel() for p in module.parameters()), recipe
        assert callable(module.loss)
        assert bool(config.steps) != bool(config.epochs), f"{recipe}: steps or epochs"
        assert config.batch_size % config.accumulate == 0
        assert callable(method.views(config))


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind in ("engines", "spotters") for name in BUILT_IN[kind]]
)
def test_engines_build_and_say_whether_they_can(kind: registry.Kind, name: str) -> None:
    build = registry.load(kind, name)
    assert callable(build)
    assert build.__doc__
    reason = import_module(build.__module__).is_available()
    assert reason is None or reason.strip()


@pytest.mark.parametrize("name", BUILT_IN["datasets"])
def test_checksums_are_unique_within_a_dataset(name: str) -> None:
    spec = registry.load("datasets", name)
    files = {r.file: r for s in spec.sources for r in (*s.files, *s.optional)}
    sums = Counter(c for r in files.values() for c in {*r.sha256, *r.md5})
    assert [checksum for checksum, times in sums.items() if times > 1] == []
    assert spec.id == name
    assert spec.title
    assert spec.licence
    assert spec.make or spec.paper
    assert all(split.about for split in spec.splits)
    sourced = {split for source in spec.sources for split in source.splits}
    assert sourced == {split.name for split in spec.splits}


def test_splits_are_named_once() -> None:
    names = Counter(
        split.name
        for name in BUILT_IN["datasets"]
        for split in registry.load("datasets", name).splits
    )
    assert [name for name, times in names.items() if times > 1] == []


def test_suites_hold_registered_splits_and_stand_ins() -> None:
    suites = registry.table("suites")
    known = {
        split.name
        for name in BUILT_IN["datasets"]
        for split in registry.load("datasets", name).splits
    }
    for name, suite in suites.items():
        assert set(suite.splits) <= known, name
        assert suite.rendered == all(split.startswith("rendered") for split in suite.splits), name
        assert suite.rendered or suites[suite.stand_in].rendered, name


def test_metrics_have_a_function_with_a_docstring() -> None:
    from strbench.metrics import METRICS

    for metric in METRICS.values():
        module, _, function = metric.function.partition(":")
        text = getattr(import_module(module), function).__doc__
        assert text
        assert ">>>" in text, f"{metric.name} has no worked example"


def test_a_misspelt_name_lists_three_near_ones() -> None:
    with pytest.raises(StrbenchError) as caught:
        registry.load("engines", "rapidcor")
    assert caught.value.message.startswith("No engine is named 'rapidcor'; near names: rapidocr, ")
    assert caught.value.message.count(",") == 2
    assert caught.value.exit_code == 2


def test_unknown_name_without_any_known() -> None:
    assert unknown_name("run", "x", []).message == "No run is named 'x'; there are none yet."
    assert "near names: CUTE80" in unknown_name("dataset", "cute", ["CUTE80", "svt"]).message


def offer(monkeypatch: pytest.MonkeyPatch, *points: EntryPoint) -> None:
    def entry_points(*, group: str) -> list[EntryPoint]:
        return [point for point in points if point.group == group]

    monkeypatch.setattr(registry, "entry_points", entry_points)


class Shouting:
    """A third party's recognizer."""

    def read(self, images: Any) -> list[str]:
        return ["WORD" for _ in images]


def test_third_parties_register_by_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("shouting", f"{__name__}:Shouting", "strbench.engines")
    offer(monkeypatch, point)
    assert registry.names("engines") == [*BUILT_IN["engines"], "shouting"]
    assert registry.load("engines", "shouting") is Shouting
    assert registry.names("methods") == list(BUILT_IN["methods"])


def test_a_third_party_cannot_take_a_built_in_name(monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, EntryPoint("rapidocr", "theirs.module:build", "strbench.engines"))
    with pytest.raises(StrbenchError, match=r"'rapidocr' of theirs\.module:build has the name"):
        registry.names("engines")
