"""``--set name=value`` against the fields of a configuration dataclass."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from strbench.errors import StrbenchError, unknown_name


def override(config: Any, assignments: Iterable[str]) -> Any:
    """A copy of the dataclass ``config`` with ``name=value`` texts applied and checked.

    Raises:
        StrbenchError: no such field (near names are listed), or a value of another type.
    """
    hints = get_type_hints(type(config))
    fields = {field.name for field in dataclasses.fields(config)}
    changes: dict[str, Any] = {}
    for text in assignments:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not equals:
            raise StrbenchError(
                f"--set {text!r}: expected name=value.", hint="For example: --set lr=1e-3"
            )
        if name not in fields:
            raise unknown_name(
                "setting", name, fields, hint="The settings of an entry: strbench show NAME"
            )
        try:
            changes[name] = _parse(hints[name], name, value)
        except (ValueError, KeyError):
            hint = hints[name]
            expected = hint.__name__ if isinstance(hint, type) else str(hint)
            raise StrbenchError(
                f"--set {name}={value}: expected {expected}, found {value!r}.",
                hint="The settings of an entry: strbench show NAME",
            ) from None
    return dataclasses.replace(config, **changes)


def rebuild(kind: type[Any], values: dict[str, Any]) -> Any:
    """The dataclass that ``dataclasses.asdict`` and JSON turned into ``values``.

    Raises:
        StrbenchError: a value names no field, as with a configuration of another version.
    """
    hints = get_type_hints(kind)
    unknown = sorted(values.keys() - hints.keys())
    if unknown:
        raise StrbenchError(
            f"{kind.__name__} has no setting {unknown[0]!r}.",
            hint="The weights were trained with another version of strbench.",
        )
    return kind(
        **{
            name: tuple(value) if get_origin(hints[name]) is tuple else value
            for name, value in values.items()
        }
    )


def _parse(hint: Any, name: str, value: str) -> Any:
    """The value that a text stands for; ValueError or KeyError where it is of another type."""
    choices = get_args(hint)
    origin = get_origin(hint)
    if origin is Literal:
        texts = [str(choice) for choice in choices]
        if value not in texts:
            raise unknown_name(f"value of {name}", value, texts, hint=f"--set {name}={texts[0]}")
        return choices[texts.index(value)]
    if origin in (Union, UnionType):
        if type(None) in choices and value.lower() == "none":
            return None
        return _parse(next(kind for kind in choices if kind is not type(None)), name, value)
    if origin is tuple:
        parts = [part.strip() for part in value.strip("()").rstrip(",").split(",")]
        kinds = choices[:1] * len(parts) if Ellipsis in choices else choices
        return tuple(_parse(k, name, part) for k, part in zip(kinds, parts, strict=True))
    if hint is bool:
        return {"true": True, "1": True, "false": False, "0": False}[value.lower()]
    if hint is int:
        return int(value)
    if hint is float:
        number = float(value)
        if not math.isfinite(number):
            raise ValueError(value)
        return number
    if hint is str:
        return value
    raise TypeError(f"{name} has the type {hint}, which --set cannot read")
