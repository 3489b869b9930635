"""A detection set of 500 photographs to a store, beside the loop with which the field makes an LMDB.

    python benchmarks/speed/detection_store.py [--folder IC15_TEST] [--rounds 3]

``strbench data import ic15_det/test`` finds the layout, joins photographs and annotation files, parses
every row, checks counts, decodes and hashes the pixels, writes LMDB, manifest and fingerprint, and syncs
to disk. The plain loop splits rows at their commas, decodes with Pillow to be sure that a file is an
image, and commits every 100 photographs; it checks nothing else. Without --folder the set is drawn:
500 JPEG of 1280 x 720 with 5,230 quadrilaterals in files named like ICDAR 2015's.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import shutil
import tempfile
from pathlib import Path

import lmdb
import numpy as np
from PIL import Image
from timing import interleaved, show

from strbench.datasets import prepare

PHOTOS, REGIONS, IGNORED = 500, 5230, 3153  # of the ICDAR 2015 test set, whose counts are checked


def draw(folder: Path) -> Path:
    """A folder named and counted like the ICDAR 2015 test set, of noise with rectangles."""
    rng = np.random.default_rng(0)
    per_photo = [REGIONS // PHOTOS + (i < REGIONS % PHOTOS) for i in range(PHOTOS)]
    ignored = iter(rng.permutation([True] * IGNORED + [False] * (REGIONS - IGNORED)))
    (folder / "Imgs").mkdir(parents=True)
    (folder / "Gts").mkdir()
    for number, n in enumerate(per_photo, 1):
        coarse = rng.integers(0, 256, (90, 160, 3), dtype=np.uint8)
        photo = Image.fromarray(coarse).resize((1280, 720), Image.Resampling.BICUBIC)
        photo.save(folder / "Imgs" / f"img_{number}.jpg", quality=90)
        rows = []
        for _ in range(n):
            x, y = rng.integers(0, 1180), rng.integers(0, 690)
            text = "###" if next(ignored) else "Word, 12"
            rows.append(f"{x},{y},{x + 90},{y},{x + 90},{y + 28},{x},{y + 28},{text}\r\n")
        (folder / "Gts" / f"gt_img_{number}.txt").write_text("".join(rows), encoding="utf-8")
    return folder


def plain_loop(folder: Path, target: Path) -> None:
    """Photographs and annotation files into an LMDB, one after the other."""
    env = lmdb.open(str(target), map_size=1 << 30)
    photos = sorted((folder / "Imgs").glob("*.jpg"))
    cache: dict[bytes, bytes] = {}

    def commit() -> None:
        with env.begin(write=True) as transaction:
            for key, value in cache.items():
                transaction.put(key, value)
        cache.clear()

    for count, path in enumerate(photos, start=1):
        data = path.read_bytes()
        with Image.open(io.BytesIO(data)) as image:
            image.load()
        text = (folder / "Gts" / f"gt_{path.stem}.txt").read_text(encoding="utf-8-sig")
        rows = [line.split(",", 8) for line in text.splitlines() if line.strip()]
        regions = [{"points": [float(v) for v in row[:8]], "text": row[8]} for row in rows]
        cache[b"image-%09d" % count] = data
        cache[b"regions-%09d" % count] = json.dumps(regions).encode()
        if count % 100 == 0:
            commit()
    cache[b"num-samples"] = b"%d" % len(photos)
    commit()
    env.close()


def main() -> None:
    """Print both times and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--folder", type=Path, help="Imgs/img_N.jpg and Gts/gt_img_N.txt")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        os.environ["STRBENCH_HOME"] = str(root / "home")
        folder = options.folder or draw(root / "ic15")
        print(f"{'photographs of' if options.folder else 'drawn in'} {folder.name}")

        def ours() -> None:
            (split,) = prepare("ic15_det/test", folder, replace=True)
            assert split.manifest.counts["regions"] == REGIONS

        def theirs() -> None:
            shutil.rmtree(root / "theirs", ignore_errors=True)
            plain_loop(folder, root / "theirs")

        seconds = interleaved(
            {"strbench data import": ours, "plain loop": theirs}, rounds=options.rounds
        )
    show(seconds, items=PHOTOS, unit="photographs")


if __name__ == "__main__":
    main()
