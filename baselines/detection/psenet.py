"""PSENet: texts as kernels of seven sizes, grown from the smallest one to the whole.

Wang et al., "Shape Robust Text Detection with Progressive Scale Expansion Network", CVPR 2019 (arXiv
1903.12473). Official code: whai362/PSENet, branch python3 (licence Apache-2.0, not used).

Followed from that code where it differs from the paper: its network with a deep stem (``deep50``), the
bilinear pyramid, maps of the image's size, dice with squared sums, momentum 0.99. What differs:
- Polygons are shrunk and filled on real numbers (by whole pixels, as there); there their vertices are
  rounded and filled shapes hold their border.
- A photograph is sampled once, bilinear; there first scaled, then turned by nearest neighbours.
- What a rotation moves below or to the right of the photograph's frame is seen if the window reaches there.
- Of more than 200 texts those behind are left out of a window; there of a photograph.
- Vectors (biases, batch normalisation) do not decay.
- ``micro`` and its necks are strbench's own, for a CPU. The paper starts from ImageNet's weights, a run
  here from random ones unless ``--from`` brings a backbone.

With the same weights the official network's logits (1e5 at most in evaluation, 23 in training) and the loss
on the same maps are equal in float32, difference 0; so are the texts grown from 200 random stacks of maps.

*Expected:* recipe ``cpu-hour`` from scratch on 200 drawn pages, one seed, half an hour of a shared CPU core: F
27.2 on the test photographs of ICDAR 2015, 95 % over them 25.3 to 29.2 (``strbench reproduce vlpt-psenet --scale
cpu-night --only Scratch``). Nothing of the paper's size was run.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from strbench.errors import StrbenchError
from strbench.feeds import PageFeed
from strbench.geometry import bounds
from strbench.methods import Finder, Schedule
from strbench.placing import Matrix, Placement, mirroring, moved, scaling, shift, turning
from strbench.types import Detection, Region

from ..parts.backbones import backbone
from ..parts.batchnorm import BatchNorm2d
from ..parts.detecting import DetectorTraining, detector_method, normalised, test_row
from ..parts.hard_negatives import dice
from ..parts.precision import exact
from ..parts.pse_maps import MOST_WORDS, TESTS, found, targets
from ..parts.ranks import mean_over_ranks

TEXT_WEIGHT = 0.7  # of the whole text, the kernels have the rest; config/psenet/*.py
NEGATIVES = 3  # pixels without text a pixel of text; models/loss/ohem.py
SMOOTH = 0.001  # added to either sum of squares; models/loss/dice_loss.py
# Of the photograph whose short side is ``short``, and of its height to its width; dataset/psenet/*.py
SCALES = (0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3)
ASPECTS = (0.9, 0.95, 1.0, 1.05, 1.1)
TURN = 10.0  # degrees either way
TOWARDS_TEXT = 5 / 8  # share of windows that are drawn where text is
MULTIPLE = 32  # pixels of the scaled photograph's sides


@dataclass(frozen=True, kw_only=True)
class Config(DetectorTraining):
    """``DetectorTraining`` with PSENet's settings for ICDAR 2015; config/psenet/psenet_r50_ic15_736.py."""

    size: str = "deep50"
    height: int = 736
    width: int = 736
    short: int = 736  # pixels of the photograph's short side, before it is scaled at random
    stretch: bool = True  # its sides are scaled apart; not with curved text
    mirrored: float = 0.5  # share of the windows
    kernels: int = 7  # maps, that of the whole text counted
    smallest: float = 0.4  # ratio to which the last of them is shrunk
    neck: int = 256  # channels of each level of the pyramid, and of the head
    epochs: float = 600.0
    lr: float = 1e-3
    momentum: float = 0.99  # train.py
    weight_decay: float = 5e-4
    schedule: Schedule = "steps"
    milestones: tuple[float, ...] = (200 / 600, 400 / 600)
    brightness: float = 32 / 255
    saturation: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        wanted = {
            "kernels": (2 <= self.kernels <= 8, "2 to 8", 7),  # bits of a byte
            "smallest": (0 < self.smallest < 1, "a ratio between 0 and 1", 0.4),
            "short": (self.short >= 1, "1 or more pixels", 736),
            "mirrored": (0 <= self.mirrored <= 1, "a share from 0 to 1", 0.5),
        }
        for name, (is_met, told, usual) in wanted.items():
            if not is_met:
                raise StrbenchError(
                    f"{name}={getattr(self, name)!r}: expected {told}.",
                    hint=f"--set {name}={usual}",
                )


