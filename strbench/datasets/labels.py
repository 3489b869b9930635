"""Label files as people have them, read into rows, and rows joined with their images.

Read: ``path TAB label`` (clovaai, PaddleOCR, labels.tsv), ``path label`` split at the first white
space (PARSeq), ICDAR word lists (``word_1.png, "text"``), MMOCR 1.x and 0.x JSON, JSON lines, CSV with
a header, and a text file per image in a folder beside the images or among them.
"""

from __future__ import annotations

import csv
import io
import json
import posixpath
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from strbench.annotations.rows import decode_text, examples, fault, unescape
from strbench.datasets.tree import Tree, natural, stem

LABEL_SUFFIXES = (".txt", ".tsv", ".json", ".jsonl", ".csv", ".tags")
# Where a folder holds several label files, these are taken first, in this order.
_USUAL = ("labels.tsv", "labels.txt", "gt.txt", "label.txt", "labels.json", "annotation.json",
          "annotation.jsonl", "annotations.json", "labels.jsonl", "metadata.jsonl",
          "metadata.csv", "labels.csv", "rec_gt.txt")  # fmt: skip
_IMAGE_FOLDERS = frozenset({"img", "imgs", "image", "images"})
_LABEL_FOLDERS = frozenset({"label", "labels", "gt", "gts"})
_ICDAR = re.compile(r'^\s*([^,]+?)\s*,\s*"(.*)"\s*$')
_BOX = re.compile(r"(?:[^,]*,){4}")  # five fields or more
_ICDAR_BARE = re.compile(r"^\s*([^,\t]+\.\w{3,4})\s*,\s?(.*)$")


class Row(NamedTuple):
    """One line of a label file."""

    path: str  # of the image, as written
    text: str
    line: int  # counted from 1; 0 where the file has no lines


def read_rows(data: bytes, place: str) -> list[Row]:
    """The rows of a label file, in the order of the file; its format is told by its content.

    Raises:
        StrbenchError: not UTF-8, a line that does not fit the format of the others, or labels of
            another task (detection).
    """
    text = decode_text(data, place)
    if place.lower().endswith(".csv"):
        return _csv_rows(text, place)
    if text.lstrip()[:1] in ("{", "["):
        return _json_rows(text, place)
    # Not splitlines(): labels may hold U+2028 and its like.
    lines = [(n, line.rstrip("\r")) for n, line in enumerate(text.split("\n"), 1)]
    lines = [(n, line) for n, line in lines if line.strip()]
    if sum(bool(_ICDAR.match(line)) for _, line in lines) * 2 > len(lines):
        return [_quoted_row(line, n, place) for n, line in lines]
    rows: list[Row] = []
    tabbed = sum("\t" in line for _, line in lines) * 2 >= max(len(lines), 1)
    commas = not tabbed and bool(lines) and all(_ICDAR_BARE.match(line) for _, line in lines)
    for n, line in lines:
        if tabbed:
            path, separator, label = line.partition("\t")
        elif commas:
            path, separator, label = re.sub(r"\s*,\s?", ",", line, count=1).partition(",")
        else:
            path, *rest = line.split(maxsplit=1)
            separator, label = (" ", rest[0]) if rest else ("", "")
        if not separator or not label.strip():
            tab = "a label behind the tab" if separator else "a tab between path and label"
            what = tab if tabbed else "a path and a label"
            hint = "If these are boxes in photographs: --task detection" if _BOX.match(line) else ""
            raise fault(f"{place}, line {n}: expected {what}, found {line[:60]!r}.", hint)
        if label.lstrip().startswith('[{"transcription"'):
            raise fault(
                f"{place}, line {n}: these are detection labels (boxes in photographs).",
                "Bring the labels of words, or import the photographs: "
                "strbench data import NAME/test PATH --task detection",
            )
        rows.append(Row(path.strip(), label if tabbed else label.strip(), n))
    return rows


