"""Our watch: button, buzzer, lamps, alarms that people and queues cause, through whole engines."""

from __future__ import annotations

import pytest

from gateway.core.alarms import ALARM_COUNT_MAX
from gateway.core.effects import AlarmCode, RejectCode, Status
from gateway.core.events import (
    ButtonPressed,
    ButtonReleased,
    ClockStepped,
    LampsTold,
    NoticeDisplayed,
    NoticeTaken,
    QueueDown,
    QueueUp,
    Stopping,
    StoreHealed,
)
from gateway.core.policy import Policy
from gateway.model import ActId, AnswerCode, Kind, LinkName, Operation, Precedence, Station
from gateway.sim.world import OPERATOR, World
from tests.sim.by_hand import ByHand, id_of, settled
from tests.sim.scenes import MINUTE, SECOND, alarms, draft, line, reaches, send

RECEIPT = "MACHINE RECEIPT"
HERE = Station(2)


def status(world: World, station: int = 2) -> Status:
    shown = world.posts[Station(station)].status
    assert shown is not None
    return shown


def arrived(
    precedence: Precedence = Precedence.PRIORITY,
    operation: Operation = Operation.OPERATION,
    kind: Kind = Kind.NOTIFY,
    *,
    displayed: bool = True,
) -> tuple[ByHand, ActId]:
    """A notice that came to station 2 just now."""
    world = settled()
    notice = send(world, draft(precedence=precedence, operation=operation, kind=kind))
    reaches(world, notice, RECEIPT, 2 * SECOND)
    if displayed:
        world.give(HERE, NoticeDisplayed(notice))
    return world, notice


def press(world: World, held_ms: int = 300) -> None:
    world.give(HERE, ButtonPressed())
    world.run(held_ms)
    world.give(HERE, ButtonReleased())


def refusal(world: ByHand) -> str:
    """Why the last press said nothing, as the status and the log say it."""
    told = status(world).button_refusal
    fields = world.notes("button", 2)[-1].fields
    assert (fields["meaning"], fields["reason"]) == ("refused", told)
    return told


def test_a_first_press_silences_and_the_second_says_roger() -> None:
    """While the buzzer sounds a press only silences; the next one answers what the lamp showed."""
    world, notice = arrived()
    assert status(world).buzzer_until == pytest.approx(world.now_ms + 60_000, abs=1_000)
    world.run(3 * SECOND)
    press(world)
    assert status(world).buzzer_silenced
    assert world.state_of(notice, 2) == "DISPLAYED"
    press(world)
    assert world.state_of(notice, 2) == "ROGER"
    reaches(world, notice, "ROGER", 2 * SECOND)
    assert status(world).pending_in == ()
    press(world)
    assert status(world).button_refused_at is None


def test_the_buzzer_ends_by_itself_and_starts_anew_with_the_next_notice() -> None:
    """After a minute a press is no silencing any more; a new notice sounds again."""
    world, notice = arrived()
    world.run(61 * SECOND)
    press(world)
    assert world.state_of(notice, 2) == "ROGER"
    later = send(world, draft("later"))
    reaches(world, later, RECEIPT, 2 * SECOND)
    assert not status(world).buzzer_silenced
    press(world)
    assert status(world).buzzer_silenced


def test_flash_takes_two_presses() -> None:
    """The first asks for the second; nothing is answered between them."""
    world, notice = arrived(Precedence.FLASH)
    world.run(61 * SECOND)
    press(world)
    assert world.state_of(notice, 2) == "DISPLAYED"
    assert world.notes("button", 2)[-1].fields["meaning"] == "once more"
    world.run(2 * SECOND)
    press(world)
    assert world.state_of(notice, 2) == "ROGER"


def test_a_press_for_what_no_screen_showed_blinks() -> None:
    """Pending, but not DISPLAYED: refused, nothing sent, until it was read; the reason is told."""
    world, notice = arrived(displayed=False)
    world.run(61 * SECOND)
    press(world)
    assert status(world).button_refused_at == world.now_ms
    assert world.state_of(notice, 2) == RECEIPT
    assert refusal(world).startswith("no screen has shown the notice yet; read it")
    world.give(HERE, NoticeDisplayed(notice))
    press(world)
    assert world.state_of(notice, 2) == "ROGER"
    assert status(world).button_refusal == ""