RECIPES: Mapping[str, Config] = {
    "paper": Config(),
    "ic15-1024": Config(
        short=1024, test="ic15-1024", epochs=580, milestones=(200 / 580, 400 / 580)
    ),
    "totaltext": Config(smallest=0.7, stretch=False, test="totaltext"),
    "ctw1500": Config(smallest=0.7, stretch=False, test="ctw1500"),
    # Plain detection pretraining ("ST"): SynthText once; config/psenet/psenet_r50_synth.py.
    "synthtext": Config(smallest=0.7, mirrored=0, epochs=1, schedule="poly"),
    # MMOCR's optimiser, which it keeps with a backbone of oCLIP.
    "clip": Config(size="clip50", optimiser="adam", lr=1e-4, weight_decay=0),
    # Ours, for less than an hour on one GPU.
    "small": Config(
        size="r18", height=640, width=640, short=640, epochs=0, steps=4_000, schedule="poly",
        optimiser="adamw", lr=5e-4, warmup_steps=200,
    ),
    # Ours, for a CPU.
    "cpu-hour": Config(
        size="micro", neck=32, height=320, width=320, short=480, test="pages", batch_size=8, epochs=0,
        steps=2_000, optimiser="adamw", schedule="poly", lr=2e-3, warmup_steps=100,
    ),
    "smoke": Config(
        size="micro", neck=16, height=160, width=160, short=320, test="pages", batch_size=4, epochs=0,
        steps=60, optimiser="adamw", schedule="poly", lr=3e-3, warmup_steps=5,
    ),
}  # fmt: skip


# --- photographs in


def _place(config: Config) -> Callable[..., Placement]:
    """Scaled, mirrored or not, turned, and cut where text is more often than elsewhere."""

    def place(
        rng: np.random.Generator, height: int, width: int, regions: Sequence[Region]
    ) -> Placement:
        scale = rng.choice(SCALES) * config.short / min(height, width)
        apart = math.sqrt(rng.choice(ASPECTS)) if config.stretch else 1.0
        high, wide = _rounded(height * scale * apart), _rounded(width * scale / apart)
        matrix = scaling(wide / width, high / height)
        if rng.random() < config.mirrored:
            matrix = mirroring(wide) @ matrix
        matrix = turning(rng.uniform(-TURN, TURN), high, wide) @ matrix
        left, top, right, bottom = _extent(regions, matrix, high, wide)
        towards = rng.random() < TOWARDS_TEXT and right > left and bottom > top
        x = _start(rng, wide, config.width, (left, right) if towards else None)
        y = _start(rng, high, config.height, (top, bottom) if towards else None)
        return Placement(shift(-x, -y) @ matrix, (config.height, config.width))

    return place


