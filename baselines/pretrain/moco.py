"""MoCo for text: convolutional features of a crop that find another crop of the word in a long queue.

He et al., "Momentum Contrast for Unsupervised Visual Representation Learning", CVPR 2020 (version
1), in the form of Baek et al., "What If We Only Use Real Datasets for Scene Text Recognition?
Toward Scene Text Recognition With Fewer Labels", CVPR 2021. Official code of the latter:
ku21fan/STR-Fewer-Labels, MIT, none of its text is used. Against its modules at commit 0d9ef6a:
same weights and inputs, four steps of SGD with a queue of 40 keys that wraps: losses differ by at
most 1e-6, keys by 2e-7.

Views are the official ones, ``views_strfl.moco_crop``, the horizontal flip and the peculiar crops
of wide words included. What differs:
- The official code shuffles the key images before BatchNorm, which changes nothing on its single
  GPU; here BatchNorm's statistics are those of all ranks, so nothing is shuffled either.
- Keys of all ranks enter the queue, in rank order; the official code runs on one GPU. One that
  wraps around the queue's end is stored alike.
- The official validation also moves the key encoder and fills the queue; there is none here.
- Weight decay spares biases and BatchNorm, where the official SGD decays every parameter.
- 256 words a step; the official balanced sampler takes 85 of each of its three sets, 255.
- ``transfer="parameters"`` is the official handing on: parameters, not BatchNorm's running
  statistics.
The first loss is far below ln(1 + 65,536) = 11.09: two views are alike before anything is learned,
while the queue still holds random directions. On 24 real words it is 0.5 to 0.6; it rises as keys
of other words fill the queue.

``moco-resnet`` has the features of TRBA (their NR) in the place of CRNN's (NV).

*Expected:* no accuracy of its own; fine-tune with ``crnn`` (from ``moco``) or ``trba`` (from
``moco-resnet``) and score that.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from strbench.errors import StrbenchError
from strbench.methods import Method, View, WordBatch
from strbench.types import Card

from ..parts import pooled_encoder
from ..parts.contrast import spread
from ..parts.fourstage import to_channels
from ..parts.pooled_encoder import PooledEncoder, transferred
from ..parts.ranks import gathered
from ..parts.views_strfl import moco_crop


@dataclass(frozen=True, kw_only=True)
class Config(pooled_encoder.Config):
    """Values of pretrain.py unless a comment says otherwise."""

    dim: int = 128  # of queries and keys
    queue: int = 65_536  # keys
    key_momentum: float = 0.999  # of the key encoder, a step
    temperature: float = 0.07
    batch_size: int = 256
    lr: float = 0.03
    weight_decay: float = 1e-4
    milestones: tuple[float, ...] = (0.6, 0.8)
    decay: float = 0.1


PAPER = Config()
RECIPES: Mapping[str, Config] = {
    "paper": PAPER,
    # Ours: 5 million words, sized for less than an hour on one GPU.
    "small": replace(PAPER, steps=20_000, queue=16_384),
    # Ours: a short queue, a faster key network and AdamW, for a CPU and under a minute.
    "smoke": replace(
        PAPER,
        size="micro",
        batch_size=64,
        steps=250,
        queue=1024,
        key_momentum=0.99,
        optimiser="adamw",
        lr=2e-3,
        schedule="cosine",
        warmup_steps=20,
        milestones=(),
        transfer="all",
    ),
}


def views(config: Config) -> View:
    """The function from a WordBatch to what ``MoCo.loss`` takes.

    "query" and "key", (B, channels, H, W) each, normalised: two draws of ``moco_crop``.
    """

    def view(batch: WordBatch) -> dict[str, Tensor]:
        return {
            name: to_channels(moco_crop(batch, draw=draw), config.channels)
            for draw, name in enumerate(("query", "key"))
        }

    return view


class MoCo(nn.Module):
    """The query network, the key network that follows it, and the queue of keys (K, dim)."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        if config.queue < config.batch_size:
            raise StrbenchError(
                f"A queue of {config.queue} keys cannot hold a batch of {config.batch_size}.",
                hint=f"--set queue={config.batch_size} or more.",
            )
        self.config = config
        self.query = PooledEncoder(config, outputs=config.dim)
        self.key = copy.deepcopy(self.query).requires_grad_(False)
        self.queue: Tensor
        self.queue_at: Tensor  # where the next keys go
        self.register_buffer("queue", F.normalize(torch.randn(config.queue, config.dim), dim=1))
        self.register_buffer("queue_at", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def before_step(self, progress: float) -> None:
        """Moves the key network's parameters towards the query network's; BatchNorm's buffers are its own."""
        for kept, new in zip(self.key.parameters(), self.query.parameters(), strict=True):
            kept.lerp_(new, 1 - self.config.key_momentum)

    @torch.no_grad()
    def _enqueue(self, keys: Tensor) -> None:
        """Puts the keys (N, dim) of all ranks in the place of the oldest."""
        keys = gathered(keys)
        places = torch.arange(len(keys), device=keys.device) + self.queue_at
        self.queue[places % len(self.queue)] = keys
        self.queue_at.copy_((self.queue_at + len(keys)) % len(self.queue))

    def loss(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The loss on a batch of ``views``; afterwards its keys are in the queue.

        "accuracy" is the share of queries that are more like their own key than like any in the
        queue, "feature_std" the spread of queries: about 1 when healthy, 0 when collapsed.
        """
        kind = self.queue.dtype  # float32, whatever the autocast type
        queries = F.normalize(self.query(batch["query"]).to(kind), dim=1)  # (B, dim)
        with torch.no_grad():
            keys = F.normalize(self.key(batch["key"]).to(kind), dim=1)
        with torch.autocast(queries.device.type, enabled=False):
            own = (queries * keys).sum(1, keepdim=True)
            # A copy, because the queue changes before the gradient is computed.
            others = queries @ self.queue.clone().T  # (B, K)
            logits = torch.cat([own, others], 1) / self.config.temperature
            loss = F.cross_entropy(logits, logits.new_zeros(len(logits), dtype=torch.int64))
        self._enqueue(keys)
        return {
            "loss": loss,
            "accuracy": (logits.argmax(1) == 0).float().mean(),
            "feature_std": spread(queries.detach()[:, None]),
        }


def export(module: nn.Module) -> dict[str, Tensor]:
    """The query encoder's tensors; ``config.transfer`` says whether BatchNorm's statistics are among
    them.
    """
    model = cast(MoCo, module)
    return transferred(model.query.encoder, model.config.transfer)


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
            "Text Recognition With Fewer Labels, CVPR 2021; after He et al., CVPR 2020"
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
            "The horizontal flip and torchvision's crops, nearly always the same centre on long words, "
            "are the original's. Parameters are handed on without BatchNorm's statistics "
            "(transfer=parameters); a frozen encoder needs transfer=all. Sizes mini and micro are "
            "strbench's own."
        ),
    )
    return Method(
        card=card,
        recipes=recipes,
        build=MoCo,
        views=views,
        export=export,
        shape=("size", "features", "channels", "height", "width"),
        feeds=feeds,
    )


MOCO = _method(
    "moco",
    "MoCo: a queue of keys, with CRNN's features",
    {"full": 11_233_280, "full trainable": 5_616_640},
    RECIPES,
    feeds=("crnn",),
)
MOCO_RESNET = _method(
    "moco-resnet",
    "MoCo: a queue of keys, with TRBA's features",
    {"full": 88_660_288, "full trainable": 44_330_144},
    {name: replace(recipe, features="resnet") for name, recipe in RECIPES.items()},
    feeds=("trba", "trbc"),
)
