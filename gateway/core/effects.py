"""What shall be done: the closed union of orders, and the `Step` that carries them.

The runtime commits every write of a step in one transaction, then performs the effects in order.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from gateway.core.records import Write
from gateway.model import (
    ActId,
    DeliveryState,
    Instant,
    LineState,
    LinkName,
    LinkState,
    Operation,
    Precedence,
    Station,
    UtcTime,
    Word,
)


@dataclass(frozen=True, slots=True)
class Transmit:
    """Hand one sealed frame to a link's driver, which reports `FrameSent` or `FrameRefused`."""

    link: LinkName
    transmission: int
    """Unique in a run; names this attempt in the driver's reports."""
    to: Station
    octets: bytes
    precedence: Precedence
    want_ack: bool
    """Ask the radio for its own ack and retransmission; a serial driver ignores it."""


@dataclass(frozen=True, slots=True)
class ConfirmSubmission:
    """The notice is durably accepted under this id (or was, for a repeated request)."""

    token: int
    notice_id: ActId
    state: DeliveryState
    repeated: bool


@dataclass(frozen=True, slots=True)
class ConfirmAnswer:
    token: int
    answer_id: ActId
    notice_id: ActId
    repeated: bool


class RejectCode(enum.Enum):
    """Stable words of refusals; the API maps them to HTTP, MQTT to the error topic."""

    INVALID = "invalid"
    UNKNOWN_STATION = "unknown_station"
    UNKNOWN_NOTICE = "unknown_notice"
    UNKNOWN_ALARM = "unknown_alarm"
    FORBIDDEN = "forbidden"
    CONFLICT = "conflict"
    REQUEST_ID_REUSED = "request_id_reused"
    STORE_REFUSED = "store_refused"
    FULL = "full"
    STOPPING = "stopping"
    STANDBY = "standby"


@dataclass(frozen=True, slots=True)
class RejectRequest:
    """Nothing was accepted: what, where and what to do, each one sentence part."""

    token: int
    code: RejectCode
    field: str
    problem: str
    remedy: str


@dataclass(frozen=True, slots=True)
class ConfirmClear:
    """The alarm is dark, and the log book says who cleared it."""

    token: int
    name: str


@dataclass(frozen=True, slots=True)
class Publish:
    """The publication of this offset is committed; adapters may hand it on."""

    offset: int


@dataclass(frozen=True, slots=True)
class RequestEntropy:
    """Bring `size` octets of os.urandom as `EntropyArrived`."""

    size: int


@dataclass(frozen=True, slots=True)
class RequestActs:
    """Bring these own acts, as the store has them, as `ActsArrived`; what it lacks is left out."""

    ids: tuple[ActId, ...]


class Level(enum.Enum):
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Observe:
    """One line for the local log: a stable event name and plain fields. Never key material."""

    level: Level
    event: str
    fields: Mapping[str, str | int | float | bool | None]


class AlarmCode(Word):
    """Why the alarm lamp is lit."""

    OVERDUE = "overdue"
    ROLLBACK = "rollback"
    SAME_ID = "same id, other octets"
    STORE_REFUSED = "store refused"
    STORE_REBUILT = "store rebuilt"
    LOG_BOOK = "log book differs"
    NO_LINK = "no usable link"
    FAR_GATEWAY_SILENT = "far gateway silent"
    FAR_ROLLBACK = "far station lost notices"
    TWO_INCARNATIONS = "two incarnations"
    FAILED_OPENS = "failed opens"
    CROSSED = "WILCO crossed CANCEL"
    QUEUE_DOWN = "queue down"
    TOO_MANY_OPEN = "too many open"
    DEVICE = "device does not work"
    GENERATION = "no common secret"
    REVOKED = "card revoked"
    UNREPLICATED = "unreplicated"
    NO_SPARE = "no usable spare"
    NOT_ACTIVE = "not active yet"
    LEFT_BEHIND = "left behind"


CLEARED_BY_HAND: Final = frozenset(
    {
        AlarmCode.ROLLBACK,
        AlarmCode.SAME_ID,
        AlarmCode.STORE_REBUILT,
        AlarmCode.LOG_BOOK,
        AlarmCode.FAR_ROLLBACK,
        AlarmCode.TWO_INCARNATIONS,
        AlarmCode.FAILED_OPENS,
        AlarmCode.CROSSED,
        AlarmCode.LEFT_BEHIND,
    }
)
"""Alarms about what has happened, kept over a restart. The others end with what is, alone."""


@dataclass(frozen=True, slots=True)
class Alarm:
    code: AlarmCode
    text: str
    """One sentence for people: what, where, what to do."""
    station: Station | None = None
    notice_id: ActId | None = None
    part: str = ""
    evidence: str = ""
    """What it was lit for; the same again lights it no more once a person has cleared it."""

    @property
    def name(self) -> str:
        """What it is cleared by, with of whom or what: `rollback.2`, `same-id.2-77ab-4`."""
        subject = self.notice_id or self.station or self.part
        word = self.code.name.lower().replace("_", "-")
        return f"{word}.{subject}" if subject else word


