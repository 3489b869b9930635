"""Prediction files of images: what a restorer or a segmenter made of every sample.

strbench writes Parquet with the columns ``id`` and ``image``: the bytes of an array (NumPy's ``.npy``,
float32) of a restored image, the bytes of a grey PNG (255: surely text) of a mask. From elsewhere come
folders and zips of image files that are called like their samples: 8-bit values are then shares of 255.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from strbench.archive_members import damage_told
from strbench.errors import DATA, StrbenchError
from strbench.files import atomic_path
from strbench.loading import decode

Values = NDArray[np.float32]  # (H, W, 3) RGB, or (H, W), on the scale where 8-bit 255 is 1
_NUMPY = b"\x93NUMPY"


def encode_values(values: Values) -> bytes:
    """An array as the bytes of a ``.npy`` file."""
    buffer = io.BytesIO()
    np.save(buffer, values.astype(np.float32, copy=False), allow_pickle=False)
    return buffer.getvalue()


def encode_shares(values: Values) -> bytes:
    """Shares (H, W) in [0, 1] as a grey PNG; a half becomes 128."""
    grey = np.floor(np.clip(values, 0, 1) * 255 + 0.5).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(grey).save(buffer, "PNG")
    return buffer.getvalue()


def decode_values(data: bytes) -> Values:
    """The array in the bytes of a ``.npy`` file or of an image; a grey image gives (H, W).

    Raises:
        StrbenchError: neither, or values that are no numbers.
    """
    if data[: len(_NUMPY)] != _NUMPY:
        with io.BytesIO(data) as file:
            is_grey = _mode(file) in ("1", "L")
        pixels = decode(data)
        return (pixels[..., 0] if is_grey else pixels).astype(np.float32) / np.float32(255)
    try:
        values = np.load(io.BytesIO(data), allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise StrbenchError(f"not a readable array ({error})", exit_code=DATA) from error
    if values.dtype.kind != "f" or not np.isfinite(values).all():
        raise StrbenchError("not an array of finite float numbers", exit_code=DATA)
    return np.asarray(values, dtype=np.float32)


def _mode(file: io.BytesIO) -> str:
    try:
        with Image.open(file) as image:
            return str(image.mode)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return ""  # decode says what is wrong


class ImagePredictions(Mapping[str, Values]):
    """Sample id -> what was made of it, decoded when it is asked for."""

    def __init__(self, images: Mapping[str, bytes], place: str) -> None:
        self._images, self._place = images, place

    def __getitem__(self, id_: str) -> Values:
        try:
            return decode_values(self._images[id_])
        except StrbenchError as error:
            raise StrbenchError(
                f"{self._place}: {id_} is {error.message}.",
                hint="Make the file again.",
                exit_code=DATA,
            ) from error

    def __iter__(self) -> Iterator[str]:
        return iter(self._images)

    def __len__(self) -> int:
        return len(self._images)


def write_images(path: Path, ids: Sequence[str], images: Sequence[bytes]) -> ImagePredictions:
    """A Parquet file of encoded images, whole or not at all."""
    import polars as pl

    frame = pl.DataFrame(
        {"id": list(ids), "image": list(images)}, schema={"id": pl.String, "image": pl.Binary}
    )
    with atomic_path(path) as temporary:
        frame.write_parquet(temporary)
    return ImagePredictions(dict(zip(ids, images, strict=True)), str(path))


def read_images(path: Path, ids: Sequence[str]) -> ImagePredictions:
    """The predictions in a Parquet file, a folder or a zip, one for each of ``ids``.

    In a folder or zip a file is called like its sample, with any suffix; folders above it may be left out
    where that leaves no doubt.

    Raises:
        StrbenchError: no such file, one that is damaged, or a sample without a prediction or with two.
    """
    if not path.exists():
        raise StrbenchError(f"There is no file or folder {path}.", hint="Check the path.")
    found = _from_parquet(path) if path.suffix.lower() == ".parquet" else _from_files(path, ids)
    missing = [id_ for id_ in ids if id_ not in found]
    if missing:
        raise StrbenchError(
            f"{path} has no image for {len(missing)} of {len(ids)} samples, for example {missing[0]}.",
            hint="Every sample of the split is scored; make the missing ones too.",
            exit_code=DATA,
        )
    return ImagePredictions(found, str(path))


def _from_parquet(path: Path) -> dict[str, bytes]:
    import polars as pl

    try:
        frame = pl.read_parquet(path, columns=["id", "image"])
    except (pl.exceptions.PolarsError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise StrbenchError(
            f"{path} is no Parquet file with the columns id and image ({reason}).",
            hint="A folder or zip of image files will do too.",
            exit_code=DATA,
        ) from error
    found = dict(zip(frame["id"].to_list(), frame["image"].to_list(), strict=True))
    if len(found) != len(frame) or frame["id"].null_count() or frame["image"].dtype != pl.Binary:
        raise StrbenchError(
            f"{path}: expected one image for each id, found {len(frame)} rows of {len(found)} ids.",
            exit_code=DATA,
        )
    return found


def _from_files(path: Path, ids: Sequence[str]) -> dict[str, bytes]:
    if path.is_dir():
        files = {
            str(file.relative_to(path)): file.read_bytes
            for file in sorted(path.rglob("*"))
            if file.is_file() and not file.name.startswith(".")
        }
        return {id_: read() for id_, read in _matched(path, files, ids).items()}
    with damage_told(path), zipfile.ZipFile(path) as bundle:
        names = {info.filename: info for info in bundle.infolist() if not info.is_dir()}
        return {id_: bundle.read(info) for id_, info in _matched(path, names, ids).items()}


def _matched(path: Path, files: Mapping[str, Any], ids: Sequence[str]) -> dict[str, Any]:
    """Sample id -> file: by the whole name without its suffix, else by the last part alone."""
    for rule in (_without_suffix, lambda name: Path(name).stem):
        places: dict[str, list[str]] = {}
        for name in files:
            places.setdefault(rule(name), []).append(name)
        twice = [names for id_ in ids if len(names := places.get(rule(id_), [])) > 1]
        if any(rule(id_) in places for id_ in ids) and not twice:
            return {id_: files[places[rule(id_)][0]] for id_ in ids if rule(id_) in places}
    if not files:
        raise StrbenchError(f"{path} holds no file.", exit_code=DATA)
    raise StrbenchError(
        f"{path}: the files are not called like the samples, for example {next(iter(files))}; or "
        "several are called like one.",
        hint=f"Samples are called like {', '.join(list(ids)[:2])}.",
        exit_code=DATA,
    )


def _without_suffix(name: str) -> str:
    return str(Path(name).with_suffix(""))
