"""What the super-resolution networks of TextZoom's code share: settings, mask channel, trunk, loss.

Wang et al., "Scene Text Image Super-Resolution in the Wild", ECCV 2020 (arXiv 2005.03341). Official code:
JasonBoy1/TextZoom (now WenjiaWang0312/TextZoom), read and run for comparison, not copied.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from strbench.errors import StrbenchError, unknown_name
from strbench.methods import Method, Optimiser, PairBatch, PairConfig, Restorer, Schedule, View
from strbench.types import Card

from .batchnorm import BatchNorm2d
from .central_alignment import CentralAlignment
from .restoring import restoring

LOSS_SCALE = 100.0  # TextZoom's interfaces/super_resolution.py
GRADIENT_WEIGHT = (
    1e-4  # of the gradient prior; its interfaces/base.py, over the class's own default
)
_UNDER_ROOT = 1e-6  # keeps the root's slope finite; its loss/image_loss.py


class Size(NamedTuple):
    """Channels and residual blocks of a trunk, and channels of the alignment's first convolution."""

    channels: int
    blocks: int
    alignment: int


SIZES: Mapping[str, Size] = {
    "full": Size(channels=64, blocks=5, alignment=32),
    "micro": Size(channels=16, blocks=2, alignment=8),  # strbench's own, for a CPU
}


def size_named(name: str) -> Size:
    """The row of ``SIZES`` with this name.

    Raises:
        StrbenchError: there is none.
    """
    if name not in SIZES:
        raise unknown_name("size of a restorer", name, SIZES, hint=f"Sizes: {', '.join(SIZES)}.")
    return SIZES[name]


@dataclass(frozen=True, kw_only=True)
class TextZoomTraining(PairConfig):
    """Values of TextZoom's configuration file and training script: no schedule, no augmentation."""

    size: str = "full"
    batch_size: int = 512  # over 4 GPUs; the command in the release's readme has 1024
    epochs: float = 500.0
    optimiser: Optimiser = "adam"
    lr: float = 1e-3
    lr_batch: int = 0
    schedule: Schedule = "constant"
    weight_decay: float = 0.0
    betas: tuple[float, float] = (0.5, 0.999)
    clip_norm: float = 0.25
    precision: str = "fp32"  # as released


@dataclass(frozen=True, kw_only=True)
class TrunkTraining(TextZoomTraining):
    """``TextZoomTraining`` of a network that may have a mask as its fourth channel."""

    mask: bool = False

    @property
    def planes(self) -> int:
        """Channels of the network's input and of its output."""
        return 4 if self.mask else 3


# Ours: 2.6 million images, sized for less than an hour on one GPU.
SMALL: dict[str, Any] = {"batch_size": 256, "epochs": 0, "steps": 10_000}
# Ours: a quarter of an hour on a CPU core, with a learning rate that falls, since it is short.
CPU_HOUR: dict[str, Any] = {
    "size": "micro",
    "batch_size": 32,
    "epochs": 0,
    "steps": 4_000,
    "lr": 2e-3,
    "schedule": "cosine",
    "precision": "auto",
}
# Ours: for a CPU and under a minute.
SMOKE: dict[str, Any] = {
    "size": "micro",
    "batch_size": 16,
    "epochs": 0,
    "steps": 100,
    "lr": 3e-3,
}


# --- images in


def with_mask(levels: Tensor) -> Tensor:
    """Images (B, 3, H, W) uint8 as (B, 4, H, W) float32 in [0, 1]; the fourth channel is the mask.

    A pixel of it is 0 where the image's grey level is above the mean of all its levels, and 1 elsewhere.
    Grey levels are Pillow's of mode "L", whole numbers; everything is computed in whole numbers.

    Source: TextZoom, src/dataset/dataset.py, resizeNormalize.
    """
    red, green, blue = levels.to(torch.int32).unbind(1)
    grey = (19595 * red + 38470 * green + 7471 * blue + 32768) >> 16  # (B, H, W), 0 to 255
    total = grey.sum((1, 2), keepdim=True)
    dark = grey * grey[0].numel() <= total
    return torch.cat([levels.float() / 255, dark[:, None].float()], dim=1)


def views(config: TextZoomTraining) -> View:
    """The function from a PairBatch to what the loss takes.

    "inputs" (B, planes, h, w) and "targets" (B, planes, H, W) in [0, 1]; each has its own mask, if any.
    """
    masked = isinstance(config, TrunkTraining) and config.mask

    def view(batch: PairBatch) -> dict[str, Tensor]:
        if masked:
            return {"inputs": with_mask(batch.inputs), "targets": with_mask(batch.targets)}
        return {"inputs": batch.inputs.float() / 255, "targets": batch.targets.float() / 255}

    return view


def restorer(module: nn.Module, config: TextZoomTraining) -> Restorer:
    """A function from images (B, 3, h, w), RGB in [0, 1], to (B, 3, H, W), not clamped.

    A mask is made of the image's nearest 8-bit levels, and left out of the result.
    """
    masked = isinstance(config, TrunkTraining) and config.mask

    def make(images: Tensor) -> Tensor:
        inputs = with_mask((images * 255).round().clamp(0, 255).byte()) if masked else images
        made: Tensor = module(inputs)
        return made[:, :3]

    return restoring(module, make)


# --- loss