def _quoted_row(line: str, n: int, place: str) -> Row:
    match = _ICDAR.match(line)
    if not match:
        raise fault(
            f"{place}, line {n}: expected a path, a comma and a label in double quotes, as most lines "
            f"have it, found {line[:60]!r}."
        )
    return Row(match[1], unescape(match[2]), n)


def leading_rows(data: bytes, place: str) -> list[Row]:
    """The rows of a list ``path text [lexicon size and words]``, as SVTP and CUTE80 come with.

    Raises:
        StrbenchError: not UTF-8, or a line of one field.
    """
    rows: list[Row] = []
    for n, line in enumerate(decode_text(data, place).split("\n"), 1):
        fields = line.split()
        if len(fields) == 1:
            raise fault(f"{place}, line {n}: expected a path and a label, found {line[:60]!r}.")
        if fields:
            rows.append(Row(fields[0], fields[1], n))
    return rows


def _csv_rows(text: str, place: str) -> list[Row]:
    reader = csv.DictReader(io.StringIO(text, newline=""))
    fields = {str(name).strip().lower(): name for name in reader.fieldnames or ()}
    paths = ("file_name", "filename", "path", "image", "img", "file")
    texts = ("text", "label", "labels", "words", "word", "transcription")
    path = next((fields[name] for name in paths if name in fields), None)
    label = next((fields[name] for name in texts if name in fields), None)
    if path is None or label is None:
        raise fault(
            f"{place}: expected a header with file_name and text, found {list(fields)[:6]}."
        )
    rows = []
    for fields_of in reader:
        if None in fields_of:  # DictReader's key for what stands behind the last column
            raise fault(
                f"{place}, line {reader.line_num}: more fields than the header names; a label with a comma "
                'stands in quotes: "10,000".'
            )
        rows.append(Row(fields_of[path] or "", fields_of[label] or "", reader.line_num))
    for row in rows:
        if not row.path or not row.text:
            raise fault(f"{place}, line {row.line}: the path or the label is empty.")
    return rows


def _json_rows(text: str, place: str) -> list[Row]:
    try:
        whole = json.loads(text)
        items = [(0, item) for item in _json_items(whole, place)]
    except ValueError:
        items = []
        for n, line in enumerate(text.split("\n"), 1):
            if line.strip():
                try:
                    items.append((n, json.loads(line)))
                except ValueError as error:
                    raise fault(f"{place}, line {n}: not JSON ({error}).") from error
    return [_json_row(item, n or i, place) for i, (n, item) in enumerate(items, 1)]


def _json_items(whole: Any, place: str) -> list[Any]:
    if isinstance(whole, list):
        return whole
    if isinstance(whole, dict) and isinstance(whole.get("data_list"), list):
        told = whole.get("metainfo")
        kind = str(told.get("dataset_type", "")) if isinstance(told, dict) else ""
        if kind and kind != "TextRecogDataset":
            raise fault(f"{place}: expected an MMOCR TextRecogDataset, found {kind}.")
        items: list[Any] = whole["data_list"]
        return items
    if isinstance(whole, dict) and ("filename" in whole or "file_name" in whole):
        return [whole]
    raise fault(f"{place}: expected MMOCR JSON with data_list, found {str(whole)[:60]!r}.")


def _json_row(item: Any, n: int, place: str) -> Row:
    if isinstance(item, dict):
        path = item.get("img_path") or item.get("filename") or item.get("file_name")
        label = item.get("text")
        instances = item.get("instances")
        if label is None and isinstance(instances, list) and len(instances) == 1:
            label = instances[0].get("text") if isinstance(instances[0], dict) else None
        if isinstance(path, str) and isinstance(label, str) and path and label:
            return Row(path, label, n)
    raise fault(
        f"{place}, entry {n}: expected an image path and one text, found {str(item)[:80]!r}."
    )