@dataclass(frozen=True, slots=True)
class LinkStatus:
    """A link as it is now: our device and the path. The far side is in `PeerStatus`."""

    name: LinkName
    station: Station
    state: LinkState
    device_up: bool
    """It is served and can send."""
    detail: str
    round_trip_ms: int | None
    heard_at: Instant | None
    """When an authentic frame last came in by this link; None: never in this run."""
    loss: float | None
    """Estimated share of our frames lost, 0 to 1."""
    queued: int
    acknowledged_at: Instant | None = None
    """When the far radio last acknowledged a packet, which says nothing of its gateway."""
    failed_opens: int = 0
    """Frames under the far station's name that did not open, in this run: noise, or a forger."""
    turned_away: int = 0
    """Frames of unknown incarnations beyond what a link may have tried."""


@dataclass(frozen=True, slots=True)
class Declared:
    """What a party declared of the line in a notice that is in force: a state, or MINIMIZE."""

    by: Station
    notice_id: ActId
    operation: Operation
    state: LineState | None
    minimize: Precedence | None
    """The slowest precedence that may go."""
    expires: UtcTime | None
    """None: the clock was not trusted when it was made."""


@dataclass(frozen=True, slots=True)
class PeerStatus:
    """The far station: is its gateway there, and do hellos go both ways?"""

    station: Station
    confirmed: bool
    heard_at: Instant | None
    busy: bool
    """It said BUSY: its store cannot write, or it has too many notices of ours open."""
    fresh: bool = True
    """It answered our challenge in this run; else what comes may be a recording of old times."""
    generation: int = 1
    """Of the secret under which we send."""
    rotating: bool = False
    """A newer secret lies here, and the far station has not used it yet."""
    has_former: bool = False
    """The former secret lies here still."""
    declared: tuple[Declared, ...] = ()
    is_full: bool = False
    """It has all the notices open here that it may: only FLASH of it is taken now."""
    is_revoked: bool = False
    """Its card was revoked here: nothing is taken from it and nothing goes to it."""
    open_count: int = 0
    """Our notices to it that are open."""
    there_count: int = 0
    """Those of them that it has receipted: they wait for a person there."""


@dataclass(frozen=True, slots=True)
class PendingNotice:
    """A notice that lights a lamp."""

    notice_id: ActId
    precedence: Precedence
    operation: Operation
    state: DeliveryState
    since: Instant
    displayed: bool
    overdue: bool
    born: Instant | None = None
    """When its age was zero, on this boot's clock; None while its age is not known."""
    is_check: bool = False
    """A comm check: it pends on the exercise lamp whatever its operation indicator says."""
    far: Station | None = None
    """The other station of its line."""
    late: bool = False
    unproven: bool = False
    """FRESHNESS UNPROVEN: it may be a recording of old times."""
    goes_at: Instant | None = None
    """When it will leave, at the latest where MINIMIZE holds it; None: no airtime or order does."""

    @property
    def is_doubtful(self) -> bool:
        """LATE, AGE UNKNOWN or FRESHNESS UNPROVEN: look before you act on it."""
        return self.late or self.unproven or self.born is None


@dataclass(frozen=True, slots=True)
class Status:
    """Everything that lamps, the API's status and the retained line topics show."""

    station: Station
    links: tuple[LinkStatus, ...]
    peers: tuple[PeerStatus, ...]
    pending_in: tuple[PendingNotice, ...]
    """Notices waiting for our watch, the button's candidate first; at most 32 are listed."""
    pending_in_count: int
    pending_out: tuple[PendingNotice, ...]
    """Notices waiting for theirs, most urgent first; at most 32 are listed."""
    pending_out_count: int
    alarms: tuple[Alarm, ...]
    store_refused: bool
    stopping: bool
    buzzer_silenced: bool
    button_refused_at: Instant | None
    """When a press was last refused (a short refusal blink follows)."""
    lamp_test_until: Instant | None
    utc: UtcTime | None
    buzzer_until: Instant | None = None
    """The buzzer sounds until then, in the rhythm of the first pending notice, unless silenced."""
    button_refusal: str = ""
    """Why the last press was refused, and what to do; empty once one did something."""


@dataclass(frozen=True, slots=True)
class ShowStatus:
    """The status changed: lamps, retained topics, event stream."""

    status: Status


@dataclass(frozen=True, slots=True)
class ShowHeard:
    """Frames of a line came in and nothing else is new: for who asks, nobody is woken for it."""

    peer: PeerStatus
    links: tuple[LinkStatus, ...]
    """All links to that station."""
    utc: UtcTime | None

    def laid_over(self, status: Status) -> Status:
        """The status with this line as it is now; everything else stays."""
        links = {link.name: link for link in self.links}
        return replace(
            status,
            links=tuple(links.get(link.name, link) for link in status.links),
            peers=tuple(
                self.peer if peer.station == self.peer.station else peer for peer in status.peers
            ),
            utc=self.utc,
        )


Effect = (
    Transmit
    | ConfirmSubmission
    | ConfirmAnswer
    | ConfirmClear
    | RejectRequest
    | Publish
    | RequestEntropy
    | RequestActs
    | Observe
    | ShowStatus
    | ShowHeard
)


@dataclass(frozen=True, slots=True)
class Step:
    """What one event led to. Commit `writes` in one transaction, then perform `effects`."""

    writes: tuple[Write, ...] = ()
    effects: tuple[Effect, ...] = ()
