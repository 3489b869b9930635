"""100,000 words cut out of photographs, beside the loop with which the field cuts them.

    python benchmarks/speed/cut_words.py [--words 100000] [--rounds 1]

The detection split holds 1280 x 720 JPEG photographs with 50 quadrilaterals each. Both sides decode a
photograph once, cut the upright box of every word and encode it as PNG into an LMDB. ``strbench data
crop`` also filters labels by name, decodes every written crop again, hashes its pixels, checks ids,
and writes manifest and fingerprint. The plain loop is Pillow's, one word after the other.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import lmdb
import numpy as np
from PIL import Image
from timing import interleaved, show

from strbench.datasets.cutting import cut_split
from strbench.store import Split, split_directory, write_split
from strbench.types import Region, Sample

PER_PHOTO = 50


def photographs(n: int) -> Iterator[Sample]:
    """Noise with smooth parts, so that JPEG and PNG have something to do, and words in a grid."""
    rng = np.random.default_rng(0)
    for number in range(n):
        coarse = rng.integers(0, 256, (45, 80, 3), dtype=np.uint8)
        buffer = io.BytesIO()
        photo = Image.fromarray(coarse).resize((1280, 720), Image.Resampling.BICUBIC)
        photo.save(buffer, "JPEG", quality=90)
        corners = rng.integers(0, (1150, 680), (PER_PHOTO, 2)).tolist()
        regions = tuple(
            Region(((x, y), (x + 103, y + 2), (x + 101, y + 34), (x - 1, y + 31)), f"word{i}")
            for i, (x, y) in enumerate(corners)
        )
        yield Sample(f"{number:06d}", buffer.getvalue(), regions=regions)


def plain_loop(split: Split, target: Path) -> None:
    """Crops into an LMDB in the field's key scheme."""
    env = lmdb.open(str(target), map_size=1 << 33)
    cache: dict[bytes, bytes] = {}
    count = 0

    def commit() -> None:
        with env.begin(write=True) as transaction:
            for key, value in cache.items():
                transaction.put(key, value)
        cache.clear()

    for i in range(split.n):
        photo = Image.open(io.BytesIO(split.image(i))).convert("RGB")
        for region in split.regions(i):
            xs, ys = zip(*region.polygon, strict=True)
            box = (max(min(xs), 0), max(min(ys), 0), min(max(xs), 1280), min(max(ys), 720))
            buffer = io.BytesIO()
            photo.crop(tuple(map(int, box))).save(buffer, "PNG")
            count += 1
            cache[b"image-%09d" % count] = buffer.getvalue()
            cache[b"label-%09d" % count] = str(region.text).encode()
            if count % 1000 == 0:
                commit()
    cache[b"num-samples"] = b"%d" % count
    commit()
    env.close()


def main() -> None:
    """Print both times and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--words", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        os.environ["STRBENCH_HOME"] = str(root / "home")
        pages = write_split(
            split_directory("speed/pages"),
            photographs(options.words // PER_PHOTO),
            dataset="speed",
            split="pages",
            labels="drawn",
            task="detection",
        )

        def ours() -> None:
            words, _ = cut_split(pages, "speed/words", crop="box", keep="legible", replace=True)
            assert words.n == pages.n * PER_PHOTO

        def theirs() -> None:
            shutil.rmtree(root / "theirs", ignore_errors=True)
            plain_loop(pages, root / "theirs")

        seconds = interleaved(
            {"strbench data crop": ours, "plain loop": theirs}, rounds=options.rounds
        )
    show(seconds, items=options.words, unit="words")


if __name__ == "__main__":
    main()
