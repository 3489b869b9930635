"""One word as a picture: font, pose, colours, and the order of effects.

The look of real crops was the guide: mostly upper case and sans serif, heights from 16 to 80 pixels,
two colours that differ well but not always, pieces of neighbouring words, blur, noise, compression.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from strbench.rendered import scenery
from strbench.rendered.configs import RenderConfig, choose_face, choose_text, glyph_size
from strbench.rendered.glyphs import Face, Line, set_line
from strbench.rendered.occluding import occluder
from strbench.rendered.png import encode_png
from strbench.rendered.scenery import Coverage
from strbench.rendered.warping import Pose, place
from strbench.rendered.wordlist import Draws, Side, words
from strbench.types import Sample


class Drawn(NamedTuple):
    """A drawn word."""

    image: npt.NDArray[np.uint8]  # (H, W, 3), RGB
    label: str

    def sample(self, id_: str) -> Sample:
        """The word as it is written to a store, its image as PNG."""
        return Sample(id_, encode_png(self.image), self.label)


class Composed(NamedTuple):
    """A picture and what of it was drawn as text."""

    image: npt.NDArray[np.uint8]  # (H, W, 3), RGB
    text: npt.NDArray[np.uint16]  # (H, W), 0 to 255: coverage by glyphs, neighbours' included
    effect: npt.NDArray[
        np.uint16
    ]  # the same by shadows and outlines, the glyphs' own place included


def word(draws: Draws, config: RenderConfig, side: Side) -> Drawn:
    """A word of one side, from the choices that ``draws`` makes next."""
    label = choose_text(draws, config, side)
    return Drawn(compose(draws, config, label).image, label)


def compose(draws: Draws, config: RenderConfig, label: str) -> Composed:
    """The picture of a label, from the choices that ``draws`` makes next."""
    face = choose_face(draws, config, label)
    picture = _on_paper if config.scene == "paper" else _in_the_street
    return picture(draws, config, face, label)


def _sizes(draws: Draws, config: RenderConfig, tall: float) -> tuple[int, float, int]:
    """Glyph size in pixels per em, the scale to apply to it, and the wanted height of the crop.

    ``tall`` is the usual height of a line's ink in em. Small crops are as frequent as in photographs.
    """
    span = config.max_height / config.min_height
    # Rounded, so that the last bit of a power, which machines differ in, is gone.
    height = round(config.min_height * span ** (draws.unit() ** 1.3) * 64) / 64
    wanted = height * 0.8 / tall  # pixels per em
    return *glyph_size(wanted), round(height)


def _in_the_street(draws: Draws, config: RenderConfig, face: Face, label: str) -> Composed:
    hard = config.difficulty
    irregular = config.geometry == "irregular" or (config.geometry == "mixed" and draws.chance(0.4))
    size, scale, height = _sizes(draws, config, 0.72)
    connected = face.style in ("handwriting", "display")
    loose = 0.04 if connected else draws.pick((0.0, 0.02, 0.06, 0.12, 0.3 * hard))
    fragments = not irregular and draws.chance(0.22 * hard)
    line = _line_with_neighbours(draws, face, size, label, loose, fragments)
    if irregular:
        pose = _irregular_pose(draws, scale, label)
        sampler = place(line, pose, max_height=max(56, 2 * height), max_width=config.max_width)
    else:
        pose = _regular_pose(draws, scale, hard)
        sampler = place(line, pose, max_height=config.max_height, max_width=config.max_width)
    text = sampler.take(line.mask)
    rows, columns = text.shape

    ground, ink = scenery.pair(draws, 0.1 * hard)
    if config.ink == "dark" and scenery.luminance(ink) > scenery.luminance(ground):
        ground, ink = ink, ground
    planes = scenery.background(draws, ground, rows, columns, hard)
    if draws.chance(0.1 * hard):
        scenery.frame(draws, planes)
    if rows >= 24 and draws.chance(0.15):
        text = scenery.grown(text, 1)
    effect = paint(draws, planes, ink, text, height=rows, hard=hard, effects=config.effects)
    cover_seed = draws.word()  # its own choices: the picture behind is the same without a cover
    if config.occlusion != "none":
        own = Draws(cover_seed, "cover", 0)
        cover = sampler.take(occluder(own, line, label, config.occlusion))
        scenery.lay(planes, _cover_ink(own, ground, ink), cover)
    return Composed(scenery.finished(_photographed(draws, planes, hard)), text, effect)


def paint(
    draws: Draws,
    planes: scenery.Planes,
    ink: scenery.Colour,
    text: Coverage,
    *,
    height: int,
    hard: float,
    effects: float = 1.0,
) -> Coverage:
    """Text painted onto the picture in place, with its effects; returns what these cover.

    Args:
        text: (H, W), 0 to 255, as large as the planes.
        height: pixels of a text line, which the reach of shadows and outlines follows.
        hard: 0 to 1; 0 is plain ink.
        effects: how often there is a shadow or an outline, see ``RenderConfig``.
    """
    rows, columns = text.shape
    effect = np.zeros_like(text)
    if draws.chance(0.16 * hard * effects):
        distance = max(1, height // 24)
        away = draws.pick(((1, 1), (-1, 1), (0, 1), (1, 0)))
        shade = scenery.shifted(text, away[0] * distance, away[1] * distance)
        scenery.lay(planes, scenery.any_colour(draws), shade - (shade >> 2))
        effect = shade
    if height >= 20 and draws.chance(0.12 * hard * effects):
        rim = scenery.grown(text, max(1, height // 32))
        scenery.lay(planes, scenery.contrasting(draws, ink, 60), rim)
        effect = np.maximum(effect, rim)
    if draws.chance(0.12 * hard):  # worn paint
        wear = scenery.smooth(
            (140 + draws.raw_bytes(60).astype(np.int64) // 2).clip(0, 256).reshape(1, 4, 15),
            rows,
            columns,
        )[0]
        text = (text * wear.astype(np.uint16)) >> 8
    if draws.chance(0.15 * hard):  # the ink's colour runs from top to bottom
        second = tuple(min(255, max(0, c + draws.integer(-40, 40))) for c in ink)
        knots = np.array([ink, second], np.int64).T[:, :, None].repeat(2, axis=2)
        scenery.lay(planes, scenery.smooth(knots, rows, columns), text)
    else:
        scenery.lay(planes, ink, text)
    return effect


def _line_with_neighbours(
    draws: Draws, face: Face, size: int, label: str, loose: float, fragments: bool
) -> Line:
    tracking = draws.between(-0.01, loose)
    if not fragments:
        return set_line(face, size, label, tracking=tracking)
    case = str.upper if label.isupper() else str.lower
    before, after, above, below = (
        case(draws.pick(words("train", 3, 8))) if draws.chance(0.5) else "" for _ in range(4)
    )
    return set_line(
        face,
        size,
        label,
        tracking=tracking,
        gap=draws.between(0.22, 0.4),
        leading=draws.between(1.0, 1.25),
        before=before,
        after=after,
        above=above,
        below=below,
    )


def _margins(draws: Draws, reach: float) -> tuple[float, float, float, float]:
    """Margins left, top, right, bottom in text heights; now and then a little of a sign is cut."""
    left, top, right, bottom = (draws.between(-0.02, reach) for _ in range(4))
    return left, top, right, bottom


def _regular_pose(draws: Draws, scale: float, hard: float) -> Pose:
    turned = draws.chance(0.6)
    return Pose(
        scale=scale * draws.between(0.92, 1.08),
        turn=draws.between(-0.035, 0.035) * hard if turned else 0.0,  # up to 4 degrees
        slant=draws.between(-0.12, 0.3) * hard if draws.chance(0.25) else 0.0,
        tilt_x=draws.between(-0.16, 0.16) * hard if turned else 0.0,
        tilt_y=draws.between(-0.08, 0.08) * hard if turned else 0.0,
        margins=_margins(draws, 0.25),
    )


def _irregular_pose(draws: Draws, scale: float, label: str) -> Pose:
    kind = draws.weighted((0.4, 0.35, 0.25))  # arc, rotation, perspective
    sign = draws.pick((-1, 1))
    turn = draws.between(-0.06, 0.06)
    bend = 0.0
    tilt_x = draws.between(-0.15, 0.15)
    tilt_y = draws.between(-0.1, 0.1)
    if kind == 0 and len(label) >= 3:
        most = min(2.2, 0.28 * len(label))  # radians; short words cannot bend as far
        bend = sign * draws.between(0.4 * most, most)
        turn = draws.between(-0.12, 0.12)
    elif kind == 1:
        turn = sign * draws.between(0.08, 0.36)  # 9 to 40 degrees
    else:
        tilt_x = sign * draws.between(0.2, 0.42)
        tilt_y = draws.between(-0.2, 0.2)
        turn = draws.between(-0.12, 0.12)
    slant = draws.between(-0.2, 0.35) if draws.chance(0.4) else 0.0
    return Pose(
        scale=scale,
        turn=turn,
        slant=slant,
        bend=bend,
        tilt_x=tilt_x,
        tilt_y=tilt_y,
        margins=_margins(draws, 0.2),
    )


def _photographed(draws: Draws, planes: scenery.Planes, hard: float) -> scenery.Planes:
    """The picture after light, lens, sensor and compression."""
    if draws.chance(0.3 * hard):
        planes = scenery.lit(draws, planes, hard)
    rows = planes.shape[1]
    lens = draws.unit()
    if lens < 0.35 * hard:
        planes = scenery.blurred(planes, draws.integer(1, 1 + rows // 24))
    elif lens < 0.43 * hard:
        across = draws.chance(0.7)
        passes = draws.integer(2, 2 + rows // 10)
        planes = scenery.blurred(planes, passes, across=across, down=not across)
    elif lens < 0.6 * hard and rows >= 20:
        planes = scenery.coarse(scenery.blurred(planes, 1), draws.integer(40, 75))
    if draws.chance(0.2 + 0.5 * hard):
        strength = draws.pick((6, 12, 20, 36)) if hard > 0.5 else draws.pick((6, 12, 20))
        planes = scenery.noisy(draws, planes, strength, coloured=draws.chance(0.4))
    if draws.chance(0.55 * hard):
        planes = scenery.compressed(scenery.bounded(planes), draws.pick((1, 2, 3, 5, 8)))
    return planes


def _on_paper(draws: Draws, config: RenderConfig, face: Face, label: str) -> Composed:
    hard = config.difficulty
    size, scale, _ = _sizes(draws, config, 0.8)
    lifts = [draws.between(-0.03, 0.03) for _ in label]
    line = set_line(face, size, label, tracking=draws.between(-0.02, 0.05), lifts=lifts)
    pose = Pose(
        scale=scale * draws.between(0.9, 1.1),
        turn=draws.between(-0.05, 0.05),
        slant=draws.between(-0.2, 0.5),
        bend=draws.between(-0.15, 0.15) if draws.chance(0.5) else 0.0,
        margins=_margins(draws, 0.35),
    )
    sampler = place(line, pose, max_height=config.max_height, max_width=config.max_width)
    text = sampler.take(line.mask)
    rows, columns = text.shape
    planes = scenery.paper(draws, rows, columns, max(6, rows * 2 // 3))
    if rows >= 36 and draws.chance(0.3):
        text = scenery.grown(text, 1)
    level = draws.integer(10, 90)
    ink = draws.pick(
        ((level,) * 3, (level // 3, level // 2, 90 + level), (150, level // 2, level // 2))
    )
    pressure = scenery.smooth(
        (150 + draws.raw_bytes(36).astype(np.int64) // 2).clip(0, 256).reshape(1, 3, 12),
        rows,
        columns,
    )[0]
    scenery.lay(planes, ink, (text * pressure.astype(np.uint16)) >> 8)
    cover_seed = draws.word()
    if config.occlusion != "none":
        own = Draws(cover_seed, "cover", 0)
        cover = sampler.take(occluder(own, line, label, config.occlusion))
        scenery.lay(planes, (level, level, level), cover)
    image = scenery.finished(_photographed(draws, planes, 0.6 * hard))
    return Composed(image, text, np.zeros_like(text))


def _cover_ink(draws: Draws, ground: scenery.Colour, ink: scenery.Colour) -> scenery.Colour:
    """The ground's colour as if the sign were worn away, the ink's, or that of a thing in front."""
    kind = draws.weighted((0.45, 0.1, 0.45))
    return ground if kind == 0 else ink if kind == 1 else scenery.any_colour(draws)
