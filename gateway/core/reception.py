"""What came in from one peer: serials held, fragments under way, receipts owed. No decisions on
meaning: an act is either new, a repeat, or another act under the same id.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from gateway.errors import DecodeError
from gateway.model import RECEIVED_COUNT_MAX, ActId, Previous, Station
from gateway.wire.fragment import Reassembly
from gateway.wire.items import (
    DisplayedItem,
    FragmentItem,
    FragmentReceiptItem,
    ReceiptItem,
    SelectiveReceiptItem,
)
from gateway.wire.limits import BITMAP_COUNT

SELECTIVE_COUNT_MAX: Final = 16
OWED_COUNT_MAX: Final = 256
"""Serials owed a receipt on one link; above it the oldest waits for the sender's repeat."""


Paid = ReceiptItem | SelectiveReceiptItem | FragmentReceiptItem | DisplayedItem
"""Items that pay what a link owes."""


class Novelty(enum.Enum):
    NEW = "new"
    REPEAT = "repeat"
    OTHER_OCTETS = "other octets under the same id"


@dataclass(slots=True)
class EpochIn:
    """What we hold durably of one epoch of the peer: all serials to `cumulative`, some beyond."""

    cumulative: int = 0
    highest: int = 0
    hashes: dict[int, bytes] = field(default_factory=dict)

    def add(self, serial: int, sha256: bytes) -> None:
        self.hashes[serial] = sha256
        self.highest = max(self.highest, serial)
        while self.cumulative + 1 in self.hashes:
            self.cumulative += 1

    def bitmap(self) -> int:
        base = self.cumulative + 1
        return sum(1 << i for i in range(BITMAP_COUNT) if base + i in self.hashes)


@dataclass(slots=True)
class Owed:
    """What one link owes the peer; taken into the next frame that leaves there."""

    serials: dict[int, dict[int, None]] = field(default_factory=dict)
    fragments: dict[tuple[int, int], None] = field(default_factory=dict)
    displayed: dict[int, dict[int, None]] = field(default_factory=dict)
    echo: int | None = None
    copies: list[Paid] = field(default_factory=list)
    """Receipts that go again in a frame of their own, since many get lost."""
    copy_count: int = 0
    """How many more times."""

    def __bool__(self) -> bool:
        return bool(self.serials or self.fragments or self.displayed or self.copy_count)


