"""VLPT-STD: an image and its caption, told from others, word by word, and with words of it hidden.

Song et al., "Vision-Language Pre-Training for Boosting Scene Text Detectors", CVPR 2022 (arXiv
2204.13867). Official code: AlibabaResearch/AdvancedLiterateMachinery, OCR/VLPT-STD (Apache-2.0, "research
purpose" in its README; read and run, not copied). What the words are is all it is told: no outlines.

Three losses, summed, each of which a setting switches off for the ablations:
- ``itc``, image-text contrast: images and captions of a batch find each other by their [CLS] tokens.
- ``wip``, word-in-image prediction: the image tells each piece of its caption from the 63 pieces whose
  embeddings are most like it.
- ``mlm``, masked language modelling: hidden words are told from the rest of the caption and the image.

Followed from the code:
- The caption that takes part in ITC is the one with words hidden.
- What an image or a caption is compared with in ITC is a constant, the own rank's too: images get their
  gradient from their choice among captions alone, captions from theirs among images.
- The image's token in WIP is the first patch; in the paper's figure it is [CLS].
- Scales are clamped to ln 100 before each forward pass.
With the ImageNet classifier that the official backbone carries along unused there are 68,119,396
parameters, 2,049,000 more than here. What differs:
- WIP and MLM are means over the pieces of all ranks, there the mean of each rank's mean.
- The nearest embeddings are found on a normalised copy. The official code normalises the table itself, in
  place, on a detached view: in full precision its rows have length 1 ever after, under apex O2 the next
  step brings the old ones back.
- The two scales and BatchNorm's weights do not decay.
- No activation checkpoints, which there update BatchNorm's statistics twice a step.
- The image is stretched and turned in one sampling (bilinear, averaged where it shrinks by 2 or more).
- "[MASK]" and the like in an annotated word are text, not special pieces.
- The paper's backbone starts from ImageNet's weights, which do not come with strbench; this one from random
  ones, or with --from from another pretraining's.
- Size micro and the built-in vocabulary are strbench's own.
Against the official modules at commit fb6187e, without dropout and with that table normalised on a copy,
same weights and inputs: in float32 at 512 pixels the losses are equal and the image's tokens differ by at
most 3e-6; in float64 losses differ by at most 7e-8, gradients by 2e-8 of a tensor's largest. Pieces are
those of Hugging Face's BertTokenizer 4.44.2 on 59,899 random texts and on every Unicode character.

*Expected:* no figure of its own; fine-tune with ``db`` and score that. Measured with recipe ``cpu-hour`` on the
texts of 2,000 drawn pages, 11 minutes of a shared core and one seed: images find their captions 13.8 % of the
time among 16, and hidden words are told 3.6 %, little more than nothing; from it the smallest PSENet, trained
on 200 drawn pages, has F 31.0 on the test photographs of ICDAR 2015 (95 % over them 28.8 to 33.3), from scratch
27.2 (``strbench reproduce vlpt-psenet --scale cpu-night --only VLPT-STD``). Nothing of the paper's size was run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from strbench.errors import StrbenchError
from strbench.feeds import Item, PageFeed
from strbench.methods import LoopConfig, Method, PageBatch, Schedule, View
from strbench.placing import Placement, Scene, scaling, turning
from strbench.types import Card, Region

from ..parts.backbones import adopted, backbone
from ..parts.detecting import DETECTORS, normalised
from ..parts.postnorm import inside
from ..parts.precision import exact
from ..parts.ranks import mean_over_ranks
from ..parts.vlpt_networks import (
    Contrast,
    CrossEncoder,
    ImageEncoder,
    TextEncoder,
    init_transformer,
    piece_head,
)
from ..parts.word_pieces import BUILT_IN, IGNORED, hidden, named

CLS, PATCH = 0, 1  # tokens of the image: ITC's and WIP's
TEXT, IMAGE = 0, 1  # rows of the table that says what a token is of
_HIDE = 1  # stream of draws beside the placement's


@dataclass(frozen=True, kw_only=True)
class Config(LoopConfig):
    """Values of the official conf/config.yaml, main.py and optimizer.py unless a comment says otherwise."""

    size: str = "r50"  # of parts.backbones
    height: int = 512
    width: int = 512
    turn: float = 20.0  # degrees either way
    vocabulary: str = ""  # a file with a piece a line, "built-in", or "": see word_pieces
    pieces: int = 30_522  # of the vocabulary
    longest: int = 30  # pieces of a caption, [CLS] and [SEP] included
    hide: float = 0.15  # of a caption's places
    neck: int = 256  # channels of a level of the pyramid
    dim: int = 384
    heads: int = 6
    text_depth: int = 3
    cross_depth: int = 4
    dropout: float = 0.1
    candidates: int = 64  # of WIP: a piece and the 63 most like it
    itc: bool = True
    wip: bool = True
    mlm: bool = True
    batch_size: int = 800  # 8 GPUs x 100
    steps: int = 180_000
    lr: float = 1e-4
    lr_batch: int = 0
    betas: tuple[float, float] = (0.9, 0.98)
    weight_decay: float = 0.01
    schedule: Schedule = "poly"
    power: float = 1.0
    min_lr: float = 0.0
    warmup_steps: int = 2_500

    def __post_init__(self) -> None:
        super().__post_init__()
        whole = self.height % 32 == 0 and self.width % 32 == 0
        wrong = {
            f"Images of {self.height}x{self.width}: expected multiples of 32.": not whole,
            f"dim={self.dim} is no multiple of heads={self.heads}.": (
                self.heads < 1 or self.dim % self.heads != 0
            ),
            "itc, wip and mlm are all off; one loss at least is needed.": not (
                self.itc or self.wip or self.mlm
            ),
            f"candidates={self.candidates}: expected 2 to {self.pieces}, the pieces.": not (
                2 <= self.candidates <= self.pieces
            ),
            f"longest={self.longest}: expected 3 or more.": self.longest < 3,
            f"hide={self.hide}: expected 0 to 1.": not 0 <= self.hide <= 1,
        }
        for message, is_wrong in wrong.items():
            if is_wrong:
                raise StrbenchError(message, hint="See: strbench show vlpt")


_SMALL = Config(
    size="r18", vocabulary=BUILT_IN, pieces=2_048, batch_size=64, steps=5_000, lr=3e-4, warmup_steps=250
)  # fmt: skip
_MICRO = replace(_SMALL, size="micro", neck=32, dim=64, heads=2, text_depth=2, cross_depth=2)
RECIPES: Mapping[str, Config] = {
    "paper": Config(),
    # Ours, for less than an hour on one GPU.
    "small": _SMALL,
    # Ours, for a CPU.
    "cpu-hour": replace(
        _MICRO, height=320, width=320, batch_size=16, steps=1_000, lr=1e-3, warmup_steps=50
    ),
    "smoke": replace(
        _MICRO, height=160, width=160, batch_size=4, steps=60, lr=1e-3, warmup_steps=5
    ),
}


# --- photographs in


class CaptionFeed(PageFeed):
    """``PageFeed`` that does not look at outlines: a word that a turn takes out of sight stays in the caption."""

    def batch(self, items: Sequence[Item], labels: list[str | None], seeds: Tensor) -> PageBatch:
        return super().batch([_everywhere(item) for item in items], labels, seeds)


def _everywhere(item: Item) -> Item:
    """The item, each of its regions as large as the photograph."""
    height, width = (float(side) for side in item.arrays[0].shape[:2])
    polygon = ((0.0, 0.0), (width, 0.0), (width, height), (0.0, height))
    return item._replace(
        regions=tuple(Region(polygon, r.text, ignored=r.ignored) for r in item.regions)
    )


def _place(config: Config) -> Callable[..., Placement]:
    """The whole photograph stretched and then turned about its centre; corners black."""

    def place(
        rng: np.random.Generator, height: int, width: int, regions: Sequence[Region]
    ) -> Placement:
        fit = scaling(config.width / width, config.height / height)
        turn = turning(rng.uniform(-config.turn, config.turn), config.height, config.width)
        return Placement(turn @ fit, (config.height, config.width))

    return place


def caption_of(regions: Sequence[Region]) -> str:
    """The words in the order of the annotation; what is ignored, "###" or without a text is no word."""
    return " ".join(r.text for r in regions if r.text and not r.ignored and r.text != "###")


def feed(config: Config) -> CaptionFeed:
    """Photographs with "ids" and "shown" (L,), the caption and what is left of it, "labels" (L,), what was
    hidden (see ``word_pieces.hidden``), and "length" (), the places that are no padding.

    Raises:
        StrbenchError: the vocabulary is missing or of another size.
    """
    vocabulary = named(config.vocabulary, config.pieces)

    def targets(scene: Scene) -> dict[str, np.ndarray]:
        ids, length = vocabulary.caption(caption_of(scene.regions), config.longest)
        rng = np.random.default_rng([scene.seed, _HIDE])
        shown, labels = hidden(ids, length, vocabulary, rng, share=config.hide)
        return {"ids": ids, "shown": shown, "labels": labels, "length": np.array(length)}

    return CaptionFeed(
        height=config.height, width=config.width, place=_place(config), targets=targets
    )


def views(config: Config) -> View:
    """The function from a PageBatch to what ``VisionLanguage.loss`` takes: "images", normalised, and the
    targets of ``feed``.
    """

    def view(batch: PageBatch) -> dict[str, Tensor]:
        return {"images": normalised(batch.images.float() / 255), **batch.targets}

    return view


# --- the network


class VisionLanguage(nn.Module):
    """``backbone``, the three encoders, and what the three losses need beside them.

    What serves a loss that is switched off is there and stays as drawn.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        shape = {"dim": config.dim, "heads": config.heads}
        self.backbone = backbone(config.size)
        self.image = ImageEncoder(
            self.backbone.widths,  # type: ignore[arg-type]
            neck=config.neck,
            height=config.height,
            width=config.width,
            dropout=config.dropout,
            **shape,
        )
        self.text = TextEncoder(
            pieces=config.pieces,
            longest=config.longest,
            depth=config.text_depth,
            dropout=config.dropout,
            **shape,
        )
        self.kinds = nn.Embedding(2, config.dim)
        self.itc = Contrast(config.dim)
        self.wip = Contrast(config.dim)
        self.cross = CrossEncoder(depth=config.cross_depth, dropout=config.dropout, **shape)
        self.head = piece_head(config.dim, config.pieces)
        init_transformer(self)
        for part, is_used in (
            (self.itc, config.itc),
            (self.wip, config.wip),
            (self.cross, config.mlm),
            (self.head, config.mlm),
            (self.text, config.itc or config.mlm),
            (self.text.words, True),
        ):
            part.requires_grad_(is_used)

    def loss(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The loss on a batch of ``views`` and its parts.

        "retrieval" is the share of images that find their own caption among those of all ranks,
        "told" the share of hidden pieces that are told.
        """
        config, lengths = self.config, batch["length"]
        image = self.image(self.backbone(batch["images"])) + self.kinds.weight[IMAGE]  # (B, L, D)
        real = inside(lengths, batch["ids"].shape[1])
        text = self.text(batch["shown"], real) + self.kinds.weight[TEXT]  # (B, T, D)
        terms: dict[str, Tensor] = {}
        parts: list[Tensor] = []
        if config.itc:
            terms["itc"], terms["retrieval"] = self.itc.pairs(image[:, CLS], text[:, CLS])
            parts.append(terms["itc"])
        if config.wip:
            counts = inside(lengths - 1, real.shape[1]) & (batch["labels"] == IGNORED)  # no [SEP]
            counts[:, 0] = False  # no [CLS]
            near = config.candidates
            table = self.text.words.weight
            terms["wip"] = self.wip.words(image[:, PATCH], table, batch["ids"], counts, count=near)
            parts.append(terms["wip"])
        if config.mlm:
            places = batch["labels"] != IGNORED
            logits = exact(self.head(self.cross(text, real, image)[places]))  # (N, V)
            wanted = batch["labels"][places]
            with torch.autocast(logits.device.type, enabled=False):
                total = F.cross_entropy(logits, wanted, reduction="sum")
            terms["mlm"] = mean_over_ranks(total, len(wanted))
            right = (logits.argmax(1) == wanted).sum().float()
            terms["told"] = mean_over_ranks(right, len(wanted))
            parts.append(terms["mlm"])
        return {"loss": torch.stack(parts).sum(), **terms}


def export(module: nn.Module) -> dict[str, Tensor]:
    """The backbone's tensors; what fuses its maps is not handed on."""
    return {k: v for k, v in module.state_dict().items() if k.startswith("backbone.")}


VLPT = Method(
    card=Card(
        name="vlpt",
        kind="pretraining",
        title="VLPT-STD: contrast, word-in-image prediction and masked words of captions",
        paper=(
            "Song et al., Vision-Language Pre-Training for Boosting Scene Text Detectors, CVPR 2022"
        ),
        code="github.com/AlibabaResearch/AdvancedLiterateMachinery, OCR/VLPT-STD (Apache-2.0, not used)",
        licence="Apache-2.0",
        status="trained",
        parameters={"r50": 66_070_396, "r18": 53_001_596},
        recipes=tuple(RECIPES),
        notes=(
            "Learns from transcriptions alone. The recipe paper needs BERT's uncased vocabulary, "
            "vocabulary=vocab.txt or raw/bert-base-uncased/vocab.txt in the home; the others have a "
            "built-in one of 2,048 pieces. The backbone starts from random weights, the paper's from "
            "ImageNet. Size micro is strbench's own."
        ),
    ),
    recipes=RECIPES,
    build=VisionLanguage,
    views=views,
    export=export,
    task="detection",
    feed=feed,
    fresh=("image.", "text.", "kinds.", "itc.", "wip.", "cross.", "head."),
    shape=("size",),
    adopts=adopted,
    feeds=DETECTORS,
)
