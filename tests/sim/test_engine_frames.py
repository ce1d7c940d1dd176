"""Frames that a peer, a stranger or noise may bring: what counts, what is said, what it costs."""

from __future__ import annotations

from dataclasses import replace

from gateway.core.effects import AlarmCode
from gateway.core.events import ClearAsked, EntropyArrived, FrameReceived
from gateway.core.hearing import EARLY_END_COUNT_MAX
from gateway.core.policy import Policy
from gateway.model import (
    Answer,
    AnswerCode,
    Kind,
    LinkName,
    Operation,
    Precedence,
    Previous,
    Serial,
    Station,
    TimeQuality,
    Void,
)
from gateway.sim.world import OPERATOR
from gateway.wire.items import (
    ActItem,
    BeatItem,
    DisplayedItem,
    FragmentItem,
    FragmentReceiptItem,
    HelloItem,
    Item,
    ReceiptItem,
    SelectiveReceiptItem,
    encode_items,
)
from gateway.wire.limits import FRAME_COUNT_MAX
from tests.sim.by_hand import NOTICE, ByHand, id_of, settled
from tests.sim.scenes import MINUTE, SECOND, alarms, draft, reaches, send

RECEIPT = "MACHINE RECEIPT"
CABLE = LinkName("cable")


def seal_without_context(world: ByHand, *, sender: int = 1, to: int = 2) -> bytes:
    """A frame of the sender as if the far side knew its incarnation."""
    session = world.line(sender, to).session
    was, session.is_confirmed = session.is_confirmed, True
    frame, _ = session.seal(encode_items([BeatItem(1, is_reply=True, busy=False, entry_number=0)]))
    session.is_confirmed = was
    return frame


def test_a_hello_under_a_frame_key_means_nothing() -> None:
    """Only the hello key speaks of incarnations; other items under the hello key mean nothing."""
    world = settled()
    session = world.line(2, 1).session
    world.say([HelloItem(epoch=1, previous=Previous(0, 0), echo=bytes(8), busy=True)])
    assert len(world.notes("hello_under_frame_key", 2)) == 1
    assert session.is_confirmed
    assert not world.line(2, 1).is_peer_busy
    sealed = world.line().session.seal_hello(
        BeatItem(3, is_reply=False, busy=True, entry_number=0)  # type: ignore[arg-type]
    )
    world.give(Station(2), FrameReceived(CABLE, sealed))
    assert not world.line(2, 1).is_peer_busy


def test_each_two_to_the_twentieth_failed_opens_light_the_alarm() -> None:
    """Counted by line; the alarm says what to do; listening goes on."""
    world = settled()
    frame = seal_without_context(world)
    forged = frame[:-1] + bytes([frame[-1] ^ 1])
    totals = world.line(2, 1).totals
    totals.failed_opens = FRAME_COUNT_MAX - 2
    world.give(Station(2), FrameReceived(CABLE, forged))
    assert AlarmCode.FAILED_OPENS not in alarms(world, 2)
    world.give(Station(2), FrameReceived(CABLE, forged))
    (alarm,) = [
        a
        for a in world.posts[Station(2)].status.alarms  # type: ignore[union-attr]
        if a.code is AlarmCode.FAILED_OPENS
    ]
    assert "POST1" in alarm.text
    assert alarm.station == 1
    assert totals.failed_opens == FRAME_COUNT_MAX
    reaches(world, send(world, draft()), RECEIPT, 2 * SECOND)
    world.give(Station(2), ClearAsked(99, OPERATOR, "failed-opens.1"))
    world.give(Station(2), FrameReceived(CABLE, forged))
    assert AlarmCode.FAILED_OPENS not in alarms(world, 2), "a person has seen to it"
    totals.failed_opens = 2 * FRAME_COUNT_MAX - 1
    world.give(Station(2), FrameReceived(CABLE, forged))
    assert AlarmCode.FAILED_OPENS in alarms(world, 2), "as many again"


