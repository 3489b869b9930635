"""Tesseract as a recognizer: the ``tesseract`` program in single-word mode.

Engine: https://github.com/tesseract-ocr/tesseract (Apache-2.0). Crops are handed over as they are, as
uncompressed RGB files without a resolution; Tesseract itself turns them grey, binarises, and scales
the line to the 36 px of its LSTM. One process reads a whole list of crops, because loading the language
costs more than reading a word; the LSTM keeps nothing from one crop to the next.

Borders and enlargements were tried on 300 words of IIIT5K train (right under strbench-36): as it is 260,
scaled to 32 / 48 / 64 px high 254 / 256 / 258, enlarged to 48 px only where smaller 255, grey 259, with
10 px of edge colour 226, of median colour 218, of white 138; ``--psm 7`` 254 and 13 260.
Plain crops with psm 8 are used.

*Expected* with 5.3.0 and Debian's eng.traineddata, right under strbench-36: SVT test 451 of 647, CUTE80
87 of 288, ICDAR 2015 test (2077) 913. A confidence of 0 does not mean a wrong word.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from hashlib import sha256
from pathlib import Path

from strbench.errors import DATA, StrbenchError
from strbench.types import Card, Reading

from .feeding import MAX_RATIO, Pixels, thread_count, within_limits

INSTALL = "apt-get install tesseract-ocr   (macOS: brew install tesseract)"


def is_available() -> str | None:
    """Why the engine cannot be used here; None where it can."""
    if shutil.which("tesseract") is None:
        return "the program tesseract is not on the PATH"
    return None


class TesseractRecognizer:
    """The tesseract program behind ``read``; build it with ``build``."""

    batch_size = 256  # crops a call by default: one process start for each thread and call

    def __init__(self, card: Card, arguments: Sequence[str], threads: int) -> None:
        self.card = card
        self.threads = threads
        self._arguments = tuple(arguments)

    def read(self, images: Sequence[Pixels]) -> list[Reading]:
        """One reading an image (uint8, H x W x 3, RGB), the same in any batch and with any threads.

        Words are joined by a space. The confidence is the mean of Tesseract's word confidences,
        divided by 100; 0.0 where it finds no word, None for an image without pixels.

        Raises:
            StrbenchError: tesseract ends before it has read every image.
        """
        readings = [Reading("", None)] * len(images)
        whole = [i for i, image in enumerate(images) if image.size]
        shares = [share for k in range(self.threads) if (share := whole[k :: self.threads])]
        with ThreadPoolExecutor(self.threads) as pool:
            found = pool.map(lambda share: self._read([images[i] for i in share]), shares)
            for share, results in zip(shares, found, strict=True):
                for i, reading in zip(share, results, strict=True):
                    readings[i] = reading
        return readings

    def _read(self, images: Sequence[Pixels]) -> list[Reading]:
        with tempfile.TemporaryDirectory(prefix="strbench-tesseract-") as folder:
            paths = [Path(folder, f"{i}.ppm") for i in range(len(images))]
            for path, image in zip(paths, map(within_limits, images), strict=True):
                height, width = image.shape[:2]
                path.write_bytes(b"P6 %d %d 255\n" % (width, height) + image.tobytes())
            names = Path(folder, "names.txt")
            names.write_text("".join(f"{path}\n" for path in paths))
            done = _run(str(names), "stdout", *self._arguments, "tsv")
        pages = _pages(done.stdout)
        if done.returncode or len(pages) != len(images):
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise StrbenchError(
                f"tesseract read {len(pages)} of {len(images)} images and said: {last}.",
                hint="Check it with: tesseract --version",
                exit_code=DATA,
            )
        return pages


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    # One OpenMP thread a process: parallelism is over crops, and on word crops more threads are slower.
    environment = os.environ | {"OMP_THREAD_LIMIT": "1"}
    return subprocess.run(
        ["tesseract", *arguments],
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        env=environment,
        check=False,
    )


def _pages(table: str) -> list[Reading]:
    """The reading of each page of Tesseract's TSV: level 1 opens a page, level 5 is a word."""
    pages: list[list[tuple[str, float]]] = []
    for line in table.split("\n")[1:]:
        cells = line.split("\t")
        if cells[0] == "1":
            pages.append([])
        elif cells[0] == "5" and (text := cells[11].strip()):
            pages[-1].append((text, float(cells[10])))
    return [
        Reading(
            " ".join(text for text, _ in words),
            sum(confidence for _, confidence in words) / len(words) / 100 if words else 0.0,
        )
        for words in pages
    ]


@cache
def _installed() -> tuple[str, str, tuple[str, ...]]:
    """Version, folder of the language files ("" if it does not tell) and languages."""
    shown = _run("--version")
    version = re.search(r"tesseract\s+v?(\S+)", shown.stdout + shown.stderr)
    listed = _run("--list-langs")
    lines = (listed.stdout or listed.stderr).splitlines()
    folder = re.search(r'"(.+)"', lines[0]) if lines else None
    return (
        version[1] if version else "of unknown version",
        folder[1] if folder else "",
        tuple(lines[1:]),
    )


def build(
    psm: int | str = 8, lang: str = "eng", *, threads: int | str | None = None
) -> TesseractRecognizer:
    """Tesseract with a page segmentation mode and a language.

    Args:
        psm: 8 takes the image for a single word, 7 for a line, 13 for a raw line.
        lang: language files joined by ``+``, e.g. ``eng+deu``.
        threads: processes side by side; None: as torch or OMP_NUM_THREADS say.

    Raises:
        StrbenchError: no tesseract program, no such language, or an unusable ``psm`` or ``threads``.
    """
    workers = thread_count(threads)
    if str(psm) not in ("6", "7", "8", "13"):  # the modes that read without layout analysis
        raise StrbenchError(
            f"Expected psm 8 (a word), 7 (a line), 13 (a raw line) or 6 (a block), found {psm!r}.",
            hint="strbench eval --model tesseract:8",
        )
    if (reason := is_available()) is not None:
        raise StrbenchError(f"The engine tesseract cannot be used: {reason}.", hint=INSTALL)
    version, folder, languages = _installed()
    for language in lang.split("+"):
        if language not in languages:
            raise StrbenchError(
                f"Tesseract has no language {language!r}; it has {', '.join(languages) or 'none'}.",
                hint=f"apt-get install tesseract-ocr-{language.replace('_', '-')}",
            )
    files = [Path(folder, f"{language}.traineddata") for language in lang.split("+")]
    sums = [
        f"{file.name} sha256 {sha256(file.read_bytes()).hexdigest()}"
        for file in files
        if folder and file.is_file()
    ]
    card = Card(
        name="tesseract",
        kind="engine",
        title=f"Tesseract {version}, {lang}, psm {psm}",
        paper="R. Smith, An Overview of the Tesseract OCR Engine, ICDAR 2007",
        code="https://github.com/tesseract-ocr/tesseract",
        licence="Apache-2.0",
        resize="native",
        expected="tesseract 5.3.0, eng: SVT 451/647, CUTE80 87/288, IC15 913/2077 (strbench-36)",
        notes=(
            f"tesseract {version}, --psm {psm}, -l {lang} ({', '.join(sums) or 'file not told'}). "
            "Crops as they are, RGB, no border, no resolution; its own binarisation and scaling to a "
            f"line of 36 px. Crops longer than {MAX_RATIO} times their short side are shrunk to that "
            "ratio first. Confidence: mean word confidence / 100."
        ),
    )
    return TesseractRecognizer(card, ("--psm", str(psm), "-l", lang), workers)
