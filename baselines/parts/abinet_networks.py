"""ABINet's three networks and their iteration, its words as classes, its loss and how it is read.

The vision model spells a word in parallel, the language model corrects the spelling, the fusion
weighs both; what it writes is corrected again. Class 0 is the end (null), characters follow.

Source: Fang et al., "Read Like Humans: Autonomous, Bidirectional and Iterative Language Modeling for
Scene Text Recognition", CVPR 2021; FangShancheng/ABINet, modules/.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from strbench.errors import unknown_name
from strbench.methods import Reader
from strbench.text import Charset

from .decoding import Readings, reading, step_margins
from .language_model import LanguageModel
from .position_attention import PositionAttention
from .postnorm import Positions, PostNormLayer, inside
from .ranks import mean_over_ranks
from .resnet45 import ResNet45
from .vit import sinusoid
from .words import encode_labels

LONGEST = 25  # characters of a word
PLACES = LONGEST + 1  # with its end
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's, of RGB in [0, 1]


@dataclass(frozen=True, kw_only=True)
class Size:
    """Widths and depths of the three networks."""

    widths: tuple[int, ...]  # of ResNet45's stages; the last is the width of everything else
    blocks: tuple[int, ...]
    strides: tuple[int, ...]
    stem_stride: int
    heads: int
    hidden: int  # between the two layers of a transformer layer's ReLU network
    vision_layers: int
    language_layers: int
    channels: int  # of the position attention's U-Net
    source: str

    @property
    def dim(self) -> int:
        return self.widths[-1]


SIZES: dict[str, Size] = {
    "base": Size(
        widths=(32, 64, 128, 256, 512),
        blocks=(3, 4, 6, 6, 3),
        strides=(2, 1, 2, 1, 1),
        stem_stride=1,
        heads=8,
        hidden=2048,
        vision_layers=3,
        language_layers=4,
        channels=64,
        source="ABINet-LV, official configuration",
    ),
    "micro": Size(
        widths=(16, 24, 32, 48, 64),
        blocks=(1, 1, 1, 1, 1),
        strides=(2, 1, 2, 1, 1),
        stem_stride=2,
        heads=2,
        hidden=128,
        vision_layers=1,
        language_layers=2,
        channels=32,
        source="strbench's own, sized for a CPU; in no paper",
    ),
}


def size_named(name: str) -> Size:
    """The size of that name; an unknown one is a StrbenchError."""
    if name not in SIZES:
        raise unknown_name("size of ABINet", name, SIZES)
    return SIZES[name]


def normalised(images: Tensor) -> Tensor:
    """Images (B, 3, H, W) in [0, 1] less ImageNet's mean and over its deviation, a channel each."""
    mean, deviation = (images.new_tensor(v).view(3, 1, 1) for v in (_MEAN, _DEVIATION))
    return (images - mean) / deviation


