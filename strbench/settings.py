"""``--set name=value`` against the fields of a configuration dataclass."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any, Literal, get_args, get_origin, get_type_hints

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
            raise unknown_name("setting", name, fields, hint="See: strbench show NAME")
        changes[name] = _parse(hints[name], name, value)
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
    try:
        if hint is bool:
            return {"true": True, "1": True, "false": False, "0": False}[value.lower()]
        if hint is int:
            return int(value)
        if hint is float:
            return float(value)
        if get_origin(hint) is Literal and value not in get_args(hint):
            raise unknown_name(f"value of {name}", value, get_args(hint))
        if get_origin(hint) is tuple:
            kinds = get_args(hint)
            parts = value.strip("()").split(",")
            if Ellipsis not in kinds and len(parts) != len(kinds):
                raise ValueError(value)
            return tuple(_parse(kinds[0], name, part.strip()) for part in parts)
    except (ValueError, KeyError):
        expected = getattr(hint, "__name__", str(hint))
        raise StrbenchError(
            f"--set {name}={value}: expected {expected}, found {value!r}.",
            hint="See: strbench show NAME",
        ) from None
    return value
