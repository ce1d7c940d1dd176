"""What a frame carries: a CBOR sequence (RFC 8742) of items. Values here; octets in `encode_items`.

Shapes are in `gateway.cddl`. An item never decides anything: it is what a sender said.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

from gateway.errors import DecodeError, FieldError
from gateway.model import Extensions, Previous
from gateway.wire.canonical import (
    as_array,
    as_octets,
    as_uint,
    check,
    dump,
    encode_map,
    load_sequence,
    pack_id,
    take_extensions,
    unpack_id,
)
from gateway.wire.generations import Generations, decode_generations, encode_generations
from gateway.wire.limits import (
    ACT_NESTING_MAX,
    ACT_SIZE_MAX,
    AGE_S_MAX,
    FRAGMENT_COUNT_MAX,
    FRAME_COUNT_MAX,
    INCARNATION_SIZE,
    ITEM_COUNT_MAX,
    KNOWN_COUNT_MAX,
    SERIAL_LIST_COUNT_MAX,
    SIGNATURE_SIZE,
    UINT16_MAX,
    UINT32_MAX,
)


@dataclass(frozen=True, slots=True)
class ActItem:
    """A whole act: `[age, {act}, signature]`; told by its first element, which is >= 0 or null."""

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
    """Notices that a screen, printer or consumer showed there; 1 to 16 serials, ascending.

    Best effort, never signed evidence.
    """

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
    frame_count: int | None = None
    """Frames of our incarnation before this hello, 0 to 2^20: who has our response counts nothing
    unsigned of them, for he cannot tell them from a recording. None: not said.
    """
    generations: Generations | None = None
    """None: generation 1 alone."""
    extensions: Extensions = ()
    """Optional keys that this version does not know, as received."""


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


class ItemType(enum.IntEnum):
    """First element of every item but an act's. New ones go only to a peer known to read them."""

    RECEIPT = -1
    SELECTIVE_RECEIPT = -2
    DISPLAYED = -3
    FRAGMENT = -4
    FRAGMENT_RECEIPT = -5
    BEAT = -6
    HELLO = -7


class HelloKey(enum.IntEnum):
    EPOCH = 0
    PREVIOUS = 1
    ECHO = 2
    CHALLENGE = 3
    RESPONSE = 4
    KNOWN = 5
    HEARD_S = 6
    BUSY = 7
    FRAME_COUNT = 8
    GENERATIONS = 17
    """Optional: a program that knows no rotation stays in generation 1."""


def encode_items(items: Sequence[Item]) -> bytes:
    """A frame's plaintext: 1 to 32 items one after the other.

    Raises `FieldError` for a value that the format has no place for: a bug of ours.
    """
    return join_items([encode_item(item) for item in items])


def join_items(parts: Sequence[bytes]) -> bytes:
    """A frame's plaintext from items that are encoded already. Raises `FieldError`."""
    if not 1 <= len(parts) <= ITEM_COUNT_MAX:
        raise FieldError("items", f"{len(parts)} in a frame", f"send 1 to {ITEM_COUNT_MAX}")
    return b"".join(parts)


def encoded_size(item: Item) -> int:
    """Octets that the item takes in a frame."""
    return len(encode_item(item))


def decode_items(octets: bytes) -> tuple[Item, ...]:
    """Read a frame's plaintext. Raises `DecodeError`; then nothing of the frame counts.

    The maps of acts are only checked to be canonical: `decode_act` reads them.
    """
    pairs = load_sequence(octets, count_max=ITEM_COUNT_MAX)
    items = tuple([_decode(value, part) for value, part in pairs])
    try:
        is_canonical = encode_items(items) == octets
    except FieldError as error:
        raise DecodeError(f"not an item: {error}") from error
    if not is_canonical:
        raise DecodeError("an item is not in its canonical form")
    return items


