"""Two or more stations in virtual time: the real engine, codec and crypto over simulated links.

The same seed gives the same history in any process. Draws for the stations and for the links come
from generators of their own, so that a fault more or less shifts little else. The real-time bench
is elsewhere (`bench`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from random import Random
from typing import Final

from gateway.core.effects import (
    ConfirmAnswer,
    ConfirmSubmission,
    Effect,
    Observe,
    RejectRequest,
    RequestActs,
    RequestEntropy,
    ShowStatus,
    Status,
    Step,
    Transmit,
)
from gateway.core.engine import Engine
from gateway.core.events import (
    ActsArrived,
    AnswerSubmitted,
    EntropyArrived,
    Event,
    FrameReceived,
    LinkDown,
    LinkUp,
    LogHeadCommitted,
    NoticeSubmitted,
    Principal,
    Rights,
    Started,
    StoreHealed,
)
from gateway.core.policy import Policy
from gateway.core.records import Publication, Topic, Write
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
from gateway.sim.channel import Carrier, Path, cable_traits, radio_traits
from gateway.sim.timeline import Timeline
from gateway.store.memory import MemoryStore

__all__ = ["OPERATOR", "Path", "Post", "Witness", "World"]

OPERATOR: Final = Principal(
    adapter="api",
    user="duty",
    role=Role.DUTY_OFFICER,
    rights=Rights(submit=frozenset(Operation), precedence=Precedence.FLASH, answer=True),
)
UTC_START: Final = UtcTime(1_795_000_000)
BOOT_MS: Final = 8_000
"""From power to the daemon's first event."""


@dataclass(slots=True)
class Post:
    """One station: its engine while it runs, its store always."""

    station: Station
    keys: KeyRing
    store: MemoryStore
    number: int = 0
    """0, or which copy of the station this is."""
    boot: int = 0
    boot_at_ms: int = 0
    """When this boot's clock was zero; that of the first shows the world's own time."""
    is_powered: bool = False
    """False: the next start is a boot."""
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
    dies_at_effect: int | None = None
    """Killed in the next step that writes: before its commit (-1), or after it and k effects."""
    keeps_normal: bool = True
    """Whether that death keeps commits that were not flushed."""


class Witness:
    """Sees everything that happens; this one looks away."""

    def event(self, post: Post, event: Event | None) -> None:
        """An event goes to the engine of a post; None: its deadlines."""

    def stepped(self, post: Post, step: Step) -> None:
        """The engine has taken it."""

    def committed(self, post: Post, writes: tuple[Write, ...]) -> None:
        """The writes of a step are kept; its effects follow."""

    def effect(self, post: Post, effect: Effect) -> None:
        """An effect is performed."""

    def started(self, post: Post) -> None:
        """A new engine is about to see its first event."""

    def crashed(self, post: Post, lost: int) -> None:
        """A post was killed and lost the last commits."""


