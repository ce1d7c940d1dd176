"""The endpoints that wait: the durable feed of publications, and the stream of events."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from http import HTTPStatus
from typing import Final

import msgspec

from gateway.api.connection import Connection, Request, Response
from gateway.api.documents import publication_document
from gateway.api.problem import ProblemError
from gateway.api.routes import ANSWER_SIZE_MAX, Office, check_query, flag, not_allowed, number
from gateway.core.effects import Status
from gateway.core.records import Publication, Topic
from gateway.store.base import Store

STATUS_INTERVAL_S: Final = 0.2
"""Least time between two rounds of an event stream: a busy line must not flood a screen."""
HEARD_INTERVAL_S: Final = 5.0
"""How often an event stream looks whether figures of a line moved, for which nobody is woken."""
BATCH_COUNT: Final = 100


async def read_feed(office: Office, request: Request, connection: Connection) -> Response:
    """`GET /v1/notices`: publications after an offset; waits for the first one if asked to."""
    check_query(request)
    after = number(request.query, "after", 0, 0, 2**53)
    limit = number(request.query, "limit", 100, 1, 1000)
    wait_s = number(request.query, "wait", 0, 0, office.limits.wait_s_max)
    untaken_only = flag(request.query, "untaken")
    topic = _topic(request)
    if untaken_only and topic is Topic.STATE:
        raise ProblemError(
            HTTPStatus.BAD_REQUEST,
            "conflict",
            "untaken",
            "is about notices, not about states",
            "leave one of the two out",
        )

    async def found() -> Sequence[Publication]:
        return await office.store.publications(
            after, limit=limit, topic=topic, untaken_only=untaken_only
        )

    async def awaited() -> Sequence[Publication]:
        change = 0
        rows: Sequence[Publication] = ()
        try:
            async with asyncio.timeout(wait_s):
                while not rows:
                    change = await office.desk.changed(change)
                    rows = await found()
        except TimeoutError:
            pass
        return rows

    if not untaken_only:
        await _check_kept(office.store, after)
    rows = await found()
    if not rows and wait_s:
        rows = await connection.while_connected(awaited())
    return Response(HTTPStatus.OK, _page(rows, after), {})


async def _check_kept(store: Store, after: int) -> None:
    """Refuse an offset behind which something was removed: who reads on would miss it unseen.

    0 asks for all that is there.
    """
    if not after or after >= (floor := await store.feed_floor()):
        return
    raise ProblemError(
        HTTPStatus.GONE,
        "gone",
        "after",
        f"{after} is too old: publications up to {floor} were removed after `keep_days`",
        f"read what is kept from after=0, or go on with after={floor}",
    )


def _topic(request: Request) -> Topic | None:
    word = request.query.get("topic")
    if word is None:
        return None
    for topic in Topic:
        if topic.value == word:
            return topic
    words = " or ".join(topic.value for topic in Topic)
    raise ProblemError(
        HTTPStatus.BAD_REQUEST,
        "bad_parameter",
        "topic",
        f"{word[:20]!a} is not known",
        f"give {words}",
    )


def _page(rows: Sequence[Publication], after: int) -> dict[str, object]:
    documents: list[dict[str, object]] = []
    size = 0
    for row in rows:
        size += len(row.document) + 100
        if documents and size > ANSWER_SIZE_MAX:
            break
        documents.append(publication_document(row))
        after = row.offset
    return {"publications": documents, "next": after}


async def stream_events(office: Office, request: Request, connection: Connection) -> None:
    """`GET /v1/events`: the status now and at each change, and every publication from here on.

    Server-sent events `status`, `notice` and `state`; the id of the latter two is their offset,
    so that a client that comes back with `Last-Event-ID` (or `after`) misses nothing. A comment
    goes when nothing else does. Ends only with the connection.
    """
    if request.method != "GET":
        raise not_allowed(request, {"GET": None})
    check_query(request)
    offset = await _first_offset(office, request)
    await connection.begin_stream("text/event-stream")
    await connection.while_connected(_stream(office, connection, offset))


async def _first_offset(office: Office, request: Request) -> int:
    query = dict(request.query)
    if "after" not in query and "last-event-id" in request.headers:
        query["after"] = request.headers["last-event-id"]
    if "after" in query:
        after = number(query, "after", 0, 0, 2**53)
        await _check_kept(office.store, after)
        return after
    return await last_offset(office.store)


async def last_offset(store: Store) -> int:
    """The offset of the newest publication, 0 if there is none; asks a few dozen times at most.

    "Is there any after N?" can be searched by halves, whatever holes there are.
    """
    low, high = 0, 1
    while rows := await store.publications(high - 1, limit=1):
        low = rows[0].offset
        high = 2 * low + 1
    while high - low > 1:
        middle = (low + high) // 2
        rows = await store.publications(middle - 1, limit=1)
        if rows:
            low = rows[0].offset
        else:
            high = middle
    return low


async def _stream(office: Office, connection: Connection, offset: int) -> None:
    change = 0
    shown: Status | None = None
    while True:
        parts: list[bytes] = []
        status = office.desk.status()
        if status is not None and status is not shown:
            parts.append(_event("status", None, office.status_document(status)))
            shown = status
        rows = await office.store.publications(offset, limit=BATCH_COUNT)
        for row in rows:
            parts.append(_event(row.topic.value, row.offset, publication_document(row)))
            offset = row.offset
        if parts:
            await connection.send_part(b"".join(parts))
        if len(rows) == BATCH_COUNT:
            continue
        await asyncio.sleep(STATUS_INTERVAL_S)
        change = await _change(office, connection, change, shown)


async def _change(office: Office, connection: Connection, after: int, shown: Status | None) -> int:
    """Wait for a change, or for figures that `shown` does not have; gives the last change."""
    quiet_s = 0.0
    look_s = min(HEARD_INTERVAL_S, office.limits.heartbeat_s)
    while True:
        try:
            async with asyncio.timeout(look_s):
                return await office.desk.changed(after)
        except TimeoutError:
            if office.desk.status() is not shown:
                return after
        quiet_s += look_s
        if quiet_s >= office.limits.heartbeat_s:
            quiet_s = 0.0
            await connection.send_part(b": the line is watched\n\n")


def _event(name: str, offset: int | None, document: dict[str, object]) -> bytes:
    identity = b"" if offset is None else b"id: %d\n" % offset
    data = msgspec.json.encode(document)  # JSON has no line feed outside of escapes
    return b"event: %s\n%sdata: %s\n\n" % (name.encode(), identity, data)
