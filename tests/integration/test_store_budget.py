"""What a notice costs the card: octets written and transactions flushed in its whole life."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from gateway.core.records import (
    AddPublication,
    Publication,
    PutAct,
    PutDelivery,
    PutReceipted,
    PutSeen,
    Topic,
    Write,
)
from gateway.model import (
    Altitude,
    DeliveryState,
    Kind,
    Notice,
    Operation,
    Place,
    Point,
    Precedence,
    Station,
    Text,
    TimeQuality,
    UtcTime,
    Window,
)
from gateway.store.sqlite import SqliteStore
from gateway.wire.document import notice_document, state_document
from tests.integration.store_records import (
    IN,
    OUT,
    OWN,
    act,
    act_id,
    delivery,
    entry,
    line_entry,
    seen,
    submission,
)

LIFE_COUNT = 150
SIZE_MAX = 35_000
"""Octets a notice's life on one side. DESIGN's budget is 40 kB; gateways write 4 kB more than this
life (longer documents, answers), which `hotline benchmark --only writing` measures."""


def written() -> int:
    """Octets handed to write calls by this process: WAL, copying back, segment files."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("wchar")).split()[1])


NAMES = {Station(1): "NORTH", Station(2): "SOUTH"}


class Life:
    """The commits of one notice, with real documents."""

    def __init__(self) -> None:
        self.offset = 0

    def state(self, serial: int, topic: Topic = Topic.STATE) -> AddPublication:
        self.offset += 1
        direction = OUT if topic is Topic.STATE else IN
        return AddPublication(
            Publication(
                self.offset,
                topic,
                act_id(serial, direction),
                Precedence.IMMEDIATE,
                Operation.OPERATION,
                self.document(serial, topic),
            )
        )

    def document(self, serial: int, topic: Topic) -> str:
        made = Notice(
            id=act_id(serial + 1, IN),
            to=OWN,
            kind=Kind.NOTIFY,
            precedence=Precedence.IMMEDIATE,
            operation=Operation.EXERCISE,
            created=UtcTime(1_790_000_000 + 777 * serial),
            time_quality=TimeQuality.SYNCHRONISED,
            lifetime_min=240,
            body=Text(f"Two helicopters will cross at point {serial} for a medevac.", "en"),
            place=Place((Point(3_412_345 + serial, 3_612_345 - serial),), 500, Altitude(0, 900)),
            window=Window(29_833_333 + serial, 60),
        )
        if topic is Topic.NOTICE:
            document = notice_document(
                made,
                names=NAMES,
                direction="in",
                state="MACHINE RECEIPT",
                utc=UtcTime(1_790_000_010),
                age_s=10,
                late=False,
                unproven=False,
                overdue=False,
                link="radio",
            )
        else:
            document = state_document(
                made,
                names=NAMES,
                direction="out",
                state="ROGER",
                utc=UtcTime(1_790_000_010),
                link="radio",
                evidence="answer 2-77ab-4",
                overdue=False,
                answer=None,
            )
        return json.dumps(document)

    def outbound(self, number: int) -> list[list[Write]]:
        """Accepted, sent, receipted, answered with ROGER."""
        own, answer = act(number), act(number, IN)
        roger = delivery(number, state=DeliveryState.ROGER, answers=(answer.id,), is_open=False)
        return [
            [
                PutAct(own),
                PutDelivery(delivery(number)),
                submission(number),
                entry(number, DeliveryState.QUEUED),
                self.state(number),
                line_entry(own),
            ],
            [
                PutDelivery(delivery(number, state=DeliveryState.SENT)),
                entry(number, DeliveryState.SENT),
                self.state(number),
            ],
            [
                PutReceipted(own.id),
                PutDelivery(delivery(number, state=DeliveryState.RECEIPTED)),
                entry(number, DeliveryState.RECEIPTED),
                self.state(number),
            ],
            [
                PutAct(answer),
                seen(answer),
                PutDelivery(roger),
                entry(number, DeliveryState.ROGER),
                self.state(number),
                line_entry(answer),
            ],
        ]

    def inbound(self, number: int) -> list[list[Write]]:
        """Received, shown, taken, answered with ROGER, the answer receipted."""
        notice, answer = act(number, IN), act(number)
        states = [
            delivery(number, IN, state=DeliveryState.RECEIPTED),
            delivery(number, IN, state=DeliveryState.DISPLAYED, displayed=True),
            delivery(number, IN, state=DeliveryState.DISPLAYED, displayed=True, taken=True),
            delivery(number, IN, state=DeliveryState.ROGER, taken=True, is_open=False),
        ]
        return [
            [
                PutAct(notice),
                PutSeen(notice.id, bytes(32)),
                PutDelivery(states[0]),
                entry(number, DeliveryState.RECEIPTED, IN),
                self.state(number, Topic.NOTICE),
                line_entry(notice),
            ],
            [PutDelivery(states[1]), entry(number, DeliveryState.DISPLAYED, IN)],
            [PutDelivery(states[2])],
            [
                PutAct(answer),
                PutDelivery(states[3]),
                entry(number, DeliveryState.ROGER, IN),
                self.state(number),
                line_entry(answer),
            ],
            [PutReceipted(answer.id)],
        ]


@pytest.mark.parametrize("side", ["outbound", "inbound"])
async def test_octets_a_notice_costs(side: str, tmp_path: Path) -> None:
    """The life of a notice stays in its budget on either side, copying back included."""
    store = SqliteStore(tmp_path, station=OWN)
    await store.recover()
    life = Life()
    before = written()
    for number in range(1, LIFE_COUNT + 1):
        for writes in getattr(life, side)(number):
            await store.commit(writes)
    size = (written() - before) / LIFE_COUNT
    await store.close()
    print(f"{side}: {size / 1000:.1f} kB written a notice")
    assert size < SIZE_MAX


@pytest.mark.soak
async def test_restart_with_100_000_open_notices(tmp_path: Path) -> None:
    """A restart with 100 000 open notices reads its state in at most 5 s (DESIGN, budgets)."""
    store = SqliteStore(tmp_path, station=OWN)
    await store.recover()
    for epoch in (1, 2):
        for start in range(1, 50_001, 1_000):
            writes: list[Write] = []
            for serial in range(start, start + 1_000):
                made = act(serial, epoch=epoch)
                writes += [PutAct(made), PutDelivery(delivery(serial, epoch=epoch))]
                writes += [submission(serial), line_entry(made)]
            await store.commit(writes)
    await store.close()
    loop = asyncio.get_running_loop()
    begun = loop.time()
    store = SqliteStore(tmp_path, station=OWN)
    recovered = await store.recover()
    spent_s = loop.time() - begun
    await store.close()
    print(f"restart with {len(recovered.deliveries)} open notices: {spent_s:.1f} s")
    assert len(recovered.acts) == len(recovered.deliveries) == 100_000
    assert spent_s < 5
