"""A text file as training data for language models: its words, without images."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from types import SimpleNamespace

from strbench.errors import DATA, StrbenchError
from strbench.files import file_sha256


class WordFile:
    """The words of a UTF-8 text file, split at white space; a stand-in for a split without images."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.name
        self.manifest = SimpleNamespace(labels="text")

    @cached_property
    def words(self) -> list[str]:
        """The words in the order of the file.

        Raises:
            StrbenchError: the file is missing, is no UTF-8 text, or holds no word.
        """
        try:
            words = self.path.read_text(encoding="utf-8").split()
        except (OSError, UnicodeDecodeError) as error:
            raise StrbenchError(
                f"{self.path} cannot be read as UTF-8 text ({error}).",
                hint="Give a text file of words, or a labelled split: strbench list datasets",
                exit_code=DATA,
            ) from error
        if not words:
            raise StrbenchError(
                f"{self.path} holds no words.", hint="Give a text file of words.", exit_code=DATA
            )
        return words

    @property
    def n(self) -> int:
        return len(self.words)

    @cached_property
    def fingerprint(self) -> str:
        return file_sha256(self.path)

    @property
    def ids(self) -> range:
        return range(self.n)

    def label(self, i: int) -> str | None:
        return self.words[i]

    def image(self, i: int) -> bytes:
        raise StrbenchError(
            f"{self.path} holds words and no images.",
            hint="Only language models train on it: strbench list methods",
        )
