"""Records for the tests of stores: small builders, and a seeded stream of writes."""

from __future__ import annotations

import hashlib
from random import Random
from typing import Any

from gateway.core.records import (
    AddLogEntry,
    AddPublication,
    AddStateEntry,
    AlarmKey,
    Direction,
    DropAlarm,
    DropReceipt,
    Durability,
    EntryKind,
    Publication,
    PutAct,
    PutAirtime,
    PutAlarm,
    PutBoot,
    PutDelivery,
    PutEpoch,
    PutKeys,
    PutPeer,
    PutReceipted,
    PutSeen,
    PutSubmission,
    StateEntry,
    StoredAct,
    StoredAlarm,
    StoredDelivery,
    Topic,
    Write,
)
from gateway.model import (
    ActId,
    DeliveryState,
    Epoch,
    Instant,
    LinkName,
    Operation,
    Precedence,
    Serial,
    Station,
    TimeQuality,
    UtcTime,
)
from gateway.packing import pack_ids

OWN = Station(1)
PEER = Station(2)
BOOT = "6f1c2a90-0000-4000-8000-0123456789ab"
OUT = Direction.OUT
IN = Direction.IN


def act_id(serial: int, direction: Direction = OUT, epoch: int = 0x3F2A) -> ActId:
    originator = OWN if direction is OUT else PEER
    return ActId(originator, Epoch(epoch), Serial(serial))


def act(serial: int, direction: Direction = OUT, epoch: int = 0x3F2A, **changes: Any) -> StoredAct:
    identity = act_id(serial, direction, epoch)
    made = StoredAct(
        id=identity,
        to=PEER if direction is OUT else OWN,
        direction=direction,
        octets=f"octets of {identity} ".encode() * 6,
        signature=hashlib.sha512(str(identity).encode()).digest(),
        boot_id=BOOT,
        born=Instant(1000 * serial),
        age_known=True,
        utc=UtcTime(1_790_000_000 + serial),
    )
    return made._replace(**changes)


def delivery(
    serial: int, direction: Direction = OUT, epoch: int = 0x3F2A, **changes: Any
) -> StoredDelivery:
    made = StoredDelivery(
        notice_id=act_id(serial, direction, epoch),
        direction=direction,
        state=DeliveryState.QUEUED,
        overdue=False,
        late=False,
        displayed=False,
        taken=False,
        answers=(),
        is_open=True,
    )
    return made._replace(**changes)


def entry(serial: int, state: DeliveryState, direction: Direction = OUT) -> AddStateEntry:
    return AddStateEntry(
        StateEntry(act_id(serial, direction), state, UtcTime(7), LinkName("radio"), "receipt")
    )


def seen(made: StoredAct) -> PutSeen:
    return PutSeen(made.id, hashlib.sha256(made.octets).digest())


def line_entry(made: StoredAct) -> AddLogEntry:
    return AddLogEntry(
        EntryKind.ACT,
        "sent" if made.direction is OUT else "received",
        made.utc,
        TimeQuality.SYNCHRONISED,
        (("link", "radio"),),
        made.id,
        made.octets,
        made.signature,
    )


def retired(gone: tuple[ActId, ...]) -> AddLogEntry:
    """What the engine enters when acts are removed."""
    packed = pack_ids(gone)
    return AddLogEntry(EntryKind.STATION, "retired", None, TimeQuality.NONE, (("acts", packed),))


def station_entry(event: str = "link", *, full: bool = False) -> AddLogEntry:
    return AddLogEntry(
        EntryKind.STATION,
        event,
        UtcTime(1_790_000_001),
        TimeQuality.SYNCHRONISED,
        (("link", "radio"), ("state", "UP"), ("loss", None)),
        durability=Durability.FULL if full else Durability.NORMAL,
    )


def publication(offset: int, notice_id: ActId, topic: Topic = Topic.STATE) -> AddPublication:
    return AddPublication(
        Publication(
            offset, topic, notice_id, Precedence.FLASH, Operation.TEST, f'{{"offset": {offset}}}'
        )
    )


def submission(serial: int) -> PutSubmission:
    return PutSubmission("mqtt/automatic", f"request-{serial}", bytes(32), act_id(serial))


def alarm(number: int, *, cleared: str | None = None) -> StoredAlarm:
    """Of the store itself (0), of a station, of a notice, in turn; lit, or cleared by a person."""
    code, station, notice_id = (
        ("ROLLBACK", None, None),
        ("ROLLBACK", PEER, None),
        ("SAME_ID", PEER, act_id(number, IN)),
    )[number % 3]
    key = AlarmKey(code, station, notice_id, "", cleared)
    if cleared is not None:
        return StoredAlarm(key)
    return StoredAlarm(key, f"what happened: {number}", f"evidence {number}")


def sent(serial: int, offset: int) -> tuple[Write, ...]:
    """What accepting an own notice keeps."""
    made = act(serial)
    return (
        PutAct(made),
        PutDelivery(delivery(serial)),
        submission(serial),
        entry(serial, DeliveryState.QUEUED),
        publication(offset, made.id),
        line_entry(made),
    )


def received(serial: int, offset: int) -> tuple[Write, ...]:
    """What accepting an inbound notice keeps."""
    made = act(serial, IN)
    return (
        PutAct(made),
        PutDelivery(delivery(serial, IN, state=DeliveryState.RECEIPTED)),
        seen(made),
        publication(offset, made.id, Topic.NOTICE),
        line_entry(made),
    )


def random_commits(rng: Random, count: int) -> list[tuple[Write, ...]]:
    """A plausible history of `count` commits; the same for the same seed."""
    offset = 1
    commits: list[tuple[Write, ...]] = []
    for number in range(1, count + 1):
        serial = rng.randint(1, 20)
        direction = rng.choice((OUT, IN))
        closed = delivery(
            serial,
            direction,
            state=rng.choice(list(DeliveryState)),
            is_open=rng.random() < 0.5,
            taken=rng.random() < 0.5,
            late=rng.random() < 0.5,
            answers=tuple(act_id(rng.randint(1, 30), IN) for _ in range(rng.randint(0, 3))),
        )
        topic = rng.choice((Topic.NOTICE, Topic.STATE))
        choices: list[tuple[Write, ...]] = [
            (PutAct(act(serial, direction, born=Instant(number))),),
            (PutDelivery(closed),),
            (entry(serial, rng.choice(list(DeliveryState)), direction),),
            (seen(act(serial, IN)),),
            (PutReceipted(act_id(serial)),),
            (DropReceipt(act_id(serial)),),
            (PutEpoch(PEER, 0x3F2A), PutEpoch(PEER, number)),
            (submission(serial),),
            (PutPeer(PEER, rng.randbytes(8), ((number, serial), (1, 2))),),
            (PutKeys(PEER, rng.randbytes(8)),),
            (publication(offset, act_id(serial, direction), topic),),
            (line_entry(act(serial, direction)), station_entry()),
            (PutAirtime(LinkName("radio"), BOOT, rng.randint(0, 9), number),),
            (PutBoot(f"boot {number % 70}", Instant(8_000), None, number),),
            (PutAlarm(alarm(serial)), PutAlarm(alarm(number, cleared=f"evidence {serial}"))),
            (DropAlarm(alarm(serial).key), DropAlarm(alarm(serial, cleared="evidence 1").key)),
        ]
        commit = tuple(write for part in rng.sample(choices, 4) for write in part)
        offset += sum(isinstance(write, AddPublication) for write in commit)
        commits.append(commit)
    return commits
