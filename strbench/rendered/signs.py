"""What a page says and how: words that belong together, their font, size and pose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from strbench.errors import StrbenchError
from strbench.rendered import scenery
from strbench.rendered.configs import TextConfig, choose_face, choose_text, glyph_size
from strbench.rendered.glyphs import SIZES, Block, set_block
from strbench.rendered.warping import Pose
from strbench.rendered.wordlist import Draws, Side

Box = tuple[int, int, int, int]  # left, top, right, bottom


@dataclass(frozen=True, kw_only=True)
class PageConfig(TextConfig):
    """A picture of several words; part of the manifest of a prepared split.

    With difficulty 0 words are posed as ever, in plain ink on one colour, and nothing is degraded.
    """

    width: int = 640
    height: int = 480
    min_words: int = 1
    max_words: int = 12  # a crowded page may hold fewer than were drawn for it
    min_letter: int = 9  # pixels of a capital, as far as the page has room
    max_letter: int = 120
    curved: float = 0.12  # how often a sign is on an arc
    illegible: float = 0.06  # how often one is tiny or faint

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (64 <= self.width <= 2048 and 64 <= self.height <= 2048):
            raise StrbenchError(
                f"Rendered pages: expected 64 to 2048 pixels, found {self.width} x {self.height}."
            )
        if not 1 <= self.min_words <= self.max_words or not 4 <= self.min_letter <= self.max_letter:
            raise StrbenchError(
                "Rendered pages: expected 1 <= min_words <= max_words and 4 <= min_letter <= "
                f"max_letter, found {self.min_words}, {self.max_words}, {self.min_letter} and "
                f"{self.max_letter}."
            )
        if not (0 <= self.curved <= 1 and 0 <= self.illegible <= 1):
            raise StrbenchError(
                f"Rendered pages: expected shares from 0 to 1, found {self.curved} and "
                f"{self.illegible}."
            )


class Sign(NamedTuple):
    """Words that belong together."""

    texts: list[str]
    block: Block
    pose: Pose
    is_faint: bool


def draw_sign(draws: Draws, config: PageConfig, side: Side, room: int) -> Sign:
    """A sign of at most so many words."""
    hard = config.difficulty
    is_curved = draws.chance(config.curved)
    shape = draws.weighted((0.45, 0.3, 0.25)) if room > 1 else 0
    rows = draws.integer(2, 4) if shape == 2 and not is_curved else 1
    counts = [draws.integer(1, 3) if shape else 1 for _ in range(rows)]
    while sum(counts) > room:
        counts = counts[1:] or [room]
    case = draws.weighted(config.cases)
    cases = (float(case == 0), float(case == 1), float(case == 2))
    lines = [[choose_text(draws, config, side, cases=cases) for _ in range(n)] for n in counts]
    texts = [text for line in lines for text in line]
    face = choose_face(draws, config, " ".join(texts))
    # Small letters are as frequent as in photographs. Rounded, so that the last bit of a power, which
    # machines differ in, is gone.
    span = config.max_letter / config.min_letter
    letter = round(config.min_letter * span ** (draws.unit() ** 1.7) * 64) / 64
    fault = draws.chance(config.illegible)
    is_tiny = fault and draws.chance(0.6)
    if is_tiny:
        letter = draws.between(3.5, 6.5)
    size, scale = glyph_size(letter / 0.72)
    connected = face.style in ("handwriting", "display")
    loose = 0.04 if connected else draws.pick((0.0, 0.02, 0.06, 0.12, 0.25 * hard))
    tracking = draws.between(-0.01, loose)
    block = set_block(
        face,
        size,
        lines,
        tracking=tracking,
        gap=tracking + draws.between(0.25, 0.5),
        leading=draws.between(1.0, 1.5),
        align=draws.pick((0.0, 0.5, 0.5, 1.0)),
        border=size,
        # Of enlarged letters a page hardly shows what is covered by less, see ``pages``.
        edge=100 if size == SIZES[-1] else 32,
    )
    if size >= 28 and draws.chance(0.15):  # bold
        words = [widened(box, 1) for box in block.words]
        mask = scenery.grown(block.mask.astype(np.uint16), 1).astype(np.uint8)
        block = Block(mask, words, widened(block.box, 1))
    pose = _pose(draws, scale, is_curved and sum(map(len, texts)) >= 3, block.box)
    return Sign(texts, block, pose, fault and not is_tiny)


def widened(box: Box, by: int) -> Box:
    """The box with every side so many pixels further out."""
    return box[0] - by, box[1] - by, box[2] + by, box[3] + by


def _pose(draws: Draws, scale: float, is_curved: bool, box: Box) -> Pose:
    sign = draws.pick((-1, 1))
    if is_curved:
        # Radians; an arc tighter than its letters' height allows would fold them.
        most = min(2.2, 0.5 * (box[2] - box[0]) / (box[3] - box[1]))
        bend = sign * draws.between(0.35 * most, most)
        turn = draws.between(-0.12, 0.12)
        tilt = draws.between(-0.15, 0.15)
        return Pose(scale=scale, bend=bend, turn=turn, tilt_x=tilt, margins=(0, 0, 0, 0))
    kind = draws.weighted((0.45, 0.3, 0.14, 0.08, 0.03))
    reach = (0.03, 0.09, 0.2, 0.42, 1.0)[kind]  # tan of half the angle: 3, 10, 23, 46 degrees
    flat = min(1.0, (box[3] - box[1]) / (box[2] - box[0]))
    turn = sign * (draws.between(0.96, 1.04) if kind == 4 else draws.between(0, reach))
    return Pose(
        scale=scale,
        turn=turn,
        slant=draws.between(-0.12, 0.3) if draws.chance(0.2) else 0.0,
        tilt_x=draws.between(-0.3, 0.3) if draws.chance(0.45) else 0.0,
        # The nearer a sign's edge is to its centre, the less does distance change on the way.
        tilt_y=draws.between(-0.3, 0.3) * flat if draws.chance(0.4) else 0.0,
        margins=(0, 0, 0, 0),
    )
