"""Acts as octets: the canonical map of `gateway.cddl` <-> a value of `model.Act`.

Originator and addressee are not in the octets: the frame's kid names the originator, and the
external AAD of the signature binds both. The key generation is not bound by the signature (an act
signed before a rotation verifies after it); the frame's external AAD binds it.
"""

from __future__ import annotations

import enum
from typing import Final, NamedTuple, assert_never

from gateway.errors import DecodeError, FieldError
from gateway.model import (
    RECEIVED_COUNT_MAX,
    Act,
    ActId,
    Altitude,
    Answer,
    AnswerCode,
    BookHead,
    Countersign,
    Epoch,
    Kind,
    Notice,
    Operation,
    Phrase,
    Place,
    Point,
    Precedence,
    Previous,
    Role,
    Serial,
    Station,
    Text,
    TimeQuality,
    UtcTime,
    Void,
    Window,
)
from gateway.wire.canonical import (
    as_array,
    as_octets,
    as_text,
    as_uint,
    encode_map,
    load_map,
    pack_id,
    take_extensions,
    unpack_id,
)
from gateway.wire.compression import compress, decompress
from gateway.wire.limits import (
    ACT_NESTING_MAX,
    ACT_SIZE_MAX,
    LANGUAGE_INDEX,
    LANGUAGES,
    LIFETIME_DEFAULT_MIN,
    UINT16_MAX,
    UINT32_MAX,
)


class Key(enum.IntEnum):
    """The critical keys of an act."""

    HEAD = 0
    ID = 1
    CREATED = 2
    LIFETIME = 3
    REPLY_BY = 4
    OWN_REFERENCE = 5
    THEIR_REFERENCE = 6
    TEXT = 7
    LANGUAGE = 8
    PHRASE = 9
    PLACE = 10
    WINDOW = 11
    RELEASED_BY = 12
    ANSWER = 13
    PREVIOUS = 14
    WITNESS = 15


CODE_ANSWER: Final = 12
CODE_VOID: Final = 13
CODE_COUNTERSIGN: Final = 14
HEAD_MAX: Final = ((CODE_COUNTERSIGN * 3 + 2) * 4 + 3) * 4 + 3

_HASH_SIZE: Final = 32
_FAR_HASH_SIZE: Final = 16
_NO_HEAD: Final = BookHead(0, b"")
_POINT_SIZE: Final = 7
_RADIUS_SIZE: Final = 2
_ALTITUDE_SIZE: Final = 4
_CIRCLE_SIZE: Final = _POINT_SIZE + _RADIUS_SIZE
_LATITUDE_OFFSET: Final = 9_000_000
_LONGITUDE_OFFSET: Final = 18_000_000
_LONGITUDE_BITS: Final = 26


def encode_act(act: Act) -> bytes:
    """The octets that are signed and sent. Raises `FieldError` beyond `ACT_SIZE_MAX`.

    A text goes compressed where that is shorter. What was received stays as it was received: its
    text may have the other form, or another dictionary, so never make its octets anew from here.
    """
    body = act.body if isinstance(act, Notice | Answer) else None
    return _encode(act, _text_form(body) if isinstance(body, Text) else None)


def _text_form(body: Text) -> str | bytes:
    compressed = compress(body.text, body.language)
    return body.text if compressed is None else compressed


def _encode(act: Act, text_form: str | bytes | None) -> bytes:
    match act:
        case Notice():
            code, fields = int(act.kind), _notice_fields(act)
        case Answer():
            code, fields = CODE_ANSWER, _answer_fields(act)
        case Void():
            code, fields = CODE_VOID, {}
        case Countersign():
            code, fields = CODE_COUNTERSIGN, {Key.WITNESS: _encode_witness(act)}
        case _:
            assert_never(act)
    if text_form is not None:
        fields[Key.TEXT] = text_form
    head = ((code * 3 + act.time_quality) * 4 + act.precedence) * 4 + act.operation
    fields[Key.HEAD] = head
    fields[Key.ID] = pack_id(act.id.epoch, act.id.serial)
    if act.created is not None:
        fields[Key.CREATED] = act.created
    if act.previous is not None:
        fields[Key.PREVIOUS] = pack_id(act.previous.epoch, act.previous.serial)
    octets = encode_map(fields, act.extensions)
    if len(octets) > ACT_SIZE_MAX:
        raise FieldError(
            "act",
            f"takes {len(octets)} octets, the limit is {ACT_SIZE_MAX}",
            "shorten it or send it as two notices",
            code="text_too_long",
        )
    return octets


