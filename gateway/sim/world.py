"""Two or more stations in virtual time: the real engine, codec and crypto over simulated links.

One heap of due actions; nothing sleeps and nothing reads a clock, so the same seed gives the same
history in any process. The real-time bench is elsewhere (`bench`).
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Final

from gateway.core.airtime import LoraAirtime, SerialAirtime
from gateway.core.effects import (
    ConfirmAnswer,
    ConfirmSubmission,
    Effect,
    Observe,
    RejectRequest,
    RequestEntropy,
    ShowStatus,
    Status,
    Transmit,
)
from gateway.core.engine import Engine
from gateway.core.events import (
    AnswerSubmitted,
    EntropyArrived,
    Event,
    FrameAcknowledged,
    FrameReceived,
    FrameRefused,
    FrameSent,
    LinkDown,
    LinkTraits,
    LinkUp,
    LogHeadCommitted,
    NoticeSubmitted,
    Principal,
    Refusal,
    Rights,
    Started,
    StoreHealed,
)
from gateway.core.policy import Policy
from gateway.core.records import Publication, Topic
from gateway.errors import StoreRefusedError
from gateway.model import (
    ActId,
    AnswerCode,
    Instant,
    LinkName,
    NoticeDraft,
    Now,
    Operation,
    Precedence,
    Role,
    Station,
    Text,
    TimeQuality,
    UtcTime,
)
from gateway.security.keys import (
    Card,
    KeyRing,
    Line,
    StationKeys,
    derive_line_keys,
    make_card,
    new_station_keys,
)
from gateway.store.memory import MemoryStore

OPERATOR: Final = Principal(
    adapter="api",
    user="duty",
    role=Role.DUTY_OFFICER,
    rights=Rights(submit=frozenset(Operation), precedence=Precedence.FLASH, answer=True),
)
UTC_START: Final = UtcTime(1_795_000_000)
_LONG_FAST: Final = LoraAirtime(spreading_factor=11, bandwidth_khz=250, coding_rate=5)
_ACK_SIZE: Final = 6
_RADIO_RETRY_MS: Final = (0, 7_600, 15_100)
_RADIO_GIVE_UP_MS: Final = 22_800


@dataclass(slots=True)
class Path:
    """A link between two stations. Losses are drawn a frame and direction."""

    name: LinkName
    ends: tuple[Station, Station]
    traits: LinkTraits
    loss: float = 0.0
    delay_ms: int = 5
    repeat: float = 0.0
    corrupt: float = 0.0
    deaf: set[Station] = field(default_factory=set)
    """Stations that hear nothing here: one is a one-way cut, both a silent cut."""
    unplugged: bool = False
    is_instant: bool = False
    """Frames arrive at once, long before their sender's driver reports them sent."""
    frames: int = 0
    octets: int = 0

    def far(self, station: Station) -> Station:
        return self.ends[1] if station == self.ends[0] else self.ends[0]


@dataclass(slots=True)
class Post:
    """One station: its engine while it runs, its store always."""

    station: Station
    keys: KeyRing
    store: MemoryStore
    boot: int = 0
    engine: Engine | None = None
    skew_s: int | None = 0
    """Error of its wall clock; None: no trusted clock."""
    status: Status | None = None
    refused: bool = False
    confirmed: dict[int, ActId] = field(default_factory=dict)
    rejected: dict[int, RejectRequest] = field(default_factory=dict)
    answered: dict[int, ActId] = field(default_factory=dict)
    observed: list[Observe] = field(default_factory=list)
    wake_at: int | None = None