def _rounded(side: float) -> int:
    return max(1, -(-int(side + 0.5) // MULTIPLE)) * MULTIPLE


def _extent(
    regions: Sequence[Region], matrix: Matrix, height: int, width: int
) -> tuple[float, float, float, float]:
    """The box of all texts, ignored ones included, within an image of that size; zeros without any."""
    boxes = [bounds(moved(r.polygon, matrix)) for r in regions[:MOST_WORDS] if len(r.polygon) > 2]
    seen = [b for b in boxes if b[0] < width and b[1] < height and b[2] > 0 and b[3] > 0]
    if not seen:
        return 0.0, 0.0, 0.0, 0.0
    left, top = np.maximum(np.min(seen, axis=0)[:2], 0).tolist()
    right, bottom = np.minimum(np.max(seen, axis=0)[2:], (width, height)).tolist()
    return left, top, right, bottom


def _start(
    rng: np.random.Generator, length: int, side: int, text: tuple[float, float] | None
) -> int:
    """Where a window of ``side`` pixels begins in an image of ``length``.

    With a text from one pixel to another it ends between these, as far as the image allows.
    """
    room = max(length - side, 0)
    first, last = 0, room
    if text is not None:
        first = min(max(math.floor(text[0]) - side, 0), room)
        last = min(max(math.ceil(text[1]) - 1 - side, first), room)
    return int(rng.integers(first, last + 1))


def feed(config: Config) -> PageFeed:
    """Windows of photographs with the maps of ``parts.pse_maps.targets``."""
    return PageFeed(
        height=config.height,
        width=config.width,
        place=_place(config),
        targets=partial(targets, kernels=config.kernels, smallest=config.smallest),
    )


# --- the network


def _block(before: int, after: int, kernel: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, kernel, padding=kernel // 2, bias=False),
        BatchNorm2d(after),
        nn.ReLU(),
    )


def _resized(maps: Tensor, size: Sequence[int]) -> Tensor:
    return F.interpolate(maps, size=tuple(size), mode="bilinear", align_corners=False)


def _initialise(part: nn.Module) -> None:
    for layer in part.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")


class Pyramid(nn.Module):
    """Maps C2 to C5 to P2 to P5 of ``neck`` channels, side by side at stride 4.

    Source: whai362/PSENet, models/neck/fpn.py.
    """

    def __init__(self, widths: Sequence[int], neck: int) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(_block(w, neck, 1) for w in widths)
        self.smooth = nn.ModuleList(_block(neck, neck, 3) for _ in widths[1:])  # P2 to P4
        _initialise(self)

    def forward(self, stages: Sequence[Tensor]) -> Tensor:
        """(B, 4 neck, H / 4, W / 4), the finest level's channels first."""
        merged = self.lateral[-1](stages[-1])
        levels = [merged]
        for maps, lateral, smooth in zip(
            reversed(stages[:-1]), reversed(self.lateral[:-1]), reversed(self.smooth), strict=True
        ):
            own = lateral(maps)
            merged = smooth(_resized(merged, own.shape[2:]) + own)
            levels.append(merged)
        size = merged.shape[2:]
        return torch.cat([merged, *(_resized(p, size) for p in reversed(levels[:-1]))], dim=1)


class ScaleExpansion(nn.Module):
    """``backbone``, ``neck`` and the head of the kernels."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.kernels = config.kernels
        self.backbone = backbone(config.size)
        self.neck = Pyramid(self.backbone.widths, config.neck)  # type: ignore[arg-type]
        self.head = nn.Sequential(
            nn.Conv2d(4 * config.neck, config.neck, 3, padding=1),
            BatchNorm2d(config.neck),
            nn.ReLU(),
            nn.Conv2d(config.neck, config.kernels, 1),
        )
        _initialise(self.head)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, K, H, W) of normalised images (B, 3, H, W): the whole text, then ever smaller kernels."""
        logits: Tensor = self.head(self.neck(self.backbone(images)))
        with torch.autocast(logits.device.type, enabled=False):
            return _resized(exact(logits), images.shape[2:])

    def loss(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """``losses`` of a batch of ``parts.detecting.views``."""
        logits = self(batch["images"])
        with torch.autocast(logits.device.type, enabled=False):
            return losses(logits, batch["kernels"], batch["counts"])


def losses(logits: Tensor, kernels: Tensor, counts: Tensor) -> dict[str, Tensor]:
    """The loss of logits (B, K, H, W), and its two parts before they are weighed.

    That of the whole text is asked where ``selected`` says, those of the other kernels within true text.
    Each is the dice loss of an image; kernels and images are averaged.

    Args:
        kernels: (B, H, W) uint8, bit i set in kernel i.
        counts: (B, H, W) bool.

    Source: section 3.5; whai362/PSENet, models/head/psenet_head.py.
    """
    n, k = logits.shape[:2]
    bits = torch.tensor([1 << i for i in range(k)], dtype=torch.uint8, device=logits.device)
    truth = kernels[:, None] & bits.view(1, -1, 1, 1) > 0  # (B, K, H, W)
    chosen = selected(logits[:, 0], truth[:, 0], counts)
    inside = (truth[:, 0] & counts).repeat_interleave(k - 1, dim=0)
    made, truth = logits.sigmoid(), truth.to(logits.dtype)
    whole = dice(made[:, 0], truth[:, 0], chosen, eps=SMOOTH, squared=True)  # (B,)
    parts = made[:, 1:].flatten(0, 1), truth[:, 1:].flatten(0, 1)  # (B * (K - 1), H, W)
    smaller = dice(*parts, inside, eps=SMOOTH, squared=True)
    text_loss = mean_over_ranks(whole.sum(), n)
    kernel_loss = mean_over_ranks(smaller.sum(), n * (k - 1))
    loss = TEXT_WEIGHT * text_loss + (1 - TEXT_WEIGHT) * kernel_loss
    return {"loss": loss, "text": text_loss, "kernels": kernel_loss}


def selected(logits: Tensor, text: Tensor, counts: Tensor) -> Tensor:
    """Where the loss of the whole text looks (B, H, W): all text, and its hardest negatives.

    These are in each image the three times as many pixels without text as with it that have the largest
    logits, and all others that have the last one's. An image without text, or with nothing else, is
    looked at everywhere. What does not count is left out.

    Source: section 3.5; whai362/PSENet, models/loss/ohem.py.
    """
    positive, negative = text & counts, ~text & counts
    many = positive.flatten(1).sum(1)
    few = torch.minimum(NEGATIVES * many, negative.flatten(1).sum(1))[:, None]  # (B, 1)
    ranked = logits.detach().masked_fill(~negative, -math.inf).flatten(1).sort(descending=True)
    border = ranked.values.gather(1, (few - 1).clamp(min=0))
    border = torch.where(few > 0, border, -math.inf)[:, :, None]
    return positive | (negative & (logits.detach() >= border))


def finder(module: nn.Module, config: Config) -> Finder:
    """What reads photographs under the run's row of test settings."""
    test = test_row(TESTS, config.test)

    def find(images: Tensor) -> list[list[Detection]]:
        maps = module(normalised(images)).cpu().numpy()  # (B, K, H, W)
        return [found(one, test) for one in maps]

    return Finder(test.sizing, find, f"{config.test}: {test}")


PSENET = detector_method(
    "psenet",
    "PSENet: progressive scale expansion",
    paper=(
        "Wang et al., Shape Robust Text Detection with Progressive Scale Expansion Network, CVPR 2019"
    ),
    code="github.com/whai362/PSENet, branch python3 (Apache-2.0, not used)",
    parameters={
        "deep50": 28_749_767,
        "r50": 28_625_991,
        "clip50": 28_645_223,
        "r18": 15_557_191,
    },
    recipes=RECIPES,
    notes=(
        "Size deep50 is the official backbone; r50 and clip50 are those that pretrainings bring. Test "
        "settings a data set are those of the official code. Size micro is strbench's own."
    ),
    build=ScaleExpansion,
    feed=feed,
    finder=finder,
    fresh=("neck.", "head."),
    status="trained",
)
