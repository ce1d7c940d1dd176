"""The airtime governor on a line: HELD with a forecast, the reserve, the next link, a restart."""

from __future__ import annotations

import dataclasses
import re

from gateway.core.events import Refusal
from gateway.core.governor import HOUR_MS, Governor
from gateway.model import ActId, Instant, LinkName, Precedence, Station
from gateway.sim.world import World
from tests.sim.scenes import MINUTE, SECOND, draft, reaches, send
from tests.sim.test_engine_restart import restart

RADIO = LinkName("radio")
RECEIPT = "MACHINE RECEIPT"


def spent_line(*, cable: bool = False) -> World:
    """A LongFast radio with 1 % duty cycle, of which ROUTINE traffic has used its part."""
    world = World(3)
    path = world.add_path("radio", bit_rate=None)
    path.traits = dataclasses.replace(path.traits, duty_share=0.01)
    world.start()
    world.run(30 * SECOND)
    while True:
        notice = send(world, draft(precedence=Precedence.ROUTINE))
        world.run(20 * SECOND)
        if world.state_of(notice) == "HELD":
            break
    if cable:
        world.add_path("cable")
    return world


def test_what_does_not_fit_is_held_and_goes_when_it_said() -> None:
    """HELD names the time; within the hour it is there; FLASH uses the reserve meanwhile."""
    world = spent_line()
    held = send(world, draft(precedence=Precedence.ROUTINE))
    flash = send(world, draft(precedence=Precedence.FLASH))
    reaches(world, flash, RECEIPT, 30 * SECOND)
    assert world.state_of(held) in ("HELD", "QUEUED")
    text = [o for o in world.posts[1].observed if o.fields.get("state") == "HELD"]  # type: ignore[index]
    assert "goes in" in str(text[-1].fields["evidence"])
    reaches(world, held, RECEIPT, 2 * HOUR_MS)


def test_the_forecast_of_a_held_notice_is_true() -> None:
    """It leaves at the time that HELD names, or within a minute after."""
    world = spent_line()
    told = [o for o in world.posts[1].observed if o.fields.get("state") == "HELD"]  # type: ignore[index]
    words = re.search(r"goes in (\d+) s", str(told[-1].fields["evidence"]))
    assert words is not None
    held = ActId.parse(str(told[-1].fields["notice_id"]))
    forecast_ms = int(words[1]) * SECOND
    # `spent_line` ran on for up to 20 s after it was told.
    world.run(forecast_ms - 21 * SECOND)
    assert world.state_of(held) == "HELD"
    world.run(21 * SECOND + MINUTE)
    assert world.state_of(held) not in ("HELD", "QUEUED")


def test_no_rolling_hour_exceeds_the_duty_cycle() -> None:
    """Six hours of more traffic than fits: what each radio sends stays within 36 s an hour."""
    world = World(5)
    path = world.add_path("radio", bit_rate=None)
    path.traits = dataclasses.replace(path.traits, duty_share=0.01)
    sent: dict[int, list[tuple[int, float]]] = {1: [], 2: []}
    transmit = world._transmit

    def tap(post: object, frame: object) -> None:
        airtime = path.traits.airtime.of(len(frame.octets))  # type: ignore[attr-defined]
        sent[post.station].append((world.now_ms, airtime))  # type: ignore[attr-defined]
        transmit(post, frame)  # type: ignore[arg-type]

    world._transmit = tap  # type: ignore[method-assign]
    world.start()
    world.run(30 * SECOND)
    for _ in range(6 * 60):
        world.submit(draft(precedence=Precedence.ROUTINE))
        world.run(MINUTE)
    for frames in sent.values():
        for end, _ in frames:
            spent = sum(ms for at, ms in frames if end - HOUR_MS < at <= end)
            assert spent <= 0.01 * HOUR_MS + 4_000, "beats and receipts may use what is left"


def test_receipts_hellos_and_beats_alone_never_make_the_radio_refuse() -> None:
    """Cut off, then flooded from the far side: the radio that counts too refuses no frame for its
    duty cycle, and FLASH of the station that receipts all of it still gets through.
    """
    world = World(11)
    path = world.add_path("radio", bit_rate=None)
    path.traits = dataclasses.replace(path.traits, duty_share=0.01)
    path.duty_ms = HOUR_MS // 100
    path.loss = 1.0
    world.start()
    world.run(HOUR_MS)
    path.loss = 0.0
    world.run(10 * MINUTE)
    for _ in range(2 * 60):
        world.submit(draft(precedence=Precedence.ROUTINE))
        world.run(MINUTE)
    flash = send(world, draft(to=1, precedence=Precedence.FLASH), station=2)
    reaches(world, flash, RECEIPT, 5 * MINUTE, at=2)
    refused = [
        note.fields["reason"]
        for post in world.posts.values()
        for note in post.observed
        if note.event == "frame_refused"
    ]
    assert Refusal.DUTY_CYCLE.value not in refused


def test_the_next_link_takes_what_the_radio_may_not_send() -> None:
    """With a cable beside it a spent radio holds nothing up."""
    world = World(7)
    path = world.add_path("radio", bit_rate=None)
    path.traits = dataclasses.replace(path.traits, duty_share=0.0001)
    world.add_path("cable")
    world.start()
    world.run(30 * SECOND)
    for _ in range(5):
        notice = send(world, draft(precedence=Precedence.ROUTINE))
        reaches(world, notice, RECEIPT, 10 * SECOND)