def find_label_file(tree: Tree) -> str:
    """The label file of a tree, "" if it has none.

    Raises:
        StrbenchError: there are several and none has a usual name.
    """
    if tree.label_file:
        return tree.label_file
    stems = {posixpath.splitext(name)[0].rpartition("/")[2] for name in tree.images}
    texts = [name for name in tree.files if name.lower().endswith(LABEL_SUFFIXES)]
    twins = Counter(name.rpartition("/")[0] for name in texts if stem(name) in stems)
    others = Counter(name.rpartition("/")[0] for name in texts if stem(name) not in stems)
    candidates = [
        name
        for name in texts
        for folder, _, last in [name.rpartition("/")]
        # a folder of one text file per image is no place for the label file
        if (twins[folder] <= others[folder] or last.lower() in _USUAL)
        and stem(name) not in stems
        and not re.match(r"(source|readme|licen[cs]e|lexicon|coords)", last, re.IGNORECASE)
    ]
    depth = min((name.count("/") for name in candidates), default=0)
    nearest = [name for name in candidates if name.count("/") == depth]
    for usual in _USUAL:
        for name in nearest:
            if name.rpartition("/")[2].lower() == usual:
                return name
    if len(nearest) > 1:
        raise fault(
            f"{tree.shown} holds {len(nearest)} files that may be the labels: "
            f"{', '.join(nearest[:5])}.",
            f"Name the one to use: strbench data import NAME {tree.files[nearest[0]]}",
        )
    return nearest[0] if nearest else ""


def one_file_per_image(tree: Tree) -> tuple[list[Row], list[str]] | None:
    """Rows and images where every image has a text file of its stem, beside it or in ``label/``.

    Only the first line of a text file counts, stripped: some files of the case-sensitive relabelling
    hold a second one. None if the tree has no such layout.

    Raises:
        StrbenchError: images without a text file or the reverse, an empty or non-UTF-8 text file.
    """
    texts: dict[str, str] = {}
    for name in tree.files:
        folder, _, last = name.rpartition("/")
        if last.lower().endswith(".txt"):
            texts[f"{folder}/{posixpath.splitext(last)[0]}"] = name
    pairs: list[tuple[str, str]] = []  # image, text file or ""
    used: set[str] = set()
    for image in tree.images:
        folder, _, last = image.rpartition("/")
        stem = posixpath.splitext(last)[0]
        above, _, leaf = folder.rpartition("/")
        keys = [f"{folder}/{stem}"]
        if leaf.lower() in _IMAGE_FOLDERS:
            keys += [
                key
                for name in sorted(_LABEL_FOLDERS)
                for cased in (name, name.upper(), name.capitalize())
                if (key := f"{posixpath.join(above, cased)}/{stem}") in texts
            ]
        text = next((texts[key] for key in keys if key in texts), "")
        used.add(text)
        pairs.append((image, text))
    if not any(text for _, text in pairs):
        return None
    bare = [image for image, text in pairs if not text]
    if bare:
        raise fault(examples(f"{tree.shown}: images without a text file", bare))
    folders = {text.rpartition("/")[0] for _, text in pairs}
    orphans = [n for n in texts.values() if n not in used and n.rpartition("/")[0] in folders]
    if folders & {image.rpartition("/")[0] for image in tree.images}:
        orphans = []  # beside the images other text files may lie
    if orphans:
        raise fault(examples(f"{tree.shown}: text files without an image", orphans))
    rows: list[Row] = []
    for image, text in pairs:
        first = decode_text(tree.read(text), tree.place(text)).split("\n")[0].strip()
        if not first:
            raise fault(f"{tree.place(text)}: the label is empty.")
        rows.append(Row(image, first, 0))
    return rows, [image for image, _ in pairs]


