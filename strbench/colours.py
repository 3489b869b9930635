"""More blocks of augmentation, on colours and pixels; the rules are those of ``strbench.augment``.

Images are float tensors (B, 3, H, W), RGB in [0, 1]; a parameter is a tensor with one value an image,
(B,), unless said otherwise. Neighbourhoods are those of the stretched image. Powers are taken in
float64: a processor may round them differently by place in the batch, and not after they are float32.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

_WHITE = (0.950456, 1.0, 1.088754)  # D65, as in OpenCV
_TO_XYZ = (  # sRGB primaries, IEC 61966-2-1
    (0.412453, 0.357580, 0.180423),
    (0.212671, 0.715160, 0.072169),
    (0.019334, 0.119193, 0.950227),
)
_BEND = 6 / 29  # of CIE Lab's cube root
MOST_COLOURS = 16  # of quantize_colours


def _column(values: Tensor) -> Tensor:
    """A parameter (B,) -> float32 (B, 1, 1, 1)."""
    return values.float().view(-1, 1, 1, 1)


# Colour spaces


def _mixed(images: Tensor, rows: Tensor) -> Tensor:
    """Channels mixed by a (3, 3) matrix, as sums and not as a matrix product, whose order may vary."""
    channels = images.unbind(1)
    return torch.stack(
        [
            sum((c * w for c, w in zip(channels, row, strict=True)), 0 * channels[0])
            for row in rows.tolist()
        ],
        1,
    )


def rgb_to_lab(images: Tensor) -> Tensor:
    """CIE Lab of sRGB images, D65, in float64: L in [0, 100], a and b about [-110, 110]."""
    images = images.double()
    linear = torch.where(
        images > 0.04045, ((images + 0.055) / 1.055).clamp(min=0) ** 2.4, images / 12.92
    )
    matrix = torch.tensor(_TO_XYZ, dtype=torch.float64) / torch.tensor(_WHITE)[:, None]
    xyz = _mixed(linear, matrix)
    root = torch.where(
        xyz > _BEND**3, xyz.clamp(min=1e-9) ** (1 / 3), xyz / (3 * _BEND**2) + 4 / 29
    )
    x, y, z = root.unbind(1)
    return torch.stack((116 * y - 16, 500 * (x - y), 200 * (y - z)), 1)


def lab_to_rgb(lab: Tensor) -> Tensor:
    """sRGB images (float32) of CIE Lab ones; colours that sRGB lacks are clipped."""
    light, a, b = lab.double().unbind(1)
    y = (light + 16) / 116
    root = torch.stack((y + a / 500, y, y - b / 200), 1)
    xyz = torch.where(root > _BEND, root**3, 3 * _BEND**2 * (root - 4 / 29))
    matrix = torch.tensor(_TO_XYZ, dtype=torch.float64).inverse() * torch.tensor(_WHITE)
    linear = _mixed(xyz, matrix)
    out = torch.where(
        linear > 0.0031308, 1.055 * linear.clamp(min=1e-9) ** (1 / 2.4) - 0.055, 12.92 * linear
    )
    return out.clamp(0, 1).float()


# Colours


def invert(images: Tensor) -> Tensor:
    """The negatives."""
    return 1 - images


def shuffle_channels(images: Tensor, order: Tensor) -> Tensor:
    """Images whose channel c is the former channel ``order[:, c]``; order is (B, 3) int64."""
    return images.gather(1, order[:, :, None, None].expand_as(images))


def gamma(images: Tensor, exponent: Tensor) -> Tensor:
    """Images raised to a power, channel by channel: above 1 darker, below 1 lighter."""
    return (images.double() ** exponent.double().view(-1, 1, 1, 1)).float()


def brightness(images: Tensor, factor: Tensor) -> Tensor:
    """Images whose HSV value is multiplied and kept within 1; hue and saturation stay."""
    value = images.amax(1, keepdim=True)
    return images * torch.minimum(_column(factor), 1 / value.clamp(min=1e-6))


def add_saturation(images: Tensor, amount: Tensor) -> Tensor:
    """Images with ``amount`` added to their HSV saturation, clipped; gray pixels have a red hue."""
    value, least = images.amax(1, keepdim=True), images.amin(1, keepdim=True)
    chroma = value - least
    saturation = chroma / value.clamp(min=1e-6)
    wanted = (saturation + _column(amount)).clamp(0, 1) * value  # the new chroma
    grown = value - (value - images) * (wanted / chroma.clamp(min=1e-6))
    red = torch.cat((value, value - wanted, value - wanted), 1)
    return torch.where(chroma > 1e-6, grown, red).clamp_(0, 1)


def kelvin_rgb(kelvin: Tensor) -> Tensor:
    """RGB (B, 3) in [0, 1] of a black body at 1,000 to 40,000 kelvin.

    Source: Tanner Helland's fit (2012) to Charity's table of black-body colours.
    """
    t = kelvin.double() / 100
    warm = t <= 66
    red = torch.where(warm, 255.0, 329.698727446 * (t - 60).clamp(min=1) ** -0.1332047592)
    green = torch.where(
        warm,
        99.4708025861 * t.log() - 161.1195681661,
        288.1221695283 * (t - 60).clamp(min=1) ** -0.0755148492,
    )
    blue = 138.5177312231 * (t - 10).clamp(min=1).log() - 305.0447927307
    blue = torch.where(t >= 66, 255.0, torch.where(t <= 19, 0.0, blue))
    return torch.stack((red, green, blue), 1).clamp(0, 255) / 255


def colour_temperature(images: Tensor, kelvin: Tensor) -> Tensor:
    """Images as if lit by a black body: about 6,600 kelvin changes nothing, less is redder."""
    return images * kelvin_rgb(kelvin).float()[:, :, None, None]


def equalize(images: Tensor) -> Tensor:
    """Images whose lightness (L of CIE Lab, in 256 levels) is spread by its cumulative histogram.

    An image of one lightness stays. Source: OpenCV's equalizeHist on Lab, as imgaug calls it.
    """
    lab = rgb_to_lab(images)
    levels = (lab[:, 0] * 2.55).round().long().clamp(0, 255).flatten(1)  # (B, H * W)
    counts = torch.zeros(len(images), 256, dtype=torch.int64, device=images.device)
    counts.scatter_add_(1, levels, torch.ones_like(levels))
    below = counts.cumsum(1)
    first = below.gather(1, levels.amin(1, keepdim=True))  # pixels of the darkest level
    total = levels.shape[1]
    table = (below - first).double() / (total - first).clamp(min=1)
    spread = table.gather(1, levels).view_as(lab[:, 0]) * 100
    flat = (first == total)[:, :, None]
    lab[:, 0] = torch.where(flat, lab[:, 0], spread)
    return lab_to_rgb(lab)


def quantize_colours(images: Tensor, count: Tensor, *, steps: int = 10) -> Tensor:
    """Images reduced to ``count`` (2 to 16) colours each, by ``steps`` rounds of k-means in RGB.

    The first centres are pixels at equal ranks of brightness. Channels and centres are whole numbers
    of 10 bits, so that every sum and product is exact, in whatever order.
    """
    pixels = (images.flatten(2) * 1023).round()  # (B, 3, N)
    n = pixels.shape[2]
    ranks = pixels.sum(1).argsort(dim=1, stable=True)  # (B, N)
    number = torch.arange(MOST_COLOURS, device=images.device)
    used = number < count[:, None]  # (B, K)
    place = ((2 * number + 1) * n // (2 * count[:, None])).clamp(max=n - 1)
    start = ranks.gather(1, place)
    centres = pixels.gather(2, start[:, None].expand(-1, 3, -1))  # (B, 3, K)
    own = torch.zeros_like(ranks)
    for _ in range(steps):
        norms = torch.where(used, centres.square().sum(1), torch.inf)
        own = (norms[:, None] - 2 * pixels.transpose(1, 2) @ centres).argmin(2)  # (B, N)
        sizes = torch.zeros_like(place).scatter_add_(1, own, torch.ones_like(own))  # (B, K)
        sums = torch.zeros_like(centres, dtype=torch.int64)
        sums.scatter_add_(2, own[:, None].expand(-1, 3, -1), pixels.long())
        means = (sums.double() / sizes.clamp(min=1)[:, None]).round().float()
        centres = torch.where((sizes > 0)[:, None], means, centres)
    return (centres.gather(2, own[:, None].expand(-1, 3, -1)) / 1023).view_as(images)


# Pixels


def drop_pixels(images: Tensor, share: Tensor, numbers: Tensor) -> Tensor:
    """Images that are black where ``numbers`` (B, 1 or 3, H, W), uniform in (0, 1), are below ``share``."""
    return images * (numbers >= _column(share))


def replace_pixels(images: Tensor, share: Tensor, numbers: Tensor, values: Tensor) -> Tensor:
    """Images with ``values`` (B, 1 or 3, H, W) where ``numbers`` (the same) are below ``share``."""
    return torch.where(numbers < _column(share), values, images)


def multiply_pixels(images: Tensor, factors: Tensor) -> Tensor:
    """Images times ``factors`` (B, 1 or 3, H, W), clipped."""
    return (images * factors).clamp_(0, 1)


# Neighbourhoods


def average_blur(images: Tensor, size: Tensor, *, most: int = 6) -> Tensor:
    """Means over squares of ``size`` (1 to ``most``) pixels a side, mirrored at the border.

    An even square reaches one pixel further up and left. Source: OpenCV's blur.
    """
    before, after = most // 2, (most - 1) // 2
    offsets = torch.arange(-before, after + 1, device=images.device)
    near, far = -(size // 2), size - 1 - size // 2
    weights = (offsets >= near[:, None]) & (offsets <= far[:, None])
    parts = weights.double() / size[:, None]  # (B, most)
    for dim in (2, 3):
        sides = (before, after, 0, 0) if dim == 3 else (0, 0, before, after)
        padded = F.pad(images, sides, mode="reflect")
        total = torch.zeros_like(images)
        for k in range(len(offsets)):
            total += padded.narrow(dim, k, images.shape[dim]) * _column(parts[:, k])
        images = total
    return images


def median_blur(images: Tensor, size: int) -> Tensor:
    """Medians, channel by channel, over squares of ``size`` (odd) pixels a side; edges repeated."""
    reach = size // 2
    padded = F.pad(images, (reach,) * 4, mode="replicate")
    squares = padded.unfold(2, size, 1).unfold(3, size, 1)  # (B, 3, H, W, size, size)
    return squares.flatten(4).median(4).values


def emboss(images: Tensor, alpha: Tensor, strength: Tensor) -> Tensor:
    """Images blended by ``alpha`` with a relief lit from the lower right, mirrored at the border.

    The relief's 3x3 kernel is (-1-s, -s, 0; -s, 1, s; 0, s, 1+s). Source: imgaug's Emboss.
    """
    height, width = images.shape[2:]
    padded = F.pad(images, (1, 1, 1, 1), mode="reflect")
    alpha, strength = alpha.double(), strength.double()
    # the kernel is odd about its centre but for the centre itself, which is 1 before blending too
    total = images.clone()
    for row, column, weight in ((0, 0, strength + 1), (0, 1, strength), (1, 0, strength)):
        ahead = padded[:, :, 2 - row : 2 - row + height, 2 - column : 2 - column + width]
        behind = padded[:, :, row : row + height, column : column + width]
        total += (ahead - behind) * _column(alpha * weight)
    return total.clamp_(0, 1)
