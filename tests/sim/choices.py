"""Courses in virtual time that tell what a choice of the line is worth, and the alternatives to it.

A course gives two figures, each better when smaller: seconds, and what the medium carried for them.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass

import pytest

import gateway.core.lane
from gateway.core.composer import Composed, Composer
from gateway.core.dispatcher import Dispatcher
from gateway.core.draft import Draft
from gateway.core.events import LinkTraits
from gateway.core.lane import Lane, Part
from gateway.core.line import Line
from gateway.core.link_health import LinkHealth
from gateway.core.outgoing import OutAct
from gateway.core.policy import Policy
from gateway.core.rounds import Rounds
from gateway.model import ActId, Instant, LinkName, Precedence
from gateway.sim.benchmark.figures import quantile
from gateway.sim.benchmark.virtual import deliver_virtually
from gateway.sim.world import World
from gateway.wire.items import BeatItem
from tests.sim import choices
from tests.sim.scenes import MINUTE, SECOND, draft, line, send

Taken = tuple[tuple[Part, ...], list[bytes], Precedence, int]
Patch = pytest.MonkeyPatch
RECEIPT = "MACHINE RECEIPT"
WORDS = (
    "Convoy of six trucks leaves the depot at first light, crosses the bridge north of the mill and"
    " turns west; escort by two light vehicles, marked white. Please hold fire along the road. "
)
POLICY = Policy()
SEEDS = tuple(range(1, 9))
RADIO_SEEDS = tuple(range(1, 25))
"""A p95 of 40 notices a seed: with 8 seeds it moves by a quarter from one to the next."""


@dataclass(frozen=True, slots=True)
class Outcome:
    seconds: float
    spent: float
    """Octets or milliseconds on air a notice, as the course says."""


def lossy_cable(loss: float) -> Outcome:
    """9600 bit/s, 100 notices of 100 octets, one each 4 s: p95 to the receipt, octets each."""
    runs = [
        deliver_virtually(seed, bit_rate=9600, loss=loss, count=100, interval_s=4.0)
        for seed in SEEDS
    ]
    assert all(run.delivered == 100 for run in runs)
    return Outcome(
        statistics.mean(run.p95_s for run in runs), statistics.mean(run.octets for run in runs)
    )


def lossy_radio(text: str) -> Outcome:
    """LongFast, a fifth lost, 40 notices each 60 s: p95 to the receipt, ms on air each."""
    seconds: list[float] = []
    airtime_ms = 0.0
    for seed in RADIO_SEEDS:
        world = line(seed, radio=True, cable=False)
        path = world.paths[LinkName("radio")]
        path.loss, path.is_contended = 0.2, True
        begun_ms = world.now_ms
        for number in range(40):
            notice = send(world, draft(f"{number} {text}", precedence=Precedence.ROUTINE))
            seconds.append(until_receipt(world, notice, 10 * MINUTE))
            world.run(MINUTE)
        airtime_ms += sum(
            spent for marks in path.spent.values() for begin, spent in marks if begin > begun_ms
        )
    return Outcome(quantile(seconds, 0.95), airtime_ms / len(seconds))


def silent_radio() -> Outcome:
    """Radio, then a cable; the radio goes silent: the next notice is received later by, at most;
    octets that the cable carried for each notice while the radio worked, a tenth of it lost.
    """
    later: list[float] = []
    octets = 0
    for seed in SEEDS:
        world = line(seed, radio=True, policy=POLICY)
        radio, cable = world.paths[LinkName("radio")], world.paths[LinkName("cable")]
        usual = until_received(world, send(world, draft("0 " + WORDS)))
        world.run(MINUTE)
        for number in range(1, 8):
            radio.deaf = set(radio.ends)
            notice = send(world, draft(f"{number} {WORDS}"))
            later.append(until_received(world, notice) - usual)
            radio.deaf = set()
            world.run(10 * MINUTE)
        radio.loss = 0.1
        cable.deaf = set(cable.ends)  # its beats are not the question
        world.run(MINUTE)
        before = cable.octets
        for number in range(20):
            send(world, draft(f"9{number} {WORDS}"))
            world.run(MINUTE)
        octets += cable.octets - before
    return Outcome(max(later), octets / 60)


def flapping(silent_s: int, period_s: int, *, radio: bool) -> Outcome:
    """The first link is silent for a part of each period, a notice each 7 s: mean seconds to the
    receipt, frames each. The second link is a cable.
    """
    seconds: list[float] = []
    frames = 0
    for seed in SEEDS:
        world = World(seed, policy=POLICY)
        first = world.add_path("first", bit_rate=None if radio else 9600)
        world.add_path("second")
        world.start()
        world.run(30 * SECOND)
        before = sum(path.frames for path in world.paths.values())
        for number in range(40):
            flap(world, first.name, silent_s, period_s)
            notice = send(world, draft(f"{number} {WORDS}"))
            spent = until_receipt(world, notice, MINUTE)
            seconds.append(spent)
            world.run(max(round(7 * SECOND - spent * SECOND), 1))
        frames += sum(path.frames for path in world.paths.values()) - before
    return Outcome(statistics.mean(seconds), frames / len(seconds))


def flap(world: World, name: LinkName, silent_s: int, period_s: int) -> None:
    path = world.paths[name]
    path.deaf = set(path.ends) if world.now_ms // SECOND % period_s < silent_s else set()


def until_receipt(world: World, notice: ActId, limit_ms: int) -> float:
    begun_ms = world.now_ms
    while world.state_of(notice) != RECEIPT:
        assert world.now_ms - begun_ms < limit_ms, "no receipt"
        world.run(20)
    return (world.now_ms - begun_ms) / 1000


def until_received(world: World, notice: ActId) -> float:
    begun_ms = world.now_ms
    while not world.state_of(notice, 2):
        assert world.now_ms - begun_ms < 5 * MINUTE, "not received"
        world.run(20)
    return (world.now_ms - begun_ms) / 1000


# Alternatives


def constant_timer(patch: Patch) -> None:
    def timer_ms(self: LinkHealth, size: int) -> int:
        traits, policy = self.traits, self._policy
        radio = traits is not None and traits.is_radio
        first = policy.rto_initial_radio_ms if radio else policy.rto_initial_serial_ms
        return round(self.floor_ms(size)) + first

    patch.setattr(LinkHealth, "timer_ms", timer_ms)


def doubling_timer(patch: Patch) -> None:
    """RFC 6298 section 5.5: every miss doubles it, only a round trip ends that."""
    missed = LinkHealth.missed

    def doubled(self: LinkHealth, now: Instant) -> None:
        before = self._backoff
        missed(self, now)
        self._backoff = min(before + 1, 10)

    def heard(self: LinkHealth, now: Instant) -> None:
        self.heard_at = now

    patch.setattr(LinkHealth, "missed", doubled)
    patch.setattr(LinkHealth, "heard", heard)


def receipt_once(patch: Patch) -> None:
    patch.setattr(gateway.core.lane, "_COPY_AT", ())


def receipt_thrice(patch: Patch) -> None:
    patch.setattr(gateway.core.lane, "_COPY_AT", (0.0, 0.0))


def receipts_apart(patch: Patch) -> None:
    take = Composer._take_parts

    def apart(self: Composer, lane: Lane, room: int, draft: Draft, *, is_shared: bool) -> Taken:
        if is_shared:
            return (), [], Precedence.ROUTINE, room
        return take(self, lane, room, draft, is_shared=False)

    patch.setattr(Composer, "_take_parts", apart)


def probe_first(patch: Patch) -> None:
    """After a miss a beat asks what arrived; the act goes again only where it did not."""
    again = Rounds.handle_retransmission
    beat = Line.beat
    probed: dict[tuple[int, ActId], int] = {}

    def retransmit(self: Rounds, act: OutAct, name: LinkName, draft: Draft) -> None:
        attempt = act.attempts.get(name)
        if attempt is None or probed.get((id(self), act.id)) == attempt.count:
            again(self, act, name, draft)
            return
        probed[id(self), act.id] = attempt.count
        lane = self._lanes[name]
        lane.beat_due = True
        due = Instant(draft.now.instant + lane.health.timer_ms(60))
        self._timers.set(("rtx", act.id, name), due)
        self._pump(lane, draft)

    def beaten(self: Line, name: LinkName, item: BeatItem, draft: Draft) -> None:
        lane = self.lanes[name]
        if not item.is_reply and lane.told:
            self.reception.owe(lane.owed, *next(reversed(lane.told)), None)
        beat(self, name, item, draft)
        if item.is_reply:
            for act_id in list(lane.acts):
                act = self.outgoing.get(act_id)
                if act is not None:
                    self.dispatcher.again(act, lane, draft)
            self._pump(lane, draft)

    patch.setattr(Rounds, "handle_retransmission", retransmit)
    patch.setattr(Line, "beat", beaten)


def hedge_at_timer(patch: Patch) -> None:
    """Wait for the receipt's timer, which a radio's own retransmissions stretch."""
    patch.setattr(LinkHealth, "hedge_ms", LinkHealth.timer_ms)


def no_hedge(patch: Patch) -> None:
    patch.setattr(Dispatcher, "hedge", lambda *_: None)


def no_hysteresis(patch: Patch) -> None:
    patch.setattr(choices, "POLICY", Policy(restore_ms=0))


def whole_rounds(patch: Patch) -> None:
    """No selective repeat: every fragment goes again."""
    patch.setattr(OutAct, "missing", lambda self: list(range(len(self.fragments))))
    patch.setattr(Composer, "_is_held_there", lambda *_: False)


def ack_always(patch: Patch) -> None:
    """The firmware of the radio retransmits whatever the state of the link."""
    compose = Composer._compose_items

    def asking(self: Composer, lane: Lane, traits: LinkTraits, draft: Draft) -> Composed | None:
        composed = compose(self, lane, traits, draft)
        if composed is not None and traits.is_radio and composed[0].parts:
            flight = composed[0]
            for _, attempt in self.attempts_of(lane, flight):
                attempt.unresolved += not flight.want_ack
            flight.want_ack = True
        return composed

    patch.setattr(Composer, "_compose_items", asking)


Course = Callable[[], Outcome]
Alternative = Callable[[Patch], None]
CABLE_30: Course = lambda: lossy_cable(0.3)  # noqa: E731
CABLE_50: Course = lambda: lossy_cable(0.5)  # noqa: E731
RADIO: Course = lambda: lossy_radio("convoy on route 4")  # noqa: E731
RADIO_LONG: Course = lambda: lossy_radio(5 * WORDS)  # noqa: E731
COURSES: dict[str, tuple[Course, tuple[Alternative, ...]]] = {
    "cable, 30 % lost": (
        CABLE_30,
        (
            constant_timer,
            doubling_timer,
            receipt_once,
            receipt_thrice,
            receipts_apart,
            probe_first,
        ),
    ),
    "cable, 50 % lost": (
        CABLE_50,
        (
            constant_timer,
            doubling_timer,
            receipt_once,
            receipt_thrice,
            receipts_apart,
            probe_first,
        ),
    ),
    "LongFast, 20 % lost": (
        RADIO,
        (constant_timer, doubling_timer, receipt_once, receipt_thrice, probe_first, ack_always),
    ),
    "LongFast, 20 % lost, long text": (RADIO_LONG, (whole_rounds, receipt_once, ack_always)),
    "radio goes silent, cable is there": (silent_radio, (hedge_at_timer, no_hedge)),
    "radio silent 20 s of each minute": (
        lambda: flapping(20, 60, radio=True),
        (hedge_at_timer, no_hedge, ack_always),
    ),
    "first cable silent half of each 30 s": (
        lambda: flapping(15, 30, radio=False),
        (no_hysteresis, no_hedge),
    ),
}
