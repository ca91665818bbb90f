"""Builds dataclasses from plain data of unknown origin, and refuses values of another type than the fields have."""

import types
from collections.abc import Mapping
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")


def built(kind: type[T], data: Mapping[str, Any]) -> T:
    """Return ``kind(**data)``.

    Raises:
        TypeError: a field is unknown, missing, or has a value of another type; the message names it.
    """
    hints = get_type_hints(kind)
    for name, value in data.items():
        if name in hints and not _fits(value, hints[name]):
            raise TypeError(f"{name} is {value!r:.60}, which is not {_called(hints[name])}")
    return kind(**data)


def _fits(value: Any, hint: Any) -> bool:
    """Say whether a value as JSON holds it, or one that is built already, is of an annotated type."""
    origin, parts = get_origin(hint), get_args(hint)
    if hint is Any:
        return True
    if origin in (Union, types.UnionType):
        return any(_fits(value, part) for part in parts)
    if origin is dict:
        return isinstance(value, dict) and all(_fits(k, parts[0]) and _fits(v, parts[1]) for k, v in value.items())
    if origin in (list, tuple):
        return isinstance(value, list | tuple) and all(_fits(item, parts[0]) for item in value)
    if hint in (int, float):
        return isinstance(value, int | float if hint is float else int) and not isinstance(value, bool)
    return isinstance(value, hint)


def _called(hint: Any) -> str:
    return hint.__name__ if isinstance(hint, type) and not get_args(hint) else str(hint)
