"""A test set looked for in a training set of a million images, beside comparing all pairs.

    python benchmarks/speed/overlap_million.py [--train 1000000] [--test 3000] [--words 10000]

First the search: 64-bit hashes, random but for planted near-duplicates, within 10 bits. Both sides must
find the same pairs. The plain loop takes one test hash after the other and counts unlike bits against all
of the training set, vectorised. Then what comes before it: hashing a store of rendered words, beside only
decoding and shrinking them with Pillow in one process.
"""

from __future__ import annotations

import argparse
import io
import os
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from timing import interleaved, show

from strbench.hamming import pairs_within
from strbench.overlap import hash_split

DISTANCE = 10  # unlike bits; the default of `strbench data overlap`


def hashes(n_train: int, n_test: int) -> tuple[np.ndarray, np.ndarray]:
    """Training and test hashes; half of the test set is in the training set with up to 10 bits flipped."""
    rng = np.random.default_rng(0)
    train = rng.integers(0, 1 << 64, n_train, dtype=np.uint64)
    test = rng.integers(0, 1 << 64, n_test, dtype=np.uint64)
    for i in range(n_test // 2):
        flipped = rng.choice(64, rng.integers(0, DISTANCE + 1), replace=False)
        test[i] = train[rng.integers(n_train)] ^ np.bitwise_or.reduce(
            np.left_shift(np.uint64(1), flipped.astype(np.uint64)), initial=np.uint64(0)
        )
    return train, test


def main() -> None:
    """Print the times and their ratios."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--train", type=int, default=1_000_000)
    parser.add_argument("--test", type=int, default=3000)
    parser.add_argument("--words", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    train, test = hashes(options.train, options.test)
    found: dict[str, int] = {}

    def ours() -> None:
        found["ours"] = sum(len(i) for i, _ in pairs_within(test, train, DISTANCE))

    def theirs() -> None:
        found["theirs"] = sum(
            int((np.bitwise_count(train ^ one) <= DISTANCE).sum()) for one in test
        )

    seconds = interleaved({"strbench": ours, "all pairs": theirs}, rounds=options.rounds)
    assert found["ours"] == found["theirs"] >= options.test // 2
    print(f"{options.test:,} test in {options.train:,} training hashes: {found['ours']:,} pairs")
    show(seconds, items=options.test, unit="hashes")
    with tempfile.TemporaryDirectory() as name:
        os.environ["STRBENCH_HOME"] = name
        from strbench.rendered import prepare

        split = prepare("rendered/train", Path(name) / "data", n=options.words)

        def hashing() -> None:
            (split.directory / "hashes-1.npy").unlink(missing_ok=True)
            hash_split(split)

        def shrinking() -> None:
            for i in range(split.n):
                with Image.open(io.BytesIO(split.image(i))) as image:
                    image.convert("L").resize((32, 32), Image.Resampling.BOX)

        seconds = interleaved({"strbench": hashing, "Pillow": shrinking}, rounds=options.rounds)
    show(seconds, items=options.words, unit="images")


if __name__ == "__main__":
    main()
