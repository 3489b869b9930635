"""PARSeq: one decoder that reads in any order, trained on permutations of the characters.

Bautista and Atienza, "Scene Text Recognition with Permuted Autoregressive Sequence Models", ECCV
2022 (arXiv 2207.06966). Official code: baudm/parseq, Apache-2.0, read and run, not copied.

A ViT encodes the image. One decoder layer predicts each character from the image and from any other
characters: K = 6 reading orders of a word (left to right, its mirror image, and two random ones with
theirs) are so many attention masks over the same input. Reading is left to right with feedback, then
every character is predicted once more from all others (a cloze).

What differs from the official code:
- Random orders belong to an image, there to a batch; the distribution for one word is the same. Words
  of fewer than five characters may get an order twice; there the orders of a batch of such words do
  not repeat, and a batch of one-character words has a single one.
- Characters outside the charset are dropped before a word's length is judged, there after; accented
  letters are dropped, there turned into their ASCII letters.
- Classes are the characters, then END (BOS and PAD only enter); there END comes first.
- The patch projection keeps PyTorch's initialisation, as in timm 0.9, which the official code pins.
Against the official modules at commit 1902db0 over timm 1.0.31, same weights and inputs: the encoder's
features are equal to the last bit, logits of all six orders and decoded ones differ by at most 2.4e-6.

*Expected:* 95.95 over six test sets weighted by their words, the released weights trained on real words;
not reproduced here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from strbench.errors import StrbenchError, unknown_name
from strbench.methods import LoopConfig, Method, Reader, Schedule, View, WordBatch
from strbench.text import charset
from strbench.types import Card

from ..parts.decoding import Readings, reading, spelled, step_margins
from ..parts.parseq_networks import Decoder, Encoder, Kept, Size
from ..parts.permutations import reading_orders, visible_characters
from ..parts.ranks import mean_over_ranks
from ..parts.views import mild, plain
from ..parts.views_parseq import randaugment
from ..parts.words import encode_labels

MAX_LABEL = 25  # the official max_label_length; the end takes a 26th place
AUGMENTATIONS = {"randaugment": randaugment, "mild": mild, "plain": plain}


SIZES = {
    "small": Size(384, 12, 6, 12, (4, 8)),  # PARSeq-S, configs/model/parseq.yaml
    "tiny": Size(192, 12, 3, 6, (4, 8)),  # PARSeq-Ti, configs/experiment/parseq-tiny.yaml
    # Ours, for a CPU: patches as high as they must be for few tokens but as narrow as PARSeq's are high.
    "mini": Size(128, 4, 2, 4, (16, 4)),
    "micro": Size(64, 3, 1, 2, (32, 4)),
}


@dataclass(frozen=True, kw_only=True)
class Config(LoopConfig):
    """Values of the official configs/main.yaml and configs/model/parseq.yaml."""

    size: str = "small"  # a row of SIZES
    charset: str = "94"
    orders: int = 6  # K, reading orders of a word; even
    refinements: int = 1  # cloze passes after reading
    dropout: float = 0.1  # in the decoder; the encoder has none
    probe: bool = False  # the encoder frozen whole and in evaluation mode
    augmentation: Literal["randaugment", "mild", "plain"] = "randaugment"
    batch_size: int = 768  # 2 GPUs x 384
    epochs: float = 20.0
    lr: float = 1.485e-3  # 7e-4 x 384 / 256 x sqrt(2 GPUs)
    lr_batch: int = 0
    schedule: Schedule = "onecycle"
    rise: float = 0.075
    div: float = 25.0  # torch's OneCycleLR
    final_div: float = 1e4
    weight_decay: float = 0.0
    clip_norm: float = 20.0


RECIPES: Mapping[str, Config] = {
    "paper": Config(),
    # Ours: 2.6 million images, sized for less than an hour on one GPU.
    "small": Config(size="tiny", charset="36", batch_size=256, epochs=0, steps=10_000, lr=7e-4),
    # Ours: what two CPU cores learn in about an hour.
    "cpu-hour": Config(
        size="mini",
        charset="36",
        dropout=0.0,
        augmentation="mild",
        batch_size=64,
        epochs=0,
        steps=8_000,
        lr=2e-3,
    ),
    # Ours: no dropout and a high learning rate, for a CPU and about a minute and a half.
    "smoke": Config(
        size="micro",
        charset="36",
        dropout=0.0,
        augmentation="plain",
        batch_size=64,
        epochs=0,
        steps=1_200,
        lr=1.5e-3,
    ),
}


def views(config: Config) -> View:
    """The function from a WordBatch to what ``PARSeq.loss`` takes.

    "images" (B, 3, H, W) normalised to [-1, 1]; "targets" (B, 25) class indices, 0 behind "lengths"
    (B,); "orders" (B, K, 26), the rank of every place in each reading order. A word that cannot be
    trained on (nothing of it in the charset, more than 25 characters) has length 0.
    """
    if config.augmentation not in AUGMENTATIONS:
        raise unknown_name("augmentation", config.augmentation, AUGMENTATIONS)
    augment, characters = AUGMENTATIONS[config.augmentation], charset(config.charset)

    def view(batch: WordBatch) -> dict[str, Tensor]:
        targets, lengths, _ = encode_labels(batch.labels, characters, most=MAX_LABEL)
        return {
            "images": augment(batch) * 2 - 1,
            "targets": targets.to(batch.images.device),
            "lengths": lengths.to(batch.images.device),
            "orders": reading_orders(batch.seeds, slots=MAX_LABEL, orders=config.orders),
        }

    return view


class PARSeq(nn.Module):
    """Encoder, decoder, classifier; a query and an embedding for each place and token.

    Tokens: the characters, END, BOS, PAD. The classifier has no output for BOS and PAD.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        if config.size not in SIZES:
            raise unknown_name("size of parseq", config.size, SIZES)
        if config.orders < 2 or config.orders % 2:
            raise StrbenchError(
                f"orders={config.orders}: expected an even number, 2 or more.",
                hint="--set orders=6",
            )
        size, characters = SIZES[config.size], len(charset(config.charset))
        self.end, self.bos = characters, characters + 1
        self.config = config
        self.encoder = Encoder(size, height=config.height, width=config.width)
        self.decoder = Decoder(size.dim, size.decoder_heads, config.dropout)
        self.head = nn.Linear(size.dim, characters + 1)
        self.embedding = nn.Embedding(characters + 3, size.dim)
        self.queries = nn.Parameter(torch.empty(1, MAX_LABEL + 1, size.dim))
        self.dropout = nn.Dropout(config.dropout)
        self._draw_weights()
        self.encoder.requires_grad_(not config.probe)

    def _draw_weights(self) -> None:
        """Normal numbers with deviation 0.02, zero biases; Xavier for the decoder's projections."""
        for part in self.modules():
            if isinstance(part, nn.Linear | nn.Embedding):
                nn.init.trunc_normal_(part.weight, std=0.02)
            if isinstance(part, nn.Linear):
                nn.init.zeros_(part.bias)
        for attention in (self.decoder.to_characters, self.decoder.to_image):
            nn.init.xavier_uniform_(attention.project.weight)
        for parameter in (self.queries, self.encoder.positions):
            nn.init.trunc_normal_(parameter, std=0.02)

    def train(self, mode: bool = True) -> PARSeq:
        """As usual; the encoder of a probe stays in evaluation mode."""
        super().train(mode)
        if self.config.probe:
            self.encoder.eval()
        return self

    def embed(self, tokens: Tensor, *, first: int = 0) -> Tensor:
        """Tokens (N, T), of which the first stands at place ``first``, as the decoder takes them.

        Place 0 is BOS and has no position; the character of slot s is at place s + 1 and brings the
        query of its slot.
        """
        embedded: Tensor = self.embedding(tokens) * self.embedding.embedding_dim**0.5
        slots = self.queries[:, max(first - 1, 0) : first + tokens.shape[1] - 1]
        if first == 0:
            slots = F.pad(slots, (0, 0, 1, 0))
        return embedded + slots

    def decode(self, tokens: Tensor, image: Kept, seen: Tensor) -> Tensor:
        """Logits (B, K, Q, classes) of the first Q slots, from K ways to look at tokens (B, T).

        ``seen`` (B, K, Q, T) tells which tokens each prediction uses.
        """
        batch, orders, queries, _ = seen.shape
        shape = (batch, orders, -1, -1)
        known = self.dropout(self.embed(tokens)[:, None].expand(shape).flatten(0, 1))
        asking = self.dropout(self.queries[:, None, :queries].expand(shape).flatten(0, 1))
        hidden = self.decoder(asking, self.decoder.keep(known), image, seen.flatten(0, 1))
        logits: Tensor = self.head(hidden).view(batch, orders, queries, -1)
        return logits

    def loss(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The loss on a batch of ``views``: cross-entropy, a mean over the tokens of all orders.

        The end counts in the first two orders alone, with the whole word known and with nothing.
        "accuracy" is the share of words of which each character follows from the true ones before
        it, "unusable" that of words that cannot be trained on.
        """
        lengths = batch["lengths"]
        places = int(lengths.max()) + 1
        image = self.decoder.to_image.keep(self.encoder(batch["images"]))
        slots = torch.arange(places, device=lengths.device)
        ends = slots == lengths[:, None]  # (B, T)
        targets = F.pad(batch["targets"], (0, 1))[:, :places].masked_fill(ends, self.end)
        tokens = F.pad(targets[:, :-1], (1, 0), value=self.bos)
        ranks = batch["orders"][..., :places]
        logits = self.decode(tokens, image, visible_characters(ranks, lengths)).float()
        each = F.cross_entropy(
            logits.flatten(0, 2), targets[:, None].expand_as(ranks).flatten(), reduction="none"
        ).view(ranks.shape)
        usable = lengths > 0
        counts = ((slots < lengths[:, None])[:, None].expand_as(ranks)).clone()  # (B, K, T)
        counts[:, :2] |= (ends & usable[:, None])[:, None]
        with torch.no_grad():
            right = (logits[:, 0].argmax(-1) == targets) | (slots > lengths[:, None])
            right = right.all(1) & usable
        return {
            "loss": mean_over_ranks((each * counts).sum(), counts.sum()),
            "accuracy": right.sum() / usable.sum().clamp(min=1),
            "unusable": (~usable).float().mean(),
        }

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, 26, classes) of normalised images, read left to right and then refined.

        Without refinement only as many places come back as were needed for every word to end.
        """
        return self.passes(images)[-1]

    def passes(self, images: Tensor) -> list[Tensor]:
        """The logits of every pass: left to right, then each refinement of the one before."""
        places = MAX_LABEL + 1
        image = self.decoder.to_image.keep(self.encoder(images))
        tokens = images.new_full((len(images), 1), self.bos, dtype=torch.int64)
        known, rows = None, []
        for slot in range(places):
            new = self.decoder.keep(self.embed(tokens[:, -1:], first=slot))
            known = new if known is None else Kept(*map(_joined, known, new))
            seen = torch.ones(len(images), 1, slot + 1, dtype=torch.bool, device=images.device)
            query = self.queries[:, slot : slot + 1].expand(len(images), -1, -1)
            rows.append(self.head(self.decoder(query, known, image, seen)))
            tokens = torch.cat([tokens, rows[-1].argmax(-1)], 1)
            if (tokens == self.end).any(1).all():
                break
        passes = [torch.cat(rows, 1)]
        for _ in range(self.config.refinements):
            tokens = F.pad(passes[-1].argmax(-1)[:, :-1], (1, 0), value=self.bos)
            ended = (tokens == self.end).cumsum(1) > 0  # (B, T)
            own = torch.ones(places, places, dtype=torch.bool, device=images.device)
            own = own.diagonal_scatter(
                torch.zeros(places - 1, dtype=torch.bool, device=images.device), 1
            )
            seen = own[:, : tokens.shape[1]] & ~ended[:, None]
            passes.append(self.decode(tokens, image, seen[:, None])[:, 0])
        return passes


def _joined(before: Tensor, new: Tensor) -> Tensor:
    return torch.cat([before, new], 2)


def reader(module: nn.Module, config: Config) -> Reader:
    """A function from images (B, 3, H, W) in [0, 1] to (text, confidence), in order.

    The confidence is the product of the probabilities of the characters and of the end.
    """
    model, characters = cast(PARSeq, module), charset(config.charset)

    def read(images: Tensor) -> Readings:
        passes = model.passes(images)
        chances, classes = passes[-1].float().softmax(-1).max(-1)  # (B, T)
        counts = length(passes[-1])
        behind = torch.arange(classes.shape[1], device=classes.device) > counts[:, None]
        confidences = chances.masked_fill(behind, 1.0).prod(1)
        # a refinement takes the pass before at its word, so a doubt there is one here
        margins = torch.stack([step_margins(each, length(each) + 1) for each in passes]).amin(0)
        return spelled(characters, classes, counts, confidences, margins)

    def length(logits: Tensor) -> Tensor:
        return ((logits.argmax(-1) == model.end).cumsum(1) == 0).sum(1)

    return reading(model, read)


def export(module: nn.Module) -> dict[str, Tensor]:
    """Every tensor of the recognizer."""
    return dict(module.state_dict())


PARSEQ = Method(
    card=Card(
        name="parseq",
        kind="recognizer",
        title="PARSeq: permuted autoregressive sequence model",
        paper=(
            "Bautista and Atienza, Scene Text Recognition with Permuted Autoregressive Sequence "
            "Models, ECCV 2022"
        ),
        code="github.com/baudm/parseq (Apache-2.0, not used)",
        licence="Apache-2.0",
        status="parity-checked",
        parameters={"small": 23_832_671, "tiny": 6_018_143},
        charset="94",
        resize="stretch-bicubic",
        height=32,
        width=128,
        recipes=tuple(RECIPES),
        notes=(
            "95 outputs: 94 characters and the end; recipes other than paper use charset 36. Six "
            "reading orders a word, drawn per image (officially per batch). Greedy reading with one "
            "cloze refinement; at most 25 characters. Sizes mini and micro, with patches of 16x4 and 32x4, are "
            "strbench's own. Inputs are (x - 0.5) / 0.5."
        ),
    ),
    recipes=RECIPES,
    build=PARSeq,
    views=views,
    export=export,
    needs_labels=True,
    reader=reader,
    fresh=(),
    shape=("size", "charset", "height", "width"),
    feeds=("parseq",),
)
