"""MAE: a ViT encoder that sees a quarter of an image's patches, and a decoder that paints the rest.

He et al., "Masked Autoencoders Are Scalable Vision Learners", CVPR 2022, on word images as in Jiang
et al., "Revisiting Scene Text Recognition: A Data Perspective", ICCV 2023 (MAERec). Official code:
Mountchicken/Union14M, MIT, read and run, not copied; its pretraining is facebookresearch/mae with
patches of 4x4.

What differs from the official code: the encoder is the one that DiG's recognizers share.
- There is no class token; there one runs along in encoder and decoder, and later enters the
  recognizer's memory as a 257th feature.
- Positions are a sinusoid over the flattened tokens. There they are two-dimensional, but laid out for a
  square of 16 x 16 patches and used for 8 x 32, so that rows of the table are not rows of the image.
- Keys have no bias, which changes nothing in a softmax; the patch projection's bias starts at zero.
Followed from the code: inputs are (x - 0.5) / 0.5 (ImageNet's mean and deviation appear in fine-tuning
alone), no augmentation, targets normalised a patch by their unbiased variance, betas (0.9, 0.95).
The paper's base size is 768 wide ("base768"); "base" is DiG's 512.
Against the official modules at commit 7fbb89a over timm 1.0.31, run without the class token and with
these positions, same weights and inputs: features, predicted pixels and loss are equal to the last bit.
The official small and base have 46,755,888 and 110,733,360 parameters that learn, 9,088 and 14,080 more
than here: keys' biases and the class token.

*Expected:* no accuracy of its own; fine-tune with ``vit-ctc`` and score that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from strbench.errors import StrbenchError
from strbench.methods import LoopConfig, Method, View, WordBatch
from strbench.types import Card

from ..parts.contrast import spread
from ..parts.masking import masked_rows, patch_pixels, random_masks
from ..parts.views import plain
from ..parts.vit import NORM_EPS, Block, ViT, grid_of, init_linear, sinusoid, size_named


@dataclass(frozen=True, kw_only=True)
class Config(LoopConfig):
    """Values of the official docs/pretrain.md and mae/models_mae.py unless a comment says otherwise."""

    size: str = "small"  # a row of parts.vit.SIZES
    mask_ratio: float = 0.75
    decoder_dim: int = 512
    decoder_depth: int = 8
    decoder_heads: int = 16
    normalise_patches: bool = True  # targets have mean 0 and variance 1 in each patch
    batch_size: int = 1024  # 4 GPUs x 256
    epochs: float = 20.0
    lr: float = 1.5e-4  # times 1024 / 256 = 6e-4
    lr_batch: int = 256
    min_lr: float = 0.0
    warmup_epochs: float = 2.0
    weight_decay: float = 0.05
    betas: tuple[float, float] = (0.9, 0.95)


RECIPES: Mapping[str, Config] = {
    "paper": Config(),
    # Ours: 2.6 million images, sized for less than an hour on one GPU.
    "small": Config(
        size="tiny",
        decoder_dim=256,
        decoder_depth=4,
        decoder_heads=8,
        batch_size=256,
        epochs=0,
        steps=10_000,
        warmup_epochs=0,
        warmup_steps=500,
    ),
    # Ours: as many images as dig's recipe of this name sees.
    "cpu-hour": Config(
        size="mini",
        decoder_dim=128,
        decoder_depth=2,
        decoder_heads=4,
        batch_size=128,
        epochs=0,
        steps=900,
        warmup_epochs=0,
        warmup_steps=50,
        lr=1.5e-3,
        lr_batch=0,
    ),
    # Ours: for a CPU and under a minute.
    "smoke": Config(
        size="micro",
        decoder_dim=64,
        decoder_depth=2,
        decoder_heads=2,
        batch_size=128,
        epochs=0,
        steps=200,
        warmup_epochs=0,
        warmup_steps=20,
        lr=3e-3,
        lr_batch=0,
    ),
}


def views(config: Config) -> View:
    """The function from a WordBatch to what ``MaskedAutoencoder.loss`` takes.

    "images" (B, 3, H, W) normalised to [-1, 1], not augmented; "mask" (B, L), True where a patch is
    hidden; "target" (B, M, pixels a patch), the hidden patches as they are to be predicted. The mask
    depends on an image's seed alone.
    """
    size = size_named(config.size)
    rows, columns = grid_of(size, height=config.height, width=config.width)

    def view(batch: WordBatch) -> dict[str, Tensor]:
        images = plain(batch) * 2 - 1
        mask = random_masks(batch.seeds, rows * columns, config.mask_ratio)
        target = masked_rows(patch_pixels(images, size.patch), mask)
        if config.normalise_patches:
            target = normalised(target)
        return {"images": images, "mask": mask, "target": target}

    return view


def normalised(patches: Tensor) -> Tensor:
    """Rows of pixels (..., pixels) with mean 0 and variance 1; 1e-6 is added to the variance.

    A patch of one colour becomes zeros.

    Source: models_mae.py, forward_loss with norm_pix_loss.
    """
    variance, mean = torch.var_mean(patches, -1, keepdim=True)
    return (patches - mean) * (variance + 1e-6).rsqrt()


class MaskedAutoencoder(nn.Module):
    """``encoder`` (the shared ViT) and a narrower decoder over all patches."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        size = size_named(config.size)
        rows, columns = grid_of(size, height=config.height, width=config.width)
        if not 1 <= int(config.mask_ratio * rows * columns) < rows * columns:
            raise StrbenchError(
                f"mask_ratio={config.mask_ratio} hides {int(config.mask_ratio * rows * columns)} of "
                f"{rows * columns} patches; expected at least 1 and not all.",
                hint="--set mask_ratio=0.75",
            )
        self.encoder = ViT(size, height=config.height, width=config.width, stem_uniform=True)
        # Hidden patches do not enter the encoder: its own mask token waits for other methods.
        self.encoder.mask_token.requires_grad_(False)
        dim = config.decoder_dim
        self.narrow = nn.Linear(size.dim, dim)
        self.mask_token = nn.Parameter(0.02 * torch.randn(1, 1, dim))
        self.positions: Tensor
        self.register_buffer("positions", sinusoid(rows * columns, dim), persistent=False)
        self.blocks = nn.Sequential(
            *(
                Block(dim, config.decoder_heads, dropout=0, attention_dropout=0, drop_path=0)
                for _ in range(config.decoder_depth)
            )
        )
        self.norm = nn.LayerNorm(dim, eps=NORM_EPS)
        self.paint = nn.Linear(dim, 3 * size.patch[0] * size.patch[1])
        for part in (self.narrow, self.blocks, self.paint):
            init_linear(part)

    def encode(self, images: Tensor, mask: Tensor) -> Tensor:
        """Features (B, V, dim) of the visible patches, which see each other alone."""
        tokens = self.encoder.patch_embed(images).flatten(2).transpose(1, 2)  # (B, L, dim)
        tokens = masked_rows(tokens + self.encoder.positions, ~mask)
        for block in self.encoder.blocks:
            tokens = block(tokens)
        out: Tensor = self.encoder.norm(tokens)
        return out

    def decode(self, features: Tensor, mask: Tensor) -> Tensor:
        """Pixels (B, L, pixels a patch) from the features (B, V, dim) of the visible patches."""
        narrow = self.narrow(features)
        hidden = self.mask_token.to(narrow.dtype).expand(*mask.shape, -1)
        tokens = hidden.masked_scatter(~mask[..., None], narrow)  # (B, L, D)
        out: Tensor = self.paint(self.norm(self.blocks(tokens + self.positions)))
        return out

    def loss(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The loss on a batch of ``views``: mean squared error of the hidden patches.

        "feature_std" is the spread of image features: about 1 when healthy, 0 when collapsed.
        """
        mask = batch["mask"]
        features = self.encode(batch["images"], mask)
        painted = masked_rows(self.decode(features, mask), mask).float()  # (B, M, pixels)
        return {
            "loss": F.mse_loss(painted, batch["target"]),
            "feature_std": spread(features.detach()),
        }


def export(module: nn.Module) -> dict[str, Tensor]:
    """The encoder's tensors."""
    encoder = cast(MaskedAutoencoder, module).encoder
    return {f"encoder.{name}": tensor for name, tensor in encoder.state_dict().items()}


MAE = Method(
    card=Card(
        name="mae",
        kind="pretraining",
        title="MAE: masked autoencoder, as in MAERec",
        paper=(
            "Jiang et al., Revisiting Scene Text Recognition: A Data Perspective, ICCV 2023; He et "
            "al., Masked Autoencoders Are Scalable Vision Learners, CVPR 2022"
        ),
        code="github.com/Mountchicken/Union14M (MIT, not used)",
        licence="Apache-2.0",
        status="parity-checked",
        parameters={"small": 46_747_184, "base768": 110_720_048},
        resize="stretch-bicubic",
        height=32,
        width=128,
        recipes=tuple(RECIPES),
        notes=(
            "The encoder is the ViT of DiG's recognizers: no class token, one-dimensional positions "
            "(officially two-dimensional, of a 16 x 16 grid), keys without bias. base768 is the "
            "paper's base, 768 wide with 12 heads. Sizes mini and micro are strbench's own. Inputs "
            "are (x - 0.5) / 0.5, targets normalised a patch."
        ),
    ),
    recipes=RECIPES,
    build=MaskedAutoencoder,
    views=views,
    export=export,
    shape=("size", "height", "width"),
    feeds=("vit-ctc", "vit-attention", "vit-transformer", "vit-restorer", "vit-segmenter"),
)
