"""From a TOML document to the types of `settings`, noting every problem instead of the first.

`msgspec` checks each value; this module walks the tables so that one bad value hides no other.
"""

from __future__ import annotations

import difflib
import types
import typing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec

Fields = dict[str, Any]
"""What was read of a table, by key: settings of the stated types; None where it did not fit."""
T = TypeVar("T", bound=msgspec.Struct)

_SHOWN_MAX = 40


@dataclass(frozen=True, slots=True)
class Problem:
    """One sentence for the operator: where in the file, what is wrong, what to do."""

    where: str
    problem: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.where}: {self.problem}; {self.remedy}"


def shown(value: object) -> str:
    """A value as it may be put in a sentence: escaped and cut."""
    text = repr(value)
    return text if len(text) <= _SHOWN_MAX else text[:_SHOWN_MAX] + "..."


def read_fields(
    kind: type[msgspec.Struct], table: object, where: str, problems: list[Problem]
) -> Fields:
    """Read every key of `kind` from `table`; a problem leaves None in place of the value."""
    fields: Fields = {}
    if not isinstance(table, dict):
        problems.append(Problem(where, f"is {shown(table)}", f"make it a table {where}"))
        return fields
    known = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    tag = kind.__struct_config__.tag_field
    for key in table:
        if key not in known and key != tag:
            close = difflib.get_close_matches(key, known, n=1)
            remedy = f"did you mean {close[0]}?" if close else f"known: {', '.join(known)}"
            place = f"{where} {shown(key)}".strip()
            problems.append(Problem(place, "is no known key", remedy))
    for key, field in known.items():
        if key in table:
            fields[key] = _read_value(field.type, table[key], _place(where, key, field), problems)
        elif field.required:
            what = _description(field.type) or f"add {_place(where, key, field)}"
            problems.append(Problem(_place(where, key, field), "is missing", what))
            fields[key] = None
        elif field.default_factory is not msgspec.NODEFAULT:
            fields[key] = field.default_factory()
        else:
            fields[key] = field.default
    return fields


def _read_struct(kind: type[T], table: object, where: str, problems: list[Problem]) -> T | None:
    count = len(problems)
    fields = read_fields(kind, table, where, problems)
    return kind(**fields) if len(problems) == count else None


def _read_value(hint: object, value: object, where: str, problems: list[Problem]) -> object:
    bare = _strip(hint)
    structs = _structs(bare)
    if len(structs) == 1:
        return _read_struct(structs[0], value, where, problems)
    items = typing.get_args(bare)
    if typing.get_origin(bare) is tuple and (kinds := _structs(items[0])):
        return _read_array(kinds, hint, value, where, problems)
    try:
        return msgspec.convert(value, typing.cast("type[object]", hint), dec_hook=_path)
    except msgspec.ValidationError:
        remedy = _description(hint) or "see the example in the README"
        problems.append(Problem(where, f"{shown(value)} does not fit", remedy))
        return None


def _read_array(
    kinds: list[type[msgspec.Struct]],
    hint: object,
    value: object,
    where: str,
    problems: list[Problem],
) -> tuple[msgspec.Struct | None, ...]:
    """Read an array of tables; counted from 1, as the operator does."""
    remedy = _description(hint)
    if isinstance(value, dict):
        header = where[where.rindex("[[") :]
        what = "is one table, and there may be several"
        problems.append(Problem(where, what, f"write {header} with two brackets in front of each"))
        return ()
    if not isinstance(value, list):
        problems.append(Problem(where, f"is {shown(value)}", remedy))
        return ()
    limit = _meta(hint)
    if not (limit.min_length or 0) <= len(value) <= (limit.max_length or len(value)):
        problems.append(Problem(where, f"there are {len(value)}", remedy))
    read: list[msgspec.Struct | None] = []
    for number, table in enumerate(value[: limit.max_length], start=1):
        place = f"{where} {number}"
        kind = kinds[0] if len(kinds) == 1 else _chosen(kinds, table, place, problems)
        read.append(_read_struct(kind, table, place, problems) if kind else None)
    return tuple(read)


def _chosen(
    kinds: list[type[msgspec.Struct]], table: object, where: str, problems: list[Problem]
) -> type[msgspec.Struct] | None:
    """Tell by the tag which of several kinds of table this is."""
    tag = kinds[0].__struct_config__.tag_field or ""
    by_tag = {str(kind.__struct_config__.tag): kind for kind in kinds}
    remedy = f"write {' or '.join(shown(name) for name in by_tag)}"
    if not isinstance(table, dict):
        problems.append(Problem(where, f"is {shown(table)}", f"make it a table {where}"))
    elif tag not in table:
        problems.append(Problem(f"{where} {tag}", "is missing", remedy))
    elif not isinstance(table[tag], str) or table[tag] not in by_tag:
        what = f"{shown(table[tag])} is no {tag} that we have"
        problems.append(Problem(f"{where} {tag}", what, remedy))
    else:
        return by_tag[table[tag]]
    return None


def _place(where: str, key: str, field: msgspec.structs.FieldInfo) -> str:
    """Name a key as the file writes it: `[station] name`, `[[line]] 1, [[line.link]]`."""
    bare = _strip(field.type)
    nested = bool(_structs(bare))
    array = typing.get_origin(bare) is tuple and bool(_structs(typing.get_args(bare)[0]))
    if not (nested or array):
        return f"{where} {key}".strip()
    parent = where.rsplit("[", 1)[-1].split("]", 1)[0] if where else ""
    name = f"{parent}.{key}" if parent else key
    header = f"[[{name}]]" if array else f"[{name}]"
    return f"{where}, {header}" if where.endswith(tuple("0123456789")) else header


def _strip(hint: object) -> object:
    """Take `Annotated` and `| None` off a type."""
    while True:
        origin = typing.get_origin(hint)
        if origin is typing.Annotated:
            hint = typing.get_args(hint)[0]
        elif origin in (typing.Union, types.UnionType):
            rest = [part for part in typing.get_args(hint) if part is not type(None)]
            if len(rest) != 1:
                return hint
            hint = rest[0]
        else:
            return hint


def _structs(hint: object) -> list[type[msgspec.Struct]]:
    """Give the tables that a type stands for: itself, or the members of a union."""
    hint = _strip(hint)
    parts = typing.get_args(hint) if typing.get_origin(hint) in _UNIONS else (hint,)
    return [part for part in parts if isinstance(part, type) and issubclass(part, msgspec.Struct)]


_UNIONS = (typing.Union, types.UnionType)


def _description(hint: object) -> str:
    """Give what the type tells the operator to write."""
    if description := _meta(hint).description:
        return description
    for part in typing.get_args(hint):
        if typing.get_origin(part) is typing.Annotated:
            return _description(part)
    return ""


def _meta(hint: object) -> msgspec.Meta:
    marks = getattr(hint, "__metadata__", ())
    return next((mark for mark in marks if isinstance(mark, msgspec.Meta)), msgspec.Meta())


def _path(kind: type, value: object) -> Path:
    """Make the paths of the file; msgspec knows none."""
    if kind is Path and isinstance(value, str) and value.startswith("/") and "\0" not in value:
        return Path(value)
    raise ValueError(value)
