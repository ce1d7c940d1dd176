"""Records as the columns of schema 6, and back with their checks verified. No SQL, no file."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Final, NoReturn

from gateway.core.records import (
    AlarmKey,
    Direction,
    Publication,
    PutAirtime,
    PutBoot,
    PutKeys,
    PutPeer,
    PutSubmission,
    StateEntry,
    StoredAct,
    StoredAlarm,
    StoredDelivery,
    Topic,
)
from gateway.errors import StoreFailedError
from gateway.model import (
    ActId,
    DeliveryState,
    Instant,
    LinkName,
    Operation,
    Precedence,
    Station,
    UtcTime,
)
from gateway.packing import pack_id, pack_ids, unpack_id, unpack_ids
from gateway.store import documents

Value = int | str | bytes | None
Row = Sequence[Any]
"""The types of columns are held by STRICT tables, their values by the checks."""

HISTORY_NUMBER_MAX: Final = 0xFFFF
"""Entries of one notice's history that table `state_entry` has room for."""

_CHECK_SIZE: Final = 8
_OVERDUE, _LATE, _DISPLAYED, _UNPROVEN = 1, 2, 4, 8


class RowDamagedError(StoreFailedError):
    """A row does not match its check: the medium changed it."""

    def __init__(self, table: str, key: Value) -> None:
        super().__init__(table, key)
        self.table = table
        self.key = key

    def __str__(self) -> str:
        return (
            f"row {self.key!r} of table {self.table} does not match its checksum; restart the "
            "gateway, which sets it aside and restores what the log book holds"
        )


def check(*values: Value) -> bytes:
    """The first 8 octets of a SHA-256 over values, each with its type and size."""
    # The ASCII form of a tuple of these types is the same in every Python and tells all of them
    # apart; one call in C for each row keeps a restart with 100 000 open notices short.
    return hashlib.sha256(ascii(values).encode()).digest()[:_CHECK_SIZE]


def act_sha256(act: StoredAct) -> bytes:
    """As in `PutSeen`: of the octets."""
    return hashlib.sha256(act.octets).digest()


def receipt_mark(act_id: int) -> bytes:
    """Stands for "receipted" in the row of this act; a stray bit cannot make one."""
    return check("receipted", act_id)


# Each table has: the columns of a record without its check, and the record of such columns.
# A row read is those columns and the check behind them.


def act_columns(act: StoredAct) -> tuple[Value, ...]:
    """id, addressee, direction, octets, signature, boot_id, born, age_known, utc."""
    return (
        pack_id(act.id),
        act.to,
        1 if act.direction is Direction.OUT else 0,
        act.octets,
        act.signature,
        act.boot_id,
        act.born,
        int(act.age_known),
        act.utc,
    )


def act_of(row: Row) -> StoredAct:
    """Raises `RowDamagedError`."""
    number, to, direction, octets, signature, boot_id, born, age_known, utc = _checked("act", row)
    return StoredAct(
        unpack_id(number),
        Station(to),
        Direction.OUT if direction else Direction.IN,
        octets,
        signature,
        boot_id,
        Instant(born),
        bool(age_known),
        None if utc is None else UtcTime(utc),
    )


def delivery_columns(delivery: StoredDelivery) -> tuple[Value, ...]:
    """id, delivery_direction, state, flags, taken, answers, delivery_open."""
    flags = (
        (_OVERDUE if delivery.overdue else 0)
        | (_LATE if delivery.late else 0)
        | (_DISPLAYED if delivery.displayed else 0)
        | (_UNPROVEN if delivery.unproven else 0)
    )
    return (
        pack_id(delivery.notice_id),
        1 if delivery.direction is Direction.OUT else 0,
        delivery.state.name,
        flags,
        int(delivery.taken),
        pack_ids(delivery.answers),
        int(delivery.is_open),
    )


_STATES: Final = DeliveryState.__members__


def delivery_of(row: Row) -> StoredDelivery:
    """Raises `RowDamagedError`."""
    number, direction, state, flags, taken, answers, is_open = _checked("delivery", row)
    return StoredDelivery(
        unpack_id(number),
        Direction.OUT if direction else Direction.IN,
        _STATES[state],
        bool(flags & _OVERDUE),
        bool(flags & _LATE),
        bool(flags & _DISPLAYED),
        bool(taken),
        unpack_ids(answers),
        bool(is_open),
        bool(flags & _UNPROVEN),
    )


def state_entry_columns(entry: StateEntry, number: int) -> tuple[Value, ...]:
    """notice_id, number, state, utc, link, evidence."""
    return (
        pack_id(entry.notice_id),
        number,
        entry.state.name,
        entry.utc,
        entry.link,
        entry.evidence,
    )


def history_range(notice_id: int) -> tuple[int, int]:
    """The first and the last `key` that table `state_entry` has for a notice."""
    return notice_id << 16, notice_id << 16 | HISTORY_NUMBER_MAX


