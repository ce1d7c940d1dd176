"""What a radio says of a frame, and what the engine makes of it; drivers report by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.core.diagnosis import Place, diagnose
from gateway.core.draft import Draft
from gateway.core.effects import AlarmCode
from gateway.core.events import FrameAcknowledged, FrameSent, LinkDown, LinkTold, LinkUp, Refusal
from gateway.model import Instant, Kind, LinkName, LinkState, Now, Precedence, Station
from gateway.wire.items import BeatItem, FragmentReceiptItem, ReceiptItem
from tests.sim.by_hand import ByHand, settled
from tests.sim.scenes import MINUTE, SECOND, alarms, draft, reaches, send

RECEIPT = "MACHINE RECEIPT"
RADIO, CABLE = LinkName("radio"), LinkName("cable")
REST_MS = {
    Refusal.NO_ACK: 0,
    Refusal.RELAYED_ONLY: 0,
    Refusal.UNKNOWN: 0,
    Refusal.QUEUE_FULL: 3_000,
    Refusal.DUTY_CYCLE: 60_000,
    Refusal.TOO_LARGE: 60_000,
    Refusal.NO_KEY: 30_000,
    Refusal.NOT_READY: 10_000,
    Refusal.LINK_LOST: 1_000,
}


def unproven() -> ByHand:
    """A radio that has not proven itself: there its own acks and verdict are asked for."""
    world = settled(radio=True, cable=False)
    world.hold("radio")
    world.line().lanes[RADIO].health.state = LinkState.PROBING
    return world


def waits_for_frame(world: ByHand, limit_ms: int) -> int:
    return world.run_until(lambda: bool(world.frames), limit_ms)


@pytest.mark.parametrize("reason", list(Refusal))
def test_a_refused_frame_goes_again_after_the_rest_that_its_reason_asks_for(
    reason: Refusal,
) -> None:
    """Refused at once: the same act is the next frame, not before the rest is over."""
    world = settled(radio=True, cable=False)
    world.hold("radio")
    notice = send(world, draft())
    world.refused(world.next_frame("radio"), reason)
    waited = waits_for_frame(world, 61 * SECOND)
    assert waited == REST_MS[reason]
    again = world.next_frame("radio")
    world.release("radio")
    world.sent(again)
    world.heard(again)
    reaches(world, notice, RECEIPT, 10 * SECOND)
    assert len(world.published(2)) == 1


def test_the_radios_own_time_comes_before_ours() -> None:
    """DUTY_CYCLE with "again in 7 s": 7 s, not the minute that we would wait."""
    world = settled(radio=True, cable=False)
    world.hold("radio")
    send(world, draft())
    world.refused(world.next_frame("radio"), Refusal.DUTY_CYCLE, 7_000)
    assert waits_for_frame(world, MINUTE) == 7_000


def test_a_resting_radio_does_not_hold_up_a_notice() -> None:
    """The refusal is a loss signal: the cable has it at once."""
    world = settled(radio=True)
    world.hold("radio")
    notice = send(world, draft())
    world.refused(world.next_frame("radio"), Refusal.DUTY_CYCLE)
    assert reaches(world, notice, RECEIPT, 2 * SECOND) < SECOND


def test_flash_does_not_break_a_rest() -> None:
    """Not before the radio may send: what it refuses costs time, and the cable has FLASH anyway."""
    world = settled(radio=True, cable=False)
    world.hold("radio")
    send(world, draft())
    world.refused(world.next_frame("radio"), Refusal.DUTY_CYCLE, 5_000)
    world.run(SECOND)
    flash = send(world, draft("danger", precedence=Precedence.FLASH))
    assert world.frames == []
    world.run(4 * SECOND)
    world.heard(world.next_frame("radio"))
    assert [p.notice_id for p in world.published(2)] == [flash]


def test_an_implicit_ack_is_a_state_of_its_own_and_no_receipt() -> None:
    """RELAYED: some radio repeated it; the notice still goes on until the far gateway has it."""
    world = unproven()
    notice = send(world, draft())
    frame = world.next_frame("radio")
    world.sent(frame)
    world.relayed(frame)
    assert world.state_of(notice) == "RELAYED"
    world.refused(frame, Refusal.NO_ACK)
    again = world.next_frame("radio")
    world.release("radio")
    world.sent(again)
    assert world.state_of(notice) == "RELAYED"
    world.heard(again)
    reaches(world, notice, RECEIPT, 10 * SECOND)
    world.relayed(frame)
    world.relayed(again)
    assert world.state_of(notice) == RECEIPT


def test_a_relay_of_an_act_without_a_record_is_no_state() -> None:
    """Answers and VOIDs have none; in STORE REFUSED nothing is written."""
    world = unproven()
    notice = send(world, draft(kind=Kind.NOTIFY))
    frame = world.next_frame("radio")
    world.sent(frame)
    world.state().is_refused = True
    world.relayed(frame)
    world.state().is_refused = False
    assert world.state_of(notice) == "SENT"
    del world.state().ledger.records[notice]
    world.relayed(frame)
    assert world.state_of(notice) == "SENT"


def test_a_real_ack_starts_our_timer_and_its_absence_does_not() -> None:
    """One owner an attempt: nothing is sent again while the firmware may still retransmit."""
    world = unproven()
    send(world, draft())
    frame = world.next_frame("radio")
    world.sent(frame)
    world.run(40 * SECOND)
    assert world.frames == []
    world.acknowledged(frame)
    timer = world.line().lanes[RADIO].health.timer_ms(len(frame.octets))
    assert waits_for_frame(world, 20 * SECOND) <= timer
    world.acknowledged(frame)  # Said twice: nothing more.
    assert len(world.frames) == 1


def test_a_verdict_that_never_comes_costs_one_guard() -> None:
    """Neither ack nor NAK within 50 s more than the timer: sent again all the same."""
    world = unproven()
    send(world, draft())
    frame = world.next_frame("radio")
    world.sent(frame)
    waited = waits_for_frame(world, 90 * SECOND)
    guard_ms = world.policy.radio_attempt_guard_ms
    assert guard_ms < waited < guard_ms + 10 * SECOND


def test_a_driver_that_never_reports_does_not_stop_the_line() -> None:
    """After airtime + 50 s the frame counts as lost: said in the log, and the next one goes."""
    world = settled()
    world.hold("cable")
    notice = send(world, draft())
    lost = world.next_frame("cable")
    waits_for_frame(world, 60 * SECOND)
    assert len(world.notes("driver_silent")) == 1
    world.tell(FrameSent(CABLE, lost.transmission))  # Too late to mean anything.
    assert world.state_of(notice) == "QUEUED"
    again = world.next_frame("cable")
    world.release("cable")
    world.sent(again)
    world.heard(again)
    reaches(world, notice, RECEIPT, 2 * SECOND)


def test_the_answer_is_awaited_from_the_end_of_the_frame() -> None:
    """A driver that is free a little before its frame has left makes no timer shorter."""

    def waited(remaining_ms: int) -> int:
        world = settled()
        world.hold("cable")
        send(world, draft())
        frame = world.next_frame("cable")
        world.tell(FrameSent(CABLE, frame.transmission, remaining_ms))
        return waits_for_frame(world, 10 * SECOND)

    assert waited(300) - waited(0) == 300


def test_reports_of_frames_that_are_over_mean_nothing() -> None:
    """A number that no frame under way has: late, repeated, or of another device."""
    world = settled()
    before = world.line().lanes[CABLE].health.misses
    for frame in (9_999, 0):
        world.tell(FrameSent(CABLE, frame))
    world.hold("cable")
    send(world, draft())
    frame_ = world.next_frame("cable")
    world.sent(frame_)
    world.refused(frame_, Refusal.NO_ACK)
    world.relayed(frame_)
    world.acknowledged(frame_)
    assert world.line().lanes[CABLE].health.misses == before
    assert world.frames == []


def test_nothing_is_left_of_what_a_device_had_when_it_is_replaced() -> None:
    """LinkUp without LinkDown before it: a fresh driver; the act under way is sent again by it."""
    world = settled()
    world.hold("cable")
    notice = send(world, draft())
    world.frames.clear()
    world.release("cable")
    world.tell(LinkUp(CABLE, world.paths[CABLE].traits))
    reaches(world, notice, RECEIPT, 2 * SECOND)


def test_a_refused_hello_comes_again() -> None:
    """Refused before the line is settled: the next hello after a second, not after a minute."""
    world = ByHand()
    world.add_path("cable")
    world.hold("cable")
    world.start(1)
    world.refused(world.next_frame("cable"), Refusal.NOT_READY, 200)
    assert waits_for_frame(world, 2 * SECOND) == SECOND


def test_fragments_that_the_peer_holds_are_not_sent_again() -> None:
    """Its receipt for fragments 0 and 2 of n: only the others go in the next round."""
    world = unproven()
    notice = send(world, draft("f" * 500))
    act = world.line().outgoing.get(notice)
    assert act is not None
    count = len(act.fragments)
    assert count >= 4
    while world.frames:
        world.sent(world.next_frame("radio"))
    held = FragmentReceiptItem(notice.epoch, 1, count, 0b101)
    other_cut = FragmentReceiptItem(notice.epoch, 1, count + 1, 0b111)
    for item in (other_cut, held):
        world.say([item], sender=2, to=1, link="radio")
    assert act.missing() == [1, *range(3, count)]
    for transmission in list(world.line().lanes[RADIO].flights):
        world.tell(FrameAcknowledged(RADIO, transmission))
    begin = world.line().totals.retransmissions
    waits_for_frame(world, 30 * SECOND)
    assert world.line().totals.retransmissions == begin + 1
    sent = 0
    while world.frames:
        frame = world.next_frame("radio")
        world.sent(frame)
        world.heard(frame)
        sent += 1
    assert sent == count - 2


def test_a_notice_that_no_longer_fits_one_frame_is_cut() -> None:
    """Queued while frames went without our context; the peer forgot us: 9 octets are missing."""
    world = settled(radio=True, cable=False)
    world.hold("radio")
    send(world, draft("first"))
    outgoing = world.line().outgoing
    other = outgoing.get(send(world, draft("x" * 40)))
    assert other is not None
    long = outgoing.get(send(world, draft("x" * (40 + 112 - len(other.octets)))))
    assert long is not None
    assert len(long.octets) == 112
    lane = world.line().lanes[RADIO]
    assert [part.index for _, _, part in lane.jobs if part.act_id == long.id] == [-1]
    world.line().session.is_confirmed = False
    while lane.busy is not None and not any(p.act_id == long.id for p in lane.busy.parts):
        world.sent(world.next_frame("radio"))
    assert lane.busy is not None
    assert lane.busy.parts[0].index == 0
    world.release("radio")
    frame = world.next_frame("radio")
    world.sent(frame)
    world.heard(frame)
    reaches(world, long.id, RECEIPT, 10 * MINUTE)


def test_a_flood_of_beats_gets_four_replies() -> None:
    """Beats that wait for a reply on one link are bounded; one more goes unanswered."""
    world = settled()
    world.hold("cable", 2)
    world.run(100)
    beats = [BeatItem(token, is_reply=False, busy=False, entry_number=0) for token in range(9)]
    world.say(beats)
    lane = world.line(2, 1).lanes[CABLE]
    assert len(lane.beat_replies) == 4
    assert lane.health.state is LinkState.UP


def test_receipts_are_evidence_for_the_link_that_carried_the_frame() -> None:
    """The echo measures the frame's own link though the receipt came by another; twice is once."""
    world = settled(radio=True)
    world.hold("radio")
    notice = send(world, draft())
    flight = world.line().lanes[RADIO].busy
    assert flight is not None
    counter = flight.counter
    world.sent(world.next_frame("radio"))
    health = world.line().lanes[RADIO].health
    health.state = LinkState.DEGRADED
    world.run(10)
    receipt = ReceiptItem(notice.epoch, 1, 0, counter & 0xFF)
    world.say([receipt], sender=2, to=1, link="cable")
    assert health.state is LinkState.UP
    health.state = LinkState.DEGRADED
    world.say([receipt], sender=2, to=1, link="cable")
    assert health.state is LinkState.DEGRADED
    assert world.state_of(notice) == RECEIPT
    assert world.posts[Station(2)].engine is not None


