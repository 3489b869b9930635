"""From encoded bytes to arrays: decoding, resize policies and their names.

How a crop becomes the model's input moves accuracies by whole points, so a resize policy has a name
that stands on the model's card and in every signature. Pillow's bicubic (with its antialias) is the
field's; OpenCV's cubic differs from it by up to 96 grey levels on word crops and is not offered.
"""

from __future__ import annotations

import io
import math
import struct
import zlib
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from strbench.errors import DATA, StrbenchError
from strbench.types import Card

try:  # the optional decoder gives the same pixels 2.3 times as fast
    import simplejpeg
except ImportError:
    simplejpeg = None

Pixels = NDArray[np.uint8]


# Formats that word images come in; Pillow's others (PostScript, plug-ins) are never tried.
_FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF", "PPM")

# What Pillow's readers raise on damaged files: the first five were met on mutated files of each
# format, the others are what their parsing can meet.
DAMAGED = (
    OSError,
    ValueError,
    SyntaxError,
    TypeError,
    Image.DecompressionBombError,
    EOFError,
    IndexError,
    KeyError,
    MemoryError,
    OverflowError,
    struct.error,
    zlib.error,
)


def decode(data: bytes) -> Pixels:
    """The image as uint8 (H, W, 3), RGB; EXIF orientation is never applied.

    Transparency is dropped as Pillow's ``convert("RGB")`` drops it, palettes and grey are expanded,
    16-bit grey keeps its high byte.

    Raises:
        StrbenchError: empty, truncated or not an image; says which.
    """
    if not data:
        raise StrbenchError("empty file (0 bytes)", exit_code=DATA)
    if simplejpeg is not None and data[:2] == b"\xff\xd8":
        try:
            height, width = simplejpeg.decode_jpeg_header(data)[:2]
            if height * width <= (Image.MAX_IMAGE_PIXELS or 0):
                return np.asarray(simplejpeg.decode_jpeg(data, strict=True))
        except ValueError:
            pass  # CMYK, or damaged: Pillow decodes the first and names the second
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            if image.mode.startswith("I;16"):  # convert would clip at 255
                grey = (np.asarray(image) >> 8).astype(np.uint8)
                return np.repeat(grey[..., None], 3, axis=2)
            if image.mode in ("I", "F"):
                raise ValueError("32 bits a pixel; expected 1, 8 or 16 a channel")
            # convert copies RGB images too, which are most of all.
            return np.array(image if image.mode == "RGB" else image.convert("RGB"))
    except DAMAGED as error:
        reason = str(error).split(" <_io")[0] or type(error).__name__
        raise StrbenchError(f"not a readable image ({reason})", exit_code=DATA) from error


def stretch(pixels: Pixels, height: int, width: int) -> Pixels:
    """The image as (height, width, 3), both sides scaled to fit, Pillow bicubic."""
    if pixels.shape[:2] == (height, width):
        return pixels
    image = Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC)
    return np.array(image)


@dataclass(frozen=True, kw_only=True)
class Sizing:
    """How a photograph of any size becomes a network's input, Pillow bilinear.

    ``rule`` says which sides get ``height`` and ``width``: "stretch" both; the others keep the ratio and
    scale one side to ``height``: "height" itself, the "short" or the "long" one, or "native" none, up to
    ``limit`` for the longer one. Sides are then rounded to a multiple.
    """

    rule: Literal["stretch", "height", "short", "long", "native"] = "native"
    height: int = 0
    width: int = 0
    limit: int = 0  # pixels of the longer side; 0: any
    multiple: int = 32
    rounding: Literal["up", "down", "nearest"] = "up"
    whole: bool = False  # sides become whole pixels, halves upward, before they become multiples

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of the input that a photograph of that size becomes.

        >>> Sizing(rule="short", height=736).size(720, 1280)
        (736, 1312)
        """
        if self.rule == "stretch":
            return self.height, self.width
        side = {
            "height": height,
            "short": min(height, width),
            "long": max(height, width),
            "native": 0,
        }[self.rule]
        scale = self.height / side if side else 1.0
        if self.limit:
            scale = min(scale, self.limit / max(height, width))
        return self._rounded(height * scale), self._rounded(width * scale)

    def _rounded(self, side: float) -> int:
        side = math.floor(side + 0.5) if self.whole else round(side, 6)
        count = side / self.multiple
        rounded = {"up": math.ceil(count), "down": math.floor(count), "nearest": round(count)}
        return max(1, rounded[self.rounding]) * self.multiple

    def resize(self, pixels: Pixels) -> Pixels:
        """The photograph (H, W, 3) as the input that it becomes."""
        height, width = self.size(*pixels.shape[:2])
        if pixels.shape[:2] == (height, width):
            return pixels
        image = Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR)
        return np.array(image)

    def __str__(self) -> str:
        """In words, for cards: ``1280 x 736``, ``short side 736``.

        >>> str(Sizing(rule="long", height=1280, limit=4000))
        'long side 1280, up to 4000'
        """
        if self.rule == "stretch":
            return f"{self.width} x {self.height}"
        named = {
            "height": "height",
            "short": "short side",
            "long": "long side",
            "native": "as it is",
        }
        text = named[self.rule] + (f" {self.height}" if self.height else "")
        return text + (f", up to {self.limit}" if self.limit else "")


def prepare(data: bytes, card: Card) -> Pixels:
    """The decoded image under the resize policy of a card."""
    pixels = decode(data)
    return pixels if card.resize == "native" else stretch(pixels, card.height, card.width)


def resize_name(card: Card) -> str:
    """The resize policy as it stands in a signature, e.g. ``stretch-bicubic-32x128``."""
    return "native" if card.resize == "native" else f"{card.resize}-{card.height}x{card.width}"
