"""Character-level consistency for scene text: an online model agrees with its average, letter by letter.

Zheng et al., "Pushing the Performance Limit of Scene Text Recognizer without Human Annotation", CVPR
2022 (arXiv 2204.07714). Official code: Caiyuan-Zheng/Consistency_Regularization_STR, MIT; none of its
text is used. Sohn et al., "FixMatch", NeurIPS 2020, for the entry ``fixmatch``.

The target, a moving average of the online model, reads a weakly augmented image in evaluation mode. The
online decoder reads a strongly augmented view of it while it is told the target's characters (context
sharing), so both see the same history at each step; a projection head that exists for this pass alone
stands before its classifier. The loss is the divergence from the target's sharpened distributions over
the characters of confident readings. ``fixmatch`` is the code's other criterion: cross-entropy with the
target's characters, an image kept if the *least* sure of them is sure enough (FixMatch itself is about
classes; thresholds there are higher). Both add CORAL, which aligns what the online decoder attends to in
labelled and in unlabelled images.

    strbench pretrain character-consistency --data LABELLED --unlabelled SPLIT [--from trba-...]
    strbench eval character-consistency-...

Where the paper's account and the released code differ the code is followed:
- CORAL works on the online model's glimpses (before the LSTM cell) of the strong view, though it is
  described for the target; scatter matrices are not divided by the number of characters.
- The target is sharpened by a temperature of 0.4 (as in UDA); the loss is multiplied by the share of
  images kept, although it is already a mean over their characters alone.
- The decay is 0.999 from the first step; BatchNorm statistics are copied, after the labelled pass.
- A reading ends at the first class that is no character, whichever it is; in 26 characters without an
  end the last one is taken for it.
- Where no image is kept, neither the strong pass nor CORAL takes place.
- The online model is evaluated and kept, without the projection head.
Differences: 1-D parameters do not decay (official AdamW decays all); batches are drawn at random, not as
runs of neighbours in the LMDB. Inferred: nothing.

Against the official modules at commit 5faa25f, two steps with the same weights and inputs, both criteria:
the images kept are the same, losses differ by at most 2e-5 of 9, CORAL by 2e-9, gradients by 1.4e-5 of
the largest entry of each tensor, the target's weights by 5e-7.

*Expected:* TRBA with 10 % of the synthetic words and 1.06 million unlabelled ones: IIIT5K 96.6, SVT 94.3,
IC15 (1,811) 86.8, CUTE80 93.4, the supervised model of the same code 94.3, 91.5, 81.5 and 87.5; not
reproduced here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from strbench.errors import StrbenchError, unknown_name
from strbench.methods import Method, Optimiser, Schedule, View, WordBatch
from strbench.types import Card

from ..parts import fourstage, teachers, trba_recognizer
from ..parts.coral import coral
from ..parts.ranks import mean_over_ranks, sum_over_ranks
from ..parts.trba_recognizer import AttentionRecognizer, Layout, targets_of


@dataclass(frozen=True, kw_only=True)
class Config(trba_recognizer.Config):
    """Values of config_parser.py and run_semi.sh unless a comment says otherwise."""

    charset: str = "94"
    tokens: Literal["clovaai", "str-fewer-labels"] = "str-fewer-labels"
    channels: Literal[1, 3] = 3
    augmentation: str = "zheng-strong"  # of labelled images and of the online model's view
    target_augmentation: str = "zheng-weak"
    criterion: Literal["divergence", "cross-entropy"] = "divergence"
    temperature: float = 0.4  # of the target's distributions; divergence alone
    threshold: float = 0.5  # an unlabelled image is kept from this confidence on
    labelled_threshold: float = 0.6  # CORAL: a labelled image is used from this one on
    consistency_weight: float = 1.0
    coral_weight: float = 0.01
    target_decay: float = 0.999
    batch_size: int = 384
    unlabelled_batch_size: int = 288
    steps: int = 250_000
    optimiser: Optimiser = "adamw"
    lr: float = 1e-3
    weight_decay: float = 0.01
    schedule: Schedule = "onecycle"
    div: float = 20.0
    final_div: float = 1000.0
    clip_norm: float = 5.0


RECIPES: Mapping[str, Config] = {
    "paper": Config(),
    # Ours: one GPU, under an hour.
    "small": Config(batch_size=128, unlabelled_batch_size=128, steps=10_000),
    # Ours: for a CPU and under a minute; best with --from a trba of recipe smoke.
    "smoke": Config(**teachers.SMOKE, target_decay=0.98, steps=150),
}


def views(config: Config) -> View:
    """The function from a WordBatch to what ``loss`` takes.

    "images" (B, channels, H, W) with label, augmented and normalised, with what ``targets_of`` says of
    them; "strong" and "weak" (U, channels, H, W), two views of those without label.
    """
    for name in (config.augmentation, config.target_augmentation):
        if name not in teachers.VIEWS:
            raise unknown_name("augmentation", name, teachers.VIEWS)
    trba_recognizer.layout_of(config)
    strong = teachers.VIEWS[config.augmentation]
    weak = teachers.VIEWS[config.target_augmentation]

    def view(batch: WordBatch) -> dict[str, Tensor]:
        images = fourstage.to_channels(strong(batch), config.channels)
        labelled = teachers.labelled_rows(batch)
        looked_at = images[:0]
        if not labelled.all():
            rows = (~labelled).nonzero()[:, 0]
            others = WordBatch(
                batch.images[rows], batch.aspect[rows], [None] * len(rows), batch.seeds[rows]
            )
            looked_at = fourstage.to_channels(weak(others), config.channels)
        targets = targets_of([label for label in batch.labels if label is not None], config)
        return {
            "images": images[labelled],
            "strong": images[~labelled],
            "weak": looked_at,
            **{name: target.to(images.device) for name, target in targets.items()},
        }

    return view


class Spelled(NamedTuple):
    """The readings that logits (B, T, classes) spell."""

    tokens: Tensor  # (B, T + 1): start, characters, end, padding
    within: Tensor  # (B, T) bool: the characters' steps and the end's
    scores: Tensor  # (B, T) log-probability of the likeliest class

    def characters(self, layout: Layout) -> Tensor:
        """The steps that write a character: (B, T) bool."""
        return self.tokens[:, 1:] >= layout.first

    def confidences(self) -> Tensor:
        """The product of the probabilities up to the end: (B,)."""
        return torch.where(self.within, self.scores, 0.0).sum(1).exp()

    def least(self) -> Tensor:
        """The smallest of the probabilities up to the end: (B,)."""
        return torch.where(self.within, self.scores, 0.0).amin(1).exp()


@torch.no_grad()
def spelled(logits: Tensor, layout: Layout) -> Spelled:
    """The likeliest classes, cut at the first that is no character, or else at the last step."""
    scores, classes = logits.float().log_softmax(-1).max(-1)  # (B, T) each
    stops = classes < layout.first
    stops[:, -1] = True
    behind = (stops.cumsum(1) - stops.long()) > 0
    ends = stops & ~behind
    classes = classes.masked_fill(ends, layout.special("end"))
    classes = classes.masked_fill(behind, layout.special("padding"))
    tokens = F.pad(classes, (1, 0), value=layout.special("go"))
    return Spelled(tokens, ~behind, scores)


class CharacterConsistency(AttentionRecognizer):
    """The online model with its projection head, and the target."""

    started: Tensor

    def __init__(self, config: Config) -> None:
        if config.decoder != "attention":
            raise StrbenchError(
                f"decoder is {config.decoder!r}; the characters of two views can be compared one by one "
                "with 'attention' alone.",
                hint="--set decoder=attention",
            )
        super().__init__(config)
        self.config = config
        hidden = fourstage.size_named(config.size).hidden
        self.projection = nn.Sequential(
            nn.Linear(hidden, hidden // 4),
            nn.LayerNorm(hidden // 4),
            nn.ReLU(),
            nn.Linear(hidden // 4, hidden),
        )
        fourstage.draw_weights(self.projection)
        self.target = AttentionRecognizer(config).requires_grad_(False).eval()
        # the target takes over the online weights at the first step, once a parent's have been loaded
        self.register_buffer("started", torch.zeros((), dtype=torch.int64))
        teachers.read_alone(self)

    def train(self, mode: bool = True) -> Self:
        """As usual; the target stays in evaluation mode."""
        super().train(mode)
        self.target.eval()
        return self

    def before_step(self, progress: float) -> None:
        """Moves the target; before the first step it takes over the online weights."""
        teachers.follow(self.target, self, self.config.target_decay if self.started else 0.0)
        self.started.fill_(1)

    def loss(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The loss on a batch of ``views``.

        "supervised", "consistency" and "coral" are its terms (without their weights); "accuracy" is the
        share of labelled words right when told the characters before; "confidence" the target's mean,
        "kept" the share of unlabelled images in use, "agreement" that of their characters which the
        online model would choose too.
        """
        config, images = self.config, batch["images"]
        total = teachers.zero(self)
        out = dict.fromkeys(_TERMS, torch.zeros_like(total.detach()))
        source = total.new_zeros(0, self.encoder.dim)  # glimpses of confident labelled characters
        if teachers.anywhere(len(images), images.device):
            terms, source = self._supervised(batch)
            out |= terms
        if teachers.anywhere(len(batch["weak"]), images.device):
            out |= self._consistency(batch, source)
        total = total + out["supervised"] + config.consistency_weight * out["consistency"]
        return {**out, "loss": total + config.coral_weight * out["coral"]}

    def _supervised(self, batch: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], Tensor]:
        """The terms of labelled images, and the glimpses (N, D) of confident characters."""
        usable = batch["usable"]
        logits, _, glimpses = self.decoder(self.encoder(batch["images"]), batch["tokens"][:, :-1])
        own = spelled(logits, self.layout)
        sure = own.confidences() >= self.config.labelled_threshold
        terms = {
            "supervised": self.supervised(logits, batch),
            "accuracy": mean_over_ranks(self.right(logits, batch).sum().float(), usable.sum()),
            "unusable": mean_over_ranks((~usable).sum().float(), len(usable)),
        }
        return terms, glimpses[own.characters(self.layout) & sure[:, None]]

    def _consistency(self, batch: Mapping[str, Tensor], source: Tensor) -> dict[str, Tensor]:
        """The terms of unlabelled images; ``source`` are the glimpses that theirs are aligned with."""
        config = self.config
        if self.training:
            teachers.copy_buffers(self.target, self)
        with torch.no_grad():
            wanted = self.target(batch["weak"]).logits  # (U, T, classes)
            reading = spelled(wanted, self.layout)
            hard = config.criterion == "cross-entropy"
            certain = reading.least() if hard else reading.confidences()
            kept = certain >= config.threshold
            share = _over_all(kept)
        out = {"kept": share, "confidence": mean_over_ranks(certain.sum(), len(certain))}
        if not teachers.anywhere(kept.sum(), share.device):
            return out
        features = self.encoder(batch["strong"])
        logits, _, glimpses = self.decoder(features, reading.tokens[:, :-1], head=self.projection)
        compared = reading.within & kept[:, None]  # (U, T)
        online, targets = logits[compared].log_softmax(-1), reading.tokens[:, 1:]  # (N, classes)
        if hard:
            apart = F.nll_loss(online, targets[compared], reduction="sum")
        else:
            sharpened = (wanted[compared] / config.temperature).softmax(-1)
            apart = F.kl_div(online, sharpened, reduction="sum")
        count = compared.sum()
        own = spelled(logits, self.layout)
        sure = own.confidences() >= config.threshold
        agrees = ((logits.argmax(-1) == targets) & compared).sum().float()
        return out | {
            "consistency": share * mean_over_ranks(apart, count),
            "coral": coral(source, glimpses[own.characters(self.layout) & sure[:, None]]),
            "agreement": mean_over_ranks(agrees, count),
        }


