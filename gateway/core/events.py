"""What happened: the closed union of everything that may enter the engine. Past facts, frozen."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from gateway.core.airtime import Airtime
from gateway.core.records import LogHead, StoredAct
from gateway.model import (
    ActId,
    AnswerCode,
    LinkName,
    NoticeDraft,
    Operation,
    Precedence,
    Role,
    Text,
)


@dataclass(frozen=True, slots=True)
class Rights:
    """What a principal may do: submit these indicators up to that precedence; answer or not."""

    submit: frozenset[Operation]
    precedence: Precedence = Precedence.FLASH
    """The fastest precedence that may be submitted."""
    answer: bool = False


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks, from peer credentials or the adapter's configuration, never from the body."""

    adapter: str
    user: str
    role: Role
    rights: Rights


@dataclass(frozen=True, slots=True)
class Started:
    """The daemon runs; always the first event. Entropy is 128 octets or more of os.urandom."""

    boot_id: str
    entropy: bytes
    version: str
    configuration: str = ""
    """Digest of the settings, for the log book."""


@dataclass(frozen=True, slots=True)
class EntropyArrived:
    """Fresh octets of os.urandom, asked for by `RequestEntropy`."""

    octets: bytes


@dataclass(frozen=True, slots=True)
class ActsArrived:
    """Own acts from the store, asked for by `RequestActs`."""

    acts: tuple[StoredAct, ...]


@dataclass(frozen=True, slots=True)
class NoticeSubmitted:
    """Someone hands over a notice. `request_id` (1 to 64 characters) makes repeats harmless."""

    token: int
    """Names this call in `ConfirmSubmission` or `RejectRequest`; chosen by the adapter's hub."""
    principal: Principal
    request_id: str
    draft: NoticeDraft


@dataclass(frozen=True, slots=True)
class AnswerSubmitted:
    token: int
    principal: Principal
    request_id: str
    notice_id: ActId
    code: AnswerCode
    body: Text | None = None


@dataclass(frozen=True, slots=True)
class ClearAsked:
    """A person has seen to an alarm: it shall be dark until its cause comes anew."""

    token: int
    principal: Principal
    name: str
    """`Alarm.name`."""


@dataclass(frozen=True, slots=True)
class NoticeTaken:
    """The configured consumer has the inbound notice; it leaves the outbox."""

    notice_id: ActId
    principal: Principal


@dataclass(frozen=True, slots=True)
class NoticeDisplayed:
    """A screen, printer or consumer showed the inbound notice to a person. Best effort."""

    notice_id: ActId


@dataclass(frozen=True, slots=True)
class Outlived:
    """The store holds closed notices, their answers and publications longer than `keep_days`."""

    dialogues: tuple[tuple[ActId, ...], ...]
    """At most 64: a notice and the answers to it, or an act that stands alone."""
    offsets: tuple[int, ...]
    """Publications of notices that were removed; at most 1000."""


@dataclass(frozen=True, slots=True)
class LinkTraits:
    """What the engine must know of a link that came up."""

    frame_size_max: int
    airtime: Airtime
    is_radio: bool = False
    duty_share: float | None = None
    """Share of a rolling hour that the region allows on air, 0 to 1; None: no limit."""
    airtime_spent_ms: int = 0
    """What the radio itself says that it was on air in the last hour, acks included."""
    detail: str = ""
    """For people: the port, the radio's name and region."""
    is_mute: bool = False
    """The device is served and hears, but cannot send until a person sees to it (`detail`)."""


@dataclass(frozen=True, slots=True)
class LinkUp:
    """A driver serves a working device on this link (not yet: the far station hears us)."""

    link: LinkName
    traits: LinkTraits


@dataclass(frozen=True, slots=True)
class LinkDown:
    """The device is gone. Everything handed to the driver and not yet reported is unknown."""

    link: LinkName
    reason: str


@dataclass(frozen=True, slots=True)
class LinkTold:
    """How the device of this link stands now, for people; its state is as it was."""

    link: LinkName
    detail: str
    needs_person: bool = False
    """Everything that can be done without a person was done, in vain."""
    is_mute: bool = False
    """As in `LinkTraits`, of a device that is served."""