def state_entry_of(row: Row) -> StateEntry:
    """Raises `RowDamagedError`."""
    notice_id, _, state, utc, link, evidence = _checked("state_entry", row)
    return StateEntry(
        unpack_id(notice_id),
        _STATES[state],
        None if utc is None else UtcTime(utc),
        None if link is None else LinkName(link),
        evidence,
    )


def seen_of(row: Row) -> tuple[ActId, bytes]:
    """Raises `RowDamagedError`."""
    number, sha256 = _checked("seen", row)
    return unpack_id(number), sha256


def submission_columns(submission: PutSubmission) -> tuple[Value, ...]:
    """principal, request_id, sha256, act_id."""
    return (
        submission.principal,
        submission.request_id,
        submission.sha256,
        pack_id(submission.act_id),
    )


def submission_of(row: Row) -> PutSubmission:
    """Raises `RowDamagedError`."""
    principal, request_id, sha256, act_id = _checked("submission", row)
    return PutSubmission(principal, request_id, sha256, unpack_id(act_id))


def epoch_of(row: Row) -> tuple[Station, int, int]:
    """(peer, own epoch, highest removed serial of it). Raises `RowDamagedError`."""
    peer, epoch, highest = _checked("epoch", row)
    return Station(peer), epoch, highest


def peer_columns(peer: PutPeer) -> tuple[Value, ...]:
    """peer, incarnation, previous."""
    previous = " ".join(f"{epoch}:{serial}" for epoch, serial in peer.previous)
    return (peer.peer, peer.incarnation, previous)


def peer_of(row: Row) -> PutPeer:
    """Raises `RowDamagedError`."""
    peer, incarnation, previous = _checked("peer", row)
    pairs = (pair.split(":") for pair in previous.split())
    return PutPeer(
        Station(peer), incarnation, tuple((int(epoch), int(serial)) for epoch, serial in pairs)
    )


def keys_columns(keys: PutKeys) -> tuple[Value, ...]:
    """peer, confirmed."""
    return (keys.peer, keys.confirmed)


def keys_of(row: Row) -> PutKeys:
    """Raises `RowDamagedError`."""
    peer, confirmed = _checked("line_keys", row)
    return PutKeys(Station(peer), confirmed)


def boot_columns(boot: PutBoot) -> tuple[Value, ...]:
    """boot_id, began, zero_first_ms, zero_last_ms."""
    return (boot.boot_id, boot.began, boot.zero_first_ms, boot.zero_last_ms)


def boot_of(row: Row) -> PutBoot:
    """Raises `RowDamagedError`."""
    boot_id, began, zero_first_ms, zero_last_ms = _checked("boot", row)
    return PutBoot(boot_id, Instant(began), zero_first_ms, zero_last_ms)


def airtime_columns(airtime: PutAirtime) -> tuple[Value, ...]:
    """link, boot_id, minute, spent_ms."""
    return (airtime.link, airtime.boot_id, airtime.minute, airtime.spent_ms)


def airtime_of(row: Row) -> PutAirtime:
    """Raises `RowDamagedError`."""
    link, boot_id, minute, spent_ms = _checked("airtime", row)
    return PutAirtime(LinkName(link), boot_id, minute, spent_ms)


def alarm_key_columns(key: AlarmKey) -> tuple[Value, ...]:
    """code, station, notice_id, part, cleared."""
    notice_id = None if key.notice_id is None else pack_id(key.notice_id)
    return (key.code, key.station, notice_id, key.part, key.cleared)


def alarm_of(row: Row) -> StoredAlarm:
    """Of the columns of its key, text, evidence. Raises `RowDamagedError`."""
    code, station, notice_id, part, cleared, text, evidence = _checked("alarm", row)
    key = AlarmKey(
        code,
        None if station is None else Station(station),
        None if notice_id is None else unpack_id(notice_id),
        part,
        cleared,
    )
    return StoredAlarm(key, text, evidence)


def cursor_of(row: Row) -> tuple[str, int]:
    """(queue, offset). Raises `RowDamagedError`."""
    queue, offset = _checked("queue_cursor", row)
    return queue, offset


def meta_of(row: Row) -> tuple[str, int]:
    """(name, value). Raises `RowDamagedError`."""
    name, value = _checked("meta", row)
    return name, value


def publication_columns(publication: Publication) -> tuple[Value, ...]:
    """offset, topic, notice_id, precedence, operation, document (packed)."""
    return (
        publication.offset,
        publication.topic.value,
        pack_id(publication.notice_id),
        publication.precedence.value,
        publication.operation.value,
        documents.pack(publication.document),
    )


def publication_of(row: Row) -> Publication:
    """Raises `RowDamagedError`."""
    offset, topic, notice_id, precedence, operation, document = _checked("publication", row)
    return Publication(
        offset,
        Topic(topic),
        unpack_id(notice_id),
        Precedence(precedence),
        Operation(operation),
        documents.unpack(document),
    )


def _checked(table: str, row: Row) -> Row:
    columns = row[:-1]
    if check(*columns) != row[-1]:
        _damaged(table, row[0])
    return columns


def _damaged(table: str, key: Value) -> NoReturn:
    raise RowDamagedError(table, key)