class VisionModel(nn.Module):
    """ResNet45, transformer layers over its map, position attention and a classifier."""

    def __init__(
        self, size: Size, *, classes: int, height: int, width: int, dropout: float
    ) -> None:
        super().__init__()
        shrink = math.prod((size.stem_stride, *size.strides))
        self.resnet = ResNet45(
            widths=size.widths,
            blocks=size.blocks,
            strides=size.strides,
            stem_stride=size.stem_stride,
        )
        tokens = -(-height // shrink) * -(-width // shrink)
        self.positions = Positions(sinusoid(tokens, size.dim), dropout=dropout)
        self.layers = nn.ModuleList(
            PostNormLayer(size.dim, size.heads, hidden=size.hidden, dropout=dropout)
            for _ in range(size.vision_layers)
        )
        self.attention = PositionAttention(size.dim, places=PLACES, channels=size.channels)
        self.classifier = nn.Linear(size.dim, classes)

    def maps(self, images: Tensor) -> Tensor:
        """Features (B, D, H / 4, W / 4) of normalised images, before the position attention."""
        maps = self.resnet(images)
        tokens = self.positions(maps.flatten(2).transpose(1, 2))
        for layer in self.layers:
            tokens = layer(tokens)
        return cast(Tensor, tokens.transpose(1, 2).unflatten(2, maps.shape[2:]))

    def read(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """Features (B, T, D) and logits (B, T, C) at the word's places, from ``maps``."""
        features, _ = self.attention(maps)
        return features, self.classifier(features)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return self.read(self.maps(images))


class Fusion(nn.Module):
    """A gate between what vision and language say about each place, and a classifier."""

    def __init__(self, dim: int, *, classes: int) -> None:
        super().__init__()
        self.gate = nn.Linear(2 * dim, dim)
        self.classifier = nn.Linear(dim, classes)

    def forward(self, language: Tensor, vision: Tensor) -> Tensor:
        """Logits (B, T, C) of features (B, T, D); an open gate lets vision through."""
        gate = torch.sigmoid(self.gate(torch.cat([language, vision], 2)))
        return cast(Tensor, self.classifier(gate * vision + (1 - gate) * language))


class Spelling(NamedTuple):
    """Logits (B, T, C) of the three networks; of language and fusion one tensor an iteration."""

    vision: Tensor
    language: list[Tensor]
    fusion: list[Tensor]


class IteratedABINet(nn.Module):
    """Vision, then ``iterations`` times language and fusion with the same weights."""

    def __init__(
        self,
        size: Size,
        *,
        charset: Charset,
        height: int,
        width: int,
        iterations: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.iterations = iterations
        classes = len(charset) + 1
        self.vision = VisionModel(
            size, classes=classes, height=height, width=width, dropout=dropout
        )
        self.language = language_model(size, classes=classes, dropout=dropout)
        self.fusion = Fusion(size.dim, classes=classes)

    def forward(self, images: Tensor) -> Spelling:
        """What normalised images (B, 3, H, W) say at each network and iteration."""
        return self.spell(images, self.vision, self.language, self.fusion)

    def spell(
        self, images: Tensor, vision: nn.Module, language: nn.Module, fusion: nn.Module
    ) -> Spelling:
        """The same with other weights: those of networks of this one's shape."""
        features, logits = vision(images)
        spelling = Spelling(logits, [], [])
        for _ in range(self.iterations):
            chances = logits.float().softmax(-1)
            corrected, said = language(chances, spelled_length(logits))
            logits = fusion(corrected, features)
            spelling.language.append(said)
            spelling.fusion.append(logits)
        return spelling


def language_model(size: Size, *, classes: int, dropout: float) -> LanguageModel:
    """The language model of a size."""
    return LanguageModel(
        size.dim,
        classes=classes,
        places=PLACES,
        layers=size.language_layers,
        heads=size.heads,
        hidden=size.hidden,
        dropout=dropout,
    )


def spelled_length(logits: Tensor) -> Tensor:
    """Lengths (B,) of what logits (B, T, C) spell greedily, the end counted; T without an end."""
    ends = logits.argmax(-1) == 0
    first = ends.float().argmax(1) + 1  # argmax: the first of equals
    return torch.where(ends.any(1), first, logits.shape[1])


def targets(
    labels: Sequence[str | None], characters: Charset, *, device: torch.device
) -> dict[str, Tensor]:
    """ "classes" (B, T) int64, end and padding 0, and "lengths" (B,) with the end; 0: not usable."""
    classes, lengths, usable = encode_labels(labels, characters, most=LONGEST)
    classes = F.pad(torch.where(inside(lengths, LONGEST), classes + 1, 0), (0, 1))
    lengths = torch.where(usable, lengths + 1, 0)
    return {"classes": classes.to(device), "lengths": lengths.to(device)}


def spelling_loss(logits: Tensor | Sequence[Tensor], classes: Tensor, lengths: Tensor) -> Tensor:
    """Cross-entropy a character, ends included, over the first ``lengths`` (B,) places of a batch.

    A list of logits, one an iteration, gives the mean of theirs. A batch in which nothing is usable
    costs 0 (the official code divides by zero). Over ranks: see ``mean_over_ranks``.
    """
    each = torch.stack([logits] if isinstance(logits, Tensor) else list(logits))  # (K, B, T, C)
    wanted = classes.expand(len(each), -1, -1)
    losses = F.cross_entropy(each.float().flatten(0, 2), wanted.flatten(), reduction="none")
    counted = inside(lengths, classes.shape[1])
    total = torch.where(counted, losses.view(wanted.shape), 0.0).sum() / len(each)
    return mean_over_ranks(total, counted.sum())


@torch.no_grad()
def words_right(logits: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
    """The share of usable words of ``targets`` that logits (B, T, C) spell greedily."""
    wanted, lengths = batch["classes"], batch["lengths"]
    same = (logits.argmax(-1) == wanted) | ~inside(lengths, wanted.shape[1])
    right = same.all(1) & (lengths > 0)
    return right.float().sum() / (lengths > 0).float().sum().clamp(min=1)


def read_logits(logits: Tensor, characters: Charset) -> Readings:
    """Words that logits (B, T, C) spell greedily, each with the product of its chances, the end's too."""
    lengths = spelled_length(logits)
    chances, classes = logits.float().softmax(-1).max(-1)
    confidences = torch.where(inside(lengths, classes.shape[1]), chances, 1.0).prod(1)
    words = [
        (characters.decode(c - 1 for c in row[:length] if c), confidence)
        for row, length, confidence in zip(
            classes.tolist(), lengths.tolist(), confidences.tolist(), strict=True
        )
    ]
    return Readings(words, step_margins(logits, lengths))


def reader_of(module: nn.Module, characters: Charset) -> Reader:
    """A function from images (B, 3, H, W) in [0, 1] to (text, confidence), in order.

    ``module`` gives logits (B, T, C) or a ``Spelling``, of which the fusion's last word counts.
    """

    def read(images: Tensor) -> Readings:
        logits = module(images)
        return read_logits(
            logits.fusion[-1] if isinstance(logits, Spelling) else logits, characters
        )

    return reading(module, read, normalise=normalised)
