"""Which of a station's two gateways may transmit: the one that holds the claim, for as long.

The two share one entry that is changed by compare-and-set only (`Claim`, with its revision). A
claim by *lease* is renewed, and good until `lease_ms` after the last renewal that the cluster took
was *asked for*, by the holder's own clock; the other takes it no earlier than `lease_wait_ms` after
it first saw that renewal, by its own. So no common clock is needed. A claim by *hand* has no end:
losing the cluster never silences a gateway that a person made the active one (`promotion`: until
the entry shows his word).

A lease is the station's, not the process's: who was killed or stopped and is back on the same
machine goes on with it at once. It is renewed only while the engine works, and who ends again and
again leaves it to the other.

Absent: how the entry is kept, and what follows from being the active one (`runtime`).
"""

from __future__ import annotations

from typing import Final

from gateway.core.claim import Claim, Copy, Hold, Memory, Obstacle, Order, Put, Read
from gateway.core.promotion import Promotion
from gateway.core.takeover import Start, Takeover, takeover
from gateway.model import Instant

LEASE_MS: Final = 15_000
"""Longer than a crash (systemd's second, a start of one to four) and than most elections of the
cluster; with a quarter more and a start, a third of what a FLASH may wait for its receipt (60 s).
"""
PAUSE_MS: Final = 10_000
"""Who is stopped in order is waited for this long: an upgrade or a restart changes no roles."""
RESUME_COUNT_MAX: Final = 3
"""Starts that take up the lease of a killed run, one after the other; then it is the other's."""
STEADY_MS: Final = 120_000
"""Who was the active one for this long has no such start behind it."""


