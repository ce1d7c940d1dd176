"""The conversation against the simulated radio: in virtual time, and the driver on its pty."""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING

from gateway.core.effects import Transmit
from gateway.core.events import (
    FrameAcknowledged,
    FrameReceived,
    FrameRefused,
    FrameRelayed,
    FrameSent,
    LinkUp,
    Refusal,
)
from gateway.links.meshtastic.conversation import Conversation
from gateway.links.meshtastic.driver import MeshtasticDriver
from gateway.links.supervisor import Supervisor
from gateway.model import LinkName, Precedence, Station
from gateway.sim.air import Air
from gateway.sim.radio import RadioPort, SimulatedRadio

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.links.base import LinkEvent

RADIO = LinkName("radio")
NORTH, SOUTH, RELAY = 0x4D4C00A1, 0x4D4C00B2, 0x4D4C00C3


def transmit(number: int, octets: bytes, *, want_ack: bool) -> Transmit:
    return Transmit(RADIO, number, Station(2), octets, Precedence.ROUTINE, want_ack=want_ack)


class Side:
    """A conversation with a simulated radio; time is the air's."""

    def __init__(self, radio: SimulatedRadio, far_node: int) -> None:
        self.radio = radio
        self.events: list[tuple[int, LinkEvent]] = []
        self.waiting: list[Transmit] = []
        self.conversation = Conversation(RADIO, far_node, "port", rng=Random(far_node))
        self.conversation.start(radio.air.now_ms)

    def turn(self) -> None:
        now_ms = self.radio.air.now_ms
        self.conversation.feed(self.radio.usb.take_output(), now_ms)
        self.conversation.advance(now_ms)
        if self.waiting and self.conversation.is_ready:
            self.conversation.submit(self.waiting.pop(0), now_ms)
        self.events += [(now_ms, event) for event in self.conversation.take_events()]
        octets = self.conversation.take_octets()
        if octets:
            self.radio.usb.feed(octets)

    def of(self, kind: type[LinkEvent]) -> list[LinkEvent]:
        return [event for _, event in self.events if isinstance(event, kind)]

    def received(self) -> list[bytes]:
        return [event.octets for _, event in self.events if isinstance(event, FrameReceived)]