class Reception:
    """The inbound side of one line. Bounded: `reassembly_count` acts in fragments, the epochs and
    hashes by the engine's `seen_count`.
    """

    __slots__ = ("_epochs", "_reassemblies", "_reassembly_count", "_seen_count", "peer", "seen")

    def __init__(self, peer: Station, *, reassembly_count: int, seen_count: int) -> None:
        self.peer = peer
        self.seen = 0
        self._epochs: dict[int, EpochIn] = {}
        self._reassemblies: dict[tuple[int, int, int], Reassembly] = {}
        self._reassembly_count = reassembly_count
        self._seen_count = seen_count

    def judge(self, epoch: int, serial: int, *hashes: bytes) -> Novelty:
        """`hashes`: of what came, in each form in which `seen` may have it."""
        held = self._epochs.get(epoch)
        if held is None or serial not in held.hashes:
            return Novelty.NEW
        return Novelty.REPEAT if held.hashes[serial] in hashes else Novelty.OTHER_OCTETS

    def holds(self, epoch: int, serial: int) -> bool:
        held = self._epochs.get(epoch)
        return held is not None and serial in held.hashes

    def add(self, act_id: ActId, sha256: bytes) -> None:
        """An act was accepted; its `PutSeen` is in the same step."""
        self._hold(act_id, sha256)
        while self.seen > self._seen_count and len(self._epochs) > 1:
            oldest = next(iter(self._epochs))
            self.seen -= len(self._epochs.pop(oldest).hashes)
        for key in [k for k in self._reassemblies if k[:2] == (act_id.epoch, act_id.serial)]:
            del self._reassemblies[key]

    def known(self) -> tuple[tuple[int, int], ...]:
        """(epoch, highest serial) held, newest epochs last, at most 4: for the hello."""
        newest = [*islice(reversed(self._epochs.items()), 4)][::-1]
        return tuple((epoch, held.highest) for epoch, held in newest if held.hashes)

    def received(self) -> tuple[Previous, ...]:
        """Newest epochs with the serial up to which all is held, at most 4: for a countersign."""
        newest = [*islice(reversed(self._epochs.items()), RECEIVED_COUNT_MAX)][::-1]
        return tuple([Previous(epoch, held.cumulative) for epoch, held in newest])

    def add_fragment(self, item: FragmentItem) -> tuple[bytes, bytes | None] | None:
        """Take a fragment in; the act's octets and signature when it was the last one missing.

        Raises `DecodeError` for fragments that cannot belong together.
        """
        key = (item.epoch, item.serial, item.count)
        reassembly = self._reassemblies.get(key)
        if reassembly is None:
            while len(self._reassemblies) >= self._reassembly_count:
                del self._reassemblies[next(iter(self._reassemblies))]
            reassembly = self._reassemblies[key] = Reassembly(item.count)
        try:
            reassembly.add(item.index, item.octets)
            if not reassembly.is_complete:
                return None
            result = reassembly.result()
        except DecodeError:
            del self._reassemblies[key]
            raise
        del self._reassemblies[key]
        return result

    def fragments_held(self, epoch: int, serial: int) -> FragmentReceiptItem | None:
        for (at, number, count), reassembly in self._reassemblies.items():
            if (at, number) == (epoch, serial):
                return FragmentReceiptItem(epoch, serial, count, reassembly.bitmap)
        return None

    def owe(self, owed: Owed, epoch: int, serial: int, echo: int | None) -> None:
        serials = owed.serials.setdefault(epoch, {})
        serials.pop(serial, None)
        serials[serial] = None
        if len(serials) > OWED_COUNT_MAX:
            del serials[next(iter(serials))]
        owed.echo = echo

    def settle(self, owed: Owed, *, copy_count: int = 0) -> list[Paid]:
        """The items that pay what is owed; nothing is owed any more but `copy_count` copies.

        The echo goes once, and with each copy.
        """
        items = self._pay(owed)
        if items:
            # Copies of older ones that have not gone yet make room: what is newer says as much.
            owed.copies = [item for item in items if not isinstance(item, DisplayedItem)]
            owed.copy_count = copy_count if owed.copies else 0
            return items
        if not owed.copy_count:
            return []
        owed.copy_count -= 1
        return owed.copies

    def _pay(self, owed: Owed) -> list[Paid]:
        items: list[Paid] = []
        echo = owed.echo
        for epoch, serials in owed.serials.items():
            held = self._epochs.get(epoch)
            if held is None:
                continue
            beyond = sorted(s for s in serials if s > held.cumulative + BITMAP_COUNT)
            if len(beyond) < len(serials):
                items.append(ReceiptItem(epoch, held.cumulative, held.bitmap(), echo))
                echo = None
            for chunk in _chunks(beyond):
                items.append(SelectiveReceiptItem(epoch, chunk, echo))
                echo = None
        for epoch, serial in owed.fragments:
            receipt = self.fragments_held(epoch, serial)
            if receipt is not None:
                items.append(
                    FragmentReceiptItem(epoch, serial, receipt.count, receipt.bitmap, echo)
                )
                echo = None
        for epoch, serials in owed.displayed.items():
            items.extend(DisplayedItem(epoch, chunk) for chunk in _chunks(sorted(serials)))
        owed.serials = {}
        owed.fragments = {}
        owed.displayed = {}
        owed.echo = None
        return items

    def owe_again(self, owed: Owed, item: Paid) -> None:
        """An item of `settle` found no room in its frame: it goes with the next."""
        match item:
            case ReceiptItem(epoch, cumulative):
                owed.serials.setdefault(epoch, {})[cumulative] = None
            case SelectiveReceiptItem(epoch, serials):
                owed.serials.setdefault(epoch, {}).update(dict.fromkeys(serials))
            case FragmentReceiptItem(epoch, serial):
                owed.fragments[epoch, serial] = None
            case DisplayedItem(epoch, serials):
                owed.displayed.setdefault(epoch, {}).update(dict.fromkeys(serials))

    def restore(self, seen: Iterable[tuple[ActId, bytes]]) -> None:
        for act_id, sha256 in seen:
            self._hold(act_id, sha256)

    def _hold(self, act_id: ActId, sha256: bytes) -> None:
        # The one that spoke last is the newest, whatever older ones had still to say meanwhile.
        held = self._epochs.pop(act_id.epoch, None) or EpochIn()
        self._epochs[act_id.epoch] = held
        held.add(act_id.serial, sha256)
        self.seen += 1


def _chunks(serials: list[int]) -> list[tuple[int, ...]]:
    return [
        tuple(serials[start : start + SELECTIVE_COUNT_MAX])
        for start in range(0, len(serials), SELECTIVE_COUNT_MAX)
    ]
