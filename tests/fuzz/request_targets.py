"""What programs, brokers, operators and a far gateway that lies may hand in: refused, or done."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final, cast

import cbor2

from gateway.api.connection import ApiLimits, ClientGoneError, Connection
from gateway.api.peer import Users
from gateway.api.server import ApiServer
from gateway.config.load import load_settings
from gateway.core.events import FrameReceived, Principal, Rights
from gateway.core.session import Session
from gateway.errors import ConfigError, DecodeError
from gateway.model import LinkName, Operation, Precedence, Role, Station
from gateway.queues.messages import Message, Outgoing
from gateway.queues.requests import Requests
from gateway.security.signature import sign_act
from gateway.sim.virtual_loop import VirtualLoop
from gateway.sim.world import World
from gateway.wire.items import ActItem, FragmentItem, decode_items, encode_items
from gateway.wire.notice import encode_act
from tests.fuzz.octet_targets import CBOR_PIECES
from tests.fuzz.target import Take, Target
from tests.integration.desk_double import BOOT_ID, MemoryDesk, clock, status
from tests.vectors import values

NOTICE: Final = {
    "request_id": "r",
    "to": "SOUTH",
    "kind": "NOTIFY",
    "operation": "TEST",
    "text": "x",
    "place": {"points": [[35.12, 36.54]], "radius_m": 500},
}
ANSWER: Final = {"request_id": "a", "id": "2-3f2a-1", "code": "WILCO", "text": "yes"}
JSON_PIECES: Final = (
    b'"',
    b"\\u0000",
    b"\\ud800",
    b"[" * 300,
    b'{"a":' * 300,
    b"1e999",
    b"-0",
    b"9" * 30,
    b"null",
    b"true",
    b",",
    b"\xff",
    b"\xf0\x9f\x92\xa9",
    b'"to":"SOUTH"',
)
_JSON: Final = [json.dumps(document).encode() for document in (NOTICE, ANSWER)]

# API


class _Sink:
    """The writing half of a connection, kept in memory."""

    def __init__(self) -> None:
        self.octets = bytearray()
        self.transport = self

    def write(self, octets: bytes) -> None:
        self.octets += octets

    async def drain(self) -> None:
        await asyncio.sleep(0)

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None: ...

    def abort(self) -> None: ...


async def _converse(octets: bytes) -> bytes:
    """What the server says to a client that sends these octets in two parts and then closes."""
    desk = MemoryDesk()
    desk.show(status())
    desk.arrive()
    server = ApiServer(
        desk, desk.store, Path("/none"), {}, clock=clock, boot_id=BOOT_ID, limits=ApiLimits()
    )
    reader, sink = asyncio.StreamReader(), _Sink()
    connection = Connection(reader, cast("asyncio.StreamWriter", sink), server._limits)
    loop = asyncio.get_running_loop()
    reader.feed_data(octets[: len(octets) // 2])
    loop.call_later(1.0, reader.feed_data, octets[len(octets) // 2 :])
    loop.call_later(30.0, reader.feed_eof)
    with contextlib.suppress(ClientGoneError):
        await server._converse(connection, Users({}).of_uid(0))
    # The client may be answered before its last octets came.
    await asyncio.sleep(31)
    return bytes(sink.octets)


@contextlib.contextmanager
def _api() -> Iterator[Take]:
    loop = VirtualLoop()

    def take(octets: bytes) -> None:
        answer = loop.run_until_complete(_converse(octets))
        assert not answer or answer.startswith(b"HTTP/1.1 ")
        assert b"HTTP/1.1 500" not in answer

    with contextlib.closing(loop):
        yield take


def _api_seeds() -> list[bytes]:
    heads = (
        b"GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /v1/notices?after=1&limit=5&topic=notice HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /v1/notices?after=9&wait=20 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /v1/inbox?open_only=1 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /v1/log?limit=10&before=4 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /v1/events?after=0 HTTP/1.1\r\nHost: x\r\nLast-Event-ID: 4\r\n\r\n",
        b"GET /v1/notices/2-3f2a-1 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /v1/notices/2-3f2a-1/taken HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
    )
    posts = [
        b"POST %s HTTP/1.1\r\nHost: x\r\nIdempotency-Key: k\r\nContent-Length: %d\r\n\r\n%s"
        % (path, len(body), body)
        for path in (b"/v1/notices", b"/v1/notices/2-3f2a-1/answers")
        for body in _JSON
    ]
    chunked = [
        b"POST /v1/notices HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
        for body in _JSON
    ]
    return [*heads, *posts, *chunked, heads[0] + posts[0]]


# MQTT

WHO: Final = Principal(
    "mqtt", "broker", Role.AUTOMATIC, Rights(frozenset(Operation), Precedence.FLASH, answer=True)
)
_TOPICS: Final = ("submit", "answer", "taken", "error/x")
_TYPES: Final = (None, "application/json", "application/cbor", "application/json; x", ";", "\0")
_REPLIES: Final = (None, "me", "", "hotline/v1/NORTH/line/x", "a/#", "$SYS/x", "x" * 2000)


@contextlib.contextmanager
def _mqtt() -> Iterator[Take]:
    loop = VirtualLoop()

    def take(octets: bytes) -> None:
        """The first three octets choose topic, types and properties, the others are the payload."""
        choice = octets[:3] + bytes(3 - len(octets[:3]))
        message = Message(
            topic=f"hotline/v1/NORTH/{_TOPICS[choice[0] % len(_TOPICS)]}",
            payload=octets[3:],
            qos=1,
            is_retained=choice[0] >= 0xF0,
            mid=1,
            content_type=_TYPES[choice[1] % len(_TYPES)],
            response_topic=_REPLIES[choice[2] % len(_REPLIES)],
            correlation=octets[3:9] if choice[2] & 0x80 else None,
            user_properties=(("request_id", octets[3:13].decode("latin-1")),)
            if choice[1] & 0x80
            else (),
        )
        desk = MemoryDesk()
        published: list[Outgoing] = []

        async def publish(outgoing: Outgoing) -> int:
            published.append(outgoing)
            return 0

        requests = Requests("hotline/v1/NORTH", WHO, desk, desk.store)
        loop.run_until_complete(requests.deal_with(message, publish))
        own = [one for one in published if one.topic.startswith("hotline/")]
        assert all(one.topic.startswith("hotline/v1/NORTH/error/") for one in own)
        assert len(own) <= 1
        assert len(desk.accepted) + len(own) <= 1

    with contextlib.closing(loop):
        yield take


def _mqtt_seeds() -> list[bytes]:
    documents = [NOTICE, ANSWER, {"id": "2-3f2a-1"}]
    return [
        *(
            bytes((topic, 1, 1)) + json.dumps(document).encode()
            for topic, document in enumerate(documents)
        ),
        *(
            bytes((topic, 2, 1)) + cbor2.dumps(document, canonical=True)
            for topic, document in enumerate(documents)
        ),
    ]


# Configuration file

_CONFIGURATION: Final = b"""
[station]
name = "NORTH"
state_folder = "/var/lib/hotline-gateway"
runtime_folder = "/run/hotline-gateway"
key_file = "/etc/hotline-gateway/station.key"

