"""Which format annotation files have, told by their content and, of a folder, by all files together.

Formats of regions are the keys of ``PAGE`` and ``PAGES``, which also read them. Formats of words:

==================  ==============================================================================
``words``           images and their texts in one of the usual forms
``iiit5k-mat``      IIIT5K's MATLAB files
``words-lexicons``  ``path text N words``: SVTP and CUTE80 as packed for MMOCR
``iam-words``       IAM's ``words.txt``
``rwth-words``      the RWTH partition of IAM
``cocotext-words``  the word crops of COCO-Text
``word-crops``      the JSON of ArT's word crops
``word``            a text file per image
``lines``           lines of anything else: a lexicon, a list of ids
==================  ==============================================================================

One row often fits several layouts: a quadrilateral whose text is ``1,000`` may be a pentagon. So the
files of a folder are judged together, the stricter layout first, and a layout is taken even where a
few rows do not fit it: reading then names the row that is wrong, which a looser layout would hide.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

from strbench.annotations.boxes import LTRB, NUMBER, count_numbers, read_boxes
from strbench.annotations.coco import CocoPage, read_cocotext, read_openvino, read_textocr
from strbench.annotations.competition import read_lsvt
from strbench.annotations.curves import read_ctw1500, read_ctw1500_xml, read_totaltext
from strbench.annotations.markup import read_tagset
from strbench.annotations.mat5 import variables
from strbench.annotations.matlab import Held, read_synthtext, read_totaltext_mat
from strbench.annotations.mmocr import read_mmocr
from strbench.annotations.paddle import read_paddle
from strbench.annotations.turned import read_turned
from strbench.errors import StrbenchError
from strbench.types import Region

Pages = Iterable[tuple[str, Sequence[Region]]]  # photograph, as the file names it, and its regions


def _named(
    read: Callable[[bytes, str], Mapping[str, Sequence[Region]]],
) -> Callable[[bytes, str], Pages]:
    return lambda data, place: read(data, place).items()


def _coco(read: Callable[[bytes, str], Mapping[str, CocoPage]]) -> Callable[[bytes, str], Pages]:
    return lambda data, place: ((page.file, page.regions) for page in read(data, place).values())


# A file per photograph: bytes and place -> regions.
PAGE: dict[str, Callable[[bytes, str], Sequence[Region]]] = {
    "turned": read_turned,
    "ltrb": partial(read_boxes, layout="ltrb"),
    "quad-script": partial(read_boxes, layout="quad-script"),
    "offsets-14": read_ctw1500,
    "polygon-14": read_ctw1500,
    "quad": partial(read_boxes, layout="quad"),
    "polygon": partial(read_boxes, layout="polygon"),
    "totaltext": read_totaltext,
    "totaltext-mat": read_totaltext_mat,
    "ctw1500-xml": read_ctw1500_xml,
}
# A file for many photographs: bytes and place -> its pages.
PAGES: dict[str, Callable[[bytes, str], Pages]] = {
    "mmocr": _named(read_mmocr),
    "paddle": _named(read_paddle),
    "lsvt": _named(read_lsvt),
    "cocotext": _coco(read_cocotext),
    "textocr": _coco(read_textocr),
    "openvino": _coco(read_openvino),
    "tagset": lambda data, place: ((m.name, m.regions) for m in read_tagset(data, place)),
    "synthtext-mat": lambda data, place: read_synthtext(Held(data, place)),
}
# Layouts of rows, in the order in which they are tried: the strictest first.
_ROWS = ("turned", "ltrb", "quad-script", "offsets-14", "polygon-14", "quad", "polygon")
_COORDINATES = {"polygon-14": 28, "quad": 8}
# The scripts that MLT 2017 and 2019 name.
_SCRIPTS = {"Arabic", "Bangla", "Chinese", "Hindi", "Japanese", "Korean", "Latin", "Mixed", "None",
            "Symbols"}  # fmt: skip
_LOOKED_AT = 1000  # lines of a file; 20 where the folder holds more than 200 files
_NEARLY_ALL = 0.95
_TURNED = re.compile(
    rf"\s*\d+\s+[01](?:\s+{NUMBER}){{5}}(?:\s.*)?$|(?:{NUMBER},){{4}}-?[0-6](?:\.\d+)?,[^\d]*$"
)  # MSRA-TD500; TextBPN's copy, whose fifth number is an angle
_PADDLE = re.compile(r"[^\t\n]+\t\[(?:\{|\])")
_TOTALTEXT = re.compile(r"\s*x:\s*\[\[")
_ROOT = re.compile(r"<([A-Za-z_][\w.-]*)")  # the first element: `<?` and `<!` begin none
_IMAGE = re.compile(r"\.(?:jpe?g|png|bmp|gif|tiff?|webp)$", re.IGNORECASE)
# ICDAR 2015's coords.txt: where a word lies in its crop
_CORNERS = re.compile(rf"[^,]+(?:,\s*{NUMBER}\s*){{8}}")
_WORD_LISTS = {
    "iam-words": re.compile(r"[a-z]\d\d-\d{3}[a-z]?-\d\d-\d\d (?:ok|err) "),
    "rwth-words": re.compile(r"[a-z]\d\d-\d{3}[a-z]?-\d\d-\d\d,\d+ ."),
    "cocotext-words": re.compile(r"\d+,\|"),
}


def guess(files: Mapping[str, bytes]) -> dict[str, list[str]]:
    """Format -> names of files, for the files of one folder; "" where a format is not known.

    >>> guess({"gt_1.txt": b"1,1,9,1,9,5,1,5,EXIT", "a.txt": b"one\\ntwo"})
    {'quad': ['gt_1.txt'], 'lines': ['a.txt']}
    """
    found: dict[str, list[str]] = defaultdict(list)
    pools: dict[str, dict[str, _Rows]] = defaultdict(dict)  # by suffix
    depth = _LOOKED_AT if len(files) <= 200 else 20
    for name, data in files.items():
        if (kind := _kind_of_one(name, data)) is not None:
            found[kind].append(name)
        else:
            pools[name.rpartition(".")[2].lower()][name] = _look(data, depth)
    for pool in pools.values():
        for kind, names in _sort_out(pool):
            found[kind] += names
    return dict(found)


def _kind_of_one(name: str, data: bytes) -> str | None:
    """The format of a file that its beginning tells; None for rows of text."""
    if data.startswith(b"MATLAB 5.0"):
        return _mat_kind(data, name)
    if b"\0" in data[:4096]:
        return ""
    start = data[:4096].decode("utf-8-sig", "replace").lstrip()
    is_json = name.lower().endswith((".json", ".jsonl"))
    if start.startswith(("{", "[")) and ((kind := _json_kind(data)) or is_json):
        return kind
    if start.startswith("<") and (root := _ROOT.search(start)):
        return {"tagset": "tagset", "annotations": "ctw1500-xml"}.get(root[1].lower(), "")
    if name.lower().endswith(".csv"):
        return "words"
    if _PADDLE.match(start):
        return "paddle"
    return "totaltext" if _TOTALTEXT.match(start) else None


def _mat_kind(data: bytes, name: str) -> str:
    """The format of a MATLAB file, told by its variables; "" if it is damaged or another one."""
    try:
        found = variables(Held(data, name))
    except StrbenchError:
        return ""
    if found.keys() & {"polygt", "gt"}:
        return "totaltext-mat"
    if "wordBB" in found:
        return "synthtext-mat"
    is_iiit5k = any(re.fullmatch(r"(?:train|test)(?:data|CharBound)", held) for held in found)
    return "iiit5k-mat" if is_iiit5k else ""


def _json_kind(data: bytes) -> str:
    """The format of a JSON file; "" if it is none, or one of something else."""
    text = data.decode("utf-8-sig", "replace")
    try:
        root = json.loads(text)
    except (ValueError, RecursionError):
        try:
            root = json.loads(text.lstrip().partition("\n")[0])  # JSON lines
        except (ValueError, RecursionError):
            return ""
    if isinstance(root, list):
        root = root[0] if root else None
    if not isinstance(root, dict):
        return ""
    if isinstance(items := root.get("data_list"), list):
        return "mmocr" if _has_outlines(items) else "words"
    if "imgs" in root and "anns" in root:
        return "textocr" if "points" in _first(root["anns"]) else "cocotext"
    if "images" in root and "annotations" in root:
        return "openvino" if "attributes" in _first(root["annotations"]) else "mmocr"
    if "annotations" in root and "file_name" in root:
        return "mmocr"
    if root.keys() & {"filename", "file_name", "img_path"}:
        return "words"
    entry = _first(next((held for held in root.values() if held), None))
    if "transcription" in entry:
        return "lsvt" if "points" in entry else "word-crops"
    return ""


def _has_outlines(items: Sequence[Any]) -> bool:
    of_first = (_first(item.get("instances")) for item in items if isinstance(item, dict))
    entry = next((entry for entry in of_first if entry), {})
    return "polygon" in entry or "bbox" in entry


def _first(held: object) -> Mapping[str, Any]:
    """The first object of a list or of an object's values, {} where there is none."""
    values = list(held.values()) if isinstance(held, dict) else held
    first = values[0] if isinstance(values, list) and values else None
    return first if isinstance(first, dict) else {}