def test_noise_buys_at_most_two_hellos_a_second() -> None:
    """Frames without context that do not open: one answering hello in 500 ms on a link."""
    world = settled()
    frame = seal_without_context(world)
    forged = frame[:-1] + bytes([frame[-1] ^ 1])
    before = world.paths[CABLE].frames
    for _ in range(500):
        world.give(Station(2), FrameReceived(CABLE, forged))
        world.run(10)
    # 5 s: 11 hellos, as many answers of the far side, and some beats; not 500.
    assert 8 <= world.paths[CABLE].frames - before <= 40


def test_a_frame_with_context_that_does_not_open_buys_nothing() -> None:
    """Its sender told its incarnation, so a hello of ours would help nobody."""
    world = settled()
    session = world.line().session
    session.is_confirmed = False
    frame, _ = session.seal(encode_items([BeatItem(1, is_reply=True, busy=False, entry_number=0)]))
    session.is_confirmed = True
    forged = frame[:-1] + bytes([frame[-1] ^ 1])
    before = world.paths[CABLE].frames
    for _ in range(50):
        world.give(Station(2), FrameReceived(CABLE, forged))
    assert world.paths[CABLE].frames == before


def test_frames_that_say_nothing_readable_are_noted() -> None:
    """No frame at all, a stranger's name, items that are none: one line each, no change."""
    world = ByHand(stations=3)
    world.add_path("cable", (1, 2))
    world.add_path("other", (1, 3))
    world.start()
    world.run(30 * SECOND)
    world.give(Station(1), FrameReceived(CABLE, b""))
    stranger, _ = world.line(3, 1).session.seal(
        encode_items([BeatItem(1, is_reply=False, busy=False, entry_number=0)])
    )
    world.give(Station(1), FrameReceived(CABLE, stranger))
    session = world.line(2, 1).session
    (header, key, counter) = (session._header(is_hello=False), session._key, session._counter)
    session._counter = counter + 1
    from gateway.security.seal import seal_frame

    world.give(
        Station(1), FrameReceived(CABLE, seal_frame(key, header, b"\xff", recipient=Station(1)))
    )
    for event in ("frame_not_decoded", "frame_of_stranger", "items_not_decoded"):
        assert len(world.notes(event)) == 1, event


def test_unsigned_items_of_an_unproven_incarnation_do_not_count() -> None:
    """A restarted station's receipts wait for its hello; its signed acts do not."""
    world = settled()
    world.hold("cable", 1)
    world.hold("cable", 2)
    notice = send(world, draft())
    world.crash(2)
    world.start(2)
    world.say([ReceiptItem(notice.epoch, 1, 0)], sender=2, to=1)
    assert world.state_of(notice) == "QUEUED"
    signed = replace(NOTICE, id=id_of(2, 9, 5), to=Station(1))
    world.say([world.signed(signed, sender=2, to=1)], sender=2, to=1)
    assert [p.notice_id for p in world.published(1)] == [signed.id]


def test_a_full_store_takes_no_receipt_and_keeps_the_round_trip() -> None:
    """STORE REFUSED: what cannot be kept is not believed; the peer says it again."""
    world = settled()
    world.hold("cable", 2)
    notice = send(world, draft())
    world.run(SECOND)
    state = world.state()
    state.is_refused = True
    receipts: list[Item] = [
        ReceiptItem(notice.epoch, 1, 0),
        SelectiveReceiptItem(notice.epoch, (1,)),
        DisplayedItem(notice.epoch, (1,)),
    ]
    world.say(receipts, sender=2, to=1)
    state.is_refused = False
    assert world.state_of(notice) == "SENT"
    world.say(receipts[1:], sender=2, to=1)
    assert world.state_of(notice) == "DISPLAYED"


