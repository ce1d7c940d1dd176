"""Two gateways with the real Meshtastic driver and supervisor, on simulated radios and a cable.

Everything runs on one virtual-time loop: engines, drivers, radios, air. The driver's port is in
memory; the second link is the simulator's cable.
"""

from __future__ import annotations

import asyncio
import gc
import json
import resource
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from random import Random
from typing import Final

from gateway.core.effects import Effect, Publish, Transmit
from gateway.core.events import FrameSent, LinkDown, LinkTold, LinkUp
from gateway.core.records import Topic
from gateway.links.base import LinkEvent
from gateway.links.ladder import Rung
from gateway.links.meshtastic.identity import ExpectedRadio
from gateway.links.meshtastic.radio import MeshtasticRadio
from gateway.links.meshtastic.stream import encode_frame
from gateway.links.supervisor import Supervisor
from gateway.model import ActId, AnswerCode, LinkName, Precedence, Station
from gateway.sim.air import BROADCAST, Air
from gateway.sim.radio.device import SimulatedRadio
from gateway.sim.radio.memory_port import AirClock, RadioSocket
from gateway.sim.radio.peers import public_key_of
from gateway.sim.radio.probe import direct_message
from gateway.sim.world import Post, Witness, World
from tests.sim.scenes import draft

RADIO, CABLE = LinkName("radio"), LinkName("cable")
NODES: Final = {Station(1): 0x4D4C_00A1, Station(2): 0x4D4C_00B2}
PERSON_MS: Final = 60_000
"""From a notice on the far screen to the ROGER."""

KINDS: Final = (
    "unplugged",
    "renamed",
    "frozen",
    "rebooted",
    "deaf to us",
    "antenna off",
    "queue full",
    "duty spent",
    "key forgotten",
    "both keys forgotten",
)
UP_AGAIN_S: Final = {
    "unplugged": 25,  # the backoff's cap with its jitter, and the handshake
    "renamed": 5,
    "frozen": 50 + 40,  # found, reopened in vain, told to reboot in vain, switched off and on
    "rebooted": 25,
    "deaf to us": 50 + 10,
    "antenna off": 1,
    "queue full": 1,
    "duty spent": 1,
    "key forgotten": 1,
    "both keys forgotten": 1,
}
"""From the end of the fault (of a fault that only we can end, from its begin) to `LinkUp`."""

KEYS_AGAIN_S: Final = 7_200
"""Until two radios that forgot each other know each other again: the next frame shows it, our
driver asks at once, then ever rarer; where a duty cycle is spent, and again, nothing goes."""
KEYS_AGAIN_MEDIAN_S: Final = 450
"""Of 50 in three days; seeds 2 to 7: 165 to 325. Most of it is the time to the next frame by radio
while the cable carries what there is."""
KEYS_LOOK_S: Final = 5.0


