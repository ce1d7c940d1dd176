"""Frames that were never sealed for this station, or sealed and taken once: none is accepted.

`make test` runs some ten thousand of them, `make soak` the million.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from random import Random

import pytest

from gateway.core import session as session_module
from gateway.core.effects import AlarmCode
from gateway.core.events import FrameReceived
from gateway.core.policy import Policy
from gateway.core.session import Opened, Session
from gateway.model import ActId, LinkName, Station
from gateway.sim.world import Post, World
from gateway.store.memory import MemoryStore
from gateway.wire.frame import Header, parse_frame
from tests.sim.forgery import KINDS, PEER, THIRD, VICTIM, Forger, Heard, flipped
from tests.sim.scenes import SECOND, alarms, draft, send

RECEIPT = "MACHINE RECEIPT"
CABLES = {LinkName("east"): (1, 2), LinkName("west"): (1, 3), LinkName("south"): (2, 3)}
EAST = LinkName("east")
BATCH = 2_000


class Siege:
    """Three stations, every line with traffic, and an ear on each; what opens is counted."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.sealed: dict[bytes, tuple[Station, Station]] = {}
        """Frame: who sealed it for whom."""
        self.accepted: list[bytes] = []
        """Opened though nobody had sealed them for the one who opened them."""
        self.opened: Counter[tuple[int, bytes]] = Counter()
        """How often one engine opened a frame as fresh."""
        self.attempts = 0
        self._listen(patch)
        # Every one is tried: what a flood is spared is another test's.
        self.world = World(7, stations=3, policy=Policy(stranger_burst=1_000_000_000))
        self.world.keeps_observed = False
        for name, ends in CABLES.items():
            self.world.add_path(name, ends, bit_rate=115_200)
        self.world.start()
        self.sent: list[ActId] = []
        # No hello comes back to the peer at first: its frames name their incarnation.
        self.world.paths[EAST].deaf.add(PEER)
        self.talk()
        self.world.run(10 * SECOND)
        self.world.paths[EAST].deaf.clear()
        self.world.run(20 * SECOND)

    def _listen(self, patch: pytest.MonkeyPatch) -> None:
        seal, seal_hello, open_ = Session.seal, Session.seal_hello, Session.open
        open_sealed = vars(session_module)["open_sealed"]

        def sealing(session: Session, items: bytes) -> tuple[bytes, int]:
            frame, counter = seal(session, items)
            self.sealed[frame] = (session._own, session.peer)
            return frame, counter

        def sealing_hello(session: Session, *arguments: object) -> bytes:
            frame = seal_hello(session, *arguments)  # type: ignore[arg-type]
            self.sealed[frame] = (session._own, session.peer)
            return frame

        def opening(session: Session, header: Header, octets: bytes) -> Opened:
            before = self.attempts
            try:
                opened = open_(session, header, octets)
            finally:
                assert self.attempts - before <= 1, "more than one AEAD attempt for a frame"
            if self.sealed.get(octets) != (session.peer, session._own):
                self.accepted.append(octets)
            if opened.is_fresh:
                self.opened[id(session), octets] += 1
            return opened

        def attempt(*arguments: object, **named: object) -> bytes:
            self.attempts += 1
            frame: bytes = open_sealed(*arguments, **named)
            return frame

        patch.setattr(Session, "seal", sealing)
        patch.setattr(Session, "seal_hello", sealing_hello)
        patch.setattr(Session, "open", opening)
        patch.setattr(session_module, "open_sealed", attempt)

    def talk(self, count: int = 1) -> None:
        """True acts on every line, both ways."""
        for _ in range(count):
            for one, other in ((1, 2), (2, 1), (1, 3), (3, 2)):
                self.sent.append(send(self.world, draft(to=other), station=one))
            self.world.run(500)

    def heard(self) -> Heard:
        of = {ends: [f for f, who in self.sealed.items() if who == ends] for ends in self._lines()}
        to, back = of.pop((PEER, VICTIM)), of.pop((VICTIM, PEER))
        return Heard(to, back, [frame for frames in of.values() for frame in frames])

    def _lines(self) -> set[tuple[Station, Station]]:
        return set(self.sealed.values())

    def play(self, frames: Iterator[bytes] | list[bytes]) -> int:
        """Hand frames to the victim, true traffic between; how many there were."""
        count = 0
        for octets in frames:
            count += 1
            self.world.give(VICTIM, FrameReceived(EAST, octets))
            if count % BATCH == 0:
                self.talk()
        return count

    def settle(self) -> None:
        """Every true act has arrived, and nothing was taken that was not said."""
        world = self.world
        waits = [act for act in self.sent if world.state_of(act) != RECEIPT]
        world.run_until(lambda: all(world.state_of(a) == RECEIPT for a in waits), 300 * SECOND)
        for station in (1, 2, 3):
            published = [one.notice_id for one in world.published(station)]
            assert len(published) == len(set(published))
            assert set(published) <= set(self.sent)
            assert not alarms(world, station) & {AlarmCode.SAME_ID, AlarmCode.TWO_INCARNATIONS}


@pytest.fixture
def siege(monkeypatch: pytest.MonkeyPatch) -> Siege:
    return Siege(monkeypatch)


def record_of(post: Post) -> str:
    """What a store says happened: rows and publications, but for who heard what when."""
    live = post.store._live
    rows = sorted((str(name), repr(row.delivery)) for name, row in live.rows.items())
    told = sorted((p.offset, p.document) for p in live.publications.values())
    return hashlib.sha256(repr((rows, told)).encode()).hexdigest()


