"""Files in the official layout of each dataset, made small: what the tests of fetching serve.

A module a dataset (or a family of them), each with ``LAYOUTS``: (split, title of the source) -> what
builds that source's files. Nothing here is copied from a dataset: names and formats are the official
ones, words and pixels are invented. LMDBs need no layout; the tests build those from the spec alone.
"""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from PIL import Image, ImageDraw


@dataclass(frozen=True)
class Layout:
    """One source, small and whole."""

    files: Mapping[str, bytes]  # Remote.file -> content
    n: int  # samples that the split holds then
    counts: Mapping[str, int] = field(default_factory=dict)  # regions, ignored, characters


Builder = Callable[[], Layout]


def picture(shade: int, width: int = 48, height: int = 32, kind: str = "PNG") -> bytes:
    """An encoded image that differs from those of other shades."""
    image = Image.new("RGB", (width, height), (shade * 37 % 256, shade * 11 % 256, 90))
    ImageDraw.Draw(image).rectangle(
        (4, 4, 4 + shade % (width - 8), height // 2), fill=(240, 240, 9)
    )
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def zipped(files: Mapping[str, bytes | str]) -> bytes:
    """A zip of these files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name, content in files.items():
            bundle.writestr(name, content)
    return buffer.getvalue()


def tarred(files: Mapping[str, bytes | str], compression: str = "gz") -> bytes:
    """A tar of these files; compression "" leaves it plain."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=f"w:{compression}") as bundle:  # type: ignore[call-overload]
        for name, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            info = tarfile.TarInfo(name)
            info.size = len(data)
            bundle.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def layouts() -> dict[tuple[str, str], Builder]:
    """Every layout of every module of this folder."""
    found: dict[tuple[str, str], Builder] = {}
    for module in iter_modules([str(Path(__file__).parent)]):
        own = import_module(f"layouts.{module.name}").LAYOUTS
        assert not found.keys() & own.keys()
        found |= own
    return found