def _notice_fields(notice: Notice) -> dict[int, object]:
    fields: dict[int, object] = {}
    if notice.lifetime_min != LIFETIME_DEFAULT_MIN[notice.precedence]:
        fields[Key.LIFETIME] = notice.lifetime_min
    if notice.reply_by_min is not None:
        fields[Key.REPLY_BY] = notice.reply_by_min
    if notice.reference is not None:
        is_own = notice.reference.originator == notice.id.originator
        key = Key.OWN_REFERENCE if is_own else Key.THEIR_REFERENCE
        fields[key] = pack_id(notice.reference.epoch, notice.reference.serial)
    if isinstance(notice.body, Phrase):
        fields[Key.PHRASE] = [notice.body.code, *notice.body.slots]
    elif notice.body is not None:
        _put_language(fields, notice.body)
    if notice.place is not None:
        fields[Key.PLACE] = _encode_place(notice.place)
    if notice.window is not None:
        start_min = notice.window.start_min - _origin_min(notice.created)
        fields[Key.WINDOW] = [start_min, notice.window.length_min]
    _put_role(fields, notice.released_by)
    return fields


def _answer_fields(answer: Answer) -> dict[int, object]:
    fields: dict[int, object] = {
        Key.THEIR_REFERENCE: pack_id(answer.reference.epoch, answer.reference.serial),
        Key.ANSWER: int(answer.code),
    }
    if answer.body is not None:
        _put_language(fields, answer.body)
    _put_role(fields, answer.released_by)
    return fields


def _encode_witness(act: Countersign) -> list[object]:
    far = act.far_head or _NO_HEAD
    received = [pack_id(until.epoch, until.serial) for until in act.received]
    return [*act.head, *far, received]


def _put_language(fields: dict[int, object], body: Text) -> None:
    fields[Key.LANGUAGE] = LANGUAGE_INDEX.get(body.language, body.language)


def _put_role(fields: dict[int, object], role: Role) -> None:
    if role is not Role.DUTY_OFFICER:
        fields[Key.RELEASED_BY] = int(role)


def _origin_min(created: int | None) -> int:
    """What the start of a window counts from, in minutes since 1970."""
    return 0 if created is None else created // 60


def _encode_place(place: Place) -> bytes:
    octets = b"".join(
        (
            (point.latitude_e5 + _LATITUDE_OFFSET) << _LONGITUDE_BITS
            | (point.longitude_e5 + _LONGITUDE_OFFSET)
        ).to_bytes(_POINT_SIZE, "big")
        for point in place.points
    )
    if len(place.points) == 1:
        octets += place.radius_m.to_bytes(_RADIUS_SIZE, "big")
    if place.altitude is not None:
        for altitude_m in (place.altitude.low_m, place.altitude.high_m):
            octets += altitude_m.to_bytes(2, "big", signed=True)
    return octets


def _decode_place(value: object) -> Place:
    octets = as_octets(value, "place")
    is_circle = len(octets) in (_CIRCLE_SIZE, _CIRCLE_SIZE + _ALTITUDE_SIZE)
    points_size = _POINT_SIZE if is_circle else len(octets) // _POINT_SIZE * _POINT_SIZE
    points = tuple(
        _decode_point(octets[start : start + _POINT_SIZE])
        for start in range(0, points_size, _POINT_SIZE)
    )
    rest = octets[points_size:]
    radius_m = 0
    if is_circle:
        radius_m, rest = int.from_bytes(rest[:_RADIUS_SIZE], "big"), rest[_RADIUS_SIZE:]
    altitude = None
    if rest:
        if len(rest) != _ALTITUDE_SIZE:
            raise DecodeError("a place has a wrong length")
        altitude = Altitude(
            int.from_bytes(rest[:2], "big", signed=True),
            int.from_bytes(rest[2:], "big", signed=True),
        )
    return Place(points, radius_m, altitude)


