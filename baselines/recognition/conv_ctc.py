"""Conv-CTC: a small convolutional recognizer that a processor trains, and reads with quickly.

strbench's own design, no paper's. Borrowed: a stem of strided convolutions, rows merged early, and a
last step that makes a line of the grid (Du et al., SVTR, IJCAI 2022); residual blocks of a depthwise
convolution, normalisation, and a wider pointwise pair (Howard et al., MobileNets, arXiv 1704.04861;
Liu et al., ConvNeXt, CVPR 2022), batch-normalised (Ioffe and Szegedy, ICML 2015); pre-norm
transformer blocks along the line (Vaswani et al., NIPS 2017); the CTC criterion (Graves et al., ICML
2006).

Where the time goes decided the shape: on a processor that multiplies in bfloat16, work at 16 rows
waits for memory, so that the stem leaves 8; attention is written out, because the fused one is slow
backwards on lines as short as 32 frames. Pictures become grey and are standardised one by one, so that
dark and pale ones look alike and the convention of the input's range does not matter.

*Expected:* recipe ``full`` (1.8 M parameters, 1.92 million images, 3.7 hours of one processor core) on the
720,000 rendered words of ``benchmarks/conv_ctc/draw.py``, no photographed crop among them: SVT 462 of 647,
ICDAR 2015 test (2077) 1129, CUTE80 170 of 288, IIIT5K train 1744 of 2000, under strbench-36. IIIT5K train
was looked at while the words and the network were designed, the others after training alone. These weights,
in half precision, come with strbench and are what ``strbench eval`` reads with before anything is trained.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from strbench import augment, draws, warps
from strbench.errors import StrbenchError, unknown_name
from strbench.methods import LoopConfig, Method, Reader, View, WordBatch
from strbench.text import charset
from strbench.types import Card

from ..parts.batchnorm import BatchNorm2d
from ..parts.ctc import ctc_targets, greedy, margins, word_losses
from ..parts.decoding import Readings, reading, spelled
from ..parts.views import Stream, mild, plain

MAX_LABEL = 25  # characters; the longest words of the field's test sets have about 22
_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
_FLATTEST = 0.02  # of the range -1 to 1: pictures of less contrast are not amplified further


class Size(NamedTuple):
    """Channels at 16, 8 and 4 rows, blocks at 8 and 4 rows, width, heads and blocks of the line."""

    channels: tuple[int, int, int]
    blocks: tuple[int, int]
    dim: int
    heads: int
    mixers: int


SIZES: Mapping[str, Size] = {
    "micro": Size(channels=(16, 32, 64), blocks=(1, 1), dim=96, heads=3, mixers=1),
    "small": Size(channels=(32, 64, 160), blocks=(2, 4), dim=256, heads=4, mixers=2),
    "base": Size(channels=(48, 96, 256), blocks=(3, 6), dim=384, heads=6, mixers=3),
}


@dataclass(frozen=True, kw_only=True)
class Config(LoopConfig):
    """Values found by trial on rendered words; no paper stands behind them."""

    size: str = "small"  # a row of SIZES
    charset: str = "36"
    augmentation: Literal["photographed", "mild", "plain"] = "photographed"
    batch_size: int = 64
    lr: float = 1.5e-3
    lr_batch: int = 0
    min_lr: float = 1e-5
    weight_decay: float = 0.05
    betas: tuple[float, float] = (0.9, 0.99)
    clip_norm: float = 5.0


RECIPES: Mapping[str, Config] = {
    # About four hours of one processor core.
    "full": Config(steps=30_000, warmup_steps=1000, ema=0.999),
    # Sized for less than an hour on one GPU.
    "small": Config(
        size="base", batch_size=512, steps=12_000, warmup_steps=1000, lr=2e-3, ema=0.999
    ),
    # For a CPU and about a minute.
    "smoke": Config(
        size="micro", augmentation="plain", steps=800, warmup_steps=50, lr=4e-3, min_lr=1e-4
    ),
}


def views(config: Config) -> View:
    """The function from a WordBatch to what ``ConvCTC.loss`` takes.

    "images" (B, 1 or 3, H, W) normalised to [-1, 1], and what ``parts.ctc.ctc_targets`` says of the
    labels; words of more than 25 characters are unusable too.
    """
    characters = charset(config.charset)
    frames = config.width // 4
    if config.augmentation not in AUGMENTATIONS:
        raise unknown_name("augmentation", config.augmentation, AUGMENTATIONS)
    change = AUGMENTATIONS[config.augmentation]

    def view(batch: WordBatch) -> dict[str, Tensor]:
        targets = ctc_targets(batch.labels, characters, most=MAX_LABEL, frames=frames)
        device = batch.images.device
        return {"images": change(batch) * 2 - 1, **{n: t.to(device) for n, t in targets.items()}}

    return view


@torch.no_grad()
def photographed(batch: WordBatch) -> Tensor:
    """Grey views (B, 1, H, W) in [0, 1] of drawn words, as if photographed in haste.

    Channels are mixed by weights around luma's. Every image is turned by up to 8 degrees, slanted by
    up to 12, put into a slight perspective, and cropped or surrounded by up to 8 % a side (edges
    repeated); with p 0.3 blurred (sigma 0.3 to 1.8 rows), with p 0.1 moved while exposed (2 to 5
    rows), with p 0.25 noisy (deviation 0.01 to 0.07). Tuned by eye on crops of training sets.
    """
    seeds, aspect = draws.derive(batch.seeds, 0), batch.aspect
    with torch.autocast(batch.images.device.type, enabled=False):
        luma = torch.tensor(_LUMA, device=seeds.device, dtype=torch.float64)
        other = draws.uniforms(seeds, 3, Stream.GRAY)
        mix = (luma + 0.5 * other / other.sum(1, keepdim=True)) / 1.5  # (B, 3), sums to 1
        weights = mix.float()[:, :, None, None].unbind(1)  # three of (B, 1, 1)
        red, green, blue = plain(batch).unbind(1)
        images = (red * weights[0] + green * weights[1] + blue * weights[2]).unsqueeze(1)
        grid = warps.sampling_grid(_hasty_pose(seeds, aspect), *images.shape[2:])
        images = warps.warp(images, grid)
        blurred = draws.chance(seeds, 0.3, Stream.BLUR_GATE)
        sigma = draws.uniform(seeds, 0.3, 1.8, Stream.BLUR)
        images = augment.apply_where(images, blurred, augment.gaussian_blur, sigma, aspect)
        moved = draws.chance(seeds, 0.1, Stream.GEOMETRY_GATE)
        length = draws.uniform(seeds, 2, 5, Stream.MOTION_LENGTH)
        degrees = draws.uniform(seeds, -90, 90, Stream.MOTION_ANGLE)
        blur = partial(augment.motion_blur, taps=5)
        images = augment.apply_where(images, moved, blur, length, degrees, aspect)
        noisy = draws.chance(seeds, 0.25, Stream.WORSEN_GATE)
        deviation = draws.uniform(seeds, 0.01, 0.07, Stream.NOISE)
        return augment.apply_where(images, noisy, _noise, seeds, deviation)


def _hasty_pose(seeds: Tensor, aspect: Tensor) -> Tensor:
    sides = 0.16 * draws.uniforms(seeds, 4, Stream.CROP_ROWS) - 0.08
    moves = draws.uniforms(seeds, 8, Stream.PERSPECTIVE).view(-1, 4, 2) - 0.5
    frame = moves.new_tensor([[-1, -1], [1, -1], [1, 1], [-1, 1]])
    corners = frame + moves * moves.new_tensor([0.12, 0.3])  # the frame is 2 wide and 2 high
    return warps.compose(
        warps.rotation(draws.uniform(seeds, -8, 8, Stream.ROTATE), aspect),
        warps.shear(draws.uniform(seeds, -12, 12, Stream.SHEAR), 0 * aspect, aspect),
        warps.frame_to_quad(corners),
        warps.cropping(*sides.unbind(1)),
    )


def _noise(images: Tensor, seeds: Tensor, deviation: Tensor) -> Tensor:
    shape = (images.shape[1], images.shape[2], images.shape[3])
    return augment.gaussian_noise(
        images, deviation, draws.pixel_normals(seeds, shape, Stream.NOISE_PIXELS)
    )


AUGMENTATIONS: Mapping[str, Callable[[WordBatch], Tensor]] = {
    "photographed": photographed,
    "mild": mild,
    "plain": plain,
}


def _reduced(inputs: int, outputs: int, stride: tuple[int, int]) -> nn.Sequential:
    """A strided 3 x 3 convolution, normalised, with an activation."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
        BatchNorm2d(outputs),
        nn.Hardswish(),
    )