def test_spent_airtime_survives_a_restart() -> None:
    """A kill does not give the budget back, also if the radio forgot what it sent."""
    world = spent_line()
    world.crash(1)
    world.paths[RADIO].spent.clear()
    world.run(5 * SECOND)
    world.start(1)
    world.run(30 * SECOND)
    notice = send(world, draft(precedence=Precedence.ROUTINE))
    world.run(MINUTE)
    assert world.state_of(notice) in ("HELD", "QUEUED")


def test_what_a_radio_acked_while_its_gateway_was_off_counts() -> None:
    """The far side asks for acks until somebody answers; a radio gives them on its own account."""
    world = radio_line(0.1)
    send(world, draft(precedence=Precedence.FLASH))
    world.run(30 * MINUTE)
    acked_ms = world.paths[RADIO].spent_ms(Station(2), world.now_ms)
    assert acked_ms > 2_000
    world.start(2)
    world.run(SECOND)
    assert governor(world, 2).spent_ms(Instant(world.now_ms)) >= acked_ms


def radio_line(duty_share: float, *, seed: int = 11) -> World:
    """Two stations with a LongFast radio; only the first runs yet."""
    world = World(seed)
    path = world.add_path("radio", bit_rate=None)
    path.traits = dataclasses.replace(path.traits, duty_share=duty_share)
    world.start(1)
    return world


def governor(world: World, station: int = 1) -> Governor:
    engine = world.posts[Station(station)].engine
    assert engine is not None
    return engine._state.lines[Station(3 - station)].lanes[RADIO].governor


def test_beats_count_after_a_restart_as_well() -> None:
    """50 quiet minutes of beats, then a kill: what the radio has spent is not forgotten."""
    for share, reboot in ((0.1, False), (0.1, True), (0.01, False)):
        world = radio_line(share)
        world.start(2)
        world.run(50 * MINUTE)
        spent = world.paths[RADIO].spent_ms(Station(1), world.now_ms)
        assert spent > 8_000
        for _ in range(3):
            world.crash(1, reboot=reboot)
            world.start(1)
            now = Instant(world.now_ms - world.posts[Station(1)].boot_at_ms)
            assert spent <= governor(world).spent_ms(now) < 3 * spent + 25_000


def test_airtime_that_the_medium_changed_counts_as_spent() -> None:
    """Two minutes of some link are lost: each link may have been on air all that time."""
    world = radio_line(0.1)
    world.start(2)
    world.run(5 * MINUTE)
    for station in (1, 2):
        restart(world, station, airtime=(), airtime_lost_count=2 if station == 1 else 0)
    spent_ms = [
        governor(world, station).spent_ms(
            Instant(world.now_ms - world.posts[Station(station)].boot_at_ms)
        )
        for station in (1, 2)
    ]
    assert spent_ms[0] == spent_ms[1] + 2 * MINUTE


def test_a_hello_may_use_the_reserve_where_a_flash_waits_for_it() -> None:
    """Two restarted ends whose hour is all but spent: else each sends its FLASH for ever, since no
    receipt counts before hellos went both ways.
    """
    for waits in (True, False):
        world = radio_line(0.01)
        world.run(10 * SECOND)
        if waits:
            send(world, draft(precedence=Precedence.FLASH, lifetime_min=300))
        now = Instant(world.now_ms)
        governor(world).spend(now, 0.93 * 36_000 - governor(world).spent_ms(now))
        line = world.posts[Station(1)].engine._state.lines[Station(2)]  # type: ignore[union-attr]
        lane = line.lanes[RADIO]
        lane.hello_due = True
        due = line._composer._upkeep_at(lane, world.paths[RADIO].traits, now)
        assert (due == now) is waits


def test_an_expired_flash_that_is_held_does_not_stand_before_a_new_one() -> None:
    """Only the reserve has room: the first FLASH is no longer urgent, the second one goes
    (seed clockless 1).
    """
    world = radio_line(0.1)
    old = send(world, draft(precedence=Precedence.FLASH, lifetime_min=10))
    reaches(world, old, "SENT", MINUTE)
    start = world.now_ms
    governor(world).spend(Instant(world.now_ms), 50_000)
    world.run(5 * MINUTE)
    now = Instant(world.now_ms)
    governor(world).spend(now, 360_000 - governor(world).spent_ms(now))
    reaches(world, old, "EXPIRED", 6 * MINUTE)
    new = send(world, draft(precedence=Precedence.FLASH, lifetime_min=300))
    took_ms = reaches(world, new, "SENT", 2 * HOUR_MS)
    assert took_ms < start + 63 * MINUTE - now


def test_what_waits_in_a_radio_without_airtime_goes_by_the_cable_that_comes() -> None:
    """Three at once, of which the first spends what was left; the others are with the radio then,
    and would wait there for most of an hour (simulated seed 82).
    """
    world = World(3)
    path = world.add_path("radio", bit_rate=None)
    path.traits = dataclasses.replace(path.traits, duty_share=0.01)
    world.add_path("cable")
    world.start()
    world.unplug("cable")
    world.run(30 * SECOND)
    waiting: list[ActId] = []
    while not waiting:
        notices = [send(world, draft(precedence=Precedence.ROUTINE)) for _ in range(3)]
        world.run(20 * SECOND)
        waiting = [notice for notice in notices if world.state_of(notice) == "QUEUED"]
    lane = world.posts[Station(1)].engine._state.lines[Station(2)].lanes[RADIO]  # type: ignore[union-attr]
    assert lane.acts.keys() >= set(waiting)
    world.plug("cable")
    for notice in waiting:
        reaches(world, notice, RECEIPT, 10 * SECOND)
