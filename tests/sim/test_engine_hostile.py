"""What a hostile air, a copied card and a lost store may do to a line: nothing that counts."""

from __future__ import annotations

from gateway.core.effects import AlarmCode
from gateway.core.events import FrameReceived
from gateway.core.speech import make_out_act
from gateway.model import ActId, Instant, LinkName, Serial, Station
from gateway.security.signature import sign_act
from gateway.sim.world import World
from gateway.store.memory import MemoryStore
from gateway.wire.frame import parse_frame
from gateway.wire.items import ActItem, encode_items
from gateway.wire.notice import encode_act
from tests.sim.scenes import MINUTE, SECOND, alarms, draft, line, reaches, send

RECEIPT = "MACHINE RECEIPT"
CABLE = LinkName("cable")


def record(world: World) -> list[tuple[Station, bytes]]:
    """Every frame that arrives from now on: (addressee, octets)."""
    heard: list[tuple[Station, bytes]] = []
    arrive = world._arrive

    def tap(path: object, far: Station, received: FrameReceived) -> None:
        heard.append((far, received.octets))
        arrive(path, far, received)  # type: ignore[arg-type]

    world._arrive = tap  # type: ignore[method-assign]
    return heard


def test_a_replayed_conversation_changes_nothing() -> None:
    """All frames of a notice and its receipt again, to both ends, at once and after restarts."""
    world = line()
    heard = record(world)
    notice = send(world, draft())
    reaches(world, notice, RECEIPT, 2 * SECOND)
    frames = list(heard)
    for _ in range(2):
        for far, octets in frames:
            world.give(far, FrameReceived(CABLE, octets))
            other = Station(3 - far)
            world.give(other, FrameReceived(CABLE, octets))
        world.run(5 * SECOND)
        for station in (1, 2):
            world.crash(station)
            world.start(station)
        world.run(30 * SECOND)
    assert len(world.published(2)) == 1
    assert world.state_of(notice) == RECEIPT
    assert not alarms(world, 1) | alarms(world, 2)


def test_an_old_receipt_does_not_confirm_a_new_notice() -> None:
    """After a restart the recorded receipts of the last run are no receipt for the next one."""
    world = line()
    heard = record(world)
    reaches(world, send(world, draft()), RECEIPT, 2 * SECOND)
    receipts = [octets for far, octets in heard if far == 1]
    world.crash(1)
    world.paths[CABLE].deaf.update((Station(1), Station(2)))
    world.start(1)
    notice = send(world, draft())
    for octets in receipts:
        world.give(Station(1), FrameReceived(CABLE, octets))
    world.run(5 * SECOND)
    assert world.state_of(notice) == "SENT"


def test_recorded_beats_do_not_keep_a_dead_line_alive() -> None:
    """Recordings of before our restart, the first played before the proof: nothing of them counts.

    We forgot which counters we had seen; the hello that proves its incarnation says how many frames
    came before it.
    """
    world = line()
    heard = record(world)
    world.run(2 * MINUTE)
    frames = [octets for far, octets in heard if far == 1 and parse_frame(octets)[0].generation]
    assert len(frames) > 20
    world.crash(1)
    world.start(1)
    post = world.posts[Station(1)]
    world.give(Station(1), FrameReceived(CABLE, frames[0]))
    assert post.engine is not None
    session = post.engine._state.lines[Station(2)].session
    world.run_until(lambda: not session.needs_challenge, 20 * SECOND)
    world.paths[CABLE].deaf.update((Station(1), Station(2)))
    for octets in frames[1:]:
        world.give(Station(1), FrameReceived(CABLE, octets))
        world.run(4 * SECOND)
    assert {AlarmCode.FAR_GATEWAY_SILENT, AlarmCode.NO_LINK} <= alarms(world, 1)


def test_noise_costs_nothing_but_counts() -> None:
    """Random octets, cut frames and frames of strangers: no answer, no crash, no change."""
    world = line()
    heard = record(world)
    reaches(world, send(world, draft()), RECEIPT, 2 * SECOND)
    samples = [octets for _, octets in heard]
    before = world.paths[CABLE].frames
    for index in range(2_000):
        octets = world.rng.randbytes(world.rng.randrange(1, 60))
        if index % 2:
            sample = world.rng.choice(samples)
            cut = world.rng.randrange(1, len(sample))
            octets = sample[:cut] + octets
        world.give(Station(1 + index % 2), FrameReceived(CABLE, octets))
    world.run(10 * SECOND)
    assert world.paths[CABLE].frames - before < 60, "noise must not buy airtime"
    reaches(world, send(world, draft()), RECEIPT, 2 * SECOND)


def forge(world: World, act_id: ActId, text: str) -> None:
    """Station 1 says `text` under an id that it has used: a copied store would."""
    post = world.posts[Station(1)]
    assert post.engine is not None
    state = post.engine._state
    from dataclasses import replace

    from gateway.core.recovery import decode_stored
    from gateway.model import Notice, Text

    known = post.store.recovered().acts
    (said,) = [decode_stored(stored) for stored in known if stored.id == act_id]
    assert isinstance(said, Notice)
    notice = replace(said, body=Text(text, "en"))
    octets = encode_act(notice)
    signature = sign_act(post.keys.own, octets, originator=Station(1), to=Station(2))
    session = state.lines[Station(2)].session
    frame, _ = session.seal(encode_items([ActItem(0, octets, signature)]))
    world.give(Station(2), FrameReceived(CABLE, frame))


