"""Named policies: how a label and a prediction become comparable.

A policy is data: what happens to the label, what happens to the prediction, which samples are not
scored, and how 1-NED treats the empty string. strbench's own policies score every sample of the
split. Those of other repositories exist so that their published numbers can be matched; they carry
that repository's quirks, each of which is written down in the policy's text.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from strbench.errors import unknown_name
from strbench.text import (
    ALNUM,
    CHARSETS,
    PRINTABLE_94,
    Normalise,
    alnum_lower,
    as_is,
    fold_case,
)


def _keep(characters: str) -> Normalise:
    """Only these characters stay. The class is escaped: nothing in it acts as an operator."""
    others = re.compile(f"[^{re.escape(characters)}]+")
    return lambda text: others.sub("", text)


def _then(*steps: Normalise) -> Normalise:
    def normalise(text: str) -> str:
        for step in steps:
            text = step(text)
        return text

    return normalise


def _without_space(text: str) -> str:
    return text.replace(" ", "")


def _without_whitespace(text: str) -> str:
    return "".join(text.split())


def _to_ascii(text: str) -> str:
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode("ascii")


_keep_36 = _keep(CHARSETS["36"].characters)
_keep_alnum = _keep(ALNUM)
_keep_94 = _keep(PRINTABLE_94)
# clovaai builds "[^...]" from the 94 characters without escaping them: "\]" then reads as "]" and
# the backslash is no member, while ",-." reads as a range that holds just those three.
_keep_93 = _keep(PRINTABLE_94.replace("\\", ""))
# MMOCR writes "[^A-Z^a-z^0-9^\u4e00-\u9fa5]": the carets after the first are members.
_NOT_MMOCR = re.compile("[^0-9A-Za-z^\u4e00-\u9fa5]+")

RRC_SPECIALS = "!?.:,*\"()·[]/'"  # SPECIAL_CHARACTERS of the RRC end-to-end script
_RRC_LETTERS = re.compile("[a-zA-ZÀ-ÖØ-öø-ƿǄ-ɿ\u0386-\u03ff-]*")  # without the signs × and ÷


def rrc_match(label: str, text: str) -> bool | None:
    """Whether the RRC end-to-end script takes ``text`` for ``label`` (both upper-cased by Python).

    They agree as they are, or after one special character is taken off the label's start, its end,
    or both; the prediction is never stripped. None for an empty label with a text that is not empty:
    the script stops there with an IndexError.

    >>> rrc_match("Dr.", "dr"), rrc_match("dr", "Dr."), rrc_match("", ""), rrc_match("", "x")
    (True, False, True, None)

    Source: rrc.cvc.uab.es, script of Challenge 4 task 4 (E2E_iou_1_1), transcription_match.
    """
    label, text = label.upper(), text.upper()
    if label == text:
        return True
    if not label:
        return None
    first, last = label[0] in RRC_SPECIALS, label[-1] in RRC_SPECIALS
    return (
        (first and label[1:] == text)
        or (last and label[:-1] == text)
        or (first and last and label[1:-1] == text)
    )


def rrc_strip(text: str) -> str:
    """``text`` upper-cased, without special characters at either end."""
    return text.upper().strip(RRC_SPECIALS)


def rrc_spotting_text(label: str) -> str:
    """The label that RRC word spotting compares: no final 's, outer hyphens or outer specials."""
    if label.endswith(("'s", "'S")):
        label = label[:-2]
    label = label.strip("-")
    for character in RRC_SPECIALS:
        label = label.replace(character, " ")
    return label.strip()


def rrc_spotting_keeps(label: str) -> bool:
    """Whether RRC word spotting asks for this word: after cleaning, one word of three or more
    letters (Latin, Greek) or hyphens; a digit disqualifies.

    >>> [rrc_spotting_keeps(word) for word in ("Joe's", "e-mail", "A4", "at", "new york")]
    [True, True, False, False, False]

    Source: the same script, include_in_dictionary.
    """
    label = rrc_spotting_text(label)
    return len(label) >= 3 and _RRC_LETTERS.fullmatch(label) is not None


@dataclass(frozen=True, kw_only=True)
class Policy:
    """How a label and a prediction become comparable, as one repository does it.

    ``case`` and ``chars`` are its short names in a signature. ``ned`` is the rule of 1-NED:
    "longer" divides the edit distance by the longer length and gives 1 to two empty strings;
    "longer-empty-0" gives 0 as soon as either is empty. ``ned_like`` names the policy whose strings
    1-NED is taken over where that is not this one. ``drop`` returns why a label is not scored, or "".
    ``match``, where set, replaces equality of the two normalised strings (None counts as wrong).
    """

    name: str
    case: Literal["kept", "lower", "upper"]
    chars: str
    label: Normalise
    pred: Normalise
    text: str  # the rules in words
    source: str  # official file
    drop: Callable[[str], str] | None = None
    match: Callable[[str, str], bool | None] | None = None
    ned: Literal["longer", "longer-empty-0"] = "longer"
    ned_like: str = ""


