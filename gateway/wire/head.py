"""The head of an act: what decisions need of it, read without its text, place and window.

Only for acts that were read in full when they were kept: of others nothing here is checked twice.
A start with 100 000 open notices reads as many heads; the texts stay in the store.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from gateway.errors import DecodeError, FieldError
from gateway.model import (
    ActId,
    AnswerCode,
    Epoch,
    Kind,
    Notice,
    Operation,
    Phrase,
    Precedence,
    Previous,
    Serial,
    Station,
    UtcTime,
)
from gateway.wire.canonical import as_uint, load_kept_map, load_map, unpack_id
from gateway.wire.limits import ACT_NESTING_MAX, LIFETIME_DEFAULT_MIN, UINT16_MAX, UINT32_MAX
from gateway.wire.notice import (
    CODE_ANSWER,
    CODE_COUNTERSIGN,
    CODE_VOID,
    HEAD_MAX,
    Key,
    Witness,
    read_phrase,
    read_witness,
)

# Indexed by their numbers: calling an enumeration takes five times as long.
_KINDS: Final = tuple(Kind)
_PRECEDENCES: Final = tuple(Precedence)
_OPERATIONS: Final = tuple(Operation)
# As plain integers: naming a member of an enumeration takes twice as long as the look in the map.
_HEAD: Final = int(Key.HEAD)
_ID: Final = int(Key.ID)
_CREATED: Final = int(Key.CREATED)
_LIFETIME: Final = int(Key.LIFETIME)
_REPLY_BY: Final = int(Key.REPLY_BY)
_OWN_REFERENCE: Final = int(Key.OWN_REFERENCE)
_THEIR_REFERENCE: Final = int(Key.THEIR_REFERENCE)
_ANSWER: Final = int(Key.ANSWER)
_PREVIOUS: Final = int(Key.PREVIOUS)
_DECLARING: Final = (Kind.LINE_STATE, Kind.UPDATE)


class NoticeHead(NamedTuple):
    """A notice without what only people and consumers read."""

    id: ActId
    to: Station
    kind: Kind
    precedence: Precedence
    operation: Operation
    created: UtcTime | None
    lifetime_min: int
    reply_by_min: int | None
    reference: ActId | None
    previous: Previous | None
    phrase: Phrase | None
    """Of a LINE STATE or an UPDATE only: machines read what it declares."""

    @property
    def is_change(self) -> bool:
        """Whether it ends an earlier notice: it must arrive whatever becomes of itself, or the far
        watch would go on by the earlier one.
        """
        return self.kind in (Kind.CANCEL, Kind.UPDATE)


class AnswerHead(NamedTuple):
    """An answer without its text."""

    id: ActId
    precedence: Precedence
    reference: ActId
    code: AnswerCode


class VoidHead(NamedTuple):
    id: ActId
    precedence: Precedence


class CountersignHead(NamedTuple):
    id: ActId
    precedence: Precedence


ActHead = NoticeHead | AnswerHead | VoidHead | CountersignHead


def head_of(notice: Notice) -> NoticeHead:
    body = notice.body
    return NoticeHead(
        notice.id,
        notice.to,
        notice.kind,
        notice.precedence,
        notice.operation,
        notice.created,
        notice.lifetime_min,
        notice.reply_by_min,
        notice.reference,
        notice.previous,
        body if notice.kind in _DECLARING and isinstance(body, Phrase) else None,
    )


def notice_outline(octets: bytes) -> tuple[Precedence, bool] | None:
    """The precedence of a notice of a peer, and whether it ends another; None: it is no notice.

    Cheap: no text is read. Raises `DecodeError` for what is no act at all.
    """
    head = as_uint(load_map(octets).get(Key.HEAD), HEAD_MAX, "head")
    code = (head >> 4) // 3
    if code >= CODE_ANSWER:
        return None
    return _PRECEDENCES[head >> 2 & 3], code in (Kind.UPDATE, Kind.CANCEL)


def read_head(octets: bytes, act_id: ActId, *, to: Station) -> ActHead:
    """The head of an act that was kept as `act_id` to `to`. Raises `DecodeError`."""
    fields = load_kept_map(octets)
    head = as_uint(fields.get(_HEAD), HEAD_MAX, "head")
    precedence, code = _PRECEDENCES[head >> 2 & 3], (head >> 4) // 3
    if fields.get(_ID) != act_id.epoch << 16 | act_id.serial:
        raise DecodeError(f"the act that was kept as {act_id} has another id")
    if code == CODE_VOID:
        return VoidHead(act_id, precedence)
    if code == CODE_COUNTERSIGN:
        return CountersignHead(act_id, precedence)
    own = fields.get(_OWN_REFERENCE)
    theirs = fields.get(_THEIR_REFERENCE)
    reference = None
    if own is not None:
        reference = _act_id(act_id.originator, own)
    elif theirs is not None:
        reference = _act_id(to, theirs)
    if code == CODE_ANSWER:
        if reference is None:
            raise DecodeError("an answer without a reference")
        answer = as_uint(fields.get(_ANSWER), max(AnswerCode), "answer")
        return AnswerHead(act_id, precedence, reference, AnswerCode(answer))
    kind = _KINDS[code]
    created = fields.get(_CREATED)
    lifetime = fields.get(_LIFETIME, LIFETIME_DEFAULT_MIN[precedence])
    reply_by = fields.get(_REPLY_BY)
    previous = fields.get(_PREVIOUS)
    return NoticeHead(
        act_id,
        to,
        kind,
        precedence,
        _OPERATIONS[head & 3],
        None if created is None else UtcTime(as_uint(created, UINT32_MAX, "created")),
        as_uint(lifetime, UINT16_MAX, "lifetime"),
        None if reply_by is None else as_uint(reply_by, UINT16_MAX, "reply-by"),
        reference,
        None if previous is None else Previous(*unpack_id(previous, "previous")),
        _phrase(fields) if kind in _DECLARING else None,
    )


def _phrase(fields: dict[int, object]) -> Phrase | None:
    try:
        return read_phrase(fields)
    except FieldError as error:
        raise DecodeError(f"not a phrase: {error}") from error


def _act_id(originator: Station, value: object) -> ActId:
    epoch, serial = unpack_id(value, "reference")
    return ActId(originator, Epoch(epoch), Serial(serial))


class Bonds(NamedTuple):
    """What ties an act to others: read by whoever compares log books."""

    id: ActId
    reference: ActId | None
    previous: Previous | None
    """Of the first act of an epoch: the last one before it."""
    is_void: bool
    witness: Witness | None
    """Of a countersign."""


def read_bonds(octets: bytes, *, originator: Station, to: Station) -> Bonds:
    """The bonds of any octets that a station signed to another. Raises `DecodeError`."""
    fields = load_map(octets, nesting=ACT_NESTING_MAX)
    own, theirs = fields.get(Key.OWN_REFERENCE), fields.get(Key.THEIR_REFERENCE)
    reference = None
    if own is not None:
        reference = _act_id(originator, own)
    elif theirs is not None:
        reference = _act_id(to, theirs)
    previous = fields.get(Key.PREVIOUS)
    code = (as_uint(fields.get(Key.HEAD), UINT32_MAX, "head") >> 4) // 3
    return Bonds(
        _act_id(originator, fields.get(Key.ID)),
        reference,
        None if previous is None else Previous(*unpack_id(previous, "previous")),
        code == CODE_VOID,
        read_witness(fields) if code == CODE_COUNTERSIGN else None,
    )
