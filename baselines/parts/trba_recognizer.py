"""What the recognizers over ``fourstage.Encoder`` share: settings, classes, targets, loss, reading."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from strbench.errors import unknown_name
from strbench.methods import LoopConfig, Optimiser, Reader, Schedule, View, WordBatch
from strbench.text import Charset, charset

from . import fourstage
from .attention_decoder import AttentionDecoder, Decoded
from .ctc import ctc_hits, ctc_loss, ctc_targets, greedy, margins
from .decoding import Readings, reading, step_margins
from .ranks import mean_over_ranks
from .views import abinet_cv, mild, plain
from .views_strfl import blur5_crop99, crop90_rot15
from .words import encode_labels

MAX_LABEL = 25  # clovaai and STR-Fewer-Labels; longer words are not trained on
STEPS = MAX_LABEL + 1  # one for the end
AUGMENTATIONS: Mapping[str, Callable[[WordBatch], Tensor]] = {
    "plain": plain,
    "mild": mild,
    "abinet-cv": abinet_cv,
    "blur5-crop99": blur5_crop99,
    "crop90-rot15": crop90_rot15,
}
# Classes in front of the characters.
_SPECIALS = {
    ("clovaai", "attention"): ("go", "end"),
    ("clovaai", "ctc"): ("blank",),
    ("str-fewer-labels", "attention"): ("padding", "unknown", "go", "end", "space"),
    ("str-fewer-labels", "ctc"): ("blank", "padding", "unknown", "space"),
}


@dataclass(frozen=True, kw_only=True)
class Config(LoopConfig):
    """TRBA with the values of clovaai's train.py unless a comment says otherwise."""

    size: str = "full"  # a row of parts.fourstage.SIZES
    charset: str = "36"
    # Which classes stand in front of the characters, and how the previous one enters the decoder:
    # "clovaai" one-hot, "str-fewer-labels" as a learned vector.
    tokens: Literal["clovaai", "str-fewer-labels"] = "clovaai"
    channels: Literal[1, 3] = 1  # gray or RGB
    transform: fourstage.Transform = "tps"
    features: fourstage.Features = "resnet"
    sequence: fourstage.Sequence = "bilstm"
    decoder: Literal["attention", "ctc"] = "attention"
    probe: bool = False  # the encoder frozen whole and in evaluation mode
    augmentation: str = "plain"  # a name in AUGMENTATIONS
    height: int = 32
    width: int = 100
    batch_size: int = 192
    steps: int = 300_000
    optimiser: Optimiser = "adadelta"
    lr: float = 1.0
    lr_batch: int = 0
    schedule: Schedule = "constant"
    weight_decay: float = 0.0
    clip_norm: float = 5.0


class Layout(NamedTuple):
    """Which class means what: special ones, then the characters."""

    specials: tuple[str, ...]
    charset: Charset

    @property
    def first(self) -> int:
        """The class of the first character."""
        return len(self.specials)

    @property
    def classes(self) -> int:
        return self.first + len(self.charset)

    def special(self, name: str) -> int:
        """The class of a special one; clovaai pads with its go."""
        return self.specials.index("go" if name not in self.specials else name)

    def text(self, classes: Sequence[int]) -> str:
        """The characters among ``classes``; special ones write nothing."""
        return self.charset.decode(c - self.first for c in classes if c >= self.first)


def layout_of(config: Config) -> Layout:
    """The classes of a config's decoder.

    Raises:
        StrbenchError: no such charset or token layout.
    """
    layouts = [style for style, decoder in _SPECIALS if decoder == config.decoder]
    if config.tokens not in layouts:
        raise unknown_name("tokens", config.tokens, layouts)
    return Layout(_SPECIALS[config.tokens, config.decoder], charset(config.charset))


class Written(NamedTuple):
    """What was read in each of B images."""

    classes: Tensor  # (B, T) int64, as the decoder counts them; behind ``lengths`` anything
    lengths: Tensor  # (B,) steps before the end, all of them without an end
    confidences: Tensor  # (B,) in [0, 1]
    usable: Tensor  # (B,) one to MAX_LABEL characters and no special class among them
    margins: Tensor  # (B,) see ``parts.decoding.Readings``


