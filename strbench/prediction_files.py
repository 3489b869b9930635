"""The formats of prediction files: checked columns out of a file, and a file out of columns."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Sequence
from numbers import Real
from pathlib import Path
from typing import Any

from strbench.errors import DATA, StrbenchError

ID_KEYS = ("id", "path", "filename", "image")
TEXT_KEYS = ("text", "pred", "prediction")
CONFIDENCE_KEY = "confidence"
_COLUMNS = "Name the columns: id, text and, if there is one, confidence."

Columns = tuple[list[str], list[str], list[float | None]]  # ids, texts, confidences


def _bad(
    path: Path, line: int, problem: str, *, unit: str = "line", hint: str = ""
) -> StrbenchError:
    return StrbenchError(f"{path}, {unit} {line}: {problem}.", hint=hint, exit_code=DATA)


def _key(path: Path, line: int, names: Iterable[str], known: Sequence[str], what: str) -> str:
    """The one of ``known`` that the columns hold; ``id`` wins over its synonyms."""
    found = [key for key in known if key in names]
    if not found:
        raise _bad(
            path,
            line,
            f"expected a column {' or '.join(known)} for the {what}, found "
            f"{', '.join(map(repr, names)) or 'none'}",
            hint=_COLUMNS,
        )
    if len(found) > 1 and found[0] != "id":
        raise _bad(
            path,
            line,
            f"{' and '.join(found)} could each be the {what}",
            hint="Leave one of them in the file, under the name id or text.",
        )
    return found[0]


def checked(
    path: Path,
    ids: Sequence[Any],
    texts: Sequence[Any],
    confidences: Sequence[Any],
    *,
    lines: Callable[[int], int] = lambda i: i + 1,
    unit: str = "line",
) -> Columns:
    """The columns, every value checked; ``lines`` gives the line of the i-th row."""
    if not (all(ids) and set(map(type, ids)) <= {str} and set(map(type, texts)) <= {str}):
        for i, (id_, text) in enumerate(zip(ids, texts, strict=True)):
            if not isinstance(id_, str) or not id_:
                raise _bad(path, lines(i), f"the id must be text, found {id_!r}", unit=unit)
            if not isinstance(text, str):
                found = "null" if text is None else f"{text!r}"
                raise _bad(
                    path,
                    lines(i),
                    f"the text of {id_} must be text, found {found}",
                    unit=unit,
                    hint='Write "" for an empty reading, and quote numbers.',
                )
    for i, value in enumerate(confidences):
        if value is None or (type(value) is float and 0.0 <= value <= 1.0):
            continue
        is_number = isinstance(value, Real) and not isinstance(value, bool)
        if not (is_number and 0.0 <= float(value) <= 1.0):
            raise _bad(
                path,
                lines(i),
                f"the confidence of {ids[i]} must be in [0, 1], found {value!r}",
                unit=unit,
                hint="Leave it out where the recognizer reports none.",
            )
    return list(ids), list(texts), [None if c is None else float(c) for c in confidences]


def _read_text(path: Path) -> str:
    raw = path.read_bytes()
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise _bad(path, line, "not UTF-8", hint="Save the file as UTF-8.") from None


def _lines(text: str) -> list[str]:
    """Lines ended by LF or CRLF; other line breaks of Unicode belong to the text."""
    if "\r" in text:
        text = text.replace("\r\n", "\n")
    lines = text.split("\n")
    return lines[:-1] if not lines[-1] else lines


def _read_jsonl(path: Path) -> Columns:
    numbered = [(i, line) for i, line in enumerate(_lines(_read_text(path)), 1) if line.strip()]
    lines = [line.strip() for _, line in numbered]
    try:  # all at once is twice as fast as one by one
        objects = json.loads(f"[{','.join(lines)}]")
        whole = all(line[0] == "{" and line[-1] == "}" for line in lines)
    except json.JSONDecodeError:
        whole = False
    if not whole or len(objects) != len(lines):
        objects = []
        for number, line in numbered:
            try:
                objects.append(json.loads(line))
            except json.JSONDecodeError as error:
                raise _bad(path, number, f"not JSON ({error.msg})") from None
            if type(objects[-1]) is not dict:
                raise _bad(path, number, f"expected an object, found {line[:40]}")

    keys: Any = None
    id_key = text_key = ""
    ids, texts, confidences = [], [], []
    for i, entry in enumerate(objects):
        if entry.keys() != keys:
            keys = entry.keys()
            id_key = _key(path, numbered[i][0], keys, ID_KEYS, "id")
            text_key = _key(path, numbered[i][0], keys, TEXT_KEYS, "text")
        ids.append(entry[id_key])
        texts.append(entry[text_key])
        confidences.append(entry.get(CONFIDENCE_KEY))
    return checked(path, ids, texts, confidences, lines=lambda i: numbered[i][0])


def _number(text: str) -> float | str | None:
    """A confidence as written: None if blank, the text itself if it is no number."""
    try:
        return float(text)
    except ValueError:
        return text if text.strip() else None


def _read_csv(path: Path) -> Columns:
    csv.field_size_limit(1 << 24)
    reader = csv.reader(io.StringIO(_read_text(path), newline=""), strict=True)
    hint = "A text with a comma or a quote must stand in double quotes."
    try:
        names = [name.strip() for name in next(reader, [])]
        rows = ((reader.line_num, row) for row in reader if row)
        return _from_fields(path, rows, _order(path, names), {len(names)}, hint)
    except csv.Error as error:
        raise _bad(path, reader.line_num, f"not CSV ({error})") from None


def _read_tsv(path: Path) -> Columns:
    lines = _lines(_read_text(path))
    rows = ((i, line.split("\t")) for i, line in enumerate(lines, 1) if line)
    hint = "A line is: id TAB text; an empty reading keeps its tab."
    if lines and _is_header(lines[0].split("\t")):
        header = next(rows)[1]
        return _from_fields(path, rows, _order(path, header), {len(header)}, hint)
    return _from_fields(path, rows, (0, 1, 2), {2, 3}, hint)


def _is_header(fields: Iterable[Any]) -> bool:
    names = set(fields)
    return bool(names & set(ID_KEYS) and names & set(TEXT_KEYS))


def _order(path: Path, names: list[str]) -> tuple[int, int, int]:
    """The places of id, text and confidence; that of an absent confidence is behind the last."""
    return (
        names.index(_key(path, 1, names, ID_KEYS, "id")),
        names.index(_key(path, 1, names, TEXT_KEYS, "text")),
        names.index(CONFIDENCE_KEY) if CONFIDENCE_KEY in names else len(names),
    )


def _from_fields(
    path: Path,
    rows: Iterable[tuple[int, list[str]]],
    order: tuple[int, int, int],
    widths: set[int],
    hint: str,
) -> Columns:
    """Columns of numbered rows of fields."""
    id_at, text_at, confidence_at = order
    ids, texts, numbers = [], [], []
    confidences: list[float | str | None] = []
    for number, row in rows:
        if len(row) not in widths:
            expected = " or ".join(map(str, sorted(widths)))
            problem = f"expected {expected} fields, found {len(row)}"
            raise _bad(path, number, problem, hint=hint)
        numbers.append(number)
        ids.append(row[id_at])
        texts.append(row[text_at])
        confidences.append(_number(row[confidence_at]) if confidence_at < len(row) else None)
    return checked(path, ids, texts, confidences, lines=lambda i: numbers[i])


def _read_parquet(path: Path) -> Columns:
    import polars as pl  # here, because training needs no polars

    try:
        names = list(pl.read_parquet_schema(path))
        id_key = _key(path, 1, names, ID_KEYS, "id")
        text_key = _key(path, 1, names, TEXT_KEYS, "text")
        with_confidence = [CONFIDENCE_KEY] if CONFIDENCE_KEY in names else []
        frame = pl.read_parquet(path, columns=[id_key, text_key, *with_confidence])
    except pl.exceptions.PolarsError as error:
        reason = str(error).splitlines()[0]
        raise StrbenchError(f"{path} is no Parquet file ({reason}).", exit_code=DATA) from None
    for key in (id_key, text_key):
        if isinstance(frame[key].dtype, pl.Categorical | pl.Enum):
            frame = frame.with_columns(pl.col(key).cast(pl.String))
    confidences = frame[CONFIDENCE_KEY].to_list() if with_confidence else [None] * len(frame)
    return checked(
        path, frame[id_key].to_list(), frame[text_key].to_list(), confidences, unit="row"
    )


READERS: dict[str, Callable[[Path], Columns]] = {
    ".parquet": _read_parquet,
    ".jsonl": _read_jsonl,
    ".csv": _read_csv,
    ".tsv": _read_tsv,
    ".txt": _read_tsv,
}


def as_text(path: Path, ids: list[str], texts: list[str], confidences: list[float | None]) -> str:
    """The content of a file of JSON lines, CSV or TSV, as the suffix of ``path`` says."""
    columns: list[Sequence[Any]] = [ids, texts]
    if any(value is not None for value in confidences):
        columns.append(confidences)
    names = ["id", "text", CONFIDENCE_KEY][: len(columns)]
    rows = list(zip(*columns, strict=True))
    out = io.StringIO(newline="")
    if path.suffix.lower() == ".jsonl":
        encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode
        out.writelines(encode(dict(zip(names, row, strict=True))) + "\n" for row in rows)
    elif path.suffix.lower() == ".csv":
        # Every text in quotes: the plain style leaves a lone carriage return without.
        writer = csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
        writer.writerow(names)
        writer.writerows(rows)
    else:
        if rows and _is_header(rows[0]):
            rows.insert(0, tuple(names))  # the first sample would pass for a header
        for row in rows:
            if re.search("[\t\n\r]", row[0] + row[1]):
                raise StrbenchError(
                    f"{path.name} cannot hold the tab or line break in {row[0]!r}, {row[1]!r}.",
                    hint="Write .parquet, .jsonl or .csv.",
                    exit_code=DATA,
                )
            out.write("\t".join("" if field is None else str(field) for field in row) + "\n")
    return out.getvalue()


def write_parquet(
    path: Path, ids: list[str], texts: list[str], confidences: list[float | None]
) -> None:
    """Write the columns to ``path``; without any confidence there is no such column."""
    import polars as pl

    frame = pl.DataFrame({"id": ids, "text": texts}, schema={"id": pl.String, "text": pl.String})
    if any(value is not None for value in confidences):
        frame = frame.with_columns(pl.Series(CONFIDENCE_KEY, confidences, dtype=pl.Float64))
    frame.write_parquet(path)
