"""The MQTT 5 adapter: hands publications on, takes requests in, shows what the line does.

Topics, all under `hotline/v1/<station>` (asyncapi.yaml has the whole contract): `/notice/...` and
`/state/<id>` come from the durable feed, and the cursor moves only after the broker's PUBACK;
`/submit`, `/answer` and `/taken` come in; `/line/<line>` and `/availability` are retained;
`/error/<request_id>` tells what was refused.
"""

from __future__ import annotations

import asyncio
import enum
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NoReturn

import cbor2
import msgspec

from gateway.core.events import Principal, QueueUp
from gateway.core.records import Publication, Topic
from gateway.errors import QueueUnavailableError
from gateway.model import ActId, Precedence
from gateway.queues.backlog import Backlog, UnderWay
from gateway.queues.base import Desk, EmitQueue, first_error
from gateway.queues.line_documents import steady_lines
from gateway.queues.messages import Outgoing
from gateway.queues.mqtt_connection import Broker, Limits, MqttConnection, Tls
from gateway.queues.requests import CBOR, JSON, Requests
from gateway.store.base import Store

QUEUE: Final = "mqtt"
REPUBLISH_S: Final = 60.0
REPUBLISH_BATCH: Final = 50
"""Untaken notices looked at in a round: four rounds an interval while nobody takes them, one after
the other while a consumer does. With `REFILL_COUNT` fewer than the broker keeps (hotline.conf)."""
REFILL_COUNT: Final = 25
"""So few are on their way to a consumer when the next round goes."""
FEED_BATCH: Final = 20
LINE_INTERVAL_S: Final = 1.0
"""Least time between two publications of the lines."""
PUBLISHED_COUNT_MAX: Final = 10_000


class Taking(enum.Enum):
    """What a consumer does with the notices that went."""

    NOTHING = enum.auto()
    SLOWLY = enum.auto()
    """It took some in the last interval, and more than `REFILL_COUNT` are left."""
    WELL = enum.auto()


@dataclass(frozen=True, slots=True)
class MqttOptions:
    """What the configuration says of the broker; `principal` has its rights and role."""

    url: str
    station: str
    principal: Principal
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: Tls = field(default_factory=Tls)
    republish_s: float = REPUBLISH_S
    """Between two publications of a notice that is not taken; 1 to 3600."""
    is_cbor: bool = False
    """Publish notices and states as CBOR; JSON otherwise."""
    limits: Limits = field(default_factory=Limits)


