"""RotNet for text: convolutional features that tell by how many quarter turns a word was rotated.

Gidaris et al., "Unsupervised Representation Learning by Predicting Image Rotations", ICLR 2018, in
the form of Baek et al., "What If We Only Use Real Datasets for Scene Text Recognition? Toward
Scene Text Recognition With Fewer Labels", CVPR 2021. Official code of the latter:
ku21fan/STR-Fewer-Labels, MIT, none of its text is used. Against its modules at commit 0d9ef6a:
same weights and inputs, both feature extractors, training mode: logits up to 2.2 differ by at most
4e-7.

Every word is seen under all four rotations, so a step holds 4 * batch_size images. The official
code turns the crop and then stretches all four to 32x100, quarter turns included: a quarter turn
is not a tall image but a squashed one. Followed, from the already stretched image:
``views_strfl.four_rotations``. What differs:
- 128 words a step; the official balanced sampler rounds 128 / 3 up for each of its three sets, to
  129.
- Weight decay spares biases and BatchNorm, where the official SGD decays every parameter.
- ``transfer="parameters"`` is the official handing on: parameters, not BatchNorm's running
  statistics.
The weights start as in TRBA (Kaiming), so first logits are not near zero and the first loss lies
above ln 4 = 1.386: 1.5 to 2.2, as with the official start.

``rotnet-resnet`` has the features of TRBA (their NR) in the place of CRNN's (NV).

*Expected:* no accuracy of its own; fine-tune with ``crnn`` (from ``rotnet``) or ``trba`` (from
``rotnet-resnet``) and score that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from strbench.methods import Method, View, WordBatch
from strbench.types import Card

from ..parts import pooled_encoder
from ..parts.fourstage import to_channels
from ..parts.pooled_encoder import PooledEncoder, transferred
from ..parts.views import plain
from ..parts.views_strfl import four_rotations


@dataclass(frozen=True, kw_only=True)
class Config(pooled_encoder.Config):
    """Values of pretrain.py unless a comment says otherwise."""

    batch_size: int = 128  # words; four times as many images
    lr: float = 0.1
    weight_decay: float = 5e-4
    milestones: tuple[float, ...] = (0.3, 0.6, 0.8)
    decay: float = 0.2


PAPER = Config()
RECIPES: Mapping[str, Config] = {
    "paper": PAPER,
    # Ours: 2.6 million words, sized for less than an hour on one GPU.
    "small": replace(PAPER, steps=20_000),
    # Ours: for a CPU and under a minute.
    "smoke": replace(
        PAPER, size="micro", batch_size=32, steps=400, lr=0.05, transfer="all", weight_decay=1e-4
    ),
}


def views(config: Config) -> View:
    """The function from a WordBatch to what ``RotNet.loss`` takes.

    "images" (4 * B, channels, H, W), normalised: each word by 0, 90, 180 and 270 degrees.
    """

    def view(batch: WordBatch) -> dict[str, Tensor]:
        return {"images": to_channels(four_rotations(plain(batch)), config.channels)}

    return view


class RotNet(nn.Module):
    """Encoder, mean over all features, four logits."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.net = PooledEncoder(config, outputs=4)

    def loss(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Cross-entropy of the four rotations on a batch of ``views``, and the share told right."""
        logits = self.net(batch["images"]).float()  # (4 * B, 4)
        turns = torch.arange(4, device=logits.device).repeat(len(logits) // 4)
        accuracy = (logits.argmax(1) == turns).float().mean()
        return {"loss": F.cross_entropy(logits, turns), "accuracy": accuracy}


def export(module: nn.Module) -> dict[str, Tensor]:
    """The encoder's tensors; ``config.transfer`` says whether BatchNorm's statistics are among them."""
    model = cast(RotNet, module)
    return transferred(model.net.encoder, model.config.transfer)


def _method(
    name: str,
    title: str,
    parameters: dict[str, int],
    recipes: Mapping[str, Config],
    *,
    feeds: tuple[str, ...],
) -> Method:
    card = Card(
        name=name,
        kind="pretraining",
        title=title,
        paper=(
            "Baek et al., What If We Only Use Real Datasets for Scene Text Recognition? Toward Scene "
            "Text Recognition With Fewer Labels, CVPR 2021; after Gidaris et al., ICLR 2018"
        ),
        code="github.com/ku21fan/STR-Fewer-Labels (MIT, not used)",
        licence="Apache-2.0",
        status="parity-checked",
        parameters=parameters,
        resize="stretch-bicubic",
        height=32,
        width=100,
        recipes=tuple(recipes),
        notes=(
            "Quarter turns are stretched back to 32x100, as officially. Parameters are handed on without "
            "BatchNorm's statistics (transfer=parameters); a frozen encoder needs transfer=all. Sizes "
            "mini and micro are strbench's own."
        ),
    )
    return Method(
        card=card,
        recipes=recipes,
        build=RotNet,
        views=views,
        export=export,
        shape=("size", "features", "channels", "height", "width"),
        feeds=feeds,
    )


ROTNET = _method(
    "rotnet",
    "RotNet: which way up is this word, with CRNN's features",
    {"full": 5_553_028},
    RECIPES,
    feeds=("crnn",),
)
ROTNET_RESNET = _method(
    "rotnet-resnet",
    "RotNet: which way up is this word, with TRBA's features",
    {"full": 44_266_532},
    {name: replace(recipe, features="resnet") for name, recipe in RECIPES.items()},
    feeds=("trba", "trbc"),
)
