"""ViT-CTC: DiG's encoder with its CTC decoder, from scratch or from a pretrained encoder.

Yang et al., "Reading and Writing: Discriminative and Generative Modeling for Self-Supervised Text
Recognition", ACM MM 2022 (arXiv 2207.00193). Official code: ayumiymk/DiG, CC-BY-NC-4.0, not used
here; this file was written from a description of it.

The released code defines the CTC decoder (98 outputs, blank last) but ships no CTC criterion, so the
training side is inferred: the negative log-likelihood of each word, summed and divided by the number
of images, in float32, zero where no alignment exists. Fine-tuning settings are the release's for its
other decoders, layer decay 0.75 included, which its command leaves at the default. The rates of
dropout apply after the positions, after the attention's projection and after the MLP; that placement
is inferred too.

*Expected:* nothing printed in the paper uses CTC at a comparable setting. Measured, words right under
strbench-36: recipe ``cpu-hour`` with 12,000 steps from ``dig-mini.cpu-hour``, on 120,000 rendered and
6,725 real training words, 40 minutes of a shared 2-core CPU: SVT 327 of 647, IC15 (2,077) 826, CUTE80 79
of 288 (one seed). Recipe ``smoke`` from ``dig-micro.smoke``, 3 minutes: 422 of 500 unseen rendered words.
Records in ``benchmarks/records/``; commands under ``argv`` there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, cast

import torch
from torch import Tensor, nn

from strbench.errors import StrbenchError, unknown_name
from strbench.methods import LoopConfig, Method, View, WordBatch
from strbench.text import CHARSETS, Charset, fold_case
from strbench.types import Card

from ..parts.ctc import CTCDecoder, ctc_loss, frames_needed, greedy
from ..parts.views import abinet_cv, mild, plain
from ..parts.vit import ViT, grid_of, size_named

MAX_LABEL = 23  # DiG: 25 slots, one is the end; words of 24 characters and more are not trained on
AUGMENTATIONS = {"abinet-cv": abinet_cv, "mild": mild, "plain": plain}
SPECIALS = {"94": 3, "36": 0}  # DiG's END, PAD and UNK keep their outputs beside its 94 characters


@dataclass(frozen=True, kw_only=True)
class Config(LoopConfig):
    """Values of the released code's fine-tuning unless a comment says otherwise."""

    size: str = "small"  # a row of parts.vit.SIZES
    charset: str = "94"  # 94 + END, PAD, UNK + blank = 98 outputs; "36" is ours: 36 + blank = 37
    hidden: int = 512  # width between the two linear layers of the decoder
    dropout: float = 0.1
    attention_dropout: float = 0.1
    drop_path: float = 0.1  # at the last block, linear from 0
    freeze: int = 0  # DiG's --fixed_encoder_layers; 13 freezes all 12 blocks
    augmentation: Literal["abinet-cv", "mild", "plain"] = "abinet-cv"
    batch_size: int = 2048  # 8 GPUs x 256
    epochs: float = 10.0
    lr: float = 1e-4  # times 2048 / 256 = 8e-4
    lr_batch: int = 256
    min_lr: float = 1e-6
    warmup_epochs: float = 1.0
    weight_decay: float = 0.05
    layer_decay: float = 0.75


RECIPES: Mapping[str, Config] = {
    "paper": Config(),
    # Ours: 2.6 million images, sized for less than an hour on one GPU.
    "small": Config(
        size="tiny",
        charset="36",
        batch_size=256,
        epochs=0,
        steps=10_000,
        warmup_epochs=0,
        warmup_steps=500,
        lr=5e-4,
    ),
    # Ours: what two CPU cores learn in about an hour, real crops among the data.
    "cpu-hour": Config(
        size="mini",
        charset="36",
        hidden=256,
        dropout=0.0,
        attention_dropout=0.0,
        drop_path=0.0,
        augmentation="mild",
        batch_size=64,
        epochs=0,
        steps=10_000,
        warmup_epochs=0,
        warmup_steps=300,
        lr=2e-3,
        lr_batch=0,
        layer_decay=1.0,
    ),
    # Ours: no dropout and a high learning rate, for a CPU and about three minutes.
    "smoke": Config(
        size="micro",
        charset="36",
        hidden=128,
        dropout=0.0,
        attention_dropout=0.0,
        drop_path=0.0,
        augmentation="plain",
        batch_size=64,
        epochs=0,
        steps=2_400,
        warmup_epochs=0,
        warmup_steps=50,
        lr=3e-3,
        lr_batch=0,
        layer_decay=1.0,
    ),
}


