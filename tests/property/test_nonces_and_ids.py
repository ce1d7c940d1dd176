"""No (key, nonce) is used twice and no id means two things, whatever becomes of a store.

Looked at where frames are sealed and acts are signed, before anything is lost again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import gateway.core.session
import gateway.core.speech
from gateway.core.entropy import EntropyPool
from gateway.model import ActId, AnswerCode, Station
from gateway.security.seal import nonce
from gateway.sim.world import Post, World
from gateway.wire.limits import INCARNATION_SIZE
from gateway.wire.notice import peek_act_id
from tests.sim.scenes import SECOND, draft

COMMITS_LOST_MAX = 50


@dataclass
class Register:
    """What was sealed and signed, by everyone, in all histories of all copies."""

    nonces: set[tuple[bytes, bytes]] = field(default_factory=set)
    acts: dict[ActId, bytes] = field(default_factory=dict)
    frame_count: int = 0
    doubled: list[str] = field(default_factory=list)

    def seal(self, key: Any, header: Any) -> None:
        self.frame_count += 1
        used = (key.key, nonce(key, header))
        if used in self.nonces:
            self.doubled.append(f"nonce of {header}")
        self.nonces.add(used)

    def sign(self, octets: bytes, originator: Station, to: Station) -> None:
        act_id = peek_act_id(octets, originator=originator)
        assert act_id is not None
        said = to.to_bytes(1) + octets
        if self.acts.setdefault(act_id, said) != said:
            self.doubled.append(f"two acts {act_id}")


@contextlib.contextmanager
def registered() -> Iterator[Register]:
    """Everything that is sealed and signed inside is entered."""
    register = Register()
    seal, sign = vars(gateway.core.session)["seal_frame"], vars(gateway.core.speech)["sign_act"]

    def sealing(key: Any, header: Any, items: bytes, **named: Any) -> Any:
        register.seal(key, header)
        return seal(key, header, items, **named)

    def signing(keys: Any, octets: bytes, *, originator: Station, to: Station) -> Any:
        register.sign(octets, originator, to)
        return sign(keys, octets, originator=originator, to=to)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gateway.core.session, "seal_frame", sealing)
        patch.setattr(gateway.core.speech, "sign_act", signing)
        yield register


stations = st.sampled_from([1, 2])
histories = st.lists(
    st.one_of(
        st.tuples(st.just("send"), stations, st.integers(1, 4)),
        st.tuples(st.just("answer"), stations, st.just(0)),
        st.tuples(st.just("dies at write"), stations, st.integers(-1, 6)),
        st.tuples(st.just("loses commits"), stations, st.integers(0, COMMITS_LOST_MAX)),
        st.tuples(st.just("takes image"), stations, st.just(0)),
        st.tuples(st.just("restores image"), stations, st.just(0)),
        st.tuples(st.just("copy runs too"), stations, st.just(0)),
        st.tuples(st.just("unplug"), stations, st.integers(1, 5)),
    ),
    min_size=1,
    max_size=12,
)


class Line:
    """Two stations, and what befalls their stores."""

    def __init__(self) -> None:
        self.world = World(3)
        self.world.keeps_observed = False
        self.world.add_path("cable")
        self.world.start()
        self.world.run(5 * SECOND)
        self._images: dict[int, Any] = {}

    def befall(self, what: str, station: int, number: int) -> None:
        world, post = self.world, self.world.posts[Station(station)]
        match what:
            case "send":
                for _ in range(number):
                    world.submit(draft(to=3 - station), station=station)
            case "answer":
                for publication in world.published(station)[-3:]:
                    world.answer(publication.notice_id, AnswerCode.ROGER, station=station)
            case "dies at write":
                post.dies_at_effect, post.keeps_normal = number, bool(number % 2)
                world.submit(draft(to=3 - station), station=station)
            case "loses commits":
                world.crash(station, keep_normal=False, lose_last=number)
            case "takes image":
                self._images[station] = post.store.copy()
            case "restores image" if station in self._images:
                world.crash(station)
                post.store = self._images[station].copy()
            case "copy runs too" if not world.twins:
                self._twin(post)
            case "unplug":
                world.unplug("cable")
                world.run(number * SECOND)
                world.plug("cable")
            case _:
                pass  # no image yet, or a copy runs already
        world.run(2 * SECOND)
        if post.engine is None:
            world.start(station)
            world.run(2 * SECOND)

    def _twin(self, post: Post) -> None:
        """A second daemon on a copy of the store says things of its own."""
        twin = self.world.start_twin(post.station, post.store.copy())
        original = self.world.posts[post.station]
        self.world.posts[post.station] = twin
        self.world.submit(draft("of the copy", to=3 - post.station), station=post.station)
        self.world.posts[post.station] = original
        self.world.submit(draft("of the original", to=3 - post.station), station=post.station)


def run(history: list[tuple[str, int, int]]) -> Register:
    with registered() as register:
        line = Line()
        for action in history:
            line.befall(*action)
        line.world.run(10 * SECOND)
    return register


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(histories)
def test_no_nonce_and_no_id_is_used_twice(history: list[tuple[str, int, int]]) -> None:
    """Kills at every write, lost commits, restored images, two daemons on one store."""
    register = run(history)
    assert register.frame_count > 4
    assert register.doubled == []


EVERYTHING = [
    ("send", 1, 3),
    ("takes image", 1, 0),
    ("send", 1, 4),
    ("send", 2, 2),
    ("answer", 2, 0),
    ("dies at write", 1, 0),
    ("loses commits", 1, COMMITS_LOST_MAX),
    ("send", 1, 4),
    ("restores image", 1, 0),
    ("send", 1, 4),
    ("copy runs too", 1, 0),
    ("send", 1, 4),
]


def test_everything_in_one_history() -> None:
    """Each calamity once, in an order that would show a counter or serial taken from a store."""
    register = run(EVERYTHING)
    assert register.doubled == []
    assert len(register.acts) > 20


@pytest.mark.parametrize("size", [INCARNATION_SIZE, 2], ids=["incarnation", "epoch"])
def test_what_is_drawn_once_only_would_be_found(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """Planted: an incarnation, or an epoch, that is the same at each start."""
    take = EntropyPool.take

    def same(self: EntropyPool, wanted: int, made: Any) -> bytes:
        taken = take(self, wanted, made)
        return bytes(range(1, wanted + 1)) if wanted == size else taken

    monkeypatch.setattr(EntropyPool, "take", same)
    # The epochs that a store knows are never drawn again; a lost store knows none.
    monkeypatch.setattr(gateway.core.speech.Speech, "restore_epoch", lambda *_: None)
    assert run(EVERYTHING).doubled
