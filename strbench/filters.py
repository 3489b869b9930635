"""Which words of a photograph enter a recognition set, and under what label: named filters.

A filter reads a region as annotated, with its tags (``class``, ``language``, ``legibility``), and
gives the label to use, or None for a word that is left out. Those that carry a repository's name
follow its program so that its counts can be matched, quirks included.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

from strbench.errors import unknown_name
from strbench.text import ALNUM, CHARSETS
from strbench.types import Region


@dataclass(frozen=True, kw_only=True)
class Filter:
    """A label filter: a rule, in words and as a function, and where it comes from."""

    about: str
    source: str
    label: Callable[[Region], str | None]


def keep(region: Region, name: str) -> str | None:
    """The label of a region under a filter of ``FILTERS``; None if the word is left out.

    >>> keep(Region((), "Caf\u00e9"), "latin"), keep(Region((), "Caf\u00e9"), "alnum")
    ('Café', None)

    Raises:
        StrbenchError: no filter has that name.
    """
    if name not in FILTERS:
        raise unknown_name("label filter", name, FILTERS, hint="See: strbench data crop --list")
    return FILTERS[name].label(region) or None


def _legible(region: Region) -> str:
    if region.ignored or region.tags.get("legibility") == "illegible":
        return ""
    return region.text or ""


def _alnum(region: Region) -> str:
    text = _legible(region)
    return text if all(c in ALNUM for c in text) else ""


def _is_latin(character: str) -> bool:
    kind = unicodedata.category(character)
    if character.isascii() or kind[0] not in "LN":
        return True
    return kind[0] == "L" and unicodedata.name(character, "").startswith("LATIN")


def _latin(region: Region) -> str:
    text = _legible(region)
    return text if all(map(_is_latin, text)) else ""


def _parseq_cocotext(region: Region) -> str:
    tags = region.tags
    wanted = {"class": "machine printed", "language": "english", "legibility": "legible"}
    if any(tags.get(key) != value for key, value in wanted.items()):
        return ""
    text = html.unescape((region.text or "").strip())
    is_masked = ("#" in text and text != "#") or text.startswith("*") or text.endswith("*")
    return "" if is_masked else text


def _parseq_textocr(region: Region) -> str:
    return "" if region.text in (None, ".") else str(region.text)


def _parseq_openvino(region: Region) -> str:
    return _legible(region) if region.tags.get("language") == "english" else ""


def _parseq_art(region: Region) -> str:
    text = _legible(region).strip()
    is_latin = region.tags.get("language", "").lower() == "latin"
    return text if is_latin and ("#" not in text or text == "LocaL#3") else ""


_LSVT_SOUND = ("#Find YOUR Fun#", "Story #", "*0#")  # "#" elsewhere masks what cannot be read
_LSVT_BAD = ("LOFTINESS*",)
_CHINESE = re.compile("[\u4e00-\u9fff]")


def _parseq_lsvt(region: Region) -> str:
    text = _legible(region)
    is_masked = "#" in text and text not in _LSVT_SOUND
    return "" if is_masked or text in _LSVT_BAD or _CHINESE.search(text) else text


def _clovaai_train(region: Region) -> str:
    text = _legible(region)
    fits = len(text) <= 25 and all(c in CHARSETS["36"].characters for c in text.lower())
    return text if fits else ""


FILTERS: dict[str, Filter] = {
    "all": Filter(
        about="every region with a text, whatever it says: ignored ones with their ### too",
        source="",
        label=lambda region: region.text,
    ),
    "legible": Filter(
        about="not ignored, not tagged illegible, with a text",
        source="",
        label=_legible,
    ),
    "alnum": Filter(
        about="legible, and nothing but 0-9 A-Z a-z",
        source="the alphanumeric sets of the field, e.g. the 1,015 words of ICDAR 2013",
        label=_alnum,
    ),
    "latin": Filter(
        about="legible, without letters or numerals of another script; accents and punctuation stay",
        source="",
        label=_latin,
    ),
    "parseq-cocotext": Filter(
        about="machine printed, English and legible; HTML entities resolved; without words that "
        "hold # (but # itself stays) or that begin or end with *",
        source="PARSeq, tools/coco_2_converter.py",
        label=_parseq_cocotext,
    ),
    "parseq-textocr": Filter(
        about='every text but "." (which stands for illegible)',
        source="PARSeq, tools/textocr_converter.py",
        label=_parseq_textocr,
    ),
    "parseq-openvino": Filter(
        about="legible and tagged English",
        source="PARSeq, tools/openvino_converter.py",
        label=_parseq_openvino,
    ),
    "parseq-art": Filter(
        about="legible and tagged Latin, blanks at the ends removed; with # only LocaL#3",
        source="PARSeq, tools/art_converter.py",
        label=_parseq_art,
    ),
    "parseq-lsvt": Filter(
        about="legible and without Chinese characters (U+4E00-U+9FFF); with # only three known "
        "words; without LOFTINESS*",
        source="PARSeq, tools/lsvt_converter.py",
        label=_parseq_lsvt,
    ),
    "clovaai-train": Filter(
        about="legible, 25 characters or fewer, nothing but 0-9 a-z after lower-casing",
        source="clovaai deep-text-recognition-benchmark, dataset.py, data filtering with its "
        "default options",
        label=_clovaai_train,
    ),
}
