"""Suites: real and drawn sets apart, every real one with a stand-in."""

from __future__ import annotations

import re

import pytest

from strbench import registry

SUITES = registry.table("suites")


@pytest.mark.parametrize("name", SUITES)
def test_a_suite_is_whole(name: str) -> None:
    suite = SUITES[name]
    assert suite.title
    assert suite.splits
    assert len(set(suite.splits)) == len(suite.splits)
    for split in suite.splits:
        assert re.fullmatch(r"[a-z0-9_]+/test", split)
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


def test_every_real_split_belongs_to_a_known_dataset() -> None:
    known = registry.names("datasets")
    for suite in SUITES.values():
        for split in suite.splits:
            dataset = split.partition("/")[0].partition("_")[0]
            assert dataset in known or dataset in ("host", "wost")  # both parsed from "ost"
