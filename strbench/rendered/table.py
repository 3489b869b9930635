"""Every split that can be drawn: what its pictures are, its settings, its side and its size.

A kind of picture is one ``Picture``: the function that draws it, and the task of its samples. A split
names its kind, so that drawing, preparing and listing ask the table and never the name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple, Protocol

from strbench.errors import unknown_name
from strbench.rendered.composing import word
from strbench.rendered.configs import RenderConfig, TextConfig
from strbench.rendered.masks import RULE as MASK_RULE
from strbench.rendered.masks import masked
from strbench.rendered.pages import RULE as PAGE_RULE
from strbench.rendered.pages import page
from strbench.rendered.pairs import RULE as PAIR_RULE
from strbench.rendered.pairs import PairConfig, pair
from strbench.rendered.signs import PageConfig
from strbench.rendered.wordlist import Draws, Side
from strbench.types import Sample, Task


class Drawing(Protocol):
    """What a picture's function returns: arrays, and how they become a sample."""

    def sample(self, id_: str) -> Sample: ...


class Picture(NamedTuple):
    """A kind of picture."""

    task: Task
    draw: Callable[[Draws, Any, Side], Drawing]  # its settings are of the split's config's class
    prepared: int  # how many ``prepare`` writes of a split without a size of its own
    ahead: int = 4096  # how many worker processes may be ahead of the reader
    rule: str = ""  # how the ground truth or the degradation is made, for the manifest


WORD = Picture("recognition", word, 20_000)
PAGE = Picture("detection", page, 2_000, ahead=256, rule=PAGE_RULE)
PAIR = Picture("super-resolution", pair, 20_000, rule=PAIR_RULE)
MASK = Picture("segmentation", masked, 20_000, rule=MASK_RULE)


class RenderedSplit(NamedTuple):
    """A split that can be drawn: its settings, its side, and its size (0: as many as wanted)."""

    config: TextConfig
    side: Side
    n: int
    labelled: bool = True
    picture: Picture = WORD

    @property
    def size(self) -> int:
        """How many pictures are prepared where no number is asked for."""
        return self.n or self.picture.prepared


ALNUM = "0123456789abcdefghijklmnopqrstuvwxyz"

TRAIN = RenderConfig()
REGULAR = RenderConfig(geometry="regular")
IRREGULAR = RenderConfig(geometry="irregular", min_height=20)
OCCLUDED_WEAK = replace(REGULAR, occlusion="weak", difficulty=0.6, min_length=3, min_height=24)
OCCLUDED_HEAVY = replace(OCCLUDED_WEAK, occlusion="heavy")
HANDWRITTEN = RenderConfig(
    styles=("handwriting",),
    scene="paper",
    geometry="regular",
    kinds=(("word", 0.85), ("number", 0.08), ("punctuated", 0.07)),
    cases=(0.05, 0.3, 0.65),
    min_height=28,
)
# Short dark words in two fonts with mild distortion: a 0.2 M-parameter network learns to read unseen
# ones in minutes on a CPU. With light words among them CTC needs several times as many images.
DEMO = RenderConfig(
    min_length=3,
    max_length=5,
    signs=ALNUM,
    kinds=(("word", 0.9), ("number", 0.1)),
    cases=(0.0, 0.0, 1.0),
    families=("cabin", "dosis"),
    difficulty=0.1,
    geometry="regular",
    ink="dark",
    min_height=24,
    max_height=48,
)
PAGES = PageConfig()
CURVED_PAGES = PageConfig(curved=0.75)
PAIRS = PairConfig()
# Sizes of words cut from posters and signs; effects twice as often as on signs.
MASKS = RenderConfig(min_height=24, max_height=96, difficulty=0.8, effects=2.0)

RENDERED_SPLITS: dict[str, RenderedSplit] = {
    "rendered/train": RenderedSplit(TRAIN, "train", 0),
    "rendered/unlabelled": RenderedSplit(TRAIN, "train", 0, labelled=False),
    "rendered_regular/test": RenderedSplit(REGULAR, "test", 1000),
    "rendered_irregular/test": RenderedSplit(IRREGULAR, "test", 1000),
    "rendered_occluded_weak/test": RenderedSplit(OCCLUDED_WEAK, "test", 500),
    "rendered_occluded_heavy/test": RenderedSplit(OCCLUDED_HEAVY, "test", 500),
    "rendered_handwritten/test": RenderedSplit(HANDWRITTEN, "test", 500),
    "rendered_demo/train": RenderedSplit(DEMO, "train", 0),
    "rendered_demo_regular/test": RenderedSplit(DEMO, "test", 500),
    "rendered_demo_irregular/test": RenderedSplit(replace(DEMO, geometry="irregular"), "test", 200),
    "rendered_demo_occluded_weak/test": RenderedSplit(replace(DEMO, occlusion="weak"), "test", 200),
    "rendered_demo_occluded_heavy/test": RenderedSplit(
        replace(DEMO, occlusion="heavy"), "test", 200
    ),
    "rendered_demo_handwritten/test": RenderedSplit(
        replace(DEMO, scene="paper", styles=("handwriting",), families=()), "test", 200
    ),
    "rendered_pages/train": RenderedSplit(PAGES, "train", 0, picture=PAGE),
    "rendered_pages/test": RenderedSplit(PAGES, "test", 200, picture=PAGE),
    "rendered_pages_curved/test": RenderedSplit(CURVED_PAGES, "test", 100, picture=PAGE),
    "rendered_pairs/train": RenderedSplit(PAIRS, "train", 0, picture=PAIR),
    "rendered_pairs_easy/test": RenderedSplit(
        replace(PAIRS, level="easy"), "test", 300, picture=PAIR
    ),
    "rendered_pairs_medium/test": RenderedSplit(
        replace(PAIRS, level="medium"), "test", 300, picture=PAIR
    ),
    "rendered_pairs_hard/test": RenderedSplit(
        replace(PAIRS, level="hard"), "test", 300, picture=PAIR
    ),
    "rendered_masks/train": RenderedSplit(MASKS, "train", 0, picture=MASK),
    "rendered_masks/test": RenderedSplit(MASKS, "test", 500, picture=MASK),
}


def rendered_split(name: str) -> RenderedSplit:
    """The entry of ``RENDERED_SPLITS``.

    Raises:
        StrbenchError: no rendered split has this name.
    """
    if name not in RENDERED_SPLITS:
        raise unknown_name(
            "rendered split", name, RENDERED_SPLITS, hint="See: strbench list datasets"
        )
    return RENDERED_SPLITS[name]
