"""The sealed side of a line: incarnations, hellos, counters, replay windows (DESIGN section 6).

Each start of either gateway has an incarnation of its own. What the peer says unsigned counts only
in an incarnation that answered a challenge of ours; signed acts count in any, for `seen` guards
them. While a rotation is under way two generations are taken: we seal in the newer one from when
the peer's hello proves that it holds it, and refuse the older one from its first frame in the
newer. No timers here: the line says when a hello goes.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Final

from gateway.errors import AuthenticationError
from gateway.model import Previous, Station
from gateway.security.keys import FrameKey, Line, Roots
from gateway.security.replay import ReplayWindow
from gateway.security.seal import open_sealed, seal_frame
from gateway.wire.frame import Header
from gateway.wire.generations import Generations
from gateway.wire.items import HelloItem, encode_items
from gateway.wire.limits import FRAME_COUNT_MAX, GENERATION_HELLO, TAG_SIZE

INCARNATION_COUNT_MAX: Final = 4
"""Incarnations of a peer kept at once; the oldest that is not current is forgotten."""
_RENEW_MARGIN: Final = 1024


class HelloOutcome(enum.Enum):
    """What a hello changed."""

    NOTHING = "nothing"
    PROVEN = "proven"
    """A new incarnation of the peer answered our challenge."""
    CONFIRMED = "confirmed"
    """The peer has our incarnation: hellos went both ways."""
    FORGOTTEN = "forgotten"
    """The peer no longer knows our incarnation."""
    TWO_INCARNATIONS = "two incarnations"
    """One that we thought ended answers challenges still: two copies of one station."""


class KeyTrouble(enum.Enum):
    """Why the peer and we share no generation, or will share none."""

    PEER_OLD = "the far station holds old secrets only"
    WE_OLD = "this station holds old secrets only"
    DIFFER = "the newest secrets differ"


@dataclass(slots=True)
class Inbound:
    """One incarnation of the peer: its keys, windows and standing."""

    incarnation: bytes
    window: ReplayWindow
    """Of every generation: the sender's counter goes on through a rotation."""
    hello_window: ReplayWindow
    keys: dict[int, FrameKey] = field(default_factory=dict)
    """By generation, made when first needed; 0: hellos."""
    is_proven: bool = False
    is_retired: bool = False
    hello_highest: int = -1
    """Counter of the newest hello judged: an older one that comes later tells old news."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A frame that opened: its items' octets and how far they may be believed."""

    octets: bytes
    counter: int
    is_hello: bool
    is_fresh: bool
    """False: its counter was seen, or is too old: nothing unsigned in it counts."""
    is_proven: bool
    incarnation: bytes
    generation: int


