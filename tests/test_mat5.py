"""The streaming reader of MATLAB 5 files beside scipy, which wrote them and reads them whole."""

from __future__ import annotations

import tracemalloc
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from strbench.annotations.mat5 import variables
from strbench.errors import StrbenchError

io = pytest.importorskip("scipy.io")


def cells(values: list[object]) -> np.ndarray:
    array = np.empty((1, len(values)), object)
    for i, value in enumerate(values):
        array[0, i] = value
    return array


def write(path: Path, *, compressed: bool = True, **arrays: object) -> Path:
    io.savemat(path, arrays, do_compression=compressed)
    return path


@pytest.mark.parametrize("compressed", [True, False])
def test_cells_are_what_scipy_reads(tmp_path: Path, compressed: bool) -> None:
    rng = np.random.default_rng(0)
    texts = [np.array(["two  ", "lines"]), np.array(["é€x"]), np.array(["a"]), np.array([""])]
    path = write(
        tmp_path / "gt.mat",
        compressed=compressed,
        names=cells(texts),
        boxes=cells(
            [
                rng.random((2, 4, 7)).astype(np.float32),
                rng.integers(0, 9, (2, 4)),
                np.float64(3.5),
                np.zeros((0, 0)),
            ]
        ),
        plain=np.arange(6.0).reshape(2, 3),
    )
    found = variables(path)
    whole = io.loadmat(path)
    assert list(found) == ["names", "boxes", "plain"]
    assert (found["boxes"].shape, found["boxes"].n, found["plain"].is_cell) == ((1, 4), 4, False)
    for mine, theirs in zip(found["boxes"].cells(), whole["boxes"][0], strict=True):
        assert isinstance(mine, np.ndarray)
        assert mine.shape == theirs.shape
        np.testing.assert_array_equal(mine, theirs)
    for mine, theirs in zip(found["names"].cells(), whole["names"][0], strict=True):
        assert "".join(map(str, theirs)) == "".join(mine)
    with pytest.raises(StrbenchError, match="plain is not a cell array"):
        next(found["plain"].cells())


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    path = write(tmp_path / "gt.mat", boxes=cells([rng.random((2, 4, 40)) for _ in range(4000)]))
    assert path.stat().st_size > 8_000_000
    tracemalloc.start()
    total = sum(np.asarray(cell).size for cell in variables(path)["boxes"].cells())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert total == 4000 * 320
    assert peak < 4_000_000


def test_every_truncation_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path / "gt.mat", boxes=cells([np.arange(8.0).reshape(2, 4)] * 9))
    data = path.read_bytes()
    short = tmp_path / "short.mat"
    for end in [*range(0, len(data) - 1, 3), 128]:
        short.write_bytes(data[:end])
        if end == 128:  # a header without variables is a whole file
            assert variables(short) == {}
        else:
            with pytest.raises(StrbenchError, match=r"short\.mat"):
                variables(short)


def test_flipped_bytes_give_cells_or_an_error(tmp_path: Path) -> None:
    path = write(tmp_path / "gt.mat", compressed=False, names=cells([np.array(["ab"])] * 5))
    data = path.read_bytes()
    rng = np.random.default_rng(1)
    bad = tmp_path / "bad.mat"
    for _ in range(600):
        mutated = bytearray(data)
        for at in rng.integers(0, len(data), 3):
            mutated[at] = rng.integers(0, 256)
        bad.write_bytes(mutated)
        with suppress(StrbenchError):
            for variable in variables(bad).values():
                if variable.is_cell and variable.n < 100:
                    list(variable.cells())


@pytest.mark.parametrize(
    ("data", "what"),
    [(b"", "header"), (b"\x89HDF" + bytes(200), "header"), (bytes(124) + b"\0\2IM", "0x0200")],
)
def test_other_files_are_named(tmp_path: Path, data: bytes, what: str) -> None:
    path = tmp_path / "gt.mat"
    path.write_bytes(data)
    with pytest.raises(StrbenchError, match=what):
        variables(path)
