"""Small scenes around mistakes that this engine made once; each names what went wrong."""

from __future__ import annotations

from dataclasses import replace

from gateway.core.effects import AlarmCode, RejectCode
from gateway.core.events import (
    ButtonPressed,
    ButtonReleased,
    FrameReceived,
    FrameSent,
    NoticeDisplayed,
    Refusal,
)
from gateway.model import (
    ActId,
    Answer,
    AnswerCode,
    Kind,
    LinkName,
    LinkState,
    Notice,
    Operation,
    Precedence,
    Station,
    Text,
    TimeQuality,
)
from gateway.store.memory import MemoryStore
from gateway.wire.frame import parse_frame
from gateway.wire.items import DisplayedItem, ReceiptItem, SelectiveReceiptItem, decode_items
from tests.sim.by_hand import ByHand, id_of, settled
from tests.sim.scenes import MINUTE, SECOND, alarms, draft, reaches, send

RECEIPT = "MACHINE RECEIPT"
CABLE = LinkName("cable")


def answer_to(notice: ActId, code: AnswerCode, act_id: ActId) -> Answer:
    return Answer(
        id=act_id,
        to=notice.originator,
        precedence=Precedence.ROUTINE,
        operation=Operation.OPERATION,
        created=None,
        time_quality=TimeQuality.NONE,
        reference=notice,
        code=code,
    )


def test_no_fragment_of_a_cancelled_notice_goes_out_as_part_of_its_void() -> None:
    """The queued fragments of what never left went on under the VOID's id, and ended the engine."""
    world = settled(radio=True, cable=False)
    world.hold("radio")
    first = send(world, draft())
    long = send(world, draft("f" * 900))
    send(world, draft("cancel", kind=Kind.CANCEL, reference=long))
    frame = world.next_frame("radio")
    world.release("radio")
    world.sent(frame)
    world.heard(frame)
    reaches(world, first, RECEIPT, MINUTE)
    world.run(MINUTE)
    assert len(world.state(2).ledger.records) == 1
    assert world.line().outgoing.unreceipted() == []


def test_a_void_is_repeated_until_it_is_receipted() -> None:
    """A part queued twice was counted down below zero; then nothing was sent again on that link."""
    world = settled()
    world.hold("cable")
    send(world, draft())
    waits = send(world, draft("waits"))
    send(world, draft("cancel", kind=Kind.CANCEL, reference=waits))
    for _ in range(6):  # All that leaves is lost.
        while world.frames:
            world.sent(world.next_frame("cable"))
        world.run(SECOND)
    world.release("cable")
    while world.frames:
        world.sent(world.next_frame("cable"))
    world.run(30 * SECOND)
    assert world.line().outgoing.unreceipted() == []


def test_a_refused_beat_does_not_end_the_tests_of_its_link() -> None:
    """The reply to a beat that never left was awaited for ever, so no beat went any more."""
    world = settled()
    world.hold("cable")
    lane = world.line().lanes[CABLE]
    while lane.busy is None or lane.busy.beat is None:
        while world.frames:
            world.sent(world.next_frame("cable"))
        world.run_until(lambda: bool(world.frames), MINUTE)
    world.refused(world.next_frame("cable"), Refusal.QUEUE_FULL)
    world.release("cable")
    world.paths[CABLE].deaf.update((Station(1), Station(2)))
    world.run(MINUTE)
    status = world.posts[Station(1)].status
    assert status is not None
    assert status.links[0].state.value == "DOWN"


def test_a_rest_asked_for_while_a_frame_leaves_ends_in_time() -> None:
    """The verdict on one frame came while the next was with the driver: its rest had no timer."""
    world = settled(radio=True, cable=False)
    world.hold("radio")
    world.line().lanes[LinkName("radio")].health.state = LinkState.PROBING
    send(world, draft("first"))
    send(world, draft("second"))
    first = world.next_frame("radio")
    world.sent(first)
    second = world.next_frame("radio")
    world.refused(first, Refusal.NO_KEY)
    world.run(SECOND)
    world.sent(second)
    assert world.frames == []
    begin = world.now_ms
    world.run_until(lambda: bool(world.frames), 40 * SECOND)
    assert 28 * SECOND <= world.now_ms - begin <= 30 * SECOND
    assert not world.notes("driver_silent")


