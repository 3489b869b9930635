"""Protocols and signatures."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strbench.errors import StrbenchError
from strbench.policies import POLICIES
from strbench.protocols import (
    DEFAULT_PROTOCOL,
    METRICS,
    PROTOCOLS,
    Signature,
    parse_signature,
    protocol,
    signature,
)

LINE = (
    "wacc|strbench-36|case:lower|chars:36|labels:standard|resize:stretch-bicubic-32x128|n:288"
    "|cute80/test@3f9a1c2b|v0.1"
)
names = st.from_regex("[a-z0-9][a-z0-9_.-]{0,12}", fullmatch=True)


def test_every_policy_has_its_protocol() -> None:
    assert {entry.policy for entry in PROTOCOLS.values()} == set(POLICIES)
    assert all(name == entry.name for name, entry in PROTOCOLS.items())
    assert DEFAULT_PROTOCOL in PROTOCOLS


@pytest.mark.parametrize("name", PROTOCOLS)
def test_a_protocol_explains_itself(name: str) -> None:
    entry = protocol(name)
    text = entry.explain()
    for part in (entry.name, entry.title, entry.description, entry.differs, entry.source, "1-NED"):
        assert part
        assert part in text
    assert ("every sample of the split counts" in text) is entry.scores_all


def test_only_the_default_keeps_all_that_ours_promises() -> None:
    ours = [entry for name, entry in PROTOCOLS.items() if name.startswith("strbench")]
    assert len(ours) == 3
    assert all(entry.scores_all for entry in ours)
    assert not protocol("parseq-36").scores_all


def test_unknown_protocol() -> None:
    with pytest.raises(StrbenchError, match="clovaai-36"):
        protocol("clova-36")


def test_the_line() -> None:
    fingerprint = "3f9a1c2b" + "0" * 56
    resize = "stretch-bicubic-32x128"
    assert signature("strbench-36", "cute80/test", 288, fingerprint, "standard", resize) == LINE
    entry = PROTOCOLS["strbench-36"]
    assert signature(entry, "cute80/test", 288, fingerprint, "standard", resize) == LINE
    assert signature(
        entry, "cute80/test", 288, fingerprint, "standard", resize, metric="1-ned"
    ).startswith("1-ned|")


@settings(deadline=None)
@given(
    st.sampled_from(METRICS),
    st.sampled_from(sorted(PROTOCOLS)),
    st.tuples(names, names).map("/".join),
    st.integers(0, 10**9),
    st.from_regex("[0-9a-f]{8,64}", fullmatch=True),
    names,
    names,
)
def test_round_trip(
    metric: str, rule: str, split: str, n: int, fingerprint: str, labels: str, resize: str
) -> None:
    line = signature(rule, split, n, fingerprint, labels, resize, metric=metric)
    parsed = parse_signature(line)
    assert parsed == Signature(
        metric=metric,
        protocol=rule,
        labels=labels,
        resize=resize,
        n=n,
        split_name=split,
        fingerprint=fingerprint[:8],
    )
    assert str(parsed) == line == str(parse_signature(f"  {line}\n"))


def test_whatever_moves_the_number_moves_the_line() -> None:
    base = ("strbench-36", "svt/test", 647, "0" * 64, "standard", "native")
    others = [
        ("clovaai-94-filtered", *base[1:]),
        (base[0], "svt/train", *base[2:]),
        (*base[:2], 646, *base[3:]),
        (*base[:3], "1" * 64, *base[4:]),
        (*base[:4], "case-sensitive", base[5]),
        (*base[:5], "stretch-bicubic-32x128"),
    ]
    assert len({signature(*fields) for fields in [base, *others]}) == 7
    assert len({signature(name, *base[1:]) for name in PROTOCOLS}) == len(PROTOCOLS)


@pytest.mark.parametrize(
    ("old", "new", "part"),
    [
        ("wacc", "acc", "metric"),
        ("strbench-36|", "strbench-37|", "No protocol is named 'strbench-37'"),
        ("case:lower", "case:upper", "The case .* lower under strbench-36, found 'upper'"),
        ("chars:36", "chars:94", "chars"),
        ("chars:36", "chars", "The chars .* chars:VALUE"),
        ("labels:", "label:", "labels"),
        ("labels:standard", "labels:", "labels"),
        ("resize:stretch-bicubic-32x128", "resize:Pillow Bicubic", "resize"),
        ("n:288", "n:-1", "The n of"),
        ("n:288", "n:0288", "The n of"),
        ("n:288", "n:²", "The n of"),
        ("@3f9a1c2b", "", "split"),
        ("cute80/test", "cute80", "split"),
        ("3f9a1c2b", "3F9A1C2B", "fingerprint"),
        ("3f9a1c2b", "3f9a", "fingerprint"),
        ("v0.1", "0.1", "version"),
        ("|n:288", "", "9 parts .*, found 8"),
        ("v0.1", "v0.1|", "9 parts .*, found 10"),
    ],
)
def test_malformed_lines_name_the_part(old: str, new: str, part: str) -> None:
    assert old in LINE
    with pytest.raises(StrbenchError, match=part):
        parse_signature(LINE.replace(old, new))


def test_parts_that_cannot_stand_in_a_line() -> None:
    with pytest.raises(StrbenchError, match="split"):
        signature("strbench-36", "cute|80/test", 288, "0" * 64, "standard", "native")
    with pytest.raises(StrbenchError, match="fingerprint"):
        signature("strbench-36", "cute80/test", 288, "", "standard", "native")
    with pytest.raises(StrbenchError, match="The n of"):
        signature("strbench-36", "cute80/test", -1, "0" * 64, "standard", "native")
