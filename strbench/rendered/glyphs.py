"""Bundled fonts and the glyph masks drawn from them.

A glyph is drawn once per font and size by FreeType, through Pillow, and kept; all later arithmetic
is ours and in integers. The bundled fonts are those whose masks are equal under Pillow 11.0 to 13.0
(FreeType 2.13 and 2.14): fonts without hints, which FreeType hints by itself, changed between these
and are not among them. ``glyph_fingerprint`` proves it on any machine.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from strbench.errors import DATA, StrbenchError
from strbench.rendered.wordlist import SIGNS

Mask = npt.NDArray[np.uint8]  # (H, W), coverage 0 to 255

FOLDER = Path(__file__).parents[1] / "fonts"
SIZES = (14, 20, 28, 40, 56)  # pixels per em at which glyphs are drawn; scaling does the rest
STYLES = ("serif", "sans", "mono", "handwriting", "display")

# family (its folder) -> style; README.md in the folder has authors, versions and sources
FAMILIES = {
    "arapey": "serif",
    "quattrocento": "serif",
    "bebas-neue": "sans",
    "cabin": "sans",
    "dosis": "sans",
    "league-spartan": "sans",
    "yanone-kaffeesatz": "sans",
    "courier-prime": "mono",
    "comic-neue": "handwriting",
    "dancing-script": "handwriting",
    "kaushan-script": "handwriting",
    "kristi": "handwriting",
    "cherry-bomb": "display",
    "lobster-two": "display",
}

SCRIPTS = frozenset({"dancing-script", "kaushan-script", "kristi", "lobster-two"})  # no all-caps

# Of the bundled fonts at all SIZES, as drawn by Pillow 11.0, 11.3, 12.0, 12.3 and 13.0 (x86-64).
REFERENCE_GLYPHS = "eac008603e776591c763bfde06c5e77f82ae115e581db119f6938f30a9a9f970"


class Glyph(NamedTuple):
    """One sign at one size: its mask and where that lies relative to the pen on the baseline."""

    mask: Mask
    left: int  # pixels from the pen to the mask's left edge
    top: int  # pixels from the baseline to the mask's upper edge, negative above
    advance: int  # 1/64 pixel


@dataclass(frozen=True)
class Face:
    """A font file that holds all 94 printable ASCII signs."""

    path: Path
    name: str
    style: str

    @property
    def is_caps_only(self) -> bool:
        """Whether small letters look exactly like capitals, so that lower case cannot be told."""
        lower, upper = (glyphs(self.path, SIZES[-1], text) for text in ("aegr", "AEGR"))
        return all(np.array_equal(a.mask, b.mask) for a, b in zip(lower, upper, strict=True))


@cache
def _load(path: Path, size: int) -> object:
    from PIL import ImageFont

    try:
        return ImageFont.truetype(path, size, layout_engine=ImageFont.Layout.BASIC)
    except OSError as error:
        raise StrbenchError(
            f"{path} is not a readable font ({error}).",
            hint="Fonts are .ttf or .otf files; remove this one from the folder.",
            exit_code=DATA,
        ) from error


@cache
def _glyph(path: Path, size: int, sign: str) -> Glyph:
    font = _load(path, size)
    core, (left, top) = font.getmask2(sign, mode="L", anchor="ls")  # type: ignore[attr-defined]
    width, height = core.size
    mask = np.frombuffer(bytes(core), np.uint8).reshape(height, width)
    advance = round(font.getlength(sign) * 64)  # type: ignore[attr-defined]
    return Glyph(mask, int(left), int(top), advance)


def glyphs(path: Path, size: int, text: str) -> list[Glyph]:
    """The glyphs of a text, one per sign, without kerning or ligatures."""
    return [_glyph(path, size, sign) for sign in text]


@cache
def is_caps_only(face: Face) -> bool:
    """Whether small letters look exactly like capitals, so that the case cannot be read."""
    lower, upper = (glyphs(face.path, SIZES[-1], text) for text in ("aegr", "AEGR"))
    return all(np.array_equal(a.mask, b.mask) for a, b in zip(lower, upper, strict=True))


@cache
def bundled_faces() -> tuple[Face, ...]:
    """The fonts that come with strbench, by family name."""
    faces = []
    for family, style in sorted(FAMILIES.items()):
        files = [p for p in (FOLDER / family).iterdir() if p.suffix in (".otf", ".ttf")]
        if len(files) != 1:
            raise StrbenchError(
                f"{FOLDER / family}: expected one font file, found {len(files)}.",
                hint="Install strbench again.",
                exit_code=DATA,
            )
        faces.append(Face(files[0], family, style))
    return tuple(faces)


@cache
def folder_faces(folder: str) -> tuple[Face, ...]:
    """The fonts of a user's folder (.ttf and .otf at any depth), by file name; style "folder".

    Raises:
        StrbenchError: there is no such folder, no font in it, a file is no font, or a font lacks
            one of the 94 signs.
    """
    root = Path(folder).expanduser()
    if not root.is_dir():
        raise StrbenchError(
            f"The font folder {folder} does not exist.",
            hint="Set STRBENCH_FONTS to a folder of .ttf or .otf files, or unset it.",
        )
    paths = sorted(p for p in root.rglob("*") if p.suffix.lower() in (".ttf", ".otf"))
    if not paths:
        raise StrbenchError(
            f"The font folder {folder} holds no .ttf or .otf file.",
            hint="Put font files there, or unset STRBENCH_FONTS.",
        )
    for path in paths:
        missing = missing_signs(path)
        if missing:
            raise StrbenchError(
                f"{path}: expected all 94 printable ASCII signs, found none for {missing!r}.",
                hint="Remove this font from the folder.",
                exit_code=DATA,
            )
    return tuple(Face(path, path.name, "folder") for path in paths)


def missing_signs(path: Path) -> str:
    """The printable ASCII signs that a font draws as nothing or as its "no such glyph" box."""
    size = SIZES[-1]
    box = _glyph(path, size, "\U0010fffe")
    absent = []
    for sign in SIGNS:
        glyph = _glyph(path, size, sign)
        if not glyph.mask.any() or np.array_equal(glyph.mask, box.mask):
            absent.append(sign)
    return "".join(absent)


def file_digest(faces: Sequence[Face]) -> str:
    """A hash of the font files themselves, in any order: 8 hex digits."""
    digests = sorted(hashlib.sha256(face.path.read_bytes()).digest() for face in faces)
    return hashlib.sha256(b"".join(digests)).hexdigest()[:8]


def glyph_fingerprint(faces: Sequence[Face] | None = None) -> str:
    """A hash of every mask and metric of the fonts (the bundled ones by default): 64 hex digits.

    Equal to ``REFERENCE_GLYPHS`` where FreeType draws as it does for everybody else.
    """
    digest = hashlib.sha256()
    for face in bundled_faces() if faces is None else faces:
        for size in SIZES:
            for glyph in glyphs(face.path, size, SIGNS):
                digest.update(f"{glyph.mask.shape}{glyph[1:]}".encode())
                digest.update(glyph.mask.tobytes())
    return digest.hexdigest()


class Line(NamedTuple):
    """A line of text as one mask, with a border of empty pixels on every side."""

    mask: Mask
    spans: list[tuple[int, int, int, int]]  # left, top, right, bottom of every sign of the word
    box: tuple[int, int, int, int]  # the same of the whole word, neighbours left out


def set_line(
    face: Face,
    size: int,
    word: str,
    *,
    tracking: float = 0.0,
    lifts: Sequence[float] = (),
    before: str = "",
    after: str = "",
    gap: float = 0.35,
    above: str = "",
    below: str = "",
    leading: float = 1.1,
) -> Line:
    """The mask of a word and, around it, of the neighbours that a crop may show.

    Args:
        tracking: extra space between signs in em.
        lifts: baseline shift of every sign in em, upwards; empty for none.
        before, after: neighbours on the same line, ``gap`` em away.
        above, below: other lines, ``leading`` em away and flush left.
    """
    space = round(tracking * size * 64)
    placed, end = _set(face, size, word, 0, 0, space, lifts)
    n = len(word)
    step = round(leading * size)
    apart = round(gap * size * 64)
    if after:
        placed += _set(face, size, after, end + apart, 0, space)[0]
    if before:
        width = sum(g.advance + space for g in glyphs(face.path, size, before))
        placed += _set(face, size, before, -width - apart, 0, space)[0]
    if above:
        placed += _set(face, size, above, 0, -step, space)[0]
    if below:
        placed += _set(face, size, below, 0, step, space)[0]
    mask, left, top = _inked(placed, 2)
    moved = [_box([glyph], left, top) for glyph in placed[:n]]
    return Line(mask, moved, _box(placed[:n], left, top))


_Placed = tuple[Glyph, int, int]  # with x and y of its upper left corner


def _set(
    face: Face,
    size: int,
    text: str,
    pen: int,
    base: int,
    space: int,
    lifts: Sequence[float] = (),
) -> tuple[list[_Placed], int]:
    """The glyphs of a text from a pen position (1/64 pixel) on a baseline, and where the pen ends."""
    placed = []
    for i, glyph in enumerate(glyphs(face.path, size, text)):
        lift = round(lifts[i] * size) if lifts else 0
        placed.append((glyph, (pen >> 6) + glyph.left, base + glyph.top - lift))
        pen += glyph.advance + space
    return placed, pen


def _inked(placed: Sequence[_Placed], border: int) -> tuple[Mask, int, int]:
    """All glyphs in one mask with an empty border, and the place of its upper left corner."""
    left = min(x for _, x, _ in placed) - border
    top = min(y for _, _, y in placed) - border
    right = max(x + g.mask.shape[1] for g, x, _ in placed) + border
    bottom = max(y + g.mask.shape[0] for g, _, y in placed) + border
    mask = np.zeros((bottom - top, right - left), np.uint8)
    for glyph, x, y in placed:
        height, width = glyph.mask.shape
        part = mask[y - top : y - top + height, x - left : x - left + width]
        np.maximum(part, glyph.mask, out=part)
    return mask, left, top


def _box(placed: Sequence[_Placed], left: int, top: int) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of glyphs in a mask whose corner is (left, top)."""
    return (
        min(x for _, x, _ in placed) - left,
        min(y for _, _, y in placed) - top,
        max(x + g.mask.shape[1] for g, x, _ in placed) - left,
        max(y + g.mask.shape[0] for g, _, y in placed) - top,
    )