class MqttAdapter:
    """Serves one connection to a broker. Raises `ConfigError` for a wrong URL.

    The client id is fixed by the station's name, so that the broker keeps what is submitted while
    we are away.
    """

    def __init__(self, options: MqttOptions, desk: Desk, store: Store) -> None:
        self._options = options
        self._broker = Broker.parse(options.url)
        self._desk = desk
        self._store = store
        self._prefix = f"hotline/v1/{options.station}"
        self._requests = Requests(self._prefix, options.principal, desk, store)
        self._published: OrderedDict[int, float] = OrderedDict()
        """When an untaken notice went last, by offset; beyond the bound the oldest is forgotten
        and goes again a little earlier."""
        self._notice_went = asyncio.Event()
        """A notice was published since the last look for untaken ones."""
        self._offset = 0
        """Everything up to it has the broker's PUBACK."""
        self._under_way = UnderWay(PUBLISHED_COUNT_MAX)
        """Begins anew when no consumer took any for a while."""
        self._took_at = float("-inf")
        self._took = asyncio.Event()
        """A consumer said `taken` since the last look."""

    async def run(self, emit: EmitQueue) -> NoReturn:
        """Connect and serve until the broker is gone. Raises `QueueUnavailableError`."""
        options = self._options
        connection = MqttConnection(
            self._broker,
            f"hotline-gateway-{options.station}",
            will=self._availability(is_available=False),
            user=options.user,
            password=options.password,
            tls=options.tls,
            limits=options.limits,
        )
        outages: list[BaseException] = []
        try:
            await connection.open()
            async with asyncio.TaskGroup() as group:
                group.create_task(connection.watch())
                group.create_task(self._serve_requests(connection))
                await connection.subscribe(self._requests.topics)
                self._offset = await self._store.cursor(QUEUE)
                await connection.publish_or_fail(self._availability(is_available=True))
                emit(QueueUp(QUEUE))
                group.create_task(self._publish_feed(connection, emit))
                group.create_task(self._publish_again(connection))
                group.create_task(self._publish_lines(connection))
        except* QueueUnavailableError as group_of_outages:
            outages += group_of_outages.exceptions
        finally:
            await connection.close(farewell=self._availability(is_available=False))
        raise first_error(outages)

    async def _serve_requests(self, connection: MqttConnection) -> NoReturn:
        """One after the other, so that PUBACKs keep the order of arrival (MQTT 5 section 4.6)."""
        while True:
            message = await connection.next_message()
            reply = await self._requests.deal_with(message, connection.publish)
            connection.acknowledge(message)
            if reply is not None and message.topic == f"{self._prefix}/taken":
                self._under_way.take(ActId.parse(str(reply["id"])))
                self._took_at = asyncio.get_running_loop().time()
                self._took.set()

    async def _publish_feed(self, connection: MqttConnection, emit: EmitQueue) -> NoReturn:
        change = 0
        while True:
            rows = await self._store.publications(self._offset, limit=FEED_BATCH)
            if rows:
                await self._publish(connection, rows)
                self._offset = rows[-1].offset
                await self._store.put_cursor(QUEUE, self._offset)
                emit(QueueUp(QUEUE))
            else:
                change = await self._desk.changed(change)

    async def _publish_again(self, connection: MqttConnection) -> NoReturn:
        """Notices that nobody has taken: at once on a new connection, then at the interval."""
        backlog = Backlog(REPUBLISH_BATCH)
        was_taking = False
        while True:
            self._notice_went.clear()
            rows = await self._untaken(backlog.precedence, after=backlog.position)
            backlog.take(rows)
            due = [row for row in rows if self._is_due(row)]
            for start in range(0, len(due), FEED_BATCH):
                await self._publish(connection, due[start : start + FEED_BATCH])
            if backlog.is_over and backlog.was_empty:
                await self._notice_went.wait()
            if not (due or backlog.is_over):
                continue
            while (taking := await self._pause(until_refill=bool(due))) is Taking.SLOWLY:
                await self._publish_urgent(connection)
            if taking is Taking.WELL and not was_taking:
                backlog.restart()
            was_taking = taking is Taking.WELL

    async def _pause(self, *, until_refill: bool) -> Taking:
        """A quarter of the interval, or less: until a consumer has taken most of what went.

        A consumer that was away for a day takes what waits as fast as it can, and no broker has to
        keep it meanwhile, nor drops any of it.
        """
        interval_s = self._options.republish_s
        try:
            async with asyncio.timeout(interval_s / 4):
                while not (until_refill and len(self._under_way) <= REFILL_COUNT):
                    self._took.clear()
                    await self._took.wait()
        except TimeoutError:
            if asyncio.get_running_loop().time() - self._took_at >= interval_s:
                self._under_way.clear()
                return Taking.NOTHING
            return Taking.SLOWLY if until_refill else Taking.WELL
        return Taking.WELL

    async def _publish_urgent(self, connection: MqttConnection) -> None:
        """What a broker dropped that was full, and shall not wait until the consumer is through."""
        for precedence in (Precedence.FLASH, Precedence.IMMEDIATE):
            rows = await self._untaken(precedence)
            await self._publish(connection, [row for row in rows if self._is_due(row)])

    async def _untaken(self, precedence: Precedence, *, after: int = 0) -> list[Publication]:
        """A batch of notices that nobody has taken, behind an offset."""
        return await self._store.publications(
            after,
            limit=REPUBLISH_BATCH,
            topic=Topic.NOTICE,
            untaken_only=True,
            precedence=precedence,
        )

    def _is_due(self, row: Publication) -> bool:
        """Whether it is time to hand a notice on again: the feed has, and the broker lost it."""
        if row.offset > self._offset or row.notice_id in self._under_way:
            return False
        last = self._published.get(row.offset)
        now = asyncio.get_running_loop().time()
        return last is None or now - last >= self._options.republish_s

    async def _publish(self, connection: MqttConnection, rows: Sequence[Publication]) -> None:
        """Publish side by side, in order; return when the broker has them all."""
        async with asyncio.TaskGroup() as group:
            for row in rows:
                group.create_task(connection.publish_or_fail(self._outgoing(row)))
        now = asyncio.get_running_loop().time()
        for row in rows:
            if row.topic is Topic.NOTICE:
                self._notice_went.set()
                self._under_way.add(row.notice_id)
                self._published[row.offset] = now
                self._published.move_to_end(row.offset)
        while len(self._published) > PUBLISHED_COUNT_MAX:
            self._published.popitem(last=False)

    def _outgoing(self, row: Publication) -> Outgoing:
        # Topic levels come from the record, never from the document: what is no operation cannot
        # appear on an operation topic.
        if row.topic is Topic.NOTICE:
            level = f"notice/{row.operation.name.lower()}/{row.precedence.name.lower()}"
            message_id = str(row.notice_id)
        else:
            level = f"state/{row.notice_id}"
            message_id = f"{row.notice_id}/{row.offset}"
        payload = row.document.encode()
        return Outgoing(
            f"{self._prefix}/{level}",
            cbor2.dumps(msgspec.json.decode(payload)) if self._options.is_cbor else payload,
            content_type=CBOR if self._options.is_cbor else JSON,
            user_properties=(("message_id", message_id), ("offset", str(row.offset))),
        )

    async def _publish_lines(self, connection: MqttConnection) -> NoReturn:
        shown: dict[str, object] = {}
        change = 0
        while True:
            for name, document in steady_lines(self._desk, self._options.station).items():
                if shown.get(name) != document:
                    await connection.publish_or_fail(
                        Outgoing(
                            f"{self._prefix}/line/{name}",
                            msgspec.json.encode(document),
                            is_retained=True,
                        )
                    )
                    shown[name] = document
            await asyncio.sleep(LINE_INTERVAL_S)
            change = await self._desk.changed(change)

    def _availability(self, *, is_available: bool) -> Outgoing:
        document = {"station": self._options.station, "available": is_available}
        return Outgoing(
            f"{self._prefix}/availability", msgspec.json.encode(document), is_retained=True
        )
