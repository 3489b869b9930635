"""The files that a dataset is read from: folders and unpacked archives under one set of names."""

from __future__ import annotations

import hashlib
import os
import posixpath
import re
import shutil
import zipfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from strbench.archives import Packed, extract, is_archive, open_zip
from strbench.errors import DATA, StrbenchError
from strbench.fetch import is_unfinished
from strbench.files import lock
from strbench.home import home

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff")


def natural(text: str) -> str:
    """A sorting key that counts: word_2 comes before word_10, and a number before a letter.

    >>> sorted(["word_10.png", "word_2.png", "a"], key=natural)
    ['a', 'word_2.png', 'word_10.png']
    """
    # A string and not a tuple of pieces, which takes three times the memory for the 858,750 names of SynthText.
    return (
        _DIGITS.sub(_counted, text) + "\0\0" + text
    )  # equal but for zeros: by the names themselves


_DIGITS = re.compile(r"[0-9]+")


def _counted(match: re.Match[str]) -> str:
    """Digits so that strings compare like their numbers: NUL, how many count, and these."""
    digits = match[0].lstrip("0")
    return f"\0{chr(len(digits) + 1)}{digits}"


def is_image(name: str) -> bool:
    """Whether a file name ends like an image's."""
    return name.lower().endswith(IMAGE_SUFFIXES)


def stem(path: str) -> str:
    """The last name of a path without its suffix: "gt_0" of ``train_images/gt_0.jpg``."""
    return posixpath.splitext(path.rpartition("/")[2])[0]


@dataclass(frozen=True)
class Tree:
    """Files by relative path with forward slashes, in natural order; hidden ones are left out."""

    shown: str  # what error messages call it
    files: dict[str, Path | Packed]
    label_file: str = ""  # the label file that the user named
    lmdbs: tuple[Path, ...] = ()  # folders with a data.mdb
    unpacked: Path | None = None  # the temporary folder of what came out of archives
    # Archives that their dataset reads as a stream (``strbench.archives.stream``), by file name.
    streamed: dict[str, Path] = field(default_factory=dict)
    taken: tuple[Path, ...] = field(default=())  # the files and folders that were opened

    @classmethod
    def of(cls, root: Path) -> Tree:
        """The tree of one folder, archives left as they are."""
        return _tree(str(root), [("", root)], taken=(root,))

    @cached_property
    def images(self) -> list[str]:
        """The image files."""
        return [name for name in self.files if is_image(name)]

    def named(self, *names: str) -> list[str]:
        """The files with one of these last names, in any folder, case aside."""
        wanted = {name.lower() for name in names}
        return [path for path in self.files if path.rpartition("/")[2].lower() in wanted]

    def read(self, name: str) -> bytes:
        """The bytes of a file."""
        return self.files[name].read_bytes()

    def place(self, name: str) -> str:
        """Where a file really lies, for messages."""
        file = self.files[name]
        is_copy = isinstance(file, Path) and self.is_temporary(file)
        return f"{self.shown}: {name}" if is_copy else str(file)

    def is_temporary(self, path: Path) -> bool:
        """Whether a path vanishes after the import."""
        return self.unpacked is not None and path.is_relative_to(self.unpacked)


def _tree(
    shown: str,
    roots: Sequence[tuple[str, Path]],
    *,
    label_file: Path | None = None,
    unpacked: Path | None = None,
    taken: tuple[Path, ...] = (),
    packed: Mapping[str, Packed] | None = None,
    streamed: Mapping[str, Path] | None = None,
) -> Tree:
    found: dict[str, Path | Packed] = dict(packed or {})
    lmdbs: list[Path] = []
    for prefix, root in roots:
        if root.is_file():
            found[prefix + root.name] = root
            continue
        for folder, folders, names in os.walk(root):
            folders[:] = [n for n in folders if not n.startswith((".", "__MACOSX"))]
            here = Path(folder)
            if "data.mdb" in names:
                lmdbs.append(here)
                continue
            for name in names:
                if not name.startswith(".") and not is_unfinished(here / name):
                    found[prefix + (here / name).relative_to(root).as_posix()] = here / name
    files = dict(sorted(found.items(), key=lambda item: natural(item[0])))
    label_file = label_file.absolute() if label_file else None
    named = next(
        (k for k, p in files.items() if isinstance(p, Path) and p.absolute() == label_file), ""
    )
    return Tree(
        shown=shown,
        files=files,
        label_file=named,
        lmdbs=tuple(sorted(lmdbs, key=lambda p: natural(str(p)))),
        unpacked=unpacked,
        taken=taken,
        streamed=dict(streamed or {}),
    )


