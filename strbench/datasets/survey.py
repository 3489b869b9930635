"""What annotation files hold, counted without their images: formats, rows, regions, texts."""

from __future__ import annotations

import io
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from strbench.annotations.competition import read_crops
from strbench.annotations.guess import PAGE, PAGES, guess
from strbench.annotations.mat5 import variables
from strbench.annotations.matlab import Held
from strbench.annotations.rows import decode_text, examples, fault, numbers, text_lines
from strbench.annotations.word_lists import read_cocotext_words, read_iam_words, read_rwth_words
from strbench.archives import Packed, is_archive, open_zip
from strbench.datasets.iiit5k import mat_rows
from strbench.datasets.labels import leading_rows, read_rows
from strbench.datasets.tree import Tree, is_image, natural
from strbench.errors import StrbenchError
from strbench.geometry import bounds, signed_area
from strbench.lmdb_files import count_keys, count_samples, read_key
from strbench.types import Region

_NO_LABELS = re.compile(r"(?:readme|licen[cs]e|source)\b", re.IGNORECASE)
_MANY = 10  # files of lines with like names, such as a lexicon per photograph, are counted together
_SHOWN = 20  # texts that are quoted at most
_File = Path | Packed


@dataclass(frozen=True)
class Group:
    """Files of one format that belong together."""

    where: str  # the file, or the folder where it is several
    format: str  # as in ``strbench.annotations.guess``, or "lmdb"
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class Survey:
    """What lies in a file, a folder or an archive."""

    groups: list[Group]
    unread: dict[str, str]  # file -> why it was not read


def survey(path: Path) -> Survey:
    """What the annotation files of a folder and of the archives in it hold, or an archive or a file.

    Images are passed over. Files of no known format are listed as unread beside others that are read.

    Raises:
        StrbenchError: the path does not exist, nothing there is read, an archive is bad, or a file does
            not fit the format that the rest of it has; names file and line.
    """
    if not path.exists():
        raise StrbenchError(f"{path} does not exist.", hint="Check the path.")
    path = path.parent if path.name == "data.mdb" else path
    groups: list[Group] = []
    unread: dict[str, str] = {}
    tree = Tree.of(path)
    for shown, files in _places(path, tree):
        folders: dict[str, dict[str, _File]] = defaultdict(dict)
        for name, file in files.items():
            if not is_image(name):
                folders[name.rpartition("/")[0]][name] = file
        for folder, held in sorted(folders.items(), key=lambda item: natural(item[0])):
            groups += _folder(_joined(shown, folder), held, unread)
    groups += [Group(str(folder), "lmdb", _lmdb_facts(folder)) for folder in tree.lmdbs]
    if not groups:
        why = f"{path}: {next(iter(unread.values()), 'it holds no annotation file')}."
        if path.is_dir() and unread:
            why = examples(f"{path}: annotations of no known format", list(unread))
        raise fault(why, "Formats that are read: strbench data labels --help")
    return Survey(groups, unread)


def _joined(*parts: str) -> str:
    return "/".join(part for part in parts if part)


def _places(path: Path, tree: Tree) -> Iterator[tuple[str, Mapping[str, _File]]]:
    """The files outside archives, then those of each archive, with how the place is shown."""
    plain = {name: file for name, file in tree.files.items() if not is_archive(Path(name))}
    yield str(path.parent if path.is_file() else path), plain
    for name, file in tree.files.items():
        if name not in plain:
            assert isinstance(file, Path)  # a tree of one folder
            with open_zip(file) as packed:
                yield str(file), packed


def _folder(where: str, files: Mapping[str, _File], unread: dict[str, str]) -> list[Group]:
    data: dict[str, bytes] = {}
    for path, file in files.items():
        name = path.rpartition("/")[2]
        if _NO_LABELS.match(name) or name.startswith("."):
            unread[_joined(where, name)] = "its name says that it holds no labels"
        else:
            data[name] = file.read_bytes()
    places = {path.rpartition("/")[2]: str(file) for path, file in files.items()}
    groups: list[Group] = []
    for kind, names in guess(data).items():
        if not kind:
            unread |= {_joined(where, name): "no known format of annotations" for name in names}
            continue
        for together in _sets(kind, names):
            held = {places[name]: data[name] for name in together}
            shown = _joined(where, together[0]) if len(together) == 1 else where
            groups.append(Group(shown, kind, _facts(kind, held)))
    return groups


