"""Cell arrays of a MATLAB 5 file, one cell at a time.

scipy reads such a file whole; for SynthText's ``gt.mat`` (858,750 photographs, 7.3 million words with
their characters) that takes more memory than many machines have. Here each variable is inflated and
parsed as it is asked for, so that memory does not grow with the file. Only what those files hold is
read: cell arrays of numbers and of text, and plain numbers and text.

Source: MAT-File Format, version 5 (The MathWorks), chapter 1.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from strbench.annotations.rows import fault

_MATRIX, _COMPRESSED = 14, 15
_CELL, _CHAR = 1, 4  # array classes; 6 to 15 are numbers
_NUMBERS = range(6, 16)
# Data types of stored numbers and, last, of text: MATLAB keeps numbers in the smallest type that holds
# them, whatever the array's class.
_TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8",
          16: "u1", 17: "u2", 18: "u4"}  # fmt: skip
_LARGEST = 1 << 28  # bytes of one element inside a cell; a longer one is damage
_CHUNK = 1 << 16

Value = NDArray[np.float64] | list[str]  # numbers (rows, columns, ...), or the rows of a text


class Openable(Protocol):
    """A ``Path``, a file in an archive, or bytes; as a text, its name."""

    def open(self, mode: Literal["rb"], /) -> IO[bytes]: ...


class _Damaged(Exception):
    """What is wrong, without the place."""


class _Plain:
    """The bytes of an element that is not compressed."""

    def __init__(self, file: IO[bytes], left: int) -> None:
        self._file = file
        self._left = left

    def read(self, n: int) -> bytes:
        data = self._file.read(min(n, self._left))
        self._left -= len(data)
        return _whole(data, n)


class _Inflated:
    """The bytes of a compressed element, inflated as they are read."""

    def __init__(self, file: IO[bytes], left: int) -> None:
        self._file = file
        self._left = left
        self._inflate = zlib.decompressobj()
        self._ready = b""
        self._at = 0

    def read(self, n: int) -> bytes:
        while len(self._ready) - self._at < n:
            data = self._inflate.unconsumed_tail
            if not data:
                data = self._file.read(min(_CHUNK, self._left))
                self._left -= len(data)
            if not data:
                break
            more = self._inflate.decompress(data, 16 * _CHUNK)
            self._ready, self._at = self._ready[self._at :] + more, 0
        data = self._ready[self._at : self._at + n]
        self._at += len(data)
        return _whole(data, n)


def _whole(data: bytes, n: int) -> bytes:
    if len(data) < n:
        raise _Damaged(f"it ends within an element (expected {n} more bytes, found {len(data)})")
    return data


_Stream = _Plain | _Inflated


@dataclass(frozen=True)
class Variable:
    """A variable of the file, found but not read."""

    name: str
    shape: tuple[int, ...]
    is_cell: bool
    _path: Openable
    _offset: int  # of its element
    _order: str  # "<" or ">"

    @property
    def n(self) -> int:
        """How many cells it has."""
        return int(np.prod(self.shape))

    def cells(self) -> Iterator[Value]:
        """The values of its cells, in MATLAB's order (down the columns).

        Raises:
            StrbenchError: the file is damaged here, or a cell holds something else than numbers or text.
        """
        if not self.is_cell:
            raise fault(f"{self._path}: {self.name} is not a cell array.")
        with self._path.open("rb") as file:
            file.seek(self._offset)
            for i in range(self.n + 1):
                try:
                    if i == 0:
                        stream = _element(file, self._order)
                        _head(stream, self._order)
                        continue
                    value = _value(stream, self._order)
                except (_Damaged, zlib.error, struct.error, ValueError) as error:
                    raise fault(
                        f"{self._path}: cell {i} of {self.name} cannot be read ({error}).",
                        "The file is damaged or another one: fetch the archive again.",
                    ) from error
                yield value


def variables(path: Openable) -> dict[str, Variable]:
    """The variables of a MATLAB 5 file by name; their values are not read.

    Raises:
        StrbenchError: no MATLAB 5 file, or a damaged one.
    """
    found: dict[str, Variable] = {}
    try:
        with path.open("rb") as file:
            order = _byte_order(file.read(128))
            end = file.seek(0, os.SEEK_END)
            offset = 128
            while offset < end:
                file.seek(offset)
                _, size = struct.unpack(order + "II", _whole(file.read(8), 8))
                if offset + 8 + size > end:
                    raise _Damaged(f"it is cut off at {end} of {offset + 8 + size} bytes or more")
                file.seek(offset)
                shape, name, kind = _head(_element(file, order), order)
                found[name] = Variable(name, shape, kind == _CELL, path, offset, order)
                offset += 8 + size
    except (_Damaged, zlib.error, struct.error, ValueError) as error:
        raise fault(
            f"{path} is not a readable MATLAB 5 file ({error}).",
            "The file is damaged or another one: fetch the archive again.",
        ) from error
    return found


def _byte_order(header: bytes) -> str:
    orders = {b"IM": "<", b"MI": ">"}
    if len(header) < 128 or header[126:128] not in orders:
        raise _Damaged("its header is another one")
    order = orders[header[126:128]]
    (version,) = struct.unpack(order + "H", header[124:126])
    if version != 0x0100:
        raise _Damaged(f"version 0x{version:04x}; MATLAB 7.3 files are HDF5")
    return order


def _element(file: IO[bytes], order: str) -> _Stream:
    """The matrix element at the file's position, behind its tag."""
    kind, size = struct.unpack(order + "II", _whole(file.read(8), 8))
    if kind == _MATRIX:
        return _Plain(file, size)
    if kind != _COMPRESSED:
        raise _Damaged(f"an element of type {kind} where a variable was expected")
    stream = _Inflated(file, size)
    inner, _ = struct.unpack(order + "II", stream.read(8))
    if inner != _MATRIX:
        raise _Damaged(f"a compressed element of type {inner} where a variable was expected")
    return stream


