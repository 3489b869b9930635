"""Protocols of super-resolution and segmentation by name, and their signature.

The same images give other figures where errors are pooled before the logarithm is taken, or masks are
resized before they are compared; each way has a name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from strbench.errors import unknown_name
from strbench.protocols import FINGERPRINT_DIGITS, SIGNATURE_VERSION
from strbench.types import Task


@dataclass(frozen=True, kw_only=True)
class ImageProtocol:
    """How made images become figures."""

    name: str
    task: Task
    title: str
    size: tuple[int, int] | None  # height and width to which images are brought; None: as they are
    pool: int | Literal["subset", "image"] = "image"  # images that share a squared error
    description: str
    differs: str
    source: str

    def explain(self) -> str:
        """Plain text for ``strbench show protocol NAME``."""
        return "\n".join(
            [
                f"{self.name}: {self.title}",
                "",
                self.description,
                f"Differs: {self.differs}",
                f"Source: {self.source}",
            ]
        )


_TEXTZOOM = "JasonBoy1/TextZoom, utils/ssim_psnr.py, interfaces/super_resolution.py"
_SIZES = (
    "Both images are brought to 128 x 32 pixels and the low-resolution one to 64 x 16, Pillow's bicubic; "
    "RGB in [0, 1], neither clamped nor rounded after restoring, no border cut off."
)


def _pooled(
    name: str, pool: int | Literal["subset"], title: str, differs: str, met: str
) -> ImageProtocol:
    return ImageProtocol(
        name=name,
        task="super-resolution",
        title=title,
        size=(32, 128),
        pool=pool,
        description=f"{_SIZES} The images of a batch share one squared error, and one mean of SSIM; the figure "
        "is the mean over batches, of which the last may be smaller and weighs as much as the others.",
        differs=differs,
        source=f"{_TEXTZOOM}; {met}",
    )


IMAGE_PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        ImageProtocol(
            name="textzoom",
            task="super-resolution",
            title="PSNR and SSIM, the mean over images",
            size=(32, 128),
            description=f"{_SIZES} PSNR of every image, and SSIM with zeros beyond the border; their means.",
            differs="from the published figures: those pool the squared error over batches first.",
            source=_TEXTZOOM,
        ),
        _pooled(
            "textzoom-subset",
            "subset",
            "PSNR and SSIM, pooled over the whole set",
            "from textzoom: one squared error over all images. On TextZoom's easy pairs enlarged by bicubic "
            "it gives 22.33 dB where the mean over images is 23.07.",
            "the bicubic rows that papers print (22.35 dB, 0.7884) are met by it to 0.02 dB",
        ),
        _pooled(
            "textzoom-batch512",
            512,
            "PSNR and SSIM, pooled over batches of 512",
            "from textzoom: batches of 512 in stored order; the official loader shuffles them, so printed "
            "figures depend on its seed.",
            "batch size of the paper",
        ),
        _pooled(
            "textzoom-batch1024",
            1024,
            "PSNR and SSIM, pooled over batches of 1,024",
            "from textzoom-batch512: the batch size.",
            "batch size of its README",
        ),
        _pooled(
            "textzoom-batch48",
            48,
            "PSNR and SSIM, pooled over batches of 48",
            "from textzoom-batch512: the batch size.",
            "batch size of TPGSR and C3-STISR",
        ),
        ImageProtocol(
            name="textseg",
            task="segmentation",
            title="IoU over all pixels, and F over images, as TexRNet",
            size=None,
            description="Masks are compared as they are stored. Effects count as background, ignored pixels not "
            "at all. fgIoU and mIoU are pooled over all pixels of the set; F is the harmonic mean of the mean "
            "precision and the mean recall over images. A pixel is text from a probability of 0.5 on.",
            differs="from word-crops: whole images, large ones weigh more. TexRNet's own figures average its "
            "network over seven scales first, which is a matter of the model.",
            source="SHI-Labs/Rethinking-Text-Segmentation, lib/evaluate_service.py",
        ),
        ImageProtocol(
            name="word-crops",
            task="segmentation",
            title="IoU of words, the mean over crops of 32 x 128 pixels",
            size=(32, 128),
            description="Masks of words are brought to 128 x 32 pixels, nearest neighbours. Effects count as "
            "background, ignored pixels not at all. IoU of text of every crop, and the mean; a crop without text "
            "on both sides counts 1. A pixel is text from a probability of 0.5 on.",
            differs="from textseg: every word weighs the same.",
            source="the task of DiG and CCD (TongkunGuan/CCD), whose code is not to be reached or stops at empty "
            "crops",
        ),
    )
}


def image_protocol(name: str) -> ImageProtocol:
    """The protocol of that name.

    Raises:
        StrbenchError: none has it; near names are listed.
    """
    if name not in IMAGE_PROTOCOLS:
        raise unknown_name(
            "protocol of images", name, IMAGE_PROTOCOLS, hint="See: strbench list protocols"
        )
    return IMAGE_PROTOCOLS[name]


def of_task(task: Task) -> dict[str, ImageProtocol]:
    """The protocols of one task, by name."""
    return {name: one for name, one in IMAGE_PROTOCOLS.items() if one.task == task}


def signature(
    protocol: ImageProtocol,
    split: str,
    n: int,
    fingerprint: str,
    *,
    labels: str,
    recognizer: str = "",
) -> str:
    """The line that says all that moves a figure.

    >>> signature(image_protocol("textzoom"), "textzoom/test_easy", 1619, "3f9a1c2b77", labels="official")
    'psnr|textzoom|labels:official|n:1619|textzoom/test_easy@3f9a1c2b|v0.1'
    """

    def clean(text: str) -> str:
        return re.sub(r"[^A-Za-z0-9_.+-]+", "-", text) or "unknown"

    return "|".join(
        (
            "psnr" if protocol.task == "super-resolution" else "iou",
            protocol.name,
            *([f"recognizer:{clean(recognizer)}"] if recognizer else []),
            f"labels:{clean(labels)}",
            f"n:{n}",
            f"{split}@{fingerprint[:FINGERPRINT_DIGITS]}",
            SIGNATURE_VERSION,
        )
    )
