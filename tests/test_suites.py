"""Suites: real and drawn sets apart, every real one with a stand-in."""

from __future__ import annotations

import re

import pytest

from strbench import registry
from strbench.datasets import specs
from strbench.task_protocols import check_protocol

SUITES = registry.table("suites")


@pytest.mark.parametrize("name", SUITES)
def test_a_suite_is_whole(name: str) -> None:
    suite = SUITES[name]
    assert suite.title
    assert suite.splits
    assert len(set(suite.splits)) == len(suite.splits)
    for split in suite.splits:
        assert re.fullmatch(r"[a-z0-9_]+/(test\w*|val)", split)
        assert split.startswith("rendered_") is suite.rendered


@pytest.mark.parametrize("name", SUITES)
def test_a_real_suite_names_a_rendered_stand_in(name: str) -> None:
    suite = SUITES[name]
    if suite.rendered:
        assert suite.stand_in == ""
    else:
        assert SUITES[suite.stand_in].rendered


def test_the_six_common_sets_are_the_regular_and_the_irregular_ones() -> None:
    assert SUITES["common"].splits == SUITES["regular"].splits + SUITES["irregular"].splits
    assert len(SUITES["common-full"].splits) == 6
    assert set(SUITES["common-full"].splits) - set(SUITES["common"].splits) == {
        "ic13_1015/test",
        "ic15_2077/test",
    }


@pytest.mark.parametrize(
    ("name", "words", "uncounted"),
    [
        ("common", 7248, set()),
        ("common-full", 7672, set()),
        ("union14m", 7888, {"union14m_general/test"}),
        ("dig", 25_749, set()),
        ("parseq", 133_197, set()),
        ("detection", 3533, set()),
        ("spotting", 1033, set()),
        ("textzoom", 4373, set()),
    ],
)
def test_a_note_gives_the_size(name: str, words: int, uncounted: set[str]) -> None:
    sizes = {split.name: split.n for spec in specs() for split in spec.splits}
    suite = SUITES[name]
    assert sum(sizes[split] for split in suite.splits) == words
    assert {split for split in suite.splits if not sizes[split]} == uncounted
    assert suite.note.startswith(
        tuple(f"{words:,} {what}" for what in ("words", "photographs", "pairs"))
    )


@pytest.mark.parametrize("name", SUITES)
def test_a_suite_is_of_one_task_and_its_protocols_are_too(name: str) -> None:
    suite = SUITES[name]
    tasks = {split.name: spec.task for spec in specs() for split in spec.splits}
    assert {tasks[split] for split in suite.splits} == {suite.task}
    if suite.task == "detection":
        assert set(suite.protocols) == set(suite.splits)
    for protocol in suite.protocols.values():
        check_protocol(protocol, suite.task)


def test_the_set_of_parseq_begins_with_the_fuller_common_one() -> None:
    assert SUITES["parseq"].splits[:6] == SUITES["common-full"].splits