def test_what_a_peer_misses_goes_at_once_when_nothing_is_queued() -> None:
    """A fragment receipt after the whole round with its acks: the lost one needs no timer."""
    world = settled(radio=True, cable=False)
    world.hold("radio")
    notice = send(world, draft("f" * 500))
    act = world.line().outgoing.get(notice)
    assert act is not None
    while world.frames:
        frame = world.next_frame("radio")
        world.sent(frame)
        world.acknowledged(frame)
    all_but_one = (1 << len(act.fragments)) - 1 - 0b10
    receipt = FragmentReceiptItem(notice.epoch, 1, len(act.fragments), all_but_one)
    world.say([receipt], sender=2, to=1, link="radio")
    frame = world.next_frame("radio")
    assert world.frames == []
    lane = world.line().lanes[RADIO]
    assert lane.busy is not None
    assert [part.index for part in lane.busy.parts] == [1]


def test_a_refused_fragment_waits_for_the_end_of_its_round() -> None:
    """The others go first; then only what is missing is sent again."""
    world = settled(radio=True, cable=False)
    world.hold("radio")
    notice = send(world, draft("f" * 500))
    act = world.line().outgoing.get(notice)
    assert act is not None
    world.refused(world.next_frame("radio"), Refusal.NO_ACK)
    lane = world.line().lanes[RADIO]
    assert lane.busy is not None
    assert lane.busy.parts[0].index == 1
    assert world.line().totals.retransmissions == 0