[[line]]
card = "/etc/hotline-gateway/SOUTH.card"
secret_file = "/etc/hotline-gateway/SOUTH.secret"
generation = 3

[[line.link]]
name = "radio"
driver = "meshtastic"
port = "tcp://localhost:4403"
node = "!4d4c00b2"

[[line.link]]
name = "cable"
driver = "serial"
port = "/dev/serial/by-id/usb-1"
bit_rate = 19200

[mqtt]
url = "mqtts://broker.example:8883"
user = "north"
submit = ["test", "operation"]

[api]
group = "root"
[[api.user]]
name = "root"

[indicators]
factory = "mock"
pins = { alive = 25 }

[log]
level = "debug"

[policy]
beat_serial_ms = 5000
"""


@contextlib.contextmanager
def _configuration() -> Iterator[Take]:
    folder = tempfile.mkdtemp(prefix="hotline-fuzz-")
    path = Path(folder) / "config.toml"

    def take(octets: bytes) -> None:
        path.write_bytes(octets)
        told = f"{path}: "
        try:
            load_settings(path, check_files=False)
        except ConfigError as error:
            told = str(error)
        assert told.startswith(f"{path}: ")
        assert "\x1b" not in told, "an escape sequence would reach the terminal"

    try:
        yield take
    finally:
        shutil.rmtree(folder)


# A far gateway that lies

CABLE: Final = LinkName("cable")
_FRAME_END: Final = b"\xff\xff"
"""Between the frames of an input; no CBOR begins so."""
_FRAME_COUNT_MAX: Final = 12


def _signed(world: World, items: bytes) -> bytes:
    """The same items, acts signed by the far station, whatever they say."""
    keys = world.posts[Station(1)].keys.own
    return encode_items(
        [
            replace(
                item, signature=sign_act(keys, item.octets, originator=Station(1), to=Station(2))
            )
            if isinstance(item, ActItem)
            else item
            for item in decode_items(items)
        ]
    )


@contextlib.contextmanager
def _lying_peer() -> Iterator[Take]:
    def take(octets: bytes) -> None:
        """Frames of a proven far station, with items and signed acts of any content."""
        world = World(1)
        world.add_path("cable", bit_rate=1_000_000)
        world.start()
        world.run(3_000)
        liar, judge = (world.posts[Station(number)] for number in (1, 2))
        assert liar.engine is not None
        assert judge.engine is not None
        session: Session = liar.engine._state.lines[Station(2)].session
        assert judge.engine._state.lines[Station(1)].session.is_proven(session.incarnation)
        for part in octets.split(_FRAME_END)[:_FRAME_COUNT_MAX]:
            items = part
            with contextlib.suppress(DecodeError):
                items = _signed(world, part)
            if not 1 <= len(items) <= 900:
                continue
            frame, _ = session.seal(items)
            world.give(Station(2), FrameReceived(CABLE, frame))
            world.run(500)
        world.run(20_000)
        assert judge.engine is not None
        assert judge.status is not None
        # What it took in is there for the next start.
        world.crash(2)
        world.start(2)
        world.run(2_000)
        assert judge.status.station == 2

    yield take


def _lying_peer_seeds() -> list[bytes]:
    acts = [encode_items([ActItem(3, encode_act(act), bytes(64))]) for act in values.ACTS.values()]
    items = [
        encode_items([item]) for item in values.ITEMS.values() if not isinstance(item, FragmentItem)
    ]
    halves = [
        encode_items([FragmentItem(1, values.EPOCH, 70, index, 2, bytes(range(40)))])
        for index in range(2)
    ]
    return [*acts, *items, _FRAME_END.join(acts), _FRAME_END.join(halves), _FRAME_END.join(items)]


REQUEST_TARGETS = (
    Target(
        "api",
        "HTTP/1.1 and JSON on the API's socket, in virtual time",
        _api,
        _api_seeds,
        size_max=20_000,
        pieces=(b"\r\n", b"\x00", b" ", b":", b"%", b"?", b"&", b"a" * 17_000, *JSON_PIECES),
    ),
    Target("mqtt", "messages of a broker", _mqtt, _mqtt_seeds, pieces=(*JSON_PIECES, *CBOR_PIECES)),
    Target(
        "config",
        "the configuration file",
        _configuration,
        lambda: [_CONFIGURATION],
        size_max=4_000,
        pieces=(b"[[line]]\n", b"= 1\n", b'= "', b"\x1b[2J", b"'''", b"\\u0000", *JSON_PIECES),
    ),
    Target(
        "peer",
        "a proven far gateway that says anything, well signed",
        _lying_peer,
        _lying_peer_seeds,
        size_max=2_000,
        pieces=(_FRAME_END, *CBOR_PIECES),
    ),
)