def test_a_selective_receipt_of_what_we_never_said_is_a_rollback() -> None:
    """Alarmed; what it says of an act that we know is true all the same."""
    world = settled()
    world.hold("cable", 2)
    notice = send(world, draft())
    world.say([SelectiveReceiptItem(notice.epoch, (1, 2))], sender=2, to=1)
    assert AlarmCode.ROLLBACK in alarms(world, 1)
    reaches(world, notice, "MACHINE RECEIPT", 1)


def test_a_hello_that_knows_more_of_us_than_we_do_is_a_rollback() -> None:
    """Both the serial of a known epoch and an epoch that we never opened."""
    world = settled()
    notice = send(world, draft())
    reaches(world, notice, RECEIPT, 2 * SECOND)
    session = world.line(2, 1).session
    for known in (((notice.epoch, 1),), ((notice.epoch, 2),)):
        assert AlarmCode.ROLLBACK not in alarms(world, 1)
        hello = session.hello(
            epoch=1,
            previous=Previous(0, 0),
            fresh=None,
            echo=None,
            response=None,
            known=known,
            heard_s=0,
            busy=False,
        )
        world.give(Station(1), FrameReceived(CABLE, session.seal_hello(hello)))
    assert AlarmCode.ROLLBACK in alarms(world, 1)
    assert len(world.notes("rollback")) == 1


def test_an_answer_to_what_this_store_lost_is_a_rollback() -> None:
    """To an id that we gave out but forgot it is a warning only."""
    world = settled(policy=Policy(closed_notice_count=1))
    notices = [send(world, draft()) for _ in range(2)]
    for notice in notices:
        reaches(world, notice, RECEIPT, 2 * SECOND)
        world.answer(notice, AnswerCode.ROGER)
        reaches(world, notice, "ROGER", 2 * SECOND)
    assert world.state().ledger.get(notices[0]) is None

    def say(serial: int, reference: int) -> None:
        answer = Answer(
            id=id_of(2, 9, serial),
            to=Station(1),
            precedence=Precedence.ROUTINE,
            operation=Operation.OPERATION,
            created=None,
            time_quality=TimeQuality.NONE,
            reference=notices[0]._replace(serial=Serial(reference)),
            code=AnswerCode.ROGER,
        )
        world.say([world.signed(answer, sender=2, to=1)], sender=2, to=1)

    say(5, 1)
    assert AlarmCode.ROLLBACK not in alarms(world, 1)
    say(6, 900)
    assert AlarmCode.ROLLBACK in alarms(world, 1)
    assert len(world.notes("answer_without_notice")) == 2


def test_acts_that_are_unsigned_or_nameless_are_refused() -> None:
    """No id: noted; no signature: refused and not receipted; a VOID is kept and shown to nobody."""
    world = settled()
    world.say([ActItem(0, b"\xa0", bytes(64))])
    assert len(world.notes("act_without_id", 2)) == 1
    signed = world.signed(NOTICE)
    world.say([ActItem(0, signed.octets, None)])
    assert world.notes("act_refused", 2)[-1].fields["problem"] == "unsigned"
    world.say([ActItem(0, signed.octets, bytes(64))])
    assert world.notes("act_refused", 2)[-1].fields["problem"] == "bad signature"
    assert not world.line(2, 1).reception.holds(9, 5)
    void = Void(
        id=id_of(1, 9, 6),
        to=Station(2),
        precedence=Precedence.ROUTINE,
        operation=Operation.OPERATION,
        created=None,
        time_quality=TimeQuality.NONE,
    )
    world.say([world.signed(void)])
    assert world.line(2, 1).reception.holds(9, 6)
    assert world.published(2) == []


def test_fragments_of_what_is_held_are_receipted_and_bad_ones_refused() -> None:
    """A repeat of the whole act's fragment: a receipt; a contradiction: noted, asked for again."""
    world = settled()
    notice = send(world, draft())
    reaches(world, notice, RECEIPT, 2 * SECOND)
    world.hold("cable", 2)
    world.frames.clear()
    world.run(10)
    world.say([FragmentItem(0, notice.epoch, 1, 0, 2, b"part")])
    assert len(world.frames) == 1
    world.say([FragmentItem(0, 9, 7, 0, 3, b"part")])
    world.say([FragmentItem(0, 9, 7, 0, 3, b"trap")])
    assert len(world.notes("fragments_refused", 2)) == 1
    assert world.line(2, 1).reception.fragments_held(9, 7) is None