@dataclass(frozen=True)
class _Rows:
    """How the rows of a text file fit the layouts."""

    lines: list[str]  # the first ones that are not blank
    fits: Mapping[str, int]  # layout -> rows
    speak_against: frozenset[str]  # layouts that a row rules out for the whole folder
    doubtful: Mapping[str, int]  # layout -> rows that fit and would fit polygons as well

    def mostly(self, layout: str) -> bool:
        return 2 * self.fits.get(layout, 0) >= max(len(self.lines), 1)


def _look(data: bytes, depth: int) -> _Rows:
    text = data.decode("utf-8-sig", "replace")
    lines = [line.rstrip("\r") for line in islice(_split(text), depth) if line.strip()]
    fits: dict[str, int] = defaultdict(int)
    doubtful: dict[str, int] = defaultdict(int)
    against: set[str] = set()
    for line in lines:
        fields = line.split(",")
        leading = count_numbers(fields)
        for layout in _ROWS:
            if not _fits(line, fields, leading, layout):
                continue
            fits[layout] += 1
            after = fields[_COORDINATES.get(layout, len(fields)) :]
            beyond = leading - len(fields) + len(after)
            if beyond >= 2 and not _is_grouped(after):
                if beyond >= 4:  # two vertices more
                    against.add(layout)
                else:
                    doubtful[layout] += 1
    return _Rows(lines, fits, frozenset(against), doubtful)


