"""One MQTT 5 connection on the event loop: paho-mqtt does the protocol, asyncio the waiting.

No thread and no blocking call: `mqtt_socket` connects before paho sees the socket. A connection
serves once; when it is gone, everyone who waits on it gets `QueueUnavailableError`. What is said
on it is for `mqtt` and `requests`.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from paho.mqtt import MQTTException
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from gateway.errors import QueueUnavailableError
from gateway.queues.messages import Message, Outgoing
from gateway.queues.mqtt_socket import Broker, Tls, UnreachableError, connected_socket

__all__ = ["FAILURE", "Broker", "Limits", "MqttConnection", "Tls"]

SESSION_EXPIRY_NEVER: Final = 0xFFFF_FFFF
PACKET_SIZE_MAX: Final = 262_144
"""The broker does not hand us larger packets; it drops them."""
WAITING_COUNT_MAX: Final = 256
"""Messages that wait for us; the receive maximum keeps QoS 1 below it, QoS 0 is dropped at it."""
FAILURE: Final = 0x80
"""Reason codes from here on are refusals (MQTT 5 section 2.4)."""

_TICK_MIN_S: Final = 0.1  # paho may think itself a moment too early


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of a connection."""

    connect_s: float = 15.0
    """For the connection, TLS, CONNACK and SUBACK, each."""
    puback_s: float = 60.0
    """A broker that is silent for so long is taken as gone."""
    keepalive_s: int = 30
    inflight_count_max: int = 20
    """Publications of ours that wait for their PUBACK."""
    receive_count_max: int = 32
    """Messages that the broker may have with us without our PUBACK."""


class _NoTls:
    """What paho names at each error of a socket, even where Python has no `ssl` (paho 2.1)."""

    class SSLWantReadError(OSError):
        pass

    class SSLWantWriteError(OSError):
        pass


class _Client(paho.Client):
    """paho's client on a socket that is connected already."""

    def __init__(self, connected: socket.socket, client_id: str) -> None:
        self._connected = connected
        if paho.ssl is None:  # type: ignore[attr-defined]
            paho.ssl = _NoTls
        super().__init__(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=paho.MQTTv5,
            manual_ack=True,
            reconnect_on_failure=False,
        )

    def _create_socket(self) -> socket.socket:
        return self._connected


