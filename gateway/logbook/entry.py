"""One entry of the log book: a value, and its canonical CBOR. Knows no chain and no file.

Map with integer keys (deterministic encoding, RFC 8949 section 4.2): 0 number, 1 kind (0 line,
1 station), 2 event, 3 utc, 4 quality of time, 5 fields as [name, value, name, value ...], 6 act id
as [originator, epoch, serial], 7 the act's octets, 8 its signature. What is absent or empty is left
out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeVar

import cbor2

from gateway.errors import DecodeError, FieldError
from gateway.model import (
    UTC_MAX,
    ActId,
    Epoch,
    Serial,
    Station,
    TimeQuality,
    UtcTime,
    check_act_id,
)
from gateway.packing import unpack_ids
from gateway.wire.canonical import load_map

FIELD_COUNT_MAX: Final = 64
EVENT_SIZE_MAX: Final = 64
ENTRY_SIZE_MAX: Final = 16_384
NUMBER_MAX: Final = 2**48

ADDRESSEE_FIELD: Final = "to"
"""Names the addressee in a line entry: an act's octets do not, and its signature binds it."""
RECEIVED: Final = "received"
"""The event of a line entry whose act came from the far station; all others are own acts."""
START: Final = "start"
STATION_FIELD: Final = "station"
"""Of the `start` entry: whose book this is."""
DIFFERS: Final = "log_book_differs"
"""The event of a start that found the book not to be as the signed head beside it said."""
HEAD_FIELD: Final = "head"
"""Of that entry: the head as it was found, which is overwritten soon after."""

RETIRED: Final = "retired"
"""The event of a station entry that names acts which the store kept long enough and removed."""
RETIRED_FIELD: Final = "acts"
"""Of that entry: 5 octets an act."""

FieldValue = str | int | bytes | None

T = TypeVar("T")

_LINE: Final = 0
_STATION: Final = 1
_NEEDED: Final = frozenset({0, 1, 2, 4})
_KNOWN: Final = frozenset(range(9))
_QUALITIES: Final = {int(quality): quality for quality in TimeQuality}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What was recorded. Raises `FieldError` when a part is out of its bound."""

    number: int
    """From 1, without holes."""
    is_line: bool
    """Line entry: a signed act, which both books hold. Else station entry: what happened here."""
    event: str
    """A stable name, 1 to 64 octets: `sent`, `received`, `start` ..."""
    utc: UtcTime | None = None
    time_quality: TimeQuality = TimeQuality.NONE
    fields: tuple[tuple[str, FieldValue], ...] = ()
    """At most 64."""
    act_id: ActId | None = None
    octets: bytes | None = None
    signature: bytes | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.number <= NUMBER_MAX:
            raise FieldError("number", f"{self.number} is out of range", "count from 1")
        if not 1 <= len(self.event.encode()) <= EVENT_SIZE_MAX:
            raise FieldError("event", "is empty or too long", f"use 1 to {EVENT_SIZE_MAX} octets")
        if len(self.fields) > FIELD_COUNT_MAX:
            raise FieldError("fields", "are too many", f"use at most {FIELD_COUNT_MAX}")
        if self.utc is not None and not 0 <= self.utc <= UTC_MAX:
            raise FieldError("utc", f"{self.utc} is out of range", f"give 0 to {UTC_MAX}")
        if self.act_id is not None:
            check_act_id("act_id", self.act_id)

    def field(self, name: str) -> FieldValue:
        """The value of the first field of that name, or None."""
        for key, value in self.fields:
            if key == name:
                return value
        return None


def encode_entry(entry: Entry) -> bytes:
    """The canonical octets of an entry. Raises `FieldError` above 16 KiB."""
    document: dict[int, object] = {
        0: entry.number,
        1: _LINE if entry.is_line else _STATION,
        2: entry.event,
    }
    if entry.utc is not None:
        document[3] = entry.utc
    document[4] = int(entry.time_quality)
    if entry.fields:
        document[5] = [part for pair in entry.fields for part in pair]
    if entry.act_id is not None:
        document[6] = list(entry.act_id)
    if entry.octets is not None:
        document[7] = entry.octets
    if entry.signature is not None:
        document[8] = entry.signature
    # The keys are put in ascending order above, so the plain encoder is already deterministic.
    octets = cbor2.dumps(document)
    if len(octets) > ENTRY_SIZE_MAX:
        raise FieldError("entry", f"has {len(octets)} octets", f"use at most {ENTRY_SIZE_MAX}")
    return octets


def decode_entry(octets: bytes) -> Entry:
    """Read an entry back. Raises `DecodeError` for anything that `encode_entry` does not write.

    `load_map` passes one octet form of a document only; what may be left out is looked at here, so
    the entry need not be written again to compare.
    """
    if len(octets) > ENTRY_SIZE_MAX:
        raise DecodeError("the entry is too long")
    document = load_map(octets)
    if not _NEEDED <= document.keys() <= _KNOWN:
        raise DecodeError("the keys are not those of an entry")
    kind, quality = _typed(document[1], int), _typed(document[4], int)
    if kind not in (_LINE, _STATION):
        raise DecodeError("the kind of the entry is unknown")
    if quality not in _QUALITIES:
        raise DecodeError("the quality of its time is unknown")
    try:
        return Entry(
            number=_typed(document[0], int),
            is_line=kind == _LINE,
            event=_typed(document[2], str),
            utc=UtcTime(_typed(document[3], int)) if 3 in document else None,
            time_quality=_QUALITIES[quality],
            fields=_fields_of(document[5]) if 5 in document else (),
            act_id=_act_id_of(document[6]) if 6 in document else None,
            octets=_typed(document[7], bytes) if 7 in document else None,
            signature=_typed(document[8], bytes) if 8 in document else None,
        )
    except FieldError as error:
        raise DecodeError(f"the octets are no entry of a log book: {error}") from error


def _fields_of(parts: object) -> tuple[tuple[str, FieldValue], ...]:
    items = _typed(parts, list)
    if not items or len(items) % 2 or len(items) > 2 * FIELD_COUNT_MAX:
        raise DecodeError("the fields are not pairs")
    fields: list[tuple[str, FieldValue]] = []
    for name, value in zip(items[::2], items[1::2], strict=True):
        if value is not None and type(value) not in (str, int, bytes):
            raise DecodeError("a field is neither text, number, octets nor null")
        fields.append((_typed(name, str), value))
    return tuple(fields)


def _act_id_of(parts: object) -> ActId:
    items = _typed(parts, list)
    if len(items) != 3:
        raise DecodeError("the act id has not three parts")
    originator, epoch, serial = (_typed(item, int) for item in items)
    return ActId(Station(originator), Epoch(epoch), Serial(serial))


def _typed(value: object, kind: type[T]) -> T:
    # An exact type: bool is an int to isinstance, but not to the format.
    if type(value) is not kind:
        raise DecodeError(f"found {type(value).__name__} where {kind.__name__} belongs")
    return value


def retired_acts(entry: Entry) -> tuple[ActId, ...]:
    """The acts that an entry says were removed from the store; none for other entries."""
    if entry.is_line or entry.event != RETIRED:
        return ()
    packed = entry.field(RETIRED_FIELD)
    if not isinstance(packed, bytes):
        return ()
    return unpack_ids(packed)
