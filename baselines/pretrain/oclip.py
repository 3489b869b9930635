"""oCLIP: an image network that learns from words which stand somewhere in the image, without boxes.

Xue et al., "Language Matters: A Weakly Supervised Vision-Language Pre-training Approach for Scene Text
Detection and Spotting", ECCV 2022 (arXiv 2203.03911). Official code: bytedance/oclip, commit 1e3edc4,
Apache-2.0, read and run, not copied.

Against the official model and losses at that commit, clip50, same weights, images and words: in double
precision at 128 pixels features and logits differ by at most 2e-14, the loss by 1.2e-7 (a count is kept in
single precision) and gradients by 1.6e-8 of a tensor's norm, keys' biases aside, whose true gradient is
zero; in single precision at 512 pixels logits of up to 7 differ by 7e-6 and the loss by 1e-6. Symbols of
words are equal.

Followed from that code: one character of every word is hidden, the decoder's queries are words and it
writes one character each (not three words of 25 queries); an image's text vector is the mean over all 32
word slots, empty ones included (``masked_mean`` leaves them out); the temperature is not bounded; decoder
and classifier are drawn with the deviations of the text's width, so that the loss of characters begins at
about 7 and not at ln 97 = 4.6. Crops show 95 % of a photograph or more, but torchvision's fallback cuts one
of 1280 x 720 to its middle 960 columns. What differs:
- A photograph's words are shuffled each time it is shown, by its seed; there once, when the list is
  written. It matters where there are more than 32: those beyond are left out.
- Words that lie wholly outside the crop are left out; there they stay in the list.
- Crops are sampled bilinear, there by Pillow's bicubic.
- An image without any word takes no part in the contrast; there it is an error.
- Characters that the alphabet lacks are removed; there they are an error.
- The loss of characters is the mean over the words of all GPUs, there of each GPU's own. BatchNorm sees
  all GPUs. The contrast gives every GPU's features their gradient, there its own alone.
- The scales of BatchNorm in the four shortcuts do not decay, there they do by their names; all other
  parameters decay or not as there. Warm-up begins at a rate of 0, there at its second step's.
- ``clipmicro`` is strbench's own, for a CPU, and any other of ``parts.backbones`` works too.
The image network starts as drawn unless --from names a run with the same one; no ImageNet weights are
used, nor in the official command.

Ablations: ``first_stage`` trains the contrast alone, with nothing hidden and without the decoder (the
official switch; CAE + BCL of the paper's table), ``contrast=False`` the characters alone (CAE + VTD). Every
row of that table that is known here has the character-aware encoder, so none says what stands in its place;
``encoder="bag"`` here takes the mean of the embeddings of a word's symbols, blind to their order.
``portion`` keeps a share of each photograph's texts, always the same ones.

Texts need a polygon in strbench, only to know whether the crop shows them; that of the whole photograph
will do. LSVT's weakly annotated part is not among the data sets yet.

*Expected:* no figure of its own; fine-tune a detector of the same ``size``. The README has for
PSENet on Total-Text F 85.5 (clip50) and 85.9 (clip101), both from SynthText; the paper, as notes on it tell,
84.8, 85.2 and 85.4 from 25, 50 and 75 % of its texts, 83.9 from characters alone and 82.9 from the contrast.
Measured with recipe ``cpu-hour`` on the texts of 2,000 drawn pages, 55 minutes of a shared core and one seed:
hidden characters told 33.6 %; from it the smallest PSENet, trained on 200 drawn pages, has F 27.3 on the test
photographs of ICDAR 2015 (95 % over them 25.3 to 29.6), from scratch with the same backbone 24.4 (``strbench
reproduce vlpt-psenet --scale cpu-night --only oCLIP``). Nothing of the paper's size was run.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from strbench.errors import StrbenchError
from strbench.methods import LoopConfig, Method, PageBatch, View
from strbench.types import Card

from ..parts.backbones import adopted, backbone
from ..parts.detecting import DETECTORS, normalised
from ..parts.oclip_networks import AttentionPool, Decoder, Deviations, WordEncoder
from ..parts.oclip_words import SPECIAL, Spaces, WeakFeed, alphabet_of, resized_crop, targets
from ..parts.precision import exact
from ..parts.ranks import gathered, gathered_with_gradient, mean_over_ranks

# Of CLIP's images in [0, 1], RGB; bytedance/oclip, src/clip/clip.py
MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
TEMPERATURE = 0.07  # at the start; src/clip/model.py
STRIDE = 32  # of the image network's last maps


@dataclass(frozen=True, kw_only=True)
class Config(LoopConfig):
    """Values of model_configs/RN50.json, data.py and the README's command unless a comment says otherwise."""

    size: str = "clip50"  # of parts.backbones; clip50 and clip101 are the paper's
    height: int = 512
    width: int = 512
    dim: int = 384  # of word vectors, image tokens and the decoder
    heads: int = 8
    text_width: int = 64
    text_layers: int = 6
    decoder_layers: int = 6
    alphabet: str = ""  # a text file with each character once; "": the 94 signs of ASCII
    symbols: int = 97  # characters of the alphabet, and 3
    spaces: Spaces = "split"  # "drop": a text is one word, as with LSVT
    words: int = 32  # of an image, at most
    word_length: int = 25  # symbols of a word, its end sign included
    portion: float = 1.0  # of a photograph's texts that are known
    masked_mean: bool = False  # empty word slots are no part of an image's text vector
    first_stage: bool = False  # the contrast alone
    contrast: bool = True  # False: the characters alone
    encoder: Literal["characters", "bag"] = "characters"
    batch_size: int = 640  # the paper's; the README's command has 4 GPUs x 64
    epochs: float = 100.0
    lr: float = 1e-4
    lr_batch: int = 0
    min_lr: float = 0.0
    warmup_steps: int = 10_000
    weight_decay: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        least = {"symbols": SPECIAL + 1, "words": 1, "word_length": 2, "heads": 1}
        least |= dict.fromkeys(("dim", "text_width", "text_layers", "decoder_layers"), 1)
        for name, low in least.items():
            if getattr(self, name) < low:
                raise _refused(f"{name}={getattr(self, name)}: expected {low} or more", name, low)
        for name in ("height", "width"):
            if getattr(self, name) % STRIDE:
                found = f"{name}={getattr(self, name)}: expected a multiple of {STRIDE}"
                raise _refused(found, name, STRIDE * (1 + getattr(self, name) // STRIDE))
        for name in ("dim", "text_width"):
            if getattr(self, name) % self.heads:
                found = f"{name}={getattr(self, name)} is not shared evenly by {self.heads} heads"
                raise _refused(found, "heads", 1)
        if not 0 < self.portion <= 1:
            raise _refused(f"portion={self.portion:g}: expected above 0 and up to 1", "portion", 1)
        if self.first_stage and not self.contrast:
            raise _refused("The first stage is the contrast alone", "contrast", "true")


def _refused(found: str, setting: str, value: object) -> StrbenchError:
    return StrbenchError(f"{found}.", hint=f"--set {setting}={value}")


PAPER = Config()
_MICRO = Config(
    size="clipmicro", height=160, width=160, dim=128, text_layers=2, decoder_layers=2, words=16,
    batch_size=4, epochs=0, steps=60, warmup_steps=5, lr=1e-3,
)  # fmt: skip
RECIPES: Mapping[str, Config] = {
    "paper": PAPER,
    # model_configs/RN50_lsvt.json; the alphabet of the data must be given.
    "lsvt": replace(PAPER, text_width=384, symbols=5254, spaces="drop"),
    # The paper's ablations, and one of ours.
    "contrast-only": replace(PAPER, first_stage=True),
    "characters-only": replace(PAPER, contrast=False),
    "bag": replace(PAPER, encoder="bag"),
    "portion25": replace(PAPER, portion=0.25),
    "portion50": replace(PAPER, portion=0.5),
    "portion75": replace(PAPER, portion=0.75),
    # Ours: half a million images, sized for less than an hour on one GPU.
    "small": replace(
        PAPER, height=320, width=320, batch_size=64, epochs=0, steps=8_000, warmup_steps=800
    ),
    # Ours, for a CPU.
    "cpu-hour": replace(
        _MICRO, height=320, width=320, batch_size=16, steps=2_000, warmup_steps=200
    ),
    "smoke": _MICRO,
}


# --- photographs in


def feed(config: Config) -> WeakFeed:
    """Crops with the words of ``parts.oclip_words.targets``.

    Raises:
        StrbenchError: the alphabet cannot be read, or ``symbols`` is not its size and 3.
    """
    alphabet = alphabet_of(config.alphabet)
    if len(alphabet) + SPECIAL != config.symbols:
        raise StrbenchError(
            f"symbols={config.symbols}, and the alphabet {config.alphabet or 'of ASCII'} has "
            f"{len(alphabet)} characters, which make {len(alphabet) + SPECIAL} symbols.",
            hint=f"--set alphabet=FILE, or --set symbols={len(alphabet) + SPECIAL}",
        )
    made = targets(
        alphabet,
        slots=config.words,
        length=config.word_length,
        spaces=config.spaces,
        hides=not config.first_stage,
    )
    return WeakFeed(
        height=config.height,
        width=config.width,
        place=resized_crop(config.height, config.width),
        targets=made,
        share=config.portion,
    )


def views(config: Config) -> View:
    """The function from a PageBatch to what ``WordsInImages.loss`` takes.

    "images" (B, 3, H, W), less CLIP's mean and by its deviation, and the words of the feed.
    """

    def view(batch: PageBatch) -> dict[str, Tensor]:
        images = normalised(batch.images.float() / 255, mean=MEAN, std=STD)
        return {"images": images, **batch.targets}

    return view


# --- the network


class WordsInImages(nn.Module):
    """``backbone``, ``pool``, ``text`` and, but in the first stage, ``decoder``."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.backbone = backbone(config.size)
        channels: int = self.backbone.widths[-1]  # type: ignore[index, assignment]
        places = (config.height // STRIDE) * (config.width // STRIDE)
        self.pool = AttentionPool(channels, places, config.dim)
        self.text = WordEncoder(
            symbols=config.symbols,
            length=config.word_length,
            width=config.text_width,
            layers=config.text_layers,
            heads=config.heads,
            dim=config.dim,
            is_ordered=config.encoder == "characters",
        )
        if not config.first_stage:
            self.decoder = Decoder(
                dim=config.dim,
                places=places,
                layers=config.decoder_layers,
                heads=config.heads,
                symbols=config.symbols,
                deviations=Deviations.of(config.text_width, config.text_layers),
                classifier=config.text_width**-0.5,
            )
        if config.contrast:
            self.logit_scale = nn.Parameter(torch.tensor(-math.log(TEMPERATURE)))

    def loss(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The loss on a batch of ``views``: "characters" and "contrast", where there are both.

        "accuracy" is the share of hidden characters that are found, "matched" that of images whose own
        words fit best among all of the batch, "scale" what cosines are multiplied by.
        """
        tokens = self.pool(self.backbone(batch["images"])[-1])  # (B, 1 + N, dim)
        words = self.text(batch["words"])  # (B, K, dim)
        is_word = batch["words"][..., 0] > 0  # (B, K)
        losses: dict[str, Tensor] = {}
        if not self.config.first_stage:
            logits = self.decoder(words, tokens[:, 1:])
            losses |= _characters(logits, batch["hidden"])
        if self.config.contrast:
            texts = self._text_vectors(words, is_word)
            losses |= _contrast(tokens[:, 0], texts, is_word.any(1), self.logit_scale)
        terms = [losses[name] for name in ("characters", "contrast") if name in losses]
        return {"loss": torch.stack(terms).sum(), **losses}

    def _text_vectors(self, words: Tensor, is_word: Tensor) -> Tensor:
        """Means (B, dim) of the word slots."""
        words = exact(words)
        if not self.config.masked_mean:
            return words.mean(1)
        return (words * is_word[..., None]).sum(1) / is_word.sum(1, keepdim=True).clamp(min=1)


def _characters(logits: Tensor, hidden: Tensor) -> dict[str, Tensor]:
    """Cross entropy of the hidden characters (B, K) of all ranks' words, 0 where there are none."""
    with torch.autocast(logits.device.type, enabled=False):
        total = F.cross_entropy(
            exact(logits).flatten(0, 1), hidden.flatten(), ignore_index=0, reduction="sum"
        )
        counts = hidden > 0
        right = ((logits.argmax(2) == hidden) & counts).sum()
        return {
            "characters": mean_over_ranks(total, counts.sum()),
            "accuracy": mean_over_ranks(right.to(total.dtype), counts.sum()),
        }


def _contrast(images: Tensor, texts: Tensor, has_words: Tensor, scale: Tensor) -> dict[str, Tensor]:
    """InfoNCE between the images (B, dim) and texts (B, dim) of all ranks, the mean of both directions.

    Rows without words are neither asked for nor answers.
    """
    with torch.autocast(images.device.type, enabled=False):
        images, texts = (
            gathered_with_gradient(F.normalize(exact(rows), dim=1)) for rows in (images, texts)
        )
        absent = gathered(has_words.to(images.dtype)) == 0
        factor = scale.exp()
        logits = factor * images @ texts.T  # (world * B, world * B)
        own = torch.arange(len(logits), device=logits.device).masked_fill(absent, -100)
        count = (~absent).sum().clamp(min=1)
        both = [
            F.cross_entropy(
                one.masked_fill(absent, -torch.inf), own, ignore_index=-100, reduction="sum"
            )
            for one in (logits, logits.T)
        ]
        matched = (logits.masked_fill(absent, -torch.inf).argmax(1) == own).sum()
    return {
        "contrast": (both[0] + both[1]) / (2 * count),
        "matched": matched / count,
        "scale": factor.detach(),
    }


def export(module: nn.Module) -> dict[str, Tensor]:
    """The image network's tensors."""
    trunk = cast(WordsInImages, module).backbone
    return {f"backbone.{name}": tensor for name, tensor in trunk.state_dict().items()}


OCLIP = Method(
    card=Card(
        name="oclip",
        kind="pretraining",
        title="oCLIP: words without boxes, against the image and inside it",
        paper=(
            "Xue et al., Language Matters: A Weakly Supervised Vision-Language Pre-training Approach "
            "for Scene Text Detection and Spotting, ECCV 2022"
        ),
        code="github.com/bytedance/oclip (Apache-2.0, not used)",
        licence="Apache-2.0",
        status="trained",
        parameters={
            "clip50": 48_545_090,
            "clip101": 67_537_218,
            "clip50 text_width=384 symbols=5254": 63_020_263,
            "clip50 first_stage=true": 37_761_889,
        },
        recipes=tuple(RECIPES),
        notes=(
            "The image network is CLIP's, with three convolutions for a stem: detectors take it at the "
            "same size, a stock ResNet-50 does not. Inputs are less CLIP's mean and by its deviation "
            "while detectors use ImageNet's, as officially in MMOCR. Text vectors are means over empty "
            "word slots too. Size clipmicro is strbench's own."
        ),
    ),
    recipes=RECIPES,
    build=WordsInImages,
    views=views,
    export=export,
    task="detection",
    feed=feed,
    fresh=("pool.", "text.", "decoder.", "logit_scale"),
    adopts=adopted,
    feeds=DETECTORS,
)
