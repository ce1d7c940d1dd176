"""Who used which link for what: opens every frame that the taps saw, with the bench's own keys.

Independent of what the gateways say of themselves. A frame's octets on the wire are shared among
its items by their size; what serves no notice (beats, hellos) is counted apart.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from gateway.errors import AuthenticationError, DecodeError
from gateway.model import ActId, Answer, Epoch, Serial, Station
from gateway.security.keys import FrameKey, LineKeys
from gateway.security.seal import open_frame
from gateway.wire.frame import parse_frame
from gateway.wire.items import (
    ActItem,
    BeatItem,
    DisplayedItem,
    FragmentItem,
    FragmentReceiptItem,
    HelloItem,
    Item,
    ReceiptItem,
    SelectiveReceiptItem,
    decode_items,
    encoded_size,
)
from gateway.wire.limits import GENERATION_HELLO
from gateway.wire.notice import decode_act, peek_act_id

INCARNATION_COUNT_MAX: Final = 64


@dataclass(slots=True)
class Traffic:
    """What one notice and its answers cost."""

    octets: float = 0.0
    """On the wire, both directions, with framing, receipts and retransmissions."""
    frames: dict[str, int] = field(default_factory=dict)
    """By link: frames that carried the notice itself or a fragment of it."""


class Ledger:
    """Feeds on captured frames; asked by notice id."""

    def __init__(self, keys: Mapping[Station, LineKeys]) -> None:
        self._keys = keys
        self._frame_keys: dict[tuple[Station, bool], list[FrameKey]] = defaultdict(list)
        self._incarnations: dict[Station, list[bytes]] = defaultdict(list)
        self._notice_of: dict[ActId, ActId] = {}
        self.traffic: dict[ActId, Traffic] = defaultdict(Traffic)
        self.other_octets = 0
        """Beats, hellos and what did not open."""
        self.unopened_count = 0
        self.frame_count = 0
        self.samples: dict[tuple[str, str], bytes] = {}
        """The first frame of each link that carried an item of each type; acts by their type."""
        self._naming: dict[bytes, bytes] = {}

    def feed(self, link: str, frame: bytes, wire_size: int) -> None:
        """Account for one transmission of `frame` that took `wire_size` octets on the wire."""
        self.frame_count += 1
        try:
            header, _, _ = parse_frame(frame)
            items = decode_items(self._open(frame))
        except (DecodeError, AuthenticationError):
            self.unopened_count += 1
            self.other_octets += wire_size
            return
        sender = header.sender
        (receiver,) = set(self._keys) - {sender}
        total = sum(encoded_size(item) for item in items) or 1
        for item in items:
            self.samples.setdefault((link, _type_name(item, sender, receiver)), frame)
            share = wire_size * encoded_size(item) / total
            notice = self._notice(item, sender, receiver)
            if notice is None:
                self.other_octets += round(share)
                continue
            self.traffic[notice].octets += share
            if isinstance(item, ActItem | FragmentItem) and notice.originator == sender:
                frames = self.traffic[notice].frames
                frames[link] = frames.get(link, 0) + 1

    def write_samples(self, path: Path) -> int:
        """Leave frames for `hotline frame`, one in hexadecimal a line, and give their number.

        First those that name the incarnations, then the samples: all of them can be opened.
        """
        frames = dict.fromkeys([*self._naming.values(), *self.samples.values()])
        path.write_text("".join(f"{frame.hex()}\n" for frame in frames), encoding="ascii")
        return len(frames)

    def _open(self, frame: bytes) -> bytes:
        header, _, _ = parse_frame(frame)
        if header.sender not in self._keys:
            raise DecodeError("no station of this bench")
        (receiver,) = set(self._keys) - {header.sender}
        keys = self._keys[header.sender]
        if header.incarnation is not None:
            self._learn(header.sender, header.incarnation, keys, frame)
        is_hello = header.generation == GENERATION_HELLO
        for key in reversed(self._frame_keys[header.sender, is_hello]):
            try:
                return open_frame(key, frame, recipient=receiver)
            except AuthenticationError:
                continue
        raise AuthenticationError("no incarnation opens it")

    def _learn(self, sender: Station, incarnation: bytes, keys: LineKeys, frame: bytes) -> None:
        known = self._incarnations[sender]
        if incarnation in known or len(known) >= INCARNATION_COUNT_MAX:
            return
        known.append(incarnation)
        self._naming[incarnation] = frame
        for is_hello in (False, True):
            key = keys.outbound(is_hello, incarnation)
            self._frame_keys[sender, is_hello].append(key)

    def _notice(self, item: Item, sender: Station, receiver: Station) -> ActId | None:
        """The notice whose dialogue an item serves."""
        match item:
            case ActItem():
                return self._of_act(item, sender, receiver)
            case FragmentItem():
                return self._of(sender, item.epoch, item.serial)
            case ReceiptItem():
                serial = item.cumulative + item.bitmap.bit_length()
                return self._of(receiver, item.epoch, serial)
            case FragmentReceiptItem():
                return self._of(receiver, item.epoch, item.serial)
            case SelectiveReceiptItem() | DisplayedItem():
                return self._of(receiver, item.epoch, item.serials[-1])
            case BeatItem() | HelloItem():
                return None

    def _of(self, originator: Station, epoch: int, serial: int) -> ActId | None:
        if serial == 0:
            return None
        act_id = ActId(originator, Epoch(epoch), Serial(serial))
        return self._notice_of.get(act_id, act_id)

    def _of_act(self, item: ActItem, sender: Station, receiver: Station) -> ActId | None:
        act_id = peek_act_id(item.octets, originator=sender)
        if act_id is None:
            return None
        try:
            act = decode_act(item.octets, originator=sender, to=receiver)
        except DecodeError:
            return act_id
        if isinstance(act, Answer):
            self._notice_of[act_id] = act.reference
            return act.reference
        return act_id


def _type_name(item: Item, sender: Station, receiver: Station) -> str:
    """The item's type; of an act its own (a notice, an answer, a void)."""
    if isinstance(item, ActItem):
        try:
            return type(decode_act(item.octets, originator=sender, to=receiver)).__name__
        except DecodeError:
            pass
    return type(item).__name__