def encode_item(item: Item) -> bytes:
    """One item of a frame's plaintext. Raises `FieldError` as `encode_items` does."""
    match item:
        case ActItem():
            return _encode_act_item(item)
        case ReceiptItem():
            packed = pack_id(_id("epoch", item.epoch), _fit("cumulative", item.cumulative))
            bitmap = _fit("bitmap", item.bitmap, UINT32_MAX)
            return dump([ItemType.RECEIPT, packed, bitmap, *_echo(item.echo)])
        case SelectiveReceiptItem():
            serials = _serials(item.serials)
            epoch = _id("epoch", item.epoch)
            return dump([ItemType.SELECTIVE_RECEIPT, epoch, serials, *_echo(item.echo)])
        case DisplayedItem():
            return dump([ItemType.DISPLAYED, _id("epoch", item.epoch), _serials(item.serials)])
        case FragmentItem():
            packed = pack_id(_id("epoch", item.epoch), _id("serial", item.serial))
            count = _fit("count", item.count, FRAGMENT_COUNT_MAX, low=1)
            part = (count - 1) * FRAGMENT_COUNT_MAX + _fit("index", item.index, count - 1)
            _fit("octets", len(item.octets), ACT_SIZE_MAX, low=1)
            return dump([ItemType.FRAGMENT, _age(item.age_s), packed, part, item.octets])
        case FragmentReceiptItem():
            packed = pack_id(_id("epoch", item.epoch), _id("serial", item.serial))
            count = _fit("count", item.count, FRAGMENT_COUNT_MAX, low=1)
            bitmap = _fit("bitmap", item.bitmap, (1 << count) - 1)
            return dump([ItemType.FRAGMENT_RECEIPT, packed, count, bitmap, *_echo(item.echo)])
        case BeatItem():
            number = _fit("entry_number", item.entry_number, UINT32_MAX)
            token = _fit("token", item.token, 255)
            return dump([ItemType.BEAT, token << 2 | item.is_reply << 1 | item.busy, number])
        case HelloItem():
            return _encode_hello(item)
        case _:
            assert_never(item)


def _encode_act_item(item: ActItem) -> bytes:
    if item.octets[:1] < b"\xa0" or item.octets[:1] > b"\xb7" or len(item.octets) > ACT_SIZE_MAX:
        raise FieldError("octets", "are no act", "give what encode_act made")
    if check(item.octets, 0, nesting=ACT_NESTING_MAX) != len(item.octets):
        raise FieldError("octets", "are more than an act", "give what encode_act made")
    return b"\x83" + dump(_age(item.age_s)) + item.octets + encode_signature(item.signature)


def _encode_hello(item: HelloItem) -> bytes:
    _fit("known", len(item.known), KNOWN_COUNT_MAX)
    previous = item.previous
    fields: dict[int, object] = {
        HelloKey.EPOCH: _id("epoch", item.epoch),
        HelloKey.PREVIOUS: pack_id(previous.epoch, previous.serial),
    }
    for key, octets in (
        (HelloKey.ECHO, item.echo),
        (HelloKey.CHALLENGE, item.challenge),
        (HelloKey.RESPONSE, item.response),
    ):
        if octets is not None:
            _fit(f"{key.name} size", len(octets), INCARNATION_SIZE, low=INCARNATION_SIZE)
            fields[key] = octets
    if item.known:
        fields[HelloKey.KNOWN] = [
            pack_id(_id("known", epoch), _fit("known", serial)) for epoch, serial in item.known
        ]
    if item.heard_s is not None:
        fields[HelloKey.HEARD_S] = _fit("heard_s", item.heard_s, UINT32_MAX)
    if item.busy:
        fields[HelloKey.BUSY] = True
    if item.frame_count is not None:
        fields[HelloKey.FRAME_COUNT] = _fit("frame_count", item.frame_count, FRAME_COUNT_MAX)
    extensions = item.extensions
    if item.generations is not None:
        added = (int(HelloKey.GENERATIONS), encode_generations(item.generations))
        extensions = tuple(sorted((*extensions, added)))
    elif any(key == HelloKey.GENERATIONS for key, _ in extensions):
        raise FieldError("extensions", "key 17 is known here", "give it as generations")
    return b"\x82" + dump(ItemType.HELLO) + encode_map(fields, extensions)


def encode_signature(signature: bytes | None) -> bytes:
    """The CBOR of an act's signature, null without one."""
    if signature is not None:
        _fit("signature size", len(signature), SIGNATURE_SIZE, low=SIGNATURE_SIZE)
    return dump(signature)


