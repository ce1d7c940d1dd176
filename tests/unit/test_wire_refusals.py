"""Refusals of submissions that name the type found, and phrases beside what they exclude."""

from __future__ import annotations

import pytest

from gateway.errors import FieldError
from gateway.model import Station
from gateway.wire.document import draft_from_document
from gateway.wire.fields import type_name

SMALL = {"to": "SOUTH", "kind": "NOTIFY", "operation": "TEST"}


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (None, "null"),
        (True, "true or false"),
        (1.5, "a number"),
        ("x", "a text"),
        ((), "a list"),
        ({}, "an object"),
        (b"", "octets"),
        ({1}, "of a type that JSON does not have"),
    ],
)
def test_a_type_is_named_for_people(value: object, name: str) -> None:
    """A program may hand over more than JSON knows; true is no number."""
    assert type_name(value) == name


@pytest.mark.parametrize(
    ("fields", "field", "problem"),
    [
        ({"phrase": 1, "language": "en"}, "language", "belongs to text"),
        ({"phrase": 1, "slots": "A-7"}, "slots", "is a text"),
    ],
)
def test_what_does_not_belong_to_a_phrase(
    fields: dict[str, object], field: str, problem: str
) -> None:
    """Field and problem; what to do is said too."""
    with pytest.raises(FieldError) as caught:
        draft_from_document({**SMALL, **fields}, station_number={"SOUTH": Station(2)}.get)
    assert caught.value.field == field
    assert caught.value.problem == problem
    assert caught.value.remedy