def _ink_box(
    placed: Sequence[_Placed], left: int, top: int, edge: int
) -> tuple[int, int, int, int]:
    """The same of their ink, which begins at the coverage ``edge`` or, of hairlines, their most."""
    rows, columns = [], []
    for glyph, x, y in placed:
        inked = glyph.mask >= min(edge, int(glyph.mask.max()))
        rows.append(y + np.flatnonzero(inked.any(axis=1)))
        columns.append(x + np.flatnonzero(inked.any(axis=0)))
    return (
        min(int(c[0]) for c in columns) - left,
        min(int(r[0]) for r in rows) - top,
        max(int(c[-1]) for c in columns) + 1 - left,
        max(int(r[-1]) for r in rows) + 1 - top,
    )


class Block(NamedTuple):
    """Lines of words as one mask."""

    mask: Mask
    words: list[tuple[int, int, int, int]]  # left, top, right, bottom of every word's ink
    box: tuple[int, int, int, int]  # the same of all words together


def set_block(
    face: Face,
    size: int,
    lines: Sequence[Sequence[str]],
    *,
    tracking: float = 0.0,
    gap: float = 0.35,
    leading: float = 1.1,
    align: float = 0.0,
    border: int = 2,
    edge: int = 1,
) -> Block:
    """The mask of lines of words, each with at least one sign.

    Args:
        tracking: extra space between signs in em.
        gap: space between words in em.
        leading: from one baseline to the next in em.
        align: 0 sets lines flush left, 0.5 centres them, 1 sets them flush right.
        border: empty pixels on every side.
        edge: coverage of 255 at which a pixel counts as ink of a word.
    """
    space = round(tracking * size * 64)
    words: list[list[_Placed]] = []
    for i, line in enumerate(lines):
        advances = [sum(g.advance + space for g in glyphs(face.path, size, word)) for word in line]
        apart = round(gap * size * 64)
        pen = -round((sum(advances) + apart * (len(line) - 1)) * align)
        for word, advance in zip(line, advances, strict=True):
            words.append(_set(face, size, word, pen, round(i * leading * size), space)[0])
            pen += advance + apart
    placed = [glyph for word in words for glyph in word]
    mask, left, top = _inked(placed, border)
    boxes = [_ink_box(word, left, top, edge) for word in words]
    return Block(mask, boxes, _ink_box(placed, left, top, edge))
