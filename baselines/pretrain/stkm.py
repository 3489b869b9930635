"""STKM: a network that writes down all words of a photograph, sorted, without being told where they are.

Wan et al., "Self-attention based Text Knowledge Mining for Text Detection", CVPR 2021. Official code:
CVI-SZU/STKM (licence Apache-2.0, read and run, not copied).

Paper and code differ. "paper" has the paper's four decoder layers, 98 classes and turns of 20 degrees;
"repository" the code's single layer, 97 classes (no "Z", no "&", one for what is unknown) and turns: half
the time a whole number of up to 10 degrees, times a number up to 1. Both bring the levels to stride 4, fuse
them by a 3x3 convolution, pool, and smooth the truth as the code does. ``fusion=1`` and ``spread=all`` are
the paper's kernel and smoothing; its fusion at stride 8 without pooling is not here.

Against the official modules at commit 45f2f2b, recipe repository with one and four layers, same weights,
windows of 256 pixels, no dropout: captions are equal, losses differ by at most 3e-7, the image's tokens
(up to 11) by 5e-7, gradients by 4 millionths of the largest of their tensor.

What differs from the code:
- A caption that does not fit in ``length`` ends before the first word that would not; there it is an error.
- A region's text is split at white space; regions that do not count, without text or with "###" are no
  words. What has no class is left out of a word where the alphabet has none for the unknown.
- Words that the turn moves out of the window wholly are not asked for.
- Images are RGB; there BGR, though the ImageNet weights are of RGB. Pillow resizes, there OpenCV.
- Batch normalisation and dropout stay on; there both stop at the first multiple of 500 steps in an epoch.
- The paper starts from ImageNet's weights, ours from random ones. The official encoder's 33,037,608
  parameters include ImageNet's classifier, 2,049,000, which is left out here: 30,988,608.
- ``micro`` is strbench's own, for a CPU.

*Expected:* no accuracy of its own; fine-tune a detector with it and score that. Measured with recipe ``cpu-hour``
on the texts of 2,000 drawn pages, 31 minutes of a shared core and one seed: 29.4 % of the characters told; from it
the smallest PSENet, trained on 200 drawn pages, has F 27.0 on the test photographs of ICDAR 2015 (95 % over them
25.2 to 29.0), from scratch 27.2 (``strbench reproduce vlpt-psenet --scale cpu-night --only STKM``). Nothing of the
paper's size was run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from strbench.errors import StrbenchError, unknown_name
from strbench.feeds import PageFeed
from strbench.methods import LoopConfig, Method, Optimiser, PageBatch, Schedule, View
from strbench.placing import Placement, Scene, scaling, turning
from strbench.types import Card, Region

from ..parts.backbones import adopted, backbone
from ..parts.detecting import DETECTORS, normalised
from ..parts.precision import exact
from ..parts.ranks import mean_over_ranks
from ..parts.stkm_networks import PAD, POSITIONS, Decoder, Fusion, Shape, divergence

START, WORD_END, END = 1, 2, 3  # and PAD; dataloader_syn.py; characters follow
TURN = 20.0  # degrees either way; section 4.2
CODE_TURN = 10  # dataloader_syn.py


class Alphabet(NamedTuple):
    """The characters of a caption, in the order of their ids from 4 on."""

    characters: str
    has_unknown: bool  # one more class, the last, for every other character

    @property
    def classes(self) -> int:
        return END + 1 + len(self.characters) + self.has_unknown

    def ids(self, word: str) -> list[int]:
        """The ids of a word's characters; those without a class are left out.

        >>> ALPHABETS["repository"].ids("!Zé~"), ALPHABETS["paper"].ids("!Zé~")
        ([4, 96, 96, 95], [4, 61, 97])
        """
        places = (self.characters.find(character) for character in word)
        unknown = END + 1 + len(self.characters)
        found = (unknown if place < 0 else END + 1 + place for place in places)
        return [i for i in found if i < self.classes]


_ASCII = "".join(map(chr, range(33, 127)))
ALPHABETS: Mapping[str, Alphabet] = {
    # Section 3: 10 digits, 52 letters, 32 signs, 4 marks; the order, which it does not print, is ours.
    "paper": Alphabet(_ASCII, has_unknown=False),
    # alphabet.py
    "repository": Alphabet(_ASCII.replace("Z", "").replace("&", ""), has_unknown=True),
}


@dataclass(frozen=True, kw_only=True)
class Config(LoopConfig):
    """Values of the paper's sections 3 and 4.2 or, where a comment says so, of the code's train.py."""

    size: str = "r50"  # of parts.backbones
    alphabet: str = "paper"  # of ALPHABETS
    length: int = 400  # ids of a caption, its end included; dataloader_syn.py
    turns: Literal["paper", "repository"] = "paper"
    neck: int = 256  # channels of a level of the pyramid
    fusion: int = 3  # side of the kernel over the levels; the paper's is 1
    dim: int = 512
    layers: int = 4
    heads: int = 8
    head_dim: int = 32  # of keys and values; the code
    hidden: int = 1024
    dropout: float = 0.1
    smoothing: float = 0.1
    # What the smoothing is spread over: all classes but the right one and the padding (the code's
    # loss.py), or all (equation 5).
    spread: Literal["others", "all"] = "others"
    height: int = 512
    width: int = 512
    batch_size: int = 32
    epochs: float = 10.0
    optimiser: Optimiser = "adam"
    lr: float = 1e-4
    lr_batch: int = 0
    schedule: Schedule = "constant"
    betas: tuple[float, float] = (0.5, 0.999)  # the code
    weight_decay: float = 0.0


RECIPES: Mapping[str, Config] = {
    "paper": Config(),
    # The released code's own settings.
    "repository": Config(alphabet="repository", turns="repository", layers=1),
    # Ours, for less than an hour on one GPU.
    "small": Config(size="r18", layers=1, epochs=0, steps=4_000, schedule="cosine", warmup_steps=200, lr=3e-4),
    # Ours, for a CPU.
    "cpu-hour": Config(
        size="micro", neck=64, dim=128, layers=1, heads=4, hidden=256, length=200, height=320, width=320,
        batch_size=8, epochs=0, steps=1_500, schedule="cosine", warmup_steps=100, lr=1e-3,
    ),
    "smoke": Config(
        size="micro", neck=32, dim=64, layers=1, heads=4, head_dim=16, hidden=128, length=120, height=160,
        width=160, batch_size=4, epochs=0, steps=150, schedule="cosine", warmup_steps=5, lr=2e-3,
    ),
}  # fmt: skip


# --- photographs in


def words_of(regions: Iterable[Region]) -> list[str]:
    """The words of a photograph by the codes of their characters, capitals before small letters.

    >>> box = ((0, 0), (9, 0), (9, 9))
    >>> words_of([Region(box, "sale Now"), Region(box, "###"), Region(box, "50%"), Region(box)])
    ['50%', 'Now', 'sale']
    """
    texts = (r.text for r in regions if r.text is not None and not r.ignored and r.text != "###")
    return sorted(word for text in texts for word in text.split())


def caption(words: Sequence[str], alphabet: Alphabet, *, length: int) -> NDArray[np.int64]:
    """START, each word's characters and WORD_END, then END: (length + 1,) ids, padded.

    It ends before the first word that would leave no place for END. A word without a character that has
    a class is left out.

    >>> caption(["Hi", "to"], ALPHABETS["paper"], length=8).tolist()
    [1, 43, 76, 2, 87, 82, 2, 3, 0]
    """
    ids = [START]
    for word in words:
        own = alphabet.ids(word)
        if len(ids) + len(own) + 1 > length:
            break
        ids += [*own, WORD_END] if own else []
    ids.append(END)
    padded = np.full(length + 1, PAD, np.int64)
    padded[: len(ids)] = ids
    return padded


def _place(config: Config) -> Callable[..., Placement]:
    """Padded to a square at the right or below, scaled to the window, turned about its centre."""
    if config.turns not in ("paper", "repository"):
        raise unknown_name("kind of turns", config.turns, ("paper", "repository"))

    def place(
        rng: np.random.Generator, height: int, width: int, regions: Sequence[Region]
    ) -> Placement:
        side = max(height, width)
        degrees = 0.0
        if config.turns == "paper":
            degrees = rng.uniform(-TURN, TURN)
        elif rng.random() < 0.5:
            degrees = rng.integers(-CODE_TURN, CODE_TURN, endpoint=True) * rng.uniform(-1, 1)
        turn = turning(degrees, config.height, config.width)
        return Placement(
            turn @ scaling(config.width / side, config.height / side),
            (config.height, config.width),
        )

    return place


def feed(config: Config) -> PageFeed:
    """Whole photographs, with "caption" (length + 1,) of the words that they show."""
    alphabet = _alphabet(config)

    def targets(scene: Scene) -> dict[str, np.ndarray]:
        return {"caption": caption(words_of(scene.regions), alphabet, length=config.length)}

    return PageFeed(height=config.height, width=config.width, place=_place(config), targets=targets)


def views(config: Config) -> View:
    """The function from a PageBatch to "images" (B, 3, H, W) in [-1, 1] and "caption" (B, length + 1)."""

    def view(batch: PageBatch) -> dict[str, Tensor]:
        half = (0.5, 0.5, 0.5)
        return {
            "images": normalised(batch.images.float() / 255, mean=half, std=half),
            "caption": batch.targets["caption"],
        }

    return view


def _alphabet(config: Config) -> Alphabet:
    if config.alphabet not in ALPHABETS:
        raise unknown_name("alphabet", config.alphabet, ALPHABETS)
    return ALPHABETS[config.alphabet]


# --- the network


class KnowledgeMiner(nn.Module):
    """``backbone``, ``neck``, ``decoder`` and ``classifier``.

    Raises:
        StrbenchError: a backbone, an alphabet, a kernel, a length or a smoothing that cannot be.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        if not 1 <= config.length <= POSITIONS:
            raise StrbenchError(
                f"length={config.length}: expected 1 to {POSITIONS}, the positions that there are.",
                hint="--set length=400",
            )
        if not 0 <= config.smoothing < 1:
            raise StrbenchError(
                f"smoothing={config.smoothing}: expected 0 or more, below 1.",
                hint="--set smoothing=0.1",
            )
        if config.spread not in ("others", "all"):
            raise unknown_name("spread of the smoothing", config.spread, ("others", "all"))
        self.config = config
        classes = _alphabet(config).classes
        self.backbone = backbone(config.size)
        self.neck = Fusion(
            self.backbone.widths,  # type: ignore[arg-type]
            neck=config.neck,
            dim=config.dim,
            kernel=config.fusion,
        )
        shape = Shape(
            layers=config.layers,
            dim=config.dim,
            heads=config.heads,
            head=config.head_dim,
            hidden=config.hidden,
        )
        self.decoder = Decoder(shape, classes=classes, dropout=config.dropout)
        self.classifier = nn.Linear(config.dim, classes)

    def encode(self, images: Tensor) -> Tensor:
        """(B, H / 8 * W / 8, dim), row by row, of images (B, 3, H, W) in [-1, 1]."""
        maps: Tensor = self.neck(self.backbone(images))
        return maps.flatten(2).transpose(1, 2)

    def logits(self, memory: Tensor, ids: Tensor) -> Tensor:
        """(B, T, classes): of the id that follows each of ids (B, T)."""
        out: Tensor = self.classifier(self.decoder(memory, ids))
        return out

    def loss(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The loss on a batch of ``views``; "accuracy" is the share of ids that are told right."""
        whole = batch["caption"]
        longest = int((whole != PAD).sum(1).max())  # beyond it no row asks for anything
        before, target = whole[:, : longest - 1], whole[:, 1:longest]
        logits = self.logits(self.encode(batch["images"]), before)
        with torch.autocast(logits.device.type, enabled=False):
            logits = exact(logits)
            apart = divergence(
                logits, target, smoothing=self.config.smoothing, spread=self.config.spread
            )
            counts = target != PAD
            right = (logits.argmax(-1) == target) & counts
            return {
                "loss": mean_over_ranks(apart.sum(), counts.sum()),
                "accuracy": mean_over_ranks(right.sum().to(apart.dtype), counts.sum()),
            }


def export(module: nn.Module) -> dict[str, Tensor]:
    """The backbone's tensors."""
    state: Mapping[str, Any] = module.state_dict()
    return {name: tensor for name, tensor in state.items() if name.startswith("backbone.")}


STKM = Method(
    card=Card(
        name="stkm",
        kind="pretraining",
        title="STKM: all words of a photograph, written in the order of the alphabet",
        paper=(
            "Wan et al., Self-attention based Text Knowledge Mining for Text Detection, CVPR 2021"
        ),
        code="github.com/CVI-SZU/STKM (Apache-2.0, not used)",
        licence="Apache-2.0",
        status="trained",
        parameters={
            "r50": 41_603_490,
            "r50 layers=1": 35_290_530,
            "r50 layers=1 alphabet=repository": 35_289_505,
        },
        recipes=tuple(RECIPES),
        notes=(
            "Four decoder layers and 98 classes as in the paper; recipe repository has the code's one "
            "layer and 97. Images in [-1, 1], where detectors take ImageNet's mean and deviation. "
            "Captions are cut at 400 ids. Size micro is strbench's own."
        ),
    ),
    recipes=RECIPES,
    build=KnowledgeMiner,
    views=views,
    export=export,
    task="detection",
    feed=feed,
    fresh=("neck.", "decoder.", "classifier."),
    adopts=adopted,
    feeds=DETECTORS,
)