def test_a_dead_link_gives_an_act_up_to_a_better_one() -> None:
    """It is under way by the radio; the silent cable, once DOWN, does not repeat it for ever."""
    world = settled(radio=True)
    world.hold("radio")
    world.paths[CABLE].deaf.update((Station(1), Station(2)))
    act = world.line().outgoing.get(send(world, draft(precedence=Precedence.FLASH)))
    assert act is not None
    assert set(act.attempts) == {RADIO, CABLE}
    world.sent(world.next_frame("radio"))
    lane = world.line().lanes[CABLE]
    lane.health.state = LinkState.DOWN
    world.run_until(lambda: CABLE not in act.attempts, 5 * SECOND)
    assert RADIO in act.attempts
    assert lane.acts == {}


def test_a_timer_of_a_link_without_a_device_does_nothing() -> None:
    """It may come in the very step in which the device went."""
    world = settled()
    world.unplug("cable")
    line = world.line()
    draft_ = Draft(Now(Instant(world.now_ms)))
    for kind in ("probe", "beat", "lane"):
        line.handle_timer(kind, CABLE, draft_)
    assert draft_.step().effects == ()


def test_a_link_that_comes_back_does_not_light_the_silence_twice() -> None:
    """The far gateway is silent still: one alarm, one line in the log book."""
    world = settled()
    world.paths[CABLE].deaf.update((Station(1), Station(2)))
    world.run(40 * SECOND)
    world.unplug("cable")
    world.plug("cable")
    world.run(40 * SECOND)
    assert len(world.notes("far_gateway_silent")) == 1
    assert AlarmCode.FAR_GATEWAY_SILENT in alarms(world, 1)