def _clovaai_drop(allowed: str) -> Callable[[str], str]:
    members = frozenset(allowed)

    def drop(label: str) -> str:
        if len(label) > 25:  # batch_max_length
            return "label longer than 25 characters"
        return "" if members.issuperset(label.lower()) else "label has characters outside the set"

    return drop


def _dig_drop(label: str) -> str:
    # max_len 25 of the published commands holds the end token too.
    return "label of 24 or more characters" if len(label) + 1 >= 25 else ""


def _parseq(chars: str, keep: Normalise, *, ascii_first: bool) -> Policy:
    first = _then(_without_whitespace, _to_ascii) if ascii_first else _without_whitespace
    adapt = _then(str.lower, keep) if chars == "36" else keep

    def drop(label: str) -> str:
        label = first(label)
        if len(label) > 25:  # max_label_length of configs/main.yaml, before the charset applies
            return "label longer than 25 characters"
        return "" if adapt(label) else "label empty after normalisation"

    case = "lower-cased and " if chars == "36" else ""
    unicode = " decomposed (NFKD) and stripped to ASCII," if ascii_first else ""
    return Policy(
        name=f"parseq-{chars}" + ("" if ascii_first else "-no-unicode-norm"),
        case="lower" if chars == "36" else "kept",
        chars=chars,
        label=_then(first, adapt),
        pred=adapt,
        drop=drop,
        text=f"Label: whitespace removed,{unicode} {case}cut to the {chars} characters. "
        f"Prediction: only {case}cut to the {chars} characters, so an accented letter is lost there "
        "and kept in the label. Labels above 25 characters or without any of the characters drop.",
        source="baudm/parseq strhub/data/dataset.py, strhub/data/utils.py, strhub/models/base.py",
    )


def _paddle(name: str, *steps: Normalise, case: Literal["kept", "lower"], text: str) -> Policy:
    openocr = name.startswith("openocr")
    normalise = _then(*steps)
    return Policy(
        name=name,
        case=case,
        chars="36" if _keep_alnum in steps else "all",
        label=normalise,
        pred=normalise,
        text=f"Both sides: {text}. The official figure divides by n + 1e-5, here by n.",
        source="Topdu/OpenOCR openrec/metrics/rec_metric.py"
        if openocr
        else "PaddlePaddle/PaddleOCR ppocr/metrics/rec_metric.py",
    )


_OURS = "strbench"
# Texts as its decoders return them; its attention decoder also ends a label at a literal "[s]".
_CLOVAAI = "clovaai/deep-text-recognition-benchmark dataset.py, test.py"
_MMOCR = "open-mmlab/mmocr mmocr/evaluation/metrics/recog_metric.py"
_RRC = "rrc.cvc.uab.es Challenge 4 task 4, script.py of E2E_iou_1_1"
_MLT19 = "rrc.cvc.uab.es MLT19 task 4 evaluation script"
_symbol_free = _then(str.lower, lambda text: _NOT_MMOCR.sub("", text))
_lower_36 = _then(str.lower, _keep_36)
_SPACE = "blanks (U+0020) removed, "
_ALNUM = "cut to ASCII letters and digits, "

