"""Word crops with a mask of their text, for segmentation.

The mask is the glyphs' own coverage after the warp that drew them, before light, blur and noise: TEXT
where they cover half of a pixel or more, EFFECT where a shadow or an outline does and no glyph, else
BACKGROUND. Pieces of neighbouring words are text as well. IGNORED does not occur: nothing is in doubt.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from strbench.masks import BACKGROUND, EFFECT, TEXT, encode_mask
from strbench.rendered.composing import compose
from strbench.rendered.configs import RenderConfig, choose_text
from strbench.rendered.png import encode_png
from strbench.rendered.wordlist import Draws, Side
from strbench.types import Sample

RULE = (
    "mask: text where glyphs cover half of a pixel or more, neighbouring words' included; effect where "
    "a shadow or an outline does and no glyph; what is worn, blurred or covered still counts as drawn"
)
_HALF = 128  # of a coverage of 255


class Masked(NamedTuple):
    """A drawn word and where its text is."""

    image: npt.NDArray[np.uint8]  # (H, W, 3), RGB
    mask: npt.NDArray[np.uint8]  # (H, W), values of ``strbench.masks``
    label: str

    def sample(self, id_: str) -> Sample:
        """The word as it is written to a store, both pictures as PNG."""
        return Sample(id_, encode_png(self.image), self.label, mask=encode_mask(self.mask))


def masked(draws: Draws, config: RenderConfig, side: Side) -> Masked:
    """A word of one side with its mask; image and label are those that ``word`` draws."""
    label = choose_text(draws, config, side)
    image, text, effect = compose(draws, config, label)
    mask = np.full(text.shape, BACKGROUND, np.uint8)
    mask[effect >= _HALF] = EFFECT
    mask[text >= _HALF] = TEXT
    return Masked(image, mask, label)
