"""The endpoints: from a request to the desk or the store, and back to a response.

Waiting ones (long poll, event stream) are in `feed`. Refusals are `ProblemError`s.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, TypeVar

import msgspec

from gateway.api.connection import ApiLimits, Request, Response
from gateway.api.documents import (
    full_notice_document,
    log_row_document,
    stored_notice_document,
)
from gateway.api.peer import Peer
from gateway.api.problem import RETRY_AFTER_S, ProblemError, problem_of_field, problem_of_rejection
from gateway.api.spare import Spare, read_wish
from gateway.core.effects import RejectRequest, Status
from gateway.core.records import Direction
from gateway.core.status_document import line_stations, status_document
from gateway.errors import FieldError
from gateway.model import ActId, Now
from gateway.queues.base import Desk
from gateway.store.base import Store, StoredNotice
from gateway.wire.document import (
    answer_from_document,
    check_request_id,
    draft_from_document,
    request_id_from_document,
)

ANSWER_SIZE_MAX: Final = 1 << 20
"""Octets of log entries or documents in one response; the client asks on after `next`."""
_DECODE_BATCH: Final = 50

Clock = Callable[[], Now]


@dataclass(frozen=True, slots=True)
class Office:
    """What the endpoints work with."""

    desk: Desk
    store: Store
    clock: Clock
    boot_id: str
    limits: ApiLimits
    panel: Callable[[Status], Mapping[str, object]] | None = None
    """Adds the lamps to the status, where the runtime has some."""
    spare: Spare | None = None
    """Where the station has two gateways."""

    def status_document(self, status: Status) -> dict[str, object]:
        stations = {status.station, *line_stations(status)}
        stations |= {alarm.station for alarm in status.alarms if alarm.station is not None}
        names = {station: self.desk.station_name(station) for station in stations}
        document = status_document(status, names, instant=self.clock().instant)
        if self.panel is not None:
            document |= self.panel(status)
        if self.spare is not None:
            document["spare"] = self.spare.document()
        return document


async def submit(office: Office, request: Request, peer: Peer) -> Response:
    """`POST /v1/notices`"""
    document = _json(request)
    request_id = _request_id(request, document)
    role = None if peer.may_name_any_role else peer.principal.role
    draft = draft_from_document(document, station_number=office.desk.station_number, role=role)
    outcome = await office.desk.submit(peer.principal, request_id, draft)
    if isinstance(outcome, RejectRequest):
        raise problem_of_rejection(outcome)
    notice_id = str(outcome.notice_id)
    accepted: dict[str, object] = {
        "id": notice_id,
        "request_id": request_id,
        "state": outcome.state.value,
        "repeated": outcome.repeated,
    }
    if office.spare is not None:
        accepted["unreplicated"] = office.spare.is_unreplicated
    return Response(
        HTTPStatus.OK if outcome.repeated else HTTPStatus.CREATED,
        accepted,
        {"Location": f"/v1/notices/{notice_id}"},
    )


async def answer(office: Office, request: Request, peer: Peer, notice_id: ActId) -> Response:
    """`POST /v1/notices/{id}/answers`"""
    document = _json(request)
    request_id = _request_id(request, document)
    code, body = answer_from_document(document)
    if isinstance(document, Mapping) and document.get("id") not in (None, str(notice_id)):
        raise _bad("id", "is not the notice of the path", "leave it out", "conflict")
    outcome = await office.desk.answer(peer.principal, request_id, notice_id, code, body)
    if isinstance(outcome, RejectRequest):
        raise problem_of_rejection(outcome)
    accepted: dict[str, object] = {
        "id": str(outcome.answer_id),
        "request_id": request_id,
        "notice_id": str(outcome.notice_id),
        "repeated": outcome.repeated,
    }
    if office.spare is not None:
        accepted["unreplicated"] = office.spare.is_unreplicated
    return Response(
        HTTPStatus.OK if outcome.repeated else HTTPStatus.CREATED,
        accepted,
        {"Location": f"/v1/notices/{outcome.notice_id}"},
    )


async def taken(office: Office, _request: Request, peer: Peer, notice_id: ActId) -> Response:
    """`POST /v1/notices/{id}/taken`"""
    await _inbound(office, peer, notice_id)
    await office.desk.taken(peer.principal, notice_id)
    return Response(HTTPStatus.OK, {"id": str(notice_id), "taken": True}, {})


async def displayed(office: Office, _request: Request, peer: Peer, notice_id: ActId) -> Response:
    """`POST /v1/notices/{id}/displayed`"""
    await _inbound(office, peer, notice_id)
    await office.desk.displayed(notice_id)
    return Response(HTTPStatus.OK, {"id": str(notice_id), "displayed": True}, {})


async def notice(office: Office, _request: Request, _peer: Peer, notice_id: ActId) -> Response:
    """`GET /v1/notices/{id}`"""
    stored = await _stored(office, notice_id)
    document = full_notice_document(stored, office.desk, now=office.clock(), boot_id=office.boot_id)
    return Response(HTTPStatus.OK, document, {})


async def inbox(office: Office, request: Request, _peer: Peer) -> Response:
    """`GET /v1/inbox`"""
    return await _box(office, request, Direction.IN)


async def outbox(office: Office, request: Request, _peer: Peer) -> Response:
    """`GET /v1/outbox`"""
    return await _box(office, request, Direction.OUT)


async def status(office: Office, _request: Request, _peer: Peer) -> Response:
    """`GET /v1/status`"""
    current = office.desk.status()
    if current is None:
        raise ProblemError(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "starting",
            "status",
            "is not there yet",
            "ask again in a moment",
            headers={"Retry-After": "1"},
        )
    return Response(HTTPStatus.OK, office.status_document(current), {})


async def log(office: Office, request: Request, _peer: Peer) -> Response:
    """`GET /v1/log`"""
    after = number(request.query, "after", 0, 0, 2**48)
    limit = number(request.query, "limit", 100, 1, 1000)
    rows = await office.store.log_entries(after, limit=limit)
    entries: list[dict[str, object]] = []
    size = 0
    for row in rows:
        size += 2 * len(row.octets) + 200
        if entries and size > ANSWER_SIZE_MAX:
            break
        entries.append(log_row_document(row))
        after = row.number
    return Response(HTTPStatus.OK, {"entries": entries, "next": after}, {})


async def log_head(office: Office, _request: Request, _peer: Peer) -> Response:
    """`GET /v1/log/head`"""
    head = await office.store.signed_head()
    return Response(HTTPStatus.OK, {"head": None if head is None else head.hex()}, {})


async def spare(office: Office, _request: Request, _peer: Peer) -> Response:
    """`GET /v1/spare`"""
    return Response(HTTPStatus.OK, _spare(office).document(), {})


async def say_spare(office: Office, request: Request, peer: Peer) -> Response:
    """`POST /v1/spare`"""
    control = _spare(office)
    if not peer.is_known or not peer.principal.rights.answer:
        raise ProblemError(
            HTTPStatus.FORBIDDEN,
            "forbidden",
            "user",
            f"{peer.principal.user} may not change which gateway is active",
            "do it as one who may answer, as root or as the gateway's user",
        )
    wish = read_wish(_json(request))
    if wish.is_promotion:
        obstacle = await control.promote(other_is_off=wish.other_is_off)
        if obstacle is not None:
            raise ProblemError(
                HTTPStatus.CONFLICT, "conflict", "role", obstacle.problem, obstacle.remedy
            )
    else:
        await control.stand_by()
    return Response(HTTPStatus.ACCEPTED, control.document(), {})


def _spare(office: Office) -> Spare:
    if office.spare is None:
        raise ProblemError(
            HTTPStatus.NOT_FOUND,
            "no_spare",
            "spare",
            "this station has one gateway",
            "add a table [spare] to the configuration of both, if it has two",
        )
    return office.spare


async def clear_alarm(office: Office, peer: Peer, name: str) -> Response:
    """`POST /v1/alarms/{name}/clear`"""
    outcome = await office.desk.clear(peer.principal, name)
    if isinstance(outcome, RejectRequest):
        raise problem_of_rejection(outcome)
    return Response(HTTPStatus.OK, {"name": outcome.name, "cleared": True}, {})


Entry = TypeVar("Entry")
Handler = Callable[[Office, Request, Peer], Awaitable[Response]]
NoticeHandler = Callable[[Office, Request, Peer, ActId], Awaitable[Response]]

PLAIN: Final[Mapping[str, Mapping[str, Handler]]] = {
    "/v1/notices": {"POST": submit},
    "/v1/inbox": {"GET": inbox},
    "/v1/outbox": {"GET": outbox},
    "/v1/status": {"GET": status},
    "/v1/log": {"GET": log},
    "/v1/log/head": {"GET": log_head},
    "/v1/spare": {"GET": spare, "POST": say_spare},
}
OF_NOTICE: Final[Mapping[str, Mapping[str, NoticeHandler]]] = {
    "": {"GET": notice},
    "/answers": {"POST": answer},
    "/taken": {"POST": taken},
    "/displayed": {"POST": displayed},
}
QUERIES: Final[Mapping[str, tuple[str, ...]]] = {
    "/v1/notices": ("after", "limit", "topic", "untaken", "wait"),
    "/v1/inbox": ("open_only", "limit"),
    "/v1/outbox": ("open_only", "limit"),
    "/v1/events": ("after",),
    "/v1/log": ("after", "limit"),
}
"""The query parameters of each path; others are refused by name."""
_ALARM_PATH: Final = re.compile(r"/v1/alarms/([a-z0-9.-]{1,60})/clear")
_NOTICE_PATH: Final = re.compile(r"/v1/notices/([^/]{1,40})(/[a-z]+)?")


async def handle(office: Office, request: Request, peer: Peer) -> Response:
    """Answer a request that does not wait. Raises `ProblemError`."""
    check_query(request)
    try:
        plain = PLAIN.get(request.path)
        if plain is not None:
            return await _allowed(plain, request)(office, request, peer)
        if (alarm := _ALARM_PATH.fullmatch(request.path)) is not None:
            _allowed({"POST": clear_alarm}, request)
            return await clear_alarm(office, peer, alarm[1])
        match = _NOTICE_PATH.fullmatch(request.path)
        of_notice = OF_NOTICE.get(match[2] or "") if match else None
        if match is None or of_notice is None:
            raise _no_such_path(request)
        handler = _allowed(of_notice, request)
        return await handler(office, request, peer, ActId.parse(match[1]))
    except FieldError as error:
        raise problem_of_field(error) from error


def check_query(request: Request) -> None:
    known = QUERIES.get(request.path, ()) if request.method == "GET" else ()
    for name in request.query:
        if name not in known:
            remedy = f"use {', '.join(known)}" if known else "this path takes none"
            raise _bad(ascii(name[:40]), "is not a known parameter", remedy, "unknown_parameter")


def number(query: Mapping[str, str], name: str, default: int, low: int, high: int) -> int:
    """A whole number of the query. Raises `ProblemError`."""
    text = query.get(name)
    if text is None:
        return default
    if text.isascii() and text.isdigit() and len(text) <= 18 and low <= int(text) <= high:
        return int(text)
    raise _bad(name, f"{text[:20]!a} does not fit", f"give {low} to {high}", "bad_parameter")


def flag(query: Mapping[str, str], name: str) -> bool:
    """`1` or `true`, `0` or `false`; absent is false. Raises `ProblemError`."""
    text = query.get(name, "0").lower()
    if text in ("1", "true"):
        return True
    if text in ("0", "false"):
        return False
    raise _bad(name, f"{text[:20]!a} is neither 1 nor 0", "give 1 or 0", "bad_parameter")


def _allowed(methods: Mapping[str, Entry], request: Request) -> Entry:
    handler = methods.get(request.method)
    if handler is None:
        raise not_allowed(request, methods)
    return handler


def not_allowed(request: Request, methods: Mapping[str, object]) -> ProblemError:
    allowed = ", ".join(sorted(methods))
    return ProblemError(
        HTTPStatus.METHOD_NOT_ALLOWED,
        "method_not_allowed",
        "method",
        f"{request.method[:20]} is not for this path",
        f"use {allowed}",
        headers={"Allow": allowed},
    )


def _no_such_path(request: Request) -> ProblemError:
    return ProblemError(
        HTTPStatus.NOT_FOUND,
        "unknown_path",
        "path",
        f"{request.path[:60]!a} does not exist",
        "see openapi.yaml for the paths",
    )


def _bad(field: str, problem: str, remedy: str, code: str) -> ProblemError:
    return ProblemError(HTTPStatus.BAD_REQUEST, code, field, problem, remedy)


def _json(request: Request) -> object:
    """The body as plain values. Raises `ProblemError`."""
    media_type = request.headers.get("content-type", "application/json").split(";")[0].strip()
    if media_type.lower() != "application/json":
        raise ProblemError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            "Content-Type",
            f"{media_type[:40]!a} is not understood",
            "send application/json",
        )
    try:
        return msgspec.json.decode(request.body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _bad("body", "is not JSON", "send one JSON object in UTF-8", "bad_json") from error


def _request_id(request: Request, document: object) -> str:
    """From the header `Idempotency-Key` or `request_id` in the body; both must agree."""
    header = request.headers.get("idempotency-key")
    in_header = None if header is None else check_request_id(header.strip('"'))
    in_body = request_id_from_document(document)
    request_id = in_header or in_body
    if request_id is None:
        raise _bad(
            "request_id",
            "is missing",
            "name the request by the header Idempotency-Key or by request_id in the body, and "
            "repeat it under the same name: then it is never done twice",
            "missing_request_id",
        )
    if in_body not in (None, request_id):
        raise _bad("request_id", "differs from Idempotency-Key", "give one of them", "conflict")
    return request_id


async def _stored(office: Office, notice_id: ActId) -> StoredNotice:
    stored = await office.store.notice(notice_id)
    if stored is None:
        raise ProblemError(
            HTTPStatus.NOT_FOUND,
            "unknown_notice",
            "id",
            f"no notice {notice_id} is known here",
            "look it up with `hotline inbox` or `hotline outbox`",
        )
    return stored


async def _inbound(office: Office, peer: Peer, notice_id: ActId) -> None:
    """The notice came in, and the user is one who may act on it. Raises `ProblemError`."""
    if not peer.is_known:
        raise ProblemError(
            HTTPStatus.FORBIDDEN,
            "forbidden",
            "user",
            f"{peer.principal.user} may only look",
            "have the technician add an [[api.user]] to the configuration",
        )
    stored = await _stored(office, notice_id)
    if stored.delivery.direction is not Direction.IN:
        raise ProblemError(
            HTTPStatus.CONFLICT,
            "conflict",
            "id",
            f"{notice_id} is a notice of this station",
            "name one that came in",
        )


async def _box(office: Office, request: Request, direction: Direction) -> Response:
    limit = number(request.query, "limit", 100, 1, 1000)
    open_only = flag(request.query, "open_only")
    rows = await office.store.notices(direction, open_only=open_only, limit=limit)
    now = office.clock()
    documents = []
    for index, row in enumerate(rows):
        documents.append(stored_notice_document(row, office.desk, now=now, boot_id=office.boot_id))
        if index % _DECODE_BATCH == _DECODE_BATCH - 1:
            await asyncio.sleep(0)  # a long list leaves the loop to others now and then
    return Response(HTTPStatus.OK, {"notices": documents}, {})


def too_many(what: str, remedy: str, *, close: bool = False) -> ProblemError:
    return ProblemError(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "busy",
        "connection",
        what,
        remedy,
        headers={"Retry-After": str(RETRY_AFTER_S)},
        close=close,
    )