class Session:
    """Keys and counters between us and one peer, for one incarnation of ours at a time."""

    __slots__ = (
        "_challenge",
        "_counter",
        "_hello_counter",
        "_hello_key",
        "_inbound",
        "_key",
        "_keys",
        "_own",
        "_sealing",
        "current",
        "far_newest",
        "incarnation",
        "is_confirmed",
        "is_revoked",
        "peer",
        "takes_former",
        "trouble",
    )

    def __init__(
        self,
        line: Line,
        *,
        own: Station,
        incarnation: bytes,
        assumed: bytes | None,
        confirmed: bytes | None = None,
    ) -> None:
        """`assumed` is the peer's incarnation as stored: it opens frames but proves nothing.
        `confirmed` is the mark of the newest generation that it is known to use.
        """
        self._keys = line.keys
        self._own = own
        former = line.keys.former
        self.takes_former = former is not None and confirmed != line.keys.newest.mark()
        """The peer may not have the newest secret yet."""
        self._sealing = former if former is not None and self.takes_former else line.keys.newest
        self.far_newest: int | None = None
        """The newest generation that the peer holds, as a proven hello of it said."""
        self.trouble: KeyTrouble | None = None
        self.peer = line.card.station
        self.is_revoked = line.is_revoked
        """Nothing is taken from the peer's card and nothing goes to it."""
        self._inbound: dict[bytes, Inbound] = {}
        self._challenge: bytes | None = None
        self.current: Inbound | None = None
        if assumed is not None:
            self.current = self._make_inbound(assumed)
            self._inbound[assumed] = self.current
        self.renew(incarnation)

    def renew(self, incarnation: bytes) -> None:
        """Begin an incarnation of ours: at start, and before a key has sealed 2^20 frames."""
        self.incarnation = incarnation
        self._counter = 0
        self._hello_counter = 0
        self._key = self._sealing.sealing(incarnation)
        self._hello_key = self._keys.hello.sealing(incarnation)
        self.is_confirmed = False

    @property
    def generation(self) -> int:
        """The one in which we seal."""
        return self._sealing.generation

    @property
    def newest(self) -> Roots:
        return self._keys.newest

    def takes(self, generation: int) -> bool:
        """Whether frames of this generation may be opened."""
        return self._accepted(generation) is not None

    @property
    def has_former(self) -> bool:
        """The secret before the newest was not erased yet."""
        return self._keys.former is not None

    def retire_former(self) -> None:
        """The peer uses the newest generation: the one before it is refused from now."""
        self.takes_former = False
        self._seal_in(self._keys.newest)

    @property
    def needs_renewal(self) -> bool:
        return max(self._counter, self._hello_counter) >= FRAME_COUNT_MAX - _RENEW_MARGIN

    @property
    def is_settled(self) -> bool:
        """Hellos went both ways: the line is UP as far as keys go."""
        return self.is_confirmed and self.current is not None and self.current.is_proven

    @property
    def needs_challenge(self) -> bool:
        """No incarnation of the peer is proven in this run."""
        return self.current is None or not self.current.is_proven

    def is_proven(self, incarnation: bytes) -> bool:
        inbound = self._inbound.get(incarnation)
        return inbound is not None and inbound.is_proven and not inbound.is_retired

    def overhead(self) -> int:
        """Octets around the items of the next frame: header and tag."""
        return self._header(is_hello=False).size + TAG_SIZE

    def hello_overhead(self) -> int:
        return self._header(is_hello=True).size + TAG_SIZE

    def seal(self, items: bytes) -> tuple[bytes, int]:
        """Seal encoded items into a frame; also the counter that a receipt may echo."""
        header = self._header(is_hello=False)
        self._counter += 1
        frame = seal_frame(self._key, header, items, recipient=self.peer)
        return frame, header.counter

    def seal_hello(self, hello: HelloItem) -> bytes:
        header = self._header(is_hello=True)
        self._hello_counter += 1
        return seal_frame(self._hello_key, header, encode_items([hello]), recipient=self.peer)

    def hello(
        self,
        *,
        epoch: int,
        previous: Previous,
        fresh: bytes | None,
        echo: bytes | None,
        response: bytes | None,
        known: tuple[tuple[int, int], ...],
        heard_s: int | None,
        busy: bool,
    ) -> HelloItem:
        """Our hello. `fresh` (8 octets of entropy) becomes our challenge if none is open; `echo`
        is the incarnation that we answer, else the current one is named.
        """
        challenge = None
        if self.needs_challenge or fresh is not None:
            if self._challenge is None:
                self._challenge = fresh
            challenge = self._challenge
        if echo is None and self.current is not None:
            echo = self.current.incarnation
        return HelloItem(
            epoch=epoch,
            previous=previous,
            echo=echo,
            challenge=challenge,
            response=response,
            known=known,
            heard_s=heard_s,
            busy=busy,
            frame_count=None if response is None else self._counter,
            generations=self._told(),
        )

    def is_strange(self, header: Header) -> bool:
        """Whether its incarnation is not known here, so that to try it costs new keys."""
        return header.incarnation is not None and header.incarnation not in self._inbound

    def open(self, header: Header, octets: bytes) -> Opened:
        """Open a frame of this peer, whose header was parsed, at the cost of one AEAD attempt.

        Raises `AuthenticationError`.
        """
        is_hello = header.generation == GENERATION_HELLO
        roots = self._accepted(header.generation)
        if roots is None:
            raise AuthenticationError(f"key generation {header.generation} is not in use")
        incarnation = header.incarnation
        if incarnation is None:
            inbound = self.current
            if inbound is None:
                raise AuthenticationError("the sender's incarnation is not known here")
        else:
            inbound = self._inbound.get(incarnation) or self._make_inbound(incarnation)
        key = inbound.keys.get(header.generation)
        if key is None:
            key = inbound.keys[header.generation] = roots.opening(inbound.incarnation)
        window = inbound.hello_window if is_hello else inbound.window
        items = open_sealed(key, header, octets[header.size :], recipient=self._own)
        is_fresh = window.is_fresh(header.counter)
        if is_fresh:
            window.accept(header.counter)
        self._keep(inbound)
        return Opened(
            octets=items,
            counter=header.counter,
            is_hello=is_hello,
            is_fresh=is_fresh,
            is_proven=inbound.is_proven and not inbound.is_retired,
            incarnation=inbound.incarnation,
            generation=header.generation,
        )

    def receive_hello(self, hello: HelloItem, opened: Opened) -> HelloOutcome:
        """Judge a hello that opened and is fresh."""
        inbound = self._inbound[opened.incarnation]
        outcome = HelloOutcome.NOTHING
        if hello.response is not None and hello.response == self._challenge:
            # It stays open when the current one answers again: beside a copy of that station both
            # hear each challenge, and the quicker answer must not hide the other's.
            if inbound.is_retired or not inbound.is_proven:
                self._challenge = None
            # What was sealed before may come from a recording that we cannot know: we forgot
            # at our start which counters we had seen.
            inbound.window.close_below(hello.frame_count or 0)
            inbound.hello_window.close_below(opened.counter)
            if inbound.is_retired:
                # It lives, so it counts again: the other may be the one that is switched off.
                inbound.is_retired = False
                self._make_current(inbound)
                return HelloOutcome.TWO_INCARNATIONS
            if not inbound.is_proven:
                outcome = HelloOutcome.PROVEN
                self._make_current(inbound)
        if inbound is not self.current or not inbound.is_proven:
            return outcome
        if opened.counter < inbound.hello_highest:
            return outcome
        inbound.hello_highest = opened.counter
        self._agree(hello.generations, inbound.incarnation)
        if hello.echo == self.incarnation:
            if not self.is_confirmed:
                self.is_confirmed = True
                # Proven says more: a new incarnation is written down.
                if outcome is HelloOutcome.NOTHING:
                    outcome = HelloOutcome.CONFIRMED
        elif self.is_confirmed:
            self.is_confirmed = False
            outcome = HelloOutcome.FORGOTTEN
        return outcome

    # Generations

    def _accepted(self, generation: int) -> Roots | None:
        """The roots of a generation whose frames are taken; 0: hellos, for ever."""
        roots = self._keys.held(generation)
        return None if roots is self._keys.former and not self.takes_former else roots

    @property
    def oldest(self) -> int:
        """The oldest generation whose frames are taken."""
        former = self._keys.former
        is_taken = former is not None and self.takes_former
        return former.generation if is_taken and former else self._keys.generation

    def _told(self) -> Generations | None:
        """What our hellos say; nothing on a line that never rotated."""
        newest = self._keys.newest
        if newest.generation == 1:
            return None
        return Generations(newest.generation, self.oldest, newest.proof(self.incarnation))

    def _agree(self, told: Generations | None, incarnation: bytes) -> None:
        """Seal in the newest generation that both ends hold, as the peer's hello proves or says."""
        newest = self._keys.newest
        low, high = (1, 1) if told is None else (told.oldest, told.newest)
        self.far_newest = high
        self.trouble = None
        differs = False
        if high == newest.generation and (told is not None or high == 1):
            differs = told is not None and not newest.is_proof(told.proof, incarnation)
            if not differs:
                self._seal_in(newest)
                return
        elif low <= newest.generation < high:
            self._seal_in(newest)  # it was given a newer secret, which we still wait for
            return
        former = self._keys.former
        if former is not None and self.takes_former and low <= former.generation <= high:
            self._seal_in(former)
            self.trouble = KeyTrouble.DIFFER if differs else None
        elif differs:
            self.trouble = KeyTrouble.DIFFER
        else:
            is_behind = low > newest.generation
            self.trouble = KeyTrouble.WE_OLD if is_behind else KeyTrouble.PEER_OLD

    def _seal_in(self, roots: Roots) -> None:
        # The counter goes on: no receipt's echo means two frames, and the peer's window is one.
        if self._sealing is not roots:
            self._sealing = roots
            self._key = roots.sealing(self.incarnation)

    # Incarnations

    def _make_current(self, inbound: Inbound) -> None:
        inbound.is_proven = True
        if self.current is not None and self.current is not inbound:
            self.current.is_retired = True
        if self.current is not inbound:
            self.is_confirmed = False
        self.current = inbound
        self._inbound[inbound.incarnation] = self._inbound.pop(inbound.incarnation)

    def _keep(self, inbound: Inbound) -> None:
        if inbound.incarnation in self._inbound:
            return
        self._inbound[inbound.incarnation] = inbound
        while len(self._inbound) > INCARNATION_COUNT_MAX:
            oldest = next(
                name
                for name, entry in self._inbound.items()
                if entry is not self.current and entry is not inbound
            )
            del self._inbound[oldest]

    def _make_inbound(self, incarnation: bytes) -> Inbound:
        return Inbound(
            incarnation=incarnation,
            window=ReplayWindow(starts_anywhere=True),
            hello_window=ReplayWindow(starts_anywhere=True),
        )

    def _header(self, *, is_hello: bool) -> Header:
        needs_context = is_hello or not self.is_confirmed
        return Header(
            sender=self._own,
            generation=GENERATION_HELLO if is_hello else self._sealing.generation,
            counter=self._hello_counter if is_hello else self._counter,
            incarnation=self.incarnation if needs_context else None,
        )
