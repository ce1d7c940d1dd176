"""The queue of the bench: how notices are handed over and taken. Embedded (the API), or MQTT."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from gateway.errors import FieldError
from gateway.sim.bench.http_client import ApiUnreachableError
from gateway.sim.bench.process import BenchError, BrokerAwayError, GatewayProcess

RETRY_S: Final = 0.2
SUBMIT_S: Final = 30.0


class Queue(Protocol):
    """What a program at headquarters does."""

    async def submit(self, sender: str, document: Mapping[str, object]) -> str:
        """Hand over a notice and give its id. Raises `BenchError`."""
        ...

    async def taken(self, station: str, notice_id: str) -> None:
        """Say that the notice is safe with us. Raises `BenchError`."""
        ...


class ApiQueue:
    """The embedded queue, through the API; a gateway that is away is asked again."""

    def __init__(self, processes: Mapping[str, GatewayProcess]) -> None:
        self._processes = processes

    async def submit(self, sender: str, document: Mapping[str, object]) -> str:
        body = {**document, "request_id": str(uuid.uuid4())}
        answer = await post(self._processes[sender], "/v1/notices", body)
        return str(answer["id"])

    async def taken(self, station: str, notice_id: str) -> None:
        await post(self._processes[station], f"/v1/notices/{notice_id}/taken", None)


async def post(process: GatewayProcess, target: str, document: object) -> Any:  # noqa: ANN401 (JSON)
    """POST until the gateway answers; one that was killed comes back. Raises `BenchError`."""
    try:
        async with asyncio.timeout(SUBMIT_S):
            while True:
                try:
                    status, body = await process.api.request("POST", target, document)
                except ApiUnreachableError:
                    process.check()
                    await asyncio.sleep(RETRY_S)
                    continue
                if status in (200, 201):
                    return body
                raise BenchError(f"{process.name}: {target} answers {status}: {body}")
    except TimeoutError as error:
        raise BenchError(
            f"{process.name}: {target} had no answer for {SUBMIT_S:g} s; "
            f"read {process.files.output}"
        ) from error


class MqttQueue:
    """A program on the broker, which both gateways of the bench use; paho in its own thread."""

    def __init__(self, client: paho.Client) -> None:
        self._client = client
        self._reply_topic = f"bench/{uuid.uuid4()}"
        self._replies: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self.published: Counter[tuple[str, str]] = Counter()
        """How often a notice was on the broker, by (station, id): again until it is taken."""

    @classmethod
    @asynccontextmanager
    async def connected(cls, url: str) -> AsyncIterator[MqttQueue]:
        """A queue on the broker at `mqtt://host:port`.

        Raises `FieldError` for another URL and `BrokerAwayError`.
        """
        host, port = _address(url)
        client = paho.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        queue = cls(client)
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[None] = loop.create_future()

        # These run in paho's thread.
        def subscribe(*_: object) -> None:
            client.subscribe(queue.subscriptions)

        def subscribed(*_: object) -> None:
            loop.call_soon_threadsafe(_settle, ready)

        def came(_client: object, _data: object, message: paho.MQTTMessage) -> None:
            loop.call_soon_threadsafe(queue.note, message)

        client.on_connect, client.on_subscribe, client.on_message = subscribe, subscribed, came
        try:
            async with asyncio.timeout(SUBMIT_S):
                await asyncio.to_thread(client.connect, host, port)
                client.loop_start()
                await ready
        except (OSError, TimeoutError) as error:
            reason = str(error) or "no SUBACK"
            client.loop_stop()
            raise BrokerAwayError(
                f"the broker at {url} does not answer ({reason}); start it first"
            ) from error
        try:
            yield queue
        finally:
            client.disconnect()
            await asyncio.to_thread(client.loop_stop)

    @property
    def subscriptions(self) -> list[tuple[str, SubscribeOptions]]:
        topics = (self._reply_topic, "hotline/v1/+/notice/#")
        return [(topic, SubscribeOptions(qos=1)) for topic in topics]

    async def submit(self, sender: str, document: Mapping[str, object]) -> str:
        request_id = str(uuid.uuid4())
        answer = await self._ask(f"hotline/v1/{sender}/submit", request_id, document)
        return str(answer["id"])

    async def taken(self, station: str, notice_id: str) -> None:
        request_id = str(uuid.uuid4())
        await self._ask(f"hotline/v1/{station}/taken", request_id, {"id": notice_id})

    async def _ask(
        self, topic: str, request_id: str, document: Mapping[str, object]
    ) -> dict[str, Any]:
        """Publish a request and wait for its reply, across a restart of the gateway."""
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        properties.ResponseTopic = self._reply_topic
        properties.CorrelationData = request_id.encode()
        reply: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._replies[request_id] = reply
        body = json.dumps({**document, "request_id": request_id})
        self._client.publish(topic, body, qos=1, properties=properties)
        try:
            async with asyncio.timeout(SUBMIT_S):
                answer = await reply
        except TimeoutError as error:
            raise BenchError(f"{topic} had no reply for {SUBMIT_S:g} s") from error
        finally:
            del self._replies[request_id]
        if "code" in answer:
            raise BenchError(f"{topic} was refused: {answer}")
        return answer

    def note(self, message: paho.MQTTMessage) -> None:
        """A message came; called in the loop's thread."""
        document = json.loads(message.payload)
        if message.topic == self._reply_topic:
            request_id = bytes(message.properties.CorrelationData).decode()  # type: ignore[union-attr]
            reply = self._replies.get(request_id)
            if reply is not None and not reply.done():
                reply.set_result(document)
            return
        station = message.topic.split("/")[2]
        self.published[station, document["id"]] += 1


def _address(url: str) -> tuple[str, int]:
    """Host and port of `mqtt://host:port`. Raises `FieldError`."""
    try:
        parts = urlsplit(url)
        host = parts.hostname if parts.scheme == "mqtt" else None
        port = parts.port or 1883
    except ValueError:  # a port that is no number
        host, port = None, 0
    if host is None:
        raise FieldError("--mqtt", f"{url} is no broker for a bench", "write mqtt://host:port")
    return host, port


def _settle(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
