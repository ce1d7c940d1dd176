"""Reading the public JSON form: submissions and answers from people and programs.

Strict: an unknown key is refused by name, and every refusal is a `FieldError` with the path of the
field and a stable code. Octets of JSON and CBOR are left to the adapters. `wire.document` writes
the form and offers the functions of this module too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final

from gateway.errors import FieldError
from gateway.model import (
    BODY_SIZE_MAX,
    LIFETIME_MIN_MAX,
    ActId,
    Altitude,
    AnswerCode,
    Kind,
    NoticeDraft,
    Operation,
    Phrase,
    Place,
    Point,
    Precedence,
    Role,
    Station,
    Text,
    Window,
    check_text,
)
from gateway.wire import codebook
from gateway.wire.fields import (
    not_an_object,
    object_of,
    required,
    shown,
    text_of,
    type_name,
    whole_of,
    word_of,
)

LANGUAGE_DEFAULT: Final = "en"
REQUEST_ID_SIZE_MAX: Final = 64

_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._:@=~-]{1,64}")
_TIME: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2})?(Z|[+-][0-9]{2}:[0-9]{2})"
)
_ONE_MINUTE: Final = datetime(1970, 1, 1, 0, 1, tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)
_PRECEDENCES: Final = {p.name: p for p in Precedence} | {p.letter: p for p in Precedence}
_PERSON_ANSWERS: Final = {c.name: c for c in AnswerCode if c is not AnswerCode.CANTPRO}

_DRAFT_KEYS: Final = (
    "request_id",
    "to",
    "kind",
    "precedence",
    "operation",
    "text",
    "language",
    "phrase",
    "slots",
    "expires_min",
    "reply_by_min",
    "reference",
    "place",
    "window",
    "released_by",
)
_ANSWER_KEYS: Final = ("request_id", "id", "answer", "text", "language")


def draft_from_document(
    document: object,
    *,
    station_number: Callable[[str], Station | None],
    role: Role | None = None,
) -> NoticeDraft:
    """Read a submission. Raises `FieldError`.

    `role` is the releaser's as the adapter knows it: the default of `released_by`, and the only
    word allowed there. None: the document is believed, DUTY_OFFICER when it says nothing.
    """
    fields = object_of("", document, _DRAFT_KEYS)
    kind = word_of("kind", required(fields, "kind"), {k.name: k for k in Kind}, "unknown_kind")
    draft = NoticeDraft(
        to=_station(fields, station_number),
        kind=kind,
        precedence=_precedence(fields.get("precedence")),
        operation=word_of(
            "operation",
            required(fields, "operation"),
            {o.name: o for o in Operation},
            "unknown_operation",
        ),
        body=_body(fields),
        lifetime_min=_minutes(fields, "expires_min"),
        reply_by_min=_minutes(fields, "reply_by_min"),
        reference=_reference(fields),
        place=None if fields.get("place") is None else _place(fields["place"]),
        window=None if fields.get("window") is None else _window(fields["window"]),
        released_by=_released_by(fields, role),
    )
    codebook.check_draft(draft)
    return draft


def answer_from_document(document: object) -> tuple[AnswerCode, Text | None]:
    """Read an answer of a person: `{"answer": "ROGER", "text": ..., "language": ...}`.

    `request_id` and `id` may stand beside it; CANTPRO is a gateway's and refused.
    Raises `FieldError`.
    """
    fields = object_of("", document, _ANSWER_KEYS)
    code = word_of("answer", required(fields, "answer"), _PERSON_ANSWERS, "unknown_answer")
    return code, _text(fields)


def request_id_from_document(document: object) -> str | None:
    """The `request_id` of a submission or answer, None when it has none. Raises `FieldError`."""
    if not isinstance(document, Mapping) or document.get("request_id") is None:
        return None
    return check_request_id(document["request_id"])


def check_request_id(value: object) -> str:
    """`value` if it can name a request, a log line and a topic level. Raises `FieldError`."""
    if isinstance(value, str) and _REQUEST_ID.fullmatch(value):
        return value
    raise FieldError(
        "request_id",
        f"{shown(value)} cannot name a request",
        f"give 1 to {REQUEST_ID_SIZE_MAX} letters, digits or . _ : @ = ~ - (a UUID is good)",
        code="bad_request_id",
    )


def notice_id_from_document(document: object) -> ActId:
    """The `id` of the notice that an answer or a `taken` names. Raises `FieldError`."""
    if not isinstance(document, Mapping):
        raise not_an_object("", document)
    return ActId.parse(text_of("id", required(document, "id")))


def _precedence(value: object) -> Precedence:
    if value is None:
        return Precedence.ROUTINE
    return word_of("precedence", value, _PRECEDENCES, "unknown_precedence")


def _minutes(fields: Mapping[str, object], key: str) -> int | None:
    value = fields.get(key)
    return None if value is None else whole_of(key, value, 1, LIFETIME_MIN_MAX)


def _station(
    fields: Mapping[str, object], station_number: Callable[[str], Station | None]
) -> Station:
    name = text_of("to", required(fields, "to"))
    station = station_number(name.upper()) if len(name) <= 12 and name.isascii() else None
    if station is None:
        raise FieldError(
            "to",
            f"{shown(name)} is not a station that this gateway has a line to",
            "use the name on its card; `hotline status` lists the lines",
            code="unknown_station",
        )
    return station


def _reference(fields: Mapping[str, object]) -> ActId | None:
    value = fields.get("reference")
    if value is None:
        return None
    try:
        return ActId.parse(text_of("reference", value))
    except FieldError as error:
        raise FieldError("reference", error.problem, error.remedy, code=error.code) from error


def _released_by(fields: Mapping[str, object], role: Role | None) -> Role:
    value = fields.get("released_by")
    if value is None:
        return Role.DUTY_OFFICER if role is None else role
    claimed = word_of("released_by", value, {r.name: r for r in Role}, "unknown_role")
    if role is not None and claimed is not role:
        raise FieldError(
            "released_by",
            f"is {claimed.name.lower()}, but this user or queue releases as {role.name.lower()}",
            "leave it out, or have the technician configure the role",
            code="forbidden",
        )
    return claimed


def _body(fields: Mapping[str, object]) -> Text | Phrase | None:
    phrase, slots = fields.get("phrase"), fields.get("slots")
    if phrase is None:
        if slots is not None:
            raise FieldError("slots", "fill no phrase", "give phrase too", code="conflict")
        return _text(fields)
    if fields.get("text") is not None:
        raise FieldError(
            "phrase", "stands beside text", "give either phrase or text", code="conflict"
        )
    if fields.get("language") is not None:
        raise FieldError(
            "language", "belongs to text", "leave it out beside a phrase", code="conflict"
        )
    return Phrase(whole_of("phrase", phrase, 1, 0xFFFF), _slots(slots))


def _slots(value: object) -> tuple[str | int, ...]:
    if value is None:
        return ()
    if not isinstance(value, list | tuple):
        raise FieldError("slots", f"is {type_name(value)}", "give a list", code="wrong_type")
    if len(value) > 8:
        raise FieldError("slots", f"has {len(value)} values", "give at most 8")
    slots: list[str | int] = []
    for index, slot in enumerate(value):
        path = f"slots[{index}]"
        if isinstance(slot, str):
            slots.append(check_text(path, slot[: BODY_SIZE_MAX + 1], size_max=120))
        else:
            slots.append(whole_of(path, slot))
    return tuple(slots)


def _text(fields: Mapping[str, object]) -> Text | None:
    value, language = fields.get("text"), fields.get("language")
    if value is None:
        if language is not None:
            raise FieldError("language", "has no text", "give text too", code="conflict")
        return None
    text = text_of("text", value)
    if len(text) > 4 * BODY_SIZE_MAX:
        # Before normalising: NFC never shrinks a text this long to the limit, and its cost grows
        # with the square of a run of combining marks.
        size = len(text.encode(errors="surrogatepass"))
        raise FieldError(
            "text",
            f"has {size} octets of UTF-8, the limit is {BODY_SIZE_MAX}",
            "shorten it or send it as two notices",
            code="text_too_long",
        )
    spoken = LANGUAGE_DEFAULT if language is None else text_of("language", language)
    return Text(check_text("text", text), spoken)


def _place(value: object) -> Place:
    keys = ("latitude", "longitude", "radius_m", "polygon", "altitude")
    fields = object_of("place", value, keys)
    altitude = None if fields.get("altitude") is None else _altitude(fields["altitude"])
    polygon = fields.get("polygon")
    if polygon is not None:
        for key in ("latitude", "longitude", "radius_m"):
            if fields.get(key) is not None:
                raise FieldError(
                    f"place.{key}", "stands beside polygon", "give one of them", code="conflict"
                )
        return Place(_polygon(polygon), altitude=altitude)
    latitude, longitude = fields.get("latitude"), fields.get("longitude")
    radius = fields.get("radius_m")
    return Place(
        (_point("place.latitude", latitude, "place.longitude", longitude),),
        radius_m=0 if radius is None else whole_of("place.radius_m", radius, 0, 0xFFFF),
        altitude=altitude,
    )


def _altitude(value: object) -> Altitude:
    fields = object_of("place.altitude", value, ("low_m", "high_m"))
    low = whole_of("place.altitude.low_m", fields.get("low_m"), -500, 30_000)
    return Altitude(low, whole_of("place.altitude.high_m", fields.get("high_m"), low, 30_000))


def _polygon(value: object) -> tuple[Point, ...]:
    if not isinstance(value, list | tuple) or not 3 <= len(value) <= 8:
        raise FieldError(
            "place.polygon",
            "is not a list of 3 to 8 points",
            "give [[latitude, longitude], ...]",
            code="bad_place",
        )
    points = []
    for index, pair in enumerate(value):
        path = f"place.polygon[{index}]"
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise FieldError(path, "is not a point", "give [latitude, longitude]", code="bad_place")
        points.append(_point(f"{path}[0]", pair[0], f"{path}[1]", pair[1]))
    return tuple(points)


def _point(latitude_path: str, latitude: object, longitude_path: str, longitude: object) -> Point:
    return Point(_degrees(latitude_path, latitude, 90), _degrees(longitude_path, longitude, 180))


def _degrees(path: str, value: object, limit: int) -> int:
    """Degrees as units of 1e-5, the nearest."""
    if isinstance(value, int | float) and not isinstance(value, bool) and -limit <= value <= limit:
        return round(value * 100_000)
    raise FieldError(
        path,
        "is missing" if value is None else f"is {shown(value)}",
        f"give degrees from -{limit} to {limit}",
        code="bad_place",
    )


def _window(value: object) -> Window:
    fields = object_of("window", value, ("from", "to"))
    start, end = _minute("window.from", fields.get("from")), _minute("window.to", fields.get("to"))
    if end < start:
        raise FieldError("window.to", "is before window.from", "exchange them", code="bad_time")
    return Window(start, end - start)


def _minute(path: str, value: object) -> int:
    """A time with its zone as whole minutes since 1970 UTC."""
    if isinstance(value, str) and _TIME.fullmatch(value):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            moment = None
        if moment is not None and moment.second == 0:
            return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // _ONE_MINUTE
    raise FieldError(
        path,
        "is missing" if value is None else f"{shown(value)} is not a time in whole minutes",
        "write for example 2026-11-22T14:30Z",
        code="bad_time",
    )
