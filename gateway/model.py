"""The values everything speaks of: ids, times, notices, answers, states. No octets, no clock.

Every value checks itself when made (`FieldError`), so that a value that exists can be encoded.
The words are the field's (MIL-STD-2045-47001, ICAO Doc 4444 chapter 14, CAP 1.2).
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from typing import Final, NamedTuple, NewType

from gateway.content import (
    BODY_SIZE_MAX,
    POLYGON_POINT_COUNT_MAX,
    POLYGON_POINT_COUNT_MIN,
    SLOT_COUNT_MAX,
    UTC_MAX,
    Altitude,
    Phrase,
    Place,
    Point,
    Text,
    Window,
    check_text,
    in_range,
)
from gateway.errors import FieldError

__all__ = [
    "BODY_SIZE_MAX",
    "POLYGON_POINT_COUNT_MAX",
    "POLYGON_POINT_COUNT_MIN",
    "SLOT_COUNT_MAX",
    "UTC_MAX",
    "Altitude",
    "Phrase",
    "Place",
    "Point",
    "Text",
    "Window",
    "check_text",
]

Instant = NewType("Instant", int)
"""Milliseconds of CLOCK_BOOTTIME; for timers only, never across a restart."""
UtcTime = NewType("UtcTime", int)
"""Seconds since 1970-01-01T00:00Z; for people only, never for a timer."""
Station = NewType("Station", int)
"""The number of a station, 1 to 255, unique among the stations that share a line."""
Epoch = NewType("Epoch", int)
"""16 random bits, 1 to 65535; a fresh one for each line at each start."""
Serial = NewType("Serial", int)
"""The originator's running number in an epoch, 1 to 65535."""
LinkName = NewType("LinkName", str)

LIFETIME_MIN_MAX: Final = 0xFFFF


@dataclass(frozen=True, slots=True)
class Now:
    """What the time is: `instant` for timers, `utc` for people or None while it is not trusted."""

    instant: Instant
    utc: UtcTime | None = None
    quality: TimeQuality | None = None


class TimeQuality(enum.IntEnum):
    """How far the originator's wall clock may be trusted."""

    NONE = 0
    MANUAL = 1
    SYNCHRONISED = 2


class Word(enum.Enum):
    """An enumeration for tables: `Enum` hashes the name at each look-up, and in Python."""

    __hash__ = object.__hash__


class Precedence(enum.IntEnum):
    """Speed, not weight; the smaller goes first."""

    FLASH = 0
    IMMEDIATE = 1
    PRIORITY = 2
    ROUTINE = 3

    @property
    def letter(self) -> str:
        return "ZOPR"[self]


class Operation(enum.IntEnum):
    """The operation indicator (MIL-STD-2045-47001)."""

    OPERATION = 0
    EXERCISE = 1
    SIMULATION = 2
    TEST = 3


class Kind(enum.IntEnum):
    """What a notice means (DOMAIN, kinds of notice)."""

    NOTIFY = 0
    REPORT = 1
    WARNING = 2
    QUERY = 3
    REQUEST = 4
    ASSURE = 5
    UPDATE = 6
    CANCEL = 7
    CHECK = 8
    LINE_STATE = 9
    HANDOVER = 10
    SERVICE = 11

    @property
    def response(self) -> Response:
        return _RESPONSE[self]


class Response(Word):
    """Which answers a kind of notice expects (CPDLC, ICAO Doc 4444)."""

    NONE = "N"
    ROGER = "R"
    WILCO_OR_UNABLE = "W/U"
    AFFIRM_OR_NEGATIVE = "A/N"
    ANY = "Y"


_RESPONSE: Final = {
    Kind.NOTIFY: Response.ROGER,
    Kind.REPORT: Response.ROGER,
    Kind.WARNING: Response.ROGER,
    Kind.QUERY: Response.ANY,
    Kind.REQUEST: Response.WILCO_OR_UNABLE,
    Kind.ASSURE: Response.ROGER,
    Kind.UPDATE: Response.ROGER,
    Kind.CANCEL: Response.ROGER,
    Kind.CHECK: Response.ANY,
    Kind.LINE_STATE: Response.ROGER,
    Kind.HANDOVER: Response.NONE,
    Kind.SERVICE: Response.NONE,
}


class AnswerCode(enum.IntEnum):
    """What a person answers; CANTPRO alone is a gateway's."""

    ROGER = 0
    STANDBY = 1
    WILCO = 2
    HAVCO = 3
    CANTCO = 4
    AFFIRM = 5
    NEGATIVE = 6
    CANTPRO = 7


