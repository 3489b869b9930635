"""The words that the rest of strbench speaks: samples, predictions, cards and Protocols.

Letters in shape comments, everywhere: B batch, H height, W width, L sequence length (tokens or
characters), C channels or classes, K windows or candidates, D embedding width.

An *image* outside a model is a ``numpy.uint8`` array (H, W, 3), RGB, values 0 to 255, rows from
the top. Images enter a network as float tensors (B, 3, H, W); each card says the normalisation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np

Task = Literal["recognition"]
Status = Literal["registered", "parity-checked", "trained", "reproduced"]
Resize = Literal["native", "stretch-bicubic"]


class Sample(NamedTuple):
    """One item of a split as it is written to and read from a store."""

    id: str  # unique within its split and stable across machines, e.g. "test/1002_1.png"
    image: bytes  # JPEG or PNG as found at the source
    label: str | None  # ground truth exactly as annotated; None where the sample has none
    group: str | None = None  # the photograph a crop was cut from, where the source tells


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


@dataclass(frozen=True, kw_only=True)
class Card:
    """What a reader must know about a method, model or engine to believe its number."""

    name: str  # as typed on the command line
    kind: Literal["pretraining", "recognizer", "engine"]
    title: str
    paper: str = ""  # authors, title, venue, year
    code: str = ""  # official repository and commit, if any
    licence: str = ""  # of the code or engine this card describes
    status: Status = "registered"
    parameters: dict[str, int] = field(default_factory=dict)  # size or part -> exact count
    charset: str = ""  # name in strbench.text.CHARSETS; "" where the engine decides
    resize: Resize = "native"  # part of the signature: how a crop becomes the model's input
    height: int = 0  # input size in pixels; 0 with resize "native"
    width: int = 0
    recipes: tuple[str, ...] = ()
    trained_on: str = ""
    expected: str = ""  # number ± spread, data, hardware, hours, command
    notes: str = ""