class Field:
    """Two sides on one air."""

    def __init__(self, preset: str = "LONG_FAST", *, loss: float = 0.0, seed: int = 1) -> None:
        self.air = Air(Random(seed), loss=loss)
        self.north = Side(SimulatedRadio(NORTH, "North", self.air, preset), SOUTH)
        self.south = Side(SimulatedRadio(SOUTH, "South", self.air, preset), NORTH)
        self.run(3_000)
        assert self.north.of(LinkUp)
        assert self.south.of(LinkUp)
        self.north.events.clear()
        self.south.events.clear()

    def run(self, duration_ms: int) -> None:
        for _ in range(duration_ms // 5):
            self.air.advance(self.air.now_ms + 5)
            self.north.turn()
            self.south.turn()


def test_direct_message_is_acknowledged_by_the_far_radio() -> None:
    """Sent, received once, acknowledged, in that order and with true airtimes."""
    field = Field()
    field.north.waiting.append(transmit(1, bytes(range(50)), want_ack=True))
    field.run(4_000)
    assert field.south.received() == [bytes(range(50))]
    assert [event for _, event in field.north.events] == [
        FrameSent(RADIO, 1),
        FrameAcknowledged(RADIO, 1),
    ]


def test_queue_of_the_radio_stays_short() -> None:
    """Twenty frames at once: one after the other, so a FLASH would wait for one frame only."""
    field = Field("SHORT_FAST")
    frames = [bytes([number]) * 200 for number in range(20)]
    for number, frame in enumerate(frames):
        field.north.waiting.append(transmit(number, frame, want_ack=False))
    field.run(30_000)
    assert field.south.received() == frames
    assert len(field.north.of(FrameSent)) == 20
    starts = [record.at_ms for record in field.air.records if record.packet.frame]
    sent = [at_ms for at_ms, event in field.north.events if isinstance(event, FrameSent)]
    for number in range(1, 20):  # At most one more frame was given before the last was on air.
        assert starts[number - 1] <= sent[number]


def test_unheard_frame_is_no_ack_and_heard_again_later() -> None:
    """The far antenna is off: NO_ACK after the radio's own three attempts."""
    field = Field()
    field.south.radio.cut()
    field.north.waiting.append(transmit(1, b"unheard", want_ack=True))
    field.run(30_000)
    field.south.radio.restore()
    field.north.waiting.append(transmit(2, b"heard", want_ack=True))
    field.run(4_000)
    assert [event for _, event in field.north.events] == [
        FrameSent(RADIO, 1),
        FrameRefused(RADIO, 1, Refusal.NO_ACK),
        FrameSent(RADIO, 2),
        FrameAcknowledged(RADIO, 2),
    ]
    assert field.south.received() == [b"heard"]


def test_through_a_relay() -> None:
    """Relayed first, acknowledged when the far radio's ack has come back."""
    field = Field()
    SimulatedRadio(RELAY, "Relay", field.air)
    field.air.set_path(NORTH, SOUTH, None)
    field.north.waiting.append(transmit(1, bytes(50), want_ack=True))
    field.run(30_000)
    assert [event for _, event in field.north.events] == [
        FrameSent(RADIO, 1),
        FrameRelayed(RADIO, 1),
        FrameAcknowledged(RADIO, 1),
    ]


def test_every_frame_ends_once_on_a_lossy_air() -> None:
    """30 % loss: each frame is sent, and each that wants an ack ends by ack or NO_ACK."""
    field = Field("SHORT_FAST", loss=0.3)
    for number in range(20):
        want_ack = number % 2 == 0
        field.north.waiting.append(transmit(number, bytes([number]) * 30, want_ack=want_ack))
    field.run(90_000)
    for number in range(20):
        ends = [
            type(event)
            for _, event in field.north.events
            if getattr(event, "transmission", None) == number
        ]
        assert ends[0] is FrameSent
        if number % 2:
            assert ends == [FrameSent]
        else:
            assert ends[-1] in (FrameAcknowledged, FrameRefused)
    assert len(field.south.received()) == len(set(field.south.received())) >= 12


async def test_driver_on_the_pty_of_a_simulated_radio(tmp_path: Path) -> None:
    """Both drivers in real time: a frame each way, unplugged and plugged again."""
    air = Air(Random(1))
    radios = [
        SimulatedRadio(node, name, air, "SHORT_TURBO", "US")
        for node, name in ((NORTH, "North"), (SOUTH, "South"))
    ]
    events: list[list[LinkEvent]] = [[], []]
    changed = asyncio.Event()

    def supervise(own: int) -> Supervisor:
        def emit(event: LinkEvent) -> None:
            events[own].append(event)
            changed.set()

        path, far_node, rng = str(tmp_path / f"radio{own}"), (SOUTH, NORTH)[own], Random(own)
        return Supervisor(
            RADIO, lambda: MeshtasticDriver(RADIO, path, far_node, rng=rng), emit, rng=rng
        )

    async def until(own: int, event: LinkEvent | type[LinkEvent], count: int = 1) -> None:
        async with asyncio.timeout(20):
            while sum(event in (each, type(each)) for each in events[own]) < count:
                changed.clear()
                await changed.wait()

    supervisors = [supervise(own) for own in (0, 1)]
    async with (
        RadioPort(radios[0], tmp_path / "radio0") as port,
        RadioPort(radios[1], tmp_path / "radio1"),
        asyncio.TaskGroup() as tasks,
    ):
        runs = [tasks.create_task(supervisor.run()) for supervisor in supervisors]
        for own in (0, 1):
            await until(own, LinkUp)
        supervisors[0].submit(transmit(1, b"from the north", want_ack=True))
        await until(0, FrameAcknowledged(RADIO, 1))
        port.unplug()
        await asyncio.sleep(0)
        port.replug()
        await until(0, LinkUp, 2)
        supervisors[1].submit(transmit(2, b"from the south", want_ack=True))
        await until(1, FrameAcknowledged(RADIO, 2))
        await until(0, FrameReceived)
        for run in runs:
            run.cancel()
    received = [
        [event.octets for event in side if isinstance(event, FrameReceived)] for side in events
    ]
    assert received == [[b"from the south"], [b"from the north"]]
