"""The embedded default: word crops drawn from bundled fonts, where no real data is at hand.

Every image is a pure function of (config, split name, seed, index): it does not depend on how many
were drawn before it, in which process, or with which Pillow, NumPy or machine. Randomness is the raw
stream of NumPy's Philox, arithmetic is in integers or exactly rounded (warping.py, scenery.py), and
glyphs are drawn by FreeType, whose masks of the bundled fonts did not change over the releases named
in glyphs.py; the manifest of a prepared split says whether they are the reference masks.

Train and test share no label: see wordlist.py. A rendered score says that code works and allows
comparisons within itself; it is not evidence about photographs, and records mark it as rendered.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, fields, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from strbench.errors import unknown_name
from strbench.rendered.composing import RenderConfig, compose, faces
from strbench.rendered.glyphs import REFERENCE_GLYPHS, file_digest, glyph_fingerprint
from strbench.rendered.wordlist import Draws, Side, draw_text
from strbench.types import Sample

if TYPE_CHECKING:
    from strbench.store import Split

__all__ = [
    "DEMO",
    "PREPARED",
    "RENDERED_SPLITS",
    "TRAIN",
    "Drawn",
    "RenderConfig",
    "RenderedSplit",
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


class RenderedSplit(NamedTuple):
    """A split that can be drawn: its settings, its side, and its size (0: as many as wanted)."""

    config: RenderConfig
    side: Side
    n: int
    labelled: bool = True


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
}
PREPARED = 20_000  # images that ``prepare`` writes of a split without a size of its own
_AT_ONCE = 4096  # samples that worker processes may be ahead of the reader


class Drawn(NamedTuple):
    """A drawn word."""

    image: npt.NDArray[np.uint8]  # (H, W, 3), RGB
    label: str


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


def draw_word(
    config: RenderConfig, seed: int, index: int, *, split: str = "rendered/train"
) -> Drawn:
    """The image and label number ``index`` of a split: the same for the same arguments everywhere.

    Only the split's name and side are taken from its table entry, so that any config keeps the
    partition of words.
    """
    side = rendered_split(split).side
    draws = Draws(seed, split, index)
    label = draw_text(
        draws,
        side,
        min_length=config.min_length,
        max_length=config.max_length,
        signs=config.signs,
        kinds=config.kinds,
        cases=config.cases,
    )
    return Drawn(compose(draws, config, label), label)


def samples(
    name: str,
    n: int | None = None,
    *,
    seed: int = 0,
    start: int = 0,
    config: RenderConfig | None = None,
    workers: int = 1,
) -> Iterator[Sample]:
    """Samples ``start`` to ``start + n`` of a rendered split, in order, as losslessly encoded PNG.

    Args:
        n: how many; by default the split's size, or 20,000 where it has none.
        config: other settings than the split's own.
        workers: processes that draw; the samples are the same for any number.
    """
    split = rendered_split(name)
    end = start + ((split.n or PREPARED) if n is None else n)
    draw = partial(_sample, config or split.config, seed, name)
    if workers <= 1:
        yield from map(draw, range(start, end))
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        for begin in range(start, end, _AT_ONCE):
            yield from pool.map(draw, range(begin, min(begin + _AT_ONCE, end)), chunksize=64)


def _sample(config: RenderConfig, seed: int, name: str, index: int) -> Sample:
    image, label = draw_word(config, seed, index, split=name)
    is_labelled = rendered_split(name).labelled
    return Sample(f"{index:09d}", encode_png(image), label if is_labelled else None)


def unlabelled(
    seed: int, start: int, n: int, *, config: RenderConfig = TRAIN
) -> Iterator[npt.NDArray[np.uint8]]:
    """Images ``start`` to ``start + n`` of the endless unlabelled stream, as (H, W, 3) arrays.

    Streams of one seed never repeat an index; the words are those of the train side.
    """
    for index in range(start, start + n):
        yield draw_word(config, seed, index, split="rendered/unlabelled").image


def encode_png(image: npt.NDArray[np.uint8]) -> bytes:
    """A (H, W, 3) image as PNG: 8-bit RGB, every row filtered "up", zlib level 1; lossless."""
    height, width, _ = image.shape
    pixels = image.reshape(height, 3 * width)
    rows = np.zeros((height, 1 + 3 * width), np.uint8)
    rows[0, 1:] = pixels[0]
    rows[1:, 1:] = pixels[1:] - pixels[:-1]
    rows[1:, 0] = 2  # filter "up": the difference from the row above
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes((8, 2, 0, 0, 0))
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes(), 1)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")
        for kind, data in chunks
    )


def dataset_name(name: str, config: RenderConfig) -> str:
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
    config: RenderConfig | None = None,
    fonts: str | Path | None = None,
    workers: int = 1,
    replace_existing: bool = False,
) -> Split:
    """The rendered split written as a store at ``root/<dataset>/<split>``.

    Args:
        root: the folder of all stores, ``home() / "data"``.
        n: how many samples; by default the split's size, or 20,000 where it has none.
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
    config: RenderConfig | None = None,
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
    count = (split.n or PREPARED) if n is None else n
    dataset, _, part = stored.partition("/")
    is_standard = settings == split.config and seed == 0 and count == (split.n or count)
    return write_split(
        directory,
        samples(name, count, seed=seed, config=settings, workers=workers),
        dataset=dataset,
        split=part,
        labels="rendered" if split.labelled else "none",
        licence=LICENCE,
        expected=count,
        rendered=True,
        sources=[{"generator": "strbench.rendered", "seed": seed, "config": told(settings)}],
        notes=_notes(name, settings, is_standard),
        replace=replace_existing,
    )


def told(config: RenderConfig) -> dict[str, object]:
    """The settings that differ from the defaults of ``RenderConfig``, as plain values."""
    default = asdict(RenderConfig())
    values = asdict(config)
    return {f.name: values[f.name] for f in fields(config) if values[f.name] != default[f.name]}


def _notes(name: str, config: RenderConfig, is_standard: bool) -> list[str]:
    same = glyph_fingerprint() == REFERENCE_GLYPHS
    notes = [
        "fonts: " + ", ".join(face.name for face in faces(config)),
        "glyph masks of the bundled fonts: "
        + ("the reference" if same else "NOT the reference; the pixels differ from elsewhere"),
    ]
    if rendered_split(name).n and not is_standard:
        notes.append(f"not the standard {name}: other settings, seed or size")
    return notes
