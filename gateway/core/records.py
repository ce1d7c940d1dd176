"""What the engine wants kept, and what it wants back at the next start (`Recovered`).

Records are plain values; `store` gives them tables. Each write says how durable it must be:
FULL is on the medium before any effect; losing a NORMAL one in a power cut only repeats work.

What a start reads 100 000 of is a named tuple: made in a fifth of the time of a frozen dataclass.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import NamedTuple

from gateway.model import (
    ActId,
    DeliveryState,
    Instant,
    LinkName,
    Operation,
    Precedence,
    Station,
    TimeQuality,
    UtcTime,
    Word,
)


class Durability(enum.Enum):
    FULL = "FULL"
    NORMAL = "NORMAL"


class Direction(Word):
    IN = "in"
    OUT = "out"


class StoredAct(NamedTuple):
    """A signed act as it travels. The store checks `sha256` of octets + signature when read."""

    id: ActId
    to: Station
    direction: Direction
    octets: bytes
    signature: bytes | None
    """64 octets of Ed25519; None for an act whose checkpoint signature is still to come."""
    boot_id: str
    born: Instant
    """Instant (of `boot_id`) at which its age was zero; may be negative for an inbound act."""
    age_known: bool
    utc: UtcTime | None
    """Wall clock at age zero; bounds the age after a restart. None: not known."""


class StoredDelivery(NamedTuple):
    """The one state machine of a notice with its addressee, either direction."""

    notice_id: ActId
    direction: Direction
    state: DeliveryState
    overdue: bool
    late: bool
    """Inbound: it came after its expiry or long after later ones (LATE)."""
    displayed: bool
    taken: bool
    """Inbound: the configured consumer has it."""
    answers: tuple[ActId, ...]
    """Answer acts of this dialogue in the order we came to know them; at most 16."""
    is_open: bool
    """False: nothing more is expected; recovery may leave it out after the retention."""
    unproven: bool = False
    """Inbound: it came from an incarnation that has not answered our challenge; a recording of old
    times could look so where our store was lost (FRESHNESS UNPROVEN).
    """


@dataclass(frozen=True, slots=True)
class StateEntry:
    """One change of state with its evidence, for `show` and the record."""

    notice_id: ActId
    state: DeliveryState
    utc: UtcTime | None
    link: LinkName | None
    evidence: str
    """For people: `receipt`, `answer 2-77ab-4`, `real ack of the radio` ..."""


@dataclass(frozen=True, slots=True)
class LogHead:
    """The last entry of the log book that a commit covers: its number from 1 and its SHA-256."""

    number: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class PutAct:
    act: StoredAct
    durability: Durability = Durability.FULL


@dataclass(frozen=True, slots=True)
class PutDelivery:
    """Insert or replace by `notice_id`."""

    delivery: StoredDelivery
    durability: Durability = Durability.FULL


@dataclass(frozen=True, slots=True)
class AddStateEntry:
    entry: StateEntry
    durability: Durability = Durability.NORMAL


@dataclass(frozen=True, slots=True)
class PutSeen:
    """An inbound act was accepted: its id and the SHA-256 of its octets."""

    id: ActId
    sha256: bytes
    durability: Durability = Durability.FULL


@dataclass(frozen=True, slots=True)
class PutReceipted:
    """An own act is durably at the peer; it needs no more transmission."""

    id: ActId
    durability: Durability = Durability.NORMAL


@dataclass(frozen=True, slots=True)
class DropReceipt:
    """The peer has lost an own act that it receipted: it goes again, also after a restart."""

    id: ActId
    durability: Durability = Durability.FULL


@dataclass(frozen=True, slots=True)
class PutEpoch:
    """An own epoch was opened on the line to `peer`; written before its first act is used."""

    peer: Station
    epoch: int
    durability: Durability = Durability.FULL


class PutSubmission(NamedTuple):
    """A request id of an adapter's user led to this act; `sha256` is of the request's content."""

    principal: str
    request_id: str
    sha256: bytes
    act_id: ActId
    durability: Durability = Durability.FULL


@dataclass(frozen=True, slots=True)
class PutPeer:
    """What must outlive a restart about a peer's machine."""

    peer: Station
    incarnation: bytes | None
    """Last incarnation that was proven by a challenge, 8 octets."""
    previous: tuple[tuple[int, int], ...]
    """(epoch, last serial) that the peer told of its earlier epochs; at most 16, newest last."""
    durability: Durability = Durability.NORMAL


@dataclass(frozen=True, slots=True)
class PutKeys:
    """Which generation of a line's secret its peer is known to use: the one before is refused."""

    peer: Station
    confirmed: bytes
    """8 octets that name the generation and are no key (`security.keys.Roots.mark`)."""
    durability: Durability = Durability.FULL


class Topic(enum.Enum):
    NOTICE = "notice"
    """An inbound notice for the consumer; leaves the outbox when taken."""
    STATE = "state"
    """A notice of either direction changed its state."""


@dataclass(frozen=True, slots=True)
class Publication:
    """A line of the durable, offset-numbered feed that queues and `GET /v1/notices` read."""

    offset: int
    """From 1, rising in the order of commits; numbers are left out at each start."""
    topic: Topic
    notice_id: ActId
    precedence: Precedence
    operation: Operation
    document: str
    """The JSON document (`wire.document`) as published."""