class Field(World):
    """Call `begin` on the running virtual loop."""

    def __init__(self, seed: int) -> None:
        self._loop = asyncio.get_running_loop()
        self.faults: list[BaseException | str] = []
        self._loop.set_exception_handler(self._crashed)
        super().__init__(seed)
        self.add_path("radio", bit_rate=None).unplugged = True
        self.add_path("cable")
        self.keeps_observed = False
        self.air = Air(Random(f"air {seed}"))
        self.clock = AirClock(self.air)
        self.sides = {station: Side(self, station, seed) for station in NODES}
        self.rogers: Counter[ActId] = Counter()
        self.sent: list[ActId] = []
        self.key_waits: list[float] = []
        """Seconds until both keys were back, for each time that they were forgotten; inf: never."""
        self.key_tasks: dict[int, asyncio.Task[None]] = {}
        self.witness = People(self)

    @property
    def now_ms(self) -> int:
        return round(self._loop.time() * 1000)

    @now_ms.setter
    def now_ms(self, value: int) -> None:
        pass

    def at(self, due_ms: int, action: Callable[[], None]) -> None:
        self._loop.call_at(due_ms / 1000, action)

    def _crashed(self, loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        error = context.get("exception")
        self.faults.append(error if isinstance(error, BaseException) else str(context))

    def _transmit(self, post: Post, frame: Transmit) -> None:
        if frame.link == RADIO:
            self.sides[post.station].supervisor.submit(frame)
        else:
            super()._transmit(post, frame)

    def forget_keys(self) -> None:
        """Neither radio can reach the other, nor its NAK: only who asks for a NodeInfo heals it."""
        for side in self.sides.values():
            side.device.forget(side.far_node)
        number = len(self.key_waits)
        self.key_waits.append(inf)
        self.key_tasks[number] = asyncio.ensure_future(self._until_keys_are_back(number))

    async def _until_keys_are_back(self, number: int) -> None:
        begin_s = self._loop.time()
        while not all(side.far_node in side.device.peers for side in self.sides.values()):
            await asyncio.sleep(KEYS_LOOK_S)
        self.key_waits[number] = self._loop.time() - begin_s
        del self.key_tasks[number]

    def send(self, station: Station, precedence: Precedence) -> None:
        far = Station(3 - station)
        text = f"number {len(self.sent)}"
        notice = draft(text, to=far, precedence=precedence)
        token = self.submit(notice, station=station)
        self.sent.append(self.posts[station].confirmed[token])


class People(Witness):
    """The far watch answers ROGER a minute after a notice came."""

    def __init__(self, field: Field) -> None:
        self._field = field

    def effect(self, post: Post, effect: Effect) -> None:
        if not isinstance(effect, Publish):
            return
        publication = post.store._live.publications[effect.offset]
        if publication.topic is not Topic.NOTICE:
            return
        notice_id, field = publication.notice_id, self._field
        field.rogers[notice_id] += 1
        assert json.loads(publication.document)
        field.at(
            field.now_ms + PERSON_MS,
            lambda: _drop(field.answer(notice_id, AnswerCode.ROGER, station=post.station)),
        )


def _drop(token: int) -> None:
    assert token


class Side:
    """One station's radio, its port, its supervisor, and what they told."""

    def __init__(self, field: Field, station: Station, seed: int) -> None:
        self.field = field
        self.station = station
        self.far_node = NODES[Station(3 - station)]
        node = NODES[station]
        self.device = SimulatedRadio(node, f"Radio {station}", field.air)
        self.socket = RadioSocket(self.device, f"usb-{station}-by-id")
        self.is_up = False
        self.up_count = 0
        self.sent_count = 0
        self.told: Counter[str] = Counter()
        self.called_person = False
        self._changed = asyncio.Event()
        rng = Random(f"side {seed} {station}")
        radio = MeshtasticRadio(
            RADIO,
            self.socket.name,
            self.far_node,
            expected=ExpectedRadio(node, public_key_of(node)),
            rng=rng,
            open_port=self.socket.open,
        )
        self.supervisor = Supervisor(
            RADIO,
            radio.make_driver,
            self._emit,
            rng=rng,
            remedies={**radio.remedies, Rung.REAUTHORISE: self._switch},
        )

    async def _switch(self) -> None:
        """The USB port off and on: the radio has no battery here, so that it boots."""
        self.told["switched"] += 1
        self.device.reboot()

    def _emit(self, event: LinkEvent) -> None:
        if isinstance(event, LinkUp):
            self.is_up = True
            self.up_count += 1
            self._changed.set()
        elif isinstance(event, LinkDown):
            self.is_up = False
            self.told[event.reason] += 1
        elif isinstance(event, LinkTold):
            self.told[event.detail] += 1
            self.called_person = self.called_person or event.needs_person
        elif isinstance(event, FrameSent):
            self.sent_count += 1
        self.field.give(self.station, event)

    async def until_up(self, deadline_s: float, after_count: int) -> None:
        """Wait for a session that is newer than `after_count`. Raises `TimeoutError`."""
        async with asyncio.timeout(deadline_s):
            while not self.is_up or self.up_count <= after_count:
                self._changed.clear()
                await self._changed.wait()

    async def suffer(self, kind: str, duration_s: float) -> None:
        """One fault and its end; returns when the driver is up. Raises `TimeoutError`."""
        deadline_s, before = UP_AGAIN_S[kind], self.up_count
        match kind:
            case "unplugged":
                self.socket.unplug()
                await asyncio.sleep(duration_s)
                self.socket.replug()
            case "renamed":
                self.socket.unplug()
                self.socket.replug()  # as another tty, under the same by-id path
            case "frozen":
                self.device.freeze()
            case "rebooted":
                self.device.reboot()
            case "deaf to us":
                self.socket.is_deaf = True
            case "antenna off":
                self.device.cut()
                await asyncio.sleep(duration_s)
                self.device.restore()
                before -= 1
            case "queue full":
                self._fill_queue()
                before -= 1
            case "duty spent":
                log = self.device._mesh.airtime
                log.add(self.field.clock.now_ms(), 360_000, is_own=True)
                before -= 1
            case "both keys forgotten":
                self.field.forget_keys()
                before -= 1
            case _:
                self.device.forget(self.far_node)
                before -= 1
        await self.until_up(deadline_s, before)

    def _fill_queue(self) -> None:
        for number in range(16):
            packet = direct_message(BROADCAST, bytes(40), 1 + number, want_ack=False)
            self.device.usb.feed(encode_frame(packet.SerializeToString()))


@dataclass(frozen=True, slots=True)
class Held:
    """What a leak would make grow."""

    tasks: int
    threads: int
    descriptors: int
    ports: int
    rss_size: int
    """Octets of memory that the process has."""
    objects: dict[str, int] = field(default_factory=dict)
    """Instances of the links' and the radio's classes, and of asyncio's futures, by name."""


def rss_size() -> int:
    """Octets of memory that this process has now, Python's and protobuf's."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def held(field: Field) -> Held:
    """Counted after a collection."""
    gc.collect()
    kinds = Counter(
        f"{type(each).__module__}.{type(each).__qualname__}"
        for each in gc.get_objects()
        if str(type(each).__module__).startswith(("gateway.links", "_asyncio", "asyncio"))
    )
    return Held(
        tasks=len(asyncio.all_tasks()),
        threads=threading.active_count(),
        descriptors=len(list(Path("/proc/self/fd").iterdir())),
        ports=sum(side.socket.open_count for side in field.sides.values()),
        rss_size=rss_size(),
        objects=dict(kinds),
    )