class MqttConnection:
    """Serves once: `open`, `subscribe`, then the rest, with `watch` beside it, and `close`."""

    def __init__(
        self,
        broker: Broker,
        client_id: str,
        *,
        will: Outgoing,
        user: str | None = None,
        password: str | None = None,
        tls: Tls | None = None,
        limits: Limits | None = None,
    ) -> None:
        self._broker = broker
        self._client_id = client_id
        self._will = will
        self._user = user
        self._password = password
        self._tls = tls or Tls()
        self._limits = limits or Limits()
        self._loop = asyncio.get_running_loop()
        self._client: _Client | None = None
        self._connack: asyncio.Future[int] = self._loop.create_future()
        self._lost: asyncio.Future[str] = self._loop.create_future()
        self._subacks: dict[int, asyncio.Future[list[ReasonCode]]] = {}
        self._pubacks: dict[int, asyncio.Future[int]] = {}
        self._inflight = asyncio.Semaphore(self._limits.inflight_count_max)
        self._messages: asyncio.Queue[Message] = asyncio.Queue(WAITING_COUNT_MAX)
        self.dropped_count = 0
        """QoS 0 messages that came while `WAITING_COUNT_MAX` waited."""

    # What the adapter calls.

    async def open(self) -> None:
        """Connect and wait for the broker's word. Raises `QueueUnavailableError`."""
        try:
            async with asyncio.timeout(self._limits.connect_s):
                connected = await connected_socket(self._broker, self._tls)
        except TimeoutError as error:
            raise self._unavailable("cannot be reached in time; check host and port") from error
        except UnreachableError as error:
            raise self._unavailable(str(error)) from error
        self._client = self._make_client(connected)
        self._client.connect(
            self._broker.host,
            self._broker.port,
            keepalive=self._limits.keepalive_s,
            clean_start=False,
            properties=self._connect_properties(),
        )
        count = await self._in_time(self._connack, "does not answer CONNECT")
        for _ in range(self._limits.inflight_count_max - count):
            await self._inflight.acquire()  # the broker takes fewer at a time than we would send

    async def subscribe(self, topics: Sequence[str]) -> None:
        """One SUBSCRIBE at QoS 1, without retained copies. Raises `QueueUnavailableError`."""
        client = self._working()
        options = SubscribeOptions(
            qos=1,
            retainAsPublished=True,
            retainHandling=SubscribeOptions.RETAIN_DO_NOT_SEND,
        )
        _, mid = client.subscribe([(topic, options) for topic in topics])
        assert mid is not None
        future = self._subacks[mid] = self._loop.create_future()
        codes = await self._in_time(future, "does not answer SUBSCRIBE")
        for topic, code in zip(topics, codes, strict=True):
            if code.value >= FAILURE:
                raise self._unavailable(
                    f"refuses the subscription to {topic} ({code}); allow it in its access list"
                )

    async def publish(self, message: Outgoing) -> int:
        """Send and wait for the PUBACK; gives its reason code, a refusal from `FAILURE` up.

        Raises `QueueUnavailableError` when the connection is gone or the PUBACK does not come.
        """
        async with self._inflight:
            client = self._working()
            outcome = client.publish(
                message.topic,
                message.payload,
                qos=1,
                retain=message.is_retained,
                properties=_publish_properties(message),
            )
            if outcome.rc is not MQTTErrorCode.MQTT_ERR_SUCCESS:
                raise self._unavailable(f"cannot be written to ({outcome.rc.name})")
            future: asyncio.Future[int] = self._loop.create_future()
            self._pubacks[outcome.mid] = future
            try:
                async with asyncio.timeout(self._limits.puback_s):
                    return await future
            except TimeoutError as error:
                raise self._unavailable("does not acknowledge what is published") from error
            finally:
                self._pubacks.pop(outcome.mid, None)

    async def publish_or_fail(self, message: Outgoing) -> None:
        """Publish what must get through. Raises `QueueUnavailableError` for a refusal too."""
        code = await self.publish(message)
        if code >= FAILURE:
            raise self._unavailable(
                f"refuses to publish on {message.topic} (reason 0x{code:02x}); "
                "allow it in its access list"
            )

    async def next_message(self) -> Message:
        """The next message in the broker's order."""
        return await self._messages.get()

    def acknowledge(self, message: Message) -> None:
        """PUBACK; in the order of arrival."""
        if message.qos == 1 and self._client is not None:
            self._client.ack(message.mid, 1)

    async def watch(self) -> NoReturn:
        """Keep the connection alive; raises `QueueUnavailableError` when it is gone."""
        while not self._lost.done():
            await asyncio.wait([self._lost], timeout=self._silence_left_s())
            if self._client is not None and not self._lost.done():
                self._check(self._client.loop_misc())
        raise self._unavailable(self._lost.result())

    def _silence_left_s(self) -> float:
        """Until paho must ping, or miss the answer; a broker lets half a keepalive more pass."""
        said_at_s = self._working()._last_msg_out  # noqa: SLF001 (a tick would wake us in vain)
        return max(said_at_s + self._limits.keepalive_s - self._loop.time(), _TICK_MIN_S)

    async def close(self, *, farewell: Outgoing | None = None) -> None:
        """Say farewell if the connection still works, and let it go; within 2 s."""
        try:
            is_working = self._connack.done() and not self._lost.done()
            if farewell is not None and is_working and self._client is not None:
                async with asyncio.timeout(1.0):
                    await self.publish(farewell)
                    self._client.disconnect()
                    await self._lost
        except (TimeoutError, QueueUnavailableError):
            pass
        finally:
            self._lose("was left")
            if self._client is not None:
                self._client._sock_close()  # noqa: SLF001 (paho closes only after a DISCONNECT)
                self._client = None

    # paho.

    def _make_client(self, connected: socket.socket) -> _Client:
        client = _Client(connected, self._client_id)
        client.max_inflight_messages_set(0)  # bounded here, so that paho need not queue
        if self._user is not None:
            client.username_pw_set(self._user, self._password)
        client.will_set(
            self._will.topic,
            self._will.payload,
            qos=1,
            retain=self._will.is_retained,
            properties=_will_properties(self._will),
        )
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        client.on_socket_open = lambda _c, _u, opened: self._loop.add_reader(opened, self._read)
        client.on_socket_close = lambda _c, _u, closed: self._forget(closed)
        client.on_socket_register_write = lambda _c, _u, full: self._loop.add_writer(
            full, self._write
        )
        client.on_socket_unregister_write = lambda _c, _u, full: self._stop_writing(full)
        return client

    def _connect_properties(self) -> Properties:
        properties = _properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = SESSION_EXPIRY_NEVER
        properties.ReceiveMaximum = self._limits.receive_count_max
        properties.MaximumPacketSize = PACKET_SIZE_MAX
        return properties

    def _stop_writing(self, subject: Any) -> None:  # noqa: ANN401 (paho's SocketLike)
        self._loop.remove_writer(subject)

    def _forget(self, closed: Any) -> None:  # noqa: ANN401 (paho's SocketLike)
        self._loop.remove_reader(closed)
        self._loop.remove_writer(closed)

    def _read(self) -> None:
        client = self._client
        if client is None:
            return
        try:
            self._check(client.loop_read())
            # TLS may hold decrypted octets that make the socket look silent.
            while (opened := client.socket()) and getattr(opened, "pending", _nothing)():
                self._check(client.loop_read())
        except (ValueError, LookupError, TypeError, struct.error, MQTTException) as error:
            self._lose(f"speaks no MQTT 5 ({type(error).__name__})")

    def _write(self) -> None:
        if self._client is not None:
            self._check(self._client.loop_write())

    def _check(self, outcome: MQTTErrorCode) -> None:
        if outcome not in (MQTTErrorCode.MQTT_ERR_SUCCESS, MQTTErrorCode.MQTT_ERR_AGAIN):
            self._lose(f"is gone ({paho.error_string(outcome).rstrip('.')})")

    def _on_connect(
        self,
        _client: object,
        _data: object,
        _flags: object,
        code: ReasonCode,
        answer: Properties | None,
    ) -> None:
        if code.value >= FAILURE:
            self._lose(f"refuses the connection ({code}); check user, password_file and its rules")
            return
        offered = min(getattr(answer, "ReceiveMaximum", 0xFFFF), self._limits.inflight_count_max)
        if getattr(answer, "MaximumQoS", 1) < 1:
            self._lose("has no QoS 1; use another broker")
        elif not self._connack.done():
            self._connack.set_result(offered)

    def _on_disconnect(
        self,
        _client: object,
        _data: object,
        flags: object,
        code: ReasonCode,
        _answer: object,
    ) -> None:
        if getattr(flags, "is_disconnect_packet_from_server", False):
            self._lose(f"ended the connection ({code})")
        elif self._broker.is_tls and not self._connack.done():
            # TLS 1.3 tells of a client's certificate only after the handshake.
            self._lose("hangs up on us after TLS; it may ask for another cert_file and key_file")
        else:
            # Mosquitto 2.0 says no word when another client takes over the name.
            self._lose(
                "closed the connection; if it does so again and again, look for another client "
                f"with the id {self._client_id}"
            )

    def _on_subscribe(
        self, _client: object, _data: object, mid: int, codes: list[ReasonCode], _answer: object
    ) -> None:
        future = self._subacks.pop(mid, None)
        if future is not None and not future.done():
            future.set_result(codes)

    def _on_publish(
        self, _client: object, _data: object, mid: int, code: ReasonCode, _answer: object
    ) -> None:
        future = self._pubacks.get(mid)
        if future is not None and not future.done():
            future.set_result(code.value)

    def _on_message(self, _client: object, _data: object, message: paho.MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            topic = ""
        answer = message.properties
        received = Message(
            topic=topic,
            payload=bytes(message.payload),
            qos=message.qos,
            is_retained=message.retain,
            mid=message.mid,
            content_type=getattr(answer, "ContentType", None),
            response_topic=getattr(answer, "ResponseTopic", None),
            correlation=getattr(answer, "CorrelationData", None),
            user_properties=tuple(getattr(answer, "UserProperty", ())),
        )
        try:
            self._messages.put_nowait(received)
        except asyncio.QueueFull:
            self.dropped_count += 1

    # Ends.

    def _working(self) -> _Client:
        if self._client is None or self._lost.done():
            reason = self._lost.result() if self._lost.done() else "is not connected"
            raise self._unavailable(reason)
        return self._client

    async def _in_time(self, future: asyncio.Future[Any], problem: str) -> Any:  # noqa: ANN401
        """The result of `future`, unless the connection is lost or the time is over first."""
        await asyncio.wait(
            [future, self._lost],
            timeout=self._limits.connect_s,
            return_when=asyncio.FIRST_COMPLETED,
        )
        if self._lost.done():
            raise self._unavailable(self._lost.result())
        if not future.done():
            raise self._unavailable(problem)
        return future.result()

    def _lose(self, reason: str) -> None:
        """The connection is gone: wake everyone who waits on it."""
        if not self._lost.done():
            self._lost.set_result(reason)
        for future in self._pubacks.values():
            if not future.done():
                future.set_exception(self._unavailable(self._lost.result()))

    def _unavailable(self, problem: str) -> QueueUnavailableError:
        return QueueUnavailableError(f"the MQTT broker {self._broker.url} {problem}")


def _nothing() -> int:
    return 0


def _properties(packet: int) -> Properties:
    return Properties(packet)  # type: ignore[no-untyped-call]


def _publish_properties(message: Outgoing) -> Properties:
    properties = _properties(PacketTypes.PUBLISH)
    properties.ContentType = message.content_type
    if message.content_type == "application/json":
        properties.PayloadFormatIndicator = 1
    if message.correlation is not None:
        properties.CorrelationData = message.correlation
    if message.user_properties:
        properties.UserProperty = list(message.user_properties)
    return properties


def _will_properties(message: Outgoing) -> Properties:
    properties = _properties(PacketTypes.WILLMESSAGE)
    properties.ContentType = message.content_type
    properties.PayloadFormatIndicator = 1
    return properties
