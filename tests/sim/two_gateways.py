"""Two gateways of one station and the entry that they share, in virtual time.

Clocks run apart by up to 4 %, requests and answers are lost or late, gateways are cut off, stopped
for a while and started anew. Nothing here knows how `core.tenure` decides.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from dataclasses import replace
from random import Random

from gateway.core.claim import Claim, Copy, Memory, Order, Put
from gateway.core.tenure import LEASE_MS, Tenure
from gateway.model import Instant

LATE_MS = 12_000
"""An answer may be this late."""


class Entry:
    """The entry at the cluster: changed by compare-and-set only."""

    def __init__(self) -> None:
        self.claim: Claim | None = None
        self.revision = 0

    def put(self, order: Put) -> int | None:
        if order.revision != self.revision:
            return None
        self.claim = order.claim
        self.revision += 1
        return self.revision


class Gateway:
    """One of the two: a process that may be cut off, frozen or killed."""

    def __init__(self, pair: Pair, name: str, *, by_lease: bool, lease_ms: int) -> None:
        self.pair = pair
        self.lease_ms = lease_ms
        self.name = name
        self.by_lease = by_lease
        self.rate = pair.rng.uniform(0.98, 1.02)
        self.offset = pair.rng.randrange(10**9)
        self.is_cut = False
        self.frozen_until = 0
        self.is_off = False
        self.memory = Memory()
        self.generation = 0
        self.tenure = self._new()

    def _new(self) -> Tenure:
        return Tenure(
            name=self.name,
            run=f"{self.name}{self.generation}",
            memory=self.memory,
            now=self.now(),
            by_lease=self.by_lease,
            lease_ms=self.lease_ms,
        )

    def now(self) -> Instant:
        return Instant(int(self.pair.now_ms * self.rate) + self.offset)

    def transmits(self) -> bool:
        return not self.is_off and self.tenure.may_transmit(self.now())

    def kill(self) -> None:
        self.is_off = True
        self.generation += 1

    def reboot(self) -> None:
        """Kill it; what it remembers of its last run proves nothing after the next start."""
        self.kill()
        wish = self.memory.wish
        if wish is not None:
            wish = replace(wish, said_at=None)
        self.memory = replace(self.memory, run="", resume_count=0, wish=wish)

    def stop(self) -> None:
        """End it in order: it has a moment to say so at the cluster."""
        self.tenure.leave(self.now())
        generation = self.generation
        self.turn()

        def end() -> None:
            if generation == self.generation:
                self.kill()

        self.pair.at(1_500, end)

    def start(self) -> None:
        self.is_off = False
        self.generation += 1
        self.tenure = self._new()
        self.tenure.set_copy(Copy.WHOLE, self.now())
        self.turn()

    def turn(self) -> None:
        """Ask for the next order and follow it; then again at the deadline."""
        if self.is_off:
            return
        if self.pair.now_ms < self.frozen_until:
            self._at(self.frozen_until - self.pair.now_ms, self.turn)
            return
        order = self.tenure.order(self.now())
        self.memory = self.tenure.memory(self.now())
        if order is not None:
            self._ask(order)
        else:
            wait = self.tenure.next_deadline(self.now()) - self.now()
            self._at(max(wait, 1), self.turn)

    def _ask(self, order: Order) -> None:
        """One request at a time, as the shell does; no answer in 5 s is none."""
        asked_at, rng = self.now(), self.pair.rng
        waiting = [True]

        def answer(done: Callable[[], None]) -> None:
            if not waiting[0]:
                return
            if self.pair.now_ms < self.frozen_until:
                self._at(self.frozen_until - self.pair.now_ms, lambda: answer(done))
                return
            waiting[0] = False
            done()
            self.turn()

        def arrive() -> None:
            if self.is_cut:
                return
            if self.pair.is_stuck and isinstance(order, Put):
                self.pair.held.append(order)
                return
            done = self._serve(order, asked_at)
            if rng.random() > self.pair.loss:
                self._at(self._delay(), lambda: answer(done))

        if not self.is_cut and rng.random() > self.pair.loss:
            self.pair.at(self._delay(), arrive)  # it arrives although its sender was killed
        self._at(5_000, lambda: answer(lambda: None))

    def _serve(self, order: Order, asked_at: Instant) -> Callable[[], None]:
        entry = self.pair.entry
        tenure = self.tenure
        if isinstance(order, Put):
            put, taken = order, entry.put(order)
            if taken is None:
                return lambda: tenure.refused(self.now())
            return lambda: tenure.put(put, taken, asked_at=asked_at, now=self.now())
        claim, revision = entry.claim, entry.revision
        return lambda: tenure.read(claim, revision, self.now())

    def _delay(self) -> int:
        rng = self.pair.rng
        return rng.randrange(LATE_MS) if rng.random() < self.pair.late else rng.randrange(1, 80)

    def _at(self, delay_ms: int, what: Callable[[], None]) -> None:
        generation = self.generation

        def only_now() -> None:
            if generation == self.generation:
                what()

        self.pair.at(delay_ms, only_now)


class Pair:
    """Both, their entry and the time. `watch` runs after each event."""

    def __init__(
        self,
        seed: int,
        *,
        by_lease: bool = True,
        loss: float = 0.0,
        leases_ms: tuple[int, int] = (LEASE_MS, LEASE_MS),
    ) -> None:
        self.rng = Random(seed)
        self.now_ms = 0
        self.loss = loss
        self.late = 0.05
        """Part of the answers that are late."""
        self.is_stuck = False
        """The cluster has a leader and no majority: it answers who reads, and takes nothing now."""
        self.held: list[Put] = []
        """What it may take when it has one again; nobody is told."""
        self.numbers = itertools.count()
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self.entry = Entry()
        self.a, self.b = (
            Gateway(self, name, by_lease=by_lease, lease_ms=lease_ms)
            for name, lease_ms in zip("ab", leases_ms, strict=True)
        )
        self.both_ms: list[int] = []
        """When both transmitted."""
        self.silent_since = 0
        self.silent_ms_max = 0
        for gateway in (self.a, self.b):
            gateway.start()

    def unstick(self, *, takes_late: bool) -> None:
        """There is a majority again."""
        self.is_stuck, held, self.held = False, self.held, []
        for order in held if takes_late else ():
            self.entry.put(order)

    def at(self, delay_ms: int, what: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self.now_ms + delay_ms, next(self.numbers), what))

    def run(self, for_ms: int) -> None:
        """Pass time, looking at both at each event and each 250 ms."""
        until = self.now_ms + for_ms
        while True:
            upcoming = self._events[0][0] if self._events else until
            self.now_ms = min(upcoming, until, self.now_ms + 250)
            while self._events and self._events[0][0] <= self.now_ms:
                heapq.heappop(self._events)[2]()
                self._look()
            self._look()
            if self.now_ms >= until:
                return

    def _look(self) -> None:
        live = [one.transmits() for one in (self.a, self.b)]
        if all(live):
            self.both_ms.append(self.now_ms)
        if any(live):
            self.silent_since = self.now_ms
        self.silent_ms_max = max(self.silent_ms_max, self.now_ms - self.silent_since)

    def active(self) -> str:
        return "".join(one.name for one in (self.a, self.b) if one.transmits())
