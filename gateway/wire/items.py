"""What a frame carries: a CBOR sequence (RFC 8742) of items. Values here; octets in `encode_items`.

Shapes are in `gateway.cddl`. An item never decides anything: it is what a sender said.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.model import Previous


@dataclass(frozen=True, slots=True)
class ActItem:
    """A whole act: `[age, {act}, signature]`, told from the others by its first element >= 0 or null."""

    age_s: int | None
    """Seconds since its making, 0 to 2^32-1; None: AGE UNKNOWN (a lower bound at best)."""
    octets: bytes
    """The canonical act map."""
    signature: bytes | None
    """64 octets; None only on a line where both cards name checkpoint signing."""


@dataclass(frozen=True, slots=True)
class ReceiptItem:
    """Machine receipt: all serials up to `cumulative` of `epoch`, and those the bitmap names.

    Bit i of `bitmap` (32 bits) stands for serial `cumulative` + 1 + i.
    """

    epoch: int
    cumulative: int
    bitmap: int
    echo: int | None = None
    """Low octet of the partial IV of the frame that made us say this, to measure a round trip."""


@dataclass(frozen=True, slots=True)
class SelectiveReceiptItem:
    """Machine receipt for single serials beyond the bitmap; 1 to 16, ascending."""

    epoch: int
    serials: tuple[int, ...]
    echo: int | None = None


@dataclass(frozen=True, slots=True)
class DisplayedItem:
    """Notices that a screen, printer or consumer showed there; 1 to 16 serials, ascending. Best effort."""

    epoch: int
    serials: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class FragmentItem:
    """Part `index` of `count` (1 to 32) of the octets of an act item's map and signature."""

    age_s: int | None
    epoch: int
    serial: int
    index: int
    count: int
    octets: bytes


@dataclass(frozen=True, slots=True)
class FragmentReceiptItem:
    """The fragments of one act that are held in memory there (not durable): bit i = fragment i."""

    epoch: int
    serial: int
    count: int
    bitmap: int
    echo: int | None = None


@dataclass(frozen=True, slots=True)
class BeatItem:
    """A machine's test of one link, or the reply to one."""

    token: int
    """0 to 255; a reply carries the token of the beat it answers."""
    is_reply: bool
    busy: bool
    """STORE REFUSED here."""
    entry_number: int
    """Of the last log book entry covered by a FULL commit; 0: none."""


@dataclass(frozen=True, slots=True)
class HelloItem:
    """Who runs here now; sent under the hello key, whose frame always names our incarnation."""

    epoch: int
    """Our epoch on this line."""
    previous: Previous
    """The last (epoch, serial) before it; 0, 0: none."""
    echo: bytes | None = None
    """The peer's incarnation as last heard, 8 octets."""
    challenge: bytes | None = None
    """8 octets that the peer shall echo as `response`."""
    response: bytes | None = None
    known: tuple[tuple[int, int], ...] = ()
    """(epoch, highest serial) of the peer's acts that we hold, newest last; at most 4."""
    heard_s: int | None = None
    """Seconds since we last heard the peer, in whole runs; None: unknown."""
    busy: bool = False


Item = (
    ActItem
    | ReceiptItem
    | SelectiveReceiptItem
    | DisplayedItem
    | FragmentItem
    | FragmentReceiptItem
    | BeatItem
    | HelloItem
)
