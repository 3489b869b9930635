"""Packing PNG crops into a store, beside the loop with which the field makes its LMDBs.

    python benchmarks/speed/pack_store.py [--n 5000] [--rounds 3]

strbench.store.write_split reads, decodes, hashes pixels, checks ids, writes the LMDB, its manifest and
fingerprint, and syncs to disk. The plain loop reads a file, decodes it with Pillow to be sure that it
is an image, and commits every 1,000 samples; it knows no ids, hashes nothing and writes no manifest.
Both start from the same files, which lie in the page cache. Target: twice as fast.
"""

from __future__ import annotations

import argparse
import io
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import lmdb
from PIL import Image
from timing import interleaved, show

from strbench.rendered import TRAIN, draw_word
from strbench.store import write_split
from strbench.types import Sample

TARGET = 2.0


def draw(folder: Path, n: int) -> list[tuple[Path, str]]:
    """Paths and labels of ``n`` drawn words, saved as PNG with Pillow's defaults."""
    rows = []
    for index in range(n):
        drawn = draw_word(TRAIN, 0, index)
        path = folder / f"{index:06d}.png"
        Image.fromarray(drawn.image).save(path)
        rows.append((path, drawn.label))
    return rows


def samples(rows: list[tuple[Path, str]]) -> Iterator[Sample]:
    """The samples of the files, read as they are asked for."""
    for path, label in rows:
        yield Sample(path.name, path.read_bytes(), label)


def plain_loop(rows: list[tuple[Path, str]], target: Path) -> None:
    """An LMDB in the field's key scheme, one sample after the other."""
    env = lmdb.open(str(target), map_size=1 << 30)
    cache: dict[bytes, bytes] = {}

    def commit() -> None:
        with env.begin(write=True) as transaction:
            for key, value in cache.items():
                transaction.put(key, value)
        cache.clear()

    for count, (path, label) in enumerate(rows, start=1):
        data = path.read_bytes()
        with Image.open(io.BytesIO(data)) as image:
            image.load()
        cache[b"image-%09d" % count] = data
        cache[b"label-%09d" % count] = label.encode()
        if count % 1000 == 0:
            commit()
    cache[b"num-samples"] = b"%d" % len(rows)
    commit()
    env.close()


def main() -> None:
    """Print both times and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--n", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        (root / "png").mkdir()
        rows = draw(root / "png", options.n)
        size = sum(path.stat().st_size for path, _ in rows)
        print(f"{options.n} PNG crops, {size / 1e6:.1f} MB")

        def ours() -> None:
            split = write_split(
                root / "ours", samples(rows), dataset="speed", split="test", labels="rendered",
                replace=True,
            )  # fmt: skip
            assert split.n == options.n

        def theirs() -> None:
            shutil.rmtree(root / "theirs", ignore_errors=True)
            plain_loop(rows, root / "theirs")

        seconds = interleaved(
            {"store.write_split": ours, "plain loop": theirs}, rounds=options.rounds
        )
    show(seconds, items=options.n, unit="crops")
    ratio = min(seconds["plain loop"]) / min(seconds["store.write_split"])
    print(
        f"target {TARGET:g} times as fast: {'met' if ratio >= TARGET else 'MISSED'} with {ratio:.2f}"
    )


if __name__ == "__main__":
    main()