def views(config: Config) -> View:
    """The function from a WordBatch to what ``ViTCTC.loss`` takes.

    "images" (B, 3, H, W) normalised to [-1, 1]; "targets" (B, 23) class indices, 0 behind "lengths"
    (B,); "usable" (B,) False for words that cannot be trained on. Labels are first brought to the
    charset: lower case where it has no capitals, characters that it lacks removed. A word is
    unusable if nothing is left, if more than 23 characters are, or if the frames are too few for
    it; its target is then empty and it counts in the logged share ``unusable``.
    """
    charset = _charset(config)
    fold = charset.characters.islower()
    frames = _frames(config)
    if config.augmentation not in AUGMENTATIONS:
        raise unknown_name("augmentation", config.augmentation, AUGMENTATIONS)
    augment = AUGMENTATIONS[config.augmentation]

    def view(batch: WordBatch) -> dict[str, Tensor]:
        targets = torch.zeros(len(batch.labels), MAX_LABEL, dtype=torch.int64)
        lengths = torch.zeros(len(batch.labels), dtype=torch.int64)
        for row, label in enumerate(batch.labels):
            text = fold_case(label) if fold else label
            foreign = set(charset.unknown(text))
            classes = charset.encode("".join(c for c in text if c not in foreign))
            if len(classes) <= MAX_LABEL and frames_needed(classes) <= frames:
                targets[row, : len(classes)] = torch.tensor(classes, dtype=torch.int64)
                lengths[row] = len(classes)
        device = batch.images.device
        return {
            "images": augment(batch) * 2 - 1,
            "targets": targets.to(device),
            "lengths": lengths.to(device),
            "usable": (lengths > 0).to(device),
        }

    return view


class ViTCTC(nn.Module):
    """Encoder with a final norm, and the CTC decoder over its columns."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        size = size_named(config.size)
        self.config = config
        self.depth = size.depth  # for layer decay
        self.encoder = ViT(
            size,
            height=config.height,
            width=config.width,
            dropout=config.dropout,
            attention_dropout=config.attention_dropout,
            drop_path=config.drop_path,
        )
        characters = len(_charset(config))
        self.silent = tuple(range(characters, characters + SPECIALS[config.charset]))
        self.decoder = CTCDecoder(
            size.dim,
            grid=self.encoder.grid,
            classes=characters + len(self.silent) + 1,
            hidden=config.hidden,
        )
        self.encoder.freeze(config.freeze)

    def forward(self, images: Tensor) -> Tensor:
        """Frame logits (B, columns, classes) of normalised images (B, 3, H, W)."""
        logits: Tensor = self.decoder(self.encoder(images))
        return logits

    def loss(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The loss on a batch of ``views``, with the share of words read right and of unusable ones."""
        logits = self(batch["images"])
        blank = self.decoder.blank
        each = ctc_loss(logits, batch["targets"], batch["lengths"], blank=blank)  # (B,)
        usable = batch["usable"]
        # Dividing by all images keeps the gradient independent of ranks and accumulation.
        loss = torch.where(usable, each, 0.0).sum() / len(usable)
        # The mask token takes part with weight zero: DistributedDataParallel wants every parameter.
        loss = loss + 0.0 * self.encoder.mask_token.sum()
        with torch.no_grad():
            classes, counts, _ = greedy(logits, blank=blank, silent=self.silent)
            held = max(classes.shape[1], MAX_LABEL)
            want = torch.full((len(usable), held), -1, device=logits.device)
            want[:, :MAX_LABEL] = batch["targets"]
            want[torch.arange(held, device=logits.device) >= batch["lengths"][:, None]] = -1
            right = (counts == batch["lengths"]) & usable
            right &= (classes == want[:, : classes.shape[1]]).all(1)
            accuracy = right.float().sum() / usable.float().sum().clamp(min=1)
        return {"loss": loss, "accuracy": accuracy, "unusable": (~usable).float().mean()}

    def layer_of(self, name: str) -> int:
        """Layer-decay group: 0 stem and mask token, i + 1 block i, depth + 1 everything else."""
        part, _, rest = name.partition(".")
        return self.encoder.layer_of(rest) if part == "encoder" else self.depth + 1