class Role(enum.IntEnum):
    """By whose authority an act was released; a code: each side reads it in its language."""

    AUTOMATIC = 0
    DUTY_OFFICER = 1
    WATCH_COMMANDER = 2
    LIAISON_OFFICER = 3
    COMMANDER = 4
    TECHNICIAN = 5


class DeliveryState(Word):
    """The states of one (notice, addressee); the same words on both sides of the line."""

    HELD = "HELD"
    QUEUED = "QUEUED"
    SENT = "SENT"
    RELAYED = "RELAYED"
    RECEIPTED = "MACHINE RECEIPT"
    DISPLAYED = "DISPLAYED"
    ROGER = "ROGER"
    STANDBY = "STANDBY"
    WILCO = "WILCO"
    HAVCO = "HAVCO"
    CANTCO = "CANTCO"
    AFFIRM = "AFFIRM"
    NEGATIVE = "NEGATIVE"
    CANTPRO = "CANTPRO"
    EXPIRED = "EXPIRED"
    EXPIRED_RECEIPTED = "EXPIRED, MACHINE RECEIPT"
    CANCELLED = "CANCELLED"
    SUPERSEDED = "SUPERSEDED"


class LinkState(Word):
    """Health of a link, from round trips with deadlines."""

    DOWN = "DOWN"
    PROBING = "PROBING"
    UP = "UP"
    DEGRADED = "DEGRADED"


class LineState(enum.Enum):
    """What a party declares of the line in a notice; never measured, and it stops no notice."""

    OPEN = "OPEN"
    SUSPENDED = "SUSPENDED"
    CLOSED = "CLOSED"


class ActId(NamedTuple):
    """The id of an act: who said it, in which epoch, as which number. Text form `1-3f2a-17`."""

    originator: Station
    epoch: Epoch
    serial: Serial

    def __str__(self) -> str:
        return f"{self.originator}-{self.epoch:04x}-{self.serial}"

    @classmethod
    def parse(cls, text: str) -> ActId:
        """Read the text form. Raises `FieldError`."""
        match = _ACT_ID.fullmatch(text)
        if match:
            station, epoch, serial = int(match[1]), int(match[2], 16), int(match[3])
            if 1 <= station <= 255 and epoch >= 1 and 1 <= serial <= 0xFFFF:
                return cls(Station(station), Epoch(epoch), Serial(serial))
        raise FieldError(
            "id",
            f"{text[:40]!r} is not the id of a notice",
            "write station-epoch-serial, for example 1-3f2a-17",
            code="bad_id",
        )


_ACT_ID: Final = re.compile(r"([1-9][0-9]{0,2})-([0-9a-f]{4})-([1-9][0-9]{0,4})")


@dataclass(frozen=True, slots=True)
class Previous:
    """What the originator said last before this epoch on this line; only in its first act.

    `serial` 0 with `epoch` 0 says: nothing before.
    """

    epoch: int
    serial: int

    def __post_init__(self) -> None:
        in_range("previous", self.epoch, 0, 0xFFFF)
        in_range("previous", self.serial, 0, 0xFFFF)


Extensions = tuple[tuple[int, bytes], ...]
"""Optional keys 16 to 23 that this version does not know: (key, canonical CBOR as received)."""


def check_act_id(field: str, act_id: ActId) -> None:
    in_range(field, act_id.originator, 1, 255)
    in_range(field, act_id.epoch, 1, 0xFFFF)
    in_range(field, act_id.serial, 1, 0xFFFF)