def join_images(tree: Tree, rows: Sequence[Row], label_file: str) -> list[str]:
    """The image of each row, as a name in the tree.

    Paths are looked up from the folder of the label file, the root, and every other folder, whole and
    with leading folders dropped; one folder must hold them all.

    Raises:
        StrbenchError: an image is missing or named twice, or two folders fit equally well.
    """
    place = tree.place(label_file)
    names = [posixpath.normpath(row.path.replace("\\", "/")).lstrip("/") for row in rows]
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise fault(examples(f"{place}: images that are named twice", repeated))
    own = label_file.rpartition("/")[0]
    folders = {parent for image in tree.images for parent in _parents(image)}
    bases = [own, *sorted(folders - {own, ""}, key=natural)]
    if own:
        bases.insert(1, "")
    best: tuple[int, list[str], list[int]] = (-1, [], [])
    depth = max((name.count("/") for name in names), default=0)
    for drop in range(depth + 1):
        short = ["/".join(name.split("/")[min(drop, name.count("/")) :]) for name in names]
        if len(set(short)) < len(short):
            break
        complete: list[tuple[str, list[str]]] = []
        for base in bases:
            paths = [posixpath.normpath(posixpath.join(base, name)) for name in short]
            missing = [i for i, path in enumerate(paths) if path not in tree.files]
            if len(paths) - len(missing) > best[0]:
                best = (len(paths) - len(missing), paths, missing)
            if not missing:
                complete.append((base, paths))
                if base == own:
                    return paths
        if len(complete) > 1:  # the folder that holds these and no others
            exact = [c for c in complete if _siblings(tree, c[1]) == len(rows)]
            complete = exact if len(exact) == 1 else complete
        if len(complete) > 1:
            raise fault(
                examples(f"{place}: its images lie in several folders", [c[0] for c in complete]),
                "Import the folder that holds this label file and its images alone.",
            )
        if complete:
            return complete[0][1]
    missing = best[2]
    where = [f"{names[i]} (line {rows[i].line})" if rows[i].line else names[i] for i in missing]
    raise fault(
        examples(f"{place}: images that are missing", where),
        "Bring the images, or remove their lines.",
    )


def named_images(
    tree: Tree, names: Sequence[str], place: str, hint: str, *, folder: str = ""
) -> list[str]:
    """The image of each name, a file name without its suffix, in whatever folder it lies.

    For lists of tens of thousands of words in hundreds of folders, where ``join_images`` is slow.

    Args:
        place: of the list, for messages. hint: what to bring if an image is missing.
        folder: take only images that lie right in a folder of this name.

    Raises:
        StrbenchError: an image is missing, or two have one name.
    """
    wanted = set(names)
    found: dict[str, str] = {}
    for image in tree.images:
        above, _, last = image.rpartition("/")
        name = posixpath.splitext(last)[0]
        if name not in wanted or (folder and above.rpartition("/")[2] != folder):
            continue
        if name in found:
            raise fault(
                f"{tree.shown}: {found[name]} and {image} may both be {name} of {place}.",
                "Import a folder that holds one of them.",
            )
        found[name] = image
    missing = [name for name in names if name not in found]
    if missing:
        raise fault(examples(f"{place}: images that are missing", missing), hint)
    return [found[name] for name in names]


def _parents(name: str) -> Iterable[str]:
    while name:
        name = name.rpartition("/")[0]
        yield name


def _siblings(tree: Tree, paths: Sequence[str]) -> int:
    folders = {path.rpartition("/")[0] for path in paths}
    return sum(name.rpartition("/")[0] in folders for name in tree.images)


def unlabelled_beside(tree: Tree, images: Sequence[str]) -> list[str]:
    """The images that lie in the folders of ``images`` and are none of them."""
    chosen = set(images)
    folders = {name.rpartition("/")[0] for name in images}
    return [n for n in tree.images if n.rpartition("/")[0] in folders and n not in chosen]


def check_all_labelled(tree: Tree, images: Sequence[str], place: str) -> None:
    """Raises a StrbenchError that lists images without a label, if there are any."""
    bare = unlabelled_beside(tree, images)
    if bare:
        raise fault(
            examples(f"{place}: images without a label", bare),
            "Add their lines, move them away, or import all without labels: --unlabelled",
        )