class Block(nn.Module):
    """Residual: depthwise 3 x 3 convolution, then two pointwise ones over twice the channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.norm = BatchNorm2d(channels)
        self.widen = nn.Conv2d(channels, 2 * channels, 1)
        self.narrow = nn.Conv2d(2 * channels, channels, 1)
        self.scale = nn.Parameter(torch.full((channels,), 0.1))

    def forward(self, grid: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        change: Tensor = self.narrow(F.hardswish(self.widen(self.norm(self.depthwise(grid)))))
        return grid + self.scale[:, None, None] * change


class Mixer(nn.Module):
    """A pre-norm transformer block over the frames of a line; the MLP is twice as wide."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.qkv, self.project = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.mlp = nn.Sequential(nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim))

    def forward(self, frames: Tensor) -> Tensor:
        """(B, L, D) to the same shape."""
        batch, length, _ = frames.shape
        split = self.qkv(self.norm1(frames)).view(batch, length, 3, self.heads, -1)
        parts = split.permute(2, 0, 3, 1, 4).reshape(3, batch * self.heads, length, -1)
        query, key, value = parts.unbind(0)  # each (B * heads, L, D / heads)
        scores = torch.bmm(query * query.shape[-1] ** -0.5, key.transpose(1, 2))
        mixed = torch.bmm(scores.softmax(-1).to(value.dtype), value)
        mixed = mixed.view(batch, self.heads, length, -1).transpose(1, 2).reshape(frames.shape)
        frames = frames + self.project(mixed)
        change: Tensor = self.mlp(self.norm2(frames))
        return frames + change