def test_limits_that_passed_while_the_disk_was_full_are_applied_after() -> None:
    """Overdue and expiry were dropped in STORE REFUSED, for ever."""
    world = settled()
    world.paths[CABLE].deaf.update((Station(1), Station(2)))
    ends = send(world, draft(precedence=Precedence.FLASH, lifetime_min=10))
    late = send(world, draft(precedence=Precedence.FLASH))
    world.fill_disk(1)
    world.submit(draft())
    world.run(20 * MINUTE)
    assert world.state_of(ends) in ("QUEUED", "SENT")
    world.free_disk(1)
    world.run(SECOND)
    assert world.state_of(ends) == "EXPIRED"
    record = world.state().ledger.get(late)
    assert record is not None
    assert record.overdue
    assert AlarmCode.OVERDUE in alarms(world, 1)


def test_notices_of_a_line_that_is_gone_harm_nothing() -> None:
    """A station was taken out of the configuration: showing or answering its notice ended us."""
    world = ByHand(stations=3)
    world.add_path("west", (1, 2))
    world.add_path("east", (1, 3))
    world.start()
    world.run(30 * SECOND)
    theirs = send(world, draft(to=1), station=3)
    own = send(world, draft(to=3))
    world.run(3 * SECOND)
    world.paths[LinkName("east")].deaf.add(Station(3))
    unreceipted = send(world, draft(to=3))
    world.crash(1)
    post = world.posts[Station(1)]
    lines = {station: line for station, line in post.keys.lines.items() if station != 3}
    post.keys = replace(post.keys, lines=lines)
    del world.paths[LinkName("east")]
    world.start(1)
    assert [note.fields["notice_id"] for note in world.notes("act_without_line")] == [
        str(unreceipted)
    ]
    world.give(Station(1), NoticeDisplayed(theirs))
    assert world.state_of(theirs, 1) == "DISPLAYED"
    answer = world.answer(theirs, AnswerCode.ROGER, station=1)
    assert post.rejected[answer].code is RejectCode.UNKNOWN_STATION
    cancel = world.submit(draft(kind=Kind.CANCEL, reference=own))
    assert post.rejected[cancel].code is RejectCode.INVALID
    assert "STATION 3" in post.rejected[cancel].problem


def test_no_station_answers_for_another() -> None:
    """Three stations: a well signed answer or DISPLAYED of the third changed the second's."""
    world = ByHand(stations=3)
    world.add_path("west", (1, 2))
    world.add_path("east", (1, 3))
    world.start()
    world.run(30 * SECOND)
    notice = send(world, draft(to=2))
    reaches(world, notice, RECEIPT, 3 * SECOND)
    world.say([DisplayedItem(notice.epoch, (1,))], sender=3, to=1, link="east")
    false = answer_to(notice, AnswerCode.ROGER, id_of(3, 7, 5))
    world.say([world.signed(false, sender=3, to=1)], sender=3, to=1, link="east")
    assert world.state_of(notice) == RECEIPT
    assert len(world.notes("answer_of_another")) == 1
    assert AlarmCode.ROLLBACK not in alarms(world, 1)
    world.answer(notice, AnswerCode.ROGER)
    reaches(world, notice, "ROGER", 3 * SECOND)


def test_a_press_that_says_nothing_blinks() -> None:
    """ROGER after STANDBY to a REQUEST is refused by the dialogue; the lamp said nothing."""
    world = settled()
    notice = send(world, draft(kind=Kind.REQUEST))
    reaches(world, notice, RECEIPT, 3 * SECOND)
    world.give(Station(2), NoticeDisplayed(notice))
    world.answer(notice, AnswerCode.STANDBY)
    world.run(70 * SECOND)
    world.give(Station(2), ButtonPressed())
    world.run(300)
    world.give(Station(2), ButtonReleased())
    status = world.posts[Station(2)].status
    assert status is not None
    assert status.button_refused_at == world.now_ms
    assert world.state_of(notice, 2) == "STANDBY"


