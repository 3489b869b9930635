"""Every sample checked and hashed, beside each other: what makes a split's fingerprint.

Import these names from ``strbench.store``.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from itertools import chain, islice
from multiprocessing import get_context

from strbench.errors import DATA, StrbenchError
from strbench.loading import decode
from strbench.masks import decode_mask
from strbench.regions import regions_to_json
from strbench.types import Sample

_CHUNK = 256  # samples a worker takes at once, and a transaction holds
_CHUNK_BYTES = 4 << 20  # and no more encoded bytes than this, unless one sample alone is larger
_MODULUS = 1 << 256


def sample_digest(sample: Sample) -> int:
    """A 256-bit number of one sample: id, label, decoded pixels, and the further parts it has.

    Raises:
        StrbenchError: an image cannot be decoded, a mask is of another size than its image, or a text
            is no UTF-8.
    """
    pixels = decode(sample.image)
    height, width = pixels.shape[:2]
    digest = hashlib.sha256(f"{height}x{width}:".encode())
    digest.update(pixels.data)
    label = "-" if sample.label is None else "+" + sample.label
    try:
        (sample.group or "").encode()  # not part of the digest, but stored
        for text in (sample.id.encode(), label.encode()):
            digest.update(b"%d:" % len(text) + text)
        if sample.regions is not None:
            digest.update(b"regions:" + regions_to_json(sample.regions))
    except UnicodeEncodeError as error:
        raise StrbenchError(f"{error.object!r} is not UTF-8 text", exit_code=DATA) from error
    if sample.low is not None:
        low = decode(sample.low)
        digest.update(f"low:{low.shape[0]}x{low.shape[1]}:".encode() + low.tobytes())
    if sample.mask is not None:
        mask = decode_mask(sample.mask)
        if mask.shape != (height, width):
            found = "x".join(map(str, mask.shape))
            raise StrbenchError(f"the mask is {found}, its image {height}x{width}", exit_code=DATA)
        digest.update(b"mask:" + mask.tobytes())
    return int.from_bytes(digest.digest(), "big")


def fingerprint(digests: Iterable[int]) -> str:
    """The order-free hash of a split: the sum of its sample digests modulo 2**256, in hex.

    A sum and not an exclusive or, so that a sample written twice does not vanish. Pixels are hashed
    after decoding, so that a lossless re-encoding keeps the fingerprint.
    """
    return sum_in_hex(sum(digests))


def sum_in_hex(total: int) -> str:
    """The fingerprint that a sum of sample digests stands for."""
    return f"{total % _MODULUS:064x}"


def _digest_chunk(samples: list[Sample]) -> tuple[list[int], list[str]]:
    digests: list[int] = []
    faults: list[str] = []
    for sample in samples:
        try:
            digests.append(sample_digest(sample))
        except StrbenchError as error:
            printable = sample.id.encode(errors="backslashreplace").decode()
            faults.append(f"{printable}: {error.message}")
    return digests, faults


def _chunks(samples: Iterable[Sample]) -> Iterator[list[Sample]]:
    """The samples in order, in lists of bounded number and bytes."""
    chunk: list[Sample] = []
    held = 0
    for sample in samples:
        if chunk and (len(chunk) == _CHUNK or held + len(sample.image) > _CHUNK_BYTES):
            yield chunk
            chunk, held = [], 0
        chunk.append(sample)
        held += len(sample.image)
    if chunk:
        yield chunk


def checked_chunks(
    samples: Iterable[Sample], *, workers: int | None = None
) -> Generator[tuple[list[Sample], list[int], list[str]]]:
    """Chunks in order with their digests and faults; decoding runs beside, memory is bounded."""
    workers = workers or min(os.cpu_count() or 1, 8)
    source = _chunks(samples)
    ahead = list(islice(source, 2))
    if len(ahead) < 2 or workers == 1:
        for chunk in chain(ahead, source):
            yield chunk, *_digest_chunk(chunk)
        return
    rest = chain(ahead, source)
    pending: deque[tuple[list[Sample], Future[tuple[list[int], list[str]]]]] = deque()
    with worker_pool(workers) as pool:
        try:
            while True:
                while len(pending) <= 2 * workers and (chunk := next(rest, [])):
                    pending.append((chunk, pool.submit(_digest_chunk, chunk)))
                if not pending:
                    return
                chunk, future = pending.popleft()
                yield chunk, *future.result()
        finally:  # an error or Ctrl-C: what nobody will look at is not decoded
            for _, future in pending:
                future.cancel()


def worker_pool(workers: int) -> Executor:
    """Processes where forking is safe and cheap, threads elsewhere.

    Threads spend much of a small crop's time handing the interpreter lock to each other: packing 5,000
    real word crops on 2 cores went at 0.8 of the speed of a plain loop with them.
    """
    is_safe = sys.platform == "linux" and threading.active_count() == 1
    if not is_safe:
        return ThreadPoolExecutor(workers)
    return ProcessPoolExecutor(
        workers, mp_context=get_context("fork"), initializer=_end_with, initargs=(os.getpid(),)
    )


def _end_with(parent: int) -> None:
    """Make this worker end when its parent is killed, and leave Ctrl-C to the parent.

    A worker holds the parent's locks too, and must not keep them.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # 1: PR_SET_PDEATHSIG, linux/prctl.h
    if os.getppid() != parent:
        os._exit(1)


def check_faults(name: str, faults: list[str]) -> None:
    """Raise one error that counts the faulty samples and names the first five."""
    if faults:
        raise StrbenchError(
            f"{name}: {len(faults)} images cannot be read, for example {'; '.join(faults[:5])}.",
            hint="Replace these files, or remove them with their labels, and import again.",
            exit_code=DATA,
        )
