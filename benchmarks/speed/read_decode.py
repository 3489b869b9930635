"""From an LMDB to decoded arrays, and to model inputs, beside a plain Pillow loop.

    python benchmarks/speed/read_decode.py [--n 5000] [--rounds 5]

Drawn words are stored as JPEG (quality 90), as the field's training LMDBs hold them, and as PNG. strbench
reads with Split.image and loading.decode (simplejpeg for JPEG where the extra `fast` is installed),
on one thread and on a pool as prediction does. The plain loop gets each value in one transaction and
opens it with Pillow. Both give uint8 (H, W, 3) RGB arrays; that they are equal is checked for PNG.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import lmdb
import numpy as np
from PIL import Image
from timing import interleaved, show

from strbench.loading import decode, stretch
from strbench.rendered import TRAIN, draw_word
from strbench.store import Split, write_split
from strbench.types import Sample


def encoded(image: np.ndarray, kind: str) -> bytes:
    """The image as JPEG or PNG by Pillow."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, kind, **({"quality": 90} if kind == "JPEG" else {}))
    return buffer.getvalue()


def one_thread(split: Split) -> list[np.ndarray]:
    """Every image of the split, decoded."""
    return [decode(split.image(i)) for i in range(split.n)]


def pooled(split: Split, *, resize: bool = False) -> list[np.ndarray]:
    """Every image, decoded on all cores in chunks of 64, and resized to 32 x 128 if asked."""

    def chunk(start: int) -> list[np.ndarray]:
        images = [decode(split.image(i)) for i in range(start, min(start + 64, split.n))]
        return [stretch(image, 32, 128) for image in images] if resize else images

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        return [image for images in pool.map(chunk, range(0, split.n, 64)) for image in images]


def plain(folder: Path, *, resize: bool = False) -> list[np.ndarray]:
    """Every image by a loop of LMDB and Pillow."""
    images = []
    env = lmdb.open(str(folder), readonly=True, lock=False, readahead=False, meminit=False)
    with env.begin() as transaction:
        for index in range(1, int(transaction.get(b"num-samples", b"0")) + 1):
            data = transaction.get(b"image-%09d" % index, b"")
            image = Image.open(io.BytesIO(data)).convert("RGB")
            if resize:
                image = image.resize((128, 32), Image.Resampling.BICUBIC)
            images.append(np.asarray(image))
    env.close()
    return images


def main() -> None:
    """Print rates for JPEG and PNG, decoding alone and with the resize to 32 x 128."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--n", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    drawn = [draw_word(TRAIN, 0, index) for index in range(options.n)]
    print(f"simplejpeg {'is' if find_spec('simplejpeg') else 'is not'} installed")
    with tempfile.TemporaryDirectory() as name:
        for kind in ("JPEG", "PNG"):
            items = [
                Sample(f"{i:06d}", encoded(word.image, kind), word.label)
                for i, word in enumerate(drawn)
            ]
            folder = Path(name, kind)
            split = write_split(folder, items, dataset="speed", split=kind, labels="rendered")
            other = Path(name, f"{kind}-plain")  # LMDB opens a file only once in a process
            other.mkdir()
            shutil.copyfile(folder / "data.mdb", other / "data.mdb")
            if kind == "PNG":
                pairs = zip(one_thread(split), plain(other), strict=True)
                assert all(np.array_equal(a, b) for a, b in pairs)
            things: dict[str, Callable[[], object]] = {
                "strbench, all cores": partial(pooled, split),
                "strbench, one thread": partial(one_thread, split),
                "plain Pillow loop": partial(plain, other),
            }
            print(f"\n{options.n} words as {kind}: decoded")
            show(interleaved(things, rounds=options.rounds), items=options.n, unit="crops")
            resized: dict[str, Callable[[], object]] = {
                "strbench, all cores": partial(pooled, split, resize=True),
                "plain Pillow loop": partial(plain, other, resize=True),
            }
            print(f"{options.n} words as {kind}: decoded and resized to 32 x 128, Pillow bicubic")
            show(interleaved(resized, rounds=options.rounds), items=options.n, unit="crops")


if __name__ == "__main__":
    main()
