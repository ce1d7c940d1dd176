"""The loop that turns the engine: take events, step, commit, then perform (STYLE section 1).

Owns the order "durable before visible" and the way through STORE REFUSED. Decides nothing else.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Protocol, assert_never

from gateway.core.effects import (
    ConfirmAnswer,
    ConfirmClear,
    ConfirmSubmission,
    Effect,
    Level,
    LinkStatus,
    Observe,
    Publish,
    RejectCode,
    RejectRequest,
    RequestActs,
    RequestEntropy,
    ShowHeard,
    ShowStatus,
    Status,
    Step,
    Transmit,
)
from gateway.core.events import (
    ActsArrived,
    CopyTold,
    EntropyArrived,
    Event,
    FrameAcknowledged,
    FrameRefused,
    FrameRelayed,
    FrameSent,
    LampsTold,
    LinkDown,
    LinkTold,
    LinkUp,
    LogHeadCommitted,
    QueueDown,
    QueueUp,
    SpareTold,
    Started,
    Stopping,
    StoreHealed,
)
from gateway.core.records import Recovered, Write
from gateway.errors import StoreRefusedError
from gateway.model import Instant, LinkName, Now
from gateway.runtime.desk import RuntimeDesk
from gateway.runtime.inbox import Entry, Inbox
from gateway.store.base import Store

BATCH_COUNT_MAX: Final = 64
"""Events that share one commit, so that the first of them need not wait long."""
PROBE_INTERVAL_S: Final = 2.0
"""How often a store that refused is asked whether it can write again."""
ENTROPY_SIZE: Final = 128


class Stepper(Protocol):
    """What the loop needs of `core.engine.Engine`."""

    def next_deadline(self) -> Instant | None: ...

    def handle(self, event: Event, *, now: Now) -> Step: ...

    def handle_timeout(self, *, now: Now) -> Step: ...


class ReadsClock(Protocol):
    """What the loop needs of `runtime.clock.Clock`."""

    def now(self) -> Now: ...

    def boot_id(self) -> str: ...


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Outlets:
    """Where effects go. None of them blocks."""

    transmit: Mapping[LinkName, Callable[[Transmit], None]]
    """The outbox of each link's supervisor."""
    show: Callable[[Status], None]
    """The lamps."""
    observe: Callable[[Observe], None]
    """The local log."""
    entropy: Callable[[int], bytes]
    """`os.urandom`; only a simulation gives another."""
    discard: Callable[[], None] = lambda: None
    """Empty the outboxes of all links: the engine that filled them is gone."""


