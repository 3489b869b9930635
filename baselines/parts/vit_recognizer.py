"""What the recognizers over DiG's encoder share: settings, freezing, labels, and how they read.

Yang et al., "Reading and Writing: Discriminative and Generative Modeling for Self-Supervised Text
Recognition", ACM MM 2022 (arXiv 2207.00193). Official code: ayumiymk/DiG, CC-BY-NC-4.0, not used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from strbench.errors import unknown_name
from strbench.methods import LoopConfig, Method, Reader, View, WordBatch
from strbench.text import CHARSETS, Charset
from strbench.types import Card, Status

from .decoding import Readings, read_words, reading, spelled
from .transformer_decoder import TransformerDecoder
from .views import abinet_cv, mild, plain
from .vit import ViT, size_named
from .vit_attention_decoder import AttentionGRU
from .words import encode_labels

SLOTS = 25  # DiG: characters and the end
MAX_LABEL = 23  # DiG: words of 24 characters and more are not trained on
AUGMENTATIONS = {"abinet-cv": abinet_cv, "mild": mild, "plain": plain}
# DiG numbers END, PAD and UNK 94 to 96 behind its 94 characters; "36" is ours, with END alone.
CHARSETS_READ = ("94", "36")


@dataclass(frozen=True, kw_only=True)
class FineTuning(LoopConfig):
    """Values of the released code's fine-tuning unless a comment says otherwise."""

    size: str = "small"  # a row of parts.vit.SIZES
    charset: str = "94"  # or "36", which is ours
    dropout: float = 0.1  # of the encoder
    attention_dropout: float = 0.1
    drop_path: float = 0.1  # at the last block, linear from 0
    freeze: int = 0  # DiG's --fixed_encoder_layers; 13 freezes all 12 blocks
    probe: bool = False  # the whole encoder frozen and in evaluation mode
    augmentation: Literal["abinet-cv", "mild", "plain"] = "abinet-cv"
    batch_size: int = 2048  # 8 GPUs x 256
    epochs: float = 10.0
    lr: float = 1e-4  # times 2048 / 256 = 8e-4
    lr_batch: int = 256
    min_lr: float = 1e-6
    warmup_epochs: float = 1.0
    weight_decay: float = 0.05
    layer_decay: float = 0.75


# Ours: 2.6 million images, sized for less than an hour on one GPU.
SMALL: dict[str, Any] = {
    "size": "tiny",
    "charset": "36",
    "batch_size": 256,
    "epochs": 0,
    "steps": 10_000,
    "warmup_epochs": 0,
    "warmup_steps": 500,
    "lr": 5e-4,
}
# Ours, for the two CPU recipes: no dropout, a high learning rate for every layer.
_ON_A_CPU: dict[str, Any] = {
    "charset": "36",
    "dropout": 0.0,
    "attention_dropout": 0.0,
    "drop_path": 0.0,
    "batch_size": 64,
    "epochs": 0,
    "warmup_epochs": 0,
    "lr_batch": 0,
    "layer_decay": 1.0,
}
# Ours: what two CPU cores learn in about an hour, real crops among the data.
CPU_HOUR: dict[str, Any] = {
    **_ON_A_CPU,
    "size": "mini",
    "augmentation": "mild",
    "steps": 10_000,
    "warmup_steps": 300,
    "lr": 2e-3,
}
# Ours: one to three minutes of a CPU.
SMOKE: dict[str, Any] = {
    **_ON_A_CPU,
    "size": "micro",
    "augmentation": "plain",
    "steps": 2_400,
    "warmup_steps": 50,
    "lr": 3e-3,
}


def charset_of(config: FineTuning) -> Charset:
    """The charset that a recognizer reads.

    Raises:
        StrbenchError: there is none of that name here.
    """
    if config.charset not in CHARSETS_READ:
        raise unknown_name("charset of a ViT recognizer", config.charset, CHARSETS_READ)
    return CHARSETS[config.charset]


def augmentation(config: FineTuning) -> Callable[[WordBatch], Tensor]:
    """The function from a WordBatch to images (B, 3, H, W) in [-1, 1].

    Raises:
        StrbenchError: an unknown augmentation.
    """
    if config.augmentation not in AUGMENTATIONS:
        raise unknown_name("augmentation", config.augmentation, AUGMENTATIONS)
    augment = AUGMENTATIONS[config.augmentation]
    return lambda batch: augment(batch) * 2 - 1


class ViTRecognizer(nn.Module):
    """The encoder with a final norm, frozen as the config says; a subclass adds ``decoder``.

    ``freeze`` is DiG's: the final norm and the mask token stay trainable and dropout stays on.
    ``probe`` is the usual one: nothing of the encoder is trained and it is always in evaluation
    mode. After a pretraining without a final norm, the norm then stays as PyTorch draws it.
    """

    def __init__(self, config: FineTuning) -> None:
        super().__init__()
        size = size_named(config.size)
        self.probe = config.probe
        self.depth = size.depth  # for layer decay
        self.encoder = ViT(
            size,
            height=config.height,
            width=config.width,
            dropout=config.dropout,
            attention_dropout=config.attention_dropout,
            drop_path=config.drop_path,
        )
        self.encoder.freeze(config.freeze)
        if config.probe:
            self.encoder.requires_grad_(False)

    def train(self, mode: bool = True) -> ViTRecognizer:
        super().train(mode)
        if self.probe:
            self.encoder.eval()
        return self

    def layer_of(self, name: str) -> int:
        """Layer-decay group: 0 stem and mask token, i + 1 block i, depth + 1 everything else."""
        part, _, rest = name.partition(".")
        return self.encoder.layer_of(rest) if part == "encoder" else self.depth + 1


# --- decoders that write one character a step