@pytest.mark.parametrize(
    ("wait_ms", "held_ms", "reason"),
    [
        (61 * SECOND, 1_500, "held too long for a ROGER"),
        (SECOND, 300, "the lamp had shown the notice for less than two seconds"),
    ],
)
def test_a_refused_press_says_why(wait_ms: int, held_ms: int, reason: str) -> None:
    """Too long, or too soon after the lamp went over to this notice: the next press is good."""
    world, _ = arrived()
    world.run(61 * SECOND)
    press(world)
    after = send(world, draft("the next one"))
    reaches(world, after, RECEIPT, 2 * SECOND)
    world.give(HERE, NoticeDisplayed(after))
    press(world)
    world.run(wait_ms)
    press(world, held_ms)
    assert refusal(world).startswith(reason)
    world.run(2 * SECOND)
    press(world)
    assert world.state_of(after, 2) == "ROGER"


def test_a_press_answers_no_notice_that_took_the_lamp_just_now() -> None:
    """A graver one takes the lamp from one that had it long: the finger may have meant that one."""
    world, before = arrived()
    world.run(61 * SECOND)
    graver = send(world, draft("graver", precedence=Precedence.IMMEDIATE))
    reaches(world, graver, RECEIPT, 2 * SECOND)
    world.give(HERE, NoticeDisplayed(graver))
    press(world)  # silences
    press(world)
    assert refusal(world).startswith("the lamp had shown the notice for less than two seconds")
    assert [world.state_of(one, 2) for one in (before, graver)] == ["DISPLAYED"] * 2
    world.run(2 * SECOND)
    press(world)
    assert [world.state_of(one, 2) for one in (before, graver)] == ["DISPLAYED", "ROGER"]


def test_a_press_that_the_dialogue_refuses_says_why() -> None:
    """A REQUEST that has its ROGER still waits for an answer, which no button gives."""
    world, notice = arrived(kind=Kind.REQUEST)
    world.run(61 * SECOND)
    for _ in range(2):
        press(world)
    assert world.state_of(notice, 2) == "ROGER"
    assert refusal(world).startswith(f"ROGER does not fit {notice}, which is ROGER; accepted now:")


@pytest.mark.parametrize(
    ("operation", "kind"),
    [(Operation.EXERCISE, Kind.NOTIFY), (Operation.OPERATION, Kind.CHECK)],
)
def test_exercises_and_checks_are_not_for_the_button(operation: Operation, kind: Kind) -> None:
    """They sound no buzzer and a press means nothing, but they are listed as pending."""
    world, notice = arrived(operation=operation, kind=kind)
    assert status(world).buzzer_until is None
    world.run(3 * SECOND)
    press(world)
    assert world.state_of(notice, 2) == "DISPLAYED"
    assert [p.notice_id for p in status(world).pending_in] == [notice]
    assert status(world).pending_in[0].is_check is (kind is Kind.CHECK)


def test_the_buttons_notice_is_listed_first() -> None:
    """A FLASH exercise does not stand before the OPERATION that the lamp means."""
    world, notice = arrived()
    flash = send(world, draft(precedence=Precedence.FLASH, operation=Operation.EXERCISE))
    reaches(world, flash, RECEIPT, 2 * SECOND)
    assert [p.notice_id for p in status(world).pending_in] == [notice, flash]


def test_holding_the_button_tests_the_lamps() -> None:
    """3 s down: lamps on for 3 s; its release answers nothing."""
    world, notice = arrived()
    world.run(61 * SECOND)
    begin = world.now_ms
    press(world, 4 * SECOND)
    assert status(world).lamp_test_until == begin + 6 * SECOND
    world.run(3 * SECOND)
    assert status(world).lamp_test_until is None
    assert world.state_of(notice, 2) == "DISPLAYED"


def test_a_press_that_ended_before_is_no_lamp_test() -> None:
    """The hold timer does not outlive the release."""
    world, _ = arrived()
    world.run(61 * SECOND)
    press(world, 900)
    world.run(5 * SECOND)
    assert status(world).lamp_test_until is None


def test_a_press_in_store_refused_says_so() -> None:
    """Nothing can be kept, so nothing is answered: the blink, and still pending."""
    world, notice = arrived()
    world.run(61 * SECOND)
    world.fill_disk(2)
    press(world)
    world.run(SECOND)
    press(world)
    assert status(world).button_refused_at == world.now_ms
    world.free_disk(2)
    world.run(10 * SECOND)
    assert world.state_of(notice, 2) == "DISPLAYED"


def test_displayed_and_taken_count_once_and_for_what_came_in_only() -> None:
    """Repeats, own notices and unknown ids change nothing; nothing is written in STORE REFUSED."""
    world, notice = arrived(displayed=False)
    own = send(world, draft(to=1), station=2)
    reaches(world, own, RECEIPT, 2 * SECOND)
    unknown = id_of(1, 9, 9)
    state = world.state(2)
    state.is_refused = True
    for event in (NoticeDisplayed(notice), NoticeTaken(notice, OPERATOR)):
        world.give(HERE, event)
    state.is_refused = False
    assert world.state_of(notice, 2) == RECEIPT
    for _ in range(2):
        for act_id in (notice, own, unknown):
            world.give(HERE, NoticeDisplayed(act_id))
            world.give(HERE, NoticeTaken(act_id, OPERATOR))
    rows = {d.notice_id: d for d in world.posts[HERE].store.recovered().deliveries}
    assert (rows[notice].displayed, rows[notice].taken) == (True, True)
    assert (rows[own].displayed, rows[own].taken) == (False, False)
    assert len(world.notes("notice_taken", 2)) == 1


