"""What one frame carries: a hello, or receipts owed, the fastest part that waits, and beats.

Takes from a lane and the acts under way; hands nothing to a driver and decides no timing.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import Final, Protocol

from gateway.core.draft import Draft
from gateway.core.entropy import EntropyPool
from gateway.core.events import LinkTraits
from gateway.core.lane import Flight, Lane, Part
from gateway.core.outgoing import WHOLE, Attempt, OutAct, Outgoing
from gateway.core.reception import Reception
from gateway.core.session import Session
from gateway.core.timers import Timers
from gateway.model import Instant, Precedence, Previous
from gateway.wire.items import (
    ActItem,
    BeatItem,
    FragmentItem,
    Item,
    encode_item,
    encoded_size,
    join_items,
)
from gateway.wire.limits import CHALLENGE_SIZE, INCARNATION_SIZE

_FRAGMENT_COST: Final = 36
"""Octets around a fragment on a radio: item, header, tag; an upper estimate for the governor."""
_UPKEEP_SIZE: Final = 96
"""Octets of a long hello, sealed; beats and receipts are shorter."""
_ACT_COST: Final = 70
"""Octets of an act item around its map: signature, age."""
ITEM_COUNT_MAX: Final = 24
"""Items in one frame, below the format's limit; what is left over goes with the next."""


NOTHING_BEFORE: Final = Previous(0, 0)


@dataclass(slots=True)
class Standing:
    """What our hellos and beats tell of us."""

    epoch: int = 0
    previous: Previous = NOTHING_BEFORE
    entry_number: int = 0
    is_refused: bool = False
    """The store cannot write."""
    is_full: bool = False
    """This peer has all the notices open here that it may."""
    heard_at: Instant | None = None
    """When an authentic frame of the peer last came in, by any link."""

    @property
    def is_busy(self) -> bool:
        """What is told as BUSY: notices of this peer are not kept now."""
        return self.is_refused or self.is_full


class TellsAge(Protocol):
    """Knows how old an act is."""

    def age_s(self, act: OutAct, draft: Draft) -> int | None:
        """Its age now; None while unknown."""
        ...


Composed = tuple[Flight, bytes, Precedence]


