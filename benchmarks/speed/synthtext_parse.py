"""SynthText's annotation read at its full size: time and memory, beside scipy.

    python benchmarks/speed/synthtext_parse.py [--images 858750]

Writes a ``gt.mat`` of that many pictures (a block of 1,000 invented ones, repeated, 8.5 words and 34
characters each, which is SynthText's mean) and reads it in two processes of its own. strbench streams
the file and makes a region of every word, with text, clockwise polygon and characters. The plain loop is
what the field does, ``scipy.io.loadmat``, and then a dictionary of the same parts. Figures are seconds and
the largest resident size of each process.
"""

from __future__ import annotations

import argparse
import io
import resource
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from itertools import pairwise
from pathlib import Path

import numpy as np
from scipy.io import loadmat, savemat

BLOCK = 1000  # pictures that differ
HEADS = {"imnames": 16, "wordBB": 16, "charBB": 16, "txt": 8}  # bytes of each name's sub-element


def block() -> dict[str, bytes]:
    """The cells of 1,000 pictures, as a MATLAB 5 file has them."""
    rng = np.random.default_rng(0)
    columns = {name: np.empty((1, BLOCK), object) for name in HEADS}
    for i in range(BLOCK):
        words = ["abcdefgh"[: rng.integers(1, 8)] for _ in range(rng.integers(1, 17))]
        n = sum(map(len, words))
        columns["imnames"][0, i] = np.array([f"{i % 200 + 1}/picture_{i}_0.jpg"])
        # one word, or one character, has no third dimension
        shape = [(2, 4, k) if k > 1 else (2, 4) for k in (len(words), n)]
        columns["wordBB"][0, i] = (rng.random(shape[0]) * 600).astype(np.float32)
        columns["charBB"][0, i] = rng.random(shape[1]) * 600
        lines = [" ".join(words[k : k + 4]) for k in range(0, len(words), 4)]
        width = max(map(len, lines))
        columns["txt"][0, i] = np.array([line.ljust(width) for line in lines])
    cells = {}
    for name, column in columns.items():
        buffer = io.BytesIO()
        savemat(buffer, {name: column}, do_compression=False)
        # file header, tag of the variable, its flags and dimensions, its name
        cells[name] = buffer.getvalue()[128 + 8 + 16 + 16 + HEADS[name] :]
    return cells


def write(path: Path, images: int) -> None:
    """A gt.mat of ``images`` pictures, a multiple of 1,000 or rounded down to one."""
    repeats = images // BLOCK
    with path.open("wb") as file:
        file.write(b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack("<H", 0x0100) + b"IM")
        for name, cells in block().items():
            spelt = name.encode()
            if len(spelt) > 4:
                title = struct.pack("<II", 1, len(spelt)) + spelt.ljust(8, b"\0")
            else:
                title = struct.pack("<HH", 1, len(spelt)) + spelt.ljust(4, b"\0")
            head = struct.pack("<IIII", 6, 8, 1, 0)  # array flags: a cell array
            head += struct.pack("<IIii", 5, 8, 1, repeats * BLOCK) + title
            start = file.tell()
            file.write(bytes(8))
            squeeze = zlib.compressobj(1)
            size = len(head) + repeats * len(cells)
            file.write(squeeze.compress(struct.pack("<II", 14, size) + head))
            for _ in range(repeats):
                file.write(squeeze.compress(cells))
            file.write(squeeze.flush())
            end = file.tell()
            file.seek(start)
            file.write(struct.pack("<II", 15, end - start - 8))
            file.seek(end)


def ours(path: Path) -> tuple[int, int, int]:
    """Pictures, words and characters, streamed."""
    from strbench.annotations.matlab import read_synthtext

    pictures = words = characters = 0
    for _, regions in read_synthtext(path):
        pictures += 1
        words += len(regions)
        characters += sum(len(region.characters) for region in regions)
    return pictures, words, characters


def clockwise(points: list[list[float]]) -> list[list[float]]:
    """The points in the order that has a positive area."""
    area = sum(ax * by - bx * ay for (ax, ay), (bx, by) in pairwise([*points, points[0]]))
    return points if area >= 0 else points[::-1]


def plain(path: Path) -> tuple[int, int, int]:
    """The same of a file that is loaded whole."""
    whole = loadmat(str(path))
    pictures = words = characters = 0
    columns = (whole["wordBB"][0], whole["charBB"][0], whole["txt"][0])
    for boxes, signs, lines in zip(*columns, strict=True):
        texts = [word for line in lines for word in line.split()]
        polygons = [clockwise(points) for points in boxes.reshape(2, 4, -1).T.tolist()]
        glyphs = [tuple(map(tuple, points)) for points in signs.reshape(2, 4, -1).T.tolist()]
        at = 0
        for text, polygon in zip(texts, polygons, strict=True):
            record = {"text": text, "polygon": polygon, "characters": glyphs[at : at + len(text)]}
            at += len(record["text"])
        pictures += 1
        words += len(polygons)
        characters += at
    return pictures, words, characters


def main() -> None:
    """Print time, memory and counts of both."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, default=858_750)
    parser.add_argument("--read", choices=("ours", "plain"), help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.read:
        begun = time.perf_counter()
        found = {"ours": ours, "plain": plain}[options.read](options.file)
        took = time.perf_counter() - begun
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"{took:8.1f} s  {peak:8.0f} MB  {found[0]:,} pictures, {found[1]:,} words, "
              f"{found[2]:,} characters")  # fmt: skip
        return
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "gt.mat"
        write(path, options.images)
        print(f"gt.mat of {path.stat().st_size / 1e6:.0f} MB")
        for way, title in (("ours", "strbench"), ("plain", "scipy loop")):
            command = [sys.executable, __file__, "--read", way, "--file", str(path)]
            shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            print(f"{title:10} {shown.strip()}")


if __name__ == "__main__":
    main()