def _sets(kind: str, names: Sequence[str]) -> list[list[str]]:
    """The files that are counted together."""
    ordered = sorted(names, key=natural)
    if kind in PAGE or kind == "word":
        return [ordered]
    alike: dict[str, list[str]] = defaultdict(list)
    for name in ordered:
        alike[re.sub(r"\d+", "#", name) if kind == "lines" else name].append(name)
    return [
        together
        for group in alike.values()
        for together in ([group] if len(group) >= _MANY else [[name] for name in group])
    ]


def _facts(kind: str, files: Mapping[str, bytes]) -> dict[str, Any]:
    facts: dict[str, Any] = {"files": len(files)}
    with_bom = sum(data.startswith(b"\xef\xbb\xbf") for data in files.values())
    with_crlf = sum(b"\r\n" in data for data in files.values())
    if len(files) > 1 or kind in PAGE:
        facts |= {"bom_files": with_bom, "crlf_files": with_crlf}
    elif not kind.endswith("-mat"):
        facts |= {"bom": bool(with_bom), "crlf": bool(with_crlf)}
    if kind in PAGE or kind in PAGES:
        return facts | _region_facts(kind, files)
    return facts | _row_facts(kind, files)


def _region_facts(kind: str, files: Mapping[str, bytes]) -> dict[str, Any]:
    tally = _Tally()
    for place, data in files.items():
        pages = PAGES[kind](data, place) if kind in PAGES else [("", PAGE[kind](data, place))]
        sizes = _stated_sizes(data) if kind == "tagset" else {}
        for name, regions in pages:
            tally.add(regions, sizes.get(name))
    return tally.facts() | _text_facts(tally.texts)


def _stated_sizes(data: bytes) -> dict[str, tuple[float, float]]:
    """Image name -> width and height, where the XML of SVT or ICDAR 2003 states them."""
    sizes: dict[str, tuple[float, float]] = {}
    for image in ElementTree.fromstring(data):
        parts = {child.tag.lower(): child for child in image}
        stated = parts["resolution"].attrib if "resolution" in parts else {}
        if {"x", "y"} <= stated.keys():
            width, height = numbers([stated["x"], stated["y"]], "Resolution")
            sizes[(parts["imagename"].text or "").strip()] = width, height
    return sizes


class _Tally:
    """What is counted of regions, one photograph after another."""

    def __init__(self) -> None:
        self.texts: list[str] = []  # of the regions that are not ignored
        self._counts: Counter[str] = Counter()
        self._vertices: Counter[int] = Counter()
        self._numbers: set[int] = set()  # coordinates of a row
        self._ways: Counter[str] = Counter()

    def add(self, regions: Sequence[Region], size: tuple[float, float] | None) -> None:
        """Count a photograph, whose width and height are known if the annotations state them."""
        counts = self._counts
        counts["images"] += 1
        counts["images_without_text"] += not regions
        for region in regions:
            counts["instances"] += 1
            counts["ignored"] += region.ignored
            if region.text is not None and not region.ignored:
                self.texts.append(region.text)
            self._vertices[len(region.polygon)] += 1
            self._numbers.add(len(region.annotated) or 2 * len(region.polygon))
            self._ways[_way(region)] += 1
            left, top, right, bottom = bounds(region.polygon)
            counts["boxes_with_negative_origin"] += left < 0 or top < 0
            if size is not None:
                counts["boxes_beyond_resolution"] += right > size[0] or bottom > size[1]

    def facts(self) -> dict[str, Any]:
        """The figures; ``orientation`` says which way round the source has its vertices."""
        n = self._counts["instances"]
        ways = {way: self._ways[way] for way in _WAYS if self._ways[way]}
        return {
            **{key: self._counts[key] for key in ("images", "images_without_text", "instances")},
            "ignored": self._counts["ignored"],
            "legible": n - self._counts["ignored"],
            "vertices": {str(k): self._vertices[k] for k in sorted(self._vertices)},
            "coords_per_row": next(iter(self._numbers)) if len(self._numbers) == 1 else None,
            "orientation": ", ".join(
                f"{'all' if k == n else k} {_WAYS[way]}" for way, k in ways.items()
            ),
            "clockwise": self._ways["clockwise"],
            "counter_clockwise": self._ways["counter-clockwise"],
            "boxes_with_negative_origin": self._counts["boxes_with_negative_origin"],
            "boxes_beyond_resolution": self._counts["boxes_beyond_resolution"],
            "with_text": len(self.texts),
        }