class Composer:
    """Makes the frames of one line."""

    __slots__ = (
        "_ages",
        "_entropy",
        "_order",
        "_outgoing",
        "_reception",
        "_session",
        "_standing",
        "_timers",
        "_transmission",
    )

    def __init__(
        self,
        *,
        session: Session,
        outgoing: Outgoing,
        reception: Reception,
        standing: Standing,
        timers: Timers,
        entropy: EntropyPool,
        ages: TellsAge,
    ) -> None:
        self._session = session
        self._outgoing = outgoing
        self._reception = reception
        self._standing = standing
        self._timers = timers
        self._entropy = entropy
        self._ages = ages
        self._transmission = 0
        self._order = 0

    def queue_parts(self, act: OutAct, lane: Lane) -> None:
        """Put an act's round on a lane: whole if one frame holds it, else what is missing."""
        traits = lane.health.traits
        assert traits is not None
        item = ActItem(0xFFFF, act.octets, act.signature)
        fits = encoded_size(item) + self._session.overhead() <= traits.frame_size_max
        indexes = [WHOLE] if fits or not act.fragments else act.missing() or [0]
        self._push(act, lane, act.attempts[lane.name], indexes)

    def round_size(self, act: OutAct, lane: Lane) -> int:
        """Octets of payload that a round of this act takes on a lane, frames' overhead included."""
        traits = lane.health.traits
        assert traits is not None
        overhead = self._session.overhead()
        whole = encoded_size(ActItem(0xFFFF, act.octets, act.signature)) + overhead
        if whole <= traits.frame_size_max or not act.fragments:
            return whole
        return sum(len(act.fragments[index]) + _FRAGMENT_COST for index in act.missing() or [0])

    def governed_until(self, lane: Lane, draft: Draft) -> Instant:
        """When the governor lets the fastest part that waits on this lane go."""
        now = draft.now.instant
        act = self._outgoing.get(lane.jobs[0][2].act_id) if lane.jobs else None
        traits = lane.health.traits
        if act is None or traits is None:
            return now
        index = lane.jobs[0][2].index
        octets = len(act.octets) + _ACT_COST if index == WHOLE else len(act.fragments[index])
        airtime_ms = lane.worst_ms(traits.airtime.of(octets + _FRAGMENT_COST))
        return lane.governor.fits_at(now, airtime_ms, act.precedence)

    def resumes_at(self, lane: Lane, draft: Draft) -> Instant:
        """When the governor lets the first of what waits on this lane go; now if nothing waits."""
        now, traits = draft.now.instant, lane.health.traits
        if traits is None or not lane.governor.is_limited:
            return now
        due = [self.governed_until(lane, draft)] if lane.jobs else []
        if lane.hello_due or lane.beat_due or lane.beat_replies:
            due.append(self._upkeep_at(lane, traits, now))
        if lane.owed:
            # An urgent act waits for its receipt at the far end, so it may use the reserve; what
            # remains is room for a whole FLASH of our own.
            airtime_ms = traits.airtime.of(_UPKEEP_SIZE) + traits.airtime.of(traits.frame_size_max)
            due.append(lane.governor.fits_at(now, airtime_ms, Precedence.FLASH))
        return min(due, default=now)

    def _upkeep_at(self, lane: Lane, traits: LinkTraits, now: Instant) -> Instant:
        """When hellos and beats may go by this lane."""
        airtime_ms = traits.airtime.of(_UPKEEP_SIZE)
        due = lane.governor.upkeep_at(now, airtime_ms)
        if due > now and lane.hello_due and lane.acts and not self._session.is_settled:
            # Until hellos went both ways no receipt counts, so both ends would spend all they have
            # on the same FLASH again and again: the hello belongs to what waits for it.
            acts = (self._outgoing.get(act_id) for act_id in lane.acts)
            precedence = min(act.precedence for act in acts if act is not None)
            due = min(due, lane.governor.fits_at(now, airtime_ms, precedence))
        return due

    def compose(self, lane: Lane, traits: LinkTraits, draft: Draft) -> Composed | None:
        """The next frame for a free lane; None: nothing is due, or the governor lets none go.

        A FLASH that is queued there goes in it, unless one went in the frame before: between two
        of its frames there is room for one hello, or for one frame of receipts alone.
        """
        composed = self._compose_next(lane, traits, draft)
        if composed is not None:
            lane.flash_went = composed[2] is Precedence.FLASH
        return composed

    def _compose_next(self, lane: Lane, traits: LinkTraits, draft: Draft) -> Composed | None:
        now = draft.now.instant
        if self._upkeep_at(lane, traits, now) > now:
            if self.resumes_at(lane, draft) > now:
                return None
            self._transmission += 1
            return self._compose_items(lane, traits, draft)
        self._transmission += 1
        if lane.jobs and (lane.hello_went or _is_turn_of_flash(lane)):
            # A hello that is refused, or of which the driver says nothing, is due again at once: it
            # must not take the turn of what waits each time.
            lane.hello_went = False
            composed = self._compose_items(lane, traits, draft)
            if composed is not None:
                return composed
        composed = self._compose_hello(lane, draft)
        lane.hello_went = composed is not None
        return composed or self._compose_items(lane, traits, draft)

    def attempts_of(self, lane: Lane, flight: Flight) -> list[tuple[OutAct, Attempt]]:
        """The acts in a frame that are still under way on its lane."""
        found: dict[object, tuple[OutAct, Attempt]] = {}
        for part in flight.parts:
            act = self._outgoing.get(part.act_id)
            attempt = act.attempts.get(lane.name) if act is not None else None
            if act is not None and attempt is not None:
                found[act.id] = (act, attempt)
        return list(found.values())

    def _push(self, act: OutAct, lane: Lane, attempt: Attempt, indexes: list[int]) -> None:
        for index in indexes:
            self._order += 1
            attempt.queued += 1
            lane.push(act.precedence, self._order, Part(act.id, index))

    def _renew(self, lane: Lane, draft: Draft) -> None:
        """A key seals 2^20 frames at most: a new incarnation in time."""
        if self._session.needs_renewal and self._entropy.can_give(INCARNATION_SIZE):
            self._session.renew(self._entropy.take(INCARNATION_SIZE, draft))
            draft.status_changed = True
            lane.hello_due = True

    def _compose_hello(self, lane: Lane, draft: Draft) -> Composed | None:
        if not lane.hello_due:
            return None
        self._renew(lane, draft)
        fresh = None
        answers = lane.hello_echo
        stranger = answers is not None and not self._session.is_proven(answers)
        # Without a challenge the peer, for whom all is settled, would not answer, and we would
        # never be confirmed.
        if self._session.needs_challenge or stranger or not self._session.is_confirmed:
            if not self._entropy.can_give(CHALLENGE_SIZE):
                return None
            fresh = self._entropy.take(CHALLENGE_SIZE, draft)
        heard_at = self._standing.heard_at
        hello = self._session.hello(
            epoch=self._standing.epoch,
            previous=self._standing.previous,
            fresh=fresh,
            echo=answers,
            response=lane.hello_response,
            known=self._reception.known(),
            heard_s=None
            if heard_at is None
            else min((draft.now.instant - heard_at) // 1000, 0xFFFF_FFFF),
            busy=self._standing.is_busy,
        )
        lane.hello_due = False
        lane.hello_response = None
        lane.hello_echo = None
        octets = self._session.seal_hello(hello)
        flight = Flight(self._transmission, len(octets), (), -1, want_ack=False, is_hello=True)
        return flight, octets, Precedence.IMMEDIATE

    def _compose_items(self, lane: Lane, traits: LinkTraits, draft: Draft) -> Composed | None:
        pays = lane.owed and not self._standing.is_refused
        if not (pays or lane.jobs or lane.beat_due or lane.beat_replies):
            return None  # most calls: a frame came in, or left, and nothing is due
        self._renew(lane, draft)
        room = traits.frame_size_max - self._session.overhead()
        receipts: list[bytes] = []
        flash_first = _is_turn_of_flash(lane)
        if pays and not flash_first:
            receipts, room = self._take_receipts(lane, room)
        taken = self._take_parts(lane, room, draft, is_shared=bool(receipts))
        parts, acts, precedence, room = taken
        if pays and flash_first:
            receipts, room = self._take_receipts(lane, room)
        items = receipts + acts
        beat = self._take_beats(lane, items, room)
        if not items:
            return None
        octets, counter = self._session.seal(join_items(items))
        want_ack = bool(parts) and lane.wants_ack
        flight = Flight(self._transmission, len(octets), parts, counter, want_ack, beat=beat)
        if want_ack:
            for _, attempt in self.attempts_of(lane, flight):
                attempt.unresolved += 1
        return flight, octets, precedence

    def _take_receipts(self, lane: Lane, room: int) -> tuple[list[bytes], int]:
        """Receipts that are owed, encoded, as many as fit; and the room that they leave."""
        items: list[bytes] = []
        for item in self._reception.settle(lane.owed, copy_count=lane.receipt_copy_count()):
            encoded = encode_item(item)
            if len(encoded) <= room and len(items) < ITEM_COUNT_MAX:
                items.append(encoded)
                room -= len(encoded)
            else:
                self._reception.owe_again(lane.owed, item)
        return items, room

    def _take_parts(
        self, lane: Lane, room: int, draft: Draft, *, is_shared: bool
    ) -> tuple[tuple[Part, ...], list[bytes], Precedence, int]:
        """The fastest part that waits; more fragments of the same act where there is room.

        `is_shared`: receipts are in the frame already. Returned with their encoded items.
        """
        items: list[bytes] = []
        parts: list[Part] = []
        precedence = Precedence.ROUTINE
        while lane.jobs:
            rank, order, part = lane.jobs[0]
            act = self._outgoing.get(part.act_id)
            attempt = act.attempts.get(lane.name) if act is not None else None
            if act is None or attempt is None or self._is_held_there(act, part):
                self._drop_job(lane, attempt, part, draft)
                continue
            if rank < act.precedence:
                # Its notice ended since: it must not stand before a FLASH, and held for airtime.
                heapq.heapreplace(lane.jobs, (act.precedence, order, part))
                continue
            if parts and (part.index == WHOLE or parts[0].act_id != part.act_id):
                break
            encoded = encode_item(self._item(act, part, draft))
            if len(encoded) > room:
                if is_shared or parts or not act.fragments or part.index != WHOLE:
                    break
                # It fitted when it was queued; the header has grown since (no longer confirmed).
                self._split_job(lane, act, attempt)
                continue
            if not parts and self.governed_until(lane, draft) > draft.now.instant:
                break
            heapq.heappop(lane.jobs)
            attempt.queued -= 1
            act.has_left = True
            items.append(encoded)
            parts.append(part)
            room -= len(encoded)
            precedence = min(precedence, act.precedence)
            if part.index == WHOLE:
                break
        return tuple(parts), items, precedence, room

    def _is_held_there(self, act: OutAct, part: Part) -> bool:
        """The peer said it holds this fragment, and others are missing still."""
        if part.index == WHOLE or not act.held_bitmap >> part.index & 1:
            return False
        return bool(act.missing())

    def _drop_job(self, lane: Lane, attempt: Attempt | None, part: Part, draft: Draft) -> None:
        heapq.heappop(lane.jobs)
        if attempt is None:
            return
        attempt.queued -= 1
        if attempt.queued == 0 and attempt.unresolved == 0:
            # Nothing else of it is queued here: its timer must bring what is missing.
            wait = lane.health.timer_ms(attempt.size_last)
            due = Instant(draft.now.instant + wait)
            self._timers.set_earlier(("rtx", part.act_id, lane.name), due)

    def _split_job(self, lane: Lane, act: OutAct, attempt: Attempt) -> None:
        heapq.heappop(lane.jobs)
        attempt.queued -= 1
        self._push(act, lane, attempt, act.missing() or [0])

    def _item(self, act: OutAct, part: Part, draft: Draft) -> Item:
        age_s = self._ages.age_s(act, draft)
        if part.index == WHOLE:
            return ActItem(age_s, act.octets, act.signature)
        return FragmentItem(
            age_s,
            act.id.epoch,
            act.id.serial,
            part.index,
            len(act.fragments),
            act.fragments[part.index],
        )

    def _take_beats(self, lane: Lane, items: list[bytes], room: int) -> int | None:
        """Replies to beats, and a beat that is due, where they fit; the token of our beat."""
        for token in list(lane.beat_replies):
            reply = self._beat(token, is_reply=True)
            if len(reply) > room:
                return None
            room -= len(reply)
            items.append(reply)
            del lane.beat_replies[token]
        if not lane.beat_due:
            return None
        lane.beat_token = (lane.beat_token + 1) & 0xFF
        beat = self._beat(lane.beat_token, is_reply=False)
        if len(beat) > room:
            return None
        items.append(beat)
        lane.beat_due = False
        return lane.beat_token

    def _beat(self, token: int, *, is_reply: bool) -> bytes:
        standing = self._standing
        return encode_item(BeatItem(token, is_reply, standing.is_busy, standing.entry_number))


def _is_turn_of_flash(lane: Lane) -> bool:
    """Whether a FLASH waits on this lane and the frame before had none."""
    return bool(lane.jobs) and lane.jobs[0][0] == Precedence.FLASH and not lane.flash_went
