"""Draws a plan from a seed and a profile. All draws are made here, before anything runs."""

from __future__ import annotations

from random import Random
from typing import Final

from gateway.content import Altitude, Place, Point, Text, Window
from gateway.model import Kind, LinkName, NoticeDraft, Operation, Precedence, Station
from gateway.sim.plan import (
    Absence,
    Action,
    Attack,
    BrokerAway,
    Cut,
    FillDisk,
    Foreign,
    Kill,
    Mute,
    Plan,
    Press,
    Restore,
    Rotate,
    StepClock,
    Stop,
    Submit,
    Twin,
    Unplug,
    Weather,
)
from gateway.sim.profile import LinkProfile, Profile

HOUR_MS: Final = 3_600_000
DAY_S: Final = 86_400
_KINDS: Final = (
    (Kind.NOTIFY, 30), (Kind.REPORT, 15), (Kind.WARNING, 8), (Kind.QUERY, 10),
    (Kind.REQUEST, 15), (Kind.ASSURE, 3), (Kind.CHECK, 10), (Kind.LINE_STATE, 3),
    (Kind.HANDOVER, 3), (Kind.SERVICE, 3),
)  # fmt: skip
_PRECEDENCES: Final = (
    (Precedence.FLASH, 8), (Precedence.IMMEDIATE, 17), (Precedence.PRIORITY, 35),
    (Precedence.ROUTINE, 40),
)  # fmt: skip
_TEXT_SIZES: Final = ((5, 20), (40, 30), (60, 25), (100, 15), (180, 7), (400, 2), (1000, 1))
_CHANGE_WITHIN: Final = 6
"""A CANCEL or UPDATE names one of the last so many own notices to that station."""


def draw_plan(seed: int, profile: Profile, hours: float) -> Plan:
    """The same for the same seed, profile and hours, in any process."""
    name = f"{profile.name} {seed}"
    return _Drawing(name, profile, max(round(hours * HOUR_MS), 1)).plan()