def test_the_same_id_with_other_octets_is_an_alarm_and_no_receipt() -> None:
    """The first act stands, the second is shown as an alarm and never receipted as the first."""
    world = line()
    notice = send(world, draft())
    reaches(world, notice, RECEIPT, 2 * SECOND)
    forge(world, notice, "something else")
    world.run(5 * SECOND)
    assert AlarmCode.SAME_ID in alarms(world, 2)
    assert len(world.published(2)) == 1


def test_a_restored_store_is_noticed_and_reuses_no_id() -> None:
    """The originator forgets its last commits: ROLLBACK there, and every act still arrives once."""
    world = line()
    first = [send(world, draft()) for _ in range(5)]
    for notice in first:
        if world.state_of(notice) != RECEIPT:
            reaches(world, notice, RECEIPT, 10 * SECOND)
    world.crash(1, lose_last=30)
    world.start(1)
    world.run(30 * SECOND)
    assert AlarmCode.ROLLBACK in alarms(world, 1)
    after = send(world, draft())
    reaches(world, after, RECEIPT, 10 * SECOND)
    assert after not in first
    assert AlarmCode.SAME_ID not in alarms(world, 2)


def test_an_empty_store_on_the_far_side_takes_each_act_once_more_at_most() -> None:
    """A new card there: nothing of the old run counts as fresh before a challenge was answered."""
    world = line()
    heard = record(world)
    notice = send(world, draft())
    reaches(world, notice, RECEIPT, 2 * SECOND)
    frames = [octets for far, octets in heard if far == 2]
    world.crash(2)
    world.posts[Station(2)].store = MemoryStore()
    world.start(2)
    world.run(30 * SECOND)
    assert AlarmCode.ROLLBACK not in alarms(world, 2)
    for octets in frames:
        world.give(Station(2), FrameReceived(CABLE, octets))
    world.run(10 * SECOND)
    again = send(world, draft("new"))
    reaches(world, again, RECEIPT, 10 * SECOND)
    assert len({p.notice_id for p in world.published(2)}) == len(world.published(2))


def test_two_copies_of_one_station_are_told_apart() -> None:
    """A second gateway runs on a copy of the store: both answer challenges, so the alarm is lit."""
    world = line()
    original = world.posts[Station(1)]
    engine = original.engine
    world.start(1)
    copy = original.engine
    world.run(10 * SECOND)
    # Both live: the old one speaks again, then the copy, then the old one.
    for live in (engine, copy, engine, copy, engine):
        original.engine = live
        original.wake_at = None
        world.unplug("cable")
        world.plug("cable")
        world.run(20 * SECOND)
    assert AlarmCode.TWO_INCARNATIONS in alarms(world, 2)


def test_an_act_that_cannot_be_read_is_answered_cantpro() -> None:
    """Well signed, with a critical key from a later version: receipted, CANTPRO, never lost."""
    world = line()
    notice = send(world, draft())
    reaches(world, notice, RECEIPT, 2 * SECOND)
    post = world.posts[Station(1)]
    assert post.engine is not None
    state = post.engine._state
    world.unplug("cable")
    later = send(world, draft("of a later version"))
    line_ = state.lines[Station(2)]
    out = line_.outgoing.get(later)
    assert out is not None
    octets = bytes([out.octets[0] + 1]) + out.octets[1:] + bytes([15, 1])
    out.octets = octets
    out.signature = sign_act(post.keys.own, octets, originator=Station(1), to=Station(2))
    world.plug("cable")
    reaches(world, later, "CANTPRO", 10 * SECOND)
    assert len(world.published(2)) == 1


def test_a_key_is_renewed_before_its_frames_are_spent() -> None:
    """At 2^20 frames less a margin a new incarnation begins, and the line goes on."""
    world = line()
    post = world.posts[Station(1)]
    assert post.engine is not None
    session = post.engine._state.lines[Station(2)].session
    before = session.incarnation
    session._counter = (1 << 20) - 1_000
    notice = send(world, draft())
    reaches(world, notice, RECEIPT, 10 * SECOND)
    assert session.incarnation != before
    world.run(10 * SECOND)
    assert session.is_settled


def test_fragments_of_an_act_are_cut_alike_every_time() -> None:
    """The same act gives the same fragments after a restart, so that halves fit together."""
    world = line()
    notice = send(world, draft("f" * 900))
    post = world.posts[Station(1)]
    stored = next(a for a in post.store.recovered().acts if a.id == notice)
    cuts = [
        make_out_act(stored, draft().precedence, born=Instant(0), age_known=True) for _ in range(2)
    ]
    assert cuts[0].fragments == cuts[1].fragments
    assert len(cuts[0].fragments) > 1
    assert stored.id.serial == Serial(1)