def _split(text: str) -> Iterator[str]:
    """The lines of a text, one at a time."""
    start = 0
    while (end := text.find("\n", start)) >= 0:
        yield text[start:end]
        start = end + 1
    yield text[start:]


def _fits(line: str, fields: Sequence[str], leading: int, layout: str) -> bool:
    """Whether a row can be of this layout, of which the first ``leading`` fields are numbers."""
    match layout:
        case "turned":
            return bool(_TURNED.match(line))
        case "ltrb":
            return bool(LTRB.match(line))
        case "quad-script":
            return leading == 8 and len(fields) > 9 and fields[8].strip() in _SCRIPTS
        case "offsets-14":
            return leading == len(fields) == 32 and _are_offsets([float(f) for f in fields])
        case "polygon":
            if leading % 2 and leading < len(fields):
                return False  # half a vertex before the text: more likely a number is missing
            is_ignored = fields[leading:] in (["###"], ["#######"])
            return leading >= (2 if is_ignored else 6)
    return _COORDINATES[layout] <= leading and _COORDINATES[layout] < len(fields)


def _are_offsets(values: Sequence[float]) -> bool:
    """Whether the vertices from the fifth number on lie in the box of the first four."""
    left, top, right, bottom = values[:4]
    sizes = (right - left, bottom - top)
    return all(-1 <= value <= sizes[i % 2] + 1 for i, value in enumerate(values[4:]))