def _check_common(
    act_id: ActId, to: Station, created: UtcTime | None, previous: Previous | None
) -> None:
    check_act_id("id", act_id)
    in_range("to", to, 1, 255)
    if to == act_id.originator:
        raise FieldError("to", "is the originator itself", "name the far station")
    if created is not None:
        in_range("created", created, 0, UTC_MAX)
    if (previous is not None) != (act_id.serial == 1):
        raise FieldError("previous", "belongs to serial 1 and to no other", "this is a bug")


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeDraft:
    """A notice as its originator asks for it; the engine gives it id, DTG and quality of time."""

    to: Station
    kind: Kind
    precedence: Precedence
    operation: Operation
    body: Text | Phrase | None = None
    lifetime_min: int | None = None
    reply_by_min: int | None = None
    reference: ActId | None = None
    place: Place | None = None
    window: Window | None = None
    released_by: Role = Role.DUTY_OFFICER

    def __post_init__(self) -> None:
        if self.lifetime_min is not None:
            in_range("expires_min", self.lifetime_min, 1, LIFETIME_MIN_MAX, " min")
        if self.reply_by_min is not None:
            in_range("reply_by_min", self.reply_by_min, 1, LIFETIME_MIN_MAX, " min")
        if self.reference is not None:
            check_act_id("reference", self.reference)
        if self.kind in (Kind.CANCEL, Kind.UPDATE) and self.reference is None:
            raise FieldError(
                "reference", f"is missing in a {self.kind.name}", "name the notice that it changes"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What a party tells the other. `lifetime_min` counts from its making; 1 to 65535 minutes."""

    id: ActId
    to: Station
    kind: Kind
    precedence: Precedence
    operation: Operation
    created: UtcTime | None
    time_quality: TimeQuality
    lifetime_min: int
    reply_by_min: int | None = None
    reference: ActId | None = None
    body: Text | Phrase | None = None
    place: Place | None = None
    window: Window | None = None
    released_by: Role = Role.DUTY_OFFICER
    previous: Previous | None = None
    extensions: Extensions = ()

    def __post_init__(self) -> None:
        _check_common(self.id, self.to, self.created, self.previous)
        in_range("lifetime_min", self.lifetime_min, 1, LIFETIME_MIN_MAX, " min")
        if self.reply_by_min is not None:
            in_range("reply_by_min", self.reply_by_min, 1, LIFETIME_MIN_MAX, " min")
        if self.reference is not None:
            check_act_id("reference", self.reference)
            if self.reference.originator not in (self.id.originator, self.to):
                raise FieldError("reference", "is of a third station", "refer to this line only")
        changes = self.kind in (Kind.CANCEL, Kind.UPDATE)
        if changes and (self.reference is None or self.reference.originator != self.id.originator):
            raise FieldError("reference", "is not an own notice", "name the notice to change")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the far watch says to a notice; carries the precedence and indicator of that notice."""

    id: ActId
    to: Station
    precedence: Precedence
    operation: Operation
    created: UtcTime | None
    time_quality: TimeQuality
    reference: ActId
    code: AnswerCode
    body: Text | None = None
    released_by: Role = Role.DUTY_OFFICER
    previous: Previous | None = None
    extensions: Extensions = ()

    def __post_init__(self) -> None:
        _check_common(self.id, self.to, self.created, self.previous)
        check_act_id("reference", self.reference)
        if self.reference.originator != self.to:
            raise FieldError("reference", "is not a notice of the addressee", "answer its notice")


RECEIVED_COUNT_MAX: Final = 4
"""Epochs that a countersign names; older ones are in earlier countersigns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Void:
    """Says that a serial was never sent and never will be, so that no hole stays."""

    id: ActId
    to: Station
    precedence: Precedence
    operation: Operation
    created: UtcTime | None
    time_quality: TimeQuality
    previous: Previous | None = None
    extensions: Extensions = ()

    def __post_init__(self) -> None:
        _check_common(self.id, self.to, self.created, self.previous)


class BookHead(NamedTuple):
    """An entry of a log book and its hash: vouches for every entry up to it."""

    number: int
    """From 1."""
    hash: bytes
    """32 octets; 16 of them where another says it again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Countersign:
    """Each side is the other's witness: where both log books stand, and what came here."""

    id: ActId
    to: Station
    precedence: Precedence
    operation: Operation
    created: UtcTime | None
    time_quality: TimeQuality
    head: BookHead
    """Of the originator's book, 32 octets of hash."""
    far_head: BookHead | None = None
    """The last that the addressee signed, as it came here; 16 octets of hash."""
    received: tuple[Previous, ...] = ()
    """Epochs of the addressee, each with the serial up to which all acts are here; at most 4."""
    previous: Previous | None = None
    extensions: Extensions = ()

    def __post_init__(self) -> None:
        _check_common(self.id, self.to, self.created, self.previous)
        _check_head("head", self.head, size=32)
        if self.far_head is not None:
            _check_head("far_head", self.far_head, size=16)
        if len(self.received) > RECEIVED_COUNT_MAX:
            raise FieldError(
                "received", "has too many epochs", f"give at most {RECEIVED_COUNT_MAX}"
            )


def _check_head(name: str, head: BookHead, *, size: int) -> None:
    if not 1 <= head.number < 1 << 32:
        raise FieldError(name, f"entry {head.number} is out of range", "give 1 to 4294967295")
    if len(head.hash) != size:
        raise FieldError(name, f"a hash of {len(head.hash)} octets", f"give {size}")


Act = Notice | Answer | Void | Countersign
