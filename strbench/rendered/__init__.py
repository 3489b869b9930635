"""The embedded default: pictures drawn from bundled fonts, where no real data is at hand.

Word crops, photographs of several words, pairs of resolutions and text masks, a kind for each task
(table.py). Every picture is a pure function of (config, split name, seed, index): it does not depend
on how many were drawn before it, in which process, or with which Pillow, NumPy or machine. Randomness
is the raw stream of NumPy's Philox, arithmetic is in integers or exactly rounded (warping.py,
scenery.py), and glyphs are drawn by FreeType, whose masks of the bundled fonts did not change over the
releases named in glyphs.py; the manifest of a prepared split says whether they are the reference masks.

Train and test share no label: see wordlist.py. A rendered score says that code works and allows
comparisons within itself; it is not evidence about photographs, and records mark it as rendered.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, fields, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from strbench.rendered.composing import Drawn, word
from strbench.rendered.configs import RenderConfig, TextConfig, faces
from strbench.rendered.glyphs import REFERENCE_GLYPHS, file_digest, glyph_fingerprint
from strbench.rendered.masks import Masked
from strbench.rendered.pages import Page
from strbench.rendered.pairs import Pair, PairConfig
from strbench.rendered.png import encode_png
from strbench.rendered.signs import PageConfig
from strbench.rendered.table import (
    DEMO,
    HANDWRITTEN,
    REGULAR,
    RENDERED_SPLITS,
    TRAIN,
    Drawing,
    RenderedSplit,
    rendered_split,
)
from strbench.rendered.wordlist import Draws
from strbench.types import Sample

if TYPE_CHECKING:
    from strbench.store import Split

__all__ = [
    "DEMO",
    "HANDWRITTEN",
    "REGULAR",
    "RENDERED_SPLITS",
    "TRAIN",
    "Drawing",
    "Drawn",
    "Masked",
    "Page",
    "PageConfig",
    "Pair",
    "PairConfig",
    "RenderConfig",
    "RenderedSplit",
    "TextConfig",
    "draw",
    "draw_word",
    "encode_png",
    "faces",
    "prepare",
    "rendered_split",
    "samples",
    "told",
    "unlabelled",
    "write",
]

LICENCE = "Apache-2.0, as strbench; drawn with fonts under OFL-1.1 and words from SCOWL"


def draw(name: str, index: int, *, seed: int = 0, config: TextConfig | None = None) -> Drawing:
    """Picture number ``index`` of a split, as arrays: the same for the same arguments everywhere.

    A ``Drawn``, ``Page``, ``Pair`` or ``Masked``, as the split's kind of picture is.

    Args:
        config: other settings than the split's own, of the same class; its name and side stay, so
            that any config keeps the partition of words.
    """
    split = rendered_split(name)
    return split.picture.draw(Draws(seed, name, index), config or split.config, split.side)


def draw_word(
    config: RenderConfig, seed: int, index: int, *, split: str = "rendered/train"
) -> Drawn:
    """The word that a split, or one of these settings, has at ``index``; see ``draw``."""
    return word(Draws(seed, split, index), config, rendered_split(split).side)


def samples(
    name: str,
    n: int | None = None,
    *,
    seed: int = 0,
    start: int = 0,
    config: TextConfig | None = None,
    workers: int = 1,
) -> Iterator[Sample]:
    """Samples ``start`` to ``start + n`` of a rendered split, in order, as losslessly encoded PNG.

    Args:
        n: how many; by default the split's size, or that of its kind of picture.
        config: other settings than the split's own.
        workers: processes that draw; the samples are the same for any number.
    """
    split = rendered_split(name)
    end = start + (split.size if n is None else n)
    sample = partial(_sample, config or split.config, seed, name)
    if workers <= 1:
        yield from map(sample, range(start, end))
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        ahead = split.picture.ahead
        for begin in range(start, end, ahead):
            indices = range(begin, min(begin + ahead, end))
            yield from pool.map(sample, indices, chunksize=ahead // 64)


def _sample(config: TextConfig, seed: int, name: str, index: int) -> Sample:
    sample = draw(name, index, seed=seed, config=config).sample(f"{index:09d}")
    return sample if rendered_split(name).labelled else sample._replace(label=None)


def unlabelled(
    seed: int, start: int, n: int, *, config: RenderConfig = TRAIN
) -> Iterator[npt.NDArray[np.uint8]]:
    """Images ``start`` to ``start + n`` of the endless unlabelled stream, as (H, W, 3) arrays.

    Streams of one seed never repeat an index; the words are those of the train side.
    """
    for index in range(start, start + n):
        yield draw_word(config, seed, index, split="rendered/unlabelled").image


def dataset_name(name: str, config: TextConfig) -> str:
    """The split's name, with a hash of the font files where further fonts take part."""
    if not config.font_folder:
        return name
    dataset, _, split = name.partition("/")
    return f"{dataset}_{file_digest(faces(config))}/{split}"


