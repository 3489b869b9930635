"""The words that the rest of strbench speaks: samples, predictions, cards and Protocols.

Letters in shape comments, everywhere: B batch, H height, W width, L sequence length (tokens or
characters), C channels or classes, K windows or candidates, D embedding width.

An *image* outside a model is a ``numpy.uint8`` array (H, W, 3), RGB, values 0 to 255, rows from
the top. Images enter a network as float tensors (B, 3, H, W); each card says the normalisation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np

Task = Literal["recognition", "detection", "super-resolution", "segmentation"]
Status = Literal["registered", "parity-checked", "trained", "reproduced"]
Resize = Literal["native", "stretch-bicubic"]


Point = tuple[float, float]  # x right, y down, in pixels; (0, 0) is the image's upper left corner
Polygon = tuple[Point, ...]

_NO_TAGS: dict[str, str] = {}


class Region(NamedTuple):
    """One piece of text in a photograph: a word, or a line where the source annotates lines."""

    # Clockwise on screen, in pixels as stored (EXIF is not applied); three or more vertices, unless
    # the region is ignored.
    polygon: Polygon
    text: str | None = None  # exactly as annotated, "###" included; None where the source has none
    ignored: bool = False  # "don't care": neither finding nor missing it counts
    annotated: tuple[float, ...] = ()  # the source's own numbers where they are not the polygon's
    tags: Mapping[str, str] = _NO_TAGS  # what else the source says, e.g. {"script": "Latin"}
    characters: tuple[Polygon, ...] = ()  # one a character, spaces left out, where annotated


class Detection(NamedTuple):
    """One piece of text that a detector or spotter found in a photograph."""

    polygon: Polygon  # as the model gave it, in any order; it may cross itself or have no area
    confidence: float | None = None  # in [0, 1]; None where the model gives none
    text: str | None = None  # what a spotter reads; None from a detector
    # The numbers of the file where they are not the vertices, such as a rectangle or a turned box.
    given: tuple[float, ...] = ()


class Sample(NamedTuple):
    """One item of a split as it is written to and read from a store."""

    id: str  # unique within its split and stable across machines, e.g. "test/1002_1.png"
    image: bytes  # as found at the source; of a super-resolution pair the high-resolution one
    label: str | None = None  # a word's text exactly as annotated; None where the sample has none
    group: str | None = None  # the photograph a crop was cut from, where the source tells
    regions: tuple[Region, ...] | None = None  # detection: the photograph's text, () if it has none
    low: bytes | None = None  # super-resolution: the low-resolution image of the same word
    mask: bytes | None = None  # segmentation: a one-channel PNG, see ``strbench.masks``


class Reading(NamedTuple):
    """What a recognizer says about one word image."""

    text: str
    confidence: float | None = None  # in [0, 1], as the model reports it; None if it does not


@runtime_checkable
class Recognizer(Protocol):
    """Anything that reads word images; nothing to inherit.

    ``read`` returns one ``Reading`` (or a plain ``str``) per image, in order. An object may also
    carry ``card: Card``; without one its name is its class name and its images are not resized.
    """

    def read(self, images: Sequence[np.ndarray]) -> Sequence[Reading | str]: ...


@runtime_checkable
class Detector(Protocol):
    """Anything that finds text in photographs; a spotter is one whose detections come with a text.

    ``detect`` returns the detections of each image, in order: a sequence of ``Detection``, or of
    tuples of its first fields. Images are as stored; resizing them is the detector's own affair, and
    polygons are in pixels of what it was given.
    """

    def detect(self, images: Sequence[np.ndarray]) -> Sequence[Sequence[Detection]]: ...


@runtime_checkable
class Restorer(Protocol):
    """Anything that makes a high-resolution image of a low-resolution one.

    ``restore`` returns one float array (H, W, 3) an image, in order: RGB in [0, 1], neither clamped nor
    rounded, of the protocol's size. Without a card of its own size a restorer gets images of 16 x 64.
    """

    def restore(self, images: Sequence[np.ndarray]) -> Sequence[np.ndarray]: ...


@runtime_checkable
class Segmenter(Protocol):
    """Anything that says which pixels are text.

    ``segment`` returns one float array (H, W) an image, in order: the probability of text at each pixel
    of what it was given.
    """

    def segment(self, images: Sequence[np.ndarray]) -> Sequence[np.ndarray]: ...


@dataclass(frozen=True, kw_only=True)
class Card:
    """What a reader must know about a method, model or engine to believe its number."""

    name: str  # as typed on the command line
    kind: Literal["pretraining", "recognizer", "detector", "restorer", "segmenter", "engine"]
    title: str
    paper: str = ""  # authors, title, venue, year
    code: str = ""  # official repository and commit, if any
    licence: str = ""  # of the code or engine this card describes
    status: Status = "registered"
    # exact counts of a size, of one with other settings ("small charset=94"), of what is "trainable"
    parameters: dict[str, int] = field(default_factory=dict)
    charset: str = ""  # name in strbench.text.CHARSETS; "" where the engine decides
    resize: Resize = "native"  # part of the signature: how a crop becomes the model's input
    height: int = 0  # input size in pixels; 0 with resize "native"
    width: int = 0
    recipes: tuple[str, ...] = ()
    trained_on: str = ""
    expected: str = ""  # number ± spread, data, hardware, hours, command
    notes: str = ""
