"""Protocols by name, and the signature that a score carries under every table.

A protocol says all that decides a word recogniser's number apart from data and model: the policy by
which texts are compared and samples dropped. A signature adds the rest: which split with which
pixels and labels, how many samples, how crops were resized. It is one line, and reading it back
gives the same fields:

    wacc|strbench-36|case:lower|chars:36|labels:standard|resize:stretch-bicubic-32x128|n:288|cute80/test@3f9a1c2b|v0.1
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from strbench.errors import StrbenchError, unknown_name
from strbench.policies import DEFAULT_POLICY, POLICIES, Policy

SIGNATURE_VERSION = "v0.1"  # raised by any change of strbench that moves a number
DEFAULT_PROTOCOL = DEFAULT_POLICY
METRICS = ("wacc", "1-ned")  # word accuracy and 1 - normalised edit distance
FINGERPRINT_DIGITS = 8  # of the 64 that a manifest holds


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """How word predictions become a number, as one community does it."""

    name: str
    title: str
    policy: str  # name in strbench.policies.POLICIES
    description: str
    differs: str  # from strbench-36
    source: str

    @property
    def rules(self) -> Policy:
        return POLICIES[self.policy]

    @property
    def scores_all(self) -> bool:
        """Whether every sample of the split counts; False where some may be left out."""
        return self.rules.drop is None

    def explain(self) -> str:
        """Plain text for ``strbench show protocol NAME``."""
        ned = (
            "1-NED: 1 - edit distance / longer length; two empty texts give 0."
            if self.rules.ned == "longer-empty-0"
            else "1-NED: 1 - edit distance / longer length; two empty texts give 1."
        )
        samples = (
            "Samples: every sample of the split counts."
            if self.scores_all
            else "Samples: some drop out of the count, as the rules above say; the signature's n tells."
        )
        lines = [
            f"{self.name}: {self.title}",
            "",
            self.description,
            ned,
            samples,
            f"Differs from {DEFAULT_PROTOCOL}: {self.differs}",
            f"Source: {self.source}",
        ]
        return "\n".join(lines)


_TITLES: dict[str, tuple[str, str]] = {  # policy -> title, what differs from strbench-36
    "strbench-36": (
        "36 characters, case-folded, every sample (default)",
        "not at all. NFKD is left out on purpose: DiG, ABINet and clovaai score this protocol "
        "without it, and PARSeq, which has it, applies it to labels only, so that a rightly read "
        "accent counts as an error.",
    ),
    "strbench-case": ("case-insensitive, all characters", "signs and accents count."),
    "strbench-exact": ("exact match", "case, signs and accents count."),
    "clovaai-36": (
        "deep-text-recognition-benchmark, default options",
        "samples drop, and the prediction is compared as it is.",
    ),
    "clovaai-94-filtered": (
        "deep-text-recognition-benchmark, --sensitive --data_filtering_off",
        "lower-casing comes before the cut, so the Kelvin sign becomes k and the dotted capital I "
        "becomes i; two empty texts give 1-NED 0.",
    ),
    "clovaai-94-sensitive": (
        "deep-text-recognition-benchmark, --sensitive",
        "samples drop; case and signs count, but for the backslash.",
    ),
    "dig": ("DiG (Yang et al., MM 2022), released code", "labels of 24 or more characters drop."),
    "parseq-36": (
        "PARSeq test.py, default",
        "labels are folded to ASCII (NFKD), predictions are not; empty and long labels drop.",
    ),
    "parseq-62": ("PARSeq test.py --cased", "as parseq-36, and case counts."),
    "parseq-94": (
        "PARSeq test.py --cased --punctuation",
        "as parseq-36, and case and ASCII signs count.",
    ),
    "parseq-36-no-unicode-norm": (
        "PARSeq, normalize_unicode=False, 36 characters",
        "empty and long labels drop.",
    ),
    "parseq-62-no-unicode-norm": (
        "PARSeq, normalize_unicode=False, 62 characters",
        "empty and long labels drop; case counts.",
    ),
    "parseq-94-no-unicode-norm": (
        "PARSeq, normalize_unicode=False, 94 characters",
        "empty and long labels drop; case and ASCII signs count.",
    ),
    "mmocr-exact": ("MMOCR word_acc", "case, signs and accents count."),
    "mmocr-ignore-case": ("MMOCR word_acc_ignore_case", "signs and accents count."),
    "mmocr-ignore-case-symbol": (
        "MMOCR word_acc_ignore_case_symbol",
        "the caret and Chinese characters count as letters.",
    ),
    "paddleocr": ("PaddleOCR RecMetric, default", "case and signs count; blanks do not."),
    "paddleocr-filter": ("PaddleOCR RecMetric, is_filter", "not in the word decisions."),
    "paddleocr-with-space": (
        "PaddleOCR RecMetric, ignore_space=False",
        "case, signs and blanks count.",
    ),
    "openocr": ("OpenOCR RecMetric, default", "signs and accents count; blanks do not."),
    "openocr-filter": ("OpenOCR RecMetric, is_filter", "not in the word decisions."),
    "openocr-case": ("OpenOCR RecMetric, is_lower=False", "case and signs count; blanks do not."),
    "openocr-filter-with-space": (
        "OpenOCR RecMetric, is_filter, ignore_space=False",
        "not in the word decisions.",
    ),
    "rrc-mlt19": ("ICDAR 2019 MLT task 4 texts", "every character counts."),
    "rrc-mlt19-upper": (
        "ICDAR 2019 MLT task 4 texts, upper-cased",
        "every character counts but for case.",
    ),
    "rrc-e2e": (
        "Robust reading end-to-end text rule",
        "inner signs count; only the label may lose one sign at an end.",
    ),
    "rrc-e2e-stripped": (
        "Robust reading end-to-end text rule, both sides stripped",
        "inner signs count.",
    ),
    "rrc-spotting": (
        "Robust reading word spotting text rule",
        "only words of three or more letters count; the prediction keeps its signs.",
    ),
}

PROTOCOLS: dict[str, Protocol] = {
    name: Protocol(
        name=name,
        title=title,
        policy=name,
        description=POLICIES[name].text,
        differs=differs,
        source=POLICIES[name].source,
    )
    for name, (title, differs) in _TITLES.items()
}


def protocol(name: str) -> Protocol:
    """The protocol of that name.

    Raises:
        StrbenchError: no protocol has it; three near names are listed.
    """
    if name not in PROTOCOLS:
        raise unknown_name("protocol", name, PROTOCOLS, hint="See: strbench list protocols")
    return PROTOCOLS[name]


@dataclass(frozen=True, kw_only=True)
class Signature:
    """The fields of a signature; ``str`` gives the line."""

    metric: str
    protocol: str
    labels: str  # label variant, as the split's manifest has it
    resize: str  # "native", or policy and size such as "stretch-bicubic-32x128"
    n: int  # samples scored
    split_name: str  # "dataset/split"
    fingerprint: str  # first hex digits of the split's fingerprint
    version: str = SIGNATURE_VERSION

    def __post_init__(self) -> None:
        for part, value in (
            ("metric", self.metric),
            ("labels", self.labels),
            ("resize", self.resize),
            ("split", self.split_name),
            ("fingerprint", self.fingerprint),
            ("version", self.version),
        ):
            _check(part, value)
        _check("n", str(self.n))
        protocol(self.protocol)

    def __str__(self) -> str:
        rules = protocol(self.protocol).rules
        return "|".join(
            (
                self.metric,
                self.protocol,
                f"case:{rules.case}",
                f"chars:{rules.chars}",
                f"labels:{self.labels}",
                f"resize:{self.resize}",
                f"n:{self.n}",
                f"{self.split_name}@{self.fingerprint}",
                self.version,
            )
        )


_NAME = "[a-z0-9][a-z0-9_.-]*"
_FORMS = {  # part -> pattern, and the same in words
    "metric": ("|".join(METRICS), " or ".join(METRICS)),
    "labels": (_NAME, "a label variant such as standard"),
    "resize": (_NAME, "native, or policy and size such as stretch-bicubic-32x128"),
    "n": ("0|[1-9][0-9]{0,17}", "a whole number"),
    "split": (f"{_NAME}/{_NAME}", "dataset/split"),
    "fingerprint": (f"[0-9a-f]{{{FINGERPRINT_DIGITS}}}", f"{FINGERPRINT_DIGITS} hex digits"),
    "version": (r"v[0-9]+(\.[0-9]+)*", "a version such as v0.1"),
}
_PARTS = ("metric", "protocol", "case", "chars", "labels", "resize", "n", "split", "version")


def _malformed(part: str, expected: str, found: str) -> StrbenchError:
    return StrbenchError(
        f"The {part} of a signature must be {expected}, found {found!r}.",
        hint="Copy the whole line below a table, in quotes.",
    )


def _check(part: str, value: str) -> None:
    pattern, expected = _FORMS[part]
    if re.fullmatch(pattern, value) is None:
        raise _malformed(part, expected, value)


def signature(
    protocol: str | Protocol,
    split_name: str,
    n: int,
    fingerprint: str,
    labels_variant: str,
    resize: str,
    *,
    metric: str = "wacc",
) -> str:
    """The line that says all that moves a score.

    Args:
        n: samples scored: the split's n, less what the protocol drops or a limit leaves out.
        fingerprint: of the split, in full or its first eight hex digits.
        labels_variant: the manifest's ``labels``.
        resize: how crops became the model's input, with the size where there is one.

    Raises:
        StrbenchError: a part cannot stand in a signature; the message names it.

    >>> signature("strbench-36", "cute80/test", 288, "3f9a1c2b77", "standard", "native")
    'wacc|strbench-36|case:lower|chars:36|labels:standard|resize:native|n:288|cute80/test@3f9a1c2b|v0.1'
    """
    return str(
        Signature(
            metric=metric,
            protocol=protocol if isinstance(protocol, str) else protocol.name,
            labels=labels_variant,
            resize=resize,
            n=n,
            split_name=split_name,
            fingerprint=fingerprint[:FINGERPRINT_DIGITS],
        )
    )


def parse_signature(text: str) -> Signature:
    """The fields of a signature line.

    Raises:
        StrbenchError: a part is missing, misplaced, malformed, or contradicts the protocol; the
            message names it.

    >>> parse_signature(
    ...     "wacc|strbench-36|case:lower|chars:36|labels:standard|resize:native|n:288"
    ...     "|cute80/test@3f9a1c2b|v0.1"
    ... ).n
    288
    """
    parts = text.strip().split("|")
    if len(parts) != len(_PARTS):
        raise StrbenchError(
            f"A signature has {len(_PARTS)} parts ({'|'.join(_PARTS)}), found {len(parts)}.",
            hint="Copy the whole line below a table, in quotes.",
        )
    found = dict(zip(_PARTS, parts, strict=True))
    for key in ("case", "chars", "labels", "resize", "n"):
        prefix, colon, value = found[key].partition(":")
        if prefix != key or not colon:
            raise _malformed(key, f"{key}:VALUE", found[key])
        found[key] = value
    split, at, fingerprint = found["split"].partition("@")
    if not at:
        raise _malformed("split", "dataset/split@fingerprint", found["split"])
    rules = protocol(found["protocol"]).rules
    for key, expected in (("case", rules.case), ("chars", rules.chars)):
        if found[key] != expected:
            raise _malformed(key, f"{expected} under {found['protocol']}", found[key])
    _check("n", found["n"])
    return Signature(
        metric=found["metric"],
        protocol=found["protocol"],
        labels=found["labels"],
        resize=found["resize"],
        n=int(found["n"]),
        split_name=split,
        fingerprint=fingerprint,
        version=found["version"],
    )


def differing(given: str, made: str) -> tuple[str, str] | None:
    """The first part in which two signatures differ, of both; None where only the metric does.

    >>> one = "wacc|strbench-36|case:lower|chars:36|labels:standard|resize:native|n:288|cute80/test@3f9a1c2b|v0.1"
    >>> differing(one, one.replace("n:288", "n:287"))
    ('n:288', 'n:287')
    """
    parts = zip(given.split("|")[1:], made.split("|")[1:], strict=True)
    return next((pair for pair in parts if pair[0] != pair[1]), None)