def forge(siege: Siege, *, frame_count: int, count: int, seed: int) -> int:
    """Flip every bit of `frame_count` frames, draw others up to `count`; all to the victim."""
    before = siege.attempts
    siege.talk(frame_count)
    heard = siege.heard()
    rng = Random(seed)
    done = siege.play(flipped(rng.sample(heard.to_victim, frame_count)))
    forger = Forger(siege.world, heard, seed)
    drawn = (forger.draw(number) for number in range(max(count - done, len(KINDS) * 100)))
    true = {octets for octets, who in siege.sealed.items() if who == (PEER, VICTIM)}
    count = done + siege.play(octets for octets in drawn if octets not in true)
    assert siege.attempts - before > count // 2, "most were not even tried"
    return count


def test_forged_frames(siege: Siege) -> None:
    """Bits of 8 frames, then drawn ones of every kind: none opens, true acts all arrive."""
    count = forge(siege, frame_count=8, count=12_000, seed=1)
    siege.settle()
    assert siege.accepted == []
    assert count > 10_000


@pytest.mark.soak
def test_a_million_forged_frames(siege: Siege) -> None:
    """Every bit of 200 frames, and the rest drawn: 0 of 1 000 000 open, true acts all arrive."""
    count = forge(siege, frame_count=200, count=1_010_000, seed=2)
    siege.settle()
    print(f"{count} forged frames, {len(siege.sent)} true acts, {len(siege.accepted)} accepted")
    assert siege.accepted == []
    assert count >= 1_000_000


def test_what_is_forged_would_be_noticed(siege: Siege, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a cipher that checks no tag the same course accepts thousands: the count counts."""

    def opens_all(*_arguments: object, **_named: object) -> bytes:
        siege.attempts += 1
        return b"\x83\x00\xa0\xf6"

    monkeypatch.setattr(session_module, "open_sealed", opens_all)
    forge(siege, frame_count=4, count=3_000, seed=1)
    assert len(siege.accepted) > 1_000


def replay(siege: Siege, *, rounds: int, seed: int) -> int:
    """True frames of before, in any order, again and again; none changes anything."""
    world, rng = siege.world, Random(seed)
    for path in world.paths.values():
        path.deaf.update((PEER, VICTIM, THIRD))
    world.run(5 * SECOND)
    victim = world.posts[VICTIM]
    frames = [f for f, (_, to) in siege.sealed.items() if to == VICTIM]
    before, count = record_of(victim), 0
    for _ in range(rounds):
        rng.shuffle(frames)
        for octets in frames:
            name = EAST if parse_frame(octets)[0].sender == PEER else LinkName("south")
            world.give(VICTIM, FrameReceived(name, octets))
            count += 1
    assert record_of(victim) == before
    assert max(siege.opened.values()) == 1, "one frame counted as fresh twice in one run"
    for path in world.paths.values():
        path.deaf.clear()
    return count


@pytest.mark.parametrize("rounds", [4, pytest.param(100, marks=pytest.mark.soak)])
def test_replayed_frames(siege: Siege, rounds: int) -> None:
    """At once, reordered, and after a restart of ours: no state changes, and all goes on."""
    siege.talk(10)
    siege.settle()
    count = replay(siege, rounds=rounds, seed=1)
    siege.world.crash(VICTIM)
    siege.world.start(VICTIM)
    count += replay(siege, rounds=rounds, seed=2)
    siege.world.run(20 * SECOND)
    count += replay(siege, rounds=rounds, seed=3)
    siege.talk()
    siege.settle()
    assert siege.accepted == []
    assert count > 100 * rounds


def test_replayed_frames_after_an_old_database(siege: Siege) -> None:
    """An old image forgot acts that it had taken: recordings of them come marked, none twice."""
    world, victim = siege.world, siege.world.posts[VICTIM]
    siege.talk(5)
    siege.settle()
    image = victim.store.copy()
    siege.talk(5)
    siege.settle()
    world.crash(VICTIM)
    victim.store = image
    lost = [act for act in siege.sent if act.originator != VICTIM and not world.state_of(act, 2)]
    world.start(VICTIM)
    assert_only_marked(siege, lost)


def test_replayed_frames_after_the_loss_of_the_store(siege: Siege) -> None:
    """A new card knows nothing: what a recording brings is marked, and no receipt counts."""
    world, victim = siege.world, siege.world.posts[VICTIM]
    siege.talk(5)
    siege.settle()
    world.crash(VICTIM)
    victim.store = MemoryStore()
    world.start(VICTIM)
    assert_only_marked(siege, list(siege.sent))


def assert_only_marked(siege: Siege, lost: list[ActId]) -> None:
    """Play everything to a victim that hears nobody else; then the line goes on."""
    world, victim = siege.world, siege.world.posts[VICTIM]
    for path in world.paths.values():
        path.deaf.update((PEER, VICTIM, THIRD))
    known = set(victim.store._live.rows)
    for octets in [f for f, (_, to) in siege.sealed.items() if to == VICTIM] * 2:
        name = EAST if parse_frame(octets)[0].sender == PEER else LinkName("south")
        world.give(VICTIM, FrameReceived(name, octets))
    new = [row.delivery for name, row in victim.store._live.rows.items() if name not in known]
    taken = [delivery for delivery in new if delivery is not None]
    assert {delivery.notice_id for delivery in taken} <= set(lost)
    assert taken
    assert all(delivery.unproven for delivery in taken), "a recording counts as fresh"
    for path in world.paths.values():
        path.deaf.clear()
    world.run(60 * SECOND)
    before = len(siege.sent)
    siege.talk(2)
    for act in siege.sent[before:]:
        world.run_until(lambda act=act: world.state_of(act) == RECEIPT, 60 * SECOND)  # type: ignore[misc]
    published = [one.notice_id for one in world.published(2)]
    assert len(published) == len(set(published))
    assert siege.accepted == []
