"""Draws the six splits of rendered words that recipe ``full`` of Conv-CTC is trained on.

The fonts are 1,189 files of 170 Debian packages (bookworm), free ones all; ``fonts.csv`` names them.
Bring them once, some 900 MB, and draw, about 80 minutes of one core:

    cut -d, -f1,2 fonts.csv | sort -u | grep -v '^package,' | tr , = | xargs apt-get download
    for deb in *.deb; do dpkg-deb -x "$deb" unpacked; done
    python benchmarks/conv_ctc/draw.py unpacked
    strbench finetune conv-ctc --recipe full --data rendered_mixed_a/train --data rendered_mixed_b/train \\
        --data rendered_irregular/train --data rendered_occluded/train --data rendered_hidden/train \\
        --data rendered_written/train

A quarter of the words of letters alone are blends: readable, and in no dictionary, as names on signs are.
"""

from __future__ import annotations

import argparse
import csv
import shutil
import sys
from dataclasses import replace
from pathlib import Path

from strbench.errors import DATA, StrbenchError
from strbench.files import file_sha256
from strbench.home import home
from strbench.rendered import HANDWRITTEN, TRAIN, RenderConfig, write
from strbench.store import split_directory

LIST = Path(__file__).with_name("fonts.csv")
KINDS = (
    ("word", 0.56),
    ("blend", 0.18),
    ("number", 0.09),
    ("price", 0.02),
    ("code", 0.07),
    ("punctuated", 0.08),
)


def gather(unpacked: Path, folder: Path) -> None:
    """Copies the listed fonts into ``folder``, named ``package--file``.

    Raises:
        StrbenchError: one is missing or another version.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for row in csv.DictReader(LIST.open(encoding="utf-8")):
        source = unpacked / "usr" / "share" / row["path"]
        if not source.is_file() or file_sha256(source)[:16] != row["sha256_16"]:
            found = "another file" if source.is_file() else "nothing"
            raise StrbenchError(
                f"{source}: expected the font of {row['package']} {row['version']}, found {found}.",
                hint=f"apt-get download {row['package']}={row['version']}, then dpkg-deb -x",
                exit_code=DATA,
            )
        shutil.copyfile(source, folder / f"{row['package']}--{source.name}")


def sets(fonts: Path) -> dict[str, tuple[RenderConfig, int, int]]:
    """Split name -> how it is drawn, its seed, its number of words."""
    base = replace(
        TRAIN, font_folder=str(fonts), kinds=KINDS, min_height=12, max_height=64, max_width=256
    )
    written = replace(HANDWRITTEN, kinds=KINDS, min_height=12, max_height=64, max_width=256)
    return {
        "rendered_mixed_a/train": (base, 11, 240_000),
        "rendered_mixed_b/train": (base, 12, 240_000),
        "rendered_irregular/train": (
            replace(base, geometry="irregular", min_height=16),
            13,
            130_000,
        ),
        "rendered_occluded/train": (replace(base, occlusion="weak"), 14, 60_000),
        "rendered_hidden/train": (replace(base, occlusion="heavy", min_length=3), 15, 30_000),
        "rendered_written/train": (written, 16, 20_000),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("unpacked", type=Path, help="the folder that holds usr/share/fonts")
    parser.add_argument("--only", action="append", default=[], metavar="SPLIT")
    given = parser.parse_args()
    fonts = home() / "fonts" / "conv-ctc"
    gather(given.unpacked, fonts)
    for name, (config, seed, n) in sets(fonts).items():
        if not given.only or name in given.only:
            split = write(
                name, split_directory(name), draw_as="rendered/train", n=n, seed=seed, config=config
            )
            print(f"{name}: {split.n} words")


if __name__ == "__main__":
    try:
        main()
    except StrbenchError as error:
        sys.exit(f"error: {error}\nhint: {error.hint}")