def test_a_fragment_receipt_of_nothing_under_way_means_nothing() -> None:
    """Late, or of another act."""
    world = settled()
    world.say([FragmentReceiptItem(9, 9, 3, 1)], sender=2, to=1)
    notice = send(world, draft())
    reaches(world, notice, RECEIPT, 2 * SECOND)


def test_a_peer_that_says_busy_in_a_beat_is_shown_busy() -> None:
    """And no more when it says so."""
    world = settled()
    for busy in (True, False):
        world.say([BeatItem(1, is_reply=False, busy=busy, entry_number=0)], sender=2, to=1)
        status = world.posts[Station(1)].status
        assert status is not None
        assert status.peers[0].busy is busy


def test_a_beat_reply_with_another_token_proves_nothing() -> None:
    """Late or forged by repetition: the awaited one is still awaited."""
    world = settled()
    world.hold("cable", 2)
    lane = world.line().lanes[CABLE]
    world.run_until(lambda: lane.beat_waits is not None, MINUTE)
    awaited = lane.beat_waits
    assert awaited is not None
    at = lane.health.round_trip_at
    world.run(7)
    other = BeatItem(awaited ^ 1, is_reply=True, busy=False, entry_number=0)
    world.say([other], sender=2, to=1)
    assert lane.health.round_trip_at == at
    world.say([replace(other, token=awaited)], sender=2, to=1)
    assert lane.health.round_trip_at == world.now_ms


def test_a_cancel_that_crosses_wilco_is_seen_where_the_wilco_was_said() -> None:
    """And early ends are bounded: the oldest CANCEL of a notice that never came is forgotten."""
    world = settled()
    hearing = world.posts[Station(2)].engine._hearing  # type: ignore[union-attr]
    for serial in range(1, EARLY_END_COUNT_MAX + 2):
        hearing.note_early_end(id_of(1, 9, serial), Kind.CANCEL)
    for serial in (1, 2):
        world.say([world.signed(replace(NOTICE, id=id_of(1, 9, serial), previous=_first(serial)))])
    states = [world.state_of(id_of(1, 9, serial), 2) for serial in (1, 2)]
    assert states == [RECEIPT, "CANCELLED"]


def _first(serial: int) -> Previous | None:
    return Previous(0, 0) if serial == 1 else None


def test_a_dry_pool_of_entropy_stops_hellos_only() -> None:
    """The system gives no octets for a while: no hello is said, notices go on, then all is well."""
    world = settled()
    pool = world.state(2).entropy
    pool._octets = pool._octets[:32]
    world.crash(1)
    world.start(1)
    world.run(5 * SECOND)
    assert not world.line().session.is_settled
    notice = send(world, draft())
    world.run(5 * SECOND)
    assert world.state_of(notice) == "SENT"
    assert [p.notice_id for p in world.published(2)] == [notice]
    world.give(Station(2), EntropyArrived(bytes(range(256))))
    reaches(world, notice, RECEIPT, 2 * MINUTE)
    assert world.line().session.is_settled


def test_a_key_is_not_renewed_without_entropy_but_soon_after() -> None:
    """Near its last frame: the line goes on with the old key inside the margin."""
    world = settled()
    session = world.line().session
    before = session.incarnation
    session._counter = FRAME_COUNT_MAX - 1_000
    pool = world.state().entropy
    kept, pool._octets = pool._octets, pool._octets[:32]
    reaches(world, send(world, draft()), RECEIPT, 2 * SECOND)
    assert session.incarnation == before
    pool._octets = kept
    reaches(world, send(world, draft()), RECEIPT, 10 * SECOND)
    assert session.incarnation != before
