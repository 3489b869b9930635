"""Writing a page: a folder with ``index.html``, ``data.js`` and ``images/``.

The folder needs no server and no network: a browser refuses to ``fetch`` files from disk, so the data
is a script, one line an item. Pictures are named by number, since an id may be anything.
"""

from __future__ import annotations

import io
import json
import math
import os
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from PIL import Image

from strbench.errors import DATA, StrbenchError
from strbench.files import new_folder
from strbench.loading import DAMAGED, decode
from strbench.types import Polygon
from strbench.view.items import Gallery, Item, Order
from strbench.view.sprites import Sheets

Images = Mapping[str, bytes | Path] | Callable[[str], bytes | Path]

_HERE = Path(__file__).parent
_MARK = '<meta name="generator" content="strbench view">'
_OURS = re.compile(r"index\.html|data\.js|images(/\d+\.(jpg|png|gif|webp|bmp))?")
_SCRIPTS = ("photograph.js", "grid.js", "page.js")  # the last one starts
# Formats that browsers show, as they are stored; others become PNG.
_SUFFIXES = {"JPEG": "jpg", "MPO": "jpg", "PNG": "png", "GIF": "gif", "WEBP": "webp", "BMP": "bmp"}
_ORIENTATION = 0x0112  # the EXIF tag


def write_page(
    gallery: Gallery,
    folder: str | Path,
    *,
    title: str,
    images: Images,
    limit: int = 2000,
    link: bool = False,
) -> Path:
    """The ``index.html`` of a page that shows a gallery; it opens from disk in any browser.

    The folder appears whole or not at all. One that an earlier call wrote is replaced.

    Args:
        images: a picture's key to the encoded image or the file that holds it; only those that are
            shown are asked for.
        limit: items on the page, the first ones in the first order of the gallery; the page says
            how many are left out.
        link: hard links to photographs that are files, where the disk allows it, in place of copies.

    Raises:
        StrbenchError: the folder exists and is not such a page, or holds other files too; an image
            is missing or damaged; the disk is full.
    """
    folder = Path(folder).resolve()
    if folder.exists() and not is_page(folder):
        raise StrbenchError(
            f"{folder} exists and is not a page of strbench view, or holds other files too.",
            hint="Give a folder that does not exist yet.",
            exit_code=DATA,
        )
    shown = _first(gallery, limit)
    with new_folder(folder, replace=True) as temporary:
        (temporary / "images").mkdir()
        store = _Store(temporary / "images", images, gallery.layout == "grid", link)
        lines = [_line([at, *_item(gallery.items[at], store)]) for at in shown]
        store.sheets.finish()
        head = _head(gallery, shown) | {"sheets": store.sheets.sizes}
        data = f"const PAGE = {_line(head)};\nPAGE.items = [\n{_joined(lines)}];\n"
        (temporary / "data.js").write_text(data, encoding="ascii")
        (temporary / "index.html").write_bytes(_html(title))
    return folder / "index.html"


def is_page(folder: str | Path) -> bool:
    """Whether a folder holds a page that ``write_page`` wrote, and no other file."""
    index = Path(folder) / "index.html"
    if not index.is_file() or _MARK.encode() not in index.read_bytes()[:1000]:
        return False
    files = (path.relative_to(folder).as_posix() for path in Path(folder).rglob("*"))
    return all(_OURS.fullmatch(name) for name in files)


def _first(gallery: Gallery, limit: int) -> list[int]:
    """The places of the items that a page shows, the first in order first."""
    order = gallery.orders[0] if gallery.orders else Order("File order")
    places = sorted(range(len(gallery.items)), key=lambda at: _key(gallery.items[at], order))
    return places[:limit]


def _key(item: Item, order: Order) -> list[tuple[bool, float]]:
    values = [(item.figures[place], falling) for place, falling in order.by]
    return [(v is None, 0.0 if v is None else -v if falling else v) for v, falling in values]


