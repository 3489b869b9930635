"""Random patch masks that depend on nothing but each image's seed, and pixels as patch rows."""

from __future__ import annotations

from torch import Tensor

from strbench.draws import uniforms

MASK_STREAM = 100  # behind the numbers that parts.views.Stream uses


def random_masks(seeds: Tensor, patches: int, ratio: float) -> Tensor:
    """Masks (B, patches), True where a patch is hidden: int(ratio * patches) of them a row.

    Every subset of that size is equally likely over seeds (B,) int64, and a row depends on its own
    seed alone, so a resumed or reordered run hides the same patches. At 256 patches a ratio of 0.7
    hides 179 and 0.6 hides 153, as DiG's official code counts them.
    """
    hidden = int(ratio * patches)
    if not 0 <= hidden <= patches:
        raise ValueError(f"mask ratio {ratio} is outside 0 to 1")
    order = uniforms(seeds, patches, MASK_STREAM).argsort(1)  # (B, L), a random permutation
    return order.argsort(1) < hidden


def patch_pixels(images: Tensor, patch: tuple[int, int]) -> Tensor:
    """Images (B, C, H, W) as rows of pixels (B, L, p1 * p2 * C), row-major, channels last.

    >>> import torch
    >>> patch_pixels(torch.arange(16.0).view(1, 1, 4, 4), (2, 2))[0, 1]
    tensor([2., 3., 6., 7.])
    """
    batch, channels, height, width = images.shape
    rows, columns = patch
    blocks = images.view(batch, channels, height // rows, rows, width // columns, columns)
    return blocks.permute(0, 2, 4, 3, 5, 1).reshape(batch, -1, rows * columns * channels)


def masked_rows(tokens: Tensor, mask: Tensor) -> Tensor:
    """The rows of ``tokens`` (B, L, D) where ``mask`` (B, L) is True: (B, M, D), in order.

    Every row of the mask must hide the same number of patches.
    """
    return tokens[mask].view(len(tokens), -1, tokens.shape[-1])