def _charset(config: Config) -> Charset:
    if config.charset not in SPECIALS:
        raise unknown_name("charset of vit-ctc", config.charset, SPECIALS)
    return CHARSETS[config.charset]


def _frames(config: Config) -> int:
    return grid_of(size_named(config.size), height=config.height, width=config.width)[1]


def reader(module: nn.Module, config: Config) -> Callable[[Tensor], list[tuple[str, float]]]:
    """A function from normalised images (B, 3, H, W) to (text, confidence), in order.

    Greedy CTC; the confidence is that of ``parts.ctc.greedy``. Images are normalised as
    (x - 0.5) / 0.5. The module reads in evaluation mode and is handed back as it was.
    """
    model = cast(ViTCTC, module)
    charset = _charset(config)

    @torch.inference_mode()
    def read(images: Tensor) -> list[tuple[str, float]]:
        training = model.training
        model.eval()
        logits = model(images)
        model.train(training)
        classes, counts, confidences = greedy(
            logits, blank=model.decoder.blank, silent=model.silent
        )
        return [
            (charset.decode(row[:count]), confidence)
            for row, count, confidence in zip(
                classes.tolist(), counts.tolist(), confidences.tolist(), strict=True
            )
        ]

    return read


def load_encoder(module: nn.Module, tensors: dict[str, Tensor]) -> list[str]:
    """Copies a pretrained encoder in; returns the names of the parameters that stay fresh.

    Encoders from DiG and Dis have no final norm, so ``norm.*`` may be missing.

    Raises:
        StrbenchError: other tensors are missing, unexpected, or of another shape.
    """
    encoder = cast(ViTCTC, module).encoder
    own = encoder.state_dict()
    wrong = [f"{name} missing" for name in own if name not in tensors and name[:5] != "norm."]
    wrong += [f"{name} unexpected" for name in tensors if name not in own]
    wrong += [
        f"{name} {tuple(tensors[name].shape)} where {tuple(own[name].shape)} was expected"
        for name in own
        if name in tensors and tensors[name].shape != own[name].shape
    ]
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise StrbenchError(
            f"The pretrained encoder does not fit this one: {'; '.join(wrong[:3])}{more}.",
            hint="Set size, height and width to those of the pretraining run.",
        )
    encoder.load_state_dict(tensors, strict=False)
    loaded = {f"encoder.{name}" for name in tensors}
    return [name for name, _ in module.named_parameters() if name not in loaded]


def export(module: nn.Module) -> dict[str, Tensor]:
    """Every tensor of the recognizer."""
    return dict(module.state_dict())


VIT_CTC = Method(
    card=Card(
        name="vit-ctc",
        kind="recognizer",
        title="ViT encoder with a CTC decoder, as in DiG",
        paper=(
            "Yang et al., Reading and Writing: Discriminative and Generative Modeling for "
            "Self-Supervised Text Recognition, ACM MM 2022"
        ),
        code="github.com/ayumiymk/DiG (CC-BY-NC-4.0, not used)",
        licence="Apache-2.0",
        status="trained",
        parameters={"tiny": 5_496_162, "small": 21_557_346, "base": 38_163_042},
        charset="94",
        resize="stretch-bicubic",
        height=32,
        width=128,
        recipes=tuple(RECIPES),
        notes=(
            "98 outputs (94 characters, unused END, PAD and UNK for parity of the counts, blank "
            "last); recipes small and smoke use charset 36 with 37 outputs. The CTC criterion is "
            "inferred: the release ships none. Reads at most as many characters as there are "
            "columns of patches: 32, and 16 at sizes mini and micro. Inputs are (x - 0.5) / 0.5."
        ),
    ),
    recipes=RECIPES,
    build=ViTCTC,
    views=views,
    export=export,
    load_encoder=load_encoder,
    needs_labels=True,
    reader=reader,
)
