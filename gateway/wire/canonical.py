"""Deterministic CBOR (RFC 8949 section 4.2), the subset of `gateway.cddl`: a value, one octet form.

`check` walks the heads before cbor2 sees them, so that no tag is ever run, no length is believed
and no depth is left to a library. What remains: integers, strings, arrays, maps with keys 0 to 23
in ascending order, true, false and null.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import cbor2

from gateway.errors import DecodeError, FieldError
from gateway.model import Extensions
from gateway.wire.limits import (
    ACT_NESTING_MAX,
    KEY_CRITICAL_MAX,
    KEY_MAX,
    NESTING_MAX,
    UINT16_MAX,
    UINT32_MAX,
)

_NULL_AND_BOOLEANS: Final = (0xF4, 0xF5, 0xF6)
_ARRAYS: Final = 0x80
"""First octets below it are of integers and strings."""
_SHORT_SIZES: Final = bytes(
    1
    if (head < 0x38 and head & 31 < 24) or head in _NULL_AND_BOOLEANS
    else 1 + (head & 31)
    if 0x40 <= head < 0x78 and head & 31 < 24
    else 0
    for head in range(256)
)
"""By the first octet: the size of an item that needs no other octet to tell it; 0: look closer."""


def dump(value: object) -> bytes:
    """Encode a value that is made of the subset only."""
    return cbor2.dumps(value, canonical=True)


def load(octets: bytes, *, nesting: int = NESTING_MAX) -> object:
    """Decode exactly one data item. Raises `DecodeError`."""
    if check(octets, 0, nesting=nesting) != len(octets):
        raise DecodeError("octets follow the data item")
    return _load_checked(octets)


def load_map(octets: bytes, *, nesting: int = NESTING_MAX) -> dict[int, object]:
    """Decode exactly one map with keys 0 to 23. Raises `DecodeError`."""
    value = load(octets, nesting=nesting)
    if not isinstance(value, dict):
        raise DecodeError("not a map")
    return value


def load_kept_map(octets: bytes) -> dict[int, object]:
    """A map that `load_map` passed, or we made, before it was kept. Raises `DecodeError`.

    Without `check`, which takes five times as long as the rest; a checksum proves these octets.
    """
    value = _load_checked(octets)
    if not isinstance(value, dict):
        raise DecodeError("not a map")
    return value


def load_sequence(
    octets: bytes, *, count_max: int, nesting: int = NESTING_MAX
) -> list[tuple[object, bytes]]:
    """Decode a CBOR sequence (RFC 8742) of 1 to `count_max` items: (value, its octets) each."""
    found: list[tuple[object, bytes]] = []
    start = 0
    while start < len(octets):
        if len(found) == count_max:
            raise DecodeError(f"more than {count_max} items")
        end = check(octets, start, nesting=nesting)
        part = octets[start:end]
        found.append((_load_checked(part), part))
        start = end
    if not found:
        raise DecodeError("no item")
    return found


def _load_checked(octets: bytes) -> object:
    try:
        return cbor2.loads(
            octets, max_depth=NESTING_MAX, allow_indefinite=False, allow_duplicate_keys=False
        )
    except cbor2.CBORError as error:
        raise DecodeError(f"not CBOR: {error}") from error


def check(octets: bytes, start: int, *, nesting: int = NESTING_MAX) -> int:
    """The end of the data item at `start`. Raises `DecodeError` if it is not in the subset."""
    major, argument, position = _head(octets, start)
    if major <= 1:
        return position
    if major <= 3:
        if argument > len(octets) - position:
            raise DecodeError("a string is cut")
        return position + argument
    if major == 7:
        if octets[start] not in _NULL_AND_BOOLEANS:
            raise DecodeError("a float or simple value")
        return position
    if major == 6:
        raise DecodeError("a tag")
    if nesting == 0:
        raise DecodeError("nested too deep")
    if argument > len(octets) - position:
        raise DecodeError("an array or map is cut")
    last_key = -1
    for _ in range(argument):
        if major == 5:
            if position >= len(octets):
                raise DecodeError("a map is cut")
            key = octets[position]
            if not last_key < key <= KEY_MAX:
                raise DecodeError("a map key is repeated, out of order or not 0 to 23")
            last_key = key
            position += 1
        # Most items are short: without a call for each, a log book is read in half the time.
        size = _SHORT_SIZES[octets[position]] if position < len(octets) else 0
        if size == 0 and position < len(octets) and octets[position] < _ARRAYS:
            kind, length, position = _head(octets, position)
            size = length if kind > 1 else 0
        elif size == 0:
            position = check(octets, position, nesting=nesting - 1)
        if size > len(octets) - position:
            raise DecodeError("a string is cut")
        position += size
    return position


def _head(octets: bytes, start: int) -> tuple[int, int, int]:
    """(major type, argument, position after the head) of the item at `start`."""
    if start >= len(octets):
        raise DecodeError("cut")
    initial = octets[start]
    major, argument = initial >> 5, initial & 31
    position = start + 1
    if argument < 24:
        return major, argument, position
    if argument > 27:
        raise DecodeError("an indefinite length or reserved head")
    if major == 7:
        raise DecodeError("a float or simple value")
    size = 1 << (argument - 24)
    if position + size > len(octets):
        raise DecodeError("a head is cut")
    argument = int.from_bytes(octets[position : position + size], "big")
    if argument < (24 if size == 1 else 1 << (4 * size)):
        raise DecodeError("an integer or length is not in its shortest form")
    return major, argument, position + size


def as_uint(value: object, high: int, what: str, *, low: int = 0) -> int:
    """`value` if it is an integer from `low` to `high`. Raises `DecodeError`."""
    if type(value) is not int or not low <= value <= high:
        raise DecodeError(f"{what} is not an integer from {low} to {high}")
    return value


def as_octets(value: object, what: str, *, size: int | None = None) -> bytes:
    """`value` if it is a byte string (of `size` octets). Raises `DecodeError`."""
    if type(value) is not bytes or (size is not None and len(value) != size):
        raise DecodeError(f"{what} is not a byte string" + (f" of {size}" if size else ""))
    return value


def as_text(value: object, what: str) -> str:
    """`value` if it is a text string. Raises `DecodeError`."""
    if type(value) is not str:
        raise DecodeError(f"{what} is not text")
    return value


def as_array(value: object, what: str, *, low: int, high: int) -> list[object]:
    """`value` if it is an array of `low` to `high` elements. Raises `DecodeError`."""
    if type(value) is not list or not low <= len(value) <= high:
        raise DecodeError(f"{what} is not an array of {low} to {high}")
    return value


def pack_id(epoch: int, serial: int) -> int:
    """Epoch and serial (16 bits each) as one integer."""
    return epoch << 16 | serial


def unpack_id(value: object, what: str) -> tuple[int, int]:
    """(epoch, serial) of a packed id; either may be 0. Raises `DecodeError`."""
    packed = as_uint(value, UINT32_MAX, what)
    return packed >> 16, packed & UINT16_MAX


def encode_map(fields: Mapping[int, object], extensions: Extensions) -> bytes:
    """A map of known fields and of the optional ones as they came, at most 23 together.

    Raises `FieldError` for extensions that are not keys 16 to 23, ascending, with canonical values.
    """
    pairs = {key: dump(fields[key]) for key in sorted(fields)}
    last_key = KEY_CRITICAL_MAX
    for key, octets in extensions:
        if not last_key < key <= KEY_MAX:
            raise FieldError("extensions", f"key {key} is out of order", "use 16 to 23, ascending")
        try:
            end = check(octets, 0, nesting=ACT_NESTING_MAX - 1)
        except DecodeError as error:
            raise FieldError("extensions", str(error), "give canonical CBOR") from error
        if end != len(octets):
            raise FieldError("extensions", "is more than one data item", "give canonical CBOR")
        pairs[key] = octets
        last_key = key
    parts = [bytes([key]) + octets for key, octets in pairs.items()]
    return bytes([0xA0 | len(parts)]) + b"".join(parts)


def take_extensions(fields: Mapping[int, object]) -> Extensions:
    """The optional keys of a decoded map, each with its octets as received."""
    return tuple([(key, dump(value)) for key, value in fields.items() if key > KEY_CRITICAL_MAX])