_WAYS = {
    "clockwise": "clockwise on screen",
    "counter-clockwise": "counter-clockwise on screen",
    "flat": "without area",
    "box": "boxes without an order of vertices",
}


def _way(region: Region) -> str:
    """Which way round the source draws a region."""
    if not region.annotated:
        return "clockwise" if signed_area(region.polygon) > 0 else "flat"
    flat = tuple(value for point in region.polygon[::-1] for value in point)
    return "counter-clockwise" if region.annotated == flat else "box"


def _row_facts(kind: str, files: Mapping[str, bytes]) -> dict[str, Any]:
    texts: list[str] = []
    for place, data in files.items():
        texts += _TEXTS[kind](data, place)
    facts: dict[str, Any] = {"rows": len(texts)}
    if kind == "words":
        facts["escaped_quotes"] = sum(
            b'\\"' in line
            for data in files.values()
            if not data.lstrip().startswith((b"{", b"["))  # JSON escapes every quote
            for line in data.split(b"\n")
        )
    if kind == "word":
        facts["files_of_two_lines"] = sum(
            len(list(text_lines(data, place))) > 1 for place, data in files.items()
        )
    return facts | _text_facts(texts)


def _text_facts(texts: Iterable[str]) -> dict[str, Any]:
    """What is in the texts; ``ascii_alnum_only`` and the like count letters a-z, A-Z and digits."""
    held = list(texts)
    plain = [text for text in held if text.isascii() and text.isalnum()]
    foreign = [text for text in held if not text.isascii()]
    not_upper = sum(text != text.upper() for text in held)
    return {
        "ascii_alnum_only": len(plain),
        "alnum_and_len_ge_3": sum(len(text) >= 3 for text in plain),
        "all_alnum": len(plain) == len(held) > 0,
        "labels_not_all_upper": not_upper,
        "all_upper_alnum": len(plain) == len(held) > 0 and not not_upper,
        "max_len": max(map(len, held), default=0),
        "with_comma": sum("," in text for text in held),
        "with_space": sum(" " in text for text in held),
        "non_ascii": len(foreign),
        "non_ascii_texts": list(dict.fromkeys(foreign))[:_SHOWN],
        "empty_texts": sum(not text.strip() for text in held),
    }


def _first_line(data: bytes, place: str) -> list[str]:
    return [decode_text(data, place).lstrip("\r\n").split("\n")[0].strip()]


def _iiit5k_texts(data: bytes, place: str) -> list[str]:
    variable = next(iter(variables(Held(data, place))))
    column = "chars" if variable.endswith("CharBound") else "GroundTruth"
    return [row.text for row in mat_rows(data, variable, column, place)]


# Format -> bytes and place -> its texts.
_TEXTS: dict[str, Callable[[bytes, str], list[str]]] = {
    "words": lambda data, place: [row.text for row in read_rows(data, place)],
    "iiit5k-mat": _iiit5k_texts,
    "words-lexicons": lambda data, place: [row.text for row in leading_rows(data, place)],
    "iam-words": lambda data, place: [word.text for word in read_iam_words(data, place)],
    "rwth-words": lambda data, place: [word.text for word in read_rwth_words(data, place)],
    "cocotext-words": lambda data, place: [word.text for word in read_cocotext_words(data, place)],
    "word-crops": lambda data, place: [
        word.text or "" for word in read_crops(data, place).values()
    ],
    "word": _first_line,
    "lines": lambda data, place: [line.strip() for _, line in text_lines(data, place)],
}


def _lmdb_facts(folder: Path) -> dict[str, Any]:
    n = count_samples(folder)
    found = (read_key(folder, b"label-%09d" % i) for i in range(1, n + 1))
    labels = [None if label is None else label.decode("utf-8", "replace") for label in found]
    texts = [label for label in labels if label is not None]
    return {
        "rows": n,
        "num-samples": n,
        "keys": count_keys(folder),
        "format": _image_format(folder),
        "with_label": len(texts),
        "first_labels": labels[:4],
        **_text_facts(texts),
    }


def _image_format(folder: Path) -> str:
    """The format and mode of the first image, "" where there is none or it cannot be read."""
    from PIL import Image

    keys = ("image-000000001", "image_hr-000000001")
    data = next((found for key in keys if (found := read_key(folder, key.encode()))), b"")
    try:
        with Image.open(io.BytesIO(data)) as image:
            return f"{image.format} {image.mode}"
    except (OSError, SyntaxError, ValueError):
        return ""