# fmt: off
_POLICIES = (
    Policy(name="strbench-36", case="lower", chars="36", label=alnum_lower, pred=alnum_lower,
           text="Both sides: cut to ASCII letters and digits, then lower-cased. No Unicode "
           "normalisation, every sample scored, a label that becomes empty included.",
           source=_OURS),
    Policy(name="strbench-case", case="lower", chars="all", label=fold_case, pred=fold_case,
           text="Both sides lower-cased; every character counts. Every sample scored.",
           source=_OURS),
    Policy(name="strbench-exact", case="kept", chars="all", label=as_is, pred=as_is,
           text="Equal code points. Every sample scored.", source=_OURS),
    Policy(name="clovaai-36", case="lower", chars="36", label=_lower_36, pred=as_is,
           drop=_clovaai_drop(CHARSETS["36"].characters), ned="longer-empty-0",
           text="Label: lower-cased, cut to 0-9a-z. Prediction: untouched, so a capital or a sign "
           "in it is an error. Labels above 25 characters or with any other character drop.",
           source=_CLOVAAI),
    Policy(name="clovaai-94-filtered", case="lower", chars="36", label=_lower_36, pred=_lower_36,
           ned="longer-empty-0",
           text="Options --sensitive --data_filtering_off. Both sides: lower-cased, then cut to "
           "0-9a-z. Nothing drops. 1-NED is 0 where either side is empty, even both. The "
           "official loader cuts labels to printable ASCII before, which matters to the dotted "
           "capital I and the Kelvin sign alone: here test.py's own rule reads them as i and k.",
           source=_CLOVAAI),
    Policy(name="clovaai-94-sensitive", case="kept", chars="93", label=_keep_93, pred=as_is,
           drop=_clovaai_drop(PRINTABLE_94.replace("\\", "")), ned="longer-empty-0",
           text="Option --sensitive. Label: cut to the printable ASCII characters without the "
           "backslash, which an unescaped regular expression loses. Prediction: untouched. Labels "
           "above 25 characters or with any other character drop.", source=_CLOVAAI),
    Policy(name="dig", case="lower", chars="36", label=alnum_lower, pred=alnum_lower,
           drop=_dig_drop,
           text="Both sides: cut to ASCII letters and digits, then lower-cased. A label of 24 or "
           "more characters drops; the official loader reads a later item again in its place, so "
           "its n stays. No 1-NED there; strbench's rule is used.",
           source="ayumiymk/DiG evaluation_metric/metrics.py, dataset/dataset_lmdb.py"),
    *(_parseq(chars, keep, ascii_first=ascii_first) for ascii_first in (True, False)
      for chars, keep in (("36", _keep_36), ("62", _keep_alnum), ("94", _keep_94))),
    Policy(name="mmocr-exact", case="kept", chars="all", label=as_is, pred=as_is,
           ned_like="mmocr-ignore-case-symbol",
           text="Equal code points. MMOCR has one 1-N.E.D, over lower-cased texts without symbols.",
           source=_MMOCR),
    Policy(name="mmocr-ignore-case", case="lower", chars="all", label=str.lower, pred=str.lower,
           ned_like="mmocr-ignore-case-symbol",
           text="Both sides lower-cased. 1-N.E.D is that of mmocr-ignore-case-symbol.",
           source=_MMOCR),
    Policy(name="mmocr-ignore-case-symbol", case="lower", chars="36+caret+han",
           label=_symbol_free, pred=_symbol_free,
           text="Both sides: lower-cased, then cut to 0-9a-z, U+4E00 to U+9FA5 and the caret, which "
           "a slip in the pattern lets through. Kana, Hangul and accents vanish, so two different "
           "Korean words agree.", source=_MMOCR),
    _paddle("paddleocr", _without_space, case="kept", text=_SPACE + "case kept"),
    _paddle("paddleocr-filter", _without_space, _keep_alnum, str.lower, case="lower",
            text=_SPACE + _ALNUM + "lower-cased"),
    _paddle("paddleocr-with-space", as_is, case="kept", text="as they are, blanks and case kept"),
    _paddle("openocr", _without_space, str.lower, case="lower", text=_SPACE + "lower-cased"),
    _paddle("openocr-filter", _without_space, _keep_alnum, str.lower, case="lower",
            text=_SPACE + _ALNUM + "lower-cased"),
    _paddle("openocr-case", _without_space, case="kept", text=_SPACE + "case kept"),
    _paddle("openocr-filter-with-space", _keep_alnum, str.lower, case="lower",
            text=_ALNUM + "lower-cased (blanks go with the cut)"),
    Policy(name="rrc-mlt19", case="kept", chars="all", label=as_is, pred=as_is,
           text="Equal code points. Two empty strings give 1-NED 1.", source=_MLT19),
    Policy(name="rrc-mlt19-upper", case="upper", chars="all", label=str.upper, pred=str.upper,
           text="Both sides upper-cased, so a sharp s equals SS.", source=_MLT19),
    Policy(name="rrc-e2e", case="upper", chars="all", label=str.upper, pred=str.upper,
           match=rrc_match,
           text="Both sides upper-cased; the label may lose one special character at its start, end "
           "or both. An empty label with a text, where the script stops, counts as wrong. 1-NED is "
           "strbench's, over the upper-cased texts.", source=_RRC),
    Policy(name="rrc-e2e-stripped", case="upper", chars="all", label=rrc_strip, pred=rrc_strip,
           text="Option ONLY_REMOVE_FIRST_LAST_CHARACTER off: both sides upper-cased and stripped of "
           "all special characters at both ends.", source=_RRC),
    Policy(name="rrc-spotting", case="upper", chars="all",
           label=_then(rrc_spotting_text, str.upper), pred=str.upper,
           drop=lambda label: "" if rrc_spotting_keeps(label) else "label is not a word to spot",
           text="Labels that are not one word of three or more letters after cleaning drop. Label: "
           "cleaned of a final 's, hyphens and special characters, upper-cased. Prediction: "
           "upper-cased.", source=_RRC),
)
# fmt: on
POLICIES: dict[str, Policy] = {policy.name: policy for policy in _POLICIES}
DEFAULT_POLICY = "strbench-36"


def policy(name: str) -> Policy:
    """The policy of that name.

    Raises:
        StrbenchError: no policy has it; three near names are listed.
    """
    if name not in POLICIES:
        raise unknown_name("policy", name, POLICIES, hint="See: strbench list protocols")
    return POLICIES[name]
