"""What is measured in virtual time: delivery again, idle octets, the simulator's speed."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

from gateway.core.effects import Transmit
from gateway.model import (
    ActId,
    Kind,
    NoticeDraft,
    Operation,
    Precedence,
    Station,
    Text,
)
from gateway.sim.bench.ledger import Ledger
from gateway.sim.bench.record import RECEIPT
from gateway.sim.benchmark.bed import Options, text_of
from gateway.sim.benchmark.figures import Figure, quantile
from gateway.sim.speed import simulate_timed
from gateway.sim.world import Post, World
from gateway.wire.byte_stream import encode_stream

NORTH: Final = Station(1)
SOUTH: Final = Station(2)
HOUR_MS: Final = 3_600_000
WARM_MS: Final = 1_800_000
STEP_MS: Final = 10
TAIL_MS: Final = 120_000
SPEED_HOURS: Final = 24
SPEED_QUICK_HOURS: Final = 4
SPEED_PROFILES: Final = {"calm": "radio + cable", "radio-only": "radio"}
IDLE_RADIO_MAX: Final = 1000
SPEED_MIN: Final = 10_000


class TappedWorld(World):
    """A world whose frames are opened and counted as the bench does it."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.ledger = Ledger(
            {
                post.station: next(iter(post.keys.lines.values())).keys
                for post in self.posts.values()
            }
        )
        self.frame_count = 0
        self.octet_count = 0
        """With the framing of a serial line."""

    def _transmit(self, post: Post, frame: Transmit) -> None:
        size = len(encode_stream(frame.octets))
        self.frame_count += 1
        self.octet_count += size
        self.ledger.feed(str(frame.link), frame.octets, size)
        super()._transmit(post, frame)


@dataclass(frozen=True, slots=True)
class VirtualDelivery:
    """The same course in virtual time."""

    delivered: int
    median_s: float
    p95_s: float
    octets: float


def deliver_virtually(
    seed: int, *, bit_rate: int, loss: float, count: int, interval_s: float
) -> VirtualDelivery:
    """Send `count` notices of 100 octets and wait for their receipts."""
    world = TappedWorld(seed)
    path = world.add_path("cable", bit_rate=bit_rate)
    world.start()
    world.run(10_000)
    path.loss = loss
    waiting: dict[ActId, int] = {}
    seconds: list[float] = []
    ids: list[ActId] = []
    begun_ms = world.now_ms
    end_ms = begun_ms + round(count * interval_s * 1000) + TAIL_MS
    while world.now_ms < end_ms and (len(ids) < count or waiting):
        if len(ids) < count and world.now_ms >= begun_ms + round(len(ids) * interval_s * 1000):
            notice_id = _submit(world, len(ids), 100)
            ids.append(notice_id)
            waiting[notice_id] = world.now_ms
        world.run(STEP_MS)
        done = [one for one in waiting if world.state_of(one) == RECEIPT]
        seconds += [(world.now_ms - waiting.pop(one)) / 1000 for one in done]
    octets = sum(world.ledger.traffic[one].octets for one in ids) / max(len(seconds), 1)
    return VirtualDelivery(len(seconds), quantile(seconds, 0.5), quantile(seconds, 0.95), octets)


def _submit(world: World, number: int, size: int, station: Station = NORTH) -> ActId:
    far = SOUTH if station == NORTH else NORTH
    token = world.submit(draft_of(number, size, far), station=station)
    return world.posts[station].confirmed[token]


def draft_of(number: int, size: int, far: Station = SOUTH) -> NoticeDraft:
    """The notice that the real-time measures send, as a draft."""
    return NoticeDraft(
        to=far,
        kind=Kind.NOTIFY,
        precedence=Precedence.ROUTINE,
        operation=Operation.EXERCISE,
        body=Text(text_of(size, number), "en"),
    )


async def measure_idle_octets(_options: Options) -> list[Figure]:
    """One hour without traffic, after half an hour to settle, both directions."""
    cable, cable_frames = _idle(9600)
    radio, radio_frames = _idle(None)
    return [
        Figure(
            name="idle-cable",
            measure="idle octets an hour on a cable, both ways (virtual time)",
            ours=f"{cable} in {cable_frames} frames",
            values={"octets": cable, "frames": cable_frames},
        ),
        Figure(
            name="idle-radio",
            measure="idle octets an hour on a LongFast radio, both ways (virtual time)",
            ours=f"{radio} in {radio_frames} frames",
            goal=f"<= {IDLE_RADIO_MAX}",
            is_met=radio <= IDLE_RADIO_MAX,
            values={"octets": radio, "frames": radio_frames},
        ),
    ]


def _idle(bit_rate: int | None) -> tuple[int, int]:
    world = TappedWorld(1)
    path = world.add_path("link", bit_rate=bit_rate)
    world.start()
    world.run(WARM_MS)
    frames, octets, on_wire = world.frame_count, path.octets, world.octet_count
    world.run(HOUR_MS)
    spent = path.octets - octets if bit_rate is None else world.octet_count - on_wire
    return spent, world.frame_count - frames


async def measure_radio_fallback(options: Options) -> list[Figure]:
    """A LongFast radio goes silent with a cable behind it: the next notice is received later by."""
    rounds = 3 if options.quick else 12
    later: list[float] = []
    round_trips: list[float] = []
    for number in range(rounds):
        world = TappedWorld(options.seed + number)
        radio = world.add_path("radio", bit_rate=None)
        world.add_path("cable")
        world.start()
        world.run(30_000)
        usual, round_trip = _reception_s(world, number)
        world.run(60_000)
        radio.deaf = set(radio.ends)
        later.append(_reception_s(world, rounds + number)[0] - usual)
        round_trips.append(round_trip)
    longest, limit = max(later), quantile(round_trips, 0.5)
    return [
        Figure(
            name="fallback-radio",
            measure="LongFast radio, then a cable, silent cut: next notice received later by "
            "(virtual time)",
            ours=f"{quantile(later, 0.5):.2f} s (longest {longest:.2f})",
            goal=f"<= {limit:.2f} s, a round trip",
            is_met=longest <= limit,
            values={"longest_s": longest, "round_trip_s": limit},
        )
    ]


def _reception_s(world: World, number: int) -> tuple[float, float]:
    """Seconds until a notice of 100 octets is at the far station, and until its receipt is here."""
    notice_id, begun_ms = _submit(world, number, 100), world.now_ms
    world.run_until(lambda: bool(world.state_of(notice_id, SOUTH)), TAIL_MS)
    received_ms = world.now_ms
    world.run_until(lambda: world.state_of(notice_id) == RECEIPT, TAIL_MS)
    return (received_ms - begun_ms) / 1000, (world.now_ms - begun_ms) / 1000


async def measure_speed(options: Options) -> list[Figure]:
    """A day of `hotline simulate` with all its checks, by processor time."""
    hours = SPEED_QUICK_HOURS if options.quick else SPEED_HOURS
    figures: list[Figure] = []
    for profile, links in SPEED_PROFILES.items():
        result = await asyncio.to_thread(simulate_timed, options.seed, profile, hours)
        assert result.speed is not None
        figures.append(
            Figure(
                name=f"speed-{profile}",
                measure=f"simulation speed with checks: {links}, {result.notices} notices in "
                f"{hours} h",
                ours=f"{result.speed:.0f} x real time",
                goal=f">= {SPEED_MIN} x",
                is_met=result.speed >= SPEED_MIN,
                values={"times_real_time": result.speed},
            )
        )
    return figures