class FourStage(nn.Module, ABC):
    """``encoder`` and ``decoder``; images are as ``encoder.to_channels`` makes them."""

    decoder: nn.Module
    depth = 0  # for layer decay: the rectifier alone learns at ``layer_decay`` of the rate

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.layout = layout_of(config)
        self.probe = config.probe
        self.encoder = fourstage.Encoder(
            config.size,
            transform=config.transform,
            features=config.features,
            sequence=config.sequence,
            channels=config.channels,
            height=config.height,
            width=config.width,
        )
        if self.probe:
            self.encoder.requires_grad_(False)

    def train(self, mode: bool = True) -> FourStage:
        """As usual; the encoder of a probe stays in evaluation mode."""
        super().train(mode)
        self.encoder.train(mode and not self.probe)
        return self

    def layer_of(self, name: str) -> int:
        """Layer-decay group: 0 the rectifier, 1 everything else."""
        return int(not name.startswith("encoder.transform."))

    @abstractmethod
    def logits(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Logits (B, T, classes) of a batch of ``views``, in attention told its words."""

    @abstractmethod
    def supervised(self, logits: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """The loss of logits against the words of ``batch``, over the usable ones of all ranks."""

    @abstractmethod
    def right(self, logits: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """Which of the usable words of ``batch`` the logits spell: (B,) bool."""

    def loss(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The loss on a batch of ``views``, the share of words read right and of unusable ones."""
        logits, usable = self.logits(batch), batch["usable"]
        return {
            "loss": self.supervised(logits, batch),
            "accuracy": mean_over_ranks(self.right(logits, batch).sum().float(), usable.sum()),
            "unusable": (~usable).float().mean(),
        }

    @abstractmethod
    def write(self, images: Tensor) -> Written:
        """The reading of normalised images, in the mode that the module is in."""


class AttentionRecognizer(FourStage):
    """Four stages of which the last is the attention decoder."""

    decoder: AttentionDecoder

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        size = fourstage.size_named(config.size)
        self.decoder = AttentionDecoder(
            self.encoder.dim,
            hidden=size.hidden,
            classes=self.layout.classes,
            embedding=None if config.tokens == "clovaai" else size.embedding,
            go=self.layout.special("go"),
        )
        fourstage.draw_weights(self.decoder)

    def forward(self, images: Tensor, tokens: Tensor | None = None) -> Decoded:
        """Told the right classes ``tokens`` (B, T), go first, or greedily over STEPS steps."""
        features = self.encoder(images)
        if tokens is None:
            return self.decoder.greedy(features, STEPS)
        out: Decoded = self.decoder(features, tokens)
        return out

    def logits(self, batch: Mapping[str, Tensor]) -> Tensor:
        # As many steps as the longest word has: the rest would cost time and no loss.
        padding = self.layout.special("padding")
        steps = int((batch["tokens"][:, 1:] != padding).any(0).sum().clamp(min=1))
        logits: Tensor = self(batch["images"], batch["tokens"][:, :steps]).logits
        return logits

    def supervised(self, logits: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        targets = batch["tokens"][:, 1 : logits.shape[1] + 1]
        return token_loss(logits, targets, padding=self.layout.special("padding"))

    def right(self, logits: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        # Told the right classes and right at each step is what reading greedily and right is.
        targets = batch["tokens"][:, 1 : logits.shape[1] + 1]
        padding = targets == self.layout.special("padding")
        return ((logits.argmax(-1) == targets) | padding).all(1) & batch["usable"]

    def write(self, images: Tensor) -> Written:
        return written(self(images).logits, self.layout)


class CTCRecognizer(FourStage):
    """Four stages of which the last is a linear layer, trained by CTC."""

    decoder: nn.Linear

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.blank = self.layout.special("blank")
        self.silent = tuple(i for i in range(self.layout.first) if i != self.blank)
        self.decoder = nn.Linear(self.encoder.dim, self.layout.classes)
        fourstage.draw_weights(self.decoder)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, L, classes) of each frame."""
        logits: Tensor = self.decoder(self.encoder(images))
        return logits

    def logits(self, batch: Mapping[str, Tensor]) -> Tensor:
        logits: Tensor = self(batch["images"])
        return logits

    def supervised(self, logits: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        targets, lengths, usable = batch["targets"], batch["lengths"], batch["usable"]
        each = ctc_loss(logits, targets, lengths, blank=self.blank)  # (B,)
        # as torch.nn.CTCLoss: by the word's length, then over words
        total = torch.where(usable, each / lengths.clamp(min=1), 0.0).sum()
        return mean_over_ranks(total, usable.sum())

    @torch.no_grad()
    def right(self, logits: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        targets, lengths = batch["targets"], batch["lengths"]
        hits = ctc_hits(logits, targets, lengths, blank=self.blank, silent=self.silent)
        return hits & batch["usable"]

    def write(self, images: Tensor) -> Written:
        logits = self(images)
        classes, counts, confidences = greedy(logits, blank=self.blank, silent=self.silent)
        apart = margins(logits, blank=self.blank, silent=self.silent)
        return Written(classes, counts, confidences, (counts > 0) & (counts <= MAX_LABEL), apart)


def token_loss(logits: Tensor, targets: Tensor, *, padding: int) -> Tensor:
    """Cross-entropy of logits (B, T, C) and ``targets`` (B, T), averaged over all tokens of all ranks
    that are not ``padding``; 0 where none is left. In float32.
    """
    with torch.autocast(logits.device.type, enabled=False):
        total = F.cross_entropy(
            logits.float().flatten(0, 1), targets.flatten(), ignore_index=padding, reduction="sum"
        )
        return mean_over_ranks(total, (targets != padding).sum())


def written(logits: Tensor, layout: Layout) -> Written:
    """The likeliest classes of logits (B, T, classes), up to the first end.

    The confidence is the product of their probabilities, the end's included; official code leaves the
    end out. Without an end every step counts; official code then drops the last one, because it cuts
    where ``str.find`` finds the end, at -1.
    """
    probabilities, classes = logits.float().softmax(-1).max(-1)  # (B, T) each
    ends = classes == layout.special("end")
    ended = ends.cumsum(1) > 0
    lengths = (~ended).sum(1)
    behind = ended.roll(1, dims=1)
    behind[:, 0] = False
    characters = (classes >= layout.first) | ended
    usable = characters.all(1) & (lengths > 0) & (lengths <= MAX_LABEL)
    confidences = probabilities.masked_fill(behind, 1.0).prod(1)
    return Written(classes, lengths, confidences, usable, step_margins(logits, lengths + 1))


def tokens_of(classes: Tensor, lengths: Tensor, usable: Tensor, layout: Layout) -> Tensor:
    """Tokens (B, MAX_LABEL + 2): go, the first ``lengths`` of ``classes`` (B, T), end, padding.

    ``classes`` are counted as the decoder does. A row that is not usable is padding behind its go, so
    it costs nothing. ``tokens[:, :-1]`` go in, ``tokens[:, 1:]`` are to come out.
    """
    rows, most = classes.shape
    held = min(most, MAX_LABEL)
    tokens = classes.new_full((rows, MAX_LABEL + 2), layout.special("padding"))
    place = torch.arange(held, device=classes.device)
    tokens[:, 1 : held + 1] = torch.where(
        place < lengths[:, None], classes[:, :held], layout.special("padding")
    )
    tokens.scatter_(1, lengths[:, None].clamp(max=MAX_LABEL) + 1, layout.special("end"))
    tokens[~usable] = layout.special("padding")
    tokens[:, 0] = layout.special("go")
    return tokens


def targets_of(labels: Sequence[str | None], config: Config) -> dict[str, Tensor]:
    """What ``loss`` needs of labels, brought to the charset as in ``parts.words``, on the CPU.

    "usable" (B,) bool and, for attention, "tokens" (B, 27) as in ``tokens_of``, for CTC "targets"
    (B, 25) padded with 0 and "lengths" (B,). What the frames cannot spell is unusable for CTC.
    """
    layout = layout_of(config)
    first = layout.first
    if config.decoder == "ctc":
        frames = fourstage.frames_of(config.features, config.width)
        return ctc_targets(labels, layout.charset, most=MAX_LABEL, frames=frames, first=first)
    classes, lengths, usable = encode_labels(labels, layout.charset, most=MAX_LABEL)
    return {"tokens": tokens_of(classes + first, lengths, usable, layout), "usable": usable}


def views(config: Config) -> View:
    """The function from a WordBatch to "images", normalised, and what ``targets_of`` says."""
    if config.augmentation not in AUGMENTATIONS:
        raise unknown_name("augmentation", config.augmentation, AUGMENTATIONS)
    layout_of(config)
    augment = AUGMENTATIONS[config.augmentation]

    def view(batch: WordBatch) -> dict[str, Tensor]:
        images = fourstage.to_channels(augment(batch), config.channels)
        targets = targets_of(batch.labels, config)
        return {"images": images, **{n: t.to(images.device) for n, t in targets.items()}}

    return view


def build(config: Config) -> FourStage:
    """The recognizer of a config, freshly drawn."""
    return AttentionRecognizer(config) if config.decoder == "attention" else CTCRecognizer(config)


def reader(module: nn.Module, config: Config) -> Reader:
    """A function from images (B, 3, H, W), RGB in [0, 1], to (text, confidence), in order."""
    model = cast(FourStage, module)
    layout = layout_of(config)

    def read(images: Tensor) -> Readings:
        out = model.write(images)
        words = [
            (layout.text(classes[:length]), confidence)
            for classes, length, confidence in zip(
                out.classes.tolist(), out.lengths.tolist(), out.confidences.tolist(), strict=True
            )
        ]
        return Readings(words, out.margins)

    return reading(model, read, normalise=model.encoder.to_channels)


def export(module: nn.Module) -> dict[str, Tensor]:
    """Every tensor of the recognizer."""
    return dict(module.state_dict())
