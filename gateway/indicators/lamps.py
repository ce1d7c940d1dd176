"""What each lamp and the buzzer mean: a pure function from status and time to rhythms.

Lamps are told apart without colour, by place and rhythm. No notice of an EXERCISE, SIMULATION or
TEST and no comm check ever lights pending in, pending out or sounds the rhythm of an OPERATION.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from gateway.core.effects import AlarmCode, LinkStatus, PendingNotice, Status
from gateway.model import (
    DeliveryState,
    Instant,
    LinkName,
    LinkState,
    Operation,
    Precedence,
    Station,
)

REFUSAL_MS: Final = 1_000
"""How long a refused press shows."""
CHIRP_MS: Final = 600
"""The one chirp for a notice that is no OPERATION; long enough to outlast the commit before it."""

ALIVE_PERIOD_MS: Final = 3_000
"""The alive lamp goes on when the boot clock is a multiple of it."""


class Rhythm(enum.Enum):
    """A named pattern: the words that screens show, told apart at a glance."""

    OFF = "off"
    STEADY = "steady"
    ALIVE = "heartbeat"
    REFUSED = "flicker"
    FLASH = "very fast"
    IMMEDIATE = "double blink"
    PRIORITY = "even blink"
    ROUTINE = "slow blink"
    WAITING = "long blink"
    ROGERED = "short gap"
    DEGRADED = "double gap"
    PROBING = "short blink"
    ALARM = "fast"
    EXERCISE = "triple blink"
    EXERCISE_OUT = "single blink"
    FLASH_BROKEN = "fast, paused"
    IMMEDIATE_BROKEN = "double, paused"
    PRIORITY_BROKEN = "even, paused"
    ROUTINE_BROKEN = "slow, paused"


_ON: Final[dict[Rhythm, tuple[int, tuple[tuple[int, int], ...]]]] = {
    Rhythm.ALIVE: (ALIVE_PERIOD_MS, ((0, 100),)),  # each edge wakes an idle processor
    Rhythm.REFUSED: (100, ((0, 50),)),
    Rhythm.FLASH: (200, ((0, 100),)),
    Rhythm.IMMEDIATE: (1_000, ((0, 150), (300, 450))),
    Rhythm.PRIORITY: (1_000, ((0, 500),)),
    Rhythm.ROUTINE: (3_000, ((0, 1_500),)),
    Rhythm.WAITING: (2_000, ((0, 1_000),)),
    Rhythm.ROGERED: (2_000, ((0, 1_800),)),
    Rhythm.DEGRADED: (2_000, ((0, 1_500), (1_600, 1_900))),
    Rhythm.PROBING: (2_000, ((0, 200),)),
    Rhythm.ALARM: (500, ((0, 250),)),
    Rhythm.EXERCISE: (2_000, ((0, 150), (300, 450), (600, 750))),
    Rhythm.EXERCISE_OUT: (3_000, ((0, 300),)),
    # For some beats the rhythm of the precedence, then nothing for as long: something is doubtful.
    Rhythm.FLASH_BROKEN: (2_000, tuple((at, at + 100) for at in range(0, 1_000, 200))),
    Rhythm.IMMEDIATE_BROKEN: (4_000, ((0, 150), (300, 450), (1_000, 1_150), (1_300, 1_450))),
    Rhythm.PRIORITY_BROKEN: (4_000, ((0, 500), (1_000, 1_500))),
    Rhythm.ROUTINE_BROKEN: (12_000, ((0, 1_500), (3_000, 4_500))),
}
"""Period, and when in it the lamp is lit, in milliseconds."""


@dataclass(frozen=True, slots=True)
class Panel:
    """The rhythm of each lamp and of the buzzer."""

    alive: Rhythm = Rhythm.OFF
    links: tuple[tuple[LinkName, Rhythm], ...] = ()
    pending_in: Rhythm = Rhythm.OFF
    pending_out: Rhythm = Rhythm.OFF
    alarm: Rhythm = Rhythm.OFF
    exercise: Rhythm = Rhythm.OFF
    buzzer: Rhythm = Rhythm.OFF

    def rhythms(self) -> Iterator[tuple[str, Rhythm]]:
        """Every lamp in the order of the panel, then the buzzer; a link's is `link.NAME`."""
        yield "alive", self.alive
        for name, rhythm in self.links:
            yield f"link.{name}", rhythm
        yield "pending_in", self.pending_in
        yield "pending_out", self.pending_out
        yield "alarm", self.alarm
        yield "exercise", self.exercise
        yield "buzzer", self.buzzer


def level_at(rhythm: Rhythm, instant: Instant) -> bool:
    """Whether a lamp with this rhythm is lit at `instant`."""
    if rhythm is Rhythm.OFF or rhythm is Rhythm.STEADY:
        return rhythm is Rhythm.STEADY
    period, lit = _ON[rhythm]
    phase = instant % period
    return any(start <= phase < end for start, end in lit)


def next_change(rhythm: Rhythm, instant: Instant) -> Instant | None:
    """When the level next changes, later than `instant`; None: never."""
    if rhythm is Rhythm.OFF or rhythm is Rhythm.STEADY:
        return None
    period, lit = _ON[rhythm]
    phase = instant % period
    edges = [edge for span in lit for edge in span] + [period]
    return Instant(instant - phase + min(edge for edge in edges if edge > phase))


def panel_levels(panel: Panel, instant: Instant) -> dict[str, bool]:
    """Which lamps are lit at `instant`, by name."""
    return {name: level_at(rhythm, instant) for name, rhythm in panel.rhythms()}