def gradient_map(images: Tensor) -> Tensor:
    """How steep images (B, C, H, W) are: the root of half differences squared, summed, and 1e-6.

    The differences are of the two neighbours left and right, and above and below; beyond the border the
    image is 0, so that a border of colour c has c / 2, a corner 0.7071 c, and flat places 0.001.

    Source: TextZoom, src/loss/image_loss.py, GradientPriorLoss. The copy in gradient_loss.py lacks the
    1e-6 and has no finite gradient where the image is flat.
    """
    padded = F.pad(images, (1, 1, 1, 1))
    across = (padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]) / 2
    down = (padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]) / 2
    return (across.square() + down.square() + _UNDER_ROOT).sqrt()


def image_losses(made: Tensor, targets: Tensor, *, gradient: bool) -> dict[str, Tensor]:
    """100 times the mean squared error of (B, planes, H, W), a mask included.

    With ``gradient``, 1e-4 times the mean absolute difference of the gradient maps of RGB is added
    before; it is then logged as "gradient_prior".
    """
    with torch.autocast(made.device.type, enabled=False):
        made = made.to(targets.dtype)
        mse = F.mse_loss(made, targets)
        if not gradient:
            return {"loss": LOSS_SCALE * mse, "mse": mse}
        prior = F.l1_loss(gradient_map(made[:, :3]), gradient_map(targets[:, :3]))
        loss = LOSS_SCALE * (mse + GRADIENT_WEIGHT * prior)
    return {"loss": loss, "mse": mse, "gradient_prior": prior}


# --- the network


def convolutions(channels: int, activation: Callable[[], nn.Module]) -> nn.Sequential:
    """What the residual blocks begin with: two 3 x 3 convolutions, normalised, an activation between."""
    return nn.Sequential(
        nn.Conv2d(channels, channels, 3, padding=1),
        BatchNorm2d(channels),
        activation(),
        nn.Conv2d(channels, channels, 3, padding=1),
        BatchNorm2d(channels),
    )


class Trunk(nn.Module):
    """Images (B, planes, h, w) to (B, planes, scale * h, scale * w) in (-1, 1).

    A 9 x 9 convolution with PReLU, blocks, a normalised convolution, a skip over all of these, pixel
    shuffles with ``activation``, a 9 x 9 convolution and tanh.

    Raises:
        StrbenchError: ``scale`` is no power of 2.
    """

    def __init__(
        self,
        planes: int,
        channels: int,
        blocks: Iterable[nn.Module],
        *,
        scale: int,
        activation: Callable[[], nn.Module],
    ) -> None:
        super().__init__()
        doublings = scale.bit_length() - 1
        if scale != 2**doublings:
            raise StrbenchError(
                f"shrink={scale}: expected a power of 2, since pixels are shuffled by 2 at a time.",
                hint="--set shrink=2",
            )
        self.first = nn.Sequential(nn.Conv2d(planes, channels, 9, padding=4), nn.PReLU())
        self.blocks = nn.Sequential(*blocks)
        self.last = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1), BatchNorm2d(channels)
        )
        steps: list[nn.Module] = []
        for _ in range(doublings):
            widen = nn.Conv2d(channels, 4 * channels, 3, padding=1)
            steps += [widen, nn.PixelShuffle(2), activation()]
        self.enlarge = nn.Sequential(*steps, nn.Conv2d(channels, planes, 9, padding=4))

    def forward(self, images: Tensor) -> Tensor:
        entered = self.first(images)
        made: Tensor = self.enlarge(entered + self.last(self.blocks(entered)))
        return torch.tanh(made)


class TrunkRestorer(nn.Module):
    """A ``Trunk``, before it the alignment if there is one, and the loss.

    The alignment works in training alone: what it moves is then compared with the high-resolution image
    at its place, and in evaluation an image stays where it is, as in the official code.
    """

    def __init__(
        self, trunk: Trunk, *, alignment: CentralAlignment | None = None, gradient: bool = False
    ) -> None:
        super().__init__()
        self.alignment = alignment
        self.trunk = trunk
        self.gradient = gradient

    def forward(self, images: Tensor) -> Tensor:
        if self.alignment is not None and self.training:
            images = self.alignment(images)
        made: Tensor = self.trunk(images)
        return made

    def loss(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The loss on a batch of ``views``; see ``image_losses``."""
        return image_losses(self(batch["inputs"]), batch["targets"], gradient=self.gradient)


# --- the entry


def image_restorer(
    name: str,
    title: str,
    *,
    paper: str,
    code: str,
    parameters: dict[str, int],
    recipes: Mapping[str, TextZoomTraining],
    shape: tuple[str, ...],
    notes: str,
    build: Callable[[Any], nn.Module],
) -> Method:
    """The registry entry of one of these networks.

    It may start from a run of its own kind, such as one on drawn pairs, whose tensors it takes over whole.
    """
    config = next(iter(recipes.values()))
    card = Card(
        name=name,
        kind="restorer",
        title=title,
        paper=paper,
        code=code,
        licence="Apache-2.0",
        status="trained",
        parameters=parameters,
        resize="stretch-bicubic",
        height=config.height // config.shrink,
        width=config.width // config.shrink,
        recipes=tuple(recipes),
        notes=f"{notes} Inputs and outputs are RGB in [0, 1], outputs are not clamped. Size micro is "
        "strbench's own.",
    )
    return Method(
        card=card,
        recipes=recipes,
        build=build,
        views=cast(Callable[[Any], View], views),
        export=lambda module: dict(module.state_dict()),
        task="super-resolution",
        restorer=cast(Callable[[nn.Module, Any], Restorer], restorer),
        fresh=(),
        shape=shape,
    )