@dataclass(frozen=True, kw_only=True)
class Autoregressive(FineTuning):
    """The settings of a recognizer that writes one character a step."""

    beams: int = 1  # hypotheses kept while reading; 1 is greedy, as released


def autoregressive_views(config: Autoregressive) -> View:
    """The function from a WordBatch to what ``AutoregressiveViT.loss`` takes.

    "images" (B, 3, H, W) normalised to [-1, 1]; "targets" (B, T) classes with END behind the word,
    T the longest word's length and 1; "lengths" (B,) in characters; "usable" (B,) False for words
    that cannot be trained on: those of more than 23 characters, or with none in the charset.
    """
    charset = charset_of(config)
    augment = augmentation(config)

    def view(batch: WordBatch) -> dict[str, Tensor]:
        classes, lengths, usable = encode_labels(batch.labels, charset, most=MAX_LABEL)
        places = torch.arange(int(lengths.max()) + 1)
        targets = F.pad(classes, (0, 1))[:, : len(places)]
        targets = targets.masked_fill(places >= lengths[:, None], len(charset))
        device = batch.images.device
        return {
            "images": augment(batch),
            "targets": targets.to(device),
            "lengths": lengths.to(device),
            "usable": usable.to(device),
        }

    return view


class AutoregressiveViT(ViTRecognizer):
    """A ViT recognizer whose decoder writes one character a step, taught with the true word so far.

    Classes: the characters, END behind them, then those that DiG has and nobody reads (PAD, UNK; with
    charset 94 only). The embedding has one more, BOS, that stands before the first character.

    Args:
        decoder: from (feature width, input tokens, classes) to the decoder.
    """

    decoder: TransformerDecoder | AttentionGRU

    def __init__(
        self,
        config: Autoregressive,
        decoder: Callable[[int, int, int], TransformerDecoder | AttentionGRU],
    ) -> None:
        super().__init__(config)
        self.charset = charset_of(config)
        self.beams = config.beams
        self.end = len(self.charset)
        self.silent = (self.end + 1, self.end + 2) if config.charset == "94" else ()
        self.start = self.end + 1 + len(self.silent)
        self.decoder = decoder(self.encoder.size.dim, self.start + 1, self.start)

    def forward(self, images: Tensor, tokens: Tensor) -> Tensor:
        """Logits (B, T, classes) of normalised images (B, 3, H, W) and input tokens (B, T)."""
        logits: Tensor = self.decoder(self.encoder(images), tokens)
        return logits

    def loss(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The loss on a batch of ``autoregressive_views``, with shares of words read right and unusable.

        Cross-entropy over the characters and END, summed and divided by the number of images, which
        makes the gradient independent of ranks and accumulation. A word counts as right if every
        character is, given the ones before it: it would then be read greedily.
        """
        targets, usable = batch["targets"], batch["usable"]
        tokens = F.pad(targets[:, :-1], (1, 0), value=self.start)
        logits = self(batch["images"], tokens)
        with torch.autocast(logits.device.type, enabled=False):
            each = F.cross_entropy(logits.float().transpose(1, 2), targets, reduction="none")
        places = torch.arange(targets.shape[1], device=targets.device)
        counted = usable[:, None] & (places <= batch["lengths"][:, None])
        loss = torch.where(counted, each, 0.0).sum() / len(usable)
        # The mask token takes part with weight zero: DistributedDataParallel wants every parameter.
        loss = loss + 0.0 * self.encoder.mask_token.sum()
        with torch.no_grad():
            guess = logits.detach().clone()
            guess[..., list(self.silent)] = -torch.inf
            right = ((guess.argmax(-1) == targets) | ~counted).all(1) & usable
            accuracy = right.float().sum() / usable.float().sum().clamp(min=1)
        return {"loss": loss, "accuracy": accuracy, "unusable": (~usable).float().mean()}

    def read(self, images: Tensor) -> Readings:
        """What is read in normalised images (B, 3, H, W); see ``parts.decoding.read_words``."""
        words = read_words(
            self.decoder,
            self.encoder(images),
            start=self.start,
            end=self.end,
            steps=SLOTS,
            silent=self.silent,
            beams=self.beams,
        )
        return spelled(self.charset, *words)


def autoregressive_reader(module: nn.Module, config: Autoregressive) -> Reader:
    """A function from images (B, 3, H, W) in [0, 1] to (text, confidence), in order."""
    return reading(module, cast(AutoregressiveViT, module).read)


def recognizer(
    name: str,
    title: str,
    *,
    parameters: dict[str, int],
    recipes: Mapping[str, FineTuning],
    notes: str,
    status: Status,
    build: Callable[[Any], nn.Module],
    views: Callable[[Any], View] = autoregressive_views,
    reader: Callable[[nn.Module, Any], Reader] = autoregressive_reader,
) -> Method:
    """The registry entry of a recognizer of this family."""
    card = Card(
        name=name,
        kind="recognizer",
        title=title,
        paper=(
            "Yang et al., Reading and Writing: Discriminative and Generative Modeling for "
            "Self-Supervised Text Recognition, ACM MM 2022"
        ),
        code="github.com/ayumiymk/DiG (CC-BY-NC-4.0, not used)",
        licence="Apache-2.0",
        status=status,
        parameters=parameters,
        charset="94",
        resize="stretch-bicubic",
        height=32,
        width=128,
        recipes=tuple(recipes),
        notes=f"{notes} Inputs are (x - 0.5) / 0.5.",
    )
    return Method(
        card=card,
        recipes=recipes,
        build=build,
        views=views,
        export=lambda module: dict(module.state_dict()),
        needs_labels=True,
        reader=reader,
        fresh=("encoder.norm.", "decoder."),
        shape=("size", "height", "width"),
    )