def test_a_reply_to_a_beat_that_finds_no_room_goes_with_the_next_frame() -> None:
    """A full radio frame leaves none; the reply is not lost and does not cut the act."""
    world = settled(radio=True, cable=False)
    world.hold("radio")
    outgoing = world.line().outgoing
    send(world, draft("busy"))
    other = outgoing.get(send(world, draft("x" * 40)))
    assert other is not None
    full = outgoing.get(send(world, draft("x" * (40 + 116 - len(other.octets)))))
    assert full is not None
    lane = world.line().lanes[RADIO]
    for _ in range(2):
        world.sent(world.next_frame("radio"))
        if lane.busy is not None and any(p.act_id == other.id for p in lane.busy.parts):
            beat = BeatItem(7, is_reply=False, busy=False, entry_number=1 << 30)
            world.say([beat], sender=2, to=1, link="radio")
    assert lane.busy is not None
    assert [part.act_id for part in lane.busy.parts] == [full.id]
    assert list(lane.beat_replies) == [7]
    world.sent(world.next_frame("radio"))
    assert lane.beat_replies == {}


def test_a_radio_that_works_is_not_asked_for_its_ack() -> None:
    """Our own timer repeats sooner than its firmware would; before the proof its verdict counts."""
    world = settled(radio=True, cable=False)
    world.hold("radio")
    send(world, draft())
    frame = world.next_frame("radio")
    assert not frame.want_ack
    world.sent(frame)
    timer = world.line().lanes[RADIO].health.timer_ms(len(frame.octets))
    assert waits_for_frame(world, 30 * SECOND) <= timer * 9 // 8 + 1
    world = unproven()
    send(world, draft())
    assert world.next_frame("radio").want_ack