def _is_grouped(fields: Sequence[str]) -> bool:
    """Whether the fields are one number whose digits are grouped in threes, like 1,000."""
    first, *rest = fields
    return bool(re.fullmatch(r"\d{1,3}", first)) and all(re.fullmatch(r"\d{3}", f) for f in rest)


def _sort_out(files: dict[str, _Rows]) -> Iterator[tuple[str, list[str]]]:
    empty = [name for name, rows in files.items() if not rows.lines]
    pool = {name: rows for name, rows in files.items() if rows.lines}
    while layout := _layout(list(pool.values())):
        names = [name for name, rows in pool.items() if rows.mostly(layout)]
        pool = {name: rows for name, rows in pool.items() if name not in set(names)}
        yield layout, [*names, *empty]  # a photograph without text has an empty file
        empty = []
    for kind, names in _words(pool):
        if kind == "word":
            names, empty = [*names, *empty], []
        yield kind, names
    if empty:
        yield "", empty


def _layout(files: Sequence[_Rows]) -> str:
    """The strictest layout that nearly all files have, else that of most files; "" if none has one."""
    against = {layout for rows in files for layout in rows.speak_against}
    for layout in _COORDINATES:
        total = sum(rows.fits.get(layout, 0) for rows in files)
        if sum(rows.doubtful.get(layout, 0) for rows in files) > (1 - _NEARLY_ALL) * total:
            against.add(layout)
    count: dict[str, tuple[int, int]] = {}  # files that mostly have it, their rows that have it
    for layout in (layout for layout in _ROWS if layout not in against):
        having = [rows for rows in files if rows.mostly(layout)]
        fitting = sum(rows.fits[layout] for rows in having)
        count[layout] = len(having), fitting
        n_lines = sum(len(rows.lines) for rows in having)
        if having and len(having) >= _NEARLY_ALL * len(files) and fitting >= _NEARLY_ALL * n_lines:
            return layout
    best = max(count, key=lambda layout: count[layout], default="")
    return best if best and count[best] > (0, 0) else ""


def _words(pool: dict[str, _Rows]) -> Iterator[tuple[str, list[str]]]:
    """The formats of files that hold no regions."""
    left = dict(pool)
    for name, rows in pool.items():
        if kind := _word_list(rows.lines, is_tags=name.lower().endswith(".tags")):
            yield kind, [name]
            del left[name]
    short = {_digitless(name) for name, rows in left.items() if len(rows.lines) == 1}
    alike = [name for name in left if _digitless(name) in short]
    n_short = sum(len(left[name].lines) == 1 for name in alike)
    if n_short > 1 and n_short >= _NEARLY_ALL * len(alike):
        # the relabelling of the cropped sets has files of two lines, of which the first counts
        yield "word", alike
        left = {name: rows for name, rows in left.items() if _digitless(name) not in short}
    if left:
        yield "lines", list(left)


def _digitless(name: str) -> str:
    return re.sub(r"\d+", "#", name)


def _word_list(lines: Sequence[str], *, is_tags: bool) -> str:
    """The format of a list of images with their texts; "" for lines of anything else."""
    for kind, shape in _WORD_LISTS.items():
        rows = [line for line in lines if not line.startswith("#")]
        if rows and sum(bool(shape.match(row)) for row in rows) >= _NEARLY_ALL * len(rows):
            return kind
    pairs = [re.split(r"\t|,? +|,", line.strip(), maxsplit=1) for line in lines]
    names = [pair[0] for pair in pairs if len(pair) == 2]
    if len(names) < _NEARLY_ALL * len(lines) or not names:
        return ""
    are_images = 2 * sum(bool(_IMAGE.search(name)) for name in names) >= len(names)
    if not (are_images or is_tags or "\t" in lines[0]):
        return ""
    if sum(bool(_CORNERS.fullmatch(line)) for line in lines) >= _NEARLY_ALL * len(lines):
        return ""
    fields = [line.split() for line in lines]
    has_lexicons = all(
        len(f) > 3 and f[2].isdecimal() and int(f[2]) == len(re.split("[, ]", " ".join(f[3:])))
        for f in fields
    )
    return "words-lexicons" if has_lexicons else "words"