def _sub(stream: _Stream, order: str) -> tuple[int, bytes]:
    """Type and bytes of the next sub-element; small ones keep their data within the tag."""
    tag = stream.read(8)
    kind, size = struct.unpack(order + "II", tag)
    if kind >> 16:
        kind, size = kind & 0xFFFF, kind >> 16
        return kind, tag[4 : 4 + size]
    if size > _LARGEST:
        raise _Damaged(f"an element of {size} bytes")
    data = stream.read(size)
    stream.read(-size % 8)
    return kind, data


def _head(stream: _Stream, order: str) -> tuple[tuple[int, ...], str, int]:
    """Shape, name and class of an array."""
    _, flags = _sub(stream, order)
    _, shape = _sub(stream, order)
    _, name = _sub(stream, order)
    kind = struct.unpack(order + "I", _whole(flags[:4], 4))[0] & 0xFF
    sizes = struct.unpack(f"{order}{len(shape) // 4}i", shape)
    if any(size < 0 for size in sizes):
        raise _Damaged(f"an array of shape {sizes}")
    return sizes, name.decode("latin-1"), kind


def _value(stream: _Stream, order: str) -> Value:
    kind, size = struct.unpack(order + "II", stream.read(8))
    if kind != _MATRIX:
        raise _Damaged(f"an element of type {kind} where an array was expected")
    if not size:
        return np.zeros((0, 0))
    shape, _, array_class = _head(stream, order)
    if array_class not in (_CHAR, *_NUMBERS):
        raise _Damaged(f"an array of class {array_class}")
    stored, data = _sub(stream, order)
    if stored not in _TYPES:
        raise _Damaged(f"numbers of type {stored}")
    n = 1
    for extent in shape:
        n *= extent
    if array_class == _CHAR:
        return _text(data, stored, shape, n, order)
    numbers = np.frombuffer(data, order + _TYPES[stored])
    if numbers.size != n:
        raise _Damaged(f"{numbers.size} numbers for an array of shape {shape}")
    return numbers.astype(np.float64).reshape(shape, order="F")


def _text(data: bytes, stored: int, shape: tuple[int, ...], n: int, order: str) -> list[str]:
    """The rows of a character array; padding at their ends is kept."""
    encodings = {2: "latin-1", 4: "utf-16", 16: "utf-8", 17: "utf-16", 18: "utf-32"}
    if stored not in encodings:
        raise _Damaged(f"text of type {stored}")
    ending = "" if stored in (2, 16) else "-le" if order == "<" else "-be"
    signs = data.decode(encodings[stored] + ending)
    if len(signs) != n:
        raise _Damaged(f"{len(signs)} signs for a text of shape {shape}")
    rows = shape[0]
    return [signs[i::rows] for i in range(rows)]
