"""The first three stages of clovaai's four: rectification, features, sequence; the fourth reads.

Baek et al., "What Is Wrong With Scene Text Recognition Model Comparisons? Dataset and Model
Analysis", ICCV 2019, section 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from strbench.errors import StrbenchError, unknown_name

from .convnets import VGG, ConvNet, ResNet29
from .recurrent import BiLSTM
from .tps import TPS

Transform = Literal["none", "tps"]
Features = Literal["vgg", "resnet"]
Sequence = Literal["none", "bilstm"]


@dataclass(frozen=True, kw_only=True)
class Size:
    """Widths of the stages."""

    features: int  # channels at the end of the convolutions; earlier stages are parts of it
    hidden: int  # units of an LSTM each way, and of the decoder
    blocks: tuple[int, int, int, int] = (1, 2, 5, 3)  # of the ResNet
    localisation: int = 512  # channels at the end of the network that places the fiducials
    embedding: int = 256  # width of a character where it enters the decoder as a learned vector


SIZES = {
    "full": Size(features=512, hidden=256),
    # ours, for a CPU
    "mini": Size(features=192, hidden=128, blocks=(1, 1, 2, 1), localisation=128, embedding=128),
    "micro": Size(features=32, hidden=64, blocks=(1, 1, 1, 1), localisation=32, embedding=64),
}


def size_named(name: str) -> Size:
    """The size of that name.

    Raises:
        StrbenchError: no size has it.
    """
    if name not in SIZES:
        raise unknown_name("size", name, SIZES)
    return SIZES[name]


def frames_of(features: Features, width: int) -> int:
    """Features that an image ``width`` pixels wide becomes: 24 (vgg) or 26 (resnet) of 100."""
    return width // 4 + (1 if features == "resnet" else -1)


class Encoder(nn.Module):
    """Images (B, channels, height, width) to a sequence of features (B, L, dim).

    Images are normalised, see ``to_channels``. ``transform`` (Identity or TPS), ``features`` and
    ``sequence`` (Identity or two BiLSTM) are its parts; weights are drawn as ``draw_weights`` says.

    Raises:
        StrbenchError: an unknown size, or an input too small for the pools.
    """

    def __init__(
        self,
        size: str,
        *,
        transform: Transform,
        features: Features,
        sequence: Sequence,
        channels: int = 1,
        height: int = 32,
        width: int = 100,
    ) -> None:
        super().__init__()
        widths = size_named(size)
        if height < 32 or width < 16:
            raise StrbenchError(
                f"An input of {height}x{width} pixels (height x width) was given to a network of "
                "five pools that needs 32x16 or more.",
                hint="--set height=32 --set width=100",
            )
        self.channels = channels
        self.frames = frames_of(features, width)
        self.transform: nn.Module = nn.Identity()
        if transform == "tps":
            self.transform = TPS(channels, height=height, width=width, widest=widths.localisation)
        self.features: ConvNet
        if features == "vgg":
            self.features = VGG(channels, width=widths.features)
        else:
            self.features = ResNet29(channels, width=widths.features, blocks=widths.blocks)
        self.sequence: nn.Module = nn.Identity()
        self.dim = widths.features
        if sequence == "bilstm":
            hidden = self.dim = widths.hidden
            self.sequence = nn.Sequential(
                BiLSTM(widths.features, hidden, hidden), BiLSTM(hidden, hidden, hidden)
            )
        draw_weights(self)

    def to_channels(self, images: Tensor) -> Tensor:
        """RGB images (B, 3, H, W) in [0, 1] as this encoder takes them, see ``to_channels``."""
        return to_channels(images, self.channels)

    def visual(self, images: Tensor) -> Tensor:
        """The features (B, C, 1, L) before the sequence model; rows, if several are left, averaged."""
        maps: Tensor = self.features(self.transform(images))
        return maps.mean(2, keepdim=True)

    def forward(self, images: Tensor) -> Tensor:
        out: Tensor = self.sequence(self.visual(images)[:, :, 0].transpose(1, 2))
        return out


def to_channels(images: Tensor, channels: int) -> Tensor:
    """RGB images (B, 3, H, W) in [0, 1] as (x - 0.5) / 0.5, gray (B, 1, H, W) if ``channels`` is 1.

    Gray is the luma of ITU-R BT.601, as Pillow's mode "L", which the official code reads.
    """
    if channels == 1:
        weights = images.new_tensor([0.299, 0.587, 0.114]).view(3, 1, 1)
        images = (images * weights).sum(1, keepdim=True)
    return images * 2 - 1


def draw_weights(module: nn.Module) -> None:
    """Matrices and kernels from a normal distribution with variance 2 / inputs, biases 0, scales 1.

    The layer that places the fiducials keeps its own start.

    Source: clovaai/deep-text-recognition-benchmark, train.py (Kaiming, by inputs, LSTM included).
    """
    kept = {
        id(p)
        for part in module.modules()
        if isinstance(part, TPS)
        for p in part.points.parameters()
    }
    for name, parameter in module.named_parameters():
        if id(parameter) in kept:
            continue
        if name.rpartition(".")[2].startswith("bias"):
            nn.init.zeros_(parameter)
        elif parameter.ndim == 1:
            nn.init.ones_(parameter)
        else:
            nn.init.kaiming_normal_(parameter)
