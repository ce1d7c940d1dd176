"""Commits as one gateway of a station hands them to the other: octets <-> writes, nothing else.

A batch names the commit before it, so that the reader sees a hole, and the head of the log book
after it, so that the reader sees when its own book is another one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, make_dataclass
from dataclasses import fields as fields_of
from typing import Any, Final, get_type_hints

import msgspec

from gateway.core import records
from gateway.core.records import AddLogEntry, DropAlarm, LogHead, PutAirtime, PutAlarm, Write
from gateway.errors import DecodeError
from gateway.store.changes import PutCursor, StoreWrite

PUBLIC_NAME: Final = "spare"
"""The name under which the store keeps its own place (`PutCursor`)."""
MARK_NAME: Final = "spare.mark"
PLACE_NAME: Final = "spare.place"

_WRITES: Final[dict[str, type[Any]]] = {
    kind.__name__: kind
    for kind in (
        records.PutAct,
        records.PutDelivery,
        records.AddStateEntry,
        records.PutSeen,
        records.PutReceipted,
        records.DropReceipt,
        records.PutEpoch,
        records.PutSubmission,
        records.PutPeer,
        records.PutKeys,
        records.AddPublication,
        AddLogEntry,
        records.PutBoot,
        records.DropOutlived,
        PutCursor,
    )
}

LEFT_OUT: Final = (PutAirtime, PutAlarm, DropAlarm)
"""The airtime of a radio; what has happened to this gateway, by what it saw itself."""

_ENTRY_FIELDS: Final = tuple(it for it in fields_of(AddLogEntry) if it.name != "fields")
_Entry: Final = make_dataclass(
    "_Entry", [(it.name, get_type_hints(AddLogEntry)[it.name]) for it in _ENTRY_FIELDS]
)
"""An entry without its fields."""


@dataclass(frozen=True, slots=True)
class Batch:
    """One commit of the active gateway."""

    number: int
    previous: int
    """The number of the commit before it in that store; 0: none was handed on."""
    previous_mark: int
    """By whom that one was made."""
    writes: tuple[StoreWrite, ...]
    head: LogHead | None = None
    """Of the log book after it, where the commit was FULL."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """What one message carries: commits of one time of being active, in order."""

    mark: int
    """48 bits, drawn each time a gateway becomes the active one."""
    batches: tuple[Batch, ...]
    """One at least."""


def kept(writes: Sequence[Write]) -> tuple[Write, ...]:
    """What is handed on: all but what is one machine's and not the station's."""
    return tuple(write for write in writes if not isinstance(write, LEFT_OUT))


def encode_parcel(parcel: Parcel) -> bytes:
    """As MessagePack."""
    return msgspec.msgpack.encode(
        [
            parcel.mark,
            [
                [
                    batch.number,
                    batch.previous,
                    batch.previous_mark,
                    batch.head,
                    [[type(write).__name__, write] for write in batch.writes],
                ]
                for batch in parcel.batches
            ],
        ]
    )


def decode_parcel(octets: bytes) -> Parcel:
    """Raises `DecodeError` for what no gateway of this version wrote."""
    try:
        mark, batches = msgspec.msgpack.decode(octets, type=tuple[int, list[tuple[Any, ...]]])
        if not batches:
            raise ValueError("not one commit in it")
        return Parcel(mark, tuple(_batch(*fields) for fields in batches))
    except (msgspec.MsgspecError, KeyError, TypeError, ValueError) as error:
        raise DecodeError(f"no commits of a gateway of this version ({error})") from error


def _batch(number: Any, previous: Any, mark: Any, head: Any, writes: Any) -> Batch:  # noqa: ANN401
    return Batch(
        number=msgspec.convert(number, int),
        previous=msgspec.convert(previous, int),
        previous_mark=msgspec.convert(mark, int),
        head=msgspec.convert(head, LogHead | None),
        writes=tuple(_write(name, fields) for name, fields in writes),
    )


def _write(name: str, fields: Any) -> StoreWrite:  # noqa: ANN401 (MessagePack)
    kind = _WRITES[name]
    if kind is not AddLogEntry:
        write: StoreWrite = msgspec.convert(fields, kind)
        return write
    # Its fields are text, octets or numbers, which MessagePack tells apart and msgspec's types
    # do not.
    named = msgspec.convert(fields.pop("fields"), tuple[tuple[str, Any], ...])
    if not all(isinstance(value, str | int | bytes | None) for _, value in named):
        raise ValueError("an entry of the log book holds another kind of value")
    rest: Any = msgspec.convert(fields, _Entry)
    return AddLogEntry(fields=named, **{it.name: getattr(rest, it.name) for it in _ENTRY_FIELDS})