def prepare(
    name: str,
    root: Path,
    *,
    n: int | None = None,
    seed: int = 0,
    config: TextConfig | None = None,
    fonts: str | Path | None = None,
    workers: int = 1,
    replace_existing: bool = False,
) -> Split:
    """The rendered split written as a store at ``root/<dataset>/<split>``.

    Args:
        root: the folder of all stores, ``home() / "data"``.
        n: how many samples; by default the split's size, or that of its kind of picture.
        fonts: a folder of further fonts. None takes ``$STRBENCH_FONTS`` for splits without a fixed
            size, and the bundled fonts alone for test splits. Further fonts change the dataset's
            name: ``rendered_<8 hex digits of the font files>/train``.

    Raises:
        StrbenchError: an unknown split, an unusable font folder, or what ``store.write_split`` raises.
    """
    from strbench.store import split_directory

    split = rendered_split(name)
    settings = config or split.config
    if fonts is None and not split.n:
        fonts = os.environ.get("STRBENCH_FONTS") or None
    if fonts is not None:
        settings = replace(settings, font_folder=str(fonts))
    stored = dataset_name(name, settings)
    return write(
        stored,
        split_directory(stored, root=root),
        draw_as=name,
        n=n,
        seed=seed,
        config=settings,
        workers=workers,
        replace_existing=replace_existing,
    )


def write(
    stored: str,
    directory: Path,
    *,
    draw_as: str = "",
    n: int | None = None,
    seed: int = 0,
    config: TextConfig | None = None,
    workers: int = 1,
    replace_existing: bool = False,
) -> Split:
    """The rendered split written into a folder under the name ``stored``.

    Args:
        draw_as: the entry of ``RENDERED_SPLITS`` whose images are drawn, ``stored`` by default.
    """
    from strbench.store import write_split

    name = draw_as or stored
    split = rendered_split(name)
    settings = config or split.config
    count = split.size if n is None else n
    dataset, _, part = stored.partition("/")
    is_standard = settings == split.config and seed == 0 and count == (split.n or count)
    return write_split(
        directory,
        samples(name, count, seed=seed, config=settings, workers=workers),
        dataset=dataset,
        split=part,
        task=split.picture.task,
        labels="rendered" if split.labelled else "none",
        licence=LICENCE,
        expected=count,
        rendered=True,
        sources=[{"generator": "strbench.rendered", "seed": seed, "config": told(settings)}],
        notes=_notes(name, settings, is_standard),
        replace=replace_existing,
    )


def told(config: TextConfig) -> dict[str, object]:
    """The settings that differ from the defaults of their class, as plain values."""
    default = asdict(type(config)())
    values = asdict(config)
    return {f.name: values[f.name] for f in fields(config) if values[f.name] != default[f.name]}


def _notes(name: str, config: TextConfig, is_standard: bool) -> list[str]:
    same = glyph_fingerprint() == REFERENCE_GLYPHS
    notes = [
        "fonts: " + ", ".join(face.name for face in faces(config)),
        "glyph masks of the bundled fonts: "
        + ("the reference" if same else "NOT the reference; the pixels differ from elsewhere"),
    ]
    if rule := rendered_split(name).picture.rule:
        notes.append(rule)
    if rendered_split(name).n and not is_standard:
        notes.append(f"not the standard {name}: other settings, seed or size")
    return notes