def test_displayed_after_the_answer_is_kept_without_a_change_of_state() -> None:
    """ROGER says more than DISPLAYED; a restart still knows that it was shown."""
    world, notice = arrived(displayed=False)
    world.answer(notice, AnswerCode.ROGER)
    world.give(HERE, NoticeDisplayed(notice))
    assert world.state_of(notice, 2) == "ROGER"
    assert world.posts[HERE].store.recovered().deliveries[0].displayed


def test_displayed_is_told_when_no_link_has_a_device_later_or_never() -> None:
    """Best effort: without a device nothing is owed, and nothing breaks."""
    world, notice = arrived(displayed=False)
    world.unplug("cable")
    world.give(HERE, NoticeDisplayed(notice))
    world.plug("cable")
    world.run(10 * SECOND)
    assert world.state_of(notice, 2) == "DISPLAYED"
    assert world.state_of(notice) == RECEIPT


def test_a_broker_that_is_away_lights_the_alarm_until_it_is_back() -> None:
    """Each queue by its own name; nothing is lost meanwhile."""
    world = settled()
    for queue in ("mqtt", "amqp"):
        world.give(Station(1), QueueDown(queue, "refused"))
    assert [a.code for a in status(world, 1).alarms] == [AlarmCode.QUEUE_DOWN] * 2
    world.give(Station(1), QueueUp("mqtt"))
    (alarm,) = status(world, 1).alarms
    assert "amqp" in alarm.text
    world.give(Station(1), QueueUp("amqp"))
    assert status(world, 1).alarms == ()


def test_lamps_that_fail_light_the_alarm_until_they_work() -> None:
    """For those who look at the API or a queue: the lamp itself is dark."""
    world = settled()
    world.give(Station(1), LampsTold("GPIO busy"))
    (alarm,) = status(world, 1).alarms
    assert (alarm.code, alarm.part) == (AlarmCode.DEVICE, "lamps")
    assert "GPIO busy" in alarm.text
    world.give(Station(1), LampsTold(""))
    assert status(world, 1).alarms == ()


def test_stopping_accepts_nothing_more() -> None:
    """Refused with what to do; the lamps know; one entry in the log book, none when refused."""
    world = settled()
    for refused in (False, True):
        world.state().is_refused = refused
        before = len(world.posts[Station(1)].store._live.log)
        world.give(Station(1), Stopping("SIGTERM"))
        after = len(world.posts[Station(1)].store._live.log)
        assert after - before == (0 if refused else 1)
    assert status(world, 1).stopping
    token = world.submit(draft())
    assert world.posts[Station(1)].rejected[token].code is RejectCode.STOPPING
    answer = world.answer(id_of(2, 1, 1), AnswerCode.ROGER, station=1)
    assert world.posts[Station(1)].rejected[answer].code is RejectCode.STOPPING


def test_the_alarm_of_a_notice_that_ended_unanswered_goes_dark_after_12_hours() -> None:
    """OVERDUE, then EXPIRED: lit until the watch has surely changed."""
    world = settled(policy=Policy(ended_alarm_ms=30 * MINUTE))
    world.paths[LinkName("cable")].deaf.update((Station(1), Station(2)))
    send(world, draft(precedence=Precedence.FLASH, lifetime_min=2))
    world.run(2 * MINUTE)
    assert AlarmCode.OVERDUE in alarms(world, 1)
    world.run(30 * MINUTE - SECOND)
    assert AlarmCode.OVERDUE in alarms(world, 1)
    world.run(2 * SECOND)
    assert AlarmCode.OVERDUE not in alarms(world, 1)
    assert Policy().ended_alarm_ms == 12 * 60 * MINUTE


def test_a_reply_by_of_the_originator_is_a_limit() -> None:
    """Receipted at once, no answer within its own 1 min: OVERDUE at both ends."""
    from dataclasses import replace

    world = settled()
    notice = send(world, replace(draft(precedence=Precedence.ROUTINE), reply_by_min=1))
    reaches(world, notice, RECEIPT, 2 * SECOND)
    world.run(58 * SECOND)
    assert not alarms(world, 1) | alarms(world, 2)
    world.run(3 * SECOND)
    assert AlarmCode.OVERDUE in alarms(world, 1) & alarms(world, 2)
    for station in (1, 2):
        world.crash(station)
        world.start(station)
    assert AlarmCode.OVERDUE in alarms(world, 1) & alarms(world, 2), "a restart forgets no alarm"


