"""Checks of what leaves by the links: nonces, precedence, airtime, and the engine's bounds.

These look inside the engine, since a sealed frame does not show what it carries.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gateway.core.alarms import ALARM_COUNT_MAX
from gateway.core.effects import AlarmCode, Transmit
from gateway.core.engine import Engine
from gateway.core.events import Event, FrameRefused, Refusal
from gateway.core.policy import Policy
from gateway.core.session import INCARNATION_COUNT_MAX, Inbound
from gateway.errors import DecodeError
from gateway.model import ActId, Instant, LinkName, LinkState, Precedence, Station
from gateway.sim.safety import Blame
from gateway.sim.world import Post, World
from gateway.wire.frame import parse_frame
from gateway.wire.limits import GENERATION_HELLO

BOUNDS_EVERY: Final = 512
"""Steps between two looks at the bounds of an engine."""
_FLIGHT_COUNT_MAX: Final = 256
_VERDICTS: Final = (Refusal.NO_ACK, Refusal.RELAYED_ONLY)
"""On frames that went long ago: they say nothing of what a link can carry now."""
_TIMER_SPARE: Final = 256
_UNCOUNTED_MS_MAX: Final = 4_000
"""Airtime of a radio that its station may not know of: acks for frames that came in hurt, and what
a kill left unwritten, which the next start charges. A minute above the hour makes up for it."""


@dataclass(slots=True)
class _Key:
    """A frame key in use: who owns it and the last counter that it sealed."""

    owner: Engine
    counter: int = -1
    sealed_ms: int = 0
    """When it sealed last."""


class Frames:
    """Watches every frame that is handed to a driver."""

    def __init__(self, world: World, blame: Blame) -> None:
        self._world = world
        self._blame = blame
        self._keys: dict[tuple[Station, Station, int, bytes], _Key] = {}
        self._passed: dict[tuple[Station, int, LinkName], frozenset[ActId]] = {}
        """The FLASH that the last frame of a link went before."""
        self._steps = 0
        self._began_ms: dict[tuple[Station, int], int] = {}
        self._believed: dict[tuple[Station, int, Station], Inbound] = {}

    def started(self, post: Post) -> None:
        """A new engine: what was sealed before it asked cannot answer its challenge."""
        self._began_ms[post.station, post.number] = self._world.now_ms

    def event(self, post: Post, event: Event | None) -> None:
        if not isinstance(event, FrameRefused):
            return
        if event.reason not in _VERDICTS:
            # A link that refuses is not free.
            self._passed.pop((post.station, post.number, event.link), None)
        if event.reason is Refusal.DUTY_CYCLE:
            self._blame(f"the radio of {event.link} refused a frame: duty cycle spent")

    def transmit(self, post: Post, frame: Transmit) -> None:
        engine = post.engine
        assert engine is not None
        self._sealed(post, engine, frame)
        self._charged(post, engine, frame)
        if frame.precedence is not Precedence.FLASH:
            self._overtakes(post, engine, frame)
        elif self._passed:
            self._passed.pop((post.station, post.number, frame.link), None)

    def _sealed(self, post: Post, engine: Engine, frame: Transmit) -> None:
        """No (key, nonce) twice: a key is of one engine, and its counters only rise."""
        header, _, _ = parse_frame(frame.octets)
        incarnation = header.incarnation
        if incarnation is None:
            incarnation = engine._state.lines[frame.to].session.incarnation  # noqa: SLF001 - see above
        name = (post.station, frame.to, header.generation, incarnation)
        key = self._keys.get(name)
        if key is None:
            key = self._keys[name] = _Key(engine)
        if key.owner is not engine:
            self._blame(f"an incarnation of station {post.station} is used by two engines")
            key.owner = engine
        if header.counter <= key.counter:
            self._blame(f"counter {header.counter} of station {post.station} was used twice")
        key.counter = header.counter
        key.sealed_ms = self._world.now_ms

    def _charged(self, post: Post, engine: Engine, frame: Transmit) -> None:
        """A radio with a duty cycle has spent no more than its station counts."""
        path = self._world.paths[frame.link]
        if path.duty_ms is None:
            return
        governor = engine._state.lines[frame.to].lanes[frame.link].governor  # noqa: SLF001 - see above
        counted_ms = governor.spent_ms(Instant(self._world.now_ms - post.boot_at_ms))
        spent_ms = path.spent_ms(post.station, self._world.now_ms)
        if spent_ms > counted_ms + _UNCOUNTED_MS_MAX:
            self._blame(
                f"the radio of {frame.link} spent {spent_ms} ms in an hour, station"
                f" {post.station} counts {counted_ms}"
            )

    def _believes(self, post: Post, engine: Engine) -> None:
        """A far incarnation counts as proven only if it said something since this engine began."""
        for line in engine._state.lines.values():  # noqa: SLF001 - see above
            current = line.session.current
            name = (post.station, post.number, line.peer)
            if current is None or not current.is_proven or self._believed.get(name) is current:
                continue
            self._believed[name] = current
            said = self._keys.get((line.peer, post.station, GENERATION_HELLO, current.incarnation))
            if said is None or said.sealed_ms < self._began_ms[post.station, post.number]:
                self._blame(
                    f"station {post.station} believes a recording of {line.peer}: that incarnation"
                    " ended before it could be challenged"
                )

    def _overtakes(self, post: Post, engine: Engine, frame: Transmit) -> None:
        """No frame goes before a FLASH that could go by this link, but for one at the most.

        It can go from the step on that queued it there or gave it a place, with airtime for it.
        What stands before it then is what the device has already, which is not counted here, and
        one frame more: what the same step handed over before it came, or, between two frames of
        FLASH, a hello or receipts. Behind a refusal that left the radio free the count begins anew.
        """
        name = (post.station, post.number, frame.link)
        waiting = self._flash_waiting(post, engine, frame)
        passed = self._passed.get(name, frozenset())
        if passed & waiting:
            self._blame(
                f"FLASH waits at station {post.station} while {frame.link} carries a second frame"
                f" of {frame.precedence.name}"
            )
        # Told once for each that waits.
        self._passed[name] = waiting - passed

    def _flash_waiting(self, post: Post, engine: Engine, frame: Transmit) -> frozenset[ActId]:
        """Each FLASH that has its turn on this link: queued there, or with a place there."""
        line = engine._state.lines[frame.to]  # noqa: SLF001 - see above
        lane, dispatcher = line.lanes[frame.link], line.dispatcher
        now = Instant(self._world.now_ms - post.boot_at_ms)
        queued = {job[2].act_id for job in lane.jobs}
        is_proven = lane.health.state in (LinkState.UP, LinkState.DEGRADED)
        # All acts, not those that the core's queues would give next: their order is on trial.
        return frozenset(
            act.id
            for act in line.outgoing.unreceipted()
            if act.precedence is Precedence.FLASH
            and (
                act.id in queued
                or (is_proven and not act.attempts and dispatcher._has_room(lane, act))  # noqa: SLF001 - see above
            )
            # What the airtime budget has no room for cannot go.
            and dispatcher._airtime_at(lane, act, now) <= now  # noqa: SLF001 - see above
        )

    # Bounds

    def _takes_in(self, post: Post, engine: Engine) -> None:
        state = engine._state  # noqa: SLF001 - see above
        if not state.lines:
            return
        # What ends a notice that never comes may be there as often again.
        limit = 2 * max(state.policy.inbound_notice_count // len(state.lines), 1)
        for peer in state.lines:
            count = state.ledger.open_from(peer)
            if count > limit:
                self._blame(f"{peer} has {count} notices open at station {post.station}")

    def stepped(self, post: Post) -> None:
        self._steps += 1
        if post.engine is not None:
            self._believes(post, post.engine)
            self._takes_in(post, post.engine)
        if self._steps % BOUNDS_EVERY == 0 and post.engine is not None:
            self._look(post, post.engine)

    def _look(self, post: Post, engine: Engine) -> None:
        state = engine._state  # noqa: SLF001 - see above
        policy = state.policy
        sizes = [
            ("records", len(state.ledger.records), _record_count_max(policy)),
            ("timers", len(state.timers), 8 * len(state.ledger.records) + _TIMER_SPARE),
            ("alarms", 0 if post.status is None else len(post.status.alarms), ALARM_COUNT_MAX),
        ]
        for line in state.lines.values():
            session, reception = line.session, line.reception
            sizes += [
                ("incarnations", len(session._inbound), INCARNATION_COUNT_MAX),  # noqa: SLF001
                (
                    "reassemblies",
                    len(reception._reassemblies),  # noqa: SLF001
                    policy.reassembly_count,
                ),
                ("seen", reception.seen, policy.seen_count + 1),
            ]
            sizes += [
                ("flights", len(lane.flights), _FLIGHT_COUNT_MAX) for lane in line.lanes.values()
            ]
        for what, count, limit in sizes:
            if count > limit:
                self._blame(f"station {post.station} holds {count} {what}, above {limit}")


def _record_count_max(policy: Policy) -> int:
    """Open ones of both directions, and closed ones; what ends another may come besides."""
    return (
        2 * policy.open_notice_count + 2 * policy.inbound_notice_count + policy.closed_notice_count
    )


def is_hello(octets: bytes) -> bool:
    """Whether a frame says by its header, which is not sealed, that it is a hello."""
    try:
        header, _, _ = parse_frame(octets)
    except DecodeError:
        return False
    return header.generation == GENERATION_HELLO


def is_far_silent(post: Post) -> bool:
    """Whether a station says that it hears nothing of a far gateway."""
    return post.status is not None and any(
        alarm.code in (AlarmCode.FAR_GATEWAY_SILENT, AlarmCode.NO_LINK)
        for alarm in post.status.alarms
    )