class ConvCTC(nn.Module):
    """Strided stem, blocks at 8 and 4 rows, one frame a column of 4 pixels, transformer, classifier."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        if config.size not in SIZES:
            raise unknown_name("size of conv-ctc", config.size, SIZES)
        if config.height % 8 or config.width % 4:
            raise StrbenchError(
                "conv-ctc: expected a height divisible by 8 and a width divisible by 4, found "
                f"{config.height} and {config.width}.",
                hint="--set height=32 --set width=128",
            )
        size = SIZES[config.size]
        first, second, third = size.channels
        self.config = config
        self.blank = len(charset(config.charset))
        self.grid = nn.Sequential(
            _reduced(1, first, (2, 2)),
            _reduced(first, second, (2, 2)),
            *(Block(second) for _ in range(size.blocks[0])),
            _reduced(second, third, (2, 1)),
            *(Block(third) for _ in range(size.blocks[1])),
        )
        self.line = nn.Conv2d(third, size.dim, (config.height // 8, 1))  # all rows at once
        self.place = nn.Parameter(torch.zeros(config.width // 4, size.dim))
        self.mixers = nn.Sequential(*(Mixer(size.dim, size.heads) for _ in range(size.mixers)))
        self.norm = nn.LayerNorm(size.dim)
        self.classifier = nn.Linear(size.dim, self.blank + 1)
        nn.init.trunc_normal_(self.place, std=0.02)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, images: Tensor) -> Tensor:
        """Frame logits (B, W / 4, classes) of images (B, 3, H, W), RGB, or (B, 1, H, W), grey."""
        grey = augment.gray(images) if images.shape[1] == 3 else images
        deviation, mean = torch.std_mean(grey, dim=(1, 2, 3), keepdim=True)
        grey = (grey - mean) / deviation.clamp(min=_FLATTEST)
        grid = self.grid(grey.contiguous(memory_format=torch.channels_last))  # (B, C, H / 8, W / 4)
        frames = self.line(grid).squeeze(2).transpose(1, 2) + self.place  # (B, W / 4, D)
        logits: Tensor = self.classifier(self.norm(self.mixers(frames)))
        return logits

    def loss(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The loss on a batch of ``views``, with the share of words read right and of unusable ones."""
        return word_losses(self(batch["images"]), batch, blank=self.blank)


def reader(module: nn.Module, config: Config) -> Reader:
    """A function from images (B, 3, H, W), RGB in [0, 1], to (text, confidence), in order.

    Greedy CTC; the confidence is that of ``parts.ctc.greedy``.
    """
    model = cast(ConvCTC, module)
    characters = charset(config.charset)

    def read(images: Tensor) -> Readings:
        logits, blank = model(images), model.blank
        return spelled(characters, *greedy(logits, blank=blank), margins(logits, blank=blank))

    return reading(model, read)


CONV_CTC = Method(
    card=Card(
        name="conv-ctc",
        kind="recognizer",
        title="A small convolutional recognizer with CTC, for processors",
        code="this repository",
        licence="Apache-2.0",
        status="trained",
        expected="small.full, one seed: SVT 462/647, IC15 1129/2077, CUTE80 170/288, IIIT5K train "
        "1744/2000 (strbench-36); rendered words alone, 3.7 hours of one processor core",
        parameters={"micro": 151_637, "small": 1_801_797, "base": 5_947_221},
        charset="36",
        resize="stretch-bicubic",
        height=32,
        width=128,
        recipes=tuple(RECIPES),
        notes=(
            "strbench's own design, no paper's. Reads grey: colours become luma and each picture is "
            "standardised. 36 characters and the blank, which is last; at most 32 characters a word."
        ),
    ),
    recipes=RECIPES,
    build=ConvCTC,
    views=views,
    export=lambda module: dict(module.state_dict()),
    needs_labels=True,
    reader=reader,
    fresh=("classifier.",),
    shape=("size", "height", "width"),
)