def test_a_limit_that_binds_no_more_passes_on_to_the_next() -> None:
    """A FLASH receipted in time: nothing at 60 s, OVERDUE at 300 s, EXPIRED at 10 min."""
    world = settled()
    notice = send(world, draft(precedence=Precedence.FLASH, lifetime_min=10))
    reaches(world, notice, RECEIPT, 2 * SECOND)
    world.run(296 * SECOND)
    assert AlarmCode.OVERDUE not in alarms(world, 1) | alarms(world, 2)
    world.run(4 * SECOND)
    assert AlarmCode.OVERDUE in alarms(world, 1) & alarms(world, 2)
    assert world.state_of(notice) == RECEIPT
    world.run(5 * MINUTE)
    assert world.state_of(notice) == "EXPIRED, MACHINE RECEIPT"


def test_what_expired_while_the_gateway_was_off_is_not_overdue_first() -> None:
    """Both limits of a FLASH passed: it is told EXPIRED, and lights no alarm."""
    world = settled()
    world.unplug("cable")
    notice = send(world, draft(precedence=Precedence.FLASH, lifetime_min=2))
    world.crash(1, reboot=False)
    world.run(5 * MINUTE)
    world.start(1)
    world.run(SECOND)
    assert world.state_of(notice) == "EXPIRED"
    assert AlarmCode.OVERDUE not in alarms(world, 1)


def test_alarms_are_bounded_and_the_oldest_overdue_makes_room() -> None:
    """64 are listed; another one pushes out an OVERDUE; without any it is not listed."""
    world = settled()
    watch = world.state().watch
    for serial in range(1, ALARM_COUNT_MAX + 1):
        watch.raise_alarm(AlarmCode.OVERDUE, "x", notice_id=id_of(1, 1, serial))
    assert watch.raise_alarm(AlarmCode.ROLLBACK, "y", station=HERE)
    assert not watch.raise_alarm(AlarmCode.ROLLBACK, "y", station=HERE)
    world.give(Station(1), ClockStepped(0))
    listed = status(world, 1).alarms
    assert len(listed) == ALARM_COUNT_MAX
    assert id_of(1, 1, 1) not in {alarm.notice_id for alarm in listed}
    for number in range(ALARM_COUNT_MAX):
        watch.raise_alarm(AlarmCode.QUEUE_DOWN, "z", part=str(number))
    assert not watch.raise_alarm(AlarmCode.QUEUE_DOWN, "z", part="one more")
    world.give(Station(1), ClockStepped(0))
    assert {alarm.code for alarm in status(world, 1).alarms} == {
        AlarmCode.ROLLBACK,
        AlarmCode.QUEUE_DOWN,
    }


def test_pending_lists_are_bounded_and_counted_in_full() -> None:
    """40 wait: 32 are listed, most urgent first."""
    world = settled()
    for _ in range(40):
        send(world, draft(precedence=Precedence.ROUTINE))
    flash = send(world, draft(precedence=Precedence.FLASH))
    world.run(10 * SECOND)
    for shown in (
        (status(world, 1).pending_out, status(world, 1).pending_out_count),
        (status(world).pending_in, status(world).pending_in_count),
    ):
        assert (len(shown[0]), shown[1]) == (32, 41)
        assert shown[0][0].notice_id == flash


def test_a_store_that_heals_twice_heals_once() -> None:
    """A second report changes and writes nothing."""
    world = settled()
    before = len(world.posts[Station(1)].store._live.log)
    world.give(Station(1), StoreHealed())
    assert len(world.posts[Station(1)].store._live.log) == before


def there(world: World) -> tuple[int, int]:
    """How many of our notices are open, and how many of them wait for a person there."""
    (peer,) = status(world, 1).peers
    return peer.open_count, peer.there_count


def test_only_what_the_far_gateway_has_waits_for_a_person_there() -> None:
    """A receipt begins it and an answer ends it; a start counts again what the store has."""
    world = line()
    world.unplug("cable")
    notices = [send(world, draft(f"number {number}")) for number in range(3)]
    assert there(world) == (3, 0)
    world.plug("cable")
    for notice in notices:
        reaches(world, notice, RECEIPT, MINUTE)
    assert there(world) == (3, 3)
    world.answer(notices[0], AnswerCode.ROGER, station=2)
    reaches(world, notices[0], "ROGER", MINUTE)
    assert there(world) == (2, 2)
    world.unplug("cable")
    send(world, draft("one more"))
    assert there(world) == (3, 2)
    world.crash(1)
    world.start(1)
    assert there(world) == (3, 2)