_TERMS = (
    "supervised", "accuracy", "unusable", "consistency", "coral", "kept", "confidence", "agreement",
)  # fmt: skip


def _over_all(kept: Tensor) -> Tensor:
    """The share of true values (U,) among those of all ranks, the same on each."""
    counts = torch.stack((kept.sum().float(), kept.new_tensor(len(kept), dtype=torch.float32)))
    counts = sum_over_ranks(counts)
    return counts[0] / counts[1]


def build(config: Config) -> nn.Module:
    """Online model and target, freshly drawn."""
    return CharacterConsistency(config)


_PAPER = (
    "Zheng et al., Pushing the Performance Limit of Scene Text Recognizer without Human Annotation, "
    "CVPR 2022"
)


def _method(name: str, title: str, recipes: Mapping[str, Config], notes: str) -> Method:
    card = Card(
        name=name,
        kind="pretraining",
        title=title,
        paper=_PAPER,
        code="github.com/Caiyuan-Zheng/Consistency_Regularization_STR (MIT, not used)",
        licence="Apache-2.0",
        status="parity-checked",
        # the target has no projection head
        parameters={"full": 99_675_542, "full trainable": 49_854_379},
        charset="94",
        resize="stretch-bicubic",
        height=32,
        width=100,
        recipes=tuple(recipes),
        notes=f"{notes} The online model is kept, without its projection head.",
    )
    return Method(
        card=card,
        recipes=recipes,
        build=build,
        views=views,
        export=teachers.export,
        needs_labels=True,
        reader=trba_recognizer.reader,
        fresh=(*teachers.LATER, "target.", "projection.", "started"),
        shape=teachers.SHAPE,
        feeds=("trba",),
        starts=("trba",),
    )


CHARACTER_CONSISTENCY = _method(
    "character-consistency",
    "Character-level consistency with a moving average",
    RECIPES,
    "CORAL on the online model's glimpses, unnormalised; temperature 0.4; loss times the share kept.",
)
FIXMATCH = _method(
    "fixmatch",
    "FixMatch for words: hard characters of a moving average",
    {name: replace(recipe, criterion="cross-entropy") for name, recipe in RECIPES.items()},
    "The hard-label criterion of character-consistency: an image is kept by its least sure character.",
)