class World(Timeline):
    """The whole of a simulated line, or several."""

    def __init__(self, seed: int, *, stations: int = 2, policy: Policy | None = None) -> None:
        super().__init__()
        self.rng = Random(seed)
        self.policy = policy or Policy()
        self.posts: dict[Station, Post] = {}
        self.twins: list[Post] = []
        """Second copies of stations that run beside the first."""
        self.paths: dict[LinkName, Path] = {}
        self.witness = Witness()
        self.keeps_observed = True
        """False: lines for the local log are dropped, for long runs."""
        self._jitter = Random(f"jitter {seed}")
        # Looked up at each arrival: a test may listen in.
        arrive = lambda *arrival: self._arrive(*arrival)  # noqa: E731, PLW0108
        self._carrier = Carrier(self, Random(f"links {seed}"), arrive)
        self._token = 0
        self._make_posts(stations)

    # Set-up

    def _make_posts(self, count: int) -> None:
        secret = self.secret = self.rng.randbytes(32)
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
        traits = radio_traits() if bit_rate is None else cable_traits(bit_rate)
        path = Path(LinkName(name), (Station(ends[0]), Station(ends[1])), traits, loss=loss)
        self.paths[path.name] = path
        return path

    def start(self, station: int | None = None) -> None:
        """Start a station, or all; again after `crash`."""
        for post in self.posts.values():
            if station is None or post.station == station:
                self._start(post)

    def start_twin(self, station: int, store: MemoryStore) -> Post:
        """A second gateway under the name and keys of a station, from a copy of its store."""
        first = self.posts[Station(station)]
        twin = Post(first.station, first.keys, store, number=1 + len(self.twins))
        twin.skew_s = first.skew_s
        self.twins.append(twin)
        self._start(twin)
        return twin

    def _start(self, post: Post) -> None:
        if not post.is_powered:
            post.boot += 1
            post.is_powered = True
            if post.boot > 1:
                post.boot_at_ms = self.now_ms - BOOT_MS
        post.wake_at = None
        links: dict[Station, list[LinkName]] = {}
        for path in self.paths.values():
            if post.station in path.ends:
                links.setdefault(path.far(post.station), []).append(path.name)
        recovered = post.store.recovered()
        post.refused = recovered.store_refused
        post.engine = Engine(recovered, self.policy, post.keys, links=links, rng=self._jitter)
        self.witness.started(post)
        copy = f"-copy-{post.number}" if post.number else ""
        boot_id = f"boot-{post.station}-{post.boot}{copy}"
        self.give_to(post, Started(boot_id, self.rng.randbytes(256), "sim"))
        for path in self.paths.values():
            if post.station in path.ends and not path.unplugged:
                self.give_to(post, self._link_up(path, post))

    def _link_up(self, path: Path, post: Post) -> LinkUp:
        """With what the radio says of its hour; it goes on, and acks, while the gateway is off."""
        spent_ms = path.spent_ms(post.station, self.now_ms) if path.traits.is_radio else 0
        return LinkUp(path.name, replace(path.traits, airtime_spent_ms=spent_ms))

    def crash(
        self, station: int, *, keep_normal: bool = True, lose_last: int = 0, reboot: bool = True
    ) -> None:
        """Kill a station now; its commits stay as asked. `reboot`: its power goes too."""
        post = self.posts[Station(station)]
        self._kill(post, keep_normal=keep_normal, lose_last=lose_last)
        if reboot:
            post.is_powered = False
            for path in self.paths.values():
                # Its radio is fed by it, and counts airtime in RAM.
                path.spent.pop(Station(station), None)

    def _kill(self, post: Post, *, keep_normal: bool, lose_last: int = 0) -> None:
        post.engine = None
        post.wake_at = None
        post.dies_at_effect = None
        self.witness.crashed(post, post.store.crash(keep_normal=keep_normal, lose_last=lose_last))

    def _now(self, post: Post) -> Now:
        """What a post's clocks show."""
        instant = Instant(self.now_ms - post.boot_at_ms)
        if post.skew_s is None:
            return Now(instant)
        utc = UtcTime(UTC_START + self.now_ms // 1000 + post.skew_s)
        return Now(instant, utc, TimeQuality.SYNCHRONISED)

    # Events and effects

    def posts_of(self, station: Station) -> Iterator[Post]:
        """The station and its copies."""
        yield self.posts[station]
        for twin in self.twins:
            if twin.station == station:
                yield twin

    def give(self, station: Station, event: Event) -> None:
        """Hand an event to a station's engine, if it runs."""
        self.give_to(self.posts[station], event)

    def give_to(self, post: Post, event: Event) -> None:
        """Hand an event to the engine of this post, if it runs."""
        engine = post.engine
        if engine is not None:
            self.witness.event(post, event)
            self._perform(post, engine, engine.handle(event, now=self._now(post)))

    def _wake(self, post: Post, engine: Engine) -> None:
        if post.engine is not engine or post.wake_at is None or post.wake_at > self.now_ms:
            return
        post.wake_at = None
        self.witness.event(post, None)
        self._perform(post, engine, engine.handle_timeout(now=self._now(post)))

    def _perform(self, post: Post, engine: Engine, step: Step) -> None:
        """Commit, then every effect in order; a death that waits strikes here."""
        self.witness.stepped(post, step)
        dies_at = post.dies_at_effect if step.writes else None
        if dies_at == -1:
            self._kill(post, keep_normal=post.keeps_normal)
            return
        head = None
        if step.writes:
            try:
                head = post.store.apply(step.writes)
            except StoreRefusedError:
                self._start(post)
                return
            self.witness.committed(post, step.writes)
        for index, effect in enumerate(step.effects):
            if index == dies_at:
                break
            self.witness.effect(post, effect)
            self._effect(post, effect)
        if dies_at is not None:
            self._kill(post, keep_normal=post.keeps_normal)
            return
        if head is not None:
            self.give_to(post, LogHeadCommitted(head))
        deadline = engine.next_deadline()
        if post.engine is not engine or deadline is None:
            return
        due = deadline + post.boot_at_ms
        if post.wake_at is None or due < post.wake_at:
            post.wake_at = max(due, self.now_ms)
            self.at(post.wake_at, partial(self._wake, post, engine))

    def _effect(self, post: Post, effect: Effect) -> None:
        match effect:
            case Transmit():
                self._transmit(post, effect)
            case ShowStatus(status):
                post.status = status
            case Observe():
                if self.keeps_observed:
                    post.observed.append(effect)
            case ConfirmSubmission(token, notice_id):
                post.confirmed[token] = notice_id
            case ConfirmAnswer(token, answer_id):
                post.answered[token] = answer_id
            case RejectRequest(token):
                post.rejected[token] = effect
            case RequestActs(ids):
                acts = tuple(post.store.acts_now(ids))
                self.at(self.now_ms, lambda: self.give_to(post, ActsArrived(acts)))
            case RequestEntropy(size):
                octets = self.rng.randbytes(size)
                self.at(self.now_ms, lambda: self.give_to(post, EntropyArrived(octets)))
            case _:
                pass

    def _transmit(self, post: Post, frame: Transmit) -> None:
        path = self.paths[frame.link]
        engine = post.engine

        def report(event: Event) -> None:
            if post.engine is engine:
                self.give_to(post, event)

        self._carrier.carry(path, post.station, frame, report)

    def _arrive(self, path: Path, far: Station, received: FrameReceived) -> None:
        if not path.unplugged:
            self.give(far, received)
            if self.twins:
                for twin in list(self.posts_of(far))[1:]:
                    self.give_to(twin, received)

    def stranger(self, name: LinkName, size: int, *, listens: bool) -> None:
        """Somebody else uses a radio's channel for a packet of so many octets."""
        self._carrier.stranger(self.paths[name], size, listens=listens)

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
        path.plugs += 1
        for station in path.ends:
            for post in self.posts_of(station):
                self.give_to(post, LinkDown(path.name, "unplugged"))

    def plug(self, name: str) -> None:
        path = self.paths[LinkName(name)]
        path.unplugged = False
        for station in path.ends:
            for post in self.posts_of(station):
                self.give_to(post, self._link_up(path, post))

    def fill_disk(self, station: int) -> None:
        self.posts[Station(station)].store.is_refusing = True

    def free_disk(self, station: int) -> None:
        post = self.posts[Station(station)]
        post.store.is_refusing = False
        post.refused = False
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