def _decode_point(octets: bytes) -> Point:
    packed = int.from_bytes(octets, "big")
    longitude = packed & ((1 << _LONGITUDE_BITS) - 1)
    return Point((packed >> _LONGITUDE_BITS) - _LATITUDE_OFFSET, longitude - _LONGITUDE_OFFSET)


def decode_act(octets: bytes, *, originator: Station, to: Station) -> Act:
    """Read an act of `originator` to `to`. Raises `DecodeError`; an unknown key 0 to 15 is one."""
    if len(octets) > ACT_SIZE_MAX:
        raise DecodeError(f"an act of {len(octets)} octets, the limit is {ACT_SIZE_MAX}")
    fields = load_map(octets, nesting=ACT_NESTING_MAX)
    try:
        act = _build_act(fields, originator, to)
        is_canonical = _encode(act, _received_form(fields)) == octets
    except FieldError as error:
        raise DecodeError(f"not an act: {error}") from error
    if not is_canonical:
        raise DecodeError("an act is not in its canonical form")
    return act


def peek_act_id(octets: bytes, *, originator: Station) -> ActId | None:
    """The id of an act whose other keys we cannot read, for CANTPRO; None if it has none."""
    try:
        fields = load_map(octets, nesting=ACT_NESTING_MAX)
        epoch, serial = unpack_id(fields.get(Key.ID), "id")
    except DecodeError:
        return None
    return ActId(originator, Epoch(epoch), Serial(serial)) if epoch and serial else None


def _build_act(fields: dict[int, object], originator: Station, to: Station) -> Act:
    """The value of a map; the caller's comparison refuses what this leaves unread."""
    head = as_uint(fields.get(Key.HEAD), HEAD_MAX, "head")
    operation, precedence = Operation(head & 3), Precedence(head >> 2 & 3)
    code, quality = divmod(head >> 4, 3)
    epoch, serial = unpack_id(fields.get(Key.ID), "id")
    act_id = ActId(originator, Epoch(epoch), Serial(serial))
    created = None
    if Key.CREATED in fields:
        created = UtcTime(as_uint(fields[Key.CREATED], UINT32_MAX, "created"))
    previous = None
    if Key.PREVIOUS in fields:
        previous = Previous(*unpack_id(fields[Key.PREVIOUS], "previous"))
    extensions = take_extensions(fields)
    if code == CODE_ANSWER:
        return Answer(
            id=act_id,
            to=to,
            precedence=precedence,
            operation=operation,
            created=created,
            time_quality=TimeQuality(quality),
            reference=_reference(fields, Key.THEIR_REFERENCE, to),
            code=AnswerCode(as_uint(fields.get(Key.ANSWER), max(AnswerCode), "answer")),
            body=_decode_text(fields) if Key.TEXT in fields else None,
            released_by=_decode_role(fields),
            previous=previous,
            extensions=extensions,
        )
    if code in (CODE_VOID, CODE_COUNTERSIGN):
        bare = Void(
            id=act_id,
            to=to,
            precedence=precedence,
            operation=operation,
            created=created,
            time_quality=TimeQuality(quality),
            previous=previous,
            extensions=extensions,
        )
        return bare if code == CODE_VOID else _countersign(bare, read_witness(fields))
    return Notice(
        id=act_id,
        to=to,
        kind=Kind(code),
        precedence=precedence,
        operation=operation,
        created=created,
        time_quality=TimeQuality(quality),
        lifetime_min=as_uint(
            fields.get(Key.LIFETIME, LIFETIME_DEFAULT_MIN[precedence]), UINT16_MAX, "lifetime"
        ),
        reply_by_min=(
            as_uint(fields[Key.REPLY_BY], UINT16_MAX, "reply-by")
            if Key.REPLY_BY in fields
            else None
        ),
        reference=_notice_reference(fields, originator, to),
        body=_decode_body(fields),
        place=_decode_place(fields[Key.PLACE]) if Key.PLACE in fields else None,
        window=_decode_window(fields[Key.WINDOW], created) if Key.WINDOW in fields else None,
        released_by=_decode_role(fields),
        previous=previous,
        extensions=extensions,
    )


