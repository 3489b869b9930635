"""What is drawn and in which fonts: the settings that every kind of rendered picture shares."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from strbench.errors import StrbenchError, unknown_name
from strbench.rendered.glyphs import (
    FAMILIES,
    SCRIPTS,
    SIZES,
    STYLES,
    Face,
    bundled_faces,
    folder_faces,
    is_caps_only,
)
from strbench.rendered.wordlist import SIGNS, Draws, Kind, Side, draw_text

KINDS: tuple[tuple[Kind, float], ...] = (
    ("word", 0.76),
    ("number", 0.09),
    ("price", 0.03),
    ("code", 0.06),
    ("punctuated", 0.06),
)


@dataclass(frozen=True, kw_only=True)
class TextConfig:
    """Which texts are drawn, in which fonts, and how hard they are to read."""

    min_length: int = 1
    max_length: int = 14
    signs: str = SIGNS  # a label holds no other
    kinds: tuple[tuple[Kind, float], ...] = KINDS
    cases: tuple[float, float, float] = (0.5, 0.3, 0.2)  # weights of UPPER, Capitalised, lower
    styles: tuple[str, ...] = ("serif", "sans", "mono", "handwriting", "display")
    families: tuple[str, ...] = ()  # only these of the bundled fonts; () for all of the styles
    font_folder: str = ""  # further fonts, drawn as often as the bundled ones, one by one
    difficulty: float = 1.0  # 0: clean print; 1: photographs of all qualities

    def __post_init__(self) -> None:
        if not 1 <= self.min_length <= self.max_length:
            raise StrbenchError(
                f"Rendered words: expected 1 <= min_length <= max_length, found {self.min_length} "
                f"and {self.max_length}."
            )
        for style in self.styles:
            if style not in STYLES:
                raise unknown_name("font style", style, STYLES)
        for family in self.families:
            if family not in FAMILIES:
                raise unknown_name("bundled font", family, FAMILIES)
        if not set(self.signs) <= set(SIGNS) or not self.signs:
            raise StrbenchError(
                "Rendered words: expected signs among the 94 printable ASCII signs, "
                f"found {self.signs!r}."
            )
        if not 0 <= self.difficulty <= 1:
            raise StrbenchError(
                f"Rendered words: expected 0 <= difficulty <= 1, found {self.difficulty}."
            )


@dataclass(frozen=True, kw_only=True)
class RenderConfig(TextConfig):
    """A word crop: its text, pose and size; part of the manifest of a prepared split."""

    geometry: Literal["regular", "irregular", "mixed"] = "mixed"
    occlusion: Literal["none", "weak", "heavy"] = "none"
    scene: Literal["photo", "paper"] = "photo"
    ink: Literal["any", "dark"] = "any"  # dark: every word is darker than its ground
    min_height: int = 16  # of the crop in pixels, as far as the limits below allow
    max_height: int = 80
    max_width: int = 384
    effects: float = 1.0  # how often shadows and outlines are drawn; 1: in 16 and 12 % of photos

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 12 <= self.min_height <= self.max_height:
            raise StrbenchError(
                "Rendered words: expected 12 <= min_height <= max_height, found "
                f"{self.min_height} and {self.max_height}."
            )
        if not 0 <= self.effects <= 6:
            raise StrbenchError(
                f"Rendered words: expected 0 <= effects <= 6, found {self.effects}."
            )


@lru_cache(maxsize=64)
def faces(config: TextConfig) -> tuple[Face, ...]:
    """The fonts that a config draws from, in a fixed order."""
    chosen = [
        face
        for face in bundled_faces()
        if (face.name in config.families if config.families else face.style in config.styles)
    ]
    if config.font_folder:
        chosen += folder_faces(config.font_folder)
    if not chosen:
        raise StrbenchError(
            f"No bundled font is of the styles {', '.join(config.styles) or '(none)'}.",
            hint=f"Styles: {', '.join(STYLES)}",
        )
    return tuple(chosen)


def choose_text(
    draws: Draws,
    config: TextConfig,
    side: Side,
    *,
    cases: tuple[float, float, float] | None = None,
) -> str:
    """A text of one side after the config; ``cases`` in place of its own."""
    return draw_text(
        draws,
        side,
        min_length=config.min_length,
        max_length=config.max_length,
        signs=config.signs,
        kinds=config.kinds,
        cases=cases or config.cases,
    )


def choose_face(draws: Draws, config: TextConfig, text: str) -> Face:
    """A font of the config in which the text can be read, letter case included."""
    known = faces(config)
    if text != text.upper():
        known = tuple(face for face in known if not is_caps_only(face)) or known
    elif sum(c.isalpha() for c in text) > 1:  # words all in swash capitals cannot be read
        known = tuple(face for face in known if face.name not in SCRIPTS) or known
    return draws.pick(known)


def glyph_size(wanted: float) -> tuple[int, float]:
    """The glyph size nearest to so many pixels per em, and the scale that makes up the rest."""
    size = min(SIZES, key=lambda s: max(s / wanted, wanted / s))
    return size, wanted / size