@dataclass(frozen=True, slots=True)
class AddPublication:
    publication: Publication
    durability: Durability = Durability.FULL


class EntryKind(enum.Enum):
    """What an entry of the log book records."""

    ACT = "act"
    """Line entry: a signed act, ours or theirs; both books hold it."""
    STATION = "station"
    """Station entry: what happened here (links, clock, configuration, keys, watch, start, stop)."""


@dataclass(frozen=True, slots=True)
class AddLogEntry:
    """An entry for the log book; the store gives it its number and chains it in the same commit."""

    kind: EntryKind
    event: str
    """A stable name: `sent`, `received`, `state`, `link`, `start`, `stop`, `clock` ..."""
    utc: UtcTime | None
    time_quality: TimeQuality
    fields: tuple[tuple[str, str | int | bytes | None], ...] = ()
    act_id: ActId | None = None
    octets: bytes | None = None
    signature: bytes | None = None
    durability: Durability = Durability.NORMAL


@dataclass(frozen=True, slots=True)
class PutAirtime:
    """Milliseconds spent on air on a link in the minute `minute` of boot `boot_id`."""

    link: LinkName
    boot_id: str
    minute: int
    spent_ms: int
    durability: Durability = Durability.NORMAL


@dataclass(frozen=True, slots=True)
class PutBoot:
    """A boot of this machine, so that ages outlive it; replaces by `boot_id`."""

    boot_id: str
    began: Instant
    """First start of the gateway in it."""
    zero_first_ms: int | None = None
    """UTC in ms at instant 0, as the wall clock told when it was first trusted in this boot."""
    zero_last_ms: int | None = None
    """The same when it was last set or looked at."""
    durability: Durability = Durability.FULL


@dataclass(frozen=True, slots=True)
class DropOutlived:
    """Closed notices, acts of theirs and publications that were kept long enough: all of them but
    what the log book and `seen` hold. What turns out to be open or unreceipted stays.
    """

    acts: tuple[ActId, ...]
    offsets: tuple[int, ...] = ()
    """Of publications whose notice is gone already."""
    durability: Durability = Durability.NORMAL


class AlarmKey(NamedTuple):
    """What an alarm about what has happened is about."""

    code: str
    """The name of its `AlarmCode`."""
    station: Station | None
    notice_id: ActId | None
    part: str
    cleared: str | None = None
    """The evidence with which a person cleared it; None: it is lit."""


@dataclass(frozen=True, slots=True)
class StoredAlarm:
    """One that is lit until a person, or a rule, ends it; or evidence that lights it no more."""

    key: AlarmKey
    text: str = ""
    evidence: str = ""


@dataclass(frozen=True, slots=True)
class PutAlarm:
    """Insert or replace by `key`."""

    alarm: StoredAlarm
    durability: Durability = Durability.FULL


@dataclass(frozen=True, slots=True)
class DropAlarm:
    """It is lit no more, or its evidence too old to be kept. Losing it lights it once more."""

    key: AlarmKey
    durability: Durability = Durability.NORMAL


Write = (
    PutAct
    | PutDelivery
    | AddStateEntry
    | PutSeen
    | PutReceipted
    | DropReceipt
    | PutEpoch
    | PutSubmission
    | PutPeer
    | PutKeys
    | AddPublication
    | AddLogEntry
    | PutAirtime
    | PutBoot
    | DropOutlived
    | PutAlarm
    | DropAlarm
)


@dataclass(frozen=True, slots=True)
class Recovered:
    """Everything the engine needs of the last runs. Empty for a fresh store.

    `acts` holds every act of an open delivery or not yet receipted by the peer, and the closed
    ones within the bound; `seen` every inbound id within it.
    """

    acts: tuple[StoredAct, ...] = ()
    deliveries: tuple[StoredDelivery, ...] = ()
    receipted: frozenset[ActId] = frozenset()
    """Own acts that the peer has."""
    seen: tuple[tuple[ActId, bytes], ...] = ()
    epochs: tuple[tuple[Station, int, int], ...] = ()
    """(peer, own epoch, highest serial used in it), in the order of opening."""
    submissions: tuple[PutSubmission, ...] = ()
    peers: tuple[PutPeer, ...] = ()
    keys: tuple[PutKeys, ...] = ()
    next_offset: int = 1
    log_head: LogHead | None = None
    """None: the log book is empty."""
    airtime: tuple[PutAirtime, ...] = ()
    airtime_lost_count: int = 0
    """Minutes of airtime that the medium changed; of which link, and how much, is not known."""
    boots: tuple[PutBoot, ...] = ()
    """In the order in which they began."""
    alarms: tuple[StoredAlarm, ...] = ()
    """In the order in which they were lit or cleared."""
    utc_last: UtcTime | None = None
    """Latest trusted wall clock that the store knows of, to bound ages after a power-off."""
    was_rebuilt: bool = False
    """The database was set aside and this state comes from elsewhere: alarm."""
    book_problem: str = ""
    """How the log book contradicts the signed head beside it, one sentence: alarm."""
    was_restored: bool = False
    """The database is a copy (backup, other gateway): what was said since may be lost. Alarm."""
    store_refused: bool = False
    """The store cannot write: accept nothing, receipt nothing, say BUSY."""
    strikes: dict[ActId, int] = field(default_factory=dict)
    """Acts that were in hand at crashes, and how often (see STYLE, errors)."""