def test_a_frame_that_does_not_leave_goes_by_the_cable_as_well() -> None:
    """The radio has it and says nothing, as a wedged one does: twice its airtime is enough."""
    world = settled(radio=True)
    world.hold("radio")
    notice = send(world, draft())
    frame = world.next_frame("radio")
    lane = world.line().lanes[RADIO]
    assert lane.health.traits is not None
    airtime_ms = lane.health.traits.airtime.of(len(frame.octets))
    limit_ms = 2 * airtime_ms + lane.health.hedge_ms(len(frame.octets)) + SECOND
    assert reaches(world, notice, RECEIPT, MINUTE) <= limit_ms


def test_a_retransmission_of_the_firmware_is_no_sample_of_the_round_trip() -> None:
    """The ack came after 9 s: the round trip begins with it; without an ack there is no sample."""
    world = unproven()
    health = world.line().lanes[RADIO].health
    assert health.round_trip_ms is None
    notice = send(world, draft())
    flight = world.line().lanes[RADIO].busy
    assert flight is not None
    frame = world.next_frame("radio")
    world.sent(frame)
    world.run(9 * SECOND)
    world.acknowledged(frame)
    world.run(SECOND)
    world.say(
        [ReceiptItem(notice.epoch, 1, 0, flight.counter & 0xFF)], sender=2, to=1, link="radio"
    )
    assert world.state_of(notice) == RECEIPT
    assert health.round_trip_ms == SECOND + health.ack_ms()
    health.state = LinkState.PROBING
    send(world, draft("second"))
    flight = world.line().lanes[RADIO].busy
    assert flight is not None
    world.sent(world.next_frame("radio"))
    sampled = health.round_trip_ms
    world.run(9 * SECOND)
    world.say(
        [ReceiptItem(notice.epoch, 2, 0, flight.counter & 0xFF)], sender=2, to=1, link="radio"
    )
    assert health.state is LinkState.UP
    assert health.round_trip_ms == sampled


def test_what_a_driver_tells_is_shown_and_calls_a_person_until_the_device_works() -> None:
    """The state stays as it was; DEVICE is lit for the line, and goes with the last such link."""
    world = settled(radio=True)
    post = world.posts[Station(1)]

    def tell(link: LinkName, *, person: bool) -> None:
        world.give(Station(1), LinkTold(link, f"{link} is wedged", needs_person=person))

    tell(RADIO, person=False)
    assert post.status is not None
    shown = {link.name: (link.state.value, link.detail) for link in post.status.links}
    assert shown[RADIO] == ("UP", "radio is wedged")
    assert AlarmCode.DEVICE not in {alarm.code for alarm in post.status.alarms}
    for link in (RADIO, CABLE):
        world.give(Station(1), LinkDown(link, "frozen"))
        tell(link, person=True)
    texts = [alarm.text for alarm in post.status.alarms if alarm.code is AlarmCode.DEVICE]
    assert len(texts) == 1
    for link, lit in ((RADIO, True), (CABLE, False)):
        world.give(Station(1), LinkUp(link, world.paths[link].traits))
        assert (AlarmCode.DEVICE in {alarm.code for alarm in post.status.alarms}) is lit


def test_a_radio_that_cannot_send_is_our_device_and_calls_a_person() -> None:
    """It is served and heard by, but named as the fault: the antenna and the far side are not."""
    world = settled(radio=True)
    post = world.posts[Station(1)]
    traits = world.paths[RADIO].traits
    mute = replace(traits, is_mute=True, detail="it has no region")

    def shown() -> tuple[bool, bool, Place]:
        assert post.status is not None
        alarms = {alarm.code for alarm in post.status.alarms}
        [works] = [it.device_up for it in post.status.links if it.name == RADIO]
        found = diagnose(post.status.links, post.status.peers[0], (), instant=None)
        return works, AlarmCode.DEVICE in alarms, found.place

    world.give(Station(1), LinkDown(CABLE, "unplugged"))
    world.give(Station(1), LinkUp(RADIO, mute))
    assert shown() == (False, True, Place.OUR_DEVICE)
    world.give(Station(1), LinkTold(RADIO, "sends again"))
    assert shown()[:2] == (True, False)
    world.give(Station(1), LinkTold(RADIO, "its chip", needs_person=True, is_mute=True))
    assert shown() == (False, True, Place.OUR_DEVICE)
    world.give(Station(1), LinkUp(RADIO, traits))
    assert shown()[:2] == (True, False)
