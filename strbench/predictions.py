"""Prediction files: what a recognizer read, keyed by sample id.

The suffix says the format: ``.parquet``, ``.jsonl``, ``.csv``, ``.tsv`` or ``.txt``. Columns (keys,
for JSON lines) are ``id`` and ``text``, and ``confidence`` where there is one; the id may also be
called ``path``, ``filename`` or ``image``, the text ``pred`` or ``prediction``. Other columns are
ignored. A ``.tsv`` or ``.txt`` line is ``id TAB text`` or ``id TAB text TAB confidence``, without
quoting and without a header (one that names these columns is understood). An empty text is an empty
reading; a missing one (null) is an error, and the words NaN and null are words.

The order of the rows means nothing. Rows find their samples by id, see ``align``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from strbench.errors import DATA, StrbenchError
from strbench.files import atomic_path
from strbench.prediction_files import READERS, as_text, checked, write_parquet

_EXAMPLES = 5  # ids that an error lists


@dataclass(frozen=True)
class Predictions:
    """What was read on which sample; ``confidences`` are in [0, 1], None where unknown."""

    ids: list[str]
    texts: list[str]
    confidences: list[float | None]

    def __post_init__(self) -> None:
        if not len(self.ids) == len(self.texts) == len(self.confidences):
            raise ValueError(
                f"{len(self.ids)} ids, {len(self.texts)} texts, {len(self.confidences)} confidences"
            )

    def __len__(self) -> int:
        return len(self.ids)


def _known(path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix not in READERS:
        raise StrbenchError(
            f"A prediction file ends in {', '.join(READERS)}; {path.name} does not.",
            hint="Rename the file after what is in it.",
        )
    return suffix


def read_predictions(path: str | Path) -> Predictions:
    """The predictions in a file, in the order of its rows; the suffix says the format.

    Raises:
        StrbenchError: no such file, an unknown suffix, or a row that is no prediction; the message
            names file and line (row, for Parquet).
    """
    path = Path(path)
    suffix = _known(path)
    if not path.is_file():
        raise StrbenchError(f"There is no prediction file {path}.", hint="Check the path.")
    return Predictions(*READERS[suffix](path))


def write_predictions(path: str | Path, predictions: Predictions) -> None:
    """Write a prediction file; the suffix says the format.

    The file appears whole or not at all: it is written beside its place, synced, and renamed.

    Raises:
        StrbenchError: an unknown suffix, a value that reading would refuse, or a text that the
            format cannot hold.
    """
    path = Path(path)
    suffix = _known(path)
    ids, texts, confidences = checked(
        path, predictions.ids, predictions.texts, predictions.confidences, unit="row"
    )
    try:
        "".join([*ids, *texts]).encode()
    except UnicodeEncodeError as error:
        raise StrbenchError(
            f"{path}: a text holds {error.object[error.start]!r}, which is no character.",
            hint="Decode the recognizer's output as UTF-8.",
            exit_code=DATA,
        ) from None
    with atomic_path(path) as temporary:
        if suffix == ".parquet":
            write_parquet(temporary, ids, texts, confidences)
        else:
            temporary.write_bytes(as_text(path, ids, texts, confidences).encode())


_LMDB_KEY = re.compile("image-([0-9]{9})")


def _position(ids: Sequence[str], wanted: dict[str, int]) -> list[int | None]:
    """The sample of each id: exactly, without a leading ``./``, or by its LMDB key."""
    found: list[int | None] = [wanted.get(id_) for id_ in ids]
    if None not in found:
        return found
    by_key = not any(map(_LMDB_KEY.fullmatch, wanted))
    for i, (id_, at) in enumerate(zip(ids, found, strict=True)):
        if at is None:
            at = wanted.get(re.sub(r"^(\./+)+", "", id_))
            key = _LMDB_KEY.fullmatch(id_) if by_key else None
            if at is None and key is not None and 1 <= int(key[1]) <= len(wanted):
                at = int(key[1]) - 1
            found[i] = at
    return found


def positions(predictions: Predictions, split_ids: Sequence[str]) -> list[int]:
    """For each sample of a split, the row of its prediction.

    An id must be the sample's, to the letter. Two other spellings are understood: a leading ``./``,
    as ``find`` writes it, and the LMDB key ``image-000000001`` for the first sample (plain numbers
    are not), unless samples of the split have such ids of their own.

    Raises:
        StrbenchError: samples without a prediction, ids that no sample has, or several predictions
            for a sample; each with its number and up to five examples.
    """
    wanted = {id_: i for i, id_ in enumerate(split_ids)}
    if len(wanted) != len(split_ids):
        raise StrbenchError("The split repeats a sample id.", exit_code=DATA)
    rows: list[int] = [-1] * len(split_ids)
    unknown: list[str] = []
    repeated: list[str] = []
    for row, at in enumerate(_position(predictions.ids, wanted)):
        if at is None:
            unknown.append(predictions.ids[row])
        elif rows[at] >= 0:
            repeated.append(split_ids[at])
        else:
            rows[at] = row
    missing = [id_ for id_, row in zip(split_ids, rows, strict=True) if row < 0]
    problems = [
        f"{len(ids)} {what} ({', '.join(ids[:_EXAMPLES])}{', ...' if len(ids) > _EXAMPLES else ''})"
        for ids, what in (
            (missing, "samples have no prediction"),
            (unknown, "predictions are for no sample of the split"),
            (repeated, "predictions repeat a sample"),
        )
        if ids
    ]
    if problems:
        raise StrbenchError(
            f"Expected one prediction for each of {len(split_ids)} samples; {'; '.join(problems)}.",
            hint=f"Ids of the split look like {split_ids[0]!r}." if split_ids else "",
            exit_code=DATA,
        )
    return rows


def align(predictions: Predictions, split_ids: Sequence[str]) -> list[str]:
    """The predicted texts in the order of a split's samples.

    >>> found = Predictions(["b.png", "./a.png"], ["two", "one"], [None, None])
    >>> align(found, ["a.png", "b.png"])
    ['one', 'two']

    Raises:
        StrbenchError: as ``positions`` does.
    """
    return [predictions.texts[row] for row in positions(predictions, split_ids)]