@contextmanager
def open_tree(
    paths: Sequence[Path], *, official: Collection[str] = (), streamed: Collection[str] = ()
) -> Iterator[Tree]:
    """The tree of what the user named; archives are open for as long as the block lasts.

    A named archive is opened; archives inside a named folder are too, if their name is ``official``
    or the folder holds no images of its own. A zip is read where it lies, a tar is unpacked to a
    temporary folder, and so is a zip that holds an LMDB. Archives with a name in ``streamed`` are
    handed over as they are.

    Raises:
        StrbenchError: a path does not exist, is an image or an unfinished download; an archive is bad.
    """
    roots: list[tuple[str, Path]] = []
    archives: list[Path] = []
    label_file: Path | None = None
    for path in paths:
        if not path.exists():
            raise StrbenchError(f"{path} does not exist.", hint="Check the path.")
        if is_unfinished(path):
            raise StrbenchError(
                f"{path} is an unfinished download.",
                hint="Finish it with the same `strbench data fetch` command.",
                exit_code=DATA,
            )
        if path.is_dir():
            roots.append(("", path))
            inside = [p for p in sorted(path.rglob("*")) if p.is_file() and is_archive(p)]
            bare = inside and not Tree.of(path).images
            archives += [p for p in inside if p.name in official or (bare and p.parent == path)]
        elif is_archive(path):
            archives.append(path)
        elif path.name == "data.mdb":
            roots.append(("", path.parent))
        elif is_image(path.name):
            raise StrbenchError(
                f"{path} is an image; expected a folder of images, a label file or an archive.",
                hint=f"Name the folder that it lies in: {path.absolute().parent}",
            )
        elif len(paths) == 1:
            label_file = path
            near, above = path.absolute().parent, path.absolute().parent.parent
            # labels often lie in a folder beside the images'
            roots.append(("", near if Tree.of(near).images else above))
        else:
            roots.append(("", path))
    shown = ", ".join(str(path) for path in paths)
    streams = {path.name: path for path in archives if path.name in streamed}
    archives = [path for path in archives if path.name not in streamed]
    with ExitStack() as stack:
        packed: dict[str, Packed] = {}
        unpacked: Path | None = None
        for i, archive in enumerate(archives):
            stem = archive.name.partition(".")[0]
            prefix = f"{stem}/" if len(archives) > 1 else ""
            inside_zip = _zip_files(stack, archive)
            if inside_zip is not None:
                packed |= {prefix + name: file for name, file in inside_zip.items()}
                continue
            unpacked = unpacked or _temporary_folder(stack, archives, shown)
            roots.append((prefix, unpacked / str(i)))
            extract(archive, unpacked / str(i))
        yield _tree(
            shown,
            roots,
            label_file=label_file,
            unpacked=unpacked,
            taken=tuple(paths),
            packed=packed,
            streamed=streams,
        )


def _zip_files(stack: ExitStack, archive: Path) -> dict[str, Packed] | None:
    """The files of a zip, hidden ones left out; None if it must be unpacked."""
    if not zipfile.is_zipfile(archive):
        return None  # extract says what it is instead
    files = stack.enter_context(open_zip(archive))
    if any(name.rpartition("/")[2] == "data.mdb" for name in files):
        return None
    return {name: file for name, file in files.items() if not _is_hidden(name)}


def _is_hidden(name: str) -> bool:
    *folders, last = name.split("/")
    return (
        any(folder.startswith((".", "__MACOSX")) for folder in folders)
        or last.startswith(".")
        or is_unfinished(Path(last))
    )


def _temporary_folder(stack: ExitStack, archives: Sequence[Path], shown: str) -> Path:
    """A folder for what is unpacked, of this process alone, gone when the stack is closed."""
    key = hashlib.sha256("\n".join(map(str, archives)).encode()).hexdigest()[:12]
    folder = home() / "raw" / f".unpacked-{key}"
    mark = folder.with_name(folder.name + ".lock")
    stack.enter_context(lock(mark, what=f"the unpacked copy of {shown}"))
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)  # left by a killed process
    return folder