def _countersign(bare: Void, witness: Witness) -> Countersign:
    return Countersign(
        id=bare.id,
        to=bare.to,
        precedence=bare.precedence,
        operation=bare.operation,
        created=bare.created,
        time_quality=bare.time_quality,
        head=witness.head,
        far_head=witness.far_head,
        received=witness.received,
        previous=bare.previous,
        extensions=bare.extensions,
    )


class Witness(NamedTuple):
    """What a countersign says of both log books."""

    head: BookHead
    far_head: BookHead | None
    received: tuple[Previous, ...]


def read_witness(fields: dict[int, object]) -> Witness:
    """That of a map with key 15. Raises `DecodeError`."""
    number, entry_hash, far_number, far_hash, until = as_array(
        fields.get(Key.WITNESS), "witness", low=5, high=5
    )
    received = as_array(until, "received", low=0, high=RECEIVED_COUNT_MAX)
    head = BookHead(as_uint(number, UINT32_MAX, "number", low=1), as_octets(entry_hash, "hash"))
    far = BookHead(as_uint(far_number, UINT32_MAX, "far number"), as_octets(far_hash, "far hash"))
    if len(head.hash) != _HASH_SIZE or (far != _NO_HEAD and len(far.hash) != _FAR_HASH_SIZE):
        raise DecodeError("a hash of the witness has another size")
    return Witness(
        head,
        None if far == _NO_HEAD else far,
        tuple([Previous(*unpack_id(packed, "received")) for packed in received]),
    )


def _reference(fields: dict[int, object], key: Key, originator: Station) -> ActId:
    epoch, serial = unpack_id(fields.get(key), "reference")
    return ActId(originator, Epoch(epoch), Serial(serial))


def _notice_reference(fields: dict[int, object], originator: Station, to: Station) -> ActId | None:
    if Key.OWN_REFERENCE in fields:
        return _reference(fields, Key.OWN_REFERENCE, originator)
    if Key.THEIR_REFERENCE in fields:
        return _reference(fields, Key.THEIR_REFERENCE, to)
    return None


def _decode_body(fields: dict[int, object]) -> Text | Phrase | None:
    if Key.TEXT in fields:
        return _decode_text(fields)
    return read_phrase(fields)


def read_phrase(fields: dict[int, object]) -> Phrase | None:
    """The phrase of a map that has one. Raises `DecodeError` or `FieldError`."""
    if Key.PHRASE not in fields:
        return None
    code, *slots = as_array(fields[Key.PHRASE], "phrase", low=1, high=9)
    return Phrase(
        as_uint(code, UINT16_MAX, "phrase"),
        tuple(
            slot if isinstance(slot, str) else as_uint(slot, 2**31 - 1, "slot", low=-(2**31))
            for slot in slots
        ),
    )


def _received_form(fields: dict[int, object]) -> str | bytes | None:
    form = fields.get(Key.TEXT)
    return form if isinstance(form, str | bytes) else None


def _decode_text(fields: dict[int, object]) -> Text:
    language = fields.get(Key.LANGUAGE)
    if type(language) is int:
        language = LANGUAGES[as_uint(language, len(LANGUAGES) - 1, "language")]
    form = fields[Key.TEXT]
    text = decompress(form) if isinstance(form, bytes) else as_text(form, "text")
    return Text(text, as_text(language, "language"))


def _decode_role(fields: dict[int, object]) -> Role:
    return Role(as_uint(fields.get(Key.RELEASED_BY, Role.DUTY_OFFICER.value), max(Role), "role"))


def _decode_window(value: object, created: int | None) -> Window:
    start, length = as_array(value, "window", low=2, high=2)
    start_min = as_uint(start, UINT32_MAX, "window", low=-UINT32_MAX) + _origin_min(created)
    return Window(start_min, as_uint(length, UINT16_MAX, "window"))
