"""The NATS JetStream adapter of headquarters: many stations hand on to one cluster.

Subjects have the shape of the MQTT topics (asyncapi.yaml). A notice leaves the outbox when the
stream has acknowledged it; that is its `taken`. The cursor of the feed moves after it. Submissions
and answers come by a durable pull consumer and are acknowledged after our commit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, NoReturn

import msgspec
from nats.aio.msg import Msg
from nats.errors import Error
from nats.errors import TimeoutError as NatsTimeoutError

from gateway.core.events import Principal, QueueUp
from gateway.core.records import Publication, Topic
from gateway.errors import FieldError, QueueUnavailableError
from gateway.queues.base import Desk, EmitQueue, first_error
from gateway.queues.line_documents import steady_lines
from gateway.queues.messages import Message, Outgoing
from gateway.queues.nats_connection import Access, Headers, NatsConnection, ServerRing
from gateway.queues.nats_standing import LOOK_S, Standing
from gateway.queues.requests import JSON, Requests
from gateway.queues.streams import (
    LINES,
    NOTICES,
    REQUEST_NAMES,
    REQUESTS,
    STATES,
    STREAMS,
)
from gateway.store.base import Store

QUEUE: Final = "nats"
FEED_BATCH: Final = 50
REQUEST_BATCH: Final = 10
"""What a fetch takes; what is left of it when the connection goes waits for `ack_wait`."""
FETCH_S: Final = 10.0
LINE_INTERVAL_S: Final = 1.0
AVAILABILITY_S: Final = 30.0
AVAILABILITY_VALID_S: Final = 90
"""NATS has no last will: a word of ours that is older than this is none."""
REPLY_TO: Final = "Hotline-Reply-To"
CORRELATION: Final = "Hotline-Correlation"
SUBJECT_SIZE_MAX: Final = 255


@dataclass(frozen=True, slots=True)
class NatsOptions:
    """What the configuration says of the cluster; `principal` has its rights and role."""

    access: Access
    principal: Principal
    availability_s: float = AVAILABILITY_S
    look_s: float = LOOK_S
    """Between two looks whether the streams and consumers are still there."""


class NatsAdapter:
    """Serves one connection to a server of the cluster; `ring` says to which."""

    def __init__(self, options: NatsOptions, ring: ServerRing, desk: Desk, store: Store) -> None:
        self._options = options
        self._station = options.access.station
        self._ring = ring
        self._desk = desk
        self._store = store
        self._prefix = f"hotline/v1/{self._station}"
        self._requests = Requests(self._prefix, options.principal, desk, store, check_reply_subject)

    async def run(self, emit: EmitQueue) -> NoReturn:
        """Connect and serve until the server is gone. Raises `QueueUnavailableError`."""
        connection = NatsConnection(
            self._options.access, self._ring, name=f"hotline-gateway-{self._station}"
        )
        outages: list[BaseException] = []
        try:
            await connection.open()
            async with asyncio.TaskGroup() as group:
                group.create_task(connection.watch())
                for stream in STREAMS:
                    await connection.prepare_stream(stream)
                durables = [await connection.prepare_consumer(it) for it in REQUEST_NAMES]
                standing = Standing(connection, self._options.look_s)
                await standing.find(STREAMS, durables)
                await self._say_availability(connection, is_available=True)
                emit(QueueUp(QUEUE))
                for durable in durables:
                    group.create_task(self._serve_requests(connection, durable))
                group.create_task(standing.watch())
                group.create_task(self._publish_feed(connection, emit))
                group.create_task(self._publish_lines(connection))
                group.create_task(self._repeat_availability(connection))
        except* QueueUnavailableError as group_of_outages:
            outages += group_of_outages.exceptions
        finally:
            with suppress(QueueUnavailableError, TimeoutError):
                async with asyncio.timeout(1.0):
                    await self._say_availability(connection, is_available=False)
            await connection.close()
        raise first_error(outages)

    # Requests.

    async def _serve_requests(self, connection: NatsConnection, durable: str) -> NoReturn:
        """One after the other; a message that is not acknowledged comes again."""
        try:
            pull = await connection.client.jetstream().pull_subscribe_bind(
                durable=durable, stream=REQUESTS
            )
            while True:
                try:
                    messages = await pull.fetch(REQUEST_BATCH, timeout=FETCH_S)
                except (NatsTimeoutError, TimeoutError):
                    messages = []
                await self._deal_with_all(connection, messages)
        except (Error, OSError) as error:
            problem = f"hands out no requests ({error})"
            text = f"the NATS server {connection.server} {problem}"
            raise QueueUnavailableError(text, problem=problem) from error

    async def _deal_with_all(self, connection: NatsConnection, messages: list[Msg]) -> None:
        """What is not dealt with when we stop is given back: else it waits for `ack_wait`."""
        task = asyncio.current_task()
        assert task is not None
        dealt_with = 0
        try:
            if task.cancelling():
                # nats-py waits by `asyncio.wait_for`, which before Python 3.12 forgets a stop that
                # meets a message: we would serve on, and the outage or the daemon never end.
                raise asyncio.CancelledError
            for message in messages:
                await self._deal_with(connection, message)
                dealt_with += 1
        finally:
            for message in messages[dealt_with:]:
                with suppress(Error, OSError):
                    await message.nak()

    async def _deal_with(self, connection: NatsConnection, message: Msg) -> None:
        metadata = message.metadata
        place = metadata.sequence.stream
        # Of a request that comes again the refusal is the same one. The stream is for all stations;
        # one that is made anew begins at 1 again.
        refusal_id = f"error/{place}/{metadata.timestamp.isoformat()}"

        async def publish(outgoing: Outgoing) -> int:
            await self._publish_outcome(connection, outgoing, refusal_id)
            return 0

        await self._requests.deal_with(_incoming(message, place), publish)
        await message.ack()

    async def _publish_outcome(
        self, connection: NatsConnection, outgoing: Outgoing, refusal_id: str
    ) -> None:
        """An error into its stream; a reply to whoever waits for it."""
        if outgoing.topic.startswith(self._prefix):
            headers = {"Nats-Msg-Id": refusal_id, "Content-Type": JSON}
            await connection.publish(STATES, _subject(outgoing.topic), outgoing.payload, headers)
            return
        headers = {"Content-Type": outgoing.content_type}
        if outgoing.correlation is not None:
            headers[CORRELATION] = outgoing.correlation.decode()
        await connection.say(outgoing.topic, outgoing.payload, headers)

    # The feed.

    async def _publish_feed(self, connection: NatsConnection, emit: EmitQueue) -> NoReturn:
        offset = await self._store.cursor(QUEUE)
        await self._publish_untaken(connection, offset)
        change = 0
        while True:
            rows = await self._store.publications(offset, limit=FEED_BATCH)
            if rows:
                await self._hand_off(connection, rows)
                offset = rows[-1].offset
                await self._store.put_cursor(QUEUE, offset)
                emit(QueueUp(QUEUE))
            else:
                change = await self._desk.changed(change)

    async def _publish_untaken(self, connection: NatsConnection, offset: int) -> None:
        """Notices behind the cursor whose `taken` a power cut took back."""
        position = 0
        while rows := await self._store.publications(
            position, limit=FEED_BATCH, topic=Topic.NOTICE, untaken_only=True
        ):
            position = rows[-1].offset
            if behind := [row for row in rows if row.offset <= offset]:
                await self._hand_off(connection, behind)
            if position > offset:
                return

    async def _hand_off(self, connection: NatsConnection, rows: Sequence[Publication]) -> None:
        """Publish side by side, in order; return when the streams have all and it is written."""
        async with asyncio.TaskGroup() as group:
            for row in rows:
                group.create_task(self._publish(connection, row))
        async with asyncio.TaskGroup() as group:
            for row in rows:
                if row.topic is Topic.NOTICE:
                    group.create_task(self._desk.taken(self._options.principal, row.notice_id))

    async def _publish(self, connection: NatsConnection, row: Publication) -> None:
        # Tokens come from the record, never from the document: what is no operation cannot
        # appear on an operation subject.
        if row.topic is Topic.NOTICE:
            level = f"notice/{row.operation.name.lower()}/{row.precedence.name.lower()}"
            stream, message_id = NOTICES, str(row.notice_id)
        else:
            level = f"state/{row.notice_id}"
            stream, message_id = STATES, f"{row.notice_id}/{row.offset}"
        headers = {
            # Two stations may know one id; a window of the stream is for all of them.
            "Nats-Msg-Id": f"{self._station}/{message_id}",
            "message_id": message_id,
            "offset": str(row.offset),
            "Content-Type": JSON,
        }
        await connection.publish(
            stream, _subject(f"{self._prefix}/{level}"), row.document.encode(), headers
        )

    # How we are.

    async def _publish_lines(self, connection: NatsConnection) -> NoReturn:
        shown: dict[str, object] = {}
        change = 0
        while True:
            for name, document in steady_lines(self._desk, self._station).items():
                if shown.get(name) != document:
                    subject = _subject(f"{self._prefix}/line/{name}")
                    payload = msgspec.json.encode(document)
                    await connection.publish(LINES, subject, payload, {"Content-Type": JSON})
                    shown[name] = document
            await asyncio.sleep(LINE_INTERVAL_S)
            change = await self._desk.changed(change)

    async def _repeat_availability(self, connection: NatsConnection) -> NoReturn:
        while True:
            await asyncio.sleep(self._options.availability_s)
            await self._say_availability(connection, is_available=True)

    async def _say_availability(self, connection: NatsConnection, *, is_available: bool) -> None:
        document = {
            "station": self._station,
            "available": is_available,
            "valid_s": AVAILABILITY_VALID_S,
        }
        subject = _subject(f"{self._prefix}/availability")
        payload = msgspec.json.encode(document)
        await connection.publish(LINES, subject, payload, {"Content-Type": JSON})


def check_reply_subject(subject: str | None) -> None:
    """A reply must never look like one of the gateway's own publications. Raises `FieldError`."""
    if subject is None:
        return
    if (
        len(subject) > SUBJECT_SIZE_MAX
        or not subject.isascii()
        or not subject.isprintable()
        or any(character in subject for character in " *>")
        or not all(subject.split("."))
        or subject.startswith(("hotline.", "$"))
    ):
        raise FieldError(
            REPLY_TO,
            f"{subject[:40]!a} is not allowed",
            "name a subject outside of hotline. and $, without blanks, * and >",
            code="bad_response_topic",
        )


def _subject(topic: str) -> str:
    """The subject of one of our topics; a dot or blank inside a level becomes an underscore."""
    return topic.translate({ord("."): "_", ord(" "): "_", ord("/"): "."})


def _incoming(message: Msg, place: int) -> Message:
    headers: Headers = message.headers or {}
    correlation = headers.get(CORRELATION)
    request_id = headers.get("request_id")
    return Message(
        topic=message.subject.replace(".", "/"),
        payload=message.data,
        qos=1,
        is_retained=False,
        mid=place,
        content_type=headers.get("Content-Type"),
        response_topic=headers.get(REPLY_TO),
        correlation=None if correlation is None else correlation.encode(),
        user_properties=() if request_id is None else (("request_id", request_id),),
    )