def test_a_crossing_that_shows_after_the_cancel_was_answered_is_an_alarm_for_12_hours() -> None:
    """WILCO by a slow link, after the ROGER to the CANCEL: the alarm was cleared as it was lit."""
    world = settled()
    notice = send(world, draft(kind=Kind.REQUEST))
    reaches(world, notice, RECEIPT, 3 * SECOND)
    world.hold("cable", 2)
    world.answer(notice, AnswerCode.WILCO)
    wilco = world.next_frame("cable")
    cancel = send(world, draft("cancel", kind=Kind.CANCEL, reference=notice))
    world.run(2 * SECOND)
    told = world.line(2, 1).standing.epoch
    roger = answer_to(cancel, AnswerCode.ROGER, id_of(2, told, 2))
    world.say([world.signed(roger, sender=2, to=1)], sender=2, to=1)
    assert world.state_of(cancel) == "ROGER"
    assert AlarmCode.CROSSED not in alarms(world, 1)
    world.heard(wilco)
    assert AlarmCode.CROSSED in alarms(world, 1)
    world.run(11 * 60 * MINUTE)
    assert AlarmCode.CROSSED in alarms(world, 1)
    world.run(61 * MINUTE)
    assert AlarmCode.CROSSED not in alarms(world, 1)


def test_a_rebuilt_store_does_not_light_what_was_cancelled() -> None:
    """Acts from the log book, no deliveries: a cancelled notice came back as pending."""
    world = settled()
    notice = send(world, draft())
    update = send(world, draft("new", kind=Kind.UPDATE, reference=notice))
    other = send(world, draft("another"))
    world.run(3 * SECOND)
    send(world, draft("stop", kind=Kind.CANCEL, reference=other))
    world.run(3 * SECOND)
    for station in (1, 2):
        world.crash(station)
        store = world.posts[Station(station)].store
        rebuilt = replace(store.recovered(), deliveries=(), was_rebuilt=True)
        world.posts[Station(station)].store = Rebuilt(rebuilt)
        world.start(station)
        states = {
            record.notice.id: record.state
            for record in world.state(station).ledger.records.values()
        }
        assert states[notice].value == "SUPERSEDED"
        assert states[other].value == "CANCELLED"
        assert states[update].value == ("SENT" if station == 1 else RECEIPT)
        assert AlarmCode.STORE_REBUILT in alarms(world, station)


class Rebuilt(MemoryStore):
    """A store that begins with what was rescued from elsewhere."""

    def __init__(self, rescued: object) -> None:
        super().__init__()
        self.rescued = rescued

    def recovered(self) -> object:  # type: ignore[override]
        return self.rescued


def test_a_receipt_whose_bitmap_names_what_we_never_said_is_a_rollback() -> None:
    """Only the cumulative serial was compared with our highest one."""
    world = settled()
    notice = send(world, draft())
    reaches(world, notice, RECEIPT, 3 * SECOND)
    world.say([ReceiptItem(notice.epoch, 1, 0)], sender=2, to=1)
    assert AlarmCode.ROLLBACK not in alarms(world, 1)
    world.say([ReceiptItem(notice.epoch, 1, 0b1)], sender=2, to=1)
    assert AlarmCode.ROLLBACK in alarms(world, 1)


def test_receipts_that_find_no_room_go_with_the_next_frame() -> None:
    """200 serials owed at once, beyond the bitmap, on a radio: two thirds of them were dropped."""
    world = settled(radio=True, cable=False)
    world.hold("radio", 2)
    notice = Notice(
        id=id_of(1, 9, 500),
        to=Station(2),
        kind=Kind.NOTIFY,
        precedence=Precedence.ROUTINE,
        operation=Operation.TEST,
        created=None,
        time_quality=TimeQuality.NONE,
        lifetime_min=60,
        body=Text("x", "en"),
    )
    for serial in range(200, 400):
        world.say([world.signed(replace(notice, id=id_of(1, 9, serial)))], link="radio")
    receipted: set[int] = set()
    while world.frames:
        frame = world.next_frame("radio")
        header, _, _ = parse_frame(frame.octets)
        opened = world.line().session.open(header, frame.octets)
        for item in decode_items(opened.octets):
            if isinstance(item, SelectiveReceiptItem):
                receipted.update(item.serials)
        world.give(Station(2), FrameSent(frame.link, frame.transmission))
    assert receipted == set(range(200, 400))


def test_a_round_trip_that_ends_after_the_device_went_does_not_make_its_link_up() -> None:
    """The echo of a frame came by the event after LinkDown: UP without a device hid NO LINK."""
    world = settled()
    world.hold("cable", 2)
    notice = send(world, draft())
    world.run(SECOND)
    receipt = world.next_frame("cable")
    world.unplug("cable")
    assert AlarmCode.NO_LINK in alarms(world, 1)
    world.give(Station(1), FrameReceived(CABLE, receipt.octets))
    assert world.state_of(notice) == RECEIPT
    assert AlarmCode.NO_LINK in alarms(world, 1)
