"""Result files of detectors and spotters, and the ground-truth files that evaluators are given.

Either is a zip, a folder or a single file, in a named format, see ``FORMATS``. Where a format has a
file per image its name says which image; in a zip names are taken as they stand there, so that a
folder inside it is an error, as with the official scripts. A folder is read without what lies in its
folders and without names that begin with a dot.

Images come in natural order: by number where they have numbers. An image with a file, were it an empty
one, is in the answer; one without is not.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple, TypeVar

from strbench.annotations.rows import examples, fault
from strbench.archive_members import damage_told
from strbench.errors import StrbenchError, unknown_name
from strbench.submission_files import write_found as write_found
from strbench.submission_formats import FORMATS, Format, FoundPage
from strbench.types import Detection, Region

Item = TypeVar("Item")
_LARGEST = 1 << 29  # bytes of one file; more in a zip is a bomb, or no result file
_SAMPLED = 20  # files that a guess looks into
_LINES = 20  # of each
_HEAD = 1 << 16  # bytes of a file with many images


class Entry(NamedTuple):
    """A file, not read yet."""

    name: str  # within the zip or folder
    place: str  # what error messages call it
    read: Callable[[], bytes]


def read_truth(path: str | Path, format: str) -> dict[str, list[Region]]:
    """Image -> its true regions, in file order. Files with other names are passed over.

    Raises:
        StrbenchError: no such file or format, no file that is called as the format wants it, two files
            of one image, or a line that the format does not allow; names file and line.
    """
    chosen = _format(format)
    path = Path(path)
    if chosen.truths is None and chosen.truth is None:
        having = ", ".join(one.name for one in FORMATS.values() if one.truth or one.truths)
        raise StrbenchError(
            f"The format {format} has no ground truth.", hint=f"Choose one of {having}."
        )
    truth: dict[str, list[Region]] = {}
    with entries(path) as listed:
        for entry in listed:
            match = re.match(chosen.truth_names[0], entry.name)
            if chosen.truths is not None:
                _merge(truth, chosen.truths(entry.read(), entry.place), entry)
            elif chosen.truth is not None and match:
                _merge(truth, {match[1]: chosen.truth(entry.read(), entry.place)}, entry)
    if not truth:
        wanted = chosen.truth_names[1] or "with an image"
        raise fault(
            f"{path}: expected ground truth in files {wanted}, found none.",
            "Check the path, or name another format.",
        )
    return _in_order(truth)


def read_found(
    path: str | Path,
    format: str | None = None,
    *,
    confidences: bool = False,
    transcriptions: bool = False,
    known: Collection[str] | None = None,
) -> dict[str, list[Detection]]:
    """Image -> its detections, in the order in which the format's evaluator takes them.

    Args:
        format: a name in ``FORMATS``; None guesses it, see ``guess_format``.
        confidences: lines of icdar-quad and icdar-box have a confidence behind the coordinates.
        transcriptions: lines of these have a text at their end. Other formats have either, or have
            it not, and need not be told.
        known: the images of the ground truth; results for another one are an error.

    Raises:
        StrbenchError: no such file or format, no file at all, one that is not called as the format wants
            it, an image that is not known or has two files, or a line that the format does not allow;
            names file and line. One of these rejects the whole submission.
    """
    with open_found(
        path, format, confidences=confidences, transcriptions=transcriptions, known=known
    ) as found:
        return dict(found)


@contextmanager
def open_found(
    path: str | Path,
    format: str | None = None,
    *,
    confidences: bool = False,
    transcriptions: bool = False,
    known: Collection[str] | None = None,
) -> Iterator[Mapping[str, list[Detection]]]:
    """``read_found``, in which a file of one image is read when that image is asked for.

    Nothing is kept: asked twice, it is read twice. A line that the format does not allow is an error
    then. Formats with many images a file are read at once.
    """
    path = Path(path)
    name = format or guess_format(path, confidences=confidences, transcriptions=transcriptions)
    chosen = _format(name)
    read = chosen.reader(confidences=confidences, transcriptions=transcriptions)
    if chosen.founds is None and read is None:
        what = "transcriptions" if transcriptions else "confidences"
        having = ", ".join(
            one.name
            for one in FORMATS.values()
            if one.lines or one.founds or (one.spotted and transcriptions)
        )
        raise StrbenchError(
            f"Lines of the format {name} cannot have {what}.",
            hint=f"Leave the option out; the formats {having} have it.",
        )
    with entries(path) as listed:
        wanted = [
            entry
            for entry in listed
            if not (chosen.skipped and re.match(chosen.skipped, entry.name))
        ]
        if not wanted:
            raise fault(
                f"{path} holds no file of results.",
                f"A detector that found nothing writes empty files: {chosen.found_names[1] or path.name}",
            )
        if chosen.founds is not None:
            found: dict[str, list[Detection]] = {}
            for entry in wanted:
                of_file = chosen.founds(entry.read(), entry.place, Path(entry.name).stem)
                _check_known(of_file, known, entry)
                _merge(found, of_file, entry)
            yield _in_order(found)
        elif read is not None:
            files: dict[str, list[Entry]] = {}
            for entry in wanted:
                image = _image(chosen, entry)
                _check_known([image], known, entry)
                _merge(files, {image: [entry]}, entry)
            yield _Unread({image: one for image, (one,) in _in_order(files).items()}, read)


class _Unread(Mapping[str, list[Detection]]):
    """Images whose files are read one by one, as they are asked for."""

    def __init__(self, files: Mapping[str, Entry], read: FoundPage) -> None:
        self._files, self._read = files, read

    def __getitem__(self, image: str) -> list[Detection]:
        entry = self._files[image]
        return self._read(entry.read(), entry.place)

    def __contains__(self, image: object) -> bool:
        return image in self._files

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)


def guess_format(
    path: str | Path, *, confidences: bool = False, transcriptions: bool = False
) -> str:
    """The format of results, by the names of the files and their first lines.

    Whether x or y comes first, or what a ninth number means, cannot be seen.

    Raises:
        StrbenchError: several formats fit, or none does; names those that do.
    """
    path = Path(path)
    with entries(path) as listed:
        fits = [
            label
            for one in FORMATS.values()
            if (label := _fit(one, listed, confidences, transcriptions))
        ]
    fits = [name for name in fits if name not in FORMATS or FORMATS[name].like not in fits]
    if len(fits) == 1 and fits[0] in FORMATS:
        return fits[0]
    names = [entry.name for entry in listed]
    if not fits:
        raise fault(
            f"{path}: the files fit no format of results ({', '.join(names[:5]) or 'no file'}).",
            f"Name the format: {', '.join(FORMATS)}.",
        )
    raise fault(
        f"{path}: the files fit more than one format: {', '.join(fits)}."
        if len(fits) > 1
        else f"{path}: the files fit {fits[0]}.",
        "Name the format, and say whether lines have confidences.",
    )


@contextmanager
def entries(path: Path) -> Iterator[list[Entry]]:
    """The files of a zip, of a folder, or the single file, to be read while the block lasts.

    Raises:
        StrbenchError: no such file, or a damaged zip. Reading one that is damaged, encrypted or too
            large raises it too.
    """
    with ExitStack() as stack:
        if path.is_dir():
            files = [file for file in sorted(path.iterdir()) if not file.name.startswith(".")]
            yield [Entry(f.name, str(f), f.read_bytes) for f in files if f.is_file()]
            return
        if not path.is_file():
            raise StrbenchError(f"There is no file or folder {path}.", hint="Check the path.")
        with path.open("rb") as opened:
            is_zip = opened.read(4) in (b"PK\x03\x04", b"PK\x05\x06")
        if not is_zip and path.suffix.lower() == ".zip":
            raise fault(f"{path} is an empty or damaged zip.", "Zip the files again.")
        if not is_zip:
            yield [Entry(path.name, str(path), path.read_bytes)]
            return
        with damage_told(path):
            bundle = stack.enter_context(zipfile.ZipFile(path))
        yield [
            Entry(info.filename, f"{path}: {info.filename}", _member(path, bundle, info))
            for info in bundle.infolist()
        ]


def _member(path: Path, bundle: zipfile.ZipFile, info: zipfile.ZipInfo) -> Callable[[], bytes]:
    def read() -> bytes:
        if info.flag_bits & 1:
            raise fault(f"{path}: {info.filename} is encrypted.", "Zip the files without it.")
        if info.file_size > _LARGEST:
            raise fault(
                f"{path}: {info.filename} unpacks to {info.file_size} bytes; at most {_LARGEST} "
                "are read.",
                "Unpack it, and name the folder instead.",
            )
        with damage_told(path, f"member {info.filename!r} is damaged"):
            return bundle.read(info)

    return read


def _format(name: str) -> Format:
    if name not in FORMATS:
        raise unknown_name("format of results", name, FORMATS)
    return FORMATS[name]


def _image(chosen: Format, entry: Entry) -> str:
    pattern, shown = chosen.found_names
    match = re.match(pattern, entry.name)
    if match:
        return match[1]
    hint = "Leave other files out, or name another format."
    if "/" in entry.name:
        hint = "Zip the files themselves, without the folder that they lie in."
    raise fault(
        f"{entry.place}: expected results of {chosen.name} in files called {shown}, found "
        f"{entry.name!r}.",
        hint,
    )


def _check_known(images: Collection[str], known: Collection[str] | None, entry: Entry) -> None:
    unknown = [] if known is None else [image for image in images if image not in known]
    if unknown:
        raise fault(
            examples(f"{entry.place}: images that the ground truth does not have", unknown),
            "Leave them out, or check that both are of the same test set.",
        )


def _merge(all_: dict[str, list[Item]], new: Mapping[str, list[Item]], entry: Entry) -> None:
    for image, items in new.items():
        if image in all_:
            # the official scripts take the last one without a word
            raise fault(
                f"{entry.place}: the image {image} has another file already.",
                "Leave one file for each image.",
            )
        all_[image] = items


def _in_order(images: Mapping[str, list[Item]]) -> dict[str, list[Item]]:
    return {image: images[image] for image in sorted(images, key=natural)}


def natural(name: str) -> tuple[tuple[tuple[int, str], ...], str]:
    """A key that sorts names by the numbers in them.

    >>> sorted(["img10", "img9", "img1"], key=natural)
    ['img1', 'img9', 'img10']
    """
    parts = re.split(r"([0-9]+)", name)  # every second one is a number
    key = tuple((int(part), "") if i % 2 else (0, part) for i, part in enumerate(parts))
    return key, name


def _fit(one: Format, listed: list[Entry], confidences: bool, transcriptions: bool) -> str:
    """The name of the format if it fits, "... with confidences" if only so, else ""."""
    if one.founds is not None:
        return one.name if _looks_like(one, listed) else ""
    usual = [e for e in listed if not (one.skipped and re.match(one.skipped, e.name))]
    if not usual or not all(re.match(one.found_names[0], entry.name) for entry in usual):
        return ""
    heads = [(_head(entry), entry.place) for entry in usual[:_SAMPLED]]
    if _reads(one.reader(confidences=confidences, transcriptions=transcriptions), heads):
        return one.name
    if not confidences and _reads(
        one.reader(confidences=True, transcriptions=transcriptions), heads
    ):
        return f"{one.name} with confidences"
    return ""


def _looks_like(one: Format, listed: list[Entry]) -> bool:
    if not listed or not all(entry.name.lower().endswith(one.suffixes) for entry in listed):
        return False
    head = listed[0].read()[:_HEAD].decode("utf-8", "replace")
    tight = "".join(head.split())  # JSON may stand in lines of its own
    return any(sign in head or sign in tight for sign in one.signs)


def _head(entry: Entry) -> bytes:
    return b"\n".join(entry.read().split(b"\n", _LINES)[:_LINES])


def _reads(read: FoundPage | None, heads: list[tuple[bytes, str]]) -> bool:
    if read is None:
        return False
    try:
        for data, place in heads:
            read(data, place)
    except StrbenchError:
        return False
    return True