def _decode(value: object, part: bytes) -> Item:
    item = as_array(value, "an item", low=2, high=5)
    if item[0] is None or (type(item[0]) is int and item[0] >= 0):
        return _decode_act_item(item, part)
    match item:
        case [ItemType.RECEIPT, packed, bitmap, *echo]:
            epoch, cumulative = unpack_id(packed, "receipt")
            bitmap = as_uint(bitmap, UINT32_MAX, "bitmap")
            return ReceiptItem(epoch, cumulative, bitmap, _decode_echo(echo))
        case [ItemType.SELECTIVE_RECEIPT, epoch, serials, *echo]:
            epoch = as_uint(epoch, UINT16_MAX, "epoch")
            return SelectiveReceiptItem(epoch, _decode_serials(serials), _decode_echo(echo))
        case [ItemType.DISPLAYED, epoch, serials]:
            return DisplayedItem(as_uint(epoch, UINT16_MAX, "epoch"), _decode_serials(serials))
        case [ItemType.FRAGMENT, age, packed, part_number, octets]:
            epoch, serial = unpack_id(packed, "fragment")
            number = as_uint(part_number, FRAGMENT_COUNT_MAX**2 - 1, "fragment")
            count, index = divmod(number, FRAGMENT_COUNT_MAX)
            age_s = None if age is None else as_uint(age, AGE_S_MAX, "age")
            octets = as_octets(octets, "fragment")
            return FragmentItem(age_s, epoch, serial, index, count + 1, octets)
        case [ItemType.FRAGMENT_RECEIPT, packed, count, bitmap, *echo]:
            epoch, serial = unpack_id(packed, "fragment receipt")
            count = as_uint(count, FRAGMENT_COUNT_MAX, "count", low=1)
            bitmap = as_uint(bitmap, UINT32_MAX, "bitmap")
            return FragmentReceiptItem(epoch, serial, count, bitmap, _decode_echo(echo))
        case [ItemType.BEAT, token, number]:
            token = as_uint(token, 1023, "beat")
            number = as_uint(number, UINT32_MAX, "entry number")
            return BeatItem(token >> 2, bool(token & 2), bool(token & 1), number)
        case [ItemType.HELLO, dict(fields)]:
            return _decode_hello(fields)
        case _:
            raise DecodeError("an item of no known shape")


def _decode_act_item(item: list[object], part: bytes) -> ActItem:
    if len(item) != 3 or not isinstance(item[1], dict):
        raise DecodeError("an act item is not [age, act, signature]")
    age_s = None if item[0] is None else as_uint(item[0], AGE_S_MAX, "age")
    signature = as_signature(item[2])
    start = 1 + len(dump(age_s))
    return ActItem(age_s, part[start : len(part) - len(encode_signature(signature))], signature)


def as_signature(value: object) -> bytes | None:
    """A decoded signature or null. Raises `DecodeError`."""
    return None if value is None else as_octets(value, "signature", size=SIGNATURE_SIZE)


def _decode_hello(fields: dict[int, object]) -> HelloItem:
    def octets(key: HelloKey) -> bytes | None:
        return as_octets(fields[key], key.name, size=INCARNATION_SIZE) if key in fields else None

    heard_s = None
    if HelloKey.HEARD_S in fields:
        heard_s = as_uint(fields[HelloKey.HEARD_S], UINT32_MAX, "heard")
    frame_count = None
    if HelloKey.FRAME_COUNT in fields:
        frame_count = as_uint(fields[HelloKey.FRAME_COUNT], FRAME_COUNT_MAX, "frame count")
    known = as_array(fields.get(HelloKey.KNOWN, []), "known", low=0, high=KNOWN_COUNT_MAX)
    return HelloItem(
        epoch=as_uint(fields.get(HelloKey.EPOCH), UINT16_MAX, "epoch"),
        previous=Previous(*unpack_id(fields.get(HelloKey.PREVIOUS), "previous")),
        echo=octets(HelloKey.ECHO),
        challenge=octets(HelloKey.CHALLENGE),
        response=octets(HelloKey.RESPONSE),
        known=tuple([unpack_id(packed, "known") for packed in known]),
        heard_s=heard_s,
        busy=fields.get(HelloKey.BUSY) is True,
        frame_count=frame_count,
        generations=decode_generations(fields.get(HelloKey.GENERATIONS)),
        extensions=tuple(
            [pair for pair in take_extensions(fields) if pair[0] != HelloKey.GENERATIONS]
        ),
    )


def _decode_echo(rest: list[object]) -> int | None:
    if len(rest) > 1:
        raise DecodeError("a receipt has too many elements")
    return as_uint(rest[0], 255, "echo") if rest else None


def _decode_serials(value: object) -> tuple[int, ...]:
    serials = as_array(value, "serials", low=1, high=SERIAL_LIST_COUNT_MAX)
    return tuple([as_uint(serial, UINT16_MAX, "serial") for serial in serials])


def _fit(field: str, value: int, high: int = UINT16_MAX, *, low: int = 0) -> int:
    if not low <= value <= high:
        raise FieldError(field, f"{value} is out of range", f"give {low} to {high}")
    return value


def _id(field: str, value: int) -> int:
    return _fit(field, value, low=1)


def _age(age_s: int | None) -> int | None:
    return None if age_s is None else _fit("age_s", age_s, AGE_S_MAX)


def _echo(echo: int | None) -> list[int]:
    return [] if echo is None else [_fit("echo", echo, 255)]


def _serials(serials: tuple[int, ...]) -> list[int]:
    _fit("serials", len(serials), SERIAL_LIST_COUNT_MAX, low=1)
    last = 0
    for serial in serials:
        last = _fit("serials", serial, low=last + 1)
    return list(serials)
