"""TextZoom: LMDBs of pairs under the authors' keys."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import lmdb

from layouts import Layout, picture


def pairs_lmdb(n: int, first: int = 0) -> bytes:
    """The data.mdb of n pairs; the last label is empty, as two are in the official set."""
    with TemporaryDirectory() as folder:
        with lmdb.open(folder, map_size=1 << 20) as env, env.begin(write=True) as transaction:
            for i in range(1, n + 1):
                transaction.put(b"image_hr-%09d" % i, picture(first + i, 64, 16))
                transaction.put(b"image_lr-%09d" % i, picture(first + i, 32, 8))
                transaction.put(b"label-%09d" % i, b"Word%d" % i if i < n else b"")
            transaction.put(b"num-samples", b"%d" % n)
        return Path(folder, "data.mdb").read_bytes()


def _test(name: str) -> Layout:
    return Layout(files={f"test/{name}/data.mdb": pairs_lmdb(4)}, n=4)


def _train() -> Layout:
    files = {"train1/data.mdb": pairs_lmdb(3), "train2/data.mdb": pairs_lmdb(2, first=3)}
    return Layout(files=files, n=5)


LAYOUTS = {
    **{
        (f"textzoom/test_{name}", "the authors' LMDB"): partial(_test, name)
        for name in ("easy", "medium", "hard")
    },
    ("textzoom/train", "the authors' two LMDBs of training pairs"): _train,
}