class EngineLoop:
    """Runs one engine over one store until it is cancelled."""

    def __init__(
        self,
        *,
        store: Store,
        make_engine: Callable[[Recovered], Stepper],
        clock: ReadsClock,
        inbox: Inbox,
        desk: RuntimeDesk,
        outlets: Outlets,
        version: str,
        configuration: str = "",
    ) -> None:
        self._store = store
        self._make_engine = make_engine
        self._clock = clock
        self._inbox = inbox
        self._desk = desk
        self._outlets = outlets
        self._version = version
        self._configuration = configuration
        self._engine: Stepper
        self._links_up: dict[LinkName, LinkUp] = {}
        self._links_down: dict[LinkName, str] = {}
        """Why a link has no device; the status tells it in place of the device's detail."""
        self._queues_down: dict[str, QueueDown] = {}
        self._parts_down: dict[type, Event] = {}
        """Lamps, the spare, the copy at the cluster: what was told last of each that fails."""
        self._stopping: Stopping | None = None
        self._transmission_base = 0
        """Added to the engine's numbers: a rebuilt engine counts from 1 again, reports do not."""
        self._transmission_last = 0
        self._refused_since: float | None = None
        self._probe_at = 0.0
        self._rebuilt_at = float("-inf")

    async def start(self) -> None:
        """Recover the store and give the engine its first event. Raises the store's errors."""
        recovered = await self._store.recover()
        self._engine = self._make_engine(recovered)
        # A start on a full disk asks again like any other refusal, else it would never end.
        self._note_refusal(is_refused=recovered.store_refused)
        await self._turn([Entry(self._started())])

    def refused_ms(self) -> int:
        """For how long the store refuses by now; 0: it does not."""
        if self._refused_since is None:
            return 0
        return round(1000 * (asyncio.get_running_loop().time() - self._refused_since))

    def _note_refusal(self, *, is_refused: bool) -> None:
        if not is_refused:
            self._refused_since = None
        elif self._refused_since is None:
            self._refused_since = asyncio.get_running_loop().time()

    async def run(self) -> None:
        """Turn for ever; `start` came before. Raises `StoreFailedError`."""
        while True:
            await self._inbox.wait(self._wait_s())
            if self._refused_since is not None:
                await self._probe()
            await self._turn(self._inbox.take(BATCH_COUNT_MAX))

    def _started(self) -> Started:
        entropy = self._outlets.entropy(ENTROPY_SIZE)
        return Started(self._clock.boot_id(), entropy, self._version, self._configuration)

    def _wait_s(self) -> float | None:
        """Seconds until the engine's next deadline or the next probe; None: neither."""
        waits: list[float] = []
        deadline = self._engine.next_deadline()
        if deadline is not None:
            waits.append((deadline - self._clock.now().instant) / 1000)
        if self._refused_since is not None:
            waits.append(self._probe_at - asyncio.get_running_loop().time())
        return max(min(waits), 0.0) if waits else None

    async def _turn(self, entries: Sequence[Entry]) -> None:
        """One batch: step the engine, commit all writes, perform all effects, tell who waits."""
        writes: list[Write] = []
        effects: list[Effect] = []
        for step in self._steps(entries):
            writes.extend(step.writes)
            effects.extend(step.effects)
        try:
            head = await self._store.commit(writes) if writes else None
        except StoreRefusedError as error:
            await self._refuse(entries, error)
            return
        if head is not None:
            self._inbox.put_first([LogHeadCommitted(head)])
        if effects:
            self._perform(effects)
            await self._bring_acts(effects)
        for entry in entries:
            entry.settle()

    def _steps(self, entries: Sequence[Entry]) -> list[Step]:
        now = self._clock.now()
        steps: list[Step] = []
        for entry in entries:
            event = self._noted(entry.event)
            if event is not None:
                steps.append(self._engine.handle(event, now=now))
        deadline = self._engine.next_deadline()
        if deadline is not None and deadline <= now.instant:
            steps.append(self._engine.handle_timeout(now=now))
        return steps

    def _noted(self, event: Event | None) -> Event | None:
        """Keep what a rebuilt engine must be told again; translate transmission numbers."""
        match event:
            case LinkUp():
                self._links_up[event.link] = event
                self._links_down.pop(event.link, None)
            case LinkDown():
                self._links_up.pop(event.link, None)
                self._links_down[event.link] = event.reason
            case LinkTold():
                self._note_told(event)
            case QueueUp():
                self._queues_down.pop(event.queue, None)
            case QueueDown():
                self._queues_down[event.queue] = event
            case CopyTold(problem=problem) | LampsTold(problem) | SpareTold(problem):
                self._parts_down.pop(type(event), None)
                if problem:
                    self._parts_down[type(event)] = type(event)(problem)
            case Stopping():
                self._stopping = event
            case FrameSent() | FrameAcknowledged() | FrameRelayed() | FrameRefused():
                if not self._transmission_base:
                    return event  # nearly always: a copy costs as much as the rest of the way
                number = event.transmission - self._transmission_base
                if number <= 0:
                    return None  # of an engine that was dropped
                return dataclasses.replace(event, transmission=number)
            case _:
                pass
        return event

    def _note_told(self, event: LinkTold) -> None:
        up = self._links_up.get(event.link)
        if up is None:
            self._links_down[event.link] = event.detail
        else:
            traits = dataclasses.replace(up.traits, detail=event.detail, is_mute=event.is_mute)
            self._links_up[event.link] = dataclasses.replace(up, traits=traits)

    def _perform(self, effects: Sequence[Effect]) -> None:
        is_news = False
        for effect in effects:
            match effect:
                case Transmit():
                    self._transmit(effect)
                case ConfirmSubmission() | ConfirmAnswer() | ConfirmClear() | RejectRequest():
                    self._desk.settle(effect)
                case Publish():
                    is_news = True
                case ShowStatus():
                    links = self._with_reasons(effect.status.links)
                    status = dataclasses.replace(effect.status, links=links)
                    self._desk.show(status)
                    self._outlets.show(status)
                    is_news = True
                case ShowHeard():
                    links = self._with_reasons(effect.links)
                    self._desk.note_heard(dataclasses.replace(effect, links=links))
                case Observe():
                    self._outlets.observe(effect)
                case RequestEntropy():
                    self._inbox.put(EntropyArrived(self._outlets.entropy(effect.size)))
                case RequestActs():
                    pass  # `_bring_acts`: the store is asked, which takes a while
                case _:
                    assert_never(effect)
        if is_news:
            self._desk.announce()

    async def _bring_acts(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, RequestActs):
                self._inbox.put(ActsArrived(tuple(await self._store.acts(effect.ids))))

    def _with_reasons(self, links: Iterable[LinkStatus]) -> tuple[LinkStatus, ...]:
        """The links, where one without a device says why: what is missing, what to do."""
        return tuple(
            link
            if link.device_up
            else dataclasses.replace(link, detail=self._links_down.get(link.name, link.detail))
            for link in links
        )

    def _transmit(self, effect: Transmit) -> None:
        number = effect.transmission + self._transmission_base
        self._transmission_last = max(self._transmission_last, number)
        if self._transmission_base:
            effect = dataclasses.replace(effect, transmission=number)
        self._outlets.transmit[effect.link](effect)

    async def _refuse(self, entries: Sequence[Entry], error: StoreRefusedError) -> None:
        """Drop the step and the engine; go on with one that knows the store cannot write.

        Frames of the dropped batch come again from the far station; `taken` and `displayed` are
        repeated by the consumer, who sees the notice again.
        """
        self._outlets.observe(Observe(Level.ERROR, "commit_refused", {"reason": str(error)}))
        self._desk.refuse(
            (entry.event for entry in entries), RejectCode.STORE_REFUSED, f"not stored: {error}"
        )
        time = asyncio.get_running_loop().time
        await asyncio.sleep(max(0.0, self._rebuilt_at + PROBE_INTERVAL_S - time()))
        recovered = await self._store.recover()
        self._engine = self._make_engine(dataclasses.replace(recovered, store_refused=True))
        self._outlets.discard()
        self._transmission_base = self._transmission_last
        news: list[Event] = [self._started(), *self._links_up.values()]
        news.extend(self._queues_down.values())
        news.extend(self._parts_down.values())
        if self._stopping is not None:
            news.append(self._stopping)
        self._inbox.put_first(news)
        self._note_refusal(is_refused=True)
        self._rebuilt_at = time()
        self._probe_at = self._rebuilt_at + PROBE_INTERVAL_S
        for entry in entries:
            entry.settle()

    async def _probe(self) -> None:
        time = asyncio.get_running_loop().time
        if time() < self._probe_at:
            return
        self._probe_at = time() + PROBE_INTERVAL_S
        if await self._store.probe():
            self._note_refusal(is_refused=False)
            self._inbox.put(StoreHealed())