class _Drawing:
    def __init__(self, name: str, profile: Profile, duration_ms: int) -> None:
        self._name = name
        self._rng = Random(f"plan {name}")
        self._profile = profile
        self._duration_ms = duration_ms
        self._stations = [Station(number) for number in range(1, profile.stations + 1)]
        self._links = profile.links

    def plan(self) -> Plan:
        profile = self._profile
        actions: list[Action] = []
        rates = (
            (profile.absences, self._absence),
            (profile.cuts, self._cut),
            (profile.unplugs, self._unplug),
            (profile.mutes, self._mute),
            (profile.weathers, self._weather),
            (profile.kills, self._kill),
            (profile.restores, self._restore),
            (profile.twins, self._twin),
            (profile.full_disks, self._fill_disk),
            (profile.clock_steps, self._step_clock),
            (profile.attacks, self._attack),
        )
        for rate, draw in rates:
            actions.extend(draw() for _ in range(self._count(rate)))
        for station in self._stations:
            actions.extend(self._submit(station) for _ in range(self._count(profile.notices)))
        actions.extend(self._later_kinds())
        actions.sort(key=lambda action: action.at_ms)
        return tuple(self._with_reference(actions, place) for place in range(len(actions)))

    def _later_kinds(self) -> list[Action]:
        """Kinds that came later draw for themselves, so that the others stay what they were."""
        profile = self._profile
        own, self._rng = self._rng, Random(f"later {self._name}")
        rates = (
            (profile.foreigns, self._foreign),
            (profile.brokers, self._broker),
            (profile.presses, self._press),
            (profile.stops, self._stop),
            (profile.rotations, self._rotate),
        )
        actions = [draw() for rate, draw in rates for _ in range(self._count(rate))]
        self._rng = own
        return [action for action in actions if action is not None]

    # Draws

    def _count(self, rate: float) -> int:
        """How often something happens in the whole time: its mean, with the fraction drawn."""
        mean = rate * self._duration_ms / HOUR_MS
        return int(mean) + (self._rng.random() < mean - int(mean))

    def _at(self) -> int:
        return self._rng.randrange(self._duration_ms)

    def _span(self, low_s: float, high_s: float) -> int:
        """Milliseconds; short times are as likely as long ones."""
        return int(1000 * low_s * (high_s / low_s) ** self._rng.random())

    def _weighted(self, table: tuple[tuple[int, int], ...]) -> int:
        values, weights = zip(*table, strict=True)
        return int(self._rng.choices(values, weights)[0])

    def _link(self) -> LinkProfile:
        return self._rng.choice(self._links)

    # Notices

    def _submit(self, station: Station) -> Submit:
        rng = self._rng
        fars = [s for s in self._stations if s != station and self._are_joined(s, station)]
        kind = Kind(self._weighted(_KINDS))
        size = self._weighted(_TEXT_SIZES)
        draft = NoticeDraft(
            to=rng.choice(fars),
            kind=kind,
            precedence=Precedence(self._weighted(_PRECEDENCES)),
            operation=rng.choice((Operation.OPERATION, Operation.OPERATION, *Operation)),
            body=Text(f"{rng.randrange(1 << 20):x} ".ljust(size, "x")[:size].strip(), "en"),
            lifetime_min=rng.choice((None, None, None, 10, 60, 300)),
            reply_by_min=rng.choice((None, None, None, 15, 90)),
            place=rng.choice((None, None, _place(rng))),
            window=rng.choice((None, None, Window(30, 120))),
        )
        again = self._span(0.01, 600) if rng.random() < self._profile.again else None
        return Submit(self._at(), station, draft, again_after_ms=again)

    def _are_joined(self, one: Station, other: Station) -> bool:
        return any(set(link.ends) == {one, other} for link in self._links)

    def _with_reference(self, actions: list[Action], place: int) -> Action:
        """Some notices change or name an earlier one of their station to the same addressee."""
        action = actions[place]
        if not isinstance(action, Submit) or self._rng.random() >= 2 * self._profile.change:
            return action
        earlier = [
            index
            for index, other in enumerate(actions[:place])
            if isinstance(other, Submit)
            and other.station == action.station
            and other.draft.to == action.draft.to
        ][-_CHANGE_WITHIN:]
        if not earlier:
            return action
        change = self._rng.choice((Kind.CANCEL, Kind.UPDATE, None, None))
        at_ms = action.at_ms
        about = self._rng.choice(earlier)
        if change is not None and self._rng.random() < 0.4:
            # Close behind its notice, so that it overtakes it, or crosses the answer.
            at_ms = actions[about].at_ms + self._span(0.001, 100)
        return Submit(at_ms, action.station, action.draft, about, change, action.again_after_ms)

    # Faults

    def _absence(self) -> Absence:
        return Absence(self._at(), self._rng.choice(self._stations), self._span(600, 20_000))

    def _cut(self) -> Cut:
        link = self._link()
        ends = [Station(end) for end in link.ends]
        deaf = self._rng.sample(ends, self._rng.choice((1, 2)))
        return Cut(self._at(), LinkName(link.name), tuple(sorted(deaf)), self._span(1, 3_000))

    def _unplug(self) -> Unplug:
        return Unplug(self._at(), LinkName(self._link().name), self._span(0.2, 1_500))

    def _mute(self) -> Mute:
        link = self._link()
        station = Station(self._rng.choice(link.ends))
        return Mute(self._at(), LinkName(link.name), station, self._span(1, 300))

    def _weather(self) -> Weather:
        return Weather(
            self._at(),
            LinkName(self._link().name),
            loss=self._rng.choice((0.5, 0.8, 1.0)),
            good_ms=self._span(2, 60),
            bad_ms=self._span(0.5, 30),
            for_ms=self._span(60, 3_600),
        )

    def _kill(self) -> Kill:
        rng, profile = self._rng, self._profile
        is_power_cut = rng.random() < profile.power_cuts
        for_ms = self._span(0.5, 300)
        has_clock, clock_after, lose_last = True, None, 0
        if is_power_cut:
            for_ms = self._span(5, 1_800)
            if rng.random() < profile.days_off:
                for_ms = self._span(DAY_S, 3 * DAY_S)
            has_clock = rng.random() >= profile.no_clock
            clock_after = rng.choice((None, self._span(10, 7_200)))
            lose_last = rng.randrange(1, 40) if rng.random() < profile.lying_cards else 0
        return Kill(
            self._at(),
            rng.choice(self._stations),
            for_ms,
            is_power_cut=is_power_cut,
            keeps_normal=not is_power_cut or rng.random() < 0.5,
            lose_last=lose_last,
            dies_at_effect=rng.choice((None, -1, 0, 0, 1, 2, 3, 5, 8)),
            has_clock=has_clock,
            clock_after_ms=clock_after,
        )

    def _restore(self) -> Restore:
        station = self._rng.choice(self._stations)
        return Restore(self._at(), station, self._span(60, 20_000), self._span(5, 300))

    def _twin(self) -> Twin:
        return Twin(self._at(), self._rng.choice(self._stations), self._span(30, 600))

    def _fill_disk(self) -> FillDisk:
        return FillDisk(self._at(), self._rng.choice(self._stations), self._span(1, 1_800))

    def _step_clock(self) -> StepClock:
        step = self._rng.choice((3, 60, 3_600, DAY_S, 365 * DAY_S, 4 * 365 * DAY_S))
        sign = self._rng.choice((1, 1, -1))
        return StepClock(self._at(), self._rng.choice(self._stations), sign * step)

    def _foreign(self) -> Foreign | None:
        radios = [link for link in self._links if link.bit_rate is None]
        if not radios:
            return None
        return Foreign(
            self._at(),
            LinkName(self._rng.choice(radios).name),
            share=self._rng.choice((0.05, 0.2, 0.5)),
            for_ms=self._span(10, 3_600),
            seed=self._rng.getrandbits(32),
        )

    def _broker(self) -> BrokerAway:
        return BrokerAway(self._at(), self._rng.choice(self._stations), self._span(1, 7_200))

    def _press(self) -> Press:
        return Press(
            self._at(),
            self._rng.choice(self._stations),
            hold_ms=self._rng.choice((80, 300, 900, 2_000, 3_500)),
            count=self._rng.choice((1, 2, 2, 3)),
            gap_ms=self._span(0.2, 8),
        )

    def _stop(self) -> Stop:
        return Stop(self._at(), self._rng.choice(self._stations), self._span(1, 120))

    def _rotate(self) -> Rotate:
        station = self._rng.choice(self._stations)
        fars = [s for s in self._stations if s != station and self._are_joined(s, station)]
        return Rotate(
            self._at(),
            station,
            self._rng.choice(fars),
            wait_ms=self._span(1, 6 * 3_600),
            for_ms=self._span(1, 20),
            seed=self._rng.getrandbits(32),
        )

    def _attack(self) -> Attack:
        link = self._link()
        return Attack(
            self._at(),
            LinkName(link.name),
            Station(self._rng.choice(link.ends)),
            count=self._rng.choice((1, 5, 50)),
            seed=(seed := self._rng.getrandbits(32)),
            hellos=seed % 3 == 0,
        )


def _place(rng: Random) -> Place:
    point = Point(rng.randrange(-9_000_000, 9_000_001), rng.randrange(-18_000_000, 18_000_000))
    return Place(
        (point,), radius_m=rng.choice((0, 500)), altitude=rng.choice((None, Altitude(0, 300)))
    )