class Tenure:
    """One gateway's side of it. All instants are of its own clock."""

    def __init__(
        self,
        *,
        name: str,
        run: str,
        memory: Memory,
        now: Instant,
        by_lease: bool,
        lease_ms: int = LEASE_MS,
    ) -> None:
        """`by_lease`: take the claim without a person when nobody holds it."""
        self._name = name
        self._run = run
        self._by_lease = by_lease
        self._lease_ms = lease_ms
        self._claim: Claim | None = None
        self._revision = 0
        self._read_at: Instant | None = None
        """When the entry was last seen; None: never in this run."""
        self._wait_for_other(now, memory.wait_ms)
        self._hold = Hold.NONE
        self._from = now
        self._until = now
        self._begun_at = now
        self._term = memory.term
        self.promotion = Promotion(memory, now)
        self._gives_back = False
        self._is_resting = False
        """A person made it stand by: it takes nothing by itself until the other was active."""
        self._was_by_hand = memory.by_hand and not memory.wait_ms
        self._earlier_run = memory.run
        self._resume_count = memory.resume_count
        self._copy = Copy.UNSEEN
        self._is_well = True
        self._is_leaving = False
        self._is_resuming = False
        """The next lease taken is one that a killed run of this gateway had."""
        self._is_stale = True
        self._next_at = now
        self.number = 0
        """Rises with each time this one becomes the active one; orders of an older one are void."""

    # What it says.

    @property
    def hold(self) -> Hold:
        return self._hold

    @property
    def term(self) -> int:
        """Of the latest claim that this gateway knows or has."""
        return max(self._term, self._claim.term if self._claim else 0)

    def memory(self, now: Instant) -> Memory:
        """To be kept before anything is transmitted."""
        is_by_hand = self._hold is Hold.HAND or self.promotion.is_recalled
        wish = self.promotion.remembered
        until = self._from if self._hold is Hold.HAND else self._others_until
        is_waiting = now < until and (is_by_hand or wish is not None)
        return Memory(
            by_hand=is_by_hand,
            wish=wish,
            wait_ms=self._wait_ms if is_waiting else 0,
            term=self._term,
            run=self._earlier_run,
            resume_count=self._resume_count,
        )

    @property
    def owes_word(self) -> bool:
        """Whether it holds nothing any more and could not say so at the cluster yet."""
        return self._gives_back or self._is_leaving

    @property
    def other(self) -> Claim | None:
        """The claim of the other gateway, as last seen; None: it holds none."""
        claim = self._claim
        if claim is None or claim.hold is Hold.NONE or self._is_ours(claim):
            return None
        return claim

    @property
    def seen(self) -> tuple[Claim | None, Instant | None, Instant]:
        """The entry, when it was last seen, and until when a lease of the other may be good."""
        return self._claim, self._read_at, self._others_until

    @property
    def lease_wait_ms(self) -> int:
        """The longer lease and a quarter, for clocks that run apart and what is under way."""
        lease_ms = max(self._lease_ms, self._claim.lease_ms if self._claim else 0)
        return lease_ms + lease_ms // 4

    def may_transmit(self, now: Instant) -> bool:
        """Whether a frame may be handed to a device at this instant."""
        match self._hold:
            case Hold.HAND:
                return now >= self._from
            case Hold.LEASE:
                return self._from <= now < self._until
            case _:
                return False

    def is_seen(self, now: Instant) -> bool:
        """Whether the cluster showed the entry lately."""
        return self._read_at is not None and now - self._read_at < self._lease_ms

    def next_deadline(self, now: Instant) -> Instant:
        """When `order` shall be asked again at the latest."""
        due = [self._next_at]
        if self._hold is Hold.LEASE:
            due.append(self._until)
        if (deadline := self.promotion.deadline()) is not None:
            due.append(deadline)
        if self._hold is not Hold.NONE and now < self._from:
            due.append(self._from)
        if self._by_lease and self._hold is Hold.NONE and now < self._others_until:
            due.append(self._others_until)
        return min(due)

    # What a person says.

    def promote(self, *, other_is_off: bool, now: Instant) -> Obstacle | None:
        """Make this one the active one. `other_is_off`: a person has seen to that."""
        if self._hold is Hold.HAND:
            return None
        if not self.is_seen(now):
            if not other_is_off:
                return Obstacle(
                    "the cluster cannot be asked whether the other gateway is active",
                    "make sure that the other one is off, and say so (--other-is-off)",
                )
            self._wait_for_other(now, 0)
            self._go_alone(now)
            return None
        other = self.other
        if other is not None and other.hold is Hold.HAND and not other_is_off:
            return Obstacle(
                f"gateway {other.name} was promoted by hand, and goes on without the cluster",
                "make that one stand by first, or see that it is off and say so (--other-is-off)",
            )
        if other_is_off:
            self._wait_for_other(now, 0)
        self.promotion.say(now, other_is_off=other_is_off, revision=self._revision)
        self._is_resting = self._gives_back = False
        self._next_at = now
        return None

    def stand_by(self, now: Instant) -> None:
        """Stop being the active one at once, and let the other take it."""
        self._gives_back = self._hold is not Hold.NONE or self.promotion.is_wanted
        self.promotion.withdraw()
        self._end()
        self._is_resting = True
        self._next_at = now

    # What this gateway itself says.

    def leave(self, now: Instant) -> None:
        """The process was told to end. A lease is kept for `PAUSE_MS`, a person's word for ever."""
        if self._hold is not Hold.LEASE or self.promotion.is_wanted:
            return
        self._end()
        self._is_resting = self._is_leaving = True
        self._next_at = now

    def give_way(self, now: Instant) -> None:
        """It cannot do the work: by lease, the other may have it first."""
        if self._hold is not Hold.LEASE:
            return
        self._gives_back = True
        self._end()
        self._wait_for_other(now, self.lease_wait_ms)
        self._next_at = now

    def set_copy(self, copy: Copy, now: Instant) -> None:
        """How its store compares: only one that is whole, or ahead, takes a lease."""
        if copy is not self._copy:
            self._copy = copy
            self._next_at = now

    def set_well(self, is_well: bool) -> None:
        """Whether the engine works: else a lease is not renewed, and ends."""
        self._is_well = is_well

    def takeover(self, copy: Copy, now: Instant) -> Takeover:
        """What follows from holding the claim, with a store that compares so."""
        found = takeover(
            copy,
            is_by_hand=self._hold is Hold.HAND,
            was_by_hand=self._was_by_hand,
            waited_ms=now - self._begun_at,
        )
        if found.start is Start.LEAVE:
            self._gives_back = self._hold is not Hold.NONE
            self._end()
            self._copy, self._next_at = copy, now
        return found

    # What the cluster says.

    def read(self, claim: Claim | None, revision: int, now: Instant) -> None:
        """The entry as it is now."""
        self._read_at, self._is_stale = now, False
        is_wanted = self.promotion.looked()
        if revision == self._revision and claim == self._claim:
            return
        self._claim, self._revision = claim, revision
        self._next_at = now
        if claim is None:
            return
        if self._is_ours(claim):
            if claim.hold is Hold.HAND:
                self._have_hand(claim, now)  # its answer was lost
            return
        if self._hold is Hold.NONE and claim.name == self._name and claim.hold is Hold.HAND:
            self._meet_own(now, is_wanted=is_wanted)
            return
        if self._hold is Hold.NONE and self._is_left(claim):
            self._resume(claim, now)
            return
        if claim.hold is not Hold.NONE:
            self._is_resting = self._gives_back = False
        if claim.hold is Hold.LEASE:
            wait_ms = self.lease_wait_ms
            self._wait_for_other(now, min(PAUSE_MS, wait_ms) if claim.is_paused else wait_ms)
        elif claim.hold is Hold.NONE:
            self._wait_for_other(now, 0)
        if self._hold is Hold.LEASE:
            self._end()
        if self._is_by_hand():
            self._meet(claim)

    def _is_left(self, claim: Claim) -> bool:
        """Whether an earlier run of this gateway had the lease, and surely transmits no more."""
        is_over = claim.is_paused or claim.run == self._earlier_run
        return claim.name == self._name and claim.hold is Hold.LEASE and is_over

    def _resume(self, claim: Claim, now: Instant) -> None:
        """Take the lease up at once, or, after too many ends, let the other have it first."""
        is_wanted = self.promotion.is_wanted
        if claim.is_paused or is_wanted or self._resume_count < RESUME_COUNT_MAX:
            self._wait_for_other(now, 0)
            self._is_resuming = not (claim.is_paused or is_wanted)
        else:
            self._gives_back = True
            self._wait_for_other(now, self.lease_wait_ms)

    def _meet_own(self, now: Instant, *, is_wanted: bool) -> None:
        """An earlier run's claim by hand: it goes on, unless a person took his word back. Should it
        be of a copy of our card after all, that one has the time to claim again.
        """
        if is_wanted:
            self.promotion.recall(now)
            return
        self._gives_back = True
        self._wait_for_other(now, self.lease_wait_ms)

    def _meet(self, claim: Claim) -> None:
        """One that was promoted by hand sees another's claim: the later word of a person counts."""
        promotion = self.promotion
        if self._hold is Hold.NONE and not promotion.is_recalled:
            if claim.name != self._name:
                promotion.meet(claim, self._revision)
            return
        is_later = claim.term > self._term if self._hold is Hold.NONE else claim.term >= self._term
        # A word that the entry never showed is maybe newer than one that may have come here late.
        is_word = claim.hold is Hold.HAND and not (claim.is_asked and promotion.is_owed)
        if is_later and (is_word or (promotion.is_recalled and claim.hold is Hold.LEASE)):
            promotion.withdraw()
            self._end()
            return
        promotion.is_owed = True

    def put(self, done: Put, revision: int, *, asked_at: Instant, now: Instant) -> None:
        """The cluster took our claim; it was asked at `asked_at`."""
        claim = done.claim
        self._claim, self._revision, self._read_at = claim, revision, now
        self._is_stale = False
        self._next_at = Instant(now + self._lease_ms // 4)
        if claim.hold is Hold.LEASE:
            self._earlier_run = self._run
        if self.promotion.is_wanted:
            self._next_at = now
        if claim.is_paused:
            self._is_leaving = False
        elif claim.hold is Hold.NONE:
            self._gives_back = False
        elif claim.hold is Hold.HAND:
            self._have_hand(claim, now)
        elif self._hold is Hold.LEASE and claim.term == self._term:
            self._until = Instant(asked_at + self._lease_ms)
        elif self._hold is Hold.NONE and not self._is_resting:
            self._until = Instant(asked_at + self._lease_ms)
            self._resume_count += self._is_resuming
            self._is_resuming = False
            self._begin(Hold.LEASE, now, claim.term)

    def _have_hand(self, claim: Claim, now: Instant) -> None:
        """The entry shows our own claim by hand."""
        if not self._is_by_hand():
            self._gives_back = True  # a person changed his mind meanwhile
            self._next_at = now
            return
        self.promotion.taken()
        self._gives_back = False
        if self._hold is not Hold.NONE:
            self._hold, self._term = Hold.HAND, claim.term
        else:
            self._begin(Hold.HAND, now, claim.term)

    def unanswered(self) -> None:
        """The cluster was asked and did not answer: what it said lately counts no more."""
        self._read_at, self._is_stale = None, True

    def refused(self, now: Instant) -> None:
        """The entry had another revision: it must be looked up before anything else."""
        self._is_stale = True
        self._next_at = now

    def order(self, now: Instant) -> Order | None:
        """What to ask of the cluster now; None: nothing before `next_deadline`."""
        self.pass_time(now)
        if now < self._next_at:
            return None
        self._next_at = Instant(now + self._lease_ms // 4)
        if self._is_stale:
            return Read()
        return self._wanted(now) or Read()

    def _wanted(self, now: Instant) -> Put | None:
        if self.promotion.is_wanted:
            return self._put(Hold.HAND, self.term + 1, is_asked=True)
        claim = self._claim
        if self._hold is Hold.HAND and claim and claim.is_asked and self._is_ours(claim):
            return self._put(Hold.HAND, self._term)
        if self._is_leaving:
            if claim is not None and self._is_ours(claim) and claim.hold is Hold.LEASE:
                return self._put(Hold.LEASE, claim.term, is_paused=True)
            self._is_leaving = False
        if self._gives_back:
            if claim is not None and claim.name == self._name and claim.hold is not Hold.NONE:
                return self._put(Hold.NONE, claim.term)
            self._gives_back = False
        if self._hold is Hold.LEASE:
            return self._put(Hold.LEASE, self._term) if self._is_well else None
        if self._hold is Hold.NONE and self._may_take(now):
            return self._put(Hold.LEASE, self.term + 1)
        return None

    def _may_take(self, now: Instant) -> bool:
        if not self._by_lease or self._is_resting:
            return False
        if self._copy not in (Copy.WHOLE, Copy.AHEAD):
            return False
        claim = self._claim
        if claim is not None and claim.hold is Hold.HAND and not self._is_ours(claim):
            return False
        return now >= self._others_until

    def _put(
        self, hold: Hold, term: int, *, is_paused: bool = False, is_asked: bool = False
    ) -> Put:
        lease_ms = self._lease_ms if hold is Hold.LEASE else 0
        claim = Claim(term, self._name, self._run, hold, lease_ms, is_paused, is_asked)
        return Put(claim, self._revision)

    def pass_time(self, now: Instant) -> None:
        """End a lease that was not renewed, and a wait for the cluster. Harmless when early."""
        if self._hold is not Hold.NONE and now >= self._begun_at + STEADY_MS:
            self._resume_count = 0
        if self._hold is Hold.LEASE and now >= self._until:
            self._end()
            if not self._is_well:
                self._wait_for_other(now, self.lease_wait_ms)
        if self.promotion.comes_true(now):
            self._go_alone(now)
        if now >= self._others_until and self._hold is Hold.NONE and self._may_take(now):
            self._next_at = min(self._next_at, now)

    def _go_alone(self, now: Instant) -> None:
        """Be the active one by hand without the cluster."""
        wish = self.promotion.wish
        self.promotion.begun_alone()
        self._is_resting = self._gives_back = False
        self._next_at = now
        if self._hold is not Hold.NONE:
            self._hold, self._term = Hold.HAND, self.term + 1
            return
        self._begin(Hold.HAND, now, self.term + 1)
        if wish is not None and wish.said_at is not None:
            self._begun_at = wish.said_at

    def _wait_for_other(self, now: Instant, wait_ms: int) -> None:
        """A lease of the other may be good for so long."""
        self._others_until, self._wait_ms = Instant(now + wait_ms), wait_ms

    def _begin(self, hold: Hold, now: Instant, term: int) -> None:
        self._hold, self._term = hold, term
        self._begun_at, self._from = now, max(now, self._others_until)
        self.number += 1

    def _end(self) -> None:
        self._hold, self._was_by_hand = Hold.NONE, False
        self.number += 1

    def _is_by_hand(self) -> bool:
        return self._hold is Hold.HAND or self.promotion.is_wanted

    def _is_ours(self, claim: Claim) -> bool:
        return claim.name == self._name and claim.run == self._run
