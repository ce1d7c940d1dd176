"""Two engines on a simulated line: what DESIGN sections 3, 5 and 6 promise, in virtual time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.core.effects import (
    AlarmCode,
    Effect,
    RejectCode,
    ShowHeard,
    ShowStatus,
    Status,
    Transmit,
)
from gateway.core.events import ClockStepped, NoticeDisplayed
from gateway.core.policy import Policy
from gateway.core.records import Topic
from gateway.model import AnswerCode, Kind, LinkName, Operation, Precedence, Station
from gateway.sim.world import Post, Witness, World
from tests.sim.scenes import MINUTE, SECOND, alarms, draft, line, reaches, send

RECEIPT = "MACHINE RECEIPT"


def test_a_notice_crosses_and_is_answered() -> None:
    """Submitted, receipted, shown, answered; both sides agree and nothing stays pending."""
    world = line()
    notice = send(world, draft())
    assert reaches(world, notice, RECEIPT, 2 * SECOND) < SECOND
    world.give(Station(2), NoticeDisplayed(notice))
    reaches(world, notice, "DISPLAYED", 2 * SECOND)
    world.answer(notice, AnswerCode.ROGER)
    reaches(world, notice, "ROGER", 2 * SECOND)
    assert world.state_of(notice, 2) == "ROGER"
    for post in world.posts.values():
        assert post.status is not None
        assert (post.status.pending_in_count, post.status.pending_out_count) == (0, 0)


def test_the_same_request_is_accepted_once() -> None:
    """A repeated request id confirms the first notice; with other content it is refused."""
    world = line()
    first = world.submit(draft(), request_id="r1")
    again = world.submit(draft(), request_id="r1")
    other = world.submit(draft("another"), request_id="r1")
    post = world.posts[Station(1)]
    assert post.confirmed[first] == post.confirmed[again]
    assert post.rejected[other].code is RejectCode.REQUEST_ID_REUSED


def test_a_request_needs_wilco_and_only_one_closing_answer() -> None:
    """ROGER keeps it open; WILCO closes; NEGATIVE after it is refused with what is accepted."""
    world = line()
    notice = send(world, draft(kind=Kind.REQUEST))
    reaches(world, notice, RECEIPT, 2 * SECOND)
    world.answer(notice, AnswerCode.ROGER)
    reaches(world, notice, "ROGER", 2 * SECOND)
    assert world.posts[Station(1)].status.pending_out_count == 1  # type: ignore[union-attr]
    world.answer(notice, AnswerCode.WILCO)
    reaches(world, notice, "WILCO", 2 * SECOND)
    refused = world.answer(notice, AnswerCode.NEGATIVE)
    rejection = world.posts[Station(2)].rejected[refused]
    assert rejection.code is RejectCode.CONFLICT
    assert "HAVCO" in rejection.remedy
    world.answer(notice, AnswerCode.HAVCO)
    reaches(world, notice, "HAVCO", 2 * SECOND)


@pytest.mark.parametrize("loss", [0.1, 0.3, 0.5])
def test_every_notice_arrives_once_at_any_loss(loss: float) -> None:
    """50 notices over a lossy cable: each receipted, each published once there."""
    world = line(3)
    world.paths[LinkName("cable")].loss = loss
    sent = []
    for _ in range(50):
        sent.append(send(world, draft("x" * 100)))
        world.run(4 * SECOND)
    for notice in sent:
        if world.state_of(notice) != RECEIPT:
            reaches(world, notice, RECEIPT, 5 * MINUTE)
    assert sorted(p.notice_id for p in world.published(2)) == sorted(sent)


def test_a_silent_cut_costs_less_than_a_second() -> None:
    """The cable in use dies silently: the next notice goes by the other one within 1.0 s more."""
    world = World(5)
    world.add_path("first")
    world.add_path("second")
    world.start()
    world.run(20 * SECOND)
    usual = reaches(world, send(world, draft()), RECEIPT, 5 * SECOND)
    world.paths[LinkName("first")].deaf.update((Station(1), Station(2)))
    after = reaches(world, send(world, draft()), RECEIPT, 5 * SECOND)
    assert after - usual <= 1_000
    world.run(30 * SECOND)
    world.paths[LinkName("first")].deaf.clear()
    world.run(2 * MINUTE)
    frames = world.paths[LinkName("first")].frames
    reaches(world, send(world, draft()), RECEIPT, 5 * SECOND)
    assert world.paths[LinkName("first")].frames > frames, "back to the primary after it healed"


def test_an_unplugged_link_hands_over_at_once() -> None:
    """The notice under way on it goes by the next link within 0.2 s more than usual."""
    world = line(radio=True)
    notice = send(world, draft())
    world.run(200)
    world.unplug("radio")
    assert reaches(world, notice, RECEIPT, 5 * SECOND) < SECOND


def test_radio_cut_in_the_middle_of_a_fragmented_notice_completes_by_cable() -> None:
    """900 octets of text: some fragments by radio, the rest after the cut by the cable."""
    world = line(radio=True)
    notice = send(world, draft("f" * 900))
    world.run(5 * SECOND)
    assert world.state_of(notice) == "SENT"
    before = world.paths[LinkName("cable")].octets
    world.paths[LinkName("radio")].deaf.update((Station(1), Station(2)))
    reaches(world, notice, RECEIPT, MINUTE)
    assert world.paths[LinkName("cable")].octets - before > 300
    assert len(world.published(2)) == 1


def test_flash_goes_on_every_link_and_before_what_waits() -> None:
    """20 long ROUTINE notices are queued on the radio; FLASH is there in a few seconds."""
    world = line(radio=True)
    routine = [send(world, draft("r" * 600, precedence=Precedence.ROUTINE)) for _ in range(20)]
    world.run(3 * SECOND)
    cable = world.paths[LinkName("cable")].frames
    flash = send(world, draft("danger", precedence=Precedence.FLASH))
    assert reaches(world, flash, RECEIPT, 10 * SECOND) < 2 * SECOND
    assert world.paths[LinkName("cable")].frames > cable
    for notice in routine:
        if world.state_of(notice) != RECEIPT:
            reaches(world, notice, RECEIPT, 60 * MINUTE)


def test_what_never_left_is_void_and_leaves_no_hole() -> None:
    """No link: CANCEL makes both serials VOID; when the link is back the far side holds all."""
    world = line()
    world.unplug("cable")
    notice = send(world, draft())
    cancel = send(world, draft("cancel it", kind=Kind.CANCEL, reference=notice))
    assert world.state_of(notice) == "CANCELLED"
    assert world.state_of(cancel) == "CANCELLED"
    world.plug("cable")
    later = send(world, draft("later"))
    reaches(world, later, RECEIPT, 30 * SECOND)
    world.run(30 * SECOND)
    assert [p.notice_id for p in world.published(2)] == [later]
    seen = world.posts[Station(2)].store.recovered().seen
    assert {act_id.serial for act_id, _ in seen} == {1, 2, 3}


@pytest.mark.parametrize("kind", [Kind.CANCEL, Kind.UPDATE])
def test_a_cancel_that_overtakes_its_notice_lights_nothing(kind: Kind) -> None:
    """A long ROUTINE notice under way is overtaken by the IMMEDIATE one that ends it."""
    world = line(radio=True, cable=False)
    notice = send(world, draft("long " * 180, precedence=Precedence.ROUTINE))
    world.run(3 * SECOND)
    ending = send(
        world, draft("ended", kind=kind, reference=notice, precedence=Precedence.IMMEDIATE)
    )
    reaches(world, ending, RECEIPT, MINUTE)
    assert world.state_of(notice, 2) == ""
    wanted = "CANCELLED" if kind is Kind.CANCEL else "SUPERSEDED"
    reaches(world, notice, wanted, 10 * MINUTE, at=2)
    pending = world.posts[Station(2)].status.pending_in  # type: ignore[union-attr]
    assert [p.notice_id for p in pending] == [ending]


def test_wilco_crossing_cancel_raises_the_alarm_on_both_sides() -> None:
    """Both are shown; the notice stays CANCELLED; the alarm ends with the ROGER to the CANCEL."""
    world = line()
    notice = send(world, draft(kind=Kind.REQUEST))
    reaches(world, notice, RECEIPT, 2 * SECOND)
    world.answer(notice, AnswerCode.WILCO)
    cancel = send(world, draft("cancel", kind=Kind.CANCEL, reference=notice))
    world.run(5 * SECOND)
    assert world.state_of(notice) == world.state_of(notice, 2) == "CANCELLED"
    assert AlarmCode.CROSSED in alarms(world, 1) & alarms(world, 2)
    world.answer(cancel, AnswerCode.ROGER)
    world.run(5 * SECOND)
    assert AlarmCode.CROSSED not in alarms(world, 1) | alarms(world, 2)


def test_an_unanswered_notice_is_reported_in_time_at_both_ends() -> None:
    """FLASH: OVERDUE after 5 min without an answer, EXPIRED after its life; alarm all the time."""
    world = line()
    notice = send(world, draft(precedence=Precedence.FLASH, lifetime_min=10))
    world.run(299 * SECOND)
    assert AlarmCode.OVERDUE not in alarms(world, 1)
    world.run(2 * SECOND)
    assert AlarmCode.OVERDUE in alarms(world, 1) & alarms(world, 2)
    world.run(6 * MINUTE)
    assert world.state_of(notice) == "EXPIRED, MACHINE RECEIPT"
    assert AlarmCode.OVERDUE in alarms(world, 1)
    world.answer(notice, AnswerCode.ROGER)
    reaches(world, notice, "ROGER", 2 * SECOND)
    assert AlarmCode.OVERDUE not in alarms(world, 1)


def test_a_test_notice_never_raises_the_alarm_of_an_operation() -> None:
    """Overdue shows on the notice, not on the alarm."""
    world = line()
    send(world, draft(precedence=Precedence.FLASH, operation=Operation.TEST))
    world.run(6 * MINUTE)
    status = world.posts[Station(1)].status
    assert status is not None
    assert status.pending_out[0].overdue
    assert AlarmCode.OVERDUE not in alarms(world, 1) | alarms(world, 2)


def test_a_receipt_overdue_widens_the_links() -> None:
    """FLASH aside, a notice whose receipt is overdue goes on every link."""
    world = line(radio=True)
    for path in world.paths.values():
        path.deaf.add(Station(2))
    notice = send(world, draft(precedence=Precedence.IMMEDIATE))
    world.run(301 * SECOND)
    assert AlarmCode.OVERDUE in alarms(world, 1)
    world.paths[LinkName("cable")].deaf.clear()
    reaches(world, notice, RECEIPT, 2 * MINUTE)


def test_expiry_needs_no_common_clock() -> None:
    """The far clock is a year ahead, then lost: a fresh notice is in time, an old one EXPIRED."""
    world = line()
    world.posts[Station(2)].skew_s = 365 * 86_400
    fresh = send(world, draft(lifetime_min=5))
    reaches(world, fresh, RECEIPT, 2 * SECOND)
    assert world.state_of(fresh, 2) == RECEIPT
    world.posts[Station(2)].skew_s = None
    world.paths[LinkName("cable")].deaf.update((Station(1), Station(2)))
    old = send(world, draft(lifetime_min=5))
    world.run(6 * MINUTE)
    assert world.state_of(old) == "EXPIRED"
    world.paths[LinkName("cable")].deaf.clear()
    reaches(world, old, "EXPIRED, MACHINE RECEIPT", 2 * MINUTE)
    assert world.state_of(old, 2) == "EXPIRED, MACHINE RECEIPT"


def test_an_age_that_is_not_known_is_shown_as_late() -> None:
    """After a reboot without a clock the act goes with AGE UNKNOWN and never counts as in time."""
    world = line()
    world.unplug("cable")
    world.posts[Station(1)].skew_s = None
    notice = send(world, draft())
    world.crash(1)
    world.run(10 * MINUTE)
    world.plug("cable")
    world.start(1)
    reaches(world, notice, RECEIPT, 2 * MINUTE)
    row = world.posts[Station(2)].store.recovered()
    assert [d.late for d in row.deliveries] == [True]
    assert [a.age_known for a in row.acts if a.id == notice] == [False]


def test_a_trusted_clock_bounds_the_age_after_a_reboot() -> None:
    """With UTC on both ends of the power-off the age is known again, and so is expiry."""
    world = line()
    world.unplug("cable")
    notice = send(world, draft(lifetime_min=30))
    world.crash(1)
    world.run(40 * MINUTE)
    world.plug("cable")
    world.start(1)
    world.give(Station(1), ClockStepped(0))
    world.run(MINUTE)
    assert world.state_of(notice).startswith("EXPIRED")


def test_a_kill_at_any_moment_loses_and_doubles_nothing() -> None:
    """Either side is killed 60 times while 30 notices cross and are answered."""
    world = line(11)
    sent = []
    for index in range(30):
        sent.append(send(world, draft()))
        for station in (1, 2):
            world.run(world.rng.randrange(400))
            world.crash(station, keep_normal=bool(index % 2))
            world.run(world.rng.randrange(3_000))
            world.start(station)
        world.run(2 * SECOND)
    world.run(2 * MINUTE)
    for notice in sent:
        assert world.state_of(notice) == RECEIPT
        world.answer(notice, AnswerCode.ROGER)
    world.run(MINUTE)
    assert {world.state_of(notice) for notice in sent} == {"ROGER"}
    arrived = [p.notice_id for p in world.published(2)]
    assert sorted(arrived) == sorted(sent)


def test_a_full_disk_refuses_and_receipts_nothing_then_recovers() -> None:
    """STORE REFUSED: submissions refused with what to do, peer told BUSY, nothing lost after."""
    world = line()
    world.fill_disk(2)
    notice = send(world, draft())
    world.run(10 * SECOND)
    assert world.state_of(notice) == "SENT"
    assert AlarmCode.STORE_REFUSED in alarms(world, 2)
    refused = world.submit(draft(to=1), station=2)
    world.run(SECOND)
    assert world.posts[Station(2)].rejected[refused].code is RejectCode.STORE_REFUSED
    assert world.posts[Station(1)].status.peers[0].busy  # type: ignore[union-attr]
    world.free_disk(2)
    reaches(world, notice, RECEIPT, 2 * MINUTE)
    assert AlarmCode.STORE_REFUSED not in alarms(world, 2)


def test_a_dead_line_lights_the_alarm_and_goes_dark_again() -> None:
    """Silence of the far gateway and no link are told apart."""
    world = line()
    world.paths[LinkName("cable")].deaf.update((Station(1), Station(2)))
    world.run(15 * SECOND)
    status = world.posts[Station(1)].status
    assert status is not None
    assert status.links[0].state.value == "DOWN"
    assert AlarmCode.NO_LINK in alarms(world, 1)
    world.run(20 * SECOND)
    assert AlarmCode.FAR_GATEWAY_SILENT in alarms(world, 1)
    world.paths[LinkName("cable")].deaf.clear()
    world.run(70 * SECOND)
    assert not alarms(world, 1)


def test_three_stations_share_nothing_but_the_engine() -> None:
    """Station 1 serves two lines; each notice reaches its addressee only, with its own epoch."""
    world = World(9, stations=3)
    world.add_path("north", (1, 2))
    world.add_path("east", (1, 3))
    world.start()
    world.run(20 * SECOND)
    two = send(world, draft(to=2))
    three = send(world, draft(to=3))
    reaches(world, two, RECEIPT, 5 * SECOND)
    reaches(world, three, RECEIPT, 5 * SECOND)
    assert two.epoch != three.epoch
    assert [p.notice_id for p in world.published(2)] == [two]
    assert [p.notice_id for p in world.published(3)] == [three]


def test_states_are_published_in_order() -> None:
    """The feed of the originator tells QUEUED, SENT, receipt, ROGER with rising offsets."""
    world = line()
    notice = send(world, draft())
    reaches(world, notice, RECEIPT, 2 * SECOND)
    world.answer(notice, AnswerCode.ROGER)
    reaches(world, notice, "ROGER", 2 * SECOND)
    feed = world.published(1, Topic.STATE)
    assert [p.offset for p in feed] == sorted(p.offset for p in feed)
    states = [p.document.split('"state":')[1].split(",")[0].strip(' "}') for p in feed]
    assert states == ["QUEUED", "SENT", RECEIPT, "ROGER"]


def test_answers_that_overtake_the_drivers_report_count() -> None:
    """A link faster than its bit rate says: beats and receipts come before `FrameSent`."""
    world = World(4)
    path = world.add_path("cable", bit_rate=300)
    path.is_instant = True
    world.start()
    world.run(2 * MINUTE)
    for post in world.posts.values():
        assert post.status is not None
        assert post.status.links[0].state.value == "UP"
        assert (post.status.links[0].loss or 0) < 0.05
    reaches(world, send(world, draft()), RECEIPT, 5 * SECOND)


def test_a_change_of_what_is_over_is_refused_with_what_is_in_force() -> None:
    """CANCEL of a superseded notice names the UPDATE; of a cancelled one, that nothing is left."""
    world = line()
    notice = send(world, draft())
    reaches(world, notice, RECEIPT, 2 * SECOND)
    update = send(world, draft("five lorries", kind=Kind.UPDATE, reference=notice))
    refused = world.submit(draft("stop", kind=Kind.CANCEL, reference=notice))
    rejection = world.posts[Station(1)].rejected[refused]
    assert rejection.code is RejectCode.CONFLICT
    assert str(update) in rejection.remedy
    send(world, draft("stop", kind=Kind.CANCEL, reference=update))
    again = world.submit(draft("stop", kind=Kind.CANCEL, reference=update))
    assert world.posts[Station(1)].rejected[again].code is RejectCode.CONFLICT


def test_the_status_keeps_when_the_far_side_was_heard() -> None:
    """An age is counted when it is asked for: on a dead line it grows."""
    world = line()
    world.paths[LinkName("cable")].deaf.update((Station(1), Station(2)))
    cut_at = world.now_ms
    world.run(MINUTE)
    status = world.posts[Station(1)].status
    assert status is not None
    heard = status.peers[0].heard_at
    assert heard is not None
    assert cut_at - 10 * SECOND < heard <= cut_at + SECOND


class _Shown(Witness):
    """Counts what the stations show."""

    def __init__(self) -> None:
        self.statuses: list[Status] = []
        self.heard: list[ShowHeard] = []
        self.frame_count = 0

    def effect(self, post: Post, effect: Effect) -> None:
        if isinstance(effect, ShowStatus):
            self.statuses.append(effect.status)
        elif isinstance(effect, ShowHeard):
            assert post.status is not None
            # What lamps and topics show of a line is in the status that they have.
            told = replace(effect.peer, heard_at=None), [link.state for link in effect.links]
            [peer] = post.status.peers
            known = replace(peer, heard_at=None), [link.state for link in post.status.links]
            assert told == known
            self.heard.append(effect)
        elif isinstance(effect, Transmit):
            self.frame_count += 1


def test_a_quiet_line_shows_what_is_heard_and_no_new_status() -> None:
    """Beats of a line that works change figures only: no lamp, topic or stream is woken."""
    world = line(radio=True)
    world.run(MINUTE)
    shown = world.witness = _Shown()
    world.run(10 * MINUTE)
    assert shown.statuses == []
    assert len(shown.heard) > 2 * 10 * 60 / 10
    last = shown.heard[-1]
    assert last.peer.heard_at is not None
    assert world.now_ms - last.peer.heard_at < 10 * SECOND


def test_both_ends_of_a_quiet_cable_are_tested_by_three_frames_a_beat() -> None:
    """A beat, its reply with the other end's own beat, and the reply to that."""
    world = line()
    world.run(MINUTE)
    shown = world.witness = _Shown()
    world.run(10 * MINUTE)
    interval_s = Policy().beat_interval_serial_ms / 1000
    beat_count = 10 * 60 / interval_s
    assert 0.85 * 3 * beat_count < shown.frame_count < 1.1 * 3 * beat_count
    assert shown.statuses == []


@pytest.mark.parametrize("seed", range(1, 9))
def test_a_dead_cable_is_told_to_both_ends_within_15_s(seed: int) -> None:
    """Both directions are tested, whoever's beat it is that comes first."""
    world = line(seed)
    world.run(MINUTE + world.rng.randrange(0, 9 * SECOND))
    world.paths[LinkName("cable")].loss = 1.0
    world.run(15 * SECOND)
    for post in world.posts.values():
        assert post.status is not None
        assert post.status.links[0].state.value == "DOWN"