def panel_document(panel: Panel, instant: Instant) -> dict[str, object]:
    """Give the panel's public JSON form: levels 0 or 1 by lamp, and the word of each rhythm."""
    return {
        "lamps": {name: int(level_at(rhythm, instant)) for name, rhythm in panel.rhythms()},
        "patterns": {name: rhythm.value for name, rhythm in panel.rhythms()},
    }


def pattern(status: Status, now: Instant) -> Panel:
    """What the panel shows for a status. A station that stops goes dark."""
    names = [link.name for link in status.links]
    if status.stopping:
        return Panel(links=tuple((name, Rhythm.OFF) for name in names))
    if status.lamp_test_until is not None and now < status.lamp_test_until:
        lit = Rhythm.STEADY
        links = tuple((name, lit) for name in names)
        return Panel(lit, links, lit, lit, lit, lit, buzzer=Rhythm.PRIORITY)
    dark = _dark_stations(status)
    unproven = frozenset(peer.station for peer in status.peers if not peer.fresh)
    return Panel(
        alive=_alive(status, now),
        links=tuple((link.name, _link(link, dark, unproven)) for link in status.links),
        pending_in=_pending_in(status),
        pending_out=_pending_out(status),
        alarm=Rhythm.ALARM if status.alarms or status.store_refused else Rhythm.OFF,
        exercise=_exercise(status),
        buzzer=_buzzer(status, now),
    )


def next_pattern_change(status: Status, now: Instant) -> Instant | None:
    """When `pattern` may change although the status does not; None: never."""
    times = [status.lamp_test_until]
    if status.button_refused_at is not None:
        times.append(Instant(status.button_refused_at + REFUSAL_MS))
    times += [Instant(notice.since + CHIRP_MS) for notice in status.pending_in]
    return min((time for time in times if time is not None and time > now), default=None)


def _alive(status: Status, now: Instant) -> Rhythm:
    refused_at = status.button_refused_at
    if refused_at is not None and refused_at <= now < refused_at + REFUSAL_MS:
        return Rhythm.REFUSED
    return Rhythm.ALIVE


def _dark_stations(status: Status) -> frozenset[Station]:
    """Give the stations that no link reaches, or whose gateway is silent: their lamps are dark."""
    everyone = frozenset(link.station for link in status.links)
    dark: frozenset[Station] = frozenset()
    for alarm in status.alarms:
        if alarm.code in (AlarmCode.NO_LINK, AlarmCode.FAR_GATEWAY_SILENT):
            dark |= everyone if alarm.station is None else {alarm.station}
    return dark


def _link(link: LinkStatus, dark: frozenset[Station], unproven: frozenset[Station]) -> Rhythm:
    if link.station in dark or link.state is LinkState.DOWN:
        return Rhythm.OFF
    if link.station in unproven:
        # Its freshness is unproven: what comes by it may be a recording.
        return Rhythm.PROBING
    return {
        LinkState.PROBING: Rhythm.PROBING,
        LinkState.UP: Rhythm.STEADY,
        LinkState.DEGRADED: Rhythm.DEGRADED,
    }[link.state]


def _is_real(notice: PendingNotice) -> bool:
    return notice.operation is Operation.OPERATION and not notice.is_check


_BY_PRECEDENCE: Final = {
    Precedence.FLASH: Rhythm.FLASH,
    Precedence.IMMEDIATE: Rhythm.IMMEDIATE,
    Precedence.PRIORITY: Rhythm.PRIORITY,
    Precedence.ROUTINE: Rhythm.ROUTINE,
}


_BROKEN: Final = {
    Precedence.FLASH: Rhythm.FLASH_BROKEN,
    Precedence.IMMEDIATE: Rhythm.IMMEDIATE_BROKEN,
    Precedence.PRIORITY: Rhythm.PRIORITY_BROKEN,
    Precedence.ROUTINE: Rhythm.ROUTINE_BROKEN,
}


def _pending_in(status: Status) -> Rhythm:
    """The rhythm of the fastest; with pauses if all of that precedence are doubtful."""
    real = [notice for notice in status.pending_in if _is_real(notice)]
    fastest = min((notice.precedence for notice in real), default=None)
    if fastest is None:
        return Rhythm.OFF
    shown = [notice for notice in real if notice.precedence is fastest]
    is_doubtful = all(notice.is_doubtful for notice in shown)
    return (_BROKEN if is_doubtful else _BY_PRECEDENCE)[fastest]


def _pending_out(status: Status) -> Rhythm:
    waiting = [notice for notice in status.pending_out if _is_real(notice)]
    if not waiting:
        return Rhythm.OFF
    answered = (DeliveryState.ROGER, DeliveryState.STANDBY)
    return Rhythm.ROGERED if all(n.state in answered for n in waiting) else Rhythm.WAITING


def _exercise(status: Status) -> Rhythm:
    """Give one lamp to both directions: what waits for our watch hides what waits for theirs."""
    if any(not _is_real(notice) for notice in status.pending_in):
        return Rhythm.EXERCISE
    if any(not _is_real(notice) for notice in status.pending_out):
        return Rhythm.EXERCISE_OUT
    return Rhythm.OFF


def _buzzer(status: Status, now: Instant) -> Rhythm:
    if status.buzzer_silenced:
        return Rhythm.OFF
    fastest = min((n.precedence for n in status.pending_in if _is_real(n)), default=None)
    if fastest is not None:
        return _BY_PRECEDENCE[fastest]
    chirps = any(notice.since <= now < notice.since + CHIRP_MS for notice in status.pending_in)
    return Rhythm.STEADY if chirps else Rhythm.OFF