@dataclass(frozen=True, slots=True)
class FrameReceived:
    """Octets came in, one frame as the link delimited it; not yet opened."""

    link: LinkName
    octets: bytes
    rssi_dbm: int | None = None
    snr_db: float | None = None
    wants_ack: bool = False
    """The far radio asked ours for an ack, which costs us airtime."""


class Refusal(enum.Enum):
    """Why a link did not carry a frame."""

    NO_ACK = "no ack"
    """The radio retransmitted until its limit and heard nothing: not proof of a loss."""
    RELAYED_ONLY = "relayed, but no ack of the far radio"
    UNKNOWN = "no word of what became of it"
    QUEUE_FULL = "queue full"
    DUTY_CYCLE = "duty cycle spent"
    TOO_LARGE = "too large"
    NO_KEY = "no key of the far radio"
    NOT_READY = "radio not ready"
    LINK_LOST = "link lost"


@dataclass(frozen=True, slots=True)
class FrameSent:
    """The frame left our device, or all but its end: the link is free for the next one."""

    link: LinkName
    transmission: int
    remaining_ms: int = 0
    """Until its last octet has left; its answer is awaited from then."""


@dataclass(frozen=True, slots=True)
class FrameAcknowledged:
    """The far *radio* has it (its real ack). Says nothing of the far gateway. After `FrameSent`."""

    link: LinkName
    transmission: int


@dataclass(frozen=True, slots=True)
class FrameRelayed:
    """An implicit ack: some radio repeated it. Proves nothing of the far station."""

    link: LinkName
    transmission: int


@dataclass(frozen=True, slots=True)
class FrameRefused:
    """The link did not carry it, at once or after its own retries; the link is free again."""

    link: LinkName
    transmission: int
    reason: Refusal
    retry_after_ms: int | None = None


@dataclass(frozen=True, slots=True)
class ButtonPressed:
    """The debounced button went down."""


@dataclass(frozen=True, slots=True)
class ButtonReleased:
    """The debounced button went up."""


@dataclass(frozen=True, slots=True)
class QueueUp:
    queue: str


@dataclass(frozen=True, slots=True)
class QueueDown:
    queue: str
    reason: str


@dataclass(frozen=True, slots=True)
class CopyTold:
    """Whether the station's other gateway can have all that is accepted here. After each change."""

    problem: str
    """Why it cannot; empty: it can."""
    alone: tuple[ActId, ...] = ()
    """Acts of just before, which it does not have."""


@dataclass(frozen=True, slots=True)
class LampsTold:
    """Whether lamps and button work. After each change from working, the state of a start."""

    problem: str
    """Why they do not; empty: they do."""


@dataclass(frozen=True, slots=True)
class SpareTold:
    """Whether the station's other gateway could take over. After each change."""

    problem: str
    """Why it could not; empty: it could."""


@dataclass(frozen=True, slots=True)
class StoreHealed:
    """The store can write again; leaves STORE REFUSED."""


@dataclass(frozen=True, slots=True)
class ClockStepped:
    """The wall clock jumped or its quality changed; changes nothing but DTGs and the record."""

    step_s: int


@dataclass(frozen=True, slots=True)
class LogHeadCommitted:
    """A FULL commit covers this head of the log book; only such a head may leave the station."""

    head: LogHead


@dataclass(frozen=True, slots=True)
class Stopping:
    """The daemon was asked to stop: lamps dark, last entry, nothing more is accepted."""

    reason: str


Event = (
    Started
    | EntropyArrived
    | ActsArrived
    | NoticeSubmitted
    | AnswerSubmitted
    | ClearAsked
    | NoticeTaken
    | NoticeDisplayed
    | Outlived
    | LinkUp
    | LinkDown
    | LinkTold
    | FrameReceived
    | FrameSent
    | FrameAcknowledged
    | FrameRelayed
    | FrameRefused
    | ButtonPressed
    | ButtonReleased
    | QueueUp
    | QueueDown
    | CopyTold
    | SpareTold
    | LampsTold
    | StoreHealed
    | ClockStepped
    | LogHeadCommitted
    | Stopping
)