class World:
    """The whole of a simulated line, or several."""

    def __init__(self, seed: int, *, stations: int = 2, policy: Policy | None = None) -> None:
        self.rng = Random(seed)
        self.now_ms = 1_000
        self.policy = policy or Policy()
        self.posts: dict[Station, Post] = {}
        self.paths: dict[LinkName, Path] = {}
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._order = 0
        self._token = 0
        self._make_posts(stations)

    # Set-up

    def _make_posts(self, count: int) -> None:
        secret = self.rng.randbytes(32)
        keys: dict[Station, StationKeys] = {}
        cards: dict[Station, Card] = {}
        for number in range(1, count + 1):
            station = Station(number)
            keys[station] = new_station_keys(self.rng.randbytes(64), station=station)
            cards[station] = make_card(
                keys[station], name=f"POST{number}", party=f"Party {number}", language="en"
            )
        for station, own in keys.items():
            lines = {
                far: Line(card, derive_line_keys(own, card, secret, 1), 1)
                for far, card in cards.items()
                if far != station
            }
            ring = KeyRing(own=own, card=cards[station], lines=lines)
            self.posts[station] = Post(station, ring, MemoryStore())

    def add_path(
        self,
        name: str,
        ends: tuple[int, int] = (1, 2),
        *,
        bit_rate: int | None = 9600,
        loss: float = 0.0,
    ) -> Path:
        """A cable, or a LongFast radio where `bit_rate` is None. PACE order is that of adding."""
        if bit_rate is None:
            traits = LinkTraits(200, _LONG_FAST, is_radio=True)
        else:
            traits = LinkTraits(1024, SerialAirtime(bit_rate))
        path = Path(LinkName(name), (Station(ends[0]), Station(ends[1])), traits, loss=loss)
        self.paths[path.name] = path
        return path

    def start(self, station: int | None = None) -> None:
        """Start a station, or all; again after `crash`."""
        for post in self.posts.values():
            if station is None or post.station == station:
                self._start(post)

    def _start(self, post: Post) -> None:
        post.boot += 1
        post.wake_at = None
        links: dict[Station, list[LinkName]] = {}
        for path in self.paths.values():
            if post.station in path.ends:
                links.setdefault(path.far(post.station), []).append(path.name)
        recovered = post.store.recovered()
        post.refused = recovered.store_refused
        post.engine = Engine(recovered, self.policy, post.keys, links=links, rng=self.rng)
        boot_id = f"boot-{post.station}-{post.boot}"
        self.give(post.station, Started(boot_id, self.rng.randbytes(256), "sim"))
        for path in self.paths.values():
            if post.station in path.ends and not path.unplugged:
                self.give(post.station, LinkUp(path.name, path.traits))

    def crash(self, station: int, *, keep_normal: bool = True, lose_last: int = 0) -> None:
        """Kill a station now; its commits stay as asked."""
        post = self.posts[Station(station)]
        post.engine = None
        post.wake_at = None
        post.store.crash(keep_normal=keep_normal, lose_last=lose_last)

    # Time

    def at(self, due_ms: int, action: Callable[[], None]) -> None:
        self._order += 1
        heapq.heappush(self._heap, (max(due_ms, self.now_ms), self._order, action))

    def run(self, duration_ms: int) -> None:
        """Let virtual time pass."""
        end = self.now_ms + duration_ms
        while self._heap and self._heap[0][0] <= end:
            due, _, action = heapq.heappop(self._heap)
            self.now_ms = due
            action()
        self.now_ms = end

    def run_until(self, condition: Callable[[], bool], limit_ms: int) -> int:
        """Run until the condition holds; the milliseconds it took. Raises `TimeoutError`."""
        begin = self.now_ms
        while not condition():
            if not self._heap or self._heap[0][0] > begin + limit_ms:
                raise TimeoutError(f"not within {limit_ms} ms of virtual time")
            due, _, action = heapq.heappop(self._heap)
            self.now_ms = due
            action()
        return self.now_ms - begin

    def _now(self, post: Post) -> Now:
        instant = Instant(self.now_ms)
        if post.skew_s is None:
            return Now(instant)
        utc = UtcTime(UTC_START + self.now_ms // 1000 + post.skew_s)
        return Now(instant, utc, TimeQuality.SYNCHRONISED)

    # Events and effects

    def give(self, station: Station, event: Event) -> None:
        """Hand an event to a station's engine, if it runs."""
        post = self.posts[station]
        if post.engine is not None:
            step = post.engine.handle(event, now=self._now(post))
            self._perform(post, step.writes, step.effects)

    def _wake(self, post: Post, engine: Engine) -> None:
        if post.engine is not engine or post.wake_at is None or post.wake_at > self.now_ms:
            return
        post.wake_at = None
        step = engine.handle_timeout(now=self._now(post))
        self._perform(post, step.writes, step.effects)

    def _perform(self, post: Post, writes: tuple, effects: tuple[Effect, ...]) -> None:  # type: ignore[type-arg]
        engine = post.engine
        assert engine is not None
        try:
            head = post.store.apply(writes)
        except StoreRefusedError:
            self._start(post)
            return
        for effect in effects:
            self._effect(post, effect)
        if head is not None:
            self.give(post.station, LogHeadCommitted(head))
        deadline = engine.next_deadline()
        if post.engine is not engine or deadline is None:
            return
        if post.wake_at is None or deadline < post.wake_at:
            post.wake_at = max(int(deadline), self.now_ms)
            self.at(post.wake_at, partial(self._wake, post, engine))

    def _effect(self, post: Post, effect: Effect) -> None:
        match effect:
            case Transmit():
                self._transmit(post, effect)
            case ConfirmSubmission(token, notice_id):
                post.confirmed[token] = notice_id
            case ConfirmAnswer(token, answer_id):
                post.answered[token] = answer_id
            case RejectRequest(token):
                post.rejected[token] = effect
            case RequestEntropy(size):
                octets = self.rng.randbytes(size)
                self.at(self.now_ms, lambda: self.give(post.station, EntropyArrived(octets)))
            case ShowStatus(status):
                post.status = status
            case Observe():
                post.observed.append(effect)
            case _:
                pass

    def _transmit(self, post: Post, frame: Transmit) -> None:
        path = self.paths[frame.link]
        engine = post.engine
        airtime = round(path.traits.airtime.of(len(frame.octets)))
        path.frames += 1
        path.octets += len(frame.octets)

        def report(event: Event) -> None:
            if post.engine is engine:
                self.give(post.station, event)

        if path.unplugged:
            refused = FrameRefused(frame.link, frame.transmission, Refusal.LINK_LOST)
            self.at(self.now_ms, lambda: report(refused))
            return
        sent = FrameSent(frame.link, frame.transmission)
        self.at(self.now_ms + airtime, lambda: report(sent))
        tries = _RADIO_RETRY_MS if frame.want_ack and path.traits.is_radio else (0,)
        acked = False
        for wait in tries:
            if acked:
                break
            arrives = self.now_ms + wait + path.delay_ms
            arrives += 0 if path.is_instant else airtime
            heard = self._carry(path, post.station, frame, arrives)
            if heard and self.rng.random() >= path.loss:
                acked = True
                ack = FrameAcknowledged(frame.link, frame.transmission)
                ack_ms = round(path.traits.airtime.of(_ACK_SIZE))
                if frame.want_ack and path.traits.is_radio:
                    self.at(arrives + ack_ms, partial(report, ack))
        if frame.want_ack and path.traits.is_radio and not acked:
            nak = FrameRefused(frame.link, frame.transmission, Refusal.NO_ACK)
            self.at(self.now_ms + _RADIO_GIVE_UP_MS, lambda: report(nak))

    def _carry(self, path: Path, sender: Station, frame: Transmit, arrives: int) -> bool:
        """Draw the fate of one transmission; True if the far device hears it."""
        far = path.far(sender)
        if self.rng.random() < path.loss or far in path.deaf:
            return False
        octets = frame.octets
        if self.rng.random() < path.corrupt:
            index = self.rng.randrange(len(octets))
            octets = octets[:index] + bytes([octets[index] ^ 0x40]) + octets[index + 1 :]
        received = FrameReceived(path.name, octets)
        copies = 2 if self.rng.random() < path.repeat else 1
        for copy in range(copies):
            self.at(arrives + copy * 50, lambda: self._arrive(path, far, received))
        return True

    def _arrive(self, path: Path, far: Station, received: FrameReceived) -> None:
        if not path.unplugged:
            self.give(far, received)

    # What people do

    def submit(self, draft: NoticeDraft, *, station: int = 1, request_id: str = "") -> int:
        """Hand a notice in; the token under which `confirmed` or `rejected` tells the outcome."""
        self._token += 1
        name = request_id or f"request-{self._token}"
        event = NoticeSubmitted(self._token, OPERATOR, name, draft)
        self.give(Station(station), event)
        return self._token

    def answer(
        self, notice_id: ActId, code: AnswerCode, *, station: int = 2, text: str | None = None
    ) -> int:
        self._token += 1
        body = None if text is None else Text(text, "en")
        event = AnswerSubmitted(
            self._token, OPERATOR, f"request-{self._token}", notice_id, code, body
        )
        self.give(Station(station), event)
        return self._token

    def unplug(self, name: str) -> None:
        path = self.paths[LinkName(name)]
        path.unplugged = True
        for station in path.ends:
            self.give(station, LinkDown(path.name, "unplugged"))

    def plug(self, name: str) -> None:
        path = self.paths[LinkName(name)]
        path.unplugged = False
        for station in path.ends:
            self.give(station, LinkUp(path.name, path.traits))

    def fill_disk(self, station: int) -> None:
        self.posts[Station(station)].store.is_refusing = True

    def free_disk(self, station: int) -> None:
        post = self.posts[Station(station)]
        post.store.is_refusing = False
        post.store._was_refused = False  # noqa: SLF001 - the probe is a coroutine of the runtime
        self.give(post.station, StoreHealed())

    # What is true

    def state_of(self, notice_id: ActId, station: int | None = None) -> str:
        """The state word at a station, by default the originator."""
        post = self.posts[Station(station) if station else notice_id.originator]
        row = post.store._live.rows.get(notice_id)  # noqa: SLF001 - the store's queries are coroutines
        return "" if row is None or row.delivery is None else row.delivery.state.value

    def published(self, station: int, topic: Topic = Topic.NOTICE) -> list[Publication]:
        rows = self.posts[Station(station)].store._live.publications  # noqa: SLF001 - as above
        return [publication for publication in rows.values() if publication.topic is topic]
