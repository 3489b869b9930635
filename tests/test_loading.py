"""Decoding: every sort of word image to RGB, every damaged one to one error."""

from __future__ import annotations

import io
import random
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from strbench import loading
from strbench.errors import DATA, StrbenchError
from strbench.loading import decode, prepare, resize_name, stretch
from strbench.types import Card

GRADIENT = np.stack(
    [np.add.outer(np.arange(32) * 3, np.arange(64) * k) % 256 for k in (1, 2, 3)], 2
).astype(np.uint8)


def encode(image: Image.Image | np.ndarray, form: str, **options: object) -> bytes:
    out = io.BytesIO()
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    picture.save(out, form, **options)
    return out.getvalue()


FORMS: dict[str, dict[str, object]] = {
    "JPEG": {}, "PNG": {}, "BMP": {}, "GIF": {}, "WEBP": {"lossless": True}, "TIFF": {}, "PPM": {},
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_formats(form: str) -> None:
    pixels = decode(encode(GRADIENT, form, **FORMS[form]))
    assert pixels.shape == (32, 64, 3)
    assert pixels.dtype == np.uint8
    assert pixels.flags.writeable
    if form not in ("JPEG", "GIF"):
        np.testing.assert_array_equal(pixels, GRADIENT)


def test_modes() -> None:
    image = Image.fromarray(GRADIENT)
    grey = np.array(image.convert("L"))
    for form in ("PNG", "TIFF", "BMP"):
        np.testing.assert_array_equal(decode(encode(grey, form)), np.stack([grey] * 3, 2))
    assert decode(encode(grey, "JPEG")).shape == (32, 64, 3)
    palette = image.quantize(16)
    np.testing.assert_array_equal(decode(encode(palette, "PNG")), np.array(palette.convert("RGB")))
    rgba = np.dstack([GRADIENT, np.full((32, 64), 7, np.uint8)])
    np.testing.assert_array_equal(decode(encode(rgba, "PNG")), GRADIENT)
    bilevel = image.convert("1")
    np.testing.assert_array_equal(
        decode(encode(bilevel, "PNG")), np.stack([np.array(bilevel) * np.uint8(255)] * 3, 2)
    )
    cmyk = encode(image.convert("CMYK"), "JPEG", quality=95)
    assert np.abs(decode(cmyk).astype(int) - GRADIENT).mean() < 30


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_sixteen_bits_keep_the_high_byte(form: str) -> None:
    deep = (np.arange(32 * 64).reshape(32, 64) * 32).astype(np.uint16)
    pixels = decode(encode(Image.fromarray(deep), form))
    np.testing.assert_array_equal(pixels, np.stack([deep >> 8] * 3, 2))


def test_thirty_two_bits_are_refused() -> None:
    for mode in ("I", "F"):
        with pytest.raises(StrbenchError, match="32 bits"):
            decode(encode(Image.fromarray(GRADIENT[..., 0]).convert(mode), "TIFF"))


def test_orientation_is_never_applied() -> None:
    turned = Image.Exif()
    turned[0x0112] = 6  # EXIF tag Orientation: turn by 90 degrees to view
    data = encode(GRADIENT, "JPEG", exif=turned)
    assert decode(data).shape == (32, 64, 3)


@pytest.mark.parametrize("form", FORMS)
def test_truncated_files_are_errors(form: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (32, 64, 3), dtype=np.uint8)
    data = encode(noise, form, **FORMS[form])
    for kept in (0, 1, 10, len(data) // 4, len(data) // 2, int(len(data) * 0.8)):
        with pytest.raises(StrbenchError) as caught:
            decode(data[:kept])
        assert caught.value.exit_code == DATA
        assert "0 bytes" in caught.value.message or "not a readable image" in caught.value.message


def mutations(data: bytes, rng: random.Random, count: int) -> list[bytes]:
    out = []
    for _ in range(count):
        changed = bytearray(data)
        kind = rng.randrange(4)
        if kind == 0:
            del changed[rng.randrange(len(data)) :]
        elif kind == 1:
            start = rng.randrange(len(data))
            del changed[start : start + rng.randrange(1, 40)]
        elif kind == 2:  # spliced with another part of itself
            start, source = rng.randrange(len(data)), rng.randrange(len(data))
            changed[start : start + 20] = data[source : source + rng.randrange(40)]
        for _ in range(rng.randrange(1, 8) if kind == 3 else rng.randrange(2)):
            if changed:  # headers are short, so every other flip goes there
                end = len(changed) if rng.random() < 0.5 else min(len(changed), 120)
                changed[rng.randrange(end)] ^= 1 << rng.randrange(8)
        out.append(bytes(changed))
    return out


@pytest.mark.parametrize("form", FORMS)
def test_nothing_but_our_error_escapes_from_damaged_files(
    form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several thousand mutated files; a picture comes out, or a StrbenchError."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1 << 20)  # flipped sizes would cost seconds each
    rng = random.Random(form)
    small = GRADIENT[:12, :20]
    sources = [encode(small, form, **FORMS[form])]
    if form in ("PNG", "TIFF", "GIF"):
        sources.append(encode(Image.fromarray(small).quantize(8), form))
    if form == "TIFF":
        sources += [encode(small, form, compression=c) for c in ("tiff_lzw", "jpeg", "packbits")]
    if form == "JPEG":
        sources.append(encode(small, form, progressive=True, exif=b"Exif\0\0II*\0\x08\0\0\0\1\0"))
    refused = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for source in sources:
            for data in mutations(source, rng, 4000 // len(sources)):
                try:
                    pixels = decode(data)
                except StrbenchError:
                    refused += 1
                else:
                    assert pixels.dtype == np.uint8
                    assert pixels.ndim == 3
                    assert pixels.shape[2] == 3
                    assert pixels.size > 0
    assert refused > 100


def test_pictures_of_absurd_size_are_refused_before_memory_is_asked_for() -> None:
    data = bytearray(encode(GRADIENT, "JPEG"))
    at = data.index(b"\xff\xc0") + 5  # baseline frame header: height and width follow
    data[at : at + 4] = b"\xff\x00\xff\x00"
    with pytest.raises(StrbenchError, match="not a readable image"):
        decode(bytes(data))


def test_other_readers_of_pillow_are_never_tried() -> None:
    with pytest.raises(StrbenchError, match="cannot identify"):
        decode(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n")


def test_both_jpeg_decoders_give_the_same_pixels(
    shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("simplejpeg")
    paths = sorted((shared / "real/recognition").rglob("*.jpg"))[::7]
    assert len(paths) > 20
    fast = [decode(path.read_bytes()) for path in paths]
    monkeypatch.setattr(loading, "simplejpeg", None)
    for path, pixels in zip(paths, fast, strict=True):
        np.testing.assert_array_equal(decode(path.read_bytes()), pixels, err_msg=path.name)


def test_resize_policies() -> None:
    stretched = stretch(GRADIENT, 16, 100)
    expected = np.array(Image.fromarray(GRADIENT).resize((100, 16), Image.Resampling.BICUBIC))
    np.testing.assert_array_equal(stretched, expected)
    data = encode(GRADIENT, "PNG")
    native = Card(name="n", kind="engine", title="t")
    fixed = Card(name="n", kind="engine", title="t", resize="stretch-bicubic", height=16, width=100)
    np.testing.assert_array_equal(prepare(data, native), GRADIENT)
    np.testing.assert_array_equal(prepare(data, fixed), expected)
    assert resize_name(native) == "native"
    assert resize_name(fixed) == "stretch-bicubic-16x100"
