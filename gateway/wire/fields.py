"""Taking plain documents apart: each function gives a checked value or raises `FieldError`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import TypeVar

from gateway.errors import FieldError

Member = TypeVar("Member", bound=Enum)


def object_of(path: str, value: object, keys: Iterable[str]) -> Mapping[str, object]:
    """`value` as an object with no other keys than `keys`; they are named when refused."""
    if not isinstance(value, Mapping):
        raise not_an_object(path, value)
    known = tuple(keys)
    for key in value:
        if key not in known:
            name = key if isinstance(key, str) and key.isprintable() else shown(key)
            raise FieldError(
                _join(path, name[:40]),
                "is not a known field",
                f"remove it; known here are {', '.join(known)}",
                code="unknown_field",
            )
    return value


def not_an_object(path: str, value: object) -> FieldError:
    return FieldError(
        path or "document",
        f"is {type_name(value)}",
        "give an object with named fields",
        code="wrong_type",
    )


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def shown(value: object) -> str:
    """A value for an error message: short, printable, quoted."""
    if isinstance(value, str):
        return ascii(value[:40])
    if isinstance(value, bool | float) or (isinstance(value, int) and abs(value) < 2**64):
        return json.dumps(value)
    return type_name(value)


def type_name(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "a text"
        case list() | tuple():
            return "a list"
        case Mapping():
            return "an object"
        case bytes():
            return "octets"
        case _:
            return "of a type that JSON does not have"


def required(fields: Mapping[str, object], key: str) -> object:
    value = fields.get(key)
    if value is None:
        raise FieldError(key, "is missing", f'say it: "{key}": ...', code="missing_field")
    return value


def text_of(path: str, value: object) -> str:
    if isinstance(value, str):
        return value
    raise FieldError(path, f"is {type_name(value)}", "give a text", code="wrong_type")


def whole_of(path: str, value: object, low: int = -(2**31), high: int = 2**31 - 1) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        problem = "is missing" if value is None else f"is {shown(value)}"
        raise FieldError(path, problem, "give a whole number", code="wrong_type")
    if not low <= value <= high:
        raise FieldError(
            path, f"{shown(value)} is out of range", f"give {low} to {high}", code="out_of_range"
        )
    return value


def word_of(path: str, value: object, words: Mapping[str, Member], code: str) -> Member:
    """A word of a fixed list, in any case; a blank stands for `_`."""
    word = text_of(path, value).upper().replace(" ", "_") if isinstance(value, str) else ""
    if word in words:
        return words[word]
    raise FieldError(
        path, f"{shown(value)} is not known", f"use one of {', '.join(words)}", code=code
    )