class _Store:
    """The pictures of a page: photographs as files, words on sheets."""

    def __init__(self, folder: Path, images: Images, is_packed: bool, link: bool) -> None:
        self.sheets = Sheets(folder)
        self._folder, self._images, self._is_packed, self._link = folder, images, is_packed, link
        self._count = 0

    def put(self, key: str) -> list[Any]:
        """[file, width, height], or [sheet, width, height, x, y, width as stored, height as stored]."""
        source = self._find(key)
        data = source.read_bytes() if isinstance(source, Path) else source
        try:
            if self._is_packed:
                pixels = decode(data)
                return [*self.sheets.add(pixels), pixels.shape[1], pixels.shape[0]]
            with Image.open(io.BytesIO(data)) as image:
                width, height = image.size
                kind = image.format or ""
                is_turned = image.getexif().get(_ORIENTATION, 1) != 1
        except (*DAMAGED, StrbenchError) as error:
            raise StrbenchError(
                f"The image of {key!r} cannot be read: {error}.", exit_code=DATA
            ) from error
        self._count += 1
        stem, suffix = f"{self._count:05}", _SUFFIXES.get(kind, "")
        # Polygons are in stored pixels, and a browser would turn the picture under them.
        if is_turned and suffix == "jpg":
            data, source = without_exif(data), b""
        elif is_turned or not suffix:
            buffer = io.BytesIO()
            Image.fromarray(decode(data)).save(buffer, "PNG")
            data, source, suffix = buffer.getvalue(), b"", "png"
        path = self._folder / f"{stem}.{suffix}"
        if not (self._link and isinstance(source, Path) and _linked(source, path)):
            path.write_bytes(data)
        return [path.name, width, height]

    def _find(self, key: str) -> bytes | Path:
        try:
            source = self._images(key) if callable(self._images) else self._images[key]
            if isinstance(source, bytes) or source.is_file():
                return source
            where = f"; {source} is no file"
        except KeyError:
            where = ""
        raise StrbenchError(
            f"There is no image for {key!r}{where}.",
            hint="Give the folder or split that holds the images of these results.",
            exit_code=DATA,
        )


def _linked(source: Path, path: Path) -> bool:
    try:
        os.link(source.resolve(), path)
    except OSError:  # another disk, or one without hard links
        shutil.copyfile(source, path)
    return True


def without_exif(data: bytes) -> bytes:
    """A JPEG without its EXIF segments; its pixels are untouched.

    >>> without_exif(b"\\xff\\xd8" + b"\\xff\\xe1\\x00\\x08Exif\\x00\\x00" + b"\\xff\\xda..")
    b'\\xff\\xd8\\xff\\xda..'
    """
    out, at = [data[:2]], 2
    while data[at : at + 1] == b"\xff" and data[at + 1 : at + 2] not in (b"\xda", b""):
        if data[at + 1] == 0xFF:  # a marker may begin with any number of these
            at += 1
            continue
        size = 2 + int.from_bytes(data[at + 2 : at + 4])
        if not (data[at + 1] == 0xE1 and data[at + 4 : at + 10] == b"Exif\0\0"):
            out.append(data[at : at + size])
        at += size
    return b"".join([*out, data[at:]])


def _head(gallery: Gallery, shown: Sequence[int]) -> dict[str, Any]:
    out = set(range(len(gallery.items))) - set(shown)
    return {
        "version": 1,
        "layout": gallery.layout,
        "noun": gallery.noun,
        "total": len(gallery.items),
        # of each filter, how many items that it lets through are left out
        "leftOut": [sum(gallery.items[at].counts[k] > 0 for at in out) for k in _places(gallery)],
        "about": gallery.about,
        "models": gallery.models,
        "filters": gallery.filters,
        "figures": gallery.figures,
        "orders": gallery.orders,
        "ranges": gallery.ranges,
        "strip": gallery.strip,
    }


def _places(gallery: Gallery) -> range:
    return range(len(gallery.filters))


def _item(item: Item, store: _Store) -> list[Any]:
    """[id, pictures, counts, figures, label, readings, marks, note]; a picture is [role, ...]."""
    marks = [
        [int(m.is_true), int(m.verdict), _flat(m.polygon), m.text, _finite(m.confidence), m.partner]
        for m in item.marks
    ]
    return [
        item.id,
        [[picture.role, *store.put(picture.key)] for picture in item.pictures],
        item.counts,
        [_finite(figure, 6) for figure in item.figures],
        item.label,
        [[one.text, _finite(one.confidence), one.is_right] for one in item.readings],
        marks,
        item.note,
    ]


def _flat(polygon: Polygon) -> list[float]:
    """x1, y1, ... to a hundredth of a pixel; nothing where a vertex is no finite number."""
    flat = [value for point in polygon for value in point]
    if not all(map(math.isfinite, flat)):
        return []
    return [int(v) if v == int(v) else round(v, 2) for v in flat]


def _finite(value: float | None, digits: int = 4) -> float | None:
    if value is None or not math.isfinite(value):
        return None
    return int(value) if value == int(value) else round(value, digits)


def _line(value: object) -> str:
    """JSON that is a script too, in ASCII: U+2028 and halves of surrogates are escaped."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")


def _joined(lines: Sequence[str]) -> str:
    return "".join(f"{line},\n" for line in lines)


def _html(title: str) -> bytes:
    parts = {
        "mark": _MARK,
        "title": escape(title),
        "style": (_HERE / "page.css").read_text(encoding="utf-8"),
        "script": "\n".join((_HERE / name).read_text(encoding="utf-8") for name in _SCRIPTS),
    }
    page = (_HERE / "page.html").read_text(encoding="utf-8")
    page = re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], page)
    return page.encode("utf-8", "replace")  # half a surrogate pair in the title becomes "?"
